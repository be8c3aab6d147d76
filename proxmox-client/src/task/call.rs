//! Calls that start a task.

use std::fmt;
use std::future::{Future, IntoFuture};
use std::pin::Pin;

use crate::client::Client;
use crate::error::{Error, Result};
use crate::task::{Finish, Outcome, PollPolicy, Progress, Task, TaskReport};
use crate::wire::Request;

type Seen = Box<dyn FnMut(&Progress) + Send>;
type Refused<T> = Box<dyn FnOnce(Error) -> Result<T> + Send>;

/// A call whose work is a task: await it to send it and wait for the end, or [`submit`](Self::submit) it
/// for a handle.
#[must_use = "nothing is sent until the call is awaited or submitted"]
pub struct TaskCall<T> {
    client: Client,
    request: Result<Request>,
    doing: String,
    finish: Finish<T>,
    refused: Option<Refused<T>>,
    seen: Option<Seen>,
    poll: Option<PollPolicy>,
}

impl<T> fmt::Debug for TaskCall<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TaskCall")
            .field("request", &self.request)
            .finish_non_exhaustive()
    }
}

impl<T> TaskCall<T> {
    pub(crate) fn new(
        client: Client,
        doing: impl Into<String>,
        request: Result<Request>,
        finish: impl FnOnce(TaskReport) -> Result<T> + Send + 'static,
    ) -> Self {
        Self {
            client,
            request,
            doing: doing.into(),
            finish: Box::new(finish),
            refused: None,
            seen: None,
            poll: None,
        }
    }

    /// Some refusals of the call itself are a result too (for example: it is gone already).
    pub(crate) fn or_refused(
        mut self,
        refused: impl FnOnce(Error) -> Result<T> + Send + 'static,
    ) -> Self {
        self.refused = Some(Box::new(refused));
        self
    }

    /// The same call with another form of its result.
    #[cfg(feature = "blocking")]
    pub(crate) fn map<U>(self, change: impl FnOnce(T) -> U + Clone + Send + 'static) -> TaskCall<U>
    where
        T: 'static,
    {
        let Self {
            finish, refused, ..
        } = self;
        let also = change.clone();
        TaskCall {
            client: self.client,
            request: self.request,
            doing: self.doing,
            finish: Box::new(move |report| finish(report).map(change)),
            refused: refused
                .map(|refused| -> Refused<U> { Box::new(move |error| refused(error).map(also)) }),
            seen: self.seen,
            poll: self.poll,
        }
    }

    /// Calls `seen` with every state of the task that is seen while waiting.
    ///
    /// ```
    /// # #[cfg(feature = "simulator")]
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), proxmox_client::Error> {
    /// use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
    /// use std::sync::Arc;
    /// # let node = proxmox_client::simulator::Simulator::lab().connect().node("pve1");
    /// # let vm = node.create_qemu(100, proxmox_client::QemuConfig::new()).await?.qemu;
    /// let looks = Arc::new(AtomicUsize::new(0));
    /// let counted = looks.clone();
    /// vm.start().on_progress(move |_| _ = counted.fetch_add(1, Relaxed)).await?;
    /// assert!(looks.load(Relaxed) > 0);
    /// # Ok(()) }
    /// # #[cfg(not(feature = "simulator"))] fn main() {}
    /// ```
    pub fn on_progress(mut self, seen: impl FnMut(&Progress) + Send + 'static) -> Self {
        self.seen = Some(Box::new(seen));
        self
    }

    /// Polls otherwise than the client does by default.
    pub fn with_poll(mut self, poll: PollPolicy) -> Self {
        self.poll = Some(poll);
        self
    }

    fn without_task(finish: Finish<T>) -> Result<Submitted<T>> {
        let report = TaskReport {
            upid: None,
            outcome: Outcome::Done,
            log: Vec::new(),
        };
        finish(report).map(Submitted::Done)
    }

    /// Sends the call and gives the task, without waiting for its end.
    ///
    /// ```
    /// # #[cfg(feature = "simulator")]
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), proxmox_client::Error> {
    /// use proxmox_client::task::Submitted;
    /// # let node = proxmox_client::simulator::Simulator::lab().connect().node("pve1");
    /// # let vm = node.create_qemu(100, proxmox_client::QemuConfig::new()).await?.qemu;
    /// match vm.start().submit().await? {
    ///     Submitted::Task(task) => assert_eq!(task.upid().node(), "pve1"),
    ///     other => panic!("a start is a task: {other:?}"),
    /// }
    /// # Ok(()) }
    /// # #[cfg(not(feature = "simulator"))] fn main() {}
    /// ```
    ///
    /// # Errors
    /// The call itself was refused. Some calls end so quickly that there is no task
    /// (deleting a volume with a delay); then the answer is [`Submitted::Done`].
    pub async fn submit(self) -> Result<Submitted<T>> {
        let doing = self.doing;
        let request = self.request.map_err(|error| error.doing(doing.clone()))?;
        let upid: Option<String> = match self.client.fetch(request).await {
            Ok(upid) => upid,
            Err(error) => {
                let error = error.doing(doing);
                return match self.refused {
                    Some(refused) => refused(error).map(Submitted::Done),
                    None => Err(error),
                };
            }
        };
        match upid {
            // No task: the work was done within the call, or there was none (a backup of guests that are elsewhere
            // says so).
            None => Self::without_task(self.finish),
            Some(done) if done == "OK" => Self::without_task(self.finish),
            Some(upid) => {
                let mut task = Task::new(self.client, upid.parse()?, self.finish).just_begun();
                if let Some(poll) = self.poll {
                    task = task.with_poll(poll);
                }
                Ok(Submitted::Task(task))
            }
        }
    }
}

/// What became of a submitted call.
#[derive(Debug)]
#[non_exhaustive]
pub enum Submitted<T> {
    /// It goes on as a task.
    Task(Task<T>),
    /// It is over already.
    Done(T),
}

impl<T: Send + 'static> IntoFuture for TaskCall<T> {
    type Output = Result<T>;
    type IntoFuture = Pin<Box<dyn Future<Output = Result<T>> + Send>>;

    fn into_future(mut self) -> Self::IntoFuture {
        let seen = self.seen.take();
        Box::pin(async move {
            // Held until the task is over, or the caller stops waiting.
            let _turn = match &self.request {
                Ok(request) => Some(self.client.turn_for_task(request).await),
                Err(_) => None,
            };
            match (self.submit().await?, seen) {
                (Submitted::Done(value), _) => Ok(value),
                (Submitted::Task(task), None) => task.await,
                (Submitted::Task(task), Some(seen)) => task.wait_with(seen).await,
            }
        })
    }
}
