//! What callers are told about calls, parameters and members of answers.

use serde_json::Value;

use super::overlay::{Overlay, Pace, Root, call_of};
use super::rust::Param;

/// What a caller should know beyond the path.
pub(super) fn notes(method: &Value, overlay: &Overlay) -> Vec<String> {
    let mut notes = Vec::new();
    if let Some(since) = method["since"].as_str() {
        notes.push(format!("Since {since}."));
    }
    if method["token"] == false {
        notes.push("Not for API tokens.".to_owned());
    }
    if let Some(check) = method.get("check") {
        notes.push(format!("Needs `{}`.", check.to_string().replace('"', "")));
    } else if let Some(user) = method["user"].as_str() {
        notes.push(match user {
            "all" => "Any user.".to_owned(),
            "world" => "No login needed.".to_owned(),
            other => format!("Needs user `{other}`."),
        });
    } else {
        notes.push("Only for `root@pam`, not for its tokens.".to_owned());
    }
    match overlay.pace(&call_of(method)) {
        Pace::Ordinary => {}
        Pace::Slow => {
            notes.push("Works before it answers: slow calls have their own deadline.".to_owned())
        }
        Pace::Transfer => notes.push("Carries a file: it has no deadline.".to_owned()),
    }
    notes
}

/// What the arguments of a call are.
pub(super) fn documented(required: &[&Param<'_>]) -> String {
    if required.is_empty() {
        return String::new();
    }
    let list: Vec<String> = required
        .iter()
        .map(|param| describe(param).trim_end_matches('.').to_owned())
        .collect();
    format!(": {}", list.join("; "))
}

/// A parameter, with what is known about it.
pub(super) fn describe(param: &Param<'_>) -> String {
    let mut text = describe_member(param.name, param.schema);
    if param.secret {
        text.push_str(" Secret.");
    }
    match param.root {
        Some(Root::Always) => text.push_str(" Only for `root@pam`."),
        Some(Root::SomeValues) => text.push_str(" Some values only for `root@pam`."),
        None => {}
    }
    text
}

/// A parameter or member by what the schema tells.
pub(super) fn describe_member(name: &str, schema: &Value) -> String {
    let mut parts = Vec::new();
    if let Some(values) = schema["enum"].as_array() {
        let values: Vec<String> = values
            .iter()
            .map(|value| {
                format!(
                    "`{}`",
                    value
                        .as_str()
                        .map_or_else(|| value.to_string(), str::to_owned)
                )
            })
            .collect();
        parts.push(values.join(", "));
    }
    match (schema["minimum"].as_f64(), schema["maximum"].as_f64()) {
        (Some(low), Some(high)) => parts.push(format!("{low} to {high}")),
        (Some(low), None) => parts.push(format!("{low} or more")),
        (None, Some(high)) => parts.push(format!("{high} at most")),
        (None, None) => {}
    }
    match (schema["minLength"].as_u64(), schema["maxLength"].as_u64()) {
        (Some(low), Some(high)) => parts.push(format!("{low} to {high} bytes")),
        (None, Some(high)) => parts.push(format!("{high} bytes at most")),
        (Some(low), None) => parts.push(format!("{low} bytes or more")),
        (None, None) => {}
    }
    match &schema["format"] {
        Value::String(format) => parts.push(format!("format `{format}`")),
        Value::Object(keys) => {
            let keys: Vec<String> = keys
                .iter()
                .filter(|(_, key)| key.get("alias").is_none())
                .map(|(name, key)| match key["since"].as_str() {
                    Some(since) => format!("`{name}` (since {since})"),
                    None => format!("`{name}`"),
                })
                .collect();
            parts.push(format!("property string of {}", keys.join(", ")));
        }
        _ => {}
    }
    match &schema["default"] {
        Value::Null => {}
        Value::String(text) => parts.push(format!("default `{}`", text.replace('\n', " "))),
        other => parts.push(format!("default `{other}`")),
    }
    if let Some(since) = schema["since"].as_str() {
        parts.push(format!("since {since}"));
    }
    if parts.is_empty() {
        format!("`{name}`.")
    } else {
        format!("`{name}`: {}.", parts.join("; "))
    }
}
