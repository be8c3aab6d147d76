//! Property strings: `virtio=BC:24:11:00:00:01,bridge=vmbr0,firewall=1`.
//!
//! Parts are separated by commas, each `key=value` or a bare value of the format's default key. There is no
//! quoting: a value cannot hold a comma. Unknown keys and their order survive; a typed view such as [`Drive`]
//! changes one key without touching the others.

mod backup;
pub(crate) mod check;
pub(crate) mod container;
mod disk;
pub(crate) mod format;
#[path = "generated/formats.rs"]
pub(crate) mod formats;
mod guest;
mod network;
pub(crate) mod table;

use std::fmt;

use secrecy::zeroize::Zeroize as _;
use secrecy::{ExposeSecret as _, SecretString};

use crate::error::{Error, Result};
use crate::scalar::parse_bool;
use crate::size::Size;

pub(crate) use backup::{BANDWIDTH, FLEECING, PERFORMANCE, PRUNE_BACKUPS};
pub use backup::{BackupPerformance, BandwidthLimits, Fleecing, PruneBackups};
pub use check::{PropertyKeys, PropertyProblem};
pub use container::{ContainerNic, Device, Features, MountPoint};
pub use disk::{Drive, EfiDisk, TpmState};
pub use formats::*;
pub use guest::{Agent, BootOrder, Cpu, Smbios, Startup};
pub use network::{IpConfig, Nic};

/// What distinguishes one format from another.
#[derive(Debug)]
pub struct Format {
    /// Name for messages.
    pub(crate) name: &'static str,
    /// Key of a bare value.
    pub(crate) default_key: Option<&'static str>,
    /// Other spellings of keys.
    pub(crate) aliases: &'static [(&'static str, &'static str)],
    /// Keys whose values are flags, so that `1` and `on` mean the same.
    pub(crate) flags: &'static [&'static str],
}

impl Format {
    fn canonical<'a>(&self, key: &'a str) -> &'a str
    where
        'static: 'a,
    {
        self.aliases
            .iter()
            .find(|(alias, _)| *alias == key)
            .map_or(key, |(_, name)| name)
    }
}

/// The parts of a property string, in order.
///
/// ```
/// use proxmox_client::property::{Nic, PropertyString};
/// let text = "virtio=BC:24:11:00:00:01,bridge=vmbr0,brand-new=1";
/// let string = PropertyString::parse(text);
/// assert_eq!(string.parts().nth(1), Some((Some("bridge"), "vmbr0")));
/// // Typed views change one part, and leave what they do not know as it is.
/// let tagged = text.parse::<Nic>()?.with_tag(20u16);
/// assert_eq!(tagged.to_string(), format!("{text},tag=20"));
/// # Ok::<(), proxmox_client::Error>(())
/// ```
#[derive(Clone, PartialEq, Eq, Default)]
pub struct PropertyString {
    /// `None` stands for a bare value.
    parts: Vec<(Option<String>, String)>,
}

/// Keys whose values are secret, in whichever format.
const SECRET: [&str; 4] = ["apitoken", "key", "password", "secret"];

fn is_secret(key: Option<&str>) -> bool {
    key.is_some_and(|key| SECRET.contains(&key))
}

impl fmt::Debug for PropertyString {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let parts = self.parts().map(|(key, value)| match is_secret(key) {
            true => (key, "[REDACTED]"),
            false => (key, value),
        });
        f.debug_list().entries(parts).finish()
    }
}

/// Secrets do not stay in memory.
impl Drop for PropertyString {
    fn drop(&mut self) {
        let parts = self.parts.iter_mut();
        parts
            .filter(|(key, _)| is_secret(key.as_deref()))
            .for_each(|(_, value)| value.zeroize());
    }
}

impl PropertyString {
    /// Splits a property string; empty parts are skipped, as the server does.
    pub fn parse(text: &str) -> Self {
        let parts = text.split(',').filter(|part| !part.is_empty());
        let parts = parts.map(|part| match part.split_once('=') {
            Some((key, value)) => (Some(key.to_owned()), value.to_owned()),
            None => (None, part.to_owned()),
        });
        Self {
            parts: parts.collect(),
        }
    }

