//! Versions read with leniency: a leading `v`, two numbers only, leading zeros.

use crate::quote::quote;

/// Major, minor and patch with what follows them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Version {
    pub(crate) core: (u64, u64, u64),
    rest: String,
}

impl std::fmt::Display for Version {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (major, minor, patch) = self.core;
        write!(f, "{major}.{minor}.{patch}{}", self.rest)
    }
}

pub(crate) fn parse(text: &str) -> Result<Version, String> {
    let text = text.trim();
    let text = text.strip_prefix('v').unwrap_or(text);
    let mut parts: Vec<String> = text.splitn(3, '.').map(without_leading_zeros).collect();
    if parts.len() < 3 {
        if parts.last().is_some_and(|last| last.contains(['+', '-'])) {
            return Err("Short version cannot contain PreRelease/Build meta data".to_owned());
        }
        parts.resize(3, "0".to_owned());
    }
    let number = |name: &str, shown: &str, text: &str| -> Result<u64, String> {
        if text.is_empty() || !text.bytes().all(|b| b.is_ascii_digit()) {
            return Err(format!(
                "Invalid character(s) found in {name} number {}",
                quote(text)
            ));
        }
        if text.len() > 1 && text.starts_with('0') {
            return Err(format!(
                "{shown} number must not contain leading zeroes {}",
                quote(text)
            ));
        }
        text.parse().map_err(|_| {
            format!(
                "strconv.ParseUint: parsing {}: value out of range",
                quote(text)
            )
        })
    };
    let (major, minor) = (
        number("major", "Major", &parts[0])?,
        number("minor", "Minor", &parts[1])?,
    );
    let (text, build) = match parts[2].split_once('+') {
        Some((text, build)) => (text, Some(build)),
        None => (parts[2].as_str(), None),
    };
    let (patch, pre) = match text.split_once('-') {
        Some((patch, pre)) => (patch, Some(pre)),
        None => (text, None),
    };
    let patch = number("patch", "Patch", patch)?;
    let alphanumeric = |part: &str| part.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
    for part in pre.into_iter().flat_map(|pre| pre.split('.')) {
        if part.is_empty() {
            return Err("Prerelease is empty".to_owned());
        }
        if part.bytes().all(|b| b.is_ascii_digit()) && part.len() > 1 && part.starts_with('0') {
            return Err(format!(
                "Numeric PreRelease version must not contain leading zeroes {}",
                quote(part)
            ));
        }
        if !alphanumeric(part) {
            return Err(format!(
                "Invalid character(s) found in prerelease {}",
                quote(part)
            ));
        }
    }
    for part in build.into_iter().flat_map(|build| build.split('.')) {
        if part.is_empty() {
            return Err("Build meta data is empty".to_owned());
        }
        if !alphanumeric(part) {
            return Err(format!(
                "Invalid character(s) found in build meta data {}",
                quote(part)
            ));
        }
    }
    let suffix =
        |mark: char, text: Option<&str>| text.map_or(String::new(), |text| format!("{mark}{text}"));
    Ok(Version {
        core: (major, minor, patch),
        rest: suffix('-', pre) + &suffix('+', build),
    })
}

fn without_leading_zeros(part: &str) -> String {
    if part.len() <= 1 {
        return part.to_owned();
    }
    let bare = part.trim_start_matches('0');
    if bare.starts_with(|c: char| c.is_ascii_digit()) {
        bare.to_owned()
    } else {
        format!("0{bare}")
    }
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn short_and_zero_padded_versions_are_completed() {
        let shown = |text: &str| parse(text).map(|version| version.to_string());
        assert_eq!(shown("v1.32"), Ok("1.32.0".to_owned()));
        assert_eq!(shown("01.032.0-rc.1+x"), Ok("1.32.0-rc.1+x".to_owned()));
        assert!(shown("1.32-rc.1").is_err());
        assert!(shown("1.x.0").is_err());
    }
}
