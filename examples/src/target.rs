//! The systems that a program works on: those that `cluster.yaml` names, or the lab in this process.

mod real;

use std::net::IpAddr;
use std::path::Path;
use std::time::{Duration, SystemTime};

use restic_wrapper::{Repository, Restic};
use secrecy::SecretString;
use talos_client::{SecretsBundle, VersionContract};

use crate::failure::Failure;
use crate::lab::Lab;
use crate::pace::Pace;
use crate::secrets::SecretStore;
use crate::spec::Spec;
use crate::spec::reference::SecretRef;

pub use real::Real;
pub(crate) use real::config as kubeconfig;

/// The systems that a program works on.
#[derive(Debug)]
#[non_exhaustive]
pub enum Target {
    /// Simulators in this process.
    Lab(Lab),
    /// The addresses in `cluster.yaml`.
    Real(Real),
}

impl Target {
    /// A lab for the hardware that the spec describes; one that is kept in a file goes on where it stopped.
    ///
    /// # Errors
    ///
    /// A file that cannot be read or is not a lab of this program.
    pub async fn lab(spec: &Spec, state: Option<&Path>, speed: f64) -> Result<Self, Failure> {
        Lab::over_tls(spec, state, speed).await.map(Self::Lab)
    }

    /// The real systems; `folder` is what relative paths of `cluster.yaml` start from.
    ///
    /// # Errors
    ///
    /// Credentials that are missing.
    pub fn real(spec: &Spec, folder: &Path) -> Result<Self, Failure> {
        Real::new(spec, folder).map(Self::Real)
    }

    /// The systems in words.
    pub fn describe(&self) -> String {
        match self {
            Self::Lab(_) => "the lab".to_owned(),
            Self::Real(real) => real.describe(),
        }
    }

    /// Whether the systems are simulated.
    pub fn is_lab(&self) -> bool {
        matches!(self, Self::Lab(_))
    }

    /// How fast time passes there.
    pub fn pace(&self) -> Pace {
        match self {
            Self::Lab(lab) => lab.pace(),
            Self::Real(_) => Pace::REAL,
        }
    }

    /// What time it is there.
    pub fn now(&self) -> SystemTime {
        match self {
            Self::Lab(lab) => lab.now(),
            Self::Real(_) => SystemTime::now(),
        }
    }

    /// Keeps the lab, where it is to be kept.
    ///
    /// # Errors
    ///
    /// A file that cannot be written.
    pub fn keep(&self) -> Result<(), Failure> {
        match self {
            Self::Lab(lab) => lab.keep(),
            Self::Real(_) => Ok(()),
        }
    }

    /// Where the secrets of the environment lie.
    pub fn secrets(&self, spec: &Spec) -> SecretStore {
        match self {
            Self::Lab(lab) => lab.secrets(),
            Self::Real(real) => real.secrets(spec),
        }
    }

    /// A credential that `cluster.yaml` refers to; the lab has one for every reference.
    ///
    /// # Errors
    ///
    /// It is not where the reference says.
    pub fn credential(&self, what: &str, reference: &SecretRef) -> Result<SecretString, Failure> {
        match self {
            Self::Lab(_) => Ok(SecretString::from("lab-credential")),
            Self::Real(real) => real.credential(what, reference),
        }
    }

    /// Makes the secrets bundle of a new cluster.
    ///
    /// # Errors
    ///
    /// Keys that cannot be made.
    pub fn make_bundle(&self, contract: VersionContract) -> Result<SecretsBundle, Failure> {
        match self {
            Self::Lab(lab) => lab.make_bundle(contract),
            Self::Real(_) => make_bundle(contract, SystemTime::now()),
        }
    }

    /// The Proxmox VE API.
    ///
    /// # Errors
    ///
    /// An address or a credential that cannot be used.
    pub fn proxmox(&self) -> Result<proxmox_client::Client, Failure> {
        match self {
            Self::Lab(lab) => lab.proxmox(),
            Self::Real(real) => real.proxmox(),
        }
    }

    /// The machine API of a node that has no configuration yet.
    ///
    /// # Errors
    ///
    /// An address that cannot be used.
    pub async fn maintenance(&self, address: IpAddr) -> Result<talos_client::Client, Failure> {
        match self {
            Self::Lab(lab) => lab.maintenance(address).await,
            Self::Real(_) => real::maintenance(address),
        }
    }

    /// The machine API of a node that runs with a configuration of the cluster.
    ///
    /// # Errors
    ///
    /// An address or a bundle that cannot be used.
    pub async fn talos(
        &self,
        bundle: &SecretsBundle,
        address: IpAddr,
    ) -> Result<talos_client::Client, Failure> {
        match self {
            Self::Lab(lab) => lab.talos(bundle, address).await,
            Self::Real(_) => real::talos(bundle, address),
        }
    }

    /// The Kubernetes API.
    ///
    /// # Errors
    ///
    /// A kubeconfig that cannot be used.
    pub async fn kubernetes(&self, kubeconfig: &str) -> Result<kube::Client, Failure> {
        match self {
            Self::Lab(lab) => lab.kubernetes(kubeconfig).await,
            Self::Real(_) => real::kubernetes(kubeconfig).await,
        }
    }

    /// The backup program.
    ///
    /// # Errors
    ///
    /// It is not installed, or too old.
    pub async fn restic(&self) -> Result<Restic, Failure> {
        match self {
            Self::Lab(lab) => Ok(lab.restic().await),
            Self::Real(_) => real::restic().await,
        }
    }

    /// One repository of the spec, as the backup program reaches it from here.
    ///
    /// # Errors
    ///
    /// A program that is missing, or a credential.
    pub async fn repository(
        &self,
        spec: &Spec,
        name: &str,
        password: &str,
    ) -> Result<Repository, Failure> {
        let restic = self.restic().await?;
        match self {
            Self::Lab(lab) => lab.repository(&restic, name, password),
            Self::Real(real) => real.repository(&restic, spec, name, password),
        }
    }
}

/// Whose certificate talks to the machine API: an administrator's, valid for a day.
///
/// # Errors
///
/// A bundle that cannot sign.
pub(crate) fn admin(
    bundle: &SecretsBundle,
    now: SystemTime,
) -> Result<talos_client::ClientIdentity, Failure> {
    // Nodes' clocks may be behind ours by a little.
    let (slack, day) = (Duration::from_secs(300), Duration::from_secs(24 * 3600));
    bundle
        .client_identity(&[talos_client::Role::Admin], now - slack, day)
        .map_err(|error| Failure::permanent("secrets bundle", "cannot sign").caused_by(error))
}

/// The certificate of the authority that signs for the nodes.
///
/// # Errors
///
/// A bundle without one.
pub(crate) fn authority(bundle: &SecretsBundle) -> Result<String, Failure> {
    bundle
        .ca_certificate(talos_client::Ca::Os)
        .map_err(|error| Failure::permanent("secrets bundle", "has no Talos CA").caused_by(error))
}

/// Makes the secrets bundle of a new cluster, valid from `now` on.
///
/// # Errors
///
/// Keys that cannot be made.
pub(crate) fn make_bundle(
    contract: VersionContract,
    now: SystemTime,
) -> Result<SecretsBundle, Failure> {
    SecretsBundle::generate(contract, now)
        .map_err(|error| Failure::permanent("secrets bundle", "cannot be made").caused_by(error))
}
