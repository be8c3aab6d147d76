//! Formats that the schema names.
//!
//! A format that depends on what is installed on the server (time zones, names of services and protocols) or
//! on what it has stored accepts any text here.

use super::address::{
    firewall_list, is_alias, is_ip, is_ip_or_network, is_mask, is_network_v4, is_network_v6, is_v4,
    is_v6,
};
use super::check::parts;
use super::pattern::{EMAIL, EMAIL_USER, NAME, PATTERNS, matches, whole};
use crate::simulator::calendar::Schedule;
use crate::simulator::rights::is_privilege;

const CONNECTION_HELPERS: &[&str] = &[
    "amanda",
    "ftp",
    "irc",
    "netbios-ns",
    "pptp",
    "sane",
    "sip",
    "snmp",
    "tftp",
];

fn is_dns_name(text: &str) -> bool {
    whole(&format!("(?:{NAME}\\.)*{NAME}"), text)
}

/// Holds a text against a format; gives the server's words for why not.
pub(super) fn check(name: &str, text: &str) -> Result<(), String> {
    if let Some((_, pattern, why)) = PATTERNS.iter().find(|(known, _, _)| *known == name) {
        return told(whole(pattern, text), &why.replace("{}", text));
    }
    let right = |right: bool, why: &str| told(right, why);
    match name {
        "ip" => right(is_ip(text), "value does not look like a valid IP address"),
        "ipv4" => right(is_v4(text), "value does not look like a valid IPv4 address"),
        "ipv6" => right(is_v6(text), "value does not look like a valid IPv6 address"),
        "ipv4mask" => right(is_mask(text), "value does not look like a valid IP netmask"),
        "CIDR" => right(
            is_network_v4(text) || is_network_v6(text),
            "value does not look like a valid CIDR network",
        ),
        "CIDRv4" => right(
            is_network_v4(text),
            "value does not look like a valid IPv4 CIDR network",
        ),
        "CIDRv6" => right(
            is_network_v6(text),
            "value does not look like a valid IPv6 CIDR network",
        ),
        "IPorCIDR" => right(
            is_ip_or_network(text),
            "value does not look like a valid IP address or CIDR network",
        ),
        "IPorCIDRorAlias" => right(
            is_alias(text) || is_ip_or_network(text),
            "value does not look like a valid IP address or CIDR network",
        ),
        "pve-ipv4-config" => right(
            matches!(text, "dhcp" | "manual") || is_network_v4(text),
            "value does not look like a valid ipv4 network configuration",
        ),
        "pve-ipv6-config" => right(
            matches!(text, "auto" | "dhcp" | "manual") || is_network_v6(text),
            "value does not look like a valid ipv6 network configuration",
        ),
        "lxc-ip-with-ll-iface" => {
            let address = text.split_once('%').filter(|_| text.starts_with("fe80:"));
            let link_local = address
                .is_some_and(|(address, card)| is_v6(address) && check("pve-iface", card).is_ok());
            right(
                link_local || is_ip(text),
                "value does not look like a valid IP address",
            )
        }
        "dns-name" => right(
            is_dns_name(text),
            "value does not look like a valid DNS name",
        ),
        "address" => right(
            is_ip(text) || is_dns_name(text),
            &format!("value does not look like a valid address: {text}"),
        ),
        "pve-storage-server" => right(
            is_ip(text) || is_dns_name(text),
            "value does not look like a valid server name or IP address",
        ),
        "pve-storage-portal-dns" => right(
            is_portal(text),
            "value does not look like a valid portal address",
        ),
        "email-or-username" => right(
            whole(EMAIL, text) || whole(EMAIL_USER, text),
            "value does not look like a valid email address or user name",
        ),
        "pve-userid" => user(text),
        "pve-priv" => right(is_privilege(text), &format!("invalid privilege '{text}'")),
        "pve-replication-job-id" => replication_job(text),
        "pve-volume-id-or-qm-path" if matches!(text, "none" | "cdrom") => Ok(()),
        "pve-volume-id-or-qm-path" | "pve-volume-id-or-absolute-path" if text.starts_with('/') => {
            Ok(())
        }
        "pve-volume-id-or-qm-path" | "pve-volume-id-or-absolute-path" => {
            check("pve-volume-id", text)
        }
        "pve-lxc-mp-string" => {
            let climbs = matches("/\\.\\.?(?:/|$)|^\\.\\./", text);
            right(
                !climbs,
                &format!("{text} contains illegal character sequences"),
            )
        }
        "pve-lxc-dev-string" => {
            let inside = text.starts_with("/dev/") && !matches("/\\.\\.?(?:/|$)", text);
            right(inside, &format!("{text} is not a valid device path"))
        }
        "pve-dir-override" => right(is_override(text), &format!("invalid override '{text}'")),
        "pve-startup-order" => {
            let part = "(?:order=)?\\d+|up=\\d+|down=\\d+|\\s*";
            let parsed = !text.is_empty() && text.split(',').all(|one| whole(part, one));
            right(parsed, "unable to parse startup options")
        }
        "pve-hotplug-features" if matches!(text, "0" | "1") => Ok(()),
        "pve-hotplug-features" => {
            let known = "network|disk|cpu|memory|usb|cloudinit";
            parts(text).try_for_each(|feature| {
                told(
                    whole(known, feature),
                    &format!("invalid hotplug feature '{feature}'"),
                )
            })
        }
        "pve-qm-bootdisk" => right(is_drive(text), &format!("invalid boot disk '{text}'")),
        "pve-qm-bootdev" => {
            let other = is_numbered(text, "net", 31)
                || is_numbered(text, "usb", 13)
                || is_numbered(text, "hostpci", 15);
            let special = text.starts_with("efidisk") || text.starts_with("tpmstate");
            right(
                other || is_drive(text) && !special,
                &format!("invalid boot device '{text}'"),
            )
        }
        "pve-phys-bits" => {
            let bits = text
                .parse::<u8>()
                .is_ok_and(|bits| (8..=64).contains(&bits));
            right(
                text == "host" || bits && text.len() <= 2,
                "value must be an integer between 8 and 64 or 'host'",
            )
        }
        "pve-cpuset" => right(is_cpu_set(text), "unable to parse cpuset option"),
        "pve-vlan-id-or-range" => vlan_range(text),
        "pve-sdn-bgp-rt" => {
            let part = |part: &str| whole("\\d+", part) && part.parse::<u32>().is_ok();
            let target = text.split_once(':');
            right(
                target.is_some_and(|(system, id)| part(system) && part(id)),
                "value does not look like a valid bgp route-target",
            )
        }
        "pve-sdn-subnet-id" => {
            let mut words = text.split('-').skip(1);
            let network = match (text.contains('/'), words.next(), words.next()) {
                (false, Some(address), Some(length)) => format!("{address}/{length}"),
                _ => text.to_owned(),
            };
            right(
                is_network_v4(&network) || is_network_v6(&network),
                "value does not look like a valid CIDR network",
            )
        }
        "storage-pair" => pair(text, "pve-storage-id"),
        "bridge-pair" => pair(text, "pve-bridge-id"),
        "pem-certificate" | "pem-certificate-chain" | "pem-string" => right(
            matches(
                "-----BEGIN [^-]+-----\\s[A-Za-z0-9+/=\\s]+-----END [^-]+-----",
                text,
            ),
            "not a valid PEM-formatted string.",
        ),
        "pve-fw-addr-spec" => firewall_list(text),
        "pve-fw-sport-spec" | "pve-fw-dport-spec" => ports(text),
        "pve-fw-conntrack-helper" => text.split(',').try_for_each(|helper| {
            told(
                CONNECTION_HELPERS.contains(&helper),
                &format!("unknown helper {helper}"),
            )
        }),
        "pve-calendar-event" => text.parse::<Schedule>().map(|_| ()),
        _ => Ok(()),
    }
}

