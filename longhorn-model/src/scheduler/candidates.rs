//! Which disks may take a replica: conditions, space, tags and anti-affinity, in the manager's order.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    AutoBalance, Cluster, DataEngine, DataLocality, Disk, DiskKind, Node, Reason, Replica,
    VolumeRequest, percent_wide,
};
use crate::settings::SchedulingSettings;

/// Largest file of ext4; a replica must stay below it.
const EXT4_LIMIT: u64 = 16 << 40;

pub(super) struct Candidate<'a> {
    pub(super) node: &'a Node,
    pub(super) disk: &'a Disk,
}

#[derive(Default)]
pub(super) struct Found<'a> {
    pub(super) disks: Vec<Candidate<'a>>,
    pub(super) reasons: BTreeSet<Reason>,
}

/// Disks for the next replica.
pub(super) fn find<'a>(
    cluster: &'a Cluster,
    volume: &VolumeRequest,
    replicas: &[Replica],
) -> Found<'a> {
    let only = volume.hard_node_affinity.as_deref();
    let mut found = Found::default();
    let is_open = |node: &&Node| node.ready && node.schedulable && node.allow_scheduling;
    let open: Vec<&Node> = cluster.nodes.iter().filter(is_open).collect();
    let here = |node: &&Node| only.is_none_or(|name| node.name == name);
    let nodes: Vec<&Node> = open.iter().copied().filter(here).collect();
    if nodes.is_empty() {
        let reason = if only.is_some() {
            Reason::HardAffinity
        } else {
            Reason::NodesUnavailable
        };
        found.reasons.insert(reason);
        return found;
    }
    let settings = &cluster.settings;
    let balanced = volume.auto_balance.over(settings.auto_balance) == AutoBalance::BestEffort;
    let crowded = nodes
        .iter()
        .filter(|node| {
            balanced
                && node
                    .disks
                    .iter()
                    .any(|d| d.under_pressure(settings.disk_pressure_percentage))
        })
        .map(|node| node.name.as_str());
    let used = Used::of(&nodes, replicas, crowded);
    let tagged = |node: &Node| {
        tags_fit(
            &node.tags,
            &volume.node_selector,
            settings.allow_empty_node_selector,
        )
    };
    let node_soft = volume
        .node_anti_affinity
        .over(settings.node_soft_anti_affinity);
    let zone_soft = volume
        .zone_anti_affinity
        .over(settings.zone_soft_anti_affinity);
    let steps: &[Step] = match (zone_soft, node_soft) {
        (false, _) => &[Step::NewNodeInNewZone, Step::LeavingNodeInLeavingZone],
        (true, false) => &[Step::NewNodeInNewZone, Step::NewNode, Step::LeavingNode],
        (true, true) => &[Step::NewNodeInNewZone, Step::NewNode, Step::UsedNode],
    };
    for step in steps {
        let allowed = |node: &&Node| used.allows(*step, node) && (step.reuses() || tagged(node));
        let chosen = nodes.iter().copied().filter(allowed);
        let mut disks = Vec::new();
        for node in chosen {
            node_disks(node, settings, volume, &mut disks, &mut found.reasons);
        }
        found.disks = unshared_first(
            disks,
            replicas,
            volume
                .disk_anti_affinity
                .over(settings.disk_soft_anti_affinity),
        );
        if !found.disks.is_empty() {
            break;
        }
    }
    found
}

/// Disks among which the next replica is really placed: those of the node where the volume is used win, if one of them
/// is possible and none holds a replica yet.
pub(super) fn find_local_first<'a>(
    cluster: &'a Cluster,
    volume: &VolumeRequest,
    replicas: &[Replica],
) -> Found<'a> {
    let mut found = find(cluster, volume, replicas);
    let local = volume.attached_node.as_ref().filter(|node| {
        volume.data_locality == DataLocality::BestEffort
            && !replicas.iter().any(|r| r.node == **node && !r.failed)
    });
    if let Some(local) = local
        && found.disks.iter().any(|c| c.node.name == *local)
    {
        found.disks.retain(|c| c.node.name == *local);
    }
    found
}

/// Nodes that are tried together; a later step is tried only when the earlier ones gave no disk.
#[derive(Clone, Copy)]
enum Step {
    NewNodeInNewZone,
    NewNode,
    /// Every replica on the node is on its way out.
    LeavingNode,
    LeavingNodeInLeavingZone,
    UsedNode,
}

impl Step {
    /// The manager does not look at the tags of a node that the volume uses anyway.
    fn reuses(self) -> bool {
        matches!(self, Self::UsedNode)
    }
}

