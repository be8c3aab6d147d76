//! Backup jobs: what the cluster backs up by itself.

use std::collections::BTreeSet;

use serde_json::Value;

use super::options::{BackupGuests, BackupMode, BackupOptions, Compression};
use crate::access::Ensured;
use crate::client::Client;
use crate::entry::{Entry, property_of, remove};
use crate::error::{Error, Kind, Result};
use crate::property::PruneBackups;
use crate::qemu::Removed;
use crate::scalar::record;
use crate::setting::{Settings, names_of};
use crate::wire::{Method, Request};

record! {
    /// A backup job: `GET /cluster/backup`.
    pub struct BackupJobInfo {
        required {
            /// Identifier.
            "id" id: String,
        }
        optional {
            /// When it runs, as a calendar event.
            "schedule" schedule: String,
            /// Whether it runs at all. Default yes.
            "enabled" enabled: bool,
            /// When it runs next, in seconds since 1970; only in lists.
            "next-run" next_run: u64,
            /// Whether a run that was missed is made up for.
            "repeat-missed" repeat_missed: bool,
            /// Only guests of this node.
            "node" node: String,
            /// Guests, separated by commas; [`guests`](Self::guests) tells the whole choice.
            "vmid" vmids: String,
            /// Whether all guests are backed up.
            "all" all: bool,
            /// Guests that are left out.
            "exclude" exclude: String,
            /// Pool whose guests are backed up.
            "pool" pool: String,
            /// Storage that backups go to.
            "storage" storage: String,
            /// How the state of a running guest is caught.
            "mode" mode: BackupMode,
            /// How backups are packed.
            "compress" compression: Compression,
            /// Which backups are kept; [`retention`](Self::retention) takes it apart.
            "prune-backups" prune_backups: Value,
            /// Notes of the backups.
            "notes-template" notes_template: String,
            /// Whether backups are protected.
            "protected" protected: bool,
            /// Comment.
            "comment" comment: String,
        }
    }
}

impl BackupJobInfo {
    /// Which guests it backs up; none if it does not say.
    pub fn guests(&self) -> Option<BackupGuests> {
        let vmids = |text: &Option<String>| -> BTreeSet<u32> {
            let names = text.as_deref().map(|text| names_of(&text.into()));
            let names = names.unwrap_or_default();
            names.iter().filter_map(|name| name.parse().ok()).collect()
        };
        match (&self.pool, &self.vmids) {
            (Some(pool), _) => Some(BackupGuests::Pool(pool.clone())),
            (None, Some(_)) => Some(BackupGuests::These(vmids(&self.vmids))),
            (None, None) if self.all == Some(true) => {
                Some(BackupGuests::AllBut(vmids(&self.exclude)))
            }
            (None, None) => None,
        }
    }

    /// Which backups it keeps, where it says so.
    ///
    /// # Errors
    /// [`Kind::InvalidInput`] if the text is not one of the format.
    pub fn retention(&self) -> Option<Result<PruneBackups>> {
        let value = self.prune_backups.as_ref()?;
        Some(property_of(value).to_string().parse())
    }
}

/// What a backup job is to be. What is not set is left alone.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct BackupJobSettings(Settings);

impl BackupJobSettings {
    /// Nothing set.
    pub fn new() -> Self {
        Self::default()
    }

    /// A job for guests at times, such as `02:00` or `sat 18:15`.
    pub fn at(schedule: &str, guests: &BackupGuests) -> Self {
        Self::default().with_schedule(schedule).with_guests(guests)
    }

    /// When it runs, as a calendar event: `02:00`, `mon..fri 22:30`, `*-*-01 04:00`, `daily`, …
    #[must_use]
    pub fn with_schedule(mut self, schedule: &str) -> Self {
        self.0.text("schedule", schedule);
        self
    }

    /// Which guests it backs up.
    #[must_use]
    pub fn with_guests(mut self, guests: &BackupGuests) -> Self {
        self.0.extend(guests.settings());
        self
    }

    /// How.
    #[must_use]
    pub fn with_options(mut self, options: &BackupOptions) -> Self {
        self.0.extend(options.settings().clone());
        self
    }

    /// Whether it runs at all.
    #[must_use]
    pub fn with_enabled(mut self, enabled: bool) -> Self {
        self.0.flag("enabled", enabled, true);
        self
    }

    /// Whether a run that was missed is made up for as soon as possible.
    #[must_use]
    pub fn with_repeat_missed(mut self, repeat: bool) -> Self {
        self.0.flag("repeat-missed", repeat, false);
        self
    }

    /// Only guests of this node; an empty text means all nodes.
    #[must_use]
    pub fn with_node(mut self, node: &str) -> Self {
        self.0.text("node", node);
        self
    }

    /// Comment.
    #[must_use]
    pub fn with_comment(mut self, text: &str) -> Self {
        self.0.text("comment", text);
        self
    }
}

record! {
    /// A volume of a guest that a job looks at.
    pub struct IncludedVolume {
        required {
            /// Guest and slot: `100:scsi0`.
            "id" id: String,
        }
        optional {
            /// The volume.
            "name" name: String,
            /// Whether it is backed up.
            "included" included: bool,
            /// Why, or why not.
            "reason" reason: String,
        }
    }
}

