//! CRUD, lists, watches, patches, refusals.

use std::collections::BTreeMap;

use futures::{StreamExt, TryStreamExt};
use homelab::lab::kubernetes::{Fault, Request, User, World};
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{ConfigMap, Namespace, Secret, Service};
use kube::api::{
    Api, DeleteParams, ListParams, Patch, PatchParams, PostParams, WatchEvent, WatchParams,
};
use serde_json::json;

use super::stage::{Stage, crd, deployment, open_schema};

fn map(name: &str, labels: &[(&str, &str)]) -> ConfigMap {
    let mut map = ConfigMap::default();
    map.metadata.name = Some(name.to_owned());
    map.metadata.labels = Some(
        labels
            .iter()
            .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
            .collect(),
    );
    map.data = Some(BTreeMap::from([("key".to_owned(), "value".to_owned())]));
    map
}

fn refusal(error: kube::Error) -> (u16, String, String) {
    match error {
        kube::Error::Api(status) => (status.code, status.reason.clone(), status.message.clone()),
        other => panic!("not a refusal: {other}"),
    }
}

#[tokio::test]
async fn objects_are_created_read_replaced_and_deleted() {
    let stage = Stage::new();
    let maps: Api<ConfigMap> = Api::default_namespaced(stage.client.clone());
    let made = maps
        .create(&PostParams::default(), &map("a", &[]))
        .await
        .unwrap();
    assert_eq!(made.metadata.namespace.as_deref(), Some("default"));
    assert!(made.metadata.uid.is_some() && made.metadata.creation_timestamp.is_some());

    let twice = maps
        .create(&PostParams::default(), &map("a", &[]))
        .await
        .unwrap_err();
    let (code, reason, message) = refusal(twice);
    assert_eq!((code, reason.as_str()), (409, "AlreadyExists"));
    assert_eq!(message, "configmaps \"a\" already exists");

    let mut changed = made.clone();
    changed.data = Some(BTreeMap::from([("key".to_owned(), "other".to_owned())]));
    let stored = maps
        .replace("a", &PostParams::default(), &changed)
        .await
        .unwrap();
    assert_ne!(
        stored.metadata.resource_version,
        made.metadata.resource_version
    );

    let stale = maps
        .replace("a", &PostParams::default(), &made)
        .await
        .unwrap_err();
    let (code, reason, message) = refusal(stale);
    assert_eq!((code, reason.as_str()), (409, "Conflict"));
    assert_eq!(
        message,
        "Operation cannot be fulfilled on configmaps \"a\": the object has been modified; please \
         apply your changes to the latest version and try again"
    );

    maps.delete("a", &DeleteParams::default()).await.unwrap();
    let (code, _, message) = refusal(maps.get("a").await.unwrap_err());
    assert_eq!(
        (code, message.as_str()),
        (404, "configmaps \"a\" not found")
    );
}

#[tokio::test]
async fn an_unchanged_write_keeps_the_resource_version() {
    let stage = Stage::new();
    let maps: Api<ConfigMap> = Api::default_namespaced(stage.client.clone());
    let made = maps
        .create(&PostParams::default(), &map("a", &[]))
        .await
        .unwrap();
    let again = maps
        .replace("a", &PostParams::default(), &made)
        .await
        .unwrap();
    assert_eq!(
        made.metadata.resource_version,
        again.metadata.resource_version
    );
}

