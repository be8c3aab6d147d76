//! Documents of a configuration as Rust types, and back.

use super::{Document, MachineConfig};
use crate::documents::codec::Reader;
use crate::documents::{self, TypedDocument, v1alpha1};
use crate::error::{Error, ErrorKind, Problem};

/// What setting a document did.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum DocumentChange {
    /// There was none of its kind and name.
    Created,
    /// The one that was there says the same.
    Unchanged,
    /// It took the place of another of its kind and name.
    Updated,
}

impl From<&documents::Document> for Document {
    fn from(document: &documents::Document) -> Self {
        let base = match document.kind() {
            "" => Self::main(),
            kind => Self::of(kind),
        };
        Self {
            values: document.values(),
            ..base
        }
    }
}

impl Document {
    fn read<T>(&self, read: impl FnOnce(&mut Reader<'_>) -> T) -> Result<T, Error> {
        let mut reader = Reader::new(&self.values);
        let typed = read(&mut reader);
        if reader.problems.is_empty() {
            return Ok(typed);
        }
        let title = self.title();
        let place = |mut problem: Problem| {
            problem.path = match self.kind {
                Some(_) => format!("{title} {}", problem.path),
                None => problem.path,
            };
            problem
        };
        let message = format!("{title} holds values that its type cannot");
        Err(Error::new(ErrorKind::InvalidConfig, message)
            .with_problems(reader.problems.into_iter().map(place).collect()))
    }
}

impl MachineConfig {
    fn of_type<T: TypedDocument>(&self) -> impl Iterator<Item = &Document> {
        let kind = Some(T::KIND).filter(|kind| !kind.is_empty());
        self.documents
            .iter()
            .filter(move |document| document.kind == kind && document.version == T::API_VERSION)
    }

    /// The document of a kind, the first one where several exist.
    ///
    /// ```
    /// use talos_client::MachineConfig;
    /// use talos_client::documents::{AutoHostname, HostnameConfig};
    ///
    /// let config = MachineConfig::load("apiVersion: v1alpha1\nkind: HostnameConfig\nauto: stable\n")?;
    /// let hostname = config.document::<HostnameConfig>()?.expect("it is there");
    /// assert_eq!(hostname.auto, Some(AutoHostname::Stable));
    /// # Ok::<(), talos_client::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`ErrorKind::InvalidConfig`] with the place of every value that the type cannot hold, such as an empty element in a list of
    /// sections.
    pub fn document<T: TypedDocument>(&self) -> Result<Option<T>, Error> {
        let document = self.of_type::<T>().next();
        document.map(|document| document.read(T::read)).transpose()
    }

    /// All documents of a kind, in order.
    ///
    /// # Errors
    /// As [`document`](Self::document).
    pub fn documents<T: TypedDocument>(&self) -> Result<Vec<T>, Error> {
        self.of_type::<T>()
            .map(|document| document.read(T::read))
            .collect()
    }

    /// The document of a kind and name.
    ///
    /// # Errors
    /// As [`document`](Self::document).
    pub fn document_named<T: TypedDocument>(&self, name: &str) -> Result<Option<T>, Error> {
        let mut documents = self.of_type::<T>();
        let document = documents.find(|document| document.name().unwrap_or_default() == name);
        document.map(|document| document.read(T::read)).transpose()
    }

    /// The main document, with the sections of the machine and the cluster.
    ///
    /// ```
    /// use talos_client::MachineConfig;
    ///
    /// let config = MachineConfig::load("machine:\n  install:\n    disk: /dev/sda\n")?;
    /// let install = config.v1alpha1()?.and_then(|main| main.machine).and_then(|machine| machine.install);
    /// assert_eq!(install.expect("it is there").disk, "/dev/sda");
    /// # Ok::<(), talos_client::Error>(())
    /// ```
    ///
    /// # Errors
    /// As [`document`](Self::document).
    pub fn v1alpha1(&self) -> Result<Option<v1alpha1::Config>, Error> {
        self.document()
    }

