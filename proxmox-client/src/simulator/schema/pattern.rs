//! Patterns, and the formats that one of them decides.

use std::collections::HashMap;
use std::sync::{LazyLock, Mutex, PoisonError};

use regex_lite::Regex;

/// Whether a pattern is found in a text; patterns are kept once they were read.
pub(super) fn matches(pattern: &str, text: &str) -> bool {
    static READ: LazyLock<Mutex<HashMap<String, Option<Regex>>>> = LazyLock::new(Mutex::default);
    let mut read = READ.lock().unwrap_or_else(PoisonError::into_inner);
    if !read.contains_key(pattern) {
        read.insert(pattern.to_owned(), Regex::new(pattern).ok());
    }
    let pattern = read.get(pattern).and_then(Option::as_ref);
    pattern.is_none_or(|pattern| pattern.is_match(text))
}

/// Formats that one pattern decides: name, pattern of the whole text, refusal with `{}` for the text.
pub(super) const PATTERNS: &[(&str, &str, &str)] = &[
    (
        "email",
        EMAIL,
        "value does not look like a valid email address",
    ),
    (
        "graphite-path",
        "[0-9a-zA-Z_-]+(?:\\.[0-9a-zA-Z_-]+)*",
        "value does not look like a valid graphite path",
    ),
    (
        "ldap-simple-attr",
        "[a-zA-Z0-9]+",
        "value '{}' does not look like a simple ldap attribute name",
    ),
    (
        "mac-addr",
        "(?i:[a-f0-9][02468ace](?::[a-f0-9]{2}){5})",
        "value does not look like a valid unicast MAC address",
    ),
    (
        "mac-prefix",
        "(?i:[a-f0-9][02468ace](?::[a-f0-9]{2}){0,2}(?::[a-f0-9]?)?)",
        "value is not a valid unicast MAC address prefix",
    ),
    (
        "pve-acme-alias",
        "(?i:[a-z0-9][a-z0-9_-]*(?:\\.[a-z0-9][a-z0-9_-]*)+)",
        "value does not look like a valid alias name!",
    ),
    (
        "pve-acme-domain",
        "(?i:(?:\\*\\.)?[a-z0-9][a-z0-9_-]*(?:\\.[a-z0-9][a-z0-9_-]*)+)",
        "value does not look like a valid domain name!",
    ),
    ("pve-bridge-id", "[-_.\\w]+", "invalid bridge ID '{}'"),
    (
        "pve-configid",
        "(?i:[a-z][a-z0-9_-]+)",
        "invalid configuration ID '{}'",
    ),
    (
        "pve-day-of-week",
        "(?i:mon|tue|wed|thu|fri|sat|sun)",
        "invalid day '{}'",
    ),
    (
        "pve-groupid",
        "[A-Za-z0-9.\\-_]+",
        "group name '{}' contains invalid characters",
    ),
    (
        "pve-ha-node",
        "[a-zA-Z0-9](?:[a-zA-Z0-9\\-]*[a-zA-Z0-9])?(?::\\d+)?",
        "value does not look like a valid ha node",
    ),
    (
        "pve-ha-resource-id",
        "[a-z]+:\\S+",
        "value does not look like a valid ha resource id",
    ),
    (
        "pve-ha-resource-or-vm-id",
        "[a-z]+:\\S+|\\d+",
        "value does not look like a valid ha resource id",
    ),
    (
        "pve-iface",
        "(?i:[a-z][a-z0-9_]{1,20}(?:[:.]\\d+)?)",
        "invalid network interface name '{}'",
    ),
    (
        "pve-node",
        NAME,
        "value does not look like a valid node name",
    ),
    (
        "pve-poolid",
        "[A-Za-z0-9.\\-_]+(?:/[A-Za-z0-9.\\-_]+){0,2}",
        "pool name '{}' contains invalid characters",
    ),
    (
        "pve-realm",
        "[A-Za-z][A-Za-z0-9.\\-_]+",
        "value does not look like a valid realm",
    ),
    (
        "pve-roleid",
        "[A-Za-z0-9.\\-_]+",
        "role name '{}' contains invalid characters",
    ),
    (
        "pve-sdn-fabric-id",
        "(?i:[a-z0-9][a-z0-9-]{0,6}[a-z0-9]?)",
        "Fabric ID '{}' contains illegal characters",
    ),
    (
        "pve-sdn-isis-net",
        "[a-fA-F0-9]{2}(?:\\.[a-fA-F0-9]{4}){3,9}\\.[a-fA-F0-9]{2}",
        "value does not look like a valid isis net",
    ),
    (
        "pve-sdn-zone-id",
        "(?i:[a-z][a-z0-9]*[a-z0-9])",
        "zone ID '{}' contains illegal characters",
    ),
    (
        "pve-storage-content",
        "images|rootdir|vztmpl|iso|backup|snippets|none|import",
        "invalid content type '{}'",
    ),
    (
        "pve-storage-id",
        "(?i:[a-z][a-z0-9\\-_.]*[a-z0-9])",
        "storage ID '{}' contains illegal characters",
    ),
    ("pve-storage-options", "\\S+", "invalid options '{}'"),
    (
        "pve-storage-path",
        "/[^;()]+.*",
        "value does not look like a valid absolute path",
    ),
    (
        "pve-storage-path-in-property-string",
        "/[^;,=()]+.*",
        "Value does not look like a valid absolute path. These symbols are currently not allowed in path: ;,=()",
    ),
    (
        "pve-storage-vgname",
        "(?i:[a-z0-9][a-z0-9\\-_.]*[a-z0-9])",
        "lvm name '{}' contains illegal characters",
    ),
    (
        "pve-tag",
        "(?i:[a-z0-9_][a-z0-9_\\-+.]*)",
        "invalid characters in tag",
    ),
    (
        "pve-task-status-type",
        "(?i:ok|error|warning|unknown)",
        "invalid status '{}'",
    ),
    (
        "pve-tokenid",
        "[^\\s:/]+@[A-Za-z][A-Za-z0-9.\\-_]+![A-Za-z][A-Za-z0-9.\\-_]+",
        "value '{}' does not look like a valid token ID",
    ),
    (
        "pve-vmid",
        "[1-9][0-9]{2,8}",
        "value does not look like a valid VM ID",
    ),
    (
        "pve-volume-id",
        "(?i:[a-z][a-z0-9\\-_.]*[a-z0-9]):.+",
        "unable to parse volume ID '{}'",
    ),
    (
        "urlencoded",
        "[-%a-zA-Z0-9_.!~*'()]*",
        "invalid urlencoded string: {}",
    ),
    (
        "disk-size",
        "\\d+(?:\\.\\d+)?[KMGT]?",
        "value does not look like a valid disk size: {}",
    ),
];

pub(super) const NAME: &str = "[a-zA-Z0-9](?:[a-zA-Z0-9\\-]*[a-zA-Z0-9])?";
pub(super) const EMAIL: &str =
    "[\\w+\\-~]+(?:\\.[\\w+\\-~]+)*@[a-zA-Z0-9\\-]+(?:\\.[a-zA-Z0-9\\-]+)*";
pub(super) const EMAIL_USER: &str = "[\\w+\\-~]+(?:\\.[\\w+\\-~]+)*";

/// Whether a pattern matches a text as a whole.
pub(super) fn whole(pattern: &str, text: &str) -> bool {
    matches(&format!("^(?:{pattern})$"), text)
}

#[cfg(test)]
pub(super) fn every() -> impl Iterator<Item = String> {
    PATTERNS
        .iter()
        .map(|(_, pattern, _)| format!("^(?:{pattern})$"))
}
