//! The programs in `examples`, as a user starts them.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// Cargo builds the examples beside the tests.
fn program(name: &str) -> PathBuf {
    let test = std::env::current_exe().unwrap();
    test.parent()
        .and_then(Path::parent)
        .unwrap()
        .join("examples")
        .join(name)
}

fn run(name: &str, arguments: &[&str]) -> Option<Output> {
    let program = program(name);
    if !program.exists() {
        println!("did not run: {} is not built", program.display());
        return None;
    }
    Some(Command::new(program).args(arguments).output().unwrap())
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

const INVENTORY: &str = "networks: [\"10.77.0.0/24\"]
topology: hub-and-spoke
members:
  - {name: vps, role: hub, endpoint: \"192.0.2.1:51820\"}
  - {name: home, routed: [\"192.168.10.0/24\"]}
  - {name: phone, role: roaming}
";

#[test]
fn wg_mesh_writes_private_files_once_and_wg_why_and_wg_check_read_them() {
    let folder = tempfile::tempdir().unwrap();
    let inventory = folder.path().join("inventory.yaml");
    std::fs::write(&inventory, INVENTORY).unwrap();
    let out = folder.path().join("out");
    let arguments = [inventory.to_str().unwrap(), out.to_str().unwrap()];
    let Some(first) = run("wg_mesh", &arguments) else {
        return;
    };
    assert!(first.status.success(), "{}", text(&first.stderr));
    insta::assert_snapshot!(text(&first.stdout), @r"
    4 pairs direct, 2 through others, 0 unreachable
    4 keys made, 3 files written, 0 unchanged
    ");
    let again = run("wg_mesh", &arguments).unwrap();
    assert!(text(&again.stdout).ends_with("0 keys made, 0 files written, 3 unchanged\n"));
    let file = |name: &str| out.join(name).join("wg0.conf");
    for path in [file("vps"), file("home"), out.join("keys")] {
        assert_eq!(
            std::fs::metadata(&path).unwrap().permissions().mode() & 0o777,
            0o600,
            "{}",
            path.display()
        );
    }
    let named: Vec<String> = ["vps", "home", "phone"]
        .map(|n| format!("{n}={}", file(n).display()))
        .into();
    let mut words = vec!["phone", "home"];
    words.extend(named.iter().map(String::as_str));
    let why = run("wg_why", &words).unwrap();
    assert!(why.status.success());
    assert!(text(&why.stdout).contains("vps sends it to home, which is allowed 10.77.0.2/32"));
    words.truncate(3);
    words[2] = &named[2];
    let why = run("wg_why", &["phone", "10.77.0.2", &named[2]]).unwrap();
    assert_eq!(why.status.code(), Some(1));
    assert!(text(&why.stdout).contains("phone drops it: its peer"));
    let check = run("wg_check", &[file("home").to_str().unwrap()]).unwrap();
    assert!(check.status.success(), "{}", text(&check.stdout));
}

#[test]
fn wg_check_names_file_line_and_column() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("bad.conf");
    std::fs::write(&path, "[Interface]\nListenPort = 65536\n").unwrap();
    let Some(output) = run("wg_check", &[path.to_str().unwrap()]) else {
        return;
    };
    assert_eq!(output.status.code(), Some(1));
    assert!(
        text(&output.stdout)
            .contains("bad.conf:2:14: line 2, column 14: error: the port is out of range")
    );
}
