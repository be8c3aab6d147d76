//! The client: addresses, credentials, retries.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use secrecy::SecretString;
use serde::de::DeserializeOwned;
use tracing::Instrument as _;
use tracing::field::Empty;
use url::Url;

use crate::auth::{Auth, Current, Login, Session, TicketAnswer, Token, token_headers};
use crate::error::{Error, Kind, Result};
use crate::known::{Pace, answers_secrets, pace, without_secrets};
use crate::limits::{Gate, Limits, Turn};
use crate::node::Node;
use crate::retry::{Decision, RetryPolicy, decide};
use crate::task::{Board, PollPolicy};
#[cfg(feature = "console")]
use crate::transport::Switched;
use crate::transport::{Body, Carrier, Headers, Https, Outgoing, Proxy};
use crate::trust::{ClientCertificate, Trust};
use crate::version::{ServerVersion, VersionGate};
use crate::wire::{Answer, Envelope, Method, Request};

/// A Proxmox VE cluster, or a single node; cheap to clone.
///
/// ```no_run
/// # async fn run() -> Result<(), proxmox_client::Error> {
/// use proxmox_client::{Client, Trust};
/// let client = Client::builder()
///     .endpoint("https://192.0.2.10:8006")
///     .token("root@pam!lab=12345678-1234-1234-1234-123456789abc")
///     .trust(Trust::fingerprint("0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef")?)
///     .build()?;
/// client.node("pve1").qemu(8101).start().await?;
/// # Ok(()) }
/// ```
#[derive(Clone)]
pub struct Client(Arc<Inner>);

struct Inner {
    carrier: Arc<dyn Carrier>,
    auth: Auth,
    endpoints: usize,
    /// The endpoint that answered last.
    current: AtomicUsize,
    retry: RetryPolicy,
    poll: PollPolicy,
    deadline: Option<Duration>,
    slow_deadline: Option<Duration>,
    versions: VersionGate,
    /// Whether calls are held against who makes them.
    checks_caller: bool,
    gate: Gate,
    board: Board,
    /// Numbers logins, so that many calls refused at once log in again only once.
    logins: AtomicU64,
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client")
            .field("carrier", &self.0.carrier)
            .field("auth", &self.0.auth)
            .finish_non_exhaustive()
    }
}

/// Collects what a [`Client`] needs.
///
/// ```
/// use std::time::Duration;
/// use proxmox_client::retry::RetryPolicy;
/// use proxmox_client::{Client, Limits, Login, Trust};
/// let client = Client::builder()
///     .endpoint("https://pve1.example.test:8006")
///     .endpoint("https://pve2.example.test:8006") // tried when the first one cannot be reached
///     .login(Login::new("alice@pve", "correct horse"))
///     .trust(Trust::system_roots())
///     .retry(RetryPolicy::default().with_attempts(3))
///     .limits(Limits::default().with_tasks_per_node(2))
///     .deadline(Some(Duration::from_secs(60)))
///     .build()?; // nothing is sent yet
/// assert!(!format!("{client:?}").contains("correct horse"));
/// # Ok::<(), proxmox_client::Error>(())
/// ```
#[derive(Debug)]
#[must_use]
pub struct ClientBuilder {
    endpoints: Vec<String>,
    auth: Credentials,
    trust: Option<Trust>,
    retry: RetryPolicy,
    poll: PollPolicy,
    connect: Duration,
    deadline: Option<Duration>,
    slow_deadline: Option<Duration>,
    versions: VersionGate,
    checks_caller: bool,
    limits: Limits,
    proxy: Option<Proxy>,
    certificate: Option<ClientCertificate>,
    carrier: Option<Arc<dyn Carrier>>,
}

#[derive(Debug)]
enum Credentials {
    None,
    Text(Result<Token>),
    Login(Login),
    Session(Session),
}

impl Client {
    /// Starts a client.
    pub fn builder() -> ClientBuilder {
        ClientBuilder {
            endpoints: Vec::new(),
            auth: Credentials::None,
            trust: None,
            retry: RetryPolicy::default(),
            poll: PollPolicy::default(),
            connect: Duration::from_secs(5),
            deadline: Some(Duration::from_secs(45)),
            slow_deadline: Some(Duration::from_secs(120)),
            versions: VersionGate::default(),
            checks_caller: false,
            limits: Limits::default(),
            proxy: None,
            certificate: None,
            carrier: None,
        }
    }

