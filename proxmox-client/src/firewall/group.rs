//! Security groups: rules under a name, which rules of nodes and guests take in.

use crate::access::Ensured;
use crate::client::Client;
use crate::entry::remove;
#[cfg(doc)]
use crate::error::Kind;
use crate::error::Result;
use crate::firewall::{FirewallRule, NewRule, RuleList};
use crate::qemu::Removed;
use crate::scalar::record;
use crate::wire::{Method, Request, escape};

record! {
    /// A security group: `GET /cluster/firewall/groups`.
    pub struct SecurityGroupInfo {
        required {
            /// Name.
            "group" name: String,
        }
        optional {
            /// Comment.
            "comment" comment: String,
            /// Digest of all groups' names and comments.
            "digest" digest: String,
        }
    }
}

/// A security group. It need not exist.
///
/// ```
/// # #[cfg(feature = "simulator")]
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), proxmox_client::Error> {
/// use proxmox_client::{Ensured, Kind, NewRule, QemuConfig};
/// # let client = proxmox_client::simulator::Simulator::lab().connect();
/// # client.node("pve1").create_qemu(100, QemuConfig::new()).await?;
/// let web = client.security_group("web");
/// assert_eq!(web.ensure("Web servers").await?, Ensured::Created);
/// web.ensure_rules("web", &[NewRule::accept_in().with_ports("tcp", "80,443")]).await?;
/// let guest = client.node("pve1").qemu(100).firewall();
/// guest.ensure_rules("web", &[NewRule::group("web")]).await?;
/// assert_eq!(web.rules().await?[0].destination_port.as_deref(), Some("80,443"));
/// assert_eq!(client.security_groups().await?[0].name, "web");
/// assert_eq!(web.delete().await.unwrap_err().kind(), Kind::InUse);
/// # Ok(()) }
/// # #[cfg(not(feature = "simulator"))] fn main() {}
/// ```
#[derive(Debug, Clone)]
pub struct SecurityGroup {
    client: Client,
    name: String,
}

impl Client {
    /// The security groups.
    ///
    /// Example: see [`SecurityGroup`].
    pub async fn security_groups(&self) -> Result<Vec<SecurityGroupInfo>> {
        self.fetch(Request::new(Method::Get, "/cluster/firewall/groups", &[]))
            .await
    }

    /// A security group by its name, 18 characters at most.
    pub fn security_group(&self, name: impl Into<String>) -> SecurityGroup {
        SecurityGroup {
            client: self.clone(),
            name: name.into(),
        }
    }
}

impl SecurityGroup {
    fn doing(&self, what: &str) -> String {
        format!("{what} security group {}", self.name)
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    async fn post(&self, old: Option<&SecurityGroupInfo>, comment: &str) -> Result<()> {
        let mut request = Request::new(Method::Post, "/cluster/firewall/groups", &[])
            .with("group", self.name.as_str())
            .with("comment", comment);
        if let Some(old) = old {
            // Renamed to itself: the interface has no other way to change a comment.
            request = request.with("rename", self.name.as_str());
            if let Some(digest) = &old.digest {
                request = request.with("digest", digest.as_str());
            }
        }
        let done = self.client.request(request).await;
        done.map(|_| ())
            .map_err(|error| error.doing(self.doing("setting up")))
    }

    /// Makes sure that it is there with this comment.
    ///
    /// Example: see [`SecurityGroup`].
    ///
    /// # Errors
    /// [`Kind::Conflict`] if someone changed the groups meanwhile.
    pub async fn ensure(&self, comment: &str) -> Result<Ensured> {
        let groups = self.client.security_groups().await?;
        match groups.iter().find(|group| group.name == self.name) {
            Some(group) if group.comment.as_deref().unwrap_or_default() == comment => {
                Ok(Ensured::Unchanged)
            }
            Some(group) => {
                self.post(Some(group), comment).await?;
                Ok(Ensured::Updated(vec!["comment".to_owned()]))
            }
            None => match self.post(None, comment).await {
                Ok(()) => Ok(Ensured::Created),
                // Someone else made it meanwhile.
                Err(error) if error.is_already_exists() => Ok(Ensured::Unchanged),
                Err(error) => Err(error),
            },
        }
    }

    fn rule_list(&self) -> RuleList<'_> {
        RuleList {
            client: &self.client,
            path: format!("/cluster/firewall/groups/{}", escape(&self.name)),
            of: format!("security group {}", self.name),
        }
    }

    /// Its rules in order.
    ///
    /// Example: see [`SecurityGroup`].
    pub async fn rules(&self) -> Result<Vec<FirewallRule>> {
        self.rule_list().all().await
    }

    /// Makes sure that exactly these rules stand at the top, in this order, among all rules whose comment is `mark`;
    /// rules with another comment stay.
    ///
    /// Example: see [`SecurityGroup`].
    ///
    /// # Errors
    /// As for [`Firewall::ensure_rules`](crate::Firewall::ensure_rules).
    pub async fn ensure_rules(&self, mark: &str, wanted: &[NewRule]) -> Result<Ensured> {
        self.rule_list().ensure(mark, wanted).await
    }

    /// Removes it; it must have no rules. Rules that take it in stay, without effect.
    ///
    /// Example: see [`SecurityGroup`].
    ///
    /// # Errors
    /// [`Kind::InUse`] if it has rules.
    pub async fn delete(&self) -> Result<Removed> {
        let path = "/cluster/firewall/groups/{group}";
        let request = Request::new(Method::Delete, path, &[&self.name]);
        let what = format!("security group {}", self.name);
        remove(&self.client, request, &what).await
    }
}
