//! Authorities that sign certificates when a domain is proven, and what the cluster keeps about them.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::section::Sections;
use super::world::World;

const LETS_ENCRYPT: &str = "https://acme-v02.api.letsencrypt.org/directory";
const STAGING: &str = "https://acme-staging-v02.api.letsencrypt.org/directory";

/// The directories that the server knows by name.
pub(super) const NAMED: [(&str, &str); 2] = [
    ("Let's Encrypt V2", LETS_ENCRYPT),
    ("Let's Encrypt V2 Staging", STAGING),
];

/// The directory of who names none.
pub(super) const DEFAULT: &str = LETS_ENCRYPT;

/// An authority as nodes find it.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), proxmox_client::Error> {
/// use proxmox_client::simulator::{AcmeDirectory, Simulator, World};
/// let url = "https://acme.example.test/directory";
/// let authority = AcmeDirectory::new(url).with_external_account("kid-1", "c2VjcmV0");
/// let client = Simulator::new(World::lab().with_acme_directory(authority)).connect();
/// let meta = client.acme().directory_meta(Some(url)).await?;
/// assert_eq!(meta.external_account_required, Some(true));
/// # Ok(()) }
/// ```
#[derive(Serialize, Deserialize, Clone)]
#[non_exhaustive]
pub struct AcmeDirectory {
    url: String,
    terms: Option<String>,
    website: Option<String>,
    /// Key id and key of the accounts that it admits.
    external: Option<(String, String)>,
    /// Domains that it does not sign for.
    unproven: BTreeSet<String>,
}

impl std::fmt::Debug for AcmeDirectory {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AcmeDirectory")
            .field("url", &self.url)
            .field("unproven", &self.unproven)
            .finish_non_exhaustive()
    }
}

impl AcmeDirectory {
    /// An authority that signs for everybody, without terms of service.
    pub fn new(url: &str) -> Self {
        Self {
            url: url.to_owned(),
            terms: None,
            website: None,
            external: None,
            unproven: BTreeSet::new(),
        }
    }

    /// Where its terms of service are; accounts have to agree to these.
    #[must_use]
    pub fn with_terms(mut self, url: &str) -> Self {
        self.terms = Some(url.to_owned());
        self
    }

    /// Only accounts that are bound to this one are admitted: the id of its key, and the key.
    #[must_use]
    pub fn with_external_account(mut self, kid: &str, key: &str) -> Self {
        self.external = Some((kid.to_owned(), key.to_owned()));
        self
    }

    /// A domain whose proof it does not find.
    #[must_use]
    pub fn with_unproven(mut self, domain: &str) -> Self {
        self.unproven.insert(domain.to_ascii_lowercase());
        self
    }

    fn lets_encrypt(url: &str) -> Self {
        let mut known = Self::new(url)
            .with_terms("https://letsencrypt.org/documents/LE-SA-v1.5-February-24-2025.pdf");
        known.website = Some("https://letsencrypt.org".to_owned());
        known
    }

    /// What it tells of itself.
    pub(super) fn meta(&self) -> Value {
        let mut meta = json!({});
        if let Some(terms) = &self.terms {
            meta["termsOfService"] = terms.as_str().into();
        }
        if let Some(website) = &self.website {
            meta["website"] = website.as_str().into();
            let host = website.trim_start_matches("https://");
            meta["caaIdentities"] = json!([host]);
        }
        if self.external.is_some() {
            meta["externalAccountRequired"] = true.into();
        }
        meta
    }

    pub(super) fn terms(&self) -> Option<&str> {
        self.terms.as_deref()
    }

    /// Where it keeps accounts and orders.
    pub(super) fn base(&self) -> &str {
        self.url.strip_suffix("/directory").unwrap_or(&self.url)
    }

    /// Its own name in certificates.
    pub(super) fn host(&self) -> &str {
        let host = self.url.split("//").nth(1).unwrap_or(&self.url);
        host.split('/').next().unwrap_or(host)
    }

    /// Why it does not admit an account.
    pub(super) fn refuse_account(
        &self,
        agreed: Option<&str>,
        external: Option<(&str, &str)>,
    ) -> Result<(), String> {
        let known = self.external.as_ref();
        let known = known.map(|(kid, key)| (kid.as_str(), key.as_str()));
        if self.terms.is_some() && agreed.is_none() {
            return Err("must agree to the terms of service".to_owned());
        }
        match (known, external) {
            (Some(_), None) => Err("external account binding is required".to_owned()),
            (Some(known), Some(given)) if known != given => {
                Err("external account binding is not valid".to_owned())
            }
            _ => Ok(()),
        }
    }

    /// Whether it finds the proof for a domain.
    pub(super) fn proves(&self, domain: &str) -> bool {
        !self.unproven.contains(domain)
    }
}

/// An account with an authority.
#[derive(Serialize, Deserialize, Debug, Clone)]
pub(super) struct Account {
    pub(super) directory: String,
    pub(super) location: String,
    pub(super) terms: Option<String>,
    pub(super) contact: Vec<String>,
    /// When it was registered, in seconds since 1970.
    pub(super) created: u64,
    pub(super) deactivated: bool,
}

/// What the cluster keeps, and the authorities that it reaches.
#[derive(Serialize, Deserialize, Debug, Clone, Default)]
pub(super) struct Acme {
    pub(super) accounts: BTreeMap<String, Account>,
    pub(super) plugins: Sections,
    directories: BTreeMap<String, AcmeDirectory>,
    /// Counts accounts and orders of all authorities.
    counter: u64,
}

impl Acme {
    /// The authority at an address; none if nobody described one.
    pub(super) fn directory(&self, url: &str) -> Option<AcmeDirectory> {
        let known = self.directories.get(url).cloned();
        let named = NAMED.iter().any(|(_, named)| *named == url);
        known.or_else(|| named.then(|| AcmeDirectory::lets_encrypt(url)))
    }

    pub(super) fn count(&mut self) -> u64 {
        self.counter += 1;
        self.counter
    }
}

impl World {
    /// An authority that nodes reach at its address, beside the two of Let's Encrypt or in place of one of them.
    #[must_use]
    pub fn with_acme_directory(mut self, directory: AcmeDirectory) -> Self {
        let directories = &mut self.acme.directories;
        directories.insert(directory.url.clone(), directory);
        self
    }
}
