//! Starting and stopping.

use std::time::Duration;

#[cfg(doc)]
use crate::error::Kind;
use crate::error::Result;
use crate::guest;
use crate::qemu::Qemu;
use crate::task::TaskCall;
use crate::wire::Method;

/// What became of a start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Started {
    /// It was started.
    Started,
    /// It ran already.
    AlreadyRunning,
}

/// What became of a stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Stopped {
    /// It does not run any more; of a virtual machine the server does not say whether it ran before.
    Stopped,
    /// It did not run; only containers tell.
    AlreadyStopped,
}

/// Where a machine that does not go on keeps its state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Suspended {
    /// In memory: it is paused.
    InMemory,
    /// On a storage, and it is off; the next start, or [`Qemu::resume`], goes on from there.
    OnDisk,
}

/// What became of resuming.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Resumed {
    /// It runs; the server does not say whether it did before.
    Running,
}

/// How to shut down.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct Shutdown {
    timeout: Option<Duration>,
    force_stop: bool,
}

impl Shutdown {
    /// Asks the guest, and waits as long as the server does by default (60 s).
    pub fn new() -> Self {
        Self::default()
    }

    /// How long the guest may take; whole seconds count.
    #[must_use]
    pub fn with_timeout(mut self, limit: Duration) -> Self {
        self.timeout = Some(limit);
        self
    }

    /// Stops it hard when that time has passed.
    #[must_use]
    pub fn with_force_stop(mut self) -> Self {
        self.force_stop = true;
        self
    }

    pub(crate) fn timeout(&self) -> Option<Duration> {
        self.timeout
    }

    pub(crate) fn forces_stop(&self) -> bool {
        self.force_stop
    }
}

