//! Metrics, logs, backups: what tells how the cluster is and brings it back.

use super::build::{Ask, Draft, generated};
use super::{Kind, PodSecurity, Protocol, Replicas, SecretSource};
use crate::spec::backup::What;

pub(super) fn add(draft: &mut Draft<'_>) {
    if draft.wants("metrics-server") {
        metrics_server(draft);
    }
    if draft.wants("kube-prometheus-stack") {
        monitoring(draft);
    }
    if draft.wants("loki") {
        loki(draft);
    }
    backups(draft);
}

fn metrics_server(draft: &mut Draft<'_>) {
    let component = draft
        .begin("metrics-server", "kube-system", PodSecurity::Privileged, -2)
        .chart(
            "https://kubernetes-sigs.github.io/metrics-server",
            "metrics-server",
            "3.13.0",
        )
        .runs(
            Kind::Deployment,
            "metrics-server",
            "metrics-server",
            Replicas::Count(1),
            Ask([20, 64], [100, 200]),
        )
        .no_metrics("it is the metrics API itself")
        .webhook(10_250)
        .calls_api()
        .calls_nodes(10_250, "usage of each node's pods");
    draft.add(component);
}

fn monitoring(draft: &mut Draft<'_>) {
    let spec = draft.spec;
    let wishes = &spec.components.monitoring;
    let crds = draft
        .begin("prometheus-operator-crds", "", PodSecurity::Restricted, -4)
        .chart(
            "https://prometheus-community.github.io/helm-charts",
            "prometheus-operator-crds",
            "29.0.0",
        )
        .brings_crds(
            "monitoring.coreos.com",
            [
                "alertmanagerconfigs",
                "alertmanagers",
                "podmonitors",
                "probes",
                "prometheusagents",
                "prometheuses",
                "prometheusrules",
                "scrapeconfigs",
                "servicemonitors",
                "thanosrulers",
            ],
        );
    draft.add(crds);

    // node-exporter needs the node's network and files, and it lives in the same namespace.
    let stack = draft
        .begin(
            "kube-prometheus-stack",
            "monitoring",
            PodSecurity::Privileged,
            5,
        )
        .chart(
            "https://prometheus-community.github.io/helm-charts",
            "kube-prometheus-stack",
            "88.5.3",
        )
        .needs_crds([
            "alertmanagers.monitoring.coreos.com",
            "prometheuses.monitoring.coreos.com",
            "prometheusrules.monitoring.coreos.com",
            "servicemonitors.monitoring.coreos.com",
        ])
        .needs_secret(
            "grafana-admin",
            [
                ("admin-user", SecretSource::Plain("admin".into())),
                ("admin-password", generated("grafana-admin")),
            ],
        );
    let size = stack.size(10, 50);
    let replicated = stack.replicated();
    let prometheus = Replicas::Count(wishes.prometheus_replicas.max(1));
    let mut stack = stack
        .runs(
            Kind::StatefulSet,
            "prometheus",
            "prometheus-kube-prometheus-stack-prometheus",
            prometheus,
            Ask([300, 1024], [2000, 4096]),
        )
        .labels([("app.kubernetes.io/name", "prometheus")])
        .apart()
        .listens("http", 9090)
        .metrics(9090)
        .volume(None, size)
        .calls_api()
        .calls("kube-prometheus-stack", "alertmanager", 9093, "alerts")
        .calls_nodes(10_250, "kubelet")
        .calls_nodes(2381, "etcd")
        .calls_nodes(10_257, "controller manager")
        .calls_nodes(10_259, "scheduler")
        .calls_nodes(9965, "Hubble")
        .runs(
            Kind::StatefulSet,
            "alertmanager",
            "alertmanager-kube-prometheus-stack-alertmanager",
            replicated,
            Ask([20, 64], [50, 100]),
        )
        .labels([("app.kubernetes.io/name", "alertmanager")])
        .budget()
        .listens("http", 9093)
        .listens("mesh-tcp", 9094)
        .listens_on("mesh-udp", 9094, Protocol::Udp)
        .metrics(9093);
    if replicated.count(1, 1) > 1 {
        for protocol in [Protocol::Tcp, Protocol::Udp] {
            stack = stack.calls_on(
                "kube-prometheus-stack",
                "alertmanager",
                9094,
                protocol,
                "silences and notifications",
            );
        }
    }
    stack = stack
        .runs(
            Kind::Deployment,
            "grafana",
            "kube-prometheus-stack-grafana",
            Replicas::Count(1),
            Ask([50, 128], [150, 256]),
        )
        .labels([("app.kubernetes.io/name", "grafana")])
        .listens("http", 3000)
        .metrics(3000)
        .calls_api()
        .calls("kube-prometheus-stack", "prometheus", 9090, "data source")
        .calls("kube-prometheus-stack", "alertmanager", 9093, "data source")
        .calls("loki", "loki", 3100, "data source");
    if draft.wants("authelia") {
        stack = stack.calls_gateway("single sign-on");
    }
    stack = stack
        .runs(
            Kind::Deployment,
            "operator",
            "kube-prometheus-stack-operator",
            Replicas::Count(1),
            Ask([30, 64], [50, 128]),
        )
        .labels([("app", "kube-prometheus-stack-operator")])
        .metrics(10_250)
        .webhook(10_250)
        .calls_api()
        .runs(
            Kind::Deployment,
            "kube-state-metrics",
            "kube-prometheus-stack-kube-state-metrics",
            Replicas::Count(1),
            Ask([30, 96], [50, 128]),
        )
        .labels([("app.kubernetes.io/name", "kube-state-metrics")])
        .metrics(8080)
        .calls_api()
        .runs(
            Kind::DaemonSet,
            "node-exporter",
            "kube-prometheus-stack-prometheus-node-exporter",
            Replicas::EveryNode,
            Ask([10, 32], [50, 64]),
        )
        .labels([("app.kubernetes.io/name", "prometheus-node-exporter")])
        .host_network()
        .metrics(9100);
    draft.add(stack);
}

