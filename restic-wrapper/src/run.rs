//! A command that runs: its messages as they come, its result, and how to stop it.

use std::collections::VecDeque;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::AsyncWriteExt as _;
use tokio::sync::{Notify, oneshot, watch};
use tokio::time::Instant;

use crate::error::{Error, ErrorKind, Result};
use crate::event::{Event, Progress, Stream};
use crate::invocation::RawOutput;
use crate::outcome::{Evidence, Exit, Outcome};
use crate::parser::{Decoded, LineSplitter, Parser};
use crate::process::{Happening, Process, Stop};
use crate::secret::Redactor;
#[cfg(feature = "simulator")]
use crate::simulator::SimulatedProcess;

/// How long each step of stopping may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Patience {
    /// From SIGINT to SIGTERM. restic finishes the upload in flight and removes its lock.
    pub interrupt: Duration,
    /// From SIGTERM to SIGKILL.
    pub terminate: Duration,
    /// How long pipes may stay open after restic has ended, held by a grandchild.
    pub linger: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self {
            interrupt: Duration::from_secs(30),
            terminate: Duration::from_secs(10),
            linger: Duration::from_secs(2),
        }
    }
}

impl Patience {
    /// Sets [`Patience::interrupt`].
    #[must_use]
    pub fn interrupt(mut self, wait: Duration) -> Self {
        self.interrupt = wait;
        self
    }

    /// Sets [`Patience::terminate`].
    #[must_use]
    pub fn terminate(mut self, wait: Duration) -> Self {
        self.terminate = wait;
        self
    }

    /// Sets [`Patience::linger`].
    #[must_use]
    pub fn linger(mut self, wait: Duration) -> Self {
        self.linger = wait;
        self
    }
}

/// A started restic, real or simulated.
#[derive(Debug)]
pub(crate) enum Started {
    Real(Box<Process>),
    #[cfg(feature = "simulator")]
    Simulated(SimulatedProcess),
}

impl Started {
    async fn next(&mut self, sink: &mut (dyn FnMut(Stream, &[u8]) + Send)) -> Happening {
        match self {
            Self::Real(process) => process.next(sink).await,
            #[cfg(feature = "simulator")]
            Self::Simulated(process) => process.next(sink).await,
        }
    }

    fn stop(&mut self, stop: Stop) {
        match self {
            Self::Real(process) => process.stop(stop),
            #[cfg(feature = "simulator")]
            Self::Simulated(process) => process.stop(stop),
        }
    }

    fn input_error(&self) -> Option<std::io::Error> {
        match self {
            Self::Real(process) => process.input_error(),
            #[cfg(feature = "simulator")]
            Self::Simulated(process) => process.input_error(),
        }
    }

    pub(crate) fn pid(&self) -> u32 {
        match self {
            Self::Real(process) => process.pid(),
            #[cfg(feature = "simulator")]
            Self::Simulated(process) => process.pid(),
        }
    }
}

/// Collects what a command needs for its result.
pub(crate) trait Collect: Send + 'static {
    /// The result.
    type Output: Send + 'static;

    /// Sees every value before it becomes an event; what it returns goes on to the reader.
    fn take(&mut self, value: Decoded<'_>) -> Option<Event>;

    /// Called once, when the verdict is a success or a partial one.
    fn finish(self, ended: &Ended) -> Result<Self::Output>;
}

/// How the process ended, for the collector.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) outcome: Outcome,
    pub(crate) exit: Exit,
}

#[derive(Debug, Default)]
struct Mailbox {
    progress: Option<Progress>,
    queue: VecDeque<Event>,
    missed: u64,
    closed: bool,
}

/// Messages that a late reader may leave waiting.
const WAITING: usize = 4096;

#[derive(Debug, Default)]
struct Shared {
    mailbox: Mutex<Mailbox>,
    arrived: Notify,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Mailbox> {
        self.mailbox.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn send(&self, event: Event) {
        let mut mailbox = self.lock();
        match event {
            Event::Progress(progress) => mailbox.progress = Some(progress),
            event => {
                if mailbox.queue.len() >= WAITING {
                    mailbox.queue.pop_front();
                    mailbox.missed += 1;
                }
                mailbox.queue.push_back(event);
            }
        }
        drop(mailbox);
        self.arrived.notify_one();
    }

    fn close(&self) {
        self.lock().closed = true;
        self.arrived.notify_one();
    }
}

/// A running command.
///
/// Await it for its result; call [`Run::next`] for its messages while it works. Nobody has to read them: the streams of
/// the process are drained in any case, the newest progress replaces the older, and of the other messages the last 4,096
/// wait. Dropping it stops the command: SIGINT to its process group, then harder, in a task that outlives the drop.
#[must_use = "a command that nobody awaits is stopped"]
pub struct Run<T> {
    shared: Arc<Shared>,
    cancel: watch::Sender<bool>,
    result: oneshot::Receiver<Result<T>>,
    pid: u32,
    done: bool,
}

impl<T> fmt::Debug for Run<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Run")
            .field("pid", &self.pid)
            .field("done", &self.done)
            .finish()
    }
}

