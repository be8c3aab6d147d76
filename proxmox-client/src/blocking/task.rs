//! Tasks, for threads that wait.

use std::fmt;

use crate::blocking::runtime::Runtime;
use crate::error::Result;
use crate::task::{LogLine, PollPolicy, Progress, TaskStatus};
use crate::upid::Upid;

/// A call whose work is a task: [`call`](Self::call) sends it and waits for the end, [`submit`](Self::submit) sends it
/// and gives a handle.
///
/// The blocking form of [`TaskCall`](crate::task::TaskCall).
#[must_use = "nothing is sent until it is called or submitted"]
pub struct TaskCall<T> {
    pub(crate) inner: crate::task::TaskCall<T>,
    runtime: Runtime,
}

impl<T> fmt::Debug for TaskCall<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.fmt(f)
    }
}

impl<T> TaskCall<T> {
    pub(crate) fn wrap(inner: crate::task::TaskCall<T>, runtime: &Runtime) -> Self {
        Self {
            inner,
            runtime: runtime.clone(),
        }
    }

    /// Calls `seen` with every state of the task that is seen while waiting.
    pub fn on_progress(mut self, seen: impl FnMut(&Progress) + Send + 'static) -> Self {
        self.inner = self.inner.on_progress(seen);
        self
    }

    /// Polls otherwise than the client does by default.
    pub fn with_poll(mut self, poll: PollPolicy) -> Self {
        self.inner = self.inner.with_poll(poll);
        self
    }

    /// Sends the call and gives the task, without waiting for its end.
    ///
    /// # Errors
    /// The call itself was refused.
    pub fn submit(self) -> Result<Submitted<T>> {
        let submitted = self.runtime.run(self.inner.submit())?;
        Ok(match submitted {
            crate::task::Submitted::Task(task) => Submitted::Task(Task::wrap(task, &self.runtime)),
            crate::task::Submitted::Done(value) => Submitted::Done(value),
        })
    }
}

impl<T: Send + 'static> TaskCall<T> {
    /// Sends the call and waits for the end of its task.
    ///
    /// # Errors
    /// The call was refused, or its task failed.
    pub fn call(self) -> Result<T> {
        self.runtime.run(self.inner.into_future())
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

/// A running (or ended) task; [`wait`](Self::wait) for what its call wanted.
///
/// Dropping it does not stop the work. The blocking form of [`Task`](crate::task::Task).
#[must_use = "a task's failure is only known to who waits for it"]
pub struct Task<T = Vec<String>> {
    inner: crate::task::Task<T>,
    runtime: Runtime,
}

impl<T> fmt::Debug for Task<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.fmt(f)
    }
}

impl<T> Task<T> {
    pub(crate) fn wrap(inner: crate::task::Task<T>, runtime: &Runtime) -> Self {
        Self {
            inner,
            runtime: runtime.clone(),
        }
    }

    /// The identifier.
    pub fn upid(&self) -> &Upid {
        self.inner.upid()
    }

    /// Polls otherwise than the client does by default.
    pub fn with_poll(mut self, poll: PollPolicy) -> Self {
        self.inner = self.inner.with_poll(poll);
        self
    }

    /// The state now.
    pub fn status(&self) -> Result<TaskStatus> {
        self.runtime.run(self.inner.status())
    }

    /// The whole log so far.
    pub fn log(&self) -> Result<Vec<LogLine>> {
        self.runtime.run(self.inner.log())
    }

    /// Asks the server to stop the work. What it did so far stays; a task that ended already is left alone.
    pub fn cancel(&self) -> Result<()> {
        self.runtime.run(self.inner.cancel())
    }

    /// Waits for the end, calling `seen` with every state that was seen on the way.
    pub fn wait_with(self, seen: impl FnMut(&Progress) + Send) -> Result<T> {
        self.runtime.run(self.inner.wait_with(seen))
    }

    /// The states on the way to the end; the last one has an outcome. Each step waits for the next look.
    pub fn watch(&self) -> impl Iterator<Item = Result<Progress>> + use<'_, T> {
        self.runtime.iterate(self.inner.watch())
    }

    /// The lines of the log as they come, until the task has ended. Each step waits for the next line.
    pub fn follow_log(&self) -> impl Iterator<Item = Result<LogLine>> + use<'_, T> {
        self.runtime.iterate(self.inner.follow_log())
    }
}

impl<T: Send + 'static> Task<T> {
    /// Waits for the end.
    ///
    /// # Errors
    /// The task failed or ended without a verdict; the error carries its log.
    pub fn wait(self) -> Result<T> {
        self.runtime.run(self.inner.into_future())
    }
}
