//! Argo CD in the lab: it takes over from a root application and goes wave by wave.

use homelab::lab::kubernetes::Environment;
use serde_json::{Value, json};

use super::stage::{Stage, crd, deployment, open_schema};

const HEALTH: &str = "resource.customizations.health.argoproj.io_Application";

fn application(name: &str, path: &str, wave: i64) -> Value {
    json!({
        "apiVersion": "argoproj.io/v1", "kind": "Application",
        "metadata": {"name": name, "namespace": "argocd",
            "annotations": {"argocd.argoproj.io/sync-wave": wave.to_string()}},
        "spec": {
            "project": "default",
            "source": {"repoURL": "https://git.example/homelab.git", "path": path, "targetRevision": "main"},
            "destination": {"server": "https://kubernetes.default.svc", "namespace": "team"},
            "syncPolicy": {"automated": {"prune": true, "selfHeal": true}},
        },
    })
}

fn map(name: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": {"a": "1"}})
}

async fn stage(gated: bool) -> Stage {
    let namespace = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "team"}});
    let mut web = deployment("team", "web", 1);
    web["metadata"].as_object_mut().unwrap().remove("namespace");
    let environment = Environment::default()
        .git(
            "apps",
            vec![
                application("late", "late", 2),
                application("first", "first", 1),
            ],
        )
        .git("first", vec![namespace, web])
        .git("late", vec![map("settings"), map("extra")]);
    let stage = Stage::with(environment).workers(2);
    stage
        .create(
            "namespaces",
            json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "argocd"}}),
        )
        .await;
    stage
        .create(
            "customresourcedefinitions",
            crd(
                "argoproj.io",
                "Application",
                "applications",
                "Namespaced",
                open_schema(),
            ),
        )
        .await;
    if gated {
        stage
            .create(
                "configmaps",
                json!({"apiVersion": "v1", "kind": "ConfigMap",
            "metadata": {"name": "argocd-cm", "namespace": "argocd"}, "data": {HEALTH: "lua"}}),
            )
            .await;
    }
    stage.step(2);
    stage
        .create("applications", application("root", "apps", 0))
        .await;
    stage
}

async fn install(stage: &Stage) {
    for part in ["argocd-application-controller", "argocd-repo-server"] {
        let mut one = deployment("argocd", part, 1);
        one["spec"]["template"]["metadata"]["labels"]["app.kubernetes.io/name"] = json!(part);
        stage.create("deployments", one).await;
    }
}

fn state(stage: &Stage, name: &str) -> (String, String, String) {
    let one = stage.look("applications.argoproj.io", "argocd", name);
    let text = |pointer: &str| {
        one.pointer(pointer)
            .and_then(Value::as_str)
            .unwrap_or_default()
            .to_owned()
    };
    (
        text("/status/sync/status"),
        text("/status/health/status"),
        text("/status/operationState/phase"),
    )
}

fn exists(stage: &Stage, resource: &str, namespace: &str, name: &str) -> bool {
    stage
        .simulator
        .with(|world| world.get(resource, namespace, name).is_some())
}

fn all_well() -> (String, String, String) {
    (
        "Synced".to_owned(),
        "Healthy".to_owned(),
        "Succeeded".to_owned(),
    )
}

#[tokio::test]
async fn nothing_happens_before_argo_itself_runs() {
    let stage = stage(true).await;
    stage.step(120);
    assert_eq!(
        state(&stage, "root"),
        (String::new(), String::new(), String::new())
    );
    install(&stage).await;
    stage.step(120);
    assert_eq!(state(&stage, "root"), all_well());
    assert!(exists(&stage, "configmaps", "team", "settings"));
}

#[tokio::test]
async fn a_wave_waits_for_the_health_of_the_one_before() {
    let stage = stage(true).await;
    install(&stage).await;
    let mut seen_waiting = false;
    for _ in 0..120 {
        stage.step(1);
        let late = exists(&stage, "applications.argoproj.io", "argocd", "late");
        if late {
            let web = stage.look("deployments.apps", "team", "web");
            assert_eq!(
                web["status"]["availableReplicas"], 1,
                "the first wave is healthy by then"
            );
            break;
        }
        let root = stage.look("applications.argoproj.io", "argocd", "root");
        let message = root["status"]["operationState"]["message"]
            .as_str()
            .unwrap_or_default()
            .to_owned();
        seen_waiting |= message == "waiting for healthy state of argoproj.io/Application/first";
    }
    assert!(seen_waiting);
    stage.step(60);
    assert_eq!(state(&stage, "late"), all_well());
}

#[tokio::test]
async fn without_the_health_rule_for_applications_waves_do_not_wait() {
    let stage = stage(false).await;
    install(&stage).await;
    for _ in 0..120 {
        stage.step(1);
        if exists(&stage, "applications.argoproj.io", "argocd", "late") {
            break;
        }
    }
    let first = state(&stage, "first");
    assert_ne!(first, all_well(), "the first wave is not healthy yet");
}

#[tokio::test]
async fn drift_is_healed_and_what_git_no_longer_has_is_pruned() {
    let stage = stage(true).await;
    install(&stage).await;
    stage.step(120);
    let maps = stage.api("v1", "ConfigMap", "configmaps", "team");
    let edit = json!({"data": {"a": "edited"}});
    maps.patch(
        "settings",
        &kube::api::PatchParams::default(),
        &kube::api::Patch::Merge(edit),
    )
    .await
    .unwrap();
    stage.step(30);
    assert_eq!(
        stage.look("configmaps", "team", "settings")["data"]["a"],
        "1"
    );
    stage.simulator.with_environment(|environment| {
        environment
            .git
            .insert("late".to_owned(), vec![map("settings")]);
    });
    stage.step(30);
    assert!(!exists(&stage, "configmaps", "team", "extra"));
    assert_eq!(state(&stage, "late"), all_well());
}

#[tokio::test]
async fn adopting_what_is_already_there_changes_nothing_but_its_fields_owner() {
    let stage = stage(true).await;
    stage
        .create(
            "namespaces",
            json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "team"}}),
        )
        .await;
    let web = deployment("team", "web", 1);
    let api = stage.api("apps/v1", "Deployment", "deployments", "team");
    let ours = kube::api::PatchParams::apply("homelab");
    let before = api
        .patch("web", &ours, &kube::api::Patch::Apply(&web))
        .await
        .unwrap();
    install(&stage).await;
    stage.step(120);
    let after = stage.look("deployments.apps", "team", "web");
    assert_eq!(
        after["metadata"]["uid"],
        json!(before.metadata.uid.unwrap())
    );
    assert_eq!(after["metadata"]["generation"], 1);
    let managers: Vec<&str> = after["metadata"]["managedFields"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| one["manager"].as_str().unwrap())
        .collect();
    assert_eq!(managers, ["homelab", "argocd-controller"]);
}

#[tokio::test]
async fn an_unknown_path_is_a_comparison_error() {
    let stage = stage(true).await;
    install(&stage).await;
    stage
        .create("applications", application("lost", "nowhere", 0))
        .await;
    stage.step(60);
    let lost = stage.look("applications.argoproj.io", "argocd", "lost");
    assert_eq!(lost["status"]["sync"]["status"], "Unknown");
    let message = lost["status"]["conditions"][0]["message"].as_str().unwrap();
    assert!(
        message.ends_with("nowhere: app path does not exist"),
        "{message}"
    );
}
