//! Disks of nodes and what is made of them, packages, certificates, subscriptions.

use proxmox_client::certificate::NodeCertificate;
use proxmox_client::simulator::{
    DiskSpec, NodeSpec, PackageSpec, Simulator, SubscriptionSpec, World,
};
use proxmox_client::upkeep::{
    NewNodeVolume, NodeVolumeKind, NodeVolumeRemoval, PackageUpdate, PhysicalDisk, Subscription,
    SubscriptionStatus, ZfsLevel,
};
use proxmox_client::wire::Answer;
use proxmox_client::{Client, Ensured, Kind, Login, Node, Removed};
use secrecy::SecretString;

const GIB: u64 = 1 << 30;

fn read<T: serde::de::DeserializeOwned>(data: &str) -> T {
    let body = format!(r#"{{"data":{data}}}"#);
    Answer::new(200, "OK", body).data().unwrap()
}

/// A client of `root@pam` itself, who may do what its tokens may not.
fn root(world: World) -> (Simulator, Client) {
    let simulator = Simulator::new(world.with_user("root@pam", "hunter2"));
    let login = Login::new("root@pam", "hunter2");
    let client = simulator.builder().login(login).build().unwrap();
    (simulator, client)
}

fn four_disks() -> World {
    let disk = |name: &str| DiskSpec::hdd(&format!("/dev/sd{name}"), 1000 * GIB);
    World::lab()
        .with_disk("pve1", disk("a").with_use("ext4").with_mount())
        .with_disk("pve1", disk("b"))
        .with_disk("pve1", disk("c"))
        .with_disk("pve1", disk("d"))
}

async fn used(node: &Node) -> Vec<Option<String>> {
    let disks = node.physical_disks().await.unwrap();
    disks.into_iter().map(|disk| disk.used).collect()
}

#[test]
fn disks_that_nothing_uses_are_told_apart() {
    let disks: Vec<PhysicalDisk> = read(
        r#"[{"devpath":"/dev/sda","size":480103981056,"used":"LVM","osdid":-1,"health":"PASSED","wearout":98},
            {"devpath":"/dev/sdb","size":"480103981056","osdid":-1,"health":"PASSED","wearout":"N/A"},
            {"devpath":"/dev/sdc","osdid":3}]"#,
    );
    let unused: Vec<&str> = disks
        .iter()
        .filter(|disk| disk.is_unused())
        .map(|disk| disk.device.as_str())
        .collect();
    assert_eq!(unused, ["/dev/sdb"]);
    assert_eq!(disks[0].life_left, Some(98.0));
    assert_eq!(
        (disks[1].life_left, &disks[1].extra["wearout"]),
        (None, &"N/A".into())
    );
}

