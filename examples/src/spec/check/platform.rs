//! Gateway, certificates, components and their wishes.

use super::Check;
use crate::component::{Kind, PUBLISHED, Replicas};
use crate::spec::components::{Database, Sessions};
use crate::spec::decode::nearest;
use crate::spec::platform::Solver;

/// Hosts whose SSH keys Argo CD brings with it.
const KNOWN_SSH_HOSTS: [&str; 5] = [
    "github.com",
    "gitlab.com",
    "bitbucket.org",
    "ssh.dev.azure.com",
    "vs-ssh.visualstudio.com",
];

/// Extensions that the image factory has under these names; others are passed on with a warning.
const EXTENSION_OWNERS: [&str; 1] = ["siderolabs/"];

pub(super) fn run(check: &mut Check<'_, '_>) {
    gateway(check);
    components(check);
    replicas(check);
    git(check);
    hubble(check);
    extensions(check);
    isolation(check);
}

fn gateway(check: &mut Check<'_, '_>) {
    let spec = check.spec;
    let Some(gateway) = &spec.gateway else { return };
    let certificate = &gateway.certificate;
    for (index, listener) in gateway.listeners.iter().enumerate() {
        if !certificate
            .names
            .iter()
            .any(|name| name.covers(&listener.hostname))
        {
            let names: Vec<&str> = certificate.names.iter().map(|name| name.as_str()).collect();
            let path = format!("gateway.listeners[{index}].hostname");
            check
                .error(
                    "domain",
                    path,
                    format!(
                        "certificate covers {} but gateway listener \"{}\" serves {}",
                        names.join(", "),
                        listener.name,
                        listener.hostname
                    ),
                )
                .also("gateway.certificate.names", "what is covered")
                .help(format!(
                    "add {} to gateway.certificate.names",
                    listener.hostname
                ))
                .done();
        }
    }
    for (index, name) in certificate.names.iter().enumerate() {
        if name.is_wildcard() && certificate.solver == Solver::Http01 {
            check
                .error(
                    "issuer-http01-wildcard",
                    format!("gateway.certificate.names[{index}]"),
                    format!("wildcard {name} needs a DNS-01 solver"),
                )
                .also("gateway.certificate.solver", "http01")
                .help("solver: dns01, with tokenFrom for the DNS provider")
                .done();
        }
        if !name
            .as_str()
            .trim_start_matches("*.")
            .ends_with(spec.dns.domain.as_str())
        {
            check
                .error(
                    "domain-outside",
                    format!("gateway.certificate.names[{index}]"),
                    format!(
                        "gateway.certificate.names[{index}] {name} is not under dns.domain {}",
                        spec.dns.domain
                    ),
                )
                .also("dns.domain", format!("{}", spec.dns.domain))
                .help(format!("*.{}", spec.dns.domain))
                .done();
        }
    }
    if certificate.solver == Solver::Dns01 && certificate.token_from.is_none() {
        check
            .error("dns01-no-token", "gateway.certificate", "gateway.certificate proves its names by DNS, but has no tokenFrom for the DNS provider")
            .help("tokenFrom: env:NAME, or solver: http01")
            .done();
    }
    let known: Vec<&str> = PUBLISHED.iter().map(|target| target.name).collect();
    for (index, route) in gateway.routes.iter().enumerate() {
        let path = format!("gateway.routes[{index}]");
        if !gateway
            .listeners
            .iter()
            .any(|listener| listener.hostname.covers(&route.host))
        {
            let names: Vec<&str> = gateway
                .listeners
                .iter()
                .map(|listener| listener.hostname.as_str())
                .collect();
            check
                .error(
                    "route-listener",
                    format!("{path}.host"),
                    format!(
                        "{path}.host {} is served by no listener ({})",
                        route.host,
                        names.join(", ")
                    ),
                )
                .also("gateway.listeners", "the listeners")
                .help("a name one label under a listener's wildcard, or a listener of its own")
                .done();
        }
        let Some(target) = PUBLISHED
            .iter()
            .find(|target| target.name == route.to.as_str())
        else {
            let near = nearest(route.to.as_str(), &known)
                .map_or_else(String::new, |near| format!("; did you mean \"{near}\"?"));
            check
                .error(
                    "unknown-route",
                    format!("{path}.to"),
                    format!(
                        "{path}.to \"{}\" is nothing that can be published{near}",
                        route.to
                    ),
                )
                .help(format!("one of {}", known.join(", ")))
                .done();
            continue;
        };
        if check
            .catalogue
            .workload(target.component, target.workload)
            .is_none()
        {
            let key = target.key;
            check
                .error(
                    "route-disabled",
                    format!("{path}.to"),
                    format!("{path}.to {} is published, but {key} is off", route.to),
                )
                .needs(key)
                .help(format!("{key}: true, or no route"))
                .done();
        }
    }
}

