//! Addresses that the cluster itself keeps for cards of guests.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{Sdn, check};
use crate::simulator::answer::{Outcome, Reply};
use crate::simulator::http::Call;
use crate::simulator::route::not_simulated;
use crate::simulator::world::World;

/// An address kept for a card.
#[derive(Serialize, Deserialize, Debug, Clone, PartialEq, Eq)]
pub(super) struct Kept {
    subnet: String,
    vnet: String,
    address: IpAddr,
    mac: Option<String>,
    vmid: Option<u64>,
}

fn contains(network: &str, address: IpAddr) -> bool {
    let Some((base, length)) = network.split_once('/') else {
        return false;
    };
    let (Ok(base), Ok(length)) = (base.parse::<IpAddr>(), length.parse::<u32>()) else {
        return false;
    };
    match (base, address) {
        (IpAddr::V4(base), IpAddr::V4(address)) if length <= 32 => {
            let differ = base.to_bits() ^ address.to_bits();
            differ.checked_shr(32 - length).unwrap_or(0) == 0
        }
        (IpAddr::V6(base), IpAddr::V6(address)) if length <= 128 => {
            let differ = base.to_bits() ^ address.to_bits();
            differ.checked_shr(128 - length).unwrap_or(0) == 0
        }
        _ => false,
    }
}

impl Sdn {
    /// The subnet of a vnet that has an address, of those that run.
    fn subnet_of(&self, vnet: &str, address: IpAddr) -> Result<String, String> {
        let subnets = self.ran("subnets").into_iter();
        let mut subnets = subnets.filter(|(id, subnet)| {
            subnet.get("vnet") == Some(&vnet.into()) && contains(&check::network_of(id), address)
        });
        let found = subnets.next().map(|(id, _)| id);
        found.ok_or_else(|| {
            let text = format!("can't find any subnet for ip {address}");
            check::at(&text, "Network/SDN/Subnets.pm", 178)
        })
    }

    fn keep(&mut self, kept: Kept) -> Result<(), String> {
        let subnets = self.table("subnets");
        let gateway = subnets
            .get(&kept.subnet)
            .and_then(|subnet| subnet.get("gateway"));
        let is_gateway = gateway == Some(&kept.address.to_string().into());
        let same = |other: &Kept| other.subnet == kept.subnet && other.address == kept.address;
        if is_gateway || self.addresses.iter().any(same) {
            return Err(format!("IP '{}' already exist", kept.address));
        }
        self.addresses.push(kept);
        Ok(())
    }

    fn give_up(&mut self, subnet: &str, address: IpAddr) -> Result<(), String> {
        let before = self.addresses.len();
        self.addresses
            .retain(|kept| kept.subnet != subnet || kept.address != address);
        if self.addresses.len() == before {
            return Err(format!("IP '{address}' does not exist in IPAM DB"));
        }
        Ok(())
    }

    /// The addresses of cards, as the built-in plug-in tells them.
    pub(super) fn kept_addresses(&self) -> impl Iterator<Item = Value> {
        self.addresses.iter().map(|kept| {
            let zone = kept.subnet.split('-').next().unwrap_or_default();
            let mut entry = json!({
                "zone": zone, "vnet": kept.vnet, "subnet": check::network_of(&kept.subnet),
                "ip": kept.address.to_string(),
            });
            if let Some(mac) = &kept.mac {
                entry["mac"] = mac.as_str().into();
            }
            if let Some(vmid) = kept.vmid {
                entry["vmid"] = vmid.to_string().into();
            }
            entry
        })
    }
}

impl World {
    pub(super) fn write_addresses(&mut self, method: &str, vnet: &str, call: &Call) -> Outcome {
        let held = self.vnet_or(vnet)?;
        let zones = self.sdn.table("zones");
        let zone = held.get("zone").and_then(Value::as_str);
        let zone = zone.and_then(|zone| zones.get(zone));
        let set = |key: &str| zone.and_then(|zone| zone.get(key)).and_then(Value::as_str);
        let Some(address) = call.text("ip").and_then(|text| text.parse::<IpAddr>().ok()) else {
            return Err(not_simulated(call));
        };
        let subnet = self.sdn.subnet_of(vnet, address).map_err(Reply::failed)?;
        match set("ipam") {
            Some("pve") => {}
            // Without an IPAM nothing is kept, and nothing is said of it.
            None => return Ok(Reply::data(())),
            Some(_) => return Err(not_simulated(call)),
        }
        let mac = call.text("mac").map(|mac| mac.to_ascii_uppercase());
        let kept = Kept {
            subnet: subnet.clone(),
            vnet: vnet.to_owned(),
            address,
            mac: mac.clone(),
            vmid: call.number("vmid"),
        };
        let done = match method {
            "POST" => self.sdn.keep(kept),
            "DELETE" => self.sdn.give_up(&subnet, address),
            "PUT" => {
                let old = self.sdn.addresses.iter().find(|old| {
                    old.vnet == vnet && old.mac == mac && old.address.is_ipv4() == address.is_ipv4()
                });
                let (Some(old), Some(_)) = (old.cloned(), set("dhcp")) else {
                    // The real server stumbles over the old address that it does not find.
                    return Err(not_simulated(call));
                };
                let moved = self.sdn.give_up(&old.subnet, old.address);
                moved.and_then(|()| self.sdn.keep(kept)).inspect_err(|_| {
                    self.sdn.addresses.push(old);
                })
            }
            _ => return Err(not_simulated(call)),
        };
        done.map_err(Reply::failed)?;
        Ok(Reply::data(()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn networks_contain_their_addresses() {
        let cases = [
            ("198.51.100.0/24", "198.51.100.255", true),
            ("198.51.100.0/24", "198.51.101.0", false),
            ("0.0.0.0/0", "203.0.113.1", true),
            ("198.51.100.7/32", "198.51.100.7", true),
            ("2001:db8::/64", "2001:db8::1:2", true),
            ("2001:db8::/64", "2001:db8:0:1::1", false),
            ("198.51.100.0/24", "2001:db8::1", false),
        ];
        for (network, address, expected) in cases {
            let address = address.parse().expect("an address");
            assert_eq!(contains(network, address), expected, "{network} {address}");
        }
    }
}
