//! A guest in the world: a virtual machine or a container.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use sha1::{Digest, Sha1};

use super::answer::Reply;
use super::engine::Key;

/// What a guest is. Both kinds share one space of ids.
#[derive(Serialize, Deserialize, Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Species {
    /// A virtual machine.
    #[default]
    Machine,
    /// A container.
    Container,
}

impl Species {
    /// What texts call it.
    pub(super) fn noun(self) -> &'static str {
        match self {
            Self::Machine => "VM",
            Self::Container => "CT",
        }
    }

    /// What stands at a place below a node.
    pub(super) fn at(branch: &str) -> Self {
        match branch {
            "lxc" => Self::Container,
            _ => Self::Machine,
        }
    }

    /// Where it stands below a node.
    pub(super) fn branch(self) -> &'static str {
        match self {
            Self::Machine => "qemu",
            Self::Container => "lxc",
        }
    }

    /// What the kinds of its tasks begin with.
    pub(super) fn tasks(self) -> &'static str {
        match self {
            Self::Machine => "qm",
            Self::Container => "vz",
        }
    }

    /// The folder of its configuration files.
    pub(super) fn folder(self) -> &'static str {
        match self {
            Self::Machine => "qemu-server",
            Self::Container => "lxc",
        }
    }

    /// The lock file of one of them.
    pub(super) fn key(self, vmid: u32) -> Key {
        match self {
            Self::Machine => Key::Guest(vmid),
            Self::Container => Key::Container(vmid),
        }
    }

    /// What the content lists of storages call its volumes.
    pub(super) fn content(self) -> &'static str {
        match self {
            Self::Machine => "images",
            Self::Container => "rootdir",
        }
    }

    /// Whether it refuses a change: somebody holds its configuration's lock.
    pub(super) fn locked(self, lock: &str) -> Reply {
        Reply::failed(format!("{} is locked ({lock})", self.noun()))
    }
}

/// Whether a guest runs.
#[derive(Serialize, Deserialize, Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Power {
    /// Off.
    Off,
    /// On since this modelled moment; a reboot changes it.
    On {
        /// When its firmware began.
        since: SystemTime,
    },
}

/// A virtual machine or a container.
#[derive(Serialize, Deserialize, Debug, Clone)]
pub struct Guest {
    #[serde(default)]
    pub(super) species: Species,
    pub(super) vmid: u32,
    pub(super) node: String,
    /// What is in effect.
    pub(super) config: Map<String, Value>,
    /// What waits for the next start; null removes the key.
    pub(super) pending: Map<String, Value>,
    pub(super) snapshots: BTreeMap<String, StoredSnapshot>,
    pub(super) parent: Option<String>,
    pub(super) power: Power,
    pub(super) pid: u32,
    pub(super) paused: bool,
    /// How long it had been up before it was suspended to disk.
    #[serde(default)]
    pub(super) asleep: Option<Duration>,
    /// How long it had been up before it was resumed from disk.
    #[serde(default)]
    pub(super) head_start: Duration,
    /// What the cloud-init drive was made from, of the keys that changed since; none for those that were not there.
    #[serde(default)]
    pub(super) cloud_init: BTreeMap<String, Option<Value>>,
    /// Files that were written through the agent.
    #[serde(default)]
    pub(super) files: BTreeMap<String, String>,
    /// Commands that were started through the agent.
    #[serde(default)]
    pub(super) processes: Vec<super::route::Process>,
    /// Whether the agent holds its file systems still.
    #[serde(default)]
    pub(super) frozen: bool,
}

#[derive(Serialize, Deserialize, Debug, Clone)]
pub(super) struct StoredSnapshot {
    pub(super) config: Map<String, Value>,
    pub(super) taken: u64,
    pub(super) parent: Option<String>,
}

impl Guest {
    pub(super) fn new(species: Species, vmid: u32, node: &str) -> Self {
        Self {
            species,
            vmid,
            node: node.to_owned(),
            config: Map::new(),
            pending: Map::new(),
            snapshots: BTreeMap::new(),
            parent: None,
            power: Power::Off,
            pid: 0,
            paused: false,
            asleep: None,
            head_start: Duration::ZERO,
            cloud_init: BTreeMap::new(),
            files: BTreeMap::new(),
            processes: Vec::new(),
            frozen: false,
        }
    }

    /// Its id.
    pub fn vmid(&self) -> u32 {
        self.vmid
    }

    /// The node it is on.
    pub fn node(&self) -> &str {
        &self.node
    }

    /// What it is.
    pub fn species(&self) -> Species {
        self.species
    }

