//! Controllers, scheduler and kubelets over stepped time.

use homelab::lab::kubernetes::{Environment, Machine, Readiness, Unmet, World};
use k8s_openapi::api::apps::v1::Deployment;
use kube::api::{Api, Patch, PatchParams};
use serde_json::{Value, json};

use super::stage::{Stage, crd, deployment, open_schema};

fn ready(stage: &Stage, resource: &str, namespace: &str, name: &str, field: &str) -> i64 {
    stage.look(resource, namespace, name)["status"][field]
        .as_i64()
        .unwrap_or_default()
}

fn condition(object: &Value, kind: &str) -> Value {
    object["status"]["conditions"]
        .as_array()
        .into_iter()
        .flatten()
        .find(|one| one["type"] == kind)
        .cloned()
        .unwrap_or_default()
}

fn pods(stage: &Stage, namespace: &str) -> Vec<Value> {
    stage
        .simulator
        .with(|world| world.list_in("pods", namespace).cloned().collect())
}

fn cilium() -> Value {
    json!({
        "apiVersion": "apps/v1", "kind": "DaemonSet",
        "metadata": {"name": "cilium", "namespace": "kube-system"},
        "spec": {
            "selector": {"matchLabels": {"k8s-app": "cilium"}},
            "template": {
                "metadata": {"labels": {"k8s-app": "cilium"}},
                "spec": {
                    "hostNetwork": true,
                    "tolerations": [{"operator": "Exists"}],
                    "containers": [{"name": "cilium-agent", "image": "quay.io/cilium/cilium:v1.20.0"}],
                },
            },
        },
    })
}

