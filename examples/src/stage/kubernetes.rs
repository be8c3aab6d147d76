//! What goes into the cluster from outside, by server-side apply, before Argo CD takes over; and what is waited for.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use kube::api::{Api, DynamicObject, ListParams, Patch, PatchParams};
use kube::core::{ApiResource, GroupVersionKind, TypeMeta};
use kube::{Client, discovery};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::failure::{Failure, Persistence};
use crate::observe::KubernetesSeen;
use crate::pace::{Look, Pace, Patience};
use crate::plan::ObjectSet;
use crate::progress::{Outcome, Reporter};
use crate::spec::Spec;

/// The field manager of everything that these programs apply.
pub const FIELD_MANAGER: &str = "homelab";

/// The annotation that tells which form of an object was applied last.
const APPLIED: &str = "homelab.example/applied";

/// The name of the Application that all others come from.
pub const ROOT_APPLICATION: &str = "root";

const SERVE: Patience = Patience::seconds(900, 5);

/// The objects of each set, in the order in which they are applied.
pub type Objects = BTreeMap<ObjectSet, Vec<Value>>;

fn failed(place: &str, error: kube::Error) -> Failure {
    let passes = match &error {
        kube::Error::Api(status) => {
            // Not found: a definition that is not served yet. Conflict: somebody else was faster.
            status.code >= 500 || matches!(status.code, 404 | 408 | 409 | 429)
        }
        kube::Error::Service(_) | kube::Error::HyperError(_) | kube::Error::ReadEvents(_) => true,
        kube::Error::Discovery(_) => true,
        _ => false,
    };
    Failure::reported(
        place,
        "the Kubernetes API did not do it",
        Persistence::passing(passes),
        None,
        error,
    )
}

/// `Deployment argocd/argocd-server`.
fn title(object: &Value) -> String {
    let kind = object["kind"].as_str().unwrap_or("object");
    let name = object["metadata"]["name"].as_str().unwrap_or("unnamed");
    match object["metadata"]["namespace"].as_str() {
        Some(namespace) => format!("{kind} {namespace}/{name}"),
        None => format!("{kind} {name}"),
    }
}

fn digest(object: &Value) -> String {
    let hash = Sha256::digest(object.to_string());
    hash.iter()
        .take(16)
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

fn kind_of(object: &Value) -> Result<GroupVersionKind, Failure> {
    let types = TypeMeta {
        api_version: object["apiVersion"].as_str().unwrap_or_default().to_owned(),
        kind: object["kind"].as_str().unwrap_or_default().to_owned(),
    };
    GroupVersionKind::try_from(&types)
        .map_err(|error| Failure::permanent(title(object), "has no kind").caused_by(error))
}

/// Talks to one cluster; asks for each kind's path once.
pub struct Cluster {
    client: Client,
    kinds: tokio::sync::Mutex<BTreeMap<String, ApiResource>>,
}

impl std::fmt::Debug for Cluster {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Cluster").finish_non_exhaustive()
    }
}

impl Cluster {
    /// Talks through `client`.
    pub fn new(client: Client) -> Self {
        Self {
            client,
            kinds: tokio::sync::Mutex::default(),
        }
    }

    /// The client.
    pub fn client(&self) -> &Client {
        &self.client
    }

    async fn resource(&self, object: &Value) -> Result<ApiResource, Failure> {
        let kind = kind_of(object)?;
        let key = format!("{}/{}", kind.api_version(), kind.kind);
        let mut kinds = self.kinds.lock().await;
        if let Some(resource) = kinds.get(&key) {
            return Ok(resource.clone());
        }
        let (resource, _) = discovery::pinned_kind(&self.client, &kind)
            .await
            .map_err(|error| failed(&title(object), error))?;
        kinds.insert(key, resource.clone());
        Ok(resource)
    }

    async fn api(&self, object: &Value) -> Result<Api<DynamicObject>, Failure> {
        let resource = self.resource(object).await?;
        Ok(match object["metadata"]["namespace"].as_str() {
            Some(namespace) => Api::namespaced_with(self.client.clone(), namespace, &resource),
            None => Api::all_with(self.client.clone(), &resource),
        })
    }

