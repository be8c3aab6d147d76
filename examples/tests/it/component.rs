//! The catalogue: what it promises to the checks, the policies and the lab.

use std::collections::BTreeSet;

use homelab::component::{Catalogue, Metrics, Party};
use homelab::spec::Spec;

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
