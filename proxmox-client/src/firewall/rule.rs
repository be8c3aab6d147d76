//! Rules, at any place that has some.

use crate::access::{Ensured, text};
use crate::client::Client;
use crate::error::{Error, Kind, Result};
use crate::scalar::record;
use crate::wire::{Method, Request};

record! {
    /// A rule as the server keeps it. The first that fits decides.
    pub struct FirewallRule {
        required {
            /// Where it stands, from 0.
            "pos" position: u64,
            /// `in`, `out`, `forward` or `group`.
            "type" direction: String,
            /// `ACCEPT`, `DROP`, `REJECT`, or the name of a security group.
            "action" action: String,
        }
        optional {
            /// Whether it is in effect.
            "enable" enabled: bool,
            /// Protocol.
            "proto" protocol: String,
            /// Destination ports.
            "dport" destination_port: String,
            /// Source ports.
            "sport" source_port: String,
            /// Sources.
            "source" source: String,
            /// Destinations.
            "dest" destination: String,
            /// Card, such as `net0`.
            "iface" interface: String,
            /// A known service, such as `SSH`.
            "macro" service: String,
            /// ICMP type, such as `echo-request`.
            "icmp-type" icmp_type: String,
            /// Log level.
            "log" log: String,
            /// Comment.
            "comment" comment: String,
            /// Digest of all rules at this place.
            "digest" digest: String,
        }
    }
}

/// A rule that is wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct NewRule(Vec<(&'static str, String)>);

impl NewRule {
    fn new(direction: &str, action: &str) -> Self {
        Self(Vec::new())
            .with("type", direction)
            .with("action", action)
            .with("enable", "1")
    }

    fn with(mut self, key: &'static str, value: impl Into<String>) -> Self {
        self.0.retain(|(have, _)| *have != key);
        self.0.push((key, value.into()));
        self
    }

    /// Lets what comes in pass.
    pub fn accept_in() -> Self {
        Self::new("in", "ACCEPT")
    }

    /// Drops what comes in.
    pub fn drop_in() -> Self {
        Self::new("in", "DROP")
    }

    /// Lets what goes out pass.
    pub fn accept_out() -> Self {
        Self::new("out", "ACCEPT")
    }

    /// Drops what goes out.
    pub fn drop_out() -> Self {
        Self::new("out", "DROP")
    }

    /// Refuses what comes in and says so.
    pub fn reject_in() -> Self {
        Self::new("in", "REJECT")
    }

    /// Refuses what goes out and says so.
    pub fn reject_out() -> Self {
        Self::new("out", "REJECT")
    }

    /// Lets what is forwarded pass; for nodes, the cluster and vnets.
    pub fn accept_forward() -> Self {
        Self::new("forward", "ACCEPT")
    }

    /// Drops what is forwarded; for nodes, the cluster and vnets.
    pub fn drop_forward() -> Self {
        Self::new("forward", "DROP")
    }

    /// The rules of a security group.
    pub fn group(name: &str) -> Self {
        Self::new("group", name)
    }

    /// Only this protocol and, unless empty, these destination ports (`80,443`, `8000:8010`).
    #[must_use]
    pub fn with_ports(self, protocol: &str, ports: &str) -> Self {
        let rule = self.with("proto", protocol);
        if ports.is_empty() {
            rule
        } else {
            rule.with("dport", ports)
        }
    }

    /// Only from these addresses, networks, aliases or `+ipsets`.
    #[must_use]
    pub fn with_source(self, source: &str) -> Self {
        self.with("source", source)
    }

    /// Only to these.
    #[must_use]
    pub fn with_destination(self, destination: &str) -> Self {
        self.with("dest", destination)
    }

    /// Only this card of the guest.
    #[must_use]
    pub fn with_interface(self, name: &str) -> Self {
        self.with("iface", name)
    }

    /// A known service, such as `SSH`, instead of protocol and ports.
    #[must_use]
    pub fn with_service(self, name: &str) -> Self {
        self.with("macro", name)
    }

    /// Only this ICMP type, such as `echo-request`, of the protocol `icmp` or `icmpv6`.
    #[must_use]
    pub fn with_icmp_type(self, protocol: &str, name: &str) -> Self {
        self.with("proto", protocol).with("icmp-type", name)
    }

    /// Only from these source ports of the protocol.
    #[must_use]
    pub fn with_source_ports(self, ports: &str) -> Self {
        self.with("sport", ports)
    }

