//! Devices of this machine (feature `live`, Linux): read, and changed by the least that is needed.
//!
//! User-space implementations are spoken to over their socket, the kernel's over generic netlink; addresses, MTU and routes
//! over route netlink in both cases. Every call blocks for at most its timeout; from async code, call it in a
//! blocking task.
//!
//! One `set` is one message to the device. The kernel checks a message before it applies it, except that very large ones
//! (hundreds of peers) are split; user-space implementations apply line by line and stop at the first fault.

mod kernel;
mod netlink;
mod route;
mod socket;

use std::net::{IpAddr, ToSocketAddrs as _};
use std::path::PathBuf;
use std::time::{Duration, Instant, SystemTime};

use crate::config::{Config, Table};
use crate::device::Device;
use crate::diff::{Changes, LinkState, Operation};
use crate::error::{Error, ErrorKind, Result};
use crate::health;
use crate::uapi::Abilities;

/// The folder in which user-space implementations have their sockets. It is shared by all network namespaces, so interface
/// names are unique on the machine.
pub const SOCKET_FOLDER: &str = "/var/run/wireguard";

/// How long a call may take, unless the builder says otherwise.
pub const DEFAULT_TIMEOUT: Duration = Duration::from_secs(5);

/// Access to the devices of this network namespace.
#[derive(Debug, Clone)]
pub struct Client {
    timeout: Duration,
    folder: PathBuf,
}

/// Options of a [`Client`].
#[derive(Debug, Clone)]
#[must_use]
pub struct Builder {
    client: Client,
}

impl Builder {
    /// Sets how long one call may take; 5 s by default. Some user-space implementations never answer after a
    /// request that they do not understand.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.client.timeout = timeout;
        self
    }

    /// Sets the folder of the sockets; [`SOCKET_FOLDER`] by default.
    pub fn socket_folder(mut self, folder: impl Into<PathBuf>) -> Self {
        self.client.folder = folder.into();
        self
    }

    /// The client.
    #[must_use]
    pub fn build(self) -> Client {
        self.client
    }
}

/// The end of a call's time.
#[derive(Debug, Clone, Copy)]
struct Deadline(Instant);

impl Deadline {
    fn after(timeout: Duration) -> Self {
        Self(Instant::now() + timeout)
    }

    /// What is left, never zero, or the error that it is over.
    fn left(self, what: &str) -> Result<Duration> {
        let left = self.0.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(
                Error::new(ErrorKind::Timeout, format!("{what} took too long"))
                    .with_hint("the implementation may hang; restart it, or raise the timeout"),
            );
        }
        Ok(left)
    }
}

/// What [`Client::sync`] did.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Synced {
    /// The device was as wanted; nothing was sent.
    Unchanged,
    /// These changes were carried out.
    Updated(Changes),
}

impl Client {
    /// Options for a client.
    pub fn builder() -> Builder {
        Builder {
            client: Self {
                timeout: DEFAULT_TIMEOUT,
                folder: PathBuf::from(SOCKET_FOLDER),
            },
        }
    }

    fn socket(&self, interface: &str) -> Result<Option<PathBuf>> {
        if !crate::topology::is_interface_name(interface) {
            return Err(Error::new(
                ErrorKind::Name,
                format!("{interface:?} is no interface name"),
            ));
        }
        let path = self.folder.join(format!("{interface}.sock"));
        Ok(path.exists().then_some(path))
    }

    /// The state of a device, of the user-space kind if it has a socket, else of the kernel's kind.
    ///
    /// # Errors
    /// [`ErrorKind::Device`] with [`Error::errno`] 19 when there is no such device, [`ErrorKind::Timeout`],
    /// [`ErrorKind::Io`] (1 or 13: not permitted), [`ErrorKind::Answer`].
    pub fn device(&self, interface: &str) -> Result<Device> {
        let deadline = Deadline::after(self.timeout);
        let mut device = match self.socket(interface)? {
            Some(path) => {
                Device::parse_uapi(socket::ask(&path, crate::uapi::GET, deadline)?.as_slice())?
            }
            None => kernel::device(interface, deadline)?,
        };
        device.name = Some(interface.to_owned());
        Ok(device)
    }

    /// Addresses, MTU and routes of an interface.
    ///
    /// # Errors
    /// As [`device`](Self::device).
    pub fn link(&self, interface: &str) -> Result<LinkState> {
        self.socket(interface)?;
        route::Connection::open(interface, Deadline::after(self.timeout))?.state()
    }

    /// What would have to change; changes nothing.
    ///
    /// # Errors
    /// As [`device`](Self::device); [`ErrorKind::Unsupported`] for default routes and for routes in another table
    /// than the main one, unless the configuration says `Table = off`.
    pub fn plan(&self, interface: &str, wanted: &Config) -> Result<Changes> {
        check_routes(wanted)?;
        let device = self.device(interface)?;
        Ok(Changes::for_device(
            &device,
            Some(&self.link(interface)?),
            wanted,
        ))
    }

