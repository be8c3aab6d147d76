//! Faults on demand, and the journal of what was asked.

use std::time::{Duration, SystemTime};

/// A request about to be handled.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct RequestInfo {
    /// Counts all requests, from 1.
    pub number: u64,
    /// `GET`, `POST`, `PUT` or `DELETE`.
    pub method: String,
    /// Path below `/api2/json`, decoded.
    pub path: String,
    /// Modelled time.
    pub at: SystemTime,
}

/// What shall go wrong with a request.
///
/// ```
/// # #[tokio::main(flavor = "current_thread", start_paused = true)] async fn main() -> Result<(), proxmox_client::Error> {
/// use proxmox_client::QemuConfig;
/// use proxmox_client::simulator::{Fault, Simulator};
/// let simulator = Simulator::lab();
/// let node = simulator.connect().node("pve1");
/// simulator.on_request(|request| match (request.method.as_str(), request.number) {
///     ("POST", 1) => Fault::BrokenPipe, // never executed, so the client repeats it
///     _ => Fault::None,
/// });
/// node.create_qemu(100, QemuConfig::new()).await?;
/// let posts = simulator.journal().into_iter().filter(|entry| entry.method == "POST");
/// assert_eq!(posts.count(), 2);
/// # Ok(()) }
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Fault {
    /// Nothing.
    #[default]
    None,
    /// The connection breaks before the request is executed.
    ResetBefore,
    /// The request is executed, then the connection breaks without an answer.
    ResetAfter,
    /// Not executed; answered with this status, reason and no body.
    Refuse {
        /// Status.
        status: u16,
        /// Reason phrase.
        reason: String,
    },
    /// Not executed: `596 Broken pipe`.
    BrokenPipe,
    /// `596 Connection timed out` after 30 modelled seconds.
    ProxyTimeout {
        /// Whether the request is executed all the same.
        executed: bool,
    },
    /// Not executed: the guest's or storage's lock file was not free in time.
    LockTimeout,
    /// Not executed: `401 Authentication failed!` after 3 modelled seconds.
    Unauthorized,
    /// The task that this request starts fails with this text at its end, doing nothing.
    TaskFails(String),
    /// The task that this request starts does its work and ends with this many warnings.
    TaskWarns(u32),
    /// The task that this request starts ends without a verdict, leaving things as they are then.
    TaskKilled,
    /// Executed and answered, this much later.
    Delay(Duration),
}

/// A request that was handled.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct JournalEntry {
    /// Modelled time of arrival.
    pub at: SystemTime,
    /// Method.
    pub method: String,
    /// Path below `/api2/json`, decoded.
    pub path: String,
    /// Parameter names; values may be secret.
    pub parameters: Vec<String>,
    /// Modelled time of the answer; none while there is none.
    pub answered: Option<SystemTime>,
    /// Status answered; none if the connection was broken.
    pub status: Option<u16>,
}
