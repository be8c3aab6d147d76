//! Tasks: work that goes on in the server after its call has returned.

mod board;
mod call;
mod log;
mod pace;
mod progress;

use std::future::{Future, IntoFuture};
use std::pin::Pin;
use std::time::Duration;

use futures::Stream;
use tokio::time::Instant;
use tracing::Instrument as _;
use tracing::field::Empty;

use crate::client::Client;
use crate::error::{Error, Kind, Result, Sent, classify};
use crate::scalar::record;
use crate::upid::Upid;
use crate::wire::{Method, Request};

use pace::Pace;

pub(crate) use board::Board;
pub use call::{Submitted, TaskCall};
pub use progress::Progress;
use progress::fraction_of;

/// How often a task is asked for its state.
///
/// A client also looks when the last task of the same kind on the same node had ended, for calls that it made itself.
/// When it waits for four tasks or more, they share a list of the cluster's running tasks, read at most every
/// 0.25 s, and ask for themselves only when they are not in it, or are expected to have ended.
///
/// ```
/// use std::time::Duration;
/// use proxmox_client::task::PollPolicy;
/// let steady = PollPolicy::every(Duration::from_secs(2)).with_deadline(Duration::from_secs(600));
/// assert_eq!((steady.first, steady.longest), (Duration::from_secs(2), Duration::from_secs(2)));
/// ```
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct PollPolicy {
    /// First pause. Default 200 ms.
    pub first: Duration,
    /// Each pause is this many times the one before. Default 1.5.
    pub factor: f64,
    /// Longest pause. Default 3 s.
    pub longest: Duration,
    /// How long a task may take before the wait (not the task) ends. Default none.
    pub deadline: Option<Duration>,
}

impl Default for PollPolicy {
    fn default() -> Self {
        Self {
            first: Duration::from_millis(200),
            factor: 1.5,
            longest: Duration::from_secs(3),
            deadline: None,
        }
    }
}

impl PollPolicy {
    /// The same pause each time.
    pub fn every(interval: Duration) -> Self {
        Self {
            first: interval,
            factor: 1.0,
            longest: interval,
            deadline: None,
        }
    }

    /// Ends the wait after this time.
    #[must_use]
    pub fn with_deadline(mut self, limit: Duration) -> Self {
        self.deadline = Some(limit);
        self
    }
}

record! {
    /// `GET /nodes/{node}/tasks/{upid}/status`.
    pub struct TaskStatus {
        required {
            /// `running` or `stopped`.
            "status" status: String,
        }
        optional {
            /// `OK`, `WARNINGS: n`, the error's text or `unexpected status`; only once stopped.
            "exitstatus" exit_status: String,
            /// Kind of work, such as `qmstart`.
            "type" kind: String,
            /// What it works on.
            "id" id: String,
            /// User with realm.
            "user" user: String,
            /// Name of the token that started it.
            "tokenid" token: String,
            /// Node.
            "node" node: String,
            /// Identifier.
            "upid" upid: String,
            /// Process id.
            "pid" pid: u64,
            /// Process start in clock ticks.
            "pstart" pstart: u64,
            /// Start in seconds since 1970.
            "starttime" start_time: u64,
        }
    }
}

record! {
    /// An entry of `GET /nodes/{node}/tasks` or `GET /cluster/tasks`.
    pub struct TaskEntry {
        required {
            /// Identifier.
            "upid" upid: String,
        }
        optional {
            /// `RUNNING`, or the exit status; absent in `/cluster/tasks` while running.
            "status" status: String,
            /// Start in seconds since 1970.
            "starttime" start_time: u64,
            /// End in seconds since 1970; absent while running.
            "endtime" end_time: u64,
            /// Kind of work.
            "type" kind: String,
            /// What it works on.
            "id" id: String,
            /// User with realm; active entries of a node add the token.
            "user" user: String,
            /// Name of the token.
            "tokenid" token: String,
            /// Node.
            "node" node: String,
            /// Process id.
            "pid" pid: u64,
            /// Process start in clock ticks.
            "pstart" pstart: u64,
            /// Whether the entry is in the node's archive.
            "saved" saved: bool,
        }
    }
}

record! {
    /// A line of a task's log.
    pub struct LogLine {
        required {
            /// Number from 1.
            "n" number: u64,
            /// Text.
            "t" text: String,
        }
        optional {}
    }
}

