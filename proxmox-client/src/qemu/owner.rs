//! Machines that carry a mark: what is ours is told from what is someone else's.

use std::fmt;

use crate::error::{Error, Kind, Result};
use crate::guest::{self, GuestConfig};
use crate::node::Node;
use crate::qemu::{CloneOptions, ConfigUpdate, MigrateOptions, Qemu, QemuConfig};

/// A line in the description of a machine or container that says whose it is.
///
/// "It exists already" proves nothing: ids are taken by whoever comes first. A machine that is made with a mark can be
/// recognised by it after a call whose end was not seen, and in the next run of a program that knows the mark. The line
/// names the machine's id, so that a clone, which inherits the description, does not pass for the original.
///
/// ```
/// use proxmox_client::{Mark, QemuConfig};
/// let mark = Mark::new("lab/worker-1")?;
/// let ours = mark.put_on(100, QemuConfig::new().with_description("Worker"));
/// assert!(mark.is_on(100, &ours));
/// assert!(!mark.is_on(101, &ours), "a copy of it is not ours");
/// # Ok::<(), proxmox_client::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Mark(String);

/// What the line begins with.
const PREFIX: &str = "owned-by: ";

impl Mark {
    /// A mark of letters, digits and `._-/`, 100 at most: what means the same machine in every run, such as
    /// `lab/worker-1`.
    ///
    /// # Errors
    /// [`Kind::InvalidInput`] for anything else.
    pub fn new(text: impl Into<String>) -> Result<Self> {
        let text = text.into();
        let good = (1..=100).contains(&text.len())
            && text
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || b"._-/".contains(&byte));
        if good {
            Ok(Self(text))
        } else {
            Err(Error::invalid(format!(
                "`{}` is no mark: letters, digits and ._-/, 100 at most",
                text.escape_debug()
            )))
        }
    }

    /// A mark that nobody else has.
    pub fn random() -> Self {
        Self(crate::random::token())
    }

    /// Its text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    fn line(&self, vmid: u32) -> String {
        format!("{PREFIX}{} (VM {vmid})", self.0)
    }

    /// Whether a guest of this id and configuration carries it.
    pub fn is_on(&self, vmid: u32, config: &impl GuestConfig) -> bool {
        let description = config.map().get("description");
        let description = description.and_then(|text| text.as_str()).unwrap_or("");
        let line = self.line(vmid);
        description.lines().any(|have| have.trim() == line)
    }

    /// The configuration of a guest of this id with the mark at the end of its description, in place of any other.
    #[must_use]
    pub fn put_on<C: GuestConfig>(&self, vmid: u32, config: C) -> C {
        let description = config.map().get("description");
        let description = self.below(vmid, description.and_then(|text| text.as_str()));
        config.with_key("description", description.into())
    }

    /// A description with the mark below it.
    pub(crate) fn below(&self, vmid: u32, description: Option<&str>) -> String {
        let lines = description.unwrap_or_default().lines();
        let others: Vec<&str> = lines
            .filter(|line| !line.trim().starts_with(PREFIX))
            .collect();
        match others.join("\n").trim_end() {
            "" => self.line(vmid),
            text => format!("{text}\n\n{}", self.line(vmid)),
        }
    }
}

impl fmt::Display for Mark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What became of making sure that a machine is there.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum EnsuredQemu {
    /// It was made, or what an earlier call had begun was brought to its end.
    Created(Qemu),
    /// It was there, and like that.
    Unchanged(Qemu),
    /// It was there, and these keys were changed.
    Updated {
        /// The machine.
        qemu: Qemu,
        /// Keys in effect now.
        live: Vec<String>,
        /// Keys in effect after the next start.
        pending: Vec<String>,
    },
}

impl EnsuredQemu {
    /// The machine, at the node where it is.
    pub fn qemu(&self) -> &Qemu {
        match self {
            Self::Created(qemu) | Self::Unchanged(qemu) | Self::Updated { qemu, .. } => qemu,
        }
    }
}

/// How to clone to another node although the disks are on local storages.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct CloneToNode {
    target: String,
    clone: CloneOptions,
    storage: Option<String>,
}

impl CloneToNode {
    /// A full clone, on storages of the same names at the other node.
    pub fn new(target: impl Into<String>) -> Self {
        Self {
            target: target.into(),
            clone: CloneOptions::new().with_full(true),
            storage: None,
        }
    }

    /// Names the clone.
    #[must_use]
    pub fn with_name(mut self, name: &str) -> Self {
        self.clone = self.clone.with_name(name);
        self
    }

    /// Clones this snapshot instead of the present state.
    #[must_use]
    pub fn with_snapshot(mut self, name: &str) -> Self {
        self.clone = self.clone.with_snapshot(name);
        self
    }

    /// Storage of the disks at this node, until they are moved.
    #[must_use]
    pub fn with_storage_here(mut self, name: &str) -> Self {
        self.clone = self.clone.with_storage(name);
        self
    }

