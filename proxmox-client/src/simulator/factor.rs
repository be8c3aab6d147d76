//! Second factors of modelled users.

use std::collections::BTreeMap;
use std::time::{SystemTime, UNIX_EPOCH};

use hmac::{Hmac, Mac};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use sha1::Sha1;

/// What a user has beside the password.
#[derive(Serialize, Deserialize, Debug, Clone, Default, PartialEq)]
pub(super) struct Factors {
    /// Keys of time-based codes, in base32.
    totp: Vec<String>,
    /// Recovery codes that were not used yet, by number.
    recovery: BTreeMap<u64, String>,
    /// Ids of security keys.
    keys: Vec<String>,
}

impl Factors {
    pub(super) fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    pub(super) fn add_totp(&mut self, key: &str) {
        self.totp.push(key.to_owned());
    }

    pub(super) fn set_recovery<'a>(&mut self, codes: impl IntoIterator<Item = &'a str>) {
        let codes = codes.into_iter().map(str::to_owned);
        self.recovery = (0..).zip(codes).collect();
    }

    pub(super) fn add_key(&mut self, id: &str) {
        self.keys.push(id.to_owned());
    }

    /// What a partial ticket tells. `nonce` is what a security key shall sign.
    pub(super) fn challenge(&self, nonce: &str) -> Value {
        let mut asked = Map::new();
        if !self.totp.is_empty() {
            asked.insert("totp".to_owned(), true.into());
        }
        if !self.recovery.is_empty() {
            let numbers: Vec<u64> = self.recovery.keys().copied().collect();
            asked.insert("recovery".to_owned(), numbers.into());
        }
        if !self.keys.is_empty() {
            let known = self
                .keys
                .iter()
                .map(|id| json!({ "type": "public-key", "id": id }));
            let key = json!({ "challenge": nonce, "allowCredentials": known.collect::<Vec<_>>() });
            asked.insert("webauthn".to_owned(), json!({ "publicKey": key }));
        }
        Value::Object(asked)
    }

    /// Whether an answer is right. A recovery code is used up by it; what a security key signed is not verified, only
    /// that it is one of the user's and answers this challenge.
    pub(super) fn accept(&mut self, answer: &str, nonce: &str, now: SystemTime) -> bool {
        match answer.split_once(':') {
            Some(("totp", code)) => self.totp.iter().any(|key| is_code(key, code, now)),
            Some(("recovery", code)) => {
                let found = self.recovery.iter().find(|(_, known)| *known == code);
                let number = found.map(|(number, _)| *number);
                number.is_some_and(|number| self.recovery.remove(&number).is_some())
            }
            Some(("webauthn", response)) => {
                let Ok(response) = serde_json::from_str::<Value>(response) else {
                    return false;
                };
                let text = |name: &str| response[name].as_str().unwrap_or_default().to_owned();
                let signed = response["response"]["signature"].as_str();
                self.keys.contains(&text("id"))
                    && text("challenge") == nonce
                    && signed.is_some_and(|signature| !signature.is_empty())
            }
            _ => false,
        }
    }
}

/// RFC 6238 with SHA-1, six digits and steps of 30 s; the steps before and after count too.
fn is_code(key: &str, code: &str, now: SystemTime) -> bool {
    let Some(key) = base32(key) else {
        return false;
    };
    let step = now.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs() / 30;
    (step.saturating_sub(1)..=step + 1).any(|step| code_of(&key, step).as_deref() == Some(code))
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

    #[test]
    fn a_code_is_good_for_the_steps_around_it() {
        let mut factors = Factors::default();
        factors.add_totp("GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ");
        let mut at =
            |second| factors.accept("totp:287082", "", UNIX_EPOCH + Duration::from_secs(second));
        assert_eq!(
            [0, 59, 89, 90, 119].map(&mut at),
            [true, true, true, false, false]
        );
    }
}
