//! What Hubble saw: the fields of a flow that filters and people look at. All others are kept.

use crate::model::{IntOrString, model};

model! {
    /// One event on the network.
    pub struct Flow {
        /// When, in RFC 3339.
        opt time: String = "time",
        /// Id of the flow.
        opt uuid: String = "uuid",
        /// What became of it: `FORWARDED`, `DROPPED`, `ERROR`, `AUDIT`, `REDIRECTED`, `TRACED`, `TRANSLATED`.
        opt verdict: String = "verdict",
        /// Why it was dropped.
        opt drop_reason_desc: String = "drop_reason_desc",
        /// Addresses.
        opt ip: Ip = "IP",
        /// Transport.
        opt l4: L4 = "l4",
        /// Application.
        opt l7: L7 = "l7",
        /// Where it came from.
        opt source: Endpoint = "source",
        /// Where it went.
        opt destination: Endpoint = "destination",
        /// `L3_L4`, `L7` or `SOCK`.
        opt flow_type: String = "Type",
        /// Node that saw it, `cluster/node`.
        opt node_name: String = "node_name",
        /// Labels of that node.
        list node_labels: String = "node_labels",
        /// DNS names of the source.
        list source_names: String = "source_names",
        /// DNS names of the destination.
        list destination_names: String = "destination_names",
        /// Type of the event behind it.
        opt event_type: EventType = "event_type",
        /// Service that the source stands for.
        opt source_service: Service = "source_service",
        /// Service that was called.
        opt destination_service: Service = "destination_service",
        /// `INGRESS` or `EGRESS`.
        opt traffic_direction: String = "traffic_direction",
        /// Whether it is an answer; absent when nobody knows.
        opt is_reply: bool = "is_reply",
        /// Interface.
        opt interface: Interface = "interface",
        /// Trace of the request.
        opt trace_context: TraceContext = "trace_context",
        /// Trace in the IP options.
        opt ip_trace_id: IpTraceId = "ip_trace_id",
    }

    /// Addresses of a flow.
    pub struct Ip {
        /// Source.
        opt source: String = "source",
        /// Source after translation.
        opt source_xlated: String = "source_xlated",
        /// Destination.
        opt destination: String = "destination",
        /// `IPv4` or `IPv6`.
        opt ip_version: String = "ipVersion",
        /// Whether it was encrypted.
        opt encrypted: bool = "encrypted",
    }

    /// Transport of a flow; one of the fields is set.
    pub struct L4 {
        /// TCP.
        opt tcp: Tcp = "TCP",
        /// UDP.
        opt udp: Ports = "UDP",
        /// SCTP.
        opt sctp: Ports = "SCTP",
        /// ICMP for IPv4.
        opt icmp_v4: Icmp = "ICMPv4",
        /// ICMP for IPv6.
        opt icmp_v6: Icmp = "ICMPv6",
        /// VRRP.
        opt vrrp: Icmp = "VRRP",
        /// IGMP.
        opt igmp: Icmp = "IGMP",
    }

    /// A TCP segment.
    pub struct Tcp {
        /// Source port.
        opt source_port: i64 = "source_port",
        /// Destination port.
        opt destination_port: i64 = "destination_port",
        /// Flags.
        opt flags: TcpFlags = "flags",
    }

    /// Flags of a TCP segment.
    pub struct TcpFlags {
        /// FIN.
        opt fin: bool = "FIN",
        /// SYN.
        opt syn: bool = "SYN",
        /// RST.
        opt rst: bool = "RST",
        /// PSH.
        opt psh: bool = "PSH",
        /// ACK.
        opt ack: bool = "ACK",
        /// URG.
        opt urg: bool = "URG",
        /// ECE.
        opt ece: bool = "ECE",
        /// CWR.
        opt cwr: bool = "CWR",
        /// NS.
        opt ns: bool = "NS",
    }

    /// Ports of UDP or SCTP.
    pub struct Ports {
        /// Source port.
        opt source_port: i64 = "source_port",
        /// Destination port.
        opt destination_port: i64 = "destination_port",
    }

    /// Type and code of ICMP.
    pub struct Icmp {
        /// Type.
        opt icmp_type: i64 = "type",
        /// Code.
        opt code: i64 = "code",
    }

    /// Application layer of a flow.
    pub struct L7 {
        /// `REQUEST`, `RESPONSE` or `SAMPLE`.
        opt l7_type: String = "type",
        /// DNS.
        opt dns: Dns = "dns",
        /// HTTP.
        opt http: Http = "http",
    }

    /// A DNS query or its answer.
    pub struct Dns {
        /// Name asked for, with a trailing dot.
        opt query: String = "query",
        /// Addresses answered.
        list ips: String = "ips",
        /// Seconds that the answer holds.
        opt ttl: i64 = "ttl",
    }

    /// An HTTP request or its answer.
    pub struct Http {
        /// Status of an answer.
        opt code: i64 = "code",
        /// Method.
        opt method: String = "method",
        /// URL.
        opt url: String = "url",
        /// Version of the protocol.
        opt protocol: String = "protocol",
        /// Headers.
        list headers: Header = "headers",
    }

    /// A header.
    pub struct Header {
        /// Name.
        opt key: String = "key",
        /// Value.
        opt value: String = "value",
    }

    /// One side of a flow.
    pub struct Endpoint {
        /// Id of the endpoint on its node.
        opt id: i64 = "ID",
        /// Security identity.
        opt identity: i64 = "identity",
        /// Cluster.
        opt cluster_name: String = "cluster_name",
        /// Namespace.
        opt namespace: String = "namespace",
        /// Security labels.
        list labels: String = "labels",
        /// Pod.
        opt pod_name: String = "pod_name",
        /// Workloads that the pod belongs to.
        list workloads: Workload = "workloads",
    }

    /// A workload.
    pub struct Workload {
        /// Name.
        opt name: String = "name",
        /// Kind, such as `Deployment`.
        opt kind: String = "kind",
    }

    /// A service.
    pub struct Service {
        /// Name.
        opt name: String = "name",
        /// Namespace.
        opt namespace: String = "namespace",
    }

    /// Type of an event.
    pub struct EventType {
        /// Type.
        opt event_type: i64 = "type",
        /// Sub-type.
        opt sub_type: i64 = "sub_type",
    }

    /// An interface.
    pub struct Interface {
        /// Index.
        opt index: i64 = "index",
        /// Name.
        opt name: String = "name",
    }

    /// Trace of a request.
    pub struct TraceContext {
        /// Where the request came from.
        opt parent: TraceParent = "parent",
    }

    /// Origin of a trace.
    pub struct TraceParent {
        /// Id.
        opt trace_id: String = "trace_id",
    }

    /// Trace in the IP options.
    pub struct IpTraceId {
        /// Id; large numbers are texts in JSON.
        opt trace_id: IntOrString = "trace_id",
        /// Option that carried it.
        opt ip_option_type: i64 = "ip_option_type",
    }
}
