//! A virtual machine's configuration.

use secrecy::{ExposeSecret as _, SecretString};

use crate::error::Result;
use crate::guest::guest_config;
use crate::property::{
    Agent, BootOrder, Cpu, Drive, EfiDisk, IpConfig, Nic, Smbios, TpmState, format_of,
};
use crate::size::Size;

guest_config! {
    /// A configuration as read, or as wanted for a machine to be made or changed.
    ///
    /// Keys that have no method here are kept and reachable through [`get`](Self::get) and [`with`](Self::with).
    ///
    /// ```
    /// use proxmox_client::QemuConfig;
    /// use proxmox_client::property::{Drive, Nic};
    /// let config = QemuConfig::new()
    ///     .with_name("talos-cp-1")
    ///     .with_cores(4)
    ///     .with_memory_mib(4096)
    ///     .with_drive("scsi0", Drive::import("local-lvm", "local:import/talos.qcow2"))
    ///     .with_net(0, Nic::virtio("vmbr0").with_tag(20u16));
    /// assert_eq!(config.net(0).unwrap()?.tag(), Some(20));
    /// # Ok::<(), proxmox_client::Error>(())
    /// ```
    pub struct QemuConfig { secret: ["cipassword"], formats: format_of }
}

impl QemuConfig {
    /// Name.
    pub fn name(&self) -> Option<String> {
        self.read("name")
    }

    /// Sets the name (a host name).
    #[must_use]
    pub fn with_name(self, name: &str) -> Self {
        self.with("name", name)
    }

    /// Cores per socket.
    pub fn cores(&self) -> Option<u32> {
        self.read("cores")
    }

    /// Sets the cores per socket.
    #[must_use]
    pub fn with_cores(self, cores: u32) -> Self {
        self.with("cores", cores)
    }

    /// Sockets.
    pub fn sockets(&self) -> Option<u32> {
        self.read("sockets")
    }

    /// Sets the sockets.
    #[must_use]
    pub fn with_sockets(self, sockets: u32) -> Self {
        self.with("sockets", sockets)
    }

    /// Memory in MiB.
    pub fn memory_mib(&self) -> Option<u64> {
        let text: String = self.read("memory")?;
        text.strip_prefix("current=").unwrap_or(&text).parse().ok()
    }

    /// Sets the memory in MiB.
    #[must_use]
    pub fn with_memory_mib(self, mib: u64) -> Self {
        self.with("memory", mib.to_string())
    }

    /// Least memory in MiB when the node runs short; 0 turns ballooning off.
    #[must_use]
    pub fn with_balloon_mib(self, mib: u64) -> Self {
        self.with("balloon", mib)
    }

    /// Processor type.
    pub fn cpu(&self) -> Option<Result<Cpu>> {
        self.property("cpu")
    }

    /// Sets the processor type.
    #[must_use]
    pub fn with_cpu(self, cpu: &Cpu) -> Self {
        self.with_property("cpu", cpu)
    }

    /// Sets the machine type: `q35` or `pc`.
    #[must_use]
    pub fn with_machine(self, machine: &str) -> Self {
        self.with("machine", machine)
    }

    /// Sets the firmware: `seabios` or `ovmf`.
    #[must_use]
    pub fn with_bios(self, bios: &str) -> Self {
        self.with("bios", bios)
    }

    /// Sets the kind of guest: `l26` for Linux.
    #[must_use]
    pub fn with_os_type(self, kind: &str) -> Self {
        self.with("ostype", kind)
    }

    /// Sets the SCSI controller: `virtio-scsi-single`, `virtio-scsi-pci`, …
    #[must_use]
    pub fn with_scsi_controller(self, model: &str) -> Self {
        self.with("scsihw", model)
    }

    /// Guest agent.
    pub fn agent(&self) -> Option<Result<Agent>> {
        self.property("agent")
    }

    /// Sets the guest agent.
    #[must_use]
    pub fn with_agent(self, agent: &Agent) -> Self {
        self.with_property("agent", agent)
    }

    /// Boot order.
    pub fn boot_order(&self) -> Option<Result<BootOrder>> {
        self.property("boot")
    }

    /// Sets the boot order.
    #[must_use]
    pub fn with_boot_order(self, order: &BootOrder) -> Self {
        self.with_property("boot", order)
    }

    /// A serial port; `socket` makes one that the console can attach to.
    #[must_use]
    pub fn with_serial(self, index: u8, kind: &str) -> Self {
        self.with(&format!("serial{index}"), kind)
    }

    /// Sets the display: `serial0`, `std`, `none`, …
    #[must_use]
    pub fn with_display(self, kind: &str) -> Self {
        self.with("vga", kind)
    }

    /// What the firmware tells about the machine.
    pub fn smbios(&self) -> Option<Result<Smbios>> {
        self.property("smbios1")
    }

