//! Replication jobs. Their runs are not events: what came of them follows from their schedules and the time.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::{list, not_simulated};
use crate::simulator::answer::{Outcome, Reply};
use crate::simulator::calendar::{Moment, Schedule};
use crate::simulator::guest::Guest;
use crate::simulator::http::Call;
use crate::simulator::section::{Opt, Param, Sections, Shape, change_section, check, settings};
use crate::simulator::task::seconds;
use crate::simulator::world::World;

/// The state of replication.
#[derive(Serialize, Deserialize, Debug, Clone, Default)]
pub(in super::super) struct Replication {
    jobs: Sections,
    runs: BTreeMap<String, Runs>,
}

/// What is known of a job's runs.
#[derive(Serialize, Deserialize, Debug, Clone, Default)]
struct Runs {
    /// When it was made, or marked for removal.
    since: u64,
    /// When someone asked for a run.
    asked: Option<u64>,
}

const SETTINGS: [Param; 9] = [
    Param::new("comment", Shape::Text),
    Param::new("disable", Shape::Flag),
    Param::new("rate", Shape::Number(1.0)),
    Param::new("remove_job", Shape::OneOf(&["local", "full"])),
    Param::new("schedule", Shape::Text),
    Param::new("source", Shape::Text),
    Param::new("digest", Shape::Text),
    Param::new("delete", Shape::Text),
    Param::new("id", Shape::Format(job_id)),
];

const OPTIONS: [Opt; 7] = [
    Opt::required("target").fixed(),
    Opt::optional("disable"),
    Opt::optional("comment"),
    Opt::optional("rate"),
    Opt::optional("schedule"),
    Opt::optional("remove_job"),
    Opt::optional("source"),
];

fn parts_of(id: &str) -> Option<(u32, u32)> {
    let (vmid, number) = id.split_once('-')?;
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let good = digits(vmid) && digits(number) && !vmid.starts_with('0');
    Some((vmid.parse().ok()?, number.parse().ok()?)).filter(|_| good)
}

fn job_id(text: &str) -> Result<(), String> {
    match parts_of(text) {
        Some((vmid, _)) if vmid >= 100 => Ok(()),
        Some(_) => Err(format!(
            "invalid replication job id '{text}' (guest IDs < 100 are reserved)"
        )),
        None => Err(format!("invalid replication job id '{text}'")),
    }
}

/// Jobs are looked at every minute.
fn next_minute(at: u64) -> u64 {
    (at / 60 + 1) * 60
}

/// The last moment of a schedule up to now, if any came since a moment.
fn last_before(schedule: &Schedule, since: u64, now: u64) -> Option<u64> {
    let windows = [3600, 86_400, 8 * 86_400, 32 * 86_400, 370 * 86_400];
    windows.iter().find_map(|window| {
        let mut last = None;
        let mut at = since.max(now.saturating_sub(*window));
        while let Some(next) = schedule.next_after(at).filter(|next| *next <= now) {
            last = Some(next);
            at = next;
        }
        last
    })
}

impl World {
    /// Jobs that are marked for removal go in their next run.
    fn settle_replication(&mut self) {
        let now = seconds(self.now);
        let gone: Vec<String> = self
            .replication
            .jobs
            .0
            .iter()
            .filter(|(id, job)| {
                let since = self.replication.runs.get(*id).map_or(0, |runs| runs.since);
                job.contains_key("remove_job") && next_minute(since) <= now
            })
            .map(|(id, _)| id.clone())
            .collect();
        for id in gone {
            self.replication.jobs.0.remove(&id);
            self.replication.runs.remove(&id);
        }
    }

    fn shown_job(&self, id: &str) -> Option<Map<String, Value>> {
        let mut job = self.replication.jobs.0.get(id)?.clone();
        let (vmid, number) = parts_of(id)?;
        job.insert("id".to_owned(), id.into());
        job.insert("type".to_owned(), "local".into());
        job.insert("guest".to_owned(), vmid.into());
        job.insert("jobnum".to_owned(), number.into());
        Some(job)
    }

    pub(super) fn read_replication(&mut self, rest: &[&str], call: &Call) -> Outcome {
        self.settle_replication();
        match rest {
            [] => {
                let ids = self.replication.jobs.0.keys();
                Ok(Reply::data(list(ids.filter_map(|id| self.shown_job(id)))))
            }
            [id] => match self.shown_job(id) {
                Some(mut job) => {
                    let digest = self.replication.jobs.digest();
                    job.insert("digest".to_owned(), digest.into());
                    Ok(Reply::data(job))
                }
                None => Err(Reply::failed(format!("no such replication job '{id}'"))),
            },
            _ => Err(not_simulated(call)),
        }
    }

