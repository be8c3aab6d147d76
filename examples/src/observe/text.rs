//! What was seen, for a person.

use std::fmt;

use super::{KubernetesSeen, MachineSeen, Observation, TalosSeen};

impl fmt::Display for MachineSeen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Absent => f.write_str("not there"),
            Self::Foreign { name } => write!(f, "belongs to VM {name:?}"),
            Self::Present {
                differences,
                running,
                talos,
            } => {
                f.write_str(if *running { "runs" } else { "is stopped" })?;
                match talos {
                    TalosSeen::Silent { reason } => write!(f, ", no answer from Talos ({reason})")?,
                    TalosSeen::Maintenance => f.write_str(", waits for its configuration")?,
                    TalosSeen::Configured { version, drifted } => {
                        write!(f, ", Talos {version}")?;
                        if *drifted {
                            f.write_str(", another configuration than wanted")?;
                        }
                    }
                }
                for difference in differences {
                    write!(f, ", {difference}")?;
                }
                Ok(())
            }
        }
    }
}

impl fmt::Display for Observation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (name, host) in &self.hosts {
            let image = if host.has_image {
                "has the Talos image"
            } else {
                "lacks the Talos image"
            };
            writeln!(f, "{name}: Proxmox VE {}, {image}", host.version)?;
            for contradiction in &host.contradictions {
                writeln!(f, "{name}: {contradiction}")?;
            }
        }
        for (name, machine) in &self.machines {
            writeln!(f, "{name}: {machine}")?;
        }
        for leftover in &self.leftovers {
            writeln!(
                f,
                "{}: VM {} is not in cluster.yaml",
                leftover.name, leftover.vmid
            )?;
        }
        match &self.etcd {
            Some(members) if !members.is_empty() => writeln!(f, "etcd: {}", members.join(", "))?,
            _ => writeln!(f, "etcd: no members")?,
        }
        match &self.kubernetes {
            KubernetesSeen::Silent => writeln!(f, "Kubernetes: no answer")?,
            KubernetesSeen::Serving {
                stale,
                nodes,
                unready_applications,
            } => {
                let ready = nodes.values().filter(|ready| **ready).count();
                writeln!(f, "Kubernetes: {ready} of {} nodes Ready", nodes.len())?;
                for (set, objects) in stale.iter().filter(|(_, objects)| !objects.is_empty()) {
                    writeln!(
                        f,
                        "{}: missing or different: {}",
                        set.name(),
                        objects.join(", ")
                    )?;
                }
                match unready_applications {
                    None => writeln!(f, "Argo CD: knows no Application")?,
                    Some(unready) if unready.is_empty() => {
                        writeln!(f, "Argo CD: all Applications Synced and Healthy")?;
                    }
                    Some(unready) => writeln!(f, "Argo CD: {}", unready.join(", "))?,
                }
            }
        }
        match &self.backup.current_snapshot {
            Some(snapshot) => writeln!(f, "backup: {snapshot}"),
            None => writeln!(f, "backup: none of the cluster as it is now"),
        }
    }
}
