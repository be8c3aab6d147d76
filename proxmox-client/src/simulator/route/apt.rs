//! Packages of a node: what is installed, what could be updated, where it comes from.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::firewall::{changed, digest};
use super::not_simulated;
use crate::simulator::answer::{Outcome, Reply};
use crate::simulator::engine::Step;
use crate::simulator::http::Call;
use crate::simulator::operation::{Caller, Operation};
use crate::simulator::world::World;

/// A package: installed, available in a newer version, or both.
#[derive(Serialize, Deserialize, Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct PackageSpec {
    name: String,
    installed: Option<String>,
    available: Option<String>,
    title: String,
    section: String,
    priority: String,
    origin: String,
    changelog: Option<String>,
}

impl PackageSpec {
    fn new(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            installed: None,
            available: None,
            title: name.to_owned(),
            section: "admin".to_owned(),
            priority: "optional".to_owned(),
            origin: "Proxmox".to_owned(),
            changelog: None,
        }
    }

    /// A package in this version.
    pub fn installed(name: &str, version: &str) -> Self {
        Self {
            installed: Some(version.to_owned()),
            ..Self::new(name)
        }
    }

    /// A package that repositories offer in this version, to update the installed one or to be installed with it.
    #[must_use]
    pub fn with_update(mut self, version: &str) -> Self {
        self.available = Some(version.to_owned());
        self
    }

    /// What it is, in a line.
    #[must_use]
    pub fn with_title(mut self, title: &str) -> Self {
        title.clone_into(&mut self.title);
        self
    }

    /// Where it is from: `Proxmox` if not set, `Debian`, …
    #[must_use]
    pub fn with_origin(mut self, origin: &str) -> Self {
        origin.clone_into(&mut self.origin);
        self
    }

    /// What changed in it.
    #[must_use]
    pub fn with_changelog(mut self, text: &str) -> Self {
        self.changelog = Some(text.to_owned());
        self
    }

    fn entry(&self, version: &str) -> Value {
        let mut entry = json!({
            "Package": self.name, "Version": version, "Title": self.title, "Description": self.title,
            "Section": self.section, "Priority": self.priority, "Origin": self.origin, "Arch": "amd64",
        });
        if let Some(installed) = &self.installed {
            entry["OldVersion"] = installed.as_str().into();
        }
        entry
    }

    fn update(&self) -> Option<Value> {
        let available = self.available.as_deref()?;
        let newer = self.installed.as_deref() != Some(available);
        newer.then(|| self.entry(available))
    }
}

/// A repository that the interface knows by a handle.
struct Standard {
    handle: &'static str,
    name: &'static str,
    uri: &'static str,
    component: &'static str,
    file: &'static str,
}

const STANDARD: [Standard; 6] = [
    Standard {
        handle: "enterprise",
        name: "Enterprise",
        uri: "https://enterprise.proxmox.com/debian/pve",
        component: "pve-enterprise",
        file: "pve-enterprise",
    },
    Standard {
        handle: "no-subscription",
        name: "No-Subscription",
        uri: "http://download.proxmox.com/debian/pve",
        component: "pve-no-subscription",
        file: "proxmox",
    },
    Standard {
        handle: "test",
        name: "Test",
        uri: "http://download.proxmox.com/debian/pve",
        component: "pve-test",
        file: "proxmox",
    },
    Standard {
        handle: "ceph-squid-enterprise",
        name: "Ceph Squid Enterprise",
        uri: "https://enterprise.proxmox.com/debian/ceph-squid",
        component: "enterprise",
        file: "ceph",
    },
    Standard {
        handle: "ceph-squid-no-subscription",
        name: "Ceph Squid No-Subscription",
        uri: "http://download.proxmox.com/debian/ceph-squid",
        component: "no-subscription",
        file: "ceph",
    },
    Standard {
        handle: "ceph-squid-test",
        name: "Ceph Squid Test",
        uri: "http://download.proxmox.com/debian/ceph-squid",
        component: "test",
        file: "ceph",
    },
];

/// A repository in a file.
#[derive(Serialize, Deserialize, Debug, Clone, PartialEq, Eq)]
struct Repository {
    uri: String,
    suites: Vec<String>,
    components: Vec<String>,
    enabled: bool,
}

/// A node's packages and where it looks for others.
#[derive(Serialize, Deserialize, Debug, Clone)]
pub(in super::super) struct Packages {
    known: BTreeMap<String, PackageSpec>,
    /// Packages whose updates were seen when the lists were last read.
    seen: BTreeSet<String>,
    files: BTreeMap<String, Vec<Repository>>,
}

