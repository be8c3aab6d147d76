//! Second factors of users: listed, set up, changed, removed, unlocked.

use serde_json::{Map, Value, json};

use super::not_simulated;
use crate::simulator::answer::{Outcome, Reply};
use crate::simulator::factor::key_of_uri;
use crate::simulator::http::Call;
use crate::simulator::operation::Caller;
use crate::simulator::rights::denied;
use crate::simulator::world::World;

impl World {
    pub(super) fn read_tfa(&self, rest: &[&str], call: &Call) -> Outcome {
        let of_user = |user: &str| {
            let known = self.users.get(user);
            known.map(|known| known.factors.list()).unwrap_or_default()
        };
        match rest {
            [] => {
                let users = self.users.iter();
                let users = users.filter(|(_, user)| !user.factors.is_empty());
                let all = users.map(|(id, user)| {
                    let mut entry = user.factors.locks(self.now);
                    entry.insert("userid".to_owned(), id.as_str().into());
                    entry.insert("entries".to_owned(), user.factors.list().into());
                    Value::Object(entry)
                });
                Ok(Reply::data(all.collect::<Value>()))
            }
            [user] => Ok(Reply::data(of_user(user))),
            [user, id] => {
                let mut all = of_user(user).into_iter();
                match all.find(|entry| entry["id"] == *id) {
                    Some(entry) => Ok(Reply::data(entry)),
                    None => Err(Reply::refusal(404, format!("No such tfa entry '{id}'"))),
                }
            }
            _ => Err(not_simulated(call)),
        }
    }

    pub(super) fn write_tfa(
        &mut self,
        method: &str,
        rest: &[&str],
        call: &Call,
        caller: &Caller,
    ) -> Outcome {
        let [user, ..] = rest else {
            return Err(not_simulated(call));
        };
        self.refuse_unproven(caller, user, call, "password")?;
        match (method, rest) {
            ("POST", [user]) => self.add_factor(user, call),
            ("PUT", [user, id]) => {
                let enable = call.text("enable").map(|flag| flag == "1");
                let factors = self.users.get_mut(*user).map(|user| &mut user.factors);
                let name = call.text("description");
                let there = factors.is_some_and(|factors| factors.change(id, name, enable));
                found(there)
            }
            ("DELETE", [user, id]) => {
                let factors = self.users.get_mut(*user).map(|user| &mut user.factors);
                found(factors.is_some_and(|factors| factors.remove(id)))
            }
            _ => Err(not_simulated(call)),
        }
    }

    /// Whoever changes passwords and factors proves again who it is: `PVE::RPCEnvironment::
    /// reauth_user_for_user_modification`. Only root changes root.
    pub(super) fn refuse_unproven(
        &self,
        caller: &Caller,
        user: &str,
        call: &Call,
        parameter: &str,
    ) -> Result<(), Reply> {
        if !self.users.contains_key(user) {
            return Err(Reply::failed(format!("no such user ('{user}')")));
        }
        if caller.user == "root@pam" {
            return Ok(());
        }
        if user == "root@pam" {
            return Err(denied(""));
        }
        let Some(own) = call.text(parameter) else {
            let why = "password is required to modify user";
            return Err(Reply::parameter(parameter, why));
        };
        let known = self.users.get(&caller.user);
        match known.is_some_and(|known| known.password.as_ref() == Some(&own)) {
            true => Ok(()),
            false if caller.user.ends_with("@pve") => Err(Reply::failed("invalid credentials")),
            false => Err(Reply::failed("authentication failure")),
        }
    }

