//! Stateful Talos nodes for tests and labs: no hardware, no waiting.
//!
//! A [`World`] holds all nodes as plain data and is lazy in time: it runs no timers, every request carries the modelled
//! time and is answered by what is true then. A [`Simulator`] is a shared handle around a world: it connects the
//! ordinary [`Client`] in process ([`Simulator::connect`]), or serves a node on loopback with real TLS
//! ([`Simulator::serve`]), keeps a journal, and lets a hook disturb requests.
//!
//! What it knows: maintenance mode and mutual TLS with the certificates of the applied configuration, routing by `node`,
//! configuration checks of a node (keys of newer versions, missing install disk, little memory), installation, reboot,
//! etcd's bootstrap and joining, the virtual address, the API server's coming up. A method that it does not know answers
//! `Unimplemented` with "not simulated".

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use crate::client::Client;
use crate::error::{Error, ErrorKind};
use crate::talosconfig::TalosConfig;
use crate::transport::{InProcess, Refused};
use crate::wire;

mod access;
mod etcd;
mod methods;
mod node;
mod served;
mod world;

pub use access::Access;
pub use node::{DiskSpec, ExtensionSpec, NodeSpec, NodeState};
pub use served::Served;
pub use world::{ApiServer, Member, Timings, World};

/// The modelled time.
pub type Clock = Arc<dyn Fn() -> SystemTime + Send + Sync>;

/// Asked before each request.
pub type Hook = Arc<dyn Fn(&RequestInfo) -> Fault + Send + Sync>;

/// A request, as hook and journal see it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct RequestInfo {
    /// Counts from 1.
    pub number: u64,
    /// The node that was connected to.
    pub endpoint: String,
    /// The node that it is about, as given in `node`.
    pub target: Option<String>,
    /// `/machine.MachineService/Version`.
    pub method: String,
    /// The modelled time.
    pub at: SystemTime,
}

/// What a hook does to a request.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Fault {
    /// Nothing.
    #[default]
    None,
    /// The connection breaks before the node does anything.
    ResetBefore,
    /// The node does it, then the connection breaks.
    DropAnswer,
    /// The node answers this gRPC status without doing anything.
    Status(i32, String),
    /// The answer comes this much later (on tokio's clock).
    Delay(Duration),
}

/// A shared handle to a [`World`].
#[derive(Clone)]
pub struct Simulator {
    inner: Arc<Inner>,
}

struct Inner {
    world: Mutex<World>,
    clock: Clock,
    hook: Mutex<Option<Hook>>,
    journal: Mutex<Vec<RequestInfo>>,
}

impl std::fmt::Debug for Simulator {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Simulator").finish_non_exhaustive()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Simulator {
    /// A simulator of a world whose time `clock` gives.
    pub fn new(world: World, clock: Clock) -> Self {
        let inner = Inner {
            world: Mutex::new(world),
            clock,
            hook: Mutex::new(None),
            journal: Mutex::new(Vec::new()),
        };
        Self {
            inner: Arc::new(inner),
        }
    }

    /// The modelled time.
    pub fn now(&self) -> SystemTime {
        (self.inner.clock)()
    }

    /// Looks at the world, or changes it; the second argument is the modelled time.
    pub fn with<T>(&self, look: impl FnOnce(&mut World, SystemTime) -> T) -> T {
        let now = self.now();
        look(&mut lock(&self.inner.world), now)
    }

    /// A copy of the world.
    pub fn snapshot(&self) -> World {
        lock(&self.inner.world).clone()
    }

    /// Puts a copy back.
    pub fn restore(&self, world: World) {
        *lock(&self.inner.world) = world;
    }

    /// Asked before each request. `None` takes the hook away.
    pub fn on_request(&self, hook: Option<Hook>) {
        *lock(&self.inner.hook) = hook;
    }

    /// All requests so far.
    pub fn journal(&self) -> Vec<RequestInfo> {
        lock(&self.inner.journal).clone()
    }

    /// An ordinary client with a talosconfig's identity, answered in process. Certificates are verified as over the network.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidTalosConfig`] when the current context lacks credentials, [`ErrorKind::InvalidArgument`] without
    /// endpoints.
    pub fn connect(&self, config: &TalosConfig) -> Result<Client, Error> {
        let context = config.context(None)?;
        let missing = |what: &str| {
            Error::new(
                ErrorKind::InvalidTalosConfig,
                format!("the context has no {what}"),
            )
        };
        let ca = context.pem("ca")?.ok_or_else(|| missing("ca"))?;
        let certificate = context.pem("crt")?.ok_or_else(|| missing("crt"))?;
        let access = Access::certificate(&ca, &certificate)?;
        let endpoints = context.endpoint_list();
        if endpoints.is_empty() {
            return Err(Error::new(
                ErrorKind::InvalidArgument,
                "the context has no endpoint",
            ));
        }
        let peers = endpoints
            .into_iter()
            .map(|endpoint| self.peer(endpoint, access.clone()))
            .collect();
        Ok(Client::in_process(peers, false))
    }

    /// An ordinary client without identity, for a node in maintenance mode, answered in process.
    pub fn connect_maintenance(&self, endpoint: impl Into<String>) -> Client {
        Client::in_process(vec![self.peer(endpoint.into(), Access::Maintenance)], true)
    }

    fn peer(&self, endpoint: String, access: Access) -> (String, Arc<dyn InProcess>) {
        let peer = Peer {
            simulator: self.clone(),
            endpoint: endpoint.clone(),
            access,
        };
        (endpoint, Arc::new(peer))
    }

    /// Notes the request and asks the hook.
    fn announce(&self, endpoint: &str, request: &wire::Request) -> Fault {
        let target = request
            .metadata
            .iter()
            .find(|(key, _)| key == "node")
            .map(|(_, value)| value.clone());
        let info = {
            let mut journal = lock(&self.inner.journal);
            let number = journal.len() as u64 + 1;
            let info = RequestInfo {
                number,
                endpoint: endpoint.to_owned(),
                target,
                method: request.path.clone(),
                at: self.now(),
            };
            journal.push(info.clone());
            info
        };
        let hook = lock(&self.inner.hook).clone();
        hook.map_or(Fault::None, |hook| hook(&info))
    }

    /// The whole way of a request: journal, hook, world.
    async fn answer(
        &self,
        endpoint: &str,
        access: &Access,
        request: wire::Request,
    ) -> Result<wire::Reply, Refused> {
        let fault = self.announce(endpoint, &request);
        match &fault {
            Fault::ResetBefore => return Err(Refused::Broken),
            Fault::Status(code, message) => {
                return Ok(wire::Reply {
                    messages: Vec::new(),
                    code: *code,
                    message: message.clone(),
                });
            }
            Fault::Delay(delay) => tokio::time::sleep(*delay).await,
            Fault::None | Fault::DropAnswer => {}
        }
        let reply =
            self.with(|world, now| world.connect_and_call(endpoint, access, &request, now))?;
        if fault == Fault::DropAnswer {
            Err(Refused::Broken)
        } else {
            Ok(reply)
        }
    }
}

struct Peer {
    simulator: Simulator,
    endpoint: String,
    access: Access,
}

impl InProcess for Peer {
    fn call(
        &self,
        request: wire::Request,
    ) -> std::pin::Pin<Box<dyn Future<Output = Result<wire::Reply, Refused>> + Send>> {
        let (simulator, endpoint, access) = (
            self.simulator.clone(),
            self.endpoint.clone(),
            self.access.clone(),
        );
        Box::pin(async move { simulator.answer(&endpoint, &access, request).await })
    }
}