    /// The object as it is, if it is there. A kind that is not served has no objects.
    async fn get(&self, object: &Value) -> Result<Option<DynamicObject>, Failure> {
        let api = match self.api(object).await {
            Ok(api) => api,
            Err(failure) if is_not_found(&failure) => return Ok(None),
            Err(failure) => return Err(failure),
        };
        let name = object["metadata"]["name"].as_str().unwrap_or_default();
        api.get_opt(name)
            .await
            .map_err(|error| failed(&title(object), error))
    }

    /// All objects of a kind in all namespaces; none where the kind is not served.
    ///
    /// # Errors
    ///
    /// No answer, or a refusal.
    pub async fn list(&self, api_version: &str, kind: &str) -> Result<Vec<DynamicObject>, Failure> {
        let example =
            json!({ "apiVersion": api_version, "kind": kind, "metadata": { "name": "-" } });
        let resource = match self.resource(&example).await {
            Ok(resource) => resource,
            Err(failure) if is_not_found(&failure) => return Ok(Vec::new()),
            Err(failure) => return Err(failure),
        };
        let api: Api<DynamicObject> = Api::all_with(self.client.clone(), &resource);
        let list = api
            .list(&ListParams::default())
            .await
            .map_err(|error| failed(kind, error))?;
        Ok(list.items)
    }

    /// Applies one object with our field manager.
    async fn apply(&self, object: &Value) -> Result<(), Failure> {
        let mut marked = object.clone();
        let metadata = marked["metadata"].as_object_mut();
        if let Some(metadata) = metadata {
            let annotations = metadata.entry("annotations").or_insert_with(|| json!({}));
            annotations[APPLIED] = Value::from(digest(object));
        }
        let api = self.api(object).await?;
        let name = object["metadata"]["name"].as_str().unwrap_or_default();
        // Before the hand-over nobody else owns these fields; what stands in the way is an earlier run of ours.
        let parameters = PatchParams::apply(FIELD_MANAGER).force();
        api.patch(name, &parameters, &Patch::Apply(&marked))
            .await
            .map_err(|error| failed(&title(object), error))?;
        Ok(())
    }
}

fn is_not_found(failure: &Failure) -> bool {
    use std::error::Error;
    let mut cause = failure.source();
    while let Some(error) = cause {
        if let Some(kube::Error::Api(status)) = error.downcast_ref::<kube::Error>() {
            return status.code == 404;
        }
        if let Some(kube::Error::Discovery(_)) = error.downcast_ref::<kube::Error>() {
            return true;
        }
        cause = error.source();
    }
    false
}

/// Whether the form of an object that was applied last is the one wanted.
fn is_current(found: &DynamicObject, wanted: &Value) -> bool {
    let annotations = found.metadata.annotations.as_ref();
    annotations
        .and_then(|all| all.get(APPLIED))
        .is_some_and(|hash| *hash == digest(wanted))
}

/// Whether a workload serves; the text is what is missing.
pub fn unready(object: &DynamicObject) -> Option<String> {
    let kind = object
        .types
        .as_ref()
        .map_or("", |types| types.kind.as_str());
    let name = object.metadata.name.as_deref().unwrap_or_default();
    let number = |path: &str| {
        object
            .data
            .pointer(path)
            .and_then(Value::as_u64)
            .unwrap_or(0)
    };
    let (ready, wanted) = match kind {
        "DaemonSet" => (
            number("/status/numberReady"),
            number("/status/desiredNumberScheduled"),
        ),
        "Deployment" | "StatefulSet" => (
            number("/status/readyReplicas"),
            object
                .data
                .pointer("/spec/replicas")
                .and_then(Value::as_u64)
                .unwrap_or(1),
        ),
        "CustomResourceDefinition" => {
            let established = condition(object, "Established").is_some_and(|(status, _)| status);
            return (!established).then(|| format!("{kind} {name} is not established"));
        }
        _ => return None,
    };
    // A DaemonSet that its controller has not looked at yet wants nothing.
    let fresh = kind == "DaemonSet" && wanted == 0;
    (fresh || ready < wanted).then(|| format!("{kind} {name}: {ready} of {wanted} ready"))
}

