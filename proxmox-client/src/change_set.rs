//! Several changes of machines, planned together and made together.

use std::fmt;

use crate::error::{Error, Kind, Result};
use crate::qemu::{
    ConfigPlan, Grown, KeyOutcome, KeyResult, PlannedKey, Qemu, QemuConfig, QemuPatch,
};
use crate::size::Size;

/// What machines are to be like, to be planned before anything is sent.
///
/// ```
/// # #[cfg(feature = "simulator")]
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), proxmox_client::Error> {
/// # use proxmox_client::simulator::{Simulator, World};
/// # use proxmox_client::{ChangeSet, QemuConfig, Size};
/// # let node = Simulator::new(World::lab()).connect().node("pve1");
/// let config = QemuConfig::new().with_name("web").with("scsi0", "local-lvm:4");
/// let vm = node.create_qemu(100, config).await?.qemu;
/// let changes = ChangeSet::new()
///     .config(&vm, QemuConfig::new().with_cores(4))
///     .disk_size(&vm, "scsi0", Size::gib(8));
/// let plan = changes.plan().await?;
/// assert_eq!(plan.to_string(), "VM 100 on pve1\n  + cores: 4\n  ~ scsi0: size=4G -> 8G");
/// assert!(plan.apply().await.iter().all(|step| step.result.is_ok()));
/// assert!(changes.plan().await?.is_empty());
/// # Ok(()) }
/// # #[cfg(not(feature = "simulator"))] fn main() {}
/// ```
#[derive(Debug, Clone, Default)]
pub struct ChangeSet {
    machines: Vec<Machine>,
}

/// What one machine is to be like; in the order in which it was said.
#[derive(Debug, Clone)]
struct Machine {
    qemu: Qemu,
    wishes: Vec<Wish>,
    sizes: Vec<(String, Size)>,
}

#[derive(Debug, Clone)]
enum Wish {
    Config(QemuConfig),
    Tags(Vec<String>),
    Without(Vec<String>),
}

/// What a [`ChangeSet`] would change.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct ChangePlan {
    steps: Vec<PlannedStep>,
}

/// What would change of one machine.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct PlannedStep {
    qemu: Qemu,
    config: ConfigPlan,
    sizes: Vec<(String, Option<Size>, Size)>,
}

/// What became of the changes of one machine.
#[derive(Debug)]
#[non_exhaustive]
pub struct StepResult {
    /// The machine.
    pub qemu: Qemu,
    /// What became of each key, disks that grew among them; or why nothing more was done to this machine. With
    /// [`Kind::Conflict`](crate::Kind::Conflict) someone else changed it since: plan again.
    pub result: Result<Vec<KeyResult>>,
}

impl ChangeSet {
    /// Nothing to change.
    pub fn new() -> Self {
        Self::default()
    }

    fn of(&mut self, qemu: &Qemu) -> &mut Machine {
        let same =
            |known: &Machine| known.qemu.vmid() == qemu.vmid() && known.qemu.node() == qemu.node();
        let at = match self.machines.iter().position(same) {
            Some(at) => at,
            None => {
                self.machines.push(Machine {
                    qemu: qemu.clone(),
                    wishes: Vec::new(),
                    sizes: Vec::new(),
                });
                self.machines.len() - 1
            }
        };
        &mut self.machines[at]
    }

    /// A machine has everything that a configuration says; other keys stay.
    #[must_use]
    pub fn config(mut self, qemu: &Qemu, wanted: QemuConfig) -> Self {
        self.of(qemu).wishes.push(Wish::Config(wanted));
        self
    }

    /// A machine carries these tags, whatever others it has.
    #[must_use]
    pub fn tags(mut self, qemu: &Qemu, tags: &[&str]) -> Self {
        let tags = tags.iter().map(|tag| (*tag).to_owned()).collect();
        self.of(qemu).wishes.push(Wish::Tags(tags));
        self
    }

    /// A machine is without these keys; disks among them stay as `unusedN`.
    #[must_use]
    pub fn without(mut self, qemu: &Qemu, keys: &[&str]) -> Self {
        let keys = keys.iter().map(|key| (*key).to_owned()).collect();
        self.of(qemu).wishes.push(Wish::Without(keys));
        self
    }

    /// A disk (`scsi0`) has this size at least.
    #[must_use]
    pub fn disk_size(mut self, qemu: &Qemu, slot: &str, size: Size) -> Self {
        self.of(qemu).sizes.push((slot.to_owned(), size));
        self
    }

    /// Reads the machines and says what would change; nothing is sent.
    ///
    /// Example: see [`ChangeSet`].
    ///
    /// # Errors
    /// [`Kind::NotFound`] for a machine or disk that is not there.
    pub async fn plan(&self) -> Result<ChangePlan> {
        let mut steps = Vec::new();
        for machine in &self.machines {
            let step = machine.plan().await?;
            if !step.is_empty() {
                steps.push(step);
            }
        }
        Ok(ChangePlan { steps })
    }
}

