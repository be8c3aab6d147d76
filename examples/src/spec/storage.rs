//! Replicated storage: classes, volumes that are counted beforehand, recurring jobs, Longhorn's own percentages.

use super::decode::{choice, record};
use super::name::DnsLabel;
use super::quantity::Bytes;
use super::time::Schedule;

record! {
    /// Replicated storage.
    Storage {
        /// Storage classes.
        classes: Vec<StorageClass> = need "classes",
        /// Volumes of applications.
        claims: Vec<Claim> = or "claims" (Vec::new()),
        /// Snapshots and backups by Longhorn.
        recurring_jobs: Vec<RecurringJob> = or "recurringJobs" (Vec::new()),
        /// How much may be promised of a disk, in percent of its size.
        over_provisioning: u32 = or "overProvisioning" (100),
        /// How much of a disk stays free, in percent.
        minimal_available: u32 = or "minimalAvailable" (25),
        /// How much of a disk is set aside, in percent.
        reserved: u32 = or "reserved" (0),
    }
}

record! {
    /// A storage class.
    StorageClass {
        /// Name.
        name: DnsLabel = need "name",
        /// Whether claims that name no class get it.
        default: bool = or "default" (false),
        /// Copies on different nodes.
        replicas: u32 = need "replicas",
        /// Tags that a disk must have.
        disk_tags: Vec<String> = or "diskTags" (Vec::new()),
        /// Whether a copy follows the pod.
        data_locality: Locality = or "dataLocality" (Locality::Disabled),
        /// What happens to the volume when its claim is deleted.
        reclaim: Reclaim = or "reclaim" (Reclaim::Delete),
        /// File system.
        fs_type: FsType = or "fsType" (FsType::Ext4),
    }
}

choice! {
    /// Whether a copy is kept on the node of the pod.
    Locality {
        /// No.
        Disabled = "disabled",
        /// Where there is room.
        BestEffort = "best-effort",
        /// Always; only with a single copy.
        StrictLocal = "strict-local",
    }
}

choice! {
    /// What happens to the volume of a deleted claim.
    Reclaim {
        /// It goes.
        Delete = "Delete",
        /// It stays until somebody removes it.
        Retain = "Retain",
    }
}

choice! {
    /// File systems.
    FsType {
        /// ext4.
        Ext4 = "ext4",
        /// XFS.
        Xfs = "xfs",
    }
}

record! {
    /// A volume, or several alike.
    Claim {
        /// Name.
        name: DnsLabel = need "name",
        /// Storage class.
        class: String = need "class",
        /// Size of one.
        size: Bytes = need "size",
        /// How many.
        count: u32 = or "count" (1),
    }
}

record! {
    /// A job that Longhorn runs by itself.
    RecurringJob {
        /// Name.
        name: DnsLabel = need "name",
        /// What it does.
        task: RecurringTask = need "task",
        /// When.
        schedule: Schedule = need "schedule",
        /// How many results are kept.
        retain: u32 = need "retain",
        /// How many volumes at a time.
        concurrency: u32 = or "concurrency" (1),
    }
}

choice! {
    /// Recurring work.
    RecurringTask {
        /// A snapshot on the same disks.
        Snapshot = "snapshot",
        /// A backup elsewhere.
        Backup = "backup",
        /// Freeing what the file system no longer uses.
        FilesystemTrim = "filesystem-trim",
        /// Removing old snapshots.
        SnapshotCleanup = "snapshot-cleanup",
    }
}
