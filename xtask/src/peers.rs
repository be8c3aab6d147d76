//! The programs that tests talk to: which they are, whether they are here, how they get here.

#[cfg(test)]
#[cfg(feature = "cilium")]
mod foreign_yaml;
mod install;
#[cfg(test)]
#[cfg(feature = "restic")]
mod real_sftp;

use std::path::PathBuf;
use std::process::Command;

use anyhow::bail;

use crate::{process, workspace};

/// Something that is not ours and that tests run against.
#[derive(Debug)]
pub(crate) struct Peer {
    pub(crate) name: &'static str,
    probe: Probe,
    /// Debian's names of the packages, separated by blanks; empty for what comes into the virtual environment.
    package: &'static str,
    /// What does not run without it.
    tests: &'static str,
    /// The package and the part of a test's name that select these tests, for `cargo xtask peers`.
    pub(crate) select: (&'static str, &'static str),
}

#[derive(Debug)]
enum Probe {
    /// A program that is started with these arguments; the first line it prints is its version.
    Program(&'static str, &'static [&'static str]),
    /// A program that is only looked for, because every way to start it does something.
    Found(&'static str),
    /// A Python module and the packages that bring it and what it needs.
    Python(&'static str, &'static [&'static str]),
}

/// The headers without which not all features compile.
pub(crate) const LIBSSL: &str = "libssl";

pub(crate) const PEERS: &[Peer] = &[
    Peer {
        name: "restic",
        probe: Probe::Program("restic", &["version"]),
        package: "restic",
        tests: "restic-wrapper against the real restic; the production run takes the simulated one",
        select: ("restic-wrapper", "real"),
    },
    Peer {
        name: "rclone",
        probe: Probe::Program("rclone", &["version"]),
        package: "rclone",
        tests: "restic-wrapper: a REST server, and repositories behind rclone",
        select: ("restic-wrapper", "rclone"),
    },
    Peer {
        name: "moto",
        probe: Probe::Python("moto", &["moto[server]"]),
        package: "",
        tests: "restic-wrapper: repositories on an S3 server",
        select: ("restic-wrapper", "s3"),
    },
    Peer {
        name: "sshd",
        probe: Probe::Found("sshd"),
        package: "openssh-server",
        tests: "restic-wrapper: a repository over SSH",
        select: ("xtask", "real_sftp"),
    },
    Peer {
        name: "ssh-agent",
        probe: Probe::Found("ssh-agent"),
        package: "openssh-client openssh-server",
        tests: "proxmox-ve-client: snippets over SSH, with the server too",
        select: ("proxmox-ve-client", "real_ssh"),
    },
    Peer {
        name: LIBSSL,
        probe: Probe::Program("pkg-config", &["--modversion", "libssl"]),
        package: "libssl-dev pkg-config",
        tests: "whatever needs proxmox-ve-client with its feature ssh, which links OpenSSL",
        select: ("proxmox-ve-client", "nobody_who_does_not_speak_ssh"),
    },
    Peer {
        name: "wg",
        probe: Probe::Program("wg", &["--version"]),
        package: "wireguard-tools",
        tests: "wireguard-config: keys and files through wg and wg-quick",
        select: ("wireguard-config", "real_wg"),
    },
    Peer {
        name: "wireguard-go",
        probe: Probe::Program("wireguard-go", &["--version"]),
        package: "wireguard-go",
        tests: "wireguard-config: plans carried out on user-space devices",
        select: ("wireguard-config", "real_tunnel"),
    },
    Peer {
        name: "ip",
        probe: Probe::Program("ip", &["-V"]),
        package: "iproute2",
        tests: "wireguard-config: tunnels between network namespaces",
        select: ("wireguard-config", "real_tunnel"),
    },
    Peer {
        name: "ping",
        probe: Probe::Program("ping", &["-V"]),
        package: "iputils-ping",
        tests: "wireguard-config: tunnels between network namespaces",
        select: ("wireguard-config", "real_tunnel"),
    },
    Peer {
        name: "nft",
        probe: Probe::Program("nft", &["--version"]),
        package: "nftables",
        tests: "wireguard-config: firewall rules and address translation between tunnels",
        select: ("wireguard-config", "real_nft"),
    },
    Peer {
        name: "proxmoxer",
        // The last is what it sends files of more than 2 GiB with.
        probe: Probe::Python("proxmoxer", &["proxmoxer", "requests", "requests_toolbelt"]),
        package: "",
        tests: "proxmox-ve-client: a foreign client drives the simulator",
        select: ("proxmox-ve-client", "real_proxmoxer"),
    },
    Peer {
        name: "PyYAML",
        probe: Probe::Python("yaml", &["PyYAML"]),
        package: "",
        tests: "what the model crates print, read by the YAML parser of cloud-init",
        select: ("xtask", "foreign_yaml"),
    },
];

impl Peer {
    /// The version, or whatever proves that the peer is here.
    pub(crate) fn find(&self) -> Option<String> {
        match self.probe {
            Probe::Program(program, arguments) => process::first_line(program, arguments),
            Probe::Found(program) => found(program).map(|path| path.display().to_string()),
            Probe::Python(module, _) => {
                let python = python();
                let import = format!("import {module}; print({module}.__version__)");
                let output = Command::new(python).args(["-c", &import]).output().ok()?;
                let text = String::from_utf8_lossy(&output.stdout).trim().to_owned();
                output.status.success().then_some(text)
            }
        }
    }

    fn line(&self, found: Option<&str>) -> String {
        match found {
            Some(version) => format!("  present  {:<16} {version}", self.name),
            None => format!("  ABSENT   {:<16} did not run: {}", self.name, self.tests),
        }
    }
}

/// The interpreter of the virtual environment below the build folder.
pub(crate) fn python() -> PathBuf {
    environment().join("bin/python")
}

fn environment() -> PathBuf {
    workspace::target().join("peers/python")
}

fn found(program: &str) -> Option<PathBuf> {
    let path = process::search_path();
    let candidates = path
        .split(':')
        .map(|folder| PathBuf::from(folder).join(program));
    candidates.into_iter().find(|path| path.is_file())
}

/// What is here and what is not, one line a peer, and what to type to get the rest.
pub(crate) struct Census {
    lines: Vec<String>,
    absent: Vec<&'static Peer>,
}

impl Census {
    /// Asks each peer.
    pub(crate) fn take() -> Self {
        let mut census = Self {
            lines: Vec::new(),
            absent: Vec::new(),
        };
        for peer in PEERS {
            let version = peer.find();
            census.lines.push(peer.line(version.as_deref()));
            if version.is_none() {
                census.absent.push(peer);
            }
        }
        census
    }

    pub(crate) fn has(&self, name: &str) -> bool {
        !self.absent.iter().any(|peer| peer.name == name)
    }

    pub(crate) fn print(&self) {
        println!("Peers:");
        for line in &self.lines {
            println!("{line}");
        }
        if self.absent.is_empty() {
            println!("No peer was absent.");
            return;
        }
        let names: Vec<_> = self.absent.iter().map(|peer| peer.name).collect();
        println!("Absent: {}. To have them:", names.join(", "));
        for command in install::commands(&self.absent) {
            println!("  {command}");
        }
    }
}

/// Installs what is absent where that is allowed, and says what to type where it is not.
pub(crate) fn install_absent() -> Census {
    let census = Census::take();
    if census.absent.is_empty() {
        return census;
    }
    install::install(&census.absent);
    Census::take()
}

/// `cargo xtask peers [NAME] [--no-install]`: the state of the peers, and the tests that talk to them.
pub(crate) fn command(words: &[String]) -> anyhow::Result<bool> {
    let mut wanted = None;
    let mut may_install = true;
    for word in words {
        match word.as_str() {
            "--no-install" => may_install = false,
            name if PEERS.iter().any(|peer| peer.name == name) => wanted = Some(name),
            other => {
                let names: Vec<_> = PEERS.iter().map(|peer| peer.name).collect();
                bail!("no peer {other:?}; they are {}", names.join(", "));
            }
        }
    }
    let census = if may_install {
        install_absent()
    } else {
        Census::take()
    };
    let mut all_passed = true;
    for peer in PEERS {
        let (package, part) = peer.select;
        let is_wanted = wanted.is_none_or(|name| name == peer.name);
        if !is_wanted || !census.has(peer.name) {
            continue;
        }
        println!("\n{}: tests of {package} named *{part}*", peer.name);
        let target = match package {
            "xtask" => ["--bin", "xtask"],
            _ => ["--test", "it"],
        };
        let status = workspace::cargo()
            .args(["test", "--quiet", "--all-features", "--package", package])
            .args(target)
            .args(["--", part, "--nocapture"])
            .env("PATH", process::search_path())
            .status()?;
        all_passed &= status.success();
    }
    census.print();
    Ok(all_passed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_absent_peer_says_which_tests_did_not_run() {
        let peer = &PEERS[0];
        assert!(peer.line(None).contains("did not run: restic-wrapper"));
        assert_eq!(
            peer.line(Some("restic 0.18.0")),
            "  present  restic           restic 0.18.0"
        );
    }

    #[test]
    fn a_program_is_found_in_the_folders_of_the_system() {
        assert!(found("sh").is_some());
        assert_eq!(found("no-such-program-here"), None);
    }

    #[test]
    fn every_peer_has_a_name_of_its_own() {
        let mut names: Vec<_> = PEERS.iter().map(|peer| peer.name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), PEERS.len());
    }
}
