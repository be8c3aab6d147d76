//! Everything that exists, as plain data.

mod backup;
mod daemon;
mod durations;
mod spec;
mod user;

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

pub use self::daemon::Daemon;
pub use self::durations::Durations;
pub use self::spec::{NodeSpec, RemoteFile, StorageSpec};
use super::acme::Acme;
use super::chronicle::Chronicle;
use super::console::Consoles;
use super::engine::Engine;
use super::guest::{Guest, Power, Species};
use super::rights::Grant;
use super::route::{
    Ceph, Firewall, GuestCommand, Ha, Mappings, MetricServers, NodeNetwork, Notifications, PciSpec,
    Pool, Providers, Realms, Replication, Scheduler, Sdn, UsbSpec,
};
use super::schema::Release;
use super::section::Sections;
use super::surroundings::Surroundings;
use super::task::SimTask;
use super::tracked::Tracked;
use super::upkeep::Upkeep;
use super::volume::{Storage, Volume};

pub(super) use user::User;

/// A whole Proxmox VE installation as plain data: clone it to take a snapshot, serialize it to keep it.
///
/// Some maps have keys that are not text: a self-describing format such as CBOR holds them, JSON does not.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), proxmox_client::Error> {
/// use proxmox_client::QemuConfig;
/// use proxmox_client::simulator::{NodeSpec, Simulator, StorageSpec, World};
/// let world = World::lab()
///     .with_node(NodeSpec::new("pve2", 8, 32 << 30).with_bridge("vmbr0", true))
///     .with_storage(StorageSpec::directory("nas", "/mnt/pve/nas", 1 << 40).with_shared())
///     .with_volume("nas:iso/debian.iso", 600 << 20)
///     .with_guest("pve2", 100, &QemuConfig::new().with_name("web"));
/// let client = Simulator::new(world).connect();
/// assert_eq!(client.nodes().await?.len(), 2);
/// assert_eq!(client.node("pve2").qemus().await?[0].name.as_deref(), Some("web"));
/// # Ok(()) }
/// ```
#[derive(Serialize, Deserialize, Debug, Clone)]
pub struct World {
    /// The latest modelled moment that anyone asked about.
    pub(super) now: SystemTime,
    pub(super) booted: SystemTime,
    pub(super) random: u64,
    pub(super) next_pid: u32,
    pub(super) nodes: BTreeMap<String, NodeState>,
    pub(super) storages: Tracked<String, Storage>,
    pub(super) guests: Tracked<u32, Guest>,
    pub(super) tasks: Vec<SimTask>,
    pub(super) users: BTreeMap<String, User>,
    pub(super) tickets: BTreeMap<String, (String, SystemTime)>,
    #[serde(default)]
    pub(super) consoles: Consoles,
    /// Partial tickets: whose they are, and what a security key is to sign.
    #[serde(default)]
    pub(super) challenges: BTreeMap<String, (String, String)>,
    #[serde(default)]
    pub(super) providers: Providers,
    pub(super) pools: BTreeMap<String, Pool>,
    pub(super) remote: BTreeMap<String, RemoteFile>,
    pub(super) any_remote: Option<RemoteFile>,
    pub(super) durations: Durations,
    pub(super) daemon: Option<Daemon>,
    #[serde(default)]
    pub(super) mirror_error: Option<String>,
    /// Whether nodes can write down the processes of containers.
    #[serde(default)]
    pub(super) has_criu: bool,
    #[serde(default)]
    pub(super) guest_commands: BTreeMap<String, GuestCommand>,
    #[serde(default)]
    pub(super) groups: BTreeMap<String, Map<String, Value>>,
    #[serde(default)]
    pub(super) roles: BTreeMap<String, Vec<String>>,
    #[serde(default)]
    pub(super) acl: BTreeSet<Grant>,
    #[serde(default)]
    pub(super) firewalls: BTreeMap<String, Firewall>,
    #[serde(default)]
    pub(super) sdn: Sdn,
    #[serde(default)]
    pub(super) mappings: Mappings,
    #[serde(default)]
    pub(super) realms: Realms,
    #[serde(default)]
    pub(super) metric_servers: MetricServers,
    #[serde(default)]
    pub(super) options: BTreeMap<String, String>,
    #[serde(default = "tested_version")]
    pub(super) version: String,
    #[serde(default)]
    pub(super) ha: Ha,
    #[serde(default)]
    pub(super) backup_jobs: Sections,
    #[serde(default)]
    pub(super) scheduler: Scheduler,
    #[serde(default)]
    pub(super) replication: Replication,
    #[serde(default)]
    pub(super) acme: Acme,
    #[serde(default)]
    pub(super) around: Surroundings,
    #[serde(default)]
    pub(super) chronicle: Chronicle,
    #[serde(default)]
    pub(super) notifications: Notifications,
    #[serde(default)]
    pub(super) ceph: Ceph,
    /// Processor models of one's own.
    #[serde(default)]
    pub(super) cpu_models: Sections,
    pub(super) engine: Engine,
}