#[test]
fn certificates_and_updates_are_read() {
    let shown: Vec<NodeCertificate> = read(
        r#"[{"filename":"pve-ssl.pem","notafter":1800000000,"san":["127.0.0.1","pve1"],"public-key-bits":2048}]"#,
    );
    assert_eq!(shown[0].remaining(1_799_999_000), Some(1000));
    assert_eq!(shown[0].remaining(1_800_000_001), Some(-1));
    assert_eq!(shown[0].names.as_ref().map(Vec::len), Some(2));
    let updates: Vec<PackageUpdate> = read(
        r#"[{"Package":"pve-manager","Version":"9.1.10","OldVersion":"9.1.9","Arch":"amd64"}]"#,
    );
    assert_eq!(updates[0].old_version.as_deref(), Some("9.1.9"));
    assert_eq!(updates[0].extra["Arch"], "amd64");
    let subscription: Subscription =
        read(r#"{"status":"notfound","message":"There is no subscription key"}"#);
    assert_eq!(subscription.status, SubscriptionStatus::NotFound);
}

#[tokio::test(start_paused = true)]
async fn smart_tells_of_each_kind_of_disk_what_it_can() {
    let world = World::lab()
        .with_disk(
            "pve1",
            DiskSpec::hdd("/dev/sda", 1000 * GIB)
                .with_health("FAILED!")
                .with_attribute(5, "Reallocated_Sector_Ct", 3, 10, "2044"),
        )
        .with_disk(
            "pve1",
            DiskSpec::ssd("/dev/sdb", 500 * GIB).with_life_left(61),
        )
        .with_disk(
            "pve1",
            DiskSpec::nvme("/dev/nvme0n1", 500 * GIB).with_life_left(97),
        );
    let node = Simulator::new(world).connect().node("pve1");
    let failing = node.smart("/dev/sda").await.unwrap();
    let attribute = &failing.attributes.unwrap()[0];
    assert_eq!(failing.health, "FAILED!");
    assert_eq!((attribute.value, attribute.threshold), (Some(3), Some(10)));
    assert_eq!(attribute.failed.as_deref(), Some("NOW"));
    let nvme = node.smart("/dev/nvme0n1").await.unwrap();
    assert!(nvme.text.unwrap().contains("Percentage Used: 3%"));
    let disks = node.physical_disks().await.unwrap();
    let seen: Vec<_> = disks
        .iter()
        .map(|disk| (disk.kind.as_deref().unwrap(), disk.life_left))
        .collect();
    assert_eq!(
        seen,
        [("nvme", Some(97.0)), ("hdd", None), ("ssd", Some(61.0))]
    );
    let missing = node.smart("/dev/sdz").await.unwrap_err();
    assert_eq!(missing.message(), "not a valid block device");
}

#[tokio::test(start_paused = true)]
async fn a_disk_becomes_a_storage_and_a_disk_again() {
    let simulator = Simulator::new(four_disks());
    let client = simulator.connect();
    let node = client.node("pve1");
    let new = NewNodeVolume::directory("archive", "/dev/sdb")
        .with_filesystem("xfs")
        .with_storage();
    node.create_volume(new).await.unwrap();
    let shown = node.directories().await.unwrap();
    assert_eq!(shown[0].path, "/mnt/pve/archive");
    assert_eq!(shown[0].filesystem.as_deref(), Some("xfs"));
    let storages = node.storages().await.unwrap();
    let storage = storages
        .iter()
        .find(|one| one.storage == "archive")
        .unwrap();
    assert!(storage.total > Some(900 * GIB));
    let parts = node.disks_and_partitions().await.unwrap();
    let part = parts.iter().find(|one| one.device == "/dev/sdb1").unwrap();
    assert_eq!(
        (part.mounted, part.disk.as_deref()),
        (Some(true), Some("/dev/sdb"))
    );

    // It is taken, by name and by disk.
    let again = NewNodeVolume::directory("other", "/dev/sdb");
    let error = node.create_volume(again).await.unwrap_err();
    assert_eq!(error.message(), "device '/dev/sdb' is already in use");
    assert_eq!(error.kind(), Kind::InUse);
    let same = NewNodeVolume::directory("archive", "/dev/sdc").with_storage();
    let error = node.create_volume(same).await.unwrap_err();
    assert_eq!(error.kind(), Kind::AlreadyExists);

    let kind = NodeVolumeKind::Directory;
    let all = NodeVolumeRemoval::new().with_storages().with_disks();
    node.remove_volume(kind, "archive", &all).await.unwrap();
    assert_eq!(used(&node).await[1], None);
    let storages = node.storages().await.unwrap();
    assert!(storages.iter().all(|one| one.storage != "archive"));
    let gone = node.remove_volume(kind, "archive", &all).await.unwrap_err();
    assert!(gone.upid().is_some(), "{gone}");
}

#[tokio::test(start_paused = true)]
async fn volume_groups_and_thin_pools_hold_their_disks() {
    let node = Simulator::new(four_disks()).connect().node("pve1");
    node.create_volume(NewNodeVolume::volume_group("slow", "/dev/sdb"))
        .await
        .unwrap();
    node.create_volume(NewNodeVolume::thin_pool("thin", "/dev/sdc"))
        .await
        .unwrap();
    let groups = node.volume_groups().await.unwrap();
    let seen: Vec<_> = groups
        .iter()
        .map(|group| (group.name.as_str(), group.volumes, group.free == group.size))
        .collect();
    assert_eq!(seen, [("slow", Some(0), true), ("thin", Some(1), false)]);
    assert_eq!(groups[0].devices.as_ref().unwrap()[0].name, "/dev/sdb");
    let pool = &node.thin_pools().await.unwrap()[0];
    assert_eq!((pool.name.as_str(), pool.group.as_str()), ("thin", "thin"));
    assert!(pool.size < groups[1].size && pool.metadata_size >= Some(GIB));
    let lvm = Some("LVM".to_owned());
    assert_eq!(used(&node).await[1..3], [lvm.clone(), lvm]);
    let twice = NewNodeVolume::volume_group("slow", "/dev/sdd");
    let error = node.create_volume(twice).await.unwrap_err();
    let text = "volume group with name 'slow' already exists on node 'pve1'";
    assert_eq!(error.message(), text);
    let disks = NodeVolumeRemoval::new().with_disks();
    let thin = NodeVolumeKind::ThinPool;
    node.remove_volume(thin, "thin", &disks).await.unwrap();
    let group = NodeVolumeKind::VolumeGroup;
    node.remove_volume(group, "slow", &NodeVolumeRemoval::new())
        .await
        .unwrap();
    assert_eq!(used(&node).await[1..], [None, None, None]);
    assert!(node.volume_groups().await.unwrap().is_empty());
}

#[tokio::test(start_paused = true)]
async fn zfs_pools_are_made_of_as_many_disks_as_their_level_wants() {
    let node = Simulator::new(four_disks()).connect().node("pve1");
    let pool = |level, devices: &[&str]| {
        NewNodeVolume::zfs("tank", &level, devices.iter().copied()).with_compression("zstd")
    };
    let few = node.create_volume(pool(ZfsLevel::RaidZ, &["/dev/sdb", "/dev/sdc"]));
    let error = few.await.unwrap_err();
    assert_eq!(error.message(), "raidz needs at least 3 disks");
    let taken = node.create_volume(pool(ZfsLevel::Mirror, &["/dev/sda", "/dev/sdb"]));
    assert_eq!(taken.await.unwrap_err().kind(), Kind::InUse);
    let good = pool(ZfsLevel::RaidZ, &["/dev/sdb", "/dev/sdc", "/dev/sdd"]);
    node.create_volume(good.with_storage()).await.unwrap();
    let shown = &node.zfs_pools().await.unwrap()[0];
    assert_eq!(
        (shown.health.as_deref(), shown.size),
        (Some("ONLINE"), Some(3000 * GIB))
    );
    let detail = node.zfs_pool("tank").await.unwrap();
    let devices = serde_json::to_value(detail.devices).unwrap();
    assert_eq!(devices[0]["children"][0]["name"], "raidz1-0");
    let leaf = &devices[0]["children"][0]["children"][2];
    assert_eq!(
        (&leaf["name"], &leaf["state"]),
        (&"/dev/sdd1".into(), &"ONLINE".into())
    );
    assert_eq!(used(&node).await[3].as_deref(), Some("ZFS"));
    assert!(node.zfs_pool("pond").await.is_err());
}

#[tokio::test(start_paused = true)]
async fn what_is_mounted_or_held_is_not_wiped() {
    let (_simulator, client) = root(four_disks());
    let node = client.node("pve1");
    let mounted = node.wipe_disk("/dev/sda").await.unwrap_err();
    assert_eq!(mounted.message(), "disk/partition '/dev/sda' is mounted");
    assert_eq!(mounted.kind(), Kind::InUse);
    node.create_volume(NewNodeVolume::volume_group("slow", "/dev/sdb"))
        .await
        .unwrap();
    let held = node.wipe_disk("/dev/sdb").await.unwrap_err();
    assert_eq!(held.message(), "disk/partition '/dev/sdb' has a holder");
    let used = node.init_gpt("/dev/sdb").await.unwrap_err();
    assert_eq!(used.message(), "disk /dev/sdb already in use");
    node.init_gpt("/dev/sdc").await.unwrap();
    let disks = node.physical_disks().await.unwrap();
    assert_eq!((disks[2].gpt, disks[2].is_unused()), (Some(true), true));
    node.wipe_disk("/dev/sdc").await.unwrap();
    assert_eq!(node.physical_disks().await.unwrap()[2].gpt, Some(false));
}

#[tokio::test(start_paused = true)]
async fn updates_are_listed_once_they_were_asked_for() {
    let manager = PackageSpec::installed("pve-manager", "9.1.9")
        .with_update("9.1.10")
        .with_changelog("pve-manager (9.1.10) trixie; urgency=medium");
    let world = World::lab().with_package("pve1", manager).with_package(
        "pve1",
        PackageSpec::installed("lvm2", "2.03").with_origin("Debian"),
    );
    let simulator = Simulator::new(world);
    let node = simulator.connect().node("pve1");
    assert!(node.updates().await.unwrap().is_empty());
    node.refresh_updates().await.unwrap();
    let updates = node.updates().await.unwrap();
    assert_eq!(updates.len(), 1);
    assert_eq!(updates[0].old_version.as_deref(), Some("9.1.9"));
    let versions = node.package_versions().await.unwrap();
    let manager = versions
        .iter()
        .find(|one| one.package == "pve-manager")
        .unwrap();
    assert_eq!(manager.installed.as_deref(), Some("9.1.9"));
    assert_eq!(manager.version.as_deref(), Some("9.1.10"));
    assert!(manager.manager.as_deref().unwrap().starts_with("9.1.9/"));
    let changes = node.changelog("pve-manager", None).await.unwrap();
    assert!(changes.starts_with("pve-manager (9.1.10)"));
    let unknown = node.changelog("nonsense", None).await.unwrap();
    assert!(unknown.ends_with("RC: 100"), "{unknown}");
}

#[tokio::test(start_paused = true)]
async fn repositories_are_added_and_switched_under_their_digest() {
    let simulator = Simulator::new(World::lab());
    let client = simulator.connect();
    let node = client.node("pve1");
    let state = |handle: &'static str| {
        let node = node.clone();
        async move {
            let all = node.repositories().await.unwrap().standard.unwrap();
            all.into_iter()
                .find(|one| one.handle == handle)
                .unwrap()
                .enabled
        }
    };
    assert_eq!(state("enterprise").await, Some(true));
    assert_eq!(state("no-subscription").await, None);
    let added = node.ensure_repository("no-subscription").await.unwrap();
    assert_eq!(added, Ensured::Created);
    let file = "/etc/apt/sources.list.d/pve-enterprise.sources";
    let off = node
        .ensure_repository_enabled(file, 0, false)
        .await
        .unwrap();
    assert_eq!(off, Ensured::Updated(vec!["enabled".to_owned()]));
    let again = node
        .ensure_repository_enabled(file, 0, false)
        .await
        .unwrap();
    assert_eq!(again, Ensured::Unchanged);
    assert_eq!(state("enterprise").await, Some(false));
    let on = node.ensure_repository("enterprise").await.unwrap();
    assert_eq!(on, Ensured::Updated(vec!["enabled".to_owned()]));
    let nowhere = node
        .ensure_repository_enabled(file, 7, true)
        .await
        .unwrap_err();
    assert_eq!(nowhere.kind(), Kind::NotFound);
    assert_eq!(
        node.ensure_repository("x").await.unwrap_err().kind(),
        Kind::NotFound
    );
    // Someone else's change in between is seen.
    let stale = "0".repeat(64);
    let params = [("handle", "test"), ("digest", stale.as_str())];
    let request = params.iter().fold(
        proxmox_client::wire::Request::new(
            proxmox_client::wire::Method::Put,
            "/nodes/{node}/apt/repositories",
            &["pve1"],
        ),
        |request, (name, value)| request.with(name, *value),
    );
    let error = client.request(request).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Conflict);
}

