//! What the server says about itself: versions, health, groups and their resources.

use serde_json::{Value, json};

use super::answer::{Request, Response};
use super::refusal::{Answered, Refusal};
use super::resource::{self, Resource};
use super::route::Route;
use super::world::{CRDS, World};

const VERBS: [&str; 8] = [
    "create",
    "delete",
    "deletecollection",
    "get",
    "list",
    "patch",
    "update",
    "watch",
];

/// Answers a GET that is not about objects.
pub(crate) fn answer(world: &World, route: &Route, request: &Request) -> Answered<Response> {
    let aggregated = request.accept.contains("as=APIGroupDiscoveryList");
    match route {
        Route::Server(name) => match name.as_str() {
            "api" if aggregated => Ok(aggregate(world, true)),
            "apis" if aggregated => Ok(aggregate(world, false)),
            "api" => Ok(Response::json(
                200,
                json!({"kind": "APIVersions", "versions": ["v1"],
                    "serverAddressByClientCIDRs": []}),
            )),
            "apis" => {
                let groups: Vec<Value> = groups(world)
                    .into_iter()
                    .filter(|one| !one.0.is_empty())
                    .map(group)
                    .collect();
                Ok(Response::json(
                    200,
                    json!({"kind": "APIGroupList", "apiVersion": "v1", "groups": groups}),
                ))
            }
            "version" => Ok(Response::json(200, version(world))),
            _ => Ok(Response::text(200, "ok")),
        },
        Route::Group(name) => {
            let found = groups(world)
                .into_iter()
                .find(|one| one.0 == *name && !name.is_empty());
            let mut found = group(found.ok_or_else(Refusal::no_such_resource)?);
            found["kind"] = json!("APIGroup");
            found["apiVersion"] = json!("v1");
            Ok(Response::json(200, found))
        }
        Route::Version { group, version } => {
            let resources: Vec<Value> = kinds(world)
                .iter()
                .filter(|one| one.group == *group && one.versions.contains(version))
                .flat_map(legacy)
                .collect();
            if resources.is_empty() {
                return Err(Refusal::no_such_resource());
            }
            let group_version = if group.is_empty() {
                version.clone()
            } else {
                format!("{group}/{version}")
            };
            Ok(Response::json(
                200,
                json!({"kind": "APIResourceList", "apiVersion": "v1",
                    "groupVersion": group_version, "resources": resources}),
            ))
        }
        Route::Objects(_) | Route::Unknown => Err(Refusal::not_simulated(&format!(
            "{} {}",
            request.method, request.path
        ))),
    }
}

fn version(world: &World) -> Value {
    let version = &world.settings.version;
    let mut parts = version.split('.');
    json!({
        "major": parts.next().unwrap_or_default(),
        "minor": parts.next().unwrap_or_default(),
        "gitVersion": format!("v{version}"),
        "gitCommit": "",
        "gitTreeState": "clean",
        "buildDate": "",
        "goVersion": "",
        "compiler": "simulated",
        "platform": "linux/amd64",
    })
}

/// Every served kind: built-in ones, then those of established CRDs.
pub(crate) fn kinds(world: &World) -> Vec<Resource> {
    resource::built_in()
        .chain(world.list(CRDS).filter_map(resource::of_crd))
        .collect()
}

/// Groups with their versions, the preferred one first.
fn groups(world: &World) -> Vec<(String, Vec<String>)> {
    let mut groups: Vec<(String, Vec<String>)> = resource::built_in_groups()
        .into_iter()
        .map(|(group, version)| (group.to_owned(), vec![version.to_owned()]))
        .collect();
    for kind in kinds(world).into_iter().filter(|one| one.custom) {
        match groups.iter_mut().find(|one| one.0 == kind.group) {
            Some((_, versions)) => {
                for version in kind.versions {
                    if !versions.contains(&version) {
                        versions.push(version);
                    }
                }
            }
            None => groups.push((kind.group, kind.versions)),
        }
    }
    groups
}