    /// One node of the cluster.
    ///
    /// ```
    /// # #[cfg(feature = "simulator")]
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), proxmox_client::Error> {
    /// # let client = proxmox_client::simulator::Simulator::lab().connect();
    /// let node = client.node("pve1");
    /// assert_eq!(node.name(), "pve1");
    /// assert!(node.status().await?.uptime.is_some());
    /// # Ok(()) }
    /// # #[cfg(not(feature = "simulator"))] fn main() {}
    /// ```
    pub fn node(&self, name: impl Into<String>) -> Node {
        Node::new(self.clone(), name.into())
    }

    /// Sends any request with this client's credentials, retries and errors, and gives its envelope.
    ///
    /// ```
    /// # #[cfg(feature = "simulator")]
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), proxmox_client::Error> {
    /// use proxmox_client::wire::{Method, Request};
    /// # let client = proxmox_client::simulator::Simulator::lab().connect();
    /// let path = "/nodes/{node}/time";
    /// let envelope = client.request(Request::new(Method::Get, path, &["pve1"])).await?;
    /// assert_eq!(envelope.data.unwrap()["timezone"], "UTC");
    /// # Ok(()) }
    /// # #[cfg(not(feature = "simulator"))] fn main() {}
    /// ```
    pub async fn request(&self, request: Request) -> Result<Envelope> {
        let doing = request.describe();
        self.send(request)
            .await?
            .envelope()
            .map_err(|error| error.at(|| doing))
    }

    /// Sends any request and decodes `data` of its answer.
    ///
    /// ```
    /// # #[cfg(feature = "simulator")]
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), proxmox_client::Error> {
    /// use proxmox_client::wire::{Method, Request};
    /// use serde_json::{Map, Value};
    /// # let client = proxmox_client::simulator::Simulator::lab().connect();
    /// let request = Request::new(Method::Get, "/cluster/resources", &[]).with("type", "storage");
    /// let storages: Vec<Map<String, Value>> = client.fetch(request).await?;
    /// assert_eq!(storages[0]["node"], "pve1");
    /// # Ok(()) }
    /// # #[cfg(not(feature = "simulator"))] fn main() {}
    /// ```
    pub async fn fetch<T: DeserializeOwned>(&self, request: Request) -> Result<T> {
        let doing = request.describe();
        self.send(request)
            .await?
            .data()
            .map_err(|error| error.at(|| doing))
    }

    /// How tasks are polled.
    pub fn poll_policy(&self) -> &PollPolicy {
        &self.0.poll
    }

    /// Sends a request; a failure that the server answered is an error like any other.
    ///
    /// Traced as a span `call` of level debug with `method`, `path` (placeholders instead of values), `attempts`, and
    /// `status` or `error` (its kind).
    ///
    /// ```
    /// # #[cfg(feature = "simulator")]
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), proxmox_client::Error> {
    /// use proxmox_client::wire::{Method, Request};
    /// # let client = proxmox_client::simulator::Simulator::lab().connect();
    /// let answer = client.send(Request::new(Method::Get, "/version", &[])).await?;
    /// assert_eq!(answer.status(), 200);
    /// # Ok(()) }
    /// # #[cfg(not(feature = "simulator"))] fn main() {}
    /// ```
    pub async fn send(&self, request: Request) -> Result<Answer> {
        let span = tracing::debug_span!(
            "call",
            method = %request.method(),
            path = request.template(),
            attempts = Empty,
            status = Empty,
            error = Empty,
        );
        let mut attempts = 1;
        let sending = self.send_within(request, &mut attempts);
        let result = sending.instrument(span.clone()).await;
        span.record("attempts", attempts);
        match &result {
            Ok(answer) => span.record("status", answer.status()),
            Err(error) => span.record("error", tracing::field::debug(error.kind())),
        };
        result
    }

    async fn send_within(&self, request: Request, attempt: &mut u32) -> Result<Answer> {
        if self.0.checks_caller {
            self.refuse_reserved(&request)?;
        }
        self.refuse_unsupported(&request).await?;
        let mut logged_in_again = false;
        loop {
            let (result, generation) = self.attempt(&request).await;
            let error = match result {
                Ok(answer) => match answer.failure() {
                    None => return Ok(answer),
                    Some(error) => error,
                },
                Err(error) => error,
            };
            if let (Kind::Authentication, Some(generation), false) =
                (error.kind(), generation, logged_in_again)
            {
                logged_in_again = true;
                self.forget(generation).await;
                continue;
            }
            let idempotent = request.method() == Method::Get;
            let retry = &self.0.retry;
            match decide(retry, error.kind(), error.sent(), *attempt, idempotent) {
                Decision::Stop => {
                    let error = without_secrets(error, &request);
                    return Err(error.at(|| request.describe()));
                }
                Decision::After(pause) => {
                    tracing::debug!(
                        method = %request.method(), path = request.template(), attempt = *attempt,
                        kind = ?error.kind(), "repeating a call"
                    );
                    // Another address may answer at once; the pause is for the last one left.
                    let other = error.kind() == Kind::Connect && self.rotate(*attempt);
                    if !other {
                        tokio::time::sleep(pause).await;
                    }
                }
            }
            *attempt += 1;
        }
    }

    fn rotate(&self, attempt: u32) -> bool {
        let endpoints = self.0.endpoints;
        if endpoints < 2 {
            return false;
        }
        self.0.current.fetch_add(1, Ordering::Relaxed);
        !(attempt as usize).is_multiple_of(endpoints)
    }

    /// Which address answered last.
    pub(crate) fn endpoint(&self) -> usize {
        self.0.current.load(Ordering::Relaxed) % self.0.endpoints.max(1)
    }

    /// Whether an API token says who asks.
    #[cfg(feature = "console")]
    pub(crate) fn has_token(&self) -> bool {
        matches!(self.0.auth, Auth::Token(_))
    }

    /// Leaves HTTP on a connection of its own to an address.
    #[cfg(feature = "console")]
    pub(crate) async fn upgrade(
        &self,
        endpoint: usize,
        request: &Request,
        mut headers: Headers,
    ) -> Result<Switched> {
        headers.extend(self.credentials(request.method()).await?.0);
        let outgoing = Outgoing {
            method: request.method(),
            target: request.target(),
            headers,
            content_type: None,
            body: None,
            deadline: self.0.deadline,
        };
        let switched = self.0.carrier.upgrade(endpoint, outgoing).await;
        switched.map_err(|error| error.at(|| request.describe()))
    }

    /// What this client presents.
    pub(crate) fn auth(&self) -> &Auth {
        &self.0.auth
    }

    /// Whether requests are held against the server's version.
    pub(crate) fn version_gate(&self) -> &VersionGate {
        &self.0.versions
    }

    /// How long an exchange may take.
    fn deadline(&self, request: &Request) -> Option<Duration> {
        match pace(request) {
            Pace::Ordinary => self.0.deadline,
            Pace::Slow => self.0.slow_deadline,
            Pace::Transfer => None,
        }
    }

    /// What tasks that are waited for share.
    pub(crate) fn board(&self) -> &Board {
        &self.0.board
    }

    /// Waits until nobody else of this process changes the guest of a call.
    pub(crate) async fn turn_to_change(&self, request: &Request) -> Turn {
        self.0.gate.change(request).await
    }

    /// Waits until a task may begin.
    pub(crate) async fn turn_for_task(&self, request: &Request) -> Turn {
        self.0.gate.task(request).await
    }

    /// Waits until an agent on a node that may not answer can be asked.
    pub(crate) async fn turn_for_agent(&self, node: &str) -> Turn {
        self.0.gate.agent(node).await
    }

    async fn attempt(&self, request: &Request) -> (Result<Answer>, Option<u64>) {
        let _on_its_way = self.0.gate.send(request, false).await;
        match self.credentials(request.method()).await {
            Ok((headers, generation)) => (self.exchange(request, headers).await, generation),
            Err(error) => (Err(error), None),
        }
    }

    /// The headers that say who asks, and which login they come from.
    async fn credentials(&self, method: Method) -> Result<(Headers, Option<u64>)> {
        match &self.0.auth {
            Auth::None => Ok((Vec::new(), None)),
            Auth::Token(token) => Ok((token_headers(token), None)),
            Auth::Login(login, current) => {
                // Held while logging in, so that calls that come together log in once.
                let mut current = current.lock().await;
                let current = self.current(login, &mut current).await?;
                Ok((current.headers(method), Some(current.generation)))
            }
        }
    }

    /// Sends a request with a body of its own, once: the body is gone afterwards.
    pub(crate) async fn send_body(
        &self,
        request: &Request,
        content_type: String,
        body: Body,
    ) -> Result<Answer> {
        let _on_its_way = self.0.gate.send(request, true).await;
        let (headers, _) = self.credentials(request.method()).await?;
        let outgoing = Outgoing {
            method: request.method(),
            target: request.target(),
            headers,
            content_type: Some(content_type),
            body: Some(body),
            deadline: None,
        };
        self.0.carrier.send(self.endpoint(), outgoing).await
    }

    /// The login in use, to be kept or handed to another program; none for clients with a token or without
    /// credentials. Logs in, or renews, if need be.
    ///
    /// ```
    /// # #[cfg(feature = "simulator")]
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), proxmox_client::Error> {
    /// use proxmox_client::simulator::{Simulator, World};
    /// use proxmox_client::Login;
    /// # let simulator = Simulator::new(World::lab().with_user("alice@pve", "correct horse"));
    /// let builder = simulator.builder();
    /// let client = builder.login(Login::new("alice@pve", "correct horse")).build()?;
    /// let session = client.session().await?.expect("this client logs in with a password");
    /// // Another program goes on with the same login.
    /// let other = simulator.builder().session(session).build()?;
    /// other.version().await?;
    /// # Ok(()) }
    /// # #[cfg(not(feature = "simulator"))] fn main() {}
    /// ```
    pub async fn session(&self) -> Result<Option<Session>> {
        let Auth::Login(login, current) = &self.0.auth else {
            return Ok(None);
        };
        let mut current = current.lock().await;
        let current = self.current(login, &mut current).await?;
        Ok(Some(current.session))
    }

    async fn current(&self, login: &Login, slot: &mut Option<Current>) -> Result<Current> {
        let generation = self.0.logins.fetch_add(1, Ordering::Relaxed) + 1;
        if let Some(current) = slot.as_ref() {
            if !current.is_old() {
                return Ok(current.clone());
            }
            if let Ok(answer) = self.log_in(current.renewal()).await {
                let renewed = Current::new(answer.into_session()?, generation);
                return Ok(slot.insert(renewed).clone());
            }
        }
        let mut answer = self.log_in(login.first_step()).await?;
        if let Some(second) = login.second_step(&answer).await? {
            let answered = self.log_in(second).await;
            answer = answered.map_err(|error| error.doing("answering for the second factor"))?;
        }
        let made = Current::new(answer.into_session()?, generation);
        Ok(slot.insert(made).clone())
    }

    async fn log_in(&self, request: Request) -> Result<TicketAnswer> {
        let answer = self.exchange(&request, Vec::new()).await;
        answer
            .and_then(|answer| answer.data())
            .map_err(|error| without_secrets(error, &request).doing("logging in"))
    }

    async fn forget(&self, generation: u64) {
        if let Auth::Login(_, current) = &self.0.auth {
            let mut current = current.lock().await;
            if current
                .as_ref()
                .is_some_and(|current| current.generation == generation)
            {
                *current = None;
            }
        }
    }

    async fn exchange(&self, request: &Request, headers: Headers) -> Result<Answer> {
        let outgoing = Outgoing {
            method: request.method(),
            target: request.target(),
            headers,
            content_type: request
                .body()
                .is_some()
                .then(|| "application/x-www-form-urlencoded".to_owned()),
            body: request.body().map(Body::Text),
            deadline: self.deadline(request),
        };
        let answer = self.0.carrier.send(self.endpoint(), outgoing).await?;
        Ok(match answers_secrets(request) {
            true => answer.with_secrets(),
            false => answer,
        })
    }
}

