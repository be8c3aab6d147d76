//! cloud-init: user data that installs the tools, writes the file and starts the interface.

use std::fmt::Write as _;

use zeroize::Zeroizing;

use crate::config::Config;
use crate::error::Result;

use super::{check_name, quick, room};

/// A `#cloud-config` document for Debian and Ubuntu images. `forwarding` also lets the machine forward packets.
///
/// # Errors
/// [`ErrorKind::Name`](crate::ErrorKind::Name) for an impossible interface name.
pub fn cloud_init(config: &Config, interface: &str, forwarding: bool) -> Result<Zeroizing<String>> {
    check_name(interface)?;
    let text = quick::wg_quick(config);
    let mut out = room(config);
    // Writing into a String cannot fail.
    let _ = write!(
        out,
        "#cloud-config\npackages:\n  - wireguard-tools\nwrite_files:\n  - path: \"/etc/wireguard/{interface}.conf\"\n    owner: \"root:root\"\n    permissions: \"0600\"\n    content: |\n"
    );
    for line in text.lines() {
        if line.is_empty() {
            out.push('\n');
        } else {
            let _ = writeln!(out, "      {line}");
        }
    }
    if forwarding {
        out.push_str(
            "  - path: \"/etc/sysctl.d/60-wireguard-forwarding.conf\"\n    permissions: \"0644\"\n    content: |\n      net.ipv4.ip_forward = 1\n      net.ipv6.conf.all.forwarding = 1\n",
        );
    }
    out.push_str("runcmd:\n");
    if forwarding {
        out.push_str("  - [sysctl, --system]\n");
    }
    let _ = writeln!(
        out,
        "  - [systemctl, enable, --now, \"wg-quick@{interface}.service\"]"
    );
    Ok(out)
}
