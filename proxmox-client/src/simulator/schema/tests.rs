//! The table is whole, and what is refused is refused in the server's words.

use std::collections::BTreeSet;

use regex_lite::Regex;
use serde_json::{Value, json};

use super::table::Table;
use super::*;

fn call(verb: &str, path: &str, params: Value) -> Call {
    let segments: Vec<String> = path.split('/').skip(1).map(str::to_owned).collect();
    let Value::Object(params) = params else {
        panic!("parameters are an object");
    };
    Call {
        method: verb.to_owned(),
        path: path.to_owned(),
        segments,
        params,
        file: None,
    }
}

fn admit(call: &Call) -> Result<Call, Reply> {
    admit_in(call, (9, 2))
}

fn admit_in(call: &Call, release: Release) -> Result<Call, Reply> {
    let found = find(call, release)?;
    found.refuse_conflict()?;
    found.admit(|node| node == "pve1")
}

/// What a call is refused with: the errors by parameter.
fn errors(verb: &str, path: &str, params: Value) -> Value {
    match admit(&call(verb, path, params)) {
        Ok(_) => Value::Null,
        Err(refusal) => serde_json::from_slice::<Value>(&refusal.body).unwrap()["errors"].clone(),
    }
}

#[test]
fn a_release_knows_what_it_or_an_earlier_one_brought() {
    let rules = call("GET", "/cluster/ha/rules", json!({}));
    let refusal = admit_in(&rules, (8, 4)).unwrap_err();
    assert_eq!(
        (refusal.status, refusal.reason.as_str()),
        (501, "Method 'GET /cluster/ha/rules' not implemented")
    );
    assert!(admit_in(&rules, (9, 0)).is_ok());
    let shared = json!({ "virtiofs0": "dirid=shared" });
    let change = call("PUT", "/nodes/pve1/qemu/100/config", shared);
    let refusal = admit_in(&change, (8, 3)).unwrap_err();
    let body: Value = serde_json::from_slice(&refusal.body).unwrap();
    assert_eq!(
        body["errors"]["virtiofs0"],
        "property is not defined in schema and the schema does not allow additional properties"
    );
    assert!(admit_in(&change, (8, 4)).is_ok());
}

#[test]
fn every_method_is_found_by_its_path() {
    let mut count = 0;
    for line in Table::lines() {
        let (verb, path) = (
            line["verb"].as_str().unwrap(),
            line["path"].as_str().unwrap(),
        );
        let segments: Vec<String> = path.split('/').skip(1).map(str::to_owned).collect();
        let (method, of_path) = TABLE.find(verb, &segments).unwrap();
        assert_eq!(method.routed, line["routed"] == true, "{verb} {path}");
        assert_eq!(method.token, line["token"] != false, "{verb} {path}");
        assert_eq!(of_path.len(), path.matches('{').count(), "{verb} {path}");
        for name in line["params"].as_object().unwrap().keys() {
            let shape = method.shape(&name.replace("[n]", "0"));
            assert!(shape.is_some_and(Value::is_object), "{verb} {path} {name}");
        }
        count += 1;
    }
    assert!(count > 600, "{count}");
}

fn walk(shape: &Value, found: &mut dyn FnMut(&str, &str)) {
    match shape {
        Value::Object(members) => {
            for (key, value) in members {
                if let ("pattern" | "format", Some(text)) = (key.as_str(), value.as_str()) {
                    found(key, text);
                }
                walk(value, found);
            }
        }
        Value::Array(items) => items.iter().for_each(|item| walk(item, found)),
        _ => {}
    }
}

#[test]
fn every_pattern_can_be_read() {
    let mut patterns: BTreeSet<String> = pattern::every().collect();
    for shape in TABLE.every_shape() {
        walk(shape, &mut |key, text| {
            if key == "pattern" {
                patterns.insert(format!("^{text}$"));
            }
        });
    }
    assert!(patterns.len() > 60, "{}", patterns.len());
    for pattern in patterns {
        assert!(Regex::new(&pattern).is_ok(), "{pattern}");
    }
}

#[test]
fn formats_that_accept_any_text_are_few_and_known() {
    // Their answer depends on what the node has installed or stored.
    let open = [
        "pve-acme-domain",
        "pve-command-batch",
        "pve-ct-timezone",
        "pve-fw-icmp-type-spec",
        "pve-fw-protocol-spec",
        "string",
    ];
    let mut accepting = BTreeSet::new();
    for shape in TABLE.every_shape() {
        walk(shape, &mut |key, text| {
            let name = text
                .strip_suffix("-list")
                .or(text.strip_suffix("-opt"))
                .unwrap_or(text);
            let any = ["\u{1}", "", "=", "a b", "0", "../a"]
                .iter()
                .all(|text| format::check(name, text).is_ok());
            if key == "format" && TABLE.format(text).is_none() && any {
                accepting.insert(name.to_owned());
            }
        });
    }
    accepting.retain(|name| !open.contains(&name.as_str()));
    assert!(accepting.is_empty(), "{accepting:?}");
}

