//! Second factors of modelled users.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use hmac::{Hmac, Mac};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use sha1::Sha1;

use super::task::seconds;

/// So many wrong codes in a row lock time-based codes out, until a recovery code is used or somebody unlocks.
const CODE_FAILURES: u32 = 8;
/// So many wrong answers in a row lock all factors out, for this long.
const ALL_FAILURES: u32 = 100;
const LOCKED_FOR: Duration = Duration::from_secs(12 * 3600);
/// How long a security key may take to register.
const REGISTRATION: Duration = Duration::from_secs(120);

/// What a user has beside the password.
#[derive(Serialize, Deserialize, Debug, Clone, Default, PartialEq)]
#[serde(default)]
pub(super) struct Factors {
    entries: Vec<Entry>,
    recovery: Option<Recovery>,
    /// Challenges of security keys that are being registered: their descriptions, and since when.
    registrations: BTreeMap<String, (String, SystemTime)>,
    wrong_codes: u32,
    wrong_answers: u32,
    codes_locked: bool,
    locked_until: Option<u64>,
}

/// A factor that can be renamed and turned off.
#[derive(Serialize, Deserialize, Debug, Clone, PartialEq)]
struct Entry {
    id: String,
    kind: Kind,
    description: String,
    created: u64,
    enabled: bool,
    /// The key of time-based codes in base32, or the id of a security key.
    secret: String,
    /// The step of the last code that was accepted; none is accepted twice.
    #[serde(default)]
    last_step: u64,
}

#[derive(Serialize, Deserialize, Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    Totp,
    WebAuthn,
}

/// Recovery codes that were not used yet, by number.
#[derive(Serialize, Deserialize, Debug, Clone, PartialEq)]
struct Recovery {
    codes: BTreeMap<u64, String>,
    created: u64,
}

/// What a new factor is called, and when it is made.
pub(super) struct Label<'a> {
    pub(super) id: String,
    pub(super) description: &'a str,
    pub(super) now: SystemTime,
}

impl Factors {
    fn add(&mut self, kind: Kind, label: Label<'_>, secret: &str) {
        self.entries.push(Entry {
            id: label.id,
            kind,
            description: label.description.to_owned(),
            created: seconds(label.now),
            enabled: true,
            secret: secret.to_owned(),
            last_step: 0,
        });
        self.entries.sort_by_key(|entry| entry.kind);
    }

    pub(super) fn add_totp(&mut self, label: Label<'_>, key: &str) {
        self.add(Kind::Totp, label, key);
    }

    pub(super) fn add_key(&mut self, label: Label<'_>, id: &str) {
        self.add(Kind::WebAuthn, label, id);
    }

    /// Whether there are recovery codes, used up or not.
    pub(super) fn has_recovery(&self) -> bool {
        self.recovery.is_some()
    }

    pub(super) fn set_recovery(
        &mut self,
        codes: impl IntoIterator<Item = String>,
        now: SystemTime,
    ) {
        self.recovery = Some(Recovery {
            codes: (0..).zip(codes).collect(),
            created: seconds(now),
        });
    }

    pub(super) fn begin_key(&mut self, challenge: &str, description: &str, now: SystemTime) {
        let begun = (description.to_owned(), now);
        self.registrations.insert(challenge.to_owned(), begun);
    }

    /// The description of a key that is being registered; each challenge is good once.
    pub(super) fn finish_key(&mut self, challenge: &str, now: SystemTime) -> Option<String> {
        let (description, since) = self.registrations.remove(challenge)?;
        let took = now.duration_since(since).unwrap_or_default();
        (took <= REGISTRATION).then_some(description)
    }

    /// Ids of the security keys that are in use.
    pub(super) fn key_ids(&self) -> impl Iterator<Item = &str> {
        self.enabled(Kind::WebAuthn)
            .map(|entry| entry.secret.as_str())
    }

