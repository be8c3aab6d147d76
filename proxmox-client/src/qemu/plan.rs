//! What a change of a configuration would do, before it is made and after.

use std::collections::BTreeSet;
use std::fmt;

use crate::error::{Error, Kind, Result};
use crate::property::{PropertyString, format_of};
use crate::qemu::config::is_drive_slot;
use crate::qemu::{ConfigUpdate, PendingEntry, Qemu, QemuConfig, QemuPatch};

/// When a change takes effect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Effect {
    /// At once: the machine is off, or the server changes this while it runs.
    Live,
    /// When the machine is started the next time.
    AtNextStart,
    /// The server decides while it tries: at once if the guest goes along, else at the next start.
    Unknown,
}

/// What would become of one key.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Change {
    /// It has no value yet.
    Set {
        /// The new value.
        to: String,
    },
    /// It gets another value.
    Replace {
        /// The present value.
        from: String,
        /// The new value.
        to: String,
    },
    /// Parts of it change, the others stay: name, present and new value of each.
    Patch(Vec<(String, Option<String>, Option<String>)>),
    /// It goes.
    Delete {
        /// The present value.
        from: String,
    },
}

/// A key that would change.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct PlannedKey {
    /// Configuration key.
    pub key: String,
    /// What would become of it.
    pub change: Change,
    /// When.
    pub effect: Effect,
}

/// A change of a machine's configuration that was not sent yet. A pure value: see [`ConfigPlan::new`].
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct ConfigPlan {
    keys: Vec<PlannedKey>,
    read: QemuConfig,
    patch: QemuPatch,
}

/// What became of one key of a plan.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct KeyResult {
    /// Configuration key.
    pub key: String,
    /// What became of it.
    pub outcome: KeyOutcome,
}

/// What became of a key.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum KeyOutcome {
    /// The change is in effect.
    Live,
    /// The change takes effect at the next start; with the server's reason if it tried to make it at once.
    Pending(Option<String>),
    /// Nothing changed, for this reason.
    Refused(String),
}

/// Keys that a running machine takes at once (`$fast_plug_option` of qemu-server, and what is for cloud-init, which
/// is read at the next boot).
const ALWAYS_LIVE: [&str; 21] = [
    "cicustom",
    "cipassword",
    "citype",
    "ciupgrade",
    "ciuser",
    "cpulimit",
    "cpuunits",
    "description",
    "hookscript",
    "hotplug",
    "lock",
    "name",
    "nameserver",
    "onboot",
    "protection",
    "searchdomain",
    "shares",
    "sshkeys",
    "startup",
    "tags",
    "vmstatestorage",
];

/// Kinds of change that the server makes while the machine runs, if the configuration's `hotplug` has this word.
const PLUGGED: [(&str, &str); 4] = [
    ("net", "network"),
    ("usb", "usb"),
    ("vcpus", "cpu"),
    ("memory", "memory"),
];

fn effect(key: &str, config: &QemuConfig, running: bool) -> Effect {
    let numbered = |stem: &str| {
        let rest = key.strip_prefix(stem);
        rest.is_some_and(|rest| rest.bytes().all(|byte| byte.is_ascii_digit()))
    };
    if !running
        || ALWAYS_LIVE.contains(&key)
        || numbered("ipconfig")
        || (numbered("unused") && key != "unused")
    {
        return Effect::Live;
    }
    let words = match config.text("hotplug").as_deref() {
        None | Some("1") => "disk,network,usb".to_owned(),
        Some(words) => words.to_owned(),
    };
    let plugs = |word: &str| words.split([',', ';', ' ']).any(|have| have == word);
    let tried = |word: &str| match plugs(word) {
        true => Effect::Unknown,
        false => Effect::AtNextStart,
    };
    if is_drive_slot(key) {
        // The other controllers cannot be changed while a machine runs, except for what is in a CD drive.
        let movable = key.starts_with("scsi") || key.starts_with("virtio");
        let cdrom = |config: &QemuConfig| {
            let drive = config.drive(key).and_then(Result::ok);
            drive.is_some_and(|drive| drive.is_cdrom())
        };
        return match movable || cdrom(config) {
            true => tried("disk"),
            false => Effect::AtNextStart,
        };
    }
    if let Some((_, word)) = PLUGGED.iter().find(|(stem, _)| numbered(stem)) {
        return tried(word);
    }
    match key {
        "balloon" | "agent" | "tablet" | "boot" => Effect::Unknown,
        _ => Effect::AtNextStart,
    }
}

