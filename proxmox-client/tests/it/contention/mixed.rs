//! Many verbs on one machine, locks set by hand, stops against shutdowns, agents that do not answer, several nodes: rounds
//! that nobody recorded. Every answer must be one that the real server gives to that verb, and what is there afterwards must
//! be what the answers say.

use std::collections::BTreeSet;
use std::time::Duration;

use proptest::prelude::*;
use proxmox_client::QemuConfig;
use proxmox_client::simulator::{NodeSpec, Simulator, StorageSpec, World};
use proxmox_client::wire::{Method, Request};

use super::unseen::{Call, MS, Told, change, create, directory, end, play, server};

const ID: &str = "200";

/// What somebody asks of machine 200.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Verb {
    Start,
    Stop,
    Shutdown,
    Resize,
    Snapshot,
    DropSnapshot,
    Rollback,
    Put,
    Post,
    Template,
    Move,
    Duplicate,
    Backup,
    Delete,
}

use Verb::{
    Backup, Delete, DropSnapshot, Duplicate, Move, Post, Put, Resize, Rollback, Shutdown, Snapshot,
    Start, Stop, Template,
};

const ALL: [Verb; 14] = [
    Start,
    Stop,
    Shutdown,
    Resize,
    Snapshot,
    DropSnapshot,
    Rollback,
    Put,
    Post,
    Template,
    Move,
    Duplicate,
    Backup,
    Delete,
];

fn to(method: Method, rest: &str) -> Request {
    Request::new(method, &format!("/nodes/pve1/qemu/{ID}{rest}"), &[])
}

impl Verb {
    /// The request of the caller with this number.
    fn request(self, number: usize) -> Request {
        match self {
            Start => to(Method::Post, "/status/start"),
            Stop => to(Method::Post, "/status/stop"),
            Shutdown => to(Method::Post, "/status/shutdown"),
            Resize => to(Method::Put, "/resize")
                .with("disk", "scsi0")
                .with("size", "+1M"),
            Snapshot => to(Method::Post, "/snapshot").with("snapname", format!("s{number}")),
            DropSnapshot => to(Method::Delete, "/snapshot/s0"),
            Rollback => to(Method::Post, "/snapshot/s0/rollback"),
            Put => change(200, &format!("ipconfig{number}")),
            Post => {
                to(Method::Post, "/config").with("ipconfig31", format!("ip=192.0.2.{number}/24"))
            }
            Template => to(Method::Post, "/template"),
            Move => to(Method::Post, "/move_disk")
                .with("disk", "scsi0")
                .with("storage", "other")
                .with("delete", "1"),
            Duplicate => to(Method::Post, "/clone")
                .with("newid", (9100 + number).to_string())
                .with("full", "1"),
            Backup => Request::new(Method::Post, "/nodes/pve1/vzdump", &[])
                .with("vmid", ID)
                .with("storage", "local"),
            Delete => to(Method::Delete, ""),
        }
    }

    /// Whether a lock in the configuration refuses it in the request, in its task, or not at all.
    fn refused(self) -> Option<&'static str> {
        match self {
            Put | Post | Duplicate | Template | Move => Some("request"),
            Start | Resize | Snapshot | DropSnapshot | Rollback | Delete => Some("task"),
            Stop | Shutdown | Backup => None,
        }
    }

    /// Whether a request for it may be refused with this text.
    fn may_be_refused(self, text: &str) -> bool {
        let locks = self.refused() == Some("request") && is_locked(text);
        let waits = matches!(self, Put | Post) && text == lock_file(ID);
        let own = match self {
            Delete => text == "VM 200 is running - destroy failed",
            Template => is_no_template(text),
            Move => text == "you can't move to the same storage with same format",
            _ => false,
        };
        locks || waits || own || text == gone()
    }

    /// Whether a task of it may end with this text.
    fn may_end(self, text: &str, number: usize) -> bool {
        let locks = self.refused().is_some() && is_locked(text);
        let waits = text == lock_file(ID);
        let own = match self {
            Start => {
                text == "VM 200 already running"
                    || text == "you can't start a vm if it's a template"
            }
            Shutdown => text == "VM quit/powerdown failed - got timeout",
            Snapshot => text == "you can't take a snapshot if it's a template",
            DropSnapshot | Rollback => text == "snapshot 's0' does not exist",
            Delete => text == "VM 200 is running - destroy failed",
            Template => is_no_template(text),
            Move => text == "you can't move to the same storage with same format",
            Duplicate => {
                text == "unexpected state change" || text == lock_file(&(9100 + number).to_string())
            }
            Backup => text == "job errors",
            _ => false,
        };
        // A task that follows its change has nothing left to fail at.
        let fails = !matches!(self, Put | Post);
        text == "OK" || fails && (locks || waits || own || text == gone())
    }
}

