//! Daemon sets: one pod on every node that they may run on.

use serde_json::{Value, json};

use super::super::object::{deleting, flag, list, name, namespace, set, text, texts};
use super::super::selector::Selector;
use super::{Turn, pods, scheduler};

const SETS: &str = "daemonsets.apps";
const HASH: &str = "controller-revision-hash";

pub(super) fn run(turn: &mut Turn<'_>) {
    for set in turn.all(SETS) {
        if !deleting(&set) {
            cover(turn, &set);
        }
    }
}

/// Tolerations that every daemon pod gets.
fn tolerations(host_network: bool) -> Vec<Value> {
    let mut all: Vec<Value> = ["not-ready", "unreachable"]
        .iter()
        .map(|one| {
            json!({"key": format!("node.kubernetes.io/{one}"), "operator": "Exists", "effect": "NoExecute"})
        })
        .collect();
    let mut quiet = vec![
        "disk-pressure",
        "memory-pressure",
        "pid-pressure",
        "unschedulable",
    ];
    if host_network {
        quiet.push("network-unavailable");
    }
    all.extend(quiet.iter().map(|one| {
        json!({"key": format!("node.kubernetes.io/{one}"), "operator": "Exists", "effect": "NoSchedule"})
    }));
    all
}

fn pod_for(set_object: &Value, node: &str, hash: &str, pod_name: &str) -> Value {
    let mut pod = pods::from_template(set_object, &set_object["spec"]["template"], pod_name);
    set(&mut pod, &format!("/metadata/labels/{HASH}"), json!(hash));
    let mut all = list(&pod, "/spec/tolerations").to_vec();
    for one in tolerations(flag(&pod, "/spec/hostNetwork")) {
        if !all.contains(&one) {
            all.push(one);
        }
    }
    set(&mut pod, "/spec/tolerations", json!(all));
    let term = json!({"key": "metadata.name", "operator": "In", "values": [node]});
    const TERMS: &str = "/spec/affinity/nodeAffinity/requiredDuringSchedulingIgnoredDuringExecution/nodeSelectorTerms";
    let terms: Vec<Value> = match list(&pod, TERMS) {
        [] => vec![json!({"matchFields": [term]})],
        given => given
            .iter()
            .map(|one| {
                let mut one = one.clone();
                one["matchFields"] = json!([term]);
                one
            })
            .collect(),
    };
    set(&mut pod, TERMS, json!(terms));
    pod
}

/// True when a node is one that the set wants a pod on.
fn eligible(set_object: &Value, node: &Value) -> bool {
    let probe = pod_for(set_object, name(node), "", "probe");
    let labels = texts(node, "/metadata/labels");
    let given = list(&probe, "/spec/tolerations");
    Selector::of_labels(&texts(&probe, "/spec/nodeSelector")).matches(&labels)
        && scheduler::affine(&probe, name(node), &labels)
        && list(node, "/spec/taints").iter().all(|taint| {
            taint["effect"] == "PreferNoSchedule"
                || given.iter().any(|one| scheduler::tolerates(one, taint))
        })
}

fn node_of(pod: &Value) -> String {
    let bound = text(pod, "/spec/nodeName");
    if !bound.is_empty() {
        return bound.to_owned();
    }
    const TERM: &str = "/spec/affinity/nodeAffinity/requiredDuringSchedulingIgnoredDuringExecution/nodeSelectorTerms/0/matchFields/0/values/0";
    text(pod, TERM).to_owned()
}

fn cover(turn: &mut Turn<'_>, set_object: &Value) {
    let hash = pods::template_hash(&set_object["spec"]["template"]);
    let own = pods::owned(turn, "pods", set_object);
    let nodes = turn.all("nodes");
    let mut desired = 0;
    let mut failure = None;
    let rolling = text(set_object, "/spec/updateStrategy/type") == "RollingUpdate";
    // A daemon set that rolls replaces one pod after the other.
    let mut may_stop = usize::from(!own.iter().any(|one| {
        deleting(one) || !pods::is_ready(one) && one["metadata"]["labels"][HASH] == hash.as_str()
    }));
    for node in &nodes {
        let here: Vec<_> = own
            .iter()
            .filter(|one| node_of(one) == name(node))
            .collect();
        if !eligible(set_object, node) {
            for one in here.iter().filter(|one| !deleting(one)) {
                // A pod that already runs stays: only NoExecute drives it away.
                let runs = !text(one, "/spec/nodeName").is_empty();
                let selected = selected(set_object, node);
                if !runs || !selected {
                    turn.delete("pods", one);
                }
            }
            continue;
        }
        desired += 1;
        if here.is_empty() {
            let pod_name = format!("{}-{}", name(set_object), turn.world.next_suffix());
            let pod = pod_for(set_object, name(node), &hash, &pod_name);
            if let Err(refusal) = pods::create(turn, pod) {
                failure = Some(refusal.message);
            }
        }
        for one in here {
            let stale = one["metadata"]["labels"][HASH] != hash.as_str();
            if !deleting(one)
                && (pods::finished(one)
                    || (stale && rolling && (may_stop > 0 || !pods::is_ready(one))))
            {
                may_stop = 0;
                turn.delete("pods", one);
            }
        }
    }
    if let Some(message) = failure {
        turn.event(
            set_object,
            "Warning",
            "FailedCreate",
            &format!("Error creating: {message}"),
        );
    }
    report(turn, set_object, desired, &hash);
}

/// True when labels and affinity still choose the node, whatever its taints.
fn selected(set_object: &Value, node: &Value) -> bool {
    let probe = pod_for(set_object, name(node), "", "probe");
    let labels = texts(node, "/metadata/labels");
    Selector::of_labels(&texts(&probe, "/spec/nodeSelector")).matches(&labels)
        && scheduler::affine(&probe, name(node), &labels)
}

fn report(turn: &mut Turn<'_>, set_object: &Value, desired: usize, hash: &str) {
    let mut own = turn.all_in("pods", namespace(set_object));
    own.retain(|one| {
        !deleting(one)
            && text(one, "/metadata/ownerReferences/0/uid") == super::super::object::uid(set_object)
    });
    let bound = own
        .iter()
        .filter(|one| !text(one, "/spec/nodeName").is_empty())
        .count();
    let ready = own.iter().filter(|one| pods::is_ready(one)).count();
    let updated = own
        .iter()
        .filter(|one| one["metadata"]["labels"][HASH] == hash)
        .count();
    turn.update(SETS, set_object, |one| {
        let generation = one["metadata"]["generation"].clone();
        set(one, "/status/observedGeneration", generation);
        set(one, "/status/desiredNumberScheduled", json!(desired));
        set(
            one,
            "/status/currentNumberScheduled",
            json!(bound.min(desired)),
        );
        set(one, "/status/updatedNumberScheduled", json!(updated));
        set(one, "/status/numberReady", json!(ready));
        set(one, "/status/numberAvailable", json!(ready));
        set(
            one,
            "/status/numberUnavailable",
            json!(desired.saturating_sub(ready)),
        );
        set(one, "/status/numberMisscheduled", json!(0));
    });
}
