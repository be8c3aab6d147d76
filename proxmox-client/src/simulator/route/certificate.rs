//! Certificates that a node shows: the cluster's, and one's own in its place.

use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::not_simulated;
use crate::simulator::answer::{Outcome, Reply};
use crate::simulator::calendar::Moment;
use crate::simulator::http::Call;
use crate::simulator::task::seconds;
use crate::simulator::world::World;
use crate::simulator::x509;

/// A certificate of one's own, with those that signed it behind it, and its key.
#[derive(Serialize, Deserialize, Clone, PartialEq, Eq)]
pub(in super::super) struct Custom {
    chain: String,
    key: String,
}

impl std::fmt::Debug for Custom {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Custom").finish_non_exhaustive()
    }
}

const DAY: u64 = 86_400;

/// Text before the first certificate or key is dropped.
fn without_lead(text: &str) -> &str {
    text.find("-----BEGIN ").map_or(text, |at| &text[at..])
}

fn unusable(why: &str) -> Reply {
    Reply::failed(format!("Setting certificate files failed - {why}"))
}

/// Whether a key is that of a chain's first certificate.
fn assert_match(chain: &str, key: &str) -> Result<(), Reply> {
    let certificates: Result<Vec<_>, _> =
        CertificateDer::pem_slice_iter(chain.as_bytes()).collect();
    let certificates = certificates.ok().filter(|all| !all.is_empty());
    let certificates =
        certificates.ok_or_else(|| unusable("could not load certificate (chain)"))?;
    let mismatch = || unusable("key does not match the certificate (chain)");
    let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).map_err(|_| mismatch())?;
    let provider = rustls::crypto::ring::default_provider();
    rustls::sign::CertifiedKey::from_der(certificates, key, &provider)
        .map(|_| ())
        .map_err(|_| mismatch())
}

impl Custom {
    /// One that an authority signs at a moment for 90 days, with the authority's own behind it.
    pub(in super::super) fn signed(
        names: Vec<String>,
        authority: &str,
        now: u64,
    ) -> Result<Self, String> {
        Self::sign(names, authority, now).map_err(|error| error.to_string())
    }

    fn sign(names: Vec<String>, authority: &str, now: u64) -> Result<Self, rcgen::Error> {
        let date = |at: u64| {
            let Moment {
                year, month, day, ..
            } = Moment::of(at);
            let (month, day) = (u8::try_from(month), u8::try_from(day));
            let year = i32::try_from(year).unwrap_or_default();
            rcgen::date_time_ymd(year, month.unwrap_or(1), day.unwrap_or(1))
        };
        let named = |name: &str| {
            let mut subject = rcgen::DistinguishedName::new();
            subject.push(rcgen::DnType::CommonName, name);
            subject
        };
        let mut own = rcgen::CertificateParams::default();
        own.distinguished_name = named(authority);
        own.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        own.not_before = date(now - 3650 * DAY);
        own.not_after = date(now + 3650 * DAY);
        let issuer = rcgen::CertifiedIssuer::self_signed(own, rcgen::KeyPair::generate()?)?;
        let first = names.first().cloned().unwrap_or_default();
        let mut wanted = rcgen::CertificateParams::new(names)?;
        wanted.distinguished_name = named(&first);
        wanted.not_before = date(now);
        wanted.not_after = date(now + 90 * DAY);
        let key = rcgen::KeyPair::generate()?;
        let signed = wanted.signed_by(&key, &issuer)?;
        let chain = format!("{}{}", signed.pem(), issuer.pem()).replace("\r\n", "\n");
        let key = key.serialize_pem();
        Ok(Self { chain, key })
    }

    /// What is told of it; none if it is no certificate.
    fn told(&self) -> Option<Value> {
        let der = CertificateDer::from_pem_slice(self.chain.as_bytes()).ok()?;
        let read = x509::read(&der)?;
        let digest = Sha256::digest(&der);
        let fingerprint: Vec<String> = digest.iter().map(|byte| format!("{byte:02X}")).collect();
        let end = "-----END CERTIFICATE-----\n";
        let first = self.chain.split_inclusive(end).next()?;
        Some(json!({
            "filename": "pveproxy-ssl.pem", "fingerprint": fingerprint.join(":"), "subject": read.subject,
            "issuer": read.issuer, "notbefore": read.not_before, "notafter": read.not_after,
            "san": read.names, "public-key-type": read.key_type, "public-key-bits": read.key_bits,
            "pem": first,
        }))
    }
}

