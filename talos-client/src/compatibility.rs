//! Which Kubernetes a Talos version runs, and which upgrades it takes.

use crate::error::{Error, ErrorKind};
use crate::version::VersionContract;

/// First and last minor version of Talos 1.x whose rules are known.
const KNOWN: std::ops::RangeInclusive<u32> = 2..=15;

/// Whether a Talos version supports a Kubernetes version: six minor versions, 1.13 has 1.31 to 1.36.
///
/// # Errors
/// [`ErrorKind::InvalidArgument`] naming both versions and the direction.
pub fn check_kubernetes(talos: &str, kubernetes: &str) -> Result<(), Error> {
    let wrong = |message: String| Error::new(ErrorKind::InvalidArgument, message);
    let version: VersionContract = kubernetes
        .parse()
        .map_err(|_| wrong(format!("`{kubernetes}` is not a Kubernetes version")))?;
    let contract: VersionContract = talos.parse()?;
    let (talos, kubernetes) = (bare(talos), bare(kubernetes));
    let (major, minor) = contract.parts();
    if major != 1 || !KNOWN.contains(&minor) {
        return Err(wrong(format!(
            "compatibility with version {talos} is not supported"
        )));
    }
    let (first, last) = (
        VersionContract::new(1, minor + 18),
        VersionContract::new(1, minor + 23),
    );
    let direction = if version < first {
        "old"
    } else if version > last {
        "new"
    } else {
        return Ok(());
    };
    Err(wrong(format!(
        "version of Kubernetes {kubernetes} is too {direction} to be used with Talos {talos}"
    ))
    .with_hint(format!(
        "Talos {talos} runs Kubernetes {} to {}",
        &first.to_string()[1..],
        &last.to_string()[1..]
    )))
}

/// Whether a host may go from one Talos version to another: from two minor versions below to one above the target.
///
/// # Errors
/// [`ErrorKind::InvalidArgument`] naming both versions and the direction.
pub fn check_upgrade(host: &str, target: &str) -> Result<(), Error> {
    let wrong = |message: String| Error::new(ErrorKind::InvalidArgument, message);
    let (from, to): (VersionContract, VersionContract) = (host.parse()?, target.parse()?);
    let (host, target) = (bare(host), bare(target));
    let (major, minor) = to.parts();
    if major != 1 || !KNOWN.contains(&minor) {
        return Err(wrong(format!(
            "upgrades to version {target} are not supported"
        )));
    }
    if from < VersionContract::new(1, minor.saturating_sub(2)) {
        return Err(wrong(format!(
            "host version {host} is too old to upgrade to Talos {target}"
        ))
        .with_hint("upgrade in steps"));
    }
    if from > VersionContract::new(1, minor + 1) {
        return Err(wrong(format!(
            "host version {host} is too new to downgrade to Talos {target}"
        )));
    }
    Ok(())
}

fn bare(version: &str) -> &str {
    version.strip_prefix('v').unwrap_or(version)
}
