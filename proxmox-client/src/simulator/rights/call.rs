//! Calls whose handlers check rights by themselves, where the schema lets everyone through or asks for less.

use super::{Change, Rights, denied};
use crate::simulator::answer::Reply;
use crate::simulator::guest::{Guest, Species, text_of};
use crate::simulator::http::Call;
use crate::simulator::operation::{Caller, read_name};
use crate::simulator::schema::{parts, sub_key};
use crate::simulator::task::SimTask;
use crate::simulator::world::World;

const SEE_STORAGE: &[&str] = &["Datastore.Audit", "Datastore.AllocateSpace"];

impl World {
    /// Refuses a call whose parameters are right to someone who lacks the rights that its handler asks for.
    pub(in super::super) fn refuse_call(
        &self,
        rights: &Rights<'_>,
        call: &Call,
        caller: &Caller,
    ) -> Result<(), Reply> {
        let segments: Vec<&str> = call.segments.iter().map(String::as_str).collect();
        match (call.method.as_str(), segments.as_slice()) {
            ("GET", ["access", "permissions"]) => self.refuse_permissions(rights, call),
            ("PUT", ["access", "acl"]) => self.refuse_handing_out(rights, call),
            ("PUT", ["pools"]) => {
                let pool = call.text("poolid").unwrap_or_default();
                self.refuse_members(rights, &pool, call)
            }
            ("PUT", ["pools", pool]) => self.refuse_members(rights, pool, call),
            ("POST", ["nodes", _, "qemu"]) => self.refuse_machine(rights, call),
            ("POST", ["nodes", _, "lxc"]) => self.refuse_container(rights, call),
            (method, ["nodes", _, branch @ ("qemu" | "lxc"), vmid, rest @ ..]) => {
                let vmid = vmid.parse().unwrap_or_default();
                let species = match *branch {
                    "lxc" => Species::Container,
                    _ => Species::Machine,
                };
                let known = self.guests.get(&vmid);
                match known.filter(|guest| guest.species == species) {
                    Some(guest) => self.refuse_guest(rights, guest, method, rest, call),
                    None => Ok(()),
                }
            }
            ("POST", ["nodes", node, "vzdump"]) => self.refuse_dump(rights, node, call),
            (
                "POST",
                [
                    "nodes",
                    _,
                    what @ ("startall" | "stopall" | "suspendall" | "migrateall"),
                ]
                | ["cluster", "bulk-action", "guest", what],
            ) => refuse_bulk(rights, what, call),
            ("GET", ["nodes", _, "vzdump", "defaults"]) => {
                let storage = call.text("storage").unwrap_or_else(|| "local".to_owned());
                rights.need_any(&format!("/storage/{storage}"), SEE_STORAGE)
            }
            ("POST" | "PUT", ["cluster", "backup", ..]) => self.refuse_job(rights, call),
            (method, ["nodes", _, "storage", storage, "content", volume @ ..])
                if !volume.is_empty() =>
            {
                let volid = match volume.join("/") {
                    whole if whole.contains(':') => whole,
                    name => format!("{storage}:{name}"),
                };
                match method {
                    "DELETE" => self.refuse_removal(rights, storage, &volid),
                    _ => self.need_volume(rights, None, &volid),
                }
            }
            ("DELETE", ["nodes", _, "storage", storage, "prunebackups"]) => {
                let space = format!("/storage/{storage}");
                match call.number("vmid") {
                    Some(vmid) => rights
                        .need(&space, &["Datastore.AllocateSpace"])
                        .and_then(|()| rights.need(&format!("/vms/{vmid}"), &["VM.Backup"])),
                    None => rights.need(&space, &["Datastore.Allocate"]),
                }
            }
            (method, ["nodes", node, "tasks", upid, ..]) => {
                let Some(task) = self.tasks.iter().find(|task| task.upid == *upid) else {
                    return Ok(());
                };
                let privilege = match method {
                    "DELETE" => "Sys.Modify",
                    _ => "Sys.Audit",
                };
                if caller.owns(task) {
                    return Ok(());
                }
                rights.need(&format!("/nodes/{node}"), &[privilege])
            }
            (method, ["cluster", "replication", rest @ ..]) => {
                let id = rest.first().map(|id| (*id).to_owned());
                let id = id.or_else(|| call.text("id"));
                let guest = id.and_then(|id| Some(id.split_once('-')?.0.to_owned()));
                let privilege = match method {
                    "GET" => "VM.Audit",
                    _ => "VM.Replicate",
                };
                guest.map_or(Ok(()), |guest| {
                    rights.need(&format!("/vms/{guest}"), &[privilege])
                })
            }
            (method, ["cluster", "sdn", "vnets", vnet, rest @ ..]) => {
                let Some(zone) = self.zone_of(vnet) else {
                    return Ok(());
                };
                let privileges: &[&str] = match (method, rest) {
                    ("GET", _) => &["SDN.Audit", "SDN.Allocate"],
                    _ => &["SDN.Allocate"],
                };
                rights.need_any(&format!("/sdn/zones/{zone}/{vnet}"), privileges)
            }
            _ => Ok(()),
        }
    }

