//! Generated parts for Proxmox VE: the parameter table of its API.

use super::Generator;

/// The generators of this file.
pub(super) fn generators() -> Vec<Generator> {
    Vec::new()
}
