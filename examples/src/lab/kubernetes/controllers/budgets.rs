//! Disruption budgets: how many pods may be evicted.

use std::sync::Arc;

use serde_json::{Value, json};

use super::super::object::{namespace, set, text};
use super::super::selector::Selector;
use super::deployment::{share, wanted};
use super::{Turn, pods};

const BUDGETS: &str = "poddisruptionbudgets.policy";

pub(super) fn run(turn: &mut Turn<'_>) {
    for budget in turn.all(BUDGETS) {
        let selector = Selector::of_object(budget.pointer("/spec/selector"));
        let Some(selector) = selector else { continue };
        let mut chosen = turn.all_in("pods", namespace(&budget));
        chosen.retain(|one| selector.selects(one) && !pods::finished(one));
        let expected = expected_pods(turn, &chosen);
        let healthy = i64::try_from(chosen.iter().filter(|one| pods::is_ready(one)).count())
            .unwrap_or_default();
        let desired = if budget.pointer("/spec/maxUnavailable").is_some() {
            expected - share(&budget, "/spec/maxUnavailable", expected, true)
        } else {
            share(&budget, "/spec/minAvailable", expected, true)
        }
        .max(0);
        turn.update(BUDGETS, &budget, |one| {
            let generation = one["metadata"]["generation"].clone();
            set(one, "/status/observedGeneration", generation);
            set(one, "/status/expectedPods", json!(expected));
            set(one, "/status/currentHealthy", json!(healthy));
            set(one, "/status/desiredHealthy", json!(desired));
            set(
                one,
                "/status/disruptionsAllowed",
                json!((healthy - desired).max(0)),
            );
        });
    }
}

/// Replicas that the owners of these pods want in all.
fn expected_pods(turn: &Turn<'_>, chosen: &[Arc<Value>]) -> i64 {
    let mut owners: Vec<(String, String, String)> = chosen
        .iter()
        .map(|pod| {
            let owner =
                |field: &str| text(pod, &format!("/metadata/ownerReferences/0/{field}")).to_owned();
            (owner("kind"), namespace(pod).to_owned(), owner("name"))
        })
        .collect();
    owners.sort();
    owners.dedup();
    owners
        .iter()
        .map(|(kind, home, owner)| {
            let resource = match kind.as_str() {
                "ReplicaSet" => "replicasets.apps",
                "StatefulSet" => "statefulsets.apps",
                _ => return i64::try_from(chosen.len()).unwrap_or_default(),
            };
            turn.world.get(resource, home, owner).map_or(0, wanted)
        })
        .sum()
}
