//! The addresses in `cluster.yaml`, with credentials from where it refers to.

use std::net::IpAddr;
use std::path::Path;
use std::time::SystemTime;

use kube::config::{KubeConfigOptions, Kubeconfig};
use proxmox_client::Trust;
use restic_wrapper::{Location, Repository, Restic};
use secrecy::{ExposeSecret, SecretString};
use talos_client::SecretsBundle;

use crate::credentials::Credentials;
use crate::failure::Failure;
use crate::secrets::SecretStore;
use crate::spec::Spec;
use crate::spec::cluster;
use crate::spec::reference::SecretRef;

/// The real systems of one environment.
#[derive(Debug)]
pub struct Real {
    endpoint: String,
    token: SecretString,
    trust: Trust,
    credentials: Credentials,
}

impl Real {
    pub(super) fn new(spec: &Spec, folder: &Path) -> Result<Self, Failure> {
        let credentials = Credentials::beside(folder);
        let token = credentials
            .read("proxmox.tokenFrom", &spec.proxmox.token_from)?
            .ok_or_else(|| {
                Failure::permanent("proxmox.tokenFrom", "a token cannot be generated here")
                    .hint("make one in Proxmox VE and write env:NAME or file:PATH")
            })?;
        let trust = trust(&credentials, &spec.proxmox.trust)?;
        let endpoint = spec.proxmox.endpoint.as_str().to_owned();
        Ok(Self {
            endpoint,
            token,
            trust,
            credentials,
        })
    }

    /// Reads what `cluster.yaml` refers to.
    pub fn credentials(&self) -> &Credentials {
        &self.credentials
    }

    /// Reads one credential.
    pub(super) fn credential(
        &self,
        what: &str,
        reference: &SecretRef,
    ) -> Result<SecretString, Failure> {
        self.credentials.read(what, reference)?.ok_or_else(|| {
            Failure::permanent(what, "is made by nobody").hint("write env:NAME or file:PATH")
        })
    }

    pub(super) fn describe(&self) -> String {
        format!("the real systems behind {}", self.endpoint)
    }

    pub(super) fn secrets(&self, spec: &Spec) -> SecretStore {
        SecretStore::file(self.credentials.path(&spec.secrets.file))
    }

    pub(super) fn proxmox(&self) -> Result<proxmox_client::Client, Failure> {
        proxmox_client::Client::builder()
            .endpoint(&self.endpoint)
            .token(self.token.clone())
            .trust(self.trust.clone())
            .build()
            .map_err(|error| Failure::permanent("proxmox", "cannot be talked to").caused_by(error))
    }

    pub(super) fn repository(
        &self,
        restic: &Restic,
        spec: &Spec,
        name: &str,
        password: &str,
    ) -> Result<Repository, Failure> {
        let place = format!("backup.repositories.{name}");
        let wanted = spec
            .backup
            .as_ref()
            .and_then(|backup| backup.repositories.get(name))
            .ok_or_else(|| Failure::permanent(&place, "is not in cluster.yaml"))?;
        let mut location = Location::parse(&wanted.url);
        for (variable, reference) in &wanted.environment {
            if let Some(value) = self.credentials.read(&place, reference)? {
                location = location.secret_env(variable.clone(), value.expose_secret());
            }
        }
        let given = self.credentials.read(&place, &wanted.password_from)?;
        let password = given
            .as_ref()
            .map_or(password, |given| given.expose_secret());
        Ok(restic.repository(location, password))
    }
}

fn trust(credentials: &Credentials, wanted: &cluster::Trust) -> Result<Trust, Failure> {
    match wanted {
        cluster::Trust::System => Ok(Trust::system_roots()),
        cluster::Trust::Fingerprint(text) => Trust::fingerprint(text).map_err(|error| {
            Failure::permanent("proxmox.trust", "is not a fingerprint").caused_by(error)
        }),
        cluster::Trust::CaFile(path) => {
            let path = credentials.path(path);
            let pem = std::fs::read_to_string(&path).map_err(|error| {
                let message = format!("{} cannot be read", path.display());
                Failure::permanent("proxmox.trust", message)
                    .caused_by(error)
                    .hint("copy /etc/pve/pve-root-ca.pem from the host")
            })?;
            Ok(Trust::ca_pem(pem))
        }
    }
}

fn unusable(address: IpAddr) -> impl FnOnce(talos_client::Error) -> Failure {
    move |error| {
        Failure::permanent(address.to_string(), "the machine API cannot be used").caused_by(error)
    }
}

pub(super) fn maintenance(address: IpAddr) -> Result<talos_client::Client, Failure> {
    // A node that was never configured has no identity to check; its address is on our own network
    // and was given to the machine by us.
    talos_client::Client::builder()
        .endpoint(address.to_string())
        .maintenance_insecure()
        .build()
        .map_err(unusable(address))
}

pub(super) fn talos(
    bundle: &SecretsBundle,
    address: IpAddr,
) -> Result<talos_client::Client, Failure> {
    let identity = super::admin(bundle, SystemTime::now())?;
    talos_client::Client::builder()
        .endpoint(address.to_string())
        .credentials(
            super::authority(bundle)?,
            identity.certificate(),
            identity.key(),
        )
        .build()
        .map_err(unusable(address))
}

pub(super) async fn kubernetes(kubeconfig: &str) -> Result<kube::Client, Failure> {
    let config = config(kubeconfig).await?;
    kube::Client::try_from(config).map_err(|error| {
        Failure::permanent("kubernetes", "the API cannot be used").caused_by(error)
    })
}

/// The connection that a kubeconfig describes.
///
/// # Errors
///
/// It is not what a control plane gives.
pub(crate) async fn config(kubeconfig: &str) -> Result<kube::Config, Failure> {
    let parsed = Kubeconfig::from_yaml(kubeconfig).map_err(|error| {
        Failure::permanent("kubeconfig", "is not what a control plane gives").caused_by(error)
    })?;
    kube::Config::from_custom_kubeconfig(parsed, &KubeConfigOptions::default())
        .await
        .map_err(|error| Failure::permanent("kubeconfig", "cannot be used").caused_by(error))
}

pub(super) async fn restic() -> Result<Restic, Failure> {
    Restic::find_in_path().await.map_err(|error| {
        Failure::permanent("restic", "cannot be used")
            .caused_by(error)
            .hint("install restic, for example: apt-get install restic")
    })
}