fn components(check: &mut Check<'_, '_>) {
    let spec = check.spec;
    let wishes = &spec.components;
    let pairs: [(bool, bool, &str, &str, &str); 5] = [
        (
            wishes.authelia.enabled,
            wishes.lldap.enabled,
            "components.authelia",
            "components.lldap",
            "its users",
        ),
        (
            wishes.authelia.enabled,
            spec.gateway.is_some(),
            "components.authelia",
            "gateway",
            "the way to its pages",
        ),
        (
            wishes.external_dns.enabled,
            spec.gateway.is_some(),
            "components.externalDns",
            "gateway",
            "the names to publish",
        ),
        (
            spec.gateway.is_some(),
            wishes.cert_manager.enabled,
            "gateway",
            "components.certManager",
            "its certificate",
        ),
        (
            !spec.storage.claims.is_empty(),
            wishes.longhorn.enabled,
            "storage.claims",
            "components.longhorn",
            "replicated volumes",
        ),
    ];
    for (asks, has, path, other, what) in pairs {
        if asks && !has {
            check
                .error(
                    "component-needs",
                    path,
                    format!("{path} needs {other} for {what}"),
                )
                .rests_on(&[path, other])
                .help(if other == "gateway" {
                    "add a section gateway".to_owned()
                } else {
                    format!("{other}: true")
                })
                .done();
        }
    }
    if wishes.kyverno.enabled && wishes.gatekeeper.enabled {
        check
            .warning("both-engines", "components.gatekeeper", "kyverno and gatekeeper both judge every object: the same rule in both answers twice")
            .also("components.kyverno", "the other engine")
            .help("one engine per cluster")
            .done();
    }
    let authelia = &wishes.authelia;
    if let Some(replicas) = authelia
        .replicas
        .filter(|replicas| authelia.enabled && *replicas > 1)
        && (authelia.database == Database::Sqlite || authelia.sessions == Sessions::Memory)
    {
        check
            .error("authelia-ha-sqlite", "components.authelia.replicas", format!("authelia replicas {replicas} need a database and redis; sqlite or memory sessions force 1"))
            .needs("components.authelia")
            .help("database: postgresql and sessions: valkey, or replicas: 1")
            .done();
    }
    let loki = &wishes.loki;
    let members = loki.replicas.unwrap_or(1);
    if loki.enabled && loki.replication_factor > members {
        check
            .error(
                "loki-replication",
                "components.loki.replicationFactor",
                format!(
                    "loki replication_factor {} needs {} replicas; {members} declared",
                    loki.replication_factor, loki.replication_factor
                ),
            )
            .needs("components.loki")
            .help(format!("replicationFactor: {members}"))
            .done();
    }
}

fn replicas(check: &mut Check<'_, '_>) {
    for (component, workload) in check.catalogue.workloads() {
        let Some((key, wishes)) = check.spec.components.get(&component.name) else {
            continue;
        };
        let Replicas::Count(count) = workload.replicas else {
            continue;
        };
        if workload.kind != Kind::CronJob
            && let Some(left) = workload.min_available.filter(|left| *left >= count)
        {
            check
                .error(
                    "pdb-blocks",
                    format!("components.{key}.minAvailable"),
                    format!(
                        "podDisruptionBudget of {} allows 0 disruptions: a drain would hang",
                        component.name
                    ),
                )
                .rests_on(&[&format!("components.{key}"), "tier"])
                .help(match count {
                    0 | 1 => format!("leave minAvailable out: {count} replica cannot keep {left}"),
                    more => format!("minAvailable: {}", more - 1),
                })
                .done();
        }
        if wishes.replicas == Some(0) {
            check
                .error(
                    "replicas-zero",
                    format!("components.{key}.replicas"),
                    format!("components.{key}.replicas 0 runs nothing"),
                )
                .help(format!("{key}: false"))
                .done();
            return;
        }
    }
}

fn git(check: &mut Check<'_, '_>) {
    let gitops = &check.spec.gitops;
    if !gitops.repository.is_ssh() {
        return;
    }
    let host = gitops.repository.host();
    if gitops.known_hosts.is_empty() && !KNOWN_SSH_HOSTS.contains(&host) {
        check
            .error("git-known-hosts", "gitops.repository", format!("gitops.repository is read over SSH from {host}, whose key Argo CD does not know"))
            .needs("gitops.knownHosts")
            .help(format!("knownHosts: what ssh-keyscan {host} prints, compared with the host's own"))
            .done();
    }
    if gitops.key_from.is_none() {
        check
            .error(
                "git-no-key",
                "gitops.repository",
                "gitops.repository is read over SSH, but there is no keyFrom",
            )
            .needs("gitops.keyFrom")
            .help("keyFrom: file:deploy.key, or an https:// address")
            .done();
    }
}

fn hubble(check: &mut Check<'_, '_>) {
    let hubble = &check.spec.cilium.hubble;
    if hubble.ui && !hubble.relay {
        check
            .error(
                "hubble-ui-relay",
                "cilium.hubble.ui",
                "cilium.hubble.ui needs the relay: the chart refuses one without the other",
            )
            .also("cilium.hubble.relay", "off")
            .help("relay: true, or ui: false")
            .done();
    }
}

fn extensions(check: &mut Check<'_, '_>) {
    for (index, extension) in check.spec.image.extensions.iter().enumerate() {
        if !EXTENSION_OWNERS
            .iter()
            .any(|owner| extension.starts_with(owner))
        {
            let path = format!("image.extensions[{index}]");
            check
                .error("extension-name", &path, format!("{path} \"{extension}\" has no owner; the image factory lists extensions as owner/name"))
                .help(format!("siderolabs/{}", extension.rsplit('/').next().unwrap_or(extension)))
                .done();
        }
    }
}

fn isolation(check: &mut Check<'_, '_>) {
    let namespaces = check.catalogue.namespaces();
    let known: Vec<&str> = namespaces.keys().copied().collect();
    for (index, namespace) in check.spec.cilium.isolate.iter().enumerate() {
        if !namespaces.contains_key(namespace.as_str()) {
            let near = nearest(namespace.as_str(), &known)
                .map_or_else(String::new, |near| format!("; did you mean \"{near}\"?"));
            check
                .error("unknown-namespace", format!("cilium.isolate[{index}]"), format!("cilium.isolate[{index}] \"{namespace}\" is no namespace of the platform{near}"))
                .help(format!("one of {}", known.join(", ")))
                .done();
        }
    }
}
