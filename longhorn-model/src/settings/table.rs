//! Names, types, ranges and defaults of every setting, by release (longhorn-manager 1.8.1 and 1.12.1).

use std::sync::OnceLock;

use super::{Definition, Range, Release, Type};

/// One setting of one release a line, sorted by name, fields divided by tabs: name, release, type, flags (q required, r
/// read-only, e per engine), smallest and largest number, values allowed divided by bars, default.
const TABLE: &str = include_str!("table.txt");

pub(super) fn table() -> &'static [Definition] {
    static PARSED: OnceLock<Vec<Definition>> = OnceLock::new();
    PARSED.get_or_init(|| {
        let mut all: Vec<Definition> = Vec::new();
        for line in TABLE.lines() {
            let fields: Vec<&'static str> = line.split('\t').collect();
            let [
                name,
                release,
                kind,
                flags,
                minimum,
                maximum,
                choices,
                default,
            ] = fields.as_slice()
            else {
                continue;
            };
            let parsed = Release {
                kind: match *kind {
                    "bool" => Type::Bool,
                    "int" => Type::Int,
                    "float" => Type::Float,
                    _ => Type::Text,
                },
                required: flags.contains('q'),
                read_only: flags.contains('r'),
                default,
                choices: choices
                    .split('|')
                    .filter(|choice| !choice.is_empty())
                    .collect(),
                range: (!minimum.is_empty() || !maximum.is_empty()).then(|| Range {
                    minimum: minimum.parse().ok(),
                    maximum: maximum.parse().ok(),
                }),
                per_engine: flags.contains('e'),
            };
            if all.last().is_none_or(|last| last.name != *name) {
                all.push(Definition {
                    name,
                    v1_8: None,
                    v1_12: None,
                });
            }
            if let Some(last) = all.last_mut() {
                match *release {
                    "1.8" => last.v1_8 = Some(parsed),
                    _ => last.v1_12 = Some(parsed),
                }
            }
        }
        all
    })
}
