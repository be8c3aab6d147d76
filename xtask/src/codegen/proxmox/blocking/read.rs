//! The crate's public items and methods, with paths that hold everywhere.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use anyhow::Context;
use quote::ToTokens as _;
use syn::visit_mut::VisitMut;

/// What there is to make twins of, by public path.
#[derive(Default)]
pub(super) struct Model {
    pub(super) items: BTreeMap<String, Item>,
    /// What public names of handles stand for.
    pub(super) aliases: BTreeMap<String, syn::Type>,
}

/// A public type and its public methods.
#[derive(Default)]
pub(super) struct Item {
    pub(super) generics: syn::Generics,
    pub(super) docs: Vec<String>,
    pub(super) is_clone: bool,
    pub(super) is_debug: bool,
    pub(super) is_display: bool,
    /// Whether it is a stream of bytes in both directions.
    pub(super) is_stream: bool,
    /// The attribute that keeps it behind a feature.
    pub(super) gate: Option<String>,
    pub(super) must_use: Option<String>,
    /// What a struct without private fields, or an enum, is made of.
    pub(super) shape: Shape,
    pub(super) methods: Vec<Method>,
    /// What awaiting a value of it gives.
    pub(super) awaited: Option<syn::Type>,
}

#[derive(Default)]
pub(super) enum Shape {
    #[default]
    Opaque,
    Struct(syn::Fields),
    Enum(Vec<syn::Variant>),
}

/// A public method; all paths in the signature are public and absolute, `Self` and generics aside.
pub(super) struct Method {
    pub(super) docs: Vec<String>,
    /// The attribute that keeps it behind a feature.
    pub(super) gate: Option<String>,
    pub(super) must_use: Option<String>,
    pub(super) signature: syn::Signature,
    /// A path in the signature has no public form.
    pub(super) is_private: bool,
}

/// Where names of the crate can be found from outside.
struct Public {
    /// Module and name of what the crate's root exports.
    root: BTreeSet<(String, String)>,
    modules: BTreeSet<String>,
}

impl Public {
    fn read(lib: &syn::File) -> Self {
        let mut public = Self {
            root: BTreeSet::new(),
            modules: BTreeSet::new(),
        };
        for item in &lib.items {
            match item {
                syn::Item::Use(item) if is_public(&item.vis) => {
                    for (name, path) in imports(&item.tree) {
                        if let Some(module) = path.first() {
                            public.root.insert((module.clone(), name));
                        }
                    }
                }
                syn::Item::Mod(item) if is_public(&item.vis) => {
                    public.modules.insert(item.ident.to_string());
                }
                _ => {}
            }
        }
        public
    }

    fn path(&self, module: &str, name: &str) -> Option<String> {
        let exported = (module.to_owned(), name.to_owned());
        if self.root.contains(&exported) {
            return Some(format!("crate::{name}"));
        }
        if self.modules.contains(module) {
            return Some(format!("crate::{module}::{name}"));
        }
        let elsewhere = self.root.iter().any(|(_, exported)| exported == name);
        elsewhere.then(|| format!("crate::{name}"))
    }
}

fn is_public(visibility: &syn::Visibility) -> bool {
    matches!(visibility, syn::Visibility::Public(_))
}

/// Each name that a `use` brings, with its whole path.
fn imports(tree: &syn::UseTree) -> Vec<(String, Vec<String>)> {
    match tree {
        syn::UseTree::Path(path) => {
            let mut all = imports(&path.tree);
            for (_, segments) in &mut all {
                segments.insert(0, path.ident.to_string());
            }
            all
        }
        syn::UseTree::Name(name) => vec![(name.ident.to_string(), vec![name.ident.to_string()])],
        syn::UseTree::Rename(rename) => {
            vec![(rename.rename.to_string(), vec![rename.ident.to_string()])]
        }
        syn::UseTree::Group(group) => group.items.iter().flat_map(imports).collect(),
        syn::UseTree::Glob(_) => Vec::new(),
    }
}

/// What every file knows without importing it.
const PRELUDE: &[&str] = &[
    "AsRef",
    "Box",
    "Clone",
    "Copy",
    "Default",
    "Fn",
    "FnMut",
    "FnOnce",
    "From",
    "Into",
    "IntoIterator",
    "Iterator",
    "Option",
    "Self",
    "Send",
    "String",
    "Sync",
    "ToString",
    "Vec",
    "bool",
    "char",
    "f32",
    "f64",
    "i16",
    "i32",
    "i64",
    "i8",
    "str",
    "u16",
    "u32",
    "u64",
    "u8",
    "usize",
];

