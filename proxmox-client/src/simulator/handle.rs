//! The handle around a world.

mod peers;

use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, SystemTime};

use super::answer::Reply;
use super::clock::Clock;
use super::engine::{Key, Verdict};
use super::fault::{Fault, JournalEntry, RequestInfo};
use super::guest::Species;
use super::http::{Arrived, Call};
use super::multipart::Upload;
use super::operation::Served;
use super::route::Handled;
use super::world::World;
use crate::client::Client;
use crate::error::{Error, Kind, Result, Sent};
use crate::task::PollPolicy;
use crate::transport::{Body, BoxFuture, Carrier, Outgoing, Switched};
use crate::wire::{Answer, Request};

type Hook = Arc<dyn Fn(&RequestInfo) -> Fault + Send + Sync>;

/// A handle around a [`World`]; clones share it.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), proxmox_client::Error> {
/// use proxmox_client::QemuConfig;
/// use proxmox_client::simulator::Simulator;
/// let simulator = Simulator::lab();
/// let node = simulator.connect().node("pve1");
/// let before = simulator.snapshot();
/// node.create_qemu(100, QemuConfig::new()).await?;
/// assert!(simulator.with(|world| world.guest(100).is_some()));
/// simulator.restore(before);
/// assert!(!node.qemu(100).exists().await?);
/// # Ok(()) }
/// ```
#[derive(Clone)]
pub struct Simulator(Arc<Shared>);

struct Shared {
    world: Mutex<World>,
    clock: Clock,
    hook: Mutex<Option<Hook>>,
    journal: Mutex<Vec<JournalEntry>>,
    count: AtomicU64,
    /// Other clusters by the hosts that they are reached at.
    peers: Mutex<Vec<(String, Weak<Shared>)>>,
    /// Other clusters that reach this one.
    callers: Mutex<Vec<Weak<Shared>>>,
    /// Whether what its jobs ask others is being carried there.
    carrying: AtomicBool,
}

impl fmt::Debug for Simulator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Simulator")
            .field("clock", &self.0.clock)
            .finish_non_exhaustive()
    }
}

fn held<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What came out of a request.
#[derive(Debug)]
pub(super) enum Exchange {
    Answer(Reply),
    /// The connection broke; whether the request was executed is not told.
    Broken,
}

impl Simulator {
    /// A world whose clock runs a hundred times as fast as tokio's, from the world's own moment on.
    pub fn new(world: World) -> Self {
        let clock = Clock::accelerated(world.now(), 100.0);
        Self::with_clock(world, clock)
    }

    /// The laboratory, [`World::lab`], under the same clock as [`new`](Self::new).
    pub fn lab() -> Self {
        Self::new(World::lab())
    }

    /// A world whose clock runs as fast as tokio's, from the world's own moment on: under a paused tokio clock work
    /// takes exactly as long as it is modelled to.
    pub fn at_real_speed(world: World) -> Self {
        let clock = Clock::accelerated(world.now(), 1.0);
        Self::with_clock(world, clock)
    }

    /// A world under a clock.
    pub fn with_clock(world: World, clock: Clock) -> Self {
        Self(Arc::new(Shared {
            world: Mutex::new(world),
            clock,
            hook: Mutex::new(None),
            journal: Mutex::default(),
            count: AtomicU64::new(0),
            peers: Mutex::default(),
            callers: Mutex::default(),
            carrying: AtomicBool::new(false),
        }))
    }

    /// The clock.
    pub fn clock(&self) -> &Clock {
        &self.0.clock
    }

    /// Looks at the world, or changes it, at the present moment.
    pub fn with<T>(&self, look: impl FnOnce(&mut World) -> T) -> T {
        look(&mut self.at_present())
    }

    /// A copy of the world at the present moment.
    pub fn snapshot(&self) -> World {
        self.with(|world| world.clone())
    }

    /// Puts a copy back; requests that wait keep waiting for answers of the new world and end as broken.
    pub fn restore(&self, world: World) {
        *held(&self.0.world) = world;
    }

    /// Asks `hook` before each request what shall go wrong with it.
    pub fn on_request(&self, hook: impl Fn(&RequestInfo) -> Fault + Send + Sync + 'static) {
        *held(&self.0.hook) = Some(Arc::new(hook));
    }

    /// Nothing goes wrong any more.
    pub fn clear_faults(&self) {
        *held(&self.0.hook) = None;
    }

    /// Every request so far, in order of arrival.
    pub fn journal(&self) -> Vec<JournalEntry> {
        held(&self.0.journal).clone()
    }

