//! The interfaces of the main document's network section.

use super::{Findings, list};
use crate::address;
use crate::config::Document;
use crate::encoding;
use crate::quote::quote;
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
/// Fields of a bond with the texts that they take, in the order in which they are told.
const BOND_CHOICES: [(&str, &str, &str); 7] = [
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
];

fn text<'v>(value: &'v Value, path: &str) -> &'v str {
    value.at(path).and_then(Value::as_text).unwrap_or_default()
}

fn items<'v>(value: &'v Value, path: &str) -> &'v [Value] {
    value.at(path).map(Value::as_list).unwrap_or_default()
}

fn texts<'v>(value: &'v Value, path: &str) -> impl Iterator<Item = &'v str> {
    items(value, path).iter().filter_map(Value::as_text)
}

fn number(value: &Value, path: &str) -> i64 {
    value.at(path).and_then(Value::as_int).unwrap_or_default()
}

fn flag(value: &Value, path: &str) -> bool {
    value.at(path).and_then(Value::as_bool) == Some(true)
}

/// Addresses that several nodes share, where there can be none.
pub(super) fn check_no_virtual(main: &Document, findings: &mut Findings<'_>) {
    for device in list(main, "machine.network.interfaces") {
        let vlans = items(device, "vlans").iter();
        for holder in std::iter::once(device).chain(vlans) {
            if holder.at("vip").is_some() {
                findings.error("virtual (shared) IP is not allowed on non-controlplane nodes");
            }
        }
    }
}

pub(super) fn check(main: &Document, findings: &mut Findings<'_>) {
    let devices = list(main, "machine.network.interfaces");
    let mut members: Vec<(&str, &str)> = Vec::new();
    for device in devices {
        let name = text(device, "interface");
        let (bond, bridge) = (device.at("bond").is_some(), device.at("bridge").is_some());
        if bond && bridge {
            findings.error(format!(
                "interface has both bridge and bond sections set {}: config sections are mutually exclusive",
                quote(name)
            ));
        }
        if bond
            && !items(device, "bond.interfaces").is_empty()
            && !items(device, "bond.deviceSelectors").is_empty()
        {
            findings.error(format!(
                "interface {} has both interfaces and selectors set: config sections are mutually exclusive",
                quote(name)
            ));
        }
        let section = if bridge { "bridge" } else { "bond" };
        for member in texts(device, &format!("{section}.interfaces")) {
            match members.iter_mut().find(|(known, _)| *known == member) {
                Some((_, other)) => {
                    if *other != name {
                        findings.error(format!(
                            "interface {} is declared as part of two separate links: {} and {}",
                            quote(member),
                            quote(other),
                            quote(name)
                        ));
                    }
                    *other = name;
                }
                None => members.push((member, name)),
            }
        }
    }
    for device in devices {
        if *device == Value::Null {
            findings.error("empty device");
        } else if !flag(device, "ignore") {
            selection(device, findings);
            addressing(device, &members, findings);
            routes(device, findings);
        }
    }
}

fn selection(device: &Value, findings: &mut Findings<'_>) {
    let both = "[networking.os.device.interface], [networking.os.device.deviceSelector]";
    match (text(device, "interface"), device.at("deviceSelector")) {
        ("", None) => {
            findings.error(format!("{both}: required either config section to be set"));
        }
        (name, Some(_)) if !name.is_empty() => {
            findings.error(format!("{both}: config sections are mutually exclusive"));
        }
        _ => {}
    }
    if device.at("deviceSelector").is_some_and(Value::is_zero) {
        findings.error(
            "[networking.os.device.deviceSelector]: config section should contain at least one field",
        );
    }
    if let Some(bond) = device.at("bond") {
        check_bond(bond, findings);
    }
    if let Some(wireguard) = device.at("wireguard") {
        check_wireguard(wireguard, findings);
    }
    for vlan in items(device, "vlans") {
        check_vlan(device, vlan, findings);
    }
}

