//! A repository: the handle that commands start from, with the settings that they share.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crate::command::Command;
use crate::error::Result;
use crate::invocation::{Invocation, SecretFile};
use crate::location::Location;
use crate::outcome::Evidence;
use crate::parser::Parser;
use crate::restic::Restic;
use crate::run::{Collect, Patience, Run, Supervision, supervise};
use crate::secret::{Redactor, Secret};
use crate::version::Version;

/// How the password reaches restic.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum PasswordBy {
    /// Through a pipe that only the child has and that can be read once. The default.
    #[default]
    Descriptor,
    /// Through the environment of the child. Processes of the same user can read it there while restic runs.
    Environment,
}

/// A repository with everything that is needed to use it. Cheap to clone; settings change a clone, not the original.
#[derive(Clone)]
pub struct Repository {
    restic: Restic,
    settings: Arc<Settings>,
}

#[derive(Clone)]
struct Settings {
    location: Location,
    password: Option<Secret>,
    password_by: PasswordBy,
    cache: Cache,
    global: Vec<(&'static str, Version, Option<std::ffi::OsString>)>,
    retry_lock: Option<Duration>,
    timeout: Option<Duration>,
    network_patience: Option<Duration>,
    patience: Patience,
    nice: Option<i32>,
    idle_io: bool,
    progress_fps: f64,
    check_lock_after_cancel: bool,
}

#[derive(Clone)]
enum Cache {
    Default,
    Folder(PathBuf),
    Off,
}

const ALWAYS: Version = Version::new(0, 0, 0);

impl Repository {
    pub(crate) fn new(restic: Restic, location: Location, password: Option<Secret>) -> Self {
        let settings = Settings {
            location,
            password,
            password_by: PasswordBy::default(),
            cache: Cache::Default,
            global: Vec::new(),
            retry_lock: None,
            timeout: None,
            network_patience: None,
            patience: Patience::default(),
            nice: None,
            idle_io: false,
            progress_fps: 5.0,
            check_lock_after_cancel: true,
        };
        Self {
            restic,
            settings: Arc::new(settings),
        }
    }

    fn with(mut self, change: impl FnOnce(&mut Settings)) -> Self {
        change(Arc::make_mut(&mut self.settings));
        self
    }

    fn global(self, flag: &'static str, since: Version, value: Option<std::ffi::OsString>) -> Self {
        self.with(|s| s.global.push((flag, since, value)))
    }

    /// Where it is.
    #[must_use]
    pub fn location(&self) -> &Location {
        &self.settings.location
    }

    /// The restic that it is used with.
    #[must_use]
    pub fn restic(&self) -> &Restic {
        &self.restic
    }

    /// How the password reaches restic.
    #[must_use]
    pub fn password_by(self, way: PasswordBy) -> Self {
        self.with(|s| s.password_by = way)
    }

    /// The folder of restic's cache, instead of the user's.
    #[must_use]
    pub fn cache_dir(self, folder: impl Into<PathBuf>) -> Self {
        self.with(|s| s.cache = Cache::Folder(folder.into()))
    }

    /// Works without a cache.
    #[must_use]
    pub fn no_cache(self) -> Self {
        self.with(|s| s.cache = Cache::Off)
    }

    /// Removes caches that nobody has used for a month.
    #[must_use]
    pub fn cleanup_cache(self) -> Self {
        self.global("--cleanup-cache", ALWAYS, None)
    }

    /// Waits so long for somebody else's lock before giving up (0.16 and newer).
    #[must_use]
    pub fn retry_lock(self, wait: Duration) -> Self {
        self.with(|s| s.retry_lock = Some(wait))
    }

    /// Reads without a lock: for storage that cannot be written to.
    #[must_use]
    pub fn no_lock(self) -> Self {
        self.global("--no-lock", ALWAYS, None)
    }

    /// Stops every command that takes longer.
    #[must_use]
    pub fn timeout(self, limit: Duration) -> Self {
        self.with(|s| s.timeout = Some(limit))
    }

    /// Stops a command whose storage has been out of reach for so long, with
    /// [`ErrorKind::Network`](crate::ErrorKind::Network) and what restic said about it. By itself restic goes on trying for 15
    /// minutes.
    #[must_use]
    pub fn network_patience(self, limit: Duration) -> Self {
        self.with(|s| s.network_patience = Some(limit))
    }

    /// How long each step of stopping a command may take.
    #[must_use]
    pub fn patience(self, patience: Patience) -> Self {
        self.with(|s| s.patience = patience)
    }

