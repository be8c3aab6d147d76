//! The compact schema, read as far as calls need it.

use std::collections::HashMap;
use std::sync::{LazyLock, OnceLock};

use serde_json::{Map, Value};

use crate::simulator::rights::Permission;

const TEXT: &str = include_str!("../../../schema/api.json");

/// All methods.
pub(super) static TABLE: LazyLock<Table> = LazyLock::new(|| Table::read(TEXT));

/// Major and minor number of a version.
pub(in crate::simulator) type Release = (u32, u32);

/// The release that brought a method or a parameter; none if it was there before all that are told apart.
pub(super) fn release_of(described: &Value) -> Option<Release> {
    let (major, minor) = described["since"].as_str()?.split_once('.')?;
    Some((major.parse().ok()?, minor.parse().ok()?))
}

/// A method of the interface.
#[derive(Debug, Default)]
pub(super) struct Method {
    pub(super) since: Option<Release>,
    /// Whether tokens may call it.
    pub(super) token: bool,
    /// Whether it is handed on to the node that the path names.
    pub(super) routed: bool,
    /// Who may call it.
    pub(super) permission: Permission,
    /// Each parameter, numbered ones as `net[n]`, with the place of its shape.
    params: HashMap<String, usize>,
}

impl Method {
    /// All parameters that are no numbered ones.
    pub(super) fn plain(&self) -> impl Iterator<Item = (&str, &'static Value)> {
        let plain = self
            .params
            .iter()
            .filter(|(name, _)| !name.ends_with("[n]"));
        plain.map(|(name, number)| (name.as_str(), TABLE.shape(*number)))
    }

    /// What a parameter may be; none if the method has no such parameter.
    pub(super) fn shape(&self, name: &str) -> Option<&'static Value> {
        let number = self.params.get(name).or_else(|| {
            let stem = name.trim_end_matches(|c: char| c.is_ascii_digit());
            let index: u16 = name[stem.len()..].parse().ok()?;
            let last = *TABLE.bounds.get(stem)?;
            let canonical = index <= last && format!("{stem}{index}") == name;
            self.params.get(&format!("{stem}[n]")).filter(|_| canonical)
        })?;
        Some(TABLE.shape(*number))
    }
}

/// A place in the tree of paths.
#[derive(Debug, Default)]
struct Folder {
    below: HashMap<String, Folder>,
    any: Option<(String, Box<Folder>)>,
    /// Verb and the method's line.
    methods: Vec<(&'static str, Lazy<Method>)>,
}

/// A line that is read when it is first needed.
#[derive(Debug)]
struct Lazy<T> {
    line: &'static str,
    read: OnceLock<T>,
}

impl<T> Lazy<T> {
    fn new(line: &'static str) -> Self {
        Self {
            line: line.trim_end_matches(','),
            read: OnceLock::new(),
        }
    }

    fn get(&self, read: impl FnOnce(Value) -> T) -> &T {
        self.read
            .get_or_init(|| read(serde_json::from_str(self.line).unwrap_or_default()))
    }
}

/// The whole schema.
#[derive(Debug)]
pub(super) struct Table {
    bounds: HashMap<String, u16>,
    formats: Map<String, Value>,
    shapes: Vec<Lazy<Value>>,
    root: Folder,
}

impl Table {
    /// Reads the text's parts; shapes and methods, one a line, are read when they are needed.
    fn read(text: &'static str) -> Self {
        let mut table = Self {
            bounds: HashMap::new(),
            formats: Map::new(),
            shapes: Vec::new(),
            root: Folder::default(),
        };
        let part = |start: &str, end: &str| {
            let after = text.split_once(start).map_or("", |(_, after)| after);
            after.split_once(end).map_or("", |(inside, _)| inside)
        };
        table.bounds = serde_json::from_str(part("\"bounds\": ", ",\n")).unwrap_or_default();
        table.formats =
            serde_json::from_str(part("\"formats\": ", ",\n\"shapes\"")).unwrap_or_default();
        table.shapes = part("\"shapes\": [\n", "\n],")
            .lines()
            .map(Lazy::new)
            .collect();
        for line in part("\"methods\": [\n", "\n]}").lines() {
            // `{"verb":"GET","path":"/version",…`
            let mut quoted = line.split('"').skip(3).step_by(4);
            if let (Some(verb), Some(path)) = (quoted.next(), quoted.next()) {
                table.root.at(path).methods.push((verb, Lazy::new(line)));
            }
        }
        table
    }

    fn shape(&self, number: usize) -> &Value {
        static NONE: Value = Value::Null;
        self.shapes
            .get(number)
            .map_or(&NONE, |line| line.get(|shape| shape))
    }

    /// The keys of a property string that the schema only names.
    pub(super) fn format(&self, name: &str) -> Option<&Map<String, Value>> {
        self.formats.get(name)?.as_object()
    }

    /// The method of a path, and the parameters that the path holds.
    pub(super) fn find(
        &'static self,
        verb: &str,
        segments: &[String],
    ) -> Option<(&'static Method, Vec<(&'static str, String)>)> {
        let mut folder = &self.root;
        let mut of_path = Vec::new();
        let mut rest = segments;
        while let Some((segment, after)) = rest.split_first() {
            rest = after;
            if let Some(below) = folder.below.get(segment) {
                folder = below;
                continue;
            }
            let (name, below) = folder.any.as_ref()?;
            let mut value = segment.clone();
            // A volume's name or a network may hold slashes; both end their paths.
            if matches!(name.as_str(), "volume" | "cidr") {
                for more in std::mem::take(&mut rest) {
                    value = format!("{value}/{more}");
                }
            }
            of_path.push((name.as_str(), value));
            folder = below;
        }
        let (_, line) = folder.methods.iter().find(|(known, _)| *known == verb)?;
        Some((line.get(method), of_path))
    }

    /// All lines of methods.
    #[cfg(test)]
    pub(super) fn lines() -> impl Iterator<Item = Value> {
        let methods = TEXT.split_once("\"methods\": [\n").unwrap().1;
        let lines = methods.trim_end().trim_end_matches("\n]}").lines();
        lines.map(|line| serde_json::from_str(line.trim_end_matches(',')).unwrap())
    }

    /// Every shape and every format that stands in place of one.
    #[cfg(test)]
    pub(super) fn every_shape(&self) -> impl Iterator<Item = &Value> {
        let formats = self.formats.values();
        (0..self.shapes.len())
            .map(|number| self.shape(number))
            .chain(formats)
    }
}

impl Folder {
    fn at(&mut self, path: &str) -> &mut Self {
        let mut folder = self;
        for segment in path.split('/').filter(|segment| !segment.is_empty()) {
            folder = match segment.strip_prefix('{').and_then(|s| s.strip_suffix('}')) {
                Some(name) => {
                    let any = folder
                        .any
                        .get_or_insert_with(|| (name.to_owned(), Box::default()));
                    &mut *any.1
                }
                None => folder.below.entry(segment.to_owned()).or_default(),
            };
        }
        folder
    }
}

fn method(line: Value) -> Method {
    let params = line["params"].as_object().into_iter().flatten();
    Method {
        since: release_of(&line),
        token: line["token"] != false,
        routed: line["routed"] == true,
        permission: Permission::read(&line),
        params: params
            .filter_map(|(name, number)| Some((name.clone(), number.as_u64()? as usize)))
            .collect(),
    }
}
