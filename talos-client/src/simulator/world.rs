//! All nodes of a lab: plain data, asked and changed with the modelled time.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};

use super::access::{self, Access};
use super::node::{NodeSpec, NodeState, SimNode};
use crate::config::MachineConfig;
use crate::error::{Error, ErrorKind};
use crate::transport::Refused;
use crate::wire;

/// How long things take, in modelled time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Timings {
    /// From power to an API.
    pub boot: Duration,
    /// Writing the system to the disk.
    pub install: Duration,
    /// From the request to the machine's next start.
    pub reboot: Duration,
    /// etcd's start, at bootstrap or after a boot.
    pub etcd_start: Duration,
    /// A member's joining.
    pub etcd_join: Duration,
    /// From etcd to an API server that answers.
    pub api_server: Duration,
}

impl Default for Timings {
    /// Boot 20 s, install 60 s, reboot 10 s, etcd 8 s, join 12 s, API server 25 s.
    fn default() -> Self {
        Self {
            boot: Duration::from_secs(20),
            install: Duration::from_secs(60),
            reboot: Duration::from_secs(10),
            etcd_start: Duration::from_secs(8),
            etcd_join: Duration::from_secs(12),
            api_server: Duration::from_secs(25),
        }
    }
}

/// A member of etcd.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Member {
    /// The node's name in the world.
    pub node: String,
    /// The member's number.
    pub id: u64,
    /// It serves.
    pub healthy: bool,
}

/// The Kubernetes API of one control plane node.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ApiServer {
    /// The node's name in the world.
    pub node: String,
    /// Where it answers; the virtual address too when this node holds it.
    pub addresses: Vec<IpAddr>,
}

/// All nodes of a lab. Cloning it is a snapshot.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct World {
    pub(super) nodes: BTreeMap<String, SimNode>,
    pub(super) timings: Timings,
    ids: u64,
}

impl World {
    /// A world without nodes.
    pub fn new() -> Self {
        Self::default()
    }

    /// How long things take from now on.
    pub fn set_timings(&mut self, timings: Timings) {
        self.timings = timings;
    }

    /// How long things take.
    pub fn timings(&self) -> &Timings {
        &self.timings
    }

    /// Adds a node, powered off; one of the same name is replaced.
    pub fn add(&mut self, spec: NodeSpec) {
        self.nodes.insert(spec.name.clone(), SimNode::new(spec));
    }

    /// Takes a node away with its disks.
    pub fn remove(&mut self, name: &str) {
        self.nodes.remove(name);
    }

