//! Rights: what one may do, what a refusal says is missing, and what a plan needs.
//!
//! A program that builds machines asks before it begins:
//!
//! ```
//! # #[cfg(feature = "simulator")]
//! # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), proxmox_client::Error> {
//! use proxmox_client::property::{Drive, Nic};
//! use proxmox_client::rights::Needs;
//! use proxmox_client::QemuConfig;
//! # use proxmox_client::simulator::{Simulator, World};
//! # let world = World::lab()
//! #     .with_user("ci@pve", "password").with_token("ci@pve!build", "s")
//! #     .with_role_for("ci@pve", "PVEVMAdmin", "/vms")
//! #     .with_role_for("ci@pve", "PVEDatastoreUser", "/storage/local-lvm");
//! # let client = Simulator::new(world).builder().token("ci@pve!build=s").build()?;
//! let wanted = QemuConfig::new()
//!     .with_memory_mib(2048)
//!     .with_drive("scsi0", Drive::allocate("local-lvm", 8))
//!     .with_net(0, Nic::virtio("vmbr0"));
//! let needs = Needs::new().with_qemu(100, &wanted).with_power(100);
//! let missing = client.access().missing(&needs).await?;
//! let told: Vec<String> = missing.iter().map(ToString::to_string).collect();
//! assert_eq!(told, ["SDN.Use on /sdn/zones/localnetwork/vmbr0"]);
//! # Ok(()) }
//! # #[cfg(not(feature = "simulator"))] fn main() {}
//! ```

mod missing;
mod need;
mod reserved;

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use crate::access::{Access, text};
use crate::error::Result;
use crate::wire::{Method, Request};

pub use missing::{MissingRight, Needed};
pub use need::Needs;
pub use reserved::{Reserved, ReservedTo};

/// What a user or token may do: an answer of `GET /access/permissions`.
///
/// It names the paths on which somebody was given a role, those that pools name, and the tops of the tree, as far as there
/// are privileges on them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Permissions(BTreeMap<String, BTreeMap<String, bool>>);

impl Permissions {
    fn read(answer: Map<String, Value>) -> Self {
        let paths = answer.into_iter().map(|(path, names)| {
            let names = match names {
                Value::Object(names) => names,
                _ => Map::new(),
            };
            let names = names.into_iter().map(|(name, below)| {
                let below = text(&below) == "1";
                (name, below)
            });
            (path, names.collect())
        });
        Self(paths.collect())
    }

    /// The paths that were told.
    pub fn paths(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }

    /// The privileges that were told for a path, with whether each holds below it too.
    pub fn on(&self, path: &str) -> impl Iterator<Item = (&str, bool)> {
        let names = self.0.get(path).into_iter().flatten();
        names.map(|(name, below)| (name.as_str(), *below))
    }

    /// Whether there is a privilege on a path. What the answer does not name inherits from the nearest path above it that
    /// the answer names.
    ///
    /// A role such as `NoAccess` that leaves no privilege on a path leaves the path out of the answer: to be sure of a single
    /// path, ask for it with [`Access::permissions_on`].
    pub fn allows(&self, path: &str, privilege: &str) -> bool {
        let mut at = path;
        loop {
            if let Some(names) = self.0.get(at) {
                let below = names.get(privilege);
                return below.is_some_and(|below| *below || at == path);
            }
            at = match at.rfind('/') {
                Some(0) if at != "/" => "/",
                Some(end) if end > 0 => &at[..end],
                _ => return false,
            };
        }
    }
}

impl Access {
    async fn ask(&self, request: Request, doing: &str) -> Result<Permissions> {
        let answer = self.client().fetch(request).await;
        let answer = answer.map_err(|error| error.doing(doing))?;
        Ok(Permissions::read(answer))
    }

