//! Secrets of time-based codes.

use std::fmt;

use secrecy::zeroize::Zeroizing;
use secrecy::{ExposeSecret, SecretString};

use crate::error::{Error, Result};
use crate::secret::secret;
use crate::{random, wire};

const DIGITS: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";

/// The secret that an authenticator and the server share: SHA-1, six digits, steps of 30 s, as every authenticator knows them.
#[derive(Clone)]
pub struct TotpSecret {
    account: String,
    issuer: Option<String>,
    /// In base32, without padding.
    key: SecretString,
}

impl fmt::Debug for TotpSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TotpSecret")
            .field("account", &self.account)
            .field("issuer", &self.issuer)
            .finish_non_exhaustive()
    }
}

impl TotpSecret {
    /// A new one of 160 bits, for an account such as `alice@pve`.
    ///
    /// # Errors
    /// [`Kind::Internal`](crate::Kind::Internal) if the operating system gives no random numbers.
    pub fn generate(account: &str) -> Result<Self> {
        let key = Zeroizing::new(random::secret::<20>()?);
        Ok(Self::of(account, &key[..]))
    }

    /// One that is there already, in base32; blanks and padding are skipped.
    ///
    /// # Errors
    /// [`Kind::InvalidInput`](crate::Kind::InvalidInput) for a text that is no base32, or empty.
    pub fn from_base32(account: &str, key: impl Into<SecretString>) -> Result<Self> {
        let bytes = read(key.into().expose_secret()).filter(|bytes| !bytes.is_empty());
        let bytes = bytes.ok_or_else(|| Error::invalid("the secret is no base32"))?;
        Ok(Self::of(account, &bytes))
    }

    fn of(account: &str, key: &[u8]) -> Self {
        Self {
            account: account.to_owned(),
            issuer: None,
            key: SecretString::from(write(key)),
        }
    }

    /// Who the account is with, as authenticators show it.
    #[must_use]
    pub fn with_issuer(mut self, issuer: &str) -> Self {
        self.issuer = Some(issuer.to_owned());
        self
    }

    /// The secret in base32, to be typed in.
    pub fn base32(&self) -> &SecretString {
        &self.key
    }

    /// The address that authenticators read from a QR code: `otpauth://totp/…`.
    pub fn uri(&self) -> SecretString {
        let account = wire::escape(&self.account);
        let issuer = self.issuer.as_deref().map(wire::escape);
        let before = issuer.as_ref().map(|issuer| format!("{issuer}:"));
        let after = issuer.as_ref().map(|issuer| format!("&issuer={issuer}"));
        secret(&[
            "otpauth://totp/",
            before.as_deref().unwrap_or_default(),
            &account,
            "?secret=",
            self.key.expose_secret(),
            "&digits=6&algorithm=SHA1&period=30",
            after.as_deref().unwrap_or_default(),
        ])
    }

    /// The code of a moment, six digits; it is good for the half minute around it, and once.
    #[cfg(feature = "totp")]
    pub fn code_at(&self, moment: std::time::SystemTime) -> String {
        let key = read(self.key.expose_secret()).unwrap_or_default();
        let since = moment.duration_since(std::time::UNIX_EPOCH);
        let step = since.unwrap_or_default().as_secs() / 30;
        format!("{:06}", code(&key, step) % 1_000_000)
    }
}

/// The number of a step: RFC 4226.
#[cfg(feature = "totp")]
fn code(key: &[u8], step: u64) -> u32 {
    use hmac::{Hmac, Mac};

    // Any key has a length that HMAC takes.
    let Ok(mut mac) = Hmac::<sha1::Sha1>::new_from_slice(key) else {
        return 0;
    };
    mac.update(&step.to_be_bytes());
    let sum: [u8; 20] = mac.finalize().into_bytes().into();
    let at = usize::from(sum[19] & 15);
    let number = sum[at..at + 4]
        .iter()
        .fold(0u32, |number, byte| number << 8 | u32::from(*byte));
    number & 0x7fff_ffff
}

