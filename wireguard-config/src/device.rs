//! What a device holds and reports: its configuration and what happened to each peer.

use std::time::SystemTime;

use zeroize::Zeroizing;

use crate::config::{Config, Peer};
use crate::endpoint::Endpoint;
use crate::key::{PresharedKey, PrivateKey, PublicKey};
use crate::net::Network;
use crate::render::quick;

/// A WireGuard device as the kernel or a user-space implementation reports it. `Debug` shows no secret.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Device {
    /// The interface name, where the source names it.
    pub name: Option<String>,
    /// The private key, if it is set and the reader may see it; always clamped.
    pub private_key: Option<PrivateKey>,
    /// The public key, if one is set.
    pub public_key: Option<PublicKey>,
    /// The UDP port; 0 when the device has none yet.
    pub listen_port: u16,
    /// The mark on outgoing packets; 0 is off.
    pub fwmark: u32,
    /// The peers, in the order of the source.
    pub peers: Vec<DevicePeer>,
}

/// One peer of a [`Device`].
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct DevicePeer {
    /// Its identity.
    pub public_key: PublicKey,
    /// The preshared key, unless it is none.
    pub preshared_key: Option<PresharedKey>,
    /// Where it was last heard from, or where it is configured to be.
    pub endpoint: Option<Endpoint>,
    /// Its networks.
    pub allowed_ips: Vec<Network>,
    /// Seconds between keepalives; 0 is off.
    pub keepalive: u16,
    /// When the last handshake was completed.
    pub last_handshake: Option<Handshake>,
    /// Bytes received.
    pub received: u64,
    /// Bytes sent.
    pub sent: u64,
}

/// When a handshake was completed, as the source tells it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Handshake {
    /// At this time.
    At(SystemTime),
    /// So long before the answer: boringtun gives an age where others give a time.
    Ago(std::time::Duration),
}

impl DevicePeer {
    /// A peer of which nothing but the key is known.
    #[must_use]
    pub fn new(public_key: PublicKey) -> Self {
        Self {
            public_key,
            preshared_key: None,
            endpoint: None,
            allowed_ips: Vec::new(),
            keepalive: 0,
            last_handshake: None,
            received: 0,
            sent: 0,
        }
    }

    /// The part that a configuration holds.
    #[must_use]
    pub fn to_peer(&self) -> Peer {
        let mut peer = Peer::new(self.public_key);
        peer.preshared_key = self.preshared_key.clone();
        peer.endpoint = self.endpoint.clone();
        peer.allowed_ips = self.allowed_ips.clone();
        peer.keepalive = (self.keepalive > 0).then_some(self.keepalive);
        peer
    }
}

impl Device {
    /// The peer with this key.
    #[must_use]
    pub fn peer(&self, key: &PublicKey) -> Option<&DevicePeer> {
        self.peers.iter().find(|peer| peer.public_key == *key)
    }

    /// The part that a configuration holds: keys, port, mark and peers.
    #[must_use]
    pub fn to_config(&self) -> Config {
        let mut config = Config::default();
        config.interface.private_key = self.private_key.clone();
        config.interface.listen_port = (self.listen_port > 0).then_some(self.listen_port);
        config.interface.fwmark = (self.fwmark > 0).then_some(self.fwmark);
        config.peers = self.peers.iter().map(DevicePeer::to_peer).collect();
        config
    }

    /// The text that `wg showconf` prints for it.
    #[must_use]
    pub fn showconf(&self) -> Zeroizing<String> {
        quick::showconf(self)
    }
}
