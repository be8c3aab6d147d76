//! Image references, and the Kubernetes version that one names.

use super::Findings;
use crate::quote::quote;
use crate::semver;

/// Whether a reference names a digest; tags are everything else that is a reference at all.
pub(super) fn is_digest(reference: &str) -> Result<bool, String> {
    if is_tag(reference) {
        return Ok(false);
    }
    let digest = reference.split_once('@').filter(|(base, digest)| {
        let hex = digest.strip_prefix("sha256:").unwrap_or_default();
        let base = match tag(base) {
            Some((repository, tag)) if is_tag_text(tag) && is_repository(repository) => repository,
            _ => base,
        };
        hex.len() == 64
            && hex
                .bytes()
                .all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
            && is_repository(base)
    });
    match digest {
        Some(_) => Ok(true),
        None => Err(format!("could not parse reference: {reference}")),
    }
}

/// Repository and tag of `repository:tag`.
fn tag(reference: &str) -> Option<(&str, &str)> {
    reference
        .rsplit_once(':')
        .filter(|(_, tag)| !tag.contains('/'))
}

fn is_tag_text(tag: &str) -> bool {
    (1..=128).contains(&tag.len())
        && tag
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.'))
}

fn is_tag(reference: &str) -> bool {
    match tag(reference) {
        Some((repository, "")) => is_repository(repository),
        Some((repository, tag)) => is_tag_text(tag) && is_repository(repository),
        None => is_repository(reference),
    }
}

fn is_repository(name: &str) -> bool {
    let path = match name.split_once('/') {
        Some((registry, path)) if registry.contains(['.', ':']) || registry == "localhost" => {
            let address = crate::uri::parse(&format!("//{registry}"));
            if !address.is_ok_and(|uri| uri.host == registry) {
                return false;
            }
            path
        }
        _ => name,
    };
    (2..=255).contains(&path.len())
        && path.bytes().all(|b| {
            b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'_' | b'-' | b'.' | b'/')
        })
}

/// The version after the last `:v` of a reference.
fn kubernetes_version(reference: &str) -> Result<semver::Version, String> {
    let at = reference
        .rfind(":v")
        .ok_or_else(|| format!("invalid image reference: {}", quote(reference)))?;
    let version = reference[at + 2..].split('@').next().unwrap_or_default();
    semver::parse(version)
}

/// Whether the version that a reference names is one that the Talos version runs; the default image always is.
pub(super) fn check(findings: &mut Findings<'_>, what: &str, reference: &str) {
    if reference.is_empty() || findings.options.local {
        return;
    }
    match kubernetes_version(reference) {
        Err(why) => findings.error(format!(
            "{what} image is not valid: failed to parse Kubernetes version from image reference {}: {why}",
            quote(reference)
        )),
        Ok(version) => {
            let talos = findings.options.talos.clone();
            if let Err(error) = crate::compatibility::check_kubernetes(&talos, &version.to_string())
            {
                findings.error(format!("{what} image is not valid: {}", error.message()));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{is_digest, kubernetes_version};

    #[test]
    fn tags_and_digests_are_told_apart() {
        let hex = "0".repeat(64);
        assert_eq!(is_digest("nginx"), Ok(false));
        assert_eq!(is_digest("localhost:5000/a/b:v1"), Ok(false));
        assert_eq!(is_digest(&format!("ghcr.io/a/b:v1@sha256:{hex}")), Ok(true));
        assert!(is_digest("not a ref").is_err());
        assert!(is_digest("NGINX").is_err());
    }

    #[test]
    fn the_version_stands_after_the_last_v() {
        let shown = |text: &str| kubernetes_version(text).map(|version| version.to_string());
        assert_eq!(
            shown("r.io/kubelet:v1.36.1@sha256:00"),
            Ok("1.36.1".to_owned())
        );
        assert!(shown("r.io/kubelet:1.36.1").is_err());
    }
}
