//! Rules for routes of the Gateway API.

use crate::error::Problem;
use crate::gateway::BackendRef;
use crate::gateway::route::{
    GrpcRouteSpec, HttpFilter, HttpMatch, HttpRouteSpec, ParentRef, PathMatch, PathMatchType,
    PathModifier, StreamRouteSpec,
};
use crate::schema::{is_subdomain, problem};

/// Most matches in all rules of a route together.
const MAX_MATCHES: usize = 128;

pub(super) fn http(spec: &HttpRouteSpec, problems: &mut Vec<Problem>) {
    parents(spec.parent_refs.as_deref().unwrap_or_default(), problems);
    let rules = spec.rules.as_deref().unwrap_or_default();
    let names: Vec<Option<&str>> = rules.iter().map(|rule| rule.name.as_deref()).collect();
    rule_names(&names, problems);
    let total: usize = rules
        .iter()
        .map(|rule| rule.matches.as_ref().map_or(1, Vec::len))
        .sum();
    if total > MAX_MATCHES {
        problem(
            problems,
            "spec.rules".to_owned(),
            format!("{total} matches, at most {MAX_MATCHES} are possible"),
        );
    }
    for (n, rule) in rules.iter().enumerate() {
        let path = format!("spec.rules[{n}]");
        let own = rule.filters.as_deref().unwrap_or_default();
        let backends_given = rule.backend_refs.as_deref().unwrap_or_default();
        let matches = rule.matches.as_deref().unwrap_or_default();
        filters(own, &format!("{path}.filters"), problems);
        backends(backends_given, &format!("{path}.backendRefs"), problems);
        if !backends_given.is_empty() && own.iter().any(|filter| filter.request_redirect.is_some())
        {
            problem(
                problems,
                path.clone(),
                "a redirect and backends exclude one another",
            );
        }
        let inner = backends_given
            .iter()
            .flat_map(|backend| backend.filters.iter().flatten());
        if own.iter().chain(inner).any(replaces_prefix) && !is_one_prefix(rule.matches.as_deref()) {
            problem(
                problems,
                path.clone(),
                "replacing a prefix needs exactly one match, of a path prefix",
            );
        }
        for (m, matched) in matches.iter().enumerate() {
            if let Some(on_path) = &matched.path {
                path_match(on_path, &format!("{path}.matches[{m}].path"), problems);
            }
        }
        if let Some(timeouts) = &rule.timeouts {
            let duration = |text: &Option<String>| text.as_deref().and_then(milliseconds);
            if let (Some(whole), Some(part)) = (
                duration(&timeouts.request),
                duration(&timeouts.backend_request),
            ) && whole != 0
                && part > whole
            {
                let place = format!("{path}.timeouts.backendRequest");
                problem(
                    problems,
                    place,
                    "longer than the time for the whole request",
                );
            }
        }
    }
}

pub(super) fn grpc(spec: &GrpcRouteSpec, problems: &mut Vec<Problem>) {
    parents(spec.parent_refs.as_deref().unwrap_or_default(), problems);
    let rules = spec.rules.as_deref().unwrap_or_default();
    let names: Vec<Option<&str>> = rules.iter().map(|rule| rule.name.as_deref()).collect();
    rule_names(&names, problems);
    for (n, rule) in rules.iter().enumerate() {
        let path = format!("spec.rules[{n}]");
        filters(
            rule.filters.as_deref().unwrap_or_default(),
            &format!("{path}.filters"),
            problems,
        );
        backends(
            rule.backend_refs.as_deref().unwrap_or_default(),
            &format!("{path}.backendRefs"),
            problems,
        );
        for (m, matched) in rule.matches.iter().flatten().enumerate() {
            if matched
                .method
                .as_ref()
                .is_some_and(|method| method.service.is_none() && method.method.is_none())
            {
                problem(
                    problems,
                    format!("{path}.matches[{m}].method"),
                    "a service or a method is needed",
                );
            }
        }
    }
}

pub(super) fn stream(spec: &StreamRouteSpec, tls: bool, problems: &mut Vec<Problem>) {
    parents(spec.parent_refs.as_deref().unwrap_or_default(), problems);
    for (n, rule) in spec.rules.iter().flatten().enumerate() {
        let path = format!("spec.rules[{n}].backendRefs");
        backends(
            rule.backend_refs.as_deref().unwrap_or_default(),
            &path,
            problems,
        );
    }
    for (n, name) in spec.hostnames.iter().flatten().enumerate().filter(|_| tls) {
        let plain = name.strip_prefix("*.").unwrap_or(name);
        if !is_subdomain(plain) || name.parse::<std::net::IpAddr>().is_ok() {
            problem(
                problems,
                format!("spec.hostnames[{n}]"),
                format!("{name:?} is no host name"),
            );
        }
    }
}