    /// What the caller may do.
    ///
    /// ```
    /// # #[cfg(feature = "simulator")]
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), proxmox_client::Error> {
    /// # use proxmox_client::simulator::{Simulator, World};
    /// # let world = World::lab()
    /// #     .with_user("ci@pve", "password").with_token("ci@pve!build", "s")
    /// #     .with_role_for("ci@pve", "PVEVMAdmin", "/vms");
    /// # let client = Simulator::new(world).builder().token("ci@pve!build=s").build()?;
    /// let may = client.access().permissions().await?;
    /// assert!(may.allows("/vms/100", "VM.Allocate"));
    /// assert!(!may.allows("/storage/local", "Datastore.Audit"));
    /// # Ok(()) }
    /// # #[cfg(not(feature = "simulator"))] fn main() {}
    /// ```
    pub async fn permissions(&self) -> Result<Permissions> {
        let request = Request::new(Method::Get, "/access/permissions", &[]);
        self.ask(request, "reading the caller's rights").await
    }

    /// What someone may do: `user@realm`, or `user@realm!token`.
    ///
    /// ```
    /// # #[cfg(feature = "simulator")]
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), proxmox_client::Error> {
    /// # use proxmox_client::simulator::{Simulator, World};
    /// # let world = World::lab()
    /// #     .with_user("ci@pve", "password").with_role_for("ci@pve", "PVEAuditor", "/nodes");
    /// # let client = Simulator::new(world).connect();
    /// let may = client.access().permissions_of("ci@pve").await?;
    /// assert!(may.allows("/nodes/pve1", "Sys.Audit"));
    /// # Ok(()) }
    /// # #[cfg(not(feature = "simulator"))] fn main() {}
    /// ```
    ///
    /// # Errors
    /// [`Kind::Permission`](crate::Kind::Permission) without `Sys.Audit` on `/access`, unless it is oneself or one of
    /// one's own tokens.
    pub async fn permissions_of(&self, who: &str) -> Result<Permissions> {
        let request = Request::new(Method::Get, "/access/permissions", &[]).with("userid", who);
        self.ask(request, &format!("reading the rights of {who}"))
            .await
    }

    /// What the caller may do on one path, whether or not anybody was given a role there.
    ///
    /// ```
    /// # #[cfg(feature = "simulator")]
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), proxmox_client::Error> {
    /// # use proxmox_client::simulator::{Simulator, World};
    /// # let client = Simulator::new(World::lab()).connect();
    /// let may = client.access().permissions_on("/vms/100").await?;
    /// assert!(may.allows("/vms/100", "VM.Backup"));
    /// # Ok(()) }
    /// # #[cfg(not(feature = "simulator"))] fn main() {}
    /// ```
    pub async fn permissions_on(&self, path: &str) -> Result<Permissions> {
        let request = Request::new(Method::Get, "/access/permissions", &[]).with("path", path);
        self.ask(request, &format!("reading the rights on {path}"))
            .await
    }

    /// Which of these rights the caller lacks; each path is asked for.
    ///
    /// Example: see [the module](crate::rights).
    pub async fn missing(&self, needs: &Needs) -> Result<Vec<MissingRight>> {
        let mut missing = Vec::new();
        for (path, privileges) in needs.iter() {
            let have = self.permissions_on(path).await?;
            let absent = privileges.filter(|name| !have.allows(path, name));
            let absent: Vec<String> = absent.map(str::to_owned).collect();
            if !absent.is_empty() {
                missing.push(MissingRight::new(path, absent, Needed::All));
            }
        }
        Ok(missing)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_not_named_inherits_from_what_is_named_above_it() {
        let answer = json!({
            "/vms": { "VM.Audit": 1, "VM.Clone": 0 },
            "/vms/100": { "VM.Console": 0 },
            "/": { "Sys.Audit": "1" },
        });
        let Value::Object(answer) = answer else {
            panic!("no object")
        };
        let may = Permissions::read(answer);
        let table = [
            ("/vms", "VM.Audit", true),
            ("/vms", "VM.Clone", true),
            ("/vms/101", "VM.Audit", true),
            ("/vms/101", "VM.Clone", false),
            ("/vms/100", "VM.Console", true),
            ("/vms/100", "VM.Audit", false),
            ("/nodes/pve1", "Sys.Audit", true),
            ("/vms/101", "Sys.Audit", false),
            ("/", "Sys.Audit", true),
            ("/", "VM.Audit", false),
            ("", "Sys.Audit", false),
        ];
        for (path, privilege, allowed) in table {
            assert_eq!(may.allows(path, privilege), allowed, "{path} {privilege}");
        }
        assert!(!Permissions::default().allows("/vms", "VM.Audit"));
    }
}
