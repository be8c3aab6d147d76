//! From filters as written to conditions on flows, with the observer's reasons to refuse them.

use std::net::IpAddr;

use ipnet::IpNet;
use regex::Regex;

use super::pattern::{NodePattern, Pattern};
use super::selector::TextSelector;
use super::{
    Endpoint, EventTypeFilter, Flow, FlowFilter, Header, Interface, Service, TcpFlags, Workload,
};
use crate::error::Problem;
use crate::model::IntOrString;
use crate::policy::selector::Label;

/// Type of layer-7 events.
const L7_EVENT: i64 = 129;

/// One condition; all of a filter must hold.
#[derive(Clone, Debug)]
enum Condition {
    Address(Which, Vec<IpNet>),
    Pod(Side, Vec<Namespaced>),
    Name(Side, Vec<Pattern>),
    Labels(Side, Vec<TextSelector>),
    Service(Side, Vec<Namespaced>),
    Workload(Side, Vec<Workload>),
    Cluster(Side, Vec<String>),
    Identity(Side, Vec<i64>),
    Port(Side, Vec<u16>),
    Verdict(Vec<String>),
    DropReason(Vec<String>),
    Direction(Vec<String>),
    Event(Vec<EventTypeFilter>),
    Protocol(Vec<Proto>),
    TcpFlags(Vec<TcpFlags>),
    Status(Vec<Status>),
    Method(Vec<String>),
    Path(Vec<Regex>),
    Url(Vec<Regex>),
    Header(Vec<Header>),
    Query(Vec<Regex>),
    Reply(Vec<bool>),
    Node(Vec<NodePattern>),
    NodeLabels(Vec<TextSelector>),
    IpVersion(Vec<String>),
    Trace(Vec<String>),
    IpTrace(Vec<u64>),
    Uuid(Vec<String>),
    Interface(Vec<Interface>),
    Encrypted(Vec<bool>),
}

#[derive(Clone, Copy, Debug)]
enum Side {
    Source,
    Destination,
}

#[derive(Clone, Copy, Debug)]
enum Which {
    Source,
    SourceTranslated,
    Destination,
}

#[derive(Clone, Debug)]
struct Namespaced {
    namespace: String,
    prefix: String,
}

#[derive(Clone, Debug)]
enum Status {
    Exact(i64),
    Prefix(String),
}

#[derive(Clone, Copy, Debug)]
enum Proto {
    Icmp,
    IcmpV4,
    IcmpV6,
    Tcp,
    Udp,
    Sctp,
    Vrrp,
    Igmp,
    Http,
    Dns,
}

#[derive(Clone, Debug)]
pub(super) struct Compiled(Vec<Condition>);

struct Compiler<'a> {
    path: &'a str,
    problems: &'a mut Vec<Problem>,
    found: Vec<Condition>,
}

impl Compiler<'_> {
    fn refuse(&mut self, field: &str, message: impl Into<String>) {
        self.problems
            .push(Problem::new(format!("{}.{field}", self.path), message));
    }

    /// Adds a condition when the list holds something; every entry that cannot be read is noted.
    fn add<S, T>(
        &mut self,
        field: &str,
        given: &Option<Vec<S>>,
        read: impl Fn(&S) -> Result<T, String>,
        condition: impl FnOnce(Vec<T>) -> Condition,
    ) {
        let Some(given) = given.as_ref().filter(|list| !list.is_empty()) else {
            return;
        };
        let mut all = Vec::with_capacity(given.len());
        for (n, entry) in given.iter().enumerate() {
            match read(entry) {
                Ok(entry) => all.push(entry),
                Err(message) => self.refuse(&format!("{field}[{n}]"), message),
            }
        }
        self.found.push(condition(all));
    }
}