fn rule_names(names: &[Option<&str>], problems: &mut Vec<Problem>) {
    for (n, name) in names.iter().enumerate() {
        if name.is_some() && names[..n].contains(name) {
            problem(
                problems,
                format!("spec.rules[{n}].name"),
                "another rule has this name",
            );
        }
    }
}

/// References to one parent must all name a section or port, and different ones.
fn parents(parents: &[ParentRef], problems: &mut Vec<Problem>) {
    let text = |value: &Option<String>| value.clone().unwrap_or_default();
    let kind = |parent: &ParentRef| parent.kind.clone().unwrap_or_else(|| "Gateway".to_owned());
    for (n, parent) in parents.iter().enumerate() {
        let path = format!("spec.parentRefs[{n}]");
        for other in &parents[..n] {
            let same = other.name == parent.name
                && kind(other) == kind(parent)
                && text(&other.namespace) == text(&parent.namespace);
            if !same {
                continue;
            }
            let (one, two) = (text(&parent.section_name), text(&other.section_name));
            if one.is_empty() != two.is_empty() || parent.port.is_some() != other.port.is_some() {
                problem(
                    problems,
                    path.clone(),
                    "sectionName or port is needed where one parent stands twice",
                );
            } else if one == two && parent.port == other.port {
                problem(
                    problems,
                    path.clone(),
                    "this parent stands twice in the list",
                );
            }
        }
    }
}

fn backends(backends: &[BackendRef], path: &str, problems: &mut Vec<Problem>) {
    for (n, backend) in backends.iter().enumerate() {
        let group = backend.group.as_deref().unwrap_or_default();
        let kind = backend.kind.as_deref().unwrap_or("Service");
        if group.is_empty() && kind == "Service" && backend.port.is_none() {
            problem(
                problems,
                format!("{path}[{n}].port"),
                "a Service needs a port",
            );
        }
        filters(
            backend.filters.as_deref().unwrap_or_default(),
            &format!("{path}[{n}].filters"),
            problems,
        );
    }
}

fn filters(filters: &[HttpFilter], path: &str, problems: &mut Vec<Problem>) {
    let once = [
        "RequestHeaderModifier",
        "ResponseHeaderModifier",
        "RequestRedirect",
        "URLRewrite",
        "CORS",
    ];
    for name in once {
        if filters
            .iter()
            .filter(|filter| filter.filter_type == name)
            .count()
            > 1
        {
            problem(problems, path.to_owned(), format!("{name} stands twice"));
        }
    }
    let has = |name: &str| filters.iter().any(|filter| filter.filter_type == name);
    if has("RequestRedirect") && has("URLRewrite") {
        problem(
            problems,
            path.to_owned(),
            "RequestRedirect and URLRewrite exclude one another",
        );
    }
    for (n, filter) in filters.iter().enumerate() {
        let fields = [
            (
                "RequestHeaderModifier",
                "requestHeaderModifier",
                filter.request_header_modifier.is_some(),
            ),
            (
                "ResponseHeaderModifier",
                "responseHeaderModifier",
                filter.response_header_modifier.is_some(),
            ),
            (
                "RequestMirror",
                "requestMirror",
                filter.request_mirror.is_some(),
            ),
            (
                "RequestRedirect",
                "requestRedirect",
                filter.request_redirect.is_some(),
            ),
            ("URLRewrite", "urlRewrite", filter.url_rewrite.is_some()),
            ("CORS", "cors", filter.cors.is_some()),
            (
                "ExternalAuth",
                "externalAuth",
                filter.external_auth.is_some(),
            ),
            (
                "ExtensionRef",
                "extensionRef",
                filter.extension_ref.is_some(),
            ),
        ];
        for (name, field, given) in fields {
            if filter.filter_type == name && !given {
                problem(
                    problems,
                    format!("{path}[{n}].{field}"),
                    format!("needed for {name}"),
                );
            }
            if filter.filter_type != name && given {
                problem(
                    problems,
                    format!("{path}[{n}].{field}"),
                    format!("belongs to {name}"),
                );
            }
        }
        let redirect = filter
            .request_redirect
            .as_ref()
            .and_then(|redirect| redirect.path.as_ref());
        let rewrite = filter
            .url_rewrite
            .as_ref()
            .and_then(|rewrite| rewrite.path.as_ref());
        for modifier in redirect.into_iter().chain(rewrite) {
            path_modifier(modifier, &format!("{path}[{n}]"), problems);
        }
        if let Some(auth) = &filter.external_auth {
            let protocol = auth
                .get("protocol")
                .and_then(serde_json::Value::as_str)
                .unwrap_or_default();
            for (name, field) in [("GRPC", "grpc"), ("HTTP", "http")] {
                if (protocol == name) != auth.get(field).is_some() {
                    let place = format!("{path}[{n}].externalAuth.{field}");
                    problem(
                        problems,
                        place,
                        format!("goes together with protocol {name}"),
                    );
                }
            }
        }
    }
}

