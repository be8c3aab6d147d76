//! Guest ids out of a range, claimed by creating.

use std::collections::BTreeSet;
use std::fmt;
use std::future::Future;
use std::ops::RangeInclusive;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};

use crate::client::Client;
use crate::cluster::ResourceFilter;
use crate::error::{Error, Kind, Result};
use crate::node::Node;
use crate::qemu::{EnsuredQemu, Mark, QemuConfig, check_vmid};
use crate::task::TaskCall;

/// A range of guest ids.
///
/// `GET /cluster/nextid` reserves nothing: of twenty clients that ask it at once, most get the same answer.
/// So an id is ours only once a creation under it succeeded; an id that turns out to be taken is skipped.
/// Clones of a pool share what is reserved within this process; a [`VmidLock`] reserves between processes.
///
/// Example: see [`ensure_qemu`](Self::ensure_qemu).
#[derive(Clone)]
pub struct VmidPool {
    client: Client,
    range: RangeInclusive<u32>,
    first: u32,
    reserved: Arc<Mutex<BTreeSet<u32>>>,
    lock: Option<Arc<dyn VmidLock>>,
}

impl fmt::Debug for VmidPool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("VmidPool")
            .field("range", &self.range)
            .field("first", &self.first)
            .finish_non_exhaustive()
    }
}

/// Which id of a pool is tried first; the others follow in order, and after the last one the lowest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum First {
    /// The lowest.
    #[default]
    Lowest,
    /// Any; processes that share a range then seldom try the same id.
    Random,
    /// This one.
    At(u32),
}

/// What [`VmidLock::claim`] comes to: a claim that lasts until it is dropped, or none if someone else has the id.
pub type Claim<'a> = Pin<Box<dyn Future<Output = Result<Option<Box<dyn Send>>>> + Send + 'a>>;

/// Reserves ids between processes: a lock file, a row in a database, a lease of a cluster.
///
/// It only saves attempts. Without it, processes that try the same id notice when they create.
pub trait VmidLock: Send + Sync {
    /// Claims an id; what it gives is held until the machine is made or failed.
    ///
    /// # Errors
    /// Claims cannot be made now; the creation fails with this.
    fn claim(&self, vmid: u32) -> Claim<'_>;
}

impl Client {
    /// Guest ids of a range, such as `8100..=8199`.
    ///
    /// # Errors
    /// [`Kind::InvalidInput`] if the range is empty or leaves 100 to 999999999.
    pub fn vmid_pool(&self, range: RangeInclusive<u32>) -> Result<VmidPool> {
        check_vmid(*range.start())?;
        check_vmid(*range.end())?;
        if range.is_empty() {
            return Err(Error::invalid("the range of guest ids is empty"));
        }
        Ok(VmidPool {
            client: self.clone(),
            first: *range.start(),
            range,
            reserved: Arc::default(),
            lock: None,
        })
    }
}

impl VmidPool {
    /// Which id is tried first. Default the lowest.
    ///
    /// # Errors
    /// [`Kind::InvalidInput`] if it is outside the range.
    pub fn with_first(mut self, first: First) -> Result<Self> {
        let (start, end) = (*self.range.start(), *self.range.end());
        self.first = match first {
            First::Lowest => start,
            First::Random => {
                let many = u64::from(end - start) + 1;
                let offset = u32::try_from(crate::random::number() % many).unwrap_or(0);
                start + offset
            }
            First::At(vmid) if self.range.contains(&vmid) => vmid,
            First::At(vmid) => {
                return Err(Error::invalid(format!("{vmid} is not in {start} to {end}")));
            }
        };
        Ok(self)
    }

    /// Reserves ids between processes as well.
    #[must_use]
    pub fn with_lock(mut self, lock: impl VmidLock + 'static) -> Self {
        self.lock = Some(Arc::new(lock));
        self
    }

