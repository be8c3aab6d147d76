//! The legacy network section.

use super::{Findings, is_address, is_cidr, list};
use crate::config::Document;
use crate::value::Value;

const BOND_MODES: [&str; 7] = [
    "balance-rr",
    "active-backup",
    "balance-xor",
    "broadcast",
    "802.3ad",
    "balance-tlb",
    "balance-alb",
];

fn text<'v>(value: &'v Value, path: &str) -> &'v str {
    value.at(path).and_then(Value::as_text).unwrap_or_default()
}

fn items<'v>(value: &'v Value, path: &str) -> &'v [Value] {
    value.at(path).map(Value::as_list).unwrap_or_default()
}

fn number(value: &Value, path: &str) -> i64 {
    value.at(path).and_then(Value::as_int).unwrap_or_default()
}

pub(super) fn check(main: &Document, control_plane: bool, findings: &mut Findings<'_>) {
    let devices = list(main, "machine.network.interfaces");
    let mut members: Vec<(&str, &str)> = Vec::new();
    for device in devices {
        let name = text(device, "interface");
        if device.at("bond").is_some() && device.at("bridge").is_some() {
            findings.error(format!(
                "interface has both bridge and bond sections set \"{name}\": config sections are mutually exclusive"
            ));
        }
        for section in ["bond", "bridge"] {
            for member in items(device, &format!("{section}.interfaces"))
                .iter()
                .filter_map(Value::as_text)
            {
                if let Some((_, other)) = members
                    .iter()
                    .find(|(known, other)| *known == member && *other != name)
                {
                    findings.error(format!(
                        "interface \"{member}\" is declared as part of two separate links: \"{other}\" and \"{name}\""
                    ));
                }
                members.push((member, name));
            }
        }
    }
    for device in devices {
        let name = text(device, "interface");
        match (name.is_empty(), device.at("deviceSelector")) {
            (true, None) => findings.error(
                "[networking.os.device.interface], [networking.os.device.deviceSelector]: required either config section to be set",
            ),
            (false, Some(_)) => findings.error(
                "[networking.os.device.interface], [networking.os.device.deviceSelector]: config sections are mutually exclusive",
            ),
            (true, Some(selector)) if selector.is_zero() => {
                findings.error("[networking.os.device.deviceSelector]: config section should contain at least one field");
            }
            _ => {}
        }
        addressing(device, findings);
        if members
            .iter()
            .any(|(member, _)| *member == name && !name.is_empty())
        {
            let addressed = !items(device, "addresses").is_empty()
                || !text(device, "cidr").is_empty()
                || device.at("dhcp").and_then(Value::as_bool) == Some(true);
            if addressed {
                findings.error(format!(
                    "[networking.os.device] \"{name}\": bonded/bridged interface shouldn't have any addressing methods configured"
                ));
            }
        }
        if let Some(bond) = device.at("bond") {
            check_bond(bond, name, findings);
        }
        if device.at("vip").is_some() {
            check_vip(text(device, "vip.ip"), control_plane, findings);
        }
        if let Some(wireguard) = device.at("wireguard") {
            check_wireguard(wireguard, findings);
        }
        for vlan in items(device, "vlans") {
            if vlan.at("vip").is_some() {
                check_vip(text(vlan, "vip.ip"), control_plane, findings);
            }
        }
    }
}

fn check_vip(ip: &str, control_plane: bool, findings: &mut Findings<'_>) {
    if !is_address(ip) {
        findings.error(format!(
            "[networking.os.device.vip] failed to parse \"{ip}\" as IP address"
        ));
    }
    if !control_plane {
        findings.error("virtual (shared) IP is not allowed on non-controlplane nodes");
    }
}

fn addressing(device: &Value, findings: &mut Findings<'_>) {
    let (cidr, name) = (text(device, "cidr"), text(device, "interface"));
    if !cidr.is_empty() {
        findings.warning(format!(
            "\"{name}\": machine.network.interface.cidr is deprecated, please use machine.network.interface.addresses"
        ));
    }
    for address in items(device, "addresses").iter().filter_map(Value::as_text) {
        if address.contains('/') {
            if !is_cidr(address) {
                findings.error(format!(
                    "[networking.os.device.addresses] \"{name}\": invalid CIDR address: {address}"
                ));
            }
        } else if !is_address(address) {
            findings.error(format!("[networking.os.device.addresses] \"{name}\": failed to parse IP address \"{address}\""));
        }
    }
    for (index, route) in items(device, "routes").iter().enumerate() {
        let place = format!("[networking.os.device.route[{index}]");
        let (network, gateway, source) = (
            text(route, "network"),
            text(route, "gateway"),
            text(route, "source"),
        );
        if network.is_empty() && gateway.is_empty() {
            findings.error(format!("{place}]: either network or gateway should be set"));
        }
        if !network.is_empty() && !is_cidr(network) {
            findings.error(format!(
                "{place}.network] \"{network}\": invalid network address"
            ));
        }
        if !gateway.is_empty() && !is_address(gateway) {
            findings.error(format!(
                "{place}.gateway] \"{gateway}\": invalid network address"
            ));
        }
        if !source.is_empty() && !is_address(source) {
            findings.error(format!(
                "{place}.source] \"{source}\": invalid network address"
            ));
        }
    }
}

