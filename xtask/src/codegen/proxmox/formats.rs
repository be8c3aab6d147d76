//! Property strings: the keys of every format, and typed views of those that no hand-written view reads.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use anyhow::Context;
use serde_json::{Map, Value};

use super::overlay::Overlay;
use super::{area, describe};

/// A format: where the schema has it, the table's name, and the view that is made.
struct Entry {
    verb: &'static str,
    path: &'static str,
    params: &'static [&'static str],
    table: &'static str,
    view: Option<(&'static str, &'static str)>,
}

const fn entry(
    verb: &'static str,
    path: &'static str,
    params: &'static [&'static str],
    table: &'static str,
) -> Entry {
    Entry {
        verb,
        path,
        params,
        table,
        view: None,
    }
}

impl Entry {
    const fn view(mut self, name: &'static str, what: &'static str) -> Self {
        self.view = Some((name, what));
        self
    }
}

const MACHINE: &str = "/nodes/{node}/qemu/{vmid}/config";
const CONTAINER: &str = "/nodes/{node}/lxc/{vmid}/config";
const CLUSTER: &str = "/cluster/options";
const NODE: &str = "/nodes/{node}/config";

const ENTRIES: &[Entry] = &[
    entry("PUT", MACHINE, &["agent"], "AGENT"),
    entry("PUT", MACHINE, &["amd-sev"], "AMD_SEV").view("AmdSev", "`amd-sev`: encrypted memory on AMD processors."),
    entry("PUT", MACHINE, &["audio0"], "AUDIO").view("Audio", "`audio0`: a sound card."),
    entry("PUT", MACHINE, &["boot"], "BOOT"),
    entry("PUT", MACHINE, &["cicustom"], "CUSTOM_CLOUD_INIT").view("CustomCloudInit", "`cicustom`: volumes whose files take the place of what the server generates for cloud-init."),
    entry("PUT", MACHINE, &["cpu"], "CPU"),
    entry("PUT", MACHINE, &["scsi[n]", "virtio[n]", "sata[n]", "ide[n]"], "DRIVE"),
    entry("PUT", MACHINE, &["efidisk0"], "EFI_DISK"),
    entry("PUT", MACHINE, &["hostpci[n]"], "HOST_PCI").view("HostPci", "`hostpciN`: a device of the node passed through; `host` and `mapping` exclude each other."),
    entry("PUT", MACHINE, &["ide[n]"], "IDE"),
    entry("PUT", MACHINE, &["intel-tdx"], "INTEL_TDX").view("IntelTdx", "`intel-tdx`: encrypted memory on Intel processors."),
    entry("PUT", MACHINE, &["ipconfig[n]"], "IP_CONFIG"),
    entry("PUT", MACHINE, &["ivshmem"], "SHARED_MEMORY").view("SharedMemory", "`ivshmem`: memory shared with other machines or the node."),
    entry("PUT", MACHINE, &["machine"], "MACHINE_TYPE").view("MachineType", "`machine`: the chipset and its version."),
    entry("PUT", MACHINE, &["memory"], "MEMORY").view("Memory", "`memory`: in MiB."),
    entry("PUT", MACHINE, &["net[n]"], "NIC"),
    entry("PUT", MACHINE, &["numa[n]"], "NUMA_NODE").view("NumaNode", "`numaN`: a node of the guest's memory topology."),
    entry("PUT", MACHINE, &["rng0"], "RNG").view("Rng", "`rng0`: a source of randomness."),
    entry("PUT", MACHINE, &["sata[n]"], "SATA"),
    entry("PUT", MACHINE, &["scsi[n]"], "SCSI"),
    entry("PUT", MACHINE, &["smbios1"], "SMBIOS"),
    entry("PUT", MACHINE, &["spice_enhancements"], "SPICE").view("SpiceEnhancements", "`spice_enhancements`: what SPICE offers beyond the screen."),
    entry("PUT", MACHINE, &["tpmstate0"], "TPM_STATE"),
    entry("PUT", MACHINE, &["unused[n]"], "UNUSED"),
    entry("PUT", MACHINE, &["usb[n]"], "USB").view("Usb", "`usbN`: a USB device of the node, or SPICE's redirection."),
    entry("PUT", MACHINE, &["vga"], "VGA").view("Vga", "`vga`: the display."),
    entry("PUT", MACHINE, &["virtio[n]"], "VIRTIO"),
    entry("PUT", MACHINE, &["virtiofs[n]"], "VIRTIO_FS").view("VirtioFs", "`virtiofsN`: a directory of the node, by its mapping."),
    entry("PUT", MACHINE, &["watchdog"], "WATCHDOG").view("Watchdog", "`watchdog`: what happens when the guest hangs."),
    entry("PUT", CONTAINER, &["dev[n]"], "CONTAINER_DEVICE"),
    entry("PUT", CONTAINER, &["features"], "CONTAINER_FEATURES"),
    entry("PUT", CONTAINER, &["mp[n]"], "MOUNT_POINT"),
    entry("PUT", CONTAINER, &["net[n]"], "CONTAINER_NIC"),
    entry("PUT", CONTAINER, &["rootfs"], "ROOT_FS"),
    entry("PUT", CONTAINER, &["unused[n]"], "CONTAINER_UNUSED"),
    entry("PUT", CLUSTER, &["bwlimit"], "BANDWIDTH_LIMITS"),
    entry("PUT", CLUSTER, &["crs"], "SCHEDULING").view("Scheduling", "`crs`: how high availability chooses nodes."),
    entry("PUT", CLUSTER, &["ha"], "HA_SETTINGS").view("HaSettings", "`ha`: what high availability does when a node shuts down."),
    entry("PUT", CLUSTER, &["location"], "LOCATION").view("Location", "`location`: where a node or a cluster stands."),
    entry("PUT", CLUSTER, &["migration"], "MIGRATION").view("MigrationSettings", "`migration` and `replication`: the network and the kind of connection."),
    entry("PUT", CLUSTER, &["next-id"], "NEXT_ID").view("NextId", "`next-id`: the range that free ids are looked for in, without its end."),
    entry("PUT", CLUSTER, &["notify"], "NOTIFY").view("Notify", "`notify`: which events are told about."),
    entry("PUT", CLUSTER, &["tag-style"], "TAG_STYLE").view("TagStyle", "`tag-style`: how tags look."),
    entry("PUT", CLUSTER, &["u2f"], "U2F").view("U2f", "`u2f`: origin and application id."),
    entry("PUT", CLUSTER, &["user-tag-access"], "USER_TAG_ACCESS").view("UserTagAccess", "`user-tag-access`: which tags users may set."),
    entry("PUT", CLUSTER, &["webauthn"], "WEBAUTHN").view("WebAuthn", "`webauthn`: the relying party."),
    entry("PUT", NODE, &["acme"], "ACME").view("Acme", "`acme`: the account and the domains of a node's certificate."),
    entry("PUT", NODE, &["acmedomain[n]"], "ACME_DOMAIN").view("AcmeDomain", "`acmedomainN`: a domain and the plug-in that proves it."),
    entry("PUT", NODE, &["wakeonlan"], "WAKE_ON_LAN").view("WakeOnLan", "`wakeonlan`: how the node is woken."),
    entry("POST", "/cluster/config", &["link[n]"], "CLUSTER_LINK").view("ClusterLink", "`linkN`: an address of the cluster's own network."),
    entry("PUT", "/cluster/firewall/options", &["log_ratelimit"], "LOG_RATE_LIMIT").view("LogRateLimit", "`log_ratelimit`: how much the firewall logs."),
    entry("POST", "/cluster/backup", &["prune-backups"], "PRUNE_BACKUPS"),
    entry("POST", "/cluster/backup", &["fleecing"], "FLEECING"),
    entry("POST", "/cluster/backup", &["performance"], "BACKUP_PERFORMANCE"),
    entry("POST", "/nodes/{node}/ceph/pool", &["erasure-coding"], "ERASURE_CODING").view("ErasureCoding", "`erasure-coding`: data and parity chunks of a pool."),
    entry("POST", "/nodes/{node}/disks/zfs", &["draid-config"], "DRAID").view("Draid", "`draid-config`: data and spare disks of a dRAID."),
    entry("POST", "/access/domains", &["tfa"], "REALM_TFA").view("RealmTfa", "`tfa` of a realm: the second factor that it demands; `key` is secret."),
    entry("POST", "/cluster/sdn/vnets/{vnet}/subnets", &["dhcp-range"], "DHCP_RANGE").view("DhcpRange", "`dhcp-range` of a subnet: addresses that DHCP gives, from the first to the last."),
    entry("POST", "/nodes/{node}/qemu/{vmid}/remote_migrate", &["target-endpoint"], "REMOTE_NODE").view("RemoteNode", "`target-endpoint`: a node of another cluster; `apitoken` is secret: `PVEAPIToken=user@realm!name=secret`."),
    entry("POST", "/access/domains", &["sync-defaults-options"], "REALM_SYNC").view("RealmSync", "`sync-defaults-options`: what a realm's synchronisation does unless it is told otherwise."),
];