/// Nodes and zones where the volume has replicas already.
struct Used<'a> {
    nodes: BTreeMap<&'a str, bool>,
    zones: BTreeMap<&'a str, bool>,
    /// Nodes with a full disk, if balancing with best effort is on; another disk there is as good as a new node.
    crowded: BTreeSet<&'a str>,
}

impl<'a> Used<'a> {
    /// The flag says that every replica there is on its way out.
    ///
    /// A replica on a node that is not asked about (closed for scheduling, or ruled out by a hard affinity) occupies no
    /// zone: the manager does not look there.
    fn of(
        open: &[&'a Node],
        replicas: &'a [Replica],
        crowded: impl Iterator<Item = &'a str>,
    ) -> Self {
        let mut used = Self {
            nodes: BTreeMap::new(),
            zones: BTreeMap::new(),
            crowded: crowded.collect(),
        };
        for replica in replicas.iter().filter(|r| r.counts()) {
            let node = open.iter().find(|node| node.name == replica.node);
            let leaving = replica.eviction_requested;
            let note = |map: &mut BTreeMap<&'a str, bool>, key: &'a str| {
                map.entry(key)
                    .and_modify(|all| *all &= leaving)
                    .or_insert(leaving);
            };
            if let Some(node) = node {
                note(&mut used.nodes, &node.name);
                note(&mut used.zones, &node.zone);
            }
        }
        used
    }

    fn allows(&self, step: Step, node: &Node) -> bool {
        let of_node = self.nodes.get(node.name.as_str());
        let of_zone = self.zones.get(node.zone.as_str());
        match step {
            Step::NewNodeInNewZone => of_node.is_none() && of_zone.is_none(),
            Step::NewNode => of_node.is_none() || self.crowded.contains(node.name.as_str()),
            Step::LeavingNode => of_node == Some(&true),
            Step::LeavingNodeInLeavingZone => of_node == Some(&true) && of_zone == Some(&true),
            Step::UsedNode => of_node.is_some(),
        }
    }
}

fn node_disks<'a>(
    node: &'a Node,
    settings: &SchedulingSettings,
    volume: &VolumeRequest,
    disks: &mut Vec<Candidate<'a>>,
    reasons: &mut BTreeSet<Reason>,
) {
    let kind = match volume.engine {
        DataEngine::V1 => DiskKind::Filesystem,
        DataEngine::V2 => DiskKind::Block,
    };
    let is_open =
        |disk: &&Disk| disk.allow_scheduling && !disk.eviction_requested && disk.schedulable;
    let mut open = node.disks.iter().filter(is_open).peekable();
    if open.peek().is_none() {
        reasons.insert(Reason::DisksUnavailable);
        return;
    }
    for disk in open {
        if disk.kind != kind {
            reasons.insert(Reason::DisksUnavailable);
            continue;
        }
        if disk.filesystem == "ext4" && volume.size >= EXT4_LIMIT {
            reasons.insert(Reason::IncompatibleSize);
        } else if !tags_fit(
            &disk.tags,
            &volume.disk_selector,
            settings.allow_empty_disk_selector,
        ) {
            reasons.insert(Reason::TagsNotFulfilled);
        } else if !has_room(disk, settings, volume.size, volume.actual_size) {
            reasons.insert(Reason::InsufficientStorage);
        } else {
            disks.push(Candidate { node, disk });
        }
    }
}

/// The two rules of space: what is really free after the data came, and what was promised in all.
pub(super) fn has_room(disk: &Disk, settings: &SchedulingSettings, size: u64, actual: u64) -> bool {
    let (maximum, available) = (i128::from(disk.maximum), i128::from(disk.available));
    let floor = percent_wide(maximum, settings.minimal_available_percentage);
    let space = maximum > 0 && available > 0 && available - i128::from(actual) > floor;
    space && i128::from(size) <= disk.headroom(settings)
}

/// Every wish must be a tag; without a wish, tagged places are open only if the setting says so.
fn tags_fit(tags: &[String], wishes: &[String], allow_empty: bool) -> bool {
    if wishes.is_empty() {
        return allow_empty || tags.is_empty();
    }
    wishes.iter().all(|wish| tags.contains(wish))
}

/// Disks without a replica of the volume win; where sharing is allowed and none is left, any disk will do.
fn unshared_first<'a>(
    disks: Vec<Candidate<'a>>,
    replicas: &[Replica],
    soft: bool,
) -> Vec<Candidate<'a>> {
    let shared = |disk: &Disk| replicas.iter().any(|r| r.disk == disk.id && r.counts());
    if soft && disks.iter().all(|c| shared(c.disk)) {
        return disks;
    }
    disks.into_iter().filter(|c| !shared(c.disk)).collect()
}
