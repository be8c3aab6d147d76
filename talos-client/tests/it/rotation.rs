//! Another authority for the Talos API and for Kubernetes, on simulated nodes, stopped between each two changes.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use talos_client::simulator::{NodeSpec, Simulator, World};
use talos_client::{
    Ca, CaRotation, CertificateAuthority, ErrorKind, Generator, MachineConfig, MachineType,
    NodeChange, RotatedCa, RotationCheck, RotationCredentials, RotationState, RotationStep,
    SecretsBundle, TalosConfig, VersionContract,
};

use crate::support::{Clock, Lab, NODES};

const WEEK: Duration = Duration::from_secs(7 * 24 * 3600);

fn rotation(ca: RotatedCa, secrets: &SecretsBundle) -> CaRotation {
    let of_bundle = match ca {
        RotatedCa::Kubernetes => Ca::Kubernetes,
        _ => Ca::Os,
    };
    let new = CertificateAuthority::generate(of_bundle, std::time::SystemTime::now()).unwrap();
    CaRotation::of_bundle(ca, secrets, new).unwrap()
}

/// Three control plane nodes and a worker as generation makes them.
fn configs(minor: u32) -> Vec<(String, MachineConfig)> {
    let secrets = SecretsBundle::fixed_for_tests();
    let generator = Generator::new("lab", "https://10.0.20.10:6443", "1.36.1", secrets)
        .unwrap()
        .contract(VersionContract::new(1, minor))
        .install_disk("/dev/sda");
    NODES
        .iter()
        .map(|(name, address)| {
            let machine = if name.starts_with("cp") {
                MachineType::ControlPlane
            } else {
                MachineType::Worker
            };
            ((*address).to_owned(), generator.generate(machine).unwrap())
        })
        .collect()
}

fn set(nodes: &mut [(String, MachineConfig)], change: &NodeChange) {
    let node = nodes
        .iter_mut()
        .find(|(name, _)| name == change.node())
        .unwrap();
    node.1 = change.config().clone();
}

fn states(rotation: &CaRotation, nodes: &[(String, MachineConfig)]) -> Vec<RotationState> {
    nodes
        .iter()
        .map(|(_, config)| rotation.state(config).unwrap())
        .collect()
}

#[test]
fn all_nodes_accept_before_any_swaps_and_all_swap_before_any_drops() {
    for (ca, minor) in [
        (RotatedCa::TalosApi, 13),
        (RotatedCa::TalosApi, 14),
        (RotatedCa::Kubernetes, 13),
        (RotatedCa::Kubernetes, 14),
    ] {
        let mut nodes = configs(minor);
        let rotation = rotation(ca, &SecretsBundle::fixed_for_tests());
        let plan = rotation.plan(&nodes).unwrap();
        let steps: Vec<RotationStep> = plan.stages().iter().map(|stage| stage.step()).collect();
        assert_eq!(
            steps,
            [RotationStep::Accept, RotationStep::Swap, RotationStep::Drop]
        );
        let (mut state, order) = (
            RotationState::Untouched,
            ["10.0.20.11", "10.0.20.12", "10.0.20.13", "10.0.20.21"],
        );
        for stage in plan.stages() {
            assert_eq!(states(&rotation, &nodes), [state; 4]);
            let names: Vec<&str> = stage.changes().iter().map(NodeChange::node).collect();
            assert_eq!(names, order);
            for change in stage.changes() {
                // The patches say the same as the whole configuration.
                let (_, before) = nodes
                    .iter()
                    .find(|(name, _)| name == change.node())
                    .unwrap();
                let patched = change
                    .patches()
                    .iter()
                    .fold(before.clone(), |config, patch| {
                        config.patched(patch).unwrap()
                    });
                assert_eq!(*patched.to_yaml(), *change.config().to_yaml());
                set(&mut nodes, change);
            }
            state = rotation.state(&nodes[0].1).unwrap();
        }
        assert_eq!(states(&rotation, &nodes), [RotationState::Done; 4]);
        assert!(rotation.plan(&nodes).unwrap().is_empty());
        // What came is what a bundle with the new authority generates.
        let secrets = SecretsBundle::fixed_for_tests();
        let of_bundle = if ca == RotatedCa::TalosApi {
            Ca::Os
        } else {
            Ca::Kubernetes
        };
        let secrets = secrets.with_authority(of_bundle, rotation.new_authority().clone());
        assert_eq!(
            SecretsBundle::from_config(&nodes[0].1).unwrap(),
            secrets,
            "{ca:?} {minor}"
        );
        assert!(
            !nodes[3].1.to_yaml().contains("key: LS0t"),
            "a worker has no key of an authority"
        );
    }
}

