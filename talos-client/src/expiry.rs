//! When certificates end: of a bundle, of the contexts of a talosconfig, of a machine configuration.

use std::fmt;
use std::time::{Duration, SystemTime};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::certificate;
use crate::config::MachineConfig;
use crate::error::Problem;
use crate::secrets::{Ca, SecretsBundle};
use crate::talosconfig::TalosConfig;
use crate::value::Value;

/// How a certificate stands at the report's time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum ExpiryVerdict {
    /// Its time is over.
    Expired,
    /// Its time has not begun: a clock is wrong, or it was made for later.
    NotYetValid,
    /// It ends within the report's horizon.
    ExpiresSoon,
    /// It holds longer than the horizon.
    Valid,
}

/// One certificate and when it ends.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct CertificateExpiry {
    /// Where it stands: `secrets certs.os.crt`, `talosconfig contexts.homelab.crt`, `v1alpha1 machine.ca.crt`.
    pub place: String,
    /// The subject, `O=talos`; empty where the certificate has none, as that of the aggregator CA.
    pub subject: String,
    /// It signs others.
    pub is_authority: bool,
    /// From when it holds.
    pub not_before: SystemTime,
    /// Until when it holds.
    pub not_after: SystemTime,
    /// From the report's time to the end; zero when that is over.
    pub remaining: Duration,
    /// What follows from it.
    pub verdict: ExpiryVerdict,
}

impl fmt::Display for CertificateExpiry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let days = self.remaining.as_secs() / (24 * 3600);
        let said = match self.verdict {
            ExpiryVerdict::Expired => "expired".to_owned(),
            ExpiryVerdict::NotYetValid => "not valid yet".to_owned(),
            ExpiryVerdict::ExpiresSoon => format!("expires soon, in {days} days"),
            ExpiryVerdict::Valid => format!("valid for {days} days"),
        };
        write!(f, "{}: {said}", self.place)?;
        if self.subject.is_empty() {
            Ok(())
        } else {
            write!(f, " ({})", self.subject)
        }
    }
}

/// Every certificate of what was added, and when it ends. Nothing here reads the clock or a file.
///
/// ```
/// use std::time::{Duration, SystemTime};
/// use talos_client::{ExpiryReport, ExpiryVerdict, SecretsBundle};
///
/// # #[cfg(feature = "simulator")] {
/// let secrets = SecretsBundle::fixed_for_tests();
/// let month = Duration::from_secs(30 * 24 * 3600);
/// let report = ExpiryReport::new(SystemTime::now(), month).bundle(&secrets);
/// assert_eq!(report.certificates().len(), 4);
/// assert_eq!(report.worst(), Some(ExpiryVerdict::Valid));
/// # }
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct ExpiryReport {
    now: SystemTime,
    horizon: Duration,
    certificates: Vec<CertificateExpiry>,
    unreadable: Vec<Problem>,
}

impl ExpiryReport {
    /// An empty report as of `now`; certificates that end within `horizon` count as expiring soon.
    pub fn new(now: SystemTime, horizon: Duration) -> Self {
        Self {
            now,
            horizon,
            certificates: Vec::new(),
            unreadable: Vec::new(),
        }
    }

    /// Adds the authorities of a bundle.
    #[must_use]
    pub fn bundle(mut self, secrets: &SecretsBundle) -> Self {
        for ca in Ca::ALL {
            let place = format!("secrets certs.{}.crt", ca.key());
            match secrets.ca_certificate(ca) {
                Ok(pem) => self.add(&place, &pem),
                Err(error) => self.unreadable(&place, error.message()),
            }
        }
        self
    }

    /// Adds the client certificates of all contexts, and the authorities that the contexts trust.
    #[must_use]
    pub fn talosconfig(mut self, config: &TalosConfig) -> Self {
        for name in config.context_names() {
            let Ok(context) = config.context(Some(name)) else {
                continue;
            };
            for key in ["crt", "ca"] {
                let place = format!("talosconfig contexts.{name}.{key}");
                match context.pem(key) {
                    Ok(Some(pem)) => self.add(&place, &pem),
                    Ok(None) => {}
                    Err(error) => self.unreadable(&place, error.message()),
                }
            }
        }
        self
    }

    /// Adds every certificate of a machine configuration, in whichever document it stands.
    #[must_use]
    pub fn config(mut self, config: &MachineConfig) -> Self {
        for document in &config.documents {
            for (key, value) in &document.values.0 {
                self.value(&format!("{} {key}", document.title()), value);
            }
        }
        self
    }

    /// What was found, in the order in which it was added.
    pub fn certificates(&self) -> &[CertificateExpiry] {
        &self.certificates
    }

    /// Certificates that cannot be read, by place.
    pub fn problems(&self) -> &[Problem] {
        &self.unreadable
    }

