//! Garbage collection: dependents of owners that are gone, foreground deletion, orphaning.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::super::delete::{FOREGROUND, ORPHAN, finalised};
use super::super::object::{deleting, list, name, namespace, set, text, uid};
use super::Turn;

pub(super) fn run(turn: &mut Turn<'_>) {
    foreground(turn);
    let alive: BTreeSet<String> = turn
        .world
        .objects()
        .map(|(_, one)| uid(one).to_owned())
        .collect();
    let lost: Vec<(String, Value)> = turn
        .world
        .objects()
        .filter(|(_, one)| {
            let owners = list(one, "/metadata/ownerReferences");
            !deleting(one)
                && !owners.is_empty()
                && !owners
                    .iter()
                    .any(|owner| alive.contains(text(owner, "/uid")))
        })
        .map(|(resource, one)| (resource.to_owned(), one.clone()))
        .collect();
    for (resource, one) in lost {
        turn.delete(&resource, &one);
    }
}

/// Objects that wait for their dependents, or that must let go of them.
fn foreground(turn: &mut Turn<'_>) {
    let waiting: Vec<(String, Value)> = turn
        .world
        .objects()
        .filter(|(_, one)| deleting(one) && !list(one, "/metadata/finalizers").is_empty())
        .map(|(resource, one)| (resource.to_owned(), one.clone()))
        .collect();
    for (resource, owner) in waiting {
        let dependents: Vec<(String, Value)> = turn
            .world
            .objects()
            .filter(|(_, one)| {
                list(one, "/metadata/ownerReferences")
                    .iter()
                    .any(|reference| text(reference, "/uid") == uid(&owner))
            })
            .map(|(resource, one)| (resource.to_owned(), one.clone()))
            .collect();
        let finalizers = list(&owner, "/metadata/finalizers");
        if finalizers.iter().any(|one| one == ORPHAN) {
            for (resource, one) in &dependents {
                turn.update(resource, one, |one| {
                    let kept: Vec<Value> = list(one, "/metadata/ownerReferences")
                        .iter()
                        .filter(|reference| text(reference, "/uid") != uid(&owner))
                        .cloned()
                        .collect();
                    set(one, "/metadata/ownerReferences", json!(kept));
                });
            }
            release(turn, &resource, &owner, ORPHAN);
        } else if finalizers.iter().any(|one| one == FOREGROUND) {
            for (resource, one) in dependents.iter().filter(|(_, one)| !deleting(one)) {
                turn.delete(resource, one);
            }
            let blocked = dependents.iter().any(|(resource, one)| {
                let blocks = list(one, "/metadata/ownerReferences")
                    .iter()
                    .any(|reference| {
                        text(reference, "/uid") == uid(&owner)
                            && reference["blockOwnerDeletion"] == true
                    });
                blocks
                    && turn
                        .world
                        .get(resource, namespace(one), name(one))
                        .is_some()
            });
            if !blocked {
                release(turn, &resource, &owner, FOREGROUND);
            }
        }
    }
}

fn release(turn: &mut Turn<'_>, resource: &str, object: &Value, finalizer: &str) {
    turn.update(resource, object, |one| {
        let kept: Vec<Value> = list(one, "/metadata/finalizers")
            .iter()
            .filter(|one| *one != finalizer)
            .cloned()
            .collect();
        set(one, "/metadata/finalizers", json!(kept));
    });
    let current = turn
        .world
        .get(resource, namespace(object), name(object))
        .cloned();
    if let (Some(kind), Some(current)) = (turn.kind(resource), current) {
        finalised(turn.world, &kind, &current);
    }
}
