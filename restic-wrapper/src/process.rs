//! Real processes: a group of their own, pipes that are always drained, secrets through a descriptor, signals in steps.

use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::process::Stdio;
use std::sync::{Arc, Mutex, PoisonError};

use command_fds::{CommandFdExt, FdMapping};
use rustix::process::{Pid, Signal};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::process::{Child, ChildStderr, ChildStdout};

use crate::error::{Error, ErrorKind, Result};
use crate::event::Stream;
use crate::invocation::{Input, Invocation, SecretFile};
use crate::outcome::Exit;
use crate::version::Version;

/// What the child inherits of this program's environment: where programs, homes and agents are. Anything with the name
/// of restic or of a cloud stays out, so that a forgotten variable cannot redirect a backup.
const INHERITED: [&str; 22] = [
    "PATH",
    "HOME",
    "USER",
    "LOGNAME",
    "SHELL",
    "TMPDIR",
    "XDG_CACHE_HOME",
    "XDG_CONFIG_HOME",
    "XDG_RUNTIME_DIR",
    "SSH_AUTH_SOCK",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "LANG",
    "LC_ALL",
    "LC_CTYPE",
    "TZ",
    "SYSTEMROOT",
    "GOMAXPROCS",
    "GOMEMLIMIT",
    "GOGC",
    "KRB5CCNAME",
    "NIX_SSL_CERT_FILE",
];

/// A running restic.
#[derive(Debug)]
pub(crate) struct Process {
    child: Child,
    group: Group,
    feeder: Option<tokio::task::AbortHandle>,
    input_error: InputError,
    stdout: Option<ChildStdout>,
    stderr: Option<ChildStderr>,
    out_buffer: Vec<u8>,
    err_buffer: Vec<u8>,
}

/// The process group; when it is dropped while its leader runs, the group is asked to stop, so that restic removes its
/// lock even if the runtime goes away.
#[derive(Debug)]
struct Group {
    pid: Pid,
    running: bool,
}

impl Drop for Group {
    fn drop(&mut self) {
        if self.running {
            let _ = rustix::process::kill_process_group(self.pid, Signal::INT);
        }
    }
}

/// How long the input stays open after a signal.
const INPUT_OUTLIVES_SIGNAL: std::time::Duration = std::time::Duration::from_millis(500);

/// What a running process did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Happening {
    /// It wrote something, or closed one of its streams.
    Output,
    /// It ended; its streams may still be held open by somebody else.
    Exited(Exit),
    /// It ended and both streams are closed.
    Finished,
}

fn exit_of(status: io::Result<std::process::ExitStatus>) -> Exit {
    use std::os::unix::process::ExitStatusExt;
    match status.map(|status| (status.code(), status.signal())) {
        Ok((Some(code), _)) => Exit::Code(code),
        Ok((None, Some(signal))) => Exit::Signal(signal),
        // Somebody else took the status away.
        Ok((None, None)) | Err(_) => Exit::Code(-1),
    }
}

/// The steps of stopping a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stop {
    Interrupt,
    Terminate,
    Kill,
}

impl Process {
    pub(crate) fn start(
        program: &Path,
        version: Version,
        mut invocation: Invocation,
    ) -> Result<Self> {
        let doing = format!("restic {}", invocation.command.name());
        let mut argv = invocation.argv(version);
        let mut program = program.as_os_str().to_owned();
        // The priority is set by the tools made for it: this process cannot set another's before it runs.
        if invocation.idle_io {
            argv.insert(0, program);
            argv.splice(0..0, ["-c3".into(), "-t".into()]);
            program = "ionice".into();
        }
        if let Some(nice) = invocation.nice {
            argv.insert(0, program);
            argv.insert(0, format!("-n{nice}").into());
            program = "nice".into();
        }
        let mut command = std::process::Command::new(&program);
        command.args(&argv).env_clear();
        for name in INHERITED {
            if let Some(value) = std::env::var_os(name) {
                command.env(name, value);
            }
        }
        command.envs(invocation.env.iter().map(|(name, value)| (name, value)));
        for (name, secret) in &invocation.secret_env {
            use std::os::unix::ffi::OsStrExt;
            command.env(name, std::ffi::OsStr::from_bytes(secret.expose()));
        }
        let mut mappings = Vec::new();
        for (at, (file, secret)) in invocation.secret_files.iter().enumerate() {
            let parent_fd = secret_pipe(secret.expose())
                .map_err(|e| Error::io("cannot pass the password", e).doing(doing.clone()))?;
            if let SecretFile::Env(name) = file {
                command.env(name, Invocation::descriptor(at));
            }
            let child_fd = 3 + i32::try_from(at).unwrap_or(0);
            mappings.push(FdMapping {
                parent_fd,
                child_fd,
            });
        }
        if let Some(directory) = &invocation.directory {
            command.current_dir(directory);
        }
        let mut command = tokio::process::Command::from(command);
        command.process_group(0);
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let input = std::mem::take(&mut invocation.input);
        command.stdin(match input {
            Input::Nothing => Stdio::null(),
            _ => Stdio::piped(),
        });
        if !mappings.is_empty() {
            command.as_std_mut().fd_mappings(mappings).map_err(|e| {
                Error::new(ErrorKind::Io, "cannot pass the password").with_source(e)
            })?;
        }
        let mut child = command.spawn().map_err(|error| {
            let kind = match error.kind() {
                io::ErrorKind::NotFound | io::ErrorKind::PermissionDenied => {
                    ErrorKind::ProgramNotFound
                }
                _ => ErrorKind::Io,
            };
            Error::new(
                kind,
                format!("cannot start {}", Path::new(&program).display()),
            )
            .with_source(error)
            .doing(doing)
        })?;
        let pid = child
            .id()
            .and_then(|id| i32::try_from(id).ok())
            .and_then(Pid::from_raw)
            .ok_or_else(|| Error::new(ErrorKind::Io, "the process has no id"))?;
        let input_error = InputError::default();
        let feeder = feed(child.stdin.take(), input, pid, Arc::clone(&input_error));
        Ok(Self {
            feeder,
            input_error,
            stdout: child.stdout.take(),
            stderr: child.stderr.take(),
            child,
            group: Group { pid, running: true },
            out_buffer: Vec::with_capacity(1 << 16),
            err_buffer: Vec::with_capacity(1 << 14),
        })
    }

