//! Backup jobs, and what they and backups on demand have in common.

mod dump;
mod restore;
mod scheduler;

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

use super::shared::names;
use super::{list, not_simulated};
use crate::simulator::answer::{Outcome, Reply};
use crate::simulator::calendar::Schedule;
use crate::simulator::guest::{Guest, Species, text_of};
use crate::simulator::http::Call;
use crate::simulator::operation::{DriveText, mount_kind, mount_order};
use crate::simulator::section::{Param, Shape, settings};
use crate::simulator::task::seconds;
use crate::simulator::world::World;

pub(in super::super) use scheduler::Scheduler;

const MANY: i64 = i64::MAX;

/// Options of a backup.
const OPTIONS: [Param; 32] = [
    Param::new("vmid", Shape::Text),
    Param::new("node", Shape::Text),
    Param::new("all", Shape::Flag),
    Param::new("exclude", Shape::Text),
    Param::new("pool", Shape::Text),
    Param::new("storage", Shape::Text),
    Param::new("mode", Shape::OneOf(&["snapshot", "suspend", "stop"])),
    Param::new("compress", Shape::OneOf(&["0", "1", "gzip", "lzo", "zstd"])),
    Param::new("pigz", Shape::Integer(i64::MIN, MANY)),
    Param::new("zstd", Shape::Integer(i64::MIN, MANY)),
    Param::new("quiet", Shape::Flag),
    Param::new("stdexcludes", Shape::Flag),
    Param::new("exclude-path", Shape::Array),
    Param::new("mailto", Shape::Text),
    Param::new("mailnotification", Shape::OneOf(&["always", "failure"])),
    Param::new(
        "notification-mode",
        Shape::OneOf(&["auto", "legacy-sendmail", "notification-system"]),
    ),
    Param::new("tmpdir", Shape::Text),
    Param::new("dumpdir", Shape::Text),
    Param::new("script", Shape::Text),
    Param::new("stop", Shape::Flag),
    Param::new("bwlimit", Shape::Integer(0, MANY)),
    Param::new("ionice", Shape::Integer(0, 8)),
    Param::new("performance", Shape::Text),
    Param::new("fleecing", Shape::Text),
    Param::new("lockwait", Shape::Integer(0, MANY)),
    Param::new("stopwait", Shape::Integer(0, MANY)),
    Param::new("prune-backups", Shape::Text),
    Param::new("remove", Shape::Flag),
    Param::new("notes-template", Shape::Text),
    Param::new("protected", Shape::Flag),
    Param::new(
        "pbs-change-detection-mode",
        Shape::OneOf(&["legacy", "data", "metadata"]),
    ),
    Param::new("maxfiles", Shape::Integer(1, MANY)),
];

/// Options that only a job has.
const JOB: [Param; 5] = [
    Param::new("id", Shape::Text),
    Param::new("schedule", Shape::Text),
    Param::new("enabled", Shape::Flag),
    Param::new("repeat-missed", Shape::Flag),
    Param::new("comment", Shape::Text),
];

/// A property string as the object that answers give.
fn as_object(text: &str, default_key: &str) -> Map<String, Value> {
    let parts = text.split(',').filter(|part| !part.is_empty());
    let pairs = parts.map(|part| part.split_once('=').unwrap_or((default_key, part)));
    pairs
        .map(|(key, value)| (key.to_owned(), value.into()))
        .collect()
}

/// What the template of notes must not have.
fn check_template(template: &str) -> Result<(), String> {
    if template.contains('\n') {
        return Err("contains a line feed\n".to_owned());
    }
    let mut problems = Vec::new();
    let mut chars = template.char_indices();
    while let Some((at, c)) = chars.next() {
        if c != '\\' {
            continue;
        }
        match chars.next() {
            Some((_, 'n' | '\\')) | None => {}
            Some((_, other)) => problems.push(format!("escape sequence '\\{other}' at char {at}")),
        }
    }
    let mut from = 0;
    while let Some(open) = template[from..].find("{{").map(|at| from + at + 2) {
        let Some(close) = template[open..].find("}}").map(|at| open + at) else {
            break;
        };
        let name = &template[open..close];
        let is_name = !name.is_empty() && !name.contains(['{', '}', ' ', '\t']);
        if is_name && !["cluster", "guestname", "node", "vmid"].contains(&name) {
            problems.push(format!("variable '{name}' at char {open}"));
        }
        from = close + 2;
    }
    if problems.is_empty() {
        Ok(())
    } else {
        Err(format!("found unknown: {}\n", problems.join(", ")))
    }
}

