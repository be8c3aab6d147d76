//! Every method of the interface as a call of its own, generated from the upstream schema.
//!
//! The typed handles ([`Client::node`](crate::Client::node) and what hangs on it) cover what most programs do;
//! here is everything else, one module per area behind a feature `api-<area>` (all of them: `api`).
//! Parameters are setters named like the interface's own; answers are views that keep unknown members.
//!
//! ```no_run
//! # #[cfg(feature = "api-qemu")]
//! # async fn run(client: proxmox_client::Client) -> Result<(), proxmox_client::Error> {
//! use proxmox_client::api::qemu::{GetConfig, PostMoveDisk};
//! let config = client.call(GetConfig::new("pve1", 100).current(true)).await?;
//! let task = client.call(PostMoveDisk::new("pve1", 100, "scsi0").storage("local-lvm")).await?;
//! client.task(task).await?;
//! # Ok(()) }
//! ```

mod answer;
mod builder;
#[path = "generated/areas.rs"]
mod generated;
mod method;

use crate::client::Client;
use crate::error::{Error, Kind, Result};
pub(crate) use crate::known::Pace;
pub(crate) use crate::version::ServerVersion;
use crate::wire::{self, Method, Request};
use serde_json::Value;

pub(crate) use answer::object;
pub use answer::{Ack, Answer, Below, Object};
pub(crate) use builder::Builder;
pub use generated::*;
pub use method::{Answers, MethodInfo};

/// A call that knows the type of its answer.
pub trait Call {
    /// What `data` of the answer is read as.
    type Answer: Answer;

    /// The request.
    ///
    /// # Errors
    /// [`Kind::InvalidInput`] if a parameter cannot be sent, such as an index out of range.
    fn into_request(self) -> Result<Request>;
}

impl Client {
    /// Makes a call and reads its answer.
    ///
    /// ```
    /// # #[cfg(all(feature = "simulator", feature = "api-qemu"))]
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), proxmox_client::Error> {
    /// use proxmox_client::QemuConfig;
    /// use proxmox_client::api::qemu::{GetConfig, PostStatusStart};
    /// # let client = proxmox_client::simulator::Simulator::lab().connect();
    /// client.node("pve1").create_qemu(100, QemuConfig::new().with_name("web")).await?;
    /// let config = client.call(GetConfig::new("pve1", 100)).await?;
    /// assert_eq!(config.name().as_deref(), Some("web"));
    /// let upid = client.call(PostStatusStart::new("pve1", 100)).await?;
    /// client.task(upid).await?;
    /// # Ok(()) }
    /// # #[cfg(not(all(feature = "simulator", feature = "api-qemu")))] fn main() {}
    /// ```
    pub async fn call<C: Call>(&self, call: C) -> Result<C::Answer> {
        let request = call.into_request()?;
        let doing = request.describe();
        let answer = self.send(request).await?;
        read(&answer).map_err(|error| error.at(|| doing))
    }
}

fn read<T: Answer>(answer: &wire::Answer) -> Result<T> {
    let data = answer.envelope()?.data.unwrap_or(Value::Null);
    T::read(data).map_err(|_| {
        Error::new(Kind::Decode, "the answer does not have the promised form")
            .with_status(answer.status())
            .with_sent(crate::Sent::Answered)
    })
}

/// All methods that this build holds.
pub fn methods() -> impl Iterator<Item = &'static MethodInfo> {
    generated::AREAS.iter().copied().flatten()
}

/// The method of a call, by its HTTP method and its path below `/api2/json` (without query).
pub fn find(method: Method, path: &str) -> Option<&'static MethodInfo> {
    let literal = |info: &MethodInfo| {
        info.path
            .split('/')
            .filter(|part| !part.starts_with('{'))
            .count()
    };
    methods()
        .filter(|info| info.method == method && info.matches(path))
        .max_by_key(|info| literal(info))
}

pub(crate) fn probe<T: Answer>(answer: &wire::Answer) -> Result<Value> {
    // Files and logs asked for with `download` come as they are, without an envelope.
    if let Some(text) = answer.plain_text() {
        return Ok(text.into());
    }
    read::<T>(answer).map(|value| value.to_json())
}