    fn enabled(&self, kind: Kind) -> impl Iterator<Item = &Entry> {
        let entries = self.entries.iter();
        entries.filter(move |entry| entry.kind == kind && entry.enabled)
    }

    /// Whether nothing was ever set up, or everything was removed again.
    pub(super) fn is_empty(&self) -> bool {
        self.entries.is_empty() && self.recovery.is_none()
    }

    /// The factors as they are listed; secrets are not told.
    pub(super) fn list(&self) -> Vec<Value> {
        let recovery = self.recovery.iter();
        let recovery = recovery
            .map(|known| json!({ "id": "recovery", "type": "recovery", "created": known.created }));
        let entries = self.entries.iter().map(|entry| {
            let kind = match entry.kind {
                Kind::Totp => "totp",
                Kind::WebAuthn => "webauthn",
            };
            let mut shown = json!({
                "id": entry.id, "type": kind, "description": entry.description,
                "created": entry.created,
            });
            if !entry.enabled {
                shown["enable"] = 0.into();
            }
            shown
        });
        recovery.chain(entries).collect()
    }

    /// What is said beside the list when something is locked.
    pub(super) fn locks(&self, now: SystemTime) -> Map<String, Value> {
        let mut out = Map::new();
        if self.codes_locked {
            out.insert("totp-locked".to_owned(), 1.into());
        }
        if let Some(until) = self.locked_until.filter(|until| *until > seconds(now)) {
            out.insert("tfa-locked-until".to_owned(), until.into());
        }
        out
    }

    /// Ends all locks; whether there was one.
    pub(super) fn unlock(&mut self, now: SystemTime) -> bool {
        let was_locked = !self.locks(now).is_empty();
        (self.codes_locked, self.locked_until) = (false, None);
        (self.wrong_codes, self.wrong_answers) = (0, 0);
        was_locked
    }

    /// Renames a factor, turns it on or off; false if there is none of that id. Recovery codes have neither.
    pub(super) fn change(&mut self, id: &str, name: Option<String>, on: Option<bool>) -> bool {
        let Some(entry) = self.entries.iter_mut().find(|entry| entry.id == id) else {
            return false;
        };
        if let Some(name) = name {
            entry.description = name;
        }
        if let Some(on) = on {
            entry.enabled = on;
        }
        true
    }

    /// Removes a factor; false if there is none of that id.
    pub(super) fn remove(&mut self, id: &str) -> bool {
        if id == "recovery" {
            return self.recovery.take().is_some();
        }
        let before = self.entries.len();
        self.entries.retain(|entry| entry.id != id);
        self.entries.len() < before
    }

    /// What a partial ticket tells; none if no factor is in use. `nonce` is what a security key shall sign.
    pub(super) fn challenge(&self, nonce: &str) -> Option<Value> {
        let mut asked = Map::new();
        if self.enabled(Kind::Totp).next().is_some() {
            asked.insert("totp".to_owned(), true.into());
        }
        if let Some(recovery) = &self.recovery {
            let numbers: Vec<u64> = recovery.codes.keys().copied().collect();
            asked.insert("recovery".to_owned(), numbers.into());
        }
        let keys: Vec<Value> = self
            .key_ids()
            .map(|id| json!({ "type": "public-key", "id": id }))
            .collect();
        if !keys.is_empty() {
            let key = json!({ "challenge": nonce, "allowCredentials": keys });
            asked.insert("webauthn".to_owned(), json!({ "publicKey": key }));
        }
        (!asked.is_empty()).then_some(Value::Object(asked))
    }

