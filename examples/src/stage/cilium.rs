//! What the network of a cluster should be: policies derived from the declared connections, and their verdicts.

pub mod policy;
pub mod verdict;

pub use policy::policies;
pub use verdict::{Matrix, Network, Row, verdict_matrix};