    /// The next thing that happens. Bytes go to `sink`. Dropping the future loses nothing.
    pub(crate) async fn next(&mut self, sink: &mut (dyn FnMut(Stream, &[u8]) + Send)) -> Happening {
        async fn read<R: AsyncRead + Unpin>(pipe: &mut Option<R>, buffer: &mut Vec<u8>) -> usize {
            match pipe {
                Some(pipe) => {
                    buffer.clear();
                    pipe.read_buf(buffer).await.unwrap_or(0)
                }
                None => std::future::pending().await,
            }
        }
        if self.stdout.is_none() && self.stderr.is_none() && !self.group.running {
            return Happening::Finished;
        }
        tokio::select! {
            biased;
            n = read(&mut self.stdout, &mut self.out_buffer) => {
                if n == 0 {
                    self.stdout = None;
                } else {
                    sink(Stream::Stdout, &self.out_buffer);
                }
                Happening::Output
            }
            n = read(&mut self.stderr, &mut self.err_buffer) => {
                if n == 0 {
                    self.stderr = None;
                } else {
                    sink(Stream::Stderr, &self.err_buffer);
                }
                Happening::Output
            }
            status = self.child.wait(), if self.group.running => {
                self.group.running = false;
                Happening::Exited(exit_of(status))
            }
        }
    }

    /// Sends a signal to every process of the group.
    pub(crate) fn stop(&mut self, stop: Stop) {
        let signal = match stop {
            Stop::Interrupt => Signal::INT,
            Stop::Terminate => Signal::TERM,
            Stop::Kill => Signal::KILL,
        };
        let _ = rustix::process::kill_process_group(self.group.pid, signal);
        // Newer versions end only when a read of their input returns. It is closed after they have taken note of the
        // signal: an end of input before it would look like a complete backup.
        if let Some(feeder) = self.feeder.take() {
            tokio::spawn(async move {
                tokio::time::sleep(INPUT_OUTLIVES_SIGNAL).await;
                feeder.abort();
            });
        }
    }

    /// Why the input could not be read, if it could not.
    pub(crate) fn input_error(&self) -> Option<io::Error> {
        self.input_error
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take()
    }

    pub(crate) fn pid(&self) -> u32 {
        u32::try_from(self.group.pid.as_raw_nonzero().get()).unwrap_or(0)
    }
}

/// A pipe that holds the secret and whose other end is closed: it can be read once, and by nobody after restic.
fn secret_pipe(secret: &[u8]) -> io::Result<OwnedFd> {
    // The smallest pipe buffer that any system gives; a longer secret would block.
    if secret.len() > 4096 {
        return Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            "longer than 4096 bytes",
        ));
    }
    let (read, write) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC)?;
    let mut rest = secret;
    while !rest.is_empty() {
        let written = rustix::io::write(&write, rest)?;
        rest = &rest[written..];
    }
    Ok(read)
}

/// Why the input could not be read, if it could not.
type InputError = Arc<Mutex<Option<io::Error>>>;

/// Copies the input in a task of its own; a child that stops reading ends it.
///
/// An input that fails must not look like one that ends: restic would save a snapshot of half a dump. The process is
/// interrupted first and its input closed afterwards.
fn feed(
    stdin: Option<tokio::process::ChildStdin>,
    input: Input,
    group: Pid,
    failed: InputError,
) -> Option<tokio::task::AbortHandle> {
    let mut stdin = stdin?;
    let task = tokio::spawn(async move {
        match input {
            Input::Nothing => {}
            Input::Bytes(bytes) => {
                let _ = stdin.write_all(&bytes).await;
            }
            Input::Stream(mut stream) => {
                let mut buffer = Vec::with_capacity(1 << 16);
                loop {
                    buffer.clear();
                    match stream.read_buf(&mut buffer).await {
                        Ok(0) => break,
                        Ok(_) => {
                            if stdin.write_all(&buffer).await.is_err() {
                                break;
                            }
                        }
                        Err(error) => {
                            *failed.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
                            let _ = rustix::process::kill_process_group(group, Signal::INT);
                            tokio::time::sleep(INPUT_OUTLIVES_SIGNAL).await;
                            break;
                        }
                    }
                }
            }
        }
        let _ = stdin.shutdown().await;
    });
    Some(task.abort_handle())
}
