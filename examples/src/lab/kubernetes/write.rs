//! Writing: create, update and the patches, each through defaults, admission and validation.

use serde_json::{Value, json};

use super::admission;
use super::answer::{Call, Response};
use super::apply::{self, Writer};
use super::defaults;
use super::delete;
use super::object::{drop_nulls, list, name, namespace, remove, set, text};
use super::patch;
use super::read;
use super::refusal::{Answered, Cause, Refusal};
use super::schema::Schema;
use super::typed;
use super::validate;
use super::world::World;

/// Content type of server-side apply, without its encoding.
pub(crate) const APPLY: &str = "application/apply-patch";
const PATCHES: &str = "application/json-patch+json, application/merge-patch+json, \
    application/apply-patch+yaml, application/strategic-merge-patch+json";
/// The server's limit for the body of a request.
const BODY_LIMIT: usize = 3 * 1024 * 1024;

fn body(call: &Call<'_>) -> Answered<Value> {
    if call.request.body.len() > BODY_LIMIT {
        let message = format!("Request entity too large: limit is {BODY_LIMIT}");
        return Err(Refusal::new(413, "RequestEntityTooLarge", message));
    }
    serde_json::from_slice(&call.request.body).map_err(|error| {
        Refusal::bad_request(format!(
            "the object provided is unrecognized (not JSON): {error}"
        ))
    })
}

fn writer<'a>(call: &Call<'_>, manager: &'a str, api_version: &'a str) -> Writer<'a> {
    let subresource = match call.target.subresource.as_str() {
        "status" => "status",
        "scale" => "scale",
        _ => "",
    };
    Writer {
        manager,
        api_version,
        subresource,
        now: call.now,
    }
}

/// Runs a write on the world, or on a copy of it for a dry run.
fn dry<T>(
    world: &mut World,
    call: &Call<'_>,
    write: impl FnOnce(&mut World) -> Answered<T>,
) -> Answered<T> {
    if call.dry_run() {
        write(&mut world.clone())
    } else {
        write(world)
    }
}

/// Checks that a body belongs to the request's path, and completes its metadata from it.
fn fit(call: &Call<'_>, object: &mut Value) -> Answered<()> {
    let wanted = call.api_version();
    let given = text(object, "/apiVersion");
    if !given.is_empty() && given != wanted {
        return Err(Refusal::bad_request(format!(
            "the API version in the data ({given}) does not match the expected API version ({wanted})"
        )));
    }
    let kind = text(object, "/kind");
    if !kind.is_empty() && kind != call.resource.kind {
        return Err(Refusal::bad_request(format!(
            "{kind} in version {wanted:?} cannot be handled as a {}: no kind {kind:?} is served here",
            call.resource.kind
        )));
    }
    let target = call.target;
    if !target.name.is_empty() {
        let given = name(object);
        if !given.is_empty() && given != target.name {
            return Err(Refusal::bad_request(format!(
                "the name of the object ({given}) does not match the name on the URL ({})",
                target.name
            )));
        }
        set(object, "/metadata/name", json!(target.name));
    }
    let given = namespace(object);
    if !given.is_empty() && given != target.namespace {
        return Err(Refusal::bad_request(
            "the namespace of the provided object does not match the namespace sent on the request",
        ));
    }
    if target.namespace.is_empty() {
        if call.resource.namespaced {
            let message = "an empty namespace may not be set during creation";
            return Err(Refusal::bad_request(message));
        }
    } else {
        set(object, "/metadata/namespace", json!(target.namespace));
    }
    // Stored once, under the preferred version; answers name the version that was asked for.
    let stored = call.resource.versions.first().map_or("v1", String::as_str);
    set(
        object,
        "/apiVersion",
        json!(call.resource.api_version(stored)),
    );
    set(object, "/kind", json!(call.resource.kind));
    Ok(())
}

/// Takes out what the kind does not know, or refuses it, as `fieldValidation` asks.
fn known_fields(world: &World, call: &Call<'_>, object: &mut Value) -> Answered<Vec<String>> {
    let unknown = typed::prune(world, call.resource, &call.target.version, object)?;
    if unknown.is_empty() {
        return Ok(Vec::new());
    }
    let texts: Vec<String> = unknown
        .iter()
        .map(|one| format!("unknown field {one:?}"))
        .collect();
    match call.parameter("fieldValidation") {
        "Strict" => Err(Refusal::bad_request(format!(
            "{} in version {:?} cannot be handled as a {}: strict decoding error: {}",
            call.resource.kind,
            call.target.version,
            call.resource.kind,
            texts.join(", ")
        ))),
        "Ignore" => Ok(Vec::new()),
        _ => Ok(texts),
    }
}

