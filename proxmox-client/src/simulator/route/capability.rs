//! What QEMU on the nodes can do: processors, machines, migration.

use serde_json::{Value, json};

use super::not_simulated;
use crate::simulator::answer::{Outcome, Reply};
use crate::simulator::http::Call;
use crate::simulator::world::World;

/// Processor models by who makes such processors.
const MODELS: [(&str, &[&str]); 3] = [
    (
        "default",
        &[
            "host",
            "kvm32",
            "kvm64",
            "max",
            "qemu32",
            "qemu64",
            "x86-64-v2",
            "x86-64-v2-AES",
            "x86-64-v3",
            "x86-64-v4",
        ],
    ),
    (
        "AuthenticAMD",
        &[
            "athlon",
            "phenom",
            "EPYC",
            "EPYC-Genoa",
            "EPYC-IBPB",
            "EPYC-Milan",
            "EPYC-Milan-v2",
            "EPYC-Milan-v3",
            "EPYC-Rome",
            "EPYC-Rome-v2",
            "Opteron_G1",
            "Opteron_G2",
            "Opteron_G3",
            "Opteron_G4",
            "Opteron_G5",
        ],
    ),
    (
        "GenuineIntel",
        &[
            "486",
            "Broadwell",
            "Broadwell-noTSX",
            "Cascadelake-Server",
            "Conroe",
            "coreduo",
            "core2duo",
            "Haswell",
            "Haswell-noTSX",
            "Icelake-Server",
            "IvyBridge",
            "Nehalem",
            "Penryn",
            "pentium",
            "pentium2",
            "pentium3",
            "SandyBridge",
            "SapphireRapids",
            "Skylake-Client",
            "Skylake-Server",
            "Westmere",
        ],
    ),
];

/// Flags that any machine may add or take away.
const FLAGS: [&str; 13] = [
    "md-clear",
    "pcid",
    "spec-ctrl",
    "ssbd",
    "ibpb",
    "virt-ssbd",
    "amd-ssbd",
    "amd-no-ssb",
    "pdpe1gb",
    "hv-tlbflush",
    "hv-evmcs",
    "aes",
    "nested-virt",
];

/// Who makes processors of a model.
fn vendor_of(model: &str) -> &'static str {
    let found = MODELS.iter().find(|(_, names)| names.contains(&model));
    found.map_or("default", |(vendor, _)| *vendor)
}

/// Versions of machines, the newest first.
const VERSIONS: [&str; 10] = [
    "10.1", "10.0", "9.2", "9.1", "9.0", "8.2", "8.1", "8.0", "7.2", "7.1",
];

impl World {
    pub(super) fn capabilities(&self, rest: &[&str], call: &Call) -> Outcome {
        let other = call.text("arch").is_some_and(|arch| arch != "x86_64");
        let index = |names: &[&str]| {
            let entries = names.iter().map(|name| json!({ "name": name }));
            Ok(Reply::data(entries.collect::<Value>()))
        };
        match rest {
            _ if other => Err(not_simulated(call)),
            [] => index(&["qemu"]),
            ["qemu"] => index(&["cpu", "cpu-flags", "machines", "migration"]),
            ["qemu", "cpu"] => {
                let models = MODELS.iter().flat_map(|(vendor, names)| {
                    let entry = move |name| json!({ "name": name, "vendor": vendor, "custom": 0 });
                    names.iter().map(entry)
                });
                let own = self.custom_cpu_models().map(|(name, reported)| {
                    let name = format!("custom-{name}");
                    json!({ "name": name, "vendor": vendor_of(reported), "custom": 1 })
                });
                Ok(Reply::data(models.chain(own).collect::<Value>()))
            }
            ["qemu", "cpu-flags"] => {
                let nodes: Vec<&String> = self.nodes.keys().collect();
                let flags = FLAGS
                    .iter()
                    .map(|name| json!({ "name": name, "supported-on": nodes }));
                Ok(Reply::data(flags.collect::<Value>()))
            }
            ["qemu", "machines"] => {
                let kinds = [("i440fx", "pc-i440fx"), ("q35", "pc-q35")];
                let machines = kinds.iter().flat_map(|(kind, name)| {
                    VERSIONS.iter().map(move |version| {
                        json!({ "id": format!("{name}-{version}"), "type": kind, "version": version })
                    })
                });
                Ok(Reply::data(machines.collect::<Value>()))
            }
            ["qemu", "migration"] => Ok(Reply::data(json!({ "has-dbus-vmstate": 1 }))),
            _ => Err(not_simulated(call)),
        }
    }
}
