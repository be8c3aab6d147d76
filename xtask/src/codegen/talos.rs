//! Generated parts for Talos: the messages and services of its machine API.

use super::Generator;

/// The generators of this file.
pub(super) fn generators() -> Vec<Generator> {
    Vec::new()
}
