//! Definitions of storages, and what nodes find around them.

use proxmox_client::property::{BandwidthLimits, PruneBackups};
use proxmox_client::simulator::{NodeSpec, World};
use proxmox_client::wire::{Method, Request};
use proxmox_client::{
    EncryptionKey, Ensured, Kind, NewStorage, Removed, ScanLogin, StorageKind, StorageSettings,
};
use secrecy::ExposeSecret;

use crate::laboratory::{connected, writes};

#[tokio::test(start_paused = true)]
async fn a_storage_is_defined_changed_where_it_differs_and_forgotten_once() {
    let (simulator, client) = connected(World::lab());
    let nas = client.storage("nas");
    let keep = PruneBackups::default().with_last(3u32).with_weekly(2u32);
    let wanted = NewStorage::nfs("192.0.2.5", "/tank/pve").with_settings(
        StorageSettings::new()
            .with_contents(["iso", "backup"])
            .with_retention(&keep)
            .with_bandwidth(&BandwidthLimits::default().with_restore(1000u64)),
    );
    assert_eq!(nas.ensure(&wanted).await.unwrap().ensured, Ensured::Created);
    let before = writes(&simulator);
    assert_eq!(
        nas.ensure(&wanted).await.unwrap().ensured,
        Ensured::Unchanged
    );
    assert_eq!(
        writes(&simulator),
        before,
        "nothing is sent when nothing differs"
    );

    let known = nas.get().await.unwrap().unwrap();
    assert_eq!(known.kind, StorageKind::Nfs);
    assert_eq!(known.path.as_deref(), Some("/mnt/pve/nas"));
    assert!(known.shared.unwrap() && known.contents().contains("backup"));
    assert!(known.retention().unwrap().unwrap().same_meaning(&keep));
    assert_eq!(
        known.extra["bwlimit"], "restore=1000",
        "settings without a field are kept"
    );

    let settings = StorageSettings::new()
        .with_contents(["backup"])
        .with_nodes(["pve1"]);
    let changed = NewStorage::nfs("192.0.2.5", "/tank/pve").with_settings(settings);
    assert_eq!(
        nas.ensure(&changed).await.unwrap().ensured,
        Ensured::Updated(vec!["content".to_owned(), "nodes".to_owned()])
    );
    let known = nas.get().await.unwrap().unwrap();
    assert!(known.is_for("pve1") && !known.is_for("pve2"));
    assert!(known.prune_backups.is_some(), "what is not named stays");
    let everywhere = StorageSettings::new().with_nodes::<&str>([]);
    nas.update(&everywhere).await.unwrap();
    assert!(nas.get().await.unwrap().unwrap().is_for("pve2"));

    assert_eq!(nas.delete().await.unwrap(), Removed::Removed);
    assert_eq!(nas.delete().await.unwrap(), Removed::Absent);
    assert!(nas.get().await.unwrap().is_none());
}

#[tokio::test(start_paused = true)]
async fn a_name_that_means_something_else_is_not_taken_over() {
    let (_simulator, client) = connected(World::lab());
    let nas = client.storage("nas");
    nas.ensure(&NewStorage::nfs("192.0.2.5", "/tank"))
        .await
        .unwrap();
    for other in [
        NewStorage::nfs("192.0.2.6", "/tank"),
        NewStorage::nfs("192.0.2.5", "/other"),
        NewStorage::directory("/srv"),
    ] {
        let error = nas.ensure(&other).await.unwrap_err();
        assert!(error.is_already_exists(), "{error}");
        assert!(error.to_string().contains("cannot be changed"), "{error}");
    }
    let twice = nas
        .create(&NewStorage::nfs("192.0.2.5", "/tank"))
        .await
        .unwrap_err();
    assert_eq!(
        twice.message().trim(),
        "create storage failed: storage ID 'nas' already defined"
    );
    let slash = client.storage("files");
    slash
        .ensure(&NewStorage::directory("/srv/files/"))
        .await
        .unwrap();
    assert_eq!(
        slash
            .ensure(&NewStorage::directory("/srv/files/"))
            .await
            .unwrap()
            .ensured,
        Ensured::Unchanged,
        "the server drops the last slash"
    );
}

