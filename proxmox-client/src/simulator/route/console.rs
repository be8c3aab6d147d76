//! Calls for consoles.

use serde_json::{Map, json};

use super::not_simulated;
use crate::simulator::answer::{Outcome, Reply};
use crate::simulator::console::{Screen, SimConsole, State};
use crate::simulator::guest::Species;
use crate::simulator::http::Call;
use crate::simulator::operation::Caller;
use crate::simulator::task::seconds;
use crate::simulator::world::World;

impl World {
    /// Calls below a node that end with a word about consoles.
    pub(super) fn console(
        &mut self,
        method: &str,
        node: &str,
        rest: &[&str],
        call: &Call,
        caller: &Caller,
    ) -> Outcome {
        let (guest, what) = match rest {
            [what] => (None, *what),
            [branch, vmid, what] => (Some((*branch, *vmid)), *what),
            _ => return Err(not_simulated(call)),
        };
        let mut path = format!("/nodes/{node}");
        let mut species = None;
        if let Some((branch, vmid)) = guest {
            let kind = match branch {
                "lxc" => Species::Container,
                _ => Species::Machine,
            };
            self.guest_of(kind, vmid.parse().unwrap_or_default(), node)?;
            path = format!("/vms/{vmid}");
            species = Some(kind);
        }
        let id = guest.map_or("", |(_, vmid)| vmid);
        match (method, what) {
            ("GET", "vncwebsocket") => {
                let text = |name: &str| call.text(name).unwrap_or_default();
                if !self.is_console_ticket(&caller.full(), &path, &text("vncticket")) {
                    return Err(Reply::refusal(
                        401,
                        "permission denied - invalid PVEVNC ticket",
                    ));
                }
                Ok(Reply::data(json!({ "port": text("port") })))
            }
            ("POST", "vncproxy" | "vncshell") => {
                let (answer, password) = (Screen::Vnc, species == Some(Species::Machine));
                let password = password.then(|| format!("{:08x}", self.draw() as u32));
                Ok(self.open_console(node, &path, id, answer, password, caller))
            }
            ("POST", "termproxy") => {
                let serial = || {
                    let guest = self.guest_or(id.parse().unwrap_or_default(), node).ok()?;
                    let has = (0..4).any(|number| guest.text(&format!("serial{number}")).is_some());
                    Some(guest.is_on() && has)
                };
                if species == Some(Species::Machine) && serial() != Some(true) {
                    let port = self.free_console_port();
                    return Err(Reply::failed(format!(
                        "Timeout while waiting for port '{port}' to get ready!"
                    )));
                }
                Ok(self.open_console(node, &path, id, Screen::Terminal, None, caller))
            }
            ("POST", "spiceproxy") if species == Some(Species::Machine) => {
                let guest = self.guest_or(id.parse().unwrap_or_default(), node)?;
                match guest.text("vga") {
                    Some(vga) if vga.contains("qxl") => Err(not_simulated(call)),
                    _ => Err(Reply::failed("no spice port")),
                }
            }
            _ => Err(not_simulated(call)),
        }
    }

    fn open_console(
        &mut self,
        node: &str,
        path: &str,
        id: &str,
        screen: Screen,
        password: Option<String>,
        caller: &Caller,
    ) -> Reply {
        let kind = if id.is_empty() {
            "vncshell"
        } else {
            "vncproxy"
        };
        let task = self.record_task(node, kind, id, caller);
        let upid = self.tasks[task].upid.clone();
        let mut ticket = format!("PVEVNC:{:08X}::{:016x}", seconds(self.now), self.draw());
        if let Some(password) = &password {
            ticket = format!("{password}:{ticket}");
        }
        let user = caller.full();
        let port = self.add_console(SimConsole {
            path: path.to_owned(),
            user: user.clone(),
            ticket: ticket.clone(),
            screen,
            upid: upid.clone(),
            opened: self.now,
            state: State::Waiting,
        });
        let mut answer = Map::new();
        let mut put = |key: &str, value: String| answer.insert(key.to_owned(), value.into());
        put("port", port.to_string());
        put("user", user);
        put("upid", upid);
        put("ticket", ticket);
        if let Some(password) = password {
            put("password", password);
        }
        Reply::data(answer)
    }
}
