//! Guests on their way to another cluster: what their own cluster does.

mod retreat;
mod volume;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::tunnel::VERSION;
use super::{Caller, Operation, StorageMap, is_indexed, lock_guest};
use crate::simulator::answer::Reply;
use crate::simulator::engine::{Step, Verdict};
use crate::simulator::guest::{Guest, Species, text_of};
use crate::simulator::peer::{Ask, Command, Endpoint, Heard};
use crate::simulator::schema::sub_key;
use crate::simulator::world::World;

use self::volume::Leaving;

/// A guest on its way to another cluster.
#[derive(Serialize, Deserialize, Debug, Clone)]
pub(in crate::simulator) struct RemoteMigration {
    pub(in crate::simulator) species: Species,
    pub(in crate::simulator) vmid: u32,
    pub(in crate::simulator) endpoint: Endpoint,
    pub(in crate::simulator) target: u32,
    /// The node at the other end, once it has told its name.
    pub(in crate::simulator) node: String,
    pub(in crate::simulator) storages: StorageMap,
    pub(in crate::simulator) bridges: StorageMap,
    pub(in crate::simulator) online: bool,
    /// A container that runs is shut down within this time and started there.
    pub(in crate::simulator) restart: Option<Duration>,
    pub(in crate::simulator) delete: bool,
    /// Bytes per second, if the caller limits the copy.
    pub(in crate::simulator) limit: Option<u64>,
    progress: Progress,
}

/// How far it has come.
#[derive(Serialize, Deserialize, Debug, Clone, Default)]
struct Progress {
    phase: Phase,
    /// The task at the other end, while the connection to it stands.
    tunnel: Option<String>,
    /// Whether the guest ran when it began.
    was_on: bool,
    /// Volumes that are to be copied while nothing writes to them.
    cold: Vec<Leaving>,
    /// Disks that are to be copied while the machine runs.
    hot: Vec<Leaving>,
    /// Disks that have a place at the other end and are written to both ends.
    mirrored: Vec<Leaving>,
    /// What volumes are called at the other end.
    moved: BTreeMap<String, String>,
    errors: bool,
}

#[derive(Serialize, Deserialize, Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Phase {
    /// Nothing was changed here.
    #[default]
    Prepare,
    /// The guest is locked, and volumes are copied.
    Copy,
    /// The machine runs here, and another one there waits for its memory.
    Live,
    /// The guest is the other cluster's.
    Gone,
    /// It was given up.
    Over,
}

impl RemoteMigration {
    /// For a guest that shall have another id there, by default nothing else.
    pub(in crate::simulator) fn new(
        species: Species,
        vmid: u32,
        endpoint: Endpoint,
        target: u32,
    ) -> Self {
        Self {
            species,
            vmid,
            endpoint,
            target,
            node: String::new(),
            storages: StorageMap::default(),
            bridges: StorageMap::default(),
            online: false,
            restart: None,
            delete: false,
            limit: None,
            progress: Progress::default(),
        }
    }

    /// The connection, if it stands.
    pub(in crate::simulator) fn into_tunnel(self) -> Option<(Endpoint, String)> {
        Some((self.endpoint, self.progress.tunnel?))
    }
}

// The looks of the task.
const OPENED: u8 = 1;
const VERSIONED: u8 = 2;
const LEAVE: u8 = 3;
const STUCK: u8 = 4;
const NEXT: u8 = 5;
const IMPORTED: u8 = 6;
const COPIED: u8 = 7;
const ALLOCATED: u8 = 8;
const CONFIGURED: u8 = 9;
const STARTED: u8 = 10;
const SWITCH: u8 = 11;
const DETACHED: u8 = 12;
const RESUMED: u8 = 13;
const UNLOCKED: u8 = 14;
const RESTARTED: u8 = 15;
const LEFT: u8 = 16;
/// A part of the disks is copied: the first, second, … of [`PARTS`].
const DISKS: u8 = 20;
/// A part of the memory is copied.
const MEMORY: u8 = 30;
/// In how many parts a copy is told.
const PARTS: u8 = 4;

