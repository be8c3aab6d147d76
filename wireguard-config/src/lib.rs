#![doc = include_str!("../README.md")]

mod config;
mod device;
mod diff;
mod document;
mod dump;
mod endpoint;
mod error;
pub mod health;
mod key;
pub mod lenient;
#[cfg(all(feature = "live", target_os = "linux"))]
pub mod live;
pub mod mtu;
mod net;
mod obfuscation;
pub mod render;
pub mod rotation;
mod routing;
mod services;
mod strict;
pub mod topology;
pub mod uapi;
pub mod why;

pub use config::{Config, Dns, Hook, HookStage, Interface, Peer, Table};
pub use device::{Device, DevicePeer, Handshake};
pub use diff::{Changes, LinkState, Operation, PeerUpdate};
pub use document::{Change, Document, Limits, LineKind, LineView, Section};
pub use endpoint::{Endpoint, Host};
pub use error::{Error, ErrorKind, Place, Problem, Result, Severity};
#[cfg(feature = "os-random")]
pub use key::OsRandom;
pub use key::{PresharedKey, PrivateKey, PublicKey, Random};
pub use net::{InterfaceAddress, Network};
pub use obfuscation::{HeaderRange, Obfuscation};
pub use rotation::Rotation;
pub use routing::{Decision, Overlap, RoutingTable};
pub use strict::{Dialect, Report};
pub use topology::{Inventory, Keys, Member, Plan, Role, Topology};
