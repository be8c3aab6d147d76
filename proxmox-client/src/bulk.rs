//! Many guests at once: started, shut down, suspended, moved, on one node or in the whole cluster.
//!
//! ```
//! # #[cfg(feature = "simulator")]
//! # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), proxmox_client::Error> {
//! use proxmox_client::bulk::{BulkShutdown, BulkStart};
//! # use proxmox_client::QemuConfig;
//! # use proxmox_client::simulator::{Simulator, World};
//! # let world = World::lab()
//! #     .with_guest("pve1", 100, &QemuConfig::new())
//! #     .with_guest("pve1", 101, &QemuConfig::new());
//! # let client = Simulator::new(world).connect();
//! client.start_guests(&BulkStart::new().of_guests([100, 101])).await?;
//! assert!(client.node("pve1").qemu(101).status().await?.is_running());
//! let warnings = client.shut_down_guests(&BulkShutdown::new()).await?;
//! assert!(warnings.is_empty());
//! # Ok(()) }
//! # #[cfg(not(feature = "simulator"))] fn main() {}
//! ```

mod batch;

use std::collections::BTreeSet;
use std::time::Duration;

use crate::client::Client;
#[cfg(doc)]
use crate::error::Kind;
use crate::error::{Error, Result};
use crate::node::Node;
use crate::task::TaskCall;
use crate::wire::{Method, Params, Request};

/// Makes the setters that all actions have.
macro_rules! shared_settings {
    ($Name:ident) => {
        impl $Name {
            /// All guests that the action is about, as many at once as the cluster's options say.
            pub fn new() -> Self {
                Self::default()
            }

            /// Only these guests, also if HA manages them.
            #[must_use]
            pub fn of_guests(mut self, vmids: impl IntoIterator<Item = u32>) -> Self {
                self.of.guests = vmids.into_iter().collect();
                self
            }

            /// Most tasks at once, 1 to 64.
            #[must_use]
            pub fn with_workers(mut self, count: u32) -> Self {
                self.of.workers = Some(count);
                self
            }
        }
    };
}

/// What all actions can be told.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Selection {
    guests: BTreeSet<u32>,
    workers: Option<u32>,
}

impl Selection {
    fn push_to(&self, whole: bool, params: &mut Params) {
        let guests: Vec<String> = self.guests.iter().map(u32::to_string).collect();
        if whole {
            guests.into_iter().for_each(|vmid| params.push("vms", vmid));
        } else if !guests.is_empty() {
            params.push("vms", guests.join(","));
        }
        if let Some(workers) = self.workers {
            params.push("max-workers", workers.to_string());
        }
    }
}

/// How guests are started together, in the order that their `startup` says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct BulkStart {
    of: Selection,
    all: bool,
    timeout: Option<Duration>,
}

shared_settings!(BulkStart);

impl BulkStart {
    /// Of a node also guests that do not start with it. The cluster starts those always.
    #[must_use]
    pub fn with_all(mut self) -> Self {
        self.all = true;
        self
    }

    /// How long a machine may take to start, in whole seconds; only for the cluster.
    #[must_use]
    pub fn with_timeout(mut self, limit: Duration) -> Self {
        self.timeout = Some(limit);
        self
    }
}

/// How guests are shut down together, in the opposite order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct BulkShutdown {
    of: Selection,
    gentle: bool,
    timeout: Option<Duration>,
}

shared_settings!(BulkShutdown);

impl BulkShutdown {
    /// How long a guest may take whose `startup` does not say it, in whole seconds; 180 by default.
    #[must_use]
    pub fn with_timeout(mut self, limit: Duration) -> Self {
        self.timeout = Some(limit);
        self
    }

    /// Guests that are not off in time stay on, instead of being stopped.
    #[must_use]
    pub fn without_force(mut self) -> Self {
        self.gentle = true;
        self
    }
}

/// How machines are suspended together.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct BulkSuspend {
    of: Selection,
    storage: Option<String>,
    disk: bool,
}

shared_settings!(BulkSuspend);

impl BulkSuspend {
    /// To disk, so that they go on at their next start; a node does so always. A storage for their state can be named to
    /// the cluster.
    #[must_use]
    pub fn with_disk(mut self, storage: Option<&str>) -> Self {
        self.disk = true;
        self.storage = storage.map(str::to_owned);
        self
    }
}

