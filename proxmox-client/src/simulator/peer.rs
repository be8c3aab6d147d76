//! What passes between worlds: one sends requests to another as a client of it, and hears what came of them.

use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::answer::Reply;
use super::guest::Guest;
use super::route::Firewall;
use super::schema::sub_key;

/// A node of another cluster, as a caller names it.
#[derive(Serialize, Deserialize, Clone, PartialEq, Eq)]
pub(super) struct Endpoint {
    pub(super) host: String,
    pub(super) port: u16,
    pub(super) fingerprint: Option<String>,
    /// The value of the `Authorization` header.
    pub(super) token: String,
}

impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Endpoint")
            .field("host", &self.host)
            .field("port", &self.port)
            .field("fingerprint", &self.fingerprint)
            .finish_non_exhaustive()
    }
}

impl Endpoint {
    /// Reads a property string that the schema has looked at.
    pub(super) fn read(text: &str) -> Self {
        let get = |name: &str| sub_key(text, name).map(str::to_owned);
        Self {
            host: get("host").unwrap_or_default(),
            port: get("port")
                .and_then(|port| port.parse().ok())
                .unwrap_or(8006),
            fingerprint: get("fingerprint"),
            token: get("apitoken").unwrap_or_default(),
        }
    }
}

/// Something to be carried to another world for a job.
#[derive(Serialize, Deserialize, Debug, Clone)]
pub(super) struct Errand {
    pub(super) job: u64,
    pub(super) endpoint: Endpoint,
    pub(super) ask: Ask,
}

#[derive(Serialize, Deserialize, Debug, Clone)]
pub(super) enum Ask {
    /// A request of the interface.
    Call {
        method: String,
        path: String,
        params: Map<String, Value>,
    },
    /// A command for a tunnel that was opened by a request, named by its task.
    Tunnel { upid: String, command: Command },
    /// The connection of a tunnel breaks.
    HangUp { upid: String },
}

/// What the source of a migration tells the other end.
#[derive(Serialize, Deserialize, Debug, Clone)]
pub(super) enum Command {
    /// Who is there.
    Version,
    /// A volume is about to be copied.
    Import(Box<Incoming>),
    /// A disk that is to be written to by the machine that runs here.
    Disk(Box<Incoming>),
    /// The guest as it shall be there.
    Config {
        guest: Box<Guest>,
        firewall: Option<Box<Firewall>>,
    },
    /// A machine is started to take over, a container for good.
    Start,
    /// Disks are complete.
    NbdStop,
    /// The machine goes on there.
    Resume,
    /// The machine that was started to take over is not needed.
    Stop,
    /// The configuration is free.
    Unlock,
    /// The end, with or without taking back what was made.
    Quit { cleanup: bool },
}

/// A volume on its way.
#[derive(Serialize, Deserialize, Debug, Clone)]
pub(super) struct Incoming {
    pub(super) storage: String,
    /// What it shall be called, without folder and end, if it may.
    pub(super) stem: String,
    pub(super) format: String,
    pub(super) size: u64,
    pub(super) used: u64,
}

impl Command {
    /// What logs call it.
    pub(super) fn name(&self) -> &'static str {
        match self {
            Self::Version => "version",
            Self::Import(_) => "disk-import",
            Self::Disk(_) => "disk",
            Self::Config { .. } => "config",
            Self::Start => "start",
            Self::NbdStop => "nbdstop",
            Self::Resume => "resume",
            Self::Stop => "stop",
            Self::Unlock => "unlock",
            Self::Quit { .. } => "quit",
        }
    }
}

/// What came of an errand.
#[derive(Serialize, Deserialize, Debug, Clone)]
pub(super) enum Heard {
    /// The answer to a request.
    Reply(Reply),
    /// What a tunnel says to a command: a result, or why not.
    Told(Result<Value, String>),
    /// Nobody answered, and why.
    Nothing(String),
}