/// Crates whose paths stay as they are.
const OUTSIDE: &[&str] = &[
    "core",
    "futures",
    "secrecy",
    "serde",
    "serde_json",
    "std",
    "tokio",
    "url",
];

/// Makes the paths of one file absolute and public.
struct Resolver<'a> {
    public: &'a Public,
    /// The file's module, from the root.
    module: Vec<String>,
    imports: BTreeMap<String, Vec<String>>,
    generics: BTreeSet<String>,
    is_private: bool,
    /// The attribute that keeps the file behind a feature.
    gate: Option<String>,
}

impl Resolver<'_> {
    fn resolve(&self, path: &syn::Path) -> Option<String> {
        let mut names: Vec<String> = path
            .segments
            .iter()
            .map(|segment| segment.ident.to_string())
            .collect();
        let first = names.first()?.clone();
        if let Some(imported) = self.imports.get(&first) {
            names.splice(0..1, imported.iter().cloned());
        } else if PRELUDE.contains(&first.as_str()) || self.generics.contains(&first) {
            return Some(names.join("::"));
        }
        let first = names.first()?.as_str();
        if OUTSIDE.contains(&first) {
            return Some(names.join("::"));
        }
        let last = names.last()?.clone();
        if last == "Result" {
            return Some("crate::Result".to_owned());
        }
        let absolute: Vec<String> = match first {
            "crate" => names.get(1..)?.to_vec(),
            "super" => {
                let up = names.iter().take_while(|name| *name == "super").count();
                let kept = self.module.len().checked_sub(up)?;
                let mut all = self.module.get(..kept)?.to_vec();
                all.extend(names.get(up..)?.iter().cloned());
                all
            }
            _ => {
                let mut all = self.module.clone();
                all.extend(names);
                all
            }
        };
        self.public.path(absolute.first()?, &last)
    }
}

impl VisitMut for Resolver<'_> {
    fn visit_path_mut(&mut self, path: &mut syn::Path) {
        syn::visit_mut::visit_path_mut(self, path);
        let Some(resolved) = self.resolve(path) else {
            self.is_private = true;
            return;
        };
        let Ok(mut new) = syn::parse_str::<syn::Path>(&resolved) else {
            self.is_private = true;
            return;
        };
        if let (Some(new), Some(old)) = (new.segments.last_mut(), path.segments.last()) {
            new.arguments = old.arguments.clone();
        }
        *path = new;
    }

    fn visit_attribute_mut(&mut self, _: &mut syn::Attribute) {}
}

fn names_of(generics: &syn::Generics) -> impl Iterator<Item = String> {
    generics
        .type_params()
        .map(|parameter| parameter.ident.to_string())
}

fn docs(attributes: &[syn::Attribute]) -> Vec<String> {
    attributes
        .iter()
        .filter_map(|attribute| match &attribute.meta {
            syn::Meta::NameValue(meta) if meta.path.is_ident("doc") => match &meta.value {
                syn::Expr::Lit(syn::ExprLit {
                    lit: syn::Lit::Str(text),
                    ..
                }) => Some(text.value().trim().to_owned()),
                _ => None,
            },
            _ => None,
        })
        .collect()
}

fn must_use(attributes: &[syn::Attribute]) -> Option<String> {
    let attribute = attributes
        .iter()
        .find(|attribute| attribute.path().is_ident("must_use"))?;
    Some(attribute.to_token_stream().to_string())
}

/// The attribute that keeps something behind a feature.
fn gate(attributes: &[syn::Attribute]) -> Option<String> {
    let attribute = attributes
        .iter()
        .find(|attribute| attribute.path().is_ident("cfg"))?;
    let text = attribute.to_token_stream().to_string();
    text.contains("feature").then_some(text)
}

fn derives(attributes: &[syn::Attribute], name: &str) -> bool {
    attributes
        .iter()
        .filter(|attribute| attribute.path().is_ident("derive"))
        .any(|attribute| {
            let text = attribute.meta.to_token_stream().to_string();
            text.split(|c: char| !c.is_alphanumeric())
                .any(|word| word == name)
        })
}

/// The module of a file, from the root.
fn module(path: &Path) -> Vec<String> {
    path.with_extension("")
        .iter()
        .map(|part| part.to_string_lossy().into_owned())
        .collect()
}

