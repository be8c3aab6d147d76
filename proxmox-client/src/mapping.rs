//! Resource mappings: one name in the cluster for devices and directories that differ from node to node, and the devices
//! that nodes have.
//!
//! ```
//! # #[cfg(feature = "simulator")]
//! # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), proxmox_client::Error> {
//! use proxmox_client::mapping::{PciMap, PciMappingSettings};
//! use proxmox_client::simulator::{NodeSpec, PciSpec, Simulator, World};
//! let card = PciSpec::new("0000:01:00.0", "10de", "2684").with_class("030000").with_iommu_group(14);
//! let node = NodeSpec::new("pve1", 8, 16 << 30).with_pci_device(card);
//! let client = Simulator::new(World::lab().with_node(node)).connect();
//! let devices = client.node("pve1").pci_devices().await?;
//! let cards = devices.iter().filter(|device| device.is_display());
//! let maps: Vec<PciMap> = cards.map(|card| PciMap::of_device("pve1", card)).collect();
//! let mapping = client.mappings().pci_device("gpu");
//! mapping.ensure(&PciMappingSettings::new().with_maps(&maps)).await?;
//! assert!(client.mappings().pci_checked("pve1").await?[0].problems().is_empty());
//! # Ok(()) }
//! # #[cfg(not(feature = "simulator"))] fn main() {}
//! ```

mod hardware;
mod map;

use crate::client::Client;
use crate::error::Result;
use crate::named::{About, Named, Noun, about, all, list};
use crate::open::open_enum;
use crate::scalar::record;
use crate::setting::{Wanted, settings};

pub use hardware::{MediatedType, PciDevice, UsbDevice};
pub use map::{DirMap, PciMap, UsbMap};

open_enum! {
    /// How bad it is what a check found.
    pub enum Severity {
        /// The mapping cannot be used on the node.
        Error = "error",
        /// Something is missing.
        Warning = "warning",
    }
}

record! {
    /// What a node finds when it checks a mapping.
    pub struct MappingCheck {
        required {
            /// How bad it is.
            "severity" severity: Severity,
            /// What it is.
            "message" message: String,
        }
        optional {}
    }
}

record! {
    /// A mapping of PCI devices: `GET /cluster/mapping/pci`.
    pub struct PciMappingInfo {
        required {
            /// Name.
            "id" id: String,
        }
        optional {
            /// Where it is on which node, as property strings.
            "map" map: Vec<String>,
            /// Description.
            "description" description: String,
            /// Whether the devices provide mediated ones.
            "mdev" mediated: bool,
            /// Whether guests that use it can be moved while they run.
            "live-migration-capable" live_migration: bool,
            /// What the node found that was asked to check it.
            "checks" checks: Vec<MappingCheck>,
            /// Digest of all mappings of PCI devices.
            "digest" digest: String,
        }
    }
}

record! {
    /// A mapping of USB devices: `GET /cluster/mapping/usb`.
    pub struct UsbMappingInfo {
        required {
            /// Name.
            "id" id: String,
        }
        optional {
            /// Where it is on which node, as property strings.
            "map" map: Vec<String>,
            /// Description.
            "description" description: String,
            /// What the node found that was asked to check it.
            "errors" checks: Vec<MappingCheck>,
            /// Digest of all mappings of USB devices.
            "digest" digest: String,
        }
    }
}

record! {
    /// A mapping of directories: `GET /cluster/mapping/dir`.
    pub struct DirMappingInfo {
        required {
            /// Name.
            "id" id: String,
        }
        optional {
            /// Where it is on which node, as property strings.
            "map" map: Vec<String>,
            /// Description.
            "description" description: String,
            /// What the node found that was asked to check it.
            "checks" checks: Vec<MappingCheck>,
            /// Digest of all mappings of directories.
            "digest" digest: String,
        }
    }
}

/// What mappings of each kind can tell.
macro_rules! mapping_info {
    ($Info:ident, $Map:ident) => {
        impl $Info {
            /// Where it is on which node.
            ///
            /// # Errors
            /// An entry that is no property string of that kind.
            pub fn maps(&self) -> Result<Vec<$Map>> {
                let maps = self.map.iter().flatten();
                maps.map(|map| map.parse()).collect()
            }

            /// What the node found that was asked to check it.
            pub fn problems(&self) -> &[MappingCheck] {
                self.checks.as_deref().unwrap_or_default()
            }
        }
    };
}

mapping_info!(PciMappingInfo, PciMap);
mapping_info!(UsbMappingInfo, UsbMap);
mapping_info!(DirMappingInfo, DirMap);

