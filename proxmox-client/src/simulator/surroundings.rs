//! What nodes find around them: servers that answer or do not, and what they offer.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::answer::{Outcome, Reply};
use super::http::Call;
use super::lease::Lan;
use super::route::{SubscriptionSpec, not_simulated};
use super::section::{Param, Shape, check};
use super::world::World;

/// The world outside the cluster.
#[derive(Serialize, Deserialize, Debug, Clone, Default)]
pub(super) struct Surroundings {
    /// Servers that do not answer.
    pub(super) unreachable: BTreeSet<String>,
    /// Subscription keys that the shop knows.
    #[serde(default)]
    pub(super) subscriptions: BTreeMap<String, SubscriptionSpec>,
    /// What scans find, as JSON, by kind and by whom they ask.
    scans: BTreeMap<(String, String), String>,
    /// DHCP servers, by the bridge or vnet, with its VLAN, that they are on.
    #[serde(default)]
    pub(super) lans: BTreeMap<String, Lan>,
}

impl World {
    /// What a scan finds: `nfs`, `cifs` or `pbs` with a server, `iscsi` with a portal, `lvmthin` with a volume group, `lvm`
    /// or `zfs` with an empty text; the entries as a JSON array. Scans that nobody described are not simulated.
    #[must_use]
    pub fn with_scan(mut self, kind: &str, of: &str, entries: &str) -> Self {
        let key = (kind.to_owned(), of.to_owned());
        self.around.scans.insert(key, entries.to_owned());
        self
    }

    /// A server that does not answer: storages on it cannot be defined.
    #[must_use]
    pub fn with_unreachable(mut self, server: &str) -> Self {
        self.around.unreachable.insert(server.to_owned());
        self
    }

    pub(super) fn scan(&self, method: &str, kind: &str, call: &Call) -> Outcome {
        const TEXT: Shape = Shape::Text;
        let of = |name: &'static str| [Param::required(name, TEXT)].to_vec();
        let login = [Param::new("username", TEXT), Param::new("password", TEXT)];
        let params = match kind {
            "nfs" => of("server"),
            "cifs" => [
                of("server"),
                login.to_vec(),
                [Param::new("domain", TEXT)].to_vec(),
            ]
            .concat(),
            "pbs" => {
                let more = [
                    Param::new("fingerprint", TEXT),
                    Param::new("port", Shape::Integer(1, 65_535)),
                ];
                let login = login.map(Param::needed);
                [of("server"), login.to_vec(), more.to_vec()].concat()
            }
            "iscsi" => of("portal"),
            "lvmthin" => of("vg"),
            "lvm" | "zfs" => Vec::new(),
            _ => return Err(not_simulated(call)),
        };
        if method != "GET" {
            return Err(not_simulated(call));
        }
        check(call, &params, &["node"])?;
        let asked = ["server", "portal", "vg"]
            .iter()
            .find_map(|name| call.text(name));
        let key = (kind.to_owned(), asked.unwrap_or_default());
        let found = self
            .around
            .scans
            .get(&key)
            .map(|text| serde_json::from_str::<Value>(text));
        match found {
            Some(Ok(entries @ Value::Array(_))) => Ok(Reply::data(entries)),
            _ => Err(not_simulated(call)),
        }
    }
}