/// Reads all files; one of them is `lib.rs`.
pub(super) fn model(texts: &[(PathBuf, String)]) -> anyhow::Result<Model> {
    let mut parsed = Vec::new();
    for (path, text) in texts {
        let file = syn::parse_file(text).with_context(|| format!("parsing {}", path.display()))?;
        parsed.push((path, file));
    }
    let lib = parsed
        .iter()
        .find(|(path, _)| path.as_os_str() == "lib.rs")
        .context("no lib.rs")?;
    let public = Public::read(&lib.1);
    let gates = Gates::read(&parsed);
    let mut model = Model::default();
    for (path, file) in &parsed {
        let mut resolver = Resolver {
            public: &public,
            module: module(path),
            imports: BTreeMap::new(),
            generics: BTreeSet::new(),
            is_private: false,
            gate: gates.of(&module(path)),
        };
        for item in &file.items {
            if let syn::Item::Use(item) = item {
                resolver.imports.extend(imports(&item.tree));
            }
        }
        for item in &file.items {
            model.read(item, &mut resolver);
        }
    }
    let aliases = Aliases(&model.aliases);
    for item in model.items.values_mut() {
        item.expand(aliases);
    }
    Ok(model)
}

/// Which modules are behind features.
struct Gates(BTreeMap<Vec<String>, String>);

impl Gates {
    fn read(files: &[(&PathBuf, syn::File)]) -> Self {
        let mut gates = BTreeMap::new();
        for (path, file) in files {
            let mut own = module(path);
            // The root declares modules beside itself.
            own.retain(|name| name != "lib");
            for item in &file.items {
                if let syn::Item::Mod(item) = item
                    && let Some(gate) = gate(&item.attrs)
                {
                    let mut below = own.clone();
                    below.push(item.ident.to_string());
                    gates.insert(below, gate);
                }
            }
        }
        Self(gates)
    }

    /// The gate of a module, or of the one that it is in.
    fn of(&self, module: &[String]) -> Option<String> {
        let ways = (1..=module.len()).rev();
        ways.filter_map(|end| self.0.get(module.get(..end)?))
            .next()
            .cloned()
    }
}

/// Puts what an alias stands for in its place.
#[derive(Clone, Copy)]
struct Aliases<'a>(&'a BTreeMap<String, syn::Type>);

impl VisitMut for Aliases<'_> {
    fn visit_type_mut(&mut self, ty: &mut syn::Type) {
        syn::visit_mut::visit_type_mut(self, ty);
        if let syn::Type::Path(path) = ty {
            let names: Vec<String> = path
                .path
                .segments
                .iter()
                .map(|segment| segment.ident.to_string())
                .collect();
            if let Some(target) = self.0.get(&names.join("::")) {
                *ty = target.clone();
            }
        }
    }
}

impl Item {
    fn expand(&mut self, mut aliases: Aliases<'_>) {
        for method in &mut self.methods {
            aliases.visit_signature_mut(&mut method.signature);
        }
        match &mut self.shape {
            Shape::Opaque => {}
            Shape::Struct(fields) => aliases.visit_fields_mut(fields),
            Shape::Enum(variants) => {
                for variant in variants {
                    aliases.visit_fields_mut(&mut variant.fields);
                }
            }
        }
        if let Some(awaited) = &mut self.awaited {
            aliases.visit_type_mut(awaited);
        }
    }
}

/// The macro that declares a noun (its first argument) and the name of its handle (the second).
const NOUN_MACRO: &str = "mapping_noun";

/// `Handle = Named<Noun>`, as [`NOUN_MACRO`] writes it.
fn noun_alias(item: &syn::ItemMacro) -> Option<syn::ItemType> {
    if !item.mac.path.is_ident(NOUN_MACRO) {
        return None;
    }
    let text = item.mac.tokens.to_string();
    let mut arguments = text.split(',').map(str::trim);
    let (noun, handle) = (arguments.next()?, arguments.next()?);
    syn::parse_str(&format!("pub type {handle} = Named<{noun}>;")).ok()
}

