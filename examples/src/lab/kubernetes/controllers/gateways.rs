//! Gateway API as the Cilium operator serves it: classes, gateways with their services, routes.

use serde_json::{Value, json};

use super::super::object::{
    Condition, deleting, list, name, namespace, number, set, set_condition, text,
};
use super::super::world::World;
use super::{Turn, pods};

const CLASSES: &str = "gatewayclasses.gateway.networking.k8s.io";
const GATEWAYS: &str = "gateways.gateway.networking.k8s.io";
const ROUTES: &str = "httproutes.gateway.networking.k8s.io";
const CONTROLLER: &str = "io.cilium/gateway-controller";

pub(super) fn run(turn: &mut Turn<'_>) {
    if !super::network::operator_ready(turn.world) {
        return;
    }
    let now = turn.now;
    for class in turn.all(CLASSES) {
        if text(&class, "/spec/controllerName") == CONTROLLER {
            turn.update(CLASSES, &class, |one| {
                set_condition(
                    one,
                    now,
                    &Condition {
                        kind: "Accepted",
                        status: true,
                        reason: "Accepted",
                        message: "Valid GatewayClass",
                    },
                );
                observed(one);
            });
        }
    }
    for gateway in turn.all(GATEWAYS) {
        if !deleting(&gateway) && is_ours(turn.world, &gateway) {
            serve(turn, &gateway);
        }
    }
    for route in turn.all(ROUTES) {
        if !deleting(&route) {
            attach(turn, &route);
        }
    }
}

fn is_ours(world: &World, gateway: &Value) -> bool {
    world
        .get(CLASSES, "", text(gateway, "/spec/gatewayClassName"))
        .is_some_and(|class| text(class, "/spec/controllerName") == CONTROLLER)
}

fn observed(object: &mut Value) {
    let generation = object["metadata"]["generation"].clone();
    for condition in object["status"]["conditions"]
        .as_array_mut()
        .into_iter()
        .flatten()
    {
        condition["observedGeneration"] = generation.clone();
    }
}

fn serve(turn: &mut Turn<'_>, gateway: &Value) {
    let service_name = format!("cilium-gateway-{}", name(gateway));
    let mut ports: Vec<i64> = list(gateway, "/spec/listeners")
        .iter()
        .filter_map(|one| number(one, "/port"))
        .collect();
    ports.sort_unstable();
    ports.dedup();
    let ports: Vec<Value> = ports
        .iter()
        .map(|port| json!({"name": format!("port-{port}"), "port": port, "protocol": "TCP"}))
        .collect();
    match turn
        .world
        .get("services", namespace(gateway), &service_name)
        .cloned()
    {
        None => {
            let mut service = json!({
                "apiVersion": "v1", "kind": "Service",
                "metadata": {
                    "name": service_name, "namespace": namespace(gateway),
                    "labels": {"io.cilium.gateway/owning-gateway": name(gateway),
                        "gateway.networking.k8s.io/gateway-name": name(gateway)},
                    "ownerReferences": [pods::owner_reference(gateway)],
                },
                "spec": {"type": "LoadBalancer", "ports": ports},
            });
            for part in ["labels", "annotations"] {
                for (key, value) in
                    super::super::object::entries(gateway, &format!("/spec/infrastructure/{part}"))
                {
                    let place = format!("/metadata/{part}/{}", key.replace('/', "~1"));
                    set(&mut service, &place, value.clone());
                }
            }
            if let Some(kind) = turn.kind("services") {
                super::super::defaults::fill(&kind, &mut service);
                if super::super::admission::admit(turn.world, &kind, None, &mut service).is_ok() {
                    turn.world.insert(&kind, turn.now, service);
                }
            }
        }
        Some(service) => turn.update("services", &service, |one| {
            let same = list(one, "/spec/ports").len() == ports.len()
                && list(one, "/spec/ports")
                    .iter()
                    .zip(&ports)
                    .all(|(one, port)| one["port"] == port["port"]);
            if !same {
                set(one, "/spec/ports", json!(ports));
            }
        }),
    }
    let address = turn
        .world
        .get("services", namespace(gateway), &service_name)
        .map(|one| text(one, "/status/loadBalancer/ingress/0/ip").to_owned())
        .unwrap_or_default();
    let listeners: Vec<Value> = list(gateway, "/spec/listeners")
        .iter()
        .map(|one| listener(turn, gateway, one))
        .collect();
    let now = turn.now;
    turn.update(GATEWAYS, gateway, |one| {
        set_condition(
            one,
            now,
            &Condition {
                kind: "Accepted",
                status: true,
                reason: "Accepted",
                message: "Gateway successfully scheduled",
            },
        );
        let programmed = !address.is_empty();
        set_condition(
            one,
            now,
            &Condition {
                kind: "Programmed",
                status: programmed,
                reason: if programmed {
                    "Programmed"
                } else {
                    "AddressNotAssigned"
                },
                message: if programmed {
                    "Gateway successfully reconciled"
                } else {
                    "Address is not ready"
                },
            },
        );
        if programmed {
            set(
                one,
                "/status/addresses",
                json!([{"type": "IPAddress", "value": address}]),
            );
        }
        set(one, "/status/listeners", json!(listeners));
        observed(one);
    });
}