/// One patch for all wishes; what was said later holds.
fn patch_for(read: &QemuConfig, wishes: &[Wish]) -> QemuPatch {
    let mut wanted = QemuConfig::new();
    let mut delete: Vec<String> = Vec::new();
    for wish in wishes {
        match wish {
            Wish::Config(config) => {
                for (key, value) in config.values() {
                    wanted = wanted.with(key, value.clone());
                    delete.retain(|gone| gone != key);
                }
            }
            Wish::Tags(tags) => {
                let mut all = match wanted.get("tags") {
                    Some(_) => wanted.tags(),
                    None if delete.iter().any(|gone| gone == "tags") => Vec::new(),
                    None => read.tags(),
                };
                all.extend(tags.iter().cloned());
                wanted = wanted.with_tags(all.iter().map(String::as_str));
                delete.retain(|gone| gone != "tags");
            }
            Wish::Without(keys) => {
                for key in keys {
                    wanted = wanted.without(key);
                    delete.push(key.clone());
                }
            }
        }
    }
    delete.retain(|key| read.get(key).is_some());
    delete.sort();
    delete.dedup();
    let mut patch = read.patch_to(&wanted);
    patch.delete = delete;
    patch
}

impl Machine {
    async fn plan(&self) -> Result<PlannedStep> {
        let read = self.qemu.config().await?;
        let patch = patch_for(&read, &self.wishes);
        let mut sizes = Vec::new();
        for (slot, size) in &self.sizes {
            // A disk that the patch makes has no size yet.
            let made = patch.set.get(slot).is_some();
            let drive = read.drive(slot).transpose()?;
            if drive.is_none() && !made {
                let text = format!("there is no disk {slot}");
                let doing = format!("planning VM {}", self.qemu.vmid());
                return Err(Error::new(Kind::NotFound, text).doing(doing));
            }
            let have = drive.and_then(|drive| drive.size());
            if have.is_none_or(|have| have < *size) {
                sizes.push((slot.clone(), have, *size));
            }
        }
        let running = !patch.is_empty() && self.qemu.status().await?.is_running();
        Ok(PlannedStep {
            qemu: self.qemu.clone(),
            config: ConfigPlan::new(&read, patch, running),
            sizes,
        })
    }
}

impl ChangePlan {
    /// Whether nothing would change.
    pub fn is_empty(&self) -> bool {
        self.steps.is_empty()
    }

    /// What would change, by machine.
    pub fn steps(&self) -> &[PlannedStep] {
        &self.steps
    }

    /// Makes the changes, one machine after another, each under the digest that was read. A machine that fails does not
    /// keep the others from being changed.
    ///
    /// Example: see [`ChangeSet`].
    pub async fn apply(&self) -> Vec<StepResult> {
        let mut results = Vec::new();
        for step in &self.steps {
            results.push(StepResult {
                qemu: step.qemu.clone(),
                result: step.apply().await,
            });
        }
        results
    }
}

impl PlannedStep {
    /// The machine.
    pub fn qemu(&self) -> &Qemu {
        &self.qemu
    }

    /// The keys that would change, sorted.
    pub fn keys(&self) -> &[PlannedKey] {
        self.config.keys()
    }

    /// Disks that would grow: slot, present size if it is known, new size.
    pub fn sizes(&self) -> &[(String, Option<Size>, Size)] {
        &self.sizes
    }

    fn is_empty(&self) -> bool {
        self.config.is_empty() && self.sizes.is_empty()
    }

    async fn apply(&self) -> Result<Vec<KeyResult>> {
        let mut results = self.qemu.apply_plan(&self.config).await?;
        for (slot, _, size) in &self.sizes {
            let grown = self.qemu.grow_disk(slot, *size).await?;
            // A disk grows under the guest; it is never left for later.
            if let Grown::To(_) = grown {
                results.push(KeyResult {
                    key: slot.clone(),
                    outcome: KeyOutcome::Live,
                });
            }
        }
        Ok(results)
    }
}

impl fmt::Display for PlannedStep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "VM {} on {}", self.qemu.vmid(), self.qemu.node())?;
        for key in self.keys() {
            write!(f, "\n  {key}")?;
        }
        for (slot, have, size) in &self.sizes {
            match have {
                Some(have) => write!(f, "\n  ~ {slot}: size={have} -> {size}")?,
                None => write!(f, "\n  ~ {slot}: size={size}")?,
            }
        }
        Ok(())
    }
}

impl fmt::Display for ChangePlan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, step) in self.steps.iter().enumerate() {
            let gap = if index == 0 { "" } else { "\n" };
            write!(f, "{gap}{step}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wishes_add_up_and_the_later_one_holds() {
        let read = QemuConfig::new()
            .with("cores", 2)
            .with("tags", "a;b")
            .with("vga", "serial0");
        let tags = |tags: &[&str]| Wish::Tags(tags.iter().map(|tag| (*tag).to_owned()).collect());
        let without = |key: &str| Wish::Without(vec![key.to_owned()]);
        let patch = patch_for(
            &read,
            &[
                Wish::Config(QemuConfig::new().with("cores", 4).with("vga", "std")),
                tags(&["c"]),
                tags(&["d"]),
                without("vga"),
                without("none"),
                Wish::Config(QemuConfig::new().with("cores", 2)),
            ],
        );
        assert_eq!(patch.set.values().len(), 1, "{patch:?}");
        assert_eq!(patch.set.text("tags").as_deref(), Some("a;b;c;d"));
        assert_eq!(patch.delete, ["vga"]);
        let again = patch_for(&read, &[without("tags"), tags(&["z"])]);
        assert_eq!(again.set.text("tags").as_deref(), Some("z"));
        assert!(again.delete.is_empty());
    }
}
