//! Faults on purpose, and the record of requests.

use std::time::{Duration, SystemTime};

/// What a hook knows of a request before it is answered.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct RequestInfo {
    /// HTTP method.
    pub method: String,
    /// Path without query.
    pub path: String,
    /// Query.
    pub query: String,
    /// The path with its variable parts named:
    /// `/apis/{group}/{version}/namespaces/{namespace}/{plural}/{name}`.
    pub template: String,
    /// `get`, `list`, `watch`, `create`, `update`, `patch`, `apply`, `delete`, `deletecollection`.
    pub verb: &'static str,
    /// API group; empty for the core group and for paths without objects.
    pub group: String,
    /// Plural of the kind.
    pub resource: String,
    /// Namespace of the request.
    pub namespace: String,
    /// Name of the object.
    pub name: String,
    /// `status`, `scale`, `eviction`.
    pub subresource: String,
    /// Who asks.
    pub user: String,
}

/// What goes wrong with a request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Fault {
    /// Nothing.
    #[default]
    None,
    /// The connection breaks before the server has done anything.
    ResetBefore,
    /// The server does what was asked, then the connection breaks before the answer.
    DropAnswer,
    /// Nothing is done and no answer ever comes.
    Never,
    /// This status instead of an answer; the server has done nothing.
    Status {
        /// HTTP status.
        code: u16,
        /// Text of the `Status` object.
        message: String,
    },
    /// The answer comes after this time of tokio's clock.
    Delay(Duration),
}

/// One request that was made.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct JournalEntry {
    /// Modelled time.
    pub at: SystemTime,
    /// What was asked.
    pub info: RequestInfo,
    /// Status of the answer; none when the connection broke before one.
    pub status: Option<u16>,
}
