//! Talos on the machines: image, machine configuration, and the way from maintenance mode to a member of the cluster.

mod config;
mod image;

use std::net::IpAddr;

use secrecy::{ExposeSecret, SecretString};
use talos_client::{ApplyMode, Client, Error, ErrorKind, Kubeconfig, MachineConfig, SecretsBundle};

use crate::failure::{Failure, Persistence};
use crate::observe::TalosSeen;
use crate::pace::{Look, Patience};
use crate::progress::{Outcome, Reporter};
use crate::session::Session;
use crate::spec::Spec;
use crate::spec::node::Node;
use crate::target::Target;
use crate::verify::Evidence;

pub use config::{contract, machine_config};
pub use image::Image;

/// Boot, installation and reboot of a machine.
const CONFIGURE: Patience = Patience::seconds(1200, 5);
/// Start of etcd and joining of its members.
const BOOTSTRAP: Patience = Patience::seconds(900, 5);
/// Start of the API server.
const KUBECONFIG: Patience = Patience::seconds(900, 5);

fn failed(place: &str, error: Error) -> Failure {
    let passes = matches!(
        error.kind(),
        ErrorKind::Unavailable
            | ErrorKind::Tls
            | ErrorKind::Timeout
            | ErrorKind::FailedPrecondition
            | ErrorKind::Unauthenticated
            | ErrorKind::Remote
    );
    let remedy = error.hint().map(str::to_owned);
    Failure::reported(
        place,
        "the machine API did not do it",
        Persistence::passing(passes),
        remedy.as_deref(),
        error,
    )
}

fn damaged(error: Error) -> Failure {
    Failure::permanent("secrets", "hold a damaged Talos bundle")
        .caused_by(error)
        .hint("restore the secret file from its backup")
}

/// Reads the bundle out of the secret file.
///
/// # Errors
///
/// It is not a bundle.
pub fn bundle(text: &SecretString) -> Result<SecretsBundle, Failure> {
    SecretsBundle::from_yaml(text.expose_secret()).map_err(damaged)
}

/// Makes the bundle of a new cluster.
///
/// # Errors
///
/// A version of Talos that has no contract.
pub fn make_bundle(session: &Session) -> Result<SecretString, Failure> {
    let contract = contract(session.spec())?;
    let bundle = session.target().make_bundle(contract)?;
    Ok(SecretString::from(bundle.to_yaml().as_str()))
}

/// Whether an etcd snapshot ends with the checksum of what precedes it.
pub fn is_whole(snapshot: &[u8]) -> bool {
    use sha2::{Digest, Sha256};
    let Some(length) = snapshot.len().checked_sub(32) else {
        return false;
    };
    let (content, checksum) = snapshot.split_at(length);
    !content.is_empty() && Sha256::digest(content).as_slice() == checksum
}

/// The work on the nodes of one cluster.
#[derive(Debug, Clone, Copy)]
pub struct Work<'a> {
    target: &'a Target,
    spec: &'a Spec,
    bundle: &'a SecretsBundle,
    image: &'a Image,
}

impl<'a> Work<'a> {
    /// Work with the secrets of the cluster.
    pub fn new(
        target: &'a Target,
        spec: &'a Spec,
        bundle: &'a SecretsBundle,
        image: &'a Image,
    ) -> Self {
        Self {
            target,
            spec,
            bundle,
            image,
        }
    }

    async fn client(&self, node: &Node) -> Result<Client, Failure> {
        self.target
            .talos(self.bundle, IpAddr::V4(node.address))
            .await
    }

    fn wanted(&self, node: &Node) -> Result<MachineConfig, Failure> {
        machine_config(self.spec, node, self.bundle, self.image)
    }

    /// Looks at one node: with the cluster's certificate first, then as at a node without configuration.
    ///
    /// # Errors
    ///
    /// A node that answers and refuses us.
    pub async fn see(&self, node: &Node) -> Result<TalosSeen, Failure> {
        let place = node.name.as_str();
        let api = self.client(node).await?.endpoint();
        let version = match api.version().await {
            Ok(version) => version.tag,
            Err(error) => return self.see_unconfigured(node, error).await,
        };
        let applied = api
            .resource("config", "MachineConfigs.config.talos.dev", "v1alpha1")
            .await;
        let applied = match applied {
            Ok(applied) => applied,
            Err(error) => {
                return Ok(TalosSeen::Silent {
                    reason: failed(place, error).story(),
                });
            }
        };
        let drifted = match MachineConfig::load(&applied.yaml) {
            Ok(applied) => applied.to_yaml() != self.wanted(node)?.to_yaml(),
            // Written by hand, or for another version of Talos.
            Err(_) => true,
        };
        Ok(TalosSeen::Configured { version, drifted })
    }

