//! The descriptions as data.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context as _, bail};

use super::names;

/// All structures and kinds, in the order of the texts.
#[derive(Debug, Default)]
pub(super) struct Description {
    pub(super) structs: Vec<Struct>,
    pub(super) choices: Choices,
}

/// A structure; a document when it has `since`.
#[derive(Debug, Default)]
pub(super) struct Struct {
    /// As in the text: `network.RouteConfig`, `HostnameConfig`, `Install`.
    pub(super) name: String,
    /// The module it stands in.
    pub(super) room: String,
    pub(super) docs: Vec<String>,
    pub(super) since: Option<u32>,
    pub(super) fields: Vec<Field>,
}

impl Struct {
    /// The name of the Rust type.
    pub(super) fn rust_name(&self) -> &str {
        self.name
            .rsplit_once('.')
            .map_or(self.name.as_str(), |(_, name)| name)
    }

    /// The path of the Rust type.
    pub(super) fn rust_path(&self) -> String {
        format!("documents::{}::{}", self.room, self.rust_name())
    }

    /// The main document has no kind.
    pub(super) fn is_main(&self) -> bool {
        self.name == "Config"
    }

    pub(super) fn is_document(&self) -> bool {
        self.since.is_some() || self.is_main()
    }

    /// Documents of a kind that can exist more than once.
    pub(super) fn is_named(&self) -> bool {
        self.since.is_some() && self.fields.first().is_some_and(|field| field.key == "name")
    }
}

#[derive(Debug)]
pub(super) struct Field {
    pub(super) key: String,
    pub(super) ty: Type,
    pub(super) docs: Vec<String>,
    pub(super) replace: bool,
    pub(super) secret: bool,
    pub(super) merge_key: Option<String>,
    pub(super) since: Option<u32>,
}

#[derive(Clone, Debug)]
pub(super) enum Type {
    Any,
    Scalar { kind: String, optional: bool },
    Choice { name: String, optional: bool },
    List(Box<Type>),
    Map(Box<Type>),
    Struct { name: String, optional: bool },
}

/// The values of each enumeration, the zero first.
pub(super) type Choices = BTreeMap<String, Vec<String>>;

const SCALARS: [&str; 23] = [
    "string",
    "bool",
    "int",
    "int32",
    "uint64",
    "uint",
    "uint16",
    "uint8",
    "duration",
    "size",
    "sizematcher",
    "disksize",
    "cel",
    "url",
    "prefix",
    "addr",
    "addrport",
    "base64",
    "mode",
    "hex",
    "portrange",
    "arg",
    "table",
];

/// The values of the scalar `disktype`.
const DISK_TYPES: &str = "|ssd|hdd|nvme|sd|cd";

impl Description {
    pub(super) fn read(&mut self, text: &str) -> anyhow::Result<()> {
        let mut docs: Vec<String> = Vec::new();
        for (number, line) in (1..).zip(text.lines()) {
            if let Some(comment) = line.strip_prefix("# ") {
                docs.push(comment.trim().to_owned());
                continue;
            }
            let words: Vec<&str> = line.split_whitespace().collect();
            self.line(&words, std::mem::take(&mut docs))
                .with_context(|| format!("line {number}: {line}"))?;
        }
        Ok(())
    }

    fn line(&mut self, words: &[&str], docs: Vec<String>) -> anyhow::Result<()> {
        let mut begin = |name: &str, room: &str, since| {
            self.structs.push(Struct {
                name: name.to_owned(),
                room: room.to_owned(),
                docs: docs.clone(),
                since,
                fields: Vec::new(),
            });
        };
        match words {
            [] => {}
            ["struct", name] => {
                let room = name.split_once('.').map_or("v1alpha1", |(room, _)| room);
                begin(name, room, None);
            }
            ["document", kind, room, since] => begin(kind, room, Some(minor(since)?)),
            [key, ty, flags @ ..] => self.field(key, ty, flags, docs)?,
            _ => bail!("neither a structure nor a field"),
        }
        Ok(())
    }

