//! Changing a configuration: what differs, and nothing else, under the digest that was read.

use serde_json::Value;

use super::{Guest, GuestConfig, config, pending};
use crate::error::{Error, Kind, Result};
use crate::property::{Format, PropertyString};
use crate::qemu::Volumes;
use crate::wire::Method;

/// Keys to set and keys to remove.
///
/// ```
/// use proxmox_client::QemuPatch;
/// let patch = QemuPatch::new().set("memory", 4096).delete("unused0");
/// assert_eq!(patch.keys().collect::<Vec<_>>(), ["memory", "unused0"]);
/// ```
#[derive(Debug, Clone, Default, PartialEq)]
#[non_exhaustive]
pub struct Patch<C> {
    /// Keys to set.
    pub set: C,
    /// Keys to remove. Removing a disk or mount point detaches it as `unusedN`; removing `unusedN` destroys the volume.
    pub delete: Vec<String>,
    /// What becomes of the volumes of drives among the keys to remove; only of machines.
    pub(crate) volumes: Volumes,
}

/// What became of a change.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum ConfigUpdate {
    /// Nothing differed, nothing was sent.
    Unchanged,
    /// These keys were changed.
    Updated {
        /// In effect now.
        live: Vec<String>,
        /// In effect after the next start.
        pending: Vec<String>,
    },
}

impl<C: GuestConfig> Patch<C> {
    /// Nothing to change.
    pub fn new() -> Self {
        Self {
            set: C::default(),
            delete: Vec::new(),
            volumes: Volumes::default(),
        }
    }

    /// Sets a key.
    #[must_use]
    pub fn set(mut self, key: &str, value: impl Into<Value>) -> Self {
        self.set = self.set.with_key(key, value.into());
        self
    }

    /// Removes a key.
    #[must_use]
    pub fn delete(mut self, key: &str) -> Self {
        self.delete.push(key.to_owned());
        self
    }

    /// Whether there is nothing to change.
    pub fn is_empty(&self) -> bool {
        self.set.map().is_empty() && self.delete.is_empty()
    }

    /// All keys that it touches.
    pub fn keys(&self) -> impl Iterator<Item = &str> {
        self.set
            .map()
            .keys()
            .map(String::as_str)
            .chain(self.delete.iter().map(String::as_str))
    }
}

/// Makes a change under the digest of the configuration that it was computed from.
pub(crate) async fn apply<G: Guest>(
    guest: &G,
    read: &G::Config,
    patch: &Patch<G::Config>,
) -> Result<ConfigUpdate> {
    if patch.is_empty() {
        return Ok(ConfigUpdate::Unchanged);
    }
    patch.set.check_values()?;
    let mut request = guest.call(Method::Put, "/config", None)?;
    request.params_mut().extend_values(patch.set.map());
    if !patch.delete.is_empty() {
        request.params_mut().push("delete", patch.delete.join(","));
        if patch.volumes == Volumes::Destroy {
            request.params_mut().push_flag("force", true);
        }
    }
    if let Some(digest) = read.read_digest() {
        request.params_mut().push("digest", digest);
    }
    let doing = guest.doing("changing the configuration of");
    let _turn = guest.client().turn_to_change(&request).await;
    let sent = guest.client().request(request).await;
    sent.map_err(|error| error.doing(doing))?;
    let waiting: Vec<String> = pending(guest)
        .await?
        .into_iter()
        .filter(|entry| entry.pending.is_some() || entry.delete.is_some())
        .map(|entry| entry.key)
        .collect();
    let (pending, live) = patch
        .keys()
        .map(str::to_owned)
        .partition(|key| waiting.contains(key));
    Ok(ConfigUpdate::Updated { live, pending })
}

/// Reads the configuration, lets `change` compute what differs, and sends it under the digest read; repeated when
/// someone else changes the configuration at the same time.
pub(crate) async fn update<G: Guest>(
    guest: &G,
    mut change: impl FnMut(&G::Config) -> Result<Patch<G::Config>> + Send,
) -> Result<ConfigUpdate> {
    let mut tries = 0;
    loop {
        let read = config(guest, false).await?;
        let patch = change(&read)?;
        match apply(guest, &read, &patch).await {
            Err(error) if error.kind() == Kind::Conflict && tries < 5 => tries += 1,
            other => return other,
        }
    }
}

