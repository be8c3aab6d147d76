//! What the agent refuses although the API server lets it through: the checks on single values of a rule.

use std::net::IpAddr;

use ipnet::IpNet;

use super::rule::Protocol;
use crate::error::Problem;

/// Most ports in one port rule and ICMP types in one ICMP rule (Cilium's limit).
pub(crate) const MAX_PORTS: usize = 40;

/// A range, or a bare address as a range of one.
pub(crate) fn cidr(
    text: &str,
    path: impl Fn() -> String,
    problems: &mut Vec<Problem>,
) -> Option<IpNet> {
    let parsed = text
        .parse::<IpNet>()
        .ok()
        .or_else(|| text.parse::<IpAddr>().ok().map(IpNet::from));
    if parsed.is_none() {
        problems.push(
            Problem::new(path(), format!("{text:?} is no address range"))
                .remedy("write it like 192.0.2.0/24 or 2001:db8::/32"),
        );
    }
    parsed.map(|net| net.trunc())
}

/// Exceptions must lie inside the range that they narrow.
pub(crate) fn except(
    net: IpNet,
    except: IpNet,
    path: impl Fn() -> String,
    problems: &mut Vec<Problem>,
) {
    if !net.contains(&except) {
        problems.push(Problem::new(
            path(),
            format!("{except} does not lie inside {net}"),
        ));
    }
}

/// A port of a rule.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Port {
    Number(u16),
    Named(String),
}

pub(crate) fn port(
    text: Option<&str>,
    path: impl Fn() -> String,
    problems: &mut Vec<Problem>,
) -> Option<Port> {
    let text = text.unwrap_or_default();
    if text.is_empty() {
        problems.push(
            Problem::new(path(), "a port is needed").remedy("\"0\" is every port of the protocol"),
        );
        return None;
    }
    if is_service_name(text) {
        return Some(Port::Named(text.to_ascii_lowercase()));
    }
    if let Ok(number) = text.parse::<u16>()
        && text.bytes().all(|b| b.is_ascii_digit())
    {
        return Some(Port::Number(number));
    }
    problems.push(
        Problem::new(
            path(),
            format!("{text:?} is neither a port number nor a port name"),
        )
        .remedy("0 to 65535, or a name of at most 15 letters, digits and single hyphens"),
    );
    None
}

/// RFC 6335: at most 15 letters, digits and single inner hyphens, with at least one letter.
fn is_service_name(text: &str) -> bool {
    let bytes = text.as_bytes();
    bytes.len() <= 15
        && bytes
            .iter()
            .all(|b| b.is_ascii_alphanumeric() || *b == b'-')
        && bytes.iter().any(u8::is_ascii_alphabetic)
        && !text.starts_with('-')
        && !text.ends_with('-')
        && !text.contains("--")
}

/// The protocols that a port rule may name, whatever the case of the letters.
pub(crate) fn protocol(
    given: Option<&Protocol>,
    path: impl Fn() -> String,
    problems: &mut Vec<Problem>,
) -> Option<Protocol> {
    let Some(given) = given else {
        return Some(Protocol::Any);
    };
    let upper = given.as_str().to_ascii_uppercase();
    match upper.as_str() {
        "" | "ANY" => Some(Protocol::Any),
        "TCP" => Some(Protocol::Tcp),
        "UDP" => Some(Protocol::Udp),
        "SCTP" => Some(Protocol::Sctp),
        "ICMP" => Some(Protocol::Icmp),
        "ICMPV6" => Some(Protocol::IcmpV6),
        "VRRP" | "IGMP" | "GRE" | "IPIP" | "IPV6" | "ESP" | "AH" => Some(Protocol::Other(upper)),
        _ => {
            problems.push(
                Problem::new(
                    path(),
                    format!("{:?} is no protocol that a policy can name", given.as_str()),
                )
                .remedy("TCP, UDP, SCTP, ANY, VRRP, IGMP, GRE, IPIP, IPV6, ESP or AH"),
            );
            None
        }
    }
}
