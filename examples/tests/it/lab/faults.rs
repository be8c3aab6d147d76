//! One broken request, of any class and in any way, does not keep a build from its end.

use homelab::lab::gate::{Arrival, Break, Gate, System};

use super::picture::Picture;
use super::program::{environment, soak};
use super::recording::moments;

/// Breaks the first request of each class of a system; in long runs the 2nd, 4th, 8th … as well.
async fn every_class_of(system: System) {
    let spec = environment("development");
    let wanted = move |next: &Arrival| {
        next.class.system == system
            && (next.occurrence == 1 || soak() && next.occurrence.is_power_of_two())
    };
    let (moments, undisturbed) = moments(&spec, wanted).await;
    assert!(!moments.is_empty());
    for moment in &moments {
        for how in Break::all_for(system) {
            let case = format!(
                "{how:?} of {}, number {}",
                moment.next.class, moment.next.occurrence
            );
            let gate = Gate::breaking(moment.next.class.clone(), 1, *how);
            let program = moment.resume(&spec, gate.clone());
            program.up_for_good(&case).await;
            assert!(gate.has_broken(), "{case}: the request never came");
            Picture::of(&program).assert_same_as(&undisturbed, &case);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_broken_request_to_proxmox_is_survived() {
    every_class_of(System::Proxmox).await;
}

#[tokio::test(start_paused = true)]
async fn a_broken_call_to_talos_is_survived() {
    every_class_of(System::Talos).await;
}

#[tokio::test(start_paused = true)]
async fn a_broken_request_to_kubernetes_is_survived() {
    every_class_of(System::Kubernetes).await;
}

#[tokio::test(start_paused = true)]
async fn a_broken_run_of_restic_is_survived() {
    every_class_of(System::Restic).await;
}
