//! What cloud-init is given, and the other calls that touch a machine but not its disks.

use proxmox_client::simulator::{Simulator, World};
use proxmox_client::{CloudInitPart, Kind, Qemu, QemuConfig, Resumed, Suspended};

const KEY: &str =
    "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGFha2V0ZXN0a2V5MTIzNDU2Nzg5MDEyMzQ1Njc4OTAx a@b";

/// The machine of the recorded answers.
async fn machine() -> (Simulator, Qemu) {
    let simulator = Simulator::new(World::lab());
    let config = QemuConfig::new()
        .with_name("imported")
        .with("net0", "virtio=BC:24:11:0B:93:7A,bridge=vmbr0")
        .with("ide2", "local:cloudinit")
        .with("ipconfig0", "ip=192.0.2.50/24,gw=192.0.2.1")
        .with("nameserver", "192.0.2.53")
        .with("searchdomain", "example.test")
        .with_cloud_init_user("ubuntu")
        .with_cloud_init_password("pw-secret")
        .with_ssh_keys([KEY]);
    let node = simulator.connect().node("pve1");
    let qemu = node.create_qemu(120, config).await.unwrap().qemu;
    (simulator, qemu)
}

#[tokio::test(start_paused = true)]
async fn what_cloud_init_is_given_reads_as_on_the_recorded_server() {
    let (_simulator, qemu) = machine().await;
    let dump = async |part| qemu.cloud_init_dump(part).await.unwrap();
    let user = format!(
        "#cloud-config\nhostname: imported\nmanage_etc_hosts: true\nfqdn: imported.example.test\nuser: ubuntu\n\
         password: pw-secret\nssh_authorized_keys:\n  - {KEY}\nchpasswd:\n  expire: False\nusers:\n  - default\n\
         package_upgrade: true\n"
    );
    assert_eq!(dump(CloudInitPart::User).await, user);
    assert_eq!(
        dump(CloudInitPart::Network).await,
        "version: 1\nconfig:\n    - type: physical\n      name: eth0\n      mac_address: 'bc:24:11:0b:93:7a'\n      subnets:\n\
         \u{20}     - type: static\n        address: '192.0.2.50'\n        netmask: '255.255.255.0'\n        gateway: '192.0.2.1'\n\
         \u{20}   - type: nameserver\n      address:\n      - '192.0.2.53'\n      search:\n      - 'example.test'\n"
    );
    let meta = dump(CloudInitPart::Meta).await;
    let id = meta.strip_prefix("instance-id: ").unwrap().trim_end();
    assert_eq!(id.len(), 40);
    qemu.ensure_config(&QemuConfig::new().with_name("other"))
        .await
        .unwrap();
    assert_ne!(dump(CloudInitPart::Meta).await, meta, "another instance");
}

#[tokio::test(start_paused = true)]
async fn a_changed_key_waits_until_the_drive_is_made_anew() {
    let (_simulator, qemu) = machine().await;
    let waiting = async || {
        let entries = qemu.cloud_init().await.unwrap();
        let waiting = entries.into_iter().filter(|entry| entry.is_waiting());
        waiting.map(|entry| entry.key).collect::<Vec<_>>()
    };
    assert!(waiting().await.is_empty());
    let debian = QemuConfig::new().with_cloud_init_user("debian");
    qemu.ensure_config(&debian).await.unwrap();
    let entries = qemu.cloud_init().await.unwrap();
    let user = entries.iter().find(|entry| entry.key == "ciuser").unwrap();
    assert_eq!(user.value, Some("ubuntu".into()));
    assert_eq!(user.pending, Some("debian".into()));
    assert!(!format!("{entries:?}").contains("pw-secret"));
    let back = QemuConfig::new().with_cloud_init_user("ubuntu");
    qemu.ensure_config(&back).await.unwrap();
    assert!(waiting().await.is_empty(), "it is as it was");
    qemu.update(|_| Ok(proxmox_client::QemuPatch::new().delete("searchdomain")))
        .await
        .unwrap();
    assert_eq!(waiting().await, ["searchdomain"]);
    qemu.regenerate_cloud_init().await.unwrap();
    assert!(waiting().await.is_empty());
    qemu.ensure_config(&debian).await.unwrap();
    assert_eq!(waiting().await, ["ciuser"]);
    qemu.start().await.unwrap();
    assert!(waiting().await.is_empty(), "a start makes the drive anew");
}

#[tokio::test(start_paused = true)]
async fn a_machine_pauses_goes_on_and_takes_keys() {
    let (_simulator, qemu) = machine().await;
    assert_eq!(qemu.pause().await.unwrap_err().kind(), Kind::PowerState);
    assert_eq!(qemu.resume().await.unwrap_err().kind(), Kind::PowerState);
    let error = qemu.send_key("ret").await.unwrap_err();
    assert_eq!(error.kind(), Kind::PowerState);
    qemu.start().await.unwrap();
    assert_eq!(qemu.pause().await.unwrap(), Suspended::InMemory);
    let state = async || qemu.status().await.unwrap().qmp_status.unwrap();
    assert_eq!(state().await, "paused");
    assert_eq!(qemu.resume().await.unwrap(), Resumed::Running);
    assert_eq!(state().await, "running");
    qemu.send_key("ctrl-alt-delete").await.unwrap();
}
