//! What tasks do with authorities: accounts and orders.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::simulator::acme::Account;
use crate::simulator::answer::Reply;
use crate::simulator::engine::Step;
use crate::simulator::guest::text_of;
use crate::simulator::route::{Custom, Domain};
use crate::simulator::task::seconds;
use crate::simulator::world::World;

/// What a task does with an authority.
#[derive(Serialize, Deserialize, Debug, Clone)]
pub(in crate::simulator) enum AcmeWork {
    Register {
        name: String,
        directory: String,
        contact: Vec<String>,
        terms: Option<String>,
        /// Why the authority does not admit it.
        refusal: Option<String>,
    },
    Update {
        name: String,
        contact: Vec<String>,
    },
    Refresh {
        name: String,
    },
    Deactivate {
        name: String,
    },
    Order {
        node: String,
        account: String,
        domains: Vec<Domain>,
        /// Whether the certificate that is there is revoked afterwards.
        renews: bool,
    },
    Revoke {
        node: String,
        account: String,
    },
}

/// The look at which a domain is to be proven: the first, second, …
const PROVE: u8 = 10;
/// The look at which the authority has looked for its proof.
const PROVEN: u8 = 100;
/// The look at which all domains are proven.
const ALL: u8 = 200;

/// How long an authority takes to look, and to sign.
const PAUSE: Duration = Duration::from_secs(5);

impl World {
    fn acme_account(&self, name: &str) -> Result<&Account, Reply> {
        let known = self.acme.accounts.get(name);
        known.ok_or_else(|| {
            Reply::failed(format!("ACME account config file '{name}' does not exist."))
        })
    }

    /// The work goes on.
    pub(super) fn check_acme(&mut self, job: u64, work: &AcmeWork, stage: u8) -> Result<(), Reply> {
        match work {
            AcmeWork::Register { refusal, .. } => {
                self.log(job, "Generating ACME account key..");
                self.log(job, "Registering ACME account..");
                match refusal {
                    Some(why) => Err(Reply::failed(format!("Registration failed: {why}"))),
                    None => Ok(()),
                }
            }
            AcmeWork::Update { name, .. }
            | AcmeWork::Refresh { name }
            | AcmeWork::Deactivate { name } => self.acme_account(name).map(|_| ()),
            AcmeWork::Revoke { account, .. } => {
                self.acme_account(account)?;
                self.log(job, "Loading ACME account details");
                self.log(job, "Revoking old certificate");
                Ok(())
            }
            AcmeWork::Order {
                account, domains, ..
            } => self.check_order(job, account, domains, stage),
        }
    }

    fn check_order(
        &mut self,
        job: u64,
        account: &str,
        domains: &[Domain],
        stage: u8,
    ) -> Result<(), Reply> {
        let known = self.acme_account(account)?;
        let directory = self.acme.directory(&known.directory);
        let directory = directory.ok_or_else(|| Reply::failed("Failed to get directory"))?;
        let base = directory.base().to_owned();
        let mut steps = Vec::new();
        match stage {
            0 => {
                self.log(job, "Loading ACME account details");
                self.log(job, "Placing ACME order");
                let number = self.acme.count();
                self.log(job, format!("Order URL: {base}/acme/order/{number}"));
                for index in (0u8..).take(domains.len()) {
                    steps.extend([Step::Check(PROVE + index), Step::Check(PROVEN + index)]);
                }
                steps.push(Step::Check(ALL));
            }
            ALL => {
                for line in [
                    "",
                    "All domains validated!",
                    "",
                    "Creating CSR",
                    "Checking order status",
                    "Order is ready, finalizing order",
                ] {
                    self.log(job, line);
                }
                steps.push(Step::Work(PAUSE));
            }
            stage if stage >= PROVEN => {
                let domain = &domains[usize::from(stage - PROVEN)];
                let name = &domain.name;
                let plugin = self.acme_plugin(&domain.plugin).unwrap_or_default();
                let proven = directory.proves(name);
                if proven {
                    self.log(job, format!("Status is 'valid', domain '{name}' OK!"));
                }
                if plugin.get("type").map(text_of).as_deref() == Some("dns") {
                    self.log(job, format!("Remove TXT record: _acme-challenge.{name}"));
                }
                if !proven {
                    let url = format!("{base}/acme/authz/{name}");
                    return Err(Reply::failed(format!(
                        "validating challenge '{url}' failed - status: invalid"
                    )));
                }
            }
            stage => {
                let wait = self.prove(job, &base, &domains[usize::from(stage - PROVE)])?;
                steps.push(Step::Work(wait));
            }
        }
        if let Some(job) = self.engine.jobs.get_mut(&job) {
            for step in steps.into_iter().rev() {
                job.steps.push_front(step);
            }
        }
        Ok(())
    }

