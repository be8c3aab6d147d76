//! Pods as controllers see and make them.

use std::sync::Arc;

use serde_json::{Value, json};

use super::super::admission;
use super::super::object::{deleting, is_true, name, namespace, set, text, uid};
use super::super::refusal::Answered;
use super::Turn;

pub(super) fn is_ready(pod: &Value) -> bool {
    is_true(pod, "Ready") && !deleting(pod)
}

pub(super) fn finished(pod: &Value) -> bool {
    matches!(text(pod, "/status/phase"), "Succeeded" | "Failed")
}

/// The pods bound to a node.
pub(super) fn on_node(turn: &Turn<'_>, node: &str) -> Vec<Arc<Value>> {
    let mut pods = turn.all("pods");
    pods.retain(|pod| text(pod, "/spec/nodeName") == node);
    pods
}

/// The objects that this owner controls.
pub(super) fn owned(turn: &Turn<'_>, resource: &str, owner: &Value) -> Vec<Arc<Value>> {
    let mut all = turn.all_in(resource, namespace(owner));
    all.retain(|one| controlled_by(one, owner));
    all
}

fn controlled_by(object: &Value, owner: &Value) -> bool {
    super::super::object::list(object, "/metadata/ownerReferences")
        .iter()
        .any(|one| text(one, "/uid") == uid(owner) && one["controller"] == true)
}

/// The reference to a controlling owner.
pub(super) fn owner_reference(owner: &Value) -> Value {
    json!({
        "apiVersion": owner["apiVersion"],
        "kind": owner["kind"],
        "name": name(owner),
        "uid": uid(owner),
        "controller": true,
        "blockOwnerDeletion": true,
    })
}

/// A pod from the template of a workload, owned by it.
pub(super) fn from_template(owner: &Value, template: &Value, pod_name: &str) -> Value {
    let mut pod = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": pod_name}});
    for part in ["labels", "annotations"] {
        if let Some(given) = template["metadata"].get(part) {
            pod["metadata"][part] = given.clone();
        }
    }
    set(&mut pod, "/metadata/namespace", json!(namespace(owner)));
    set(
        &mut pod,
        "/metadata/ownerReferences",
        json!([owner_reference(owner)]),
    );
    pod["spec"] = template["spec"].clone();
    pod
}

/// Creates a pod through admission.
///
/// # Errors
///
/// What the server refuses it with.
pub(super) fn create(turn: &mut Turn<'_>, mut pod: Value) -> Answered<()> {
    let Some(kind) = turn.kind("pods") else {
        return Ok(());
    };
    super::super::defaults::fill(&kind, &mut pod);
    admission::admit(turn.world, &kind, None, &mut pod)?;
    turn.world.insert(&kind, turn.now, pod);
    Ok(())
}

/// A hash of a template as names and labels of its pods carry it: ten letters of the alphabet that
/// Kubernetes uses.
pub(super) fn template_hash(template: &Value) -> String {
    const LETTERS: &[u8] = b"bcdfghjklmnpqrstvwxz2456789";
    // FNV-1a: stable over versions of this program and of the standard library.
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    for byte in template.to_string().bytes() {
        hash = (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
    }
    let mut text = String::with_capacity(10);
    for _ in 0..10 {
        text.push(char::from(
            LETTERS[usize::try_from(hash % 27).unwrap_or_default()],
        ));
        hash /= 27;
    }
    text
}
