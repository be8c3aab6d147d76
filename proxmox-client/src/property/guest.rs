//! Agent, processor, SMBIOS, start order and boot order.

use super::{Format, property};

pub(super) static AGENT: Format = Format {
    name: "agent",
    default_key: Some("enabled"),
    aliases: &[("freeze-fs-on-backup", "freeze-fs")],
    flags: &["enabled", "fstrim_cloned_disks", "freeze-fs"],
};

property! {
    /// `agent`: the QEMU guest agent.
    pub struct Agent: AGENT {
        /// Whether the channel exists.
        "enabled" enabled / with_enabled: bool,
        /// Trim after a clone or move.
        "fstrim_cloned_disks" fstrim_cloned_disks / with_fstrim_cloned_disks: bool,
        /// `virtio` or `isa`.
        "type" channel / with_channel: String,
    }
}

impl Agent {
    /// The agent's channel, with nothing else set.
    pub fn on() -> Self {
        Self::default().with_enabled(true)
    }
}

pub(super) static CPU: Format = Format {
    name: "cpu",
    default_key: Some("cputype"),
    aliases: &[],
    flags: &["hidden"],
};

property! {
    /// `cpu`: the processor shown to the guest.
    pub struct Cpu: CPU {
        /// Model: `host`, `x86-64-v2-AES`, …
        "cputype" model / with_model: String,
        /// Flags to add or take away: `+aes;-pcid`.
        "flags" flags / with_flags: String,
        /// Hides the hypervisor.
        "hidden" hidden / with_hidden: bool,
    }
}

impl Cpu {
    /// A model.
    pub fn new(model: &str) -> Self {
        Self::default().with_model(model)
    }
}

pub(super) static SMBIOS: Format = Format {
    name: "smbios",
    default_key: None,
    aliases: &[],
    flags: &["base64"],
};

property! {
    /// `smbios1`: what the firmware tells about the machine.
    pub struct Smbios: SMBIOS {
        /// UUID.
        "uuid" uuid / with_uuid: String,
        /// Serial number.
        "serial" serial / with_serial: String,
        /// Manufacturer.
        "manufacturer" manufacturer / with_manufacturer: String,
        /// Product.
        "product" product / with_product: String,
        /// SKU.
        "sku" sku / with_sku: String,
        /// Family.
        "family" family / with_family: String,
        /// Whether the other texts are base64.
        "base64" base64 / with_base64: bool,
    }
}

pub(super) static STARTUP: Format = Format {
    name: "startup",
    default_key: Some("order"),
    aliases: &[],
    flags: &[],
};

property! {
    /// `startup`: order and delays when the node starts and stops.
    pub struct Startup: STARTUP {
        /// Place in the order.
        "order" order / with_order: u32,
        /// Seconds to wait after starting.
        "up" up / with_up: u32,
        /// Seconds to wait for the shutdown.
        "down" down / with_down: u32,
    }
}

pub(super) static BOOT: Format = Format {
    name: "boot",
    default_key: Some("legacy"),
    aliases: &[],
    flags: &[],
};

property! {
    /// `boot`: the devices to boot from.
    pub struct BootOrder: BOOT {
        /// Devices in order, separated by `;`.
        "order" order / with_order: String,
    }
}

impl BootOrder {
    /// Boots from these devices, in this order.
    pub fn new<'a>(devices: impl IntoIterator<Item = &'a str>) -> Self {
        let devices: Vec<&str> = devices.into_iter().collect();
        Self::default().with_order(devices.join(";"))
    }

    /// The devices in order.
    pub fn devices(&self) -> impl Iterator<Item = &str> {
        self.get("order")
            .unwrap_or_default()
            .split(';')
            .filter(|device| !device.is_empty())
    }
}
