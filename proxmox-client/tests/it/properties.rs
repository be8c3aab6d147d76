//! Property strings, sizes and task identifiers.

use proptest::prelude::*;
use proxmox_client::property::{Drive, EfiDisk, IpConfig, Nic, PropertyString};
use proxmox_client::{QemuConfig, Size, Upid};

#[test]
fn unknown_keys_and_order_survive_a_change_of_one_key() {
    let text = "local-lvm:vm-1-disk-0,zeta=1,discard=on,alpha=x=y,size=8G";
    let drive: Drive = text.parse().unwrap();
    assert_eq!(drive.to_string(), text);
    assert_eq!(
        drive.with_discard("ignore").with_ssd(true).to_string(),
        "local-lvm:vm-1-disk-0,zeta=1,discard=ignore,alpha=x=y,size=8G,ssd=1"
    );
}

#[test]
fn a_network_card_names_its_model_by_its_address() {
    let nic: Nic = "e1000=BC:24:11:00:00:01,bridge=vmbr0,firewall=1"
        .parse()
        .unwrap();
    assert_eq!(nic.model().as_deref(), Some("e1000"));
    assert_eq!(nic.mac().as_deref(), Some("BC:24:11:00:00:01"));
    let fresh = Nic::virtio("vmbr0")
        .with_mac("BC:24:11:00:00:02")
        .with_tag(20u16);
    assert_eq!(
        fresh.to_string(),
        "virtio=BC:24:11:00:00:02,bridge=vmbr0,tag=20"
    );
    let wanted = Nic::virtio("vmbr0").with_tag(20u16);
    assert!(fresh.satisfies(&wanted));
    assert!(!wanted.satisfies(&fresh));
}

#[test]
fn what_the_server_would_refuse_is_refused_before_it_is_sent() {
    assert!("bridge=vmbr0,bridge=vmbr1".parse::<Nic>().is_err());
    let error = "dhcp".parse::<IpConfig>().unwrap_err();
    assert!(error.to_string().contains("has no key"), "{error}");
}

#[test]
fn drives_that_are_there_satisfy_the_wish_to_make_them() {
    let have = QemuConfig::new()
        .with(
            "scsi0",
            "local-lvm:vm-1-disk-0,discard=on,iothread=1,size=32G",
        )
        .with("ide2", "local-lvm:vm-1-cloudinit,media=cdrom")
        .with(
            "efidisk0",
            "local-lvm:vm-1-disk-1,efitype=4m,pre-enrolled-keys=0,size=4M",
        )
        .with("net0", "virtio=BC:24:11:00:00:01,bridge=vmbr0,firewall=0")
        .with("tags", "b;a")
        .with("memory", "2048")
        .with("onboot", 1);
    let wanted = QemuConfig::new()
        .with_drive(
            "scsi0",
            Drive::import("local-lvm", "local:import/x.qcow2")
                .with_iothread(true)
                .with_discard("on"),
        )
        .with_drive("ide2", Drive::cloud_init("local-lvm"))
        .with_efi_disk(&EfiDisk::allocate("local-lvm"))
        .with_net(0, Nic::virtio("vmbr0").with_firewall(false))
        .with_tags(["a", "b"])
        .with_memory_mib(2048)
        .with_on_boot(true);
    assert!(
        have.patch_to(&wanted).is_empty(),
        "{:?}",
        have.patch_to(&wanted)
    );
    let moved = QemuConfig::new().with_drive("scsi0", Drive::allocate("local-hdd", 8));
    let patch = have.patch_to(&moved);
    assert_eq!(patch.keys().collect::<Vec<_>>(), ["scsi0"]);
}

proptest! {
    #[test]
    fn any_text_splits_and_joins_without_loss(parts in proptest::collection::vec("[a-z0-9:/._=-]{1,12}", 0..8)) {
        let text = parts.join(",");
        prop_assert_eq!(PropertyString::parse(&text).to_string(), text);
    }

    #[test]
    fn a_size_reads_back_as_it_was_printed(bytes in any::<u64>()) {
        let size = Size::bytes(bytes);
        prop_assert_eq!(size.to_string().parse::<Size>().unwrap(), size);
    }

    #[test]
    fn a_task_identifier_keeps_its_text(pid in any::<u32>(), pstart in 0u64..0xF_FFFF_FFFF, start in any::<u32>(), id in "[A-Za-z0-9@>-]{0,12}") {
        let text = format!("UPID:pve-1:{pid:08X}:{pstart:08X}:{start:08X}:qmmove:{id}:a@pve!t:");
        let upid: Upid = text.parse().unwrap();
        prop_assert_eq!(upid.as_str(), &text);
        prop_assert_eq!(upid.pid(), pid);
        prop_assert_eq!(upid.id().unwrap_or(""), id);
        prop_assert_eq!(upid.node(), "pve-1");
    }

    #[test]
    fn no_text_makes_a_parser_panic(text in ".{0,60}") {
        let _ = text.parse::<Upid>();
        let _ = text.parse::<Size>();
        let _ = text.parse::<Drive>();
        let _ = text.parse::<Nic>();
        let _ = PropertyString::parse(&text).to_string();
    }
}
