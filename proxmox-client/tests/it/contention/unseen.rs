//! Rounds that nobody recorded: callers, verbs, ids, delays and durations are drawn, and what the real server always keeps
//! must hold.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use futures::future::join_all;
use proptest::prelude::*;
use proxmox_client::simulator::{Clock, Daemon, NodeSpec, Simulator, StorageSpec, World};
use proxmox_client::wire::{Answer, Method, Request};
use serde_json::Value;

use super::template;

pub(super) const TOKEN: &str = "root@pam!lab=lab-secret";
pub(super) const MS: Duration = Duration::from_millis(1);

/// A small server as it was measured, without mishaps.
pub(super) fn server(seed: u64, storage: StorageSpec) -> World {
    let start = std::time::SystemTime::UNIX_EPOCH + Duration::from_secs(1_767_225_600);
    World::new(seed, start)
        .with_node(NodeSpec::new("pve1", 2, 24 << 30))
        .with_storage(storage)
        .with_token("root@pam!lab", "lab-secret")
        .with_daemon(Daemon::measured().without_mishaps())
        .with_guest("pve1", 9000, &template())
}

pub(super) fn directory() -> StorageSpec {
    StorageSpec::directory("local", "/var/lib/vz", 1 << 40)
}

/// One request of a round, and what came of it.
pub(super) struct Call {
    pub(super) delay: Duration,
    pub(super) request: Request,
}

/// What somebody does to the world.
pub(super) type Act = fn(&mut World);

pub(super) struct Told {
    pub(super) answer: Option<Answer>,
    pub(super) wait: Duration,
}

impl Told {
    pub(super) fn upid(&self) -> Option<String> {
        self.answer
            .as_ref()?
            .data::<String>()
            .ok()
            .filter(|text| text.starts_with("UPID:"))
    }

    pub(super) fn status(&self) -> u16 {
        self.answer.as_ref().map_or(0, Answer::status)
    }

    pub(super) fn reason(&self) -> &str {
        self.answer.as_ref().map_or("", Answer::reason)
    }
}

/// Plays a round on the paused clock until every task has ended; `meanwhile` happens at a moment of it.
pub(super) fn play(
    world: World,
    calls: Vec<Call>,
    meanwhile: Option<(Duration, Act)>,
) -> (Simulator, Vec<Told>) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .unwrap();
    runtime.block_on(async move {
        let clock = Clock::accelerated(world.now(), 1.0);
        let simulator = Simulator::with_clock(world, clock);
        let sent = calls.into_iter().map(|call| {
            let simulator = simulator.clone();
            async move {
                tokio::time::sleep(call.delay).await;
                let asked = simulator.clock().now();
                let answer = simulator.answer(TOKEN, &call.request).await;
                let wait = simulator.clock().now().duration_since(asked).unwrap();
                Told { answer, wait }
            }
        });
        let other = async {
            if let Some((at, act)) = meanwhile {
                tokio::time::sleep(at).await;
                simulator.with(act);
            }
        };
        let (told, ()) = futures::future::join(join_all(sent), other).await;
        tokio::time::sleep(Duration::from_secs(120)).await;
        simulator.with(|world| assert_eq!(world.next_event(), None));
        (simulator, told)
    })
}

pub(super) fn end(simulator: &Simulator, upid: &str) -> String {
    simulator
        .with(|world| world.task_end(upid))
        .expect("every task has ended")
}

pub(super) fn clone(newid: u32, full: bool) -> Request {
    Request::new(Method::Post, "/nodes/pve1/qemu/9000/clone", &[])
        .with("newid", newid.to_string())
        .with_flag("full", full)
}

pub(super) fn create(vmid: u32) -> Request {
    Request::new(Method::Post, "/nodes/pve1/qemu", &[])
        .with("vmid", vmid.to_string())
        .with("memory", "64")
}

pub(super) fn change(vmid: u32, key: &str) -> Request {
    Request::new(
        Method::Put,
        "/nodes/pve1/qemu/{}/config",
        &[&vmid.to_string()],
    )
    .with(key, "ip=192.0.2.9/24")
}

