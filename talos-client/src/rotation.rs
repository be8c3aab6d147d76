//! Another authority for the Talos API or for Kubernetes, without a moment in which nodes or clients distrust each other.

use std::fmt;

use crate::config::MachineConfig;
use crate::error::{Error, ErrorKind, Problem};
use crate::patch::Patch;
use crate::secrets::{Ca, CertificateAuthority, SecretsBundle};

mod plan;
mod trust;

#[cfg(feature = "pki")]
mod credentials;

pub use plan::{NodeChange, RotationCheck, RotationCredentials, RotationPlan, RotationStage};

use trust::Trust;

/// The authorities that Talos can exchange; those of etcd and of the aggregator it cannot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum RotatedCa {
    /// The Talos API's: `machine.ca` and `machine.acceptedCAs`.
    TalosApi,
    /// The Kubernetes API's: `cluster.ca` and `cluster.acceptedCAs`, from 1.14 the document `KubeAPIServerCAConfig`.
    Kubernetes,
}

impl RotatedCa {
    fn of_bundle(self) -> Ca {
        match self {
            Self::TalosApi => Ca::Os,
            Self::Kubernetes => Ca::Kubernetes,
        }
    }
}

/// How far a node is, which its configuration alone says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum RotationState {
    /// The old authority issues, the new one is unknown.
    Untouched,
    /// The old authority issues, the new one is accepted.
    Accepting,
    /// The new authority issues, the old one is accepted.
    Swapped,
    /// The new authority issues, the old one is not accepted any more.
    Done,
}

/// What is done to every node before the next thing is done to any.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum RotationStep {
    /// The new authority is accepted beside the old one.
    Accept,
    /// The new authority issues, the old one stays accepted.
    Swap,
    /// The old authority is not accepted any more.
    Drop,
}

impl fmt::Display for RotationStep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Accept => "accept the new authority",
            Self::Swap => "let the new authority issue",
            Self::Drop => "drop the old authority",
        })
    }
}

impl RotationState {
    fn next(self) -> Option<RotationStep> {
        match self {
            Self::Untouched => Some(RotationStep::Accept),
            Self::Accepting => Some(RotationStep::Swap),
            Self::Swapped => Some(RotationStep::Drop),
            Self::Done => None,
        }
    }
}

/// The exchange of one authority for another. Everything here is data: nothing is sent, and where a rotation stands follows
/// from what the nodes have now, so a program that stopped in the middle goes on by asking again.
///
/// Keep the new authority (in a bundle that [`with_authority`](SecretsBundle::with_authority) makes) on disk before the first
/// change, and the old one until the last: only with both can the rotation go on, or back.
///
/// ```
/// use talos_client::{Ca, CaRotation, CertificateAuthority, Generator, MachineType, RotatedCa, RotationStep, SecretsBundle};
///
/// # #[cfg(feature = "simulator")]
/// # fn main() -> Result<(), talos_client::Error> {
/// let secrets = SecretsBundle::fixed_for_tests();
/// let config = Generator::new("homelab", "https://10.0.20.10:6443", "1.36.1", secrets.clone())?
///     .generate(MachineType::ControlPlane)?;
/// let new = CertificateAuthority::generate(Ca::Os, std::time::SystemTime::now())?;
/// let rotation = CaRotation::of_bundle(RotatedCa::TalosApi, &secrets, new)?;
/// let nodes = [("10.0.20.11".to_owned(), config)];
/// let plan = rotation.plan(&nodes)?;
/// let steps: Vec<RotationStep> = plan.stages().iter().map(|stage| stage.step()).collect();
/// assert_eq!(steps, [RotationStep::Accept, RotationStep::Swap, RotationStep::Drop]);
/// # Ok(())
/// # }
/// # #[cfg(not(feature = "simulator"))]
/// # fn main() {}
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct CaRotation {
    ca: RotatedCa,
    old: CertificateAuthority,
    new: CertificateAuthority,
}

/// Whether two PEM texts hold the same, however their lines are broken.
fn same(one: &str, other: &str) -> bool {
    let one = one.split_whitespace().flat_map(str::bytes);
    one.eq(other.split_whitespace().flat_map(str::bytes))
}

impl CaRotation {
    /// From the old authority, which nodes have now, to the new one.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidArgument`] when both are the same.
    pub fn new(
        ca: RotatedCa,
        old: CertificateAuthority,
        new: CertificateAuthority,
    ) -> Result<Self, Error> {
        if same(old.certificate(), new.certificate()) {
            let message = "the new authority is the old one";
            return Err(Error::new(ErrorKind::InvalidArgument, message));
        }
        Ok(Self { ca, old, new })
    }

    /// From the authority of a bundle to a new one.
    ///
    /// # Errors
    /// As [`new`](Self::new), and [`ErrorKind::InvalidSecrets`] when the bundle lacks the authority.
    pub fn of_bundle(
        ca: RotatedCa,
        secrets: &SecretsBundle,
        new: CertificateAuthority,
    ) -> Result<Self, Error> {
        Self::new(ca, secrets.authority(ca.of_bundle())?, new)
    }

    /// Which authority it is about.
    pub fn ca(&self) -> RotatedCa {
        self.ca
    }

    /// The authority that goes.
    pub fn old(&self) -> &CertificateAuthority {
        &self.old
    }

    /// The authority that comes.
    pub fn new_authority(&self) -> &CertificateAuthority {
        &self.new
    }

