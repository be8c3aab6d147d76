//! Pods of the catalogue become ready only when all that their descriptors name is there.

use homelab::component::{Catalogue, Component};
use homelab::lab::kubernetes::{CatalogueNeeds, Environment, Machine};
use homelab::spec::Spec;
use kube::api::{Api, DynamicObject, GroupVersionKind, Patch, PatchParams};
use kube::discovery::{Scope, pinned_kind};
use serde_json::{Value, json};

use super::stage::Stage;

fn catalogue() -> Catalogue {
    let text = include_str!("../../../environments/production/cluster.yaml");
    Catalogue::of(&Spec::parse("cluster.yaml", text).unwrap())
}

fn machines(stage: &Stage, extensions: &[&str]) {
    let now = stage.simulator.now();
    let extensions: Vec<String> = extensions.iter().map(|&one| one.to_owned()).collect();
    stage.simulator.with(|world| {
        for number in 1..=3 {
            let one = Machine::new(
                format!("cp{number}"),
                format!("10.0.20.1{number}"),
                2,
                4 << 30,
            );
            world.register_node(now, one.control_plane().extensions(extensions.clone()));
        }
        for number in 1..=6 {
            let one = Machine::new(
                format!("w{number}"),
                format!("10.0.20.2{number}"),
                6,
                16 << 30,
            );
            world.register_node(now, one.extensions(extensions.clone()));
        }
    });
}

async fn apply(stage: &Stage, object: &Value) {
    let text = |pointer: &str| {
        object
            .pointer(pointer)
            .and_then(Value::as_str)
            .unwrap_or_default()
    };
    let (group, version) = text("/apiVersion")
        .split_once('/')
        .unwrap_or(("", text("/apiVersion")));
    let kind = GroupVersionKind::gvk(group, version, text("/kind"));
    let (resource, found) = pinned_kind(&stage.client, &kind).await.unwrap();
    let api: Api<DynamicObject> = if found.scope == Scope::Cluster {
        Api::all_with(stage.client.clone(), &resource)
    } else {
        Api::namespaced_with(stage.client.clone(), text("/metadata/namespace"), &resource)
    };
    api.patch(
        text("/metadata/name"),
        &PatchParams::apply("homelab"),
        &Patch::Apply(object),
    )
    .await
    .unwrap();
}

async fn install(stage: &Stage, component: &Component) {
    for object in component.stand_in() {
        apply(stage, &object).await;
    }
    for class in &component.provides.storage_classes {
        let class = json!({"apiVersion": "storage.k8s.io/v1", "kind": "StorageClass",
            "metadata": {"name": class, "annotations": {
                "storageclass.kubernetes.io/is-default-class": (class == "standard").to_string()}},
            "provisioner": "driver.longhorn.io"});
        apply(stage, &class).await;
    }
}

async fn secrets(stage: &Stage, component: &Component) {
    for need in &component.needs.secrets {
        let data: Value = need
            .keys
            .keys()
            .map(|key| (key.clone(), json!("value")))
            .collect::<serde_json::Map<_, _>>()
            .into();
        apply(
            stage,
            &json!({"apiVersion": "v1", "kind": "Secret", "stringData": data,
            "metadata": {"name": need.name, "namespace": need.namespace}}),
        )
        .await;
    }
}

/// What the pods of a namespace say about not being ready.
fn complaints(stage: &Stage, namespace: &str) -> Vec<String> {
    stage.simulator.with(|world| {
        world
            .list_in("pods", namespace)
            .flat_map(|pod| {
                pod["status"]["conditions"]
                    .as_array()
                    .cloned()
                    .unwrap_or_default()
            })
            .filter(|one| {
                (one["type"] == "Ready" || one["type"] == "PodScheduled")
                    && one["status"] == "False"
            })
            .filter_map(|one| one["message"].as_str().map(str::to_owned))
            .collect()
    })
}

fn said(stage: &Stage, namespace: &str, words: &str) -> bool {
    complaints(stage, namespace)
        .iter()
        .any(|one| one.contains(words))
}

const EXTENSIONS: [&str; 3] = [
    "siderolabs/iscsi-tools",
    "siderolabs/util-linux-tools",
    "siderolabs/qemu-guest-agent",
];

