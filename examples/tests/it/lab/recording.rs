//! A build whose world is looked at between any two of its requests.

use std::sync::{Arc, Mutex, OnceLock};

use homelab::lab::gate::{Arrival, Gate};
use homelab::lab::{Lab, LabWorld};
use homelab::secrets::SecretStore;
use homelab::spec::Spec;

use super::picture::Picture;
use super::program::Program;

/// The world between two requests of a build.
pub(super) struct Moment {
    /// The request that is next.
    pub(super) next: Arrival,
    /// The world without it.
    pub(super) world: LabWorld,
    /// The secrets that were made so far.
    pub(super) secrets: SecretStore,
}

impl Moment {
    /// A program that is started at this moment.
    pub(super) fn resume(&self, spec: &Spec, gate: Gate) -> Program {
        let secrets = self.secrets.copy_in_memory().unwrap();
        Program::on(spec, gate, Some(self.world.clone()), secrets)
    }
}

/// Builds undisturbed, hands out the moments that `wanted` chooses, and returns what is there at the end.
pub(super) async fn record(
    spec: &Spec,
    wanted: impl Fn(&Arrival) -> bool + Send + Sync + 'static,
    take: impl FnMut(Moment) + Send + 'static,
) -> Picture {
    let gate = Gate::open();
    let secrets = SecretStore::memory();
    let program = Program::on(spec, gate.clone(), None, secrets.clone());
    let lab: OnceLock<Lab> = OnceLock::new();
    let _ = lab.set(program.lab.clone());
    let take = Mutex::new(take);
    gate.watch(move |next| {
        if let (true, Some(lab)) = (wanted(next), lab.get()) {
            let moment = Moment {
                next: next.clone(),
                world: lab.snapshot(),
                secrets: secrets.copy_in_memory().unwrap(),
            };
            take.lock().unwrap()(moment);
        }
    });
    let built = program.up().await;
    gate.watch(|_| {});
    built.unwrap_or_else(|failures| panic!("{}", super::program::stories(&failures)));
    let plan = program.session.plan().await.unwrap();
    assert!(plan.is_empty(), "left to do: {plan}");
    Picture::of(&program)
}

/// All moments that `wanted` chooses, and what is there at the end.
pub(super) async fn moments(
    spec: &Spec,
    wanted: impl Fn(&Arrival) -> bool + Send + Sync + 'static,
) -> (Vec<Moment>, Picture) {
    let kept = Arc::new(Mutex::new(Vec::new()));
    let keep = kept.clone();
    let picture = record(spec, wanted, move |moment| {
        keep.lock().unwrap().push(moment)
    })
    .await;
    let moments = std::mem::take(&mut *kept.lock().unwrap());
    (moments, picture)
}
