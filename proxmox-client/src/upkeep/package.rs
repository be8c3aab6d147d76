//! Packages of a node: what is installed, what could be updated, where it comes from.

use serde_json::Value;

use crate::access::Ensured;
use crate::error::{Error, Kind, Result};
use crate::node::Node;
use crate::scalar::record;
use crate::task::TaskCall;
use crate::wire::Method;

record! {
    /// A package that could be updated: `GET /nodes/{node}/apt/update`.
    pub struct PackageUpdate {
        required {
            /// Package.
            "Package" package: String,
        }
        optional {
            /// New version.
            "Version" version: String,
            /// Version that is installed; absent for a new package.
            "OldVersion" old_version: String,
            /// Short description.
            "Title" title: String,
            /// Where it is from.
            "Origin" origin: String,
            /// Section of the repository.
            "Section" section: String,
            /// Priority.
            "Priority" priority: String,
        }
    }
}

record! {
    /// A package of the server that is installed: `GET /nodes/{node}/apt/versions`.
    pub struct InstalledPackage {
        required {
            /// Package.
            "Package" package: String,
        }
        optional {
            /// Version that is available; the installed one if there is no newer one.
            "Version" version: String,
            /// Version that is installed; absent if it is not.
            "OldVersion" installed: String,
            /// Whether it is installed: `Installed`, `NotInstalled`, `ConfigFiles`, …
            "CurrentState" state: String,
            /// Short description.
            "Title" title: String,
            /// Of the manager its version with its commit.
            "ManagerVersion" manager: String,
            /// Of the whole the kernel that runs.
            "RunningKernel" kernel: String,
        }
    }
}

record! {
    /// A repository in a file.
    pub struct Repository {
        optional {
            /// Whether packages are looked for there.
            "Enabled" enabled: bool,
            /// `deb`, `deb-src`.
            "Types" types: Vec<String>,
            /// Addresses.
            "URIs" addresses: Vec<String>,
            /// Releases.
            "Suites" suites: Vec<String>,
            /// Components.
            "Components" components: Vec<String>,
            /// Comment.
            "Comment" comment: String,
        }
    }
}

record! {
    /// A file with repositories.
    pub struct RepositoryFile {
        required {
            /// Path.
            "path" path: String,
        }
        optional {
            /// `list`, or `sources`.
            "file-type" kind: String,
            /// Its repositories, in order.
            "repositories" repositories: Vec<Repository>,
        }
    }
}

record! {
    /// A repository that the interface knows by a handle.
    pub struct StandardRepository {
        required {
            /// Handle, such as `no-subscription`.
            "handle" handle: String,
        }
        optional {
            /// Name.
            "name" name: String,
            /// Whether it is on; absent if it is in no file.
            "status" enabled: bool,
        }
    }
}

record! {
    /// `GET /nodes/{node}/apt/repositories`.
    pub struct Repositories {
        optional {
            /// Files, with what is in them.
            "files" files: Vec<RepositoryFile>,
            /// Repositories that the interface knows.
            "standard-repos" standard: Vec<StandardRepository>,
            /// Files that cannot be read: `path`, `error`.
            "errors" errors: Vec<Value>,
            /// What is to be said of repositories: `path`, `index`, `kind`, `message`.
            "infos" infos: Vec<Value>,
            /// Digest of all files.
            "digest" digest: String,
        }
    }
}

