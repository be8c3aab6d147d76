//! What kubelets make of the pods that are bound to their nodes.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use super::super::delete::finalised;
use super::super::environment::{Stage, Unmet};
use super::super::object::{
    Condition, deleting, flag, is_true, list, name, namespace, number, set, set_condition, stamp,
    text, time,
};
use super::super::world::World;
use super::nodes::NO_NETWORK;
use super::{Turn, pods};

pub(super) fn run(turn: &mut Turn<'_>) {
    let judged = judgement(turn.world);
    let judge = judged != turn.world.judged;
    for pod in turn.all("pods") {
        let node = text(&pod, "/spec/nodeName").to_owned();
        if node.is_empty() {
            continue;
        }
        let up = turn.world.kubelets.get(&node).is_some_and(|one| one.up);
        if !up {
            lost(turn, &pod, &node);
        } else if deleting(&pod) {
            terminate(turn, &pod);
        } else if !pods::finished(&pod) {
            advance(turn, &pod, &node, judge);
        }
    }
    turn.world.judged = judged;
}

/// Stamp of what needs depend on: changes when a policy, secret, CRD or service does.
fn judgement(world: &World) -> u64 {
    const KINDS: [&str; 8] = [
        "ciliumnetworkpolicies.cilium.io",
        "ciliumclusterwidenetworkpolicies.cilium.io",
        "networkpolicies.networking.k8s.io",
        "secrets",
        "configmaps",
        "services",
        "customresourcedefinitions.apiextensions.k8s.io",
        "storageclasses.storage.k8s.io",
    ];
    let mut stamp = 1_u64;
    for kind in KINDS {
        for object in world.list(kind) {
            let version: u64 = text(object, "/metadata/resourceVersion")
                .parse()
                .unwrap_or_default();
            // A sum changes with every write and every removal, since versions are never reused.
            stamp = stamp.wrapping_add(version.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        }
    }
    stamp
}

/// A node that does not report: its pods are no longer counted as ready.
fn lost(turn: &mut Turn<'_>, pod: &Value, node: &str) {
    let unknown = turn
        .world
        .get("nodes", "", node)
        .and_then(|one| super::super::object::condition(one, "Ready"))
        .is_some_and(|one| one["status"] == "Unknown");
    if unknown && is_true(pod, "Ready") {
        let now = turn.now;
        turn.update("pods", pod, |one| {
            set_condition(
                one,
                now,
                &Condition {
                    kind: "Ready",
                    status: false,
                    reason: "NodeNotReady",
                    message: "",
                },
            );
        });
    }
}

fn terminate(turn: &mut Turn<'_>, pod: &Value) {
    let grace = number(pod, "/metadata/deletionGracePeriodSeconds").unwrap_or_default();
    let end = time(pod, "/metadata/deletionTimestamp").unwrap_or(turn.now);
    let began = end
        .checked_sub(SignedDuration::from_secs(grace))
        .unwrap_or(end);
    let takes = turn
        .environment
        .timings
        .termination
        .min(Duration::from_secs(
            u64::try_from(grace).unwrap_or_default(),
        ));
    if !turn.after(began, takes) {
        return;
    }
    turn.update("pods", pod, |one| {
        set(one, "/metadata/deletionGracePeriodSeconds", json!(0));
    });
    let current = turn.world.get("pods", namespace(pod), name(pod)).cloned();
    if let (Some(kind), Some(current)) = (turn.kind("pods"), current) {
        finalised(turn.world, &kind, &current);
    }
}

fn plus(at: Timestamp, delay: Duration) -> Timestamp {
    SignedDuration::try_from(delay)
        .ok()
        .and_then(|delay| at.checked_add(delay).ok())
        .unwrap_or(at)
}

/// Takes a pod one stage further, as far as time and its needs allow.
fn advance(turn: &mut Turn<'_>, pod: &Value, node: &str, judge: bool) {
    let Some(kubelet) = turn.world.kubelets.get(node).cloned() else {
        return;
    };
    let host = flag(pod, "/spec/hostNetwork");
    let running = turn.world.timer(pod, "running");
    let Some(started) = running else {
        if !host && kubelet.network.is_none() {
            let why = format!("network is not ready: {NO_NETWORK}");
            return wait(
                turn,
                pod,
                "ContainerCreating",
                "",
                Some(("NetworkNotReady", &why)),
            );
        }
        if let Some(why) = missing_volume(turn.world, pod) {
            return wait(
                turn,
                pod,
                "ContainerCreating",
                "",
                Some(("FailedMount", &why)),
            );
        }
        let unmet = needs(turn, pod, Some(Stage::Start));
        if let Some(first) = unmet.first() {
            let why = first.message.clone();
            return wait(
                turn,
                pod,
                "ContainerCreating",
                &why,
                Some(("FailedCreatePodSandBox", &why)),
            );
        }
        let bound = turn.world.note(pod, "sandbox", turn.now);
        if !turn.after(bound, turn.environment.timings.sandbox) {
            return wait(turn, pod, "ContainerCreating", "", None);
        }
        let pulled = pull(turn, pod, node);
        if !turn.after(pulled, Duration::ZERO) {
            return wait(turn, pod, "ContainerCreating", "", None);
        }
        if let Some(why) = missing_key(turn.world, pod) {
            return wait(
                turn,
                pod,
                "CreateContainerConfigError",
                &why,
                Some(("Failed", &format!("Error: {why}"))),
            );
        }
        let steps = 1 + list(pod, "/spec/initContainers").len();
        let steps = u32::try_from(steps).unwrap_or(1);
        let created = turn.world.note(pod, "created", turn.now);
        if !turn.after(created, turn.environment.timings.container_start * steps) {
            return wait(turn, pod, "PodInitializing", "", None);
        }
        turn.world.note(pod, "running", turn.now);
        return advance(turn, pod, node, judge);
    };
    if text(pod, "/spec/restartPolicy") != "Always" {
        return work(turn, pod, node, started);
    }
    let ready = is_true(pod, "Ready");
    if ready && !judge {
        return;
    }
    let probe = first_probe(turn, pod);
    let mut unmet = Vec::new();
    let in_time = turn.after(started, probe);
    if in_time {
        unmet = needs(turn, pod, None);
    }
    report_running(
        turn,
        pod,
        node,
        started,
        in_time && unmet.is_empty(),
        &unmet,
    );
}

fn first_probe(turn: &Turn<'_>, pod: &Value) -> Duration {
    list(pod, "/spec/containers")
        .iter()
        .filter_map(|one| number(one, "/readinessProbe/initialDelaySeconds"))
        .max()
        .and_then(|one| u64::try_from(one).ok())
        .map_or(turn.environment.timings.first_probe, Duration::from_secs)
}

fn needs(turn: &Turn<'_>, pod: &Value, stage: Option<Stage>) -> Vec<Unmet> {
    let mut unmet = turn.environment.readiness.unmet(turn.world, pod);
    unmet.retain(|one| stage.is_none_or(|stage| one.stage == stage));
    unmet
}

/// When the last image of a pod is on its node.
fn pull(turn: &mut Turn<'_>, pod: &Value, node: &str) -> Timestamp {
    let mut at = turn.now;
    let images: Vec<String> = ["/spec/initContainers", "/spec/containers"]
        .iter()
        .flat_map(|place| list(pod, place))
        .map(|one| text(one, "/image").to_owned())
        .collect();
    let takes = turn.environment.timings.image_pull;
    let Some(kubelet) = turn.world.kubelets.get_mut(node) else {
        return at;
    };
    for image in images {
        // Pods that need the same image wait for the same pull; one pod pulls one after the other.
        let done = *kubelet
            .images
            .entry(image)
            .or_insert_with(|| plus(at, takes));
        at = at.max(done);
    }
    at
}

/// A volume of a secret or ConfigMap that does not exist.
fn missing_volume(world: &World, pod: &Value) -> Option<String> {
    let home = namespace(pod);
    for volume in list(pod, "/spec/volumes") {
        let sources = std::iter::once(volume).chain(list(volume, "/projected/sources"));
        for source in sources {
            for (kind, place, resource, key) in [
                ("secret", "/secret", "secrets", "secretName"),
                ("configmap", "/configMap", "configmaps", "name"),
            ] {
                let Some(wanted) = source.pointer(place) else {
                    continue;
                };
                let given = match text(wanted, &format!("/{key}")) {
                    "" => text(wanted, "/name"),
                    given => given,
                };
                if flag(wanted, "/optional") || given.is_empty() {
                    continue;
                }
                let volume_name = text(volume, "/name");
                let Some(found) = world.get(resource, home, given) else {
                    return Some(format!(
                        "MountVolume.SetUp failed for volume {volume_name:?} : {kind} {given:?} not found"
                    ));
                };
                for item in list(wanted, "/items") {
                    let item_key = text(item, "/key");
                    if !has_key(found, item_key) {
                        return Some(format!(
                            "MountVolume.SetUp failed for volume {volume_name:?} : references \
                             non-existent {kind} key: {item_key}"
                        ));
                    }
                }
            }
        }
    }
    None
}

fn has_key(object: &Value, key: &str) -> bool {
    ["data", "binaryData"]
        .iter()
        .any(|part| object[*part].get(key).is_some())
}

/// A key of a secret or ConfigMap that an environment variable wants and that is not there.
fn missing_key(world: &World, pod: &Value) -> Option<String> {
    let home = namespace(pod);
    let find = |wanted: &Value, resource: &str, kind: &str, key: Option<&str>| -> Option<String> {
        if flag(wanted, "/optional") {
            return None;
        }
        let given = text(wanted, "/name");
        let Some(found) = world.get(resource, home, given) else {
            return Some(format!("{} {given:?} not found", kind.to_lowercase()));
        };
        let key = key?;
        (!has_key(found, key)).then(|| format!("couldn't find key {key} in {kind} {home}/{given}"))
    };
    for container in list(pod, "/spec/initContainers")
        .iter()
        .chain(list(pod, "/spec/containers"))
    {
        for variable in list(container, "/env") {
            for (place, resource, kind) in [
                ("/valueFrom/secretKeyRef", "secrets", "Secret"),
                ("/valueFrom/configMapKeyRef", "configmaps", "ConfigMap"),
            ] {
                if let Some(wanted) = variable.pointer(place)
                    && let Some(why) = find(wanted, resource, kind, Some(text(wanted, "/key")))
                {
                    return Some(why);
                }
            }
        }
        for source in list(container, "/envFrom") {
            for (place, resource, kind) in [
                ("/secretRef", "secrets", "Secret"),
                ("/configMapRef", "configmaps", "ConfigMap"),
            ] {
                if let Some(wanted) = source.pointer(place)
                    && let Some(why) = find(wanted, resource, kind, None)
                {
                    return Some(why);
                }
            }
        }
    }
    None
}

/// Shows a pod whose containers do not run yet, and why.
fn wait(
    turn: &mut Turn<'_>,
    pod: &Value,
    reason: &str,
    message: &str,
    event: Option<(&str, &str)>,
) {
    if let Some((kind, text)) = event {
        turn.event(pod, "Warning", kind, text);
    }
    let now = turn.now;
    turn.update("pods", pod, |one| {
        set(one, "/status/phase", json!("Pending"));
        super::super::object::default(one, "/status/startTime", json!(stamp(now)));
        let statuses: Vec<Value> = list(one, "/spec/containers")
            .iter()
            .map(|container| {
                let mut waiting = json!({"reason": reason});
                if !message.is_empty() {
                    waiting["message"] = json!(message);
                }
                json!({"name": container["name"], "image": container["image"], "imageID": "",
                    "ready": false, "started": false, "restartCount": 0, "state": {"waiting": waiting}})
            })
            .collect();
        let why = unready(one, message);
        set(one, "/status/containerStatuses", json!(statuses));
        for kind in ["Ready", "ContainersReady"] {
            set_condition(one, now, &Condition {
                kind,
                status: false,
                reason: "ContainersNotReady",
                message: &why,
            });
        }
    });
}

fn unready(pod: &Value, why: &str) -> String {
    let names: Vec<&str> = list(pod, "/spec/containers")
        .iter()
        .map(|one| text(one, "/name"))
        .collect();
    let mut message = format!("containers with unready status: [{}]", names.join(" "));
    if !why.is_empty() {
        message.push_str(": ");
        message.push_str(why);
    }
    message
}

fn report_running(
    turn: &mut Turn<'_>,
    pod: &Value,
    node: &str,
    started: Timestamp,
    ready: bool,
    unmet: &[Unmet],
) {
    let why: Vec<&str> = unmet.iter().map(|one| one.message.as_str()).collect();
    let why = why.join("; ");
    if !why.is_empty() {
        turn.event(
            pod,
            "Warning",
            "Unhealthy",
            &format!("Readiness probe failed: {why}"),
        );
    }
    let address = address(turn.world, pod, node);
    let now = turn.now;
    turn.update("pods", pod, |one| {
        set(one, "/status/phase", json!("Running"));
        addressed(one, &address);
        let statuses: Vec<Value> = list(one, "/spec/containers")
            .iter()
            .map(|container| {
                json!({"name": container["name"], "image": container["image"],
                    "imageID": container["image"], "containerID": "", "ready": ready,
                    "started": true, "restartCount": 0,
                    "state": {"running": {"startedAt": stamp(started)}}})
            })
            .collect();
        set(one, "/status/containerStatuses", json!(statuses));
        let message = if ready {
            String::new()
        } else {
            unready(one, &why)
        };
        let reason = if ready { "" } else { "ContainersNotReady" };
        for (kind, status) in [
            ("PodReadyToStartContainers", true),
            ("Initialized", true),
            ("ContainersReady", ready),
            ("Ready", ready),
        ] {
            let plain = status || kind == "Initialized";
            set_condition(
                one,
                now,
                &Condition {
                    kind,
                    status,
                    reason: if plain { "" } else { reason },
                    message: if plain { "" } else { &message },
                },
            );
        }
    });
}

/// Addresses of a pod and of its node.
fn address(world: &World, pod: &Value, node: &str) -> (String, String) {
    let host = world
        .get("nodes", "", node)
        .map(|one| text(one, "/status/addresses/0/address").to_owned())
        .unwrap_or_default();
    let known = text(pod, "/status/podIP");
    if flag(pod, "/spec/hostNetwork") {
        return (host.clone(), host);
    }
    if !known.is_empty() {
        return (known.to_owned(), host);
    }
    let range = world
        .get("nodes", "", node)
        .map(|one| text(one, "/spec/podCIDR").to_owned());
    let range: Option<ipnet::IpNet> = range.and_then(|one| one.parse().ok());
    let used: Vec<&str> = world
        .list("pods")
        .map(|one| text(one, "/status/podIP"))
        .collect();
    let free = range.and_then(|range| {
        // The first address of a node's range is its gateway.
        range
            .hosts()
            .skip(1)
            .map(|one| one.to_string())
            .find(|one| !used.contains(&one.as_str()))
    });
    (free.unwrap_or_default(), host)
}

fn addressed(pod: &mut Value, (own, host): &(String, String)) {
    set(pod, "/status/hostIP", json!(host));
    set(pod, "/status/hostIPs", json!([{"ip": host}]));
    set(pod, "/status/podIP", json!(own));
    set(pod, "/status/podIPs", json!([{"ip": own}]));
}

/// A pod that ends: it runs its time, then it has succeeded, unless it lacks something.
fn work(turn: &mut Turn<'_>, pod: &Value, node: &str, started: Timestamp) {
    let unmet = needs(turn, pod, None);
    if !unmet.is_empty() {
        return report_running(turn, pod, node, started, false, &unmet);
    }
    if !turn.after(started, turn.environment.timings.job_run) {
        return report_running(turn, pod, node, started, true, &[]);
    }
    report_running(turn, pod, node, started, true, &[]);
    let now = turn.now;
    turn.update("pods", pod, |one| {
        set(one, "/status/phase", json!("Succeeded"));
        for status in one["status"]["containerStatuses"]
            .as_array_mut()
            .into_iter()
            .flatten()
        {
            status["ready"] = json!(false);
            status["state"] = json!({"terminated": {"exitCode": 0, "reason": "Completed",
                "startedAt": stamp(started), "finishedAt": stamp(now)}});
        }
        for kind in ["Ready", "ContainersReady"] {
            set_condition(
                one,
                now,
                &Condition {
                    kind,
                    status: false,
                    reason: "PodCompleted",
                    message: "",
                },
            );
        }
    });
}
