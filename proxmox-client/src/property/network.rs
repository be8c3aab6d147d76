//! Network cards and cloud-init addresses.

pub(super) use super::formats::IP_CONFIG;
use super::formats::{IP_CONFIG_KEYS, NIC_KEYS};
use super::{Format, property};

/// Models that may stand in place of `macaddr`, then naming the model too.
const MODELS: [&str; 15] = [
    "virtio",
    "e1000",
    "e1000e",
    "rtl8139",
    "vmxnet3",
    "e1000-82540em",
    "e1000-82544gc",
    "e1000-82545em",
    "i82551",
    "i82557b",
    "i82559er",
    "ne2k_isa",
    "ne2k_pci",
    "pcnet",
    "igb",
];

pub(super) static NIC: Format = Format {
    name: "net",
    default_key: Some("model"),
    aliases: &[],
    flags: &["firewall", "link_down"],
};

property! {
    /// A virtual machine's network card, `netN`.
    ///
    /// ```
    /// use proxmox_client::property::Nic;
    /// let nic: Nic = "virtio=BC:24:11:00:00:01,bridge=vmbr0,tag=20".parse()?;
    /// assert_eq!(nic.model().as_deref(), Some("virtio"));
    /// assert_eq!(nic.mac().as_deref(), Some("BC:24:11:00:00:01"));
    /// # Ok::<(), proxmox_client::Error>(())
    /// ```
    pub struct Nic: NIC, NIC_KEYS {
        /// Bridge on the node.
        "bridge" bridge / with_bridge: String,
        /// VLAN, 1 to 4094.
        "tag" tag / with_tag: u16,
        /// Whether the node's firewall filters it.
        "firewall" firewall / with_firewall: bool,
        /// Whether the cable is unplugged.
        "link_down" link_down / with_link_down: bool,
        /// MTU, 1 to 65520; 1 takes the bridge's.
        "mtu" mtu / with_mtu: u32,
        /// Number of queues, 0 to 64.
        "queues" queues / with_queues: u16,
        /// Limit in MB/s.
        "rate" rate / with_rate: f64,
        /// VLANs passed through, separated by `;`.
        "trunks" trunks / with_trunks: String,
    }
}

impl Nic {
    /// A paravirtual card on a bridge; the server chooses the MAC address unless one is set.
    pub fn virtio(bridge: &str) -> Self {
        Self::default().with("model", "virtio").with_bridge(bridge)
    }

    fn model_part(&self) -> Option<&'static str> {
        MODELS.into_iter().find(|model| self.get(model).is_some())
    }

    /// The card's model, such as `virtio`.
    pub fn model(&self) -> Option<String> {
        self.model_part()
            .or_else(|| self.get("model"))
            .map(str::to_owned)
    }

    /// The MAC address.
    pub fn mac(&self) -> Option<String> {
        let model = self.model_part();
        model
            .and_then(|model| self.get(model))
            .or_else(|| self.get("macaddr"))
            .map(str::to_owned)
    }

    /// Sets the MAC address.
    #[must_use]
    pub fn with_mac(mut self, mac: impl Into<String>) -> Self {
        let mac = mac.into();
        if let Some(model) = self.model_part() {
            return self.with(model, mac);
        }
        match self.model() {
            // The server's own way of printing: the model names the address.
            Some(model) => {
                self = self.without("model").without("macaddr");
                let rest = std::mem::take(&mut self.0);
                self.0 = super::PropertyString::parse(&format!("{model}={mac},{rest}"));
                self
            }
            None => self.with("macaddr", mac),
        }
    }

    /// Whether both mean the same card; a missing MAC address or firewall flag in `wanted` accepts any.
    pub fn satisfies(&self, wanted: &Self) -> bool {
        let plain = |nic: &Self| {
            let model = nic.model();
            let mut rest = nic.clone().without("model").without("macaddr");
            if let Some(part) = nic.model_part() {
                rest = rest.without(part);
            }
            (model, rest)
        };
        let ((model, rest), (wanted_model, wanted_rest)) = (plain(self), plain(wanted));
        let mac = match (self.mac(), wanted.mac()) {
            (Some(mac), Some(wanted)) => mac.eq_ignore_ascii_case(&wanted),
            (None, Some(_)) => false,
            (_, None) => true,
        };
        mac && model == wanted_model && rest.same_meaning(&wanted_rest)
    }
}

property! {
    /// A card's addresses for cloud-init, `ipconfigN`.
    ///
    /// ```
    /// use proxmox_client::property::IpConfig;
    /// let fixed = IpConfig::default().with_ip("192.0.2.20/24").with_gateway("192.0.2.1");
    /// assert_eq!(fixed.to_string(), "ip=192.0.2.20/24,gw=192.0.2.1");
    /// assert_eq!(IpConfig::dhcp().to_string(), "ip=dhcp");
    /// ```
    pub struct IpConfig: IP_CONFIG, IP_CONFIG_KEYS {
        /// Address with prefix, or `dhcp`.
        "ip" ip / with_ip: String,
        /// Gateway.
        "gw" gateway / with_gateway: String,
        /// IPv6 address with prefix, `dhcp` or `auto`.
        "ip6" ip6 / with_ip6: String,
        /// IPv6 gateway.
        "gw6" gateway6 / with_gateway6: String,
    }
}

impl IpConfig {
    /// Address from a DHCP server.
    pub fn dhcp() -> Self {
        Self::default().with_ip("dhcp")
    }
}
