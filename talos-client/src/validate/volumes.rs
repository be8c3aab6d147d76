//! Documents about volumes, disks and what is built on them.

use super::expression::{Environment, Output};
use super::{Findings, flag, int, list, text};
use crate::config::Document;
use crate::quote::quote;
use crate::value::Value;

const SYSTEM_VOLUMES: [&str; 7] = [
    "STATE",
    "EPHEMERAL",
    "IMAGECACHE",
    "ETCD",
    "CRI",
    "KUBELET",
    "LOG",
];
/// Partition labels have 36 characters, of which a prefix takes two.
const LONGEST_NAME: usize = 34;
/// Shortest interval between two scrubs, in nanoseconds.
const SCRUB_MINIMUM: i64 = 10_000_000_000;

pub(super) fn check(kind: &str, name: &str, document: &Document, findings: &mut Findings<'_>) {
    match kind {
        "VolumeConfig" => system(name, document, findings),
        "UserVolumeConfig" => {
            named(name, Some(LONGEST_NAME), findings);
            user(document, findings);
            upkeep(document, findings);
        }
        "RawVolumeConfig" | "SwapVolumeConfig" => {
            named(name, Some(LONGEST_NAME), findings);
            provisioning(document, true, true, findings);
            encryption(document, findings);
        }
        "ExistingVolumeConfig" => {
            named(name, None, findings);
            selector(
                document,
                "discovery.volumeSelector.match",
                Environment::Volume,
                ("volume selector is required", "volume selector is invalid"),
                findings,
            );
            upkeep(document, findings);
        }
        "ExternalVolumeConfig" => {
            named(name, Some(LONGEST_NAME), findings);
            external(document, findings);
        }
        "FilesystemTrimConfig" if super::duration(document, "interval") < 0 => {
            findings.error("interval cannot be negative");
        }
        "FilesystemScrubConfig" => scrub_interval(document, "interval", findings),
        "ZswapConfig" => {
            if let Some(percent) = document.at("maxPoolPercent").and_then(Value::as_int)
                && !(0..=100).contains(&percent)
            {
                findings.error("maxPoolPercent must be between 0 and 100");
            }
        }
        "LVMLogicalVolumeConfig" => logical(name, document, findings),
        "LVMVolumeGroupConfig" => {
            storage_name(name, 63, findings);
            volume_match(document, Environment::Volume, findings);
        }
        "RAIDArrayConfig" => {
            storage_name(name, 32, findings);
            volume_match(document, Environment::Volume, findings);
        }
        "UnattendedInstallConfig" => {
            if text(document, "installer.image").is_empty() {
                findings.warning(
                    "installer.image is not set, if Talos is not booted from asset built by Image Factory, installation will fail",
                );
            }
            let place = "provisioning.volumeSelector.match";
            selector(
                document,
                "provisioning.diskSelector.match",
                Environment::Disk,
                (&format!("{place} is required"), place),
                findings,
            );
        }
        _ => {}
    }
}

fn named(name: &str, longest: Option<usize>, findings: &mut Findings<'_>) {
    findings.require(!name.is_empty(), "name is required");
    if let Some(longest) = longest
        && !(1..=longest).contains(&name.len())
    {
        findings.error(format!(
            "name must be between 1 and {longest} characters long"
        ));
    }
    if !name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-') {
        findings.error(
            "name can only contain lowercase and uppercase ASCII letters, digits, and hyphens",
        );
    }
}

fn storage_name(name: &str, longest: usize, findings: &mut Findings<'_>) {
    findings.require(!name.is_empty(), "name is required");
    if !(1..=longest).contains(&name.len()) {
        findings.error(format!(
            "name must be between 1 and {longest} characters long"
        ));
    }
    let allowed = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_');
    if !name.bytes().all(allowed) {
        findings.error("name can only contain ASCII letters, digits, hyphens and underscores");
    }
}

/// An expression that must be there: what is said of its absence, and the prefix of what is wrong with it.
fn selector(
    document: &Document,
    path: &str,
    environment: Environment,
    (absent, invalid): (&str, &str),
    findings: &mut Findings<'_>,
) {
    match text(document, path) {
        "" => findings.error(absent),
        expression => {
            if let Err(why) = environment.check(expression, Output::Bool) {
                findings.error(format!("{invalid}: {why}"));
            }
        }
    }
}

