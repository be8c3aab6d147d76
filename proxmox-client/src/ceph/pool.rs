//! Pools.

use serde_json::Value;

use super::NodeCeph;
use crate::access::Ensured;
use crate::error::{Kind, Result};
use crate::open::open_enum;
use crate::property::ErasureCoding;
use crate::qemu::Removed;
use crate::scalar::record;
use crate::size::Size;
use crate::task::TaskCall;
use crate::wire::{Method, Params, Request};

open_enum! {
    /// What a pool is for.
    pub enum CephApplication {
        /// Block devices: disks of guests.
        Rbd = "rbd",
        /// A file system.
        CephFs = "cephfs",
        /// Objects over HTTP.
        Rgw = "rgw",
    }
}

open_enum! {
    /// Whether the number of placement groups follows the use of a pool.
    pub enum CephAutoscale {
        /// It does.
        On = "on",
        /// It does not; health warns where another number would be better.
        Warn = "warn",
        /// It does not.
        Off = "off",
    }
}

record! {
    /// A pool: `GET /nodes/{node}/ceph/pool`.
    pub struct CephPoolInfo {
        required {
            /// Number.
            "pool" number: u64,
            /// Name.
            "pool_name" name: String,
        }
        optional {
            /// `replicated` or `erasure`.
            "type" kind: String,
            /// Copies of each object.
            "size" size: u32,
            /// Copies without which nothing is written.
            "min_size" min_size: u32,
            /// Placement groups.
            "pg_num" placement_groups: u32,
            /// The fewest placement groups that the scaler may choose.
            "pg_num_min" least_placement_groups: u32,
            /// The number of placement groups that the scaler finds best.
            "pg_num_final" best_placement_groups: u32,
            /// Whether their number follows the use.
            "pg_autoscale_mode" autoscale: CephAutoscale,
            /// Number of the rule that spreads the copies.
            "crush_rule" rule_number: u64,
            /// Rule that spreads the copies.
            "crush_rule_name" rule: String,
            /// What it is for, by application.
            "application_metadata" applications: Value,
            /// Size in bytes that it is expected to reach.
            "target_size" target_size: u64,
            /// Share of all pools with such a share that it is expected to reach.
            "target_size_ratio" target_ratio: f64,
            /// Bytes in use.
            "bytes_used" used: u64,
            /// Share in use, 1.0 being all.
            "percent_used" used_fraction: f64,
        }
    }
}

record! {
    /// A pool in detail: `GET /nodes/{node}/ceph/pool/{name}/status`.
    pub struct CephPoolStatus {
        required {
            /// Number.
            "id" number: u64,
            /// Name.
            "name" name: String,
        }
        optional {
            /// Copies of each object.
            "size" size: u32,
            /// Copies without which nothing is written.
            "min_size" min_size: u32,
            /// Placement groups.
            "pg_num" placement_groups: u32,
            /// Placement groups by which data are placed.
            "pgp_num" placement: u32,
            /// The fewest placement groups that the scaler may choose.
            "pg_num_min" least_placement_groups: u32,
            /// Whether their number follows the use.
            "pg_autoscale_mode" autoscale: CephAutoscale,
            /// Rule that spreads the copies.
            "crush_rule" rule: String,
            /// What it is for.
            "application_list" applications: Vec<CephApplication>,
            /// Size in bytes that it is expected to reach.
            "target_size" target_size: u64,
            /// Share of all pools with such a share that it is expected to reach.
            "target_size_ratio" target_ratio: f64,
            /// Whether it cannot be removed.
            "nodelete" keeps: bool,
            /// Whether its number of copies cannot be changed.
            "nosizechange" size_fixed: bool,
            /// Whether its number of placement groups cannot be changed.
            "nopgchange" placement_groups_fixed: bool,
            /// Whether it is not scrubbed.
            "noscrub" no_scrub: bool,
            /// Whether it is not scrubbed deeply.
            "nodeep-scrub" no_deep_scrub: bool,
            /// Figures: `stored`, `objects`, `bytes_used`, `max_avail`, …
            "statistics" statistics: Value,
            /// What the scaler thinks of it.
            "autoscale_status" scaler: Value,
        }
    }
}

