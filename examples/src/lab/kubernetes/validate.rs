//! What the server refuses before it stores: names, labels, required and immutable fields.

use serde_json::{Value, json};

use super::object::{entries, list, name, text, texts};
use super::refusal::{Answered, Cause, Refusal};
use super::resource::Resource;
use super::selector::Selector;

const SUBDOMAIN: &str = "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric \
    characters, '-' or '.', and must start and end with an alphanumeric character (e.g. \
    'example.com', regex used for validation is \
    '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')";
const LABEL: &str = "a lowercase RFC 1123 label must consist of lower case alphanumeric characters \
    or '-', and must start and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', \
    regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')";
const LABEL_VALUE: &str = "a valid label must be an empty string or consist of alphanumeric \
    characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. \
    'MyValue',  or 'my_value',  or '12345', regex used for validation is \
    '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')";
const QUALIFIED: &str = "name part must consist of alphanumeric characters, '-', '_' or '.', and \
    must start and end with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or \
    '123-abc', regex used for validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')";
const IMMUTABLE: &str = "field is immutable";

pub(crate) fn is_label(text: &str) -> bool {
    let inner = |one: char| one.is_ascii_lowercase() || one.is_ascii_digit() || one == '-';
    (1..=63).contains(&text.len())
        && text.chars().all(inner)
        && !text.starts_with('-')
        && !text.ends_with('-')
}

fn is_subdomain(text: &str) -> bool {
    let part = |one: &str| {
        let inner = |one: char| one.is_ascii_lowercase() || one.is_ascii_digit() || one == '-';
        !one.is_empty() && one.chars().all(inner) && !one.starts_with('-') && !one.ends_with('-')
    };
    text.len() <= 253 && text.split('.').all(part)
}

fn is_label_value(text: &str) -> bool {
    let edge = |one: Option<char>| one.is_none_or(|one| one.is_ascii_alphanumeric());
    text.len() <= 63
        && text
            .chars()
            .all(|one| one.is_ascii_alphanumeric() || matches!(one, '-' | '_' | '.'))
        && edge(text.chars().next())
        && edge(text.chars().last())
}

fn check_name(resource: &Resource, object: &Value, causes: &mut Vec<Cause>) {
    let given = name(object);
    if given.is_empty() {
        causes.push(Cause::required(
            "metadata.name",
            "name or generateName is required",
        ));
        return;
    }
    let why = match resource.id().as_str() {
        "namespaces" | "services" if !is_label(given) => Some(LABEL),
        "namespaces" | "services" => None,
        _ if resource.group == "rbac.authorization.k8s.io" => {
            let bad = given.contains(['/', '%']) || given == "." || given == "..";
            bad.then_some("may not contain '/' or '%'")
        }
        _ if !is_subdomain(given) => Some(SUBDOMAIN),
        _ => None,
    };
    if let Some(why) = why {
        causes.push(Cause::invalid("metadata.name", &json!(given), why));
    }
}

fn check_labels(object: &Value, pointer: &str, causes: &mut Vec<Cause>) {
    let field = pointer.trim_start_matches('/').replace('/', ".");
    for (key, value) in entries(object, pointer) {
        let (prefix, last) = key.rsplit_once('/').unwrap_or(("", key));
        if last.is_empty() || !is_label_value(last) || !(prefix.is_empty() || is_subdomain(prefix))
        {
            causes.push(Cause::invalid(&field, &json!(key), QUALIFIED));
        }
        match value.as_str() {
            Some(text) if is_label_value(text) => {}
            _ => causes.push(Cause::invalid(&field, value, LABEL_VALUE)),
        }
    }
}

