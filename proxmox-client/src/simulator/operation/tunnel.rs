//! The end of a migration between clusters at which guests arrive: a task that does what the other cluster tells it.

use std::collections::BTreeSet;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::{Caller, Operation};
use crate::simulator::answer::Reply;
use crate::simulator::engine::{State, Step};
use crate::simulator::guest::{Guest, Power, Species};
use crate::simulator::http::Call;
use crate::simulator::peer::{Command, Heard, Incoming};
use crate::simulator::rights::denied;
use crate::simulator::route::Firewall;
use crate::simulator::task::seconds;
use crate::simulator::volume::Volume;
use crate::simulator::world::World;

/// A guest that is arriving.
#[derive(Serialize, Deserialize, Debug, Clone)]
pub(in crate::simulator) struct Tunnel {
    species: Species,
    vmid: u32,
    caller: Caller,
    /// The lock that its configuration must have.
    lock: Option<String>,
    /// Volumes that it made.
    made: BTreeSet<String>,
}

impl Tunnel {
    /// For a guest whose empty configuration is locked for its creation.
    pub(in crate::simulator) fn new(species: Species, vmid: u32, caller: &Caller) -> Self {
        Self {
            species,
            vmid,
            caller: caller.clone(),
            lock: Some("create".to_owned()),
            made: BTreeSet::new(),
        }
    }
}

/// The look at which nobody has connected.
const UNMET: u8 = 1;
/// How long it waits for the other end to connect.
const PATIENCE: Duration = Duration::from_secs(300);

/// The version of what both ends say to each other.
pub(super) const VERSION: u64 = 2;

impl World {
    /// A tunnel waits for the other end, or gives up.
    pub(super) fn check_tunnel(&mut self, job: u64, work: &Tunnel, stage: u8) -> Result<(), Reply> {
        if stage == UNMET {
            self.log(job, "Failed to accept tunnel connection - got timeout");
            self.log(job, "Removing tunnel socket..");
            self.log(job, "Removing temporary VM config..");
            self.forget_guest(work.vmid);
            return Err(Reply::failed("Exiting mtunnel"));
        }
        self.log(job, "mtunnel started");
        if let Some(job) = self.engine.jobs.get_mut(&job) {
            job.steps.push_front(Step::Check(UNMET));
            job.steps.push_front(Step::Work(PATIENCE));
        }
        Ok(())
    }

    /// The job of a tunnel, by its task.
    fn tunnel_job(&self, upid: &str) -> Option<(u64, Tunnel)> {
        let task = self.tasks.iter().position(|task| task.upid == upid)?;
        let job = self.job_of(task)?;
        match &self.engine.jobs.get(&job)?.operation {
            Operation::Tunnel(work) => Some((job, (**work).clone())),
            _ => None,
        }
    }

    /// The other end breaks the connection; what has arrived stays as it is.
    pub(in crate::simulator) fn hang_up(&mut self, upid: &str) {
        if let Some((job, _)) = self.tunnel_job(upid) {
            self.end_job(job, "mtunnel exited unexpectedly");
        }
    }

    /// Does what the other end tells it, and says what came of it.
    pub(in crate::simulator) fn tunnel(&mut self, upid: &str, command: &Command) -> Heard {
        let Some((job, mut work)) = self.tunnel_job(upid) else {
            return Heard::Nothing("connection closed".to_owned());
        };
        if let Some(job) = self.engine.jobs.get_mut(&job) {
            // It is connected: from now on it waits for commands alone.
            job.steps = [Step::Finish].into();
            job.state = State::Absent;
        }
        let name = command.name();
        self.log(job, format!("received command '{name}'"));
        let told = self.obey(job, &mut work, command);
        self.note_changes();
        let leaves = matches!(command, Command::Quit { .. });
        if let Some(job) = self.engine.jobs.get_mut(&job) {
            job.operation = Operation::Tunnel(Box::new(work));
            if leaves {
                job.state = State::Ready;
            }
        }
        Heard::Told(
            told.map_err(|refusal| {
                format!("failed to handle '{name}' command - {}", refusal.reason)
            }),
        )
    }

    fn obey(&mut self, job: u64, work: &mut Tunnel, command: &Command) -> Result<Value, Reply> {
        let vmid = work.vmid;
        let guest = self.require(vmid)?;
        if work.lock.is_some() && guest.lock() != work.lock {
            return Err(Reply::failed(
                "Encountered wrong lock - aborting mtunnel command handling.",
            ));
        }
        match command {
            Command::Version => return Ok(json!({ "api": VERSION, "age": 0 })),
            Command::Import(incoming) => {
                let volid = self.take_in(work, incoming, false)?;
                return Ok(json!({ "volid": volid, "format": incoming.format }));
            }
            Command::Disk(incoming) => {
                let volid = self.take_in(work, incoming, true)?;
                return Ok(json!({ "volid": volid }));
            }
            Command::Config { guest, firewall } => {
                self.adopt_guest(work, guest, firewall.as_deref())?;
            }
            Command::Start => {
                let since = self.now;
                let guest = self.guest_mut(vmid)?;
                guest.power = Power::On { since };
                // A machine waits for the memory of the one that it takes over from.
                guest.paused = work.species == Species::Machine;
            }
            Command::Resume => {
                let guest = self.guest_mut(vmid)?;
                if !guest.is_on() {
                    return Err(Reply::failed(format!("VM {vmid} not running")));
                }
                guest.paused = false;
            }
            Command::NbdStop => {}
            Command::Stop => self.guest_mut(vmid)?.go_off(),
            Command::Unlock => {
                self.unlock_config(vmid);
                work.lock = None;
            }
            Command::Quit { cleanup } => {
                if *cleanup {
                    for volid in &work.made {
                        self.log(job, format!("freeing volume '{volid}' as part of cleanup"));
                        self.drop_volume(volid);
                    }
                    self.forget_guest(vmid);
                }
                self.log(
                    job,
                    "switching to exit-mode, waiting for client to disconnect",
                );
            }
        }
        Ok(json!({}))
    }

