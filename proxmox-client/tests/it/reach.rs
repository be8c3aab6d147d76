//! How far the simulator reaches: every method of the interface is called, and those that are not modelled are named here.

use std::collections::BTreeSet;

use proxmox_client::api::{self, MethodInfo};
use proxmox_client::simulator::{NodeSpec, Simulator, World};
use proxmox_client::wire::{Method, Request};
use proxmox_client::{LxcConfig, QemuConfig};
use serde_json::Value;

/// What answers `501 not simulated`.
const NOT_MODELLED: &[&str] = &[
    "DELETE /cluster/config/nodes/{node}",
    "DELETE /cluster/jobs/realm-sync/{id}",
    "DELETE /cluster/metrics/server/{id}",
    "GET /access",
    "GET /access/openid",
    "GET /access/ticket",
    "GET /access/users/{userid}/tfa",
    "GET /cluster/bulk-action/guest",
    "GET /cluster/config/qdevice",
    "GET /cluster/ha/status",
    "GET /cluster/jobs/realm-sync",
    "GET /cluster/jobs/realm-sync/{id}",
    "GET /cluster/qemu/cpu-flags",
    "GET /cluster/sdn/dry-run",
    "GET /nodes/{node}/aplinfo",
    "GET /nodes/{node}/hardware/pci/{pci-id-or-mapping}/mdev",
    "GET /nodes/{node}/lxc/{vmid}/feature",
    "GET /nodes/{node}/lxc/{vmid}/migrate",
    "GET /nodes/{node}/lxc/{vmid}/mtunnelwebsocket",
    "GET /nodes/{node}/lxc/{vmid}/rrd",
    "GET /nodes/{node}/qemu/{vmid}/agent/get-fsinfo",
    "GET /nodes/{node}/qemu/{vmid}/agent/get-memory-block-info",
    "GET /nodes/{node}/qemu/{vmid}/agent/get-memory-blocks",
    "GET /nodes/{node}/qemu/{vmid}/agent/get-osinfo",
    "GET /nodes/{node}/qemu/{vmid}/agent/info",
    "GET /nodes/{node}/qemu/{vmid}/feature",
    "GET /nodes/{node}/qemu/{vmid}/migrate",
    "GET /nodes/{node}/qemu/{vmid}/mtunnelwebsocket",
    "GET /nodes/{node}/qemu/{vmid}/rrd",
    "GET /nodes/{node}/query-oci-repo-tags",
    "GET /nodes/{node}/query-url-metadata",
    "GET /nodes/{node}/rrd",
    "GET /nodes/{node}/scan",
    "GET /nodes/{node}/scan/cifs",
    "GET /nodes/{node}/scan/iscsi",
    "GET /nodes/{node}/scan/lvm",
    "GET /nodes/{node}/scan/lvmthin",
    "GET /nodes/{node}/scan/nfs",
    "GET /nodes/{node}/scan/pbs",
    "GET /nodes/{node}/scan/zfs",
    "GET /nodes/{node}/sdn",
    "GET /nodes/{node}/sdn/fabrics/{fabric}",
    "GET /nodes/{node}/sdn/fabrics/{fabric}/interfaces",
    "GET /nodes/{node}/sdn/fabrics/{fabric}/neighbors",
    "GET /nodes/{node}/sdn/fabrics/{fabric}/routes",
    "GET /nodes/{node}/sdn/vnets/{vnet}",
    "GET /nodes/{node}/sdn/vnets/{vnet}/mac-vrf",
    "GET /nodes/{node}/sdn/zones/{zone}",
    "GET /nodes/{node}/sdn/zones/{zone}/bridges",
    "GET /nodes/{node}/sdn/zones/{zone}/content",
    "GET /nodes/{node}/sdn/zones/{zone}/ip-vrf",
    "GET /nodes/{node}/storage/{storage}",
    "GET /nodes/{node}/storage/{storage}/file-restore/download",
    "GET /nodes/{node}/storage/{storage}/file-restore/list",
    "GET /nodes/{node}/storage/{storage}/identity",
    "GET /nodes/{node}/storage/{storage}/import-metadata",
    "GET /nodes/{node}/storage/{storage}/rrd",
    "POST /cluster/ceph/restart-bulk",
    "POST /cluster/config",
    "POST /cluster/config/nodes/{node}",
    "POST /cluster/ha/status/arm-ha",
    "POST /cluster/ha/status/disarm-ha",
    "POST /cluster/sdn/dns",
    "POST /cluster/sdn/ipams",
    "POST /nodes/{node}/aplinfo",
    "POST /nodes/{node}/apt/repositories",
    "POST /nodes/{node}/ceph/restart-bulk",
    "POST /nodes/{node}/lxc/{vmid}/spiceproxy",
    "POST /nodes/{node}/qemu/{vmid}/agent",
    "POST /nodes/{node}/qemu/{vmid}/agent/fstrim",
    "POST /nodes/{node}/qemu/{vmid}/agent/set-user-password",
    "POST /nodes/{node}/qemu/{vmid}/agent/suspend-disk",
    "POST /nodes/{node}/qemu/{vmid}/agent/suspend-hybrid",
    "POST /nodes/{node}/qemu/{vmid}/agent/suspend-ram",
    "POST /nodes/{node}/qemu/{vmid}/dbus-vmstate",
    "POST /nodes/{node}/qemu/{vmid}/monitor",
    "POST /nodes/{node}/spiceshell",
    "POST /nodes/{node}/status",
    "POST /nodes/{node}/storage/{storage}/content/{volume}",
    "PUT /nodes/{node}/apt/repositories",
];

