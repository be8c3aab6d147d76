//! Versions that go together, and steps that an upgrade may take.

use super::Check;
use crate::spec::version::Version;

type Minor = (u64, u64);

/// Talos Linux with the first and last Kubernetes that it runs.
const TALOS: [(Minor, Minor, Minor); 6] = [
    ((1, 10), (1, 28), (1, 33)),
    ((1, 11), (1, 29), (1, 34)),
    ((1, 12), (1, 30), (1, 35)),
    ((1, 13), (1, 31), (1, 36)),
    ((1, 14), (1, 32), (1, 37)),
    ((1, 15), (1, 33), (1, 38)),
];

/// The oldest Kubernetes that still gets fixes.
const SUPPORTED_KUBERNETES: Minor = (1, 34);

/// Cilium with the first and last Gateway API whose definitions serve what its operator asks for.
const GATEWAY_API: [(Minor, Minor, Minor); 3] = [
    ((1, 18), (1, 3), (1, 4)),
    ((1, 19), (1, 4), (1, 4)),
    ((1, 20), (1, 5), (1, 6)),
];

/// Components whose charts refuse an older Kubernetes: name, chart, least Kubernetes.
const LEAST_KUBERNETES: [(&str, &str, Minor); 1] = [("authelia", "authelia chart 0.11", (1, 30))];

fn text((major, minor): Minor) -> String {
    format!("{major}.{minor}")
}

pub(super) fn run(check: &mut Check<'_, '_>) {
    talos(check);
    kubernetes(check);
    cilium(check);
    steps(check);
}

fn talos(check: &mut Check<'_, '_>) {
    let versions = &check.spec.versions;
    let (talos, kubernetes) = (versions.talos.minor(), versions.kubernetes.minor());
    match TALOS.iter().find(|(minor, ..)| *minor == talos) {
        None => check
            .warning("talos-unknown", "versions.talos", format!("Talos {} is not in the support matrix here: its Kubernetes range is not checked", text(talos)))
            .help(format!("known: {}", TALOS.map(|(minor, ..)| text(minor)).join(", ")))
            .done(),
        Some((_, low, high)) if !(*low..=*high).contains(&kubernetes) => check
            .error("talos-k8s-matrix", "versions.kubernetes", format!("Talos {} supports Kubernetes {} to {}, not {}", text(talos), text(*low), text(*high), text(kubernetes)))
            .also("versions.talos", format!("{}", versions.talos))
            .help(format!("a Kubernetes {}.x, or {}", text(*high), fitting(kubernetes)))
            .done(),
        Some(_) => {}
    }
}

fn fitting(kubernetes: Minor) -> String {
    let fit = TALOS
        .iter()
        .find(|(_, low, high)| (*low..=*high).contains(&kubernetes));
    fit.map_or_else(
        || "another pair".into(),
        |(talos, ..)| format!("Talos {}", text(*talos)),
    )
}

fn kubernetes(check: &mut Check<'_, '_>) {
    let kubernetes = check.spec.versions.kubernetes.minor();
    let refused = LEAST_KUBERNETES.iter().any(|(component, _, least)| {
        kubernetes < *least && check.catalogue.component(component).is_some()
    });
    if kubernetes < SUPPORTED_KUBERNETES && !refused {
        check
            .warning(
                "k8s-eol",
                "versions.kubernetes",
                format!("Kubernetes {} is out of support", text(kubernetes)),
            )
            .help(format!("{} or newer", text(SUPPORTED_KUBERNETES)))
            .done();
    }
    for (component, chart, least) in LEAST_KUBERNETES {
        if kubernetes < least && check.catalogue.component(component).is_some() {
            check
                .error(
                    "k8s-too-old",
                    "versions.kubernetes",
                    format!("{chart} needs Kubernetes {} or newer", text(least)),
                )
                .also(format!("components.{component}"), "asked for here")
                .help(format!(
                    "{} or newer, or {component}: false",
                    text(SUPPORTED_KUBERNETES)
                ))
                .done();
        }
    }
}