    fn field(
        &mut self,
        key: &str,
        ty: &str,
        flags: &[&str],
        docs: Vec<String>,
    ) -> anyhow::Result<()> {
        let flag = |name: &str| flags.iter().find_map(|flag| flag.strip_prefix(name));
        let bare = ty
            .trim_start_matches(['[', '{'])
            .trim_end_matches([']', '}', '?']);
        let values = flag("known=")
            .or_else(|| bare.strip_prefix('='))
            .or_else(|| (bare == "disktype").then_some(DISK_TYPES));
        let choice = values.map(|values| {
            let name = match bare {
                "disktype" => "DiskType".to_owned(),
                _ => flag("as=").map_or_else(|| names::pascal(key), str::to_owned),
            };
            (name, values)
        });
        // The same name in two places means the union of the values.
        if let Some((name, values)) = &choice {
            let known = self.choices.entry(name.clone()).or_default();
            for value in values.split('|') {
                if !known.iter().any(|other| other == value) {
                    known.push(value.to_owned());
                }
            }
        }
        let field = Field {
            key: key.to_owned(),
            ty: read_type(ty, choice.as_ref().map(|(name, _)| name.as_str())),
            docs,
            replace: flags.contains(&"replace"),
            secret: flags.contains(&"secret"),
            merge_key: flag("key=").map(str::to_owned),
            since: flag("since=").map(minor).transpose()?,
        };
        let current = self.structs.last_mut();
        current
            .context("a field before any structure")?
            .fields
            .push(field);
        Ok(())
    }

    pub(super) fn structure(&self, name: &str) -> anyhow::Result<&Struct> {
        let found = self.structs.iter().find(|structure| structure.name == name);
        found.with_context(|| format!("no structure {name}"))
    }

    pub(super) fn documents(&self) -> impl Iterator<Item = &Struct> {
        self.structs
            .iter()
            .filter(|structure| structure.is_document())
    }

    /// The names of what documents reach.
    pub(super) fn reached(&self) -> anyhow::Result<BTreeSet<&str>> {
        let mut reached = BTreeSet::new();
        let mut todo: Vec<&Struct> = self.documents().collect();
        while let Some(structure) = todo.pop() {
            if !reached.insert(structure.name.as_str()) {
                continue;
            }
            for field in &structure.fields {
                let mut ty = &field.ty;
                while let Type::List(inner) | Type::Map(inner) = ty {
                    ty = inner;
                }
                if let Type::Struct { name, .. } = ty {
                    todo.push(self.structure(name)?);
                }
            }
        }
        Ok(reached)
    }
}

fn minor(text: &str) -> anyhow::Result<u32> {
    let minor = text.rsplit('.').next().unwrap_or_default();
    minor.parse().with_context(|| format!("no version: {text}"))
}

fn read_type(text: &str, choice: Option<&str>) -> Type {
    if let Some(rest) = text.strip_prefix('[') {
        return Type::List(Box::new(read_type(rest.trim_end_matches(']'), choice)));
    }
    if let Some(rest) = text.strip_prefix('{') {
        return Type::Map(Box::new(read_type(rest.trim_end_matches('}'), choice)));
    }
    let (bare, optional) = match text.strip_suffix('?') {
        Some(bare) => (bare, true),
        None => (text, false),
    };
    if let Some(name) = choice {
        return Type::Choice {
            name: name.to_owned(),
            optional,
        };
    }
    if bare == "any" {
        return Type::Any;
    }
    if SCALARS.contains(&bare) {
        return Type::Scalar {
            kind: bare.to_owned(),
            optional,
        };
    }
    let (name, optional) = match bare.strip_prefix('*') {
        Some(name) => (name, true),
        None => (bare, false),
    };
    Type::Struct {
        name: name.to_owned(),
        optional,
    }
}
