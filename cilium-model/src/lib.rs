#![doc = include_str!("../README.md")]

pub mod bgp;
pub mod error;
pub mod gateway;
pub mod hubble;
pub mod install;
#[cfg(feature = "kube")]
pub mod kube;
pub mod load_balancer;
pub mod manifest;
pub mod model;
pub mod object;
pub mod policy;

mod rules;
mod schema;
mod yaml;

pub use error::{Error, ErrorKind, Problem};
pub use manifest::Manifest;
pub use model::{Extra, IntOrString};
pub use object::{Kind, Metadata, Object};
