//! Figures over time that the cluster keeps, and servers that it sends them to.
//!
//! ```
//! # #[cfg(feature = "simulator")]
//! # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), proxmox_client::Error> {
//! use proxmox_client::Ensured;
//! use proxmox_client::metrics::MetricServerSettings;
//! # let client = proxmox_client::simulator::Simulator::new(proxmox_client::simulator::World::lab()).connect();
//! let server = client.metric_server("influx");
//! let wanted = MetricServerSettings::influxdb("influx.example.test", 8086)
//!     .with_influxdb_protocol("https")
//!     .with_organization("homelab")
//!     .with_bucket("proxmox")
//!     .with_token("…");
//! assert_eq!(server.ensure(&wanted).await?, Ensured::Created);
//! assert_eq!(server.ensure(&wanted).await?, Ensured::Unchanged);
//! # Ok(()) }
//! # #[cfg(not(feature = "simulator"))] fn main() {}
//! ```

mod traffic;

use crate::client::Client;
use crate::error::Result;
use crate::lxc::Lxc;
use crate::named::{About, Named, Noun, about, all, list};
use crate::node::Node;
use crate::open::open_enum;
use crate::qemu::Qemu;
use crate::scalar::record;
use crate::setting::{Settings, settings};
use crate::storage::NodeStorage;
use crate::wire::{Method, Request};

pub use traffic::CardTraffic;

/// Over which time figures are asked for. The longer, the further the samples are apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Timeframe {
    /// The last hour, a sample each minute.
    Hour,
    /// The last day.
    Day,
    /// The last week.
    Week,
    /// The last month.
    Month,
    /// The last year.
    Year,
    /// The last ten years; for nodes only.
    Decade,
}

impl Timeframe {
    fn as_str(self) -> &'static str {
        match self {
            Self::Hour => "hour",
            Self::Day => "day",
            Self::Week => "week",
            Self::Month => "month",
            Self::Year => "year",
            Self::Decade => "decade",
        }
    }
}

/// What a sample tells of the time that it stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Consolidation {
    /// The average.
    #[default]
    Average,
    /// The highest.
    Max,
}

impl Consolidation {
    fn as_str(self) -> &'static str {
        match self {
            Self::Average => "AVERAGE",
            Self::Max => "MAX",
        }
    }
}

record! {
    /// A sample of a node: `GET /nodes/{node}/rrddata`. What was not measured is absent.
    pub struct NodeSample {
        required {
            /// When, in seconds since 1970.
            "time" time: u64,
        }
        optional {
            /// Processor use, 1.0 being all of them.
            "cpu" cpu: f64,
            /// Processors.
            "maxcpu" max_cpu: f64,
            /// Share of time spent waiting for disks.
            "iowait" io_wait: f64,
            /// Load over one minute.
            "loadavg" load: f64,
            /// Memory in bytes.
            "memtotal" max_memory: f64,
            /// Memory in use, in bytes.
            "memused" memory: f64,
            /// Memory that a new process could have, in bytes. Since 9.0.
            "memavailable" available_memory: f64,
            /// Size of the cache of ZFS in bytes. Since 9.0.
            "arcsize" arc_size: f64,
            /// Swap in bytes.
            "swaptotal" max_swap: f64,
            /// Swap in use, in bytes.
            "swapused" swap: f64,
            /// Size of the root file system in bytes.
            "roottotal" max_root: f64,
            /// Use of the root file system in bytes.
            "rootused" root: f64,
            /// Bytes received each second.
            "netin" received: f64,
            /// Bytes sent each second.
            "netout" sent: f64,
            /// Share of time in which something waited for a processor. The pressures are there since 9.0.
            "pressurecpusome" cpu_pressure: f64,
            /// Share of time in which something waited for disks.
            "pressureiosome" io_pressure: f64,
            /// Share of time in which everything waited for disks.
            "pressureiofull" full_io_pressure: f64,
            /// Share of time in which something waited for memory.
            "pressurememorysome" memory_pressure: f64,
            /// Share of time in which everything waited for memory.
            "pressurememoryfull" full_memory_pressure: f64,
        }
    }
}

