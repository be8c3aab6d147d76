//! Kinds of storages: what each may hold, which settings it has, and which of them are secret.

use serde_json::{Map, Value};

use crate::simulator::route::shared::names;
use crate::simulator::section::Opt;

/// A kind of storage.
pub(super) struct Kind {
    pub(super) name: &'static str,
    pub(super) options: &'static [Opt],
    /// What it can hold.
    pub(super) contents: &'static [&'static str],
    /// What it holds where nothing is said.
    pub(super) default: &'static [&'static str],
    /// Settings that are kept elsewhere.
    pub(super) secrets: &'static [&'static str],
    /// Whether all nodes see the same without being told.
    pub(super) shared: bool,
    /// Whether it is mounted below `/mnt/pve` unless a path is given.
    pub(super) mounts: bool,
}

pub(super) const NAMES: [&str; 14] = [
    "btrfs",
    "cephfs",
    "cifs",
    "dir",
    "esxi",
    "iscsi",
    "iscsidirect",
    "lvm",
    "lvmthin",
    "nfs",
    "pbs",
    "rbd",
    "zfs",
    "zfspool",
];

const FILES: &[&str] = &[
    "images", "rootdir", "vztmpl", "iso", "backup", "snippets", "import",
];
const FILES_OR_NONE: &[&str] = &[
    "images", "rootdir", "vztmpl", "iso", "backup", "snippets", "import", "none",
];
const DISKS: &[&str] = &["images", "rootdir"];

const fn may(name: &'static str) -> Opt {
    Opt::optional(name)
}

const fn at(name: &'static str) -> Opt {
    Opt::required(name).fixed()
}

const DIR: &[Opt] = &[
    at("path"),
    may("content-dirs"),
    may("nodes"),
    may("shared"),
    may("disable"),
    may("prune-backups"),
    may("max-protected-backups"),
    may("content"),
    may("format"),
    may("mkdir"),
    may("create-base-path"),
    may("create-subdirs"),
    may("is_mountpoint"),
    may("bwlimit"),
    may("preallocation"),
    may("snapshot-as-volume-chain").fixed(),
];

const BTRFS: &[Opt] = &[
    at("path"),
    may("nodes"),
    may("shared"),
    may("disable"),
    may("prune-backups"),
    may("max-protected-backups"),
    may("content"),
    may("format"),
    may("is_mountpoint"),
    may("nocow"),
    may("mkdir"),
    may("create-base-path"),
    may("create-subdirs"),
    may("preallocation"),
];

const NFS: &[Opt] = &[
    at("path"),
    may("content-dirs"),
    at("server"),
    at("export"),
    may("nodes"),
    may("disable"),
    may("prune-backups"),
    may("max-protected-backups"),
    may("options"),
    may("content"),
    may("format"),
    may("mkdir"),
    may("create-base-path"),
    may("create-subdirs"),
    may("bwlimit"),
    may("preallocation"),
    may("snapshot-as-volume-chain").fixed(),
];

const CIFS: &[Opt] = &[
    at("path"),
    may("content-dirs"),
    at("server"),
    at("share"),
    may("subdir"),
    may("nodes"),
    may("disable"),
    may("prune-backups"),
    may("max-protected-backups"),
    may("content"),
    may("format"),
    may("username"),
    may("password"),
    may("domain"),
    may("smbversion"),
    may("mkdir"),
    may("create-base-path"),
    may("create-subdirs"),
    may("bwlimit"),
    may("preallocation"),
    may("options"),
    may("snapshot-as-volume-chain").fixed(),
];

const CEPHFS: &[Opt] = &[
    at("path"),
    may("content-dirs"),
    may("monhost"),
    may("nodes"),
    may("subdir"),
    may("disable"),
    may("options"),
    may("username"),
    may("content"),
    may("format"),
    may("mkdir"),
    may("create-base-path"),
    may("create-subdirs"),
    may("fuse"),
    may("bwlimit"),
    may("keyring"),
    may("prune-backups"),
    may("max-protected-backups"),
    may("fs-name"),
];

const RBD: &[Opt] = &[
    may("nodes"),
    may("disable"),
    may("monhost"),
    may("pool"),
    may("data-pool"),
    may("namespace"),
    may("username"),
    may("content"),
    may("krbd"),
    may("keyring"),
    may("bwlimit"),
];

const LVM: &[Opt] = &[
    at("vgname"),
    may("nodes"),
    may("shared"),
    may("disable"),
    may("saferemove"),
    may("saferemove-stepsize"),
    may("saferemove_throughput"),
    may("content"),
    may("base").fixed(),
    may("tagged_only"),
    may("bwlimit"),
    may("snapshot-as-volume-chain"),
];