    /// Storage of the disks at the other node.
    #[must_use]
    pub fn with_storage(mut self, name: &str) -> Self {
        self.storage = Some(name.to_owned());
        self
    }
}

impl Node {
    /// Makes sure that a machine with this mark and everything that `config` says is there under an id; found by
    /// the mark wherever in the cluster it is. It may be repeated after any failure.
    ///
    /// ```
    /// # #[cfg(feature = "simulator")]
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), proxmox_client::Error> {
    /// # use proxmox_client::simulator::{Simulator, World};
    /// # use proxmox_client::{EnsuredQemu, Kind, Mark, QemuConfig};
    /// # let node = Simulator::new(World::lab()).connect().node("pve1");
    /// let mark = Mark::new("lab/worker-1")?;
    /// let config = QemuConfig::new().with_name("worker-1");
    /// let first = node.ensure_qemu(100, &mark, config.clone()).await?;
    /// assert!(matches!(first, EnsuredQemu::Created(_)));
    /// let second = node.ensure_qemu(100, &mark, config.clone()).await?;
    /// assert!(matches!(second, EnsuredQemu::Unchanged(_)));
    /// let other = node.ensure_qemu(100, &Mark::new("lab/worker-2")?, config).await;
    /// assert_eq!(other.unwrap_err().kind(), Kind::Foreign);
    /// # Ok(()) }
    /// # #[cfg(not(feature = "simulator"))] fn main() {}
    /// ```
    ///
    /// # Errors
    /// [`Kind::Foreign`] if the id belongs to a machine without the mark, which is left alone; [`Kind::Locked`] if a
    /// task that made it died; any other failure of making or changing it.
    pub async fn ensure_qemu(
        &self,
        vmid: u32,
        mark: &Mark,
        config: QemuConfig,
    ) -> Result<EnsuredQemu> {
        let wanted = mark.put_on(vmid, config);
        if let Some(qemu) = self.find_marked(vmid, mark).await? {
            return Ok(match qemu.ensure_config(&wanted).await? {
                ConfigUpdate::Unchanged => EnsuredQemu::Unchanged(qemu),
                ConfigUpdate::Updated { live, pending } => EnsuredQemu::Updated {
                    qemu,
                    live,
                    pending,
                },
            });
        }
        match self.create_qemu(vmid, wanted).await {
            Ok(created) => Ok(EnsuredQemu::Created(created.qemu)),
            Err(error) => self
                .prove_made(vmid, mark, error)
                .await
                .map(EnsuredQemu::Created),
        }
    }

    /// The machine of an id if it carries a mark, wherever it is; none if there is no machine of that id. While it is
    /// being made or moved, the end of that is waited for.
    ///
    /// ```
    /// # #[cfg(feature = "simulator")]
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), proxmox_client::Error> {
    /// use proxmox_client::{Kind, Mark, QemuConfig};
    /// # let node = proxmox_client::simulator::Simulator::lab().connect().node("pve1");
    /// let mark = Mark::new("lab/worker-1")?;
    /// node.ensure_qemu(100, &mark, QemuConfig::new()).await?;
    /// assert_eq!(node.find_marked(100, &mark).await?.unwrap().vmid(), 100);
    /// assert!(node.find_marked(101, &mark).await?.is_none());
    /// let other = node.find_marked(100, &Mark::new("lab/worker-2")?).await;
    /// assert_eq!(other.unwrap_err().kind(), Kind::Foreign);
    /// # Ok(()) }
    /// # #[cfg(not(feature = "simulator"))] fn main() {}
    /// ```
    ///
    /// # Errors
    /// [`Kind::Foreign`] if there is one without the mark; [`Kind::Locked`] if the task that made or moved it died.
    pub async fn find_marked(&self, vmid: u32, mark: &Mark) -> Result<Option<Qemu>> {
        guest::find_marked(self.qemu(vmid), mark).await
    }

    /// After a call that failed: the machine, if the mark proves that the call made it; else the failure.
    pub(crate) async fn prove_made(&self, vmid: u32, mark: &Mark, error: Error) -> Result<Qemu> {
        guest::prove_made(self.qemu(vmid), mark, error).await
    }
}