    pub(super) fn write_replication(
        &mut self,
        method: &str,
        rest: &[&str],
        call: &Call,
    ) -> Outcome {
        self.settle_replication();
        let now = seconds(self.now);
        match (method, rest) {
            ("POST", []) => self.make_replication(call, now),
            ("PUT", [id]) => {
                check(call, &SETTINGS, &[])?;
                self.replication
                    .jobs
                    .assert_unchanged(call)
                    .map_err(Reply::failed)?;
                let changes = settings(call, &SETTINGS, &["digest", "delete", "id"]);
                let Some(job) = self.replication.jobs.0.get_mut(*id) else {
                    return Err(Reply::failed(format!("no such job '{id}'")));
                };
                change_section(job, changes, &OPTIONS, call.text("delete").as_deref())
                    .map_err(Reply::failed)?;
                Ok(Reply::data(()))
            }
            ("DELETE", [id]) => {
                let params = [
                    Param::new("keep", Shape::Flag),
                    Param::new("force", Shape::Flag),
                ];
                check(call, &params, &["id"])?;
                if call.flag("force") {
                    if call.flag("keep") {
                        return Err(Reply::parameter("keep", "conflicts with parameter 'force'"));
                    }
                    self.replication.jobs.0.remove(*id);
                    self.replication.runs.remove(*id);
                    return Ok(Reply::data(()));
                }
                let how = if call.flag("keep") { "local" } else { "full" };
                let Some(job) = self.replication.jobs.0.get_mut(*id) else {
                    return Err(Reply::failed(format!("no such job '{id}'")));
                };
                job.insert("remove_job".to_owned(), how.into());
                self.replication
                    .runs
                    .entry((*id).to_owned())
                    .or_default()
                    .since = now;
                Ok(Reply::data(()))
            }
            _ => Err(not_simulated(call)),
        }
    }

    fn make_replication(&mut self, call: &Call, now: u64) -> Outcome {
        let own = [
            Param::required("id", Shape::Format(job_id)),
            Param::required("type", Shape::OneOf(&["local"])),
            Param::required("target", Shape::Text),
        ];
        let without = ["id", "digest", "delete"];
        let more = SETTINGS
            .iter()
            .filter(|param| !without.contains(&param.name));
        let params: Vec<Param> = own.iter().chain(more).copied().collect();
        check(call, &params, &[])?;
        let id = call.text("id").unwrap_or_default();
        let target = call.text("target").unwrap_or_default();
        let (vmid, _) = parts_of(&id).unwrap_or_default();
        let Some(guest) = self.guests.get(&vmid) else {
            return Err(Reply::failed(format!("Guest '{vmid}' does not exist.")));
        };
        let node = guest.node.clone();
        if !self.nodes.contains_key(&target) {
            return Err(Reply::failed(format!("Target '{target}' does not exist.")));
        }
        if let Some(source) = call.text("source").filter(|source| *source != node) {
            return Err(Reply::failed(format!(
                "Source '{source}' does not match current node of guest '{vmid}' ({node})"
            )));
        }
        if target == node {
            return Err(Reply::failed("Source and target must not be identical"));
        }
        if self.replicated(vmid).map_err(Reply::failed)?.is_empty() {
            return Err(Reply::failed("No replicatable volumes found"));
        }
        if self.replication.jobs.0.contains_key(&id) {
            return Err(Reply::failed(format!(
                "replication job '{id}' already exists"
            )));
        }
        let twin = self.replication.jobs.0.iter().any(|(other, job)| {
            parts_of(other).is_some_and(|(of, _)| of == vmid) && job["target"] == target.as_str()
        });
        if twin {
            return Err(Reply::failed(format!(
                "replication job for guest '{vmid}' to target 'local/{target}' already exists"
            )));
        }
        let mut job = settings(call, &params, &["id", "type"]);
        job.insert("source".to_owned(), node.into());
        self.replication.jobs.0.insert(id.clone(), job);
        let runs = Runs {
            since: now,
            asked: None,
        };
        self.replication.runs.insert(id, runs);
        Ok(Reply::data(()))
    }

    /// The disks of a guest that are copied.
    fn replicated(&self, vmid: u32) -> Result<Vec<String>, String> {
        let mut found = Vec::new();
        for (_, drive) in self.drives_of(vmid) {
            let Some(storage) = self.storage_of(&drive.file) else {
                continue;
            };
            let cdrom = drive.get("media") == Some("cdrom") && !drive.file.contains("-cloudinit");
            if cdrom || storage.shared || drive.get("replicate") == Some("0") {
                continue;
            }
            if storage.kind != "zfspool" {
                return Err(format!(
                    "missing replicate feature on volume '{}'",
                    drive.file
                ));
            }
            found.push(drive.file);
        }
        found.sort();
        Ok(found)
    }

    /// What a guest's removal leaves of its jobs: none.
    pub(in super::super) fn forget_replication(&mut self, vmid: u32) {
        let of = |id: &String| parts_of(id).is_some_and(|(of, _)| of == vmid);
        self.replication.jobs.0.retain(|id, _| !of(id));
        self.replication.runs.retain(|id, _| !of(id));
    }

    /// The first job of a guest.
    pub(in super::super) fn replication_of(&self, vmid: u32) -> Option<&str> {
        let mut ids = self.replication.jobs.0.keys();
        ids.find(|id| parts_of(id).is_some_and(|(of, _)| of == vmid))
            .map(String::as_str)
    }

