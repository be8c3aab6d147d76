//! A few files in memory as one backup: configurations, secrets, a database dump. They never touch a disk.

use std::collections::BTreeMap;
use std::fmt;
use std::io::Read as _;
use std::sync::{Arc, Mutex, PoisonError};

use sha2::{Digest, Sha256};
use tokio::io::AsyncWrite;
use zeroize::{Zeroize, Zeroizing};

use crate::commands::BackupReport;
use crate::error::{Error, ErrorKind, Result};
use crate::repository::Repository;
use crate::secret::Secret;
use crate::snapshot::Snapshot;

/// Files in memory that belong together and become one snapshot.
///
/// They are stored as one tar archive with the bundle's name, so that `restic dump latest /NAME.tar | tar x` gets them
/// back without this crate. Archives of equal contents are equal byte for byte, whenever they are made.
#[derive(Clone)]
pub struct Bundle {
    name: String,
    files: BTreeMap<String, Secret>,
}

impl fmt::Debug for Bundle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sizes = self
            .files
            .iter()
            .map(|(path, content)| (path, content.expose().len()));
        f.debug_struct("Bundle")
            .field("name", &self.name)
            .field("sizes", &sizes.collect::<BTreeMap<_, _>>())
            .finish()
    }
}

/// What `backup_bundle` found or did.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum BundleBackup {
    /// A snapshot was made.
    Created(Box<BackupReport>),
    /// The newest snapshot of this bundle holds the same contents.
    Unchanged(Box<Snapshot>),
}

impl BundleBackup {
    /// The first eight digits of the snapshot's id.
    #[must_use]
    pub fn short_id(&self) -> &str {
        match self {
            Self::Created(report) => report.short_id().unwrap_or(""),
            Self::Unchanged(snapshot) => snapshot.short(),
        }
    }
}

/// What a comparison of a bundle with its backup found. The backup is good if nothing is missing, different or extra.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct BundleProof {
    /// Files that came back with the same hash.
    pub same: Vec<String>,
    /// Files that came back with another content.
    pub different: Vec<String>,
    /// Files that did not come back.
    pub missing: Vec<String>,
    /// Files that came back and are not in the bundle.
    pub extra: Vec<String>,
    /// Bytes that were read back.
    pub bytes: u64,
}

impl BundleProof {
    /// Whether the backup is good.
    #[must_use]
    pub fn is_good(&self) -> bool {
        self.different.is_empty() && self.missing.is_empty() && self.extra.is_empty()
    }
}

