//! Suites of restic: captured runs and retention.

use std::collections::BTreeMap;

use anyhow::Context;
use restic_wrapper::retention::{ForgetArgs, Zone};
use restic_wrapper::{
    Command, Decoded, Event, Evidence, Exit, Outcome, Parser, Snapshot, Stream, Timestamp,
};
use restic_wrapper::{ErrorKind, GroupKey};
use serde_json::{Value, json};

use super::{Folder, Outputs, Report, Runner, Suite, first_difference};

/// The suites of this file.
pub(super) const SUITES: &[&dyn Suite] = &[&Captured, &RETENTION, &RANDOM_RETENTION];

/// Real runs of four versions: every line of both streams, and how the run ended.
struct Captured;

fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value.get(key).and_then(Value::as_str).unwrap_or_default()
}

/// The arguments of a run: a list, or one line with spaces between them.
fn words(case: &Value) -> Vec<String> {
    match case.get("args") {
        Some(Value::String(line)) => line.split_whitespace().map(str::to_owned).collect(),
        Some(Value::Array(list)) => list
            .iter()
            .filter_map(Value::as_str)
            .map(str::to_owned)
            .collect(),
        _ => Vec::new(),
    }
}

fn id(case: &Value) -> String {
    format!("{}.{}", text(case, "name"), text(case, "version"))
}

/// The command whose output it is. Some cases are a line of a shell: what stands in `$(…)` prints nothing there.
fn command(case: &Value) -> Command {
    let mut line = words(case).join(" ");
    while let Some(start) = line.find("$(") {
        let Some(length) = line[start..].find(')') else {
            break;
        };
        line.replace_range(start..=start + length, "SUBSTITUTED");
    }
    let words: Vec<&str> = line.split_whitespace().collect();
    Command::from_args(&words)
}

fn stream(folder: &Folder, id: &str, ending: &str) -> Result<Vec<u8>, String> {
    let name = format!("{id}.{ending}");
    if !folder.has(&name) {
        return Ok(Vec::new());
    }
    folder.bytes(&name).map_err(|error| format!("{error:#}"))
}

#[derive(Default)]
struct Counts {
    typed: usize,
    notices: usize,
    unknown: usize,
    lost: usize,
}

/// Lines that no value has come from yet, and what became of the others.
struct Reading<'a> {
    counts: Counts,
    evidence: Evidence,
    open: Vec<&'a [u8]>,
}

