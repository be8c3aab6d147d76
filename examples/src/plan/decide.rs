//! The steps between what was seen and what is wanted. No I/O: the same sight always gives the same plan.

use crate::failure::Failure;
use crate::observe::{KubernetesSeen, MachineSeen, Observation, TalosSeen};
use crate::spec::Spec;
use crate::spec::node::Node;

use super::{Action, Change, ObjectSet, Plan, Step, StepId};

fn secrets_id() -> StepId {
    StepId::new("secrets", "file")
}

fn image_id(host: &str) -> StepId {
    StepId::new("image", host)
}

fn machine_id(node: &str) -> StepId {
    StepId::new("vm", node)
}

fn start_id(node: &str) -> StepId {
    StepId::new("start", node)
}

fn configure_id(node: &str) -> StepId {
    StepId::new("talos", node)
}

fn etcd_id() -> StepId {
    StepId::new("etcd", "bootstrap")
}

fn objects_id(set: ObjectSet) -> StepId {
    StepId::new("objects", set.name())
}

fn nodes_id() -> StepId {
    StepId::new("kubernetes", "nodes")
}

fn platform_id() -> StepId {
    StepId::new("argo-cd", "platform")
}

/// Steps so far, and what needed none.
#[derive(Default)]
struct Draft {
    steps: Vec<Step>,
    unchanged: usize,
}

impl Draft {
    fn add(&mut self, step: Option<Step>) {
        match step {
            Some(step) => self.steps.push(step),
            None => self.unchanged += 1,
        }
    }
}

/// Decides what has to be done.
///
/// # Errors
///
/// What no step of ours may change: a number that belongs to another machine, a host that is not as described.
pub fn decide(spec: &Spec, seen: &Observation) -> Result<Plan, Vec<Failure>> {
    let refusals = refusals(spec, seen);
    if !refusals.is_empty() {
        return Err(refusals);
    }
    let mut draft = Draft::default();
    draft.add(secrets(spec, seen));
    for host in seen.hosts.keys() {
        draft.add(image(spec, seen, host));
    }
    for node in &spec.nodes {
        machine(&mut draft, spec, seen, node);
    }
    for leftover in &seen.leftovers {
        let title = format!(
            "VM {} on {}: not in cluster.yaml",
            leftover.vmid, leftover.host
        );
        let action = Action::DeleteMachine {
            host: leftover.host.clone(),
            vmid: leftover.vmid,
        };
        draft.steps.push(Step::new(
            machine_id(&leftover.name),
            Change::Delete,
            title,
            action,
        ));
    }
    draft.add(etcd(spec, seen));
    kubernetes(&mut draft, spec, seen);
    draft.add(tunnel(seen));
    draft.add(backup(spec, seen));
    Plan::new(spec.name.as_str(), draft.steps, draft.unchanged)
        .map_err(|problem| vec![Failure::permanent("plan", problem.to_string())])
}

/// The steps that remove the machines of a cluster.
pub fn removal(spec: &Spec, seen: &Observation) -> Plan {
    let is_ours = |node: &&Node| {
        matches!(
            seen.machines.get(node.name.as_str()),
            Some(MachineSeen::Present { .. })
        )
    };
    let ours = spec
        .nodes
        .iter()
        .filter(is_ours)
        .map(|node| (node.host.clone(), node.vmid.get(), node.name.to_string()));
    let leftovers = seen
        .leftovers
        .iter()
        .map(|left| (left.host.clone(), left.vmid, left.name.clone()));
    let steps = ours
        .chain(leftovers)
        .map(|(host, vmid, name)| {
            let title = format!("VM {vmid} on {host} with its disks");
            Step::new(
                machine_id(&name),
                Change::Delete,
                title,
                Action::DeleteMachine { host, vmid },
            )
        })
        .collect();
    Plan::independent(spec.name.as_str(), steps)
}

fn refusals(spec: &Spec, seen: &Observation) -> Vec<Failure> {
    let foreign = spec.nodes.iter().filter_map(|node| {
        let Some(MachineSeen::Foreign { name }) = seen.machines.get(node.name.as_str()) else {
            return None;
        };
        let message = format!(
            "vmid {} belongs to VM {name:?} on {}, which this cluster does not own",
            node.vmid, node.host
        );
        Some(
            Failure::permanent(node.name.as_str(), message)
                .hint("choose another vmid in cluster.yaml"),
        )
    });
    let contradictions = seen.hosts.iter().flat_map(|(host, seen)| {
        seen.contradictions.iter().map(|text| {
            Failure::permanent(host.as_str(), text).hint("correct proxmox.hosts in cluster.yaml")
        })
    });
    foreign.chain(contradictions).collect()
}

