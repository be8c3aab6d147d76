//! StorageClasses of Longhorn: the parameters as typed values, in both directions.
//!
//! The parameters of a class are texts that the CSI driver reads when a claim is made; a misspelt one is ignored without
//! a word, a wrong value fails the claim much later. [`VolumeParameters`] reads them as the driver does, says which
//! ones it would ignore, and writes them.

mod read;
mod volume;
mod write;

pub use volume::{MINIMUM_SIZE, MINIMUM_XFS_SIZE, SIZE_STEP, volume_size};

use serde_json::{Map, Value, json};

use crate::error::{Error, Problem};
use crate::model::{self, model, open_enum};
use crate::object::{Kind, Object, sealed};

/// The provisioner of Longhorn's classes.
pub const PROVISIONER: &str = "driver.longhorn.io";

/// Annotation that makes a class the default one.
pub const DEFAULT_CLASS_ANNOTATION: &str = "storageclass.kubernetes.io/is-default-class";

/// A class of storage.
pub type StorageClass = Object<StorageClassBody>;

/// The body of a [`StorageClass`]; its fields stand at the top level of the object.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct StorageClassBody {
    /// Name of the driver.
    pub provisioner: String,
    /// Parameters for the driver, all texts.
    pub parameters: Option<indexmap::IndexMap<String, String>>,
    /// What happens to a volume whose claim goes.
    pub reclaim_policy: Option<ReclaimPolicy>,
    /// Whether claims may grow.
    pub allow_volume_expansion: Option<bool>,
    /// When a volume is made.
    pub volume_binding_mode: Option<VolumeBindingMode>,
    /// Options for mounting.
    pub mount_options: Option<Vec<String>>,
    /// Where volumes may be.
    pub allowed_topologies: Option<Value>,
}

open_enum! {
    /// What happens to a volume whose claim goes.
    #[derive(Default)]
    pub enum ReclaimPolicy {
        /// It goes too.
        #[default]
        Delete = "Delete",
        /// It stays.
        Retain = "Retain",
    }

    /// When a volume is made.
    #[derive(Default)]
    pub enum VolumeBindingMode {
        /// As soon as it is claimed.
        #[default]
        Immediate = "Immediate",
        /// When a pod that uses it has a node.
        WaitForFirstConsumer = "WaitForFirstConsumer",
    }

    /// Whether a replica is kept where the volume is used.
    #[derive(Default)]
    pub enum DataLocality {
        /// No matter.
        #[default]
        Disabled = "disabled",
        /// One replica there, if there is room.
        BestEffort = "best-effort",
        /// The only replica there.
        StrictLocal = "strict-local",
    }

    /// Whether replicas are moved to even out nodes and zones.
    #[derive(Default)]
    pub enum ReplicaAutoBalance {
        /// The setting decides.
        #[default]
        Ignored = "ignored",
        /// Never.
        Disabled = "disabled",
        /// As few moves as needed for redundancy.
        LeastEffort = "least-effort",
        /// As even as possible.
        BestEffort = "best-effort",
    }

    /// A volume's own answer to a question that a setting answers too.
    #[derive(Default)]
    pub enum Choice {
        /// The setting decides.
        #[default]
        Ignored = "ignored",
        /// Yes.
        Enabled = "enabled",
        /// No.
        Disabled = "disabled",
    }

    /// Who may use a volume at once.
    #[derive(Default)]
    pub enum AccessMode {
        /// One node.
        #[default]
        ReadWriteOnce = "rwo",
        /// One pod.
        ReadWriteOncePod = "rwop",
        /// Many, through a share manager.
        ReadWriteMany = "rwx",
    }

    /// Engine of a volume.
    #[derive(Default)]
    pub enum DataEngine {
        /// The first engine.
        #[default]
        V1 = "v1",
        /// The engine on SPDK.
        V2 = "v2",
    }
}

model! {
    /// A recurring job, or a group of them, that a new volume takes part in.
    pub struct RecurringJobSelector {
        /// Name of the job or group.
        req name: String = "name",
        /// It is a group.
        opt is_group: bool = "isGroup",
    }

    /// How data is spread over disks (1.12, v2 engine).
    pub struct DataLayout {
        /// `replicated` or `sharded`.
        opt layout: String = "type",
        /// `raid1` or `erasureCoding`.
        opt mode: String = "mode",
        /// Chunks of data.
        opt data_chunks: i64 = "dataChunks",
        /// Chunks of parity.
        opt parity_chunks: i64 = "parityChunks",
        /// KiB in a strip.
        opt strip_size_kb: i64 = "stripSizeKB",
    }
}

