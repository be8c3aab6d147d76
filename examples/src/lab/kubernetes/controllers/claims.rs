//! Volume claims: binding, provisioning by class, and what they mean for scheduling.

use serde_json::{Value, json};

use super::super::object::{
    annotation, deleting, flag, label, list, name, namespace, set, text, texts, uid,
};
use super::super::quantity;
use super::super::selector::expressions_hold;
use super::super::world::World;
use super::{Turn, pods};

const CLAIMS: &str = "persistentvolumeclaims";
const VOLUMES: &str = "persistentvolumes";
const CLASSES: &str = "storageclasses.storage.k8s.io";
const SELECTED: &str = "volume.kubernetes.io/selected-node";

/// Names of the claims that a pod mounts.
pub(super) fn claims_of(pod: &Value) -> Vec<String> {
    list(pod, "/spec/volumes")
        .iter()
        .filter_map(|volume| {
            let given = text(volume, "/persistentVolumeClaim/claimName");
            if !given.is_empty() {
                return Some(given.to_owned());
            }
            volume
                .get("ephemeral")
                .map(|_| format!("{}-{}", name(pod), text(volume, "/name")))
        })
        .collect()
}

fn is_bound(claim: &Value) -> bool {
    text(claim, "/status/phase") == "Bound"
}

fn waits_for_consumer(world: &World, claim: &Value) -> bool {
    world
        .get(CLASSES, "", text(claim, "/spec/storageClassName"))
        .is_some_and(|class| text(class, "/volumeBindingMode") == "WaitForFirstConsumer")
}

/// Why no node can take a pod because of its claims.
pub(super) fn unbound(world: &World, pod: &Value) -> Option<String> {
    for claim_name in claims_of(pod) {
        let Some(claim) = world.get(CLAIMS, namespace(pod), &claim_name) else {
            return Some(format!("persistentvolumeclaim {claim_name:?} not found"));
        };
        if deleting(claim) {
            return Some(format!(
                "persistentvolumeclaim {claim_name:?} is being deleted"
            ));
        }
        if !is_bound(claim) && !waits_for_consumer(world, claim) {
            return Some("pod has unbound immediate PersistentVolumeClaims".to_owned());
        }
    }
    None
}

/// True when every bound volume of the pod can be used on that node.
pub(super) fn reachable(world: &World, pod: &Value, node: &Value) -> bool {
    let labels = texts(node, "/metadata/labels");
    claims_of(pod).iter().all(|claim_name| {
        let Some(claim) = world.get(CLAIMS, namespace(pod), claim_name) else {
            return false;
        };
        let Some(volume) = world.get(VOLUMES, "", text(claim, "/spec/volumeName")) else {
            return true;
        };
        let terms = list(volume, "/spec/nodeAffinity/required/nodeSelectorTerms");
        terms.is_empty()
            || terms
                .iter()
                .any(|term| expressions_hold(list(term, "/matchExpressions"), &labels))
    })
}

/// Tells the claims of a pod where it will run; true once all of them are bound.
pub(super) fn select_node(turn: &mut Turn<'_>, pod: &Value, node: &str) -> bool {
    let mut ready = true;
    for claim_name in claims_of(pod) {
        let Some(claim) = turn.world.get(CLAIMS, namespace(pod), &claim_name).cloned() else {
            return false;
        };
        if !is_bound(&claim) {
            ready = false;
            if annotation(&claim, SELECTED).is_none() {
                turn.update(CLAIMS, &claim, |one| {
                    let place = format!("/metadata/annotations/{}", SELECTED.replace('/', "~1"));
                    set(one, &place, json!(node));
                });
            }
        }
    }
    ready
}

pub(super) fn run(turn: &mut Turn<'_>) {
    ephemeral(turn);
    for claim in turn.all(CLAIMS) {
        if deleting(&claim) {
            continue;
        }
        if is_bound(&claim) {
            grow(turn, &claim);
        } else {
            serve(turn, &claim);
        }
    }
    reclaim(turn);
}

/// Claims of generic ephemeral volumes belong to their pod.
fn ephemeral(turn: &mut Turn<'_>) {
    for pod in turn.all("pods") {
        for volume in list(&pod, "/spec/volumes") {
            let Some(template) = volume.pointer("/ephemeral/volumeClaimTemplate") else {
                continue;
            };
            let claim_name = format!("{}-{}", name(&pod), text(volume, "/name"));
            if turn
                .world
                .get(CLAIMS, namespace(&pod), &claim_name)
                .is_none()
            {
                let claim = json!({
                    "apiVersion": "v1", "kind": "PersistentVolumeClaim",
                    "metadata": {"name": claim_name, "namespace": namespace(&pod),
                        "ownerReferences": [pods::owner_reference(&pod)]},
                    "spec": template["spec"],
                });
                create(turn, claim);
            }
        }
    }
}