impl ClientBuilder {
    /// Adds an address: `https://host:8006`, `host:8006` or `host`.
    ///
    /// Further addresses of the same cluster are tried in turn when a connection cannot be made; a request
    /// that may have been executed is never sent to another one.
    pub fn endpoint(mut self, address: impl Into<String>) -> Self {
        self.endpoints.push(address.into());
        self
    }

    /// Authenticates with an API token, `user@realm!name=secret`.
    pub fn token(mut self, token: impl Into<SecretString>) -> Self {
        self.auth = Credentials::Text(Token::parse(token));
        self
    }

    /// Authenticates with an API token in parts.
    pub fn api_token(mut self, token: Token) -> Self {
        self.auth = Credentials::Text(Ok(token));
        self
    }

    /// Authenticates with a password; the ticket is renewed by itself.
    pub fn login(mut self, login: Login) -> Self {
        self.auth = Credentials::Login(login);
        self
    }

    /// Goes on with a login that was made before; it is renewed by itself, and ends with its ticket if it is not used
    /// for two hours.
    pub fn session(mut self, session: Session) -> Self {
        self.auth = Credentials::Session(session);
        self
    }

    /// Which server certificate is accepted. Without it the operating system's roots decide.
    pub fn trust(mut self, trust: Trust) -> Self {
        self.trust = Some(trust);
        self
    }

