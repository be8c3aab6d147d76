//! Argo CD: the values of its chart, so that the real one is what the catalogue describes.

use serde_json::{Map, Value, json};

use crate::component::{Catalogue, Workload};
use crate::spec::Spec;

/// The names that the chart gives to what the catalogue runs.
const PARTS: [(&str, &str); 5] = [
    ("controller", "controller"),
    ("repo-server", "repoServer"),
    ("server", "server"),
    ("applicationset", "applicationSet"),
    ("redis", "redis"),
];

/// The values of the chart `argo-cd`.
#[must_use]
pub fn values(spec: &Spec, catalogue: &Catalogue) -> Value {
    let Some(argo) = catalogue.component("argo-cd") else {
        return json!({});
    };
    let mut values = Map::new();
    for workload in &argo.workloads {
        if let Some((_, part)) = PARTS.iter().find(|(name, _)| *name == workload.name) {
            values.insert((*part).to_owned(), part_values(spec, workload));
        }
    }
    values.insert("dex".to_owned(), json!({ "enabled": false }));
    values.insert("notifications".to_owned(), json!({ "enabled": false }));
    // The secret is there before the chart: its own hook would need rights that nothing else needs.
    values.insert("redisSecretInit".to_owned(), json!({ "enabled": false }));
    let mut configs = json!({
        // TLS ends at the gateway.
        "params": { "server.insecure": true, "controller.diff.server.side": true },
        "cm": argo.settings.get("argocd-cm"),
    });
    if let Some(gateway) = spec.gateway.as_ref() {
        let route = gateway
            .routes
            .iter()
            .find(|route| route.to.as_str() == "argo-cd");
        if let Some(route) = route {
            configs["cm"]["url"] = json!(format!("https://{}", route.host));
        }
    }
    values.insert("configs".to_owned(), configs);
    Value::Object(values)
}

fn part_values(spec: &Spec, workload: &Workload) -> Value {
    let workers = spec.nodes.iter().filter(|node| node.is_worker()).count();
    let count = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
    let mut values = json!({
        "replicas": workload.replicas.count(count(spec.nodes.len()), count(workers)),
        "resources": { "requests": {
            "cpu": workload.requests.cpu.to_string(),
            "memory": workload.requests.memory.quantity(),
        } },
    });
    if let Some(left) = workload.min_available {
        values["pdb"] = json!({ "enabled": true, "minAvailable": left });
    }
    values
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_chart_runs_what_the_catalogue_says_and_waves_of_applications_wait() {
        let text = include_str!("../../environments/production/cluster.yaml");
        let spec = Spec::parse("cluster.yaml", text).unwrap();
        let values = values(&spec, &Catalogue::of(&spec));
        assert_eq!(values["repoServer"]["replicas"], 3);
        assert_eq!(values["server"]["pdb"]["minAvailable"], 2);
        assert_eq!(values["configs"]["params"]["server.insecure"], true);
        let settings = &values["configs"]["cm"];
        let health = &settings["resource.customizations.health.argoproj.io_Application"];
        assert!(health.as_str().unwrap().contains("obj.status"), "{health}");
        assert_eq!(settings["url"], "https://argocd.home.example.org");
    }
}