fn ready_namespace(world: &World, call: &Call<'_>, given: &str) -> Answered<()> {
    if call.target.namespace.is_empty() {
        return Ok(());
    }
    let home = &call.target.namespace;
    let Some(found) = world.get("namespaces", "", home) else {
        return Err(Refusal::not_found("namespaces", home));
    };
    if super::object::deleting(found) {
        let why = format!(
            "unable to create new content in namespace {home} because it is being terminated"
        );
        let cause = Cause {
            reason: "NamespaceTerminating",
            message: format!("namespace {home} is being terminated"),
            field: "metadata.namespace".to_owned(),
        };
        return Err(Refusal::forbidden(&call.resource.id(), given, &why).with_causes(vec![cause]));
    }
    Ok(())
}

fn answered(call: &Call<'_>, status: u16, object: &Value, warnings: Vec<String>) -> Response {
    let mut response = Response::json(status, call.shown(object));
    response.warnings = warnings;
    response
}

pub(crate) fn create(world: &mut World, call: &Call<'_>) -> Answered<Response> {
    if call.target.subresource == "eviction" && call.resource.id() == "pods" {
        let options = body(call)?;
        return dry(world, call, |world| delete::evict(world, call, &options));
    }
    if !call.target.subresource.is_empty() {
        let what = format!(
            "subresource {} of {}",
            call.target.subresource,
            call.resource.id()
        );
        return Err(Refusal::not_simulated(&what));
    }
    if !call.target.name.is_empty() {
        return Err(Refusal::method_not_allowed());
    }
    let mut object = body(call)?;
    fit(call, &mut object)?;
    let warnings = known_fields(world, call, &mut object)?;
    dry(world, call, |world| {
        let manager = call.manager();
        let stored = insert(world, call, object, |schema, object| {
            let api_version = call.api_version();
            apply::record_update(None, object, schema, &writer(call, &manager, &api_version));
        })?;
        Ok(answered(call, 201, &stored, warnings))
    })
}

