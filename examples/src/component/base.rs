//! What every cluster has: Cilium, DNS, definitions of the Gateway API, Argo CD.

use super::build::{Ask, Draft, generated};
use super::{Kind, PodSecurity, Protocol, Replicas};
use crate::spec::Tier;
use crate::spec::platform::Encryption;

pub(super) fn add(draft: &mut Draft<'_>) {
    gateway_api(draft);
    cilium(draft);
    coredns(draft);
    argo_cd(draft);
}

fn gateway_api(draft: &mut Draft<'_>) {
    let version = draft.spec.versions.gateway_api.tag();
    let url = format!(
        "https://github.com/kubernetes-sigs/gateway-api/releases/download/{version}/standard-install.yaml"
    );
    let component = draft
        .begin("gateway-api", "", PodSecurity::Restricted, -4)
        .release(url)
        .brings_crds(
            "gateway.networking.k8s.io",
            [
                "backendtlspolicies",
                "gatewayclasses",
                "gateways",
                "grpcroutes",
                "httproutes",
                "referencegrants",
            ],
        );
    let minor = draft.spec.versions.gateway_api.minor();
    let component = if minor >= (1, 5) {
        component.brings_crds("gateway.networking.k8s.io", ["listenersets", "tlsroutes"])
    } else {
        component
    };
    let component = if minor >= (1, 6) {
        component.brings_crds("gateway.networking.k8s.io", ["tcproutes", "udproutes"])
    } else {
        component
    };
    draft.add(component);
}

fn cilium(draft: &mut Draft<'_>) {
    let spec = draft.spec;
    // The operator's pods never share a node, and the chart wants two: one node more would wait for ever.
    let operators = if spec.tier == Tier::Development || spec.nodes.len() < 2 {
        1
    } else {
        2
    };
    let mut cilium = draft
        .begin("cilium", "kube-system", PodSecurity::Privileged, -3)
        .chart(
            "https://helm.cilium.io",
            "cilium",
            spec.versions.cilium.bare(),
        )
        .needs_crds([
            "gatewayclasses.gateway.networking.k8s.io",
            "gateways.gateway.networking.k8s.io",
            "grpcroutes.gateway.networking.k8s.io",
            "httproutes.gateway.networking.k8s.io",
            "referencegrants.gateway.networking.k8s.io",
        ])
        .brings_crds(
            "cilium.io",
            [
                "ciliumbgpadvertisements",
                "ciliumbgpclusterconfigs",
                "ciliumbgpnodeconfigoverrides",
                "ciliumbgpnodeconfigs",
                "ciliumbgppeerconfigs",
                "ciliumcidrgroups",
                "ciliumclusterwideenvoyconfigs",
                "ciliumclusterwidenetworkpolicies",
                "ciliumendpoints",
                "ciliumenvoyconfigs",
                "ciliumgatewayclassconfigs",
                "ciliumidentities",
                "ciliuml2announcementpolicies",
                "ciliumloadbalancerippools",
                "ciliumnetworkpolicies",
                "ciliumnodeconfigs",
                "ciliumnodes",
                "ciliumpodippools",
            ],
        )
        .runs(
            Kind::DaemonSet,
            "agent",
            "cilium",
            Replicas::EveryNode,
            Ask([250, 384], [500, 512]),
        )
        .labels([
            ("k8s-app", "cilium"),
            ("app.kubernetes.io/name", "cilium-agent"),
        ])
        .host_network()
        .listens("health", 4240)
        .listens("hubble-peer", 4244)
        .metrics(9962)
        .calls_api();
    if spec.cilium.encryption == Encryption::Wireguard {
        cilium = cilium.listens_on("wireguard", 51_871, Protocol::Udp);
    }
    cilium = cilium
        .runs(
            Kind::DaemonSet,
            "envoy",
            "cilium-envoy",
            Replicas::EveryNode,
            Ask([20, 64], [50, 128]),
        )
        .labels([
            ("k8s-app", "cilium-envoy"),
            ("app.kubernetes.io/name", "cilium-envoy"),
        ])
        .host_network()
        .metrics(9964)
        .runs(
            Kind::Deployment,
            "operator",
            "cilium-operator",
            Replicas::Count(operators),
            Ask([50, 128], [200, 256]),
        )
        .labels([("io.cilium/app", "operator"), ("name", "cilium-operator")])
        .host_network()
        .on_control_planes()
        .apart()
        .metrics(9963)
        .calls_api();
    if spec.cilium.hubble.relay {
        cilium = cilium
            .runs(
                Kind::Deployment,
                "hubble-relay",
                "hubble-relay",
                Replicas::Count(1),
                Ask([20, 64], [50, 128]),
            )
            .labels([("k8s-app", "hubble-relay")])
            .listens("grpc", 4245)
            .metrics(9966)
            .calls_nodes(4244, "flows of each node");
    }
    if spec.cilium.hubble.ui {
        cilium = cilium
            .runs(
                Kind::Deployment,
                "hubble-ui",
                "hubble-ui",
                Replicas::Count(1),
                Ask([20, 64], [50, 128]),
            )
            .labels([("k8s-app", "hubble-ui")])
            .listens("http", 8081)
            .no_metrics("a static page and a thin back-end")
            .calls_api()
            .calls("cilium", "hubble-relay", 4245, "flows");
    }
    draft.add(cilium);
}

