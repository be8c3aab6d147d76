//! From a class to the volumes that it makes.

use super::{Choice, DataEngine, DataLocality, ReplicaAutoBalance, VolumeParameters};
use crate::model::IntOrString;
use crate::resources::VolumeSpec;
use crate::scheduler::{self, Affinity, AutoBalance, VolumeRequest};
use crate::settings::SchedulingSettings;

const MIB: u64 = 1 << 20;

/// Smallest volume; a smaller claim is rounded up to it.
pub const MINIMUM_SIZE: u64 = 10 * MIB;

/// Sizes are multiples of this.
pub const SIZE_STEP: u64 = 2 * MIB;

/// Smallest volume that holds an XFS filesystem.
pub const MINIMUM_XFS_SIZE: u64 = 300 * MIB;

/// The size of the volume for a claim: at least 10 MiB, rounded up to a multiple of 2 MiB.
#[must_use]
pub fn volume_size(claimed: u64) -> u64 {
    claimed
        .max(MINIMUM_SIZE)
        .div_ceil(SIZE_STEP)
        .saturating_mul(SIZE_STEP)
}

impl VolumeParameters {
    /// Replicas of a volume of this class, given the settings.
    #[must_use]
    pub fn replica_count(&self, settings: &SchedulingSettings) -> u32 {
        self.number_of_replicas
            .unwrap_or(settings.default_replica_count)
    }

    /// What the scheduler is asked for a claim of this class, in bytes.
    #[must_use]
    pub fn to_request(
        &self,
        name: impl Into<String>,
        claimed: u64,
        settings: &SchedulingSettings,
    ) -> VolumeRequest {
        let affinity = |choice: &Option<Choice>| match choice {
            Some(Choice::Enabled) => Affinity::Enabled,
            Some(Choice::Disabled) => Affinity::Disabled,
            _ => Affinity::Ignored,
        };
        let locality = match &self.data_locality {
            Some(DataLocality::BestEffort) => scheduler::DataLocality::BestEffort,
            Some(DataLocality::StrictLocal) => scheduler::DataLocality::StrictLocal,
            _ => scheduler::DataLocality::Disabled,
        };
        let balance = match &self.replica_auto_balance {
            Some(ReplicaAutoBalance::Disabled) => AutoBalance::Disabled,
            Some(ReplicaAutoBalance::LeastEffort) => AutoBalance::LeastEffort,
            Some(ReplicaAutoBalance::BestEffort) => AutoBalance::BestEffort,
            _ => AutoBalance::Ignored,
        };
        let engine = match self.data_engine {
            DataEngine::V2 => scheduler::DataEngine::V2,
            _ => scheduler::DataEngine::V1,
        };
        VolumeRequest::new(name, volume_size(claimed), self.replica_count(settings))
            .engine(engine)
            .node_selector(self.node_selector.clone().unwrap_or_default())
            .disk_selector(self.disk_selector.clone().unwrap_or_default())
            .anti_affinity(
                affinity(&self.replica_soft_anti_affinity),
                affinity(&self.replica_zone_soft_anti_affinity),
                affinity(&self.replica_disk_soft_anti_affinity),
            )
            .auto_balance(balance)
            .data_locality(locality, None)
    }

    /// The Volume object that a claim of this class leads to, in bytes.
    #[must_use]
    pub fn to_volume_spec(&self, claimed: u64, settings: &SchedulingSettings) -> VolumeSpec {
        let mut spec = VolumeSpec::new()
            .size(IntOrString::Text(volume_size(claimed).to_string()))
            .number_of_replicas(self.replica_count(settings))
            .stale_replica_timeout(self.stale_replica_timeout)
            .access_mode(self.access_mode.clone())
            .data_engine(self.data_engine.clone())
            .encrypted(self.encrypted)
            .migratable(self.migratable)
            .revision_counter_disabled(self.revision_counter_disabled);
        spec.data_layout.clone_from(&self.data_layout);
        spec.data_locality.clone_from(&self.data_locality);
        spec.replica_auto_balance
            .clone_from(&self.replica_auto_balance);
        spec.replica_soft_anti_affinity
            .clone_from(&self.replica_soft_anti_affinity);
        spec.replica_zone_soft_anti_affinity
            .clone_from(&self.replica_zone_soft_anti_affinity);
        spec.replica_disk_soft_anti_affinity
            .clone_from(&self.replica_disk_soft_anti_affinity);
        spec.disk_selector.clone_from(&self.disk_selector);
        spec.node_selector.clone_from(&self.node_selector);
        spec.frontend.clone_from(&self.frontend);
        spec.from_backup.clone_from(&self.from_backup);
        spec.backup_target_name.clone_from(&self.backup_target_name);
        spec.backing_image.clone_from(&self.backing_image);
        spec
    }

    /// The class that would lead to such a volume, as far as the volume tells.
    #[must_use]
    pub fn from_volume_spec(spec: &VolumeSpec) -> Self {
        let replicas = spec.number_of_replicas.and_then(|n| u32::try_from(n).ok());
        let mut found = Self {
            number_of_replicas: replicas.filter(|n| *n > 0),
            ..Self::default()
        };
        if let Some(minutes) = spec
            .stale_replica_timeout
            .and_then(|n| u32::try_from(n).ok())
            .filter(|n| *n > 0)
        {
            found.stale_replica_timeout = minutes;
        }
        found.access_mode = spec.access_mode.clone().unwrap_or_default();
        found.data_engine = spec.data_engine.clone().unwrap_or_default();
        found.encrypted = spec.encrypted.unwrap_or_default();
        found.migratable = spec.migratable.unwrap_or_default();
        found.revision_counter_disabled = spec.revision_counter_disabled.unwrap_or(true);
        found.data_layout.clone_from(&spec.data_layout);
        found.data_locality.clone_from(&spec.data_locality);
        found
            .replica_auto_balance
            .clone_from(&spec.replica_auto_balance);
        found
            .replica_soft_anti_affinity
            .clone_from(&spec.replica_soft_anti_affinity);
        found
            .replica_zone_soft_anti_affinity
            .clone_from(&spec.replica_zone_soft_anti_affinity);
        found
            .replica_disk_soft_anti_affinity
            .clone_from(&spec.replica_disk_soft_anti_affinity);
        found.disk_selector.clone_from(&spec.disk_selector);
        found.node_selector.clone_from(&spec.node_selector);
        found.frontend.clone_from(&spec.frontend);
        found.from_backup.clone_from(&spec.from_backup);
        found
            .backup_target_name
            .clone_from(&spec.backup_target_name);
        found.backing_image.clone_from(&spec.backing_image);
        found
    }
}
