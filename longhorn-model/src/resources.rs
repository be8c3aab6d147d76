//! Objects of the group `longhorn.io`, version `v1beta2`.
//!
//! Fields are those of 1.12.1; older releases know fewer of them. What a release adds later stays in `extra`.

use serde_json::{Map, Value};

use crate::error::Problem;
use crate::model::{self, Field, IntOrString, model, open_enum};
use crate::object::{Kind, Object, kind, sealed};
use crate::storage_class::{
    AccessMode, Choice, DataEngine, DataLayout, DataLocality, ReplicaAutoBalance,
};

/// The namespace that Longhorn lives in unless installed elsewhere.
pub const NAMESPACE: &str = "longhorn-system";

model! {
    /// Work that repeats.
    pub struct RecurringJobSpec {
        /// Name, the same as the object's.
        opt name: String = "name",
        /// Groups; volumes without jobs of their own belong to the group `default`.
        list groups: String = "groups",
        /// What is done.
        opt task: RecurringJobTask = "task",
        /// When, in the five fields of cron.
        opt cron: String = "cron",
        /// Snapshots or backups kept, 1 to 250.
        opt retain: i64 = "retain",
        /// Volumes worked on at once.
        opt concurrency: i64 = "concurrency",
        /// Labels of what the job makes.
        map labels: String = "labels",
        /// Further parameters, such as `full-backup-interval`.
        map parameters: String = "parameters",
    }

    /// A node and its disks.
    pub struct NodeSpec {
        /// Name, the same as the object's.
        opt name: String = "name",
        /// Replicas may be placed here.
        opt allow_scheduling: bool = "allowScheduling",
        /// Replicas are to leave.
        opt eviction_requested: bool = "evictionRequested",
        /// Tags that volumes may ask for.
        list tags: String = "tags",
        /// Disks by name.
        map disks: DiskSpec = "disks",
        /// Thousandths of a processor for each instance manager; 0 is the setting.
        opt instance_manager_cpu_request: i64 = "instanceManagerCPURequest",
    }

    /// A disk of a node.
    pub struct DiskSpec {
        /// Folder of a filesystem disk, device of a block disk.
        opt path: String = "path",
        /// Sort of disk.
        opt disk_type: DiskType = "diskType",
        /// Driver of a block disk.
        opt disk_driver: String = "diskDriver",
        /// Replicas may be placed here.
        opt allow_scheduling: bool = "allowScheduling",
        /// Replicas are to leave.
        opt eviction_requested: bool = "evictionRequested",
        /// Bytes kept away from Longhorn.
        opt storage_reserved: i64 = "storageReserved",
        /// Tags that volumes may ask for.
        list tags: String = "tags",
    }

    /// A volume.
    pub struct VolumeSpec {
        /// Bytes, as text; a multiple of 2 MiB.
        opt size: IntOrString = "size",
        /// Replicas wanted.
        opt number_of_replicas: i64 = "numberOfReplicas",
        /// Minutes after which a failed replica is given up.
        opt stale_replica_timeout: i64 = "staleReplicaTimeout",
        /// Who may use it at once.
        opt access_mode: AccessMode = "accessMode",
        /// Engine.
        opt data_engine: DataEngine = "dataEngine",
        /// Layout over disks.
        opt data_layout: DataLayout = "dataLayout",
        /// Whether a replica is kept where the volume is used.
        opt data_locality: DataLocality = "dataLocality",
        /// Whether replicas are moved to even out nodes.
        opt replica_auto_balance: ReplicaAutoBalance = "replicaAutoBalance",
        /// Whether replicas may share a node.
        opt replica_soft_anti_affinity: Choice = "replicaSoftAntiAffinity",
        /// Whether replicas may share a zone.
        opt replica_zone_soft_anti_affinity: Choice = "replicaZoneSoftAntiAffinity",
        /// Whether replicas may share a disk.
        opt replica_disk_soft_anti_affinity: Choice = "replicaDiskSoftAntiAffinity",
        /// Tags that a disk must have.
        list disk_selector: String = "diskSelector",
        /// Tags that a node must have.
        list node_selector: String = "nodeSelector",
        /// Node where it is attached.
        opt node_id: String = "nodeID",
        /// How nodes see it.
        opt frontend: String = "frontend",
        /// Backup to begin with.
        opt from_backup: String = "fromBackup",
        /// Where backups go.
        opt backup_target_name: String = "backupTargetName",
        /// Image to begin with.
        opt backing_image: String = "backingImage",
        /// Encrypted.
        opt encrypted: bool = "encrypted",
        /// Can move between nodes while attached.
        opt migratable: bool = "migratable",
        /// No revision counter is kept.
        opt revision_counter_disabled: bool = "revisionCounterDisabled",
        /// Most snapshots.
        opt snapshot_max_count: i64 = "snapshotMaxCount",
        /// A standby copy of a volume elsewhere.
        opt standby: bool = "Standby",
    }

    /// A place for backups.
    pub struct BackupTargetSpec {
        /// `s3://BUCKET@REGION/PATH`, `nfs://HOST:/PATH`, `cifs://…` or `azblob://…`; empty switches backups off.
        opt backup_target_url: String = "backupTargetURL",
        /// Secret with the credentials, in Longhorn's namespace.
        opt credential_secret: String = "credentialSecret",
        /// How often the target is looked at, such as `5m0s`; 0 is never.
        opt poll_interval: String = "pollInterval",
        /// When it was asked for last.
        opt sync_requested_at: String = "syncRequestedAt",
    }

    /// An image that volumes begin with.
    pub struct BackingImageSpec {
        /// Where it comes from.
        opt source_type: String = "sourceType",
        /// Parameters of the source, such as `url`.
        map source_parameters: String = "sourceParameters",
        /// SHA-512 that it must have.
        opt checksum: String = "checksum",
        /// Copies kept.
        opt min_number_of_copies: i64 = "minNumberOfCopies",
        /// Tags that a node must have.
        list node_selector: String = "nodeSelector",
        /// Tags that a disk must have.
        list disk_selector: String = "diskSelector",
        /// Engine.
        opt data_engine: DataEngine = "dataEngine",
        /// Secret for decryption.
        opt secret: String = "secret",
        /// Its namespace.
        opt secret_namespace: String = "secretNamespace",
    }

    /// A snapshot of a volume.
    pub struct SnapshotSpec {
        /// The volume.
        req volume: String = "volume",
        /// Make it, rather than describe one that exists.
        opt create_snapshot: bool = "createSnapshot",
        /// Labels.
        map labels: String = "labels",
    }

    /// A backup of a snapshot.
    pub struct BackupSpec {
        /// The snapshot.
        opt snapshot_name: String = "snapshotName",
        /// `full` or `incremental`.
        opt backup_mode: String = "backupMode",
        /// Bytes in a block, as text.
        opt backup_block_size: String = "backupBlockSize",
        /// Labels.
        map labels: String = "labels",
        /// When it was asked for last.
        opt sync_requested_at: String = "syncRequestedAt",
    }

    /// A backup of an image.
    pub struct BackupBackingImageSpec {
        /// The image.
        opt backing_image: String = "backingImage",
        /// Where it goes.
        opt backup_target_name: String = "backupTargetName",
        /// Labels.
        map labels: String = "labels",
        /// When it was asked for last.
        opt sync_requested_at: String = "syncRequestedAt",
        /// A user made it.
        opt user_created: bool = "userCreated",
    }

    /// A backup of Longhorn's own objects.
    pub struct SystemBackupSpec {
        /// Whether volumes are backed up too: `if-not-present`, `always` or `disabled`.
        opt volume_backup_policy: String = "volumeBackupPolicy",
    }

    /// A restore of Longhorn's own objects.
    pub struct SystemRestoreSpec {
        /// The system backup.
        req system_backup: String = "systemBackup",
    }
}

