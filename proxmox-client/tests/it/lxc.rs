//! The life of containers, against the simulator in process.

use std::time::Duration;

use proptest::prelude::*;
use proxmox_client::property::{ContainerNic, Device, Features, MountPoint, Startup};
use proxmox_client::simulator::{Fault, NodeSpec, Power, Simulator, Species, StorageSpec, World};
use proxmox_client::{
    Client, CloneOptions, ConfigUpdate, EnsuredLxc, Grown, IpRule, Kind, Lxc, LxcConfig,
    LxcMigrateOptions, LxcPatch, Mark, NewLxc, NewRule, QemuConfig, Removed, ResourceFilter,
    Shutdown, Size, Started, Stopped, Volumes,
};

use crate::laboratory::connected;

const TEMPLATE: &str = "local:vztmpl/debian-13-standard_13.1-2_amd64.tar.zst";

fn world() -> World {
    World::lab().with_volume(TEMPLATE, 130 << 20)
}

fn lab() -> (Simulator, Client) {
    let simulator = Simulator::new(world());
    let client = simulator.connect();
    (simulator, client)
}

fn dns() -> LxcConfig {
    LxcConfig::new()
        .with_hostname("dns")
        .with_cores(1)
        .with_cpu_limit(0.5)
        .with_memory_mib(256)
        .with_swap_mib(0)
        .with_unprivileged(true)
        .with_features(&Features::default().with_nesting(true))
        .with_rootfs(&MountPoint::allocate("local-lvm", 4).with_mount_options("noatime"))
        .with_mount_point(
            0,
            &MountPoint::allocate("local-lvm", 8)
                .with_path("/data")
                .with_backup(true),
        )
        .with_net(
            0,
            &ContainerNic::new("eth0", "vmbr0")
                .with_ip("192.0.2.53/24")
                .with_gateway("192.0.2.1")
                .with_tag(20u16),
        )
        .with_name_servers(["192.0.2.1", "192.0.2.2"])
        .with_search_domain("lab.example")
        .with_startup(&Startup::default().with_order(1u32))
        .with_on_boot(true)
        .with_tags(["dns", "core"])
        .with_description("managed by a test")
}

async fn made(client: &Client) -> Lxc {
    let new = NewLxc::new(TEMPLATE, dns());
    client.node("pve1").create_lxc(200, new).await.unwrap().lxc
}

#[tokio::test(start_paused = true)]
async fn a_container_is_made_grown_started_stopped_and_removed() {
    let (simulator, client) = lab();
    let new = NewLxc::new(TEMPLATE, dns());
    let created = client.node("pve1").create_lxc(200, new).await.unwrap();
    assert_eq!(created.upid.unwrap().kind(), "vzcreate");
    let ct = created.lxc;
    let config = ct.config().await.unwrap();
    assert_eq!(
        config.text("rootfs").as_deref(),
        Some("local-lvm:vm-200-disk-0,mountoptions=noatime,size=4G")
    );
    assert_eq!(
        config.text("mp0").as_deref(),
        Some("local-lvm:vm-200-disk-1,mp=/data,backup=1,size=8G")
    );
    assert_eq!(config.disk_total(), Size::gib(12));
    assert_eq!(config.os_type().as_deref(), Some("debian"));
    assert_eq!(config.arch().as_deref(), Some("amd64"));
    assert_eq!(config.get("memory"), Some(&256.into()));
    assert_eq!(config.description().as_deref(), Some("managed by a test\n"));
    let card = config.net(0).unwrap().unwrap();
    assert!(card.mac().unwrap().starts_with("BC:24:11:"), "{card}");
    assert!(
        card.to_string()
            .starts_with("name=eth0,bridge=vmbr0,gw=192.0.2.1,hwaddr=")
    );
    assert_eq!(
        ct.grow_volume("rootfs", Size::gib(6)).await.unwrap(),
        Grown::To(Size::gib(6))
    );
    assert_eq!(
        ct.grow_volume("rootfs", Size::gib(5)).await.unwrap(),
        Grown::Unchanged(Size::gib(6))
    );
    let missing = ct.grow_volume("mp1", Size::gib(6)).await.unwrap_err();
    assert!(missing.is_not_found());
    assert_eq!(ct.start().await.unwrap(), Started::Started);
    assert_eq!(ct.start().await.unwrap(), Started::AlreadyRunning);
    assert!(ct.status().await.unwrap().is_running());
    assert_eq!(ct.delete().await.unwrap_err().kind(), Kind::PowerState);
    ct.reboot(None).await.unwrap();
    assert_eq!(
        ct.shutdown(Shutdown::new()).await.unwrap(),
        Stopped::Stopped
    );
    assert_eq!(ct.stop().await.unwrap(), Stopped::AlreadyStopped);
    assert_eq!(ct.delete().await.unwrap(), Removed::Removed);
    assert_eq!(ct.delete().await.unwrap(), Removed::Absent);
    assert!(!ct.exists().await.unwrap());
    assert!(
        simulator
            .with(|world| world.volumes("local-lvm"))
            .is_empty()
    );
}

#[tokio::test(start_paused = true)]
async fn a_second_apply_of_the_same_wish_changes_nothing() {
    let (simulator, client) = lab();
    let ct = made(&client).await;
    simulator.clear_journal();
    assert_eq!(
        ct.ensure_config(&dns()).await.unwrap(),
        ConfigUpdate::Unchanged
    );
    assert!(
        simulator
            .journal()
            .iter()
            .all(|entry| entry.method == "GET")
    );
}

