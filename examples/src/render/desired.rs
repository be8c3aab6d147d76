//! The objects that Git holds, by the folder that they lie in.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use super::applications::{application, component_folder, of_folder, path_in_git};
use crate::component::{Catalogue, Component, Source};
use crate::failure::Failure;
use crate::spec::Spec;
use crate::stage::{argo_cd, cilium, longhorn};

/// Where the Applications lie.
pub const APPLICATIONS: &str = "argocd/apps";
/// Objects by folder.
pub type Desired = BTreeMap<String, Vec<Value>>;

/// The components that Argo CD deploys; what Talos brings along stays with Talos.
pub fn deployed(catalogue: &Catalogue) -> impl Iterator<Item = &Component> {
    catalogue
        .components
        .iter()
        .filter(|component| component.source != Source::Talos)
}

/// The Application that objects without a component of their own belong to, by the wave that they are applied in.
fn platform(wave: i32) -> &'static str {
    match wave {
        ..=-5 => "namespaces",
        -4..=1 => "cluster-policies",
        2 => "network",
        3..=5 => "gateway",
        6 => "routes",
        7.. => "default-deny",
    }
}

/// Everything that Git holds for one environment.
///
/// # Errors
///
/// A storage class or another object that cannot be made from the spec.
pub fn desired(spec: &Spec, catalogue: &Catalogue) -> Result<Desired, Failure> {
    let mut desired = Desired::new();
    let mut waves = BTreeMap::new();
    for wanted in cilium::desired(spec, catalogue) {
        let folder = match owner(catalogue, &wanted.object) {
            Some(component) => component_folder(component),
            None => {
                let name = platform(wanted.wave);
                waves.entry(name).or_insert(wanted.wave);
                format!("platform/{name}")
            }
        };
        desired.entry(folder).or_default().push(wanted.object);
    }
    for component in &catalogue.components {
        let objects = of_component(spec, component);
        if !objects.is_empty() {
            desired
                .entry(component_folder(component))
                .or_default()
                .extend(objects);
        }
    }
    let mut applications: Vec<Value> = deployed(catalogue)
        .map(|component| {
            let has_files = desired.contains_key(&component_folder(component));
            let values = chart_values(spec, catalogue, component);
            application(spec, component, values, has_files)
        })
        .collect();
    applications.extend(
        waves
            .into_iter()
            .map(|(name, wave)| of_folder(spec, name, wave)),
    );
    desired.insert(APPLICATIONS.to_owned(), applications);
    Ok(desired)
}

/// The component that a policy belongs to: the one that Argo CD deploys and whose workload it is named for.
fn owner<'c>(catalogue: &'c Catalogue, object: &Value) -> Option<&'c Component> {
    if object["kind"] != "CiliumNetworkPolicy" {
        return None;
    }
    let metadata = &object["metadata"];
    let (namespace, name) = (metadata["namespace"].as_str()?, metadata["name"].as_str()?);
    deployed(catalogue).find(|component| {
        component.namespace == namespace
            && component
                .workloads
                .iter()
                .any(|workload| workload.object == name)
    })
}

/// What goes in from outside is adopted with the values that it went in with.
fn chart_values(spec: &Spec, catalogue: &Catalogue, component: &Component) -> Option<Value> {
    match component.name.as_str() {
        "cilium" => Some(cilium::values(spec, catalogue).to_json()),
        "argo-cd" => Some(argo_cd::values(spec, catalogue)),
        _ => None,
    }
}

fn of_component(spec: &Spec, component: &Component) -> Vec<Value> {
    match component.name.as_str() {
        "longhorn" => longhorn::objects(spec),
        _ => Vec::new(),
    }
}

/// What Git and the chart repositories hold, as Argo CD of the lab finds it: by path, or by `chart:<name>`.
///
/// # Errors
///
/// As [`desired`].
pub fn sources(spec: &Spec, catalogue: &Catalogue) -> Result<Desired, Failure> {
    let mut sources: Desired = desired(spec, catalogue)?
        .into_iter()
        .map(|(folder, objects)| (path_in_git(spec, &folder), objects))
        .collect();
    let mut namespaces = BTreeSet::from(["\"kube-system\"".to_owned()]);
    for component in deployed(catalogue) {
        let mut stand_in = component.stand_in();
        // Two Applications that both hold a namespace would take it from each other for ever.
        stand_in.retain(|object| {
            object["kind"] != "Namespace"
                || namespaces.insert(object["metadata"]["name"].to_string())
        });
        match &component.source {
            Source::Chart { chart, .. } => {
                sources.insert(format!("chart:{chart}"), stand_in);
            }
            _ => {
                let path = path_in_git(spec, &component_folder(component));
                sources.entry(path).or_default().extend(stand_in);
            }
        }
    }
    Ok(sources)
}

/// A namespace with the level of Pod Security that its components need.
pub fn namespace(name: &str, level: &str) -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "Namespace",
        "metadata": { "name": name, "labels": {
            "pod-security.kubernetes.io/enforce": level,
            "pod-security.kubernetes.io/warn": level,
        } },
    })
}
