//! Who asks: tokens, tickets, logins.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::json;

use crate::simulator::answer::Reply;
use crate::simulator::http::Call;
use crate::simulator::operation::Caller;
use crate::simulator::task::seconds;
use crate::simulator::world::World;

/// Tickets live two hours.
const TICKET_LIFE: Duration = Duration::from_secs(7200);

impl World {
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
            let old = self.now.duration_since(*since).unwrap_or_default() > TICKET_LIFE;
            if old || !self.may_log_in(user) {
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
        let lasts = |name: &str| {
            let known = self.users.get(user);
            known.is_some_and(|known| known.token_lasts(name, self.now))
        };
        match self.users.get(user).and_then(|user| user.tokens.get(name)) {
            Some(known) if known == secret && self.may_log_in(user) && lasts(name) => Ok(Caller {
                user: user.to_owned(),
                token: Some(name.to_owned()),
            }),
            _ => Err(failed()),
        }
    }

    /// Whether a user is enabled and has not ended; `root@pam` is there even if nobody made it.
    fn may_log_in(&self, user: &str) -> bool {
        match self.users.get(user) {
            Some(known) => known.is_enabled(self.now),
            None => user == "root@pam",
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
        let (Some(mut user), Some(password)) = (call.text("username"), call.text("password"))
        else {
            return Err(Reply::refusal(401, "authentication failure"));
        };
        if let Some(realm) = call.text("realm").filter(|_| !user.contains('@')) {
            user = format!("{user}@{realm}");
        }
        if let Some(challenge) = call.text("tfa-challenge") {
            return self.second_factor(&user, &challenge, &password);
        }
        if !self.may_log_in(&user) {
            return Err(Reply::refusal(401, "authentication failure"));
        }
        let by_ticket = self.tickets.get(&password).is_some_and(|(of, since)| {
            *of == user && self.now.duration_since(*since).unwrap_or_default() <= TICKET_LIFE
        });
        let known = self.users.get(&user);
        let by_password = known.is_some_and(|known| known.password.as_ref() == Some(&password));
        let asks_for_more = known.is_some_and(|known| known.factors.challenge("").is_some());
        match (by_password, asks_for_more) {
            // The one-time password of earlier versions went with the password; it is refused now.
            (true, true) if call.text("otp").is_none() => Ok(self.challenge(&user)),
            (true, false) => Ok(self.complete(&user)),
            (false, _) if by_ticket => Ok(self.complete(&user)),
            _ => Err(Reply::refusal(401, "authentication failure")),
        }
    }

    fn complete(&mut self, user: &str) -> Reply {
        let (ticket, csrf) = self.fresh_ticket(user);
        self.login_answer(user, &ticket, &csrf)
    }

    /// What a login that is complete is answered.
    pub(super) fn login_answer(&self, user: &str, ticket: &str, csrf: &str) -> Reply {
        Reply::data(json!({
            "ticket": ticket,
            "CSRFPreventionToken": csrf,
            "username": user,
            "cap": self.directory().rights_of(user).capabilities(),
        }))
    }

    /// The answer to a right password of a user who has more factors: a ticket that is good for the second step only.
    fn challenge(&mut self, user: &str) -> Reply {
        let nonce = format!("{:016x}", self.draw());
        let asked = self
            .users
            .get(user)
            .and_then(|user| user.factors.challenge(&nonce));
        let asked = asked.unwrap_or_default().to_string().replace(':', "%3A");
        let ticket = format!(
            "PVE:!tfa!{asked}:{:08X}::{:016x}",
            seconds(self.now),
            self.draw()
        );
        let csrf = csrf(&ticket);
        let begun = (user.to_owned(), nonce);
        self.challenges.insert(ticket.clone(), begun);
        Reply::data(json!({
            "NeedTFA": 1, "ticket": ticket, "CSRFPreventionToken": csrf, "username": user,
        }))
    }

    fn second_factor(&mut self, user: &str, challenge: &str, answer: &str) -> Result<Reply, Reply> {
        let now = self.now;
        let begun = self.challenges.get(challenge).filter(|(of, _)| of == user);
        let nonce = begun.map(|(_, nonce)| nonce.clone());
        let known = self.users.get_mut(user).zip(nonce);
        if known.is_some_and(|(known, nonce)| known.factors.accept(answer, &nonce, now)) {
            self.challenges.remove(challenge);
            return Ok(self.complete(user));
        }
        Err(Reply::refusal(401, "authentication failure"))
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