/// Minutes after which a failed replica is given up, unless a class says otherwise.
pub const DEFAULT_STALE_REPLICA_TIMEOUT: u32 = 2880;

/// What a class asks of its volumes.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct VolumeParameters {
    /// Replicas; none is the setting `default-replica-count`.
    pub number_of_replicas: Option<u32>,
    /// Minutes after which a failed replica is given up.
    pub stale_replica_timeout: u32,
    /// Whether a replica is kept where the volume is used.
    pub data_locality: Option<DataLocality>,
    /// Whether replicas are moved to even out nodes.
    pub replica_auto_balance: Option<ReplicaAutoBalance>,
    /// Whether replicas may share a node.
    pub replica_soft_anti_affinity: Option<Choice>,
    /// Whether replicas may share a zone.
    pub replica_zone_soft_anti_affinity: Option<Choice>,
    /// Whether replicas may share a disk.
    pub replica_disk_soft_anti_affinity: Option<Choice>,
    /// Tags that a disk must have; taken as written, blanks included.
    pub disk_selector: Option<Vec<String>>,
    /// Tags that a node must have; taken as written, blanks included.
    pub node_selector: Option<Vec<String>>,
    /// Recurring jobs.
    pub recurring_job_selector: Option<Vec<RecurringJobSelector>>,
    /// Backup to begin with.
    pub from_backup: Option<String>,
    /// Where backups go.
    pub backup_target_name: Option<String>,
    /// Bytes in a block of a backup.
    pub backup_block_size: Option<i64>,
    /// Image to begin with.
    pub backing_image: Option<String>,
    /// Whether trimming drops snapshots' blocks.
    pub unmap_mark_snap_chain_removed: Option<Choice>,
    /// Whether the filesystem is frozen for a snapshot.
    pub freeze_filesystem_for_snapshot: Option<Choice>,
    /// No revision counter is kept.
    pub revision_counter_disabled: bool,
    /// Encrypted.
    pub encrypted: bool,
    /// Can move between nodes while attached (ReadWriteMany block volumes).
    pub migratable: bool,
    /// Who may use it at once.
    pub access_mode: AccessMode,
    /// Engine.
    pub data_engine: DataEngine,
    /// Layout over disks.
    pub data_layout: Option<DataLayout>,
    /// Source to clone.
    pub data_source: Option<String>,
    /// How to clone.
    pub clone_mode: Option<String>,
    /// How nodes see it.
    pub frontend: Option<String>,
    /// Requests in flight of a ublk device.
    pub ublk_queue_depth: Option<i64>,
    /// Queues of a ublk device.
    pub ublk_number_of_queue: Option<i64>,
    /// Parameters that are no property of the volume: filesystem, mount, topology, Secrets.
    pub others: indexmap::IndexMap<String, String>,
}

impl Default for VolumeParameters {
    fn default() -> Self {
        Self {
            number_of_replicas: None,
            stale_replica_timeout: DEFAULT_STALE_REPLICA_TIMEOUT,
            data_locality: None,
            replica_auto_balance: None,
            replica_soft_anti_affinity: None,
            replica_zone_soft_anti_affinity: None,
            replica_disk_soft_anti_affinity: None,
            disk_selector: None,
            node_selector: None,
            recurring_job_selector: None,
            from_backup: None,
            backup_target_name: None,
            backup_block_size: None,
            backing_image: None,
            unmap_mark_snap_chain_removed: None,
            freeze_filesystem_for_snapshot: None,
            revision_counter_disabled: true,
            encrypted: false,
            migratable: false,
            access_mode: AccessMode::ReadWriteOnce,
            data_engine: DataEngine::V1,
            data_layout: None,
            data_source: None,
            clone_mode: None,
            frontend: None,
            ublk_queue_depth: None,
            ublk_number_of_queue: None,
            others: indexmap::IndexMap::new(),
        }
    }
}