fn shown(key: &str, config: &QemuConfig) -> Option<String> {
    let text = config.text(key)?;
    Some(match key {
        "cipassword" => "**********".to_owned(),
        _ => text,
    })
}

fn change(key: &str, read: &QemuConfig, patch: &QemuPatch) -> Option<Change> {
    let (from, to) = (shown(key, read), shown(key, &patch.set));
    match (from, to) {
        (None, Some(to)) => Some(Change::Set { to }),
        (Some(from), None) => Some(Change::Delete { from }),
        (Some(from), Some(to)) => {
            let Some(format) = format_of(key) else {
                return Some(Change::Replace { from, to });
            };
            let (old, new) = (PropertyString::parse(&from), PropertyString::parse(&to));
            let parts = old.differences(&new, format);
            Some(if parts.is_empty() {
                Change::Replace { from, to }
            } else {
                Change::Patch(parts)
            })
        }
        // Removing what is not there.
        (None, None) => None,
    }
}

impl ConfigPlan {
    /// What a patch would do to a configuration that was read, of a machine that runs or does not.
    pub fn new(read: &QemuConfig, patch: QemuPatch, running: bool) -> Self {
        // A key may be set and not removed, or removed and not set; the server refuses both at once.
        let touched: BTreeSet<&str> = patch.keys().collect();
        let keys = touched.into_iter().filter_map(|key| {
            Some(PlannedKey {
                key: key.to_owned(),
                change: change(key, read, &patch)?,
                effect: effect(key, read, running),
            })
        });
        Self {
            keys: keys.collect(),
            read: read.clone(),
            patch,
        }
    }

    /// The keys that would change, sorted.
    pub fn keys(&self) -> &[PlannedKey] {
        &self.keys
    }

    /// Whether nothing would change.
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// The digest of the configuration that it was made from.
    pub fn digest(&self) -> Option<&str> {
        self.read.digest()
    }

    /// What would be sent.
    pub fn patch(&self) -> &QemuPatch {
        &self.patch
    }
}

impl fmt::Display for PlannedKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let key = &self.key;
        match &self.change {
            Change::Set { to } => write!(f, "+ {key}: {to}")?,
            Change::Replace { from, to } => write!(f, "~ {key}: {from} -> {to}")?,
            Change::Delete { from } => write!(f, "- {key}: {from}")?,
            Change::Patch(parts) => {
                write!(f, "~ {key}:")?;
                for (name, from, to) in parts {
                    match (from, to) {
                        (Some(from), Some(to)) => write!(f, " {name}={from} -> {to}")?,
                        (None, Some(to)) => write!(f, " +{name}={to}")?,
                        (Some(from), None) => write!(f, " -{name}={from}")?,
                        (None, None) => {}
                    }
                }
            }
        }
        match self.effect {
            Effect::Live => Ok(()),
            Effect::AtNextStart => f.write_str(" (at the next start)"),
            Effect::Unknown => f.write_str(" (at once or at the next start)"),
        }
    }
}

impl fmt::Display for ConfigPlan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, key) in self.keys.iter().enumerate() {
            let gap = if index == 0 { "" } else { "\n" };
            write!(f, "{gap}{key}")?;
        }
        Ok(())
    }
}

/// What became of the keys of a change that the server did not take as it was.
fn after_failure(plan: &ConfigPlan, error: &Error, waiting: &[String]) -> Vec<KeyResult> {
    let named = error.parameters();
    let stored = error.kind() == Kind::HotplugFailed;
    let result = |planned: &PlannedKey| {
        let why = named.get(&planned.key).map(|why| why.trim().to_owned());
        let outcome = match (stored, why) {
            (true, why) if waiting.contains(&planned.key) => KeyOutcome::Pending(why),
            (true, None) => KeyOutcome::Live,
            (_, Some(why)) => KeyOutcome::Refused(why),
            (false, None) => {
                let others: Vec<&str> = named.keys().map(String::as_str).collect();
                KeyOutcome::Refused(format!("not sent alone: {} refused", others.join(", ")))
            }
        };
        KeyResult {
            key: planned.key.clone(),
            outcome,
        }
    };
    plan.keys.iter().map(result).collect()
}

