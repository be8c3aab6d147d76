//! A restic repository behind a real SSH server, on loopback and with keys of its own.

use std::fs;
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use restic_wrapper::{Bundle, Location, Restic};

/// A server that ends with the test, and the folder with its keys and its data.
struct Server {
    child: Child,
    port: u16,
    folder: PathBuf,
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = fs::remove_dir_all(&self.folder);
    }
}

impl Server {
    /// `None` when a program of OpenSSH is absent; then the test says that it did not run.
    fn start() -> Option<Self> {
        let (Some(sshd), Some(_)) = (super::found("sshd"), super::found("ssh")) else {
            println!("did not run: no sshd or no ssh");
            return None;
        };
        let folder = std::env::temp_dir().join(format!("xtask-sftp-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        for key in ["host", "user"] {
            let made = Command::new("ssh-keygen")
                .args(["-q", "-t", "ed25519", "-N", "", "-f"])
                .arg(folder.join(key))
                .status();
            assert!(made.unwrap().success(), "ssh-keygen");
        }
        // Started by root, the server insists on this folder, which its service would make.
        let _ = fs::create_dir_all("/run/sshd");
        let port = free_port();
        fs::write(folder.join("config"), config(&folder, port)).unwrap();
        let log = fs::File::create(folder.join("log")).unwrap();
        let child = Command::new(sshd)
            .args(["-D", "-e", "-f"])
            .arg(folder.join("config"))
            .stdin(Stdio::null())
            .stderr(log)
            .spawn()
            .unwrap();
        let mut server = Self {
            child,
            port,
            folder,
        };
        server.wait();
        Some(server)
    }

    fn wait(&mut self) {
        let started = Instant::now();
        while TcpStream::connect(("127.0.0.1", self.port)).is_err() {
            let log = || fs::read_to_string(self.folder.join("log")).unwrap_or_default();
            assert!(
                self.child.try_wait().unwrap().is_none(),
                "sshd ended: {}",
                log()
            );
            assert!(
                started.elapsed() < Duration::from_secs(60),
                "sshd does not listen"
            );
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    fn location(&self) -> Location {
        let user = Command::new("id").arg("-un").output().unwrap().stdout;
        let user = String::from_utf8(user).unwrap();
        let command = format!(
            "ssh -F none -p {} -i {} -o IdentitiesOnly=yes -o BatchMode=yes -o StrictHostKeyChecking=no \
             -o UserKnownHostsFile={} {}@127.0.0.1 -s sftp",
            self.port,
            self.folder.join("user").display(),
            self.folder.join("known").display(),
            user.trim(),
        );
        let path = self.folder.join("repository").display().to_string();
        Location::sftp(Some(user.trim()), "127.0.0.1", Some(self.port), &path)
            .option("sftp.command", command)
    }
}

fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().port()
}

fn config(folder: &Path, port: u16) -> String {
    let folder = folder.display();
    format!(
        "Port {port}\nListenAddress 127.0.0.1\nHostKey {folder}/host\nPidFile none\n\
         AuthorizedKeysFile {folder}/user.pub\nStrictModes no\nUsePAM no\n\
         PermitRootLogin prohibit-password\nPasswordAuthentication no\nSubsystem sftp internal-sftp\n"
    )
}

#[tokio::test]
async fn a_bundle_comes_back_from_a_repository_over_ssh() {
    let Ok(restic) = Restic::find().await else {
        println!("did not run: no restic");
        return;
    };
    let Some(server) = Server::start() else {
        return;
    };
    let repository = restic
        .repository(server.location(), "correct horse")
        .cache_dir(server.folder.join("cache"));
    repository.ensure().await.unwrap();
    let bundle = Bundle::new("cluster").file("etcd/snapshot.db", vec![7; 100_000]);
    let made = repository
        .backup_bundle(&bundle, "cp1", &["cluster"])
        .await
        .unwrap();
    assert!(
        server.folder.join("repository/config").is_file(),
        "it lies where the server keeps it"
    );
    let proof = repository
        .prove_bundle(made.short_id(), &bundle)
        .await
        .unwrap();
    assert!(proof.is_good());
    repository.check().await.unwrap();
}
