//! `cluster.yaml`: strict reading, every problem at once with its place, and the typed description of a cluster.
//!
//! ```
//! use homelab::spec::Spec;
//!
//! let problems = Spec::parse("cluster.yaml", "name: Lab_1\n").unwrap_err();
//! let first = &problems.list()[0];
//! assert_eq!((first.rule, first.span.line, first.span.column), ("invalid-name", 1, 7));
//! assert!(first.message.ends_with("did you mean \"lab-1\"?"));
//! ```

use std::path::Path;

use serde::Serialize;

pub mod backup;
mod check;
pub mod cluster;
pub mod components;
pub(crate) mod decode;
pub mod name;
pub mod net;
pub mod node;
pub mod overlay;
pub mod platform;
pub mod problem;
pub mod quantity;
pub mod reference;
pub mod rules;
pub(crate) mod scalar;
pub mod storage;
pub mod time;
pub mod version;
pub(crate) mod yaml;

pub use cluster::Tier;
pub use problem::{Problem, Problems, Severity};

use decode::{Cx, Map};

/// A whole environment, every default filled in.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct Spec {
    /// Name of the cluster.
    pub name: name::DnsLabel,
    /// How much is at stake.
    pub tier: Tier,
    /// What is installed.
    pub versions: cluster::Versions,
    /// The hypervisor.
    pub proxmox: cluster::Proxmox,
    /// Networks.
    pub network: cluster::Network,
    /// Names and time.
    pub dns: cluster::Dns,
    /// The Kubernetes API.
    pub api: cluster::Api,
    /// The Talos image.
    pub image: cluster::Image,
    /// Machines, profiles and counts resolved.
    pub nodes: Vec<node::Node>,
    /// Addresses for services.
    pub load_balancer: platform::LoadBalancer,
    /// The cluster as a BGP speaker.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bgp: Option<platform::Bgp>,
    /// Cilium.
    pub cilium: platform::Cilium,
    /// The way in from outside.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gateway: Option<platform::Gateway>,
    /// Replicated storage.
    pub storage: storage::Storage,
    /// What else runs.
    pub components: components::Components,
    /// The overlay.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub wireguard: Option<overlay::WireGuard>,
    /// Backups.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub backup: Option<backup::Backup>,
    /// Where Argo CD reads from.
    pub gitops: cluster::GitOps,
    /// Where what is generated is kept.
    pub secrets: cluster::Secrets,
    /// What is applied before Argo CD runs.
    pub bootstrap: cluster::Bootstrap,
    #[serde(skip)]
    warnings: Option<Problems>,
}

/// Why a spec could not be loaded.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LoadError {
    /// The file could not be read.
    #[error("cannot read {path}")]
    Read {
        /// Which file.
        path: String,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The file was read and something in it is wrong.
    #[error("{0}")]
    Invalid(Problems),
}

impl Spec {
    /// Reads and checks a file. Touches nothing else.
    ///
    /// # Errors
    /// The file cannot be read, is not UTF-8, or holds at least one error.
    pub fn load(path: impl AsRef<Path>) -> Result<Self, LoadError> {
        let path = path.as_ref();
        let text = std::fs::read_to_string(path).map_err(|source| LoadError::Read {
            path: path.display().to_string(),
            source,
        })?;
        Self::parse(&path.display().to_string(), &text).map_err(LoadError::Invalid)
    }

    /// Checks a text; `file_name` is what reports call it.
    ///
    /// # Errors
    /// All errors and warnings of the text, if at least one is an error. Warnings alone are kept in
    /// [`Spec::warnings`].
    pub fn parse(file_name: &str, text: &str) -> Result<Self, Problems> {
        let (tree, flaws) = yaml::read(text);
        let unreadable = flaws
            .iter()
            .any(|flaw| matches!(flaw, yaml::Flaw::Syntax { .. }));
        let mut cx = Cx::new(text, flaws);
        if unreadable {
            return Err(cx.finish(file_name));
        }
        let empty = yaml::Node {
            bytes: 0..0,
            value: yaml::Value::Map(Vec::new()),
        };
        let Some(mut spec) = read(&mut cx, tree.as_ref().unwrap_or(&empty)) else {
            return Err(cx.finish(file_name));
        };
        check::run(&mut cx, &spec);
        let failed = cx.has_errors();
        let problems = cx.finish(file_name);
        if failed {
            return Err(problems);
        }
        spec.warnings = Some(problems).filter(|problems| !problems.is_empty());
        Ok(spec)
    }

    /// Warnings of the file, if there are any.
    #[must_use]
    pub fn warnings(&self) -> Option<&Problems> {
        self.warnings.as_ref()
    }

    /// The file with every default and every node written out; reading it gives the same description.
    #[must_use]
    pub fn render(&self) -> String {
        // Nothing in a spec can fail to print: keys are text and no value is a special float.
        yaml::print(self).unwrap_or_else(|error| format!("# cannot print: {error}\n"))
    }

    /// Machines that run etcd and the API.
    pub fn control_planes(&self) -> impl Iterator<Item = &node::Node> {
        self.nodes.iter().filter(|node| !node.is_worker())
    }

    /// Machines that take workloads.
    pub fn workers(&self) -> impl Iterator<Item = &node::Node> {
        self.nodes.iter().filter(|node| node.is_worker())
    }

    /// A machine by name.
    #[must_use]
    pub fn node(&self, name: &str) -> Option<&node::Node> {
        self.nodes.iter().find(|node| node.name.as_str() == name)
    }
}

fn read(cx: &mut Cx<'_>, tree: &yaml::Node) -> Option<Spec> {
    let mut root = Map::open(cx, "", tree)?;
    let name: name::DnsLabel = root.need(cx, "name");
    let nodes = node::read(cx, &mut root, name.as_str());
    let spec = Spec {
        nodes,
        tier: root.need(cx, "tier"),
        versions: root.need(cx, "versions"),
        proxmox: root.need(cx, "proxmox"),
        network: root.need(cx, "network"),
        dns: root.need(cx, "dns"),
        api: root.need(cx, "api"),
        image: root.need(cx, "image"),
        load_balancer: root.need(cx, "loadBalancer"),
        bgp: root.maybe(cx, "bgp"),
        cilium: root.need(cx, "cilium"),
        gateway: root.maybe(cx, "gateway"),
        storage: root.need(cx, "storage"),
        components: root.or(cx, "components", components::Components::default()),
        wireguard: root.maybe(cx, "wireguard"),
        backup: root.maybe(cx, "backup"),
        gitops: root.need(cx, "gitops"),
        secrets: root.need(cx, "secrets"),
        bootstrap: root.need(cx, "bootstrap"),
        name,
        warnings: None,
    };
    root.finish(cx);
    Some(spec)
}
