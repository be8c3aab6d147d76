//! What the network of a cluster should be: install values, objects, policies derived from the declared connections,
//! and the verdicts of those policies.

pub mod install;
pub mod objects;
pub mod policy;
pub mod verdict;

pub use install::values;
pub use objects::{Desired, desired};
pub use policy::policies;
pub use verdict::{Matrix, Network, Row, verdict_matrix};
