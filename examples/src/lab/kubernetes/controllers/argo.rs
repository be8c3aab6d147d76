//! Argo CD: compares Applications with Git, synchronises them wave by wave, reports their health.
//!
//! Source content comes from the environment's Git map. Objects are applied server-side by the
//! manager `argocd-controller`, whatever `syncOptions` say. Hooks, Helm and Kustomize do not run:
//! the map holds rendered objects.

mod health;

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Map, Value, json};

use super::super::answer::{Answer, Body, Request, apply_internally};
use super::super::object::{
    annotation, deleting, flag, group_of, label, list, name, namespace, number, set, stamp, text,
    time,
};
use super::super::world::World;
use super::{Turn, pods};
use health::Health;

const APPLICATIONS: &str = "applications.argoproj.io";
const WAVE: &str = "argocd.argoproj.io/sync-wave";
const TRACKING: &str = "argocd.argoproj.io~1tracking-id";
const MANAGER: &str = "argocd-controller";
/// Time between tries of a synchronisation that failed; doubled each time, as the retry of the
/// operation does.
const RETRY: Duration = Duration::from_secs(5);

/// Time between two comparisons: Argo CD does not follow every change of the cluster at once.
const REFRESH: Duration = Duration::from_secs(10);

pub(super) fn run(turn: &mut Turn<'_>) {
    turn.after(turn.now, REFRESH);
    for application in turn.all(APPLICATIONS) {
        let home = namespace(&application).to_owned();
        if works(turn.world, &home) && !deleting(&application) {
            Sync::of(turn, &application).advance(turn);
        }
    }
}

/// True when controller and repository server of this Argo CD are ready.
fn works(world: &World, home: &str) -> bool {
    ["argocd-application-controller", "argocd-repo-server"]
        .iter()
        .all(|part| {
            world.list_in("pods", home).any(|pod| {
                label(pod, "app.kubernetes.io/name") == Some(part) && pods::is_ready(pod)
            })
        })
}

/// One wanted object of an application.
struct Wanted {
    object: Value,
    wave: i64,
    /// `deployments.apps`; empty while the kind is not served.
    resource: String,
    plural: String,
}

impl Wanted {
    fn live<'w>(&self, world: &'w World) -> Option<&'w Value> {
        if self.resource.is_empty() {
            return None;
        }
        world.get(&self.resource, namespace(&self.object), name(&self.object))
    }
}

/// One application at one moment.
struct Sync {
    application: Value,
    source: Result<Vec<Wanted>, String>,
}

/// What an application shows.
struct Report {
    synced: &'static str,
    resources: Vec<Value>,
    health: Health,
    operation: Option<Value>,
    conditions: Vec<Value>,
}

impl Sync {
    fn of(turn: &Turn<'_>, application: &Value) -> Self {
        let mut source = Vec::new();
        let mut failed = None;
        let sources = match application.pointer("/spec/source") {
            Some(one) => std::slice::from_ref(one),
            None => list(application, "/spec/sources"),
        };
        for one in sources
            .iter()
            .filter(|one| one.get("ref").is_none() || one.get("path").is_some())
        {
            let path = text(one, "/path");
            let key = if path.is_empty() {
                format!("chart:{}", text(one, "/chart"))
            } else {
                path.to_owned()
            };
            match turn.environment.git.get(&key) {
                Some(objects) => {
                    source.extend(objects.iter().map(|one| wanted(turn, application, one)))
                }
                None => {
                    failed = Some(format!(
                        "Failed to load target state: failed to generate manifest for source 1 of 1: \
                         rpc error: code = Unknown desc = {key}: app path does not exist"
                    ));
                }
            }
        }
        source.sort_by_key(|one| (one.wave, order(text(&one.object, "/kind"))));
        let source = failed.map_or(Ok(source), Err);
        Self {
            application: application.clone(),
            source,
        }
    }

    fn advance(&self, turn: &mut Turn<'_>) {
        let application = &self.application;
        let all = match &self.source {
            Ok(all) => all,
            Err(why) => {
                let condition = json!({"type": "ComparisonError", "message": why});
                let report = Report {
                    synced: "Unknown",
                    resources: Vec::new(),
                    health: Health::Unknown,
                    operation: application.pointer("/status/operationState").cloned(),
                    conditions: vec![condition],
                };
                return self.write(turn, report);
            }
        };
        let automated = application.pointer("/spec/syncPolicy/automated").is_some()
            && application.pointer("/spec/syncPolicy/automated/enabled") != Some(&json!(false));
        let asked = application.get("operation").is_some();
        let stale = all.iter().any(|one| {
            !one.live(turn.world)
                .is_some_and(|live| holds(live, &one.object))
        });
        let extra = self.extra(turn, all);
        let prune = flag(application, "/spec/syncPolicy/automated/prune");
        let phase = text(application, "/status/operationState/phase").to_owned();
        let outdated = stale || (prune && !extra.is_empty());
        let heals = flag(application, "/spec/syncPolicy/automated/selfHeal")
            || phase != "Succeeded"
            || self.moved();
        let mut operation = application.pointer("/status/operationState").cloned();
        if asked || phase == "Running" || (outdated && automated && heals && self.may_retry(turn)) {
            operation = Some(self.synchronise(turn, all, &extra, prune));
        }
        let report = self.compare(turn, all, &extra, operation);
        self.write(turn, report);
    }

