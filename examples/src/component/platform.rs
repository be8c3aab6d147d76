//! Storage and policy: what applications stand on.

use std::net::Ipv4Addr;

use super::build::{Ask, Draft, generated};
use super::{Kind, PodSecurity, Protocol, Replicas, SecretSource};

pub(super) fn add(draft: &mut Draft<'_>) {
    if draft.wants("snapshot-controller") {
        snapshots(draft);
    }
    if draft.wants("longhorn") {
        longhorn(draft);
    }
    if draft.wants("proxmox-csi") {
        proxmox_csi(draft);
    }
    if draft.wants("kyverno") {
        kyverno(draft);
    }
    if draft.wants("gatekeeper") {
        gatekeeper(draft);
    }
}

fn snapshots(draft: &mut Draft<'_>) {
    let crds = draft
        .begin("snapshot-crds", "", PodSecurity::Restricted, -4)
        .release(
            "https://github.com/kubernetes-csi/external-snapshotter/tree/v8.6.0/client/config/crd"
                .into(),
        )
        .brings_crds(
            "snapshot.storage.k8s.io",
            [
                "volumesnapshotclasses",
                "volumesnapshotcontents",
                "volumesnapshots",
            ],
        )
        .brings_crds(
            "groupsnapshot.storage.k8s.io",
            [
                "volumegroupsnapshotclasses",
                "volumegroupsnapshotcontents",
                "volumegroupsnapshots",
            ],
        );
    draft.add(crds);
    let controller = draft
        .begin(
            "snapshot-controller",
            "snapshot-controller",
            PodSecurity::Restricted,
            1,
        )
        .chart(
            "https://piraeus.io/helm-charts",
            "snapshot-controller",
            "5.2.0",
        )
        .needs_crds([
            "volumesnapshots.snapshot.storage.k8s.io",
            "volumesnapshotcontents.snapshot.storage.k8s.io",
        ])
        .runs(
            Kind::Deployment,
            "snapshot-controller",
            "snapshot-controller",
            Replicas::Count(1),
            Ask([10, 32], [20, 48]),
        )
        .metrics(8080)
        .calls_api();
    draft.add(controller);
}

fn longhorn(draft: &mut Draft<'_>) {
    let spec = draft.spec;
    // The engine's share: 12% of the smallest worker's CPU, Longhorn's default.
    let engine = spec
        .workers()
        .map(|node| u64::from(node.cores) * 120)
        .min()
        .unwrap_or(480);
    let driver = Replicas::Count(spec.tier.replicas());
    let driver_ask = Ask([10, 20], [15, 32]);
    let mut longhorn = draft
        .begin("longhorn", "longhorn-system", PodSecurity::Privileged, 1)
        .chart(
            "https://charts.longhorn.io",
            "longhorn",
            spec.versions.longhorn.bare(),
        )
        .needs_extensions(["siderolabs/iscsi-tools", "siderolabs/util-linux-tools"])
        .brings_crds(
            "longhorn.io",
            [
                "backingimages",
                "backups",
                "backuptargets",
                "backupvolumes",
                "engineimages",
                "engines",
                "instancemanagers",
                "nodes",
                "orphans",
                "recurringjobs",
                "replicas",
                "settings",
                "sharemanagers",
                "snapshots",
                "volumeattachments",
                "volumes",
            ],
        )
        .runs(
            Kind::DaemonSet,
            "manager",
            "longhorn-manager",
            Replicas::EveryWorker,
            Ask([50, 96], [50, 128]),
        )
        .labels([("app", "longhorn-manager")])
        .listens("manager", 9500)
        .listens("recovery", 9503)
        .metrics(9500)
        .webhook(9501)
        .webhook(9502)
        .calls_api()
        .calls_range(
            "longhorn",
            "manager",
            (9500, 9503),
            "managers among themselves",
        )
        .calls_range(
            "longhorn",
            "instance-manager",
            (8500, 8505),
            "control of engines",
        )
        .runs(
            Kind::DaemonSet,
            "instance-manager",
            "longhorn-instance-manager",
            Replicas::EveryWorker,
            Ask([engine, 128], [engine, 128]),
        )
        .labels([("longhorn.io/component", "instance-manager")])
        .no_metrics("told through the manager")
        .listens("control", 8500)
        .calls_range(
            "longhorn",
            "instance-manager",
            (8500, 8505),
            "control of engines",
        )
        .calls_range(
            "longhorn",
            "instance-manager",
            (10_000, 30_000),
            "replication",
        )
        .runs(
            Kind::DaemonSet,
            "csi-plugin",
            "longhorn-csi-plugin",
            Replicas::EveryWorker,
            Ask([50, 64], [200, 256]),
        )
        .labels([("app", "longhorn-csi-plugin")])
        .no_metrics("told through the manager")
        .calls_api()
        .calls("longhorn", "manager", 9500, "volumes")
        .runs(
            Kind::Deployment,
            "driver-deployer",
            "longhorn-driver-deployer",
            Replicas::Count(1),
            Ask([10, 32], [20, 48]),
        )
        .labels([("app", "longhorn-driver-deployer")])
        .no_metrics("runs once")
        .calls_api()
        .calls("longhorn", "manager", 9500, "whether the manager serves");
    for sidecar in [
        "csi-attacher",
        "csi-provisioner",
        "csi-resizer",
        "csi-snapshotter",
    ] {
        longhorn = longhorn
            .runs(Kind::Deployment, sidecar, sidecar, driver, driver_ask)
            .labels([("app", sidecar)])
            .no_metrics("leader election is all that it has")
            .calls_api();
    }
    longhorn = longhorn
        .runs(
            Kind::Deployment,
            "ui",
            "longhorn-ui",
            Replicas::Count(1),
            Ask([10, 32], [20, 48]),
        )
        .labels([("app", "longhorn-ui")])
        .no_metrics("a static page")
        .listens("http", 8000)
        .calls("longhorn", "manager", 9500, "everything that it shows");
    for class in &spec.storage.classes {
        longhorn = longhorn.brings_class(class.name.as_str());
    }
    draft.add(longhorn);
}