impl Node {
    /// The packages that could be updated, as of the last [`refresh_updates`](Self::refresh_updates).
    ///
    /// ```
    /// # #[cfg(feature = "simulator")]
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), proxmox_client::Error> {
    /// # use proxmox_client::simulator::{PackageSpec, Simulator, World};
    /// # let package = PackageSpec::installed("pve-manager", "9.1.9").with_update("9.1.10");
    /// # let client = Simulator::new(World::lab().with_package("pve1", package)).connect();
    /// let node = client.node("pve1");
    /// node.refresh_updates().await?;
    /// let updates = node.updates().await?;
    /// assert_eq!(updates[0].version.as_deref(), Some("9.1.10"));
    /// # Ok(()) }
    /// # #[cfg(not(feature = "simulator"))] fn main() {}
    /// ```
    pub async fn updates(&self) -> Result<Vec<PackageUpdate>> {
        let request = self.request(Method::Get, "/apt/update")?;
        self.client().fetch(request).await
    }

    /// Asks the repositories what could be updated; nothing is installed.
    ///
    /// Example: see [`updates`](Self::updates).
    pub fn refresh_updates(&self) -> TaskCall<()> {
        TaskCall::new(
            self.client().clone(),
            format!("refreshing updates of {}", self.name()),
            self.request(Method::Post, "/apt/update"),
            |report| report.check().map(|_| ()),
        )
    }

    /// The server's packages with their versions, the most important first.
    ///
    /// Example: see [`updates`](Self::updates).
    pub async fn package_versions(&self) -> Result<Vec<InstalledPackage>> {
        let request = self.request(Method::Get, "/apt/versions")?;
        self.client().fetch(request).await
    }

    /// What changed in a package, up to its newest version or a given one. What apt says if it cannot tell is told
    /// instead, with a last line such as `RC: 100`.
    ///
    /// Example: see [`updates`](Self::updates).
    pub async fn changelog(&self, package: &str, version: Option<&str>) -> Result<String> {
        let mut request = self
            .request(Method::Get, "/apt/changelog")?
            .with("name", package);
        if let Some(version) = version {
            request.params_mut().push("version", version);
        }
        let found = self.client().fetch(request).await;
        found.map_err(|error| error.doing(format!("reading the changelog of {package}")))
    }

    /// Where packages are looked for.
    ///
    /// Example: see [`ensure_repository`](Self::ensure_repository).
    pub async fn repositories(&self) -> Result<Repositories> {
        let request = self.request(Method::Get, "/apt/repositories")?;
        self.client().fetch(request).await
    }

    /// Makes sure that packages are looked for in a repository that the interface knows by a handle, such as
    /// `no-subscription`. The change is bound to the digest of what was read.
    ///
    /// ```
    /// # #[cfg(feature = "simulator")]
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), proxmox_client::Error> {
    /// use proxmox_client::Ensured;
    /// # let client = proxmox_client::simulator::Simulator::lab().connect();
    /// let node = client.node("pve1");
    /// assert_eq!(node.ensure_repository("no-subscription").await?, Ensured::Created);
    /// assert_eq!(node.ensure_repository("no-subscription").await?, Ensured::Unchanged);
    /// let file = "/etc/apt/sources.list.d/pve-enterprise.sources";
    /// assert!(matches!(node.ensure_repository_enabled(file, 0, false).await?, Ensured::Updated(_)));
    /// # Ok(()) }
    /// # #[cfg(not(feature = "simulator"))] fn main() {}
    /// ```
    ///
    /// # Errors
    /// [`Kind::Conflict`] if someone changed the files meanwhile, [`Kind::NotFound`] for an unknown handle.
    pub async fn ensure_repository(&self, handle: &str) -> Result<Ensured> {
        let doing = || format!("adding repository {handle} on {}", self.name());
        let have = self.repositories().await?;
        let standard = have.standard.unwrap_or_default();
        let known = standard.into_iter().find(|one| one.handle == handle);
        let Some(known) = known else {
            let text = format!("there is no repository {handle}");
            return Err(Error::new(Kind::NotFound, text).doing(doing()));
        };
        if known.enabled == Some(true) {
            return Ok(Ensured::Unchanged);
        }
        let mut request = self
            .request(Method::Put, "/apt/repositories")?
            .with("handle", handle);
        if let Some(digest) = &have.digest {
            request.params_mut().push("digest", digest);
        }
        let done = self.client().request(request).await;
        done.map_err(|error| error.doing(doing()))?;
        Ok(match known.enabled {
            Some(_) => Ensured::Updated(vec!["enabled".to_owned()]),
            None => Ensured::Created,
        })
    }

    /// Makes sure that packages are looked for in a repository, or not, by its file and its place in it, counted from 0.
    /// The change is bound to the digest of what was read.
    ///
    /// Example: see [`ensure_repository`](Self::ensure_repository).
    ///
    /// # Errors
    /// [`Kind::Conflict`] if someone changed the files meanwhile, [`Kind::NotFound`] if there is none at that place.
    pub async fn ensure_repository_enabled(
        &self,
        file: &str,
        index: usize,
        enabled: bool,
    ) -> Result<Ensured> {
        let doing = || format!("changing repository {index} of {file} on {}", self.name());
        let have = self.repositories().await?;
        let mut files = have.files.iter().flatten();
        let found = files.find(|one| one.path == file);
        let found = found.and_then(|file| file.repositories.as_ref()?.get(index));
        let Some(found) = found else {
            let text = "there is no repository at that place";
            return Err(Error::new(Kind::NotFound, text).doing(doing()));
        };
        if found.enabled == Some(enabled) {
            return Ok(Ensured::Unchanged);
        }
        let mut request = self
            .request(Method::Post, "/apt/repositories")?
            .with("path", file)
            .with("index", index.to_string())
            .with_flag("enabled", enabled);
        if let Some(digest) = &have.digest {
            request.params_mut().push("digest", digest);
        }
        let done = self.client().request(request).await;
        done.map_err(|error| error.doing(doing()))?;
        Ok(Ensured::Updated(vec!["enabled".to_owned()]))
    }
}
