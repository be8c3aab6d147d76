//! Proof that a cluster serves: every check says what it saw.

mod report;

use std::collections::BTreeMap;

use kube::api::DynamicObject;
use serde_json::Value;

use crate::failure::Failure;
use crate::observe::{MachineSeen, TalosSeen};
use crate::session::Session;
use crate::stage::kubernetes::{self, Cluster};
use crate::stage::{cilium, restic, talos, tunnel};

pub use report::{Evidence, Machine, Report, StorageClass, TunnelPair, Verdict};

/// Checks everything and describes what was found. A check that fails is part of the report, not an error.
///
/// # Errors
///
/// A system that must answer and does not.
pub async fn verify(session: &Session) -> Result<Report, Failure> {
    let spec = session.spec();
    let mut report = Report {
        cluster: spec.name.to_string(),
        target: session.describe(),
        ..Report::default()
    };
    let seen = session.observe().await?;
    machines(session, &seen.machines, &mut report);
    let bundle = session.needed_bundle()?;
    let work = talos::Work::new(session.target(), spec, &bundle, session.image());
    report.evidence.extend(work.health().await?);
    report.etcd = seen.etcd.unwrap_or_default();
    etcd(session, &mut report);
    let cluster = session.kubernetes().await?;
    nodes(cluster, &mut report).await?;
    workloads(cluster, &mut report).await?;
    applications(session, cluster, &mut report).await?;
    policies(session, cluster, &mut report).await?;
    storage(session, cluster, &mut report).await?;
    tunnel::describe(session, &mut report)?;
    let (backup, evidence) = restic::prove(session).await?;
    report.backup = backup;
    report.evidence.extend(evidence);
    Ok(report)
}

fn machines(session: &Session, seen: &BTreeMap<String, MachineSeen>, report: &mut Report) {
    let mut right = 0;
    for node in &session.spec().nodes {
        let machine = seen.get(node.name.as_str());
        let version = match machine {
            Some(MachineSeen::Present {
                differences,
                running,
                talos,
            }) => {
                right += usize::from(differences.is_empty() && *running);
                match talos {
                    TalosSeen::Configured { version, .. } => version.clone(),
                    TalosSeen::Maintenance => "maintenance".to_owned(),
                    TalosSeen::Silent { .. } => "no answer".to_owned(),
                }
            }
            Some(MachineSeen::Absent | MachineSeen::Foreign { .. }) | None => {
                "no machine".to_owned()
            }
        };
        report.machines.push(Machine {
            name: node.name.to_string(),
            vmid: node.vmid.get(),
            role: node.role.to_string(),
            address: node.address.to_string(),
            talos: version,
            ..Machine::default()
        });
    }
    let all = report.machines.len();
    let seen = format!("{right} of {all} run with the hardware of cluster.yaml");
    report
        .evidence
        .push(Evidence::new("machines", right == all, seen));
    let wanted = session.spec().versions.talos.to_string();
    let current = report
        .machines
        .iter()
        .filter(|machine| machine.talos == wanted)
        .count();
    let seen = format!("{current} of {all} answer with {wanted}");
    report
        .evidence
        .push(Evidence::new("talos", current == all, seen));
}

fn etcd(session: &Session, report: &mut Report) {
    let wanted: Vec<_> = session
        .spec()
        .control_planes()
        .map(|node| node.name.to_string())
        .collect();
    let mut members = report.etcd.clone();
    members.sort();
    let seen = format!("members {}", members.join(", "));
    report
        .evidence
        .push(Evidence::new("etcd", members == wanted, seen));
}

fn text<'a>(object: &'a DynamicObject, path: &str) -> Option<&'a str> {
    object.data.pointer(path).and_then(Value::as_str)
}

async fn nodes(cluster: &Cluster, report: &mut Report) -> Result<(), Failure> {
    let nodes = cluster.list("v1", "Node").await?;
    for machine in &mut report.machines {
        let node = nodes
            .iter()
            .find(|node| node.metadata.name.as_deref() == Some(&machine.name));
        let Some(node) = node else { continue };
        machine.kubelet = text(node, "/status/nodeInfo/kubeletVersion")
            .unwrap_or("unknown")
            .to_owned();
        machine.ready = kubernetes::condition(node, "Ready").is_some_and(|(status, _)| status);
    }
    let all = report.machines.len();
    let ready = report
        .machines
        .iter()
        .filter(|machine| machine.ready)
        .count();
    let good = ready == all && nodes.len() == all;
    let seen = format!("{ready} of {all} Ready, {} registered", nodes.len());
    report.evidence.push(Evidence::new("nodes", good, seen));
    Ok(())
}