fn secrets(spec: &Spec, seen: &Observation) -> Option<Step> {
    if seen.missing_secrets.is_empty() {
        return None;
    }
    let title = format!("{}: {}", spec.secrets.file, seen.missing_secrets.join(", "));
    Some(Step::new(
        secrets_id(),
        Change::Create,
        title,
        Action::WriteSecrets,
    ))
}

fn image(spec: &Spec, seen: &Observation, host: &str) -> Option<Step> {
    if seen.hosts.get(host).is_some_and(|host| host.has_image) {
        return None;
    }
    let title = format!(
        "Talos {} with {} extensions on {host}:{}",
        spec.versions.talos,
        spec.image.extensions.len(),
        spec.image.storage
    );
    let action = Action::DownloadImage {
        host: host.to_owned(),
    };
    Some(Step::new(image_id(host), Change::Create, title, action))
}

fn hardware(node: &Node) -> String {
    let mut text = format!(
        "VM {} on {}: {} cores, {}, {} disk",
        node.vmid, node.host, node.cores, node.memory, node.disk.size
    );
    if let Some(disk) = &node.longhorn_disk {
        text.push_str(&format!(" + {} for Longhorn", disk.size));
    }
    text
}

fn machine(draft: &mut Draft, spec: &Spec, seen: &Observation, node: &Node) {
    let name = node.name.as_str();
    let absent = MachineSeen::Absent;
    let (differences, running, talos) = match seen.machines.get(name).unwrap_or(&absent) {
        MachineSeen::Present {
            differences,
            running,
            talos,
        } => (Some(differences), *running, Some(talos)),
        MachineSeen::Absent | MachineSeen::Foreign { .. } => (None, false, None),
    };
    draft.add(match differences {
        None => {
            let action = Action::CreateMachine {
                node: name.to_owned(),
            };
            Some(
                Step::new(machine_id(name), Change::Create, hardware(node), action)
                    .after([secrets_id(), image_id(&node.host)]),
            )
        }
        Some(differences) if !differences.is_empty() => {
            let title = format!("VM {} on {}, from its next start on", node.vmid, node.host);
            let action = Action::UpdateMachine {
                node: name.to_owned(),
            };
            Some(
                Step::new(machine_id(name), Change::Update, title, action)
                    .because(differences.clone()),
            )
        }
        Some(_) => None,
    });
    draft.add((!running).then(|| {
        let action = Action::StartMachine {
            node: name.to_owned(),
        };
        Step::new(
            start_id(name),
            Change::Create,
            format!("VM {} runs", node.vmid),
            action,
        )
        .after([machine_id(name)])
    }));
    let wanted = format!("{} {} at {}", node.role, spec.versions.talos, node.address);
    let action = Action::Configure {
        node: name.to_owned(),
    };
    draft.add(match talos {
        Some(TalosSeen::Configured { drifted: false, .. }) => None,
        Some(TalosSeen::Configured { drifted: true, .. }) => Some(
            Step::new(configure_id(name), Change::Update, wanted, action)
                .because(
                    crate::plan::Difference::between(
                        "machine configuration",
                        "other",
                        "as cluster.yaml wants it",
                    )
                    .into_iter()
                    .collect(),
                )
                .after([secrets_id()]),
        ),
        Some(TalosSeen::Maintenance | TalosSeen::Silent { .. }) | None => Some(
            Step::new(configure_id(name), Change::Create, wanted, action)
                .after([secrets_id(), start_id(name)]),
        ),
    });
}

fn etcd(spec: &Spec, seen: &Observation) -> Option<Step> {
    if seen
        .etcd
        .as_ref()
        .is_some_and(|members| !members.is_empty())
    {
        return None;
    }
    let control_planes: Vec<_> = spec
        .nodes
        .iter()
        .filter(|node| !node.is_worker())
        .map(|node| node.name.as_str())
        .collect();
    let title = format!(
        "{} members: {}",
        control_planes.len(),
        control_planes.join(", ")
    );
    Some(
        Step::new(etcd_id(), Change::Create, title, Action::BootstrapEtcd)
            .after(control_planes.into_iter().map(configure_id)),
    )
}

