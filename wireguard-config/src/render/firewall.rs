//! Firewall rules for a member: nftables and UFW.

use std::fmt::Write as _;

use crate::config::Config;
use crate::error::Result;
use crate::net::Network;

use super::check_name;

/// What a member's firewall shall let pass besides the tunnel's own packets.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Policy {
    /// Packets from peer to peer pass through this machine.
    pub forward_between_peers: bool,
    /// Networks behind this machine that peers may reach.
    pub networks: Vec<Network>,
    /// The interface to the Internet through which peers with a full tunnel go out, with this machine's address.
    pub masquerade: Option<String>,
}

impl Policy {
    /// What a member of a plan needs.
    #[must_use]
    pub fn of(member: &crate::topology::MemberPlan<'_>) -> Self {
        Self {
            forward_between_peers: member.is_forwarder(),
            networks: member.member().routed.clone(),
            masquerade: None,
        }
    }

    /// Sets the interface to the Internet.
    #[must_use]
    pub fn masquerade(mut self, interface: impl Into<String>) -> Self {
        self.masquerade = Some(interface.into());
        self
    }
}

fn family(network: &Network) -> &'static str {
    if network.is_ipv4() { "ip" } else { "ip6" }
}

/// A ruleset for `nft -f`: one table of its own, replaced as a whole each time.
///
/// It drops what comes out of the tunnel and is not meant to pass; in nftables a packet must also get past every other
/// table, so a closed firewall elsewhere needs the UDP port opened there.
///
/// # Errors
/// [`ErrorKind::Name`](crate::ErrorKind::Name) for an impossible interface name.
pub fn nftables(config: &Config, interface: &str, policy: &Policy) -> Result<String> {
    check_name(interface)?;
    let outside = policy.masquerade.as_deref();
    outside.map_or(Ok(()), check_name)?;
    let table: String = interface
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() { c } else { '_' })
        .collect();
    let table = format!("inet wireguard_{table}");
    let mut out = format!("table {table}\ndelete table {table}\ntable {table} {{\n");
    // Writing into a String cannot fail.
    out.push_str("\tchain input {\n\t\ttype filter hook input priority filter; policy accept;\n");
    if let Some(port) = config.interface.listen_port.filter(|&port| port != 0) {
        let _ = writeln!(out, "\t\tudp dport {port} accept");
    }
    out.push_str(
        "\t}\n\tchain forward {\n\t\ttype filter hook forward priority filter; policy accept;\n",
    );
    let _ = writeln!(
        out,
        "\t\tiifname != \"{interface}\" oifname != \"{interface}\" return"
    );
    out.push_str("\t\tct state established,related accept\n");
    let between = if policy.forward_between_peers {
        "accept"
    } else {
        "drop"
    };
    let _ = writeln!(
        out,
        "\t\tiifname \"{interface}\" oifname \"{interface}\" {between}"
    );
    for network in &policy.networks {
        let _ = writeln!(
            out,
            "\t\tiifname \"{interface}\" {} daddr {network} accept",
            family(network)
        );
        let _ = writeln!(
            out,
            "\t\toifname \"{interface}\" {} saddr {network} accept",
            family(network)
        );
    }
    if let Some(outside) = outside {
        let _ = writeln!(
            out,
            "\t\tiifname \"{interface}\" oifname \"{outside}\" accept"
        );
    }
    let _ = writeln!(out, "\t\tiifname \"{interface}\" drop\n\t}}");
    if let Some(outside) = outside {
        out.push_str("\tchain postrouting {\n\t\ttype nat hook postrouting priority srcnat; policy accept;\n");
        for address in &config.interface.addresses {
            let network = address.network();
            let _ = writeln!(
                out,
                "\t\toifname \"{outside}\" {} saddr {network} masquerade",
                family(&network)
            );
        }
        out.push_str("\t}\n");
    }
    out.push_str("}\n");
    Ok(out)
}

/// The commands for UFW, one argument list each, without a shell in between.
///
/// # Errors
/// [`ErrorKind::Name`](crate::ErrorKind::Name) for an impossible interface name.
pub fn ufw(config: &Config, interface: &str, policy: &Policy) -> Result<Vec<Vec<String>>> {
    check_name(interface)?;
    policy.masquerade.as_deref().map_or(Ok(()), check_name)?;
    let words = |line: String| -> Vec<String> { line.split(' ').map(str::to_owned).collect() };
    let mut commands = Vec::new();
    if let Some(port) = config.interface.listen_port.filter(|&port| port != 0) {
        commands.push(words(format!(
            "ufw allow {port}/udp comment WireGuard-{interface}"
        )));
    }
    if policy.forward_between_peers {
        commands.push(words(format!(
            "ufw route allow in on {interface} out on {interface}"
        )));
    }
    for network in &policy.networks {
        commands.push(words(format!(
            "ufw route allow in on {interface} to {network}"
        )));
        commands.push(words(format!(
            "ufw route allow out on {interface} from {network}"
        )));
    }
    if let Some(outside) = &policy.masquerade {
        commands.push(words(format!(
            "ufw route allow in on {interface} out on {outside}"
        )));
    }
    Ok(commands)
}
