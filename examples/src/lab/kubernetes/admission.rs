//! What the server adds or refuses by looking at other objects: addresses, default classes,
//! service accounts.

use std::collections::BTreeSet;
use std::net::IpAddr;

use serde_json::{Value, json};

use super::object::{annotation, default, list, name, namespace, number, set, text};
use super::refusal::{Answered, Cause, Refusal};
use super::resource::Resource;
use super::world::World;

/// Completes or refuses an object that is about to be stored.
pub(crate) fn admit(
    world: &World,
    resource: &Resource,
    old: Option<&Value>,
    object: &mut Value,
) -> Answered<()> {
    match resource.id().as_str() {
        "services" => {
            if let Some(old) = old {
                keep_addresses(old, object);
            }
            service(world, object)
        }
        "persistentvolumeclaims" if old.is_none() => {
            if object.pointer("/spec/storageClassName").is_none()
                && let Some(class) = default_class(world)
            {
                set(object, "/spec/storageClassName", json!(class));
            }
            Ok(())
        }
        "pods" if old.is_none() => pod(world, object),
        _ => Ok(()),
    }
}

fn default_class(world: &World) -> Option<String> {
    const MARK: &str = "storageclass.kubernetes.io/is-default-class";
    // The newest default class wins when several are marked.
    world
        .list("storageclasses.storage.k8s.io")
        .filter(|class| annotation(class, MARK) == Some("true"))
        .max_by_key(|class| text(class, "/metadata/creationTimestamp").to_owned())
        .map(|class| name(class).to_owned())
}

/// An update that leaves addresses open keeps those that the service has.
fn keep_addresses(old: &Value, object: &mut Value) {
    if text(object, "/spec/type") == "ExternalName" {
        return;
    }
    for place in ["/spec/clusterIP", "/spec/clusterIPs"] {
        if let Some(value) = old.pointer(place) {
            default(object, place, value.clone());
        }
    }
    for port in object["spec"]["ports"].as_array_mut().into_iter().flatten() {
        let before = list(old, "/spec/ports")
            .iter()
            .find(|one| one["port"] == port["port"] && one["protocol"] == port["protocol"]);
        if let Some(number) = before.and_then(|one| one.get("nodePort")) {
            default(port, "/nodePort", number.clone());
        }
    }
}

fn service(world: &World, object: &mut Value) -> Answered<()> {
    if text(object, "/spec/type") == "ExternalName" {
        return Ok(());
    }
    let id = (namespace(object).to_owned(), name(object).to_owned());
    let others = || {
        world
            .list("services")
            .filter(|one| (namespace(one), name(one)) != (id.0.as_str(), id.1.as_str()))
    };
    let wanted = text(object, "/spec/clusterIP").to_owned();
    if wanted != "None" {
        let used: BTreeSet<&str> = others().map(|one| text(one, "/spec/clusterIP")).collect();
        let range = world.settings.service_cidr;
        let address = if wanted.is_empty() {
            // The first address is the API's own; the low band is left to chosen addresses.
            let free = range.hosts().skip(255).map(|one| one.to_string());
            free.into_iter()
                .find(|one| !used.contains(one.as_str()))
                .unwrap_or_default()
        } else {
            let why = match wanted.parse::<IpAddr>() {
                Ok(address) if !range.contains(&address) => format!(
                    "failed to allocate IP {wanted}: the provided IP ({wanted}) is not in the valid \
                     range. The range of valid IPs is {range}"
                ),
                Ok(_) if used.contains(wanted.as_str()) => {
                    format!("failed to allocate IP {wanted}: provided IP is already allocated")
                }
                Ok(_) => String::new(),
                Err(_) => {
                    "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)".to_owned()
                }
            };
            if !why.is_empty() {
                let cause = Cause::invalid("spec.clusterIPs", &json!([wanted]), &why);
                return Err(Refusal::invalid("", "Service", &id.1, vec![cause]));
            }
            wanted
        };
        set(object, "/spec/clusterIP", json!(address));
    }
    let address = text(object, "/spec/clusterIP").to_owned();
    default(object, "/spec/clusterIPs", json!([address]));
    if matches!(text(object, "/spec/type"), "NodePort" | "LoadBalancer") {
        let mut used: BTreeSet<i64> = others()
            .flat_map(|one| {
                list(one, "/spec/ports")
                    .iter()
                    .filter_map(|one| number(one, "/nodePort"))
            })
            .collect();
        for port in object["spec"]["ports"].as_array_mut().into_iter().flatten() {
            let free = (30_000..=32_767)
                .find(|one| !used.contains(one))
                .unwrap_or_default();
            default(port, "/nodePort", json!(free));
            used.insert(number(port, "/nodePort").unwrap_or_default());
        }
    }
    Ok(())
}

/// What admission adds to a new pod, and the account that it must find.
pub(crate) fn pod(world: &World, object: &mut Value) -> Answered<()> {
    default(object, "/spec/serviceAccountName", json!("default"));
    default(object, "/spec/enableServiceLinks", json!(true));
    let account = text(object, "/spec/serviceAccountName").to_owned();
    default(object, "/spec/serviceAccount", json!(account));
    let home = namespace(object).to_owned();
    if world.get("serviceaccounts", &home, &account).is_none() {
        let why = format!(
            "error looking up service account {home}/{account}: serviceaccount {account:?} not found"
        );
        return Err(Refusal::forbidden("pods", name(object), &why));
    }
    super::pod_security::check(world, object)?;
    default(object, "/spec/tolerations", json!([]));
    for key in [
        "node.kubernetes.io/not-ready",
        "node.kubernetes.io/unreachable",
    ] {
        let tolerated = list(object, "/spec/tolerations").iter().any(|one| {
            let all = text(one, "/key").is_empty() && text(one, "/operator") == "Exists";
            (text(one, "/key") == key || all) && matches!(text(one, "/effect"), "" | "NoExecute")
        });
        if !tolerated && let Some(items) = object["spec"]["tolerations"].as_array_mut() {
            items.push(
                json!({"key": key, "operator": "Exists", "effect": "NoExecute",
                "tolerationSeconds": 300}),
            );
        }
    }
    Ok(())
}
