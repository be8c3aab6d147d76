//! Do these volumes fit those disks, also after losing a node? Asked before anything is built.

use std::collections::BTreeSet;
use std::fmt;

use super::{Cluster, Reason, Replica, VolumeRequest};

/// Where the replicas of one volume went.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct VolumePlan {
    /// Volume.
    pub volume: String,
    /// Places.
    pub replicas: Vec<Replica>,
    /// Replicas without a place.
    pub unplaced: u32,
    /// Why.
    pub reasons: BTreeSet<Reason>,
}

/// What follows from losing one node.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Loss {
    /// The node.
    pub node: String,
    /// Volumes that keep no replica: their data is gone until the node returns.
    pub lost: Vec<String>,
    /// Volumes that keep serving but cannot be rebuilt to full strength elsewhere, with the reasons.
    pub degraded: Vec<(String, BTreeSet<Reason>)>,
}

impl Loss {
    /// True when every volume is rebuilt to full strength.
    #[must_use]
    pub fn is_harmless(&self) -> bool {
        self.lost.is_empty() && self.degraded.is_empty()
    }
}

/// Use of one disk after the plan.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct DiskUse {
    /// Node.
    pub node: String,
    /// Disk.
    pub disk: String,
    /// Nominal bytes promised.
    pub scheduled: u64,
    /// Nominal bytes that may be promised.
    pub limit: u64,
}

/// The answer for a set of volumes.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct CapacityPlan {
    /// One entry a volume, in the order asked.
    pub volumes: Vec<VolumePlan>,
    /// Use of every disk once all volumes are placed.
    pub disks: Vec<DiskUse>,
    /// What losing each node would mean, in the order of the nodes.
    pub losses: Vec<Loss>,
}

impl CapacityPlan {
    /// True when every replica has a place.
    #[must_use]
    pub fn fits(&self) -> bool {
        self.volumes.iter().all(|volume| volume.unplaced == 0)
    }

    /// True when every replica has a place and keeps one after the loss of any single node.
    #[must_use]
    pub fn survives_any_node(&self) -> bool {
        self.fits() && self.losses.iter().all(Loss::is_harmless)
    }
}

impl fmt::Display for CapacityPlan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let short: Vec<&VolumePlan> = self.volumes.iter().filter(|v| v.unplaced > 0).collect();
        if short.is_empty() {
            write!(f, "all {} volumes fit", self.volumes.len())?;
        }
        for (n, volume) in short.iter().enumerate() {
            let why: Vec<String> = volume.reasons.iter().map(ToString::to_string).collect();
            let why = if why.is_empty() {
                "no further node or zone".to_owned()
            } else {
                why.join(", ")
            };
            let sep = if n == 0 { "" } else { "; " };
            write!(
                f,
                "{sep}{}: {} replicas without a place ({why})",
                volume.volume, volume.unplaced
            )?;
        }
        for loss in self.losses.iter().filter(|loss| !loss.is_harmless()) {
            write!(f, "; without {}:", loss.node)?;
            if !loss.lost.is_empty() {
                write!(f, " lost {}", loss.lost.join(", "))?;
            }
            if !loss.degraded.is_empty() {
                let names: Vec<&str> = loss
                    .degraded
                    .iter()
                    .map(|(name, _)| name.as_str())
                    .collect();
                write!(f, " degraded {}", names.join(", "))?;
            }
        }
        Ok(())
    }
}

impl Cluster {
    /// Places volumes one after the other and asks what the loss of each node would mean.
    ///
    /// The data that the volumes will hold is taken from [`VolumeRequest::actual_size`]; set it to the nominal size for
    /// the worst case. Order matters as it does in a real cluster: first come, first served.
    #[must_use]
    pub fn plan(&self, volumes: &[VolumeRequest]) -> CapacityPlan {
        let mut world = self.clone();
        let mut plans = Vec::with_capacity(volumes.len());
        for volume in volumes {
            let outcome = world.place(volume, &[]);
            for replica in &outcome.placed {
                world.fill(&replica.disk, volume);
            }
            plans.push(VolumePlan {
                volume: volume.name.clone(),
                replicas: outcome.placed,
                unplaced: outcome.unplaced,
                reasons: outcome.reasons,
            });
        }
        let losses = self
            .nodes
            .iter()
            .map(|node| world.without(&node.name, volumes, &plans))
            .collect();
        let disks = world.nodes.iter().flat_map(|node| {
            node.disks.iter().map(|disk| DiskUse {
                node: node.name.clone(),
                disk: disk.id.clone(),
                scheduled: disk.scheduled,
                limit: u64::try_from(disk.headroom(&world.settings) + i128::from(disk.scheduled))
                    .unwrap_or(0),
            })
        });
        CapacityPlan {
            disks: disks.collect(),
            volumes: plans,
            losses,
        }
    }

    fn fill(&mut self, disk: &str, volume: &VolumeRequest) {
        self.book(disk, volume.size);
        if let Some(disk) = self.disk_mut(disk) {
            disk.available = disk.available.saturating_sub(volume.actual_size);
        }
    }

    fn without(&self, node: &str, volumes: &[VolumeRequest], plans: &[VolumePlan]) -> Loss {
        let mut world = self.clone();
        world.nodes.retain(|other| other.name != node);
        let mut loss = Loss {
            node: node.to_owned(),
            lost: Vec::new(),
            degraded: Vec::new(),
        };
        for (volume, plan) in volumes.iter().zip(plans) {
            let left: Vec<Replica> = plan
                .replicas
                .iter()
                .filter(|r| r.node != node)
                .cloned()
                .collect();
            if left.len() == plan.replicas.len() {
                continue;
            }
            if left.is_empty() {
                loss.lost.push(volume.name.clone());
                continue;
            }
            let outcome = world.place(volume, &left);
            for replica in &outcome.placed {
                world.fill(&replica.disk, volume);
            }
            // What had no place before the loss is no news.
            if outcome.unplaced > plan.unplaced {
                loss.degraded.push((volume.name.clone(), outcome.reasons));
            }
        }
        loss
    }
}