/// Formats whose hand-written views read by these tables.
const VIEWED_BY_HAND: &[&str] = &[
    "AGENT",
    "BOOT",
    "CPU",
    "DRIVE",
    "EFI_DISK",
    "IP_CONFIG",
    "SMBIOS",
    "TPM_STATE",
];

/// Keys whose values are secret, by table.
const SECRET: [(&str, &str); 2] = [("REMOTE_NODE", "apitoken"), ("REALM_TFA", "key")];

/// All tables and views.
pub(super) fn print(schema: &Value) -> anyhow::Result<String> {
    let mut out = "// Generated by `cargo xtask codegen proxmox`; edit the generator instead.\n\
        //! The keys of property strings, and views of them.\n\n\
        use crate::property::property;\nuse crate::property::table::{Format, Kind, Sub};\n"
        .to_owned();
    for entry in ENTRIES {
        let keys = keys(schema, entry)?;
        table(&mut out, entry, &keys)?;
        if let Some((name, what)) = entry.view {
            view(&mut out, entry.table, name, what, &keys)?;
        }
    }
    for (name, path) in [("OF_MACHINES", MACHINE), ("OF_CONTAINERS", CONTAINER)] {
        writeln!(
            out,
            "\n/// Configuration keys, numbered ones by their stem, and the keys of their property strings.\n\
             pub(crate) static {name}: &[(&str, &[Sub])] = &["
        )?;
        for entry in ENTRIES.iter().filter(|entry| entry.path == path) {
            if let [param] = entry.params {
                let stem = param
                    .trim_end_matches("[n]")
                    .trim_end_matches(|c: char| c.is_ascii_digit());
                writeln!(out, "({stem:?}, {}_KEYS),", entry.table)?;
            }
        }
        out.push_str("];\n");
    }
    Ok(out)
}

