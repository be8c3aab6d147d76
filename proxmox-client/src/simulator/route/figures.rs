//! Figures over time: of nodes, guests and storages, and all of them for export.

use serde_json::{Map, Value, json};

use super::not_simulated;
use super::shared::names;
use crate::simulator::answer::{Outcome, Reply};
use crate::simulator::chronicle::{Course, GuestState, StorageState, at};
use crate::simulator::guest::Species;
use crate::simulator::http::Call;
use crate::simulator::task::seconds;
use crate::simulator::world::World;

/// Names of a node's figures; servers before 9.0 keep those before the empty name.
const OF_NODE: [&str; 20] = [
    "loadavg",
    "maxcpu",
    "cpu",
    "iowait",
    "memtotal",
    "memused",
    "swaptotal",
    "swapused",
    "roottotal",
    "rootused",
    "netin",
    "netout",
    "",
    "memavailable",
    "arcsize",
    "pressurecpusome",
    "pressureiosome",
    "pressureiofull",
    "pressurememorysome",
    "pressurememoryfull",
];

/// Names of a guest's figures, likewise.
const OF_GUEST: [&str; 18] = [
    "maxcpu",
    "maxmem",
    "maxdisk",
    "disk",
    "cpu",
    "mem",
    "netin",
    "netout",
    "diskread",
    "diskwrite",
    "",
    "pressurecpusome",
    "pressurecpufull",
    "pressureiosome",
    "pressureiofull",
    "pressurememorysome",
    "pressurememoryfull",
    "memhost",
];

const OF_STORAGE: [&str; 2] = ["total", "used"];

/// How often figures are collected for export, in seconds, and how many collections are kept beside the newest.
const PULSE: u64 = 10;
const KEPT: u64 = 180;

/// Figures from a moment on, in the order of their names; a figure that is absent was not measured.
type Stretch = (u64, Vec<f64>);

/// How far apart samples are, in seconds, and how many there are.
fn grid(timeframe: &str, old: bool) -> Option<(u64, u64)> {
    const MINUTE: u64 = 60;
    Some(match (timeframe, old) {
        ("hour", false) => (MINUTE, 60),
        ("day", false) => (MINUTE, 1440),
        ("week", false) => (30 * MINUTE, 336),
        ("month", false) => (30 * MINUTE, 1440),
        ("year", false) => (360 * MINUTE, 1440),
        ("decade", false) => (10_080 * MINUTE, 570),
        ("hour", true) => (MINUTE, 70),
        ("day", true) => (30 * MINUTE, 70),
        ("week", true) => (180 * MINUTE, 70),
        ("month", true) => (720 * MINUTE, 70),
        ("year" | "decade", true) => (10_080 * MINUTE, 70),
        _ => return None,
    })
}

/// A number as the server prints it: whole ones without a point.
pub(super) fn number(value: f64) -> Value {
    if value.fract() == 0.0 && value.abs() < 9e15 {
        (value as i64).into()
    } else {
        value.into()
    }
}

/// The sample of one figure over some time: its average or highest value, if enough of the time was measured.
fn sample(stretches: &[Stretch], figure: usize, from: u64, until: u64, max: bool) -> Option<f64> {
    let (mut known, mut sum, mut most) = (0u64, 0.0, f64::MIN);
    // The stretch that holds at the beginning, and all that begin before the end.
    let first = stretches.partition_point(|(begins, _)| *begins <= from);
    for index in first.saturating_sub(1)..stretches.len() {
        let (begins, values) = &stretches[index];
        if *begins >= until {
            break;
        }
        let ends = stretches.get(index + 1).map_or(until, |next| next.0);
        let time = ends.min(until).saturating_sub((*begins).max(from));
        if let (Some(value), true) = (values.get(figure), time > 0) {
            known += time;
            sum += value * time as f64;
            most = most.max(*value);
        }
    }
    let length = until - from;
    // A minute counts however little of it was measured, longer times only by half of theirs.
    let enough = known > 0 && (length <= 60 || known * 2 >= length);
    enough.then(|| if max { most } else { sum / known as f64 })
}