    /// The last run of a job and the next one.
    fn runs_of(&self, id: &str) -> (Option<u64>, u64) {
        let now = seconds(self.now);
        let (Some(job), Some(runs)) = (
            self.replication.jobs.0.get(id),
            self.replication.runs.get(id),
        ) else {
            return (None, 0);
        };
        if job.contains_key("remove_job") {
            return (None, 1);
        }
        let text = job
            .get("schedule")
            .and_then(Value::as_str)
            .unwrap_or("*/15");
        let Ok(schedule) = text.parse::<Schedule>() else {
            return (None, 0);
        };
        let asked = runs.asked.map(next_minute);
        let planned = last_before(&schedule, runs.since, now);
        let last = planned.max(asked.filter(|at| *at <= now));
        let next = match asked.filter(|at| *at > now) {
            Some(at) => at,
            None => schedule.next_after(last.unwrap_or(runs.since)).unwrap_or(0),
        };
        match job.get("disable") == Some(&1.into()) {
            true => (None, next),
            false => (last, next),
        }
    }

    /// A job of a guest of this node, with how it goes.
    fn job_status(&self, node: &str, id: &str) -> Option<Map<String, Value>> {
        let mut job = self.shown_job(id)?;
        let (vmid, _) = parts_of(id)?;
        self.guests.get(&vmid).filter(|guest| guest.node == node)?;
        let (last, next) = self.runs_of(id);
        job.insert("vmtype".to_owned(), "qemu".into());
        job.insert("next_sync".to_owned(), next.into());
        job.insert("fail_count".to_owned(), 0.into());
        job.insert("last_sync".to_owned(), last.unwrap_or(0).into());
        job.insert("last_try".to_owned(), last.unwrap_or(0).into());
        if last.is_some() {
            job.insert("duration".to_owned(), json!(2.5));
        }
        Some(job)
    }

    pub(super) fn node_replication(
        &mut self,
        method: &str,
        node: &str,
        rest: &[&str],
        call: &Call,
    ) -> Outcome {
        self.settle_replication();
        let missing = |id: &str| Reply::failed(format!("no such replication job '{id}'"));
        match (method, rest) {
            ("GET", []) => {
                let guest = call.number("guest");
                let ids = self.replication.jobs.0.keys();
                let jobs = ids.filter_map(|id| self.job_status(node, id));
                Ok(Reply::data(list(jobs.filter(|job| {
                    guest.is_none_or(|guest| job["guest"].as_u64() == Some(guest))
                }))))
            }
            ("GET", [id, "status"]) => match self.job_status(node, id) {
                Some(job) => Ok(Reply::data(job)),
                None => Err(missing(id)),
            },
            ("GET", [id, "log"]) => self.replication_log(id).ok_or_else(|| missing(id)),
            ("POST", [id, "schedule_now"]) => {
                if !self.replication.jobs.0.contains_key(*id) {
                    return Err(missing(id));
                }
                let (now, ran) = (seconds(self.now), self.runs_of(id).0.is_some());
                // A job that never ran has no state that could be changed.
                if let Some(runs) = self.replication.runs.get_mut(*id).filter(|_| ran) {
                    runs.asked = Some(now);
                }
                Ok(Reply::data(()))
            }
            _ => Err(not_simulated(call)),
        }
    }

    fn replication_log(&self, id: &str) -> Option<Reply> {
        let job = self.replication.jobs.0.get(id)?;
        let (vmid, _) = parts_of(id)?;
        let Some(last) = self.runs_of(id).0 else {
            let line = format!(
                "unable to open file - /var/log/pve/replicate/{id} - No such file or directory"
            );
            return Some(Reply::page(json!([{ "n": 1, "t": line }]), 1));
        };
        let on = self.guests.get(&vmid).is_some_and(Guest::is_on);
        let volumes = self.replicated(vmid).unwrap_or_default();
        let snapshot = format!("__replicate_{id}_{last}__");
        let mut lines = vec![
            "start replication job".to_owned(),
            format!("guest => VM {vmid}, running => {}", u8::from(on)),
            format!("volumes => {}", volumes.join(",")),
        ];
        for volume in &volumes {
            lines.push(format!("create snapshot '{snapshot}' on {volume}"));
        }
        let rate = job
            .get("rate")
            .and_then(Value::as_str)
            .map(|rate| format!("{rate} MByte/s"));
        let rate = rate.unwrap_or_else(|| "unlimited".to_owned());
        lines.push(format!("using secure transmission, rate limit: {rate}"));
        for volume in &volumes {
            lines.push(format!("full sync '{volume}' ({snapshot})"));
        }
        lines.push("end replication job".to_owned());
        let m = Moment::of(last);
        let at = format!(
            "{:04}-{:02}-{:02} {:02}:{:02}:{:02}",
            m.year, m.month, m.day, m.hour, m.minute, m.second
        );
        let total = lines.len();
        let entries = lines
            .into_iter()
            .enumerate()
            .map(|(index, line)| json!({ "n": index + 1, "t": format!("{at} {id}: {line}") }));
        Some(Reply::page(entries.collect::<Value>(), total))
    }
}