fn certificate(name: &str) -> (String, SecretString) {
    let mut wanted = rcgen::CertificateParams::new(vec![name.to_owned()]).unwrap();
    wanted.not_before = rcgen::date_time_ymd(2026, 1, 1);
    wanted.not_after = rcgen::date_time_ymd(2027, 1, 1);
    let key = rcgen::KeyPair::generate().unwrap();
    let made = wanted.self_signed(&key).unwrap();
    (made.pem(), key.serialize_pem().into())
}

#[tokio::test(start_paused = true)]
async fn a_certificate_of_ones_own_is_shown_until_it_is_removed() {
    let node = Simulator::new(World::lab()).connect().node("pve1");
    let files = |all: Vec<NodeCertificate>| -> Vec<String> {
        all.into_iter().filter_map(|one| one.file).collect()
    };
    let own = ["pve-root-ca.pem", "pve-ssl.pem"];
    assert_eq!(files(node.certificates().await.unwrap()), own);
    let (chain, key) = certificate("pve1.example.test");
    let set = node.set_certificate(&chain, key.clone()).await.unwrap();
    assert_eq!(
        set.names.as_deref(),
        Some(&["pve1.example.test".to_owned()][..])
    );
    assert_eq!(set.remaining(1_798_761_600 - 60), Some(60));
    assert_eq!(set.pem.as_deref(), Some(chain.as_str()));
    assert_eq!(
        node.certificates().await.unwrap()[2].fingerprint,
        set.fingerprint
    );
    // Another one takes its place, a key that is not its own is refused.
    let (other, other_key) = certificate("other.example.test");
    let error = node.set_certificate(&other, key).await.unwrap_err();
    assert!(error.message().contains("key does not match"), "{error}");
    let set = node.set_certificate(&other, other_key).await.unwrap();
    assert_eq!(
        node.certificates().await.unwrap()[2].fingerprint,
        set.fingerprint
    );
    assert_eq!(node.remove_certificate().await.unwrap(), Removed::Removed);
    assert_eq!(node.remove_certificate().await.unwrap(), Removed::Absent);
    assert_eq!(files(node.certificates().await.unwrap()), own);
}

