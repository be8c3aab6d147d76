//! What must change so that a container is as it is wanted.

use serde_json::Value;

use crate::error::Result;
use crate::guest::{self, ConfigUpdate, Patch, volume_satisfies, with_same_volume};
use crate::lxc::config::is_volume_key;
use crate::lxc::{Lxc, LxcConfig};
use crate::property::container::format_of;
use crate::property::{ContainerNic, PropertyString};

/// A change of a container's configuration.
pub type LxcPatch = Patch<LxcConfig>;

impl LxcConfig {
    /// What must change so that this configuration has everything that `wanted` says.
    ///
    /// Values are compared by meaning: tags are a set, property strings are compared by key, a card without a MAC address
    /// in `wanted` accepts the one that the server chose, a volume that is there satisfies the wish to allocate one on its
    /// storage, and keys that `wanted` does not name stay. Where an option of a card or volume differs, the result keeps
    /// the address or volume.
    ///
    /// ```
    /// use proxmox_client::LxcConfig;
    /// let have = LxcConfig::new()
    ///     .with("net0", "name=eth0,bridge=vmbr0,hwaddr=BC:24:11:00:00:01,type=veth")
    ///     .with("rootfs", "local-lvm:vm-200-disk-0,size=4G")
    ///     .with("memory", 512);
    /// let wanted = LxcConfig::new()
    ///     .with("net0", "name=eth0,bridge=vmbr0")
    ///     .with("rootfs", "local-lvm:4")
    ///     .with("memory", 1024);
    /// assert_eq!(have.patch_to(&wanted).keys().collect::<Vec<_>>(), ["memory"]);
    /// ```
    pub fn patch_to(&self, wanted: &LxcConfig) -> LxcPatch {
        let mut patch = Patch::new();
        for (key, value) in wanted.values() {
            patch = match self.values().get(key) {
                Some(have) if same(key, have, value) => patch,
                Some(have) => patch.set(key, carried_over(key, have, value)),
                None => patch.set(key, value.clone()),
            };
        }
        patch
    }
}

/// What is wanted, with the address and the volume that the server chose when it made a card or a volume.
fn carried_over(key: &str, have: &Value, wanted: &Value) -> Value {
    let (Some(have), Some(text)) = (have.as_str(), wanted.as_str()) else {
        return wanted.clone();
    };
    let kept = if key.starts_with("net") {
        let card = |text: &str| text.parse::<ContainerNic>().ok();
        card(have)
            .zip(card(text))
            .filter(|(_, new)| new.mac().is_none())
            .and_then(|(have, new)| Some(new.with_mac(have.mac()?).to_string()))
    } else if is_volume_key(key) {
        let (have, new) = (PropertyString::parse(have), PropertyString::parse(text));
        format_of(key)
            .and_then(|format| with_same_volume(&have, new, format))
            .map(|new| new.to_string())
    } else {
        None
    };
    kept.map_or_else(|| wanted.clone(), Value::from)
}

fn same(key: &str, have: &Value, wanted: &Value) -> bool {
    let one = |value: &Value| LxcConfig::new().with(key, value.clone());
    let (have, wanted) = (one(have), one(wanted));
    let (Some(text), Some(wanted_text)) = (have.text(key), wanted.text(key)) else {
        return false;
    };
    if text == wanted_text {
        return true;
    }
    match key {
        "tags" => return have.tags() == wanted.tags(),
        // The server ends a description with a line break.
        "description" => return text.trim_end() == wanted_text.trim_end(),
        "cpulimit" => return have.cpu_limit() == wanted.cpu_limit(),
        "nameserver" | "searchdomain" => {
            let words = |text: &str| -> Vec<String> {
                text.split([' ', ',', ';'])
                    .filter(|word| !word.is_empty())
                    .map(str::to_owned)
                    .collect()
            };
            return words(&text) == words(&wanted_text);
        }
        _ => {}
    }
    let Some(format) = format_of(key) else {
        return false;
    };
    if key.starts_with("net") {
        let card = |text: &str| text.parse::<ContainerNic>();
        return match (card(&text), card(&wanted_text)) {
            (Ok(have), Ok(wanted)) => have.satisfies(&wanted),
            _ => false,
        };
    }
    let (have, wanted) = (
        PropertyString::parse(&text),
        PropertyString::parse(&wanted_text),
    );
    if is_volume_key(key) {
        volume_satisfies(have, wanted, format)
    } else {
        have.same_meaning(&wanted, format)
    }
}

