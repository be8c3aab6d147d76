//! The time of the lab: it passes as fast as the lab wants, and goes on where a kept lab stopped.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tokio::time::Instant;

use crate::pace::Pace;

/// Tells the modelled time. It follows tokio's clock, so that a test that pauses that one holds the lab still as well.
#[derive(Debug, Clone)]
pub struct LabClock {
    began: Instant,
    began_at: SystemTime,
    pace: Pace,
}

impl LabClock {
    /// A clock that shows `began_at` now and runs at `pace`.
    pub fn starting_at(began_at: SystemTime, pace: Pace) -> Self {
        Self {
            began: Instant::now(),
            began_at,
            pace,
        }
    }

    /// The modelled time.
    pub fn now(&self) -> SystemTime {
        self.began_at + self.since_start()
    }

    /// How fast the modelled time passes.
    pub fn pace(&self) -> Pace {
        self.pace
    }

    /// The modelled time that passed since the clock was made.
    pub fn since_start(&self) -> Duration {
        self.began.elapsed().mul_f64(self.pace.speed())
    }

    /// The clock as the plain function that simulators take.
    pub fn function(&self) -> Arc<dyn Fn() -> SystemTime + Send + Sync> {
        let clock = self.clone();
        Arc::new(move || clock.now())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn modelled_time_runs_at_the_pace_of_the_lab() {
        let clock = LabClock::starting_at(SystemTime::UNIX_EPOCH, Pace::times(100.0));
        tokio::time::sleep(Duration::from_secs(3)).await;
        assert_eq!(
            clock.now(),
            SystemTime::UNIX_EPOCH + Duration::from_secs(300)
        );
        assert_eq!(clock.since_start(), Duration::from_secs(300));
    }
}
