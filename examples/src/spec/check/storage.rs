//! Replicated storage: tags, copies, room.

use std::collections::{BTreeMap, BTreeSet};

use super::Check;
use crate::component::Catalogue;
use crate::spec::Spec;
use crate::spec::decode::nearest;
use crate::spec::node::Node;
use crate::spec::quantity::Bytes;
use crate::spec::storage::{Locality, StorageClass};
use crate::stage::longhorn;

/// All that the placement of volumes rests on.
const BASIS: [&str; 7] = [
    "storage",
    "nodes[].longhornDisk",
    "nodes[].role",
    "nodes[].name",
    "components",
    "tier",
    "backup",
];

pub(super) fn run(check: &mut Check<'_, '_>) {
    let spec = check.spec;
    defaults(check);
    let disks: Vec<&Node> = spec
        .workers()
        .filter(|node| node.longhorn_disk.is_some())
        .collect();
    let known: BTreeSet<&str> = disks
        .iter()
        .filter_map(|node| node.longhorn_disk.as_ref())
        .flat_map(|disk| &disk.tags)
        .map(String::as_str)
        .collect();
    let mut sound = true;
    for (index, class) in spec.storage.classes.iter().enumerate() {
        sound &= judge(check, index, class, &disks, &known);
    }
    sound &= claims(check);
    percentages(check);
    // Room is counted only where each class alone makes sense: the rest would follow from what was said.
    if sound && spec.components.longhorn.enabled {
        room(check);
    }
    for node in spec
        .control_planes()
        .filter(|node| node.longhorn_disk.is_some())
    {
        check
            .warning("disk-unused", format!("{}.longhornDisk", node.source), format!("{} is a control plane: it takes no workloads, so its Longhorn disk stays empty", node.name))
            .needs(format!("{}.role", node.source))
            .help("longhornDisk only on workers")
            .done();
    }
}

fn defaults(check: &mut Check<'_, '_>) {
    let classes = &check.spec.storage.classes;
    let defaults: Vec<(usize, &StorageClass)> = classes
        .iter()
        .enumerate()
        .filter(|(_, class)| class.default)
        .collect();
    match defaults.as_slice() {
        [] if !classes.is_empty() => check
            .error(
                "default-class-count",
                "storage.classes",
                "no default storage class: claims that name none would wait for ever",
            )
            .rests_on(&["storage.classes"])
            .help("default: true on one of them")
            .done(),
        [] | [_] => {}
        [(first, _), (second, _), ..] => {
            let names: Vec<&str> = defaults
                .iter()
                .map(|(_, class)| class.name.as_str())
                .collect();
            check
                .error(
                    "default-class-count",
                    format!("storage.classes[{second}].default"),
                    format!(
                        "{} default storage classes: {}",
                        number(names.len()),
                        names.join(", ")
                    ),
                )
                .also(format!("storage.classes[{first}].default"), "the first")
                .help("default: true on exactly one of them")
                .done();
        }
    }
}

fn number(count: usize) -> String {
    match count {
        2 => "two".into(),
        3 => "three".into(),
        more => more.to_string(),
    }
}

