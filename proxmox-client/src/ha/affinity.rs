//! Where resources may run: groups up to version 8, rules from version 9, behind one view.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

use serde_json::{Map, Value};

use super::resource::HaSid;
use super::{Ha, HaModel::*, HaSettings};
use crate::access::Ensured;
use crate::entry::{Entry, remove};
use crate::error::{Error, Kind, Result};
use crate::qemu::Removed;
use crate::scalar::from_value;
use crate::setting::{Settings, names_of};
use crate::wire::{Method, Request};

/// Which model a server has for where resources may run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum HaModel {
    /// Groups of nodes that resources name; up to version 8.
    Groups,
    /// Rules that name resources; from version 9.
    Rules,
}

/// A node with its priority; the highest that is up wins.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub struct NodePriority {
    /// Name of the node.
    pub node: String,
    /// Priority, 0 where none is told.
    pub priority: u32,
}

impl NodePriority {
    /// A node with a priority.
    pub fn new(node: impl Into<String>, priority: u32) -> Self {
        Self {
            node: node.into(),
            priority,
        }
    }
}

impl fmt::Display for NodePriority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.priority {
            0 => f.write_str(&self.node),
            priority => write!(f, "{}:{priority}", self.node),
        }
    }
}

impl FromStr for NodePriority {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let (node, priority) = text.split_once(':').unwrap_or((text, "0"));
        crate::node::check_name(node)?;
        let digits = !priority.is_empty() && priority.bytes().all(|byte| byte.is_ascii_digit());
        match priority.parse().ok().filter(|_| digits) {
            Some(priority) => Ok(Self::new(node, priority)),
            None => Err(Error::invalid(format!(
                "`{}` is not a priority of node {node}: a whole number",
                priority.escape_debug()
            ))),
        }
    }
}

/// What an [`Affinity`] asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum AffinityKind {
    /// The resources prefer these nodes.
    Nodes {
        /// The nodes, each once.
        nodes: BTreeSet<NodePriority>,
        /// Whether they run nowhere else: with none of these nodes up they are stopped.
        strict: bool,
    },
    /// The resources are kept on one node. Needs rules.
    Together,
    /// The resources are kept on different nodes. Needs rules.
    Apart,
    /// A rule of a kind that this version does not name; read only.
    Other(String),
}

/// Where resources may run: a rule, or a group with the resources that name it.
///
/// ```
/// use proxmox_client::{Affinity, AffinityKind, HaSid};
/// let apart = Affinity::apart("etcd").with_resources([HaSid::vm(101), HaSid::vm(102)]);
/// assert_eq!((&apart.kind, apart.resources.len()), (&AffinityKind::Apart, 2));
/// let home = Affinity::to_nodes("db-home", [("pve1", 2), ("pve2", 1)]).strictly();
/// assert!(matches!(home.kind, AffinityKind::Nodes { strict: true, .. }));
/// ```
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Affinity {
    /// Name. A rule that the upgrade to version 9 made of group `g` is called `ha-group-g`; calls find it as `g` too.
    pub name: String,
    /// What is asked for.
    pub kind: AffinityKind,
    /// The resources that it is about.
    pub resources: BTreeSet<HaSid>,
    /// Whether it is in effect; groups always are.
    pub enabled: bool,
    /// Whether resources go back when a node of higher priority comes up: groups have it themselves, with rules it is
    /// that of the resources, and none where these differ.
    pub failback: Option<bool>,
    /// Comment.
    pub comment: Option<String>,
    /// Why the manager cannot follow the rule, by setting.
    pub errors: Map<String, Value>,
}

/// What the upgrade puts before the name of a group.
const MIGRATED: &str = "ha-group-";

impl Affinity {
    fn new(name: &str, kind: AffinityKind) -> Self {
        Self {
            name: name.to_owned(),
            kind,
            resources: BTreeSet::new(),
            enabled: true,
            failback: None,
            comment: None,
            errors: Map::new(),
        }
    }

