//! Hubble flows, and the filters of `GetFlowsRequest` as a pure function.
//!
//! Flows and filters read from the JSON form of the protobuf messages with the original field names, as `hubble observe
//! --output jsonpb` prints them and `--allowlist` takes them.
//!
//! ```
//! use cilium_model::hubble::{FilterSet, Flow, FlowFilter};
//!
//! let dropped_in_shop = FlowFilter::new().verdict(["DROPPED"]).source_pod(["shop/"]);
//! let filters = FilterSet::new([dropped_in_shop], [])?;
//! let flow = Flow::from_json(&serde_json::json!({
//!     "verdict": "DROPPED",
//!     "source": {"namespace": "shop", "pod_name": "cart-7d9f"},
//! }))?;
//! assert!(filters.matches(&flow));
//! # Ok::<(), cilium_model::Error>(())
//! ```

mod compile;
mod flow;
mod pattern;
mod selector;

pub use flow::{
    Dns, Endpoint, EventType, Flow, Header, Http, Icmp, Interface, Ip, IpTraceId, L4, L7, Ports,
    Service, Tcp, TcpFlags, TraceContext, TraceParent, Workload,
};

use serde_json::Value;

use crate::error::{Error, ErrorKind, Problem};
use crate::model::{At, Field, IntOrString, model};

model! {
    /// One filter: every given field must match, each list being alternatives.
    pub struct FlowFilter {
        /// Source address or range.
        list source_ip: String = "source_ip",
        /// Source address after translation, or range.
        list source_ip_xlated: String = "source_ip_xlated",
        /// Source pod, `namespace/prefix`; without a slash in the namespace `default`.
        list source_pod: String = "source_pod",
        /// Name of the source, `*` for any characters.
        list source_fqdn: String = "source_fqdn",
        /// Label selector for the source.
        list source_label: String = "source_label",
        /// Source service, `namespace/prefix`.
        list source_service: String = "source_service",
        /// Workload of the source.
        list source_workload: Workload = "source_workload",
        /// Cluster of the source.
        list source_cluster_name: String = "source_cluster_name",
        /// Identity of the source.
        list source_identity: i64 = "source_identity",
        /// Source port.
        list source_port: String = "source_port",
        /// Destination address or range.
        list destination_ip: String = "destination_ip",
        /// Destination pod, `namespace/prefix`.
        list destination_pod: String = "destination_pod",
        /// Name of the destination, `*` for any characters.
        list destination_fqdn: String = "destination_fqdn",
        /// Label selector for the destination.
        list destination_label: String = "destination_label",
        /// Destination service, `namespace/prefix`.
        list destination_service: String = "destination_service",
        /// Workload of the destination.
        list destination_workload: Workload = "destination_workload",
        /// Cluster of the destination.
        list destination_cluster_name: String = "destination_cluster_name",
        /// Identity of the destination.
        list destination_identity: i64 = "destination_identity",
        /// Destination port.
        list destination_port: String = "destination_port",
        /// Verdict, such as `DROPPED`.
        list verdict: String = "verdict",
        /// Reason of a drop, such as `POLICY_DENIED`.
        list drop_reason_desc: String = "drop_reason_desc",
        /// `INGRESS` or `EGRESS`.
        list traffic_direction: String = "traffic_direction",
        /// Type of the event behind the flow.
        list event_type: EventTypeFilter = "event_type",
        /// `tcp`, `udp`, `sctp`, `icmp`, `icmpv4`, `icmpv6`, `http`, `dns`, …
        list protocol: String = "protocol",
        /// Flags that must be set.
        list tcp_flags: TcpFlags = "tcp_flags",
        /// Status, or its beginning with a plus sign (`5+`, `50+`).
        list http_status_code: String = "http_status_code",
        /// Method, without regard to case.
        list http_method: String = "http_method",
        /// Regular expression for the path.
        list http_path: String = "http_path",
        /// Regular expression for the URL.
        list http_url: String = "http_url",
        /// Header with its value.
        list http_header: Header = "http_header",
        /// Regular expression for the name asked for.
        list dns_query: String = "dns_query",
        /// Whether it is an answer.
        list reply: bool = "reply",
        /// Node, `cluster/node` with `*` for any characters.
        list node_name: String = "node_name",
        /// Label selector for the node.
        list node_labels: String = "node_labels",
        /// `IPv4` or `IPv6`.
        list ip_version: String = "ip_version",
        /// Trace id of the request.
        list trace_id: String = "trace_id",
        /// Trace id in the IP options.
        list ip_trace_id: IntOrString = "ip_trace_id",
        /// Id of the flow itself.
        list uuid: String = "uuid",
        /// Interface.
        list interface: Interface = "interface",
        /// Whether it was encrypted.
        list encrypted: bool = "encrypted",
        /// Experimental filters; CEL expressions are refused here.
        opt experimental: Value = "experimental",
    }

    /// A type of events, and optionally one sub-type of it.
    pub struct EventTypeFilter {
        /// Type; 129 is layer 7.
        opt event_type: i64 = "type",
        /// Look at the sub-type too.
        opt match_sub_type: bool = "match_sub_type",
        /// Sub-type.
        opt sub_type: i64 = "sub_type",
    }
}