    async fn see_unconfigured(&self, node: &Node, error: Error) -> Result<TalosSeen, Failure> {
        let api = self
            .target
            .maintenance(IpAddr::V4(node.address))
            .await?
            .endpoint();
        Ok(match api.version().await {
            Ok(_) => TalosSeen::Maintenance,
            Err(_) => TalosSeen::Silent {
                reason: failed(node.name.as_str(), error).story(),
            },
        })
    }

    /// Gives a node its configuration and waits until it runs with it.
    ///
    /// # Errors
    ///
    /// A configuration that the node refuses, an installation that fails, or a wait that ran out.
    pub async fn ensure_configured(
        &self,
        node: &Node,
        reporter: &Reporter,
    ) -> Result<Outcome, Failure> {
        let place = node.name.as_str();
        let wanted = self.wanted(node)?;
        let pace = self.target.pace();
        let mut outcome = Outcome::Unchanged;
        let what = format!("Talos at {}", node.address);
        // From off to an answer: either it waits for a configuration or it has one.
        let first = pace
            .wait(reporter, &what, CONFIGURE, || async {
                Ok(match self.see(node).await? {
                    TalosSeen::Silent { reason } => Look::NotYet(reason),
                    seen => Look::There(seen),
                })
            })
            .await?;
        match first {
            TalosSeen::Configured { drifted: false, .. } => return Ok(outcome),
            TalosSeen::Maintenance => {
                let api = self
                    .target
                    .maintenance(IpAddr::V4(node.address))
                    .await?
                    .endpoint();
                reporter.doing("applying the machine configuration");
                api.apply_configuration(&wanted)
                    .await
                    .map_err(|error| failed(place, error))?;
                outcome = Outcome::Changed;
            }
            TalosSeen::Configured { .. } => {
                let api = self.client(node).await?.endpoint();
                reporter.doing("changing the machine configuration");
                let apply = api.apply_configuration(&wanted).mode(ApplyMode::Auto);
                apply.await.map_err(|error| failed(place, error))?;
                outcome = Outcome::Changed;
            }
            TalosSeen::Silent { .. } => {}
        }
        pace.wait(
            reporter,
            format_args!("{what} to run its configuration"),
            CONFIGURE,
            || async {
                match self.see(node).await? {
                    TalosSeen::Configured { drifted: false, .. } => Ok(Look::There(())),
                    TalosSeen::Configured { drifted: true, .. } => Ok(Look::NotYet(
                        "it runs with another configuration".to_owned(),
                    )),
                    TalosSeen::Maintenance => match self.install_problem(node).await {
                        Some(problem) => Err(Failure::permanent(place, problem).hint(
                            "correct installDisk in cluster.yaml, then run the program again",
                        )),
                        None => Ok(Look::NotYet("it installs itself".to_owned())),
                    },
                    TalosSeen::Silent { reason } => Ok(Look::NotYet(reason)),
                }
            },
        )
        .await?;
        Ok(outcome)
    }

    /// Why a node in maintenance mode cannot be installed: the disk that the configuration names is not there.
    async fn install_problem(&self, node: &Node) -> Option<String> {
        let api = self
            .target
            .maintenance(IpAddr::V4(node.address))
            .await
            .ok()?
            .endpoint();
        let disks = api.disks().await.ok()?;
        let names: Vec<_> = disks.iter().map(|disk| disk.device.clone()).collect();
        (!names.is_empty() && !names.contains(&node.install_disk)).then(|| {
            format!(
                "has no disk {} to install to (has: {})",
                node.install_disk,
                names.join(", ")
            )
        })
    }

    /// Starts etcd on the first control plane, once, and waits until all have joined.
    ///
    /// # Errors
    ///
    /// A refusal, or a wait that ran out.
    pub async fn ensure_bootstrapped(&self, reporter: &Reporter) -> Result<Outcome, Failure> {
        let all = self.spec.control_planes().count();
        let pace = self.target.pace();
        let mut outcome = Outcome::Unchanged;
        // A cluster that has members is never bootstrapped again, whoever is asked.
        if self
            .etcd_members()
            .await?
            .is_none_or(|members| members.is_empty())
        {
            let first =
                self.spec.control_planes().next().ok_or_else(|| {
                    Failure::permanent("etcd", "cluster.yaml has no control plane")
                })?;
            let api = self.client(first).await?.endpoint();
            let done = pace
                .wait(
                    reporter,
                    format_args!("{} to accept the bootstrap", first.name),
                    BOOTSTRAP,
                    || async {
                        let done = api
                            .bootstrap()
                            .await
                            .map_err(|error| failed(first.name.as_str(), error))?;
                        Ok(Look::There(done))
                    },
                )
                .await?;
            if done == talos_client::Bootstrapped::Bootstrapped {
                outcome = Outcome::Changed;
            }
        }
        pace.wait(
            reporter,
            format_args!("{all} members of etcd"),
            BOOTSTRAP,
            || async {
                let members = self.etcd_members().await?.unwrap_or_default();
                Ok(if members.len() == all {
                    Look::There(())
                } else {
                    Look::NotYet(format!(
                        "{} of {all}: {}",
                        members.len(),
                        members.join(", ")
                    ))
                })
            },
        )
        .await?;
        Ok(outcome)
    }

