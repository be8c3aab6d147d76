//! Formats of values that the schema names, such as `ipv4`: what a strict reader finds wrong.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use regex_lite::Regex;

use crate::size::Size;

/// Formats that a pattern decides, and what such a value is called.
const PATTERNS: &[(&str, &str, &str)] = &[
    (
        "mac-addr",
        "(?i)[0-9a-f][02468ace](:[0-9a-f]{2}){5}",
        "the MAC address of one card",
    ),
    (
        "pve-acme-alias",
        "(?i)[a-z0-9][a-z0-9_-]*(\\.[a-z0-9][a-z0-9_-]*)+",
        "a domain",
    ),
    (
        "pve-acme-domain",
        "(?i)(\\*\\.)?[a-z0-9][a-z0-9_-]*(\\.[a-z0-9][a-z0-9_-]*)+",
        "a domain",
    ),
    ("pve-bridge-id", "[-_.0-9A-Za-z]+", "a bridge"),
    (
        "pve-configid",
        "(?i)[a-z][a-z0-9_-]+",
        "a name: a letter, then letters, digits, `_` and `-`",
    ),
    ("pve-node", LABEL, "a node"),
    (
        "pve-storage-id",
        "(?i)[a-z][a-z0-9_.-]*[a-z0-9]",
        "a storage",
    ),
    ("pve-tag", "(?i)[a-z0-9_][a-z0-9_+.-]*", "a tag"),
    ("pve-vmid", "[1-9][0-9]{2,8}", "the id of a guest"),
    (
        "pve-volume-id",
        "(?i)[a-z][a-z0-9_.-]*[a-z0-9]:.+",
        "a volume, as `storage:name`",
    ),
    (
        "urlencoded",
        "[-%a-zA-Z0-9_.!~*'()]*",
        "a text in percent-encoding",
    ),
];

const LABEL: &str = "[a-zA-Z0-9]([a-zA-Z0-9-]*[a-zA-Z0-9])?";

/// Disks of machines by the buses that number them, with the last number.
const DRIVES: [(&str, u16); 7] = [
    ("ide", 3),
    ("sata", 5),
    ("scsi", 30),
    ("virtio", 15),
    ("efidisk", 0),
    ("tpmstate", 0),
    ("unused", 255),
];

/// Why a text is no value of a format; a format that is not known here takes every text.
pub(crate) fn check(format: &str, text: &str) -> Result<(), String> {
    if let Some(part) = format.strip_suffix("-list") {
        let parts = text.split(|c: char| matches!(c, ',' | ';') || c.is_ascii_whitespace());
        return parts
            .filter(|part| !part.is_empty())
            .try_for_each(|one| check(part, one));
    }
    match what(format, text) {
        Some((false, what)) => Err(format!("`{}` is not {what}", text.escape_debug())),
        _ => Ok(()),
    }
}

/// Whether a text has a format, and what one that has it is called; none for a format that is not known.
fn what(format: &str, text: &str) -> Option<(bool, &'static str)> {
    if let Some((_, pattern, what)) = PATTERNS.iter().find(|(known, _, _)| *known == format) {
        return Some((whole(pattern, text), what));
    }
    let path_or =
        |word: bool| word || text.starts_with('/') || check("pve-volume-id", text).is_ok();
    Some(match format {
        "ip" => (is_ip(text), "an address"),
        "ipv4" => (text.parse::<Ipv4Addr>().is_ok(), "an IPv4 address"),
        "ipv6" => (text.parse::<Ipv6Addr>().is_ok(), "an IPv6 address"),
        "CIDR" => (
            network::<Ipv4Addr>(text, 32) || network::<Ipv6Addr>(text, 128),
            "an address with a prefix length",
        ),
        "pve-ipv4-config" => (
            matches!(text, "dhcp" | "manual") || network::<Ipv4Addr>(text, 32),
            "an IPv4 address with a prefix length, `dhcp` or `manual`",
        ),
        "pve-ipv6-config" => (
            matches!(text, "auto" | "dhcp" | "manual") || network::<Ipv6Addr>(text, 128),
            "an IPv6 address with a prefix length, `auto`, `dhcp` or `manual`",
        ),
        "lxc-ip-with-ll-iface" => {
            let scoped = text.split_once('%').is_some_and(|(address, card)| {
                address.starts_with("fe80:")
                    && address.parse::<Ipv6Addr>().is_ok()
                    && whole("(?i)[a-z][a-z0-9_]{1,20}([:.][0-9]+)?", card)
            });
            (scoped || is_ip(text), "an address")
        }
        "dns-name" => (is_dns_name(text), "a DNS name"),
        "address" => (is_ip(text) || is_dns_name(text), "an address or a DNS name"),
        "disk-size" => (text.parse::<Size>().is_ok(), "a size"),
        "pve-volume-id-or-qm-path" => (
            path_or(matches!(text, "none" | "cdrom")),
            "a volume, a path, `none` or `cdrom`",
        ),
        "pve-volume-id-or-absolute-path" => (path_or(false), "a volume or a path"),
        "pve-lxc-mp-string" => (!climbs(text), "a path without `.` and `..`"),
        "pve-lxc-dev-string" => (
            text.starts_with("/dev/") && !climbs(text),
            "the path of a device",
        ),
        "pve-cpuset" => (is_cpu_set(text), "a set of processors, such as `0,4-7`"),
        "pve-phys-bits" => {
            let bits = text
                .parse::<u8>()
                .is_ok_and(|bits| (8..=64).contains(&bits));
            (bits || text == "host", "a number from 8 to 64, or `host`")
        }
        "pve-hotplug-features" => {
            let known = ["network", "disk", "cpu", "memory", "usb", "cloudinit"];
            let mut features = text.split([',', ';', ' ']).filter(|one| !one.is_empty());
            (
                matches!(text, "0" | "1") || features.all(|feature| known.contains(&feature)),
                "a list of network, disk, cpu, memory, usb and cloudinit, or `0` or `1`",
            )
        }
        "pve-startup-order" => {
            let mut parts = text.split(',');
            let fits = |part: &str| whole("((order=)?[0-9]+|up=[0-9]+|down=[0-9]+|\\s*)", part);
            (
                !text.is_empty() && parts.all(fits),
                "an order, such as `order=1,up=30,down=60`",
            )
        }
        "pve-qm-bootdisk" => (is_drive(text), "a disk"),
        "pve-qm-bootdev" => {
            let fixed = ["efidisk", "tpmstate", "unused"];
            let drive = is_drive(text) && !fixed.iter().any(|start| text.starts_with(start));
            let other = [("net", 31), ("usb", 13), ("hostpci", 15)];
            let other = other
                .iter()
                .any(|(stem, last)| is_numbered(text, stem, *last));
            (drive || other, "a device to boot from")
        }
        _ => return None,
    })
}

