//! A program that is killed between any two requests and run again builds what an undisturbed one builds.

use homelab::lab::gate::{Arrival, Gate};
use homelab::spec::Spec;

use super::picture::{Picture, secrets};
use super::program::{environment, soak};
use super::recording::{Moment, moments};

async fn converges(spec: &Spec, moment: &Moment, undisturbed: &Picture) {
    let case = format!(
        "killed after request {}, before {}",
        moment.next.before, moment.next.class
    );
    let again = moment.resume(spec, Gate::open());
    let kept = secrets(&again);
    again.up_for_good(&case).await;
    Picture::of(&again).assert_same_as(undisturbed, &case);
    for (name, value) in secrets(&again) {
        // A secret that is once on disk is the secret of the cluster.
        assert!(
            kept.get(&name).is_none_or(|old| *old == value),
            "{case}: {name} changed"
        );
    }
}

/// Kills before each request of which the `chosen`th of its class; in long runs before every one.
async fn everywhere(name: &str, chosen: fn(usize) -> bool) {
    let spec = environment(name);
    let wanted = move |next: &Arrival| soak() || chosen(next.occurrence);
    let (moments, undisturbed) = moments(&spec, wanted).await;
    assert!(moments.len() > 30, "{} moments", moments.len());
    for moment in &moments {
        converges(&spec, moment, &undisturbed).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_killed_build_of_one_control_plane_converges() {
    everywhere("development", usize::is_power_of_two).await;
}

#[tokio::test(start_paused = true)]
async fn a_killed_build_of_three_control_planes_converges() {
    everywhere("production", |occurrence| occurrence == 1).await;
}
