//! The agent inside a guest: addresses, commands, files.

use std::time::{Duration, SystemTime};

use base64::Engine as _;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::not_simulated;
use super::shared::require;
use crate::simulator::answer::{Outcome, Reply};
use crate::simulator::http::Call;
use crate::simulator::lease::Card;
use crate::simulator::operation::is_drive;
use crate::simulator::task::seconds;
use crate::simulator::world::World;

/// What a command does in modelled guests.
///
/// ```
/// # #[tokio::main(flavor = "current_thread", start_paused = true)] async fn main() -> Result<(), proxmox_client::Error> {
/// use std::time::Duration;
/// use proxmox_client::simulator::{GuestCommand, Simulator, World};
/// use proxmox_client::{IpRule, QemuConfig};
/// let fails = GuestCommand::new("").with_failure(3, "inactive\n").with_time(Duration::from_secs(2));
/// let config = QemuConfig::new().with("agent", "1").with("net0", "virtio=BC:24:11:00:00:01,bridge=vmbr0");
/// let world = World::lab()
///     .with_guest_command("/bin/systemctl is-active nginx", fails)
///     .with_guest("pve1", 100, &config.with("ipconfig0", "ip=192.0.2.31/24"));
/// let vm = Simulator::new(world).connect().node("pve1").qemu(100);
/// vm.start().await?;
/// vm.wait_for_ip(IpRule::ipv4()).await?;
/// let done = vm.agent().exec(["/bin/systemctl", "is-active", "nginx"]).await?;
/// assert_eq!((done.exit_code, done.errors.as_deref()), (Some(3), Some("inactive\n")));
/// # Ok(()) }
/// ```
#[derive(Serialize, Deserialize, Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct GuestCommand {
    /// Exit code.
    pub exit_code: i32,
    /// Standard output.
    pub output: String,
    /// Standard error.
    pub errors: String,
    /// How long it runs.
    pub takes: Duration,
}

impl GuestCommand {
    /// One that ends at once with success and this output.
    pub fn new(output: &str) -> Self {
        Self {
            output: output.to_owned(),
            ..Self::default()
        }
    }

    /// Its exit code and standard error.
    #[must_use]
    pub fn with_failure(mut self, exit_code: i32, errors: &str) -> Self {
        self.exit_code = exit_code;
        self.errors = errors.to_owned();
        self
    }

    /// How long it runs.
    #[must_use]
    pub fn with_time(mut self, takes: Duration) -> Self {
        self.takes = takes;
        self
    }
}

/// A command that was started in a guest.
#[derive(Serialize, Deserialize, Debug, Clone)]
pub(in super::super) struct Process {
    pid: u64,
    ends: SystemTime,
    does: GuestCommand,
}

impl World {
    pub(super) fn agent_call(
        &mut self,
        method: &str,
        node: &str,
        vmid: u32,
        command: &str,
        call: &Call,
    ) -> Outcome {
        match (method, command) {
            ("POST", "exec") => require(call, &["command"])?,
            ("POST", "file-write") => require(call, &["file", "content"])?,
            ("GET", "file-read") => require(call, &["file"])?,
            ("GET", "exec-status") => require(call, &["pid"])?,
            (
                "POST",
                "ping" | "fsfreeze-freeze" | "fsfreeze-status" | "fsfreeze-thaw" | "shutdown",
            )
            | (
                "GET",
                "network-get-interfaces"
                | "get-host-name"
                | "get-time"
                | "get-timezone"
                | "get-users"
                | "get-vcpus",
            ) => {}
            _ => return Err(not_simulated(call)),
        }
        self.agent(node, vmid)?;
        let now = self.now;
        if command == "network-get-interfaces" {
            let cards = interfaces(&self.cards(vmid));
            return Ok(Reply::data(json!({ "result": cards })));
        }
        let known = self.guest_commands.clone();
        let guest = self.guest_mut(vmid)?;
        match command {
            "ping" => Ok(Reply::data(json!({ "result": {} }))),
            "get-host-name" => {
                let name = guest.name().unwrap_or("localhost");
                Ok(Reply::data(json!({ "result": { "host-name": name } })))
            }
            // Guests keep the time of the world.
            "get-time" => Ok(Reply::data(
                json!({ "result": seconds(now) * 1_000_000_000 }),
            )),
            "get-timezone" => Ok(Reply::data(
                json!({ "result": { "offset": 0, "zone": "UTC" } }),
            )),
            // Nobody logs in there.
            "get-users" => Ok(Reply::data(json!({ "result": [] }))),
            "get-vcpus" => {
                let one =
                    |id: u64| json!({ "logical-id": id, "online": true, "can-offline": id > 0 });
                let all: Value = (0..guest.processors()).map(one).collect();
                Ok(Reply::data(json!({ "result": all })))
            }
            "fsfreeze-status" => {
                let status = if guest.frozen { "frozen" } else { "thawed" };
                Ok(Reply::data(json!({ "result": status })))
            }
            "fsfreeze-freeze" | "fsfreeze-thaw" => {
                let frozen = command == "fsfreeze-freeze";
                // The number of file systems: that of the disks.
                let count = match guest.frozen == frozen {
                    true => 0,
                    false => guest.config.keys().filter(|key| is_drive(key)).count(),
                };
                guest.frozen = frozen;
                Ok(Reply::data(json!({ "result": count })))
            }
            "shutdown" => {
                guest.go_off();
                Ok(Reply::data(()))
            }
            "exec" => {
                let words: Vec<String> = match call.params.get("command") {
                    Some(Value::Array(words)) => {
                        words.iter().map(crate::simulator::guest::text_of).collect()
                    }
                    _ => call.text("command").into_iter().collect(),
                };
                let line = words.join(" ");
                let does = known.get(&line).cloned().or_else(|| built_in(&words));
                // The real daemon drops the connection when the program does not exist.
                let does = does.ok_or_else(|| Reply::bare(596, "Broken pipe"))?;
                let pid = 211 + 2 * guest.processes.len() as u64;
                let ends = now + does.takes;
                guest.processes.push(Process { pid, ends, does });
                Ok(Reply::data(json!({ "pid": pid })))
            }
            "exec-status" => {
                let pid = call.number("pid");
                let process = guest.processes.iter().find(|one| Some(one.pid) == pid);
                let Some(process) = process else {
                    return Err(Reply::failed(format!(
                        "Agent error: Invalid parameter 'pid', PID {} does not exist",
                        pid.unwrap_or_default()
                    )));
                };
                Ok(Reply::data(state_of(process, now)))
            }
            "file-write" => {
                let content = call.text("content").unwrap_or_default();
                let text = match call.text("encode").as_deref() {
                    Some("0") => {
                        let bytes = base64::engine::general_purpose::STANDARD.decode(&content);
                        let bytes =
                            bytes.map_err(|_| Reply::failed("Agent error: invalid base64"))?;
                        String::from_utf8_lossy(&bytes).into_owned()
                    }
                    _ => content,
                };
                guest
                    .files
                    .insert(call.text("file").unwrap_or_default(), text);
                Ok(Reply::data(()))
            }
            _ => {
                let path = call.text("file").unwrap_or_default();
                match guest.files.get(&path) {
                    Some(text) => Ok(Reply::data(
                        json!({ "content": text, "bytes-read": text.len() }),
                    )),
                    None => Err(Reply::failed(format!(
                        "Agent error: failed to open file '{path}' (mode: 'r'): No such file or directory"
                    ))),
                }
            }
        }
    }
}

