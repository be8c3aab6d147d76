//! Deleting: finalizers, propagation, grace of pods, collections, and eviction.

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use super::answer::{Call, Response};
use super::object::{deleting, list, name, namespace, number, set, stamp, text};
use super::read::{self, Selection};
use super::refusal::{Answered, Refusal};
use super::resource::Resource;
use super::selector::Selector;
use super::world::World;

/// Finalizer of foreground deletion: dependents first.
pub(crate) const FOREGROUND: &str = "foregroundDeletion";
/// Finalizer of orphaning: dependents stay, without their owner.
pub(crate) const ORPHAN: &str = "orphan";

fn options(call: &Call<'_>) -> Answered<Value> {
    if call.request.body.is_empty() {
        return Ok(json!({}));
    }
    serde_json::from_slice(&call.request.body)
        .map_err(|error| Refusal::bad_request(format!("cannot read DeleteOptions: {error}")))
}

pub(crate) fn delete(world: &mut World, call: &Call<'_>) -> Answered<Response> {
    if !call.target.subresource.is_empty() {
        return Err(Refusal::method_not_allowed());
    }
    let mut options = options(call)?;
    for field in ["propagationPolicy", "gracePeriodSeconds"] {
        let given = call.parameter(field);
        if !given.is_empty() && options.get(field).is_none() {
            options[field] = given
                .parse::<i64>()
                .map_or_else(|_| json!(given), |one| json!(one));
        }
    }
    let object = read::found(world, call)?.clone();
    let id = call.resource.id();
    for (field, place) in [
        ("uid", "/metadata/uid"),
        ("resourceVersion", "/metadata/resourceVersion"),
    ] {
        let wanted = text(&options, &format!("/preconditions/{field}"));
        if !wanted.is_empty() && wanted != text(&object, place) {
            let why = format!(
                "Precondition failed: {field} in precondition: {wanted}, {field} in object meta: {}",
                text(&object, place)
            );
            return Err(Refusal::conflict(&id, name(&object), &why));
        }
    }
    if call.dry_run() || list(&options, "/dryRun").iter().any(|one| one == "All") {
        let left = start(
            &mut world.clone(),
            call.resource,
            call.now,
            &object,
            &options,
        );
        return Ok(answer(call, &object, left));
    }
    let left = start(world, call.resource, call.now, &object, &options);
    Ok(answer(call, &object, left))
}

fn answer(call: &Call<'_>, object: &Value, left: Option<Arc<Value>>) -> Response {
    if let Some(left) = left {
        return Response::json(200, call.shown(&left));
    }
    let mut details = json!({"name": name(object)});
    if !call.resource.group.is_empty() {
        details["group"] = json!(call.resource.group);
    }
    details["kind"] = json!(call.resource.plural);
    details["uid"] = object["metadata"]["uid"].clone();
    Response::json(
        200,
        json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success",
            "details": details}),
    )
}

/// Deletes an object, or marks it when something must happen first; what is left then.
pub(crate) fn start(
    world: &mut World,
    resource: &Resource,
    now: Timestamp,
    object: &Value,
    options: &Value,
) -> Option<Arc<Value>> {
    let id = resource.id();
    let mut new = object.clone();
    let mut finalizers: Vec<Value> = list(object, "/metadata/finalizers").to_vec();
    let dependents = world.objects().any(|(_, one)| {
        list(one, "/metadata/ownerReferences")
            .iter()
            .any(|owner| owner["uid"] == object["metadata"]["uid"])
    });
    match text(options, "/propagationPolicy") {
        "Foreground" if dependents => push_new(&mut finalizers, FOREGROUND),
        "Orphan" if dependents => push_new(&mut finalizers, ORPHAN),
        _ => {}
    }
    let grace = match id.as_str() {
        "pods" if !text(object, "/spec/nodeName").is_empty() && !finished(object) => {
            number(options, "/gracePeriodSeconds")
                .or_else(|| number(object, "/spec/terminationGracePeriodSeconds"))
                .unwrap_or(30)
        }
        _ => 0,
    };
    let namespace_content = id == "namespaces" && !list(object, "/spec/finalizers").is_empty();
    if finalizers.is_empty() && grace == 0 && !namespace_content {
        world.erase(&id, namespace(object), name(object));
        return None;
    }
    if !finalizers.is_empty() {
        set(&mut new, "/metadata/finalizers", Value::Array(finalizers));
    }
    if !deleting(object) {
        let at = now
            .checked_add(SignedDuration::from_secs(grace))
            .unwrap_or(now);
        set(&mut new, "/metadata/deletionTimestamp", json!(stamp(at)));
        set(
            &mut new,
            "/metadata/deletionGracePeriodSeconds",
            json!(grace),
        );
    }
    if id == "namespaces" {
        set(&mut new, "/status/phase", json!("Terminating"));
    }
    Some(world.replace(resource, new))
}