    fn refuse_guest(
        &self,
        rights: &Rights<'_>,
        guest: &Guest,
        method: &str,
        rest: &[&str],
        call: &Call,
    ) -> Result<(), Reply> {
        let space = |storage: &str| {
            let path = format!("/storage/{storage}");
            rights.need(&path, &["Datastore.AllocateSpace"])
        };
        let change = Change {
            world: self,
            rights,
            vmid: guest.vmid,
            pool: None,
            old: Some(guest),
        };
        match (method, rest) {
            ("PUT" | "POST", ["config"]) => match guest.species {
                Species::Machine => change.refuse_machine_update(&call.params),
                Species::Container => change.refuse_container(&call.params),
            },
            ("POST", ["clone"]) => {
                self.refuse_unknown_pool(call)?;
                let snapshot = call.text("snapname");
                let config = match &snapshot {
                    Some(name) => guest.snapshots.get(name).map(|snapshot| &snapshot.config),
                    None => Some(&guest.config),
                };
                let storage = call.text("storage");
                match (config, guest.species) {
                    (Some(config), Species::Machine) => {
                        change.refuse_machine_copy(config, storage.as_deref())
                    }
                    (Some(config), Species::Container) => {
                        change.refuse_container_copy(config, storage.as_deref())
                    }
                    (None, _) => Ok(()),
                }
            }
            ("POST", ["move_disk" | "move_volume"]) => {
                if let Some(target) = call.number("target-vmid") {
                    rights.need(&format!("/vms/{target}"), &["VM.Config.Disk"])?;
                    let disk = call.text("disk").or_else(|| call.text("volume"));
                    let value = disk.and_then(|disk| guest.text(&disk)).unwrap_or_default();
                    return value
                        .split_once(':')
                        .map_or(Ok(()), |(storage, _)| space(storage));
                }
                call.text("storage")
                    .map_or(Ok(()), |storage| space(&storage))
            }
            ("POST", ["migrate"]) => {
                let wanted = call
                    .text("targetstorage")
                    .or_else(|| call.text("target-storage"));
                let wanted = wanted.unwrap_or_default();
                if wanted.is_empty() || wanted == "1" {
                    return Ok(());
                }
                rights.need(&format!("/vms/{}", guest.vmid), &["VM.Config.Disk"])?;
                parts(&wanted)
                    .map(|pair| pair.split_once(':').map_or(pair, |(_, to)| to))
                    .try_for_each(space)
            }
            _ => Ok(()),
        }
    }

    fn refuse_unknown_pool(&self, call: &Call) -> Result<(), Reply> {
        match call.text("pool") {
            Some(pool) if !self.pools.contains_key(&pool) => {
                Err(denied(&format!("pool '{pool}' does not exist")))
            }
            _ => Ok(()),
        }
    }

    /// Whoever makes a guest may do so here or in its pool; whoever may back it up may restore over it.
    fn refuse_place(
        &self,
        rights: &Rights<'_>,
        vmid: u32,
        pool: Option<&str>,
        restores: bool,
    ) -> Result<(), Reply> {
        let here = format!("/vms/{vmid}");
        let allowed = rights.has(&here, "VM.Allocate")
            || pool.is_some_and(|pool| rights.has(&format!("/pool/{pool}"), "VM.Allocate"))
            || restores && self.guests.contains_key(&vmid) && rights.has(&here, "VM.Backup");
        allowed.then_some(()).ok_or_else(|| denied(""))
    }

