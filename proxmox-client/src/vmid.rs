//! Guest ids out of a range, claimed by creating.

use std::collections::BTreeSet;
use std::ops::RangeInclusive;
use std::sync::{Arc, Mutex, PoisonError};

use crate::client::Client;
use crate::error::{Error, Kind, Result};
use crate::qemu::{Created, check_vmid};
use crate::task::TaskCall;

/// A range of guest ids.
///
/// `GET /cluster/nextid` reserves nothing: of twenty clients that ask it at once, most get the same answer.
/// So an id is ours only once a creation under it succeeded; an id that turns out to be taken is skipped.
/// Clones of a `VmIds` share what is reserved within this process.
#[derive(Debug, Clone)]
pub struct VmIds {
    client: Client,
    range: RangeInclusive<u32>,
    reserved: Arc<Mutex<BTreeSet<u32>>>,
}

impl Client {
    /// Guest ids of a range, such as `8100..=8199`.
    ///
    /// # Errors
    /// [`Kind::InvalidInput`] if the range is empty or leaves 100 to 999999999.
    pub fn vm_ids(&self, range: RangeInclusive<u32>) -> Result<VmIds> {
        check_vmid(*range.start())?;
        check_vmid(*range.end())?;
        if range.is_empty() {
            return Err(Error::invalid("the range of guest ids is empty"));
        }
        Ok(VmIds {
            client: self.clone(),
            range,
            reserved: Arc::default(),
        })
    }
}

impl VmIds {
    /// Creates or clones a machine under the first free id: `make` is called with an id and gives the call to
    /// make, and again with another one if that id turns out to be taken.
    ///
    /// # Errors
    /// [`Kind::AlreadyExists`] if the whole range is taken; any other failure of the call.
    pub async fn create(
        &self,
        mut make: impl FnMut(u32) -> TaskCall<Created> + Send,
    ) -> Result<Created> {
        let mut taken: BTreeSet<u32> = self
            .client
            .resources(Some("vm"))
            .await?
            .into_iter()
            .filter_map(|resource| resource.vmid)
            .collect();
        loop {
            let claim = self.reserve(&taken)?;
            match make(claim.vmid).await {
                Err(error) if error.is_already_exists() => {
                    taken.insert(claim.vmid);
                }
                other => return other,
            }
        }
    }

    fn reserve(&self, taken: &BTreeSet<u32>) -> Result<Claim> {
        let mut reserved = self.reserved.lock().unwrap_or_else(PoisonError::into_inner);
        let free = self
            .range
            .clone()
            .find(|vmid| !taken.contains(vmid) && !reserved.contains(vmid));
        let vmid = free.ok_or_else(|| {
            Error::new(
                Kind::AlreadyExists,
                format!(
                    "all guest ids from {} to {} are taken",
                    self.range.start(),
                    self.range.end()
                ),
            )
        })?;
        reserved.insert(vmid);
        Ok(Claim {
            vmid,
            reserved: self.reserved.clone(),
        })
    }
}

/// An id that no other call of this process tries meanwhile.
struct Claim {
    vmid: u32,
    reserved: Arc<Mutex<BTreeSet<u32>>>,
}

impl Drop for Claim {
    fn drop(&mut self) {
        self.reserved
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(&self.vmid);
    }
}
