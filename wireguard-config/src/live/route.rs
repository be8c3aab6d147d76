//! Addresses, MTU and routes of an interface.

use std::net::IpAddr;

use crate::diff::{LinkState, Operation};
use crate::error::{Error, Result};
use crate::net::{InterfaceAddress, Network};

use super::Deadline;
use super::netlink::{ACK, CREATE, DUMP, Message, REPLACE, Socket, attributes, u32_of};

const NEWLINK: u16 = 16;
const GETLINK: u16 = 18;
const NEWADDR: u16 = 20;
const DELADDR: u16 = 21;
const GETADDR: u16 = 22;
const NEWROUTE: u16 = 24;
const DELROUTE: u16 = 25;
const GETROUTE: u16 = 26;

const IFLA_IFNAME: u16 = 3;
const IFLA_MTU: u16 = 4;
const IFA_ADDRESS: u16 = 1;
const IFA_LOCAL: u16 = 2;
const RTA_DST: u16 = 1;
const RTA_OIF: u16 = 4;

const UP: u32 = 1;
const NO_DUPLICATE_DETECTION: u8 = 2;
const TABLE_MAIN: u8 = 254;
/// Routes that addresses bring by themselves.
const PROTOCOL_KERNEL: u8 = 2;
const PROTOCOL_STATIC: u8 = 4;
const SCOPE_UNIVERSE: u8 = 0;
const SCOPE_LINK: u8 = 253;
const SCOPE_LINK_LOCAL_ADDRESS: u8 = 253;
const UNICAST: u8 = 1;

/// A connection about one interface.
pub(super) struct Connection {
    socket: Socket,
    index: u32,
    flags: u32,
    mtu: Option<u32>,
}

fn family(address: IpAddr) -> u8 {
    match address {
        IpAddr::V4(_) => 2,
        IpAddr::V6(_) => 10,
    }
}

fn octets(address: IpAddr) -> Vec<u8> {
    match address {
        IpAddr::V4(a) => a.octets().to_vec(),
        IpAddr::V6(a) => a.octets().to_vec(),
    }
}

pub(super) fn address_of(bytes: &[u8]) -> Option<IpAddr> {
    match bytes.len() {
        4 => <[u8; 4]>::try_from(bytes).ok().map(IpAddr::from),
        16 => <[u8; 16]>::try_from(bytes).ok().map(IpAddr::from),
        _ => None,
    }
}

impl Connection {
    pub(super) fn open(interface: &str, deadline: Deadline) -> Result<Self> {
        let mut socket = Socket::open(None, deadline)?;
        let mut name = interface.as_bytes().to_vec();
        name.push(0);
        let mut message = Message::new(GETLINK, 0, 0);
        message.raw(&[0; 16]).attribute(IFLA_IFNAME, &name);
        let (mut index, mut flags, mut mtu) = (0, 0, None);
        socket.ask(&mut message, |_, body| {
            index = body.get(4..).and_then(u32_of).unwrap_or(0);
            flags = body.get(8..).and_then(u32_of).unwrap_or(0);
            let rest = body.get(16..).unwrap_or_default();
            mtu = attributes(rest)
                .find(|(kind, _)| *kind == IFLA_MTU)
                .and_then(|(_, value)| u32_of(value));
            Ok(())
        })?;
        Ok(Self {
            socket,
            index,
            flags,
            mtu,
        })
    }

    pub(super) fn state(&mut self) -> Result<LinkState> {
        let index = self.index;
        let mut state = LinkState {
            mtu: self.mtu,
            ..LinkState::default()
        };
        let mut message = Message::new(GETADDR, DUMP, 0);
        message.raw(&[0; 8]);
        self.socket.ask(&mut message, |_, body| {
            if body.get(4..).and_then(u32_of) == Some(index) && body[3] != SCOPE_LINK_LOCAL_ADDRESS
            {
                let rest = body.get(8..).unwrap_or_default();
                let value = |wanted| {
                    attributes(rest)
                        .find(|(kind, _)| *kind == wanted)
                        .and_then(|(_, v)| address_of(v))
                };
                // With a peer address, LOCAL is one's own.
                let address = value(IFA_LOCAL).or_else(|| value(IFA_ADDRESS));
                let read = address.and_then(|address| InterfaceAddress::new(address, body[1]).ok());
                state.addresses.extend(read);
            }
            Ok(())
        })?;
        let mut message = Message::new(GETROUTE, DUMP, 0);
        message.raw(&[0; 12]);
        self.socket.ask(&mut message, |_, body| {
            let Some(&[family, prefix, _, _, table, protocol, _, kind, ..]) =
                body.first_chunk::<12>()
            else {
                return Ok(());
            };
            let rest = body.get(12..).unwrap_or_default();
            let oif = attributes(rest)
                .find(|(kind, _)| *kind == RTA_OIF)
                .and_then(|(_, value)| u32_of(value));
            if oif != Some(index)
                || table != TABLE_MAIN
                || protocol == PROTOCOL_KERNEL
                || kind != UNICAST
            {
                return Ok(());
            }
            let any = if family == 2 {
                IpAddr::from([0; 4])
            } else {
                IpAddr::from([0; 16])
            };
            let destination = attributes(rest)
                .find(|(kind, _)| *kind == RTA_DST)
                .and_then(|(_, v)| address_of(v));
            state
                .routes
                .extend(Network::new(destination.unwrap_or(any), prefix).ok());
            Ok(())
        })?;
        Ok(state)
    }

