//! Where disks and machines are, and how machines are marked.

use std::collections::BTreeSet;

use crate::error::{Error, Kind, Result};
use crate::node::check_name;
use crate::qemu::config::is_drive_slot;
use crate::qemu::{ConfigUpdate, Qemu, QemuPatch};
use crate::size::Size;
use crate::task::TaskCall;
use crate::wire::Method;

/// How to migrate.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct MigrateOptions {
    online: bool,
    local_disks: bool,
    storage: Option<String>,
}

impl MigrateOptions {
    /// A machine that is off, with its disks on shared storage.
    pub fn new() -> Self {
        Self::default()
    }

    /// Also while it runs.
    #[must_use]
    pub fn with_online(mut self) -> Self {
        self.online = true;
        self
    }

    /// Copies disks of local storages along.
    #[must_use]
    pub fn with_local_disks(mut self) -> Self {
        self.local_disks = true;
        self
    }

    /// Storage of the copied disks on the target.
    #[must_use]
    pub fn with_storage(mut self, name: &str) -> Self {
        self.storage = Some(name.to_owned());
        self
    }
}

impl Qemu {
    /// Moves a disk (`scsi0`) to another storage, also while the machine runs. The old volume is removed, or with
    /// `keep` stays as `unusedN`. `limit` is what is copied in a second.
    ///
    /// # Errors
    /// [`Kind::InvalidInput`] if it is there already, [`Kind::NotFound`], [`Kind::Locked`].
    pub fn move_disk(
        &self,
        slot: &str,
        storage: &str,
        keep: bool,
        limit: Option<Size>,
    ) -> TaskCall<()> {
        let request = self.request(Method::Post, "/move_disk").map(|request| {
            let mut request = request
                .with("disk", slot)
                .with("storage", storage)
                .with_flag("delete", !keep);
            if let Some(limit) = limit {
                let kib = (limit.as_bytes() >> 10).max(1);
                request.params_mut().push("bwlimit", kib.to_string());
            }
            request
        });
        let doing = self.doing("moving a disk of");
        TaskCall::new(self.client.clone(), doing, request, |report| {
            report.check().map(|_| ())
        })
    }

    /// Takes a disk (`scsi1`) off the machine; its volume stays as `unusedN`.
    ///
    /// # Errors
    /// [`Kind::NotFound`] if there is no such disk.
    pub async fn detach_disk(&self, slot: &str) -> Result<ConfigUpdate> {
        if !is_drive_slot(slot) {
            return Err(Error::invalid(format!("`{slot}` is no disk")));
        }
        self.update(|config| match config.drive(slot) {
            Some(_) => Ok(QemuPatch::new().delete(slot)),
            None => Err(
                Error::new(Kind::NotFound, format!("there is no disk {slot}"))
                    .doing(self.doing("detaching a disk of")),
            ),
        })
        .await
    }

    /// Destroys the volume of an `unusedN` entry, for good.
    ///
    /// # Errors
    /// [`Kind::InvalidInput`] for anything else than `unusedN`, [`Kind::NotFound`] if there is none.
    pub async fn destroy_unused(&self, key: &str) -> Result<ConfigUpdate> {
        let number = key.strip_prefix("unused").filter(|rest| !rest.is_empty());
        if !number.is_some_and(|rest| rest.bytes().all(|byte| byte.is_ascii_digit())) {
            return Err(Error::invalid(format!("`{key}` is no unused disk")));
        }
        self.update(|config| match config.values().get(key) {
            Some(_) => Ok(QemuPatch::new().delete(key)),
            None => Err(Error::new(Kind::NotFound, format!("there is no {key}"))
                .doing(self.doing("destroying a disk of"))),
        })
        .await
    }

    /// Migrates it to another node; gives the machine as it is addressed there.
    ///
    /// # Errors
    /// [`Kind::PowerState`] for a running machine without [`MigrateOptions::with_online`], [`Kind::Locked`].
    pub fn migrate(&self, target: &str, options: MigrateOptions) -> TaskCall<Qemu> {
        let request = check_name(target).and_then(|()| {
            let request = self.request(Method::Post, "/migrate")?;
            let mut request = request.with("target", target);
            if options.online {
                request.params_mut().push_flag("online", true);
            }
            if options.local_disks {
                request.params_mut().push_flag("with-local-disks", true);
            }
            if let Some(storage) = &options.storage {
                request.params_mut().push("targetstorage", storage);
            }
            Ok(request)
        });
        let mut there = self.clone();
        there.node = target.to_owned();
        let doing = self.doing("migrating");
        TaskCall::new(self.client.clone(), doing, request, |report| {
            report.check().map(|_| there)
        })
    }

    /// Makes sure that it carries these tags, whatever others it has.
    pub async fn ensure_tags(&self, tags: &[&str]) -> Result<ConfigUpdate> {
        self.change_tags(
            |have| have.extend(tags.iter().map(|tag| (*tag).to_owned())),
            tags,
        )
        .await
    }

    /// Takes these tags off, if it has them.
    pub async fn remove_tags(&self, tags: &[&str]) -> Result<ConfigUpdate> {
        self.change_tags(
            |have| have.retain(|tag| !tags.contains(&tag.as_str())),
            tags,
        )
        .await
    }

    async fn change_tags(
        &self,
        change: impl Fn(&mut BTreeSet<String>) + Send + Sync,
        tags: &[&str],
    ) -> Result<ConfigUpdate> {
        let good = |tag: &&str| {
            let mut bytes = tag.bytes();
            let first = bytes.next();
            first.is_some_and(|byte| {
                byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_'
            }) && bytes
                .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"-_+.".contains(&b))
        };
        if let Some(bad) = tags.iter().find(|tag| !good(tag)) {
            return Err(Error::invalid(format!(
                "`{}` is no tag: small letters, digits and -_+., a letter, digit or _ first",
                bad.escape_debug()
            ))
            .doing(self.doing("tagging")));
        }
        self.update(|config| {
            let text = config.values().get("tags").and_then(|value| value.as_str());
            let have: BTreeSet<String> = text
                .unwrap_or_default()
                .split([';', ',', ' '])
                .filter(|tag| !tag.is_empty())
                .map(str::to_owned)
                .collect();
            let mut wanted = have.clone();
            change(&mut wanted);
            let all: Vec<&str> = wanted.iter().map(String::as_str).collect();
            Ok(if wanted == have {
                QemuPatch::new()
            } else if all.is_empty() {
                QemuPatch::new().delete("tags")
            } else {
                QemuPatch::new().set("tags", all.join(";"))
            })
        })
        .await
    }
}
