#![doc = include_str!("../README.md")]

mod access;
#[cfg(feature = "api-base")]
pub mod api;
mod auth;
mod backup;
#[cfg(feature = "blocking")]
pub mod blocking;
pub mod bulk;
pub mod capability;
pub mod ceph;
pub mod certificate;
mod change_set;
mod client;
mod cluster;
#[cfg(feature = "config-files")]
pub mod config_file;
pub mod console;
mod entry;
pub mod error;
mod firewall;
#[cfg(feature = "config-files")]
pub mod firewall_file;
mod guest;
mod ha;
mod known;
mod limits;
mod lxc;
pub mod mapping;
pub mod metrics;
mod named;
pub mod network;
mod node;
pub mod notification;
mod open;
mod pool;
pub mod property;
mod qemu;
mod random;
mod replication;
pub mod retry;
pub mod rights;
mod scalar;
pub mod sdn;
pub mod second_factor;
mod secret;
pub mod service;
mod setting;
#[cfg(feature = "simulator")]
pub mod simulator;
mod size;
#[cfg(feature = "ssh")]
pub mod ssh;
mod storage;
pub mod task;
mod transport;
mod trust;
mod upid;
pub mod upkeep;
mod version;
mod vmid;
pub mod wire;

pub use access::{
    Access, AclEntry, Ensured, Grant, Group, NewToken, Realm, RealmInfo, RealmKind, RealmSettings,
    Role, SyncOptions, SyncScope, TokenInfo, TokenRights, User, UserSettings,
};
pub use auth::{Challenge, FactorAnswer, Login, OpenId, Session, Token};
pub use backup::{
    BackupDefaults, BackupGuests, BackupJob, BackupJobInfo, BackupJobSettings, BackupMode,
    BackupNotification, BackupOptions, ChangeDetection, Compression, Dumped, IncludedGuest,
    IncludedVolume, PruneEntry, PruneMark, PruneQuery, RestoreOptions, UncoveredGuest, VolumeInfo,
};
pub use change_set::{ChangePlan, ChangeSet, PlannedStep, StepResult};
pub use cluster::{
    ClusterLogEntry, ClusterMember, ClusterOptions, ClusterSettings, JoinInfo, JoinNode, Resource,
    ResourceFilter, ResourceKind, ResourceStatus, Version,
};
pub use error::{Error, Kind, Result, Sent};
pub use firewall::{
    Alias, AliasInfo, AliasSettings, Firewall, FirewallMacro, FirewallOptions, FirewallReference,
    FirewallRule, FirewallSettings, IpSet, IpSetEntry, IpSetInfo, NewIpSetEntry, NewRule, Policy,
    ReferenceKind, SecurityGroup, SecurityGroupInfo,
};
pub use ha::{
    Affinity, AffinityKind, BlockingResource, Ha, HaManagerStatus, HaModel, HaMotion, HaResource,
    HaSettings, HaSid, HaState, HaStatus, NodePriority,
};
pub use lxc::{
    EnsuredLxc, Lxc, LxcConfig, LxcCreated, LxcMigrateOptions, LxcPatch, LxcStatus, NewLxc,
};
pub use node::{
    CpuInfo, MemoryStatus, NetworkInterface, Node, NodeOptions, NodeSettings, NodeStatus,
    NodeSummary, QemuSummary,
};
pub use qemu::{
    Agent, Attached, Attachment, Bus, Change, CloneOptions, CloneToNode, CloudInitEntry,
    CloudInitPart, ConfigPlan, Created, Effect, EnsuredQemu, Exec, ExecStatus, Grown, GuestFile,
    GuestInterface, GuestProcess, IpRule, KeyOutcome, KeyResult, Mapping, Mark, MigrateOptions,
    PendingEntry, PlannedKey, Qemu, QemuConfig, QemuPatch, QemuStatus, RemoteEndpoint,
    RemoteMigration, Removed, Resumed, Shutdown, Snapshot, Started, Stopped, Suspended, Volumes,
};
pub use replication::{
    Replication, ReplicationId, ReplicationJob, ReplicationRemoval, ReplicationSettings,
    ReplicationStatus,
};
pub use storage::{
    CifsShare, Datastore, Download, Downloaded, EncryptionKey, IscsiTarget, NewStorage, NfsExport,
    NodeStorage, Scan, ScanLogin, Storage, StorageDefinition, StorageKind, StorageMade,
    StorageSettings, StorageStatus, ThinPool, Upload, Volume, VolumeGroup, ZfsPool,
};
pub use {
    client::Client, client::ClientBuilder, guest::ConfigUpdate, guest::Patch, known::Pace,
    limits::Limits, lxc::LxcRemoteMigration, named::Named, named::Noun, pool::Pool, pool::PoolInfo,
    qemu::NoCloud, secrecy::ExposeSecret, secrecy::SecretString, size::Size, transport::Proxy,
    trust::ClientCertificate, trust::Trust, upid::Upid, version::Need, version::ServerVersion,
    vmid::Claim, vmid::First, vmid::VmidLock, vmid::VmidPool,
};