    /// Brings the interface up; says whether it was up before.
    pub(super) fn bring_up(&mut self) -> Result<bool> {
        if self.flags & UP != 0 {
            return Ok(true);
        }
        let mut message = Message::new(NEWLINK, ACK, 0);
        message.raw(&self.link_header(UP, UP));
        self.socket.ask(&mut message, |_, _| Ok(()))?;
        self.flags |= UP;
        Ok(false)
    }

    fn link_header(&self, flags: u32, change: u32) -> [u8; 16] {
        let mut header = [0; 16];
        header[4..8].copy_from_slice(&self.index.to_ne_bytes());
        header[8..12].copy_from_slice(&flags.to_ne_bytes());
        header[12..16].copy_from_slice(&change.to_ne_bytes());
        header
    }

    pub(super) fn carry_out(&mut self, operation: &Operation) -> Result<()> {
        let (mut message, gone) = match operation {
            Operation::SetMtu(mtu) => {
                let mut message = Message::new(NEWLINK, ACK, 0);
                message
                    .raw(&self.link_header(0, 0))
                    .attribute(IFLA_MTU, &mtu.to_ne_bytes());
                (message, false)
            }
            Operation::AddAddress(address) => {
                (self.address(NEWADDR, CREATE | REPLACE, address), false)
            }
            Operation::RemoveAddress(address) => (self.address(DELADDR, 0, address), true),
            Operation::AddRoute(network) => {
                (self.route(NEWROUTE, CREATE | REPLACE, network), false)
            }
            Operation::RemoveRoute(network) => (self.route(DELROUTE, 0, network), true),
            _ => return Ok(()),
        };
        match self.socket.ask(&mut message, |_, _| Ok(())) {
            // A route may have gone with its address, and an address with its interface.
            Err(error) if gone && matches!(error.errno(), Some(3 | 99)) => Ok(()),
            Err(error) => Err(explain(error, operation)),
            Ok(()) => Ok(()),
        }
    }

    fn address(&self, kind: u16, flags: u16, address: &InterfaceAddress) -> Message {
        let ip = address.address();
        let mut message = Message::new(kind, flags | ACK, 0);
        // A tunnel has no neighbours that could hold the same address.
        message.raw(&[
            family(ip),
            address.prefix(),
            NO_DUPLICATE_DETECTION,
            SCOPE_UNIVERSE,
        ]);
        message.raw(&self.index.to_ne_bytes());
        message
            .attribute(IFA_LOCAL, &octets(ip))
            .attribute(IFA_ADDRESS, &octets(ip));
        message
    }

    fn route(&self, kind: u16, flags: u16, network: &Network) -> Message {
        let mut message = Message::new(kind, flags | ACK, 0);
        let ip = network.address();
        let scope = if network.is_ipv4() {
            SCOPE_LINK
        } else {
            SCOPE_UNIVERSE
        };
        message.raw(&[
            family(ip),
            network.prefix(),
            0,
            0,
            TABLE_MAIN,
            PROTOCOL_STATIC,
            scope,
            UNICAST,
            0,
            0,
            0,
            0,
        ]);
        if !network.is_default() {
            message.attribute(RTA_DST, &octets(ip));
        }
        message.attribute(RTA_OIF, &self.index.to_ne_bytes());
        message
    }
}

fn explain(error: Error, operation: &Operation) -> Error {
    let errno = error.errno().unwrap_or(0);
    Error::device(errno, format!("{operation}: {error}"))
}
