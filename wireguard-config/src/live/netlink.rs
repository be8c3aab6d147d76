//! Netlink messages: written, sent, and read back with a time limit.

use std::os::fd::OwnedFd;

use rustix::net::netlink::SocketAddrNetlink;
use rustix::net::sockopt::{Timeout, set_socket_timeout};
use rustix::net::{AddressFamily, Protocol, RecvFlags, SendFlags, SocketFlags, SocketType};
use zeroize::Zeroizing;

use crate::error::{Error, ErrorKind, Result};

use super::Deadline;

pub(super) const REQUEST: u16 = 0x001;
pub(super) const ACK: u16 = 0x004;
pub(super) const DUMP: u16 = 0x300;
pub(super) const REPLACE: u16 = 0x100;
pub(super) const CREATE: u16 = 0x400;

const HEADER: usize = 16;
const ERROR: u16 = 2;
const DONE: u16 = 3;
/// Set on attributes that hold attributes; the two upper bits are no part of the type.
const NESTED: u16 = 0x8000;
const TYPE_MASK: u16 = 0x3fff;

/// A message under construction. May hold secrets and is wiped when dropped.
#[derive(Debug)]
pub(super) struct Message(Zeroizing<Vec<u8>>);

impl Message {
    /// Begins a message; `room` bytes are taken at once, so that growing leaves no piece of a secret behind.
    pub(super) fn new(kind: u16, flags: u16, room: usize) -> Self {
        let mut bytes = Vec::with_capacity(room.max(256));
        bytes.extend_from_slice(&[0; 4]);
        bytes.extend_from_slice(&kind.to_ne_bytes());
        bytes.extend_from_slice(&(flags | REQUEST).to_ne_bytes());
        bytes.extend_from_slice(&[0; 8]);
        Self(Zeroizing::new(bytes))
    }

    pub(super) fn raw(&mut self, bytes: &[u8]) -> &mut Self {
        self.0.extend_from_slice(bytes);
        self.pad();
        self
    }

    pub(super) fn attribute(&mut self, kind: u16, value: &[u8]) -> &mut Self {
        self.0
            .extend_from_slice(&((value.len() + 4) as u16).to_ne_bytes());
        self.0.extend_from_slice(&kind.to_ne_bytes());
        self.raw(value)
    }

    pub(super) fn nested(&mut self, kind: u16, fill: impl FnOnce(&mut Self)) -> &mut Self {
        let start = self.0.len();
        self.0.extend_from_slice(&[0; 2]);
        self.0.extend_from_slice(&(kind | NESTED).to_ne_bytes());
        fill(self);
        let length = ((self.0.len() - start) as u16).to_ne_bytes();
        self.0[start..start + 2].copy_from_slice(&length);
        self
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    fn pad(&mut self) {
        while !self.0.len().is_multiple_of(4) {
            self.0.push(0);
        }
    }

    /// Fills in length and sequence number.
    fn finish(&mut self, sequence: u32) -> &[u8] {
        let length = (self.0.len() as u32).to_ne_bytes();
        self.0[0..4].copy_from_slice(&length);
        self.0[8..12].copy_from_slice(&sequence.to_ne_bytes());
        &self.0
    }

    #[cfg(test)]
    pub(super) fn body(&self) -> &[u8] {
        &self.0[HEADER..]
    }
}

/// The attributes in a stretch of bytes; a truncated one ends the list.
pub(super) fn attributes(mut bytes: &[u8]) -> impl Iterator<Item = (u16, &[u8])> {
    std::iter::from_fn(move || {
        let length = usize::from(u16::from_ne_bytes(bytes.get(0..2)?.try_into().ok()?));
        let kind = u16::from_ne_bytes(bytes.get(2..4)?.try_into().ok()?) & TYPE_MASK;
        let value = bytes.get(4..length)?;
        bytes = bytes.get(length.next_multiple_of(4)..).unwrap_or_default();
        Some((kind, value))
    })
}

pub(super) fn u16_of(value: &[u8]) -> Option<u16> {
    value.get(..2)?.try_into().ok().map(u16::from_ne_bytes)
}

pub(super) fn u32_of(value: &[u8]) -> Option<u32> {
    value.get(..4)?.try_into().ok().map(u32::from_ne_bytes)
}

pub(super) fn u64_of(value: &[u8]) -> Option<u64> {
    value.get(..8)?.try_into().ok().map(u64::from_ne_bytes)
}

/// A netlink socket. `None` as protocol is the route family, whose number is 0.
#[derive(Debug)]
pub(super) struct Socket {
    fd: OwnedFd,
    sequence: u32,
    deadline: Deadline,
}

impl Socket {
    pub(super) fn open(protocol: Option<Protocol>, deadline: Deadline) -> Result<Self> {
        let fault = |error: rustix::io::Errno| Error::io("opening a netlink socket", error.into());
        let fd = rustix::net::socket_with(
            AddressFamily::NETLINK,
            SocketType::RAW,
            SocketFlags::CLOEXEC,
            protocol,
        )
        .map_err(fault)?;
        rustix::net::bind(&fd, &SocketAddrNetlink::new(0, 0)).map_err(fault)?;
        Ok(Self {
            fd,
            sequence: 0,
            deadline,
        })
    }

