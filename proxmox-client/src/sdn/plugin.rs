//! Plug-ins that keep addresses (IPAM) and names (DNS).

use secrecy::SecretString;

use crate::error::Result;
use crate::named::{About, Named, Noun, about};
use crate::open::open_enum;
use crate::scalar::record;
use crate::setting::{Settings, settings};
use crate::wire::{Method, Request};

open_enum! {
    /// What keeps the addresses.
    pub enum IpamKind {
        /// The cluster itself.
        Pve = "pve",
        /// NetBox.
        Netbox = "netbox",
        /// phpIPAM.
        PhpIpam = "phpipam",
    }
}

record! {
    /// An IPAM plug-in: `GET /cluster/sdn/ipams`. Its token is left out.
    pub struct IpamInfo {
        required {
            /// Name.
            "ipam" id: String,
            /// What keeps the addresses.
            "type" kind: IpamKind,
        }
        optional {
            /// Address of its interface.
            "url" url: String,
            /// Section of phpIPAM.
            "section" section: u32,
            /// SHA-256 fingerprint of its certificate.
            "fingerprint" fingerprint: String,
            /// Digest of all plug-ins.
            "digest" digest: String,
        }
    }
}

settings! {
    /// Settings of an IPAM plug-in. A new one needs a kind, which the functions that make settings give.
    pub struct IpamSettings {
        /// Address of its interface.
        with_url "url" text,
        /// Token for it.
        with_token "token" secret,
        /// Section of phpIPAM.
        with_section "section" number,
        /// SHA-256 fingerprint of its certificate, pairs of digits with colons.
        with_fingerprint "fingerprint" text,
    }
}

impl IpamSettings {
    /// The cluster itself keeps the addresses.
    pub fn pve() -> Self {
        Self(Settings::of_kind(IpamKind::Pve.as_str()))
    }

    /// NetBox does. The server asks it at once whether the token is good.
    pub fn netbox(url: &str, token: impl Into<SecretString>) -> Self {
        Self(Settings::of_kind(IpamKind::Netbox.as_str()))
            .with_url(url)
            .with_token(token)
    }

    /// phpIPAM does, in one of its sections. The server asks it at once whether the token is good.
    pub fn phpipam(url: &str, token: impl Into<SecretString>, section: u32) -> Self {
        Self(Settings::of_kind(IpamKind::PhpIpam.as_str()))
            .with_url(url)
            .with_token(token)
            .with_section(section)
    }
}

/// The noun of [`Ipam`].
#[derive(Debug)]
#[non_exhaustive]
pub struct IpamNoun;

impl about::Sealed for IpamNoun {
    const ABOUT: About = About {
        has_kinds: true,
        secrets: &["token"],
        ..About::new("IPAM plug-in", "/cluster/sdn/ipams", "ipam")
    };
}

impl Noun for IpamNoun {
    type Info = IpamInfo;
    type Settings = IpamSettings;
}

/// An IPAM plug-in.
///
/// Example: see [`addresses`](Ipam::addresses).
pub type Ipam = Named<IpamNoun>;

record! {
    /// An address that the cluster itself keeps: `GET /cluster/sdn/ipams/pve/status`.
    pub struct IpamAddress {
        optional {
            /// Address.
            "ip" address: String,
            /// MAC address of the card that has it.
            "mac" mac: String,
            /// Guest.
            "vmid" vmid: u32,
            /// Name of the guest.
            "hostname" hostname: String,
            /// Whether it is a subnet's gateway.
            "gateway" gateway: bool,
            /// Subnet with prefix.
            "subnet" subnet: String,
            /// Vnet.
            "vnet" vnet: String,
            /// Zone.
            "zone" zone: String,
        }
    }
}

impl Ipam {
    /// The addresses in use. Only the built-in plug-in `pve` can tell.
    ///
    /// ```
    /// # #[cfg(feature = "simulator")]
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), proxmox_client::Error> {
    /// use proxmox_client::sdn::{SubnetSettings, VnetSettings, ZoneSettings};
    /// # let client = proxmox_client::simulator::Simulator::lab().connect();
    /// let sdn = client.sdn();
    /// sdn.zone("lab").ensure(&ZoneSettings::simple().with_ipam("pve")).await?;
    /// let vnet = sdn.vnet("lab0");
    /// vnet.ensure(&VnetSettings::in_zone("lab")).await?;
    /// let subnet = SubnetSettings::new().with_gateway("198.51.100.1");
    /// vnet.subnet("198.51.100.0/24").ensure(&subnet).await?;
    /// sdn.apply().await?;
    /// assert_eq!(sdn.ipam("pve").addresses().await?[0].gateway, Some(true));
    /// # Ok(()) }
    /// # #[cfg(not(feature = "simulator"))] fn main() {}
    /// ```
    pub async fn addresses(&self) -> Result<Vec<IpamAddress>> {
        let path = "/cluster/sdn/ipams/{ipam}/status";
        let found = self
            .client()
            .fetch(Request::new(Method::Get, path, &[self.id()]));
        found
            .await
            .map_err(|error| error.doing(format!("reading addresses of IPAM {}", self.id())))
    }
}

record! {
    /// A DNS plug-in: `GET /cluster/sdn/dns`. Its key is left out.
    pub struct DnsInfo {
        required {
            /// Name.
            "dns" id: String,
            /// Its kind: `powerdns`.
            "type" kind: String,
        }
        optional {
            /// Address of its interface.
            "url" url: String,
            /// How long names are kept by those who ask, in seconds.
            "ttl" ttl: u32,
            /// SHA-256 fingerprint of its certificate.
            "fingerprint" fingerprint: String,
            /// Digest of all plug-ins.
            "digest" digest: String,
        }
    }
}

settings! {
    /// Settings of a DNS plug-in.
    pub struct DnsSettings {
        /// Address of its interface.
        with_url "url" text,
        /// Key for it.
        with_key "key" secret,
        /// How long names are kept by those who ask, in seconds.
        with_ttl "ttl" number,
        /// Length of the prefix of reverse IPv6 zones.
        with_reverse_mask_v6 "reversemaskv6" number,
        /// SHA-256 fingerprint of its certificate, pairs of digits with colons.
        with_fingerprint "fingerprint" text,
    }
}

impl DnsSettings {
    /// PowerDNS with its key. The server asks it at once whether the key is good.
    pub fn powerdns(url: &str, key: impl Into<SecretString>) -> Self {
        Self(Settings::of_kind("powerdns"))
            .with_url(url)
            .with_key(key)
    }
}

/// The noun of [`Dns`].
#[derive(Debug)]
#[non_exhaustive]
pub struct DnsNoun;

impl about::Sealed for DnsNoun {
    const ABOUT: About = About {
        has_kinds: true,
        secrets: &["key"],
        ..About::new("DNS plug-in", "/cluster/sdn/dns", "dns")
    };
}

impl Noun for DnsNoun {
    type Info = DnsInfo;
    type Settings = DnsSettings;
}

/// A DNS plug-in.
///
/// ```
/// # #[cfg(feature = "simulator")]
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), proxmox_client::Error> {
/// use proxmox_client::sdn::DnsSettings;
/// # let client = proxmox_client::simulator::Simulator::lab().connect();
/// let wanted = DnsSettings::powerdns("https://dns.example.test", "s3cret-value");
/// assert!(!format!("{wanted:?}").contains("s3cret-value"));
/// assert!(client.sdn().dns("powerdns").get().await?.is_none());
/// # Ok(()) }
/// # #[cfg(not(feature = "simulator"))] fn main() {}
/// ```
pub type Dns = Named<DnsNoun>;
