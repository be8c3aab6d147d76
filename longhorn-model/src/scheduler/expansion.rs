//! Whether a volume may grow where it is, and what the scheduler sees of Node objects.

use std::collections::BTreeMap;

use super::{Cluster, Disk, DiskKind, Node, Reason, Replica, percent_wide};
use crate::resources::{self, DiskType};

impl Cluster {
    /// Checks whether every disk that holds replicas of a volume has room for them to grow by some bytes each, as the
    /// manager of 1.12 does before it expands a volume.
    ///
    /// # Errors
    /// The disks that lack room, by id.
    pub fn can_expand(
        &self,
        replicas: &[Replica],
        bytes: u64,
    ) -> Result<(), BTreeMap<String, Reason>> {
        let mut growth: BTreeMap<&str, i128> = BTreeMap::new();
        for replica in replicas {
            *growth.entry(&replica.disk).or_default() += i128::from(bytes);
        }
        let short = growth.into_iter().filter_map(|(id, bytes)| {
            let reason = match self.disk(id) {
                None => Reason::DisksUnavailable,
                Some(disk) if self.has_room_to_grow(disk, bytes) => return None,
                Some(_) => Reason::InsufficientStorage,
            };
            Some((id.to_owned(), reason))
        });
        let short: BTreeMap<String, Reason> = short.collect();
        if short.is_empty() { Ok(()) } else { Err(short) }
    }

    fn has_room_to_grow(&self, disk: &Disk, bytes: i128) -> bool {
        let settings = &self.settings;
        let (maximum, available) = (i128::from(disk.maximum), i128::from(disk.available));
        let reserved = i128::from(disk.reserved);
        let floor = percent_wide(maximum, settings.minimal_available_percentage);
        let used = maximum - available - reserved + bytes;
        maximum > 0
            && available > floor
            && maximum - used >= floor
            && used <= percent_wide(maximum - reserved, settings.over_provisioning_percentage)
            && bytes <= disk.headroom(settings)
    }
}

impl Node {
    /// What the scheduler sees of a Node object before Longhorn has looked at its disks: sizes come from the caller, by
    /// the name of the disk; a disk without a size is left out.
    #[must_use]
    pub fn from_object(
        object: &resources::Node,
        zone: &str,
        sizes: &BTreeMap<String, u64>,
    ) -> Self {
        let spec = &object.body.spec;
        let mut node = Self::new(object.name())
            .zone(zone)
            .tags(spec.tags.clone().unwrap_or_default())
            .allow_scheduling(spec.allow_scheduling.unwrap_or(true));
        for (name, disk) in spec.disks.iter().flatten() {
            let Some(size) = sizes.get(name) else {
                continue;
            };
            let kind = match disk.disk_type {
                Some(DiskType::Block) => DiskKind::Block,
                _ => DiskKind::Filesystem,
            };
            let reserved = disk
                .storage_reserved
                .and_then(|bytes| u64::try_from(bytes).ok());
            let leaving =
                spec.eviction_requested == Some(true) || disk.eviction_requested == Some(true);
            node = node.disk(
                Disk::new(format!("{}/{name}", object.name()), *size)
                    .tags(disk.tags.clone().unwrap_or_default())
                    .reserved(reserved.unwrap_or(0))
                    .kind(kind)
                    .allow_scheduling(disk.allow_scheduling.unwrap_or(true))
                    .eviction_requested(leaving),
            );
        }
        node
    }
}