impl World {
    /// `rrddata` of a node, or of a guest or storage on it.
    pub(super) fn history(&mut self, node: &str, rest: &[&str], call: &Call) -> Outcome {
        let old = self.served_release() < (9, 0);
        let timeframe = call.text("timeframe").unwrap_or_default();
        let (Some((step, count)), true) = (grid(&timeframe, old), call.method == "GET") else {
            return Err(not_simulated(call));
        };
        self.note_changes();
        let (figures, stretches): (&[&str], _) = match rest {
            ["rrddata"] => (&OF_NODE, self.course_of_node(node)),
            ["storage", name, "rrddata"] => {
                let course = self.chronicle.storages.get(*name);
                // How the real server fails for what was never measured is not known.
                let course = course.ok_or_else(|| not_simulated(call))?;
                let measured = |state: &StorageState| vec![state.total as f64, state.used as f64];
                (&OF_STORAGE, stretches(course, measured))
            }
            [_, vmid, "rrddata"] => {
                let vmid: u32 = vmid.parse().unwrap_or_default();
                let course = self.chronicle.guests.get(&vmid);
                let course = course.filter(|course| !course.is_empty());
                let course = course.ok_or_else(|| not_simulated(call))?;
                (&OF_GUEST, stretches(course, measured_of_guest))
            }
            _ => return Err(not_simulated(call)),
        };
        let max = call.text("cf").as_deref() == Some("MAX");
        let last = seconds(self.now) / step * step;
        let samples = (0..count).map(|index| {
            let until = last - step * (count - 1 - index);
            let mut entry = Map::from_iter([("time".to_owned(), until.into())]);
            let kept = figures.split(|name| name.is_empty());
            let kept = kept.take(if old { 1 } else { usize::MAX }).flatten();
            for (figure, name) in kept.enumerate() {
                if let Some(value) = sample(&stretches, figure, until - step, until, max) {
                    entry.insert((*name).to_owned(), number(value));
                }
            }
            Value::Object(entry)
        });
        Ok(Reply::data(samples.collect::<Value>()))
    }

    fn course_of_node(&self, node: &str) -> Vec<Stretch> {
        let Some(state) = self.nodes.get(node) else {
            return Vec::new();
        };
        // When memory came into use there, or was given back.
        let mut memory: Vec<(u64, i128)> = Vec::new();
        for course in self.chronicle.guests.values() {
            let mut held = 0;
            for (from, guest) in course {
                let here = guest.as_ref().filter(|guest| guest.node == node);
                let on = here.filter(|guest| guest.since.is_some());
                let holds = on.map_or(0, |guest| i128::from(guest.memory));
                memory.push((*from, holds - held));
                held = holds;
            }
        }
        memory.sort_unstable();
        let booted = seconds(self.booted);
        let root = self.root_storage();
        let root = root.and_then(|name| self.chronicle.storages.get(name));
        let mut moments: Vec<u64> = memory.iter().map(|(from, _)| *from).collect();
        moments.extend(root.into_iter().flatten().map(|(from, _)| *from));
        moments.push(booted);
        moments.retain(|moment| *moment >= booted);
        moments.sort_unstable();
        moments.dedup();
        let mut used: i128 = 2 << 30;
        let mut memory = memory.into_iter().peekable();
        let mut out = Vec::new();
        for moment in moments {
            while let Some((_, change)) = memory.next_if(|(from, _)| *from <= moment) {
                used += change;
            }
            let (total, full) = self.root_at(moment);
            let free = (i128::from(state.memory) - used).max(0);
            let mut values = vec![0.1, f64::from(state.cores), 0.01, 0.0];
            values.extend([state.memory as f64, used as f64, 0.0, 0.0]);
            values.extend([total as f64, full as f64, 0.0, 0.0, free as f64]);
            values.extend([0.0; 6]);
            out.push((moment, values));
        }
        out
    }