impl VolumeParameters {
    /// Parameters with the driver's defaults and a number of replicas.
    #[must_use]
    pub fn replicas(number: u32) -> Self {
        Self {
            number_of_replicas: Some(number),
            ..Self::default()
        }
    }

    /// Sets data locality.
    #[must_use]
    pub fn data_locality(mut self, locality: DataLocality) -> Self {
        self.data_locality = Some(locality);
        self
    }

    /// Sets the tags that a disk must have.
    #[must_use]
    pub fn disk_selector<T: Into<String>>(mut self, tags: impl IntoIterator<Item = T>) -> Self {
        self.disk_selector = Some(tags.into_iter().map(Into::into).collect());
        self
    }

    /// Sets the tags that a node must have.
    #[must_use]
    pub fn node_selector<T: Into<String>>(mut self, tags: impl IntoIterator<Item = T>) -> Self {
        self.node_selector = Some(tags.into_iter().map(Into::into).collect());
        self
    }

    /// Adds a recurring job or group.
    #[must_use]
    pub fn recurring_job(mut self, name: impl Into<String>, is_group: bool) -> Self {
        let selector = RecurringJobSelector::new().name(name).is_group(is_group);
        self.recurring_job_selector
            .get_or_insert_default()
            .push(selector);
        self
    }

    /// Sets a parameter that is no property of the volume, such as `fsType` or a Secret's name.
    #[must_use]
    pub fn other(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.others.insert(name.into(), value.into());
        self
    }

    /// What the volume will be asked to be, in the names of the manager's API; fields without a value left out.
    #[must_use]
    pub fn to_json(&self) -> Value {
        let mut map = Map::new();
        map.insert("accessMode".to_owned(), json!(self.access_mode.as_str()));
        map.insert("dataEngine".to_owned(), json!(self.data_engine.as_str()));
        map.insert(
            "staleReplicaTimeout".to_owned(),
            json!(self.stale_replica_timeout),
        );
        let mut put = |name: &str, value: Option<Value>| {
            if let Some(value) = value {
                map.insert(name.to_owned(), value);
            }
        };
        let text =
            |value: &Option<String>| value.as_ref().filter(|t| !t.is_empty()).map(|t| json!(t));
        let choice = |value: &Option<Choice>| value.as_ref().map(|c| json!(c.as_str()));
        let yes = |value: bool| value.then_some(Value::Bool(true));
        put(
            "numberOfReplicas",
            self.number_of_replicas.filter(|n| *n > 0).map(|n| json!(n)),
        );
        put(
            "dataLocality",
            self.data_locality.as_ref().map(|l| json!(l.as_str())),
        );
        put(
            "replicaAutoBalance",
            self.replica_auto_balance
                .as_ref()
                .map(|l| json!(l.as_str())),
        );
        put(
            "replicaSoftAntiAffinity",
            choice(&self.replica_soft_anti_affinity),
        );
        put(
            "replicaZoneSoftAntiAffinity",
            choice(&self.replica_zone_soft_anti_affinity),
        );
        put(
            "replicaDiskSoftAntiAffinity",
            choice(&self.replica_disk_soft_anti_affinity),
        );
        put(
            "diskSelector",
            self.disk_selector.as_ref().map(|tags| json!(tags)),
        );
        put(
            "nodeSelector",
            self.node_selector.as_ref().map(|tags| json!(tags)),
        );
        put(
            "recurringJobSelector",
            self.recurring_job_selector.as_ref().map(|jobs| {
                let jobs = jobs.iter().map(|job| match job.is_group {
                    Some(true) => json!({"name": job.name, "isGroup": true}),
                    _ => json!({"name": job.name}),
                });
                Value::Array(jobs.collect())
            }),
        );
        put("fromBackup", text(&self.from_backup));
        put("backupTargetName", text(&self.backup_target_name));
        put(
            "backupBlockSize",
            self.backup_block_size.map(|size| json!(size.to_string())),
        );
        put("backingImage", text(&self.backing_image));
        put(
            "unmapMarkSnapChainRemoved",
            choice(&self.unmap_mark_snap_chain_removed),
        );
        put(
            "freezeFilesystemForSnapshot",
            choice(&self.freeze_filesystem_for_snapshot),
        );
        put(
            "revisionCounterDisabled",
            yes(self.revision_counter_disabled),
        );
        put("encrypted", yes(self.encrypted));
        put("migratable", yes(self.migratable));
        put(
            "dataLayout",
            self.data_layout.as_ref().map(model::Field::write),
        );
        put("dataSource", text(&self.data_source));
        put("cloneMode", text(&self.clone_mode));
        put("frontend", text(&self.frontend));
        put(
            "ublkQueueDepth",
            self.ublk_queue_depth.filter(|n| *n != 0).map(|n| json!(n)),
        );
        put(
            "ublkNumberOfQueue",
            self.ublk_number_of_queue
                .filter(|n| *n != 0)
                .map(|n| json!(n)),
        );
        Value::Object(map)
    }
}

