//! Settings: names, types, ranges and defaults by release, and whether the manager accepts a value.
//!
//! ```
//! use longhorn_model::settings::{self, Version};
//!
//! assert!(settings::validate(Version::V1_12, "default-replica-count", "2").is_ok());
//! let error = settings::validate(Version::V1_12, "default-replica-count", "25").unwrap_err();
//! assert!(error.to_string().contains("at most 20"));
//! let error = settings::validate(Version::V1_12, "default-replica-cuont", "2").unwrap_err();
//! assert_eq!(error.hint(), Some("did you mean default-replica-count?"));
//! ```

mod check;
mod table;
pub mod version;

use serde_json::{Map, Value};

use crate::error::{Error, ErrorKind, Problem};
use crate::scheduler::{self, AutoBalance};

pub use version::Version;

/// What sort of value a setting takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Type {
    /// `true` or `false`, also `1`, `t`, `T`, `TRUE`, `True` and their opposites; not `yes`.
    Bool,
    /// A whole number.
    Int,
    /// A number.
    Float,
    /// Text.
    Text,
}

/// Numbers that a setting allows, both ends included.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct Range {
    /// Smallest.
    pub minimum: Option<f64>,
    /// Largest.
    pub maximum: Option<f64>,
}

/// A setting in one release.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Release {
    /// Sort of value.
    pub kind: Type,
    /// The empty text is refused.
    pub required: bool,
    /// Only the manager writes it.
    pub read_only: bool,
    /// Default; for settings per engine a JSON object.
    pub default: &'static str,
    /// The only values allowed, if not empty.
    pub choices: Vec<&'static str>,
    /// Numbers allowed.
    pub range: Option<Range>,
    /// One value for all engines, or a JSON object with one text for each engine that the default names.
    pub per_engine: bool,
}

impl Release {
    /// Engines that have a value of their own, in the order `v1`, `v2`.
    #[must_use]
    pub fn engines(&self) -> Vec<&'static str> {
        if !self.per_engine {
            return Vec::new();
        }
        ["v1", "v2"]
            .into_iter()
            .filter(|engine| self.default.contains(&format!("\"{engine}\"")))
            .collect()
    }
}

#[derive(Debug)]
struct Definition {
    name: &'static str,
    v1_8: Option<Release>,
    v1_12: Option<Release>,
}

impl Definition {
    /// Between the two measured releases a setting counts as known when either has it, the later one first.
    fn at(&self, version: Version) -> Option<&Release> {
        if version <= Version::V1_8 {
            self.v1_8.as_ref()
        } else if version >= Version::V1_12 {
            self.v1_12.as_ref()
        } else {
            self.v1_12.as_ref().or(self.v1_8.as_ref())
        }
    }
}

/// What a release knows of a setting.
#[must_use]
pub fn definition(version: Version, name: &str) -> Option<&'static Release> {
    let at = table::table()
        .binary_search_by(|known| known.name.cmp(name))
        .ok()?;
    table::table()[at].at(version)
}

/// Names of all settings of a release, sorted.
pub fn names(version: Version) -> impl Iterator<Item = &'static str> {
    table::table()
        .iter()
        .filter(move |known| known.at(version).is_some())
        .map(|known| known.name)
}

/// Checks a value as the manager's webhook does. Checks against the state of a cluster (volumes attached, nodes that
/// carry a path) are not part of it.
///
/// # Errors
/// [`ErrorKind::Invalid`] naming the setting, with a near name when there is no such setting.
pub fn validate(version: Version, name: &str, value: &str) -> Result<(), Error> {
    let Some(release) = definition(version, name) else {
        let mut problem = Problem::new(name, format!("Longhorn {version} has no such setting"));
        if let Some(near) = nearest(name, names(version)) {
            problem = problem.remedy(format!("did you mean {near}?"));
        }
        return Err(Error::one(
            ErrorKind::Invalid,
            format!("setting {name:?}"),
            problem,
        ));
    };
    let mut problems = Vec::new();
    check::value(name, release, value, &mut problems);
    if problems.is_empty() {
        return Ok(());
    }
    for problem in &mut problems {
        name.clone_into(&mut problem.path);
    }
    Err(Error::new(
        ErrorKind::Invalid,
        format!("setting {name:?}"),
        problems,
    ))
}

/// Checks a map of settings, such as `defaultSettings` of the chart after its names were turned into the manager's.
///
/// # Errors
/// [`ErrorKind::Invalid`] with every problem of every setting.
pub fn validate_all<'a>(
    version: Version,
    settings: impl IntoIterator<Item = (&'a str, &'a str)>,
) -> Result<(), Error> {
    let mut problems = Vec::new();
    for (name, value) in settings {
        if let Err(error) = validate(version, name, value) {
            problems.extend(error.problems().iter().cloned());
        }
    }
    if problems.is_empty() {
        return Ok(());
    }
    Err(Error::new(ErrorKind::Invalid, "the settings", problems))
}

pub(crate) fn check_cron(text: &str) -> Result<(), String> {
    check::cron(text)
}

/// The name that needs the fewest changes, if few are enough.
fn nearest<'a>(name: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let limit = 1 + name.len() / 6;
    let ranked = known.map(|candidate| (distance(name, candidate), candidate));
    ranked
        .filter(|(far, _)| *far <= limit)
        .min_by_key(|(far, _)| *far)
        .map(|(_, candidate)| candidate)
}