fn push_new(items: &mut Vec<Value>, value: &str) {
    if !items.iter().any(|one| one == value) {
        items.push(json!(value));
    }
}

pub(crate) fn finished(pod: &Value) -> bool {
    matches!(text(pod, "/status/phase"), "Succeeded" | "Failed")
}

/// Takes an object out once it is being deleted and nothing holds it any more.
pub(crate) fn finalised(world: &mut World, resource: &Resource, object: &Value) {
    let id = resource.id();
    let free = deleting(object) && list(object, "/metadata/finalizers").is_empty();
    let held = match id.as_str() {
        "pods" => number(object, "/metadata/deletionGracePeriodSeconds").unwrap_or_default() > 0,
        "namespaces" => !list(object, "/spec/finalizers").is_empty(),
        _ => false,
    };
    if free && !held {
        world.erase(&id, namespace(object), name(object));
    }
}

pub(crate) fn collection(world: &mut World, call: &Call<'_>) -> Answered<Response> {
    if call.resource.namespaced && call.target.namespace.is_empty() {
        return Err(Refusal::method_not_allowed());
    }
    let selection = Selection::of(call)?;
    let options = options(call)?;
    let id = call.resource.id();
    let chosen: Vec<Value> = world
        .list(&id)
        .filter(|one| selection.selects(one))
        .cloned()
        .collect();
    if !call.dry_run() {
        for object in &chosen {
            start(world, call.resource, call.now, object, &options);
        }
    }
    let items: Vec<Value> = chosen.iter().map(|one| call.shown(one)).collect();
    Ok(Response::json(
        200,
        json!({
            "kind": format!("{}List", call.resource.kind),
            "apiVersion": call.api_version(),
            "metadata": {"resourceVersion": world.revision().to_string()},
            "items": items,
        }),
    ))
}

/// Evicts a pod unless a disruption budget has nothing to spare.
pub(crate) fn evict(world: &mut World, call: &Call<'_>, eviction: &Value) -> Answered<Response> {
    let pod = read::found(world, call)?.clone();
    let labels = super::object::texts(&pod, "/metadata/labels");
    let budgets: Vec<Value> = world
        .list_in("poddisruptionbudgets.policy", namespace(&pod))
        .filter(|budget| {
            Selector::of_object(budget.pointer("/spec/selector"))
                .is_some_and(|selector| selector.matches(&labels))
        })
        .cloned()
        .collect();
    if budgets.len() > 1 {
        return Err(Refusal::new(
            500,
            "InternalError",
            "This pod has more than one PodDisruptionBudget, which the eviction subresource does \
             not support.",
        ));
    }
    let resource = call.resource;
    if let Some(budget) = budgets.first().filter(|_| !finished(&pod)) {
        let spare = number(budget, "/status/disruptionsAllowed").unwrap_or_default();
        if spare <= 0 {
            let message = format!(
                "The disruption budget {} needs {} healthy pods and has {} currently",
                name(budget),
                number(budget, "/status/desiredHealthy").unwrap_or_default(),
                number(budget, "/status/currentHealthy").unwrap_or_default()
            );
            let cause = super::refusal::Cause {
                reason: "DisruptionBudget",
                message,
                field: String::new(),
            };
            return Err(Refusal::too_many_requests(
                "Cannot evict pod as it would violate the pod's disruption budget.",
            )
            .with_causes(vec![cause]));
        }
        let mut counted = budget.clone();
        set(&mut counted, "/status/disruptionsAllowed", json!(spare - 1));
        if let Some(kind) = world.resource("policy", "poddisruptionbudgets") {
            world.replace(&kind, counted);
        }
    }
    let options = eviction
        .get("deleteOptions")
        .cloned()
        .unwrap_or_else(|| json!({}));
    start(world, resource, call.now, &pod, &options);
    Ok(Response::json(
        201,
        json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "code": 201}),
    ))
}
