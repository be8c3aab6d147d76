//! Where the values stand that more than one line decides about.

use crate::key::PublicKey;
use crate::net::{InterfaceAddress, Network};

/// Line and column, both from 1.
pub(super) type At = (usize, usize);

#[derive(Debug, Default)]
pub(super) struct Places {
    pub(super) interface: Option<At>,
    pub(super) private_key: Option<At>,
    pub(super) listen_port: Option<At>,
    pub(super) mtu: Option<At>,
    pub(super) save_config: Option<At>,
    pub(super) hooks: Vec<At>,
    pub(super) addresses: Vec<(InterfaceAddress, At)>,
    pub(super) obfuscation: Vec<(String, At)>,
    pub(super) peers: Vec<PeerPlaces>,
    /// The peer being read.
    pub(super) current: PeerPlaces,
}

#[derive(Debug, Default)]
pub(super) struct PeerPlaces {
    pub(super) key: Option<PublicKey>,
    pub(super) public_key: Option<At>,
    pub(super) endpoint: Option<At>,
    pub(super) keepalive: Option<At>,
    pub(super) allowed: Vec<Allowed>,
}

#[derive(Debug, Clone, Copy)]
pub(super) struct Allowed {
    pub(super) network: Network,
    pub(super) host_bits: bool,
    pub(super) at: At,
}

impl Places {
    pub(super) fn end_peer(&mut self, header: At, key: Option<PublicKey>) {
        let mut peer = std::mem::take(&mut self.current);
        peer.key = key;
        peer.public_key.get_or_insert(header);
        self.peers.push(peer);
    }
}
