//! What the control plane and the kubelets do by themselves, brought up to date before each answer.
//!
//! Nothing runs between requests. [`settle`] walks from the last settled time to `now` along the
//! moments at which time alone brings a transition, and lets every controller act at each of them
//! until none has anything to do: how often the world is asked does not change what happens when.

mod argo;
mod budgets;
mod certificates;
mod claims;
mod cluster;
mod daemonset;
mod deployment;
mod events;
mod garbage;
mod gateways;
mod jobs;
mod kubelet;
mod network;
mod nodes;
mod pods;
mod scheduler;
mod statefulset;

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

use super::environment::Environment;
use super::object::{name, namespace};
use super::resource::{self, Resource};
use super::world::{Mark, World};

/// A bound on rounds at one moment: controllers that undo each other are a defect, not a reason to
/// hang.
const ROUNDS: usize = 200;

pub(crate) fn instant(time: SystemTime) -> Timestamp {
    Timestamp::try_from(time).unwrap_or(Timestamp::UNIX_EPOCH)
}

/// Lets controllers and kubelets catch up to the modelled time `now`.
pub fn settle(world: &mut World, now: SystemTime, environment: &Environment) {
    settle_at(world, instant(now), environment);
}

pub(crate) fn settle_at(world: &mut World, now: Timestamp, environment: &Environment) {
    // A clock that is read out of order does not turn the world back.
    let now = world.settled.map_or(now, |settled| settled.max(now));
    loop {
        let unchanged = world.settled_revision == world.revision();
        let at = match world.next_due {
            Some(due) if unchanged && due <= now => due.max(world.settled.unwrap_or(due)),
            _ if unchanged => break,
            // What changed since did so at the last settled moment.
            _ => world.settled.unwrap_or(now),
        };
        world.next_due = round(world, at, environment);
        world.settled = Some(at);
        world.settled_revision = world.revision();
    }
    world.settled = Some(now);
}

type Controller = (&'static str, fn(&mut Turn<'_>), &'static [&'static str]);

/// Every controller with the resources whose changes concern it.
#[rustfmt::skip]
const CONTROLLERS: &[Controller] = &[
    ("cluster", cluster::run, &["namespaces", "customresourcedefinitions.apiextensions.k8s.io", "services",
        "serviceaccounts", "configmaps", "-"]),
    ("nodes", nodes::run, &["nodes", "pods"]),
    ("garbage", garbage::run, &["-"]),
    ("deployment", deployment::run, &["deployments.apps", "replicasets.apps", "pods", "serviceaccounts", "namespaces"]),
    ("daemonset", daemonset::run, &["daemonsets.apps", "pods", "nodes", "serviceaccounts", "namespaces"]),
    ("statefulset", statefulset::run, &["statefulsets.apps", "pods", "persistentvolumeclaims", "serviceaccounts",
        "namespaces"]),
    ("jobs", jobs::run, &["jobs.batch", "pods", "serviceaccounts", "namespaces"]),
    ("claims", claims::run, &["persistentvolumeclaims", "persistentvolumes", "storageclasses.storage.k8s.io",
        "csidrivers.storage.k8s.io", "pods"]),
    ("scheduler", scheduler::run, &["pods", "nodes", "persistentvolumeclaims", "persistentvolumes",
        "storageclasses.storage.k8s.io"]),
    ("kubelet", kubelet::run, &["pods", "nodes", "secrets", "configmaps", "services", "namespaces",
        "persistentvolumeclaims", "storageclasses.storage.k8s.io", "customresourcedefinitions.apiextensions.k8s.io",
        "ciliumnetworkpolicies.cilium.io", "ciliumclusterwidenetworkpolicies.cilium.io",
        "ciliumcidrgroups.cilium.io", "networkpolicies.networking.k8s.io",
        "clusternetworkpolicies.policy.networking.k8s.io"]),
    ("budgets", budgets::run, &["poddisruptionbudgets.policy", "pods", "replicasets.apps", "statefulsets.apps"]),
    ("network", network::run, &["services", "pods", "endpointslices.discovery.k8s.io", "secrets",
        "ciliumloadbalancerippools.cilium.io"]),
    ("gateways", gateways::run, &["gatewayclasses.gateway.networking.k8s.io", "gateways.gateway.networking.k8s.io",
        "httproutes.gateway.networking.k8s.io", "services", "secrets", "pods"]),
    ("certificates", certificates::run, &["clusterissuers.cert-manager.io", "issuers.cert-manager.io",
        "certificates.cert-manager.io", "secrets", "pods"]),
    ("argo", argo::run, &[]),
];