/// Whether the class can have any volume at all.
fn judge(
    check: &mut Check<'_, '_>,
    index: usize,
    class: &StorageClass,
    disks: &[&Node],
    known: &BTreeSet<&str>,
) -> bool {
    let path = format!("storage.classes[{index}]");
    let mut sound = true;
    if !(1..=20).contains(&class.replicas) {
        check
            .error(
                "replicas-range",
                format!("{path}.replicas"),
                format!(
                    "storageClass \"{}\" keeps {} replicas; Longhorn takes 1 to 20",
                    class.name, class.replicas
                ),
            )
            .help(format!("replicas: {}", check_replicas(class.replicas)))
            .done();
        return false;
    }
    if class.data_locality == Locality::StrictLocal && class.replicas != 1 {
        check
            .error(
                "locality-conflict",
                format!("{path}.dataLocality"),
                "dataLocality strict-local needs numberOfReplicas 1",
            )
            .also(format!("{path}.replicas"), format!("{}", class.replicas))
            .help("replicas: 1, or dataLocality: best-effort")
            .done();
        sound = false;
    }
    if !check.spec.components.longhorn.enabled {
        return sound;
    }
    for (at, tag) in class.disk_tags.iter().enumerate() {
        if !known.contains(tag.as_str()) {
            let words: Vec<&str> = known.iter().copied().collect();
            let near =
                nearest(tag, &words).unwrap_or_else(|| words.first().copied().unwrap_or("ssd"));
            check
                .error(
                    "tag-unknown",
                    format!("{path}.diskTags[{at}]"),
                    format!("storageClass \"{}\" wants disks tagged \"{tag}\"; no declared disk has that tag (known: {})", class.name, words.join(", ")),
                )
                .rests_on(&[&format!("{path}.diskTags"), "nodes[].longhornDisk", "nodes[].role"])
                .help(format!("diskTags: [{near}], or the tag on a longhornDisk"))
                .done();
            sound = false;
        }
    }
    let fitting = disks.iter().filter(|node| fits(node, class)).count();
    if sound && fitting < class.replicas as usize {
        let which = if class.disk_tags.is_empty() {
            "Longhorn disks".to_owned()
        } else {
            format!(
                "Longhorn disks tagged \"{}\"",
                class.disk_tags.join("\", \"")
            )
        };
        check
            .error(
                "replicas-gt-storage-nodes",
                format!("{path}.replicas"),
                format!(
                    "storageClass \"{}\" keeps {} replicas, but only {fitting} nodes have {which}",
                    class.name, class.replicas
                ),
            )
            .rests_on(&[
                &path,
                "nodes[].longhornDisk",
                "nodes[].role",
                "nodes[].name",
            ])
            .help(if fitting == 0 {
                "a longhornDisk on the workers".to_owned()
            } else {
                format!("replicas: {fitting}, or more nodes with such a disk")
            })
            .done();
        sound = false;
    }
    sound
}

fn check_replicas(replicas: u32) -> u32 {
    replicas.clamp(1, 3)
}

fn fits(node: &Node, class: &StorageClass) -> bool {
    node.longhorn_disk
        .as_ref()
        .is_some_and(|disk| class.disk_tags.iter().all(|tag| disk.tags.contains(tag)))
}

fn claims(check: &mut Check<'_, '_>) -> bool {
    let spec = check.spec;
    let mut words: Vec<&str> = spec
        .storage
        .classes
        .iter()
        .map(|class| class.name.as_str())
        .collect();
    if spec.components.proxmox_csi.enabled {
        words.push("proxmox-csi");
    }
    let mut sound = true;
    let mut asked: Vec<(String, &str)> = Vec::new();
    for (index, claim) in spec.storage.claims.iter().enumerate() {
        asked.push((format!("storage.claims[{index}].class"), &claim.class));
    }
    for component in &check.catalogue.components {
        if let Some((key, wishes)) = spec.components.get(&component.name) {
            asked.extend(
                wishes
                    .storage_class
                    .map(|class| (format!("components.{key}.storageClass"), class)),
            );
        }
    }
    for (path, class) in asked {
        if !words.contains(&class) {
            let near = nearest(class, &words)
                .map_or_else(String::new, |near| format!("; did you mean \"{near}\"?"));
            check
                .error(
                    "unknown-class",
                    &path,
                    format!("{path} \"{class}\" is not one of storage.classes{near}"),
                )
                .rests_on(&[&path, "storage.classes[].name"])
                .help(format!("one of {}", words.join(", ")))
                .done();
            sound = false;
        }
    }
    sound
}

fn percentages(check: &mut Check<'_, '_>) {
    let storage = &check.spec.storage;
    for (key, value) in [
        ("minimalAvailable", storage.minimal_available),
        ("reserved", storage.reserved),
    ] {
        if value > 100 {
            check
                .error(
                    "percent-range",
                    format!("storage.{key}"),
                    format!("storage.{key} {value} is not a share of 100"),
                )
                .help(format!("{key}: 25"))
                .done();
        }
    }
    for (index, job) in storage.recurring_jobs.iter().enumerate() {
        if !(1..=250).contains(&job.retain) {
            check
                .error(
                    "retain-range",
                    format!("storage.recurringJobs[{index}].retain"),
                    format!(
                        "recurring job \"{}\" retains {}; Longhorn takes 1 to 250",
                        job.name, job.retain
                    ),
                )
                .help("retain: 7")
                .done();
        }
    }
}

