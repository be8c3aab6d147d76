//! Changes that are planned before anything is sent.

use proxmox_client::simulator::{Simulator, World};
use proxmox_client::{ChangeSet, KeyOutcome, Kind, Qemu, QemuConfig, Size};

use crate::laboratory::writes;

async fn machine() -> (Simulator, Qemu) {
    let simulator = Simulator::new(World::lab());
    let config = QemuConfig::new()
        .with_name("web")
        .with_cores(2)
        .with_memory_mib(2048)
        .with("net0", "virtio,bridge=vmbr0,firewall=1")
        .with("scsi0", "local-lvm:4")
        .with("tags", "a");
    let node = simulator.connect().node("pve1");
    let qemu = node.create_qemu(100, config).await.unwrap().qemu;
    (simulator, qemu)
}

#[tokio::test(start_paused = true)]
async fn a_plan_sends_nothing_and_says_what_apply_then_does() {
    let (simulator, qemu) = machine().await;
    qemu.start().await.unwrap();
    let before = writes(&simulator);
    let wanted = QemuConfig::new()
        .with_name("www")
        .with_cores(4)
        .with("net0", "virtio,bridge=vmbr1,firewall=1");
    let plan = qemu.plan(&wanted).await.unwrap();
    assert_eq!(
        plan.to_string(),
        "~ cores: 2 -> 4 (at the next start)\n~ name: web -> www\n~ net0: bridge=vmbr0 -> vmbr1 (at once or at the next start)"
    );
    assert_eq!(writes(&simulator), before);
    let results = qemu.apply_plan(&plan).await.unwrap();
    let outcomes: Vec<(&str, &KeyOutcome)> = results
        .iter()
        .map(|it| (it.key.as_str(), &it.outcome))
        .collect();
    let expected = [
        ("cores", &KeyOutcome::Pending(None)),
        ("name", &KeyOutcome::Live),
        ("net0", &KeyOutcome::Live),
    ];
    assert_eq!(outcomes, expected);
    let after = qemu.plan(&wanted).await.unwrap();
    assert!(after.is_empty(), "{after}");
    assert!(qemu.apply_plan(&after).await.unwrap().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_plan_that_someone_else_overtook_is_refused() {
    let (simulator, qemu) = machine().await;
    let plan = qemu.plan(&QemuConfig::new().with_cores(4)).await.unwrap();
    simulator.with(|world| world.set_config(100, "cores", "8"));
    let error = qemu.apply_plan(&plan).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Conflict);
    assert_eq!(qemu.config().await.unwrap().cores(), Some(8));
}

#[tokio::test(start_paused = true)]
async fn a_refused_key_is_an_outcome_and_names_its_reason() {
    let (_simulator, qemu) = machine().await;
    let wanted = QemuConfig::new()
        .with_name("www")
        .with("net0", "virtio,bridge=vmbr0,macaddr=01:00:00:00:00:00");
    let plan = qemu.plan(&wanted).await.unwrap();
    let results = qemu.apply_plan(&plan).await.unwrap();
    assert!(
        matches!(&results[0].outcome, KeyOutcome::Refused(why) if why.contains("net0 refused")),
        "{results:?}"
    );
    assert!(
        matches!(&results[1].outcome, KeyOutcome::Refused(why) if why.contains("unicast MAC")),
        "{results:?}"
    );
    assert_eq!(qemu.config().await.unwrap().name().as_deref(), Some("web"));
}

#[tokio::test(start_paused = true)]
async fn a_device_that_the_guest_does_not_let_go_of_waits_with_the_servers_reason() {
    let (simulator, qemu) = machine().await;
    simulator.with(|world| world.durations_mut().guests_listen = false);
    qemu.start().await.unwrap();
    let changes = ChangeSet::new()
        .config(&qemu, QemuConfig::new().with_name("www"))
        .without(&qemu, &["net0", "scsi0"]);
    let results = changes.plan().await.unwrap().apply().await;
    let keys = results[0].result.as_ref().unwrap();
    let outcome = |key: &str| &keys.iter().find(|it| it.key == key).unwrap().outcome;
    assert_eq!(*outcome("name"), KeyOutcome::Live);
    for key in ["net0", "scsi0"] {
        assert!(
            matches!(outcome(key), KeyOutcome::Pending(Some(why)) if why.contains("still busy in guest?")),
            "{keys:?}"
        );
    }
    assert!(changes.plan().await.unwrap().is_empty(), "it is on its way");
    qemu.stop().await.unwrap();
    let config = qemu.config().await.unwrap();
    assert_eq!(
        config.text("unused0").as_deref(),
        Some("local-lvm:vm-100-disk-0")
    );
}

#[tokio::test(start_paused = true)]
async fn an_option_changes_without_a_new_disk_or_a_new_address() {
    let (simulator, qemu) = machine().await;
    let before = qemu.config().await.unwrap();
    let mac = before.net(0).unwrap().unwrap().mac();
    let wanted = QemuConfig::new()
        .with("scsi0", "local-lvm:4,iothread=1,discard=on")
        .with("net0", "virtio,bridge=vmbr0,firewall=1,tag=7");
    qemu.ensure_config(&wanted).await.unwrap();
    let after = qemu.config().await.unwrap();
    assert_eq!(after.net(0).unwrap().unwrap().mac(), mac);
    assert!(after.get("unused0").is_none());
    assert_eq!(simulator.with(|world| world.volumes("local-lvm").len()), 1);
    assert_eq!(
        after.drive("scsi0").unwrap().unwrap().iothread(),
        Some(true)
    );
    let again = qemu.plan(&wanted).await.unwrap();
    assert!(again.is_empty(), "{again}");
}

#[tokio::test(start_paused = true)]
async fn a_set_of_changes_is_planned_together_and_converges() {
    let (simulator, qemu) = machine().await;
    let node = simulator.connect().node("pve1");
    let other = node.create_qemu(101, QemuConfig::new()).await.unwrap().qemu;
    let changes = ChangeSet::new()
        .config(&qemu, QemuConfig::new().with_cores(4))
        .tags(&qemu, &["b"])
        .config(&other, QemuConfig::new().with_name("db"))
        .without(&qemu, &["name", "vga"])
        .disk_size(&qemu, "scsi0", Size::gib(8));
    let before = writes(&simulator);
    let plan = changes.plan().await.unwrap();
    assert_eq!(writes(&simulator), before);
    assert_eq!(
        plan.to_string(),
        "VM 100 on pve1\n  ~ cores: 2 -> 4\n  - name: web\n  ~ tags: a -> a;b\n  ~ scsi0: size=4G -> 8G\n\
         VM 101 on pve1\n  + name: db"
    );
    let results = plan.apply().await;
    assert_eq!(results.len(), 2);
    let first = results[0].result.as_ref().unwrap();
    let keys: Vec<&str> = first.iter().map(|it| it.key.as_str()).collect();
    assert_eq!(keys, ["cores", "name", "tags", "scsi0"]);
    assert!(changes.plan().await.unwrap().is_empty());
    assert!(
        plan.apply().await[0].result.is_err(),
        "it is of an older configuration"
    );
    let missing = ChangeSet::new()
        .disk_size(&qemu, "scsi5", Size::gib(8))
        .plan()
        .await;
    assert_eq!(missing.unwrap_err().kind(), Kind::NotFound);
}

#[tokio::test(start_paused = true)]
async fn a_machine_that_fails_does_not_keep_the_others_back() {
    let (simulator, qemu) = machine().await;
    let node = simulator.connect().node("pve1");
    let other = node.create_qemu(101, QemuConfig::new()).await.unwrap().qemu;
    let cores = || QemuConfig::new().with_cores(4);
    let changes = ChangeSet::new()
        .config(&qemu, cores())
        .config(&other, cores());
    let plan = changes.plan().await.unwrap();
    simulator.with(|world| world.set_config(100, "lock", "backup"));
    let results = plan.apply().await;
    assert!(results[0].result.is_err());
    assert_eq!(results[1].qemu.vmid(), 101);
    assert_eq!(
        results[1].result.as_ref().unwrap()[0].outcome,
        KeyOutcome::Live
    );
}
