//! Calls held against the version of the server.

use proxmox_client::simulator::{Simulator, World};
use proxmox_client::wire::{Method, Request};
use proxmox_client::{Client, Kind, Sent, ServerVersion};

fn server(version: &str) -> Simulator {
    Simulator::new(World::lab().with_version(version))
}

fn rules() -> Request {
    Request::new(Method::Get, "/cluster/ha/rules", &[])
}

/// Paths that the server was asked for.
fn asked(simulator: &Simulator) -> Vec<String> {
    let journal = simulator.journal();
    journal.iter().map(|call| call.path.clone()).collect()
}

fn checking(simulator: &Simulator) -> Client {
    let builder = simulator.builder().token("root@pam!lab=lab-secret");
    builder.check_version().build().unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_call_of_a_later_release_is_refused_before_it_is_sent() {
    let simulator = server("8.4.5");
    let client = checking(&simulator);
    let error = client.request(rules()).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Unsupported);
    assert_eq!(error.sent(), Sent::No);
    assert!(error.is_unsupported() && !error.is_retryable());
    assert_eq!(
        error.to_string(),
        "GET /cluster/ha/rules: needs Proxmox VE 9.0; the server has 8.4.5"
    );
    assert_eq!(asked(&simulator), ["/version"]);
}

#[tokio::test(start_paused = true)]
async fn a_parameter_of_a_later_release_is_named() {
    let simulator = server("8.3.1");
    let client = checking(&simulator);
    let template = "/nodes/{node}/qemu/{vmid}/config";
    let request = Request::new(Method::Put, template, &["pve1", "100"]);
    let request = request.with("cores", "2").with("virtiofs2", "dirid=x");
    let error = client.request(request).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Unsupported);
    let told = error.to_string();
    assert!(told.contains("8.4 for `virtiofs2`"), "{told}");
}

#[tokio::test(start_paused = true)]
async fn the_version_is_asked_for_once_and_only_if_it_matters() {
    let simulator = server("9.1.9");
    let client = checking(&simulator);
    client.nodes().await.unwrap();
    assert_eq!(asked(&simulator), ["/nodes"]);
    assert_eq!(client.known_version(), None);
    client.request(rules()).await.unwrap();
    client.clone().request(rules()).await.unwrap();
    let rules = "/cluster/ha/rules";
    assert_eq!(asked(&simulator), ["/nodes", "/version", rules, rules]);
    assert_eq!(client.known_version(), Some(ServerVersion::new(9, 1, 9)));
}

#[tokio::test(start_paused = true)]
async fn a_version_that_is_given_is_not_asked_for() {
    let simulator = server("9.1.9");
    let builder = simulator.builder().token("root@pam!lab=lab-secret");
    let old = ServerVersion::new(8, 4, 5);
    let client = builder.server_version(old).build().unwrap();
    let error = client.request(rules()).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Unsupported);
    assert!(asked(&simulator).is_empty());
}

#[tokio::test(start_paused = true)]
async fn an_old_server_refuses_in_its_own_words_what_nobody_held_back() {
    let client = server("8.4.5").connect();
    let error = client.request(rules()).await.unwrap_err();
    assert_eq!(error.kind(), Kind::NotImplemented);
    assert!(error.is_unsupported());
    assert_eq!(
        error.message(),
        "Method 'GET /cluster/ha/rules' not implemented"
    );
    let path = "/nodes/pve1/qemu";
    let request = Request::new(Method::Post, path, &[]).with("vmid", "100");
    let error = client
        .request(request.with_flag("ha-managed", true))
        .await
        .unwrap_err();
    assert_eq!(error.kind(), Kind::Parameter);
    assert_eq!(
        error.parameters()["ha-managed"],
        "property is not defined in schema and the schema does not allow additional properties"
    );
}

#[tokio::test(start_paused = true)]
async fn typed_handles_are_held_back_too() {
    use proxmox_client::Affinity;
    let simulator = server("9.1.9");
    let builder = simulator.builder().token("root@pam!lab=lab-secret");
    let old = ServerVersion::new(8, 4, 5);
    let client = builder.server_version(old).build().unwrap();
    let wanted = Affinity::apart("spread");
    let error = client.ha().ensure_affinity(&wanted).await.unwrap_err();
    assert!(error.is_unsupported(), "{error:?}");
}

