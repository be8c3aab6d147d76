//! What surrounds the API: how long things take, and the hooks of whoever owns the other systems.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;

use super::world::World;

/// How long the modelled cluster takes for what it does.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Timings {
    /// From the creation of a CRD until it is served.
    pub crd_established: Duration,
    /// From the binding of a pod until its sandbox stands.
    pub sandbox: Duration,
    /// Pull of an image that the node does not have.
    pub image_pull: Duration,
    /// Start of a container whose image is there; each init container takes as long.
    pub container_start: Duration,
    /// From the start of a container without `initialDelaySeconds` until its first good probe.
    pub first_probe: Duration,
    /// Run time of a pod that ends (of a Job).
    pub job_run: Duration,
    /// Provisioning of a volume.
    pub provision: Duration,
    /// End of a pod that is told to stop.
    pub termination: Duration,
    /// Silence of a kubelet after which its node is Unknown.
    pub node_grace: Duration,
    /// One synchronisation by Argo CD, from comparison to applied objects.
    pub sync: Duration,
}

impl Default for Timings {
    fn default() -> Self {
        Self {
            crd_established: Duration::from_secs(1),
            sandbox: Duration::from_secs(1),
            image_pull: Duration::from_secs(8),
            container_start: Duration::from_secs(1),
            first_probe: Duration::from_secs(5),
            job_run: Duration::from_secs(5),
            provision: Duration::from_secs(3),
            termination: Duration::from_secs(2),
            node_grace: Duration::from_secs(50),
            sync: Duration::from_secs(3),
        }
    }
}

/// What a need keeps a pod from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Stage {
    /// Its containers cannot be started.
    Start,
    /// Its containers run, but do not become ready.
    Ready,
}

/// Something that a pod needs and does not have.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Unmet {
    /// What it keeps the pod from.
    pub stage: Stage,
    /// The need and why it is not met, with both sides named:
    /// `argo-cd-repo-server -> kube-dns:53/udp is denied: no egress rule`.
    pub message: String,
}

impl Unmet {
    /// A need that keeps containers from starting.
    pub fn start(message: impl Into<String>) -> Self {
        Self {
            stage: Stage::Start,
            message: message.into(),
        }
    }

    /// A need that keeps running containers from being ready.
    pub fn ready(message: impl Into<String>) -> Self {
        Self {
            stage: Stage::Ready,
            message: message.into(),
        }
    }
}

/// Decides what a pod still lacks; the lab's owner answers from its component descriptors.
///
/// It is asked again when pods, nodes, secrets, ConfigMaps, services, claims, CRDs, classes, namespaces
/// or policies change. An answer that depends on anything else takes effect with
/// [`Simulator::with_environment`](super::Simulator::with_environment).
pub trait Readiness: Send + Sync {
    /// Needs of this pod (the JSON of a `v1` Pod) that the world does not meet.
    fn unmet(&self, world: &World, pod: &Value) -> Vec<Unmet>;
}

/// Without descriptors nothing is lacking.
#[derive(Clone, Copy, Debug, Default)]
#[non_exhaustive]
pub struct NoNeeds;

impl Readiness for NoNeeds {
    fn unmet(&self, _: &World, _: &Value) -> Vec<Unmet> {
        Vec::new()
    }
}

/// Decides whether a volume can be made: the lab's owner answers from its disks.
pub trait Storage: Send + Sync {
    /// Places a volume of `bytes` for this claim and class (JSON of both), optionally on `node`.
    ///
    /// # Errors
    ///
    /// The text that the provisioner puts into the claim's events.
    fn provision(
        &self,
        world: &World,
        class: &Value,
        claim: &Value,
        bytes: u64,
        node: Option<&str>,
    ) -> Result<(), String>;
}

/// Storage without limits.
#[derive(Clone, Copy, Debug, Default)]
#[non_exhaustive]
pub struct Unlimited;

impl Storage for Unlimited {
    fn provision(
        &self,
        _: &World,
        _: &Value,
        _: &Value,
        _: u64,
        _: Option<&str>,
    ) -> Result<(), String> {
        Ok(())
    }
}

/// Everything outside the API that its controllers ask.
#[derive(Clone)]
#[non_exhaustive]
pub struct Environment {
    /// How long things take.
    pub timings: Timings,
    /// What pods lack.
    pub readiness: Arc<dyn Readiness>,
    /// Where volumes go.
    pub storage: Arc<dyn Storage>,
    /// What the Git repository holds: objects by `spec.source.path` of an Application (or by
    /// `chart:<name>` for a chart source).
    pub git: BTreeMap<String, Vec<Value>>,
}

impl Default for Environment {
    fn default() -> Self {
        Self {
            timings: Timings::default(),
            readiness: Arc::new(NoNeeds),
            storage: Arc::new(Unlimited),
            git: BTreeMap::new(),
        }
    }
}

impl fmt::Debug for Environment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Environment")
            .field("timings", &self.timings)
            .field("git", &self.git.keys())
            .finish_non_exhaustive()
    }
}

impl Environment {
    /// The same with other timings.
    #[must_use]
    pub fn timings(mut self, timings: Timings) -> Self {
        self.timings = timings;
        self
    }

    /// The same with another judge of what pods lack.
    #[must_use]
    pub fn readiness(mut self, readiness: impl Readiness + 'static) -> Self {
        self.readiness = Arc::new(readiness);
        self
    }

    /// The same with another place for volumes.
    #[must_use]
    pub fn storage(mut self, storage: impl Storage + 'static) -> Self {
        self.storage = Arc::new(storage);
        self
    }

    /// The same with one more path in Git.
    #[must_use]
    pub fn git(mut self, path: impl Into<String>, objects: Vec<Value>) -> Self {
        self.git.insert(path.into(), objects);
        self
    }
}
