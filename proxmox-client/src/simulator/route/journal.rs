//! What nodes write down: journal, system log, the cluster's log, firewall logs, a report.

use std::time::SystemTime;

use serde_json::{Value, json};

use super::not_simulated;
use crate::simulator::answer::{Outcome, Reply};
use crate::simulator::calendar::Moment;
use crate::simulator::http::Call;
use crate::simulator::task::{SimTask, seconds};
use crate::simulator::world::World;

/// Something that was written down.
#[derive(Debug, Clone)]
struct Line {
    at: SystemTime,
    node: String,
    program: String,
    text: String,
    /// Who did it, of tasks.
    user: Option<String>,
}

/// The daemon that tells of tasks, and its process.
const DAEMON: &str = "pvedaemon";
const PROCESS: u32 = 979;

const MONTHS: [&str; 12] = [
    "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
];

impl Line {
    /// As the journal prints it.
    fn shown(&self) -> String {
        let moment = Moment::of(seconds(self.at));
        let month = MONTHS.get(moment.month as usize - 1).unwrap_or(&"");
        let (program, user) = match &self.user {
            Some(user) => (format!("{}[{PROCESS}]", self.program), format!("<{user}> ")),
            None => (self.program.clone(), String::new()),
        };
        format!(
            "{month} {:02} {:02}:{:02}:{:02} {} {program}: {user}{}",
            moment.day, moment.hour, moment.minute, moment.second, self.node, self.text
        )
    }

    fn cursor(&self, index: usize) -> String {
        format!(
            "s=modelled;i={:x};t={:x}",
            index + 1,
            seconds(self.at) * 1_000_000
        )
    }
}

fn lines_of(task: &SimTask) -> impl Iterator<Item = Line> {
    let user = match &task.token {
        Some(token) => format!("{}!{token}", task.user),
        None => task.user.clone(),
    };
    let line = move |at, text: String| Line {
        at,
        node: task.node.clone(),
        program: DAEMON.to_owned(),
        text,
        user: Some(user.clone()),
    };
    let began = line(task.started, format!("starting task {}", task.upid));
    let ended = task
        .ended
        .as_ref()
        .map(|(at, status)| line(*at, format!("end task {} {status}", task.upid)));
    std::iter::once(began).chain(ended)
}

/// Seconds since 1970 of a day, or of a day and a time.
fn moment(text: &str) -> Option<u64> {
    let (day, time) = text.split_once(' ').unwrap_or((text, "00:00:00"));
    let mut day = day.split('-').map(|part| part.parse::<u32>().ok());
    let mut time = time.split(':').map(|part| part.parse::<u32>().ok());
    let (year, month, day) = (day.next()??, day.next()??, day.next()??);
    let clock = (
        time.next()??,
        time.next()??,
        time.next().flatten().unwrap_or(0),
    );
    Moment::seconds(i64::from(year), month, day, clock)
}

/// A page of lines, counted from 1, with how many there are beside it.
fn page(lines: &[String], call: &Call) -> Reply {
    if lines.is_empty() {
        return Reply::page(json!([{ "n": 1, "t": "no content" }]), 1);
    }
    let start = call.number("start").unwrap_or(0) as usize;
    let limit = match call.number("limit") {
        None | Some(0) => 50,
        Some(limit) => limit as usize,
    };
    let shown = lines.iter().enumerate().skip(start).take(limit);
    let shown: Vec<Value> = shown
        .map(|(index, line)| json!({ "n": index + 1, "t": line }))
        .collect();
    Reply::page(shown, lines.len())
}

impl World {
    /// A line in a node's journal, at the present moment, by a program such as `kernel` or `sshd[812]`.
    #[must_use]
    pub fn with_journal_line(mut self, node: &str, program: &str, text: &str) -> Self {
        self.write_journal(node, program, text);
        self
    }

    /// Writes a line into a node's journal at the present moment.
    pub fn write_journal(&mut self, node: &str, program: &str, text: &str) {
        let now = self.now;
        if let Some(state) = self.nodes.get_mut(node) {
            let line = (now, program.to_owned(), text.to_owned());
            state.upkeep.journal.push(line);
        }
    }

    /// A line in the log of a node's firewall. Those that begin with a guest's id are that guest's too.
    #[must_use]
    pub fn with_firewall_log(mut self, node: &str, line: &str) -> Self {
        if let Some(state) = self.nodes.get_mut(node) {
            state.upkeep.firewall_log.push(line.to_owned());
        }
        self
    }

    /// Everything that was written down, of one node or of all, the oldest first.
    fn written(&self, node: Option<&str>) -> Vec<Line> {
        let wanted = |name: &str| node.is_none_or(|node| node == name);
        let nodes = self.nodes.iter().filter(|(name, _)| wanted(name));
        let own = nodes.flat_map(|(name, state)| {
            let own = state.upkeep.journal.iter();
            own.map(|(at, program, text)| Line {
                at: *at,
                node: name.clone(),
                program: program.clone(),
                text: text.clone(),
                user: None,
            })
        });
        let tasks = self.tasks.iter().filter(|task| !task.phantom);
        let tasks = tasks.flat_map(lines_of).filter(|line| wanted(&line.node));
        let mut lines: Vec<Line> = own.chain(tasks).collect();
        lines.sort_by_key(|line| line.at);
        lines
    }

