//! How much is asked of the servers at once, and what waits for what.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use tokio::sync::{OwnedRwLockReadGuard, OwnedRwLockWriteGuard, OwnedSemaphorePermit};
use tokio::sync::{RwLock, Semaphore};

use crate::wire::{Method, Request};

/// How much one [`Client`](crate::Client) and its clones ask of the servers at once.
///
/// A server runs all writes in three workers, and one that waits for a lock blocks a worker for everybody. Tasks
/// wait ten seconds for a storage's lock and then fail, so many allocations at once fail by themselves; a clone
/// waits one second for its source. So calls wait here instead, where waiting costs nothing.
///
/// Limits of tasks and the order per guest hold for calls that are awaited; who takes a handle with
/// [`TaskCall::submit`](crate::task::TaskCall::submit) decides about order and number.
///
/// ```
/// use proxmox_client::Limits;
/// let gentle = Limits::default().with_requests(4).with_tasks_per_node(1);
/// assert_eq!((gentle.requests, gentle.writes), (4, 2));
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Limits {
    /// Requests on their way. Default 16.
    pub requests: usize,
    /// Writes on their way, agent calls and uploads left aside. Default 2.
    pub writes: usize,
    /// Tasks that run on one node. Default 5: as many allocate on one slow storage without anyone giving up.
    pub tasks_per_node: usize,
    /// Clones of one machine that run at once. Default 5.
    pub clones_per_source: usize,
    /// Guests of one node whose agents are asked at once whether they answer already. Default 2: an agent that does
    /// not answer holds one of the node's three workers for three seconds.
    pub agents_per_node: usize,
    /// Whether changes of one guest wait for each other, and for clones of it. Stopping hard and resetting never
    /// wait. Default true.
    pub one_change_per_guest: bool,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            requests: 16,
            writes: 2,
            tasks_per_node: 5,
            clones_per_source: 5,
            agents_per_node: 2,
            one_change_per_guest: true,
        }
    }
}

impl Limits {
    /// No limit and no order.
    pub fn none() -> Self {
        Self {
            requests: Semaphore::MAX_PERMITS,
            writes: Semaphore::MAX_PERMITS,
            tasks_per_node: Semaphore::MAX_PERMITS,
            clones_per_source: Semaphore::MAX_PERMITS,
            agents_per_node: Semaphore::MAX_PERMITS,
            one_change_per_guest: false,
        }
    }

    /// Sets the number of requests on their way; at least one.
    #[must_use]
    pub fn with_requests(mut self, number: usize) -> Self {
        self.requests = number;
        self
    }

    /// Sets the number of writes on their way; at least one.
    #[must_use]
    pub fn with_writes(mut self, number: usize) -> Self {
        self.writes = number;
        self
    }

    /// Sets the number of tasks that run on one node; at least one.
    #[must_use]
    pub fn with_tasks_per_node(mut self, number: usize) -> Self {
        self.tasks_per_node = number;
        self
    }

    /// Sets the number of clones of one machine that run at once; at least one.
    #[must_use]
    pub fn with_clones_per_source(mut self, number: usize) -> Self {
        self.clones_per_source = number;
        self
    }

    /// Sets the number of guests of one node whose agents are asked at once whether they answer; at least one.
    #[must_use]
    pub fn with_agents_per_node(mut self, number: usize) -> Self {
        self.agents_per_node = number;
        self
    }
}

/// What a call works on, as its path and parameters tell.
#[derive(Debug, PartialEq, Eq)]
struct Subject {
    node: Option<String>,
    /// The guest that is changed.
    guest: Option<u32>,
    /// Another guest that is changed, because it is given something.
    other: Option<u32>,
    /// The guest that is copied.
    source: Option<u32>,
    /// Never waits for a guest or a node.
    urgent: bool,
}

impl Subject {
    fn of(request: &Request) -> Self {
        let segments: Vec<&str> = request.path().split('/').skip(1).collect();
        let number = |name: &str| {
            let mut params = request.params().iter();
            params.find(|(key, _)| *key == name)?.1.parse::<u32>().ok()
        };
        let mut subject = Self {
            node: match segments.as_slice() {
                ["nodes", node, ..] => Some((*node).to_owned()),
                _ => None,
            },
            guest: None,
            other: None,
            source: None,
            urgent: matches!(segments.as_slice(), [.., "status", "stop" | "reset"]),
        };
        if let ["nodes", _, "qemu" | "lxc", rest @ ..] = segments.as_slice() {
            match rest {
                [] => subject.guest = number("vmid"),
                [source, "clone"] => {
                    subject.source = source.parse().ok();
                    subject.guest = number("newid");
                }
                [guest, ..] => {
                    subject.guest = guest.parse().ok();
                    subject.other = number("target-vmid").filter(|_| rest[1..] == ["move_disk"]);
                }
            }
        }
        subject
    }
}

/// Locks by name that exist while someone has them.
#[derive(Debug)]
struct Shelf<K, V>(Mutex<BTreeMap<K, Weak<V>>>);

impl<K: Ord, V> Shelf<K, V> {
    fn new() -> Self {
        Self(Mutex::new(BTreeMap::new()))
    }

    fn get(&self, key: K, make: impl FnOnce() -> V) -> Arc<V> {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(value) = known.get(&key).and_then(Weak::upgrade) {
            return value;
        }
        known.retain(|_, value| value.strong_count() > 0);
        let value = Arc::new(make());
        known.insert(key, Arc::downgrade(&value));
        value
    }
}

