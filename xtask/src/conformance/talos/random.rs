//! Suite `talos-random`: random patches, validations and texts.

use serde_json::{Value, json};
use talos_client::MachineConfig;

use super::super::{Folder, Outputs, Report, Runner, Suite};
use super::configs::{describe, first_line, outcome, patched, short, text};
use super::validation;

const PATCHES: &str = "random-patches.json";
const VALIDATIONS: &str = "random-validate.json";
const LOADS: &str = "random-load.json";

pub(super) struct Random;

fn cases(file: &Value) -> impl Iterator<Item = &Value> {
    file["cases"].as_array().into_iter().flatten()
}

impl Suite for Random {
    fn name(&self) -> &'static str {
        "talos-random"
    }

    fn run(&self, folder: &Folder, runner: &mut Runner<'_>) -> anyhow::Result<()> {
        if let Some(file) = folder.own_json(PATCHES)? {
            for case in cases(&file) {
                let base = text(&file["bases"][text(&case["base"])]);
                let patches: Vec<String> = case["patches"]
                    .as_array()
                    .into_iter()
                    .flatten()
                    .map(|p| text(p).to_owned())
                    .collect();
                runner.case(format!("patches:{}", text(&case["id"])), || {
                    outcome(patched(base, &patches))
                });
            }
        }
        if let Some(file) = folder.own_json(VALIDATIONS)? {
            for case in cases(&file) {
                let base = text(&file["bases"][text(&case["base"])]);
                runner.case(format!("validate:{}", text(&case["id"])), || {
                    validation::validate(base, case)
                });
            }
        }
        if let Some(file) = folder.own_json(LOADS)? {
            for case in cases(&file) {
                runner.case(format!("load:{}", text(&case["id"])), || {
                    load(text(&case["config"]))
                });
            }
        }
        Ok(())
    }

    fn check(&self, folder: &Folder, outputs: &Outputs, report: &mut Report) -> anyhow::Result<()> {
        for (prefix, name) in [
            ("patches", PATCHES),
            ("validate", VALIDATIONS),
            ("load", LOADS),
        ] {
            let Some(file) = folder.own_json(name)? else {
                continue;
            };
            for case in cases(&file) {
                let id = format!("{prefix}:{}", text(&case["id"]));
                let output = outputs.get(&id).cloned().unwrap_or(Value::Null);
                let difference = match prefix {
                    "validate" => validation::difference(&case["expected"], &output),
                    _ => judge(&case["expected"], &output),
                };
                match difference {
                    None => report.right(),
                    Some(what) => report.differs(id, what),
                }
            }
        }
        Ok(())
    }
}

pub(super) fn load(config: &str) -> Value {
    match MachineConfig::load(config) {
        Ok(config) => {
            json!({"ok": true, "encoded": config.to_yaml().as_str(), "kinds": config.document_kinds()})
        }
        Err(error) => json!({"ok": false, "error": describe(&error)}),
    }
}

fn loads(text: &str) -> bool {
    MachineConfig::load(text).is_ok()
}

/// Success or failure must agree; what the reference printed must be printed, unless it cannot be read again.
pub(super) fn judge(expected: &Value, output: &Value) -> Option<String> {
    if !output["unsupported"].is_null() {
        return Some(short(output));
    }
    let wanted = expected["text"].as_str().or(expected["encoded"].as_str());
    let got = output["text"].as_str().or(output["encoded"].as_str());
    match (wanted, got) {
        (Some(wanted), Some(got)) => {
            let broken = expected["encoded_loads_again"] == false
                || expected["encoded_stable"] == false
                || !loads(wanted) && loads(got);
            let kinds = &expected["kinds"];
            if broken {
                None
            } else if !kinds.is_null() && *kinds != output["kinds"] {
                Some(format!("kinds: expected {kinds}, got {}", output["kinds"]))
            } else {
                first_line(wanted, got)
            }
        }
        (None, None) => None,
        _ => Some(format!(
            "expected {}, got {}",
            short(&expected["error"]),
            short(output)
        )),
    }
}