/// Stops a command from somewhere else. It may be kept longer than the command runs.
#[derive(Debug, Clone)]
pub struct Canceller(watch::Sender<bool>);

impl Canceller {
    /// Asks the command to stop. Does nothing if it has ended.
    pub fn cancel(&self) {
        self.0.send_replace(true);
    }
}

impl<T> Run<T> {
    /// A command that could not be started.
    pub(crate) fn failed(error: Error) -> Self {
        let shared = Arc::new(Shared::default());
        shared.close();
        let (cancel, _) = watch::channel(false);
        let (send, result) = oneshot::channel();
        let _ = send.send(Err(error));
        Self {
            shared,
            cancel,
            result,
            pid: 0,
            done: false,
        }
    }

    /// The next message, or `None` when there will be no more.
    pub async fn next(&mut self) -> Option<Event> {
        loop {
            {
                let mut mailbox = self.shared.lock();
                if mailbox.missed > 0 {
                    return Some(Event::Missed(std::mem::take(&mut mailbox.missed)));
                }
                if let Some(event) = mailbox.queue.pop_front() {
                    return Some(event);
                }
                if let Some(progress) = mailbox.progress.take() {
                    return Some(Event::Progress(progress));
                }
                if mailbox.closed {
                    return None;
                }
            }
            self.shared.arrived.notified().await;
        }
    }

    /// Asks the command to stop and waits until it has. The result is [`ErrorKind::Cancelled`], or the command's own if it
    /// was done before the signal arrived.
    ///
    /// # Errors
    ///
    /// Always, unless the work was done already.
    pub async fn cancel(self) -> Result<T> {
        self.cancel.send_replace(true);
        self.await
    }

    /// Something that can stop the command while somebody else awaits it.
    #[must_use]
    pub fn canceller(&self) -> Canceller {
        Canceller(self.cancel.clone())
    }

    /// The process id of restic, which leads its group.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.pid
    }
}

impl<T> Future for Run<T> {
    type Output = Result<T>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        match Pin::new(&mut self.result).poll(context) {
            Poll::Pending => Poll::Pending,
            Poll::Ready(result) => {
                self.done = true;
                Poll::Ready(result.unwrap_or_else(|_| {
                    Err(Error::new(
                        ErrorKind::Cancelled,
                        "the runtime was shut down while restic ran",
                    ))
                }))
            }
        }
    }
}

impl<T> Drop for Run<T> {
    fn drop(&mut self) {
        if !self.done {
            self.cancel.send_replace(true);
        }
    }
}

/// What the supervisor needs beside the process.
pub(crate) struct Supervision {
    pub(crate) parser: Parser,
    pub(crate) evidence: Evidence,
    pub(crate) redactor: Redactor,
    pub(crate) patience: Patience,
    pub(crate) timeout: Option<Duration>,
    /// How long the storage may be out of reach.
    pub(crate) network_patience: Option<Duration>,
    pub(crate) raw_output: Option<RawOutput>,
    pub(crate) doing: String,
    /// Runs after a cancel: looks whether a lock was left, and removes it if its holder is gone.
    pub(crate) after_cancel: Option<Pin<Box<dyn Future<Output = ()> + Send>>>,
}

/// Starts the supervisor and gives the handle.
pub(crate) fn supervise<C: Collect>(
    started: Started,
    supervision: Supervision,
    collector: C,
) -> Run<C::Output> {
    let shared = Arc::new(Shared::default());
    let (cancel, cancelled) = watch::channel(false);
    let (send, result) = oneshot::channel();
    let pid = started.pid();
    let mailbox = Arc::clone(&shared);
    tokio::spawn(async move {
        let outcome = drive(started, supervision, collector, &mailbox, cancelled).await;
        mailbox.close();
        // The caller may be gone; then nobody wants the result.
        let _ = send.send(outcome);
    });
    Run {
        shared,
        cancel,
        result,
        pid,
        done: false,
    }
}