impl Bundle {
    /// An empty bundle. The name becomes the file name in the snapshot (`/NAME.tar`) and a tag.
    #[must_use]
    pub fn new(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            files: BTreeMap::new(),
        }
    }

    /// Adds a file, or replaces it. The path is relative, with `/`; the content is treated as a secret.
    #[must_use]
    pub fn file(mut self, path: impl Into<String>, content: impl Into<Vec<u8>>) -> Self {
        self.files.insert(path.into(), Secret::new(content));
        self
    }

    /// The name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Path, size and SHA-256 (hexadecimal) of every file: enough to prove a restore later without keeping the contents.
    #[must_use]
    pub fn manifest(&self) -> BTreeMap<String, (u64, String)> {
        self.files
            .iter()
            .map(|(path, content)| {
                let content = content.expose();
                (
                    path.clone(),
                    (content.len() as u64, hex(&Sha256::digest(content))),
                )
            })
            .collect()
    }

    /// A tag that depends on paths and contents alone: two bundles are equal if their tags are.
    #[must_use]
    pub fn content_tag(&self) -> String {
        let mut hash = Sha256::new();
        for (path, content) in &self.files {
            for part in [path.as_bytes(), content.expose()] {
                hash.update((part.len() as u64).to_le_bytes());
                hash.update(part);
            }
        }
        format!("content-{}", &hex(&hash.finalize())[..32])
    }

    fn check(&self) -> Result<()> {
        let bad = |text: String| Err(Error::new(ErrorKind::InvalidInput, text).doing("bundle"));
        if self.files.is_empty() {
            return bad(format!("bundle {:?} has no files", self.name));
        }
        if self.name.is_empty() || self.name.contains(['/', ',', '\0']) {
            return bad(format!("{:?} cannot be a file name and a tag", self.name));
        }
        for path in self.files.keys() {
            if path.split('/').any(|part| matches!(part, "" | "." | "..")) || path.contains('\0') {
                return bad(format!("{path:?} is not a plain relative path"));
            }
        }
        Ok(())
    }

    fn archive(&self) -> Result<Vec<u8>> {
        self.check()?;
        let failed = |error| Error::io("the archive could not be made", error);
        let mut builder = tar::Builder::new(Vec::new());
        for (path, content) in &self.files {
            let content = content.expose();
            let mut header = tar::Header::new_gnu();
            header.set_size(content.len() as u64);
            header.set_mode(0o600);
            header.set_entry_type(tar::EntryType::Regular);
            builder
                .append_data(&mut header, path, content)
                .map_err(failed)?;
        }
        builder.into_inner().map_err(failed)
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

impl Repository {
    /// The newest snapshot of this bundle, whatever its contents.
    ///
    /// # Errors
    ///
    /// What can stop a repository from opening.
    pub async fn latest_bundle(&self, bundle: &Bundle) -> Result<Option<Snapshot>> {
        let mut snapshots = self.snapshots().tag(bundle.name()).await?;
        snapshots.sort_by_key(|snapshot| snapshot.time);
        Ok(snapshots.pop())
    }

    /// Backs up a bundle under this host name, unless the newest snapshot of it holds the same contents.
    ///
    /// Safe to repeat, also after it was killed at any point: at worst one more snapshot of the same contents is made.
    ///
    /// ```
    /// # #[cfg(feature = "simulator")]
    /// # tokio::runtime::Runtime::new().unwrap().block_on(async {
    /// # use restic_wrapper::{Bundle, BundleBackup, Location, Restic, simulator::Simulator};
    /// # let simulator = Simulator::new();
    /// # let repository = Restic::simulated(&simulator).repository(Location::local("/r"), "pw!");
    /// repository.ensure().await?;
    /// let bundle = Bundle::new("production")
    ///     .file("etcd/snapshot.db", b"the state".to_vec())
    ///     .file("machines/cp1.yaml", "machine: {}\n");
    ///
    /// let first = repository.backup_bundle(&bundle, "production", &["cluster"]).await?;
    /// assert!(matches!(first, BundleBackup::Created(_)));
    /// let again = repository.backup_bundle(&bundle, "production", &["cluster"]).await?;
    /// assert!(matches!(again, BundleBackup::Unchanged(_)));
    /// assert!(repository.prove_bundle(first.short_id(), &bundle).await?.is_good());
    /// # Ok::<(), restic_wrapper::Error>(())
    /// # }).unwrap();
    /// ```
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidInput`] for a bundle without files or with paths that are not plain; what a backup can fail
    /// for.
    pub async fn backup_bundle(
        &self,
        bundle: &Bundle,
        host: &str,
        tags: &[&str],
    ) -> Result<BundleBackup> {
        let archive = bundle.archive()?;
        let content = bundle.content_tag();
        if let Some(snapshot) = self.latest_bundle(bundle).await?
            && snapshot.has_tag(&content)
            && snapshot.hostname == host
        {
            return Ok(BundleBackup::Unchanged(Box::new(snapshot)));
        }
        let mut backup = self
            .backup_bytes(format!("{}.tar", bundle.name()), archive)
            .host(host)
            .tag(bundle.name())
            .tag(&content);
        for tag in tags {
            backup = backup.tag(tag);
        }
        Ok(BundleBackup::Created(Box::new(backup.await?)))
    }

    /// Reads a bundle back and compares every file's hash with the bundle in memory. Nothing is written to a disk.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::NotFound`] if there is no such snapshot; [`ErrorKind::Damaged`] if the archive cannot be read.
    pub async fn prove_bundle(&self, snapshot: &str, bundle: &Bundle) -> Result<BundleProof> {
        self.prove_manifest(snapshot, bundle.name(), &bundle.manifest())
            .await
    }

    /// As [`Repository::prove_bundle`], against a manifest that was kept from an earlier time.
    ///
    /// # Errors
    ///
    /// As [`Repository::prove_bundle`].
    pub async fn prove_manifest(
        &self,
        snapshot: &str,
        name: &str,
        manifest: &BTreeMap<String, (u64, String)>,
    ) -> Result<BundleProof> {
        let files = self.read_bundle(snapshot, name).await?;
        let mut proof = BundleProof::default();
        for (path, (size, hash)) in manifest {
            match files.get(path) {
                None => proof.missing.push(path.clone()),
                Some(content) => {
                    let content = content.expose();
                    proof.bytes += content.len() as u64;
                    if content.len() as u64 == *size && hex(&Sha256::digest(content)) == *hash {
                        proof.same.push(path.clone());
                    } else {
                        proof.different.push(path.clone());
                    }
                }
            }
        }
        proof.extra = files
            .keys()
            .filter(|path| !manifest.contains_key(*path))
            .cloned()
            .collect();
        Ok(proof)
    }

    /// Reads the files of a bundle back into memory.
    ///
    /// # Errors
    ///
    /// As [`Repository::prove_bundle`].
    pub async fn read_bundle(
        &self,
        snapshot: &str,
        name: &str,
    ) -> Result<BTreeMap<String, Secret>> {
        let sink = MemorySink::default();
        self.dump(snapshot, format!("/{name}.tar"), sink.clone())
            .await?;
        let bytes = sink.take();
        let damaged = |error: std::io::Error| {
            Error::new(
                ErrorKind::Damaged,
                format!("the archive /{name}.tar is not whole"),
            )
            .with_source(error)
            .doing("reading a bundle back")
        };
        let mut files = BTreeMap::new();
        let mut archive = tar::Archive::new(bytes.as_slice());
        for entry in archive.entries().map_err(damaged)? {
            let mut entry = entry.map_err(damaged)?;
            let path = entry
                .path()
                .map_err(damaged)?
                .to_string_lossy()
                .into_owned();
            let mut content = Vec::new();
            entry.read_to_end(&mut content).map_err(damaged)?;
            files.insert(path, Secret::new(content));
        }
        Ok(files)
    }
}

