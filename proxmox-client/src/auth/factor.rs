//! The second factor of a login: what the server asks for, and how it is answered.

use std::fmt;

use secrecy::{ExposeSecret, SecretString};
use serde_json::{Map, Value};

use crate::secret::secret;
use crate::wire;

/// What a server asks for after the password, as the partial ticket of a login's first step tells it.
#[derive(Debug, Clone, PartialEq)]
pub struct Challenge {
    user: String,
    asked: Map<String, Value>,
}

impl Challenge {
    /// Reads it from a ticket `PVE:!tfa!…:…`; none if the ticket is not of that form.
    pub(super) fn of_ticket(user: &str, ticket: &str) -> Option<Self> {
        let (challenge, _) = ticket.strip_prefix("PVE:!tfa!")?.split_once(':')?;
        let asked = serde_json::from_str(&wire::unescape(challenge)).ok()?;
        Some(Self {
            user: user.to_owned(),
            asked,
        })
    }

    /// Who logs in, with realm.
    pub fn user(&self) -> &str {
        &self.user
    }

    /// Whether a time-based code of six digits is accepted.
    pub fn accepts_totp(&self) -> bool {
        self.asked.get("totp") == Some(&Value::Bool(true))
    }

    /// Whether a one-time password of a Yubico device is accepted.
    pub fn accepts_yubico(&self) -> bool {
        self.asked.get("yubico") == Some(&Value::Bool(true))
    }

    /// The numbers of the recovery codes that were not used yet.
    pub fn recovery_codes_left(&self) -> Vec<u64> {
        let codes = self.asked.get("recovery").and_then(Value::as_array);
        codes
            .into_iter()
            .flatten()
            .filter_map(Value::as_u64)
            .collect()
    }

    /// What a security key is to sign by WebAuthn, as JSON: the argument of the browser's
    /// `navigator.credentials.get`, binary members in base64url.
    pub fn webauthn(&self) -> Option<String> {
        self.asked.get("webauthn").map(Value::to_string)
    }

    /// What a security key is to sign by U2F, which servers before 7 registered, as JSON.
    pub fn u2f(&self) -> Option<String> {
        self.asked.get("u2f").map(Value::to_string)
    }
}

/// The answer to a [`Challenge`].
#[derive(Clone)]
pub struct FactorAnswer(SecretString);

impl FactorAnswer {
    fn of(kind: &str, answer: &SecretString) -> Self {
        Self(secret(&[kind, ":", answer.expose_secret()]))
    }

    /// A time-based code of six digits.
    pub fn totp(code: impl Into<SecretString>) -> Self {
        Self::of("totp", &code.into())
    }

    /// A recovery code; each works once.
    pub fn recovery(code: impl Into<SecretString>) -> Self {
        Self::of("recovery", &code.into())
    }

    /// A one-time password of a Yubico device.
    pub fn yubico(password: impl Into<SecretString>) -> Self {
        Self::of("yubico", &password.into())
    }

    /// What a security key signed, as JSON: `{"id", "type", "challenge", "rawId", "response": {"authenticatorData",
    /// "clientDataJSON", "signature"}}`, where `challenge` is that of [`Challenge::webauthn`] and binary members are
    /// base64url without padding, as Proxmox VE's own login page sends it.
    pub fn webauthn(response: impl Into<SecretString>) -> Self {
        Self::of("webauthn", &response.into())
    }

    /// What a security key signed by U2F, as JSON.
    pub fn u2f(response: impl Into<SecretString>) -> Self {
        Self::of("u2f", &response.into())
    }

    pub(super) fn expose(&self) -> &str {
        self.0.expose_secret()
    }
}

impl fmt::Debug for FactorAnswer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FactorAnswer").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_challenge_tells_what_is_accepted() {
        let ticket = "PVE:!tfa!{\"totp\"%3Atrue,\"recovery\"%3A[0,2,9]}:6B003997::c2ln";
        let challenge = Challenge::of_ticket("tfa@pve", ticket).unwrap();
        assert!(challenge.accepts_totp());
        assert!(!challenge.accepts_yubico());
        assert_eq!(challenge.recovery_codes_left(), [0, 2, 9]);
        assert_eq!((challenge.webauthn(), challenge.u2f()), (None, None));
    }

    #[test]
    fn what_a_key_shall_sign_is_handed_on_as_it_came() {
        let asked = r#"{"webauthn":{"publicKey":{"challenge":"YWJj","timeout":60000}}}"#;
        let ticket = format!("PVE:!tfa!{}:6B003997::c2ln", wire::escape(asked));
        let challenge = Challenge::of_ticket("tfa@pve", &ticket).unwrap();
        let told = r#"{"publicKey":{"challenge":"YWJj","timeout":60000}}"#;
        assert_eq!(challenge.webauthn().as_deref(), Some(told));
    }

    proptest::proptest! {
        #[test]
        fn any_ticket_is_read_without_panicking(text in "(PVE:!tfa!)?(\\{|%7B)?\\PC{0,40}:?\\PC{0,10}") {
            if let Some(challenge) = Challenge::of_ticket("a@pve", &text) {
                let _ = (challenge.recovery_codes_left(), challenge.webauthn(), challenge.u2f());
            }
        }
    }

    #[test]
    fn other_tickets_are_no_challenge() {
        for ticket in [
            "PVE:root@pam:6B0036C4::c2ln",
            "PVE:!tfa!{",
            "PVE:!tfa!no json:1::x",
            "",
        ] {
            assert_eq!(Challenge::of_ticket("root@pam", ticket), None, "{ticket}");
        }
    }
}