record! {
    /// A sample of a guest: `GET /nodes/{node}/qemu/{vmid}/rrddata`. What was not measured is absent.
    pub struct GuestSample {
        required {
            /// When, in seconds since 1970.
            "time" time: u64,
        }
        optional {
            /// Processor use, 1.0 being all of the guest's.
            "cpu" cpu: f64,
            /// Virtual processors.
            "maxcpu" max_cpu: f64,
            /// Memory in bytes.
            "maxmem" max_memory: f64,
            /// Memory in use, in bytes.
            "mem" memory: f64,
            /// Memory that the guest takes of its node, in bytes; virtual machines only. Since 9.0.
            "memhost" host_memory: f64,
            /// Size of the boot disk in bytes.
            "maxdisk" max_disk: f64,
            /// Use of the disk in bytes; containers only.
            "disk" disk: f64,
            /// Bytes read each second.
            "diskread" read: f64,
            /// Bytes written each second.
            "diskwrite" written: f64,
            /// Bytes received each second.
            "netin" received: f64,
            /// Bytes sent each second.
            "netout" sent: f64,
            /// Share of time in which something waited for a processor. The pressures are there since 9.0.
            "pressurecpusome" cpu_pressure: f64,
            /// Share of time in which everything waited for a processor.
            "pressurecpufull" full_cpu_pressure: f64,
            /// Share of time in which something waited for disks.
            "pressureiosome" io_pressure: f64,
            /// Share of time in which everything waited for disks.
            "pressureiofull" full_io_pressure: f64,
            /// Share of time in which something waited for memory.
            "pressurememorysome" memory_pressure: f64,
            /// Share of time in which everything waited for memory.
            "pressurememoryfull" full_memory_pressure: f64,
        }
    }
}

record! {
    /// A sample of a storage: `GET /nodes/{node}/storage/{storage}/rrddata`. What was not measured is absent.
    pub struct StorageSample {
        required {
            /// When, in seconds since 1970.
            "time" time: u64,
        }
        optional {
            /// Size in bytes.
            "total" total: f64,
            /// Use in bytes.
            "used" used: f64,
        }
    }
}

fn over(request: Request, timeframe: Timeframe, consolidation: Consolidation) -> Request {
    request
        .with("timeframe", timeframe.as_str())
        .with("cf", consolidation.as_str())
}

impl Node {
    /// The node's figures over time, the oldest first.
    ///
    /// ```
    /// # #[cfg(feature = "simulator")]
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), proxmox_client::Error> {
    /// use proxmox_client::metrics::{Consolidation, Timeframe};
    /// # let client = proxmox_client::simulator::Simulator::new(proxmox_client::simulator::World::lab()).connect();
    /// let hour = client.node("pve1").history(Timeframe::Hour, Consolidation::Max).await?;
    /// let peak = hour.iter().filter_map(|sample| sample.memory).fold(0.0, f64::max);
    /// assert!(peak > 0.0);
    /// # Ok(()) }
    /// # #[cfg(not(feature = "simulator"))] fn main() {}
    /// ```
    pub async fn history(
        &self,
        timeframe: Timeframe,
        consolidation: Consolidation,
    ) -> Result<Vec<NodeSample>> {
        let request = self.request(Method::Get, "/rrddata")?;
        self.client()
            .fetch(over(request, timeframe, consolidation))
            .await
    }
}

impl Qemu {
    /// The machine's figures over time.
    ///
    /// ```
    /// # #[cfg(feature = "simulator")]
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)] async fn main() -> Result<(), proxmox_client::Error> {
    /// use proxmox_client::metrics::{Consolidation, Timeframe};
    /// # let node = proxmox_client::simulator::Simulator::lab().connect().node("pve1");
    /// # let vm = node.create_qemu(100, proxmox_client::QemuConfig::new()).await?.qemu;
    /// vm.start().await?;
    /// tokio::time::sleep(std::time::Duration::from_secs(60)).await;
    /// let hour = vm.history(Timeframe::Hour, Consolidation::Average).await?;
    /// let busy = hour.iter().filter_map(|sample| sample.memory).fold(0.0, f64::max);
    /// assert!(busy > 0.0);
    /// # Ok(()) }
    /// # #[cfg(not(feature = "simulator"))] fn main() {}
    /// ```
    pub async fn history(
        &self,
        timeframe: Timeframe,
        consolidation: Consolidation,
    ) -> Result<Vec<GuestSample>> {
        let request = self.request(Method::Get, "/rrddata")?;
        self.client
            .fetch(over(request, timeframe, consolidation))
            .await
    }
}

impl Lxc {
    /// The container's figures over time.
    ///
    /// Example: see [`Node::history`](crate::Node::history).
    pub async fn history(
        &self,
        timeframe: Timeframe,
        consolidation: Consolidation,
    ) -> Result<Vec<GuestSample>> {
        let request = self.request(Method::Get, "/rrddata")?;
        self.client
            .fetch(over(request, timeframe, consolidation))
            .await
    }
}

