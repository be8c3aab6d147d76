//! The shape of every document: fields in printing order, their types, and how patches merge them.
//!
//! The tables are text (`schema/*.txt`), read once. Notation, one field per line: `name type flags`.
//!
//! - types: a scalar kind, `=a|b` one of these texts, `any` (free-form), `[T]` list, `{T}` map by text, `Name` structure, `*Name` structure whose
//!   presence matters even when empty; a trailing `?` marks a scalar whose zero differs from absence
//! - `!` printed even when empty; `replace` patches replace instead of merging; `key=F` list elements merge by field F,
//!   with `whole` they take each other's place; `trimmed` line breaks and tabs that the text begins with are dropped;
//!   `secret` redacted in `Debug` and on request; `since=1.N` the first version of which every release reads the field,
//!   `value:V=1.N` the same for one of its values
//! - `as=Name` and `known=a|b` are for the Rust types alone, which `cargo xtask codegen talos` makes from these tables; comments
//!   directly above a structure or field are their documentation

use std::collections::HashMap;
use std::sync::OnceLock;

/// How text becomes a value and how the value prints.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scalar {
    String,
    Bool,
    Int,
    Int32,
    /// Unsigned, with the number of bits.
    Uint(u8),
    /// Go duration text, printed normalized (`168h0m0s`).
    Duration,
    /// Size text such as `10GiB`, kept as written.
    Size,
    /// Size with a comparison, `>= 4GB`.
    SizeMatcher,
    /// A number of bytes, also written as a size.
    DiskSize,
    /// Expression text.
    Cel,
    Url,
    Prefix,
    Addr,
    AddrPort,
    /// Base64 of binary content; absent text is an empty string.
    Base64,
    /// File mode, printed `0o644`.
    Mode,
    /// Port or range of ports.
    PortRange,
    /// Extra argument: text or list of texts.
    Arg,
    /// Bytes in hexadecimal, printed with colons.
    Hex,
    /// Which hardware address the links of a bond get: a word, or its number.
    FailOverMac,
    /// Routing table: a name or a number up to 255.
    Table,
    /// One of the texts between `|`.
    Enum(&'static str),
}

#[derive(Clone, Debug)]
pub(crate) enum Type {
    Scalar { kind: Scalar, pointer: bool },
    Any,
    List(Box<Type>),
    Map(Box<Type>),
    Struct { id: usize, pointer: bool },
}

#[derive(Clone, Debug)]
pub(crate) struct Field {
    pub(crate) name: &'static str,
    pub(crate) ty: Type,
    pub(crate) always: bool,
    pub(crate) replace: bool,
    pub(crate) secret: bool,
    /// A structure below it has secret fields.
    pub(crate) private: bool,
    pub(crate) trimmed: bool,
    pub(crate) key: Option<&'static str>,
    /// A list element takes the place of the one with its key as a whole.
    pub(crate) whole: bool,
    /// First Talos minor version (1.x) that reads it, where that is later than its structure; 0 otherwise.
    pub(crate) since: u32,
    /// Values that came later than the field, with the first minor version that reads them.
    pub(crate) later: Vec<(&'static str, u32)>,
}

impl Field {
    /// The first minor version that reads this value, where that is later than the field.
    pub(crate) fn value_since(&self, value: &str) -> u32 {
        let later = self.later.iter().find(|(known, _)| *known == value);
        later.map_or(0, |(_, since)| *since)
    }
}

#[derive(Clone, Debug)]
pub(crate) struct Struct {
    pub(crate) fields: Vec<Field>,
}

impl Struct {
    /// The encryption section of volume documents.
    pub(crate) fn is_encryption(&self) -> bool {
        self.field("allowDiscards").is_some() && self.field("keys").is_some()
    }

    pub(crate) fn field(&self, name: &str) -> Option<&Field> {
        self.fields.iter().find(|field| field.name == name)
    }
}

/// A document kind besides the main one.
#[derive(Clone, Debug)]
pub(crate) struct DocumentKind {
    pub(crate) kind: &'static str,
    pub(crate) id: usize,
    pub(crate) named: bool,
    /// First Talos minor version (1.x) that reads it, as far as the compared versions go.
    pub(crate) since: u32,
}

pub(crate) struct Schema {
    structs: Vec<Struct>,
    kinds: HashMap<&'static str, DocumentKind>,
    main: usize,
    schematic: usize,
    talosconfig: usize,
    context: usize,
}

impl Schema {
    pub(crate) fn get() -> &'static Schema {
        static SCHEMA: OnceLock<Schema> = OnceLock::new();
        SCHEMA.get_or_init(|| {
            Reader::default().read(&[
                include_str!("schema/legacy.txt"),
                include_str!("schema/documents.txt"),
                include_str!("schema/schematic.txt"),
                include_str!("schema/talosconfig.txt"),
            ])
        })
    }

    pub(crate) fn structure(&self, id: usize) -> &Struct {
        &self.structs[id]
    }

    /// The structure of the document `version: v1alpha1`.
    pub(crate) fn main(&self) -> &Struct {
        &self.structs[self.main]
    }

    /// The structure of the image factory's schematic.
    pub(crate) fn schematic(&self) -> &Struct {
        &self.structs[self.schematic]
    }

    /// The structure of a talosconfig file.
    pub(crate) fn talosconfig(&self) -> &Struct {
        &self.structs[self.talosconfig]
    }

    /// The structure of one context of a talosconfig file.
    pub(crate) fn context(&self) -> &Struct {
        &self.structs[self.context]
    }

    pub(crate) fn kind(&self, kind: &str) -> Option<&DocumentKind> {
        self.kinds.get(kind)
    }