fn listener(turn: &Turn<'_>, gateway: &Value, listener: &Value) -> Value {
    let missing = list(listener, "/tls/certificateRefs")
        .iter()
        .find_map(|one| {
            let home = match text(one, "/namespace") {
                "" => namespace(gateway),
                home => home,
            };
            let found = turn.world.get("secrets", home, text(one, "/name"));
            found
                .is_none()
                .then(|| format!("{home}/{}", text(one, "/name")))
        });
    let attached = turn
        .world
        .list(ROUTES)
        .filter(|route| {
            list(route, "/spec/parentRefs").iter().any(|parent| {
                text(parent, "/name") == name(gateway)
                    && parent
                        .get("sectionName")
                        .is_none_or(|one| *one == listener["name"])
            })
        })
        .count();
    let before = list(gateway, "/status/listeners")
        .iter()
        .find(|one| one["name"] == listener["name"]);
    let mut status = json!({"status": {"conditions": before.map(|one| one["conditions"].clone()).unwrap_or_else(|| json!([]))}});
    let resolved = missing.is_none();
    let message = missing.map_or_else(
        || "Resolved Refs".to_owned(),
        |secret| format!("CertificateRef {secret} does not exist"),
    );
    for (kind, good, bad) in [
        ("Accepted", "Accepted", "Accepted"),
        ("Programmed", "Programmed", "Invalid"),
        ("ResolvedRefs", "ResolvedRefs", "InvalidCertificateRef"),
    ] {
        let fine = resolved || kind == "Accepted";
        set_condition(
            &mut status,
            turn.now,
            &Condition {
                kind,
                status: fine,
                reason: if fine { good } else { bad },
                message: if kind == "ResolvedRefs" { &message } else { "" },
            },
        );
    }
    json!({
        "name": listener["name"],
        "supportedKinds": [{"group": "gateway.networking.k8s.io", "kind": "HTTPRoute"}],
        "attachedRoutes": attached,
        "conditions": status["status"]["conditions"],
    })
}

fn attach(turn: &mut Turn<'_>, route: &Value) {
    let mut parents = Vec::new();
    for parent in list(route, "/spec/parentRefs") {
        let home = match text(parent, "/namespace") {
            "" => namespace(route),
            home => home,
        };
        let Some(gateway) = turn.world.get(GATEWAYS, home, text(parent, "/name")) else {
            continue;
        };
        if !is_ours(turn.world, gateway) {
            continue;
        }
        let missing = list(route, "/spec/rules")
            .iter()
            .flat_map(|rule| list(rule, "/backendRefs"))
            .find(|backend| {
                let home = match text(backend, "/namespace") {
                    "" => namespace(route),
                    home => home,
                };
                turn.world
                    .get("services", home, text(backend, "/name"))
                    .is_none()
            })
            .map(|backend| format!("services {:?} not found", text(backend, "/name")));
        let before = list(route, "/status/parents")
            .iter()
            .find(|one| one["parentRef"] == *parent);
        let mut status = json!({"status": {"conditions": before.map(|one| one["conditions"].clone()).unwrap_or_else(|| json!([]))}});
        set_condition(
            &mut status,
            turn.now,
            &Condition {
                kind: "Accepted",
                status: true,
                reason: "Accepted",
                message: "Accepted HTTPRoute",
            },
        );
        set_condition(
            &mut status,
            turn.now,
            &Condition {
                kind: "ResolvedRefs",
                status: missing.is_none(),
                reason: if missing.is_none() {
                    "ResolvedRefs"
                } else {
                    "BackendNotFound"
                },
                message: missing.as_deref().unwrap_or("Service reference is valid"),
            },
        );
        parents.push(json!({"parentRef": parent, "controllerName": CONTROLLER,
            "conditions": status["status"]["conditions"]}));
    }
    if !parents.is_empty() {
        turn.update(ROUTES, route, |one| {
            set(one, "/status/parents", json!(parents))
        });
    }
}
