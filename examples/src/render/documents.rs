//! The whole rendering of an environment: objects for Git, values for charts, tables for people.

use std::fmt::Write;

use super::desired::desired;
use super::{Tree, root};
use crate::component::{Catalogue, Source};
use crate::failure::Failure;
use crate::spec::Spec;
use crate::stage::{argo_cd, bootstrap, cilium};

/// Renders an environment. Nothing of it is secret, and the same spec gives the same bytes.
///
/// # Errors
///
/// What the spec asks for cannot be expressed.
pub fn tree(spec: &Spec) -> Result<Tree, Failure> {
    let catalogue = Catalogue::of(spec);
    let mut tree = Tree::default();
    tree.add("cluster.yaml", spec.render());
    for (folder, objects) in desired(spec, &catalogue)? {
        if folder == super::desired::APPLICATIONS {
            for object in objects {
                let name = object["metadata"]["name"]
                    .as_str()
                    .unwrap_or("application")
                    .to_owned();
                let wave = &object["metadata"]["annotations"]["argocd.argoproj.io/sync-wave"];
                let wave = wave.as_str().unwrap_or("0").to_owned();
                tree.add_objects(&format!("{folder}/{wave}-{name}.yaml"), &[object])?;
            }
            continue;
        }
        for object in objects {
            let kind = object["kind"].as_str().unwrap_or("object").to_lowercase();
            let name = object["metadata"]["name"]
                .as_str()
                .unwrap_or("unnamed")
                .to_owned();
            let namespace = object["metadata"]["namespace"]
                .as_str()
                .map(|name| format!("{name}-"));
            let file = format!(
                "{folder}/{kind}-{}{name}.yaml",
                namespace.unwrap_or_default()
            );
            tree.add_objects(&file, &[object])?;
        }
    }
    tree.add_objects("bootstrap/root.yaml", &[root(spec)])?;
    tree.add(
        "bootstrap/cilium.values.yaml",
        cilium::values(spec, &catalogue).to_yaml(),
    );
    tree.add_objects(
        "bootstrap/argo-cd.values.yaml",
        &[argo_cd::values(spec, &catalogue)],
    )?;
    tree.add("bootstrap/README.md", recipes(spec));
    tree.add("docs/addresses.md", addresses(spec));
    tree.add("docs/components.md", components(&catalogue));
    tree.add("docs/connections.md", connections(spec, &catalogue)?);
    Ok(tree)
}

/// How the files beside `cluster.yaml` are made.
fn recipes(spec: &Spec) -> String {
    let mut text =
        String::from("# Bootstrap\n\nApplied once from outside, in this order; made with:\n\n");
    let files = [
        ("gateway-api", &spec.bootstrap.gateway_api),
        ("cilium", &spec.bootstrap.cilium),
        ("argo-cd", &spec.bootstrap.argo_cd),
    ];
    for (component, file) in files {
        let recipe = bootstrap::recipe(spec, component);
        let _ = writeln!(
            text,
            "```sh\n{recipe} > {}\nsha256sum {}\n```\n",
            file.file, file.file
        );
    }
    text.push_str(
        "Write each checksum into `bootstrap` of cluster.yaml. `root.yaml` comes last.\n",
    );
    text
}

fn addresses(spec: &Spec) -> String {
    let mut text = String::from("# Addresses\n\n| what | address |\n| --- | --- |\n");
    let mut row = |what: &str, address: String| {
        let _ = writeln!(text, "| {what} | {address} |");
    };
    row("router", spec.network.gateway.to_string());
    row(
        "Kubernetes API",
        format!("{}:{}", spec.api.vip, spec.api.port),
    );
    for node in &spec.nodes {
        row(
            &format!("{} ({}, VM {})", node.name, node.role, node.vmid),
            node.address.to_string(),
        );
    }
    row("pods", spec.network.pods.to_string());
    row("services", spec.network.services.to_string());
    row("cluster DNS", spec.network.cluster_dns.to_string());
    for pool in &spec.load_balancer.pools {
        row(
            &format!("load balancer pool {}", pool.name),
            pool.range.to_string(),
        );
    }
    for (name, peer) in spec.wireguard.iter().flat_map(|tunnel| &tunnel.peers) {
        row(&format!("tunnel {name}"), peer.address.to_string());
    }
    text
}

fn components(catalogue: &Catalogue) -> String {
    let mut text = String::from(
        "# Components\n\n| wave | component | namespace | Pod Security | comes from |\n| --- | --- | --- | --- | --- |\n",
    );
    for component in &catalogue.components {
        let source = match &component.source {
            Source::Chart { chart, version, .. } => format!("chart {chart} {version}"),
            Source::Release { url } => url.clone(),
            Source::Talos => "Talos".to_owned(),
            Source::Rendered => "this tree".to_owned(),
        };
        let (name, namespace, level) = (
            &component.name,
            &component.namespace,
            component.level.as_str(),
        );
        let _ = writeln!(
            text,
            "| {} | {name} | {namespace} | {level} | {source} |",
            component.wave
        );
    }
    text
}

fn connections(spec: &Spec, catalogue: &Catalogue) -> Result<String, Failure> {
    let matrix = cilium::verdict_matrix(spec, catalogue)
        .map_err(|error| Failure::permanent("policies", "cannot be judged").caused_by(error))?;
    let mut text =
        String::from("# Connections\n\n| from | to | why | verdict |\n| --- | --- | --- | --- |\n");
    for row in &matrix.declared {
        let flow = &row.flow;
        let verdict = match &row.refused {
            None => "allowed".to_owned(),
            Some(refusal) => refusal.to_string(),
        };
        let protocol = flow.protocol.as_str().to_lowercase();
        let _ = writeln!(
            text,
            "| {} | {}:{}/{protocol} | {} | {verdict} |",
            flow.from, flow.to, flow.port, flow.why
        );
    }
    Ok(text)
}