settings! {
    /// Settings of a mapping of PCI devices. A new one needs maps.
    pub struct PciMappingSettings {
        /// Description.
        with_description "description" text,
        /// Whether the devices provide mediated ones.
        with_mediated "mdev" flag,
        /// Whether guests that use it can be moved while they run, which needs hardware and drivers that can.
        with_live_migration "live-migration-capable" flag,
    }
}

settings! {
    /// Settings of a mapping of USB devices. A new one needs maps.
    pub struct UsbMappingSettings {
        /// Description.
        with_description "description" text,
    }
}

settings! {
    /// Settings of a mapping of directories. A new one needs maps.
    pub struct DirMappingSettings {
        /// Description.
        with_description "description" text,
    }
}

/// Where a mapping is, and the noun of its kind.
macro_rules! mapping_noun {
    ($Noun:ident, $Handle:ident, $Info:ident, $Settings:ident, $Map:ident, $what:literal, $path:literal) => {
        impl $Settings {
            /// Where it is on which node: these and no others. A node may have several devices, of which a guest gets the
            /// first that is free.
            #[must_use]
            pub fn with_maps<'a>(mut self, maps: impl IntoIterator<Item = &'a $Map>) -> Self {
                let maps = maps.into_iter().map(ToString::to_string).collect();
                self.0.set("map", Wanted::items(maps));
                self
            }
        }

        #[doc = concat!("The noun of [`", stringify!($Handle), "`].")]
        #[derive(Debug)]
        #[non_exhaustive]
        pub struct $Noun;

        impl about::Sealed for $Noun {
            const ABOUT: About = About {
                // Removing one that is not there succeeds.
                found_by: Some(("id", "id")),
                // Every change is checked like a new one.
                always: &["map"],
                ..About::new($what, $path, "id")
            };
        }

        impl Noun for $Noun {
            type Info = $Info;
            type Settings = $Settings;
        }

        #[doc = concat!("A ", $what, ".")]
        pub type $Handle = Named<$Noun>;
    };
}

mapping_noun!(
    PciMappingNoun,
    PciMapping,
    PciMappingInfo,
    PciMappingSettings,
    PciMap,
    "mapping of PCI devices",
    "/cluster/mapping/pci"
);
mapping_noun!(
    UsbMappingNoun,
    UsbMapping,
    UsbMappingInfo,
    UsbMappingSettings,
    UsbMap,
    "mapping of USB devices",
    "/cluster/mapping/usb"
);
mapping_noun!(
    DirMappingNoun,
    DirMapping,
    DirMappingInfo,
    DirMappingSettings,
    DirMap,
    "mapping of directories",
    "/cluster/mapping/dir"
);