    /// Resources prefer nodes, each with its priority.
    pub fn to_nodes<S: Into<String>>(
        name: &str,
        nodes: impl IntoIterator<Item = (S, u32)>,
    ) -> Self {
        let nodes = nodes
            .into_iter()
            .map(|(node, priority)| NodePriority::new(node, priority))
            .collect();
        let strict = false;
        Self::new(name, AffinityKind::Nodes { nodes, strict })
    }

    /// Resources are kept on one node.
    pub fn together(name: &str) -> Self {
        Self::new(name, AffinityKind::Together)
    }

    /// Resources are kept on different nodes.
    pub fn apart(name: &str) -> Self {
        Self::new(name, AffinityKind::Apart)
    }

    /// Resources run on these nodes only, and nowhere else. Does nothing for resources that are kept together or apart,
    /// which is always strict.
    #[must_use]
    pub fn strictly(mut self) -> Self {
        if let AffinityKind::Nodes { strict, .. } = &mut self.kind {
            *strict = true;
        }
        self
    }

    /// The resources that it is about, and no other.
    #[must_use]
    pub fn with_resources(mut self, resources: impl IntoIterator<Item = HaSid>) -> Self {
        self.resources = resources.into_iter().collect();
        self
    }

    /// Turns it off (a rule stays there without effect). Groups cannot be.
    #[must_use]
    pub fn with_enabled(mut self, enabled: bool) -> Self {
        self.enabled = enabled;
        self
    }

    /// Whether resources go back when a node of higher priority comes up.
    #[must_use]
    pub fn with_failback(mut self, failback: bool) -> Self {
        self.failback = Some(failback);
        self
    }

    /// Comment.
    #[must_use]
    pub fn with_comment(mut self, text: &str) -> Self {
        self.comment = Some(text.to_owned());
        self
    }

    /// Whether this is what a name means, also after an upgrade.
    fn is_called(&self, name: &str) -> bool {
        self.name == name || self.name.strip_prefix(MIGRATED) == Some(name)
    }

    fn of_rule(rule: &Map<String, Value>) -> Option<Self> {
        let text = |key: &str| rule.get(key).and_then(from_value::<String>);
        let flag = |key: &str| rule.get(key).and_then(from_value::<bool>) == Some(true);
        let kind = match (text("type")?.as_str(), text("affinity").as_deref()) {
            ("node-affinity", _) => AffinityKind::Nodes {
                nodes: nodes_of(rule.get("nodes")),
                strict: flag("strict"),
            },
            ("resource-affinity", Some("positive")) => AffinityKind::Together,
            ("resource-affinity", Some("negative")) => AffinityKind::Apart,
            (other, _) => AffinityKind::Other(other.to_owned()),
        };
        let mut affinity = Self::new(&text("rule")?, kind);
        let resources = rule.get("resources").map(names_of).unwrap_or_default();
        affinity.resources = resources
            .iter()
            .filter_map(|sid| sid.parse().ok())
            .collect();
        affinity.enabled = !flag("disable");
        affinity.comment = text("comment");
        if let Some(Value::Object(errors)) = rule.get("errors") {
            affinity.errors = errors.clone();
        }
        Some(affinity)
    }

    fn of_group(group: &Map<String, Value>) -> Option<Self> {
        let text = |key: &str| group.get(key).and_then(from_value::<String>);
        let flag = |key: &str| group.get(key).and_then(from_value::<bool>) == Some(true);
        let kind = AffinityKind::Nodes {
            nodes: nodes_of(group.get("nodes")),
            strict: flag("restricted"),
        };
        let mut affinity = Self::new(&text("group")?, kind);
        affinity.failback = Some(!flag("nofailback"));
        affinity.comment = text("comment");
        Some(affinity)
    }

