//! The lab on loopback: real TLS in front of every simulator.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::Path;

use proxmox_client::ClientBuilder;
use tempfile::TempDir;
use tokio::sync::Mutex;

use super::kubernetes;
use super::wiring::Wiring;
use crate::failure::Failure;

/// Nothing listens here: a machine that is not there.
const NOWHERE: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 9);

/// Servers in front of the simulators; they stop when this is dropped.
#[derive(Debug)]
pub(super) struct Servers {
    proxmox: proxmox_client::simulator::Server,
    talos: Mutex<BTreeMap<String, talos_client::simulator::Served>>,
    kubernetes: Mutex<Option<kubernetes::Server>>,
    scratch: TempDir,
}

impl Servers {
    /// Starts the server of Proxmox VE; the others start with their systems.
    pub(super) async fn start(wiring: &Wiring) -> Result<Self, Failure> {
        let proxmox = wiring.proxmox().serve().await.map_err(|error| {
            Failure::permanent("lab", "Proxmox VE cannot be served on loopback").caused_by(error)
        })?;
        let scratch = tempfile::Builder::new()
            .prefix("homelab-")
            .tempdir()
            .map_err(|error| {
                Failure::permanent("lab", "no folder for temporary files").caused_by(error)
            })?;
        Ok(Self {
            proxmox,
            talos: Mutex::default(),
            kubernetes: Mutex::default(),
            scratch,
        })
    }

    /// A client of Proxmox VE that trusts the certificate of this very server.
    pub(super) fn proxmox(&self) -> Result<ClientBuilder, Failure> {
        let trust = proxmox_client::Trust::fingerprint(self.proxmox.fingerprint());
        let trust = trust.map_err(|error| {
            Failure::permanent("lab", "its certificate has no fingerprint").caused_by(error)
        })?;
        Ok(proxmox_client::Client::builder()
            .endpoint(self.proxmox.endpoint())
            .trust(trust))
    }

    /// Where the machine API of an address is served.
    pub(super) async fn talos(
        &self,
        wiring: &Wiring,
        address: IpAddr,
    ) -> Result<SocketAddr, Failure> {
        wiring.settle();
        let node = wiring
            .talos()
            .with(|world, now| world.find(&address.to_string(), now).map(str::to_owned));
        let Some(node) = node else { return Ok(NOWHERE) };
        let mut served = self.talos.lock().await;
        if let Some(served) = served.get(&node) {
            return Ok(served.address());
        }
        let server = wiring.talos().serve(&node).await.map_err(|error| {
            Failure::permanent(&node, "cannot be served on loopback").caused_by(error)
        })?;
        let at = server.address();
        served.insert(node, server);
        Ok(at)
    }

    /// Where the Kubernetes API is served, with a certificate of the cluster's own authority.
    pub(super) async fn kubernetes(&self, wiring: &Wiring) -> Result<http::Uri, Failure> {
        wiring.settle();
        let mut running = self.kubernetes.lock().await;
        if running.is_none() {
            let tls = wiring.api_certificate().ok_or_else(|| {
                Failure::transient("kubernetes", "no control plane has brought up the API yet")
            })?;
            let server = wiring.kubernetes().serve(&tls).await.map_err(|error| {
                Failure::permanent("kubernetes", "cannot be served on loopback").caused_by(error)
            })?;
            *running = Some(server);
        }
        let address = running
            .as_ref()
            .map_or(NOWHERE, kubernetes::Server::address);
        format!("https://{address}")
            .parse()
            .map_err(|error: http::uri::InvalidUri| {
                Failure::permanent("kubernetes", "has no address").caused_by(error)
            })
    }

    /// A folder that is removed at the end.
    pub(super) fn scratch(&self) -> &Path {
        self.scratch.path()
    }
}