impl World {
    /// The request asks the other cluster which of its nodes it has reached.
    pub(super) fn find_remote_node(
        &mut self,
        job: u64,
        work: &RemoteMigration,
        stage: u8,
    ) -> Result<(), Reply> {
        if stage == 0 {
            let ask = Ask::Call {
                method: "GET".to_owned(),
                path: "/cluster/status".to_owned(),
                params: Map::new(),
            };
            self.send_errand(job, &work.endpoint, ask, OPENED);
            return Ok(());
        }
        let status = answer(self.heard(job)).map_err(Reply::failed)?;
        let entries = status.as_array().into_iter().flatten();
        let mut nodes = entries.filter(|entry| entry["type"] == "node" && entry["local"] == 1);
        let name = nodes.next().and_then(|entry| entry["name"].as_str());
        let name = name.ok_or_else(|| Reply::failed("couldn't determine endpoint's node name"))?;
        if let Some(job) = self.engine.jobs.get_mut(&job)
            && let Operation::ClaimRemote { work, .. } = &mut job.operation
        {
            name.clone_into(&mut work.node);
        }
        Ok(())
    }

    /// The node at the other end is known: the task begins.
    pub(super) fn start_remote(
        &mut self,
        work: &RemoteMigration,
        caller: &Caller,
        verdict: &Verdict,
    ) -> Result<Reply, Reply> {
        let (species, vmid) = (work.species, work.vmid);
        let node = self.require(vmid)?.node.clone();
        let kind = match species {
            Species::Machine => "qmigrate",
            Species::Container => "vzmigrate",
        };
        let steps = vec![lock_guest(species, vmid), Step::Check(0), Step::Finish];
        let operation = Operation::RemoteMigrate(Box::new(work.clone()));
        self.engine.verdict_for_next = verdict.clone();
        Ok(self.start_task(&node, kind, &vmid.to_string(), caller, operation, steps))
    }

    fn remote(&mut self, job: u64) -> Option<&mut RemoteMigration> {
        match &mut self.engine.jobs.get_mut(&job)?.operation {
            Operation::RemoteMigrate(work) => Some(work),
            _ => None,
        }
    }

    fn progress(&mut self, job: u64, change: impl FnOnce(&mut Progress)) {
        if let Some(work) = self.remote(job) {
            change(&mut work.progress);
        }
    }

    /// The task goes on with these steps.
    fn go_on(&mut self, job: u64, steps: impl IntoIterator<Item = Step>) {
        if let Some(job) = self.engine.jobs.get_mut(&job) {
            let steps: Vec<Step> = steps.into_iter().collect();
            for step in steps.into_iter().rev() {
                job.steps.push_front(step);
            }
        }
    }

    /// Tells the other end something, and looks at what it says in the check `next`.
    fn command(&mut self, job: u64, work: &RemoteMigration, command: Command, next: u8) {
        let line = format!(
            "tunnel: -> sending command \"{}\" to remote",
            command.name()
        );
        self.log(job, line);
        if let Some(upid) = work.progress.tunnel.clone() {
            let ask = Ask::Tunnel { upid, command };
            self.send_errand(job, &work.endpoint, ask, next);
        }
    }

    /// What the other end says to a command.
    fn told(&mut self, job: u64, command: &str) -> Result<Value, String> {
        match self.heard(job) {
            Heard::Told(Ok(value)) => {
                self.log(job, "tunnel: <- got reply");
                Ok(value)
            }
            Heard::Told(Err(why)) => Err(format!(
                "error - tunnel command '{{\"cmd\":\"{command}\"}}' failed - {why}"
            )),
            Heard::Reply(_) => Err("reading from tunnel failed: no command".to_owned()),
            Heard::Nothing(why) => Err(format!("reading from tunnel failed: {why}")),
        }
    }

    pub(super) fn check_remote(
        &mut self,
        job: u64,
        work: &RemoteMigration,
        stage: u8,
    ) -> Result<(), Reply> {
        let looked = match stage {
            OPENED => self.remote_opened(job, work),
            VERSIONED => self.remote_versioned(job, work),
            STUCK => Err("container did not stop".to_owned()),
            LEAVE => self.remote_leaves(job, work),
            NEXT => self.remote_next(job, work),
            IMPORTED => self.remote_imported(job, work),
            COPIED => self.remote_copied(job, work),
            ALLOCATED => self.remote_allocated(job, work),
            CONFIGURED => self.remote_configured(job, work),
            STARTED => self.remote_started(job, work),
            SWITCH => self.remote_switches(job, work),
            DETACHED => self.remote_detached(job, work),
            RESUMED => self.remote_resumed(job, work),
            UNLOCKED => self.remote_unlocked(job, work),
            RESTARTED => self.remote_restarted(job, work),
            LEFT => self.remote_left(job),
            part if part >= MEMORY => self.remote_memory(job, work, part - MEMORY),
            part if part >= DISKS => self.remote_disks(job, work, part - DISKS),
            _ => self.remote_begins(job, work),
        };
        looked.map_err(|why| self.give_up_remote(job, &why))
    }

