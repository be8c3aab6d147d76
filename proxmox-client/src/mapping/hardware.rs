//! Devices that a node has.

use crate::error::Result;
use crate::node::Node;
use crate::scalar::record;
use crate::wire::{Method, Request};

record! {
    /// A PCI device: `GET /nodes/{node}/hardware/pci`.
    pub struct PciDevice {
        required {
            /// Path, such as `0000:01:00.0`.
            "id" id: String,
            /// Vendor, such as `0x10de`.
            "vendor" vendor: String,
            /// Device, such as `0x2684`.
            "device" device: String,
        }
        optional {
            /// Class, such as `0x030000`.
            "class" class: String,
            /// Vendor's name.
            "vendor_name" vendor_name: String,
            /// Device's name.
            "device_name" device_name: String,
            /// Vendor of the subsystem.
            "subsystem_vendor" subsystem_vendor: String,
            /// Device of the subsystem.
            "subsystem_device" subsystem_device: String,
            /// Name of the subsystem's vendor.
            "subsystem_vendor_name" subsystem_vendor_name: String,
            /// Name of the subsystem's device.
            "subsystem_device_name" subsystem_device_name: String,
            /// IOMMU group, whose devices a guest gets together; -1 if it is in none.
            "iommugroup" iommu_group: i64,
            /// Whether it provides mediated devices.
            "mdev" mediated: bool,
        }
    }
}

impl PciDevice {
    fn is_class(&self, class: &str) -> bool {
        let have = self.class.as_deref().unwrap_or_default();
        have.trim_start_matches("0x").starts_with(class)
    }

    /// Whether it is a graphics card.
    pub fn is_display(&self) -> bool {
        self.is_class("03")
    }

    /// Whether it is a network card.
    pub fn is_network(&self) -> bool {
        self.is_class("02")
    }

    /// Whether it is a storage controller.
    pub fn is_storage(&self) -> bool {
        self.is_class("01")
    }
}

record! {
    /// A kind of mediated device: `GET /nodes/{node}/hardware/pci/{pci-id}/mdev`.
    pub struct MediatedType {
        required {
            /// Name, such as `nvidia-22`.
            "type" kind: String,
        }
        optional {
            /// How many more there can be.
            "available" available: u32,
            /// Description.
            "description" description: String,
            /// Readable name.
            "name" name: String,
        }
    }
}

record! {
    /// A USB device: `GET /nodes/{node}/hardware/usb`.
    pub struct UsbDevice {
        required {
            /// Vendor, such as `0529`.
            "vendid" vendor: String,
            /// Product, such as `0620`.
            "prodid" product_id: String,
        }
        optional {
            /// Bus.
            "busnum" bus: u32,
            /// Number on the bus, which changes when it is plugged in again.
            "devnum" number: u32,
            /// Port.
            "port" port: u32,
            /// Bus and port, such as `2.3`.
            "usbpath" path: String,
            /// Class; 9 is a hub.
            "class" class: u32,
            /// Manufacturer.
            "manufacturer" manufacturer: String,
            /// Name of the product.
            "product" product: String,
            /// Serial number.
            "serial" serial: String,
            /// Speed in Mbit/s.
            "speed" speed: String,
        }
    }
}

impl Node {
    /// PCI devices, without bridges, memory controllers and processors.
    ///
    /// Example: see [`Mappings`](crate::mapping::Mappings).
    pub async fn pci_devices(&self) -> Result<Vec<PciDevice>> {
        let request = self.request(Method::Get, "/hardware/pci")?;
        self.client().fetch(request).await
    }

    /// The kinds of mediated devices that a PCI device provides, by its path or the name of a mapping.
    ///
    /// ```no_run
    /// # async fn run() -> Result<(), proxmox_client::Error> {
    /// # let client = proxmox_client::Client::builder().endpoint("192.0.2.10").build()?;
    /// for kind in client.node("pve1").mediated_types("0000:01:00.0").await? {
    ///     println!("{}: {} more of them", kind.kind, kind.available.unwrap_or_default());
    /// }
    /// # Ok(()) }
    /// ```
    pub async fn mediated_types(&self, device: &str) -> Result<Vec<MediatedType>> {
        self.request(Method::Get, "")?;
        let path = "/nodes/{node}/hardware/pci/{pci-id-or-mapping}/mdev";
        let request = Request::new(Method::Get, path, &[self.name(), device]);
        self.client().fetch(request).await
    }

    /// USB devices.
    ///
    /// Example: see [`Mappings`](crate::mapping::Mappings).
    pub async fn usb_devices(&self) -> Result<Vec<UsbDevice>> {
        let request = self.request(Method::Get, "/hardware/usb")?;
        self.client().fetch(request).await
    }
}
