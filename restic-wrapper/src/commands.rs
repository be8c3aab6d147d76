//! A builder for every command. Each is started with `start()` for its messages, or simply awaited for its result.

mod backup;
mod copy;
mod forget;
mod keys;
mod maintenance;
mod plain;
mod query;
mod restore;
mod rewrite;

pub use backup::{Backup, BackupReport};
pub use copy::{Copied, Copy, CopyReport};
pub use forget::{Forget, ForgetReport, Prune, PruneReport};
pub use keys::{KeyAdd, KeyList, KeyPasswd, KeyRemove};
pub use maintenance::{
    Check, CheckReport, Init, InitReport, Migrate, Recover, RepairIndex, RepairPacks,
    RepairSnapshots, TextReport, Unlock, UnlockReport,
};
pub use plain::{CacheCommand, FeatureFlag, ResticOption};
pub use query::{
    Cat, Diff, DiffReport, Dump, Find, List, Ls, LsReport, Mount, Snapshots, SnapshotsGrouped,
    StatsCommand, StatsMode,
};
pub use restore::{Overwrite, Restore, RestoreReport};
pub use rewrite::{Rewrite, RewriteReport, TagCommand, TagReport};

use crate::error::{Error, ErrorKind, Result};
use crate::event::{Event, ItemError, Notice};
use crate::parser::{Decoded, Document};
use crate::run::{Collect, Ended};
use crate::version::Version;

/// Since before the oldest version that this crate drives.
pub(crate) const ALWAYS: Version = Version::new(0, 0, 0);

/// Declares a builder: a repository, an invocation and how it starts.
macro_rules! builder {
    ($(#[$doc:meta])* $name:ident => $output:ty) => {
        $(#[$doc])*
        #[must_use = "a command that is not awaited does nothing"]
        pub struct $name {
            pub(crate) repository: $crate::repository::Repository,
            pub(crate) invocation: $crate::invocation::Invocation,
        }

        impl std::fmt::Debug for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.debug_tuple(stringify!($name)).field(&self.invocation).finish()
            }
        }

        impl IntoFuture for $name {
            type Output = $crate::error::Result<$output>;
            type IntoFuture = $crate::run::Run<$output>;

            fn into_future(self) -> Self::IntoFuture {
                self.start().unwrap_or_else($crate::run::Run::failed)
            }
        }
    };
}
pub(crate) use builder;

/// Declares the methods for the flags of a builder.
macro_rules! flags {
    ($name:ty { $($(#[$doc:meta])* $kind:ident $method:ident $flag:literal since $since:expr;)* }) => {
        impl $name {
            $($crate::commands::flags!(@ $kind $(#[$doc])* $method $flag $since);)*
        }
    };
    (@ switch $(#[$doc:meta])* $method:ident $flag:literal $since:expr) => {
        $(#[$doc])*
        pub fn $method(mut self) -> Self {
            self.invocation.switch($flag, $since);
            self
        }
    };
    (@ text $(#[$doc:meta])* $method:ident $flag:literal $since:expr) => {
        $(#[$doc])*
        pub fn $method(mut self, value: impl AsRef<std::ffi::OsStr>) -> Self {
            self.invocation.value($flag, $since, value);
            self
        }
    };
    (@ number $(#[$doc:meta])* $method:ident $flag:literal $since:expr) => {
        $(#[$doc])*
        pub fn $method(mut self, value: u64) -> Self {
            self.invocation.value($flag, $since, value.to_string());
            self
        }
    };
}
pub(crate) use flags;

/// `2.3.0` as a constant expression within `flags!`.
pub(crate) const fn v(minor: u32, patch: u32) -> Version {
    Version::new(0, minor, patch)
}

/// The filters that many commands share.
macro_rules! snapshot_filters {
    ($name:ty) => {
        $crate::commands::flags!($name {
            /// Only snapshots of this host; may be given several times.
            text host "--host" since $crate::commands::ALWAYS;
            /// Only snapshots with all of these tags (`a,b`); may be given several times, then any of the lists will do.
            text tag "--tag" since $crate::commands::ALWAYS;
            /// Only snapshots that include this absolute path; may be given several times.
            text path "--path" since $crate::commands::ALWAYS;
        });
    };
}
pub(crate) use snapshot_filters;

/// Errors of items that a report keeps; the rest are counted.
pub(crate) const KEPT_ERRORS: usize = 1000;

/// Errors of single files, bounded.
#[derive(Debug, Default)]
pub(crate) struct ItemErrors {
    pub(crate) kept: Vec<ItemError>,
    pub(crate) count: u64,
}

impl ItemErrors {
    pub(crate) fn note(&mut self, event: &Event) {
        if let Event::ItemError(error) = event {
            self.count += 1;
            if self.kept.len() < KEPT_ERRORS {
                self.kept.push(error.clone());
            }
        }
    }
}

/// Collects the one document that a command answers with.
pub(crate) struct OneDocument<T> {
    pub(crate) pick: fn(Document) -> Option<T>,
    pub(crate) found: Option<T>,
    pub(crate) nothing: Option<T>,
    pub(crate) what: &'static str,
}

impl<T> OneDocument<T> {
    pub(crate) fn new(what: &'static str, pick: fn(Document) -> Option<T>) -> Self {
        Self {
            pick,
            found: None,
            nothing: None,
            what,
        }
    }
}

impl<T: Send + 'static> Collect for OneDocument<T> {
    type Output = T;

    fn take(&mut self, value: Decoded<'_>) -> Option<Event> {
        match value {
            Decoded::Document(document) => {
                if let Some(found) = (self.pick)(document) {
                    self.found = Some(found);
                }
                None
            }
            Decoded::Event(event) => Some(event),
            Decoded::Node(_) | Decoded::Found(_) => None,
        }
    }

    fn finish(self, _: &Ended) -> Result<T> {
        self.found.or(self.nothing).ok_or_else(|| {
            Error::new(
                ErrorKind::Protocol,
                format!("it ended well without {}", self.what),
            )
        })
    }
}

/// Collects the lines of a command that speaks text.
#[derive(Default)]
pub(crate) struct TextLines {
    pub(crate) lines: Vec<String>,
}

impl Collect for TextLines {
    type Output = Vec<String>;

    fn take(&mut self, value: Decoded<'_>) -> Option<Event> {
        match value {
            Decoded::Event(event) => {
                if let Event::Notice(Notice { text, .. }) = &event {
                    self.lines.push(text.clone());
                }
                Some(event)
            }
            _ => None,
        }
    }

    fn finish(self, _: &Ended) -> Result<Vec<String>> {
        Ok(self.lines)
    }
}
