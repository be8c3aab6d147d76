//! Interfaces of nodes: configured, waiting, applied, reverted; and names and time of nodes.

use proxmox_client::network::{BondMode, InterfaceSettings};
use proxmox_client::sdn::{Applied, VnetSettings, ZoneSettings};
use proxmox_client::simulator::{NodeSpec, Simulator, World};
use proxmox_client::{Client, Ensured, Kind, Removed};

use crate::laboratory::connected;

fn lab() -> (Simulator, Client) {
    let node = NodeSpec::new("pve1", 8, 16 << 30)
        .with_card("eno1")
        .with_card("eno2")
        .with_card("eno3")
        .with_bridge("vmbr0", false);
    connected(World::lab().with_node(node))
}

#[tokio::test(start_paused = true)]
async fn a_bridge_waits_as_a_diff_until_it_is_applied() {
    let (simulator, client) = lab();
    let node = client.node("pve1");
    let bridge = node.interface("vmbr1");
    let wanted = InterfaceSettings::bridge(["eno2"])
        .with_address("198.51.100.1/24")
        .with_autostart(true)
        .with_vlan_aware(true)
        .with_comment("inner");
    assert_eq!(bridge.ensure(&wanted).await.unwrap(), Ensured::Created);
    assert_eq!(bridge.ensure(&wanted).await.unwrap(), Ensured::Unchanged);
    let diff = node.pending_network().await.unwrap().unwrap();
    let added: Vec<&str> = diff
        .lines()
        .filter(|line| line.starts_with('+'))
        .skip(1)
        .collect();
    assert_eq!(
        added,
        [
            "+auto vmbr1",
            "+iface vmbr1 inet static",
            "+\taddress 198.51.100.1/24",
            "+\tbridge-ports eno2",
            "+\tbridge-stp off",
            "+\tbridge-fd 0",
            "+\tbridge-vlan-aware yes",
            "+\tbridge-vids 2-4094",
            "+#inner",
            "+",
        ]
    );
    let known = bridge.get().await.unwrap().unwrap();
    assert_eq!(
        (known.kind.as_deref(), known.cidr.as_deref()),
        (Some("bridge"), Some("198.51.100.1/24"))
    );
    let all = node.networks(Some("any_bridge")).await.unwrap();
    let active: Vec<(&str, Option<bool>)> = all
        .iter()
        .map(|one| (one.name.as_str(), one.active))
        .collect();
    assert_eq!(active, [("vmbr0", Some(true)), ("vmbr1", None)]);

    assert_eq!(
        node.apply_pending_network().await.unwrap(),
        Applied::Applied
    );
    assert_eq!(
        node.apply_pending_network().await.unwrap(),
        Applied::Unchanged
    );
    assert_eq!(node.pending_network().await.unwrap(), None);
    let tasks = simulator.with(|world| {
        world
            .tasks()
            .map(|(upid, _, _)| upid.to_owned())
            .collect::<Vec<_>>()
    });
    assert!(
        tasks[0].contains(":srvreload:networking:root@pam!lab:"),
        "{tasks:?}"
    );

    // The address stays although the change does not name it.
    let plain = InterfaceSettings::bridge(["eno2"])
        .with_vlan_aware(false)
        .with_mtu(1500);
    let mut changed = match bridge.ensure(&plain).await.unwrap() {
        Ensured::Updated(changed) => changed,
        other => panic!("{other:?}"),
    };
    changed.sort_unstable();
    assert_eq!(changed, ["bridge_vlan_aware", "mtu"]);
    let known = bridge.get().await.unwrap().unwrap();
    assert_eq!(
        (known.method.as_deref(), known.vlan_aware),
        (Some("static"), None)
    );
    node.revert_network().await.unwrap();
    assert_eq!(bridge.get().await.unwrap().unwrap().vlan_aware, Some(true));
    assert_eq!(bridge.delete().await.unwrap(), Removed::Removed);
    assert_eq!(bridge.delete().await.unwrap(), Removed::Absent);
    assert!(bridge.get().await.unwrap().is_none());
}

