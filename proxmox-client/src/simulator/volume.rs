//! Storages and volumes in the world.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::route::Firewall;

/// A storage.
#[derive(Serialize, Deserialize, Debug, Clone)]
pub(super) struct Storage {
    pub(super) name: String,
    pub(super) kind: String,
    pub(super) path: Option<String>,
    pub(super) content: Vec<String>,
    pub(super) shared: bool,
    pub(super) prune_backups: Option<String>,
    pub(super) total: u64,
    pub(super) base_used: u64,
    pub(super) volumes: BTreeMap<String, Volume>,
    /// What is in the backups among them, and what is said about these.
    #[serde(default)]
    pub(super) archives: BTreeMap<String, Archive>,
    /// Settings without a field of their own.
    #[serde(default)]
    pub(super) more: Map<String, Value>,
    /// How long an allocation holds the storage's lock.
    pub(super) hold: std::time::Duration,
    /// Bytes per second at which new volumes are filled.
    #[serde(default)]
    pub(super) allocation_speed: Option<u64>,
}

#[derive(Serialize, Deserialize, Debug, Clone)]
pub(super) struct Volume {
    pub(super) content: String,
    pub(super) format: String,
    /// What lists show: of an image in use the disk's size, of a file its own.
    pub(super) size: u64,
    /// The size of the disk that a packed image holds, where it differs.
    pub(super) disk_size: Option<u64>,
    pub(super) used: u64,
    pub(super) ctime: u64,
    pub(super) vmid: Option<u32>,
    pub(super) parent: Option<String>,
}

impl Storage {
    /// Whether volumes are files in a directory.
    pub(super) fn is_files(&self) -> bool {
        self.path.is_some()
    }

    pub(super) fn used(&self) -> u64 {
        self.base_used + self.volumes.values().map(|volume| volume.used).sum::<u64>()
    }

    pub(super) fn available(&self) -> u64 {
        self.total.saturating_sub(self.used())
    }

    /// The name of the next image of a guest, without the storage.
    pub(super) fn next_image(&self, vmid: u32, format: &str, base: bool) -> String {
        let prefix = if base { "base" } else { "vm" };
        for index in 0u32.. {
            let stem = format!("{prefix}-{vmid}-disk-{index}");
            let taken = self.volumes.keys().any(|volid| {
                volid.contains(&format!("vm-{vmid}-disk-{index}."))
                    || volid.ends_with(&format!("vm-{vmid}-disk-{index}"))
                    || volid.contains(&format!("base-{vmid}-disk-{index}."))
                    || volid.ends_with(&format!("base-{vmid}-disk-{index}"))
            });
            if !taken {
                return self.image_name(vmid, &stem, format);
            }
        }
        unreachable!("the loop ends at the first free index")
    }

    /// An image's name as this kind of storage spells it.
    pub(super) fn image_name(&self, vmid: u32, stem: &str, format: &str) -> String {
        if self.is_files() {
            format!("{vmid}/{stem}.{format}")
        } else {
            stem.to_owned()
        }
    }

    /// Where a volume lies on the node.
    pub(super) fn path_of(&self, volume: &str) -> String {
        let name = volume.split_once(':').map_or(volume, |(_, name)| name);
        match &self.path {
            Some(path) => match name.split_once('/') {
                Some(("iso" | "vztmpl", file)) => {
                    let folder = if name.starts_with("iso") {
                        "iso"
                    } else {
                        "cache"
                    };
                    format!("{path}/template/{folder}/{file}")
                }
                Some(("import", file)) => format!("{path}/import/{file}"),
                Some(("snippets", file)) => format!("{path}/snippets/{file}"),
                Some(("backup", file)) => format!("{path}/dump/{file}"),
                _ => format!("{path}/images/{name}"),
            },
            None => format!("/dev/{}/{name}", self.name),
        }
    }

    /// Why a node may not use it now.
    pub(super) fn refuse(&self, node: &str) -> Result<(), String> {
        let name = &self.name;
        if self.more.get("disable") == Some(&1.into()) {
            return Err(format!("storage '{name}' is disabled"));
        }
        let nodes = self.more.get("nodes").and_then(Value::as_str);
        match nodes {
            Some(nodes) if !nodes.split(',').any(|allowed| allowed == node) => Err(format!(
                "storage '{name}' is not available on node '{node}'"
            )),
            _ => Ok(()),
        }
    }

    pub(super) fn entry(&self, node: &str) -> Map<String, Value> {
        let mut entry = self.status(node);
        entry.insert("storage".to_owned(), self.name.as_str().into());
        entry.insert(
            "used_fraction".to_owned(),
            json!(self.used() as f64 / self.total.max(1) as f64),
        );
        entry
    }

