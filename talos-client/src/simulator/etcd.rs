//! etcd across the nodes of a world: bootstrap once, then every control plane joins, one after the other.

use std::time::SystemTime;

use serde::{Deserialize, Serialize};

use super::world::World;

/// A node's place in etcd. It stays on the disk while the node is off.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Membership {
    pub(super) id: u64,
    /// When it became a member.
    pub(super) since: SystemTime,
    /// Starts and joins are serving from then on.
    pub(super) ready: SystemTime,
}

impl World {
    /// Lets everything happen that was to happen up to `now`: running control planes join an etcd that serves.
    pub(super) fn settle(&mut self, now: SystemTime) {
        loop {
            let Some((name, at)) = self.next_join(now) else {
                return;
            };
            let (id, ready) = (self.new_id(), at + self.timings.etcd_join);
            if let Some(node) = self.nodes.get_mut(&name) {
                node.etcd = Some(Membership {
                    id,
                    since: at,
                    ready,
                });
            }
        }
    }

    /// The control plane that joins next, and when: not before it runs, nor before the cluster's last member is ready.
    fn next_join(&self, now: SystemTime) -> Option<(String, SystemTime)> {
        let waiting = self
            .nodes
            .iter()
            .filter(|(_, node)| node.etcd.is_none() && node.is_control_plane());
        waiting
            .filter_map(|(name, node)| {
                let since = node.running_since(now)?;
                let cluster = node.config()?.cluster_id()?;
                let last = self
                    .members_of(cluster)
                    .map(|(_, member)| member.ready)
                    .max()?;
                if !self.etcd_has_quorum(cluster, now) {
                    return None;
                }
                let at = since.max(last);
                (at <= now).then(|| (at, name.clone()))
            })
            .min()
            .map(|(at, name)| (name, at))
    }

    pub(super) fn members_of<'a>(
        &'a self,
        cluster: &'a str,
    ) -> impl Iterator<Item = (&'a str, &'a Membership)> {
        self.nodes.iter().filter_map(move |(name, node)| {
            let here = node.config()?.cluster_id()? == cluster;
            node.etcd
                .as_ref()
                .filter(|_| here)
                .map(|member| (name.as_str(), member))
        })
    }

    /// More than half of the members run and are ready.
    pub(super) fn etcd_has_quorum(&self, cluster: &str, now: SystemTime) -> bool {
        let (mut all, mut up) = (0, 0);
        for (name, member) in self.members_of(cluster) {
            all += 1;
            let running = self
                .nodes
                .get(name)
                .and_then(|node| node.running_since(now));
            up += usize::from(
                running.is_some_and(|since| since + self.timings.etcd_start <= now)
                    && member.ready <= now,
            ) | usize::from(
                running.is_some() && member.since > running.unwrap_or(now) && member.ready <= now,
            );
        }
        all > 0 && up * 2 > all
    }

    /// The node's own member serves.
    pub(super) fn etcd_serves(&self, name: &str, now: SystemTime) -> bool {
        let Some(node) = self.nodes.get(name) else {
            return false;
        };
        let (Some(member), Some(since)) = (&node.etcd, node.running_since(now)) else {
            return false;
        };
        let started = if member.since > since {
            member.ready
        } else {
            since + self.timings.etcd_start
        };
        started <= now
            && node
                .config()
                .and_then(|config| config.cluster_id())
                .is_some_and(|id| self.etcd_has_quorum(id, now))
    }
}