    /// The members of etcd by name, in order; `None` when no control plane could tell.
    ///
    /// # Errors
    ///
    /// An address that cannot be used.
    pub async fn etcd_members(&self) -> Result<Option<Vec<String>>, Failure> {
        for node in self.spec.control_planes() {
            if let Ok(members) = self.client(node).await?.endpoint().etcd_members().await {
                let mut names: Vec<_> = members.into_iter().map(|member| member.hostname).collect();
                names.sort();
                return Ok(Some(names));
            }
        }
        Ok(None)
    }

    /// What the services and extensions of every node say.
    ///
    /// # Errors
    ///
    /// An address that cannot be used.
    pub async fn health(&self) -> Result<Vec<Evidence>, Failure> {
        let (mut services, mut extensions) = (Vec::new(), Vec::new());
        for node in &self.spec.nodes {
            let api = self.client(node).await?.endpoint();
            match api.services().await {
                Ok(all) => services.extend(
                    all.iter()
                        .filter(|service| service.healthy == Some(false))
                        .map(|service| {
                            format!("{}: {} is {}", node.name, service.id, service.state)
                        }),
                ),
                Err(error) => services.push(failed(node.name.as_str(), error).story()),
            }
            match api.extensions().await {
                Ok(found) => extensions.extend(
                    self.image
                        .extension_names()
                        .filter(|name| found.iter().all(|extension| extension.name != *name))
                        .map(|name| format!("{} lacks {name}", node.name)),
                ),
                Err(error) => extensions.push(failed(node.name.as_str(), error).story()),
            }
        }
        let evidence = |check: &str, troubles: Vec<String>, fine: &str| {
            let text = if troubles.is_empty() {
                fine.to_owned()
            } else {
                troubles.join("; ")
            };
            Evidence::new(check, troubles.is_empty(), text)
        };
        let names: Vec<_> = self.image.extension_names().collect();
        Ok(vec![
            evidence("services", services, "no node reports an unhealthy one"),
            evidence(
                "extensions",
                extensions,
                &format!("{} on every node", names.join(", ")),
            ),
        ])
    }
}

/// The kubeconfig of the cluster's administrator, from the first control plane that gives it.
///
/// # Errors
///
/// None of them does.
pub async fn kubeconfig(
    target: &Target,
    spec: &Spec,
    bundle: &SecretsBundle,
) -> Result<Kubeconfig, Failure> {
    let mut last = None;
    for node in spec.control_planes() {
        let api = target
            .talos(bundle, IpAddr::V4(node.address))
            .await?
            .endpoint();
        match api.kubeconfig().await {
            Ok(kubeconfig) => return Ok(kubeconfig),
            Err(error) => last = Some(failed(node.name.as_str(), error)),
        }
    }
    Err(last.unwrap_or_else(|| Failure::permanent("kubeconfig", "there is no control plane")))
}

/// Waits until the API server of the cluster answers.
///
/// # Errors
///
/// A wait that ran out.
pub async fn await_api(session: &Session, reporter: &Reporter) -> Result<(), Failure> {
    let api = &session.spec().api;
    let what = format!("the Kubernetes API at {}:{}", api.vip, api.port);
    session
        .pace()
        .wait(reporter, what, KUBECONFIG, || async {
            let cluster = session.kubernetes().await?;
            match cluster.client().apiserver_version().await {
                Ok(_) => Ok(Look::There(())),
                Err(error) => Ok(Look::NotYet(error.to_string())),
            }
        })
        .await
}

/// A snapshot of etcd, from the first control plane that gives one.
///
/// # Errors
///
/// None of them does.
pub async fn etcd_snapshot(session: &Session) -> Result<Vec<u8>, Failure> {
    let bundle = session.needed_bundle()?;
    let mut last = None;
    for node in session.spec().control_planes() {
        let api = session
            .target()
            .talos(&bundle, IpAddr::V4(node.address))
            .await?
            .endpoint();
        match api.etcd_snapshot().await {
            Ok(snapshot) => return Ok(snapshot),
            Err(error) => last = Some(failed(node.name.as_str(), error)),
        }
    }
    Err(last.unwrap_or_else(|| Failure::permanent("etcd", "there is no control plane")))
}

#[cfg(test)]
mod tests {
    use sha2::{Digest, Sha256};

    use super::is_whole;

    #[test]
    fn a_snapshot_is_whole_when_it_ends_with_its_own_checksum() {
        let mut snapshot = b"members and keys".to_vec();
        snapshot.extend(Sha256::digest(b"members and keys"));
        assert!(is_whole(&snapshot));
        snapshot[0] ^= 1;
        assert!(!is_whole(&snapshot));
        assert!(!is_whole(b"short"));
    }
}
