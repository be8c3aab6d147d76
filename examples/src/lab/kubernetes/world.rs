//! The state of the simulated API: objects, their revisions and the record of changes.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use jiff::Timestamp;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::{Value, json};

use super::node::Kubelet;
use super::object::{self, name, namespace, remove, set, stamp, text};
use super::resource::{self, Resource};
use super::settings::Settings;

/// How many changes a watch may lag behind before it is told to list again.
const HISTORY: usize = 2_000;

/// All objects of one simulated cluster, as plain data.
///
/// A clone is an independent world (objects are shared until one of them changes), and the whole
/// can be kept in a file with serde. Loading it forgets the record of changes, as etcd's compaction
/// does: older watches are answered 410.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct World {
    pub(crate) settings: Settings,
    objects: BTreeMap<String, Stored>,
    revision: u64,
    uids: u64,
    #[serde(skip)]
    history: VecDeque<Change>,
    /// Changes up to this revision are no longer in the history.
    #[serde(default)]
    compacted: u64,
    pub(crate) kubelets: BTreeMap<String, Kubelet>,
    /// Moments that controllers remember, by object id and purpose.
    timers: BTreeMap<String, Timestamp>,
    /// Revision of the last change of each resource; `*` stands for all but events and endpoints,
    /// `-` for removals and the marks of deletion.
    touched: BTreeMap<String, u64>,
    /// Where each controller left off.
    pub(crate) marks: BTreeMap<String, Mark>,
    /// Stamp of everything that needs of pods depend on, when they were last judged.
    pub(crate) judged: u64,
    /// The modelled time up to which controllers have run.
    pub(crate) settled: Option<Timestamp>,
    /// Revision after the last run of the controllers; unchanged means nothing to do.
    pub(crate) settled_revision: u64,
    /// When the next transition is due that only time brings.
    pub(crate) next_due: Option<Timestamp>,
}

/// Where a controller left off.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Mark {
    /// Revision that it has seen.
    pub(crate) revision: u64,
    /// When time alone gives it something to do.
    pub(crate) due: Option<Timestamp>,
}

#[derive(Clone, Debug)]
struct Stored(Arc<Value>);

impl Serialize for Stored {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Stored {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Value::deserialize(deserializer).map(|value| Self(Arc::new(value)))
    }
}

/// What happened to an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ChangeKind {
    Added,
    Modified,
    Deleted,
}

/// One change, as watches see it.
#[derive(Clone, Debug)]
pub(crate) struct Change {
    pub(crate) revision: u64,
    pub(crate) kind: ChangeKind,
    /// `deployments.apps`.
    pub(crate) resource: String,
    pub(crate) object: Arc<Value>,
    /// What the object was before, for selectors that it no longer matches.
    pub(crate) before: Option<Arc<Value>>,
}

fn key(resource: &str, namespace: &str, name: &str) -> String {
    format!("{resource}/{namespace}/{name}")
}

impl World {
    /// An empty cluster of these settings: the four namespaces of every cluster appear with the
    /// first request.
    #[must_use]
    pub fn new(settings: Settings) -> Self {
        Self {
            settings,
            revision: 1,
            compacted: 1,
            ..Self::default()
        }
    }

    /// Settings of this cluster.
    #[must_use]
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// The newest resource version.
    #[must_use]
    pub fn revision(&self) -> u64 {
        self.revision
    }

    /// Number of objects.
    #[must_use]
    pub fn len(&self) -> usize {
        self.objects.len()
    }