#[derive(Serialize, Deserialize, Debug, Clone)]
pub(super) struct NodeState {
    pub(super) cores: u32,
    pub(super) memory: u64,
    pub(super) address: String,
    pub(super) fingerprint: String,
    pub(super) bridges: Vec<(String, bool)>,
    #[serde(default)]
    pub(super) cards: Vec<String>,
    #[serde(default)]
    pub(super) pci: Vec<PciSpec>,
    #[serde(default)]
    pub(super) usb: Vec<UsbSpec>,
    #[serde(default)]
    pub(super) network: NodeNetwork,
    /// Services that were started or stopped, and whether they run.
    #[serde(default)]
    pub(super) services: BTreeMap<String, bool>,
    /// The container whose processes lie on its disk.
    #[serde(default)]
    pub(super) checkpoint: Option<u32>,
    #[serde(default)]
    pub(super) upkeep: Upkeep,
    /// Since when it is lost.
    #[serde(default)]
    pub(super) lost: Option<SystemTime>,
}

impl World {
    /// An empty cluster without nodes; the seed decides MAC addresses, UUIDs and process ids.
    pub fn new(seed: u64, start: SystemTime) -> Self {
        Self {
            now: start,
            booted: start - Duration::from_secs(5663),
            random: seed ^ 0x9E37_79B9_7F4A_7C15,
            next_pid: 5302,
            nodes: BTreeMap::new(),
            storages: Tracked::new(),
            guests: Tracked::new(),
            tasks: Vec::new(),
            users: BTreeMap::new(),
            tickets: BTreeMap::new(),
            consoles: Consoles::new(),
            challenges: BTreeMap::new(),
            providers: Providers::default(),
            pools: BTreeMap::new(),
            remote: BTreeMap::new(),
            any_remote: None,
            durations: Durations::default(),
            daemon: None,
            mirror_error: None,
            has_criu: false,
            guest_commands: BTreeMap::new(),
            groups: BTreeMap::new(),
            roles: BTreeMap::new(),
            acl: BTreeSet::new(),
            firewalls: BTreeMap::new(),
            sdn: Sdn::default(),
            mappings: Mappings::default(),
            realms: Realms::new(),
            metric_servers: MetricServers::new(),
            options: BTreeMap::new(),
            version: tested_version(),
            ha: Ha::default(),
            backup_jobs: Sections::default(),
            scheduler: Scheduler::default(),
            replication: Replication::default(),
            acme: Acme::default(),
            around: Surroundings::default(),
            chronicle: Chronicle::default(),
            notifications: Notifications::default(),
            ceph: Ceph::default(),
            cpu_models: Sections::default(),
            engine: Engine::default(),
        }
    }

    /// One node `pve1` (24 processors, 96 GiB, VLAN-aware `vmbr0`), storages `local` (100 GiB),
    /// `local-lvm` (1 TiB) and `local-hdd` (4 TiB), any download a file of 64 MiB, and the token
    /// `root@pam!lab=lab-secret`, with the clock at 2026-01-01. No DHCP server answers guests: see [`with_dhcp`](Self::with_dhcp).
    pub fn lab() -> Self {
        let start = SystemTime::UNIX_EPOCH + Duration::from_secs(1_767_225_600);
        let mut world = Self::new(1, start)
            .with_node(NodeSpec::new("pve1", 24, 96 << 30).with_bridge("vmbr0", true))
            .with_storage(StorageSpec::directory("local", "/var/lib/vz", 100 << 30))
            .with_storage(StorageSpec::lvm_thin("local-lvm", 1 << 40))
            .with_storage(StorageSpec::lvm_thin("local-hdd", 4 << 40))
            .with_token("root@pam!lab", "lab-secret");
        world.any_remote = Some(RemoteFile::new(64 << 20));
        world
    }

    /// The server's version, such as `8.4.5`. Default `9.1.9`, the one that the model was measured on. Calls and parameters
    /// that a later release brought, 9.2 among them, are refused as an old server does; beyond these, of other versions
    /// only what they say and whether they have HA groups or rules is modelled.
    #[must_use]
    pub fn with_version(mut self, version: &str) -> Self {
        self.version = version.to_owned();
        self
    }