impl NodeStorage {
    /// The storage's figures over time.
    ///
    /// ```
    /// # #[cfg(feature = "simulator")]
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), proxmox_client::Error> {
    /// use proxmox_client::metrics::{Consolidation, Timeframe};
    /// # let node = proxmox_client::simulator::Simulator::lab().connect().node("pve1");
    /// let day = node.storage("local").history(Timeframe::Day, Consolidation::Max).await?;
    /// assert_eq!(day.last().unwrap().total, Some((100u64 << 30) as f64));
    /// # Ok(()) }
    /// # #[cfg(not(feature = "simulator"))] fn main() {}
    /// ```
    pub async fn history(
        &self,
        timeframe: Timeframe,
        consolidation: Consolidation,
    ) -> Result<Vec<StorageSample>> {
        let request = self.request(Method::Get, "/rrddata", &[])?;
        let client = self.node().client();
        client.fetch(over(request, timeframe, consolidation)).await
    }
}

open_enum! {
    /// What a metric server speaks.
    pub enum MetricServerKind {
        /// Graphite.
        Graphite = "graphite",
        /// InfluxDB.
        InfluxDb = "influxdb",
        /// OpenTelemetry.
        OpenTelemetry = "opentelemetry",
    }
}

record! {
    /// A metric server: `GET /cluster/metrics/server`. Secrets are left out.
    pub struct MetricServerInfo {
        required {
            /// Name.
            "id" id: String,
            /// What it speaks.
            "type" kind: MetricServerKind,
        }
        optional {
            /// Address.
            "server" server: String,
            /// Port.
            "port" port: u32,
            /// Whether nothing is sent to it.
            "disable" disabled: bool,
            /// Largest datagram in bytes.
            "mtu" mtu: u32,
            /// Bucket of InfluxDB.
            "bucket" bucket: String,
            /// Organization of InfluxDB.
            "organization" organization: String,
            /// Path below which Graphite keeps the figures.
            "path" path: String,
        }
    }
}

settings! {
    /// Settings of a metric server. A new one needs a kind, which the functions that make settings give.
    pub struct MetricServerSettings {
        /// Address.
        with_server "server" text,
        /// Port.
        with_port "port" number,
        /// Sends nothing to it.
        with_disabled "disable" flag,
        /// Largest datagram in bytes, 1500 by default.
        with_mtu "mtu" number,
        /// How long a connection may take, in seconds.
        with_timeout "timeout" number,
        /// Path below which Graphite keeps the figures, `proxmox` by default.
        with_graphite_path "path" text,
        /// How Graphite is spoken to: `udp` (default) or `tcp`.
        with_graphite_protocol "proto" text,
        /// How InfluxDB is spoken to: `udp` (default), `http` or `https`.
        with_influxdb_protocol "influxdbproto" text,
        /// Organization of InfluxDB.
        with_organization "organization" text,
        /// Bucket of InfluxDB.
        with_bucket "bucket" text,
        /// Token for InfluxDB. The server never shows it.
        with_token "token" secret,
        /// Path between address and `/api2/`, if InfluxDB is behind a proxy.
        with_api_path_prefix "api-path-prefix" text,
        /// Most bytes of a request to InfluxDB.
        with_max_body_size "max-body-size" number,
        /// Whether InfluxDB's certificate is checked.
        with_verification "verify-certificate" switch,
        /// How OpenTelemetry is spoken to: `https` (default) or `http`.
        with_otel_protocol "otel-protocol" text,
        /// Path of OpenTelemetry, `/v1/metrics` by default.
        with_otel_path "otel-path" text,
        /// Headers for OpenTelemetry: a JSON object in base64. They often hold a token.
        with_otel_headers "otel-headers" secret,
        /// Attributes of the resource: a JSON object in base64.
        with_otel_attributes "otel-resource-attributes" text,
        /// Whether OpenTelemetry's certificate is checked.
        with_otel_verification "otel-verify-ssl" switch,
    }
}

impl MetricServerSettings {
    fn of(kind: &MetricServerKind, server: &str, port: u16) -> Self {
        Self(Settings::of_kind(kind.as_str()))
            .with_server(server)
            .with_port(port.into())
    }

    /// A Graphite server.
    pub fn graphite(server: &str, port: u16) -> Self {
        Self::of(&MetricServerKind::Graphite, server, port)
    }

    /// An InfluxDB server.
    pub fn influxdb(server: &str, port: u16) -> Self {
        Self::of(&MetricServerKind::InfluxDb, server, port)
    }