    /// Forgets the requests so far.
    pub fn clear_journal(&self) {
        held(&self.0.journal).clear();
    }

    /// A client of this world, connected in process: no socket, no TLS.
    ///
    /// It presents the first token of `root@pam`, or of the world if there is none, and polls tasks as fast as the clock allows.
    ///
    /// # Panics
    /// If the world has no token.
    pub fn connect(&self) -> Client {
        let token = {
            let world = held(&self.0.world);
            let root = world.users.get_key_value("root@pam").into_iter();
            root.chain(&world.users).find_map(|(user, known)| {
                let (name, secret) = known.tokens.first_key_value()?;
                Some(format!("{user}!{name}={secret}"))
            })
        };
        let token =
            token.expect("a world needs a token before anyone can connect: World::with_token");
        let builder = self
            .builder()
            .token(token)
            .poll(PollPolicy::every(Duration::from_millis(2)));
        builder
            .build()
            .expect("a client in process needs no address")
    }

    /// A client builder connected in process, for other credentials and policies.
    pub fn builder(&self) -> crate::ClientBuilder {
        Client::builder().carrier(Arc::new(InProcess(self.clone())))
    }

    /// Sends one request as a token (`user@realm!name=secret`) and gives the answer as it would go over the
    /// wire; none if the connection broke. For comparing the simulator with recordings of a real server.
    pub async fn answer(&self, token: &str, request: &Request) -> Option<Answer> {
        let mut arrived = Arrived {
            method: request.method().as_str().to_owned(),
            target: request.target().to_string(),
            body: request
                .body()
                .map_or_else(Vec::new, |body| body.as_bytes().to_vec()),
            ..Arrived::default()
        };
        arrived
            .headers
            .insert("authorization".to_owned(), format!("PVEAPIToken={token}"));
        self.told(arrived).await
    }

    /// Like [`answer`](Self::answer), as a user of the world with a fresh ticket.
    pub async fn answer_as(&self, user: &str, request: &Request) -> Option<Answer> {
        let (ticket, csrf) = held(&self.0.world).fresh_ticket(user);
        let mut arrived = Arrived {
            method: request.method().as_str().to_owned(),
            target: request.target().to_string(),
            body: request
                .body()
                .map_or_else(Vec::new, |body| body.as_bytes().to_vec()),
            ..Arrived::default()
        };
        let headers = &mut arrived.headers;
        headers.insert("cookie".to_owned(), format!("PVEAuthCookie={ticket}"));
        headers.insert("csrfpreventiontoken".to_owned(), csrf);
        self.told(arrived).await
    }

    /// Like [`answer`](Self::answer), with a multipart body: the request's parameters, then this file.
    pub async fn answer_upload(
        &self,
        token: &str,
        request: &Request,
        file_name: &str,
        bytes: &[u8],
    ) -> Option<Answer> {
        let mark = "upload-of-a-recording";
        let kind = format!("multipart/form-data; boundary={mark}");
        let mut upload = Upload::new(&kind);
        // Piece by piece, as a server reads it: files may be large.
        let mut feed = |bytes: &[u8]| {
            if let Some(upload) = &mut upload {
                upload.feed(bytes);
            }
        };
        let mut head = String::new();
        for (name, value) in request.params().iter() {
            head += &format!(
                "--{mark}\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n"
            );
        }
        head += &format!(
            "--{mark}\r\nContent-Disposition: form-data; name=\"filename\"; filename=\"{file_name}\"\r\n\
             Content-Type: application/octet-stream\r\n\r\n"
        );
        feed(head.as_bytes());
        feed(bytes);
        feed(format!("\r\n--{mark}--\r\n").as_bytes());
        let mut arrived = Arrived {
            method: request.method().as_str().to_owned(),
            target: request.target().to_string(),
            upload,
            ..Arrived::default()
        };
        let headers = &mut arrived.headers;
        headers.insert("authorization".to_owned(), format!("PVEAPIToken={token}"));
        headers.insert("content-type".to_owned(), kind);
        self.told(arrived).await
    }

    /// Like [`answer`](Self::answer), with this body of this type instead of the request's parameters, whatever it is.
    pub async fn answer_body(
        &self,
        token: &str,
        request: &Request,
        content_type: &str,
        body: Vec<u8>,
    ) -> Option<Answer> {
        let mut arrived = Arrived {
            method: request.method().as_str().to_owned(),
            target: request.target().to_string(),
            body,
            ..Arrived::default()
        };
        let headers = &mut arrived.headers;
        headers.insert("authorization".to_owned(), format!("PVEAPIToken={token}"));
        headers.insert("content-type".to_owned(), content_type.to_owned());
        self.told(arrived).await
    }

