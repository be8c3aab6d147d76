//! Options of the whole cluster: `datacenter.cfg`.

use serde_json::{Map, Value};

use crate::access::Ensured;
use crate::client::Client;
#[cfg(doc)]
use crate::error::Kind;
use crate::error::Result;
use crate::named::{decode, hide};
use crate::scalar::record;
use crate::setting::settings;
use crate::wire::{Method, Request};

record! {
    /// `GET /cluster/options`. Options with several parts come as objects; the proxy, which may hold a password, is left out.
    pub struct ClusterOptions {
        optional {
            /// Notes, with a line's end.
            "description" description: String,
            /// Beginning of the MAC addresses that the cluster makes up.
            "mac_prefix" mac_prefix: String,
            /// Keyboard layout of consoles.
            "keyboard" keyboard: String,
            /// Language of the web interface.
            "language" language: String,
            /// Console that the web interface opens.
            "console" console: String,
            /// Sender of messages.
            "email_from" email_from: String,
            /// Most tasks of a node at once when many guests are started or stopped.
            "max_workers" max_workers: u32,
            /// How guests are moved: `type`, `network`.
            "migration" migration: Value,
            /// Range of ids that the cluster proposes: `lower`, `upper`.
            "next-id" next_id: Value,
            /// How HA goes on when a node shuts down: `shutdown_policy`.
            "ha" ha: Value,
            /// How HA chooses nodes.
            "crs" scheduling: Value,
            /// Limits of bandwidth in KiB/s.
            "bwlimit" bandwidth: Value,
            /// Tags that only some may set.
            "registered-tags" registered_tags: Vec<String>,
            /// Tags that the caller may set.
            "allowed-tags" allowed_tags: Vec<String>,
        }
    }
}

settings! {
    /// Options of the cluster that are wanted. Those with several parts are property strings.
    pub struct ClusterSettings {
        /// Notes.
        with_description "description" text,
        /// Beginning of the MAC addresses that the cluster makes up, such as `BC:24:11`.
        with_mac_prefix "mac_prefix" text,
        /// Keyboard layout of consoles, such as `de`.
        with_keyboard "keyboard" text,
        /// Language of the web interface.
        with_language "language" text,
        /// Proxy for downloads: `http://user:password@host:port/`.
        with_http_proxy "http_proxy" secret,
        /// Sender of messages.
        with_email_from "email_from" text,
        /// Most tasks of a node at once when many guests are started or stopped.
        with_max_workers "max_workers" number,
    }
}

impl ClusterSettings {
    /// How guests are moved: `secure` or `insecure`, and over which network.
    #[must_use]
    pub fn with_migration(self, kind: &str, network: Option<&str>) -> Self {
        let network = network.map(|network| format!(",network={network}"));
        self.with_parts(
            "migration",
            &format!("type={kind}{}", network.unwrap_or_default()),
        )
    }

    /// The ids that the cluster proposes: from `lower` up to, but without, `upper`.
    #[must_use]
    pub fn with_ids(self, lower: u32, upper: u32) -> Self {
        self.with_parts("next-id", &format!("lower={lower},upper={upper}"))
    }

    /// What HA does when a node shuts down: `conditional`, `migrate`, `failover` or `freeze`.
    #[must_use]
    pub fn with_shutdown_policy(self, policy: &str) -> Self {
        self.with_parts("ha", &format!("shutdown_policy={policy}"))
    }

    /// An option with several parts, as a property string such as `type=insecure,network=192.0.2.0/24`. The server tells
    /// it as an object; the order of the parts makes no difference.
    #[must_use]
    pub fn with_parts(mut self, name: &str, value: &str) -> Self {
        let parts = crate::setting::Wanted::items(vec![value.to_owned()]);
        self.0.set(name, parts);
        self
    }
}

const OPTIONS: &str = "/cluster/options";

