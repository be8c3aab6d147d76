//! Snippets: cloud-init files and hook scripts on a storage, which the interface can list but not upload.

use std::fmt;
use std::sync::Arc;

use serde_json::{Map, Value};
use tokio::sync::OnceCell;

use super::Ssh;
use super::files::{self, Fault, Written};
use super::target::SshTarget;
use crate::error::{Error, Kind, Result};
use crate::qemu::Removed;
use crate::storage::NodeStorage;
use crate::wire::{Method, Request};

/// The snippets of a storage, reached over SSH at one of its nodes.
///
/// Every call is whole or did not happen, also when its future is dropped: a file is written beside its place, its
/// size is checked, and then it is renamed.
///
/// ```no_run
/// # async fn run() -> Result<(), proxmox_client::Error> {
/// use proxmox_client::ssh::{HostKey, SnippetPut, Ssh, SshTarget};
/// # let client = proxmox_client::Client::builder().endpoint("192.0.2.10").build()?;
/// let known = HostKey::known_hosts("/home/me/.ssh/known_hosts");
/// let ssh = Ssh::new(SshTarget::new("192.0.2.10", known).with_agent_from_env());
/// let snippets = client.node("pve1").storage("local").snippets(&ssh);
/// println!("they lie in {}", snippets.folder().await?);
/// let text = "#cloud-config\npackages: [nginx]\n";
/// snippets.put("web.yaml", text).await?;
/// assert!(matches!(snippets.put("web.yaml", text).await?, SnippetPut::Unchanged(_)));
/// assert_eq!(snippets.read("web.yaml").await?.as_deref(), Some(text.as_bytes()));
/// assert_eq!(snippets.list().await?[0].volid, "local:snippets/web.yaml");
/// snippets.delete("web.yaml").await?;
/// # Ok(()) }
/// ```
#[derive(Clone)]
pub struct Snippets {
    storage: NodeStorage,
    ssh: Ssh,
    mode: u32,
    folder: Arc<OnceCell<String>>,
}

impl fmt::Debug for Snippets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Snippets")
            .field("storage", &self.storage.name())
            .field("ssh", &self.ssh)
            .finish_non_exhaustive()
    }
}

/// A snippet.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Snippet {
    /// Name of the file.
    pub name: String,
    /// Volume id, such as `local:snippets/user.yaml`.
    pub volid: String,
    /// Size in bytes.
    pub size: u64,
}

/// What became of writing a snippet; each with its volume id, such as `local:snippets/user.yaml`.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum SnippetPut {
    /// It was not there.
    Created(String),
    /// It was there with this content, and was left alone.
    Unchanged(String),
    /// It was there with another content.
    Updated(String),
}

impl SnippetPut {
    /// The volume id, as `cicustom` and `hookscript` want it.
    pub fn volid(&self) -> &str {
        match self {
            Self::Created(volid) | Self::Unchanged(volid) | Self::Updated(volid) => volid,
        }
    }
}

impl NodeStorage {
    /// Its snippets, reached over SSH at this node.
    ///
    /// ```no_run
    /// # async fn run(client: proxmox_client::Client) -> Result<(), proxmox_client::Error> {
    /// use proxmox_client::QemuConfig;
    /// use proxmox_client::ssh::{HostKey, Ssh, SshTarget};
    /// let pve1 = HostKey::known_hosts("/home/me/.ssh/known_hosts");
    /// let ssh = Ssh::new(SshTarget::new("192.0.2.10", pve1).with_agent_from_env());
    /// let node = client.node("pve1");
    /// let snippets = node.storage("local").snippets(&ssh);
    /// let user = snippets.put("web.yaml", "#cloud-config\npackages: [nginx]\n").await?;
    /// let wanted = QemuConfig::new().with_cloud_init_files(&format!("user={}", user.volid()));
    /// node.qemu(8101).ensure_config(&wanted).await?;
    /// # Ok(()) }
    /// ```
    pub fn snippets(&self, ssh: &Ssh) -> Snippets {
        Snippets {
            storage: self.clone(),
            ssh: ssh.clone(),
            mode: 0o644,
            folder: Arc::default(),
        }
    }
}

impl Snippets {
    /// The mode of files that are written from now on. Default 0644; 0600 keeps secrets from other users of the node.
    #[must_use]
    pub fn with_mode(mut self, mode: u32) -> Self {
        self.mode = mode & 0o7777;
        self
    }

    /// The folder on the node, instead of asking the interface for it, which needs `Datastore.Allocate` on the
    /// storage.
    #[must_use]
    pub fn with_folder(mut self, path: impl Into<String>) -> Self {
        self.folder = Arc::new(OnceCell::new_with(Some(path.into())));
        self
    }