#[tokio::test(start_paused = true)]
async fn what_is_not_said_is_what_the_server_takes() {
    let (_simulator, client) = lab();
    let new = NewLxc::new(TEMPLATE, LxcConfig::new()).with_storage("local-lvm");
    let ct = client.node("pve1").create_lxc(200, new).await.unwrap().lxc;
    let config = ct.config().await.unwrap();
    assert_eq!(config.hostname().as_deref(), Some("CT200"));
    assert_eq!(
        (config.memory_mib(), config.swap_mib()),
        (Some(512), Some(512))
    );
    assert!(config.unprivileged());
    assert_eq!(config.rootfs().unwrap().unwrap().size(), Some(Size::gib(4)));
    // Without `cores` it sees all processors of its node.
    assert_eq!(ct.status().await.unwrap().cpus, Some(24.0));
}

#[tokio::test(start_paused = true)]
async fn a_change_of_a_running_container_says_what_waits_for_the_next_start() {
    let (_simulator, client) = lab();
    let ct = made(&client).await;
    ct.start().await.unwrap();
    let read = ct.config().await.unwrap();
    let wanted = LxcConfig::new()
        .with_memory_mib(512)
        .with_terminals(4)
        .with_mount_point(1, &MountPoint::allocate("local-lvm", 1).with_path("/new"))
        .with_tags(["core", "dns", "ready"]);
    let update = ct.apply(&read, &read.patch_to(&wanted)).await.unwrap();
    let ConfigUpdate::Updated { live, pending } = update else {
        panic!("{update:?}");
    };
    assert_eq!(live, ["memory", "mp1", "tags"]);
    assert_eq!(pending, ["tty"]);
    assert_eq!(ct.current_config().await.unwrap().text("tty"), None);
    assert_eq!(ct.config().await.unwrap().text("tty").as_deref(), Some("4"));
    let patch = LxcPatch::new().set("onboot", 0);
    let stale = ct.apply(&read, &patch).await.unwrap_err();
    assert_eq!(stale.kind(), Kind::Conflict);
    ct.revert(&["tty"]).await.unwrap();
    assert_eq!(ct.config().await.unwrap().text("tty"), None);
}

#[tokio::test(start_paused = true)]
async fn a_mount_point_that_is_taken_off_while_it_runs_goes_at_the_next_start() {
    let (_simulator, client) = lab();
    let ct = made(&client).await;
    ct.start().await.unwrap();
    let update = ct.detach_volume("mp0").await.unwrap();
    let waits = vec!["mp0".to_owned()];
    assert_eq!(
        update,
        ConfigUpdate::Updated {
            live: vec![],
            pending: waits
        }
    );
    let entries = ct.pending().await.unwrap();
    let entry = entries.iter().find(|entry| entry.key == "mp0").unwrap();
    assert_eq!(entry.delete, Some(1));
    // Being off is not enough: what waits for a container's start waits until then.
    ct.stop().await.unwrap();
    assert!(ct.current_config().await.unwrap().mount_point(0).is_some());
    ct.start().await.unwrap();
    let config = ct.config().await.unwrap();
    assert!(config.mount_point(0).is_none());
    assert_eq!(
        config.text("unused0").as_deref(),
        Some("local-lvm:vm-200-disk-1")
    );
    ct.destroy_unused("unused0").await.unwrap();
    assert_eq!(ct.config().await.unwrap().text("unused0"), None);
    let again = ct.destroy_unused("unused0").await.unwrap_err();
    assert!(again.is_not_found());
    let wrong = ct.destroy_unused("rootfs").await.unwrap_err();
    assert_eq!(wrong.kind(), Kind::InvalidInput);
}