    pub(super) fn status(&self, node: &str) -> Map<String, Value> {
        let on = self.refuse(node).is_ok();
        let bytes = |bytes: u64| Value::from(if on { bytes } else { 0 });
        let mut entry = Map::new();
        let mut put = |key: &str, value: Value| entry.insert(key.to_owned(), value);
        put("type", self.kind.as_str().into());
        put("content", self.content.join(",").into());
        put("shared", u8::from(self.shared).into());
        put("enabled", u8::from(on).into());
        put("active", u8::from(on).into());
        put("total", bytes(self.total));
        put("used", bytes(self.used()));
        put("avail", bytes(self.available()));
        entry
    }

    /// Its settings as the file keeps them.
    pub(super) fn settings(&self) -> Map<String, Value> {
        let mut entry = self.more.clone();
        let mut put = |key: &str, value: Value| entry.insert(key.to_owned(), value);
        put(
            "content",
            match self.content.is_empty() {
                true => "none".to_owned(),
                false => self.content.join(","),
            }
            .into(),
        );
        if let Some(path) = &self.path {
            put("path", path.as_str().into());
        }
        if let Some(keep) = &self.prune_backups {
            put("prune-backups", keep.as_str().into());
        }
        if self.shared {
            put("shared", 1.into());
        }
        entry
    }

    /// Takes over settings as the file keeps them.
    pub(super) fn take_settings(&mut self, mut settings: Map<String, Value>) {
        let mut text = |key: &str| {
            let value = settings.shift_remove(key)?;
            value.as_str().map(str::to_owned)
        };
        let content = text("content").unwrap_or_default();
        self.content = content
            .split(',')
            .filter(|kind| !matches!(*kind, "" | "none"))
            .map(str::to_owned)
            .collect();
        self.path = text("path");
        self.prune_backups = text("prune-backups");
        self.shared = settings.shift_remove("shared") == Some(1.into());
        self.more = settings;
    }

    /// The entry of `GET /storage`.
    pub(super) fn definition(&self, digest: &str) -> Map<String, Value> {
        let mut entry = self.settings();
        let mut put = |key: &str, value: &str| entry.insert(key.to_owned(), value.into());
        put("storage", &self.name);
        put("type", &self.kind);
        put("digest", digest);
        entry
    }
}

/// A backup: the guest as it was, and what is said about it.
#[derive(Serialize, Deserialize, Debug, Clone, Default)]
pub(super) struct Archive {
    pub(super) notes: String,
    pub(super) protected: bool,
    /// The guest's configuration.
    pub(super) config: Map<String, Value>,
    /// Its disks by slot.
    pub(super) disks: BTreeMap<String, ArchivedDisk>,
    /// The guest's firewall, if it had any.
    #[serde(default)]
    pub(super) firewall: Option<Firewall>,
}

/// A disk in a backup.
#[derive(Serialize, Deserialize, Debug, Clone)]
pub(super) struct ArchivedDisk {
    /// Where it was.
    pub(super) storage: String,
    pub(super) format: String,
    pub(super) size: u64,
    pub(super) used: u64,
}

impl Volume {
    /// A file that belongs to no guest.
    pub(super) fn file(volid: &str, content: &str, size: u64, ctime: u64) -> Self {
        Self {
            content: content.to_owned(),
            format: file_format(volid).to_owned(),
            size,
            disk_size: None,
            used: size,
            ctime,
            vmid: None,
            parent: None,
        }
    }

    /// Whether it is a guest's disk, not a file.
    pub(super) fn is_disk(&self) -> bool {
        matches!(self.content.as_str(), "images" | "rootdir")
    }

    pub(super) fn entry(&self, volid: &str) -> Map<String, Value> {
        let mut entry = Map::new();
        let mut put = |key: &str, value: Value| entry.insert(key.to_owned(), value);
        put("volid", volid.into());
        put("content", self.content.as_str().into());
        put("format", self.format.as_str().into());
        put("size", self.size.into());
        put("ctime", self.ctime.into());
        if let Some(vmid) = self.vmid {
            put("vmid", vmid.into());
            put("used", self.used.into());
            put(
                "parent",
                self.parent.as_deref().map_or(Value::Null, Value::from),
            );
        }
        entry
    }
}

/// The format that a file's name tells.
pub(super) fn file_format(name: &str) -> &str {
    let known = [
        (".qcow2", "qcow2"),
        (".raw", "raw"),
        (".img", "iso"),
        (".iso", "iso"),
        (".vmdk", "vmdk"),
        (".tar.zst", "tzst"),
        (".tar.gz", "tgz"),
        (".tar.xz", "txz"),
        (".ova", "ova"),
        (".yaml", "snippet"),
        (".yml", "snippet"),
    ];
    known
        .iter()
        .find(|(end, _)| name.ends_with(end))
        .map_or("raw", |(_, format)| format)
}
