//! IP sets: many addresses and networks under a name.

use std::net::IpAddr;

use crate::access::Ensured;
use crate::client::Client;
use crate::entry::remove;
#[cfg(doc)]
use crate::error::Kind;
use crate::error::Result;
use crate::firewall::Firewall;
use crate::qemu::Removed;
use crate::scalar::record;
use crate::wire::{Method, Request, escape};

record! {
    /// An IP set: `GET …/firewall/ipset`.
    pub struct IpSetInfo {
        required {
            /// Name.
            "name" name: String,
        }
        optional {
            /// Comment.
            "comment" comment: String,
            /// Digest of all sets' names and comments.
            "digest" digest: String,
        }
    }
}

record! {
    /// What an IP set holds: `GET …/firewall/ipset/{name}`.
    pub struct IpSetEntry {
        required {
            /// Address, network with prefix, or alias.
            "cidr" network: String,
        }
        optional {
            /// Comment.
            "comment" comment: String,
            /// Whether it is an exception: what it names is not in the set.
            "nomatch" excluded: bool,
            /// Digest of all entries.
            "digest" digest: String,
        }
    }
}

/// An entry that is wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct NewIpSetEntry {
    network: String,
    comment: String,
    excluded: bool,
}

impl NewIpSetEntry {
    /// An address, a network with prefix, or an alias.
    pub fn new(network: &str) -> Self {
        Self {
            network: normal(network),
            comment: String::new(),
            excluded: false,
        }
    }

    /// Says what it is.
    #[must_use]
    pub fn with_comment(mut self, text: &str) -> Self {
        text.clone_into(&mut self.comment);
        self
    }

    /// An exception: what it names is not in the set.
    #[must_use]
    pub fn excluded(mut self) -> Self {
        self.excluded = true;
        self
    }

    fn is(&self, entry: &IpSetEntry) -> bool {
        entry.comment.as_deref().unwrap_or_default() == self.comment
            && entry.excluded.unwrap_or_default() == self.excluded
    }

    fn push_to(&self, mut request: Request) -> Request {
        if !self.comment.is_empty() {
            request = request.with("comment", self.comment.as_str());
        }
        if self.excluded {
            request = request.with_flag("nomatch", true);
        }
        request
    }
}

/// A network as the server writes it: without the bits of hosts, and without the prefix of a single address.
/// Anything else, such as an alias, stays as it is.
fn normal(text: &str) -> String {
    let (address, prefix) = match text.split_once('/') {
        Some((address, prefix)) => (address, prefix.parse::<u32>().ok()),
        None => (text, Some(128)),
    };
    let (Ok(address), Some(prefix)) = (address.parse::<IpAddr>(), prefix) else {
        return text.to_owned();
    };
    let most = if address.is_ipv4() { 32 } else { 128 };
    if prefix >= most {
        return address.to_string();
    }
    let network = match address {
        IpAddr::V4(ip) => {
            let mask = u32::MAX.checked_shl(32 - prefix).unwrap_or(0);
            IpAddr::V4((ip.to_bits() & mask).into())
        }
        IpAddr::V6(ip) => {
            let mask = u128::MAX.checked_shl(128 - prefix).unwrap_or(0);
            IpAddr::V6((ip.to_bits() & mask).into())
        }
    };
    format!("{network}/{prefix}")
}