impl<'a> Reading<'a> {
    /// Sorts the lines that a parser has just answered with these values.
    fn answered(&mut self, values: &[(Class, Value)]) {
        if values.is_empty() || self.open.is_empty() {
            return;
        }
        let lines = std::mem::take(&mut self.open);
        if !held(&lines, values) {
            self.counts.lost += lines.len();
        }
        let has = |class: Class| values.iter().any(|(it, _)| *it == class);
        let count = if has(Class::Typed) {
            &mut self.counts.typed
        } else if has(Class::Unknown) {
            &mut self.counts.unknown
        } else {
            &mut self.counts.notices
        };
        *count += lines.len();
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Class {
    Typed,
    Notice,
    Unknown,
}

fn class(value: &Decoded<'_>) -> Class {
    match value {
        Decoded::Event(Event::Notice(_)) => Class::Notice,
        Decoded::Event(Event::Unknown(_)) => Class::Unknown,
        _ => Class::Typed,
    }
}

/// Whether the values hold everything that the lines say.
fn held(lines: &[&[u8]], values: &[(Class, Value)]) -> bool {
    let joined = String::from_utf8_lossy(&lines.join(&b'\n')).into_owned();
    if let Ok(input) = serde_json::from_str::<Value>(&joined) {
        return values.iter().any(|(_, value)| contains(value, &input));
    }
    // Text: what is left when escapes are taken away stands in the values word by word.
    let plain = without_escapes(&joined);
    let all: String = values
        .iter()
        .map(|(_, value)| match value {
            Value::String(text) => format!("{text}\n"),
            other => format!("{other}\n"),
        })
        .collect();
    let typed = values.iter().any(|(class, _)| *class == Class::Typed);
    plain.split_whitespace().all(|word| {
        let is_number = word.starts_with('[') || word.ends_with('%');
        let is_vocabulary = !word.contains('/') && !word.contains(|c: char| c.is_ascii_digit());
        all.contains(word)
            || all.contains(word.trim_matches(|c: char| !c.is_alphanumeric()))
            // `[0:07]` and `28.57%` are numbers in a typed value, and the sentence around values is its type.
            || typed && (is_number || is_vocabulary || word == "/")
    })
}

fn without_escapes(text: &str) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some(at) = rest.find("\u{1b}[") {
        out.push_str(&rest[..at]);
        let tail = &rest[at + 2..];
        let end = tail
            .find(|c: char| c.is_ascii_alphabetic())
            .map_or(tail.len(), |end| end + 1);
        rest = &tail[end..];
    }
    out.push_str(rest);
    out
}

/// Whether `output` holds every key and value of `input`; a key that is `null` or empty may be left out.
fn contains(output: &Value, input: &Value) -> bool {
    match (output, input) {
        (Value::Object(output), Value::Object(input)) => input.iter().all(|(key, value)| {
            let empty = value.is_null() || value.as_array().is_some_and(Vec::is_empty);
            match output.get(key) {
                Some(other) => contains(other, value) || empty && is_nothing(other),
                None => empty || value == "",
            }
        }),
        (Value::Array(output), Value::Array(input)) => {
            output.len() == input.len()
                && output
                    .iter()
                    .zip(input)
                    .all(|(output, input)| contains(output, input))
        }
        _ => first_difference(input, output).is_none(),
    }
}

fn is_nothing(value: &Value) -> bool {
    value.is_null() || value.as_array().is_some_and(Vec::is_empty)
}

fn lines(bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    bytes
        .split(|byte| *byte == b'\n')
        .filter(|line| !line.iter().all(u8::is_ascii_whitespace))
}

fn captured(folder: &Folder, case: &Value) -> Result<Value, String> {
    let id = id(case);
    let command = command(case);
    let stdout = stream(folder, &id, "stdout.jsonl")?;
    let stderr = stream(folder, &id, "stderr.txt")?;
    let mut reading = Reading {
        counts: Counts::default(),
        evidence: Evidence::new(command),
        open: Vec::new(),
    };
    for (stream, bytes) in [(Stream::Stdout, &stdout), (Stream::Stderr, &stderr)] {
        let mut parser = Parser::new(command);
        for line in lines(bytes) {
            reading.open.push(line);
            let mut values = Vec::new();
            let mut events = Vec::new();
            parser.line(stream, line, &mut |value| {
                values.push((class(&value), value.to_value()));
                if let Decoded::Event(event) = value {
                    events.push(event);
                }
            });
            events
                .iter()
                .for_each(|event| reading.evidence.observe(event));
            reading.answered(&values);
        }
        let mut values = Vec::new();
        parser.finish(&mut |value| values.push((class(&value), value.to_value())));
        reading.answered(&values);
    }
    let exit = case.get("exit").and_then(Value::as_i64).unwrap_or(-1);
    let exit = Exit::Code(i32::try_from(exit).map_err(|error| error.to_string())?);
    let outcome = match reading.evidence.judge(exit, false) {
        Outcome::Success => "success",
        Outcome::Partial => "partial",
        Outcome::Failed(ErrorKind::Locked) => "locked",
        Outcome::Failed(ErrorKind::WrongPassword) => "wrong-password",
        Outcome::Failed(ErrorKind::NoRepository) => "no-repository",
        Outcome::Failed(ErrorKind::Cancelled) => "cancelled",
        Outcome::Failed(ErrorKind::Damaged) => "damaged",
        _ => "failed",
    };
    let Counts {
        typed,
        notices,
        unknown,
        lost,
    } = reading.counts;
    Ok(json!({
        "typed": typed, "notices": notices, "unknown": unknown, "lost": lost, "outcome": outcome,
    }))
}

impl Suite for Captured {
    fn name(&self) -> &'static str {
        "restic-captured"
    }

    fn run(&self, folder: &Folder, runner: &mut Runner<'_>) -> anyhow::Result<()> {
        for case in folder.own_json_lines("index.jsonl")?.unwrap_or_default() {
            runner.try_case(id(&case), || captured(folder, &case));
        }
        Ok(())
    }

