//! Files on a node's disk, over SSH: what the interface has no call for.
//!
//! The interface lists snippets but takes none (`POST …/upload` knows `iso`, `vztmpl` and `import`). Where SSH is not
//! to be had, [`NoCloud`](crate::NoCloud) brings cloud-init data to a machine without it.
//!
//! A user that is not root needs the right to write to the storage's folder, or sudo for a few programs:
//!
//! ```text
//! deploy ALL=(root) NOPASSWD: /usr/bin/tee, /usr/bin/chmod, /usr/bin/mv, /usr/bin/rm, /usr/bin/cat, /usr/bin/stat, /usr/bin/find
//! ```

mod files;
mod host_key;
mod known_hosts;
mod session;
mod sftp;
mod shell;
mod snippets;
mod target;

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use tokio::sync::Mutex;

use files::{Fault, Files};
use session::Live;

use crate::error::{Error, Kind, Result};

pub use host_key::{HostKey, NewHostKey};
pub use snippets::{Snippet, SnippetPut, Snippets};
pub use target::{SshKey, SshTarget, Sudo};

/// Logins to one SSH server; cheap to clone. Clones share a session, which is made when it is needed and kept for a
/// while; their calls take turns.
///
/// The work goes on in threads for blocking calls (libssh2 blocks): dropping a future ends the waiting, not the work.
#[derive(Clone)]
pub struct Ssh {
    target: Arc<SshTarget>,
    live: Arc<Mutex<Option<Live>>>,
    /// Whether someone waits for the session to become idle.
    watched: Arc<AtomicBool>,
}

impl fmt::Debug for Ssh {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ssh")
            .field("target", &self.target)
            .finish_non_exhaustive()
    }
}

impl Ssh {
    /// Nothing is sent yet.
    pub fn new(target: SshTarget) -> Self {
        Self {
            target: Arc::new(target),
            live: Arc::default(),
            watched: Arc::default(),
        }
    }

    pub(crate) fn target(&self) -> &SshTarget {
        &self.target
    }

    /// Logs in now, unless a session is there; gives the fingerprint of the server's key.
    ///
    /// ```no_run
    /// # async fn run() -> Result<(), proxmox_client::Error> {
    /// use proxmox_client::ssh::{HostKey, Ssh, SshTarget};
    /// let known = HostKey::known_hosts("/home/me/.ssh/known_hosts");
    /// let ssh = Ssh::new(SshTarget::new("192.0.2.10", known).with_agent_from_env());
    /// println!("logged in at the server with the key {}", ssh.connect().await?);
    /// ssh.disconnect().await;
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// [`Kind::Connect`] if nothing answers, [`Kind::Deadline`], [`Kind::HostKey`] if the server's key is not accepted,
    /// [`Kind::Authentication`] with all that was tried.
    pub async fn connect(&self) -> Result<String> {
        let found = self
            .with_session(|live, _| Ok::<_, Fault>(live.fingerprint.clone()))
            .await;
        let found = found.map_err(|error| {
            let name = self.target.name();
            error.at(|| format!("logging in as {name}"))
        })?;
        found.map_err(|fault| Error::new(Kind::Interrupted, fault.text()))
    }

    /// Ends the session, if there is one.
    ///
    /// Example: see [`connect`](Self::connect).
    pub async fn disconnect(&self) {
        let live = self.live.clone().lock_owned().await.take();
        // Taking leave writes to the socket.
        let _ = tokio::task::spawn_blocking(move || drop(live)).await;
    }

    /// Does something with files of the server.
    async fn with_files<T: Send + 'static>(
        &self,
        work: impl Fn(&dyn Files) -> Result<T, Fault> + Send + 'static,
    ) -> Result<Result<T, Fault>> {
        self.with_session(move |live, target| live.with_files(target, &work))
            .await
    }

    /// Does something with a session that is logged in; once more with a new one if a kept one turns out to be dead,
    /// or does not answer any more. Whatever is done may be done twice.
    async fn with_session<T: Send + 'static>(
        &self,
        work: impl Fn(&mut Live, &SshTarget) -> Result<T, Fault> + Send + 'static,
    ) -> Result<Result<T, Fault>> {
        let mut slot = self.live.clone().lock_owned().await;
        let target = self.target.clone();
        let worked = tokio::task::spawn_blocking(move || {
            let kept = slot.take();
            if let Some(mut live) = kept.filter(|live| live.used.elapsed() < target.keep) {
                match work(&mut live, &target) {
                    Err(Fault::Lost(_) | Fault::Timeout(_)) => {}
                    other => {
                        live.used = Instant::now();
                        *slot = Some(live);
                        return Ok(other);
                    }
                }
            }
            let mut live = Live::open(&target)?;
            let done = work(&mut live, &target);
            if !matches!(done, Err(Fault::Lost(_) | Fault::Timeout(_))) {
                live.used = Instant::now();
                *slot = Some(live);
            }
            Ok(done)
        });
        let done = match worked.await {
            Ok(done) => done,
            Err(error) => Err(
                Error::new(Kind::Interrupted, "the thread of the session ended").with_source(error),
            ),
        };
        self.close_when_idle();
        done
    }

    /// Ends the session once it was not used for as long as it is kept.
    fn close_when_idle(&self) {
        if self.watched.swap(true, Ordering::AcqRel) {
            return;
        }
        let (live, watched) = (Arc::downgrade(&self.live), self.watched.clone());
        let keep = self.target.keep;
        tokio::spawn(async move {
            loop {
                tokio::time::sleep(keep).await;
                let Some(live) = live.upgrade() else {
                    return;
                };
                let mut slot = live.lock_owned().await;
                let used = slot.as_ref().map(|live| live.used.elapsed());
                if used.is_none_or(|unused| unused >= keep) {
                    watched.store(false, Ordering::Release);
                    let idle = slot.take();
                    // Taking leave writes to the socket.
                    let _ = tokio::task::spawn_blocking(move || drop(idle)).await;
                    return;
                }
            }
        });
    }
}
