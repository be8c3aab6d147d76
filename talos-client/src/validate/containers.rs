//! Containers that Talos runs itself.

use super::{Findings, list, text};
use crate::config::{Document, MachineConfig};
use crate::quote::quote;
use crate::value::Value;

const MOUNT_OPTIONS: [&str; 8] = [
    "ro", "rw", "noexec", "nosuid", "nodev", "noatime", "rbind", "rshared",
];
const NETWORK_CONDITIONS: [&str; 4] = ["addresses", "connectivity", "hostname", "etcfiles"];
const LONGEST_NAME: usize = 63;

fn texts<'d>(document: &'d Document, path: &str) -> impl Iterator<Item = &'d str> {
    list(document, path).iter().filter_map(Value::as_text)
}

pub(super) fn check(name: &str, document: &Document, findings: &mut Findings<'_>) {
    check_name(name, findings);
    match text(document, "image") {
        "" => findings.error("image is required"),
        image => match super::image::is_digest(image) {
            Err(why) => findings.error(format!("invalid image reference {}: {why}", quote(image))),
            Ok(true) => {}
            Ok(false) => findings.warning(format!(
                "container {}: image {} is not digest-pinned, the running image may change on restart",
                quote(name),
                quote(image)
            )),
        },
    }
    for (index, variable) in texts(document, "environment").enumerate() {
        if !variable.contains('=') {
            findings.error(format!(
                "environment[{index}]: {} must be in KEY=value form",
                quote(variable)
            ));
        }
    }
    mounts(document, findings);
    if document.at("security").is_some() {
        security(document, findings);
    }
    if document.at("network").is_some() {
        let mode = text(document, "network.mode");
        if !matches!(mode, "" | "none" | "host") {
            findings.error(format!(
                "unsupported network mode {}, expected none or host",
                quote(mode)
            ));
        }
    }
    limits(document, findings);
    depends(name, document, findings);
    for field in ["uid", "gid"] {
        let id = document
            .at(&format!("runAs.{field}"))
            .and_then(Value::as_int)
            .unwrap_or_default();
        if id < 0 {
            findings.error(format!("runAs.{field} must be non-negative, got {id}"));
        }
    }
}

fn check_name(name: &str, findings: &mut Findings<'_>) {
    let allowed = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    if name.is_empty() {
        findings.error("name is required");
    } else if name.len() > LONGEST_NAME {
        findings.error(format!(
            "name {} must be {LONGEST_NAME} characters or fewer",
            quote(name)
        ));
    } else if !name.bytes().all(allowed) {
        findings.error(format!(
            "name {}: name can only contain lowercase ASCII letters, digits and hyphens",
            quote(name)
        ));
    }
}

fn absolute(what: &str, path: &str) -> Option<String> {
    if path.is_empty() {
        Some(format!("{what} is required"))
    } else if path.starts_with('/') {
        None
    } else {
        Some(format!("{what} {} must be an absolute path", quote(path)))
    }
}

fn mounts(document: &Document, findings: &mut Findings<'_>) {
    let mut destinations: Vec<&str> = Vec::new();
    for (index, mount) in list(document, "mounts").iter().enumerate() {
        let kinds: Vec<&str> = ["userVolume", "tmpfs", "hostPath"]
            .into_iter()
            .filter(|kind| mount.at(kind).is_some())
            .collect();
        let [kind] = kinds.as_slice() else {
            findings.error(format!(
                "mounts[{index}]: exactly one of userVolume, tmpfs or hostPath must be set"
            ));
            continue;
        };
        let field = |name: &str| {
            let value = mount.at(&format!("{kind}.{name}"));
            value.and_then(Value::as_text).unwrap_or_default()
        };
        let mut problems = Vec::new();
        if *kind == "userVolume" && field("name").is_empty() {
            problems.push("userVolume.name is required".to_owned());
        }
        if *kind == "hostPath" {
            problems.extend(absolute("hostPath.source", field("source")));
        }
        let destination = field("destination");
        problems.extend(absolute(&format!("{kind}.destination"), destination));
        let options = mount.at(&format!("{kind}.options")).map(Value::as_list);
        let options: Vec<&str> = options
            .unwrap_or_default()
            .iter()
            .filter_map(Value::as_text)
            .collect();
        problems.extend(
            options
                .iter()
                .filter(|option| !MOUNT_OPTIONS.contains(option))
                .map(|option| format!("unsupported mount option {}", quote(option))),
        );
        if options.contains(&"ro") && options.contains(&"rw") {
            problems.push("mount options ro and rw are mutually exclusive".to_owned());
        }
        if problems.is_empty() {
            if destinations.contains(&destination) {
                findings.error(format!(
                    "mounts[{index}]: duplicate destination {}",
                    quote(destination)
                ));
            }
            destinations.push(destination);
        }
        for problem in problems {
            findings.error(format!("mounts[{index}]: {problem}"));
        }
    }
}

