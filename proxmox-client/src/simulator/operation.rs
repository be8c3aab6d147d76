//! What requests and tasks do to the world: when they may, what they change, what they undo.

mod acme;
mod backup;
mod clone;
mod config;
mod container;
mod disk;
mod lifecycle;
mod migration;
mod power;
mod reassign;
mod relocation;
mod remote;
mod suspend;
mod task;
mod transfer;
mod tunnel;

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::answer::Reply;
use super::engine::{Patience, Step, Verdict};
use super::guest::{Guest, Species};
use super::http::{Arrival, Call};
use super::route::{Batch, Bulk, CephWork, DiskWork};
use super::volume::Volume;
use super::world::World;

pub(super) use acme::AcmeWork;
pub(super) use backup::{ContainerRestore, Dump, Mode, Restore, read_name};
pub(super) use config::{is_drive, is_indexed};
pub(super) use container::{mount_kind, mount_order};
pub(super) use disk::{DriveText, read_size};
pub(super) use migration::{Migration, StorageMap};
pub(super) use reassign::Reassign;
pub(super) use remote::RemoteMigration;
pub(super) use tunnel::Tunnel;

/// Who asks.
#[derive(Serialize, Deserialize, Debug, Clone, PartialEq, Eq)]
pub(super) struct Caller {
    pub(super) user: String,
    pub(super) token: Option<String>,
}

impl Caller {
    /// `user@realm` or `user@realm!token`.
    pub(super) fn full(&self) -> String {
        match &self.token {
            Some(token) => format!("{}!{token}", self.user),
            None => self.user.clone(),
        }
    }

    /// Only the user itself counts as root, none of its tokens.
    pub(super) fn is_root(&self) -> bool {
        self.user == "root@pam" && self.token.is_none()
    }
}

/// Work in progress.
#[derive(Serialize, Deserialize, Debug, Clone)]
pub(super) enum Operation {
    /// A request in the hands of the daemon.
    Serve(Box<Served>),
    /// The part of a creation that its request waits for.
    ClaimId {
        species: Species,
        vmid: u32,
        node: String,
        params: Map<String, Value>,
        caller: Caller,
    },
    Create {
        vmid: u32,
        params: Map<String, Value>,
    },
    /// The part of a container's clone that its request waits for.
    ClaimClone {
        work: Box<CloneWork>,
        caller: Caller,
    },
    SetConfig {
        vmid: u32,
        params: Map<String, Value>,
        caller: Caller,
    },
    SetConfigTask {
        node: String,
        vmid: u32,
        params: Map<String, Value>,
        caller: Caller,
    },
    /// Work that its request did already.
    Told {
        line: String,
    },
    Start {
        vmid: u32,
    },
    Stop {
        vmid: u32,
    },
    /// Backs up guests.
    Dump(Box<Dump>),
    /// Makes a virtual machine out of a backup.
    Restore(Box<Restore>),
    /// The part of a container's restoration that its request waits for.
    ClaimRestore {
        work: Box<ContainerRestore>,
        caller: Caller,
    },
    /// Makes a container out of a backup.
    RestoreContainer(Box<ContainerRestore>),
    /// Removes backups that no rule keeps.
    Prune {
        storage: String,
        keep: Option<String>,
        vmid: Option<u32>,
        kind: Option<String>,
    },
    /// A round of the HA manager for one resource.
    HaRound {
        sid: String,
    },
    /// A minute at which backup jobs may be due, in seconds since 1970.
    JobRound {
        at: u64,
    },
    /// Moves a disk to another storage.
    MoveDisk(Box<Move>),
    /// Gives a disk to another guest.
    Reassign(Box<Reassign>),
    /// Moves a guest to another node.
    Migrate(Box<Migration>),
    /// The part of a migration to another cluster that its request waits for.
    ClaimRemote {
        work: Box<RemoteMigration>,
        caller: Caller,
        /// What a fault wants of the task.
        verdict: Verdict,
    },
    /// Moves a guest to another cluster.
    RemoteMigrate(Box<RemoteMigration>),
    /// Takes in a guest of another cluster.
    Tunnel(Box<Tunnel>),
    /// Deals with an authority that signs certificates.
    Acme(Box<AcmeWork>),
    /// Changes a file that the cluster shares, within its request.
    Write {
        call: Box<Call>,
        caller: Caller,
    },
    Shutdown {
        vmid: u32,
        force: bool,
        /// How long the guest may take.
        limit: Duration,
    },
    Reboot {
        vmid: u32,
    },
    Reset {
        vmid: u32,
    },
    Pause {
        vmid: u32,
        on: bool,
    },
    /// Writes a machine's memory to a storage and turns it off.
    SuspendToDisk {
        vmid: u32,
        storage: Option<String>,
    },
    /// Writes a container's processes to its node's disk and turns it off.
    Checkpoint {
        vmid: u32,
    },
    /// Lets a container's processes go on.
    Awaken {
        vmid: u32,
    },
    Delete {
        vmid: u32,
        /// A container that runs is stopped first.
        force: bool,
        /// Whether its traces in jobs and HA go too.
        purge: bool,
    },
    Resize {
        vmid: u32,
        disk: String,
        size: String,
        digest: Option<String>,
    },
    Snapshot {
        vmid: u32,
        name: String,
        description: Option<String>,
    },
    DeleteSnapshot {
        vmid: u32,
        name: String,
    },
    Rollback {
        vmid: u32,
        name: String,
        start: bool,
    },
    Template {
        vmid: u32,
        /// The one disk of a template that becomes a base too.
        disk: Option<String>,
    },
    Clone(Box<CloneWork>),
    Download {
        volid: String,
        url: String,
        content: String,
        checksum: Option<(String, String)>,
    },
    Upload {
        volid: String,
        content: String,
        file: Arrival,
        checksum: Option<(String, String)>,
    },
    DeleteVolume {
        volid: String,
    },
    /// The process of a task that has ended goes.
    Leave {
        node: String,
    },
    /// Waits until a task that was told to stop is gone.
    StopTask {
        task: usize,
    },
    /// Asks every node to reload its networks.
    ReloadNetworks {
        caller: Caller,
    },
    /// A node's networks become what is configured.
    ReloadNetwork {
        node: String,
    },
    /// A service of a node runs from now on, or does not.
    Service {
        node: String,
        service: String,
        on: bool,
    },
    /// Changes what is on a node's disks.
    Disk {
        node: String,
        work: Box<DiskWork>,
    },
    /// Changes what Ceph consists of.
    Ceph {
        node: String,
        work: Box<CephWork>,
    },
    /// Reads the lists of a node's repositories.
    RefreshPackages {
        node: String,
        quiet: bool,
    },
    /// Acts on many guests.
    Bulk(Box<Bulk>),
    /// Makes several calls within one.
    Batch(Box<Batch>),
}

