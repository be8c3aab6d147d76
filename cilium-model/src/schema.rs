//! What the API server checks before it takes an object: the structure of its kind, and names and labels.
//!
//! The structures are those of the CRDs of Cilium 1.20, Gateway API 1.6 (experimental channel) and network policy API,
//! without their descriptions. Parts that recur stand once in `shared` and are referred to by number.

mod check;

use std::collections::HashMap;
use std::sync::OnceLock;

use serde_json::Value;

use crate::error::{Error, ErrorKind, Problem};
use crate::manifest::Manifest;

const SOURCES: [&str; 3] = [
    include_str!("schema/cilium.json"),
    include_str!("schema/gateway.json"),
    include_str!("schema/network-policy.json"),
];

struct Schema {
    root: Value,
    source: usize,
}

struct Schemas {
    /// By `group/version/kind`.
    kinds: HashMap<String, Schema>,
    shared: Vec<Vec<Value>>,
}

fn schemas() -> &'static Schemas {
    static SCHEMAS: OnceLock<Schemas> = OnceLock::new();
    SCHEMAS.get_or_init(|| {
        let mut all = Schemas {
            kinds: HashMap::new(),
            shared: Vec::new(),
        };
        for (source, text) in SOURCES.iter().enumerate() {
            let mut document: Value = serde_json::from_str(text).unwrap_or_default();
            let shared = document.get_mut("shared").map(Value::take);
            all.shared.push(match shared {
                Some(Value::Array(shared)) => shared,
                _ => Vec::new(),
            });
            if let Some(Value::Object(kinds)) = document.get_mut("kinds").map(Value::take) {
                all.kinds.extend(
                    kinds
                        .into_iter()
                        .map(|(name, root)| (name, Schema { root, source })),
                );
            }
        }
        all
    })
}

fn find(object: &Value) -> Option<check::Checker<'static>> {
    let text = |key: &str| object.get(key).and_then(Value::as_str).unwrap_or_default();
    let all = schemas();
    let found = all
        .kinds
        .get(&format!("{}/{}", text("apiVersion"), text("kind")))?;
    Some(check::Checker::new(&found.root, &all.shared[found.source]))
}

impl Manifest {
    /// Checks the object as the API server does on creation: name and labels, the structure of the kind, and then the
    /// rules of its CRD. Unknown fields pass, as they do for the server unless it is asked to be strict.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] with every problem. As on the server, rules are looked at only once the structure is right.
    pub fn validate(&self) -> Result<(), Error> {
        self.run(false)
    }

    /// [`validate`](Self::validate), and unknown fields are problems too.
    ///
    /// # Errors
    /// As [`validate`](Self::validate).
    pub fn validate_strict(&self) -> Result<(), Error> {
        self.run(true)
    }

    fn run(&self, strict: bool) -> Result<(), Error> {
        let object = self.to_json();
        let mut problems = Vec::new();
        check::metadata(&object, self.kind().namespaced, &mut problems);
        if let Some(checker) = find(&object) {
            checker.object(&object, strict, &mut problems);
        }
        if problems.is_empty() {
            crate::rules::check(self, &mut problems);
        }
        if problems.is_empty() {
            return Ok(());
        }
        let subject = match &self.metadata().name {
            Some(name) => format!("{} {name:?}", self.kind().kind),
            None => self.kind().kind.to_owned(),
        };
        Err(Error::new(ErrorKind::Invalid, subject, problems))
    }
}

/// True when the name may stand in a URL path of the API: lower-case labels with dots between.
pub(crate) fn is_subdomain(text: &str) -> bool {
    !text.is_empty() && text.len() <= 253 && text.split('.').all(is_label_name)
}

fn is_label_name(label: &str) -> bool {
    let edge = |b: Option<&u8>| b.is_some_and(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
    let bytes = label.as_bytes();
    edge(bytes.first())
        && edge(bytes.last())
        && bytes
            .iter()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || *b == b'-')
}

pub(crate) fn problem(problems: &mut Vec<Problem>, path: String, message: impl Into<String>) {
    problems.push(Problem::new(path, message));
}
