//! Locks: files that are served in order, and cluster locks that are polled.

use std::collections::VecDeque;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{State, Step};
use crate::simulator::world::{Durations, World};

/// How long someone waits for a lock.
#[derive(Serialize, Deserialize, Debug, Clone, Copy, PartialEq, Eq)]
pub(in super::super) enum Patience {
    /// As most do: [`Durations::lock_wait`].
    Usual,
    /// As who wants a new id: [`Durations::create_lock_wait`].
    Creation,
    /// As clones of machines: [`Durations::clone_lock_wait`].
    Clone,
    /// As long as it was told.
    Told(Duration),
}

impl Patience {
    pub(super) fn limit(self, durations: &Durations) -> Duration {
        match self {
            Self::Usual => durations.lock_wait,
            Self::Creation => durations.create_lock_wait,
            Self::Clone => durations.clone_lock_wait,
            Self::Told(time) => time,
        }
    }
}

/// What is locked.
#[derive(Serialize, Deserialize, Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(in super::super) enum Key {
    /// A virtual machine's lock file.
    Guest(u32),
    /// A container's lock file.
    Container(u32),
    /// A local storage's lock file.
    LocalStorage(String),
    /// A shared storage's cluster lock, which is polled.
    SharedStorage(String),
    /// The cluster lock of a file that all nodes share, which is polled.
    ClusterFile(String),
    /// A node's lock of backups.
    Backups(String),
    /// A cluster lock of its own name, which is polled.
    ClusterDomain(String),
}

impl Key {
    pub(super) fn is_polled(&self) -> bool {
        matches!(
            self,
            Self::SharedStorage(_) | Self::ClusterFile(_) | Self::ClusterDomain(_)
        )
    }

    /// What is told when it was not free in time.
    pub(in super::super) fn timeout_text(&self) -> String {
        match self {
            Self::Guest(vmid) => {
                format!("can't lock file '/var/lock/qemu-server/lock-{vmid}.conf' - got timeout")
            }
            Self::Container(vmid) => {
                format!("can't lock file '/run/lock/lxc/pve-config-{vmid}.lock' - got timeout")
            }
            Self::LocalStorage(name) => {
                format!("can't lock file '/var/lock/pve-manager/pve-storage-{name}' - got timeout")
            }
            Self::SharedStorage(name) => {
                format!("cfs-lock 'storage-{name}' error: got lock request timeout")
            }
            Self::ClusterFile(name) => {
                format!("cfs-lock 'file-{name}' error: got lock request timeout")
            }
            Self::Backups(_) => {
                "can't acquire lock '/var/run/vzdump.lock' - got timeout".to_owned()
            }
            Self::ClusterDomain(name) => {
                format!("cfs-lock 'domain-{name}' error: got lock request timeout")
            }
        }
    }
}

/// The whole seconds of a poller's patience that are left, the last of them begun.
fn whole_seconds(left: Duration) -> u32 {
    left.as_millis().div_ceil(1000) as u32
}

/// How long a poller sleeps with so much of its patience left: a tenth of it, and one second at most.
fn pause(left: Duration) -> Duration {
    Duration::from_millis(100) * whole_seconds(left).clamp(1, 10)
}

#[derive(Serialize, Deserialize, Debug, Clone, Default)]
pub(super) struct Lock {
    holders: Vec<(u64, bool)>,
    queue: VecDeque<(u64, bool)>,
}

impl World {
    /// Joins those who want a lock.
    pub(super) fn queue_for(&mut self, id: u64, key: Key, shared: bool) {
        let lock = self.engine.locks.entry(key).or_default();
        lock.queue.push_back((id, shared));
    }

