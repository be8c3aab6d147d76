//! What every cluster has: its namespaces with their contents, its API service, CRDs that become
//! served.

use serde_json::{Value, json};

use super::super::object::{
    Condition, condition, deleting, is_true, list, name, remove, set, set_condition, text, time,
};
use super::super::world::CRDS;
use super::Turn;

pub(super) fn run(turn: &mut Turn<'_>) {
    for name in ["default", "kube-node-lease", "kube-public", "kube-system"] {
        if turn.world.get("namespaces", "", name).is_none() {
            turn.create("namespaces", object("v1", "Namespace", "", name));
        }
    }
    api_service(turn);
    for namespace in turn.all("namespaces") {
        if deleting(&namespace) {
            empty(turn, &namespace);
        } else {
            furnish(turn, name(&namespace));
        }
    }
    definitions(turn);
}

/// The bare object of a kind.
pub(crate) fn object(api_version: &str, kind: &str, namespace: &str, name: &str) -> Value {
    let mut object = json!({"apiVersion": api_version, "kind": kind, "metadata": {"name": name}});
    if !namespace.is_empty() {
        set(&mut object, "/metadata/namespace", json!(namespace));
    }
    object
}

fn api_service(turn: &mut Turn<'_>) {
    if turn
        .world
        .get("services", "default", "kubernetes")
        .is_some()
    {
        return;
    }
    let address = turn
        .world
        .settings
        .service_cidr
        .hosts()
        .next()
        .map(|one| one.to_string());
    let mut service = object("v1", "Service", "default", "kubernetes");
    set(
        &mut service,
        "/metadata/labels",
        json!({"component": "apiserver", "provider": "kubernetes"}),
    );
    service["spec"] = json!({
        "clusterIP": address, "clusterIPs": [address],
        "ports": [{"name": "https", "port": 443, "protocol": "TCP", "targetPort": 6443}],
    });
    turn.create("services", service);
}

fn furnish(turn: &mut Turn<'_>, namespace: &str) {
    if turn
        .world
        .get("serviceaccounts", namespace, "default")
        .is_none()
    {
        turn.create(
            "serviceaccounts",
            object("v1", "ServiceAccount", namespace, "default"),
        );
    }
    if turn
        .world
        .get("configmaps", namespace, "kube-root-ca.crt")
        .is_none()
    {
        let mut map = object("v1", "ConfigMap", namespace, "kube-root-ca.crt");
        map["data"] = json!({"ca.crt": turn.world.settings.ca_pem});
        turn.create("configmaps", map);
    }
}

/// Deletes what a terminating namespace holds, then lets it go.
fn empty(turn: &mut Turn<'_>, namespace: &Value) {
    let home = name(namespace).to_owned();
    let contents: Vec<(String, Value)> = turn
        .world
        .objects()
        .filter(|(_, one)| text(one, "/metadata/namespace") == home)
        .map(|(resource, one)| (resource.to_owned(), one.clone()))
        .collect();
    for (resource, one) in &contents {
        if !deleting(one) {
            turn.delete(resource, one);
        }
    }
    let left: Vec<String> = turn
        .world
        .objects()
        .filter(|(_, one)| text(one, "/metadata/namespace") == home)
        .map(|(resource, one)| format!("{resource} {}", name(one)))
        .collect();
    if !left.is_empty() {
        let now = turn.now;
        let message = format!("Some content in the namespace remains: {}", left.join(", "));
        turn.update("namespaces", namespace, |one| {
            set_condition(
                one,
                now,
                &Condition {
                    kind: "NamespaceContentRemaining",
                    status: true,
                    reason: "SomeResourcesRemain",
                    message: &message,
                },
            );
        });
        return;
    }
    turn.update("namespaces", namespace, |one| {
        let kept: Vec<Value> = list(one, "/spec/finalizers")
            .iter()
            .filter(|one| *one != "kubernetes")
            .cloned()
            .collect();
        set(one, "/spec/finalizers", json!(kept));
    });
    let current = turn.world.get("namespaces", "", &home).cloned();
    if let (Some(kind), Some(current)) = (turn.kind("namespaces"), current) {
        super::super::delete::finalised(turn.world, &kind, &current);
    }
}

/// Accepts the names of new CRDs at once and serves them after a moment.
fn definitions(turn: &mut Turn<'_>) {
    for crd in turn.all(CRDS) {
        if deleting(&crd) {
            continue;
        }
        let now = turn.now;
        if condition(&crd, "NamesAccepted").is_none() {
            turn.update(CRDS, &crd, |one| {
                set_condition(
                    one,
                    now,
                    &Condition {
                        kind: "NamesAccepted",
                        status: true,
                        reason: "NoConflicts",
                        message: "no conflicts found",
                    },
                );
                let names = one["spec"]["names"].clone();
                set(one, "/status/acceptedNames", names);
            });
        }
        let created = time(&crd, "/metadata/creationTimestamp").unwrap_or(now);
        if !is_true(&crd, "Established")
            && turn.after(created, turn.environment.timings.crd_established)
        {
            turn.update(CRDS, &crd, |one| {
                set_condition(
                    one,
                    now,
                    &Condition {
                        kind: "Established",
                        status: true,
                        reason: "InitialNamesAccepted",
                        message: "the initial names have been accepted",
                    },
                );
                if one.pointer("/status/conditions").is_none() {
                    remove(one, "/status");
                }
            });
        }
    }
}