    fn refuse_machine(&self, rights: &Rights<'_>, call: &Call) -> Result<(), Reply> {
        let vmid = call.number("vmid").and_then(|vmid| vmid.try_into().ok());
        let vmid = vmid.unwrap_or_default();
        let pool = call.text("pool");
        self.refuse_unknown_pool(call)?;
        if let Some(storage) = call.text("storage") {
            let path = format!("/storage/{storage}");
            rights.need(&path, &["Datastore.AllocateSpace"])?;
        }
        if call.flag("ha-managed") {
            rights.need("/", &["Sys.Console"])?;
        }
        let archive = call.text("archive");
        let restores = archive.is_some() && call.flag("force");
        self.refuse_place(rights, vmid, pool.as_deref(), restores)?;
        if let Some(archive) = archive {
            self.need_volume(rights, Some(vmid), &archive)?;
        }
        let change = Change {
            world: self,
            rights,
            vmid,
            pool: pool.as_deref(),
            old: None,
        };
        change.refuse_machine_creation(&call.params)
    }

    fn refuse_container(&self, rights: &Rights<'_>, call: &Call) -> Result<(), Reply> {
        let vmid = call.number("vmid").and_then(|vmid| vmid.try_into().ok());
        let vmid = vmid.unwrap_or_default();
        let pool = call.text("pool");
        let restores = call.flag("restore");
        if !restores && call.text("unprivileged").is_some_and(|flag| flag == "0") {
            rights.need("/", &["Sys.Modify"])?;
        }
        if call.flag("ha-managed") {
            rights.need("/", &["Sys.Console"])?;
        }
        self.refuse_unknown_pool(call)?;
        let over = restores && call.flag("force");
        self.refuse_place(rights, vmid, pool.as_deref(), over)?;
        let change = Change {
            world: self,
            rights,
            vmid,
            pool: pool.as_deref(),
            old: None,
        };
        change.refuse_container(&call.params)?;
        let template = call.text("ostemplate").unwrap_or_default();
        self.need_volume(rights, Some(vmid), &template)?;
        if call.text("rootfs").is_none() {
            let storage = call.text("storage").unwrap_or_else(|| "local".to_owned());
            let path = format!("/storage/{storage}");
            rights.need(&path, &["Datastore.AllocateSpace"])?;
        }
        Ok(())
    }

    fn refuse_dump(&self, rights: &Rights<'_>, node: &str, call: &Call) -> Result<(), Reply> {
        refuse_job_options(rights, call)?;
        let storage = call.text("storage").unwrap_or_else(|| "local".to_owned());
        let storage = format!("/storage/{storage}");
        if call.text("prune-backups").is_some() {
            rights.need(&storage, &["Datastore.Allocate"])?;
        }
        if call.flag("stop") {
            rights.need(&format!("/nodes/{node}"), &["Sys.Modify"])?;
        }
        if call.text("dumpdir").is_some() {
            return Ok(());
        }
        rights.need(&storage, &["Datastore.AllocateSpace"])
    }

    fn refuse_job(&self, rights: &Rights<'_>, call: &Call) -> Result<(), Reply> {
        refuse_job_options(rights, call)?;
        if let Some(storage) = call.text("storage") {
            rights.need(&format!("/storage/{storage}"), &["Datastore.Allocate"])?;
        }
        self.refuse_unknown_pool(call)?;
        call.text("pool").map_or(Ok(()), |pool| {
            rights.need(&format!("/pool/{pool}"), &["VM.Backup"])
        })
    }

    /// What the task of a call will end with, where rights are only looked at in the task: a backup of named guests, or of
    /// those of a pool, needs `VM.Backup` on each.
    pub(in super::super) fn doomed(&self, rights: &Rights<'_>, call: &Call) -> Option<String> {
        let segments: Vec<&str> = call.segments.iter().map(String::as_str).collect();
        let ("POST", ["nodes", node, "vzdump"]) = (call.method.as_str(), segments.as_slice())
        else {
            return None;
        };
        // Of all guests those are taken that one may back up.
        if ["vmid", "pool"]
            .iter()
            .all(|name| call.text(name).is_none())
        {
            return None;
        }
        let chosen = self.chosen(&call.params, Some(node)).into_iter();
        let known = chosen.filter(|vmid| self.guests.contains_key(vmid));
        let mut refusals = known.filter_map(|vmid| {
            let path = format!("/vms/{vmid}");
            rights.need(&path, &["VM.Backup"]).err()
        });
        let refusal = refusals.next()?;
        Some(format!("{} {}", refusal.status, refusal.reason))
    }

