//! From power to a running control plane, in process.

use std::sync::Arc;

use talos_client::simulator::{Fault, NodeState, RequestInfo};
use talos_client::{ApplyMode, Bootstrapped, ErrorKind, MachineConfig};

use crate::support::Lab;

#[tokio::test]
async fn a_cluster_comes_up_from_maintenance_mode() {
    let lab = Lab::new();
    assert!(
        lab.simulator
            .connect_maintenance("10.0.20.11")
            .endpoint()
            .version()
            .await
            .unwrap_err()
            .is_unavailable()
    );

    lab.configure().await;
    let client = lab.simulator.connect(&lab.talosconfig()).unwrap();
    assert_eq!(
        client.node("10.0.20.21").version().await.unwrap().tag,
        "v1.13.9"
    );
    assert_eq!(client.node("10.0.20.12").hostname().await.unwrap(), "cp2");

    let etcd = |services: Vec<talos_client::Service>| {
        services.into_iter().find(|s| s.id == "etcd").unwrap()
    };
    assert_eq!(
        etcd(client.endpoint().services().await.unwrap()).state,
        "Preparing"
    );
    assert_eq!(
        client.node("10.0.20.11").bootstrap().await.unwrap(),
        Bootstrapped::Bootstrapped
    );
    assert_eq!(
        client.node("10.0.20.11").bootstrap().await.unwrap(),
        Bootstrapped::AlreadyBootstrapped
    );
    lab.clock.step(60);

    let members = client.endpoint().etcd_members().await.unwrap();
    let names: Vec<&str> = members
        .iter()
        .map(|member| member.hostname.as_str())
        .collect();
    assert_eq!(names, ["cp1", "cp2", "cp3"]);
    assert_eq!(
        etcd(client.node("10.0.20.13").services().await.unwrap()).healthy,
        Some(true)
    );
    assert!(
        client
            .endpoint()
            .etcd_snapshot()
            .await
            .unwrap()
            .starts_with(b"simulated etcd of ")
    );
    let kubeconfig = client.endpoint().kubeconfig().await.unwrap();
    assert!(
        kubeconfig
            .as_str()
            .contains("server: https://10.0.20.10:6443")
    );
    assert_eq!(format!("{kubeconfig:?}"), "Kubeconfig([redacted])");

    lab.clock.step(60);
    lab.simulator.with(|world, now| {
        assert!(world.api_server_is_up("cp1", now));
        assert_eq!(
            world.virtual_ip_holder("10.0.20.10".parse().unwrap(), now),
            Some("cp1")
        );
        assert_eq!(world.config("w1").unwrap().hostname(), Some("w1"));
        assert!(world.config("w1").unwrap().cni_is_none());
    });
}

#[tokio::test]
async fn identities_are_checked_without_sockets_too() {
    let lab = Lab::new();
    lab.clock.step(30);
    let admin = lab.simulator.connect(&lab.talosconfig()).unwrap();
    let error = admin.endpoint().version().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Tls);

    lab.configure().await;
    assert!(admin.endpoint().version().await.is_ok());
    let nobody = lab.simulator.connect_maintenance("10.0.20.11");
    assert_eq!(
        nobody.endpoint().version().await.unwrap_err().kind(),
        ErrorKind::Tls
    );

    let now = lab.clock.now();
    let reader = lab
        .secrets
        .client_identity(
            &[talos_client::Role::Reader],
            now,
            std::time::Duration::from_secs(3600),
        )
        .unwrap();
    let ca = lab.secrets.ca_certificate(talos_client::Ca::Os).unwrap();
    let context = talos_client::Context::default()
        .endpoints(["10.0.20.11"])
        .credentials(ca, reader.certificate(), reader.key());
    let reader = lab
        .simulator
        .connect(&talos_client::TalosConfig::default().with_context("lab", context))
        .unwrap();
    assert!(reader.endpoint().version().await.is_ok());
    assert_eq!(
        reader.endpoint().bootstrap().await.unwrap_err().kind(),
        ErrorKind::PermissionDenied
    );
    lab.clock.step(7200);
    assert_eq!(
        reader.endpoint().version().await.unwrap_err().kind(),
        ErrorKind::Tls
    );
}

#[tokio::test]
async fn a_node_refuses_what_the_real_one_refuses() {
    let lab = Lab::new();
    lab.clock.step(30);
    let client = lab.simulator.connect_maintenance("10.0.20.11");
    let generator = talos_client::Generator::new(
        "lab",
        "https://10.0.20.10:6443",
        "1.36.1",
        lab.secrets.clone(),
    )
    .unwrap();
    let newer = generator
        .clone()
        .contract(talos_client::VersionContract::V1_14)
        .install_disk("/dev/sda");
    let newer = newer
        .generate(talos_client::MachineType::ControlPlane)
        .unwrap();
    let error = client
        .endpoint()
        .apply_configuration(&newer)
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidArgument);
    assert!(error.to_string().contains("not registered"), "{error}");
    assert!(!client.unknown_documents(&newer).await.unwrap().is_empty());

    let no_disk = generator
        .generate(talos_client::MachineType::ControlPlane)
        .unwrap();
    let error = client
        .endpoint()
        .apply_configuration(&no_disk)
        .await
        .unwrap_err();
    assert!(error.to_string().contains("install disk"), "{error}");

    let wrong_disk = generator
        .install_disk("/dev/vda")
        .generate(talos_client::MachineType::ControlPlane)
        .unwrap();
    client
        .endpoint()
        .apply_configuration(&wrong_disk)
        .await
        .unwrap();
    lab.clock.step(60);
    lab.simulator.with(|world, now| {
        assert_eq!(world.state("cp1", now), NodeState::InstallFailed);
        assert!(
            world
                .problem("cp1")
                .unwrap()
                .contains("/dev/vda does not exist; the disks are /dev/sda")
        );
    });
}

