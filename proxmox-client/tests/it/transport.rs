//! HTTPS, certificates and credentials, against the simulator on loopback.

use proxmox_client::simulator::{Clock, Fault, Simulator, World};
use proxmox_client::{Client, Kind, Login, LxcConfig, NewLxc, QemuConfig, Trust};

fn fast() -> Simulator {
    let world = World::lab().with_user("root@pam", "correct horse");
    let clock = Clock::accelerated(world.now(), 1000.0);
    Simulator::with_clock(world, clock)
}

const TOKEN: &str = "root@pam!lab=lab-secret";

#[tokio::test]
async fn a_pinned_fingerprint_is_accepted_and_another_is_not() {
    let simulator = fast();
    let server = simulator.serve().await.unwrap();
    let client = |trust: Trust| {
        Client::builder()
            .endpoint(server.endpoint())
            .token(TOKEN)
            .trust(trust)
            .build()
            .unwrap()
    };
    let pinned = client(Trust::fingerprint(server.fingerprint()).unwrap());
    assert_eq!(pinned.version().await.unwrap().version, "9.1.9");
    let by_ca = client(Trust::ca_pem(server.certificate_pem()));
    assert_eq!(by_ca.nodes().await.unwrap()[0].node, "pve1");
    let open = client(Trust::insecure_accept_any_certificate());
    open.version().await.unwrap();
    let wrong = client(Trust::fingerprint("00".repeat(32)).unwrap());
    let error = wrong.version().await.unwrap_err();
    assert_eq!(error.kind(), Kind::Certificate, "{error:?}");
    assert!(error.hint().unwrap().contains("fingerprint"));
}

#[tokio::test]
async fn a_machine_is_made_over_the_wire() {
    let simulator = fast();
    let server = simulator.serve().await.unwrap();
    let client = Client::builder()
        .endpoint(server.endpoint())
        .token(TOKEN)
        .trust(Trust::fingerprint(server.fingerprint()).unwrap())
        .build()
        .unwrap();
    let config = QemuConfig::new()
        .with_name("wire")
        .with_description("a=b; c&d + 100% ü\nsecond line")
        .with_ssh_keys(["ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIP0glSdQqVtmFe5W4nb6wqpuCAM/mde2+FhdMyR8Wbwv ops@example"]);
    let vm = client
        .node("pve1")
        .create_qemu(100, config.clone())
        .await
        .unwrap()
        .qemu;
    vm.start().await.unwrap();
    let read = vm.config().await.unwrap();
    assert_eq!(read.description(), config.description());
    assert_eq!(read.ssh_keys(), config.ssh_keys());
}

#[tokio::test]
async fn the_reason_phrase_tells_what_a_body_does_not() {
    let simulator = fast();
    let server = simulator.serve().await.unwrap();
    let client = Client::builder()
        .endpoint(server.endpoint())
        .token(TOKEN)
        .trust(Trust::fingerprint(server.fingerprint()).unwrap())
        .retry(proxmox_client::retry::RetryPolicy::never())
        .build()
        .unwrap();
    simulator.on_request(|_| Fault::BrokenPipe);
    assert_eq!(
        client.version().await.unwrap_err().kind(),
        Kind::ProxyBroken
    );
    simulator.on_request(|_| Fault::Refuse {
        status: 595,
        reason: "No route to host".to_owned(),
    });
    let error = client.version().await.unwrap_err();
    assert_eq!(error.kind(), Kind::NodeUnreachable);
    assert_eq!(error.to_string(), "GET /version: No route to host");
    simulator.on_request(|_| Fault::ResetBefore);
    assert_eq!(
        client.version().await.unwrap_err().kind(),
        Kind::Interrupted
    );
}

#[tokio::test(start_paused = true)]
async fn a_ticket_is_used_renewed_and_replaced() {
    let simulator = fast();
    let client = simulator
        .builder()
        .login(Login::new("root@pam", "correct horse"))
        .build()
        .unwrap();
    client
        .node("pve1")
        .create_qemu(100, QemuConfig::new())
        .await
        .unwrap();
    let logins = |simulator: &Simulator| {
        simulator
            .journal()
            .iter()
            .filter(|entry| entry.path == "/access/ticket")
            .count()
    };
    assert_eq!(logins(&simulator), 1);
    tokio::time::advance(std::time::Duration::from_secs(3700)).await;
    client.version().await.unwrap();
    // The old ticket died long ago on the modelled clock, so the password is used again.
    assert!(logins(&simulator) >= 2);
    simulator.clear_journal();
    let once = std::sync::atomic::AtomicBool::new(true);
    simulator.on_request(move |request| {
        let version = request.path == "/version";
        if version && once.swap(false, std::sync::atomic::Ordering::SeqCst) {
            Fault::Unauthorized
        } else {
            Fault::None
        }
    });
    client.version().await.unwrap();
    assert_eq!(logins(&simulator), 1);
}