    fn needs_rules(&self) -> Error {
        let text = "this server has HA groups, which only prefer nodes and are always on; rules came with version 9";
        Error::new(Kind::NotImplemented, text)
            .doing(format!("setting up HA affinity {}", self.name))
    }

    fn check(&self) -> Result<()> {
        match &self.kind {
            AffinityKind::Nodes { nodes, .. } => {
                let names: BTreeSet<&str> = nodes.iter().map(|node| node.node.as_str()).collect();
                if names.is_empty() || names.len() < nodes.len() {
                    return Err(Error::invalid(format!(
                        "HA affinity {}: one node at least, and each once",
                        self.name
                    )));
                }
                nodes
                    .iter()
                    .try_for_each(|node| crate::node::check_name(&node.node))
            }
            AffinityKind::Together | AffinityKind::Apart => Ok(()),
            AffinityKind::Other(kind) => Err(Error::invalid(format!(
                "HA affinity {}: rules of type {kind} can be read, not made",
                self.name
            ))),
        }
    }

    /// The type that the server calls it by, and its settings.
    fn as_rule(&self) -> (&'static str, Settings) {
        let mut settings = Settings::default();
        settings.list("resources", self.resources.iter().map(HaSid::to_string));
        let kind = match &self.kind {
            AffinityKind::Nodes { nodes, strict } => {
                settings.list("nodes", nodes.iter().map(NodePriority::to_string));
                settings.flag("strict", *strict, false);
                "node-affinity"
            }
            AffinityKind::Together => {
                settings.text("affinity", "positive");
                "resource-affinity"
            }
            AffinityKind::Apart | AffinityKind::Other(_) => {
                settings.text("affinity", "negative");
                "resource-affinity"
            }
        };
        // A rule that is on does not say so: the server drops `disable=0`.
        if self.enabled {
            settings.unset("disable");
        } else {
            settings.flag("disable", true, false);
        }
        if let Some(comment) = &self.comment {
            settings.text("comment", comment);
        }
        (kind, settings)
    }
}

fn nodes_of(value: Option<&Value>) -> BTreeSet<NodePriority> {
    let names = value.map(names_of).unwrap_or_default();
    names.iter().filter_map(|node| node.parse().ok()).collect()
}

impl Ha {
    fn at(&self, method: Method, model: super::HaModel, name: Option<&str>) -> Request {
        match (model, name) {
            (Groups, None) => Request::new(method, "/cluster/ha/groups", &[]),
            (Groups, Some(name)) => Request::new(method, "/cluster/ha/groups/{group}", &[name]),
            (Rules, None) => Request::new(method, "/cluster/ha/rules", &[]),
            (Rules, Some(name)) => Request::new(method, "/cluster/ha/rules/{rule}", &[name]),
        }
    }

    /// Where resources may run, whichever model the server has.
    ///
    /// Example: see [`ensure_affinity`](Self::ensure_affinity).
    pub async fn affinities(&self) -> Result<Vec<Affinity>> {
        self.affinities_of(self.model().await?).await
    }

    async fn affinities_of(&self, model: super::HaModel) -> Result<Vec<Affinity>> {
        let list: Vec<Map<String, Value>> = self.0.fetch(self.at(Method::Get, model, None)).await?;
        let resources = self.resources().await?;
        let read = match model {
            Groups => Affinity::of_group,
            Rules => Affinity::of_rule,
        };
        let mut found: Vec<Affinity> = list.iter().filter_map(read).collect();
        for affinity in &mut found {
            match model {
                Groups => {
                    let members = resources
                        .iter()
                        .filter(|resource| resource.group.as_ref() == Some(&affinity.name));
                    affinity.resources = members.map(|resource| resource.sid.clone()).collect();
                }
                Rules => {
                    let named = resources
                        .iter()
                        .filter(|resource| affinity.resources.contains(&resource.sid));
                    let answers: BTreeSet<bool> = named
                        .map(|resource| resource.failback.unwrap_or(true))
                        .collect();
                    affinity.failback = match answers.len() {
                        1 => answers.first().copied(),
                        _ => None,
                    };
                }
            }
        }
        Ok(found)
    }

