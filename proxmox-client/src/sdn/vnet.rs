//! Vnets, which guests use like bridges, and their subnets.

use serde_json::Value;

use crate::error::Result;
use crate::firewall::Firewall;
use crate::named::{About, Named, Noun, about, all, list};
use crate::scalar::record;
use crate::setting::{Wanted, settings};

record! {
    /// A vnet: `GET /cluster/sdn/vnets`.
    pub struct VnetInfo {
        required {
            /// Name, which guests give as their bridge.
            "vnet" id: String,
        }
        optional {
            /// Zone.
            "zone" zone: String,
            /// VLAN tag or VXLAN number.
            "tag" tag: u32,
            /// Another name.
            "alias" alias: String,
            /// Whether guests may use VLANs on it.
            "vlanaware" vlan_aware: bool,
            /// Whether guests on it cannot reach each other.
            "isolate-ports" isolated: bool,
            /// Digest of all vnets.
            "digest" digest: String,
        }
    }
}

settings! {
    /// Settings of a vnet. A new one needs a zone, and a tag unless the zone is simple.
    pub struct VnetSettings {
        /// VLAN tag (1 to 4094) or VXLAN number (1 to 16777215).
        with_tag "tag" number,
        /// Another name, for people.
        with_alias "alias" text,
        /// Whether guests may use VLANs on it; then it can have no subnets.
        with_vlan_aware "vlanaware" flag,
        /// Whether guests on it cannot reach each other.
        with_isolation "isolate-ports" flag,
        /// Zone. One with subnets cannot move to another.
        with_zone "zone" text,
    }
}

impl VnetSettings {
    /// In a zone.
    pub fn in_zone(zone: &str) -> Self {
        Self::new().with_zone(zone)
    }
}

/// The noun of [`Vnet`].
#[derive(Debug)]
#[non_exhaustive]
pub struct VnetNoun;

impl about::Sealed for VnetNoun {
    const ABOUT: About = About {
        kind: Some("vnet"),
        ..About::new("vnet", "/cluster/sdn/vnets", "vnet")
    };
}

impl Noun for VnetNoun {
    type Info = VnetInfo;
    type Settings = VnetSettings;
}

/// A vnet.
///
/// Example: see [`Sdn`](crate::sdn::Sdn).
pub type Vnet = Named<VnetNoun>;

impl Vnet {
    /// Its subnets, as they are configured.
    ///
    /// Example: see [`Sdn`](crate::sdn::Sdn).
    pub async fn subnets(&self) -> Result<Vec<SubnetInfo>> {
        all::<SubnetNoun>(self.client(), list::<SubnetNoun>(&[self.id()])).await
    }

    /// A subnet by its network with prefix, such as `198.51.100.0/24`.
    pub fn subnet(&self, network: impl Into<String>) -> Subnet {
        Subnet::new(self.client(), &[self.id()], network).under(self.token())
    }

    /// Its firewall, which decides what is forwarded.
    pub fn firewall(&self) -> Firewall {
        Firewall::of_vnet(self.client(), self.id())
    }
}

record! {
    /// A subnet: `GET /cluster/sdn/vnets/{vnet}/subnets`.
    pub struct SubnetInfo {
        required {
            /// Name that the server made of zone and network, such as `lab-198.51.100.0-24`.
            "subnet" id: String,
        }
        optional {
            /// Network with prefix.
            "cidr" network: String,
            /// Vnet.
            "vnet" vnet: String,
            /// Zone.
            "zone" zone: String,
            /// Gateway.
            "gateway" gateway: String,
            /// Whether what leaves gets the node's address.
            "snat" snat: bool,
            /// Ranges that DHCP gives addresses from, as objects with `start-address` and `end-address`.
            "dhcp-range" dhcp_ranges: Vec<Value>,
            /// DNS server that DHCP tells.
            "dhcp-dns-server" dhcp_dns_server: String,
            /// Prefix of the DNS domain.
            "dnszoneprefix" dns_zone_prefix: String,
            /// Digest of all subnets.
            "digest" digest: String,
        }
    }
}

settings! {
    /// Settings of a subnet.
    pub struct SubnetSettings {
        /// Gateway, which the nodes of a zone with routing are themselves.
        with_gateway "gateway" text,
        /// Whether what leaves gets the node's address.
        with_snat "snat" flag,
        /// DNS server that DHCP tells.
        with_dhcp_dns_server "dhcp-dns-server" text,
        /// Prefix of the DNS domain.
        with_dns_zone_prefix "dnszoneprefix" text,
    }
}

impl SubnetSettings {
    /// DHCP gives addresses from these ranges only, each from its first to its last address. None turns it off.
    #[must_use]
    pub fn with_dhcp_ranges<'a>(
        mut self,
        ranges: impl IntoIterator<Item = (&'a str, &'a str)>,
    ) -> Self {
        let ranges = ranges
            .into_iter()
            .map(|(first, last)| format!("start-address={first},end-address={last}"));
        self.0.set("dhcp-range", Wanted::items(ranges.collect()));
        self
    }
}

/// The noun of [`Subnet`].
#[derive(Debug)]
#[non_exhaustive]
pub struct SubnetNoun;

impl about::Sealed for SubnetNoun {
    const ABOUT: About = About {
        kind: Some("subnet"),
        found_by: Some(("cidr", "id")),
        ..About::new("subnet", "/cluster/sdn/vnets/{vnet}/subnets", "subnet")
    };
}

impl Noun for SubnetNoun {
    type Info = SubnetInfo;
    type Settings = SubnetSettings;
}

/// A subnet.
///
/// Example: see [`Sdn`](crate::sdn::Sdn).
pub type Subnet = Named<SubnetNoun>;