/// How guests are moved together to another node.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct BulkMigration {
    of: Selection,
    target: String,
    local_disks: bool,
    online: bool,
}

impl BulkMigration {
    /// To a node: all guests, as many at once as the cluster's options say. A node refuses if these say nothing and
    /// neither does the caller.
    pub fn to(target: &str) -> Self {
        Self {
            of: Selection::default(),
            target: target.to_owned(),
            local_disks: false,
            online: false,
        }
    }

    /// Only these guests.
    #[must_use]
    pub fn of_guests(mut self, vmids: impl IntoIterator<Item = u32>) -> Self {
        self.of.guests = vmids.into_iter().collect();
        self
    }

    /// Most tasks at once, 1 to 64.
    #[must_use]
    pub fn with_workers(mut self, count: u32) -> Self {
        self.of.workers = Some(count);
        self
    }

    /// Disks on local storages go with machines that run.
    #[must_use]
    pub fn with_local_disks(mut self) -> Self {
        self.local_disks = true;
        self
    }

    /// Guests that run are moved while they run; a node does so always.
    #[must_use]
    pub fn with_online(mut self) -> Self {
        self.online = true;
        self
    }
}

fn seconds(limit: Duration) -> String {
    limit.as_secs().to_string()
}

/// An action with its settings, in the words of the interface.
enum Action<'a> {
    Start(&'a BulkStart),
    Shutdown(&'a BulkShutdown),
    Suspend(&'a BulkSuspend),
    Migrate(&'a BulkMigration),
}

impl Action<'_> {
    fn doing(&self) -> &'static str {
        match self {
            Self::Start(_) => "starting guests",
            Self::Shutdown(_) => "shutting down guests",
            Self::Suspend(_) => "suspending machines",
            Self::Migrate(_) => "moving guests",
        }
    }

    fn below(&self, whole: bool) -> &'static str {
        match (self, whole) {
            (Self::Start(_), true) => "start",
            (Self::Shutdown(_), true) => "shutdown",
            (Self::Suspend(_), true) => "suspend",
            (Self::Migrate(_), true) => "migrate",
            (Self::Start(_), false) => "startall",
            (Self::Shutdown(_), false) => "stopall",
            (Self::Suspend(_), false) => "suspendall",
            (Self::Migrate(_), false) => "migrateall",
        }
    }

    fn params(&self, whole: bool) -> Result<Params> {
        let mut params = Params::new();
        let only = |what: &str| Err(Error::invalid(format!("{what} only for the cluster")));
        match self {
            Self::Start(start) => {
                start.of.push_to(whole, &mut params);
                if start.all && !whole {
                    params.push_flag("force", true);
                }
                match start.timeout {
                    Some(_) if !whole => return only("a time-out of starts is"),
                    Some(limit) => params.push("timeout", seconds(limit)),
                    None => {}
                }
            }
            Self::Shutdown(shutdown) => {
                shutdown.of.push_to(whole, &mut params);
                if let Some(limit) = shutdown.timeout {
                    params.push("timeout", seconds(limit));
                }
                if shutdown.gentle {
                    params.push_flag("force-stop", false);
                }
            }
            Self::Suspend(suspend) => {
                suspend.of.push_to(whole, &mut params);
                if suspend.disk && whole {
                    params.push_flag("to-disk", true);
                }
                match &suspend.storage {
                    Some(_) if !whole => return only("a storage for states is"),
                    Some(storage) => params.push("statestorage", storage),
                    None => {}
                }
            }
            Self::Migrate(migration) => {
                crate::node::check_name(&migration.target)?;
                migration.of.push_to(whole, &mut params);
                params.push("target", &migration.target);
                if migration.local_disks {
                    params.push_flag("with-local-disks", true);
                }
                if migration.online && whole {
                    params.push_flag("online", true);
                }
            }
        }
        Ok(params)
    }

    fn call(&self, client: &Client, request: Result<Request>, on: &str) -> TaskCall<Vec<String>> {
        TaskCall::new(
            client.clone(),
            format!("{} of {on}", self.doing()),
            request,
            |report| report.check(),
        )
    }

    fn of_node(&self, node: &Node) -> TaskCall<Vec<String>> {
        let path = format!("/{}", self.below(false));
        let request = node.request(Method::Post, &path);
        let request = request.and_then(|request| Ok(request.with_params(self.params(false)?)));
        self.call(node.client(), request, node.name())
    }

    fn of_cluster(&self, client: &Client) -> TaskCall<Vec<String>> {
        let path = format!("/cluster/bulk-action/guest/{}", self.below(true));
        let request = self
            .params(true)
            .map(|params| Request::new(Method::Post, &path, &[]).with_params(params));
        self.call(client, request, "the cluster")
    }
}

