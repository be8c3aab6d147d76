//! Patches: changes to a configuration, written as text or built with types.

use crate::config::{Document, MachineConfig};
use crate::error::{Error, ErrorKind};

mod build;
mod merge;

pub use build::{Interface, PatchBuilder, UserVolume};

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
}

#[derive(Clone, PartialEq)]
enum Step {
    Merge(Document),
    /// Removes a document; one that is absent is passed over.
    DeleteDocument {
        kind: &'static str,
        name: Option<String>,
    },
}

impl std::fmt::Debug for Patch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut list = f.debug_list();
        for step in &self.steps {
            match step {
                Step::Merge(document) => list.entry(&document.print(Some("[redacted]"))),
                Step::DeleteDocument { kind, name } => list.entry(&(kind, name)),
            };
        }
        list.finish()
    }
}

impl Patch {
    /// Reads a strategic-merge patch: documents that may be incomplete.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidPatch`] with line and column of everything that does not fit the documents' schema.
    pub fn load(text: &str) -> Result<Self, Error> {
        let config = MachineConfig::read(text, true).map_err(|error| {
            Error::new(ErrorKind::InvalidPatch, "the patch does not load")
                .with_problems(error.problems().to_vec())
                .with_source(error.message().to_owned())
        })?;
        Ok(Self {
            steps: config.documents.into_iter().map(Step::Merge).collect(),
        })
    }

    /// A builder for the settings of a version contract.
    pub fn builder(contract: crate::VersionContract) -> PatchBuilder {
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
                Step::DeleteDocument { kind, name } => {
                    out.documents.retain(|document| {
                        document.kind != Some(kind)
                            || name
                                .as_deref()
                                .is_some_and(|name| document.name() != Some(name))
                    });
                }
            }
        }
        Ok(out)
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