/// A request in the hands of the daemon.
#[derive(Serialize, Deserialize, Debug, Clone)]
pub(super) struct Served {
    pub(super) call: Call,
    pub(super) headers: BTreeMap<String, String>,
    pub(super) verdict: Verdict,
}

/// A clone in progress.
#[derive(Serialize, Deserialize, Debug, Clone)]
pub(super) struct CloneWork {
    #[serde(default)]
    pub(super) pool: Option<String>,
    pub(super) source: u32,
    pub(super) target: u32,
    pub(super) full: bool,
    pub(super) name: Option<String>,
    pub(super) description: Option<String>,
    pub(super) storage: Option<String>,
    pub(super) snapshot: Option<String>,
    pub(super) node: String,
    /// Whether the source ran when the clone was asked for.
    pub(super) running: bool,
    /// Bytes per second, if the caller limits the copy.
    pub(super) limit: Option<u64>,
}

/// A disk on its way to another storage.
#[derive(Serialize, Deserialize, Debug, Clone)]
pub(super) struct Move {
    pub(super) vmid: u32,
    pub(super) slot: String,
    pub(super) storage: String,
    pub(super) digest: Option<String>,
    /// Whether the old volume is removed afterwards.
    pub(super) delete: bool,
}

/// The look at which a stop overrules shutdowns.
pub(super) const OVERRULE: u8 = 9;

/// How long tasks wait for a guest's or storage's lock file.
pub(super) const LOCK_WAIT: Patience = Patience::Usual;

pub(super) fn missing(species: Species, vmid: u32, node: &str) -> Reply {
    let folder = species.folder();
    Reply::failed(format!(
        "Configuration file 'nodes/{node}/{folder}/{vmid}.conf' does not exist"
    ))
}

