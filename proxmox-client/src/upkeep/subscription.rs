//! A node's subscription.

use secrecy::{ExposeSecret, SecretString};
use serde_json::{Map, Value};

use crate::access::Ensured;
use crate::error::Result;
use crate::named::{decode, hide};
use crate::node::Node;
use crate::open::open_enum;
use crate::qemu::Removed;
use crate::scalar::record;
use crate::wire::Method;

open_enum! {
    /// Whether a node has a subscription.
    pub enum SubscriptionStatus {
        /// It has none.
        NotFound = "notfound",
        /// It has one.
        Active = "active",
        /// It was not checked yet.
        New = "new",
        /// It is not good for this node.
        Invalid = "invalid",
        /// It has ended.
        Expired = "expired",
        /// It was suspended.
        Suspended = "suspended",
    }
}

record! {
    /// `GET /nodes/{node}/subscription`. The key is left out.
    pub struct Subscription {
        required {
            /// Whether there is one.
            "status" status: SubscriptionStatus,
        }
        optional {
            /// Level: `c`ommunity, `b`asic, `s`tandard or `p`remium.
            "level" level: String,
            /// Product.
            "productname" product: String,
            /// When the next payment is due, such as `2027-01-31`.
            "nextduedate" next_due: String,
            /// When it was registered.
            "regdate" registered: String,
            /// When the shop was last asked, in seconds since 1970.
            "checktime" checked: u64,
            /// Sockets of the node.
            "sockets" sockets: u32,
            /// What the node is known by.
            "serverid" server_id: String,
            /// What the node says about it.
            "message" message: String,
        }
    }
}

impl Node {
    async fn read_subscription(&self) -> Result<Map<String, Value>> {
        let request = self.request(Method::Get, "/subscription")?;
        self.client().fetch(request).await
    }

    /// The node's subscription.
    ///
    /// Example: see [`ensure_subscription`](Self::ensure_subscription).
    pub async fn subscription(&self) -> Result<Subscription> {
        let mut members = self.read_subscription().await?;
        hide(&mut members, &["key", "signature"]);
        decode(members.into())
    }

    /// Makes sure that the node has this subscription key. The node asks the shop about a new one at once.
    ///
    /// ```
    /// # #[cfg(feature = "simulator")]
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), proxmox_client::Error> {
    /// use proxmox_client::Ensured;
    /// use proxmox_client::upkeep::SubscriptionStatus;
    /// # use proxmox_client::simulator::{Simulator, SubscriptionSpec, World};
    /// # let known = SubscriptionSpec::active("pve1c-0123456789", "Community Subscription", "2027-01-31");
    /// # let client = Simulator::new(World::lab().with_subscription(known)).connect();
    /// let (node, key) = (client.node("pve1"), "pve1c-0123456789");
    /// assert_eq!(node.subscription().await?.status, SubscriptionStatus::NotFound);
    /// assert_eq!(node.ensure_subscription(key).await?, Ensured::Created);
    /// assert_eq!(node.ensure_subscription(key).await?, Ensured::Unchanged);
    /// node.refresh_subscription().await?;
    /// assert_eq!(node.subscription().await?.status, SubscriptionStatus::Active);
    /// node.remove_subscription().await?;
    /// # Ok(()) }
    /// # #[cfg(not(feature = "simulator"))] fn main() {}
    /// ```
    ///
    /// # Errors
    /// [`Kind::Parameter`](crate::Kind::Parameter) for what is no key, and a refusal for a key of too few sockets.
    pub async fn ensure_subscription(&self, key: impl Into<SecretString>) -> Result<Ensured> {
        let key = key.into();
        let mut have = self.read_subscription().await?;
        let held = have.get("key").and_then(Value::as_str);
        let (same, none) = (held == Some(key.expose_secret()), held.is_none());
        hide(&mut have, &["key", "signature"]);
        if same {
            return Ok(Ensured::Unchanged);
        }
        let request = self
            .request(Method::Put, "/subscription")?
            .with("key", key.expose_secret());
        let done = self.client().request(request).await;
        done.map_err(|error| error.doing(format!("setting the subscription of {}", self.name())))?;
        Ok(match none {
            true => Ensured::Created,
            false => Ensured::Updated(vec!["key".to_owned()]),
        })
    }

    /// Has the node ask the shop about its key, however lately it did.
    ///
    /// Example: see [`ensure_subscription`](Self::ensure_subscription).
    pub async fn refresh_subscription(&self) -> Result<()> {
        let request = self
            .request(Method::Post, "/subscription")?
            .with_flag("force", true);
        let done = self.client().request(request).await;
        done.map(|_| ())
            .map_err(|error| error.doing(format!("checking the subscription of {}", self.name())))
    }

    /// Removes the node's subscription key.
    ///
    /// Example: see [`ensure_subscription`](Self::ensure_subscription).
    pub async fn remove_subscription(&self) -> Result<Removed> {
        if self.subscription().await?.status == SubscriptionStatus::NotFound {
            return Ok(Removed::Absent);
        }
        let request = self.request(Method::Delete, "/subscription")?;
        let done = self.client().request(request).await;
        done.map_err(|error| error.doing(format!("removing the subscription of {}", self.name())))?;
        Ok(Removed::Removed)
    }
}