/// The cluster's resource mappings.
///
/// ```
/// # #[cfg(feature = "simulator")]
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), proxmox_client::Error> {
/// # use proxmox_client::simulator::{NodeSpec, PciSpec, Simulator, UsbSpec, World};
/// use proxmox_client::mapping::{DirMap, DirMappingSettings, PciMap, PciMappingSettings};
/// use proxmox_client::mapping::{UsbMap, UsbMappingSettings};
/// # let card = PciSpec::new("0000:01:00.0", "10de", "2684").with_iommu_group(14);
/// # let node = NodeSpec::new("pve1", 8, 16 << 30);
/// # let node = node.with_pci_device(card).with_usb_device(UsbSpec::new("0529", "0620", 1, "2.3"));
/// # let client = Simulator::new(World::lab().with_node(node)).connect();
/// let (node, mappings) = (client.node("pve1"), client.mappings());
/// let card = PciMap::of_device("pve1", &node.pci_devices().await?[0]);
/// mappings.pci_device("gpu").ensure(&PciMappingSettings::new().with_maps([&card])).await?;
/// assert!(mappings.pci_checked("pve1").await?[0].problems().is_empty());
/// let key = UsbMap::of_device("pve1", &node.usb_devices().await?[0]);
/// mappings.usb_device("key").ensure(&UsbMappingSettings::new().with_maps([&key])).await?;
/// assert!(mappings.usb_checked("pve1").await?[0].problems().is_empty());
/// let share = DirMap::new("pve1", "/srv/share");
/// mappings.dir("share").ensure(&DirMappingSettings::new().with_maps([&share])).await?;
/// assert_eq!(mappings.dirs().await?[0].maps()?, [share]);
/// # Ok(()) }
/// # #[cfg(not(feature = "simulator"))] fn main() {}
/// ```
#[derive(Debug, Clone)]
pub struct Mappings(Client);

impl Client {
    /// Resource mappings.
    pub fn mappings(&self) -> Mappings {
        Mappings(self.clone())
    }
}

impl Mappings {
    async fn list<N: Noun>(&self, check: Option<&str>) -> Result<Vec<N::Info>> {
        let mut request = list::<N>(&[]);
        if let Some(node) = check {
            request = request.with("check-node", node);
        }
        all::<N>(&self.0, request).await
    }

    /// Mappings of PCI devices.
    ///
    /// ```
    /// # #[cfg(feature = "simulator")]
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), proxmox_client::Error> {
    /// # use proxmox_client::simulator::{NodeSpec, PciSpec, Simulator, UsbSpec, World};
    /// # use proxmox_client::mapping::{PciMap, PciMappingSettings};
    /// # let card = PciSpec::new("0000:01:00.0", "10de", "2684").with_iommu_group(14);
    /// # let node = NodeSpec::new("pve1", 8, 16 << 30);
    /// # let node = node.with_pci_device(card).with_usb_device(UsbSpec::new("0529", "0620", 1, "2.3"));
    /// # let client = Simulator::new(World::lab().with_node(node)).connect();
    /// assert!(client.mappings().pci().await?.is_empty());
    /// let card = PciMap::new("pve2", "0000:41:00.0", "10de:2684");
    /// let gpu = client.mappings().pci_device("gpu");
    /// gpu.ensure(&PciMappingSettings::new().with_maps([&card])).await?;
    /// assert_eq!(client.mappings().pci().await?[0].maps()?, [card]);
    /// # Ok(()) }
    /// # #[cfg(not(feature = "simulator"))] fn main() {}
    /// ```
    pub async fn pci(&self) -> Result<Vec<PciMappingInfo>> {
        self.list::<PciMappingNoun>(None).await
    }

    /// Mappings of PCI devices, with what a node finds that checks them; it must be the node that answers.
    ///
    /// Example: see [`Mappings`].
    pub async fn pci_checked(&self, node: &str) -> Result<Vec<PciMappingInfo>> {
        self.list::<PciMappingNoun>(Some(node)).await
    }

    /// A mapping of PCI devices by its name, which guests give as `hostpci0: mapping=name`.
    pub fn pci_device(&self, id: impl Into<String>) -> PciMapping {
        PciMapping::new(&self.0, &[], id)
    }

    /// Mappings of USB devices.
    ///
    /// ```
    /// # #[cfg(feature = "simulator")]
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), proxmox_client::Error> {
    /// # use proxmox_client::simulator::{NodeSpec, PciSpec, Simulator, UsbSpec, World};
    /// use proxmox_client::mapping::{UsbMap, UsbMappingSettings};
    /// # let card = PciSpec::new("0000:01:00.0", "10de", "2684").with_iommu_group(14);
    /// # let node = NodeSpec::new("pve1", 8, 16 << 30);
    /// # let node = node.with_pci_device(card).with_usb_device(UsbSpec::new("0529", "0620", 1, "2.3"));
    /// # let client = Simulator::new(World::lab().with_node(node)).connect();
    /// let key = UsbMap::new("pve1", "0529:0620");
    /// client.mappings().usb_device("key").ensure(&UsbMappingSettings::new().with_maps([&key])).await?;
    /// assert_eq!(client.mappings().usb().await?[0].maps()?, [key]);
    /// # Ok(()) }
    /// # #[cfg(not(feature = "simulator"))] fn main() {}
    /// ```
    pub async fn usb(&self) -> Result<Vec<UsbMappingInfo>> {
        self.list::<UsbMappingNoun>(None).await
    }

    /// Mappings of USB devices, with what a node finds that checks them; it must be the node that answers.
    ///
    /// Example: see [`Mappings`].
    pub async fn usb_checked(&self, node: &str) -> Result<Vec<UsbMappingInfo>> {
        self.list::<UsbMappingNoun>(Some(node)).await
    }

    /// A mapping of USB devices by its name, which guests give as `usb0: mapping=name`.
    pub fn usb_device(&self, id: impl Into<String>) -> UsbMapping {
        UsbMapping::new(&self.0, &[], id)
    }

    /// Mappings of directories.
    ///
    /// Example: see [`Mappings`].
    pub async fn dirs(&self) -> Result<Vec<DirMappingInfo>> {
        self.list::<DirMappingNoun>(None).await
    }

    /// Mappings of directories, with what a node finds that checks them; it must be the node that answers.
    ///
    /// Example: see [`Mappings`].
    pub async fn dirs_checked(&self, node: &str) -> Result<Vec<DirMappingInfo>> {
        self.list::<DirMappingNoun>(Some(node)).await
    }

    /// A mapping of directories by its name, which guests give as `virtiofs0: name`.
    pub fn dir(&self, id: impl Into<String>) -> DirMapping {
        DirMapping::new(&self.0, &[], id)
    }
}
