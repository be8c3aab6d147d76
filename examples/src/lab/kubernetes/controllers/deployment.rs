//! Deployments and their replica sets.

use std::sync::Arc;

use serde_json::{Value, json};

use super::super::object::{
    Condition, deleting, flag, name, namespace, number, set, set_condition, text,
};
use super::{Turn, pods};

const DEPLOYMENTS: &str = "deployments.apps";
const SETS: &str = "replicasets.apps";
const HASH: &str = "pod-template-hash";

pub(super) fn run(turn: &mut Turn<'_>) {
    for deployment in turn.all(DEPLOYMENTS) {
        if !deleting(&deployment) {
            roll(turn, &deployment);
        }
    }
    for set in turn.all(SETS) {
        if !deleting(&set) {
            replicate(turn, &set);
        }
    }
}

/// Replicas that a workload wants.
pub(super) fn wanted(object: &Value) -> i64 {
    number(object, "/spec/replicas").unwrap_or(1)
}

/// A count or a share of the replicas (`25%`), rounded as asked.
pub(super) fn share(object: &Value, pointer: &str, total: i64, up: bool) -> i64 {
    let Some(value) = object.pointer(pointer) else {
        return 0;
    };
    let Some(percent) = value.as_str().and_then(|one| one.strip_suffix('%')) else {
        return value.as_i64().unwrap_or_default();
    };
    let parts = percent.parse::<i64>().unwrap_or_default() * total;
    if up { (parts + 99) / 100 } else { parts / 100 }
}

fn roll(turn: &mut Turn<'_>, deployment: &Value) {
    let hash = pods::template_hash(&deployment["spec"]["template"]);
    let sets = pods::owned(turn, SETS, deployment);
    let current = sets
        .iter()
        .find(|one| one["metadata"]["labels"][HASH] == hash.as_str());
    let old: Vec<&Arc<Value>> = sets
        .iter()
        .filter(|one| one["metadata"]["labels"][HASH] != hash.as_str())
        .collect();
    let total = wanted(deployment);
    let recreate = text(deployment, "/spec/strategy/type") == "Recreate";
    let Some(current) = current else {
        let running: i64 = old
            .iter()
            .map(|one| number(one, "/status/replicas").unwrap_or_default())
            .sum();
        if recreate && running > 0 {
            shrink(turn, &old);
        } else if !flag(deployment, "/spec/paused") {
            let first = if old.is_empty() || recreate { total } else { 0 };
            make_set(turn, deployment, &hash, first, sets.len());
        }
        report(turn, deployment, None);
        return;
    };
    if old.iter().all(|one| wanted(one) == 0) {
        scale(turn, current, total);
    } else if recreate {
        shrink(turn, &old);
    } else {
        let surge = share(
            deployment,
            "/spec/strategy/rollingUpdate/maxSurge",
            total,
            true,
        );
        let spare = share(
            deployment,
            "/spec/strategy/rollingUpdate/maxUnavailable",
            total,
            false,
        );
        let (surge, spare) = if surge == 0 && spare == 0 {
            (0, 1)
        } else {
            (surge, spare)
        };
        let all: i64 = sets.iter().map(|one| wanted(one)).sum();
        let room = (total + surge - all).max(0);
        scale(turn, current, (wanted(current) + room).min(total));
        let available: i64 = sets
            .iter()
            .map(|one| number(one, "/status/availableReplicas").unwrap_or_default())
            .sum();
        // Replicas of old sets that never became available go first and cost nothing.
        let mut excess = (available - (total - spare)).max(0);
        for one in &old {
            let healthy = number(one, "/status/availableReplicas")
                .unwrap_or_default()
                .min(wanted(one));
            let keep = healthy - healthy.min(excess);
            excess -= healthy - keep;
            scale(turn, one, keep);
        }
    }
    report(turn, deployment, Some(current));
}

fn shrink(turn: &mut Turn<'_>, sets: &[&Arc<Value>]) {
    for one in sets {
        scale(turn, one, 0);
    }
}

fn scale(turn: &mut Turn<'_>, set_object: &Value, replicas: i64) {
    turn.update(SETS, set_object, |one| {
        set(one, "/spec/replicas", json!(replicas))
    });
}

