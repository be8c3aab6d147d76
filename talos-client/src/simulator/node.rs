//! One node: what it is made of, what happened to it, and what follows at a given time.

use std::net::IpAddr;
use std::time::SystemTime;

use serde::{Deserialize, Serialize};

use super::world::Timings;
use crate::config::MachineConfig;
use crate::version::VersionContract;

/// A disk of a simulated node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct DiskSpec {
    /// `/dev/sda`.
    pub device: String,
    /// Bytes.
    pub size: u64,
}

impl DiskSpec {
    /// Device and size in bytes.
    pub fn new(device: impl Into<String>, size: u64) -> Self {
        Self {
            device: device.into(),
            size,
        }
    }
}

/// An extension in a simulated image.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ExtensionSpec {
    /// `iscsi-tools`.
    pub name: String,
    /// `v0.2.0`.
    pub version: String,
}

impl ExtensionSpec {
    /// Name and version.
    pub fn new(name: impl Into<String>, version: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            version: version.into(),
        }
    }
}

/// What a node is made of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct NodeSpec {
    /// Unique in the world; the host name until one is configured.
    pub name: String,
    /// The addresses that it has before it is configured.
    pub addresses: Vec<IpAddr>,
    /// Bytes.
    pub memory: u64,
    /// Processors.
    pub cores: u32,
    /// Disks, in the order in which the machine has them.
    pub disks: Vec<DiskSpec>,
    /// The version of the image that it boots, `v1.13.9`.
    pub talos_version: String,
    /// The extensions of the image.
    pub extensions: Vec<ExtensionSpec>,
    /// `nocloud`, `metal`.
    pub platform: String,
}

impl NodeSpec {
    /// A node of 4 GiB, 2 cores and one disk of 32 GiB that boots Talos v1.13.9 for NoCloud.
    pub fn new(name: impl Into<String>, address: IpAddr) -> Self {
        Self {
            name: name.into(),
            addresses: vec![address],
            memory: 4 << 30,
            cores: 2,
            disks: vec![DiskSpec::new("/dev/sda", 32 << 30)],
            talos_version: "v1.13.9".to_owned(),
            extensions: Vec::new(),
            platform: "nocloud".to_owned(),
        }
    }

    /// Memory in bytes.
    #[must_use]
    pub fn memory(mut self, bytes: u64) -> Self {
        self.memory = bytes;
        self
    }

    /// Processors.
    #[must_use]
    pub fn cores(mut self, cores: u32) -> Self {
        self.cores = cores;
        self
    }

    /// Disks.
    #[must_use]
    pub fn disks(mut self, disks: impl IntoIterator<Item = DiskSpec>) -> Self {
        self.disks = disks.into_iter().collect();
        self
    }

    /// The version of the image.
    #[must_use]
    pub fn talos_version(mut self, version: impl Into<String>) -> Self {
        self.talos_version = version.into();
        self
    }

    /// The extensions of the image.
    #[must_use]
    pub fn extensions(mut self, extensions: impl IntoIterator<Item = ExtensionSpec>) -> Self {
        self.extensions = extensions.into_iter().collect();
        self
    }
}

/// What a node is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[non_exhaustive]
pub enum NodeState {
    /// Powered off.
    Off,
    /// Between power and an API.
    Booting,
    /// Waiting for a configuration.
    Maintenance,
    /// Writing itself to the disk.
    Installing,
    /// The installation failed; the reason is in the node's problem.
    InstallFailed,
    /// On the way to the next boot.
    Rebooting,
    /// Configured, with the mutually authenticated API.
    Running,
}

/// What the disk holds after an installation.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub(super) struct Installed {
    #[serde(with = "kept")]
    pub(super) config: MachineConfig,
    pub(super) disk: Option<String>,
}