    /// True when no object exists.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.objects.is_empty()
    }

    /// One object. `resource` is `deployments.apps`, or `pods` for the core group; `namespace` is
    /// empty for cluster-wide kinds.
    #[must_use]
    pub fn get(&self, resource: &str, namespace: &str, name: &str) -> Option<&Value> {
        self.objects
            .get(&key(resource, namespace, name))
            .map(|one| &*one.0)
    }

    pub(crate) fn get_shared(
        &self,
        resource: &str,
        namespace: &str,
        name: &str,
    ) -> Option<Arc<Value>> {
        self.objects
            .get(&key(resource, namespace, name))
            .map(|one| Arc::clone(&one.0))
    }

    /// All objects of a resource, ordered by namespace and name.
    pub fn list(&self, resource: &str) -> impl Iterator<Item = &Value> {
        self.range(format!("{resource}/")).map(|one| &**one)
    }

    /// The objects of a resource in one namespace, ordered by name.
    pub fn list_in(&self, resource: &str, namespace: &str) -> impl Iterator<Item = &Value> {
        self.range(format!("{resource}/{namespace}/"))
            .map(|one| &**one)
    }

    pub(crate) fn range(&self, prefix: String) -> impl Iterator<Item = &Arc<Value>> {
        self.objects
            .range(prefix.clone()..)
            .take_while(move |(key, _)| key.starts_with(&prefix))
            .map(|(_, one)| &one.0)
    }

    /// Every object with its resource (`deployments.apps`).
    pub fn objects(&self) -> impl Iterator<Item = (&str, &Value)> {
        self.objects
            .iter()
            .map(|(key, one)| (key.split('/').next().unwrap_or_default(), &*one.0))
    }

    /// The kind served under this group and plural, built in or by an established CRD.
    pub(crate) fn resource(&self, group: &str, plural: &str) -> Option<Resource> {
        if let Some(found) = resource::built_in_by_plural(group, plural) {
            return Some(found);
        }
        let crd = self.get(CRDS, "", &resource::qualified(plural, group))?;
        resource::of_crd(crd)
    }

    /// The kind served under this group and kind.
    pub(crate) fn resource_of_kind(&self, group: &str, kind: &str) -> Option<Resource> {
        resource::built_in_by_kind(group, kind).or_else(|| {
            let crd = self.list(CRDS).find(|crd| {
                text(crd, "/spec/group") == group && text(crd, "/spec/names/kind") == kind
            })?;
            resource::of_crd(crd)
        })
    }

    /// Schema of a custom kind in one version, when its CRD has one.
    pub(crate) fn schema(&self, resource: &Resource, version: &str) -> Option<&Value> {
        let crd = self.get(CRDS, "", &resource.id())?;
        object::list(crd, "/spec/versions")
            .iter()
            .find(|one| one["name"] == version)?
            .pointer("/schema/openAPIV3Schema")
    }

    /// A fresh object id, derived from a counter: the same history gives the same ids.
    pub(crate) fn next_uid(&mut self) -> String {
        self.uids += 1;
        format!("00000000-0000-4000-8000-{:012x}", self.uids)
    }

    /// A five-character suffix for `generateName`, from the alphabet that Kubernetes uses.
    pub(crate) fn next_suffix(&mut self) -> String {
        self.uids += 1;
        suffix(self.uids)
    }

    /// Changes after `revision`, or `None` when they are no longer all known.
    pub(crate) fn changes_since(&self, revision: u64) -> Option<impl Iterator<Item = &Change>> {
        if revision < self.compacted {
            return None;
        }
        let start = self
            .history
            .partition_point(|change| change.revision <= revision);
        Some(self.history.range(start..))
    }

    /// Forgets the record of changes, as etcd's compaction does.
    pub fn compact(&mut self) {
        self.history.clear();
        self.compacted = self.revision;
    }

    fn record(&mut self, change: Change) {
        self.history.push_back(change);
        if self.history.len() > HISTORY
            && let Some(oldest) = self.history.pop_front()
        {
            self.compacted = oldest.revision;
        }
    }

    /// Stores a new object: gives it id, times and revision.
    pub(crate) fn insert(
        &mut self,
        resource: &Resource,
        now: Timestamp,
        mut new: Value,
    ) -> Arc<Value> {
        let uid = self.next_uid();
        set(&mut new, "/metadata/uid", json!(uid));
        set(&mut new, "/metadata/creationTimestamp", json!(stamp(now)));
        if resource.generation {
            set(&mut new, "/metadata/generation", json!(1));
        }
        self.store(&resource.id(), ChangeKind::Added, new)
    }

    /// Stores a changed object, counting the generation; an object that did not change keeps its
    /// revision.
    pub(crate) fn replace(&mut self, resource: &Resource, mut new: Value) -> Arc<Value> {
        let id = resource.id();
        let Some(old) = self.get_shared(&id, namespace(&new), name(&new)) else {
            return self.store(&id, ChangeKind::Added, new);
        };
        set(
            &mut new,
            "/metadata/resourceVersion",
            old["metadata"]["resourceVersion"].clone(),
        );
        if resource.generation {
            let before = object::number(&old, "/metadata/generation").unwrap_or(1);
            let changed = wanted(resource, &old) != wanted(resource, &new)
                || object::deleting(&old) != object::deleting(&new);
            set(
                &mut new,
                "/metadata/generation",
                json!(before + i64::from(changed)),
            );
        }
        if *old == new {
            return old;
        }
        self.store(&id, ChangeKind::Modified, new)
    }

    fn touch(&mut self, resource: &str) {
        let revision = self.revision;
        let mut note = |key: &str| match self.touched.get_mut(key) {
            Some(place) => *place = revision,
            None => drop(self.touched.insert(key.to_owned(), revision)),
        };
        note(resource);
        if !matches!(resource, "events" | "endpointslices.discovery.k8s.io") {
            note("*");
        }
    }

    /// Revision of the last change of a resource.
    pub(crate) fn touched(&self, resource: &str) -> u64 {
        self.touched.get(resource).copied().unwrap_or_default()
    }

    /// Something outside the objects changed: every controller looks again.
    pub(crate) fn disturb(&mut self) {
        self.marks.clear();
        self.settled_revision = 0;
        self.judged = 0;
    }

    fn store(&mut self, resource: &str, kind: ChangeKind, mut new: Value) -> Arc<Value> {
        self.revision += 1;
        self.touch(resource);
        if object::deleting(&new) {
            self.touched.insert("-".to_owned(), self.revision);
        }
        set(
            &mut new,
            "/metadata/resourceVersion",
            json!(self.revision.to_string()),
        );
        let new = Arc::new(new);
        let key = key(resource, namespace(&new), name(&new));
        let before = self
            .objects
            .insert(key, Stored(Arc::clone(&new)))
            .map(|one| one.0);
        let change = Change {
            revision: self.revision,
            kind,
            resource: resource.to_owned(),
            object: Arc::clone(&new),
            before,
        };
        self.record(change);
        new
    }

    /// A moment that was noted for an object.
    pub(crate) fn timer(&self, object: &Value, purpose: &str) -> Option<Timestamp> {
        self.timers
            .get(&format!("{}:{purpose}", object::uid(object)))
            .copied()
    }

    /// Notes a moment for an object, unless one is noted; what is noted then.
    pub(crate) fn note(&mut self, object: &Value, purpose: &str, at: Timestamp) -> Timestamp {
        *self
            .timers
            .entry(format!("{}:{purpose}", object::uid(object)))
            .or_insert(at)
    }

    /// Forgets a moment.
    pub(crate) fn forget(&mut self, object: &Value, purpose: &str) {
        self.timers
            .remove(&format!("{}:{purpose}", object::uid(object)));
    }

    /// Takes an object out for good.
    pub(crate) fn erase(
        &mut self,
        resource: &str,
        namespace: &str,
        name: &str,
    ) -> Option<Arc<Value>> {
        let before = self.objects.remove(&key(resource, namespace, name))?.0;
        let prefix = format!("{}:", object::uid(&before));
        let stale: Vec<String> = self
            .timers
            .range(prefix.clone()..)
            .map(|(key, _)| key.clone())
            .take_while(|key| key.starts_with(&prefix))
            .collect();
        for key in stale {
            self.timers.remove(&key);
        }
        self.revision += 1;
        self.touch(resource);
        self.touched.insert("-".to_owned(), self.revision);
        let mut last = (*before).clone();
        set(
            &mut last,
            "/metadata/resourceVersion",
            json!(self.revision.to_string()),
        );
        let last = Arc::new(last);
        self.record(Change {
            revision: self.revision,
            kind: ChangeKind::Deleted,
            resource: resource.to_owned(),
            object: Arc::clone(&last),
            before: Some(before),
        });
        Some(last)
    }
}

/// Resource id of CustomResourceDefinitions.
pub(crate) const CRDS: &str = "customresourcedefinitions.apiextensions.k8s.io";

/// The wanted part of an object: everything that counts for its generation.
fn wanted(resource: &Resource, object: &Value) -> Value {
    let mut rest = object.clone();
    remove(&mut rest, "/metadata");
    if !resource.custom || resource.status {
        remove(&mut rest, "/status");
    }
    rest
}

fn suffix(number: u64) -> String {
    const LETTERS: &[u8] = b"bcdfghjklmnpqrstvwxz2456789";
    // An odd factor spreads neighbours over the whole range and maps no two of them to one.
    let mut rest = number.wrapping_mul(7_919_321) % 27u64.pow(5);
    let mut text = String::with_capacity(5);
    for _ in 0..5 {
        text.push(char::from(
            LETTERS[usize::try_from(rest % 27).unwrap_or_default()],
        ));
        rest /= 27;
    }
    text
}
