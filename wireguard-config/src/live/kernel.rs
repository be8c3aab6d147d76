//! The kernel's WireGuard over generic netlink.

use std::net::{IpAddr, SocketAddr, SocketAddrV6};

use rustix::net::netlink::GENERIC;

use crate::config::Peer;
use crate::device::{Device, DevicePeer};
use crate::diff::{Changes, Operation, PeerUpdate};
use crate::dump::handshake;
use crate::endpoint::Endpoint;
use crate::error::{Error, ErrorKind, Result};
use crate::key::{PresharedKey, PrivateKey, PublicKey};
use crate::net::Network;

use super::Deadline;
use super::netlink::{ACK, DUMP, Message, Socket, attributes, u16_of, u32_of, u64_of};
use super::route::address_of;

const CONTROL: u16 = 16;
const CONTROL_GET_FAMILY: u8 = 3;
const CONTROL_FAMILY_ID: u16 = 1;
const CONTROL_FAMILY_NAME: u16 = 2;

const GET_DEVICE: u8 = 0;
const SET_DEVICE: u8 = 1;
const VERSION: u8 = 1;

const DEVICE_IFNAME: u16 = 2;
const DEVICE_PRIVATE_KEY: u16 = 3;
const DEVICE_PUBLIC_KEY: u16 = 4;
const DEVICE_LISTEN_PORT: u16 = 6;
const DEVICE_FWMARK: u16 = 7;
const DEVICE_PEERS: u16 = 8;

const PEER_PUBLIC_KEY: u16 = 1;
const PEER_PRESHARED_KEY: u16 = 2;
const PEER_FLAGS: u16 = 3;
const PEER_ENDPOINT: u16 = 4;
const PEER_KEEPALIVE: u16 = 5;
const PEER_LAST_HANDSHAKE: u16 = 6;
const PEER_RX_BYTES: u16 = 7;
const PEER_TX_BYTES: u16 = 8;
const PEER_ALLOWED_IPS: u16 = 9;

const PEER_REMOVE: u32 = 1;
const PEER_REPLACE_ALLOWED_IPS: u32 = 2;
const PEER_UPDATE_ONLY: u32 = 4;

const ALLOWED_IP_FAMILY: u16 = 1;
const ALLOWED_IP_ADDRESS: u16 = 2;
const ALLOWED_IP_PREFIX: u16 = 3;

/// Nested attributes have 16-bit lengths, so messages are cut well below 64 KiB.
const LARGEST_MESSAGE: usize = 32 << 10;
/// Networks in one entry of a peer; the rest follows in further entries of the same peer.
const MOST_NETWORKS: usize = 256;

fn open(deadline: Deadline) -> Result<(Socket, u16)> {
    let mut socket = Socket::open(Some(GENERIC), deadline)?;
    let mut message = Message::new(CONTROL, 0, 0);
    message
        .raw(&[CONTROL_GET_FAMILY, 1, 0, 0])
        .attribute(CONTROL_FAMILY_NAME, b"wireguard\0");
    let mut family = None;
    let asked = socket.ask(&mut message, |_, body| {
        let rest = body.get(4..).unwrap_or_default();
        family = attributes(rest)
            .find(|(kind, _)| *kind == CONTROL_FAMILY_ID)
            .and_then(|(_, value)| u16_of(value));
        Ok(())
    });
    match (asked, family) {
        (Ok(()), Some(family)) => Ok((socket, family)),
        (Err(error), _) if error.errno() != Some(2) => Err(error),
        _ => Err(Error::device(
            19,
            "there is no such device, and the kernel has no WireGuard",
        )
        .with_hint("load the module `wireguard`, or start a user-space implementation")),
    }
}

fn name_bytes(interface: &str) -> Vec<u8> {
    let mut name = interface.as_bytes().to_vec();
    name.push(0);
    name
}

pub(super) fn device(interface: &str, deadline: Deadline) -> Result<Device> {
    let (mut socket, family) = open(deadline)?;
    let mut message = Message::new(family, DUMP, 0);
    message
        .raw(&[GET_DEVICE, VERSION, 0, 0])
        .attribute(DEVICE_IFNAME, &name_bytes(interface));
    let mut device = Device::default();
    socket.ask(&mut message, |_, body| {
        decode(&mut device, body.get(4..).unwrap_or_default())
            .ok_or_else(|| Error::new(ErrorKind::Answer, "the kernel's answer cannot be read"))
    })?;
    Ok(device)
}