    pub(super) fn try_lock(&mut self, id: u64) {
        let now = self.now;
        let Some(job) = self.engine.jobs.get_mut(&id) else {
            return;
        };
        let State::Waiting { deadline, .. } = job.state else {
            return;
        };
        let Some(Step::Lock {
            key,
            shared,
            prefix,
            ..
        }) = job.steps.front().cloned()
        else {
            return;
        };
        let lock = self.engine.locks.entry(key.clone()).or_default();
        let compatible = lock.holders.iter().all(|(_, held)| *held && shared);
        // First come, first served; but who shares does not queue behind a writer that waits.
        let in_turn = key.is_polled()
            || shared
            || lock
                .queue
                .iter()
                .take_while(|(waiter, _)| *waiter != id)
                .count()
                == 0;
        if compatible && in_turn {
            lock.queue.retain(|(waiter, _)| *waiter != id);
            lock.holders.push((id, shared));
            job.steps.pop_front();
            job.state = State::Ready;
            if let (Some(task), false) = (job.task, key.is_polled())
                && let Some(line) = self.tasks[task].log.last_mut()
                && line == "trying to acquire lock..."
            {
                *line = " OK".to_owned();
            }
            return;
        }
        let left = deadline.duration_since(now).unwrap_or_default();
        let pause = pause(left);
        if left.is_zero() || key.is_polled() && pause >= left {
            // A poller that would wake too late gives up at once.
            lock.queue.retain(|(waiter, _)| *waiter != id);
            self.lock_refused(id, &key, &prefix);
            return;
        }
        if key.is_polled() {
            job.state = State::Waiting {
                deadline,
                next_try: Some(now + pause),
            };
        }
        // Pollers tell one line a second, however often they look.
        let tells = !key.is_polled() || whole_seconds(left - pause) < whole_seconds(left);
        if let Some(task) = job.task.filter(|_| tells) {
            let line = match &key {
                Key::SharedStorage(name) => {
                    format!("trying to acquire cfs lock 'storage-{name}' ...")
                }
                Key::ClusterFile(name) => format!("trying to acquire cfs lock 'file-{name}' ..."),
                Key::ClusterDomain(name) => {
                    format!("trying to acquire cfs lock 'domain-{name}' ...")
                }
                Key::Backups(_) => "INFO: trying to get global lock - waiting...".to_owned(),
                _ => "trying to acquire lock...".to_owned(),
            };
            let log = &mut self.tasks[task].log;
            if key.is_polled() || log.last() != Some(&line) {
                log.push(line);
            }
        }
    }

    /// Gives back one lock, or all, and lets others have it.
    pub(super) fn release(&mut self, id: u64, only: Option<&Key>) {
        let keys: Vec<Key> = self
            .engine
            .locks
            .iter()
            .filter(|(key, _)| only.is_none_or(|only| only == *key))
            .filter(|(_, lock)| {
                lock.holders.iter().any(|(holder, _)| *holder == id)
                    || lock.queue.iter().any(|(waiter, _)| *waiter == id)
            })
            .map(|(key, _)| key.clone())
            .collect();
        for key in keys {
            let waiting: Vec<u64> = match self.engine.locks.get_mut(&key) {
                Some(lock) => {
                    lock.holders.retain(|(holder, _)| *holder != id);
                    lock.queue.retain(|(waiter, _)| *waiter != id);
                    lock.queue.iter().map(|(waiter, _)| *waiter).collect()
                }
                None => continue,
            };
            if !key.is_polled() {
                waiting.into_iter().for_each(|waiter| self.try_lock(waiter));
            }
            if self
                .engine
                .locks
                .get(&key)
                .is_some_and(|l| l.holders.is_empty() && l.queue.is_empty())
            {
                self.engine.locks.remove(&key);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_poller_sleeps_less_the_longer_it_waits_and_gives_up_before_its_patience_ends() {
        let patience = Duration::from_secs(10);
        let mut left = patience;
        let mut pauses = Vec::new();
        while pause(left) < left {
            pauses.push(pause(left).as_millis());
            left -= pause(left);
        }
        assert_eq!(pauses[..6], [1000, 900, 900, 800, 700, 600]);
        assert_eq!(pauses.last(), Some(&100));
        assert_eq!(patience - left, Duration::from_millis(9900));
        // Each second is told once: nine lines before it gives up.
        assert_eq!(whole_seconds(patience) - whole_seconds(left), 9);
    }
}
