//! Finding restic, and opening repositories with it.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use sha2::{Digest, Sha256};

use crate::command::Command;
use crate::error::{Error, ErrorKind, Result};
use crate::event::Event;
use crate::invocation::Invocation;
use crate::location::Location;
use crate::outcome::Evidence;
use crate::parser::{Decoded, Parser};
use crate::process::Process;
use crate::repository::Repository;
use crate::run::{Collect, Ended, Patience, Run, Started, Supervision, supervise};
use crate::secret::{Redactor, Secret};
#[cfg(feature = "simulator")]
use crate::simulator::Simulator;
use crate::timestamp::Timestamp;
use crate::version::Version;

/// A restic program whose version is known. Cheap to clone.
#[derive(Clone)]
pub struct Restic {
    inner: Arc<Inner>,
}

struct Inner {
    engine: Engine,
    version: Version,
}

enum Engine {
    Program(PathBuf),
    #[cfg(feature = "simulator")]
    Simulated(Simulator),
}

impl Restic {
    /// The program at this path. Starts it once, to ask for its version.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::ProgramNotFound`] if it cannot be started; [`ErrorKind::Unsupported`] if it is older than
    /// [`Version::MINIMUM`]; [`ErrorKind::Protocol`] if it does not say what it is.
    pub async fn at(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let mut invocation = Invocation::new(Command::Version);
        invocation.timeout = Some(Duration::from_secs(30));
        // Before the version is known no flag is given that a version could lack.
        let assumed = Version::MINIMUM;
        let started = Process::start(path, assumed, invocation)?;
        let supervision = Supervision {
            parser: Parser::new(Command::Version),
            evidence: Evidence::new(Command::Version),
            redactor: Redactor::default(),
            patience: Patience::default(),
            timeout: Some(Duration::from_secs(30)),
            network_patience: None,
            raw_output: None,
            doing: format!("asking {} for its version", path.display()),
            after_cancel: None,
        };
        let text = supervise(
            Started::Real(Box::new(started)),
            supervision,
            VersionText::default(),
        )
        .await?;
        let version = Version::from_output(&text).ok_or_else(|| {
            Error::new(
                ErrorKind::Protocol,
                format!(
                    "{} does not call itself restic: {:?}",
                    path.display(),
                    first_line(&text)
                ),
            )
        })?;
        if version < Version::MINIMUM {
            return Err(Error::unsupported("this crate", Version::MINIMUM, version)
                .doing(path.display().to_string()));
        }
        Ok(Self {
            inner: Arc::new(Inner {
                engine: Engine::Program(path.to_owned()),
                version,
            }),
        })
    }

    /// The first `restic` in the folders of the environment variable `PATH`.
    ///
    /// # Errors
    ///
    /// As [`Restic::at`]; [`ErrorKind::ProgramNotFound`] names the folders that were searched.
    pub async fn find_in_path() -> Result<Self> {
        let folders = std::env::var_os("PATH").unwrap_or_default();
        for folder in std::env::split_paths(&folders) {
            let candidate = folder.join("restic");
            if is_program(&candidate) {
                return Self::at(candidate).await;
            }
        }
        Err(Error::new(
            ErrorKind::ProgramNotFound,
            format!("there is no restic in {}", folders.to_string_lossy()),
        ))
    }

    /// The program that the environment variable `RESTIC` names, else the first in `PATH`.
    ///
    /// # Errors
    ///
    /// As [`Restic::at`].
    pub async fn find() -> Result<Self> {
        match std::env::var_os("RESTIC") {
            Some(path) if !path.is_empty() => Self::at(PathBuf::from(path)).await,
            _ => Self::find_in_path().await,
        }
    }

    /// A restic in memory. Needs nothing installed and touches no file; see [`crate::simulator`].
    #[cfg(feature = "simulator")]
    #[must_use]
    pub fn simulated(simulator: &Simulator) -> Self {
        let version = simulator.version();
        Self {
            inner: Arc::new(Inner {
                engine: Engine::Simulated(simulator.clone()),
                version,
            }),
        }
    }

    /// The version.
    #[must_use]
    pub fn version(&self) -> Version {
        self.inner.version
    }

    /// Whether this is the simulated one.
    #[must_use]
    pub fn is_simulated(&self) -> bool {
        match &self.inner.engine {
            Engine::Program(_) => false,
            #[cfg(feature = "simulator")]
            Engine::Simulated(_) => true,
        }
    }

    /// A repository at this place, opened with this password. Nothing is asked of it yet.
    #[must_use]
    pub fn repository(&self, location: Location, password: impl Into<Secret>) -> Repository {
        Repository::new(self.clone(), location, Some(password.into()))
    }

    /// A repository without a password (0.17 and newer, `--insecure-no-password`).
    #[must_use]
    pub fn repository_without_password(&self, location: Location) -> Repository {
        Repository::new(self.clone(), location, None)
    }

    pub(crate) fn start(&self, invocation: Invocation) -> Result<Started> {
        invocation.validate(self.inner.version)?;
        match &self.inner.engine {
            Engine::Program(path) => Ok(Started::Real(Box::new(Process::start(
                path,
                self.inner.version,
                invocation,
            )?))),
            #[cfg(feature = "simulator")]
            Engine::Simulated(simulator) => simulator
                .start(self.inner.version, invocation)
                .map(Started::Simulated),
        }
    }

    /// Whether a source path is there, links not followed.
    pub(crate) fn source_exists(&self, path: &Path) -> bool {
        match &self.inner.engine {
            // A path that may not be looked at is restic's to report.
            Engine::Program(_) => !matches!(
                path.symlink_metadata().map_err(|error| error.kind()),
                Err(std::io::ErrorKind::NotFound | std::io::ErrorKind::NotADirectory)
            ),
            #[cfg(feature = "simulator")]
            Engine::Simulated(simulator) => simulator.host_path_exists(path),
        }
    }

