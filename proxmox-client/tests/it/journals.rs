//! What nodes write down, and several calls in one.

use proxmox_client::service::SyslogQuery;
use proxmox_client::simulator::{NodeSpec, Simulator, World};
use proxmox_client::wire::{Method, Request};
use proxmox_client::{Client, Kind, Login, QemuConfig, Trust};
use serde_json::{Value, json};

fn world() -> World {
    World::lab()
        .with_guest("pve1", 100, &QemuConfig::new())
        .with_journal_line("pve1", "kernel", "Linux version 6.17")
        .with_journal_line("pve1", "sshd[812]", "Server listening on 0.0.0.0")
}

#[tokio::test(start_paused = true)]
async fn journal_and_log_tell_of_tasks_and_programs() {
    let simulator = Simulator::new(world());
    let client = simulator.connect();
    let node = client.node("pve1");
    node.qemu(100).start().await.unwrap();
    let lines = node.journal(100).await.unwrap();
    assert_eq!(lines.len(), 4, "{lines:?}");
    assert_eq!(lines[0], "Jan 01 00:00:00 pve1 kernel: Linux version 6.17");
    assert!(lines[2].contains("pvedaemon[979]: <root@pam!lab> starting task UPID:pve1:"));
    assert!(
        lines[3].contains(":qmstart:100:root@pam!lab: OK"),
        "{}",
        lines[3]
    );
    assert_eq!(node.journal(1).await.unwrap(), lines[3..]);
    let later = node
        .journal_between(1_767_225_600 + 3600, None)
        .await
        .unwrap();
    assert!(later.is_empty(), "{later:?}");

    let of_ssh = SyslogQuery::new().of_service("sshd");
    let shown = node.syslog(&of_ssh).await.unwrap();
    assert_eq!((shown.len(), shown[0].number), (1, 1));
    let page = node
        .syslog(&SyslogQuery::new().with_page(1, 2))
        .await
        .unwrap();
    let numbers: Vec<u64> = page.iter().map(|line| line.number).collect();
    assert_eq!(numbers, [2, 3]);
    let none = SyslogQuery::new().until("2025-12-31 23:59:59");
    let none = node.syslog(&none).await.unwrap();
    assert_eq!(none[0].text, "no content");

    let log = client.cluster_log(1).await.unwrap();
    assert_eq!(log.len(), 1, "only the newest");
    assert!(
        log[0].text.starts_with("end task UPID:pve1:"),
        "{}",
        log[0].text
    );
    assert!(log[0].text.ends_with(": OK"), "{}", log[0].text);
    assert_eq!(log[0].user.as_deref(), Some("root@pam!lab"));
    assert_eq!(
        client.cluster_log(100).await.unwrap().len(),
        2,
        "programs are not in it"
    );
}

#[tokio::test]
async fn a_journal_that_comes_packed_is_read() {
    let simulator = Simulator::new(world());
    let server = simulator.serve().await.unwrap();
    let client = Client::builder()
        .endpoint(server.endpoint())
        .token("root@pam!lab=lab-secret")
        .trust(Trust::ca_pem(server.certificate_pem()))
        .build()
        .unwrap();
    let lines = client.node("pve1").journal(10).await.unwrap();
    assert_eq!(lines.len(), 2);
    assert!(lines[1].ends_with("Server listening on 0.0.0.0"));
}

#[tokio::test(start_paused = true)]
async fn logs_of_firewalls_are_the_nodes_and_of_its_guests() {
    let world = world()
        .with_firewall_log(
            "pve1",
            "0 6 PVEFW-HOST-IN 01/Jan/2026:00:00:00 policy DROP: IN=vmbr0",
        )
        .with_firewall_log(
            "pve1",
            "100 6 tap100i0-IN 01/Jan/2026:00:00:01 DROP: IN=fwbr100i0",
        );
    let client = Simulator::new(world).connect();
    let node = client.node("pve1");
    assert_eq!(node.firewall().log(0, 50).await.unwrap().len(), 2);
    let own = node.qemu(100).firewall().log(0, 50).await.unwrap();
    assert_eq!(own.len(), 1);
    assert!(own[0].text.starts_with("100 6 tap100i0-IN"));
    let known = client.firewall_macros().await.unwrap();
    assert!(known.iter().any(|one| one.name == "SSH"));
}

#[tokio::test(start_paused = true)]
async fn nodes_tell_what_they_can_and_how_to_join_them() {
    let get = |path: &str| Request::new(Method::Get, path, &[]);
    let alone = Simulator::new(World::lab()).connect();
    assert!(alone.join_info().await.unwrap().is_none());
    let machines: Vec<Value> = alone
        .fetch(get("/nodes/pve1/capabilities/qemu/machines"))
        .await
        .unwrap();
    assert!(machines.iter().any(|one| one["type"] == "q35"));
    let models: Vec<Value> = alone
        .fetch(get("/nodes/pve1/capabilities/qemu/cpu"))
        .await
        .unwrap();
    assert!(models.contains(&json!({ "name": "qemu64", "vendor": "default", "custom": 0 })));
    let migration: Value = alone
        .fetch(get("/nodes/pve1/capabilities/qemu/migration"))
        .await
        .unwrap();
    assert_eq!(migration["has-dbus-vmstate"], 1);

    let second = NodeSpec::new("pve2", 4, 8 << 30).with_address("192.0.2.11");
    let pair = Simulator::new(World::lab().with_node(second)).connect();
    let info = pair.join_info().await.unwrap().unwrap();
    assert_eq!(info.nodes.as_ref().map(Vec::len), Some(2));
    assert_eq!(info.preferred_node().unwrap().name, "pve1");
    assert_eq!(info.cluster_name(), Some("lab"));
    let nodes = pair.nodes().await.unwrap();
    let seen = &info.nodes.unwrap()[1];
    assert_eq!(seen.fingerprint, nodes[1].fingerprint);
    assert_eq!(seen.address.as_deref(), Some("192.0.2.11"));
}

#[tokio::test(start_paused = true)]
async fn several_calls_are_made_one_after_the_other() {
    let batch = |commands: Value| {
        Request::new(Method::Post, "/nodes/{node}/execute", &["pve1"])
            .with("commands", commands.to_string())
    };
    let simulator = Simulator::new(world().with_user("root@pam", "hunter2"));
    let token = simulator.connect();
    let refused = token.request(batch(json!([]))).await.unwrap_err();
    assert_eq!(refused.kind(), Kind::RootOnly);
    let login = Login::new("root@pam", "hunter2");
    let root = simulator.builder().login(login).build().unwrap();
    let commands = json!([
        { "method": "PUT", "path": "qemu/100/config", "args": { "name": "web" } },
        { "method": "GET", "path": "qemu/100/config" },
        { "method": "GET", "path": "qemu/100/config", "args": { "nonsense": "1" } },
        { "method": "GET", "path": "qemu/999/config" },
        { "method": "GET", "path": "nowhere" },
        { "method": "POST", "path": "qemu/100/status/start" },
    ]);
    let answers: Vec<Value> = root.fetch(batch(commands)).await.unwrap();
    let states: Vec<_> = answers.iter().map(|one| one["status"].clone()).collect();
    assert_eq!(states, [200, 200, 400, 500, 500, 200]);
    assert_eq!(
        answers[1]["data"]["name"], "web",
        "the calls see each other's work"
    );
    assert!(answers[2]["errors"]["nonsense"].is_string());
    assert_eq!(
        answers[4]["message"],
        "no handler for 'nodes/pve1/nowhere'\n"
    );
    assert!(answers[5]["data"].as_str().unwrap().starts_with("UPID:"));
}