    fn refuse_permissions(&self, rights: &Rights<'_>, call: &Call) -> Result<(), Reply> {
        let asked = call.text("userid");
        let own = asked.is_none_or(|asked| {
            let owner = asked.split_once('!').map(|(user, _)| user);
            asked == rights.who() || owner == Some(rights.who())
        });
        match own {
            true => Ok(()),
            false => rights.need("/access", &["Sys.Audit"]),
        }
    }

    /// Without the right to change rights, only such roles may be handed out whose privileges one has oneself.
    fn refuse_handing_out(&self, rights: &Rights<'_>, call: &Call) -> Result<(), Reply> {
        let path = call.text("path").and_then(|path| super::normalized(&path));
        let have = path.map(|path| rights.on(&path)).unwrap_or_default();
        if have.contains_key("Permissions.Modify") {
            return Ok(());
        }
        let deletes = call.flag("delete");
        let verb = if deletes { "remove" } else { "add" };
        let below = call.text("propagate").as_deref() != Some("0");
        let asked = call.text("roles").unwrap_or_default();
        for role in parts(&asked) {
            let refused = |how: &str| {
                let why = format!("Cannot {verb} role '{role}'{how}");
                Err(Reply::parameter("role", why))
            };
            // A role that does not exist is told by the handler.
            let Some(names) = super::privileges_of(&self.roles, role) else {
                return Ok(());
            };
            for name in &names {
                match have.get(name) {
                    None => {
                        return refused(
                            " - requires 'Permissions.Modify' or superset of privileges.",
                        );
                    }
                    Some(false) if below && !deletes => {
                        return refused(
                            " with propagation - requires 'Permissions.Modify' or propagated superset of privileges.",
                        );
                    }
                    Some(_) => {}
                }
            }
            if role == "NoAccess" {
                return refused(" - requires 'Permissions.Modify'");
            }
        }
        Ok(())
    }

    /// Guests and storages are put into pools by those who may give rights on them.
    fn refuse_members(&self, rights: &Rights<'_>, pool: &str, call: &Call) -> Result<(), Reply> {
        let Some(known) = self.pools.get(pool) else {
            return Ok(());
        };
        // The handler holds the lock of the file, whose failures carry their status in the text.
        let nested = |refusal: Reply| {
            let text = format!("update pools failed: {} {}", refusal.status, refusal.reason);
            Reply::failed(text)
        };
        let (vms, storages) = (call.text("vms"), call.text("storage"));
        for vmid in parts(vms.as_deref().unwrap_or_default()) {
            rights
                .need_modify(&format!("/vms/{vmid}"))
                .map_err(nested)?;
            let vmid = vmid.parse().unwrap_or_default();
            let moves = call.flag("allow-move") && !call.flag("delete");
            let mut others = self.pools.iter().filter(|_| moves);
            let other = others.find(|(name, other)| *name != pool && other.vms.contains(&vmid));
            if let Some((other, _)) = other.filter(|_| !known.vms.contains(&vmid)) {
                let path = format!("/pool/{other}");
                rights.need(&path, &["Pool.Allocate"]).map_err(nested)?;
            }
        }
        for storage in parts(storages.as_deref().unwrap_or_default()) {
            let path = format!("/storage/{storage}");
            rights.need_modify(&path).map_err(nested)?;
        }
        Ok(())
    }

    fn refuse_removal(&self, rights: &Rights<'_>, storage: &str, volid: &str) -> Result<(), Reply> {
        let path = format!("/storage/{storage}");
        match self.owner_of(volid) {
            Some(owner) if self.content_of(volid) == "backup" => {
                rights.need(&path, &["Datastore.AllocateSpace"])?;
                rights.need(&format!("/vms/{owner}"), &["VM.Backup"])
            }
            _ => rights.need(&path, &["Datastore.Allocate"]),
        }
    }