fn cilium(check: &mut Check<'_, '_>) {
    let versions = &check.spec.versions;
    let (cilium, gateway) = (versions.cilium.minor(), versions.gateway_api.minor());
    if check.spec.cilium.mutual_authentication && cilium >= (1, 21) {
        check
            .error(
                "cilium-values",
                "cilium.mutualAuthentication",
                format!(
                    "cilium {} has no mutual authentication; set encryption or pin cilium 1.20",
                    text(cilium)
                ),
            )
            .also("versions.cilium", format!("{}", versions.cilium))
            .help("mutualAuthentication: false, encryption: wireguard")
            .done();
        return;
    } else if check.spec.cilium.mutual_authentication {
        check
            .warning(
                "mutual-auth-deprecated",
                "cilium.mutualAuthentication",
                "mutual authentication is deprecated in cilium 1.20 and gone in 1.21",
            )
            .help("encryption: wireguard covers the traffic between nodes")
            .done();
    }
    match GATEWAY_API.iter().find(|(minor, ..)| *minor == cilium) {
        None => check
            .warning("cilium-unknown", "versions.cilium", format!("cilium {} is not in the table of pairs here: the Gateway API is not checked against it", text(cilium)))
            .help(format!("known: {}", GATEWAY_API.map(|(minor, ..)| text(minor)).join(", ")))
            .done(),
        Some((_, low, high)) if !(*low..=*high).contains(&gateway) => {
            let why = if gateway > *high { " (TLSRoute v1alpha2 is no longer served)" } else { " (kinds that it watches are not served yet)" };
            let range = if low == high { format!("v{}", text(*low)) } else { format!("v{}..v{}", text(*low), text(*high)) };
            let other = GATEWAY_API.iter().rev().find(|(_, low, high)| (*low..=*high).contains(&gateway));
            let other = other.map_or_else(String::new, |(minor, ..)| format!(" or cilium {}", text(*minor)));
            check
                .error("gateway-crd-pair", "versions.gatewayApi", format!("cilium {} does not start with Gateway API v{}{}; use {range}{other}", text(cilium), text(gateway), if cilium < (1, 19) || gateway < *low { why } else { "" }))
                .also("versions.cilium", format!("{}", versions.cilium))
                .help("the two are a pair: move both together")
                .done();
        }
        Some(_) => {}
    }
}

fn steps(check: &mut Check<'_, '_>) {
    let versions = &check.spec.versions;
    let Some(from) = &versions.upgrade_from else {
        return;
    };
    if let Some(old) = &from.talos {
        let (now, then) = (versions.talos.minor(), old.minor());
        if then.0 == now.0 && then.1 + 2 < now.1 {
            check
                .error(
                    "talos-step",
                    "versions.talos",
                    format!(
                        "Talos {} accepts upgrades from {} or newer, not from {}; go to {} first",
                        text(now),
                        text((now.0, now.1 - 2)),
                        text(then),
                        text((then.0, then.1 + 2))
                    ),
                )
                .also("versions.upgradeFrom.talos", format!("{old}"))
                .help(format!("talos: v{}.0 first", text((then.0, then.1 + 2))))
                .done();
        } else if then > (now.0, now.1 + 1) {
            check
                .error(
                    "talos-step",
                    "versions.talos",
                    format!(
                        "Talos {} accepts downgrades from {} at most, not from {}",
                        text(now),
                        text((now.0, now.1 + 1)),
                        text(then)
                    ),
                )
                .also("versions.upgradeFrom.talos", format!("{old}"))
                .help("one minor version back at a time")
                .done();
        }
    }
    let ladders = [
        (
            "kubernetes",
            "Kubernetes",
            &versions.kubernetes,
            &from.kubernetes,
        ),
        ("longhorn", "Longhorn", &versions.longhorn, &from.longhorn),
    ];
    for (key, name, new, old) in ladders {
        let Some(old) = old else { continue };
        ladder(check, key, name, new, old);
    }
}

/// Products that move one minor version at a time, and never back.
fn ladder(check: &mut Check<'_, '_>, key: &str, name: &str, new: &Version, old: &Version) {
    let rule = if key == "longhorn" {
        "longhorn-step"
    } else {
        "k8s-step"
    };
    let ((major, now), (from_major, then)) = (new.minor(), old.minor());
    let path = format!("versions.{key}");
    let before = format!("versions.upgradeFrom.{key}");
    if (major, now) < (from_major, then) {
        check
            .error(
                rule,
                path,
                format!(
                    "{name} does not go back from {} to {}",
                    old.bare(),
                    new.bare()
                ),
            )
            .also(before, format!("{old}"))
            .help(format!("{key}: {}", old.bare()))
            .done();
    } else if major == from_major && now > then + 1 {
        let steps: Vec<String> = (then + 1..=now)
            .map(|minor| format!("{major}.{minor}"))
            .collect();
        check
            .error(
                rule,
                path,
                format!(
                    "{name} upgrades one minor at a time: {} → {}",
                    old.bare(),
                    steps.join(" → ")
                ),
            )
            .also(before, format!("{old}"))
            .help(format!("the newest {major}.{} first", then + 1))
            .done();
    }
}
