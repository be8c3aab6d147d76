//! Suites of Kubernetes manifests through the typed objects of the model crates.

use anyhow::Context;
use serde_json::{Value, json};

use super::{Folder, Outputs, Report, Runner, Suite, first_difference};

/// The suites of this file.
pub(super) const SUITES: &[&dyn Suite] = &[&Manifests];

struct Manifests;

impl Suite for Manifests {
    fn name(&self) -> &'static str {
        "kubernetes-manifests"
    }

    fn run(&self, folder: &Folder, runner: &mut Runner<'_>) -> anyhow::Result<()> {
        for file in folder.files("")? {
            if file.ends_with(".yaml") || file.ends_with(".yml") {
                let text = folder.text(&file)?;
                runner.case(file, || manifest(&text));
            }
        }
        Ok(())
    }

    fn check(&self, folder: &Folder, outputs: &Outputs, report: &mut Report) -> anyhow::Result<()> {
        let index = folder.own_json("index.json")?;
        let files = index
            .as_ref()
            .and_then(|index| index.get("files"))
            .and_then(Value::as_array);
        for entry in files.context("index.json has no list of files")? {
            let id = entry["file"].as_str().unwrap_or_default();
            let flag = |key: &str| entry[key].as_bool() == Some(true);
            let Some(output) = outputs.get(id) else {
                report.differs(id, "did not run");
                continue;
            };
            if output.get("unsupported").is_some() || flag("template") && !flag("accepted") {
                report.unchecked();
                continue;
            }
            if flag("accepted") {
                let input =
                    read(&folder.text(id)?).map_err(|why| anyhow::anyhow!("{id}: {why}"))?;
                let expected = without_nulls(&Value::Array(input));
                match output.get("documents") {
                    None => report.differs(id, format!("refused: {}", output["error"])),
                    Some(documents) => match first_difference(&expected, &without_nulls(documents))
                    {
                        None => report.right(),
                        Some(what) => report.differs(id, what),
                    },
                }
            } else if output.get("error").is_some() {
                report.right();
            } else {
                let reason: String = entry["reason"].to_string().chars().take(300).collect();
                report.differs(id, format!("accepted, but {reason}"));
            }
        }
        Ok(())
    }
}

/// The documents of a file as a plain YAML reader sees them, without any typed object between.
fn read(text: &str) -> Result<Vec<Value>, String> {
    let mut documents = Vec::new();
    #[cfg(feature = "cilium")]
    let parsed = cilium_model::manifest::untyped(text).map_err(|error| error.to_string());
    #[cfg(not(feature = "cilium"))]
    let parsed = longhorn_model::manifest::untyped(text).map_err(|error| error.to_string());
    documents.extend(parsed?);
    Ok(documents)
}

/// To the API server an explicit null is an absent key.
fn without_nulls(value: &Value) -> Value {
    match value {
        Value::Array(items) => Value::Array(items.iter().map(without_nulls).collect()),
        Value::Object(map) => Value::Object(
            map.iter()
                .filter(|(_, value)| !value.is_null())
                .map(|(key, value)| (key.clone(), without_nulls(value)))
                .collect(),
        ),
        other => other.clone(),
    }
}

fn manifest(text: &str) -> Value {
    let documents = match read(text) {
        Ok(documents) => documents,
        Err(error) => return json!({"error": error}),
    };
    let mut printed = Vec::new();
    for document in &documents {
        match one(document) {
            Ok(Some(value)) => printed.push(value),
            Ok(None) => return json!({"unsupported": document["kind"]}),
            Err(error) => return json!({"error": error}),
        }
    }
    json!({"documents": printed})
}

/// Typed parse, check against the kind's schema, and print; nothing when no crate has the kind.
fn one(document: &Value) -> Result<Option<Value>, String> {
    #[cfg(feature = "cilium")]
    match cilium_model::Manifest::from_json(document) {
        Ok(object) => {
            let text = cilium_model::Manifest::write_all([&object]);
            let again =
                cilium_model::Manifest::read_all(&text).map_err(|error| error.to_string())?;
            object.validate().map_err(|error| error.to_string())?;
            return Ok(again.first().map(cilium_model::Manifest::to_json));
        }
        Err(error) if error.is_unknown_kind() => {}
        Err(error) => return Err(error.to_string()),
    }
    #[cfg(feature = "longhorn")]
    match longhorn_model::Manifest::from_json(document) {
        Ok(object) => {
            let text = longhorn_model::Manifest::write_all([&object]);
            let again =
                longhorn_model::Manifest::read_all(&text).map_err(|error| error.to_string())?;
            object.validate().map_err(|error| error.to_string())?;
            return Ok(again.first().map(longhorn_model::Manifest::to_json));
        }
        Err(error) if error.is_unknown_kind() => {}
        Err(error) => return Err(error.to_string()),
    }
    Ok(None)
}
