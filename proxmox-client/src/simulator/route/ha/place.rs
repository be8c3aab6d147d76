//! Where a resource belongs: the manager's choice of a node by rules, as `PVE::HA::Manager` makes it.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value};

use super::feasible::{problems, resources_of};
use crate::simulator::route::shared::names;
use crate::simulator::world::World;

/// The nodes that a resource may run on, with their priorities.
struct Preference {
    priorities: BTreeMap<String, i64>,
    strict: bool,
    failback: bool,
}

fn is_set(section: &Map<String, Value>, key: &str) -> Option<bool> {
    section
        .get(key)
        .map(|value| value.as_i64() == Some(1) || value.as_str() == Some("1"))
}

impl World {
    /// The other resources that rules of a kind name together with one.
    pub(super) fn tied(&self, affinity: &str, sid: &str) -> BTreeSet<String> {
        let rules = self.ha.rules.0.values().filter(|rule| {
            rule.get("affinity").and_then(Value::as_str) == Some(affinity)
                && rule.get("disable") != Some(&1.into())
        });
        let sets = rules
            .map(resources_of)
            .filter(|resources| resources.contains(sid));
        sets.flatten().filter(|other| other != sid).collect()
    }

    fn preference(&self, sid: &str) -> Option<Preference> {
        let rules = self.all_rules();
        let broken = problems(&rules, self.nodes.len());
        let (_, rule) = rules.0.iter().find(|(name, rule)| {
            rule["type"] == "node-affinity"
                && rule.get("disable") != Some(&1.into())
                && !broken.contains_key(*name)
                && resources_of(rule).contains(sid)
        })?;
        let text = rule["nodes"].as_str().unwrap_or_default();
        let priorities = names(text).map(|entry| match entry.split_once(':') {
            Some((node, priority)) => (node.to_owned(), priority.parse().unwrap_or(0)),
            None => (entry.to_owned(), 0),
        });
        Some(Preference {
            priorities: priorities.collect(),
            strict: is_set(rule, "strict").unwrap_or(false),
            failback: self.fails_back(sid),
        })
    }

    /// Whether a resource goes back to a better node: its own setting, or that of its group.
    fn fails_back(&self, sid: &str) -> bool {
        let Some(resource) = self.ha.resources.0.get(sid) else {
            return true;
        };
        let group = resource.get("group").and_then(Value::as_str);
        let group = group.and_then(|name| self.ha.groups.0.get(name));
        match group.and_then(|group| is_set(group, "nofailback")) {
            Some(stays) => !stays,
            None => is_set(resource, "failback").unwrap_or(true),
        }
    }

    /// The node that a started resource is on, or on its way to.
    fn bound_for(&self, sid: &str) -> Option<&str> {
        let guest = self.guests.get(&Self::managed_guest(sid)?)?;
        let started = self.asked_state(sid) == Some("started");
        let target = self
            .ha
            .managed
            .get(sid)
            .and_then(|managed| managed.target());
        let node = target.unwrap_or_else(|| guest.node());
        (started && self.lost_since(node).is_none()).then_some(node)
    }

    /// The node that a resource belongs on; none if it may be nowhere.
    pub(super) fn home_of(&self, sid: &str) -> Option<String> {
        let current = self.guests.get(&Self::managed_guest(sid)?)?.node();
        let preference = self.preference(sid);
        let mut allowed: BTreeMap<&str, i64> = self
            .nodes_up()
            .filter_map(|node| match &preference {
                None => Some((node, 0)),
                Some(wish) => match wish.priorities.get(node) {
                    Some(priority) => Some((node, *priority)),
                    None => (!wish.strict).then_some((node, -1)),
                },
            })
            .collect();
        for other in self.tied("negative", sid) {
            if let Some(node) = self.bound_for(&other) {
                allowed.remove(node);
            }
        }
        let mut company: BTreeMap<&str, usize> = BTreeMap::new();
        for other in self.tied("positive", sid) {
            if let Some(node) = self
                .bound_for(&other)
                .filter(|node| allowed.contains_key(node))
            {
                *company.entry(node).or_default() += 1;
            }
        }
        if let Some(most) = company.values().max().copied() {
            let meeting = company.iter().find(|(_, count)| **count == most);
            allowed.retain(|node, _| meeting.is_some_and(|(place, _)| place == node));
        }
        let stays = preference.is_some_and(|wish| !wish.failback);
        if stays && allowed.contains_key(current) {
            return Some(current.to_owned());
        }
        let best = allowed.values().max().copied()?;
        allowed.retain(|_, priority| *priority == best);
        if allowed.contains_key(current) {
            return Some(current.to_owned());
        }
        let busy = |node: &str| {
            let sids = self.ha.resources.0.keys();
            sids.filter(|sid| self.bound_for(sid) == Some(node)).count()
        };
        let least = allowed.into_keys().min_by_key(|node| busy(node));
        least.map(str::to_owned)
    }
}