#[test]
fn callers_can_ask_beforehand() {
    let old: ServerVersion = "8.4.5-1".parse().unwrap();
    let missing = old.missing(&rules());
    assert_eq!(missing.len(), 1);
    assert_eq!(missing[0].version, ServerVersion::new(9, 0, 0));
    assert_eq!(missing[0].parameter, None);
    assert!(ServerVersion::new(9, 0, 0).supports(&rules()));
    assert!(old.supports(&Request::new(Method::Get, "/no/such/path", &[])));
}

fn config(key: &str, value: &str) -> Request {
    let template = "/nodes/{node}/qemu/{vmid}/config";
    Request::new(Method::Put, template, &["pve1", "100"]).with(key, value)
}

#[tokio::test(start_paused = true)]
async fn a_key_inside_a_property_string_is_named_with_its_parameter() {
    use proxmox_client::QemuConfig;
    use proxmox_client::property::Nic;
    let simulator = server("9.1.9");
    let client = checking(&simulator);
    let wanted = QemuConfig::new().with_net(0, Nic::virtio("vmbr0").with("host-tunnel", "1"));
    let error = client.node("pve1").create_qemu(100, wanted).await;
    let error = error.unwrap_err();
    assert_eq!((error.kind(), error.sent()), (Kind::Unsupported, Sent::No));
    let told = error.to_string();
    assert!(told.contains("9.2 for `host-tunnel` of `net0`"), "{told}");
    assert!(asked(&simulator).iter().all(|path| path == "/version"));
    let old = ServerVersion::new(8, 1, 0);
    let missing = old.missing(&config("machine", "type=q35,viommu=virtio"));
    let keys: Vec<_> = missing.iter().map(|need| need.key.as_deref()).collect();
    assert_eq!(keys, [Some("type"), Some("viommu")]);
    assert!(old.supports(&config("machine", "q35")));
}

#[tokio::test(start_paused = true)]
async fn an_old_server_refuses_keys_of_property_strings_that_it_does_not_know() {
    use proxmox_client::QemuConfig;
    let unknown =
        "property is not defined in schema and the schema does not allow additional properties";
    let format = |key: &str| format!("invalid format - format error\n{key}: {unknown}\n");
    let table = [
        (
            "8.4.5",
            "net0",
            "virtio,bridge=vmbr0,host-tunnel=1",
            format("net0.host-tunnel"),
        ),
        ("9.1.9", "cpu", "host,level=30", format("cpu.level")),
        (
            "8.2.2",
            "machine",
            "q35,enable-s3=1",
            format("machine.enable-s3"),
        ),
        // Before they were property strings these had one plain value.
        (
            "8.1.4",
            "machine",
            "q35,viommu=intel",
            "value does not match the regex pattern".to_owned(),
        ),
        (
            "8.0.3",
            "memory",
            "current=2048",
            "type check ('integer') failed - got 'current=2048'".to_owned(),
        ),
        (
            "8.0.3",
            "memory",
            "8",
            "value must have a minimum value of 16".to_owned(),
        ),
    ];
    for (version, key, value, why) in table {
        let world = World::lab().with_version(version);
        let world = world.with_guest("pve1", 100, &QemuConfig::new());
        let client = Simulator::new(world).connect();
        let error = client.request(config(key, value)).await.unwrap_err();
        assert_eq!(error.kind(), Kind::Parameter, "{version} {key}={value}");
        assert_eq!(error.parameters()[key], why, "{version} {key}={value}");
    }
    for (version, key, value) in [
        ("8.1.4", "machine", "q35"),
        ("8.2.2", "machine", "q35,viommu=intel"),
        ("8.0.3", "memory", "2048"),
        ("8.1.4", "memory", "current=2048"),
        ("9.2.0", "cpu", "host,level=30"),
    ] {
        let world = World::lab().with_version(version);
        let world = world.with_guest("pve1", 100, &QemuConfig::new());
        let client = Simulator::new(world).connect();
        let answer = client.request(config(key, value)).await;
        assert!(answer.is_ok(), "{version} {key}={value}: {answer:?}");
    }
}
