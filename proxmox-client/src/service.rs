//! Services of a node, and what it writes down.
//!
//! ```
//! # #[cfg(feature = "simulator")]
//! # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), proxmox_client::Error> {
//! use proxmox_client::service::ServiceChange;
//! # let client = proxmox_client::simulator::Simulator::new(proxmox_client::simulator::World::lab()).connect();
//! let scheduler = client.node("pve1").service("pvescheduler");
//! assert!(scheduler.status().await?.is_running());
//! scheduler.stop().await?;
//! assert_eq!(scheduler.ensure_running().await?, ServiceChange::Started);
//! assert_eq!(scheduler.ensure_running().await?, ServiceChange::Unchanged);
//! # Ok(()) }
//! # #[cfg(not(feature = "simulator"))] fn main() {}
//! ```

mod journal;

use crate::error::Result;
use crate::node::Node;
use crate::open::open_enum;
use crate::scalar::record;
use crate::task::TaskCall;
use crate::wire::{Method, Request};

pub use journal::SyslogQuery;

open_enum! {
    /// Whether a service does its work.
    pub enum ActiveState {
        /// It does.
        Active = "active",
        /// It does not.
        Inactive = "inactive",
        /// It ended with a failure.
        Failed = "failed",
        /// It is about to.
        Activating = "activating",
        /// It is about to stop.
        Deactivating = "deactivating",
        /// The node cannot tell.
        Unknown = "unknown",
    }
}

record! {
    /// A service: `GET /nodes/{node}/services`.
    pub struct ServiceStatus {
        required {
            /// Name, such as `pveproxy`.
            "service" service: String,
        }
        optional {
            /// Description.
            "desc" description: String,
            /// State in detail: `running`, `dead`, `exited`, …
            "state" state: String,
            /// Whether it does its work.
            "active-state" active: ActiveState,
            /// Whether it comes up with the node: `enabled`, `disabled`, `static`, `masked`, `not-found`, …
            "unit-state" unit: String,
        }
    }
}

impl ServiceStatus {
    /// Whether it runs.
    pub fn is_running(&self) -> bool {
        self.state.as_deref() == Some("running")
    }

    /// Whether the node has it at all.
    pub fn is_installed(&self) -> bool {
        self.unit.as_deref() != Some("not-found")
    }
}

/// What became of making sure that a service runs or does not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum ServiceChange {
    /// It was started.
    Started,
    /// It was stopped.
    Stopped,
    /// It was so already.
    Unchanged,
}

/// A service of a node.
///
/// ```
/// # #[cfg(feature = "simulator")]
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), proxmox_client::Error> {
/// use proxmox_client::service::ServiceChange;
/// # let node = proxmox_client::simulator::Simulator::lab().connect().node("pve1");
/// let statistics = node.service("pvestatd");
/// assert_eq!(statistics.ensure_stopped().await?, ServiceChange::Stopped);
/// assert!(!statistics.status().await?.is_running());
/// statistics.start().await?;
/// assert_eq!(statistics.ensure_running().await?, ServiceChange::Unchanged);
/// statistics.reload().await?;
/// statistics.restart().await?;
/// assert!(statistics.status().await?.is_running());
/// statistics.stop().await?;
/// assert_eq!(statistics.ensure_running().await?, ServiceChange::Started);
/// # Ok(()) }
/// # #[cfg(not(feature = "simulator"))] fn main() {}
/// ```
#[derive(Debug, Clone)]
pub struct Service {
    node: Node,
    name: String,
}

impl Node {
    /// The services that the interface knows, also those that this node does not have.
    ///
    /// ```
    /// # #[cfg(feature = "simulator")]
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), proxmox_client::Error> {
    /// # let node = proxmox_client::simulator::Simulator::lab().connect().node("pve1");
    /// let services = node.services().await?;
    /// let proxy = services.iter().find(|one| one.service == "pveproxy").unwrap();
    /// assert!(proxy.is_installed() && proxy.is_running());
    /// # Ok(()) }
    /// # #[cfg(not(feature = "simulator"))] fn main() {}
    /// ```
    pub async fn services(&self) -> Result<Vec<ServiceStatus>> {
        let request = self.request(Method::Get, "/services")?;
        self.client().fetch(request).await
    }

    /// A service by its name, such as `pveproxy`.
    pub fn service(&self, name: impl Into<String>) -> Service {
        Service {
            node: self.clone(),
            name: name.into(),
        }
    }
}

impl Service {
    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    fn request(&self, method: Method, below: &str) -> Result<Request> {
        self.node.request(method, "")?;
        let template = format!("/nodes/{{node}}/services/{{service}}{below}");
        Ok(Request::new(
            method,
            &template,
            &[self.node.name(), &self.name],
        ))
    }

    /// Its state.
    ///
    /// Example: see [`Service`].
    ///
    /// # Errors
    /// [`Kind::Parameter`](crate::Kind::Parameter) for a service that the interface does not know.
    pub async fn status(&self) -> Result<ServiceStatus> {
        let request = self.request(Method::Get, "/state")?;
        self.node.client().fetch(request).await
    }

    fn command(&self, command: &str) -> TaskCall<()> {
        TaskCall::new(
            self.node.client().clone(),
            format!("{command} of service {} on {}", self.name, self.node.name()),
            self.request(Method::Post, &format!("/{command}")),
            |report| report.check().map(|_| ()),
        )
    }

    /// Starts it.
    ///
    /// Example: see [`Service`].
    pub fn start(&self) -> TaskCall<()> {
        self.command("start")
    }

    /// Stops it.
    ///
    /// Example: see [`Service`].
    ///
    /// # Errors
    /// A task failure for services that the node cannot be reached without: `pveproxy`, `pvedaemon`, `pve-cluster`.
    pub fn stop(&self) -> TaskCall<()> {
        self.command("stop")
    }

    /// Stops it, if it runs, and starts it.
    ///
    /// Example: see [`Service`].
    pub fn restart(&self) -> TaskCall<()> {
        self.command("restart")
    }

    /// Has it read its configuration anew, or restarts it if it cannot; one that does not run is left alone.
    ///
    /// Example: see [`Service`].
    pub fn reload(&self) -> TaskCall<()> {
        self.command("reload")
    }

    /// Makes sure that it runs.
    ///
    /// Example: see [`Service`].
    pub async fn ensure_running(&self) -> Result<ServiceChange> {
        if self.status().await?.is_running() {
            return Ok(ServiceChange::Unchanged);
        }
        self.start().await?;
        Ok(ServiceChange::Started)
    }

    /// Makes sure that it does not run.
    ///
    /// Example: see [`Service`].
    ///
    /// # Errors
    /// As for [`stop`](Self::stop).
    pub async fn ensure_stopped(&self) -> Result<ServiceChange> {
        if !self.status().await?.is_running() {
            return Ok(ServiceChange::Unchanged);
        }
        self.stop().await?;
        Ok(ServiceChange::Stopped)
    }
}