#[tokio::test(start_paused = true)]
async fn every_kind_is_defined_with_what_it_needs() {
    let (_simulator, client) = connected(World::lab());
    let kinds = [
        ("ddir", NewStorage::directory("/srv/a")),
        ("dbtrfs", NewStorage::btrfs("/srv/b")),
        ("dnfs", NewStorage::nfs("192.0.2.5", "/x")),
        ("dcifs", NewStorage::cifs("192.0.2.5", "share")),
        ("dcephfs", NewStorage::cephfs()),
        ("drbd", NewStorage::rbd("vms")),
        ("dlvm", NewStorage::lvm("vg0")),
        ("dthin", NewStorage::lvm_thin("vg0", "data")),
        ("dzfs", NewStorage::zfs_pool("rpool/data")),
        (
            "discsi",
            NewStorage::iscsi("192.0.2.5:3260", "iqn.2003-01.org.example:a"),
        ),
        ("dpbs", NewStorage::backup_server("192.0.2.5", "store")),
        ("desxi", NewStorage::esxi("192.0.2.5", "root", "secret")),
    ];
    for (name, storage) in &kinds {
        let made = client.storage(*name).ensure(storage).await;
        assert_eq!(made.unwrap().ensured, Ensured::Created, "{name}");
        let again = client.storage(*name).ensure(storage).await;
        assert_eq!(again.unwrap().ensured, Ensured::Unchanged, "{name}");
    }
    let listed = client.storages().await.unwrap();
    for (name, _) in &kinds {
        let found = listed.iter().find(|storage| storage.name == *name).unwrap();
        assert!(!matches!(found.kind, StorageKind::Other(_)), "{name}");
    }
    let future = NewStorage::other(StorageKind::from("tape"), [("drive", "st0")]);
    let error = client.storage("tapes").ensure(&future).await.unwrap_err();
    assert_eq!(
        error.kind(),
        Kind::Parameter,
        "this server does not know it: {error}"
    );
}

#[tokio::test(start_paused = true)]
async fn the_server_refuses_with_its_own_texts() {
    let world = World::lab().with_unreachable("192.0.2.9");
    let (_simulator, client) = connected(world);
    let post = async |params: &[(&str, &str)]| {
        let request = Request::new(Method::Post, "/storage", &[]);
        let request = params
            .iter()
            .fold(request, |request, (name, value)| request.with(name, *value));
        client.request(request).await.unwrap_err()
    };
    let missing = post(&[("storage", "s2"), ("type", "dir")]).await;
    assert_eq!(
        missing.message().trim(),
        "missing value for required option 'path'"
    );
    let bogus = post(&[("storage", "s2"), ("type", "bogus"), ("path", "/x")]).await;
    assert_eq!(
        bogus.parameters()["type"],
        "value 'bogus' does not have a value in the enumeration 'btrfs, cephfs, cifs, dir, esxi, iscsi, iscsidirect, lvm, lvmthin, nfs, pbs, rbd, zfs, zfspool'"
    );
    let named = post(&[("storage", "2bad"), ("type", "dir"), ("path", "/x")]).await;
    assert_eq!(
        named.parameters()["storage"],
        "invalid format - storage ID '2bad' contains illegal characters\n"
    );
    let foreign = post(&[
        ("storage", "s2"),
        ("type", "dir"),
        ("path", "/x"),
        ("pool", "p"),
    ])
    .await;
    assert_eq!(foreign.message().trim(), "unexpected property 'pool'");
    let offline = client
        .storage("far")
        .create(&NewStorage::nfs("192.0.2.9", "/x"))
        .await;
    assert_eq!(
        offline.unwrap_err().message().trim(),
        "create storage failed: storage 'far' is not online"
    );
    let wrong = StorageSettings::new().with_username("x");
    let error = client.storage("local").update(&wrong).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Parameter, "{error}");
    let digest = client
        .storage("local")
        .get()
        .await
        .unwrap()
        .unwrap()
        .digest
        .unwrap();
    client
        .storage("new")
        .create(&NewStorage::directory("/srv"))
        .await
        .unwrap();
    let stale = Request::new(Method::Put, "/storage/local", &[])
        .with("disable", "0")
        .with("digest", digest);
    let error = client.request(stale).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Conflict);
    assert!(
        error
            .message()
            .starts_with("update storage failed: detected modified")
    );
}