/// Creates a claim through admission, so that it gets the default class.
pub(super) fn create(turn: &mut Turn<'_>, mut claim: Value) {
    let Some(kind) = turn.kind(CLAIMS) else {
        return;
    };
    if super::super::admission::admit(turn.world, &kind, None, &mut claim).is_ok() {
        turn.create(CLAIMS, claim);
    }
}

fn serve(turn: &mut Turn<'_>, claim: &Value) {
    if bind_existing(turn, claim) {
        return;
    }
    let class_name = text(claim, "/spec/storageClassName");
    if class_name.is_empty() {
        let why = "no persistent volumes available for this claim and no storage class is set";
        turn.event(claim, "Normal", "FailedBinding", why);
        return;
    }
    let Some(class) = turn.world.get(CLASSES, "", class_name).cloned() else {
        let why = format!("storageclass.storage.k8s.io {class_name:?} not found");
        turn.event(claim, "Warning", "ProvisioningFailed", &why);
        return;
    };
    let node = annotation(claim, SELECTED).map(str::to_owned);
    if waits_for_consumer(turn.world, claim) && node.is_none() {
        let why = "waiting for first consumer to be created before binding";
        turn.event(claim, "Normal", "WaitForFirstConsumer", why);
        return;
    }
    let provisioner = text(&class, "/provisioner").to_owned();
    if !provisioner_ready(turn.world, &provisioner) {
        turn.world.forget(claim, "provision");
        let why = format!(
            "Waiting for a volume to be created either by the external provisioner '{provisioner}' \
             or manually by the system administrator. If volume creation is delayed, please verify \
             that the provisioner is running and correctly registered."
        );
        turn.event(claim, "Normal", "ExternalProvisioning", &why);
        return;
    }
    let since = turn.world.note(claim, "provision", turn.now);
    if !turn.after(since, turn.environment.timings.provision) {
        return;
    }
    let bytes = quantity::units(text(claim, "/spec/resources/requests/storage"));
    let storage = std::sync::Arc::clone(&turn.environment.storage);
    match storage.provision(turn.world, &class, claim, bytes, node.as_deref()) {
        Ok(()) => provision(turn, claim, &class),
        Err(why) => {
            let why = format!("failed to provision volume with StorageClass {class_name:?}: {why}");
            turn.event(claim, "Warning", "ProvisioningFailed", &why);
        }
    }
}

/// True when the pods that serve a provisioner are ready. Which pods these are is known for the
/// provisioners of the homelabs; for others the CSIDriver object must exist.
fn provisioner_ready(world: &World, provisioner: &str) -> bool {
    let known: &[(&str, &str)] = match provisioner {
        "driver.longhorn.io" => &[
            ("app", "csi-provisioner"),
            ("app", "longhorn-csi-plugin"),
            ("app", "longhorn-manager"),
        ],
        "csi.proxmox.sinextra.dev" => &[("app.kubernetes.io/name", "proxmox-csi-plugin")],
        "rancher.io/local-path" => &[("app", "local-path-provisioner")],
        "kubernetes.io/no-provisioner" => return false,
        _ => {
            return world
                .get("csidrivers.storage.k8s.io", "", provisioner)
                .is_some();
        }
    };
    // The first of these that is installed at all decides.
    for (key, value) in known {
        let mut found = world
            .list("pods")
            .filter(|pod| label(pod, key) == Some(value))
            .peekable();
        if found.peek().is_some() {
            return found.any(pods::is_ready);
        }
    }
    false
}

fn bind_existing(turn: &mut Turn<'_>, claim: &Value) -> bool {
    let wanted = quantity::units(text(claim, "/spec/resources/requests/storage"));
    let named = text(claim, "/spec/volumeName");
    let fits = |volume: &Value| {
        let reserved = text(volume, "/spec/claimRef/name");
        let for_us =
            reserved == name(claim) && text(volume, "/spec/claimRef/namespace") == namespace(claim);
        let free =
            reserved.is_empty() && matches!(text(volume, "/status/phase"), "Available" | "Pending");
        (for_us || free)
            && (named.is_empty() || named == name(volume))
            && text(volume, "/spec/storageClassName") == text(claim, "/spec/storageClassName")
            && quantity::units(text(volume, "/spec/capacity/storage")) >= wanted
            && list(claim, "/spec/accessModes")
                .iter()
                .all(|mode| list(volume, "/spec/accessModes").contains(mode))
    };
    let found = turn
        .world
        .list(VOLUMES)
        .filter(|volume| fits(volume))
        .min_by_key(|volume| quantity::units(text(volume, "/spec/capacity/storage")))
        .cloned();
    let Some(volume) = found else { return false };
    bind(turn, claim, &volume);
    true
}

