//! Pools and their members.

use std::collections::BTreeSet;

use crate::access::Ensured;
use crate::client::Client;
use crate::cluster::Resource;
use crate::entry::{read, remove};
use crate::error::{Error, Result};
use crate::qemu::Removed;
use crate::scalar::record;
use crate::wire::{Method, Request};

record! {
    /// A pool: `GET /pools`, and with its members `GET /pools/?poolid=…`.
    pub struct PoolInfo {
        required {
            /// Name; a pool below another one is `parent/child`.
            "poolid" id: String,
        }
        optional {
            /// Comment.
            "comment" comment: String,
            /// Guests and storages in it; only when one pool is asked for.
            "members" members: Vec<Resource>,
        }
    }
}

/// A pool.
///
/// ```
/// # #[cfg(feature = "simulator")]
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), proxmox_client::Error> {
/// use proxmox_client::{Ensured, QemuConfig, Removed};
/// # let client = proxmox_client::simulator::Simulator::lab().connect();
/// client.node("pve1").create_qemu(100, QemuConfig::new()).await?;
/// let pool = client.pool("lab");
/// assert_eq!(pool.ensure("Experiments").await?, Ensured::Created);
/// assert_eq!(pool.ensure_guests(&[100]).await?, [100]);
/// assert_eq!(pool.get().await?.unwrap().members.unwrap()[0].vmid, Some(100));
/// assert_eq!(pool.remove_guests(&[100, 101]).await?, [100]);
/// assert_eq!(client.pools().await?[0].id, "lab");
/// assert_eq!(pool.delete().await?, Removed::Removed);
/// # Ok(()) }
/// # #[cfg(not(feature = "simulator"))] fn main() {}
/// ```
#[derive(Debug, Clone)]
pub struct Pool {
    client: Client,
    id: String,
}

impl Client {
    /// All pools, without their members.
    ///
    /// Example: see [`Pool`].
    pub async fn pools(&self) -> Result<Vec<PoolInfo>> {
        self.fetch(Request::new(Method::Get, "/pools", &[])).await
    }

    /// A pool by its name.
    pub fn pool(&self, id: impl Into<String>) -> Pool {
        Pool {
            client: self.clone(),
            id: id.into(),
        }
    }
}

impl Pool {
    fn doing(&self, what: &str) -> String {
        format!("{what} pool {}", self.id)
    }

    fn request(&self, method: Method) -> Request {
        // As a parameter, since a pool's name may hold a slash.
        Request::new(method, "/pools", &[]).with("poolid", self.id.as_str())
    }

    async fn change(&self, request: Request, what: &str) -> Result<()> {
        let done = self.client.request(request).await;
        done.map(|_| ())
            .map_err(|error| error.doing(self.doing(what)))
    }

    /// The pool with its members; none if there is no such pool.
    ///
    /// Example: see [`Pool`].
    pub async fn get(&self) -> Result<Option<PoolInfo>> {
        let what = format!("pool {}", self.id);
        let found: Option<Vec<PoolInfo>> =
            read(&self.client, self.request(Method::Get), &what).await?;
        Ok(found.and_then(|mut found| found.pop()))
    }

    /// Makes sure that it is there.
    ///
    /// Example: see [`Pool`].
    pub async fn ensure(&self, comment: &str) -> Result<Ensured> {
        let Some(known) = self.get().await? else {
            let request = self.request(Method::Post).with("comment", comment);
            return match self.change(request, "making").await {
                Ok(()) => Ok(Ensured::Created),
                // Someone else made it meanwhile.
                Err(error) if error.is_already_exists() => Ok(Ensured::Unchanged),
                Err(error) => Err(error),
            };
        };
        if known.comment.as_deref().unwrap_or_default() == comment {
            return Ok(Ensured::Unchanged);
        }
        let request = self.request(Method::Put).with("comment", comment);
        self.change(request, "changing").await?;
        Ok(Ensured::Updated(vec!["comment".to_owned()]))
    }

    /// Makes sure that these guests are in it. Gives the guests that were added.
    ///
    /// Example: see [`Pool`].
    ///
    /// # Errors
    /// A guest that does not exist, or that another pool has.
    pub async fn ensure_guests(&self, vmids: &[u32]) -> Result<Vec<u32>> {
        self.add(vmids, |request| request).await
    }

    /// Makes sure that these guests are in it, also those that another pool has: they are taken out of that one. Gives the
    /// guests that were added.
    ///
    /// Example: see [`Pool`].
    ///
    /// # Errors
    /// A guest that does not exist.
    pub async fn take_guests(&self, vmids: &[u32]) -> Result<Vec<u32>> {
        self.add(vmids, |request| request.with_flag("allow-move", true))
            .await
    }

    async fn add(&self, vmids: &[u32], how: impl FnOnce(Request) -> Request) -> Result<Vec<u32>> {
        let known = self.get().await?.ok_or_else(|| self.missing())?;
        let inside: BTreeSet<u32> = members(&known).collect();
        let absent: Vec<u32> = vmids
            .iter()
            .copied()
            .filter(|id| !inside.contains(id))
            .collect();
        if !absent.is_empty() {
            let request = self.request(Method::Put).with("vms", joined(&absent));
            self.change(how(request), "adding guests to").await?;
        }
        Ok(absent)
    }

    /// Takes guests out of it, those that are in it. Gives the guests that were.
    ///
    /// Example: see [`Pool`].
    pub async fn remove_guests(&self, vmids: &[u32]) -> Result<Vec<u32>> {
        let known = self.get().await?.ok_or_else(|| self.missing())?;
        let inside: Vec<u32> = members(&known).filter(|id| vmids.contains(id)).collect();
        if !inside.is_empty() {
            let request = self.request(Method::Put).with("vms", joined(&inside));
            self.change(request.with_flag("delete", true), "taking guests out of")
                .await?;
        }
        Ok(inside)
    }

    /// Removes it; it must be empty.
    ///
    /// Example: see [`Pool`].
    ///
    /// # Errors
    /// The first member that is in it.
    pub async fn delete(&self) -> Result<Removed> {
        let what = format!("pool {}", self.id);
        remove(&self.client, self.request(Method::Delete), &what).await
    }

    fn missing(&self) -> Error {
        let text = format!("pool '{}' does not exist", self.id);
        Error::new(crate::Kind::NotFound, text).doing(self.doing("reading"))
    }
}

fn members(pool: &PoolInfo) -> impl Iterator<Item = u32> {
    pool.members
        .iter()
        .flatten()
        .filter_map(|member| member.vmid)
}

fn joined(vmids: &[u32]) -> String {
    let texts: Vec<String> = vmids.iter().map(u32::to_string).collect();
    texts.join(",")
}