    /// Size, time and hash of a regular file; `None` if there is none.
    pub(crate) async fn file_facts(&self, path: &Path) -> Result<Option<FileFacts>> {
        match &self.inner.engine {
            Engine::Program(_) => {
                let path = path.to_owned();
                let shown = path.display().to_string();
                tokio::task::spawn_blocking(move || FileFacts::read(&path))
                    .await
                    .unwrap_or_else(|error| Err(std::io::Error::other(error)))
                    .map_err(|error| Error::io(format!("cannot read {shown}"), error))
            }
            #[cfg(feature = "simulator")]
            Engine::Simulated(simulator) => Ok(simulator.file_facts(path)),
        }
    }

    /// A private folder that vanishes when it is dropped.
    pub(crate) fn scratch(&self, parent: &Path) -> Result<Scratch> {
        match &self.inner.engine {
            Engine::Program(_) => tempfile::Builder::new()
                .prefix("restic-drill-")
                .tempdir_in(parent)
                .map(Scratch::Disk)
                .map_err(|error| {
                    Error::io(
                        format!("cannot make a folder in {}", parent.display()),
                        error,
                    )
                }),
            #[cfg(feature = "simulator")]
            Engine::Simulated(simulator) => Ok(Scratch::Simulated {
                path: simulator.with(|world| world.scratch(parent)),
                simulator: simulator.clone(),
            }),
        }
    }

    /// Runs a command that needs no repository.
    pub(crate) fn run_plain<C: Collect>(
        &self,
        invocation: Invocation,
        collector: C,
    ) -> Result<Run<C::Output>> {
        let command = invocation.command;
        let timeout = invocation.timeout;
        let started = self.start(invocation)?;
        let supervision = Supervision {
            parser: Parser::new(command),
            evidence: Evidence::new(command),
            redactor: Redactor::default(),
            patience: Patience::default(),
            timeout,
            network_patience: None,
            raw_output: None,
            doing: format!("restic {}", command.name()),
            after_cancel: None,
        };
        Ok(supervise(started, supervision, collector))
    }
}

/// A private folder that vanishes when it is dropped.
pub(crate) enum Scratch {
    Disk(tempfile::TempDir),
    #[cfg(feature = "simulator")]
    Simulated {
        path: PathBuf,
        simulator: Simulator,
    },
}

impl Scratch {
    pub(crate) fn path(&self) -> &Path {
        match self {
            Self::Disk(folder) => folder.path(),
            #[cfg(feature = "simulator")]
            Self::Simulated { path, .. } => path,
        }
    }
}

#[cfg(feature = "simulator")]
impl Drop for Scratch {
    fn drop(&mut self) {
        if let Self::Simulated { path, simulator } = self {
            simulator.with(|world| world.files.retain(|file, _| !file.starts_with(&*path)));
        }
    }
}

/// What a drill compares.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct FileFacts {
    pub(crate) size: u64,
    pub(crate) modified: Timestamp,
    pub(crate) sha256: String,
}

impl FileFacts {
    fn read(path: &Path) -> std::io::Result<Option<Self>> {
        use std::io::Read as _;
        let gone = |error: &std::io::Error| {
            matches!(
                error.kind(),
                std::io::ErrorKind::NotFound | std::io::ErrorKind::NotADirectory
            )
        };
        let meta = match path.symlink_metadata() {
            Ok(meta) if meta.is_file() => meta,
            Ok(_) => return Ok(None),
            Err(error) if gone(&error) => return Ok(None),
            Err(error) => return Err(error),
        };
        let mut file = std::fs::File::open(path)?;
        let mut hash = Sha256::new();
        let mut buffer = vec![0; 1 << 16];
        loop {
            let n = file.read(&mut buffer)?;
            if n == 0 {
                break;
            }
            hash.update(&buffer[..n]);
        }
        Ok(Some(Self {
            size: meta.len(),
            modified: Timestamp::from(meta.modified()?),
            sha256: hash
                .finalize()
                .iter()
                .map(|byte| format!("{byte:02x}"))
                .collect(),
        }))
    }
}

impl fmt::Debug for Restic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let engine = match &self.inner.engine {
            Engine::Program(path) => path.display().to_string(),
            #[cfg(feature = "simulator")]
            Engine::Simulated(_) => "simulated".to_owned(),
        };
        f.debug_struct("Restic")
            .field("program", &engine)
            .field("version", &self.inner.version.to_string())
            .finish()
    }
}

#[derive(Default)]
struct VersionText(String);

impl Collect for VersionText {
    type Output = String;

    fn take(&mut self, value: Decoded<'_>) -> Option<Event> {
        match &value {
            Decoded::Event(Event::Notice(notice)) => {
                self.0.push_str(&notice.text);
                self.0.push('\n');
            }
            Decoded::Event(Event::Version(version)) => {
                self.0 = format!("restic {} ", version.version);
            }
            Decoded::Document(crate::parser::Document::Other(value)) => {
                self.0 = value.to_string();
            }
            _ => {}
        }
        None
    }

    fn finish(self, _: &Ended) -> Result<String> {
        Ok(self.0)
    }
}

fn first_line(text: &str) -> String {
    text.lines().next().unwrap_or("").chars().take(80).collect()
}

fn is_program(path: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt;
    path.metadata()
        .is_ok_and(|meta| meta.is_file() && meta.permissions().mode() & 0o111 != 0)
}