    /// Everything that can be looked at before anything is changed; then the other end is asked to take it.
    fn remote_begins(&mut self, job: u64, work: &RemoteMigration) -> Result<(), String> {
        let guest = self.require_unlocked(work.vmid).map_err(|no| no.reason)?;
        let on = guest.is_on();
        match work.species {
            Species::Machine if on && !work.online => {
                return Err("can't migrate running VM without --online".to_owned());
            }
            Species::Container if on && work.online => {
                return Err("lxc live migration is currently not implemented".to_owned());
            }
            Species::Container if on && work.restart.is_none() => {
                return Err("running container can only be migrated in restart mode".to_owned());
            }
            _ => {}
        }
        let devices = devices_of(guest);
        if !devices.is_empty() {
            let devices = devices.join(", ");
            return Err(format!(
                "can't migrate VM which uses local devices: {devices}"
            ));
        }
        let bridges: BTreeSet<String> = cards_of(guest)
            .map(|(_, bridge)| work.bridges.of(&bridge).to_owned())
            .collect();
        let storages = self.storages_there(work)?;
        if on && work.species == Species::Machine {
            let line = "conntrack state migration not supported or disabled, active connections might get dropped";
            self.tell(job, line);
        }
        let params = json!({
            "storages": storages.into_iter().collect::<Vec<_>>().join(","),
            "bridges": bridges.into_iter().collect::<Vec<_>>().join(","),
        });
        let Value::Object(mut params) = params else {
            return Ok(());
        };
        params.retain(|_, list| *list != "");
        let (node, branch, target) = (&work.node, work.species.branch(), work.target);
        let ask = Ask::Call {
            method: "POST".to_owned(),
            path: format!("/nodes/{node}/{branch}/{target}/mtunnel"),
            params,
        };
        self.send_errand(job, &work.endpoint, ask, OPENED);
        Ok(())
    }

    fn remote_opened(&mut self, job: u64, work: &RemoteMigration) -> Result<(), String> {
        let data = answer(self.heard(job))?;
        let upid = data["upid"].as_str().unwrap_or_default().to_owned();
        self.tell(job, format!("remote: started tunnel worker '{upid}'"));
        let mut work = work.clone();
        work.progress.tunnel = Some(upid.clone());
        self.progress(job, |progress| progress.tunnel = Some(upid));
        self.command(job, &work, Command::Version, VERSIONED);
        Ok(())
    }

    fn remote_versioned(&mut self, job: u64, work: &RemoteMigration) -> Result<(), String> {
        let told = self.told(job, "version")?;
        let there = told["api"].as_u64().unwrap_or_default();
        let least = there.saturating_sub(told["age"].as_u64().unwrap_or_default());
        self.tell(job, format!("local WS tunnel version: {VERSION}"));
        self.tell(job, format!("remote WS tunnel version: {there}"));
        self.tell(job, format!("minimum required WS tunnel version: {least}"));
        match work.species {
            Species::Machine => self.log(job, "websocket tunnel started"),
            Species::Container => self.tell(job, "websocket tunnel started"),
        }
        let vmid = work.vmid;
        let on = self.require(vmid).map_err(|no| no.reason)?.is_on();
        let steps = match work.restart.filter(|_| on) {
            None => vec![Step::Check(LEAVE)],
            Some(limit) => {
                self.tell(job, format!("shutdown CT {vmid}"));
                match self.listens(vmid, self.now) {
                    true => vec![Step::Work(self.durations.shutdown), Step::Check(LEAVE)],
                    false => vec![Step::Work(limit), Step::Check(STUCK)],
                }
            }
        };
        self.go_on(job, steps);
        Ok(())
    }

