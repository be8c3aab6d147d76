//! What a node writes down: its journal, its system log, a report.

use crate::error::Result;
use crate::node::Node;
use crate::task::LogLine;
use crate::wire::{Method, Request};

/// Which lines of a system log are asked for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct SyslogQuery {
    start: Option<u64>,
    limit: Option<u64>,
    since: Option<String>,
    until: Option<String>,
    service: Option<String>,
}

impl SyslogQuery {
    /// The first 50 lines since the node keeps them.
    pub fn new() -> Self {
        Self::default()
    }

    /// So many lines from a place on, 0 being the first.
    #[must_use]
    pub fn with_page(mut self, start: u64, limit: u64) -> Self {
        self.start = Some(start);
        self.limit = Some(limit);
        self
    }

    /// Only lines since a moment in the node's time: `2026-01-31` or `2026-01-31 08:00:00`.
    #[must_use]
    pub fn since(mut self, moment: &str) -> Self {
        self.since = Some(moment.to_owned());
        self
    }

    /// Only lines until a moment in the node's time.
    #[must_use]
    pub fn until(mut self, moment: &str) -> Self {
        self.until = Some(moment.to_owned());
        self
    }

    /// Only lines of a service, such as `pvedaemon`.
    #[must_use]
    pub fn of_service(mut self, name: &str) -> Self {
        self.service = Some(name.to_owned());
        self
    }
}

/// Whether an entry stands for a place in the journal: the first and the last one do.
fn is_cursor(entry: &str) -> bool {
    entry.starts_with("s=") && entry.contains(";i=")
}

impl Node {
    async fn read_journal(&self, request: Request) -> Result<Vec<String>> {
        let found: Result<Vec<String>> = self.client().fetch(request).await;
        let mut lines = found
            .map_err(|error| error.doing(format!("reading the journal of {}", self.name())))?;
        if lines.last().is_some_and(|entry| is_cursor(entry)) {
            lines.pop();
        }
        if lines.first().is_some_and(|entry| is_cursor(entry)) {
            lines.remove(0);
        }
        Ok(lines)
    }

    /// The last lines of the node's journal, the oldest first.
    ///
    /// ```
    /// # #[cfg(feature = "simulator")]
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), proxmox_client::Error> {
    /// # use proxmox_client::simulator::{Simulator, World};
    /// # let world = World::lab().with_journal_line("pve1", "kernel", "Linux version 6.17");
    /// # let client = Simulator::new(world).connect();
    /// let lines = client.node("pve1").journal(10).await?;
    /// assert!(lines[0].ends_with("kernel: Linux version 6.17"));
    /// # Ok(()) }
    /// # #[cfg(not(feature = "simulator"))] fn main() {}
    /// ```
    pub async fn journal(&self, lines: u32) -> Result<Vec<String>> {
        let request = self.request(Method::Get, "/journal")?;
        self.read_journal(request.with("lastentries", lines.to_string()))
            .await
    }

    /// The lines of the node's journal of some time, in seconds since 1970; without an end until now.
    ///
    /// Example: see [`journal`](Self::journal).
    pub async fn journal_between(&self, since: u64, until: Option<u64>) -> Result<Vec<String>> {
        let mut request = self.request(Method::Get, "/journal")?;
        request.params_mut().push("since", since.to_string());
        if let Some(until) = until {
            request.params_mut().push("until", until.to_string());
        }
        self.read_journal(request).await
    }

    /// Lines of the node's system log. One line `no content` stands for none at all.
    ///
    /// ```
    /// # #[cfg(feature = "simulator")]
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), proxmox_client::Error> {
    /// use proxmox_client::service::SyslogQuery;
    /// # use proxmox_client::simulator::{Simulator, World};
    /// # let world = World::lab().with_journal_line("pve1", "sshd[812]", "Server listening");
    /// # let client = Simulator::new(world).connect();
    /// let query = SyslogQuery::new().of_service("sshd").since("2026-01-01");
    /// let lines = client.node("pve1").syslog(&query).await?;
    /// assert!(lines[0].text.ends_with("Server listening"));
    /// # Ok(()) }
    /// # #[cfg(not(feature = "simulator"))] fn main() {}
    /// ```
    pub async fn syslog(&self, query: &SyslogQuery) -> Result<Vec<LogLine>> {
        let mut request = self.request(Method::Get, "/syslog")?;
        let params = request.params_mut();
        let numbers = [("start", query.start), ("limit", query.limit)];
        for (name, number) in numbers {
            if let Some(number) = number {
                params.push(name, number.to_string());
            }
        }
        let texts = [
            ("since", &query.since),
            ("until", &query.until),
            ("service", &query.service),
        ];
        for (name, text) in texts {
            if let Some(text) = text {
                params.push(name, text);
            }
        }
        let found = self.client().fetch(request).await;
        found.map_err(|error| error.doing(format!("reading the system log of {}", self.name())))
    }

    /// A report of the node for those who help with it: versions, storages, guests, networks, as one long text.
    ///
    /// ```
    /// # #[cfg(feature = "simulator")]
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), proxmox_client::Error> {
    /// # let client = proxmox_client::simulator::Simulator::lab().connect();
    /// assert!(client.node("pve1").report().await?.contains("pve-manager/9.1.9"));
    /// # Ok(()) }
    /// # #[cfg(not(feature = "simulator"))] fn main() {}
    /// ```
    pub async fn report(&self) -> Result<String> {
        let request = self.request(Method::Get, "/report")?;
        let found = self.client().fetch(request).await;
        found.map_err(|error| error.doing(format!("reading a report of {}", self.name())))
    }
}