pub(super) fn compile(filter: &FlowFilter, path: &str, problems: &mut Vec<Problem>) -> Compiled {
    let mut c = Compiler {
        path,
        problems,
        found: Vec::new(),
    };
    let same = |text: &String| Ok(text.clone());
    c.add("source_ip", &filter.source_ip, address, |l| {
        Condition::Address(Which::Source, l)
    });
    c.add("source_ip_xlated", &filter.source_ip_xlated, address, |l| {
        Condition::Address(Which::SourceTranslated, l)
    });
    c.add("destination_ip", &filter.destination_ip, address, |l| {
        Condition::Address(Which::Destination, l)
    });
    let sides = [
        (
            Side::Source,
            "source",
            (
                &filter.source_pod,
                &filter.source_fqdn,
                &filter.source_label,
                &filter.source_service,
            ),
            (
                &filter.source_workload,
                &filter.source_cluster_name,
                &filter.source_identity,
                &filter.source_port,
            ),
        ),
        (
            Side::Destination,
            "destination",
            (
                &filter.destination_pod,
                &filter.destination_fqdn,
                &filter.destination_label,
                &filter.destination_service,
            ),
            (
                &filter.destination_workload,
                &filter.destination_cluster_name,
                &filter.destination_identity,
                &filter.destination_port,
            ),
        ),
    ];
    for (side, name, (pod, fqdn, label, service), (workload, cluster, identity, port)) in sides {
        c.add(
            &format!("{name}_pod"),
            pod,
            |t| namespaced(t),
            |l| Condition::Pod(side, l),
        );
        c.add(
            &format!("{name}_fqdn"),
            fqdn,
            |t| Pattern::fqdn(t),
            |l| Condition::Name(side, l),
        );
        c.add(
            &format!("{name}_label"),
            label,
            |t| TextSelector::compile(t),
            |l| Condition::Labels(side, l),
        );
        c.add(
            &format!("{name}_service"),
            service,
            |t| namespaced(t),
            |l| Condition::Service(side, l),
        );
        c.add(
            &format!("{name}_workload"),
            workload,
            |w| Ok(w.clone()),
            |l| Condition::Workload(side, l),
        );
        c.add(
            &format!("{name}_cluster_name"),
            cluster,
            |t| non_empty(t),
            |l| Condition::Cluster(side, l),
        );
        c.add(
            &format!("{name}_identity"),
            identity,
            |i| Ok(*i),
            |l| Condition::Identity(side, l),
        );
        c.add(
            &format!("{name}_port"),
            port,
            |t| port_number(t),
            |l| Condition::Port(side, l),
        );
    }
    c.add("verdict", &filter.verdict, same, Condition::Verdict);
    c.add(
        "drop_reason_desc",
        &filter.drop_reason_desc,
        same,
        Condition::DropReason,
    );
    c.add(
        "traffic_direction",
        &filter.traffic_direction,
        same,
        Condition::Direction,
    );
    c.add(
        "event_type",
        &filter.event_type,
        |e| Ok(e.clone()),
        Condition::Event,
    );
    c.add(
        "protocol",
        &filter.protocol,
        |t| protocol(t),
        Condition::Protocol,
    );
    c.add(
        "tcp_flags",
        &filter.tcp_flags,
        |f| Ok(f.clone()),
        Condition::TcpFlags,
    );
    c.add(
        "http_status_code",
        &filter.http_status_code,
        |t| status(t),
        Condition::Status,
    );
    c.add("http_method", &filter.http_method, same, Condition::Method);
    c.add(
        "http_path",
        &filter.http_path,
        |t| regex(t),
        Condition::Path,
    );
    c.add("http_url", &filter.http_url, |t| regex(t), Condition::Url);
    c.add(
        "http_header",
        &filter.http_header,
        |h| Ok(h.clone()),
        Condition::Header,
    );
    c.add(
        "dns_query",
        &filter.dns_query,
        |t| regex(t),
        Condition::Query,
    );
    c.add("reply", &filter.reply, |b| Ok(*b), Condition::Reply);
    c.add(
        "node_name",
        &filter.node_name,
        |t| NodePattern::compile(t),
        Condition::Node,
    );
    c.add(
        "node_labels",
        &filter.node_labels,
        |t| TextSelector::compile(t),
        Condition::NodeLabels,
    );
    c.add("ip_version", &filter.ip_version, same, Condition::IpVersion);
    c.add("trace_id", &filter.trace_id, same, Condition::Trace);
    c.add(
        "ip_trace_id",
        &filter.ip_trace_id,
        unsigned,
        Condition::IpTrace,
    );
    c.add("uuid", &filter.uuid, same, Condition::Uuid);
    c.add(
        "interface",
        &filter.interface,
        |i| Ok(i.clone()),
        Condition::Interface,
    );
    c.add(
        "encrypted",
        &filter.encrypted,
        |b| Ok(*b),
        Condition::Encrypted,
    );
    let http = [
        ("http_status_code", filter.http_status_code.is_some()),
        ("http_method", filter.http_method.is_some()),
        ("http_path", filter.http_path.is_some()),
        ("http_url", filter.http_url.is_some()),
        ("http_header", filter.http_header.is_some()),
    ];
    let types = filter.event_type.as_deref().unwrap_or_default();
    let others = !types.is_empty() && types.iter().all(|event| event.event_type != Some(L7_EVENT));
    for (field, _) in http.into_iter().filter(|(_, given)| *given && others) {
        c.refuse(
            field,
            "looks at layer-7 events, which event_type leaves out; add type 129",
        );
    }
    let cel = filter
        .experimental
        .as_ref()
        .and_then(|e| e.get("cel_expression"))
        .and_then(|e| e.as_array());
    if cel.is_some_and(|list| !list.is_empty()) {
        c.refuse(
            "experimental.cel_expression",
            "CEL expressions are not evaluated here",
        );
    }
    Compiled(c.found)
}

