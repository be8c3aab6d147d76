#![doc = include_str!("../README.md")]

pub mod error;
pub mod hubble;
pub mod model;
pub mod object;
pub mod policy;

mod yaml;

pub use error::{Error, ErrorKind, Problem};
pub use model::{Extra, IntOrString};
pub use object::{Kind, Metadata, Object};
