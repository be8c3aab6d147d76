//! Starting, stopping and removing guests.

use crate::error::{Error, Kind};
use crate::guest::{Guest, is_absent, tasked};
use crate::qemu::{Removed, Shutdown, Started, Stopped};
use crate::task::TaskCall;
use crate::wire::Method;

fn already_running(error: Error) -> Result<Started, Error> {
    if error.kind() == Kind::PowerState && error.message().contains("already running") {
        Ok(Started::AlreadyRunning)
    } else {
        Err(error)
    }
}

fn already_stopped(error: Error) -> Result<Stopped, Error> {
    if error.kind() == Kind::PowerState && error.message().contains("not running") {
        Ok(Stopped::AlreadyStopped)
    } else {
        Err(error)
    }
}

/// Something else that a removal does not find (a storage, a node) does not make the guest go.
fn gone(vmid: u32) -> impl Fn(Error) -> Result<Removed, Error> + Clone + Send + 'static {
    move |error| match is_absent(vmid, &error) {
        true => Ok(Removed::Absent),
        false => Err(error),
    }
}

/// A call after which the guest runs; one that runs already is told by the request or by its task.
pub(crate) fn starting(guest: &impl Guest, below: &str, what: &str) -> TaskCall<Started> {
    let request = guest.call(Method::Post, below, None);
    tasked(guest, what, request, |report| {
        let done = report.check().map(|_| Started::Started);
        done.or_else(already_running)
    })
    .or_refused(already_running)
}

/// A call after which the guest is off.
pub(crate) fn stopping(
    guest: &impl Guest,
    below: &str,
    what: &str,
    params: &[(&str, String)],
) -> TaskCall<Stopped> {
    let request = guest.call(Method::Post, below, None).map(|mut request| {
        for (key, value) in params {
            request.params_mut().push(*key, value.as_str());
        }
        request
    });
    tasked(guest, what, request, |report| {
        let done = report.check().map(|_| Stopped::Stopped);
        done.or_else(already_stopped)
    })
    .or_refused(already_stopped)
}

/// The guest is asked to go off.
pub(crate) fn shutdown(guest: &impl Guest, how: &Shutdown) -> TaskCall<Stopped> {
    let mut params = Vec::new();
    if let Some(limit) = how.timeout() {
        params.push(("timeout", limit.as_secs().to_string()));
    }
    if how.forces_stop() {
        params.push(("forceStop", "1".to_owned()));
    }
    stopping(guest, "/status/shutdown", "shutting down", &params)
}

/// The guest goes with its disks and its traces in jobs and HA, if need be although it runs.
pub(crate) fn removal(guest: &impl Guest, force: bool) -> TaskCall<Removed> {
    let request = guest.call(Method::Delete, "", None).map(|request| {
        let mut request = request
            .with_flag("purge", true)
            .with_flag("destroy-unreferenced-disks", true);
        if force {
            request.params_mut().push_flag("force", true);
        }
        request
    });
    let gone = gone(guest.vmid());
    let refused = gone.clone();
    tasked(guest, "removing", request, move |report| {
        report.check().map(|_| Removed::Removed).or_else(gone)
    })
    .or_refused(refused)
}