/// How a task ended.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Outcome {
    /// Done.
    Done,
    /// Done, with these warnings (lines of the log, without their `WARN:` mark).
    Warnings(Vec<String>),
    /// Failed, with this text.
    Failed(String),
    /// Ended without a verdict: killed, crashed or overruled. What it left must be read back.
    Unknown(String),
}

impl Outcome {
    /// For spans.
    fn word(&self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Warnings(_) => "warnings",
            Self::Failed(_) => "failed",
            Self::Unknown(_) => "unknown",
        }
    }
}

/// The end of a task: outcome and, unless all went well, the whole log.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct TaskReport {
    /// The task; none if the work was done within the call.
    pub upid: Option<Upid>,
    /// How it ended.
    pub outcome: Outcome,
    /// The whole log; empty if the outcome is [`Outcome::Done`] and nobody watched it.
    pub log: Vec<LogLine>,
}

impl TaskReport {
    /// The warnings of a task that did its work, or an error that carries the log.
    pub fn check(self) -> Result<Vec<String>> {
        let (kind, text) = match self.outcome {
            Outcome::Done => return Ok(Vec::new()),
            Outcome::Warnings(warnings) => return Ok(warnings),
            Outcome::Failed(text) => (classify(0, &text, []), text),
            Outcome::Unknown(text) => (Kind::TaskUnknown, text),
        };
        let error = Error::new(kind, text).with_sent(Sent::Answered);
        Err(match self.upid {
            Some(upid) => error.doing(describe(&upid)).with_task(upid, self.log),
            None => error,
        })
    }
}

fn describe(upid: &Upid) -> String {
    match upid.id() {
        Some(id) => format!("task {} of {id} on {}", upid.kind(), upid.node()),
        None => format!("task {} on {}", upid.kind(), upid.node()),
    }
}

pub(crate) type Finish<T> = Box<dyn FnOnce(TaskReport) -> Result<T> + Send>;

/// A running (or ended) task; await it for what its call wanted.
///
/// Dropping it does not stop the work.
///
/// ```
/// # #[cfg(feature = "simulator")]
/// # #[tokio::main(flavor = "current_thread", start_paused = true)] async fn main() -> Result<(), proxmox_client::Error> {
/// use proxmox_client::Started;
/// use proxmox_client::task::Submitted;
/// # let node = proxmox_client::simulator::Simulator::lab().connect().node("pve1");
/// # let vm = node.create_qemu(100, proxmox_client::QemuConfig::new()).await?.qemu;
/// let Submitted::Task(task) = vm.start().submit().await? else { unreachable!() };
/// assert_eq!(task.status().await?.status, "running");
/// assert_eq!(task.upid().kind(), "qmstart");
/// let again = node.running_tasks().await?;
/// assert_eq!(again[0].upid, task.upid().as_str());
/// assert_eq!(task.await?, Started::Started);
/// # Ok(()) }
/// # #[cfg(not(feature = "simulator"))] fn main() {}
/// ```
#[must_use = "a task's failure is only known to who waits for it"]
pub struct Task<T = Vec<String>> {
    poller: Poller,
    finish: Finish<T>,
}

/// The part of a task that asks the server.
struct Poller {
    client: Client,
    upid: Upid,
    poll: PollPolicy,
    /// When it began, if this client began it.
    began: Option<Instant>,
}

impl<T> std::fmt::Debug for Task<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Task")
            .field("upid", self.upid())
            .finish_non_exhaustive()
    }
}

