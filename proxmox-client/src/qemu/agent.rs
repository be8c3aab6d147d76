//! The agent inside a guest: commands, files, addresses.

use std::future::{Future, IntoFuture};
use std::net::IpAddr;
use std::pin::Pin;
use std::time::Duration;

use base64::Engine as _;
use serde_json::Value;
use tokio::time::Instant;

use crate::client::Client;
use crate::error::{Error, Kind, Result, Sent};
use crate::qemu::Qemu;
use crate::scalar::record;
use crate::wire::{Method, Request};

/// Most bytes that one write of a file takes.
const WRITE_LIMIT: usize = 60 * 1024;

/// The agent inside a guest.
///
/// A guest whose agent does not answer makes every call take about three seconds and fail with
/// [`Kind::AgentNotRunning`]; one without `agent: 1` in its configuration fails with
/// [`Kind::AgentNotConfigured`], and waiting does not help.
///
/// ```
/// # #[cfg(feature = "simulator")]
/// # #[tokio::main(flavor = "current_thread", start_paused = true)] async fn main() -> Result<(), proxmox_client::Error> {
/// use proxmox_client::{IpRule, QemuConfig};
/// # let node = proxmox_client::simulator::Simulator::lab().connect().node("pve1");
/// # let config = QemuConfig::new().with("agent", "1").with("net0", "virtio,bridge=vmbr0");
/// # let config = config.with("ipconfig0", "ip=192.0.2.31/24");
/// # let vm = node.create_qemu(100, config).await?.qemu;
/// vm.start().await?;
/// vm.wait_for_ip(IpRule::ipv4()).await?;
/// let agent = vm.agent();
/// agent.ping().await?;
/// assert!(agent.interfaces().await?.iter().any(|interface| interface.name == "eth0"));
/// agent.write_file("/etc/motd", "Hello\n").await?;
/// assert_eq!(agent.read_file("/etc/motd").await?.content, "Hello\n");
/// # Ok(()) }
/// # #[cfg(not(feature = "simulator"))] fn main() {}
/// ```
#[derive(Debug, Clone)]
pub struct Agent(Qemu);

record! {
    /// What a command in the guest did so far: `GET …/agent/exec-status`.
    pub struct ExecStatus {
        required {
            /// Whether it has ended.
            "exited" exited: bool,
        }
        optional {
            /// Its exit code, if it ended by itself.
            "exitcode" exit_code: i64,
            /// The signal or exception that ended it.
            "signal" signal: i64,
            /// What it wrote to its standard output.
            "out-data" output: String,
            /// What it wrote to its standard error.
            "err-data" errors: String,
            /// Whether the output was cut.
            "out-truncated" output_cut: bool,
            /// Whether the error output was cut.
            "err-truncated" errors_cut: bool,
        }
    }
}

record! {
    /// A file of the guest, 16 MiB at most: `GET …/agent/file-read`.
    pub struct GuestFile {
        required {
            /// Its text.
            "content" content: String,
        }
        optional {
            /// Bytes read.
            "bytes-read" length: u64,
            /// Whether it was cut.
            "truncated" truncated: bool,
        }
    }
}

/// A network interface as the guest sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct GuestInterface {
    /// Name, such as `eth0`.
    pub name: String,
    /// MAC address in upper case; none for interfaces without.
    pub mac: Option<String>,
    /// Addresses with their prefix lengths.
    pub addresses: Vec<(IpAddr, u8)>,
}

impl GuestInterface {
    /// An interface with a name, a MAC address and addresses with their prefix lengths.
    pub fn new(name: &str, mac: Option<&str>, addresses: Vec<(IpAddr, u8)>) -> Self {
        Self {
            name: name.to_owned(),
            mac: mac.map(str::to_ascii_uppercase),
            addresses,
        }
    }

    /// From an entry of the agent's list, or of a container's: servers before 9 tell the latter's addresses in
    /// `inet` and `inet6` only.
    pub(crate) fn from_json(entry: &Value) -> Self {
        let address = |ip: &str, prefix: u64| {
            let ip = ip.split('%').next()?.parse().ok()?;
            Some((ip, u8::try_from(prefix).ok()?))
        };
        let listed = entry["ip-addresses"].as_array();
        let addresses = match listed {
            Some(listed) => listed
                .iter()
                .filter_map(|one| address(one["ip-address"].as_str()?, one["prefix"].as_u64()?))
                .collect(),
            None => ["inet", "inet6"]
                .iter()
                .filter_map(|kind| entry[kind].as_str()?.split_once('/'))
                .filter_map(|(ip, prefix)| address(ip, prefix.parse().ok()?))
                .collect(),
        };
        let mac = entry["hardware-address"]
            .as_str()
            .or_else(|| entry["hwaddr"].as_str());
        Self::new(entry["name"].as_str().unwrap_or_default(), mac, addresses)
    }
}

