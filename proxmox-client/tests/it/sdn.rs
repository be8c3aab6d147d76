//! Software-defined networks: configured, waiting, applied, dropped.

use proxmox_client::sdn::{
    Applied, ChangeState, ControllerSettings, DnsSettings, SdnNoun, SubnetSettings, VnetSettings,
    ZoneKind, ZoneSettings, ZoneStatus,
};
use proxmox_client::simulator::{NodeSpec, Simulator, World};
use proxmox_client::{Client, Ensured, Kind, Removed};

use crate::laboratory::{connected, writes};

fn lab() -> (Simulator, Client) {
    let world = World::lab().with_node(NodeSpec::new("pve2", 8, 16 << 30));
    connected(world)
}

#[tokio::test(start_paused = true)]
async fn networks_wait_until_they_are_applied_and_then_every_node_has_them() {
    let (simulator, client) = lab();
    let sdn = client.sdn();
    let settings = ZoneSettings::simple().with_mtu(1450).with_ipam("pve");
    assert_eq!(
        sdn.zone("lab").ensure(&settings).await.unwrap(),
        Ensured::Created
    );
    let vnet = sdn.vnet("lab0");
    vnet.ensure(&VnetSettings::in_zone("lab").with_alias("inner net"))
        .await
        .unwrap();
    let subnet = vnet.subnet("198.51.100.0/24");
    let wanted = SubnetSettings::new()
        .with_gateway("198.51.100.1")
        .with_snat(true)
        .with_dhcp_ranges([("198.51.100.100", "198.51.100.199")]);
    assert_eq!(subnet.ensure(&wanted).await.unwrap(), Ensured::Created);

    let before = writes(&simulator);
    assert_eq!(
        sdn.zone("lab").ensure(&settings).await.unwrap(),
        Ensured::Unchanged
    );
    assert_eq!(subnet.ensure(&wanted).await.unwrap(), Ensured::Unchanged);
    assert_eq!(
        writes(&simulator),
        before,
        "nothing is sent when nothing differs"
    );

    let pending = sdn.pending().await.unwrap();
    let told: Vec<(SdnNoun, &str, &ChangeState)> = pending
        .iter()
        .map(|change| (change.noun, change.id.as_str(), &change.state))
        .collect();
    assert_eq!(
        told,
        [
            (SdnNoun::Zone, "lab", &ChangeState::New),
            (SdnNoun::Vnet, "lab0", &ChangeState::New),
            (SdnNoun::Subnet, "lab-198.51.100.0-24", &ChangeState::New),
        ]
    );
    assert_eq!(pending[0].values["mtu"], 1450);
    assert!(client.node("pve2").sdn_zones().await.unwrap().is_empty());

    assert_eq!(sdn.apply_pending().await.unwrap(), Applied::Applied);
    assert_eq!(sdn.apply_pending().await.unwrap(), Applied::Unchanged);
    let status = || async {
        let zones = client.node("pve2").sdn_zones().await.unwrap();
        zones[0].status.clone()
    };
    assert_eq!(
        status().await,
        ZoneStatus::Pending,
        "the node is still reloading"
    );
    tokio::time::sleep(std::time::Duration::from_secs(5)).await;
    assert_eq!(status().await, ZoneStatus::Available);

    let changed = wanted.clone().with_snat(false);
    assert_eq!(
        subnet.ensure(&changed).await.unwrap(),
        Ensured::Updated(vec!["snat".to_owned()])
    );
    let pending = sdn.pending().await.unwrap();
    assert_eq!(pending.len(), 1);
    assert_eq!(pending[0].state, ChangeState::Changed);
    sdn.rollback().await.unwrap();
    assert_eq!(subnet.get().await.unwrap().unwrap().snat, Some(true));
    assert_eq!(
        sdn.ipam("pve").addresses().await.unwrap()[0].gateway,
        Some(true)
    );
}

