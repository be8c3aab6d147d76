//! An environment, its lab and the verbs that the tests of this folder play.

use homelab::apply::Interrupt;
use homelab::failure::Failure;
use homelab::lab::gate::Gate;
use homelab::lab::{Lab, LabWorld};
use homelab::progress::Events;
use homelab::secrets::SecretStore;
use homelab::session::Session;
use homelab::spec::Spec;
use homelab::target::Target;

pub(super) fn environment(name: &str) -> Spec {
    let text = match name {
        "development" => include_str!("../../../environments/development/cluster.yaml"),
        "staging" => include_str!("../../../environments/staging/cluster.yaml"),
        "production" => include_str!("../../../environments/production/cluster.yaml"),
        other => panic!("there is no environment {other}"),
    };
    Spec::parse("cluster.yaml", text)
        .unwrap_or_else(|problems| panic!("{}", problems.render(false)))
}

/// A program that works on a lab of its own.
pub(super) struct Program {
    pub(super) lab: Lab,
    pub(super) session: Session,
}

impl Program {
    /// On an empty lab.
    pub(super) fn new(spec: &Spec, gate: Gate) -> Self {
        Self::on(spec, gate, None, SecretStore::memory())
    }

    /// On a lab that goes on from `world`, with the secrets of an earlier run.
    pub(super) fn on(
        spec: &Spec,
        gate: Gate,
        world: Option<LabWorld>,
        secrets: SecretStore,
    ) -> Self {
        let lab = Lab::in_process(spec, gate, world, secrets).unwrap();
        let target = Target::Lab(lab.clone());
        let session = Session::open(spec.clone(), target, Events::silent(), 4).unwrap();
        Self { lab, session }
    }

    /// Plans and builds.
    pub(super) async fn up(&self) -> Result<(), Vec<Failure>> {
        let plan = self.session.plan().await?;
        let applied = self.session.apply(&plan, &Interrupt::default()).await;
        applied
            .map(|_| ())
            .map_err(|stopped| stopped.failures.into_iter().map(|(_, why)| why).collect())
    }

    /// Plans and builds, which must succeed, and leaves nothing to do.
    pub(super) async fn up_for_good(&self, case: &str) {
        if let Err(failures) = self.up().await {
            panic!("{case}: {}", stories(&failures));
        }
        match self.session.plan().await {
            Ok(plan) => assert!(plan.is_empty(), "{case}: left to do: {plan}"),
            Err(failures) => panic!("{case}: {}", stories(&failures)),
        }
    }
}

pub(super) fn stories(failures: &[Failure]) -> String {
    let stories: Vec<_> = failures.iter().map(Failure::story).collect();
    stories.join("\n")
}

/// Whether the long form of a test is wanted.
pub(super) fn soak() -> bool {
    std::env::var_os("SOAK").is_some()
}
