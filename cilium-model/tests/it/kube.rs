//! Objects for kube's clients.

use cilium_model::gateway::Gateway;
use cilium_model::gateway::{GatewayBody, GatewaySpec};
use cilium_model::kube::KubeObject;
use kube_core::{Resource, ResourceExt};
use serde_json::json;

#[test]
fn an_object_passes_through_kube_unchanged() {
    let spec = GatewaySpec::new().gateway_class_name("cilium");
    let gateway = Gateway::new("public", spec)
        .in_namespace("gateways")
        .with_label("a", "b");
    let mut object = KubeObject::try_from(gateway.clone()).unwrap();
    assert_eq!(
        KubeObject::<GatewayBody>::api_version(&()),
        "gateway.networking.k8s.io/v1"
    );
    assert_eq!(
        KubeObject::<GatewayBody>::url_path(&(), Some("gateways")),
        "/apis/gateway.networking.k8s.io/v1/namespaces/gateways/gateways"
    );
    assert_eq!(object.name_any(), "public");
    assert_eq!(serde_json::to_value(&object).unwrap(), gateway.to_json());
    object.labels_mut().insert("c".to_owned(), "d".to_owned());
    let sent = serde_json::to_value(&object).unwrap();
    assert_eq!(sent["metadata"]["labels"], json!({"a": "b", "c": "d"}));
    let read: KubeObject<GatewayBody> = serde_json::from_value(sent).unwrap();
    assert_eq!(read.into_inner().metadata.labels.unwrap().len(), 2);
}
