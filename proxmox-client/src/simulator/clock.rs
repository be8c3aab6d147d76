//! The modelled time.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use tokio::sync::Notify;
use tokio::time::Instant;

type Now = Arc<dyn Fn() -> SystemTime + Send + Sync>;

/// Where the modelled time comes from.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), proxmox_client::Error> {
/// use std::time::Duration;
/// use proxmox_client::QemuConfig;
/// use proxmox_client::simulator::{Clock, Simulator, World};
/// use proxmox_client::task::Submitted;
/// let world = World::lab().with_guest("pve1", 100, &QemuConfig::new());
/// let clock = Clock::stepped(world.now());
/// let client = Simulator::with_clock(world, clock.clone()).connect();
/// let call = client.node("pve1").qemu(100).start();
/// let Submitted::Task(task) = call.submit().await? else { unreachable!() };
/// assert_eq!(task.status().await?.status, "running");
/// clock.advance(Duration::from_secs(60));
/// assert_eq!(task.status().await?.status, "stopped");
/// # Ok(()) }
/// ```
#[derive(Clone)]
pub struct Clock {
    now: Now,
    /// Modelled seconds per second, to know how long to wait for a modelled moment.
    speed: f64,
    stepped: Option<Arc<Stepped>>,
}

struct Stepped {
    time: Mutex<SystemTime>,
    moved: Notify,
}

impl fmt::Debug for Clock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Clock")
            .field("now", &(self.now)())
            .field("speed", &self.speed)
            .finish()
    }
}

impl Clock {
    /// Time from a function, for a world that shares its clock with others; `speed` says how many modelled
    /// seconds pass in a second.
    pub fn from_fn(now: impl Fn() -> SystemTime + Send + Sync + 'static, speed: f64) -> Self {
        Self {
            now: Arc::new(now),
            speed: speed.max(1e-9),
            stepped: None,
        }
    }

    /// Starts at a moment and runs this many times as fast as tokio's clock, so also under a paused one.
    pub fn accelerated(start: SystemTime, speed: f64) -> Self {
        let origin = Instant::now();
        Self::from_fn(
            move || start + origin.elapsed().mul_f64(speed.max(1e-9)),
            speed,
        )
    }

    /// Stands still until [`advance`](Self::advance) is called.
    pub fn stepped(start: SystemTime) -> Self {
        let stepped = Arc::new(Stepped {
            time: Mutex::new(start),
            moved: Notify::new(),
        });
        let source = stepped.clone();
        Self {
            now: Arc::new(move || *source.time.lock().unwrap_or_else(PoisonError::into_inner)),
            speed: 1.0,
            stepped: Some(stepped),
        }
    }

    /// The modelled time.
    pub fn now(&self) -> SystemTime {
        (self.now)()
    }

    /// Moves a stepped clock on; other clocks do not listen.
    pub fn advance(&self, by: Duration) {
        if let Some(stepped) = &self.stepped {
            *stepped.time.lock().unwrap_or_else(PoisonError::into_inner) += by;
            stepped.moved.notify_waiters();
        }
    }

    /// Waits until the modelled time may have come; callers look again.
    pub(super) async fn wait_for(&self, moment: SystemTime) {
        match &self.stepped {
            Some(stepped) => {
                let moved = stepped.moved.notified();
                if self.now() < moment {
                    moved.await;
                }
            }
            None => {
                let left = moment.duration_since(self.now()).unwrap_or_default();
                tokio::time::sleep(left.div_f64(self.speed).max(Duration::from_micros(100))).await;
            }
        }
    }
}