fn proxmox_csi(draft: &mut Draft<'_>) {
    let spec = draft.spec;
    let endpoint = &spec.proxmox.endpoint;
    let port = endpoint
        .as_str()
        .rsplit(':')
        .next()
        .and_then(|port| port.parse().ok())
        .unwrap_or(8006);
    let mut component = draft
        .begin("proxmox-csi", "csi-proxmox", PodSecurity::Privileged, 1)
        .chart(
            "oci://ghcr.io/sergelogvinov/charts",
            "proxmox-csi-plugin",
            "0.5.9",
        )
        .needs_secret(
            "proxmox-csi-plugin",
            [(
                "config.yaml",
                SecretSource::Reference(spec.proxmox.token_from.clone()),
            )],
        )
        .runs(
            Kind::Deployment,
            "controller",
            "proxmox-csi-plugin-controller",
            Replicas::Count(1),
            Ask([20, 64], [60, 96]),
        )
        .no_metrics("off by default in the chart")
        .calls_api();
    component = match endpoint.host().parse::<Ipv4Addr>() {
        Ok(address) => component.calls_address(address, port, Protocol::Tcp, "Proxmox VE API"),
        Err(_) => component.calls_host(endpoint.host(), port, "Proxmox VE API"),
    };
    component = component
        .runs(
            Kind::DaemonSet,
            "node",
            "proxmox-csi-plugin-node",
            Replicas::EveryWorker,
            Ask([20, 32], [40, 64]),
        )
        .no_metrics("off by default in the chart")
        .calls_api()
        .brings_class("proxmox-csi");
    draft.add(component);
}

fn kyverno(draft: &mut Draft<'_>) {
    let component = draft
        .begin("kyverno", "kyverno", PodSecurity::Restricted, 3)
        .chart("https://kyverno.github.io/kyverno", "kyverno", "3.9.0")
        .brings_crds(
            "kyverno.io",
            [
                "cleanuppolicies",
                "clustercleanuppolicies",
                "clusterpolicies",
                "policies",
                "policyexceptions",
            ],
        )
        .brings_crds(
            "policies.kyverno.io",
            [
                "validatingpolicies",
                "mutatingpolicies",
                "generatingpolicies",
                "policyexceptions",
            ],
        );
    let replicated = component.replicated();
    let mut component = component
        .runs(
            Kind::Deployment,
            "admission",
            "kyverno-admission-controller",
            replicated,
            Ask([50, 128], [100, 256]),
        )
        .labels([
            ("app.kubernetes.io/part-of", "kyverno"),
            ("app.kubernetes.io/component", "admission-controller"),
        ])
        .apart()
        .budget()
        .metrics(8000)
        .webhook(9443)
        .calls_api();
    for (name, object) in [
        ("background", "kyverno-background-controller"),
        ("cleanup", "kyverno-cleanup-controller"),
        ("reports", "kyverno-reports-controller"),
    ] {
        let label = object.trim_start_matches("kyverno-");
        component = component
            .runs(
                Kind::Deployment,
                name,
                object,
                Replicas::Count(1),
                Ask([20, 64], [50, 128]),
            )
            .labels([
                ("app.kubernetes.io/part-of", "kyverno"),
                ("app.kubernetes.io/component", label),
            ])
            .metrics(8000)
            .calls_api();
        if name == "cleanup" {
            component = component.webhook(9443);
        }
    }
    draft.add(component);
}

fn gatekeeper(draft: &mut Draft<'_>) {
    let component = draft
        .begin(
            "gatekeeper",
            "gatekeeper-system",
            PodSecurity::Restricted,
            3,
        )
        .chart(
            "https://open-policy-agent.github.io/gatekeeper/charts",
            "gatekeeper",
            "3.23.0",
        )
        .brings_crds("templates.gatekeeper.sh", ["constrainttemplates"])
        .needs_secret(
            "gatekeeper-webhook-server-cert",
            [("ca.key", generated("gatekeeper-ca"))],
        );
    let replicated = component.replicated();
    let component = component
        .runs(
            Kind::Deployment,
            "controller",
            "gatekeeper-controller-manager",
            replicated,
            Ask([50, 128], [100, 256]),
        )
        .labels([
            ("control-plane", "controller-manager"),
            ("gatekeeper.sh/system", "yes"),
        ])
        .apart()
        .budget()
        .metrics(8888)
        .webhook(8443)
        .calls_api()
        .runs(
            Kind::Deployment,
            "audit",
            "gatekeeper-audit",
            Replicas::Count(1),
            Ask([50, 128], [100, 256]),
        )
        .labels([
            ("control-plane", "audit-controller"),
            ("gatekeeper.sh/system", "yes"),
        ])
        .metrics(8888)
        .calls_api();
    draft.add(component);
}
