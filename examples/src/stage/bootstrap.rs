//! The sets of objects that go in from outside, in order: definitions, the network, secrets, Argo CD, the root.

use std::collections::BTreeMap;

use secrecy::ExposeSecret;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::component::{Catalogue, Component, SecretSource};
use crate::credentials::Credentials;
use crate::failure::Failure;
use crate::plan::ObjectSet;
use crate::render;
use crate::secrets::Secrets;
use crate::spec::Spec;
use crate::spec::cluster::BootstrapFile;
use crate::target::Target;

/// How many Applications Argo CD has to bring to serve, the root among them.
///
/// # Errors
///
/// An object that cannot be made from the spec.
pub fn applications(spec: &Spec, catalogue: &Catalogue) -> Result<usize, Failure> {
    let desired = render::desired(spec, catalogue)?;
    Ok(desired.get(render::APPLICATIONS).map_or(0, Vec::len) + 1)
}

/// The objects of one set.
///
/// # Errors
///
/// A bootstrap file that is missing or not the one that was pinned; a credential that is missing.
pub fn objects(
    spec: &Spec,
    catalogue: &Catalogue,
    target: &Target,
    secrets: &Secrets,
    set: ObjectSet,
) -> Result<Vec<Value>, Failure> {
    let files = &spec.bootstrap;
    let outside = |component, file| from_outside(target, catalogue, component, file);
    match set {
        ObjectSet::GatewayApi => outside("gateway-api", &files.gateway_api),
        ObjectSet::Cilium => outside("cilium", &files.cilium),
        ObjectSet::SecretZero => secret_zero(catalogue, target, secrets),
        ObjectSet::ArgoCd => outside("argo-cd", &files.argo_cd),
        ObjectSet::Root => Ok(vec![render::root(spec)]),
    }
}

fn from_outside(
    target: &Target,
    catalogue: &Catalogue,
    component: &str,
    file: &BootstrapFile,
) -> Result<Vec<Value>, Failure> {
    match target {
        Target::Lab(_) => Ok(catalogue
            .component(component)
            .map(Component::stand_in)
            .unwrap_or_default()),
        Target::Real(real) => read(real.credentials(), component, file),
    }
}

/// How the objects of a component are made on the operator's machine.
pub fn recipe(spec: &Spec, component: &str) -> String {
    let versions = &spec.versions;
    match component {
        "gateway-api" => format!(
            "curl -fL https://github.com/kubernetes-sigs/gateway-api/releases/download/{}/standard-install.yaml",
            versions.gateway_api
        ),
        "cilium" => format!(
            "helm template cilium cilium --repo https://helm.cilium.io --version {} --namespace kube-system \
             --values bootstrap/cilium.values.yaml",
            versions.cilium
        ),
        _ => format!(
            "helm template argo-cd argo-cd --repo https://argoproj.github.io/argo-helm --version {} \
             --namespace argocd --include-crds --values bootstrap/argo-cd.values.yaml",
            versions.argo_cd
        ),
    }
}

fn read(
    credentials: &Credentials,
    component: &str,
    file: &BootstrapFile,
) -> Result<Vec<Value>, Failure> {
    let path = credentials.path(&file.file);
    let place = path.display().to_string();
    let text = std::fs::read_to_string(&path).map_err(|error| {
        Failure::permanent(&place, "cannot be read")
            .caused_by(error)
            .hint(format!(
                "`render` writes the values of {component} and the command that makes this file"
            ))
    })?;
    let found: String = Sha256::digest(&text)
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    let pinned = file.sha256.as_ref().ok_or_else(|| {
        Failure::permanent(&place, "is not pinned in cluster.yaml").hint(format!(
            "look at the file, then add sha256: {found} under bootstrap"
        ))
    })?;
    if pinned.as_str() != found {
        return Err(Failure::permanent(
            &place,
            format!("has SHA-256 {found}, cluster.yaml pins {}", pinned.as_str()),
        )
        .hint("make the file again, or look at what changed and pin the new one"));
    }
    documents(&place, &text)
}

/// The objects of a file, in an order in which they can be applied.
fn documents(place: &str, text: &str) -> Result<Vec<Value>, Failure> {
    // Go's templates print YAML 1.1 for kubectl's parser, but quote what 1.2 would read otherwise;
    // plain `yes` and `no` stay text.
    let options = serde_saphyr::options! { strict_booleans: true };
    let all: Vec<Value> = serde_saphyr::from_multiple_with_options(text, options)
        .map_err(|error| Failure::permanent(place, "is not YAML").caused_by(error))?;
    let mut objects: Vec<Value> = all.into_iter().filter(|object| !object.is_null()).collect();
    if let Some(odd) = objects
        .iter()
        .position(|object| object["kind"].as_str().is_none())
    {
        return Err(Failure::permanent(
            place,
            format!("document {} has no kind", odd + 1),
        ));
    }
    objects.sort_by_key(|object| match object["kind"].as_str() {
        Some("Namespace") => 0,
        Some("CustomResourceDefinition") => 1,
        _ => 2,
    });
    Ok(objects)
}

/// Namespaces and the Secrets that components find there.
fn secret_zero(
    catalogue: &Catalogue,
    target: &Target,
    secrets: &Secrets,
) -> Result<Vec<Value>, Failure> {
    let mut namespaces = BTreeMap::new();
    let mut objects = Vec::new();
    for component in &catalogue.components {
        for need in &component.needs.secrets {
            let level = catalogue
                .namespaces()
                .get(need.namespace.as_str())
                .map_or("restricted", |level| level.as_str());
            namespaces.insert(need.namespace.clone(), level);
            let mut data = serde_json::Map::new();
            for (key, source) in &need.keys {
                let place = format!("{}/{}/{key}", need.namespace, need.name);
                let value = match source {
                    SecretSource::Plain(text) => text.clone(),
                    SecretSource::Generated(name) => {
                        let value = secrets.kubernetes.get(name);
                        value
                            .map(|value| value.expose_secret().to_owned())
                            .unwrap_or_default()
                    }
                    SecretSource::Reference(reference) => target
                        .credential(&place, reference)?
                        .expose_secret()
                        .to_owned(),
                };
                data.insert(key.clone(), Value::String(value));
            }
            objects.push(json!({
                "apiVersion": "v1",
                "kind": "Secret",
                "metadata": { "name": need.name, "namespace": need.namespace },
                "type": "Opaque",
                "stringData": data,
            }));
        }
    }
    let mut all: Vec<Value> = namespaces
        .into_iter()
        .map(|(name, level)| render::namespace(&name, level))
        .collect();
    all.extend(objects);
    Ok(all)
}
