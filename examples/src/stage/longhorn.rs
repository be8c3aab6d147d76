//! What the storage of a cluster should be, and whether the declared volumes fit the declared disks.

use longhorn_model::Metadata;
use longhorn_model::resources::{NAMESPACE, RecurringJob, RecurringJobSpec, RecurringJobTask};
use longhorn_model::scheduler::plan::CapacityPlan;
use longhorn_model::scheduler::{Cluster, Disk, Node, VolumeRequest};
use longhorn_model::settings::SchedulingSettings;
use longhorn_model::storage_class::{
    DEFAULT_CLASS_ANNOTATION, DataLocality, ReclaimPolicy, StorageClass, StorageClassBody,
    VolumeBindingMode, VolumeParameters,
};
use serde_json::{Value, json};

use crate::component::Catalogue;
use crate::spec::Spec;
use crate::spec::quantity::Bytes;
use crate::spec::storage::{Locality, Reclaim, RecurringTask, StorageClass as ClassSpec};

/// Where Longhorn keeps its data on every worker: a user volume of Talos on the second disk.
pub const DATA_PATH: &str = "/var/mnt/longhorn";

/// The group that every volume belongs to unless it names another.
const EVERY_VOLUME: &str = "default";

/// Storage classes of `cluster.yaml`, the default one marked.
#[must_use]
pub fn storage_classes(spec: &Spec) -> Vec<StorageClass> {
    spec.storage.classes.iter().map(class).collect()
}

fn class(class: &ClassSpec) -> StorageClass {
    let locality = match class.data_locality {
        Locality::Disabled => DataLocality::Disabled,
        Locality::BestEffort => DataLocality::BestEffort,
        Locality::StrictLocal => DataLocality::StrictLocal,
    };
    let mut parameters = VolumeParameters::replicas(class.replicas)
        .data_locality(locality)
        .other("fsType", class.fs_type.as_str());
    if !class.disk_tags.is_empty() {
        parameters = parameters.disk_selector(class.disk_tags.iter().cloned());
    }
    let reclaim = match class.reclaim {
        Reclaim::Delete => ReclaimPolicy::Delete,
        Reclaim::Retain => ReclaimPolicy::Retain,
    };
    // A copy that must stay with its pod cannot be made before the pod has a node.
    let binding = match class.data_locality {
        Locality::StrictLocal => VolumeBindingMode::WaitForFirstConsumer,
        Locality::Disabled | Locality::BestEffort => VolumeBindingMode::Immediate,
    };
    let body = StorageClassBody::longhorn(&parameters)
        .reclaim_policy(reclaim)
        .volume_binding_mode(binding);
    let object = StorageClass::new(class.name.as_str(), body);
    if class.default {
        object.with_annotation(DEFAULT_CLASS_ANNOTATION, "true")
    } else {
        object
    }
}

/// Jobs that Longhorn runs on every volume.
#[must_use]
pub fn recurring_jobs(spec: &Spec) -> Vec<RecurringJob> {
    let job = |job: &crate::spec::storage::RecurringJob| {
        let task = match job.task {
            RecurringTask::Snapshot => RecurringJobTask::Snapshot,
            RecurringTask::Backup => RecurringJobTask::Backup,
            RecurringTask::FilesystemTrim => RecurringJobTask::FilesystemTrim,
            RecurringTask::SnapshotCleanup => RecurringJobTask::SnapshotCleanup,
        };
        let body = RecurringJobSpec::new()
            .name(job.name.as_str())
            .groups([EVERY_VOLUME])
            .task(task)
            .cron(job.schedule.as_str())
            .retain(job.retain)
            .concurrency(job.concurrency);
        RecurringJob::new(job.name.as_str(), body).in_namespace(NAMESPACE)
    };
    spec.storage.recurring_jobs.iter().map(job).collect()
}

/// Settings that differ from Longhorn's defaults, by name.
#[must_use]
pub fn settings(spec: &Spec) -> Vec<(&'static str, String)> {
    vec![
        ("default-data-path", DATA_PATH.to_owned()),
        ("default-replica-count", spec.tier.replicas().to_string()),
        (
            "storage-minimal-available-percentage",
            spec.storage.minimal_available.to_string(),
        ),
        (
            "storage-over-provisioning-percentage",
            spec.storage.over_provisioning.to_string(),
        ),
        (
            "storage-reserved-percentage-for-default-disk",
            spec.storage.reserved.to_string(),
        ),
    ]
}