    /// The folder on the node, from the storage's settings.
    ///
    /// Example: see [`Snippets`].
    ///
    /// # Errors
    /// [`Kind::NotConfigured`] if the storage holds no snippets, has no folder or is not active on the node;
    /// [`Kind::Permission`] without `Datastore.Allocate` on it.
    pub async fn folder(&self) -> Result<&str> {
        let ask = || async {
            let client = self.storage.node().client();
            let name = self.storage.name();
            // Reading the state makes the node mount the storage and make its folders.
            let status = self.storage.status().await?;
            if status.active == Some(false) {
                let node = self.storage.node().name();
                return Err(not_configured(format!("it is not active on {node}")));
            }
            let request = Request::new(Method::Get, "/storage/{storage}", &[name]);
            folder_of(&client.fetch(request).await?)
        };
        let asked = self.folder.get_or_try_init(ask).await;
        asked.map(String::as_str).map_err(|error| {
            let name = self.storage.name();
            error.doing(format!("finding the snippets of storage {name}"))
        })
    }

    /// Writes a snippet, unless it is there with this content.
    ///
    /// The name is made of letters, digits, `.`, `_` and `-`, begins with a letter or digit and has 200 characters
    /// at most.
    ///
    /// Example: see [`Snippets`].
    ///
    /// # Errors
    /// [`Kind::InvalidInput`] for another name; [`Kind::Permission`] naming the path and the right that is missing;
    /// [`Kind::NotFound`] if the folder is not there; [`Kind::Connect`], [`Kind::HostKey`] and
    /// [`Kind::Authentication`] of the session.
    pub async fn put(&self, name: &str, content: impl AsRef<[u8]>) -> Result<SnippetPut> {
        let path = self.path(name).await?;
        let token = crate::random::token();
        let folder = path.strip_suffix(name).unwrap_or_default();
        let temporary = format!("{folder}.{name}.{token}.tmp");
        let (mode, content) = (self.mode, content.as_ref().to_vec());
        let place = path.clone();
        let written = self
            .on_node("writing", &path, move |files| {
                files::put(files, &place, &temporary, &content, mode)
            })
            .await?;
        let volid = self.volid(name);
        Ok(match written {
            Written::Created => SnippetPut::Created(volid),
            Written::Unchanged => SnippetPut::Unchanged(volid),
            Written::Updated => SnippetPut::Updated(volid),
        })
    }

    /// The content of a snippet; none if there is none of that name.
    ///
    /// Example: see [`Snippets`].
    ///
    /// # Errors
    /// [`Kind::InvalidInput`] if it has more than 16 MiB, [`Kind::Permission`], and those of the session.
    pub async fn read(&self, name: &str) -> Result<Option<Vec<u8>>> {
        const MOST: u64 = 16 << 20;
        let path = self.path(name).await?;
        let place = path.clone();
        let found = self
            .on_node("reading", &path, move |files| match files.size(&place)? {
                None => Ok(None),
                Some(size) if size > MOST => {
                    Err(Fault::Other(format!("{size} bytes are more than {MOST}")))
                }
                Some(size) => files.read(&place, size.max(1)).map(Some),
            })
            .await?;
        Ok(found)
    }

    /// The snippets that are there, by name.
    ///
    /// Example: see [`Snippets`].
    ///
    /// # Errors
    /// [`Kind::NotFound`] if the folder is not there, [`Kind::Permission`], and those of the session.
    pub async fn list(&self) -> Result<Vec<Snippet>> {
        let folder = self.folder().await?.to_owned();
        let place = folder.clone();
        let mut found = self
            .on_node("listing", &folder, move |files| files.list(&place))
            .await?;
        // What begins with a dot is a file on its way.
        found.retain(|entry| !entry.name.starts_with('.'));
        found.sort_by(|one, other| one.name.cmp(&other.name));
        let snippets = found.into_iter().map(|entry| Snippet {
            volid: self.volid(&entry.name),
            name: entry.name,
            size: entry.size,
        });
        Ok(snippets.collect())
    }

    /// Removes a snippet.
    ///
    /// Example: see [`Snippets`].
    ///
    /// # Errors
    /// [`Kind::InvalidInput`] for a name that cannot be one, [`Kind::Permission`], and those of the session.
    pub async fn delete(&self, name: &str) -> Result<Removed> {
        let path = self.path(name).await?;
        let place = path.clone();
        let gone = self
            .on_node("removing", &path, move |files| files.remove(&place))
            .await?;
        Ok(if gone {
            Removed::Removed
        } else {
            Removed::Absent
        })
    }

    fn volid(&self, name: &str) -> String {
        format!("{}:snippets/{name}", self.storage.name())
    }

    async fn path(&self, name: &str) -> Result<String> {
        check_name(name)?;
        let folder = self.folder().await?.trim_end_matches('/');
        Ok(format!("{folder}/{name}"))
    }

    async fn on_node<T: Send + 'static>(
        &self,
        what: &str,
        path: &str,
        work: impl Fn(&dyn files::Files) -> Result<T, Fault> + Send + 'static,
    ) -> Result<T> {
        let target = self.ssh.target();
        let doing = format!("{what} {path} as {}", target.name());
        let done = self.ssh.with_files(work).await;
        let done = done.map_err(|error| error.at(|| doing.clone()))?;
        done.map_err(|fault| explained(fault, target, path).doing(doing))
    }
}