    /// All documents, in printing order. Those under another `apiVersion` than `v1alpha1` have no type and are left out.
    ///
    /// # Errors
    /// As [`document`](Self::document).
    pub fn typed_documents(&self) -> Result<Vec<documents::Document>, Error> {
        let mut typed = Vec::with_capacity(self.documents.len());
        for document in &self.documents {
            if document.version != super::API_VERSION {
                continue;
            }
            let kind = document.kind.unwrap_or_default();
            typed.extend(document.read(|reader| documents::Document::read(kind, reader))?);
        }
        Ok(typed)
    }

    /// A configuration of typed documents; the main one prints first.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidConfig`] for two documents of the same kind and name, and for those that cannot stand side by side.
    pub fn from_documents(
        documents: impl IntoIterator<Item = impl Into<documents::Document>>,
    ) -> Result<Self, Error> {
        let mut config = Self::default();
        let mut problems = Vec::new();
        for document in documents {
            let document = Document::from(&document.into());
            if config
                .documents
                .iter()
                .any(|other| other.same_identity(&document))
            {
                let message = "duplicate document is not allowed";
                problems.push(Problem::new(document.title(), message));
            }
            config.documents.push(document);
        }
        if !problems.is_empty() {
            let message = "documents of the configuration exist twice";
            return Err(Error::new(ErrorKind::InvalidConfig, message).with_problems(problems));
        }
        config
            .documents
            .sort_by_key(|document| document.kind.is_some());
        config.check_conflicts()?;
        Ok(config)
    }

    /// Puts a document in the place of the one of its kind and name, or adds it.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidConfig`] when it cannot stand beside another document; nothing is changed then.
    pub fn set_document(
        &mut self,
        document: impl Into<documents::Document>,
    ) -> Result<DocumentChange, Error> {
        let document = Document::from(&document.into());
        let mut changed = self.clone();
        let place = changed
            .documents
            .iter_mut()
            .find(|other| other.same_identity(&document));
        let change = match place {
            Some(other) if *other == document => return Ok(DocumentChange::Unchanged),
            Some(other) => {
                *other = document;
                DocumentChange::Updated
            }
            None => {
                changed.documents.push(document);
                changed
                    .documents
                    .sort_by_key(|document| document.kind.is_some());
                DocumentChange::Created
            }
        };
        changed.check_conflicts()?;
        *self = changed;
        Ok(change)
    }

    /// The configuration with a document set.
    ///
    /// ```
    /// use talos_client::MachineConfig;
    /// use talos_client::documents::SysctlConfig;
    ///
    /// let config = MachineConfig::load("machine:\n  type: worker\n")?
    ///     .with_document(SysctlConfig::new().with_params([("vm.max_map_count", "262144")]))?;
    /// assert_eq!(config.document_titles(), ["v1alpha1", "SysctlConfig"]);
    /// # Ok::<(), talos_client::Error>(())
    /// ```
    ///
    /// # Errors
    /// As [`set_document`](Self::set_document).
    pub fn with_document(
        mut self,
        document: impl Into<documents::Document>,
    ) -> Result<Self, Error> {
        self.set_document(document)?;
        Ok(self)
    }

    /// Takes all documents of a kind out; answers how many there were.
    pub fn remove_documents<T: TypedDocument>(&mut self) -> usize {
        let before = self.documents.len();
        let kind = Some(T::KIND).filter(|kind| !kind.is_empty());
        self.documents
            .retain(|document| document.kind != kind || document.version != T::API_VERSION);
        before - self.documents.len()
    }

    /// Takes the document of a kind and name out; answers whether it was there.
    pub fn remove_document_named<T: TypedDocument>(&mut self, name: &str) -> bool {
        let before = self.documents.len();
        self.documents.retain(|document| {
            document.kind != Some(T::KIND)
                || document.version != T::API_VERSION
                || document.name().unwrap_or_default() != name
        });
        before > self.documents.len()
    }
}
