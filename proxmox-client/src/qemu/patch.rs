//! Changing a configuration: what differs, and nothing else, under the digest that was read.

use serde_json::{Map, Value};

use crate::error::{Error, Kind, Result};
use crate::property::{Nic, PropertyString, format_of};
use crate::qemu::config::is_drive_slot;
use crate::qemu::{Qemu, QemuConfig, Volumes};
use crate::wire::Method;

/// Keys to set and keys to remove.
#[derive(Debug, Clone, Default, PartialEq)]
#[non_exhaustive]
pub struct QemuPatch {
    /// Keys to set.
    pub set: QemuConfig,
    /// Keys to remove. Removing a drive detaches it as `unusedN`; removing `unusedN` destroys the volume.
    pub delete: Vec<String>,
    /// What becomes of the volumes of drives among the keys to remove.
    pub volumes: Volumes,
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

impl QemuPatch {
    /// Nothing to change.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets a key.
    #[must_use]
    pub fn set(mut self, key: &str, value: impl Into<Value>) -> Self {
        self.set = self.set.with(key, value);
        self
    }

    /// Removes a key.
    #[must_use]
    pub fn delete(mut self, key: &str) -> Self {
        self.delete.push(key.to_owned());
        self
    }

    /// What becomes of the volumes of drives that are removed. By default they stay as `unusedN`.
    #[must_use]
    pub fn with_volumes(mut self, volumes: Volumes) -> Self {
        self.volumes = volumes;
        self
    }

    /// Whether there is nothing to change.
    pub fn is_empty(&self) -> bool {
        self.set.values().is_empty() && self.delete.is_empty()
    }

    /// All keys that it touches.
    pub fn keys(&self) -> impl Iterator<Item = &str> {
        self.set
            .values()
            .keys()
            .map(String::as_str)
            .chain(self.delete.iter().map(String::as_str))
    }
}

impl QemuConfig {
    /// What must change so that this configuration has everything that `wanted` says.
    ///
    /// Values are compared by meaning: tags are a set, property strings are compared by key, a card without
    /// a MAC address in `wanted` accepts the one that the server chose, a drive to be allocated or imported accepts the
    /// one that is there, and keys that `wanted` does not name stay. Where an option of a card or drive differs, the
    /// result keeps the address or volume. A password cannot be compared, since the server masks it; it is never part of the result.
    pub fn patch_to(&self, wanted: &QemuConfig) -> QemuPatch {
        let mut set = Map::new();
        for (key, value) in wanted.values() {
            if key == "cipassword" && self.values().contains_key(key) {
                continue;
            }
            match self.values().get(key) {
                Some(have) if same(key, have, value) => {}
                Some(have) => {
                    set.insert(key.clone(), carried_over(key, have, value));
                }
                None => {
                    set.insert(key.clone(), value.clone());
                }
            }
        }
        QemuPatch {
            set: QemuConfig::from_values(set),
            ..QemuPatch::default()
        }
    }
}

fn text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Bool(flag) => u8::from(*flag).to_string(),
        other => other.to_string(),
    }
}