impl Default for Packages {
    /// As after the installation: Debian, and the repository for subscribers.
    fn default() -> Self {
        let suites = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        let debian = |uri: &str, names: &[&str]| Repository {
            uri: uri.to_owned(),
            suites: suites(names),
            components: suites(&["main", "contrib", "non-free-firmware"]),
            enabled: true,
        };
        let files = [
            (
                "debian",
                vec![
                    debian(
                        "http://deb.debian.org/debian",
                        &["trixie", "trixie-updates"],
                    ),
                    debian(
                        "http://security.debian.org/debian-security",
                        &["trixie-security"],
                    ),
                ],
            ),
            ("pve-enterprise", vec![repository(&STANDARD[0])]),
        ];
        Self {
            known: BTreeMap::new(),
            seen: BTreeSet::new(),
            files: files
                .map(|(name, repositories)| (path(name), repositories))
                .into(),
        }
    }
}

fn path(name: &str) -> String {
    format!("/etc/apt/sources.list.d/{name}.sources")
}

fn repository(standard: &Standard) -> Repository {
    Repository {
        uri: standard.uri.to_owned(),
        suites: vec!["trixie".to_owned()],
        components: vec![standard.component.to_owned()],
        enabled: true,
    }
}

impl Packages {
    pub(in super::super) fn add(&mut self, package: PackageSpec) {
        self.known.insert(package.name.clone(), package);
    }

    /// The lists of the repositories are read.
    pub(in super::super) fn refresh(&mut self) {
        let updates = self.known.values().filter(|one| one.update().is_some());
        self.seen = updates.map(|one| one.name.clone()).collect();
    }

    fn digest(&self) -> String {
        let text = json!(self.files).to_string();
        let (first, second) = (digest(&text), digest(&format!("{text} again")));
        // Sources have a digest of 64 digits.
        format!("{first}{}", &second[..24])
    }

    fn unchanged(&self, call: &Call) -> Result<(), Reply> {
        match call.text("digest") {
            Some(asked) if asked != self.digest() => Err(changed()),
            _ => Ok(()),
        }
    }

    fn find(&self, standard: &Standard) -> Option<(&str, usize)> {
        let is = |one: &Repository| {
            one.uri == standard.uri && one.components.iter().any(|name| name == standard.component)
        };
        self.files
            .iter()
            .find_map(|(path, all)| Some((path.as_str(), all.iter().position(is)?)))
    }

    fn sources(&self) -> Value {
        let files = self.files.iter().map(|(path, repositories)| {
            let repositories = repositories.iter().map(|one| {
                json!({
                    "Types": ["deb"], "URIs": [one.uri], "Suites": one.suites, "Components": one.components,
                    "Enabled": u8::from(one.enabled), "FileType": "sources", "Comment": "",
                    "Options": [{ "Key": "Signed-By", "Values": [keyring(&one.uri)] }],
                })
            });
            json!({
                "path": path, "file-type": "sources", "repositories": repositories.collect::<Vec<_>>(),
                "digest": digest(&json!(self.files[path]).to_string()).bytes().take(32).collect::<Vec<_>>(),
            })
        });
        let standard = STANDARD.iter().map(|standard| {
            let mut entry = json!({ "handle": standard.handle, "name": standard.name });
            if let Some((path, index)) = self.find(standard) {
                entry["status"] = u8::from(self.files[path][index].enabled).into();
            }
            entry
        });
        let infos = self.files.iter().flat_map(|(path, repositories)| {
            repositories.iter().enumerate().map(move |(index, one)| {
                let origin = if one.uri.contains("proxmox") { "Proxmox" } else { "Debian" };
                json!({ "path": path, "index": index.to_string(), "kind": "origin", "message": origin })
            })
        });
        json!({
            "files": files.collect::<Vec<_>>(), "standard-repos": standard.collect::<Vec<_>>(),
            "infos": infos.collect::<Vec<_>>(), "errors": [], "digest": self.digest(),
        })
    }

    /// A repository known by its handle is there, and on.
    fn add_standard(&mut self, call: &Call) -> Outcome {
        let handle = call.text("handle").unwrap_or_default();
        let standard = STANDARD.iter().find(|standard| standard.handle == handle);
        let standard = standard.ok_or_else(|| not_simulated(call))?;
        match self.find(standard) {
            Some((path, index)) => {
                let path = path.to_owned();
                if let Some(one) = self.files.get_mut(&path).and_then(|all| all.get_mut(index)) {
                    one.enabled = true;
                }
            }
            None => {
                let file = self.files.entry(path(standard.file));
                file.or_default().push(repository(standard));
            }
        }
        Ok(Reply::data(()))
    }

