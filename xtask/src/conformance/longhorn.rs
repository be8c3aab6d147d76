//! Suites of Longhorn: replica scheduling, setting values and storage class parameters.

use std::collections::BTreeSet;

use anyhow::Context;
use longhorn_model::scheduler::{
    Affinity, AutoBalance, Cluster, DataLocality, Disk, DiskKind, Node, Replica, VolumeRequest,
};
use longhorn_model::settings::{self, SchedulingSettings, Version};
use longhorn_model::storage_class::VolumeParameters;
use serde_json::{Value, json};

use super::{Folder, Outputs, Report, Runner, Suite};

/// The suites of this file.
pub(super) const SUITES: &[&dyn Suite] = &[&Scheduling, &Settings, &StorageClasses];

fn cases(folder: &Folder, files: &[&str]) -> anyhow::Result<Vec<Value>> {
    let mut all = Vec::new();
    for file in files {
        if let Some(document) = folder.own_json(file)? {
            let cases = document.get("cases").and_then(Value::as_array).cloned();
            all.extend(cases.with_context(|| format!("{file} has no list of cases"))?);
        }
    }
    Ok(all)
}

fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value.get(key).and_then(Value::as_str).unwrap_or_default()
}

fn list<'a>(value: &'a Value, key: &str) -> &'a [Value] {
    value
        .get(key)
        .and_then(Value::as_array)
        .map_or(&[], Vec::as_slice)
}

fn texts(value: &Value, key: &str) -> Vec<String> {
    list(value, key)
        .iter()
        .filter_map(Value::as_str)
        .map(str::to_owned)
        .collect()
}

fn number(value: &Value, key: &str) -> u64 {
    value.get(key).and_then(Value::as_u64).unwrap_or_default()
}

fn flag(value: &Value, key: &str) -> bool {
    value.get(key).and_then(Value::as_bool).unwrap_or_default()
}

struct Scheduling;

const SCHEDULING: &[&str] = &["scheduling.json", "random-scheduling.json"];

/// More outcomes than the measurements ever saw of one case.
const OUTCOMES: usize = 5_000;

impl Suite for Scheduling {
    fn name(&self) -> &'static str {
        "longhorn-scheduling"
    }

    fn run(&self, folder: &Folder, runner: &mut Runner<'_>) -> anyhow::Result<()> {
        for case in cases(folder, SCHEDULING)? {
            runner.try_case(text(&case, "name"), || schedule(&case));
        }
        Ok(())
    }

    fn check(&self, folder: &Folder, outputs: &Outputs, report: &mut Report) -> anyhow::Result<()> {
        for case in cases(folder, SCHEDULING)? {
            let id = text(&case, "name");
            match outputs.get(id) {
                None => report.differs(id, "did not run"),
                Some(output) => match scheduling_difference(&case["expected"], output) {
                    None => report.right(),
                    Some(what) => report.differs(id, what),
                },
            }
        }
        Ok(())
    }
}

fn scheduling_difference(expected: &Value, output: &Value) -> Option<String> {
    let set = |value: &Value, key: &str| texts(value, key).into_iter().collect::<BTreeSet<_>>();
    for key in ["candidatesForNextReplica", "reasons"] {
        let (ours, theirs) = (set(output, key), set(expected, key));
        if ours != theirs {
            return Some(format!("{key}: {ours:?}, expected {theirs:?}"));
        }
    }
    let ours = list(output, "placements");
    let theirs = list(expected, "placements");
    if let Some(missing) = theirs.iter().find(|placement| !ours.contains(placement)) {
        return Some(format!(
            "placements: {missing} is not among {}",
            json!(ours)
        ));
    }
    if theirs.len() == 1 && ours.len() != 1 {
        return Some(format!(
            "placements: {} instead of {} alone",
            json!(ours),
            theirs[0]
        ));
    }
    None
}

fn affinity(volume: &Value, key: &str) -> Affinity {
    match text(volume, key) {
        "enabled" => Affinity::Enabled,
        "disabled" => Affinity::Disabled,
        _ => Affinity::Ignored,
    }
}

fn disk(value: &Value) -> Disk {
    let kind = match text(value, "type") {
        "block" => DiskKind::Block,
        _ => DiskKind::Filesystem,
    };
    Disk::new(text(value, "uuid"), number(value, "storageMaximum"))
        .available(number(value, "storageAvailable"))
        .reserved(number(value, "storageReserved"))
        .scheduled(number(value, "storageScheduled"))
        .tags(texts(value, "tags"))
        .filesystem(text(value, "fsType"))
        .kind(kind)
        .allow_scheduling(!flag(value, "allowSchedulingFalse"))
        .schedulable(!flag(value, "conditionSchedulableFalse"))
        .eviction_requested(flag(value, "evictionRequested"))
}

