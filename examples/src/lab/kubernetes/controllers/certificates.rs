//! cert-manager as far as others wait for it: issuers become Ready, certificates get their Secret.

use serde_json::{Value, json};

use super::super::object::{Condition, deleting, label, namespace, set_condition, text};
use super::super::world::World;
use super::{Turn, pods};

const ISSUERS: [&str; 2] = ["clusterissuers.cert-manager.io", "issuers.cert-manager.io"];
const CERTIFICATES: &str = "certificates.cert-manager.io";

pub(super) fn run(turn: &mut Turn<'_>) {
    if !controller_ready(turn.world) {
        return;
    }
    for issuers in ISSUERS {
        for issuer in turn.all(issuers) {
            ready(
                turn,
                issuers,
                &issuer,
                "ACMEAccountRegistered",
                "The ACME account was registered",
            );
        }
    }
    for certificate in turn.all(CERTIFICATES) {
        if deleting(&certificate) || !issuer_ready(turn.world, &certificate) {
            continue;
        }
        let (home, secret) = (
            namespace(&certificate),
            text(&certificate, "/spec/secretName"),
        );
        if turn.world.get("secrets", home, secret).is_none() {
            // Nobody terminates TLS with it: the lab's gateway has no data path.
            let object = json!({
                "apiVersion": "v1", "kind": "Secret", "type": "kubernetes.io/tls",
                "metadata": { "name": secret, "namespace": home },
                "data": { "tls.crt": "", "tls.key": "" },
            });
            turn.create("secrets", object);
        }
        ready(
            turn,
            CERTIFICATES,
            &certificate,
            "Ready",
            "Certificate is up to date and has not expired",
        );
    }
}

fn controller_ready(world: &World) -> bool {
    world.list_in("pods", "cert-manager").any(|pod| {
        label(pod, "app.kubernetes.io/name") == Some("cert-manager") && pods::is_ready(pod)
    })
}

fn issuer_ready(world: &World, certificate: &Value) -> bool {
    let name = text(certificate, "/spec/issuerRef/name");
    let issuer = match text(certificate, "/spec/issuerRef/kind") {
        "ClusterIssuer" => world.get(ISSUERS[0], "", name),
        _ => world.get(ISSUERS[1], namespace(certificate), name),
    };
    let conditions = issuer.and_then(|found| found["status"]["conditions"].as_array());
    conditions.is_some_and(|all| {
        all.iter()
            .any(|one| one["type"] == "Ready" && one["status"] == "True")
    })
}

fn ready(
    turn: &mut Turn<'_>,
    resource: &str,
    object: &Value,
    reason: &'static str,
    message: &'static str,
) {
    let now = turn.now;
    turn.update(resource, object, |one| {
        set_condition(
            one,
            now,
            &Condition {
                kind: "Ready",
                status: true,
                reason,
                message,
            },
        );
    });
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::lab::kubernetes::Settings;

    #[test]
    fn without_cert_manager_no_issuer_counts_as_ready() {
        let world = World::new(Settings::default());
        assert!(!controller_ready(&world));
        let certificate =
            json!({ "spec": { "issuerRef": { "kind": "ClusterIssuer", "name": "acme" } } });
        assert!(!issuer_ready(&world, &certificate));
    }
}