#[tokio::test(start_paused = true)]
async fn a_key_stays_out_of_errors() {
    let node = Simulator::new(World::lab()).connect().node("pve1");
    let key =
        SecretString::from("-----BEGIN PRIVATE KEY-----\nhunter2\n-----END PRIVATE KEY-----\n");
    let error = node
        .set_certificate("no certificate", key)
        .await
        .unwrap_err();
    assert_ne!(error.kind(), Kind::Decode);
    assert!(!format!("{error:?}{error}").contains("hunter2"));
}

#[tokio::test(start_paused = true)]
async fn a_subscription_is_set_checked_and_removed_and_its_key_not_shown() {
    let (good, late) = ("pve1c-0123456789", "pve2b-9876543210");
    let world = World::lab()
        .with_node(NodeSpec::new("pve2", 4, 8 * GIB))
        .with_subscription(SubscriptionSpec::active(good, "Community", "2027-01-31"))
        .with_subscription(
            SubscriptionSpec::active(late, "Basic", "2025-01-31")
                .with_status("expired", "It ended"),
        );
    let client = Simulator::new(world).connect();
    let node = client.node("pve1");
    assert_eq!(node.remove_subscription().await.unwrap(), Removed::Absent);
    let set = node.ensure_subscription(good).await.unwrap();
    assert_eq!(set, Ensured::Created);
    let shown = node.subscription().await.unwrap();
    assert_eq!(shown.status, SubscriptionStatus::Active);
    assert_eq!(
        (shown.level.as_deref(), shown.sockets),
        (Some("c"), Some(1))
    );
    assert!(!format!("{shown:?}{}", shown.to_json()).contains(good));
    let set = node.ensure_subscription(late).await.unwrap();
    assert_eq!(set, Ensured::Updated(vec!["key".to_owned()]));
    let shown = node.subscription().await.unwrap();
    assert_eq!(shown.status, SubscriptionStatus::Expired);
    assert_eq!(
        (shown.level, shown.message.as_deref()),
        (None, Some("It ended"))
    );
    let odd = node.ensure_subscription("nonsense").await.unwrap_err();
    assert_eq!(odd.kind(), Kind::Parameter);
    let other = client.node("pve2").subscription().await.unwrap();
    assert_eq!(other.status, SubscriptionStatus::NotFound);
    assert_eq!(node.remove_subscription().await.unwrap(), Removed::Removed);
}