/// An IP set of a firewall. It need not exist.
///
/// ```
/// # #[cfg(feature = "simulator")]
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), proxmox_client::Error> {
/// use proxmox_client::{Ensured, NewIpSetEntry, Removed};
/// # let client = proxmox_client::simulator::Simulator::lab().connect();
/// let nodes = client.firewall().ip_set("nodes");
/// nodes.ensure("Nodes of the cluster").await?;
/// let wanted = ["192.0.2.11", "192.0.2.12/32", "2001:db8::/64"].map(NewIpSetEntry::new);
/// assert!(matches!(nodes.ensure_entries(&wanted).await?, Ensured::Updated(_)));
/// assert_eq!(nodes.ensure_entries(&wanted).await?, Ensured::Unchanged);
/// assert_eq!(nodes.add(&NewIpSetEntry::new("192.0.2.13")).await?, Ensured::Created);
/// assert_eq!(nodes.remove("192.0.2.11").await?, Removed::Removed);
/// assert_eq!(nodes.entries().await?.len(), 3);
/// assert_eq!(nodes.delete().await?, Removed::Removed);
/// # Ok(()) }
/// # #[cfg(not(feature = "simulator"))] fn main() {}
/// ```
#[derive(Debug, Clone)]
pub struct IpSet {
    client: Client,
    /// Path of all sets.
    path: String,
    name: String,
    of: String,
}

impl IpSet {
    pub(super) fn new(firewall: &Firewall, name: String) -> Self {
        Self {
            client: firewall.client.clone(),
            path: format!("{}/ipset", firewall.path),
            of: firewall.of.clone(),
            name,
        }
    }

    fn what(&self) -> String {
        format!("IP set {} of {}", self.name, self.of)
    }

    fn doing(&self, what: &str) -> String {
        format!("{what} {}", self.what())
    }

    fn own(&self, method: Method) -> Request {
        let path = format!("{}/{}", self.path, escape(&self.name));
        Request::new(method, &path, &[])
    }

    fn entry(&self, method: Method, network: &str) -> Request {
        let path = format!("{}/{}/{{cidr}}", self.path, escape(&self.name));
        Request::new(method, &path, &[network])
    }

    async fn send(&self, request: Request, what: &str) -> Result<()> {
        let done = self.client.request(request).await;
        done.map(|_| ())
            .map_err(|error| error.doing(self.doing(what)))
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Makes sure that it is there with this comment.
    ///
    /// Example: see [`IpSet`].
    ///
    /// # Errors
    /// [`Kind::Conflict`] if someone changed the sets meanwhile.
    pub async fn ensure(&self, comment: &str) -> Result<Ensured> {
        let sets: Result<Vec<IpSetInfo>> = self
            .client
            .fetch(Request::new(Method::Get, &self.path, &[]))
            .await;
        let sets = sets.map_err(|error| error.doing(self.doing("reading")))?;
        let mut request = Request::new(Method::Post, &self.path, &[])
            .with("name", self.name.as_str())
            .with("comment", comment);
        let known = sets.iter().find(|set| set.name == self.name);
        if let Some(set) = known {
            if set.comment.as_deref().unwrap_or_default() == comment {
                return Ok(Ensured::Unchanged);
            }
            // Renamed to itself: the interface has no other way to change a comment.
            request = request.with("rename", self.name.as_str());
            if let Some(digest) = &set.digest {
                request = request.with("digest", digest.as_str());
            }
        }
        match (self.send(request, "setting up").await, known) {
            (Ok(()), None) => Ok(Ensured::Created),
            (Ok(()), Some(_)) => Ok(Ensured::Updated(vec!["comment".to_owned()])),
            // Someone else made it meanwhile.
            (Err(error), None) if error.is_already_exists() => Ok(Ensured::Unchanged),
            (Err(error), _) => Err(error),
        }
    }

    /// What it holds.
    ///
    /// Example: see [`IpSet`].
    ///
    /// # Errors
    /// [`Kind::NotFound`] if there is no such set.
    pub async fn entries(&self) -> Result<Vec<IpSetEntry>> {
        self.client
            .fetch(self.own(Method::Get))
            .await
            .map_err(|error| error.doing(self.doing("reading")))
    }

    /// Makes sure that it holds exactly these entries. What is new comes before what is no longer wanted goes. Gives the
    /// networks that were added, changed or removed.
    ///
    /// Example: see [`IpSet`].
    ///
    /// # Errors
    /// [`Kind::NotFound`] if there is no such set, or an entry names an alias that is not there.
    pub async fn ensure_entries(&self, wanted: &[NewIpSetEntry]) -> Result<Ensured> {
        let have = self.entries().await?;
        let mut changed = Vec::new();
        for new in wanted {
            match have
                .iter()
                .find(|entry| normal(&entry.network) == new.network)
            {
                Some(entry) if new.is(entry) => continue,
                Some(entry) => {
                    let request = self.entry(Method::Put, &entry.network);
                    // What is not sent is dropped.
                    self.send(new.push_to(request), "changing").await?;
                }
                None => self.post(new).await?,
            }
            changed.push(new.network.clone());
        }
        let is_wanted = |entry: &&IpSetEntry| {
            let network = normal(&entry.network);
            wanted.iter().any(|new| new.network == network)
        };
        for old in have.iter().filter(|entry| !is_wanted(entry)) {
            self.send(self.entry(Method::Delete, &old.network), "changing")
                .await?;
            changed.push(old.network.clone());
        }
        Ok(if changed.is_empty() {
            Ensured::Unchanged
        } else {
            Ensured::Updated(changed)
        })
    }

    async fn post(&self, new: &NewIpSetEntry) -> Result<()> {
        let request = self.own(Method::Post).with("cidr", new.network.as_str());
        self.send(new.push_to(request), "changing").await
    }

    /// Adds an entry; one that it holds already is changed if it differs.
    ///
    /// Example: see [`IpSet`].
    pub async fn add(&self, new: &NewIpSetEntry) -> Result<Ensured> {
        let have = self.entries().await?;
        match have
            .iter()
            .find(|entry| normal(&entry.network) == new.network)
        {
            Some(entry) if new.is(entry) => Ok(Ensured::Unchanged),
            Some(entry) => {
                let request = self.entry(Method::Put, &entry.network);
                self.send(new.push_to(request), "changing").await?;
                Ok(Ensured::Updated(vec![new.network.clone()]))
            }
            None => {
                self.post(new).await?;
                Ok(Ensured::Created)
            }
        }
    }

    /// Takes an address, network or alias out.
    ///
    /// Example: see [`IpSet`].
    pub async fn remove(&self, network: &str) -> Result<Removed> {
        let wanted = normal(network);
        let have = self.entries().await?;
        let Some(entry) = have.iter().find(|entry| normal(&entry.network) == wanted) else {
            return Ok(Removed::Absent);
        };
        self.send(self.entry(Method::Delete, &entry.network), "changing")
            .await?;
        Ok(Removed::Removed)
    }

    /// Removes the set with everything that it holds.
    ///
    /// Example: see [`IpSet`].
    pub async fn delete(&self) -> Result<Removed> {
        let request = self.own(Method::Delete).with_flag("force", true);
        remove(&self.client, request, &self.what()).await
    }
}

#[cfg(test)]
mod tests {
    use super::normal;

    #[test]
    fn networks_are_compared_as_the_server_writes_them() {
        let cases = [
            ("192.0.2.1/32", "192.0.2.1"),
            ("192.0.2.77/24", "192.0.2.0/24"),
            ("192.0.2.77", "192.0.2.77"),
            ("2001:DB8:0::1/128", "2001:db8::1"),
            ("2001:db8::ff/64", "2001:db8::/64"),
            ("0.0.0.0/0", "0.0.0.0/0"),
            ("::/0", "::/0"),
            ("dc/gateway", "dc/gateway"),
            ("192.0.2.1/x", "192.0.2.1/x"),
        ];
        for (given, written) in cases {
            assert_eq!(normal(given), written);
        }
    }
}