/// Removes a key that must be there; `what` names it in messages.
pub(crate) async fn remove_key(
    guest: &impl Guest,
    key: &str,
    what: &str,
    doing: &str,
) -> Result<ConfigUpdate> {
    update(guest, |config| {
        if config.map().contains_key(key) {
            Ok(Patch::new().delete(key))
        } else {
            let missing = Error::new(Kind::NotFound, format!("there is no {what}"));
            Err(missing.doing(guest.doing(doing)))
        }
    })
    .await
}

/// Drops changes that wait for the next start.
pub(crate) async fn revert(guest: &impl Guest, keys: &[&str]) -> Result<()> {
    if keys.is_empty() {
        return Err(Error::invalid("no keys to revert"));
    }
    let request = guest
        .call(Method::Put, "/config", None)?
        .with("revert", keys.join(","));
    let _turn = guest.client().turn_to_change(&request).await;
    guest.client().request(request).await?;
    Ok(())
}

/// Whether a key is `unused0`, `unused1`, …
pub(crate) fn is_unused_key(key: &str) -> bool {
    key.strip_prefix("unused")
        .is_some_and(|rest| !rest.is_empty() && rest.bytes().all(|byte| byte.is_ascii_digit()))
}

/// Whether a volume that is there has everything that is wanted of it. One that is there already satisfies the wish
/// to allocate or import it, and its size is what the server says.
pub(crate) fn volume_satisfies(
    mut have: PropertyString,
    mut wanted: PropertyString,
    format: &Format,
) -> bool {
    let key = format.default_key.unwrap_or("file");
    let volume = |parts: &PropertyString| parts.get(format, key).unwrap_or_default().to_owned();
    if is_wish(&volume(&wanted)) && same_storage(&volume(&have), &volume(&wanted)) {
        for parts in [&mut have, &mut wanted] {
            for ignored in [key, "import-from", "format", "size"] {
                parts.remove(format, ignored);
            }
        }
    } else {
        have.remove(format, "size");
        wanted.remove(format, "size");
    }
    // The server marks CD drives, the cloud-init one too, whether asked or not.
    if wanted.get(format, "media").is_none() {
        have.remove(format, "media");
    }
    have.same_meaning(&wanted, format)
}

/// What is wanted of a volume, with the volume that is there in place of the wish to make one: sending the wish again
/// would make another volume. None if it is no such wish.
pub(crate) fn with_same_volume(
    have: &PropertyString,
    mut wanted: PropertyString,
    format: &Format,
) -> Option<PropertyString> {
    let key = format.default_key.unwrap_or("file");
    let volume = |parts: &PropertyString| parts.get(format, key).unwrap_or_default().to_owned();
    if !(is_wish(&volume(&wanted)) && same_storage(&volume(have), &volume(&wanted))) {
        return None;
    }
    wanted.remove(format, "import-from");
    for kept in [key, "format", "size"] {
        match have.get(format, kept) {
            Some(value) => wanted.set(format, kept, value.to_owned()),
            None => wanted.remove(format, kept),
        }
    }
    Some(wanted)
}

/// `storage:8`, `storage:0.5`, `storage:cloudinit`: asks for a volume instead of naming one.
pub(crate) fn is_wish(volume: &str) -> bool {
    volume.split_once(':').is_some_and(|(_, rest)| {
        rest == "cloudinit"
            || (!rest.is_empty() && rest.bytes().all(|b| b.is_ascii_digit() || b == b'.'))
    })
}

fn same_storage(have: &str, wanted: &str) -> bool {
    let storage = |volume: &str| {
        volume
            .split_once(':')
            .map(|(storage, _)| storage.to_owned())
    };
    storage(have) == storage(wanted)
}
