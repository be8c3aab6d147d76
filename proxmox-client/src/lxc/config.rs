//! A container's configuration.

use crate::error::Result;
use crate::guest::guest_config;
use crate::property::container::format_of;
use crate::property::{ContainerNic, Device, Features, MountPoint};
use crate::size::Size;

guest_config! {
    /// A configuration as read, or as wanted for a container to be made or changed.
    ///
    /// Keys that have no method here are kept and reachable through [`get`](Self::get) and [`with`](Self::with).
    /// Password and SSH keys are no part of it: they are given once, to [`NewLxc`](crate::NewLxc).
    ///
    /// ```
    /// use proxmox_client::LxcConfig;
    /// use proxmox_client::property::{ContainerNic, Features, MountPoint};
    /// let config = LxcConfig::new()
    ///     .with_hostname("dns")
    ///     .with_cores(1)
    ///     .with_memory_mib(256)
    ///     .with_unprivileged(true)
    ///     .with_features(&Features::default().with_nesting(true))
    ///     .with_rootfs(&MountPoint::allocate("local-lvm", 4))
    ///     .with_mount_point(0, &MountPoint::allocate("local-lvm", 8).with_path("/data"))
    ///     .with_net(0, &ContainerNic::new("eth0", "vmbr0").with_ip("dhcp"));
    /// assert_eq!(config.free_mount_point(), Some(1));
    /// assert_eq!(config.net(0).unwrap()?.ip().as_deref(), Some("dhcp"));
    /// # Ok::<(), proxmox_client::Error>(())
    /// ```
    pub struct LxcConfig { secret: ["password"], formats: format_of }
}

impl LxcConfig {
    /// Host name.
    pub fn hostname(&self) -> Option<String> {
        self.read("hostname")
    }

    /// Sets the host name; `CT` with the id unless it is set.
    #[must_use]
    pub fn with_hostname(self, name: &str) -> Self {
        self.with("hostname", name)
    }

    /// Distribution inside: `debian`, `alpine`, …, or `unmanaged`, which leaves its files alone.
    pub fn os_type(&self) -> Option<String> {
        self.read("ostype")
    }

    /// Sets the distribution; the server finds it in the template unless it is set.
    #[must_use]
    pub fn with_os_type(self, kind: &str) -> Self {
        self.with("ostype", kind)
    }

    /// Architecture: `amd64`, `i386`, `arm64`, `armhf`, `riscv32`, `riscv64`.
    pub fn arch(&self) -> Option<String> {
        self.read("arch")
    }

    /// Sets the architecture.
    #[must_use]
    pub fn with_arch(self, arch: &str) -> Self {
        self.with("arch", arch)
    }

    /// Whether its root is another user on the node. It cannot be changed later.
    pub fn unprivileged(&self) -> bool {
        self.read("unprivileged").unwrap_or(false)
    }

    /// Sets whether its root is another user on the node.
    #[must_use]
    pub fn with_unprivileged(self, on: bool) -> Self {
        self.with("unprivileged", u8::from(on))
    }

    /// Processors that it sees; all of the node's unless set.
    pub fn cores(&self) -> Option<u32> {
        self.read("cores")
    }

    /// Sets the processors that it sees, 1 to 8192.
    #[must_use]
    pub fn with_cores(self, cores: u32) -> Self {
        self.with("cores", cores)
    }

    /// Most processor time, 1.0 being one processor; 0 is no limit.
    pub fn cpu_limit(&self) -> Option<f64> {
        self.read("cpulimit")
    }

    /// Sets the most processor time, 1.0 being one processor; 0 is no limit.
    #[must_use]
    pub fn with_cpu_limit(self, processors: f64) -> Self {
        self.with("cpulimit", processors.to_string())
    }

    /// Weight among the guests of the node when processors are short.
    pub fn cpu_units(&self) -> Option<u32> {
        self.read("cpuunits")
    }

    /// Sets the weight among the guests of the node, up to 10000 (100 is usual).
    #[must_use]
    pub fn with_cpu_units(self, weight: u32) -> Self {
        self.with("cpuunits", weight)
    }

    /// Memory in MiB.
    pub fn memory_mib(&self) -> Option<u64> {
        self.read("memory")
    }

    /// Sets the memory in MiB, at least 16; 512 unless set.
    #[must_use]
    pub fn with_memory_mib(self, mib: u64) -> Self {
        self.with("memory", mib)
    }

    /// Swap in MiB.
    pub fn swap_mib(&self) -> Option<u64> {
        self.read("swap")
    }