    /// Lowers the processor priority (`nice`), 0 to 19.
    #[must_use]
    pub fn nice(self, value: u8) -> Self {
        self.with(|s| s.nice = Some(i32::from(value.min(19))))
    }

    /// Lets everybody else's disk access go first (`ionice -c3`).
    #[must_use]
    pub fn idle_io(self) -> Self {
        self.with(|s| s.idle_io = true)
    }

    /// How many progress messages a second are wanted; below one is fine.
    #[must_use]
    pub fn progress_per_second(self, frequency: f64) -> Self {
        self.with(|s| s.progress_fps = frequency)
    }

    /// Whether a cancelled command is followed by a look for the lock that it may have left (one more start of restic;
    /// on by default). Only locks whose holder is gone are removed.
    #[must_use]
    pub fn check_lock_after_cancel(self, check: bool) -> Self {
        self.with(|s| s.check_lock_after_cancel = check)
    }

    /// Limits uploads, in KiB per second.
    #[must_use]
    pub fn limit_upload(self, kib_per_second: u32) -> Self {
        self.global(
            "--limit-upload",
            ALWAYS,
            Some(kib_per_second.to_string().into()),
        )
    }

    /// Limits downloads, in KiB per second.
    #[must_use]
    pub fn limit_download(self, kib_per_second: u32) -> Self {
        self.global(
            "--limit-download",
            ALWAYS,
            Some(kib_per_second.to_string().into()),
        )
    }

    /// `auto`, `off`, `max`; `fastest` and `better` with 0.19 and newer.
    #[must_use]
    pub fn compression(self, mode: Compression) -> Self {
        let (word, since) = match mode {
            Compression::Auto => ("auto", Version::new(0, 14, 0)),
            Compression::Off => ("off", Version::new(0, 14, 0)),
            Compression::Max => ("max", Version::new(0, 14, 0)),
            Compression::Fastest => ("fastest", Version::new(0, 19, 0)),
            Compression::Better => ("better", Version::new(0, 19, 0)),
        };
        self.global("--compression", since, Some(word.into()))
    }

    /// Size that pack files should have, in MiB, 4 to 128.
    #[must_use]
    pub fn pack_size(self, mib: u32) -> Self {
        self.global(
            "--pack-size",
            Version::new(0, 14, 0),
            Some(mib.to_string().into()),
        )
    }

    /// Tries this key first.
    #[must_use]
    pub fn key_hint(self, id: impl Into<String>) -> Self {
        self.global("--key-hint", ALWAYS, Some(id.into().into()))
    }

    /// Root certificates for HTTPS, a PEM file.
    #[must_use]
    pub fn cacert(self, file: impl Into<PathBuf>) -> Self {
        self.global("--cacert", ALWAYS, Some(file.into().into_os_string()))
    }

    /// Client certificate and key for HTTPS, a PEM file.
    #[must_use]
    pub fn tls_client_cert(self, file: impl Into<PathBuf>) -> Self {
        self.global(
            "--tls-client-cert",
            ALWAYS,
            Some(file.into().into_os_string()),
        )
    }

    /// Accepts any certificate: for a test only.
    #[must_use]
    pub fn insecure_tls(self) -> Self {
        self.global("--insecure-tls", Version::new(0, 13, 0), None)
    }

    /// Leaves out the second look at uploaded data (0.16.4 and newer).
    #[must_use]
    pub fn no_extra_verify(self) -> Self {
        self.global("--no-extra-verify", Version::new(0, 16, 4), None)
    }

    /// Name that HTTP requests carry (0.17 and newer).
    #[must_use]
    pub fn http_user_agent(self, name: impl Into<String>) -> Self {
        self.global(
            "--http-user-agent",
            Version::new(0, 17, 0),
            Some(name.into().into()),
        )
    }

    /// Gives up on a request that makes no progress for so long (0.17.1 and newer).
    #[must_use]
    pub fn stuck_request_timeout(self, wait: Duration) -> Self {
        self.global(
            "--stuck-request-timeout",
            Version::new(0, 17, 1),
            Some(go_seconds(wait).into()),
        )
    }

    /// Starts an invocation with the settings of this repository.
    pub(crate) fn invocation(&self, command: Command) -> Invocation {
        let mut invocation = Invocation::new(command);
        self.apply(&mut invocation);
        invocation
    }