/// An address or a prefix.
fn ip_or_cidr(written: &str) -> Result<(), String> {
    if written.contains('/') {
        if address::is_cidr(written) {
            return Ok(());
        }
        return Err(format!("invalid CIDR address: {written}"));
    }
    if address::is_plain(written) {
        Ok(())
    } else {
        Err(format!("failed to parse IP address {}", quote(written)))
    }
}

fn check_vlan(device: &Value, vlan: &Value, findings: &mut Findings<'_>) {
    let place = format!("{}.{}", text(device, "interface"), number(vlan, "vlanId"));
    let cidr = text(vlan, "cidr");
    if !items(vlan, "addresses").is_empty() && !cidr.is_empty() {
        findings.error(format!(
            "[networking.os.device.vlan] {place}: vlan can't have both .cidr and .addresses set"
        ));
    }
    if !cidr.is_empty()
        && let Err(why) = ip_or_cidr(cidr)
    {
        findings.error(format!("[networking.os.device.vlan.CIDR] {place}: {why}"));
    }
    for address in texts(vlan, "addresses") {
        if let Err(why) = ip_or_cidr(address) {
            findings.error(format!(
                "[networking.os.device.vlan.addresses] {place}: {why}"
            ));
        }
    }
}

fn addressing(device: &Value, members: &[(&str, &str)], findings: &mut Findings<'_>) {
    let name = text(device, "interface");
    let shown = quote(name);
    let cidr = text(device, "cidr");
    let addressed = !items(device, "addresses").is_empty();
    let is_member = members.iter().any(|(member, _)| *member == name);
    if is_member
        && (flag(device, "dhcp") || !cidr.is_empty() || addressed || device.at("vip").is_some())
    {
        findings.error(format!(
            "[networking.os.device] {shown}: bonded/bridged interface shouldn't have any addressing methods configured"
        ));
    }
    if addressed && !cidr.is_empty() {
        findings.error(format!(
            "[networking.os.device] {shown}: interface can't have both .cidr and .addresses set"
        ));
    }
    if !cidr.is_empty() {
        if let Err(why) = ip_or_cidr(cidr) {
            findings.error(format!("[networking.os.device.CIDR] {shown}: {why}"));
        }
        findings.warning(format!(
            "{shown}: machine.network.interface.cidr is deprecated, please use machine.network.interface.addresses"
        ));
    }
    for address in texts(device, "addresses") {
        if let Err(why) = ip_or_cidr(address) {
            findings.error(format!("[networking.os.device.addresses] {shown}: {why}"));
        }
    }
    let shared = text(device, "vip.ip");
    if device.at("vip").is_some() && !address::is_plain(shared) {
        findings.error(format!(
            "[networking.os.device.vip] failed to parse {} as IP address",
            quote(shared)
        ));
    }
}

fn routes(device: &Value, findings: &mut Findings<'_>) {
    for (index, route) in items(device, "routes").iter().enumerate() {
        let place = format!("networking.os.device.route[{index}]");
        let (network, gateway, source) = (
            text(route, "network"),
            text(route, "gateway"),
            text(route, "source"),
        );
        let mut check = |field: &str, written: &str, fine: bool| {
            if !written.is_empty() && !fine {
                findings.error(format!(
                    "[{place}.{field}] {}: invalid network address",
                    quote(written)
                ));
            }
        };
        check("network", network, address::is_cidr(network));
        check("gateway", gateway, address::is_plain(gateway));
        if gateway.is_empty() && network.is_empty() {
            findings.error(format!(
                "[{place}]: either network or gateway should be set"
            ));
        }
        if !source.is_empty() && !address::is_plain(source) {
            findings.error(format!(
                "[{place}.source] {}: invalid network address",
                quote(source)
            ));
        }
    }
}

