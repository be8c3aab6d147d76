//! Patches: changes to a configuration, written as text or built with types.

use zeroize::Zeroizing;

use crate::config::{Document, MachineConfig};
use crate::error::{Error, ErrorKind, Problem};
use crate::version::VersionContract;
use crate::yaml::{Node, NodeKind, parse};

mod build;
mod delete;
mod json;
mod merge;

pub use build::{Interface, PatchBuilder, RegistryMirror, SystemVolume, UserVolume, WireguardPeer};

/// Whether a patch treats quirks of the reference as facts or as mistakes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum Compatibility {
    /// What the reference does, also where it surprises.
    #[default]
    Reference,
    /// What the patch says: naming one size of a volume leaves the others alone.
    Fixed,
}

/// One patch: steps in order. `Debug` shows its texts with secrets replaced.
#[derive(Clone, PartialEq)]
pub struct Patch {
    steps: Vec<Step>,
    /// As it was read.
    text: Option<Zeroizing<String>>,
}

#[derive(Clone, PartialEq)]
enum Step {
    Merge(Document),
    /// Removes a document, or something in it; an absent document is passed over.
    Delete(delete::Delete),
    /// Removes every document of a kind.
    DeleteKind(&'static str),
    Json(Vec<json::Operation>),
}

/// A step of a patch, whether it is there to remove something, and what it is about.
pub(crate) struct Effects {
    pub(crate) step: Patch,
    pub(crate) deletes: bool,
    pub(crate) document: String,
    pub(crate) path: String,
}

impl std::fmt::Debug for Patch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut list = f.debug_list();
        for step in &self.steps {
            match step {
                Step::Merge(document) => list.entry(&document.print(Some("[redacted]")).as_str()),
                Step::Delete(delete) => list.entry(delete),
                Step::DeleteKind(kind) => list.entry(kind),
                Step::Json(operations) => list.entry(&json::describe(operations)),
            };
        }
        list.finish()
    }
}

impl Patch {
    /// Reads a patch: documents to merge, which may be incomplete and may hold `$patch: delete`, or a list of JSON patch
    /// operations (JSON or YAML).
    ///
    /// # Errors
    /// [`ErrorKind::InvalidPatch`] with line and column of everything that does not fit the documents' schema.
    pub fn load(text: &str) -> Result<Self, Error> {
        Self::load_as(text, None)
    }

    /// Reads a patch as strictly as a node of this Talos version reads a configuration: kinds, keys and values that came later
    /// are unknown. JSON patches name no keys of the schema, so nothing is known of theirs.
    ///
    /// # Errors
    /// As [`load`](Self::load).
    pub fn load_for(text: &str, version: VersionContract) -> Result<Self, Error> {
        Self::load_as(text, Some(version))
    }

    fn load_as(text: &str, version: Option<VersionContract>) -> Result<Self, Error> {
        let refused = |problems| {
            Error::new(ErrorKind::InvalidPatch, "the patch does not load").with_problems(problems)
        };
        let mut nodes = parse::documents(text).map_err(|syntax| {
            refused(vec![Problem::at(
                syntax.line,
                syntax.column,
                "",
                syntax.message,
            )])
        })?;
        let mut steps = Vec::new();
        if let [
            Node {
                kind: NodeKind::Sequence(items),
                ..
            },
        ] = nodes.as_slice()
            && items
                .iter()
                .all(|item| matches!(item.kind, NodeKind::Mapping(_)))
        {
            return Ok(Self {
                steps: vec![Step::Json(json::operations(&nodes[0])?)],
                text: Some(Zeroizing::new(text.to_owned())),
            });
        }
        if nodes.iter().all(Node::is_null) {
            // Nothing but comments is a list of no operations.
            return Ok(Self {
                steps: vec![Step::Json(Vec::new())],
                text: Some(Zeroizing::new(text.to_owned())),
            });
        }
        let (mut problems, mut silent) = (Vec::new(), true);
        for node in nodes.iter_mut().filter(|node| !node.is_null()) {
            match delete::extract(node) {
                Ok(deletes) => {
                    silent &= deletes.is_none();
                    steps.extend(deletes.into_iter().flatten().map(Step::Delete));
                }
                Err(problem) => problems.push(problem),
            }
            if !node.is_null() {
                let document = crate::config::read_document(node, version, &mut problems);
                steps.extend(document.map(Step::Merge));
            }
        }
        if problems.is_empty() && steps.is_empty() && silent {
            problems.push(Problem::at(1, 1, "", "the patch says nothing"));
        }
        if !problems.is_empty() {
            return Err(refused(problems));
        }
        // What is deleted from the main document goes first, wherever in the patch it stands.
        steps.sort_by_key(|step| !matches!(step, Step::Delete(delete) if delete.kind.is_none()));
        Ok(Self {
            steps,
            text: Some(Zeroizing::new(text.to_owned())),
        })
    }

    /// The documents that are merged, in order.
    pub(crate) fn merged(&self) -> impl Iterator<Item = &Document> {
        self.steps.iter().filter_map(|step| match step {
            Step::Merge(document) => Some(document),
            Step::Delete(_) | Step::DeleteKind(_) | Step::Json(_) => None,
        })
    }