/// Checks an object as it is about to be stored.
///
/// # Errors
///
/// 422 with every cause found.
pub(crate) fn check(resource: &Resource, old: Option<&Value>, new: &Value) -> Answered<()> {
    let mut causes = Vec::new();
    check_name(resource, new, &mut causes);
    check_labels(new, "/metadata/labels", &mut causes);
    if !resource.custom {
        required(resource, new, &mut causes);
        if let Some(old) = old {
            immutable(resource, old, new, &mut causes);
        }
    }
    if causes.is_empty() {
        return Ok(());
    }
    Err(Refusal::invalid(
        &resource.group,
        &resource.kind,
        name(new),
        causes,
    ))
}

fn required(resource: &Resource, new: &Value, causes: &mut Vec<Cause>) {
    match resource.kind.as_str() {
        "Deployment" | "ReplicaSet" | "DaemonSet" | "StatefulSet" => workload(new, causes),
        "Job" => pod_spec(new, "/spec/template/spec", causes),
        "Pod" => pod_spec(new, "/spec", causes),
        "Service" => service(new, causes),
        "ConfigMap" | "Secret" => {
            let size: usize = ["/data", "/binaryData"]
                .iter()
                .flat_map(|place| entries(new, place))
                .map(|(key, value)| key.len() + value.as_str().map_or(0, str::len))
                .sum();
            if size > 1 << 20 {
                causes.push(Cause::too_long("[]", 1 << 20));
            }
        }
        "PersistentVolumeClaim" => {
            if list(new, "/spec/accessModes").is_empty() {
                let why = "at least 1 access mode is required";
                causes.push(Cause::required("spec.accessModes", why));
            }
            if text(new, "/spec/resources/requests/storage").is_empty() {
                causes.push(Cause::required("spec.resources[storage]", ""));
            }
        }
        "StorageClass" if text(new, "/provisioner").is_empty() => {
            causes.push(Cause::required("provisioner", ""));
        }
        "CustomResourceDefinition" => crd(new, causes),
        "RoleBinding" | "ClusterRoleBinding" if text(new, "/roleRef/name").is_empty() => {
            causes.push(Cause::required("roleRef.name", ""));
        }
        _ => {}
    }
}

fn workload(new: &Value, causes: &mut Vec<Cause>) {
    match Selector::of_object(new.pointer("/spec/selector")) {
        None => causes.push(Cause::required("spec.selector", "")),
        Some(selector) => {
            let labels = texts(new, "/spec/template/metadata/labels");
            if !selector.matches(&labels) {
                causes.push(Cause::invalid(
                    "spec.template.metadata.labels",
                    &json!(labels),
                    "`selector` does not match template `labels`",
                ));
            }
        }
    }
    pod_spec(new, "/spec/template/spec", causes);
}

fn pod_spec(new: &Value, pointer: &str, causes: &mut Vec<Cause>) {
    let field = pointer.trim_start_matches('/').replace('/', ".");
    if list(new, &format!("{pointer}/containers")).is_empty() {
        causes.push(Cause::required(&format!("{field}.containers"), ""));
    }
    let volumes: Vec<&str> = list(new, &format!("{pointer}/volumes"))
        .iter()
        .map(|one| text(one, "/name"))
        .collect();
    let mut seen = Vec::new();
    for group in ["initContainers", "containers"] {
        for (at, container) in list(new, &format!("{pointer}/{group}")).iter().enumerate() {
            let place = format!("{field}.{group}[{at}]");
            let given = text(container, "/name");
            if given.is_empty() {
                causes.push(Cause::required(&format!("{place}.name"), ""));
            } else if !is_label(given) {
                causes.push(Cause::invalid(
                    &format!("{place}.name"),
                    &json!(given),
                    LABEL,
                ));
            } else if seen.contains(&given) {
                causes.push(Cause::duplicate(&format!("{place}.name"), given));
            }
            seen.push(given);
            if text(container, "/image").is_empty() {
                causes.push(Cause::required(&format!("{place}.image"), ""));
            }
            for (index, mount) in list(container, "/volumeMounts").iter().enumerate() {
                let volume = text(mount, "/name");
                if !volumes.contains(&volume) {
                    causes.push(Cause {
                        reason: "FieldValueNotFound",
                        message: format!("Not found: {volume:?}"),
                        field: format!("{place}.volumeMounts[{index}].name"),
                    });
                }
            }
            quantities(container, &place, causes);
        }
    }
}

