//! `proxmox-contention`: what concurrent callers saw, played against the simulator's model of locks and workers.

mod judge;
mod observed;
mod play;
mod rounds;
mod scene;
mod told;
mod turns;

use std::collections::BTreeMap;

use serde_json::Value;

use self::judge::Judge;
use self::observed::Observed;
use self::rounds::{preparing, rounds, situation};
use self::scene::Left;
use super::{Folder, Outputs, Report, Runner, Suite};

const FILE: &str = "contention.jsonl";
/// The seed of the outputs; a check plays with those after it too.
const SEED: u64 = 11;
/// With how many seeds a check plays: what a quarter of all rounds shows is missed by all of them in one of a hundred.
const SEEDS: u64 = 16;

pub(super) struct Contention;

impl Suite for Contention {
    fn name(&self) -> &'static str {
        "proxmox-contention"
    }

    fn run(&self, folder: &Folder, runner: &mut Runner<'_>) -> anyhow::Result<()> {
        let cases = folder.own_json_lines(FILE)?.unwrap_or_default();
        let mut players = Players::new(SEED)?;
        for (id, lines) in rounds(&cases) {
            let preparing = preparing(&cases, &id);
            runner.try_case(id.clone(), || {
                players
                    .play(&id, &lines, &preparing)
                    .map(|observed| observed.print())
            });
        }
        Ok(())
    }

    fn check(&self, folder: &Folder, outputs: &Outputs, report: &mut Report) -> anyhow::Result<()> {
        let cases = folder.own_json_lines(FILE)?.unwrap_or_default();
        let rounds = rounds(&cases);
        let recorded: Vec<Observed> = rounds
            .iter()
            .map(|(_, lines)| Observed::recorded(lines))
            .collect();
        let played = play_all(&cases, &rounds)?;
        for (index, ((id, lines), real)) in rounds.iter().zip(&recorded).enumerate() {
            let alike: Vec<&Observed> = rounds
                .iter()
                .zip(&recorded)
                .filter(|((other, _), _)| situation(other) == situation(id))
                .map(|(_, observed)| observed)
                .collect();
            let ours: Result<Vec<Observed>, String> =
                played.iter().map(|seed| seed[index].clone()).collect();
            let ours = match (outputs.get(id), ours) {
                (None, _) => {
                    report.differs(id.as_str(), "did not run");
                    continue;
                }
                (Some(_), Ok(ours)) => ours,
                (Some(_), Err(why)) => {
                    report.differs(id.as_str(), why);
                    continue;
                }
            };
            let judge = Judge::new(real, &alike, &ours);
            let remains = ours.iter().find_map(|ours| remains_off(lines, real, ours));
            match judge.verdict().or(remains) {
                None => report.right(),
                Some(what) => report.differs(id.as_str(), what),
            }
            for line in judge.report() {
                report.note(id.as_str(), line);
            }
        }
        Ok(())
    }
}

/// What came of each round with each seed, as many seeds at a time as there are processors.
fn play_all(
    cases: &[Value],
    rounds: &[(String, Vec<&Value>)],
) -> anyhow::Result<Vec<Vec<Result<Observed, String>>>> {
    let play = |seed: u64| {
        let mut players = Players::new(seed)?;
        let played = rounds
            .iter()
            .map(|(id, lines)| players.play(id, lines, &preparing(cases, id)));
        anyhow::Ok(played.collect::<Vec<_>>())
    };
    let seeds: Vec<u64> = (SEED..SEED + SEEDS).collect();
    let processors = std::thread::available_parallelism().map_or(1, usize::from);
    let share = seeds.len().div_ceil(processors);
    std::thread::scope(|scope| {
        let threads: Vec<_> = seeds
            .chunks(share)
            .map(|seeds| scope.spawn(move || seeds.iter().map(|seed| play(*seed)).collect()))
            .collect();
        let mut all = Vec::new();
        for thread in threads {
            let played: anyhow::Result<Vec<_>> = thread
                .join()
                .map_err(|_| anyhow::anyhow!("a thread that played rounds panicked"))?;
            all.extend(played?);
        }
        Ok(all)
    })
}

/// A machine that is there at the end and should not be, or the other way round.
fn remains_off(lines: &[&Value], real: &Observed, ours: &Observed) -> Option<String> {
    let asked = rounds::read_at_end(lines).filter_map(observed::machine_of);
    // Who fails by chance leaves nothing, but may be another one than in the recording.
    let made = |observed: &Observed| {
        let makes = ["TASK qmclone OK", "TASK qmcreate OK", "TASK qmdestroy OK"];
        makes.map(|class| observed.count(class))
    };
    let chance = made(real) != made(ours)
        || real
            .waits
            .keys()
            .any(|class| class.contains("TASK qmclone clone failed: c"));
    let mut off = asked.filter(|vmid| {
        let (there, was) = (ours.remains.contains(vmid), real.remains.contains(vmid));
        there != was && !chance
    });
    off.next().map(|vmid| {
        let there = ours.remains.contains(&vmid);
        format!("VM {vmid} remains: {there}")
    })
}

/// Plays rounds with one seed, each run's in their order.
struct Players {
    seed: u64,
    runtime: tokio::runtime::Runtime,
    left: BTreeMap<String, Left>,
}

impl Players {
    fn new(seed: u64) -> anyhow::Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .build()?;
        Ok(Self {
            seed,
            runtime,
            left: BTreeMap::new(),
        })
    }

    fn play(
        &mut self,
        id: &str,
        lines: &[&Value],
        preparing: &[&Value],
    ) -> Result<Observed, String> {
        let run = id.split('/').next().unwrap_or_default();
        // A run with a letter goes on where the one without left off.
        let number = run.trim_end_matches(|letter: char| letter.is_ascii_lowercase());
        let left = self.left.entry(number.to_owned()).or_default();
        left.enter(run, rounds::first_moment(lines));
        self.runtime
            .block_on(play::play(lines, preparing, left, self.seed))
    }
}