    /// Carries out operations, in order: those of the device in one message, then addresses, MTU and routes.
    ///
    /// # Errors
    /// As [`device`](Self::device); [`ErrorKind::Endpoint`] for an endpoint that is a name.
    pub fn apply(&self, interface: &str, changes: &Changes) -> Result<()> {
        let deadline = Deadline::after(self.timeout);
        match self.socket(interface)? {
            Some(path) => set_by_socket(&path, changes, deadline)?,
            None => kernel::set(interface, changes, deadline)?,
        }
        let concerns_link = |operation: &&Operation| {
            matches!(
                operation,
                Operation::AddAddress(_)
                    | Operation::RemoveAddress(_)
                    | Operation::SetMtu(_)
                    | Operation::AddRoute(_)
                    | Operation::RemoveRoute(_)
            )
        };
        let mut operations = changes.operations().iter().filter(concerns_link).peekable();
        if operations.peek().is_none() {
            return Ok(());
        }
        let mut route = route::Connection::open(interface, deadline)?;
        for operation in operations {
            route.carry_out(operation)?;
        }
        Ok(())
    }

    /// Brings a device and its interface to a configuration and the interface up, by the smallest set of operations. Sessions
    /// and counters of peers that stay go on.
    ///
    /// # Errors
    /// As [`apply`](Self::apply).
    pub fn sync(&self, interface: &str, wanted: &Config) -> Result<Synced> {
        check_routes(wanted)?;
        // Routes need an interface that is up, so it comes first.
        let was_up =
            route::Connection::open(interface, Deadline::after(self.timeout))?.bring_up()?;
        let changes = self.plan(interface, wanted)?;
        if changes.is_empty() && was_up {
            return Ok(Synced::Unchanged);
        }
        self.apply(interface, &changes)?;
        Ok(Synced::Updated(changes))
    }

    /// Gives peers that have fallen silent the addresses that their names have by now, as
    /// [`health::renew_endpoints`] decides; to be called every half minute or so. `resolve` can be [`system_address`].
    ///
    /// # Errors
    /// As [`device`](Self::device).
    pub fn renew_endpoints(
        &self,
        interface: &str,
        wanted: &Config,
        now: SystemTime,
        resolve: impl FnMut(&str) -> Option<IpAddr>,
    ) -> Result<Synced> {
        let device = self.device(interface)?;
        let thresholds = health::Thresholds::default();
        let changes = health::renew_endpoints(wanted, &device, now, &thresholds, resolve);
        if changes.is_empty() {
            return Ok(Synced::Unchanged);
        }
        self.apply(interface, &changes)?;
        Ok(Synced::Updated(changes))
    }
}

/// The first address of a name as this machine resolves it, by its hosts file or DNS; `None` too when that takes
/// longer than `timeout`.
///
/// The C library cannot be interrupted, so a late answer leaves a thread behind until it comes.
#[must_use]
pub fn system_address(name: &str, timeout: Duration) -> Option<IpAddr> {
    let (answer, answers) = std::sync::mpsc::channel();
    let name = name.to_owned();
    std::thread::Builder::new()
        .name("resolve".to_owned())
        .spawn(move || {
            let first = (name.as_str(), 0)
                .to_socket_addrs()
                .ok()
                .and_then(|mut found| found.next());
            // Nobody may be waiting any more.
            let _ = answer.send(first.map(|found| found.ip()));
        })
        .ok()?;
    answers.recv_timeout(timeout).ok().flatten()
}

/// A plain default route into the tunnel would also catch the tunnel's own packets.
fn check_routes(wanted: &Config) -> Result<()> {
    let refuse = |what: &str| {
        Err(Error::new(
            ErrorKind::Unsupported,
            format!("{what} are not set on live devices"),
        )
        .with_hint("say Table = off and make the routes yourself, or use wg-quick"))
    };
    match wanted.interface.table {
        Some(Table::Off) => Ok(()),
        Some(Table::Number(_) | Table::Name(_)) => refuse("routes in a table of their own"),
        _ if wanted
            .wanted_routes()
            .iter()
            .any(crate::Network::is_default) =>
        {
            refuse("default routes")
        }
        _ => Ok(()),
    }
}

/// Older implementations refuse to take single networks away; then the peer's networks are replaced. The requests
/// set values and do not count, so saying one twice does no harm.
fn set_by_socket(path: &std::path::Path, changes: &Changes, deadline: Deadline) -> Result<()> {
    let request = crate::uapi::set_request(changes, Abilities::default())?;
    if request.is_empty() {
        return Ok(());
    }
    let refused = match socket::set(path, &request, deadline) {
        Err(error) if error.kind() == ErrorKind::Device => error,
        other => return other,
    };
    let removes = |operation: &Operation| matches!(operation, Operation::UpdatePeer(update) if !update.remove.is_empty());
    if !changes.operations().iter().any(removes) {
        return Err(refused);
    }
    socket::set(
        path,
        &crate::uapi::set_request(changes, Abilities::basic())?,
        deadline,
    )
}
