//! Property strings, sizes and task identifiers.

use proptest::prelude::*;
use proxmox_client::property::{
    Drive, EfiDisk, HostPci, IpConfig, NextId, Nic, NumaNode, PropertyKeys, PropertyString, Usb,
    Vga, VirtioFs, Watchdog,
};
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

#[test]
fn devices_of_the_node_are_read_and_changed_by_key() {
    let device: HostPci = "0000:01:00.0,pcie=on,future=1,rombar=no".parse().unwrap();
    assert_eq!(device.host().as_deref(), Some("0000:01:00.0"));
    assert_eq!(
        (device.pcie(), device.rombar(), device.x_vga()),
        (Some(true), Some(false), None)
    );
    assert_eq!(
        device.with_x_vga(true).without("rombar").to_string(),
        "0000:01:00.0,pcie=on,future=1,x-vga=1"
    );
    let shared = VirtioFs::default().with_cache("always").with_dirid("media");
    assert_eq!(shared.to_string(), "media,cache=always");
    assert_eq!(
        Vga::default()
            .with_memory(64)
            .with_type("virtio")
            .to_string(),
        "virtio,memory=64"
    );
    assert_eq!("spice,usb3=1".parse::<Usb>().unwrap().usb3(), Some(true));
    assert_eq!(
        "action=reset,i6300esb"
            .parse::<Watchdog>()
            .unwrap()
            .model()
            .as_deref(),
        Some("i6300esb")
    );
    assert_eq!(
        "lower=200,upper=300".parse::<NextId>().unwrap().upper(),
        Some(300)
    );
}

#[test]
fn everything_that_the_server_refuses_is_told_with_its_key() {
    let told = |key: &str, text: &str| -> Vec<String> {
        let keys = PropertyKeys::of_machine(key).unwrap();
        let problems = PropertyString::parse(text).problems(keys);
        problems.iter().map(ToString::to_string).collect()
    };
    let nothing: [&str; 0] = [];
    assert_eq!(
        told("net3", "virtio=BC:24:11:00:00:01,bridge=vmbr0,tag=20"),
        nothing
    );
    assert_eq!(
        told("scsi0", "local-lvm:vm-1-disk-0,discard=on,ssd=yes,size=8G"),
        nothing
    );
    assert_eq!(told("hostpci0", "mapping=gpu,pcie=1"), nothing);
    assert_eq!(
        told(
            "net0",
            "virtio=BC:24:11:00:00:01,model=e1000,tag=0,queues=x"
        ),
        [
            "`model`: stands twice",
            "`tag`: 0 is less than 1",
            "`queues`: `x` is not a whole number"
        ]
    );
    assert_eq!(
        told("scsi0", "local:1,volume=local:2,cache=fast,iothread=2"),
        [
            "`file`: stands twice",
            "`cache`: `fast` is none of none, writethrough, writeback, unsafe, directsync",
            "`iothread`: `2` is not a flag (0 or 1)"
        ]
    );
    assert_eq!(
        told("numa0", "hostnodes=a;b"),
        [
            "`hostnodes`: `a;b` does not have the form ^(?:(?:\\d+(?:-\\d+)?(?:;\\d+(?:-\\d+)?)*))$",
            "`cpus`: is missing"
        ]
    );
    assert_eq!(
        told("smbios1", "x"),
        ["`x`: has no key, and no key is meant without one"]
    );
    assert!(PropertyKeys::of_machine("name").is_none());
    assert!(
        PropertyKeys::of_container("net0")
            .unwrap()
            .names()
            .any(|key| key == "hwaddr")
    );
    assert_eq!("cpus=0-1".parse::<NumaNode>().unwrap().problems(), []);
}

proptest! {
    #[test]
    fn a_view_prints_what_it_read_and_changes_one_key_alone(
        parts in proptest::collection::btree_map("[a-z][a-z0-9_-]{0,6}", "[a-z0-9:/._=-]{1,8}", 0..6),
        pcie in any::<bool>(),
    ) {
        let mut parts = parts;
        parts.remove("pcie");
        let text: Vec<String> = parts.iter().map(|(key, value)| format!("{key}={value}")).collect();
        let text = text.join(",");
        let device: HostPci = text.parse().unwrap();
        prop_assert_eq!(device.to_string(), &text[..]);
        let changed = device.clone().with_pcie(pcie);
        prop_assert_eq!(changed.pcie(), Some(pcie));
        for (key, value) in &parts {
            prop_assert_eq!(changed.get(key), Some(value.as_str()));
        }
        prop_assert_eq!(changed.without("pcie"), device);
    }

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
        let split = PropertyString::parse(&text);
        for key in ["scsi0", "net0", "hostpci0", "numa0", "smbios1", "memory"] {
            let _ = PropertyKeys::of_machine(key).map(|keys| split.problems(keys));
        }
        let _ = split.to_string();
    }
}

#[test]
fn secrets_inside_property_strings_are_not_shown() {
    use proxmox_client::property::{RealmTfa, RemoteNode};
    let text = "apitoken=PVEAPIToken=root@pam!x=hunter22,host=192.0.2.7,port=8007";
    let node: RemoteNode = text.parse().unwrap();
    assert_eq!(node.host().as_deref(), Some("192.0.2.7"));
    let token = node.apitoken().unwrap();
    let string = node.as_property_string();
    assert!(!format!("{node:?} {token:?} {string:?}").contains("hunter22"));
    assert_eq!(node.to_string(), text);
    assert!(node.problems().is_empty(), "{:?}", node.problems());
    let factor: RealmTfa = "type=yubico,id=1,key=hunter22".parse().unwrap();
    let shown = format!("{factor:?}");
    assert!(
        shown.contains("yubico") && !shown.contains("hunter22"),
        "{shown}"
    );
}

#[test]
fn ranges_of_addresses_are_read() {
    use proxmox_client::property::DhcpRange;
    let range = DhcpRange::default()
        .with_start_address("192.0.2.10")
        .with_end_address("192.0.2.20");
    assert_eq!(
        range.to_string(),
        "start-address=192.0.2.10,end-address=192.0.2.20"
    );
    assert!(range.problems().is_empty());
    let wrong: DhcpRange = "start-address=192.0.2,end-address=192.0.2.20"
        .parse()
        .unwrap();
    let problems: Vec<String> = wrong.problems().iter().map(ToString::to_string).collect();
    assert_eq!(problems, ["`start-address`: `192.0.2` is not an address"]);
}

#[test]
fn a_strict_reader_knows_formats_and_keys_that_need_others() {
    use proxmox_client::property::{PropertyKeys, PropertyString};
    let problems = |key: &str, text: &str| -> Vec<String> {
        let keys = PropertyKeys::of_machine(key).unwrap();
        let problems = PropertyString::parse(text).problems(keys);
        problems.iter().map(ToString::to_string).collect()
    };
    assert_eq!(
        problems("ipconfig0", "gw=192.0.2.1"),
        ["`ip`: is missing, and `gw` needs it"]
    );
    assert!(problems("ipconfig0", "ip=192.0.2.9/24,gw=192.0.2.1").is_empty());
    assert_eq!(
        problems("ipconfig0", "ip=192.0.2.9"),
        ["`ip`: `192.0.2.9` is not an IPv4 address with a prefix length, `dhcp` or `manual`"]
    );
    assert_eq!(
        problems("net0", "virtio=bc:24:11:00:00:0g,bridge=vmbr0"),
        ["`macaddr`: `bc:24:11:00:00:0g` is not the MAC address of one card"]
    );
}
