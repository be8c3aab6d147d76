//! Whole-config validation with the reference's rules, places and order.

use crate::config::{Document, MachineConfig, MachineType};
use crate::error::Problem;
use crate::value::Value;

mod bgp;
mod containers;
mod cross;
mod devices;
mod documents;
mod expression;
mod image;
mod kubernetes;
mod legacy;
mod names;
mod network;
mod pem;
mod runtime_spec;
mod system;
mod volumes;

/// Roles that a client can have.
const ROLES: [&str; 7] = [
    "os:admin",
    "os:operator",
    "os:reader",
    "os:etcd:backup",
    "os:meta:writer",
    "os:image:verifier",
    "os:impersonator",
];

/// Where a configuration is going to run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ValidationMode {
    /// Talos installs itself to a disk.
    Metal,
    /// The image is the installation.
    Cloud,
    /// In a container.
    Container,
}

/// What a validation takes into account.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ValidationOptions {
    mode: ValidationMode,
    strict: bool,
    local: bool,
    talos: String,
}

impl ValidationOptions {
    /// For a mode; the Talos version is that of the newest stable line, not strict, with Kubernetes versions checked.
    pub fn new(mode: ValidationMode) -> Self {
        Self {
            mode,
            strict: false,
            local: false,
            talos: "v1.13.9".to_owned(),
        }
    }

    /// Warnings of the main document become errors.
    #[must_use]
    pub fn strict(mut self, strict: bool) -> Self {
        self.strict = strict;
        self
    }

    /// Do not check whether the Kubernetes versions are supported.
    #[must_use]
    pub fn local(mut self, local: bool) -> Self {
        self.local = local;
        self
    }

    /// The Talos version that is going to run it.
    #[must_use]
    pub fn talos_version(mut self, version: impl Into<String>) -> Self {
        self.talos = version.into();
        self
    }
}

/// What a validation found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Validation {
    /// What a node would refuse.
    pub errors: Vec<Problem>,
    /// What works but should be changed.
    pub warnings: Vec<Problem>,
}

impl Validation {
    /// No errors.
    pub fn is_valid(&self) -> bool {
        self.errors.is_empty()
    }
}

/// Collects findings about one place.
struct Findings<'a> {
    place: String,
    options: &'a ValidationOptions,
    found: Validation,
}

impl Findings<'_> {
    fn error(&mut self, message: impl Into<String>) {
        self.found
            .errors
            .push(Problem::new(self.place.clone(), message));
    }

    fn warning(&mut self, message: impl Into<String>) {
        self.found.warnings.push(Problem::new("", message));
    }

    fn require(&mut self, fine: bool, message: &str) {
        if !fine {
            self.error(message);
        }
    }
}

impl MachineConfig {
    /// Checks the configuration as a node would, and more strictly on request.
    pub fn validate(&self, options: &ValidationOptions) -> Validation {
        let mut all = Validation::default();
        if let Some(main) = self.main() {
            let mut findings = Findings {
                place: "v1alpha1.Config".to_owned(),
                options,
                found: Validation::default(),
            };
            legacy::check(main, &mut findings);
            let mut found = findings.found;
            if options.strict {
                let as_error = |warning: Problem| {
                    Problem::new("v1alpha1.Config", format!("warning: {}", warning.message))
                };
                found.errors.extend(found.warnings.drain(..).map(as_error));
            }
            all.errors.append(&mut found.errors);
            all.warnings.append(&mut found.warnings);
        }
        for document in self
            .documents
            .iter()
            .filter(|document| document.kind.is_some())
        {
            let kind = document.kind.unwrap_or_default();
            let place = match document.values.get("name") {
                Some(_) => document.title(),
                None if document.shape().field("name").is_some() => format!("{kind}/"),
                None => kind.to_owned(),
            };
            let mut findings = Findings {
                place,
                options,
                found: Validation::default(),
            };
            documents::check(document, &mut findings);
            all.errors.append(&mut findings.found.errors);
            all.warnings.append(&mut findings.found.warnings);
        }
        let mut findings = Findings {
            place: String::new(),
            options,
            found: Validation::default(),
        };
        cross::check(self, &mut findings);
        all.errors.append(&mut findings.found.errors);
        all.warnings.append(&mut findings.found.warnings);
        all
    }

    fn is_control_plane(&self) -> bool {
        matches!(
            self.machine_type(),
            Some(MachineType::ControlPlane | MachineType::Init)
        )
    }
}

fn text<'d>(document: &'d Document, path: &str) -> &'d str {
    document
        .at(path)
        .and_then(Value::as_text)
        .unwrap_or_default()
}

fn flag(document: &Document, path: &str) -> Option<bool> {
    document.at(path).and_then(Value::as_bool)
}

fn list<'d>(document: &'d Document, path: &str) -> &'d [Value] {
    document.at(path).map(Value::as_list).unwrap_or_default()
}

fn int(document: &Document, path: &str) -> i64 {
    document
        .at(path)
        .and_then(Value::as_int)
        .unwrap_or_default()
}

/// Nanoseconds; 0 when absent.
fn duration(document: &Document, path: &str) -> i64 {
    crate::duration::parse(text(document, path)).unwrap_or_default()
}

/// An unsigned decimal number, with what is said of text that is none.
fn parse_unsigned(text: &str) -> Result<u64, String> {
    if text.is_empty() || !text.bytes().all(|b| b.is_ascii_digit()) {
        return Err(format!(
            "strconv.ParseUint: parsing {}: invalid syntax",
            crate::quote::quote(text)
        ));
    }
    text.parse().map_err(|_| out_of_range("ParseUint", text))
}

fn out_of_range(function: &str, text: &str) -> String {
    format!(
        "strconv.{function}: parsing {}: value out of range",
        crate::quote::quote(text)
    )
}

/// Labels, annotations and taints of a node.
fn node_metadata(
    findings: &mut Findings<'_>,
    prefix: &str,
    labels: Option<&Value>,
    annotations: Option<&Value>,
    taints: Option<&Value>,
) {
    for (what, problems) in [
        ("labels", names::labels(&pairs(labels))),
        ("annotations", names::annotations(&pairs(annotations))),
        ("taints", names::taints(&pairs(taints))),
    ] {
        for problem in problems {
            findings.error(format!("invalid {prefix}node {what}: {problem}"));
        }
    }
}

/// Keys and texts, sorted by key.
fn pairs(value: Option<&Value>) -> Vec<(&str, &str)> {
    let map = value.and_then(Value::as_map);
    let mut pairs: Vec<(&str, &str)> = map
        .into_iter()
        .flat_map(|map| map.0.iter())
        .map(|(key, value)| (&**key, value.as_text().unwrap_or_default()))
        .collect();
    pairs.sort_unstable();
    pairs
}
