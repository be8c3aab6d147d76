//! The catalogue: what it promises to the checks, the policies and the lab.

use std::collections::BTreeSet;

use homelab::component::needs::{Facts, Needs};
use homelab::component::{Catalogue, Metrics, Party};
use homelab::spec::Spec;
use homelab::stage::cilium::desired;
use serde_json::{Value, json};

fn catalogue() -> Catalogue {
    let text = include_str!("../../environments/production/cluster.yaml");
    Catalogue::of(&Spec::parse("cluster.yaml", text).unwrap())
}

#[test]
fn every_needed_definition_is_brought_by_an_earlier_or_equal_wave() {
    let catalogue = catalogue();
    for component in &catalogue.components {
        for crd in &component.needs.crds {
            let brought = catalogue
                .components
                .iter()
                .any(|other| other.wave <= component.wave && other.provides.crds.contains(crd));
            assert!(brought, "{} needs {crd}", component.name);
        }
    }
}

#[test]
fn every_definition_that_is_brought_has_a_kind() {
    for component in &catalogue().components {
        let objects = component.stand_in();
        let definitions = objects
            .iter()
            .filter(|object| object["kind"] == "CustomResourceDefinition")
            .count();
        assert_eq!(
            definitions,
            component.provides.crds.len(),
            "{}",
            component.name
        );
    }
}

#[test]
fn a_connection_ends_at_a_port_that_its_workload_names() {
    let catalogue = catalogue();
    for flow in &catalogue.flows {
        if let Party::Workload {
            component,
            workload,
        } = &flow.to
            && flow.end_port.is_none()
        {
            let (_, found) = catalogue.workload(component, workload).unwrap();
            assert!(
                found
                    .ports
                    .iter()
                    .any(|port| port.number == flow.port && port.protocol == flow.protocol),
                "{flow} ({})",
                flow.why
            );
        }
    }
}

#[test]
fn pods_are_told_apart_by_their_labels() {
    let catalogue = catalogue();
    let mut seen = BTreeSet::new();
    for (component, workload) in catalogue.workloads() {
        assert!(
            seen.insert((component.namespace.clone(), workload.labels.clone())),
            "{}/{}",
            component.name,
            workload.name
        );
        assert!(!workload.labels.is_empty());
    }
}

#[test]
fn every_workload_offers_metrics_or_says_why_not() {
    for (component, workload) in catalogue().workloads() {
        if let Metrics::None(reason) = &workload.metrics {
            assert!(!reason.is_empty(), "{}/{}", component.name, workload.name);
        }
    }
}

#[test]
fn webhooks_are_reachable_from_the_api_server() {
    let catalogue = catalogue();
    let mut count = 0;
    for component in &catalogue.components {
        for webhook in &component.provides.webhooks {
            count += 1;
            let called = catalogue.flows.iter().any(|flow| {
                flow.from.to_string() == "kube-apiserver"
                    && flow.to.is(&component.name, &webhook.workload)
                    && flow.port == webhook.port
            });
            assert!(called, "{}", component.name);
        }
    }
    assert!(count >= 5, "{count}");
}

/// A cluster that has all that production's descriptors ask for.
fn complete(spec: &Spec, catalogue: &Catalogue) -> Vec<Value> {
    let mut objects: Vec<Value> = desired(spec, catalogue)
        .into_iter()
        .map(|wanted| wanted.object)
        .collect();
    for component in &catalogue.components {
        objects.extend(component.stand_in());
        for need in &component.needs.secrets {
            let data: serde_json::Map<String, Value> = need
                .keys
                .keys()
                .map(|key| (key.clone(), json!("eA==")))
                .collect();
            objects.push(json!({
                "apiVersion": "v1", "kind": "Secret",
                "metadata": {"namespace": need.namespace, "name": need.name}, "data": data,
            }));
        }
    }
    objects
}

/// What all pods lack when the objects that `drop` names are not there.
fn lacking(drop: impl Fn(&Value) -> bool, extensions: &[&str]) -> Vec<String> {
    let text = include_str!("../../environments/production/cluster.yaml");
    let spec = Spec::parse("cluster.yaml", text).unwrap();
    let catalogue = Catalogue::of(&spec);
    let objects: Vec<Value> = complete(&spec, &catalogue)
        .into_iter()
        .filter(|object| !drop(object))
        .collect();
    let extensions = extensions
        .iter()
        .map(|extension| format!("siderolabs/{extension}"));
    let needs = Needs::new(&catalogue, Facts::of(&objects, extensions));
    let mut out = Vec::new();
    for (component, workload) in catalogue.workloads() {
        let missing = needs.unmet(&component.namespace, &workload.labels);
        assert_eq!(missing, needs.unmet_by(component, workload));
        out.extend(missing.iter().map(|missing| missing.message().to_owned()));
    }
    out
}

const EXTENSIONS: [&str; 2] = ["iscsi-tools", "util-linux-tools"];

fn named(object: &Value, kind: &str, name: &str) -> bool {
    object["kind"] == kind && object["metadata"]["name"] == name
}

#[test]
fn with_everything_there_no_pod_lacks_anything() {
    assert_eq!(lacking(|_| false, &EXTENSIONS), Vec::<String>::new());
}

#[test]
fn a_forgotten_rule_for_names_keeps_pods_waiting_with_the_pair_named() {
    let missing = lacking(
        |object| named(object, "CiliumClusterwideNetworkPolicy", "allow-dns"),
        &EXTENSIONS,
    );
    let expected = "argo-cd/server -> coredns:53/udp is denied: policy argocd-server in namespace argocd blocks it (egress)";
    assert!(
        missing.iter().any(|message| message.starts_with(expected)),
        "{missing:#?}"
    );
}

#[test]
fn a_forgotten_secret_definition_or_extension_is_named() {
    let secret = lacking(
        |object| named(object, "Secret", "grafana-admin"),
        &EXTENSIONS,
    );
    assert!(
        secret.iter().all(
            |message| message.contains("secret monitoring/grafana-admin, which does not exist")
        ),
        "{secret:?}"
    );
    assert!(!secret.is_empty());
    let definition = lacking(
        |object| {
            named(
                object,
                "CustomResourceDefinition",
                "servicemonitors.monitoring.coreos.com",
            )
        },
        &EXTENSIONS,
    );
    assert!(
        definition
            .iter()
            .all(|message| message.contains("servicemonitors.monitoring.coreos.com"))
            && !definition.is_empty()
    );
    let extension = lacking(|_| false, &["util-linux-tools"]);
    assert!(
        extension
            .iter()
            .all(|message| message.contains("siderolabs/iscsi-tools"))
            && !extension.is_empty()
    );
}

#[test]
fn stand_ins_are_objects_with_names_of_their_own() {
    let mut seen = BTreeSet::new();
    for component in &catalogue().components {
        for object in component.stand_in() {
            let identity = format!(
                "{} {} {}",
                object["kind"], object["metadata"]["namespace"], object["metadata"]["name"]
            );
            let shared = object["kind"] == "Namespace";
            assert!(seen.insert(identity.clone()) || shared, "{identity}");
            assert!(object["apiVersion"].is_string() && object["metadata"]["name"].is_string());
        }
    }
}
