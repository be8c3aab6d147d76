//! What must hold for any input. Shared by cargo-fuzz and by the ordinary test `fuzz`, so nothing here depends on either.

use wireguard_config::lenient::{NoNames, Release, Tools};
use wireguard_config::{Changes, Config, Device, Dialect, Document, Keys};

/// Documents print as they were, edits of a read document read back, and no reader panics.
pub fn documents(data: &[u8]) {
    let Ok(document) = Document::parse(data) else {
        return;
    };
    assert_eq!(document.as_bytes(), data);
    for dialect in [Dialect::Wg, Dialect::WgQuick, Dialect::AmneziaWg] {
        let report = document.check(dialect);
        let config = document.config(dialect);
        assert_eq!(report.is_ok(), config.is_ok());
        let Ok(config) = config else { continue };
        let printed = wireguard_config::render::quick::wg_quick(&config);
        let again = Config::parse_as(printed.as_bytes(), dialect);
        // A hook or search domain can hold what no line can say again; everything else reads back.
        if config.interface.hooks.is_empty()
            && config.interface.dns.is_empty()
            && config.interface.table.is_none()
        {
            assert!(
                Changes::between(&config, &again.expect("what is printed is readable")).is_empty()
            );
        }
    }
    let mut edited = document.clone();
    if edited.set_interface("MTU", "1420").is_ok() {
        let interfaces = edited.sections().filter(|section| section.is_interface());
        let last = interfaces
            .flat_map(|section| section.entries("MTU").collect::<Vec<_>>())
            .last();
        let last = last.and_then(|line| line.value().map(<[u8]>::to_vec));
        assert_eq!(last.as_deref(), Some(&b"1420"[..]));
    }
}

/// The lenient readers never panic, and what a device would show is accepted again with the same result.
pub fn tools(data: &[u8]) {
    for release in [Release::V20210914, Release::V20260223] {
        let tools = Tools::new(release, &NoNames);
        let _ = tools.quick(data);
        let _ = tools.strip(data);
        let Ok(device) = tools.setconf(data) else {
            continue;
        };
        let again = tools
            .setconf(device.showconf().as_bytes())
            .expect("the normal form is accepted");
        assert_eq!(again.to_config().peers.len(), device.peers.len());
        assert_eq!(again.showconf(), device.showconf());
    }
}

/// Dumps and answers of devices.
pub fn states(data: &[u8]) {
    let _ = Device::parse_dump(data);
    if let Ok(device) = Device::parse_uapi(data) {
        let config = device.to_config();
        let changes = Changes::for_device(&Device::default(), None, &config);
        let _ = wireguard_config::uapi::set_request(
            &changes,
            wireguard_config::uapi::Abilities::basic(),
        );
    }
}

/// Inventories and key stores.
pub fn inventories(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    if let Ok(keys) = Keys::from_text(text) {
        assert_eq!(
            Keys::from_text(&keys.to_text())
                .expect("what is printed is readable")
                .to_text(),
            keys.to_text()
        );
    }
    #[cfg(feature = "yaml")]
    if let Ok(inventory) = wireguard_config::Inventory::from_yaml(text)
        && inventory.members.len() < 50
    {
        let mut keys = Keys::new();
        let mut byte = 0u8;
        keys.complete(&inventory, &mut |bytes: &mut [u8]| {
            byte = byte.wrapping_add(1);
            bytes.fill(byte);
        });
        if let Ok(plan) = inventory.plan(&keys) {
            let unreachable = plan.reachability().unreachable().count();
            assert!(
                unreachable == 0 || inventory.allow_unreachable,
                "{unreachable} pairs"
            );
        }
    }
}
