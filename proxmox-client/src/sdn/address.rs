//! Addresses that the cluster itself keeps for cards of guests on a vnet.

use std::net::IpAddr;

use crate::access::Ensured;
use crate::error::{Error, Kind, Result};
use crate::qemu::Removed;
use crate::sdn::{Ipam, IpamAddress, Vnet};
use crate::wire::{Method, Request};

const PATH: &str = "/cluster/sdn/vnets/{vnet}/ips";

fn is(held: &IpamAddress, address: IpAddr) -> bool {
    let held = held.address.as_deref().and_then(|text| text.parse().ok());
    held == Some(address)
}

impl Vnet {
    /// The addresses that the cluster keeps on this vnet: those of guests and gateways.
    ///
    /// Example: see [`ensure_address`](Self::ensure_address).
    pub async fn addresses(&self) -> Result<Vec<IpamAddress>> {
        let mut all = Ipam::new(self.client(), &[], "pve").addresses().await?;
        all.retain(|one| one.vnet.as_deref() == Some(self.id()));
        Ok(all)
    }

    async fn request(&self, method: Method, address: IpAddr) -> Result<Request> {
        let zone = self.get().await?.and_then(|vnet| vnet.zone);
        let zone = zone
            .ok_or_else(|| Error::new(Kind::NotFound, format!("there is no vnet {}", self.id())))?;
        let request = Request::new(method, PATH, &[self.id()]).with("zone", zone);
        Ok(request.with("ip", address.to_string()))
    }

    /// Makes sure that the cluster keeps an address for a card, by its MAC address. Another address of the same family
    /// that the card has on this vnet is given up. The zone must have an IPAM, and to move a card's address DHCP too;
    /// subnets count once they are applied.
    ///
    /// ```
    /// # #[cfg(feature = "simulator")]
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), proxmox_client::Error> {
    /// use proxmox_client::Ensured;
    /// use proxmox_client::sdn::{SubnetSettings, VnetSettings, ZoneSettings};
    /// # let client = proxmox_client::simulator::Simulator::lab().connect();
    /// let sdn = client.sdn();
    /// let zone = ZoneSettings::simple().with_ipam("pve").with_dhcp("dnsmasq");
    /// sdn.zone("lab").ensure(&zone).await?;
    /// let vnet = sdn.vnet("lab0");
    /// vnet.ensure(&VnetSettings::in_zone("lab")).await?;
    /// vnet.subnet("198.51.100.0/24").ensure(&SubnetSettings::new()).await?;
    /// sdn.apply().await?;
    /// let (mac, first) = ("BC:24:11:00:00:01", "198.51.100.10".parse().unwrap());
    /// assert_eq!(vnet.ensure_address(first, mac).await?, Ensured::Created);
    /// assert_eq!(vnet.ensure_address(first, mac).await?, Ensured::Unchanged);
    /// vnet.release_address(first).await?;
    /// assert!(vnet.addresses().await?.is_empty());
    /// # Ok(()) }
    /// # #[cfg(not(feature = "simulator"))] fn main() {}
    /// ```
    ///
    /// # Errors
    /// [`Kind::AlreadyExists`] if it is kept for another card or is a gateway, [`Kind::NotFound`] if no subnet has it.
    pub async fn ensure_address(&self, address: IpAddr, mac: &str) -> Result<Ensured> {
        let doing = |error: Error| error.doing(format!("keeping {address} for {mac}"));
        let all = self.addresses().await.map_err(doing)?;
        let same_card = |one: &IpamAddress| {
            let held = one.mac.as_deref();
            held.is_some_and(|held| held.eq_ignore_ascii_case(mac))
        };
        if let Some(held) = all.iter().find(|one| is(one, address)) {
            if same_card(held) {
                return Ok(Ensured::Unchanged);
            }
            let text = format!(
                "{address} is kept for {}",
                held.mac.as_deref().unwrap_or("something else")
            );
            return Err(doing(Error::new(Kind::AlreadyExists, text)));
        }
        let same_family = |one: &IpamAddress| {
            let held: Option<IpAddr> = one.address.as_deref().and_then(|text| text.parse().ok());
            held.is_some_and(|held| held.is_ipv4() == address.is_ipv4())
        };
        let other = all.iter().find(|one| same_card(one) && same_family(one));
        let method = if other.is_some() {
            Method::Put
        } else {
            Method::Post
        };
        let mut request = self
            .request(method, address)
            .await
            .map_err(doing)?
            .with("mac", mac);
        if let Some(vmid) = other.and_then(|other| other.vmid) {
            request.params_mut().push("vmid", vmid.to_string());
        }
        self.client().request(request).await.map_err(doing)?;
        Ok(match other {
            Some(_) => Ensured::Updated(vec!["ip".to_owned()]),
            None => Ensured::Created,
        })
    }

    /// Gives up an address that the cluster keeps for a card.
    ///
    /// Example: see [`ensure_address`](Self::ensure_address).
    pub async fn release_address(&self, address: IpAddr) -> Result<Removed> {
        let doing = |error: Error| error.doing(format!("giving up {address}"));
        let all = self.addresses().await.map_err(doing)?;
        let Some(held) = all.iter().find(|one| is(one, address)) else {
            return Ok(Removed::Absent);
        };
        let mut request = self.request(Method::Delete, address).await.map_err(doing)?;
        if let Some(mac) = &held.mac {
            request.params_mut().push("mac", mac);
        }
        match self.client().request(request).await {
            Ok(_) => Ok(Removed::Removed),
            Err(error) if error.is_not_found() => Ok(Removed::Absent),
            Err(error) => Err(doing(error)),
        }
    }
}