    /// Whether an answer is right. A recovery code is used up by it, a time-based one too; what a security key signed is
    /// not verified, only that it is one of the user's and answers this challenge.
    pub(super) fn accept(&mut self, answer: &str, nonce: &str, now: SystemTime) -> bool {
        let (kind, answer) = answer.split_once(':').unwrap_or_default();
        let locked = self.locks(now);
        let out = locked.contains_key("tfa-locked-until")
            || kind == "totp" && locked.contains_key("totp-locked");
        if out {
            return false;
        }
        let right = match kind {
            "totp" => self.accept_code(answer, now),
            "recovery" => self.accept_recovery(answer),
            "webauthn" => self.accept_key(answer, nonce),
            _ => false,
        };
        if right {
            self.wrong_answers = 0;
            if kind == "totp" {
                self.wrong_codes = 0;
            }
            return true;
        }
        self.wrong_answers += 1;
        if kind == "totp" {
            self.wrong_codes += 1;
            self.codes_locked = self.wrong_codes >= CODE_FAILURES;
        }
        if self.wrong_answers >= ALL_FAILURES {
            self.locked_until = Some(seconds(now + LOCKED_FOR));
        }
        false
    }

    fn accept_code(&mut self, code: &str, now: SystemTime) -> bool {
        let used = self
            .entries
            .iter_mut()
            .filter(|entry| entry.kind == Kind::Totp && entry.enabled)
            .find_map(|entry| {
                let step = step_of(&entry.secret, code, now)?;
                Some((step > entry.last_step).then(|| entry.last_step = step))
            });
        used.flatten().is_some()
    }

    fn accept_recovery(&mut self, code: &str) -> bool {
        let Some(recovery) = &mut self.recovery else {
            return false;
        };
        let found = recovery.codes.iter().find(|(_, known)| *known == code);
        let number = found.map(|(number, _)| *number);
        let used = number.is_some_and(|number| recovery.codes.remove(&number).is_some());
        if used {
            (self.codes_locked, self.wrong_codes) = (false, 0);
        }
        used
    }

    fn accept_key(&self, response: &str, nonce: &str) -> bool {
        let Ok(response) = serde_json::from_str::<Value>(response) else {
            return false;
        };
        let text = |name: &str| response[name].as_str().unwrap_or_default();
        let signed = response["response"]["signature"].as_str();
        self.key_ids().any(|id| id == text("id"))
            && text("challenge") == nonce
            && signed.is_some_and(|signature| !signature.is_empty())
    }
}

/// The key of an `otpauth` address, if `code` is one of its codes at this moment; else why not.
pub(super) fn key_of_uri(uri: &str, code: &str, now: SystemTime) -> Result<String, String> {
    let rest = uri
        .strip_prefix("otpauth://totp/")
        .ok_or("not an otpauth uri")?;
    let (_, query) = rest.split_once('?').ok_or("missing '?' in otp uri")?;
    let mut key = String::new();
    for part in query.split('&') {
        let (name, value) = part.split_once('=').ok_or("bad value in otpauth uri")?;
        match (name, value) {
            ("secret", value) => value.clone_into(&mut key),
            ("issuer", _) | ("algorithm", "SHA1") | ("digits", "6") | ("period", "30") => {}
            ("algorithm" | "digits" | "period", _) => {
                return Err(format!("not simulated: {name}={value} in an otpauth uri"));
            }
            (name, _) => return Err(format!("unrecognized otpauth uri parameter: {name}")),
        }
    }
    if key.is_empty() {
        return Err("missing secret in otpauth url".to_owned());
    }
    if base32(&key).is_none() {
        return Err("failed to decode otp secret in otpauth url".to_owned());
    }
    match step_of(&key, code, now) {
        Some(_) => Ok(key),
        None => Err("failed to verify TOTP challenge".to_owned()),
    }
}

/// The step that a code belongs to: RFC 6238 with SHA-1, six digits and steps of 30 s; the steps before and after count
/// too.
fn step_of(key: &str, code: &str, now: SystemTime) -> Option<u64> {
    let key = base32(key)?;
    let step = now.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs() / 30;
    (step.saturating_sub(1)..=step + 1).find(|step| code_of(&key, *step).as_deref() == Some(code))
}

