//! What the schema does not say.

/// The highest index of numbered parameters (`net[n]`): the server's own limits, which its schema omits.
const BOUNDS: &[(&str, u16)] = &[
    ("acmedomain", 5),
    ("dev", 255),
    ("hostpci", 15),
    ("ide", 3),
    ("ipconfig", 31),
    ("link", 7),
    ("mp", 255),
    ("net", 31),
    ("numa", 7),
    ("parallel", 2),
    ("sata", 5),
    ("scsi", 30),
    ("serial", 3),
    ("unused", 255),
    ("usb", 13),
    ("virtio", 15),
    ("virtiofs", 9),
];

/// The highest index of a numbered parameter, given its name without `[n]`.
pub(super) fn bound(stem: &str) -> u16 {
    BOUNDS
        .iter()
        .find(|(name, _)| *name == stem)
        .map_or(255, |(_, bound)| *bound)
}

/// The bounds as an object, for the compact schema.
pub(super) fn bounds() -> serde_json::Value {
    BOUNDS
        .iter()
        .map(|(stem, last)| ((*stem).to_owned(), serde_json::Value::from(*last)))
        .collect::<serde_json::Map<_, _>>()
        .into()
}

/// Property strings that the dump only names: their keys, as pve-common 9.2.1, qemu-server 9.2.6, pve-storage 9.1.7,
/// pve-guest-common, pve-network and pve-access-control 9.1.1 register them.
pub(super) const FORMATS: &str = include_str!("formats.json");

/// Writes that answer a text that is no task.
const TEXTS: &[(&str, &str)] = &[
    ("POST", "/access/openid/auth-url"),
    ("POST", "/cluster/sdn/lock"),
    ("POST", "/nodes/{node}/qemu/{vmid}/monitor"),
    ("POST", "/nodes/{node}/storage/{storage}/content"),
    ("POST", "/nodes/{node}/wakeonlan"),
];

/// Whether a write that answers a text answers a task: the schema says so in 5 of 99 places.
pub(super) fn is_task(verb: &str, path: &str) -> bool {
    verb != "GET" && !TEXTS.contains(&(verb, path))
}

/// Writes that start a task only if the work is not done at once, beyond those whose schema says so.
const MAYBE_TASKS: &[(&str, &str)] = &[
    ("POST", "/nodes/{node}/qemu/{vmid}/config"),
    ("DELETE", "/nodes/{node}/storage/{storage}/content/{volume}"),
];

/// Whether the task may be missing from the answer.
pub(super) fn may_have_no_task(verb: &str, path: &str) -> bool {
    MAYBE_TASKS.contains(&(verb, path))
}

/// Answers that a hand-written type reads better.
const TYPES: &[(&str, &str, &str)] = &[
    ("GET", "/cluster/resources", "Vec<crate::Resource>"),
    ("GET", "/cluster/status", "Vec<crate::ClusterMember>"),
    ("GET", "/cluster/tasks", "Vec<crate::task::TaskEntry>"),
    ("GET", "/nodes", "Vec<crate::NodeSummary>"),
    (
        "GET",
        "/nodes/{node}/network",
        "Vec<crate::NetworkInterface>",
    ),
    ("GET", "/nodes/{node}/qemu", "Vec<crate::QemuSummary>"),
    (
        "GET",
        "/nodes/{node}/qemu/{vmid}/config",
        "crate::QemuConfig",
    ),
    (
        "GET",
        "/nodes/{node}/qemu/{vmid}/pending",
        "Vec<crate::PendingEntry>",
    ),
    (
        "GET",
        "/nodes/{node}/qemu/{vmid}/snapshot",
        "Vec<crate::Snapshot>",
    ),
    (
        "GET",
        "/nodes/{node}/qemu/{vmid}/status/current",
        "crate::QemuStatus",
    ),
    ("GET", "/nodes/{node}/status", "crate::NodeStatus"),
    ("GET", "/nodes/{node}/storage", "Vec<crate::StorageStatus>"),
    (
        "GET",
        "/nodes/{node}/storage/{storage}/content",
        "Vec<crate::Volume>",
    ),
    ("GET", "/nodes/{node}/tasks", "Vec<crate::task::TaskEntry>"),
    (
        "GET",
        "/nodes/{node}/tasks/{upid}/log",
        "Vec<crate::task::LogLine>",
    ),
    (
        "GET",
        "/nodes/{node}/tasks/{upid}/status",
        "crate::task::TaskStatus",
    ),
    ("GET", "/version", "crate::Version"),
];

/// The hand-written type of an answer, where there is one.
pub(super) fn answer(verb: &str, path: &str) -> Option<&'static str> {
    TYPES
        .iter()
        .find(|(v, p, _)| *v == verb && *p == path)
        .map(|(_, _, answer)| *answer)
}
