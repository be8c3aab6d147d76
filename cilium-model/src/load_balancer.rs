//! Addresses for Services: pools of them, and who answers ARP for them.

mod pool;

use super::policy::selector::LabelSelector;
use crate::model::{model, open_enum};
use crate::object::kind;

pub use pool::{AddressBlock, Overlap, overlaps};

/// Annotation of a Service that asks for addresses of a pool.
pub const IPS_ANNOTATION: &str = "lbipam.cilium.io/ips";

/// Class of a Service whose address is announced by BGP.
pub const BGP_CLASS: &str = "io.cilium/bgp-control-plane";

/// Class of a Service whose address is announced by ARP.
pub const L2_CLASS: &str = "io.cilium/l2-announcer";

model! {
    /// What a pool gives, and to whom.
    pub struct LoadBalancerIpPoolSpec {
        /// Ranges.
        list blocks: PoolBlock = "blocks",
        /// Services that may have an address of it; absent is every Service.
        opt service_selector: LabelSelector = "serviceSelector",
        /// Gives nothing new.
        opt disabled: bool = "disabled",
        /// Whether the first and last address of a CIDR are given too.
        opt allow_first_last_ips: AllowFirstLast = "allowFirstLastIPs",
    }

    /// A range: a CIDR, or a first and last address.
    pub struct PoolBlock {
        /// The CIDR.
        opt cidr: String = "cidr",
        /// First address.
        opt start: String = "start",
        /// Last address; absent is the first alone.
        opt stop: String = "stop",
    }

    /// Which addresses are announced by ARP and NDP, where.
    pub struct L2AnnouncementPolicySpec {
        /// Services; absent is every Service.
        opt service_selector: LabelSelector = "serviceSelector",
        /// Nodes; absent is every node.
        opt node_selector: LabelSelector = "nodeSelector",
        /// Interfaces, as regular expressions; absent is every interface.
        list interfaces: String = "interfaces",
        /// Announce external addresses.
        opt external_ips: bool = "externalIPs",
        /// Announce load balancer addresses.
        opt load_balancer_ips: bool = "loadBalancerIPs",
    }
}

open_enum! {
    /// Whether the first and last address of a CIDR are given.
    pub enum AllowFirstLast {
        /// They are.
        Yes = "Yes",
        /// They are kept as network and broadcast address.
        No = "No",
    }
}

kind! {
    /// A pool of addresses for Services of type LoadBalancer.
    CiliumLoadBalancerIPPool = LoadBalancerIpPoolBody { spec: LoadBalancerIpPoolSpec, required: true,
        group: "cilium.io", version: "v2", also: ["v2alpha1"], plural: "ciliumloadbalancerippools", namespaced: false }

    /// Announces addresses of Services in the nodes' own networks. One node answers for an address at a time; Services
    /// with `externalTrafficPolicy: Local` are not supported.
    CiliumL2AnnouncementPolicy = L2AnnouncementPolicyBody { spec: L2AnnouncementPolicySpec, required: false,
        group: "cilium.io", version: "v2alpha1", also: [], plural: "ciliuml2announcementpolicies", namespaced: false }
}

impl PoolBlock {
    /// A block given as a CIDR.
    #[must_use]
    pub fn of_cidr(cidr: impl Into<String>) -> Self {
        Self::default().cidr(cidr)
    }

    /// A block given by its first and last address.
    #[must_use]
    pub fn of_range(first: impl Into<String>, last: impl Into<String>) -> Self {
        Self::default().start(first).stop(last)
    }
}
