//! One room per crate that is composed: what an environment means for it.

pub mod cilium;
pub mod longhorn;
pub mod wireguard;