    /// The folder says nothing about outcomes; what follows from the inputs is that no line is lost or unknown, that all
    /// are counted, and what a handful of exit codes mean in every version.
    fn check(&self, folder: &Folder, outputs: &Outputs, report: &mut Report) -> anyhow::Result<()> {
        for case in folder.own_json_lines("index.jsonl")?.unwrap_or_default() {
            let id = id(&case);
            let Some(output) = outputs.get(&id) else {
                report.differs(id, "did not run");
                continue;
            };
            let stdout = stream(folder, &id, "stdout.jsonl").map_err(anyhow::Error::msg)?;
            let stderr = stream(folder, &id, "stderr.txt").map_err(anyhow::Error::msg)?;
            let expected = lines(&stdout).count() + lines(&stderr).count();
            let number = |key: &str| output.get(key).and_then(Value::as_u64).unwrap_or_default();
            let counted = number("typed") + number("notices") + number("unknown");
            let outcome = text(output, "outcome");
            let demanded = match case.get("exit").and_then(Value::as_i64) {
                Some(3) => Some("partial"),
                Some(10) => Some("no-repository"),
                Some(11) => Some("locked"),
                Some(12) => Some("wrong-password"),
                Some(124 | 137 | 143 | 2) => Some("failed"),
                Some(130) => Some("cancelled"),
                _ => None,
            };
            if number("unknown") != 0 {
                report.differs(id, format!("{} lines are unknown", number("unknown")));
            } else if number("lost") != 0 {
                report.differs(id, format!("{} lines are lost", number("lost")));
            } else if counted != expected as u64 {
                report.differs(id, format!("{counted} lines of {expected} are counted"));
            } else if demanded.is_some_and(|demanded| demanded != outcome) {
                report.differs(
                    id,
                    format!("{outcome}, expected {}", demanded.unwrap_or_default()),
                );
            } else {
                report.right();
            }
        }
        Ok(())
    }
}

/// `forget --dry-run` of real repositories, worked out offline.
struct Retention {
    name: &'static str,
    /// Whether the cases have ids, and name their list of snapshots.
    random: bool,
}

const RETENTION: Retention = Retention {
    name: "restic-retention",
    random: false,
};
const RANDOM_RETENTION: Retention = Retention {
    name: "restic-random-retention",
    random: true,
};

/// The clock of cases that name none: the day on which they were recorded.
const RECORDED: &str = "2026-11-20T12:00:00Z";

impl Retention {
    fn cases(&self, folder: &Folder) -> anyhow::Result<Vec<(String, Value)>> {
        let cases = folder.own_json_lines("cases.jsonl")?.unwrap_or_default();
        let named = cases.into_iter().enumerate().map(|(at, case)| {
            let id = if self.random {
                text(&case, "id").to_owned()
            } else {
                at.to_string()
            };
            (id, case)
        });
        Ok(named.collect())
    }

    fn file(&self, case: &Value) -> String {
        match text(case, "repo") {
            "" => "snapshots.json".to_owned(),
            repo => format!("snapshots-{repo}.json"),
        }
    }
}

fn group(key: &GroupKey) -> Value {
    json!({"host": key.hostname, "tags": key.tags, "paths": key.paths})
}

fn plan(case: &Value, snapshots: &[Snapshot]) -> Value {
    let args = match ForgetArgs::parse(words(case)) {
        Ok(args) => args,
        Err(error) => return json!({"error": error.to_string()}),
    };
    let now = case.get("now").and_then(Value::as_str).unwrap_or(RECORDED);
    let now: Timestamp = match now.parse() {
        Ok(now) => now,
        Err(error) => return json!({"unsupported": format!("{error}")}),
    };
    let zone = Zone::from_tz_variable(text(case, "tz"));
    let plan = match args.plan(snapshots, now, &zone) {
        Ok(plan) => plan,
        Err(error) => return json!({"error": error.to_string()}),
    };
    let groups: Vec<Value> = plan
        .groups
        .iter()
        .map(|it| {
            let mut value = group(&it.key);
            let reasons: BTreeMap<&str, Vec<String>> = it
                .keep
                .iter()
                .map(|(snapshot, reasons)| {
                    let words = reasons.iter().map(|reason| args.policy.explain(*reason));
                    (snapshot.short(), words.collect())
                })
                .collect();
            value["keep"] = it
                .keep
                .iter()
                .map(|(snapshot, _)| json!(snapshot.short()))
                .collect();
            value["remove"] = it
                .remove
                .iter()
                .map(|snapshot| json!(snapshot.short()))
                .collect();
            value["reasons"] = json!(reasons);
            value
        })
        .collect();
    json!({"groups": groups})
}