impl Client {
    /// Options of the cluster. What is not set is absent.
    ///
    /// ```
    /// # #[cfg(feature = "simulator")]
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), proxmox_client::Error> {
    /// use proxmox_client::ClusterSettings;
    /// # let client = proxmox_client::simulator::Simulator::lab().connect();
    /// client.ensure_cluster_options(&ClusterSettings::new().with_max_workers(8)).await?;
    /// assert_eq!(client.cluster_options().await?.max_workers, Some(8));
    /// # Ok(()) }
    /// # #[cfg(not(feature = "simulator"))] fn main() {}
    /// ```
    pub async fn cluster_options(&self) -> Result<ClusterOptions> {
        let mut members: Map<String, Value> =
            self.fetch(Request::new(Method::Get, OPTIONS, &[])).await?;
        hide(&mut members, &["http_proxy"]);
        decode(members.into())
    }

    /// Makes sure that options of the cluster are set so; others are left alone. The interface knows no digest here: of
    /// two changes at once the later one counts.
    ///
    /// ```
    /// # #[cfg(feature = "simulator")]
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), proxmox_client::Error> {
    /// use proxmox_client::{ClusterSettings, Ensured};
    /// # let client = proxmox_client::simulator::Simulator::new(proxmox_client::simulator::World::lab()).connect();
    /// let wanted = ClusterSettings::new()
    ///     .with_migration("insecure", Some("192.0.2.0/24"))
    ///     .with_ids(1000, 2000);
    /// assert!(matches!(client.ensure_cluster_options(&wanted).await?, Ensured::Updated(_)));
    /// assert_eq!(client.ensure_cluster_options(&wanted).await?, Ensured::Unchanged);
    /// # Ok(()) }
    /// # #[cfg(not(feature = "simulator"))] fn main() {}
    /// ```
    ///
    /// # Errors
    /// [`Kind::Parameter`] for values that the server refuses.
    pub async fn ensure_cluster_options(&self, wanted: &ClusterSettings) -> Result<Ensured> {
        let doing = "setting options of the cluster";
        let have: Result<Map<String, Value>> =
            self.fetch(Request::new(Method::Get, OPTIONS, &[])).await;
        let have = have.map_err(|error| error.doing(doing))?;
        let changed = wanted.0.differing(&have);
        if changed.is_empty() {
            return Ok(Ensured::Unchanged);
        }
        let mut request = Request::new(Method::Put, OPTIONS, &[]);
        wanted.0.push_change(&changed, request.params_mut());
        let done = self.request(request).await;
        done.map_err(|error| error.doing(doing))?;
        Ok(Ensured::Updated(changed))
    }
}

record! {
    /// A line of the cluster's log: `GET /cluster/log`.
    pub struct ClusterLogEntry {
        required {
            /// When, in seconds since 1970.
            "time" time: u64,
            /// Text.
            "msg" text: String,
        }
        optional {
            /// Node that wrote it.
            "node" node: String,
            /// Who did it.
            "user" user: String,
            /// Program that wrote it.
            "tag" tag: String,
            /// How grave it is, 0 (worst) to 7.
            "pri" priority: u32,
            /// Process that wrote it.
            "pid" pid: u32,
        }
    }
}

impl Client {
    /// The last lines of the cluster's log, the newest first; `most` of them.
    ///
    /// ```
    /// # #[cfg(feature = "simulator")]
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), proxmox_client::Error> {
    /// use proxmox_client::QemuConfig;
    /// # let client = proxmox_client::simulator::Simulator::lab().connect();
    /// client.node("pve1").create_qemu(100, QemuConfig::new()).await?;
    /// let newest = client.cluster_log(1).await?;
    /// assert!(newest[0].text.starts_with("end task UPID:pve1:"));
    /// # Ok(()) }
    /// # #[cfg(not(feature = "simulator"))] fn main() {}
    /// ```
    pub async fn cluster_log(&self, most: u32) -> Result<Vec<ClusterLogEntry>> {
        let request = Request::new(Method::Get, "/cluster/log", &[]).with("max", most.to_string());
        self.fetch(request).await
    }
}