/// Every volume belongs to a machine that is there.
fn nothing_is_left_over(simulator: &Simulator) {
    let (machines, volumes) = simulator.with(|world| {
        let machines: BTreeSet<u32> = world.guests().map(|guest| guest.vmid()).collect();
        (machines, world.volumes("local"))
    });
    for volume in volumes {
        let owner = volume
            .rsplit("vm-")
            .next()
            .and_then(|rest| rest.split('-').next());
        let owner = owner.and_then(|id| id.parse().ok()).unwrap_or(9000);
        assert!(machines.contains(&owner), "{volume} of {machines:?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, ..ProptestConfig::default() })]

    #[test]
    fn an_id_has_one_winner_and_losers_are_told_the_text_of_their_verb(
        seed: u64,
        calls in prop::collection::vec((0u32..3, 0u64..40, any::<bool>(), any::<bool>()), 2..20),
    ) {
        let asked: Vec<(u32, bool)> = calls.iter().map(|(id, _, clones, _)| (9100 + id, *clones)).collect();
        let round = calls.iter().map(|(id, delay, clones, full)| Call {
            delay: MS * *delay as u32,
            request: if *clones { clone(9100 + id, *full) } else { create(9100 + id) },
        });
        let (simulator, told) = play(server(seed, directory()), round.collect(), None);
        let mut winners: BTreeMap<u32, usize> = BTreeMap::new();
        let mut tasks: BTreeMap<u32, usize> = BTreeMap::new();
        let mut unread: BTreeMap<u32, usize> = BTreeMap::new();
        for ((id, clones), told) in asked.iter().zip(&told) {
            let verb = match clones {
                true => format!("unable to create VM {id}: config file already exists"),
                false => format!("unable to create VM {id} - VM {id} already exists on node 'pve1'"),
            };
            winners.entry(*id).or_default();
            if (told.status(), told.reason()) == (596, "Broken pipe") {
                // A worker that waited for a long clone had accepted it.
                prop_assert!(told.wait > Duration::from_secs(5));
                *unread.entry(*id).or_default() += 1;
                continue;
            }
            let Some(upid) = told.upid() else {
                prop_assert_eq!(told.status(), 500);
                // A creation waits five seconds for whoever makes this id at the moment.
                let busy = format!("unable to create VM {id} - can't lock file '/var/lock/qemu-server/lock-{id}.conf' - got timeout");
                if *clones || told.reason() != busy {
                    prop_assert_eq!(told.reason(), verb);
                } else {
                    prop_assert!(told.wait >= Duration::from_secs(5));
                }
                continue;
            };
            *tasks.entry(*id).or_default() += 1;
            let end = end(&simulator, &upid);
            let in_use = format!("can't lock file '/var/lock/qemu-server/lock-{id}.conf' - got timeout");
            if end == "OK" {
                *winners.entry(*id).or_default() += 1;
            } else {
                prop_assert!(*clones && (end == verb || end == in_use), "{}", end);
            }
        }
        for (id, count) in &winners {
            let callers = asked.iter().filter(|(other, _)| other == id).count();
            if unread.get(id) == Some(&callers) {
                continue;
            }
            prop_assert_eq!(*count, 1, "{} was won {} times", id, count);
            prop_assert!(tasks[id] <= 3, "{} tasks for {}", tasks[id], id);
            let config = simulator.with(|world| world.guest(*id).map(|guest| guest.text("lock")));
            prop_assert_eq!(config, Some(None));
        }
        nothing_is_left_over(&simulator);
    }

    #[test]
    fn a_writer_is_told_the_truth_about_its_change(
        seed: u64,
        held in 1u64..70,
        delays in prop::collection::vec(0u64..6000, 1..17),
    ) {
        let mut world = server(seed, directory()).with_guest("pve1", 200, &template());
        // A start holds the machine's lock.
        world.durations_mut().start = Duration::from_secs(held);
        world.set_config(200, "template", "0");
        let start = Request::new(Method::Post, "/nodes/pve1/qemu/200/status/start", &[]);
        let mut round = vec![Call { delay: Duration::ZERO, request: start }];
        round.extend(delays.iter().enumerate().map(|(index, delay)| Call {
            delay: MS * (200 + *delay as u32),
            request: change(200, &format!("ipconfig{index}")),
        }));
        let (simulator, told) = play(world, round, None);
        for (index, told) in told.iter().skip(1).enumerate() {
            let key = format!("ipconfig{index}");
            let written = simulator.with(|world| {
                world.guest(200).and_then(|guest| guest.text(&key)).is_some()
            });
            match (told.status(), told.reason()) {
                (200, _) => prop_assert!(written),
                (500, text) => {
                    prop_assert_eq!(text, "can't lock file '/var/lock/qemu-server/lock-200.conf' - got timeout");
                    prop_assert!(!written && told.wait >= Duration::from_secs(10));
                }
                (596, "Broken pipe") => prop_assert!(!written && told.wait > Duration::from_secs(5)),
                (596, text) => {
                    prop_assert_eq!(text, "Connection timed out");
                    prop_assert!((30_000..30_100).contains(&told.wait.as_millis()), "{:?}", told.wait);
                }
                (status, text) => prop_assert!(false, "{} {}", status, text),
            }
        }
    }

    #[test]
    fn copies_that_wait_too_long_for_a_storage_leave_nothing(
        seed: u64,
        callers in 1u32..20,
        hold in 100u64..2500,
        shared: bool,
    ) {
        let storage = directory().with_allocation_time(MS * hold as u32);
        let storage = if shared { storage.with_shared() } else { storage };
        let round = (0..callers).map(|index| Call { delay: MS * index, request: clone(9100 + index, true) });
        let (simulator, told) = play(server(seed, storage), round.collect(), None);
        let mut made = 0;
        for (index, told) in told.iter().enumerate() {
            let upid = told.upid();
            prop_assert!(upid.is_some(), "{}", told.reason());
            let end = end(&simulator, &upid.unwrap_or_default());
            let there = simulator.with(|world| world.guest(9100 + index as u32).is_some());
            prop_assert_eq!(there, end == "OK");
            made += usize::from(there);
            let text = match shared {
                true => "clone failed: cfs-lock 'storage-local' error: got lock request timeout",
                false => "clone failed: can't lock file '/var/lock/pve-manager/pve-storage-local' - got timeout",
            };
            prop_assert!(end == "OK" || end == text, "{}", end);
        }
        // Each clone makes two volumes, one after the other.
        if hold * 2 * u64::from(callers) < 8000 && !shared {
            prop_assert_eq!(made, callers as usize);
        }
        nothing_is_left_over(&simulator);
    }

    #[test]
    fn only_what_was_killed_leaves_a_locked_configuration(
        seed: u64,
        callers in 1u32..12,
        at in 0u64..1500,
    ) {
        let round = (0..callers).map(|index| Call { delay: MS * index, request: clone(9100 + index, true) });
        let killed = Some((MS * at as u32, World::kill_workers as Act));
        let (simulator, told) = play(server(seed, directory()), round.collect(), killed);
        for (index, told) in told.iter().enumerate() {
            let vmid = 9100 + index as u32;
            let lock = simulator.with(|world| world.guest(vmid).map(|guest| guest.text("lock")));
            let upid = told.upid();
            prop_assert!(upid.is_some(), "{}", told.reason());
            match (end(&simulator, &upid.unwrap_or_default()).as_str(), lock) {
                ("OK", Some(None)) => {}
                // Whoever was killed before it had its id left nothing.
                ("unexpected status", None) => {}
                ("unexpected status", Some(lock)) => prop_assert_eq!(lock, Some("clone".to_owned())),
                (end, lock) => prop_assert!(false, "{} {:?}", end, lock),
            }
        }
    }

    #[test]
    fn under_one_digest_one_change_is_made_however_many_ask(
        seed: u64,
        delays in prop::collection::vec(0u64..30, 2..16),
        attaches: bool,
    ) {
        let mut world = server(seed, directory().with_allocation_time(MS * 150)).with_guest("pve1", 200, &template());
        world.set_config(200, "template", "0");
        let digest = read_digest(&world);
        let round = delays.iter().map(|delay| {
            let request = match attaches {
                true => Request::new(Method::Put, "/nodes/pve1/qemu/200/config", &[]).with("scsi7", "local:1"),
                false => change(200, "ipconfig0"),
            };
            Call { delay: MS * *delay as u32, request: request.with("digest", digest.as_str()) }
        });
        let (simulator, told) = play(world, round.collect(), None);
        let won = told.iter().filter(|told| told.status() == 200).count();
        prop_assert_eq!(won, 1);
        for loser in told.iter().filter(|told| told.status() != 200) {
            prop_assert_eq!(loser.reason(), "checksum mismatch (file change by other user?)");
        }
        let orphans = simulator.with(|world| world.guest(200).and_then(|guest| guest.text("unused0")));
        prop_assert_eq!(orphans, None);
    }
}

fn read_digest(world: &World) -> String {
    let request = Request::new(Method::Get, "/nodes/pve1/qemu/200/config", &[]);
    let (_, told) = play(
        world.clone(),
        vec![Call {
            delay: Duration::ZERO,
            request,
        }],
        None,
    );
    let config: Value = told[0].answer.as_ref().unwrap().data().unwrap();
    config["digest"].as_str().unwrap().to_owned()
}

#[test]
fn a_start_that_got_lost_did_nothing_and_is_in_the_lists_only() {
    let mut daemon = Daemon::measured().without_mishaps();
    daemon.lost_start = 1.0;
    let world = server(1, directory()).with_daemon(daemon);
    let tasks = Request::new(Method::Get, "/nodes/pve1/tasks", &[]);
    let round = vec![
        Call {
            delay: Duration::ZERO,
            request: clone(9100, true),
        },
        // Another task runs now.
        Call {
            delay: MS * 100,
            request: clone(9101, true),
        },
        Call {
            delay: MS * 1000,
            request: tasks,
        },
    ];
    let (simulator, told) = play(world, round, None);
    assert_eq!(told[0].status(), 200);
    assert_eq!(
        (told[1].status(), told[1].reason()),
        (500, "got no worker upid - start worker failed")
    );
    let list: Vec<Value> = told[2].answer.as_ref().unwrap().data().unwrap();
    let lost = list
        .iter()
        .find(|task| task["status"] == "unexpected status")
        .unwrap();
    assert!(simulator.with(|world| world.guest(9101).is_none()));
    let path = "/nodes/pve1/tasks/{}/status";
    let asked = Request::new(Method::Get, path, &[lost["upid"].as_str().unwrap()]);
    let (_, told) = play(
        simulator.snapshot(),
        vec![Call {
            delay: Duration::ZERO,
            request: asked,
        }],
        None,
    );
    assert_eq!(told[0].status(), 400);
}

#[tokio::test(start_paused = true)]
async fn connections_are_closed_without_an_answer_with_tickets_only_and_nothing_is_done() {
    let mut daemon = Daemon::measured().without_mishaps();
    daemon.dropped = 1.0;
    let world = server(1, directory())
        .with_user("root@pam", "pw")
        .with_daemon(daemon);
    let clock = Clock::accelerated(world.now(), 1.0);
    let simulator = Simulator::with_clock(world, clock);
    assert!(
        simulator
            .answer_as("root@pam", &create(9100))
            .await
            .is_none()
    );
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert!(simulator.with(|world| world.guest(9100).is_none()));
    assert_eq!(
        simulator
            .answer(TOKEN, &create(9100))
            .await
            .unwrap()
            .status(),
        200
    );
}
