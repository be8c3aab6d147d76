//! The WireGuard overlay: a hub, the cluster's side and the devices of people.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use super::decode::{Bad, Scalar, choice, record};
use super::name::DnsLabel;
use super::net::Cidr;
use super::scalar::as_text;
use super::time::Period;

record! {
    /// The overlay.
    WireGuard {
        /// Its own network.
        subnet: Cidr = need "subnet",
        /// UDP port of every peer that listens.
        port: u16 = or "port" (51_820),
        /// Size of a packet inside the tunnel.
        mtu: u16 = or "mtu" (1420),
        /// How often a peer behind NAT speaks to keep its way open.
        keepalive: Period = or "keepalive" (Period::seconds(25)),
        /// Peers by name.
        peers: BTreeMap<String, WireGuardPeer> = need "peers",
    }
}

choice! {
    /// What a peer is for.
    PeerRole {
        /// Everybody's meeting point; has a public endpoint.
        Hub = "hub",
        /// The cluster's side: leads into its networks.
        Gateway = "gateway",
        /// A device of a person.
        Device = "device",
    }
}

record! {
    /// One peer.
    WireGuardPeer {
        /// What it is for.
        role: PeerRole = need "role",
        /// Address in the overlay.
        address: Ipv4Addr = need "address",
        /// Public `host:port`.
        #[serde(skip_serializing_if = "Option::is_none")]
        endpoint: Option<PeerEndpoint> = maybe "endpoint",
        /// Its public key, when it makes its own; else a pair is generated into the secret file.
        #[serde(skip_serializing_if = "Option::is_none")]
        public_key: Option<PublicKey> = maybe "publicKey",
        /// Networks behind it.
        routes: Vec<Cidr> = or "routes" (Vec::new()),
    }
}

/// `host:port`.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct PeerEndpoint {
    /// Name or address.
    pub host: String,
    /// UDP port.
    pub port: u16,
}

impl Scalar for PeerEndpoint {
    const WHAT: &'static str = "an endpoint such as vps.example.org:51820";
    const TEXT: bool = true;

    fn parse(path: &str, text: &str) -> Result<Self, Bad> {
        let bad = || {
            Bad::new("wg-endpoint", format!("{path} \"{text}\" is not host:port"))
                .help("for example vps.example.org:51820")
        };
        let (host, port) = text.rsplit_once(':').ok_or_else(bad)?;
        let host_good = host.parse::<Ipv4Addr>().is_ok()
            || (!host.is_empty() && host.split('.').all(|label| DnsLabel::new(label).is_some()));
        match port.parse::<u16>() {
            Ok(port) if port != 0 && host_good => Ok(Self {
                host: host.to_owned(),
                port,
            }),
            _ => Err(bad()),
        }
    }

    fn placeholder() -> Self {
        Self {
            host: "placeholder.invalid".into(),
            port: 51_820,
        }
    }
}

impl std::fmt::Display for PeerEndpoint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{}", self.host, self.port)
    }
}

/// A Curve25519 public key as WireGuard writes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublicKey(String);

impl PublicKey {
    /// 44 characters of base64.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Scalar for PublicKey {
    const WHAT: &'static str = "a WireGuard public key";

    fn parse(path: &str, text: &str) -> Result<Self, Bad> {
        use base64::Engine as _;
        use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD};
        // A key that lost its padding is still decoded, so that the message can say how long it really is.
        let decoded = STANDARD
            .decode(text)
            .or_else(|_| STANDARD_NO_PAD.decode(text.trim_end_matches('=')));
        let why = match &decoded {
            Ok(bytes) if bytes.len() == 32 && text.len() == 44 => return Ok(Self(text.to_owned())),
            Ok(bytes) => format!("{} decoded", bytes.len()),
            Err(_) => format!("{} characters, not base64", text.chars().count()),
        };
        Err(Bad::new(
            "wg-key-bad",
            format!("{path} is not 32 bytes of base64 ({why})"),
        )
        .help("44 characters, as wg pubkey prints it; leave it out to have a pair generated"))
    }

    fn placeholder() -> Self {
        Self(String::new())
    }
}

impl std::fmt::Display for PublicKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

as_text!(PeerEndpoint, PublicKey);
