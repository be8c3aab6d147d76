//! Reading: one object, lists with selectors and pages, the scale of a workload.

use serde_json::{Value, json};

use super::answer::{Call, Response};
use super::object::{list as items_at, name, namespace, number, text};
use super::refusal::{Answered, Refusal};
use super::selector::{FieldSelector, Selector};
use super::world::World;

/// What a list or watch selects.
#[derive(Clone, Debug)]
pub(crate) struct Selection {
    labels: Selector,
    fields: FieldSelector,
    namespace: String,
    name: String,
}

impl Selection {
    pub(crate) fn of(call: &Call<'_>) -> Answered<Self> {
        Ok(Self {
            labels: Selector::parse(call.parameter("labelSelector"))?,
            fields: FieldSelector::parse(call.parameter("fieldSelector"), call.resource)?,
            namespace: call.target.namespace.clone(),
            name: call.target.name.clone(),
        })
    }

    pub(crate) fn selects(&self, object: &Value) -> bool {
        (self.namespace.is_empty() || namespace(object) == self.namespace)
            && (self.name.is_empty() || name(object) == self.name)
            && self.labels.selects(object)
            && self.fields.selects(object)
    }
}

/// The stored object that a request names.
///
/// # Errors
///
/// 404 when it does not exist.
pub(crate) fn found<'w>(world: &'w World, call: &Call<'_>) -> Answered<&'w Value> {
    let id = call.resource.id();
    world
        .get(&id, &call.target.namespace, &call.target.name)
        .ok_or_else(|| Refusal::not_found(&id, &call.target.name))
}

pub(crate) fn get(world: &World, call: &Call<'_>) -> Answered<Response> {
    let object = found(world, call)?;
    match call.target.subresource.as_str() {
        "" => Ok(Response::json(200, partial(call, call.shown(object)))),
        "status" if call.resource.status => Ok(Response::json(200, call.shown(object))),
        "scale" if call.resource.scale => Ok(Response::json(200, scale(world, call, object))),
        "status" | "scale" => Err(Refusal::no_such_resource()),
        other => Err(Refusal::not_simulated(&format!(
            "subresource {other} of {}",
            call.resource.id()
        ))),
    }
}

/// `PartialObjectMetadata` when the request accepts nothing else.
fn partial(call: &Call<'_>, object: Value) -> Value {
    if !call.request.accept.contains("as=PartialObjectMetadata") {
        return object;
    }
    json!({
        "kind": "PartialObjectMetadata",
        "apiVersion": "meta.k8s.io/v1",
        "metadata": object["metadata"],
    })
}

/// A page of a list; `continue` names the revision and the last key of the page before.
pub(crate) fn list(world: &World, call: &Call<'_>) -> Answered<Response> {
    let id = call.resource.id();
    let selection = Selection::of(call)?;
    check_version(world, call)?;
    let after = match call.parameter("continue") {
        "" => None,
        token => Some(page_start(world, token)?),
    };
    let limit: usize = call.parameter("limit").parse().unwrap_or_default();
    let mut items = Vec::new();
    let mut rest = 0usize;
    let mut last = String::new();
    for object in world.list(&id).filter(|one| selection.selects(one)) {
        let key = format!("{}/{}", namespace(object), name(object));
        if after.as_ref().is_some_and(|(_, after)| key <= *after) {
            continue;
        }
        if limit > 0 && items.len() >= limit {
            rest += 1;
            continue;
        }
        last = key;
        let mut item = partial(call, call.shown(object));
        // Items of a typed list carry neither; those of custom kinds and of metadata lists do.
        if !call.resource.custom && item["kind"] != "PartialObjectMetadata" {
            super::object::remove(&mut item, "/apiVersion");
            super::object::remove(&mut item, "/kind");
        }
        items.push(item);
    }
    let metadata_only = call.request.accept.contains("as=PartialObjectMetadata");
    let mut metadata = json!({"resourceVersion": world.revision().to_string()});
    if rest > 0 {
        metadata["continue"] = json!(format!("{}:{last}", world.revision()));
        metadata["remainingItemCount"] = json!(rest);
    }
    let (kind, api_version) = if metadata_only {
        (
            "PartialObjectMetadataList".to_owned(),
            "meta.k8s.io/v1".to_owned(),
        )
    } else {
        (format!("{}List", call.resource.kind), call.api_version())
    };
    Ok(Response::json(
        200,
        json!({"kind": kind, "apiVersion": api_version, "metadata": metadata, "items": items}),
    ))
}