fn path_modifier(modifier: &PathModifier, path: &str, problems: &mut Vec<Problem>) {
    let pairs = [
        (
            "ReplaceFullPath",
            "replaceFullPath",
            modifier.replace_full_path.is_some(),
        ),
        (
            "ReplacePrefixMatch",
            "replacePrefixMatch",
            modifier.replace_prefix_match.is_some(),
        ),
    ];
    for (name, field, given) in pairs {
        if (modifier.modifier_type == name) != given {
            problem(
                problems,
                format!("{path}.path.{field}"),
                format!("goes together with type {name}"),
            );
        }
    }
}

fn replaces_prefix(filter: &HttpFilter) -> bool {
    let redirect = filter
        .request_redirect
        .as_ref()
        .and_then(|redirect| redirect.path.as_ref());
    let rewrite = filter
        .url_rewrite
        .as_ref()
        .and_then(|rewrite| rewrite.path.as_ref());
    redirect
        .into_iter()
        .chain(rewrite)
        .any(|path| path.replace_prefix_match.is_some())
}

/// Without matches the server writes one, of the path prefix `/`.
fn is_one_prefix(matches: Option<&[HttpMatch]>) -> bool {
    match matches {
        None => true,
        Some([one]) => one
            .path
            .as_ref()
            .is_none_or(|path| matches!(path.match_type, None | Some(PathMatchType::PathPrefix))),
        Some(_) => false,
    }
}

fn path_match(matched: &PathMatch, path: &str, problems: &mut Vec<Problem>) {
    let value = matched.value.as_deref().unwrap_or("/");
    match matched
        .match_type
        .as_ref()
        .unwrap_or(&PathMatchType::PathPrefix)
    {
        PathMatchType::RegularExpression => return,
        PathMatchType::Other(text) => {
            problem(
                problems,
                format!("{path}.type"),
                format!("{text:?} is no way to compare paths"),
            );
            return;
        }
        _ => {}
    }
    if !value.starts_with('/') {
        problem(problems, format!("{path}.value"), "must begin with a slash");
    }
    let inside = ["//", "/./", "/../", "%2f", "%2F", "#"];
    for part in inside.into_iter().filter(|part| value.contains(part)) {
        problem(
            problems,
            format!("{path}.value"),
            format!("must not hold {part:?}"),
        );
    }
    for end in ["/..", "/."].into_iter().filter(|end| value.ends_with(end)) {
        problem(
            problems,
            format!("{path}.value"),
            format!("must not end with {end:?}"),
        );
    }
    if !is_path_text(value) {
        problem(
            problems,
            format!("{path}.value"),
            "holds characters that no path has",
        );
    }
}

/// Characters of a path, or a percent sign with two hexadecimal digits.
fn is_path_text(text: &str) -> bool {
    let mut rest = text.as_bytes();
    while let Some((first, tail)) = rest.split_first() {
        rest = match (first, tail) {
            (b'%', [a, b, tail @ ..]) if a.is_ascii_hexdigit() && b.is_ascii_hexdigit() => tail,
            (b, tail) if b.is_ascii_alphanumeric() || b"-/._~!$&'()*+,;=:@".contains(b) => tail,
            _ => return false,
        };
    }
    !text.is_empty()
}

/// A duration of the Gateway API: numbers with `h`, `m`, `s` and `ms`.
fn milliseconds(text: &str) -> Option<u64> {
    let mut total = 0_u64;
    let mut rest = text;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit())?;
        let number: u64 = rest[..digits].parse().ok()?;
        rest = &rest[digits..];
        let (factor, unit) = if rest.starts_with("ms") {
            (1, 2)
        } else if rest.starts_with('s') {
            (1_000, 1)
        } else if rest.starts_with('m') {
            (60_000, 1)
        } else if rest.starts_with('h') {
            (3_600_000, 1)
        } else {
            return None;
        };
        total = total.checked_add(number.checked_mul(factor)?)?;
        rest = &rest[unit..];
    }
    Some(total)
}