/// Settings of a pool. What is not set is left alone, or is the default of a new pool.
#[derive(Debug, Clone, Default, PartialEq)]
#[non_exhaustive]
pub struct CephPoolSettings {
    size: Option<u32>,
    min_size: Option<u32>,
    placement_groups: Option<u32>,
    least_placement_groups: Option<u32>,
    rule: Option<String>,
    application: Option<CephApplication>,
    autoscale: Option<CephAutoscale>,
    target_size: Option<Size>,
    target_ratio: Option<f64>,
}

impl CephPoolSettings {
    /// Nothing set.
    pub fn new() -> Self {
        Self::default()
    }

    /// Copies of each object, 1 to 7, default 3. Ceph refuses 1 unless it is told to allow it.
    #[must_use]
    pub fn with_size(mut self, copies: u32) -> Self {
        self.size = Some(copies);
        self
    }

    /// Copies without which nothing is written, 1 to 7, default 2.
    #[must_use]
    pub fn with_min_size(mut self, copies: u32) -> Self {
        self.min_size = Some(copies);
        self
    }

    /// Placement groups, 1 to 32768, default 128. Where the scaler is on, this is what it begins with.
    #[must_use]
    pub fn with_placement_groups(mut self, number: u32) -> Self {
        self.placement_groups = Some(number);
        self
    }

    /// The fewest placement groups that the scaler may choose, 32768 at most.
    #[must_use]
    pub fn with_least_placement_groups(mut self, number: u32) -> Self {
        self.least_placement_groups = Some(number);
        self
    }

    /// Rule that spreads the copies, default `replicated_rule`.
    #[must_use]
    pub fn with_rule(mut self, name: &str) -> Self {
        self.rule = Some(name.to_owned());
        self
    }

    /// What it is for, default [`CephApplication::Rbd`].
    #[must_use]
    pub fn with_application(mut self, application: CephApplication) -> Self {
        self.application = Some(application);
        self
    }

    /// Whether the number of placement groups follows the use, default [`CephAutoscale::Warn`].
    #[must_use]
    pub fn with_autoscale(mut self, mode: CephAutoscale) -> Self {
        self.autoscale = Some(mode);
        self
    }

    /// Size that it is expected to reach, for the scaler.
    #[must_use]
    pub fn with_target_size(mut self, size: Size) -> Self {
        self.target_size = Some(size);
        self
    }

    /// Share that it is expected to reach of all pools with such a share, for the scaler.
    #[must_use]
    pub fn with_target_ratio(mut self, ratio: f64) -> Self {
        self.target_ratio = Some(ratio);
        self
    }

    /// The settings by name, as the interface spells them.
    fn texts(&self) -> Vec<(&'static str, String)> {
        fn text<T: ToString>(value: Option<&T>) -> Option<String> {
            value.map(T::to_string)
        }
        let all = [
            ("size", text(self.size.as_ref())),
            ("min_size", text(self.min_size.as_ref())),
            ("pg_num", text(self.placement_groups.as_ref())),
            ("pg_num_min", text(self.least_placement_groups.as_ref())),
            ("crush_rule", self.rule.clone()),
            ("application", text(self.application.as_ref())),
            ("pg_autoscale_mode", text(self.autoscale.as_ref())),
            ("target_size", text(self.target_size.as_ref())),
            ("target_size_ratio", text(self.target_ratio.as_ref())),
        ];
        let set = all.into_iter();
        set.filter_map(|(name, value)| value.map(|value| (name, value)))
            .collect()
    }

    fn push_to(&self, params: &mut Params, wanted: impl Fn(&str) -> bool) {
        for (name, value) in self.texts() {
            if wanted(name) {
                params.push(name, value);
            }
        }
    }

