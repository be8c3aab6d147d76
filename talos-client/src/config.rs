//! Machine configuration: documents read strictly, asked by name, printed byte for byte as the reference prints them.

use std::fmt;

use zeroize::Zeroizing;

use crate::error::{Error, ErrorKind, Problem};
use crate::schema::{DocumentKind, Schema, Struct};
use crate::value::{Map, Value};
use crate::version::VersionContract;
use crate::yaml::print::{self, Out};
use crate::yaml::{Node, NodeKind, parse};

pub(crate) mod decode;
pub(crate) mod encode;
mod facts;
mod keys;

pub use facts::{InlineManifest, MachineType};

const API_VERSION: &str = "v1alpha1";

/// A machine configuration: the main document and any number of further ones.
///
/// `Debug` shows it with every secret replaced. Text is wiped from memory on drop.
#[derive(Clone, Default, PartialEq)]
pub struct MachineConfig {
    pub(crate) documents: Vec<Document>,
}

#[derive(Clone, PartialEq)]
pub(crate) struct Document {
    /// `None` is the main document.
    pub(crate) kind: Option<&'static str>,
    pub(crate) values: Map,
}

impl Document {
    pub(crate) fn main() -> Self {
        Self {
            kind: None,
            values: Map::default(),
        }
    }

    /// An empty document; the kind must be one of the schema's.
    pub(crate) fn of(kind: &str) -> Self {
        let kind = Schema::get().kind(kind).map(|kind| kind.kind);
        debug_assert!(kind.is_some(), "a kind of the schema");
        Self {
            kind,
            values: Map::default(),
        }
    }

    pub(crate) fn with(mut self, key: &'static str, value: impl Into<Value>) -> Self {
        self.values.set(key, value.into());
        self
    }

    pub(crate) fn with_path(mut self, path: &str, value: impl Into<Value>) -> Self {
        let mut root = Value::Map(std::mem::take(&mut self.values));
        root.put(path, value.into());
        if let Value::Map(map) = root {
            self.values = map;
        }
        self
    }

    pub(crate) fn shape(&self) -> &'static Struct {
        let schema = Schema::get();
        match self.kind.and_then(|kind| schema.kind(kind)) {
            Some(kind) => schema.structure(kind.id),
            None => schema.main(),
        }
    }

    pub(crate) fn name(&self) -> Option<&str> {
        self.kind
            .and_then(|_| self.values.get("name"))
            .and_then(Value::as_text)
    }

    /// `v1alpha1` for the main document, `Kind` or `Kind/name` otherwise.
    pub(crate) fn title(&self) -> String {
        match (self.kind, self.name()) {
            (None, _) => API_VERSION.to_owned(),
            (Some(kind), None) => kind.to_owned(),
            (Some(kind), Some(name)) => format!("{kind}/{name}"),
        }
    }

    pub(crate) fn same_identity(&self, other: &Self) -> bool {
        self.kind == other.kind
            && self.name().unwrap_or_default() == other.name().unwrap_or_default()
    }

    pub(crate) fn at(&self, path: &str) -> Option<&Value> {
        let (head, rest) = path
            .split_once('.')
            .map_or((path, None), |(head, rest)| (head, Some(rest)));
        let value = self.values.get(head)?;
        rest.map_or(Some(value), |rest| value.at(rest))
    }

    pub(crate) fn print(&self, redact: encode::Redaction<'_>) -> String {
        let mut pairs: Vec<(std::borrow::Cow<'_, str>, Out<'_>)> = Vec::new();
        if let Some(kind) = self.kind {
            pairs.push(("apiVersion".into(), Out::Text(API_VERSION.into())));
            pairs.push(("kind".into(), Out::Text(kind.into())));
        }
        let redaction = redact.map(str::to_owned);
        pairs.extend(encode::structure(
            self.shape(),
            &self.values,
            redaction.as_deref(),
        ));
        let mut text = String::new();
        print::document(&mut text, &Out::Map(pairs));
        text
    }
}

impl MachineConfig {
    /// Reads a configuration strictly.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidConfig`] with every problem found: broken YAML, unknown document kinds and keys, wrong types,
    /// documents that exist twice. Each has line and column.
    pub fn load(text: &str) -> Result<Self, Error> {
        let nodes = parse::documents(text).map_err(|syntax| {
            let problem = Problem::at(syntax.line, syntax.column, "", syntax.message);
            Error::new(
                ErrorKind::InvalidConfig,
                "the configuration is not valid YAML",
            )
            .with_problems(vec![problem])
        })?;
        Self::from_nodes(nodes)
    }