    pub(super) fn node_journal(&self, node: &str, call: &Call) -> Outcome {
        let modelled = ["lastentries", "since", "until", "service", "node"];
        if call
            .params
            .keys()
            .any(|key| !modelled.contains(&key.as_str()))
        {
            return Err(not_simulated(call));
        }
        let program = call.text("service");
        let (since, until) = (call.number("since"), call.number("until"));
        let lines = self.written(Some(node));
        let lines = lines.iter().enumerate().filter(|(_, line)| {
            let name = line.program.split('[').next().unwrap_or_default();
            since.is_none_or(|since| seconds(line.at) >= since)
                && until.is_none_or(|until| seconds(line.at) <= until)
                && program.as_ref().is_none_or(|program| *program == name)
        });
        let lines: Vec<_> = lines.collect();
        let last = call.number("lastentries").filter(|count| *count > 0);
        let skipped = last.map_or(0, |last| lines.len().saturating_sub(last as usize));
        let shown = &lines[skipped..];
        // The places of the first and the last line stand around them.
        let mut out: Vec<String> = shown.iter().map(|(_, line)| line.shown()).collect();
        if let (Some((first, begin)), Some((last, end))) = (shown.first(), shown.last()) {
            out.insert(0, begin.cursor(*first));
            out.push(end.cursor(*last));
        }
        let mut reply = Reply::with(out, "success", 1);
        reply.packed = true;
        Ok(reply)
    }

    pub(super) fn node_syslog(&self, node: &str, call: &Call) -> Outcome {
        let bound = |name: &str| match call.text(name) {
            Some(text) => moment(&text).map(Some).ok_or_else(|| not_simulated(call)),
            None => Ok(None),
        };
        let (since, until) = (bound("since")?, bound("until")?);
        let program = call.text("service");
        let lines = self.written(Some(node)).into_iter().filter(|line| {
            let name = line.program.split('[').next().unwrap_or_default();
            since.is_none_or(|since| seconds(line.at) >= since)
                && until.is_none_or(|until| seconds(line.at) <= until)
                && program.as_ref().is_none_or(|program| *program == name)
        });
        let lines: Vec<String> = lines.map(|line| line.shown()).collect();
        Ok(page(&lines, call))
    }

    /// What the cluster wrote down of tasks, the newest first.
    pub(super) fn cluster_log(&self, call: &Call) -> Outcome {
        let lines = self.written(None).into_iter();
        let lines = lines.filter(|line| line.user.is_some()).enumerate();
        let entries = lines.map(|(index, line)| {
            let number = (index + 1).to_string();
            json!({
                "id": format!("{number}:{}", line.node), "uid": number, "pid": PROCESS, "tag": DAEMON,
                "user": line.user, "time": seconds(line.at), "pri": 6, "node": line.node,
                "msg": line.text,
            })
        });
        let mut entries: Vec<Value> = entries.collect();
        entries.reverse();
        if let Some(most) = call.number("max").filter(|most| *most > 0) {
            entries.truncate(most as usize);
        }
        Ok(Reply::data(entries))
    }

    /// The log of the firewall of a node, or of a guest on it.
    pub(super) fn firewall_log(&self, node: &str, guest: Option<&str>, call: &Call) -> Outcome {
        if call.text("since").or(call.text("until")).is_some() {
            return Err(not_simulated(call));
        }
        let state = self.nodes.get(node);
        let lines = state.map(|state| state.upkeep.firewall_log.as_slice());
        let of_guest =
            |line: &&String| guest.is_none_or(|vmid| line.split(' ').next() == Some(vmid));
        let lines = lines.unwrap_or_default().iter().filter(of_guest);
        let lines: Vec<String> = lines.cloned().collect();
        Ok(page(&lines, call))
    }

    /// What is known of a node, as a text.
    pub(super) fn node_report(&self, node: &str) -> Outcome {
        let Some(state) = self.nodes.get(node) else {
            return Ok(Reply::data(()));
        };
        let mut out = format!("==== general system info ====\n\n# hostname\n{node}\n\n");
        out.push_str(&format!("# pveversion\npve-manager/{}\n\n", self.version));
        out.push_str(&format!(
            "# processors and memory\n{} processors, {} MiB\n\n",
            state.cores,
            state.memory >> 20
        ));
        out.push_str("==== overall system storage info ====\n\n# pvesm status\n");
        for (name, storage) in &self.storages {
            let on = if storage.refuse(node).is_ok() {
                "active"
            } else {
                "disabled"
            };
            let (used, total) = (storage.used() >> 10, storage.total >> 10);
            out.push_str(&format!("{name} {} {on} {total} {used}\n", storage.kind));
        }
        out.push_str("\n==== info about virtual guests ====\n\n");
        for guest in self.guests.values().filter(|guest| guest.node == node) {
            let state = if guest.is_on() { "running" } else { "stopped" };
            let name = guest.name().unwrap_or_default();
            out.push_str(&format!("{} {name} {state}\n", guest.vmid));
        }
        Ok(Reply::data(out))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_of_days_and_times_are_read() {
        assert_eq!(moment("2026-01-01"), Some(1_767_225_600));
        assert_eq!(moment("2026-01-01 00:01"), Some(1_767_225_660));
        assert_eq!(moment("2026-01-01 00:01:05"), Some(1_767_225_665));
        assert_eq!(moment("2026-02-30"), None);
    }
}
