//! What our crates print, read by a YAML parser that is not ours: that of Python, which cloud-init uses.
//!
//! A label with the value `"on"` that is printed without quotes is a label for us and a boolean for others.

use std::io::Write;
use std::process::{Command, Stdio};

use serde_json::{Value, json};

/// Words that some reader takes for something else than text.
const WORDS: &[&str] = &[
    "",
    " ",
    "~",
    "null",
    "Null",
    "NULL",
    "true",
    "True",
    "no",
    "No",
    "NO",
    "yes",
    "on",
    "off",
    "y",
    "Y",
    "n",
    "N",
    "0",
    "-0",
    "+1",
    "007",
    "0644",
    "0o17",
    "0x1F",
    "0b11",
    "1_000",
    "1.",
    ".5",
    "1.10",
    "1e3",
    "1E+3",
    "6.02e23",
    ".inf",
    "-.INF",
    ".nan",
    "12:30:45",
    "1:30",
    "2024-01-01",
    "2024-01-01T10:00:00Z",
    "=",
    "<<",
    "-",
    "- a",
    "? a",
    ": a",
    "a: b",
    "a:",
    "a #b",
    "#a",
    "&a",
    "*a",
    "!a",
    "!!str a",
    "|",
    ">",
    "%a",
    "@a",
    "`a",
    "[a]",
    "{a}",
    "a, b",
    "'a'",
    "\"a\"",
    "a\\b",
    "a\tb",
    "a\nb",
    "a\n",
    "\na",
    " a",
    "a ",
    "a\n\nb\n",
    "---",
    "...",
    "ä",
    "\u{85}",
    "\u{2028}",
    "\u{feff}a",
    "\u{7f}",
    "\u{1F600}",
];

/// Every word as a value, as a key, in a list, and deeper.
fn metadata() -> Value {
    let mut annotations = serde_json::Map::new();
    for (at, word) in WORDS.iter().enumerate() {
        annotations.insert(format!("value{at}"), json!(word));
        annotations.insert((*word).to_owned(), json!("key"));
    }
    json!({"name": "words", "annotations": annotations})
}

fn status() -> Value {
    json!({
        "words": WORDS,
        "deep": [[{"a": [{"b": WORDS}]}], {}, [], {"empty": {}, "list": []}],
        "numbers": [0, -1, 9_007_199_254_740_993_u64, 0.5, -1.25],
        "truth": [true, false, null],
        "long": "word ".repeat(80),
    })
}

/// The same documents as JSON, by Python; `None` when the interpreter or its parser is absent.
fn read_by_python(yaml: &str) -> Option<Value> {
    const SCRIPT: &str = "import json, sys, yaml\n\
        json.dump(list(yaml.safe_load_all(sys.stdin.buffer.read().decode())), sys.stdout)";
    let python = super::python();
    let has_parser = Command::new(&python)
        .args(["-c", "import yaml"])
        .stderr(Stdio::null())
        .status();
    if !has_parser.is_ok_and(|status| status.success()) {
        println!("did not run: no PyYAML in {}", python.display());
        return None;
    }
    let mut child = Command::new(python)
        .args(["-c", SCRIPT])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    child
        .stdin
        .take()
        .unwrap()
        .write_all(yaml.as_bytes())
        .unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "Python cannot read this:\n{yaml}");
    Some(serde_json::from_slice(&output.stdout).unwrap())
}

fn assert_same(ours: &Value, yaml: &str) {
    let Some(theirs) = read_by_python(yaml) else {
        return;
    };
    assert_eq!(theirs[0]["metadata"], ours["metadata"]);
    assert_eq!(theirs[0], *ours);
}

#[test]
fn cilium_objects_mean_the_same_to_python() {
    let object = json!({
        "apiVersion": "cilium.io/v2",
        "kind": "CiliumNetworkPolicy",
        "metadata": metadata(),
        "spec": {"endpointSelector": {}, "description": "on"},
        "status": status(),
    });
    let object = cilium_model::policy::CiliumNetworkPolicy::from_json(&object).unwrap();
    assert_same(&object.to_json(), &object.to_yaml());
}
