//! Firewalls of the cluster, of nodes, of guests and of vnets: options, rules, security groups, aliases, IP sets.

mod alias;
mod group;
mod ip_set;
mod option;
mod rule;

use serde_json::{Map, Value};

use crate::access::Ensured;
use crate::client::Client;
#[cfg(doc)]
use crate::error::Kind;
use crate::error::Result;
use crate::lxc::Lxc;
use crate::node::Node;
use crate::open::open_enum;
use crate::qemu::Qemu;
use crate::scalar::record;
use crate::task::LogLine;
use crate::wire::{Method, Request, escape};

pub use alias::{Alias, AliasInfo, AliasSettings};
pub use group::{SecurityGroup, SecurityGroupInfo};
pub use ip_set::{IpSet, IpSetEntry, IpSetInfo, NewIpSetEntry};
pub use option::{FirewallOptions, FirewallSettings, Policy};
pub(crate) use rule::RuleList;
pub use rule::{FirewallRule, NewRule};

/// One firewall.
///
/// ```
/// # #[cfg(feature = "simulator")]
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), proxmox_client::Error> {
/// use proxmox_client::{FirewallSettings, NewRule, Policy, QemuConfig};
/// # let client = proxmox_client::simulator::Simulator::lab().connect();
/// let vm = client.node("pve1").create_qemu(100, QemuConfig::new()).await?.qemu;
/// let firewall = vm.firewall();
/// let settings = FirewallSettings::new().with_enabled(true).with_policy_in(&Policy::Drop);
/// firewall.ensure_settings(&settings).await?;
/// firewall.ensure_rules("web", &[NewRule::accept_in().with_ports("tcp", "443")]).await?;
/// assert_eq!(firewall.rules().await?.len(), 1);
/// # Ok(()) }
/// # #[cfg(not(feature = "simulator"))] fn main() {}
/// ```
#[derive(Debug, Clone)]
pub struct Firewall {
    client: Client,
    path: String,
    of: String,
}

impl Client {
    /// The cluster's firewall.
    pub fn firewall(&self) -> Firewall {
        Firewall {
            client: self.clone(),
            path: "/cluster/firewall".to_owned(),
            of: "the cluster".to_owned(),
        }
    }
}

impl Node {
    /// The node's own firewall.
    pub fn firewall(&self) -> Firewall {
        Firewall {
            client: self.client().clone(),
            path: format!("/nodes/{}/firewall", self.name()),
            of: format!("node {}", self.name()),
        }
    }
}

impl Qemu {
    /// The guest's firewall. Its cards must say `firewall=1` for rules to matter.
    pub fn firewall(&self) -> Firewall {
        Firewall {
            client: self.client.clone(),
            path: format!("/nodes/{}/qemu/{}/firewall", self.node, self.vmid),
            of: format!("VM {}", self.vmid),
        }
    }
}

impl Lxc {
    /// The container's firewall. Its cards must say `firewall=1` for rules to matter.
    pub fn firewall(&self) -> Firewall {
        Firewall {
            client: self.client.clone(),
            path: format!("/nodes/{}/lxc/{}/firewall", self.node, self.vmid),
            of: format!("container {}", self.vmid),
        }
    }
}

impl Firewall {
    /// The firewall of a vnet.
    pub(crate) fn of_vnet(client: &Client, vnet: &str) -> Self {
        Self {
            client: client.clone(),
            path: format!("/cluster/sdn/vnets/{}/firewall", escape(vnet)),
            of: format!("vnet {vnet}"),
        }
    }

    fn doing(&self, what: &str) -> String {
        format!("{what} the firewall of {}", self.of)
    }

    fn request(&self, method: Method, below: &str) -> Request {
        Request::new(method, &format!("{}{below}", self.path), &[])
    }

    fn rule_list(&self) -> RuleList<'_> {
        RuleList {
            client: &self.client,
            path: format!("{}/rules", self.path),
            of: format!("the firewall of {}", self.of),
        }
    }

    /// The rules in order.
    ///
    /// Example: see [`ensure_rules`](Self::ensure_rules).
    pub async fn rules(&self) -> Result<Vec<FirewallRule>> {
        self.rule_list().all().await
    }

    /// Makes sure that exactly these rules stand at the top, in this order, among all rules whose comment is `mark`.
    ///
    /// Rules with another comment are someone else's and stay. Every removal names the digest of the rules that it was
    /// decided on, since positions move when others change the list.
    ///
    /// ```
    /// # #[cfg(feature = "simulator")]
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), proxmox_client::Error> {
    /// use proxmox_client::{Ensured, NewRule};
    /// # let client = proxmox_client::simulator::Simulator::lab().connect();
    /// let firewall = client.node("pve1").firewall();
    /// let wanted = [
    ///     NewRule::accept_in().with_service("SSH").with_source("192.0.2.0/28"),
    ///     NewRule::drop_in().with_ports("tcp", "22"),
    /// ];
    /// assert_eq!(firewall.ensure_rules("ssh", &wanted).await?, Ensured::Created);
    /// assert_eq!(firewall.ensure_rules("ssh", &wanted).await?, Ensured::Unchanged);
    /// assert_eq!(firewall.rules().await?[0].service.as_deref(), Some("SSH"));
    /// # Ok(()) }
    /// # #[cfg(not(feature = "simulator"))] fn main() {}
    /// ```
    ///
    /// # Errors
    /// [`Kind::Conflict`] if others change the rules all the time; [`Kind::InvalidInput`] for an empty mark.
    pub async fn ensure_rules(&self, mark: &str, wanted: &[NewRule]) -> Result<Ensured> {
        self.rule_list().ensure(mark, wanted).await
    }

    /// The options that are set.
    ///
    /// Example: see [`ensure_settings`](Self::ensure_settings).
    pub async fn options(&self) -> Result<FirewallOptions> {
        self.client
            .fetch(self.request(Method::Get, "/options"))
            .await
            .map_err(|error| error.doing(self.doing("reading the options of")))
    }

    /// Makes sure that options have these values, such as `("enable", "1")` or `("policy_in", "DROP")`.
    ///
    /// ```
    /// # #[cfg(feature = "simulator")]
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), proxmox_client::Error> {
    /// use proxmox_client::Ensured;
    /// # let client = proxmox_client::simulator::Simulator::lab().connect();
    /// let firewall = client.firewall();
    /// let wanted = [("enable", "1"), ("policy_in", "DROP")];
    /// assert!(matches!(firewall.ensure_options(&wanted).await?, Ensured::Updated(_)));
    /// assert_eq!(firewall.ensure_options(&wanted).await?, Ensured::Unchanged);
    /// # Ok(()) }
    /// # #[cfg(not(feature = "simulator"))] fn main() {}
    /// ```
    pub async fn ensure_options(&self, wanted: &[(&str, &str)]) -> Result<Ensured> {
        let mut settings = FirewallSettings::new();
        for (name, value) in wanted {
            settings = settings.with(name, value);
        }
        self.ensure_settings(&settings).await
    }

    /// Makes sure that options are set so; others are left alone. The change is bound to the digest of what was read.
    ///
    /// ```
    /// # #[cfg(feature = "simulator")]
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), proxmox_client::Error> {
    /// use proxmox_client::{Ensured, FirewallSettings, Policy};
    /// # let client = proxmox_client::simulator::Simulator::lab().connect();
    /// let firewall = client.firewall();
    /// let wanted = FirewallSettings::new().with_enabled(true).with_policy_in(&Policy::Drop);
    /// assert!(matches!(firewall.ensure_settings(&wanted).await?, Ensured::Updated(_)));
    /// assert_eq!(firewall.ensure_settings(&wanted).await?, Ensured::Unchanged);
    /// assert_eq!(firewall.options().await?.policy_in, Some(Policy::Drop));
    /// # Ok(()) }
    /// # #[cfg(not(feature = "simulator"))] fn main() {}
    /// ```
    ///
    /// # Errors
    /// [`Kind::Conflict`] if someone changed the options meanwhile; [`Kind::Parameter`] for an option that this firewall
    /// does not have.
    pub async fn ensure_settings(&self, wanted: &FirewallSettings) -> Result<Ensured> {
        let have: Map<String, Value> = self
            .client
            .fetch(self.request(Method::Get, "/options"))
            .await
            .map_err(|error| error.doing(self.doing("reading the options of")))?;
        let changed = wanted.0.differing(&have);
        if changed.is_empty() {
            return Ok(Ensured::Unchanged);
        }
        let mut request = self.request(Method::Put, "/options");
        wanted.0.push_change(&changed, request.params_mut());
        let read = have.get("digest").and_then(Value::as_str);
        if let Some(digest) = wanted.0.digest.as_deref().or(read) {
            request.params_mut().push("digest", digest);
        }
        let done = self.client.request(request).await;
        done.map_err(|error| error.doing(self.doing("changing")))?;
        Ok(Ensured::Updated(changed))
    }

    /// The aliases: names for addresses and networks. Nodes and vnets have none of their own.
    ///
    /// Example: see [`references`](Self::references).
    pub async fn aliases(&self) -> Result<Vec<AliasInfo>> {
        self.client
            .fetch(self.request(Method::Get, "/aliases"))
            .await
            .map_err(|error| error.doing(self.doing("reading the aliases of")))
    }

    /// An alias by its name, in which capitals make no difference.
    pub fn alias(&self, name: impl Into<String>) -> Alias {
        Alias::new(&self.client, &[], name).below(&self.path)
    }

    /// The IP sets. Nodes and vnets have none of their own.
    ///
    /// Example: see [`references`](Self::references).
    pub async fn ip_sets(&self) -> Result<Vec<IpSetInfo>> {
        self.client
            .fetch(self.request(Method::Get, "/ipset"))
            .await
            .map_err(|error| error.doing(self.doing("reading the IP sets of")))
    }

    /// An IP set by its name. Rules use it as `+name`.
    pub fn ip_set(&self, name: impl Into<String>) -> IpSet {
        IpSet::new(self, name.into())
    }

    /// What rules here may name as source or destination: aliases and IP sets of this firewall, and of those above it.
    ///
    /// ```
    /// # #[cfg(feature = "simulator")]
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), proxmox_client::Error> {
    /// use proxmox_client::AliasSettings;
    /// # let client = proxmox_client::simulator::Simulator::lab().connect();
    /// let firewall = client.firewall();
    /// firewall.alias("gateway").ensure(&AliasSettings::of("192.0.2.1")).await?;
    /// firewall.ip_set("nodes").ensure("Nodes").await?;
    /// assert_eq!(firewall.aliases().await?[0].network, "192.0.2.1");
    /// assert_eq!(firewall.ip_sets().await?[0].comment.as_deref(), Some("Nodes"));
    /// let named = firewall.references().await?;
    /// let spelled: Vec<&str> = named.iter().map(|one| one.reference.as_str()).collect();
    /// assert_eq!(spelled, ["+nodes", "gateway"]);
    /// # Ok(()) }
    /// # #[cfg(not(feature = "simulator"))] fn main() {}
    /// ```
    pub async fn references(&self) -> Result<Vec<FirewallReference>> {
        self.client
            .fetch(self.request(Method::Get, "/refs"))
            .await
            .map_err(|error| error.doing(self.doing("reading the references of")))
    }

    /// Lines of the log of a node or guest, from `start` (0 is the first), `limit` at most.
    ///
    /// ```
    /// # #[cfg(feature = "simulator")]
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), proxmox_client::Error> {
    /// use proxmox_client::simulator::{Simulator, World};
    /// # let line = "0 6 PVEFW-HOST-IN 01/Jan/2026:00:00:00 policy DROP: IN=vmbr0";
    /// # let client = Simulator::new(World::lab().with_firewall_log("pve1", line)).connect();
    /// let lines = client.node("pve1").firewall().log(0, 50).await?;
    /// assert!(lines[0].text.contains("policy DROP: IN=vmbr0"));
    /// # Ok(()) }
    /// # #[cfg(not(feature = "simulator"))] fn main() {}
    /// ```
    ///
    /// # Errors
    /// [`Kind::NotImplemented`] for the cluster and vnets, which have none.
    pub async fn log(&self, start: u64, limit: u64) -> Result<Vec<LogLine>> {
        let request = self
            .request(Method::Get, "/log")
            .with("start", start.to_string())
            .with("limit", limit.to_string());
        self.client
            .fetch(request)
            .await
            .map_err(|error| error.doing(self.doing("reading the log of")))
    }
}

