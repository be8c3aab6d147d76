//! The machine itself: installation, time, kernel, services of extensions.

use std::time::Duration;

use super::PatchBuilder;
use crate::documents::text::literal;
use crate::documents::v1alpha1::{
    Features, ImageCache, Install, InstallDiskSelector, Kernel, KernelModule, Machine, Time, Udev,
};
use crate::documents::{
    DiskType, EnvironmentConfig, Expression, ExtensionServiceConfig, ImageCacheConfig,
    KernelModuleConfig, Prefix, SizeMatcher, SysctlConfig, SysfsConfig, TimeSyncConfig,
    TrustedRootsConfig, UdevRulesConfig, UnattendedInstallConfig, WatchdogTimerConfig, cri,
    extensions, network, runtime,
};

impl PatchBuilder {
    /// The disk to install to.
    pub fn install_disk(self, disk: &str) -> Self {
        if self.is(14) {
            return self.install_on(Expression::disk_path(disk));
        }
        self.install(Install::new().with_disk(disk))
    }

    /// The disk to install to by what it is: the first one that has all of it. Texts but the size may hold `*`.
    ///
    /// ```
    /// use talos_client::documents::{DiskType, v1alpha1::InstallDiskSelector};
    /// use talos_client::{Patch, VersionContract};
    ///
    /// let disk = InstallDiskSelector::new().with_model("Samsung*").with_size(">= 100GB").with_type(DiskType::Nvme);
    /// for contract in [VersionContract::V1_13, VersionContract::V1_14] {
    ///     assert!(Patch::builder(contract).install_disk_selector(disk.clone()).build().is_ok());
    /// }
    /// ```
    pub fn install_disk_selector(mut self, selector: InstallDiskSelector) -> Self {
        match expression(&selector) {
            Err((setting, why)) => self.refuse(setting, &why),
            Ok(expression) if self.is(14) => self.install_on(expression),
            Ok(_) => {
                let install = Install::new().with_disk_selector(selector);
                self = self.install(install);
                self
            }
        }
    }

    /// The installer image, with its version. From contract 1.14 on name the disk in the same patch: the reference forgets a
    /// disk that a patch of its document leaves out.
    pub fn install_image(self, image: &str) -> Self {
        if self.is(14) {
            let installer = runtime::InstallerSpec::new().with_image(image);
            return self.document(UnattendedInstallConfig::new().with_installer(installer));
        }
        self.install(Install::new().with_image(image))
    }

    /// Wipe the install disk first. Name the disk in the same patch, as for [`install_image`](Self::install_image).
    pub fn install_wipe(self, wipe: bool) -> Self {
        if self.is(14) {
            return self.unattended(runtime::ProvisioningSpec::new().with_wipe(wipe));
        }
        self.install(Install::new().with_wipe(wipe))
    }

    /// Arguments of the kernel. Below contract 1.14: there they are part of the image, by its schematic, and this is refused.
    pub fn install_kernel_args<T: Into<String>>(
        self,
        arguments: impl IntoIterator<Item = T>,
    ) -> Self {
        if self.is(14) {
            let why = "there is no such setting; a schematic of the image factory holds them";
            return self.refuse("kernel arguments", why);
        }
        self.install(Install::new().with_extra_kernel_args(arguments))
    }

    fn install(self, install: Install) -> Self {
        self.machine(Machine::new().with_install(install))
    }

    fn install_on(self, expression: Expression) -> Self {
        let selector = runtime::DiskSelectorSpec::new().with_match(expression);
        self.unattended(runtime::ProvisioningSpec::new().with_disk_selector(selector))
    }

    fn unattended(self, provisioning: runtime::ProvisioningSpec) -> Self {
        self.document(UnattendedInstallConfig::new().with_provisioning(provisioning))
    }

