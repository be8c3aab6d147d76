//! Machine configuration: documents read strictly, asked by name, printed byte for byte as the reference prints them.

use std::borrow::Cow;
use std::fmt;

use zeroize::Zeroizing;

use crate::error::{Error, ErrorKind, Problem};
use crate::quote::quote;
use crate::schema::{DocumentKind, Schema, Struct};
use crate::value::{Map, Value};
use crate::version::VersionContract;
use crate::yaml::print::{self, Out};
use crate::yaml::{Node, NodeKind, parse};

pub(crate) mod decode;
pub(crate) mod encode;
mod facts;
mod keys;
mod typed;

pub use facts::{InlineManifest, MachineType};
pub use typed::DocumentChange;

const API_VERSION: &str = "v1alpha1";

/// A machine configuration: the main document and any number of further ones.
///
/// `Debug` shows it with every secret replaced. Text is wiped from memory on drop.
#[derive(Clone, Default, PartialEq)]
pub struct MachineConfig {
    pub(crate) documents: Vec<Document>,
}

#[derive(Clone)]
pub(crate) struct Document {
    /// `None` is the main document.
    pub(crate) kind: Option<&'static str>,
    /// As written; nearly always `v1alpha1`.
    pub(crate) version: Cow<'static, str>,
    pub(crate) values: Map,
    /// Dotted paths of lists and mappings that were written out empty: they print as absent, yet Talos takes some for set.
    pub(crate) blank: Vec<String>,
}

/// Documents that print the same are the same.
impl PartialEq for Document {
    fn eq(&self, other: &Self) -> bool {
        (self.kind, &self.version, &self.values) == (other.kind, &other.version, &other.values)
    }
}

impl Document {
    pub(crate) fn main() -> Self {
        Self {
            kind: None,
            version: Cow::Borrowed(API_VERSION),
            values: Map::default(),
            blank: Vec::new(),
        }
    }

    /// An empty document; the kind must be one of the schema's.
    pub(crate) fn of(kind: &str) -> Self {
        let kind = Schema::get().kind(kind).map(|kind| kind.kind);
        debug_assert!(kind.is_some(), "a kind of the schema");
        Self {
            kind,
            version: Cow::Borrowed(API_VERSION),
            values: Map::default(),
            blank: Vec::new(),
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
            && self.version == other.version
            && self.name().unwrap_or_default() == other.name().unwrap_or_default()
    }

    pub(crate) fn at(&self, path: &str) -> Option<&Value> {
        let (head, rest) = path
            .split_once('.')
            .map_or((path, None), |(head, rest)| (head, Some(rest)));
        let value = self.values.get(head)?;
        rest.map_or(Some(value), |rest| value.at(rest))
    }

    /// Whether a field is set in the eyes of Talos, be it to an empty list or mapping.
    pub(crate) fn is_set(&self, path: &str) -> bool {
        self.at(path).is_some() || self.blank.iter().any(|blank| blank == path)
    }

    pub(crate) fn print(&self, redact: encode::Redaction<'_>) -> Zeroizing<String> {
        let mut text = Zeroizing::new(String::with_capacity(self.values.printed_size()));
        self.print_to(&mut text, redact);
        text
    }

    fn print_to(&self, text: &mut String, redact: encode::Redaction<'_>) {
        let mut pairs: Vec<(Cow<'_, str>, Out<'_>)> = Vec::new();
        if let Some(kind) = self.kind {
            pairs.push((
                "apiVersion".into(),
                Out::Text(Cow::Borrowed(&*self.version)),
            ));
            pairs.push(("kind".into(), Out::Text(kind.into())));
        }
        pairs.extend(encode::structure(self.shape(), &self.values, redact));
        print::document(text, &Out::Map(pairs));
    }
}

impl MachineConfig {
    /// Reads a configuration strictly.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidConfig`] with every problem found: broken YAML, unknown document kinds and keys, wrong types,
    /// documents that exist twice. Each has line and column, and an unknown key [what stands below
    /// it](crate::Problem::subtree).
    pub fn load(text: &str) -> Result<Self, Error> {
        Self::load_as(text, None)
    }

    /// Reads a configuration as a node of this Talos version does: kinds, keys and values that came later are unknown too, and
    /// say [when they came](crate::Problem::introduced).
    ///
    /// ```
    /// use talos_client::{MachineConfig, VersionContract};
    ///
    /// let text = "machine:\n  install:\n    disk: /dev/sda\n    grubUseUKICmdline: true\n";
    /// let error = MachineConfig::load_for(text, VersionContract::new(1, 11)).unwrap_err();
    /// let problem = &error.problems()[0];
    /// assert_eq!((problem.line, problem.column), (Some(4), Some(5)));
    /// assert_eq!(problem.introduced, Some(VersionContract::new(1, 12)));
    /// assert_eq!(problem.subtree(), Some("grubUseUKICmdline: true\n"));
    /// ```
    ///
    /// # Errors
    /// As [`load`](Self::load).
    pub fn load_for(text: &str, version: VersionContract) -> Result<Self, Error> {
        Self::load_as(text, Some(version))
    }