#[tokio::test(start_paused = true)]
async fn wrong_credentials_are_told_as_such_and_not_repeated() {
    let simulator = fast();
    let client = simulator
        .builder()
        .token("root@pam!lab=wrong")
        .build()
        .unwrap();
    let error = client.version().await.unwrap_err();
    assert_eq!(error.kind(), Kind::Authentication);
    assert_eq!(simulator.journal().len(), 1);
    let client = simulator
        .builder()
        .login(Login::new("root@pam", "wrong"))
        .build()
        .unwrap();
    let error = client.version().await.unwrap_err();
    assert_eq!(error.kind(), Kind::Authentication);
    assert_eq!(error.to_string(), "logging in: authentication failure");
}

#[tokio::test]
async fn a_dead_address_is_passed_over() {
    let simulator = fast();
    let server = simulator.serve().await.unwrap();
    let dead = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let client = Client::builder()
        .endpoint(format!("https://{dead}"))
        .endpoint(server.endpoint())
        .token(TOKEN)
        .trust(Trust::fingerprint(server.fingerprint()).unwrap())
        .build()
        .unwrap();
    client
        .node("pve1")
        .create_qemu(100, QemuConfig::new())
        .await
        .unwrap();
    assert_eq!(simulator.with(|world| world.guests().count()), 1);
}

#[test]
fn secrets_show_up_nowhere() {
    let simulator = fast();
    let secret = "s3cret-value";
    let token = Client::builder()
        .endpoint("pve1")
        .token(format!("root@pam!x={secret}"))
        .trust(Trust::insecure_accept_any_certificate());
    let login = Login::new("root@pam", secret).with_totp(secret);
    let config = QemuConfig::new().with("cipassword", secret);
    let request = proxmox_client::wire::Request::new(
        proxmox_client::wire::Method::Post,
        "/access/ticket",
        &[],
    )
    .with("password", secret);
    let container = LxcConfig::new().with("password", secret);
    let container = NewLxc::new("local:vztmpl/x.tar.zst", container).with_password(secret);
    let shown = format!("{token:?} {login:?} {config:?} {container:?} {request:?} {simulator:?}");
    let shown = format!("{shown} {:?}", token.build());
    assert!(!shown.contains(secret), "{shown}");
    let bad = Client::builder()
        .endpoint("pve1")
        .token(format!("no-user={secret} with blank"))
        .build();
    assert!(!format!("{:?}", bad.unwrap_err()).contains(secret));
}

#[tokio::test]
async fn a_fingerprint_is_asked_for_without_sending_anything() {
    let simulator = fast();
    let server = simulator.serve().await.unwrap();
    let seen = Trust::probe_fingerprint(&server.endpoint()).await.unwrap();
    assert_eq!(seen, server.fingerprint());
    assert!(simulator.journal().is_empty(), "no request arrived");
    let client = Client::builder()
        .endpoint(server.endpoint())
        .token(TOKEN)
        .trust(Trust::fingerprint(&seen).unwrap())
        .build()
        .unwrap();
    client.version().await.unwrap();
    let address = server.endpoint();
    drop(server);
    let gone = Trust::probe_fingerprint(&address).await.unwrap_err();
    assert_eq!(gone.kind(), Kind::Connect, "{gone:?}");
}

#[tokio::test(start_paused = true)]
async fn a_ticket_from_elsewhere_is_changed_for_one_of_our_own() {
    let simulator = fast();
    let first = simulator
        .builder()
        .login(Login::new("root@pam", "correct horse"));
    let first = first.build().unwrap();
    let login = proxmox_client::wire::Request::new(
        proxmox_client::wire::Method::Post,
        "/access/ticket",
        &[],
    );
    let login = login
        .with("username", "root@pam")
        .with("password", "correct horse");
    let answer: serde_json::Value = first.fetch(login).await.unwrap();
    let ticket = answer["ticket"].as_str().unwrap();
    let second = simulator
        .builder()
        .login(Login::from_ticket("root@pam", ticket));
    let second = second.build().unwrap();
    second.pool("of-the-ticket").ensure("").await.unwrap();
    let wrong = simulator
        .builder()
        .login(Login::from_ticket("root@pam", "PVE:root@pam:0::0"));
    let wrong = wrong.build().unwrap().version().await.unwrap_err();
    assert_eq!(wrong.kind(), Kind::Authentication);
}

#[tokio::test(start_paused = true)]
async fn the_cluster_tells_where_its_nodes_are() {
    use proxmox_client::simulator::NodeSpec;
    let world = World::lab()
        .with_node(NodeSpec::new("pve2", 8, 32 << 30).with_address("2001:db8::2"))
        .with_node(NodeSpec::new("pve0", 8, 32 << 30).with_address("192.0.2.9"));
    let endpoints = Simulator::new(world)
        .connect()
        .discover_endpoints()
        .await
        .unwrap();
    assert_eq!(endpoints.len(), 3);
    assert!(
        endpoints.contains(&"https://[2001:db8::2]:8006".to_owned()),
        "{endpoints:?}"
    );
    let mut builder = Client::builder().token(TOKEN);
    for endpoint in endpoints {
        builder = builder.endpoint(endpoint);
    }
    builder
        .trust(Trust::insecure_accept_any_certificate())
        .build()
        .unwrap();
}
