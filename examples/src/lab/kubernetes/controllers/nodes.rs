//! Node conditions and taints, from what kubelets report and from the pod network.

use std::time::Duration;

use serde_json::{Value, json};

use super::super::object::{
    Condition, deleting, is_true, label, list, name, remove, set, set_condition, stamp, text,
};
use super::super::world::World;
use super::{Turn, pods};

const NOT_READY: &str = "node.kubernetes.io/not-ready";
const UNREACHABLE: &str = "node.kubernetes.io/unreachable";
const CORDONED: &str = "node.kubernetes.io/unschedulable";
/// Taint that nodes register with so that nothing starts before the Cilium agent.
const AGENT_NOT_READY: &str = "node.cilium.io/agent-not-ready";
/// What the container runtime says while no pod network is configured.
pub(super) const NO_NETWORK: &str = "container runtime network not ready: NetworkReady=false \
    reason:NetworkPluginNotReady message:Network plugin returns error: cni plugin not initialized";

pub(super) fn run(turn: &mut Turn<'_>) {
    let operator = cilium_operator(turn.world);
    for node in turn.all("nodes") {
        let node_name = name(&node).to_owned();
        let agent = network_agent(turn.world, &node_name);
        configure_network(turn, &node_name, agent);
        let Some(kubelet) = turn.world.kubelets.get(&node_name).cloned() else {
            // Nothing reports for a node object without a machine.
            condition(turn, &node, Report::Silent);
            continue;
        };
        if !kubelet.up {
            if turn.after(kubelet.since, turn.environment.timings.node_grace) {
                condition(turn, &node, Report::Silent);
            }
        } else if kubelet.network.is_some() {
            condition(turn, &node, Report::Ready);
        } else {
            condition(turn, &node, Report::NoNetwork);
        }
        let now = turn.now;
        let agent_is_cilium = agent && kubelet.network.is_some() && !kubelet.machine.own_network;
        turn.update("nodes", &node, |one| {
            if agent_is_cilium {
                set_condition(
                    one,
                    now,
                    &Condition {
                        kind: "NetworkUnavailable",
                        status: false,
                        reason: "CiliumIsUp",
                        message: "Cilium is running on this node",
                    },
                );
            }
            if agent && operator {
                taint(one, AGENT_NOT_READY, &[], None);
            }
        });
    }
    evict(turn);
}

enum Report {
    Ready,
    NoNetwork,
    Silent,
}

fn condition(turn: &mut Turn<'_>, node: &Value, report: Report) {
    let now = turn.now;
    turn.update("nodes", node, |one| {
        for (kind, reason, message) in [
            (
                "MemoryPressure",
                "KubeletHasSufficientMemory",
                "kubelet has sufficient memory available",
            ),
            (
                "DiskPressure",
                "KubeletHasNoDiskPressure",
                "kubelet has no disk pressure",
            ),
            (
                "PIDPressure",
                "KubeletHasSufficientPID",
                "kubelet has sufficient PID available",
            ),
        ] {
            set_condition(
                one,
                now,
                &Condition {
                    kind,
                    status: false,
                    reason,
                    message,
                },
            );
        }
        let (status, reason, message) = match report {
            Report::Ready => (true, "KubeletReady", "kubelet is posting ready status"),
            Report::NoNetwork => (false, "KubeletNotReady", NO_NETWORK),
            Report::Silent => (
                false,
                "NodeStatusUnknown",
                "Kubelet stopped posting node status.",
            ),
        };
        let silent = matches!(report, Report::Silent);
        let since = super::super::object::condition(one, "Ready")
            .filter(|one| one["status"] == "Unknown")
            .map(|one| one["lastTransitionTime"].clone());
        set_condition(
            one,
            now,
            &Condition {
                kind: "Ready",
                status,
                reason,
                message,
            },
        );
        if silent {
            for place in one["status"]["conditions"]
                .as_array_mut()
                .into_iter()
                .flatten()
            {
                if place["type"] == "Ready" {
                    place["status"] = json!("Unknown");
                    place["lastTransitionTime"] =
                        since.clone().unwrap_or_else(|| json!(stamp(now)));
                }
            }
        }
        let effects: &[&str] = &["NoSchedule", "NoExecute"];
        let none: &[&str] = &[];
        taint(
            one,
            NOT_READY,
            if status || silent { none } else { effects },
            Some(stamp(now)),
        );
        taint(
            one,
            UNREACHABLE,
            if silent { effects } else { none },
            Some(stamp(now)),
        );
        let cordoned = super::super::object::flag(one, "/spec/unschedulable");
        taint(
            one,
            CORDONED,
            if cordoned { &["NoSchedule"] } else { none },
            Some(stamp(now)),
        );
    });
}