impl Node {
    /// Starts the node's guests that start with it, or those that are asked for, one after the other with the pauses
    /// that their `startup` asks for. What runs is left alone. What a guest's own start fails with is in the task's log
    /// only.
    ///
    /// ```
    /// # #[cfg(feature = "simulator")]
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), proxmox_client::Error> {
    /// use proxmox_client::bulk::{BulkShutdown, BulkStart};
    /// # use proxmox_client::QemuConfig;
    /// # use proxmox_client::simulator::{Simulator, World};
    /// # let config = QemuConfig::new().with_on_boot(true);
    /// # let client = Simulator::new(World::lab().with_guest("pve1", 100, &config)).connect();
    /// let node = client.node("pve1");
    /// node.start_guests(&BulkStart::new()).await?;
    /// assert!(node.qemu(100).status().await?.is_running());
    /// node.shut_down_guests(&BulkShutdown::new()).await?;
    /// # Ok(()) }
    /// # #[cfg(not(feature = "simulator"))] fn main() {}
    /// ```
    pub fn start_guests(&self, how: &BulkStart) -> TaskCall<Vec<String>> {
        Action::Start(how).of_node(self)
    }

    /// Shuts down the node's guests; gives warnings.
    ///
    /// Example: see [`start_guests`](Self::start_guests).
    pub fn shut_down_guests(&self, how: &BulkShutdown) -> TaskCall<Vec<String>> {
        Action::Shutdown(how).of_node(self)
    }

    /// Suspends the node's machines to disk; gives warnings, such as about containers.
    ///
    /// Example: see [`start_guests`](Self::start_guests).
    pub fn suspend_guests(&self, how: &BulkSuspend) -> TaskCall<Vec<String>> {
        Action::Suspend(how).of_node(self)
    }

    /// Moves the node's guests to another node.
    ///
    /// Example: see [`start_guests`](Self::start_guests).
    ///
    /// # Errors
    /// A task failure if there were guests and none of them could be moved. What single guests fail with is in the
    /// task's log only.
    pub fn migrate_guests(&self, how: &BulkMigration) -> TaskCall<Vec<String>> {
        Action::Migrate(how).of_node(self)
    }
}

impl Client {
    /// Starts guests of the whole cluster, or resumes them; gives warnings, such as about guests that run already.
    /// Since 9.0.
    ///
    /// Example: see [`bulk`](crate::bulk).
    ///
    /// # Errors
    /// [`Kind::TaskFailed`] if one of them failed to start, with the whole log.
    pub fn start_guests(&self, how: &BulkStart) -> TaskCall<Vec<String>> {
        Action::Start(how).of_cluster(self)
    }

    /// Shuts down guests of the whole cluster; gives warnings, such as about guests that do not run. Since 9.0.
    ///
    /// Example: see [`bulk`](crate::bulk).
    ///
    /// # Errors
    /// [`Kind::TaskFailed`] if one of them failed to go off, with the whole log.
    pub fn shut_down_guests(&self, how: &BulkShutdown) -> TaskCall<Vec<String>> {
        Action::Shutdown(how).of_cluster(self)
    }

    /// Suspends machines of the whole cluster; gives warnings, such as about containers. Since 9.0.
    ///
    /// Example: see [`bulk`](crate::bulk).
    ///
    /// # Errors
    /// [`Kind::TaskFailed`] if one of them failed, with the whole log.
    pub fn suspend_guests(&self, how: &BulkSuspend) -> TaskCall<Vec<String>> {
        Action::Suspend(how).of_cluster(self)
    }

    /// Moves guests of the whole cluster to a node; gives warnings, such as about guests that are there already.
    /// Since 9.0.
    ///
    /// Example: see [`bulk`](crate::bulk).
    ///
    /// # Errors
    /// [`Kind::TaskFailed`] if one of them failed to move, with the whole log.
    pub fn migrate_guests(&self, how: &BulkMigration) -> TaskCall<Vec<String>> {
        Action::Migrate(how).of_cluster(self)
    }
}