#[tokio::test]
async fn lists_select_by_labels_and_fields_and_come_in_pages() {
    let stage = Stage::new();
    let maps: Api<ConfigMap> = Api::default_namespaced(stage.client.clone());
    for (name, tier) in [("a", "web"), ("b", "db"), ("c", "web"), ("d", "cache")] {
        maps.create(&PostParams::default(), &map(name, &[("tier", tier)]))
            .await
            .unwrap();
    }
    let names = |list: Vec<ConfigMap>| -> Vec<String> {
        list.into_iter()
            .map(|one| one.metadata.name.unwrap())
            .collect()
    };
    let chosen = |labels: &str| ListParams::default().labels(labels);
    assert_eq!(
        names(maps.list(&chosen("tier=web")).await.unwrap().items),
        ["a", "c"]
    );
    assert_eq!(
        names(
            maps.list(&chosen("tier in (db,cache)"))
                .await
                .unwrap()
                .items
        ),
        ["b", "d"]
    );
    assert_eq!(
        names(maps.list(&chosen("tier!=web,tier")).await.unwrap().items),
        ["b", "d"]
    );
    let field = ListParams::default().fields("metadata.name=b");
    assert_eq!(names(maps.list(&field).await.unwrap().items), ["b"]);
    let unknown = maps
        .list(&ListParams::default().fields("data.key=b"))
        .await
        .unwrap_err();
    assert_eq!(refusal(unknown).2, "field label not supported: data.key");

    let first = maps.list(&chosen("tier").limit(3)).await.unwrap();
    assert_eq!(first.metadata.remaining_item_count, Some(1));
    let token = first.metadata.continue_.clone().unwrap();
    assert_eq!(names(first.items), ["a", "b", "c"]);
    let rest = maps
        .list(&chosen("tier").limit(3).continue_token(&token))
        .await
        .unwrap();
    assert_eq!(names(rest.items), ["d"]);
    assert_eq!(rest.metadata.continue_, None);
}

#[tokio::test]
async fn a_watch_tells_what_happens_through_its_selector() {
    let stage = Stage::new();
    let maps: Api<ConfigMap> = Api::default_namespaced(stage.client.clone());
    maps.create(&PostParams::default(), &map("a", &[("watched", "yes")]))
        .await
        .unwrap();
    let version = maps
        .list(&ListParams::default())
        .await
        .unwrap()
        .metadata
        .resource_version
        .unwrap();
    let parameters = WatchParams::default().labels("watched=yes");
    let mut events = maps.watch(&parameters, &version).await.unwrap().boxed();
    maps.create(&PostParams::default(), &map("b", &[("watched", "yes")]))
        .await
        .unwrap();
    maps.create(&PostParams::default(), &map("c", &[("watched", "no")]))
        .await
        .unwrap();
    let unlabel = json!({"metadata": {"labels": null}});
    maps.patch("a", &PatchParams::default(), &Patch::Merge(unlabel))
        .await
        .unwrap();
    maps.delete("b", &DeleteParams::default()).await.unwrap();
    let mut seen = Vec::new();
    while seen.len() < 3 {
        match events.try_next().await.unwrap().unwrap() {
            WatchEvent::Added(one) => seen.push(format!("+{}", one.metadata.name.unwrap())),
            WatchEvent::Deleted(one) => seen.push(format!("-{}", one.metadata.name.unwrap())),
            other => panic!("unexpected {other:?}"),
        }
    }
    assert_eq!(seen, ["+b", "-a", "-b"]);
}

#[tokio::test]
async fn a_watch_from_a_forgotten_revision_is_told_to_list_again() {
    let stage = Stage::new();
    let maps: Api<ConfigMap> = Api::default_namespaced(stage.client.clone());
    let made = maps
        .create(&PostParams::default(), &map("a", &[]))
        .await
        .unwrap();
    maps.create(&PostParams::default(), &map("b", &[]))
        .await
        .unwrap();
    stage.simulator.with(World::compact);
    let version = made.metadata.resource_version.unwrap();
    let mut events = maps
        .watch(&WatchParams::default(), &version)
        .await
        .unwrap()
        .boxed();
    match events.try_next().await.unwrap().unwrap() {
        WatchEvent::Error(status) => {
            assert_eq!((status.code, status.reason.as_str()), (410, "Expired"));
            assert!(
                status.message.starts_with("too old resource version"),
                "{}",
                status.message
            );
        }
        other => panic!("unexpected {other:?}"),
    }
}

