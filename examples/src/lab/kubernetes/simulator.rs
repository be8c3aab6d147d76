//! The shared handle: one world behind a lock, served in process or over TLS.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, SystemTime};

use tokio::sync::Notify;

use super::answer::{Answer, Request, Response, answer, verb};
use super::controllers;
use super::environment::Environment;
use super::fault::{Fault, JournalEntry, RequestInfo};
use super::route::{self, Route};
use super::settings::Settings;
use super::watch::Watch;
use super::world::World;

/// Tells the modelled time.
pub type Clock = Arc<dyn Fn() -> SystemTime + Send + Sync>;

type Hook = Arc<dyn Fn(&RequestInfo) -> Fault + Send + Sync>;

/// A simulated Kubernetes API: clones share one world.
#[derive(Clone)]
pub struct Simulator {
    pub(crate) shared: Arc<Shared>,
}

pub(crate) struct Shared {
    state: Mutex<State>,
    clock: Clock,
    pub(crate) changed: Notify,
    pub(crate) poll: Duration,
}

struct State {
    world: World,
    environment: Environment,
    hook: Option<Hook>,
    journal: Vec<JournalEntry>,
    available: bool,
}

impl fmt::Debug for Simulator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Simulator").finish_non_exhaustive()
    }
}

impl Simulator {
    /// A cluster without nodes, on this clock.
    #[must_use]
    pub fn new(settings: Settings, environment: Environment, clock: Clock) -> Self {
        Self::from_world(World::new(settings), environment, clock)
    }

    /// The handle of an existing world.
    #[must_use]
    pub fn from_world(world: World, environment: Environment, clock: Clock) -> Self {
        let state = State {
            world,
            environment,
            hook: None,
            journal: Vec::new(),
            available: true,
        };
        Self {
            shared: Arc::new(Shared {
                state: Mutex::new(state),
                clock,
                changed: Notify::new(),
                poll: Duration::from_millis(20),
            }),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // A panic in another request leaves plain data behind, which is as good as before.
        self.shared
            .state
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// The modelled time.
    #[must_use]
    pub fn now(&self) -> SystemTime {
        (self.shared.clock)()
    }

    /// Looks at or changes the world, brought up to the present.
    pub fn with<T>(&self, look: impl FnOnce(&mut World) -> T) -> T {
        let now = self.now();
        let mut state = self.lock();
        let State {
            world, environment, ..
        } = &mut *state;
        controllers::settle(world, now, environment);
        let result = look(world);
        drop(state);
        self.shared.changed.notify_waiters();
        result
    }

    /// A copy of the world as it is now.
    #[must_use]
    pub fn snapshot(&self) -> World {
        self.with(|world| world.clone())
    }

    /// Puts another world in its place; open watches are told to list again.
    pub fn restore(&self, world: World) {
        let mut state = self.lock();
        state.world = world;
        state.world.compact();
        drop(state);
        self.shared.changed.notify_waiters();
    }

    /// Changes what surrounds the API: needs, storage, Git.
    pub fn with_environment<T>(&self, change: impl FnOnce(&mut Environment) -> T) -> T {
        let now = self.now();
        let mut state = self.lock();
        let State {
            world, environment, ..
        } = &mut *state;
        controllers::settle(world, now, environment);
        let result = change(environment);
        // The new surroundings may allow or forbid what the old ones did not.
        state.world.disturb();
        drop(state);
        self.shared.changed.notify_waiters();
        result
    }

    /// Says whether the server answers at all: false refuses every connection.
    pub fn set_available(&self, available: bool) {
        self.lock().available = available;
        self.shared.changed.notify_waiters();
    }

    /// Asks `hook` before each request what shall go wrong with it.
    pub fn on_request(&self, hook: impl Fn(&RequestInfo) -> Fault + Send + Sync + 'static) {
        self.lock().hook = Some(Arc::new(hook));
    }

    /// No more faults.
    pub fn clear_faults(&self) {
        self.lock().hook = None;
    }

    /// Every request so far, in order.
    #[must_use]
    pub fn journal(&self) -> Vec<JournalEntry> {
        self.lock().journal.clone()
    }

    /// Forgets the journal.
    pub fn clear_journal(&self) {
        self.lock().journal.clear();
    }

    /// The user that a bearer token stands for.
    pub(crate) fn user_of(&self, token: &str) -> Option<super::settings::User> {
        self.lock().world.settings.user_of(token).cloned()
    }

    /// Serves one request: `None` when the connection breaks instead of an answer.
    pub(crate) async fn serve_one(&self, request: &Request) -> Option<Answer> {
        let info = describe(request);
        let hook = self.lock().hook.clone();
        let fault = hook.map_or(Fault::None, |hook| hook(&info));
        // Asked after the hook: whoever wires labs together finds out there whether the server is up by now.
        if !self.lock().available {
            return None;
        }
        match fault {
            Fault::None => Some(self.answer(request, info)),
            Fault::ResetBefore => {
                self.note(info, None);
                None
            }
            Fault::Never => {
                self.note(info, None);
                std::future::pending().await
            }
            Fault::DropAnswer => {
                self.answer(request, info);
                None
            }
            Fault::Status { code, message } => {
                self.note(info, Some(code));
                let refusal = super::refusal::Refusal::new(code, reason(code), message);
                Some(Answer::Complete(Response::json(code, refusal.to_json())))
            }
            Fault::Delay(delay) => {
                tokio::time::sleep(delay).await;
                Some(self.answer(request, info))
            }
        }
    }

    fn answer(&self, request: &Request, info: RequestInfo) -> Answer {
        let now = self.now();
        let mut state = self.lock();
        let State {
            world, environment, ..
        } = &mut *state;
        let answer = answer(world, environment, now, request);
        drop(state);
        let status = match &answer {
            Answer::Complete(response) => response.status,
            Answer::Watch(_) => 200,
        };
        self.note(info, Some(status));
        if request.method != "GET" {
            self.shared.changed.notify_waiters();
        }
        answer
    }

    fn note(&self, info: RequestInfo, status: Option<u16>) {
        let at = self.now();
        self.lock().journal.push(JournalEntry { at, info, status });
    }

    /// The next events of a watch at the present time; `None` when the server is gone.
    pub(crate) fn poll_watch(&self, watch: &mut Watch) -> Option<Vec<serde_json::Value>> {
        let now = self.now();
        let mut state = self.lock();
        if !state.available {
            return None;
        }
        let State {
            world, environment, ..
        } = &mut *state;
        controllers::settle(world, now, environment);
        Some(watch.events(world, now))
    }
}

fn describe(request: &Request) -> RequestInfo {
    let route = Route::parse(&request.path);
    let query = route::query(&request.query);
    let target = match &route {
        Route::Objects(target) => Some(target),
        _ => None,
    };
    let field = |pick: fn(&route::Target) -> &String| target.map(pick).cloned().unwrap_or_default();
    RequestInfo {
        method: request.method.clone(),
        path: request.path.clone(),
        query: request.query.clone(),
        template: route.template(),
        verb: verb(request, target, &query),
        group: field(|one| &one.group),
        resource: field(|one| &one.plural),
        namespace: field(|one| &one.namespace),
        name: field(|one| &one.name),
        subresource: field(|one| &one.subresource),
        user: request.user.name.clone(),
    }
}

fn reason(code: u16) -> &'static str {
    match code {
        400 => "BadRequest",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "NotFound",
        409 => "Conflict",
        410 => "Expired",
        422 => "Invalid",
        429 => "TooManyRequests",
        500 => "InternalError",
        503 => "ServiceUnavailable",
        504 => "Timeout",
        _ => "Unknown",
    }
}