async fn workloads(cluster: &Cluster, report: &mut Report) -> Result<(), Failure> {
    let (mut all, mut short) = (0, Vec::new());
    for kind in ["DaemonSet", "Deployment", "StatefulSet"] {
        for workload in cluster.list("apps/v1", kind).await? {
            all += 1;
            short.extend(kubernetes::unready(&workload));
        }
    }
    let seen = match short.as_slice() {
        [] => format!("{all} of {all} have all replicas ready"),
        short => format!(
            "{} of {all} lack replicas: {}",
            short.len(),
            short.join("; ")
        ),
    };
    report.evidence.push(Evidence::new(
        "workloads",
        short.is_empty() && all > 0,
        seen,
    ));
    Ok(())
}

async fn applications(
    session: &Session,
    cluster: &Cluster,
    report: &mut Report,
) -> Result<(), Failure> {
    let unready = kubernetes::unready_applications(cluster).await?;
    let wanted = crate::stage::bootstrap::applications(session.spec(), session.catalogue())?;
    let evidence = match unready {
        None => Evidence::new("argo-cd", false, "knows no Application"),
        Some(unready) if unready.is_empty() => Evidence::new(
            "argo-cd",
            true,
            format!("{wanted} Applications Synced and Healthy"),
        ),
        Some(unready) => Evidence::new("argo-cd", false, unready.join("; ")),
    };
    report.evidence.push(evidence);
    Ok(())
}

async fn policies(
    session: &Session,
    cluster: &Cluster,
    report: &mut Report,
) -> Result<(), Failure> {
    let mut live = Vec::new();
    for (api, kind) in [
        ("cilium.io/v2", "CiliumNetworkPolicy"),
        ("cilium.io/v2", "CiliumClusterwideNetworkPolicy"),
        ("networking.k8s.io/v1", "NetworkPolicy"),
    ] {
        for policy in cluster.list(api, kind).await? {
            live.push(serde_json::to_value(&policy).unwrap_or_default());
        }
    }
    let matrix = cilium::network(session.catalogue(), &live)?.matrix();
    let denied = matrix.refused().count();
    let refused = matrix.asked - matrix.leaks.len();
    let seen = format!(
        "{} declared connections allowed, {denied} denied; {refused} undeclared ones refused, {} open",
        matrix.declared.len() - denied,
        matrix.leaks.len()
    );
    let good = matrix.holds() && !live.is_empty();
    report.evidence.push(Evidence::new("policies", good, seen));
    report.refused_pairs = refused;
    report.verdicts = matrix.declared.iter().map(row).collect();
    Ok(())
}

fn row(row: &cilium::Row) -> Verdict {
    let flow = &row.flow;
    let to = format!(
        "{}:{}/{}",
        flow.to,
        flow.port,
        flow.protocol.as_str().to_lowercase()
    );
    let decided_by = match &row.refused {
        Some(refusal) => refusal.to_string(),
        None => row.by.join(", "),
    };
    Verdict::new(flow.from.to_string(), to, row.allowed, decided_by)
}

async fn storage(session: &Session, cluster: &Cluster, report: &mut Report) -> Result<(), Failure> {
    let found = cluster.list("storage.k8s.io/v1", "StorageClass").await?;
    let mut missing = Vec::new();
    for wanted in &session.spec().storage.classes {
        let class = found
            .iter()
            .find(|class| class.metadata.name.as_deref() == Some(wanted.name.as_str()));
        let Some(class) = class else {
            missing.push(wanted.name.to_string());
            continue;
        };
        let annotation = "storageclass.kubernetes.io/is-default-class";
        let annotations = class.metadata.annotations.as_ref();
        report.storage_classes.push(StorageClass::new(
            wanted.name.to_string(),
            text(class, "/parameters/numberOfReplicas")
                .unwrap_or("?")
                .to_owned(),
            text(class, "/parameters/diskSelector")
                .unwrap_or("any")
                .to_owned(),
            annotations.is_some_and(|all| all.get(annotation).is_some_and(|value| value == "true")),
        ));
    }
    let seen = match missing.as_slice() {
        [] => format!("{} classes as declared", report.storage_classes.len()),
        missing => format!("missing: {}", missing.join(", ")),
    };
    report
        .evidence
        .push(Evidence::new("storage classes", missing.is_empty(), seen));
    let claims = cluster.list("v1", "PersistentVolumeClaim").await?;
    let bound = claims
        .iter()
        .filter(|claim| text(claim, "/status/phase") == Some("Bound"))
        .count();
    let seen = format!("{bound} of {} claims Bound", claims.len());
    report
        .evidence
        .push(Evidence::new("volumes", bound == claims.len(), seen));
    Ok(())
}