    /// Kept, but without effect.
    #[must_use]
    pub fn disabled(self) -> Self {
        self.with("enable", "0")
    }

    /// Logs what fits at this level.
    #[must_use]
    pub fn with_log(self, level: &str) -> Self {
        self.with("log", level)
    }

    fn is(&self, rule: &FirewallRule, mark: &str) -> bool {
        let have = rule.to_json();
        let same = |key: &str, value: &str| text(&have[key]) == value;
        let all = self.0.iter().all(|(key, value)| same(key, value));
        // Nothing that narrows the rule beyond what is wanted.
        let known = [
            "proto",
            "dport",
            "sport",
            "source",
            "dest",
            "iface",
            "macro",
            "icmp-type",
        ];
        let more = known
            .iter()
            .any(|key| have[*key].is_string() && !self.0.iter().any(|(wanted, _)| wanted == key));
        all && !more && rule.comment.as_deref() == Some(mark)
    }
}

/// A list of rules.
pub(crate) struct RuleList<'a> {
    pub(crate) client: &'a Client,
    /// Path of the list.
    pub(crate) path: String,
    /// Whose rules they are.
    pub(crate) of: String,
}

impl RuleList<'_> {
    fn doing(&self, what: &str) -> String {
        format!("{what} the rules of {}", self.of)
    }

    fn request(&self, method: Method, below: &str) -> Request {
        Request::new(method, &format!("{}{below}", self.path), &[])
    }

    /// The rules in order.
    pub(crate) async fn all(&self) -> Result<Vec<FirewallRule>> {
        self.client
            .fetch(self.request(Method::Get, ""))
            .await
            .map_err(|error| error.doing(self.doing("reading")))
    }

    /// Makes sure that exactly these rules stand at the top, in this order, among all rules whose comment is `mark`.
    ///
    /// Rules with another comment are someone else's and stay. Every removal names the digest of the rules that it was
    /// decided on, since positions move when others change the list.
    ///
    /// # Errors
    /// [`Kind::Conflict`] if others change the rules all the time; [`Kind::InvalidInput`] for an empty mark.
    pub(crate) async fn ensure(&self, mark: &str, wanted: &[NewRule]) -> Result<Ensured> {
        if mark.is_empty() {
            return Err(Error::invalid(
                "rules need a mark that tells them from others'",
            ));
        }
        let before = self.all().await?;
        let is_ours = |rule: &&FirewallRule| rule.comment.as_deref() == Some(mark);
        let ours: Vec<&FirewallRule> = before.iter().filter(is_ours).collect();
        let same = ours.len() == wanted.len()
            && wanted
                .iter()
                .zip(&ours)
                .all(|(wanted, have)| wanted.is(have, mark));
        if same {
            return Ok(Ensured::Unchanged);
        }
        let had_some = !ours.is_empty();
        // New ones first, so that nothing is let in or shut out meanwhile that will not be afterwards.
        for rule in wanted.iter().rev() {
            let mut request = self.request(Method::Post, "");
            for (key, value) in &rule.0 {
                request.params_mut().push(*key, value.as_str());
            }
            request.params_mut().push("comment", mark);
            request.params_mut().push("pos", "0");
            self.send(request).await?;
        }
        self.remove_old(mark, wanted.len(), ours.len()).await?;
        Ok(if had_some {
            Ensured::Updated(vec!["rules".to_owned()])
        } else {
            Ensured::Created
        })
    }

    /// Removes what was ours before: all of our rules behind the first `keep` of them.
    async fn remove_old(&self, mark: &str, keep: usize, mut left: usize) -> Result<()> {
        let mut conflicts = 0;
        while left > 0 {
            let rules = self.all().await?;
            let ours = rules
                .iter()
                .filter(|rule| rule.comment.as_deref() == Some(mark));
            let Some(old) = ours.skip(keep).last() else {
                return Ok(());
            };
            let mut request = self.request(Method::Delete, &format!("/{}", old.position));
            if let Some(digest) = &old.digest {
                request.params_mut().push("digest", digest.as_str());
            }
            match self.send(request).await {
                Ok(()) => left -= 1,
                Err(error) if error.kind() == Kind::Conflict && conflicts < 5 => conflicts += 1,
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    async fn send(&self, request: Request) -> Result<()> {
        let done = self.client.request(request).await;
        done.map(|_| ())
            .map_err(|error| error.doing(self.doing("changing")))
    }
}