    /// The names of those that a pool does not have so. The number of placement groups is the scaler's where it is on.
    fn differing(&self, have: &CephPoolStatus) -> Vec<String> {
        fn differs<T: PartialEq>(wanted: &Option<T>, have: Option<&T>) -> bool {
            wanted.as_ref().is_some_and(|wanted| have != Some(wanted))
        }
        let mode = self.autoscale.as_ref().or(have.autoscale.as_ref());
        let scaled = mode == Some(&CephAutoscale::On);
        let serves = |application: &CephApplication| {
            let all = have.applications.as_deref().unwrap_or_default();
            all.contains(application)
        };
        let checks = [
            ("size", differs(&self.size, have.size.as_ref())),
            ("min_size", differs(&self.min_size, have.min_size.as_ref())),
            (
                "pg_num",
                !scaled && differs(&self.placement_groups, have.placement_groups.as_ref()),
            ),
            (
                "pg_num_min",
                differs(
                    &self.least_placement_groups,
                    have.least_placement_groups.as_ref(),
                ),
            ),
            ("crush_rule", differs(&self.rule, have.rule.as_ref())),
            (
                "application",
                self.application.as_ref().is_some_and(|app| !serves(app)),
            ),
            (
                "pg_autoscale_mode",
                differs(&self.autoscale, have.autoscale.as_ref()),
            ),
            (
                "target_size",
                differs(
                    &self.target_size.map(Size::as_bytes),
                    have.target_size.as_ref(),
                ),
            ),
            (
                "target_size_ratio",
                differs(&self.target_ratio, have.target_ratio.as_ref()),
            ),
        ];
        let differing = checks.into_iter().filter(|(_, differs)| *differs);
        differing.map(|(name, _)| name.to_owned()).collect()
    }
}

/// A pool to be made.
#[derive(Debug, Clone, Default, PartialEq)]
#[non_exhaustive]
pub struct NewCephPool {
    settings: CephPoolSettings,
    erasure: Option<ErasureCoding>,
    storages: bool,
}

impl NewCephPool {
    /// With these settings, copies of each object, and no storage on it.
    pub fn new(settings: CephPoolSettings) -> Self {
        Self {
            settings,
            ..Self::default()
        }
    }

    /// Defines a storage of the same name on it, for disks of machines and containers.
    #[must_use]
    pub fn with_storages(mut self) -> Self {
        self.storages = true;
        self
    }

    /// Data are spread in chunks instead of copies. It makes two pools, `{name}-data` and `{name}-metadata` (which has
    /// copies, by the settings), and a storage of the pool's name on both.
    #[must_use]
    pub fn with_erasure_coding(mut self, coding: &ErasureCoding) -> Self {
        self.erasure = Some(coding.clone());
        self
    }
}

/// What goes with a pool that is removed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct CephPoolRemoval {
    force: bool,
    storages: bool,
    keep_profile: bool,
}

impl CephPoolRemoval {
    /// Refused if disks of guests are on it; storages on it stay defined.
    pub fn new() -> Self {
        Self::default()
    }

    /// With all disks of guests that are on it.
    #[must_use]
    pub fn with_force(mut self) -> Self {
        self.force = true;
        self
    }

    /// Storages on it are removed too.
    #[must_use]
    pub fn with_storages(mut self) -> Self {
        self.storages = true;
        self
    }

    /// The profile of a pool with erasure coding stays.
    #[must_use]
    pub fn keeping_profile(mut self) -> Self {
        self.keep_profile = true;
        self
    }
}

