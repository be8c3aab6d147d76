//! Suites of WireGuard: wg-quick files and mutated texts.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use anyhow::Context;
use serde_json::{Value, json};
use wireguard_config::lenient::{Release, Resolver, Tools};
use wireguard_config::{Dialect, Document, Problem};

use super::{Folder, Outputs, Report, Runner, Suite};

/// The suites of this file.
pub(super) const SUITES: &[&dyn Suite] = &[&Files, &Mutated];

/// The names that resolved on the machine where the cases were recorded; its README lists them.
struct RecordedNames;

impl Resolver for RecordedNames {
    fn host(&self, name: &str) -> Option<IpAddr> {
        let address = match name.to_ascii_lowercase().as_str() {
            "localhost" => "127.0.0.1",
            "localhost6" => "::1",
            "vpn.example.com" => "192.0.2.10",
            "v6.example.org" => "2001:db8::10",
            "gw.example.net" => "198.51.100.10",
            _ => return None,
        };
        address.parse().ok()
    }
}

fn tools(release: Release) -> Tools<'static> {
    Tools::new(release, &RecordedNames)
}

fn problems<'a>(list: impl Iterator<Item = &'a Problem>) -> Vec<Value> {
    let entry = |problem: &Problem| {
        let (line, column) = problem.place.line_column()?;
        Some(
            json!({"line": line, "column": column, "message": problem.message, "rule": problem.rule}),
        )
    };
    list.filter_map(entry).collect()
}

/// What `wg showconf` would print after `wg-quick strip` and `wg setconf`.
fn showconf(tools: Tools<'_>, text: &[u8]) -> Option<String> {
    let stripped = tools.strip(text).ok()?;
    let device = tools.setconf(stripped.as_slice()).ok()?;
    Some(device.showconf().to_string())
}

/// `manifest.jsonl`: files judged by the real tools and by a strict reader.
struct Files;

impl Suite for Files {
    fn name(&self) -> &'static str {
        "wireguard"
    }

    fn run(&self, folder: &Folder, runner: &mut Runner<'_>) -> anyhow::Result<()> {
        let Some(cases) = folder.own_json_lines("manifest.jsonl")? else {
            return Ok(());
        };
        for case in &cases {
            let file = case["file"].as_str().context("a case has no file")?;
            let text = folder.bytes(file)?;
            runner.try_case(file, || {
                let document = Document::parse(&text).map_err(|error| error.to_string())?;
                let report = document.check(Dialect::WgQuick);
                let tools = tools(Release::V20260223);
                let mut output = json!({
                    "accept": tools.quick(&text).is_ok(),
                    "errors": problems(report.errors()),
                    "warnings": problems(report.warnings()),
                    "identical": document.as_bytes() == text,
                });
                if let Some(text) = showconf(tools, &text) {
                    output["showconf"] = text.into();
                }
                Ok(output)
            });
        }
        Ok(())
    }

    fn check(&self, folder: &Folder, outputs: &Outputs, report: &mut Report) -> anyhow::Result<()> {
        for case in folder.own_json_lines("manifest.jsonl")?.unwrap_or_default() {
            let file = case["file"].as_str().context("a case has no file")?;
            let Some(output) = outputs.get(file) else {
                report.differs(file, "did not run");
                continue;
            };
            match judge_file(&case, output) {
                None => report.right(),
                Some(what) => report.differs(file, what),
            }
        }
        Ok(())
    }
}

fn judge_file(case: &Value, output: &Value) -> Option<String> {
    if output["identical"] != true {
        return Some("the text is not printed as it was".to_owned());
    }
    let accept = case["real_verdict"] == "accept";
    if output["accept"] != accept {
        return Some(format!(
            "accept is {}, the tools say {accept}",
            output["accept"]
        ));
    }
    let real = &case["tool"]["20260223"];
    if let Some(expected) = real["showconf"].as_str()
        && let Some(what) = compare_showconf(expected, output["showconf"].as_str())
    {
        return Some(what);
    }
    let at = |list: &Value| {
        let here = |p: &&Value| p["line"] == case["line"] && p["column"] == case["column"];
        list.as_array()
            .is_some_and(|list| list.iter().any(|p| here(&p)))
    };
    let none = |list: &Value| list.as_array().is_none_or(Vec::is_empty);
    let strict = case["note"]
        .as_str()
        .unwrap_or_default()
        .contains("strict parser must reject");
    match case["kind"].as_str() {
        Some("valid") if none(&output["errors"]) => None,
        Some("invalid") if at(&output["errors"]) => None,
        Some("lint") if strict && at(&output["errors"]) => None,
        Some("lint") if !strict && none(&output["errors"]) && at(&output["warnings"]) => None,
        _ => Some(format!(
            "{} at {}:{} ({}), got errors {} and warnings {}",
            case["kind"],
            case["line"],
            case["column"],
            case["reason"],
            output["errors"],
            output["warnings"]
        )),
    }
}

/// `mutated.jsonl`: texts judged by two releases of the tools.
struct Mutated;