fn world() -> World {
    let machine = QemuConfig::new()
        .with("scsi0", "local-lvm:vm-100-disk-0,size=4G")
        .with("agent", "1");
    let container = LxcConfig::new().with("rootfs", "local-lvm:vm-200-disk-0,size=4G");
    World::lab()
        .with_node(NodeSpec::new("pve2", 8, 32 << 30).with_bridge("vmbr0", true))
        .with_user("alice@pve", "a password")
        .with_volume("local:iso/debian.iso", 1 << 20)
        .with_guest("pve1", 100, &machine)
        .with_container("pve1", 200, &container)
}

/// The methods' lines of the compact schema, and the shapes that they name.
fn schema() -> (Vec<Value>, Vec<Value>) {
    let text = include_str!("../../schema/api.json");
    let whole: Value = serde_json::from_str(text).unwrap();
    let list = |name: &str| whole[name].as_array().unwrap().clone();
    (list("methods"), list("shapes"))
}

/// A value that a parameter takes.
fn value_of(name: &str, shape: &Value) -> String {
    if let Some(first) = shape["enum"].as_array().and_then(|all| all.first()) {
        return first.as_str().unwrap().to_owned();
    }
    let known = match name {
        "node" | "nodename" => "pve1",
        "vmid" | "newid" => "100",
        "storage" => "local",
        "volume" => "local:iso/debian.iso",
        "upid" => "UPID:pve1:000014B6:0008A41C:6955B900:qmstart:100:root@pam:",
        "userid" | "username" => "alice@pve",
        "realm" => "pve",
        "disk" => "scsi0",
        "size" => "+1G",
        "target" => "pve2",
        "disks" | "devices" | "dev" => "/dev/sdb",
        "certificates" => "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----",
        "url" | "directory" | "issuer-url" => "https://192.0.2.1/x.iso",
        "checksum-algorithm" => "sha256",
        "contact" => "admin@example.test",
        "target-endpoint" => "host=192.0.2.20,apitoken=PVEAPIToken=root@pam!m=s",
        "target-storage" | "target-bridge" => "a:b",
        "cidr" | "network" => "192.0.2.0/24",
        "subnet" => "zone1-192.0.2.0-24",
        "ip" | "server" | "server1" | "hostname" => "192.0.2.9",
        "mac" => "BC:24:11:00:00:09",
        "action" => "ACCEPT",
        "type" => "in",
        "iface" | "bridge" | "vnet" => "vmbr0",
        "zone" => "zone1",
        "pos" => "0",
        "name" | "id" | "poolid" | "sid" | "group" | "roleid" | "groupid" => "name1",
        "command" => "true",
        "commands" => "[]",
        "key" => "ctrl-alt-delete",
        "content" => "iso",
        "snapname" => "before",
        "pid" => "1",
        "file" => "/etc/hostname",
        "starttime" | "since" => "1767225600",
        _ => "",
    };
    if !known.is_empty() {
        return known.to_owned();
    }
    match shape["type"].as_str() {
        Some("integer" | "number") => {
            let least = shape["minimum"].as_u64();
            least.unwrap_or(1).max(1).to_string()
        }
        Some("boolean") => "1".to_owned(),
        _ => "name1".to_owned(),
    }
}

fn request_of(info: &MethodInfo, methods: &[Value], shapes: &[Value]) -> Request {
    let verb = info.method.as_str();
    let line = methods.iter();
    let mut line = line.filter(|line| line["verb"] == verb && line["path"] == info.path);
    let params = line.next().unwrap()["params"].as_object().unwrap().clone();
    let shape = |number: &Value| &shapes[number.as_u64().unwrap() as usize];
    let in_path: Vec<&str> = info
        .path
        .split('/')
        .filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'))
        .collect();
    let guest = if info.path.contains("/lxc/") {
        "200"
    } else {
        "100"
    };
    let values: Vec<String> = in_path
        .iter()
        .map(|name| match *name {
            "vmid" => guest.to_owned(),
            name => value_of(name, params.get(name).map_or(&Value::Null, shape)),
        })
        .collect();
    let values: Vec<&str> = values.iter().map(String::as_str).collect();
    let mut request = Request::new(info.method, info.path, &values);
    for (name, number) in &params {
        let shape = shape(number);
        if shape["optional"] != 1 && shape["optional"] != true && !in_path.contains(&name.as_str())
        {
            request = request.with(name, value_of(name, shape));
        }
    }
    request
}