fn room(check: &mut Check<'_, '_>) {
    let (spec, catalogue) = (check.spec, check.catalogue);
    let plan = longhorn::capacity(spec, catalogue);
    let wanted = longhorn::volumes(spec, catalogue);
    let class_of: BTreeMap<&str, &str> = wanted
        .iter()
        .map(|volume| (volume.name.as_str(), volume.class.as_str()))
        .collect();
    let short: BTreeSet<&str> = plan
        .volumes
        .iter()
        .filter(|volume| volume.unplaced > 0)
        .filter_map(|volume| class_of.get(volume.volume.as_str()).copied())
        .collect();
    for class in spec
        .storage
        .classes
        .iter()
        .filter(|class| short.contains(class.name.as_str()))
    {
        let need: Bytes = wanted
            .iter()
            .filter(|volume| volume.class == class.name.as_str())
            .map(|volume| volume.size)
            .sum();
        let share = u64::from(spec.storage.over_provisioning);
        let offer: Bytes = spec
            .workers()
            .filter(|node| fits(node, class))
            .filter_map(|node| node.longhorn_disk.as_ref())
            .map(|disk| Bytes::new(disk.size.get() / 100 * share))
            .sum();
        let which = if class.disk_tags.is_empty() {
            "all disks".to_owned()
        } else {
            format!("disks tagged \"{}\"", class.disk_tags.join("\", \""))
        };
        let first = spec
            .storage
            .claims
            .iter()
            .position(|claim| claim.class == class.name.as_str());
        let path = first.map_or_else(
            || "storage.classes".to_owned(),
            |index| format!("storage.claims[{index}].size"),
        );
        check
            .error(
                "capacity",
                path,
                format!(
                    "claims on \"{}\" need {} × {}, {which} offer {} and keep {}% free",
                    class.name,
                    need.about(),
                    class.replicas,
                    offer.about(),
                    spec.storage.minimal_available
                ),
            )
            .rests_on(&BASIS)
            .help(largest(spec, catalogue, class))
            .done();
    }
    if !short.is_empty() {
        return;
    }
    for loss in &plan.losses {
        let stuck: Vec<&str> = loss
            .degraded
            .iter()
            .map(|(volume, _)| volume.as_str())
            .collect();
        // As many copies as nodes cannot be rebuilt by definition: small clusters know that.
        let meant = stuck.iter().all(|volume| {
            class_of
                .get(volume)
                .and_then(|name| {
                    spec.storage
                        .classes
                        .iter()
                        .find(|class| class.name.as_str() == *name)
                })
                .is_some_and(|class| {
                    spec.workers().filter(|node| fits(node, class)).count()
                        <= class.replicas as usize
                })
        });
        if !stuck.is_empty() && !meant {
            check
                .warning(
                    "rebuild-room",
                    "storage.claims",
                    format!(
                        "after losing {} there is no room to rebuild {}",
                        loss.node,
                        stuck.join(", ")
                    ),
                )
                .rests_on(&BASIS)
                .help("larger disks, fewer replicas, or one more node with such a disk")
                .done();
            return;
        }
    }
}

fn largest(spec: &Spec, catalogue: &Catalogue, class: &StorageClass) -> String {
    let mut volumes = longhorn::volumes(spec, catalogue);
    volumes.retain(|volume| volume.class == class.name.as_str());
    volumes.sort_by_key(|volume| std::cmp::Reverse(volume.size));
    let names: Vec<String> = volumes
        .iter()
        .take(3)
        .map(|volume| format!("{} {}", volume.name, volume.size.about()))
        .collect();
    format!(
        "larger or more disks, or smaller claims (largest: {})",
        names.join(", ")
    )
}