    /// Sets the swap in MiB; 512 unless set.
    #[must_use]
    pub fn with_swap_mib(self, mib: u64) -> Self {
        self.with("swap", mib)
    }

    /// The root file system.
    pub fn rootfs(&self) -> Option<Result<MountPoint>> {
        self.property("rootfs")
    }

    /// Sets the root file system.
    #[must_use]
    pub fn with_rootfs(self, volume: &MountPoint) -> Self {
        self.with_property("rootfs", volume)
    }

    /// A mount point, `mp0` to `mp255`.
    pub fn mount_point(&self, index: u8) -> Option<Result<MountPoint>> {
        self.property(&format!("mp{index}"))
    }

    /// Sets a mount point; its path inside the container must be given.
    #[must_use]
    pub fn with_mount_point(self, index: u8, mount: &MountPoint) -> Self {
        self.with_property(&format!("mp{index}"), mount)
    }

    /// The first number that no mount point has.
    pub fn free_mount_point(&self) -> Option<u8> {
        (0..=u8::MAX).find(|index| self.get(&format!("mp{index}")).is_none())
    }

    /// `rootfs` and all mount points, with their keys.
    pub fn volumes(&self) -> impl Iterator<Item = (&str, Result<MountPoint>)> {
        self.values
            .keys()
            .filter(|key| is_volume_key(key))
            .filter_map(|key| self.property(key).map(|volume| (key.as_str(), volume)))
    }

    /// Size of all volumes together, as far as the server tells it.
    pub fn disk_total(&self) -> Size {
        let sizes = self
            .volumes()
            .filter_map(|(_, volume)| volume.ok()?.size())
            .map(Size::as_bytes);
        Size::bytes(sizes.sum())
    }

    /// A network card, `net0` to `net31`.
    pub fn net(&self, index: u8) -> Option<Result<ContainerNic>> {
        self.property(&format!("net{index}"))
    }

    /// Sets a network card.
    #[must_use]
    pub fn with_net(self, index: u8, card: &ContainerNic) -> Self {
        self.with_property(&format!("net{index}"), card)
    }

    /// A device of the node that is passed through, `dev0` to `dev255`.
    pub fn device(&self, index: u8) -> Option<Result<Device>> {
        self.property(&format!("dev{index}"))
    }

    /// Sets a device of the node that is passed through.
    #[must_use]
    pub fn with_device(self, index: u8, device: &Device) -> Self {
        self.with_property(&format!("dev{index}"), device)
    }

    /// What it may do beyond the usual.
    pub fn features(&self) -> Option<Result<Features>> {
        self.property("features")
    }

    /// Sets what it may do beyond the usual.
    #[must_use]
    pub fn with_features(self, features: &Features) -> Self {
        self.with_property("features", features)
    }

    /// Sets the name servers; those of the node unless set.
    #[must_use]
    pub fn with_name_servers<'a>(self, servers: impl IntoIterator<Item = &'a str>) -> Self {
        let servers: Vec<&str> = servers.into_iter().collect();
        self.with("nameserver", servers.join(" "))
    }

    /// Sets the domain that names are looked up in; that of the node unless set.
    #[must_use]
    pub fn with_search_domain(self, domain: &str) -> Self {
        self.with("searchdomain", domain)
    }

    /// Sets the time zone: a name such as `Europe/Vienna`, or `host` for that of the node.
    #[must_use]
    pub fn with_timezone(self, zone: &str) -> Self {
        self.with("timezone", zone)
    }

    /// Sets a script that runs when it starts and stops, such as `local:snippets/hook.pl`. Only `root@pam` with a ticket
    /// may.
    #[must_use]
    pub fn with_hook_script(self, volume: &str) -> Self {
        self.with("hookscript", volume)
    }

    /// Sets whether it has a console device.
    #[must_use]
    pub fn with_console(self, on: bool) -> Self {
        self.with("console", u8::from(on))
    }

    /// Sets the number of its terminals, 0 to 6.
    #[must_use]
    pub fn with_terminals(self, count: u8) -> Self {
        self.with("tty", count)
    }

    /// Sets what a console shows: `tty` (a terminal with a login), `console` (`/dev/console`) or `shell` (a shell without
    /// a login).
    #[must_use]
    pub fn with_console_mode(self, mode: &str) -> Self {
        self.with("cmode", mode)
    }
}

/// Whether a key names a volume in use: `rootfs`, `mp0` to `mp255`.
pub(crate) fn is_volume_key(key: &str) -> bool {
    key == "rootfs"
        || key.strip_prefix("mp").is_some_and(|index| {
            index
                .parse::<u8>()
                .is_ok_and(|value| value.to_string() == index)
        })
}