impl Qemu {
    /// Makes sure that a clone of it with this mark is there under an id. It may be repeated after any failure.
    ///
    /// ```
    /// # #[cfg(feature = "simulator")]
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), proxmox_client::Error> {
    /// use proxmox_client::{CloneOptions, EnsuredQemu, Mark};
    /// # let node = proxmox_client::simulator::Simulator::lab().connect().node("pve1");
    /// # let vm = node.create_qemu(100, proxmox_client::QemuConfig::new()).await?.qemu;
    /// vm.make_template().await?;
    /// let mark = Mark::new("lab/worker-1")?;
    /// let options = CloneOptions::new().with_name("worker-1");
    /// let first = vm.ensure_clone(101, &mark, options.clone()).await?;
    /// assert!(matches!(first, EnsuredQemu::Created(_)));
    /// let again = vm.ensure_clone(101, &mark, options).await?;
    /// assert!(matches!(again, EnsuredQemu::Unchanged(_)));
    /// # Ok(()) }
    /// # #[cfg(not(feature = "simulator"))] fn main() {}
    /// ```
    ///
    /// # Errors
    /// As those of [`Node::ensure_qemu`].
    pub async fn ensure_clone(
        &self,
        vmid: u32,
        mark: &Mark,
        options: CloneOptions,
    ) -> Result<EnsuredQemu> {
        let node = self.client.node(options.target().unwrap_or(&self.node));
        if let Some(qemu) = node.find_marked(vmid, mark).await? {
            return Ok(EnsuredQemu::Unchanged(qemu));
        }
        let description = match options.description() {
            Some(text) => Some(text.to_owned()),
            None => self.config().await?.description(),
        };
        let description = mark.below(vmid, description.as_deref());
        let options = options.with_description(&description);
        match self.clone_to(vmid, options).await {
            Ok(created) => Ok(EnsuredQemu::Created(created.qemu)),
            Err(error) => node
                .prove_made(vmid, mark, error)
                .await
                .map(EnsuredQemu::Created),
        }
    }

    /// Makes sure that a clone of it with this mark is at another node, although the disks are on local storages: cloned
    /// here, then migrated with its disks. Repeated after any failure it goes on where it was; the mark tells what an
    /// earlier call began.
    ///
    /// ```
    /// # #[cfg(feature = "simulator")]
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), proxmox_client::Error> {
    /// use proxmox_client::simulator::{NodeSpec, Simulator, World};
    /// use proxmox_client::{CloneToNode, Mark, QemuConfig};
    /// # let world = World::lab().with_node(NodeSpec::new("pve2", 8, 32 << 30));
    /// # let client = Simulator::new(world).connect();
    /// let config = QemuConfig::new().with("scsi0", "local-lvm:4");
    /// let source = client.node("pve1").create_qemu(100, config).await?.qemu;
    /// let how = CloneToNode::new("pve2").with_name("web-2");
    /// let made = source.clone_to_node(101, &Mark::new("lab/web-2")?, how).await?;
    /// assert_eq!(made.qemu().node(), "pve2");
    /// assert!(made.qemu().exists().await?);
    /// # Ok(()) }
    /// # #[cfg(not(feature = "simulator"))] fn main() {}
    /// ```
    ///
    /// # Errors
    /// As those of [`Node::ensure_qemu`]; [`Kind::PowerState`] if someone started the clone before it was moved.
    pub async fn clone_to_node(
        &self,
        vmid: u32,
        mark: &Mark,
        how: CloneToNode,
    ) -> Result<EnsuredQemu> {
        let clone = self.ensure_clone(vmid, mark, how.clone.clone()).await?;
        let qemu = clone.qemu();
        if qemu.node() == how.target {
            return Ok(clone);
        }
        let mut options = MigrateOptions::new().with_local_disks();
        if let Some(storage) = &how.storage {
            options = options.with_storage(storage);
        }
        match qemu.migrate(&how.target, options).await {
            Ok(there) => Ok(EnsuredQemu::Created(there)),
            Err(error) if guest::may_have_happened(&error) => {
                let target = self.client.node(&how.target);
                let there = target.prove_made(vmid, mark, error).await?;
                if there.node() == how.target {
                    return Ok(EnsuredQemu::Created(there));
                }
                let text = format!("it is still on {}", there.node());
                let doing = there.doing("migrating");
                Err(Error::new(Kind::TaskUnknown, text).doing(doing))
            }
            Err(error) => Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_is_a_line_of_its_own() {
        let mark = Mark::new("lab/web-1").unwrap();
        let described = |text: &str| QemuConfig::new().with_description(text);
        let line = "owned-by: lab/web-1 (VM 100)";
        for yes in [
            line.to_owned(),
            format!("# Web\n\n{line}\n"),
            format!("a\r\n{line}\r\n"),
        ] {
            assert!(mark.is_on(100, &described(&yes)), "{yes:?}");
        }
        for no in [
            "",
            "owned-by: lab/web-10 (VM 100)",
            "owned-by: lab/web-1 (VM 101)",
            "see owned-by: lab/web-1 (VM 100)",
        ] {
            assert!(!mark.is_on(100, &described(no)), "{no:?}");
        }
        let marked = mark.put_on(100, described("Web"));
        let text = format!("Web\n\n{line}");
        assert_eq!(marked.description(), Some(text));
        assert_eq!(mark.put_on(100, marked.clone()), marked);
        let copied = mark.put_on(101, marked);
        assert!(!mark.is_on(100, &copied), "one mark is enough");
        for bad in ["", "a b", "a\nb", &"x".repeat(101)] {
            assert_eq!(Mark::new(bad).unwrap_err().kind(), Kind::InvalidInput);
        }
        assert_ne!(Mark::random(), Mark::random());
    }
}
