#![doc = include_str!("../README.md")]

pub mod error;
#[cfg(feature = "kube")]
pub mod kube;
pub mod manifest;
pub mod model;
pub mod object;
pub mod quantity;
pub mod resources;
pub mod scheduler;
pub mod settings;
pub mod storage_class;

mod schema;
mod yaml;

pub use error::{Error, ErrorKind, Problem};
pub use manifest::Manifest;
pub use model::{Extra, IntOrString};
pub use object::{Kind, Metadata, Object};
