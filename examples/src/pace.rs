//! How fast time runs: waits are written in the time of real machines, the lab passes it faster.

use std::fmt;
use std::future::Future;
use std::time::Duration;

use tokio::time::Instant;

use crate::failure::Failure;
use crate::progress::Reporter;

/// The speed at which waits pass.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Pace {
    speed: f64,
}

/// What one look at the world showed.
#[derive(Debug)]
#[non_exhaustive]
pub enum Look<T> {
    /// What was waited for is there.
    There(T),
    /// Not yet; the text is what was seen instead.
    NotYet(String),
}

/// How long a wait may take and how often it looks.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct Patience {
    /// The time after which the wait fails.
    pub limit: Duration,
    /// The time between two looks.
    pub every: Duration,
}

impl Patience {
    /// A wait of at most `limit` seconds that looks every `every` seconds.
    pub const fn seconds(limit: u64, every: u64) -> Self {
        Self {
            limit: Duration::from_secs(limit),
            every: Duration::from_secs(every),
        }
    }
}

impl Pace {
    /// The pace of real machines.
    pub const REAL: Self = Self { speed: 1.0 };

    /// Time that passes `speed` times faster; not above a million, not below one.
    pub fn times(speed: f64) -> Self {
        Self {
            speed: speed.clamp(1.0, 1e6),
        }
    }

    /// How many modelled seconds pass in a second of the clock on the wall.
    pub fn speed(self) -> f64 {
        self.speed
    }

    /// The real duration that stands for `modelled`.
    pub fn scale(self, modelled: Duration) -> Duration {
        modelled.div_f64(self.speed)
    }

    /// Sleeps for a modelled duration.
    pub async fn sleep(self, modelled: Duration) {
        tokio::time::sleep(self.scale(modelled)).await;
    }

    /// Looks until something is there, telling `reporter` what it last saw.
    ///
    /// Transient failures of a look count as "not yet"; a permanent one ends the wait. A wait that ran out is not worth
    /// another: its failure is permanent.
    ///
    /// # Errors
    ///
    /// The permanent failure of a look, or one that names what was waited for and what was last seen.
    pub async fn wait<T, F, Fut>(
        self,
        reporter: &Reporter,
        what: impl fmt::Display,
        patience: Patience,
        mut look: F,
    ) -> Result<T, Failure>
    where
        F: FnMut() -> Fut,
        Fut: Future<Output = Result<Look<T>, Failure>>,
    {
        let what = what.to_string();
        let deadline = Instant::now() + self.scale(patience.limit);
        loop {
            let seen = match look().await {
                Ok(Look::There(value)) => return Ok(value),
                Ok(Look::NotYet(seen)) => seen,
                Err(failure) if failure.is_transient() => failure.story(),
                Err(failure) => return Err(failure),
            };
            reporter.waiting(&what, &seen);
            if Instant::now() >= deadline {
                return Err(Failure::permanent(
                    reporter.step(),
                    format!(
                        "gave up after {} s waiting for {what}; last seen: {seen}",
                        patience.limit.as_secs()
                    ),
                ));
            }
            self.sleep(patience.every).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;
    use crate::progress::{Event, Events};

    #[tokio::test(start_paused = true)]
    async fn a_wait_reports_what_it_saw_until_it_is_there() {
        let (events, seen) = Events::recording();
        let reporter = events.reporter("machine/cp-1");
        let looks = Cell::new(0);
        let found = Pace::REAL
            .wait(
                &reporter,
                "the machine API",
                Patience::seconds(60, 5),
                || {
                    looks.set(looks.get() + 1);
                    let count = looks.get();
                    async move {
                        match count {
                            1 => Err(Failure::transient("10.0.20.11", "connection refused")),
                            2 => Ok(Look::NotYet("maintenance mode".to_owned())),
                            _ => Ok(Look::There(count)),
                        }
                    }
                },
            )
            .await
            .unwrap();
        assert_eq!(found, 3);
        let texts: Vec<_> = seen
            .take()
            .into_iter()
            .filter_map(|event| match event {
                Event::Waiting { last_seen, .. } => Some(last_seen),
                _ => None,
            })
            .collect();
        assert_eq!(
            texts,
            ["10.0.20.11: connection refused", "maintenance mode"]
        );
    }

    #[tokio::test(start_paused = true)]
    async fn a_wait_that_runs_out_says_what_it_last_saw() {
        let (events, _) = Events::recording();
        let failure = Pace::times(100.0)
            .wait(
                &events.reporter("nodes"),
                "9 nodes Ready",
                Patience::seconds(30, 2),
                || async {
                    Ok(Look::<()>::NotYet(
                        "8 of 9 Ready, worker-6 NotReady".to_owned(),
                    ))
                },
            )
            .await
            .unwrap_err();
        assert_eq!(
            failure.to_string(),
            "nodes: gave up after 30 s waiting for 9 nodes Ready; last seen: 8 of 9 Ready, worker-6 NotReady"
        );
    }

    #[tokio::test(start_paused = true)]
    async fn a_permanent_failure_ends_a_wait_at_once() {
        let (events, _) = Events::recording();
        let started = Instant::now();
        let failure = Pace::REAL
            .wait(
                &events.reporter("vm/cp-1"),
                "the task",
                Patience::seconds(600, 1),
                || async { Err::<Look<()>, _>(Failure::permanent("pve1", "no permission")) },
            )
            .await
            .unwrap_err();
        assert_eq!(failure.place(), "pve1");
        assert_eq!(started.elapsed(), Duration::ZERO);
    }
}
