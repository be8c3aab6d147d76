//! The cluster's own configuration, and what a node needs to join it.

use serde_json::{Value, json};

use super::firewall::digest;
use super::not_simulated;
use crate::simulator::answer::{Outcome, Reply};
use crate::simulator::http::Call;
use crate::simulator::world::World;

impl World {
    /// Whether the nodes are a cluster: a single one is not.
    pub(super) fn is_cluster(&self) -> bool {
        self.nodes.len() > 1
    }

    pub(super) fn totem(&self) -> Value {
        json!({
            "version": "2", "cluster_name": "lab", "config_version": self.nodes.len().to_string(),
            "interface": { "0": { "linknumber": "0" } }, "ip_version": "ipv4-6", "link_mode": "passive",
            "secauth": "on",
        })
    }

    fn cluster_nodes(&self) -> Vec<Value> {
        let nodes = self.nodes.iter().enumerate();
        nodes
            .map(|(index, (name, node))| {
                json!({
                    "name": name, "nodeid": (index + 1).to_string(), "quorum_votes": "1",
                    "ring0_addr": node.address,
                })
            })
            .collect()
    }

    pub(super) fn corosync(&self, rest: &[&str], call: &Call) -> Outcome {
        match rest {
            [] => {
                let all = ["nodes", "totem", "join", "qdevice", "apiversion"];
                Ok(Reply::data(
                    all.map(|name| json!({ "name": name })).to_vec(),
                ))
            }
            ["nodes"] => {
                let mut nodes = self.cluster_nodes();
                nodes.retain(|_| self.is_cluster());
                for node in &mut nodes {
                    node["node"] = node["name"].clone();
                }
                Ok(Reply::data(nodes))
            }
            ["totem"] => Ok(Reply::data(match self.is_cluster() {
                true => self.totem(),
                false => json!({}),
            })),
            ["apiversion"] => Ok(Reply::data(1)),
            ["join"] => self.join_info(call),
            _ => Err(not_simulated(call)),
        }
    }

    fn join_info(&self, call: &Call) -> Outcome {
        if !self.is_cluster() {
            let text = "node is not in a cluster, no join info available!";
            let mut refusal = Reply::refusal(424, text);
            // Its text ends without a line's end.
            refusal.body = json!({ "data": null, "message": text })
                .to_string()
                .into_bytes();
            return Err(refusal);
        }
        let first = self.nodes.keys().next().cloned().unwrap_or_default();
        let asked = call.text("node").unwrap_or(first);
        if !self.nodes.contains_key(&asked) {
            return Err(Reply::failed(format!("unknown node '{asked}'")));
        }
        let mut nodes = self.cluster_nodes();
        for (entry, node) in nodes.iter_mut().zip(self.nodes.values()) {
            entry["pve_addr"] = node.address.as_str().into();
            entry["pve_fp"] = node.fingerprint.as_str().into();
        }
        let digest = digest(&json!([nodes, self.totem()]).to_string());
        Ok(Reply::data(json!({
            "nodelist": nodes, "preferred_node": asked, "totem": self.totem(), "config_digest": digest,
        })))
    }
}