fn gone() -> &'static str {
    "Configuration file 'nodes/pve1/qemu-server/200.conf' does not exist"
}

fn lock_file(vmid: &str) -> String {
    format!("can't lock file '/var/lock/qemu-server/lock-{vmid}.conf' - got timeout")
}

fn is_no_template(text: &str) -> bool {
    text == "you can't convert a VM to template if VM is running"
        || text == "you can't convert a template to a template"
        || text == "unable to create template, because VM contains snapshots"
}

fn is_locked(text: &str) -> bool {
    text.starts_with("VM is locked (") && text.ends_with(')')
}

/// A machine with a disk, a cloud-init image and a card.
fn machine() -> QemuConfig {
    QemuConfig::new()
        .with("ide2", "local:200/vm-200-cloudinit.qcow2,media=cdrom")
        .with("net0", "virtio=BC:24:11:00:00:01,bridge=vmbr0")
        .with("scsi0", "local:200/vm-200-disk-0.qcow2,size=64M")
}

fn world(seed: u64) -> World {
    server(seed, directory())
        .with_storage(StorageSpec::directory("other", "/var/lib/other", 1 << 40))
        .with_guest("pve1", 200, &machine())
}

/// What was told of a request that nobody carried out, or not in time; true if it was one.
fn unread(told: &Told) -> bool {
    match (told.status(), told.reason()) {
        (596, "Broken pipe") => told.wait > Duration::from_secs(5),
        (596, "Connection timed out") => told.wait >= Duration::from_secs(30),
        _ => false,
    }
}

