//! When a task is looked at: by the caller's policy, and at the moment when its kind ended before.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use super::PollPolicy;

/// How long tasks of a kind took on a node, as this client saw it.
#[derive(Debug, Default)]
pub(super) struct Experience(Mutex<HashMap<(String, String), Duration>>);

impl Experience {
    pub(super) fn of(&self, node: &str, kind: &str) -> Option<Duration> {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.get(&(node.to_owned(), kind.to_owned())).copied()
    }

    pub(super) fn learn(&self, node: &str, kind: &str, took: Duration) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.insert((node.to_owned(), kind.to_owned()), took);
    }
}

/// The moments at which one task is looked at, as times since it began.
#[derive(Debug)]
pub(super) struct Pace {
    policy: PollPolicy,
    expected: Option<Duration>,
    pause: Duration,
    /// When it was last seen running.
    running: Option<Duration>,
}

/// What one look at the expected moment tells: it ended before, by how much nobody knows.
const EARLIER: f64 = 0.95;

impl Pace {
    pub(super) fn new(policy: &PollPolicy, expected: Option<Duration>) -> Self {
        Self {
            pause: policy.first,
            policy: policy.clone(),
            expected,
            running: None,
        }
    }

    /// How long to wait now that the task is seen running.
    pub(super) fn after(&mut self, elapsed: Duration) -> Duration {
        let was_due = self.running.is_none_or(|last| {
            self.expected
                .is_some_and(|expected| last < expected && expected <= elapsed)
        });
        self.running = Some(elapsed);
        if was_due {
            // Its end is near now, or nothing is known of it.
            self.pause = self.policy.first;
        }
        let pause = self.pause;
        self.pause = pause
            .mul_f64(self.policy.factor.max(1.0))
            .min(self.policy.longest);
        match self.expected {
            // A look shortly before the end is likely to come would be for nothing.
            Some(expected) if elapsed < expected && expected < elapsed + pause.mul_f64(1.25) => {
                expected - elapsed
            }
            _ => pause,
        }
    }

    /// Whether the task is expected to have ended by now, but was not looked at since.
    pub(super) fn is_due(&self, elapsed: Duration) -> bool {
        self.expected.is_some_and(|expected| {
            expected <= elapsed && self.running.is_none_or(|last| last < expected)
        })
    }

    /// What is known about the duration of a task that is seen ended.
    pub(super) fn took(&self, elapsed: Duration) -> Duration {
        match (self.running, self.expected) {
            (Some(running), Some(expected)) if running < expected && expected <= elapsed => {
                expected.mul_f64(EARLIER)
            }
            (Some(running), _) => (running + elapsed) / 2,
            (None, _) => elapsed,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The looks at a task that takes `took`, and what is learned from them.
    fn looks(
        policy: &PollPolicy,
        expected: Option<Duration>,
        took: Duration,
    ) -> (Vec<u128>, Duration) {
        let mut pace = Pace::new(policy, expected);
        let mut elapsed = Duration::ZERO;
        let mut looks = vec![0];
        while elapsed < took {
            elapsed += pace.after(elapsed);
            looks.push(elapsed.as_millis());
        }
        (looks, pace.took(elapsed))
    }

    fn ms(number: u64) -> Duration {
        Duration::from_millis(number)
    }

    #[test]
    fn without_experience_pauses_grow_as_the_policy_says() {
        let (seen, learned) = looks(&PollPolicy::default(), None, ms(1000));
        assert_eq!(seen, [0, 200, 500, 950, 1625]);
        assert_eq!(learned, Duration::from_micros(1_287_500));
    }

    #[test]
    fn a_look_falls_on_the_moment_when_the_last_one_of_its_kind_ended() {
        let (seen, learned) = looks(&PollPolicy::default(), Some(ms(1000)), ms(990));
        assert_eq!(seen, [0, 200, 500, 1000]);
        assert_eq!(learned, ms(950));
    }

    #[test]
    fn a_task_that_takes_a_little_longer_is_looked_at_soon_again() {
        let (seen, learned) = looks(&PollPolicy::default(), Some(ms(950)), ms(1000));
        assert_eq!(seen, [0, 200, 500, 950, 1150]);
        assert_eq!(learned, ms(1050));
    }

    #[test]
    fn a_policy_of_equal_pauses_keeps_to_them_but_for_the_expected_end() {
        let policy = PollPolicy::every(ms(300));
        assert_eq!(looks(&policy, None, ms(700)).0, [0, 300, 600, 900]);
        assert_eq!(looks(&policy, Some(ms(650)), ms(640)).0, [0, 300, 650]);
    }

    #[test]
    fn experience_comes_near_the_true_duration_from_both_sides() {
        let policy = PollPolicy::default();
        let mut expected = None;
        let mut late = Vec::new();
        for _ in 0..20 {
            let (seen, learned) = looks(&policy, expected, ms(2000));
            late.push(seen[seen.len() - 1] - 2000);
            expected = Some(learned);
        }
        let settled = &late[5..];
        let mean = settled.iter().sum::<u128>() / settled.len() as u128;
        assert!(mean < 120, "mean delay {mean} ms of {late:?}");
    }

    #[test]
    fn a_task_is_due_once_when_it_should_have_ended() {
        let mut pace = Pace::new(&PollPolicy::default(), Some(ms(300)));
        assert!(!pace.is_due(ms(200)));
        assert!(pace.is_due(ms(310)));
        pace.after(ms(310));
        assert!(!pace.is_due(ms(400)));
    }
}