fn volume_match(document: &Document, environment: Environment, findings: &mut Findings<'_>) {
    let path = "provisioning.volumeSelector.match";
    let absent = format!("{path} is required");
    selector(document, path, environment, (&absent, path), findings);
}

fn scrub_interval(document: &Document, path: &str, findings: &mut Findings<'_>) {
    let interval = super::duration(document, path);
    if interval != 0 && interval < SCRUB_MINIMUM {
        findings.error("scrub interval: minimum value is 10s");
    }
}

fn upkeep(document: &Document, findings: &mut Findings<'_>) {
    if super::duration(document, "trim.interval") < 0 {
        findings.error("trim interval cannot be negative");
    }
    scrub_interval(document, "scrub.interval", findings);
}

/// Whether provisioning says anything.
fn is_provisioned(document: &Document) -> bool {
    ["diskSelector.match", "grow", "minSize", "maxSize"]
        .iter()
        .any(|field| document.at(&format!("provisioning.{field}")).is_some())
}

fn is_encrypted(document: &Document) -> bool {
    !text(document, "encryption.provider").is_empty()
        || !list(document, "encryption.keys").is_empty()
}

fn user(document: &Document, findings: &mut Findings<'_>) {
    match text(document, "volumeType") {
        "directory" => {
            let said = |path: &str| document.at(path).is_some();
            let filesystem = ["type", "projectQuotaSupport", "xfs"]
                .iter()
                .any(|field| said(&format!("filesystem.{field}")));
            for (set, what) in [
                (is_provisioned(document), "provisioning spec"),
                (is_encrypted(document), "encryption spec"),
                (filesystem, "filesystem spec"),
                (said("mount.disableAccessTime"), "mount.disableAccessTime"),
            ] {
                if set {
                    findings.error(format!("{what} is invalid for volumeType directory"));
                }
            }
        }
        kind @ ("" | "partition" | "disk") => {
            provisioning(document, true, kind != "disk", findings);
            filesystem(document, findings);
            encryption(document, findings);
        }
        other => findings.error(format!("unsupported volume type {}", quote(other))),
    }
}

fn filesystem(document: &Document, findings: &mut Findings<'_>) {
    let kind = text(document, "filesystem.type");
    let is_xfs = matches!(kind, "" | "xfs");
    if !matches!(kind, "" | "xfs" | "ext4" | "btrfs") {
        findings.error(format!("unsupported filesystem type: {kind}"));
    } else if flag(document, "filesystem.projectQuotaSupport") == Some(true) && !is_xfs {
        findings.error("project quota support is only available for xfs filesystem");
    } else if document.at("filesystem.xfs").is_some() && !is_xfs {
        findings.error("xfs options are only available for xfs filesystem");
    }
}

fn external(document: &Document, findings: &mut Findings<'_>) {
    match text(document, "filesystemType") {
        "virtiofs" if document.at("mount.virtiofs").is_none() => {
            findings.error("virtiofs mount spec is required");
        }
        "virtiofs" => findings.require(
            !text(document, "mount.virtiofs.tag").is_empty(),
            "virtiofs tag is required",
        ),
        "" => findings.error("invalid filesystem type: none"),
        other => findings.error(format!("invalid filesystem type: {other}")),
    }
}

fn system(name: &str, document: &Document, findings: &mut Findings<'_>) {
    if !SYSTEM_VOLUMES.contains(&name) {
        let known: Vec<String> = SYSTEM_VOLUMES.iter().map(|name| quote(name)).collect();
        return findings.error(format!("only [{}] volumes are supported", known.join(" ")));
    }
    let mounted = ["secure", "disableAccessTime"]
        .iter()
        .any(|field| document.at(&format!("mount.{field}")).is_some());
    let no_mount = format!("mount config is not allowed for the \"{name}\" volume");
    match name {
        "STATE" => {
            if is_provisioned(document) {
                findings.error("provisioning config is not allowed for the \"STATE\" volume");
            }
            for key in list(document, "encryption.keys") {
                if key.at("lockToState").and_then(Value::as_bool) == Some(true) {
                    findings.error("state-locked key is not allowed for the \"STATE\" volume");
                }
            }
            findings.require(!mounted, &no_mount);
        }
        "IMAGECACHE" => {
            findings.require(!mounted, &no_mount);
            if document.at("filesystem.xfs").is_some() {
                findings.error("filesystem config is not allowed for the \"IMAGECACHE\" volume");
            }
        }
        "EPHEMERAL" => {}
        _ if mounted && !is_provisioned(document) => findings.error(format!(
            "mount config for the \"{name}\" volume is only supported when it is provisioned onto a dedicated partition"
        )),
        _ => {}
    }
    provisioning(document, false, true, findings);
    encryption(document, findings);
    upkeep(document, findings);
}