    async fn told(&self, arrived: Arrived) -> Option<Answer> {
        match self.exchange(arrived).await {
            Exchange::Answer(reply) => Some(Answer::new(reply.status, reply.reason, reply.body)),
            Exchange::Broken => None,
        }
    }

    /// Handles one request to its answer.
    pub(super) async fn exchange(&self, arrived: Arrived) -> Exchange {
        let number = self.next_number();
        let now = self.0.clock.now();
        let call = match arrived.decode() {
            Ok(call) => call,
            Err(refusal) => return Exchange::Answer(refusal),
        };
        let (entry, fault) = self.note(number, &call, now);
        let dropped = held(&self.0.world).drops(&arrived.headers);
        let exchange = match dropped {
            true => Exchange::Broken,
            false => self.faulty(&arrived, &call, fault).await,
        };
        if let Exchange::Answer(reply) = &exchange {
            self.note_answer(entry, reply);
        }
        exchange
    }

    fn next_number(&self) -> u64 {
        self.0.count.fetch_add(1, Ordering::Relaxed) + 1
    }

    /// Puts a request into the journal; gives its place there, and what shall go wrong with it.
    fn note(&self, number: u64, call: &Call, at: SystemTime) -> (usize, Fault) {
        let info = RequestInfo {
            number,
            method: call.method.clone(),
            path: call.path.clone(),
            at,
        };
        let hook = held(&self.0.hook).clone();
        let fault = hook.map_or(Fault::None, |hook| hook(&info));
        let mut journal = held(&self.0.journal);
        journal.push(JournalEntry {
            at,
            method: info.method,
            path: info.path,
            parameters: call.params.keys().cloned().collect(),
            answered: None,
            status: None,
        });
        (journal.len() - 1, fault)
    }

    fn note_answer(&self, entry: usize, reply: &Reply) {
        let answered = self.0.clock.now();
        if let Some(entry) = held(&self.0.journal).get_mut(entry) {
            entry.answered = Some(answered);
            entry.status = Some(reply.status);
        }
    }

    async fn faulty(&self, arrived: &Arrived, call: &Call, fault: Fault) -> Exchange {
        let verdict = verdict_of(&fault);
        match fault {
            Fault::ResetBefore => Exchange::Broken,
            Fault::Refuse { status, reason } => Exchange::Answer(Reply::bare(status, &reason)),
            Fault::BrokenPipe => Exchange::Answer(Reply::bare(596, "Broken pipe")),
            Fault::LockTimeout => {
                self.pause(Duration::from_secs(10)).await;
                Exchange::Answer(Reply::failed(lock_of(call).timeout_text()))
            }
            Fault::Unauthorized => {
                self.pause(Duration::from_secs(3)).await;
                Exchange::Answer(Reply::bare(401, "Authentication failed!"))
            }
            Fault::ProxyTimeout { executed } => {
                if executed {
                    self.handle(arrived, call, verdict).await;
                }
                self.pause(Duration::from_secs(30)).await;
                Exchange::Answer(Reply::bare(596, "Connection timed out"))
            }
            Fault::ResetAfter => {
                self.handle(arrived, call, verdict).await;
                Exchange::Broken
            }
            Fault::Delay(time) => {
                let exchange = self.handle(arrived, call, verdict).await;
                self.pause(time).await;
                exchange
            }
            _ => self.handle(arrived, call, verdict).await,
        }
    }

    async fn pause(&self, time: Duration) {
        let until = self.0.clock.now() + time;
        while self.0.clock.now() < until {
            self.0.clock.wait_for(until).await;
        }
    }

    fn enter(&self, arrived: &Arrived, call: &Call, verdict: Verdict) -> Handled {
        let mut world = self.at_present();
        if world.daemon.is_some() {
            let served = Served {
                call: call.clone(),
                headers: arrived.headers.clone(),
                verdict,
            };
            let job = world.begin_served(served, is_protected(call));
            let now = world.now;
            world.advance(now);
            return Handled::Job(job);
        }
        world.engine.verdict_for_next = verdict;
        let handled = world.handle(call, &arrived.headers);
        // What begins at this moment goes as far as it can before anyone looks.
        let now = world.now;
        world.advance(now);
        world.engine.verdict_for_next = Verdict::Natural;
        handled
    }

    async fn handle(&self, arrived: &Arrived, call: &Call, verdict: Verdict) -> Exchange {
        let exchange = self.carry_out(arrived, call, verdict).await;
        // The proxy keeps every refused login back.
        if matches!(&exchange, Exchange::Answer(reply) if reply.status == 401) {
            self.pause(Duration::from_secs(3)).await;
        }
        exchange
    }