/// A pool by its name.
///
/// ```
/// # #[cfg(feature = "simulator")]
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), proxmox_client::Error> {
/// use proxmox_client::Removed;
/// use proxmox_client::ceph::{CephPoolRemoval, CephPoolSettings, NewCephPool};
/// # use proxmox_client::simulator::{Simulator, World};
/// # let client = Simulator::new(World::lab().with_ceph_cluster()).connect();
/// let pool = client.node("pve1").ceph().pool("vms");
/// pool.create(&NewCephPool::new(CephPoolSettings::new().with_size(2)).with_storages()).await?;
/// pool.update(&CephPoolSettings::new().with_size(3)).await?;
/// assert_eq!(pool.status().await?.size, Some(3));
/// assert_eq!(pool.remove(&CephPoolRemoval::new().with_storages()).await?, Removed::Removed);
/// assert_eq!(pool.remove(&CephPoolRemoval::new()).await?, Removed::Absent);
/// # Ok(()) }
/// # #[cfg(not(feature = "simulator"))] fn main() {}
/// ```
#[derive(Debug, Clone)]
pub struct CephPool {
    ceph: NodeCeph,
    name: String,
}

impl NodeCeph {
    /// The pools with their settings and use.
    ///
    /// Example: see [`CephPool::ensure`].
    ///
    /// # Errors
    /// [`Kind::NotConfigured`] if the node has no Ceph, or there is no monitor.
    pub async fn pools(&self) -> Result<Vec<CephPoolInfo>> {
        let request = self.request(Method::Get, "/pool")?;
        self.client().fetch(request).await
    }

    /// A pool by its name.
    pub fn pool(&self, name: &str) -> CephPool {
        CephPool {
            ceph: self.clone(),
            name: name.to_owned(),
        }
    }
}

impl CephPool {
    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    fn request(&self, method: Method) -> Result<Request> {
        self.ceph.named(method, "/pool/{name}", &self.name)
    }

    fn at(&self, what: &str) -> String {
        format!("{what} Ceph pool {}", self.name)
    }

    /// Its settings and figures.
    ///
    /// Example: see [`CephPool`].
    ///
    /// # Errors
    /// [`Kind::NotFound`] if there is no such pool.
    pub async fn status(&self) -> Result<CephPoolStatus> {
        let request = self
            .ceph
            .named(Method::Get, "/pool/{name}/status", &self.name)?;
        let asked = self.ceph.client().fetch(request.with("verbose", "1")).await;
        asked.map_err(|error| error.doing(self.at("reading")))
    }

    /// Makes it. The server takes a pool that is there already for the new one and changes its settings;
    /// [`ensure`](Self::ensure) says what happened.
    ///
    /// Example: see [`CephPool`].
    ///
    /// # Errors
    /// [`Kind::Parameter`] if Ceph refuses a setting, such as more placement groups than its disks may hold.
    pub fn create(&self, new: &NewCephPool) -> TaskCall<()> {
        let request = self.ceph.request(Method::Post, "/pool");
        let request = request.map(|mut request| {
            let params = request.params_mut();
            params.push("name", self.name.as_str());
            new.settings.push_to(params, |_| true);
            if let Some(coding) = &new.erasure {
                params.push("erasure-coding", coding.to_string());
            }
            if new.storages {
                params.push_flag("add_storages", true);
            }
            request
        });
        self.ceph.task(self.at("making"), request)
    }

    /// Changes settings.
    ///
    /// Example: see [`CephPool`].
    ///
    /// # Errors
    /// [`Kind::NotFound`] if there is no such pool, [`Kind::Parameter`] naming the settings that Ceph refused.
    pub fn update(&self, settings: &CephPoolSettings) -> TaskCall<()> {
        self.change(settings, |_| true)
    }

    fn change(&self, settings: &CephPoolSettings, wanted: impl Fn(&str) -> bool) -> TaskCall<()> {
        let request = self.request(Method::Put).map(|mut request| {
            settings.push_to(request.params_mut(), wanted);
            request
        });
        self.ceph.task(self.at("changing"), request)
    }

    /// Makes sure that there is such a pool with these settings. Whether there are storages on a pool that is there is not
    /// looked at.
    ///
    /// ```
    /// # #[cfg(feature = "simulator")]
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), proxmox_client::Error> {
    /// use proxmox_client::Ensured;
    /// use proxmox_client::ceph::{CephPoolSettings, NewCephPool};
    /// # use proxmox_client::simulator::{Simulator, World};
    /// # let client = Simulator::new(World::lab().with_ceph_cluster()).connect();
    /// let ceph = client.node("pve1").ceph();
    /// let wanted = |copies| NewCephPool::new(CephPoolSettings::new().with_size(copies));
    /// assert_eq!(ceph.pool("vms").ensure(&wanted(2)).await?, Ensured::Created);
    /// assert_eq!(ceph.pool("vms").ensure(&wanted(2)).await?, Ensured::Unchanged);
    /// let changed = ceph.pool("vms").ensure(&wanted(3)).await?;
    /// assert_eq!(changed, Ensured::Updated(vec!["size".to_owned()]));
    /// assert!(ceph.pools().await?.iter().any(|pool| pool.name == "vms" && pool.size == Some(3)));
    /// # Ok(()) }
    /// # #[cfg(not(feature = "simulator"))] fn main() {}
    /// ```
    ///
    /// # Errors
    /// As of [`create`](Self::create) and [`update`](Self::update).
    pub async fn ensure(&self, wanted: &NewCephPool) -> Result<Ensured> {
        // The settings hold for the pool with copies.
        let copied = match &wanted.erasure {
            Some(_) => self.ceph.pool(&format!("{}-metadata", self.name)),
            None => self.clone(),
        };
        let have = match copied.status().await {
            Ok(have) => have,
            Err(error) if error.kind() == Kind::NotFound => {
                self.create(wanted).await?;
                return Ok(Ensured::Created);
            }
            Err(error) => return Err(error),
        };
        let mut differing = wanted.settings.differing(&have);
        if wanted.erasure.is_some() {
            // Of placement groups the settings speak for the pool with the chunks.
            differing.retain(|name| name != "pg_num");
        }
        if differing.is_empty() {
            return Ok(Ensured::Unchanged);
        }
        let named = |name: &str| differing.iter().any(|other| other == name);
        copied.change(&wanted.settings, named).await?;
        Ok(Ensured::Updated(differing))
    }

    /// Removes it with all its data.
    ///
    /// Example: see [`CephPool`].
    ///
    /// # Errors
    /// [`Kind::InUse`] if disks of guests are on it.
    pub fn remove(&self, with: &CephPoolRemoval) -> TaskCall<Removed> {
        let request = self.request(Method::Delete).map(|mut request| {
            let params = request.params_mut();
            if with.force {
                params.push_flag("force", true);
            }
            if with.storages {
                params.push_flag("remove_storages", true);
            }
            if with.keep_profile {
                params.push_flag("remove_ecprofile", false);
            }
            request
        });
        self.ceph.removal(self.at("removing"), request)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(data: Value) -> CephPoolStatus {
        serde_json::from_value(data).expect("a status")
    }

    #[test]
    fn a_pool_differs_in_what_was_asked_for_only() {
        let have = status(serde_json::json!({
            "id": 2, "name": "vms", "size": "3", "min_size": 2, "pg_num": 128, "pg_autoscale_mode": "warn",
            "crush_rule": "replicated_rule", "application_list": ["rbd"], "target_size": 107374182400u64,
        }));
        let new = CephPoolSettings::new;
        let same = [
            new(),
            new().with_size(3).with_rule("replicated_rule"),
            new().with_application(CephApplication::Rbd),
            new().with_target_size(Size::gib(100)),
            new().with_placement_groups(128),
        ];
        for wanted in same {
            assert_eq!(wanted.differing(&have), Vec::<String>::new(), "{wanted:?}");
        }
        let others = [
            (new().with_size(2), "size"),
            (new().with_placement_groups(64), "pg_num"),
            (new().with_application(CephApplication::Rgw), "application"),
            (new().with_target_size(Size::gib(1)), "target_size"),
            (new().with_target_ratio(0.5), "target_size_ratio"),
            (new().with_least_placement_groups(16), "pg_num_min"),
        ];
        for (wanted, name) in others {
            assert_eq!(wanted.differing(&have), [name]);
        }
        let scaled = new()
            .with_autoscale(CephAutoscale::On)
            .with_placement_groups(64);
        assert_eq!(scaled.differing(&have), ["pg_autoscale_mode"]);
    }
}