/// The lab holds only the newest state: an exact older revision is gone, a future one not there yet.
fn check_version(world: &World, call: &Call<'_>) -> Answered<()> {
    let wanted = call.parameter("resourceVersion");
    if wanted.is_empty() || wanted == "0" {
        return Ok(());
    }
    let wanted: u64 = wanted.parse().map_err(|_| {
        Refusal::bad_request(format!(
            "Invalid value: {wanted:?}: strconv.ParseUint: invalid syntax"
        ))
    })?;
    if wanted > world.revision() {
        let message = format!(
            "Too large resource version: {wanted}, current: {}",
            world.revision()
        );
        return Err(Refusal::new(504, "Timeout", message));
    }
    if call.parameter("resourceVersionMatch") == "Exact" && wanted != world.revision() {
        return Err(Refusal::expired(format!(
            "The resourceVersion for the provided list is too old: {wanted}"
        )));
    }
    Ok(())
}

fn page_start(world: &World, token: &str) -> Answered<(u64, String)> {
    let parsed = token
        .split_once(':')
        .and_then(|(revision, key)| Some((revision.parse().ok()?, key.to_owned())));
    let (revision, key): (u64, String) = parsed.ok_or_else(|| {
        Refusal::bad_request("continue key is not valid: the token is not one of ours")
    })?;
    if revision != world.revision() && world.changes_since(revision).is_none() {
        return Err(Refusal::expired(
            "The provided continue parameter is too old to display a consistent list result. You \
             can start a new list without the continue parameter.",
        ));
    }
    Ok((revision, key))
}

/// The `Scale` object of a workload.
pub(crate) fn scale(world: &World, call: &Call<'_>, object: &Value) -> Value {
    let (wanted, current) = scale_places(world, call);
    let labels: Vec<String> = super::object::texts(object, "/spec/selector/matchLabels")
        .into_iter()
        .map(|(key, value)| format!("{key}={value}"))
        .collect();
    let mut scale = json!({
        "kind": "Scale",
        "apiVersion": "autoscaling/v1",
        "metadata": {
            "name": name(object),
            "namespace": namespace(object),
            "uid": object["metadata"]["uid"],
            "resourceVersion": object["metadata"]["resourceVersion"],
            "creationTimestamp": object["metadata"]["creationTimestamp"],
        },
        "spec": {"replicas": number(object, &wanted).unwrap_or_default()},
        "status": {"replicas": number(object, &current).unwrap_or_default()},
    });
    if !labels.is_empty() {
        scale["status"]["selector"] = json!(labels.join(","));
    }
    scale
}

/// Where a kind holds its wanted and current replicas.
pub(crate) fn scale_places(world: &World, call: &Call<'_>) -> (String, String) {
    let crd = world.get(super::world::CRDS, "", &call.resource.id());
    let paths = crd.and_then(|crd| {
        items_at(crd, "/spec/versions")
            .iter()
            .find(|one| one["name"] == call.target.version.as_str())?
            .pointer("/subresources/scale")
    });
    let place = |field: &str, fallback: &str| {
        let path = paths.map_or("", |paths| text(paths, field));
        if path.is_empty() {
            fallback.to_owned()
        } else {
            path.replace('.', "/")
        }
    };
    (
        place("/specReplicasPath", "/spec/replicas"),
        place("/statusReplicasPath", "/status/replicas"),
    )
}
