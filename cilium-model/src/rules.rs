//! Rules of the CRDs that go beyond structure: what must stand together and what must not.

mod routes;

use crate::bgp::{AdvertisementType, BgpAdvertisement};
use crate::error::Problem;
use crate::gateway::{Listener, ListenerProtocol, TlsMode};
use crate::manifest::Manifest;
use crate::policy::PolicyRules;
use crate::schema::problem;

/// Looks at the rules of the object's kind.
pub(crate) fn check(manifest: &Manifest, problems: &mut Vec<Problem>) {
    match manifest {
        Manifest::CiliumNetworkPolicy(object) => spec_or_specs(&object.body.rules, problems),
        Manifest::CiliumClusterwideNetworkPolicy(object) => {
            spec_or_specs(&object.body.rules, problems)
        }
        Manifest::CiliumBgpAdvertisement(object) => {
            for (n, entry) in object.body.spec.advertisements.iter().flatten().enumerate() {
                advertisement(entry, &format!("spec.advertisements[{n}]"), problems);
            }
        }
        Manifest::CiliumBgpPeerConfig(object) => {
            let timers = object.body.spec.timers.clone().unwrap_or_default();
            if timers.keep_alive_time_seconds.unwrap_or(30) > timers.hold_time_seconds.unwrap_or(90)
            {
                problem(
                    problems,
                    "spec.timers".to_owned(),
                    "keepAliveTimeSeconds exceeds holdTimeSeconds",
                );
            }
        }
        Manifest::Gateway(object) => {
            listeners(
                object.body.spec.listeners.as_deref().unwrap_or_default(),
                problems,
            );
            let addresses = object.body.spec.addresses.as_deref().unwrap_or_default();
            for (n, address) in addresses.iter().enumerate() {
                let same = |other: &&crate::gateway::GatewayAddress| {
                    other.address_type == address.address_type && other.value == address.value
                };
                if address.value.is_some() && addresses[..n].iter().any(|other| same(&other)) {
                    problem(
                        problems,
                        format!("spec.addresses[{n}]"),
                        "stands twice in the list",
                    );
                }
            }
        }
        Manifest::ListenerSet(object) => {
            listeners(
                object.body.spec.listeners.as_deref().unwrap_or_default(),
                problems,
            );
        }
        Manifest::HttpRoute(object) => routes::http(&object.body.spec, problems),
        Manifest::GrpcRoute(object) => routes::grpc(&object.body.spec, problems),
        Manifest::TlsRoute(object) => routes::stream(&object.body.spec, true, problems),
        Manifest::TcpRoute(object) => routes::stream(&object.body.spec, false, problems),
        Manifest::UdpRoute(object) => routes::stream(&object.body.spec, false, problems),
        _ => {}
    }
}

fn spec_or_specs(rules: &PolicyRules, problems: &mut Vec<Problem>) {
    if rules.spec.is_none() && rules.specs.is_none() {
        problem(
            problems,
            "spec".to_owned(),
            "one of spec and specs is needed",
        );
    }
}

fn advertisement(entry: &BgpAdvertisement, path: &str, problems: &mut Vec<Problem>) {
    let kind = &entry.advertisement_type;
    let pairs = [
        (
            AdvertisementType::Service,
            "service",
            entry.service.is_some(),
        ),
        (
            AdvertisementType::Interface,
            "interface",
            entry.interface.is_some(),
        ),
    ];
    for (wanted, field, given) in pairs {
        if *kind == wanted && !given {
            problem(
                problems,
                format!("{path}.{field}"),
                format!("needed for {kind}"),
            );
        }
        if *kind != wanted && given {
            problem(
                problems,
                format!("{path}.{field}"),
                format!("not possible for {kind}"),
            );
        }
    }
    if *kind == AdvertisementType::PodCidr && entry.selector.is_some() {
        problem(
            problems,
            format!("{path}.selector"),
            "not possible for PodCIDR",
        );
    }
}

fn listeners(listeners: &[Listener], problems: &mut Vec<Problem>) {
    for (n, listener) in listeners.iter().enumerate() {
        let path = |field: &str| format!("spec.listeners[{n}].{field}");
        let before = &listeners[..n];
        if before.iter().any(|other| other.name == listener.name) {
            problem(problems, path("name"), "another listener has this name");
        }
        let same = |other: &Listener| {
            other.port.is_some()
                && other.port == listener.port
                && other.protocol == listener.protocol
                && other.hostname == listener.hostname
        };
        if before.iter().any(same) {
            problem(
                problems,
                path("hostname"),
                "another listener has this port, protocol and host name",
            );
        }
        let hostname = listener.hostname.as_deref().unwrap_or_default();
        let mode = listener
            .tls
            .as_ref()
            .map(|tls| tls.mode.clone().unwrap_or(TlsMode::Terminate));
        match (&listener.protocol, &mode) {
            (ListenerProtocol::Http | ListenerProtocol::Tcp | ListenerProtocol::Udp, Some(_)) => {
                problem(
                    problems,
                    path("tls"),
                    format!("not possible for {}", listener.protocol),
                );
            }
            (ListenerProtocol::Https, Some(mode)) if *mode != TlsMode::Terminate => {
                problem(problems, path("tls.mode"), "must be Terminate for HTTPS");
            }
            (ListenerProtocol::Tls, None) => {
                problem(problems, path("tls.mode"), "needed for TLS");
            }
            _ => {}
        }
        if matches!(
            listener.protocol,
            ListenerProtocol::Tcp | ListenerProtocol::Udp
        ) && !hostname.is_empty()
        {
            problem(
                problems,
                path("hostname"),
                format!("not possible for {}", listener.protocol),
            );
        }
        if let Some(tls) = &listener.tls {
            let certificates = tls
                .certificate_refs
                .as_ref()
                .is_some_and(|refs| !refs.is_empty());
            let options = tls
                .options
                .as_ref()
                .is_some_and(|options| !options.is_empty());
            if mode == Some(TlsMode::Terminate) && !certificates && !options {
                problem(
                    problems,
                    path("tls.certificateRefs"),
                    "needed where TLS ends",
                );
            }
        }
    }
}