impl Client {
    /// A task by its identifier; awaiting it gives its warnings.
    ///
    /// ```
    /// # #[cfg(feature = "simulator")]
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), proxmox_client::Error> {
    /// use proxmox_client::QemuConfig;
    /// # let client = proxmox_client::simulator::Simulator::lab().connect();
    /// let made = client.node("pve1").create_qemu(100, QemuConfig::new()).await?;
    /// let task = client.task(made.upid.unwrap());
    /// assert!(task.status().await?.exit_status.is_some());
    /// assert!(task.await?.is_empty(), "no warnings");
    /// # Ok(()) }
    /// # #[cfg(not(feature = "simulator"))] fn main() {}
    /// ```
    pub fn task(&self, upid: Upid) -> Task {
        Task::new(self.clone(), upid, Box::new(TaskReport::check))
    }

    /// The cluster's recent tasks: all running ones and the newest finished, 25 at most.
    ///
    /// ```
    /// # #[cfg(feature = "simulator")]
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), proxmox_client::Error> {
    /// use proxmox_client::QemuConfig;
    /// # let client = proxmox_client::simulator::Simulator::lab().connect();
    /// client.node("pve1").create_qemu(100, QemuConfig::new()).await?;
    /// let tasks = client.recent_tasks().await?;
    /// assert_eq!((tasks[0].kind.as_deref(), tasks[0].id.as_deref()), (Some("qmcreate"), Some("100")));
    /// assert_eq!(tasks[0].status.as_deref(), Some("OK"));
    /// # Ok(()) }
    /// # #[cfg(not(feature = "simulator"))] fn main() {}
    /// ```
    pub async fn recent_tasks(&self) -> Result<Vec<TaskEntry>> {
        self.fetch(Request::new(Method::Get, "/cluster/tasks", &[]))
            .await
    }
}

impl<T> Task<T> {
    pub(crate) fn new(client: Client, upid: Upid, finish: Finish<T>) -> Self {
        let poll = client.poll_policy().clone();
        Self {
            poller: Poller {
                client,
                upid,
                poll,
                began: None,
            },
            finish,
        }
    }

    /// It began just now, by this client's call.
    fn just_begun(mut self) -> Self {
        self.poller.began = Some(Instant::now());
        self
    }

    /// The identifier.
    pub fn upid(&self) -> &Upid {
        &self.poller.upid
    }

    /// Polls otherwise than the client does by default.
    pub fn with_poll(mut self, poll: PollPolicy) -> Self {
        self.poller.poll = poll;
        self
    }

    /// The state now.
    ///
    /// Example: see [`Task`].
    pub async fn status(&self) -> Result<TaskStatus> {
        self.poller.status().await
    }

    /// The whole log so far.
    ///
    /// ```
    /// # #[cfg(feature = "simulator")]
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), proxmox_client::Error> {
    /// use proxmox_client::QemuConfig;
    /// # let client = proxmox_client::simulator::Simulator::lab().connect();
    /// let made = client.node("pve1").create_qemu(100, QemuConfig::new()).await?;
    /// let log = client.task(made.upid.unwrap()).log().await?;
    /// assert_eq!(log.last().unwrap().text, "TASK OK");
    /// # Ok(()) }
    /// # #[cfg(not(feature = "simulator"))] fn main() {}
    /// ```
    pub async fn log(&self) -> Result<Vec<LogLine>> {
        self.poller.log_from(0).await
    }

    /// Asks the server to stop the work. What it did so far stays; a task that ended already is left alone.
    ///
    /// ```
    /// # #[cfg(feature = "simulator")]
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)] async fn main() -> Result<(), proxmox_client::Error> {
    /// use proxmox_client::QemuConfig;
    /// use proxmox_client::task::Submitted;
    /// # let client = proxmox_client::simulator::Simulator::lab().connect();
    /// # let config = QemuConfig::new().with("scsi0", "local-lvm:4");
    /// # let vm = client.node("pve1").create_qemu(100, config).await?.qemu;
    /// let call = vm.clone_to(101, proxmox_client::CloneOptions::new());
    /// let Submitted::Task(task) = call.submit().await? else { unreachable!() };
    /// task.cancel().await?;
    /// assert!(task.await.is_err(), "what was begun is not done");
    /// # Ok(()) }
    /// # #[cfg(not(feature = "simulator"))] fn main() {}
    /// ```
    pub async fn cancel(&self) -> Result<()> {
        let poller = &self.poller;
        poller
            .client
            .request(poller.request(Method::Delete, "/nodes/{node}/tasks/{upid}"))
            .await?;
        Ok(())
    }

    /// Waits for the end, calling `seen` with every state that was seen on the way.
    ///
    /// ```
    /// # #[cfg(feature = "simulator")]
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), proxmox_client::Error> {
    /// use proxmox_client::task::Submitted;
    /// # let node = proxmox_client::simulator::Simulator::lab().connect().node("pve1");
    /// # let vm = node.create_qemu(100, proxmox_client::QemuConfig::new()).await?.qemu;
    /// let Submitted::Task(task) = vm.start().submit().await? else { unreachable!() };
    /// let mut outcome = None;
    /// task.wait_with(|progress| outcome.clone_from(&progress.outcome)).await?;
    /// assert_eq!(outcome, Some(proxmox_client::task::Outcome::Done));
    /// # Ok(()) }
    /// # #[cfg(not(feature = "simulator"))] fn main() {}
    /// ```
    pub async fn wait_with(self, mut seen: impl FnMut(&Progress) + Send) -> Result<T> {
        let report = self.poller.poll_to_end(Some(&mut seen)).await?;
        (self.finish)(report)
    }

    /// The states on the way to the end, as a stream; the last one has an outcome.
    ///
    /// ```
    /// # #[cfg(feature = "simulator")]
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), proxmox_client::Error> {
    /// use futures::StreamExt;
    /// use proxmox_client::task::{Outcome, Submitted};
    /// # let node = proxmox_client::simulator::Simulator::lab().connect().node("pve1");
    /// # let vm = node.create_qemu(100, proxmox_client::QemuConfig::new()).await?.qemu;
    /// let Submitted::Task(task) = vm.start().submit().await? else { unreachable!() };
    /// let states: Vec<_> = task.watch().collect().await;
    /// let last = states.last().unwrap().as_ref().unwrap();
    /// assert_eq!(last.outcome, Some(Outcome::Done));
    /// # Ok(()) }
    /// # #[cfg(not(feature = "simulator"))] fn main() {}
    /// ```
    pub fn watch(&self) -> impl Stream<Item = Result<Progress>> + Send + use<'_, T> {
        let poller = &self.poller;
        let start = (Watch::new(), Pace::new(&poller.poll, None), false);
        futures::stream::unfold(start, move |(mut watch, mut pace, ended)| async move {
            if ended {
                return None;
            }
            if watch.polls > 0 {
                tokio::time::sleep(pace.after(watch.since.elapsed())).await;
            }
            let item = poller.step(&mut watch, true).await;
            let over = item
                .as_ref()
                .map_or(true, |progress| progress.outcome.is_some());
            Some((item, (watch, pace, over)))
        })
    }
}

