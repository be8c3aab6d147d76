//! Where replicas go: the replica scheduler of longhorn-manager as a pure function, and a capacity plan on top of it.
//!
//! A [`Cluster`] is plain data: nodes with disks, and the settings that placement depends on. Asked about a volume it
//! names the disks that may take the next replica, the disks that the manager would choose among as equally good,
//! and, where there are none, the manager's reasons.
//!
//! ```
//! use longhorn_model::scheduler::{Cluster, Disk, Node, VolumeRequest, GIB};
//!
//! let cluster = Cluster::new([
//!     Node::new("w1").disk(Disk::new("w1-ssd", 100 * GIB).tags(["ssd"])),
//!     Node::new("w2").disk(Disk::new("w2-ssd", 100 * GIB).tags(["ssd"])),
//!     Node::new("w3").disk(Disk::new("w3-hdd", 500 * GIB).tags(["hdd"])),
//! ]);
//! let volume = VolumeRequest::new("data", 10 * GIB, 3).disk_selector(["ssd"]);
//! let outcome = cluster.place(&volume, &[]);
//! assert_eq!(outcome.placed.len(), 2);
//! assert_eq!(outcome.unplaced, 1);
//! ```

mod candidates;
mod choice;
mod expansion;
pub mod plan;

use std::collections::BTreeSet;
use std::fmt;

use crate::settings::SchedulingSettings;

/// Bytes in a gibibyte.
pub const GIB: u64 = 1 << 30;

/// What a disk is made of; each data engine uses one sort.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum DiskKind {
    /// A mounted folder, for the v1 engine.
    #[default]
    Filesystem,
    /// A raw device, for the v2 engine.
    Block,
}

/// Engine of a volume.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum DataEngine {
    /// The first engine.
    #[default]
    V1,
    /// The engine on SPDK.
    V2,
}

/// A disk as the scheduler sees it; sizes in bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Disk {
    /// Identity, unique in the cluster.
    pub id: String,
    /// Tags.
    pub tags: Vec<String>,
    /// Size of the filesystem or device.
    pub maximum: u64,
    /// Space that is free now.
    pub available: u64,
    /// Space kept away from Longhorn.
    pub reserved: u64,
    /// Nominal sizes of the replicas that are on the disk already.
    pub scheduled: u64,
    /// Sort of disk.
    pub kind: DiskKind,
    /// Filesystem, such as `ext4` or `xfs`; ext4 cannot hold replicas of 16 TiB or more.
    pub filesystem: String,
    /// The operator lets replicas be placed here.
    pub allow_scheduling: bool,
    /// The operator wants replicas to leave.
    pub eviction_requested: bool,
    /// The disk's own condition.
    pub schedulable: bool,
}

impl Disk {
    /// An empty, healthy filesystem disk with nothing reserved.
    #[must_use]
    pub fn new(id: impl Into<String>, maximum: u64) -> Self {
        Self {
            id: id.into(),
            tags: Vec::new(),
            maximum,
            available: maximum,
            reserved: 0,
            scheduled: 0,
            kind: DiskKind::Filesystem,
            filesystem: String::new(),
            allow_scheduling: true,
            eviction_requested: false,
            schedulable: true,
        }
    }

    /// Sets the tags.
    #[must_use]
    pub fn tags<T: Into<String>>(mut self, tags: impl IntoIterator<Item = T>) -> Self {
        self.tags = tags.into_iter().map(Into::into).collect();
        self
    }

    /// Sets the space that is free now.
    #[must_use]
    pub fn available(mut self, bytes: u64) -> Self {
        self.available = bytes;
        self
    }

    /// Sets the space kept away from Longhorn.
    #[must_use]
    pub fn reserved(mut self, bytes: u64) -> Self {
        self.reserved = bytes;
        self
    }

    /// Reserves a share of the disk, as the setting for default disks does (30 percent unless changed).
    #[must_use]
    pub fn reserved_percentage(mut self, percentage: u64) -> Self {
        self.reserved = percent(self.maximum, percentage);
        self
    }

    /// Sets the nominal size of what is on the disk.
    #[must_use]
    pub fn scheduled(mut self, bytes: u64) -> Self {
        self.scheduled = bytes;
        self
    }

