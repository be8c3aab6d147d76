//! Types and unknown fields: built-in kinds through the typed API of `k8s-openapi`, custom kinds
//! through the schema of their CRD.

use k8s_openapi::api::{
    admissionregistration::v1 as admission, apps::v1 as apps, autoscaling::v2 as autoscaling,
    batch::v1 as batch, coordination::v1 as coordination, core::v1 as core,
    discovery::v1 as discovery, networking::v1 as networking, policy::v1 as policy,
    rbac::v1 as rbac, scheduling::v1 as scheduling, storage::v1 as storage,
};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::object::{flag, list, name, number, text};
use super::refusal::{Answered, Cause, Refusal};
use super::resource::Resource;
use super::world::World;

/// Takes unknown fields out of an object and names them.
///
/// # Errors
///
/// 400 when a field of a built-in kind has the wrong type.
pub(crate) fn prune(
    world: &World,
    resource: &Resource,
    version: &str,
    object: &mut Value,
) -> Answered<Vec<String>> {
    let mut unknown = Vec::new();
    if resource.custom {
        if let Some(schema) = world.schema(resource, version) {
            prune_by(schema, object, "", &mut unknown);
        }
        return Ok(unknown);
    }
    match round_trip(&resource.kind, object) {
        None => {}
        Some(Ok(known)) => difference(object, &known, "", &mut unknown),
        Some(Err(why)) => {
            return Err(Refusal::bad_request(format!(
                "{} in version {version:?} cannot be handled as a {}: json: {why}",
                resource.kind, resource.kind
            )));
        }
    }
    Ok(unknown)
}

/// The object as its Rust type reads and writes it; `None` for kinds that are not listed here.
fn round_trip(kind: &str, object: &Value) -> Option<Result<Value, String>> {
    fn through<T: Serialize + DeserializeOwned>(object: &Value) -> Result<Value, String> {
        let typed: T = serde_json::from_value(object.clone()).map_err(|error| error.to_string())?;
        serde_json::to_value(typed).map_err(|error| error.to_string())
    }
    Some(match kind {
        "ConfigMap" => through::<core::ConfigMap>(object),
        "Namespace" => through::<core::Namespace>(object),
        "Node" => through::<core::Node>(object),
        "PersistentVolume" => through::<core::PersistentVolume>(object),
        "PersistentVolumeClaim" => through::<core::PersistentVolumeClaim>(object),
        "Pod" => through::<core::Pod>(object),
        "Secret" => through::<core::Secret>(object),
        "Service" => through::<core::Service>(object),
        "ServiceAccount" => through::<core::ServiceAccount>(object),
        "LimitRange" => through::<core::LimitRange>(object),
        "ResourceQuota" => through::<core::ResourceQuota>(object),
        "DaemonSet" => through::<apps::DaemonSet>(object),
        "Deployment" => through::<apps::Deployment>(object),
        "ReplicaSet" => through::<apps::ReplicaSet>(object),
        "StatefulSet" => through::<apps::StatefulSet>(object),
        "CronJob" => through::<batch::CronJob>(object),
        "Job" => through::<batch::Job>(object),
        "HorizontalPodAutoscaler" => through::<autoscaling::HorizontalPodAutoscaler>(object),
        "PodDisruptionBudget" => through::<policy::PodDisruptionBudget>(object),
        "Ingress" => through::<networking::Ingress>(object),
        "NetworkPolicy" => through::<networking::NetworkPolicy>(object),
        "EndpointSlice" => through::<discovery::EndpointSlice>(object),
        "ClusterRole" => through::<rbac::ClusterRole>(object),
        "ClusterRoleBinding" => through::<rbac::ClusterRoleBinding>(object),
        "Role" => through::<rbac::Role>(object),
        "RoleBinding" => through::<rbac::RoleBinding>(object),
        "StorageClass" => through::<storage::StorageClass>(object),
        "CSIDriver" => through::<storage::CSIDriver>(object),
        "Lease" => through::<coordination::Lease>(object),
        "PriorityClass" => through::<scheduling::PriorityClass>(object),
        "MutatingWebhookConfiguration" => {
            through::<admission::MutatingWebhookConfiguration>(object)
        }
        "ValidatingWebhookConfiguration" => {
            through::<admission::ValidatingWebhookConfiguration>(object)
        }
        _ => return None,
    })
}

/// Names and removes what `object` has and its typed reading has not.
fn difference(object: &mut Value, known: &Value, place: &str, unknown: &mut Vec<String>) {
    match object {
        Value::Object(map) => {
            map.retain(|key, value| {
                let here = join(place, key);
                match known.get(key) {
                    Some(known) => {
                        difference(value, known, &here, unknown);
                        true
                    }
                    // Null and empty values are not written back by the typed form.
                    None if value.is_null() || empty(value) => true,
                    None => {
                        unknown.push(here);
                        false
                    }
                }
            });
        }
        Value::Array(items) => {
            for (at, item) in items.iter_mut().enumerate() {
                if let Some(known) = known.get(at) {
                    difference(item, known, &format!("{place}[{at}]"), unknown);
                }
            }
        }
        _ => {}
    }
}

fn empty(value: &Value) -> bool {
    value.as_array().is_some_and(Vec::is_empty)
        || value.as_object().is_some_and(serde_json::Map::is_empty)
}

fn join(place: &str, key: &str) -> String {
    if place.is_empty() {
        key.to_owned()
    } else {
        format!("{place}.{key}")
    }
}