fn kubernetes(draft: &mut Draft, spec: &Spec, seen: &Observation) {
    let all_configured = spec
        .nodes
        .iter()
        .map(|node| configure_id(node.name.as_str()));
    let (stale, nodes, applications) = match &seen.kubernetes {
        KubernetesSeen::Serving {
            stale,
            nodes,
            unready_applications,
        } => (Some(stale), Some(nodes), unready_applications.as_ref()),
        KubernetesSeen::Silent => (None, None, None),
    };
    let mut before = etcd_id();
    for set in ObjectSet::ALL {
        let stale = stale.map(|stale| stale.get(&set).map_or(&[][..], Vec::as_slice));
        let id = objects_id(set);
        let mut step = match stale {
            Some([]) => None,
            Some(objects) => {
                let title = format!("{} objects missing or different", objects.len());
                Some(Step::new(
                    id.clone(),
                    Change::Update,
                    title,
                    Action::ApplyObjects { set },
                ))
            }
            None => {
                let title = title_of(spec, set);
                Some(Step::new(
                    id.clone(),
                    Change::Create,
                    title,
                    Action::ApplyObjects { set },
                ))
            }
        };
        if set == ObjectSet::SecretZero {
            step = step.map(|step| step.after([nodes_id()]));
        }
        draft.add(step.map(|step| step.after([before.clone()])));
        before = id;
    }
    let ready = nodes.is_some_and(|nodes| {
        spec.nodes
            .iter()
            .all(|node| nodes.get(node.name.as_str()) == Some(&true))
    });
    draft.add((!ready).then(|| {
        let title = format!("{} nodes Ready", spec.nodes.len());
        Step::new(nodes_id(), Change::Create, title, Action::AwaitNodes)
            .after([objects_id(ObjectSet::Cilium)])
            .after(all_configured)
    }));
    draft.add((!applications.is_some_and(Vec::is_empty)).then(|| {
        let title = format!("every component of {} serves", spec.gitops.path);
        Step::new(platform_id(), Change::Create, title, Action::AwaitPlatform)
            .after([objects_id(ObjectSet::Root), nodes_id()])
    }));
}

fn title_of(spec: &Spec, set: ObjectSet) -> String {
    let versions = &spec.versions;
    match set {
        ObjectSet::GatewayApi => format!("Gateway API {}", versions.gateway_api),
        ObjectSet::Cilium => format!("Cilium {}", versions.cilium),
        ObjectSet::SecretZero => "secrets that nothing in Git may hold".to_owned(),
        ObjectSet::ArgoCd => format!("Argo CD, chart {}", versions.argo_cd),
        ObjectSet::Root => format!("root Application of {}", spec.gitops.repository),
    }
}

fn tunnel(seen: &Observation) -> Option<Step> {
    if seen.stale_tunnel_files.is_empty() {
        return None;
    }
    let title = format!("WireGuard files: {}", seen.stale_tunnel_files.join(", "));
    Some(
        Step::new(
            StepId::new("wireguard", "files"),
            Change::Create,
            title,
            Action::WriteTunnel,
        )
        .after([secrets_id()]),
    )
}

