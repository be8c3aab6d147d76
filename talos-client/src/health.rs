//! Whether a cluster's nodes are well, check by check with the reason. Asks the Talos API only; what Kubernetes says about its
//! nodes is another program's question.

use crate::client::Client;
use crate::error::Error;
use crate::node::{Bootstrapped, Node, Service};
use crate::wait::{Progress, Wait};

const MIB: u64 = 1 << 20;
/// Below these the reference warns: control plane and worker.
const LEAST_MEMORY: (u64, u64) = (1946 * MIB, 974 * MIB);

/// The nodes that a health check is about, by address.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ClusterNodes {
    /// Control plane nodes.
    pub control_planes: Vec<String>,
    /// The others.
    pub workers: Vec<String>,
}

impl ClusterNodes {
    /// Control plane nodes and workers.
    pub fn new<C: Into<String>, W: Into<String>>(
        control_planes: impl IntoIterator<Item = C>,
        workers: impl IntoIterator<Item = W>,
    ) -> Self {
        Self {
            control_planes: control_planes.into_iter().map(Into::into).collect(),
            workers: workers.into_iter().map(Into::into).collect(),
        }
    }

    fn all(&self) -> impl Iterator<Item = String> {
        self.control_planes.iter().chain(&self.workers).cloned()
    }
}

/// One thing that was looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Check {
    /// What it is about: `api`, `memory`, `etcd service`, `etcd members`, `kubelet`, `services`.
    pub name: &'static str,
    /// It is as it should be.
    pub passed: bool,
    /// Per node what is wrong; empty when it passed.
    pub reason: String,
}

impl Check {
    fn from_problems(name: &'static str, problems: Vec<String>) -> Self {
        Self {
            name,
            passed: problems.is_empty(),
            reason: problems.join("; "),
        }
    }
}

impl Client {
    /// Looks at all nodes once. A node that does not answer fails the checks about it, it does not hide the others.
    pub async fn health(&self, nodes: &ClusterNodes) -> Vec<Check> {
        let versions = self
            .on_each(nodes.all(), async |node: Node| node.version().await)
            .await;
        let memory = self
            .on_each(nodes.all(), async |node: Node| node.memory().await)
            .await;
        let services = self
            .on_each(nodes.all(), async |node: Node| node.services().await)
            .await;
        let members = self
            .on_each(nodes.control_planes.clone(), async |node: Node| {
                node.etcd_members().await
            })
            .await;
        let hostnames = self
            .on_each(nodes.control_planes.clone(), async |node: Node| {
                node.hostname().await
            })
            .await;
        let control_plane = |name: &String| nodes.control_planes.contains(name);

        let unreachable = versions
            .iter()
            .filter_map(|(name, version)| Some(told(name, version.as_ref().err()?)));
        let least = |name: &String| {
            if control_plane(name) {
                LEAST_MEMORY.0
            } else {
                LEAST_MEMORY.1
            }
        };
        let small = memory.iter().filter_map(|(name, memory)| match memory {
            Ok(memory) if memory.total < least(name) => Some(format!(
                "{name}: {} MiB, at least {} MiB are needed",
                memory.total / MIB,
                least(name) / MIB
            )),
            Ok(_) => None,
            Err(error) => Some(told(name, error)),
        });
        let etcd = services
            .iter()
            .filter(|(name, _)| control_plane(name))
            .filter_map(|(name, services)| one_service(name, services, "etcd"));
        let kubelet = services
            .iter()
            .filter_map(|(name, services)| one_service(name, services, "kubelet"));
        let unwell = services.iter().filter_map(|(name, services)| {
            let services = services.as_ref().ok()?;
            let bad: Vec<String> = services
                .iter()
                .filter(|service| service.healthy == Some(false))
                .map(|service| service.id.clone())
                .collect();
            (!bad.is_empty()).then(|| format!("{name}: {} unhealthy", bad.join(", ")))
        });
        vec![
            Check::from_problems("api", unreachable.collect()),
            Check::from_problems("memory", small.collect()),
            Check::from_problems("etcd service", etcd.collect()),
            Check::from_problems("etcd members", etcd_members(&members, &hostnames)),
            Check::from_problems("kubelet", kubelet.collect()),
            Check::from_problems("services", unwell.collect()),
        ]
    }

