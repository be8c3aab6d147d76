//! The files of `wg setconf` and of `wg-quick`.

use std::fmt::Write as _;

use zeroize::Zeroizing;

use crate::config::{Config, Peer};
use crate::device::Device;
use crate::endpoint::Host;
use crate::net::{Network, c_text, push_network, push_number};

/// The text for wg-quick: everything. Holds secrets and is wiped when dropped.
#[must_use]
pub fn wg_quick(config: &Config) -> Zeroizing<String> {
    let mut out = Zeroizing::new(String::with_capacity(capacity(config)));
    interface(&mut out, config, true);
    for each in &config.peers {
        peer(&mut out, each);
    }
    out
}

/// The text for `wg setconf` and `wg syncconf`: what wg-quick alone understands is left out.
#[must_use]
pub fn wg(config: &Config) -> Zeroizing<String> {
    let mut out = Zeroizing::new(String::with_capacity(capacity(config)));
    interface(&mut out, config, false);
    for each in &config.peers {
        peer(&mut out, each);
    }
    out
}

/// A growing String would leave pieces of secrets in freed memory, so the room is taken at once.
fn capacity(config: &Config) -> usize {
    let interface = &config.interface;
    let hooks: usize = interface
        .hooks
        .iter()
        .map(|hook| hook.command.len() + 16)
        .sum();
    let signatures: usize = interface
        .obfuscation
        .signatures
        .iter()
        .flatten()
        .map(String::len)
        .sum();
    let peers: usize = config
        .peers
        .iter()
        .map(|peer| 512 + peer.allowed_ips.len() * 48)
        .sum();
    1024 + interface.addresses.len() * 64 + interface.dns.len() * 256 + hooks + signatures + peers
}

pub(crate) fn interface(out: &mut String, config: &Config, quick: bool) {
    let interface = &config.interface;
    out.push_str("[Interface]\n");
    if let Some(key) = &interface.private_key {
        out.push_str("PrivateKey = ");
        key.push_base64(out);
        out.push('\n');
    }
    // Writing into a String cannot fail.
    if let Some(port) = interface.listen_port {
        let _ = writeln!(out, "ListenPort = {port}");
    }
    match interface.fwmark {
        Some(0) => out.push_str("FwMark = off\n"),
        Some(mark) => _ = writeln!(out, "FwMark = 0x{mark:x}"),
        None => {}
    }
    interface.obfuscation.render(out);
    if !quick {
        return;
    }
    for address in &interface.addresses {
        let _ = writeln!(out, "Address = {address}");
    }
    if !interface.dns.is_empty() {
        out.push_str("DNS = ");
        for (i, dns) in interface.dns.iter().enumerate() {
            let _ = write!(out, "{}{dns}", if i > 0 { ", " } else { "" });
        }
        out.push('\n');
    }
    if let Some(mtu) = interface.mtu {
        let _ = writeln!(out, "MTU = {mtu}");
    }
    if let Some(table) = &interface.table {
        let _ = writeln!(out, "Table = {table}");
    }
    for hook in &interface.hooks {
        let _ = writeln!(out, "{} = {}", hook.stage.key(), hook.command);
    }
    if let Some(save) = interface.save_config {
        let _ = writeln!(out, "SaveConfig = {save}");
    }
}

pub(crate) fn peer(out: &mut String, peer: &Peer) {
    out.push_str("\n[Peer]\nPublicKey = ");
    peer.public_key.push_base64(out);
    out.push('\n');
    if let Some(key) = &peer.preshared_key {
        out.push_str("PresharedKey = ");
        key.push_base64(out);
        out.push('\n');
    }
    allowed_ips(out, &peer.allowed_ips);
    if let Some(endpoint) = &peer.endpoint {
        out.push_str("Endpoint = ");
        endpoint.push(out);
        out.push('\n');
    }
    match peer.keepalive {
        Some(0) => out.push_str("PersistentKeepalive = off\n"),
        Some(seconds) => {
            out.push_str("PersistentKeepalive = ");
            push_number(out, u32::from(seconds));
            out.push('\n');
        }
        None => {}
    }
}

/// The normal form in which `wg showconf` prints a device.
pub(crate) fn showconf(device: &Device) -> Zeroizing<String> {
    let peers: usize = device
        .peers
        .iter()
        .map(|peer| 256 + peer.allowed_ips.len() * 48)
        .sum();
    let mut out = Zeroizing::new(String::with_capacity(256 + peers));
    out.push_str("[Interface]\n");
    // Writing into a String cannot fail.
    if device.listen_port > 0 {
        let _ = writeln!(out, "ListenPort = {}", device.listen_port);
    }
    if device.fwmark > 0 {
        let _ = writeln!(out, "FwMark = 0x{:x}", device.fwmark);
    }
    if let Some(key) = &device.private_key {
        out.push_str("PrivateKey = ");
        key.push_base64(&mut out);
        out.push('\n');
    }
    out.push('\n');
    for (i, each) in device.peers.iter().enumerate() {
        let _ = writeln!(out, "[Peer]\nPublicKey = {}", each.public_key);
        if let Some(key) = &each.preshared_key {
            out.push_str("PresharedKey = ");
            key.push_base64(&mut out);
            out.push('\n');
        }
        for (i, network) in each.allowed_ips.iter().enumerate() {
            let lead = if i == 0 { "AllowedIPs = " } else { ", " };
            let _ = write!(
                out,
                "{lead}{}/{}",
                c_text(network.address()),
                network.prefix()
            );
        }
        if !each.allowed_ips.is_empty() {
            out.push('\n');
        }
        match each
            .endpoint
            .as_ref()
            .map(|endpoint| (endpoint.host(), endpoint.port()))
        {
            Some((Host::Address(address), port)) if address.is_ipv6() => {
                let _ = writeln!(out, "Endpoint = [{}]:{port}", c_text(*address));
            }
            _ => {
                _ = each
                    .endpoint
                    .iter()
                    .try_for_each(|endpoint| writeln!(out, "Endpoint = {endpoint}"))
            }
        }
        if each.keepalive > 0 {
            let _ = writeln!(out, "PersistentKeepalive = {}", each.keepalive);
        }
        if i + 1 < device.peers.len() {
            out.push('\n');
        }
    }
    out
}

fn allowed_ips(out: &mut String, networks: &[Network]) {
    if networks.is_empty() {
        return;
    }
    out.push_str("AllowedIPs = ");
    for (i, network) in networks.iter().enumerate() {
        if i > 0 {
            out.push_str(", ");
        }
        push_network(out, network);
    }
    out.push('\n');
}