    fn add_factor(&mut self, user: &str, call: &Call) -> Outcome {
        let kind = call.text("type").unwrap_or_default();
        let (totp, value) = (call.text("totp"), call.text("value"));
        let challenge = call.text("challenge");
        let description = || {
            let missing = "'description' is required for new entries";
            call.text("description")
                .ok_or_else(|| Reply::failed(missing))
        };
        let only = |name: &str, given: bool| match given {
            true => {
                let why = format!("'{name}' parameter is invalid for '{kind}' entries");
                Err(Reply::failed(why))
            }
            false => Ok(()),
        };
        match kind.as_str() {
            "totp" => {
                only("challenge", challenge.is_some())?;
                let description = description()?;
                let (Some(uri), Some(code)) = (totp, value) else {
                    return Err(Reply::failed(
                        "'totp' type requires both 'totp' and 'value' parameters",
                    ));
                };
                let key = key_of_uri(&uri, &code, self.now).map_err(|why| match why {
                    why if why.starts_with("not simulated") => Reply::refusal(501, why),
                    why => Reply::failed(why),
                })?;
                let label = self.label(&description);
                let id = label.id.clone();
                self.factors_of(user)?.add_totp(label, &key);
                Ok(Reply::data(json!({ "id": id })))
            }
            "recovery" => {
                if totp.or(value).or(challenge).is_some() {
                    return Err(Reply::failed(
                        "generating recovery tokens does not allow additional parameters",
                    ));
                }
                if self.factors_of(user)?.has_recovery() {
                    return Err(Reply::failed("user already has recovery keys"));
                }
                let codes: Vec<String> = (0..10).map(|_| self.draw_recovery_code()).collect();
                let now = self.now;
                self.factors_of(user)?.set_recovery(codes.clone(), now);
                Ok(Reply::data(json!({ "id": "recovery", "recovery": codes })))
            }
            "webauthn" => {
                only("totp", totp.is_some())?;
                match challenge {
                    None => {
                        let description = description()?;
                        self.begin_security_key(user, &description)
                    }
                    Some(challenge) => self.finish_security_key(user, &challenge, value),
                }
            }
            _ => Err(not_simulated(call)),
        }
    }

    fn factors_of(&mut self, user: &str) -> Result<&mut crate::simulator::factor::Factors, Reply> {
        let known = self.users.get_mut(user).map(|user| &mut user.factors);
        known.ok_or_else(|| Reply::failed(format!("no such user ('{user}')")))
    }

    fn draw_recovery_code(&mut self) -> String {
        let digits = format!("{:016x}", self.draw());
        let parts: Vec<&str> = (0..4).map(|part| &digits[part * 4..part * 4 + 4]).collect();
        parts.join("-")
    }

    fn begin_security_key(&mut self, user: &str, description: &str) -> Outcome {
        if !self.options.contains_key("webauthn") {
            return Err(Reply::failed("no webauthn configuration available"));
        }
        let (challenge, now) = (
            format!("{:016x}{:016x}", self.draw(), self.draw()),
            self.now,
        );
        let factors = self.factors_of(user)?;
        factors.begin_key(&challenge, description, now);
        let known: Vec<Value> = factors
            .key_ids()
            .map(|id| json!({ "type": "public-key", "id": id }))
            .collect();
        let options = json!({ "publicKey": {
            "challenge": challenge, "user": { "id": user, "name": user, "displayName": user },
            "rp": { "name": "Proxmox VE" }, "excludeCredentials": known, "timeout": 60000,
            "pubKeyCredParams": [{ "type": "public-key", "alg": -7 }],
        }});
        Ok(Reply::data(json!({ "challenge": options.to_string() })))
    }

    /// What a security key says is not verified, only that it has an id and answers the challenge.
    fn finish_security_key(
        &mut self,
        user: &str,
        challenge: &str,
        value: Option<String>,
    ) -> Outcome {
        let value = value.ok_or_else(|| {
            Reply::failed("missing 'value' parameter (webauthn challenge response missing)")
        })?;
        let response: Map<String, Value> = serde_json::from_str(&value)
            .map_err(|why| Reply::failed(format!("error parsing challenge response: {why}")))?;
        let now = self.now;
        let description = self.factors_of(user)?.finish_key(challenge, now);
        let description = description.ok_or_else(|| Reply::failed("no such challenge"))?;
        let Some(key) = response.get("id").and_then(Value::as_str) else {
            return Err(Reply::failed(
                "error parsing challenge response: missing field `id`",
            ));
        };
        let label = self.label(&description);
        let id = label.id.clone();
        self.factors_of(user)?.add_key(label, key);
        Ok(Reply::data(json!({ "id": id })))
    }

    /// Ends the locks of a user's factors.
    pub(super) fn unlock_factors(&mut self, user: &str) -> Outcome {
        let now = self.now;
        let was_locked = self.factors_of(user)?.unlock(now);
        // Perl's false is an empty text.
        Ok(Reply::data(match was_locked {
            true => Value::from(1),
            false => Value::from(""),
        }))
    }
}

fn found(there: bool) -> Outcome {
    match there {
        true => Ok(Reply::data(())),
        false => Err(Reply::failed("no such entry")),
    }
}