#[test]
fn the_way_back_is_open_from_everywhere_and_restores_what_was() {
    for (ca, minor) in [
        (RotatedCa::TalosApi, 13),
        (RotatedCa::Kubernetes, 13),
        (RotatedCa::Kubernetes, 14),
    ] {
        let start: Vec<_> = configs(minor).into_iter().skip(2).collect();
        let rotation = rotation(ca, &SecretsBundle::fixed_for_tests());
        let total: usize = rotation
            .plan(&start)
            .unwrap()
            .stages()
            .iter()
            .map(|stage| stage.changes().len())
            .sum();
        for done in 0..=total {
            let mut nodes = start.clone();
            for _ in 0..done {
                let stage = rotation.next(&nodes).unwrap().unwrap();
                set(&mut nodes, &stage.changes()[0]);
            }
            let back = rotation.reversed();
            while let Some(stage) = back.next(&nodes).unwrap() {
                set(&mut nodes, &stage.changes()[0]);
            }
            for ((_, now), (_, before)) in nodes.iter().zip(&start) {
                assert_eq!(
                    *now.to_yaml(),
                    *before.to_yaml(),
                    "{ca:?} {minor} after {done} changes"
                );
            }
        }
    }
}

#[test]
fn a_node_that_joined_in_the_middle_is_brought_along_first() {
    let mut nodes = configs(13);
    let late = nodes[3].clone();
    let rotation = rotation(RotatedCa::TalosApi, &SecretsBundle::fixed_for_tests());
    for _ in 0..6 {
        let stage = rotation.next(&nodes).unwrap().unwrap();
        set(&mut nodes, &stage.changes()[0]);
    }
    nodes.push(("10.0.20.22".to_owned(), late.1));
    let stage = rotation.next(&nodes).unwrap().unwrap();
    assert_eq!(stage.step(), RotationStep::Accept);
    let names: Vec<&str> = stage.changes().iter().map(NodeChange::node).collect();
    assert_eq!(names, ["10.0.20.22"]);
}

#[test]
fn nodes_of_another_authority_stop_the_rotation_and_are_all_named() {
    let mut nodes = configs(13);
    let secrets = SecretsBundle::fixed_for_tests();
    let first = rotation(RotatedCa::TalosApi, &secrets);
    let foreign = rotation(RotatedCa::TalosApi, &secrets);
    for stage in foreign.plan(&nodes).unwrap().stages() {
        for change in &stage.changes()[1..3] {
            set(&mut nodes, change);
        }
    }
    let error = first.next(&nodes).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidConfig);
    let named: Vec<&str> = error
        .problems()
        .iter()
        .map(|problem| problem.path.as_str())
        .collect();
    assert_eq!(named, ["10.0.20.12", "10.0.20.13"]);

    let workers = [configs(13).remove(3)];
    assert_eq!(
        first.next(&workers).unwrap_err().kind(),
        ErrorKind::InvalidArgument
    );
    let same = CaRotation::new(
        RotatedCa::TalosApi,
        first.old().clone(),
        first.old().clone(),
    );
    assert_eq!(same.unwrap_err().kind(), ErrorKind::InvalidArgument);
    // The new certificate with a key that is not its own.
    let mixed = CertificateAuthority::from_pem(
        first.new_authority().certificate(),
        first.old().key().to_owned(),
    );
    let mixed = CaRotation::of_bundle(RotatedCa::TalosApi, &secrets, mixed.unwrap()).unwrap();
    let mut nodes = configs(13);
    for stage in mixed.plan(&nodes).unwrap().stages() {
        set(&mut nodes, &stage.changes()[0]);
    }
    assert!(
        first
            .state(&nodes[0].1)
            .unwrap_err()
            .to_string()
            .contains("key")
    );
}