    /// An affinity by its name.
    ///
    /// Example: see [`ensure_affinity`](Self::ensure_affinity).
    pub async fn affinity(&self, name: &str) -> Result<Option<Affinity>> {
        let mut all = self.affinities().await?;
        all.retain(|affinity| affinity.is_called(name));
        all.sort_by_key(|affinity| affinity.name != name);
        Ok(all.into_iter().next())
    }

    /// Makes sure that resources are placed so; on a server with groups this makes the group and puts exactly these
    /// resources into it.
    ///
    /// ```
    /// # #[cfg(feature = "simulator")]
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), proxmox_client::Error> {
    /// # use proxmox_client::simulator::{NodeSpec, Simulator, World};
    /// use proxmox_client::{HaSettings, HaSid, QemuConfig};
    /// use proxmox_client::{Affinity, Ensured, Removed};
    /// # let client = Simulator::new(World::lab().with_node(NodeSpec::new("pve2", 8, 32 << 30))).connect();
    /// # client.node("pve1").create_qemu(100, QemuConfig::new()).await?;
    /// let (ha, db) = (client.ha(), HaSid::vm(100));
    /// ha.add_resource(&db, &HaSettings::new()).await?;
    /// let home = Affinity::to_nodes("db-home", [("pve1", 2), ("pve2", 1)])
    ///     .with_resources([db])
    ///     .with_failback(true);
    /// assert_eq!(ha.ensure_affinity(&home).await?, Ensured::Created);
    /// assert_eq!(ha.ensure_affinity(&home).await?, Ensured::Unchanged);
    /// assert_eq!(ha.affinity("db-home").await?.as_ref(), Some(&home));
    /// assert_eq!(ha.affinities().await?, [home]);
    /// assert_eq!(ha.remove_affinity("db-home").await?, Removed::Removed);
    /// # Ok(()) }
    /// # #[cfg(not(feature = "simulator"))] fn main() {}
    /// ```
    ///
    /// # Errors
    /// [`Kind::NotFound`] for a resource that is not managed or a node that does not exist; [`Kind::Parameter`] if the
    /// server finds the rule impossible; [`Kind::NotImplemented`] if the server has groups and the wish needs rules;
    /// [`Kind::InvalidInput`] without nodes, or for a rule of the name that has another type.
    pub async fn ensure_affinity(&self, wanted: &Affinity) -> Result<Ensured> {
        wanted.check()?;
        match self.model().await? {
            Groups => self.ensure_group(wanted).await,
            Rules => self.ensure_rule(wanted).await,
        }
    }

    async fn ensure_rule(&self, wanted: &Affinity) -> Result<Ensured> {
        let (kind, settings) = wanted.as_rule();
        let rules = self.at(Method::Get, Rules, None);
        let rules: Vec<Map<String, Value>> = self.0.fetch(rules).await?;
        let name_of = |rule: &Map<String, Value>| rule.get("rule").and_then(from_value::<String>);
        let migrated = format!("{MIGRATED}{}", wanted.name);
        let own = |name: &str| {
            rules
                .iter()
                .any(|rule| name_of(rule).as_deref() == Some(name))
        };
        let name = match own(&wanted.name) {
            false if own(&migrated) => migrated,
            _ => wanted.name.clone(),
        };
        let other = rules
            .iter()
            .filter(|rule| name_of(rule).as_ref() == Some(&name))
            .find_map(|rule| rule.get("type").and_then(from_value::<String>))
            .filter(|have| have != kind);
        if let Some(other) = other {
            let text = format!("HA rule {name} is of type {other}, and a type cannot be changed");
            return Err(Error::invalid(text));
        }
        let entry = Entry {
            client: &self.0,
            read: self.at(Method::Get, Rules, Some(&name)),
            create: self
                .at(Method::Post, Rules, None)
                .with("rule", name.as_str())
                .with("type", kind),
            change: self.at(Method::Put, Rules, Some(&name)).with("type", kind),
            what: format!("HA rule {name}"),
        };
        let (ensured, _) = entry.ensure(&settings).await?;
        let Some(failback) = wanted.failback else {
            return Ok(ensured);
        };
        let settings = HaSettings::new().with_failback(failback);
        let mut moved = false;
        for sid in &wanted.resources {
            moved |= self.ensure_resource(sid, &settings).await? != Ensured::Unchanged;
        }
        Ok(with_more(ensured, moved, "failback"))
    }

    async fn ensure_group(&self, wanted: &Affinity) -> Result<Ensured> {
        let AffinityKind::Nodes { nodes, strict } = &wanted.kind else {
            return Err(wanted.needs_rules());
        };
        if !wanted.enabled {
            return Err(wanted.needs_rules());
        }
        let name = wanted.name.as_str();
        let mut settings = Settings::default();
        settings.list("nodes", nodes.iter().map(NodePriority::to_string));
        settings.flag("restricted", *strict, false);
        if let Some(failback) = wanted.failback {
            settings.flag("nofailback", !failback, false);
        }
        if let Some(comment) = &wanted.comment {
            settings.text("comment", comment);
        }
        let entry = Entry {
            client: &self.0,
            read: self.at(Method::Get, Groups, Some(name)),
            create: self.at(Method::Post, Groups, None).with("group", name),
            change: self.at(Method::Put, Groups, Some(name)),
            what: format!("HA group {name}"),
        };
        let resources = self.resources().await?;
        // A group does not name its resources, so the server could not refuse those that are not managed.
        let managed: BTreeSet<HaSid> = resources.iter().map(|known| known.sid.clone()).collect();
        if let Some(sid) = wanted.resources.difference(&managed).next() {
            let text = format!("resource '{sid}' is not HA managed");
            let doing = format!("setting up HA group {name}");
            return Err(Error::new(Kind::NotFound, text).doing(doing));
        }
        let (ensured, _) = entry.ensure(&settings).await?;
        let mut moved = false;
        for resource in resources {
            let is_in = resource.group.as_deref() == Some(name);
            let mut settings = HaSettings::new();
            match (wanted.resources.contains(&resource.sid), is_in) {
                (true, false) => settings.0.text("group", name),
                (false, true) => settings.0.unset("group"),
                _ => continue,
            }
            self.ensure_resource(&resource.sid, &settings).await?;
            moved = true;
        }
        Ok(with_more(ensured, moved, "resources"))
    }

    /// Removes an affinity; its resources stay managed.
    ///
    /// Example: see [`ensure_affinity`](Self::ensure_affinity).
    pub async fn remove_affinity(&self, name: &str) -> Result<Removed> {
        let model = self.model().await?;
        // The server removes what is not there without a word.
        let found = self.affinities_of(model).await?;
        let Some(known) = found.iter().find(|affinity| affinity.is_called(name)) else {
            return Ok(Removed::Absent);
        };
        if model == Groups {
            for sid in &known.resources {
                let mut settings = HaSettings::new();
                settings.0.unset("group");
                self.ensure_resource(sid, &settings).await?;
            }
        }
        let request = self.at(Method::Delete, model, Some(&known.name));
        remove(&self.0, request, &format!("HA affinity {}", known.name)).await
    }
}

fn with_more(ensured: Ensured, more: bool, name: &str) -> Ensured {
    match (ensured, more) {
        (Ensured::Unchanged, true) => Ensured::Updated(vec![name.to_owned()]),
        (Ensured::Updated(mut names), true) => {
            names.push(name.to_owned());
            Ensured::Updated(names)
        }
        (ensured, _) => ensured,
    }
}