    /// Its name; of a container its host name.
    pub fn name(&self) -> Option<&str> {
        let key = match self.species {
            Species::Machine => "name",
            Species::Container => "hostname",
        };
        self.config.get(key).and_then(Value::as_str)
    }

    /// A configuration value in effect, as text: `net0`, `scsi0`, `smbios1`, `tags`, …
    pub fn text(&self, key: &str) -> Option<String> {
        self.config.get(key).map(text_of)
    }

    /// All configuration values in effect.
    pub fn config(&self) -> &Map<String, Value> {
        &self.config
    }

    /// Whether it runs, and since when.
    pub fn power(&self) -> Power {
        self.power
    }

    /// Since when it runs.
    pub fn started_at(&self) -> Option<SystemTime> {
        match self.power {
            Power::On { since } => Some(since),
            Power::Off => None,
        }
    }

    /// The MAC address of a card, in upper case.
    pub fn mac(&self, index: u8) -> Option<String> {
        let net = self.text(&format!("net{index}"))?;
        net.split(',').find_map(|part| {
            let (_, value) = part.split_once('=')?;
            let shaped =
                value.len() == 17 && value.split(':').filter(|p| p.len() == 2).count() == 6;
            shaped.then(|| value.to_ascii_uppercase())
        })
    }

    pub(super) fn is_on(&self) -> bool {
        matches!(self.power, Power::On { .. })
    }

    /// For how long what runs inside has been up, before a suspension and after.
    pub(super) fn awake_for(&self, at: SystemTime) -> Option<Duration> {
        let since = self.started_at()?;
        Some(at.duration_since(since).ok()? + self.head_start)
    }

    /// Whether its memory lies on a storage until it is started again.
    pub(super) fn is_suspended(&self) -> bool {
        self.species == Species::Machine && self.lock().as_deref() == Some("suspended")
    }

    /// It is off, and goes on from where it was; what waits for the next start waits for another.
    pub(super) fn fall_asleep(&mut self, at: SystemTime) {
        self.asleep = self.awake_for(at);
        self.power = Power::Off;
        self.paused = false;
        self.head_start = Duration::ZERO;
    }

    pub(super) fn lock(&self) -> Option<String> {
        self.text("lock")
    }

    /// The guest, unless its configuration is locked.
    pub(super) fn unlocked(&self) -> Result<&Self, Reply> {
        match self.lock() {
            Some(lock) => Err(self.species.locked(&lock)),
            None => Ok(self),
        }
    }

    pub(super) fn is_template(&self) -> bool {
        self.text("template").as_deref() == Some("1")
    }

    /// Configuration with what waits for the next start.
    pub(super) fn merged(&self) -> Map<String, Value> {
        let mut merged = self.config.clone();
        for (key, value) in &self.pending {
            if value.is_null() {
                merged.shift_remove(key);
            } else {
                merged.insert(key.clone(), value.clone());
            }
        }
        merged
    }

    /// SHA-1 over everything that the file on disk would hold.
    pub(super) fn digest(&self) -> String {
        let mut hash = Sha1::new();
        let mut section = |name: &str, values: &Map<String, Value>| {
            hash.update(format!("[{name}]\n"));
            let mut lines: Vec<String> = values
                .iter()
                .map(|(key, value)| format!("{key}: {}\n", text_of(value)))
                .collect();
            lines.sort();
            lines.iter().for_each(|line| hash.update(line));
        };
        section("", &self.config);
        section("PENDING", &self.pending);
        for (name, snapshot) in &self.snapshots {
            section(name, &snapshot.config);
        }
        hash.update(self.parent.as_deref().unwrap_or(""));
        hash.finalize()
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect()
    }

    /// What waits takes effect; disks that were to be detached stay as `unusedN`.
    pub(super) fn commit_pending(&mut self) {
        let own = format!("/vm-{}-disk-", self.vmid);
        let detached: Vec<String> = self
            .pending
            .iter()
            .filter(|(key, value)| value.is_null() && super::operation::is_drive(key))
            .filter_map(|(key, _)| self.text(key))
            .map(|text| super::operation::DriveText::parse(&text).file)
            .filter(|file| file.replacen(':', "/", 1).contains(&own))
            .collect();
        self.config = self.merged();
        self.pending.clear();
        for file in detached {
            let mut names = (0..256).map(|index| format!("unused{index}"));
            let free = names.find(|key| !self.config.contains_key(key));
            if let Some(key) = free {
                self.config.insert(key, file.into());
            }
        }
    }

    /// It does not run any more. What waits for the next start of a machine takes effect now, of a container then.
    pub(super) fn go_off(&mut self) {
        self.power = Power::Off;
        self.paused = false;
        self.frozen = false;
        self.head_start = Duration::ZERO;
        if self.species == Species::Machine {
            self.commit_pending();
        }
    }

