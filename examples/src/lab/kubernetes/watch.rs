//! Watches: a cursor over the world's record of changes.

use std::time::SystemTime;

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use super::answer::Call;
use super::controllers;
use super::object::{remove, set};
use super::read::Selection;
use super::refusal::{Answered, Refusal};
use super::world::{Change, ChangeKind, World};

/// How long the server keeps a watch open that asks for no time of its own.
const DEFAULT_SECONDS: i64 = 1_800;

/// One open watch. It holds no lock: whoever serves it asks for the next events.
#[derive(Clone, Debug)]
pub struct Watch {
    resource: String,
    api_version: String,
    kind: String,
    selection: Selection,
    cursor: u64,
    until: Timestamp,
    metadata_only: bool,
    bookmarks: bool,
    /// Objects that the watch begins with.
    pending: Vec<Value>,
    ended: bool,
}

impl Watch {
    pub(crate) fn open(world: &World, call: &Call<'_>) -> Answered<Self> {
        let selection = Selection::of(call)?;
        let seconds = call
            .parameter("timeoutSeconds")
            .parse()
            .unwrap_or(DEFAULT_SECONDS);
        let until = call
            .now
            .checked_add(SignedDuration::from_secs(seconds))
            .unwrap_or(Timestamp::MAX);
        let mut watch = Self {
            resource: call.resource.id(),
            api_version: call.api_version(),
            kind: call.resource.kind.clone(),
            selection,
            cursor: world.revision(),
            until,
            metadata_only: call.request.accept.contains("as=PartialObjectMetadata"),
            bookmarks: call.switch("allowWatchBookmarks"),
            pending: Vec::new(),
            ended: false,
        };
        let version = call.parameter("resourceVersion");
        let initial = call.switch("sendInitialEvents");
        if initial || version.is_empty() || version == "0" {
            let all: Vec<Value> = world
                .list(&watch.resource)
                .filter(|one| watch.selection.selects(one))
                .map(|one| watch.event("ADDED", one))
                .collect();
            watch.pending = all;
            if initial {
                watch.pending.push(watch.bookmark(world.revision(), true));
            }
        } else {
            watch.cursor = version.parse().map_err(|_| {
                Refusal::bad_request(format!(
                    "Invalid value: {version:?}: strconv.ParseUint: invalid syntax"
                ))
            })?;
        }
        Ok(watch)
    }

    /// The events that happened since the last call, as watch event objects.
    pub fn events(&mut self, world: &World, now: SystemTime) -> Vec<Value> {
        if self.ended {
            return Vec::new();
        }
        let mut events = std::mem::take(&mut self.pending);
        let Some(changes) = world.changes_since(self.cursor) else {
            let refusal = Refusal::expired(format!(
                "too old resource version: {} ({})",
                self.cursor,
                world.revision()
            ));
            events.push(json!({"type": "ERROR", "object": refusal.to_json()}));
            self.ended = true;
            return events;
        };
        let seen: Vec<Value> = changes
            .filter(|one| one.resource == self.resource)
            .filter_map(|change| self.seen(change))
            .collect();
        events.extend(seen);
        self.cursor = self.cursor.max(world.revision());
        if controllers::instant(now) >= self.until {
            if self.bookmarks {
                events.push(self.bookmark(world.revision(), false));
            }
            self.ended = true;
        }
        events
    }

    /// True when no event will follow.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.ended && self.pending.is_empty()
    }

    /// How a change looks through the selection: leaving it is a deletion, entering it an addition.
    fn seen(&self, change: &Change) -> Option<Value> {
        let now = change.kind != ChangeKind::Deleted && self.selection.selects(&change.object);
        let before = change
            .before
            .as_ref()
            .is_some_and(|one| self.selection.selects(one));
        let kind = match (before, now) {
            (false, true) => "ADDED",
            (true, true) => "MODIFIED",
            (true, false) => "DELETED",
            (false, false) => return None,
        };
        Some(self.event(kind, &change.object))
    }

    fn event(&self, kind: &str, object: &Value) -> Value {
        let mut object = object.clone();
        if self.metadata_only {
            object = json!({"metadata": object["metadata"]});
            set(&mut object, "/kind", json!("PartialObjectMetadata"));
            set(&mut object, "/apiVersion", json!("meta.k8s.io/v1"));
        } else {
            remove(&mut object, "/apiVersion");
            set(&mut object, "/apiVersion", json!(self.api_version));
            set(&mut object, "/kind", json!(self.kind));
        }
        json!({"type": kind, "object": object})
    }

    fn bookmark(&self, revision: u64, initial: bool) -> Value {
        let mut metadata = json!({"resourceVersion": revision.to_string()});
        if initial {
            metadata["annotations"] = json!({"k8s.io/initial-events-end": "true"});
        }
        json!({"type": "BOOKMARK", "object": {"kind": self.kind, "apiVersion": self.api_version,
            "metadata": metadata}})
    }
}