    /// How failed calls are repeated.
    pub fn retry(mut self, retry: RetryPolicy) -> Self {
        self.retry = retry;
        self
    }

    /// How tasks are polled.
    pub fn poll(mut self, poll: PollPolicy) -> Self {
        self.poll = poll;
        self
    }

    /// How long a connection may take to be made. Default 5 s.
    pub fn connect_timeout(mut self, limit: Duration) -> Self {
        self.connect = limit;
        self
    }

    /// How long one exchange may take. Default 45 s, since the server's own proxy gives up after 30 s. Slow calls have
    /// another one, and what carries a file has none.
    pub fn deadline(mut self, limit: Option<Duration>) -> Self {
        self.deadline = limit;
        self
    }

    /// How long an exchange may take if the server works before it answers ([`Pace::Slow`]): it asks other servers or
    /// the guest, looks at every disk, or allocates. Default 120 s: a node that does such work itself, without its
    /// proxy, has no limit of its own.
    pub fn slow_deadline(mut self, limit: Option<Duration>) -> Self {
        self.slow_deadline = limit;
        self
    }

    /// Holds calls against the server's version before they are sent: what a later release brought is refused with
    /// [`Kind::Unsupported`], which names the call, the parameter or the key inside a property string, and both versions.
    /// The version is asked for once, before the first call that not every version since 7.4 knows.
    ///
    /// Known is in which release the published description of the interface first had a call, a parameter or a key. Without
    /// this, and without [`server_version`](Self::server_version), everything is sent.
    pub fn check_version(mut self) -> Self {
        self.versions = VersionGate::asking();
        self
    }

