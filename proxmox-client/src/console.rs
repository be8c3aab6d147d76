//! Consoles of nodes and guests: tickets, and sessions on screens and terminals.

#[cfg(feature = "console")]
mod frame;
#[cfg(feature = "console")]
mod socket;
mod spice;
#[cfg(feature = "console")]
mod terminal;
mod ticket;
#[cfg(feature = "console")]
mod vnc;

use serde_json::{Map, Value};

use crate::client::Client;
use crate::error::{Error, Kind, Result};
use crate::lxc::Lxc;
use crate::node::Node;
use crate::qemu::Qemu;
use crate::secret::Members;
use crate::wire::{Method, Request};

pub use spice::SpiceTicket;
#[cfg(feature = "console")]
pub use terminal::Terminal;
pub use ticket::ConsoleTicket;
#[cfg(feature = "console")]
pub use vnc::Vnc;

/// The console of a node, a virtual machine or a container: [`Node::console`], [`Qemu::console`], [`Lxc::console`].
///
/// Every ticket starts a task on the node that waits ten seconds for one connection. The port is opened on the node that
/// answered the call, so the session goes to the same address of a client that has several.
///
/// ```
/// # #[cfg(feature = "simulator")]
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use proxmox_client::simulator::{Clock, Simulator, World};
/// use proxmox_client::{Client, Login, Trust};
/// use tokio::io::{AsyncReadExt, AsyncWriteExt};
/// let world = World::lab().with_user("root@pam", "secret");
/// let clock = Clock::accelerated(world.now(), 1.0);
/// let server = Simulator::with_clock(world, clock).serve().await?;
/// let client = Client::builder()
///     .endpoint(server.endpoint())
///     .trust(Trust::fingerprint(server.fingerprint())?)
///     .login(Login::new("root@pam", "secret"))
///     .build()?;
/// let mut shell = client.node("pve1").console().terminal().await?;
/// shell.resize(132, 50).await?;
/// shell.write_all(b"uptime\r").await?;
/// let mut answer = [0; 16];
/// assert!(shell.read(&mut answer).await? > 0);
/// # Ok(()) }
/// # #[cfg(not(feature = "simulator"))] fn main() {}
/// ```
#[derive(Debug, Clone)]
pub struct Console {
    client: Client,
    place: Place,
}

#[derive(Debug, Clone)]
enum Place {
    Node(Node),
    Qemu(Qemu),
    Lxc(Lxc),
}

impl Node {
    /// The node's shell.
    pub fn console(&self) -> Console {
        Console {
            client: self.client().clone(),
            place: Place::Node(self.clone()),
        }
    }
}

impl Qemu {
    /// The machine's screen and serial terminal.
    pub fn console(&self) -> Console {
        Console {
            client: self.client.clone(),
            place: Place::Qemu(self.clone()),
        }
    }
}

impl Lxc {
    /// The container's terminal.
    pub fn console(&self) -> Console {
        Console {
            client: self.client.clone(),
            place: Place::Lxc(self.clone()),
        }
    }
}

impl Console {
    fn request(&self, method: Method, below: &str) -> Result<Request> {
        match &self.place {
            Place::Node(node) => node.request(method, below),
            Place::Qemu(guest) => guest.request(method, below),
            Place::Lxc(guest) => guest.request(method, below),
        }
    }

    async fn ticket(&self, request: Request) -> Result<ConsoleTicket> {
        let answer: Members = self.client.fetch(request).await?;
        ConsoleTicket::read(&answer, self.client.endpoint())
    }

