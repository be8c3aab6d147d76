//! The parts of a Cilium rule: peers, ports, layer-7 conditions.

use serde_json::Value;

use super::selector::LabelSelector;
use crate::model::{IntOrString, model, open_enum};

model! {
    /// One rule: whom it is about, and what may come in and go out.
    pub struct Rule {
        /// Endpoints that the rule is about. In a namespaced policy it never reaches beyond the namespace.
        opt endpoint_selector: LabelSelector = "endpointSelector",
        /// Nodes that the rule is about; cluster-wide policies only, and only with the host firewall on.
        opt node_selector: LabelSelector = "nodeSelector",
        /// What may come in.
        list ingress: IngressRule = "ingress",
        /// What must not come in, whatever else allows it.
        list ingress_deny: IngressRule = "ingressDeny",
        /// What may go out.
        list egress: EgressRule = "egress",
        /// What must not go out, whatever else allows it.
        list egress_deny: EgressRule = "egressDeny",
        /// Whether the rule closes a direction to all that no rule allows.
        opt enable_default_deny: DefaultDeny = "enableDefaultDeny",
        /// Free text.
        opt description: String = "description",
        /// Labels of the rule itself.
        opt labels: Value = "labels",
        /// What to note in the flow log.
        opt log: Value = "log",
    }

    /// Overrides of the default deny that a rule brings.
    pub struct DefaultDeny {
        /// False keeps the ingress of the selected endpoints open.
        opt ingress: bool = "ingress",
        /// False keeps the egress of the selected endpoints open.
        opt egress: bool = "egress",
    }

    /// Peers and ports of incoming traffic; peers of one entry are of one sort.
    pub struct IngressRule {
        /// Endpoints; an empty list matches nobody.
        list from_endpoints: LabelSelector = "fromEndpoints",
        /// Must stay empty in releases that still have it.
        list from_requires: LabelSelector = "fromRequires",
        /// Address ranges outside the cluster.
        list from_cidr: String = "fromCIDR",
        /// Address ranges with exceptions, or named groups of them.
        list from_cidr_set: CidrRule = "fromCIDRSet",
        /// Classes of peers.
        list from_entities: Entity = "fromEntities",
        /// Provider groups.
        list from_groups: Value = "fromGroups",
        /// Nodes, by label; needs the node selector option.
        list from_nodes: LabelSelector = "fromNodes",
        /// Ports of the selected endpoint.
        list to_ports: PortRule = "toPorts",
        /// ICMP types; not together with ports.
        list icmps: IcmpRule = "icmps",
        /// Demand for mutual authentication.
        opt authentication: Authentication = "authentication",
    }

    /// Peers and ports of outgoing traffic; peers of one entry are of one sort.
    pub struct EgressRule {
        /// Endpoints; an empty list matches nobody.
        list to_endpoints: LabelSelector = "toEndpoints",
        /// Must stay empty in releases that still have it.
        list to_requires: LabelSelector = "toRequires",
        /// Address ranges outside the cluster.
        list to_cidr: String = "toCIDR",
        /// Address ranges with exceptions, or named groups of them.
        list to_cidr_set: CidrRule = "toCIDRSet",
        /// Classes of peers.
        list to_entities: Entity = "toEntities",
        /// Kubernetes services.
        list to_services: Value = "toServices",
        /// Provider groups.
        list to_groups: Value = "toGroups",
        /// Nodes, by label; needs the node selector option.
        list to_nodes: LabelSelector = "toNodes",
        /// Names whose DNS answers give the allowed addresses.
        list to_fqdns: FqdnSelector = "toFQDNs",
        /// Ports of the peer.
        list to_ports: PortRule = "toPorts",
        /// ICMP types; not together with ports.
        list icmps: IcmpRule = "icmps",
        /// Demand for mutual authentication.
        opt authentication: Authentication = "authentication",
    }

    /// An address range with exceptions, or a reference to a CIDR group; exactly one of the three ways.
    pub struct CidrRule {
        /// The range.
        opt cidr: String = "cidr",
        /// Name of a CiliumCIDRGroup.
        opt cidr_group_ref: String = "cidrGroupRef",
        /// Labels of CiliumCIDRGroups.
        opt cidr_group_selector: LabelSelector = "cidrGroupSelector",
        /// Ranges inside it that the rule does not cover. This is no deny: another rule may cover them.
        list except: String = "except",
    }

    /// A DNS name or a pattern of names.
    pub struct FqdnSelector {
        /// The exact name, without regard to case.
        opt match_name: String = "matchName",
        /// A pattern: `*` stands for characters of one label, a leading `**.` for any number of labels.
        opt match_pattern: String = "matchPattern",
    }

    /// Ports, and optionally what may be asked over them.
    pub struct PortRule {
        /// At most 40 ports.
        list ports: PortProtocol = "ports",
        /// Layer-7 conditions.
        opt rules: L7Rules = "rules",
        /// TLS server names; the connection goes through the proxy.
        list server_names: String = "serverNames",
        /// Certificate for ending TLS at the proxy.
        opt terminating_tls: Value = "terminatingTLS",
        /// Trust for opening TLS anew behind the proxy.
        opt originating_tls: Value = "originatingTLS",
        /// A listener of a CiliumEnvoyConfig that takes the traffic.
        opt listener: Value = "listener",
    }

    /// One port, a range of ports, or the name of a port.
    pub struct PortProtocol {
        /// Number or name; `"0"` is every port of the protocol.
        opt port: String = "port",
        /// Last port of a range, inclusive.
        opt end_port: i64 = "endPort",
        /// Protocol; absent is any of TCP, UDP and SCTP.
        opt protocol: Protocol = "protocol",
    }

    /// Layer-7 conditions, of one protocol.
    pub struct L7Rules {
        /// HTTP requests that may pass.
        list http: HttpRule = "http",
        /// DNS queries that may pass.
        list dns: FqdnSelector = "dns",
        /// Kafka requests; gone in 1.20.
        list kafka: Value = "kafka",
        /// Name of a generic parser; gone in 1.20.
        opt l7proto: String = "l7proto",
        /// Rules of the generic parser; gone in 1.20.
        list l7: Value = "l7",
    }

    /// One HTTP condition: every given field must hold.
    pub struct HttpRule {
        /// Regular expression for the whole path with its query.
        opt path: String = "path",
        /// Regular expression for the whole method.
        opt method: String = "method",
        /// Regular expression for the whole host.
        opt host: String = "host",
        /// Headers that must be there, `Name` or `Name: value`.
        list headers: String = "headers",
        /// Headers that must have a value, or that are set when they have not.
        list header_matches: HeaderMatch = "headerMatches",
    }

    /// One header condition.
    pub struct HeaderMatch {
        /// Name of the header.
        req name: String = "name",
        /// Value wanted.
        opt value: String = "value",
        /// Secret that holds the value wanted.
        opt secret: Value = "secret",
        /// What to do instead of refusing: LOG, ADD, DELETE or REPLACE.
        opt mismatch: String = "mismatch",
    }

    /// ICMP types.
    pub struct IcmpRule {
        /// At most 40 types.
        list fields: IcmpField = "fields",
    }

    /// One ICMP type of one family.
    pub struct IcmpField {
        /// IPv4 (the default) or IPv6.
        opt family: IpFamily = "family",
        /// Number or name of the type.
        opt icmp_type: IntOrString = "type",
    }

    /// Demand for mutual authentication.
    pub struct Authentication {
        /// How.
        req mode: AuthenticationMode = "mode",
    }

    /// What a CIDR group holds.
    pub struct CidrGroupSpec {
        /// Ranges outside the cluster.
        list external_cidrs: String = "externalCIDRs",
    }
}

