//! What Argo CD reads: one Application for each component, in the order of waves, and the root that they come from.

use serde_json::{Value, json};

use crate::component::{Component, Source};
use crate::spec::Spec;
use crate::stage::kubernetes::ROOT_APPLICATION;

/// The namespace of Argo CD.
const NAMESPACE: &str = "argocd";

/// The project that holds everything of the platform.
const PROJECT: &str = "default";

/// The folder of a component, relative to the path of the environment in Git.
pub(super) fn component_folder(component: &Component) -> String {
    format!("platform/{}", component.name)
}

/// The path in Git of a folder of the environment.
pub(super) fn path_in_git(spec: &Spec, folder: &str) -> String {
    format!("{}/{folder}", spec.gitops.path.trim_matches('/'))
}

fn sync_policy() -> Value {
    json!({
        "automated": { "prune": true, "selfHeal": true },
        "retry": { "limit": 10, "backoff": { "duration": "10s", "factor": 2, "maxDuration": "3m" } },
        "syncOptions": ["ServerSideApply=true", "FailOnSharedResource=true"],
    })
}

/// The Application of one component; `values` are those of its chart, `has_files` says whether Git holds objects of
/// ours beside it.
pub fn application(
    spec: &Spec,
    component: &Component,
    values: Option<Value>,
    has_files: bool,
) -> Value {
    let git = json!({
        "repoURL": spec.gitops.repository.as_str(),
        "targetRevision": spec.gitops.revision,
        "path": path_in_git(spec, &component_folder(component)),
    });
    let mut sources = Vec::new();
    match &component.source {
        Source::Chart {
            repository,
            chart,
            version,
        } => {
            let mut helm = json!({ "releaseName": component.name });
            if let Some(values) = values {
                helm["valuesObject"] = values;
            }
            sources.push(json!({
                "repoURL": repository,
                "chart": chart,
                "targetRevision": version,
                "helm": helm,
            }));
        }
        Source::Release { .. } | Source::Talos | Source::Rendered => {}
    }
    if has_files || sources.is_empty() {
        sources.push(git);
    }
    json!({
        "apiVersion": "argoproj.io/v1alpha1",
        "kind": "Application",
        "metadata": {
            "name": component.name,
            "namespace": NAMESPACE,
            "annotations": { "argocd.argoproj.io/sync-wave": component.wave.to_string() },
            "finalizers": ["resources-finalizer.argocd.argoproj.io"],
        },
        "spec": {
            "project": PROJECT,
            "destination": { "name": "in-cluster", "namespace": component.namespace },
            "sources": sources,
            "syncPolicy": sync_policy(),
        },
    })
}

/// The Application of objects that belong to no component.
pub(super) fn of_folder(spec: &Spec, name: &str, wave: i32) -> Value {
    json!({
        "apiVersion": "argoproj.io/v1alpha1",
        "kind": "Application",
        "metadata": {
            "name": name,
            "namespace": NAMESPACE,
            "annotations": { "argocd.argoproj.io/sync-wave": wave.to_string() },
            "finalizers": ["resources-finalizer.argocd.argoproj.io"],
        },
        "spec": {
            "project": PROJECT,
            "destination": { "name": "in-cluster", "namespace": NAMESPACE },
            "sources": [{
                "repoURL": spec.gitops.repository.as_str(),
                "targetRevision": spec.gitops.revision,
                "path": path_in_git(spec, &format!("platform/{name}")),
            }],
            "syncPolicy": sync_policy(),
        },
    })
}

/// The root: it watches the folder of Applications and is the last thing that is applied from outside.
pub fn root(spec: &Spec) -> Value {
    json!({
        "apiVersion": "argoproj.io/v1alpha1",
        "kind": "Application",
        "metadata": { "name": ROOT_APPLICATION, "namespace": NAMESPACE },
        "spec": {
            "project": PROJECT,
            "destination": { "name": "in-cluster", "namespace": NAMESPACE },
            "source": {
                "repoURL": spec.gitops.repository.as_str(),
                "targetRevision": spec.gitops.revision,
                "path": path_in_git(spec, super::desired::APPLICATIONS),
            },
            "syncPolicy": sync_policy(),
        },
    })
}