impl sealed::Body for StorageClassBody {
    fn take(
        map: &mut Map<String, Value>,
        at: &sealed::Place<'_, '_>,
        problems: &mut Vec<Problem>,
    ) -> Self {
        Self {
            provisioner: model::take_required(map, "provisioner", at.0, problems),
            parameters: model::take(map, "parameters", at.0, problems),
            reclaim_policy: model::take(map, "reclaimPolicy", at.0, problems),
            allow_volume_expansion: model::take(map, "allowVolumeExpansion", at.0, problems),
            volume_binding_mode: model::take(map, "volumeBindingMode", at.0, problems),
            mount_options: model::take(map, "mountOptions", at.0, problems),
            allowed_topologies: model::take(map, "allowedTopologies", at.0, problems),
        }
    }

    fn put(&self, map: &mut Map<String, Value>) {
        fn put<T: model::Field>(map: &mut Map<String, Value>, key: &str, value: Option<&T>) {
            if let Some(value) = value {
                map.insert(key.to_owned(), value.write());
            }
        }
        put(map, "provisioner", Some(&self.provisioner));
        put(map, "parameters", self.parameters.as_ref());
        put(map, "reclaimPolicy", self.reclaim_policy.as_ref());
        put(
            map,
            "allowVolumeExpansion",
            self.allow_volume_expansion.as_ref(),
        );
        put(map, "volumeBindingMode", self.volume_binding_mode.as_ref());
        put(map, "mountOptions", self.mount_options.as_ref());
        put(map, "allowedTopologies", self.allowed_topologies.as_ref());
    }
}

impl Kind for StorageClassBody {
    const GROUP: &'static str = "storage.k8s.io";
    const VERSION: &'static str = "v1";
    const ALSO: &'static [&'static str] = &[];
    const KIND: &'static str = "StorageClass";
    const PLURAL: &'static str = "storageclasses";
    const NAMESPACED: bool = false;
}

impl StorageClassBody {
    /// A class of Longhorn with these parameters, that lets claims grow.
    #[must_use]
    pub fn longhorn(parameters: &VolumeParameters) -> Self {
        Self {
            provisioner: PROVISIONER.to_owned(),
            parameters: Some(parameters.to_parameters()),
            allow_volume_expansion: Some(true),
            ..Self::default()
        }
    }

    /// Sets what happens to a volume whose claim goes.
    #[must_use]
    pub fn reclaim_policy(mut self, policy: ReclaimPolicy) -> Self {
        self.reclaim_policy = Some(policy);
        self
    }

    /// Sets when a volume is made.
    #[must_use]
    pub fn volume_binding_mode(mut self, mode: VolumeBindingMode) -> Self {
        self.volume_binding_mode = Some(mode);
        self
    }
}

impl StorageClass {
    /// True when claims without a class get this one.
    #[must_use]
    pub fn is_default(&self) -> bool {
        let annotations = self.metadata.annotations.as_ref();
        annotations
            .and_then(|a| a.get(DEFAULT_CLASS_ANNOTATION))
            .is_some_and(|value| value == "true")
    }

    /// What the class asks of its volumes; nothing for a class of another driver.
    ///
    /// # Errors
    /// As [`VolumeParameters::from_parameters`].
    pub fn volume_parameters(&self) -> Result<Option<VolumeParameters>, Error> {
        if self.body.provisioner != PROVISIONER {
            return Ok(None);
        }
        let parameters = self.body.parameters.iter().flatten();
        VolumeParameters::from_parameters(parameters.map(|(k, v)| (k.as_str(), v.as_str())))
            .map(Some)
    }
}