fn told(right: bool, why: &str) -> Result<(), String> {
    if right {
        Ok(())
    } else {
        Err(format!("{why}\n"))
    }
}

fn user(text: &str) -> Result<(), String> {
    let length = text.chars().count();
    if length < 3 {
        return told(false, &format!("user name '{text}' is too short"));
    }
    if length > 64 {
        return told(
            false,
            &format!("user name '{text}' is too long ({length} > 64)"),
        );
    }
    told(
        whole("[^\\s:/]+@[A-Za-z][A-Za-z0-9.\\-_]+", text),
        &format!("value '{text}' does not look like a valid user name"),
    )
}

fn replication_job(text: &str) -> Result<(), String> {
    let why = format!("invalid replication job id '{text}'");
    let number = |part: &str| part.parse::<u64>().ok().filter(|_| whole("\\d+", part));
    match text
        .split_once('-')
        .map(|(guest, job)| (number(guest), number(job)))
    {
        Some((Some(guest), Some(_))) => told(
            guest >= 100,
            &format!("{why} (guest IDs < 100 are reserved)"),
        ),
        _ => told(false, &why),
    }
}

/// A host or an address, with a port after a colon, in brackets, or after a dot.
fn is_portal(text: &str) -> bool {
    if let Some((host, port)) = text.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        return (is_ip(host) || whole("[a-zA-Z0-9\\-.]+", host)) && whole("(?::\\d+)?", port);
    }
    let with_dot = text
        .rsplit_once('.')
        .filter(|(_, port)| whole("\\d+", port));
    whole("[a-zA-Z0-9\\-.]+(?::\\d+)?", text)
        || is_v6(text)
        || with_dot.is_some_and(|(host, _)| is_v6(host))
}

