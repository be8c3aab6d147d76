//! The cluster-wide policy of the network policy API, `policy.networking.k8s.io/v1alpha2`: tiers around the ordinary policies.

use serde_json::Value;

use super::selector::LabelSelector;
use crate::model::{model, open_enum};
use crate::object::kind;

model! {
    /// What a ClusterNetworkPolicy says.
    pub struct ClusterNetworkPolicySpec {
        /// Before or after the ordinary policies.
        req tier: Tier = "tier",
        /// Order inside the tier, 0 to 1000; the lower number is tried first.
        req priority: i64 = "priority",
        /// Pods that the policy is about.
        req subject: Subject = "subject",
        /// Rules for incoming traffic, tried in order.
        list ingress: ClusterIngress = "ingress",
        /// Rules for outgoing traffic, tried in order.
        list egress: ClusterEgress = "egress",
    }

    /// Namespaces, or pods in namespaces.
    pub struct Subject {
        /// Every pod of these namespaces.
        opt namespaces: LabelSelector = "namespaces",
        /// These pods of these namespaces.
        opt pods: PodsIn = "pods",
    }

    /// Pods, in namespaces chosen by label.
    pub struct PodsIn {
        /// The namespaces.
        opt namespace_selector: LabelSelector = "namespaceSelector",
        /// The pods.
        opt pod_selector: LabelSelector = "podSelector",
    }

    /// One rule for incoming traffic.
    pub struct ClusterIngress {
        /// Name for messages.
        opt name: String = "name",
        /// What happens to what it matches.
        req action: Action = "action",
        /// Peers, any of them.
        list from: ClusterPeer = "from",
        /// Protocols and ports, any of them; absent is everything.
        list protocols: ClusterProtocol = "protocols",
    }

    /// One rule for outgoing traffic.
    pub struct ClusterEgress {
        /// Name for messages.
        opt name: String = "name",
        /// What happens to what it matches.
        req action: Action = "action",
        /// Peers, any of them.
        list to: ClusterPeer = "to",
        /// Protocols and ports, any of them; absent is everything.
        list protocols: ClusterProtocol = "protocols",
    }

    /// A peer, given in exactly one way.
    pub struct ClusterPeer {
        /// Every pod of these namespaces.
        opt namespaces: LabelSelector = "namespaces",
        /// These pods of these namespaces.
        opt pods: PodsIn = "pods",
        /// Nodes; outgoing only.
        opt nodes: LabelSelector = "nodes",
        /// Address ranges; outgoing only.
        list networks: String = "networks",
        /// DNS names or patterns; outgoing and accepting only.
        list domain_names: String = "domainNames",
    }

    /// A protocol with a port, or the name of a port.
    pub struct ClusterProtocol {
        /// TCP.
        opt tcp: ClusterPort = "tcp",
        /// UDP.
        opt udp: ClusterPort = "udp",
        /// SCTP.
        opt sctp: ClusterPort = "sctp",
        /// Name of a port of the destination.
        opt destination_named_port: String = "destinationNamedPort",
    }

    /// Ports of one protocol.
    pub struct ClusterPort {
        /// Port or range; absent is every port.
        opt destination_port: PortOrRange = "destinationPort",
        /// Further keys of newer versions.
        opt source_port: Value = "sourcePort",
    }

    /// One port or a range.
    pub struct PortOrRange {
        /// The port.
        opt number: i64 = "number",
        /// The range.
        opt range: PortRange = "range",
    }

    /// A range of ports.
    pub struct PortRange {
        /// First port.
        req start: i64 = "start",
        /// Last port, inclusive.
        req end: i64 = "end",
    }
}

open_enum! {
    /// Whether a policy is tried before or after the ordinary ones.
    #[derive(Default)]
    pub enum Tier {
        /// Before.
        #[default]
        Admin = "Admin",
        /// After, if no ordinary policy decided.
        Baseline = "Baseline",
    }

    /// What happens to matched traffic.
    #[derive(Default)]
    pub enum Action {
        /// Let it through.
        Accept = "Accept",
        /// Drop it.
        Deny = "Deny",
        /// Leave it to the next tier.
        #[default]
        Pass = "Pass",
    }
}

kind! {
    /// Rules of the cluster's administrator around the policies of its namespaces.
    ClusterNetworkPolicy = ClusterNetworkPolicyBody { spec: ClusterNetworkPolicySpec, required: true,
        group: "policy.networking.k8s.io", version: "v1alpha2",
        also: [], plural: "clusternetworkpolicies", namespaced: false }
}