#[tokio::test(start_paused = true)]
async fn what_is_in_use_stays_and_what_is_gone_is_absent() {
    let (_simulator, client) = lab();
    let sdn = client.sdn();
    sdn.zone("vv")
        .ensure(&ZoneSettings::vlan("vmbr0"))
        .await
        .unwrap();
    let vnet = sdn.vnet("v20");
    vnet.ensure(&VnetSettings::in_zone("vv").with_tag(20))
        .await
        .unwrap();
    vnet.subnet("192.0.2.0/24")
        .ensure(&SubnetSettings::new())
        .await
        .unwrap();

    let used = sdn.zone("vv").delete().await.unwrap_err();
    assert_eq!(used.kind(), Kind::InUse);
    assert_eq!(
        used.message(),
        "delete sdn zone object failed: zone vv is used by vnet v20 at /usr/share/perl5/PVE/Network/SDN/Zones/Plugin.pm line 149."
    );
    assert_eq!(vnet.delete().await.unwrap_err().kind(), Kind::InUse);
    let subnet = vnet.subnet("192.0.2.0/24");
    assert_eq!(subnet.delete().await.unwrap(), Removed::Removed);
    assert_eq!(subnet.delete().await.unwrap(), Removed::Absent);
    assert_eq!(vnet.delete().await.unwrap(), Removed::Removed);
    assert_eq!(vnet.delete().await.unwrap(), Removed::Absent);
    assert_eq!(sdn.zone("vv").delete().await.unwrap(), Removed::Removed);
    assert!(sdn.zone("vv").get().await.unwrap().is_none());
    assert!(sdn.zones().await.unwrap().is_empty());
}

#[tokio::test(start_paused = true)]
async fn settings_that_do_not_fit_are_refused_with_their_parameter() {
    let (_simulator, client) = lab();
    let sdn = client.sdn();
    sdn.zone("xx")
        .ensure(&ZoneSettings::vxlan(["192.0.2.1", "192.0.2.2"]))
        .await
        .unwrap();
    sdn.zone("ss")
        .ensure(&ZoneSettings::simple())
        .await
        .unwrap();
    let refused = [
        (VnetSettings::in_zone("xx"), "tag: missing vxlan tag"),
        (
            VnetSettings::in_zone("ss").with_tag(5),
            "tag: vlan tag is not allowed on simple zone",
        ),
        (
            VnetSettings::new(),
            "zone: property is missing and it is not optional",
        ),
    ];
    for (wanted, why) in refused {
        let error = sdn.vnet("n1").ensure(&wanted).await.unwrap_err();
        assert_eq!(error.kind(), Kind::Parameter, "{error}");
        assert!(error.to_string().contains(why), "{error}");
    }
    sdn.vnet("n1")
        .ensure(&VnetSettings::in_zone("xx").with_tag(7000))
        .await
        .unwrap();
    let same = sdn
        .vnet("n2")
        .ensure(&VnetSettings::in_zone("xx").with_tag(7000))
        .await;
    assert!(
        same.unwrap_err()
            .message()
            .contains("vxlan tag 7000 already exist in vnet n1")
    );

    let outside = SubnetSettings::new().with_gateway("203.0.113.1");
    let error = sdn
        .vnet("n1")
        .subnet("192.0.2.0/25")
        .ensure(&outside)
        .await
        .unwrap_err();
    assert!(
        error
            .message()
            .contains("gateway: 203.0.113.1 is not in subnet 192.0.2.0/25")
    );
    let overlapping = SubnetSettings::new().with_dhcp_ranges([
        ("2001:db8::1", "2001:db8::9"),
        ("2001:db8::9", "2001:db8::a"),
    ]);
    let subnet = sdn.vnet("n1").subnet("2001:db8::/64");
    let error = subnet.ensure(&overlapping).await.unwrap_err();
    assert!(
        error.message().contains("dhcp ranges must not overlap"),
        "{error}"
    );

    let other_kind = sdn
        .zone("ss")
        .ensure(&ZoneSettings::vlan("vmbr0"))
        .await
        .unwrap_err();
    assert_eq!(other_kind.kind(), Kind::InvalidInput);
    let no_kind = sdn
        .zone("new")
        .ensure(&ZoneSettings::new())
        .await
        .unwrap_err();
    assert_eq!(no_kind.kind(), Kind::InvalidInput);
    let absent = sdn
        .zone("new")
        .update(&ZoneSettings::new().with_mtu(9000))
        .await;
    assert_eq!(absent.unwrap_err().kind(), Kind::NotFound);
    let dns = DnsSettings::powerdns("https://dns.example.test", "hunter2");
    assert!(!format!("{dns:?}").contains("hunter2"));
    let not_simulated = sdn.dns("dd").ensure(&dns).await.unwrap_err();
    assert_eq!(not_simulated.kind(), Kind::Refused);
}