    /// Sets what the firmware tells.
    #[must_use]
    pub fn with_smbios(self, smbios: &Smbios) -> Self {
        self.with_property("smbios1", smbios)
    }

    /// Where the firmware keeps its variables.
    pub fn efi_disk(&self) -> Option<Result<EfiDisk>> {
        self.property("efidisk0")
    }

    /// Sets where the firmware keeps its variables.
    #[must_use]
    pub fn with_efi_disk(self, disk: &EfiDisk) -> Self {
        self.with_property("efidisk0", disk)
    }

    /// Sets where the TPM keeps its state.
    #[must_use]
    pub fn with_tpm_state(self, state: &TpmState) -> Self {
        self.with_property("tpmstate0", state)
    }

    /// A drive by its slot: `scsi0`, `virtio1`, `ide2`, …
    pub fn drive(&self, slot: &str) -> Option<Result<Drive>> {
        if !is_drive_slot(slot) {
            return None;
        }
        self.property(slot)
    }

    /// Sets a drive.
    #[must_use]
    pub fn with_drive(self, slot: &str, drive: Drive) -> Self {
        self.with_property(slot, &drive)
    }

    /// All drives with their slots, CD drives included.
    pub fn drives(&self) -> impl Iterator<Item = (&str, Result<Drive>)> {
        self.values
            .keys()
            .filter(|key| is_drive_slot(key))
            .filter_map(|key| self.drive(key).map(|drive| (key.as_str(), drive)))
    }

    /// Size of all disks together, as far as the server tells it.
    pub fn disk_total(&self) -> Size {
        let sizes = self
            .drives()
            .filter_map(|(_, drive)| drive.ok())
            .filter(|drive| !drive.is_cdrom());
        Size::bytes(
            sizes
                .filter_map(|drive| drive.size())
                .map(Size::as_bytes)
                .sum(),
        )
    }

    /// A network card.
    pub fn net(&self, index: u8) -> Option<Result<Nic>> {
        self.property(&format!("net{index}"))
    }

    /// Sets a network card.
    #[must_use]
    pub fn with_net(self, index: u8, nic: Nic) -> Self {
        self.with_property(&format!("net{index}"), &nic)
    }

    /// A card's addresses for cloud-init.
    pub fn ip_config(&self, index: u8) -> Option<Result<IpConfig>> {
        self.property(&format!("ipconfig{index}"))
    }

    /// Sets a card's addresses for cloud-init.
    #[must_use]
    pub fn with_ip_config(self, index: u8, config: &IpConfig) -> Self {
        self.with_property(&format!("ipconfig{index}"), config)
    }

    /// Name servers for cloud-init.
    #[must_use]
    pub fn with_name_servers<'a>(self, servers: impl IntoIterator<Item = &'a str>) -> Self {
        let servers: Vec<&str> = servers.into_iter().collect();
        self.with("nameserver", servers.join(" "))
    }

    /// User that cloud-init makes.
    #[must_use]
    pub fn with_cloud_init_user(self, user: &str) -> Self {
        self.with("ciuser", user)
    }

    /// Password of that user. The server keeps it hashed and shows stars in its place.
    #[must_use]
    pub fn with_cloud_init_password(self, password: impl Into<SecretString>) -> Self {
        self.with("cipassword", password.into().expose_secret())
    }

    /// Public SSH keys, one per line in the authorized_keys form.
    ///
    /// The server keeps them percent-encoded inside the value; this does the encoding.
    #[must_use]
    pub fn with_ssh_keys<'a>(self, keys: impl IntoIterator<Item = &'a str>) -> Self {
        let keys: Vec<&str> = keys.into_iter().map(str::trim).collect();
        self.with("sshkeys", crate::wire::escape(&keys.join("\n")))
    }

    /// Public SSH keys.
    pub fn ssh_keys(&self) -> Vec<String> {
        let text = crate::wire::unescape(&self.text("sshkeys").unwrap_or_default());
        text.lines()
            .map(str::trim)
            .filter(|line| !line.is_empty())
            .map(str::to_owned)
            .collect()
    }

    /// Cloud-init files of the administrator: `user=local:snippets/user.yaml,…`.
    #[must_use]
    pub fn with_cloud_init_files(self, files: &str) -> Self {
        self.with("cicustom", files)
    }
}

/// Whether a key names a drive: `scsi0` to `scsi30`, `virtio0` to `virtio15`, `sata0` to `sata5`, `ide0` to `ide3`.
pub(crate) fn is_drive_slot(key: &str) -> bool {
    [("scsi", 30u8), ("virtio", 15), ("sata", 5), ("ide", 3)]
        .iter()
        .any(|(bus, last)| {
            key.strip_prefix(bus).is_some_and(|index| {
                index
                    .parse::<u8>()
                    .is_ok_and(|value| value <= *last && value.to_string() == index)
            })
        })
}