/// Makes the taints with this key exactly those of these effects.
fn taint(node: &mut Value, key: &str, effects: &[&str], since: Option<String>) {
    let mut taints: Vec<Value> = list(node, "/spec/taints")
        .iter()
        .filter(|one| one["key"] != key || effects.iter().any(|effect| one["effect"] == *effect))
        .cloned()
        .collect();
    for effect in effects {
        if !taints
            .iter()
            .any(|one| one["key"] == key && one["effect"] == *effect)
        {
            let mut new = json!({"key": key, "effect": effect});
            if let (Some(since), "NoExecute") = (&since, *effect) {
                new["timeAdded"] = json!(since);
            }
            taints.push(new);
        }
    }
    if taints.is_empty() {
        remove(node, "/spec/taints");
    } else {
        set(node, "/spec/taints", json!(taints));
    }
}

/// True for pods that bring the pod network of their node.
fn is_network_agent(pod: &Value) -> bool {
    let app = label(pod, "k8s-app").or_else(|| label(pod, "app.kubernetes.io/name"));
    matches!(
        app,
        Some("cilium" | "cilium-agent" | "calico-node" | "flannel" | "kube-flannel")
    ) && super::super::object::flag(pod, "/spec/hostNetwork")
}

fn network_agent(world: &World, node: &str) -> bool {
    world.list("pods").any(|pod| {
        text(pod, "/spec/nodeName") == node && is_network_agent(pod) && pods::is_ready(pod)
    })
}

fn cilium_operator(world: &World) -> bool {
    world
        .list("pods")
        .any(|pod| is_cilium_operator(pod) && pods::is_ready(pod))
}

/// True for pods of the Cilium operator.
pub(super) fn is_cilium_operator(pod: &Value) -> bool {
    label(pod, "io.cilium/app") == Some("operator") || label(pod, "name") == Some("cilium-operator")
}

/// The network is configured once its agent was ready on the node, and stays so when it restarts.
fn configure_network(turn: &mut Turn<'_>, node: &str, agent: bool) {
    let now = turn.now;
    if let Some(kubelet) = turn.world.kubelets.get_mut(node)
        && kubelet.network.is_none()
        && (agent || kubelet.machine.own_network)
    {
        kubelet.network = Some(now);
    }
}

/// Deletes pods from nodes whose taints they do not tolerate, or no longer tolerate.
fn evict(turn: &mut Turn<'_>) {
    for node in turn.all("nodes") {
        if turn.world.kubelets.contains_key(name(&node)) || !is_true(&node, "Ready") {
            for pod in pods::on_node(turn, name(&node)) {
                if !deleting(&pod) && must_leave(turn, &node, &pod) {
                    turn.delete("pods", &pod);
                }
            }
        }
    }
    // Pods of nodes that are gone go with them.
    for pod in turn.all("pods") {
        let node = text(&pod, "/spec/nodeName");
        if !node.is_empty() && turn.world.get("nodes", "", node).is_none() {
            let home = text(&pod, "/metadata/namespace").to_owned();
            turn.world.erase("pods", &home, name(&pod));
        }
    }
}

fn must_leave(turn: &mut Turn<'_>, node: &Value, pod: &Value) -> bool {
    for taint in list(node, "/spec/taints")
        .iter()
        .filter(|one| one["effect"] == "NoExecute")
    {
        let tolerations: Vec<&Value> = list(pod, "/spec/tolerations")
            .iter()
            .filter(|one| super::scheduler::tolerates(one, taint))
            .collect();
        if tolerations.is_empty() {
            return true;
        }
        let limit = tolerations
            .iter()
            .map(|one| super::super::object::number(one, "/tolerationSeconds"))
            .min_by_key(|one| one.unwrap_or(i64::MAX))
            .flatten();
        let since = super::super::object::time(taint, "/timeAdded").unwrap_or(turn.now);
        if let Some(seconds) = limit.and_then(|one| u64::try_from(one).ok())
            && turn.after(since, Duration::from_secs(seconds))
        {
            return true;
        }
    }
    false
}
