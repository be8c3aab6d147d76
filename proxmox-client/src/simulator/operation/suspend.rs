//! Guests whose state is written to disk: machines through QEMU, containers through CRIU where nodes have it.

use std::time::Duration;

use super::disk::DriveText;
use super::{is_drive, lock_guest};
use crate::simulator::answer::Reply;
use crate::simulator::calendar::Moment;
use crate::simulator::engine::Step;
use crate::simulator::guest::{Guest, Species, text_of};
use crate::simulator::task::seconds;
use crate::simulator::world::World;

/// Space for the state of the devices.
const DEVICES: u64 = 500 << 20;

/// What the configuration of a suspended machine says beside its lock.
const STATE_KEYS: [&str; 4] = [
    "vmstate",
    "runningmachine",
    "runningcpu",
    "running-nets-host-mtu",
];

/// Where checkpoints of a node's containers lie.
const CHECKPOINTS: &str = "/var/lib/vz/dump";

/// What of a configuration keeps a machine's state from being saved.
fn blockers(guest: &Guest) -> Vec<&'static str> {
    let mut found = Vec::new();
    for key in ["amd-sev", "intel-tdx"] {
        if guest.config.contains_key(key) {
            found.push(key);
        }
    }
    if guest.config.keys().any(|key| key.starts_with("virtiofs")) {
        found.push("virtiofs");
    }
    found
}

/// The machine type that QEMU runs it as.
fn running_machine(guest: &Guest) -> String {
    let asked = guest.text("machine").unwrap_or_default();
    let kind = asked.split(',').next().unwrap_or_default();
    let kind = kind.strip_prefix("type=").unwrap_or(kind);
    match kind {
        "" | "pc" => "pc-i440fx-10.0+pve0".to_owned(),
        "q35" => "pc-q35-10.0+pve0".to_owned(),
        exact if exact.contains("+pve") => exact.to_owned(),
        exact => format!("{exact}+pve0"),
    }
}

/// The processor that QEMU runs it with.
fn running_cpu(guest: &Guest) -> String {
    let asked = guest.text("cpu").unwrap_or_default();
    let kind = asked.split(',').next().unwrap_or_default();
    match kind.strip_prefix("cputype=").unwrap_or(kind) {
        "" | "kvm64" => "kvm64,enforce,+kvm_pv_eoi,+kvm_pv_unhalt,+lahf_lm,+sep".to_owned(),
        "host" => "host,+kvm_pv_eoi,+kvm_pv_unhalt".to_owned(),
        other => format!("{other},enforce,+kvm_pv_eoi,+kvm_pv_unhalt"),
    }
}

impl World {
    /// What a machine's way to disk is refused for before its task begins.
    pub(in super::super) fn refuse_suspension(&self, guest: &Guest) -> Result<(), Reply> {
        if self.is_ha_managed(guest.vmid) {
            return Err(Reply::failed("Cannot suspend HA managed VM to disk"));
        }
        if guest.config.keys().any(|key| key.starts_with("hostpci")) {
            return Err(Reply::failed(
                "cannot suspend VM to disk due to passed-through PCI device(s), which lack the possibility to save/restore their internal state",
            ));
        }
        Ok(())
    }

    /// The steps of writing a machine's memory: its lock file is free meanwhile.
    pub(in super::super) fn suspension_steps(&self, guest: &Guest) -> Vec<Step> {
        let lock = || lock_guest(Species::Machine, guest.vmid);
        let speed = self.durations.copy_speed.max(1);
        let copy = guest.memory_bytes() as f64 / 4.0 / speed as f64;
        vec![
            lock(),
            Step::Check(0),
            Step::Unlock(Species::Machine.key(guest.vmid)),
            Step::Work(Duration::from_secs(1) + Duration::from_secs_f64(copy)),
            lock(),
            Step::Finish,
        ]
    }

    /// A storage that a machine's state is put on where none is named: its own choice, one that its disks are on (a
    /// shared one first, of several one with files), else `local`.
    fn state_storage(&self, guest: &Guest) -> String {
        if let Some(chosen) = guest.text("vmstatestorage") {
            return chosen;
        }
        let mut names: Vec<String> = guest
            .config
            .iter()
            .filter(|(key, _)| is_drive(key))
            .map(|(_, value)| DriveText::parse(&text_of(value)).file)
            .filter_map(|file| Some(file.split_once(':')?.0.to_owned()))
            .collect();
        names.sort();
        let (mut shared, mut local) = (None, None);
        for name in names {
            let Some(storage) = self.storages.get(&name) else {
                continue;
            };
            let choice = if storage.shared {
                &mut shared
            } else {
                &mut local
            };
            if choice.is_none() || storage.is_files() {
                *choice = Some(name);
            }
        }
        shared.or(local).unwrap_or_else(|| "local".to_owned())
    }