fn address(text: &String) -> Result<IpNet, String> {
    if text.contains('/') {
        return text
            .parse()
            .map_err(|_| format!("{text:?} is no address range"));
    }
    text.parse::<IpAddr>()
        .map(IpNet::from)
        .map_err(|_| format!("{text:?} is no address"))
}

fn namespaced(text: &str) -> Result<Namespaced, String> {
    if text.is_empty() {
        return Err("a name is needed".to_owned());
    }
    let (namespace, prefix) = text.split_once('/').unwrap_or(("default", text));
    Ok(Namespaced {
        namespace: namespace.to_owned(),
        prefix: prefix.to_owned(),
    })
}

fn non_empty(text: &str) -> Result<String, String> {
    if text.is_empty() {
        Err("a name is needed".to_owned())
    } else {
        Ok(text.to_owned())
    }
}

fn port_number(text: &str) -> Result<u16, String> {
    let digits = text.bytes().all(|b| b.is_ascii_digit());
    text.parse()
        .ok()
        .filter(|_| digits)
        .ok_or_else(|| format!("{text:?} is no port"))
}

fn protocol(text: &str) -> Result<Proto, String> {
    Ok(match text.to_ascii_lowercase().as_str() {
        "icmp" => Proto::Icmp,
        "icmpv4" => Proto::IcmpV4,
        "icmpv6" => Proto::IcmpV6,
        "tcp" => Proto::Tcp,
        "udp" => Proto::Udp,
        "sctp" => Proto::Sctp,
        "vrrp" => Proto::Vrrp,
        "igmp" => Proto::Igmp,
        "http" => Proto::Http,
        "dns" => Proto::Dns,
        _ => return Err(format!("{text:?} is no protocol")),
    })
}

fn status(text: &str) -> Result<Status, String> {
    let digits = text.strip_suffix('+').unwrap_or(text);
    let fine = digits.bytes().all(|b| b.is_ascii_digit())
        && matches!(digits.as_bytes().first(), Some(b'1'..=b'5'));
    match (fine, digits.len(), digits.len() == text.len()) {
        (true, 3, true) => digits
            .parse()
            .map(Status::Exact)
            .map_err(|_| format!("{text:?} is no status")),
        (true, 1 | 2, false) => Ok(Status::Prefix(digits.to_owned())),
        _ => Err(format!(
            "{text:?} is neither a status nor a beginning such as 5+"
        )),
    }
}