impl Model {
    fn read(&mut self, item: &syn::Item, resolver: &mut Resolver<'_>) {
        match item {
            syn::Item::Struct(item) if is_public(&item.vis) => {
                let is_open = !item.fields.is_empty()
                    && item.fields.iter().all(|field| is_public(&field.vis));
                let mut fields = item.fields.clone();
                let shape =
                    match resolver.enter(&item.generics, |all| all.visit_fields_mut(&mut fields)) {
                        true if is_open => Shape::Struct(fields),
                        _ => Shape::Opaque,
                    };
                self.define(&item.ident, &item.attrs, &item.generics, shape, resolver);
            }
            syn::Item::Enum(item) if is_public(&item.vis) => {
                let mut all: Vec<syn::Variant> = item.variants.iter().cloned().collect();
                let visible = resolver.enter(&item.generics, |resolver| {
                    for variant in &mut all {
                        resolver.visit_fields_mut(&mut variant.fields);
                    }
                });
                let shape = if visible {
                    Shape::Enum(all)
                } else {
                    Shape::Opaque
                };
                self.define(&item.ident, &item.attrs, &item.generics, shape, resolver);
            }
            syn::Item::Impl(item) => self.implement(item, resolver),
            syn::Item::Type(item) if is_public(&item.vis) => self.alias(item, resolver),
            syn::Item::Macro(item) => {
                if let Some(item) = noun_alias(item) {
                    self.alias(&item, resolver);
                }
            }
            _ => {}
        }
    }

    /// A name of a handle: `pub type Zone = Named<ZoneNoun>`. The noun may have no public path, but the name has one.
    fn alias(&mut self, item: &syn::ItemType, resolver: &mut Resolver<'_>) {
        let name = syn::Path::from(item.ident.clone());
        if let syn::Type::Path(target) = item.ty.as_ref()
            && resolver.resolve(&target.path).as_deref() == Some(super::NAMED)
            && let Some(path) = resolver.resolve(&name)
            && let Ok(target) = syn::parse_str(&super::named_by(super::NAMED, &path))
        {
            self.aliases.insert(path, target);
        }
    }

    fn define(
        &mut self,
        name: &syn::Ident,
        attributes: &[syn::Attribute],
        generics: &syn::Generics,
        shape: Shape,
        resolver: &mut Resolver<'_>,
    ) {
        let path = syn::Path::from(name.clone());
        let Some(path) = resolver.resolve(&path) else {
            return;
        };
        let mut generics = generics.clone();
        resolver.enter(&generics.clone(), |all| {
            all.visit_generics_mut(&mut generics)
        });
        let item = self.items.entry(path).or_default();
        item.generics = generics;
        item.docs = docs(attributes);
        item.is_clone |= derives(attributes, "Clone");
        item.is_debug |= derives(attributes, "Debug");
        item.gate = gate(attributes).or_else(|| resolver.gate.clone());
        item.must_use = must_use(attributes);
        item.shape = shape;
    }

    fn implement(&mut self, block: &syn::ItemImpl, resolver: &mut Resolver<'_>) {
        let syn::Type::Path(target) = block.self_ty.as_ref() else {
            return;
        };
        let Some(path) = resolver.resolve(&target.path) else {
            return;
        };
        let item = self.items.entry(path).or_default();
        if let Some((_, of, _)) = &block.trait_ {
            let name = of.segments.last().map(|segment| segment.ident.to_string());
            match name.as_deref() {
                Some("Clone") => item.is_clone = true,
                Some("Debug") => item.is_debug = true,
                Some("Display") => item.is_display = true,
                Some("AsyncRead") => item.is_stream = true,
                Some("IntoFuture") => {
                    for inner in &block.items {
                        if let syn::ImplItem::Type(inner) = inner
                            && inner.ident == "Output"
                        {
                            let mut output = inner.ty.clone();
                            if resolver
                                .enter(&block.generics, |all| all.visit_type_mut(&mut output))
                            {
                                item.awaited = Some(output);
                            }
                        }
                    }
                }
                _ => {}
            }
            return;
        }
        for inner in &block.items {
            let syn::ImplItem::Fn(function) = inner else {
                continue;
            };
            if !is_public(&function.vis) {
                continue;
            }
            let mut signature = function.sig.clone();
            let mut generics = block.generics.clone();
            generics.params.extend(signature.generics.params.clone());
            let visible = resolver.enter(&generics, |all| all.visit_signature_mut(&mut signature));
            let own = gate(&function.attrs).or_else(|| gate(&block.attrs));
            item.methods.push(Method {
                docs: docs(&function.attrs),
                gate: own.or_else(|| resolver.gate.clone()),
                must_use: must_use(&function.attrs),
                signature,
                is_private: !visible,
            });
        }
    }
}

impl Resolver<'_> {
    /// Resolves something in the scope of these parameters; whether every path has a public form.
    fn enter(&mut self, generics: &syn::Generics, visit: impl FnOnce(&mut Self)) -> bool {
        self.generics = names_of(generics).collect();
        self.is_private = false;
        visit(self);
        self.generics.clear();
        !self.is_private
    }
}
