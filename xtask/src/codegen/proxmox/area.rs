//! Areas of the API: which method stands in which module, and under which name.

use std::collections::{BTreeMap, BTreeSet};

/// First match wins: beginning of the path, module, segments that its names leave out.
const AREAS: &[(&str, &str)] = &[
    ("/access", "access"),
    ("/cluster/acme", "certificates"),
    ("/nodes/{node}/certificates", "certificates"),
    ("/cluster/backup", "backup"),
    ("/nodes/{node}/vzdump", "backup"),
    ("/cluster/ceph", "ceph"),
    ("/nodes/{node}/ceph", "ceph"),
    ("/cluster/firewall", "firewall"),
    ("/nodes/{node}/firewall", "firewall"),
    ("/nodes/{node}/qemu/{vmid}/firewall", "firewall"),
    ("/nodes/{node}/lxc/{vmid}/firewall", "firewall"),
    ("/cluster/ha", "ha"),
    ("/cluster/mapping", "mapping"),
    ("/nodes/{node}/hardware", "mapping"),
    ("/cluster/notifications", "notifications"),
    ("/cluster/sdn", "sdn"),
    ("/nodes/{node}/sdn", "sdn"),
    ("/cluster/replication", "replication"),
    ("/nodes/{node}/replication", "replication"),
    ("/cluster", "cluster"),
    ("/version", "cluster"),
    ("/nodes/{node}/qemu/{vmid}/agent", "agent"),
    ("/nodes/{node}/qemu", "qemu"),
    ("/nodes/{node}/lxc", "lxc"),
    ("/nodes/{node}/disks", "disks"),
    ("/nodes/{node}/storage", "storage"),
    ("/nodes/{node}/scan", "storage"),
    ("/storage", "storage"),
    ("/nodes/{node}/tasks", "tasks"),
    ("/nodes", "nodes"),
    ("/pools", "pools"),
];

/// The module of a path.
pub(super) fn of(path: &str) -> &'static str {
    let below = |start: &str| {
        path.strip_prefix(start)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with(['/', '-']))
    };
    AREAS
        .iter()
        .find(|(start, _)| below(start))
        .map_or("cluster", |(_, area)| area)
}

/// Names for all methods of one area: verb and the words of the path, as few as tell them apart.
pub(super) fn names(area: &str, methods: &[(&str, &str)]) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    let mut level = vec![0; methods.len()];
    loop {
        names.clear();
        names.extend(
            methods
                .iter()
                .zip(&level)
                .map(|((verb, path), level)| name(area, verb, path, *level)),
        );
        let mut seen: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
        for (index, name) in names.iter().enumerate() {
            seen.entry(name).or_default().push(index);
        }
        let twice: BTreeSet<usize> = seen
            .into_values()
            .filter(|found| found.len() > 1)
            .flatten()
            .collect();
        if twice.is_empty() || level.iter().all(|level| *level >= 3) {
            return names;
        }
        twice.into_iter().for_each(|index| level[index] += 1);
    }
}

/// The more often names collide, the more of the path they say.
fn name(area: &str, verb: &str, path: &str, level: u32) -> String {
    let segments: Vec<&str> = path.split('/').filter(|part| !part.is_empty()).collect();
    let mut out = camel(&verb.to_ascii_lowercase());
    let last = segments.len().saturating_sub(1);
    for (index, segment) in segments.iter().enumerate() {
        let placeholder = segment
            .strip_prefix('{')
            .and_then(|rest| rest.strip_suffix('}'));
        match placeholder {
            Some(inner) if level >= 2 || index == last => {
                out.push_str("By");
                out.push_str(&camel(inner));
            }
            Some(_) => {}
            None if level == 0 && (*segment == area || *segment == "nodes") => {}
            None if level == 0 && *segment == "cluster" => {}
            None => out.push_str(&camel(segment)),
        }
    }
    out
}

/// `move_disk`, `download-url` and `forceStop` as `MoveDisk`, `DownloadUrl`, `ForceStop`.
pub(super) fn camel(text: &str) -> String {
    let mut out = String::new();
    for word in text
        .split(|c: char| !c.is_ascii_alphanumeric())
        .filter(|word| !word.is_empty())
    {
        let (first, rest) = word.split_at(1);
        out.push_str(&first.to_ascii_uppercase());
        out.push_str(rest);
    }
    out
}

/// A parameter's name as a Rust name: `force-stop` and `forceStop` as `force_stop`.
pub(super) fn snake(text: &str) -> String {
    let mut out = String::new();
    let mut previous_lower = false;
    for letter in text.chars() {
        if letter.is_ascii_alphanumeric() {
            if letter.is_ascii_uppercase() && previous_lower {
                out.push('_');
            }
            out.push(letter.to_ascii_lowercase());
            previous_lower = letter.is_ascii_lowercase() || letter.is_ascii_digit();
        } else if !out.ends_with('_') {
            out.push('_');
            previous_lower = false;
        }
    }
    let out = out.trim_matches('_').to_owned();
    const RESERVED: [&str; 14] = [
        "type", "match", "move", "ref", "use", "in", "new", "macro", "final", "where", "abstract",
        "static", "enum", "fn",
    ];
    if RESERVED.contains(&out.as_str()) || out.starts_with(|c: char| c.is_ascii_digit()) {
        format!("{out}_")
            .trim_start_matches(|c: char| c.is_ascii_digit())
            .to_owned()
    } else {
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_say_as_much_of_the_path_as_tells_them_apart() {
        let methods = [
            ("GET", "/nodes/{node}/qemu"),
            ("GET", "/nodes/{node}/qemu/{vmid}"),
            ("POST", "/nodes/{node}/qemu/{vmid}/status/start"),
        ];
        assert_eq!(
            names("qemu", &methods),
            ["Get", "GetByVmid", "PostStatusStart"]
        );
        let both = [
            ("GET", "/cluster/firewall/rules"),
            ("GET", "/nodes/{node}/firewall/rules"),
        ];
        assert_eq!(
            names("firewall", &both),
            ["GetClusterFirewallRules", "GetNodesFirewallRules"]
        );
    }

    #[test]
    fn parameters_become_rust_names() {
        assert_eq!(snake("forceStop"), "force_stop");
        assert_eq!(
            snake("destroy-unreferenced-disks"),
            "destroy_unreferenced_disks"
        );
        assert_eq!(snake("type"), "type_");
        assert_eq!(snake("NeedTFA"), "need_tfa");
    }
}
