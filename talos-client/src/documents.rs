//! One Rust type per kind of document, with the sections inside them.
//!
//! A [`MachineConfig`](crate::MachineConfig) keeps every document without loss; these types are a view of one that can be read,
//! made and put back: [`document`](crate::MachineConfig::document), [`with_document`](crate::MachineConfig::with_document),
//! [`from_documents`](crate::MachineConfig::from_documents). The same types, filled in part, make a [`Patch`](crate::Patch).
//!
//! Fields are named as in the configuration, in Rust's manner. A field is an `Option` where absence and the zero value mean
//! different things; everything else is absent when it is zero or empty. Secrets do not print and are wiped from memory.
//!
//! ```
//! use talos_client::MachineConfig;
//! use talos_client::documents::{HostnameConfig, UserVolumeConfig, block};
//!
//! let volume = UserVolumeConfig::new("data").with_provisioning(
//!     block::ProvisioningSpec::new()
//!         .with_disk_selector(block::DiskSelector::new().with_match("!system_disk"))
//!         .with_min_size("10GiB".parse::<talos_client::documents::Size>()?),
//! );
//! let config = MachineConfig::from_documents([
//!     HostnameConfig::new().with_hostname("node-1").into(),
//!     talos_client::documents::Document::from(volume.clone()),
//! ])?;
//! assert_eq!(config.documents::<UserVolumeConfig>()?, [volume]);
//! # Ok::<(), talos_client::Error>(())
//! ```

mod address;
mod amount;
pub(crate) mod codec;
mod encryption;
mod free;
#[path = "generated/documents/kinds.rs"]
mod kinds;
#[cfg(test)]
mod samples;
mod secret;
pub(crate) mod text;

pub use address::{Address, HexBytes, PortRange, Prefix, RoutingTable};
pub use amount::{DiskSize, FileMode, GoDuration};
pub use free::{ExtraArg, FreeForm};
pub use kinds::choices::*;
pub use kinds::*;
pub use secret::{Secret, SecretBase64};
pub use text::{Base64, Expression, Size, SizeMatcher, Url};

use crate::schema::Schema;
use crate::version::VersionContract;

/// A type of this module that is a whole document.
pub trait TypedDocument: sealed::Sealed + Into<Document> {
    /// What stands under `kind`; empty for the main document, which has none.
    const KIND: &'static str;

    /// What stands under `apiVersion`, or under `version` in the main document.
    const API_VERSION: &'static str = "v1alpha1";

    /// The first Talos version that reads documents of this kind; `v1.0` for the main document.
    fn since() -> VersionContract;

    /// What tells documents of one kind apart; `None` where only one can exist.
    fn name(&self) -> Option<&str> {
        None
    }
}

pub(crate) mod sealed {
    //! Only the types of this module are documents.

    /// Not for other crates.
    pub trait Sealed: super::codec::Structure + Clone + PartialEq + std::fmt::Debug {}
}

/// Kinds of documents besides the main one that a Talos version reads, sorted.
///
/// ```
/// use talos_client::{VersionContract, documents};
///
/// assert!(documents::kinds(VersionContract::V1_13).contains(&"KubeSpanConfig"));
/// assert!(!documents::kinds(VersionContract::V1_13).contains(&"KubeletConfig"));
/// ```
pub fn kinds(version: VersionContract) -> Vec<&'static str> {
    let kinds = Schema::get().kinds();
    let mut kinds: Vec<_> = kinds
        .filter(|kind| version.at_least(kind.since))
        .map(|kind| kind.kind)
        .collect();
    kinds.sort_unstable();
    kinds
}
