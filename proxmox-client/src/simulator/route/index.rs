//! What is below a path, where the interface only lists it.

use serde_json::{Value, json};

use crate::simulator::answer::Reply;
use crate::simulator::schema::Release;
use crate::simulator::world::World;

/// A list: the path, the member that names an entry, and the entries.
type Index = (
    &'static [&'static str],
    &'static str,
    &'static [&'static str],
);

/// In a path, any name.
const ANY: &str = "*";

const INDEXES: [Index; 27] = [
    (
        &["cluster"],
        "name",
        &[
            "acme",
            "backup",
            "backup-info",
            "bulk-action",
            "ceph",
            "config",
            "firewall",
            "ha",
            "jobs",
            "log",
            "mapping",
            "metrics",
            "notifications",
            "nextid",
            "options",
            "qemu",
            "replication",
            "resources",
            "status",
            "tasks",
            "sdn",
        ],
    ),
    (&["cluster", "backup-info"], "subdir", &["not-backed-up"]),
    (&["cluster", "bulk-action"], "name", &["guest"]),
    (
        &["cluster", "ceph"],
        "name",
        &["flags", "metadata", "restart-bulk", "status"],
    ),
    (
        &["cluster", "firewall"],
        "name",
        &[
            "aliases", "rules", "options", "groups", "ipset", "macros", "refs",
        ],
    ),
    (
        &["cluster", "ha"],
        "id",
        &["status", "resources", "groups", "rules"],
    ),
    (
        &["cluster", "jobs"],
        "subdir",
        &["schedule-analyze", "realm-sync"],
    ),
    (&["cluster", "mapping"], "name", &["dir", "pci", "usb"]),
    (&["cluster", "metrics"], "name", &["server"]),
    (
        &["cluster", "qemu"],
        "name",
        &["cpu-flags", "custom-cpu-models"],
    ),
    (
        &["nodes", ANY],
        "name",
        &[
            "aplinfo",
            "apt",
            "capabilities",
            "ceph",
            "certificates",
            "config",
            "disks",
            "dns",
            "firewall",
            "hardware",
            "hosts",
            "journal",
            "lxc",
            "migrateall",
            "netstat",
            "network",
            "qemu",
            "query-oci-repo-tags",
            "query-url-metadata",
            "replication",
            "report",
            "rrd",
            "rrddata",
            "scan",
            "sdn",
            "services",
            "spiceshell",
            "startall",
            "status",
            "stopall",
            "storage",
            "subscription",
            "suspendall",
            "syslog",
            "tasks",
            "termproxy",
            "time",
            "version",
            "vncshell",
            "vzdump",
            "wakeonlan",
        ],
    ),
    (
        &["nodes", ANY, "ceph"],
        "name",
        &[
            "cmd-safety",
            "cfg",
            "crush",
            "fs",
            "init",
            "log",
            "mds",
            "mgr",
            "mon",
            "osd",
            "pool",
            "releases",
            "restart",
            "restart-bulk",
            "rules",
            "start",
            "status",
            "stop",
        ],
    ),
    (
        &["nodes", ANY, "ceph", "cfg"],
        "name",
        &["db", "raw", "value"],
    ),
    (
        &["nodes", ANY, "ceph", "osd", ANY],
        "name",
        &["metadata", "lv-info"],
    ),
    (&["nodes", ANY, "ceph", "pool", ANY], "name", &["status"]),
    (
        &["nodes", ANY, "firewall"],
        "name",
        &["rules", "options", "log"],
    ),
    (
        &["nodes", ANY, "services", ANY],
        "subdir",
        &["state", "start", "stop", "restart", "reload"],
    ),
    (&["nodes", ANY, "tasks", ANY], "name", &["log", "status"]),
    (
        &["nodes", ANY, "qemu", ANY],
        "subdir",
        &[
            "config",
            "cloudinit",
            "pending",
            "status",
            "unlink",
            "vncproxy",
            "termproxy",
            "migrate",
            "resize",
            "move",
            "rrd",
            "rrddata",
            "monitor",
            "agent",
            "snapshot",
            "spiceproxy",
            "sendkey",
            "firewall",
            "mtunnel",
            "remote_migrate",
        ],
    ),
    (
        &["nodes", ANY, "qemu", ANY, "status"],
        "subdir",
        &[
            "current", "start", "stop", "reset", "shutdown", "suspend", "reboot",
        ],
    ),
    (
        &["nodes", ANY, "qemu", ANY, "agent"],
        "name",
        &[
            "exec",
            "exec-status",
            "file-read",
            "file-write",
            "fsfreeze-freeze",
            "fsfreeze-status",
            "fsfreeze-thaw",
            "fstrim",
            "get-fsinfo",
            "get-host-name",
            "get-memory-block-info",
            "get-memory-blocks",
            "get-osinfo",
            "get-time",
            "get-timezone",
            "get-users",
            "get-vcpus",
            "info",
            "network-get-interfaces",
            "ping",
            "set-user-password",
            "shutdown",
            "suspend-disk",
            "suspend-hybrid",
            "suspend-ram",
        ],
    ),
    (
        &["nodes", ANY, "qemu", ANY, "snapshot", ANY],
        "cmd",
        &["rollback", "config"],
    ),
    (
        &["nodes", ANY, "lxc", ANY],
        "subdir",
        &[
            "config",
            "pending",
            "status",
            "vncproxy",
            "termproxy",
            "vncwebsocket",
            "spiceproxy",
            "migrate",
            "clone",
            "rrd",
            "rrddata",
            "firewall",
            "snapshot",
            "resize",
            "interfaces",
        ],
    ),
    (
        &["nodes", ANY, "lxc", ANY, "status"],
        "subdir",
        &["current", "start", "stop", "shutdown", "reboot", "migrate"],
    ),
    (
        &["nodes", ANY, "lxc", ANY, "snapshot", ANY],
        "cmd",
        &["rollback", "config"],
    ),
    (
        &["nodes", ANY, "qemu", ANY, "firewall"],
        "name",
        GUEST_FIREWALL,
    ),
    (
        &["nodes", ANY, "lxc", ANY, "firewall"],
        "name",
        GUEST_FIREWALL,
    ),
];

const GUEST_FIREWALL: &[&str] = &["rules", "aliases", "ipset", "refs", "options"];

/// Entries that a later release brought.
const NEW: [(&[&str], &str, Release); 2] = [
    (&["cluster"], "qemu", (9, 2)),
    (&["cluster", "ha"], "rules", (9, 0)),
];

impl World {
    /// The answer to a path that only lists what is below it; none if it is no such path.
    pub(super) fn index(&self, segments: &[&str]) -> Option<Reply> {
        if let ["nodes", node, ..] = segments
            && !self.nodes.contains_key(*node)
        {
            return None;
        }
        let fits = |path: &[&str]| {
            let same = |(have, want): (&&str, &&str)| *want == ANY || have == want;
            path.len() == segments.len() && segments.iter().zip(path).all(same)
        };
        let (path, member, names) = INDEXES.iter().find(|(path, ..)| fits(path))?;
        let release = self.served_release();
        let served = |name: &&&str| {
            let of = |(at, new, since): &(&[&str], &str, Release)| {
                at == path && *new == **name && *since > release
            };
            !NEW.iter().any(of)
        };
        let entries = names.iter().filter(served).map(|name| {
            let mut entry = json!({});
            entry[*member] = (*name).into();
            entry
        });
        Some(Reply::data(entries.collect::<Value>()))
    }
}
