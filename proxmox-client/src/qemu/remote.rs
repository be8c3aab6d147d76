//! Migration to another cluster.

use std::collections::BTreeMap;
use std::fmt;

use secrecy::zeroize::Zeroizing;

use crate::auth::Token;
use crate::error::{Error, Result};
use crate::qemu::{Qemu, check_vmid};
use crate::secret::joined;
use crate::size::Size;
use crate::task::TaskCall;
use crate::wire::Method;

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

/// How to migrate to another cluster.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct RemoteMigration {
    endpoint: RemoteEndpoint,
    vmid: Option<u32>,
    bridges: Mapping,
    storages: Mapping,
    online: bool,
    delete: bool,
    limit: Option<Size>,
}

impl RemoteMigration {
    /// A machine that is off, under the same id, with bridges and storages called the same; it stays here as well.
    pub fn new(endpoint: RemoteEndpoint) -> Self {
        Self {
            endpoint,
            vmid: None,
            bridges: Mapping::Same,
            storages: Mapping::Same,
            online: false,
            delete: false,
            limit: None,
        }
    }

    /// Another id at the other end.
    #[must_use]
    pub fn with_vmid(mut self, vmid: u32) -> Self {
        self.vmid = Some(vmid);
        self
    }

    /// What bridges are called there.
    #[must_use]
    pub fn with_bridges(mut self, mapping: Mapping) -> Self {
        self.bridges = mapping;
        self
    }

    /// What storages are called there.
    #[must_use]
    pub fn with_storages(mut self, mapping: Mapping) -> Self {
        self.storages = mapping;
        self
    }

    /// Also while it runs.
    #[must_use]
    pub fn with_online(mut self) -> Self {
        self.online = true;
        self
    }

    /// Removes it here once it is there. Without this it stays, stopped and locked for the migration.
    #[must_use]
    pub fn with_delete(mut self) -> Self {
        self.delete = true;
        self
    }

    /// What is copied in a second.
    #[must_use]
    pub fn with_limit(mut self, limit: Size) -> Self {
        self.limit = Some(limit);
        self
    }
}

impl Qemu {
    /// Migrates it to another cluster; gives the id it has there. Upstream calls this experimental.
    ///
    /// ```no_run
    /// # async fn run() -> Result<(), proxmox_client::Error> {
    /// use proxmox_client::{Client, Mapping, RemoteEndpoint, RemoteMigration, Token};
    /// # let client = Client::builder().endpoint("192.0.2.10").build()?;
    /// let token = Token::parse("root@pam!move=12345678-1234-1234-1234-123456789abc")?;
    /// let how = RemoteMigration::new(RemoteEndpoint::new("192.0.2.20", token))
    ///     .with_bridges(Mapping::each([("vmbr0", "lan")]))
    ///     .with_storages(Mapping::All("tank".to_owned()))
    ///     .with_online();
    /// let vmid = client.node("pve1").qemu(100).remote_migrate(how).await?;
    /// println!("it is {vmid} there");
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// [`Kind::Locked`](crate::Kind::Locked), or why the other cluster does not take it.
    pub fn remote_migrate(&self, how: RemoteMigration) -> TaskCall<u32> {
        let there = how.vmid.unwrap_or(self.vmid);
        let request = check_vmid(there).and_then(|()| {
            let mapping = |name: &str, mapping: &Mapping| match mapping.to_string() {
                text if text.is_empty() => Err(Error::invalid(format!("no {name} are mapped"))),
                text => Ok(text),
            };
            let mut request = self
                .request(Method::Post, "/remote_migrate")?
                .with("target-endpoint", how.endpoint.text()?.as_str())
                .with("target-vmid", there.to_string())
                .with("target-bridge", mapping("bridges", &how.bridges)?)
                .with("target-storage", mapping("storages", &how.storages)?);
            for (name, flag) in [("online", how.online), ("delete", how.delete)] {
                if flag {
                    request.params_mut().push_flag(name, true);
                }
            }
            if let Some(limit) = how.limit {
                let kib = (limit.as_bytes() >> 10).max(1);
                request.params_mut().push("bwlimit", kib.to_string());
            }
            Ok(request)
        });
        TaskCall::new(
            self.client.clone(),
            self.doing("migrating to another cluster"),
            request,
            move |report| report.check().map(|_| there),
        )
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
        let shown = format!("{:?} {:?}", full, RemoteMigration::new(full.clone()));
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
