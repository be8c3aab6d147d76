//! Starting and stopping.

use std::time::Duration;

#[cfg(doc)]
use crate::error::Kind;
use crate::guest;
use crate::lxc::Lxc;
use crate::qemu::{Shutdown, Started, Stopped};
use crate::task::TaskCall;
use crate::wire::Method;

impl Lxc {
    /// Starts it.
    ///
    /// ```
    /// # #[cfg(feature = "simulator")]
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), proxmox_client::Error> {
    /// # use proxmox_client::LxcConfig;
    /// # use proxmox_client::simulator::{Simulator, World};
    /// use proxmox_client::{Started, Stopped};
    /// # let ct = LxcConfig::new().with("rootfs", "local-lvm:vm-200-disk-0,size=4G");
    /// # let node = Simulator::new(World::lab().with_container("pve1", 200, &ct)).connect().node("pve1");
    /// let dns = node.lxc(200);
    /// assert_eq!(dns.start().await?, Started::Started);
    /// assert_eq!(dns.start().await?, Started::AlreadyRunning);
    /// assert_eq!(dns.stop().await?, Stopped::Stopped);
    /// assert_eq!(dns.stop().await?, Stopped::AlreadyStopped);
    /// # Ok(()) }
    /// # #[cfg(not(feature = "simulator"))] fn main() {}
    /// ```
    ///
    /// # Errors
    /// [`Kind::NotFound`], [`Kind::Locked`], [`Kind::PowerState`] for a template, or the node's reason.
    pub fn start(&self) -> TaskCall<Started> {
        guest::starting(self, "/status/start", "starting")
    }

    /// Stops it hard.
    ///
    /// Example: see [`start`](Self::start).
    pub fn stop(&self) -> TaskCall<Stopped> {
        guest::stopping(self, "/status/stop", "stopping", &[])
    }

    /// Stops it hard, also while someone waits for it to shut down: their task is ended first.
    ///
    /// ```
    /// # #[cfg(feature = "simulator")]
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), proxmox_client::Error> {
    /// # use proxmox_client::LxcConfig;
    /// # use proxmox_client::simulator::{Simulator, World};
    /// use proxmox_client::Stopped;
    /// # let ct = LxcConfig::new().with("rootfs", "local-lvm:vm-200-disk-0,size=4G");
    /// # let node = Simulator::new(World::lab().with_container("pve1", 200, &ct)).connect().node("pve1");
    /// let dns = node.lxc(200);
    /// dns.start().await?;
    /// assert_eq!(dns.stop_at_once().await?, Stopped::Stopped);
    /// # Ok(()) }
    /// # #[cfg(not(feature = "simulator"))] fn main() {}
    /// ```
    pub fn stop_at_once(&self) -> TaskCall<Stopped> {
        let params = [("overrule-shutdown", "1".to_owned())];
        guest::stopping(self, "/status/stop", "stopping", &params)
    }

    /// Asks it to shut down.
    ///
    /// ```
    /// # #[cfg(feature = "simulator")]
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), proxmox_client::Error> {
    /// # use proxmox_client::simulator::{Simulator, World};
    /// # use proxmox_client::{LxcConfig, Shutdown, Stopped};
    /// # let ct = LxcConfig::new().with("rootfs", "local-lvm:vm-200-disk-0,size=4G");
    /// # let client = Simulator::new(World::lab().with_container("pve1", 200, &ct)).connect();
    /// let dns = client.node("pve1").lxc(200);
    /// dns.start().await?;
    /// assert_eq!(dns.shutdown(Shutdown::new()).await?, Stopped::Stopped);
    /// assert_eq!(dns.shutdown(Shutdown::new()).await?, Stopped::AlreadyStopped);
    /// # Ok(()) }
    /// # #[cfg(not(feature = "simulator"))] fn main() {}
    /// ```
    ///
    /// # Errors
    /// A task failure if it does not within the time, 60 seconds unless `how` says otherwise.
    pub fn shutdown(&self, how: Shutdown) -> TaskCall<Stopped> {
        guest::shutdown(self, &how)
    }

    /// Shuts it down and starts it again, with waiting changes in effect. It is stopped hard if it does not listen for
    /// that long (60 seconds by default); whole seconds count.
    ///
    /// ```
    /// # #[cfg(feature = "simulator")]
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), proxmox_client::Error> {
    /// # use proxmox_client::LxcConfig;
    /// # use proxmox_client::simulator::{Simulator, World};
    /// use std::time::Duration;
    /// # let ct = LxcConfig::new().with("rootfs", "local-lvm:vm-200-disk-0,size=4G");
    /// # let node = Simulator::new(World::lab().with_container("pve1", 200, &ct)).connect().node("pve1");
    /// let dns = node.lxc(200);
    /// dns.start().await?;
    /// dns.ensure_config(&LxcConfig::new().with_terminals(4)).await?;
    /// dns.reboot(Some(Duration::from_secs(30))).await?;
    /// assert_eq!(dns.current_config().await?.text("tty").as_deref(), Some("4"));
    /// # Ok(()) }
    /// # #[cfg(not(feature = "simulator"))] fn main() {}
    /// ```
    ///
    /// # Errors
    /// [`Kind::PowerState`] if it does not run.
    pub fn reboot(&self, patience: Option<Duration>) -> TaskCall<()> {
        let request = self
            .request(Method::Post, "/status/reboot")
            .map(|mut request| {
                if let Some(limit) = patience {
                    let seconds = limit.as_secs().to_string();
                    request.params_mut().push("timeout", seconds);
                }
                request
            });
        guest::plain(self, "rebooting", request)
    }

    /// Writes its processes to its node's disk and stops it. Experimental on the server: it needs CRIU, which a node does
    /// not come with, and the next container that is suspended on the node takes the place of this one there.
    ///
    /// ```
    /// # #[cfg(feature = "simulator")]
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), proxmox_client::Error> {
    /// # use proxmox_client::LxcConfig;
    /// # use proxmox_client::simulator::{Simulator, World};
    /// use proxmox_client::{Started, Stopped};
    /// # let ct = LxcConfig::new().with("rootfs", "local-lvm:vm-200-disk-0,size=4G");
    /// # let world = World::lab().with_container("pve1", 200, &ct).with_criu();
    /// # let node = Simulator::new(world).connect().node("pve1");
    /// let dns = node.lxc(200);
    /// dns.start().await?;
    /// assert_eq!(dns.suspend().await?, Stopped::Stopped);
    /// assert_eq!(dns.resume().await?, Started::Started);
    /// # Ok(()) }
    /// # #[cfg(not(feature = "simulator"))] fn main() {}
    /// ```
    ///
    /// # Errors
    /// [`Kind::TaskFailed`] where processes cannot be written down.
    pub fn suspend(&self) -> TaskCall<Stopped> {
        guest::stopping(self, "/status/suspend", "suspending", &[])
    }

    /// Goes on with a container that was suspended.
    ///
    /// Example: see [`suspend`](Self::suspend).
    ///
    /// # Errors
    /// [`Kind::TaskFailed`] if its processes do not lie on its node's disk.
    pub fn resume(&self) -> TaskCall<Started> {
        guest::starting(self, "/status/resume", "resuming")
    }
}