    /// The parts: key (none for a bare value) and value.
    pub fn parts(&self) -> impl Iterator<Item = (Option<&str>, &str)> {
        self.parts
            .iter()
            .map(|(key, value)| (key.as_deref(), value.as_str()))
    }

    fn position(&self, format: &Format, key: &str) -> Option<usize> {
        self.parts.iter().position(|(have, _)| match have {
            Some(have) => format.canonical(have) == key,
            None => format.default_key == Some(key),
        })
    }

    /// The value of a key.
    pub(crate) fn get(&self, format: &Format, key: &str) -> Option<&str> {
        self.position(format, key)
            .map(|at| self.parts[at].1.as_str())
    }

    /// Sets one key and leaves the others as they are; the default key is written as a bare value in front.
    pub(crate) fn set(&mut self, format: &Format, key: &str, value: String) {
        match self.position(format, key) {
            Some(at) => self.parts[at].1 = value,
            None if format.default_key == Some(key) => self.parts.insert(0, (None, value)),
            None => self.parts.push((Some(key.to_owned()), value)),
        }
    }

    pub(crate) fn remove(&mut self, format: &Format, key: &str) {
        if let Some(at) = self.position(format, key) {
            self.parts.remove(at);
        }
    }

    /// Whether two strings of a format mean the same: order, aliases and the spelling of flags do not matter.
    pub(crate) fn same_meaning(&self, other: &Self, format: &Format) -> bool {
        self.normal(format) == other.normal(format)
    }

    /// The values of one key in both, for every key whose values differ in meaning.
    pub(crate) fn differences(
        &self,
        other: &Self,
        format: &Format,
    ) -> Vec<(String, Option<String>, Option<String>)> {
        let (mine, theirs) = (self.normal(format), other.normal(format));
        let value = |parts: &[(String, String)], key: &str| {
            let part = parts.iter().find(|(name, _)| name == key);
            part.map(|(_, value)| value.clone())
        };
        let mut keys: Vec<&String> = mine.iter().chain(&theirs).map(|(key, _)| key).collect();
        keys.sort();
        keys.dedup();
        keys.into_iter()
            .map(|key| (key.clone(), value(&mine, key), value(&theirs, key)))
            .filter(|(_, mine, theirs)| mine != theirs)
            .collect()
    }

    fn normal(&self, format: &Format) -> Vec<(String, String)> {
        let mut parts: Vec<_> = self
            .parts
            .iter()
            .map(|(key, value)| {
                let key = key
                    .as_deref()
                    .map_or(format.default_key.unwrap_or(""), |key| {
                        format.canonical(key)
                    });
                let value = match parse_bool(value) {
                    Some(flag) if format.flags.contains(&key) => u8::from(flag).to_string(),
                    _ => value.clone(),
                };
                (key.to_owned(), value)
            })
            .collect();
        parts.sort();
        parts
    }

    /// The first thing that the server would refuse: a key twice, a bare value where none is known.
    pub(crate) fn check(&self, format: &Format) -> Result<()> {
        let mut seen: Vec<&str> = Vec::new();
        for (key, value) in self.parts() {
            let key = match key.or(format.default_key) {
                Some(key) => format.canonical(key),
                None => {
                    return Err(Error::invalid(format!(
                        "{}: `{}` has no key, and this format has no default key",
                        format.name,
                        value.escape_debug()
                    )));
                }
            };
            if seen.contains(&key) {
                return Err(Error::invalid(format!(
                    "{}: `{key}` stands twice",
                    format.name
                )));
            }
            if value.contains([',', '\n', '\0']) {
                return Err(Error::invalid(format!(
                    "{}: the value of `{key}` holds a comma or line break, which the format cannot express",
                    format.name
                )));
            }
            seen.push(key);
        }
        Ok(())
    }
}

impl fmt::Display for PropertyString {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, (key, value)) in self.parts.iter().enumerate() {
            if index > 0 {
                f.write_str(",")?;
            }
            match key {
                Some(key) => write!(f, "{key}={value}")?,
                None => f.write_str(value)?,
            }
        }
        Ok(())
    }
}

/// How a typed value stands in a property string.
pub trait PropertyValue: Sized {
    /// Reads it; `None` if the text is something else.
    fn read(text: &str) -> Option<Self>;
    /// Writes it.
    fn write(&self) -> String;
}