    /// Sets the sort of disk.
    #[must_use]
    pub fn kind(mut self, kind: DiskKind) -> Self {
        self.kind = kind;
        self
    }

    /// Sets the filesystem.
    #[must_use]
    pub fn filesystem(mut self, name: impl Into<String>) -> Self {
        self.filesystem = name.into();
        self
    }

    /// Sets whether the operator lets replicas be placed here.
    #[must_use]
    pub fn allow_scheduling(mut self, allowed: bool) -> Self {
        self.allow_scheduling = allowed;
        self
    }

    /// Sets whether replicas are to leave.
    #[must_use]
    pub fn eviction_requested(mut self, requested: bool) -> Self {
        self.eviction_requested = requested;
        self
    }

    /// Sets the disk's own condition.
    #[must_use]
    pub fn schedulable(mut self, schedulable: bool) -> Self {
        self.schedulable = schedulable;
        self
    }

    /// Room for further replicas by nominal size, negative when the disk is overbooked.
    #[must_use]
    pub fn headroom(&self, settings: &SchedulingSettings) -> i128 {
        let limit = percent_wide(
            i128::from(self.maximum) - i128::from(self.reserved),
            settings.over_provisioning_percentage,
        );
        limit - i128::from(self.scheduled)
    }

    /// True when less than the rest of this percentage is free, by whole numbers; 0 switches the question off.
    #[must_use]
    pub fn under_pressure(&self, percentage: u64) -> bool {
        if percentage == 0 || self.maximum == 0 {
            return false;
        }
        let free = i128::from(self.available.saturating_sub(self.reserved));
        free * 100 / i128::from(self.maximum) < 100 - i128::from(percentage)
    }

    /// Storage that counts when disks are compared: free, not reserved, not promised.
    pub(crate) fn usable(&self) -> u64 {
        self.available
            .saturating_sub(self.reserved)
            .saturating_sub(self.scheduled)
    }
}

pub(crate) fn percent(bytes: u64, percentage: u64) -> u64 {
    u64::try_from(u128::from(bytes) * u128::from(percentage) / 100).unwrap_or(u64::MAX)
}

pub(crate) fn percent_wide(bytes: i128, percentage: u64) -> i128 {
    bytes * i128::from(percentage) / 100
}

/// A node as the scheduler sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Node {
    /// Name.
    pub name: String,
    /// Zone; nodes without one share the empty zone.
    pub zone: String,
    /// Tags.
    pub tags: Vec<String>,
    /// The node's Ready condition.
    pub ready: bool,
    /// The node's Schedulable condition.
    pub schedulable: bool,
    /// The operator lets replicas be placed here.
    pub allow_scheduling: bool,
    /// Disks.
    pub disks: Vec<Disk>,
}

impl Node {
    /// A healthy node without disks.
    #[must_use]
    pub fn new(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            zone: String::new(),
            tags: Vec::new(),
            ready: true,
            schedulable: true,
            allow_scheduling: true,
            disks: Vec::new(),
        }
    }

    /// Sets the zone.
    #[must_use]
    pub fn zone(mut self, zone: impl Into<String>) -> Self {
        self.zone = zone.into();
        self
    }

    /// Sets the tags.
    #[must_use]
    pub fn tags<T: Into<String>>(mut self, tags: impl IntoIterator<Item = T>) -> Self {
        self.tags = tags.into_iter().map(Into::into).collect();
        self
    }

    /// Adds a disk.
    #[must_use]
    pub fn disk(mut self, disk: Disk) -> Self {
        self.disks.push(disk);
        self
    }

    /// Sets the Ready condition.
    #[must_use]
    pub fn ready(mut self, ready: bool) -> Self {
        self.ready = ready;
        self
    }

    /// Sets the Schedulable condition.
    #[must_use]
    pub fn schedulable(mut self, schedulable: bool) -> Self {
        self.schedulable = schedulable;
        self
    }

    /// Sets whether the operator lets replicas be placed here.
    #[must_use]
    pub fn allow_scheduling(mut self, allowed: bool) -> Self {
        self.allow_scheduling = allowed;
        self
    }
}

