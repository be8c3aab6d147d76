//! Kubernetes objects that stand in for a component where no real chart is installed.

use serde_json::{Map, Value, json};

use super::definitions::{self, Definition};
use super::{Component, Kind, PUBLISHED, Requests, Workload};

/// An image that nobody pulls: the lab has no container runtime.
const IMAGE: &str = "registry.invalid/stand-in:1";

pub(super) fn stand_in(component: &Component) -> Vec<Value> {
    let mut out = Vec::new();
    if !component.namespace.is_empty() {
        out.push(namespace(component));
    }
    out.extend(
        component
            .provides
            .crds
            .iter()
            .filter_map(|name| definitions::find(name))
            .map(definition),
    );
    if component.workloads.is_empty() {
        return out;
    }
    let account = component.name.as_str();
    let namespace = component.namespace.as_str();
    let labels = json!({"app.kubernetes.io/part-of": component.name});
    out.push(json!({
        "apiVersion": "v1", "kind": "ServiceAccount",
        "metadata": {"name": account, "namespace": namespace, "labels": labels},
    }));
    out.push(json!({
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole",
        "metadata": {"name": account, "labels": labels},
        "rules": [{"apiGroups": [""], "resources": ["nodes", "pods", "services"], "verbs": ["get", "list", "watch"]}],
    }));
    out.push(json!({
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleBinding",
        "metadata": {"name": account, "labels": labels},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": account},
        "subjects": [{"kind": "ServiceAccount", "name": account, "namespace": namespace}],
    }));
    out.push(json!({
        "apiVersion": "v1", "kind": "ConfigMap",
        "metadata": {"name": format!("{account}-config"), "namespace": namespace, "labels": labels},
        "data": {"component": component.name, "wave": component.wave.to_string()},
    }));
    for (name, data) in &component.settings {
        out.push(json!({
            "apiVersion": "v1", "kind": "ConfigMap",
            "metadata": {"name": name, "namespace": namespace, "labels": labels},
            "data": data,
        }));
    }
    for workload in &component.workloads {
        out.push(object(component, workload));
        if let Some(service) = service(component, workload) {
            out.push(service);
        }
        if let Some(left) = workload.min_available {
            out.push(json!({
                "apiVersion": "policy/v1", "kind": "PodDisruptionBudget",
                "metadata": {"name": workload.object, "namespace": namespace, "labels": labels},
                "spec": {"minAvailable": left, "selector": {"matchLabels": workload.labels}},
            }));
        }
    }
    out
}

fn namespace(component: &Component) -> Value {
    let level = component.level.as_str();
    json!({
        "apiVersion": "v1", "kind": "Namespace",
        "metadata": {"name": component.namespace, "labels": {
            "pod-security.kubernetes.io/enforce": level,
            "pod-security.kubernetes.io/warn": level,
        }},
    })
}

/// A definition with the right names and an open schema.
fn definition(known: &Definition) -> Value {
    let Definition {
        group,
        plural,
        kind,
        version,
        namespaced,
    } = *known;
    json!({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": {"name": format!("{plural}.{group}")},
        "spec": {
            "group": group,
            "scope": if namespaced { "Namespaced" } else { "Cluster" },
            "names": {"plural": plural, "singular": kind.to_lowercase(), "kind": kind, "listKind": format!("{kind}List")},
            "versions": [{
                "name": version, "served": true, "storage": true,
                "subresources": {"status": {}},
                "schema": {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": true}},
            }],
        },
    })
}

fn object(component: &Component, workload: &Workload) -> Value {
    let pod = pod(component, workload);
    let selector = json!({"matchLabels": workload.labels});
    let template = json!({"metadata": {"labels": workload.labels}, "spec": pod});
    let (api, kind, spec) = match workload.kind {
        Kind::Deployment => (
            "apps/v1",
            "Deployment",
            json!({"replicas": workload.replicas.count(1, 1), "selector": selector, "template": template}),
        ),
        Kind::StatefulSet => (
            "apps/v1",
            "StatefulSet",
            json!({"replicas": workload.replicas.count(1, 1), "serviceName": workload.object, "selector": selector,
                "template": template, "volumeClaimTemplates": claims(workload)}),
        ),
        Kind::DaemonSet => (
            "apps/v1",
            "DaemonSet",
            json!({"selector": selector, "template": template}),
        ),
        Kind::CronJob => (
            "batch/v1",
            "CronJob",
            json!({"schedule": "30 2 * * *", "concurrencyPolicy": "Forbid", "jobTemplate": {"spec": {"backoffLimit": 1, "template": template}}}),
        ),
    };
    json!({
        "apiVersion": api, "kind": kind,
        "metadata": {
            "name": workload.object,
            "namespace": component.namespace,
            "labels": {"app.kubernetes.io/part-of": component.name},
            // The lab finds the descriptor of a workload by these two.
            "annotations": {"homelab.dev/component": component.name, "homelab.dev/workload": workload.name},
        },
        "spec": spec,
    })
}

fn claims(workload: &Workload) -> Value {
    let Some(volume) = &workload.volume else {
        return json!([]);
    };
    let mut spec = json!({
        "accessModes": ["ReadWriteOnce"],
        "resources": {"requests": {"storage": volume.size.quantity()}},
    });
    if let Some(class) = &volume.class {
        spec["storageClassName"] = json!(class);
    }
    json!([{"metadata": {"name": "data"}, "spec": spec}])
}

fn pod(component: &Component, workload: &Workload) -> Value {
    let ports: Vec<Value> = workload
        .ports
        .iter()
        .map(|port| json!({"name": port.name, "containerPort": port.number, "protocol": port.protocol.as_str()}))
        .collect();
    let Requests { cpu, memory } = workload.requests;
    let mut spec = Map::new();
    spec.insert("serviceAccountName".into(), json!(component.name));
    spec.insert(
        "containers".into(),
        json!([{
            "name": workload.name, "image": IMAGE, "ports": ports,
            "resources": {"requests": {"cpu": cpu.to_string(), "memory": memory.quantity()}},
        }]),
    );
    if workload.host_network {
        spec.insert("hostNetwork".into(), json!(true));
    }
    if workload.kind == Kind::CronJob {
        spec.insert("restartPolicy".into(), json!("Never"));
    }
    if workload.on_control_planes {
        spec.insert("tolerations".into(), json!([{"operator": "Exists"}]));
    }
    Value::Object(spec)
}

fn service(component: &Component, workload: &Workload) -> Option<Value> {
    if workload.host_network || workload.ports.is_empty() {
        return None;
    }
    let mut ports: Vec<Value> = workload
        .ports
        .iter()
        .map(|port| json!({"name": port.name, "port": port.number, "targetPort": port.number, "protocol": port.protocol.as_str()}))
        .collect();
    let published = PUBLISHED
        .iter()
        .find(|target| target.component == component.name && target.workload == workload.name);
    let mut name = if component.name == "coredns" {
        "kube-dns"
    } else {
        &workload.object
    };
    if let Some(target) = published {
        name = target.service;
        if !workload
            .ports
            .iter()
            .any(|port| port.number == target.service_port)
        {
            ports.push(json!({"name": "published", "port": target.service_port, "targetPort": target.port, "protocol": "TCP"}));
        }
    }
    Some(json!({
        "apiVersion": "v1", "kind": "Service",
        "metadata": {"name": name, "namespace": component.namespace, "labels": {"app.kubernetes.io/part-of": component.name}},
        "spec": {"selector": workload.labels, "ports": ports},
    }))
}
