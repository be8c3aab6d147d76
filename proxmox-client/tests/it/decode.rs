//! Answers are read leniently, and nothing of them is lost.

use proxmox_client::wire::{Answer, Method, Params, Request, escape, unescape};
use proxmox_client::{
    Kind, NodeStatus, QemuConfig, QemuStatus, Resource, ResourceKind, ResourceStatus,
};
use serde_json::{Value, json};

fn answer(data: &Value) -> Answer {
    Answer::new(200, "OK", json!({ "data": data }).to_string())
}

#[test]
fn numbers_may_come_as_texts_and_odd_values_are_kept() {
    let status: QemuStatus = answer(&json!({
        "status": "running", "vmid": "100", "uptime": "5", "cpus": 2, "maxmem": 4294967296u64,
        "mem": "N/A", "new-in-10": { "a": [1] }, "lock": null,
    }))
    .data()
    .unwrap();
    assert_eq!(
        (status.vmid, status.uptime, status.cpus),
        (Some(100), Some(5), Some(2.0))
    );
    assert_eq!(status.max_memory, Some(1 << 32));
    assert_eq!(status.memory, None);
    assert_eq!(status.extra["mem"], "N/A");
    assert_eq!(status.extra["new-in-10"], json!({ "a": [1] }));
    assert_eq!(status.to_json()["new-in-10"], json!({ "a": [1] }));
}

#[test]
fn one_odd_field_does_not_make_a_list_unreadable_but_a_missing_name_does() {
    let list = json!([{ "id": "qemu/100", "type": "qemu", "vmid": "x" }]);
    let read: Vec<Resource> = answer(&list).data().unwrap();
    assert_eq!(read[0].vmid, None);
    assert_eq!(read[0].extra["vmid"], "x");
    let error = answer(&json!([{ "type": "qemu" }]))
        .data::<Vec<Resource>>()
        .unwrap_err();
    assert_eq!(error.kind(), Kind::Decode);
}

#[test]
fn names_and_values_may_be_escaped_in_any_way_that_json_allows() {
    let body = r#"{"data":[{"i\u0064":"qemu\/100","type":"qem\u0075","st\u0061tus":"r\u0075nning","n\u0065w":"\u00e9"}]}"#;
    let read: Vec<Resource> = Answer::new(200, "OK", body).data().unwrap();
    assert_eq!(
        (read[0].id.as_str(), &read[0].kind),
        ("qemu/100", &ResourceKind::Qemu)
    );
    assert_eq!(read[0].status, Some(ResourceStatus::Running));
    assert_eq!(read[0].extra["new"], "é");
}

#[test]
fn an_answer_that_is_no_text_is_refused_with_the_place() {
    let answer = Answer::new(200, "OK", b"{\"data\":[\"\xff\"]}".to_vec());
    let error = answer.data::<Vec<String>>().unwrap_err();
    assert_eq!(error.kind(), Kind::Decode);
    let source = std::error::Error::source(&error).unwrap().to_string();
    assert!(source.ends_with("from index 10"), "{source}");
}

#[test]
fn kinds_and_states_of_newer_servers_survive() {
    let list = json!([{ "id": "x/1", "type": "spaceship", "status": "docked" }]);
    let read: Vec<Resource> = answer(&list).data().unwrap();
    assert_eq!(read[0].kind, ResourceKind::Other("spaceship".to_owned()));
    assert_eq!(read[0].to_json(), list[0]);
}

#[test]
fn nested_figures_are_reachable() {
    let status: NodeStatus = answer(&json!({
        "memory": { "total": 103079215104u64, "used": "1024" }, "cpuinfo": { "cpus": 24, "mhz": "2596.122" },
        "loadavg": ["1.49", "1.76", "2.29"],
    }))
    .data()
    .unwrap();
    assert_eq!(status.total_memory(), Some(96 << 30));
    assert_eq!(status.cpus(), Some(24));
    assert_eq!(status.load.unwrap(), [1.49, 1.76, 2.29]);
}

#[test]
fn a_configuration_keeps_what_it_does_not_know() {
    let config: QemuConfig = answer(&json!({
        "memory": "4096", "cores": 2, "digest": "abc", "brand-new": "x=1", "lock": "some-new-lock",
        "template": 1, "tags": "b;a",
    }))
    .data()
    .unwrap();
    assert_eq!(config.digest(), Some("abc"));
    assert_eq!(config.memory_mib(), Some(4096));
    assert_eq!(config.lock().as_deref(), Some("some-new-lock"));
    assert_eq!(config.get("brand-new").unwrap(), "x=1");
    assert!(config.is_template());
}

#[test]
fn parameters_go_where_the_method_allows_and_are_escaped_for_the_servers_decoder() {
    let request = Request::new(
        Method::Get,
        "/nodes/{node}/tasks/{upid}/log",
        &["pve1", "UPID:a:b@c!d:"],
    )
    .with("limit", "0");
    assert_eq!(
        *request.target(),
        "/api2/json/nodes/pve1/tasks/UPID%3Aa%3Ab%40c%21d%3A/log?limit=0"
    );
    assert_eq!(request.body(), None);
    let mut params = Params::new();
    params.push_value("net0", &json!("virtio,bridge=vmbr0"));
    params.push_value("onboot", &json!(true));
    params.push_value("target", &json!(["a", "b"]));
    params.push_value("nothing", &Value::Null);
    let request = Request::new(Method::Post, "/nodes/{node}/qemu", &["pve1"]).with_params(params);
    assert_eq!(*request.target(), "/api2/json/nodes/pve1/qemu");
    assert_eq!(
        *request.body().unwrap(),
        "net0=virtio%2Cbridge%3Dvmbr0&onboot=1&target=a&target=b"
    );
}

proptest::proptest! {
    #[test]
    fn escaping_is_undone(text in "\\PC{0,40}") {
        let escaped = escape(&text);
        proptest::prop_assert!(escaped.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.~%".contains(&b)));
        proptest::prop_assert_eq!(unescape(&escaped), text);
    }
}