/// When a job runs: a calendar event, or as older callers say it, days of the week and a time.
fn schedule_of(call: &Call) -> Result<Option<String>, Reply> {
    let schedule = call.text("schedule");
    let Some(time) = call.text("starttime") else {
        return Ok(schedule);
    };
    if schedule.is_some() {
        let why = "'starttime' and 'schedule' cannot both be set";
        return Err(Reply::parameter("starttime", why));
    }
    let days = call.text("dow").filter(|days| !days.is_empty());
    Ok(Some(match days {
        Some(days) => format!("{days} {time}"),
        None => time,
    }))
}

/// What options must not have together; `whole` says that nothing may be missing.
fn verify(options: &mut Map<String, Value>, whole: bool) -> Result<(), Reply> {
    let is_set = |options: &Map<String, Value>, name: &str| {
        options
            .get(name)
            .is_some_and(|value| !matches!(text_of(value).as_str(), "" | "0"))
    };
    for name in ["all", "exclude", "pool"] {
        if is_set(options, name) && is_set(options, "vmid") {
            return Err(Reply::parameter(
                name,
                "option conflicts with option 'vmid'",
            ));
        }
    }
    if let Some(template) = options.get("notes-template").map(text_of) {
        check_template(&template).map_err(|why| Reply::parameter("notes-template", why))?;
    }
    if options.contains_key("exclude") && !is_set(options, "pool") {
        options.insert("all".to_owned(), 1.into());
    }
    let chosen = ["all", "stop", "pool", "vmid"]
        .iter()
        .any(|name| is_set(options, name));
    if whole && !chosen {
        return Err(Reply::parameter("vmid", "property is missing"));
    }
    Ok(())
}

/// A job as answers show it.
fn shown(id: &str, job: &Map<String, Value>) -> Map<String, Value> {
    let mut job = job.clone();
    job.shift_remove("order");
    for (name, default_key) in [
        ("prune-backups", ""),
        ("fleecing", "enabled"),
        ("performance", ""),
    ] {
        if let Some(text) = job.get(name).map(text_of) {
            job.insert(name.to_owned(), as_object(&text, default_key).into());
        }
    }
    job.insert("id".to_owned(), id.into());
    job.insert("type".to_owned(), "vzdump".into());
    job
}

/// Whether a backup of a container holds a volume: that of the root always, others where they say so.
fn of_container(slot: &str, file: &str, asked: Option<&str>) -> (bool, &'static str) {
    match asked {
        _ if slot == "rootfs" => (true, "rootfs"),
        _ if mount_kind(file) != "volume" => (false, "not a volume"),
        Some("1" | "yes" | "on" | "true") => (true, "enabled"),
        _ => (false, "disabled"),
    }
}

impl World {
    pub(super) fn read_backup(&self, rest: &[&str], call: &Call) -> Outcome {
        let missing = |id: &str| Reply::parameter("id", format!("No such job '{id}'"));
        match rest {
            ["backup"] => {
                let mut jobs: Vec<_> = self.backup_jobs.0.iter().collect();
                jobs.sort_by_key(|(_, job)| job["order"].as_u64());
                let now = seconds(self.now);
                let entries = jobs.into_iter().map(|(id, job)| {
                    let mut entry = shown(id, job);
                    let schedule = job.get("schedule").and_then(Value::as_str);
                    let next = schedule.and_then(|text| text.parse::<Schedule>().ok());
                    if let Some(next) = next.and_then(|schedule| schedule.next_after(now)) {
                        entry.insert("next-run".to_owned(), next.into());
                    }
                    entry
                });
                Ok(Reply::data(list(entries)))
            }
            ["backup", id] => match self.backup_jobs.0.get(*id) {
                Some(job) => Ok(Reply::data(shown(id, job))),
                None => Err(missing(id)),
            },
            ["backup", id, "included_volumes"] => match self.backup_jobs.0.get(*id) {
                Some(job) => Ok(Reply::data(json!({ "children": self.included(job) }))),
                None => Err(missing(id)),
            },
            ["backup-info", "not-backed-up"] => {
                let jobs = self.backup_jobs.0.values();
                let covered: BTreeSet<u32> = jobs.flat_map(|job| self.chosen(job, None)).collect();
                let open = self
                    .guests
                    .values()
                    .filter(|guest| !covered.contains(&guest.vmid()));
                Ok(Reply::data(list(open.map(|guest| {
                    let mut entry = Map::new();
                    entry.insert("vmid".to_owned(), guest.vmid().into());
                    entry.insert("type".to_owned(), guest.species.branch().into());
                    if let Some(name) = guest.name() {
                        entry.insert("name".to_owned(), name.into());
                    }
                    entry
                }))))
            }
            _ => Err(not_simulated(call)),
        }
    }