    pub(super) fn check_suspension(
        &mut self,
        job: u64,
        vmid: u32,
        storage: Option<&str>,
    ) -> Result<(), Reply> {
        let guest = self.require(vmid)?;
        if !guest.is_on() {
            return Err(Reply::failed(format!("VM {vmid} not running")));
        }
        if guest.lock().as_deref() == Some("backup") {
            return Err(Reply::failed("cannot suspend to disk during backup"));
        }
        guest.unlocked()?;
        let blockers = blockers(guest);
        if !blockers.is_empty() {
            return Err(Reply::failed(format!(
                "Cannot live-migrate, snapshot (with RAM), or hibernate a VM with: {}",
                blockers.join(", ")
            )));
        }
        let name = storage.map_or_else(|| self.state_storage(guest), str::to_owned);
        let Some(storage) = self.storages.get(&name) else {
            return Err(Reply::failed(format!("storage '{name}' does not exist")));
        };
        storage.refuse(&guest.node).map_err(Reply::failed)?;
        let today = Moment::of(seconds(self.now));
        let stem = format!(
            "vm-{vmid}-state-suspend-{:04}-{:02}-{:02}",
            today.year, today.month, today.day
        );
        let volid = format!("{name}:{}", storage.image_name(vmid, &stem, "raw"));
        let cards = guest.config.iter().filter_map(|(key, value)| {
            let virtio = text_of(value).starts_with("virtio");
            (key.starts_with("net") && virtio).then(|| format!("{key}=1500"))
        });
        let mut cards: Vec<String> = cards.collect();
        cards.sort();
        let memory = guest.memory_bytes();
        let values = [
            volid.clone(),
            running_machine(guest),
            running_cpu(guest),
            cards.join(","),
        ];
        self.insert_volume(
            job,
            vmid,
            &name,
            &volid,
            "raw",
            2 * memory + DEVICES,
            memory / 4,
        );
        if let Some(job) = self.engine.jobs.get_mut(&job) {
            job.cleanup_owned = true;
        }
        let guest = self.guest_mut(vmid)?;
        guest.config.insert("lock".to_owned(), "suspending".into());
        for (key, value) in STATE_KEYS.iter().zip(values) {
            if !value.is_empty() {
                guest.config.insert((*key).to_owned(), value.into());
            }
        }
        Ok(())
    }

    /// The state is saved: QEMU quits.
    pub(super) fn suspend_machine(&mut self, job: u64, vmid: u32) -> Result<(), Reply> {
        if self.require(vmid)?.lock().as_deref() != Some("suspending") {
            return Err(Reply::failed("lock changed unexpectedly"));
        }
        self.log(job, "State saved, quitting");
        let now = self.now;
        let guest = self.guest_mut(vmid)?;
        guest.fall_asleep(now);
        guest.config.insert("lock".to_owned(), "suspended".into());
        Ok(())
    }

    /// The state could not be saved: it goes, and the lock stays to tell of it.
    pub(super) fn abandon_suspension(&mut self, vmid: u32) {
        let Some(guest) = self.guests.get_mut(&vmid) else {
            return;
        };
        let state = guest.text("vmstate");
        for key in STATE_KEYS {
            guest.config.shift_remove(key);
        }
        if let Some(volid) = state {
            self.drop_volume(&volid);
        }
    }

    pub(super) fn tell_resuming(&mut self, job: u64, vmid: u32) {
        self.log(job, "Resuming suspended VM");
        let state = self
            .guests
            .get(&vmid)
            .and_then(|guest| guest.text("vmstate"));
        if let Some(volid) = state {
            self.log(job, format!("activating and using '{volid}' as vmstate"));
        }
    }

    /// A machine goes on from its state, which goes.
    pub(super) fn wake_machine(&mut self, job: u64, vmid: u32) -> Result<(), Reply> {
        self.log(job, "Resumed VM, removing state");
        self.abandon_suspension(vmid);
        self.unlock_config(vmid);
        let guest = self.guest_mut(vmid)?;
        guest.head_start = guest.asleep.take().unwrap_or_default();
        Ok(())
    }

    /// A container's processes are to be written down.
    pub(super) fn check_checkpoint(&mut self, job: u64, vmid: u32) -> Result<(), Reply> {
        self.require_unlocked(vmid)?;
        if self.has_criu {
            return Ok(());
        }
        self.log(
            job,
            format!("lxc-checkpoint: {vmid}: Checkpointing {vmid} failed"),
        );
        Err(Reply::failed(format!(
            "command 'lxc-checkpoint -n {vmid} -s -D {CHECKPOINTS}' failed: exit code 1"
        )))
    }

    /// A container's processes lie on its node's disk, over what lay there.
    pub(super) fn checkpoint(&mut self, vmid: u32) -> Result<(), Reply> {
        let node = self.require(vmid)?.node.clone();
        self.power_off(vmid)?;
        if let Some(node) = self.nodes.get_mut(&node) {
            node.checkpoint = Some(vmid);
        }
        Ok(())
    }

    /// A container's processes are to go on.
    pub(super) fn check_awakening(&mut self, job: u64, vmid: u32) -> Result<(), Reply> {
        let node = self.nodes.get(&self.require(vmid)?.node);
        if self.has_criu && node.and_then(|node| node.checkpoint) == Some(vmid) {
            return Ok(());
        }
        self.log(
            job,
            format!("lxc-checkpoint: {vmid}: Restoring {vmid} failed"),
        );
        Err(Reply::failed(format!(
            "command 'lxc-checkpoint -n {vmid} -r --foreground -D {CHECKPOINTS}' failed: exit code 1"
        )))
    }
}
