//! Which addresses the cards of guests have: those that their configuration gives, and those that a DHCP server hands out.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use serde::{Deserialize, Serialize};

use super::guest::{Guest, Species, text_of};
use super::operation::is_drive;
use super::schema::sub_key;
use super::world::World;

/// A DHCP server.
#[derive(Serialize, Deserialize, Debug, Clone)]
pub(super) struct Lan {
    first: Ipv4Addr,
    prefix: u8,
    /// Who has which address, by MAC address; counted from the first.
    leases: BTreeMap<String, u32>,
}

impl Lan {
    fn lease(&mut self, mac: &str) -> String {
        let next = u32::try_from(self.leases.len()).unwrap_or(u32::MAX);
        let number = *self.leases.entry(mac.to_owned()).or_insert(next);
        let address = u32::from(self.first).wrapping_add(number);
        format!("{}/{}", Ipv4Addr::from(address), self.prefix)
    }
}

/// A card as the guest sees it.
pub(super) struct Card {
    /// `net0` is 0.
    pub(super) index: u8,
    /// In capitals.
    pub(super) mac: String,
    /// With prefix.
    pub(super) ipv4: Option<(String, u8)>,
    /// The same.
    pub(super) ipv6: Option<(String, u8)>,
}

impl World {
    /// Puts a DHCP server onto a bridge or vnet, or into one of its VLANs (`vmbr0.20`), which gives addresses from `first`
    /// on, in order, and the same to the same card. It is asked by containers whose card says `ip=dhcp`, by machines with a
    /// cloud-init drive whose `ipconfigN` says so, and by machines without such a drive. Nobody answers where there is none.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)] async fn main() -> Result<(), proxmox_client::Error> {
    /// use proxmox_client::property::{Agent, Nic};
    /// use proxmox_client::simulator::{Simulator, World};
    /// use proxmox_client::{IpRule, QemuConfig};
    /// let config = QemuConfig::new().with_agent(&Agent::on()).with_net(0, Nic::virtio("vmbr0"));
    /// let world = World::lab().with_dhcp("vmbr0", "192.0.2.50".parse().unwrap(), 24);
    /// let node = Simulator::new(world).connect().node("pve1");
    /// let vm = node.create_qemu(100, config).await?.qemu;
    /// vm.start().await?;
    /// assert_eq!(vm.wait_for_ip(IpRule::ipv4()).await?.to_string(), "192.0.2.50");
    /// # Ok(()) }
    /// ```
    #[must_use]
    pub fn with_dhcp(mut self, network: &str, first: Ipv4Addr, prefix: u8) -> Self {
        let lan = Lan {
            first,
            prefix,
            leases: BTreeMap::new(),
        };
        self.around.lans.insert(network.to_owned(), lan);
        self
    }

    /// The cards of a guest with their addresses.
    pub(super) fn cards(&mut self, vmid: u32) -> Vec<Card> {
        let Some(guest) = self.guests.get(&vmid) else {
            return Vec::new();
        };
        let lans = &mut self.around.lans;
        (0..32)
            .filter_map(|index| {
                let mac = guest.mac(index)?;
                let (ip, ip6) = asked(guest, index);
                let ipv4 = match ip.as_deref() {
                    Some("dhcp") => network_of(guest, index)
                        .and_then(|network| lans.get_mut(&network))
                        .map(|lan| lan.lease(&mac)),
                    _ => ip,
                };
                Some(Card {
                    index,
                    mac,
                    ipv4: ipv4.as_deref().and_then(with_prefix),
                    ipv6: ip6.as_deref().and_then(with_prefix),
                })
            })
            .collect()
    }
}

/// What is asked for a card: an IPv4 and an IPv6 address, or the words that stand for them.
fn asked(guest: &Guest, index: u8) -> (Option<String>, Option<String>) {
    let key = match guest.species() {
        Species::Machine => format!("ipconfig{index}"),
        Species::Container => format!("net{index}"),
    };
    let ip = part(guest, &key, "ip");
    let alone = guest.species() == Species::Machine && ip.is_none() && !has_cloud_init(guest);
    (
        ip.or_else(|| alone.then(|| "dhcp".to_owned())),
        part(guest, &key, "ip6"),
    )
}

fn has_cloud_init(guest: &Guest) -> bool {
    let mut values = guest.config().iter();
    values.any(|(key, value)| is_drive(key) && text_of(value).contains("cloudinit"))
}

/// The bridge of a card, with its VLAN.
fn network_of(guest: &Guest, index: u8) -> Option<String> {
    let key = format!("net{index}");
    let bridge = part(guest, &key, "bridge")?;
    Some(match part(guest, &key, "tag") {
        Some(tag) => format!("{bridge}.{tag}"),
        None => bridge,
    })
}

/// A part of a property string of the configuration in effect.
pub(super) fn part(guest: &Guest, key: &str, name: &str) -> Option<String> {
    let text = guest.text(key)?;
    sub_key(&text, name).map(str::to_owned)
}

fn with_prefix(text: &str) -> Option<(String, u8)> {
    let (address, prefix) = text.split_once('/')?;
    Some((address.to_owned(), prefix.parse().ok()?))
}
