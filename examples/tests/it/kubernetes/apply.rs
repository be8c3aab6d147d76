//! Server-side apply: ownership, conflicts, force, removal, and applying the same again.

use kube::api::{Api, DynamicObject, Patch, PatchParams};
use serde_json::{Value, json};

use super::stage::{Stage, deployment};

fn fields(object: &DynamicObject, manager: &str) -> Value {
    let entries = serde_json::to_value(&object.metadata.managed_fields).unwrap();
    entries
        .as_array()
        .unwrap()
        .iter()
        .find(|one| one["manager"] == manager)
        .map_or(Value::Null, |one| one["fieldsV1"].clone())
}

async fn apply(
    api: &Api<DynamicObject>,
    manager: &str,
    object: &Value,
) -> Result<DynamicObject, kube::Error> {
    let name = object["metadata"]["name"].as_str().unwrap();
    api.patch(name, &PatchParams::apply(manager), &Patch::Apply(object))
        .await
}

fn map(data: Value) -> Value {
    json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}, "data": data})
}

#[tokio::test]
async fn applying_creates_and_records_the_owner() {
    let stage = Stage::new();
    let maps = stage.api("v1", "ConfigMap", "configmaps", "default");
    let made = apply(&maps, "us", &map(json!({"x": "1"}))).await.unwrap();
    assert_eq!(fields(&made, "us"), json!({"f:data": {"f:x": {}}}));
}

#[tokio::test]
async fn applying_the_same_again_changes_nothing() {
    let stage = Stage::new();
    let deployments = stage.api("apps/v1", "Deployment", "deployments", "default");
    let first = apply(&deployments, "us", &deployment("default", "web", 2))
        .await
        .unwrap();
    stage.step(60);
    let settled = deployments.get("web").await.unwrap();
    let again = apply(&deployments, "us", &deployment("default", "web", 2))
        .await
        .unwrap();
    assert_eq!(
        settled.metadata.resource_version,
        again.metadata.resource_version
    );
    assert_eq!(first.metadata.managed_fields, again.metadata.managed_fields);
}

#[tokio::test]
async fn another_managers_value_is_a_conflict_that_names_it() {
    let stage = Stage::new();
    let maps = stage.api("v1", "ConfigMap", "configmaps", "default");
    apply(
        &maps,
        "argocd-controller",
        &map(json!({"x": "1", "y": "1"})),
    )
    .await
    .unwrap();
    let kube::Error::Api(one) = apply(&maps, "us", &map(json!({"x": "2"})))
        .await
        .unwrap_err()
    else {
        panic!("not a refusal");
    };
    assert_eq!((one.code, one.reason.as_str()), (409, "Conflict"));
    assert_eq!(
        one.message,
        "Apply failed with 1 conflict: conflict with \"argocd-controller\": .data.x"
    );
    let kube::Error::Api(two) = apply(&maps, "us", &map(json!({"x": "2", "y": "2"})))
        .await
        .unwrap_err()
    else {
        panic!("not a refusal");
    };
    assert_eq!(
        two.message,
        "Apply failed with 2 conflicts: conflicts with \"argocd-controller\":\n- .data.x\n- .data.y"
    );
}

#[tokio::test]
async fn force_takes_the_field_over_and_equal_values_are_shared() {
    let stage = Stage::new();
    let maps = stage.api("v1", "ConfigMap", "configmaps", "default");
    apply(&maps, "them", &map(json!({"x": "1", "y": "1"})))
        .await
        .unwrap();
    apply(&maps, "us", &map(json!({"y": "1"}))).await.unwrap();
    let forced = maps
        .patch(
            "a",
            &PatchParams::apply("us").force(),
            &Patch::Apply(map(json!({"x": "2", "y": "1"}))),
        )
        .await
        .unwrap();
    assert_eq!(forced.data["data"], json!({"x": "2", "y": "1"}));
    assert_eq!(fields(&forced, "them"), json!({"f:data": {"f:y": {}}}));
    assert_eq!(
        fields(&forced, "us"),
        json!({"f:data": {"f:x": {}, "f:y": {}}})
    );
}

#[tokio::test]
async fn a_field_that_is_no_longer_applied_goes_unless_someone_else_owns_it() {
    let stage = Stage::new();
    let maps = stage.api("v1", "ConfigMap", "configmaps", "default");
    apply(&maps, "us", &map(json!({"x": "1", "y": "1", "z": "1"})))
        .await
        .unwrap();
    apply(&maps, "them", &map(json!({"y": "1"}))).await.unwrap();
    let left = apply(&maps, "us", &map(json!({"z": "1"}))).await.unwrap();
    assert_eq!(left.data["data"], json!({"y": "1", "z": "1"}));
}

#[tokio::test]
async fn items_of_keyed_lists_have_owners_of_their_own() {
    let stage = Stage::new();
    let deployments = stage.api("apps/v1", "Deployment", "deployments", "default");
    apply(&deployments, "us", &deployment("default", "web", 1))
        .await
        .unwrap();
    let side = json!({
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web"},
        "spec": {"template": {"spec": {"containers": [{
            "name": "side", "image": "registry.example/side:1",
            "ports": [{"containerPort": 8080}], "env": [{"name": "A", "value": "1"}],
        }]}}},
    });
    let both = apply(&deployments, "mesh", &side).await.unwrap();
    assert_eq!(
        both.data["spec"]["template"]["spec"]["containers"]
            .as_array()
            .unwrap()
            .len(),
        2
    );
    let owned = fields(&both, "mesh");
    let container =
        &owned["f:spec"]["f:template"]["f:spec"]["f:containers"]["k:{\"name\":\"side\"}"];
    assert!(
        container["f:ports"]["k:{\"containerPort\":8080,\"protocol\":\"TCP\"}"].is_object(),
        "{owned}"
    );
    assert!(
        container["f:env"]["k:{\"name\":\"A\"}"].is_object(),
        "{owned}"
    );
    let us = apply(&deployments, "us", &deployment("default", "web", 1))
        .await
        .unwrap();
    assert_eq!(
        us.data["spec"]["template"]["spec"]["containers"]
            .as_array()
            .unwrap()
            .len(),
        2
    );
}

#[tokio::test]
async fn an_update_takes_fields_from_those_who_applied_them() {
    let stage = Stage::new();
    let maps = stage.api("v1", "ConfigMap", "configmaps", "default");
    apply(&maps, "us", &map(json!({"x": "1"}))).await.unwrap();
    let edit = PatchParams {
        field_manager: Some("kubectl-edit".to_owned()),
        ..PatchParams::default()
    };
    maps.patch("a", &edit, &Patch::Merge(json!({"data": {"x": "2"}})))
        .await
        .unwrap();
    let kube::Error::Api(status) = apply(&maps, "us", &map(json!({"x": "1"})))
        .await
        .unwrap_err()
    else {
        panic!("not a refusal");
    };
    assert!(
        status.message.starts_with(
            "Apply failed with 1 conflict: conflict with \"kubectl-edit\" using v1 at "
        ),
        "{}",
        status.message
    );
    assert!(status.message.ends_with(": .data.x"), "{}", status.message);
}