    fn load_as(text: &str, version: Option<VersionContract>) -> Result<Self, Error> {
        let nodes = parse::documents(text).map_err(|syntax| {
            let problem = Problem::at(syntax.line, syntax.column, "", syntax.message);
            Error::new(
                ErrorKind::InvalidConfig,
                "the configuration is not valid YAML",
            )
            .with_problems(vec![problem])
        })?;
        Self::from_nodes(nodes, version)
    }

    pub(crate) fn from_nodes(
        nodes: Vec<Node>,
        version: Option<VersionContract>,
    ) -> Result<Self, Error> {
        let mut problems = Vec::new();
        let mut documents: Vec<Document> = Vec::new();
        for node in nodes.iter().filter(|node| !node.is_null()) {
            let Some(document) = read_document(node, version, &mut problems) else {
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

    /// Documents that cannot stand side by side: two that make one link, one volume name or one shared address.
    pub(crate) fn check_conflicts(&self) -> Result<(), Error> {
        const LINKS: [&str; 8] = [
            "BondConfig",
            "BridgeConfig",
            "DummyLinkConfig",
            "LinkConfig",
            "VethConfig",
            "VLANConfig",
            "VRFConfig",
            "WireguardConfig",
        ];
        const GROUPS: [&[&str]; 3] = [
            &LINKS,
            &["ExistingVolumeConfig", "UserVolumeConfig"],
            &["HCloudVIPConfig", "Layer2VIPConfig"],
        ];
        let mut problems = Vec::new();
        // Owners of links by name.
        let mut claimed: Vec<(&str, String)> = Vec::new();
        for (index, document) in self.documents.iter().enumerate() {
            let Some(kind) = document.kind else { continue };
            let name = document.name().unwrap_or_default();
            let title = format!("{kind}/{name}");
            let group = GROUPS.iter().find(|group| group.contains(&kind));
            let other = self.documents[..index].iter().find(|other| {
                let rival = other.kind.is_some_and(|other| {
                    other != kind && group.is_some_and(|group| group.contains(&other))
                });
                rival && other.name().unwrap_or_default() == name
            });
            if let Some(other) = other {
                let other = other.kind.unwrap_or_default();
                let message = format!("conflicting documents: {other}/{name} and {title}");
                problems.push(Problem::new("", message));
                continue;
            }
            if !LINKS.contains(&kind) {
                continue;
            }
            let peer = document.at("peer.name").and_then(Value::as_text);
            let peer = (kind == "VethConfig").then(|| peer.unwrap_or_default());
            for link in std::iter::once(name).chain(peer) {
                match claimed.iter().find(|(known, _)| *known == link) {
                    Some((_, owner)) => {
                        let message = format!(
                            "conflicting link configurations: {owner} and {title} both configure {}",
                            quote(link)
                        );
                        problems.push(Problem::new("", message));
                    }
                    None => claimed.push((link, title.clone())),
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
        self.print(None)
    }

    /// The text with every secret replaced by `replacement`.
    pub fn to_redacted_yaml(&self, replacement: &str) -> String {
        self.print(Some(replacement)).to_string()
    }

    fn print(&self, redact: encode::Redaction<'_>) -> Zeroizing<String> {
        let size = |document: &Document| document.values.printed_size();
        let size = self.documents.iter().map(size).sum();
        let mut text = Zeroizing::new(String::with_capacity(size));
        for (index, document) in self.documents.iter().enumerate() {
            if index > 0 {
                text.push_str("---\n");
            }
            document.print_to(&mut text, redact);
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

    /// The documents by `apiVersion/kind`; the main one is `/v1alpha1`.
    pub fn document_kinds(&self) -> Vec<String> {
        let kind = |document: &Document| match document.kind {
            Some(kind) => format!("{}/{kind}", document.version),
            None => format!("/{API_VERSION}"),
        };
        self.documents.iter().map(kind).collect()
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

/// Reads a document, as a node of a version does where one is given.
pub(crate) fn read_document(
    node: &Node,
    version: Option<VersionContract>,
    problems: &mut Vec<Problem>,
) -> Option<Document> {
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
    decode::check_keys(node, problems);
    if problems.len() > before {
        return None;
    }
    let found = match header(node) {
        Ok(found) => found,
        Err(message) => {
            problems.push(Problem::at(node.line, node.column, "", message));
            return None;
        }
    };
    let schema = Schema::get();
    let at = version;
    let message = match found {
        Header {
            kind: "",
            by_key: true,
            ..
        } => return read_main(node, at, problems),
        Header { kind: "", .. } => {
            "missing kind (a document without `kind` needs `machine` or `cluster`)".to_owned()
        }
        Header {
            kind,
            by_key: false,
            version: "",
        } => {
            format!("{kind}: missing apiVersion")
        }
        Header {
            kind,
            by_key,
            version,
        } => match schema.kind(kind) {
            Some(kind) if at.is_some_and(|at| !at.at_least(kind.since)) => {
                let message = decode::introduced(kind.since);
                let problem = Problem::at(node.line, node.column, kind.kind, message)
                    .with_introduced(kind.since)
                    .with_subtree(decode::subtree(node));
                problems.push(problem);
                return None;
            }
            Some(kind) if by_key => {
                let version = text_of(node, "apiVersion").to_owned();
                return read_kind(kind, version, node, at, problems);
            }
            Some(kind) => format!(
                "{}: apiVersion must be {API_VERSION}, not `{version}`",
                kind.kind
            ),
            None => format!(
                "\"{kind}\" \"{version}\": not registered (no document of this kind is known)"
            ),
        },
    };
    problems.push(Problem::at(node.line, node.column, "", message));
    None
}

fn text_of<'n>(node: &'n Node, key: &str) -> &'n str {
    node.get(key).and_then(Node::as_text).unwrap_or_default()
}

/// How Talos tells documents apart.
struct Header<'n> {
    kind: &'n str,
    version: &'n str,
    /// The version is `v1alpha1`, written or because of a key of the main document.
    by_key: bool,
}

/// Talos goes through keys and values alike: after the word `kind` comes the kind, whether it stood as a key or as a value.
fn header(node: &Node) -> Result<Header<'_>, String> {
    let NodeKind::Mapping(pairs) = &node.kind else {
        return Err("a document must be a mapping".to_owned());
    };
    let content: Vec<&Node> = pairs.iter().flat_map(|(key, value)| [key, value]).collect();
    let mut found = Header {
        kind: "",
        version: "",
        by_key: false,
    };
    for (index, word) in content.iter().enumerate() {
        let Some(word) = word.as_text() else { continue };
        match word {
            "kind" | "apiVersion" => {
                let Some(next) = content.get(index + 1) else {
                    return Err(format!(
                        "the value `{word}` stands last, where Talos looks for what follows it"
                    ));
                };
                let Some(text) = next.as_text() else {
                    return Err(format!("{word} decode: text is needed"));
                };
                if next.is_null() {
                    continue;
                }
                if word == "kind" {
                    found.kind = text;
                } else {
                    found.version = text;
                    found.by_key = text == API_VERSION;
                }
            }
            "machine" | "cluster" | "debug" | "persist" => {
                found.version = API_VERSION;
                found.by_key = true;
            }
            _ => {}
        }
    }
    Ok(found)
}

fn read_main(
    node: &Node,
    at: Option<VersionContract>,
    problems: &mut Vec<Problem>,
) -> Option<Document> {
    let shape = Schema::get().main();
    let (values, blank) = decode(shape, node, &[], (API_VERSION, at), problems)?;
    Some(Document {
        values,
        blank,
        ..Document::main()
    })
}

fn read_kind(
    kind: &'static DocumentKind,
    version: String,
    node: &Node,
    at: Option<VersionContract>,
    problems: &mut Vec<Problem>,
) -> Option<Document> {
    let shape = Schema::get().structure(kind.id);
    let skip = ["apiVersion", "kind"];
    let (values, blank) = decode(shape, node, &skip, (kind.kind, at), problems)?;
    Some(Document {
        kind: Some(kind.kind),
        version: if version == API_VERSION {
            Cow::Borrowed(API_VERSION)
        } else {
            Cow::Owned(version)
        },
        values,
        blank,
    })
}

fn decode(
    shape: &Struct,
    node: &Node,
    skip: &[&str],
    (title, at): (&str, Option<VersionContract>),
    problems: &mut Vec<Problem>,
) -> Option<(Map, Vec<String>)> {
    let mut findings = decode::Findings::default();
    let values = decode::Decoder::new(&mut findings)
        .for_version(at)
        .structure(shape, node, skip);
    let clean = findings.problems.is_empty() && findings.unknown.is_empty();
    let place = |path: &str| {
        if title == API_VERSION {
            path.to_owned()
        } else {
            format!("{title} {path}")
        }
    };
    for mut problem in findings.problems {
        problem.path = place(&problem.path.replace(".[", "["));
        problems.push(problem);
    }
    for unknown in findings.unknown {
        let path = unknown.path.join(".").replace(".[", "[");
        let at = |message: &str| Problem::at(unknown.line, unknown.column, place(&path), message);
        let problem = match unknown.since {
            0 => at("unknown key"),
            since => at(&decode::introduced(since)).with_introduced(since),
        };
        problems.push(problem.with_subtree(unknown.subtree));
    }
    clean.then_some((values, findings.blank))
}
