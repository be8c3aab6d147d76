//! Sends a round's requests in their turns and watches what comes of them.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use proxmox_client::simulator::{Clock, Simulator, World};
use proxmox_client::wire::Answer;
use serde_json::{Value, json};
use tokio::task::JoinSet;

use super::super::exchange::{TOKEN, body, request};
use super::observed::Observed;
use super::rounds::{first_moment, is_read_back, moment, note};
use super::scene::{Left, take_earlier_snapshots, world};
use super::told::{template, told};
use super::turns::{Turn, turns};

/// The clock's longest step; it is shorter where something happens earlier.
const STEP: Duration = Duration::from_millis(50);
/// No round takes longer, in seconds.
const LONGEST: f64 = 200.0;

/// Sends the round's requests in their turns, waits for the tasks, and counts.
pub(super) async fn play(
    lines: &[&Value],
    preparing: &[&Value],
    left: &mut Left,
    seed: u64,
) -> Result<Observed, String> {
    let world = world(lines, preparing, left, seed);
    let simulator = Simulator::with_clock(world.clone(), Clock::stepped(world.now()));
    take_earlier_snapshots(&simulator, lines).await;
    let start = simulator.clock().now();
    let mut round = Round::new(lines, start);
    let with_ticket = lines
        .iter()
        .any(|case| note(case).contains("root@pam ticket"));
    let mut flying: JoinSet<(usize, Option<Answer>, SystemTime)> = JoinSet::new();
    let mut observed = Observed::default();
    let mut tasks: Vec<String> = Vec::new();
    let mut running: Vec<String> = Vec::new();
    let mut clones: Vec<(String, u64)> = Vec::new();
    let mut crashed = false;
    loop {
        let now = simulator.clock().now();
        running.retain(|upid| simulator.with(|world| world.task_end(upid).is_none()));
        for index in round.due(now, &running) {
            let case = round.requests[index];
            if note(case) == "after the crash" && !std::mem::replace(&mut crashed, true) {
                simulator.with(World::kill_workers);
            }
            learn_digest(&simulator, case, &mut round.ours_of).await;
            let again = note(case).starts_with("same id again");
            let changed = again.then(|| with_id_that_failed(&simulator, case, &clones));
            let request = request(changed.as_ref().unwrap_or(case), &round.ours_of);
            round.sent[index] = Some(now);
            let Some(request) = request else {
                round.answered[index] = Some(now);
                continue;
            };
            let simulator = simulator.clone();
            let by_hand = with_ticket && needs_root(case);
            let file = file_of(case);
            flying.spawn(async move {
                let answer = match file {
                    Some((name, bytes)) => {
                        simulator
                            .answer_upload(TOKEN, &request, &name, &bytes)
                            .await
                    }
                    None if by_hand => simulator.answer_as("root@pam", &request).await,
                    None => simulator.answer(TOKEN, &request).await,
                };
                let at = simulator.clock().now();
                (index, answer, at)
            });
        }
        // Everyone who can go on does before the clock moves.
        for _ in 0..4 {
            tokio::task::yield_now().await;
        }
        let mut answers = false;
        while let Some(done) = flying.try_join_next() {
            answers = true;
            let (index, answer, at) = done.map_err(|error| error.to_string())?;
            let case = round.requests[index];
            let wait = seconds_between(round.sent[index].unwrap_or(at), at);
            round.answered[index] = Some(at);
            let Some(answer) = answer else {
                observed.push(
                    told(case, 0, "client: connection closed without an answer"),
                    0.0,
                );
                continue;
            };
            if answer.reason().starts_with("not simulated") {
                return Err(answer.reason().to_owned());
            }
            let ours = body(&answer);
            if let Some(upid) = ours["data"]
                .as_str()
                .filter(|text| text.starts_with("UPID:"))
            {
                tasks.push(upid.to_owned());
                running.push(upid.to_owned());
                let id = case["params"]["newid"].as_u64();
                clones.extend(id.map(|id| (upid.to_owned(), id)));
                if let Some(recorded) = case["body"]["data"].as_str() {
                    round.ours_of.insert(recorded.to_owned(), upid.to_owned());
                }
            }
            if let Some(pair) = case["body"]["data"]["digest"]
                .as_str()
                .zip(ours["data"]["digest"].as_str())
            {
                round.ours_of.insert(pair.0.to_owned(), pair.1.to_owned());
            }
            observed.push(told(case, answer.status(), answer.reason()), wait);
        }
        let all_sent = round.sent.iter().all(Option::is_some);
        if all_sent && flying.is_empty() && running.is_empty() {
            break;
        }
        if seconds_between(start, now) > LONGEST {
            return Err("the round does not end".to_owned());
        }
        if answers {
            // Who waited for one of them may send at this moment.
            continue;
        }
        let next = [
            simulator.with(|world| world.next_event()),
            round.next_moment(now),
        ];
        let next = next
            .into_iter()
            .flatten()
            .filter(|at| *at > now)
            .fold(now + STEP, SystemTime::min);
        simulator
            .clock()
            .advance(next.duration_since(now).unwrap_or(STEP));
    }
    count_tasks(&simulator, &tasks, &mut observed);
    let now = simulator.clock().now();
    left.world = Some(simulator.snapshot());
    left.moment = round.first + seconds_between(start, now);
    left.began = round.first;
    Ok(observed)
}