#[tokio::test(start_paused = true)]
async fn routes_come_from_a_controller_that_its_zones_keep() {
    let (_simulator, client) = lab();
    let sdn = client.sdn();
    let evpn = ZoneSettings::evpn("c1", 10_000).with_exit_nodes(["pve2", "pve1"]);
    assert!(
        sdn.zone("ee").ensure(&evpn).await.is_err(),
        "the controller is missing"
    );
    let controller = ControllerSettings::evpn(65_000, ["192.0.2.1", "192.0.2.2"]);
    sdn.controller("c1").ensure(&controller).await.unwrap();
    let second = sdn.controller("c2").ensure(&controller).await.unwrap_err();
    assert!(
        second.message().contains("only 1 global evpn controller"),
        "{second}"
    );
    sdn.zone("ee").ensure(&evpn).await.unwrap();
    assert_eq!(
        sdn.zone("ee").ensure(&evpn).await.unwrap(),
        Ensured::Unchanged
    );
    let zone = sdn.zone("ee").get().await.unwrap().unwrap();
    assert_eq!(zone.kind, ZoneKind::Evpn);
    assert!(
        zone.mac.is_some(),
        "the server makes up the router's address"
    );
    let used = sdn.controller("c1").delete().await.unwrap_err();
    assert_eq!(used.kind(), Kind::InUse);
    assert_eq!(sdn.controllers().await.unwrap()[0].asn, Some(65_000));
}

#[tokio::test(start_paused = true)]
async fn a_lock_keeps_others_out_until_its_holder_is_done() {
    let (_simulator, client) = lab();
    let sdn = client.sdn();
    let lock = sdn.lock(false).await.unwrap();
    assert_eq!(sdn.lock(false).await.unwrap_err().kind(), Kind::Locked);
    let refused = sdn
        .zone("aa")
        .ensure(&ZoneSettings::simple())
        .await
        .unwrap_err();
    assert_eq!(refused.kind(), Kind::Locked);
    let ours = sdn.under(&lock);
    ours.zone("aa")
        .ensure(&ZoneSettings::simple())
        .await
        .unwrap();
    assert_eq!(sdn.apply().await.unwrap_err().kind(), Kind::Locked);
    ours.apply().await.unwrap();
    // Applying gave the lock back.
    sdn.zone("bb")
        .ensure(&ZoneSettings::simple())
        .await
        .unwrap();
    assert_eq!(sdn.lock(false).await.unwrap_err().kind(), Kind::InUse);
    let lock = sdn.lock(true).await.unwrap();
    sdn.unlock(&lock).await.unwrap();
    sdn.lock(true).await.unwrap();
    sdn.break_lock().await.unwrap();
    assert_eq!(sdn.zone("bb").delete().await.unwrap(), Removed::Removed);
}

#[tokio::test(start_paused = true)]
async fn a_change_under_an_old_digest_is_refused_and_others_are_decided_anew() {
    let (_simulator, client) = lab();
    let sdn = client.sdn();
    let zone = sdn.zone("aa");
    zone.create(&ZoneSettings::simple()).await.unwrap();
    let again = zone.create(&ZoneSettings::simple()).await.unwrap_err();
    assert_eq!(again.kind(), Kind::AlreadyExists);
    let old = zone.get().await.unwrap().unwrap().digest.unwrap();
    zone.update(&ZoneSettings::new().with_mtu(1400))
        .await
        .unwrap();
    let late = ZoneSettings::new().with_mtu(1300).with_digest(&old);
    assert_eq!(zone.update(&late).await.unwrap_err().kind(), Kind::Conflict);
    let dropped = zone
        .update(&ZoneSettings::new().without("mtu"))
        .await
        .unwrap();
    assert_eq!(dropped, Ensured::Updated(vec!["mtu".to_owned()]));
    assert_eq!(zone.get().await.unwrap().unwrap().mtu, None);
}

#[tokio::test(start_paused = true)]
async fn a_vnet_has_a_firewall_of_its_own() {
    let (_simulator, client) = lab();
    let sdn = client.sdn();
    let missing = sdn.vnet("n1").firewall().rules().await.unwrap_err();
    assert!(missing.is_not_found());
    sdn.zone("ss")
        .ensure(&ZoneSettings::simple())
        .await
        .unwrap();
    sdn.vnet("n1")
        .ensure(&VnetSettings::in_zone("ss"))
        .await
        .unwrap();
    let firewall = sdn.vnet("n1").firewall();
    let options = [("enable", "1"), ("policy_forward", "DROP")];
    assert!(matches!(
        firewall.ensure_options(&options).await.unwrap(),
        Ensured::Updated(_)
    ));
    assert_eq!(
        firewall.ensure_options(&options).await.unwrap(),
        Ensured::Unchanged
    );
}
