//! The cluster as a whole: version, members, endpoints.

mod datacenter;
mod join;
mod resource;

use crate::client::Client;
use crate::error::Result;
use crate::scalar::record;
use crate::wire::{Method, Request};

pub use datacenter::{ClusterLogEntry, ClusterOptions, ClusterSettings};
pub use join::{JoinInfo, JoinNode};
pub use resource::{Resource, ResourceFilter, ResourceKind, ResourceStatus};

record! {
    /// `GET /version`.
    pub struct Version {
        required {
            /// Full version, such as `9.1.9`.
            "version" version: String,
        }
        optional {
            /// Release, such as `9.1`.
            "release" release: String,
            /// Commit of the manager package.
            "repoid" repo_id: String,
        }
    }
}

impl Version {
    /// Major and minor number.
    pub fn numbers(&self) -> Option<(u32, u32)> {
        let mut parts = self.version.split(['.', '-', '~']);
        Some((parts.next()?.parse().ok()?, parts.next()?.parse().ok()?))
    }
}

record! {
    /// An entry of `GET /cluster/status`: the cluster, or one of its nodes.
    pub struct ClusterMember {
        required {
            /// `cluster` or `node`.
            "type" kind: String,
            /// Name.
            "name" name: String,
        }
        optional {
            /// Address of a node.
            "ip" ip: String,
            /// Whether the node is up.
            "online" online: bool,
            /// Whether it is the node that answers.
            "local" local: bool,
            /// Number of the node.
            "nodeid" node_id: u64,
            /// Whether the cluster has quorum.
            "quorate" quorate: bool,
            /// Number of nodes.
            "nodes" nodes: u64,
            /// Identifier.
            "id" id: String,
            /// Support level.
            "level" level: String,
            /// Version of the cluster's configuration.
            "version" version: u64,
        }
    }
}

impl Client {
    /// The server's version.
    ///
    /// ```
    /// # #[cfg(feature = "simulator")]
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), proxmox_client::Error> {
    /// # let client = proxmox_client::simulator::Simulator::lab().connect();
    /// let version = client.version().await?;
    /// assert!(version.numbers() >= Some((9, 0)), "{}", version.version);
    /// # Ok(()) }
    /// # #[cfg(not(feature = "simulator"))] fn main() {}
    /// ```
    pub async fn version(&self) -> Result<Version> {
        self.fetch(Request::new(Method::Get, "/version", &[])).await
    }

    /// The cluster and its nodes with their addresses.
    ///
    /// ```
    /// # #[cfg(feature = "simulator")]
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), proxmox_client::Error> {
    /// # let client = proxmox_client::simulator::Simulator::lab().connect();
    /// let members = client.cluster_status().await?;
    /// let offline = members.iter().filter(|member| member.online == Some(false));
    /// assert_eq!(offline.count(), 0);
    /// # Ok(()) }
    /// # #[cfg(not(feature = "simulator"))] fn main() {}
    /// ```
    pub async fn cluster_status(&self) -> Result<Vec<ClusterMember>> {
        self.fetch(Request::new(Method::Get, "/cluster/status", &[]))
            .await
    }

    /// Addresses of all nodes that are up, the one that answers first: endpoints for a client that survives the loss of
    /// any of them. They are those of the cluster's own network, which callers may not reach.
    ///
    /// ```
    /// # #[cfg(feature = "simulator")]
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), proxmox_client::Error> {
    /// # let client = proxmox_client::simulator::Simulator::lab().connect();
    /// let endpoints = client.discover_endpoints().await?;
    /// assert_eq!(endpoints, ["https://192.0.2.10:8006"]);
    /// # Ok(()) }
    /// # #[cfg(not(feature = "simulator"))] fn main() {}
    /// ```
    ///
    /// # Errors
    /// As [`cluster_status`](Self::cluster_status).
    pub async fn discover_endpoints(&self) -> Result<Vec<String>> {
        let mut members = self.cluster_status().await?;
        members.retain(|member| member.kind == "node" && member.online == Some(true));
        members.sort_by_key(|member| (member.local != Some(true), member.node_id));
        let addresses = members.into_iter().filter_map(|member| member.ip);
        Ok(addresses
            .map(|ip| match ip.contains(':') {
                true => format!("https://[{ip}]:8006"),
                false => format!("https://{ip}:8006"),
            })
            .collect())
    }
}