#[test]
fn no_secret_of_a_plan_is_shown() {
    let nodes = configs(14);
    for ca in [RotatedCa::TalosApi, RotatedCa::Kubernetes] {
        let rotation = rotation(ca, &SecretsBundle::fixed_for_tests());
        let shown = format!("{rotation:?}{:?}", rotation.plan(&nodes).unwrap());
        for authority in [rotation.old(), rotation.new_authority()] {
            for line in authority
                .key()
                .lines()
                .filter(|line| !line.starts_with('-'))
            {
                assert!(!shown.contains(line));
            }
        }
    }
}

/// Reads the present configurations through the first node, as a program does that has just started.
async fn observe(
    simulator: &Simulator,
    config: &TalosConfig,
) -> Option<Vec<(String, MachineConfig)>> {
    let client = simulator.connect(config).unwrap();
    let mut nodes = Vec::new();
    for (_, address) in NODES {
        let kind = "MachineConfigs.config.talos.dev";
        let found = client
            .node(address)
            .resource("config", kind, "v1alpha1")
            .await
            .ok()?;
        assert!(!format!("{found:?}").contains("machine:"));
        nodes.push((
            address.to_owned(),
            MachineConfig::load(&found.yaml).unwrap(),
        ));
    }
    Some(nodes)
}

#[tokio::test]
async fn clients_are_accepted_at_every_stage_wherever_the_program_stops() {
    let lab = Lab::new();
    lab.configure().await;
    let now = lab.clock.now();
    let rotation = rotation(RotatedCa::TalosApi, &lab.secrets);
    let talosconfig = |credentials| {
        let mut config = lab.talosconfig();
        rotation
            .reissue(&mut config, credentials, now, WEEK)
            .unwrap();
        config
    };
    let all = [
        RotationCredentials::Old,
        RotationCredentials::Both,
        RotationCredentials::New,
    ];
    let mut changes = 0;
    loop {
        // Each round is a new program: it knows the rotation, and tries its credentials until the nodes answer.
        let mut nodes = None;
        for credentials in all {
            nodes = nodes.or(observe(&lab.simulator, &talosconfig(credentials)).await);
        }
        let nodes = nodes.unwrap();
        let Some(stage) = rotation.next(&nodes).unwrap() else {
            break;
        };
        let config = talosconfig(stage.credentials());
        let change = &stage.changes()[0];
        let client = lab.simulator.connect(&config).unwrap();
        client
            .node(change.node())
            .apply_configuration(change.config())
            .await
            .unwrap();
        changes += 1;
        // It stops here. The stage's credentials reach every node, directly and through every control plane node.
        for (_, endpoint) in NODES {
            let context = config.context(None).unwrap().clone().endpoints([endpoint]);
            let client = lab
                .simulator
                .connect(&TalosConfig::default().with_context("c", context))
                .unwrap();
            client.endpoint().version().await.unwrap();
            for (name, target) in NODES.iter().filter(|_| endpoint != "10.0.20.21") {
                let answer = client.node(*target).version().await;
                assert!(
                    answer.is_ok(),
                    "{endpoint} to {name} after {changes} changes: {answer:?}"
                );
            }
        }
        if stage.changes().len() == 1 {
            for check in stage.checks() {
                let RotationCheck::NodesAnswer(credentials) = check else {
                    panic!("{check:?} is not a check of the Talos API");
                };
                assert!(
                    observe(&lab.simulator, &talosconfig(*credentials))
                        .await
                        .is_some()
                );
            }
        }
    }
    assert_eq!(changes, 3 * NODES.len());
    assert!(
        observe(&lab.simulator, &talosconfig(RotationCredentials::New))
            .await
            .is_some()
    );
    let old = lab.simulator.connect(&lab.talosconfig()).unwrap();
    assert_eq!(
        old.endpoint().version().await.unwrap_err().kind(),
        ErrorKind::Tls
    );
}