fn is_override(text: &str) -> bool {
    text.split_once('=').is_some_and(|(content, path)| {
        check("pve-storage-content", content).is_ok()
            && whole("[^.]*(?:\\.?[^.]+)+", path)
            && path.len() < 1023
            && path.split('/').all(|part| part.len() < 255)
    })
}

fn is_numbered(text: &str, stem: &str, last: u16) -> bool {
    text.strip_prefix(stem).is_some_and(|number| {
        number
            .parse::<u16>()
            .is_ok_and(|index| index <= last && index.to_string() == number)
    })
}

fn is_drive(text: &str) -> bool {
    matches!(text, "efidisk0" | "tpmstate0")
        || [("ide", 3), ("scsi", 30), ("virtio", 15), ("sata", 5)]
            .iter()
            .any(|(stem, last)| is_numbered(text, stem, *last))
}

fn is_cpu_set(text: &str) -> bool {
    let number = |text: &str| text.parse::<u32>().ok().filter(|_| whole("\\d+", text));
    text.split(',').map(str::trim).all(|part| {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        matches!((number(first), number(last)), (Some(first), Some(last)) if first <= last)
    })
}

fn vlan_range(text: &str) -> Result<(), String> {
    let (first, last) = match text.split_once('-') {
        Some((first, last)) => (first, Some(last)),
        None => (text, None),
    };
    if !whole("\\d+(?:-\\d+)?", text) {
        return told(false, &format!("invalid VLAN configuration '{text}'"));
    }
    let tag = |tag: &str| match tag.parse::<u64>() {
        Ok(number) if (2..=4094).contains(&number) => Ok(number),
        _ => Err(format!("invalid VLAN tag '{tag}'\n")),
    };
    let first = tag(first)?;
    match last.map(tag).transpose()? {
        Some(last) if first >= last => told(
            false,
            &format!("VLAN range must go from lower to higher tag '{text}'"),
        ),
        _ => Ok(()),
    }
}

/// One entry of a mapping: `1`, a target for all, or `source:target`.
fn pair(text: &str, format: &str) -> Result<(), String> {
    if text == "1" {
        return Ok(());
    }
    let (source, target) = match text.split_once(':') {
        Some((source, target)) if !target.contains(':') => (source, target),
        _ => (text, text),
    };
    check(format, source)
        .and_then(|()| check(format, target))
        .map_err(|why| format!("entry '{text}' contains invalid ID - {why}\n\n"))
}

fn ports(text: &str) -> Result<(), String> {
    if text.is_empty() {
        return Ok(());
    }
    if text.ends_with(',') {
        return told(false, "extraneous commas in list");
    }
    let port = |port: &str| match port.parse::<u32>() {
        Ok(number) if number <= 65535 => Ok(number),
        _ => Err(format!("invalid port '{port}'\n")),
    };
    let mut count = 0;
    for item in text.split(',') {
        let digits = whole("[0-9]+(?::[0-9]+)?", item);
        match item.split_once(':').filter(|_| digits) {
            Some((first, last)) => {
                count += 2;
                if port(first)? > port(last)? {
                    return told(
                        false,
                        &format!(
                            "backwards range '{item}' not allowed, did you mean '{last}:{first}'?"
                        ),
                    );
                }
            }
            None if digits => {
                count += 1;
                port(item)?;
            }
            // Which names are known depends on the node's list of services.
            None => told(
                whole("[A-Za-z][A-Za-z0-9+._-]*", item),
                &format!("invalid port '{item}'"),
            )?,
        }
    }
    told(count <= 15, "too many entries in port list (> 15 numbers)")
}
