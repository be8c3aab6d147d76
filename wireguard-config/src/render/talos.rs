//! Talos Linux: the `WireguardConfig` document, and the older shape inside the machine configuration.

use std::fmt::Write as _;

use zeroize::Zeroizing;

use crate::config::{Config, Table};
use crate::endpoint::Host;
use crate::error::{Error, ErrorKind, Result};

use super::{check_name, room, yaml};

/// The document of kind `WireguardConfig`, to be appended to a machine configuration (Talos 1.12 and later).
///
/// Talos takes endpoints by address only: resolve names before, see
/// [`Config::resolve_endpoints`]. Routes are written out, because Talos makes none from allowed IPs.
///
/// # Errors
/// [`ErrorKind::Endpoint`] for an endpoint that is a name or has a zone, [`ErrorKind::Unsupported`] without a private key,
/// [`ErrorKind::Name`].
pub fn document(config: &Config, interface: &str) -> Result<Zeroizing<String>> {
    check(config, interface)?;
    let mut out = room(config);
    out.push_str("apiVersion: v1alpha1\nkind: WireguardConfig\n");
    yaml::string(&mut out, 0, "name", interface);
    device(&mut out, 0, config);
    if let Some(mtu) = config.interface.mtu {
        yaml::number(&mut out, 0, "mtu", mtu);
    }
    if !config.interface.addresses.is_empty() {
        out.push_str("addresses:\n");
        for address in &config.interface.addresses {
            yaml::string(&mut out, 2, "- address", address);
        }
    }
    let routes = config.wanted_routes();
    if !routes.is_empty() {
        out.push_str("routes:\n");
        for route in routes {
            yaml::string(&mut out, 2, "- destination", route);
            if let Some(Table::Number(table)) = config.interface.table {
                yaml::string(&mut out, 4, "table", table);
            }
        }
    }
    Ok(out)
}

/// The patch with `machine.network.interfaces[].wireguard`, for Talos before 1.12.
///
/// # Errors
/// As [`document`].
pub fn machine_patch(config: &Config, interface: &str) -> Result<Zeroizing<String>> {
    check(config, interface)?;
    let mut out = room(config);
    out.push_str("machine:\n  network:\n    interfaces:\n");
    yaml::string(&mut out, 6, "- interface", interface);
    if let Some(mtu) = config.interface.mtu {
        yaml::number(&mut out, 8, "mtu", mtu);
    }
    if !config.interface.addresses.is_empty() {
        out.push_str("        addresses:\n");
        for address in &config.interface.addresses {
            let _ = writeln!(out, "          - \"{address}\"");
        }
    }
    let routes = config.wanted_routes();
    if !routes.is_empty() {
        out.push_str("        routes:\n");
        for route in routes {
            yaml::string(&mut out, 10, "- network", route);
        }
    }
    out.push_str("        wireguard:\n");
    device(&mut out, 10, config);
    Ok(out)
}

fn check(config: &Config, interface: &str) -> Result<()> {
    check_name(interface)?;
    if config.interface.private_key.is_none() {
        return Err(Error::new(
            ErrorKind::Unsupported,
            "Talos needs the private key in its configuration",
        ));
    }
    for endpoint in config
        .peers
        .iter()
        .filter_map(|peer| peer.endpoint.as_ref())
    {
        if !matches!(endpoint.host(), Host::Address(_)) {
            return Err(Error::new(
                ErrorKind::Endpoint,
                format!("Talos takes endpoints by address only, not {endpoint}"),
            )
            .with_hint("resolve the name before rendering"));
        }
    }
    Ok(())
}

fn device(out: &mut String, indent: usize, config: &Config) {
    let interface = &config.interface;
    if let Some(key) = &interface.private_key {
        let _ = write!(out, "{:indent$}privateKey: \"", "");
        key.push_base64(out);
        out.push_str("\"\n");
    }
    if let Some(port) = interface.listen_port {
        yaml::number(out, indent, "listenPort", port);
    }
    if let Some(mark) = interface.fwmark.filter(|&mark| mark != 0) {
        yaml::number(out, indent, "firewallMark", mark);
    }
    if config.peers.is_empty() {
        return;
    }
    let _ = writeln!(out, "{:indent$}peers:", "");
    for peer in &config.peers {
        yaml::string(out, indent + 2, "- publicKey", peer.public_key);
        let inner = indent + 4;
        if let Some(key) = &peer.preshared_key {
            let _ = write!(out, "{:inner$}presharedKey: \"", "");
            key.push_base64(out);
            out.push_str("\"\n");
        }
        if let Some(endpoint) = &peer.endpoint {
            yaml::string(out, inner, "endpoint", endpoint);
        }
        if let Some(seconds) = peer.keepalive.filter(|&seconds| seconds > 0) {
            yaml::string(
                out,
                inner,
                "persistentKeepaliveInterval",
                format_args!("{seconds}s"),
            );
        }
        if !peer.allowed_ips.is_empty() {
            let _ = writeln!(out, "{:inner$}allowedIPs:", "");
            for network in &peer.allowed_ips {
                let _ = writeln!(out, "{:inner$}  - \"{network}\"", "");
            }
        }
    }
}
