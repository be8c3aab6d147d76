//! Names, certificates, users: what stands between the world and the applications.

use super::build::{Ask, Draft, generated};
use super::{Kind, PodSecurity, Protocol, Replicas, SecretSource};
use crate::spec::components::{Database, Sessions};
use crate::spec::platform::Solver;

/// The DNS provider whose API is spoken to; the token decides for which zone.
const DNS_PROVIDER: &str = "api.cloudflare.com";

pub(super) fn add(draft: &mut Draft<'_>) {
    if draft.wants("cert-manager") {
        cert_manager(draft);
    }
    if draft.wants("external-dns") {
        external_dns(draft);
    }
    if draft.wants("lldap") {
        lldap(draft);
    }
    if draft.wants("authelia") {
        authelia(draft);
    }
}

fn dns_token(draft: &Draft<'_>) -> SecretSource {
    let reference = draft
        .spec
        .gateway
        .as_ref()
        .and_then(|gateway| gateway.certificate.token_from.clone());
    reference.map_or_else(|| generated("dns-provider-token"), SecretSource::Reference)
}

fn cert_manager(draft: &mut Draft<'_>) {
    let certificate = draft
        .spec
        .gateway
        .as_ref()
        .map(|gateway| &gateway.certificate);
    let mut component = draft
        .begin("cert-manager", "cert-manager", PodSecurity::Restricted, 1)
        .chart("https://charts.jetstack.io", "cert-manager", "v1.21.1")
        .brings_crds(
            "cert-manager.io",
            [
                "certificaterequests",
                "certificates",
                "clusterissuers",
                "issuers",
            ],
        )
        .brings_crds("acme.cert-manager.io", ["challenges", "orders"])
        .runs(
            Kind::Deployment,
            "controller",
            "cert-manager",
            Replicas::Count(1),
            Ask([20, 96], [50, 128]),
        )
        .labels([
            ("app.kubernetes.io/name", "cert-manager"),
            ("app.kubernetes.io/component", "controller"),
        ])
        .metrics(9402)
        .calls_api();
    if let Some(certificate) = certificate {
        if let Some(host) = host_of(&certificate.server) {
            component = component.calls_host(host, 443, "ACME directory");
        }
        if certificate.solver == Solver::Dns01 {
            component = component
                .needs_secret("dns-provider", [("api-token", dns_token(draft))])
                .calls_host(DNS_PROVIDER, 443, "DNS provider");
            for server in &draft.spec.dns.servers {
                for protocol in [Protocol::Udp, Protocol::Tcp] {
                    component = component.calls_address(
                        *server,
                        53,
                        protocol,
                        "whether the challenge is visible",
                    );
                }
            }
        }
    }
    component = component
        .runs(
            Kind::Deployment,
            "webhook",
            "cert-manager-webhook",
            Replicas::Count(1),
            Ask([10, 32], [20, 48]),
        )
        .labels([
            ("app.kubernetes.io/name", "webhook"),
            ("app.kubernetes.io/component", "webhook"),
        ])
        .no_metrics("counted by the API server")
        .webhook(10_250)
        .calls_api()
        .runs(
            Kind::Deployment,
            "cainjector",
            "cert-manager-cainjector",
            Replicas::Count(1),
            Ask([10, 64], [30, 96]),
        )
        .labels([
            ("app.kubernetes.io/name", "cainjector"),
            ("app.kubernetes.io/component", "cainjector"),
        ])
        .metrics(9402)
        .calls_api();
    draft.add(component);
}

/// Host of an `https://` address.
fn host_of(url: &str) -> Option<&str> {
    url.strip_prefix("https://")?
        .split(['/', ':'])
        .next()
        .filter(|host| !host.is_empty())
}