/// The volumes that carry a machine's id.
fn volumes(simulator: &Simulator, vmid: u32) -> Vec<String> {
    let mark = format!("vm-{vmid}-");
    let all = simulator.with(|world| [world.volumes("local"), world.volumes("other")].concat());
    all.into_iter()
        .filter(|volume| volume.contains(&mark) && !volume.contains("backup/"))
        .collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, ..ProptestConfig::default() })]

    #[test]
    fn whatever_is_asked_of_one_machine_at_once_each_verb_is_told_its_own_texts(
        seed: u64,
        asked in prop::collection::vec((prop::sample::select(&ALL[..]), 0u64..4000), 1..14),
    ) {
        let round = asked.iter().enumerate().map(|(number, (verb, delay))| Call {
            delay: MS * *delay as u32,
            request: verb.request(number),
        });
        let (simulator, told) = play(world(seed), round.collect(), None);
        let mut done: Vec<Verb> = Vec::new();
        let mut lost = false;
        for (number, ((verb, _), told)) in asked.iter().zip(&told).enumerate() {
            if unread(told) {
                lost = true;
                continue;
            }
            if told.status() != 200 {
                prop_assert_eq!(told.status(), 500, "{:?}: {}", verb, told.reason());
                prop_assert!(verb.may_be_refused(told.reason()), "{:?}: {}", verb, told.reason());
                continue;
            }
            let Some(upid) = told.upid() else {
                prop_assert_eq!(*verb, Put);
                done.push(*verb);
                continue;
            };
            let end = end(&simulator, &upid);
            prop_assert!(verb.may_end(&end, number), "{:?}: {}", verb, end);
            if end == "OK" {
                done.push(*verb);
                if *verb == Duplicate {
                    let made = simulator.with(|world| world.guest(9100 + number as u32).is_some());
                    prop_assert!(made);
                }
            }
        }
        let count = |verb: Verb| done.iter().filter(|it| **it == verb).count();
        let there = simulator.with(|world| world.guest(200).map(|guest| guest.text("lock")));
        prop_assert!(count(Delete) <= 1);
        if lost {
            // What came of a request that nobody saw answered is not told.
            return Ok(());
        }
        prop_assert_eq!(there.is_some(), count(Delete) == 0);
        prop_assert_eq!(there.flatten(), None, "a lock is left");
        if count(Delete) == 1 {
            prop_assert_eq!(volumes(&simulator, 200), Vec::<String>::new());
        } else if count(Rollback) == 0 {
            let disk = simulator.with(|world| world.guest(200).and_then(|guest| guest.text("scsi0")));
            let size = format!("size={}M", 64 + count(Resize));
            prop_assert!(disk.clone().is_some_and(|disk| disk.ends_with(&size)), "{:?} {}", disk, size);
        }
        // A clone that failed leaves nothing, one that was made has its own.
        for number in 0..asked.len() as u32 {
            let made = simulator.with(|world| world.guest(9100 + number).is_some());
            prop_assert_eq!(volumes(&simulator, 9100 + number).len(), if made { 2 } else { 0 });
        }
    }

    #[test]
    fn a_lock_set_by_hand_refuses_what_the_server_refuses_and_changes_nothing(
        seed: u64,
        lock in prop::sample::select(&["backup", "clone", "create", "migrate", "rollback", "snapshot", "snapshot-delete"][..]),
        asked in prop::collection::vec((prop::sample::select(&ALL[..]), 0u64..500), 1..20),
    ) {
        let mut world = world(seed);
        world.set_config(200, "lock", lock);
        // A backup takes the lock of its own, so it says something else.
        let asked: Vec<(Verb, u64)> = asked.into_iter().filter(|(verb, _)| *verb != Backup).collect();
        let before = world.guest(200).cloned();
        let round = asked.iter().enumerate().map(|(number, (verb, delay))| Call {
            delay: MS * *delay as u32,
            request: verb.request(number),
        });
        let (simulator, told) = play(world, round.collect(), None);
        let refusal = format!("VM is locked ({lock})");
        for ((verb, _), told) in asked.iter().zip(&told) {
            match (verb.refused(), told.upid()) {
                (Some("request"), _) => prop_assert_eq!(
                    (told.status(), told.reason()), (500, refusal.as_str()), "{:?}", verb
                ),
                (Some(_), Some(upid)) => prop_assert_eq!(&end(&simulator, &upid), &refusal, "{:?}", verb),
                (None, Some(upid)) => prop_assert_eq!(end(&simulator, &upid), "OK", "{:?}", verb),
                (_, None) => prop_assert!(false, "{:?}: {}", verb, told.reason()),
            }
        }
        let after = simulator.with(|world| world.guest(200).cloned());
        prop_assert_eq!(format!("{:?}", before), format!("{:?}", after));
    }

    #[test]
    fn a_stop_gets_through_a_shutdown_or_is_told_that_it_did_not(
        seed: u64,
        listens: bool,
        timeout in 1u64..40,
        delay in 0u64..45_000,
        overrules: bool,
    ) {
        let mut world = world(seed);
        world.durations_mut().guests_listen = listens;
        let now = world.now();
        world.mark_started(200, now - Duration::from_secs(3600));
        let round = vec![
            Call {
                delay: Duration::ZERO,
                request: to(Method::Post, "/status/shutdown").with("timeout", timeout.to_string()),
            },
            Call {
                delay: MS * delay as u32,
                request: to(Method::Post, "/status/stop").with_flag("overrule-shutdown", overrules),
            },
        ];
        let (simulator, told) = play(world, round, None);
        let ends: Vec<String> = told
            .iter()
            .map(|told| end(&simulator, &told.upid().unwrap_or_default()))
            .collect();
        let off = simulator.with(|world| world.guest(200).is_some_and(|guest| guest.started_at().is_none()));
        let waits = lock_file(ID);
        match (ends[0].as_str(), ends[1].as_str()) {
            ("OK", "OK") => prop_assert!(off && (listens || delay < 1000)),
            ("VM quit/powerdown failed - got timeout", "OK") => prop_assert!(off && !listens),
            // The shutdown held the machine's lock for longer than anybody waits.
            ("VM quit/powerdown failed - got timeout", text) => {
                prop_assert!(text == waits && !off && !overrules && !listens);
            }
            ("unexpected status", "OK") => prop_assert!(off && overrules),
            (shutdown, stop) => prop_assert!(false, "{} {}", shutdown, stop),
        }
    }

    #[test]
    fn agents_that_do_not_answer_keep_others_waiting_and_nothing_worse(
        seed: u64,
        pings in 1usize..9,
        writes in prop::collection::vec(0u64..4000, 1..8),
    ) {
        let mut world = world(seed).with_guest("pve1", 300, &machine().with("agent", "1"));
        let now = world.now();
        world.mark_started(300, now);
        world.durations_mut().agent_up = None;
        let ping = || Request::new(Method::Post, "/nodes/pve1/qemu/300/agent/ping", &[]);
        let mut round: Vec<Call> = (0..pings)
            .map(|index| Call { delay: MS * index as u32, request: ping() })
            .collect();
        round.extend(writes.iter().enumerate().map(|(index, delay)| Call {
            delay: MS * *delay as u32,
            request: change(200, &format!("ipconfig{index}")),
        }));
        let (simulator, told) = play(world, round, None);
        for told in &told[..pings] {
            let waits = told.reason() == "QEMU guest agent is not running" && told.wait >= Duration::from_secs(3);
            prop_assert!(waits || unread(told), "{} after {:?}", told.reason(), told.wait);
        }
        for (index, told) in told[pings..].iter().enumerate() {
            let key = format!("ipconfig{index}");
            let written = simulator.with(|world| world.guest(200).is_some_and(|guest| guest.text(&key).is_some()));
            match told.status() {
                200 => prop_assert!(written),
                _ => prop_assert!(unread(told), "{} {}", told.status(), told.reason()),
            }
            prop_assert!(told.reason() != "Broken pipe" || !written);
        }
    }

    #[test]
    fn an_id_has_one_winner_whichever_node_is_asked(
        seed: u64,
        asked in prop::collection::vec((0usize..3, 0u64..60), 2..12),
    ) {
        let nodes = ["pve1", "pve2", "pve3"];
        let world = nodes[1..].iter().fold(world(seed), |world, node| {
            world.with_node(NodeSpec::new(node, 2, 24 << 30))
        });
        let round = asked.iter().map(|(node, delay)| {
            let request = create(9100).params().iter().fold(
                Request::new(Method::Post, "/nodes/{}/qemu", &[nodes[*node]]),
                |request, (name, value)| request.with(name, value),
            );
            Call { delay: MS * *delay as u32, request }
        });
        let (simulator, told) = play(world, round.collect(), None);
        let home = simulator.with(|world| world.guest(9100).map(|guest| guest.node().to_owned()));
        let mut winners = BTreeSet::new();
        for ((node, _), told) in asked.iter().zip(&told) {
            match told.upid() {
                Some(upid) => {
                    prop_assert_eq!(end(&simulator, &upid), "OK");
                    winners.insert((nodes[*node].to_owned(), upid));
                }
                None => prop_assert_eq!(
                    told.reason(),
                    format!("unable to create VM 9100 - VM 9100 already exists on node '{}'", home.clone().unwrap_or_default())
                ),
            }
        }
        prop_assert_eq!(winners.len(), 1);
        prop_assert_eq!(winners.into_iter().next().map(|(node, _)| node), home);
    }
}
