//! Other clusters that guests migrate to.

use std::collections::BTreeMap;
use std::fmt;

use secrecy::zeroize::Zeroizing;

use crate::auth::Token;
use crate::error::{Error, Result};
use crate::guest::{Guest, tasked};
use crate::qemu::check_vmid;
use crate::secret::joined;
use crate::size::Size;
use crate::task::TaskCall;
use crate::wire::{Method, Params, Request};

/// A node of another cluster, and a token that may make machines there.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct RemoteEndpoint {
    host: String,
    port: Option<u16>,
    token: Token,
    fingerprint: Option<String>,
}

impl RemoteEndpoint {
    /// A node by its name or address, as the source node reaches it.
    pub fn new(host: impl Into<String>, token: Token) -> Self {
        Self {
            host: host.into(),
            port: None,
            token,
            fingerprint: None,
        }
    }

    /// Another port than 8006.
    #[must_use]
    pub fn with_port(mut self, port: u16) -> Self {
        self.port = Some(port);
        self
    }

    /// The SHA-256 fingerprint of its certificate, if no authority that the source node trusts vouches for it.
    #[must_use]
    pub fn with_fingerprint(mut self, fingerprint: impl Into<String>) -> Self {
        self.fingerprint = Some(fingerprint.into());
        self
    }

    /// As the server wants it; holds the token's secret.
    fn text(&self) -> Result<Zeroizing<String>> {
        let clean = |text: &str| !text.is_empty() && !text.contains([',', '=', ' ']);
        if !clean(&self.host) {
            let host = self.host.escape_debug();
            return Err(Error::invalid(format!("`{host}` is not a host")));
        }
        let mut more = String::new();
        if let Some(port) = self.port {
            more.push_str(&format!(",port={port}"));
        }
        if let Some(fingerprint) = &self.fingerprint {
            if !clean(fingerprint) {
                return Err(Error::invalid("the fingerprint is no fingerprint"));
            }
            more.push_str(&format!(",fingerprint={fingerprint}"));
        }
        let token = self.token.header();
        Ok(joined(&["host=", &self.host, ",apitoken=", &token, &more]))
    }
}

/// What bridges or storages are called at the other end.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Mapping {
    /// As here.
    Same,
    /// All are this one.
    All(String),
    /// Each by its name here.
    Each(BTreeMap<String, String>),
}

impl Mapping {
    /// Each by its name here: `[("vmbr0", "vmbr1")]`.
    pub fn each<'a>(pairs: impl IntoIterator<Item = (&'a str, &'a str)>) -> Self {
        let owned = |(from, to): (&str, &str)| (from.to_owned(), to.to_owned());
        Self::Each(pairs.into_iter().map(owned).collect())
    }
}

impl fmt::Display for Mapping {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Same => f.write_str("1"),
            Self::All(name) => f.write_str(name),
            Self::Each(pairs) => {
                let pairs: Vec<String> = pairs
                    .iter()
                    .map(|(from, to)| format!("{from}:{to}"))
                    .collect();
                f.write_str(&pairs.join(","))
            }
        }
    }
}

/// Where a guest goes, and what of it.
#[derive(Debug, Clone)]
pub(crate) struct Route {
    endpoint: RemoteEndpoint,
    storages: Mapping,
    pub(crate) bridges: Mapping,
    pub(crate) vmid: Option<u32>,
    pub(crate) delete: bool,
    pub(crate) limit: Option<Size>,
}

impl Route {
    /// Under the same id, with bridges called the same; the guest stays here as well.
    pub(crate) fn new(endpoint: RemoteEndpoint, storages: Mapping) -> Self {
        Self {
            endpoint,
            storages,
            bridges: Mapping::Same,
            vmid: None,
            delete: false,
            limit: None,
        }
    }

    /// Sends a guest there, with what only its kind says; gives the id that it has at the other end.
    pub(crate) fn begin(
        &self,
        guest: &impl Guest,
        more: impl FnOnce(&mut Params),
    ) -> TaskCall<u32> {
        let there = self.vmid.unwrap_or(guest.vmid());
        let request = self.request(guest, there).map(|mut request| {
            more(request.params_mut());
            request
        });
        let what = "migrating to another cluster";
        tasked(guest, what, request, move |report| {
            report.check().map(|_| there)
        })
    }

    fn request(&self, guest: &impl Guest, there: u32) -> Result<Request> {
        check_vmid(there)?;
        if self.storages == Mapping::Same {
            return Err(Error::invalid(
                "the storages of the other cluster have to be named: the server refuses to take over the names of these",
            ));
        }
        let mapping = |name: &str, mapping: &Mapping| match mapping.to_string() {
            text if text.is_empty() => Err(Error::invalid(format!("no {name} are mapped"))),
            text => Ok(text),
        };
        let mut request = guest
            .call(Method::Post, "/remote_migrate", None)?
            .with("target-endpoint", self.endpoint.text()?.as_str())
            .with("target-vmid", there.to_string())
            .with("target-bridge", mapping("bridges", &self.bridges)?)
            .with("target-storage", mapping("storages", &self.storages)?);
        if self.delete {
            request.params_mut().push_flag("delete", true);
        }
        request.params_mut().push_limit(self.limit);
        Ok(request)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn endpoint() -> RemoteEndpoint {
        let token = Token::parse("root@pam!move=s3cret-value").unwrap();
        RemoteEndpoint::new("192.0.2.20", token)
    }

    #[test]
    fn an_endpoint_is_spelled_as_the_server_wants_it_and_hides_its_secret() {
        let full = endpoint().with_port(443).with_fingerprint("AA:BB");
        assert_eq!(
            *full.text().unwrap(),
            "host=192.0.2.20,apitoken=PVEAPIToken=root@pam!move=s3cret-value,port=443,fingerprint=AA:BB"
        );
        let route = Route::new(full.clone(), Mapping::Same);
        let shown = format!("{full:?} {route:?}");
        assert!(!shown.contains("s3cret"), "{shown}");
        let token = Token::parse("root@pam!move=s3cret-value").unwrap();
        let bad = RemoteEndpoint::new("a,b=c", token).text().unwrap_err();
        assert!(!format!("{bad:?}").contains("s3cret"));
    }

    #[test]
    fn mappings_are_spelled_as_the_server_wants_them() {
        assert_eq!(Mapping::Same.to_string(), "1");
        assert_eq!(Mapping::All("vmbr1".to_owned()).to_string(), "vmbr1");
        let each = Mapping::each([("vmbr1", "vmbr0"), ("vmbr0", "lan")]);
        assert_eq!(each.to_string(), "vmbr0:lan,vmbr1:vmbr0");
    }
}
