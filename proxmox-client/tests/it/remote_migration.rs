//! Guests that migrate from one cluster to another, both simulated.

use std::time::Duration;

use proxmox_client::property::Nic;
use proxmox_client::simulator::{Clock, Fault, NodeSpec, Power, Simulator, StorageSpec, World};
use proxmox_client::task::Submitted;
use proxmox_client::wire::{Method, Request};
use proxmox_client::{
    Client, Error, Kind, LxcConfig, LxcRemoteMigration, Mapping, QemuConfig, RemoteEndpoint,
    RemoteMigration, Size, Token,
};

const HOST: &str = "192.0.2.20";
const SECRET: &str = "lab-secret";

fn machine() -> QemuConfig {
    QemuConfig::new()
        .with_name("web")
        .with_memory_mib(4096)
        .with("scsi0", "local-lvm:vm-100-disk-0,iothread=1,size=8G")
        .with("unused0", "local-hdd:vm-100-disk-1")
        .with_net(0, Nic::virtio("vmbr0").with_tag(7u16))
}

fn container() -> LxcConfig {
    LxcConfig::new()
        .with_hostname("dns")
        .with("rootfs", "local-lvm:vm-200-disk-0,size=4G")
        .with("mp0", "local:200/vm-200-disk-0.raw,mp=/data,size=1G")
        .with(
            "net0",
            "name=eth0,bridge=vmbr0,hwaddr=BC:24:11:00:00:02,type=veth",
        )
}

/// A cluster whose names of storages and bridges are all its own.
fn other_world() -> World {
    let start = World::lab().now();
    World::new(7, start)
        .with_node(NodeSpec::new("far1", 16, 64 << 30).with_bridge("lan", true))
        .with_storage(StorageSpec::directory("files", "/srv/files", 1 << 40))
        .with_storage(StorageSpec::lvm_thin("tank", 1 << 40))
        .with_token("root@pam!move", SECRET)
}

struct Pair {
    here: Simulator,
    there: Simulator,
    fingerprint: String,
}

impl Pair {
    async fn between(here: World, there: World) -> Self {
        Self::of(Simulator::new(here), Simulator::new(there)).await
    }

    async fn of(here: Simulator, there: Simulator) -> Self {
        here.add_peer(HOST, &there);
        let shown = there.connect().node("far1").certificates().await.unwrap();
        let shown = shown.into_iter().find_map(|it| it.fingerprint);
        Self {
            here,
            there,
            fingerprint: shown.unwrap(),
        }
    }

    async fn usual() -> Self {
        let world = World::lab()
            .with_guest("pve1", 100, &machine())
            .with_container("pve1", 200, &container());
        Self::between(world, other_world()).await
    }

    fn client(&self) -> Client {
        self.here.connect()
    }

    fn endpoint(&self) -> RemoteEndpoint {
        let token = Token::new("root@pam!move", SECRET).unwrap();
        RemoteEndpoint::new(HOST, token).with_fingerprint(self.fingerprint.to_lowercase())
    }

    fn how(&self) -> RemoteMigration {
        RemoteMigration::new(self.endpoint(), Mapping::All("tank".to_owned()))
            .with_bridges(Mapping::each([("vmbr0", "lan")]))
    }

    async fn refused(&self, how: RemoteMigration) -> Error {
        let qemu = self.client().node("pve1").qemu(100);
        qemu.remote_migrate(how).await.unwrap_err()
    }

    /// The log of the failed task.
    async fn told(&self, how: RemoteMigration) -> String {
        let error = self.refused(how).await;
        assert_eq!(error.kind(), Kind::TaskFailed, "{error}");
        let lines = error.task_log().iter();
        lines.map(|line| format!("{}\n", line.text)).collect()
    }

    fn lock_here(&self, vmid: u32) -> Option<String> {
        self.here.with(|world| world.guest(vmid)?.text("lock"))
    }

    /// Nothing of it is left at the other end.
    fn assert_nothing_there(&self) {
        self.there.with(|world| {
            assert_eq!(world.guests().count(), 0);
            assert!(world.volumes("tank").is_empty() && world.volumes("files").is_empty());
        });
    }
}

