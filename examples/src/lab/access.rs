//! The ordinary clients, connected to the lab.

use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use proxmox_client::task::PollPolicy;
use restic_wrapper::{Location, Repository, Restic};
use talos_client::{SecretsBundle, VersionContract};

use super::{Lab, Reach, hardware};
use crate::failure::Failure;
use crate::target;

/// How often a task is looked at, in modelled time.
const POLL: Duration = Duration::from_secs(1);

fn unusable(what: &str) -> impl FnOnce(talos_client::Error) -> Failure + '_ {
    move |error| Failure::permanent(what, "the lab's machine API cannot be used").caused_by(error)
}

impl Lab {
    pub(crate) fn proxmox(&self) -> Result<proxmox_client::Client, Failure> {
        let (user, secret) = hardware::TOKEN;
        let builder = match &self.reach {
            Reach::InProcess => self.wiring.proxmox().builder(),
            Reach::Tls(servers) => servers.proxmox()?,
        };
        builder
            .token(format!("{user}={secret}"))
            .retry(proxmox_client::retry::RetryPolicy::default())
            .poll(PollPolicy::every(self.clock.pace().scale(POLL)))
            .build()
            .map_err(|error| {
                Failure::permanent("proxmox", "the lab cannot be used").caused_by(error)
            })
    }

    pub(crate) async fn maintenance(
        &self,
        address: IpAddr,
    ) -> Result<talos_client::Client, Failure> {
        let place = address.to_string();
        match &self.reach {
            Reach::InProcess => Ok(self.wiring.talos().connect_maintenance(place)),
            Reach::Tls(servers) => {
                let to = servers.talos(&self.wiring, address).await?;
                let client = talos_client::Client::builder()
                    .endpoint(&place)
                    .maintenance_insecure()
                    .connect_to(&place, to)
                    .build();
                client.map_err(unusable(&place))
            }
        }
    }

    pub(crate) async fn talos(
        &self,
        bundle: &SecretsBundle,
        address: IpAddr,
    ) -> Result<talos_client::Client, Failure> {
        let place = address.to_string();
        match &self.reach {
            Reach::InProcess => {
                let config = bundle.talosconfig("lab", [place.clone()], self.now());
                let config = config.map_err(unusable(&place))?;
                self.wiring
                    .talos()
                    .connect(&config)
                    .map_err(unusable(&place))
            }
            Reach::Tls(servers) => {
                let to = servers.talos(&self.wiring, address).await?;
                let identity = target::admin(bundle, self.now())?;
                let client = talos_client::Client::builder()
                    .endpoint(&place)
                    .credentials(
                        target::authority(bundle)?,
                        identity.certificate(),
                        identity.key(),
                    )
                    .connect_to(&place, to)
                    .build();
                client.map_err(unusable(&place))
            }
        }
    }

    pub(crate) async fn kubernetes(&self, kubeconfig: &str) -> Result<kube::Client, Failure> {
        match &self.reach {
            Reach::InProcess => Ok(self.wiring.kubernetes().client()),
            Reach::Tls(servers) => {
                let mut config = target::kubeconfig(kubeconfig).await?;
                // The address in the file is that of the cluster; its certificate is checked for that address still.
                config.tls_server_name = config.cluster_url.host().map(str::to_owned);
                config.cluster_url = servers.kubernetes(&self.wiring).await?;
                kube::Client::try_from(config).map_err(|error| {
                    Failure::permanent("kubernetes", "the API cannot be used").caused_by(error)
                })
            }
        }
    }

    pub(crate) fn make_bundle(&self, contract: VersionContract) -> Result<SecretsBundle, Failure> {
        if self.fixed_bundle {
            return Ok(SecretsBundle::fixed_for_tests());
        }
        target::make_bundle(contract, self.now())
    }

    /// The real restic where it is installed, for a lab over TLS; a simulated one otherwise.
    pub(crate) async fn restic(&self) -> Restic {
        match &self.reach {
            Reach::InProcess => self.wiring.restic().connect(),
            Reach::Tls(_) => match Restic::find_in_path().await {
                Ok(restic) => restic,
                Err(_) => self.wiring.restic().connect(),
            },
        }
    }

    /// A repository beside the file of the lab, or in a folder that ends with the program.
    pub(crate) fn repository(
        &self,
        restic: &Restic,
        name: &str,
        password: &str,
    ) -> Result<Repository, Failure> {
        let folder = match (&self.reach, &self.file) {
            (Reach::InProcess, _) => PathBuf::from("/lab/restic"),
            (Reach::Tls(_), Some(file)) => {
                let mut folder = file.as_os_str().to_owned();
                folder.push(".restic");
                PathBuf::from(folder)
            }
            (Reach::Tls(servers), None) => servers.scratch().join("restic"),
        };
        Ok(restic
            .repository(Location::local(folder.join(name)), password)
            .no_cache())
    }
}