impl Client {
    /// The services that rules can name instead of protocol and ports.
    ///
    /// ```
    /// # #[cfg(feature = "simulator")]
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), proxmox_client::Error> {
    /// # let client = proxmox_client::simulator::Simulator::lab().connect();
    /// let known = client.firewall_macros().await?;
    /// assert!(known.iter().any(|service| service.name == "SSH"));
    /// # Ok(()) }
    /// # #[cfg(not(feature = "simulator"))] fn main() {}
    /// ```
    pub async fn firewall_macros(&self) -> Result<Vec<FirewallMacro>> {
        self.fetch(Request::new(Method::Get, "/cluster/firewall/macros", &[]))
            .await
    }
}

record! {
    /// A known service: `GET /cluster/firewall/macros`.
    pub struct FirewallMacro {
        required {
            /// Name, such as `SSH`.
            "macro" name: String,
        }
        optional {
            /// What it is.
            "descr" description: String,
        }
    }
}

open_enum! {
    /// What a reference names.
    pub enum ReferenceKind {
        /// An alias.
        Alias = "alias",
        /// An IP set.
        IpSet = "ipset",
    }
}

record! {
    /// What a rule may name as source or destination: `GET /cluster/firewall/refs`.
    pub struct FirewallReference {
        required {
            /// What it names.
            "type" kind: ReferenceKind,
            /// Name.
            "name" name: String,
            /// How rules spell it.
            "ref" reference: String,
        }
        optional {
            /// Where it is from: `dc`, `guest` or `sdn`.
            "scope" scope: String,
            /// Comment.
            "comment" comment: String,
        }
    }
}