/// Stores a new object; `own` writes its managed fields before the server's defaults come in.
fn insert(
    world: &mut World,
    call: &Call<'_>,
    mut object: Value,
    own: impl FnOnce(Schema<'_>, &mut Value),
) -> Answered<std::sync::Arc<Value>> {
    for field in [
        "uid",
        "resourceVersion",
        "creationTimestamp",
        "generation",
        "deletionTimestamp",
    ] {
        remove(&mut object, &format!("/metadata/{field}"));
    }
    if call.resource.status {
        remove(&mut object, "/status");
    }
    drop_nulls(&mut object);
    if name(&object).is_empty() && !text(&object, "/metadata/generateName").is_empty() {
        let given = format!(
            "{}{}",
            text(&object, "/metadata/generateName"),
            world.next_suffix()
        );
        set(&mut object, "/metadata/name", json!(given));
    }
    let given = name(&object).to_owned();
    ready_namespace(world, call, &given)?;
    let id = call.resource.id();
    if world.get(&id, namespace(&object), &given).is_some() {
        return Err(Refusal::already_exists(&id, &given));
    }
    own(schema_of(world, call), &mut object);
    defaults::fill(call.resource, &mut object);
    custom_defaults(world, call, &mut object);
    admission::admit(world, call.resource, None, &mut object)?;
    validate::check(call.resource, None, &object)?;
    typed::check(world, call.resource, &call.target.version, &object)?;
    Ok(world.insert(call.resource, call.now, object))
}

/// Defaults of a custom kind stand in the schema of its CRD.
fn custom_defaults(world: &World, call: &Call<'_>, object: &mut Value) {
    if let Some(schema) = call
        .resource
        .custom
        .then(|| world.schema(call.resource, &call.target.version))
        .flatten()
    {
        typed::default_by(schema, object);
    }
}

fn schema_of<'w>(world: &'w World, call: &Call<'_>) -> Schema<'w> {
    if call.resource.custom {
        world
            .schema(call.resource, &call.target.version)
            .map_or(Schema::Open, Schema::Crd)
    } else {
        Schema::of_kind(&call.resource.kind)
    }
}

pub(crate) fn update(world: &mut World, call: &Call<'_>) -> Answered<Response> {
    let mut object = body(call)?;
    if call.target.subresource == "scale" && call.resource.scale {
        let object = object;
        return dry(world, call, |world| scale_to(world, call, &object));
    }
    fit(call, &mut object)?;
    let warnings = known_fields(world, call, &mut object)?;
    dry(world, call, |world| {
        let old = read::found(world, call)?.clone();
        let stored = finish(world, call, &old, object, true)?;
        Ok(answered(call, 200, &stored, warnings))
    })
}

fn scale_to(world: &mut World, call: &Call<'_>, scale: &Value) -> Answered<Response> {
    let old = read::found(world, call)?.clone();
    let (place, _) = read::scale_places(world, call);
    let mut new = old.clone();
    set(
        &mut new,
        &place,
        scale
            .pointer("/spec/replicas")
            .cloned()
            .unwrap_or_else(|| json!(0)),
    );
    let version = text(scale, "/metadata/resourceVersion");
    if !version.is_empty() && version != text(&old, "/metadata/resourceVersion") {
        return Err(Refusal::modified(&call.resource.id(), name(&old)));
    }
    let manager = call.manager();
    let api_version = call.api_version();
    apply::record_update(
        Some(&old),
        &mut new,
        schema_of(world, call),
        &writer(call, &manager, &api_version),
    );
    let stored = world.replace(call.resource, new);
    Ok(Response::json(200, read::scale(world, call, &stored)))
}

/// Puts the parts that a request may not change back into a changed object, checks it and stores
/// it. `record` is false when the managed fields are already written (apply).
fn finish(
    world: &mut World,
    call: &Call<'_>,
    old: &Value,
    mut new: Value,
    record: bool,
) -> Answered<std::sync::Arc<Value>> {
    let id = call.resource.id();
    let version = text(&new, "/metadata/resourceVersion");
    if !version.is_empty() && version != text(old, "/metadata/resourceVersion") {
        return Err(Refusal::modified(&id, name(old)));
    }
    let given = text(&new, "/metadata/uid");
    if !given.is_empty() && given != text(old, "/metadata/uid") {
        let why = format!(
            "Precondition failed: UID in precondition: {given}, UID in object meta: {}",
            text(old, "/metadata/uid")
        );
        return Err(Refusal::conflict(&id, name(old), &why));
    }
    let keep = |new: &mut Value, pointer: &str| match old.pointer(pointer) {
        Some(value) => set(new, pointer, value.clone()),
        None => drop(remove(new, pointer)),
    };
    match call.target.subresource.as_str() {
        "status" if call.resource.status => {
            let status = new.get("status").cloned();
            let managed = new.pointer("/metadata/managedFields").cloned();
            new = old.clone();
            match status {
                Some(status) => set(&mut new, "/status", status),
                None => drop(remove(&mut new, "/status")),
            }
            if let (false, Some(managed)) = (record, managed) {
                set(&mut new, "/metadata/managedFields", managed);
            }
        }
        "finalize" if id == "namespaces" => {
            let finalizers = new
                .pointer("/spec/finalizers")
                .cloned()
                .unwrap_or_else(|| json!([]));
            new = old.clone();
            set(&mut new, "/spec/finalizers", finalizers);
        }
        "" => {
            if call.resource.status {
                keep(&mut new, "/status");
            }
        }
        other => {
            return Err(Refusal::not_simulated(&format!(
                "subresource {other} of {id}"
            )));
        }
    }
    for field in [
        "uid",
        "resourceVersion",
        "creationTimestamp",
        "generation",
        "deletionTimestamp",
        "deletionGracePeriodSeconds",
        "name",
        "namespace",
        "generateName",
    ] {
        keep(&mut new, &format!("/metadata/{field}"));
    }
    if record {
        keep(&mut new, "/metadata/managedFields");
    }
    drop_nulls(&mut new);
    defaults::fill(call.resource, &mut new);
    custom_defaults(world, call, &mut new);
    admission::admit(world, call.resource, Some(old), &mut new)?;
    validate::check(call.resource, Some(old), &new)?;
    typed::check(world, call.resource, &call.target.version, &new)?;
    if record {
        let manager = call.manager();
        let api_version = call.api_version();
        let schema = schema_of(world, call);
        apply::record_update(
            Some(old),
            &mut new,
            schema,
            &writer(call, &manager, &api_version),
        );
    }
    let stored = world.replace(call.resource, new);
    delete::finalised(world, call.resource, &stored);
    Ok(stored)
}

pub(crate) fn patch(world: &mut World, call: &Call<'_>) -> Answered<Response> {
    let body = body(call)?;
    if call.request.content_type.starts_with(APPLY) {
        return server_side_apply(world, call, body);
    }
    let old = read::found(world, call)?.clone();
    if call.target.subresource == "scale" && call.resource.scale {
        let mut scale = read::scale(world, call, &old);
        patch::merge_patch(&mut scale, &body);
        return dry(world, call, |world| scale_to(world, call, &scale));
    }
    let mut new = call.shown(&old);
    match call
        .request
        .content_type
        .split(';')
        .next()
        .unwrap_or_default()
    {
        "application/json-patch+json" => patch::json_patch(&mut new, &body)?,
        "application/merge-patch+json" => patch::merge_patch(&mut new, &body),
        "application/strategic-merge-patch+json" if !call.resource.custom => {
            patch::strategic(&mut new, &body, Schema::of_kind(&call.resource.kind));
        }
        _ => return Err(Refusal::media_type(PATCHES)),
    }
    fit(call, &mut new)?;
    let warnings = known_fields(world, call, &mut new)?;
    dry(world, call, |world| {
        let stored = finish(world, call, &old, new, true)?;
        Ok(answered(call, 200, &stored, warnings))
    })
}

fn server_side_apply(world: &mut World, call: &Call<'_>, mut wanted: Value) -> Answered<Response> {
    let manager = call.parameter("fieldManager").to_owned();
    if manager.is_empty() {
        let cause = Cause::required("fieldManager", "is required for apply patch");
        return Err(Refusal::invalid(
            "meta.k8s.io",
            "PatchOptions",
            "",
            vec![cause],
        ));
    }
    if text(&wanted, "/apiVersion").is_empty() || text(&wanted, "/kind").is_empty() {
        return Err(Refusal::bad_request(
            "error decoding YAML: error converting YAML to JSON or missing kind and apiVersion",
        ));
    }
    if !list(&wanted, "/metadata/managedFields").is_empty() {
        return Err(Refusal::bad_request("metadata.managedFields must be nil"));
    }
    fit(call, &mut wanted)?;
    drop_nulls(&mut wanted);
    if text(&wanted, "/type").is_empty() && call.resource.id() == "secrets" {
        // Stored secrets have no `stringData`: it is converted before ownership is recorded.
        let given = wanted.get("type").is_some();
        defaults::fill(call.resource, &mut wanted);
        if !given {
            remove(&mut wanted, "/type");
        }
    } else if call.resource.id() == "secrets" {
        defaults::fill(call.resource, &mut wanted);
    }
    let warnings = known_fields(world, call, &mut wanted)?;
    if call.resource.status {
        match call.target.subresource.as_str() {
            "status" => drop(remove(&mut wanted, "/spec")),
            _ => drop(remove(&mut wanted, "/status")),
        }
    }
    let force = call.switch("force");
    dry(world, call, |world| {
        let api_version = call.api_version();
        let writer = writer(call, &manager, &api_version);
        let id = call.resource.id();
        let live = world
            .get(&id, &call.target.namespace, &call.target.name)
            .cloned();
        let Some(live) = live else {
            if !call.target.subresource.is_empty() {
                return Err(Refusal::not_found(&id, &call.target.name));
            }
            let version = text(&wanted, "/metadata/resourceVersion");
            if !version.is_empty() {
                let why = "the object does not exist, but a resourceVersion was given";
                return Err(Refusal::conflict(&id, &call.target.name, why));
            }
            let base = json!({"apiVersion": wanted["apiVersion"], "kind": wanted["kind"],
                "metadata": {"name": wanted["metadata"]["name"]}});
            let mut base = base;
            if !call.target.namespace.is_empty() {
                set(
                    &mut base,
                    "/metadata/namespace",
                    json!(call.target.namespace),
                );
            }
            let merged = apply::apply(&base, &wanted, schema_of(world, call), &writer, force)?;
            let stored = insert(world, call, merged, |_, _| {})?;
            return Ok(answered(call, 201, &stored, warnings));
        };
        let version = text(&wanted, "/metadata/resourceVersion");
        if !version.is_empty() && version != text(&live, "/metadata/resourceVersion") {
            return Err(Refusal::modified(&id, name(&live)));
        }
        let mut merged = apply::apply(&live, &wanted, schema_of(world, call), &writer, force)?;
        remove(&mut merged, "/metadata/resourceVersion");
        let stored = finish(world, call, &live, merged, false)?;
        Ok(answered(call, 200, &stored, warnings))
    })
}