    /// What a volume is, by its name.
    pub(super) fn content_of(&self, volid: &str) -> &'static str {
        let name = volid.split_once(':').map_or(volid, |(_, name)| name);
        let folder = name.split_once('/').map_or("", |(folder, _)| folder);
        let known = ["iso", "vztmpl", "import", "backup", "snippets"];
        let found = known.into_iter().find(|known| *known == folder);
        found.unwrap_or("images")
    }

    /// The guest that a volume belongs to.
    pub(super) fn owner_of(&self, volid: &str) -> Option<u32> {
        if let Some(owner) = self.volume(volid).and_then(|volume| volume.vmid) {
            return Some(owner);
        }
        if let Some(name) = read_name(volid) {
            return Some(name.vmid);
        }
        let name = volid.rsplit(['/', ':']).next()?;
        let rest = ["vm-", "base-", "subvol-", "basevol-"]
            .iter()
            .find_map(|start| name.strip_prefix(start))?;
        rest.split('-').next()?.parse().ok()
    }

    /// The right to use a volume: `PVE::Storage::check_volume_access`. `vmid` is the guest that it is used for.
    pub(super) fn need_volume(
        &self,
        rights: &Rights<'_>,
        vmid: Option<u32>,
        volid: &str,
    ) -> Result<(), Reply> {
        let Some((storage, _)) = volid.split_once(':').filter(|_| !volid.starts_with('/')) else {
            return Err(Reply::failed(
                "Only root can pass arbitrary filesystem paths.",
            ));
        };
        let path = format!("/storage/{storage}");
        if rights.has(&path, "Datastore.Allocate") {
            return Ok(());
        }
        let owner = self.owner_of(volid);
        match (self.content_of(volid), owner) {
            ("iso" | "vztmpl" | "import", _) => {
                rights.need_any(&path, &["Datastore.AllocateSpace", "Datastore.Audit"])
            }
            (_, Some(owner)) if vmid == Some(owner) => Ok(()),
            ("backup", Some(owner)) => {
                rights.need(&path, &["Datastore.AllocateSpace"])?;
                rights.need(&format!("/vms/{owner}"), &["VM.Backup"])
            }
            ("images", Some(owner)) => {
                rights.need(&path, &["Datastore.Audit"])?;
                rights.need(&format!("/vms/{owner}"), &["VM.Config.Disk"])
            }
            _ => Err(Reply::failed(format!(
                "missing privileges to access {volid}"
            ))),
        }
    }
}

/// What only root may set in a backup, and what changes the load of the host.
fn refuse_job_options(rights: &Rights<'_>, call: &Call) -> Result<(), Reply> {
    for key in ["tmpdir", "dumpdir", "script", "job-id"] {
        if call.params.contains_key(key) {
            return Err(Reply::parameter(key, "Only root may set this option."));
        }
    }
    let loads = ["bwlimit", "ionice", "performance"];
    if loads.iter().any(|key| call.params.contains_key(*key)) {
        rights.need("/", &["Sys.Modify"])?;
    }
    let fleecing = call.params.get("fleecing").map(text_of);
    let fleecing = fleecing.unwrap_or_default();
    let storage = sub_key(&fleecing, "storage");
    storage.map_or(Ok(()), |storage| {
        let path = format!("/storage/{storage}");
        rights.need(&path, &["Datastore.AllocateSpace"])
    })
}

/// Acting on many guests asks for rights on each that is named, or on all.
fn refuse_bulk(rights: &Rights<'_>, what: &str, call: &Call) -> Result<(), Reply> {
    let (of_each, of_all): (&[&str], &[&str]) = match what {
        "migrateall" | "migrate" => (&["VM.Migrate"], &["VM.Migrate"]),
        "suspendall" => (&["VM.PowerMgmt"], &["VM.PowerMgmt", "VM.Config.Disk"]),
        _ => (&["VM.PowerMgmt"], &["VM.PowerMgmt"]),
    };
    let named = call.params.get("vms").map(|vms| match vms {
        serde_json::Value::Array(items) => items.iter().map(text_of).collect(),
        one => vec![text_of(one)],
    });
    let named = named.unwrap_or_default().join(",");
    let mut named = parts(&named).peekable();
    if named.peek().is_none() || rights.need("/", of_all).is_ok() {
        return rights.need("/", of_all);
    }
    named.try_for_each(|vmid| rights.need(&format!("/vms/{vmid}"), of_each))
}

impl Caller {
    /// Whether a task is the caller's: a token has its own, a user also those of the user's tokens.
    pub(in super::super) fn owns(&self, task: &SimTask) -> bool {
        self.user == task.user && (self.token.is_none() || self.token == task.token)
    }
}
