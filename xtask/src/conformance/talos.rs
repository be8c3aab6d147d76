//! Suites of Talos: machine configuration, tables of the machinery library, random cases and the wire.

mod configs;
mod random;
mod tables;
mod validation;
mod wire;

use super::Suite;

/// The suites of this file.
pub(super) const SUITES: &[&dyn Suite] = &[
    &configs::Configs,
    &random::Random,
    &tables::Tables,
    &wire::Wire,
];
