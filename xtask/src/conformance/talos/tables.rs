//! Suite `talos-tables`: versions, schematics, talosconfig, texts to load, validations.

use serde_json::{Value, json};
use talos_client::{
    Client, Schematic, TalosConfig, VersionContract, check_kubernetes, check_upgrade,
};

use super::super::{Folder, Outputs, Report, Runner, Suite};
use super::configs::{describe, short, text};
use super::random::{judge, load};
use super::validation;

const TABLES: [&str; 10] = [
    "contracts",
    "endpoints",
    "host_upgrade",
    "kubernetes_support",
    "load",
    "schematics",
    "talosconfig",
    "validate",
    "validate_crossdoc",
    "validate_mutations",
];

pub(super) struct Tables;

fn id(table: &str, position: usize, case: &Value) -> String {
    match case["id"].as_str() {
        Some(id) => format!("{table}:{id}"),
        None => format!("{table}:{position}"),
    }
}

fn each(folder: &Folder, mut work: impl FnMut(&str, usize, &Value)) -> anyhow::Result<()> {
    for table in TABLES {
        let Some(file) = folder.own_json(&format!("tables/{table}.json"))? else {
            continue;
        };
        for (position, case) in file["cases"].as_array().into_iter().flatten().enumerate() {
            work(table, position, case);
        }
    }
    Ok(())
}

impl Suite for Tables {
    fn name(&self) -> &'static str {
        "talos-tables"
    }

    fn run(&self, folder: &Folder, runner: &mut Runner<'_>) -> anyhow::Result<()> {
        each(folder, |table, position, case| {
            runner.try_case(id(table, position, case), || {
                if !table.starts_with("validate") {
                    return Ok(answer(table, case));
                }
                let base = match case["base"].as_str() {
                    Some(file) => folder.text(file).map_err(|error| format!("{error:#}"))?,
                    None => text(&case["config"]).to_owned(),
                };
                let base = match case["append_document"].as_str() {
                    Some(file) => {
                        let more = folder.text(file).map_err(|error| format!("{error:#}"))?;
                        format!("{base}\n---\n{more}")
                    }
                    None => base,
                };
                Ok(validation::validate(&base, case))
            });
        })
    }

    fn check(&self, folder: &Folder, outputs: &Outputs, report: &mut Report) -> anyhow::Result<()> {
        each(folder, |table, position, case| {
            let id = id(table, position, case);
            let output = outputs.get(&id).cloned().unwrap_or(Value::Null);
            match difference(table, case, &output) {
                None => report.right(),
                Some(what) => report.differs(id, what),
            }
        })
    }
}

fn answer(table: &str, case: &Value) -> Value {
    let failed = |error: talos_client::Error| json!({"error": describe(&error)});
    let input = text(&case["input"]);
    match table {
        "contracts" => match input.parse::<VersionContract>() {
            Ok(contract) => json!({"contract": contract.to_string()}),
            Err(error) => failed(error),
        },
        "endpoints" => match Client::address(input) {
            Ok(address) => json!({"with_port": address}),
            Err(error) => failed(error),
        },
        "host_upgrade" => check_upgrade(text(&case["host"]), text(&case["target"]))
            .map_or_else(failed, |()| json!({})),
        "kubernetes_support" => check_kubernetes(text(&case["talos"]), text(&case["kubernetes"]))
            .map_or_else(failed, |()| json!({})),
        "load" => load(text(&case["config"])),
        "schematics" => match Schematic::from_yaml(input) {
            Ok(schematic) => json!({"canonical": schematic.canonical(), "id": schematic.id()}),
            Err(error) => failed(error),
        },
        _ => talosconfig(case).unwrap_or_else(failed),
    }
}

fn talosconfig(case: &Value) -> Result<Value, talos_client::Error> {
    let mut config = TalosConfig::from_yaml(text(&case["base"]))?;
    let renames = match case["other"].as_str() {
        Some(other) => config.merge(&TalosConfig::from_yaml(other)?),
        None => Vec::new(),
    };
    let shown: Vec<String> = renames
        .iter()
        .map(|(old, new)| format!("\"{old}\" -> \"{new}\""))
        .collect();
    let mut answer = json!({"result": config.to_yaml().as_str()});
    if !case["other"].is_null() {
        answer["renames"] = json!(shown);
    }
    Ok(answer)
}

fn difference(table: &str, case: &Value, output: &Value) -> Option<String> {
    if table.starts_with("validate") {
        return validation::difference(case, output);
    }
    if table == "load" {
        return judge(case, output);
    }
    if case["error"]
        .as_str()
        .is_some_and(|error| !error.is_empty())
    {
        return output["error"]
            .is_null()
            .then(|| format!("expected {}, got {}", case["error"], short(output)));
    }
    // The reference doubles the brackets of an address; a usable address is expected here.
    let doubled = case["with_port"]
        .as_str()
        .is_some_and(|address| address.starts_with("[["));
    [
        "contract",
        "with_port",
        "canonical",
        "id",
        "result",
        "renames",
    ]
    .into_iter()
    .filter(|key| !(case[*key].is_null() || doubled && *key == "with_port"))
    .filter(|key| !(*key == "id" && table == "talosconfig"))
    .find(|key| case[*key] != output[*key])
    .map(|key| format!("{key}: expected {}, got {}", case[key], short(output)))
    .or_else(|| (!output["error"].is_null()).then(|| short(output)))
}