    /// A ticket for the screen, as VNC over a websocket (`vncproxy`, for nodes `vncshell`): for a program that connects by
    /// itself; [`vnc`](Self::vnc) asks for one and connects.
    ///
    /// ```
    /// # #[cfg(feature = "simulator")]
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), proxmox_client::Error> {
    /// # let node = proxmox_client::simulator::Simulator::lab().connect().node("pve1");
    /// # let vm = node.create_qemu(100, proxmox_client::QemuConfig::new()).await?.qemu;
    /// vm.start().await?;
    /// let ticket = vm.console().vnc_ticket().await?;
    /// assert_eq!(ticket.upid().kind(), "vncproxy");
    /// assert!((5900..=5999).contains(&ticket.port()));
    /// # Ok(()) }
    /// # #[cfg(not(feature = "simulator"))] fn main() {}
    /// ```
    ///
    /// # Errors
    /// [`Kind::NotFound`] if there is no such guest, [`Kind::Permission`] without `VM.Console` or `Sys.Console`.
    pub async fn vnc_ticket(&self) -> Result<ConsoleTicket> {
        let below = match self.place {
            Place::Node(_) => "/vncshell",
            Place::Qemu(_) | Place::Lxc(_) => "/vncproxy",
        };
        let request = self.request(Method::Post, below)?;
        self.ticket(request.with_flag("websocket", true)).await
    }

    /// A ticket for the terminal (`termproxy`): of a node its shell, of a machine its serial interface, of a container its
    /// console. For a program that connects by itself; [`terminal`](Self::terminal) asks for one and connects.
    ///
    /// ```
    /// # #[cfg(feature = "simulator")]
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), proxmox_client::Error> {
    /// # let node = proxmox_client::simulator::Simulator::lab().connect().node("pve1");
    /// let ticket = node.console().terminal_ticket().await?;
    /// assert_eq!(ticket.user(), "root@pam!lab");
    /// # Ok(()) }
    /// # #[cfg(not(feature = "simulator"))] fn main() {}
    /// ```
    ///
    /// # Errors
    /// As for [`vnc_ticket`](Self::vnc_ticket); [`Kind::ServerTimeout`] if the terminal does not begin, as for a machine
    /// without serial interface.
    pub async fn terminal_ticket(&self) -> Result<ConsoleTicket> {
        self.ticket(self.request(Method::Post, "/termproxy")?).await
    }

    /// What a SPICE viewer needs (`spiceproxy`, for nodes `spiceshell`). The ticket in it is good for 30 seconds.
    ///
    /// ```
    /// # #[cfg(feature = "simulator")]
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), proxmox_client::Error> {
    /// use proxmox_client::Kind;
    /// # let node = proxmox_client::simulator::Simulator::lab().connect().node("pve1");
    /// # let vm = node.create_qemu(100, proxmox_client::QemuConfig::new()).await?.qemu;
    /// vm.start().await?;
    /// match vm.console().spice().await {
    ///     Ok(spice) => std::fs::write("console.vv", spice.viewer_file()).unwrap(), // for `remote-viewer`
    ///     Err(error) => assert_eq!(error.kind(), Kind::NotConfigured), // its display is another
    /// }
    /// # Ok(()) }
    /// # #[cfg(not(feature = "simulator"))] fn main() {}
    /// ```
    ///
    /// # Errors
    /// [`Kind::NotConfigured`] if the machine's display is not SPICE.
    pub async fn spice(&self) -> Result<SpiceTicket> {
        let below = match self.place {
            Place::Node(_) => "/spiceshell",
            Place::Qemu(_) | Place::Lxc(_) => "/spiceproxy",
        };
        let request = self.request(Method::Post, below)?;
        let answer: Members = self.client.fetch(request).await?;
        SpiceTicket::read(&answer)
    }

    /// Opens the terminal.
    ///
    /// Example: see [`Console`].
    ///
    /// # Errors
    /// As for [`terminal_ticket`](Self::terminal_ticket). [`Kind::TicketOnly`] for clients with an API token: the server
    /// gives a token a ticket, but the terminal itself asks it to log in and refuses names with `!`, so nothing is sent.
    #[cfg(feature = "console")]
    pub async fn terminal(&self) -> Result<Terminal> {
        if self.client.has_token() {
            return Err(Error::new(
                Kind::TicketOnly,
                "terminals do not accept API tokens: log in with a password instead",
            )
            .doing("opening a terminal"));
        }
        let ticket = self.terminal_ticket().await?;
        let socket = self.connect(&ticket).await?;
        Terminal::begin(socket, &ticket)
            .await
            .map_err(|error| error.at(|| "opening a terminal".to_owned()))
    }

    /// Opens the screen: a byte stream that speaks the RFB protocol from the server's greeting on.
    ///
    /// The server asks for VNC authentication; the password is [`Vnc::password`].
    ///
    /// ```
    /// # #[cfg(feature = "simulator")]
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), proxmox_client::Error> {
    /// use proxmox_client::simulator::{Simulator, World};
    /// use proxmox_client::{Client, QemuConfig, Trust};
    /// use tokio::io::AsyncReadExt;
    /// # let world = World::lab().with_guest("pve1", 100, &QemuConfig::new());
    /// # let simulator = Simulator::at_real_speed(world);
    /// # simulator.connect().node("pve1").qemu(100).start().await?;
    /// # let server = simulator.serve().await.unwrap();
    /// let client = Client::builder()
    ///     .endpoint(server.endpoint())
    ///     .trust(Trust::fingerprint(server.fingerprint())?)
    ///     .token("root@pam!lab=lab-secret")
    ///     .build()?;
    /// let mut screen = client.node("pve1").qemu(100).console().vnc().await?;
    /// let mut greeting = [0; 12];
    /// screen.read_exact(&mut greeting).await.unwrap();
    /// assert_eq!(&greeting, b"RFB 003.008\n");
    /// # Ok(()) }
    /// # #[cfg(not(feature = "simulator"))] fn main() {}
    /// ```
    ///
    /// # Errors
    /// As for [`vnc_ticket`](Self::vnc_ticket).
    #[cfg(feature = "console")]
    pub async fn vnc(&self) -> Result<Vnc> {
        let ticket = self.vnc_ticket().await?;
        let socket = self.connect(&ticket).await?;
        Ok(Vnc::new(socket, ticket))
    }

    #[cfg(feature = "console")]
    async fn connect(&self, ticket: &ConsoleTicket) -> Result<socket::Socket> {
        let request = self
            .request(Method::Get, "/vncwebsocket")?
            .with("port", ticket.port().to_string())
            .with("vncticket", ticket.ticket());
        socket::Socket::connect(&self.client, ticket.endpoint(), &request).await
    }
}

/// A text of an answer that has to be there.
fn required<'a>(answer: &'a Map<String, Value>, name: &str) -> Result<&'a str> {
    let text = answer.get(name).and_then(Value::as_str);
    text.ok_or_else(|| Error::new(Kind::Decode, format!("the answer names no `{name}`")))
}
