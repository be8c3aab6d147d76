//! From what is wanted to parameters.

use indexmap::IndexMap;

use super::{AccessMode, DEFAULT_STALE_REPLICA_TIMEOUT, DataEngine, VolumeParameters};
use crate::model::Field;

impl VolumeParameters {
    /// Parameters that say this; what equals the driver's default is left out.
    #[must_use]
    pub fn to_parameters(&self) -> IndexMap<String, String> {
        let mut map = IndexMap::new();
        let mut put = |name: &str, value: Option<String>| {
            if let Some(value) = value {
                map.insert(name.to_owned(), value);
            }
        };
        let yes = |value: bool| value.then(|| "true".to_owned());
        put(
            "numberOfReplicas",
            self.number_of_replicas.map(|n| n.to_string()),
        );
        let timeout =
            Some(self.stale_replica_timeout).filter(|n| *n != DEFAULT_STALE_REPLICA_TIMEOUT);
        put("staleReplicaTimeout", timeout.map(|n| n.to_string()));
        put(
            "dataLocality",
            self.data_locality.as_ref().map(ToString::to_string),
        );
        put(
            "replicaAutoBalance",
            self.replica_auto_balance.as_ref().map(ToString::to_string),
        );
        put(
            "replicaSoftAntiAffinity",
            self.replica_soft_anti_affinity
                .as_ref()
                .map(ToString::to_string),
        );
        put(
            "replicaZoneSoftAntiAffinity",
            self.replica_zone_soft_anti_affinity
                .as_ref()
                .map(ToString::to_string),
        );
        put(
            "replicaDiskSoftAntiAffinity",
            self.replica_disk_soft_anti_affinity
                .as_ref()
                .map(ToString::to_string),
        );
        put(
            "diskSelector",
            self.disk_selector.as_ref().map(|tags| tags.join(",")),
        );
        put(
            "nodeSelector",
            self.node_selector.as_ref().map(|tags| tags.join(",")),
        );
        put(
            "recurringJobSelector",
            self.recurring_job_selector
                .as_ref()
                .map(|jobs| jobs.write().to_string()),
        );
        put("fromBackup", self.from_backup.clone());
        put("backupTargetName", self.backup_target_name.clone());
        put(
            "backupBlockSize",
            self.backup_block_size.map(|size| size.to_string()),
        );
        put("backingImage", self.backing_image.clone());
        put(
            "unmapMarkSnapChainRemoved",
            self.unmap_mark_snap_chain_removed
                .as_ref()
                .map(ToString::to_string),
        );
        put(
            "freezeFilesystemForSnapshot",
            self.freeze_filesystem_for_snapshot
                .as_ref()
                .map(ToString::to_string),
        );
        put(
            "disableRevisionCounter",
            (!self.revision_counter_disabled).then(|| "false".to_owned()),
        );
        put("encrypted", yes(self.encrypted));
        put("migratable", yes(self.migratable));
        put("share", yes(self.access_mode == AccessMode::ReadWriteMany));
        put(
            "exclusive",
            yes(self.access_mode == AccessMode::ReadWriteOncePod),
        );
        let engine = Some(&self.data_engine).filter(|engine| **engine != DataEngine::V1);
        put("dataEngine", engine.map(ToString::to_string));
        put("dataSource", self.data_source.clone());
        put("cloneMode", self.clone_mode.clone());
        put("frontend", self.frontend.clone());
        put(
            "ublkQueueDepth",
            self.ublk_queue_depth.map(|n| n.to_string()),
        );
        put(
            "ublkNumberOfQueue",
            self.ublk_number_of_queue.map(|n| n.to_string()),
        );
        if let Some(layout) = &self.data_layout {
            put("dataLayout.type", layout.layout.clone());
            put("dataLayout.mode", layout.mode.clone());
            put(
                "dataLayout.dataChunks",
                layout.data_chunks.map(|n| n.to_string()),
            );
            put(
                "dataLayout.parityChunks",
                layout.parity_chunks.map(|n| n.to_string()),
            );
            put(
                "dataLayout.stripSizeKB",
                layout.strip_size_kb.map(|n| n.to_string()),
            );
        }
        for (name, value) in &self.others {
            map.entry(name.clone()).or_insert_with(|| value.clone());
        }
        map
    }
}
