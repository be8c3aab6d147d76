//! Whether something may be stopped or removed.

use super::{CephService, CephServiceKind, NodeCeph};
use crate::error::{Error, Kind, Result};
use crate::open::open_enum;
use crate::scalar::record;
use crate::wire::Method;

open_enum! {
    /// What is to be done to a service.
    pub enum CephAction {
        /// It is stopped.
        Stop = "stop",
        /// It is removed for good.
        Destroy = "destroy",
    }
}

record! {
    /// What Ceph thinks of it: `GET /nodes/{node}/ceph/cmd-safety`.
    pub struct CephSafety {
        required {
            /// Whether it is safe.
            "safe" safe: bool,
        }
        optional {
            /// Why, in Ceph's words.
            "status" status: String,
        }
    }
}

impl CephSafety {
    /// An error of kind [`Kind::InUse`] if it is not safe.
    ///
    /// # Errors
    /// Ceph's own words.
    pub fn check(&self) -> Result<()> {
        match (self.safe, &self.status) {
            (true, _) => Ok(()),
            (false, Some(status)) => Err(unsafe_now(status)),
            (false, None) => Err(unsafe_now("Ceph says that it is not safe")),
        }
    }
}

fn unsafe_now(why: &str) -> Error {
    Error::new(Kind::InUse, why)
}

impl NodeCeph {
    /// Asks Ceph whether a monitor, metadata server or disk may be stopped or removed now without loss of quorum,
    /// service or data. It is a guess for this moment.
    ///
    /// ```
    /// # #[cfg(feature = "simulator")]
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), proxmox_client::Error> {
    /// use proxmox_client::ceph::{CephAction, CephService};
    /// # use proxmox_client::simulator::{Simulator, World};
    /// # let client = Simulator::new(World::lab().with_ceph_cluster()).connect();
    /// let only_one = CephService::monitor("pve1");
    /// let answer = client.node("pve1").ceph().safety(&only_one, &CephAction::Stop).await?;
    /// assert!(!answer.safe);
    /// # Ok(()) }
    /// # #[cfg(not(feature = "simulator"))] fn main() {}
    /// ```
    ///
    /// # Errors
    /// [`Kind::InvalidInput`] for managers and for all services at once, of which Ceph does not tell;
    /// [`Kind::Parameter`] for the removal of metadata servers.
    pub async fn safety(&self, service: &CephService, action: &CephAction) -> Result<CephSafety> {
        let told = [
            CephServiceKind::Monitor,
            CephServiceKind::MetadataServer,
            CephServiceKind::Osd,
        ];
        let (Some(kind), Some(id)) = (service.kind(), service.id()) else {
            return Err(Error::invalid(format!("`{service}` is not one service")));
        };
        if !told.contains(&kind) {
            return Err(Error::invalid(format!(
                "Ceph does not tell whether {service} may be stopped"
            )));
        }
        let request = self
            .request(Method::Get, "/cmd-safety")?
            .with("service", kind.as_str())
            .with("id", id)
            .with("action", action.as_str());
        let asked = self.client().fetch(request).await;
        asked.map_err(|error| error.doing(format!("asking whether to {action} {service}")))
    }

    /// Stops a service if Ceph says that it is safe.
    ///
    /// ```
    /// # #[cfg(feature = "simulator")]
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), proxmox_client::Error> {
    /// use proxmox_client::Kind;
    /// use proxmox_client::ceph::CephService;
    /// # use proxmox_client::simulator::{Simulator, World};
    /// # let client = Simulator::new(World::lab().with_ceph_cluster()).connect();
    /// let stopped = client.node("pve1").ceph().stop_if_safe(&CephService::monitor("pve1")).await;
    /// assert_eq!(stopped.unwrap_err().kind(), Kind::InUse); // the only monitor
    /// # Ok(()) }
    /// # #[cfg(not(feature = "simulator"))] fn main() {}
    /// ```
    ///
    /// # Errors
    /// [`Kind::InUse`] with Ceph's words if it is not, and those of [`safety`](Self::safety).
    pub async fn stop_if_safe(&self, service: &CephService) -> Result<()> {
        self.require_safe(service, &CephAction::Stop).await?;
        self.stop(service).await
    }

    /// Removes a monitor if Ceph says that the others keep their quorum without it.
    ///
    /// ```
    /// # #[cfg(feature = "simulator")]
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), proxmox_client::Error> {
    /// use proxmox_client::Kind;
    /// # use proxmox_client::simulator::{Simulator, World};
    /// # let client = Simulator::new(World::lab().with_ceph_cluster()).connect();
    /// let removed = client.node("pve1").ceph().remove_monitor_if_safe("pve1").await;
    /// assert_eq!(removed.unwrap_err().kind(), Kind::InUse); // the only one
    /// # Ok(()) }
    /// # #[cfg(not(feature = "simulator"))] fn main() {}
    /// ```
    ///
    /// # Errors
    /// [`Kind::InUse`] with Ceph's words if they do not.
    pub async fn remove_monitor_if_safe(&self, id: &str) -> Result<crate::qemu::Removed> {
        let service = CephService::monitor(id);
        self.require_safe(&service, &CephAction::Destroy).await?;
        self.remove_monitor(id).await
    }

    pub(super) async fn require_safe(
        &self,
        service: &CephService,
        action: &CephAction,
    ) -> Result<()> {
        let answer = self.safety(service, action).await?;
        let checked = answer.check();
        checked.map_err(|error| error.doing(format!("asking whether to {action} {service}")))
    }
}