/// A condition's status and message.
pub fn condition(object: &DynamicObject, kind: &str) -> Option<(bool, String)> {
    let conditions = object.data.pointer("/status/conditions")?.as_array()?;
    let found = conditions
        .iter()
        .find(|condition| condition["type"] == kind)?;
    let message = found["message"].as_str().unwrap_or_default().to_owned();
    Some((found["status"] == "True", message))
}

/// Looks at everything that the plan is about.
///
/// # Errors
///
/// The API answers, but refuses.
pub async fn see(cluster: &Cluster, objects: &Objects) -> Result<KubernetesSeen, Failure> {
    let nodes = match node_readiness(cluster).await {
        Ok(nodes) => nodes,
        Err(failure) if failure.is_transient() => return Ok(KubernetesSeen::Silent),
        Err(failure) => return Err(failure),
    };
    let root = objects.get(&ObjectSet::Root).and_then(|set| set.last());
    // From the hand-over on the form of objects is the business of Argo CD.
    let handed_over = match root {
        Some(root) => cluster.get(root).await?.is_some(),
        None => false,
    };
    let mut stale = BTreeMap::new();
    for (set, wanted) in objects {
        let mut differing = Vec::new();
        for object in wanted {
            let found = cluster.get(object).await?;
            let fine = match &found {
                Some(found) => handed_over || is_current(found, object),
                None => false,
            };
            if !fine {
                differing.push(title(object));
            }
        }
        stale.insert(*set, differing);
    }
    let applications = unready_applications(cluster).await?;
    Ok(KubernetesSeen::Serving {
        stale,
        nodes,
        unready_applications: applications,
    })
}

/// Nodes by name, with whether they are Ready.
///
/// # Errors
///
/// No answer, or a refusal.
pub async fn node_readiness(cluster: &Cluster) -> Result<BTreeMap<String, bool>, Failure> {
    let nodes = cluster.list("v1", "Node").await?;
    Ok(nodes
        .iter()
        .map(|node| {
            let ready = condition(node, "Ready").is_some_and(|(status, _)| status);
            (node.metadata.name.clone().unwrap_or_default(), ready)
        })
        .collect())
}

/// Applications that are not both Synced and Healthy, with their state; `None` when there are none at all.
///
/// # Errors
///
/// No answer, or a refusal.
pub async fn unready_applications(cluster: &Cluster) -> Result<Option<Vec<String>>, Failure> {
    let applications = cluster.list("argoproj.io/v1alpha1", "Application").await?;
    if applications.is_empty() {
        return Ok(None);
    }
    Ok(Some(
        applications
            .iter()
            .filter_map(application_trouble)
            .collect(),
    ))
}

/// Why an Application is not both Synced and Healthy.
fn application_trouble(application: &DynamicObject) -> Option<String> {
    let text = |path: &str| {
        application
            .data
            .pointer(path)
            .and_then(Value::as_str)
            .unwrap_or("Unknown")
            .to_owned()
    };
    let (sync, health) = (text("/status/sync/status"), text("/status/health/status"));
    if sync == "Synced" && health == "Healthy" {
        return None;
    }
    let name = application.metadata.name.as_deref().unwrap_or_default();
    let message = text("/status/health/message");
    let why = if message == "Unknown" {
        String::new()
    } else {
        format!(" ({message})")
    };
    Some(format!("{name} {sync}/{health}{why}"))
}

/// Applies a set of objects and waits until its definitions are established and its workloads serve.
///
/// # Errors
///
/// A refusal, or a wait that ran out, with what is not ready.
pub async fn ensure_objects(
    cluster: &Cluster,
    set: ObjectSet,
    objects: &[Value],
    pace: Pace,
    reporter: &Reporter,
) -> Result<Outcome, Failure> {
    let mut outcome = Outcome::Unchanged;
    for object in objects {
        if matches!(cluster.get(object).await?, Some(found) if is_current(&found, object)) {
            continue;
        }
        reporter.doing(format!("applying {}", title(object)));
        cluster.apply(object).await?;
        outcome = Outcome::Changed;
        if object["kind"] == "CustomResourceDefinition" {
            serving(cluster, set, std::slice::from_ref(object), pace, reporter).await?;
        }
    }
    serving(cluster, set, objects, pace, reporter).await?;
    Ok(outcome)
}

