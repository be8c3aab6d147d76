//! Where a mapping is on a node.

use crate::mapping::{PciDevice, UsbDevice};
use crate::property::{Format, property};

static PCI: Format = Format {
    name: "map",
    default_key: None,
    aliases: &[],
    flags: &[],
};

static USB: Format = Format {
    name: "map",
    default_key: None,
    aliases: &[],
    flags: &[],
};

static DIR: Format = Format {
    name: "map",
    default_key: None,
    aliases: &[],
    flags: &[],
};

property! {
    /// PCI devices of a node.
    pub struct PciMap: PCI {
        /// Node.
        "node" node / with_node: String,
        /// Path, such as `0000:01:00.0`; without the function it is the whole device. Several are separated by `;`.
        "path" path / with_path: String,
        /// Vendor and device that are expected there, such as `10de:2684`.
        "id" device_id / with_device_id: String,
        /// Vendor and device of the subsystem that are expected there.
        "subsystem-id" subsystem_id / with_subsystem_id: String,
        /// IOMMU group that is expected.
        "iommugroup" iommu_group / with_iommu_group: u32,
        /// Description.
        "description" description / with_description: String,
    }
}

impl PciMap {
    /// A path on a node, with the vendor and device that are expected there (`10de:2684`).
    pub fn new(node: &str, path: &str, device_id: &str) -> Self {
        Self::default()
            .with_node(node)
            .with_path(path)
            .with_device_id(device_id)
    }

    /// A device as the node lists it, with everything that the node will compare.
    pub fn of_device(node: &str, device: &PciDevice) -> Self {
        let bare = |id: &str| id.trim_start_matches("0x").to_owned();
        let id = format!("{}:{}", bare(&device.vendor), bare(&device.device));
        let mut map = Self::new(node, &device.id, &id);
        if let (Some(vendor), Some(device)) = (&device.subsystem_vendor, &device.subsystem_device) {
            map = map.with_subsystem_id(format!("{}:{}", bare(vendor), bare(device)));
        }
        // A device that is in no group is told as being in group -1.
        match device
            .iommu_group
            .and_then(|group| u32::try_from(group).ok())
        {
            Some(group) => map.with_iommu_group(group),
            None => map,
        }
    }
}

property! {
    /// A USB device of a node.
    pub struct UsbMap: USB {
        /// Node.
        "node" node / with_node: String,
        /// Vendor and product, such as `0529:0620`.
        "id" device_id / with_device_id: String,
        /// Bus and port, such as `1-2.3`; only what is plugged in there.
        "path" path / with_path: String,
        /// Description.
        "description" description / with_description: String,
    }
}

impl UsbMap {
    /// Any device of this vendor and product (`0529:0620`) on a node.
    pub fn new(node: &str, device_id: &str) -> Self {
        Self::default().with_node(node).with_device_id(device_id)
    }

    /// A device as the node lists it, wherever it is plugged in.
    pub fn of_device(node: &str, device: &UsbDevice) -> Self {
        Self::new(node, &format!("{}:{}", device.vendor, device.product_id))
    }
}

property! {
    /// A directory of a node.
    pub struct DirMap: DIR {
        /// Node.
        "node" node / with_node: String,
        /// Absolute path of the directory.
        "path" path / with_path: String,
    }
}

impl DirMap {
    /// A directory on a node.
    pub fn new(node: &str, path: &str) -> Self {
        Self::default().with_node(node).with_path(path)
    }
}