#[tokio::test(start_paused = true)]
async fn a_backup_server_gets_a_key_once_and_keeps_it() {
    let (_simulator, client) = connected(World::lab());
    let pbs = client.storage("pbs");
    let print = ["ab"; 32].join(":");
    let wanted = NewStorage::backup_server("backup.example", "store").with_settings(
        StorageSettings::new()
            .with_username("pve@pbs!token")
            .with_password("s3cret-value")
            .with_fingerprint(&print)
            .with_namespace("site/rack")
            .with_encryption_key(&EncryptionKey::Autogen),
    );
    assert!(!format!("{wanted:?}").contains("s3cret-value"));
    let made = pbs.ensure(&wanted).await.unwrap();
    let key = made.encryption_key.as_ref().unwrap();
    assert!(!format!("{made:?}").contains(key.expose_secret()));
    let known = pbs.get().await.unwrap().unwrap();
    assert!(known.encrypts() && known.contents().contains("backup"));
    assert_eq!(known.namespace.as_deref(), Some("site/rack"));
    assert!(
        !format!("{known:?}").contains("s3cret-value"),
        "it is never told"
    );
    let again = pbs.ensure(&wanted).await.unwrap();
    assert_eq!(again.ensured, Ensured::Unchanged);
    assert!(again.encryption_key.is_none(), "old backups stay readable");

    let moved = EncryptionKey::Given(key.clone());
    let settings = StorageSettings::new()
        .with_encryption_key(&moved)
        .with_password("new");
    assert!(!format!("{settings:?} {moved:?}").contains("data"));
    let set = pbs.update(&settings).await.unwrap();
    assert_eq!(
        set.encryption_key.unwrap().expose_secret(),
        key.expose_secret()
    );
    let broken = EncryptionKey::Given("{}".into());
    let settings = StorageSettings::new().with_encryption_key(&broken);
    assert!(pbs.update(&settings).await.is_err());
    let alone = NewStorage::backup_server("backup.example", "store")
        .with_settings(StorageSettings::new().with_master_key("LS0t"));
    let error = client.storage("pbs2").create(&alone).await.unwrap_err();
    assert!(
        error
            .message()
            .contains("can only be used together with 'encryption-key'")
    );
}

#[tokio::test(start_paused = true)]
async fn a_node_uses_only_storages_that_are_on_and_for_it() {
    let world = World::lab().with_node(NodeSpec::new("pve2", 8, 32 << 30));
    let (_simulator, client) = connected(world);
    let files = client.storage("files");
    let settings = StorageSettings::new()
        .with_contents(["iso"])
        .with_nodes(["pve1"]);
    let directory = NewStorage::directory("/srv").with_settings(settings);
    files.ensure(&directory).await.unwrap();
    let here = client.node("pve1").storage("files");
    let there = client.node("pve2").storage("files");
    assert_eq!(here.status().await.unwrap().active, Some(true));
    assert_eq!(there.status().await.unwrap().enabled, Some(false));
    assert!(here.content(None).await.is_ok());
    let error = there.content(None).await.unwrap_err();
    assert!(
        error.message().contains("is not available on node 'pve2'"),
        "{error}"
    );
    files
        .update(&StorageSettings::new().with_enabled(false))
        .await
        .unwrap();
    let error = here.content(None).await.unwrap_err();
    assert!(error.message().contains("is disabled"), "{error}");
    assert_eq!(files.get().await.unwrap().unwrap().disabled, Some(true));
}

#[tokio::test(start_paused = true)]
async fn nodes_find_what_could_become_a_storage() {
    let world = World::lab()
        .with_scan("nfs", "nas", r#"[{"path":"/tank","options":"*"}]"#)
        .with_scan(
            "cifs",
            "nas",
            r#"[{"share":"media","description":"Films"}]"#,
        )
        .with_scan("pbs", "backup", r#"[{"store":"main"}]"#)
        .with_scan(
            "iscsi",
            "nas:3260",
            r#"[{"target":"iqn.a","portal":"nas:3260"}]"#,
        )
        .with_scan("lvm", "", r#"[{"vg":"pve"}]"#)
        .with_scan("lvmthin", "pve", r#"[{"lv":"data"}]"#)
        .with_scan("zfs", "", r#"[{"pool":"rpool"}]"#);
    let (_simulator, client) = connected(world);
    let scan = client.node("pve1").scan();
    assert_eq!(
        scan.nfs("nas").await.unwrap()[0].options.as_deref(),
        Some("*")
    );
    let login = ScanLogin::new("root@pam", "s3cret-value").with_port(8007);
    assert!(!format!("{login:?}").contains("s3cret-value"));
    assert_eq!(scan.cifs("nas", None).await.unwrap()[0].share, "media");
    assert_eq!(
        scan.backup_server("backup", &login).await.unwrap()[0].name,
        "main"
    );
    assert_eq!(scan.iscsi("nas:3260").await.unwrap()[0].target, "iqn.a");
    assert_eq!(scan.lvm().await.unwrap()[0].name, "pve");
    assert_eq!(scan.lvm_thin("pve").await.unwrap()[0].name, "data");
    assert_eq!(scan.zfs().await.unwrap()[0].name, "rpool");
    let error = scan.nfs("elsewhere").await.unwrap_err();
    assert!(error.message().contains("not simulated"), "{error}");
    let error = scan.backup_server("elsewhere", &login).await.unwrap_err();
    assert!(!format!("{error:?} {error}").contains("s3cret-value"));
}