    /// Whether volumes of guests that arrive may be put on a storage.
    pub(in crate::simulator) fn refuse_arrival(
        &self,
        species: Species,
        storage: &str,
        node: &str,
        caller: &Caller,
    ) -> Result<(), Reply> {
        let Some(known) = self.storages.get(storage) else {
            return Err(Reply::failed(format!("storage '{storage}' does not exist")));
        };
        known.refuse(node).map_err(Reply::failed)?;
        let path = format!("/storage/{storage}");
        if !caller.is_root()
            && !self
                .directory()
                .rights_of(&caller.full())
                .has(&path, "Datastore.AllocateSpace")
        {
            return Err(denied(&format!("{path}, Datastore.AllocateSpace")));
        }
        if !known.content.iter().any(|kind| kind == species.content()) {
            let what = match species {
                Species::Machine => "vm images",
                Species::Container => "CT rootdirs",
            };
            return Err(Reply::failed(format!(
                "storage '{storage}' does not support {what}"
            )));
        }
        Ok(())
    }

    /// Makes the volume that another is copied into; gives its name. What QEMU writes to may have any format.
    fn take_in(
        &mut self,
        work: &mut Tunnel,
        incoming: &Incoming,
        converts: bool,
    ) -> Result<String, Reply> {
        let Incoming {
            storage,
            stem,
            format,
            size,
            used,
        } = incoming;
        let node = self.require(work.vmid)?.node.clone();
        self.refuse_arrival(work.species, storage, &node, &work.caller)?;
        let created = seconds(self.now);
        let Some(known) = self.storages.get_mut(storage) else {
            return Err(Reply::failed(format!("storage '{storage}' does not exist")));
        };
        let packed = format != "raw";
        if packed && !converts && !known.is_files() {
            return Err(Reply::failed(format!(
                "no matching import/export format found for storage '{storage}'"
            )));
        }
        if known.available() < *used {
            return Err(Reply::failed("No space left on device"));
        }
        let format = if known.is_files() { format } else { "raw" };
        let wished = format!("{storage}:{}", known.image_name(work.vmid, stem, format));
        let volid = match converts || known.volumes.contains_key(&wished) {
            true => format!("{storage}:{}", known.next_image(work.vmid, format, false)),
            false => wished,
        };
        let volume = Volume {
            content: work.species.content().to_owned(),
            format: format.to_owned(),
            size: *size,
            disk_size: None,
            used: *used,
            ctime: created,
            vmid: Some(work.vmid),
            parent: None,
        };
        known.volumes.insert(volid.clone(), volume);
        work.made.insert(volid.clone());
        Ok(volid)
    }

    /// The guest is what it was at the other end, under its id here, and locked until it is whole.
    fn adopt_guest(
        &mut self,
        work: &mut Tunnel,
        arriving: &Guest,
        firewall: Option<&Firewall>,
    ) -> Result<(), Reply> {
        let node = self.require(work.vmid)?.node.clone();
        let mut guest = arriving.clone();
        guest.vmid = work.vmid;
        guest.node.clone_from(&node);
        guest.power = Power::Off;
        self.refuse_arriving_keys(work, &node, &guest.config)?;
        guest.config.insert("lock".to_owned(), "migrate".into());
        self.guests.insert(work.vmid, guest);
        work.lock = Some("migrate".to_owned());
        if let Some(firewall) = firewall {
            self.firewalls
                .insert(work.vmid.to_string(), firewall.clone());
        }
        Ok(())
    }

    /// The configuration is set as if the owner of the token had asked for each of its keys.
    fn refuse_arriving_keys(
        &self,
        work: &Tunnel,
        node: &str,
        config: &Map<String, Value>,
    ) -> Result<(), Reply> {
        if work.caller.is_root() {
            return Ok(());
        }
        let vmid = work.vmid.to_string();
        let segments = ["nodes", node, work.species.branch(), &vmid, "config"].map(str::to_owned);
        let call = Call {
            method: "PUT".to_owned(),
            path: format!("/{}", segments.join("/")),
            segments: segments.to_vec(),
            params: config.clone(),
            file: None,
        };
        let rights = self.directory().rights_of(&work.caller.full());
        self.refuse_call(&rights, &call, &work.caller)
    }
}