fn external_dns(draft: &mut Draft<'_>) {
    let component = draft
        .begin("external-dns", "external-dns", PodSecurity::Restricted, 3)
        .chart(
            "https://kubernetes-sigs.github.io/external-dns",
            "external-dns",
            "1.21.1",
        )
        .brings_crds("externaldns.k8s.io", ["dnsendpoints"])
        // Without the definitions of its sources it does not start.
        .needs_crds([
            "gateways.gateway.networking.k8s.io",
            "httproutes.gateway.networking.k8s.io",
        ])
        .needs_secret("dns-provider", [("api-token", dns_token(draft))])
        .runs(
            Kind::Deployment,
            "external-dns",
            "external-dns",
            Replicas::Count(1),
            Ask([20, 64], [50, 64]),
        )
        .metrics(7979)
        .calls_api()
        .calls_host(DNS_PROVIDER, 443, "DNS provider");
    draft.add(component);
}

fn lldap(draft: &mut Draft<'_>) {
    let component = draft.begin("lldap", "lldap", PodSecurity::Restricted, 4);
    let size = component.size(1, 1);
    let component = component
        .needs_secret(
            "lldap",
            [
                ("jwt-secret", generated("lldap-jwt")),
                ("key-seed", generated("lldap-key-seed")),
                ("admin-password", generated("lldap-admin")),
            ],
        )
        // One replica: its database is a file.
        .runs(
            Kind::Deployment,
            "lldap",
            "lldap",
            Replicas::Count(1),
            Ask([20, 64], [50, 128]),
        )
        .no_metrics("offers none")
        .volume(None, size)
        .listens("ldap", 3890)
        .listens("http", 17_170);
    draft.add(component);
}

fn authelia(draft: &mut Draft<'_>) {
    let wishes = &draft.spec.components.authelia;
    let shared = wishes.database == Database::Postgresql;
    let component = draft.begin("authelia", "authelia", PodSecurity::Restricted, 5);
    // The chart runs a single replica as long as state or sessions are kept in the pod.
    let alone = !shared || wishes.sessions == Sessions::Memory;
    let replicas = if alone {
        Replicas::Count(1)
    } else {
        component.replicated()
    };
    let size = component.size(1, 1);
    let mut component = component
        .chart("https://charts.authelia.com", "authelia", "0.11.5")
        .after(["lldap"])
        .needs_secret(
            "authelia",
            [
                ("session-key", generated("authelia-session")),
                ("storage-key", generated("authelia-storage")),
                ("jwt-key", generated("authelia-jwt")),
                ("ldap-password", generated("lldap-admin")),
            ],
        )
        .runs(
            Kind::Deployment,
            "authelia",
            "authelia",
            replicas,
            Ask([100, 128], [500, 512]),
        )
        .apart()
        .budget()
        .listens("http", 9091)
        .metrics(9959)
        .calls("lldap", "lldap", 3890, "users")
        .calls("authelia", "postgresql", 5432, "state")
        .calls("authelia", "valkey", 6379, "sessions");
    if !shared {
        component = component.volume(None, size);
    }
    if shared {
        let class = draft
            .spec
            .storage
            .classes
            .iter()
            .find(|class| class.name.as_str() == "fast-storage");
        component = component
            .needs_secret(
                "authelia-postgresql",
                [("password", generated("authelia-postgresql"))],
            )
            .runs(
                Kind::StatefulSet,
                "postgresql",
                "authelia-postgresql",
                Replicas::Count(1),
                Ask([50, 128], [200, 256]),
            )
            .no_metrics("watched through authelia, which is not ready without it")
            .listens("postgresql", 5432)
            .volume(
                class.map(|class| class.name.as_str()),
                crate::spec::quantity::Bytes::gib(5),
            );
    }
    if wishes.sessions == Sessions::Valkey {
        component = component
            .needs_secret(
                "authelia-valkey",
                [("password", generated("authelia-valkey"))],
            )
            .runs(
                Kind::Deployment,
                "valkey",
                "authelia-valkey",
                Replicas::Count(1),
                Ask([20, 64], [50, 64]),
            )
            .no_metrics("sessions only; lost ones mean a new login")
            .listens("redis", 6379);
    }
    draft.add(component);
}
