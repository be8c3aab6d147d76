//! What a client asks of the servers at once.

use std::time::{Duration, SystemTime};

use futures::future::join_all;
use proxmox_client::simulator::{Daemon, Simulator, World};
use proxmox_client::task::PollPolicy;
use proxmox_client::{Client, CloneOptions, Kind, Limits, Qemu, QemuConfig, Shutdown};

/// A busy server with a template 9000, on the paused clock.
async fn server() -> Simulator {
    let world = World::lab()
        .with_daemon(Daemon::measured())
        .with_volume("local:import/guest.qcow2", 64 << 20);
    let simulator = Simulator::at_real_speed(world);
    let client = simulator.connect();
    let config = QemuConfig::new()
        .with_name("tmpl")
        .with("scsi0", "local:0,import-from=local:import/guest.qcow2");
    let made = client.node("pve1").create_qemu(9000, config).await;
    made.unwrap().qemu.make_template().await.unwrap();
    simulator.clear_journal();
    simulator
}

fn client(simulator: &Simulator, limits: Limits) -> Client {
    simulator
        .builder()
        .token("root@pam!lab=lab-secret")
        .poll(PollPolicy::every(Duration::from_millis(50)))
        .limits(limits)
        .build()
        .unwrap()
}

/// A running machine 100 that does not listen to a shutdown, under the default limits.
async fn deaf_guest() -> (Simulator, Qemu) {
    let simulator = server().await;
    simulator.with(|world| world.durations_mut().guests_listen = false);
    let template = client(&simulator, Limits::default())
        .node("pve1")
        .qemu(9000);
    let cloned = template.clone_to(100, CloneOptions::new()).await;
    let vm = cloned.unwrap().qemu;
    vm.start().await.unwrap();
    (simulator, vm)
}

/// The most spans that hold a common moment.
fn most_at_once(spans: &[(SystemTime, SystemTime)]) -> usize {
    let overlapping = |at: SystemTime| {
        let open = spans.iter().filter(|(from, to)| *from <= at && at < *to);
        open.count()
    };
    spans
        .iter()
        .map(|(from, _)| overlapping(*from))
        .max()
        .unwrap_or(0)
}

/// The tasks of a kind.
fn tasks(simulator: &Simulator, kind: &str) -> Vec<(SystemTime, SystemTime)> {
    let mark = format!(":{kind}:");
    simulator.with(|world| {
        world
            .tasks()
            .filter(|(upid, ..)| upid.contains(&mark))
            .map(|(_, start, end)| (start, end.expect("it has ended")))
            .collect()
    })
}