#[tokio::test]
async fn patches_merge_lists_as_their_format_says() {
    let stage = Stage::new();
    let deployments: Api<Deployment> = Api::default_namespaced(stage.client.clone());
    stage
        .create("deployments", deployment("default", "web", 1))
        .await;
    let container = json!({"spec": {"template": {"spec": {"containers": [
        {"name": "side", "image": "registry.example/side:1"}]}}}});
    let parameters = PatchParams::default();
    let both = deployments
        .patch("web", &parameters, &Patch::Strategic(&container))
        .await
        .unwrap();
    let count = |one: &Deployment| {
        one.spec
            .as_ref()
            .unwrap()
            .template
            .spec
            .as_ref()
            .unwrap()
            .containers
            .len()
    };
    assert_eq!(count(&both), 2);
    let one = deployments
        .patch("web", &parameters, &Patch::Merge(&container))
        .await
        .unwrap();
    assert_eq!(count(&one), 1);
    let operations = json!([
        {"op": "test", "path": "/spec/replicas", "value": 1},
        {"op": "replace", "path": "/spec/replicas", "value": 3},
    ]);
    let request = http::Request::patch("/apis/apps/v1/namespaces/default/deployments/web")
        .header("content-type", "application/json-patch+json")
        .body(operations.to_string().into_bytes())
        .unwrap();
    let three: Deployment = stage.client.request(request).await.unwrap();
    assert_eq!(three.spec.unwrap().replicas, Some(3));
}

#[tokio::test]
async fn what_the_server_would_refuse_is_refused_with_its_words() {
    let stage = Stage::new();
    let maps: Api<ConfigMap> = Api::namespaced(stage.client.clone(), "absent");
    let error = maps
        .create(&PostParams::default(), &map("a", &[]))
        .await
        .unwrap_err();
    assert_eq!(refusal(error).2, "namespaces \"absent\" not found");

    let maps: Api<ConfigMap> = Api::default_namespaced(stage.client.clone());
    let error = maps
        .create(&PostParams::default(), &map("Not_A_Name", &[]))
        .await
        .unwrap_err();
    let (code, _, message) = refusal(error);
    assert_eq!(code, 422);
    assert!(
        message.starts_with("ConfigMap \"Not_A_Name\" is invalid: metadata.name: Invalid value:"),
        "{message}"
    );

    stage
        .create("deployments", deployment("default", "web", 1))
        .await;
    let deployments: Api<Deployment> = Api::default_namespaced(stage.client.clone());
    let selector = json!({"spec": {"selector": {"matchLabels": {"app": "other"}},
        "template": {"metadata": {"labels": {"app": "other"}}}}});
    let error = deployments
        .patch("web", &PatchParams::default(), &Patch::Merge(selector))
        .await
        .unwrap_err();
    let (code, _, message) = refusal(error);
    assert_eq!(code, 422);
    assert!(message.ends_with("field is immutable"), "{message}");

    let mut service = json!({"apiVersion": "v1", "kind": "Service",
        "metadata": {"name": "dns", "namespace": "default"},
        "spec": {"clusterIP": "192.0.2.1", "ports": [{"port": 53}]}});
    let services: Api<Service> = Api::default_namespaced(stage.client.clone());
    let given: Service = serde_json::from_value(service.clone()).unwrap();
    let error = services
        .create(&PostParams::default(), &given)
        .await
        .unwrap_err();
    assert!(
        refusal(error)
            .2
            .contains("is not in the valid range. The range of valid IPs is 10.96.0.0/12")
    );
    service["spec"]["clusterIP"] = json!("10.96.0.10");
    let given: Service = serde_json::from_value(service).unwrap();
    services
        .create(&PostParams::default(), &given)
        .await
        .unwrap();
    let other = json!({"spec": {"clusterIP": "10.96.0.11", "clusterIPs": ["10.96.0.11"]}});
    let error = services
        .patch("dns", &PatchParams::default(), &Patch::Merge(other))
        .await
        .unwrap_err();
    assert!(refusal(error).2.contains("may not change once set"));
}