fn schedule(case: &Value) -> Result<Value, String> {
    let mut settings = SchedulingSettings::default();
    for (name, value) in case
        .get("settings")
        .and_then(Value::as_object)
        .into_iter()
        .flatten()
    {
        let value = value.as_str().unwrap_or_default();
        settings
            .set(name, value)
            .map_err(|error| error.to_string())?;
    }
    let volume = &case["volume"];
    let size = number(volume, "size");
    let mut cluster = Cluster::new(list(case, "nodes").iter().map(|value| {
        let mut node = Node::new(text(value, "name"))
            .zone(text(value, "zone"))
            .tags(texts(value, "tags"))
            .ready(!flag(value, "conditionReadyFalse"))
            .schedulable(!flag(value, "conditionSchedulableFalse"))
            .allow_scheduling(!flag(value, "allowSchedulingFalse"));
        for value in list(value, "disks") {
            node = node.disk(disk(value));
        }
        node
    }))
    .settings(settings);
    let replicas: Vec<Replica> = list(case, "existingReplicas")
        .iter()
        .map(|value| {
            let retries = u32::try_from(number(value, "rebuildRetryCount")).unwrap_or(u32::MAX);
            Replica::new(text(value, "node"), text(value, "disk"))
                .failed(flag(value, "failed"), retries)
                .eviction_requested(flag(value, "evictionRequested"))
        })
        .collect();
    for replica in &replicas {
        cluster.account(replica, size);
    }
    let locality = match text(volume, "dataLocality") {
        "best-effort" => DataLocality::BestEffort,
        "strict-local" => DataLocality::StrictLocal,
        _ => DataLocality::Disabled,
    };
    let attached = volume.get("attachedNode").and_then(Value::as_str);
    let wanted = u32::try_from(number(volume, "numberOfReplicas")).unwrap_or(u32::MAX);
    let mut request = VolumeRequest::new(text(case, "name"), size, wanted)
        .actual_size(number(volume, "actualSize"))
        .node_selector(texts(volume, "nodeSelector"))
        .disk_selector(texts(volume, "diskSelector"))
        .anti_affinity(
            affinity(volume, "replicaSoftAntiAffinity"),
            affinity(volume, "replicaZoneSoftAntiAffinity"),
            affinity(volume, "replicaDiskSoftAntiAffinity"),
        )
        .auto_balance(match text(volume, "replicaAutoBalance") {
            "best-effort" => AutoBalance::BestEffort,
            "least-effort" => AutoBalance::LeastEffort,
            "disabled" => AutoBalance::Disabled,
            _ => AutoBalance::Ignored,
        })
        .data_locality(locality, attached.map(str::to_owned));
    if let Some(node) = volume.get("hardNodeAffinity").and_then(Value::as_str) {
        request = request.hard_node_affinity(node);
    }
    let candidates = cluster.candidates(&request, &replicas);
    let mut placements: Vec<Vec<String>> = Vec::new();
    for outcome in cluster.outcomes(&request, &replicas, OUTCOMES) {
        let placement = outcome
            .steps()
            .map(|disk| disk.unwrap_or_default().to_owned());
        let placement: Vec<String> = placement.collect();
        if !placements.contains(&placement) {
            placements.push(placement);
        }
    }
    placements.sort_unstable();
    let reasons: Vec<String> = candidates.reasons.iter().map(ToString::to_string).collect();
    let mut output =
        json!({"candidatesForNextReplica": candidates.disks, "placements": placements});
    if !reasons.is_empty() {
        output["reasons"] = json!(reasons);
    }
    Ok(output)
}

struct Settings;

impl Suite for Settings {
    fn name(&self) -> &'static str {
        "longhorn-settings"
    }

    fn run(&self, folder: &Folder, runner: &mut Runner<'_>) -> anyhow::Result<()> {
        for case in cases(folder, &["setting-values.json"])? {
            let (name, value) = (text(&case, "name"), text(&case, "value"));
            runner.case(format!("{name}={value}"), || {
                match settings::validate(Version::V1_12, name, value) {
                    Ok(()) => json!({"valid": true}),
                    Err(error) => json!({"valid": false, "why": error.to_string()}),
                }
            });
        }
        Ok(())
    }

    fn check(&self, folder: &Folder, outputs: &Outputs, report: &mut Report) -> anyhow::Result<()> {
        for case in cases(folder, &["setting-values.json"])? {
            let id = format!("{}={}", text(&case, "name"), text(&case, "value"));
            let valid = outputs.get(&id).and_then(|output| output.get("valid"));
            report.equal(&id, &case["valid"], valid);
        }
        Ok(())
    }
}

struct StorageClasses;

impl Suite for StorageClasses {
    fn name(&self) -> &'static str {
        "longhorn-storageclass"
    }

    fn run(&self, folder: &Folder, runner: &mut Runner<'_>) -> anyhow::Result<()> {
        for case in cases(folder, &["storageclass-parameters.json"])? {
            runner.case(text(&case, "name"), || {
                let given = case["parameters"].as_object().into_iter().flatten();
                let parameters = given.map(|(k, v)| (k.as_str(), v.as_str().unwrap_or_default()));
                match VolumeParameters::from_parameters(parameters) {
                    Ok(volume) => json!({"volume": volume.to_json()}),
                    Err(error) => json!({"error": error.to_string()}),
                }
            });
        }
        Ok(())
    }

    fn check(&self, folder: &Folder, outputs: &Outputs, report: &mut Report) -> anyhow::Result<()> {
        for case in cases(folder, &["storageclass-parameters.json"])? {
            let id = text(&case, "name");
            let expected = &case["expected"];
            let output = outputs.get(id);
            if expected.get("error").is_none() {
                report.equal(id, expected, output);
            } else if output.is_some_and(|output| output.get("error").is_some()) {
                report.right();
            } else {
                report.differs(id, "accepted, expected an error");
            }
        }
        Ok(())
    }
}