#[test]
fn an_unknown_path_and_an_unknown_verb_are_told_alike() {
    for (verb, path) in [
        ("GET", "/nosuch"),
        ("PUT", "/version"),
        ("GET", "/nodes/pve1/nosuch"),
    ] {
        let refusal = find(&call(verb, path, json!({})), (9, 1)).unwrap_err();
        assert_eq!(refusal.status, 501);
        assert_eq!(
            refusal.reason,
            format!("Method '{verb} {path}' not implemented")
        );
    }
}

#[test]
fn volumes_and_networks_may_hold_slashes() {
    let ok = Value::Null;
    assert_eq!(
        errors(
            "GET",
            "/nodes/pve1/storage/local/content/local:iso/a.iso",
            json!({})
        ),
        ok
    );
    assert_eq!(
        errors("GET", "/cluster/firewall/ipset/lan/10.0.0.0/8", json!({})),
        ok
    );
}

#[test]
fn a_path_is_checked_like_everything_else() {
    assert_eq!(
        errors("GET", "/nodes/pve1/qemu/99/config", json!({})),
        json!({ "vmid": "invalid format - value does not look like a valid VM ID\n" })
    );
    assert_eq!(
        errors("PUT", "/access/users/a@pve", json!({ "userid": "b@pve" })),
        json!({ "userid": "duplicate parameter (already defined in URI) with conflicting values!" })
    );
    // A node that is not there is looked for first.
    assert_eq!(
        errors("GET", "/nodes/pve9/qemu/99/config", json!({})),
        Value::Null
    );
}

#[test]
fn what_is_wrong_with_a_value_is_told_in_the_servers_words() {
    let unknown =
        "property is not defined in schema and the schema does not allow additional properties";
    let put = |params: Value| errors("PUT", "/nodes/pve1/qemu/100/config", params);
    for (key, value, why) in [
        (
            "onboot",
            json!("yes"),
            "type check ('boolean') failed - got 'yes'",
        ),
        (
            "onboot",
            json!(2),
            "type check ('boolean') failed - got '2'",
        ),
        (
            "cores",
            json!("1.0"),
            "type check ('integer') failed - got '1.0'",
        ),
        ("cores", json!(""), "type check ('integer') failed - got ''"),
        ("cores", json!(0), "value must have a minimum value of 1"),
        (
            "cpulimit",
            json!("lots"),
            "type check ('number') failed - got 'lots'",
        ),
        (
            "cpulimit",
            json!(129.5),
            "value must have a maximum value of 128",
        ),
        (
            "name",
            json!(["a", "b"]),
            "type check ('string') failed - got ARRAY",
        ),
        (
            "name",
            json!({ "a": 1 }),
            "type check ('string') failed - got HASH",
        ),
        (
            "name",
            json!(true),
            "type check ('string') failed - got JSON::PP::Boolean",
        ),
        (
            "name",
            json!("-a"),
            "invalid format - value does not look like a valid DNS name\n",
        ),
        (
            "bios",
            json!("efi"),
            "value 'efi' does not have a value in the enumeration 'seabios, ovmf'",
        ),
        (
            "vmgenid",
            json!("x"),
            "value does not match the regex pattern",
        ),
        (
            "digest",
            json!("0".repeat(41)),
            "value may only be 40 characters long",
        ),
        ("net32", json!("virtio"), unknown),
        ("net00", json!("virtio"), unknown),
        ("net", json!("virtio"), unknown),
        (
            "boot",
            json!("order=scsi0;net0;disk1"),
            "invalid format - format error\nboot.order: invalid format - invalid boot device 'disk1'\n\n",
        ),
        (
            "net0",
            json!("bridge=vmbr0"),
            "invalid format - format error\nnet0.model: property is missing and it is not optional\n",
        ),
        (
            "net0",
            json!("virtio,tag=4095"),
            "invalid format - format error\nnet0.tag: value must have a maximum value of 4094\n",
        ),
        (
            "net0",
            json!("virtio,e1000"),
            "invalid format - duplicate key in comma-separated list property: model\n",
        ),
        (
            "net0",
            json!("virtio,tag"),
            "invalid format - duplicate key in comma-separated list property: model\n",
        ),
        (
            "net0",
            json!("virtio,tag="),
            "invalid format - missing key in comma-separated list property\n",
        ),
        (
            "net0",
            json!("virtio,firewall=maybe"),
            "invalid format - format error\nnet0.firewall: type check ('boolean') failed - got 'maybe'\n",
        ),
        (
            "net0",
            json!("virtio,tag=1,speed=2,rate=x"),
            "invalid format - format error\nnet0.rate: type check ('number') failed - got 'x'\nnet0.speed: property is not defined in schema and the schema does not allow additional properties\n",
        ),
        (
            "ipconfig0",
            json!("gw=10.0.0.1"),
            "invalid format - format error\nipconfig0.ip: missing property required by 'ipconfig0.gw'\n",
        ),
        (
            "smbios1",
            json!("x"),
            "invalid format - value without key, but schema does not define a default key\n",
        ),
        (
            "tags",
            json!("good;bad tag!"),
            "invalid format - invalid characters in tag\n",
        ),
        ("hostpci0", json!("00:1f.2,pcie=on,rombar=no"), ""),
        (
            "net0",
            json!("virtio=BC:24:11:00:00:01,bridge=vmbr0,,firewall=yes"),
            "",
        ),
        (
            "scsi0",
            json!("local:8,volume=local:9"),
            "invalid format - key 'file' is already defined (via alias)\n",
        ),
        ("onboot", json!(true), ""),
        ("cores", json!(2.0), ""),
    ] {
        let expected = match why {
            "" => Value::Null,
            why => json!({ key: why }),
        };
        assert_eq!(put(json!({ key: value })), expected, "{key}={value}");
    }
}