/// The table of a configuration key's format.
pub(super) fn table_of(path: &str, param: &str) -> Option<String> {
    ENTRIES
        .iter()
        .find(|entry| entry.path == path && entry.params == [param])
        .map(|entry| format!("{}_KEYS", entry.table))
}

/// The keys that the schema gives a format; of several parameters all of theirs.
fn keys(schema: &Value, entry: &Entry) -> anyhow::Result<Map<String, Value>> {
    let methods = schema["methods"].as_array().context("no methods")?;
    let method = methods
        .iter()
        .find(|method| method["verb"] == entry.verb && method["path"] == entry.path)
        .with_context(|| format!("no {} {}", entry.verb, entry.path))?;
    let mut all = Map::new();
    for param in entry.params {
        let number = method["params"][param]
            .as_u64()
            .with_context(|| format!("no {param}"))?;
        let shape = &schema["shapes"][number as usize];
        // Of a list the format of its parts.
        let shape = shape.get("items").unwrap_or(shape);
        let keys = match &shape["format"] {
            Value::Object(keys) => keys,
            Value::String(name) => schema["formats"][name]
                .as_object()
                .with_context(|| format!("no format {name}"))?,
            _ => anyhow::bail!("{param} has no format"),
        };
        for (name, key) in keys {
            all.entry(name.clone()).or_insert_with(|| key.clone());
        }
    }
    all.sort_keys();
    Ok(all)
}