/// What kind of failure a fault is, and what can be done about it.
fn explained(fault: Fault, target: &SshTarget, path: &str) -> Error {
    match fault {
        Fault::Missing(text) => Error::new(
            Kind::NotFound,
            format!("{text}; is the folder of {path} there?"),
        ),
        Fault::Denied(text) => {
            let user = &target.user;
            Error::new(
                Kind::Permission,
                format!(
                    "{text}; give {user} the right to write to the folder of {path}, or to run tee, chmod, mv, rm, cat, stat and find through sudo without a password"
                ),
            )
        }
        Fault::Timeout(text) => Error::new(Kind::Deadline, text),
        Fault::Lost(text) => Error::new(Kind::Interrupted, text),
        Fault::NoSftp(text) | Fault::Other(text) => Error::new(Kind::Server, text),
    }
}

fn not_configured(why: String) -> Error {
    Error::new(Kind::NotConfigured, why)
}

/// Where a storage keeps its snippets, from its settings (`GET /storage/{storage}`).
fn folder_of(settings: &Map<String, Value>) -> Result<String> {
    let text = |key: &str| settings.get(key).and_then(Value::as_str);
    let content = text("content").unwrap_or_default();
    if !content.split(',').any(|kind| kind.trim() == "snippets") {
        return Err(not_configured(format!(
            "it may hold {content}; add snippets to its content"
        )));
    }
    let Some(path) = text("path").filter(|path| path.starts_with('/')) else {
        let kind = text("type").unwrap_or("of its kind");
        return Err(not_configured(format!(
            "a storage {kind} has no folder for snippets"
        )));
    };
    let folder = match settings.get("content-dirs") {
        // `iso=images/iso,snippets=cloud-init`
        Some(Value::String(folders)) => folders.split(',').find_map(|part| {
            let (kind, folder) = part.split_once('=')?;
            (kind.trim() == "snippets").then(|| folder.trim().to_owned())
        }),
        Some(Value::Object(folders)) => folders
            .get("snippets")
            .and_then(Value::as_str)
            .map(str::to_owned),
        _ => None,
    };
    let folder = folder.unwrap_or_else(|| "snippets".to_owned());
    if folder.split('/').any(|part| part == "..") {
        return Err(not_configured(format!(
            "its folder `{folder}` leads out of it"
        )));
    }
    Ok(format!(
        "{}/{}",
        path.trim_end_matches('/'),
        folder.trim_matches('/')
    ))
}

/// Names that need no thought anywhere: in a path, a command, a volume id, a property string.
fn check_name(name: &str) -> Result<()> {
    let good = name.len() <= 200
        && name.starts_with(|first: char| first.is_ascii_alphanumeric())
        && name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte));
    if good {
        Ok(())
    } else {
        Err(Error::invalid(format!(
            "`{}` is no snippet's name: letters, digits and ._-, a letter or digit first, 200 at most",
            name.escape_debug()
        )))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn folder(settings: Value) -> Result<String> {
        folder_of(settings.as_object().unwrap())
    }

    #[test]
    fn the_folder_follows_from_the_settings() {
        let table = [
            (json!({ "path": "/var/lib/vz" }), "/var/lib/vz/snippets"),
            (json!({ "path": "/mnt/pve/nas/" }), "/mnt/pve/nas/snippets"),
            (
                json!({ "path": "/srv", "content-dirs": "iso=isos,snippets=cloud/init" }),
                "/srv/cloud/init",
            ),
            (
                json!({ "path": "/srv", "content-dirs": { "snippets": "/init/" } }),
                "/srv/init",
            ),
            (
                json!({ "path": "/srv", "content-dirs": "iso=isos" }),
                "/srv/snippets",
            ),
        ];
        for (mut settings, expected) in table {
            settings["content"] = "iso,snippets".into();
            assert_eq!(folder(settings).unwrap(), expected);
        }
    }

    #[test]
    fn a_storage_without_snippets_says_so() {
        let table = [
            (
                json!({ "content": "iso,images", "path": "/srv" }),
                "it may hold iso,images; add snippets to its content",
            ),
            (
                json!({ "content": "snippets", "type": "rbd" }),
                "a storage rbd has no folder for snippets",
            ),
            (
                json!({ "content": "snippets", "path": "/srv", "content-dirs": "snippets=../etc" }),
                "its folder `../etc` leads out of it",
            ),
        ];
        for (settings, expected) in table {
            let error = folder(settings).unwrap_err();
            assert_eq!(error.kind(), Kind::NotConfigured);
            assert_eq!(error.message(), expected);
        }
    }

    #[test]
    fn names_that_need_thought_are_refused() {
        for good in ["a", "user-data.yaml", "9.x_y-Z", &"a".repeat(200)] {
            check_name(good).unwrap();
        }
        let bad = [
            "",
            ".",
            "..",
            ".hidden",
            "-rf",
            "a/b",
            "a b",
            "a,b",
            "a'b",
            "a\nb",
            "ä",
            &"a".repeat(201),
        ];
        for bad in bad {
            let error = check_name(bad).unwrap_err();
            assert_eq!(error.kind(), Kind::InvalidInput, "{bad:?}");
        }
    }
}