    pub(crate) fn from_nodes(nodes: Vec<Node>) -> Result<Self, Error> {
        let mut problems = Vec::new();
        let mut documents: Vec<Document> = Vec::new();
        for node in nodes.iter().filter(|node| !node.is_null()) {
            let Some(document) = read_document(node, &mut problems) else {
                continue;
            };
            if documents.iter().any(|other| other.same_identity(&document)) {
                let message = "duplicate document is not allowed";
                problems.push(Problem::at(
                    node.line,
                    node.column,
                    document.title(),
                    message,
                ));
            }
            documents.push(document);
        }
        if !problems.is_empty() {
            return Err(
                Error::new(ErrorKind::InvalidConfig, "the configuration does not load")
                    .with_problems(problems),
            );
        }
        if documents.is_empty() {
            let message = "config not found: the text holds no configuration document";
            return Err(Error::new(ErrorKind::InvalidConfig, message));
        }
        documents.sort_by_key(|document| document.kind.is_some());
        let config = Self { documents };
        config.check_conflicts()?;
        Ok(config)
    }

    /// Documents that cannot stand side by side: two that make one link or one volume name.
    pub(crate) fn check_conflicts(&self) -> Result<(), Error> {
        const LINKS: [&str; 8] = [
            "LinkConfig",
            "BondConfig",
            "BridgeConfig",
            "VLANConfig",
            "DummyLinkConfig",
            "WireguardConfig",
            "VethConfig",
            "VRFConfig",
        ];
        const GROUPS: [&[&str]; 3] = [
            &LINKS,
            &["ExistingVolumeConfig", "UserVolumeConfig"],
            &["HCloudVIPConfig", "Layer2VIPConfig"],
        ];
        let mut problems = Vec::new();
        for group in GROUPS {
            let mut seen: Vec<(&str, &Document)> = Vec::new();
            for document in self
                .documents
                .iter()
                .filter(|d| d.kind.is_some_and(|k| group.contains(&k)))
            {
                let peer = document.at("peer.name").and_then(Value::as_text);
                for name in document.name().into_iter().chain(peer) {
                    if let Some((_, other)) = seen
                        .iter()
                        .find(|(seen, other)| *seen == name && other.kind != document.kind)
                    {
                        let kind = |document: &Document| document.kind.unwrap_or_default();
                        let message = format!(
                            "conflicting documents: {}/{name} and {}/{name}",
                            kind(other),
                            kind(document)
                        );
                        problems.push(Problem::new("", message));
                    }
                    seen.push((name, document));
                }
            }
        }
        if problems.is_empty() {
            return Ok(());
        }
        Err(Error::new(
            ErrorKind::InvalidConfig,
            "the configuration contradicts itself",
        )
        .with_problems(problems))
    }

    /// The text, with all secrets, as the node stores it.
    pub fn to_yaml(&self) -> Zeroizing<String> {
        Zeroizing::new(self.print(None))
    }

    /// The text with every secret replaced by `replacement`.
    pub fn to_redacted_yaml(&self, replacement: &str) -> String {
        self.print(Some(replacement))
    }

    fn print(&self, redact: encode::Redaction<'_>) -> String {
        let mut text = String::new();
        for (index, document) in self.documents.iter().enumerate() {
            if index > 0 {
                text.push_str("---\n");
            }
            text.push_str(&document.print(redact));
        }
        text
    }

    /// Writes the text, with all secrets, for the owner only (0600): beside the target, synced, then renamed over it.
    ///
    /// # Errors
    /// [`ErrorKind::Io`].
    pub fn write_file(&self, path: &std::path::Path) -> Result<(), Error> {
        crate::file::write_private(path, self.to_yaml().as_bytes())
    }

    /// The documents by title: `v1alpha1` for the main one, else `Kind` or `Kind/name`, in printing order.
    pub fn document_titles(&self) -> Vec<String> {
        self.documents.iter().map(Document::title).collect()
    }

    /// Titles of the documents whose kind a Talos version does not have: a node of that version refuses all of it.
    pub fn documents_unknown_to(&self, version: VersionContract) -> Vec<String> {
        let too_new = |document: &&Document| {
            let kind = document.kind.and_then(|kind| Schema::get().kind(kind));
            kind.is_some_and(|kind| !version.at_least(kind.since))
        };
        self.documents
            .iter()
            .filter(too_new)
            .map(Document::title)
            .collect()
    }