/// Talos brings DNS itself and writes it back at each upgrade: it is described, not managed.
fn coredns(draft: &mut Draft<'_>) {
    let spec = draft.spec;
    let mut coredns = draft
        .begin("coredns", "kube-system", PodSecurity::Privileged, -2)
        .talos()
        .after(["cilium"])
        .runs(
            Kind::Deployment,
            "coredns",
            "coredns",
            Replicas::Count(2),
            Ask([100, 70], [100, 70]),
        )
        .labels([("k8s-app", "kube-dns")])
        .on_control_planes()
        .listens_on("dns", 53, Protocol::Udp)
        .listens_on("dns-tcp", 53, Protocol::Tcp)
        .metrics(9153)
        .calls_api();
    for server in &spec.dns.servers {
        for protocol in [Protocol::Udp, Protocol::Tcp] {
            coredns = coredns.calls_address(*server, 53, protocol, "names outside the cluster");
        }
    }
    draft.add(coredns);
}

/// An Application is as healthy as Argo CD last found it. Without the rule it counts as healthy at once, and waves of
/// Applications do not wait for each other (argo-cd issue 4577).
const APPLICATION_HEALTH: &str = "\
local health = (obj.status or {}).health or {}
return { status = health.status or 'Progressing', message = health.message or '' }
";

fn argo_cd(draft: &mut Draft<'_>) {
    let spec = draft.spec;
    let git = &spec.gitops.repository;
    let argo = draft
        .begin("argo-cd", "argocd", PodSecurity::Restricted, 0)
        .chart(
            "https://argoproj.github.io/argo-helm",
            "argo-cd",
            spec.versions.argo_cd.bare(),
        )
        .brings_crds(
            "argoproj.io",
            ["applications", "applicationsets", "appprojects"],
        )
        .after(["cilium", "coredns"])
        .needs_secret("argocd-redis", [("auth", generated("argocd-redis"))])
        .setting(
            "argocd-cm",
            "resource.customizations.health.argoproj.io_Application",
            APPLICATION_HEALTH,
        )
        .setting(
            "argocd-cm",
            "application.resourceTrackingMethod",
            "annotation+label",
        );
    let replicated = argo.replicated();
    let mut argo = argo
        .runs(
            Kind::StatefulSet,
            "controller",
            "argocd-application-controller",
            Replicas::Count(1),
            Ask([100, 400], [250, 768]),
        )
        .metrics(8082)
        .calls_api()
        .calls("argo-cd", "repo-server", 8081, "rendered manifests")
        .calls("argo-cd", "redis", 6379, "cache")
        .runs(
            Kind::Deployment,
            "repo-server",
            "argocd-repo-server",
            replicated,
            Ask([50, 256], [100, 384]),
        )
        .apart()
        .budget()
        .listens("grpc", 8081)
        .metrics(8084)
        .calls("argo-cd", "redis", 6379, "cache")
        .calls_host(git.host(), git.port(), "Git repository");
    for host in chart_hosts(draft) {
        argo = argo.calls_host(&host, 443, "charts");
    }
    argo = argo
        .runs(
            Kind::Deployment,
            "server",
            "argocd-server",
            replicated,
            Ask([50, 128], [50, 256]),
        )
        .budget()
        .listens("http", 8080)
        .metrics(8083)
        .calls_api()
        .calls("argo-cd", "repo-server", 8081, "rendered manifests")
        .calls("argo-cd", "redis", 6379, "sessions");
    if draft.wants("authelia") {
        argo = argo.calls_gateway("single sign-on");
    }
    argo = argo
        .runs(
            Kind::Deployment,
            "applicationset",
            "argocd-applicationset-controller",
            Replicas::Count(1),
            Ask([50, 128], [50, 128]),
        )
        .metrics(8080)
        .calls_api()
        .calls("argo-cd", "repo-server", 8081, "generators that read Git")
        .runs(
            Kind::Deployment,
            "redis",
            "argocd-redis",
            Replicas::Count(1),
            Ask([50, 64], [100, 128]),
        )
        .no_metrics("a cache that is made again; its exporter is off")
        .listens("redis", 6379);
    draft.add(argo);
}

/// Hosts from which Argo CD takes the charts of what the environment asks for.
fn chart_hosts(draft: &Draft<'_>) -> Vec<String> {
    let by_component: [(&str, &[&str]); 11] = [
        ("cert-manager", &["charts.jetstack.io"]),
        ("external-dns", &["kubernetes-sigs.github.io"]),
        ("metrics-server", &["kubernetes-sigs.github.io"]),
        ("snapshot-controller", &["piraeus.io"]),
        ("longhorn", &["charts.longhorn.io"]),
        ("kube-prometheus-stack", &["prometheus-community.github.io"]),
        ("loki", &["grafana-community.github.io"]),
        ("authelia", &["charts.authelia.com", "valkey.io"]),
        ("kyverno", &["kyverno.github.io"]),
        ("gatekeeper", &["open-policy-agent.github.io"]),
        (
            "proxmox-csi",
            &["ghcr.io", "pkg-containers.githubusercontent.com"],
        ),
    ];
    let mut hosts: Vec<String> = ["helm.cilium.io", "argoproj.github.io"]
        .map(str::to_owned)
        .into();
    for (component, sources) in by_component {
        if draft.wants(component) {
            hosts.extend(sources.iter().map(|host| (*host).to_owned()));
        }
    }
    hosts.sort();
    hosts.dedup();
    hosts
}