    /// All kinds besides the main document, in no order.
    pub(crate) fn kinds(&self) -> impl Iterator<Item = &DocumentKind> {
        self.kinds.values()
    }
}

/// The structure that a type is of, or consists of.
fn below(ty: &Type) -> Option<usize> {
    match ty {
        Type::Struct { id, .. } => Some(*id),
        Type::List(inner) | Type::Map(inner) => below(inner),
        Type::Scalar { .. } | Type::Any => None,
    }
}

/// The minor version of `since=1.12`.
fn minor(since: &str) -> u32 {
    let minor = since.rsplit('.').next();
    minor
        .and_then(|minor| minor.parse().ok())
        .unwrap_or_default()
}

/// The value and its minor version of `value:btrfs=1.14`.
fn later(flag: &'static str) -> Option<(&'static str, u32)> {
    let (value, since) = flag.strip_prefix("value:")?.split_once('=')?;
    Some((value, minor(since)))
}

#[derive(Default)]
struct Reader {
    structs: Vec<Struct>,
    ids: HashMap<&'static str, usize>,
    kinds: HashMap<&'static str, DocumentKind>,
}

impl Reader {
    fn read(mut self, texts: &[&'static str]) -> Schema {
        let mut current = 0;
        for line in texts.iter().flat_map(|text| text.lines()) {
            let words: Vec<&'static str> = line.split_whitespace().collect();
            match words.as_slice() {
                [] | ["#", ..] => {}
                ["struct", name] => current = self.id(name),
                ["document", kind, _, since] => {
                    current = self.id(kind);
                    let since = minor(since);
                    self.kinds.insert(
                        kind,
                        DocumentKind {
                            kind,
                            id: current,
                            named: false,
                            since,
                        },
                    );
                }
                [name, ty, flags @ ..] => {
                    let field = Field {
                        name,
                        ty: self.ty(ty),
                        always: flags.contains(&"!"),
                        replace: flags.contains(&"replace"),
                        secret: flags.contains(&"secret"),
                        private: false,
                        trimmed: flags.contains(&"trimmed"),
                        whole: flags.contains(&"whole"),
                        key: flags.iter().find_map(|flag| flag.strip_prefix("key=")),
                        since: flags
                            .iter()
                            .find(|flag| flag.starts_with("since="))
                            .map_or(0, |flag| minor(flag)),
                        later: flags.iter().filter_map(|flag| later(flag)).collect(),
                    };
                    self.structs[current].fields.push(field);
                }
                _ => unreachable!("schema line without a type: {line}"),
            }
        }
        self.mark_private();
        for kind in self.kinds.values_mut() {
            kind.named = self.structs[kind.id]
                .fields
                .first()
                .is_some_and(|field| field.name == "name");
        }
        let names = ["Config", "Schematic", "TalosConfig", "talosconfig.Context"];
        let [main, schematic, talosconfig, context] = names.map(|name| self.ids[name]);
        Schema {
            structs: self.structs,
            kinds: self.kinds,
            main,
            schematic,
            talosconfig,
            context,
        }
    }

    /// Goes from secret fields up, until nothing new is found.
    fn mark_private(&mut self) {
        let mut known = vec![false; self.structs.len()];
        loop {
            let mut found = false;
            for id in 0..self.structs.len() {
                for field in &mut self.structs[id].fields {
                    field.private = below(&field.ty).is_some_and(|below| known[below]);
                    if (field.secret || field.private) && !known[id] {
                        (known[id], found) = (true, true);
                    }
                }
            }
            if !found {
                return;
            }
        }
    }

    fn id(&mut self, name: &'static str) -> usize {
        let structs = &mut self.structs;
        *self.ids.entry(name).or_insert_with(|| {
            structs.push(Struct { fields: Vec::new() });
            structs.len() - 1
        })
    }

    fn ty(&mut self, text: &'static str) -> Type {
        if let Some(inner) = text.strip_prefix('[') {
            return Type::List(Box::new(self.ty(inner.trim_end_matches(']'))));
        }
        if let Some(inner) = text.strip_prefix('{') {
            return Type::Map(Box::new(self.ty(inner.trim_end_matches('}'))));
        }
        if text == "any" {
            return Type::Any;
        }
        let (bare, pointer) = text
            .strip_suffix('?')
            .map_or((text, false), |bare| (bare, true));
        let kind = match bare {
            "string" | "disktype" => Scalar::String,
            "bool" => Scalar::Bool,
            "int" => Scalar::Int,
            "int32" => Scalar::Int32,
            "uint64" => Scalar::Uint(64),
            "uint" => Scalar::Uint(32),
            "uint16" => Scalar::Uint(16),
            "uint8" => Scalar::Uint(8),
            "duration" => Scalar::Duration,
            "size" => Scalar::Size,
            "sizematcher" => Scalar::SizeMatcher,
            "disksize" => Scalar::DiskSize,
            "cel" => Scalar::Cel,
            "url" => Scalar::Url,
            "prefix" => Scalar::Prefix,
            "addr" => Scalar::Addr,
            "addrport" => Scalar::AddrPort,
            "base64" => Scalar::Base64,
            "mode" => Scalar::Mode,
            "hex" => Scalar::Hex,
            "portrange" => Scalar::PortRange,
            "arg" => Scalar::Arg,
            "=none|active|follow" => Scalar::FailOverMac,
            "table" => Scalar::Table,
            _ if bare.starts_with('=') => Scalar::Enum(&bare[1..]),
            _ => {
                let (name, pointer) = text
                    .strip_prefix('*')
                    .map_or((text, false), |name| (name, true));
                return Type::Struct {
                    id: self.id(name),
                    pointer,
                };
            }
        };
        Type::Scalar { kind, pointer }
    }
}