fn check_bond(bond: &Value, findings: &mut Findings<'_>) {
    let written = text(bond, "mode");
    let known = BOND_MODES.contains(&written);
    if !written.is_empty() && !known {
        findings.error(format!("invalid bond type {written}"));
    }
    let mode = if known { written } else { "balance-rr" };
    for (field, choices, what) in BOND_CHOICES {
        let value = text(bond, field);
        if !value.is_empty() && !choices.split('|').any(|choice| choice == value) {
            findings.error(format!("invalid {what} {value}"));
        }
    }
    let interval = number(bond, "miimon");
    for (field, shown) in [("updelay", "upDelay"), ("downdelay", "downDelay")] {
        let delay = number(bond, field);
        if interval == 0 && delay != 0 {
            findings.error(format!("bond.{shown} can't be set if miiMon is zero"));
        } else if interval != 0 && delay % interval != 0 {
            findings.error(format!("bond.{shown} should be a multiple of miiMon"));
        }
    }
    let is_lacp = mode == "802.3ad";
    let balances = matches!(mode, "balance-tlb" | "balance-alb");
    let said = |field: &str| bond.at(field).is_some_and(|value| !value.is_zero());
    let unavailable = |field: &str| format!("bond.{field} is not available in {mode} mode");
    for (wrong, problem) in [
        (
            said("arpIPTarget"),
            "bond.arpIPTarget is not supported".to_owned(),
        ),
        (
            said("lacpRate") && !is_lacp,
            "bond.lacpRate is only available in 802.3ad mode".to_owned(),
        ),
        (
            said("adActorSystem"),
            "bond.adActorSystem is not supported".to_owned(),
        ),
        (
            said("arpValidate") && (is_lacp || balances),
            unavailable("arpValidate"),
        ),
        (
            said("primary") && !(mode == "active-backup" || balances),
            unavailable("primary"),
        ),
        (
            said("arpInterval") && (is_lacp || balances),
            unavailable("arpInterval"),
        ),
        (
            number(bond, "packetsPerSlave") > 1 && mode != "balance-rr",
            unavailable("packetsPerSlave"),
        ),
        (
            said("tlbDynamicLb") && !balances,
            unavailable("tlbDynamicTLB"),
        ),
        (
            said("adActorSysPrio") && !is_lacp,
            "bond.adActorSysPrio is only available in 802.3ad mode".to_owned(),
        ),
        (
            said("adUserPortKey") && !is_lacp,
            "bond.adUserPortKey is only available in 802.3ad mode".to_owned(),
        ),
    ] {
        if wrong {
            findings.error(problem);
        }
    }
}

fn check_key(key: &str) -> Result<(), String> {
    match encoding::base64(key) {
        Err(at) => Err(encoding::illegal(at)),
        Ok(bytes) if bytes.len() == 32 => Ok(()),
        Ok(bytes) => Err(format!("wrong key {} length: {}", quote(key), bytes.len())),
    }
}

fn check_wireguard(wireguard: &Value, findings: &mut Findings<'_>) {
    if let Err(why) = check_key(text(wireguard, "privateKey")) {
        findings.error(format!("private key is invalid: {why}"));
    }
    for peer in items(wireguard, "peers") {
        if let Err(why) = check_key(text(peer, "publicKey")) {
            findings.error(format!("public key invalid: {why}"));
        }
        let endpoint = text(peer, "endpoint");
        let has_port = address::split_host_port(endpoint)
            .is_ok_and(|(host, _)| !host.contains(':') || address::parse(host).is_ok());
        if !endpoint.is_empty() && !has_port {
            findings.error(format!("peer endpoint {} is invalid", quote(endpoint)));
        }
        for allowed in texts(peer, "allowedIPs") {
            if !address::is_cidr(allowed) {
                findings.error(format!(
                    "peer allowed IP {} is invalid: invalid CIDR address: {allowed}",
                    quote(allowed)
                ));
            }
        }
    }
}
