//! What a client waited for before it sent its next request.
//!
//! A recording has the moments of all requests, not who sent them. A request that was sent when an answer had just come
//! waited for that answer, and one that was sent when nothing was under way may have waited for everything before it. Here
//! they wait for ours, but are not sent before their recorded moments: how fast clients are is not modelled.

use serde_json::Value;

use super::rounds::{is_read_back, moment};

/// How soon after an answer, in seconds, its client sends what comes next. Moments are recorded to a thousandth.
const AT_ONCE: f64 = 0.002;

/// What has to be true before a request is sent.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Turn {
    /// The requests, by their places in the order of sending, that are answered.
    pub(super) after: Vec<usize>,
    /// The tasks that its client saw ended just before.
    pub(super) ended: Vec<String>,
}

/// A line with the moments of its request and of its answer.
struct Line<'a> {
    case: &'a Value,
    sent: f64,
    answered: Option<f64>,
}

impl<'a> Line<'a> {
    fn of(case: &'a Value) -> Self {
        let sent = moment(case);
        let answered = case["dt"].as_f64().map(|wait| sent + wait);
        Self {
            case,
            sent,
            answered,
        }
    }
}

/// The turns of the requests, given in the order of their sending, among all lines of the round.
pub(super) fn turns(lines: &[&Value], requests: &[&Value]) -> Vec<Turn> {
    let all: Vec<Line<'_>> = lines.iter().map(|case| Line::of(case)).collect();
    let timed: Vec<Line<'_>> = requests.iter().map(|case| Line::of(case)).collect();
    let turn = |(place, request): (usize, &Line<'_>)| {
        let (before, ended) = seen_before(&all, request);
        let earlier = &timed[..place];
        let quiet = earlier.iter().all(|it| {
            it.answered
                .is_none_or(|at| at <= request.sent + AT_ONCE / 2.0)
        });
        let after = match before {
            _ if quiet => (0..place).collect(),
            Some(before) => {
                let found = earlier
                    .iter()
                    .position(|it| std::ptr::eq(it.case, before.case));
                found.into_iter().collect()
            }
            None => Vec::new(),
        };
        Turn { after, ended }
    };
    timed.iter().enumerate().map(turn).collect()
}

/// The request whose answer came just before this one was sent, maybe with reads in between, and what these told.
fn seen_before<'a>(
    lines: &'a [Line<'a>],
    request: &'a Line<'a>,
) -> (Option<&'a Line<'a>>, Vec<String>) {
    let mut ended = Vec::new();
    let mut at = request;
    // Each was sent before the one that it leads to.
    while let Some(before) = answered_just_before(lines, at) {
        if !is_read_back(before.case) {
            return (Some(before), ended);
        }
        ended.extend(told_end(before.case));
        at = before;
    }
    (None, ended)
}

/// The line whose answer came last before this one was sent, if that was just before.
fn answered_just_before<'a>(lines: &'a [Line<'a>], line: &Line<'_>) -> Option<&'a Line<'a>> {
    let earlier = lines.iter().filter(|it| it.sent < line.sent);
    earlier
        .filter_map(|before| Some((line.sent - before.answered?, before)))
        .filter(|(gap, _)| (-AT_ONCE / 2.0..=AT_ONCE).contains(gap))
        .min_by(|(a, _), (b, _)| a.abs().total_cmp(&b.abs()))
        .map(|(_, before)| before)
}

/// The task whose end a read tells. One that was killed or overruled did not end by itself.
fn told_end(read: &Value) -> Option<String> {
    let data = &read["body"]["data"];
    let end = data["exitstatus"].as_str()?;
    let upid = data["upid"].as_str().map(str::to_owned);
    upid.filter(|_| end != "unexpected status")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn turns_of(lines: &[Value]) -> Vec<Turn> {
        let lines: Vec<&Value> = lines.iter().collect();
        let requests: Vec<&Value> = lines
            .iter()
            .copied()
            .filter(|line| !is_read_back(line))
            .collect();
        turns(&lines, &requests)
    }

    #[test]
    fn what_is_sent_as_an_answer_comes_waits_for_it() {
        let lines = [
            json!({ "t": 1.0, "dt": 0.5, "path": "/a" }),
            json!({ "t": 1.0, "dt": 0.9, "path": "/b" }),
            json!({ "t": 1.3, "dt": 0.1, "path": "/c" }),
            json!({ "t": 1.501, "dt": 0.1, "path": "/d" }),
        ];
        let after: Vec<Vec<usize>> = turns_of(&lines).into_iter().map(|it| it.after).collect();
        assert_eq!(after, [vec![], vec![], vec![], vec![0]]);
    }

    #[test]
    fn what_is_sent_when_nothing_is_under_way_waits_for_all_before_it() {
        let lines = [
            json!({ "t": 1.0, "dt": 0.5, "path": "/a" }),
            json!({ "t": 1.0, "dt": 0.3, "path": "/b" }),
            json!({ "t": 2.0, "dt": 0.1, "path": "/c" }),
        ];
        assert_eq!(turns_of(&lines)[2].after, [0, 1]);
    }

    #[test]
    fn who_looked_at_a_task_before_waits_for_its_end() {
        let ended = |end: &str| json!({ "data": { "exitstatus": end, "upid": "UPID:x" } });
        let lines = |end: &str| {
            [
                json!({ "t": 1.0, "dt": 0.02, "path": "/a" }),
                json!({ "t": 1.02, "dt": 0.01, "method": "GET", "path": "/n/tasks/UPIDx/status", "body": ended(end) }),
                json!({ "t": 1.031, "dt": 0.1, "path": "/b" }),
            ]
        };
        let turns = turns_of(&lines("OK"));
        assert_eq!(turns[0], Turn::default());
        assert_eq!(
            (turns[1].after.clone(), turns[1].ended.clone()),
            (vec![0], vec!["UPID:x".to_owned()])
        );
        assert_eq!(turns_of(&lines("unexpected status"))[1].ended.len(), 0);
    }
}