/// A command to be run in the guest: await it to run it and wait for its end.
///
/// ```
/// # #[cfg(feature = "simulator")]
/// # #[tokio::main(flavor = "current_thread", start_paused = true)] async fn main() -> Result<(), proxmox_client::Error> {
/// use proxmox_client::{IpRule, QemuConfig};
/// # let node = proxmox_client::simulator::Simulator::lab().connect().node("pve1");
/// # let config = QemuConfig::new().with("agent", "1").with("net0", "virtio,bridge=vmbr0");
/// # let config = config.with("ipconfig0", "ip=192.0.2.31/24");
/// # let vm = node.create_qemu(100, config).await?.qemu;
/// # vm.start().await?;
/// # vm.wait_for_ip(IpRule::ipv4()).await?;
/// let done = vm.agent().exec(["/bin/echo", "a b"]).await?;
/// assert_eq!((done.exit_code, done.output.as_deref()), (Some(0), Some("a b\n")));
/// let process = vm.agent().exec(["/bin/sleep", "600"]).submit().await?;
/// assert!(!process.status().await?.exited);
/// # Ok(()) }
/// # #[cfg(not(feature = "simulator"))] fn main() {}
/// ```
#[derive(Debug)]
#[must_use = "nothing is sent until the command is awaited or submitted"]
pub struct Exec {
    agent: Agent,
    command: Vec<String>,
    input: Option<String>,
    poll: Duration,
    deadline: Option<Duration>,
}

/// A command that runs in the guest.
#[derive(Debug, Clone)]
pub struct GuestProcess {
    agent: Agent,
    pid: u64,
}

impl Qemu {
    /// The agent inside the guest.
    pub fn agent(&self) -> Agent {
        Agent(self.clone())
    }

    /// Waits until the guest has an address that fits a rule, and gives it.
    ///
    /// ```
    /// # #[cfg(feature = "simulator")]
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)] async fn main() -> Result<(), proxmox_client::Error> {
    /// use proxmox_client::{IpRule, QemuConfig};
    /// # let node = proxmox_client::simulator::Simulator::lab().connect().node("pve1");
    /// let config = QemuConfig::new()
    ///     .with("agent", "1")
    ///     .with("net0", "virtio,bridge=vmbr0")
    ///     .with("ipconfig0", "ip=192.0.2.31/24,gw=192.0.2.1");
    /// let vm = node.create_qemu(100, config).await?.qemu;
    /// vm.start().await?;
    /// let address = vm.wait_for_ip(IpRule::ipv4().on_card(0)).await?;
    /// assert_eq!(address.to_string(), "192.0.2.31");
    /// # Ok(()) }
    /// # #[cfg(not(feature = "simulator"))] fn main() {}
    /// ```
    ///
    /// # Errors
    /// [`Kind::Deadline`] with what was seen last; [`Kind::AgentNotConfigured`] at once.
    pub async fn wait_for_ip(&self, rule: IpRule) -> Result<IpAddr> {
        let wanted_mac = match rule.card {
            Some(index) => self.mac_of(index).await?,
            None => None,
        };
        let agent = self.agent();
        let look = || async {
            let _turn = self.client.turn_for_agent(self.node()).await;
            agent.interfaces().await
        };
        wait_for_address(&rule, wanted_mac.as_deref(), look)
            .await
            .map_err(|error| error.doing(self.doing("waiting for an address of")))
    }

    async fn mac_of(&self, index: u8) -> Result<Option<String>> {
        let config = self.config().await?;
        let card = config.net(index).transpose()?;
        match card {
            Some(card) => Ok(card.mac().map(|mac| mac.to_ascii_uppercase())),
            None => Err(
                Error::new(Kind::NotFound, format!("there is no card net{index}"))
                    .doing(self.doing("waiting for an address of")),
            ),
        }
    }
}

