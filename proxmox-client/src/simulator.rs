//! A stateful stand-in for a Proxmox VE server, for tests and for trying things without hardware.
//!
//! The [`World`] is plain data that can be cloned; nothing in it runs by itself. Every request carries the
//! modelled time and is answered with what is true at that time: a task that takes eight seconds is running
//! until eight modelled seconds have passed. [`Simulator`] is a handle around a world: it gives a
//! [`Client`](crate::Client) connected in process, or serves HTTPS on loopback.
//!
//! ```
//! # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), proxmox_client::Error> {
//! use proxmox_client::{QemuConfig, simulator::{Simulator, World}};
//! let simulator = Simulator::new(World::lab());
//! let client = simulator.connect();
//! client.node("pve1").create_qemu(100, QemuConfig::new().with_name("first")).await?;
//! client.node("pve1").qemu(100).start().await?;
//! assert!(client.node("pve1").qemu(100).status().await?.is_running());
//! # Ok(()) }
//! ```
//!
//! Locks, their time-outs and texts, the left-overs of failures and the durations follow measurements of a
//! real 9.1 server. A path that is not modelled answers `501 not simulated`.

mod acme;
mod answer;
mod calendar;
mod chronicle;
mod clock;
mod console;
mod engine;
mod factor;
mod fault;
mod guest;
mod handle;
mod http;
mod lease;
mod multipart;
mod operation;
mod outage;
mod peer;
mod retention;
mod rights;
mod route;
mod schema;
mod section;
mod serve;
mod surroundings;
mod task;
mod tracked;
mod upkeep;
mod volume;
mod world;
mod x509;

pub use acme::AcmeDirectory;
pub use clock::Clock;
pub use fault::{Fault, JournalEntry, RequestInfo};
pub use guest::{Guest, Power, Species};
pub use handle::Simulator;
pub use route::{DiskSpec, GuestCommand, PackageSpec, PciSpec, SubscriptionSpec, UsbSpec};
pub use serve::Server;
pub use world::{Daemon, Durations, NodeSpec, RemoteFile, StorageSpec, World};