fn regex(text: &str) -> Result<Regex, String> {
    Regex::new(text).map_err(|_| format!("{text:?} is no regular expression"))
}

fn unsigned(value: &IntOrString) -> Result<u64, String> {
    match value {
        IntOrString::Int(n) => u64::try_from(*n).ok(),
        IntOrString::Text(text) => text.parse().ok(),
    }
    .ok_or_else(|| format!("{value} is no trace id"))
}

impl Compiled {
    pub(super) fn matches(&self, flow: &Flow) -> bool {
        self.0.iter().all(|condition| condition.holds(flow))
    }
}

fn endpoint(flow: &Flow, side: Side) -> Option<&Endpoint> {
    match side {
        Side::Source => flow.source.as_ref(),
        Side::Destination => flow.destination.as_ref(),
    }
}

fn service(flow: &Flow, side: Side) -> Option<&Service> {
    match side {
        Side::Source => flow.source_service.as_ref(),
        Side::Destination => flow.destination_service.as_ref(),
    }
}

fn named(list: &[Namespaced], namespace: Option<&str>, name: Option<&str>) -> bool {
    let (namespace, name) = (namespace.unwrap_or_default(), name.unwrap_or_default());
    if namespace.is_empty() && name.is_empty() {
        return false;
    }
    list.iter().any(|wanted| {
        (wanted.namespace.is_empty() || wanted.namespace == namespace)
            && name.starts_with(&wanted.prefix)
    })
}

/// The port of a side, for the transports that have one.
fn port(flow: &Flow, side: Side) -> Option<i64> {
    let l4 = flow.l4.as_ref()?;
    let pick = |source: Option<i64>, destination: Option<i64>| {
        Some(match side {
            Side::Source => source.unwrap_or(0),
            Side::Destination => destination.unwrap_or(0),
        })
    };
    if let Some(tcp) = &l4.tcp {
        return pick(tcp.source_port, tcp.destination_port);
    }
    let ports = l4.udp.as_ref().or(l4.sctp.as_ref())?;
    pick(ports.source_port, ports.destination_port)
}

/// The path of a URL, without query and fragment.
fn url_path(url: &str) -> &str {
    let rest = match url.find("://") {
        Some(at) => {
            let rest = &url[at + 3..];
            rest.find(['/', '?', '#']).map_or("", |at| &rest[at..])
        }
        None => url,
    };
    &rest[..rest.find(['?', '#']).unwrap_or(rest.len())]
}

