//! Whether a failed call is repeated, decided without looking at anything but its arguments.

use std::time::Duration;

use crate::error::{Kind, Sent};

/// How often and how patiently calls are repeated.
///
/// ```
/// use std::time::Duration;
/// use proxmox_client::retry::RetryPolicy;
/// let patient = RetryPolicy::default()
///     .with_attempts(8)
///     .with_pauses(Duration::from_secs(1), Duration::from_secs(30));
/// assert_eq!(patient.attempts, 8);
/// assert_eq!(RetryPolicy::never().attempts, 1);
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct RetryPolicy {
    /// Attempts in all, the first one included. Default 5.
    pub attempts: u32,
    /// Pause after the first failure; doubles each time. Default 250 ms.
    pub first_pause: Duration,
    /// Longest pause. Default 5 s.
    pub longest_pause: Duration,
}

impl Default for RetryPolicy {
    fn default() -> Self {
        Self {
            attempts: 5,
            first_pause: Duration::from_millis(250),
            longest_pause: Duration::from_secs(5),
        }
    }
}

impl RetryPolicy {
    /// Never repeats.
    pub fn never() -> Self {
        Self {
            attempts: 1,
            ..Self::default()
        }
    }

    /// Sets the number of attempts.
    #[must_use]
    pub fn with_attempts(mut self, attempts: u32) -> Self {
        self.attempts = attempts.max(1);
        self
    }

    /// Sets the first and the longest pause.
    #[must_use]
    pub fn with_pauses(mut self, first: Duration, longest: Duration) -> Self {
        self.first_pause = first;
        self.longest_pause = longest;
        self
    }

    fn pause(&self, attempt: u32) -> Duration {
        let factor = 1u32
            .checked_shl(attempt.saturating_sub(1))
            .unwrap_or(u32::MAX);
        self.first_pause
            .saturating_mul(factor)
            .min(self.longest_pause)
    }
}

/// What to do after a failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Decision {
    /// Repeat the call after this pause.
    After(Duration),
    /// Report the failure.
    Stop,
}

/// Decides about a failed call.
///
/// `attempt` counts from 1. `idempotent` says that executing the call twice does no more than executing it
/// once; of this interface's methods only GET qualifies (PUT may allocate disks or grow them).
///
/// What was certainly not executed is repeated whatever the method: a connection that was never made, a
/// `596 Broken pipe` (the worker dropped the request unread), `got no worker upid`, a node out of reach, and
/// a lock that was not free in time *while the request waited*. What may have been executed is repeated only
/// if it is idempotent: a broken connection, a `596 Connection timed out` (five of six such writes were
/// applied later). Everything else is an answer, and asking again gives the same one.
///
/// ```
/// use proxmox_client::retry::{Decision, RetryPolicy, decide};
/// use proxmox_client::{Kind, Sent};
/// let policy = RetryPolicy::default();
/// // The connection broke: a write may have been executed, reading again does no harm.
/// assert_eq!(decide(&policy, Kind::Interrupted, Sent::Maybe, 1, false), Decision::Stop);
/// let again = decide(&policy, Kind::Interrupted, Sent::Maybe, 1, true);
/// assert_eq!(again, Decision::After(policy.first_pause));
/// ```
pub fn decide(
    policy: &RetryPolicy,
    kind: Kind,
    sent: Sent,
    attempt: u32,
    idempotent: bool,
) -> Decision {
    if attempt >= policy.attempts {
        return Decision::Stop;
    }
    let transient = match kind {
        // Never executed, whatever the method.
        Kind::Connect | Kind::ProxyBroken | Kind::WorkerNotStarted | Kind::LockTimeout => true,
        Kind::NodeUnreachable | Kind::NoQuorum => true,
        // Maybe executed.
        Kind::Interrupted | Kind::ProxyTimeout | Kind::Proxy | Kind::Deadline => {
            idempotent || sent == Sent::No
        }
        _ => false,
    };
    if !transient {
        return Decision::Stop;
    }
    // The proxy's own silence ends after 30 s, and the work it gave up on may need ten more.
    let floor = match kind {
        Kind::ProxyTimeout => Duration::from_secs(10),
        Kind::ProxyBroken => Duration::from_secs(1),
        _ => Duration::ZERO,
    };
    Decision::After(policy.pause(attempt).max(floor))
}