fn prune_by(schema: &Value, object: &mut Value, place: &str, unknown: &mut Vec<String>) {
    if flag(schema, "/x-kubernetes-preserve-unknown-fields") && schema.get("properties").is_none() {
        return;
    }
    match object {
        Value::Object(map) => {
            let open = flag(schema, "/x-kubernetes-preserve-unknown-fields");
            let root = place.is_empty();
            map.retain(|key, value| {
                if root && matches!(key.as_str(), "apiVersion" | "kind" | "metadata") {
                    return true;
                }
                let here = join(place, key);
                let known = schema.get("properties").and_then(|all| all.get(key));
                match (known, schema.get("additionalProperties")) {
                    (Some(child), _) | (None, Some(child @ Value::Object(_))) => {
                        prune_by(child, value, &here, unknown);
                        true
                    }
                    (None, Some(Value::Bool(true))) => true,
                    _ if open => true,
                    _ => {
                        unknown.push(here);
                        false
                    }
                }
            });
        }
        Value::Array(items) => {
            if let Some(child) = schema.get("items") {
                for (at, item) in items.iter_mut().enumerate() {
                    prune_by(child, item, &format!("{place}[{at}]"), unknown);
                }
            }
        }
        _ => {}
    }
}

/// Checks a custom object against the schema of its CRD: types, required fields, enumerations and
/// bounds. Patterns, formats and CEL rules are not checked.
///
/// # Errors
///
/// 422 with every cause found.
pub(crate) fn check(
    world: &World,
    resource: &Resource,
    version: &str,
    object: &Value,
) -> Answered<()> {
    let Some(schema) = resource
        .custom
        .then(|| world.schema(resource, version))
        .flatten()
    else {
        return Ok(());
    };
    let mut causes = Vec::new();
    check_by(schema, object, "", &mut causes);
    if causes.is_empty() {
        return Ok(());
    }
    Err(Refusal::invalid(
        &resource.group,
        &resource.kind,
        name(object),
        causes,
    ))
}

fn check_by(schema: &Value, value: &Value, place: &str, causes: &mut Vec<Cause>) {
    let given = match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(one) if one.is_f64() => "number",
        Value::Number(_) => "integer",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    };
    let wanted = text(schema, "/type");
    let fits = wanted.is_empty()
        || wanted == given
        || (wanted == "number" && given == "integer")
        || (given == "null" && flag(schema, "/nullable"));
    if !fits {
        let why = format!("{place} in body must be of type {wanted}: {given:?}");
        causes.push(Cause {
            reason: "FieldValueTypeInvalid",
            message: format!("Invalid value: {given:?}: {why}"),
            field: place.to_owned(),
        });
        return;
    }
    if let Some(allowed) = schema.get("enum").and_then(Value::as_array)
        && !allowed.contains(value)
    {
        let allowed: Vec<String> = allowed.iter().map(ToString::to_string).collect();
        causes.push(Cause {
            reason: "FieldValueNotSupported",
            message: format!(
                "Unsupported value: {value}: supported values: {}",
                allowed.join(", ")
            ),
            field: place.to_owned(),
        });
    }
    let bound = |name: &str| number(schema, &format!("/{name}"));
    let mut invalid = |why: String| causes.push(Cause::invalid(place, value, &why));
    if let Some(found) = value.as_i64() {
        if let Some(least) = bound("minimum").filter(|least| found < *least) {
            invalid(format!(
                "{place} in body should be greater than or equal to {least}"
            ));
        }
        if let Some(most) = bound("maximum").filter(|most| found > *most) {
            invalid(format!(
                "{place} in body should be less than or equal to {most}"
            ));
        }
    }
    if let Some(found) = value
        .as_str()
        .and_then(|one| i64::try_from(one.chars().count()).ok())
    {
        if let Some(least) = bound("minLength").filter(|least| found < *least) {
            invalid(format!(
                "{place} in body should be at least {least} chars long"
            ));
        }
        if let Some(most) = bound("maxLength").filter(|most| found > *most) {
            invalid(format!(
                "{place} in body should be at most {most} chars long"
            ));
        }
    }
    if let Some(items) = value.as_array() {
        let found = i64::try_from(items.len()).unwrap_or(i64::MAX);
        if let Some(least) = bound("minItems").filter(|least| found < *least) {
            invalid(format!(
                "{place} in body should have at least {least} items"
            ));
        }
        if let Some(most) = bound("maxItems").filter(|most| found > *most) {
            invalid(format!("{place} in body should have at most {most} items"));
        }
        if let Some(child) = schema.get("items") {
            for (at, item) in items.iter().enumerate() {
                check_by(child, item, &format!("{place}[{at}]"), causes);
            }
        }
    }
    if let Some(map) = value.as_object() {
        for missing in list(schema, "/required").iter().filter_map(Value::as_str) {
            if !map.contains_key(missing) {
                causes.push(Cause::required(&join(place, missing), ""));
            }
        }
        for (key, item) in map {
            if place.is_empty() && key == "metadata" {
                continue;
            }
            let known = schema.get("properties").and_then(|all| all.get(key));
            if let Some(child) = known.or_else(|| schema.get("additionalProperties")) {
                check_by(child, item, &join(place, key), causes);
            }
        }
    }
}

/// Writes the defaults of a CRD's schema into a custom object.
pub(crate) fn default_by(schema: &Value, value: &mut Value) {
    match value {
        Value::Object(map) => {
            for (key, child) in super::object::entries(schema, "/properties") {
                if let Some(default) = child.get("default")
                    && !map.contains_key(key)
                {
                    map.insert(key.clone(), default.clone());
                }
                if let Some(inner) = map.get_mut(key) {
                    default_by(child, inner);
                }
            }
            if let Some(child @ Value::Object(_)) = schema.get("additionalProperties") {
                map.values_mut().for_each(|inner| default_by(child, inner));
            }
        }
        Value::Array(items) => {
            let open = json!({});
            let child = schema.get("items").unwrap_or(&open);
            items.iter_mut().for_each(|item| default_by(child, item));
        }
        _ => {}
    }
}