/// A volume's own answer to a question that a setting answers too.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Affinity {
    /// The setting decides.
    #[default]
    Ignored,
    /// Replicas may share.
    Enabled,
    /// Replicas must not share.
    Disabled,
}

impl Affinity {
    pub(crate) fn over(self, setting: bool) -> bool {
        match self {
            Self::Ignored => setting,
            Self::Enabled => true,
            Self::Disabled => false,
        }
    }
}

/// Whether replicas are moved to even out nodes and disks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum AutoBalance {
    /// The setting decides; as a setting, the same as disabled.
    #[default]
    Ignored,
    /// Never.
    Disabled,
    /// As few moves as needed.
    LeastEffort,
    /// As even as possible, also between the disks of a node.
    BestEffort,
}

impl AutoBalance {
    pub(crate) fn over(self, setting: Self) -> Self {
        if self == Self::Ignored { setting } else { self }
    }
}

/// Whether a replica is kept on the node where the volume is used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum DataLocality {
    /// No matter.
    #[default]
    Disabled,
    /// One replica there if possible.
    BestEffort,
    /// The only replica there.
    StrictLocal,
}

/// A volume whose replicas want places.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct VolumeRequest {
    /// Name, for messages.
    pub name: String,
    /// Nominal size in bytes.
    pub size: u64,
    /// Bytes that the volume really holds.
    pub actual_size: u64,
    /// Replicas wanted in all.
    pub replicas: u32,
    /// Engine.
    pub engine: DataEngine,
    /// Tags that a node must have.
    pub node_selector: Vec<String>,
    /// Tags that a disk must have.
    pub disk_selector: Vec<String>,
    /// Whether replicas may share a node.
    pub node_anti_affinity: Affinity,
    /// Whether replicas may share a zone.
    pub zone_anti_affinity: Affinity,
    /// Whether replicas may share a disk.
    pub disk_anti_affinity: Affinity,
    /// Whether replicas are moved to even out disks.
    pub auto_balance: AutoBalance,
    /// Whether a replica follows the workload.
    pub data_locality: DataLocality,
    /// Node where the volume is attached.
    pub attached_node: Option<String>,
    /// The one node where new replicas must go.
    pub hard_node_affinity: Option<String>,
}

impl VolumeRequest {
    /// An empty v1 volume without wishes.
    #[must_use]
    pub fn new(name: impl Into<String>, size: u64, replicas: u32) -> Self {
        Self {
            name: name.into(),
            size,
            actual_size: 0,
            replicas,
            engine: DataEngine::V1,
            node_selector: Vec::new(),
            disk_selector: Vec::new(),
            node_anti_affinity: Affinity::Ignored,
            zone_anti_affinity: Affinity::Ignored,
            disk_anti_affinity: Affinity::Ignored,
            auto_balance: AutoBalance::Ignored,
            data_locality: DataLocality::Disabled,
            attached_node: None,
            hard_node_affinity: None,
        }
    }

    /// Sets the bytes that the volume holds.
    #[must_use]
    pub fn actual_size(mut self, bytes: u64) -> Self {
        self.actual_size = bytes;
        self
    }

    /// Sets the engine.
    #[must_use]
    pub fn engine(mut self, engine: DataEngine) -> Self {
        self.engine = engine;
        self
    }

    /// Sets the tags that a node must have.
    #[must_use]
    pub fn node_selector<T: Into<String>>(mut self, tags: impl IntoIterator<Item = T>) -> Self {
        self.node_selector = tags.into_iter().map(Into::into).collect();
        self
    }

    /// Sets the tags that a disk must have.
    #[must_use]
    pub fn disk_selector<T: Into<String>>(mut self, tags: impl IntoIterator<Item = T>) -> Self {
        self.disk_selector = tags.into_iter().map(Into::into).collect();
        self
    }

    /// Sets the three answers about sharing: node, zone, disk.
    #[must_use]
    pub fn anti_affinity(mut self, node: Affinity, zone: Affinity, disk: Affinity) -> Self {
        (
            self.node_anti_affinity,
            self.zone_anti_affinity,
            self.disk_anti_affinity,
        ) = (node, zone, disk);
        self
    }

    /// Sets whether replicas are moved to even out disks.
    #[must_use]
    pub fn auto_balance(mut self, balance: AutoBalance) -> Self {
        self.auto_balance = balance;
        self
    }