/// Asks for a guest's interfaces again and again until one has an address that fits.
pub(crate) async fn wait_for_address<F>(
    rule: &IpRule,
    wanted_mac: Option<&str>,
    mut look: impl FnMut() -> F + Send,
) -> Result<IpAddr>
where
    F: Future<Output = Result<Vec<GuestInterface>>> + Send,
{
    let started = Instant::now();
    tokio::time::sleep(rule.first).await;
    loop {
        let seen = match look().await {
            Ok(interfaces) => match rule.choose(&interfaces, wanted_mac) {
                Some(address) => return Ok(address),
                None => describe(&interfaces),
            },
            Err(error)
                if matches!(error.kind(), Kind::AgentNotRunning | Kind::PowerState)
                    || error.is_retryable() =>
            {
                error.message().to_owned()
            }
            Err(error) => return Err(error),
        };
        if started.elapsed() + rule.poll > rule.deadline {
            let waited = started.elapsed();
            let text = format!("no address after {waited:?}; last seen: {seen}");
            return Err(Error::new(Kind::Deadline, text).with_sent(Sent::Answered));
        }
        tokio::time::sleep(rule.poll).await;
    }
}

fn describe(interfaces: &[GuestInterface]) -> String {
    let texts = interfaces.iter().map(|interface| {
        let addresses: Vec<String> = interface
            .addresses
            .iter()
            .map(|(address, prefix)| format!("{address}/{prefix}"))
            .collect();
        format!("{} {}", interface.name, addresses.join(" "))
    });
    texts.collect::<Vec<_>>().join(", ")
}

/// Which address of a guest is wanted.
///
/// Without further wishes: the first IPv4 address that is neither of the loopback nor link-local, of the guest's
/// first interface that is no bridge of containers. Waits five minutes, asking every two seconds.
///
/// ```
/// use proxmox_client::{GuestInterface, IpRule};
/// let address = |text: &str| (text.parse().unwrap(), 24);
/// let seen = [
///     GuestInterface::new("docker0", None, vec![address("172.17.0.1")]),
///     GuestInterface::new("eth0", None, vec![address("169.254.3.4"), address("192.0.2.7")]),
/// ];
/// let chosen = IpRule::ipv4().choose(&seen, None);
/// assert_eq!(chosen, Some("192.0.2.7".parse().unwrap()));
/// ```
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct IpRule {
    version_6: bool,
    link_local: bool,
    card: Option<u8>,
    interface: Option<String>,
    network: Option<(IpAddr, u8)>,
    first: Duration,
    poll: Duration,
    deadline: Duration,
}

impl IpRule {
    /// An IPv4 address.
    pub fn ipv4() -> Self {
        Self {
            version_6: false,
            link_local: false,
            card: None,
            interface: None,
            network: None,
            first: Duration::ZERO,
            poll: Duration::from_secs(2),
            deadline: Duration::from_secs(300),
        }
    }

    /// An IPv6 address that is not link-local.
    pub fn ipv6() -> Self {
        Self {
            version_6: true,
            ..Self::ipv4()
        }
    }

    /// Link-local addresses count too.
    #[must_use]
    pub fn with_link_local(mut self) -> Self {
        self.link_local = true;
        self
    }

    /// Only of the card `netN`, known by its MAC address.
    #[must_use]
    pub fn on_card(mut self, index: u8) -> Self {
        self.card = Some(index);
        self
    }

    /// Only of the interface that the guest calls so.
    #[must_use]
    pub fn on_interface(mut self, name: &str) -> Self {
        self.interface = Some(name.to_owned());
        self
    }

    /// Only within a network: an address and how many of its first bits count.
    #[must_use]
    pub fn within(mut self, network: IpAddr, prefix: u8) -> Self {
        self.version_6 = network.is_ipv6();
        self.network = Some((network, prefix));
        self
    }

    /// How long to wait.
    #[must_use]
    pub fn with_deadline(mut self, limit: Duration) -> Self {
        self.deadline = limit;
        self
    }

    /// How long to wait before asking for the first time. Default none.
    ///
    /// A guest that has just been started is better left alone for as long as it takes to boot: until its agent
    /// answers, each question takes three seconds and one of the node's workers.
    #[must_use]
    pub fn with_first_look(mut self, after: Duration) -> Self {
        self.first = after;
        self
    }

    /// How often to ask.
    #[must_use]
    pub fn with_poll(mut self, interval: Duration) -> Self {
        self.poll = interval;
        self
    }