    /// The release that its version belongs to.
    pub(super) fn served_release(&self) -> Release {
        let mut numbers = self.version.split(['.', '-', '~']);
        let mut next = || numbers.next().and_then(|number| number.parse().ok());
        (next().unwrap_or_default(), next().unwrap_or_default())
    }

    /// Adds a node.
    #[must_use]
    pub fn with_node(mut self, node: NodeSpec) -> Self {
        let bytes: Vec<String> = (0..4)
            .flat_map(|_| self.draw().to_be_bytes())
            .map(|b| format!("{b:02X}"))
            .collect();
        let state = NodeState {
            cores: node.cores,
            memory: node.memory,
            address: node.address,
            fingerprint: bytes.join(":"),
            bridges: node.bridges,
            cards: node.cards,
            pci: node.pci,
            usb: node.usb,
            network: NodeNetwork::default(),
            services: BTreeMap::new(),
            checkpoint: None,
            upkeep: Upkeep::default(),
            lost: None,
        };
        self.nodes.insert(node.name, state);
        self
    }

    /// Adds a storage.
    #[must_use]
    pub fn with_storage(mut self, storage: StorageSpec) -> Self {
        self.chronicle.note_storage(&storage.0, self.booted);
        self.storages.insert(storage.0.name.clone(), storage.0);
        self
    }

    /// Adds a realm of type `openid` if need be, whose provider hands back `code` when `user` (without realm) has
    /// logged in there; the user is made with the first login.
    #[must_use]
    pub fn with_openid_user(mut self, realm: &str, code: &str, user: &str) -> Self {
        self.providers.add(realm, code, user);
        self
    }

    /// Ends all logins at once, as a restart with new keys does.
    pub fn forget_tickets(&mut self) {
        self.tickets.clear();
    }

    /// Takes over users, rights, realms, pools, firewalls, software-defined networks, mappings, processor models, metric servers,
    /// notifications, options, HA and jobs of another world.
    #[must_use]
    pub fn with_cluster_files_of(mut self, other: &Self) -> Self {
        self.users.clone_from(&other.users);
        self.groups.clone_from(&other.groups);
        self.roles.clone_from(&other.roles);
        self.acl.clone_from(&other.acl);
        self.pools.clone_from(&other.pools);
        self.firewalls.clone_from(&other.firewalls);
        self.sdn.clone_from(&other.sdn);
        self.mappings.clone_from(&other.mappings);
        self.realms.clone_from(&other.realms);
        self.metric_servers.clone_from(&other.metric_servers);
        self.notifications.clone_from(&other.notifications);
        self.options.clone_from(&other.options);
        self.ha.clone_from(&other.ha);
        self.backup_jobs.clone_from(&other.backup_jobs);
        self.arm_scheduler();
        self.replication.clone_from(&other.replication);
        self.cpu_models.clone_from(&other.cpu_models);
        self
    }

    /// The workers of all running tasks are killed: their tasks end without a verdict, and what they had begun
    /// stays as it is.
    pub fn kill_workers(&mut self) {
        let running: Vec<u64> = (0..self.tasks.len())
            .filter_map(|task| self.job_of(task))
            .collect();
        for job in running {
            self.kill_job(job);
        }
    }

    /// What a command line (program and arguments with single blanks) does in every guest. `echo`, `true`,
    /// `false` and `sleep` are there; other programs do not exist.
    #[must_use]
    pub fn with_guest_command(mut self, line: &str, does: GuestCommand) -> Self {
        self.guest_commands.insert(line.to_owned(), does);
        self
    }

    /// Puts a file on the modelled internet.
    #[must_use]
    pub fn with_remote_file(mut self, url: &str, file: RemoteFile) -> Self {
        self.remote.insert(url.to_owned(), file);
        self
    }

    /// What addresses that nobody named give: a file of this kind, or nothing.
    #[must_use]
    pub fn with_any_remote_file(mut self, file: Option<RemoteFile>) -> Self {
        self.any_remote = file;
        self
    }

    /// Puts a file on a storage, such as `local:import/talos.qcow2` with its size in bytes.
    #[must_use]
    pub fn with_volume(mut self, volid: &str, size: u64) -> Self {
        let created = super::task::seconds(self.now);
        if let Some((storage, name)) = volid.split_once(':')
            && let Some(storage) = self.storages.get_mut(storage)
        {
            let content = name.split_once('/').map_or("images", |(folder, _)| folder);
            let volume = Volume::file(name, content, size, created);
            storage.volumes.insert(volid.to_owned(), volume);
            self.chronicle.note_storage(storage, self.booted);
        }
        self
    }

