//! Whether a node has Ceph, and its first configuration.

use super::NodeCeph;
use crate::access::Ensured;
use crate::error::{Kind, Result};
use crate::scalar::record;
use crate::wire::{Method, Params};

/// How far Ceph has come on a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum CephState {
    /// The packages are missing: `pveceph install` on the node.
    NotInstalled,
    /// There is no configuration: [`NodeCeph::init`].
    NotInitialized,
    /// No monitor is known: [`NodeCeph::create_monitor`].
    WithoutMonitor,
    /// It answers.
    Running,
}

record! {
    /// A release that the server knows: `GET /nodes/{node}/ceph/releases`.
    pub struct CephRelease {
        required {
            /// Name, such as `squid`.
            "release" name: String,
        }
        optional {
            /// Version, such as `19.2`.
            "version" version: String,
            /// Whether the node can install it.
            "available" available: bool,
            /// Whether it is the one to take.
            "is-default" default: bool,
            /// Whether it is not supported for production.
            "unsupported" unsupported: bool,
        }
    }
}

/// The first configuration. What is not set is Ceph's default.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct CephInit {
    network: Option<String>,
    cluster_network: Option<String>,
    size: Option<u32>,
    min_size: Option<u32>,
    without_auth: bool,
}

impl CephInit {
    /// No networks of its own, three copies, two of which must be there for writing.
    pub fn new() -> Self {
        Self::default()
    }

    /// The network for all traffic (`192.0.2.0/24`), in which monitors find their addresses.
    #[must_use]
    pub fn with_network(mut self, cidr: &str) -> Self {
        self.network = Some(cidr.to_owned());
        self
    }

    /// Another network between disks, for copies and heartbeats. It needs [`with_network`](Self::with_network) too.
    #[must_use]
    pub fn with_cluster_network(mut self, cidr: &str) -> Self {
        self.cluster_network = Some(cidr.to_owned());
        self
    }

    /// Copies of each object in pools that say nothing else, 1 to 7, default 3.
    #[must_use]
    pub fn with_size(mut self, copies: u32) -> Self {
        self.size = Some(copies);
        self
    }

    /// Copies without which nothing is written, 1 to 7, default 2.
    #[must_use]
    pub fn with_min_size(mut self, copies: u32) -> Self {
        self.min_size = Some(copies);
        self
    }

    /// Services and clients do not prove who they are. Only for a network where nobody else is.
    #[must_use]
    pub fn without_authentication(mut self) -> Self {
        self.without_auth = true;
        self
    }

    fn push_to(&self, params: &mut Params) {
        let texts = [
            ("network", self.network.clone()),
            ("cluster-network", self.cluster_network.clone()),
            ("size", self.size.map(|size| size.to_string())),
            ("min_size", self.min_size.map(|size| size.to_string())),
        ];
        for (name, value) in texts {
            if let Some(value) = value {
                params.push(name, value);
            }
        }
        if self.without_auth {
            params.push_flag("disable_cephx", true);
        }
    }
}

impl NodeCeph {
    /// How far Ceph has come on this node.
    ///
    /// Example: see [`init`](Self::init).
    ///
    /// # Errors
    /// [`Kind::ServerTimeout`] if there are monitors that do not answer, [`Kind::Permission`] without `Sys.Audit` or
    /// `Datastore.Audit` on `/`.
    pub async fn state(&self) -> Result<CephState> {
        let asked: Result<serde_json::Value> = match self.request(Method::Get, "/status") {
            Ok(request) => self.client().fetch(request).await,
            Err(error) => return Err(error),
        };
        let error = match asked {
            Ok(_) => return Ok(CephState::Running),
            Err(error) if error.kind() == Kind::NotConfigured => error,
            Err(error) => return Err(error),
        };
        let text = error.message();
        Ok(if text.starts_with("binary not installed") {
            CephState::NotInstalled
        } else if text.starts_with("pveceph configuration not initialized") {
            CephState::NotInitialized
        } else {
            CephState::WithoutMonitor
        })
    }

    /// The releases that the server knows. Server 9.2 and later.
    ///
    /// ```
    /// # #[cfg(feature = "simulator")]
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), proxmox_client::Error> {
    /// # use proxmox_client::simulator::{Simulator, World};
    /// # let client = Simulator::new(World::lab().with_version("9.2.3")).connect();
    /// let releases = client.node("pve1").ceph().releases().await?;
    /// assert!(releases.iter().any(|release| release.default == Some(true)));
    /// # Ok(()) }
    /// # #[cfg(not(feature = "simulator"))] fn main() {}
    /// ```
    pub async fn releases(&self) -> Result<Vec<CephRelease>> {
        let request = self.request(Method::Get, "/releases")?;
        self.client().fetch(request).await
    }

    /// Makes the first configuration, for the whole cluster. Of a configuration that is there it only changes the
    /// networks; the answer says whether it did.
    ///
    /// ```
    /// # #[cfg(feature = "simulator")]
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), proxmox_client::Error> {
    /// use proxmox_client::Ensured;
    /// use proxmox_client::ceph::{CephInit, CephState};
    /// # use proxmox_client::simulator::{Simulator, World};
    /// # let client = Simulator::new(World::lab().with_ceph()).connect();
    /// let ceph = client.node("pve1").ceph();
    /// assert_eq!(ceph.state().await?, CephState::NotInitialized);
    /// assert_eq!(ceph.init(&CephInit::new()).await?, Ensured::Created);
    /// assert_eq!(ceph.init(&CephInit::new()).await?, Ensured::Unchanged);
    /// assert_eq!(ceph.state().await?, CephState::WithoutMonitor);
    /// # Ok(()) }
    /// # #[cfg(not(feature = "simulator"))] fn main() {}
    /// ```
    ///
    /// # Errors
    /// [`Kind::NotConfigured`] if the node lacks the packages.
    pub async fn init(&self, wanted: &CephInit) -> Result<Ensured> {
        let before = match self.config().await {
            Ok(text) => Some(text),
            Err(error) if error.kind() == Kind::NotConfigured => None,
            Err(error) => return Err(error),
        };
        let mut request = self.request(Method::Post, "/init")?;
        wanted.push_to(request.params_mut());
        let sent: Result<Option<String>> = self.client().fetch(request).await;
        sent.map_err(|error| error.doing(format!("initializing Ceph on {}", self.node.name())))?;
        let Some(before) = before else {
            return Ok(Ensured::Created);
        };
        let after = self.config().await?;
        let changed: Vec<String> = after
            .lines()
            .filter(|line| !before.lines().any(|old| old == *line))
            .filter_map(|line| line.split_once('='))
            .map(|(name, _)| name.trim().to_owned())
            .collect();
        Ok(match changed.is_empty() {
            true => Ensured::Unchanged,
            false => Ensured::Updated(changed),
        })
    }
}