/// Takes in one message of a dump. Big devices come in several, and a peer that did not fit goes on in the next one.
fn decode(device: &mut Device, body: &[u8]) -> Option<()> {
    for (kind, value) in attributes(body) {
        match kind {
            DEVICE_PRIVATE_KEY => {
                let mut bytes = <[u8; 32]>::try_from(value).ok()?;
                device.private_key =
                    Some(PrivateKey::take_bytes(&mut bytes)).filter(|key| !key.is_zero());
            }
            DEVICE_PUBLIC_KEY => {
                device.public_key = Some(PublicKey::from_bytes(value.try_into().ok()?))
            }
            DEVICE_LISTEN_PORT => device.listen_port = u16_of(value)?,
            DEVICE_FWMARK => device.fwmark = u32_of(value)?,
            DEVICE_PEERS => {
                for (_, peer) in attributes(value) {
                    decode_peer(device, peer)?;
                }
            }
            _ => {}
        }
    }
    Some(())
}

fn decode_peer(device: &mut Device, body: &[u8]) -> Option<()> {
    let key = attributes(body)
        .find(|(kind, _)| *kind == PEER_PUBLIC_KEY)?
        .1;
    let key = PublicKey::from_bytes(key.try_into().ok()?);
    if device
        .peers
        .last()
        .is_none_or(|last| last.public_key != key)
    {
        device.peers.push(DevicePeer::new(key));
    }
    let peer = device.peers.last_mut()?;
    for (kind, value) in attributes(body) {
        match kind {
            PEER_PRESHARED_KEY => {
                let mut bytes = <[u8; 32]>::try_from(value).ok()?;
                peer.preshared_key =
                    Some(PresharedKey::take_bytes(&mut bytes)).filter(|key| !key.is_zero());
            }
            PEER_ENDPOINT => peer.endpoint = decode_endpoint(value),
            PEER_KEEPALIVE => peer.keepalive = u16_of(value)?,
            PEER_LAST_HANDSHAKE => {
                peer.last_handshake = handshake(u64_of(value)?, u64_of(value.get(8..)?)? as u32);
            }
            PEER_RX_BYTES => peer.received = u64_of(value)?,
            PEER_TX_BYTES => peer.sent = u64_of(value)?,
            PEER_ALLOWED_IPS => {
                for (_, entry) in attributes(value) {
                    let field = |wanted| {
                        attributes(entry)
                            .find(|(kind, _)| *kind == wanted)
                            .map(|(_, value)| value)
                    };
                    let prefix = *field(ALLOWED_IP_PREFIX)?.first()?;
                    peer.allowed_ips
                        .push(Network::new(address_of(field(ALLOWED_IP_ADDRESS)?)?, prefix).ok()?);
                }
            }
            _ => {}
        }
    }
    Some(())
}

/// A `sockaddr_in` or `sockaddr_in6`.
fn decode_endpoint(bytes: &[u8]) -> Option<Endpoint> {
    let port = u16::from_be_bytes(bytes.get(2..4)?.try_into().ok()?);
    let address = match u16_of(bytes)? {
        2 => SocketAddr::new(address_of(bytes.get(4..8)?)?, port),
        10 => {
            let ip = <[u8; 16]>::try_from(bytes.get(8..24)?).ok()?;
            SocketAddrV6::new(ip.into(), port, 0, u32_of(bytes.get(24..)?)?).into()
        }
        _ => return None,
    };
    Some(Endpoint::from(address))
}

fn encode_endpoint(endpoint: &Endpoint) -> Result<Vec<u8>> {
    let unresolved = || {
        Error::new(
            ErrorKind::Endpoint,
            format!("the endpoint {endpoint} is not an address, and devices take addresses"),
        )
        .with_hint("resolve names and zones before")
    };
    let mut bytes = Vec::with_capacity(28);
    let port = endpoint.port().to_be_bytes();
    let zone = match endpoint.host() {
        crate::Host::Scoped(_, zone) => zone.parse().map_err(|_| unresolved())?,
        _ => 0u32,
    };
    match endpoint.address().ok_or_else(unresolved)? {
        IpAddr::V4(address) => {
            bytes.extend_from_slice(&2u16.to_ne_bytes());
            bytes.extend_from_slice(&port);
            bytes.extend_from_slice(&address.octets());
            bytes.extend_from_slice(&[0; 8]);
        }
        IpAddr::V6(address) => {
            bytes.extend_from_slice(&10u16.to_ne_bytes());
            bytes.extend_from_slice(&port);
            bytes.extend_from_slice(&[0; 4]);
            bytes.extend_from_slice(&address.octets());
            bytes.extend_from_slice(&zone.to_ne_bytes());
        }
    }
    Ok(bytes)
}

