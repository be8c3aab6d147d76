//! Which licences a dependency may have.

use anyhow::{Context, bail};
use serde_json::Value;

use super::Problem;
use crate::workspace;

/// Licences that ask for no more than a notice.
const ALLOWED: &[&str] = &[
    "0BSD",
    "Apache-2.0",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "CDLA-Permissive-2.0",
    "ISC",
    "MIT",
    "OpenSSL",
    "Unicode-3.0",
    "Unlicense",
    "Zlib",
];

/// Asks cargo for the licences of everything in the lock file.
pub(super) fn check() -> anyhow::Result<Vec<Problem>> {
    let output = workspace::cargo()
        .args(["metadata", "--format-version", "1", "--all-features"])
        .output()
        .context("starting cargo metadata")?;
    if !output.status.success() {
        bail!(
            "cargo metadata: {}",
            String::from_utf8_lossy(&output.stderr).trim()
        );
    }
    let metadata: Value =
        serde_json::from_slice(&output.stdout).context("cargo metadata printed no JSON")?;
    let packages = metadata["packages"].as_array().context("no packages")?;
    let licences = packages.iter().filter_map(|package| {
        let name = package["name"].as_str()?;
        Some((name, package["license"].as_str().unwrap_or_default()))
    });
    Ok(refused(licences))
}

fn refused<'a>(licences: impl Iterator<Item = (&'a str, &'a str)>) -> Vec<Problem> {
    let refused = licences.filter(|(_, licence)| !is_allowed(licence));
    let problem = |(name, licence): (&str, &str)| {
        let what = format!("{name} has the licence {licence:?}");
        Problem::new(
            "Cargo.lock",
            1,
            what,
            "do without it, or argue for the licence in xtask",
        )
    };
    refused.map(problem).collect()
}

/// Whether an SPDX expression can be met by allowed licences alone.
///
/// Parentheses are read as they are used in practice: around alternatives that are joined by AND.
fn is_allowed(expression: &str) -> bool {
    let mut depth = 0_i32;
    let mut flat = String::new();
    // Alternatives inside parentheses get a mark of their own, so that the outer AND splits first.
    for letter in expression.replace('/', " OR ").replace(" OR ", "|").chars() {
        match letter {
            '(' => depth += 1,
            ')' => depth -= 1,
            '|' if depth > 0 => flat.push('~'),
            other => flat.push(other),
        }
    }
    let single = |name: &str| {
        let name = name.split(" WITH ").next().unwrap_or(name).trim();
        ALLOWED.contains(&name)
    };
    let alternative = |text: &str| text.split(" AND ").all(|part| part.split('~').any(single));
    flat.split('|').any(alternative)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_allowed_alternative_is_enough_and_every_part_must_be_allowed() {
        for good in [
            "MIT",
            "MIT/Apache-2.0",
            "MIT OR Apache-2.0 OR LGPL-2.1-or-later",
            "Apache-2.0 WITH LLVM-exception",
            "(Apache-2.0 OR MIT) AND BSD-3-Clause",
            "ISC AND (GPL-3.0 OR MIT)",
        ] {
            assert!(is_allowed(good), "{good}");
        }
        for bad in [
            "",
            "AGPL-3.0-only",
            "MIT AND GPL-3.0",
            "(MIT OR ISC) AND MPL-2.0",
        ] {
            assert!(!is_allowed(bad), "{bad}");
        }
    }

    #[test]
    fn a_refusal_names_the_package() {
        let problems = refused([("a", "MIT"), ("b", "SSPL-1.0")].into_iter());
        assert_eq!(problems.len(), 1);
        assert!(problems[0].what.starts_with("b has the licence"));
    }
}
