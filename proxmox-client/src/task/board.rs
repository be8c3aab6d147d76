//! Many tasks waited for at once: one list of the cluster's tasks instead of a question for each.

use std::collections::HashSet;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::sync::Mutex;
use tokio::time::Instant;

use crate::client::Client;
use crate::error::Result;

use super::pace::Experience;

/// From so many waiting tasks on they share a list.
const SHARED_FROM: usize = 4;
/// How old the list may be.
pub(super) const AGE: Duration = Duration::from_millis(250);

/// Which tasks were running when the list was read last, and how long tasks took.
#[derive(Debug, Default)]
pub(crate) struct Board {
    waiting: AtomicUsize,
    list: Mutex<Option<(Instant, HashSet<String>)>>,
    experience: Experience,
}

/// Counts a task that is waited for.
#[derive(Debug)]
pub(super) struct Waiting<'a>(&'a Board);

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.waiting.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Board {
    pub(super) fn wait(&self) -> Waiting<'_> {
        self.waiting.fetch_add(1, Ordering::Relaxed);
        Waiting(self)
    }

    pub(super) fn experience(&self) -> &Experience {
        &self.experience
    }

    /// Whether so many wait that they share the list.
    pub(super) fn is_shared(&self) -> bool {
        self.waiting.load(Ordering::Relaxed) >= SHARED_FROM
    }

    /// Whether the list tells that a task runs. A task that it does not tell may have ended, or be hidden from this
    /// caller, or belong to a node that does not answer: then only the task itself can tell.
    pub(super) async fn is_running(
        &self,
        client: &Client,
        upid: &str,
        since: Instant,
    ) -> Result<bool> {
        let mut list = self.list.lock().await;
        if let Some((read, running)) = list.as_ref()
            && read.elapsed() < AGE
            && *read >= since
        {
            return Ok(running.contains(upid));
        }
        // Whoever comes meanwhile waits for this answer.
        let asked = Instant::now();
        let entries = client.recent_tasks().await?;
        let running: HashSet<String> = entries
            .into_iter()
            .filter(|entry| entry.end_time.is_none())
            .map(|entry| entry.upid)
            .collect();
        let is_running = running.contains(upid);
        *list = Some((asked, running));
        Ok(is_running)
    }
}