    async fn carry_out(&self, arrived: &Arrived, call: &Call, verdict: Verdict) -> Exchange {
        let job = match self.enter(arrived, call, verdict) {
            Handled::Now(reply) => {
                self.pause(reply.takes()).await;
                return Exchange::Answer(reply);
            }
            Handled::Job(job) => job,
        };
        loop {
            let next = {
                let mut world = self.at_present();
                if let Some(reply) = world.take_answer(job) {
                    return Exchange::Answer(reply);
                }
                if !world.engine.jobs.contains_key(&job) {
                    return Exchange::Broken;
                }
                world.next_event()
            };
            match next {
                Some(next) => self.0.clock.wait_for(next).await,
                None => return Exchange::Broken,
            }
        }
    }
}

/// What a fault makes of the task that its request starts.
fn verdict_of(fault: &Fault) -> Verdict {
    match fault {
        Fault::TaskFails(text) => Verdict::Fails(text.clone()),
        Fault::TaskWarns(count) => Verdict::Warns(*count),
        Fault::TaskKilled => Verdict::Killed,
        _ => Verdict::Natural,
    }
}

/// Whether a call runs in the privileged daemon: all writes, and what only the guest's node knows.
fn is_protected(call: &Call) -> bool {
    let segments: Vec<&str> = call.segments.iter().map(String::as_str).collect();
    match (call.method.as_str(), segments.as_slice()) {
        (_, ["access", "ticket"]) => false,
        ("GET", [.., "status", "current"] | [.., "agent", _]) => true,
        ("GET", _) => false,
        _ => true,
    }
}

fn lock_of(call: &Call) -> Key {
    let (species, vmid) = match call.segments.as_slice() {
        [_, _, branch, rest @ ..] if branch == "lxc" => (Species::Container, rest.first()),
        [_, _, branch, rest @ ..] if branch == "qemu" => (Species::Machine, rest.first()),
        _ => (Species::Machine, None),
    };
    let vmid = vmid.and_then(|vmid| vmid.parse().ok());
    let asked = || {
        call.number("vmid")
            .and_then(|vmid| u32::try_from(vmid).ok())
    };
    match vmid.or_else(asked) {
        Some(vmid) => species.key(vmid),
        None => Key::LocalStorage("local".to_owned()),
    }
}

/// Carries requests into the world without a socket.
struct InProcess(Simulator);

impl fmt::Debug for InProcess {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("InProcess")
    }
}

impl Carrier for InProcess {
    fn upgrade(&self, _endpoint: usize, _outgoing: Outgoing) -> BoxFuture<'_, Result<Switched>> {
        Box::pin(async {
            Err(Error::invalid(
                "sessions on consoles need a connection: serve the simulator and connect to its address",
            ))
        })
    }

    fn send(&self, _endpoint: usize, outgoing: Outgoing) -> BoxFuture<'_, Result<Answer>> {
        Box::pin(async move {
            let mut arrived = Arrived {
                method: outgoing.method.as_str().to_owned(),
                target: outgoing.target.to_string(),
                ..Arrived::default()
            };
            for (name, value) in outgoing.headers {
                arrived.headers.insert(name.to_owned(), value.to_string());
            }
            if let Some(kind) = outgoing.content_type {
                arrived.headers.insert("content-type".to_owned(), kind);
            }
            arrived.body = match outgoing.body {
                Some(Body::Text(text)) => text.as_bytes().to_vec(),
                Some(Body::Pieces { mut pieces, .. }) => {
                    let kind = arrived.headers.get("content-type");
                    let mut upload = Upload::new(kind.map_or("", String::as_str));
                    let mut all = Vec::new();
                    while let Some(piece) = futures::StreamExt::next(&mut pieces).await {
                        let piece = piece.map_err(|error| {
                            Error::new(Kind::Interrupted, "the body could not be read")
                                .with_source(error)
                        })?;
                        match &mut upload {
                            Some(upload) => upload.feed(&piece),
                            None => all.extend(piece),
                        }
                    }
                    arrived.upload = upload;
                    all
                }
                None => Vec::new(),
            };
            match self.0.exchange(arrived).await {
                Exchange::Answer(reply) => Ok(Answer::new(reply.status, reply.reason, reply.body)),
                Exchange::Broken => Err(Error::new(
                    Kind::Interrupted,
                    "the connection broke before the whole answer came",
                )
                .with_sent(Sent::Maybe)),
            }
        })
    }
}
