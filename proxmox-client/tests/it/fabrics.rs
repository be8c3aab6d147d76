//! Fabrics, and addresses kept for cards of guests.

use std::net::IpAddr;

use proxmox_client::sdn::{
    Applied, ChangeState, FabricInterface, FabricNodeSettings, FabricProtocol, FabricSettings,
    SdnNoun, SubnetSettings, VnetSettings, ZoneSettings,
};
use proxmox_client::simulator::{NodeSpec, Simulator, World};
use proxmox_client::{Client, Ensured, Kind, Removed};

fn pair() -> Client {
    let second = NodeSpec::new("pve2", 4, 8 << 30);
    Simulator::new(World::lab().with_node(second)).connect()
}

async fn waiting(client: &Client) -> Vec<(SdnNoun, String, ChangeState)> {
    let all = client.sdn().pending().await.unwrap().into_iter();
    all.map(|change| (change.noun, change.id, change.state))
        .collect()
}

#[tokio::test(start_paused = true)]
async fn a_fabric_is_made_joined_changed_and_removed() {
    let client = pair();
    let sdn = client.sdn();
    let fabric = sdn.fabric("mesh");
    let wanted = FabricSettings::openfabric("198.51.100.0/24").with_hello_interval(3);
    assert_eq!(fabric.ensure(&wanted).await.unwrap(), Ensured::Created);
    assert_eq!(fabric.ensure(&wanted).await.unwrap(), Ensured::Unchanged);
    assert_eq!(
        fabric.create(&wanted).await.unwrap_err().kind(),
        Kind::AlreadyExists
    );
    let node = fabric.node("pve1");
    let own = FabricNodeSettings::openfabric("198.51.100.1").with_interfaces([
        FabricInterface::new("eno1"),
        FabricInterface::new("eno2")
            .with_address("192.0.2.1/31")
            .with_hello_multiplier(5),
    ]);
    assert_eq!(node.ensure(&own).await.unwrap(), Ensured::Created);
    assert_eq!(node.ensure(&own).await.unwrap(), Ensured::Unchanged);
    let other = FabricNodeSettings::ospf("198.51.100.2");
    let error = fabric.node("pve2").ensure(&other).await.unwrap_err();
    assert!(error.message().contains("different protocol"), "{error}");

    let new = [
        (SdnNoun::Fabric, "mesh".to_owned(), ChangeState::New),
        (
            SdnNoun::FabricNode,
            "mesh/pve1".to_owned(),
            ChangeState::New,
        ),
    ];
    assert_eq!(waiting(&client).await, new);
    assert_eq!(sdn.apply_pending().await.unwrap(), Applied::Applied);
    assert_eq!(sdn.apply_pending().await.unwrap(), Applied::Unchanged);

    let slower = FabricSettings::new()
        .with_csnp_interval(20)
        .with("hello_interval", "");
    let changed = fabric.update(&slower).await.unwrap();
    let names = ["csnp_interval", "hello_interval"]
        .map(str::to_owned)
        .to_vec();
    assert_eq!(changed, Ensured::Updated(names));
    let known = fabric.get().await.unwrap().unwrap();
    assert_eq!(
        (known.csnp_interval, known.hello_interval),
        (Some(20.0), None)
    );
    assert_eq!(known.protocol, Some(FabricProtocol::OpenFabric));
    let changed = (SdnNoun::Fabric, "mesh".to_owned(), ChangeState::Changed);
    assert_eq!(waiting(&client).await, [changed]);
    sdn.rollback().await.unwrap();
    assert!(waiting(&client).await.is_empty());

    let stale = FabricSettings::new().with_area("1").with_digest("0");
    assert_eq!(
        fabric.update(&stale).await.unwrap_err().kind(),
        Kind::Conflict
    );
    assert_eq!(node.delete().await.unwrap(), Removed::Removed);
    assert_eq!(node.delete().await.unwrap(), Removed::Absent);
    assert!(fabric.nodes().await.unwrap().is_empty());
    assert_eq!(fabric.delete().await.unwrap(), Removed::Removed);
    assert_eq!(fabric.delete().await.unwrap(), Removed::Absent);
}