    /// The certificates that need attention: all that are not [`Valid`](ExpiryVerdict::Valid), the first to end first.
    pub fn due(&self) -> Vec<&CertificateExpiry> {
        let due = |found: &&CertificateExpiry| found.verdict != ExpiryVerdict::Valid;
        let mut all: Vec<_> = self.certificates.iter().filter(due).collect();
        all.sort_by_key(|found| found.not_after);
        all
    }

    /// The worst verdict; `None` for a report without certificates.
    pub fn worst(&self) -> Option<ExpiryVerdict> {
        self.certificates.iter().map(|found| found.verdict).min()
    }

    fn value(&mut self, place: &str, value: &Value) {
        match value {
            Value::Text(text) => {
                if let Some(pem) = certificate_text(text) {
                    self.add(place, &pem);
                }
            }
            Value::List(items) => {
                for (index, item) in items.iter().enumerate() {
                    self.value(&format!("{place}[{index}]"), item);
                }
            }
            Value::Map(map) => {
                for (key, item) in &map.0 {
                    self.value(&format!("{place}.{key}"), item);
                }
            }
            _ => {}
        }
    }

    fn add(&mut self, place: &str, pem: &str) {
        let found = certificate::all(pem);
        if found.is_empty() {
            self.unreadable(place, "no certificate stands here");
        }
        let several = found.len() > 1;
        for (index, certificate) in found.into_iter().enumerate() {
            let place = if several {
                format!("{place} #{}", index + 1)
            } else {
                place.to_owned()
            };
            let Some(certificate) = certificate else {
                self.unreadable(&place, "the certificate cannot be read");
                continue;
            };
            self.certificates.push(CertificateExpiry {
                place,
                remaining: remaining(certificate.not_after, self.now),
                verdict: verdict(
                    (certificate.not_before, certificate.not_after),
                    self.now,
                    self.horizon,
                ),
                subject: certificate.subject,
                is_authority: certificate.is_authority,
                not_before: certificate.not_before,
                not_after: certificate.not_after,
            });
        }
    }

    fn unreadable(&mut self, place: &str, message: &str) {
        self.unreadable.push(Problem::new(place, message));
    }
}

fn remaining(not_after: SystemTime, now: SystemTime) -> Duration {
    not_after.duration_since(now).unwrap_or_default()
}

/// Both ends belong to a certificate's time.
fn verdict(
    (not_before, not_after): (SystemTime, SystemTime),
    now: SystemTime,
    horizon: Duration,
) -> ExpiryVerdict {
    if now > not_after {
        ExpiryVerdict::Expired
    } else if now < not_before {
        ExpiryVerdict::NotYetValid
    } else if remaining(not_after, now) < horizon {
        ExpiryVerdict::ExpiresSoon
    } else {
        ExpiryVerdict::Valid
    }
}

/// PEM of certificates, as text or below base64. Texts that only quote a certificate somewhere, such as manifests, are not.
fn certificate_text(text: &str) -> Option<String> {
    const BEGIN: &str = "-----BEGIN ";
    const CERTIFICATE: &str = "-----BEGIN CERTIFICATE-----";
    if text.trim_start().starts_with(BEGIN) {
        return text.contains(CERTIFICATE).then(|| text.to_owned());
    }
    // What base64 of `-----BEGIN ` begins with.
    if !text.starts_with("LS0tLS1CRUdJTi") {
        return None;
    }
    let pem = zeroize::Zeroizing::new(STANDARD.decode(text.trim()).ok()?);
    let pem = std::str::from_utf8(&pem).ok()?;
    pem.contains(CERTIFICATE).then(|| pem.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn verdicts_follow_from_times_and_horizon() {
        let at = |seconds: u64| SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
        let table = [
            (99, 0, ExpiryVerdict::NotYetValid),
            (100, 0, ExpiryVerdict::Valid),
            (150, 50, ExpiryVerdict::Valid),
            (151, 50, ExpiryVerdict::ExpiresSoon),
            (200, 1, ExpiryVerdict::ExpiresSoon),
            (200, 0, ExpiryVerdict::Valid),
            (201, 0, ExpiryVerdict::Expired),
        ];
        for (now, horizon, expected) in table {
            let horizon = Duration::from_secs(horizon);
            assert_eq!(
                verdict((at(100), at(200)), at(now), horizon),
                expected,
                "{now}"
            );
        }
        assert_eq!(remaining(at(200), at(150)), Duration::from_secs(50));
        assert_eq!(remaining(at(200), at(250)), Duration::ZERO);
    }

    #[test]
    fn certificates_are_told_from_texts_that_quote_one() {
        let pem = "-----BEGIN CERTIFICATE-----\nAA==\n-----END CERTIFICATE-----\n";
        assert_eq!(certificate_text(pem).as_deref(), Some(pem));
        assert_eq!(
            certificate_text(&STANDARD.encode(pem)).as_deref(),
            Some(pem)
        );
        assert_eq!(certificate_text(&format!("data: |\n  {pem}")), None);
        assert_eq!(certificate_text("-----BEGIN PRIVATE KEY-----\n"), None);
        assert_eq!(certificate_text("LS0tLS1CRUdJTi!"), None);
    }
}
