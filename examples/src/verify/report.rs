//! What was built, for a person and for programs.

use std::fmt;

use serde::Serialize;

/// A cluster as it was found, with the evidence that it serves.
#[derive(Debug, Clone, Default, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct Report {
    /// The name of the cluster.
    pub cluster: String,
    /// The systems that were asked: the lab or the real ones.
    pub target: String,
    /// Its machines.
    pub machines: Vec<Machine>,
    /// Names of the members of etcd.
    pub etcd: Vec<String>,
    /// Declared connections, by the pair that talks.
    pub verdicts: Vec<Verdict>,
    /// Undeclared connections that were tried and refused.
    pub refused_pairs: usize,
    /// Storage classes.
    pub storage_classes: Vec<StorageClass>,
    /// Pairs of tunnel members.
    pub tunnel: Vec<TunnelPair>,
    /// The newest backup in words: `backup 1a2b3c4d (restic 0.18.0)`.
    pub backup: Option<String>,
    /// What was checked.
    pub evidence: Vec<Evidence>,
}

/// One machine.
#[derive(Debug, Clone, Default, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct Machine {
    /// Name.
    pub name: String,
    /// Number in Proxmox VE.
    pub vmid: u32,
    /// `controlplane` or `worker`.
    pub role: String,
    /// Address.
    pub address: String,
    /// Version of Talos that answers.
    pub talos: String,
    /// Version of the kubelet that the Kubernetes API knows.
    pub kubelet: String,
    /// Whether the node is Ready.
    pub ready: bool,
}

/// One declared connection.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct Verdict {
    /// Who calls.
    pub from: String,
    /// Who is called, with port and protocol.
    pub to: String,
    /// Whether it is allowed on both sides.
    pub allowed: bool,
    /// The rules that decided.
    pub decided_by: String,
}

impl Verdict {
    /// One row of the table.
    pub fn new(from: String, to: String, allowed: bool, decided_by: String) -> Self {
        Self {
            from,
            to,
            allowed,
            decided_by,
        }
    }
}

/// One storage class.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct StorageClass {
    /// Name.
    pub name: String,
    /// Number of replicas.
    pub replicas: String,
    /// Tags that disks must carry.
    pub disk_tags: String,
    /// Whether claims without a class get it.
    pub default: bool,
}

impl StorageClass {
    /// One row of the table.
    pub fn new(name: String, replicas: String, disk_tags: String, default: bool) -> Self {
        Self {
            name,
            replicas,
            disk_tags,
            default,
        }
    }
}

/// Two members of the tunnel.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct TunnelPair {
    /// One.
    pub from: String,
    /// The other.
    pub to: String,
    /// How they reach each other.
    pub path: String,
}

impl TunnelPair {
    /// One row of the table.
    pub fn new(from: String, to: String, path: String) -> Self {
        Self { from, to, path }
    }
}

/// One check with what was seen.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Evidence {
    /// What was checked.
    pub check: String,
    /// Whether it held.
    pub passed: bool,
    /// What was seen.
    pub evidence: String,
}

impl Evidence {
    /// The result of one check.
    pub fn new(check: &str, passed: bool, evidence: impl Into<String>) -> Self {
        Self {
            check: check.to_owned(),
            passed,
            evidence: evidence.into(),
        }
    }
}

impl Report {
    /// Whether every check held.
    pub fn passed(&self) -> bool {
        self.evidence.iter().all(|evidence| evidence.passed)
    }
}

/// Rows of text in columns as wide as their widest cell.
fn table(
    f: &mut fmt::Formatter<'_>,
    title: &str,
    head: &[&str],
    rows: &[Vec<String>],
) -> fmt::Result {
    if rows.is_empty() {
        return Ok(());
    }
    let widths: Vec<usize> = (0..head.len())
        .map(|column| {
            let cells = rows
                .iter()
                .filter_map(|row| row.get(column))
                .map(|cell| cell.chars().count());
            cells.chain([head[column].len()]).max().unwrap_or(0)
        })
        .collect();
    writeln!(f, "\n{title}")?;
    let line = |f: &mut fmt::Formatter<'_>, cells: &[&str]| {
        let mut text = String::from(" ");
        for (cell, width) in cells.iter().zip(&widths) {
            text.push_str(&format!(" {cell:width$} "));
        }
        writeln!(f, "{}", text.trim_end())
    };
    line(f, head)?;
    for row in rows {
        line(f, &row.iter().map(String::as_str).collect::<Vec<_>>())?;
    }
    Ok(())
}