fn backup(spec: &Spec, seen: &Observation) -> Option<Step> {
    if seen.backup.current_snapshot.is_some() {
        return None;
    }
    let title = "etcd, machine configurations and secrets bundle".to_owned();
    Some(
        Step::new(
            StepId::new("backup", spec.name.as_str()),
            Change::Create,
            title,
            Action::BackUp,
        )
        .after([secrets_id(), etcd_id(), platform_id(), nodes_id()]),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::observe::{BackupSeen, HostSeen, Leftover};
    use crate::plan::Difference;

    fn production() -> Spec {
        let text = include_str!("../../environments/production/cluster.yaml");
        Spec::parse("cluster.yaml", text).unwrap()
    }

    fn empty_world(spec: &Spec) -> Observation {
        let host = HostSeen {
            version: "9.1.9".to_owned(),
            has_image: false,
            contradictions: Vec::new(),
        };
        Observation {
            missing_secrets: vec!["Talos bundle".to_owned()],
            hosts: [("pve1".to_owned(), host)].into(),
            machines: spec
                .nodes
                .iter()
                .map(|node| (node.name.to_string(), MachineSeen::Absent))
                .collect(),
            stale_tunnel_files: vec!["vps.conf".to_owned()],
            ..Observation::default()
        }
    }

    fn finished_world(spec: &Spec) -> Observation {
        let mut seen = empty_world(spec);
        seen.missing_secrets.clear();
        seen.stale_tunnel_files.clear();
        for host in seen.hosts.values_mut() {
            host.has_image = true;
        }
        for machine in seen.machines.values_mut() {
            *machine = MachineSeen::Present {
                differences: Vec::new(),
                running: true,
                talos: TalosSeen::Configured {
                    version: "v1.13.9".to_owned(),
                    drifted: false,
                },
            };
        }
        seen.etcd = Some(vec!["cp-1".to_owned()]);
        seen.kubernetes = KubernetesSeen::Serving {
            stale: std::collections::BTreeMap::new(),
            nodes: spec
                .nodes
                .iter()
                .map(|node| (node.name.to_string(), true))
                .collect(),
            unready_applications: Some(Vec::new()),
        };
        seen.backup = BackupSeen {
            repository: true,
            current_snapshot: Some("1a2b".to_owned()),
        };
        seen
    }

    #[test]
    fn an_empty_world_needs_everything_in_the_order_of_the_bootstrap() {
        let spec = production();
        let plan = decide(&spec, &empty_world(&spec)).unwrap();
        let place = |id: &str| {
            plan.steps()
                .iter()
                .position(|step| step.id.as_str() == id)
                .unwrap()
        };
        let order = [
            "secrets/file",
            "vm/cp-1",
            "start/cp-1",
            "talos/cp-1",
            "etcd/bootstrap",
            "objects/gateway-api",
            "objects/cilium",
            "kubernetes/nodes",
            "objects/secret-zero",
            "objects/argo-cd",
            "objects/root",
            "argo-cd/platform",
            "backup/production",
        ];
        assert!(order.is_sorted_by_key(|id| place(id)), "{plan}");
        assert_eq!(
            plan.steps()
                .iter()
                .filter(|step| step.id.kind() == "vm")
                .count(),
            9
        );
        assert_eq!(plan.unchanged(), 0);
    }

    #[test]
    fn a_finished_world_needs_nothing() {
        let spec = production();
        let plan = decide(&spec, &finished_world(&spec)).unwrap();
        assert!(plan.is_empty(), "{plan}");
    }

    #[test]
    fn a_machine_that_differs_is_changed_and_one_too_many_removed() {
        let spec = production();
        let mut seen = finished_world(&spec);
        let differences = Difference::between("memory", 4096, 8192)
            .into_iter()
            .collect();
        let running = MachineSeen::Present {
            differences,
            running: true,
            talos: TalosSeen::Configured {
                version: "v1.13.9".to_owned(),
                drifted: true,
            },
        };
        seen.machines.insert("worker-1".to_owned(), running);
        let leftover = Leftover {
            host: "pve1".into(),
            vmid: 8299,
            name: "worker-99".into(),
        };
        seen.leftovers.push(leftover);
        let plan = decide(&spec, &seen).unwrap();
        let steps: Vec<_> = plan
            .steps()
            .iter()
            .map(|step| (step.change.symbol(), step.id.as_str()))
            .collect();
        assert_eq!(
            steps,
            [
                ('~', "vm/worker-1"),
                ('~', "talos/worker-1"),
                ('-', "vm/worker-99")
            ]
        );
    }

    #[test]
    fn a_number_that_belongs_to_somebody_else_is_refused_with_all_other_refusals() {
        let spec = production();
        let mut seen = empty_world(&spec);
        seen.machines
            .insert("cp-1".into(), MachineSeen::Foreign { name: "nas".into() });
        seen.hosts
            .get_mut("pve1")
            .unwrap()
            .contradictions
            .push("has 8 cores".into());
        let refusals: Vec<_> = decide(&spec, &seen)
            .unwrap_err()
            .iter()
            .map(Failure::to_string)
            .collect();
        assert_eq!(
            refusals,
            [
                "cp-1: vmid 8101 belongs to VM \"nas\" on pve1, which this cluster does not own",
                "pve1: has 8 cores"
            ]
        );
    }

    #[test]
    fn removal_takes_our_machines_and_leaves_those_of_others() {
        let spec = production();
        let mut seen = finished_world(&spec);
        seen.machines
            .insert("cp-1".into(), MachineSeen::Foreign { name: "nas".into() });
        seen.machines.insert("cp-2".into(), MachineSeen::Absent);
        let plan = removal(&spec, &seen);
        assert_eq!(plan.tally().delete, 7);
    }
}
