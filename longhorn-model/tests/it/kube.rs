//! Objects for kube's clients.

use kube_core::{Resource, ResourceExt};
use longhorn_model::kube::KubeObject;
use longhorn_model::resources::{Setting, SettingBody};

#[test]
fn an_object_passes_through_kube_unchanged() {
    let setting = Setting::new("default-replica-count", "2").in_namespace("longhorn-system");
    let object = KubeObject::try_from(setting.clone()).unwrap();
    assert_eq!(
        KubeObject::<SettingBody>::url_path(&(), Some("longhorn-system")),
        "/apis/longhorn.io/v1beta2/namespaces/longhorn-system/settings"
    );
    assert_eq!(object.namespace().as_deref(), Some("longhorn-system"));
    let sent = serde_json::to_value(&object).unwrap();
    let read: KubeObject<SettingBody> = serde_json::from_value(sent).unwrap();
    assert_eq!(read.into_inner(), setting);
}
