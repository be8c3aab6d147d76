//! systemd-networkd: a `.netdev` and a `.network` file.

use std::fmt::Write as _;

use crate::config::{Config, Dns, Table};
use crate::error::Result;

use super::{
    DEFAULT_ROUTE_TABLE, OutputFile, Rendered, check_name, common_notes, has_default_route, room,
};

/// The two files of an interface below `/etc/systemd/network`, 0640 root:systemd-network.
///
/// networkd makes no routes from allowed IPs by itself, so they are written out; default routes go the way
/// wg-quick sends them, through a table of their own.
///
/// # Errors
/// [`ErrorKind::Name`](crate::ErrorKind::Name) for an impossible interface name.
pub fn networkd(config: &Config, interface: &str) -> Result<Rendered> {
    check_name(interface)?;
    let mut rendered = Rendered::default();
    common_notes(config, &mut rendered.notes);
    let default_route = has_default_route(config);
    let file = |suffix: &str, content| OutputFile {
        path: format!("/etc/systemd/network/50-{interface}.{suffix}"),
        mode: 0o640,
        owner: "root:systemd-network",
        content,
    };
    let mut netdev = room(config);
    // Writing into a String cannot fail.
    let _ = write!(netdev, "[NetDev]\nName={interface}\nKind=wireguard\n");
    if let Some(mtu) = config.interface.mtu {
        let _ = writeln!(netdev, "MTUBytes={mtu}");
    }
    netdev.push_str("\n[WireGuard]\n");
    if let Some(key) = &config.interface.private_key {
        netdev.push_str("PrivateKey=");
        key.push_base64(&mut netdev);
        netdev.push('\n');
    } else {
        rendered
            .notes
            .push("there is no private key: add PrivateKeyFile= to [WireGuard]".to_owned());
    }
    if let Some(port) = config.interface.listen_port {
        let _ = writeln!(netdev, "ListenPort={port}");
    }
    match config.interface.fwmark {
        Some(mark) if mark != 0 => _ = writeln!(netdev, "FirewallMark={mark}"),
        _ if default_route => _ = writeln!(netdev, "FirewallMark={DEFAULT_ROUTE_TABLE}"),
        _ => {}
    }
    for peer in &config.peers {
        let _ = write!(netdev, "\n[WireGuardPeer]\nPublicKey={}\n", peer.public_key);
        if let Some(key) = &peer.preshared_key {
            netdev.push_str("PresharedKey=");
            key.push_base64(&mut netdev);
            netdev.push('\n');
        }
        for network in &peer.allowed_ips {
            let _ = writeln!(netdev, "AllowedIPs={network}");
        }
        if let Some(endpoint) = &peer.endpoint {
            let _ = writeln!(netdev, "Endpoint={endpoint}");
        }
        if let Some(seconds) = peer.keepalive.filter(|&seconds| seconds > 0) {
            let _ = writeln!(netdev, "PersistentKeepalive={seconds}");
        }
    }
    rendered.files.push(file("netdev", netdev));
    rendered
        .files
        .push(file("network", network(config, interface)));
    Ok(rendered)
}

fn network(config: &Config, name: &str) -> zeroize::Zeroizing<String> {
    let mut out = room(config);
    let _ = write!(out, "[Match]\nName={name}\n\n[Network]\n");
    for address in &config.interface.addresses {
        let _ = writeln!(out, "Address={address}");
    }
    for dns in &config.interface.dns {
        let _ = match dns {
            Dns::Server(server) => writeln!(out, "DNS={server}"),
            Dns::Search(domain) => writeln!(out, "Domains={domain}"),
        };
    }
    let table = match &config.interface.table {
        Some(Table::Number(number)) => Some(number.to_string()),
        Some(Table::Name(name)) => Some(name.clone()),
        _ => None,
    };
    for route in config.wanted_routes() {
        let _ = write!(out, "\n[Route]\nDestination={route}\nScope=link\n");
        let own = (route.is_default() && table.is_none()).then(|| DEFAULT_ROUTE_TABLE.to_string());
        if let Some(table) = own.as_ref().or(table.as_ref()) {
            let _ = writeln!(out, "Table={table}");
        }
    }
    if has_default_route(config) && table.is_none() {
        let mark = config
            .interface
            .fwmark
            .filter(|&mark| mark != 0)
            .unwrap_or(DEFAULT_ROUTE_TABLE);
        // What has a more specific route in the main table keeps it; the tunnel's own packets never enter it.
        let _ = write!(
            out,
            "\n[RoutingPolicyRule]\nFamily=both\nTable=main\nSuppressPrefixLength=0\nPriority=9\n\
             \n[RoutingPolicyRule]\nFamily=both\nFirewallMark={mark}\nInvertRule=yes\nTable={DEFAULT_ROUTE_TABLE}\nPriority=10\n"
        );
    }
    out
}