    /// The way back, from wherever the nodes are: its [`next`](Self::next) undoes what was done, in the reverse order.
    #[must_use]
    pub fn reversed(&self) -> Self {
        Self {
            ca: self.ca,
            old: self.new.clone(),
            new: self.old.clone(),
        }
    }

    /// How far a node is.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidConfig`] for a configuration without this authority, with a third one, or with a key that does not
    /// go with its certificate.
    pub fn state(&self, config: &MachineConfig) -> Result<RotationState, Error> {
        let refused = |message: &str| Error::new(ErrorKind::InvalidConfig, message);
        let trust = Trust::read(self.ca, config)
            .ok_or_else(|| refused("the configuration has no certificate of this authority"))?;
        let accepts = |authority: &CertificateAuthority| {
            let mut accepted = trust.accepted.iter();
            accepted.any(|accepted| same(accepted, authority.certificate()))
        };
        let (issuer, state) = if same(&trust.issuing, self.old.certificate()) {
            let accepting = accepts(&self.new);
            let state = [RotationState::Untouched, RotationState::Accepting];
            (&self.old, state[usize::from(accepting)])
        } else if same(&trust.issuing, self.new.certificate()) {
            let accepting = accepts(&self.old);
            let state = [RotationState::Done, RotationState::Swapped];
            (&self.new, state[usize::from(accepting)])
        } else {
            return Err(refused(
                "the issuing authority is neither the old nor the new one",
            ));
        };
        match &trust.key {
            Some(key) if !same(key, issuer.key()) => Err(refused(
                "the key of the issuing authority is not the one that goes with its certificate",
            )),
            None if is_control_plane(config) => Err(refused(
                "a control plane node needs the key of the issuing authority",
            )),
            _ => Ok(state),
        }
    }

    /// What to do next, given what the nodes have now: the step of those that are furthest behind. `None` when all are done.
    ///
    /// Nodes are named as the caller names them; each change holds the whole next configuration and the same as patches. The
    /// changes of one stage may be made in any order and some of them may be made already. Do the [checks](RotationStage::checks)
    /// before asking for the next stage.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidArgument`] without a control plane node, [`ErrorKind::InvalidConfig`] with one problem for each node
    /// whose [`state`](Self::state) cannot be told, or a configuration that no patch can bring there.
    pub fn next(&self, nodes: &[(String, MachineConfig)]) -> Result<Option<RotationStage>, Error> {
        if !nodes.iter().any(|(_, config)| is_control_plane(config)) {
            let message = "a rotation needs the control plane nodes of the cluster";
            return Err(Error::new(ErrorKind::InvalidArgument, message));
        }
        let mut problems = Vec::new();
        let mut states = Vec::new();
        for (name, config) in nodes {
            match self.state(config) {
                Ok(state) => states.push(state),
                Err(error) => problems.push(Problem::new(name, error.message())),
            }
        }
        if !problems.is_empty() {
            let message = "the rotation cannot tell how far nodes are";
            return Err(Error::new(ErrorKind::InvalidConfig, message).with_problems(problems));
        }
        let Some(step) = states.iter().min().and_then(|least| least.next()) else {
            return Ok(None);
        };
        let behind = nodes
            .iter()
            .zip(&states)
            .filter(|(_, state)| state.next() == Some(step));
        let mut changes = Vec::new();
        for ((name, before), _) in behind {
            let after = self.advanced(before, step)?;
            let patches: Vec<Patch> = before.patches_to(&after)?;
            changes.push(NodeChange::new(name, after, patches));
        }
        // Control plane nodes first: workers get their certificates from them.
        changes.sort_by_key(|change| !is_control_plane(change.config()));
        Ok(Some(RotationStage::new(self.ca, step, changes)))
    }

    /// All stages from what the nodes have now to the end.
    ///
    /// # Errors
    /// As [`next`](Self::next).
    pub fn plan(&self, nodes: &[(String, MachineConfig)]) -> Result<RotationPlan, Error> {
        let mut nodes = nodes.to_vec();
        let mut stages = Vec::new();
        while let Some(stage) = self.next(&nodes)? {
            for change in stage.changes() {
                for (name, config) in &mut nodes {
                    if name == change.node() {
                        *config = change.config().clone();
                    }
                }
            }
            stages.push(stage);
        }
        Ok(RotationPlan::new(stages))
    }

    /// A node's configuration after a step.
    fn advanced(&self, before: &MachineConfig, step: RotationStep) -> Result<MachineConfig, Error> {
        let mut after = before.clone();
        let Some(mut trust) = Trust::read(self.ca, before) else {
            return Ok(after);
        };
        let forget = |accepted: &mut Vec<String>, authority: &CertificateAuthority| {
            accepted.retain(|other| !same(other, authority.certificate()));
        };
        match step {
            RotationStep::Accept => trust.accepted.push(self.new.certificate().to_owned()),
            RotationStep::Swap => {
                forget(&mut trust.accepted, &self.new);
                forget(&mut trust.accepted, &self.old);
                trust.accepted.push(self.old.certificate().to_owned());
                trust.issuing = self.new.certificate().to_owned();
                let key = zeroize::Zeroizing::new(self.new.key().to_owned());
                trust.key = trust.key.map(|_| key);
            }
            RotationStep::Drop => forget(&mut trust.accepted, &self.old),
        }
        trust.write(self.ca, &mut after)?;
        Ok(after)
    }
}

fn is_control_plane(config: &MachineConfig) -> bool {
    config
        .machine_type()
        .is_some_and(|machine| machine.is_control_plane())
}