/// Everything as Kubernetes objects, in the order in which they are applied.
#[must_use]
pub fn objects(spec: &Spec) -> Vec<Value> {
    let settings = settings(spec).into_iter().map(|(name, value)| {
        json!({
            "apiVersion": "longhorn.io/v1beta2", "kind": "Setting",
            "metadata": {"name": name, "namespace": NAMESPACE},
            "value": value,
        })
    });
    let classes = storage_classes(spec)
        .into_iter()
        .map(|class| class.to_json());
    let jobs = recurring_jobs(spec).into_iter().map(|job| job.to_json());
    settings.chain(classes).chain(jobs).collect()
}

/// A volume with the storage class that it will get.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Wanted {
    /// Name for messages.
    pub name: String,
    /// Storage class.
    pub class: String,
    /// Size.
    pub size: Bytes,
}

/// All volumes that the environment will ask for: its own claims and those of the components.
#[must_use]
pub fn volumes(spec: &Spec, catalogue: &Catalogue) -> Vec<Wanted> {
    let default = spec
        .storage
        .classes
        .iter()
        .find(|class| class.default)
        .map(|class| class.name.to_string());
    let mut out = Vec::new();
    for claim in &spec.storage.claims {
        for index in 1..=claim.count {
            let name = if claim.count == 1 {
                claim.name.to_string()
            } else {
                format!("{}-{index}", claim.name)
            };
            out.push(Wanted {
                name,
                class: claim.class.clone(),
                size: claim.size,
            });
        }
    }
    for (component, workload) in catalogue.workloads() {
        let Some(volume) = &workload.volume else {
            continue;
        };
        let Some(class) = volume.class.clone().or_else(|| default.clone()) else {
            continue;
        };
        let pods = workload.replicas.count(0, 0);
        for index in 0..pods {
            let name = format!("{}/{}-{index}", component.name, workload.name);
            out.push(Wanted {
                name,
                class: class.clone(),
                size: volume.size,
            });
        }
    }
    out
}

/// Places every copy of every volume as Longhorn would, on empty disks, and loses each node once.
///
/// Each volume is taken as full: what fits here fits whatever is written later.
#[must_use]
pub fn capacity(spec: &Spec, catalogue: &Catalogue) -> CapacityPlan {
    let nodes = spec.workers().filter_map(|worker| {
        let disk = worker.longhorn_disk.as_ref()?;
        let model = Disk::new(format!("{}-longhorn", worker.name), disk.size.get())
            .tags(disk.tags.iter().cloned())
            .reserved_percentage(u64::from(spec.storage.reserved));
        Some(
            Node::new(worker.name.as_str())
                .zone(worker.host.as_str())
                .disk(model),
        )
    });
    let mut settings = SchedulingSettings::default();
    settings.over_provisioning_percentage = u64::from(spec.storage.over_provisioning);
    settings.minimal_available_percentage = u64::from(spec.storage.minimal_available);
    let requests: Vec<VolumeRequest> = volumes(spec, catalogue)
        .iter()
        .filter_map(|volume| {
            let class = spec
                .storage
                .classes
                .iter()
                .find(|class| class.name.as_str() == volume.class)?;
            let request =
                VolumeRequest::new(volume.name.clone(), volume.size.get(), class.replicas)
                    .actual_size(volume.size.get());
            Some(if class.disk_tags.is_empty() {
                request
            } else {
                request.disk_selector(class.disk_tags.iter().cloned())
            })
        })
        .collect();
    Cluster::new(nodes).settings(settings).plan(&requests)
}

/// Values for Longhorn's chart.
#[must_use]
pub fn values(spec: &Spec) -> Value {
    json!({
        // Its job runs before each sync and fails on the first one.
        "preUpgradeChecker": {"jobEnabled": false},
        "persistence": {"defaultClass": false, "defaultClassReplicaCount": spec.tier.replicas()},
        "defaultSettings": {
            "defaultDataPath": DATA_PATH,
            "defaultReplicaCount": spec.tier.replicas(),
            "storageMinimalAvailablePercentage": spec.storage.minimal_available,
            "storageOverProvisioningPercentage": spec.storage.over_provisioning,
        },
    })
}

/// Metadata of Longhorn's own node objects: which disk a worker offers and how it is tagged.
#[must_use]
pub fn node_disks(spec: &Spec) -> Vec<(Metadata, Value)> {
    spec.workers()
        .filter_map(|worker| {
            let disk = worker.longhorn_disk.as_ref()?;
            let value = json!({"longhorn": {
                "path": DATA_PATH, "allowScheduling": true, "tags": disk.tags,
                "storageReserved": disk.size.get() / 100 * u64::from(spec.storage.reserved),
            }});
            Some((Metadata::named(worker.name.as_str()), value))
        })
        .collect()
}
