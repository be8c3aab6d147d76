//! What a node of a given Talos version refuses, before anything is sent to it.

use crate::config::{Document, MachineConfig, encode};
use crate::error::Problem;
use crate::patch::Patch;
use crate::schema::{Schema, Struct, Type};
use crate::value::{Map, Value};
use crate::version::VersionContract;

impl MachineConfig {
    /// Documents, keys and values that a node of a Talos version does not know: it refuses the whole configuration because
    /// of any of them. Empty means that it reads all of it. [`load_for`](Self::load_for) says the same of a text, with lines.
    ///
    /// Which version brought which key is known from 1.5 on; everything that is older counts as known. A key that came
    /// within a line, such as with 1.12.4, counts from the next one on, which has it in every release.
    ///
    /// ```
    /// use talos_client::{MachineConfig, VersionContract};
    ///
    /// let config = MachineConfig::load("machine:\n  install:\n    grubUseUKICmdline: true\n")?;
    /// let refused = config.preflight(VersionContract::new(1, 11));
    /// assert_eq!(refused[0].path, "machine.install.grubUseUKICmdline");
    /// assert!(config.preflight(VersionContract::new(1, 12)).is_empty());
    /// # Ok::<(), talos_client::Error>(())
    /// ```
    pub fn preflight(&self, version: VersionContract) -> Vec<Problem> {
        let mut problems = Vec::new();
        for document in &self.documents {
            preflight(document, version, &mut problems);
        }
        problems
    }
}

impl Patch {
    /// Documents, keys and values of the patch that a node of a Talos version does not know, as
    /// [`MachineConfig::preflight`] names them. What the patch removes, and what JSON patches name, is not looked at.
    pub fn preflight(&self, version: VersionContract) -> Vec<Problem> {
        let mut problems = Vec::new();
        for document in self.merged() {
            preflight(document, version, &mut problems);
        }
        problems
    }
}

fn preflight(document: &Document, version: VersionContract, problems: &mut Vec<Problem>) {
    let kind = document.kind.and_then(|kind| Schema::get().kind(kind));
    match kind.filter(|kind| !version.at_least(kind.since)) {
        Some(kind) => problems.push(refused(document.title(), version, kind.since)),
        None => {
            let prefix = prefix(document);
            let shape = document.shape();
            keys(shape, &document.values, &prefix, version, problems);
        }
    }
}

fn prefix(document: &Document) -> String {
    match document.kind {
        None => String::new(),
        Some(_) => format!("{} ", document.title()),
    }
}

fn refused(path: String, version: VersionContract, since: u32) -> Problem {
    let message = format!("Talos {version} does not know it; it came with v1.{since}");
    Problem::new(path, message).with_introduced(since)
}

fn keys(
    shape: &Struct,
    map: &Map,
    path: &str,
    version: VersionContract,
    problems: &mut Vec<Problem>,
) {
    for field in &shape.fields {
        let value = map.get(field.name);
        let Some(value) = value.filter(|value| encode::is_printed(field, value)) else {
            continue;
        };
        let path = format!("{path}{}", field.name);
        let later = value.as_text().map_or(0, |text| field.value_since(text));
        if !version.at_least(field.since) {
            problems.push(refused(path, version, field.since));
        } else if !version.at_least(later) {
            let message =
                format!("Talos {version} does not know this value; it came with v1.{later}");
            problems.push(Problem::new(path, message).with_introduced(later));
        } else {
            below(&field.ty, value, &path, version, problems);
        }
    }
}

fn below(
    ty: &Type,
    value: &Value,
    path: &str,
    version: VersionContract,
    problems: &mut Vec<Problem>,
) {
    match (ty, value) {
        (Type::Struct { id, .. }, Value::Map(map)) => {
            let shape = Schema::get().structure(*id);
            keys(shape, map, &format!("{path}."), version, problems);
        }
        (Type::List(inner), Value::List(items)) => {
            for (index, item) in items.iter().enumerate() {
                below(inner, item, &format!("{path}[{index}]"), version, problems);
            }
        }
        (Type::Map(inner), Value::Map(map)) => {
            for (key, item) in &map.0 {
                below(inner, item, &format!("{path}.{key}"), version, problems);
            }
        }
        _ => {}
    }
}