fn quantities(container: &Value, place: &str, causes: &mut Vec<Cause>) {
    for (resource, wanted) in entries(container, "/resources/requests") {
        let Some(limit) = container
            .pointer("/resources/limits")
            .and_then(|one| one.get(resource))
        else {
            continue;
        };
        let (wanted, limit) = (plain(wanted), plain(limit));
        if super::quantity::milli(&wanted) > super::quantity::milli(&limit) {
            causes.push(Cause::invalid(
                &format!("{place}.resources.requests"),
                &json!(wanted),
                &format!("must be less than or equal to {resource} limit of {limit}"),
            ));
        }
    }
}

fn plain(value: &Value) -> String {
    value
        .as_str()
        .map_or_else(|| value.to_string(), str::to_owned)
}

fn service(new: &Value, causes: &mut Vec<Cause>) {
    let headless = text(new, "/spec/clusterIP") == "None";
    let external = text(new, "/spec/type") == "ExternalName";
    let ports = list(new, "/spec/ports");
    if ports.is_empty() && !headless && !external {
        causes.push(Cause::required("spec.ports", ""));
    }
    for (at, port) in ports.iter().enumerate() {
        if ports.len() > 1 && text(port, "/name").is_empty() {
            causes.push(Cause::required(&format!("spec.ports[{at}].name"), ""));
        }
        let number = super::object::number(port, "/port").unwrap_or_default();
        if !(1..=65_535).contains(&number) {
            let why = "must be between 1 and 65535, inclusive";
            causes.push(Cause::invalid(
                &format!("spec.ports[{at}].port"),
                &json!(number),
                why,
            ));
        }
    }
}

fn crd(new: &Value, causes: &mut Vec<Cause>) {
    let plural = text(new, "/spec/names/plural");
    let wanted = format!("{plural}.{}", text(new, "/spec/group"));
    if name(new) != wanted {
        let why = "must be spec.names.plural+\".\"+spec.group";
        causes.push(Cause::invalid("metadata.name", &json!(name(new)), why));
    }
    for (place, field) in [
        ("/spec/group", "spec.group"),
        ("/spec/names/kind", "spec.names.kind"),
        ("/spec/scope", "spec.scope"),
    ] {
        if text(new, place).is_empty() {
            causes.push(Cause::required(field, ""));
        }
    }
    let versions = list(new, "/spec/versions");
    if versions
        .iter()
        .filter(|one| super::object::flag(one, "/storage"))
        .count()
        != 1
    {
        let why = "must have exactly one version marked as storage version";
        causes.push(Cause::invalid("spec.versions", &json!(versions.len()), why));
    }
}

