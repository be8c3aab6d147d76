//! Whether a failed step is tried again.

use std::future::Future;
use std::time::Duration;

use crate::failure::Failure;
use crate::pace::Pace;
use crate::progress::{Event, Events};

/// The failure to decide about.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct Attempt {
    /// How many tries have failed, from 1.
    pub failed: u32,
    /// How many tries a step has.
    pub tries: u32,
    /// Whether the failure can pass by itself.
    pub transient: bool,
}

impl Attempt {
    /// The failure number `failed` of a step that has `tries` tries.
    pub fn new(failed: u32, tries: u32, transient: bool) -> Self {
        Self {
            failed,
            tries,
            transient,
        }
    }
}

/// The decision.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Retry {
    /// Try again after a pause.
    After(Duration),
    /// It will not get better.
    Stop,
}

/// Decides about one failure. Every step looks at the world before it changes it, so a try that may have
/// succeeded without an answer can always be repeated.
pub fn decide(attempt: Attempt) -> Retry {
    if !attempt.transient || attempt.failed >= attempt.tries {
        return Retry::Stop;
    }
    let doubled = 1_u64 << attempt.failed.min(5);
    Retry::After(Duration::from_secs(doubled.min(30)))
}

/// Does something up to `tries` times, as long as what fails can pass by itself, and tells about each new try.
///
/// # Errors
///
/// The last failure.
pub async fn persistently<T, F: Future<Output = Result<T, Failure>>>(
    name: &str,
    tries: u32,
    events: &Events,
    pace: Pace,
    mut attempt: impl FnMut() -> F,
) -> Result<T, Failure> {
    let mut failed = 0;
    loop {
        let failure = match attempt().await {
            Ok(value) => return Ok(value),
            Err(failure) => failure,
        };
        failed += 1;
        match decide(Attempt::new(failed, tries, failure.is_transient())) {
            Retry::After(pause) => {
                events.show(Event::Retrying {
                    step: name.to_owned(),
                    attempt: failed,
                    reason: failure.story(),
                });
                pace.sleep(pause).await;
            }
            Retry::Stop => return Err(failure),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn transient_failures_are_tried_again_with_growing_pauses_until_tries_run_out() {
        let pauses: Vec<_> = (1..=7)
            .map(|failed| decide(Attempt::new(failed, 7, true)))
            .collect();
        let expected = [2, 4, 8, 16, 30, 30].map(|s| Retry::After(Duration::from_secs(s)));
        assert_eq!(pauses[..6], expected);
        assert_eq!(pauses[6], Retry::Stop);
    }

    #[test]
    fn permanent_failures_stop_at_once() {
        assert_eq!(decide(Attempt::new(1, 7, false)), Retry::Stop);
    }
}
