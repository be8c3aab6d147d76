//! The API daemons of a server, as far as they matter to callers at the same time.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// The two daemons behind the API. The proxy takes every request, answers what only reads by itself and hands the rest to
/// the privileged daemon, whose few workers are each busy with one request at a time. Both share the node's processors with
/// its tasks.
#[derive(Serialize, Deserialize, Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Daemon {
    /// Number of workers. Default 3.
    pub workers: usize,
    /// Processor time that a request costs the proxy. Default 3 ms.
    #[serde(default)]
    pub proxy: Duration,
    /// Bytes per second of processor time at which the proxy keeps uploads. Default 160 MiB.
    #[serde(default)]
    pub upload_speed: u64,
    /// Processor time of a worker for the checks of a request. Default 7 ms.
    pub read: Duration,
    /// Processor time of a worker for a change of a file, under its lock. Default 1 ms.
    #[serde(default)]
    pub write: Duration,
    /// Processor time of a worker to start a task, before it answers. Default 18 ms.
    pub fork: Duration,
    /// Processor time of a task's process before its first step. Default 10 ms.
    #[serde(default)]
    pub child: Duration,
    /// Processor time that a task costs after its end, when others have its locks already: its log is closed, the lists of
    /// tasks are written again, and its process goes. Default 28 ms: on two processors 240 short tasks, asked for by ten
    /// clients one after the other, took 34 ms each, which with the above is 68 ms of processor time.
    #[serde(default)]
    pub end: Duration,
    /// By which part the costs of a request vary to both sides. Default a quarter.
    #[serde(default)]
    pub jitter: f64,
    /// As how many tasks a request counts where processors are shared: who mostly sleeps is preferred. Default 1.5.
    #[serde(default = "weight")]
    pub weight: f64,
    /// How long after taking up a request a worker still accepts connections that come at the same moment. They wait for
    /// it, whatever the other workers do. Default 8 ms.
    #[serde(default)]
    pub accept: Duration,
    /// A connection that a worker accepted so and could not read for this long is dropped unread: `596 Broken pipe`.
    /// Default 5 s.
    #[serde(default = "idle")]
    pub idle: Duration,
    /// How long the proxy waits for the answer of a worker before it tells `596 Connection timed out`; the worker goes on
    /// with it all the same. Default 30 s.
    #[serde(default = "patience")]
    pub patience: Duration,
    /// The chance that the start of a task gets lost while another one runs: `500 got no worker upid`. Nothing is done, and
    /// the lists show a task that nobody knows. Default 0.007.
    #[serde(default)]
    pub lost_start: f64,
    /// The chance that a connection with a ticket is closed without an answer, and nothing is done. Default 0.0015.
    #[serde(default)]
    pub dropped: f64,
}

impl Daemon {
    /// As measured on a server with default settings and two processors.
    pub fn measured() -> Self {
        let ms = Duration::from_millis;
        Self {
            workers: 3,
            proxy: ms(3),
            upload_speed: 160 << 20,
            read: ms(7),
            write: ms(1),
            fork: ms(18),
            child: ms(10),
            end: ms(28),
            jitter: 0.25,
            weight: weight(),
            accept: ms(8),
            idle: idle(),
            patience: patience(),
            lost_start: 0.007,
            dropped: 0.0015,
        }
    }

    /// The same without what the server does wrong by chance: no start gets lost and no connection is closed.
    #[must_use]
    pub fn without_mishaps(mut self) -> Self {
        self.lost_start = 0.0;
        self.dropped = 0.0;
        self
    }
}

impl Default for Daemon {
    fn default() -> Self {
        Self::measured()
    }
}

fn weight() -> f64 {
    1.5
}

fn idle() -> Duration {
    Duration::from_secs(5)
}

fn patience() -> Duration {
    Duration::from_secs(30)
}
