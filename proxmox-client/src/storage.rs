//! Storages and what they hold.

mod definition;
mod scan;
mod settings;
mod upload;

use crate::error::{Error, Kind, Result};
use crate::node::Node;
use crate::qemu::Removed;
use crate::scalar::record;
use crate::task::TaskCall;
use crate::wire::{Method, Request};

pub use definition::{EncryptionKey, Storage, StorageDefinition, StorageKind, StorageMade};
pub use scan::{
    CifsShare, Datastore, IscsiTarget, NfsExport, Scan, ScanLogin, ThinPool, VolumeGroup, ZfsPool,
};
pub use settings::{NewStorage, StorageSettings};
pub use upload::Upload;

record! {
    /// An entry of `GET /nodes/{node}/storage`.
    pub struct StorageStatus {
        required {
            /// Name.
            "storage" storage: String,
        }
        optional {
            /// `dir`, `lvmthin`, `zfspool`, `nfs`, …
            "type" kind: String,
            /// What it may hold, separated by commas: `images`, `iso`, `import`, `snippets`, …
            "content" content: String,
            /// Whether the node can use it now.
            "active" active: bool,
            /// Whether it is turned on.
            "enabled" enabled: bool,
            /// Whether all nodes see the same.
            "shared" shared: bool,
            /// Size in bytes.
            "total" total: u64,
            /// In use, in bytes.
            "used" used: u64,
            /// Free, in bytes.
            "avail" available: u64,
            /// Share in use.
            "used_fraction" used_fraction: f64,
        }
    }
}

impl StorageStatus {
    /// Whether it may hold `images`, `iso`, `import`, …
    pub fn holds(&self, content: &str) -> bool {
        self.content
            .as_deref()
            .unwrap_or_default()
            .split(',')
            .any(|have| have == content)
    }
}

record! {
    /// An entry of `GET /nodes/{node}/storage/{storage}/content`.
    pub struct Volume {
        required {
            /// Identifier, such as `local:import/talos.qcow2`.
            "volid" volid: String,
        }
        optional {
            /// `images`, `iso`, `import`, `vztmpl`, `backup`, `snippets`, `rootdir`.
            "content" content: String,
            /// `raw`, `qcow2`, `iso`, …
            "format" format: String,
            /// Size in bytes.
            "size" size: u64,
            /// Bytes in use on the storage.
            "used" used: u64,
            /// When it was made, in seconds since 1970.
            "ctime" created_at: u64,
            /// The guest that it belongs to.
            "vmid" vmid: u32,
            /// Base volume of a linked clone.
            "parent" parent: String,
            /// Notes; lists give their first line.
            "notes" notes: String,
            /// Whether a backup is kept from being removed.
            "protected" protected: bool,
            /// Of a backup: `qemu` or `lxc`.
            "subtype" subtype: String,
            /// Of an encrypted backup: fingerprint of the key, or `1`.
            "encrypted" encrypted: String,
        }
    }
}

/// A storage as one node sees it.
///
/// Example: see [`download_url`](Self::download_url), [`upload`](Self::upload) and [`backups`](Self::backups).
#[derive(Debug, Clone)]
pub struct NodeStorage {
    node: Node,
    name: String,
}

/// A file to be fetched by the node itself.
///
/// ```
/// # #[cfg(feature = "simulator")]
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), proxmox_client::Error> {
/// use proxmox_client::Download;
/// # let node = proxmox_client::simulator::Simulator::lab().connect().node("pve1");
/// let url = "https://example.test/debian.qcow2";
/// let image = Download::new(url, "import", "debian.qcow2").with_checksum("sha256", &"ab".repeat(32));
/// node.storage("local").download_url(image).await?;
/// assert_eq!(node.storage("local").content(Some("import")).await?.len(), 1);
/// # Ok(()) }
/// # #[cfg(not(feature = "simulator"))] fn main() {}
/// ```
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Download {
    url: String,
    file_name: String,
    content: String,
    checksum: Option<(String, String)>,
    compression: Option<String>,
    verify_certificates: bool,
}

impl Download {
    /// `content` is `iso`, `vztmpl` or `import`; the file name's extension must fit it.
    pub fn new(url: &str, content: &str, file_name: &str) -> Self {
        Self {
            url: url.to_owned(),
            file_name: file_name.to_owned(),
            content: content.to_owned(),
            checksum: None,
            compression: None,
            verify_certificates: true,
        }
    }

    /// Refuses the file unless it has this checksum (`sha256`, `sha512`, … and hexadecimal digits).
    #[must_use]
    pub fn with_checksum(mut self, algorithm: &str, checksum: &str) -> Self {
        self.checksum = Some((algorithm.to_owned(), checksum.to_owned()));
        self
    }

    /// Unpacks the file after the download: `gz`, `lzo`, `zst`, `bz2`.
    #[must_use]
    pub fn with_compression(mut self, kind: &str) -> Self {
        self.compression = Some(kind.to_owned());
        self
    }

    /// Takes the file from a server whose certificate nobody vouches for.
    #[must_use]
    pub fn accept_any_certificate(mut self) -> Self {
        self.verify_certificates = false;
        self
    }
}

/// What became of a download.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Downloaded {
    /// The file was fetched; its volume id.
    Fetched(String),
    /// A file of that name was there already and was left alone; its volume id.
    AlreadyThere(String),
}

