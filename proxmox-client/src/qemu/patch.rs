//! Changing a configuration: what differs, and nothing else, under the digest that was read.

use serde_json::{Map, Value};

use crate::error::Result;
use crate::guest::{self, ConfigUpdate, Patch, volume_satisfies, with_same_volume};
use crate::property::{Nic, PropertyString, format_of};
use crate::qemu::config::is_drive_slot;
use crate::qemu::{Qemu, QemuConfig, Volumes};

/// A change of a virtual machine's configuration.
pub type QemuPatch = Patch<QemuConfig>;

impl QemuPatch {
    /// What becomes of the volumes of drives that are removed. By default they stay as `unusedN`.
    #[must_use]
    pub fn with_volumes(mut self, volumes: Volumes) -> Self {
        self.volumes = volumes;
        self
    }
}

impl QemuConfig {
    /// What must change so that this configuration has everything that `wanted` says.
    ///
    /// Values are compared by meaning: tags are a set, property strings are compared by key, a card without
    /// a MAC address in `wanted` accepts the one that the server chose, a drive to be allocated or imported accepts the
    /// one that is there, and keys that `wanted` does not name stay. Where an option of a card or drive differs, the
    /// result keeps the address or volume. A password cannot be compared, since the server masks it; it is never part of the result.
    pub fn patch_to(&self, wanted: &QemuConfig) -> QemuPatch {
        let mut set = Map::new();
        for (key, value) in wanted.values() {
            if key == "cipassword" && self.values().contains_key(key) {
                continue;
            }
            match self.values().get(key) {
                Some(have) if same(key, have, value) => {}
                Some(have) => {
                    set.insert(key.clone(), carried_over(key, have, value));
                }
                None => {
                    set.insert(key.clone(), value.clone());
                }
            }
        }
        QemuPatch {
            set: QemuConfig::from_values(set),
            ..QemuPatch::default()
        }
    }
}

fn text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Bool(flag) => u8::from(*flag).to_string(),
        other => other.to_string(),
    }
}

fn same(key: &str, have: &Value, wanted: &Value) -> bool {
    let (have, wanted) = (text(have), text(wanted));
    if have == wanted {
        return true;
    }
    match key {
        "tags" => {
            let set = |text: &str| QemuConfig::new().with("tags", text).tags();
            return set(&have) == set(&wanted);
        }
        "description" => return have.trim_end() == wanted.trim_end(),
        "sshkeys" => {
            let set = |text: &str| QemuConfig::new().with("sshkeys", text).ssh_keys();
            return set(&have) == set(&wanted);
        }
        _ => {}
    }
    let Some(format) = format_of(key) else {
        return false;
    };
    let (have, wanted) = (PropertyString::parse(&have), PropertyString::parse(&wanted));
    if key.starts_with("net") {
        let nic = |parts: &PropertyString| parts.to_string().parse::<Nic>();
        return match (nic(&have), nic(&wanted)) {
            (Ok(have), Ok(wanted)) => have.satisfies(&wanted),
            _ => false,
        };
    }
    if is_volume_key(key) {
        return volume_satisfies(have, wanted, format);
    }
    have.same_meaning(&wanted, format)
}

/// What is wanted, with what the server chose when it made a card or a drive: sending a wish for a volume again would
/// make another volume, a card without an address would get a new one.
fn carried_over(key: &str, have: &Value, wanted: &Value) -> Value {
    let (have, wanted_text) = (text(have), text(wanted));
    if key.starts_with("net") {
        return match (have.parse::<Nic>(), wanted_text.parse::<Nic>()) {
            (Ok(have), Ok(new)) if new.mac().is_none() => match have.mac() {
                Some(mac) => new.with_mac(&mac).to_string().into(),
                None => wanted.clone(),
            },
            _ => wanted.clone(),
        };
    }
    if !is_volume_key(key) {
        return wanted.clone();
    }
    let Some(format) = format_of(key) else {
        return wanted.clone();
    };
    let have = PropertyString::parse(&have);
    match with_same_volume(&have, PropertyString::parse(&wanted_text), format) {
        Some(new) => new.to_string().into(),
        None => wanted.clone(),
    }
}

fn is_volume_key(key: &str) -> bool {
    is_drive_slot(key) || key.starts_with("efidisk") || key.starts_with("tpmstate")
}

