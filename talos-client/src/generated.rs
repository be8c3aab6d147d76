//! The complete low-level surface: one message per protobuf message, one constant per method.
//!
//! Names and numbers are those of the upstream schema; fields are named as there. The files below are generated.
#![allow(missing_docs, unreachable_pub, rustdoc::all)]
#![allow(clippy::all, clippy::exhaustive_structs, clippy::exhaustive_enums)]

pub mod cluster;
pub mod common;
pub mod cosi {
    pub mod resource;
}
pub mod google {
    pub mod rpc;
}
pub mod inspect;
pub mod machine;
pub(crate) mod reflection;
pub mod storage;
pub mod time;
