#![doc = include_str!("../README.md")]

mod config;
mod device;
mod document;
mod endpoint;
mod error;
mod key;
pub mod lenient;
mod net;
mod obfuscation;
pub mod render;
mod routing;
mod services;
mod strict;
pub mod topology;

pub use config::{Config, Dns, Hook, HookStage, Interface, Peer, Table};
pub use device::{Device, DevicePeer, Handshake};
pub use document::{Change, Document, Limits, LineKind, LineView, Section};
pub use endpoint::{Endpoint, Host};
pub use error::{Error, ErrorKind, Place, Problem, Result, Severity};
#[cfg(feature = "os-random")]
pub use key::OsRandom;
pub use key::{PresharedKey, PrivateKey, PublicKey, Random};
pub use net::{InterfaceAddress, Network};
pub use obfuscation::{HeaderRange, Obfuscation};
pub use routing::RoutingTable;
pub use strict::{Dialect, Report};
pub use topology::{Inventory, Keys, Member, Plan, Role, Topology};
