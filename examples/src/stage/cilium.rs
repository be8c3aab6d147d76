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

use cilium_model::policy::verdict::Policy;
use serde_json::Value;

use crate::component::Catalogue;
use crate::failure::Failure;

/// Policies as they are found in a cluster, ready for questions; objects of other kinds are passed over.
///
/// # Errors
///
/// A policy that Cilium's agent would refuse.
pub fn network<'c, 'v>(
    catalogue: &'c Catalogue,
    policies: impl IntoIterator<Item = &'v Value>,
) -> Result<Network<'c>, Failure> {
    let wrong = |error| Failure::permanent("policies", "cannot be read").caused_by(error);
    let mut all = Vec::new();
    for value in policies {
        all.extend(Policy::from_json(value).map_err(wrong)?);
    }
    Network::new(catalogue, all).map_err(wrong)
}
