//! The NetworkPolicy of Kubernetes, `networking.k8s.io/v1`.

use super::selector::LabelSelector;
use crate::model::{IntOrString, model, open_enum};
use crate::object::kind;

use super::rule::Protocol;

model! {
    /// What a NetworkPolicy says.
    pub struct NetworkPolicySpec {
        /// Pods of the policy's namespace that it is about; absent or empty is all of them.
        opt pod_selector: LabelSelector = "podSelector",
        /// Directions that the policy closes. Absent: ingress, and egress if there are egress rules.
        list policy_types: PolicyType = "policyTypes",
        /// What may come in; an empty entry allows everything.
        list ingress: NetworkPolicyIngress = "ingress",
        /// What may go out; an empty entry allows everything.
        list egress: NetworkPolicyEgress = "egress",
    }

    /// Peers and ports of incoming traffic.
    pub struct NetworkPolicyIngress {
        /// Peers; absent or empty is everybody.
        list from: NetworkPolicyPeer = "from",
        /// Ports; absent or empty is every port.
        list ports: NetworkPolicyPort = "ports",
    }

    /// Peers and ports of outgoing traffic.
    pub struct NetworkPolicyEgress {
        /// Peers; absent or empty is everybody.
        list to: NetworkPolicyPeer = "to",
        /// Ports; absent or empty is every port.
        list ports: NetworkPolicyPort = "ports",
    }

    /// Pods, namespaces or an address range.
    pub struct NetworkPolicyPeer {
        /// Pods, in the namespaces chosen, else in the policy's own.
        opt pod_selector: LabelSelector = "podSelector",
        /// Namespaces, by their labels.
        opt namespace_selector: LabelSelector = "namespaceSelector",
        /// Addresses outside the cluster.
        opt ip_block: IpBlock = "ipBlock",
    }

    /// An address range with exceptions.
    pub struct IpBlock {
        /// The range.
        req cidr: String = "cidr",
        /// Ranges inside it that are not meant.
        list except: String = "except",
    }

    /// A port, a range, or a named port.
    pub struct NetworkPolicyPort {
        /// Number or name; absent is every port of the protocol.
        opt port: IntOrString = "port",
        /// Last port of a range, inclusive.
        opt end_port: i64 = "endPort",
        /// TCP when absent.
        opt protocol: Protocol = "protocol",
    }
}

open_enum! {
    /// A direction that a policy closes.
    pub enum PolicyType {
        /// Incoming.
        Ingress = "Ingress",
        /// Outgoing.
        Egress = "Egress",
    }
}

kind! {
    /// Allow rules for pods of one namespace, as Kubernetes itself defines them.
    NetworkPolicy = NetworkPolicyBody { spec: NetworkPolicySpec, required: true, group: "networking.k8s.io", version: "v1",
        also: [], plural: "networkpolicies", namespaced: true }
}
