//! Whole-config validation with the reference's rules, places and order.

use crate::config::{Document, MachineConfig, MachineType};
use crate::error::Problem;
use crate::value::Value;

mod cross;
mod devices;
mod documents;
mod legacy;

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
            legacy::check(main, self, &mut findings);
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

fn is_cidr(text: &str) -> bool {
    text.parse::<ipnet::IpNet>().is_ok()
}

fn is_address(text: &str) -> bool {
    text.split('%')
        .next()
        .is_some_and(|bare| bare.parse::<std::net::IpAddr>().is_ok())
}

/// Version of an image reference, checked against what the Talos version runs.
fn image(findings: &mut Findings<'_>, what: &str, reference: &str) {
    if reference.is_empty() || findings.options.local {
        return;
    }
    let tag = reference
        .split('@')
        .next()
        .and_then(|name| name.rsplit_once(':'))
        .map(|(_, tag)| tag)
        .filter(|tag| !tag.contains('/'));
    let version = tag
        .map(|tag| tag.strip_prefix('v').unwrap_or(tag))
        .filter(|tag| tag.parse::<crate::version::VersionContract>().is_ok());
    let Some(version) = version else {
        return findings.error(format!(
            "{what} image is not valid: failed to parse Kubernetes version from image reference \"{reference}\": invalid image reference: \"{reference}\""
        ));
    };
    let talos = findings.options.talos.clone();
    if let Err(error) = crate::compatibility::check_kubernetes(&talos, version) {
        findings.error(format!("{what} image is not valid: {}", error.message()));
    }
}

/// Kubernetes names: labels, annotations and taints.
mod names {
    /// A qualified name, `[prefix/]name`.
    pub(super) fn key(key: &str) -> Result<(), String> {
        let parts: Vec<&str> = key.split('/').collect();
        let name = match parts.as_slice() {
            [name] => name,
            [prefix, name] => {
                if prefix.is_empty() {
                    return Err(format!("prefix cannot be empty: \"{key}\""));
                }
                if prefix.len() > 253 || !is_subdomain(prefix) {
                    return Err(format!(
                        "prefix \"{prefix}\" is invalid: domain doesn't match required format: \"{prefix}\""
                    ));
                }
                name
            }
            _ => return Err(format!("invalid format: too many slashes: \"{key}\"")),
        };
        if name.is_empty() {
            return Err(format!("name cannot be empty: \"{key}\""));
        }
        if name.len() > 63 {
            return Err(format!("name is too long: \"{name}\" (limit is 63)"));
        }
        if is_word(name) {
            Ok(())
        } else {
            Err(format!("name \"{name}\" is invalid"))
        }
    }

    pub(super) fn value(value: &str) -> Result<(), String> {
        if value.len() > 63 {
            return Err(format!(
                "label value length exceeds limit of 63: \"{value}\""
            ));
        }
        if value.is_empty() || is_word(value) {
            Ok(())
        } else {
            Err(format!("label value \"{value}\" is invalid"))
        }
    }

    /// `value:Effect` or `Effect`.
    pub(super) fn taint(taint: &str) -> Result<(), String> {
        let (value_text, effect) = match taint.split_once(':') {
            Some((value, effect)) => (value, effect),
            None => ("", taint),
        };
        if !matches!(effect, "NoSchedule" | "PreferNoSchedule" | "NoExecute") {
            return Err(format!("invalid taint effect: \"{effect}\""));
        }
        value(value_text)
    }

    fn is_word(text: &str) -> bool {
        let edge = |byte: Option<u8>| byte.is_some_and(|b| b.is_ascii_alphanumeric());
        edge(text.bytes().next())
            && edge(text.bytes().last())
            && text
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'))
    }

    fn is_subdomain(text: &str) -> bool {
        text.split('.').all(|label| {
            let edge = |byte: Option<u8>| {
                byte.is_some_and(|b| b.is_ascii_lowercase() || b.is_ascii_digit())
            };
            edge(label.bytes().next())
                && edge(label.bytes().last())
                && label
                    .bytes()
                    .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
        })
    }
}

/// Labels, annotations and taints of a node.
fn node_metadata(
    findings: &mut Findings<'_>,
    prefix: &str,
    labels: Option<&Value>,
    annotations: Option<&Value>,
    taints: Option<&Value>,
) {
    let pairs = |value: Option<&Value>| -> Vec<(String, String)> {
        let map = value.and_then(Value::as_map);
        let mut pairs: Vec<(String, String)> = map
            .map(|map| {
                map.0
                    .iter()
                    .map(|(k, v)| (k.to_string(), v.as_text().unwrap_or_default().to_owned()))
                    .collect()
            })
            .unwrap_or_default();
        pairs.sort();
        pairs
    };
    for (what, all, check) in [
        (
            "labels",
            pairs(labels),
            names::value as fn(&str) -> Result<(), String>,
        ),
        ("annotations", pairs(annotations), |_: &str| Ok(())),
        ("taints", pairs(taints), names::taint),
    ] {
        for (key, value) in all {
            if let Err(problem) = names::key(&key).and_then(|()| check(&value)) {
                findings.error(format!("invalid {prefix}node {what}: {problem}"));
            }
        }
    }
}