impl Poller {
    fn request(&self, method: Method, template: &str) -> Request {
        Request::new(method, template, &[self.upid.node(), self.upid.as_str()])
    }

    async fn status(&self) -> Result<TaskStatus> {
        self.client
            .fetch(self.request(Method::Get, "/nodes/{node}/tasks/{upid}/status"))
            .await
    }

    async fn log_from(&self, start: u64) -> Result<Vec<LogLine>> {
        let request = self
            .request(Method::Get, "/nodes/{node}/tasks/{upid}/log")
            .with("start", start.to_string())
            .with("limit", "0");
        let mut lines: Vec<LogLine> = self.client.fetch(request).await?;
        // An empty log is told as one line.
        if let [line] = lines.as_slice()
            && line.text == "no content"
        {
            lines.clear();
        }
        Ok(lines)
    }

    /// The state; none if the daemon does not know the task yet, which may be so for a moment after it gave the
    /// task's identifier.
    async fn look(&self, watch: &mut Watch) -> Result<Option<TaskStatus>> {
        watch.polls += 1;
        match self.status().await {
            Err(error) if error.is_not_found() && watch.polls <= 5 => Ok(None),
            other => other.map(Some),
        }
    }

    async fn has_ended(&self, watch: &mut Watch) -> Result<bool> {
        let status = self.look(watch).await?;
        Ok(status.is_some_and(|status| status.status == "stopped"))
    }

    async fn step(&self, watch: &mut Watch, with_log: bool) -> Result<Progress> {
        let status = self.look(watch).await?;
        let stopped = status
            .as_ref()
            .is_some_and(|status| status.status == "stopped");
        if with_log {
            let lines = self.log_from(watch.lines.len() as u64).await?;
            watch.lines.extend(lines);
        }
        let outcome = match status {
            Some(status) if stopped => Some(self.outcome(status, watch).await?),
            _ => None,
        };
        Ok(Progress {
            upid: self.upid.clone(),
            elapsed: watch.since.elapsed(),
            last_line: watch.lines.last().map(|line| line.text.clone()),
            lines: watch.lines.len(),
            fraction: watch
                .lines
                .iter()
                .rev()
                .find_map(|line| fraction_of(&line.text)),
            outcome,
        })
    }