    /// Holds calls against this version before they are sent, without asking the server.
    pub fn server_version(mut self, version: ServerVersion) -> Self {
        self.versions = VersionGate::of(version);
        self
    }

    /// Holds calls against who makes them before they are sent: what the server leaves to `root@pam` with a ticket is
    /// refused with [`Kind::RootOnly`], what it lets no token do with [`Kind::TicketOnly`]. Both name the call or the
    /// parameter. What is left to a few is known from [`Reserved::of`](crate::rights::Reserved::of); rights that roles give
    /// are another matter, see [`Access::missing`](crate::Access::missing).
    ///
    /// ```
    /// # #[cfg(feature = "simulator")]
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), proxmox_client::Error> {
    /// use proxmox_client::{Kind, QemuConfig};
    /// # let simulator = proxmox_client::simulator::Simulator::lab();
    /// let client = simulator.builder().token("root@pam!lab=lab-secret").check_caller().build()?;
    /// let wanted = QemuConfig::new().with("args", "-cpu max");
    /// let error = client.node("pve1").create_qemu(100, wanted).await.unwrap_err();
    /// assert_eq!(error.kind(), Kind::RootOnly); // nothing was sent
    /// assert_eq!(error.message(), "`args` is for root@pam with a ticket");
    /// # Ok(()) }
    /// # #[cfg(not(feature = "simulator"))] fn main() {}
    /// ```
    pub fn check_caller(mut self) -> Self {
        self.checks_caller = true;
        self
    }

    /// How much is asked of the servers at once.
    pub fn limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// Connects through a proxy. Without it connections are direct, whatever the environment says;
    /// [`Proxy::from_env`] asks the environment.
    pub fn proxy(mut self, proxy: Proxy) -> Self {
        self.proxy = Some(proxy);
        self
    }

    /// Shows a certificate to servers that ask for one, such as a reverse proxy.
    pub fn client_certificate(mut self, certificate: ClientCertificate) -> Self {
        self.certificate = Some(certificate);
        self
    }

    #[cfg(feature = "simulator")]
    pub(crate) fn carrier(mut self, carrier: Arc<dyn Carrier>) -> Self {
        self.carrier = Some(carrier);
        self
    }

    /// Makes the client; nothing is sent yet.
    ///
    /// # Errors
    /// No or malformed address, malformed token, unusable trust.
    pub fn build(self) -> Result<Client> {
        let auth = match self.auth {
            Credentials::None => Auth::None,
            Credentials::Text(token) => Auth::Token(token?),
            Credentials::Login(login) => Auth::Login(login, tokio::sync::Mutex::new(None)),
            Credentials::Session(session) => {
                let login = Login::of_session(&session);
                let current = Current::new(session, 0);
                Auth::Login(login, tokio::sync::Mutex::new(Some(current)))
            }
        };
        let origins: Vec<String> = self
            .endpoints
            .iter()
            .map(|e| origin(e))
            .collect::<Result<_>>()?;
        let endpoints = origins.len();
        let carrier = match self.carrier {
            Some(carrier) => carrier,
            None if origins.is_empty() => {
                return Err(Error::invalid(
                    "no endpoint: give the address of a node, such as https://192.0.2.10:8006",
                ));
            }
            None => {
                let trust = self.trust.unwrap_or_else(Trust::system_roots);
                let tls = trust.client_config(self.certificate.as_ref())?;
                Arc::new(Https::new(origins, tls, self.proxy.as_ref(), self.connect)?)
            }
        };
        Ok(Client(Arc::new(Inner {
            carrier,
            auth,
            endpoints,
            current: AtomicUsize::new(0),
            retry: self.retry,
            poll: self.poll,
            deadline: self.deadline,
            slow_deadline: self.slow_deadline,
            versions: self.versions,
            checks_caller: self.checks_caller,
            gate: Gate::new(self.limits),
            board: Board::default(),
            logins: AtomicU64::new(0),
        })))
    }
}

/// `scheme://host:port` of an address as people write it.
pub(crate) fn origin(address: &str) -> Result<String> {
    let bad = |why: &str| {
        Error::invalid(format!(
            "endpoint `{}`: {why}; expected something like https://192.0.2.10:8006",
            address.escape_debug()
        ))
    };
    let full = if address.contains("://") {
        address.to_owned()
    } else {
        format!("https://{address}")
    };
    let url = Url::parse(&full).map_err(|error| bad("not an address").with_source(error))?;
    if url.scheme() != "https" {
        return Err(bad("only https is served"));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(Error::invalid(
            "an endpoint carries no credentials: use token or login",
        ));
    }
    if !matches!(url.path(), "" | "/") || url.query().is_some() || url.fragment().is_some() {
        return Err(bad("no path belongs to it"));
    }
    let host = url.host_str().ok_or_else(|| bad("no host"))?;
    // The URL library drops a port that is its scheme's default, so ask the text for `:443`.
    let port = url.port().unwrap_or_else(|| {
        if full.trim_end_matches('/').ends_with(":443") {
            443
        } else {
            8006
        }
    });
    Ok(format!("https://{host}:{port}"))
}
