//! Everything that follows from `cluster.yaml` as files: what Git holds for Argo CD, values for charts, tables for people.
//!
//! The same text comes out of the same spec, byte for byte; no file holds a secret.

mod applications;
mod desired;
mod documents;
mod tree;

pub use applications::{application, root};
pub use desired::{APPLICATIONS, Desired, deployed, desired, namespace, sources};
pub use documents::tree;
pub use tree::Tree;
