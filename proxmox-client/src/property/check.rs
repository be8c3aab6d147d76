//! What a strict reader finds wrong with a property string.

use std::fmt;

use regex_lite::Regex;

use super::PropertyString;
use super::format;
use super::formats::{OF_CONTAINERS, OF_MACHINES};
use super::table::{Kind, Sub};
use crate::scalar::parse_bool;

/// Something in a property string that the server refuses.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct PropertyProblem {
    /// The key that it is about, by its own name even where another spelling stands.
    pub key: String,
    /// What is wrong.
    pub message: String,
}

impl fmt::Display for PropertyProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}`: {}", self.key, self.message)
    }
}

/// The keys that the upstream schema gives the property strings of a configuration key.
#[derive(Debug, Clone, Copy)]
pub struct PropertyKeys(pub(crate) &'static [Sub]);

impl PropertyKeys {
    /// Of a virtual machine's configuration key, such as `net0`; none if its value is no property string.
    pub fn of_machine(key: &str) -> Option<Self> {
        Self::find(OF_MACHINES, key)
    }

    /// Of a container's configuration key.
    pub fn of_container(key: &str) -> Option<Self> {
        Self::find(OF_CONTAINERS, key)
    }

    fn find(table: &'static [(&'static str, &'static [Sub])], key: &str) -> Option<Self> {
        let stem = key.trim_end_matches(|c: char| c.is_ascii_digit());
        let found = table.iter().find(|(known, _)| *known == stem);
        found.map(|(_, subs)| Self(subs))
    }

    /// The names of the keys, without other spellings.
    pub fn names(self) -> impl Iterator<Item = &'static str> {
        let own = self.0.iter().filter(|sub| sub.alias.is_none());
        own.map(|sub| sub.name)
    }
}

impl PropertyString {
    /// Everything that a server with these keys refuses: unknown keys and keys that stand twice, values of the wrong
    /// type, out of range or not of their format, keys that are missing or that another one needs. Keys that a newer server brought count as unknown.
    ///
    /// ```
    /// use proxmox_client::property::{PropertyKeys, PropertyString};
    /// let keys = PropertyKeys::of_machine("net0").expect("cards are property strings");
    /// let card = PropertyString::parse("bridge=vmbr0,tag=5000,speed=10");
    /// let problems: Vec<String> = card.problems(keys).iter().map(ToString::to_string).collect();
    /// assert_eq!(problems, ["`tag`: 5000 is more than 4094", "`speed`: is not one of its keys", "`model`: is missing"]);
    /// ```
    pub fn problems(&self, keys: PropertyKeys) -> Vec<PropertyProblem> {
        let mut problems = Vec::new();
        let mut seen: Vec<&str> = Vec::new();
        let mut tell = |key: &str, message: String| {
            problems.push(PropertyProblem {
                key: key.to_owned(),
                message,
            });
        };
        let named = |name: &str| keys.0.iter().find(|sub| sub.name == name);
        for (key, text) in self.parts() {
            let found = match key {
                Some(key) => named(key),
                None => keys.0.iter().find(|sub| sub.bare),
            };
            let Some(found) = found else {
                match key {
                    Some(key) => tell(key, "is not one of its keys".to_owned()),
                    None => tell(
                        text,
                        "has no key, and no key is meant without one".to_owned(),
                    ),
                }
                continue;
            };
            let sub = found.alias.and_then(named).unwrap_or(found);
            // A name that stands for two keys holds both.
            let other = keys.0.iter().find(|sub| found.naming && sub.bare);
            for name in [Some(sub), other].into_iter().flatten().map(|sub| sub.name) {
                if seen.contains(&name) {
                    tell(name, "stands twice".to_owned());
                }
                seen.push(name);
            }
            if let Err(message) = value(&sub.kind, text) {
                tell(sub.name, message);
            }
        }
        for sub in keys
            .0
            .iter()
            .filter(|sub| sub.required && !seen.contains(&sub.name))
        {
            tell(sub.name, "is missing".to_owned());
        }
        for sub in keys.0.iter().filter(|sub| seen.contains(&sub.name)) {
            if let Some(other) = sub.requires.filter(|other| !seen.contains(other)) {
                tell(other, format!("is missing, and `{}` needs it", sub.name));
            }
        }
        problems
    }
}

/// Why a text is no such value.
pub(crate) fn value(kind: &Kind, text: &str) -> Result<(), String> {
    let shown = text.escape_debug();
    match kind {
        Kind::Text | Kind::Property(_) => Ok(()),
        Kind::Named(format) => format::check(format, text),
        Kind::Flag => match parse_bool(text) {
            Some(_) => Ok(()),
            None => Err(format!("`{shown}` is not a flag (0 or 1)")),
        },
        Kind::Number(low, high) => match text.parse::<f64>() {
            Ok(number) if number.is_finite() => within(number, *low, *high),
            _ => Err(format!("`{shown}` is not a number")),
        },
        Kind::Integer(low, high) => match text.parse::<i64>() {
            Ok(number) => within(number, *low, *high),
            Err(_) => Err(format!("`{shown}` is not a whole number")),
        },
        Kind::Enum(values) if values.contains(&text) => Ok(()),
        Kind::Enum(values) => Err(format!("`{shown}` is none of {}", values.join(", "))),
        Kind::Pattern(pattern) => match Regex::new(&format!("^(?:{pattern})$")) {
            Ok(pattern) if !pattern.is_match(text) => {
                Err(format!("`{shown}` does not have the form {pattern}"))
            }
            _ => Ok(()),
        },
    }
}

fn within<T: PartialOrd + fmt::Display>(
    number: T,
    low: Option<T>,
    high: Option<T>,
) -> Result<(), String> {
    match (low, high) {
        (Some(low), _) if number < low => Err(format!("{number} is less than {low}")),
        (_, Some(high)) if number > high => Err(format!("{number} is more than {high}")),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_pattern_can_be_read() {
        let subs = OF_MACHINES
            .iter()
            .chain(OF_CONTAINERS)
            .flat_map(|(_, subs)| *subs);
        let mut count = 0;
        for sub in subs {
            if let Kind::Pattern(pattern) = sub.kind {
                assert!(Regex::new(&format!("^(?:{pattern})$")).is_ok(), "{pattern}");
                count += 1;
            }
        }
        assert!(count > 20, "{count}");
    }
}
