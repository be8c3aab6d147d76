//! What a node needs to join the cluster.

use serde_json::Value;

use crate::client::Client;
use crate::error::{Kind, Result};
use crate::scalar::record;
use crate::wire::{Method, Request};

record! {
    /// A member of the cluster, as those who join need to know it.
    pub struct JoinNode {
        required {
            /// Name.
            "name" name: String,
        }
        optional {
            /// Number in the cluster's engine.
            "nodeid" node_id: u32,
            /// Address of its interface.
            "pve_addr" address: String,
            /// SHA-256 fingerprint of its certificate, pairs of digits with colons.
            "pve_fp" fingerprint: String,
            /// Votes that it has.
            "quorum_votes" votes: u32,
            /// Address on the first link of the cluster's engine.
            "ring0_addr" link: String,
        }
    }
}

record! {
    /// `GET /cluster/config/join`.
    pub struct JoinInfo {
        optional {
            /// The members.
            "nodelist" nodes: Vec<JoinNode>,
            /// The member to join over.
            "preferred_node" preferred: String,
            /// How the members talk to each other: `cluster_name`, `interface`, …
            "totem" totem: Value,
            /// Digest of the engine's configuration.
            "config_digest" digest: String,
        }
    }
}

impl JoinInfo {
    /// The member to join over.
    pub fn preferred_node(&self) -> Option<&JoinNode> {
        let name = self.preferred.as_deref()?;
        self.nodes.iter().flatten().find(|node| node.name == name)
    }

    /// The cluster's name.
    pub fn cluster_name(&self) -> Option<&str> {
        self.totem.as_ref()?.get("cluster_name")?.as_str()
    }
}

impl Client {
    /// What a node needs to join this cluster: address and fingerprint of a member, and how the members talk to each
    /// other. None if the node that is asked is in no cluster.
    ///
    /// ```
    /// # #[cfg(feature = "simulator")]
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), proxmox_client::Error> {
    /// # use proxmox_client::simulator::{NodeSpec, Simulator, World};
    /// # let world = World::lab().with_node(NodeSpec::new("pve2", 4, 8 << 30));
    /// # let client = Simulator::new(world).connect();
    /// let info = client.join_info().await?.expect("a cluster");
    /// let member = info.preferred_node().unwrap();
    /// assert_eq!((member.name.as_str(), member.address.as_deref()), ("pve1", Some("192.0.2.10")));
    /// # Ok(()) }
    /// # #[cfg(not(feature = "simulator"))] fn main() {}
    /// ```
    pub async fn join_info(&self) -> Result<Option<JoinInfo>> {
        let request = Request::new(Method::Get, "/cluster/config/join", &[]);
        match self.fetch(request).await {
            Ok(info) => Ok(Some(info)),
            Err(error) if error.kind() == Kind::NotConfigured => Ok(None),
            Err(error) => Err(error.doing("reading what a node needs to join the cluster")),
        }
    }
}
