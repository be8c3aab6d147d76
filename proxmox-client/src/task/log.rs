//! A task's log while it grows.

use std::collections::VecDeque;

use futures::Stream;

use super::pace::Pace;
use super::{LogLine, Task, Watch};
use crate::error::Result;

struct Following {
    pace: Pace,
    watch: Watch,
    /// Lines that were read and not handed out yet.
    ready: VecDeque<LogLine>,
    read: u64,
    ended: bool,
}

impl<T> Task<T> {
    /// The log from its first line, each line as it comes, until the task has ended and its last line is told.
    ///
    /// A failure to read ends the stream. What became of the task is not told: await it, or read the last line.
    ///
    /// ```
    /// # #[cfg(feature = "simulator")]
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), proxmox_client::Error> {
    /// use futures::StreamExt;
    /// use proxmox_client::simulator::{Simulator, World};
    /// use proxmox_client::{QemuConfig, task::Submitted};
    /// let client = Simulator::new(World::lab()).connect();
    /// let vm = client.node("pve1").create_qemu(100, QemuConfig::new()).await?.qemu;
    /// let Submitted::Task(task) = vm.start().submit().await? else { unreachable!() };
    /// let lines: Vec<_> = task.follow_log().collect().await;
    /// assert_eq!(lines.last().unwrap().as_ref().unwrap().text, "TASK OK");
    /// # Ok(()) }
    /// # #[cfg(not(feature = "simulator"))] fn main() {}
    /// ```
    pub fn follow_log(&self) -> impl Stream<Item = Result<LogLine>> + Send + use<'_, T> {
        let poller = &self.poller;
        let start = Following {
            pace: Pace::new(&poller.poll, None),
            watch: Watch::new(),
            ready: VecDeque::new(),
            read: 0,
            ended: false,
        };
        futures::stream::try_unfold(start, move |mut following| async move {
            loop {
                if let Some(line) = following.ready.pop_front() {
                    return Ok(Some((line, following)));
                }
                if following.ended {
                    return Ok(None);
                }
                if following.watch.polls > 0 {
                    let elapsed = following.watch.since.elapsed();
                    tokio::time::sleep(following.pace.after(elapsed)).await;
                }
                // The state first: what is in the log of a task that had ended is all of it.
                following.ended = poller.has_ended(&mut following.watch).await?;
                let lines = poller.log_from(following.read).await?;
                following.read += lines.len() as u64;
                following.ready.extend(lines);
            }
        })
    }
}