pub(super) fn lock_guest(species: Species, vmid: u32) -> Step {
    Step::Lock {
        key: species.key(vmid),
        shared: false,
        wait: LOCK_WAIT,
        prefix: String::new(),
    }
}

impl World {
    /// The virtual machine, or the usual text.
    pub(super) fn guest_or(&self, vmid: u32, node: &str) -> Result<&Guest, Reply> {
        self.guest_of(Species::Machine, vmid, node)
    }

    /// The guest of that kind, or the usual text.
    pub(super) fn guest_of(
        &self,
        species: Species,
        vmid: u32,
        node: &str,
    ) -> Result<&Guest, Reply> {
        self.guests
            .get(&vmid)
            .filter(|guest| guest.node == node && guest.species == species)
            .ok_or_else(|| missing(species, vmid, node))
    }

    fn require(&self, vmid: u32) -> Result<&Guest, Reply> {
        let node = self.nodes.keys().next().map_or("pve1", String::as_str);
        self.guests
            .get(&vmid)
            .ok_or_else(|| missing(Species::Machine, vmid, node))
    }

    fn require_unlocked(&self, vmid: u32) -> Result<&Guest, Reply> {
        self.require(vmid)?.unlocked()
    }

    pub(super) fn guest_mut(&mut self, vmid: u32) -> Result<&mut Guest, Reply> {
        self.require(vmid)?;
        self.guests
            .get_mut(&vmid)
            .ok_or_else(|| missing(Species::Machine, vmid, "pve1"))
    }

    /// Whether an operation may go on.
    pub(super) fn check(
        &mut self,
        job: u64,
        operation: &Operation,
        stage: u8,
    ) -> Result<(), Reply> {
        match operation {
            Operation::Start { vmid } => self.check_start(job, *vmid),
            Operation::Stop { vmid } if stage == OVERRULE => {
                self.overrule_shutdown(job, *vmid);
                Ok(())
            }
            Operation::Stop { vmid } => self.check_stop(job, *vmid),
            Operation::Shutdown { vmid, force, limit } => {
                self.check_shutdown(job, *vmid, *force, *limit)
            }
            Operation::SuspendToDisk { vmid, storage } => {
                self.check_suspension(job, *vmid, storage.as_deref())
            }
            Operation::Checkpoint { vmid } => self.check_checkpoint(job, *vmid),
            Operation::Awaken { vmid } => self.check_awakening(job, *vmid),
            Operation::Reboot { vmid }
            | Operation::Reset { vmid }
            | Operation::Pause { vmid, .. } => self.require(*vmid).map(|_| ()),
            Operation::Delete { vmid, force, purge } => self.check_delete(*vmid, *force, *purge),
            Operation::MoveDisk(work) => self.check_move(job, work),
            Operation::Reassign(work) => self.check_reassign(work).map(|_| ()),
            Operation::Resize { vmid, digest, .. } => {
                let guest = self.require_unlocked(*vmid)?;
                match digest {
                    Some(digest) if *digest != guest.digest() => Err(changed(guest.species)),
                    _ => Ok(()),
                }
            }
            Operation::Snapshot { vmid, name, .. } => self.check_snapshot(job, *vmid, name),
            Operation::DeleteSnapshot { vmid, name } | Operation::Rollback { vmid, name, .. } => {
                let guest = self.require_unlocked(*vmid)?;
                if guest.snapshots.contains_key(name) {
                    Ok(())
                } else {
                    Err(Reply::failed(format!("snapshot '{name}' does not exist")))
                }
            }
            Operation::Template { vmid, disk } => self.check_template(*vmid, disk.as_deref()),
            Operation::Migrate(work) => self.check_migration(job, work, stage),
            Operation::ClaimRemote { work, .. } => self.find_remote_node(job, work, stage),
            Operation::RemoteMigrate(work) => self.check_remote(job, work, stage),
            Operation::Tunnel(work) => self.check_tunnel(job, work, stage),
            Operation::Acme(work) => self.check_acme(job, work, stage),
            Operation::Clone(work) => self.check_clone(job, work, stage),
            Operation::Download { volid, .. } => self.check_download(volid),
            Operation::Dump(dump) => self.check_dump(job, dump, stage),
            Operation::Restore(work) => self.check_restore(work),
            Operation::RestoreContainer(work) => self.check_container_restore(job, work, stage),
            Operation::Bulk(bulk) => {
                self.go_on_with_bulk(job, bulk);
                Ok(())
            }
            Operation::Batch(batch) => {
                self.go_on_with_batch(job, batch);
                Ok(())
            }
            Operation::SetConfig {
                vmid,
                params,
                caller,
            }
            | Operation::SetConfigTask {
                vmid,
                params,
                caller,
                ..
            } => self.check_config(*vmid, params, caller),
            Operation::StopTask { task } => {
                self.await_stop(job, *task, stage);
                Ok(())
            }
            Operation::Serve(_)
            | Operation::Prune { .. }
            | Operation::HaRound { .. }
            | Operation::JobRound { .. }
            | Operation::ClaimId { .. }
            | Operation::ClaimClone { .. }
            | Operation::ClaimRestore { .. }
            | Operation::Create { .. }
            | Operation::Write { .. }
            | Operation::Told { .. }
            | Operation::Leave { .. }
            | Operation::ReloadNetworks { .. }
            | Operation::ReloadNetwork { .. }
            | Operation::Service { .. }
            | Operation::Disk { .. }
            | Operation::Ceph { .. }
            | Operation::RefreshPackages { .. }
            | Operation::Upload { .. }
            | Operation::DeleteVolume { .. } => Ok(()),
        }
    }

