//! An SSH server and an agent that end with the test, with everything they need in one folder.

use std::fs;
use std::io::Write;
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// What the key `locked` is encrypted with.
pub(crate) const PASSPHRASE: &str = "correct horse";

/// What logs in at a server that knows passwords.
pub(crate) const PASSWORD: &str = "an open secret";
/// As crypt(5) keeps it.
const CRYPTED: &str =
    "$6$lab$GhB9NT0/3VKOugnCT4yI9XbUcOVwczX9abJql0GiEAZNPYI1Z07Z6CqrMcyA5xpoyFwqelbsFNkGdtIfJiedN/";

/// Runs `$2…` where the passwords and the rules of PAM are those of the folder `$1`; nobody else sees them.
const WITH_PASSWORDS: &str = r#"mount --bind "$1/shadow" /etc/shadow
mount --bind "$1/pam" /etc/pam.d/sshd
shift
exec "$@""#;

/// How the server differs from the usual one.
pub(crate) struct Setup {
    sftp: Option<&'static str>,
    lines: Vec<&'static str>,
    sudo: Option<&'static str>,
    every_kind: bool,
    passwords: bool,
}

impl Default for Setup {
    fn default() -> Self {
        Self {
            sftp: Some("internal-sftp"),
            lines: Vec::new(),
            sudo: None,
            every_kind: false,
            passwords: false,
        }
    }
}

impl Setup {
    pub(crate) fn with(mut self, line: &'static str) -> Self {
        self.lines.push(line);
        self
    }

    /// Also keys that take long to be made: `host_rsa`, `rsa`, `ecdsa`.
    pub(crate) fn with_every_kind_of_key(mut self) -> Self {
        self.every_kind = true;
        self
    }

    /// The user's password is [`PASSWORD`]; only root can have it so without changing the machine.
    pub(crate) fn with_passwords(mut self) -> Self {
        self.passwords = true;
        self
    }

    pub(crate) fn with_sftp(mut self, command: &'static str) -> Self {
        self.sftp = Some(command);
        self
    }

    pub(crate) fn without_sftp(mut self) -> Self {
        self.sftp = None;
        self
    }

    /// A program `sudo` that notes its arguments and then does this.
    pub(crate) fn with_sudo(mut self, script: &'static str) -> Self {
        self.sudo = Some(script);
        self
    }
}

pub(crate) struct Server {
    child: Child,
    folder: tempfile::TempDir,
    pub(crate) port: u16,
    pub(crate) user: String,
}

