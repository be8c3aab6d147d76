//! Connecting, checking the server, logging in.

use std::fs;
use std::io::{self, Write};
use std::net::{SocketAddr, TcpStream, ToSocketAddrs};
use std::path::Path;
use std::sync::mpsc;
use std::time::{Duration, Instant};

use secrecy::zeroize::Zeroizing;
use secrecy::{ExposeSecret, SecretString};
use ssh2::{ErrorCode, KeyboardInteractivePrompt, MethodType, Prompt};

use super::files::{Fault, Files};
use super::host_key::{self, Expected, Rule, Ruling};
use super::sftp::Sftp;
use super::shell::Shell;
use super::target::{KeySource, SshKey, SshTarget, Sudo};
use crate::error::{Error, Kind, Result};

/// A session that is logged in.
pub(super) struct Live {
    session: ssh2::Session,
    /// None until it is asked for.
    sftp: Option<ssh2::Sftp>,
    pub(super) used: Instant,
    /// The fingerprint of the server's key.
    pub(super) fingerprint: String,
}

/// Failures as libssh2 numbers them (libssh2.h).
mod code {
    pub(super) const KEX_FAILURE: i32 = -5;
    pub(super) const KEY_EXCHANGE_FAILURE: i32 = -8;
    pub(super) const TIMEOUT: i32 = -9;
    /// Sending, disconnected, receiving, no socket.
    pub(super) const LOST: [i32; 4] = [-7, -13, -43, -45];
}

/// Failures as SFTP numbers them (draft-ietf-secsh-filexfer, section 7).
mod status {
    pub(super) const NO_SUCH_FILE: i32 = 2;
    pub(super) const PERMISSION_DENIED: i32 = 3;
    pub(super) const NO_CONNECTION: i32 = 6;
    pub(super) const CONNECTION_LOST: i32 = 7;
    pub(super) const NO_SUCH_PATH: i32 = 10;
    pub(super) const WRITE_PROTECT: i32 = 12;
}

/// What a failure of the library means.
pub(super) fn fault(error: ssh2::Error) -> Fault {
    let text = error.message().to_owned();
    match error.code() {
        ErrorCode::Session(code::TIMEOUT) => Fault::Timeout(text),
        ErrorCode::Session(code) if code::LOST.contains(&code) => Fault::Lost(text),
        ErrorCode::SFTP(status::NO_SUCH_FILE | status::NO_SUCH_PATH) => Fault::Missing(text),
        ErrorCode::SFTP(status::PERMISSION_DENIED | status::WRITE_PROTECT) => Fault::Denied(text),
        ErrorCode::SFTP(status::NO_CONNECTION | status::CONNECTION_LOST) => Fault::Lost(text),
        _ => Fault::Other(text),
    }
}

/// The same for what comes through the library's streams, which keep the text only.
pub(super) fn io_fault(error: io::Error) -> Fault {
    let text = error.to_string();
    match error.kind() {
        io::ErrorKind::TimedOut => Fault::Timeout(text),
        io::ErrorKind::NotFound => Fault::Missing(text),
        _ if text.contains("socket") || text.contains("transport") => Fault::Lost(text),
        _ => Fault::Other(text),
    }
}

impl Live {
    /// Connects and logs in.
    pub(super) fn open(target: &SshTarget) -> Result<Self> {
        let rule = &target.host_key.0;
        let expected = Expected::new(&target.host, target.port, &known_text(rule)?);
        let mut presented = Vec::new();
        for algorithms in expected.attempts(rule) {
            let Some(session) = shake(target, &algorithms)? else {
                continue;
            };
            let key = session.host_key().map(|(key, _)| key.to_vec());
            let key = key.ok_or_else(|| host_key::refused("the server presents no key"))?;
            let fingerprint = host_key::fingerprint(&key);
            match expected.rule_on(rule, &key) {
                Ruling::Accept => {}
                Ruling::Add => add(rule, &expected, &key)?,
                Ruling::TryAnother => {
                    presented.push(fingerprint);
                    continue;
                }
                Ruling::Refuse(why) => return Err(host_key::refused(why)),
            }
            authenticate(&session, target)?;
            return Ok(Self {
                session,
                sftp: None,
                used: Instant::now(),
                fingerprint,
            });
        }
        Err(host_key::refused(if presented.is_empty() {
            "the server has no key of a kind that is known".to_owned()
        } else {
            let keys = presented.join(", ");
            format!("the server's keys are {keys}, none of them the pinned one")
        }))
    }

    /// Does something with files: over SFTP, and by commands where SFTP may not or is not there.
    pub(super) fn with_files<T>(
        &mut self,
        target: &SshTarget,
        work: &dyn Fn(&dyn Files) -> Result<T, Fault>,
    ) -> Result<T, Fault> {
        let shell = |session, sudo| work(&Shell { session, sudo });
        if target.sudo == Sudo::Always {
            return shell(&self.session, true);
        }
        let first = match self.sftp() {
            Ok((session, sftp)) => match work(&Sftp { session, sftp }) {
                Err(Fault::Denied(why)) => why,
                other => return other,
            },
            Err(Fault::NoSftp(why)) => why,
            Err(other) => return Err(other),
        };
        let sudo = target.sudo == Sudo::IfNeeded && target.user != "root";
        shell(&self.session, sudo).map_err(|second| match second {
            Fault::Denied(text) => {
                let how = if sudo { "through sudo" } else { "by a command" };
                Fault::Denied(format!("over SFTP: {first}; {how}: {text}"))
            }
            other => other,
        })
    }

