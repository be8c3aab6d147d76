//! What a node's upkeep needs: its disks and what is made of them, packages, subscription.

mod disk;
mod package;
mod subscription;
mod volume;

pub use disk::{PhysicalDisk, Smart, SmartAttribute};
pub use package::{
    InstalledPackage, PackageUpdate, Repositories, Repository, RepositoryFile, StandardRepository,
};
pub use subscription::{Subscription, SubscriptionStatus};
pub use volume::{
    NewNodeVolume, NodeDirectory, NodeThinPool, NodeVolumeGroup, NodeVolumeKind, NodeVolumeRemoval,
    NodeZfsPool, ZfsLevel, ZfsPoolStatus,
};