fn loki(draft: &mut Draft<'_>) {
    let component = draft
        .begin("loki", "loki", PodSecurity::Restricted, 6)
        .chart(
            "https://grafana-community.github.io/helm-charts",
            "loki",
            "18.11.0",
        );
    let size = component.size(10, 20);
    let replicas = draft.spec.components.loki.replicas.unwrap_or(1);
    let mut component = component
        .runs(
            Kind::StatefulSet,
            "loki",
            "loki",
            Replicas::Count(replicas),
            Ask([100, 384], [300, 800]),
        )
        .budget()
        .listens("http", 3100)
        .listens("grpc", 9095)
        .listens("members", 7946)
        .metrics(3100)
        .volume(None, size);
    if replicas > 1 {
        component = component.calls("loki", "loki", 7946, "members").calls(
            "loki",
            "loki",
            9095,
            "queries among members",
        );
    }
    draft.add(component);
}

/// One scheduled job per declared backup of volumes; what lies outside the cluster is backed up from outside.
fn backups(draft: &mut Draft<'_>) {
    let Some(backup) = &draft.spec.backup else {
        return;
    };
    let mut component = draft.begin("backup", "backup", PodSecurity::Restricted, 8);
    let mut any = false;
    for (name, job) in &backup.jobs {
        let Some(repository) = backup
            .repositories
            .get(&job.repository)
            .filter(|_| job.what.contains(&What::Volumes))
        else {
            continue;
        };
        any = true;
        component = component
            .runs(
                Kind::CronJob,
                name,
                &format!("restic-{name}"),
                Replicas::Count(1),
                Ask([50, 128], [100, 256]),
            )
            .no_metrics("told by the age of the newest snapshot");
        if let Some((host, port)) = repository_host(&repository.url) {
            component = component.calls_host(host, port, "repository");
        }
    }
    for (name, repository) in &backup.repositories {
        let used = backup
            .jobs
            .values()
            .any(|job| job.repository == *name && job.what.contains(&What::Volumes));
        if used {
            component = component.needs_secret(
                &format!("restic-{name}"),
                [(
                    "password",
                    SecretSource::Reference(repository.password_from.clone()),
                )],
            );
            if let Some(secret) = component.component.needs.secrets.last_mut() {
                for (variable, reference) in &repository.environment {
                    secret
                        .keys
                        .insert(variable.clone(), SecretSource::Reference(reference.clone()));
                }
            }
        }
    }
    if any {
        draft.add(component);
    }
}

/// Host and port of a repository that is reached over the network.
pub(crate) fn repository_host(url: &str) -> Option<(&str, u16)> {
    let (scheme, rest) = url.split_once(':')?;
    let default = match scheme {
        "s3" => 443,
        "rest" => 8000,
        "sftp" => 22,
        _ => return None,
    };
    let (port, rest) = match rest.split_once("://") {
        Some(("https", rest)) => (443, rest),
        Some(("http", rest)) => (80, rest),
        Some((_, rest)) => (default, rest),
        None => (default, rest.trim_start_matches('/')),
    };
    let authority = rest.split('/').next()?;
    let authority = authority
        .rsplit_once('@')
        .map_or(authority, |(_, host)| host);
    let (host, port) = match authority.rsplit_once(':') {
        Some((host, given)) if !given.is_empty() => (host, given.parse().ok()?),
        Some((host, _)) => (host, port),
        None => (authority, port),
    };
    (!host.is_empty()).then_some((host, port))
}
