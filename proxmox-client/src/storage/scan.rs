//! What a node finds on servers and on itself that could become a storage.

use secrecy::{ExposeSecret, SecretString};

use crate::error::Result;
use crate::node::Node;
use crate::scalar::record;
use crate::wire::{Method, Request};

record! {
    /// An export of an NFS server.
    pub struct NfsExport {
        required {
            /// Path.
            "path" path: String,
        }
        optional {
            /// Who may mount it.
            "options" options: String,
        }
    }
}

record! {
    /// A share of an SMB server.
    pub struct CifsShare {
        required {
            /// Name.
            "share" share: String,
        }
        optional {
            /// What the server says about it.
            "description" description: String,
        }
    }
}

record! {
    /// A target of an iSCSI portal.
    pub struct IscsiTarget {
        required {
            /// Name.
            "target" target: String,
        }
        optional {
            /// Addresses at which it is reached.
            "portal" portal: String,
        }
    }
}

record! {
    /// A volume group of a node.
    pub struct VolumeGroup {
        required {
            /// Name.
            "vg" name: String,
        }
        optional {}
    }
}

record! {
    /// A thin pool of a volume group.
    pub struct ThinPool {
        required {
            /// Name.
            "lv" name: String,
        }
        optional {}
    }
}

record! {
    /// A ZFS pool or data set of a node.
    pub struct ZfsPool {
        required {
            /// Name.
            "pool" name: String,
        }
        optional {}
    }
}

record! {
    /// A data store of a Proxmox Backup Server.
    pub struct Datastore {
        required {
            /// Name.
            "store" name: String,
        }
        optional {
            /// Comment.
            "comment" comment: String,
        }
    }
}

/// Who asks a server for what it offers.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct ScanLogin {
    username: String,
    password: SecretString,
    domain: Option<String>,
    fingerprint: Option<String>,
    port: Option<u16>,
}

impl ScanLogin {
    /// A user (or token of a Backup Server) and the password (or secret).
    pub fn new(username: &str, password: impl Into<SecretString>) -> Self {
        Self {
            username: username.to_owned(),
            password: password.into(),
            domain: None,
            fingerprint: None,
            port: None,
        }
    }

    /// Domain of an SMB user.
    #[must_use]
    pub fn with_domain(mut self, domain: &str) -> Self {
        self.domain = Some(domain.to_owned());
        self
    }

    /// SHA-256 fingerprint of a Backup Server's certificate.
    #[must_use]
    pub fn with_fingerprint(mut self, fingerprint: &str) -> Self {
        self.fingerprint = Some(fingerprint.to_owned());
        self
    }

    /// Port of a Backup Server. Default 8007.
    #[must_use]
    pub fn with_port(mut self, port: u16) -> Self {
        self.port = Some(port);
        self
    }

    fn put_into(&self, request: Request) -> Request {
        let request = request
            .with("username", self.username.as_str())
            .with("password", self.password.expose_secret());
        let more = [
            ("domain", self.domain.clone()),
            ("fingerprint", self.fingerprint.clone()),
            ("port", self.port.map(|port| port.to_string())),
        ];
        more.into_iter()
            .fold(request, |request, (name, value)| match value {
                Some(value) => request.with(name, value),
                None => request,
            })
    }
}