fn same(key: &str, have: &Value, wanted: &Value) -> bool {
    let (have, wanted) = (text(have), text(wanted));
    if have == wanted {
        return true;
    }
    match key {
        "tags" => {
            let set = |text: &str| QemuConfig::new().with("tags", text).tags();
            return set(&have) == set(&wanted);
        }
        "description" => return have.trim_end() == wanted.trim_end(),
        "sshkeys" => {
            let set = |text: &str| QemuConfig::new().with("sshkeys", text).ssh_keys();
            return set(&have) == set(&wanted);
        }
        _ => {}
    }
    let Some(format) = format_of(key) else {
        return false;
    };
    let (have, wanted) = (PropertyString::parse(&have), PropertyString::parse(&wanted));
    if key.starts_with("net") {
        let nic = |parts: &PropertyString| parts.to_string().parse::<Nic>();
        return match (nic(&have), nic(&wanted)) {
            (Ok(have), Ok(wanted)) => have.satisfies(&wanted),
            _ => false,
        };
    }
    let (mut have, mut wanted) = (have, wanted);
    if is_volume_key(key) {
        // A drive that is there already satisfies the wish to allocate or import it.
        let volume =
            |parts: &PropertyString| parts.get(format, "file").unwrap_or_default().to_owned();
        if is_wish(&volume(&wanted)) && same_storage(&volume(&have), &volume(&wanted)) {
            for parts in [&mut have, &mut wanted] {
                for ignored in ["file", "import-from", "format", "size"] {
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
    }
    have.same_meaning(&wanted, format)
}

/// What is wanted, with what the server chose when it made a card or a drive: sending a wish for a volume again would
/// make another volume, a card without an address would get a new one.
fn carried_over(key: &str, have: &Value, wanted: &Value) -> Value {
    let (have, wanted_text) = (text(have), text(wanted));
    if key.starts_with("net") {
        return match (have.parse::<Nic>(), wanted_text.parse::<Nic>()) {
            (Ok(have), Ok(new)) if new.mac().is_none() => match have.mac() {
                Some(mac) => new.with_mac(&mac).to_string().into(),
                None => wanted.clone(),
            },
            _ => wanted.clone(),
        };
    }
    if !is_volume_key(key) {
        return wanted.clone();
    }
    let Some(format) = format_of(key) else {
        return wanted.clone();
    };
    let have = PropertyString::parse(&have);
    let mut new = PropertyString::parse(&wanted_text);
    let volume = |parts: &PropertyString| parts.get(format, "file").unwrap_or_default().to_owned();
    if !(is_wish(&volume(&new)) && same_storage(&volume(&have), &volume(&new))) {
        return wanted.clone();
    }
    new.remove(format, "import-from");
    for kept in ["file", "format", "size"] {
        match have.get(format, kept) {
            Some(value) => new.set(format, kept, value.to_owned()),
            None => new.remove(format, kept),
        }
    }
    new.to_string().into()
}

fn is_volume_key(key: &str) -> bool {
    is_drive_slot(key) || key.starts_with("efidisk") || key.starts_with("tpmstate")
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

impl Qemu {
    /// Makes a change under the digest of the configuration that it was computed from.
    ///
    /// # Errors
    /// [`Kind::Conflict`] if someone else changed the configuration since: read, compute and try again.
    pub async fn apply(&self, read: &QemuConfig, patch: &QemuPatch) -> Result<ConfigUpdate> {
        if patch.is_empty() {
            return Ok(ConfigUpdate::Unchanged);
        }
        patch.set.check()?;
        let mut request = self.request(Method::Put, "/config")?;
        request.params_mut().extend_values(patch.set.values());
        if !patch.delete.is_empty() {
            request.params_mut().push("delete", patch.delete.join(","));
            if patch.volumes == Volumes::Destroy {
                request.params_mut().push_flag("force", true);
            }
        }
        if let Some(digest) = read.digest() {
            request.params_mut().push("digest", digest);
        }
        let doing = self.doing("changing the configuration of");
        let _turn = self.client.turn_to_change(&request).await;
        self.client
            .request(request)
            .await
            .map_err(|error| error.doing(doing))?;
        let waiting: Vec<String> = self
            .pending()
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

    /// Gives the machine everything that `wanted` says, leaving other keys alone; repeated when someone
    /// else changes the configuration at the same time.
    pub async fn ensure_config(&self, wanted: &QemuConfig) -> Result<ConfigUpdate> {
        let mut tries = 0;
        loop {
            let read = self.config().await?;
            match self.apply(&read, &read.patch_to(wanted)).await {
                Err(error) if error.kind() == Kind::Conflict && tries < 5 => tries += 1,
                other => return other,
            }
        }
    }

    /// Reads the configuration, lets `change` compute what differs, and sends it under the digest read;
    /// repeated when someone else changes the configuration at the same time.
    pub async fn update(
        &self,
        mut change: impl FnMut(&QemuConfig) -> Result<QemuPatch> + Send,
    ) -> Result<ConfigUpdate> {
        let mut tries = 0;
        loop {
            let read = self.config().await?;
            let patch = change(&read)?;
            match self.apply(&read, &patch).await {
                Err(error) if error.kind() == Kind::Conflict && tries < 5 => tries += 1,
                other => return other,
            }
        }
    }

    /// Drops changes that wait for the next start.
    pub async fn revert(&self, keys: &[&str]) -> Result<()> {
        if keys.is_empty() {
            return Err(Error::invalid("no keys to revert"));
        }
        let request = self
            .request(Method::Put, "/config")?
            .with("revert", keys.join(","));
        let _turn = self.client.turn_to_change(&request).await;
        self.client.request(request).await?;
        Ok(())
    }
}