#[tokio::test]
async fn a_dry_run_is_checked_but_leaves_nothing() {
    let stage = Stage::new();
    let maps: Api<ConfigMap> = Api::default_namespaced(stage.client.clone());
    let dry = PostParams {
        dry_run: true,
        ..PostParams::default()
    };
    maps.create(&dry, &map("a", &[])).await.unwrap();
    assert_eq!(refusal(maps.get("a").await.unwrap_err()).0, 404);
}

#[tokio::test]
async fn custom_kinds_are_served_once_established_and_pruned_by_their_schema() {
    let stage = Stage::new();
    let schema = json!({"type": "object", "properties": {"spec": {"type": "object",
        "required": ["size"], "properties": {"size": {"type": "integer", "minimum": 1}}}}});
    let object = |size: i64| {
        json!({"apiVersion": "example.org/v1", "kind": "Shelf",
        "metadata": {"name": "one", "namespace": "default"},
        "spec": {"size": size, "colour": "red"}})
    };
    stage
        .create(
            "customresourcedefinitions",
            crd("example.org", "Shelf", "shelves", "Namespaced", schema),
        )
        .await;
    let shelves = stage.api("example.org/v1", "Shelf", "shelves", "default");
    assert_eq!(
        refusal(shelves.list(&ListParams::default()).await.unwrap_err()).0,
        404
    );
    stage.step(2);
    let given = serde_json::from_value(object(0)).unwrap();
    let error = shelves
        .create(&PostParams::default(), &given)
        .await
        .unwrap_err();
    assert_eq!(
        refusal(error).2,
        "Shelf.example.org \"one\" is invalid: spec.size: Invalid value: 0: spec.size in body should \
         be greater than or equal to 1"
    );
    let made = stage.create("shelves", object(2)).await;
    assert_eq!(made.data["spec"], json!({"size": 2}));
    let found = kube::Discovery::new(stage.client.clone())
        .run()
        .await
        .unwrap();
    assert!(found.has_group("example.org"));
}

#[tokio::test]
async fn deletion_waits_for_finalizers_and_for_dependents() {
    let stage = Stage::new();
    let maps: Api<ConfigMap> = Api::default_namespaced(stage.client.clone());
    let mut held = map("held", &[]);
    held.metadata.finalizers = Some(vec!["example.org/hold".to_owned()]);
    maps.create(&PostParams::default(), &held).await.unwrap();
    maps.delete("held", &DeleteParams::default()).await.unwrap();
    assert!(
        maps.get("held")
            .await
            .unwrap()
            .metadata
            .deletion_timestamp
            .is_some()
    );
    let free = json!({"metadata": {"finalizers": null}});
    maps.patch("held", &PatchParams::default(), &Patch::Merge(free))
        .await
        .unwrap();
    assert_eq!(refusal(maps.get("held").await.unwrap_err()).0, 404);
}

#[tokio::test]
async fn a_namespace_ends_with_what_it_holds() {
    let stage = Stage::new();
    stage
        .create(
            "namespaces",
            json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "team"}}),
        )
        .await;
    let maps: Api<ConfigMap> = Api::namespaced(stage.client.clone(), "team");
    maps.create(&PostParams::default(), &map("a", &[]))
        .await
        .unwrap();
    assert_eq!(
        maps.get("kube-root-ca.crt")
            .await
            .unwrap()
            .metadata
            .name
            .unwrap(),
        "kube-root-ca.crt"
    );
    let namespaces: Api<Namespace> = Api::all(stage.client.clone());
    namespaces
        .delete("team", &DeleteParams::default())
        .await
        .unwrap();
    stage.step(5);
    assert_eq!(refusal(namespaces.get("team").await.unwrap_err()).0, 404);
    assert_eq!(refusal(maps.get("a").await.unwrap_err()).0, 404);
}