    /// Sets data locality and the node where the volume is attached.
    #[must_use]
    pub fn data_locality(mut self, locality: DataLocality, attached: Option<String>) -> Self {
        self.data_locality = locality;
        self.attached_node = attached;
        self
    }

    /// Sets the one node where new replicas must go.
    #[must_use]
    pub fn hard_node_affinity(mut self, node: impl Into<String>) -> Self {
        self.hard_node_affinity = Some(node.into());
        self
    }
}

/// A replica that has a place.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Replica {
    /// Node.
    pub node: String,
    /// Disk.
    pub disk: String,
    /// It failed.
    pub failed: bool,
    /// It is to leave its place.
    pub eviction_requested: bool,
    /// Rebuilds tried since it failed.
    pub rebuild_retries: u32,
}

/// From this many tries on, a failed replica is given up (longhorn-manager's limit).
const MAX_REBUILD_RETRIES: u32 = 5;

impl Replica {
    /// A healthy replica.
    #[must_use]
    pub fn new(node: impl Into<String>, disk: impl Into<String>) -> Self {
        Self {
            node: node.into(),
            disk: disk.into(),
            failed: false,
            eviction_requested: false,
            rebuild_retries: 0,
        }
    }

    /// Sets whether it failed, and how often a rebuild was tried.
    #[must_use]
    pub fn failed(mut self, failed: bool, rebuild_retries: u32) -> Self {
        self.failed = failed;
        self.rebuild_retries = rebuild_retries;
        self
    }

    /// Sets whether it is to leave.
    #[must_use]
    pub fn eviction_requested(mut self, requested: bool) -> Self {
        self.eviction_requested = requested;
        self
    }

    /// Whether it still occupies its place: healthy, or failed but worth another try.
    fn counts(&self) -> bool {
        !self.failed || (!self.eviction_requested && self.rebuild_retries < MAX_REBUILD_RETRIES)
    }
}

/// Why no disk takes a replica, in the manager's words.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Reason {
    /// No node is ready and open for scheduling.
    NodesUnavailable,
    /// A node in question has no disk that is open for scheduling.
    DisksUnavailable,
    /// A disk lacks the space or the provisioning allowance.
    InsufficientStorage,
    /// A disk lacks a tag, or has tags where untagged ones are wanted.
    TagsNotFulfilled,
    /// The one node allowed does not exist or is not open.
    HardAffinity,
    /// The filesystem of a disk cannot hold a file of that size.
    IncompatibleSize,
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NodesUnavailable => "nodes are unavailable",
            Self::DisksUnavailable => "disks are unavailable",
            Self::InsufficientStorage => "insufficient storage",
            Self::TagsNotFulfilled => "tags not fulfilled",
            Self::HardAffinity => "hard affinity cannot be satisfied",
            Self::IncompatibleSize => "incompatible volume size",
        })
    }
}

/// Disks that may take the next replica.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Candidates {
    /// Disk ids, sorted.
    pub disks: BTreeSet<String>,
    /// Why there is none; empty when there is one, and also when anti-affinity or node tags left none.
    pub reasons: BTreeSet<Reason>,
}

/// One way in which the manager may place the missing replicas.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Outcome {
    /// Places, in the order in which they were found.
    pub placed: Vec<Replica>,
    /// Replicas for which there was no place.
    pub unplaced: u32,
    /// Why.
    pub reasons: BTreeSet<Reason>,
}

impl Outcome {
    /// The disk of each replica that was asked for, in order; nothing where there was no place. A replica without a
    /// place changes nothing, so that all after it have none either.
    pub fn steps(&self) -> impl Iterator<Item = Option<&str>> {
        let placed = self
            .placed
            .iter()
            .map(|replica| Some(replica.disk.as_str()));
        placed.chain((0..self.unplaced).map(|_| None))
    }
}

/// Nodes, disks and the settings that placement depends on.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Cluster {
    /// Nodes.
    pub nodes: Vec<Node>,
    /// Settings.
    pub settings: SchedulingSettings,
}

impl Cluster {
    /// A cluster with the default settings.
    #[must_use]
    pub fn new(nodes: impl IntoIterator<Item = Node>) -> Self {
        Self {
            nodes: nodes.into_iter().collect(),
            settings: SchedulingSettings::default(),
        }
    }