fn code_of(key: &[u8], step: u64) -> Option<String> {
    let mut mac = Hmac::<Sha1>::new_from_slice(key).ok()?;
    mac.update(&step.to_be_bytes());
    let digest = mac.finalize().into_bytes();
    let at = usize::from(digest.last()? & 0x0f);
    let four: [u8; 4] = digest.get(at..at + 4)?.try_into().ok()?;
    let number = (u32::from_be_bytes(four) & 0x7fff_ffff) % 1_000_000;
    Some(format!("{number:06}"))
}

fn base32(text: &str) -> Option<Vec<u8>> {
    let (mut out, mut bits, mut have) = (Vec::new(), 0u32, 0);
    for digit in text.trim_end_matches('=').bytes() {
        let value = match digit.to_ascii_uppercase() {
            letter @ b'A'..=b'Z' => letter - b'A',
            number @ b'2'..=b'7' => number - b'2' + 26,
            _ => return None,
        };
        bits = (bits << 5 | u32::from(value)) & 0xfff;
        have += 5;
        if have >= 8 {
            have -= 8;
            out.push((bits >> have) as u8);
        }
    }
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn codes_are_those_of_the_standard() {
        // RFC 6238, appendix B, the last six of eight digits.
        let key = base32("GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ").unwrap();
        assert_eq!(key, b"12345678901234567890");
        for (second, code) in [
            (59, "287082"),
            (1_111_111_109, "081804"),
            (20_000_000_000, "353130"),
        ] {
            assert_eq!(code_of(&key, second / 30).as_deref(), Some(code));
        }
    }

    fn label(id: &str) -> Label<'_> {
        Label {
            id: id.to_owned(),
            description: "phone",
            now: UNIX_EPOCH,
        }
    }

    const KEY: &str = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ";

    #[test]
    fn a_code_is_good_for_the_steps_around_it() {
        let at = |second| {
            let mut factors = Factors::default();
            factors.add_totp(label("a"), KEY);
            factors.accept("totp:287082", "", UNIX_EPOCH + Duration::from_secs(second))
        };
        assert_eq!(
            [0, 59, 89, 90, 119].map(at),
            [true, true, true, false, false]
        );
    }

    #[test]
    fn a_code_is_good_once_and_eight_wrong_ones_lock_codes_out() {
        let now = UNIX_EPOCH + Duration::from_secs(59);
        let mut factors = Factors::default();
        factors.add_totp(label("a"), KEY);
        factors.set_recovery(["spare".to_owned()], now);
        assert!(factors.accept("totp:287082", "", now));
        assert!(!factors.accept("totp:287082", "", now));
        for _ in 0..6 {
            assert!(!factors.accept("totp:000000", "", now));
        }
        assert!(factors.locks(now).is_empty());
        assert!(!factors.accept("totp:000000", "", now));
        assert!(factors.locks(now).contains_key("totp-locked"));
        let later = now + Duration::from_secs(60);
        let code = code_of(&base32(KEY).unwrap(), 3).unwrap();
        assert!(!factors.accept(&format!("totp:{code}"), "", later));
        assert!(factors.accept("recovery:spare", "", later));
        assert!(factors.accept(&format!("totp:{code}"), "", later));
        assert!(!factors.unlock(later));
    }

    #[test]
    fn addresses_of_codes_are_read_as_the_server_reads_them() {
        let now = UNIX_EPOCH + Duration::from_secs(59);
        let read = |query: &str| key_of_uri(&format!("otpauth://totp/a?{query}"), "287082", now);
        assert_eq!(read(&format!("secret={KEY}&issuer=x")), Ok(KEY.to_owned()));
        let table = [
            ("issuer=x", "missing secret in otpauth url"),
            ("secret=1", "failed to decode otp secret in otpauth url"),
            ("secret=GEZDGNBV", "failed to verify TOTP challenge"),
            ("color=red", "unrecognized otpauth uri parameter: color"),
        ];
        for (query, why) in table {
            assert_eq!(read(query), Err(why.to_owned()), "{query}");
        }
        assert!(key_of_uri("https://a", "287082", now).is_err());
    }
}
