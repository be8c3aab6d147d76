//! The keys that the chart knows, by name and type, and what became of those that it knew once.

use std::collections::BTreeMap;
use std::sync::OnceLock;

use serde_json::{Map, Value};

use super::{Finding, Severity, Version};
use crate::error::Problem;

/// One key a line, a blank for each level: `name:types`, types being b(oolean), i(nteger), n(umber), s(tring), a(rray),
/// o(bject with known keys), m(ap with free keys), 0 (null) and * (any), and after an equals sign the values allowed.
const KEYS: &str = include_str!("keys.txt");

#[derive(Debug, Default)]
struct Node {
    types: &'static str,
    choices: Vec<&'static str>,
    inner: BTreeMap<&'static str, Node>,
}

fn tree() -> &'static Node {
    static TREE: OnceLock<Node> = OnceLock::new();
    TREE.get_or_init(|| {
        let lines: Vec<&'static str> = KEYS.lines().collect();
        let mut at = 0;
        let mut root = Node {
            types: "o",
            ..Node::default()
        };
        children(&lines, &mut at, 0, &mut root);
        root
    })
}

fn children(lines: &[&'static str], at: &mut usize, depth: usize, parent: &mut Node) {
    while let Some(line) = lines.get(*at) {
        let name = line.trim_start_matches(' ');
        if line.len() - name.len() < depth {
            return;
        }
        *at += 1;
        let (name, types) = name.rsplit_once(':').unwrap_or((name, "*"));
        let (types, choices) = types.split_once('=').unwrap_or((types, ""));
        let mut node = Node {
            types,
            choices: choices
                .split('|')
                .filter(|choice| !choice.is_empty())
                .collect(),
            ..Node::default()
        };
        children(lines, at, depth + 1, &mut node);
        parent.inner.insert(name, node);
    }
}

/// Keys that came, went or moved: path, first release with it, first release without it, and what to write instead.
struct Change {
    path: &'static str,
    since: Option<Version>,
    until: Option<Version>,
    instead: &'static str,
}

const CHANGES: &[Change] = &[
    Change {
        path: "encryption.strictMode.enabled",
        since: None,
        until: Some(Version::V1_20),
        instead: "encryption.strictMode.egress.enabled",
    },
    Change {
        path: "encryption.strictMode.cidr",
        since: None,
        until: Some(Version::V1_20),
        instead: "encryption.strictMode.egress.cidr",
    },
    Change {
        path: "encryption.strictMode.allowRemoteNodeIdentities",
        since: None,
        until: Some(Version::V1_20),
        instead: "encryption.strictMode.egress.allowRemoteNodeIdentities",
    },
    Change {
        path: "nativeRoutingCIDRFromClusterPool",
        since: Some(Version::V1_20),
        until: None,
        instead: "ipv4NativeRoutingCIDR",
    },
    Change {
        path: "authentication.mutual",
        since: None,
        until: Some(Version::V1_21),
        instead: "encryption.type ztunnel, for namespaces that enrol",
    },
    Change {
        path: "tunnel",
        since: None,
        until: Some(Version::new(1, 15)),
        instead: "routingMode and tunnelProtocol",
    },
    Change {
        path: "agentConfig",
        since: None,
        until: Some(Version::new(1, 0)),
        instead: "the same key at the top level, such as resources",
    },
];

pub(super) fn check(values: &Map<String, Value>, version: Version) -> Vec<Finding> {
    let mut findings = Vec::new();
    walk(values, tree(), "", version, &mut findings);
    findings
}

fn finding(severity: Severity, path: &str, message: String, remedy: Option<String>) -> Finding {
    let mut problem = Problem::new(path, message);
    problem.remedy = remedy;
    Finding { severity, problem }
}

fn walk(
    values: &Map<String, Value>,
    node: &Node,
    prefix: &str,
    version: Version,
    findings: &mut Vec<Finding>,
) {
    for (key, value) in values {
        let path = if prefix.is_empty() {
            key.clone()
        } else {
            format!("{prefix}.{key}")
        };
        if let Some(change) = CHANGES.iter().find(|change| change.path == path) {
            if change.until.is_some_and(|until| version >= until) {
                let remedy = format!("write {}", change.instead);
                let message = format!("Cilium {version} does not have this key");
                findings.push(finding(Severity::Error, &path, message, Some(remedy)));
                continue;
            }
            if let Some(since) = change.since.filter(|since| version < *since) {
                let remedy = format!("write {}, or use {since}", change.instead);
                let message = format!("this key came with {since}, {version} ignores it");
                findings.push(finding(Severity::Error, &path, message, Some(remedy)));
                continue;
            }
            if !node.inner.contains_key(key.as_str()) {
                continue;
            }
        }
        match node.inner.get(key.as_str()) {
            Some(known) => {
                typed(value, known, &path, findings);
                if let (Value::Object(inner), true) = (value, known.types.contains('o')) {
                    walk(inner, known, &path, version, findings);
                }
            }
            None => findings.push(unknown(key, &path, node)),
        }
    }
}

fn unknown(key: &str, path: &str, node: &Node) -> Finding {
    let lower = key.to_ascii_lowercase();
    let ranked = node
        .inner
        .keys()
        .map(|known| (distance(&lower, &known.to_ascii_lowercase()), *known));
    match ranked
        .filter(|(far, _)| *far <= 1 + key.len() / 6)
        .min_by_key(|(far, _)| *far)
    {
        Some((_, near)) => {
            let message = "the chart has no such key and ignores it".to_owned();
            finding(
                Severity::Error,
                path,
                message,
                Some(format!("did you mean {near}?")),
            )
        }
        None => {
            let elsewhere = place_of(tree(), key, "");
            let message = "the chart does not document this key".to_owned();
            finding(
                Severity::Warning,
                path,
                message,
                elsewhere.map(|place| format!("{place} exists")),
            )
        }
    }
}

/// The shortest path that ends in a key.
fn place_of(node: &Node, key: &str, prefix: &str) -> Option<String> {
    let join = |name: &str| {
        if prefix.is_empty() {
            name.to_owned()
        } else {
            format!("{prefix}.{name}")
        }
    };
    if key.len() > 5 && node.inner.contains_key(key) {
        return Some(join(key));
    }
    let deeper = node
        .inner
        .iter()
        .filter_map(|(name, inner)| place_of(inner, key, &join(name)));
    deeper.min_by_key(String::len)
}

fn typed(value: &Value, known: &Node, path: &str, findings: &mut Vec<Finding>) {
    let letter = match value {
        // Helm takes null as "the default".
        Value::Null => return,
        Value::Bool(_) => 'b',
        Value::Number(number) if number.is_f64() => 'n',
        Value::Number(_) => 'i',
        Value::String(_) => 's',
        Value::Array(_) => 'a',
        Value::Object(_) => 'o',
    };
    let fits = known.types.contains(letter)
        || known.types.contains('*')
        || (letter == 'i' && known.types.contains('n'))
        || (letter == 'o' && known.types.contains('m'));
    if !fits {
        let wanted: Vec<&str> = known
            .types
            .chars()
            .filter_map(|letter| {
                Some(match letter {
                    'b' => "true or false",
                    'i' => "a whole number",
                    'n' => "a number",
                    's' => "text",
                    'a' => "a list",
                    'o' | 'm' => "a map",
                    _ => return None,
                })
            })
            .collect();
        let message = format!("expected {}", wanted.join(" or "));
        findings.push(finding(Severity::Error, path, message, None));
    }
    if let (Value::String(text), false) = (value, known.choices.is_empty())
        && !known.choices.contains(&text.as_str())
    {
        let message = format!("{text:?} is none of {}", known.choices.join(", "));
        findings.push(finding(Severity::Error, path, message, None));
    }
}

/// Insertions, deletions, replacements and swaps of neighbours.
fn distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    let mut before: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=b.len()).collect();
    for i in 1..=a.len() {
        let mut row = vec![i; b.len() + 1];
        for j in 1..=b.len() {
            let replace = last[j - 1] + usize::from(a[i - 1] != b[j - 1]);
            row[j] = replace.min(last[j] + 1).min(row[j - 1] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                row[j] = row[j].min(before[j - 2] + 1);
            }
        }
        before = std::mem::replace(&mut last, row);
    }
    last[b.len()]
}