#[tokio::test(start_paused = true)]
async fn a_machine_that_is_off_arrives_whole_under_another_id() {
    let pair = Pair::usual().await;
    let qemu = pair.client().node("pve1").qemu(100);
    let call = qemu.remote_migrate(pair.how().with_vmid(500));
    let vmid = call
        .await
        .map_err(|e| format!("{e} {:?}", e.task_log()))
        .unwrap();
    assert_eq!(vmid, 500);
    let moved = pair.there.connect().node("far1").qemu(500);
    let config = moved.config().await.unwrap();
    let text = |key: &str| config.text(key).unwrap_or_default();
    assert_eq!(text("name"), "web");
    assert_eq!(text("scsi0"), "tank:vm-500-disk-0,iothread=1,size=8G");
    assert_eq!(text("unused0"), "tank:vm-500-disk-1");
    let net = text("net0");
    assert!(net.contains("bridge=lan") && net.contains("tag=7"), "{net}");
    assert_eq!(config.text("lock"), None);
    let before = qemu.config().await.unwrap();
    assert!(before.text("scsi0").unwrap().starts_with("local-lvm:"));
    // Whoever did not ask for its removal keeps it, locked so that it cannot run twice.
    assert_eq!(pair.lock_here(100).as_deref(), Some("migrate"));
    assert_eq!(qemu.start().await.unwrap_err().kind(), Kind::Locked);
    moved.start().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_machine_that_runs_goes_on_there_and_is_gone_here() {
    let pair = Pair::usual().await;
    let qemu = pair.client().node("pve1").qemu(100);
    qemu.start().await.unwrap();
    let online = pair.how().with_online().with_delete();
    qemu.remote_migrate(online).await.unwrap();
    assert!(!qemu.exists().await.unwrap());
    let left = pair.here.with(|world| world.volumes("local-lvm"));
    assert_eq!(left, ["local-lvm:vm-200-disk-0"]);
    let status = pair
        .there
        .connect()
        .node("far1")
        .qemu(100)
        .status()
        .await
        .unwrap();
    assert!(status.is_running());
    assert_eq!(status.qmp_status.as_deref(), Some("running"));
    let upids = pair.here.with(|world| {
        let own = world
            .tasks()
            .filter(|(upid, ..)| upid.contains(":qmigrate:100:"));
        own.map(|(upid, ..)| upid.to_owned()).collect::<Vec<_>>()
    });
    let task = pair.client().task(upids[0].parse().unwrap());
    let log = task.log().await.unwrap();
    let log: String = log.iter().map(|line| format!("{}\n", line.text)).collect();
    for line in [
        "remote: started tunnel worker 'UPID:far1:",
        "starting migration of VM 100 to node 'far1' (192.0.2.20)",
        "found local disk 'local-lvm:vm-100-disk-0' (attached)",
        "volume 'local-hdd:vm-100-disk-1' is 'tank:vm-100-disk-1' on the target",
        "mapped: net0 from vmbr0 to lan",
        "mirror-scsi0: transferred 4.0 GiB of 8.0 GiB (50.00%)",
        "migration finished successfully",
    ] {
        assert!(log.contains(line), "{line} in\n{log}");
    }
    let ends: Vec<String> = pair.there.with(|world| {
        let all: Vec<String> = world.tasks().map(|(upid, ..)| upid.to_owned()).collect();
        all.iter().filter_map(|upid| world.task_end(upid)).collect()
    });
    assert_eq!(ends, ["OK"]);
}

#[tokio::test(start_paused = true)]
async fn a_container_that_runs_is_shut_down_moved_and_started() {
    let pair = Pair::usual().await;
    let lxc = pair.client().node("pve1").lxc(200);
    lxc.start().await.unwrap();
    let map = Mapping::each([("local-lvm", "tank"), ("local", "files")]);
    let how = || {
        LxcRemoteMigration::new(pair.endpoint(), map.clone())
            .with_bridges(Mapping::All("lan".to_owned()))
    };
    let error = lxc.remote_migrate(how()).await.unwrap_err();
    assert_eq!(error.kind(), Kind::PowerState, "{error}");
    let how = how()
        .with_restart()
        .with_delete()
        .with_limit(Size::mib(100));
    assert_eq!(lxc.remote_migrate(how).await.unwrap(), 200);
    assert!(!lxc.exists().await.unwrap());
    let moved = pair.there.connect().node("far1").lxc(200);
    assert!(moved.status().await.unwrap().is_running());
    let config = moved.config().await.unwrap();
    assert_eq!(config.text("rootfs").unwrap(), "tank:vm-200-disk-0,size=4G");
    let data = config.text("mp0").unwrap();
    assert!(
        data.starts_with("files:200/vm-200-disk-0.raw,mp=/data"),
        "{data}"
    );
    assert!(config.text("net0").unwrap().contains("bridge=lan"));
}

#[tokio::test(start_paused = true)]
async fn both_sides_are_locked_while_it_runs_and_stopping_it_takes_everything_back() {
    let pair = Pair::usual().await;
    let qemu = pair.client().node("pve1").qemu(100);
    let slow = pair.how().with_limit(Size::mib(1));
    let Submitted::Task(task) = qemu.remote_migrate(slow).submit().await.unwrap() else {
        unreachable!("a migration has a task")
    };
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(pair.lock_here(100).as_deref(), Some("migrate"));
    let lock = pair
        .there
        .with(|world| world.guest(100).unwrap().text("lock"));
    assert_eq!(
        lock.as_deref(),
        Some("create"),
        "its configuration comes last"
    );
    assert_eq!(pair.there.with(|world| world.volumes("tank").len()), 1);
    task.cancel().await.unwrap();
    assert_eq!(pair.lock_here(100), None);
    pair.assert_nothing_there();
    qemu.start().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_task_that_is_killed_leaves_both_sides_locked() {
    let pair = Pair::usual().await;
    let qemu = pair.client().node("pve1").qemu(100);
    let slow = || pair.how().with_limit(Size::mib(1));
    qemu.remote_migrate(slow()).submit().await.unwrap();
    tokio::time::sleep(Duration::from_secs(1)).await;
    pair.here.with(World::kill_workers);
    let end = pair.there.with(|world| {
        let upid = world.tasks().next().unwrap().0.to_owned();
        world.task_end(&upid)
    });
    assert_eq!(end.as_deref(), Some("mtunnel exited unexpectedly"));
    let again = qemu.remote_migrate(slow()).await.unwrap_err();
    assert_eq!(again.kind(), Kind::Locked);
    // Somebody unlocks the one and removes the other, then it works.
    let unlock = Request::new(Method::Put, "/nodes/pve1/qemu/100/config", &[])
        .with("delete", "lock")
        .with("skiplock", "1");
    let answer = pair.here.answer_as("root@pam", &unlock).await.unwrap();
    assert_eq!(answer.status(), 200, "{}", answer.reason());
    pair.there
        .with(|world| *world = world.clone().without_guest(100));
    qemu.remote_migrate(pair.how()).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_migration_that_fails_at_the_other_end_is_taken_back() {
    let small = World::new(7, World::lab().now())
        .with_node(NodeSpec::new("far1", 16, 64 << 30).with_bridge("lan", true))
        .with_storage(StorageSpec::lvm_thin("tank", 4 << 30))
        .with_token("root@pam!move", SECRET);
    let world = World::lab().with_guest("pve1", 100, &machine());
    let pair = Pair::between(world, small).await;
    let log = pair.told(pair.how()).await;
    assert!(log.contains("No space left on device"), "{log}");
    assert!(
        log.contains("aborting phase 1 - cleanup resources"),
        "{log}"
    );
    assert_eq!(pair.lock_here(100), None);
    pair.assert_nothing_there();
}

#[tokio::test(start_paused = true)]
async fn the_other_end_may_die_while_memory_is_copied() {
    let pair = Pair::usual().await;
    let qemu = pair.client().node("pve1").qemu(100);
    qemu.start().await.unwrap();
    let slow = pair.how().with_online().with_limit(Size::mib(10));
    let call = qemu.remote_migrate(slow).submit().await.unwrap();
    let Submitted::Task(task) = call else {
        unreachable!("a migration has a task")
    };
    while pair.there.with(|world| {
        let guest = world.guest(100);
        guest.is_none_or(|guest| guest.power() == Power::Off)
    }) {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    pair.there.with(World::kill_workers);
    let error = task.await.unwrap_err();
    assert!(error.message().contains("migration problems"), "{error}");
    // The machine is there twice, but only one of them may run; nobody decides which.
    assert!(qemu.status().await.unwrap().is_running() || pair.lock_here(100).is_some());
}

#[tokio::test(start_paused = true)]
async fn what_the_other_cluster_does_not_take_is_told() {
    let mut there = other_world()
        .with_guest("far1", 300, &QemuConfig::new())
        .with_user("weak@pve", "password")
        .with_token("weak@pve!t", "t-secret");
    there = there.with_role_for("weak@pve", "PVEAuditor", "/");
    let world = World::lab().with_guest("pve1", 100, &machine());
    let pair = Pair::between(world, there).await;
    let tank = || Mapping::All("tank".to_owned());
    let lan = || Mapping::All("lan".to_owned());
    let to = |storages: Mapping, bridges: Mapping| {
        RemoteMigration::new(pair.endpoint(), storages).with_bridges(bridges)
    };
    let weak = RemoteEndpoint::new(HOST, Token::new("weak@pve!t", "t-secret").unwrap())
        .with_fingerprint(&pair.fingerprint);
    for (how, why) in [
        (
            to(Mapping::All("nowhere".to_owned()), lan()),
            "storage 'nowhere' does not exist",
        ),
        // A map of some storages leaves the others as they are called.
        (
            to(Mapping::each([("local-lvm", "tank")]), lan()),
            "storage 'local-hdd' does not exist",
        ),
        (to(tank(), Mapping::Same), "bridge 'vmbr0' does not exist"),
        (
            to(tank(), lan()).with_vmid(300),
            "unable to create empty VM config - VM 300 already exists on node 'far1'",
        ),
        (
            RemoteMigration::new(weak, tank()).with_bridges(lan()),
            "Permission check failed (/vms/100, VM.Allocate)",
        ),
    ] {
        let log = pair.told(how).await;
        assert!(log.contains(why), "{why} in\n{log}");
        assert_eq!(pair.lock_here(100), None, "{why}");
    }
    assert_eq!(pair.there.with(|world| world.guests().count()), 1);
}

#[tokio::test(start_paused = true)]
async fn nothing_begins_without_a_cluster_that_is_trusted() {
    let pair = Pair::usual().await;
    let token = |secret: &str| Token::new("root@pam!move", secret).unwrap();
    let to = |host: &str, secret: &str| RemoteEndpoint::new(host, token(secret));
    let known = &pair.fingerprint;
    let wrong = known.replace(':', "").replace(|_: char| true, "0");
    let wrong: Vec<String> = (0..32).map(|_| wrong[..2].to_owned()).collect();
    for (endpoint, why) in [
        (
            to("192.0.2.99", SECRET).with_fingerprint(known),
            "No route to host",
        ),
        (
            to(HOST, SECRET).with_port(443).with_fingerprint(known),
            "Connection refused",
        ),
        (to(HOST, SECRET), "certificate verify failed"),
        (
            to(HOST, SECRET).with_fingerprint(wrong.join(":")),
            "certificate verify failed",
        ),
        (to(HOST, "wrong-secret").with_fingerprint(known), "401"),
    ] {
        let how = RemoteMigration::new(endpoint, Mapping::All("tank".to_owned()));
        let error = pair.refused(how).await;
        assert!(error.message().contains(why), "{why}: {error}");
        assert!(!format!("{error:?} {error}").contains("secret"));
    }
    assert_eq!(pair.here.with(|world| world.tasks().count()), 0);
    let same = RemoteMigration::new(pair.endpoint(), Mapping::Same);
    let before = pair.here.journal().len();
    assert_eq!(pair.refused(same).await.kind(), Kind::InvalidInput);
    assert_eq!(pair.here.journal().len(), before, "nothing was sent");
}

#[tokio::test(start_paused = true)]
async fn the_token_of_the_other_cluster_is_told_to_nobody() {
    let pair = Pair::usual().await;
    let qemu = pair.client().node("pve1").qemu(100);
    let call = qemu.remote_migrate(pair.how().with_limit(Size::mib(10)).with_delete());
    assert!(!format!("{call:?}").contains(SECRET));
    call.await.unwrap();
    for simulator in [&pair.here, &pair.there] {
        assert!(!format!("{:?}", simulator.journal()).contains(SECRET));
    }
    let journal = pair.here.journal();
    let mut sent = journal
        .iter()
        .filter(|entry| entry.path.ends_with("/remote_migrate"));
    let names = [
        "target-endpoint",
        "target-vmid",
        "target-bridge",
        "target-storage",
        "delete",
        "bwlimit",
    ];
    assert_eq!(sent.next().unwrap().parameters, names);
}

#[tokio::test(start_paused = true)]
async fn a_machine_that_is_bound_to_its_cluster_stays() {
    let bound = machine().with("hostpci0", "0000:01:00.0");
    let disc = machine().with("ide2", "local:iso/tools.iso,media=cdrom");
    for (config, why) in [
        (bound, "can't migrate VM which uses local devices: hostpci0"),
        (
            disc,
            "can't migrate local disk 'local:iso/tools.iso': local cdrom image",
        ),
    ] {
        let world = World::lab()
            .with_volume("local:iso/tools.iso", 1 << 20)
            .with_guest("pve1", 100, &config);
        let pair = Pair::between(world, other_world()).await;
        let log = pair.told(pair.how()).await;
        assert!(log.contains(why), "{log}");
        assert_eq!(pair.lock_here(100), None);
        pair.assert_nothing_there();
    }
}

#[tokio::test(start_paused = true)]
async fn running_machines_need_the_online_flag_and_others_do_not_mind_it() {
    let pair = Pair::usual().await;
    let qemu = pair.client().node("pve1").qemu(100);
    qemu.remote_migrate(pair.how().with_online().with_delete())
        .await
        .unwrap();
    let there = pair.there.connect().node("far1").qemu(100);
    assert!(!there.status().await.unwrap().is_running());
    let pair = Pair::usual().await;
    let qemu = pair.client().node("pve1").qemu(100);
    qemu.start().await.unwrap();
    let error = pair.refused(pair.how()).await;
    assert_eq!(error.kind(), Kind::PowerState, "{error}");
}

#[tokio::test(start_paused = true)]
async fn the_modelled_time_of_a_copy_does_not_depend_on_who_looks() {
    let world = World::lab().with_guest("pve1", 100, &machine());
    let clock = Clock::stepped(world.now());
    let here = Simulator::with_clock(world, clock.clone());
    let pair = Pair::of(here, Simulator::new(other_world())).await;
    let qemu = pair.client().node("pve1").qemu(100);
    let Submitted::Task(task) = qemu.remote_migrate(pair.how()).submit().await.unwrap() else {
        unreachable!("a migration has a task")
    };
    assert_eq!(task.status().await.unwrap().status, "running");
    clock.advance(Duration::from_secs(3600));
    assert_eq!(
        task.status().await.unwrap().exit_status.as_deref(),
        Some("OK")
    );
    let (_, began, ended) = pair.here.with(|world| {
        let (upid, began, ended) = world.tasks().next().unwrap();
        (upid.to_owned(), began, ended.unwrap())
    });
    let took = ended.duration_since(began).unwrap();
    assert!(took < Duration::from_secs(120), "{took:?}");
}

#[tokio::test(start_paused = true)]
async fn faults_of_the_other_cluster_reach_the_caller() {
    let pair = Pair::usual().await;
    pair.there
        .on_request(|request| match request.path.as_str() {
            "/cluster/status" => Fault::Refuse {
                status: 503,
                reason: "Service Unavailable".to_owned(),
            },
            _ => Fault::None,
        });
    let error = pair.refused(pair.how()).await;
    assert!(
        error.message().contains("503 Service Unavailable"),
        "{error}"
    );
    pair.there.clear_faults();
    pair.there
        .on_request(|request| match request.path.ends_with("/mtunnel") {
            true => Fault::ResetBefore,
            false => Fault::None,
        });
    let log = pair.told(pair.how()).await;
    assert!(log.contains("Server closed connection"), "{log}");
}

#[tokio::test(start_paused = true)]
async fn a_tunnel_that_nobody_connects_to_gives_the_id_back() {
    let there = Simulator::new(other_world());
    let open = Request::new(Method::Post, "/nodes/far1/qemu/100/mtunnel", &[]);
    let token = format!("root@pam!move={SECRET}");
    let answer = there.answer(&token, &open).await.unwrap();
    assert_eq!(answer.status(), 200);
    assert!(there.with(|world| world.guest(100).is_some()));
    tokio::time::sleep(Duration::from_secs(301)).await;
    assert!(there.with(|world| world.guest(100).is_none()));
}

#[cfg(feature = "blocking")]
#[test]
fn programs_without_a_runtime_migrate_too() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let pair = runtime.block_on(Pair::usual());
    let client = proxmox_client::blocking::Client::new(pair.client()).unwrap();
    let qemu = client.node("pve1").qemu(100);
    assert_eq!(
        qemu.remote_migrate(pair.how().with_vmid(500))
            .call()
            .unwrap(),
        500
    );
}