const LVM_THIN: &[Opt] = &[
    at("thinpool"),
    at("vgname"),
    may("nodes"),
    may("disable"),
    may("content"),
    may("bwlimit"),
];

const ZFS_POOL: &[Opt] = &[
    at("pool"),
    may("blocksize"),
    may("sparse"),
    may("nodes"),
    may("disable"),
    may("content"),
    may("bwlimit"),
    may("mountpoint"),
];

const ISCSI: &[Opt] = &[
    at("portal"),
    at("target"),
    may("nodes"),
    may("disable"),
    may("content"),
    may("bwlimit"),
];

const PBS: &[Opt] = &[
    at("server"),
    at("datastore"),
    may("namespace"),
    may("port"),
    may("nodes"),
    may("disable"),
    may("content"),
    may("username"),
    may("password"),
    may("encryption-key"),
    may("master-pubkey"),
    may("prune-backups"),
    may("max-protected-backups"),
    may("fingerprint"),
];

const ESXI: &[Opt] = &[
    may("nodes"),
    may("shared"),
    may("disable"),
    may("content"),
    Opt::required("server"),
    Opt::required("username"),
    may("password"),
    may("skip-cert-verification"),
    may("port"),
];

const fn kind(
    name: &'static str,
    options: &'static [Opt],
    contents: &'static [&'static str],
    default: &'static [&'static str],
) -> Kind {
    Kind {
        name,
        options,
        contents,
        default,
        secrets: &[],
        shared: false,
        mounts: false,
    }
}

impl Kind {
    const fn shared(self) -> Self {
        Self {
            shared: true,
            ..self
        }
    }

    const fn mounted(self) -> Self {
        Self {
            shared: true,
            mounts: true,
            ..self
        }
    }

    const fn secret(self, secrets: &'static [&'static str]) -> Self {
        Self { secrets, ..self }
    }
}

const IMAGES: &[&str] = &["images"];
const IMAGES_OR_NONE: &[&str] = &["images", "none"];
const CEPH_FILES: &[&str] = &["vztmpl", "iso", "backup", "snippets", "import"];
const PBS_SECRETS: &[&str] = &["password", "encryption-key", "master-pubkey"];

/// ZFS through iSCSI is not modelled.
static KINDS: [Kind; 13] = [
    kind("dir", DIR, FILES_OR_NONE, DISKS),
    kind("btrfs", BTRFS, FILES_OR_NONE, DISKS),
    kind("nfs", NFS, FILES, IMAGES).mounted(),
    kind("cifs", CIFS, FILES, IMAGES)
        .mounted()
        .secret(&["password"]),
    kind("cephfs", CEPHFS, CEPH_FILES, &["backup"])
        .mounted()
        .secret(&["keyring"]),
    kind("rbd", RBD, DISKS, IMAGES)
        .shared()
        .secret(&["keyring"]),
    kind("lvm", LVM, DISKS, IMAGES),
    kind("lvmthin", LVM_THIN, DISKS, DISKS),
    kind("zfspool", ZFS_POOL, DISKS, DISKS),
    kind("iscsi", ISCSI, IMAGES_OR_NONE, IMAGES).shared(),
    kind("iscsidirect", ISCSI, IMAGES_OR_NONE, IMAGES).shared(),
    kind("pbs", PBS, &["backup", "none"], &["backup"])
        .shared()
        .secret(PBS_SECRETS),
    kind("esxi", ESXI, &["import"], &["import"]).secret(&["password"]),
];

impl Kind {
    pub(super) fn of(name: &str) -> Option<&'static Self> {
        KINDS.iter().find(|kind| kind.name == name)
    }

    /// Settings as the file keeps them: content that the kind cannot hold is left out, paths end without a slash.
    pub(super) fn complete(&self, section: &mut Map<String, Value>) -> Result<(), String> {
        if let Some(text) = section.get("content").and_then(Value::as_str) {
            let held: Vec<&str> = names(text)
                .filter(|name| self.contents.contains(name))
                .collect();
            if held.contains(&"none") && held.len() > 1 {
                return Err("unable to combine 'none' with other content types".to_owned());
            }
            if held.is_empty() && !self.contents.contains(&"none") {
                return Err("storage does not support content type 'none'".to_owned());
            }
            let content = held.join(",");
            section.insert("content".to_owned(), content.into());
        }
        if let Some(path) = section.get("path").and_then(Value::as_str) {
            let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-/_.@".contains(&byte);
            if self.name == "dir" && !path.bytes().all(plain) {
                return Err(format!("illegal path for directory storage: {path}"));
            }
            let short = path.trim_end_matches('/').to_owned();
            if self.name == "dir" && !short.is_empty() {
                section.insert("path".to_owned(), short.into());
            }
        }
        Ok(())
    }
}