    pub(super) fn memory_bytes(&self) -> u64 {
        let memory = self.text("memory").unwrap_or_else(|| "512".to_owned());
        memory
            .trim_start_matches("current=")
            .parse::<u64>()
            .unwrap_or(512)
            << 20
    }

    pub(super) fn processors(&self) -> u64 {
        let number = |key: &str| {
            self.text(key)
                .and_then(|text| text.parse::<u64>().ok())
                .unwrap_or(1)
        };
        number("cores") * number("sockets")
    }

    pub(super) fn uptime(&self, now: SystemTime) -> u64 {
        self.started_at()
            .and_then(|since| now.duration_since(since).ok())
            .map_or(0, |up| up.as_secs())
    }

    /// The entry in lists.
    pub(super) fn summary(&self, now: SystemTime, max_disk: u64) -> Map<String, Value> {
        let mut entry = Map::new();
        let mut put = |key: &str, value: Value| entry.insert(key.to_owned(), value);
        put("vmid", self.vmid.into());
        put(
            "name",
            self.name()
                .map_or_else(|| format!("VM {}", self.vmid), str::to_owned)
                .into(),
        );
        put(
            "status",
            if self.is_on() { "running" } else { "stopped" }.into(),
        );
        put("uptime", self.uptime(now).into());
        put("maxmem", self.memory_bytes().into());
        put("maxdisk", max_disk.into());
        put(
            "mem",
            if self.is_on() {
                self.memory_bytes() / 4
            } else {
                0
            }
            .into(),
        );
        for zero in ["memhost", "cpu", "disk", "netin", "netout"] {
            put(zero, 0.into());
        }
        if let Some(tags) = self.text("tags") {
            put("tags", tags.into());
        }
        if let Some(lock) = self.lock() {
            put("lock", lock.into());
        }
        if self.is_template() {
            put("template", 1.into());
        }
        entry
    }

    /// The answer of `status/current`.
    pub(super) fn current(&self, now: SystemTime, max_disk: u64) -> Map<String, Value> {
        let mut entry = self.summary(now, max_disk);
        let mut put = |key: &str, value: Value| entry.insert(key.to_owned(), value);
        put("cpus", self.processors().into());
        put(
            "qmpstatus",
            match (self.is_on(), self.paused) {
                (true, true) => "paused",
                (true, false) => "running",
                (false, _) => "stopped",
            }
            .into(),
        );
        put("clipboard", Value::Null);
        if self
            .text("agent")
            .is_some_and(|agent| agent == "1" || agent.contains("enabled=1"))
        {
            put("agent", 1.into());
        }
        if self.is_on() {
            put(
                "nics",
                json!({ format!("tap{}i0", self.vmid): { "netin": 0, "netout": 0 } }),
            );
        }
        self.own_figures(&mut entry);
        entry
    }

    /// The entry in a node's own list.
    pub(super) fn node_entry(&self, now: SystemTime, max_disk: u64) -> Map<String, Value> {
        let mut entry = self.summary(now, max_disk);
        entry.insert("cpus".to_owned(), self.processors().into());
        self.own_figures(&mut entry);
        entry
    }

    /// What only the guest's node knows.
    fn own_figures(&self, entry: &mut Map<String, Value>) {
        let mut put = |key: &str, value: Value| entry.insert(key.to_owned(), value);
        if self.text("serial0").is_some() {
            put("serial", 1.into());
        }
        if self.is_on() {
            put("pid", self.pid.into());
            for kind in ["cpu", "io", "memory"] {
                for share in ["some", "full"] {
                    put(&format!("pressure{kind}{share}"), 0.into());
                }
            }
        }
    }
}

impl StoredSnapshot {
    /// As it is shown.
    pub(super) fn shown(&self, species: Species) -> Map<String, Value> {
        let mut config = shown(species, self.config.clone());
        config.insert("snaptime".to_owned(), self.taken.into());
        if let Some(parent) = &self.parent
            && species == Species::Container
        {
            config.insert("parent".to_owned(), parent.as_str().into());
        }
        config
    }
}

/// A configuration as it is shown: a password reads as ten stars, a container's description ends with a line break.
pub(super) fn shown(species: Species, mut config: Map<String, Value>) -> Map<String, Value> {
    if let Some(password) = config
        .get_mut("cipassword")
        .filter(|value| !value.is_null())
    {
        *password = "**********".into();
    }
    if species == Species::Container
        && let Some(Value::String(text)) = config.get_mut("description")
        && !text.ends_with('\n')
    {
        text.push('\n');
    }
    config
}

/// A configuration value as a file shows it.
pub(super) fn text_of(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}