    /// Creates, restores or clones a virtual machine or container under the first free id: `make` is called with an id
    /// and gives the call to make, and again with another one if that id turns out to be taken.
    ///
    /// ```
    /// # #[cfg(feature = "simulator")]
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), proxmox_client::Error> {
    /// use proxmox_client::QemuConfig;
    /// # let client = proxmox_client::simulator::Simulator::lab().connect();
    /// let node = client.node("pve1");
    /// node.create_qemu(8100, QemuConfig::new()).await?;
    /// let ids = client.vmid_pool(8100..=8199)?;
    /// let made = ids.create(|vmid| node.create_qemu(vmid, QemuConfig::new())).await?;
    /// assert_eq!(made.qemu.vmid(), 8101);
    /// # Ok(()) }
    /// # #[cfg(not(feature = "simulator"))] fn main() {}
    /// ```
    ///
    /// # Errors
    /// [`Kind::AlreadyExists`] if the whole range is taken; any other failure of the call.
    pub async fn create<T: Send + 'static>(
        &self,
        mut make: impl FnMut(u32) -> TaskCall<T> + Send,
    ) -> Result<T> {
        let mut taken = self.taken().await?;
        loop {
            let (reserved, _claim) = self.next(&mut taken).await?;
            match make(reserved.vmid).await {
                Err(error) if error.is_already_exists() => {
                    taken.insert(reserved.vmid);
                }
                other => return other,
            }
        }
    }

    /// Makes sure that a machine with this mark is there under some id of the range: one that carries it is found
    /// wherever it is, else one is made on `node`. It may be repeated after any failure.
    ///
    /// ```
    /// # #[cfg(feature = "simulator")]
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), proxmox_client::Error> {
    /// # use proxmox_client::simulator::{Simulator, World};
    /// # use proxmox_client::{First, Mark, QemuConfig};
    /// # let client = Simulator::new(World::lab()).connect();
    /// let pool = client.vmid_pool(8100..=8199)?.with_first(First::At(8150))?;
    /// let mark = Mark::new("lab/worker-1")?;
    /// let config = QemuConfig::new().with_name("worker-1");
    /// let made = pool.ensure_qemu(&client.node("pve1"), &mark, config.clone()).await?;
    /// assert_eq!(made.qemu().vmid(), 8150);
    /// let again = pool.ensure_qemu(&client.node("pve1"), &mark, config).await?;
    /// assert_eq!(again.qemu().vmid(), 8150);
    /// # Ok(()) }
    /// # #[cfg(not(feature = "simulator"))] fn main() {}
    /// ```
    ///
    /// # Errors
    /// [`Kind::AlreadyExists`] if the whole range is taken; any failure of [`Node::ensure_qemu`] but
    /// [`Kind::Foreign`].
    pub async fn ensure_qemu(
        &self,
        node: &Node,
        mark: &Mark,
        config: QemuConfig,
    ) -> Result<EnsuredQemu> {
        let mut taken = self.taken().await?;
        for vmid in taken.iter().copied().filter(|id| self.range.contains(id)) {
            match node.find_marked(vmid, mark).await {
                Ok(Some(found)) => {
                    let there = self.client.node(found.node());
                    return there.ensure_qemu(vmid, mark, config).await;
                }
                // Someone else's, a container, or gone meanwhile.
                Ok(None) => {}
                Err(error) if matches!(error.kind(), Kind::Foreign | Kind::Locked) => {}
                Err(error) => return Err(error),
            }
        }
        loop {
            let (reserved, _claim) = self.next(&mut taken).await?;
            match node.ensure_qemu(reserved.vmid, mark, config.clone()).await {
                Err(error) if matches!(error.kind(), Kind::AlreadyExists | Kind::Foreign) => {
                    taken.insert(reserved.vmid);
                }
                other => return other,
            }
        }
    }

    /// The ids that are taken in the cluster, machines and containers alike.
    async fn taken(&self) -> Result<BTreeSet<u32>> {
        let guests = self.client.resources(Some(ResourceFilter::Vm)).await?;
        Ok(guests.into_iter().filter_map(|guest| guest.vmid).collect())
    }

    /// The next id to try, reserved here and, with a lock, elsewhere.
    async fn next(&self, taken: &mut BTreeSet<u32>) -> Result<(Reserved, Option<Box<dyn Send>>)> {
        loop {
            let reserved = self.reserve(taken)?;
            let Some(lock) = &self.lock else {
                return Ok((reserved, None));
            };
            match lock.claim(reserved.vmid).await? {
                Some(claim) => return Ok((reserved, Some(claim))),
                None => {
                    taken.insert(reserved.vmid);
                }
            }
        }
    }

    fn reserve(&self, taken: &BTreeSet<u32>) -> Result<Reserved> {
        let mut reserved = self.reserved.lock().unwrap_or_else(PoisonError::into_inner);
        let (start, end) = (*self.range.start(), *self.range.end());
        let mut ids = (self.first..=end).chain(start..self.first);
        let free = ids.find(|vmid| !taken.contains(vmid) && !reserved.contains(vmid));
        let vmid = free.ok_or_else(|| {
            Error::new(
                Kind::AlreadyExists,
                format!("all guest ids from {start} to {end} are taken"),
            )
        })?;
        reserved.insert(vmid);
        Ok(Reserved {
            vmid,
            reserved: self.reserved.clone(),
        })
    }
}

/// An id that no other call of this process tries meanwhile.
struct Reserved {
    vmid: u32,
    reserved: Arc<Mutex<BTreeSet<u32>>>,
}

impl Drop for Reserved {
    fn drop(&mut self) {
        self.reserved
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(&self.vmid);
    }
}