    /// The size in bytes of the disk that a packed image on a storage holds, where it differs from the file's.
    #[must_use]
    pub fn with_disk_size(mut self, volid: &str, bytes: u64) -> Self {
        if let Some((storage, _)) = volid.split_once(':')
            && let Some(storage) = self.storages.get_mut(storage)
            && let Some(volume) = storage.volumes.get_mut(volid)
        {
            volume.disk_size = Some(bytes);
        }
        self
    }

    /// What a volume takes up in bytes, where it is less than its size.
    #[must_use]
    pub fn with_used_size(mut self, volid: &str, bytes: u64) -> Self {
        if let Some((storage, _)) = volid.split_once(':')
            && let Some(storage) = self.storages.get_mut(storage)
            && let Some(volume) = storage.volumes.get_mut(volid)
        {
            volume.used = bytes;
        }
        self
    }

    /// How long allocations on a storage hold its lock from now on: a time for each, and bytes per second of their size.
    #[must_use]
    pub fn with_allocation(
        mut self,
        storage: &str,
        time: Duration,
        bytes_per_second: Option<u64>,
    ) -> Self {
        if let Some(storage) = self.storages.get_mut(storage) {
            storage.hold = time;
            storage.allocation_speed = bytes_per_second;
        }
        self
    }

    /// Takes a guest away with its volumes, as if somebody had removed it. One that is not there is no matter.
    #[must_use]
    pub fn without_guest(mut self, vmid: u32) -> Self {
        self.forget_guest(vmid);
        self
    }

    /// How long work takes.
    #[must_use]
    pub fn with_durations(mut self, durations: Durations) -> Self {
        self.durations = durations;
        self
    }

    /// Sends writes through a daemon with few workers, so that requests block each other, races for one id
    /// happen, and `596 Connection timed out` comes after 30 s. Without it every request is looked at when it
    /// arrives.
    #[must_use]
    pub fn with_daemon(mut self, daemon: Daemon) -> Self {
        self.daemon = Some(daemon);
        self
    }

    /// Copies of a running machine's disks fail with this text, as on a server whose QEMU cannot mirror them.
    #[must_use]
    pub fn with_mirror_error(mut self, text: &str) -> Self {
        self.mirror_error = Some(text.to_owned());
        self
    }

    /// Gives all nodes CRIU, which writes down the processes of containers. A server comes without it: there containers cannot
    /// be suspended.
    #[must_use]
    pub fn with_criu(mut self) -> Self {
        self.has_criu = true;
        self
    }

    /// Puts a machine there, as if it had been made long ago; the volumes that its drives name come with it.
    #[must_use]
    pub fn with_guest(self, node: &str, vmid: u32, config: &crate::QemuConfig) -> Self {
        self.with_old(Species::Machine, node, vmid, config.values())
    }

    /// Puts a container there, as if it had been made long ago; the volumes that it names come with it.
    #[must_use]
    pub fn with_container(self, node: &str, vmid: u32, config: &crate::LxcConfig) -> Self {
        self.with_old(Species::Container, node, vmid, config.values())
    }

    fn with_old(
        mut self,
        species: Species,
        node: &str,
        vmid: u32,
        config: &Map<String, Value>,
    ) -> Self {
        let mut guest = Guest::new(species, vmid, node);
        guest.config = config.clone();
        for (key, value) in config {
            let holds = super::operation::is_drive(key) || key.starts_with("unused");
            if let Some(text) = value.as_str().filter(|_| holds) {
                self.adopt(species, vmid, &super::operation::DriveText::parse(text));
            }
        }
        self.guests.insert(vmid, guest);
        self.note_guest(vmid, self.booted);
        self
    }

    fn adopt(&mut self, species: Species, vmid: u32, drive: &super::operation::DriveText) {
        let ctime = super::task::seconds(self.now);
        let size = drive
            .get("size")
            .and_then(super::operation::read_size)
            .unwrap_or(4 << 20);
        let name = drive.file.split(':').next().unwrap_or_default().to_owned();
        if let Some(storage) = self.storages.get_mut(&name) {
            let format = if drive.file.ends_with(".qcow2") {
                "qcow2"
            } else {
                "raw"
            };
            let volume = Volume {
                content: species.content().to_owned(),
                format: format.to_owned(),
                size,
                disk_size: None,
                used: size,
                ctime,
                vmid: Some(vmid),
                parent: None,
            };
            storage.volumes.insert(drive.file.clone(), volume);
            self.chronicle.note_storage(storage, self.booted);
        }
    }