    /// The guest is locked, and its volumes are looked at.
    fn remote_leaves(&mut self, job: u64, work: &RemoteMigration) -> Result<(), String> {
        let vmid = work.vmid;
        let noun = work.species.noun();
        let guest = self.guest_mut(vmid).map_err(|no| no.reason)?;
        let was_on = guest.is_on();
        if work.species == Species::Container {
            guest.go_off();
        }
        guest.config.insert("lock".to_owned(), "migrate".into());
        self.progress(job, |progress| {
            progress.phase = Phase::Copy;
            progress.was_on = was_on;
        });
        let (node, host) = (&work.node, &work.endpoint.host);
        let line = format!("starting migration of {noun} {vmid} to node '{node}' ({host})");
        self.tell(job, line);
        let (cold, hot) = self.find_leaving(job, work)?;
        if work.species == Species::Machine && !cold.is_empty() {
            self.tell(job, "copying local disk images");
        }
        self.progress(job, |progress| (progress.cold, progress.hot) = (cold, hot));
        self.go_on(job, [Step::Check(NEXT)]);
        Ok(())
    }

    /// All volumes have a place: the other end gets the configuration.
    fn send_config(&mut self, job: u64, work: &RemoteMigration) -> Result<(), String> {
        let guest = self.require(work.vmid).map_err(|no| no.reason)?;
        let mut leaving = guest.clone();
        for key in ["lock", "parent"] {
            leaving.config.shift_remove(key);
        }
        leaving.pending.clear();
        leaving.snapshots.clear();
        leaving.parent = None;
        leaving.head_start = leaving.awake_for(self.now).unwrap_or_default();
        if !leaving.is_on() {
            leaving.processes.clear();
        }
        let mut mapped = Vec::new();
        let cards: Vec<(String, String)> = cards_of(guest).collect();
        for (card, bridge) in cards {
            let there = work.bridges.of(&bridge);
            mapped.push((there.to_owned(), card.clone(), bridge.clone()));
            let text = leaving.text(&card).unwrap_or_default();
            let parts = text.split(',').map(|part| match part.split_once('=') {
                Some(("bridge", _)) => format!("bridge={there}"),
                _ => part.to_owned(),
            });
            let text: Vec<String> = parts.collect();
            leaving.config.insert(card, text.join(",").into());
        }
        volume::rename(&mut leaving.config, &work.progress.moved);
        mapped.sort();
        for (there, card, bridge) in mapped {
            self.tell(job, format!("mapped: {card} from {bridge} to {there}"));
        }
        let firewall = self.firewalls.get(&work.vmid.to_string());
        let command = Command::Config {
            guest: Box::new(leaving),
            firewall: firewall.cloned().map(Box::new),
        };
        self.command(job, work, command, CONFIGURED);
        Ok(())
    }

    fn remote_configured(&mut self, job: u64, work: &RemoteMigration) -> Result<(), String> {
        self.told(job, "config")?;
        let live = work.progress.was_on && work.species == Species::Machine;
        self.progress(job, |progress| {
            progress.phase = if live { Phase::Live } else { Phase::Gone };
        });
        match live {
            true => self.command(job, work, Command::Start, STARTED),
            false => self.command(job, work, Command::Unlock, UNLOCKED),
        }
        Ok(())
    }

    /// The other machine has everything: this one stops, that one goes on.
    fn remote_switches(&mut self, job: u64, work: &RemoteMigration) -> Result<(), String> {
        self.tell(job, "migration status: completed");
        match work.progress.mirrored.is_empty() {
            true => self.remote_resumes(job, work),
            false => {
                let line = "stopping NBD storage migration server on target.";
                self.tell(job, line);
                self.progress(job, |progress| progress.phase = Phase::Gone);
                self.command(job, work, Command::NbdStop, DETACHED);
                Ok(())
            }
        }
    }

    fn remote_detached(&mut self, job: u64, work: &RemoteMigration) -> Result<(), String> {
        if let Err(why) = self.told(job, "nbdstop") {
            self.note_problem(job, &why);
        }
        self.remote_resumes(job, work)
    }

    fn remote_resumes(&mut self, job: u64, work: &RemoteMigration) -> Result<(), String> {
        self.progress(job, |progress| progress.phase = Phase::Gone);
        let guest = self.require(work.vmid).map_err(|no| no.reason)?;
        match guest.paused {
            // It was paused before, and stays so there.
            true => self.remote_stops(job, work),
            false => self.command(job, work, Command::Resume, RESUMED),
        }
        Ok(())
    }

    fn remote_resumed(&mut self, job: u64, work: &RemoteMigration) -> Result<(), String> {
        if let Err(why) = self.told(job, "resume") {
            self.note_problem(job, &why);
        }
        self.remote_stops(job, work);
        Ok(())
    }