const RELEASES: [(&str, Release); 2] = [
    ("20210914", Release::V20210914),
    ("20260223", Release::V20260223),
];

impl Suite for Mutated {
    fn name(&self) -> &'static str {
        "wireguard-mutated"
    }

    fn run(&self, folder: &Folder, runner: &mut Runner<'_>) -> anyhow::Result<()> {
        let Some(cases) = folder.own_json_lines("mutated.jsonl")? else {
            return Ok(());
        };
        for case in &cases {
            let id = case["id"].as_str().context("a case has no id")?;
            let text = match (case["text"].as_str(), case["text_b64"].as_str()) {
                (Some(text), _) => text.as_bytes().to_vec(),
                (None, Some(text)) => decode_base64(text),
                (None, None) => anyhow::bail!("case {id} has no text"),
            };
            runner.case(id, || {
                let mut output = json!({});
                for (name, release) in RELEASES {
                    let tools = tools(release);
                    let stripped = tools
                        .strip(&text)
                        .and_then(|text| tools.setconf(text.as_slice()));
                    output[name] =
                        json!({"raw": tools.setconf(&text).is_ok(), "stripped": stripped.is_ok()});
                }
                if let Some(text) = showconf(tools(Release::V20260223), &text) {
                    output["showconf"] = text.into();
                }
                output
            });
        }
        Ok(())
    }

    fn check(&self, folder: &Folder, outputs: &Outputs, report: &mut Report) -> anyhow::Result<()> {
        for case in folder.own_json_lines("mutated.jsonl")?.unwrap_or_default() {
            let id = case["id"].as_str().context("a case has no id")?;
            let Some(output) = outputs.get(id) else {
                report.differs(id, "did not run");
                continue;
            };
            match judge_mutated(&case, output) {
                None => report.right(),
                Some(what) => report.differs(id, what),
            }
        }
        Ok(())
    }
}

/// Padded base64 of any length; a character outside the alphabet counts as the end.
fn decode_base64(text: &str) -> Vec<u8> {
    let value = |c: u8| match c {
        b'A'..=b'Z' => Some(c - b'A'),
        b'a'..=b'z' => Some(c - b'a' + 26),
        b'0'..=b'9' => Some(c - b'0' + 52),
        b'+' => Some(62),
        b'/' => Some(63),
        _ => None,
    };
    let (mut bytes, mut bits, mut held) = (Vec::new(), 0u32, 0);
    for sextet in text.bytes().map_while(value) {
        bits = bits << 6 | u32::from(sextet);
        held += 6;
        if held >= 8 {
            held -= 8;
            bytes.push((bits >> held) as u8);
        }
    }
    bytes
}

fn judge_mutated(case: &Value, output: &Value) -> Option<String> {
    for (name, _) in RELEASES {
        let real = &case["real"][name];
        let raw = real["setconf_raw_rc"] == 0;
        if output[name]["raw"] != raw {
            return Some(format!(
                "{name} raw: {}, wg says {raw}",
                output[name]["raw"]
            ));
        }
        // A strip that did not end says nothing.
        if real["strip_rc"].is_null() {
            continue;
        }
        let stripped = real["strip_rc"] == 0 && real["setconf_rc"] == 0;
        if output[name]["stripped"] != stripped {
            return Some(format!(
                "{name} stripped: {}, the tools say {stripped}",
                output[name]["stripped"]
            ));
        }
    }
    compare_showconf(case["showconf"].as_str()?, output["showconf"].as_str())
}

/// The `[Interface]` lines and the peers' lines by public key, allowed IPs as sets.
type Normal = (BTreeSet<String>, BTreeMap<String, BTreeSet<String>>);

fn normal(text: &str) -> Normal {
    let mut interface = BTreeSet::new();
    let mut peers: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    let mut peer: Option<String> = None;
    for line in text
        .lines()
        .filter(|line| !line.is_empty() && !line.starts_with('['))
    {
        if let Some(key) = line.strip_prefix("PublicKey = ") {
            peers.entry(key.to_owned()).or_default();
            peer = Some(key.to_owned());
            continue;
        }
        let lines = match &peer {
            Some(key) => peers.entry(key.clone()).or_default(),
            None => &mut interface,
        };
        match line.strip_prefix("AllowedIPs = ") {
            Some(list) => lines.extend(
                list.split(", ")
                    .map(|network| format!("AllowedIPs = {network}")),
            ),
            None => _ = lines.insert(line.to_owned()),
        }
    }
    (interface, peers)
}

fn compare_showconf(expected: &str, output: Option<&str>) -> Option<String> {
    let Some(output) = output else {
        return Some("no showconf".to_owned());
    };
    let (mut expected, output) = (normal(expected), normal(output));
    // Port 0 lets the device choose: the recorded number means nothing then.
    if !output.0.iter().any(|line| line.starts_with("ListenPort")) {
        expected.0.retain(|line| !line.starts_with("ListenPort"));
    }
    (expected != output).then(|| format!("showconf is {output:?}, wg prints {expected:?}"))
}
