//! Resources: guests that the manager keeps in a state.

use std::fmt;
use std::str::FromStr;

use crate::error::{Error, Result};
use crate::open::open_enum;
use crate::scalar::{Field, Raw, record};
use crate::setting::Settings;

/// A resource's identifier: `vm:100`, `ct:101`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HaSid {
    kind: String,
    name: String,
}

impl HaSid {
    /// A virtual machine.
    pub fn vm(vmid: u32) -> Self {
        Self {
            kind: "vm".to_owned(),
            name: vmid.to_string(),
        }
    }

    /// A container.
    pub fn ct(vmid: u32) -> Self {
        Self {
            kind: "ct".to_owned(),
            name: vmid.to_string(),
        }
    }

    /// `vm`, `ct`, or what a newer server may know.
    pub fn kind(&self) -> &str {
        &self.kind
    }

    /// The guest's id.
    pub fn vmid(&self) -> Option<u32> {
        self.name.parse().ok()
    }
}

impl fmt::Display for HaSid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.kind, self.name)
    }
}

impl FromStr for HaSid {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let parts = text.split_once(':').filter(|(kind, name)| {
            !kind.is_empty()
                && kind.bytes().all(|byte| byte.is_ascii_lowercase())
                && !name.is_empty()
                && !name.contains([',', ';', ' '])
                && !name.chars().any(char::is_whitespace)
        });
        match parts {
            Some((kind, name)) => Ok(Self {
                kind: kind.to_owned(),
                name: name.to_owned(),
            }),
            None => Err(Error::invalid(format!(
                "`{}` is not an HA resource's identifier, such as vm:100 or ct:101",
                text.escape_debug()
            ))),
        }
    }
}

impl Field for HaSid {
    fn from_raw(raw: Raw<'_>) -> Option<Self> {
        match raw {
            Raw::Text(text) => text.parse().ok(),
            _ => None,
        }
    }
    fn to_value(&self) -> serde_json::Value {
        self.to_string().into()
    }
}

open_enum! {
    /// The state that a resource is kept in.
    pub enum HaState {
        /// Running; restarted after a failure, recovered after the loss of its node.
        Started = "started",
        /// Stopped; recovered to another node after the loss of its own.
        Stopped = "stopped",
        /// Stopped, and never moved; also the way out of an error.
        Disabled = "disabled",
        /// As if it were not managed.
        Ignored = "ignored",
    }
}

record! {
    /// A resource: `GET /cluster/ha/resources`.
    pub struct HaResource {
        required {
            /// Identifier.
            "sid" sid: HaSid,
        }
        optional {
            /// `vm` or `ct`.
            "type" kind: String,
            /// State that is asked for; absent means started.
            "state" state: HaState,
            /// Tries to restart it on its node after its start failed. Default 1.
            "max_restart" max_restart: u32,
            /// Tries to start it on another node after that. Default 1.
            "max_relocate" max_relocate: u32,
            /// Whether it goes back when a node of higher priority comes up. Default yes; version 9 and later.
            "failback" failback: bool,
            /// Group; up to version 8.
            "group" group: String,
            /// Comment.
            "comment" comment: String,
            /// Digest of all resources.
            "digest" digest: String,
        }
    }
}

/// Settings of a resource. What is not set is left alone.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct HaSettings(pub(super) Settings);

impl HaSettings {
    /// Nothing set.
    pub fn new() -> Self {
        Self::default()
    }

    /// The state that it is kept in.
    #[must_use]
    pub fn with_state(mut self, state: HaState) -> Self {
        self.0.text("state", state.as_str());
        self
    }

    /// How often it is started again on its node after its start failed.
    #[must_use]
    pub fn with_max_restart(mut self, tries: u32) -> Self {
        self.0.number("max_restart", tries);
        self
    }

    /// How often another node is tried after that.
    #[must_use]
    pub fn with_max_relocate(mut self, tries: u32) -> Self {
        self.0.number("max_relocate", tries);
        self
    }

    /// Whether it goes back when a node of higher priority comes up. Version 9 and later; earlier servers refuse it here
    /// and have it in their groups: [`Affinity::with_failback`](crate::Affinity::with_failback) fits both.
    #[must_use]
    pub fn with_failback(mut self, failback: bool) -> Self {
        self.0.flag("failback", failback, true);
        self
    }

    /// Comment.
    #[must_use]
    pub fn with_comment(mut self, text: &str) -> Self {
        self.0.text("comment", text);
        self
    }
}

record! {
    /// A resource that keeps another one from being moved.
    pub struct BlockingResource {
        required {
            /// Identifier.
            "sid" sid: HaSid,
        }
        optional {
            /// Why: `resource-affinity`.
            "cause" cause: String,
        }
    }
}

record! {
    /// What a request to move a resource brings with it.
    pub struct HaMotion {
        required {
            /// The resource.
            "sid" sid: HaSid,
        }
        optional {
            /// The node asked for.
            "requested-node" node: String,
            /// Resources that move along, since they are kept together with it.
            "comigrated-resources" comigrated: Vec<String>,
            /// Resources on the target that it is kept apart from; with any of these it will not be moved.
            "blocking-resources" blocking: Vec<BlockingResource>,
        }
    }
}

impl HaMotion {
    pub(super) fn asked(sid: &HaSid, node: &str) -> Self {
        Self {
            sid: sid.clone(),
            node: Some(node.to_owned()),
            comigrated: None,
            blocking: None,
            extra: serde_json::Map::new(),
        }
    }

    /// Whether nothing stands in its way.
    pub fn is_accepted(&self) -> bool {
        self.blocking.as_ref().is_none_or(Vec::is_empty)
    }
}