impl Qemu {
    /// Makes a change under the digest of the configuration that it was computed from.
    ///
    /// ```
    /// # #[cfg(feature = "simulator")]
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), proxmox_client::Error> {
    /// use proxmox_client::{ConfigUpdate, Kind, QemuPatch};
    /// # let node = proxmox_client::simulator::Simulator::lab().connect().node("pve1");
    /// # let vm = node.create_qemu(100, proxmox_client::QemuConfig::new()).await?.qemu;
    /// let read = vm.config().await?;
    /// let patch = QemuPatch::new().set("name", "web").set("onboot", 1);
    /// let ConfigUpdate::Updated { live, .. } = vm.apply(&read, &patch).await? else { unreachable!() };
    /// assert_eq!(live, ["name", "onboot"]);
    /// // What was read is old now.
    /// let late = vm.apply(&read, &QemuPatch::new().set("name", "www")).await;
    /// assert_eq!(late.unwrap_err().kind(), Kind::Conflict);
    /// # Ok(()) }
    /// # #[cfg(not(feature = "simulator"))] fn main() {}
    /// ```
    ///
    /// # Errors
    /// [`Kind::Conflict`](crate::Kind::Conflict) if someone else changed the configuration since: read, compute and
    /// try again.
    pub async fn apply(&self, read: &QemuConfig, patch: &QemuPatch) -> Result<ConfigUpdate> {
        guest::apply(self, read, patch).await
    }

    /// Gives the machine everything that `wanted` says, leaving other keys alone; repeated when someone
    /// else changes the configuration at the same time.
    ///
    /// ```
    /// # #[cfg(feature = "simulator")]
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), proxmox_client::Error> {
    /// use proxmox_client::{ConfigUpdate, QemuConfig};
    /// # let node = proxmox_client::simulator::Simulator::lab().connect().node("pve1");
    /// # let vm = node.create_qemu(100, proxmox_client::QemuConfig::new()).await?.qemu;
    /// let wanted = QemuConfig::new().with_name("web").with_memory_mib(4096);
    /// assert!(matches!(vm.ensure_config(&wanted).await?, ConfigUpdate::Updated { .. }));
    /// assert_eq!(vm.ensure_config(&wanted).await?, ConfigUpdate::Unchanged);
    /// # Ok(()) }
    /// # #[cfg(not(feature = "simulator"))] fn main() {}
    /// ```
    pub async fn ensure_config(&self, wanted: &QemuConfig) -> Result<ConfigUpdate> {
        guest::update(self, |read| Ok(read.patch_to(wanted))).await
    }

    /// Reads the configuration, lets `change` compute what differs, and sends it under the digest read;
    /// repeated when someone else changes the configuration at the same time.
    ///
    /// ```
    /// # #[cfg(feature = "simulator")]
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), proxmox_client::Error> {
    /// use proxmox_client::{QemuConfig, QemuPatch};
    /// # let node = proxmox_client::simulator::Simulator::lab().connect().node("pve1");
    /// let vm = node.create_qemu(100, QemuConfig::new().with_memory_mib(2048)).await?.qemu;
    /// vm.update(|read| {
    ///     let doubled = read.memory_mib().unwrap_or(512) * 2;
    ///     Ok(QemuPatch::new().set("memory", doubled))
    /// })
    /// .await?;
    /// assert_eq!(vm.config().await?.memory_mib(), Some(4096));
    /// # Ok(()) }
    /// # #[cfg(not(feature = "simulator"))] fn main() {}
    /// ```
    pub async fn update(
        &self,
        change: impl FnMut(&QemuConfig) -> Result<QemuPatch> + Send,
    ) -> Result<ConfigUpdate> {
        guest::update(self, change).await
    }

    /// Drops changes that wait for the next start.
    ///
    /// ```
    /// # #[cfg(feature = "simulator")]
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), proxmox_client::Error> {
    /// use proxmox_client::QemuConfig;
    /// # let node = proxmox_client::simulator::Simulator::lab().connect().node("pve1");
    /// # let vm = node.create_qemu(100, proxmox_client::QemuConfig::new()).await?.qemu;
    /// vm.ensure_config(&QemuConfig::new().with_cores(2)).await?;
    /// vm.start().await?;
    /// vm.ensure_config(&QemuConfig::new().with_cores(4)).await?;
    /// vm.revert(&["cores"]).await?;
    /// assert_eq!(vm.config().await?.cores(), Some(2));
    /// # Ok(()) }
    /// # #[cfg(not(feature = "simulator"))] fn main() {}
    /// ```
    pub async fn revert(&self, keys: &[&str]) -> Result<()> {
        guest::revert(self, keys).await
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Values that a configuration may have, and that may be wanted of it.
    fn config() -> impl Strategy<Value = QemuConfig> {
        let pools: [(&'static str, &'static [&'static str]); 6] = [
            ("cores", &["1", "2"]),
            ("tags", &["a;b", "b,a", "c"]),
            ("description", &["x", "x\n", "y"]),
            (
                "net0",
                &[
                    "virtio=BC:24:11:00:00:01,bridge=vmbr0",
                    "virtio,bridge=vmbr0",
                    "virtio,bridge=vmbr1,tag=7",
                    "e1000,bridge=vmbr0",
                ],
            ),
            (
                "scsi0",
                &[
                    "local-lvm:vm-100-disk-0,size=8G",
                    "local-lvm:8",
                    "local-lvm:8,iothread=1,discard=on",
                    "local:4,format=qcow2",
                    "local-lvm:0,import-from=local:import/x.qcow2",
                ],
            ),
            ("ide2", &["local:cloudinit", "none,media=cdrom"]),
        ];
        let values: Vec<_> = pools
            .into_iter()
            .map(|(key, values)| {
                (
                    Just(key),
                    proptest::option::of(proptest::sample::select(values)),
                )
            })
            .collect();
        values.prop_map(|values| {
            let set = values
                .into_iter()
                .filter_map(|(key, value)| Some((key, value?)));
            set.fold(QemuConfig::new(), |config, (key, value)| {
                config.with(key, value)
            })
        })
    }

    proptest! {
        #[test]
        fn what_was_patched_needs_no_patch(have in config(), wanted in config()) {
            let patch = have.patch_to(&wanted);
            let set = patch.set.values().iter();
            let after = set.fold(have, |config, (key, value)| config.with(key, value.clone()));
            prop_assert!(after.patch_to(&wanted).is_empty());
        }

        #[test]
        fn a_volume_is_never_asked_for_again(wanted in config()) {
            let have = QemuConfig::new().with("scsi0", "local-lvm:vm-100-disk-0,size=8G");
            let drive = have.patch_to(&wanted).set.text("scsi0").unwrap_or_default();
            prop_assert!(!drive.starts_with("local-lvm:8") && !drive.contains("import-from"), "{}", drive);
        }
    }
}
