//! What virtual machines and containers have in common: one space of ids, one way of changing a configuration.

mod config;
mod owner;
mod patch;
mod power;
mod remote;
mod tags;

use serde::de::DeserializeOwned;

use crate::client::Client;
use crate::error::{Error, Result};
use crate::qemu::{PendingEntry, check_vmid};
use crate::task::{TaskCall, TaskReport};
use crate::wire::{Method, Request};

pub(crate) use config::{GuestConfig, check_properties, guest_config};
pub(crate) use owner::{find_marked, may_have_happened, prove_made};
pub use patch::{ConfigUpdate, Patch};
pub(crate) use patch::{
    apply, is_unused_key, is_wish, remove_key, revert, update, volume_satisfies, with_same_volume,
};
pub(crate) use power::{removal, shutdown, starting, stopping};
pub(crate) use remote::Route;
pub use remote::{Mapping, RemoteEndpoint};
pub(crate) use tags::{add_tags, remove_tags};

/// A handle of a guest that may or may not exist.
pub(crate) trait Guest: Clone + Send + Sync + 'static {
    /// Its configuration.
    type Config: GuestConfig + DeserializeOwned + Send + Sync;
    /// Where its kind stands below a node: `qemu` or `lxc`.
    const BRANCH: &'static str;
    /// What messages call its kind.
    const NOUN: &'static str;
    /// The key of its name.
    const NAME: &'static str;
    /// The kinds of the tasks that make or move one.
    const MAKERS: [&'static str; 4];

    fn client(&self) -> &Client;
    fn node(&self) -> &str;
    fn vmid(&self) -> u32;
    /// The same guest at another node.
    fn at(self, node: String) -> Self;

    /// A call of the guest's path; `below` may end with one more placeholder for `name`.
    fn call(&self, method: Method, below: &str, name: Option<&str>) -> Result<Request> {
        crate::node::check_name(self.node())?;
        check_vmid(self.vmid())?;
        let template = format!("/nodes/{{node}}/{}/{{vmid}}{below}", Self::BRANCH);
        let vmid = self.vmid().to_string();
        let mut values = vec![self.node(), &vmid];
        values.extend(name);
        Ok(Request::new(method, &template, &values))
    }

    fn doing(&self, what: &str) -> String {
        format!("{what} {} {} on {}", Self::NOUN, self.vmid(), self.node())
    }
}

/// A call whose task gives something else than its end.
pub(crate) fn tasked<T>(
    guest: &impl Guest,
    what: &str,
    request: Result<Request>,
    finish: impl FnOnce(TaskReport) -> Result<T> + Send + 'static,
) -> TaskCall<T> {
    TaskCall::new(guest.client().clone(), guest.doing(what), request, finish)
}

/// A call whose task gives nothing but its end.
pub(crate) fn plain(guest: &impl Guest, what: &str, request: Result<Request>) -> TaskCall<()> {
    tasked(guest, what, request, |report| report.check().map(|_| ()))
}

/// The configuration with what waits for the next start in it, or without.
pub(crate) async fn config<G: Guest>(guest: &G, current: bool) -> Result<G::Config> {
    let mut request = guest.call(Method::Get, "/config", None)?;
    if current {
        request.params_mut().push_flag("current", true);
    }
    let doing = |error: Error| error.doing(guest.doing("reading the configuration of"));
    guest.client().fetch(request).await.map_err(doing)
}

/// Every key with its value in use and the one that waits.
pub(crate) async fn pending(guest: &impl Guest) -> Result<Vec<PendingEntry>> {
    let request = guest.call(Method::Get, "/pending", None)?;
    guest.client().fetch(request).await
}

/// Whether an error says that there is no such guest, rather than that something else was not found.
pub(crate) fn is_absent(vmid: u32, error: &Error) -> bool {
    error.is_not_found() && error.message().contains(&format!("/{vmid}.conf' "))
}

/// Whether there is such a guest on its node.
pub(crate) async fn exists(guest: &impl Guest) -> Result<bool> {
    match config(guest, false).await {
        Ok(_) => Ok(true),
        Err(error) if is_absent(guest.vmid(), &error) => Ok(false),
        Err(error) => Err(error),
    }
}
