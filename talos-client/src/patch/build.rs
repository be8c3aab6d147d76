//! Patches from typed settings: each goes where the version contract keeps it.

mod interface;
mod kubernetes;
mod machine;
mod network;
mod registries;
mod storage;

use std::str::FromStr;

pub use interface::{Interface, WireguardPeer};
pub use registries::RegistryMirror;
pub use storage::{SystemVolume, UserVolume};

use super::merge::Merge;
use super::{Compatibility, Patch, Step};
use crate::config::Document;
use crate::documents::v1alpha1::{Cluster, Config, Machine};
use crate::documents::{self, TypedDocument};
use crate::error::{Error, ErrorKind, Problem};
use crate::version::VersionContract;

/// Collects settings; [`build`](Self::build) turns them into a [`Patch`] for the contract.
///
/// What has no method of its own is set by [`document`](Self::document), with any typed document.
///
/// ```
/// use talos_client::{Interface, Patch, VersionContract};
///
/// # fn main() -> Result<(), talos_client::Error> {
/// let patch = Patch::builder(VersionContract::V1_13)
///     .hostname("cp1")
///     .interface(Interface::named("eth0").address("10.0.20.11/24").gateway("10.0.20.1").vip("10.0.20.10"))
///     .nameservers(["10.0.20.1"])
///     .install_disk("/dev/sda")
///     .cni_none()
///     .kube_proxy_disabled()
///     .build()?;
/// # let _ = patch;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
#[must_use = "nothing is made until `build`"]
pub struct PatchBuilder {
    contract: VersionContract,
    patch: Patch,
    problems: Vec<Problem>,
}

impl PatchBuilder {
    pub(super) fn new(contract: VersionContract) -> Self {
        Self {
            contract,
            patch: Patch {
                steps: Vec::new(),
                text: None,
            },
            problems: Vec::new(),
        }
    }

    /// The patch.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidPatch`] with every setting that the contract has no place for, every document, key and value that
    /// came after it, and every text that is not what it should be.
    pub fn build(mut self) -> Result<Patch, Error> {
        self.problems.extend(self.patch.preflight(self.contract));
        if self.problems.is_empty() {
            return Ok(self.patch);
        }
        let message = format!("settings that {} does not have", self.contract);
        Err(Error::new(ErrorKind::InvalidPatch, message).with_problems(self.problems))
    }

    /// Merges a document; what is absent in it stays as it is.
    ///
    /// ```
    /// use talos_client::documents::WatchdogTimerConfig;
    /// use talos_client::{Patch, VersionContract};
    ///
    /// let watchdog = WatchdogTimerConfig::new().with_device("/dev/watchdog0");
    /// assert!(Patch::builder(VersionContract::V1_13).document(watchdog.clone()).build().is_ok());
    /// assert!(Patch::builder(VersionContract::new(1, 6)).document(watchdog).build().is_err());
    /// ```
    pub fn document(mut self, document: impl Into<documents::Document>) -> Self {
        let document = Document::from(&document.into());
        // One document for all settings of a kind and name: sizes and expressions that a later one leaves out would be erased.
        let before = self.patch.steps.iter_mut().rev();
        let place = before
            .take_while(
                |step| !matches!(step, Step::DeleteKind(kind) if Some(*kind) == document.kind),
            )
            .find_map(|step| match step {
                Step::Merge(other) if other.same_identity(&document) => Some(other),
                _ => None,
            });
        match place {
            None => self.patch.steps.push(Step::Merge(document)),
            Some(other) => {
                let merged = Merge::new(Compatibility::Fixed, document.title()).structure(
                    document.shape(),
                    &mut other.values,
                    &document.values,
                );
                let problems = merged.map_err(|error| error.problems().to_vec());
                self.problems.extend(problems.err().unwrap_or_default());
            }
        }
        self
    }

    fn is(&self, minor: u32) -> bool {
        self.contract.at_least(minor)
    }

    fn machine(self, machine: Machine) -> Self {
        self.document(Config::default().with_machine(machine))
    }

    fn cluster(self, cluster: Cluster) -> Self {
        self.document(Config::default().with_cluster(cluster))
    }

    /// Removes every document of a kind.
    fn without<T: TypedDocument>(mut self) -> Self {
        self.patch.steps.push(Step::DeleteKind(T::KIND));
        self
    }

    fn refuse(mut self, setting: &str, why: &str) -> Self {
        self.problems.push(Problem::new(setting, why));
        self
    }

    /// A text that must be of a type; `None` after it was refused.
    fn read<T: FromStr<Err = Error>>(&mut self, setting: &str, text: &str) -> Option<T> {
        match text.parse() {
            Ok(value) => Some(value),
            Err(error) => {
                self.problems.push(Problem::new(setting, error.message()));
                None
            }
        }
    }
}
