//! Inventories in YAML and key stores in text.

use wireguard_config::{ErrorKind, Keys, PresharedKey, PublicKey};
#[cfg(feature = "yaml")]
use wireguard_config::{Inventory, Role, Topology};

use crate::support::Seeded;

#[cfg(feature = "yaml")]
#[test]
fn every_field_of_an_inventory_is_read() {
    let inventory = Inventory::from_yaml(
        "interface: wg7
networks: ['10.77.0.0/24', 'fd77::/64']
reserved: ['10.77.0.0/28']
topology: site-to-site
presharedKeys: false
keepalive: 15
listenPort: 1194
allowUnreachable: true
members:
  - {name: north, endpoint: 'vpn.example.com:1', routed: ['192.168.1.0/24'], listenPort: 2, mtu: 1400, addresses: ['10.77.0.9']}
  - {name: hub, role: relay, lan: {name: attic, endpoint: '192.168.1.2:3'}, dns: ['10.0.0.1', lan], table: off, interface: wg8}
  - {name: phone, role: roaming, via: hub, fullTunnel: true, pathMtu: 1492}
links: [[north, hub]]
leases: {phone: ['10.77.0.77']}
",
    )
    .unwrap();
    assert_eq!(
        (inventory.interface.as_str(), inventory.topology),
        ("wg7", Topology::SiteToSite)
    );
    assert_eq!(
        (
            inventory.keepalive,
            inventory.listen_port,
            inventory.allow_unreachable
        ),
        (15, 1194, true)
    );
    assert_eq!(inventory.links, [("north".to_owned(), "hub".to_owned())]);
    assert_eq!(inventory.leases.of("phone").len(), 1);
    let [north, hub, phone] = inventory.members.as_slice() else {
        panic!("three members")
    };
    assert_eq!(
        (north.mtu, north.listen_port, north.addresses.len()),
        (Some(1400), Some(2), 1)
    );
    assert_eq!(
        (hub.role, hub.dns.len(), hub.interface.as_deref()),
        (Role::Relay, 2, Some("wg8"))
    );
    assert!(phone.full_tunnel && phone.path_mtu == Some(1492) && hub.table.is_some());
}

#[cfg(feature = "yaml")]
#[test]
fn what_is_wrong_in_an_inventory_is_named() {
    for (text, part) in [
        ("networks: []\nmembers: []\n", "networks"),
        (
            "networks: [10.0.0.0]\nmembers: [{name: a, endpoint: 'nowhere'}]\n",
            "a, endpoint",
        ),
        ("networks: ['10.0.0.1/24']\nmembers: []\n", "10.0.0.1/24"),
        ("networks: ['10.0.0.0/24']\nmember: []\n", "member"),
        (
            "networks: ['10.0.0.0/24']\nmembers: [{name: a, rol: hub}]\n",
            "rol",
        ),
    ] {
        let error = Inventory::from_yaml(text).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Inventory);
        assert!(error.to_string().contains(part), "{error}");
    }
    assert_eq!(
        Inventory::from_yaml(&" ".repeat(20 << 20))
            .unwrap_err()
            .kind(),
        ErrorKind::TooLarge
    );
}

#[test]
fn a_key_store_reads_back_from_its_text() {
    let mut random = Seeded::new(2);
    let mut keys = Keys::new();
    keys.set_private("a", wireguard_config::PrivateKey::generate(&mut random));
    keys.set_public("b", PublicKey::from_bytes([7; 32]));
    keys.set_seed(PresharedKey::generate(&mut random));
    keys.set_preshared("b", "a", PresharedKey::generate(&mut random));
    keys.set_generation("a", "c", 2);
    let again = Keys::from_text(&keys.to_text()).unwrap();
    assert_eq!(again.to_text(), keys.to_text());
    assert_eq!(again.preshared("a", "b"), keys.preshared("b", "a"));
    assert_eq!(again.preshared("a", "c"), keys.preshared("c", "a"));
    assert_ne!(again.preshared("a", "c"), again.preshared("a", "d"));
}

#[test]
fn a_broken_key_store_names_the_line() {
    for text in [
        "# fine\nprivate a\n",
        "\nseed x\n",
        "# c\ngeneration a b -1\n",
    ] {
        let error = Keys::from_text(text).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Key);
        assert!(error.to_string().contains("line 2"), "{error}");
    }
}