#[tokio::test(start_paused = true)]
async fn a_fabric_that_tunnels_go_over_is_not_removed() {
    let client = pair();
    let sdn = client.sdn();
    let fabric = sdn.fabric("mesh");
    fabric
        .ensure(&FabricSettings::ospf("0", "198.51.100.0/24"))
        .await
        .unwrap();
    let zone = ZoneSettings::vxlan(Vec::<String>::new()).with_fabric("mesh");
    sdn.zone("over").ensure(&zone).await.unwrap();
    let error = fabric.delete().await.unwrap_err();
    assert_eq!(error.kind(), Kind::InUse);
    // The lock holds for fabrics too, but the interface takes no token for a removal.
    sdn.zone("over").delete().await.unwrap();
    let lock = sdn.lock(true).await.unwrap();
    let settings = FabricSettings::new().with_area("1");
    assert_eq!(
        fabric.update(&settings).await.unwrap_err().kind(),
        Kind::Locked
    );
    let held = sdn.under(&lock).fabric("mesh");
    held.update(&settings).await.unwrap();
    assert_eq!(held.delete().await.unwrap_err().kind(), Kind::Locked);
}

#[tokio::test(start_paused = true)]
async fn addresses_are_kept_for_cards_moved_and_given_up() {
    let client = pair();
    let sdn = client.sdn();
    let zone = ZoneSettings::simple().with_ipam("pve").with_dhcp("dnsmasq");
    sdn.zone("lab").ensure(&zone).await.unwrap();
    let vnet = sdn.vnet("lab0");
    vnet.ensure(&VnetSettings::in_zone("lab")).await.unwrap();
    let subnet = SubnetSettings::new().with_gateway("198.51.100.1");
    vnet.subnet("198.51.100.0/24")
        .ensure(&subnet)
        .await
        .unwrap();
    let address = |last: u8| IpAddr::from([198, 51, 100, last]);
    let (mac, other) = ("BC:24:11:00:00:01", "BC:24:11:00:00:02");
    let early = vnet.ensure_address(address(10), mac).await.unwrap_err();
    assert!(early.message().contains("can't find any subnet"), "{early}");
    sdn.apply().await.unwrap();
    assert_eq!(
        vnet.ensure_address(address(10), mac).await.unwrap(),
        Ensured::Created
    );
    let again = vnet
        .ensure_address(address(10), &mac.to_lowercase())
        .await
        .unwrap();
    assert_eq!(again, Ensured::Unchanged);
    let moved = vnet.ensure_address(address(11), mac).await.unwrap();
    assert_eq!(moved, Ensured::Updated(vec!["ip".to_owned()]));
    let taken = vnet.ensure_address(address(11), other).await.unwrap_err();
    assert_eq!(taken.kind(), Kind::AlreadyExists);
    let gateway = vnet.ensure_address(address(1), other).await.unwrap_err();
    assert_eq!(gateway.kind(), Kind::AlreadyExists);
    let kept: Vec<_> = vnet
        .addresses()
        .await
        .unwrap()
        .into_iter()
        .map(|one| (one.address.unwrap(), one.mac, one.gateway))
        .collect();
    let expected = [
        ("198.51.100.1".to_owned(), None, Some(true)),
        ("198.51.100.11".to_owned(), Some(mac.to_owned()), None),
    ];
    assert_eq!(kept, expected);
    assert_eq!(
        vnet.release_address(address(11)).await.unwrap(),
        Removed::Removed
    );
    assert_eq!(
        vnet.release_address(address(11)).await.unwrap(),
        Removed::Absent
    );
    let nowhere = sdn
        .vnet("lab9")
        .ensure_address(address(10), mac)
        .await
        .unwrap_err();
    assert_eq!(nowhere.kind(), Kind::NotFound);
}