/// Keeps the limits of a client.
#[derive(Debug)]
pub(crate) struct Gate {
    limits: Limits,
    requests: Arc<Semaphore>,
    writes: Arc<Semaphore>,
    nodes: Shelf<String, Semaphore>,
    sources: Shelf<u32, Semaphore>,
    agents: Shelf<String, Semaphore>,
    guests: Shelf<u32, RwLock<()>>,
}

/// Held while a request is on its way.
#[derive(Debug)]
pub(crate) struct OnItsWay(
    #[expect(dead_code, reason = "held for its end")] Vec<OwnedSemaphorePermit>,
);

/// Held while a task runs or a guest is changed.
#[derive(Debug, Default)]
pub(crate) struct Turn {
    reads: Vec<OwnedRwLockReadGuard<()>>,
    writes: Vec<OwnedRwLockWriteGuard<()>>,
    permits: Vec<OwnedSemaphorePermit>,
}

fn semaphore(number: usize) -> Semaphore {
    Semaphore::new(number.clamp(1, Semaphore::MAX_PERMITS))
}

impl Gate {
    pub(crate) fn new(limits: Limits) -> Self {
        Self {
            requests: Arc::new(semaphore(limits.requests)),
            writes: Arc::new(semaphore(limits.writes)),
            nodes: Shelf::new(),
            sources: Shelf::new(),
            agents: Shelf::new(),
            guests: Shelf::new(),
            limits,
        }
    }

    /// Waits until a request may be sent. Writes wait for writes first, so that reads pass them.
    pub(crate) async fn send(&self, request: &Request, is_upload: bool) -> OnItsWay {
        let mut held = Vec::with_capacity(2);
        let of_agent = request.path().contains("/agent");
        if request.method() != Method::Get && !of_agent && !is_upload {
            held.extend(self.writes.clone().acquire_owned().await.ok());
        }
        held.extend(self.requests.clone().acquire_owned().await.ok());
        OnItsWay(held)
    }

    /// Waits until nobody else changes the guest of a call.
    pub(crate) async fn change(&self, request: &Request) -> Turn {
        let mut turn = Turn::default();
        self.guests(&Subject::of(request), &mut turn).await;
        turn
    }

    /// Waits until a task may begin.
    pub(crate) async fn task(&self, request: &Request) -> Turn {
        let subject = Subject::of(request);
        let mut turn = Turn::default();
        if subject.urgent {
            return turn;
        }
        // Always in this order, so that nobody waits in a circle.
        self.guests(&subject, &mut turn).await;
        if let Some(source) = subject.source {
            let limit = self.limits.clones_per_source;
            let source = self.sources.get(source, || semaphore(limit));
            turn.permits.extend(source.acquire_owned().await.ok());
        }
        if let Some(node) = subject.node {
            let limit = self.limits.tasks_per_node;
            let node = self.nodes.get(node, || semaphore(limit));
            turn.permits.extend(node.acquire_owned().await.ok());
        }
        turn
    }

    /// Waits until an agent that may not answer can be asked.
    pub(crate) async fn agent(&self, node: &str) -> Turn {
        let limit = self.limits.agents_per_node;
        let node = self.agents.get(node.to_owned(), || semaphore(limit));
        let permit = node.acquire_owned().await.ok();
        Turn {
            permits: permit.into_iter().collect(),
            ..Turn::default()
        }
    }

    async fn guests(&self, subject: &Subject, turn: &mut Turn) {
        if !self.limits.one_change_per_guest || subject.urgent {
            return;
        }
        let lock = |guest| self.guests.get(guest, || RwLock::new(()));
        let shared = subject.source.map(|guest| (guest, true));
        let own = [subject.guest, subject.other].into_iter().flatten();
        let own = own.map(|guest| (guest, false));
        let mut wanted: Vec<(u32, bool)> = shared.into_iter().chain(own).collect();
        wanted.sort_unstable();
        wanted.dedup_by_key(|(guest, _)| *guest);
        for (guest, shared) in wanted {
            if shared {
                turn.reads.push(lock(guest).read_owned().await);
            } else {
                turn.writes.push(lock(guest).write_owned().await);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn subject(method: Method, path: &str, params: &[(&str, &str)]) -> Subject {
        let mut request = Request::new(method, path, &[]);
        for (name, value) in params {
            request = request.with(name, *value);
        }
        Subject::of(&request)
    }

    #[test]
    fn a_call_tells_what_it_works_on() {
        let clone = subject(
            Method::Post,
            "/nodes/pve1/qemu/9000/clone",
            &[("newid", "101")],
        );
        assert_eq!((clone.source, clone.guest), (Some(9000), Some(101)));
        let create = subject(Method::Post, "/nodes/pve1/lxc", &[("vmid", "102")]);
        assert_eq!((create.source, create.guest), (None, Some(102)));
        let start = subject(Method::Post, "/nodes/pve1/qemu/103/status/start", &[]);
        assert_eq!((start.guest, start.urgent), (Some(103), false));
        let given = [("target-vmid", "104")];
        let reassign = subject(Method::Post, "/nodes/pve1/qemu/103/move_disk", &given);
        assert_eq!((reassign.guest, reassign.other), (Some(103), Some(104)));
        let away = subject(Method::Post, "/nodes/pve1/qemu/103/remote_migrate", &given);
        assert_eq!(away.other, None, "that one is in another cluster");
        let stop = subject(Method::Post, "/nodes/pve1/qemu/103/status/stop", &[]);
        assert!(stop.urgent);
        let download = subject(Method::Post, "/nodes/pve2/storage/local/download-url", &[]);
        assert_eq!(download.guest, None);
        assert_eq!(download.node.as_deref(), Some("pve2"));
    }
}