record! {
    /// A guest that a job backs up.
    pub struct IncludedGuest {
        required {
            /// Its id.
            "id" vmid: u32,
        }
        optional {
            /// Its name.
            "name" name: String,
            /// `qemu`, `lxc`, or `unknown` for one that was removed.
            "type" kind: String,
            /// Its volumes.
            "children" volumes: Vec<IncludedVolume>,
        }
    }
}

record! {
    /// A guest that no job backs up.
    pub struct UncoveredGuest {
        required {
            /// Its id.
            "vmid" vmid: u32,
        }
        optional {
            /// Its name.
            "name" name: String,
            /// `qemu` or `lxc`.
            "type" kind: String,
        }
    }
}

/// A backup job by its identifier.
///
/// ```
/// # #[cfg(feature = "simulator")]
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), proxmox_client::Error> {
/// use proxmox_client::{BackupGuests, BackupJobSettings, BackupOptions, Ensured, QemuConfig};
/// # let client = proxmox_client::simulator::Simulator::lab().connect();
/// for vmid in [100, 101] {
///     client.node("pve1").create_qemu(vmid, QemuConfig::new()).await?;
/// }
/// let job = client.backup_job("nightly");
/// let wanted = BackupJobSettings::at("02:00", &BackupGuests::these([100]))
///     .with_options(&BackupOptions::to("local"));
/// assert_eq!(job.ensure(&wanted).await?, Ensured::Created);
/// assert_eq!(job.ensure(&wanted).await?, Ensured::Unchanged);
/// assert_eq!(job.get().await?.unwrap().schedule.as_deref(), Some("02:00"));
/// assert_eq!(job.included().await?[0].vmid, 100);
/// assert_eq!(client.guests_not_backed_up().await?[0].vmid, 101);
/// job.delete().await?;
/// assert!(client.backup_jobs().await?.is_empty());
/// # Ok(()) }
/// # #[cfg(not(feature = "simulator"))] fn main() {}
/// ```
#[derive(Debug, Clone)]
pub struct BackupJob {
    client: Client,
    id: String,
}

impl Client {
    /// All backup jobs.
    ///
    /// Example: see [`BackupJob`].
    pub async fn backup_jobs(&self) -> Result<Vec<BackupJobInfo>> {
        self.fetch(Request::new(Method::Get, "/cluster/backup", &[]))
            .await
    }

    /// A backup job.
    pub fn backup_job(&self, id: impl Into<String>) -> BackupJob {
        BackupJob {
            client: self.clone(),
            id: id.into(),
        }
    }

    /// The guests that no backup job covers.
    ///
    /// Example: see [`BackupJob`].
    pub async fn guests_not_backed_up(&self) -> Result<Vec<UncoveredGuest>> {
        let path = "/cluster/backup-info/not-backed-up";
        self.fetch(Request::new(Method::Get, path, &[])).await
    }
}

impl BackupJob {
    /// Its identifier.
    pub fn id(&self) -> &str {
        &self.id
    }

    fn what(&self) -> String {
        format!("backup job {}", self.id)
    }

    fn request(&self, method: Method, below: &str) -> Request {
        Request::new(
            method,
            &format!("/cluster/backup/{{id}}{below}"),
            &[&self.id],
        )
    }

    fn entry(&self) -> Entry<'_> {
        Entry {
            client: &self.client,
            read: self.request(Method::Get, ""),
            create: Request::new(Method::Post, "/cluster/backup", &[]).with("id", self.id.as_str()),
            change: self.request(Method::Put, ""),
            what: self.what(),
        }
    }

    /// What it does; none if there is no such job.
    ///
    /// Example: see [`BackupJob`].
    pub async fn get(&self) -> Result<Option<BackupJobInfo>> {
        let Some(found) = self.entry().read().await? else {
            return Ok(None);
        };
        serde_json::from_value(found.into())
            .map(Some)
            .map_err(|error| {
                let text = "the job does not have the promised form";
                Error::new(Kind::Decode, text)
                    .with_source(error)
                    .doing(self.what())
            })
    }

    /// Makes sure that there is such a job; settings that are not named are left alone.
    ///
    /// Example: see [`BackupJob`].
    ///
    /// # Errors
    /// [`Kind::Parameter`] for a schedule that is none, or without a choice of guests for a new job.
    pub async fn ensure(&self, settings: &BackupJobSettings) -> Result<Ensured> {
        let (ensured, _) = self.entry().ensure(&settings.0).await?;
        Ok(ensured)
    }

    /// Removes it; backups that it made stay.
    ///
    /// Example: see [`BackupJob`].
    pub async fn delete(&self) -> Result<Removed> {
        remove(&self.client, self.request(Method::Delete, ""), &self.what()).await
    }

    /// The guests that it backs up, with their volumes and whether each is in.
    ///
    /// Example: see [`BackupJob`].
    ///
    /// # Errors
    /// [`Kind::NotFound`].
    pub async fn included(&self) -> Result<Vec<IncludedGuest>> {
        /// The root of the tree that the interface shows.
        #[derive(serde::Deserialize)]
        struct Tree {
            children: Vec<IncludedGuest>,
        }
        let request = self.request(Method::Get, "/included_volumes");
        let tree: Result<Tree> = self.client.fetch(request).await;
        tree.map(|tree| tree.children)
            .map_err(|error| error.doing(format!("reading what {} covers", self.what())))
    }
}