impl FlowFilter {
    /// Reads a filter from its JSON form.
    ///
    /// # Errors
    /// [`ErrorKind::Shape`] with every field of the wrong type.
    pub fn from_json(value: &Value) -> Result<Self, Error> {
        read(value, "the flow filter")
    }

    /// The JSON form.
    #[must_use]
    pub fn to_json(&self) -> Value {
        self.write()
    }
}

impl Flow {
    /// Reads a flow from its JSON form.
    ///
    /// # Errors
    /// [`ErrorKind::Shape`] with every field of the wrong type.
    pub fn from_json(value: &Value) -> Result<Self, Error> {
        read(value, "the flow")
    }

    /// The JSON form.
    #[must_use]
    pub fn to_json(&self) -> Value {
        self.write()
    }
}

fn read<T: Field>(value: &Value, what: &str) -> Result<T, Error> {
    let mut problems = Vec::new();
    match T::read(value, &At::ROOT, &mut problems) {
        Some(read) if problems.is_empty() => Ok(read),
        _ => Err(Error::new(ErrorKind::Shape, what, problems)),
    }
}

/// Filters made ready for flows.
#[derive(Clone, Debug)]
pub struct FilterSet {
    allow: Vec<compile::Compiled>,
    deny: Vec<compile::Compiled>,
}

impl FilterSet {
    /// Compiles a whitelist and a blacklist.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] with everything for which the observer would refuse the request.
    pub fn new(
        allow: impl IntoIterator<Item = FlowFilter>,
        deny: impl IntoIterator<Item = FlowFilter>,
    ) -> Result<Self, Error> {
        let mut problems = Vec::new();
        let mut list =
            |name: &str, filters: &mut dyn Iterator<Item = FlowFilter>| -> Vec<compile::Compiled> {
                let indexed = filters.enumerate();
                indexed
                    .map(|(n, filter)| {
                        compile::compile(&filter, &format!("{name}[{n}]"), &mut problems)
                    })
                    .collect()
            };
        let set = Self {
            allow: list("whitelist", &mut allow.into_iter()),
            deny: list("blacklist", &mut deny.into_iter()),
        };
        if problems.is_empty() {
            Ok(set)
        } else {
            Err(invalid(problems))
        }
    }

    /// True when some filter of the whitelist matches, or there is none, and no filter of the blacklist does.
    #[must_use]
    pub fn matches(&self, flow: &Flow) -> bool {
        let allowed = self.allow.is_empty() || self.allow.iter().any(|filter| filter.matches(flow));
        allowed && !self.deny.iter().any(|filter| filter.matches(flow))
    }
}

fn invalid(problems: Vec<Problem>) -> Error {
    Error::new(ErrorKind::Invalid, "the flow filter", problems)
}
