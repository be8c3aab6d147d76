//! Inventories in YAML (feature `yaml`).

use std::collections::BTreeMap;
use std::str::FromStr;

use serde::Deserialize;

use crate::config::{Dns, Table};
use crate::error::{Error, ErrorKind, Result};

use super::allocate::Leases;
use super::inventory::{Inventory, Lan, Member, PresharedPolicy, Role, Topology};

/// Texts beyond this size are refused before they are read.
const LARGEST: usize = 16 << 20;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct InventoryText {
    interface: Option<String>,
    networks: Vec<String>,
    #[serde(default)]
    reserved: Vec<String>,
    #[serde(default)]
    topology: TopologyText,
    preshared_keys: Option<bool>,
    keepalive: Option<u16>,
    listen_port: Option<u16>,
    #[serde(default)]
    allow_unreachable: bool,
    members: Vec<MemberText>,
    #[serde(default)]
    links: Vec<(String, String)>,
    #[serde(default)]
    leases: BTreeMap<String, Vec<String>>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "kebab-case")]
enum TopologyText {
    #[default]
    FullMesh,
    HubAndSpoke,
    SiteToSite,
    Explicit,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "kebab-case")]
enum RoleText {
    #[default]
    Node,
    Hub,
    Relay,
    Roaming,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct MemberText {
    name: String,
    #[serde(default)]
    role: RoleText,
    endpoint: Option<String>,
    lan: Option<LanText>,
    #[serde(default)]
    addresses: Vec<String>,
    #[serde(default)]
    routed: Vec<String>,
    via: Option<String>,
    #[serde(default)]
    full_tunnel: bool,
    listen_port: Option<u16>,
    mtu: Option<u32>,
    path_mtu: Option<u32>,
    #[serde(default)]
    dns: Vec<String>,
    table: Option<String>,
    interface: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct LanText {
    name: String,
    endpoint: String,
}

/// Reads one value; the error says whose and which.
fn read<T: FromStr>(text: &str, whose: &str, field: &str) -> Result<T> {
    text.parse().map_err(|_| {
        Error::new(
            ErrorKind::Inventory,
            format!("{whose}, {field}: {text:?} cannot be read"),
        )
        .with_hint(
            "networks are like 10.0.0.0/24, addresses like 10.0.0.1, endpoints like host:51820",
        )
    })
}

fn read_all<T: FromStr>(texts: &[String], whose: &str, field: &str) -> Result<Vec<T>> {
    texts.iter().map(|text| read(text, whose, field)).collect()
}

impl Inventory {
    /// Reads an inventory. Keys are in camelCase, unknown ones are refused; only `networks` and `members` (each with a
    /// `name`) must be there:
    ///
    /// ```yaml
    /// networks: ["10.77.0.0/24", "fd77::/64"]
    /// topology: hub-and-spoke   # full-mesh (default), hub-and-spoke, site-to-site, explicit
    /// members:
    ///   - { name: vps, role: hub, endpoint: "vpn.example.com:51820" }
    ///   - { name: home, routed: ["192.168.10.0/24"], pathMtu: 1492 }
    ///   - { name: phone, role: roaming, fullTunnel: true, dns: ["10.77.0.1"] }
    /// ```
    ///
    /// # Errors
    /// [`ErrorKind::Inventory`] with the place, [`ErrorKind::TooLarge`].
    pub fn from_yaml(text: &str) -> Result<Self> {
        if text.len() > LARGEST {
            return Err(Error::new(
                ErrorKind::TooLarge,
                format!("the inventory has more than {LARGEST} bytes"),
            ));
        }
        let read_text: InventoryText = serde_saphyr::from_str(text).map_err(|error| {
            Error::new(
                ErrorKind::Inventory,
                format!("the inventory cannot be read: {error}"),
            )
        })?;
        read_text.into_inventory()
    }
}

impl InventoryText {
    fn into_inventory(self) -> Result<Inventory> {
        let networks = read_all(&self.networks, "inventory", "networks")?;
        let first = *networks.first().ok_or_else(|| {
            Error::new(ErrorKind::Inventory, "inventory, networks: there is none")
                .with_hint("give one, such as 10.77.0.0/24")
        })?;
        let mut inventory = Inventory::new(first);
        inventory.networks = networks;
        inventory.reserved = read_all(&self.reserved, "inventory", "reserved")?;
        inventory.topology = match self.topology {
            TopologyText::FullMesh => Topology::FullMesh,
            TopologyText::HubAndSpoke => Topology::HubAndSpoke,
            TopologyText::SiteToSite => Topology::SiteToSite,
            TopologyText::Explicit => Topology::Explicit,
        };
        if self.preshared_keys == Some(false) {
            inventory.preshared = PresharedPolicy::None;
        }
        inventory.interface = self.interface.unwrap_or(inventory.interface);
        inventory.keepalive = self.keepalive.unwrap_or(inventory.keepalive);
        inventory.listen_port = self.listen_port.unwrap_or(inventory.listen_port);
        inventory.allow_unreachable = self.allow_unreachable;
        inventory.links = self.links;
        let mut leases = Leases::default();
        for (member, addresses) in &self.leases {
            for address in addresses {
                leases.insert(member, read(address, member, "leases")?);
            }
        }
        inventory.leases = leases;
        inventory.members = self
            .members
            .into_iter()
            .map(MemberText::into_member)
            .collect::<Result<_>>()?;
        Ok(inventory)
    }
}

impl MemberText {
    fn into_member(self) -> Result<Member> {
        let name = &self.name;
        let mut member = Member::new(name);
        member.role = match self.role {
            RoleText::Node => Role::Node,
            RoleText::Hub => Role::Hub,
            RoleText::Relay => Role::Relay,
            RoleText::Roaming => Role::Roaming,
        };
        member.endpoint = self
            .endpoint
            .as_deref()
            .map(|text| read(text, name, "endpoint"))
            .transpose()?;
        if let Some(lan) = self.lan {
            member.lan = Some(Lan {
                endpoint: read(&lan.endpoint, name, "lan")?,
                name: lan.name,
            });
        }
        member.addresses = read_all(&self.addresses, name, "addresses")?;
        member.routed = read_all(&self.routed, name, "routed")?;
        member.via = self.via;
        member.full_tunnel = self.full_tunnel;
        member.listen_port = self.listen_port;
        member.mtu = self.mtu;
        member.path_mtu = self.path_mtu;
        let dns = |text: String| text.parse().map_or_else(|_| Dns::Search(text), Dns::Server);
        member.dns = self.dns.into_iter().map(dns).collect();
        member.table = self.table.map(|text| match text.as_str() {
            "off" => Table::Off,
            "auto" => Table::Auto,
            _ => text
                .parse()
                .map_or_else(|_| Table::Name(text), Table::Number),
        });
        member.interface = self.interface;
        Ok(member)
    }
}