    /// Size and use of the root file system at a moment.
    fn root_at(&self, moment: u64) -> (u64, u64) {
        let root = self.root_storage();
        let course = root.and_then(|name| self.chronicle.storages.get(name));
        let state = course.and_then(|course| at(course, moment));
        state.map_or_else(|| self.root_disk(), |state| (state.total, state.used))
    }

    /// What the cluster collected, by the moment of collection.
    pub(super) fn export_metrics(&mut self, call: &Call) -> Outcome {
        self.note_changes();
        let asked = call.text("node-list").unwrap_or_default();
        let asked: Vec<&str> = names(&asked).collect();
        let unknown = |node: &&&str| !self.nodes.contains_key(**node);
        let unknown: Vec<&str> = asked.iter().filter(unknown).copied().collect();
        if !unknown.is_empty() {
            let text = "Requested node-list contains unknown nodes";
            return Err(Reply::failed(format!("{text} - {}", unknown.join(", "))));
        }
        let nodes = self.nodes.keys().map(String::as_str).enumerate();
        let nodes: Vec<&str> = nodes
            .filter(|(index, node)| match asked.is_empty() {
                // The node that is asked is the first.
                true => *index == 0 || !call.flag("local-only"),
                false => asked.contains(node),
            })
            .map(|(_, node)| node)
            .collect();
        let (now, booted) = (seconds(self.now), seconds(self.booted));
        let since = call.number("start-time");
        let earlier = match (call.flag("history"), since) {
            (false, _) => 0,
            (true, None) => KEPT,
            (true, Some(since)) => KEPT.min(now.saturating_sub(since) / PULSE),
        };
        let newest = booted + (now - booted) / PULSE * PULSE;
        let mut out: Vec<Value> = Vec::new();
        for back in (0..=earlier).rev() {
            let moment = newest.saturating_sub(back * PULSE);
            if moment < booted || since.is_some_and(|since| moment <= since) {
                continue;
            }
            for node in &nodes {
                self.collect(node, moment, &mut out);
            }
        }
        Ok(Reply::data(json!({ "data": out })))
    }

    fn collect(&self, node: &str, moment: u64, out: &mut Vec<Value>) {
        let mut tell = |id: &str, kind: &str, figures: &[(&str, f64)]| {
            out.extend(figures.iter().map(|(name, value)| {
                json!({
                    "id": id, "metric": name, "type": kind, "timestamp": moment, "value": number(*value),
                })
            }));
        };
        let Some(state) = self.nodes.get(node) else {
            return;
        };
        let guests = self.chronicle.guests.iter();
        let here: Vec<(u32, &GuestState)> = guests
            .filter_map(|(vmid, course)| Some((*vmid, at(course, moment)?)))
            .filter(|(_, guest)| guest.node == node)
            .collect();
        let on = here.iter().filter(|(_, guest)| guest.since.is_some());
        let memory: u64 = on.map(|(_, guest)| guest.memory).sum();
        let (total, used) = self.root_at(moment);
        let id = format!("node/{node}");
        let up = moment - seconds(self.booted);
        tell(&id, "gauge", &[("uptime", up as f64)]);
        tell(&id, "derive", &[("net_in", 0.0), ("net_out", 0.0)]);
        let figures = [
            ("cpu_avg1", 0.1),
            ("cpu_avg5", 0.1),
            ("cpu_avg15", 0.1),
            ("cpu_max", f64::from(state.cores)),
            ("cpu_current", 0.01),
            ("cpu_iowait", 0.0),
            ("mem_total", state.memory as f64),
            ("mem_used", ((2 << 30) + memory) as f64),
            ("swap_total", 0.0),
            ("swap_used", 0.0),
            ("disk_total", total as f64),
            ("disk_used", used as f64),
        ];
        tell(&id, "gauge", &figures);
        for (vmid, guest) in here {
            let id = format!("{}/{vmid}", guest.species.branch());
            if guest.since.is_some() {
                let memory = (guest.memory / 4) as f64;
                tell(&id, "gauge", &[("cpu_current", 0.0), ("mem_used", memory)]);
                let flows = ["disk_read", "disk_write", "net_in", "net_out"];
                tell(&id, "derive", &flows.map(|name| (name, 0.0)));
                if guest.species == Species::Container {
                    tell(&id, "gauge", &[("disk_used", 0.0)]);
                }
            }
            let up = guest.since.map_or(0, |since| moment.saturating_sub(since));
            let figures = [
                ("uptime", up as f64),
                ("cpu_max", guest.processors),
                ("mem_total", guest.memory as f64),
                ("disk_total", guest.disk as f64),
            ];
            tell(&id, "gauge", &figures);
        }
        for (name, course) in &self.chronicle.storages {
            let usable = self.storages.get(name);
            let usable = usable.is_none_or(|storage| storage.refuse(node).is_ok());
            if let (Some(state), true) = (at(course, moment), usable) {
                let id = format!("storage/{node}/{name}");
                let (total, used) = (state.total as f64, state.used as f64);
                tell(&id, "gauge", &[("disk_total", total), ("disk_used", used)]);
            }
        }
    }
}