fn provision(turn: &mut Turn<'_>, claim: &Value, class: &Value) {
    let volume_name = format!("pvc-{}", uid(claim));
    let capacity = claim["spec"]["resources"]["requests"]["storage"].clone();
    let mut volume = json!({
        "apiVersion": "v1", "kind": "PersistentVolume",
        "metadata": {"name": volume_name, "annotations": {
            "pv.kubernetes.io/provisioned-by": class["provisioner"]}},
        "spec": {
            "capacity": {"storage": capacity},
            "accessModes": claim["spec"]["accessModes"],
            "persistentVolumeReclaimPolicy": class["reclaimPolicy"],
            "storageClassName": name(class),
            "volumeMode": claim["spec"]["volumeMode"],
            "csi": {"driver": class["provisioner"], "volumeHandle": volume_name,
                "volumeAttributes": class.get("parameters").cloned().unwrap_or_else(|| json!({}))},
        },
    });
    if text(class, "/provisioner") == "rancher.io/local-path"
        && let Some(node) = annotation(claim, SELECTED)
    {
        volume["spec"]["nodeAffinity"] = json!({"required": {"nodeSelectorTerms": [{
            "matchExpressions": [{"key": "kubernetes.io/hostname", "operator": "In", "values": [node]}]}]}});
    }
    turn.create(VOLUMES, volume.clone());
    let message = format!("Successfully provisioned volume {volume_name}");
    turn.event(claim, "Normal", "ProvisioningSucceeded", &message);
    bind(turn, claim, &volume);
}

fn bind(turn: &mut Turn<'_>, claim: &Value, volume: &Value) {
    turn.update(VOLUMES, volume, |one| {
        set(
            one,
            "/spec/claimRef",
            json!({
                "apiVersion": "v1", "kind": "PersistentVolumeClaim",
                "namespace": namespace(claim), "name": name(claim), "uid": uid(claim),
            }),
        );
        set(one, "/status/phase", json!("Bound"));
    });
    turn.update(CLAIMS, claim, |one| {
        set(one, "/spec/volumeName", json!(name(volume)));
        set(
            one,
            "/metadata/annotations/pv.kubernetes.io~1bind-completed",
            json!("yes"),
        );
        set(one, "/status/phase", json!("Bound"));
        set(
            one,
            "/status/accessModes",
            volume["spec"]["accessModes"].clone(),
        );
        set(one, "/status/capacity", volume["spec"]["capacity"].clone());
    });
}

/// Expands a bound volume whose claim asks for more, if its class allows that.
fn grow(turn: &mut Turn<'_>, claim: &Value) {
    let wanted = text(claim, "/spec/resources/requests/storage").to_owned();
    let has = quantity::units(text(claim, "/status/capacity/storage"));
    let class = turn
        .world
        .get(CLASSES, "", text(claim, "/spec/storageClassName"));
    let allowed = class.is_some_and(|class| flag(class, "/allowVolumeExpansion"));
    if quantity::units(&wanted) <= has || !allowed {
        return;
    }
    let volume = turn
        .world
        .get(VOLUMES, "", text(claim, "/spec/volumeName"))
        .cloned();
    if let Some(volume) = volume {
        turn.update(VOLUMES, &volume, |one| {
            set(one, "/spec/capacity/storage", json!(wanted))
        });
    }
    turn.update(CLAIMS, claim, |one| {
        set(one, "/status/capacity/storage", json!(wanted))
    });
}

/// Volumes without a claim become available, or go the way of their policy.
fn reclaim(turn: &mut Turn<'_>) {
    for volume in turn.all(VOLUMES) {
        let owner = text(&volume, "/spec/claimRef/uid");
        if owner.is_empty() {
            turn.update(VOLUMES, &volume, |one| {
                if text(one, "/status/phase") == "Pending" {
                    set(one, "/status/phase", json!("Available"));
                }
            });
            continue;
        }
        let claim = turn.world.get(
            CLAIMS,
            text(&volume, "/spec/claimRef/namespace"),
            text(&volume, "/spec/claimRef/name"),
        );
        if claim.is_some_and(|claim| uid(claim) == owner) {
            continue;
        }
        if text(&volume, "/spec/persistentVolumeReclaimPolicy") == "Delete" {
            turn.delete(VOLUMES, &volume);
        } else {
            turn.update(VOLUMES, &volume, |one| {
                set(one, "/status/phase", json!("Released"))
            });
        }
    }
}