fn security(document: &Document, findings: &mut Findings<'_>) {
    let profile = text(document, "security.profile");
    if !matches!(profile, "" | "restricted" | "privileged") {
        findings.error(format!(
            "unsupported security profile {}, expected restricted or privileged",
            quote(profile)
        ));
    }
    let (add, drop) = ("security.capabilities.add", "security.capabilities.drop");
    for capability in texts(document, add) {
        if capability == "ALL" {
            findings.error("capabilities.add does not accept ALL, use profile: privileged instead");
        } else {
            check_capability("capabilities.add", capability, findings);
        }
    }
    for capability in texts(document, drop).filter(|capability| *capability != "ALL") {
        check_capability("capabilities.drop", capability, findings);
    }
    for capability in texts(document, add) {
        if texts(document, drop).any(|dropped| dropped == capability) {
            findings.error(format!(
                "capability {} appears in both add and drop",
                quote(capability)
            ));
        }
    }
}

fn check_capability(field: &str, capability: &str, findings: &mut Findings<'_>) {
    let shown = quote(capability);
    if capability.is_empty() {
        findings.error(format!("{field}: capability name must not be empty"));
    } else if capability.starts_with("CAP_") {
        findings.error(format!(
            "{field}: capability {shown} must be given without the CAP_ prefix"
        ));
    } else if capability.to_uppercase() != capability {
        findings.error(format!("{field}: capability {shown} must be upper case"));
    } else if !capability
        .bytes()
        .all(|b| b.is_ascii_uppercase() || b == b'_')
    {
        findings.error(format!(
            "{field}: capability {shown} may only contain upper case letters and underscores"
        ));
    }
}

fn limits(document: &Document, findings: &mut Findings<'_>) {
    let memory = text(document, "resources.limits.memory");
    if !memory.is_empty()
        && let Err(why) = crate::size::bytes(memory)
    {
        findings.error(format!(
            "limits.memory {} is not a valid size: {why}",
            quote(memory)
        ));
    }
    let cpu = text(document, "resources.limits.cpu");
    if cpu.is_empty() {
        return;
    }
    let Some(digits) = cpu.strip_suffix('m') else {
        return findings.error(format!(
            "limits.cpu {} must be expressed in millicores, e.g. 1500m",
            quote(cpu)
        ));
    };
    match super::parse_unsigned(digits) {
        Err(why) => findings.error(format!(
            "limits.cpu {} is not a valid millicore quantity: {why}",
            quote(cpu)
        )),
        Ok(0) => findings.error(format!(
            "limits.cpu {} must be greater than zero",
            quote(cpu)
        )),
        Ok(_) => {}
    }
}

fn depends(name: &str, document: &Document, findings: &mut Findings<'_>) {
    for path in texts(document, "dependsOn.paths") {
        if let Some(problem) = absolute("dependsOn.paths entry", path) {
            findings.error(problem);
        }
    }
    for condition in texts(document, "dependsOn.networks") {
        if !NETWORK_CONDITIONS.contains(&condition) {
            findings.error(format!(
                "unsupported dependsOn.networks condition {}",
                quote(condition)
            ));
        }
    }
    for other in texts(document, "dependsOn.containers") {
        if other.is_empty() {
            findings.error("dependsOn.containers entry must not be empty");
        } else if other == name {
            findings.error(format!("container {} cannot depend on itself", quote(name)));
        }
    }
}

/// Containers that wait for each other, or for one that does not exist.
pub(super) fn check_dependencies(config: &MachineConfig, findings: &mut Findings<'_>) {
    let mut edges: std::collections::BTreeMap<&str, Vec<&str>> = std::collections::BTreeMap::new();
    for document in config.of_kind("ContainerConfig") {
        let name = document.name().unwrap_or_default();
        edges.insert(name, texts(document, "dependsOn.containers").collect());
    }
    for document in config.of_kind("ContainerConfig") {
        let name = document.name().unwrap_or_default();
        for other in texts(document, "dependsOn.containers") {
            if !edges.contains_key(other) {
                findings.error(format!(
                    "container {} depends on container {}, which is not configured",
                    quote(name),
                    quote(other)
                ));
            }
        }
    }
    let mut walk = Walk {
        edges: &edges,
        stack: Vec::new(),
        done: Vec::new(),
        cycles: Vec::new(),
    };
    for name in edges.keys() {
        walk.visit(name);
    }
    let mut cycles = walk.cycles;
    cycles.sort();
    cycles.dedup();
    if !cycles.is_empty() {
        findings.error(format!(
            "container dependsOn cycle detected: {}",
            cycles.join(", ")
        ));
    }
}

struct Walk<'a> {
    edges: &'a std::collections::BTreeMap<&'a str, Vec<&'a str>>,
    stack: Vec<&'a str>,
    done: Vec<&'a str>,
    cycles: Vec<String>,
}

impl<'a> Walk<'a> {
    fn visit(&mut self, name: &'a str) {
        if self.done.contains(&name) {
            return;
        }
        if let Some(start) = self.stack.iter().position(|other| *other == name) {
            let mut cycle = self.stack[start..].to_vec();
            cycle.push(name);
            self.cycles.push(cycle.join(" -> "));
            return;
        }
        self.stack.push(name);
        let edges = self.edges;
        for other in edges.get(name).into_iter().flatten() {
            if edges.contains_key(other) {
                self.visit(other);
            }
        }
        self.stack.pop();
        self.done.push(name);
    }
}
