//! Options of a node, and waking it up.

use serde_json::{Map, Value};

use crate::access::Ensured;
use crate::entry::settle;
#[cfg(doc)]
use crate::error::Kind;
use crate::error::Result;
use crate::node::Node;
use crate::property::formats::{ACME, ACME_DOMAIN, WAKE_ON_LAN};
use crate::property::{Acme, AcmeDomain, WakeOnLan};
use crate::scalar::record;
use crate::setting::settings;
use crate::wire::Method;

record! {
    /// `GET /nodes/{node}/config`. What is not set is absent.
    pub struct NodeOptions {
        optional {
            /// Notes, with a line's end.
            "description" description: String,
            /// How long the node waits before it starts guests when it has booted, in seconds.
            "startall-onboot-delay" start_delay: u32,
            /// How much of its memory guests may take before they are asked to give some back, in percent; 80 if absent.
            "ballooning-target" ballooning_target: u32,
            /// How it is woken up: `mac`, `bind-interface`, `broadcast-address`.
            "wakeonlan" wake_on_lan: String,
            /// Account and domains of its certificate from ACME.
            "acme" acme: String,
            /// Digest of the options; absent if none was ever set.
            "digest" digest: String,
        }
    }
}

settings! {
    /// Options of a node that are wanted.
    pub struct NodeSettings {
        /// Notes.
        with_description "description" text,
        /// How long the node waits before it starts guests when it has booted, in seconds: 0 (default) to 300.
        with_start_delay "startall-onboot-delay" number,
        /// How much of its memory guests may take before they are asked to give some back, in percent: 0 to 100, 80 by
        /// default.
        with_ballooning_target "ballooning-target" number,
    }
}

impl NodeSettings {
    /// The account that orders its certificate, and domains that its own web server proves.
    #[must_use]
    pub fn with_acme(mut self, acme: &Acme) -> Self {
        let acme = acme.as_property_string();
        self.0.property("acme", acme, &ACME);
        self
    }

    /// A domain of its certificate, by its place from 0 to 5.
    #[must_use]
    pub fn with_acme_domain(mut self, index: u8, domain: &AcmeDomain) -> Self {
        let domain = domain.as_property_string();
        let name = format!("acmedomain{index}");
        self.0.property(&name, domain, &ACME_DOMAIN);
        self
    }

    /// How it is woken up: the address of one of its network cards.
    #[must_use]
    pub fn with_wake_on_lan(mut self, how: &WakeOnLan) -> Self {
        let how = how.as_property_string();
        self.0.property("wakeonlan", how, &WAKE_ON_LAN);
        self
    }
}

impl Node {
    /// The node's options.
    ///
    /// Example: see [`ensure_options`](Self::ensure_options).
    pub async fn options(&self) -> Result<NodeOptions> {
        let request = self.request(Method::Get, "/config")?;
        let found = self.client().fetch(request).await;
        found.map_err(|error| error.doing(format!("reading options of {}", self.name())))
    }

    /// Makes sure that options of the node are set so; others are left alone. The change is bound to the digest of what
    /// was read; after someone else's change it is decided anew.
    ///
    /// ```
    /// # #[cfg(feature = "simulator")]
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), proxmox_client::Error> {
    /// use proxmox_client::property::WakeOnLan;
    /// use proxmox_client::{Ensured, NodeSettings};
    /// # let client = proxmox_client::simulator::Simulator::lab().connect();
    /// let node = client.node("pve1");
    /// let wanted = NodeSettings::new()
    ///     .with_description("in the cellar")
    ///     .with_wake_on_lan(&WakeOnLan::default().with_mac("BC:24:11:00:00:01"));
    /// assert!(matches!(node.ensure_options(&wanted).await?, Ensured::Updated(_)));
    /// assert_eq!(node.ensure_options(&wanted).await?, Ensured::Unchanged);
    /// assert_eq!(node.options().await?.description.as_deref(), Some("in the cellar\n"));
    /// # Ok(()) }
    /// # #[cfg(not(feature = "simulator"))] fn main() {}
    /// ```
    ///
    /// # Errors
    /// [`Kind::Conflict`] if others change them all the time, [`Kind::Parameter`] for values that the server refuses.
    pub async fn ensure_options(&self, wanted: &NodeSettings) -> Result<Ensured> {
        let done = if wanted.0.digest.is_some() {
            self.set_options(wanted).await
        } else {
            settle(|| self.set_options(wanted)).await
        };
        done.map_err(|error| error.doing(format!("setting options of {}", self.name())))
    }

    async fn set_options(&self, wanted: &NodeSettings) -> Result<Ensured> {
        let request = self.request(Method::Get, "/config")?;
        let have: Map<String, Value> = self.client().fetch(request).await?;
        let changed = wanted.0.differing(&have);
        if changed.is_empty() {
            return Ok(Ensured::Unchanged);
        }
        let mut request = self.request(Method::Put, "/config")?;
        wanted.0.push_change(&changed, request.params_mut());
        let read = have.get("digest").and_then(Value::as_str);
        if let Some(digest) = wanted.0.digest.as_deref().or(read) {
            request.params_mut().push("digest", digest);
        }
        self.client().request(request).await?;
        Ok(Ensured::Updated(changed))
    }

    /// Has the node that is asked send a packet that wakes this one; gives the address that it woke. Nobody knows
    /// whether it wakes up.
    ///
    /// ```
    /// # #[cfg(feature = "simulator")]
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), proxmox_client::Error> {
    /// use proxmox_client::NodeSettings;
    /// use proxmox_client::property::WakeOnLan;
    /// # use proxmox_client::simulator::{NodeSpec, Simulator, World};
    /// # let world = World::lab().with_node(NodeSpec::new("pve2", 4, 8 << 30));
    /// # let client = Simulator::new(world).connect();
    /// let node = client.node("pve2");
    /// let how = WakeOnLan::default().with_mac("BC:24:11:00:00:02");
    /// node.ensure_options(&NodeSettings::new().with_wake_on_lan(&how)).await?;
    /// assert_eq!(node.wake().await?, "BC:24:11:00:00:02");
    /// # Ok(()) }
    /// # #[cfg(not(feature = "simulator"))] fn main() {}
    /// ```
    ///
    /// # Errors
    /// A refusal if it is the node that is asked, or if its options do not say how it is woken up.
    pub async fn wake(&self) -> Result<String> {
        let request = self.request(Method::Post, "/wakeonlan")?;
        let done = self.client().fetch(request).await;
        done.map_err(|error| error.doing(format!("waking {}", self.name())))
    }
}
