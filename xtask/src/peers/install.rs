//! Getting peers through the system's package manager and into a virtual environment of Python.

use std::fs;
use std::process::{Command, Stdio};

use super::{Peer, Probe};

/// Why this program may not install packages of the system.
fn refusal() -> Option<&'static str> {
    if super::found("apt-get").is_none() {
        return Some("there is no apt-get here");
    }
    if !is_root() {
        return Some("only root may install packages");
    }
    None
}

fn is_root() -> bool {
    let user = Command::new("id").arg("-u").output();
    user.is_ok_and(|output| output.stdout.trim_ascii() == b"0")
}

fn system_packages(absent: &[&Peer]) -> Vec<&'static str> {
    let mut packages = Vec::new();
    for peer in absent {
        packages.extend(peer.package.split_whitespace());
        // Debian ships Python without what makes virtual environments.
        if matches!(peer.probe, Probe::Python(..)) && !can_make_environments() {
            packages.extend(["python3", "python3-venv"]);
        }
    }
    packages.sort_unstable();
    packages.dedup();
    packages
}

fn can_make_environments() -> bool {
    succeeds(Command::new("python3").args(["-c", "import venv, ensurepip"]))
}

fn python_packages(absent: &[&Peer]) -> Vec<&'static str> {
    let packages = absent.iter().flat_map(|peer| match peer.probe {
        Probe::Python(_, packages) => packages,
        _ => &[],
    });
    packages.copied().collect()
}

/// What a person types to have these peers.
pub(super) fn commands(absent: &[&Peer]) -> Vec<String> {
    let mut commands = Vec::new();
    let packages = system_packages(absent);
    if !packages.is_empty() {
        commands.push(format!("sudo apt-get install {}", packages.join(" ")));
    }
    let packages = python_packages(absent);
    if !packages.is_empty() {
        let folder = super::environment();
        let folder = folder.display();
        // Brackets mean something to some shells.
        commands.push(format!(
            "python3 -m venv {folder} && {folder}/bin/pip install '{}'",
            packages.join("' '")
        ));
    }
    commands
}

/// Tries to install; what fails is said and stays absent, because the tests run without it as well.
pub(super) fn install(absent: &[&Peer]) {
    let packages = system_packages(absent);
    if !packages.is_empty() {
        match refusal() {
            Some(why) => eprintln!("peers: not installing {}: {why}", packages.join(", ")),
            None => install_system(&packages),
        }
    }
    let packages = python_packages(absent);
    if !packages.is_empty() && !install_python(&packages) {
        eprintln!(
            "peers: could not install {} for Python",
            packages.join(", ")
        );
    }
}

fn install_system(packages: &[&str]) {
    eprintln!("peers: apt-get install {}", packages.join(" "));
    if apt_get(&["install"], packages) {
        return;
    }
    // The lists may be old or never fetched; and a package that this release lacks must not
    // keep the others away.
    apt_get(&["update"], &[]);
    if apt_get(&["install"], packages) {
        return;
    }
    for package in packages {
        if !apt_get(&["install"], &[package]) {
            eprintln!("peers: apt-get could not install {package}");
        }
    }
}

fn apt_get(command: &[&str], packages: &[&str]) -> bool {
    let status = Command::new("apt-get")
        .args(["--yes", "--quiet", "--no-install-recommends"])
        .args(command)
        .args(packages)
        .env("DEBIAN_FRONTEND", "noninteractive")
        // A server that a test needs must not be started as a service of the machine.
        .env("RUNLEVEL", "1")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    status.is_ok_and(|status| status.success())
}

fn install_python(packages: &[&str]) -> bool {
    let folder = super::environment();
    if !super::python().is_file() {
        let parent_made = folder
            .parent()
            .is_some_and(|parent| fs::create_dir_all(parent).is_ok());
        let mut venv = Command::new("python3");
        venv.args(["-m", "venv"]).arg(&folder);
        if !parent_made || !succeeds(&mut venv) {
            return false;
        }
    }
    let mut pip = Command::new(super::python());
    pip.args([
        "-m",
        "pip",
        "install",
        "--quiet",
        "--disable-pip-version-check",
    ])
    .args(packages);
    succeeds(&mut pip)
}

fn succeeds(command: &mut Command) -> bool {
    let status = command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    status.is_ok_and(|status| status.success())
}

#[cfg(test)]
mod tests {
    use super::super::PEERS;
    use super::*;

    #[test]
    fn a_person_gets_one_command_for_each_package_manager() {
        let absent: Vec<&Peer> = PEERS.iter().collect();
        let commands = commands(&absent);
        assert_eq!(commands.len(), 2);
        for package in [
            "restic",
            "wireguard-tools",
            "openssh-server",
            "libssl-dev",
            "pkg-config",
        ] {
            assert!(commands[0].contains(package), "{package}");
        }
        assert!(
            commands[1].ends_with(
                "pip install 'moto[server]' 'proxmoxer' 'requests' 'requests_toolbelt' 'PyYAML'"
            ),
            "{}",
            commands[1]
        );
    }

    #[test]
    fn nothing_absent_needs_no_command() {
        assert!(commands(&[]).is_empty());
    }
}