pub(super) fn set(interface: &str, changes: &Changes, deadline: Deadline) -> Result<()> {
    let messages = encode(changes)?;
    if messages.is_empty() {
        return Ok(());
    }
    let (mut socket, family) = open(deadline)?;
    for fill in messages {
        let mut message = fill.into_message(family, interface);
        socket.ask(&mut message, |_, _| Ok(()))?;
    }
    Ok(())
}

/// The content of one message: device attributes, then peers.
#[derive(Default)]
struct Content<'a> {
    device: Vec<(u16, zeroize::Zeroizing<Vec<u8>>)>,
    peers: Vec<PeerEntry<'a>>,
    size: usize,
}

struct PeerEntry<'a> {
    key: PublicKey,
    flags: u32,
    preshared_key: Option<&'a PresharedKey>,
    clear_preshared: bool,
    endpoint: Option<Vec<u8>>,
    keepalive: Option<u16>,
    networks: &'a [Network],
}

impl<'a> PeerEntry<'a> {
    fn new(key: PublicKey, flags: u32) -> Self {
        Self {
            key,
            flags,
            preshared_key: None,
            clear_preshared: false,
            endpoint: None,
            keepalive: None,
            networks: &[],
        }
    }

    fn size(&self) -> usize {
        160 + self.networks.len() * 48
    }
}

fn encode<'a>(changes: &'a Changes) -> Result<Vec<Content<'a>>> {
    let mut contents: Vec<Content<'a>> = Vec::new();
    let mut current = Content::default();
    let mut push = |current: &mut Content<'a>, entry: PeerEntry<'a>| {
        if current.size + entry.size() > LARGEST_MESSAGE {
            contents.push(std::mem::take(current));
        }
        current.size += entry.size();
        current.peers.push(entry);
    };
    for operation in changes.operations() {
        match operation {
            Operation::SetPrivateKey(key) => {
                let bytes = key
                    .as_ref()
                    .map_or_else(|| vec![0; 32], |key| key.expose_bytes().to_vec());
                current
                    .device
                    .push((DEVICE_PRIVATE_KEY, zeroize::Zeroizing::new(bytes)));
            }
            Operation::SetListenPort(port) => {
                current.device.push((
                    DEVICE_LISTEN_PORT,
                    zeroize::Zeroizing::new(port.to_ne_bytes().to_vec()),
                ));
            }
            Operation::SetFwmark(mark) => {
                current.device.push((
                    DEVICE_FWMARK,
                    zeroize::Zeroizing::new(mark.to_ne_bytes().to_vec()),
                ));
            }
            Operation::RemovePeer(key) => push(&mut current, PeerEntry::new(*key, PEER_REMOVE)),
            Operation::AddPeer(peer) => {
                for entry in added(peer)? {
                    push(&mut current, entry);
                }
            }
            Operation::UpdatePeer(update) => {
                for entry in updated(update)? {
                    push(&mut current, entry);
                }
            }
            _ => {}
        }
    }
    if !current.device.is_empty() || !current.peers.is_empty() {
        contents.push(current);
    }
    Ok(contents)
}

/// The first entry carries the settings, further ones more networks of the same peer.
fn spread<'a>(mut first: PeerEntry<'a>, networks: &'a [Network]) -> Vec<PeerEntry<'a>> {
    let key = first.key;
    let (now, later) = networks.split_at(networks.len().min(MOST_NETWORKS));
    first.networks = now;
    let more = later.chunks(MOST_NETWORKS).map(|chunk| PeerEntry {
        networks: chunk,
        ..PeerEntry::new(key, PEER_UPDATE_ONLY)
    });
    std::iter::once(first).chain(more).collect()
}

fn added(peer: &Peer) -> Result<Vec<PeerEntry<'_>>> {
    let mut entry = PeerEntry::new(peer.public_key, PEER_REPLACE_ALLOWED_IPS);
    entry.preshared_key = peer.preshared_key.as_ref();
    entry.endpoint = peer.endpoint.as_ref().map(encode_endpoint).transpose()?;
    entry.keepalive = peer.keepalive;
    Ok(spread(entry, &peer.allowed_ips))
}