async fn clone_many(client: &Client, ids: std::ops::Range<u32>) {
    let template = client.node("pve1").qemu(9000);
    let clones = ids.map(|vmid| template.clone_to(vmid, CloneOptions::new()).into_future());
    for made in join_all(clones).await {
        made.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn no_more_than_so_many_requests_and_writes_are_on_their_way() {
    let simulator = server().await;
    let limits = Limits::none().with_requests(4).with_writes(1);
    let client = client(&simulator, limits);
    clone_many(&client, 100..120).await;
    let spans = |writes: bool| -> Vec<(SystemTime, SystemTime)> {
        let journal = simulator.journal();
        let wanted = journal
            .iter()
            .filter(|entry| !writes || entry.method != "GET");
        wanted
            .map(|entry| (entry.at, entry.answered.expect("an answer")))
            .collect()
    };
    assert_eq!(spans(true).len(), 20);
    assert_eq!(most_at_once(&spans(true)), 1);
    assert!(most_at_once(&spans(false)) <= 4);
}

#[tokio::test(start_paused = true)]
async fn tasks_of_a_node_and_clones_of_a_template_wait_for_each_other() {
    let simulator = server().await;
    clone_many(&client(&simulator, Limits::none()), 100..110).await;
    assert!(
        most_at_once(&tasks(&simulator, "qmclone")) > 3,
        "free callers overlap"
    );

    for limits in [
        Limits::none().with_clones_per_source(3),
        Limits::none().with_tasks_per_node(3),
    ] {
        let simulator = server().await;
        clone_many(&client(&simulator, limits), 100..115).await;
        let spans = tasks(&simulator, "qmclone");
        assert_eq!(spans.len(), 15);
        assert!((2..=3).contains(&most_at_once(&spans)), "{spans:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn changes_of_one_machine_wait_for_its_task_instead_of_the_servers_lock() {
    let (simulator, vm) = deaf_guest().await;
    // The guest does not listen: the server holds the machine's lock for 23 s, twice as long as anyone may wait.
    let shutdown = vm.shutdown(Shutdown::new().with_timeout(Duration::from_secs(20)));
    let wanted = QemuConfig::new().with("description", "changed");
    let change = async {
        tokio::time::sleep(Duration::from_millis(200)).await;
        vm.ensure_config(&wanted).await
    };
    let (shut, changed) = tokio::join!(shutdown.into_future(), change);
    assert!(shut.is_err());
    changed.unwrap();

    let free = client(&simulator, Limits::none());
    let vm = free.node("pve1").qemu(100);
    let shutdown = vm.shutdown(Shutdown::new().with_timeout(Duration::from_secs(200)));
    let change = async {
        tokio::time::sleep(Duration::from_millis(200)).await;
        vm.ensure_config(&QemuConfig::new().with("description", "again"))
            .await
    };
    let (_, changed) = tokio::join!(shutdown.into_future(), change);
    assert_eq!(changed.unwrap_err().kind(), Kind::LockTimeout);
}

#[tokio::test(start_paused = true)]
async fn stopping_hard_does_not_wait_for_a_shutdown() {
    let (simulator, vm) = deaf_guest().await;
    let shutdown = vm.shutdown(Shutdown::new().with_timeout(Duration::from_secs(100)));
    let stop = async {
        tokio::time::sleep(Duration::from_millis(200)).await;
        let sent = vm.stop().submit().await;
        let now = simulator.clock().now();
        (sent.is_ok(), now)
    };
    let begun = simulator.clock().now();
    let (_, (sent, at)) = tokio::join!(shutdown.into_future(), stop);
    assert!(sent);
    assert!(at.duration_since(begun).unwrap() < Duration::from_secs(5));
}

#[tokio::test(start_paused = true)]
async fn a_call_that_nobody_waits_for_any_more_lets_others_go_on() {
    let simulator = server().await;
    let limits = Limits::none().with_tasks_per_node(1);
    let client = client(&simulator, limits);
    let template = client.node("pve1").qemu(9000);
    let given_up = tokio::time::timeout(
        Duration::from_millis(60),
        template.clone_to(100, CloneOptions::new()).into_future(),
    );
    assert!(given_up.await.is_err());
    template.clone_to(101, CloneOptions::new()).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn tasks_that_are_waited_for_together_share_one_list() {
    let simulator = server().await;
    simulator.with(|world| world.durations_mut().linked_clone = Duration::from_secs(20));
    let client = client(&simulator, Limits::none());
    clone_many(&client, 100..130).await;
    let journal = simulator.journal();
    let asked = |end: &str| {
        journal
            .iter()
            .filter(|entry| entry.path.ends_with(end))
            .count()
    };
    assert!(
        asked("/cluster/tasks") >= 20,
        "it is looked at about every 0.7 s"
    );
    // Each asks for itself at most when it begins and when it has ended.
    assert!(
        (30..=90).contains(&asked("/status")),
        "{}",
        asked("/status")
    );
    let clones = tasks(&simulator, "qmclone");
    let last = clones.iter().map(|(_, end)| *end).max().unwrap();
    let late = simulator.clock().now().duration_since(last).unwrap();
    assert!(late < Duration::from_millis(1500), "{late:?}");
}
