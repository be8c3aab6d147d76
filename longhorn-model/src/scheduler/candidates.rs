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
    find_among(
        cluster,
        volume,
        replicas,
        volume.hard_node_affinity.as_deref(),
    )
}

/// Disks among which the next replica is really placed: the volume controller first tries to have one where the volume
/// is used.
pub(super) fn find_local_first<'a>(
    cluster: &'a Cluster,
    volume: &VolumeRequest,
    replicas: &[Replica],
) -> Found<'a> {
    let local = volume.attached_node.as_ref().filter(|node| {
        volume.data_locality == DataLocality::BestEffort
            && volume.hard_node_affinity.is_none()
            && !replicas.iter().any(|r| r.node == **node && r.counts())
    });
    if let Some(local) = local {
        let found = find_among(cluster, volume, replicas, Some(local));
        if !found.disks.is_empty() {
            return found;
        }
    }
    find(cluster, volume, replicas)
}

fn find_among<'a>(
    cluster: &'a Cluster,
    volume: &VolumeRequest,
    replicas: &[Replica],
    only: Option<&str>,
) -> Found<'a> {
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
    let used = Used::of(&nodes, replicas, |replica| leaves(cluster, volume, replica));
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
        found.disks = fewest_replicas(
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

/// Whether a replica is on its way out: it is to be evicted, or balancing wants it off a full disk.
fn leaves(cluster: &Cluster, volume: &VolumeRequest, replica: &Replica) -> bool {
    let settings = &cluster.settings;
    let balanced = volume.auto_balance.over(settings.auto_balance) == AutoBalance::BestEffort;
    let pressed = |disk: &Disk| disk.under_pressure(settings.disk_pressure_percentage);
    replica.eviction_requested || (balanced && cluster.disk(&replica.disk).is_some_and(pressed))
}

/// Nodes and zones where the volume has replicas already.
struct Used<'a> {
    nodes: BTreeMap<&'a str, bool>,
    zones: BTreeMap<&'a str, bool>,
}

impl<'a> Used<'a> {
    /// The flag says that every replica there is on its way out.
    ///
    /// A replica on a node that is not asked about (closed for scheduling, or ruled out by a hard affinity) occupies no
    /// zone: the manager does not look there.
    fn of(open: &[&'a Node], replicas: &'a [Replica], leaves: impl Fn(&Replica) -> bool) -> Self {
        let mut used = Self {
            nodes: BTreeMap::new(),
            zones: BTreeMap::new(),
        };
        for replica in replicas.iter().filter(|r| r.counts()) {
            let node = open.iter().find(|node| node.name == replica.node);
            let leaving = leaves(replica);
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
            Step::NewNode => of_node.is_none(),
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
    let mut open = node
        .disks
        .iter()
        .filter(|disk| disk.allow_scheduling && !disk.eviction_requested && disk.schedulable)
        .peekable();
    if open.peek().is_none() {
        reasons.insert(Reason::DisksUnavailable);
        return;
    }
    for disk in open {
        let engine_fits = match volume.engine {
            DataEngine::V1 => disk.kind == DiskKind::Filesystem,
            DataEngine::V2 => disk.kind == DiskKind::Block,
        };
        if !engine_fits {
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

/// Disks without a replica of the volume win; shared ones are taken only where sharing is allowed.
fn fewest_replicas<'a>(
    disks: Vec<Candidate<'a>>,
    replicas: &[Replica],
    soft: bool,
) -> Vec<Candidate<'a>> {
    let count = |disk: &Disk| {
        replicas
            .iter()
            .filter(|r| r.disk == disk.id && r.counts())
            .count()
    };
    let least = disks.iter().map(|c| count(c.disk)).min();
    match least {
        Some(least) if least == 0 || soft => disks
            .into_iter()
            .filter(|c| count(c.disk) == least)
            .collect(),
        _ => Vec::new(),
    }
}