impl Condition {
    #[allow(clippy::too_many_lines)]
    fn holds(&self, flow: &Flow) -> bool {
        let http = || flow.l7.as_ref().and_then(|l7| l7.http.as_ref());
        let in_list = |list: &[String], value: &Option<String>, absent: &str| {
            list.iter()
                .any(|wanted| wanted == value.as_deref().unwrap_or(absent))
        };
        match self {
            Self::Address(which, nets) => {
                let text = flow.ip.as_ref().and_then(|ip| match which {
                    Which::Source => ip.source.as_deref(),
                    Which::SourceTranslated => ip.source_xlated.as_deref(),
                    Which::Destination => ip.destination.as_deref(),
                });
                let address = text.and_then(|text| text.parse::<IpAddr>().ok());
                address.is_some_and(|ip| nets.iter().any(|net| net.contains(&ip)))
            }
            Self::Pod(side, list) => endpoint(flow, *side)
                .is_some_and(|e| named(list, e.namespace.as_deref(), e.pod_name.as_deref())),
            Self::Service(side, list) => service(flow, *side)
                .is_some_and(|s| named(list, s.namespace.as_deref(), s.name.as_deref())),
            Self::Name(side, patterns) => {
                let names = match side {
                    Side::Source => &flow.source_names,
                    Side::Destination => &flow.destination_names,
                };
                names.iter().flatten().any(|name| {
                    let lower = name.to_ascii_lowercase();
                    let name = lower.strip_suffix('.').unwrap_or(&lower);
                    patterns.iter().any(|pattern| pattern.matches(name))
                })
            }
            Self::Labels(side, selectors) => {
                let texts = endpoint(flow, *side).and_then(|e| e.labels.as_ref());
                let labels: Vec<Label> = texts
                    .into_iter()
                    .flatten()
                    .map(|text| Label::parse(text))
                    .collect();
                selectors.iter().any(|selector| selector.matches(&labels))
            }
            Self::Workload(side, list) => {
                let own = endpoint(flow, *side).and_then(|e| e.workloads.as_ref());
                own.into_iter().flatten().any(|workload| {
                    list.iter().any(|wanted| {
                        let fits = |wanted: &Option<String>, own: &Option<String>| {
                            wanted
                                .as_deref()
                                .is_none_or(|w| w.is_empty() || own.as_deref() == Some(w))
                        };
                        fits(&wanted.name, &workload.name) && fits(&wanted.kind, &workload.kind)
                    })
                })
            }
            Self::Cluster(side, list) => {
                endpoint(flow, *side).is_some_and(|e| in_list(list, &e.cluster_name, ""))
            }
            Self::Identity(side, list) => {
                endpoint(flow, *side).is_some_and(|e| list.contains(&e.identity.unwrap_or(0)))
            }
            Self::Port(side, list) => port(flow, *side)
                .is_some_and(|port| list.iter().any(|wanted| i64::from(*wanted) == port)),
            Self::Verdict(list) => in_list(list, &flow.verdict, "VERDICT_UNKNOWN"),
            Self::DropReason(list) => in_list(list, &flow.drop_reason_desc, "DROP_REASON_UNKNOWN"),
            Self::Direction(list) => {
                in_list(list, &flow.traffic_direction, "TRAFFIC_DIRECTION_UNKNOWN")
            }
            Self::Event(list) => flow.event_type.as_ref().is_some_and(|event| {
                list.iter().any(|wanted| {
                    wanted.event_type.unwrap_or(0) == event.event_type.unwrap_or(0)
                        && (wanted.match_sub_type != Some(true)
                            || wanted.sub_type.unwrap_or(0) == event.sub_type.unwrap_or(0))
                })
            }),
            Self::Protocol(list) => list.iter().any(|protocol| protocol.is_of(flow)),
            Self::TcpFlags(list) => {
                let tcp = flow.l4.as_ref().and_then(|l4| l4.tcp.as_ref());
                tcp.and_then(|tcp| tcp.flags.as_ref())
                    .is_some_and(|own| list.iter().any(|wanted| flags_set(wanted, own)))
            }
            Self::Status(list) => http()
                .and_then(|http| http.code)
                .filter(|code| *code != 0)
                .is_some_and(|code| {
                    list.iter().any(|wanted| match wanted {
                        Status::Exact(exact) => *exact == code,
                        Status::Prefix(prefix) => code.to_string().starts_with(prefix),
                    })
                }),
            Self::Method(list) => http().is_some_and(|http| {
                let own = http.method.as_deref().unwrap_or_default();
                list.iter().any(|wanted| wanted.eq_ignore_ascii_case(own))
            }),
            Self::Path(list) => http().is_some_and(|http| {
                let path = url_path(http.url.as_deref().unwrap_or_default());
                list.iter().any(|regex| regex.is_match(path))
            }),
            Self::Url(list) => http().is_some_and(|http| {
                list.iter()
                    .any(|regex| regex.is_match(http.url.as_deref().unwrap_or_default()))
            }),
            Self::Header(list) => http().is_some_and(|http| {
                http.headers.iter().flatten().any(|own| {
                    list.iter().any(|wanted| {
                        let key = wanted.key.as_deref().unwrap_or_default();
                        own.key.as_deref().unwrap_or_default() == key
                            && own.value.as_deref().unwrap_or_default()
                                == wanted.value.as_deref().unwrap_or_default()
                    })
                })
            }),
            Self::Query(list) => {
                let dns = flow.l7.as_ref().and_then(|l7| l7.dns.as_ref());
                dns.is_some_and(|dns| {
                    list.iter()
                        .any(|regex| regex.is_match(dns.query.as_deref().unwrap_or_default()))
                })
            }
            Self::Reply(list) => {
                // Nobody knows of a dropped packet whether it was an answer; the observer counts it as none.
                let dropped = flow.verdict.as_deref() == Some("DROPPED");
                flow.is_reply
                    .or(dropped.then_some(false))
                    .is_some_and(|reply| list.contains(&reply))
            }
            Self::Node(list) => {
                let name = flow.node_name.as_deref().unwrap_or_default();
                !name.is_empty() && list.iter().any(|pattern| pattern.matches(name))
            }
            Self::NodeLabels(list) => {
                let labels: Vec<Label> = flow
                    .node_labels
                    .iter()
                    .flatten()
                    .map(|text| Label::parse(text))
                    .collect();
                list.iter().any(|selector| selector.matches(&labels))
            }
            Self::IpVersion(list) => {
                let own = flow.ip.as_ref().and_then(|ip| ip.ip_version.clone());
                in_list(list, &own, "IP_NOT_USED")
            }
            Self::Trace(list) => {
                let parent = flow
                    .trace_context
                    .as_ref()
                    .and_then(|context| context.parent.as_ref());
                let own = parent
                    .and_then(|parent| parent.trace_id.as_deref())
                    .unwrap_or_default();
                list.iter().any(|wanted| wanted == own)
            }
            Self::IpTrace(list) => {
                let own = flow
                    .ip_trace_id
                    .as_ref()
                    .and_then(|trace| trace.trace_id.as_ref());
                list.contains(&own.and_then(|own| unsigned(own).ok()).unwrap_or(0))
            }
            Self::Uuid(list) => in_list(list, &flow.uuid, ""),
            Self::Interface(list) => flow.interface.as_ref().is_some_and(|own| {
                list.iter().any(|wanted| {
                    wanted.index.is_none_or(|n| n == 0 || own.index == Some(n))
                        && wanted
                            .name
                            .as_deref()
                            .is_none_or(|n| n.is_empty() || own.name.as_deref() == Some(n))
                })
            }),
            Self::Encrypted(list) => flow
                .ip
                .as_ref()
                .is_some_and(|ip| list.contains(&ip.encrypted.unwrap_or(false))),
        }
    }
}