/// A node and its history. Plain data.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub(super) struct SimNode {
    pub(super) spec: NodeSpec,
    /// From when on which state holds; later entries win.
    schedule: Vec<(SystemTime, NodeState)>,
    pub(super) installed: Option<Installed>,
    /// A configuration for the next boot.
    #[serde(with = "kept::optional")]
    pub(super) staged: Option<MachineConfig>,
    pub(super) problem: Option<String>,
    pub(super) etcd: Option<super::etcd::Membership>,
    /// Certificate and key of maintenance mode, PEM, once it was needed.
    pub(super) maintenance_identity: Option<(String, String)>,
    pub(super) boots: u64,
}

impl SimNode {
    pub(super) fn new(spec: NodeSpec) -> Self {
        Self {
            spec,
            schedule: Vec::new(),
            installed: None,
            staged: None,
            problem: None,
            etcd: None,
            maintenance_identity: None,
            boots: 0,
        }
    }

    pub(super) fn state(&self, now: SystemTime) -> NodeState {
        let current = self.schedule.iter().rev().find(|(from, _)| *from <= now);
        current.map_or(NodeState::Off, |(_, state)| *state)
    }

    /// Since when the present state holds.
    pub(super) fn since(&self, now: SystemTime) -> Option<SystemTime> {
        self.schedule
            .iter()
            .rev()
            .find(|(from, _)| *from <= now)
            .map(|(from, _)| *from)
    }

    /// When it came to run, if it runs.
    pub(super) fn running_since(&self, now: SystemTime) -> Option<SystemTime> {
        if self.state(now) == NodeState::Running {
            self.since(now)
        } else {
            None
        }
    }

    /// Forgets what was to come, then goes through these states.
    fn follow(
        &mut self,
        now: SystemTime,
        steps: impl IntoIterator<Item = (SystemTime, NodeState)>,
    ) {
        let present = self
            .schedule
            .iter()
            .rev()
            .find(|(from, _)| *from <= now)
            .copied();
        self.schedule = present.into_iter().chain(steps).collect();
    }

    fn booted(&self) -> NodeState {
        if self.installed.is_some() {
            NodeState::Running
        } else {
            NodeState::Maintenance
        }
    }

    fn take_staged(&mut self) {
        if let (Some(config), Some(installed)) = (self.staged.take(), &mut self.installed) {
            installed.config = config;
        }
    }

    pub(super) fn power_on(&mut self, now: SystemTime, timings: &Timings) {
        if self.state(now) != NodeState::Off {
            return;
        }
        self.boots += 1;
        self.take_staged();
        self.follow(
            now,
            [
                (now, NodeState::Booting),
                (now + timings.boot, self.booted()),
            ],
        );
    }

    pub(super) fn power_off(&mut self, now: SystemTime) {
        self.follow(now, [(now, NodeState::Off)]);
    }

    pub(super) fn shut_down(&mut self, now: SystemTime, timings: &Timings) {
        let off = now + timings.reboot;
        self.follow(now, [(now, NodeState::Rebooting), (off, NodeState::Off)]);
    }

    pub(super) fn reboot(&mut self, now: SystemTime, timings: &Timings) {
        self.boots += 1;
        self.take_staged();
        let booting = now + timings.reboot;
        self.follow(
            now,
            [
                (now, NodeState::Rebooting),
                (booting, NodeState::Booting),
                (booting + timings.boot, self.booted()),
            ],
        );
    }

    /// Installs with a configuration from maintenance mode; a disk that does not exist stops it there.
    pub(super) fn install(&mut self, config: MachineConfig, now: SystemTime, timings: &Timings) {
        let disk = install_disk(&config);
        let found = disk
            .as_ref()
            .is_none_or(|disk| self.spec.disks.iter().any(|known| known.device == *disk));
        if let (false, Some(disk)) = (found, &disk) {
            let known: Vec<&str> = self
                .spec
                .disks
                .iter()
                .map(|disk| disk.device.as_str())
                .collect();
            self.problem = Some(format!(
                "install failed: {disk} does not exist; the disks are {}",
                known.join(", ")
            ));
            self.follow(
                now,
                [
                    (now, NodeState::Installing),
                    (now + timings.reboot, NodeState::InstallFailed),
                ],
            );
            return;
        }
        self.problem = None;
        self.installed = Some(Installed { config, disk });
        self.boots += 1;
        let rebooting = now + timings.install;
        let booting = rebooting + timings.reboot;
        self.follow(
            now,
            [
                (now, NodeState::Installing),
                (rebooting, NodeState::Rebooting),
                (booting, NodeState::Booting),
                (booting + timings.boot, NodeState::Running),
            ],
        );
    }