    /// A patch of documents that name only what is to change: what is absent in them stays as it is.
    ///
    /// ```
    /// use talos_client::documents::v1alpha1::{Config, Install, Machine};
    /// use talos_client::{MachineConfig, Patch};
    ///
    /// let install = Install::new().with_disk("/dev/vda");
    /// let patch = Patch::from_documents([Config::default().with_machine(Machine::new().with_install(install))]);
    /// let config = MachineConfig::load("machine:\n  type: worker\n")?.patched(&patch)?;
    /// assert_eq!(config.install_disk(), Some("/dev/vda"));
    /// # Ok::<(), talos_client::Error>(())
    /// ```
    pub fn from_documents(
        documents: impl IntoIterator<Item = impl Into<crate::documents::Document>>,
    ) -> Self {
        let step = |document: crate::documents::Document| Step::Merge(Document::from(&document));
        Self {
            steps: documents
                .into_iter()
                .map(|document| step(document.into()))
                .collect(),
            text: None,
        }
    }

    /// The text that the patch was read from, with all secrets in it; `None` for one that a builder made.
    pub fn text(&self) -> Option<&str> {
        self.text.as_ref().map(|text| text.as_str())
    }

    /// What the patch deletes: path, document and the matched element, in order, with the position of the document in the
    /// patch.
    pub fn deletions(&self) -> Vec<String> {
        let describe = |delete: &delete::Delete| {
            let document = delete.kind.unwrap_or("v1alpha1");
            let name = delete
                .name
                .as_deref()
                .map(|name| format!("/{name}"))
                .unwrap_or_default();
            let element = delete
                .element
                .as_ref()
                .map(|(key, value)| format!(" where {key} is {value}"));
            format!(
                "{document}{name} {}{}",
                delete.path(),
                element.unwrap_or_default()
            )
        };
        let delete = |step: &Step| match step {
            Step::Delete(delete) => Some(describe(delete)),
            Step::DeleteKind(kind) => Some((*kind).to_owned()),
            Step::Merge(_) | Step::Json(_) => None,
        };
        self.steps.iter().filter_map(delete).collect()
    }

    /// The documents that are merged.
    pub(crate) fn merges(&self) -> impl Iterator<Item = &Document> {
        self.steps.iter().filter_map(|step| match step {
            Step::Merge(document) => Some(document),
            Step::Delete(_) | Step::DeleteKind(_) | Step::Json(_) => None,
        })
    }

    /// The patch step by step.
    pub(crate) fn effects(&self) -> Vec<Effects> {
        let title = |kind: Option<&str>, name: Option<&str>| {
            let kind = kind.unwrap_or("v1alpha1");
            name.map_or(kind.to_owned(), |name| format!("{kind}/{name}"))
        };
        let effects = |step: &Step| {
            let (deletes, document, path) = match step {
                Step::Merge(document) => (false, document.title(), String::new()),
                Step::Delete(delete) => (
                    true,
                    title(delete.kind, delete.name.as_deref()),
                    delete.path(),
                ),
                Step::DeleteKind(kind) => (true, (*kind).to_owned(), String::new()),
                Step::Json(operations) => {
                    (json::removes(operations), title(None, None), String::new())
                }
            };
            Effects {
                step: Self {
                    steps: vec![step.clone()],
                    text: None,
                },
                deletes,
                document,
                path,
            }
        };
        self.steps.iter().map(effects).collect()
    }

    /// A builder for the settings of a version contract.
    pub fn builder(contract: VersionContract) -> PatchBuilder {
        PatchBuilder::new(contract)
    }
}

impl MachineConfig {
    /// The configuration with a patch applied as the reference does it.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidPatch`] where free-form content of different kinds meets.
    pub fn patched(&self, patch: &Patch) -> Result<Self, Error> {
        self.patched_as(patch, Compatibility::Reference)
    }

    /// The configuration with a patch applied.
    ///
    /// # Errors
    /// As [`patched`](Self::patched).
    pub fn patched_as(&self, patch: &Patch, compatibility: Compatibility) -> Result<Self, Error> {
        let mut out = self.clone();
        for step in &patch.steps {
            match step {
                Step::Merge(document) => out.merge_document(document, compatibility)?,
                Step::Delete(delete) => out.delete(delete)?,
                Step::DeleteKind(kind) => {
                    out.documents.retain(|document| document.kind != Some(kind))
                }
                Step::Json(operations) => out = json::apply(&out, operations)?,
            }
        }
        out.check_conflicts()?;
        Ok(out)
    }

    fn delete(&mut self, delete: &delete::Delete) -> Result<(), Error> {
        if delete.path.is_empty() {
            self.documents.retain(|document| !delete.is_for(document));
            return Ok(());
        }
        let Some(document) = self
            .documents
            .iter_mut()
            .find(|document| delete.is_for(document))
        else {
            return Ok(());
        };
        delete::carry_out(delete, document).map_err(|why| {
            let message = format!("failed to delete path '{}': {why}", delete.path());
            Error::new(ErrorKind::InvalidPatch, "the patch does not apply")
                .with_problems(vec![Problem::new(document.title(), message)])
        })
    }

    fn merge_document(
        &mut self,
        patch: &Document,
        compatibility: Compatibility,
    ) -> Result<(), Error> {
        match self
            .documents
            .iter_mut()
            .find(|document| document.same_identity(patch))
        {
            Some(document) => {
                let new = patch.blank.iter().filter(|path| !document.is_set(path));
                let new: Vec<String> = new.cloned().collect();
                document.blank.extend(new);
                let shape = document.shape();
                merge::Merge::new(compatibility, document.title()).structure(
                    shape,
                    &mut document.values,
                    &patch.values,
                )
            }
            None => {
                self.documents.push(patch.clone());
                self.documents
                    .sort_by_key(|document| document.kind.is_some());
                Ok(())
            }
        }
    }
}