/// RFC 4648, without padding.
fn write(bytes: &[u8]) -> String {
    let mut out = String::with_capacity((bytes.len() * 8).div_ceil(5));
    let (mut rest, mut bits) = (0u32, 0);
    for byte in bytes {
        rest = (rest & 0x1f) << 8 | u32::from(*byte);
        bits += 8;
        while bits >= 5 {
            bits -= 5;
            out.push(char::from(DIGITS[(rest >> bits & 31) as usize]));
        }
    }
    if bits > 0 {
        out.push(char::from(DIGITS[(rest << (5 - bits) & 31) as usize]));
    }
    out
}

fn read(text: &str) -> Option<Zeroizing<Vec<u8>>> {
    let mut out = Zeroizing::new(Vec::with_capacity(text.len() * 5 / 8 + 1));
    let (mut rest, mut bits) = (0u32, 0);
    let digits = text.bytes().filter(|byte| !b" =".contains(byte));
    for digit in digits {
        let upper = digit.to_ascii_uppercase();
        let value = DIGITS.iter().position(|known| *known == upper)?;
        rest = (rest & 0xff) << 5 | u32::try_from(value).ok()?;
        bits += 5;
        if bits >= 8 {
            bits -= 8;
            out.push(u8::try_from(rest >> bits & 0xff).ok()?);
        }
    }
    Some(out)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn secret(key: &str) -> Result<TotpSecret> {
        TotpSecret::from_base32("alice@pve", key)
    }

    #[test]
    fn the_examples_of_the_standards_come_out() {
        // RFC 4648, section 10.
        for (bytes, text) in [
            ("", ""),
            ("f", "MY"),
            ("fo", "MZXQ"),
            ("foo", "MZXW6"),
            ("foob", "MZXW6YQ"),
            ("fooba", "MZXW6YTB"),
            ("foobar", "MZXW6YTBOI"),
        ] {
            assert_eq!(write(bytes.as_bytes()), text);
            assert_eq!(read(text).unwrap().as_slice(), bytes.as_bytes());
        }
        assert_eq!(read("mzxw 6ytb oi======").unwrap().as_slice(), b"foobar");
    }

    #[cfg(feature = "totp")]
    #[test]
    fn codes_are_those_of_the_standard() {
        use std::time::{Duration, UNIX_EPOCH};
        // RFC 6238, appendix B, the last six of eight digits.
        let secret = secret("GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ").unwrap();
        for (second, code) in [
            (59, "287082"),
            (1_111_111_109, "081804"),
            (20_000_000_000, "353130"),
        ] {
            let moment = UNIX_EPOCH + Duration::from_secs(second);
            assert_eq!(secret.code_at(moment), code);
        }
    }

    #[test]
    fn the_address_names_account_issuer_and_secret() {
        let secret = secret("MZXW6YTB").unwrap().with_issuer("home lab");
        assert_eq!(
            secret.uri().expose_secret(),
            "otpauth://totp/home%20lab:alice%40pve?secret=MZXW6YTB&digits=6&algorithm=SHA1&period=30&issuer=home%20lab"
        );
        assert_eq!(secret.base32().expose_secret(), "MZXW6YTB");
    }

    #[test]
    fn secrets_differ_and_debug_shows_none() {
        let (one, two) = (
            TotpSecret::generate("a@pve").unwrap(),
            TotpSecret::generate("a@pve").unwrap(),
        );
        assert_eq!(one.base32().expose_secret().len(), 32);
        assert_ne!(one.base32().expose_secret(), two.base32().expose_secret());
        assert!(!format!("{one:?}").contains(one.base32().expose_secret()));
        assert!(secret("no base32!").is_err());
        assert!(secret(" ").is_err());
    }

    proptest! {
        #[test]
        fn base32_comes_back(bytes in prop::collection::vec(any::<u8>(), 0..40)) {
            prop_assert_eq!(read(&write(&bytes)).unwrap().to_vec(), bytes);
        }

        #[test]
        fn any_text_is_read_without_panicking(text in ".{0,80}") {
            let _ = secret(&text);
        }
    }
}