    pub(crate) fn main(&self) -> Option<&Document> {
        self.documents
            .iter()
            .find(|document| document.kind.is_none())
    }

    pub(crate) fn of_kind<'a>(&'a self, kind: &'a str) -> impl Iterator<Item = &'a Document> {
        self.documents
            .iter()
            .filter(move |document| document.kind == Some(kind))
    }
}

impl fmt::Debug for MachineConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "MachineConfig(\n{})",
            self.to_redacted_yaml("[redacted]")
        )
    }
}

pub(crate) fn read_document(node: &Node, problems: &mut Vec<Problem>) -> Option<Document> {
    let NodeKind::Mapping(_) = &node.kind else {
        problems.push(Problem::at(
            node.line,
            node.column,
            "",
            "a document must be a mapping",
        ));
        return None;
    };
    let before = problems.len();
    duplicate_keys(node, problems);
    if problems.len() > before {
        return None;
    }
    let kind = node.get("kind").and_then(Node::as_text);
    let Some(kind) = kind else {
        return read_main(node, problems);
    };
    let api_version = node
        .get("apiVersion")
        .and_then(Node::as_text)
        .unwrap_or_default();
    match Schema::get().kind(kind) {
        Some(kind) if api_version == API_VERSION => read_kind(kind, node, problems),
        Some(_) => {
            let message = format!("apiVersion must be {API_VERSION}, not `{api_version}`");
            problems.push(Problem::at(node.line, node.column, kind, message));
            None
        }
        None => {
            let message = format!(
                "\"{kind}\" \"{api_version}\": not registered (no document of this kind is known)"
            );
            problems.push(Problem::at(node.line, node.column, "", message));
            None
        }
    }
}

fn read_main(node: &Node, problems: &mut Vec<Problem>) -> Option<Document> {
    let recognized = ["machine", "cluster", "debug", "persist"]
        .iter()
        .any(|key| node.get(key).is_some())
        || node.get("version").and_then(Node::as_text) == Some(API_VERSION);
    if !recognized {
        problems.push(Problem::at(
            node.line,
            node.column,
            "",
            "a document without `kind` needs `version`, `machine` or `cluster`",
        ));
        return None;
    }
    let shape = Schema::get().main();
    let values = decode(shape, node, &[], API_VERSION, problems)?;
    Some(Document { kind: None, values })
}

fn read_kind(
    kind: &'static DocumentKind,
    node: &Node,
    problems: &mut Vec<Problem>,
) -> Option<Document> {
    let shape = Schema::get().structure(kind.id);
    let values = decode(shape, node, &["apiVersion", "kind"], kind.kind, problems)?;
    Some(Document {
        kind: Some(kind.kind),
        values,
    })
}

fn decode(
    shape: &Struct,
    node: &Node,
    skip: &[&str],
    title: &str,
    problems: &mut Vec<Problem>,
) -> Option<Map> {
    let mut findings = decode::Findings::default();
    let values = decode::Decoder::new(&mut findings).structure(shape, node, skip);
    let clean = findings.problems.is_empty() && findings.unknown.is_empty();
    let place = |path: &str| {
        if title == API_VERSION {
            path.to_owned()
        } else {
            format!("{title} {path}")
        }
    };
    for mut problem in findings.problems {
        problem.path = place(&problem.path);
        problems.push(problem);
    }
    for unknown in findings.unknown {
        let path = unknown.path.join(".").replace(".[", "[");
        problems.push(Problem::at(
            unknown.line,
            unknown.column,
            place(&path),
            "unknown key",
        ));
    }
    clean.then_some(values)
}

fn duplicate_keys(node: &Node, problems: &mut Vec<Problem>) {
    match &node.kind {
        NodeKind::Mapping(pairs) => {
            let mut seen = std::collections::HashMap::new();
            for (key, value) in pairs {
                if let Some(text) = key.as_text()
                    && let Some(line) = seen.insert(text, key.line)
                {
                    let message = format!("mapping key \"{text}\" already defined at line {line}");
                    problems.push(Problem::at(key.line, key.column, "", message));
                }
                duplicate_keys(value, problems);
            }
        }
        NodeKind::Sequence(items) => items.iter().for_each(|item| duplicate_keys(item, problems)),
        NodeKind::Scalar { .. } => {}
    }
}
