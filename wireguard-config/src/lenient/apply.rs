//! What a device without peers holds after a request.

use std::collections::HashMap;

use crate::device::{Device, DevicePeer};
use crate::key::PublicKey;
use crate::net::Network;

use super::setconf::Request;

pub(super) fn apply(request: Request) -> Device {
    let mut device = Device::default();
    device.private_key = request
        .private_key
        .filter(|key| !key.is_zero())
        .map(|key| key.clamped());
    device.public_key = device.private_key.as_ref().map(|key| key.public_key());
    device.listen_port = request.listen_port;
    device.fwmark = request.fwmark;
    let mut index: HashMap<PublicKey, usize> = HashMap::new();
    let mut owners: HashMap<Network, usize> = HashMap::new();
    for wanted in request.peers {
        let Some(key) = wanted.public_key else {
            continue;
        };
        // A device has no peer with its own key.
        if device.public_key == Some(key) {
            continue;
        }
        let at = *index.entry(key).or_insert_with(|| {
            device.peers.push(DevicePeer::new(key));
            device.peers.len() - 1
        });
        let peer = &mut device.peers[at];
        if let Some(key) = wanted.preshared_key {
            peer.preshared_key = (!key.is_zero()).then_some(key);
        }
        peer.endpoint = wanted.endpoint.or(peer.endpoint.take());
        peer.keepalive = wanted.keepalive.unwrap_or(peer.keepalive);
        if wanted.replace {
            for network in peer.allowed_ips.drain(..) {
                owners.remove(&network);
            }
        }
        for (network, add) in wanted.allowed {
            match (owners.get(&network).copied(), add) {
                (Some(owner), true) if owner == at => {}
                (owner, true) => {
                    if let Some(owner) = owner {
                        device.peers[owner]
                            .allowed_ips
                            .retain(|held| *held != network);
                    }
                    owners.insert(network, at);
                    device.peers[at].allowed_ips.push(network);
                }
                (Some(owner), false) if owner == at => {
                    owners.remove(&network);
                    device.peers[at].allowed_ips.retain(|held| *held != network);
                }
                (_, false) => {}
            }
        }
    }
    device
}
