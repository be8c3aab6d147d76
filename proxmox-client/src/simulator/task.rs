//! Tasks in the world.

use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// A task, running or ended.
#[derive(Serialize, Deserialize, Debug, Clone)]
pub(super) struct SimTask {
    pub(super) upid: String,
    pub(super) node: String,
    pub(super) kind: String,
    pub(super) id: String,
    pub(super) user: String,
    pub(super) token: Option<String>,
    pub(super) pid: u32,
    pub(super) pstart: u64,
    pub(super) started: SystemTime,
    pub(super) ended: Option<(SystemTime, String)>,
    pub(super) log: Vec<String>,
    /// A start that never happened: in lists, but unknown when asked for.
    pub(super) phantom: bool,
}

impl SimTask {
    pub(super) fn end(&mut self, at: SystemTime, status: &str) {
        if self.ended.is_some() {
            return;
        }
        self.ended = Some((at, status.to_owned()));
        match status {
            "OK" => self.log.push("TASK OK".to_owned()),
            "unexpected status" => {}
            warnings if warnings.starts_with("WARNINGS") => {
                self.log.push(format!("TASK {warnings}"))
            }
            error => self.log.push(format!("TASK ERROR: {error}")),
        }
    }

    pub(super) fn status(&self) -> Map<String, Value> {
        let mut entry = self.base();
        if let Some(token) = &self.token {
            entry.insert("tokenid".to_owned(), token.as_str().into());
        }
        match &self.ended {
            None => entry.insert("status".to_owned(), "running".into()),
            Some((_, status)) => {
                entry.insert("exitstatus".to_owned(), status.as_str().into());
                entry.insert("status".to_owned(), "stopped".into())
            }
        };
        entry
    }

    fn base(&self) -> Map<String, Value> {
        let mut entry = Map::new();
        let mut put = |key: &str, value: Value| entry.insert(key.to_owned(), value);
        put("upid", self.upid.as_str().into());
        put("node", self.node.as_str().into());
        put("pid", self.pid.into());
        put("pstart", self.pstart.into());
        put("starttime", seconds(self.started).into());
        put("type", self.kind.as_str().into());
        put("id", self.id.as_str().into());
        put("user", self.user.as_str().into());
        entry
    }

    /// The entry in a node's list.
    pub(super) fn node_entry(&self) -> Map<String, Value> {
        let mut entry = self.base();
        let mut put = |key: &str, value: Value| entry.insert(key.to_owned(), value);
        match (&self.ended, &self.token) {
            (None, Some(token)) => {
                put("user", format!("{}!{token}", self.user).into());
            }
            (Some(_), Some(token)) => {
                put("tokenid", token.as_str().into());
            }
            (_, None) => {}
        }
        match &self.ended {
            None => {
                put("status", "RUNNING".into());
                put("saved", "0".into());
            }
            Some((at, status)) => {
                put("status", status.as_str().into());
                put("endtime", seconds(*at).into());
            }
        }
        entry
    }

    /// The entry in the cluster's list.
    pub(super) fn cluster_entry(&self) -> Map<String, Value> {
        let mut entry = self.base();
        entry.shift_remove("pid");
        entry.shift_remove("pstart");
        let mut put = |key: &str, value: Value| entry.insert(key.to_owned(), value);
        if let Some(token) = &self.token {
            put("tokenid", token.as_str().into());
        }
        match &self.ended {
            None => {
                put("saved", "0".into());
            }
            Some((at, status)) => {
                put("saved", "1".into());
                put("status", status.as_str().into());
                put("endtime", seconds(*at).into());
            }
        }
        entry
    }
}

pub(super) fn seconds(moment: SystemTime) -> u64 {
    moment
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap_or(Duration::ZERO)
        .as_secs()
}
