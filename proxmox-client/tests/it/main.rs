//! Specifications of the crate, one module per subject.

#![allow(
    clippy::unwrap_used,
    reason = "a test ends where what it expects does not hold"
)]

#[cfg(feature = "simulator")]
mod acme;
#[cfg(feature = "simulator")]
mod agent;
#[cfg(feature = "simulator")]
mod backup;
#[cfg(feature = "simulator")]
mod backup_jobs;
#[cfg(all(feature = "simulator", feature = "blocking"))]
mod blocking;
#[cfg(feature = "simulator")]
mod bulk;
#[cfg(feature = "api")]
mod calls;
mod ceph;
#[cfg(feature = "simulator")]
mod ceph_cluster;
#[cfg(feature = "simulator")]
mod cloud_init;
#[cfg(feature = "simulator")]
mod cluster_files;
#[cfg(feature = "config-files")]
mod config_files;
#[cfg(feature = "simulator")]
mod consoles;
#[cfg(feature = "simulator")]
mod container_backups;
#[cfg(feature = "simulator")]
mod contention;
#[cfg(feature = "simulator")]
mod datacenter;
mod decode;
#[cfg(feature = "simulator")]
mod disks;
mod errors;
#[cfg(feature = "simulator")]
mod fabrics;
#[cfg(feature = "config-files")]
mod firewall_files;
#[cfg(feature = "simulator")]
mod firewall_objects;
#[cfg(all(feature = "config-files", feature = "simulator"))]
mod fuzz;
#[cfg(feature = "simulator")]
mod ha;
#[cfg(feature = "simulator")]
mod journals;
#[cfg(feature = "simulator")]
mod laboratory;
#[cfg(feature = "simulator")]
mod lifecycle;
#[cfg(feature = "simulator")]
mod limits;
#[cfg(feature = "simulator")]
mod logins;
#[cfg(feature = "simulator")]
mod lxc;
#[cfg(feature = "simulator")]
mod mappings;
#[cfg(all(feature = "api", target_os = "linux"))]
mod memory;
#[cfg(feature = "simulator")]
mod metrics;
#[cfg(feature = "simulator")]
mod network;
mod nocloud;
#[cfg(feature = "simulator")]
mod notifications;
#[cfg(feature = "simulator")]
mod owners;
#[cfg(feature = "simulator")]
mod pace;
#[cfg(feature = "simulator")]
mod placement;
#[cfg(feature = "simulator")]
mod plans;
mod properties;
#[cfg(feature = "simulator")]
mod proxies;
#[cfg(feature = "simulator")]
mod proxmoxer;
#[cfg(all(feature = "simulator", feature = "api"))]
mod reach;
#[cfg(all(feature = "ssh", feature = "simulator"))]
mod real_ssh;
#[cfg(feature = "simulator")]
mod realms;
#[cfg(feature = "simulator")]
mod remote_migration;
#[cfg(feature = "simulator")]
mod replication;
#[cfg(feature = "simulator")]
mod rights;
#[cfg(feature = "simulator")]
mod sdn;
#[cfg(all(feature = "simulator", feature = "totp"))]
mod second_factors;
#[cfg(feature = "api")]
mod secrets;
#[cfg(feature = "simulator")]
mod services;
#[cfg(feature = "simulator")]
mod spans;
#[cfg(feature = "simulator")]
mod storages;
#[cfg(feature = "simulator")]
mod suspension;
#[cfg(feature = "simulator")]
mod transport;
#[cfg(feature = "simulator")]
mod upkeep;
#[cfg(feature = "simulator")]
mod upload;
#[cfg(feature = "simulator")]
mod versions;
