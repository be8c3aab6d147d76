//! Resource mappings, and the devices that they stand for.

use proxmox_client::mapping::{
    DirMap, DirMappingSettings, PciMap, PciMappingSettings, Severity, UsbMap, UsbMappingSettings,
};
use proxmox_client::simulator::{NodeSpec, PciSpec, Simulator, UsbSpec, World};
use proxmox_client::{Client, Ensured, Kind, Removed};

use crate::laboratory::connected;

fn lab() -> (Simulator, Client) {
    let gpu = PciSpec::new("0000:01:00.0", "10de", "2684")
        .with_class("030000")
        .with_iommu_group(14)
        .with_subsystem("1043", "88e2");
    let node = NodeSpec::new("pve1", 8, 16 << 30)
        .with_pci_device(gpu)
        .with_pci_device(PciSpec::new("0000:00:1f.0", "8086", "7a04").with_class("060100"))
        .with_pci_device(PciSpec::new("0000:02:00.0", "8086", "1572").with_iommu_group(15))
        .with_usb_device(UsbSpec::new("0529", "0620", 1, "2.3"));
    connected(World::lab().with_node(node))
}

#[tokio::test(start_paused = true)]
async fn a_card_gets_one_name_on_every_node() {
    let (simulator, client) = lab();
    let devices = client.node("pve1").pci_devices().await.unwrap();
    let paths: Vec<&str> = devices.iter().map(|device| device.id.as_str()).collect();
    assert_eq!(
        paths,
        ["0000:01:00.0", "0000:02:00.0"],
        "bridges are left out"
    );
    let gpu = devices.iter().find(|device| device.is_display()).unwrap();
    let maps = [
        PciMap::of_device("pve1", gpu),
        PciMap::new("pve2", "0000:41:00.0", "10de:2684").with_iommu_group(3u32),
    ];
    assert_eq!(
        maps[0].to_string(),
        "node=pve1,path=0000:01:00.0,id=10de:2684,subsystem-id=1043:88e2,iommugroup=14"
    );
    let mapping = client.mappings().pci_device("gpu");
    let wanted = PciMappingSettings::new()
        .with_maps(&maps)
        .with_description("Graphics");
    assert_eq!(mapping.ensure(&wanted).await.unwrap(), Ensured::Created);
    let before = simulator.journal().len();
    assert_eq!(mapping.ensure(&wanted).await.unwrap(), Ensured::Unchanged);
    assert_eq!(simulator.journal().len(), before + 1);
    let known = mapping.get().await.unwrap().unwrap();
    assert_eq!(known.maps().unwrap(), maps);
    assert_eq!(known.digest.as_ref().map(String::len), Some(40));

    // A change that does not name the maps keeps them.
    let changed = mapping
        .update(&PciMappingSettings::new().with_mediated(true))
        .await
        .unwrap();
    assert_eq!(changed, Ensured::Updated(vec!["mdev".to_owned()]));
    assert_eq!(mapping.get().await.unwrap().unwrap().maps().unwrap(), maps);
    let checked = client.mappings().pci_checked("pve1").await.unwrap();
    assert_eq!(checked[0].problems()[0].severity, Severity::Error);
    assert!(
        checked[0].problems()[0]
            .message
            .contains("'mdev' does not match for 'gpu' (0 != 1)")
    );
    mapping
        .update(&PciMappingSettings::new().with_mediated(false))
        .await
        .unwrap();
    assert!(
        client.mappings().pci_checked("pve1").await.unwrap()[0]
            .problems()
            .is_empty()
    );
    assert!(
        client.mappings().pci_checked("pve2").await.is_err(),
        "another node answers"
    );

    assert_eq!(mapping.delete().await.unwrap(), Removed::Removed);
    assert_eq!(mapping.delete().await.unwrap(), Removed::Absent);
    assert!(mapping.get().await.unwrap().is_none());
    let gone = mapping.update(&wanted).await.unwrap_err();
    assert_eq!(gone.kind(), Kind::NotFound);
}

#[tokio::test(start_paused = true)]
async fn what_is_not_there_is_found_when_a_node_checks() {
    let (_simulator, client) = lab();
    let mappings = client.mappings();
    let cases = [
        (
            "aa",
            PciMap::new("pve1", "0000:09:00.0", "10de:2684"),
            "pci device '0000:09:00.0' not found",
        ),
        (
            "bb",
            PciMap::new("pve1", "0000:02:00", "8086:1572"),
            "missing expected property 'iommugroup' for device '0000:02:00.0'",
        ),
        (
            "cc",
            PciMap::new("pve1", "0000:02:00.0", "8086:1573").with_iommu_group(15u32),
            "'id' does not match for 'cc' (8086:1572 != 8086:1573)",
        ),
        (
            "dd",
            PciMap::new("pve2", "0000:02:00.0", "8086:1572"),
            "No mapping for node pve1.",
        ),
    ];
    for (id, map, _) in &cases {
        mappings
            .pci_device(*id)
            .ensure(&PciMappingSettings::new().with_maps([map]))
            .await
            .unwrap();
    }
    let checked = mappings.pci_checked("pve1").await.unwrap();
    for (id, _, why) in &cases {
        let one = checked.iter().find(|one| one.id == *id).unwrap();
        assert!(
            one.problems()[0].message.contains(why),
            "{:?}",
            one.problems()
        );
    }
    assert_eq!(checked[3].problems()[0].severity, Severity::Warning);
}

#[tokio::test(start_paused = true)]
async fn usb_devices_and_directories_are_mapped_too() {
    let (_simulator, client) = lab();
    let sticks = client.node("pve1").usb_devices().await.unwrap();
    let key = client.mappings().usb_device("key");
    let map = UsbMap::of_device("pve1", &sticks[0]);
    key.ensure(&UsbMappingSettings::new().with_maps([&map]))
        .await
        .unwrap();
    assert!(
        client.mappings().usb_checked("pve1").await.unwrap()[0]
            .problems()
            .is_empty()
    );
    let moved = map.with_path("1-2.4");
    key.ensure(&UsbMappingSettings::new().with_maps([&moved]))
        .await
        .unwrap();
    let checked = client.mappings().usb_checked("pve1").await.unwrap();
    assert!(
        checked[0].problems()[0]
            .message
            .contains("usb device '1-2.4' not found")
    );

    let share = client.mappings().dir("share");
    let twice = [DirMap::new("pve1", "/srv/a"), DirMap::new("pve1", "/srv/b")];
    let error = share
        .ensure(&DirMappingSettings::new().with_maps(&twice))
        .await
        .unwrap_err();
    assert!(
        error
            .message()
            .ends_with("Node 'pve1' is specified 2 times."),
        "{error}"
    );
    let maps = [DirMap::new("pve1", "/srv/a"), DirMap::new("pve2", "/srv/b")];
    share
        .ensure(&DirMappingSettings::new().with_maps(&maps))
        .await
        .unwrap();
    let again = [maps[1].clone(), maps[0].clone()];
    let wanted = DirMappingSettings::new().with_maps(&again);
    assert_eq!(
        share.ensure(&wanted).await.unwrap(),
        Ensured::Unchanged,
        "their order is nothing"
    );
    assert_eq!(
        client.mappings().dirs().await.unwrap()[0].maps().unwrap(),
        maps
    );
    let exists = share.create(&wanted).await.unwrap_err();
    assert_eq!(exists.kind(), Kind::AlreadyExists);
}