    /// Time servers of the node.
    pub fn time_servers<T: Into<String>>(self, servers: impl IntoIterator<Item = T>) -> Self {
        if self.is(12) {
            let servers = network::NTPConfig::new().with_servers(servers);
            return self.document(TimeSyncConfig::new().with_ntp(servers));
        }
        self.time(Time::new().with_servers(servers))
    }

    /// Whether the node keeps its clock right by time servers.
    pub fn time_sync(self, on: bool) -> Self {
        if self.is(12) {
            return self.document(TimeSyncConfig::new().with_enabled(on));
        }
        self.time(Time::new().with_disabled(!on))
    }

    /// How long the boot waits for the right time; zero is forever.
    pub fn time_boot_timeout(self, timeout: Duration) -> Self {
        if self.is(12) {
            return self.document(TimeSyncConfig::new().with_boot_timeout(timeout));
        }
        self.time(Time::new().with_boot_timeout(timeout))
    }

    fn time(self, time: Time) -> Self {
        self.machine(Machine::new().with_time(time))
    }

    /// Names and addresses in the certificates of the Talos API and, on control plane nodes, of the Kubernetes API.
    pub fn cert_sans<T: Into<String>>(self, sans: impl IntoIterator<Item = T>) -> Self {
        self.machine(Machine::new().with_cert_sans(sans))
    }

    /// A kernel parameter.
    pub fn sysctl(self, name: &str, value: &str) -> Self {
        if self.is(14) {
            return self.document(SysctlConfig::new().with_params([(name, value)]));
        }
        self.machine(Machine::new().with_sysctls([(name, value)]))
    }

    /// A value below `/sys`, by its path with dots: `devices.system.cpu.cpu0.cpufreq.scaling_governor`.
    pub fn sysfs(self, name: &str, value: &str) -> Self {
        if self.is(14) {
            return self.document(SysfsConfig::new().with_params([(name, value)]));
        }
        self.machine(Machine::new().with_sysfs([(name, value)]))
    }

    /// A kernel module to load.
    pub fn kernel_module(self, name: &str) -> Self {
        self.kernel_module_with::<&str>(name, [])
    }

    /// A kernel module to load with parameters.
    pub fn kernel_module_with<T: Into<String>>(
        self,
        name: &str,
        parameters: impl IntoIterator<Item = T>,
    ) -> Self {
        if self.is(14) {
            let module = KernelModuleConfig::new(name).with_parameters(parameters);
            return self.document(module);
        }
        let module = KernelModule::new().with_name(name);
        let modules = [module.with_parameters(parameters)];
        self.machine(Machine::new().with_kernel(Kernel::new().with_modules(modules)))
    }

    /// A rule of udev.
    pub fn udev_rule(self, rule: &str) -> Self {
        if self.is(14) {
            return self.document(UdevRulesConfig::new().with_rules([rule]));
        }
        self.machine(Machine::new().with_udev(Udev::new().with_rules([rule])))
    }

    /// A variable in the environment of the node's services, such as `https_proxy`.
    pub fn environment(self, name: &str, value: &str) -> Self {
        if self.is(13) {
            return self.document(EnvironmentConfig::new().with_variables([(name, value)]));
        }
        self.machine(Machine::new().with_env([(name, value)]))
    }

    /// Files and environment of a service that a system extension brings: pairs of path and content, and `NAME=value`.
    /// Contract 1.7 and later.
    pub fn extension_service<P: Into<String>, C: Into<String>, E: Into<String>>(
        self,
        name: &str,
        files: impl IntoIterator<Item = (P, C)>,
        environment: impl IntoIterator<Item = E>,
    ) -> Self {
        let files = files.into_iter().map(|(path, content)| {
            extensions::ConfigFile::new()
                .with_mount_path(path)
                .with_content(content)
        });
        self.document(
            ExtensionServiceConfig::new(name)
                .with_config_files(files)
                .with_environment(environment),
        )
    }

