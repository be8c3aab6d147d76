//! What is put into a world: nodes, storages, files on the modelled internet.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::Map;

use crate::simulator::route::{PciSpec, UsbSpec};
use crate::simulator::volume::Storage;

/// A node to be put into a world.
#[derive(Serialize, Deserialize, Debug, Clone)]
#[non_exhaustive]
pub struct NodeSpec {
    pub(super) name: String,
    pub(super) cores: u32,
    pub(super) memory: u64,
    pub(super) address: String,
    pub(super) bridges: Vec<(String, bool)>,
    #[serde(default)]
    pub(super) cards: Vec<String>,
    #[serde(default)]
    pub(super) pci: Vec<PciSpec>,
    #[serde(default)]
    pub(super) usb: Vec<UsbSpec>,
}

impl NodeSpec {
    /// A node with logical processors and memory in bytes, and no bridge.
    pub fn new(name: &str, cores: u32, memory: u64) -> Self {
        Self {
            name: name.to_owned(),
            cores,
            memory,
            address: "192.0.2.10".to_owned(),
            bridges: Vec::new(),
            cards: Vec::new(),
            pci: Vec::new(),
            usb: Vec::new(),
        }
    }

    /// Adds a PCI device.
    #[must_use]
    pub fn with_pci_device(mut self, device: PciSpec) -> Self {
        self.pci.push(device);
        self
    }

    /// Adds a USB device.
    #[must_use]
    pub fn with_usb_device(mut self, device: UsbSpec) -> Self {
        self.usb.push(device);
        self
    }

    /// Adds a network card. The first one is a port of the first bridge.
    #[must_use]
    pub fn with_card(mut self, name: &str) -> Self {
        self.cards.push(name.to_owned());
        self
    }

    /// Adds a bridge; a VLAN-aware one passes tags to guests.
    #[must_use]
    pub fn with_bridge(mut self, name: &str, vlan_aware: bool) -> Self {
        self.bridges.push((name.to_owned(), vlan_aware));
        self
    }

    /// The node's address, as `/cluster/status` tells it.
    #[must_use]
    pub fn with_address(mut self, address: &str) -> Self {
        self.address = address.to_owned();
        self
    }
}

/// A storage to be put into a world; all nodes see it.
#[derive(Serialize, Deserialize, Debug, Clone)]
#[non_exhaustive]
pub struct StorageSpec(pub(super) Storage);

impl StorageSpec {
    fn new(name: &str, kind: &str, total: u64, path: Option<&str>, content: &[&str]) -> Self {
        Self(Storage {
            name: name.to_owned(),
            kind: kind.to_owned(),
            path: path.map(str::to_owned),
            content: content.iter().map(|kind| (*kind).to_owned()).collect(),
            shared: false,
            prune_backups: path.is_some().then(|| "keep-all=1".to_owned()),
            total,
            base_used: 0,
            volumes: BTreeMap::new(),
            archives: BTreeMap::new(),
            more: Map::new(),
            hold: Duration::ZERO,
            allocation_speed: None,
        })
    }

    /// A storage of any kind that holds nothing yet.
    pub(in super::super) fn bare(name: &str, kind: &str, total: u64) -> Storage {
        Self::new(name, kind, total, None, &[]).0
    }

    /// A directory that holds everything; size in bytes.
    pub fn directory(name: &str, path: &str, total: u64) -> Self {
        let all = [
            "images", "rootdir", "vztmpl", "iso", "backup", "snippets", "import",
        ];
        Self::new(name, "dir", total, Some(path), &all)
    }

    /// An LVM thin pool, which holds images only; size in bytes.
    pub fn lvm_thin(name: &str, total: u64) -> Self {
        Self::new(name, "lvmthin", total, None, &["images", "rootdir"])
    }

    /// Limits what it may hold: `images`, `iso`, `import`, …
    #[must_use]
    pub fn with_content(mut self, content: &[&str]) -> Self {
        self.0.content = content.iter().map(|kind| (*kind).to_owned()).collect();
        self
    }

    /// Marks it as the same on all nodes; then allocations take a cluster lock.
    #[must_use]
    pub fn with_shared(mut self) -> Self {
        self.0.shared = true;
        self
    }

    /// Which backups are kept: `keep-last=3,keep-daily=7`.
    #[must_use]
    pub fn with_prune_backups(mut self, keep: &str) -> Self {
        self.0.prune_backups = Some(keep.to_owned());
        self
    }

    /// A storage of any kind that holds files in a directory.
    #[must_use]
    pub fn with_kind(mut self, kind: &str) -> Self {
        self.0.kind = kind.to_owned();
        self
    }

    /// How long one allocation holds the storage's lock, whatever its size.
    #[must_use]
    pub fn with_allocation_time(mut self, hold: Duration) -> Self {
        self.0.hold = hold;
        self
    }

    /// Bytes per second at which new volumes are filled, as with preallocation: an allocation holds the storage's lock so
    /// much longer. By default size does not matter.
    #[must_use]
    pub fn with_allocation_speed(mut self, bytes_per_second: u64) -> Self {
        self.0.allocation_speed = Some(bytes_per_second.max(1));
        self
    }

    /// Bytes in use by things that nobody lists.
    #[must_use]
    pub fn with_used(mut self, bytes: u64) -> Self {
        self.0.base_used = bytes;
        self
    }
}

/// A file on the modelled internet, for `download-url`.
#[derive(Serialize, Deserialize, Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct RemoteFile {
    /// Bytes.
    pub size: u64,
    /// Bytes per second.
    pub speed: u64,
    /// Its SHA-256 in hexadecimal; none accepts any checksum asked for.
    pub sha256: Option<String>,
}

impl RemoteFile {
    /// A file of that size, at 100 MiB/s.
    pub fn new(size: u64) -> Self {
        Self {
            size,
            speed: 100 << 20,
            sha256: None,
        }
    }

    /// Its SHA-256 in hexadecimal.
    #[must_use]
    pub fn with_sha256(mut self, digest: &str) -> Self {
        self.sha256 = Some(digest.to_ascii_lowercase());
        self
    }

    /// Bytes per second.
    #[must_use]
    pub fn with_speed(mut self, bytes_per_second: u64) -> Self {
        self.speed = bytes_per_second.max(1);
        self
    }
}