impl World {
    pub(super) fn node_certificates(&mut self, node: &str, rest: &[&str], call: &Call) -> Outcome {
        let told = self.own_certificates(node);
        let Some(state) = self.nodes.get_mut(node) else {
            return Err(not_simulated(call));
        };
        let custom = &mut state.upkeep.certificate;
        match (call.method.as_str(), rest) {
            ("GET", []) => {
                let all = ["acme", "custom", "info"];
                Ok(Reply::data(
                    all.map(|name| json!({ "name": name })).to_vec(),
                ))
            }
            ("GET", ["info"]) => {
                let custom = custom.as_ref().and_then(Custom::told);
                Ok(Reply::data(
                    told.into_iter().chain(custom).collect::<Value>(),
                ))
            }
            ("POST", ["custom"]) => {
                let chain = call.text("certificates").unwrap_or_default();
                // Without one, the key that is there already goes on.
                let held = custom.as_ref().map(|custom| custom.key.clone());
                let Some(key) = call.text("key").or(held) else {
                    return Err(Reply::parameter(
                        "key",
                        "Attempted to upload custom certificate without (existing) key.",
                    ));
                };
                if custom.is_some() && !call.flag("force") {
                    let text = "Custom certificate file exists but force flag is not set.";
                    return Err(Reply::failed(text));
                }
                let chain = without_lead(&chain).to_owned();
                let key = without_lead(&key).to_owned();
                assert_match(&chain, &key)?;
                let new = Custom { chain, key };
                let told = new.told().ok_or_else(|| {
                    unusable("unable to read certificate from 'pveproxy-ssl.pem'")
                })?;
                *custom = Some(new);
                Ok(Reply::data(told))
            }
            ("DELETE", ["custom"]) => {
                *custom = None;
                Ok(Reply::data(()))
            }
            _ => Err(not_simulated(call)),
        }
    }

    /// Whether a node's own certificate is over within 30 days.
    pub(super) fn certificate_ends_soon(&self, node: &str) -> bool {
        let custom = self.nodes.get(node);
        let told = custom.and_then(|state| state.upkeep.certificate.as_ref()?.told());
        let ends = told.and_then(|told| told["notafter"].as_u64());
        ends.is_some_and(|ends| ends < seconds(self.now) + 30 * DAY)
    }

    /// The fingerprint of the certificate that the first node shows to whoever connects.
    pub(in super::super) fn shown_fingerprint(&self) -> String {
        let Some(state) = self.nodes.values().next() else {
            return String::new();
        };
        let custom = state.upkeep.certificate.as_ref().and_then(Custom::told);
        let custom = custom.and_then(|told| Some(told["fingerprint"].as_str()?.to_owned()));
        custom.unwrap_or_else(|| state.fingerprint.clone())
    }

    /// The cluster's authority and what it signed for the node. The certificates themselves are not modelled.
    fn own_certificates(&self, node: &str) -> Vec<Value> {
        let Some(state) = self.nodes.get(node) else {
            return Vec::new();
        };
        let made = seconds(self.booted) / DAY * DAY;
        let authority = "/CN=Proxmox Virtual Environment/OU=modelled/O=PVE Cluster Manager CA";
        let home = "0000:0000:0000:0000:0000:0000:0000:0001";
        let host = format!("{node}.example.test");
        vec![
            json!({
                "filename": "pve-root-ca.pem", "subject": authority, "issuer": authority,
                "notbefore": made, "notafter": made + 3650 * DAY, "san": [],
                "public-key-type": "rsaEncryption", "public-key-bits": 4096,
            }),
            json!({
                "filename": "pve-ssl.pem", "fingerprint": state.fingerprint, "issuer": authority,
                "subject": format!("/OU=PVE Cluster Node/O=Proxmox Virtual Environment/CN={host}"),
                "notbefore": made, "notafter": made + 730 * DAY,
                "san": ["127.0.0.1", home, "localhost", state.address, node, host],
                "public-key-type": "rsaEncryption", "public-key-bits": 2048,
            }),
        ]
    }
}
