//! A restic in memory: repositories, snapshots with their files, locks, time and faults, behind the ordinary API.
//!
//! The simulator answers at the level of the command line: it reads the same arguments, environment, password and input
//! as the program, and what it prints goes through the same parser. It knows the commands that the tests of a program
//! need; any other one fails with `not simulated`.
//!
//! Time is modelled and lazy. Nothing runs in the background: every call carries the time of the clock, and what should
//! have happened until then has happened. By default every command takes no time; [`World::pace`] changes that.

mod commands;
mod fake;
mod process;
mod world;

pub use fake::{FakeRestic, Reply, Step};
pub use world::{Fault, Journal, Pace, RequestInfo, SimulatedFile, SimulatedLock, World};

pub(crate) use process::SimulatedProcess;

use std::fmt;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use crate::error::Result;
use crate::invocation::Invocation;
use crate::version::Version;

type Clock = Arc<dyn Fn() -> SystemTime + Send + Sync>;
type FaultHook = Arc<dyn Fn(&RequestInfo) -> Fault + Send + Sync>;

/// A shared handle around a [`World`]. Clones share the world.
#[derive(Clone)]
pub struct Simulator {
    world: Arc<Mutex<World>>,
    clock: Clock,
    faults: Arc<Mutex<Option<FaultHook>>>,
}

impl fmt::Debug for Simulator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Simulator").field(&*self.lock()).finish()
    }
}

impl Default for Simulator {
    fn default() -> Self {
        Self::new()
    }
}

impl Simulator {
    /// An empty world on the clock of this machine.
    #[must_use]
    pub fn new() -> Self {
        Self::with_clock(SystemTime::now)
    }

    /// An empty world on another clock, which may run faster or be stepped by a test.
    #[must_use]
    pub fn with_clock(clock: impl Fn() -> SystemTime + Send + Sync + 'static) -> Self {
        Self {
            world: Arc::new(Mutex::new(World::default())),
            clock: Arc::new(clock),
            faults: Arc::new(Mutex::new(None)),
        }
    }

    fn lock(&self) -> MutexGuard<'_, World> {
        self.world.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// An ordinary [`Restic`](crate::Restic) on this world.
    #[must_use]
    pub fn connect(&self) -> crate::Restic {
        crate::Restic::simulated(self)
    }

    /// Looks at the world or changes it. Commands wait meanwhile.
    pub fn with<T>(&self, look: impl FnOnce(&mut World) -> T) -> T {
        let now = (self.clock)();
        let mut world = self.lock();
        world.settle(now);
        look(&mut world)
    }

    /// A copy of the world as it is now.
    #[must_use]
    pub fn snapshot(&self) -> World {
        self.with(|world| world.clone())
    }

    /// Puts a world in the place of this one.
    pub fn restore(&self, world: World) {
        *self.lock() = world;
    }

    /// Asked before every command what should go wrong with it.
    pub fn on_request(&self, hook: impl Fn(&RequestInfo) -> Fault + Send + Sync + 'static) {
        *self.faults.lock().unwrap_or_else(PoisonError::into_inner) = Some(Arc::new(hook));
    }

    /// Nothing goes wrong any more.
    pub fn clear_faults(&self) {
        *self.faults.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    pub(crate) fn now(&self) -> SystemTime {
        (self.clock)()
    }

    pub(crate) fn version(&self) -> Version {
        self.lock().version
    }

    pub(crate) fn host_path_exists(&self, path: &Path) -> bool {
        self.lock().path_exists(path)
    }

    pub(crate) fn file_facts(&self, path: &Path) -> Option<crate::restic::FileFacts> {
        let world = self.lock();
        let file = world.files.get(path)?;
        Some(crate::restic::FileFacts {
            size: file.content.len() as u64,
            modified: file.modified.into(),
            sha256: file.sha256(),
        })
    }

    pub(crate) fn fault_for(&self, request: &RequestInfo) -> Fault {
        let hook = self
            .faults
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        hook.map_or(Fault::None, |hook| hook(request))
    }

    pub(crate) fn start(
        &self,
        version: Version,
        invocation: Invocation,
    ) -> Result<SimulatedProcess> {
        let pid = self.lock().next_pid();
        Ok(SimulatedProcess::new(
            self.clone(),
            pid,
            version,
            invocation,
        ))
    }
}
