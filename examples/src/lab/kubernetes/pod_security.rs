//! Pod Security admission: the `baseline` level, as namespaces enforce it.

use serde_json::Value;

use super::object::{flag, label, list, name, namespace, number, text};
use super::refusal::{Answered, Refusal};
use super::world::World;

const ENFORCE: &str = "pod-security.kubernetes.io/enforce";

/// Refuses a pod that its namespace's level does not allow.
///
/// `restricted` is checked like `baseline`: its further rules are not simulated.
///
/// # Errors
///
/// 403 that names every violation.
pub(crate) fn check(world: &World, pod: &Value) -> Answered<()> {
    let home = namespace(pod);
    if world
        .settings
        .pod_security_exempt
        .iter()
        .any(|one| one == home)
    {
        return Ok(());
    }
    let level = world
        .get("namespaces", "", home)
        .and_then(|one| label(one, ENFORCE))
        .unwrap_or(&world.settings.pod_security)
        .to_owned();
    if level.is_empty() || level == "privileged" {
        return Ok(());
    }
    let violations = violations(pod);
    if violations.is_empty() {
        return Ok(());
    }
    let why = format!(
        "violates PodSecurity \"{level}:latest\": {}",
        violations.join(", ")
    );
    Err(Refusal::forbidden("pods", name(pod), &why))
}

fn violations(pod: &Value) -> Vec<String> {
    let mut found = Vec::new();
    let host: Vec<String> = ["hostNetwork", "hostPID", "hostIPC"]
        .into_iter()
        .filter(|field| flag(pod, &format!("/spec/{field}")))
        .map(|field| format!("{field}=true"))
        .collect();
    if !host.is_empty() {
        found.push(format!("host namespaces ({})", host.join(", ")));
    }
    let paths: Vec<String> = list(pod, "/spec/volumes")
        .iter()
        .filter(|one| one.get("hostPath").is_some_and(Value::is_object))
        .map(|one| format!("{:?}", text(one, "/name")))
        .collect();
    if !paths.is_empty() {
        let word = if paths.len() == 1 {
            "volume"
        } else {
            "volumes"
        };
        found.push(format!("hostPath volumes ({word} {})", paths.join(", ")));
    }
    let containers = || {
        list(pod, "/spec/initContainers")
            .iter()
            .chain(list(pod, "/spec/containers"))
    };
    let privileged: Vec<&str> = containers()
        .filter(|one| flag(one, "/securityContext/privileged"))
        .map(|one| text(one, "/name"))
        .collect();
    for one in privileged {
        found.push(format!(
            "privileged (container {one:?} must not set securityContext.privileged=true)"
        ));
    }
    const ALLOWED: [&str; 13] = [
        "AUDIT_WRITE",
        "CHOWN",
        "DAC_OVERRIDE",
        "FOWNER",
        "FSETID",
        "KILL",
        "MKNOD",
        "NET_BIND_SERVICE",
        "SETFCAP",
        "SETGID",
        "SETPCAP",
        "SETUID",
        "SYS_CHROOT",
    ];
    for container in containers() {
        let extra: Vec<String> = list(container, "/securityContext/capabilities/add")
            .iter()
            .filter_map(Value::as_str)
            .filter(|one| !ALLOWED.contains(one))
            .map(|one| format!("{one:?}"))
            .collect();
        if !extra.is_empty() {
            found.push(format!(
                "non-default capabilities (container {:?} must not include {} in \
                 securityContext.capabilities.add)",
                text(container, "/name"),
                extra.join(", ")
            ));
        }
        let ports: Vec<String> = list(container, "/ports")
            .iter()
            .filter_map(|one| number(one, "/hostPort"))
            .filter(|one| *one != 0)
            .map(|one| one.to_string())
            .collect();
        if !ports.is_empty() && host.is_empty() {
            found.push(format!(
                "hostPort (container {:?} uses hostPort {})",
                text(container, "/name"),
                ports.join(", ")
            ));
        }
    }
    found
}