fn group((name, versions): (String, Vec<String>)) -> Value {
    let versions: Vec<Value> = versions
        .iter()
        .map(|one| json!({"groupVersion": format!("{name}/{one}"), "version": one}))
        .collect();
    json!({"name": name, "versions": versions, "preferredVersion": versions[0]})
}

fn legacy(kind: &Resource) -> Vec<Value> {
    let mut main = json!({
        "name": kind.plural,
        "singularName": kind.singular,
        "namespaced": kind.namespaced,
        "kind": kind.kind,
        "verbs": VERBS,
    });
    if !kind.short.is_empty() {
        main["shortNames"] = json!(kind.short);
    }
    let mut all = vec![main];
    for (subresource, group, version, name, verbs) in subresources(kind) {
        let mut one = json!({
            "name": format!("{}/{subresource}", kind.plural),
            "singularName": "",
            "namespaced": kind.namespaced,
            "kind": name,
            "verbs": verbs,
        });
        if !group.is_empty() {
            one["group"] = json!(group);
            one["version"] = json!(version);
        }
        all.push(one);
    }
    all
}

type Subresource = (
    &'static str,
    &'static str,
    &'static str,
    String,
    Vec<&'static str>,
);

fn subresources(kind: &Resource) -> Vec<Subresource> {
    let change = vec!["get", "patch", "update"];
    let mut all = Vec::new();
    if kind.status {
        all.push(("status", "", "", kind.kind.clone(), change.clone()));
    }
    if kind.scale {
        all.push(("scale", "autoscaling", "v1", "Scale".to_owned(), change));
    }
    if kind.id() == "pods" {
        all.push((
            "eviction",
            "policy",
            "v1",
            "Eviction".to_owned(),
            vec!["create"],
        ));
    }
    if kind.id() == "namespaces" {
        all.push(("finalize", "", "", kind.kind.clone(), vec!["update"]));
    }
    all
}

/// Aggregated discovery: all groups of one root in one document.
fn aggregate(world: &World, core: bool) -> Response {
    let kinds = kinds(world);
    let items: Vec<Value> = groups(world)
        .into_iter()
        .filter(|(group, _)| group.is_empty() == core)
        .map(|(group, versions)| {
            let versions: Vec<Value> = versions
                .iter()
                .map(|version| {
                    let resources: Vec<Value> = kinds
                        .iter()
                        .filter(|one| one.group == group && one.versions.contains(version))
                        .map(|one| aggregated(one, version))
                        .collect();
                    json!({"version": version, "resources": resources, "freshness": "Current"})
                })
                .collect();
            let metadata = if core {
                json!({})
            } else {
                json!({"name": group})
            };
            json!({"metadata": metadata, "versions": versions})
        })
        .collect();
    let mut response = Response::json(
        200,
        json!({"kind": "APIGroupDiscoveryList", "apiVersion": "apidiscovery.k8s.io/v2",
            "metadata": {}, "items": items}),
    );
    response.content_type =
        "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList".to_owned();
    response
}

fn aggregated(kind: &Resource, version: &str) -> Value {
    let scope = if kind.namespaced {
        "Namespaced"
    } else {
        "Cluster"
    };
    let below: Vec<Value> = subresources(kind)
        .into_iter()
        .map(|(name, group, of, kind, verbs)| {
            json!({"subresource": name, "verbs": verbs,
                "responseKind": {"group": group, "version": of, "kind": kind}})
        })
        .collect();
    let mut one = json!({
        "resource": kind.plural,
        "responseKind": {"group": kind.group, "version": version, "kind": kind.kind},
        "scope": scope,
        "singularResource": kind.singular,
        "verbs": VERBS,
    });
    if !kind.short.is_empty() {
        one["shortNames"] = json!(kind.short);
    }
    if !below.is_empty() {
        one["subresources"] = json!(below);
    }
    one
}
