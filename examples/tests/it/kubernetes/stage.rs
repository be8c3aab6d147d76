//! A stepped clock and a cluster of simulated nodes for the tests of this folder.

use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use homelab::lab::kubernetes::{Clock, Environment, Machine, Settings, Simulator};
use kube::Client;
use kube::api::{Api, DynamicObject, PostParams};
use kube::discovery::ApiResource;
use serde_json::{Value, json};

/// A simulated API on a clock that only the test moves.
pub(crate) struct Stage {
    pub(crate) simulator: Simulator,
    pub(crate) client: Client,
    time: Arc<Mutex<SystemTime>>,
}

impl Stage {
    pub(crate) fn new() -> Self {
        Self::with(Environment::default())
    }

    pub(crate) fn with(environment: Environment) -> Self {
        let start = SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000);
        let time = Arc::new(Mutex::new(start));
        let clock: Clock = {
            let time = Arc::clone(&time);
            Arc::new(move || *time.lock().unwrap())
        };
        let simulator = Simulator::new(Settings::default(), environment, clock);
        let client = simulator.client();
        Self {
            simulator,
            client,
            time,
        }
    }

    /// Workers `w1`, `w2`, … of 4 cores and 8 GiB that bring their own pod network.
    pub(crate) fn workers(self, count: usize) -> Self {
        for number in 1..=count {
            let mut machine = Machine::new(
                format!("w{number}"),
                format!("10.0.20.{}", 20 + number),
                4,
                8 << 30,
            );
            machine.own_network = true;
            let now = self.simulator.now();
            self.simulator
                .with(|world| world.register_node(now, machine));
        }
        self
    }

    pub(crate) fn step(&self, seconds: u64) {
        *self.time.lock().unwrap() += Duration::from_secs(seconds);
    }

    /// Objects of any kind, by `apiVersion`, kind and plural.
    pub(crate) fn api(
        &self,
        api_version: &str,
        kind: &str,
        plural: &str,
        namespace: &str,
    ) -> Api<DynamicObject> {
        let (group, version) = api_version.split_once('/').unwrap_or(("", api_version));
        let resource = ApiResource {
            group: group.to_owned(),
            version: version.to_owned(),
            api_version: api_version.to_owned(),
            kind: kind.to_owned(),
            plural: plural.to_owned(),
        };
        if namespace.is_empty() {
            Api::all_with(self.client.clone(), &resource)
        } else {
            Api::namespaced_with(self.client.clone(), namespace, &resource)
        }
    }

    /// Creates an object from JSON.
    pub(crate) async fn create(&self, plural: &str, object: Value) -> DynamicObject {
        let api_version = object["apiVersion"].as_str().unwrap().to_owned();
        let kind = object["kind"].as_str().unwrap().to_owned();
        let namespace = object["metadata"]["namespace"]
            .as_str()
            .unwrap_or_default()
            .to_owned();
        let object: DynamicObject = serde_json::from_value(object).unwrap();
        self.api(&api_version, &kind, plural, &namespace)
            .create(&PostParams::default(), &object)
            .await
            .unwrap()
    }

    /// One object as JSON.
    pub(crate) fn look(&self, resource: &str, namespace: &str, name: &str) -> Value {
        self.simulator
            .with(|world| world.get(resource, namespace, name).cloned())
            .unwrap_or_else(|| panic!("no {resource} {namespace}/{name}"))
    }
}

/// A Deployment of one container.
pub(crate) fn deployment(namespace: &str, name: &str, replicas: u32) -> Value {
    json!({
        "apiVersion": "apps/v1", "kind": "Deployment",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": {"app": name}},
            "template": {
                "metadata": {"labels": {"app": name}},
                "spec": {"containers": [{"name": "main", "image": "registry.example/app:1"}]},
            },
        },
    })
}

/// A CustomResourceDefinition with an open schema and a status subresource.
pub(crate) fn crd(group: &str, kind: &str, plural: &str, scope: &str, schema: Value) -> Value {
    json!({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": {"name": format!("{plural}.{group}")},
        "spec": {
            "group": group, "scope": scope,
            "names": {"kind": kind, "plural": plural},
            "versions": [{
                "name": "v1", "served": true, "storage": true,
                "schema": {"openAPIV3Schema": schema},
                "subresources": {"status": {}},
            }],
        },
    })
}

/// A schema that keeps everything.
pub(crate) fn open_schema() -> Value {
    json!({"type": "object", "x-kubernetes-preserve-unknown-fields": true})
}