#[tokio::test]
async fn a_dry_run_changes_nothing_and_staged_waits_for_the_reboot() {
    let lab = Lab::new();
    lab.configure().await;
    let client = lab.simulator.connect(&lab.talosconfig()).unwrap();
    let patch =
        talos_client::Patch::load("apiVersion: v1alpha1\nkind: HostnameConfig\nhostname: other\n")
            .unwrap();
    let changed: MachineConfig = lab.config("cp1").patched(&patch).unwrap();
    let applied = client
        .endpoint()
        .apply_configuration(&changed)
        .dry_run()
        .await
        .unwrap();
    assert!(applied.details.starts_with("Dry run summary:"));
    client
        .endpoint()
        .apply_configuration(&changed)
        .mode(ApplyMode::Staged)
        .await
        .unwrap();
    assert_eq!(client.endpoint().hostname().await.unwrap(), "cp1");
    client.endpoint().reboot().await.unwrap();
    assert!(
        client
            .endpoint()
            .hostname()
            .await
            .unwrap_err()
            .is_unavailable()
    );
    lab.clock.step(60);
    assert_eq!(client.endpoint().hostname().await.unwrap(), "other");
}

#[tokio::test]
async fn an_answer_that_is_lost_leaves_what_was_done() {
    let lab = Lab::new();
    lab.configure().await;
    let client = lab.simulator.connect(&lab.talosconfig()).unwrap();
    lab.simulator
        .on_request(Some(Arc::new(|info: &RequestInfo| {
            if info.method.ends_with("/Bootstrap") {
                Fault::DropAnswer
            } else {
                Fault::None
            }
        })));
    assert!(
        client
            .endpoint()
            .bootstrap()
            .await
            .unwrap_err()
            .is_unavailable()
    );
    lab.simulator.on_request(None);
    assert_eq!(
        client.endpoint().bootstrap().await.unwrap(),
        Bootstrapped::AlreadyBootstrapped
    );
    assert_eq!(
        lab.simulator
            .journal()
            .iter()
            .filter(|entry| entry.method.ends_with("/Bootstrap"))
            .count(),
        2
    );
}

#[tokio::test]
async fn a_snapshot_of_the_world_can_be_put_back() {
    let lab = Lab::new();
    lab.configure().await;
    let before = lab.simulator.snapshot();
    let client = lab.simulator.connect(&lab.talosconfig()).unwrap();
    client.endpoint().bootstrap().await.unwrap();
    lab.simulator.restore(before);
    assert_eq!(
        client.endpoint().bootstrap().await.unwrap(),
        Bootstrapped::Bootstrapped
    );
}

#[tokio::test]
async fn unknown_methods_are_said_to_be_unknown() {
    let lab = Lab::new();
    lab.configure().await;
    let client = lab.simulator.connect(&lab.talosconfig()).unwrap();
    let error = client
        .endpoint()
        .unary(talos_client::api::machine::MachineService::LOAD_AVG, ())
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unimplemented);
    assert!(error.to_string().contains("not simulated"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn health_names_what_is_wrong_and_waits_end() {
    use std::sync::Mutex;
    use std::time::Duration;
    use talos_client::{ClusterNodes, Wait};
    let lab = Lab::new();
    lab.configure().await;
    let client = lab.simulator.connect(&lab.talosconfig()).unwrap();
    let nodes = ClusterNodes::new(["10.0.20.11", "10.0.20.12", "10.0.20.13"], ["10.0.20.21"]);
    let failing: Vec<&str> = client
        .health(&nodes)
        .await
        .iter()
        .filter(|c| !c.passed)
        .map(|c| c.name)
        .collect();
    assert_eq!(failing, ["etcd service", "etcd members", "kubelet"]);

    let seen = Arc::new(Mutex::new(Vec::new()));
    let (clock, log) = (lab.clock.clone(), seen.clone());
    let wait = Wait::default()
        .timeout(Duration::from_secs(300))
        .interval(Duration::from_secs(5))
        .on_event(move |event| {
            clock.step(5);
            log.lock().unwrap().push(event.last_seen.clone());
        });
    client.endpoint().wait_bootstrap(&wait).await.unwrap();
    let checks = client.wait_healthy(&nodes, &wait).await.unwrap();
    assert!(
        checks
            .iter()
            .all(|check| check.passed && check.reason.is_empty())
    );
    assert!(
        seen.lock()
            .unwrap()
            .iter()
            .any(|text| text.contains("etcd is Preparing"))
    );

    lab.simulator
        .with(|world, now| world.power_off("w1", now).unwrap());
    let short = Wait::default().timeout(Duration::from_secs(11));
    let error = client.wait_healthy(&nodes, &short).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Timeout);
    assert!(
        error.to_string().contains("api: 10.0.20.21: error dialing"),
        "{error}"
    );
}
