//! How guests are marked.

use std::collections::BTreeSet;

use super::{ConfigUpdate, Guest, GuestConfig, Patch, update};
use crate::error::{Error, Result};

/// Makes sure that a guest carries these tags, whatever others it has.
pub(crate) async fn add_tags(guest: &impl Guest, tags: &[&str]) -> Result<ConfigUpdate> {
    change(guest, tags, |have| {
        have.extend(tags.iter().map(|tag| (*tag).to_owned()));
    })
    .await
}

/// Takes these tags off a guest, if it has them.
pub(crate) async fn remove_tags(guest: &impl Guest, tags: &[&str]) -> Result<ConfigUpdate> {
    change(guest, tags, |have| {
        have.retain(|tag| !tags.contains(&tag.as_str()));
    })
    .await
}

async fn change(
    guest: &impl Guest,
    tags: &[&str],
    change: impl Fn(&mut BTreeSet<String>) + Send + Sync,
) -> Result<ConfigUpdate> {
    if let Some(bad) = tags.iter().find(|tag| !is_tag(tag)) {
        return Err(Error::invalid(format!(
            "`{}` is no tag: small letters, digits and -_+., a letter, digit or _ first",
            bad.escape_debug()
        ))
        .doing(guest.doing("tagging")));
    }
    update(guest, |config| {
        let text = config.map().get("tags").and_then(|value| value.as_str());
        let have: BTreeSet<String> = text
            .unwrap_or_default()
            .split([';', ',', ' '])
            .filter(|tag| !tag.is_empty())
            .map(str::to_owned)
            .collect();
        let mut wanted = have.clone();
        change(&mut wanted);
        let all: Vec<&str> = wanted.iter().map(String::as_str).collect();
        Ok(if wanted == have {
            Patch::new()
        } else if all.is_empty() {
            Patch::new().delete("tags")
        } else {
            Patch::new().set("tags", all.join(";"))
        })
    })
    .await
}

fn is_tag(tag: &str) -> bool {
    let mut bytes = tag.bytes();
    let first = bytes.next();
    first.is_some_and(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_')
        && bytes.all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"-_+.".contains(&b))
}