#[tokio::test]
async fn a_deployment_becomes_available_as_its_pods_do() {
    let stage = Stage::new().workers(3);
    stage
        .create("deployments", deployment("default", "web", 3))
        .await;
    assert_eq!(
        ready(
            &stage,
            "deployments.apps",
            "default",
            "web",
            "readyReplicas"
        ),
        0
    );
    stage.step(5);
    let waiting = pods(&stage, "default");
    assert_eq!(waiting.len(), 3);
    assert_eq!(
        waiting[0]["status"]["containerStatuses"][0]["state"]["waiting"]["reason"],
        "ContainerCreating"
    );
    stage.step(30);
    let done = stage.look("deployments.apps", "default", "web");
    assert_eq!(done["status"]["readyReplicas"], 3);
    assert_eq!(condition(&done, "Available")["status"], "True");
    assert_eq!(
        condition(&done, "Progressing")["reason"],
        "NewReplicaSetAvailable"
    );
    let homes: std::collections::BTreeSet<String> = pods(&stage, "default")
        .iter()
        .map(|one| one["spec"]["nodeName"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(homes.len(), 3, "pods of one owner spread over the nodes");
}

#[tokio::test]
async fn how_often_the_world_is_asked_changes_nothing() {
    let seldom = Stage::new().workers(2);
    let often = Stage::new().workers(2);
    for stage in [&seldom, &often] {
        stage
            .create("deployments", deployment("default", "web", 2))
            .await;
    }
    seldom.step(60);
    for _ in 0..60 {
        often.step(1);
        often.simulator.with(|_| ());
    }
    let shape = |stage: &Stage| {
        let mut world = serde_json::to_value(stage.simulator.snapshot()).unwrap();
        world["settled"] = Value::Null;
        world
    };
    assert_eq!(shape(&seldom), shape(&often));
}

#[tokio::test]
async fn a_rolling_update_replaces_pods_without_an_outage() {
    let stage = Stage::new().workers(3);
    stage
        .create("deployments", deployment("default", "web", 3))
        .await;
    stage.step(60);
    let image = json!({"spec": {"template": {"spec": {"containers": [
        {"name": "main", "image": "registry.example/app:2"}]}}}});
    let api: Api<Deployment> = Api::default_namespaced(stage.client.clone());
    api.patch("web", &PatchParams::default(), &Patch::Strategic(image))
        .await
        .unwrap();
    for _ in 0..120 {
        stage.step(1);
        assert!(
            ready(
                &stage,
                "deployments.apps",
                "default",
                "web",
                "availableReplicas"
            ) >= 3
        );
    }
    let done = stage.look("deployments.apps", "default", "web");
    assert_eq!(done["status"]["updatedReplicas"], 3);
    for pod in pods(&stage, "default") {
        assert_eq!(
            pod["spec"]["containers"][0]["image"],
            "registry.example/app:2"
        );
    }
}

#[tokio::test]
async fn nodes_become_ready_only_with_the_agent_of_the_pod_network() {
    let stage = Stage::new();
    let now = stage.simulator.now();
    stage.simulator.with(|world| {
        for number in 1..=2 {
            let machine = Machine::new(
                format!("w{number}"),
                format!("10.0.20.{number}"),
                4,
                8 << 30,
            )
            .taint("node.cilium.io/agent-not-ready", "", "NoExecute");
            world.register_node(now, machine);
        }
    });
    stage
        .create("deployments", deployment("default", "web", 1))
        .await;
    stage.step(60);
    let node = stage.look("nodes", "", "w1");
    assert_eq!(condition(&node, "Ready")["reason"], "KubeletNotReady");
    assert!(
        condition(&node, "Ready")["message"]
            .as_str()
            .unwrap()
            .ends_with("cni plugin not initialized")
    );
    assert_eq!(
        condition(&pods(&stage, "default")[0], "PodScheduled")["message"],
        "0/2 nodes are available: 2 node(s) had untolerated taint(s). preemption: 0/2 nodes are \
         available: 2 Preemption is not helpful for scheduling."
    );

    stage.create("daemonsets", cilium()).await;
    let mut operator = deployment("kube-system", "cilium-operator", 1);
    operator["spec"]["template"]["metadata"]["labels"]["io.cilium/app"] = json!("operator");
    operator["spec"]["template"]["spec"]["hostNetwork"] = json!(true);
    operator["spec"]["template"]["spec"]["tolerations"] = json!([{"operator": "Exists"}]);
    stage.create("deployments", operator).await;
    stage.step(60);
    let node = stage.look("nodes", "", "w1");
    assert_eq!(condition(&node, "Ready")["status"], "True");
    assert_eq!(node["spec"].get("taints"), None);
    assert_eq!(
        ready(
            &stage,
            "daemonsets.apps",
            "kube-system",
            "cilium",
            "numberReady"
        ),
        2
    );
    assert_eq!(
        ready(
            &stage,
            "deployments.apps",
            "default",
            "web",
            "readyReplicas"
        ),
        1
    );
}

#[tokio::test]
async fn what_does_not_fit_says_why() {
    let stage = Stage::new().workers(2);
    let now = stage.simulator.now();
    let mut control = Machine::new("cp1", "10.0.20.11", 2, 4 << 30).control_plane();
    control.own_network = true;
    stage
        .simulator
        .with(|world| world.register_node(now, control));
    let mut big = deployment("default", "big", 1);
    big["spec"]["template"]["spec"]["containers"][0]["resources"] =
        json!({"requests": {"memory": "16Gi", "cpu": "1"}});
    stage.create("deployments", big).await;
    assert_eq!(
        condition(&pods(&stage, "default")[0], "PodScheduled")["message"],
        "0/3 nodes are available: 1 node(s) had untolerated taint(s), 2 Insufficient memory. \
         preemption: 0/3 nodes are available: 3 Preemption is not helpful for scheduling."
    );
    let mut apart = deployment("kube-system", "apart", 3);
    apart["spec"]["template"]["spec"]["affinity"] = json!({"podAntiAffinity": {
        "requiredDuringSchedulingIgnoredDuringExecution": [{
            "topologyKey": "kubernetes.io/hostname",
            "labelSelector": {"matchLabels": {"app": "apart"}}}]}});
    stage.create("deployments", apart).await;
    stage.step(60);
    assert_eq!(
        ready(
            &stage,
            "deployments.apps",
            "kube-system",
            "apart",
            "readyReplicas"
        ),
        2
    );
    let left = pods(&stage, "kube-system")
        .into_iter()
        .find(|one| one["spec"].get("nodeName").is_none());
    assert_eq!(
        condition(&left.unwrap(), "PodScheduled")["message"],
        "0/3 nodes are available: 1 node(s) had untolerated taint(s), 2 node(s) didn't match pod \
         anti-affinity rules. preemption: 0/3 nodes are available: 1 Preemption is not helpful for \
         scheduling, 2 No preemption victims found for incoming pod."
    );
}

struct NeedsDns;

impl Readiness for NeedsDns {
    fn unmet(&self, world: &World, pod: &Value) -> Vec<Unmet> {
        let allowed = world.get("configmaps", "default", "dns-allowed").is_some();
        if pod["metadata"]["labels"]["app"] == "web" && !allowed {
            return vec![Unmet::ready(
                "web -> kube-dns:53/udp is denied: no egress rule",
            )];
        }
        Vec::new()
    }
}

#[tokio::test]
async fn an_unmet_need_keeps_a_pod_from_being_ready_and_is_named() {
    let stage = Stage::with(Environment::default().readiness(NeedsDns)).workers(1);
    stage
        .create("deployments", deployment("default", "web", 1))
        .await;
    stage.step(60);
    let pod = &pods(&stage, "default")[0];
    assert_eq!(pod["status"]["phase"], "Running");
    assert_eq!(
        condition(pod, "Ready")["message"],
        "containers with unready status: [main]: web -> kube-dns:53/udp is denied: no egress rule"
    );
    let told = stage.simulator.with(|world| {
        world
            .list_in("events", "default")
            .any(|one| one["reason"] == "Unhealthy")
    });
    assert!(told);
    stage
        .create(
            "configmaps",
            json!({"apiVersion": "v1", "kind": "ConfigMap",
        "metadata": {"name": "dns-allowed", "namespace": "default"}}),
        )
        .await;
    assert_eq!(
        ready(
            &stage,
            "deployments.apps",
            "default",
            "web",
            "readyReplicas"
        ),
        1
    );
}

#[tokio::test]
async fn missing_secrets_hold_containers_back() {
    let stage = Stage::new().workers(1);
    let mut web = deployment("default", "web", 1);
    web["spec"]["template"]["spec"]["containers"][0]["env"] = json!([
        {"name": "TOKEN", "valueFrom": {"secretKeyRef": {"name": "token", "key": "key"}}}]);
    stage.create("deployments", web).await;
    stage.step(60);
    let waiting =
        pods(&stage, "default")[0]["status"]["containerStatuses"][0]["state"]["waiting"].clone();
    assert_eq!(
        waiting,
        json!({"reason": "CreateContainerConfigError", "message": "secret \"token\" not found"})
    );
    stage
        .create(
            "secrets",
            json!({"apiVersion": "v1", "kind": "Secret",
        "metadata": {"name": "token", "namespace": "default"}, "stringData": {"key": "x"}}),
        )
        .await;
    stage.step(30);
    assert_eq!(
        ready(
            &stage,
            "deployments.apps",
            "default",
            "web",
            "readyReplicas"
        ),
        1
    );
}

#[tokio::test]
async fn pod_security_refuses_what_its_level_forbids() {
    let stage = Stage::new().workers(1);
    let mut agent = cilium();
    agent["metadata"]["namespace"] = json!("default");
    stage.create("daemonsets", agent).await;
    stage.step(5);
    assert!(pods(&stage, "default").is_empty());
    let told = stage.simulator.with(|world| {
        world
            .list_in("events", "default")
            .find(|one| one["reason"] == "FailedCreate")
            .cloned()
    });
    let message = told.unwrap()["message"].as_str().unwrap().to_owned();
    assert!(
        message.contains(
            "violates PodSecurity \"baseline:latest\": host namespaces (hostNetwork=true)"
        ),
        "{message}"
    );
}

#[tokio::test]
async fn stateful_sets_number_their_pods_and_bind_claims_through_the_class() {
    let stage = Stage::new().workers(2);
    stage.create("storageclasses", json!({"apiVersion": "storage.k8s.io/v1", "kind": "StorageClass",
        "metadata": {"name": "fast", "annotations": {"storageclass.kubernetes.io/is-default-class": "true"}},
        "provisioner": "driver.longhorn.io", "volumeBindingMode": "WaitForFirstConsumer"})).await;
    let set = json!({
        "apiVersion": "apps/v1", "kind": "StatefulSet",
        "metadata": {"name": "db", "namespace": "default"},
        "spec": {
            "replicas": 2, "serviceName": "db",
            "selector": {"matchLabels": {"app": "db"}},
            "template": {"metadata": {"labels": {"app": "db"}}, "spec": {"containers": [
                {"name": "main", "image": "registry.example/db:1",
                    "volumeMounts": [{"name": "data", "mountPath": "/data"}]}],
                "volumes": [{"name": "data", "emptyDir": {}}]}},
            "volumeClaimTemplates": [{"metadata": {"name": "data"}, "spec": {
                "accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}}],
        },
    });
    stage.create("statefulsets", set).await;
    stage.step(60);
    assert_eq!(
        ready(
            &stage,
            "statefulsets.apps",
            "default",
            "db",
            "readyReplicas"
        ),
        0
    );
    let told = stage.simulator.with(|world| {
        world
            .list_in("events", "default")
            .any(|one| one["reason"] == "ExternalProvisioning")
    });
    assert!(told, "nobody provisions yet, and the claim says so");
    stage
        .create("deployments", deployment("default", "csi-provisioner", 1))
        .await;
    stage.step(90);
    assert_eq!(
        ready(
            &stage,
            "statefulsets.apps",
            "default",
            "db",
            "readyReplicas"
        ),
        2
    );
    let claim = stage.look("persistentvolumeclaims", "default", "data-db-1");
    assert_eq!(claim["status"]["phase"], "Bound");
    assert_eq!(claim["spec"]["storageClassName"], "fast");
}

#[tokio::test]
async fn jobs_run_to_their_end() {
    let stage = Stage::new().workers(1);
    stage
        .create(
            "jobs",
            json!({"apiVersion": "batch/v1", "kind": "Job",
        "metadata": {"name": "once", "namespace": "default"},
        "spec": {"template": {"spec": {"restartPolicy": "Never", "containers": [
            {"name": "main", "image": "registry.example/job:1"}]}}}}),
        )
        .await;
    stage.step(60);
    let job = stage.look("jobs.batch", "default", "once");
    assert_eq!(job["status"]["succeeded"], 1);
    assert_eq!(condition(&job, "Complete")["status"], "True");
}

#[tokio::test]
async fn a_silent_node_loses_its_pods_after_five_minutes() {
    let stage = Stage::new().workers(2);
    stage
        .create("deployments", deployment("default", "web", 2))
        .await;
    stage.step(60);
    let now = stage.simulator.now();
    assert!(
        stage
            .simulator
            .with(|world| world.set_kubelet(now, "w1", false))
    );
    stage.step(60);
    assert_eq!(
        condition(&stage.look("nodes", "", "w1"), "Ready")["status"],
        "Unknown"
    );
    assert_eq!(
        ready(
            &stage,
            "deployments.apps",
            "default",
            "web",
            "readyReplicas"
        ),
        1
    );
    stage.step(400);
    assert_eq!(
        ready(
            &stage,
            "deployments.apps",
            "default",
            "web",
            "readyReplicas"
        ),
        2
    );
}

#[tokio::test]
async fn load_balancers_and_gateways_get_addresses_from_the_pool() {
    let stage = Stage::new().workers(1);
    for (kind, plural) in [
        ("GatewayClass", "gatewayclasses"),
        ("Gateway", "gateways"),
        ("HTTPRoute", "httproutes"),
    ] {
        let scope = if kind == "GatewayClass" {
            "Cluster"
        } else {
            "Namespaced"
        };
        stage
            .create(
                "customresourcedefinitions",
                crd(
                    "gateway.networking.k8s.io",
                    kind,
                    plural,
                    scope,
                    open_schema(),
                ),
            )
            .await;
    }
    stage
        .create(
            "customresourcedefinitions",
            crd(
                "cilium.io",
                "CiliumLoadBalancerIPPool",
                "ciliumloadbalancerippools",
                "Cluster",
                open_schema(),
            ),
        )
        .await;
    stage.step(5);
    let mut operator = deployment("kube-system", "cilium-operator", 1);
    operator["spec"]["template"]["metadata"]["labels"]["io.cilium/app"] = json!("operator");
    stage.create("deployments", operator).await;
    stage.create("gatewayclasses", json!({"apiVersion": "gateway.networking.k8s.io/v1", "kind": "GatewayClass",
        "metadata": {"name": "cilium"}, "spec": {"controllerName": "io.cilium/gateway-controller"}})).await;
    stage.create("gateways", json!({"apiVersion": "gateway.networking.k8s.io/v1", "kind": "Gateway",
        "metadata": {"name": "edge", "namespace": "default"},
        "spec": {"gatewayClassName": "cilium", "listeners": [{"name": "http", "port": 80, "protocol": "HTTP"}]}})).await;
    stage.step(60);
    let gateway = stage.look("gateways.gateway.networking.k8s.io", "default", "edge");
    assert_eq!(
        condition(&gateway, "Programmed")["reason"],
        "AddressNotAssigned"
    );
    stage.create("ciliumloadbalancerippools", json!({"apiVersion": "cilium.io/v1", "kind": "CiliumLoadBalancerIPPool",
        "metadata": {"name": "pool"}, "spec": {"blocks": [{"start": "10.0.20.200", "stop": "10.0.20.210"}]}})).await;
    let gateway = stage.look("gateways.gateway.networking.k8s.io", "default", "edge");
    assert_eq!(condition(&gateway, "Programmed")["status"], "True");
    assert_eq!(gateway["status"]["addresses"][0]["value"], "10.0.20.200");
}