open_enum! {
    /// What a recurring job does.
    pub enum RecurringJobTask {
        /// Makes a snapshot and removes what is too many.
        Snapshot = "snapshot",
        /// Makes a snapshot and removes nothing.
        SnapshotForceCreate = "snapshot-force-create",
        /// Removes snapshots that the system made.
        SnapshotCleanup = "snapshot-cleanup",
        /// Removes snapshots that are too many.
        SnapshotDelete = "snapshot-delete",
        /// Makes a backup and removes what is too many.
        Backup = "backup",
        /// Makes a backup and removes nothing.
        BackupForceCreate = "backup-force-create",
        /// Trims filesystems.
        FilesystemTrim = "filesystem-trim",
        /// Makes a system backup.
        SystemBackup = "system-backup",
    }

    /// Sort of disk.
    pub enum DiskType {
        /// A mounted folder.
        Filesystem = "filesystem",
        /// A raw device.
        Block = "block",
    }
}

kind! {
    /// Work that repeats.
    RecurringJob = RecurringJobBody { spec: RecurringJobSpec, required: false, group: "longhorn.io",
        version: "v1beta2", also: ["v1beta1"], plural: "recurringjobs", namespaced: true }

    /// A node of the cluster as Longhorn sees it.
    Node = NodeBody { spec: NodeSpec, required: false, group: "longhorn.io",
        version: "v1beta2", also: ["v1beta1"], plural: "nodes", namespaced: true }

    /// A volume.
    Volume = VolumeBody { spec: VolumeSpec, required: false, group: "longhorn.io",
        version: "v1beta2", also: ["v1beta1"], plural: "volumes", namespaced: true }

    /// A place for backups; the one named `default` always exists.
    BackupTarget = BackupTargetBody { spec: BackupTargetSpec, required: false, group: "longhorn.io",
        version: "v1beta2", also: ["v1beta1"], plural: "backuptargets", namespaced: true }

    /// An image that volumes begin with.
    BackingImage = BackingImageBody { spec: BackingImageSpec, required: false, group: "longhorn.io",
        version: "v1beta2", also: ["v1beta1"], plural: "backingimages", namespaced: true }

    /// A snapshot of a volume.
    Snapshot = SnapshotBody { spec: SnapshotSpec, required: false, group: "longhorn.io",
        version: "v1beta2", also: [], plural: "snapshots", namespaced: true }

    /// A backup of a snapshot.
    Backup = BackupBody { spec: BackupSpec, required: false, group: "longhorn.io",
        version: "v1beta2", also: ["v1beta1"], plural: "backups", namespaced: true }

    /// A backup of an image.
    BackupBackingImage = BackupBackingImageBody {
        spec: BackupBackingImageSpec, required: false, group: "longhorn.io",
        version: "v1beta2", also: [], plural: "backupbackingimages", namespaced: true
    }

    /// A backup of Longhorn's own objects.
    SystemBackup = SystemBackupBody { spec: SystemBackupSpec, required: false, group: "longhorn.io",
        version: "v1beta2", also: [], plural: "systembackups", namespaced: true }

    /// A restore of Longhorn's own objects.
    SystemRestore = SystemRestoreBody { spec: SystemRestoreSpec, required: false, group: "longhorn.io",
        version: "v1beta2", also: [], plural: "systemrestores", namespaced: true }
}