    /// Puts the proof of a domain where the authority looks for it; gives how long that takes.
    fn prove(&mut self, job: u64, base: &str, domain: &Domain) -> Result<Duration, Reply> {
        let Domain { name, plugin, .. } = domain;
        let url = format!("{base}/acme/authz/{name}");
        self.log(job, "");
        self.log(job, format!("Getting authorization details from '{url}'"));
        self.log(job, format!("The validation for {name} is pending!"));
        let missing = || format!("plugin '{plugin}' for domain '{name}' not found!");
        let section = self.acme_plugin(plugin);
        let section = section.ok_or_else(|| Reply::failed(missing()))?;
        let mut wait = PAUSE;
        match section.get("type").map(text_of).as_deref() {
            Some("dns") => {
                self.log(job, format!("Add TXT record: _acme-challenge.{name}"));
                let delay = section.get("validation-delay").map(text_of);
                let delay = delay.and_then(|text| text.parse().ok()).unwrap_or(30);
                if delay > 0 {
                    let line =
                        format!("Sleeping {delay} seconds to wait for TXT record propagation");
                    self.log(job, line);
                }
                wait += Duration::from_secs(delay);
            }
            _ => self.log(job, "Setting up webserver"),
        }
        self.log(job, "Triggering validation");
        self.log(job, "Sleeping for 5 seconds");
        Ok(wait)
    }

    /// The work is done.
    pub(super) fn end_acme(&mut self, job: u64, work: &AcmeWork) -> Result<(), Reply> {
        let now = seconds(self.now);
        match work {
            AcmeWork::Register {
                name,
                directory,
                contact,
                terms,
                ..
            } => {
                if self.acme.accounts.contains_key(name) {
                    return Err(Reply::failed(format!(
                        "ACME account config file '{name}' already exists."
                    )));
                }
                let number = self.acme.count();
                let base = directory.strip_suffix("/directory").unwrap_or(directory);
                let location = format!("{base}/acme/acct/{number}");
                let line = format!("Registration successful, account URL: '{location}'");
                self.log(job, line);
                let account = Account {
                    directory: directory.clone(),
                    location,
                    terms: terms.clone(),
                    contact: contact.clone(),
                    created: now,
                    deactivated: false,
                };
                self.acme.accounts.insert(name.clone(), account);
            }
            AcmeWork::Update { name, contact } => {
                if let Some(account) = self.acme.accounts.get_mut(name) {
                    account.contact.clone_from(contact);
                }
            }
            AcmeWork::Refresh { name } => {
                self.acme_account(name)?;
            }
            AcmeWork::Deactivate { name } => {
                let mut free = (0..=100).map(|number| format!("_deactivated_{name}_{number}"));
                let free = free.find(|kept| !self.acme.accounts.contains_key(kept));
                if let Some((mut account, kept)) = self.acme.accounts.remove(name).zip(free) {
                    let folder = "/etc/pve/priv/acme";
                    let line = format!(
                        "Renaming account file from '{folder}/{name}' to '{folder}/{kept}'"
                    );
                    self.log(job, line);
                    account.deactivated = true;
                    self.acme.accounts.insert(kept, account);
                }
            }
            AcmeWork::Order {
                node,
                account,
                domains,
                renews,
            } => {
                let names = domains.iter().map(|domain| domain.name.clone()).collect();
                let url = self.acme_account(account)?.directory.clone();
                let directory = self.acme.directory(&url);
                let authority = directory.as_ref().map_or("", |known| known.host());
                let signed = Custom::signed(names, authority, now).map_err(Reply::failed)?;
                for line in [
                    "valid!",
                    "",
                    "Downloading certificate",
                    "Setting pveproxy certificate and key",
                    "Restarting pveproxy",
                ] {
                    self.log(job, line);
                }
                if *renews {
                    self.log(job, "Revoking old certificate");
                }
                if let Some(state) = self.nodes.get_mut(node) {
                    state.upkeep.certificate = Some(signed);
                }
            }
            AcmeWork::Revoke { node, .. } => {
                self.log(job, "Deleting certificate files");
                let line = "Restarting pveproxy to revert to self-signed certificates";
                self.log(job, line);
                if let Some(state) = self.nodes.get_mut(node) {
                    state.upkeep.certificate = None;
                }
            }
        }
        Ok(())
    }
}