    /// The guests that options choose, of one node or of all.
    pub(in crate::simulator) fn chosen(
        &self,
        options: &Map<String, Value>,
        node: Option<&str>,
    ) -> Vec<u32> {
        let text = |name: &str| {
            options
                .get(name)
                .map(text_of)
                .filter(|text| !text.is_empty())
        };
        let vmids =
            |text: &str| -> Vec<u32> { names(text).filter_map(|name| name.parse().ok()).collect() };
        let mut found = match (text("pool"), text("vmid")) {
            (Some(pool), _) => {
                let pool = self.pools.get(&pool);
                pool.map(|pool| pool.vms.iter().copied().collect())
                    .unwrap_or_default()
            }
            (None, Some(text)) => vmids(&text),
            (None, None) if text("all").as_deref() == Some("1") => {
                let out = vmids(&text("exclude").unwrap_or_default());
                let all = self.guests.keys().copied();
                all.filter(|vmid| !out.contains(vmid)).collect()
            }
            (None, None) => Vec::new(),
        };
        let only = text("node");
        found.retain(|vmid| match self.guests.get(vmid) {
            Some(guest) => {
                node.is_none_or(|node| guest.node == node)
                    && only.as_ref().is_none_or(|only| guest.node == *only)
            }
            // One that was removed fails where it was to be backed up.
            None => true,
        });
        found.sort_unstable();
        found.dedup();
        found
    }

    fn included(&self, job: &Map<String, Value>) -> Value {
        let guests = self.chosen(job, None).into_iter().map(|vmid| {
            let Some(guest) = self.guests.get(&vmid) else {
                return json!({ "id": vmid, "type": "unknown", "leaf": 1 });
            };
            let volumes: Vec<Value> = self
                .backup_volumes(vmid)
                .into_iter()
                .map(|(slot, drive, why)| {
                    json!({
                        "id": format!("{vmid}:{slot}"), "name": drive.file, "leaf": 1,
                        "included": u8::from(why.0), "reason": why.1,
                    })
                })
                .collect();
            json!({
                "id": vmid, "type": guest.species.branch(), "name": guest.name(), "leaf": u8::from(volumes.is_empty()),
                "children": volumes,
            })
        });
        guests.collect()
    }