async fn serving(
    cluster: &Cluster,
    set: ObjectSet,
    objects: &[Value],
    pace: Pace,
    reporter: &Reporter,
) -> Result<(), Failure> {
    let what = format!("{} to serve", set.name());
    pace.wait(reporter, what, SERVE, || async {
        let mut missing = Vec::new();
        for object in objects {
            match cluster.get(object).await? {
                Some(found) => missing.extend(unready(&found)),
                None => missing.push(format!("{} is gone", title(object))),
            }
        }
        if missing.is_empty() {
            return Ok(Look::There(()));
        }
        missing.extend(pods_in_trouble(cluster).await?);
        Ok(Look::NotYet(missing.join("; ")))
    })
    .await
}

/// What keeps pods from being ready, at most four of them: the message of the condition that does not hold. Pods of
/// the system come first, because the others wait for them, and of equal pods one stands for all.
async fn pods_in_trouble(cluster: &Cluster) -> Result<Vec<String>, Failure> {
    let mut pods = cluster.list("v1", "Pod").await?;
    pods.sort_by_key(|pod| pod.metadata.namespace.as_deref() != Some("kube-system"));
    let mut owners = BTreeSet::new();
    let troubles = pods.iter().filter_map(|pod| {
        let (_, text) = ["PodScheduled", "Ready"].iter().find_map(|kind| {
            condition(pod, kind).filter(|(holds, text)| !holds && !text.is_empty())
        })?;
        let owner = pod.metadata.owner_references.iter().flatten().next();
        let first = owner.is_none_or(|owner| owners.insert(owner.uid.clone()));
        let name = pod.metadata.name.as_deref().unwrap_or_default();
        first.then(|| format!("{name}: {text}"))
    });
    Ok(troubles.take(4).collect())
}

/// Waits until all nodes of the spec are Ready.
///
/// # Errors
///
/// A refusal, or a wait that ran out, with the nodes that are not Ready and why.
pub async fn await_nodes(
    cluster: &Cluster,
    spec: &Spec,
    pace: Pace,
    reporter: &Reporter,
) -> Result<Outcome, Failure> {
    let what = format!("{} nodes Ready", spec.nodes.len());
    pace.wait(reporter, what, SERVE, || async {
        let nodes = cluster.list("v1", "Node").await?;
        let troubles: Vec<String> = spec
            .nodes
            .iter()
            .filter_map(|wanted| {
                let name = wanted.name.as_str();
                let node = nodes
                    .iter()
                    .find(|node| node.metadata.name.as_deref() == Some(name));
                match node.map(|node| condition(node, "Ready")) {
                    None => Some(format!("{name} has not joined")),
                    Some(Some((true, _))) => None,
                    Some(Some((false, why))) => Some(format!("{name} is not Ready: {why}")),
                    Some(None) => Some(format!("{name} has not reported")),
                }
            })
            .collect();
        Ok(if troubles.is_empty() {
            Look::There(())
        } else {
            Look::NotYet(troubles.join("; "))
        })
    })
    .await?;
    Ok(Outcome::Changed)
}

/// Waits until Argo CD has brought every Application to Synced and Healthy.
///
/// # Errors
///
/// A refusal, or a wait that ran out, with the Applications and pods that hold it up.
pub async fn await_platform(
    cluster: &Cluster,
    applications: usize,
    pace: Pace,
    reporter: &Reporter,
) -> Result<Outcome, Failure> {
    let patience = Patience {
        limit: Duration::from_secs(3600),
        every: Duration::from_secs(5),
    };
    let what = format!("{applications} Applications Synced and Healthy");
    pace.wait(reporter, what, patience, || async {
        let all = cluster.list("argoproj.io/v1alpha1", "Application").await?;
        let troubles: Vec<String> = all.iter().filter_map(application_trouble).collect();
        if troubles.is_empty() && all.len() >= applications {
            return Ok(Look::There(()));
        }
        let fine = all.len() - troubles.len();
        let mut seen = vec![format!("{fine} of {applications}")];
        seen.extend(troubles.into_iter().take(3));
        seen.extend(pods_in_trouble(cluster).await?);
        Ok(Look::NotYet(seen.join("; ")))
    })
    .await?;
    Ok(Outcome::Changed)
}
