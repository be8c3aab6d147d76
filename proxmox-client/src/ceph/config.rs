//! Settings, log, rules and the map of placement.

use std::collections::BTreeMap;

use super::NodeCeph;
use crate::error::{Error, Result};
use crate::scalar::record;
use crate::task::LogLine;
use crate::wire::Method;

record! {
    /// An entry of the configuration database: `GET /nodes/{node}/ceph/cfg/db`.
    pub struct CephConfigEntry {
        required {
            /// What it holds for: `global`, `mon`, `osd`, `osd.3`, …
            "section" section: String,
            /// Name.
            "name" name: String,
        }
        optional {
            /// Value.
            "value" value: String,
            /// `basic`, `advanced` or `dev`.
            "level" level: String,
            /// Which hosts or classes it holds for: `host:pve1`, `class:ssd`; empty for all.
            "mask" mask: String,
            /// Whether it takes effect without a restart.
            "can_update_at_runtime" at_runtime: bool,
        }
    }
}

record! {
    /// A rule of placement: `GET /nodes/{node}/ceph/rules`.
    pub struct CephRule {
        required {
            /// Name, such as `replicated_rule`.
            "name" name: String,
        }
        optional {}
    }
}

impl NodeCeph {
    /// The configuration file.
    ///
    /// ```
    /// # #[cfg(feature = "simulator")]
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), proxmox_client::Error> {
    /// # use proxmox_client::simulator::{Simulator, World};
    /// # let client = Simulator::new(World::lab().with_ceph_cluster()).connect();
    /// let ceph = client.node("pve1").ceph();
    /// assert!(ceph.config().await?.starts_with("[global]"));
    /// let asked = ceph.config_values(&[("global", "fsid"), ("global", "mon_host")]).await?;
    /// assert_eq!(asked["global"]["mon-host"], "192.0.2.10");
    /// # Ok(()) }
    /// # #[cfg(not(feature = "simulator"))] fn main() {}
    /// ```
    ///
    /// # Errors
    /// [`Kind::NotConfigured`](crate::Kind::NotConfigured) if there is none.
    pub async fn config(&self) -> Result<String> {
        let request = self.request(Method::Get, "/cfg/raw")?;
        self.client().fetch(request).await
    }

    /// The settings in the monitors' database.
    ///
    /// ```
    /// # #[cfg(feature = "simulator")]
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), proxmox_client::Error> {
    /// # use proxmox_client::simulator::{Simulator, World};
    /// # let client = Simulator::new(World::lab().with_ceph_cluster()).connect();
    /// let entries = client.node("pve1").ceph().config_database().await?;
    /// assert!(entries.iter().any(|entry| entry.section == "mon"));
    /// # Ok(()) }
    /// # #[cfg(not(feature = "simulator"))] fn main() {}
    /// ```
    pub async fn config_database(&self) -> Result<Vec<CephConfigEntry>> {
        let request = self.request(Method::Get, "/cfg/db")?;
        self.client().fetch(request).await
    }

    /// Values of settings by section and name, from the file or else from the database; what is not set is left out. In
    /// the answer `_` in sections and names is `-`. Server 8.1 and later.
    ///
    /// Example: see [`config`](Self::config).
    ///
    /// # Errors
    /// [`Kind::InvalidInput`](crate::Kind::InvalidInput) for no key at all, or one with other characters than letters,
    /// digits, `-`, `_` and, in sections, `.`.
    pub async fn config_values(
        &self,
        keys: &[(&str, &str)],
    ) -> Result<BTreeMap<String, BTreeMap<String, String>>> {
        let keys = keys_text(keys)?;
        let request = self.request(Method::Get, "/cfg/value")?;
        self.client().fetch(request.with("config-keys", keys)).await
    }

    /// Lines of the cluster's log, from a place on (0 being the first), so many at most.
    ///
    /// ```
    /// # #[cfg(feature = "simulator")]
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), proxmox_client::Error> {
    /// # use proxmox_client::simulator::{Simulator, World};
    /// # let client = Simulator::new(World::lab().with_ceph_cluster()).connect();
    /// let lines = client.node("pve1").ceph().log(0, 500).await?;
    /// assert_eq!(lines[0].number, 1);
    /// # Ok(()) }
    /// # #[cfg(not(feature = "simulator"))] fn main() {}
    /// ```
    pub async fn log(&self, start: u64, limit: u64) -> Result<Vec<LogLine>> {
        let request = self.request(Method::Get, "/log")?;
        let request = request.with("start", start.to_string());
        self.client()
            .fetch(request.with("limit", limit.to_string()))
            .await
    }

    /// The rules by which copies are spread.
    ///
    /// ```
    /// # #[cfg(feature = "simulator")]
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), proxmox_client::Error> {
    /// # use proxmox_client::simulator::{Simulator, World};
    /// # let client = Simulator::new(World::lab().with_ceph_cluster()).connect();
    /// assert_eq!(client.node("pve1").ceph().rules().await?[0].name, "replicated_rule");
    /// # Ok(()) }
    /// # #[cfg(not(feature = "simulator"))] fn main() {}
    /// ```
    pub async fn rules(&self) -> Result<Vec<CephRule>> {
        let request = self.request(Method::Get, "/rules")?;
        self.client().fetch(request).await
    }

    /// The map of placement, in the language of `crushtool`.
    ///
    /// ```
    /// # #[cfg(feature = "simulator")]
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), proxmox_client::Error> {
    /// # use proxmox_client::simulator::{Simulator, World};
    /// # let client = Simulator::new(World::lab().with_ceph_cluster()).connect();
    /// assert!(client.node("pve1").ceph().crush_map().await?.contains("rule replicated_rule"));
    /// # Ok(()) }
    /// # #[cfg(not(feature = "simulator"))] fn main() {}
    /// ```
    pub async fn crush_map(&self) -> Result<String> {
        let request = self.request(Method::Get, "/crush")?;
        self.client().fetch(request).await
    }
}

/// Keys as the interface wants them.
fn keys_text(keys: &[(&str, &str)]) -> Result<String> {
    let good = |text: &str, more: &[u8]| {
        let inner = |byte: u8| byte.is_ascii_alphanumeric() || more.contains(&byte);
        !text.is_empty() && text.bytes().all(inner)
    };
    let mut texts = Vec::new();
    for (section, name) in keys {
        if !good(section, b"-_.") || !good(name, b"-_") {
            let key = format!("{section}:{name}");
            let text = format!("`{}` is no key of Ceph's settings", key.escape_debug());
            return Err(Error::invalid(text));
        }
        texts.push(format!("{section}:{name}"));
    }
    if texts.is_empty() {
        return Err(Error::invalid("no key is asked for"));
    }
    Ok(texts.join(";"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_section_and_name_with_semicolons_between() {
        let text = keys_text(&[("global", "fsid"), ("osd.3", "osd_memory_target")]);
        assert_eq!(
            text.ok().as_deref(),
            Some("global:fsid;osd.3:osd_memory_target")
        );
        for bad in [
            ("global", "a b"),
            ("", "fsid"),
            ("global", ""),
            ("a:b", "c"),
            ("a", "b.c"),
        ] {
            assert!(keys_text(&[bad]).is_err(), "{bad:?}");
        }
        assert!(keys_text(&[]).is_err());
    }
}