    /// True when Git holds something else than what was synchronised last.
    fn moved(&self) -> bool {
        self.revision()
            != text(
                &self.application,
                "/status/operationState/syncResult/revision",
            )
    }

    /// The commit that the map stands for: a hash of the application's objects.
    fn revision(&self) -> String {
        let mut hash = 0xcbf2_9ce4_8422_2325_u64;
        for one in self.source.iter().flatten() {
            for byte in one.object.to_string().bytes() {
                hash = (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
            }
        }
        format!("{hash:016x}{hash:016x}{:08x}", hash >> 32)
    }

    fn may_retry(&self, turn: &mut Turn<'_>) -> bool {
        let state = self.application.pointer("/status/operationState");
        let Some(state) = state.filter(|one| one["phase"] == "Failed") else {
            return true;
        };
        let tries = number(state, "/retryCount").unwrap_or_default();
        let wait = RETRY * 2_u32.saturating_pow(u32::try_from(tries).unwrap_or_default().min(5));
        time(state, "/finishedAt").is_none_or(|since| turn.after(since, wait))
    }

    /// Objects that this application made and that Git no longer has.
    fn extra(&self, turn: &Turn<'_>, all: &[Wanted]) -> Vec<(String, Value)> {
        list(&self.application, "/status/resources")
            .iter()
            .filter_map(|one| {
                let kind = turn
                    .world
                    .resource_of_kind(text(one, "/group"), text(one, "/kind"))?;
                let id = kind.id();
                let live = turn
                    .world
                    .get(&id, text(one, "/namespace"), text(one, "/name"))?;
                let kept = all.iter().any(|wanted| {
                    wanted.resource == id
                        && name(&wanted.object) == name(live)
                        && namespace(&wanted.object) == namespace(live)
                });
                (!kept).then(|| (id, live.clone()))
            })
            .collect()
    }

    /// Applies the waves that may be applied now.
    fn synchronise(
        &self,
        turn: &mut Turn<'_>,
        all: &[Wanted],
        extra: &[(String, Value)],
        prune: bool,
    ) -> Value {
        let application = &self.application;
        let running = text(application, "/status/operationState/phase") == "Running";
        if !running {
            turn.world.forget(application, "sync");
        }
        let began = turn.world.note(application, "sync", turn.now);
        let mut state = json!({
            "operation": {"sync": {"revision": self.revision()}},
            "phase": "Running",
            "message": "waiting for the repository server",
            "startedAt": stamp(began),
            "retryCount": 0,
        });
        let before = application.pointer("/status/operationState");
        if let Some(tries) = before
            .filter(|one| one["phase"] == "Failed")
            .map(|one| number(one, "/retryCount").unwrap_or_default() + 1)
        {
            state["retryCount"] = json!(tries);
        } else if running {
            state["retryCount"] = json!(
                before
                    .and_then(|one| number(one, "/retryCount"))
                    .unwrap_or_default()
            );
        }
        if !turn.after(began, turn.environment.timings.sync) {
            return state;
        }
        let mut results: BTreeMap<usize, Value> = BTreeMap::new();
        let mut failures = Vec::new();
        let mut blocked = None;
        let mut wave = all.first().map_or(0, |one| one.wave);
        for (at, one) in all.iter().enumerate() {
            if one.wave != wave {
                if !failures.is_empty() {
                    break;
                }
                let waiting: Vec<String> = all
                    .iter()
                    .filter(|other| other.wave == wave)
                    .filter(|other| {
                        Health::of(turn.world, other.live(turn.world)) != Health::Healthy
                    })
                    .map(shown)
                    .collect();
                if !waiting.is_empty() {
                    blocked = Some(waiting);
                    break;
                }
                wave = one.wave;
            }
            let message = apply(turn, one);
            let status = if message.is_ok() {
                "Synced"
            } else {
                "SyncFailed"
            };
            if let Err(why) = &message {
                failures.push(why.clone());
            }
            results.insert(
                at,
                json!({
                    "group": group_of(text(&one.object, "/apiVersion")),
                    "version": text(&one.object, "/apiVersion").rsplit('/').next(),
                    "kind": one.object["kind"],
                    "namespace": namespace(&one.object),
                    "name": name(&one.object),
                    "status": status,
                    "message": message.unwrap_or_else(|why| why),
                    "syncPhase": "Sync",
                }),
            );
        }
        state["syncResult"] = json!({
            "revision": self.revision(),
            "source": application["spec"]["source"],
            "resources": results.into_values().collect::<Vec<_>>(),
        });
        if let Some(first) = failures.first() {
            state["phase"] = json!("Failed");
            state["message"] = json!(format!(
                "one or more objects failed to apply, reason: {first}"
            ));
            state["finishedAt"] = json!(stamp(turn.now));
        } else if let Some(waiting) = blocked {
            let first = waiting.first().cloned().unwrap_or_default();
            let more = match waiting.len() {
                1 => String::new(),
                many => format!(" and {} more resources", many - 1),
            };
            state["message"] = json!(format!("waiting for healthy state of {first}{more}"));
        } else {
            if prune {
                for (resource, object) in extra {
                    turn.delete(resource, object);
                }
            }
            state["phase"] = json!("Succeeded");
            state["message"] = json!("successfully synced (all tasks run)");
            state["finishedAt"] = json!(stamp(turn.now));
        }
        state
    }

    /// Compares what is with what is wanted.
    fn compare(
        &self,
        turn: &Turn<'_>,
        all: &[Wanted],
        extra: &[(String, Value)],
        operation: Option<Value>,
    ) -> Report {
        let mut health = Health::Healthy;
        let mut synced = "Synced";
        let mut resources = Vec::new();
        for one in all {
            let live = one.live(turn.world);
            let fits = live.is_some_and(|live| holds(live, &one.object));
            let own = Health::of(turn.world, live);
            health = health.max(own);
            if !fits {
                synced = "OutOfSync";
            }
            let mut row = json!({
                "version": text(&one.object, "/apiVersion").rsplit('/').next(),
                "kind": one.object["kind"],
                "name": name(&one.object),
                "status": if fits { "Synced" } else { "OutOfSync" },
            });
            let group = group_of(text(&one.object, "/apiVersion"));
            for (field, value) in [("group", group), ("namespace", namespace(&one.object))] {
                if !value.is_empty() {
                    row[field] = json!(value);
                }
            }
            if Health::is_checked(&one.object) || live.is_none() {
                row["health"] = json!({"status": own.text()});
            }
            if one.wave != 0 {
                row["syncWave"] = json!(one.wave);
            }
            resources.push(row);
        }
        for (_, object) in extra {
            synced = "OutOfSync";
            resources.push(json!({
                "group": group_of(text(object, "/apiVersion")),
                "kind": object["kind"], "name": name(object), "namespace": namespace(object),
                "status": "OutOfSync", "requiresPruning": true,
            }));
        }
        Report {
            synced,
            resources,
            health,
            operation,
            conditions: Vec::new(),
        }
    }

    fn write(&self, turn: &mut Turn<'_>, report: Report) {
        let revision = self.revision();
        let now = turn.now;
        turn.update(APPLICATIONS, &self.application, |one| {
            let before = text(one, "/status/health/status").to_owned();
            set(one, "/status/sync/status", json!(report.synced));
            set(one, "/status/sync/revision", json!(revision));
            set(one, "/status/sync/comparedTo", compared(one));
            set(one, "/status/health/status", json!(report.health.text()));
            if before != report.health.text() {
                set(one, "/status/health/lastTransitionTime", json!(stamp(now)));
            }
            set(one, "/status/resources", json!(report.resources));
            set(one, "/status/sourceType", json!("Directory"));
            set_or_remove(one, "/status/conditions", report.conditions, now);
            if let Some(operation) = report.operation {
                if operation["phase"] != "Running" {
                    super::super::object::remove(one, "/operation");
                }
                set(one, "/status/operationState", operation);
            }
        });
    }
}

fn compared(application: &Value) -> Value {
    let mut compared = Map::new();
    for part in ["source", "sources", "destination"] {
        if let Some(value) = application["spec"].get(part) {
            compared.insert(part.to_owned(), value.clone());
        }
    }
    Value::Object(compared)
}

fn set_or_remove(object: &mut Value, pointer: &str, conditions: Vec<Value>, now: Timestamp) {
    if conditions.is_empty() {
        super::super::object::remove(object, pointer);
        return;
    }
    let known = list(object, pointer).to_vec();
    let all: Vec<Value> = conditions
        .into_iter()
        .map(|mut one| {
            let same = known
                .iter()
                .find(|old| old["type"] == one["type"] && old["message"] == one["message"]);
            one["lastTransitionTime"] = same.map_or_else(
                || json!(stamp(now)),
                |old| old["lastTransitionTime"].clone(),
            );
            one
        })
        .collect();
    set(object, pointer, json!(all));
}

fn shown(one: &Wanted) -> String {
    format!(
        "{}/{}/{}",
        group_of(text(&one.object, "/apiVersion")),
        text(&one.object, "/kind"),
        name(&one.object)
    )
}

/// Kinds in the order in which one wave is applied.
fn order(kind: &str) -> usize {
    const ORDER: [&str; 12] = [
        "Namespace",
        "NetworkPolicy",
        "ResourceQuota",
        "LimitRange",
        "ServiceAccount",
        "Secret",
        "ConfigMap",
        "StorageClass",
        "PersistentVolume",
        "PersistentVolumeClaim",
        "CustomResourceDefinition",
        "ClusterRole",
    ];
    ORDER
        .iter()
        .position(|one| *one == kind)
        .unwrap_or(ORDER.len())
}

/// An object of Git as the application applies it: with namespace and tracking mark.
fn wanted(turn: &Turn<'_>, application: &Value, object: &Value) -> Wanted {
    let mut object = object.clone();
    let kind = turn.world.resource_of_kind(
        group_of(text(&object, "/apiVersion")),
        text(&object, "/kind"),
    );
    if kind.as_ref().is_none_or(|one| one.namespaced) && namespace(&object).is_empty() {
        let home = application["spec"]["destination"]["namespace"].clone();
        if !home.is_null() {
            set(&mut object, "/metadata/namespace", home);
        }
    }
    let id = format!(
        "{}:{}/{}:{}/{}",
        name(application),
        group_of(text(&object, "/apiVersion")),
        text(&object, "/kind"),
        namespace(&object),
        name(&object)
    );
    set(
        &mut object,
        &format!("/metadata/annotations/{TRACKING}"),
        json!(id),
    );
    let wave = annotation(&object, WAVE)
        .and_then(|one| one.parse().ok())
        .unwrap_or_default();
    let (resource, plural) = kind.map(|one| (one.id(), one.plural)).unwrap_or_default();
    Wanted {
        object,
        wave,
        resource,
        plural,
    }
}

fn apply(turn: &mut Turn<'_>, one: &Wanted) -> Result<String, String> {
    let api_version = text(&one.object, "/apiVersion");
    if one.plural.is_empty() {
        return Err(format!(
            "The Kubernetes API could not find {}/{} for requested resource {}/{}. Make sure the {:?} \
             CRD is installed on the destination cluster.",
            group_of(api_version),
            text(&one.object, "/kind"),
            namespace(&one.object),
            name(&one.object),
            text(&one.object, "/kind"),
        ));
    }
    let root = if api_version.contains('/') {
        "/apis"
    } else {
        "/api"
    };
    let home = match namespace(&one.object) {
        "" => String::new(),
        home => format!("/namespaces/{home}"),
    };
    let path = format!(
        "{root}/{api_version}{home}/{}/{}",
        one.plural,
        name(&one.object)
    );
    let before = one
        .live(turn.world)
        .map(|live| text(live, "/metadata/resourceVersion").to_owned());
    let request = Request::new("PATCH", path)
        .query(format!("fieldManager={MANAGER}&force=true"))
        .body("application/apply-patch+yaml", one.object.to_string());
    let Answer::Complete(response) = apply_internally(turn.world, turn.now, &request) else {
        return Err("the server answered with a stream".to_owned());
    };
    let (Body::Json(body), true) = (response.body, response.status < 300) else {
        return Err(format!(
            "{} {} was refused",
            text(&one.object, "/kind"),
            name(&one.object)
        ));
    };
    if body["kind"] == "Status" {
        return Err(text(&body, "/message").to_owned());
    }
    let verb = match before {
        None => "created",
        Some(version) if version == text(&body, "/metadata/resourceVersion") => "unchanged",
        Some(_) => "configured",
    };
    Ok(format!("{}/{} {verb}", one.plural, name(&one.object)))
}

/// True when the live object has everything that the wanted one says.
fn holds(live: &Value, wanted: &Value) -> bool {
    match (live, wanted) {
        (Value::Object(live), Value::Object(wanted)) => wanted.iter().all(|(key, value)| {
            if key == "stringData" || key == "status" {
                return true;
            }
            match live.get(key) {
                Some(found) => holds(found, value),
                None => value.is_null() || empty(value),
            }
        }),
        (Value::Array(live), Value::Array(wanted)) => {
            live.len() == wanted.len()
                && live
                    .iter()
                    .zip(wanted)
                    .all(|(one, other)| holds(one, other))
        }
        (one, other) => one == other,
    }
}

fn empty(value: &Value) -> bool {
    value.as_object().is_some_and(Map::is_empty) || value.as_array().is_some_and(Vec::is_empty)
}
