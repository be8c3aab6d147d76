//! Which Kubernetes a Talos version runs, and which upgrades it takes.

use crate::error::{Error, ErrorKind};
use crate::semver;

/// What a Talos version 1.x goes together with, all versions 1.x too.
struct Window {
    talos: u64,
    /// First and last Kubernetes version.
    kubernetes: (u64, u64),
    /// First host version that can be upgraded to it, and the first one that cannot be brought down to it.
    hosts: (u64, u64),
}

const fn window(talos: u64, kubernetes: (u64, u64), hosts: (u64, u64)) -> Window {
    Window {
        talos,
        kubernetes,
        hosts,
    }
}

const WINDOWS: [Window; 14] = [
    window(2, (23, 25), (0, 3)),
    window(3, (24, 26), (0, 5)),
    window(4, (25, 27), (0, 6)),
    window(5, (26, 28), (2, 7)),
    window(6, (24, 29), (3, 8)),
    window(7, (25, 30), (4, 9)),
    window(8, (26, 31), (5, 10)),
    window(9, (27, 32), (8, 11)),
    window(10, (28, 33), (8, 12)),
    window(11, (29, 34), (9, 13)),
    window(12, (30, 35), (10, 14)),
    window(13, (31, 36), (11, 15)),
    window(14, (32, 37), (12, 16)),
    window(15, (33, 38), (13, 17)),
];
/// A patch release that no minor version reaches; the reference takes it for one of the next.
const LAST_PATCH: u64 = 99;

fn wrong(message: impl Into<String>) -> Error {
    Error::new(ErrorKind::InvalidArgument, message)
}

fn window_of(talos: &semver::Version) -> Option<&'static Window> {
    let (major, minor, _) = talos.core;
    WINDOWS
        .iter()
        .find(|window| major == 1 && window.talos == minor)
}

/// Whether a Talos version supports a Kubernetes version: 1.13 has 1.31 to 1.36.
///
/// # Errors
/// [`ErrorKind::InvalidArgument`] naming both versions and the direction.
pub fn check_kubernetes(talos: &str, kubernetes: &str) -> Result<(), Error> {
    let talos = semver::parse(talos).map_err(wrong)?;
    let kubernetes = semver::parse(kubernetes).map_err(wrong)?;
    let Some(window) = window_of(&talos) else {
        return Err(wrong(format!(
            "compatibility with version {talos} is not supported"
        )));
    };
    let (first, last) = window.kubernetes;
    let direction = if kubernetes.core < (1, first, 0) {
        "old"
    } else if kubernetes.core >= (1, last, LAST_PATCH) {
        "new"
    } else {
        return Ok(());
    };
    Err(wrong(format!(
        "version of Kubernetes {kubernetes} is too {direction} to be used with Talos {talos}"
    ))
    .with_hint(format!(
        "Talos {talos} runs Kubernetes 1.{first} to 1.{last}"
    )))
}

/// Whether a host may go from one Talos version to another: to 1.14 from 1.12 and above, and back from 1.15.
///
/// # Errors
/// [`ErrorKind::InvalidArgument`] naming both versions and the direction.
pub fn check_upgrade(host: &str, target: &str) -> Result<(), Error> {
    let host = semver::parse(host).map_err(wrong)?;
    let target = semver::parse(target).map_err(wrong)?;
    let Some(window) = window_of(&target) else {
        return Err(wrong(format!(
            "upgrades to version {target} are not supported"
        )));
    };
    let (first, end) = window.hosts;
    if host.core < (1, first, 0) {
        return Err(wrong(format!(
            "host version {host} is too old to upgrade to Talos {target}"
        ))
        .with_hint("upgrade in steps"));
    }
    if host.core >= (1, end, 0) {
        return Err(wrong(format!(
            "host version {host} is too new to downgrade to Talos {target}"
        )));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::{check_kubernetes, check_upgrade};

    #[test]
    fn old_versions_have_windows_of_their_own() {
        for (talos, kubernetes, fits) in [
            ("v1.2.0", "1.22.0", false),
            ("v1.2.0", "1.23.0", true),
            ("v1.5.5", "1.25.9", false),
            ("v1.5.5", "v1.28", true),
            ("v1.6.0", "1.24.0", true),
            ("v1.14.0-beta.1", "1.37.98", true),
            ("v1.14.0-beta.1", "1.37.99", false),
            ("v1.14.0-beta.1", "1.32.0-rc.1", true),
            ("v1.16.0", "1.37.0", false),
            ("v2.0.0", "1.37.0", false),
        ] {
            assert_eq!(
                check_kubernetes(talos, kubernetes).is_ok(),
                fits,
                "{talos} {kubernetes}"
            );
        }
        for (host, target, fits) in [
            ("v1.7.9", "v1.9.0", false),
            ("v1.8.0", "v1.9.0", true),
            ("v1.2.0", "v1.5.0", true),
            ("v1.1.0", "v1.5.0", false),
            ("v1.2.9", "v1.2.0", true),
            ("v1.3.0", "v1.2.0", false),
            ("v1.15.0", "v1.14.0", true),
            ("v1.16.0-alpha.0", "v1.14.0", false),
        ] {
            assert_eq!(check_upgrade(host, target).is_ok(), fits, "{host} {target}");
        }
        let error = check_kubernetes("1.13", "x").unwrap_err();
        assert_eq!(
            error.message(),
            "Invalid character(s) found in major number \"x\""
        );
    }
}