fn make_set(turn: &mut Turn<'_>, deployment: &Value, hash: &str, replicas: i64, revision: usize) {
    let mut template = deployment["spec"]["template"].clone();
    set(
        &mut template,
        &format!("/metadata/labels/{HASH}"),
        json!(hash),
    );
    let mut selector = deployment["spec"]["selector"].clone();
    set(&mut selector, &format!("/matchLabels/{HASH}"), json!(hash));
    let made = json!({
        "apiVersion": "apps/v1", "kind": "ReplicaSet",
        "metadata": {
            "name": format!("{}-{hash}", name(deployment)),
            "namespace": namespace(deployment),
            "labels": template["metadata"]["labels"],
            "annotations": {"deployment.kubernetes.io/revision": (revision + 1).to_string()},
            "ownerReferences": [pods::owner_reference(deployment)],
        },
        "spec": {"replicas": replicas, "selector": selector, "template": template},
    });
    turn.create(SETS, made);
}

fn report(turn: &mut Turn<'_>, deployment: &Value, current: Option<&Arc<Value>>) {
    let sets = pods::owned(turn, SETS, deployment);
    let sum = |field: &str| -> i64 {
        sets.iter()
            .map(|one| number(one, &format!("/status/{field}")).unwrap_or_default())
            .sum()
    };
    let fresh = current
        .and_then(|one| turn.world.get(SETS, namespace(one), name(one)))
        .cloned();
    let of_fresh = |field: &str| {
        fresh
            .as_ref()
            .and_then(|one| number(one, &format!("/status/{field}")))
            .unwrap_or_default()
    };
    let total = wanted(deployment);
    let (replicas, ready, available) = (
        sum("replicas"),
        sum("readyReplicas"),
        sum("availableReplicas"),
    );
    let updated = of_fresh("replicas");
    let spare = if text(deployment, "/spec/strategy/type") == "Recreate" {
        0
    } else {
        share(
            deployment,
            "/spec/strategy/rollingUpdate/maxUnavailable",
            total,
            false,
        )
    };
    let failure = fresh
        .as_ref()
        .and_then(|one| super::super::object::condition(one, "ReplicaFailure"))
        .map(|one| text(one, "/message").to_owned());
    let complete = updated == total && replicas == total && available == total;
    let now = turn.now;
    let set_name = fresh
        .as_ref()
        .map(|one| name(one).to_owned())
        .unwrap_or_default();
    let late = progress_failed(turn, deployment, complete, available);
    turn.update(DEPLOYMENTS, deployment, |one| {
        let generation = one["metadata"]["generation"].clone();
        set(one, "/status/observedGeneration", generation);
        for (field, value) in [
            ("replicas", replicas),
            ("updatedReplicas", updated),
            ("readyReplicas", ready),
            ("availableReplicas", available),
            (
                "unavailableReplicas",
                (total.max(replicas) - available).max(0),
            ),
        ] {
            if value == 0 {
                super::super::object::remove(one, &format!("/status/{field}"));
            } else {
                set(one, &format!("/status/{field}"), json!(value));
            }
        }
        let enough = available >= total - spare;
        set_condition(
            one,
            now,
            &Condition {
                kind: "Available",
                status: enough,
                reason: if enough {
                    "MinimumReplicasAvailable"
                } else {
                    "MinimumReplicasUnavailable"
                },
                message: if enough {
                    "Deployment has minimum availability."
                } else {
                    "Deployment does not have minimum availability."
                },
            },
        );
        let (status, reason, message) = if complete {
            (
                true,
                "NewReplicaSetAvailable",
                format!("ReplicaSet {set_name:?} has successfully progressed."),
            )
        } else if late {
            (
                false,
                "ProgressDeadlineExceeded",
                format!("ReplicaSet {set_name:?} has timed out progressing."),
            )
        } else {
            (
                true,
                "ReplicaSetUpdated",
                format!("ReplicaSet {set_name:?} is progressing."),
            )
        };
        let before = super::super::object::condition(one, "Progressing").cloned();
        set_condition(
            one,
            now,
            &Condition {
                kind: "Progressing",
                status,
                reason,
                message: &message,
            },
        );
        // `lastUpdateTime` moves with every progress: the deadline counts from it.
        let moved = before.as_ref().is_none_or(|before| {
            before["reason"] != reason || before["message"] != message.as_str()
        });
        let since = match before
            .as_ref()
            .and_then(|before| before.get("lastUpdateTime"))
        {
            Some(since) if !moved => since.clone(),
            _ => json!(super::super::object::stamp(now)),
        };
        for condition in one["status"]["conditions"]
            .as_array_mut()
            .into_iter()
            .flatten()
        {
            if condition["type"] == "Progressing" {
                condition["lastUpdateTime"] = since.clone();
            }
        }
        if let Some(message) = &failure {
            set_condition(
                one,
                now,
                &Condition {
                    kind: "ReplicaFailure",
                    status: true,
                    reason: "FailedCreate",
                    message,
                },
            );
        } else if let Some(items) = one["status"]["conditions"].as_array_mut() {
            items.retain(|one| one["type"] != "ReplicaFailure");
        }
    });
}