    /// The hardware watchdog that restarts the machine when the node no longer answers it. Contract 1.7 and later.
    pub fn watchdog(self, device: &str, timeout: Duration) -> Self {
        self.document(
            WatchdogTimerConfig::new()
                .with_device(device)
                .with_timeout(timeout),
        )
    }

    /// Whether images come from the cache that the installation medium brought. Contract 1.9 and later.
    pub fn image_cache(self, on: bool) -> Self {
        if self.is(14) {
            let local = cri::LocalImageCacheConfig::new().with_enabled(on);
            return self.document(ImageCacheConfig::new().with_local(local));
        }
        let cache = ImageCache::new().with_local_enabled(on);
        self.machine(Machine::new().with_features(Features::new().with_image_cache(cache)))
    }

    /// Certificates, PEM, of further authorities that the node trusts. Contract 1.8 and later.
    pub fn trusted_roots(self, name: &str, certificates: &str) -> Self {
        self.document(TrustedRootsConfig::new(name).with_certificates(certificates))
    }

    /// Networks from which etcd takes its address; control plane nodes only.
    pub fn etcd_advertised_subnets<T: Into<String>>(
        mut self,
        subnets: impl IntoIterator<Item = T>,
    ) -> Self {
        let subnets: Vec<String> = subnets.into_iter().map(Into::into).collect();
        for subnet in &subnets {
            // A leading `!` takes a network out.
            let network = subnet.strip_prefix('!').unwrap_or(subnet);
            self.read::<Prefix>("etcd advertised subnet", network);
        }
        self.etcd(|etcd| etcd.with_advertised_subnets(subnets))
    }
}

/// The selector as Talos reads it, and what in it has no meaning.
fn expression(selector: &InstallDiskSelector) -> Result<Expression, (&'static str, String)> {
    if !selector.name.is_empty() {
        let why = "no version of Talos that is supported selects disks by name";
        return Err(("install disk selector name", why.to_owned()));
    }
    let mut parts = Vec::new();
    if selector.size != SizeMatcher::default() {
        let size = comparison(selector.size.as_str());
        parts.push(size.map_err(|why| ("install disk selector size", why))?);
    }
    let patterns = [
        ("uuid", &selector.uuid),
        ("wwid", &selector.wwid),
        ("model", &selector.model),
        ("serial", &selector.serial),
        ("modalias", &selector.modalias),
    ];
    for (field, pattern) in patterns {
        if !pattern.is_empty() {
            parts.push(format!("glob({}, disk.{field})", literal(pattern)));
        }
    }
    // Devices without a transport are made by the kernel, not plugged in.
    parts.push("disk.transport != \"\"".to_owned());
    match &selector.r#type {
        DiskType::Unset => {}
        DiskType::Nvme => parts.push("disk.transport == \"nvme\"".to_owned()),
        DiskType::Sd => parts.push("disk.transport == \"mmc\"".to_owned()),
        DiskType::Hdd => parts.push("disk.rotational".to_owned()),
        DiskType::Ssd => parts.push("!disk.rotational".to_owned()),
        other => {
            let why = format!("nothing is installed on disks of the type {other}");
            return Err(("install disk selector type", why));
        }
    }
    if !selector.bus_path.is_empty() {
        let pattern = literal(&selector.bus_path);
        parts.push(format!("glob({pattern}, disk.bus_path)"));
    }
    parts.push("!disk.readonly && !disk.cdrom".to_owned());
    Ok(Expression::new(parts.join(" && ")))
}

/// `>= 4GB` as a comparison of the disk's size.
fn comparison(matcher: &str) -> Result<String, String> {
    let matcher = matcher.trim();
    let operators = [">=", "<=", "==", ">", "<"];
    let operator = operators
        .into_iter()
        .find(|operator| matcher.starts_with(operator));
    let size = matcher[operator.map_or(0, str::len)..].trim();
    let bytes = crate::size::bytes(size)?;
    Ok(format!("disk.size {} {bytes}u", operator.unwrap_or("==")))
}
