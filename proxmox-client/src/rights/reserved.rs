//! What only a few callers may do, whatever roles they are given.

use std::fmt;

use crate::auth::Auth;
use crate::client::Client;
use crate::error::{Error, Kind, Result};
use crate::known;
use crate::wire::Request;

/// For whom something is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ReservedTo {
    /// `root@pam` with a ticket; tokens of root are refused too.
    Root,
    /// Whoever has a ticket: tokens are refused.
    Tickets,
}

/// A call, or a parameter of one, that is left to a few callers.
///
/// Known are the calls by the published description of the interface, and the parameters by the handlers of 9.2; parameters
/// that are refused with some values only, such as devices of the host, are left to the server.
///
/// ```
/// use proxmox_client::rights::{Reserved, ReservedTo};
/// use proxmox_client::wire::{Method, Request};
/// let template = "/nodes/{node}/qemu/{vmid}/config";
/// let request = Request::new(Method::Put, template, &["pve1", "100"]).with("args", "-cpu max");
/// let reserved = Reserved::of(&request);
/// assert_eq!(reserved[0].parameter.as_deref(), Some("args"));
/// assert_eq!(reserved[0].to, ReservedTo::Root);
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Reserved {
    /// The parameter; none if it is the call itself.
    pub parameter: Option<String>,
    /// Who may make the call, or set the parameter.
    pub to: ReservedTo,
}

impl Reserved {
    pub(crate) fn call(to: ReservedTo) -> Self {
        Self {
            parameter: None,
            to,
        }
    }

    pub(crate) fn parameter(name: &str) -> Self {
        Self {
            parameter: Some(name.to_owned()),
            to: ReservedTo::Root,
        }
    }

    /// Everything in a request that is left to a few.
    pub fn of(request: &Request) -> Vec<Self> {
        known::reserved(request)
    }
}

impl fmt::Display for Reserved {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.parameter {
            Some(name) => write!(f, "`{name}`"),
            None => f.write_str("the call"),
        }?;
        f.write_str(match self.to {
            ReservedTo::Root => " is for root@pam with a ticket",
            ReservedTo::Tickets => " is not for tokens",
        })
    }
}

/// What of a request a caller may not do.
fn refused(reserved: Vec<Reserved>, has_ticket: bool, is_root: bool) -> Vec<Reserved> {
    let mut refused = reserved;
    refused.retain(|one| match one.to {
        ReservedTo::Root => !is_root,
        ReservedTo::Tickets => !has_ticket,
    });
    refused
}

impl Client {
    /// Refuses what is not for this client's caller, where this client was asked to look.
    pub(crate) fn refuse_reserved(&self, request: &Request) -> Result<()> {
        let (has_ticket, is_root) = match self.auth() {
            Auth::None => return Ok(()),
            Auth::Token(_) => (false, false),
            Auth::Login(login, _) => (true, login.user() == "root@pam"),
        };
        let refused = refused(Reserved::of(request), has_ticket, is_root);
        let Some(first) = refused.first() else {
            return Ok(());
        };
        let kind = match first.to {
            ReservedTo::Root => Kind::RootOnly,
            ReservedTo::Tickets => Kind::TicketOnly,
        };
        let told: Vec<String> = refused.iter().map(ToString::to_string).collect();
        let doing = format!("{} {}", request.method(), request.template());
        Err(Error::new(kind, told.join(", ")).doing(doing))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::Method;

    fn told(request: &Request) -> Vec<String> {
        let reserved = Reserved::of(request);
        reserved.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn calls_and_parameters_are_told_apart() {
        let config = |name: &str, value: &str| {
            let path = "/nodes/pve1/qemu/100/config";
            told(&Request::new(Method::Put, path, &[]).with(name, value))
        };
        let args = ["`args` is for root@pam with a ticket"];
        assert_eq!(config("args", "-x"), args);
        assert_eq!(config("delete", "cores,args"), args);
        assert_eq!(config("parallel1", "/dev/parport0").len(), 1);
        assert_eq!(config("skiplock", "1").len(), 1);
        for (name, value) in [
            ("skiplock", "0"),
            ("cores", "2"),
            ("delete", "cores;memory"),
        ] {
            assert!(config(name, value).is_empty(), "{name}={value}");
        }
        let execute = Request::new(Method::Post, "/nodes/pve1/execute", &[]);
        assert_eq!(told(&execute), ["the call is for root@pam with a ticket"]);
        let password = Request::new(Method::Put, "/access/password", &[]);
        assert_eq!(told(&password), ["the call is not for tokens"]);
    }

    #[test]
    fn who_has_a_ticket_is_not_yet_root() {
        let all = || {
            vec![
                Reserved::parameter("args"),
                Reserved::call(ReservedTo::Tickets),
            ]
        };
        let left = |has_ticket, is_root| refused(all(), has_ticket, is_root).len();
        assert_eq!(
            [left(false, false), left(true, false), left(true, true)],
            [2, 1, 0]
        );
    }
}
