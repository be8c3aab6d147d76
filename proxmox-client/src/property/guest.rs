//! Agent, processor, SMBIOS, start order and boot order.

pub(super) use super::formats::{AGENT, BOOT, CPU, SMBIOS};
use super::formats::{AGENT_KEYS, BOOT_KEYS, CPU_KEYS, SMBIOS_KEYS};
use super::{Format, property};

property! {
    /// `agent`: the QEMU guest agent.
    ///
    /// ```
    /// use proxmox_client::QemuConfig;
    /// use proxmox_client::property::Agent;
    /// let config = QemuConfig::new().with_agent(&Agent::on().with_fstrim_cloned_disks(true));
    /// assert_eq!(config.agent().unwrap()?.enabled(), Some(true));
    /// # Ok::<(), proxmox_client::Error>(())
    /// ```
    pub struct Agent: AGENT, AGENT_KEYS {
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

property! {
    /// `cpu`: the processor shown to the guest.
    ///
    /// ```
    /// use proxmox_client::property::Cpu;
    /// let cpu = Cpu::new("x86-64-v2-AES").with_flags("+aes;-pcid");
    /// assert_eq!(cpu.to_string(), "x86-64-v2-AES,flags=+aes;-pcid");
    /// ```
    pub struct Cpu: CPU, CPU_KEYS {
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

property! {
    /// `smbios1`: what the firmware tells about the machine.
    ///
    /// ```
    /// use proxmox_client::property::Smbios;
    /// let smbios: Smbios = "uuid=4d7cdd1e-ba1f-4ca5-a1f8-8a5a5d7b2a4e,serial=web-1".parse()?;
    /// assert_eq!(smbios.serial().as_deref(), Some("web-1"));
    /// # Ok::<(), proxmox_client::Error>(())
    /// ```
    pub struct Smbios: SMBIOS, SMBIOS_KEYS {
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
    ///
    /// ```
    /// use proxmox_client::property::Startup;
    /// let first = Startup::default().with_order(1u32).with_up(30u32);
    /// assert_eq!(first.to_string(), "1,up=30");
    /// ```
    pub struct Startup: STARTUP {
        /// Place in the order.
        "order" order / with_order: u32,
        /// Seconds to wait after starting.
        "up" up / with_up: u32,
        /// Seconds to wait for the shutdown.
        "down" down / with_down: u32,
    }
}

property! {
    /// `boot`: the devices to boot from.
    ///
    /// ```
    /// use proxmox_client::property::BootOrder;
    /// let order = BootOrder::new(["scsi0", "net0"]);
    /// assert_eq!(order.to_string(), "order=scsi0;net0");
    /// assert_eq!(order.devices().next(), Some("scsi0"));
    /// ```
    pub struct BootOrder: BOOT, BOOT_KEYS {
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