#[tokio::test]
async fn secrets_are_stored_as_data() {
    let stage = Stage::new();
    let made = stage
        .create(
            "secrets",
            json!({"apiVersion": "v1", "kind": "Secret",
        "metadata": {"name": "token", "namespace": "default"}, "stringData": {"key": "abc"}}),
        )
        .await;
    assert_eq!(made.data["data"], json!({"key": "YWJj"}));
    assert_eq!(made.data["type"], "Opaque");
    let typed: Api<Secret> = Api::default_namespaced(stage.client.clone());
    assert_eq!(
        typed.get("token").await.unwrap().data.unwrap()["key"].0,
        b"abc"
    );
}

#[tokio::test]
async fn anonymous_callers_learn_the_version_and_nothing_else() {
    let stage = Stage::new();
    let client = kube::Client::new(stage.simulator.service_as(User::anonymous()), "default");
    assert_eq!(
        client.apiserver_version().await.unwrap().git_version,
        "v1.36.0"
    );
    let maps: Api<ConfigMap> = Api::default_namespaced(client);
    let (code, _, message) = refusal(maps.list(&ListParams::default()).await.unwrap_err());
    assert_eq!(code, 403);
    assert_eq!(
        message,
        "configmaps is forbidden: User \"system:anonymous\" cannot list resource \"configmaps\" in \
         API group \"\" in the namespace \"default\""
    );
}

#[tokio::test]
async fn faults_happen_where_they_are_asked_for_and_the_journal_tells() {
    let stage = Stage::new();
    let maps: Api<ConfigMap> = Api::default_namespaced(stage.client.clone());
    stage.simulator.on_request(|info| {
        if info.verb == "create"
            && info.template == "/api/{version}/namespaces/{namespace}/{plural}"
        {
            Fault::DropAnswer
        } else {
            Fault::None
        }
    });
    let lost = maps
        .create(&PostParams::default(), &map("a", &[]))
        .await
        .unwrap_err();
    assert!(!matches!(lost, kube::Error::Api(_)), "{lost}");
    stage.simulator.clear_faults();
    assert!(
        maps.get("a").await.is_ok(),
        "the request was processed before its answer was lost"
    );
    let journal = stage.simulator.journal();
    let verbs: Vec<&str> = journal.iter().map(|one| one.info.verb).collect();
    assert_eq!(verbs, ["create", "get"]);
}

#[tokio::test]
async fn what_is_not_simulated_says_so() {
    let stage = Stage::new();
    let request = http::Request::get("/openapi/v3").body(Vec::new()).unwrap();
    let error = stage
        .client
        .request::<serde_json::Value>(request)
        .await
        .unwrap_err();
    let (code, _, message) = refusal(error);
    assert_eq!(
        (code, message.as_str()),
        (
            404,
            "not simulated: the lab's API server has no GET /openapi/v3"
        )
    );
}

#[tokio::test]
async fn a_world_survives_being_written_to_a_file() {
    let stage = Stage::new();
    stage
        .create(
            "customresourcedefinitions",
            crd("example.org", "Shelf", "shelves", "Cluster", open_schema()),
        )
        .await;
    let kept = serde_json::to_string(&stage.simulator.snapshot()).unwrap();
    let world: World = serde_json::from_str(&kept).unwrap();
    assert_eq!(serde_json::to_string(&world).unwrap(), kept);
    let fresh = Stage::new();
    fresh.simulator.restore(world);
    assert!(
        !fresh
            .look(
                "customresourcedefinitions.apiextensions.k8s.io",
                "",
                "shelves.example.org"
            )
            .is_null()
    );
    let request = Request::new("GET", "/api/v1/namespaces");
    assert_eq!(request.user, User::admin());
}