#[test]
fn everything_wrong_is_told_at_once() {
    let missing = "property is missing and it is not optional";
    assert_eq!(
        errors(
            "POST",
            "/nodes/pve1/qemu",
            json!({ "memory": "lots", "nosuch": 1 })
        ),
        json!({
            "memory": "invalid format - format error\nmemory.current: type check ('integer') failed - got 'lots'\n",
            "nosuch": "property is not defined in schema and the schema does not allow additional properties",
            "vmid": missing,
        })
    );
    assert_eq!(
        errors("POST", "/access/ticket", json!({ "username": "root" })),
        json!({ "password": missing })
    );
}

#[test]
fn lists_may_be_arrays_and_arrays_one_value() {
    let admitted = admit(&call(
        "PUT",
        "/nodes/pve1/qemu/100/config",
        json!({ "delete": ["net0", "net1"] }),
    ));
    assert_eq!(admitted.unwrap().params["delete"], "net0,net1");
    let exec = "/nodes/pve1/qemu/100/agent/exec";
    assert_eq!(
        errors("POST", exec, json!({ "command": "id" })),
        Value::Null
    );
    assert_eq!(
        errors(
            "POST",
            "/cluster/bulk-action/guest/start",
            json!({ "vms": ["100", "x"] })
        ),
        json!({ "vms[1]": "type check ('integer') failed - got 'x'" })
    );
    assert_eq!(
        errors(
            "POST",
            "/cluster/mapping/dir",
            json!({ "id": "d", "map": "node=pve1" })
        )["map[0]"],
        "invalid format - format error\nmap[0].path: property is missing and it is not optional\n"
    );
}

#[test]
fn a_kind_decides_which_shape_holds() {
    let path = "/cluster/sdn/fabrics/node/f1";
    let node = |protocol: &str, interface: &str| {
        errors(
            "POST",
            path,
            json!({ "node_id": "pve1", "protocol": protocol, "interfaces": [interface] }),
        )
    };
    assert_eq!(
        node("openfabric", "name=eth0,hello_multiplier=3"),
        Value::Null
    );
    let refused = node("ospf", "name=eth0,hello_multiplier=3");
    assert!(
        refused["interfaces[0]"]
            .as_str()
            .unwrap()
            .contains("interfaces[0].hello_multiplier: "),
        "{refused}"
    );
}

#[test]
fn tokens_are_kept_from_what_asks_for_a_ticket() {
    let call = call(
        "PUT",
        "/access/password",
        json!({ "userid": "a@pve", "password": "12345678" }),
    );
    let refusal = find(&call, (9, 1)).unwrap().refuse_token().unwrap_err();
    assert_eq!(refusal.status, 403);
    assert_eq!(
        refusal.reason,
        "Permission check failed (URI '/access/password' not available with API token, need proper ticket."
    );
}