/// How far the supervisor has gone in stopping the process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Running,
    Interrupted,
    Terminated,
    Killed,
    /// It ended; somebody holds its streams open.
    Lingering,
}

async fn drive<C: Collect>(
    mut started: Started,
    mut supervision: Supervision,
    collector: C,
    shared: &Shared,
    mut cancelled: watch::Receiver<bool>,
) -> Result<C::Output> {
    let mut intake = Intake {
        out: LineSplitter::new(LONGEST_LINE),
        err: LineSplitter::new(LONGEST_LINE),
        parser: supervision.parser,
        evidence: supervision.evidence,
        redactor: supervision.redactor,
        collector,
        shared,
    };
    let patience = supervision.patience;
    let mut deadline = supervision.timeout.map(|limit| Instant::now() + limit);
    let mut stage = Stage::Running;
    let mut asked_to_stop = false;
    let mut timed_out = false;
    let mut give_up_at: Option<Instant> = None;
    let mut gave_up = false;
    let mut exit = Exit::Code(-1);
    let mut raw: Vec<u8> = Vec::new();
    let mut write_error: Option<std::io::Error> = None;
    loop {
        let wake = async {
            match deadline.into_iter().chain(give_up_at).min() {
                Some(at) => tokio::time::sleep_until(at).await,
                None => std::future::pending().await,
            }
        };
        let raw_wanted = supervision.raw_output.is_some();
        let mut sink = |stream: Stream, bytes: &[u8]| {
            if stream == Stream::Stdout && raw_wanted {
                raw.extend_from_slice(bytes);
            } else {
                intake.bytes(stream, bytes);
            }
        };
        tokio::select! {
            biased;
            () = asked(&mut cancelled), if stage == Stage::Running => {
                asked_to_stop = true;
                stage = Stage::Interrupted;
                started.stop(Stop::Interrupt);
                give_up_at = None;
                deadline = Some(Instant::now() + patience.interrupt);
            }
            () = wake => match stage {
                Stage::Running => {
                    gave_up = give_up_at.is_some_and(|at| deadline.is_none_or(|end| at < end));
                    timed_out = !gave_up;
                    give_up_at = None;
                    asked_to_stop = true;
                    stage = Stage::Interrupted;
                    started.stop(Stop::Interrupt);
                    deadline = Some(Instant::now() + patience.interrupt);
                }
                Stage::Interrupted => {
                    stage = Stage::Terminated;
                    started.stop(Stop::Terminate);
                    deadline = Some(Instant::now() + patience.terminate);
                }
                Stage::Terminated | Stage::Killed => {
                    stage = Stage::Killed;
                    started.stop(Stop::Kill);
                    // A process in an uninterruptible wait cannot die yet; the kernel keeps the signal.
                    deadline = None;
                }
                Stage::Lingering => {
                    started.stop(Stop::Kill);
                    break;
                }
            },
            happening = started.next(&mut sink) => match happening {
                Happening::Output => {
                    give_up_at = match supervision.network_patience {
                        Some(limit) if stage == Stage::Running && intake.evidence.is_unreachable() => {
                            give_up_at.or_else(|| Some(Instant::now() + limit))
                        }
                        _ => None,
                    };
                    if let Some(output) = &mut supervision.raw_output
                        && !raw.is_empty()
                    {
                        if write_error.is_none()
                            && let Err(error) = output.write_all(&raw).await
                        {
                            write_error = Some(error);
                            stage = Stage::Interrupted;
                            started.stop(Stop::Interrupt);
                            give_up_at = None;
                            deadline = Some(Instant::now() + patience.interrupt);
                        }
                        raw.clear();
                    }
                }
                Happening::Exited(code) => {
                    exit = code;
                    stage = Stage::Lingering;
                    give_up_at = None;
                    deadline = Some(Instant::now() + patience.linger);
                }
                Happening::Finished => break,
            },
        }
    }
    let input_error = started.input_error();
    drop(started);
    intake.finish();
    let Intake {
        evidence,
        redactor,
        collector,
        ..
    } = intake;
    if let Some(output) = &mut supervision.raw_output
        && write_error.is_none()
        && let Err(error) = output.flush().await
    {
        write_error = Some(error);
    }
    // A storage that is out of reach cannot be looked at for a lock either.
    if (asked_to_stop || input_error.is_some())
        && !gave_up
        && let Some(look) = supervision.after_cancel
    {
        look.await;
    }
    let doing = supervision.doing;
    if let Some(error) = input_error {
        let message = match exit {
            Exit::Code(0) => "the input could not be read to its end, but the rest of it was saved",
            _ => "the input could not be read to its end, and nothing was saved",
        };
        return Err(Error::io(message, error).doing(doing));
    }
    if let Some(error) = write_error {
        return Err(Error::io("the output could not be written", error).doing(doing));
    }
    if timed_out && exit != Exit::Code(0) {
        let limit = supervision.timeout.unwrap_or_default();
        let said = details(&evidence, &redactor);
        return Err(Error::timed_out(limit).with_details(said).doing(doing));
    }
    if gave_up && exit != Exit::Code(0) {
        return Err(failure(ErrorKind::Network, exit, &evidence, &redactor).doing(doing));
    }
    match evidence.judge(exit, asked_to_stop) {
        Outcome::Failed(kind) => Err(failure(kind, exit, &evidence, &redactor).doing(doing)),
        outcome => collector
            .finish(&Ended { outcome, exit })
            .map_err(|e| e.doing(doing)),
    }
}