fn whole(pattern: &str, text: &str) -> bool {
    let (flags, pattern) = match pattern.strip_prefix("(?i)") {
        Some(pattern) => ("(?i)", pattern),
        None => ("", pattern),
    };
    let pattern = Regex::new(&format!("{flags}^(?:{pattern})$"));
    pattern.is_ok_and(|pattern| pattern.is_match(text))
}

fn is_ip(text: &str) -> bool {
    text.parse::<IpAddr>().is_ok()
}

fn is_dns_name(text: &str) -> bool {
    !text.is_empty() && text.split('.').all(|label| whole(LABEL, label))
}

fn network<A: std::str::FromStr>(text: &str, longest: u8) -> bool {
    text.split_once('/').is_some_and(|(address, length)| {
        let digits = length.bytes().all(|byte| byte.is_ascii_digit());
        address.parse::<A>().is_ok()
            && digits
            && length
                .parse::<u8>()
                .is_ok_and(|length| (1..=longest).contains(&length))
    })
}

/// Whether a path goes through `.` or `..`.
fn climbs(text: &str) -> bool {
    let mut parts = text.split('/');
    let first = parts.next();
    first == Some("..") || parts.any(|part| matches!(part, "." | ".."))
}

fn is_cpu_set(text: &str) -> bool {
    let number = |text: &str| text.parse::<u32>().ok();
    text.split(',').all(|part| {
        let part = part.trim();
        match part.split_once('-') {
            Some((first, last)) => {
                matches!((number(first), number(last)), (Some(first), Some(last)) if first <= last)
            }
            None => number(part).is_some(),
        }
    })
}

fn is_drive(text: &str) -> bool {
    DRIVES
        .iter()
        .any(|(stem, last)| is_numbered(text, stem, *last))
}

fn is_numbered(text: &str, stem: &str, last: u16) -> bool {
    let number = text
        .strip_prefix(stem)
        .and_then(|number| number.parse::<u16>().ok());
    number.is_some_and(|number| number <= last && text == format!("{stem}{number}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::property::formats::{OF_CONTAINERS, OF_MACHINES};
    use crate::property::table::Kind;

    #[test]
    fn every_format_of_the_tables_is_known() {
        let subs = OF_MACHINES.iter().chain(OF_CONTAINERS);
        let subs = subs.flat_map(|(_, subs)| *subs);
        let named = subs.filter_map(|sub| match sub.kind {
            Kind::Named(name) => Some(name.strip_suffix("-list").unwrap_or(name)),
            _ => None,
        });
        let unknown: Vec<&str> = named.filter(|name| what(name, "x").is_none()).collect();
        assert!(unknown.is_empty(), "{unknown:?}");
    }

    #[test]
    fn values_are_held_against_their_formats() {
        for (format, right, wrong) in [
            ("ipv4", "192.0.2.1", "192.0.2"),
            ("ipv6", "2001:db8::1", "192.0.2.1"),
            ("pve-ipv4-config", "192.0.2.1/24", "192.0.2.1"),
            ("pve-ipv4-config", "dhcp", "auto"),
            ("pve-ipv6-config", "auto", "2001:db8::1/129"),
            ("mac-addr", "BC:24:11:00:00:01", "BD:24:11:00:00:01"),
            ("pve-volume-id", "local:iso/x.iso", "local"),
            ("pve-volume-id-or-qm-path", "none", "nothing"),
            ("pve-volume-id-or-absolute-path", "/srv/x", "srv"),
            ("disk-size", "32G", "32X"),
            ("dns-name", "node-1.example.test", "-node"),
            ("address-list", "192.0.2.1 2001:db8::1", "192.0.2.1 _"),
            ("pve-cpuset", "0,4-7", "7-4"),
            ("pve-phys-bits", "host", "65"),
            ("pve-hotplug-features", "disk,usb", "disk,fan"),
            ("pve-startup-order", "order=1,up=3", "first"),
            ("pve-qm-bootdev-list", "scsi0;net0", "scsi31"),
            ("pve-qm-bootdisk", "virtio15", "virtio16"),
            ("pve-lxc-mp-string", "/srv/data", "/srv/../etc"),
            ("pve-lxc-dev-string", "/dev/kvm", "/etc/kvm"),
            ("lxc-ip-with-ll-iface", "fe80::1%eth0", "fe80::1%"),
            ("pve-tag-list", "a;b,c", "a;=b"),
            ("urlencoded", "a%20b", "a b"),
        ] {
            assert_eq!(check(format, right), Ok(()), "{format} {right}");
            let why = check(format, wrong).expect_err(format);
            assert!(why.contains("is not"), "{why}");
        }
        assert_eq!(check("no-such-format", "anything"), Ok(()));
    }
}