    /// How long work takes, to change it.
    pub fn durations_mut(&mut self) -> &mut Durations {
        &mut self.durations
    }

    /// The latest modelled moment that anyone asked about.
    pub fn now(&self) -> SystemTime {
        self.now
    }

    /// The virtual machines and containers, by id.
    pub fn guests(&self) -> impl Iterator<Item = &Guest> {
        self.guests.values()
    }

    /// A virtual machine or container.
    pub fn guest(&self, vmid: u32) -> Option<&Guest> {
        self.guests.get(&vmid)
    }

    /// How a task ended (`OK`, `WARNINGS: 1` or an error's text); none while it runs or if there is none.
    pub fn task_end(&self, upid: &str) -> Option<String> {
        let task = self.tasks.iter().find(|task| task.upid == upid)?;
        task.ended.as_ref().map(|(_, status)| status.clone())
    }

    /// Every task so far, in order: its identifier, its start, and its end unless it still runs.
    pub fn tasks(&self) -> impl Iterator<Item = (&str, SystemTime, Option<SystemTime>)> {
        self.tasks.iter().map(|task| {
            let ended = task.ended.as_ref().map(|(at, _)| *at);
            (task.upid.as_str(), task.started, ended)
        })
    }

    /// Volume ids on a storage.
    pub fn volumes(&self, storage: &str) -> Vec<String> {
        self.storages
            .get(storage)
            .map_or_else(Vec::new, |s| s.volumes.keys().cloned().collect())
    }

    /// The machine went off by itself (its guest shut down, or crashed). False if it was off or is not there.
    pub fn mark_stopped(&mut self, vmid: u32) -> bool {
        let Some(guest) = self.guests.get_mut(&vmid).filter(|guest| guest.is_on()) else {
            return false;
        };
        guest.go_off();
        self.note_guest(vmid, self.now);
        true
    }

    /// The guest rebooted by itself: the machine stays on, its firmware begins anew at this moment. QEMU keeps
    /// running, so waiting changes go on waiting.
    pub fn mark_rebooted(&mut self, vmid: u32, at: SystemTime) -> bool {
        match self.guests.get_mut(&vmid) {
            Some(guest) if guest.is_on() => {
                guest.power = Power::On { since: at };
                self.note_guest(vmid, at);
                true
            }
            _ => false,
        }
    }

    /// The machine was started by something outside, such as its node at boot.
    pub fn mark_started(&mut self, vmid: u32, at: SystemTime) -> bool {
        match self.guests.get_mut(&vmid) {
            Some(guest) if !guest.is_on() => {
                guest.power = Power::On { since: at };
                self.note_guest(vmid, at);
                true
            }
            _ => false,
        }
    }

    /// Sets a configuration key in effect, as an administrator with an editor would.
    pub fn set_config(&mut self, vmid: u32, key: &str, value: &str) -> bool {
        match self.guests.get_mut(&vmid) {
            Some(guest) => {
                guest.config.insert(key.to_owned(), value.into());
                self.note_guest(vmid, self.now);
                true
            }
            None => false,
        }
    }

    /// A number from 0 up to 1, without 1, that follows from the seed.
    pub(super) fn chance(&mut self) -> f64 {
        (self.draw() >> 11) as f64 / (1u64 << 53) as f64
    }

    /// A number that follows from the seed.
    pub(super) fn draw(&mut self) -> u64 {
        self.random = self.random.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.random;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    pub(super) fn draw_uuid(&mut self) -> String {
        let (a, b) = (self.draw(), self.draw());
        format!(
            "{:08x}-{:04x}-4{:03x}-{:04x}-{:012x}",
            a >> 32,
            (a >> 16) & 0xFFFF,
            a & 0xFFF,
            0x8000 | (b >> 48) & 0x3FFF,
            b & 0xFFFF_FFFF_FFFF
        )
    }

    pub(super) fn draw_mac(&mut self) -> String {
        let n = self.draw();
        format!(
            "BC:24:11:{:02X}:{:02X}:{:02X}",
            n & 0xFF,
            (n >> 8) & 0xFF,
            (n >> 16) & 0xFF
        )
    }

    pub(super) fn storage_of(&self, volid: &str) -> Option<&Storage> {
        self.storages.get(volid.split_once(':')?.0)
    }

    pub(super) fn volume(&self, volid: &str) -> Option<&Volume> {
        self.storage_of(volid)?.volumes.get(volid)
    }
}

fn tested_version() -> String {
    "9.1.9".to_owned()
}