    async fn outcome(&self, status: TaskStatus, watch: &mut Watch) -> Result<Outcome> {
        let exit = status.exit_status.unwrap_or_default();
        if exit == "OK" {
            return Ok(Outcome::Done);
        }
        watch.lines = self.log_from(0).await?;
        Ok(if exit.starts_with("WARNINGS") {
            let warnings = watch.lines.iter().filter_map(|line| {
                let text = line.text.trim();
                text.strip_prefix("WARN: ")
                    .or_else(|| text.strip_prefix("WARNING: "))
            });
            Outcome::Warnings(warnings.map(str::to_owned).collect())
        } else if exit.is_empty() || exit == "unexpected status" {
            Outcome::Unknown(if exit.is_empty() {
                "no exit status".to_owned()
            } else {
                exit
            })
        } else {
            Outcome::Failed(exit)
        })
    }

    /// Whether the next look would come after the deadline.
    fn is_late(&self, watch: &Watch, pause: Duration) -> bool {
        let limit = self.poll.deadline;
        limit.is_some_and(|limit| watch.since.elapsed() + pause > limit)
    }

    async fn poll_to_end(
        &self,
        seen: Option<&mut (dyn FnMut(&Progress) + Send)>,
    ) -> Result<TaskReport> {
        let span = tracing::debug_span!("task", upid = self.upid.as_str(), outcome = Empty);
        let report = self.wait_for_end(seen).instrument(span.clone()).await?;
        span.record("outcome", report.outcome.word());
        Ok(report)
    }

    async fn wait_for_end(
        &self,
        mut seen: Option<&mut (dyn FnMut(&Progress) + Send)>,
    ) -> Result<TaskReport> {
        let mut watch = Watch::new();
        let board = self.client.board();
        let (node, kind) = (self.upid.node(), self.upid.kind());
        let expected = self.began.and_then(|_| board.experience().of(node, kind));
        let mut pace = Pace::new(&self.poll, expected);
        let began = self.began.unwrap_or(watch.since);
        let _waiting = board.wait();
        loop {
            let shared = seen.is_none() && board.is_shared() && !pace.is_due(began.elapsed());
            if shared {
                let listed = board
                    .is_running(&self.client, self.upid.as_str(), watch.since)
                    .await;
                if matches!(listed, Ok(true)) {
                    // The list costs one request for all, so it is looked at often.
                    let pause = pace.after(began.elapsed()).min(board::AGE);
                    if !self.is_late(&watch, pause) {
                        tokio::time::sleep(pause).await;
                        continue;
                    }
                }
            }
            let progress = self.step(&mut watch, seen.is_some()).await?;
            if let Some(seen) = seen.as_mut() {
                seen(&progress);
            }
            let elapsed = began.elapsed();
            if let Some(outcome) = progress.outcome {
                if self.began.is_some() && matches!(outcome, Outcome::Done) {
                    board.experience().learn(node, kind, pace.took(elapsed));
                }
                return Ok(TaskReport {
                    upid: Some(self.upid.clone()),
                    outcome,
                    log: watch.lines,
                });
            }
            let pause = pace.after(elapsed);
            if self.is_late(&watch, pause) {
                let last = progress
                    .last_line
                    .map_or_else(String::new, |line| format!("; last line: {line}"));
                return Err(Error::new(
                    Kind::Deadline,
                    format!("still running after {:?}{last}", watch.since.elapsed()),
                )
                .doing(describe(&self.upid))
                .with_task(self.upid.clone(), watch.lines)
                .with_sent(Sent::Answered));
            }
            tokio::time::sleep(pause).await;
        }
    }
}

struct Watch {
    since: Instant,
    polls: u32,
    lines: Vec<LogLine>,
}

impl Watch {
    fn new() -> Self {
        Self {
            since: Instant::now(),
            polls: 0,
            lines: Vec::new(),
        }
    }
}

impl<T: Send + 'static> IntoFuture for Task<T> {
    type Output = Result<T>;
    type IntoFuture = Pin<Box<dyn Future<Output = Result<T>> + Send>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(async move {
            let report = self.poller.poll_to_end(None).await?;
            (self.finish)(report)
        })
    }
}
