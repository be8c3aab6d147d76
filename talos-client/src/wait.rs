//! Waiting: bounded, told about, and with the last thing seen in the error.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::error::{Error, ErrorKind};

/// What a wait is doing, told after every look.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct WaitEvent {
    /// What it waits for.
    pub waiting_for: String,
    /// What it saw last.
    pub last_seen: String,
    /// Time since it began.
    pub elapsed: Duration,
}

/// One look.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Progress<T> {
    /// It is there.
    Done(T),
    /// Not yet; the text says what is there instead.
    Pending(String),
}

type Tell = Arc<dyn Fn(&WaitEvent) + Send + Sync>;

/// How long to wait, how often to look, whom to tell. Uses tokio's clock.
#[derive(Clone)]
pub struct Wait {
    timeout: Duration,
    interval: Duration,
    tell: Option<Tell>,
}

impl fmt::Debug for Wait {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Wait")
            .field("timeout", &self.timeout)
            .field("interval", &self.interval)
            .finish_non_exhaustive()
    }
}

impl Default for Wait {
    /// At most ten minutes, a look every five seconds, nobody told.
    fn default() -> Self {
        Self {
            timeout: Duration::from_secs(600),
            interval: Duration::from_secs(5),
            tell: None,
        }
    }
}

impl Wait {
    /// Longest time.
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Time between two looks.
    #[must_use]
    pub fn interval(mut self, interval: Duration) -> Self {
        self.interval = interval;
        self
    }

    /// Called after every look that did not find it.
    #[must_use]
    pub fn on_event(mut self, tell: impl Fn(&WaitEvent) + Send + Sync + 'static) -> Self {
        self.tell = Some(Arc::new(tell));
        self
    }

    /// Looks until it is done. An error that can pass ([`Error::is_retryable`]) counts as "not yet".
    ///
    /// # Errors
    /// [`ErrorKind::Timeout`] with what was waited for and seen last; any error of a look that cannot pass.
    pub async fn until<T, F>(&self, waiting_for: &str, mut look: F) -> Result<T, Error>
    where
        F: AsyncFnMut() -> Result<Progress<T>, Error>,
    {
        let begin = tokio::time::Instant::now();
        loop {
            let last_seen = match look().await {
                Ok(Progress::Done(value)) => return Ok(value),
                Ok(Progress::Pending(seen)) => seen,
                Err(error) if error.is_retryable() => error.to_string(),
                Err(error) => return Err(error),
            };
            let event = WaitEvent {
                waiting_for: waiting_for.to_owned(),
                last_seen,
                elapsed: begin.elapsed(),
            };
            if let Some(tell) = &self.tell {
                tell(&event);
            }
            if event.elapsed + self.interval > self.timeout {
                let message = format!(
                    "waited {:?} for {waiting_for}; last seen: {}",
                    event.elapsed, event.last_seen
                );
                return Err(Error::new(ErrorKind::Timeout, message));
            }
            tokio::time::sleep(self.interval).await;
        }
    }
}