    fn sftp(&mut self) -> Result<(&ssh2::Session, &ssh2::Sftp), Fault> {
        let sftp = match self.sftp.take() {
            Some(sftp) => sftp,
            None => self.session.sftp().map_err(|error| match fault(error) {
                lost @ (Fault::Lost(_) | Fault::Timeout(_)) => lost,
                other => Fault::NoSftp(other.text().to_owned()),
            })?,
        };
        Ok((&self.session, self.sftp.insert(sftp)))
    }
}

/// The fingerprint of the key that a server presents; nobody logs in.
pub(super) fn presented(target: &SshTarget) -> Result<String> {
    let session = shake(target, &host_key::all_signatures())?;
    let key = session.as_ref().and_then(ssh2::Session::host_key);
    match key {
        Some((key, _)) => Ok(host_key::fingerprint(key)),
        None => Err(host_key::refused(
            "the server has no key of a kind that is known",
        )),
    }
}

/// What the file of a rule holds.
fn known_text(rule: &Rule) -> Result<String> {
    let (Rule::KnownHosts(file) | Rule::AcceptNew { file, .. }) = rule else {
        return Ok(String::new());
    };
    match fs::read(file) {
        Ok(bytes) => Ok(String::from_utf8_lossy(&bytes).into_owned()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(String::new()),
        Err(error) => {
            Err(host_key::refused(format!("{} cannot be read", file.display())).with_source(error))
        }
    }
}

/// Adds a key to the file of a rule, and reports it.
fn add(rule: &Rule, expected: &Expected, key: &[u8]) -> Result<()> {
    let Rule::AcceptNew { file, report } = rule else {
        return Ok(());
    };
    append(file, &expected.line_for(key)).map_err(|error| {
        host_key::refused(format!("the key cannot be kept in {}", file.display()))
            .with_source(error)
    })?;
    let new = expected.new_key(key, file);
    tracing::warn!(
        host = %new.host, fingerprint = %new.fingerprint, file = %file.display(),
        "a host key is accepted that was not known before"
    );
    report(&new);
    Ok(())
}

fn append(file: &Path, line: &str) -> io::Result<()> {
    let text = fs::read(file).unwrap_or_default();
    let mut options = fs::OpenOptions::new();
    options.append(true).create(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut open = options.open(file)?;
    // In one piece, since others may append to it as well.
    let gap = if text.is_empty() || text.ends_with(b"\n") {
        ""
    } else {
        "\n"
    };
    open.write_all(format!("{gap}{line}").as_bytes())?;
    open.sync_all()
}

/// A connection with its keys exchanged; none if the server has no key for any of these algorithms.
fn shake(target: &SshTarget, algorithms: &str) -> Result<Option<ssh2::Session>> {
    let failed = |kind: Kind, what: &str, error: ssh2::Error| {
        Error::new(kind, format!("{what}: {}", error.message()))
    };
    let stream = dial(&target.host, target.port, target.connect)?;
    let mut session = ssh2::Session::new()
        .map_err(|error| failed(Kind::Internal, "libssh2 cannot be used", error))?;
    session.set_timeout(u32::try_from(target.timeout.as_millis()).unwrap_or(u32::MAX));
    if session
        .method_pref(MethodType::HostKey, algorithms)
        .is_err()
    {
        // This build of the library knows none of them.
        return Ok(None);
    }
    session.set_tcp_stream(stream);
    match session.handshake() {
        Ok(()) => Ok(Some(session)),
        Err(error) => match error.code() {
            ErrorCode::Session(code::KEX_FAILURE | code::KEY_EXCHANGE_FAILURE) => Ok(None),
            ErrorCode::Session(code::TIMEOUT) => Err(failed(
                Kind::Deadline,
                "the server did not finish the handshake",
                error,
            )),
            _ => Err(failed(Kind::Connect, "the handshake failed", error)),
        },
    }
}

/// Connects to the first address that answers.
fn dial(host: &str, port: u16, limit: Duration) -> Result<TcpStream> {
    let addresses = resolve(host, port, limit)?;
    let mut last = None;
    for address in &addresses {
        match TcpStream::connect_timeout(address, limit) {
            Ok(stream) => {
                // Small packets go back and forth.
                let _ = stream.set_nodelay(true);
                return Ok(stream);
            }
            Err(error) => last = Some(error),
        }
    }
    let error = Error::new(Kind::Connect, format!("nothing answers at port {port}"));
    Err(match last {
        Some(cause) => error.with_source(cause),
        None => Error::new(Kind::Connect, format!("`{host}` has no address")),
    })
}

/// The addresses of a host. The system's resolver knows no limit, so it works aside.
fn resolve(host: &str, port: u16, limit: Duration) -> Result<Vec<SocketAddr>> {
    let (sender, answer) = mpsc::channel();
    let wanted = (host.to_owned(), port);
    std::thread::spawn(move || {
        let found = wanted.to_socket_addrs().map(Iterator::collect);
        // Nobody may wait any more.
        let _ = sender.send(found);
    });
    match answer.recv_timeout(limit) {
        Ok(Ok(addresses)) => Ok(addresses),
        Ok(Err(error)) => {
            Err(Error::new(Kind::Connect, format!("`{host}` is not known")).with_source(error))
        }
        Err(_) => Err(Error::new(
            Kind::Deadline,
            format!("finding the address of `{host}` took too long"),
        )),
    }
}

/// Logs in with what there is, in order; the failure tells what was tried.
fn authenticate(session: &ssh2::Session, target: &SshTarget) -> Result<()> {
    let user = target.user.as_str();
    // Asking for the methods is an attempt without credentials, which a server may accept.
    let methods = session.auth_methods(user).map(str::to_owned);
    let mut tried = Vec::new();
    let mut done = session.authenticated();
    let methods = match methods {
        Ok(methods) => methods,
        Err(_) if done => String::new(),
        Err(error) => {
            return Err(Error::new(
                Kind::Authentication,
                format!("{user} may not log in: {}", error.message()),
            ));
        }
    };
    let offers = |method: &str| methods.split(',').any(|have| have == method);
    if !done && offers("publickey") {
        if let Some(socket) = &target.agent {
            tried.extend(with_agent(session, user, socket));
            done = session.authenticated();
        }
        for key in &target.keys {
            if !done {
                tried.extend(with_key(session, user, key));
                done = session.authenticated();
            }
        }
    }
    if let Some(password) = target.password.as_ref().filter(|_| !done) {
        if offers("password") {
            let given = session.userauth_password(user, password.expose_secret());
            tried.extend(given.err().map(|error| refusal("the password", &error)));
            done = session.authenticated();
        }
        if !done && offers("keyboard-interactive") {
            let given = session.userauth_keyboard_interactive(user, &mut Answers(password));
            tried.extend(
                given
                    .err()
                    .map(|error| refusal("the password, asked for", &error)),
            );
            done = session.authenticated();
        }
    }
    if done {
        return Ok(());
    }
    let tried = match tried.as_slice() {
        [] => "nothing that was given could be tried".to_owned(),
        tried => tried.join("; "),
    };
    Err(Error::new(
        Kind::Authentication,
        format!("{user} is not let in (the server asks for {methods}): {tried}"),
    ))
}

fn refusal(what: &str, error: &ssh2::Error) -> String {
    format!("{what}: {}", error.message())
}

/// Tries the agent's keys; gives why none of them did, if so.
fn with_agent(session: &ssh2::Session, user: &str, socket: &Path) -> Option<String> {
    let what = format!("the agent at {}", socket.display());
    let attempt = || -> Result<usize, ssh2::Error> {
        let mut agent = session.agent()?;
        agent.set_identity_path(socket)?;
        agent.connect()?;
        agent.list_identities()?;
        let identities = agent.identities()?;
        for identity in &identities {
            if agent.userauth(user, identity).is_ok() || session.authenticated() {
                break;
            }
        }
        let _ = agent.disconnect();
        Ok(identities.len())
    };
    match attempt() {
        Ok(_) if session.authenticated() => None,
        Ok(0) => Some(format!("{what} has no keys")),
        Ok(1) => Some(format!("{what}: its one key is refused")),
        Ok(number) => Some(format!("{what}: its {number} keys are refused")),
        Err(error) => Some(refusal(&what, &error)),
    }
}

/// Tries a key; gives why it did not do, if so.
fn with_key(session: &ssh2::Session, user: &str, key: &SshKey) -> Option<String> {
    let read;
    let text = match &key.source {
        KeySource::Text(text) => text.expose_secret(),
        KeySource::File(path) => match fs::read_to_string(path) {
            Ok(text) => {
                read = Zeroizing::new(text);
                read.as_str()
            }
            Err(error) => return Some(format!("{} cannot be read: {error}", key.name())),
        },
    };
    let passphrase = key.passphrase.as_ref().map(ExposeSecret::expose_secret);
    let given = session.userauth_pubkey_memory(user, None, text, passphrase);
    given.err().map(|error| refusal(&key.name(), &error))
}

/// Answers every hidden question with the password.
struct Answers<'a>(&'a SecretString);

impl KeyboardInteractivePrompt for Answers<'_> {
    fn prompt(&mut self, _: &str, _: &str, prompts: &[Prompt<'_>]) -> Vec<String> {
        let answer = |prompt: &Prompt<'_>| match prompt.echo {
            true => String::new(),
            false => self.0.expose_secret().to_owned(),
        };
        prompts.iter().map(answer).collect()
    }
}
