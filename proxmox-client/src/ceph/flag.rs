//! Flags that hold for the whole cluster.

use std::collections::BTreeMap;

use super::Ceph;
use crate::access::Ensured;
use crate::error::Result;
use crate::open::open_enum;
use crate::scalar::record;
use crate::task::TaskCall;
use crate::wire::{Method, Request};

open_enum! {
    /// A flag of the cluster.
    pub enum CephFlag {
        /// Placement groups are not copied to other disks.
        NoBackfill = "nobackfill",
        /// No deep scrubbing.
        NoDeepScrub = "nodeep-scrub",
        /// Reports of failed disks are ignored, so that none is marked down.
        NoDown = "nodown",
        /// Disks that were marked out are not marked in when they start.
        NoIn = "noin",
        /// Disks that are down are not marked out after a while.
        NoOut = "noout",
        /// Placement groups are not moved for balance.
        NoRebalance = "norebalance",
        /// Placement groups do not recover.
        NoRecover = "norecover",
        /// No scrubbing.
        NoScrub = "noscrub",
        /// Cache tiers do nothing.
        NoTierAgent = "notieragent",
        /// Disks may not start.
        NoUp = "noup",
        /// Nothing is read or written.
        Pause = "pause",
    }
}

record! {
    /// A flag with its state: `GET /cluster/ceph/flags`.
    pub struct CephFlagInfo {
        required {
            /// Name.
            "name" flag: CephFlag,
        }
        optional {
            /// Whether it is set.
            "value" set: bool,
            /// What it does.
            "description" description: String,
        }
    }
}

/// Flags that are to be set or not. Others are left alone.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct CephFlags(BTreeMap<CephFlag, bool>);

impl CephFlags {
    /// None.
    pub fn new() -> Self {
        Self::default()
    }

    /// This one is set.
    #[must_use]
    pub fn with(mut self, flag: CephFlag) -> Self {
        self.0.insert(flag, true);
        self
    }

    /// This one is not set.
    #[must_use]
    pub fn without(mut self, flag: CephFlag) -> Self {
        self.0.insert(flag, false);
        self
    }

    /// Those that are otherwise.
    fn differing(&self, have: &[CephFlagInfo]) -> Self {
        let is_set = |flag: &CephFlag| {
            let found = have.iter().find(|info| info.flag == *flag);
            found.and_then(|info| info.set).unwrap_or(false)
        };
        let differ = self.0.iter().filter(|(flag, on)| is_set(flag) != **on);
        Self(differ.map(|(flag, on)| (flag.clone(), *on)).collect())
    }
}

impl Ceph {
    /// All flags with their states.
    ///
    /// Example: see [`ensure_flags`](Self::ensure_flags).
    pub async fn flags(&self) -> Result<Vec<CephFlagInfo>> {
        let request = Request::new(Method::Get, "/cluster/ceph/flags", &[]);
        self.client.fetch(request).await
    }

    /// Whether a flag is set.
    ///
    /// Example: see [`set_flag`](Self::set_flag).
    pub async fn flag(&self, flag: &CephFlag) -> Result<bool> {
        let path = "/cluster/ceph/flags/{flag}";
        let request = Request::new(Method::Get, path, &[flag.as_str()]);
        let found: serde_json::Value = self.client.fetch(request).await?;
        Ok(crate::scalar::from_value(&found).unwrap_or(false))
    }

    /// Sets a flag or takes it back, at once. It makes no difference if it is so already.
    ///
    /// ```
    /// # #[cfg(feature = "simulator")]
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), proxmox_client::Error> {
    /// use proxmox_client::ceph::CephFlag;
    /// # use proxmox_client::simulator::{Simulator, World};
    /// # let client = Simulator::new(World::lab().with_ceph_cluster()).connect();
    /// let ceph = client.ceph();
    /// ceph.set_flag(&CephFlag::NoOut, true).await?; // before a node is rebooted
    /// assert!(ceph.flag(&CephFlag::NoOut).await?);
    /// # Ok(()) }
    /// # #[cfg(not(feature = "simulator"))] fn main() {}
    /// ```
    pub async fn set_flag(&self, flag: &CephFlag, on: bool) -> Result<()> {
        let path = "/cluster/ceph/flags/{flag}";
        let mut request = Request::new(Method::Put, path, &[flag.as_str()]);
        request.params_mut().push_flag("value", on);
        let sent: Result<Option<String>> = self.client.fetch(request).await;
        sent.map(|_| ())
            .map_err(|error| error.doing(format!("setting flag {flag} of Ceph")))
    }

    /// Sets flags and takes others back, as one task.
    ///
    /// ```
    /// # #[cfg(feature = "simulator")]
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), proxmox_client::Error> {
    /// use proxmox_client::ceph::{CephFlag, CephFlags};
    /// # use proxmox_client::simulator::{Simulator, World};
    /// # let client = Simulator::new(World::lab().with_ceph_cluster()).connect();
    /// let quiet = CephFlags::new().with(CephFlag::NoScrub).with(CephFlag::NoDeepScrub);
    /// client.ceph().set_flags(&quiet).await?;
    /// assert!(client.ceph().flag(&CephFlag::NoScrub).await?);
    /// # Ok(()) }
    /// # #[cfg(not(feature = "simulator"))] fn main() {}
    /// ```
    ///
    /// # Errors
    /// A task failure that says how many could not be set.
    pub fn set_flags(&self, wanted: &CephFlags) -> TaskCall<()> {
        let mut request = Request::new(Method::Put, "/cluster/ceph/flags", &[]);
        for (flag, on) in &wanted.0 {
            request.params_mut().push_flag(flag.as_str(), *on);
        }
        TaskCall::new(
            self.client.clone(),
            "setting flags of Ceph",
            Ok(request),
            |report| report.check().map(|_| ()),
        )
    }

    /// Makes sure that flags are set or not.
    ///
    /// ```
    /// # #[cfg(feature = "simulator")]
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), proxmox_client::Error> {
    /// use proxmox_client::Ensured;
    /// use proxmox_client::ceph::{CephFlag, CephFlags};
    /// # use proxmox_client::simulator::{Simulator, World};
    /// # let client = Simulator::new(World::lab().with_ceph_cluster()).connect();
    /// let wanted = CephFlags::new().with(CephFlag::NoOut).without(CephFlag::Pause);
    /// let changed = client.ceph().ensure_flags(&wanted).await?;
    /// assert_eq!(changed, Ensured::Updated(vec!["noout".to_owned()]));
    /// assert_eq!(client.ceph().ensure_flags(&wanted).await?, Ensured::Unchanged);
    /// assert_eq!(client.ceph().flags().await?.iter().filter(|flag| flag.set == Some(true)).count(), 1);
    /// # Ok(()) }
    /// # #[cfg(not(feature = "simulator"))] fn main() {}
    /// ```
    pub async fn ensure_flags(&self, wanted: &CephFlags) -> Result<Ensured> {
        let differing = wanted.differing(&self.flags().await?);
        if differing.0.is_empty() {
            return Ok(Ensured::Unchanged);
        }
        self.set_flags(&differing).await?;
        let names = differing.0.keys().map(|flag| flag.as_str().to_owned());
        Ok(Ensured::Updated(names.collect()))
    }
}
