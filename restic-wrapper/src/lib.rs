#![doc = include_str!("../README.md")]

mod bundle;
mod command;
mod commands;
mod error;
mod event;
#[doc(hidden)]
pub mod fuzzing;
mod invocation;
mod location;
mod lock;
mod node;
mod outcome;
mod parser;
mod process;
pub mod proof;
mod report;
mod repository;
mod restic;
pub mod retention;
mod run;
mod secret;
#[cfg(feature = "simulator")]
pub mod simulator;
mod snapshot;
mod text;
mod timestamp;
mod version;

pub use bundle::{Bundle, BundleBackup, BundleProof};
pub use command::Command;
pub use commands::*;
pub use error::{Error, ErrorKind, Result};
pub use event::*;
pub use location::{Location, Scheme};
pub use lock::{Holder, Lock, LockedBy, Staleness};
pub use node::{FoundNode, parse_found, parse_node};
pub use outcome::{Evidence, Exit, Outcome};
pub use parser::{Decoded, Document, LineSplitter, Parser};
pub use report::*;
pub use repository::{Compression, PasswordBy, Repository};
pub use restic::Restic;
pub use run::{Canceller, Patience, Run};
pub use secret::Secret;
pub use snapshot::*;
pub use timestamp::{ParseTimestampError, Timestamp};
pub use version::{ParseVersionError, Version};