/// What this node finds that could become a storage.
///
/// ```
/// # #[cfg(feature = "simulator")]
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), proxmox_client::Error> {
/// use proxmox_client::simulator::{Simulator, World};
/// use proxmox_client::ScanLogin;
/// # let world = World::lab()
/// #     .with_scan("nfs", "nas", r#"[{"path":"/tank","options":"*"}]"#)
/// #     .with_scan("cifs", "nas", r#"[{"share":"media"}]"#)
/// #     .with_scan("pbs", "backup", r#"[{"store":"main"}]"#)
/// #     .with_scan("iscsi", "nas:3260", r#"[{"target":"iqn.2003-01.org.example:a","portal":"nas:3260"}]"#)
/// #     .with_scan("lvm", "", r#"[{"vg":"pve"}]"#)
/// #     .with_scan("lvmthin", "pve", r#"[{"lv":"data"}]"#)
/// #     .with_scan("zfs", "", r#"[{"pool":"rpool"}]"#);
/// # let client = Simulator::new(world).connect();
/// let scan = client.node("pve1").scan();
/// assert_eq!(scan.nfs("nas").await?[0].path, "/tank");
/// assert_eq!(scan.cifs("nas", None).await?[0].share, "media");
/// assert_eq!(scan.iscsi("nas:3260").await?[0].target, "iqn.2003-01.org.example:a");
/// let login = ScanLogin::new("root@pam", "secret");
/// assert_eq!(scan.backup_server("backup", &login).await?[0].name, "main");
/// assert_eq!(scan.lvm().await?[0].name, "pve");
/// assert_eq!(scan.lvm_thin("pve").await?[0].name, "data");
/// assert_eq!(scan.zfs().await?[0].name, "rpool");
/// # Ok(()) }
/// # #[cfg(not(feature = "simulator"))] fn main() {}
/// ```
#[derive(Debug, Clone)]
pub struct Scan(Node);

impl Node {
    /// Looks for what could become a storage.
    ///
    /// Example: see [`Scan`].
    pub fn scan(&self) -> Scan {
        Scan(self.clone())
    }
}

impl Scan {
    fn request(&self, kind: &str) -> Result<Request> {
        self.0.request(Method::Get, &format!("/scan/{kind}"))
    }

    async fn ask<T: serde::de::DeserializeOwned>(&self, what: &str, request: Request) -> Result<T> {
        let found = self.0.client().fetch(request).await;
        found.map_err(|error| error.doing(format!("looking for {what} from {}", self.0.name())))
    }

    /// The exports of an NFS server.
    ///
    /// Example: see [`Scan`].
    pub async fn nfs(&self, server: &str) -> Result<Vec<NfsExport>> {
        let request = self.request("nfs")?.with("server", server);
        self.ask(&format!("exports of {server}"), request).await
    }

    /// The shares of an SMB server; without a login those that guests see.
    ///
    /// Example: see [`Scan`].
    pub async fn cifs(&self, server: &str, login: Option<&ScanLogin>) -> Result<Vec<CifsShare>> {
        let request = self.request("cifs")?.with("server", server);
        let request = match login {
            Some(login) => login.put_into(request),
            None => request,
        };
        self.ask(&format!("shares of {server}"), request).await
    }

    /// The targets behind an iSCSI portal.
    ///
    /// Example: see [`Scan`].
    pub async fn iscsi(&self, portal: &str) -> Result<Vec<IscsiTarget>> {
        let request = self.request("iscsi")?.with("portal", portal);
        self.ask(&format!("targets of {portal}"), request).await
    }

    /// The node's volume groups.
    ///
    /// Example: see [`Scan`].
    pub async fn lvm(&self) -> Result<Vec<VolumeGroup>> {
        self.ask("volume groups", self.request("lvm")?).await
    }

    /// The thin pools of a volume group.
    ///
    /// Example: see [`Scan`].
    pub async fn lvm_thin(&self, volume_group: &str) -> Result<Vec<ThinPool>> {
        let request = self.request("lvmthin")?.with("vg", volume_group);
        self.ask(&format!("thin pools of {volume_group}"), request)
            .await
    }

    /// The node's ZFS pools.
    ///
    /// Example: see [`Scan`].
    pub async fn zfs(&self) -> Result<Vec<ZfsPool>> {
        self.ask("ZFS pools", self.request("zfs")?).await
    }

    /// The data stores of a Proxmox Backup Server that a user may see.
    ///
    /// Example: see [`Scan`].
    pub async fn backup_server(&self, server: &str, login: &ScanLogin) -> Result<Vec<Datastore>> {
        let request = login.put_into(self.request("pbs")?.with("server", server));
        self.ask(&format!("data stores of {server}"), request).await
    }
}