/// A size in bytes without its sign, and whether it is negative or a percentage.
#[derive(Clone, Copy, Default)]
struct Size {
    set: bool,
    bytes: u64,
    negative: bool,
    relative: bool,
}

fn size(document: &Document, path: &str) -> Size {
    let written = text(document, path);
    let bare = written.strip_prefix('-').unwrap_or(written);
    Size {
        set: !written.is_empty(),
        bytes: crate::size::bytes(bare).unwrap_or_default(),
        negative: written.starts_with('-'),
        relative: written.contains('%'),
    }
}

fn provisioning(document: &Document, required: bool, sized: bool, findings: &mut Findings<'_>) {
    let expression = text(document, "provisioning.diskSelector.match");
    if !expression.is_empty() {
        if let Err(why) = Environment::Disk.check(expression, Output::Bool) {
            findings.error(format!("disk selector is invalid: {why}"));
        }
    } else if required {
        findings.error("disk selector is required");
    }
    let (least, most) = (
        size(document, "provisioning.minSize"),
        size(document, "provisioning.maxSize"),
    );
    if !sized {
        if least.set || most.set || document.at("provisioning.grow").is_some() {
            findings.error("min size, max size and grow are not supported");
        }
        return;
    }
    if least.set && most.set && !most.relative && !most.negative {
        if least.bytes > most.bytes {
            findings.error("min size is greater than max size");
        }
    } else if required && !least.set && !most.set {
        findings.error("min size or max size is required");
    }
    if least.negative {
        findings.error("min size cannot be negative");
    }
}

fn encryption(document: &Document, findings: &mut Findings<'_>) {
    if !is_encrypted(document) {
        return;
    }
    let provider = text(document, "encryption.provider");
    if provider != "luks2" {
        let shown = if provider.is_empty() {
            "none"
        } else {
            provider
        };
        findings.error(format!("unsupported encryption provider: {shown}"));
    }
    let keys = list(document, "encryption.keys");
    if keys.is_empty() {
        findings.error("encryption keys are required");
    }
    let mut slots = Vec::new();
    for key in keys {
        let slot = key.at("slot").and_then(Value::as_int).unwrap_or_default();
        if slots.contains(&slot) {
            findings.error(format!("duplicate key slot {slot}"));
        }
        slots.push(slot);
        if !["static", "nodeID", "kms", "tpm"]
            .iter()
            .any(|kind| key.at(kind).is_some())
        {
            findings.error(format!(
                "at least one encryption key type must be specified for slot {slot}"
            ));
        }
        let registers = key.at("tpm.options.pcrs").map(Value::as_list);
        for register in registers
            .unwrap_or_default()
            .iter()
            .filter_map(Value::as_int)
        {
            if !(0..=23).contains(&register) {
                findings.error(format!("TPM PCR {register} is out of range (0-23)"));
            }
        }
    }
}

fn logical(name: &str, document: &Document, findings: &mut Findings<'_>) {
    storage_name(name, 63, findings);
    let kind = match text(document, "type") {
        "" => "linear",
        kind => kind,
    };
    for (field, kinds, least) in [
        ("mirrors", ["raid1", "raid10"], 1),
        ("stripes", ["raid0", "raid10"], 2),
    ] {
        if document.at(field).is_none() {
            continue;
        }
        if !kinds.contains(&kind) {
            let kinds = kinds.join("/");
            findings.error(format!("{field} is only valid for {kinds}, not {kind}"));
        } else if int(document, field) < least {
            findings.error(format!("{field} must be at least {least}"));
        }
    }
    findings.require(
        !text(document, "provisioning.volumeGroup").is_empty(),
        "provisioning.volumeGroup is required",
    );
    let (least, most) = (
        size(document, "provisioning.minSize"),
        size(document, "provisioning.maxSize"),
    );
    findings.require(most.set, "provisioning.maxSize is required");
    findings.require(!most.negative, "provisioning.maxSize must not be negative");
    if least.set && !most.relative && least.bytes > most.bytes {
        findings.error("provisioning.minSize must not exceed provisioning.maxSize");
    }
}
