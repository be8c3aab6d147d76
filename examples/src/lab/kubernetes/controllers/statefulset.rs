//! Stateful sets: numbered pods with claims of their own, one after the other.

use serde_json::{Value, json};

use super::super::object::{deleting, list, name, namespace, set, text};
use super::deployment::wanted;
use super::{Turn, claims, pods};

const SETS: &str = "statefulsets.apps";
const HASH: &str = "controller-revision-hash";

pub(super) fn run(turn: &mut Turn<'_>) {
    for set in turn.all(SETS) {
        if !deleting(&set) {
            number_off(turn, &set);
        }
    }
}

fn number_off(turn: &mut Turn<'_>, set_object: &Value) {
    let hash = format!(
        "{}-{}",
        name(set_object),
        pods::template_hash(&set_object["spec"]["template"])
    );
    let total = usize::try_from(wanted(set_object)).unwrap_or_default();
    let parallel = text(set_object, "/spec/podManagementPolicy") == "Parallel";
    let mut failure = None;
    let mut waiting = false;
    for number in 0..total {
        let pod_name = format!("{}-{number}", name(set_object));
        match turn.world.get("pods", namespace(set_object), &pod_name) {
            Some(pod) => waiting |= !pods::is_ready(pod),
            None => {
                if let Err(refusal) = make(turn, set_object, number, &hash) {
                    failure = Some(refusal);
                }
                waiting = true;
            }
        }
        if waiting && !parallel {
            break;
        }
    }
    let own = pods::owned(turn, "pods", set_object);
    let ordinal = |pod: &Value| -> usize {
        name(pod)
            .rsplit('-')
            .next()
            .and_then(|one| one.parse().ok())
            .unwrap_or_default()
    };
    // Too many: the highest number first. Outdated: likewise, and only while all others are ready.
    let surplus = own
        .iter()
        .filter(|one| ordinal(one) >= total)
        .max_by_key(|one| ordinal(one));
    if let Some(last) = surplus {
        if !deleting(last) {
            turn.delete("pods", last);
        }
    } else if text(set_object, "/spec/updateStrategy/type") == "RollingUpdate" {
        let stale = own
            .iter()
            .filter(|one| one["metadata"]["labels"][HASH] != hash.as_str())
            .max_by_key(|one| ordinal(one));
        let others_ready = own.len() == total
            && own.iter().all(|one| {
                pods::is_ready(one) || stale.is_some_and(|stale| name(stale) == name(one))
            });
        if let Some(stale) = stale.filter(|one| others_ready && !deleting(one)) {
            turn.delete("pods", stale);
        }
    }
    if let Some(message) = failure {
        let text = format!(
            "create Pod {}-0 in StatefulSet {} failed error: {message}",
            name(set_object),
            name(set_object)
        );
        turn.event(set_object, "Warning", "FailedCreate", &text);
    }
    report(turn, set_object, &hash);
}

fn make(turn: &mut Turn<'_>, set_object: &Value, number: usize, hash: &str) -> Result<(), String> {
    let pod_name = format!("{}-{number}", name(set_object));
    let mut pod = pods::from_template(set_object, &set_object["spec"]["template"], &pod_name);
    set(&mut pod, &format!("/metadata/labels/{HASH}"), json!(hash));
    set(
        &mut pod,
        "/metadata/labels/statefulset.kubernetes.io~1pod-name",
        json!(pod_name),
    );
    set(
        &mut pod,
        "/metadata/labels/apps.kubernetes.io~1pod-index",
        json!(number.to_string()),
    );
    set(&mut pod, "/spec/hostname", json!(pod_name));
    let service = text(set_object, "/spec/serviceName");
    if !service.is_empty() {
        set(&mut pod, "/spec/subdomain", json!(service));
    }
    let mut volumes = list(&pod, "/spec/volumes").to_vec();
    for template in list(set_object, "/spec/volumeClaimTemplates") {
        let claim_name = format!("{}-{pod_name}", name(template));
        volumes.retain(|one| text(one, "/name") != name(template));
        volumes.push(
            json!({"name": name(template), "persistentVolumeClaim": {"claimName": claim_name}}),
        );
        if turn
            .world
            .get("persistentvolumeclaims", namespace(set_object), &claim_name)
            .is_none()
        {
            let claim = json!({
                "apiVersion": "v1", "kind": "PersistentVolumeClaim",
                "metadata": {"name": claim_name, "namespace": namespace(set_object),
                    "labels": set_object["spec"]["selector"]["matchLabels"]},
                "spec": template["spec"],
            });
            claims::create(turn, claim);
        }
    }
    if !volumes.is_empty() {
        set(&mut pod, "/spec/volumes", json!(volumes));
    }
    pods::create(turn, pod).map_err(|refusal| refusal.message)
}

fn report(turn: &mut Turn<'_>, set_object: &Value, hash: &str) {
    let own = pods::owned(turn, "pods", set_object);
    let ready = own.iter().filter(|one| pods::is_ready(one)).count();
    let updated = own
        .iter()
        .filter(|one| one["metadata"]["labels"][HASH] == hash)
        .count();
    let all = own.len();
    turn.update(SETS, set_object, |one| {
        let generation = one["metadata"]["generation"].clone();
        set(one, "/status/observedGeneration", generation);
        set(one, "/status/replicas", json!(all));
        set(one, "/status/readyReplicas", json!(ready));
        set(one, "/status/availableReplicas", json!(ready));
        set(one, "/status/currentReplicas", json!(updated));
        set(one, "/status/updatedReplicas", json!(updated));
        set(one, "/status/updateRevision", json!(hash));
        if updated == all {
            set(one, "/status/currentRevision", json!(hash));
        }
        set(one, "/status/collisionCount", json!(0));
    });
}