fn stretches<T>(course: &Course<T>, measured: impl Fn(&T) -> Vec<f64>) -> Vec<Stretch> {
    let states = course.iter();
    let values = |state: &Option<T>| state.as_ref().map(&measured).unwrap_or_default();
    states.map(|(from, state)| (*from, values(state))).collect()
}

/// A guest that does not run has limits, and nothing that could be measured. What of the node's memory a guest takes is
/// known of machines only.
fn measured_of_guest(guest: &GuestState) -> Vec<f64> {
    let limits = [
        guest.processors,
        guest.memory as f64,
        guest.disk as f64,
        0.0,
    ];
    let mut values = limits.to_vec();
    if guest.since.is_some() {
        values.extend([0.0, (guest.memory / 4) as f64]);
        let more = match guest.species {
            Species::Machine => 11,
            Species::Container => 10,
        };
        values.extend(std::iter::repeat_n(0.0, more));
    }
    values
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_weigh_values_by_time_and_want_half_of_it() {
        // Nothing until 100, 2 until 130, unknown until 150, then 6.
        let course = [(100, vec![2.0]), (130, Vec::new()), (150, vec![6.0])];
        let cases = [
            ((0, 100), None, None),
            ((40, 101), None, None),
            ((60, 120), Some(2.0), Some(2.0)),
            ((100, 160), Some(3.0), Some(6.0)),
            ((0, 200), None, None),
            ((100, 200), Some(4.5), Some(6.0)),
            ((150, 210), Some(6.0), Some(6.0)),
        ];
        for ((from, until), average, most) in cases {
            assert_eq!(
                sample(&course, 0, from, until, false),
                average,
                "{from}..{until}"
            );
            assert_eq!(
                sample(&course, 0, from, until, true),
                most,
                "{from}..{until}"
            );
        }
        assert_eq!(sample(&course, 1, 100, 160, false), None, "no such figure");
    }

    #[test]
    fn every_name_has_its_place() {
        let on = GuestState {
            species: Species::Machine,
            node: "pve1".to_owned(),
            since: Some(1),
            processors: 2.0,
            memory: 1 << 30,
            disk: 0,
        };
        let named = |names: &[&str]| names.iter().filter(|name| !name.is_empty()).count();
        assert_eq!(measured_of_guest(&on).len(), named(&OF_GUEST));
        let container = GuestState {
            species: Species::Container,
            ..on
        };
        let measured = measured_of_guest(&container);
        let missing = OF_GUEST
            .iter()
            .filter(|name| !name.is_empty())
            .nth(measured.len());
        assert_eq!(missing, Some(&"memhost"));
        let world = World::lab();
        let node = world.course_of_node("pve1");
        assert_eq!(node[0].1.len(), named(&OF_NODE));
    }
}
