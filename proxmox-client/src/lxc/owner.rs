//! Containers that carry a mark: what is ours is told from what is someone else's.

use crate::error::Result;
use crate::guest::{self, ConfigUpdate};
use crate::lxc::{Lxc, NewLxc};
use crate::node::Node;
use crate::qemu::{CloneOptions, Mark};

/// What became of making sure that a container is there.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum EnsuredLxc {
    /// It was made, or what an earlier call had begun was brought to its end.
    Created(Lxc),
    /// It was there, and like that.
    Unchanged(Lxc),
    /// It was there, and these keys were changed.
    Updated {
        /// The container.
        lxc: Lxc,
        /// Keys in effect now.
        live: Vec<String>,
        /// Keys in effect after the next start.
        pending: Vec<String>,
    },
}

impl EnsuredLxc {
    /// The container, at the node where it is.
    pub fn lxc(&self) -> &Lxc {
        match self {
            Self::Created(lxc) | Self::Unchanged(lxc) | Self::Updated { lxc, .. } => lxc,
        }
    }
}

impl Node {
    /// Makes sure that a container with this mark and everything that the configuration of `new` says is there under an
    /// id; found by the mark wherever in the cluster it is. What `new` gives once, such as a password, is given to a
    /// container that is made, not to one that is there. It may be repeated after any failure.
    ///
    /// ```
    /// # #[cfg(feature = "simulator")]
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), proxmox_client::Error> {
    /// # use proxmox_client::simulator::{Simulator, World};
    /// # use proxmox_client::{EnsuredLxc, Kind, LxcConfig, Mark, NewLxc};
    /// # let template = "local:vztmpl/debian-13-standard_13.1-2_amd64.tar.zst";
    /// # let node = Simulator::new(World::lab().with_volume(template, 130 << 20)).connect().node("pve1");
    /// let mark = Mark::new("lab/dns")?;
    /// let new = NewLxc::new(template, LxcConfig::new().with_hostname("dns"));
    /// let first = node.ensure_lxc(200, &mark, new.clone()).await?;
    /// assert!(matches!(first, EnsuredLxc::Created(_)));
    /// let second = node.ensure_lxc(200, &mark, new.clone()).await?;
    /// assert!(matches!(second, EnsuredLxc::Unchanged(_)));
    /// let other = node.ensure_lxc(200, &Mark::new("lab/proxy")?, new).await;
    /// assert_eq!(other.unwrap_err().kind(), Kind::Foreign);
    /// # Ok(()) }
    /// # #[cfg(not(feature = "simulator"))] fn main() {}
    /// ```
    ///
    /// # Errors
    /// [`Kind::Foreign`](crate::Kind::Foreign) if the id belongs to a container without the mark, which is left alone,
    /// [`Kind::AlreadyExists`](crate::Kind::AlreadyExists) if it belongs to a virtual machine;
    /// [`Kind::Locked`](crate::Kind::Locked) if a task that made it died; any other failure of making or changing it.
    pub async fn ensure_lxc(&self, vmid: u32, mark: &Mark, new: NewLxc) -> Result<EnsuredLxc> {
        let wanted = mark.put_on(vmid, new.config().clone());
        if let Some(lxc) = guest::find_marked(self.lxc(vmid), mark).await? {
            return Ok(match lxc.ensure_config(&wanted).await? {
                ConfigUpdate::Unchanged => EnsuredLxc::Unchanged(lxc),
                ConfigUpdate::Updated { live, pending } => {
                    EnsuredLxc::Updated { lxc, live, pending }
                }
            });
        }
        let made = match self.create_lxc(vmid, new.with_config(wanted)).await {
            Ok(created) => created.lxc,
            Err(error) => guest::prove_made(self.lxc(vmid), mark, error).await?,
        };
        Ok(EnsuredLxc::Created(made))
    }
}

impl Lxc {
    /// Makes sure that a clone of it with this mark is there under an id. It may be repeated after any failure.
    ///
    /// ```
    /// # #[cfg(feature = "simulator")]
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), proxmox_client::Error> {
    /// # use proxmox_client::LxcConfig;
    /// # use proxmox_client::simulator::{Simulator, World};
    /// use proxmox_client::{CloneOptions, EnsuredLxc, Mark};
    /// # let ct = LxcConfig::new().with("rootfs", "local-lvm:vm-200-disk-0,size=4G");
    /// # let node = Simulator::new(World::lab().with_container("pve1", 200, &ct)).connect().node("pve1");
    /// let dns = node.lxc(200);
    /// let mark = Mark::new("lab/dns-2")?;
    /// let first = dns.ensure_clone(201, &mark, CloneOptions::new().with_name("dns-2")).await?;
    /// assert!(matches!(first, EnsuredLxc::Created(_)));
    /// let again = dns.ensure_clone(201, &mark, CloneOptions::new().with_name("dns-2")).await?;
    /// assert!(matches!(again, EnsuredLxc::Unchanged(_)));
    /// # Ok(()) }
    /// # #[cfg(not(feature = "simulator"))] fn main() {}
    /// ```
    ///
    /// # Errors
    /// As those of [`Node::ensure_lxc`].
    pub async fn ensure_clone(
        &self,
        vmid: u32,
        mark: &Mark,
        options: CloneOptions,
    ) -> Result<EnsuredLxc> {
        let node = self.client.node(options.target().unwrap_or(&self.node));
        if let Some(lxc) = guest::find_marked(node.lxc(vmid), mark).await? {
            return Ok(EnsuredLxc::Unchanged(lxc));
        }
        let description = match options.description() {
            Some(text) => Some(text.to_owned()),
            None => self.config().await?.description(),
        };
        let description = mark.below(vmid, description.as_deref());
        let options = options.with_description(&description);
        let made = match self.clone_to(vmid, options).await {
            Ok(created) => created.lxc,
            Err(error) => guest::prove_made(node.lxc(vmid), mark, error).await?,
        };
        Ok(EnsuredLxc::Created(made))
    }
}