    /// The volumes of a guest, and whether a backup holds each.
    pub(in super::super) fn backup_volumes(
        &self,
        vmid: u32,
    ) -> Vec<(String, DriveText, (bool, &'static str))> {
        let guest = self.guests.get(&vmid);
        let species = guest.map(Guest::species).unwrap_or_default();
        let firmware = guest.and_then(|guest| guest.text("bios"));
        let ovmf = firmware.as_deref() == Some("ovmf");
        let mut found: Vec<_> = self
            .drives_of(vmid)
            .into_iter()
            .filter(|(_, drive)| drive.get("media") != Some("cdrom"))
            .map(|(slot, drive)| {
                let asked = drive.get("backup");
                let why = match species {
                    Species::Container => of_container(&slot, &drive.file, asked),
                    Species::Machine => match asked {
                        _ if slot.starts_with("efidisk") && !ovmf => {
                            (false, "efidisk but no OVMF BIOS")
                        }
                        Some("0" | "no" | "off" | "false") => (false, "backup=no"),
                        _ => (true, "backup=yes"),
                    },
                };
                (slot, drive, why)
            })
            .collect();
        match species {
            Species::Machine => found.sort_by(|a, b| a.0.cmp(&b.0)),
            Species::Container => found.sort_by_key(|(slot, ..)| mount_order(slot)),
        }
        found
    }

    pub(super) fn write_backup_job(&mut self, method: &str, rest: &[&str], call: &Call) -> Outcome {
        let done = self.change_backup_job(method, rest, call);
        self.arm_scheduler();
        done
    }

    fn change_backup_job(&mut self, method: &str, rest: &[&str], call: &Call) -> Outcome {
        let params: Vec<Param> = OPTIONS.iter().chain(&JOB).copied().collect();
        match (method, rest) {
            ("POST", []) => {
                let schedule = schedule_of(call)?.ok_or_else(|| {
                    Reply::parameter("schedule", "neither 'starttime' nor 'schedule' were set")
                })?;
                self.refuse_pool(call)?;
                let id = call.text("id").unwrap_or_else(|| self.draw_uuid());
                if self.backup_jobs.0.contains_key(&id) {
                    return Err(Reply::failed(format!("Job '{id}' already exists")));
                }
                let mut job = settings(call, &params, &["id"]);
                job.insert("schedule".to_owned(), schedule.into());
                job.entry("enabled").or_insert_with(|| 1.into());
                verify(&mut job, true)?;
                let orders = self
                    .backup_jobs
                    .0
                    .values()
                    .filter_map(|job| job["order"].as_u64());
                let next = orders.max().unwrap_or_default() + 1;
                job.insert("order".to_owned(), next.into());
                self.backup_jobs.0.insert(id, job);
                Ok(Reply::data(()))
            }
            ("PUT", [id]) => {
                let schedule = schedule_of(call)?;
                self.refuse_pool(call)?;
                let mut changes = settings(call, &params, &["id"]);
                changes.extend(schedule.map(|text| ("schedule".to_owned(), text.into())));
                let delete = call.text("delete").unwrap_or_default();
                if changes.is_empty() && names(&delete).next().is_none() {
                    return Err(Reply::failed("no options specified"));
                }
                verify(&mut changes, false)?;
                let Some(job) = self.backup_jobs.0.get(*id) else {
                    return Err(Reply::failed("no such vzdump job"));
                };
                let mut job = job.clone();
                for name in names(&delete) {
                    let known = OPTIONS.iter().any(|option| option.name == name);
                    if !known && !["comment", "repeat-missed"].contains(&name) {
                        let why = format!("unknown option '{name}'");
                        return Err(Reply::parameter("delete", why));
                    }
                    job.shift_remove(name);
                }
                job.extend(changes.clone());
                // One choice of guests takes the place of the others.
                let gone: &[&str] = if changes.contains_key("vmid") {
                    &["all", "exclude", "pool"]
                } else if changes.get("all") == Some(&1.into()) {
                    &["vmid", "pool"]
                } else if job.contains_key("pool") {
                    &["vmid", "all", "exclude"]
                } else {
                    &[]
                };
                for name in gone {
                    job.shift_remove(*name);
                }
                verify(&mut job, true)?;
                self.backup_jobs.0.insert((*id).to_owned(), job);
                Ok(Reply::data(()))
            }
            ("DELETE", [id]) => match self.backup_jobs.0.remove(*id) {
                Some(_) => Ok(Reply::data(())),
                None => Err(Reply::parameter("id", format!("No such job '{id}'"))),
            },
            _ => Err(not_simulated(call)),
        }
    }

    fn refuse_pool(&self, call: &Call) -> Result<(), Reply> {
        match call.text("pool") {
            Some(pool) if !self.pools.contains_key(&pool) => Err(Reply::parameter(
                "pool",
                format!("pool '{pool}' does not exist"),
            )),
            _ => Ok(()),
        }
    }

    /// A guest is gone: jobs that name it do so no more.
    pub(in super::super) fn forget_in_jobs(&mut self, vmid: u32) {
        let id = vmid.to_string();
        self.backup_jobs.0.retain(|_, job| {
            for name in ["vmid", "exclude"] {
                let Some(text) = job.get(name).map(text_of) else {
                    continue;
                };
                let left: Vec<&str> = names(&text).filter(|have| *have != id).collect();
                if left.is_empty() {
                    job.shift_remove(name);
                } else {
                    let left = left.join(",");
                    job.insert(name.to_owned(), left.into());
                }
            }
            // A job without guests is none.
            ["vmid", "all", "pool"]
                .iter()
                .any(|name| job.contains_key(*name))
        });
    }
}