impl PropertyValue for bool {
    fn read(text: &str) -> Option<Self> {
        parse_bool(text)
    }
    fn write(&self) -> String {
        u8::from(*self).to_string()
    }
}

impl PropertyValue for SecretString {
    fn read(text: &str) -> Option<Self> {
        Some(Self::from(text))
    }
    fn write(&self) -> String {
        self.expose_secret().to_owned()
    }
}

macro_rules! plain_values {
    ($($ty:ty),*) => { $(
        impl PropertyValue for $ty {
            fn read(text: &str) -> Option<Self> { text.parse().ok() }
            fn write(&self) -> String { self.to_string() }
        }
    )* };
}
plain_values!(i64, u16, u32, u64, f64, String, Size);

/// Makes a typed view of one format.
macro_rules! property {
    ($(#[$meta:meta])* pub struct $Name:ident: $format:ident, $keys:ident { $($members:tt)* }) => {
        $crate::property::property! {
            $(#[$meta])*
            pub struct $Name: $format { $($members)* }
        }

        impl $Name {
            /// What the server would refuse: see [`PropertyString::problems`](crate::property::PropertyString::problems).
            pub fn problems(&self) -> Vec<$crate::property::PropertyProblem> {
                self.0.problems($crate::property::PropertyKeys($keys))
            }
        }
    };
    ($(#[$meta:meta])* pub struct $Name:ident: $format:ident {
        $( $(#[$fm:meta])* $key:literal $get:ident / $with:ident: $ty:ty, )*
    }) => {
        $(#[$meta])*
        #[derive(Debug, Clone, PartialEq, Eq, Default)]
        pub struct $Name($crate::property::PropertyString);

        impl $Name {
            $(
                $(#[$fm])*
                pub fn $get(&self) -> Option<$ty> {
                    self.0.get(&$format, $key).and_then(<$ty as $crate::property::PropertyValue>::read)
                }
                #[doc = concat!("Sets `", $key, "` and leaves everything else as it is.")]
                #[must_use]
                pub fn $with(mut self, value: impl Into<$ty>) -> Self {
                    let value: $ty = value.into();
                    self.0.set(&$format, $key, $crate::property::PropertyValue::write(&value));
                    self
                }
            )*

            /// Any key's value as text, also of keys that have no method here.
            pub fn get(&self, key: &str) -> Option<&str> {
                self.0.get(&$format, key)
            }

            /// Sets any key.
            #[must_use]
            pub fn with(mut self, key: &str, value: impl Into<String>) -> Self {
                self.0.set(&$format, key, value.into());
                self
            }

            /// Removes a key.
            #[must_use]
            pub fn without(mut self, key: &str) -> Self {
                self.0.remove(&$format, key);
                self
            }

            /// The parts as they stand.
            pub fn as_property_string(&self) -> &$crate::property::PropertyString {
                &self.0
            }

            /// Whether both mean the same: order, aliases and the spelling of flags do not matter.
            pub fn same_meaning(&self, other: &Self) -> bool {
                self.0.same_meaning(&other.0, &$format)
            }
        }

        impl std::str::FromStr for $Name {
            type Err = $crate::error::Error;
            fn from_str(text: &str) -> Result<Self, Self::Err> {
                let parts = $crate::property::PropertyString::parse(text);
                parts.check(&$format)?;
                Ok(Self(parts))
            }
        }

        impl std::fmt::Display for $Name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}

pub(crate) use property;

/// The format of a virtual machine's configuration key, where it is known; for containers see [`container::format_of`].
pub(crate) fn format_of(key: &str) -> Option<&'static Format> {
    let stem = key.trim_end_matches(|c: char| c.is_ascii_digit());
    let indexed = stem.len() < key.len();
    Some(match (stem, indexed) {
        ("scsi" | "virtio" | "sata" | "ide", true) => &disk::DRIVE,
        ("efidisk", true) => &disk::EFI_DISK,
        ("tpmstate", true) => &disk::TPM_STATE,
        ("net", true) => &network::NIC,
        ("ipconfig", true) => &network::IP_CONFIG,
        ("agent", false) => &guest::AGENT,
        ("cpu", false) => &guest::CPU,
        ("smbios", true) => &guest::SMBIOS,
        ("startup", false) => &guest::STARTUP,
        ("boot", false) => &guest::BOOT,
        _ => return None,
    })
}
