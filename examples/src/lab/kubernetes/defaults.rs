//! Defaults that the server writes into objects that leave fields open.

use base64::Engine as _;
use serde_json::{Value, json};

use super::object::{default, list, name, remove, set, text};
use super::resource::Resource;

/// Fills in what a built-in kind leaves open.
pub(crate) fn fill(resource: &Resource, object: &mut Value) {
    if resource.custom {
        return;
    }
    match resource.kind.as_str() {
        "Deployment" => {
            default(object, "/spec/replicas", json!(1));
            pod_template(object, "/spec/template");
            default(object, "/spec/strategy/type", json!("RollingUpdate"));
            if text(object, "/spec/strategy/type") == "RollingUpdate" {
                default(
                    object,
                    "/spec/strategy/rollingUpdate/maxUnavailable",
                    json!("25%"),
                );
                default(
                    object,
                    "/spec/strategy/rollingUpdate/maxSurge",
                    json!("25%"),
                );
            }
            default(object, "/spec/revisionHistoryLimit", json!(10));
            default(object, "/spec/progressDeadlineSeconds", json!(600));
        }
        "ReplicaSet" => {
            default(object, "/spec/replicas", json!(1));
            pod_template(object, "/spec/template");
        }
        "DaemonSet" => {
            pod_template(object, "/spec/template");
            default(object, "/spec/updateStrategy/type", json!("RollingUpdate"));
            if text(object, "/spec/updateStrategy/type") == "RollingUpdate" {
                default(
                    object,
                    "/spec/updateStrategy/rollingUpdate/maxUnavailable",
                    json!(1),
                );
                default(
                    object,
                    "/spec/updateStrategy/rollingUpdate/maxSurge",
                    json!(0),
                );
            }
            default(object, "/spec/revisionHistoryLimit", json!(10));
        }
        "StatefulSet" => {
            default(object, "/spec/replicas", json!(1));
            pod_template(object, "/spec/template");
            default(object, "/spec/podManagementPolicy", json!("OrderedReady"));
            default(object, "/spec/updateStrategy/type", json!("RollingUpdate"));
            if text(object, "/spec/updateStrategy/type") == "RollingUpdate" {
                default(
                    object,
                    "/spec/updateStrategy/rollingUpdate/partition",
                    json!(0),
                );
            }
            default(object, "/spec/revisionHistoryLimit", json!(10));
            default(
                object,
                "/spec/persistentVolumeClaimRetentionPolicy/whenDeleted",
                json!("Retain"),
            );
            default(
                object,
                "/spec/persistentVolumeClaimRetentionPolicy/whenScaled",
                json!("Retain"),
            );
            for claim in object["spec"]["volumeClaimTemplates"]
                .as_array_mut()
                .into_iter()
                .flatten()
            {
                default(claim, "/apiVersion", json!("v1"));
                default(claim, "/kind", json!("PersistentVolumeClaim"));
                default(claim, "/spec/volumeMode", json!("Filesystem"));
                default(claim, "/status/phase", json!("Pending"));
            }
        }
        "Job" => {
            default(object, "/spec/parallelism", json!(1));
            default(object, "/spec/completions", json!(1));
            default(object, "/spec/backoffLimit", json!(6));
            default(object, "/spec/completionMode", json!("NonIndexed"));
            default(object, "/spec/suspend", json!(false));
            default(object, "/spec/manualSelector", json!(false));
            default(
                object,
                "/spec/podReplacementPolicy",
                json!("TerminatingOrFailed"),
            );
            pod_template(object, "/spec/template");
        }
        "CronJob" => {
            default(object, "/spec/concurrencyPolicy", json!("Allow"));
            default(object, "/spec/suspend", json!(false));
            default(object, "/spec/successfulJobsHistoryLimit", json!(3));
            default(object, "/spec/failedJobsHistoryLimit", json!(1));
            pod_template(object, "/spec/jobTemplate/spec/template");
        }
        "Pod" => {
            pod_spec(object, "/spec");
            default(object, "/status/phase", json!("Pending"));
        }
        "Service" => service(object),
        "Secret" => secret(object),
        "Namespace" => {
            let given = json!(name(object));
            set(
                object,
                "/metadata/labels/kubernetes.io~1metadata.name",
                given,
            );
            default(object, "/spec/finalizers", json!(["kubernetes"]));
            default(object, "/status/phase", json!("Active"));
        }
        "PersistentVolumeClaim" => {
            default(object, "/spec/volumeMode", json!("Filesystem"));
            default(object, "/status/phase", json!("Pending"));
        }
        "PersistentVolume" => {
            default(object, "/spec/volumeMode", json!("Filesystem"));
            default(
                object,
                "/spec/persistentVolumeReclaimPolicy",
                json!("Retain"),
            );
            default(object, "/status/phase", json!("Pending"));
        }
        "StorageClass" => {
            default(object, "/reclaimPolicy", json!("Delete"));
            default(object, "/volumeBindingMode", json!("Immediate"));
        }
        "RoleBinding" | "ClusterRoleBinding" => {
            default(
                object,
                "/roleRef/apiGroup",
                json!("rbac.authorization.k8s.io"),
            );
            for subject in object["subjects"].as_array_mut().into_iter().flatten() {
                if matches!(text(subject, "/kind"), "User" | "Group") {
                    default(subject, "/apiGroup", json!("rbac.authorization.k8s.io"));
                }
            }
        }
        "NetworkPolicy" => network_policy(object),
        "CustomResourceDefinition" => crd(object),
        "MutatingWebhookConfiguration" | "ValidatingWebhookConfiguration" => webhooks(object),
        _ => {}
    }
}

