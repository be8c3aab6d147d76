//! What nodes tell of their disks, updates, certificates and subscriptions.

use proxmox_client::Kind;
use proxmox_client::certificate::NodeCertificate;
use proxmox_client::simulator::{Simulator, World};
use proxmox_client::upkeep::{PackageUpdate, PhysicalDisk, Subscription, SubscriptionStatus};
use proxmox_client::wire::Answer;
use secrecy::SecretString;

fn read<T: serde::de::DeserializeOwned>(data: &str) -> T {
    let body = format!(r#"{{"data":{data}}}"#);
    Answer::new(200, "OK", body).data().unwrap()
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
async fn a_key_stays_out_of_errors() {
    let node = Simulator::new(World::lab()).connect().node("pve1");
    let key =
        SecretString::from("-----BEGIN PRIVATE KEY-----\nhunter2\n-----END PRIVATE KEY-----\n");
    let error = node
        .set_certificate("no certificate", &key)
        .await
        .unwrap_err();
    assert_ne!(error.kind(), Kind::Decode);
    assert!(!format!("{error:?}{error}").contains("hunter2"));
}