/// Collects the output of `dump`; wiped when dropped.
#[derive(Clone, Default)]
struct MemorySink(Arc<Mutex<Vec<u8>>>);

impl MemorySink {
    fn take(&self) -> Zeroizing<Vec<u8>> {
        Zeroizing::new(std::mem::take(
            &mut *self.0.lock().unwrap_or_else(PoisonError::into_inner),
        ))
    }
}

impl Drop for MemorySink {
    fn drop(&mut self) {
        if Arc::strong_count(&self.0) == 1 {
            self.0
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .zeroize();
        }
    }
}

impl AsyncWrite for MemorySink {
    fn poll_write(
        self: std::pin::Pin<&mut Self>,
        _: &mut std::task::Context<'_>,
        bytes: &[u8],
    ) -> std::task::Poll<std::io::Result<usize>> {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .extend_from_slice(bytes);
        std::task::Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(
        self: std::pin::Pin<&mut Self>,
        _: &mut std::task::Context<'_>,
    ) -> std::task::Poll<std::io::Result<()>> {
        std::task::Poll::Ready(Ok(()))
    }

    fn poll_shutdown(
        self: std::pin::Pin<&mut Self>,
        _: &mut std::task::Context<'_>,
    ) -> std::task::Poll<std::io::Result<()>> {
        std::task::Poll::Ready(Ok(()))
    }
}