/// True when nothing has moved for the deadline of the deployment.
fn progress_failed(
    turn: &mut Turn<'_>,
    deployment: &Value,
    complete: bool,
    available: i64,
) -> bool {
    if complete {
        return false;
    }
    let moved = number(deployment, "/status/availableReplicas").unwrap_or_default() != available;
    let seconds = number(deployment, "/spec/progressDeadlineSeconds").unwrap_or(600);
    let since = super::super::object::condition(deployment, "Progressing")
        .and_then(|one| super::super::object::time(one, "/lastUpdateTime"));
    let Some(since) = since.filter(|_| !moved) else {
        return false;
    };
    let seconds = u64::try_from(seconds).unwrap_or_default();
    turn.after(since, std::time::Duration::from_secs(seconds))
}

fn replicate(turn: &mut Turn<'_>, set_object: &Value) {
    let mut own = pods::owned(turn, "pods", set_object);
    own.retain(|one| !deleting(one) && !pods::finished(one));
    let total = wanted(set_object);
    let count = i64::try_from(own.len()).unwrap_or_default();
    let mut failure = None;
    for _ in count..total {
        let pod_name = format!("{}-{}", name(set_object), turn.world.next_suffix());
        let pod = pods::from_template(set_object, &set_object["spec"]["template"], &pod_name);
        if let Err(refusal) = pods::create(turn, pod) {
            failure = Some(refusal.message);
            break;
        }
    }
    if count > total {
        // Pods that are not ready go first, then the youngest.
        own.sort_by_key(|one| {
            (
                pods::is_ready(one),
                std::cmp::Reverse(text(one, "/metadata/creationTimestamp").to_owned()),
                name(one).to_owned(),
            )
        });
        let excess = usize::try_from(count - total).unwrap_or_default();
        for one in own.iter().take(excess) {
            turn.delete("pods", one);
        }
    }
    let mut now_own = pods::owned(turn, "pods", set_object);
    now_own.retain(|one| !deleting(one) && !pods::finished(one));
    let ready = now_own.iter().filter(|one| pods::is_ready(one)).count();
    let replicas = now_own.len();
    let now = turn.now;
    turn.update(SETS, set_object, |one| {
        let generation = one["metadata"]["generation"].clone();
        set(one, "/status/observedGeneration", generation);
        set(one, "/status/replicas", json!(replicas));
        set(one, "/status/fullyLabeledReplicas", json!(replicas));
        set(one, "/status/readyReplicas", json!(ready));
        set(one, "/status/availableReplicas", json!(ready));
        if let Some(message) = &failure {
            set_condition(
                one,
                now,
                &Condition {
                    kind: "ReplicaFailure",
                    status: true,
                    reason: "FailedCreate",
                    message,
                },
            );
        } else if let Some(items) = one["status"]["conditions"].as_array_mut() {
            items.retain(|one| one["type"] != "ReplicaFailure");
        }
    });
    if let Some(message) = failure {
        let text = format!("Error creating: {message}");
        turn.event(set_object, "Warning", "FailedCreate", &text);
    }
}