fn pod_template(object: &mut Value, pointer: &str) {
    default(object, &format!("{pointer}/metadata"), json!({}));
    pod_spec(object, &format!("{pointer}/spec"));
}

fn pod_spec(object: &mut Value, pointer: &str) {
    let Some(spec) = object.pointer_mut(pointer).filter(|one| one.is_object()) else {
        return;
    };
    for group in ["initContainers", "containers"] {
        let host = super::object::flag(spec, "/hostNetwork");
        for container in spec[group].as_array_mut().into_iter().flatten() {
            self::container(container, host);
        }
    }
    if spec["initContainers"].is_null() {
        remove(spec, "/initContainers");
    }
    for volume in spec["volumes"].as_array_mut().into_iter().flatten() {
        for (kind, field) in [
            ("secret", "defaultMode"),
            ("configMap", "defaultMode"),
            ("projected", "defaultMode"),
        ] {
            if volume.get(kind).is_some_and(Value::is_object) {
                default(volume, &format!("/{kind}/{field}"), json!(420));
            }
        }
        if volume.get("hostPath").is_some_and(Value::is_object) {
            default(volume, "/hostPath/type", json!(""));
        }
    }
    if spec["volumes"].is_null() {
        remove(spec, "/volumes");
    }
    default(spec, "/restartPolicy", json!("Always"));
    default(spec, "/terminationGracePeriodSeconds", json!(30));
    default(spec, "/dnsPolicy", json!("ClusterFirst"));
    default(spec, "/securityContext", json!({}));
    default(spec, "/schedulerName", json!("default-scheduler"));
    let account = spec.get("serviceAccountName").cloned();
    if let Some(account) = account {
        default(spec, "/serviceAccount", account);
    }
}

fn container(container: &mut Value, host_network: bool) {
    for port in container["ports"].as_array_mut().into_iter().flatten() {
        default(port, "/protocol", json!("TCP"));
        if host_network {
            let number = port["containerPort"].clone();
            default(port, "/hostPort", number);
        }
    }
    if container["ports"].is_null() {
        remove(container, "/ports");
    }
    for variable in container["env"].as_array_mut().into_iter().flatten() {
        if variable.pointer("/valueFrom/fieldRef").is_some() {
            default(variable, "/valueFrom/fieldRef/apiVersion", json!("v1"));
        }
    }
    if container["env"].is_null() {
        remove(container, "/env");
    }
    default(container, "/resources", json!({}));
    default(
        container,
        "/terminationMessagePath",
        json!("/dev/termination-log"),
    );
    default(container, "/terminationMessagePolicy", json!("File"));
    let image = text(container, "/image");
    let last = image.rsplit('/').next().unwrap_or_default();
    let floating = !last.contains('@') && (!last.contains(':') || last.ends_with(":latest"));
    let policy = if floating { "Always" } else { "IfNotPresent" };
    default(container, "/imagePullPolicy", json!(policy));
    for probe in ["/livenessProbe", "/readinessProbe", "/startupProbe"] {
        let Some(probe) = container.pointer_mut(probe).filter(|one| one.is_object()) else {
            continue;
        };
        for (field, value) in [
            ("timeoutSeconds", 1),
            ("periodSeconds", 10),
            ("successThreshold", 1),
            ("failureThreshold", 3),
        ] {
            default(probe, &format!("/{field}"), json!(value));
        }
        if probe.get("httpGet").is_some() {
            default(probe, "/httpGet/path", json!("/"));
            default(probe, "/httpGet/scheme", json!("HTTP"));
        }
    }
}

