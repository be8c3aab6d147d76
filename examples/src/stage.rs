//! One file for each crate that is composed: what the spec means there, and how it comes about.

pub mod argo_cd;
pub mod bootstrap;
pub mod cilium;
pub mod kubernetes;
pub mod longhorn;
pub mod proxmox;
pub mod restic;
pub mod secrets;
pub mod talos;
pub mod tunnel;
pub mod wireguard;