fn check_bond(bond: &Value, name: &str, findings: &mut Findings<'_>) {
    if !items(bond, "interfaces").is_empty() && !items(bond, "deviceSelectors").is_empty() {
        findings.error(format!("interface \"{name}\" has both interfaces and selectors set: config sections are mutually exclusive"));
    }
    let mode = text(bond, "mode");
    let effective = if BOND_MODES.contains(&mode) {
        mode
    } else {
        "balance-rr"
    };
    if !mode.is_empty() && !BOND_MODES.contains(&mode) {
        findings.error(format!("invalid bond type {mode}"));
    }
    for (field, choices, what) in [
        (
            "xmitHashPolicy",
            "layer2|layer3+4|layer2+3|encap2+3|encap3+4",
            "xmit hash policy",
        ),
        ("lacpRate", "slow|fast", "lacp rate"),
        (
            "arpValidate",
            "none|active|backup|all|filter|filter-active|filter-backup",
            "arp_validate mode",
        ),
        ("arpAllTargets", "any|all", "arp_all_targets mode"),
        (
            "primaryReselect",
            "always|better|failure",
            "primary_reselect mode",
        ),
        ("failOverMac", "none|active|follow", "fail_over_mac value"),
        ("adSelect", "stable|bandwidth|count", "ad_select mode"),
    ] {
        let value = text(bond, field);
        if !value.is_empty() && !choices.split('|').any(|choice| choice == value) {
            findings.error(format!("invalid {what} {value}"));
        }
    }
    let miimon = number(bond, "miimon");
    if miimon == 0 && number(bond, "updelay") != 0 {
        findings.error("bond.upDelay can't be set if miiMon is zero");
    }
    if miimon == 0 && number(bond, "downdelay") != 0 {
        findings.error("bond.downDelay can't be set if miiMon is zero");
    }
    if effective != "802.3ad" {
        for (field, shown) in [
            ("lacpRate", "lacpRate"),
            ("adActorSysPrio", "adActorSysPrio"),
            ("adUserPortKey", "adUserPortKey"),
        ] {
            if bond.at(field).is_some_and(|value| !value.is_zero()) {
                findings.error(format!("bond.{shown} is only available in 802.3ad mode"));
            }
        }
    }
    if !items(bond, "arpIPTarget").is_empty() {
        findings.error("bond.arpIPTarget is not supported");
    }
    if !text(bond, "adActorSystem").is_empty() {
        findings.error("bond.adActorSystem is not supported");
    }
    if effective == "balance-rr" {
        if !text(bond, "primary").is_empty() {
            findings.error("bond.primary is not available in balance-rr mode");
        }
        if number(bond, "tlbDynamicLb") != 0 {
            findings.error("bond.tlbDynamicTLB is not available in balance-rr mode");
        }
    }
}

fn check_wireguard(wireguard: &Value, findings: &mut Findings<'_>) {
    use base64::Engine as _;
    let key = |key: &str| match base64::engine::general_purpose::STANDARD.decode(key) {
        Ok(bytes) if bytes.len() == 32 => None,
        Ok(bytes) => Some(format!("wrong key \"{key}\" length: {}", bytes.len())),
        Err(_) => Some(format!("failed to parse key \"{key}\"")),
    };
    if let Some(why) = key(text(wireguard, "privateKey")) {
        findings.error(format!("private key is invalid: {why}"));
    }
    for peer in items(wireguard, "peers") {
        if let Some(why) = key(text(peer, "publicKey")) {
            findings.error(format!("public key invalid: {why}"));
        }
        let endpoint = text(peer, "endpoint");
        if !endpoint.is_empty() && endpoint.parse::<std::net::SocketAddr>().is_err() {
            findings.error(format!("peer endpoint \"{endpoint}\" is invalid"));
        }
        for allowed in items(peer, "allowedIPs").iter().filter_map(Value::as_text) {
            if !is_cidr(allowed) {
                findings.error(format!(
                    "peer allowed IP \"{allowed}\" is invalid: invalid CIDR address: {allowed}"
                ));
            }
        }
    }
}