fn service(object: &mut Value) {
    default(object, "/spec/type", json!("ClusterIP"));
    default(object, "/spec/sessionAffinity", json!("None"));
    let external = text(object, "/spec/type") == "ExternalName";
    for port in object["spec"]["ports"].as_array_mut().into_iter().flatten() {
        default(port, "/protocol", json!("TCP"));
        let number = port["port"].clone();
        if !external {
            default(port, "/targetPort", number);
        }
    }
    if object["spec"]["ports"].is_null() {
        remove(object, "/spec/ports");
    }
    if !external {
        default(object, "/spec/internalTrafficPolicy", json!("Cluster"));
        default(object, "/spec/ipFamilies", json!(["IPv4"]));
        default(object, "/spec/ipFamilyPolicy", json!("SingleStack"));
    }
    if matches!(text(object, "/spec/type"), "LoadBalancer" | "NodePort") {
        default(object, "/spec/externalTrafficPolicy", json!("Cluster"));
    }
    if text(object, "/spec/type") == "LoadBalancer" {
        default(object, "/spec/allocateLoadBalancerNodePorts", json!(true));
    }
    default(object, "/status/loadBalancer", json!({}));
}

fn secret(object: &mut Value) {
    default(object, "/type", json!("Opaque"));
    let plain = remove(object, "/stringData");
    for (key, value) in plain.iter().filter_map(Value::as_object).flatten() {
        let bytes = value.as_str().unwrap_or_default().as_bytes();
        let encoded = base64::engine::general_purpose::STANDARD.encode(bytes);
        default(object, "/data", json!({}));
        object["data"][key.as_str()] = json!(encoded);
    }
}

fn network_policy(object: &mut Value) {
    default(object, "/spec/podSelector", json!({}));
    let egress = object.pointer("/spec/egress").is_some();
    let types = if egress {
        json!(["Ingress", "Egress"])
    } else {
        json!(["Ingress"])
    };
    default(object, "/spec/policyTypes", types);
    for direction in ["ingress", "egress"] {
        for rule in object["spec"][direction]
            .as_array_mut()
            .into_iter()
            .flatten()
        {
            for port in rule["ports"].as_array_mut().into_iter().flatten() {
                default(port, "/protocol", json!("TCP"));
            }
            if rule["ports"].is_null() {
                remove(rule, "/ports");
            }
        }
        if object["spec"][direction].is_null() {
            remove(object, &format!("/spec/{direction}"));
        }
    }
}

fn crd(object: &mut Value) {
    let kind = text(object, "/spec/names/kind").to_owned();
    default(object, "/spec/names/listKind", json!(format!("{kind}List")));
    default(object, "/spec/names/singular", json!(kind.to_lowercase()));
    default(object, "/spec/conversion", json!({"strategy": "None"}));
    let stored = list(object, "/spec/versions")
        .iter()
        .find(|one| super::object::flag(one, "/storage"))
        .map(|one| one["name"].clone());
    if let Some(stored) = stored {
        default(object, "/status/storedVersions", json!([stored]));
    }
}

fn webhooks(object: &mut Value) {
    for webhook in object["webhooks"].as_array_mut().into_iter().flatten() {
        default(webhook, "/failurePolicy", json!("Fail"));
        default(webhook, "/matchPolicy", json!("Equivalent"));
        default(webhook, "/namespaceSelector", json!({}));
        default(webhook, "/objectSelector", json!({}));
        default(webhook, "/timeoutSeconds", json!(10));
        if webhook.pointer("/clientConfig/service").is_some() {
            default(webhook, "/clientConfig/service/port", json!(443));
        }
        for rule in webhook["rules"].as_array_mut().into_iter().flatten() {
            default(rule, "/scope", json!("*"));
        }
        if webhook["rules"].is_null() {
            remove(webhook, "/rules");
        }
    }
}