    /// Does the work.
    pub(super) fn finish(&mut self, job: u64, operation: &Operation) -> Result<Reply, Reply> {
        match operation {
            Operation::Serve(_) => {}
            Operation::HaRound { sid } => self.ha_round(sid),
            Operation::JobRound { at } => self.job_round(*at),
            Operation::Dump(dump) if dump.failed > 0 => return Err(Reply::failed("job errors")),
            Operation::Dump(_) | Operation::StopTask { .. } | Operation::Leave { .. } => {}
            Operation::Tunnel(_) => self.log(job, "mtunnel exited"),
            Operation::Restore(work) => self.restore(job, work)?,
            Operation::ClaimRestore { work, caller } => return self.claim_restore(work, caller),
            Operation::RestoreContainer(work) => self.restore_container(job, work)?,
            Operation::Prune {
                storage,
                keep,
                vmid,
                kind,
            } => self.prune(job, storage, keep.as_deref(), *vmid, kind.as_deref())?,
            Operation::ClaimId {
                species,
                vmid,
                node,
                params,
                caller,
            } => {
                return self.claim_id(*species, *vmid, node, params, caller);
            }
            Operation::ClaimClone { work, caller } => return self.claim_clone(work, caller),
            Operation::Create { vmid, params } => self.create(job, *vmid, params)?,
            Operation::SetConfig {
                vmid,
                params,
                caller,
            } => self.set_guest_config(job, *vmid, params, caller)?,
            Operation::SetConfigTask {
                node,
                vmid,
                params,
                caller,
            } => {
                self.set_guest_config(job, *vmid, params, caller)?;
                return Ok(self.config_task(node, *vmid, params, caller));
            }
            Operation::Told { line } => self.log(job, line.clone()),
            Operation::ReloadNetworks { caller } => self.reload_networks(job, caller),
            Operation::ReloadNetwork { node } => self.reload_network(node),
            Operation::Service { node, service, on } => self.turn_service(node, service, *on),
            Operation::Disk { node, work } => self.work_on_disks(job, node, work)?,
            Operation::Ceph { node, work } => self.work_on_ceph(job, node, work)?,
            Operation::RefreshPackages { node, quiet } => self.refresh_packages(job, node, *quiet),
            Operation::Bulk(bulk) => self.end_bulk(job, bulk)?,
            Operation::Batch(batch) => return Ok(batch.answer()),
            Operation::Start { vmid } => self.start(job, *vmid)?,
            Operation::Stop { vmid } => self.power_off(*vmid)?,
            Operation::MoveDisk(work) => self.move_disk(job, work)?,
            Operation::Reassign(work) => self.reassign(job, work)?,
            Operation::Migrate(work) => self.migrate(job, work)?,
            Operation::ClaimRemote {
                work,
                caller,
                verdict,
            } => return self.start_remote(work, caller, verdict),
            Operation::RemoteMigrate(work) => self.end_remote(job, work)?,
            Operation::Acme(work) => self.end_acme(job, work)?,
            Operation::Write { call, caller } => return self.write(call, caller),
            Operation::Shutdown { vmid, .. } => self.power_off(*vmid)?,
            Operation::Reboot { vmid } => self.reboot(job, *vmid)?,
            Operation::Reset { vmid } => self.reset(*vmid)?,
            Operation::Pause { vmid, on } => self.pause(*vmid, *on)?,
            Operation::SuspendToDisk { vmid, .. } => self.suspend_machine(job, *vmid)?,
            Operation::Checkpoint { vmid } => self.checkpoint(*vmid)?,
            Operation::Awaken { vmid } => self.start(job, *vmid)?,
            Operation::Delete { vmid, force, purge } => {
                self.delete_guest(job, *vmid, *force, *purge)?;
            }
            Operation::Resize {
                vmid, disk, size, ..
            } => self.resize(job, *vmid, disk, size)?,
            Operation::Snapshot {
                vmid,
                name,
                description,
            } => {
                self.take_snapshot(job, *vmid, name, description.as_deref())?;
            }
            Operation::DeleteSnapshot { vmid, name } => self.drop_snapshot(*vmid, name)?,
            Operation::Rollback { vmid, name, start } => self.roll_back(*vmid, name, *start)?,
            Operation::Template { vmid, .. } => self.make_template(*vmid)?,
            Operation::Clone(work) => self.finish_clone(job, work)?,
            Operation::Download {
                volid,
                url,
                content,
                checksum,
            } => {
                self.finish_download(job, volid, url, content, checksum.as_ref())?;
            }
            Operation::Upload {
                volid,
                content,
                file,
                checksum,
            } => {
                self.finish_upload(job, volid, content, file, checksum.as_ref())?;
            }
            Operation::DeleteVolume { volid } => {
                self.refuse_protected(volid)?;
                // Removing what is not there is a success, told as such.
                if self.drop_volume(volid) {
                    self.log(job, format!("Removed volume '{volid}'"));
                }
            }
        }
        Ok(Reply::data(()))
    }