#[tokio::test(start_paused = true)]
async fn bonds_and_vlans_need_what_they_are_made_of() {
    let (_simulator, client) = lab();
    let node = client.node("pve1");
    let bond = InterfaceSettings::bond(&BondMode::Lacp, ["eno2", "eno3"])
        .with_hash_policy("layer3+4")
        .with_autostart(true);
    node.interface("bond0").ensure(&bond).await.unwrap();
    assert_eq!(
        node.interface("bond0").ensure(&bond).await.unwrap(),
        Ensured::Unchanged
    );
    let vlan = InterfaceSettings::vlan().with_address6("2001:db8::1/64");
    node.interface("bond0.20").ensure(&vlan).await.unwrap();
    let known = node.interface("bond0.20").get().await.unwrap().unwrap();
    assert_eq!(
        (known.vlan_id, known.raw_device.as_deref()),
        (Some(20), Some("bond0"))
    );
    assert_eq!(known.cidr6.as_deref(), Some("2001:db8::1/64"));

    let refused = [
        (
            "bond1",
            InterfaceSettings::bond(&BondMode::ActiveBackup, ["eno9"]),
            "bond 'bond1' - unable to find slave 'eno9'",
        ),
        (
            "eno7.5",
            InterfaceSettings::vlan(),
            "vlan 'eno7.5' - unable to find parent 'eno7'",
        ),
        (
            "bond0.5000",
            InterfaceSettings::vlan(),
            "vlan 'bond0.5000' - vlan-id 5000 should be <= 4094",
        ),
        (
            "vmbr1",
            InterfaceSettings::bridge(["eno8"]),
            "bridge 'vmbr1' - unable to find bridge port 'eno8'",
        ),
        (
            "vmbr1",
            InterfaceSettings::bridge(["bond0.20"]),
            "iface bond0.20 - ip address can't be set on interface if bridged in vmbr1",
        ),
        (
            "eno1.30",
            InterfaceSettings::vlan().with_mtu(9000),
            "interface 'eno1' - mtu 1500 is lower than 'eno1.30' - mtu 9000",
        ),
        (
            "vmbr1",
            InterfaceSettings::of_kind(&proxmox_client::network::InterfaceKind::OvsBridge),
            "Open VSwitch is not installed (need package 'openvswitch-switch')",
        ),
    ];
    for (name, wanted, why) in refused {
        let error = node.interface(name).ensure(&wanted).await.unwrap_err();
        assert_eq!(error.message(), why);
    }
    let taken = node
        .interface("vmbr1")
        .ensure(&InterfaceSettings::bridge(["eno1"]))
        .await
        .unwrap_err();
    assert_eq!(
        taken.parameters()["bridge_ports"],
        "eno1 is already used on interface 'vmbr0'."
    );
    let gateway = |address| InterfaceSettings::ethernet().with_gateway(address);
    node.interface("eno1")
        .ensure(&gateway("192.0.2.254"))
        .await
        .unwrap();
    let second = node
        .interface("bond0")
        .update(&InterfaceSettings::new().with_gateway("192.0.2.253"))
        .await;
    assert_eq!(
        second.unwrap_err().parameters()["gateway"],
        "Default gateway already exists on interface 'eno1'."
    );
    let other = node
        .interface("bond0")
        .ensure(&InterfaceSettings::ethernet())
        .await
        .unwrap_err();
    assert_eq!(other.kind(), Kind::InvalidInput);
    let gone = node
        .interface("eno9")
        .update(&InterfaceSettings::new().with_mtu(9000))
        .await;
    assert_eq!(gone.unwrap_err().kind(), Kind::NotFound);
}

#[tokio::test(start_paused = true)]
async fn vnets_are_bridges_of_their_nodes_once_they_are_applied() {
    let (_simulator, client) = lab();
    let node = client.node("pve1");
    let sdn = client.sdn();
    sdn.zone("ss")
        .ensure(&ZoneSettings::simple())
        .await
        .unwrap();
    sdn.vnet("n1")
        .ensure(&VnetSettings::in_zone("ss"))
        .await
        .unwrap();
    // A change of the node's own goes into effect with them.
    node.interface("vmbr1")
        .ensure(&InterfaceSettings::bridge([""; 0]))
        .await
        .unwrap();
    let names = |all: Vec<proxmox_client::NetworkInterface>| -> Vec<String> {
        all.into_iter().map(|one| one.name).collect()
    };
    assert_eq!(
        names(node.networks(Some("any_bridge")).await.unwrap()),
        ["vmbr0", "vmbr1"]
    );
    sdn.apply().await.unwrap();
    tokio::time::sleep(std::time::Duration::from_secs(5)).await;
    assert_eq!(
        names(node.networks(Some("any_bridge")).await.unwrap()),
        ["vmbr0", "vmbr1", "n1"]
    );
    assert_eq!(
        names(node.networks(Some("any_local_bridge")).await.unwrap()),
        ["vmbr0", "vmbr1"]
    );
    assert_eq!(node.pending_network().await.unwrap(), None);
}

#[tokio::test(start_paused = true)]
async fn names_and_time_of_a_node_are_set_where_they_differ() {
    let (simulator, client) = lab();
    let node = client.node("pve1");
    let servers = ["192.0.2.53", "2001:db8::53"];
    assert!(matches!(
        node.ensure_dns("lab.test", &servers).await.unwrap(),
        Ensured::Updated(_)
    ));
    assert_eq!(
        node.ensure_dns("lab.test", &servers).await.unwrap(),
        Ensured::Unchanged
    );
    assert_eq!(
        node.ensure_dns("lab.test", &servers[..1]).await.unwrap(),
        Ensured::Updated(vec!["dns2".to_owned()])
    );
    assert_eq!(node.dns().await.unwrap().second, None);
    let many = node
        .ensure_dns("lab.test", &["192.0.2.1"; 4])
        .await
        .unwrap_err();
    assert_eq!(many.kind(), Kind::InvalidInput);

    let hosts = node.hosts().await.unwrap();
    let text = format!("{}192.0.2.20 nas\n", hosts.text);
    assert!(matches!(
        node.ensure_hosts(&text).await.unwrap(),
        Ensured::Updated(_)
    ));
    assert_eq!(node.ensure_hosts(&text).await.unwrap(), Ensured::Unchanged);
    assert!(
        node.hosts()
            .await
            .unwrap()
            .text
            .ends_with("192.0.2.20 nas\n")
    );

    assert_eq!(node.time().await.unwrap().zone, "UTC");
    node.ensure_time_zone("Europe/Vienna").await.unwrap();
    let before = simulator.journal().len();
    assert_eq!(
        node.ensure_time_zone("Europe/Vienna").await.unwrap(),
        Ensured::Unchanged
    );
    assert_eq!(simulator.journal().len(), before + 1);
}
