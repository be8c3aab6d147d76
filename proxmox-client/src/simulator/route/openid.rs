//! Logins through a modelled OpenID Connect provider.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::shared::require;
use crate::simulator::answer::{Outcome, Reply};
use crate::simulator::http::Call;
use crate::simulator::world::World;
use crate::wire::escape;

/// Realms of type `openid`, with what their providers know.
#[derive(Serialize, Deserialize, Debug, Clone, Default)]
pub(in super::super) struct Providers {
    /// Users by the code that the provider hands back, for each realm.
    realms: BTreeMap<String, BTreeMap<String, String>>,
    /// Logins that were begun: realm and address to come back to.
    states: BTreeMap<String, (String, String)>,
}

impl Providers {
    pub(in super::super) fn add(&mut self, realm: &str, code: &str, user: &str) {
        let realm = self.realms.entry(realm.to_owned()).or_default();
        realm.insert(code.to_owned(), user.to_owned());
    }

    pub(super) fn realms(&self) -> impl Iterator<Item = &str> {
        self.realms.keys().map(String::as_str)
    }
}

impl World {
    pub(super) fn openid(&mut self, what: &str, call: &Call) -> Outcome {
        match what {
            "auth-url" => self.openid_url(call),
            _ => self.openid_login(call),
        }
    }

    fn openid_url(&mut self, call: &Call) -> Outcome {
        require(call, &["realm", "redirect-url"])?;
        let realm = call.text("realm").unwrap_or_default();
        if !self.providers.realms.contains_key(&realm) {
            return Err(Reply::failed(match realm.as_str() {
                "pam" | "pve" => format!("wrong realm type ({realm} != openid)"),
                _ => format!("authentication domain '{realm}' does not exist"),
            }));
        }
        let back = call.text("redirect-url").unwrap_or_default();
        let state = format!("{:016x}", self.draw());
        let url = format!(
            "https://{realm}.provider.invalid/authorize?response_type=code&client_id=proxmox&state={state}&redirect_uri={}&scope=openid+email+profile",
            escape(&back)
        );
        self.providers.states.insert(state, (realm, back));
        Ok(Reply::data(url))
    }

    fn openid_login(&mut self, call: &Call) -> Outcome {
        require(call, &["code", "redirect-url", "state"])?;
        let text = |name: &str| call.text(name).unwrap_or_default();
        let begun = self.providers.states.remove(&text("state"));
        let user = begun.and_then(|(realm, back)| {
            let user = self.providers.realms.get(&realm)?.get(&text("code"))?;
            (back == text("redirect-url")).then(|| format!("{user}@{realm}"))
        });
        let user = user.ok_or_else(|| Reply::refusal(401, "authentication failure"))?;
        self.users.entry(user.clone()).or_default();
        let (ticket, csrf) = self.fresh_ticket(&user);
        Ok(self.login_answer(&user, &ticket, &csrf))
    }
}
