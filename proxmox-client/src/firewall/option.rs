//! Options of a firewall.

use crate::open::open_enum;
use crate::scalar::record;
use crate::setting::{Wanted, settings};

open_enum! {
    /// What becomes of what no rule decides.
    pub enum Policy {
        /// It passes.
        Accept = "ACCEPT",
        /// It is dropped.
        Drop = "DROP",
        /// It is refused, and the sender is told.
        Reject = "REJECT",
    }
}

record! {
    /// The options that are set: `GET …/firewall/options`. Which there are depends on whose firewall it is.
    pub struct FirewallOptions {
        optional {
            /// Whether it is on. The cluster's is off by default and turns off all others.
            "enable" enabled: bool,
            /// What becomes of what comes in.
            "policy_in" policy_in: Policy,
            /// What becomes of what goes out.
            "policy_out" policy_out: Policy,
            /// What becomes of what is forwarded (cluster and vnets).
            "policy_forward" policy_forward: Policy,
            /// Log level of what comes in.
            "log_level_in" log_level_in: String,
            /// Log level of what goes out.
            "log_level_out" log_level_out: String,
            /// Log level of what is forwarded.
            "log_level_forward" log_level_forward: String,
            /// Whether guests may use DHCP.
            "dhcp" dhcp: bool,
            /// Whether neighbour discovery passes.
            "ndp" ndp: bool,
            /// Whether guests may send router advertisements.
            "radv" router_advertisements: bool,
            /// Whether guests may use their own MAC addresses only.
            "macfilter" mac_filter: bool,
            /// Whether guests may use the addresses of their IP sets `ipfilter-net…` only.
            "ipfilter" ip_filter: bool,
            /// Whether the node uses nftables.
            "nftables" nftables: bool,
            /// Digest of the options.
            "digest" digest: String,
        }
    }
}

settings! {
    /// Options that are wanted. Which there are depends on whose firewall it is.
    pub struct FirewallSettings {
        /// Log level of what comes in: `nolog` (default), `info`, …
        with_log_level_in "log_level_in" text,
        /// Log level of what goes out.
        with_log_level_out "log_level_out" text,
        /// Log level of what is forwarded (nodes and vnets).
        with_log_level_forward "log_level_forward" text,
        /// Whether a guest may use DHCP.
        with_dhcp "dhcp" flag,
        /// Whether neighbour discovery passes (nodes and guests).
        with_ndp "ndp" switch,
        /// Whether a guest may send router advertisements.
        with_router_advertisements "radv" flag,
        /// Whether a guest may use its own MAC addresses only.
        with_mac_filter "macfilter" switch,
        /// Whether a guest may use the addresses of its IP sets `ipfilter-net…` only.
        with_ip_filter "ipfilter" flag,
        /// Whether bridges filter too (cluster).
        with_ebtables "ebtables" switch,
        /// Limits of logging, such as `enable=1,rate=1/second,burst=5` (cluster).
        with_log_rate_limit "log_ratelimit" text,
        /// Whether a node uses nftables.
        with_nftables "nftables" flag,
    }
}

impl FirewallSettings {
    /// Whether it is on. Sent also where the default would do, since a node's differs from a guest's.
    #[must_use]
    pub fn with_enabled(mut self, on: bool) -> Self {
        let value = if on { "1" } else { "0" };
        self.0.set("enable", Wanted::text(value));
        self
    }

    /// What becomes of what comes in and no rule decides.
    #[must_use]
    pub fn with_policy_in(self, policy: &Policy) -> Self {
        self.with("policy_in", policy.as_str())
    }

    /// What becomes of what goes out and no rule decides.
    #[must_use]
    pub fn with_policy_out(self, policy: &Policy) -> Self {
        self.with("policy_out", policy.as_str())
    }

    /// What becomes of what is forwarded and no rule decides (cluster and vnets).
    #[must_use]
    pub fn with_policy_forward(self, policy: &Policy) -> Self {
        self.with("policy_forward", policy.as_str())
    }
}