    /// Wipes state and data.
    pub(super) fn wipe(&mut self) {
        self.installed = None;
        self.staged = None;
        self.etcd = None;
        self.problem = None;
    }

    pub(super) fn config(&self) -> Option<&MachineConfig> {
        self.installed.as_ref().map(|installed| &installed.config)
    }

    /// The configuration in force: none before the first boot from disk.
    pub(super) fn running_config(&self, now: SystemTime) -> Option<&MachineConfig> {
        if self.state(now) == NodeState::Running {
            self.config()
        } else {
            None
        }
    }

    /// Addresses of the present configuration, else those that the network gives.
    pub(super) fn addresses(&self, now: SystemTime) -> Vec<IpAddr> {
        let configured: Vec<IpAddr> = self
            .running_config(now)
            .map(|config| config.addresses())
            .unwrap_or_default()
            .iter()
            .filter_map(|text| text.split('/').next()?.parse().ok())
            .collect();
        if configured.is_empty() {
            self.spec.addresses.clone()
        } else {
            configured
        }
    }

    pub(super) fn hostname(&self, now: SystemTime) -> String {
        let configured = self
            .running_config(now)
            .and_then(|config| config.hostname())
            .map(str::to_owned);
        configured.unwrap_or_else(|| self.spec.name.clone())
    }

    pub(super) fn is_control_plane(&self) -> bool {
        self.config()
            .and_then(MachineConfig::machine_type)
            .is_some_and(|machine| machine.is_control_plane())
    }

    /// The contract of the image's version.
    pub(super) fn version(&self) -> Option<VersionContract> {
        self.spec.talos_version.parse().ok()
    }
}

/// The disk that a configuration names, as a path or as the expression that generation writes.
fn install_disk(config: &MachineConfig) -> Option<String> {
    if let Some(disk) = config.install_disk() {
        return Some(disk.to_owned());
    }
    let expression = config.install_disk_expression()?;
    let path = expression
        .strip_prefix("disk.dev_path == \"")?
        .strip_suffix('"')?;
    Some(path.to_owned())
}

/// A configuration in a kept world: the text that a node has on its disk.
mod kept {
    use serde::de::Error;
    use serde::{Deserialize, Deserializer, Serializer};

    use crate::config::MachineConfig;

    pub(super) fn serialize<S: Serializer>(
        config: &MachineConfig,
        to: S,
    ) -> Result<S::Ok, S::Error> {
        to.serialize_str(&config.to_yaml())
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        from: D,
    ) -> Result<MachineConfig, D::Error> {
        let text = zeroize::Zeroizing::new(String::deserialize(from)?);
        MachineConfig::load(&text).map_err(D::Error::custom)
    }

    pub(super) mod optional {
        use super::{Deserialize, Deserializer, Error, MachineConfig, Serializer};

        pub(in super::super) fn serialize<S: Serializer>(
            config: &Option<MachineConfig>,
            to: S,
        ) -> Result<S::Ok, S::Error> {
            match config {
                Some(config) => to.serialize_some(config.to_yaml().as_str()),
                None => to.serialize_none(),
            }
        }

        pub(in super::super) fn deserialize<'de, D: Deserializer<'de>>(
            from: D,
        ) -> Result<Option<MachineConfig>, D::Error> {
            let text = Option::<String>::deserialize(from)?.map(zeroize::Zeroizing::new);
            text.map(|text| MachineConfig::load(&text).map_err(D::Error::custom))
                .transpose()
        }
    }
}
