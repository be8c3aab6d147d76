//! The socket of a user-space implementation.

use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::Path;

use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType};
use zeroize::{Zeroize, Zeroizing};

use crate::error::{Error, ErrorKind, Result};
use crate::uapi::errno_error;

use super::Deadline;

/// Answers beyond this size are no answers.
const LARGEST: usize = 64 << 20;

fn connect(path: &Path, deadline: Deadline) -> Result<UnixStream> {
    let fault = |error: std::io::Error| {
        let stale = error.kind() == std::io::ErrorKind::ConnectionRefused;
        let hint = if stale {
            "the daemon is gone and left its socket behind"
        } else {
            "is the user allowed to?"
        };
        Error::io(format!("cannot connect to {}", path.display()), error).with_hint(hint)
    };
    let address = SocketAddrUnix::new(path).map_err(|e| fault(e.into()))?;
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = rustix::net::socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)
        .map_err(|e| fault(e.into()))?;
    // A daemon that accepts no more connections would block a plain connect for ever.
    loop {
        match rustix::net::connect(&socket, &address) {
            Ok(()) => break,
            Err(rustix::io::Errno::AGAIN) => {
                let left = deadline.left("connecting to the device")?;
                std::thread::sleep(left.min(std::time::Duration::from_millis(5)));
            }
            Err(error) => return Err(fault(error.into())),
        }
    }
    let stream = UnixStream::from(socket);
    stream.set_nonblocking(false).map_err(fault)?;
    Ok(stream)
}

/// Sends a request and reads the whole answer, up to and with its empty line.
pub(super) fn ask(path: &Path, request: &str, deadline: Deadline) -> Result<Zeroizing<Vec<u8>>> {
    const WHAT: &str = "the answer of the device";
    let fault = |error| Error::io(format!("talking to {}", path.display()), error);
    let mut stream = connect(path, deadline)?;
    let mut rest = request.as_bytes();
    while !rest.is_empty() {
        stream
            .set_write_timeout(Some(deadline.left(WHAT)?))
            .map_err(fault)?;
        let written = stream.write(rest).map_err(fault)?;
        rest = &rest[written..];
    }
    let mut answer = Zeroizing::new(Vec::with_capacity(64 << 10));
    let mut chunk = Zeroizing::new(vec![0; 64 << 10]);
    loop {
        stream
            .set_read_timeout(Some(deadline.left(WHAT)?))
            .map_err(fault)?;
        let count = stream.read(&mut chunk).map_err(fault)?;
        if answer.len() + count > answer.capacity() {
            // Growing by hand, so that the old room is wiped.
            let mut larger = Vec::with_capacity((answer.len() + count) * 2);
            larger.extend_from_slice(&answer);
            std::mem::swap(&mut *answer, &mut larger);
            larger.zeroize();
        }
        answer.extend_from_slice(&chunk[..count]);
        if answer.ends_with(b"\n\n") || count == 0 {
            return Ok(answer);
        }
        if answer.len() > LARGEST {
            return Err(Error::new(
                ErrorKind::TooLarge,
                "the device's answer does not end",
            ));
        }
    }
}

/// Sends a `set` request and reads its errno.
pub(super) fn set(path: &Path, request: &str, deadline: Deadline) -> Result<()> {
    let answer = ask(path, request, deadline)?;
    let text = String::from_utf8_lossy(&answer);
    let errno = text.lines().find_map(|line| line.strip_prefix("errno="));
    match errno.map(str::parse) {
        Some(Ok(0)) => Ok(()),
        Some(Ok(errno)) => Err(errno_error(errno)),
        _ => Err(Error::new(
            ErrorKind::Answer,
            "the device's answer has no errno",
        )),
    }
}