    /// Takes back what a failed operation had begun.
    pub(super) fn undo(&mut self, job: u64, operation: &Operation) {
        let (owned, made) = match self.engine.jobs.get(&job) {
            Some(job) => (job.cleanup_owned, job.made.clone()),
            None => return,
        };
        match operation {
            Operation::Create { vmid, .. } => self.forget_guest(*vmid),
            Operation::Dump(dump) => self.abandon_dump(job, dump),
            Operation::Restore(work) => self.abandon_restore(work.vmid()),
            Operation::RestoreContainer(work) => self.abandon_container_restore(work, owned),
            // Only the clone that made the configuration removes it.
            Operation::Clone(work) if owned => {
                self.forget_guest(work.target);
                self.leave_volumes(work.target, &made);
                self.unlock_source(work);
            }
            Operation::MoveDisk(work) if owned => {
                self.unlock_config(work.vmid);
            }
            Operation::Migrate(work) if owned => self.abandon_migration(work),
            Operation::SuspendToDisk { vmid, .. } if owned => self.abandon_suspension(*vmid),
            Operation::Snapshot { vmid, .. } if owned => {
                self.unlock_config(*vmid);
            }
            _ => {}
        }
    }

    /// Takes the lock off a configuration.
    pub(super) fn unlock_config(&mut self, vmid: u32) {
        if let Some(guest) = self.guests.get_mut(&vmid) {
            guest.config.shift_remove("lock");
        }
    }

    /// A guest is gone, with its volumes and its place in pools.
    pub(super) fn forget_guest(&mut self, vmid: u32) {
        self.guests.remove(&vmid);
        self.firewalls.remove(&vmid.to_string());
        for pool in self.pools.values_mut() {
            pool.vms.remove(&vmid);
        }
        // Backups outlive what they are of.
        let goes = |volume: &Volume| volume.vmid == Some(vmid) && volume.content != "backup";
        let holding = self.storages.iter();
        let holding = holding.filter(|(_, storage)| storage.volumes.values().any(goes));
        let names: Vec<String> = holding.map(|(name, _)| name.clone()).collect();
        for name in names {
            if let Some(storage) = self.storages.get_mut(&name) {
                storage.volumes.retain(|_, volume| !goes(volume));
            }
        }
    }
}

/// What is told of a digest that does not match a guest's.
pub(super) fn changed(species: Species) -> Reply {
    Reply::failed(match species {
        Species::Machine => "checksum mismatch (file change by other user?)",
        Species::Container => {
            "detected modified configuration - file changed by other user? Try again."
        }
    })
}