impl Lxc {
    /// Makes a change under the digest of the configuration that it was computed from.
    ///
    /// ```
    /// # #[cfg(feature = "simulator")]
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), proxmox_client::Error> {
    /// # use proxmox_client::LxcConfig;
    /// # use proxmox_client::simulator::{Simulator, World};
    /// use proxmox_client::{ConfigUpdate, Kind, LxcPatch};
    /// # let ct = LxcConfig::new().with("rootfs", "local-lvm:vm-200-disk-0,size=4G");
    /// # let node = Simulator::new(World::lab().with_container("pve1", 200, &ct)).connect().node("pve1");
    /// let dns = node.lxc(200);
    /// let read = dns.config().await?;
    /// let patch = LxcPatch::new().set("memory", 1024);
    /// assert!(matches!(dns.apply(&read, &patch).await?, ConfigUpdate::Updated { .. }));
    /// // What was read is old now.
    /// let late = dns.apply(&read, &LxcPatch::new().set("memory", 2048)).await;
    /// assert_eq!(late.unwrap_err().kind(), Kind::Conflict);
    /// # Ok(()) }
    /// # #[cfg(not(feature = "simulator"))] fn main() {}
    /// ```
    ///
    /// # Errors
    /// [`Kind::Conflict`](crate::Kind::Conflict) if someone else changed the configuration since: read, compute and
    /// try again.
    pub async fn apply(&self, read: &LxcConfig, patch: &LxcPatch) -> Result<ConfigUpdate> {
        guest::apply(self, read, patch).await
    }

    /// Gives the container everything that `wanted` says, leaving other keys alone; repeated when someone else changes
    /// the configuration at the same time.
    ///
    /// ```
    /// # #[cfg(feature = "simulator")]
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), proxmox_client::Error> {
    /// # use proxmox_client::simulator::{Simulator, World};
    /// # use proxmox_client::{ConfigUpdate, LxcConfig};
    /// # let ct = LxcConfig::new().with_hostname("dns").with("rootfs", "local-lvm:vm-200-disk-0,size=4G");
    /// # let simulator = Simulator::new(World::lab().with_container("pve1", 200, &ct));
    /// # let client = simulator.connect();
    /// let wanted = LxcConfig::new().with_hostname("dns").with_memory_mib(1024);
    /// let dns = client.node("pve1").lxc(200);
    /// assert!(matches!(dns.ensure_config(&wanted).await?, ConfigUpdate::Updated { .. }));
    /// assert_eq!(dns.ensure_config(&wanted).await?, ConfigUpdate::Unchanged);
    /// # Ok(()) }
    /// # #[cfg(not(feature = "simulator"))] fn main() {}
    /// ```
    pub async fn ensure_config(&self, wanted: &LxcConfig) -> Result<ConfigUpdate> {
        guest::update(self, |read| Ok(read.patch_to(wanted))).await
    }

    /// Reads the configuration, lets `change` compute what differs, and sends it under the digest read; repeated when
    /// someone else changes the configuration at the same time.
    ///
    /// ```
    /// # #[cfg(feature = "simulator")]
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), proxmox_client::Error> {
    /// # use proxmox_client::LxcConfig;
    /// # use proxmox_client::simulator::{Simulator, World};
    /// use proxmox_client::LxcPatch;
    /// # let ct = LxcConfig::new().with("rootfs", "local-lvm:vm-200-disk-0,size=4G");
    /// # let node = Simulator::new(World::lab().with_container("pve1", 200, &ct)).connect().node("pve1");
    /// let dns = node.lxc(200);
    /// dns.ensure_config(&LxcConfig::new().with_memory_mib(512)).await?;
    /// dns.update(|read| {
    ///     let doubled = read.memory_mib().unwrap_or(512) * 2;
    ///     Ok(LxcPatch::new().set("memory", doubled))
    /// })
    /// .await?;
    /// assert_eq!(dns.config().await?.memory_mib(), Some(1024));
    /// # Ok(()) }
    /// # #[cfg(not(feature = "simulator"))] fn main() {}
    /// ```
    pub async fn update(
        &self,
        change: impl FnMut(&LxcConfig) -> Result<LxcPatch> + Send,
    ) -> Result<ConfigUpdate> {
        guest::update(self, change).await
    }

    /// Drops changes that wait for the next start.
    ///
    /// Example: see [`pending`](Self::pending).
    pub async fn revert(&self, keys: &[&str]) -> Result<()> {
        guest::revert(self, keys).await
    }

    /// Makes sure that it carries these tags, whatever others it has.
    ///
    /// ```
    /// # #[cfg(feature = "simulator")]
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), proxmox_client::Error> {
    /// # use proxmox_client::LxcConfig;
    /// # use proxmox_client::simulator::{Simulator, World};
    /// use proxmox_client::ConfigUpdate;
    /// # let ct = LxcConfig::new().with("rootfs", "local-lvm:vm-200-disk-0,size=4G");
    /// # let node = Simulator::new(World::lab().with_container("pve1", 200, &ct)).connect().node("pve1");
    /// let dns = node.lxc(200);
    /// dns.ensure_tags(&["lab", "dns"]).await?;
    /// assert_eq!(dns.ensure_tags(&["dns"]).await?, ConfigUpdate::Unchanged);
    /// dns.remove_tags(&["lab"]).await?;
    /// assert_eq!(dns.config().await?.tags(), ["dns"]);
    /// # Ok(()) }
    /// # #[cfg(not(feature = "simulator"))] fn main() {}
    /// ```
    pub async fn ensure_tags(&self, tags: &[&str]) -> Result<ConfigUpdate> {
        guest::add_tags(self, tags).await
    }

    /// Takes these tags off, if it has them.
    ///
    /// Example: see [`ensure_tags`](Self::ensure_tags).
    pub async fn remove_tags(&self, tags: &[&str]) -> Result<ConfigUpdate> {
        guest::remove_tags(self, tags).await
    }
}