/// The requests of a round, in the order of the recording, and how far they are.
struct Round<'a> {
    requests: Vec<&'a Value>,
    /// Before which each is not sent.
    moments: Vec<SystemTime>,
    turns: Vec<Turn>,
    sent: Vec<Option<SystemTime>>,
    answered: Vec<Option<SystemTime>>,
    /// The moment of the first, in seconds of the run.
    first: f64,
    /// Our task identifiers and digests by the recorded ones.
    ours_of: BTreeMap<String, String>,
}

impl<'a> Round<'a> {
    fn new(lines: &[&'a Value], start: SystemTime) -> Self {
        let sent = lines.iter().copied().filter(|case| !is_read_back(case));
        let mut requests: Vec<&Value> = sent.collect();
        requests.sort_by(|a, b| moment(a).total_cmp(&moment(b)));
        let first = first_moment(lines);
        let passed = |case: &&Value| Duration::from_secs_f64((moment(case) - first).max(0.0));
        Self {
            moments: requests.iter().map(|case| start + passed(case)).collect(),
            turns: turns(lines, &requests),
            sent: vec![None; requests.len()],
            answered: vec![None; requests.len()],
            first,
            ours_of: BTreeMap::new(),
            requests,
        }
    }

    /// Those whose turn it is.
    fn due(&self, now: SystemTime, running: &[String]) -> Vec<usize> {
        self.waiting()
            .filter(|index| self.moments[*index] <= now && self.may(*index, running))
            .collect()
    }

    fn waiting(&self) -> impl Iterator<Item = usize> {
        (0..self.requests.len()).filter(|index| self.sent[*index].is_none())
    }

    /// Whether what its client saw before is true here too.
    fn may(&self, index: usize, running: &[String]) -> bool {
        let turn = &self.turns[index];
        let ended = |recorded: &String| match self.ours_of.get(recorded) {
            Some(ours) => !running.contains(ours),
            // Ours was refused, or it was started before this round.
            None => self.requests.iter().zip(&self.answered).all(|(it, at)| {
                at.is_some() || it["body"]["data"].as_str() != Some(recorded.as_str())
            }),
        };
        let mut after = turn.after.iter();
        after.all(|before| self.answered[*before].is_some()) && turn.ended.iter().all(ended)
    }

    fn next_moment(&self, now: SystemTime) -> Option<SystemTime> {
        let moments = self.waiting().map(|index| self.moments[index]);
        moments.filter(|at| *at > now).min()
    }
}

fn seconds_between(from: SystemTime, to: SystemTime) -> f64 {
    to.duration_since(from).unwrap_or_default().as_secs_f64()
}

/// How the tasks ended, and what is there now.
fn count_tasks(simulator: &Simulator, tasks: &[String], observed: &mut Observed) {
    simulator.with(|world| {
        for (upid, started, ended) in world.tasks() {
            let (Some(ended), true) = (ended, tasks.iter().any(|ours| ours == upid)) else {
                continue;
            };
            let end = world.task_end(upid).unwrap_or_default();
            let kind = upid.split(':').nth(5).unwrap_or_default();
            let class = format!("TASK {kind} {}", template(&end));
            observed.push(class, seconds_between(started, ended));
        }
        observed.remains = world.guests().map(|guest| guest.vmid()).collect();
    });
}

/// A clone to an id whose clone failed before. Who fails is chance, so it may be another one here than in the recording;
/// where nobody failed it is an id that nobody asked for.
fn with_id_that_failed(simulator: &Simulator, case: &Value, clones: &[(String, u64)]) -> Value {
    let failed = clones.iter().find(|(upid, _)| {
        simulator.with(|world| world.task_end(upid).is_some_and(|end| end != "OK"))
    });
    let highest = clones.iter().map(|(_, id)| *id).max();
    let id = failed.map_or_else(|| highest.unwrap_or(9000) + 1, |(_, id)| *id);
    let mut case = case.clone();
    case["params"]["newid"] = id.into();
    case
}

/// A digest that no line of the round gave was read before it began: it stands for what is there now.
async fn learn_digest(simulator: &Simulator, case: &Value, ours_of: &mut BTreeMap<String, String>) {
    let Some(digest) = case["params"]["digest"].as_str() else {
        return;
    };
    let path = case["path"].as_str().unwrap_or_default();
    let object = match path.rsplit_once('/') {
        Some((guest, "config" | "resize")) => format!("{guest}/config"),
        _ => path.to_owned(),
    };
    let read = request(&json!({ "method": "GET", "path": object }), ours_of);
    if let (Some(read), false) = (read, ours_of.contains_key(digest))
        && let Some(answer) = aside(simulator).answer(TOKEN, &read).await
        && let Some(ours) = body(&answer)["data"]["digest"].as_str()
    {
        ours_of.insert(digest.to_owned(), ours.to_owned());
    }
}

/// A copy of the world that nobody else asks anything.
fn aside(simulator: &Simulator) -> Simulator {
    let world = simulator.snapshot();
    let clock = Clock::accelerated(world.now(), 1e6);
    Simulator::with_clock(world, clock)
}

/// Whether a request does what only root itself may, and was not sent with a token to see it refused.
fn needs_root(case: &Value) -> bool {
    let params = &case["params"];
    (params["lock"].is_string() || !params["skiplock"].is_null()) && !note(case).contains("token")
}

/// The file of a recorded upload, told as `20971520 bytes of 'A'`.
fn file_of(case: &Value) -> Option<(String, Vec<u8>)> {
    let text = case["params"]["(file)"].as_str()?;
    let (length, byte) = text.split_once(" bytes of ")?;
    let byte = byte.trim_matches('\'').bytes().next()?;
    let name = case["params"]["filename"].as_str()?.to_owned();
    Some((name, vec![byte; length.parse().ok()?]))
}