#[tokio::test(start_paused = true)]
async fn only_these_methods_are_not_modelled() {
    let (methods, shapes) = schema();
    let mut missing = BTreeSet::new();
    let simulator = Simulator::new(world().with_version("9.2.0"));
    let before = simulator.snapshot();
    for info in api::methods() {
        simulator.restore(before.clone());
        let request = request_of(info, &methods, &shapes);
        let answer = simulator.answer_as("root@pam", &request).await;
        let status = answer.map(|answer| answer.status());
        let call = format!("{} {}", info.method.as_str(), info.path);
        if status == Some(501) {
            missing.insert(call);
        }
    }
    let known: BTreeSet<String> = NOT_MODELLED.iter().map(|call| (*call).to_owned()).collect();
    let all = || missing.union(&known);
    let wrong: Vec<_> = all()
        .filter(|call| missing.contains(*call) != known.contains(*call))
        .collect();
    assert_eq!(wrong, Vec::<&String>::new());
}

#[tokio::test(start_paused = true)]
async fn the_state_of_a_cluster_begins_with_the_cluster() {
    let single = Simulator::lab().connect().cluster_status().await.unwrap();
    let single: Vec<_> = single
        .iter()
        .map(|it| (it.kind.as_str(), it.node_id))
        .collect();
    assert_eq!(single, [("node", Some(0))], "a single node is none");
    let members = Simulator::new(world())
        .connect()
        .cluster_status()
        .await
        .unwrap();
    let whole = &members[0];
    assert_eq!(
        (whole.kind.as_str(), whole.id.as_deref()),
        ("cluster", Some("cluster"))
    );
    assert_eq!(
        (whole.nodes, whole.quorate, whole.version),
        (Some(2), Some(true), Some(2))
    );
    let nodes = members[1..].iter();
    let nodes: Vec<_> = nodes
        .map(|it| (it.name.as_str(), it.node_id, it.local))
        .collect();
    let expected = [
        ("pve1", Some(1), Some(true)),
        ("pve2", Some(2), Some(false)),
    ];
    assert_eq!(nodes, expected);
}

async fn asked(simulator: &Simulator, path: &str) -> (u16, Value) {
    let request = Request::new(Method::Get, path, &[]);
    let answer = simulator.answer_as("root@pam", &request).await.unwrap();
    let body: Value = serde_json::from_slice(answer.body()).unwrap_or_default();
    (answer.status(), body["data"].clone())
}

#[tokio::test(start_paused = true)]
async fn lists_of_paths_are_those_of_the_release() {
    let names = |data: &Value| -> Vec<String> {
        let all = data.as_array().unwrap().iter();
        all.map(|entry| entry["name"].as_str().unwrap().to_owned())
            .collect()
    };
    let newest = Simulator::new(world().with_version("9.2.0"));
    let older = Simulator::new(world());
    assert!(names(&asked(&newest, "/cluster").await.1).contains(&"qemu".to_owned()));
    assert!(!names(&asked(&older, "/cluster").await.1).contains(&"qemu".to_owned()));
    let (status, _) = asked(&older, "/nodes/nowhere/ceph").await;
    assert_eq!(status, 500, "a node that is not there has no list");
}

#[tokio::test(start_paused = true)]
async fn an_agent_holds_file_systems_still_and_tells_the_time() {
    let simulator = Simulator::new(world());
    let vm = simulator.connect().node("pve1").qemu(100);
    vm.start().await.unwrap();
    tokio::time::sleep(std::time::Duration::from_secs(1)).await;
    let agent = "/nodes/pve1/qemu/100/agent";
    let post = async |what: &str| {
        let request = Request::new(Method::Post, &format!("{agent}/{what}"), &[]);
        let answer = simulator.answer_as("root@pam", &request).await.unwrap();
        let body: Value = serde_json::from_slice(answer.body()).unwrap();
        body["data"]["result"].clone()
    };
    assert_eq!(post("fsfreeze-status").await, "thawed");
    assert_eq!(post("fsfreeze-freeze").await, 1);
    assert_eq!(post("fsfreeze-status").await, "frozen");
    assert_eq!(post("fsfreeze-thaw").await, 1);
    assert_eq!(post("fsfreeze-thaw").await, 0);
    let (_, time) = asked(&simulator, &format!("{agent}/get-time")).await;
    let now = simulator.with(|world| world.now());
    let now = now.duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
    assert!(time["result"].as_u64().unwrap() / 1_000_000_000 <= now);
    let (_, processors) = asked(&simulator, &format!("{agent}/get-vcpus")).await;
    assert_eq!(processors["result"].as_array().unwrap().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_backup_job_may_be_told_days_and_a_time() {
    let simulator = Simulator::new(world());
    let post = async |schedule: Option<&str>| {
        let mut request = Request::new(Method::Post, "/cluster/backup", &[])
            .with("vmid", "100")
            .with("dow", "sat,sun")
            .with("starttime", "02:30");
        if let Some(schedule) = schedule {
            request = request.with("schedule", schedule);
        }
        let answer = simulator.answer_as("root@pam", &request).await.unwrap();
        answer.status()
    };
    assert_eq!(post(None).await, 200);
    assert_eq!(post(Some("daily")).await, 400);
    let (_, jobs) = asked(&simulator, "/cluster/backup").await;
    assert_eq!(jobs[0]["schedule"], "sat,sun 02:30");
}