fn immutable(resource: &Resource, old: &Value, new: &Value, causes: &mut Vec<Cause>) {
    let mut same = |pointer: &str| {
        if old.pointer(pointer) != new.pointer(pointer) {
            let field = pointer.trim_start_matches('/').replace('/', ".");
            let value = new.pointer(pointer).unwrap_or(&Value::Null);
            causes.push(Cause::invalid(&field, value, IMMUTABLE));
        }
    };
    match resource.kind.as_str() {
        "Deployment" | "ReplicaSet" | "DaemonSet" => same("/spec/selector"),
        "Job" => {
            same("/spec/selector");
            same("/spec/template");
            same("/spec/completionMode");
        }
        "StorageClass" => {
            same("/provisioner");
            same("/reclaimPolicy");
            same("/volumeBindingMode");
            if old.get("parameters") != new.get("parameters") {
                causes.push(forbidden(
                    "parameters",
                    "updates to parameters are forbidden.",
                ));
            }
        }
        "StatefulSet" => {
            let fixed = |object: &Value| {
                let mut spec = object["spec"].clone();
                for free in [
                    "replicas",
                    "ordinals",
                    "template",
                    "updateStrategy",
                    "revisionHistoryLimit",
                    "persistentVolumeClaimRetentionPolicy",
                    "minReadySeconds",
                ] {
                    super::object::remove(&mut spec, &format!("/{free}"));
                }
                spec
            };
            if fixed(old) != fixed(new) {
                causes.push(forbidden(
                    "spec",
                    "updates to statefulset spec for fields other than 'replicas', 'ordinals', \
                     'template', 'updateStrategy', 'revisionHistoryLimit', \
                     'persistentVolumeClaimRetentionPolicy' and 'minReadySeconds' are forbidden",
                ));
            }
        }
        "Service" => {
            let before = text(old, "/spec/clusterIP");
            if !before.is_empty()
                && before != text(new, "/spec/clusterIP")
                && text(new, "/spec/type") != "ExternalName"
            {
                let value = json!([text(new, "/spec/clusterIP")]);
                causes.push(Cause::invalid(
                    "spec.clusterIPs[0]",
                    &value,
                    "may not change once set",
                ));
            }
        }
        "ConfigMap" | "Secret" => {
            if resource.kind == "Secret" {
                same("/type");
            }
            if super::object::flag(old, "/immutable") && old.get("data") != new.get("data") {
                causes.push(forbidden(
                    "data",
                    "field is immutable when `immutable` is set",
                ));
            }
        }
        "PersistentVolumeClaim" => {
            let fixed = |object: &Value| {
                let mut spec = object["spec"].clone();
                super::object::remove(&mut spec, "/resources");
                super::object::remove(&mut spec, "/volumeAttributesClassName");
                if text(old, "/spec/volumeName").is_empty() {
                    super::object::remove(&mut spec, "/volumeName");
                }
                spec
            };
            if fixed(old) != fixed(new) {
                causes.push(forbidden(
                    "spec",
                    "spec is immutable after creation except resources.requests and \
                     volumeAttributesClassName for bound claims",
                ));
            }
            let size =
                |object| super::quantity::milli(text(object, "/spec/resources/requests/storage"));
            if size(new) < size(old) {
                causes.push(forbidden(
                    "spec.resources.requests.storage",
                    "field can not be less than status.capacity",
                ));
            }
        }
        "RoleBinding" | "ClusterRoleBinding" if old.get("roleRef") != new.get("roleRef") => {
            causes.push(Cause::invalid(
                "roleRef",
                &new["roleRef"],
                "cannot change roleRef",
            ));
        }
        "CustomResourceDefinition" => same("/spec/scope"),
        "Pod" => pod_update(old, new, causes),
        _ => {}
    }
}

fn pod_update(old: &Value, new: &Value, causes: &mut Vec<Cause>) {
    let fixed = |object: &Value| {
        let mut spec = object["spec"].clone();
        for free in [
            "nodeName",
            "activeDeadlineSeconds",
            "tolerations",
            "schedulingGates",
        ] {
            super::object::remove(&mut spec, &format!("/{free}"));
        }
        for group in ["containers", "initContainers"] {
            for container in spec[group].as_array_mut().into_iter().flatten() {
                super::object::remove(container, "/image");
            }
        }
        spec
    };
    if fixed(old) != fixed(new) {
        causes.push(forbidden(
            "spec",
            "pod updates may not change fields other than `spec.containers[*].image`, \
             `spec.initContainers[*].image`, `spec.activeDeadlineSeconds`, `spec.tolerations` (only \
             additions to existing tolerations), `spec.terminationGracePeriodSeconds` (allow it to \
             be set to 1 if it was previously negative)",
        ));
    }
}

fn forbidden(field: &str, why: &str) -> Cause {
    Cause {
        reason: "FieldValueForbidden",
        message: format!("Forbidden: {why}"),
        field: field.to_owned(),
    }
}