/// Waits until somebody asks the command to stop. A handle that is dropped asks first, so that a closed channel means the
/// same.
async fn asked(cancelled: &mut watch::Receiver<bool>) {
    let _ = cancelled.wait_for(|c| *c).await;
}

fn failure(kind: ErrorKind, exit: Exit, evidence: &Evidence, redactor: &Redactor) -> Error {
    let said = evidence.message().map(|message| redactor.clean(&message));
    let message = match (kind, exit) {
        (ErrorKind::Cancelled, Exit::Signal(9)) => {
            "it was cancelled, and had to be killed".to_owned()
        }
        (ErrorKind::Cancelled, _) => "it was cancelled".to_owned(),
        (ErrorKind::Crashed, Exit::Signal(number)) => format!("it died by signal {number}"),
        (_, Exit::Code(code)) => said.unwrap_or_else(|| format!("it ended with code {code}")),
        (_, Exit::Signal(number)) => said.unwrap_or_else(|| format!("it died by signal {number}")),
    };
    Error::new(kind, message)
        .with_exit_code(exit.code())
        .with_lock(
            (kind == ErrorKind::Locked)
                .then(|| evidence.locked_by().cloned())
                .flatten(),
        )
        .with_details(details(evidence, redactor))
}

fn details(evidence: &Evidence, redactor: &Redactor) -> Vec<String> {
    let lines = evidence.lines();
    lines.iter().map(|line| redactor.clean(line)).collect()
}

/// A document of `snapshots` or `find` is one line; more than this is no document of restic's.
const LONGEST_LINE: usize = 1 << 30;

/// From bytes to lines to values to events.
struct Intake<'a, C> {
    out: LineSplitter,
    err: LineSplitter,
    parser: Parser,
    evidence: Evidence,
    redactor: Redactor,
    collector: C,
    shared: &'a Shared,
}

impl<C: Collect> Intake<'_, C> {
    fn bytes(&mut self, stream: Stream, bytes: &[u8]) {
        let Self {
            out,
            err,
            parser,
            evidence,
            redactor,
            collector,
            shared,
        } = self;
        let splitter = if stream == Stream::Stderr { err } else { out };
        splitter.push(bytes, &mut |line| {
            line_of(stream, line, parser, evidence, redactor, collector, shared);
        });
    }

    fn finish(&mut self) {
        let Self {
            out,
            err,
            parser,
            evidence,
            redactor,
            collector,
            shared,
        } = self;
        for (stream, splitter) in [(Stream::Stdout, out), (Stream::Stderr, err)] {
            splitter.finish(&mut |line| {
                line_of(stream, line, parser, evidence, redactor, collector, shared);
            });
        }
        parser.finish(&mut |value| pass_on(value, evidence, collector, shared));
    }
}

fn line_of<C: Collect>(
    stream: Stream,
    line: &[u8],
    parser: &mut Parser,
    evidence: &mut Evidence,
    redactor: &Redactor,
    collector: &mut C,
    shared: &Shared,
) {
    let cleaned = (!redactor.is_clean(stream, line)).then(|| redactor.clean_line(stream, line));
    let line = cleaned.as_deref().unwrap_or(line);
    parser.line(stream, line, &mut |value| {
        pass_on(value, evidence, collector, shared)
    });
}

fn pass_on<C: Collect>(
    value: Decoded<'_>,
    evidence: &mut Evidence,
    collector: &mut C,
    shared: &Shared,
) {
    if let Decoded::Event(event) = &value {
        evidence.observe(event);
    }
    if let Some(event) = collector.take(value) {
        shared.send(event);
    }
}