    /// Waits until every check passes.
    ///
    /// # Errors
    /// [`ErrorKind::Timeout`](crate::ErrorKind::Timeout) with the checks that fail and why.
    pub async fn wait_healthy(
        &self,
        nodes: &ClusterNodes,
        wait: &Wait,
    ) -> Result<Vec<Check>, Error> {
        wait.until("all nodes to be healthy", async || {
            let checks = self.health(nodes).await;
            let failing = checks.iter().filter(|check| !check.passed);
            let reasons: Vec<String> = failing
                .map(|check| format!("{}: {}", check.name, check.reason))
                .collect();
            Ok(if reasons.is_empty() {
                Progress::Done(checks)
            } else {
                Progress::Pending(reasons.join(" | "))
            })
        })
        .await
    }
}

fn told(name: &str, error: &Error) -> String {
    let text = error.to_string();
    if text.starts_with(name) {
        text
    } else {
        format!("{name}: {text}")
    }
}

fn one_service(name: &str, services: &Result<Vec<Service>, Error>, id: &str) -> Option<String> {
    match services {
        Err(error) => Some(told(name, error)),
        Ok(services) => match services.iter().find(|service| service.id == id) {
            None => Some(format!("{name}: {id} is not there")),
            Some(service) if service.state == "Running" && service.healthy != Some(false) => None,
            Some(service) => Some(format!(
                "{name}: {id} is {} ({})",
                service.state, service.message
            )),
        },
    }
}

/// Every control plane lists the same members, and these are the control planes.
fn etcd_members(
    members: &[(String, Result<Vec<crate::node::EtcdMember>, Error>)],
    hostnames: &[(String, Result<String, Error>)],
) -> Vec<String> {
    let mut expected: Vec<&str> = hostnames
        .iter()
        .filter_map(|(_, name)| name.as_deref().ok())
        .collect();
    expected.sort_unstable();
    let check = |(name, list): &(String, Result<Vec<crate::node::EtcdMember>, Error>)| match list {
        Err(error) => Some(told(name, error)),
        Ok(list) => {
            let mut seen: Vec<&str> = list.iter().map(|member| member.hostname.as_str()).collect();
            seen.sort_unstable();
            let learning: Vec<&str> = list
                .iter()
                .filter(|member| member.learner)
                .map(|member| member.hostname.as_str())
                .collect();
            if seen != expected {
                Some(format!(
                    "{name}: members are {}, control planes are {}",
                    seen.join(", "),
                    expected.join(", ")
                ))
            } else if learning.is_empty() {
                None
            } else {
                Some(format!("{name}: {} still learning", learning.join(", ")))
            }
        }
    };
    members.iter().filter_map(check).collect()
}

impl Node {
    /// Waits until the node answers.
    ///
    /// # Errors
    /// [`ErrorKind::Timeout`](crate::ErrorKind::Timeout); a TLS refusal at once, because waiting does not change an identity.
    pub async fn wait_reachable(&self, wait: &Wait) -> Result<crate::NodeVersion, Error> {
        let name = self.name().unwrap_or("the endpoint");
        wait.until(&format!("{name} to answer"), async || {
            self.version().await.map(Progress::Done)
        })
        .await
    }

    /// Bootstraps etcd as soon as the node allows it.
    ///
    /// # Errors
    /// [`ErrorKind::Timeout`](crate::ErrorKind::Timeout) with the node's last refusal.
    pub async fn wait_bootstrap(&self, wait: &Wait) -> Result<Bootstrapped, Error> {
        let name = self.name().unwrap_or("the endpoint");
        wait.until(&format!("{name} to bootstrap etcd"), async || {
            self.bootstrap().await.map(Progress::Done)
        })
        .await
    }
}