/// Programs that every modelled guest has.
fn built_in(words: &[String]) -> Option<GuestCommand> {
    let (program, rest) = words.split_first()?;
    match program.rsplit('/').next()? {
        "echo" => Some(GuestCommand::new(&format!("{}\n", rest.join(" ")))),
        "true" => Some(GuestCommand::default()),
        "false" => Some(GuestCommand::default().with_failure(1, "")),
        "sleep" => {
            let seconds = rest.first()?.parse().ok()?;
            Some(GuestCommand::default().with_time(Duration::from_secs(seconds)))
        }
        _ => None,
    }
}

fn state_of(process: &Process, now: SystemTime) -> Map<String, Value> {
    let mut state = Map::new();
    let mut put = |key: &str, value: Value| state.insert(key.to_owned(), value);
    if now < process.ends {
        put("exited", 0.into());
        return state;
    }
    put("exited", 1.into());
    put("exitcode", process.does.exit_code.into());
    for (key, text) in [("out", &process.does.output), ("err", &process.does.errors)] {
        if !text.is_empty() {
            put(&format!("{key}-data"), text.as_str().into());
            put(&format!("{key}-truncated"), 0.into());
        }
    }
    state
}

fn interfaces(cards: &[Card]) -> Value {
    let statistics = || {
        let kinds = ["bytes", "packets", "errs", "dropped"];
        let counts = ["rx", "tx"]
            .iter()
            .flat_map(|way| kinds.map(|kind| format!("{way}-{kind}")));
        counts
            .map(|name| (name, Value::from(0)))
            .collect::<Map<String, Value>>()
    };
    let address = |kind: &str, ip: &str, prefix: u8| json!({ "ip-address-type": kind, "ip-address": ip, "prefix": prefix });
    let mut told = vec![json!({
        "name": "lo", "hardware-address": "00:00:00:00:00:00", "statistics": statistics(),
        "ip-addresses": [address("ipv4", "127.0.0.1", 8), address("ipv6", "::1", 128)],
    })];
    for card in cards {
        let mut addresses = Vec::new();
        for (kind, given) in [("ipv4", &card.ipv4), ("ipv6", &card.ipv6)] {
            addresses.extend(given.iter().map(|(ip, prefix)| address(kind, ip, *prefix)));
        }
        addresses.push(address("ipv6", &link_local(&card.mac), 64));
        told.push(json!({
            "name": format!("eth{}", card.index), "hardware-address": card.mac.to_lowercase(),
            "statistics": statistics(), "ip-addresses": addresses,
        }));
    }
    told.into()
}

/// The address that a card gives itself: the MAC address with its second-lowest bit turned and `ff:fe` inside.
fn link_local(mac: &str) -> String {
    let bytes: Vec<u8> = mac
        .split(':')
        .filter_map(|byte| u8::from_str_radix(byte, 16).ok())
        .collect();
    match bytes.as_slice() {
        [a, b, c, d, e, f] => {
            let pair = |high: u8, low: u8| u16::from(high) << 8 | u16::from(low);
            format!(
                "fe80::{:x}:{:x}:{:x}:{:x}",
                pair(a ^ 2, *b),
                pair(*c, 0xff),
                pair(0xfe, *d),
                pair(*e, *f)
            )
        }
        _ => "fe80::1".to_owned(),
    }
}