fn waiting_keys(entries: Vec<PendingEntry>) -> Vec<String> {
    let waits = |entry: &PendingEntry| entry.pending.is_some() || entry.delete.is_some();
    let waiting = entries.into_iter().filter(waits);
    waiting.map(|entry| entry.key).collect()
}

impl Qemu {
    /// What giving the machine everything that `wanted` says would change; nothing is sent.
    ///
    /// ```
    /// # #[cfg(feature = "simulator")]
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), proxmox_client::Error> {
    /// # use proxmox_client::simulator::{Simulator, World};
    /// # use proxmox_client::QemuConfig;
    /// # let node = Simulator::new(World::lab()).connect().node("pve1");
    /// let config = QemuConfig::new().with_name("web").with_cores(2);
    /// let vm = node.create_qemu(100, config).await?.qemu;
    /// vm.start().await?;
    /// let plan = vm.plan(&QemuConfig::new().with_name("www").with_cores(4)).await?;
    /// assert_eq!(plan.to_string(), "~ cores: 2 -> 4 (at the next start)\n~ name: web -> www");
    /// let results = vm.apply_plan(&plan).await?;
    /// assert_eq!(results[0].outcome, proxmox_client::KeyOutcome::Pending(None));
    /// # Ok(()) }
    /// # #[cfg(not(feature = "simulator"))] fn main() {}
    /// ```
    ///
    /// # Errors
    /// [`Kind::NotFound`] if there is no such machine on this node.
    pub async fn plan(&self, wanted: &QemuConfig) -> Result<ConfigPlan> {
        let read = self.config().await?;
        let patch = read.patch_to(wanted);
        let running = !patch.is_empty() && self.status().await?.is_running();
        Ok(ConfigPlan::new(&read, patch, running))
    }

    /// Makes a planned change under the digest of the configuration that it was made from, and says what became of
    /// each key. The machine is not restarted for what is pending.
    ///
    /// Example: see [`plan`](Self::plan).
    ///
    /// # Errors
    /// [`Kind::Conflict`] if someone changed the configuration since: plan again. A refusal that names keys is no error but
    /// the outcome of these keys; any other is.
    pub async fn apply_plan(&self, plan: &ConfigPlan) -> Result<Vec<KeyResult>> {
        if plan.is_empty() {
            return Ok(Vec::new());
        }
        let key = |key: &PlannedKey| key.key.clone();
        match self.apply(&plan.read, &plan.patch).await {
            Ok(ConfigUpdate::Unchanged) => Ok(Vec::new()),
            Ok(ConfigUpdate::Updated { pending, .. }) => Ok(plan
                .keys
                .iter()
                .map(|planned| KeyResult {
                    key: key(planned),
                    outcome: match pending.contains(&planned.key) {
                        true => KeyOutcome::Pending(None),
                        false => KeyOutcome::Live,
                    },
                })
                .collect()),
            Err(error)
                if matches!(error.kind(), Kind::HotplugFailed | Kind::Parameter)
                    && plan
                        .keys
                        .iter()
                        .any(|planned| error.parameters().contains_key(&planned.key)) =>
            {
                let waiting = waiting_keys(self.pending().await?);
                Ok(after_failure(plan, &error, &waiting))
            }
            Err(error) => Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn read() -> QemuConfig {
        QemuConfig::new()
            .with("cores", 2)
            .with("memory", "2048")
            .with(
                "net0",
                "virtio=BC:24:11:00:00:01,bridge=vmbr0,firewall=1,tag=20",
            )
            .with("scsi0", "local-lvm:vm-100-disk-0,iothread=1,size=8G")
            .with("ide2", "local:100/vm-100-cloudinit.qcow2,media=cdrom")
            .with("vga", "serial0")
            .with("cipassword", "**********")
    }

    fn lines(patch: QemuPatch, running: bool) -> Vec<String> {
        let plan = ConfigPlan::new(&read(), patch, running);
        plan.to_string().lines().map(str::to_owned).collect()
    }

    #[test]
    fn every_kind_of_change_is_told_apart() {
        let patch = QemuPatch::new()
            .set("cores", 4)
            .set("name", "web")
            .set("net0", "virtio=BC:24:11:00:00:01,bridge=vmbr0,tag=30,mtu=1")
            .set("cipassword", "s3cret")
            .delete("vga")
            .delete("serial3");
        assert_eq!(
            lines(patch, false),
            [
                "~ cipassword: ********** -> **********",
                "~ cores: 2 -> 4",
                "+ name: web",
                "~ net0: -firewall=1 +mtu=1 tag=20 -> 30",
                "- vga: serial0",
            ]
        );
    }

    #[test]
    fn when_a_change_takes_effect_depends_on_the_key_and_on_what_may_be_plugged() {
        let table = [
            ("cores", "4", None, Effect::AtNextStart),
            ("name", "x", None, Effect::Live),
            ("ipconfig0", "ip=dhcp", None, Effect::Live),
            ("memory", "4096", None, Effect::AtNextStart),
            ("memory", "4096", Some("memory,cpu"), Effect::Unknown),
            ("net0", "virtio,bridge=vmbr1", None, Effect::Unknown),
            (
                "net0",
                "virtio,bridge=vmbr1",
                Some("0"),
                Effect::AtNextStart,
            ),
            ("scsi1", "local-lvm:4", None, Effect::Unknown),
            ("scsi1", "local-lvm:4", Some("network"), Effect::AtNextStart),
            ("sata0", "local-lvm:4", None, Effect::AtNextStart),
            ("ide2", "none,media=cdrom", None, Effect::Unknown),
            ("network", "x", None, Effect::AtNextStart),
        ];
        for (key, value, hotplug, expected) in table {
            let config = match hotplug {
                Some(words) => read().with("hotplug", words),
                None => read(),
            };
            let plan = |running| {
                let patch = QemuPatch::new().set(key, value);
                ConfigPlan::new(&config, patch, running).keys()[0].effect
            };
            assert_eq!(plan(true), expected, "{key} {hotplug:?}");
            assert_eq!(plan(false), Effect::Live, "{key} while off");
        }
    }

    #[test]
    fn a_failed_change_says_which_key_it_was() {
        let patch = QemuPatch::new().set("cores", 4).set("scsi1", "local-lvm:4");
        let plan = ConfigPlan::new(&read(), patch, true);
        let named = |kind| {
            let parameters = BTreeMap::from([("scsi1".to_owned(), "why\n".to_owned())]);
            Error::new(kind, "x").with_parameters(parameters)
        };
        let outcomes = |kind, waiting: &[&str]| {
            let waiting: Vec<String> = waiting.iter().map(|key| (*key).to_owned()).collect();
            let results = after_failure(&plan, &named(kind), &waiting);
            results.into_iter().map(|it| it.outcome).collect::<Vec<_>>()
        };
        assert_eq!(
            outcomes(Kind::HotplugFailed, &["cores", "scsi1"]),
            [
                KeyOutcome::Pending(None),
                KeyOutcome::Pending(Some("why".to_owned()))
            ]
        );
        assert_eq!(
            outcomes(Kind::Parameter, &[]),
            [
                KeyOutcome::Refused("not sent alone: scsi1 refused".to_owned()),
                KeyOutcome::Refused("why".to_owned())
            ]
        );
    }

    #[test]
    fn wishes_and_addresses_that_came_true_are_kept_when_an_option_changes() {
        let wanted = QemuConfig::new()
            .with("scsi0", "local-lvm:8,iothread=1,discard=on")
            .with("net0", "virtio,bridge=vmbr1,firewall=1,tag=20");
        let patch = read().patch_to(&wanted);
        assert_eq!(
            patch.set.text("scsi0").unwrap(),
            "local-lvm:vm-100-disk-0,iothread=1,discard=on,size=8G"
        );
        let net: crate::property::Nic = patch.set.text("net0").unwrap().parse().unwrap();
        assert_eq!(net.mac().as_deref(), Some("BC:24:11:00:00:01"));
        // A volume on another storage is another wish.
        let moved = QemuConfig::new().with("scsi0", "local:8,iothread=1");
        let patch = read().patch_to(&moved);
        assert_eq!(patch.set.text("scsi0").unwrap(), "local:8,iothread=1");
    }
}