    /// The machine here is over.
    fn remote_stops(&mut self, job: u64, work: &RemoteMigration) {
        if let Some(guest) = self.guests.get_mut(&work.vmid) {
            guest.go_off();
        }
        self.command(job, work, Command::Unlock, UNLOCKED);
    }

    fn remote_unlocked(&mut self, job: u64, work: &RemoteMigration) -> Result<(), String> {
        if let Err(why) = self.told(job, "unlock") {
            let why = match work.species {
                // Nothing follows: the machine stays here too, whatever was asked for.
                Species::Machine => return Err(why),
                Species::Container => format!("Failed to clear migrate lock - {why}"),
            };
            self.tell_error(job, &why);
        }
        if work.species == Species::Container && work.restart.is_some() && work.progress.was_on {
            self.tell(job, "start container on target node");
            self.command(job, work, Command::Start, RESTARTED);
            return Ok(());
        }
        self.command(job, work, Command::Quit { cleanup: false }, LEFT);
        Ok(())
    }

    fn remote_restarted(&mut self, job: u64, work: &RemoteMigration) -> Result<(), String> {
        self.told(job, "start")?;
        self.command(job, work, Command::Quit { cleanup: false }, LEFT);
        Ok(())
    }

    fn remote_left(&mut self, job: u64) -> Result<(), String> {
        let told = self.told(job, "quit");
        self.progress(job, |progress| progress.tunnel = None);
        told.map(|_| ())
    }

    /// It is there. Whoever asked for it is rid of the guest here.
    pub(super) fn end_remote(&mut self, job: u64, work: &RemoteMigration) -> Result<(), Reply> {
        if work.delete {
            self.forget_guest(work.vmid);
        }
        if work.progress.errors {
            return Err(self.finish_with_problems(job));
        }
        let duration = self.told_duration(job);
        self.tell(
            job,
            format!("migration finished successfully (duration {duration})"),
        );
        Ok(())
    }

    fn note_problem(&mut self, job: u64, why: &str) {
        self.tell_error(job, why);
        self.progress(job, |progress| progress.errors = true);
    }

    fn finish_with_problems(&mut self, job: u64) -> Reply {
        let duration = self.told_duration(job);
        self.tell_error(
            job,
            &format!("migration finished with problems (duration {duration})"),
        );
        Reply::failed("migration problems")
    }

    fn tell_error(&mut self, job: u64, text: &str) {
        for line in text.lines() {
            self.tell(job, format!("ERROR: {line}"));
        }
    }
}

/// What a request to the other cluster gave, or why it gave nothing.
fn answer(heard: Heard) -> Result<Value, String> {
    let reply = match heard {
        Heard::Reply(reply) => reply,
        Heard::Nothing(why) => return Err(format!("500 {why}")),
        Heard::Told(_) => return Err("500 no answer".to_owned()),
    };
    let body: Value = serde_json::from_slice(&reply.body).unwrap_or_default();
    if reply.status == 200 {
        return Ok(body["data"].clone());
    }
    let mut text = format!("{} {}", reply.status, reply.reason);
    for (name, why) in body["errors"].as_object().into_iter().flatten() {
        text.push_str(&format!("\n{name}: {}", text_of(why).trim_end()));
    }
    Err(text)
}

/// The network cards of a guest with the bridges that they are plugged into.
fn cards_of(guest: &Guest) -> impl Iterator<Item = (String, String)> + '_ {
    let cards = guest
        .config
        .iter()
        .filter(|(key, _)| is_indexed(key, "net"));
    cards.filter_map(|(key, value)| {
        let text = text_of(value);
        let bridge = sub_key(&text, "bridge")?;
        Some((key.clone(), bridge.to_owned()))
    })
}

/// The devices of its node that a machine uses.
fn devices_of(guest: &Guest) -> Vec<String> {
    const KINDS: [&str; 5] = ["usb", "hostpci", "serial", "parallel", "virtiofs"];
    if guest.species == Species::Container {
        return Vec::new();
    }
    let bound = |(key, value): &(&String, &Value)| {
        let text = text_of(value);
        let free = key.starts_with("usb") && text.split(',').next() == Some("spice")
            || key.starts_with("serial") && text == "socket";
        !free && KINDS.iter().any(|kind| is_indexed(key, kind))
    };
    let config: &Map<String, Value> = &guest.config;
    config
        .iter()
        .filter(bound)
        .map(|(key, _)| key.clone())
        .collect()
}