    /// Sets the settings.
    #[must_use]
    pub fn settings(mut self, settings: SchedulingSettings) -> Self {
        self.settings = settings;
        self
    }

    /// A disk by its id.
    #[must_use]
    pub fn disk(&self, id: &str) -> Option<&Disk> {
        self.nodes
            .iter()
            .flat_map(|node| &node.disks)
            .find(|disk| disk.id == id)
    }

    pub(crate) fn disk_mut(&mut self, id: &str) -> Option<&mut Disk> {
        self.nodes
            .iter_mut()
            .flat_map(|node| &mut node.disks)
            .find(|disk| disk.id == id)
    }

    /// Disks that may take the next replica of a volume, beside the replicas that it has. What those replicas take is
    /// expected in [`Disk::scheduled`] already.
    #[must_use]
    pub fn candidates(&self, volume: &VolumeRequest, replicas: &[Replica]) -> Candidates {
        let found = candidates::find(self, volume, replicas);
        Candidates {
            disks: found.disks.iter().map(|c| c.disk.id.clone()).collect(),
            reasons: if found.disks.is_empty() {
                found.reasons
            } else {
                BTreeSet::new()
            },
        }
    }

    /// Disks that the manager chooses among for the next replica; all are equally good to it.
    #[must_use]
    pub fn choices(&self, volume: &VolumeRequest, replicas: &[Replica]) -> Vec<Replica> {
        let found = candidates::find_local_first(self, volume, replicas);
        choice::best(&found.disks, volume.size)
    }

    /// Places the missing replicas one after the other, taking the first of equal choices by node and disk name.
    #[must_use]
    pub fn place(&self, volume: &VolumeRequest, replicas: &[Replica]) -> Outcome {
        let mut world = self.clone();
        let mut placed = replicas.to_vec();
        let mut outcome = Outcome::default();
        for _ in replicas.len()..volume.replicas as usize {
            let found = candidates::find_local_first(&world, volume, &placed);
            match choice::best(&found.disks, volume.size).into_iter().next() {
                Some(replica) => {
                    world.book(&replica.disk, volume.size);
                    outcome.placed.push(replica.clone());
                    placed.push(replica);
                }
                None => {
                    outcome.unplaced += 1;
                    outcome.reasons.extend(found.reasons);
                }
            }
        }
        outcome
    }

    /// Every outcome that the manager may reach, at most `limit` of them: ties are open to it.
    #[must_use]
    pub fn outcomes(
        &self,
        volume: &VolumeRequest,
        replicas: &[Replica],
        limit: usize,
    ) -> Vec<Outcome> {
        let missing = (volume.replicas as usize).saturating_sub(replicas.len());
        let mut states = vec![(self.clone(), replicas.to_vec(), Outcome::default())];
        for _ in 0..missing {
            let mut next = Vec::new();
            for (world, placed, outcome) in states {
                let found = candidates::find_local_first(&world, volume, &placed);
                let choices = choice::best(&found.disks, volume.size);
                if choices.is_empty() {
                    let mut outcome = outcome;
                    outcome.unplaced += 1;
                    outcome.reasons.extend(found.reasons);
                    next.push((world, placed, outcome));
                    continue;
                }
                for replica in choices {
                    if next.len() >= limit {
                        break;
                    }
                    let (mut world, mut placed, mut outcome) =
                        (world.clone(), placed.clone(), outcome.clone());
                    world.book(&replica.disk, volume.size);
                    outcome.placed.push(replica.clone());
                    placed.push(replica);
                    next.push((world, placed, outcome));
                }
            }
            states = next;
        }
        states.into_iter().map(|(_, _, outcome)| outcome).collect()
    }

    /// Counts a replica that exists already on its disk, as far as the disk is known.
    pub fn account(&mut self, replica: &Replica, size: u64) {
        self.book(&replica.disk, size);
    }

    /// Counts a replica on a disk.
    pub(crate) fn book(&mut self, disk: &str, size: u64) {
        if let Some(disk) = self.disk_mut(disk) {
            disk.scheduled = disk.scheduled.saturating_add(size);
        }
    }
}