#[tokio::test]
async fn skipping_a_stage_locks_clients_out_in_the_simulator_too() {
    let lab = Lab::new();
    lab.configure().await;
    let rotation = rotation(RotatedCa::TalosApi, &lab.secrets);
    let nodes = observe(&lab.simulator, &lab.talosconfig()).await.unwrap();
    let plan = rotation.plan(&nodes).unwrap();
    let last = &plan.stages()[2].changes()[0];
    let client = lab.simulator.connect(&lab.talosconfig()).unwrap();
    client
        .node(last.node())
        .apply_configuration(last.config())
        .await
        .unwrap();
    assert_eq!(
        client
            .node("10.0.20.12")
            .version()
            .await
            .unwrap_err()
            .kind(),
        ErrorKind::Tls
    );
    let mut newest = lab.talosconfig();
    rotation
        .reissue(&mut newest, RotationCredentials::New, lab.clock.now(), WEEK)
        .unwrap();
    let client = lab.simulator.connect(&newest).unwrap();
    client.endpoint().version().await.unwrap();
    // The other nodes do not believe the changed one.
    assert!(
        client
            .node("10.0.20.12")
            .version()
            .await
            .unwrap_err()
            .is_unavailable()
    );
}

#[tokio::test]
async fn nodes_serve_real_tls_with_both_authorities_in_between() {
    let lab = Lab::new();
    lab.configure().await;
    let rotation = rotation(RotatedCa::TalosApi, &lab.secrets);
    let mut nodes = observe(&lab.simulator, &lab.talosconfig()).await.unwrap();
    let served = lab.simulator.serve("cp1").await.unwrap();
    loop {
        let Some(stage) = rotation.next(&nodes).unwrap() else {
            break;
        };
        let mut config = lab.talosconfig();
        rotation
            .reissue(&mut config, stage.credentials(), lab.clock.now(), WEEK)
            .unwrap();
        let connect = |config: &TalosConfig| {
            let builder = talos_client::Client::builder()
                .talosconfig(config, None)
                .unwrap();
            builder
                .connect_to("10.0.20.11", served.address())
                .build()
                .unwrap()
        };
        for change in stage.changes() {
            let simulated = lab.simulator.connect(&config).unwrap();
            simulated
                .node(change.node())
                .apply_configuration(change.config())
                .await
                .unwrap();
            set(&mut nodes, change);
            connect(&config).endpoint().version().await.unwrap();
        }
    }
}

#[tokio::test]
async fn kubeconfigs_come_from_the_new_kubernetes_authority_on_nodes_of_1_14_too() {
    use base64::Engine as _;
    for version in ["v1.13.9", "v1.14.0"] {
        let clock = Clock::new();
        let mut world = World::new();
        for (name, address) in NODES {
            let spec =
                NodeSpec::new(name, address.parse::<IpAddr>().unwrap()).talos_version(version);
            world.add(spec);
            world.power_on(name, clock.now()).unwrap();
        }
        let ticks = clock.clone();
        let simulator = Simulator::new(world, Arc::new(move || ticks.now()));
        let secrets = SecretsBundle::fixed_for_tests();
        let minor = version[3..5].parse().unwrap();
        clock.step(30);
        for (address, config) in configs(minor) {
            let client = simulator.connect_maintenance(address);
            client
                .endpoint()
                .apply_configuration(&config)
                .await
                .unwrap();
        }
        clock.step(120);
        let config = secrets
            .talosconfig("lab", ["10.0.20.11"], clock.now())
            .unwrap();
        let rotation = rotation(RotatedCa::Kubernetes, &secrets);
        assert_eq!(
            rotation
                .reissue(
                    &mut config.clone(),
                    RotationCredentials::New,
                    clock.now(),
                    WEEK
                )
                .unwrap_err()
                .kind(),
            ErrorKind::InvalidArgument
        );
        let mut checks = Vec::new();
        while let Some(stage) = rotation
            .next(&observe(&simulator, &config).await.unwrap())
            .unwrap()
        {
            let client = simulator.connect(&config).unwrap();
            let change = &stage.changes()[0];
            client
                .node(change.node())
                .apply_configuration(change.config())
                .await
                .unwrap();
            checks = stage.checks().to_vec();
        }
        assert_eq!(
            checks,
            [
                RotationCheck::KubeletsHealthy,
                RotationCheck::KubernetesReady
            ]
        );
        let client = simulator.connect(&config).unwrap();
        let kubeconfig = client.endpoint().kubeconfig().await.unwrap();
        let new = base64::engine::general_purpose::STANDARD
            .encode(rotation.new_authority().certificate());
        assert!(kubeconfig.as_str().contains(&new), "{version}");
    }
}
