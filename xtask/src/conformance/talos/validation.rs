//! Validations: tables and random ones.

use serde_json::{Value, json};
use talos_client::{MachineConfig, Problem, Validation, ValidationMode, ValidationOptions};

use super::configs::{describe, patched, short, text};

/// The Talos version that judged the recorded validations.
const TALOS: &str = "1.14.0-beta.1";

/// Validates a text, after a patch where the case has one.
pub(super) fn validate(base: &str, case: &Value) -> Value {
    let mode = match text(&case["mode"]) {
        "cloud" => ValidationMode::Cloud,
        "container" => ValidationMode::Container,
        _ => ValidationMode::Metal,
    };
    let options = ValidationOptions::new(mode)
        .strict(case["strict"].as_bool().unwrap_or_default())
        .local(case["local"].as_bool().unwrap_or_default())
        .talos_version(TALOS);
    let config = match case["patch"].as_str() {
        Some(patch) => {
            patched(base, &[patch.to_owned()]).and_then(|text| MachineConfig::load(&text))
        }
        None => MachineConfig::load(base),
    };
    match config {
        Ok(config) => show(&config.validate(&options)),
        Err(error) => json!({"valid": false, "errors": [describe(&error)], "warnings": []}),
    }
}

fn show(validation: &Validation) -> Value {
    let texts = |problems: &[Problem]| -> Vec<String> {
        let text = |problem: &Problem| match problem.path.as_str() {
            "" => problem.message.clone(),
            path => format!("{path}: {}", problem.message),
        };
        problems.iter().map(text).collect()
    };
    json!({
        "valid": validation.is_valid(),
        "errors": texts(&validation.errors),
        "warnings": texts(&validation.warnings),
    })
}

/// Equal lists in equal order, unless the case says that any order will do; a text that did not load is about loading on both sides.
pub(super) fn difference(expected: &Value, output: &Value) -> Option<String> {
    if expected["valid"] != output["valid"] {
        return Some(format!(
            "valid: expected {}, got {}",
            short(expected),
            short(output)
        ));
    }
    let any_order = expected["order"] == "any";
    let listed = |value: &Value| {
        let mut list: Vec<String> = value
            .as_array()
            .into_iter()
            .flatten()
            .map(|item| text(item).to_owned())
            .collect();
        if any_order {
            list.sort();
        }
        list
    };
    let refused = |value: &Value| {
        listed(&value["errors"]).iter().any(|text| {
            text.contains("does not load")
                || text.starts_with("error decoding")
                || text.starts_with("duplicate document")
                || text.starts_with("conflicting ")
                || text.contains("contradicts itself")
        })
    };
    if refused(expected) && refused(output) {
        return None;
    }
    for key in ["errors", "warnings"] {
        let (wanted, got) = (listed(&expected[key]), listed(&output[key]));
        if wanted != got {
            let missing: Vec<&String> = wanted.iter().filter(|text| !got.contains(text)).collect();
            let extra: Vec<&String> = got.iter().filter(|text| !wanted.contains(text)).collect();
            if missing.is_empty() && extra.is_empty() {
                return Some(format!("{key}: expected the order {wanted:?}, got {got:?}"));
            }
            return Some(format!("{key}: missing {missing:?}, too much {extra:?}"));
        }
    }
    None
}