/// A setting of the manager; its value stands at the top level.
pub type Setting = Object<SettingBody>;

/// The body of a [`Setting`].
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct SettingBody {
    /// Value, always text.
    pub value: String,
}

impl From<&str> for SettingBody {
    fn from(value: &str) -> Self {
        Self {
            value: value.to_owned(),
        }
    }
}

impl sealed::Body for SettingBody {
    fn take(
        map: &mut Map<String, Value>,
        at: &sealed::Place<'_, '_>,
        problems: &mut Vec<Problem>,
    ) -> Self {
        Self {
            value: model::take_required(map, "value", at.0, problems),
        }
    }

    fn put(&self, map: &mut Map<String, Value>) {
        map.insert("value".to_owned(), self.value.write());
    }
}

impl Kind for SettingBody {
    const GROUP: &'static str = "longhorn.io";
    const VERSION: &'static str = "v1beta2";
    const ALSO: &'static [&'static str] = &["v1beta1"];
    const KIND: &'static str = "Setting";
    const PLURAL: &'static str = "settings";
    const NAMESPACED: bool = true;
}

impl RecurringJob {
    /// A job for a group of volumes, with the object's name repeated in the spec as the manager wants it.
    #[must_use]
    pub fn for_group(
        name: &str,
        task: RecurringJobTask,
        cron: &str,
        retain: u32,
        group: &str,
    ) -> Self {
        let spec = RecurringJobSpec::new()
            .name(name)
            .groups([group])
            .task(task)
            .cron(cron)
            .retain(retain)
            .concurrency(1);
        Self::new(name, spec).in_namespace(NAMESPACE)
    }

    /// What the manager's webhook would refuse.
    #[must_use]
    pub fn check(&self) -> Vec<Problem> {
        let spec = &self.body.spec;
        let mut problems = Vec::new();
        match &spec.cron {
            Some(cron) => {
                if let Err(why) = crate::settings::check_cron(cron) {
                    problems.push(Problem::new("spec.cron", why));
                }
            }
            None => problems.push(Problem::new("spec.cron", "a schedule is needed")),
        }
        if let Some(RecurringJobTask::Other(task)) = &spec.task {
            problems.push(Problem::new("spec.task", format!("{task:?} is no task")));
        }
        let cleans = matches!(
            spec.task,
            Some(RecurringJobTask::SnapshotCleanup | RecurringJobTask::FilesystemTrim)
        );
        if spec
            .retain
            .is_some_and(|n| !(0..=250).contains(&n) || (n == 0 && !cleans))
        {
            problems.push(Problem::new("spec.retain", "1 to 250 are kept"));
        }
        if spec.concurrency.is_some_and(|n| n < 1) {
            problems.push(Problem::new(
                "spec.concurrency",
                "at least one volume at a time",
            ));
        }
        problems
    }
}