impl Qemu {
    /// Starts it.
    ///
    /// ```
    /// # #[cfg(feature = "simulator")]
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), proxmox_client::Error> {
    /// use proxmox_client::Started;
    /// # let node = proxmox_client::simulator::Simulator::lab().connect().node("pve1");
    /// # let vm = node.create_qemu(100, proxmox_client::QemuConfig::new()).await?.qemu;
    /// assert_eq!(vm.start().await?, Started::Started);
    /// assert_eq!(vm.start().await?, Started::AlreadyRunning);
    /// # Ok(()) }
    /// # #[cfg(not(feature = "simulator"))] fn main() {}
    /// ```
    ///
    /// # Errors
    /// [`Kind::NotFound`], [`Kind::Locked`], or the node's reason.
    pub fn start(&self) -> TaskCall<Started> {
        guest::starting(self, "/status/start", "starting")
    }

    /// Stops it hard, as pulling the plug would.
    ///
    /// ```
    /// # #[cfg(feature = "simulator")]
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), proxmox_client::Error> {
    /// # let node = proxmox_client::simulator::Simulator::lab().connect().node("pve1");
    /// # let vm = node.create_qemu(100, proxmox_client::QemuConfig::new()).await?.qemu;
    /// vm.start().await?;
    /// vm.stop().await?;
    /// assert!(!vm.status().await?.is_running());
    /// # Ok(()) }
    /// # #[cfg(not(feature = "simulator"))] fn main() {}
    /// ```
    pub fn stop(&self) -> TaskCall<Stopped> {
        guest::stopping(self, "/status/stop", "stopping", &[])
    }

    /// Asks the guest to shut down.
    ///
    /// ```
    /// # #[cfg(feature = "simulator")]
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), proxmox_client::Error> {
    /// use std::time::Duration;
    /// use proxmox_client::{Shutdown, Stopped};
    /// # let node = proxmox_client::simulator::Simulator::lab().connect().node("pve1");
    /// # let vm = node.create_qemu(100, proxmox_client::QemuConfig::new()).await?.qemu;
    /// vm.start().await?;
    /// let patient = Shutdown::new().with_timeout(Duration::from_secs(120)).with_force_stop();
    /// assert_eq!(vm.shutdown(patient).await?, Stopped::Stopped);
    /// assert!(!vm.status().await?.is_running());
    /// # Ok(()) }
    /// # #[cfg(not(feature = "simulator"))] fn main() {}
    /// ```
    ///
    /// # Errors
    /// A task failure if the guest does not within the time.
    pub fn shutdown(&self, how: Shutdown) -> TaskCall<Stopped> {
        guest::shutdown(self, &how)
    }

    /// Asks the guest to shut down and starts it again, with waiting changes in effect.
    ///
    /// ```
    /// # #[cfg(feature = "simulator")]
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), proxmox_client::Error> {
    /// use proxmox_client::QemuConfig;
    /// # let node = proxmox_client::simulator::Simulator::lab().connect().node("pve1");
    /// # let vm = node.create_qemu(100, proxmox_client::QemuConfig::new()).await?.qemu;
    /// vm.start().await?;
    /// vm.ensure_config(&QemuConfig::new().with_cores(4)).await?;
    /// vm.reboot().await?;
    /// assert_eq!(vm.current_config().await?.cores(), Some(4));
    /// # Ok(()) }
    /// # #[cfg(not(feature = "simulator"))] fn main() {}
    /// ```
    pub fn reboot(&self) -> TaskCall<()> {
        let request = self.request(Method::Post, "/status/reboot");
        guest::plain(self, "rebooting", request)
    }

    /// Resets it hard, as its button would.
    ///
    /// ```
    /// # #[cfg(feature = "simulator")]
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), proxmox_client::Error> {
    /// # let client = proxmox_client::simulator::Simulator::lab().connect();
    /// # let node = client.node("pve1");
    /// # let vm = node.create_qemu(100, proxmox_client::QemuConfig::new()).await?.qemu;
    /// vm.start().await?;
    /// vm.reset().await?;
    /// assert!(vm.status().await?.is_running());
    /// assert_eq!(client.recent_tasks().await?[0].kind.as_deref(), Some("qmreset"));
    /// # Ok(()) }
    /// # #[cfg(not(feature = "simulator"))] fn main() {}
    /// ```
    pub fn reset(&self) -> TaskCall<()> {
        let request = self.request(Method::Post, "/status/reset");
        guest::plain(self, "resetting", request)
    }

    /// Pauses it; its memory stays as it is.
    ///
    /// ```
    /// # #[cfg(feature = "simulator")]
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), proxmox_client::Error> {
    /// use proxmox_client::{Resumed, Suspended};
    /// # let node = proxmox_client::simulator::Simulator::lab().connect().node("pve1");
    /// # let vm = node.create_qemu(100, proxmox_client::QemuConfig::new()).await?.qemu;
    /// vm.start().await?;
    /// assert_eq!(vm.pause().await?, Suspended::InMemory);
    /// assert_eq!(vm.status().await?.qmp_status.as_deref(), Some("paused"));
    /// assert_eq!(vm.resume().await?, Resumed::Running);
    /// # Ok(()) }
    /// # #[cfg(not(feature = "simulator"))] fn main() {}
    /// ```
    ///
    /// # Errors
    /// [`Kind::PowerState`] if it does not run.
    pub fn pause(&self) -> TaskCall<Suspended> {
        let request = self.request(Method::Post, "/status/suspend");
        guest::tasked(self, "pausing", request, |report| {
            report.check().map(|_| Suspended::InMemory)
        })
    }

    /// Writes its memory to a storage and turns it off. Without a name the server takes `vmstatestorage` of the configuration,
    /// else a storage that its disks are on, a shared one first.
    ///
    /// ```
    /// # #[cfg(feature = "simulator")]
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), proxmox_client::Error> {
    /// use proxmox_client::Suspended;
    /// # let node = proxmox_client::simulator::Simulator::lab().connect().node("pve1");
    /// # let vm = node.create_qemu(100, proxmox_client::QemuConfig::new()).await?.qemu;
    /// vm.start().await?;
    /// assert_eq!(vm.suspend_to_disk(Some("local-lvm")).await?, Suspended::OnDisk);
    /// assert_eq!(vm.status().await?.lock.as_deref(), Some("suspended"));
    /// vm.start().await?;
    /// assert_eq!(vm.status().await?.lock, None);
    /// # Ok(()) }
    /// # #[cfg(not(feature = "simulator"))] fn main() {}
    /// ```
    ///
    /// # Errors
    /// [`Kind::PowerState`] if it does not run; the server's text for one that HA manages or that has devices of its node.
    pub fn suspend_to_disk(&self, storage: Option<&str>) -> TaskCall<Suspended> {
        let request = self.request(Method::Post, "/status/suspend");
        let request = request.map(|request| {
            let mut request = request.with_flag("todisk", true);
            if let Some(storage) = storage {
                request.params_mut().push("statestorage", storage);
            }
            request
        });
        guest::tasked(self, "suspending", request, |report| {
            report.check().map(|_| Suspended::OnDisk)
        })
    }

    /// Lets it go on, from memory or from disk.
    ///
    /// Example: see [`pause`](Self::pause).
    ///
    /// # Errors
    /// [`Kind::PowerState`] if it is off.
    pub fn resume(&self) -> TaskCall<Resumed> {
        let request = self.request(Method::Post, "/status/resume");
        guest::tasked(self, "resuming", request, |report| {
            report.check().map(|_| Resumed::Running)
        })
    }

    /// Presses keys at once, in the words of QEMU's monitor: `ctrl-alt-delete`, `ret`, `a`.
    ///
    /// ```
    /// # #[cfg(feature = "simulator")]
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), proxmox_client::Error> {
    /// use proxmox_client::Kind;
    /// # let node = proxmox_client::simulator::Simulator::lab().connect().node("pve1");
    /// # let vm = node.create_qemu(100, proxmox_client::QemuConfig::new()).await?.qemu;
    /// assert_eq!(vm.send_key("ret").await.unwrap_err().kind(), Kind::PowerState);
    /// vm.start().await?;
    /// vm.send_key("ctrl-alt-delete").await?;
    /// # Ok(()) }
    /// # #[cfg(not(feature = "simulator"))] fn main() {}
    /// ```
    ///
    /// # Errors
    /// [`Kind::PowerState`] if it does not run.
    pub async fn send_key(&self, keys: &str) -> Result<()> {
        let request = self.request(Method::Put, "/sendkey")?.with("key", keys);
        let sent = self.client.request(request).await;
        sent.map(|_| ())
            .map_err(|error| error.doing(self.doing("pressing keys of")))
    }

    /// Asks the guest agent whether it is there; takes about three seconds when it is not.
    ///
    /// Example: see [`Agent`](crate::Agent).
    ///
    /// # Errors
    /// [`Kind::AgentNotRunning`] (may come up yet), [`Kind::AgentNotConfigured`] (never will).
    pub async fn agent_ping(&self) -> Result<()> {
        self.client
            .request(self.request(Method::Post, "/agent/ping")?)
            .await?;
        Ok(())
    }
}