fn table(out: &mut String, entry: &Entry, keys: &Map<String, Value>) -> anyhow::Result<()> {
    let table = entry.table;
    let is = |key: &Value, what: &str| key[what] == 1;
    let default = keys.iter().find(|(_, key)| is(key, "default_key"));
    let aliases: Vec<(&str, &str)> = keys
        .iter()
        .filter(|(_, key)| key.get("keyAlias").is_none())
        .filter_map(|(name, key)| Some((name.as_str(), key["alias"].as_str()?)))
        .collect();
    let flags: Vec<&str> = keys
        .iter()
        .filter(|(_, key)| key["type"] == "boolean")
        .map(|(name, _)| name.as_str())
        .collect();
    let stem = entry.params[0].trim_end_matches("[n]");
    if entry.view.is_some() || VIEWED_BY_HAND.contains(&table) {
        let default = default.map(|(name, _)| name);
        writeln!(
            out,
            "\npub(crate) static {table}: Format = Format {{ name: {stem:?}, default_key: {default:?}, aliases: &{aliases:?}, flags: &{flags:?} }};"
        )?;
    }
    writeln!(out, "\npub(crate) static {table}_KEYS: &[Sub] = &[")?;
    for (name, key) in keys {
        match key["alias"].as_str() {
            Some(alias) => write!(out, "Sub::alias({name:?}, {alias:?})")?,
            None => write!(out, "Sub::new({name:?}, {})", kind(key))?,
        }
        for (flag, call) in [("default_key", ".bare()"), ("keyAlias", ".naming()")] {
            if key.get(flag).is_some() {
                out.push_str(call);
            }
        }
        if let Some(other) = key["requires"].as_str() {
            write!(out, ".requires({other:?})")?;
        }
        if key.get("alias").is_none() && key["optional"] != 1 {
            out.push_str(".required()");
        }
        out.push_str(",\n");
    }
    out.push_str("];\n");
    Ok(())
}

/// Formats that take any text here: names of time zones, and what stands for a drive in calls only.
const ANY_TEXT: [&str; 2] = ["pve-ct-timezone", "pve-qm-ide"];

/// What a value may be.
pub(super) fn kind(shape: &Value) -> String {
    if let Some(values) = shape["enum"].as_array() {
        let values: Vec<&str> = values.iter().filter_map(Value::as_str).collect();
        return format!("Kind::Enum(&{values:?})");
    }
    let whole = |key: &str| match shape[key].as_i64() {
        Some(number) => format!("Some({number})"),
        None => "None".to_owned(),
    };
    let real = |key: &str| match shape[key].as_f64() {
        Some(number) => format!("Some({number:?})"),
        None => "None".to_owned(),
    };
    match (shape["type"].as_str(), shape["pattern"].as_str()) {
        (Some("boolean"), _) => "Kind::Flag".to_owned(),
        (Some("integer"), _) => {
            format!("Kind::Integer({}, {})", whole("minimum"), whole("maximum"))
        }
        (Some("number"), _) => format!("Kind::Number({}, {})", real("minimum"), real("maximum")),
        (_, Some(pattern)) => format!("Kind::Pattern({pattern:?})"),
        // A type that is no type of JSON schema is a format.
        (Some("ip"), _) => "Kind::Named(\"ip\")".to_owned(),
        _ => match shape["format"].as_str() {
            Some(name) if !ANY_TEXT.contains(&name) => format!("Kind::Named({name:?})"),
            _ => "Kind::Text".to_owned(),
        },
    }
}

fn view(
    out: &mut String,
    table: &str,
    name: &str,
    what: &str,
    keys: &Map<String, Value>,
) -> anyhow::Result<()> {
    writeln!(
        out,
        "\nproperty! {{\n    /// {what}\n    pub struct {name}: {table}, {table}_KEYS {{"
    )?;
    // What every view has already.
    let taken = ["clone", "default", "get", "problems", "with", "without"];
    let mut used: BTreeSet<String> = taken.map(str::to_owned).into();
    for (key, shape) in keys
        .iter()
        .filter(|(_, shape)| shape.get("alias").is_none())
    {
        let mut rust = area::snake(key);
        while !used.insert(rust.clone()) {
            rust.push('_');
        }
        let secret = SECRET.contains(&(table, key));
        let ty = match (shape["type"].as_str(), shape["format"].as_str()) {
            _ if secret => "secrecy::SecretString",
            (Some("boolean"), _) => "bool",
            (Some("integer"), _) => "i64",
            (Some("number"), _) => "f64",
            (_, Some("disk-size")) => "crate::size::Size",
            _ => "String",
        };
        let with = rust.trim_end_matches('_');
        writeln!(
            out,
            "        /// {}\n        {key:?} {rust} / with_{with}: {ty},",
            describe::describe_member(key, shape)
        )?;
    }
    out.push_str("    }\n}\n");
    Ok(())
}

/// The highest number of a parameter, as an expression.
pub(super) fn last(overlay: &Overlay, key: &str) -> (String, String) {
    match key.strip_suffix("[n]") {
        Some(stem) => (stem.to_owned(), format!("Some({})", overlay.bound(stem))),
        None => (key.to_owned(), "None".to_owned()),
    }
}
