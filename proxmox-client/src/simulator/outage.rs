//! Nodes that are lost, and come back.

use std::time::{Duration, SystemTime};

use super::answer::Reply;
use super::guest::Guest;
use super::world::World;

impl World {
    /// A node is lost, as if its power were cut: its machines and containers are off, its tasks end without a verdict, and
    /// calls for it are answered with `595 No route to host` by the first node that is left. What HA manages is recovered
    /// on other nodes once the node's lock has run out, after two minutes; what has disks that only the lost node holds
    /// ends in error. Where no more than half of the nodes are left, changes are refused for lack of a quorum, and HA does
    /// nothing. Other changes of a lost node's files are not modelled. False if there is no such node, or it is lost.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)] async fn main() -> Result<(), proxmox_client::Error> {
    /// use proxmox_client::Kind;
    /// use proxmox_client::simulator::{NodeSpec, Simulator, World};
    /// let more = |name: &str| NodeSpec::new(name, 8, 32 << 30);
    /// let simulator = Simulator::new(World::lab().with_node(more("pve2")).with_node(more("pve3")));
    /// let client = simulator.connect();
    /// simulator.with(|world| world.lose_node("pve3"));
    /// assert_eq!(client.node("pve3").status().await.unwrap_err().kind(), Kind::NodeUnreachable);
    /// assert_eq!(client.nodes().await?[2].status.as_deref(), Some("offline"));
    /// simulator.with(|world| world.return_node("pve3"));
    /// client.node("pve3").status().await?;
    /// # Ok(()) }
    /// ```
    pub fn lose_node(&mut self, node: &str) -> bool {
        let now = self.now;
        match self.nodes.get_mut(node) {
            Some(state) if state.lost.is_none() => state.lost = Some(now),
            _ => return false,
        }
        let here = |task: &usize| {
            let task = &self.tasks[*task];
            task.node == node && task.ended.is_none()
        };
        let jobs: Vec<u64> = (0..self.tasks.len())
            .filter(here)
            .filter_map(|task| self.job_of(task))
            .collect();
        for job in jobs {
            self.end_job(job, "unexpected status");
        }
        let guests: Vec<u32> = self
            .guests
            .values()
            .filter(|guest| guest.node() == node && guest.is_on())
            .map(Guest::vmid)
            .collect();
        for vmid in guests {
            self.mark_stopped(vmid);
        }
        self.look_at_resources();
        true
    }

    /// A node that was lost is there again, its machines and containers off unless HA starts them. False if it was not lost.
    pub fn return_node(&mut self, node: &str) -> bool {
        let lost = self.nodes.get_mut(node).and_then(|node| node.lost.take());
        self.look_at_resources();
        lost.is_some()
    }

    /// Since when a node is lost.
    pub(super) fn lost_since(&self, node: &str) -> Option<SystemTime> {
        self.nodes.get(node)?.lost
    }

    /// For how long it is.
    pub(super) fn lost_for(&self, node: &str) -> Option<Duration> {
        let since = self.lost_since(node)?;
        Some(self.now.duration_since(since).unwrap_or_default())
    }

    /// The nodes that are there.
    pub(super) fn nodes_up(&self) -> impl Iterator<Item = &str> {
        let up = self.nodes.iter().filter(|(_, node)| node.lost.is_none());
        up.map(|(name, _)| name.as_str())
    }

    /// Whether those that are there may decide.
    pub(super) fn is_quorate(&self) -> bool {
        let lost = self.nodes.len() - self.nodes_up().count();
        lost == 0 || lost * 2 < self.nodes.len()
    }

    /// Refuses what needs a node that is lost, and changes for which there are too few.
    pub(super) fn refuse_outage(&self, method: &str, segments: &[&str]) -> Result<(), Reply> {
        if let ["nodes", node, ..] = segments
            && self.lost_since(node).is_some()
        {
            return Err(Reply::bare(595, "No route to host"));
        }
        // What goes on without the cluster's files.
        let own = matches!(
            segments,
            ["access", "ticket"] | ["nodes", _, "tasks", ..] | ["nodes", _, "qemu", _, "agent", ..]
        );
        if method == "GET" || own || self.is_quorate() {
            return Ok(());
        }
        Err(Reply::failed("cluster not ready - no quorum?"))
    }
}
