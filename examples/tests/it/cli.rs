//! The programs as a user starts them: exit codes, what they refuse, and that refusing touches nothing.

use std::path::Path;

use assert_cmd::Command;
use homelab::lab::Lab;
use homelab::lab::gate::Gate;
use homelab::secrets::SecretStore;
use homelab::spec::Spec;

const STAGING: &str = include_str!("../../environments/staging/cluster.yaml");
const TOKEN: &str = "root@pam!lab=lab-secret";

fn staging() -> Command {
    let mut command = Command::cargo_bin("staging").unwrap();
    command.env_remove("PROXMOX_TOKEN").env_remove("RUST_LOG");
    command
}

fn standard_error(command: &mut Command, code: i32) -> String {
    let output = command.assert().code(code).get_output().clone();
    String::from_utf8(output.stderr).unwrap()
}

fn standard_output(command: &mut Command, code: i32) -> String {
    let output = command.assert().code(code).get_output().clone();
    String::from_utf8(output.stdout).unwrap()
}

/// Writes a changed `cluster.yaml` into a folder.
fn write(folder: &Path, changes: &[(&str, &str)]) -> std::path::PathBuf {
    let mut text = STAGING.to_owned();
    for (from, to) in changes {
        assert!(text.contains(from), "{from}");
        text = text.replacen(from, to, 1);
    }
    let file = folder.join("cluster.yaml");
    std::fs::write(&file, text).unwrap();
    file
}

#[test]
fn all_problems_of_a_file_are_shown_with_their_lines_before_anything_is_touched() {
    let folder = tempfile::tempdir().unwrap();
    let file = write(
        folder.path(),
        &[("mtu: 1500", "mtu: 15"), ("vip: 10.0.20.", "vip: 10.9.20.")],
    );
    let lab = folder.path().join("lab");
    let mut command = staging();
    command
        .args(["up", "--yes", "--file"])
        .arg(&file)
        .arg("--lab-state")
        .arg(&lab);
    let text = standard_error(&mut command, 1);
    for part in ["network.mtu", "api.vip", "cluster.yaml:"] {
        assert!(text.contains(part), "{part} is not in {text}");
    }
    assert!(!lab.exists());
}

#[test]
fn problems_are_data_for_programs() {
    let folder = tempfile::tempdir().unwrap();
    let file = write(folder.path(), &[("mtu: 1500", "mtu: 15")]);
    let text = standard_output(staging().args(["plan", "--json", "--file"]).arg(&file), 1);
    let problems: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert!(text.contains("\"line\""), "{problems}");
}

#[test]
fn a_plan_of_an_empty_lab_is_one_json_object_and_exit_code_2() {
    let text = standard_output(staging().args(["plan", "--json"]), 2);
    let plan: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(plan["schema"], 1);
    assert!(
        plan["plan"]["steps"].as_array().unwrap().len() > 20,
        "{plan}"
    );
}

#[test]
fn nothing_is_built_without_a_confirmation() {
    let folder = tempfile::tempdir().unwrap();
    let lab = folder.path().join("lab");
    let text = standard_error(staging().arg("up").arg("--lab-state").arg(&lab), 1);
    assert!(text.contains("there is no terminal to ask on"), "{text}");
    assert!(text.contains("--yes"), "{text}");
    let again = standard_output(
        staging().args(["plan", "--json", "--lab-state"]).arg(&lab),
        2,
    );
    let plan: serde_json::Value = serde_json::from_str(&again).unwrap();
    assert!(
        plan["plan"]["steps"].as_array().unwrap().len() > 20,
        "{plan}"
    );
}

#[test]
fn production_is_removed_only_by_its_name() {
    let mut production = Command::cargo_bin("production").unwrap();
    let text = standard_error(production.args(["down", "--yes"]), 1);
    assert!(text.contains("down --name production"), "{text}");
}

#[test]
fn real_systems_need_a_verb_and_a_credential() {
    let folder = tempfile::tempdir().unwrap();
    let file = write(folder.path(), &[]);
    let mut command = staging();
    command
        .args(["plan", "--target", "real", "--file"])
        .arg(&file);
    let text = standard_error(&mut command, 1);
    assert!(
        text.contains("the variable PROXMOX_TOKEN is not set"),
        "{text}"
    );
}

/// A Proxmox VE on loopback and a `cluster.yaml` that names it.
struct Network {
    lab: Lab,
    _server: proxmox_client::simulator::Server,
    folder: tempfile::TempDir,
}

impl Network {
    async fn new() -> Self {
        let spec = Spec::parse("cluster.yaml", STAGING).unwrap();
        let lab = Lab::in_process(&spec, Gate::open(), None, SecretStore::memory()).unwrap();
        let server = lab.wiring().proxmox().serve().await.unwrap();
        let folder = tempfile::tempdir().unwrap();
        let trust = format!("fingerprint: {}", server.fingerprint());
        write(
            folder.path(),
            &[
                ("https://10.0.10.10:8006", &server.endpoint()),
                ("caFile: pve-root-ca.pem", &trust),
            ],
        );
        Self {
            lab,
            _server: server,
            folder,
        }
    }

    fn machines(&self) -> usize {
        self.lab
            .wiring()
            .proxmox()
            .with(|world| world.guests().count())
    }

    /// Runs the program on the thread pool, because the server runs on this one.
    async fn run(&self, arguments: &'static [&'static str], token: &'static str) -> (i32, String) {
        let file = self.folder.path().join("cluster.yaml");
        tokio::task::spawn_blocking(move || {
            let mut command = staging();
            command.env("PROXMOX_TOKEN", token).args(arguments);
            command.args(["--target", "real", "--file"]).arg(file);
            let output = command.output().unwrap();
            let mut text = String::from_utf8(output.stdout).unwrap();
            text.push_str(&String::from_utf8(output.stderr).unwrap());
            (output.status.code().unwrap(), text)
        })
        .await
        .unwrap()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_real_target_is_looked_at_over_the_network_and_left_alone_without_a_yes() {
    let network = Network::new().await;
    let (code, text) = network.run(&["plan"], TOKEN).await;
    assert_eq!(code, 2, "{text}");
    assert!(text.contains("VM 7101 on pve1"), "{text}");
    let (code, text) = network.run(&["up"], TOKEN).await;
    assert_eq!(code, 1, "{text}");
    assert!(text.contains("there is no terminal to ask on"), "{text}");
    let (code, text) = network.run(&[], TOKEN).await;
    assert_eq!(code, 1, "{text}");
    assert!(
        text.contains("real systems are changed by a verb only"),
        "{text}"
    );
    assert_eq!(network.machines(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_token_is_refused_and_shown_nowhere() {
    let network = Network::new().await;
    let (code, text) = network.run(&["plan"], "root@pam!lab=not-the-secret").await;
    assert_eq!(code, 1, "{text}");
    assert!(!text.contains("not-the-secret"), "{text}");
}