    /// Sends a message and hands the body of each answer to `each`, until the kernel says that it is done.
    ///
    /// # Errors
    /// [`ErrorKind::Device`] with the kernel's error number.
    pub(super) fn ask(
        &mut self,
        message: &mut Message,
        mut each: impl FnMut(u16, &[u8]) -> Result<()>,
    ) -> Result<()> {
        self.sequence += 1;
        let sequence = self.sequence;
        let fault = |error: rustix::io::Errno| Error::io("talking to the kernel", error.into());
        let single = u16::from_ne_bytes([message.0[6], message.0[7]]) & (DUMP | ACK) == 0;
        let left = self.deadline.left("sending to the kernel")?;
        set_socket_timeout(&self.fd, Timeout::Send, Some(left)).map_err(fault)?;
        rustix::net::sendto(
            &self.fd,
            message.finish(sequence),
            SendFlags::empty(),
            &SocketAddrNetlink::new(0, 0),
        )
        .map_err(fault)?;
        let mut buffer = Zeroizing::new(vec![0; 64 << 10]);
        loop {
            let left = self.deadline.left("the answer of the kernel")?;
            set_socket_timeout(&self.fd, Timeout::Recv, Some(left)).map_err(fault)?;
            let (_, count) = rustix::net::recv(&self.fd, buffer.as_mut_slice(), RecvFlags::TRUNC)
                .map_err(fault)?;
            if count > buffer.len() {
                return Err(Error::new(
                    ErrorKind::TooLarge,
                    "the kernel's answer is larger than expected",
                ));
            }
            let mut rest = &buffer[..count];
            while rest.len() >= HEADER {
                let length = u32_of(rest).unwrap_or(0) as usize;
                if length < HEADER || length > rest.len() {
                    return Err(Error::new(
                        ErrorKind::Answer,
                        "the kernel's answer is cut off",
                    ));
                }
                let kind = u16_of(&rest[4..]).unwrap_or(0);
                let body = &rest[HEADER..length];
                let ours = u32_of(&rest[8..]) == Some(sequence);
                rest = rest.get(length.next_multiple_of(4)..).unwrap_or_default();
                match kind {
                    _ if !ours => {}
                    DONE => return Ok(()),
                    ERROR => match u32_of(body).unwrap_or(0) as i32 {
                        0 => return Ok(()),
                        errno => return Err(kernel_error(errno.saturating_abs())),
                    },
                    kind => {
                        each(kind, body)?;
                        if single {
                            return Ok(());
                        }
                    }
                }
            }
        }
    }
}

fn kernel_error(errno: i32) -> Error {
    let text = std::io::Error::from_raw_os_error(errno);
    Error::device(errno, format!("the kernel refused: {text}"))
}

#[cfg(test)]
mod tests {
    use super::{Message, attributes};

    #[test]
    fn attributes_are_padded_and_nest() {
        let mut message = Message::new(1, 0, 0);
        message
            .attribute(3, b"abc\0")
            .attribute(4, &[1])
            .nested(5, |m| _ = m.attribute(6, &[2, 3]));
        let read: Vec<_> = attributes(message.body()).collect();
        assert_eq!(read[0], (3, &b"abc\0"[..]));
        assert_eq!(read[1], (4, &[1][..]));
        assert_eq!(
            attributes(read[2].1).collect::<Vec<_>>(),
            [(6, &[2, 3][..])]
        );
    }

    #[test]
    fn cut_off_attributes_end_the_list() {
        for bytes in [
            &[][..],
            &[8, 0],
            &[8, 0, 1, 0, 1],
            &[3, 0, 1, 0],
            &[0, 0, 0, 0],
        ] {
            assert_eq!(attributes(bytes).count(), 0, "{bytes:?}");
        }
    }
}