impl NodeStorage {
    pub(crate) fn new(node: Node, name: String) -> Self {
        Self { node, name }
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    pub(crate) fn node(&self) -> &Node {
        &self.node
    }

    pub(crate) fn request(&self, method: Method, below: &str, more: &[&str]) -> Result<Request> {
        crate::node::check_name(self.node.name())?;
        check_name(&self.name)?;
        let template = format!("/nodes/{{node}}/storage/{{storage}}{below}");
        let values = [&[self.node.name(), self.name.as_str()], more].concat();
        Ok(Request::new(method, &template, &values))
    }

    /// State, size and what is free.
    ///
    /// ```
    /// # #[cfg(feature = "simulator")]
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), proxmox_client::Error> {
    /// # let node = proxmox_client::simulator::Simulator::lab().connect().node("pve1");
    /// let status = node.storage("local").status().await?;
    /// assert_eq!((status.active, status.total), (Some(true), Some(100 << 30)));
    /// # Ok(()) }
    /// # #[cfg(not(feature = "simulator"))] fn main() {}
    /// ```
    pub async fn status(&self) -> Result<StorageStatus> {
        // The single answer does not repeat the name.
        let mut data: serde_json::Map<String, serde_json::Value> = self
            .node
            .client()
            .fetch(self.request(Method::Get, "/status", &[])?)
            .await?;
        data.insert("storage".to_owned(), self.name.clone().into());
        serde_json::from_value(data.into()).map_err(|error| {
            Error::new(
                Kind::Decode,
                "the storage's state does not have the promised form",
            )
            .with_source(error)
        })
    }

    /// What it holds; a kind (`images`, `import`, …) narrows the list.
    ///
    /// Example: see [`download_url`](Self::download_url).
    pub async fn content(&self, kind: Option<&str>) -> Result<Vec<Volume>> {
        let mut request = self.request(Method::Get, "/content", &[])?;
        if let Some(kind) = kind {
            request.params_mut().push("content", kind);
        }
        self.node.client().fetch(request).await
    }

    /// Removes a volume (`local:import/talos.qcow2`).
    ///
    /// Example: see [`download_url`](Self::download_url).
    pub fn delete_volume(&self, volid: &str) -> TaskCall<Removed> {
        let request = self.request(Method::Delete, "/content/{volume}", &[volid]);
        let doing = format!("removing volume {volid}");
        TaskCall::new(self.node.client().clone(), doing, request, |report| {
            report.check().map(|_| Removed::Removed)
        })
    }

    /// Lets the node fetch a file from the internet. A file of that name that is there already is left alone.
    ///
    /// ```
    /// # #[cfg(feature = "simulator")]
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), proxmox_client::Error> {
    /// use proxmox_client::{Download, Downloaded, Removed};
    /// # let node = proxmox_client::simulator::Simulator::lab().connect().node("pve1");
    /// let local = node.storage("local");
    /// let image = Download::new("https://example.test/talos.iso", "iso", "talos.iso");
    /// let Downloaded::Fetched(volid) = local.download_url(image.clone()).await? else { unreachable!() };
    /// assert_eq!(volid, "local:iso/talos.iso");
    /// assert!(matches!(local.download_url(image).await?, Downloaded::AlreadyThere(_)));
    /// assert_eq!(local.content(Some("iso")).await?[0].volid, volid);
    /// assert_eq!(local.delete_volume(&volid).await?, Removed::Removed);
    /// # Ok(()) }
    /// # #[cfg(not(feature = "simulator"))] fn main() {}
    /// ```
    ///
    /// # Errors
    /// A task failure if the address does not answer or the checksum differs.
    pub fn download_url(&self, download: Download) -> TaskCall<Downloaded> {
        let volid = format!("{}:{}/{}", self.name, download.content, download.file_name);
        let doing = format!(
            "downloading {} to {} on {}",
            download.file_name,
            self.name,
            self.node.name()
        );
        let request = self
            .request(Method::Post, "/download-url", &[])
            .map(|request| {
                let mut request = request
                    .with("content", download.content)
                    .with("filename", download.file_name)
                    .with("url", download.url);
                if let Some((algorithm, checksum)) = download.checksum {
                    request = request
                        .with("checksum-algorithm", algorithm)
                        .with("checksum", checksum);
                }
                if let Some(kind) = download.compression {
                    request = request.with("compression", kind);
                }
                if !download.verify_certificates {
                    request = request.with_flag("verify-certificates", false);
                }
                request
            });
        TaskCall::new(
            self.node.client().clone(),
            doing,
            request,
            move |report| match report.check() {
                Ok(_) => Ok(Downloaded::Fetched(volid)),
                Err(error) if error.is_already_exists() => Ok(Downloaded::AlreadyThere(volid)),
                Err(error) => Err(error),
            },
        )
    }
}

fn check_name(name: &str) -> Result<()> {
    let good = name.len() >= 2
        && name.starts_with(|c: char| c.is_ascii_alphabetic())
        && name.ends_with(|c: char| c.is_ascii_alphanumeric())
        && name
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b));
    if good {
        Ok(())
    } else {
        Err(Error::invalid(format!(
            "`{}` is not a storage's name",
            name.escape_debug()
        )))
    }
}