impl Proto {
    fn is_of(self, flow: &Flow) -> bool {
        let l4 = flow.l4.as_ref();
        let l7 = flow.l7.as_ref();
        match self {
            Self::Icmp => l4.is_some_and(|l4| l4.icmp_v4.is_some() || l4.icmp_v6.is_some()),
            Self::IcmpV4 => l4.is_some_and(|l4| l4.icmp_v4.is_some()),
            Self::IcmpV6 => l4.is_some_and(|l4| l4.icmp_v6.is_some()),
            Self::Tcp => l4.is_some_and(|l4| l4.tcp.is_some()),
            Self::Udp => l4.is_some_and(|l4| l4.udp.is_some()),
            Self::Sctp => l4.is_some_and(|l4| l4.sctp.is_some()),
            Self::Vrrp => l4.is_some_and(|l4| l4.vrrp.is_some()),
            Self::Igmp => l4.is_some_and(|l4| l4.igmp.is_some()),
            Self::Http => l7.is_some_and(|l7| l7.http.is_some()),
            Self::Dns => l7.is_some_and(|l7| l7.dns.is_some()),
        }
    }
}

/// Every flag of the filter is set in the segment.
fn flags_set(wanted: &TcpFlags, own: &TcpFlags) -> bool {
    let pairs = [
        (wanted.fin, own.fin),
        (wanted.syn, own.syn),
        (wanted.rst, own.rst),
        (wanted.psh, own.psh),
        (wanted.ack, own.ack),
        (wanted.urg, own.urg),
        (wanted.ece, own.ece),
        (wanted.cwr, own.cwr),
        (wanted.ns, own.ns),
    ];
    pairs
        .into_iter()
        .all(|(wanted, own)| wanted != Some(true) || own == Some(true))
}
