//! The stages of a rotation: what changes on which node, what to speak to them with, what must hold afterwards.

use super::{RotatedCa, RotationStep};
use crate::config::MachineConfig;
use crate::patch::Patch;

/// The talosconfig that is accepted while a stage is carried out, by nodes that were changed and by those that were not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum RotationCredentials {
    /// As before: a client certificate of the old authority, which the nodes' certificates come from too.
    Old,
    /// A client certificate of the new authority; the nodes' certificates may come from either.
    Both,
    /// A client certificate of the new authority, which the nodes' certificates come from too.
    New,
}

/// What must hold after a stage, before the next one begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum RotationCheck {
    /// Every node, also those that did not change, answers a call of the Talos API with these credentials.
    NodesAnswer(RotationCredentials),
    /// The kubelet of every changed node restarted and is healthy again.
    KubeletsHealthy,
    /// A kubeconfig that is asked for now reaches the API server, and all nodes are ready.
    KubernetesReady,
}

/// One node's part of a stage. `Debug` shows no secrets.
#[derive(Clone, Debug, PartialEq)]
pub struct NodeChange {
    node: String,
    config: MachineConfig,
    patches: Vec<Patch>,
}

impl NodeChange {
    pub(super) fn new(node: &str, config: MachineConfig, patches: Vec<Patch>) -> Self {
        Self {
            node: node.to_owned(),
            config,
            patches,
        }
    }

    /// The node, as the caller named it.
    pub fn node(&self) -> &str {
        &self.node
    }

    /// The whole configuration that the node gets, to apply without a reboot.
    pub fn config(&self) -> &MachineConfig {
        &self.config
    }

    /// The same as patches of the node's present configuration, in order.
    pub fn patches(&self) -> &[Patch] {
        &self.patches
    }
}

/// Changes that may be made in any order, and what must hold before the next stage.
#[derive(Clone, Debug, PartialEq)]
pub struct RotationStage {
    step: RotationStep,
    changes: Vec<NodeChange>,
    credentials: RotationCredentials,
    checks: Vec<RotationCheck>,
}

impl RotationStage {
    pub(super) fn new(ca: RotatedCa, step: RotationStep, changes: Vec<NodeChange>) -> Self {
        let (credentials, checks) = match (ca, step) {
            (RotatedCa::TalosApi, RotationStep::Accept) => {
                // The next stage begins with a certificate of the new authority: try it while the old one still works.
                let next = RotationCheck::NodesAnswer(RotationCredentials::Both);
                (RotationCredentials::Old, vec![next])
            }
            (RotatedCa::TalosApi, RotationStep::Swap) => (
                RotationCredentials::Both,
                vec![RotationCheck::NodesAnswer(RotationCredentials::New)],
            ),
            (RotatedCa::TalosApi, RotationStep::Drop) => (
                RotationCredentials::New,
                vec![RotationCheck::NodesAnswer(RotationCredentials::New)],
            ),
            // The Talos API is not touched, so its credentials stay.
            (RotatedCa::Kubernetes, _) => (
                RotationCredentials::Old,
                vec![
                    RotationCheck::KubeletsHealthy,
                    RotationCheck::KubernetesReady,
                ],
            ),
        };
        Self {
            step,
            changes,
            credentials,
            checks,
        }
    }

    /// What is done.
    pub fn step(&self) -> RotationStep {
        self.step
    }

    /// The nodes that are changed, those of the control plane first. Nodes that are further already are not among them.
    pub fn changes(&self) -> &[NodeChange] {
        &self.changes
    }

    /// What to speak to the nodes with during this stage.
    pub fn credentials(&self) -> RotationCredentials {
        self.credentials
    }

    /// What must hold before the next stage.
    pub fn checks(&self) -> &[RotationCheck] {
        &self.checks
    }
}

/// The stages of a rotation in order; empty when nothing is left to do.
#[derive(Clone, Debug, PartialEq)]
pub struct RotationPlan {
    stages: Vec<RotationStage>,
}

impl RotationPlan {
    pub(super) fn new(stages: Vec<RotationStage>) -> Self {
        Self { stages }
    }

    /// The stages in order.
    pub fn stages(&self) -> &[RotationStage] {
        &self.stages
    }

    /// Nothing is left to do.
    pub fn is_empty(&self) -> bool {
        self.stages.is_empty()
    }
}
