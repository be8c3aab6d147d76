#![doc = include_str!("../README.md")]

mod address;
#[cfg(feature = "pki")]
mod certificate;
#[cfg(feature = "client")]
mod client;
mod compatibility;
mod config;
#[cfg(any(feature = "client", feature = "pki"))]
mod der;
mod diff;
pub mod documents;
mod duration;
#[cfg(feature = "client")]
mod dynamic;
mod encoding;
mod error;
#[cfg(feature = "pki")]
mod expiry;
mod explain;
#[cfg(feature = "factory")]
mod factory;
mod file;
mod generate;
#[cfg(feature = "client")]
pub mod generated;
#[cfg(feature = "client")]
mod health;
mod lint;
#[cfg(feature = "client")]
pub mod method;
#[cfg(feature = "client")]
mod node;
mod patch;
mod preflight;
mod quote;
#[cfg(feature = "client")]
mod redacted;
#[cfg(feature = "pki")]
mod renewal;
mod rotation;
mod schema;
mod schematic;
mod secrets;
mod semver;
#[cfg(feature = "simulator")]
pub mod simulator;
mod size;
mod talosconfig;
#[cfg(feature = "client")]
mod tls;
#[cfg(feature = "client")]
mod transport;
mod uri;
mod validate;
mod value;
mod version;
#[cfg(feature = "client")]
mod wait;
#[cfg(feature = "simulator")]
mod wire;
mod yaml;

#[cfg(feature = "client")]
pub use client::{API_PORT, Client, ClientBuilder};
pub use compatibility::{check_kubernetes, check_upgrade};
pub use config::{DocumentChange, InlineManifest, MachineConfig, MachineType};
#[cfg(feature = "client")]
pub use dynamic::{AnyMethod, NodeResult, NodeStatus};
pub use error::{Error, ErrorKind, Problem};
#[cfg(feature = "pki")]
pub use expiry::{CertificateExpiry, ExpiryReport, ExpiryVerdict};
pub use explain::{Change, Effect};
#[cfg(feature = "factory")]
pub use factory::{Factory, FactoryBuilder, OfficialExtension};
pub use generate::Generator;
#[cfg(feature = "client")]
#[doc(inline)]
pub use generated as api;
#[cfg(feature = "client")]
pub use health::{Check, ClusterNodes};
#[cfg(feature = "client")]
pub use node::{
    AnswerStream, Applied, Apply, ApplyMode, Bootstrapped, Disk, EtcdMember, Extension, Kubeconfig,
    MemoryInfo, Node, NodeVersion, Reset, Resource, Service, Upgraded,
};
pub use patch::{
    Compatibility, Interface, Patch, PatchBuilder, RegistryMirror, SystemVolume, UserVolume,
    WireguardPeer,
};
#[cfg(feature = "pki")]
pub use renewal::{Renewal, Renewed};
pub use rotation::{
    CaRotation, NodeChange, RotatedCa, RotationCheck, RotationCredentials, RotationPlan,
    RotationStage, RotationState, RotationStep,
};
pub use schematic::Schematic;
pub use secrets::{Ca, CertificateAuthority, SecretsBundle};
#[cfg(feature = "pki")]
pub use secrets::{ClientIdentity, Role};
pub use talosconfig::{ConfigPath, Context, ContextAuth, TalosConfig};
pub use validate::{Validation, ValidationMode, ValidationOptions};
pub use version::VersionContract;
#[cfg(feature = "client")]
pub use wait::{Progress, Wait, WaitEvent};
