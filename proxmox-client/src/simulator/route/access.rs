//! Who asks: tokens, tickets, logins.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::json;

use super::shared::require;
use crate::simulator::answer::Reply;
use crate::simulator::http::Call;
use crate::simulator::operation::Caller;
use crate::simulator::task::seconds;
use crate::simulator::world::World;

/// Tickets live two hours.
const TICKET_LIFE: Duration = Duration::from_secs(7200);

impl World {
    pub(super) fn realms() -> Reply {
        Reply::data(json!([
            { "realm": "pam", "type": "pam", "comment": "Linux PAM standard authentication" },
            { "realm": "pve", "type": "pve", "comment": "Proxmox VE authentication server" },
        ]))
    }

    pub(super) fn authenticate(
        &self,
        method: &str,
        headers: &BTreeMap<String, String>,
    ) -> Result<Caller, Reply> {
        let header = |name: &str| headers.get(name).map(String::as_str);
        let ticket = header("cookie")
            .into_iter()
            .flat_map(|cookies| cookies.split(';'))
            .find_map(|cookie| cookie.trim().strip_prefix("PVEAuthCookie="))
            .or_else(|| header("authorization")?.strip_prefix("PVEAuthCookie="));
        if let Some(ticket) = ticket {
            let ticket = ticket.replace("%3A", ":").replace("%40", "@");
            let (user, since) = self.tickets.get(&ticket).ok_or_else(failed)?;
            if self.now.duration_since(*since).unwrap_or_default() > TICKET_LIFE {
                return Err(failed());
            }
            if method != "GET" && header("csrfpreventiontoken") != Some(csrf(&ticket).as_str()) {
                return Err(Reply::bare(401, "Permission denied - invalid csrf token"));
            }
            return Ok(Caller {
                user: user.clone(),
                token: None,
            });
        }
        let Some(token) =
            header("authorization").and_then(|value| value.strip_prefix("PVEAPIToken"))
        else {
            return Err(Reply::bare(401, "No ticket"));
        };
        let token = token.trim_start_matches(['=', ' ']);
        let (id, secret) = token.split_once('=').ok_or_else(failed)?;
        let (user, name) = id.split_once('!').ok_or_else(failed)?;
        match self.users.get(user).and_then(|user| user.tokens.get(name)) {
            Some(known) if known == secret => Ok(Caller {
                user: user.to_owned(),
                token: Some(name.to_owned()),
            }),
            _ => Err(failed()),
        }
    }

    /// A ticket without a login, and what protects it.
    pub(in super::super) fn fresh_ticket(&mut self, user: &str) -> (String, String) {
        let ticket = format!("PVE:{user}:{:08X}::{:016x}", seconds(self.now), self.draw());
        self.tickets
            .insert(ticket.clone(), (user.to_owned(), self.now));
        let csrf = csrf(&ticket);
        (ticket, csrf)
    }

    pub(super) fn log_in(&mut self, call: &Call) -> Result<Reply, Reply> {
        require(call, &["username", "password"])?;
        let (Some(mut user), Some(password)) = (call.text("username"), call.text("password"))
        else {
            return Err(Reply::refusal(401, "authentication failure"));
        };
        if let Some(realm) = call.text("realm").filter(|_| !user.contains('@')) {
            user = format!("{user}@{realm}");
        }
        let by_password = self
            .users
            .get(&user)
            .and_then(|user| user.password.as_ref())
            == Some(&password);
        let by_ticket = self.tickets.get(&password).is_some_and(|(of, since)| {
            *of == user && self.now.duration_since(*since).unwrap_or_default() <= TICKET_LIFE
        });
        if !by_password && !by_ticket {
            return Err(Reply::refusal(401, "authentication failure"));
        }
        let (ticket, csrf) = self.fresh_ticket(&user);
        Ok(Reply::data(json!({
            "ticket": ticket,
            "CSRFPreventionToken": csrf,
            "username": user,
            "cap": { "vms": { "VM.Audit": 1 }, "nodes": { "Sys.Audit": 1 } },
        })))
    }
}

fn csrf(ticket: &str) -> String {
    let sum = ticket.bytes().fold(0xcbf2_9ce4_8422_2325u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    format!("{:08X}:{sum:016x}", sum >> 32)
}

fn failed() -> Reply {
    Reply::bare(401, "Authentication failed!")
}