/// Runs the controllers that something concerns, at one moment, until none is left; when the next
/// one is due.
fn round(world: &mut World, now: Timestamp, environment: &Environment) -> Option<Timestamp> {
    for _ in 0..ROUNDS {
        let mut quiet = true;
        for (name, run, concerns) in CONTROLLERS {
            let wakes = world.marks.get(*name).is_none_or(|mark| {
                mark.due.is_some_and(|due| due <= now)
                    || concerns
                        .iter()
                        .any(|one| world.touched(one) > mark.revision)
            });
            if wakes {
                quiet = false;
                let revision = world.revision();
                let mut turn = Turn {
                    world,
                    environment,
                    now,
                    due: None,
                };
                run(&mut turn);
                let due = turn.due;
                world
                    .marks
                    .insert((*name).to_owned(), Mark { revision, due });
            }
        }
        if quiet {
            break;
        }
    }
    world.marks.values().filter_map(|mark| mark.due).min()
}

/// One controller's view of one moment.
pub(crate) struct Turn<'a> {
    pub(crate) world: &'a mut World,
    pub(crate) environment: &'a Environment,
    pub(crate) now: Timestamp,
    due: Option<Timestamp>,
}

impl Turn<'_> {
    /// True when `delay` after `since` has come; otherwise the world is looked at again then.
    pub(crate) fn after(&mut self, since: Timestamp, delay: Duration) -> bool {
        let delay = SignedDuration::try_from(delay).unwrap_or(SignedDuration::MAX);
        let at = since.checked_add(delay).unwrap_or(Timestamp::MAX);
        if at <= self.now {
            return true;
        }
        self.due = Some(self.due.map_or(at, |due| due.min(at)));
        false
    }

    /// All objects of a resource, as they are now.
    pub(crate) fn all(&self, resource: &str) -> Vec<Arc<Value>> {
        self.world.range(format!("{resource}/")).cloned().collect()
    }

    /// The objects of a resource in one namespace.
    pub(crate) fn all_in(&self, resource: &str, namespace: &str) -> Vec<Arc<Value>> {
        self.world
            .range(format!("{resource}/{namespace}/"))
            .cloned()
            .collect()
    }

    /// The kind behind a resource id.
    pub(crate) fn kind(&self, id: &str) -> Option<Resource> {
        let (plural, group) = id.split_once('.').unwrap_or((id, ""));
        resource::built_in_by_plural(group, plural).or_else(|| self.world.resource(group, plural))
    }

    /// Changes an object; one that stays as it was keeps its revision.
    pub(crate) fn update(
        &mut self,
        resource: &str,
        object: &Value,
        change: impl FnOnce(&mut Value),
    ) {
        let current = self.world.get(resource, namespace(object), name(object));
        let Some(mut new) = current.cloned() else {
            return;
        };
        change(&mut new);
        if current == Some(&new) {
            return;
        }
        if let Some(kind) = self.kind(resource) {
            self.world.replace(&kind, new);
        }
    }

    /// Creates an object as a controller does: with the server's defaults.
    pub(crate) fn create(&mut self, resource: &str, mut object: Value) -> Option<Arc<Value>> {
        let kind = self.kind(resource)?;
        if self
            .world
            .get(resource, namespace(&object), name(&object))
            .is_some()
        {
            return None;
        }
        super::defaults::fill(&kind, &mut object);
        Some(self.world.insert(&kind, self.now, object))
    }

    /// Deletes an object as a request would.
    pub(crate) fn delete(&mut self, resource: &str, object: &Value) {
        if let Some(kind) = self.kind(resource)
            && let Some(current) = self
                .world
                .get(resource, namespace(object), name(object))
                .cloned()
        {
            let options = serde_json::json!({});
            super::delete::start(self.world, &kind, self.now, &current, &options);
        }
    }
}