    /// The address that fits, of those that a guest tells. `mac` narrows to one card.
    pub fn choose(&self, interfaces: &[GuestInterface], mac: Option<&str>) -> Option<IpAddr> {
        let fits = |interface: &&GuestInterface| match (&self.interface, mac) {
            (Some(name), _) => interface.name == *name,
            (None, Some(mac)) => interface
                .mac
                .as_deref()
                .is_some_and(|have| have.eq_ignore_ascii_case(mac)),
            (None, None) => !is_internal(&interface.name),
        };
        let addresses = interfaces
            .iter()
            .filter(fits)
            .flat_map(|interface| &interface.addresses);
        let mut good = addresses
            .map(|(address, _)| *address)
            .filter(|address| self.fits(*address));
        good.next()
    }

    /// The card that the address must be on.
    pub(crate) fn card(&self) -> Option<u8> {
        self.card
    }

    fn fits(&self, address: IpAddr) -> bool {
        let link_local = match address {
            IpAddr::V4(v4) => v4.is_link_local(),
            IpAddr::V6(v6) => v6.is_unicast_link_local(),
        };
        address.is_ipv6() == self.version_6
            && !address.is_loopback()
            && !address.is_unspecified()
            && (self.link_local || !link_local)
            && self
                .network
                .is_none_or(|(network, prefix)| is_within(address, network, prefix))
    }
}

/// Interfaces that container runtimes and network plugins make inside a guest.
fn is_internal(name: &str) -> bool {
    let stems = [
        "lo",
        "docker",
        "br-",
        "veth",
        "cni",
        "flannel",
        "cali",
        "cilium",
        "lxc",
        "kube",
        "virbr",
        "tun",
        "wg",
        "dummy",
        "nodelocaldns",
    ];
    stems.iter().any(|stem| name.starts_with(stem))
}

fn is_within(address: IpAddr, network: IpAddr, prefix: u8) -> bool {
    let bits = |address: IpAddr| match address {
        IpAddr::V4(v4) => (u128::from(u32::from(v4)) << 96, 32),
        IpAddr::V6(v6) => (u128::from(v6), 128),
    };
    let ((have, width), (wanted, other)) = (bits(address), bits(network));
    let shift = 128 - u32::from(prefix.min(width));
    width == other && have.checked_shr(shift) == wanted.checked_shr(shift)
}

impl Agent {
    fn client(&self) -> &Client {
        &self.0.client
    }

    fn request(&self, method: Method, command: &str) -> Result<Request> {
        self.0.request(method, &format!("/agent/{command}"))
    }

    fn doing(&self, what: &str) -> String {
        self.0.doing(what)
    }

    /// Whether the agent answers now.
    ///
    /// Example: see [`Agent`].
    ///
    /// # Errors
    /// [`Kind::AgentNotRunning`] (may come up yet), [`Kind::AgentNotConfigured`] (never will).
    pub async fn ping(&self) -> Result<()> {
        self.0.agent_ping().await
    }

    /// The guest's network interfaces.
    ///
    /// Example: see [`Agent`].
    pub async fn interfaces(&self) -> Result<Vec<GuestInterface>> {
        let answer: Value = self
            .client()
            .fetch(self.request(Method::Get, "network-get-interfaces")?)
            .await
            .map_err(|error| error.doing(self.doing("reading the interfaces of")))?;
        let list = answer["result"].as_array().ok_or_else(|| {
            Error::new(Kind::Decode, "the agent gave no list of interfaces")
                .with_sent(Sent::Answered)
                .doing(self.doing("reading the interfaces of"))
        })?;
        Ok(list.iter().map(GuestInterface::from_json).collect())
    }

    /// Runs a command: program and arguments, each as they are, without a shell.
    ///
    /// Example: see [`Exec`].
    pub fn exec<S: Into<String>>(&self, command: impl IntoIterator<Item = S>) -> Exec {
        Exec {
            agent: self.clone(),
            command: command.into_iter().map(Into::into).collect(),
            input: None,
            poll: Duration::from_millis(500),
            deadline: Some(Duration::from_secs(300)),
        }
    }

