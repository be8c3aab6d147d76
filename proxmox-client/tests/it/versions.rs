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