    /// The names of all nodes.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.nodes.keys().map(String::as_str)
    }

    fn node_mut(&mut self, name: &str) -> Result<&mut SimNode, Error> {
        let missing = || {
            Error::new(
                ErrorKind::NotFound,
                format!("the world has no node `{name}`"),
            )
        };
        self.nodes.get_mut(name).ok_or_else(missing)
    }

    /// Switches a node on; nothing happens when it is on.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`].
    pub fn power_on(&mut self, name: &str, now: SystemTime) -> Result<(), Error> {
        self.settle(now);
        let timings = self.timings.clone();
        self.node_mut(name)?.power_on(now, &timings);
        Ok(())
    }

    /// Takes the power away.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`].
    pub fn power_off(&mut self, name: &str, now: SystemTime) -> Result<(), Error> {
        self.settle(now);
        self.node_mut(name)?.power_off(now);
        Ok(())
    }

    /// What a node is made of.
    pub fn spec(&self, name: &str) -> Option<&NodeSpec> {
        self.nodes.get(name).map(|node| &node.spec)
    }

    /// What a node is doing; [`NodeState::Off`] for one that does not exist.
    pub fn state(&self, name: &str, now: SystemTime) -> NodeState {
        self.nodes
            .get(name)
            .map_or(NodeState::Off, |node| node.state(now))
    }

    /// Why a node does not come further, if it does not.
    pub fn problem(&self, name: &str) -> Option<&str> {
        self.nodes.get(name)?.problem.as_deref()
    }

    /// The configuration on a node's disk.
    pub fn config(&self, name: &str) -> Option<&MachineConfig> {
        self.nodes.get(name)?.config()
    }

    /// The disk that a node is installed on.
    pub fn system_disk(&self, name: &str) -> Option<&str> {
        self.nodes.get(name)?.installed.as_ref()?.disk.as_deref()
    }

    /// A node's host name.
    pub fn hostname(&self, name: &str, now: SystemTime) -> Option<String> {
        Some(self.nodes.get(name)?.hostname(now))
    }

    /// A node's present addresses.
    pub fn addresses(&self, name: &str, now: SystemTime) -> Vec<IpAddr> {
        self.nodes
            .get(name)
            .map(|node| node.addresses(now))
            .unwrap_or_default()
    }

    /// The node that has an address or host name now, the virtual address included.
    pub fn find(&self, host: &str, now: SystemTime) -> Option<&str> {
        let address: Option<IpAddr> = host
            .trim_start_matches('[')
            .trim_end_matches(']')
            .parse()
            .ok();
        let own = self.nodes.iter().find(|(name, node)| match address {
            Some(address) => {
                node.state(now) != NodeState::Off && node.addresses(now).contains(&address)
            }
            None => *name == host || node.hostname(now) == host,
        });
        own.map(|(name, _)| name.as_str())
            .or_else(|| self.virtual_ip_holder(address?, now))
    }

    /// The members of the etcd of a cluster.
    pub fn etcd_members(&mut self, cluster_id: &str, now: SystemTime) -> Vec<Member> {
        self.settle(now);
        let member = |(name, member): (&str, &super::etcd::Membership)| Member {
            node: name.to_owned(),
            id: member.id,
            healthy: self.etcd_serves(name, now),
        };
        self.members_of(cluster_id).map(member).collect()
    }

    /// Whether the API server of a control plane node answers.
    pub fn api_server_is_up(&mut self, name: &str, now: SystemTime) -> bool {
        self.settle(now);
        self.api_up(name, now)
    }

    fn api_up(&self, name: &str, now: SystemTime) -> bool {
        now.checked_sub(self.timings.api_server)
            .is_some_and(|earlier| self.etcd_serves(name, earlier))
            && self.etcd_serves(name, now)
    }

    /// The API servers of a cluster that answer.
    pub fn api_servers(&mut self, cluster_id: &str, now: SystemTime) -> Vec<ApiServer> {
        self.settle(now);
        let mut servers = Vec::new();
        for (name, node) in &self.nodes {
            let here = node.config().and_then(|config| config.cluster_id()) == Some(cluster_id);
            if !here || !node.is_control_plane() || !self.api_up(name, now) {
                continue;
            }
            let mut addresses = node.addresses(now);
            let shared = node
                .config()
                .map(|config| config.virtual_ips())
                .unwrap_or_default();
            let shared = shared.iter().filter_map(|text| text.parse().ok());
            addresses.extend(
                shared.filter(|address| self.virtual_ip_holder(*address, now) == Some(name)),
            );
            servers.push(ApiServer {
                node: name.clone(),
                addresses,
            });
        }
        servers
    }

    /// The node that holds a virtual address: a control plane whose etcd serves and whose interface lies in the address'
    /// subnet. An address outside of every subnet never comes up.
    pub fn virtual_ip_holder(&self, address: IpAddr, now: SystemTime) -> Option<&str> {
        self.nodes
            .iter()
            .find(|(name, node)| {
                let Some(config) = node.running_config(now) else {
                    return false;
                };
                let shared = config
                    .virtual_ips()
                    .iter()
                    .any(|text| text.parse() == Ok(address));
                shared && reaches(node, config, address) && self.etcd_serves(name, now)
            })
            .map(|(name, _)| name.as_str())
    }

    pub(super) fn new_id(&mut self) -> u64 {
        self.ids += 1;
        // Looks like etcd's numbers, is the same in every run.
        self.ids.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1
    }

    /// The connection to an endpoint, then the call.
    pub(super) fn connect_and_call(
        &mut self,
        endpoint: &str,
        access: &Access,
        request: &wire::Request,
        now: SystemTime,
    ) -> Result<wire::Reply, Refused> {
        self.settle(now);
        let host = host_of(endpoint);
        let nobody = || Refused::NotConnected {
            tls: false,
            message: format!("connecting to {endpoint}: nobody answers"),
        };
        let name = self.find(host, now).ok_or_else(nobody)?.to_owned();
        self.admit(&name, endpoint, access, now)?;
        Ok(self.call(&name, access, request, now))
    }

    /// TLS: who may talk to whom.
    fn admit(
        &self,
        name: &str,
        endpoint: &str,
        access: &Access,
        now: SystemTime,
    ) -> Result<(), Refused> {
        let tls = |why: &str| Refused::NotConnected {
            tls: true,
            message: format!("TLS handshake with {endpoint}: {why}"),
        };
        let Some(node) = self.nodes.get(name) else {
            return Err(Refused::NotConnected {
                tls: false,
                message: format!("connecting to {endpoint}: no such node"),
            });
        };
        match (node.state(now), access) {
            (NodeState::Maintenance, Access::Maintenance) => Ok(()),
            (NodeState::Maintenance, Access::Certificate { .. }) => {
                Err(tls("invalid peer certificate: UnknownIssuer"))
            }
            (NodeState::Running, Access::Maintenance) => {
                Err(tls("received fatal alert: CertificateRequired"))
            }
            (NodeState::Running, Access::Certificate { certificate, ca }) => {
                let Some((authority, _)) = self.server_authority(name, now) else {
                    return Err(Refused::NotConnected {
                        tls: false,
                        message: format!("connecting to {endpoint}: nobody answers"),
                    });
                };
                if !access::trusts(ca, &authority) {
                    return Err(tls("invalid peer certificate: UnknownIssuer"));
                }
                let trusted = node.config().map(MachineConfig::trusted_os_cas);
                access::verify(&trusted.unwrap_or_default(), certificate, now)
                    .map_err(|why| tls(&why))
            }
            (state, _) => Err(Refused::NotConnected {
                tls: false,
                message: format!("connecting to {endpoint}: refused ({state:?})"),
            }),
        }
    }

    /// Certificate and key that sign the node's own certificate: its own on control planes; a worker gets its certificate
    /// from a control plane with the same token whose authority it trusts, and has no API before one runs.
    pub(super) fn server_authority(
        &self,
        name: &str,
        now: SystemTime,
    ) -> Option<(String, zeroize::Zeroizing<String>)> {
        let node = self.nodes.get(name)?;
        let config = node.running_config(now)?;
        if let Some(authority) = config.os_authority() {
            return Some(authority);
        }
        self.nodes
            .values()
            .filter_map(|other| other.running_config(now))
            .find_map(|other| {
                let authority = other.os_authority()?;
                let trusted = config.trusted_os_cas().concat();
                let known = access::trusts(&trusted, &authority.0)
                    && other.trustd_token() == config.trustd_token();
                known.then_some(authority)
            })
    }

    /// Whether two running nodes believe each other's certificates.
    pub(super) fn nodes_trust(&self, one: &str, other: &str, now: SystemTime) -> bool {
        let believes = |name: &str, peer: &str| {
            let trusted = self
                .nodes
                .get(name)
                .and_then(|node| node.running_config(now));
            let authority = self.server_authority(peer, now);
            trusted
                .zip(authority)
                .is_some_and(|(config, (authority, _))| {
                    access::trusts(&config.trusted_os_cas().concat(), &authority)
                })
        };
        believes(one, other) && believes(other, one)
    }
}

/// `host`, `host:port`, `[address]:port`.
pub(super) fn host_of(endpoint: &str) -> &str {
    if let Some(rest) = endpoint.strip_prefix('[') {
        return rest.split(']').next().unwrap_or(rest);
    }
    if endpoint.matches(':').count() == 1 {
        endpoint.split(':').next().unwrap_or(endpoint)
    } else {
        endpoint
    }
}

/// One of the node's own subnets contains the address.
fn reaches(node: &SimNode, config: &MachineConfig, address: IpAddr) -> bool {
    let configured = config.addresses();
    if configured.is_empty() {
        // Addresses by DHCP come without a prefix here: the usual /24 and /64.
        return node.spec.addresses.iter().any(|own| {
            let length = if own.is_ipv4() { 24 } else { 64 };
            ipnet::IpNet::new(*own, length).is_ok_and(|net| net.contains(&address))
        });
    }
    configured
        .iter()
        .filter_map(|text| text.parse::<ipnet::IpNet>().ok())
        .any(|net| net.contains(&address))
}
