//! The same handles for programs without an asynchronous runtime.
//!
//! [`Client`] wraps a client of this crate and gives handles of the same names, whose methods wait on the calling thread;
//! values that are sent and read are the same types. A call whose work is a task is a [`TaskCall`]: `call()` waits for its
//! end, `submit()` gives a [`Task`] to wait for or to watch.
//!
//! ```
//! # #[cfg(feature = "simulator")]
//! # fn main() -> Result<(), proxmox_client::Error> {
//! use proxmox_client::simulator::{Simulator, World};
//! use proxmox_client::{QemuConfig, Started, blocking};
//!
//! let simulator = Simulator::new(World::lab());
//! let client = blocking::Client::new(simulator.connect())?;
//! let vm = client.node("pve1").create_qemu(100, QemuConfig::new().with_name("web")).call()?.qemu;
//! assert_eq!(vm.start().call()?, Started::Started);
//! # Ok(()) }
//! # #[cfg(not(feature = "simulator"))] fn main() {}
//! ```
//!
//! The calls run on one thread that the client starts and that ends with its last handle. On a thread of an asynchronous
//! runtime (`spawn_blocking` too) each call answers with an error of kind [`Kind::InvalidInput`](crate::Kind::InvalidInput)
//! instead of holding up the runtime.
//!
//! What has no client to come from begins with one here: [`Client::change_set`], and with the feature `ssh`
//! `Client::ssh`. Sessions on consoles read and write as files do, and come apart for two threads.
#![doc = include_str!("generated/blocking/left_out.md")]

#[path = "generated/blocking/handles.rs"]
mod generated;
mod noun;
mod runtime;
#[cfg(feature = "console")]
mod stream;
mod task;

pub use generated::*;
#[cfg(feature = "console")]
pub use stream::{ReadHalf, WriteHalf};
pub use task::{Submitted, Task, TaskCall};

use crate::error::Result;
use runtime::Runtime;

impl Client {
    /// A blocking client that sends what `client` would send.
    ///
    /// # Errors
    /// The thread for the calls cannot be started.
    pub fn new(client: crate::Client) -> Result<Self> {
        Ok(Self::wrap(client, &Runtime::new()?))
    }

    /// Changes of several machines, to be planned together and made together.
    ///
    /// The blocking form of [`ChangeSet::new`](crate::ChangeSet::new).
    pub fn change_set(&self) -> ChangeSet {
        ChangeSet::wrap(crate::ChangeSet::new(), &self.runtime)
    }

    /// Logins to an SSH server. Nothing is sent yet.
    ///
    /// The blocking form of [`Ssh::new`](crate::ssh::Ssh::new).
    #[cfg(feature = "ssh")]
    pub fn ssh(&self, target: crate::ssh::SshTarget) -> Ssh {
        Ssh::wrap(crate::ssh::Ssh::new(target), &self.runtime)
    }
}

/// The SHA-256 fingerprint of a server's certificate, without sending anything else: for a person to look at.
///
/// The blocking form of [`Trust::probe_fingerprint`](crate::Trust::probe_fingerprint).
///
/// # Errors
/// [`Kind::Connect`](crate::Kind::Connect) if nothing answers.
pub fn probe_fingerprint(endpoint: &str) -> Result<String> {
    Runtime::new()?.run(crate::Trust::probe_fingerprint(endpoint))
}

/// The fingerprint of an SSH server's key, without a login: for a person to look at.
///
/// The blocking form of [`HostKey::probe`](crate::ssh::HostKey::probe).
///
/// # Errors
/// [`Kind::Connect`](crate::Kind::Connect) if nothing answers.
#[cfg(feature = "ssh")]
pub fn probe_host_key(host: &str, port: u16) -> Result<String> {
    Runtime::new()?.run(crate::ssh::HostKey::probe(host, port))
}

impl VmidPool {
    /// Creates, restores or clones a machine or container under the first free id: `make` is called with an id and gives
    /// the call to make, and again with another one if that id turns out to be taken.
    ///
    /// The blocking form of [`VmidPool::create`](crate::VmidPool::create).
    ///
    /// # Errors
    /// [`Kind::AlreadyExists`](crate::Kind::AlreadyExists) if the whole range is taken; any other failure of the call.
    pub fn create<T: Send + 'static>(
        &self,
        mut make: impl FnMut(u32) -> TaskCall<T> + Send,
    ) -> Result<T> {
        self.runtime
            .run(self.inner.create(move |vmid| make(vmid).inner))
    }
}