/// Insertions, deletions, replacements and swaps of neighbours.
pub(crate) fn distance(a: &str, b: &str) -> usize {
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

/// One setting with its value, typed on reading.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum SettingValue {
    /// True or false.
    Bool(bool),
    /// A whole number.
    Int(i64),
    /// A number.
    Float(f64),
    /// Text.
    Text(String),
    /// Values by engine.
    PerEngine(Vec<(String, SettingValue)>),
}

/// Reads a value into its type.
///
/// # Errors
/// As [`validate`].
pub fn parse(version: Version, name: &str, value: &str) -> Result<SettingValue, Error> {
    validate(version, name, value)?;
    let kind = definition(version, name).map_or(Type::Text, |release| release.kind);
    let per_engine = definition(version, name).is_some_and(|release| release.per_engine);
    let one = |text: &str| match kind {
        Type::Bool => check::boolean(text).map(SettingValue::Bool),
        Type::Int => text.parse().ok().map(SettingValue::Int),
        Type::Float => text.parse().ok().map(SettingValue::Float),
        Type::Text => None,
    };
    if let (true, Some(map)) = (per_engine, object(value)) {
        let entries = map.iter().map(|(engine, value)| {
            let text = check::plain(value);
            (
                engine.clone(),
                one(&text).unwrap_or(SettingValue::Text(text)),
            )
        });
        return Ok(SettingValue::PerEngine(entries.collect()));
    }
    Ok(one(value).unwrap_or_else(|| SettingValue::Text(value.to_owned())))
}

fn object(text: &str) -> Option<Map<String, Value>> {
    match serde_json::from_str(text) {
        Ok(Value::Object(map)) => Some(map),
        _ => None,
    }
}

/// The settings that placement depends on, with the manager's defaults.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct SchedulingSettings {
    /// Nominal bytes that may be promised, in percent of what is not reserved.
    pub over_provisioning_percentage: u64,
    /// Free bytes that must remain, in percent of the disk.
    pub minimal_available_percentage: u64,
    /// Replicas of a volume may share a node.
    pub node_soft_anti_affinity: bool,
    /// Replicas of a volume may share a zone.
    pub zone_soft_anti_affinity: bool,
    /// Replicas of a volume may share a disk.
    pub disk_soft_anti_affinity: bool,
    /// Volumes without a node selector may use tagged nodes.
    pub allow_empty_node_selector: bool,
    /// Volumes without a disk selector may use tagged disks.
    pub allow_empty_disk_selector: bool,
    /// Whether replicas are moved to even out nodes and disks.
    pub auto_balance: AutoBalance,
    /// Share of a disk that may be used before balancing wants replicas off it, in percent; 0 is never.
    pub disk_pressure_percentage: u64,
    /// Replicas of a volume whose class names no number.
    pub default_replica_count: u32,
}

impl Default for SchedulingSettings {
    fn default() -> Self {
        Self {
            over_provisioning_percentage: 100,
            minimal_available_percentage: 25,
            node_soft_anti_affinity: false,
            zone_soft_anti_affinity: true,
            disk_soft_anti_affinity: true,
            allow_empty_node_selector: true,
            allow_empty_disk_selector: true,
            auto_balance: AutoBalance::Disabled,
            disk_pressure_percentage: 90,
            default_replica_count: 3,
        }
    }
}

impl SchedulingSettings {
    /// Sets a setting by its name; names that placement does not depend on change nothing.
    ///
    /// # Errors
    /// As [`validate`], for the newest release.
    pub fn set(&mut self, name: &str, value: &str) -> Result<(), Error> {
        let number = |parsed: SettingValue| match parsed {
            SettingValue::Int(n) => u64::try_from(n).unwrap_or(0),
            SettingValue::PerEngine(map) => map
                .iter()
                .find_map(|(engine, value)| match value {
                    SettingValue::Int(n) if engine == "v1" => u64::try_from(*n).ok(),
                    _ => None,
                })
                .unwrap_or(0),
            _ => 0,
        };
        let parsed = parse(Version::V1_12, name, value)?;
        let truth = parsed == SettingValue::Bool(true);
        match name {
            "storage-over-provisioning-percentage" => {
                self.over_provisioning_percentage = number(parsed)
            }
            "storage-minimal-available-percentage" => {
                self.minimal_available_percentage = number(parsed)
            }
            "replica-soft-anti-affinity" => self.node_soft_anti_affinity = truth,
            "replica-zone-soft-anti-affinity" => self.zone_soft_anti_affinity = truth,
            "replica-disk-soft-anti-affinity" => self.disk_soft_anti_affinity = truth,
            "allow-empty-node-selector-volume" => self.allow_empty_node_selector = truth,
            "allow-empty-disk-selector-volume" => self.allow_empty_disk_selector = truth,
            "replica-auto-balance-disk-pressure-percentage" => {
                self.disk_pressure_percentage = number(parsed);
            }
            "replica-auto-balance" => {
                self.auto_balance = match value {
                    "least-effort" => AutoBalance::LeastEffort,
                    "best-effort" => AutoBalance::BestEffort,
                    _ => AutoBalance::Disabled,
                };
            }
            "default-replica-count" => {
                self.default_replica_count = u32::try_from(number(parsed)).unwrap_or(u32::MAX);
            }
            _ => {}
        }
        Ok(())
    }

    /// How much of a disk of this size the reservation of default disks takes away, in bytes.
    #[must_use]
    pub fn default_reservation(maximum: u64) -> u64 {
        scheduler::percent(maximum, 30)
    }
}
