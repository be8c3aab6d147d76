//! NetworkManager: a keyfile.

use std::fmt::Write as _;

use crate::config::{Config, Dns, Table};
use crate::error::Result;

use super::{OutputFile, Rendered, check_name, common_notes, room};

/// The keyfile below `/etc/NetworkManager/system-connections`, 0600. Routes follow from `peer-routes`.
///
/// # Errors
/// [`ErrorKind::Name`](crate::ErrorKind::Name) for an impossible interface name.
pub fn network_manager(config: &Config, name: &str) -> Result<Rendered> {
    check_name(name)?;
    let mut rendered = Rendered::default();
    common_notes(config, &mut rendered.notes);
    let interface = &config.interface;
    let mut out = room(config);
    // Writing into a String cannot fail.
    let _ = write!(
        out,
        "[connection]\nid={name}\ntype=wireguard\ninterface-name={name}\n\n[wireguard]\n"
    );
    match &interface.private_key {
        Some(key) => {
            out.push_str("private-key=");
            key.push_base64(&mut out);
            out.push_str("\nprivate-key-flags=0\n");
        }
        // 1: an agent of the user keeps it.
        None => out.push_str("private-key-flags=1\n"),
    }
    if let Some(port) = interface.listen_port {
        let _ = writeln!(out, "listen-port={port}");
    }
    if let Some(mark) = interface.fwmark.filter(|&mark| mark != 0) {
        let _ = writeln!(out, "fwmark={mark}");
    }
    if let Some(mtu) = interface.mtu {
        let _ = writeln!(out, "mtu={mtu}");
    }
    let routes = !matches!(interface.table, Some(Table::Off));
    let _ = writeln!(out, "peer-routes={routes}");
    for peer in &config.peers {
        let _ = write!(out, "\n[wireguard-peer.{}]\n", peer.public_key);
        if let Some(endpoint) = &peer.endpoint {
            let _ = writeln!(out, "endpoint={endpoint}");
        }
        if let Some(key) = &peer.preshared_key {
            out.push_str("preshared-key=");
            key.push_base64(&mut out);
            out.push_str("\npreshared-key-flags=0\n");
        }
        if let Some(seconds) = peer.keepalive.filter(|&seconds| seconds > 0) {
            let _ = writeln!(out, "persistent-keepalive={seconds}");
        }
        if !peer.allowed_ips.is_empty() {
            out.push_str("allowed-ips=");
            for network in &peer.allowed_ips {
                let _ = write!(out, "{network};");
            }
            out.push('\n');
        }
    }
    for (section, four) in [("ipv4", true), ("ipv6", false)] {
        let addresses: Vec<_> = interface
            .addresses
            .iter()
            .filter(|a| a.address().is_ipv4() == four)
            .collect();
        let method = if addresses.is_empty() {
            "disabled"
        } else {
            "manual"
        };
        let _ = write!(out, "\n[{section}]\nmethod={method}\n");
        for (i, address) in addresses.iter().enumerate() {
            let _ = writeln!(out, "address{}={address}", i + 1);
        }
        if let Some(Table::Number(table)) = &interface.table {
            let _ = writeln!(out, "route-table={table}");
        }
        let servers = interface
            .dns
            .iter()
            .filter(|d| matches!(d, Dns::Server(a) if a.is_ipv4() == four));
        list(&mut out, "dns", servers);
        if four {
            list(
                &mut out,
                "dns-search",
                interface.dns.iter().filter(|d| matches!(d, Dns::Search(_))),
            );
        }
    }
    if let Some(Table::Name(table)) = &interface.table {
        rendered.notes.push(format!(
            "NetworkManager knows tables by number only: {table} is left out"
        ));
    }
    rendered.files.push(OutputFile {
        path: format!("/etc/NetworkManager/system-connections/{name}.nmconnection"),
        mode: 0o600,
        owner: "root:root",
        content: out,
    });
    Ok(rendered)
}

fn list<'a>(out: &mut String, key: &str, values: impl Iterator<Item = &'a Dns>) {
    let text: String = values.map(|value| format!("{value};")).collect();
    if !text.is_empty() {
        let _ = writeln!(out, "{key}={text}");
    }
}