#[tokio::test(start_paused = true)]
async fn machines_and_containers_share_one_space_of_ids() {
    let (simulator, client) = lab();
    let node = client.node("pve1");
    made(&client).await;
    let machine = node.create_qemu(200, QemuConfig::new()).await.unwrap_err();
    assert!(machine.is_already_exists());
    assert_eq!(
        machine.message(),
        "unable to create VM 200 - CT 200 already exists on node 'pve1'"
    );
    node.create_qemu(201, QemuConfig::new()).await.unwrap();
    let error = node.create_lxc(201, NewLxc::new(TEMPLATE, dns())).await;
    let error = error.unwrap_err();
    assert!(error.is_already_exists());
    assert_eq!(
        error.to_string(),
        "creating container 201 on pve1: VM 201 already exists on node 'pve1'"
    );
    // A handle of the wrong kind finds nothing.
    assert!(!node.qemu(200).exists().await.unwrap());
    assert!(!node.lxc(201).exists().await.unwrap());
    let ids = client.vmid_pool(200..=210).unwrap();
    let small = || LxcConfig::new().with_rootfs(&MountPoint::allocate("local-lvm", 1));
    let twins = futures::future::join(
        ids.create(|vmid| node.create_lxc(vmid, NewLxc::new(TEMPLATE, small()))),
        ids.create(|vmid| node.create_lxc(vmid, NewLxc::new(TEMPLATE, small()))),
    )
    .await;
    let mut twins = [twins.0.unwrap().lxc.vmid(), twins.1.unwrap().lxc.vmid()];
    twins.sort_unstable();
    assert_eq!(twins, [202, 203]);
    let kinds: Vec<Species> = simulator.with(|world| {
        world
            .guests()
            .map(proxmox_client::simulator::Guest::species)
            .collect()
    });
    let container = Species::Container;
    assert_eq!(kinds, [container, Species::Machine, container, container]);
    let all = client.resources(Some(ResourceFilter::Vm)).await.unwrap();
    let ids: Vec<&str> = all.iter().map(|resource| resource.id.as_str()).collect();
    assert_eq!(ids, ["lxc/200", "qemu/201", "lxc/202", "lxc/203"]);
    assert_eq!(node.lxcs().await.unwrap().len(), 3);
    assert_eq!(node.qemus().await.unwrap().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_creation_that_fails_leaves_nothing_behind() {
    let (simulator, client) = lab();
    let node = client.node("pve1");
    let new = NewLxc::new("local:vztmpl/none.tar.zst", dns());
    let error = node.create_lxc(200, new).await.unwrap_err();
    assert!(error.is_not_found(), "{error}");
    assert_eq!(
        error.message(),
        "unable to create CT 200 - volume 'local:vztmpl/none.tar.zst' does not exist"
    );
    assert_eq!(simulator.with(|world| world.guests().count()), 0);
    assert!(
        simulator
            .with(|world| world.volumes("local-lvm"))
            .is_empty()
    );
}

#[tokio::test(start_paused = true)]
async fn what_only_root_may_do_is_told_apart() {
    let (_simulator, client) = lab();
    let node = client.node("pve1");
    let features = Features::default().with_nesting(true);
    let privileged = dns().with_unprivileged(false).with_features(&features);
    let keyctl = dns().with_features(&features.with_keyctl(true));
    let bind = dns().with_mount_point(1, &MountPoint::bind("/srv").with_path("/srv"));
    let device = dns().with_device(0, &Device::new("/dev/ttyUSB0").with_mode("0660"));
    for config in [privileged, keyctl, bind, device] {
        let error = node.create_lxc(200, NewLxc::new(TEMPLATE, config)).await;
        assert_eq!(error.unwrap_err().kind(), Kind::RootOnly);
    }
    let nameless = LxcConfig::new().with("net0", "bridge=vmbr0");
    let error = node.create_lxc(200, NewLxc::new(TEMPLATE, nameless)).await;
    let error = error.unwrap_err();
    assert_eq!(error.kind(), Kind::Parameter);
    assert!(error.parameters()["net0"].contains("net0.name: property is missing"));
}

#[tokio::test(start_paused = true)]
async fn snapshots_keep_what_was_and_give_it_back() {
    let (_simulator, client) = lab();
    let ct = made(&client).await;
    ct.snapshot("clean", "before").await.unwrap();
    let twice = ct.snapshot("clean", "").await.unwrap_err();
    assert!(twice.is_already_exists());
    ct.ensure_tags(&["broken"]).await.unwrap();
    ct.snapshot("later", "").await.unwrap();
    ct.describe_snapshot("clean", "as it was").await.unwrap();
    let list = ct.snapshots().await.unwrap();
    let names: Vec<_> = list
        .iter()
        .map(|one| (one.name.as_str(), one.parent.as_deref()))
        .collect();
    assert_eq!(
        names,
        [
            ("clean", None),
            ("later", Some("clean")),
            ("current", Some("later"))
        ]
    );
    assert_eq!(list[0].description.as_deref(), Some("as it was\n"));
    let kept = ct.snapshot_config("clean").await.unwrap();
    assert_eq!(kept.tags(), ["core", "dns"]);
    ct.start().await.unwrap();
    ct.rollback("clean").await.unwrap();
    assert!(!ct.status().await.unwrap().is_running());
    assert_eq!(ct.config().await.unwrap().tags(), ["core", "dns"]);
    ct.rollback_and_start("later").await.unwrap();
    assert!(ct.status().await.unwrap().is_running());
    ct.delete_snapshot("clean").await.unwrap();
    ct.delete_snapshot("later").await.unwrap();
    let gone = ct.snapshot_config("clean").await.unwrap_err();
    assert!(gone.is_not_found());
    let gone = ct.rollback("clean").await.unwrap_err();
    assert!(gone.is_not_found());
}

#[tokio::test(start_paused = true)]
async fn a_raw_file_cannot_be_snapshotted() {
    let (simulator, client) = lab();
    let config = LxcConfig::new().with_rootfs(&MountPoint::allocate("local", 1));
    let new = NewLxc::new(TEMPLATE, config);
    let ct = client.node("pve1").create_lxc(200, new).await.unwrap().lxc;
    let error = ct.snapshot("clean", "").await.unwrap_err();
    assert_eq!(error.message(), "snapshot feature is not available");
    let lock = simulator.with(|world| world.guest(200).unwrap().text("lock"));
    assert_eq!(lock, None);
}

#[tokio::test(start_paused = true)]
async fn a_template_is_made_and_clones_are_based_on_it() {
    let (simulator, client) = lab();
    let ct = made(&client).await;
    ct.make_template().await.unwrap();
    let config = ct.config().await.unwrap();
    assert!(config.is_template());
    assert_eq!(
        config.rootfs().unwrap().unwrap().volume().as_deref(),
        Some("local-lvm:base-200-disk-0")
    );
    assert_eq!(
        ct.make_template().await.unwrap_err().kind(),
        Kind::PowerState
    );
    assert_eq!(ct.start().await.unwrap_err().kind(), Kind::PowerState);
    let options = CloneOptions::new()
        .with_name("dns-2")
        .with_description("a twin");
    let clone = ct.clone_to(201, options).await.unwrap();
    assert_eq!(clone.upid.unwrap().kind(), "vzclone");
    let twin = clone.lxc.config().await.unwrap();
    assert_eq!(twin.hostname().as_deref(), Some("dns-2"));
    assert_eq!(twin.description().as_deref(), Some("a twin\n"));
    assert!(!twin.is_template());
    assert_eq!(twin.lock(), None);
    assert_eq!(ct.config().await.unwrap().lock(), None);
    assert_eq!(
        twin.rootfs().unwrap().unwrap().volume().as_deref(),
        Some("local-lvm:base-200-disk-0/vm-201-disk-0")
    );
    let mac = |config: &LxcConfig| config.net(0).unwrap().unwrap().mac();
    assert_ne!(mac(&twin), mac(&config));
    assert_eq!(ct.delete().await.unwrap_err().kind(), Kind::InUse);
    let full = CloneOptions::new().with_full(true).with_storage("local");
    let copy = ct.clone_to(202, full).await.unwrap().lxc;
    let copy = copy.config().await.unwrap();
    assert_eq!(copy.hostname().as_deref(), Some("dns"));
    assert_eq!(
        copy.rootfs().unwrap().unwrap().volume().as_deref(),
        Some("local:202/vm-202-disk-0.raw")
    );
    let taken = ct.clone_to(201, CloneOptions::new()).await.unwrap_err();
    assert!(taken.is_already_exists());
    assert_eq!(simulator.with(|world| world.guests().count()), 3);
}

#[tokio::test(start_paused = true)]
async fn a_container_that_runs_is_cloned_from_a_snapshot_only() {
    let (_simulator, client) = lab();
    let ct = made(&client).await;
    ct.snapshot("clean", "").await.unwrap();
    ct.start().await.unwrap();
    let error = ct.clone_to(201, CloneOptions::new()).await.unwrap_err();
    assert_eq!(error.kind(), Kind::PowerState);
    assert!(!client.node("pve1").lxc(201).exists().await.unwrap());
    let from = CloneOptions::new().with_snapshot("clean");
    let twin = ct.clone_to(201, from).await.unwrap().lxc;
    assert!(!twin.status().await.unwrap().is_running());
    let linked = CloneOptions::new().with_full(false);
    ct.stop().await.unwrap();
    let error = ct.clone_to(202, linked).await.unwrap_err();
    assert_eq!(
        error.message(),
        "Linked clone feature for 'local-lvm:vm-200-disk-0' is not available"
    );
}

#[tokio::test(start_paused = true)]
async fn a_clone_that_fails_gives_its_source_free() {
    let (simulator, client) = lab();
    let ct = made(&client).await;
    simulator.on_request(|request| match request.path.ends_with("/clone") {
        true => Fault::TaskFails("clone failed: no space left".to_owned()),
        false => Fault::None,
    });
    let error = ct.clone_to(201, CloneOptions::new()).await.unwrap_err();
    assert_eq!(error.message(), "clone failed: no space left");
    simulator.clear_faults();
    assert_eq!(simulator.with(|world| world.guests().count()), 1);
    assert_eq!(ct.config().await.unwrap().lock(), None);
    ct.start().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_clone_locks_both_while_it_copies() {
    let (simulator, client) = lab();
    let ct = made(&client).await;
    let copying = ct
        .clone_to(201, CloneOptions::new())
        .submit()
        .await
        .unwrap();
    let lock = |vmid| simulator.with(|world| world.guest(vmid).unwrap().text("lock"));
    assert_eq!(lock(200).as_deref(), Some("disk"));
    assert_eq!(lock(201).as_deref(), Some("create"));
    let error = ct.start().await.unwrap_err();
    assert_eq!(error.kind(), Kind::Locked);
    assert_eq!(error.message(), "CT is locked (disk)");
    let proxmox_client::task::Submitted::Task(task) = copying else {
        panic!("a clone is a task");
    };
    task.await.unwrap();
    assert_eq!((lock(200), lock(201)), (None, None));
}

#[tokio::test(start_paused = true)]
async fn volumes_move_to_other_storages_and_to_other_containers() {
    let (simulator, client) = lab();
    let ct = made(&client).await;
    ct.move_volume("mp0", "local-hdd", Volumes::Keep, None)
        .await
        .unwrap();
    let config = ct.config().await.unwrap();
    assert_eq!(
        config.text("mp0").as_deref(),
        Some("local-hdd:vm-200-disk-0,mp=/data,backup=1,size=8G")
    );
    assert_eq!(
        config.text("unused0").as_deref(),
        Some("local-lvm:vm-200-disk-1")
    );
    assert_eq!(config.lock(), None);
    ct.move_volume("rootfs", "local", Volumes::Destroy, None)
        .await
        .unwrap();
    let config = ct.config().await.unwrap();
    assert_eq!(config.rootfs().unwrap().unwrap().storage(), Some("local"));
    assert!(
        simulator
            .with(|world| world.volumes("local-lvm"))
            .iter()
            .all(|volume| !volume.ends_with("vm-200-disk-0"))
    );
    let other = ct.clone_to(201, CloneOptions::new()).await.unwrap().lxc;
    ct.give_volume("unused0", 201, "unused3").await.unwrap();
    let given = other.config().await.unwrap();
    assert_eq!(
        given.text("unused3").as_deref(),
        Some("local-lvm:vm-201-disk-0")
    );
    assert_eq!(ct.config().await.unwrap().text("unused0"), None);
    let taken = ct.give_volume("mp0", 201, "mp0").await.unwrap_err();
    assert!(taken.is_already_exists(), "{taken}");
    let root = ct.give_volume("rootfs", 201, "mp5").await.unwrap_err();
    assert_eq!(root.message(), "Cannot move to/from 'rootfs'");
    ct.start().await.unwrap();
    let error = ct
        .move_volume("rootfs", "local-hdd", Volumes::Destroy, None)
        .await;
    assert_eq!(error.unwrap_err().kind(), Kind::PowerState);
}

#[tokio::test(start_paused = true)]
async fn a_container_moves_to_another_node_and_runs_there_again() {
    let two = world().with_node(NodeSpec::new("pve2", 8, 32 << 30).with_bridge("vmbr0", true));
    let simulator = Simulator::new(two);
    let client = simulator.connect();
    let ct = made(&client).await;
    let there = ct.migrate("pve2", LxcMigrateOptions::new()).await.unwrap();
    assert_eq!(there.node(), "pve2");
    assert!(!ct.exists().await.unwrap());
    assert_eq!(there.config().await.unwrap().lock(), None);
    there.start().await.unwrap();
    let refused = there.migrate("pve1", LxcMigrateOptions::new()).await;
    assert_eq!(refused.unwrap_err().kind(), Kind::PowerState);
    let restart = LxcMigrateOptions::new().with_restart();
    let back = there.migrate("pve1", restart.clone()).await.unwrap();
    assert!(back.status().await.unwrap().is_running());
    simulator.with(|world| world.durations_mut().guests_listen = false);
    let patient = restart.with_patience(Duration::from_secs(5));
    let error = back.migrate("pve2", patient).await.unwrap_err();
    assert_eq!(error.message(), "migration aborted");
    assert!(back.status().await.unwrap().is_running());
    assert_eq!(back.config().await.unwrap().lock(), None);
    let same = back.migrate("pve1", LxcMigrateOptions::new()).await;
    assert_eq!(
        same.unwrap_err().parameters()["target"],
        "target is local node."
    );
}

#[tokio::test(start_paused = true)]
async fn volumes_of_a_container_that_migrates_go_where_they_are_sent() {
    let two = world().with_node(NodeSpec::new("pve2", 8, 32 << 30).with_bridge("vmbr0", true));
    let (simulator, client) = connected(two);
    let ct = made(&client).await;
    ct.start().await.unwrap();
    let map = |map: &str| LxcMigrateOptions::new().with_restart().with_storage(map);
    for (wrong, why) in [
        ("nope", "storage 'nope' does not exist"),
        ("iso", "storage 'iso' does not support CT rootdirs"),
    ] {
        simulator.with(|world| {
            let iso = StorageSpec::directory("iso", "/iso", 1 << 30).with_content(&["iso"]);
            *world = world.clone().with_storage(iso);
        });
        let error = ct.migrate("pve2", map(wrong)).await.unwrap_err();
        assert_eq!(error.message(), why);
    }
    let twice = ct.migrate("pve2", map("local-lvm:local,local-lvm:local-hdd"));
    assert!(
        twice.await.unwrap_err().parameters()["target-storage"]
            .contains("duplicate mapping for source 'local-lvm'")
    );
    let there = ct
        .migrate("pve2", map("local-lvm:local-hdd"))
        .await
        .unwrap();
    assert!(there.status().await.unwrap().is_running());
    let config = there.config().await.unwrap();
    assert_eq!(
        config.text("rootfs").as_deref(),
        Some("local-hdd:vm-200-disk-0,mountoptions=noatime,size=4G")
    );
    assert_eq!(
        config.text("mp0").as_deref(),
        Some("local-hdd:vm-200-disk-1,mp=/data,backup=1,size=8G")
    );
    assert!(
        simulator
            .with(|world| world.volumes("local-lvm"))
            .is_empty()
    );
    let upid = simulator.with(|world| {
        let newest = world
            .tasks()
            .filter(|(upid, ..)| upid.contains(":vzmigrate:"));
        newest.last().map(|(upid, ..)| upid.to_owned()).unwrap()
    });
    let log = client.task(upid.parse().unwrap()).log().await.unwrap();
    let told = |text: &str| log.iter().any(|line| line.text.contains(text));
    for text in [
        " shutdown CT 200",
        " starting migration of CT 200 to node 'pve2' (192.0.2.10)",
        " found local volume 'local-lvm:vm-200-disk-0' (in current VM config)",
        " volume 'local-lvm:vm-200-disk-0' is 'local-hdd:vm-200-disk-0' on the target",
        " start final cleanup",
        " start container on target node",
        " migration finished successfully (duration 00:00:0",
    ] {
        assert!(told(text), "{text}");
    }
    // To files, under the names that files have.
    there.stop().await.unwrap();
    let back = there.migrate("pve1", LxcMigrateOptions::new().with_storage("local"));
    let config = back.await.unwrap().config().await.unwrap();
    assert_eq!(
        config.rootfs().unwrap().unwrap().volume().as_deref(),
        Some("local:200/vm-200-disk-0.raw")
    );
}

#[tokio::test(start_paused = true)]
async fn a_container_that_cannot_leave_runs_on_where_it_is() {
    let two = world().with_node(NodeSpec::new("pve2", 8, 32 << 30).with_bridge("vmbr0", true));
    let (_simulator, client) = connected(two);
    let ct = made(&client).await;
    ct.snapshot("kept", "").await.unwrap();
    ct.start().await.unwrap();
    let restart = LxcMigrateOptions::new().with_restart();
    let error = ct.migrate("pve2", restart).await.unwrap_err();
    assert_eq!(error.message(), "migration aborted");
    let log = error.task_log();
    let told = |text: &str| log.iter().any(|line| line.text.contains(text));
    for text in [
        " can't migrate local volume 'local-lvm:vm-200-disk-0': non-migratable snapshot exists",
        " ERROR: can't migrate CT - check log",
        " start container on source node",
        " ERROR: migration aborted (duration 00:00:0",
    ] {
        assert!(told(text), "{text} in {log:?}");
    }
    assert!(ct.status().await.unwrap().is_running());
    assert_eq!(ct.config().await.unwrap().lock(), None);
}

#[tokio::test(start_paused = true)]
async fn a_container_that_does_not_listen_is_stopped_hard_on_demand() {
    let (simulator, client) = lab();
    let ct = made(&client).await;
    ct.start().await.unwrap();
    simulator.with(|world| world.durations_mut().guests_listen = false);
    let short = || Shutdown::new().with_timeout(Duration::from_secs(3));
    let error = ct.shutdown(short()).await.unwrap_err();
    assert_eq!(error.message(), "container did not stop");
    assert!(ct.status().await.unwrap().is_running());
    ct.shutdown(short().with_force_stop()).await.unwrap();
    assert!(!ct.status().await.unwrap().is_running());
    assert_eq!(ct.shutdown(short()).await.unwrap(), Stopped::AlreadyStopped);
    ct.start().await.unwrap();
    ct.shutdown(Shutdown::new()).submit().await.unwrap();
    ct.stop_at_once().await.unwrap();
    let ends: Vec<String> = simulator.with(|world| {
        let shutdowns = world
            .tasks()
            .filter(|(upid, ..)| upid.contains(":vzshutdown:"));
        let ids: Vec<String> = shutdowns.map(|(upid, ..)| upid.to_owned()).collect();
        ids.iter().filter_map(|upid| world.task_end(upid)).collect()
    });
    assert_eq!(ends.last().map(String::as_str), Some("unexpected status"));
    assert!(matches!(
        simulator.with(|world| world.guest(200).unwrap().power()),
        Power::Off
    ));
}

#[tokio::test(start_paused = true)]
async fn a_container_tells_its_addresses_without_an_agent() {
    let (_simulator, client) = lab();
    let ct = made(&client).await;
    assert!(ct.interfaces().await.unwrap().is_empty());
    ct.start().await.unwrap();
    let seen = ct.interfaces().await.unwrap();
    assert_eq!(seen[1].name, "eth0");
    let address = ct.wait_for_ip(IpRule::ipv4().on_card(0)).await.unwrap();
    assert_eq!(address.to_string(), "192.0.2.53");
    let never = IpRule::ipv6().with_deadline(Duration::from_secs(10));
    let error = ct.wait_for_ip(never).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Deadline);
    assert!(error.message().contains("eth0 192.0.2.53/24"), "{error}");
    let absent = ct.wait_for_ip(IpRule::ipv4().on_card(3)).await;
    assert!(absent.unwrap_err().is_not_found());
}

#[tokio::test(start_paused = true)]
async fn a_protected_container_keeps_itself_and_its_volumes() {
    let (_simulator, client) = lab();
    let ct = made(&client).await;
    let guard = LxcConfig::new().with_protection(true);
    ct.ensure_config(&guard).await.unwrap();
    assert_eq!(ct.delete().await.unwrap_err().kind(), Kind::Protected);
    let kept = ct.detach_volume("mp0").await.unwrap_err();
    assert_eq!(kept.kind(), Kind::Protected);
    let free = LxcConfig::new().with_protection(false);
    ct.ensure_config(&free).await.unwrap();
    ct.start().await.unwrap();
    assert_eq!(ct.delete_even_if_running().await.unwrap(), Removed::Removed);
}

#[tokio::test(start_paused = true)]
async fn containers_are_members_of_pools_and_have_firewalls() {
    let (_simulator, client) = lab();
    client.pool("infra").ensure("").await.unwrap();
    let new = NewLxc::new(TEMPLATE, dns()).with_pool("infra").with_start();
    let ct = client.node("pve1").create_lxc(200, new).await.unwrap().lxc;
    assert!(ct.status().await.unwrap().is_running());
    let pool = client.pool("infra").get().await.unwrap().unwrap();
    assert_eq!(pool.members.unwrap()[0].id, "lxc/200");
    let rule = NewRule::accept_in().with_service("DNS");
    let firewall = ct.firewall();
    firewall.ensure_rules("ours", &[rule]).await.unwrap();
    assert_eq!(firewall.rules().await.unwrap().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn secrets_of_a_container_show_up_nowhere() {
    let (simulator, client) = lab();
    let secret = "s3cret-value";
    let new = NewLxc::new(TEMPLATE, dns())
        .with_password(secret)
        .with_ssh_keys([
            "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGnNqg9V7K4Fn2XMCWcYE3y9T9c4nGqGr8Y7cT4HhNfR me",
        ]);
    let config = LxcConfig::new().with("password", secret);
    assert!(!format!("{new:?} {config:?}").contains(secret));
    let call = client.node("pve1").create_lxc(200, new);
    assert!(!format!("{call:?}").contains(secret));
    let ct = call.await.unwrap().lxc;
    let read = ct.config().await.unwrap();
    assert!(
        read.values()
            .keys()
            .all(|key| key != "password" && key != "ssh-public-keys")
    );
    assert!(!format!("{:?} {:?}", simulator.journal(), simulator.snapshot()).contains(secret));
}

#[tokio::test(start_paused = true)]
async fn a_container_is_proved_ours_after_an_answer_that_was_lost() {
    let (simulator, client) = lab();
    let node = client.node("pve1");
    let mark = Mark::new("lab/dns").unwrap();
    let new = || NewLxc::new(TEMPLATE, dns());
    let creates = |method: &str, path: &str| method == "POST" && path.ends_with("/lxc");
    simulator.on_request(
        move |request| match creates(&request.method, &request.path) {
            true => Fault::ProxyTimeout { executed: true },
            false => Fault::None,
        },
    );
    let made = node.ensure_lxc(200, &mark, new()).await.unwrap();
    assert!(matches!(made, EnsuredLxc::Created(_)));
    simulator.clear_faults();
    simulator.clear_journal();
    let again = node.ensure_lxc(200, &mark, new()).await.unwrap();
    assert!(matches!(again, EnsuredLxc::Unchanged(_)));
    assert!(
        simulator
            .journal()
            .iter()
            .all(|entry| entry.method == "GET")
    );
    let more = new_with(dns().with_cores(2));
    let EnsuredLxc::Updated { live, .. } = node.ensure_lxc(200, &mark, more).await.unwrap() else {
        panic!("it has more processors now");
    };
    assert_eq!(live, ["cores"]);
    let twin = Mark::new("lab/dns-2").unwrap();
    let ct = again.lxc();
    let clone = ct
        .ensure_clone(201, &twin, CloneOptions::new())
        .await
        .unwrap();
    assert!(matches!(clone, EnsuredLxc::Created(_)));
    let clone = ct
        .ensure_clone(201, &twin, CloneOptions::new())
        .await
        .unwrap();
    assert!(matches!(clone, EnsuredLxc::Unchanged(_)));
    let foreign = node.ensure_lxc(201, &mark, new()).await.unwrap_err();
    assert_eq!(foreign.kind(), Kind::Foreign);
    node.create_qemu(202, QemuConfig::new()).await.unwrap();
    let machine = node.ensure_lxc(202, &mark, new()).await.unwrap_err();
    assert!(machine.is_already_exists(), "{machine}");
}

fn new_with(config: LxcConfig) -> NewLxc {
    NewLxc::new(TEMPLATE, config)
}

/// The fields that a 9.1 server gives for a container that is off, and the forms of its values.
#[tokio::test(start_paused = true)]
async fn a_container_is_told_as_the_recorded_server_tells_it() {
    let simulator = Simulator::new(world());
    let client = simulator.connect();
    let node = client.node("pve1");
    let config = LxcConfig::new()
        .with_hostname("ct1")
        .with_memory_mib(64)
        .with_swap_mib(0)
        .with_os_type("unmanaged")
        .with_unprivileged(false)
        .with_rootfs(&MountPoint::allocate("local", 1))
        .with_mount_point(0, &MountPoint::allocate("local", 1).with_path("/data"))
        .with_net(
            0,
            &ContainerNic::new("eth0", "vmbr0").with_ip("192.0.2.88/24"),
        );
    let new = NewLxc::new(TEMPLATE, config).with_password("ctsecret1");
    let ct = node.create_lxc(200, new).await.unwrap().lxc;
    let entry = node.lxcs().await.unwrap()[0].to_json();
    let mut keys: Vec<&String> = entry.as_object().unwrap().keys().collect();
    keys.sort();
    assert_eq!(
        keys,
        [
            "cpu",
            "cpus",
            "disk",
            "diskread",
            "diskwrite",
            "maxdisk",
            "maxmem",
            "maxswap",
            "mem",
            "name",
            "netin",
            "netout",
            "status",
            "swap",
            "type",
            "uptime",
            "vmid"
        ]
    );
    assert_eq!(entry["maxdisk"], 1_073_741_824u64);
    assert_eq!(entry["maxmem"], 67_108_864);
    let patch = LxcPatch::new().set("memory", 96).set("description", "d");
    let read = ct.config().await.unwrap();
    ct.apply(&read, &patch).await.unwrap();
    let stale = ct.apply(&read, &LxcPatch::new().set("memory", 96)).await;
    assert_eq!(
        stale.unwrap_err().message(),
        "detected modified configuration - file changed by other user? Try again."
    );
    ct.grow_volume("rootfs", Size::mib(1152)).await.unwrap();
    ct.detach_volume("mp0").await.unwrap();
    let config = ct.config().await.unwrap();
    let mac = config.net(0).unwrap().unwrap().mac().unwrap();
    let expected = serde_json::json!({
        "arch": "amd64", "unused0": "local:200/vm-200-disk-1.raw", "hostname": "ct1",
        "rootfs": "local:200/vm-200-disk-0.raw,size=1152M", "ostype": "unmanaged", "memory": 96,
        "swap": 0, "description": "d\n",
        "net0": format!("name=eth0,bridge=vmbr0,hwaddr={mac},ip=192.0.2.88/24,type=veth"),
    });
    assert_eq!(serde_json::Value::Object(config.values().clone()), expected);
    let log = ct.delete().submit().await.unwrap();
    let proxmox_client::task::Submitted::Task(task) = log else {
        panic!("a removal is a task");
    };
    assert_eq!(task.upid().kind(), "vzdestroy");
    let gone = node.lxc(999).config().await.unwrap_err();
    assert_eq!(
        gone.message(),
        "Configuration file 'nodes/pve1/lxc/999.conf' does not exist"
    );
}

#[test]
fn cards_and_volumes_that_are_there_satisfy_the_wish_to_make_them() {
    let have = LxcConfig::new()
        .with("rootfs", "local-lvm:vm-200-disk-0,mountoptions=noatime,size=6G")
        .with("mp0", "local-lvm:vm-200-disk-1,mp=/data,backup=1,size=8G")
        .with("net0", "name=eth0,bridge=vmbr0,gw=192.0.2.1,hwaddr=BC:24:11:00:00:01,ip=192.0.2.53/24,tag=20,type=veth")
        .with("features", "keyctl=0,nesting=on")
        .with("nameserver", "192.0.2.1 192.0.2.2")
        .with("cpulimit", "0.50")
        .with("description", "managed by a test\n");
    let wanted = dns();
    let patch = have.patch_to(&wanted);
    let keys: Vec<&str> = patch.keys().collect();
    for same in [
        "rootfs",
        "mp0",
        "net0",
        "nameserver",
        "cpulimit",
        "description",
    ] {
        assert!(!keys.contains(&same), "{same}: {patch:?}");
    }
    let moved = LxcConfig::new()
        .with_rootfs(&MountPoint::allocate("local-hdd", 4))
        .with_net(0, &ContainerNic::new("eth0", "vmbr1"));
    let patch = have.patch_to(&moved);
    assert_eq!(patch.keys().collect::<Vec<_>>(), ["rootfs", "net0"]);
    // An option that changes leaves the volume and the address as they are.
    let quiet = LxcConfig::new()
        .with_rootfs(&MountPoint::allocate("local-lvm", 4).with_read_only(true))
        .with_net(0, &ContainerNic::new("eth0", "vmbr0").with_firewall(true));
    let patch = have.patch_to(&quiet);
    assert_eq!(
        patch.set.text("rootfs").as_deref(),
        Some("local-lvm:vm-200-disk-0,ro=1,size=6G")
    );
    let card = patch.set.net(0).unwrap().unwrap();
    assert_eq!(card.mac().as_deref(), Some("BC:24:11:00:00:01"));
}

#[test]
fn a_free_number_never_belongs_to_a_mount_point() {
    let mut config = LxcConfig::new();
    for index in [0, 1, 3] {
        config = config.with_mount_point(index, &MountPoint::bind("/a").with_path("/b"));
    }
    assert_eq!(config.free_mount_point(), Some(2));
    let full = (0..=u8::MAX).fold(LxcConfig::new(), |config, index| {
        config.with_mount_point(index, &MountPoint::bind("/a").with_path("/b"))
    });
    assert_eq!(full.free_mount_point(), None);
}

proptest! {
    #[test]
    fn one_key_of_a_volume_changes_alone(parts in proptest::collection::vec("[a-z]{1,6}=[a-z0-9;/.]{0,6}", 0..6)) {
        let text = format!("local-lvm:vm-1-disk-0,{}", parts.join(","));
        let volume: Result<MountPoint, _> = text.parse();
        // A key that stands twice is refused.
        if let Ok(volume) = volume {
            prop_assert_eq!(volume.to_string(), text.trim_end_matches(','));
            let changed = volume.clone().with("zzzzzzz", "1");
            prop_assert_eq!(changed.clone().without("zzzzzzz"), volume);
            prop_assert_eq!(changed.get("zzzzzzz"), Some("1"));
        }
    }

    #[test]
    fn a_card_satisfies_itself_whatever_it_says(text in "name=eth0(,[a-z0-9]{1,6}=[a-zA-Z0-9:./]{1,12}){0,5}") {
        if let Ok(card) = text.parse::<ContainerNic>() {
            prop_assert!(card.satisfies(&card));
            prop_assert_eq!(card.to_string(), text);
        }
    }

    #[test]
    fn a_configuration_never_differs_from_itself(values in proptest::collection::hash_map(
        "(net|mp|dev|unused)[0-9]{1,2}|rootfs|features|tags|description|memory|[a-z]{3,8}", "[ -~]{0,24}", 0..8)) {
        let config = values.iter().fold(LxcConfig::new(), |config, (key, value)| config.with(key, value.as_str()));
        prop_assert!(config.patch_to(&config).is_empty());
    }
}

#[tokio::test(start_paused = true)]
async fn a_container_is_given_an_address_where_there_is_a_server_for_that() {
    let world = world().with_dhcp("vmbr0", "192.0.2.50".parse().unwrap(), 24);
    let (_simulator, client) = connected(world);
    let card = ContainerNic::new("eth0", "vmbr0").with_ip("dhcp");
    let config = LxcConfig::new().with_net(0, &card);
    let new = NewLxc::new(TEMPLATE, config)
        .with_storage("local-lvm")
        .with_start();
    let made = client.node("pve1").create_lxc(200, new).await.unwrap();
    let address = made.lxc.wait_for_ip(IpRule::ipv4()).await.unwrap();
    assert_eq!(address.to_string(), "192.0.2.50");
}