impl Suite for Retention {
    fn name(&self) -> &'static str {
        self.name
    }

    fn run(&self, folder: &Folder, runner: &mut Runner<'_>) -> anyhow::Result<()> {
        let mut lists: BTreeMap<String, Vec<Snapshot>> = BTreeMap::new();
        for (id, case) in self.cases(folder)? {
            let file = self.file(&case);
            if !lists.contains_key(&file) {
                let text = folder.text(&file)?;
                let list = serde_json::from_str(&text)
                    .with_context(|| format!("{file} is not a list of snapshots"))?;
                lists.insert(file.clone(), list);
            }
            let snapshots = &lists[&file];
            runner.case(id, || plan(&case, snapshots));
        }
        Ok(())
    }

    fn check(&self, folder: &Folder, outputs: &Outputs, report: &mut Report) -> anyhow::Result<()> {
        let mut times: BTreeMap<String, BTreeMap<String, (i64, u32)>> = BTreeMap::new();
        for (id, case) in self.cases(folder)? {
            let Some(output) = outputs.get(&id) else {
                report.differs(id, "did not run");
                continue;
            };
            let file = self.file(&case);
            if !times.contains_key(&file) {
                let list: Vec<Snapshot> = serde_json::from_str(&folder.text(&file)?)?;
                let list = list
                    .iter()
                    .map(|it| (it.short().to_owned(), it.time.instant()));
                times.insert(file.clone(), list.collect());
            }
            match difference(&case, output, &times[&file]) {
                None => report.right(),
                Some(what) => report.differs(id, what),
            }
        }
        Ok(())
    }
}

/// Compares a result with the program's; snapshots of one instant may stand for each other.
fn difference(
    case: &Value,
    output: &Value,
    times: &BTreeMap<String, (i64, u32)>,
) -> Option<String> {
    let failed = case.get("exit").and_then(Value::as_i64).unwrap_or_default() != 0;
    let error = output.get("error").and_then(Value::as_str);
    if failed {
        let stderr = text(case, "stderr");
        let said: Value = serde_json::from_str(stderr).unwrap_or_default();
        let said = text(&said, "message").trim_start_matches("Fatal: ");
        return match error {
            None => Some(format!("no error, expected {said:?}")),
            // Of several groups that would be emptied the program names one at random.
            Some(error) if said.starts_with("refusing") && error.starts_with("refusing") => None,
            Some(error) if error == said => None,
            Some(error) => Some(format!("error {error:?}, expected {said:?}")),
        };
    }
    if let Some(error) = error {
        return Some(format!("error {error:?}, expected none"));
    }
    let normal = |value: &Value| {
        let groups = value.as_array().map(Vec::as_slice).unwrap_or_default();
        let mut groups: Vec<Value> = groups.iter().map(|it| normal_group(it, times)).collect();
        groups.sort_by_key(|it| it["key"].to_string());
        Value::Array(groups)
    };
    let none = json!([]);
    let expected = case
        .get("groups")
        .filter(|it| !it.is_null())
        .unwrap_or(&none);
    first_difference(
        &normal(expected),
        &normal(output.get("groups").unwrap_or(&none)),
    )
}

fn normal_group(group: &Value, times: &BTreeMap<String, (i64, u32)>) -> Value {
    let instant = |id: &Value| {
        let short: String = id.as_str().unwrap_or_default().chars().take(8).collect();
        times
            .get(&short)
            .map(|(s, n)| format!("{s:020}.{n:09}"))
            .unwrap_or(short)
    };
    let sorted = |mut list: Vec<Value>| {
        list.sort_by_key(Value::to_string);
        Value::Array(list)
    };
    let ids = |key: &str| {
        let list = group
            .get(key)
            .and_then(Value::as_array)
            .into_iter()
            .flatten();
        sorted(list.map(|id| json!(instant(id))).collect())
    };
    let reasons = group
        .get("reasons")
        .and_then(Value::as_object)
        .into_iter()
        .flatten();
    let reasons = reasons
        .map(|(id, why)| json!([instant(&json!(id)), why]))
        .collect();
    let list = |key: &str| match group.get(key) {
        Some(Value::Array(list)) if !list.is_empty() => sorted(list.clone()),
        _ => Value::Null,
    };
    json!({
        "key": [text(group, "host"), list("tags"), list("paths")],
        "keep": ids("keep"), "remove": ids("remove"), "reasons": sorted(reasons),
    })
}