    /// Reads a file of the guest, as text; 16 MiB at most.
    ///
    /// Example: see [`Agent`].
    ///
    /// # Errors
    /// [`Kind::NotFound`] if there is no such file, [`Kind::AgentFailed`] if it may not be read.
    pub async fn read_file(&self, path: &str) -> Result<GuestFile> {
        let request = self.request(Method::Get, "file-read")?.with("file", path);
        self.client()
            .fetch(request)
            .await
            .map_err(|error| error.doing(self.doing("reading a file of")))
    }

    /// Writes a file of the guest, replacing what is there; any bytes, 60 KiB at most.
    ///
    /// Example: see [`Agent`].
    ///
    /// # Errors
    /// [`Kind::InvalidInput`] for more bytes, [`Kind::AgentFailed`] if it may not be written.
    pub async fn write_file(&self, path: &str, bytes: impl AsRef<[u8]>) -> Result<()> {
        let encoded = base64::engine::general_purpose::STANDARD.encode(bytes.as_ref());
        if encoded.len() > WRITE_LIMIT {
            return Err(Error::invalid(format!(
                "a file written through the agent has {WRITE_LIMIT} bytes at most once it is encoded as base64, \
                 this one {}",
                encoded.len()
            ))
            .doing(self.doing("writing a file of")));
        }
        let request = self
            .request(Method::Post, "file-write")?
            .with("file", path)
            .with("content", encoded)
            .with_flag("encode", false);
        self.client()
            .request(request)
            .await
            .map_err(|error| error.doing(self.doing("writing a file of")))?;
        Ok(())
    }
}

impl Exec {
    /// What the command reads from its standard input, 64 KiB at most.
    pub fn with_input(mut self, text: &str) -> Self {
        self.input = Some(text.to_owned());
        self
    }

    /// How often its end is asked for. Default 500 ms.
    pub fn with_poll(mut self, interval: Duration) -> Self {
        self.poll = interval;
        self
    }

    /// How long to wait for its end; the command itself goes on. Default five minutes.
    pub fn with_deadline(mut self, limit: Option<Duration>) -> Self {
        self.deadline = limit;
        self
    }

    /// Starts the command without waiting for its end.
    ///
    /// Example: see [`Exec`].
    ///
    /// # Errors
    /// The agent's refusal; a program that does not exist ends the call without an answer.
    pub async fn submit(&self) -> Result<GuestProcess> {
        if self.command.is_empty() {
            return Err(Error::invalid("a command has at least a program"));
        }
        let mut request = self.agent.request(Method::Post, "exec")?;
        for word in &self.command {
            request.params_mut().push("command", word);
        }
        if let Some(input) = &self.input {
            request.params_mut().push("input-data", input);
        }
        let answer: Value = self
            .agent
            .client()
            .fetch(request)
            .await
            .map_err(|error| error.doing(self.agent.doing("running a command in")))?;
        let pid = answer["pid"].as_u64().ok_or_else(|| {
            Error::new(Kind::Decode, "the agent gave no process id")
                .with_sent(Sent::Answered)
                .doing(self.agent.doing("running a command in"))
        })?;
        Ok(GuestProcess {
            agent: self.agent.clone(),
            pid,
        })
    }
}

impl GuestProcess {
    /// Its process id in the guest.
    pub fn pid(&self) -> u64 {
        self.pid
    }

    /// What it did so far. The agent forgets a process once it told its end.
    ///
    /// Example: see [`Exec`].
    pub async fn status(&self) -> Result<ExecStatus> {
        let request = self
            .agent
            .request(Method::Get, "exec-status")?
            .with("pid", self.pid.to_string());
        self.agent
            .client()
            .fetch(request)
            .await
            .map_err(|error| error.doing(self.agent.doing("asking for a command in")))
    }
}

impl IntoFuture for Exec {
    type Output = Result<ExecStatus>;
    type IntoFuture = Pin<Box<dyn Future<Output = Result<ExecStatus>> + Send>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(async move {
            let process = self.submit().await?;
            let started = Instant::now();
            loop {
                let status = process.status().await?;
                if status.exited {
                    return Ok(status);
                }
                let late = |limit| started.elapsed() + self.poll > limit;
                if self.deadline.is_some_and(late) {
                    return Err(Error::new(
                        Kind::Deadline,
                        format!(
                            "process {} still runs after {:?}",
                            process.pid,
                            started.elapsed()
                        ),
                    )
                    .with_sent(Sent::Answered)
                    .doing(self.agent.doing("running a command in")));
                }
                tokio::time::sleep(self.poll).await;
            }
        })
    }
}