fn yes(flag: bool) -> String {
    if flag { "yes" } else { "no" }.to_owned()
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let machines: Vec<_> = self
            .machines
            .iter()
            .map(|machine| {
                vec![
                    machine.name.clone(),
                    machine.vmid.to_string(),
                    machine.role.clone(),
                    machine.address.clone(),
                    machine.talos.clone(),
                    machine.kubelet.clone(),
                    yes(machine.ready),
                ]
            })
            .collect();
        let title = format!(
            "Cluster {} on {}: {} machines",
            self.cluster,
            self.target,
            machines.len()
        );
        let head = [
            "machine", "vmid", "role", "address", "talos", "kubelet", "ready",
        ];
        table(f, &title, &head, &machines)?;
        writeln!(f, "\netcd members: {}", self.etcd.join(", "))?;
        let verdicts: Vec<_> = self
            .verdicts
            .iter()
            .map(|verdict| {
                let allowed = if verdict.allowed { "allowed" } else { "DENIED" };
                vec![
                    verdict.from.clone(),
                    verdict.to.clone(),
                    allowed.to_owned(),
                    verdict.decided_by.clone(),
                ]
            })
            .collect();
        let allowed = self
            .verdicts
            .iter()
            .filter(|verdict| verdict.allowed)
            .count();
        let title = format!(
            "Policies: {allowed} of {} declared connections allowed, {} undeclared ones refused",
            self.verdicts.len(),
            self.refused_pairs
        );
        table(
            f,
            &title,
            &["from", "to", "verdict", "decided by"],
            &verdicts,
        )?;
        let classes: Vec<_> = self
            .storage_classes
            .iter()
            .map(|class| {
                vec![
                    class.name.clone(),
                    class.replicas.clone(),
                    class.disk_tags.clone(),
                    yes(class.default),
                ]
            })
            .collect();
        table(
            f,
            "Storage classes",
            &["class", "replicas", "disk tags", "default"],
            &classes,
        )?;
        let pairs: Vec<_> = self
            .tunnel
            .iter()
            .map(|pair| vec![pair.from.clone(), pair.to.clone(), pair.path.clone()])
            .collect();
        table(f, "Tunnel", &["from", "to", "path"], &pairs)?;
        if let Some(backup) = &self.backup {
            writeln!(f, "\n{backup}")?;
        }
        writeln!(f, "\nEvidence")?;
        for evidence in &self.evidence {
            let mark = if evidence.passed { "ok  " } else { "FAIL" };
            writeln!(f, "  {mark} {}: {}", evidence.check, evidence.evidence)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_is_tables_and_evidence() {
        let report = Report {
            cluster: "production".into(),
            target: "the lab".into(),
            machines: vec![Machine {
                name: "cp-1".into(),
                vmid: 8101,
                role: "controlplane".into(),
                address: "10.0.20.11".into(),
                talos: "v1.13.9".into(),
                kubelet: "v1.36.4".into(),
                ready: true,
            }],
            etcd: vec!["cp-1".into()],
            verdicts: vec![Verdict::new(
                "grafana".into(),
                "prometheus 9090/tcp".into(),
                false,
                "-".into(),
            )],
            backup: Some("backup 1a2b3c4d (simulated restic)".into()),
            evidence: vec![Evidence::new("nodes", true, "1 of 1 Ready")],
            ..Report::default()
        };
        insta::assert_snapshot!(report.to_string(), @r"
        Cluster production on the lab: 1 machines
          machine  vmid  role          address     talos    kubelet  ready
          cp-1     8101  controlplane  10.0.20.11  v1.13.9  v1.36.4  yes

        etcd members: cp-1

        Policies: 0 of 1 declared connections allowed, 0 undeclared ones refused
          from     to                   verdict  decided by
          grafana  prometheus 9090/tcp  DENIED   -

        backup 1a2b3c4d (simulated restic)

        Evidence
          ok   nodes: 1 of 1 Ready
        ");
        assert!(report.passed());
    }
}
