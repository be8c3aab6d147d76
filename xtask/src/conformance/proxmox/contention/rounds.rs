//! The recording, taken apart into rounds.

use serde_json::Value;

/// Rounds that only prepare others.
const PREPARING: [&str; 3] = ["prep", "cleanup", "setup-storages"];

/// What prepared the rounds of a round's run, and is no case itself.
pub(super) fn preparing<'a>(cases: &'a [Value], id: &str) -> Vec<&'a Value> {
    let run = id.split('/').next().unwrap_or_default();
    let of_run = cases.iter().filter(|case| case["run"] == run);
    let round = |case: &&Value| case["round"].as_str().unwrap_or_default().to_owned();
    of_run
        .filter(|case| PREPARING.contains(&round(case).as_str()))
        .collect()
}

/// The lines of each round, in the order of the recording. Rounds that only prepare belong to no case.
pub(super) fn rounds(cases: &[Value]) -> Vec<(String, Vec<&Value>)> {
    let mut out: Vec<(String, Vec<&Value>)> = Vec::new();
    for case in cases {
        let (run, round) = (
            case["run"].as_str().unwrap_or_default(),
            case["round"].as_str().unwrap_or_default(),
        );
        if PREPARING.contains(&round) {
            continue;
        }
        let id = format!("{run}/{round}");
        match out.iter_mut().find(|(have, _)| *have == id) {
            Some((_, lines)) => lines.push(case),
            None => out.push((id, vec![case])),
        }
    }
    out
}

/// What the rounds of one situation have in common: `clone-linked-n5-1` and `-2`, `slow-n20` and `slow-n20-again`.
pub(super) fn situation(id: &str) -> &str {
    let round = id.split_once('/').map_or(id, |(_, round)| round);
    let round = round.strip_suffix("-again").unwrap_or(round);
    match round.rsplit_once('-') {
        Some((stem, number)) if !stem.is_empty() && number.parse::<u8>().is_ok() => stem,
        _ => round,
    }
}

pub(super) fn note(case: &Value) -> &str {
    case["note"].as_str().unwrap_or_default()
}

/// Seconds since the run began.
pub(super) fn moment(case: &Value) -> f64 {
    case["t"].as_f64().unwrap_or_default()
}

/// The moment of a round's first request.
pub(super) fn first_moment(lines: &[&Value]) -> f64 {
    let sent = lines.iter().filter(|case| !is_read_back(case));
    let first = sent.map(|case| moment(case)).fold(f64::INFINITY, f64::min);
    if first.is_finite() { first } else { 0.0 }
}

/// Reads of tasks and of what remains follow from the rest.
pub(super) fn is_read_back(case: &Value) -> bool {
    let of_task = case["path"]
        .as_str()
        .is_some_and(|path| path.contains("/tasks/UPID"));
    of_task && case["method"] == "GET" || note(case).starts_with("what remains")
}

/// The reads of configurations that tell how the round ended: those after its last change.
pub(super) fn read_at_end<'a>(lines: &'a [&'a Value]) -> impl Iterator<Item = &'a Value> {
    let changes = lines.iter().filter(|case| !is_read_back(case));
    let last = changes.map(|case| moment(case)).fold(0.0, f64::max);
    let reads = lines.iter().copied();
    reads.filter(move |case| note(case) == "what remains: config" && moment(case) > last)
}