    /// An OpenTelemetry collector.
    pub fn open_telemetry(server: &str, port: u16) -> Self {
        Self::of(&MetricServerKind::OpenTelemetry, server, port)
    }
}

/// The noun of [`MetricServer`].
#[derive(Debug)]
#[non_exhaustive]
pub struct MetricServerNoun;

impl about::Sealed for MetricServerNoun {
    const ABOUT: About = About {
        post_to_own_path: true,
        has_kinds: true,
        looks_first: true,
        always: &["server", "port"],
        secrets: &["token", "otel-headers"],
        ..About::new("metric server", "/cluster/metrics/server", "id")
    };
}

impl Noun for MetricServerNoun {
    type Info = MetricServerInfo;
    type Settings = MetricServerSettings;
}

/// A metric server.
///
/// Example: see [the module](crate::metrics).
pub type MetricServer = Named<MetricServerNoun>;

record! {
    /// A figure that the cluster exports: an entry of `GET /cluster/metrics/export`.
    pub struct Metric {
        required {
            /// Whose it is, such as `node/pve1` or `qemu/100`.
            "id" id: String,
            /// Its name, such as `cpu_current`.
            "metric" name: String,
            /// When, in seconds since 1970.
            "timestamp" time: u64,
            /// The figure.
            "value" value: f64,
        }
        optional {
            /// `gauge`, `counter` or `derive`.
            "type" kind: String,
        }
    }
}

/// Which figures are exported.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ExportOptions {
    since: Option<u64>,
    history: bool,
    nodes: Vec<String>,
}

impl ExportOptions {
    /// The latest figures of all nodes.
    pub fn new() -> Self {
        Self::default()
    }

    /// Earlier figures too, as far as nodes keep them: about half an hour.
    #[must_use]
    pub fn with_history(mut self) -> Self {
        self.history = true;
        self
    }

    /// Only figures after this moment, in seconds since 1970.
    #[must_use]
    pub fn since(mut self, seconds: u64) -> Self {
        self.since = Some(seconds);
        self
    }

    /// Only those of these nodes.
    #[must_use]
    pub fn of_nodes<S: Into<String>>(mut self, nodes: impl IntoIterator<Item = S>) -> Self {
        self.nodes = nodes.into_iter().map(Into::into).collect();
        self
    }
}

#[derive(serde::Deserialize)]
struct Export {
    data: Vec<Metric>,
}

impl Client {
    /// All metric servers, with their addresses.
    ///
    /// ```
    /// # #[cfg(feature = "simulator")]
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), proxmox_client::Error> {
    /// use proxmox_client::metrics::MetricServerSettings;
    /// # let client = proxmox_client::simulator::Simulator::lab().connect();
    /// let wanted = MetricServerSettings::graphite("graphite.example.test", 2003);
    /// client.metric_server("graphite").ensure(&wanted).await?;
    /// let servers = client.metric_servers().await?;
    /// assert_eq!(servers[0].server.as_deref(), Some("graphite.example.test"));
    /// # Ok(()) }
    /// # #[cfg(not(feature = "simulator"))] fn main() {}
    /// ```
    pub async fn metric_servers(&self) -> Result<Vec<MetricServerInfo>> {
        all::<MetricServerNoun>(self, list::<MetricServerNoun>(&[])).await
    }

    /// A metric server by its name.
    pub fn metric_server(&self, id: impl Into<String>) -> MetricServer {
        MetricServer::new(self, &[], id)
    }

    /// The figures of nodes, guests and storages, for those who collect them themselves.
    ///
    /// ```
    /// # #[cfg(feature = "simulator")]
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), proxmox_client::Error> {
    /// use proxmox_client::metrics::ExportOptions;
    /// # let client = proxmox_client::simulator::Simulator::lab().connect();
    /// let metrics = client.export_metrics(&ExportOptions::new().of_nodes(["pve1"])).await?;
    /// assert!(metrics.iter().any(|metric| metric.id == "node/pve1" && metric.name == "cpu_current"));
    /// # Ok(()) }
    /// # #[cfg(not(feature = "simulator"))] fn main() {}
    /// ```
    pub async fn export_metrics(&self, options: &ExportOptions) -> Result<Vec<Metric>> {
        let mut request = Request::new(Method::Get, "/cluster/metrics/export", &[]);
        let params = request.params_mut();
        if options.history {
            params.push_flag("history", true);
        }
        if let Some(seconds) = options.since {
            params.push("start-time", seconds.to_string());
        }
        if !options.nodes.is_empty() {
            params.push("node-list", options.nodes.join(","));
        }
        let export: Export = self.fetch(request).await?;
        Ok(export.data)
    }
}