    fn apply(&self, invocation: &mut Invocation) {
        let s = &self.settings;
        s.location.apply(invocation, false);
        self.apply_password(invocation, false);
        match &s.cache {
            Cache::Default => {}
            Cache::Folder(folder) => {
                let mut arg = std::ffi::OsString::from("--cache-dir=");
                arg.push(folder);
                invocation.global.push(arg);
            }
            Cache::Off => invocation.global.push("--no-cache".into()),
        }
        for (flag, since, value) in &s.global {
            invocation.needs.push((flag, *since));
            let mut arg = std::ffi::OsString::from(flag);
            if let Some(value) = value {
                arg.push("=");
                arg.push(value);
            }
            invocation.global.push(arg);
        }
        if let Some(wait) = s.retry_lock {
            invocation
                .needs
                .push(("--retry-lock", Version::new(0, 16, 0)));
            invocation
                .global
                .push(format!("--retry-lock={}", go_seconds(wait)).into());
        }
        invocation.env.push((
            "RESTIC_PROGRESS_FPS".into(),
            format!("{}", s.progress_fps).into(),
        ));
        invocation.timeout = s.timeout;
        invocation.nice = s.nice;
        invocation.idle_io = s.idle_io;
    }

    fn apply_password(&self, invocation: &mut Invocation, secondary: bool) {
        let s = &self.settings;
        let prefix = if secondary { "RESTIC_FROM" } else { "RESTIC" };
        match (&s.password, s.password_by) {
            (Some(password), _) if password.is_empty() => {
                invocation.problem("the password of the repository is empty");
            }
            (Some(password), PasswordBy::Descriptor) => {
                invocation.secret_files.push((
                    SecretFile::Env(format!("{prefix}_PASSWORD_FILE").into()),
                    password.clone(),
                ));
            }
            (Some(password), PasswordBy::Environment) => {
                invocation
                    .secret_env
                    .push((format!("{prefix}_PASSWORD").into(), password.clone()));
            }
            (None, _) => {
                let flag = if secondary {
                    "--from-insecure-no-password"
                } else {
                    "--insecure-no-password"
                };
                invocation.needs.push((flag, Version::new(0, 17, 0)));
                invocation.global.push(flag.into());
            }
        }
    }

    /// Names this repository as the source of a copy.
    pub(crate) fn apply_as_source(&self, invocation: &mut Invocation) {
        self.settings.location.apply(invocation, true);
        self.apply_password(invocation, true);
        let mut given = self.settings.global.iter().rev();
        if let Some((_, _, Some(id))) = given.find(|(flag, ..)| *flag == "--key-hint") {
            invocation.value("--from-key-hint", ALWAYS, id);
        }
    }

    /// Starts a command and its supervisor.
    pub(crate) fn run<C: Collect>(
        &self,
        mut invocation: Invocation,
        collector: C,
    ) -> Result<Run<C::Output>> {
        let command = invocation.command;
        let redactor = Redactor::new(invocation.secrets());
        let timeout = invocation.timeout;
        let raw_output = invocation.raw_output.take();
        let wants_raw = raw_output.is_some();
        let mut parser = Parser::new(command);
        if invocation.keep_found {
            parser = parser.keep_found();
        }
        let started = self.restic.start(invocation)?;
        let cleanup = self.settings.check_lock_after_cancel
            && !matches!(command, Command::Unlock | Command::Cat | Command::List);
        let supervision = Supervision {
            parser,
            evidence: Evidence::new(command),
            redactor,
            patience: self.settings.patience,
            timeout,
            network_patience: self.settings.network_patience,
            raw_output: wants_raw.then_some(raw_output).flatten(),
            doing: format!("restic {} at {}", command.name(), self.settings.location),
            after_cancel: if cleanup {
                Some(self.clone().remove_own_lock())
            } else {
                None
            },
        };
        Ok(supervise(started, supervision, collector))
    }

    /// `unlock` removes locks by restic's own rule: holder on this host and gone, or not refreshed for 30 minutes. That
    /// is exactly what a cancelled command of ours may have left.
    fn remove_own_lock(self) -> std::pin::Pin<Box<dyn Future<Output = ()> + Send>> {
        Box::pin(async move {
            if let Ok(run) = self.unlock().start() {
                // Storage that is out of reach keeps its lock; the next command says so.
                let _ = run.await;
            }
        })
    }
}

/// A duration in Go's notation.
fn go_seconds(wait: Duration) -> String {
    format!("{}ms", wait.as_millis())
}

/// How hard restic compresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
#[allow(missing_docs, reason = "restic's own words, which say it")]
pub enum Compression {
    #[default]
    Auto,
    Off,
    Max,
    Fastest,
    Better,
}

impl fmt::Debug for Repository {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Repository")
            .field("location", &self.settings.location)
            .field("restic", &self.restic)
            .finish_non_exhaustive()
    }
}