/// Only the newest kernels take single networks away, so a peer that loses some gets its whole list anew.
fn updated(update: &PeerUpdate) -> Result<Vec<PeerEntry<'_>>> {
    let replace = !update.remove.is_empty();
    let flags = if replace {
        PEER_UPDATE_ONLY | PEER_REPLACE_ALLOWED_IPS
    } else {
        PEER_UPDATE_ONLY
    };
    let mut entry = PeerEntry::new(update.public_key, flags);
    entry.preshared_key = update.preshared_key.as_ref().and_then(Option::as_ref);
    entry.clear_preshared = update.preshared_key == Some(None);
    entry.endpoint = update.endpoint.as_ref().map(encode_endpoint).transpose()?;
    entry.keepalive = update.keepalive;
    Ok(spread(
        entry,
        if replace { &update.all } else { &update.add },
    ))
}

impl Content<'_> {
    fn into_message(self, family: u16, interface: &str) -> Message {
        let mut message = Message::new(family, ACK, self.size + 1024);
        message
            .raw(&[SET_DEVICE, VERSION, 0, 0])
            .attribute(DEVICE_IFNAME, &name_bytes(interface));
        for (kind, value) in &self.device {
            message.attribute(*kind, value);
        }
        if !self.peers.is_empty() {
            message.nested(DEVICE_PEERS, |message| {
                for entry in &self.peers {
                    message.nested(0, |message| entry.write(message));
                }
            });
        }
        debug_assert!(message.len() < usize::from(u16::MAX));
        message
    }
}

impl PeerEntry<'_> {
    fn write(&self, message: &mut Message) {
        message
            .attribute(PEER_PUBLIC_KEY, self.key.as_bytes())
            .attribute(PEER_FLAGS, &self.flags.to_ne_bytes());
        if let Some(key) = self.preshared_key {
            message.attribute(PEER_PRESHARED_KEY, key.expose_bytes());
        } else if self.clear_preshared {
            message.attribute(PEER_PRESHARED_KEY, &[0; 32]);
        }
        if let Some(endpoint) = &self.endpoint {
            message.attribute(PEER_ENDPOINT, endpoint);
        }
        if let Some(seconds) = self.keepalive {
            message.attribute(PEER_KEEPALIVE, &seconds.to_ne_bytes());
        }
        if self.networks.is_empty() {
            return;
        }
        message.nested(PEER_ALLOWED_IPS, |message| {
            for network in self.networks {
                message.nested(0, |message| {
                    let (family, bytes): (u16, Vec<u8>) = match network.address() {
                        IpAddr::V4(a) => (2, a.octets().to_vec()),
                        IpAddr::V6(a) => (10, a.octets().to_vec()),
                    };
                    message
                        .attribute(ALLOWED_IP_FAMILY, &family.to_ne_bytes())
                        .attribute(ALLOWED_IP_ADDRESS, &bytes)
                        .attribute(ALLOWED_IP_PREFIX, &[network.prefix()]);
                });
            }
        });
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may end so")]
mod tests {
    use super::{decode, encode};
    use crate::{Changes, Config, Device};

    /// What a kernel reports has the same form as what it is told, so a device that takes in our messages must show the
    /// configuration.
    #[test]
    fn what_is_written_reads_back_as_the_configuration_however_large() {
        let mut text = "[Interface]\nPrivateKey = yAnz5TF+lXXJte14tji3zlMNq+hd2rYUIgJBgB3fBmk=\nListenPort = 51820\nFwMark = 7\n".to_owned();
        for i in 0..300u32 {
            let key = crate::PublicKey::from_bytes(
                [(i / 256 + 1) as u8, (i % 256) as u8]
                    .repeat(16)
                    .try_into()
                    .unwrap(),
            );
            text += &format!(
                "[Peer]\nPublicKey = {key}\nEndpoint = [2001:db8::{i:x}]:{}\nPersistentKeepalive = 25\nAllowedIPs = fd00:{i:x}::/64",
                i + 1
            );
            for k in 0..(if i == 7 { 1000 } else { 2 }) {
                text += &format!(", 10.{}.{}.{}/32", i % 250, k / 250, k % 250);
            }
            text += "\n";
        }
        let wanted = Config::parse(text).unwrap();
        let changes = Changes::for_device(&Device::default(), None, &wanted);
        let contents = encode(&changes).unwrap();
        assert!(contents.len() > 1);
        let mut device = Device::default();
        for content in contents {
            let message = content.into_message(30, "wg0");
            assert!(message.len() < 65_000);
            decode(&mut device, &message.body()[4..]).unwrap();
        }
        assert_eq!(device.peers.len(), 300);
        let rest = Changes::for_device(&device, None, &wanted);
        assert!(rest.is_empty(), "{rest}");
    }
}