    fn change(&mut self, call: &Call) -> Outcome {
        let path = call.text("path").unwrap_or_default();
        let index = call
            .number("index")
            .and_then(|index| usize::try_from(index).ok());
        let file = self.files.get_mut(&path);
        let one = file.and_then(|all| all.get_mut(index?));
        // The real server's words for a place that is not there are not known.
        let one = one.ok_or_else(|| not_simulated(call))?;
        if call.text("enabled").is_some() {
            one.enabled = call.flag("enabled");
        }
        Ok(Reply::data(()))
    }
}

fn keyring(uri: &str) -> &'static str {
    match uri.contains("proxmox") {
        true => "/usr/share/keyrings/proxmox-archive-keyring.gpg",
        false => "/usr/share/keyrings/debian-archive-keyring.gpg",
    }
}

impl World {
    /// A package that a node has, or could have. Updates are listed once they were asked for.
    #[must_use]
    pub fn with_package(mut self, node: &str, package: PackageSpec) -> Self {
        if let Some(node) = self.nodes.get_mut(node) {
            node.upkeep.packages.add(package);
        }
        self
    }

    pub(super) fn node_packages(
        &mut self,
        node: &str,
        rest: &[&str],
        call: &Call,
        caller: &Caller,
    ) -> Outcome {
        let version = self.version.clone();
        let Some(state) = self.nodes.get_mut(node) else {
            return Err(not_simulated(call));
        };
        let packages = &mut state.upkeep.packages;
        match (call.method.as_str(), rest) {
            ("GET", []) => {
                let all = ["changelog", "repositories", "update", "versions"];
                Ok(Reply::data(all.map(|id| json!({ "id": id })).to_vec()))
            }
            ("GET", ["update"]) => {
                let seen = packages
                    .known
                    .values()
                    .filter(|one| packages.seen.contains(&one.name));
                Ok(Reply::data(
                    seen.filter_map(PackageSpec::update).collect::<Value>(),
                ))
            }
            ("POST", ["update"]) => {
                let quiet = call.flag("quiet");
                let operation = Operation::RefreshPackages {
                    node: node.to_owned(),
                    quiet,
                };
                let steps = vec![Step::Work(Duration::from_secs(3)), Step::Finish];
                Ok(self.start_task(node, "aptupdate", "", caller, operation, steps))
            }
            ("GET", ["versions"]) => Ok(Reply::data(packages.versions(&version))),
            ("GET", ["changelog"]) => {
                let name = call.text("name").unwrap_or_default();
                match packages.known.get(&name) {
                    None => {
                        let text = format!("E: Unable to locate package {name}\nRC: 100");
                        Ok(Reply::data(text))
                    }
                    Some(package) => match &package.changelog {
                        Some(text) => Ok(Reply::data(text.as_str())),
                        None => Err(not_simulated(call)),
                    },
                }
            }
            ("GET", ["repositories"]) => Ok(Reply::data(packages.sources())),
            ("PUT", ["repositories"]) => {
                packages.unchanged(call)?;
                packages.add_standard(call)
            }
            ("POST", ["repositories"]) => {
                packages.unchanged(call)?;
                packages.change(call)
            }
            _ => Err(not_simulated(call)),
        }
    }

    /// A task has read the lists of the repositories.
    pub(in super::super) fn refresh_packages(&mut self, job: u64, node: &str, quiet: bool) {
        if !quiet {
            self.log(job, "starting apt-get update");
        }
        if let Some(state) = self.nodes.get_mut(node) {
            state.upkeep.packages.refresh();
        }
    }
}

impl Packages {
    /// What is installed, the server itself first.
    fn versions(&self, version: &str) -> Value {
        let server = PackageSpec::installed("pve-manager", version)
            .with_title("Proxmox Virtual Environment Management Tools");
        let whole = PackageSpec::installed("proxmox-ve", &format!("{version}~modelled"))
            .with_title("Proxmox Virtual Environment");
        let own = [whole, server];
        let others = self.known.values().filter(|one| one.installed.is_some());
        let own_known = |name: &str| self.known.contains_key(name);
        let all = own.iter().filter(|one| !own_known(&one.name)).chain(others);
        let entries = all.map(|one| {
            let newest = one
                .available
                .as_deref()
                .filter(|_| self.seen.contains(&one.name));
            let installed = one.installed.as_deref().unwrap_or_default();
            let mut entry = one.entry(newest.unwrap_or(installed));
            entry["CurrentState"] = "Installed".into();
            match one.name.as_str() {
                "pve-manager" => {
                    entry["ManagerVersion"] = format!("{version}/f40095996bcb6bf7").into();
                }
                "proxmox-ve" => entry["RunningKernel"] = "6.x".into(),
                _ => {}
            }
            entry
        });
        entries.collect()
    }
}
