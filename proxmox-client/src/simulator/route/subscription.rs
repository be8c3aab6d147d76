//! A node's subscription, and what the shop knows of keys.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::firewall::digest;
use super::not_simulated;
use crate::simulator::answer::{Outcome, Reply};
use crate::simulator::http::Call;
use crate::simulator::task::seconds;
use crate::simulator::world::World;

/// What the shop says of a key.
#[derive(Serialize, Deserialize, Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct SubscriptionSpec {
    key: String,
    status: String,
    product: String,
    registered: String,
    due: String,
    message: Option<String>,
}

impl SubscriptionSpec {
    /// A key that is good: `pve1c-…` for one socket and the community level. `due` is the day of the next payment,
    /// such as `2027-01-31`.
    pub fn active(key: &str, product: &str, due: &str) -> Self {
        Self {
            key: key.to_owned(),
            status: "active".to_owned(),
            product: product.to_owned(),
            registered: "2025-01-31 00:00:00".to_owned(),
            due: due.to_owned(),
            message: None,
        }
    }

    /// What the shop says of it instead: `expired`, `suspended`, `invalid`, with its reason.
    #[must_use]
    pub fn with_status(mut self, status: &str, message: &str) -> Self {
        status.clone_into(&mut self.status);
        self.message = Some(message.to_owned());
        self
    }
}

/// The key that a node was given, and when the shop was last asked.
#[derive(Serialize, Deserialize, Debug, Clone, PartialEq, Eq)]
pub(in super::super) struct Held {
    key: String,
    checked: u64,
}

/// Nodes of this model have one socket.
const SOCKETS: u32 = 1;
const SHOP: &str = "https://www.proxmox.com/en/proxmox-virtual-environment/pricing";

impl World {
    /// A subscription key that the shop knows.
    #[must_use]
    pub fn with_subscription(mut self, subscription: SubscriptionSpec) -> Self {
        let known = &mut self.around.subscriptions;
        known.insert(subscription.key.clone(), subscription);
        self
    }

    pub(super) fn node_subscription(&mut self, node: &str, call: &Call) -> Outcome {
        let now = seconds(self.now);
        let Some(state) = self.nodes.get_mut(node) else {
            return Err(not_simulated(call));
        };
        let held = &mut state.upkeep.subscription;
        match call.method.as_str() {
            "GET" => Ok(Reply::data(self.subscription(node))),
            "PUT" => {
                let key = call.text("key").unwrap_or_default().trim().to_owned();
                let sockets = key.get(3..4).and_then(|digit| digit.parse::<u32>().ok());
                if let Some(sockets) = sockets.filter(|sockets| *sockets < SOCKETS) {
                    let text = format!("wrong number of sockets ({sockets} < {SOCKETS})");
                    return Err(Reply::failed(text));
                }
                if !self.around.subscriptions.contains_key(&key) {
                    // What the shop says of keys that it does not know is not modelled.
                    return Err(not_simulated(call));
                }
                *held = Some(Held { key, checked: now });
                Ok(Reply::data(()))
            }
            "POST" => {
                if let Some(held) = held {
                    held.checked = now;
                }
                Ok(Reply::data(()))
            }
            "DELETE" => {
                *held = None;
                Ok(Reply::data(()))
            }
            _ => Err(not_simulated(call)),
        }
    }

    fn subscription(&self, node: &str) -> Value {
        let server = digest(node)[..32].to_uppercase();
        let held = self.nodes.get(node);
        let held = held.and_then(|node| node.upkeep.subscription.as_ref());
        let known = held.and_then(|held| self.around.subscriptions.get(&held.key));
        let (Some(held), Some(known)) = (held, known) else {
            return json!({
                "status": "notfound", "message": "There is no subscription key", "url": SHOP,
                "serverid": server,
            });
        };
        let mut out = json!({
            "status": known.status, "key": held.key, "serverid": server, "checktime": held.checked,
            "sockets": SOCKETS, "url": SHOP, "productname": known.product, "regdate": known.registered,
            "nextduedate": known.due,
        });
        if known.status == "active" {
            out["level"] = held.key.get(4..5).unwrap_or_default().into();
        }
        if let Some(message) = &known.message {
            out["message"] = message.as_str().into();
        }
        out
    }
}