impl Drop for Server {
    fn drop(&mut self) {
        self.end_sessions();
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A program in the folders of the system; servers lie where an ordinary user's PATH does not lead.
fn program(name: &str) -> Option<PathBuf> {
    let path = std::env::var("PATH").unwrap_or_default();
    let folders = path.split(':').chain(["/usr/sbin", "/usr/bin", "/bin"]);
    folders
        .map(|folder| Path::new(folder).join(name))
        .find(|path| path.is_file())
}

/// A pair of keys: `PATH` and `PATH.pub`.
fn make_key(path: &Path, kind: &str, passphrase: &str) {
    let made = Command::new("ssh-keygen")
        .args(["-q", "-t", kind, "-N", passphrase, "-C", "test", "-f"])
        .arg(path)
        .status();
    assert!(made.unwrap().success(), "ssh-keygen");
}

/// What runs the program that is added to it in a mount namespace of its own (unshare(1)).
fn with_passwords(folder: &Path) -> Command {
    let mut command = Command::new("unshare");
    command.args(["--mount", "sh", "-ec", WITH_PASSWORDS, "sh"]);
    command.arg(folder);
    command
}

impl Server {
    /// None if a program of OpenSSH is absent, or passwords are wanted and mounts are not allowed.
    pub(crate) fn start(setup: Setup) -> Option<Self> {
        let sshd = program("sshd")?;
        program("ssh-agent").and(program("ssh-keygen"))?;
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        let mut keys = vec![
            ("host", "ed25519", ""),
            ("user", "ed25519", ""),
            ("locked", "ed25519", PASSPHRASE),
            ("stranger", "ed25519", ""),
        ];
        if setup.every_kind {
            keys.extend([
                ("host_rsa", "rsa", ""),
                ("rsa", "rsa", ""),
                ("ecdsa", "ecdsa", ""),
            ]);
        }
        let mut authorized = String::new();
        for (name, kind, passphrase) in keys {
            make_key(&at(name), kind, passphrase);
            if ["user", "rsa", "ecdsa", "locked"].contains(&name) {
                authorized += &fs::read_to_string(at(&format!("{name}.pub"))).unwrap();
            }
        }
        fs::write(at("authorized"), authorized).unwrap();
        fs::create_dir_all(at("storage/snippets")).unwrap();
        fs::create_dir(at("bin")).unwrap();
        if let Some(script) = setup.sudo {
            let log = at("sudo.log").display().to_string();
            let text = format!("#!/bin/sh\nprintf '%s\\n' \"$*\" >> '{log}'\n{script}\n");
            fs::write(at("bin/sudo"), text).unwrap();
            fs::set_permissions(at("bin/sudo"), fs::Permissions::from_mode(0o755)).unwrap();
        }
        // Started by root, the server insists on this folder, which its service would make.
        let _ = fs::create_dir_all("/run/sshd");
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        drop(listener);
        fs::write(at("config"), config(folder.path(), port, &setup)).unwrap();
        let log = fs::File::create(at("log")).unwrap();
        let user = Command::new("id").arg("-un").output().unwrap().stdout;
        let user = String::from_utf8(user).unwrap().trim().to_owned();
        let mut command = match setup.passwords {
            false => Command::new(sshd),
            true => {
                let shadow = format!("{user}:{CRYPTED}:19000:0:99999:7:::\n");
                fs::write(at("shadow"), shadow).unwrap();
                let rules = "auth required pam_unix.so\naccount required pam_unix.so\nsession required pam_permit.so\n";
                fs::write(at("pam"), rules).unwrap();
                let possible = with_passwords(folder.path()).arg("true").output();
                possible.ok().filter(|output| output.status.success())?;
                let mut command = with_passwords(folder.path());
                command.arg(sshd);
                command
            }
        };
        let child = command
            .args(["-D", "-e", "-f"])
            .arg(at("config"))
            .stdin(Stdio::null())
            .stderr(log)
            .spawn()
            .unwrap();
        let mut server = Self {
            child,
            folder,
            port,
            user,
        };
        server.wait();
        Some(server)
    }

    fn wait(&mut self) {
        let started = Instant::now();
        while TcpStream::connect(("127.0.0.1", self.port)).is_err() {
            let ended = self.child.try_wait().unwrap();
            assert!(ended.is_none(), "sshd ended: {}", self.log());
            assert!(
                started.elapsed() < Duration::from_secs(60),
                "sshd does not listen"
            );
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn log(&self) -> String {
        fs::read_to_string(self.file("log")).unwrap_or_default()
    }

    /// How many sessions were let in so far.
    pub(crate) fn logins(&self) -> usize {
        self.log().matches("Accepted ").count()
    }

    /// The processes of the sessions end; the server goes on.
    pub(crate) fn end_sessions(&self) {
        self.signal_sessions("KILL");
    }

    pub(crate) fn signal_sessions(&self, signal: &str) {
        let parent = self.child.id();
        let processes = fs::read_dir("/proc").into_iter().flatten().flatten();
        for process in processes.filter(|process| parent_of(&process.path()) == Some(parent)) {
            let pid = process.file_name().into_string().unwrap();
            let kill = format!("kill -{signal} {pid}");
            let _ = Command::new("sh").args(["-c", &kill]).status();
        }
    }

    /// As `ssh-keygen -l` shows it.
    pub(crate) fn fingerprint(&self, key: &str) -> String {
        let output = Command::new("ssh-keygen")
            .arg("-lf")
            .arg(self.file(key))
            .output()
            .unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        text.split_whitespace().nth(1).unwrap().to_owned()
    }
}

/// The parent of a process, by its folder below `/proc` (proc_pid_stat(5)).
fn parent_of(process: &Path) -> Option<u32> {
    let stat = fs::read_to_string(process.join("stat")).ok()?;
    let (_, after_name) = stat.rsplit_once(')')?;
    after_name.split_whitespace().nth(1)?.parse().ok()
}

fn config(folder: &Path, port: u16, setup: &Setup) -> String {
    let at = folder.display();
    let pam = if setup.passwords { "yes" } else { "no" };
    let mut text = format!(
        "Port {port}\nListenAddress 127.0.0.1\nHostKey {at}/host\nPidFile none\n\
         AuthorizedKeysFile {at}/authorized\nStrictModes no\nUsePAM {pam}\nMaxStartups 100\n\
         PermitRootLogin yes\n\
         SetEnv PATH={at}/bin:/usr/local/bin:/usr/bin:/bin HOME={at}\n"
    );
    for way in ["PasswordAuthentication", "KbdInteractiveAuthentication"] {
        if !setup.lines.iter().any(|line| line.starts_with(way)) {
            text.push_str(&format!("{way} no\n"));
        }
    }
    if setup.every_kind {
        text.push_str(&format!("HostKey {at}/host_rsa\n"));
    }
    if let Some(command) = setup.sftp {
        text.push_str(&format!("Subsystem sftp {command}\n"));
    }
    for line in &setup.lines {
        text.push_str(&format!("{line}\n"));
    }
    text
}

pub(crate) struct Agent {
    child: Child,
    pub(crate) socket: PathBuf,
}

impl Drop for Agent {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Agent {
    pub(crate) fn start(server: &Server) -> Self {
        let socket = server.file("agent");
        let child = Command::new("ssh-agent")
            .args(["-D", "-a"])
            .arg(&socket)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let started = Instant::now();
        while !socket.exists() {
            assert!(started.elapsed() < Duration::from_secs(60), "no agent");
            std::thread::sleep(Duration::from_millis(10));
        }
        Self { child, socket }
    }

    pub(crate) fn add(&self, key: &Path) {
        let mut child = Command::new("ssh-add")
            .args(["-q", "-"])
            .env("SSH_AUTH_SOCK", &self.socket)
            .stdin(Stdio::piped())
            .spawn()
            .unwrap();
        let text = fs::read(key).unwrap();
        child.stdin.take().unwrap().write_all(&text).unwrap();
        assert!(child.wait().unwrap().success(), "ssh-add");
    }
}
