//! A guest's configuration: typed where it is asked for, lossless underneath.

use serde_json::{Map, Value};

use crate::error::{Error, Kind, Result};
use crate::property::{Format, PropertyString};

/// A configuration of either kind of guest.
pub trait GuestConfig: Default {
    /// All keys and values, without the digest.
    fn map(&self) -> &Map<String, Value>;
    /// The digest that the server gave with it.
    fn read_digest(&self) -> Option<&str>;
    /// Sets a key.
    #[must_use]
    fn with_key(self, key: &str, value: Value) -> Self;
    /// Finds what the server would refuse, all of it at once.
    ///
    /// # Errors
    /// [`Kind::InvalidInput`] with every problem.
    fn check_values(&self) -> Result<()>;
}

/// What is wrong with the property strings of a configuration, all of it at once.
pub(crate) fn check_properties(
    values: &Map<String, Value>,
    format_of: impl Fn(&str) -> Option<&'static Format>,
) -> Result<()> {
    let mut problems = Vec::new();
    for (key, value) in values {
        let (Some(format), Some(text)) = (format_of(key), value.as_str()) else {
            continue;
        };
        if let Err(error) = PropertyString::parse(text).check(format) {
            problems.push(format!("`{key}`: {}", error.message()));
        }
    }
    if problems.is_empty() {
        Ok(())
    } else {
        Err(Error::new(Kind::InvalidInput, problems.join("; ")))
    }
}

/// Makes a guest's configuration with what both kinds have; `secret` names keys whose values are never shown, and wiped.
macro_rules! guest_config {
    ($(#[$meta:meta])* pub struct $Name:ident { secret: $secret:expr, formats: $format_of:path }) => {
        $(#[$meta])*
        #[derive(Clone, PartialEq)]
        pub struct $Name {
            values: $crate::secret::Values,
            digest: Option<String>,
        }

        impl Default for $Name {
            fn default() -> Self {
                Self::from_values(serde_json::Map::new())
            }
        }

        impl std::fmt::Debug for $Name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                self.values.fmt(f)
            }
        }

        impl<'de> serde::Deserialize<'de> for $Name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                serde_json::Map::deserialize(deserializer).map(Self::from_values)
            }
        }

        impl $crate::guest::GuestConfig for $Name {
            fn map(&self) -> &serde_json::Map<String, serde_json::Value> {
                &self.values
            }
            fn read_digest(&self) -> Option<&str> {
                self.digest()
            }
            fn with_key(self, key: &str, value: serde_json::Value) -> Self {
                self.with(key, value)
            }
            fn check_values(&self) -> $crate::error::Result<()> {
                $crate::guest::check_properties(&self.values, $format_of)
            }
        }

        impl $Name {
            /// An empty one.
            pub fn new() -> Self {
                Self::default()
            }

            /// From the members of an answer; `digest` is kept apart.
            pub fn from_values(mut values: serde_json::Map<String, serde_json::Value>) -> Self {
                let digest = values
                    .shift_remove("digest")
                    .and_then(|digest| digest.as_str().map(str::to_owned));
                let values = $crate::secret::Values::new(values, &$secret);
                Self { values, digest }
            }

            /// The digest that the server gave with it.
            pub fn digest(&self) -> Option<&str> {
                self.digest.as_deref()
            }

            /// All keys and values, without the digest.
            pub fn values(&self) -> &serde_json::Map<String, serde_json::Value> {
                &self.values
            }

            /// Any key's value.
            pub fn get(&self, key: &str) -> Option<&serde_json::Value> {
                self.values.get(key)
            }

            /// Any key's value as text, as a configuration file would show it.
            pub fn text(&self, key: &str) -> Option<String> {
                self.read(key)
            }

            /// Sets any key.
            #[must_use]
            pub fn with(mut self, key: &str, value: impl Into<serde_json::Value>) -> Self {
                self.values.set(key, value.into());
                self
            }

            /// Removes any key.
            #[must_use]
            pub fn without(mut self, key: &str) -> Self {
                self.values.remove(key);
                self
            }

            fn read<T: $crate::scalar::Field>(&self, key: &str) -> Option<T> {
                self.values.get(key).and_then($crate::scalar::from_value)
            }

            fn property<T>(&self, key: &str) -> Option<$crate::error::Result<T>>
            where
                T: std::str::FromStr<Err = $crate::error::Error>,
            {
                self.text(key).map(|text| {
                    text.parse::<T>()
                        .map_err(|error| error.doing(format!("reading `{key}`")))
                })
            }

            fn with_property(self, key: &str, property: &impl std::fmt::Display) -> Self {
                self.with(key, property.to_string())
            }

            /// Description, shown in the interface as Markdown.
            pub fn description(&self) -> Option<String> {
                self.read("description")
            }

            /// Sets the description.
            #[must_use]
            pub fn with_description(self, text: &str) -> Self {
                self.with("description", text)
            }

            /// Tags, sorted; the server sorts them on every change, so they are a set.
            pub fn tags(&self) -> Vec<String> {
                let text: String = self.read("tags").unwrap_or_default();
                let mut tags: Vec<String> = text
                    .split([';', ',', ' '])
                    .filter(|tag| !tag.is_empty())
                    .map(str::to_owned)
                    .collect();
                tags.sort();
                tags.dedup();
                tags
            }

            /// Sets the tags.
            #[must_use]
            pub fn with_tags<'a>(self, tags: impl IntoIterator<Item = &'a str>) -> Self {
                let mut tags: Vec<&str> = tags.into_iter().collect();
                tags.sort_unstable();
                tags.dedup();
                self.with("tags", tags.join(";"))
            }

            /// Whether it starts with its node.
            pub fn on_boot(&self) -> Option<bool> {
                self.read("onboot")
            }

            /// Sets whether it starts with its node.
            #[must_use]
            pub fn with_on_boot(self, on: bool) -> Self {
                self.with("onboot", u8::from(on))
            }

            /// Whether it may not be removed.
            #[must_use]
            pub fn with_protection(self, on: bool) -> Self {
                self.with("protection", u8::from(on))
            }

            /// Place in the start order.
            #[must_use]
            pub fn with_startup(self, startup: &$crate::property::Startup) -> Self {
                self.with_property("startup", startup)
            }

            /// The kind of task that holds it: `clone`, `backup`, `migrate`, …
            pub fn lock(&self) -> Option<String> {
                self.read("lock")
            }

            /// Whether it is a template.
            pub fn is_template(&self) -> bool {
                self.read("template").unwrap_or(false)
            }
        }
    };
}

pub(crate) use guest_config;