open_enum! {
    /// Transport protocol of a port.
    pub enum Protocol {
        /// TCP.
        Tcp = "TCP",
        /// UDP.
        Udp = "UDP",
        /// SCTP.
        Sctp = "SCTP",
        /// ICMP for IPv4, in flows.
        Icmp = "ICMP",
        /// ICMP for IPv6, in flows.
        IcmpV6 = "ICMPv6",
        /// TCP, UDP and SCTP.
        Any = "ANY",
    }

    /// Internet protocol family.
    pub enum IpFamily {
        /// Version 4.
        V4 = "IPv4",
        /// Version 6.
        V6 = "IPv6",
    }

    /// Whether and how peers must authenticate.
    #[derive(Default)]
    pub enum AuthenticationMode {
        /// Mutual authentication through SPIRE.
        #[default]
        Required = "required",
        /// None, even if a broader rule demands it.
        Disabled = "disabled",
        /// Always fails; for tests.
        AlwaysFail = "test-always-fail",
    }

    /// A class of peers that has no labels of its own.
    pub enum Entity {
        /// Everybody.
        All = "all",
        /// Everything outside the cluster.
        World = "world",
        /// Everything outside the cluster with an IPv4 address; refused by the API server.
        WorldIpv4 = "world-ipv4",
        /// Everything outside the cluster with an IPv6 address; refused by the API server.
        WorldIpv6 = "world-ipv6",
        /// Every endpoint and node of the local cluster.
        Cluster = "cluster",
        /// The node that the endpoint runs on.
        Host = "host",
        /// Other nodes, of this and connected clusters.
        RemoteNode = "remote-node",
        /// The Kubernetes API server, wherever it runs.
        KubeApiserver = "kube-apiserver",
        /// Cilium's Envoy as Ingress and Gateway.
        Ingress = "ingress",
        /// Cilium's health endpoints.
        Health = "health",
        /// Endpoints that do not yet know their labels.
        Init = "init",
        /// Pods that Cilium does not manage.
        Unmanaged = "unmanaged",
        /// Nobody.
        None = "none",
    }
}

impl From<&str> for FqdnSelector {
    /// A name, or a pattern if there is a star in it.
    fn from(text: &str) -> Self {
        if text.contains('*') {
            Self::default().match_pattern(text)
        } else {
            Self::default().match_name(text)
        }
    }
}

impl PortRule {
    /// A rule for one TCP port.
    #[must_use]
    pub fn tcp(port: u16) -> Self {
        Self::default().ports([PortProtocol::of(port, Protocol::Tcp)])
    }

    /// A rule for one UDP port.
    #[must_use]
    pub fn udp(port: u16) -> Self {
        Self::default().ports([PortProtocol::of(port, Protocol::Udp)])
    }
}

impl PortProtocol {
    /// One port of one protocol.
    #[must_use]
    pub fn of(port: u16, protocol: Protocol) -> Self {
        Self::default().port(port.to_string()).protocol(protocol)
    }
}