async fn base(stage: &Stage) {
    machines(stage, &EXTENSIONS);
    let catalogue = catalogue();
    for name in ["gateway-api", "cilium", "coredns", "argo-cd"] {
        install(stage, catalogue.component(name).unwrap()).await;
    }
    stage.step(300);
}

#[tokio::test]
async fn a_missing_secret_is_named_with_its_key() {
    let catalogue = catalogue();
    let stage =
        Stage::with(Environment::default().readiness(CatalogueNeeds::new(catalogue.clone())));
    base(&stage).await;
    assert!(
        said(
            &stage,
            "argocd",
            "needs the secret argocd/argocd-redis, which is not there"
        ),
        "{:?}",
        complaints(&stage, "argocd")
    );
    secrets(&stage, catalogue.component("argo-cd").unwrap()).await;
    assert_eq!(complaints(&stage, "argocd"), Vec::<String>::new());
    assert_eq!(complaints(&stage, "kube-system"), Vec::<String>::new());
}

#[tokio::test]
async fn a_forgotten_allow_rule_is_named_with_both_ends() {
    let catalogue = catalogue();
    let stage =
        Stage::with(Environment::default().readiness(CatalogueNeeds::new(catalogue.clone())));
    base(&stage).await;
    secrets(&stage, catalogue.component("argo-cd").unwrap()).await;
    apply(
        &stage,
        &json!({"apiVersion": "cilium.io/v2", "kind": "CiliumNetworkPolicy",
        "metadata": {"name": "default-deny", "namespace": "argocd"},
        "spec": {"endpointSelector": {}, "egress": [{}]}}),
    )
    .await;
    assert!(
        said(
            &stage,
            "argocd",
            "argo-cd/repo-server -> coredns:53/udp is denied: no egress rule allows it"
        ),
        "{:?}",
        complaints(&stage, "argocd")
    );
    apply(
        &stage,
        &json!({"apiVersion": "cilium.io/v2", "kind": "CiliumNetworkPolicy",
        "metadata": {"name": "all-out", "namespace": "argocd"},
        "spec": {"endpointSelector": {}, "egress": [
            {"toEntities": ["cluster", "world"]},
            {"toEntities": ["kube-apiserver"]}]}}),
    )
    .await;
    assert_eq!(complaints(&stage, "argocd"), Vec::<String>::new());
}

#[tokio::test]
async fn a_missing_extension_is_named_with_the_node() {
    let catalogue = catalogue();
    let stage =
        Stage::with(Environment::default().readiness(CatalogueNeeds::new(catalogue.clone())));
    machines(&stage, &["siderolabs/qemu-guest-agent"]);
    for name in ["gateway-api", "cilium", "coredns", "longhorn"] {
        install(&stage, catalogue.component(name).unwrap()).await;
    }
    stage.step(300);
    assert!(
        said(
            &stage,
            "longhorn-system",
            "iscsi-tools, which the image of w1 does not have"
        ),
        "{:?}",
        complaints(&stage, "longhorn-system")
    );
}

#[tokio::test]
async fn the_whole_catalogue_of_production_becomes_ready() {
    let catalogue = catalogue();
    let stage =
        Stage::with(Environment::default().readiness(CatalogueNeeds::new(catalogue.clone())));
    machines(&stage, &EXTENSIONS);
    let mut components: Vec<&Component> = catalogue.components.iter().collect();
    components.sort_by_key(|one| one.wave);
    for component in &components {
        install(&stage, component).await;
        stage.step(10);
    }
    for component in &components {
        secrets(&stage, component).await;
    }
    for _ in 0..60 {
        stage.step(10);
        stage.simulator.with(|_| ());
    }
    let left: Vec<String> = catalogue
        .namespaces()
        .keys()
        .flat_map(|namespace| {
            complaints(&stage, namespace)
                .into_iter()
                .map(move |one| format!("{namespace}: {one}"))
        })
        .collect();
    assert_eq!(left, Vec::<String>::new());
    let pods = stage.simulator.with(|world| world.list("pods").count());
    assert!(pods >= 100, "{pods} pods");
}
