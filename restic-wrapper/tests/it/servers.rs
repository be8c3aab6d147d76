//! The whole round against storage behind a server: REST through rclone, S3 through moto. On loopback only; a server
//! that is absent is said.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use restic_wrapper::{ErrorKind, Location, Patience, Restic, Version};

use crate::real::{noise, restic, whole_round};

/// A server that ends with the test.
struct Server {
    child: Child,
    port: u16,
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Server {
    fn start(program: &Path, args: impl Fn(u16) -> Vec<String>) -> Option<Self> {
        let port = TcpListener::bind("127.0.0.1:0")
            .ok()?
            .local_addr()
            .ok()?
            .port();
        let spawned = Command::new(program)
            .args(args(port))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        let Ok(child) = spawned else {
            eprintln!("absent: {}", program.display());
            return None;
        };
        let server = Self { child, port };
        let started = Instant::now();
        while std::net::TcpStream::connect(("127.0.0.1", port)).is_err() {
            assert!(
                started.elapsed() < Duration::from_secs(60),
                "{program:?} listens"
            );
            std::thread::sleep(Duration::from_millis(50));
        }
        Some(server)
    }

    fn rest(folder: &Path) -> Option<Self> {
        Self::rest_with(folder, &[])
    }

    fn rest_with(folder: &Path, options: &[&str]) -> Option<Self> {
        let folder = folder.join("rest");
        Self::start(Path::new("rclone"), |port| {
            let (address, folder) = (format!("127.0.0.1:{port}"), folder.display().to_string());
            let fixed = ["serve", "restic", "--addr", &address, &folder];
            fixed
                .iter()
                .chain(options)
                .map(|&it| it.to_owned())
                .collect()
        })
    }

    fn s3() -> Option<Self> {
        // `cargo xtask test` makes this environment; a moto of the system will do as well.
        let own = Path::new(env!("CARGO_TARGET_TMPDIR")).join("../peers/python/bin/moto_server");
        let program = if own.is_file() {
            own
        } else {
            PathBuf::from("moto_server")
        };
        Self::start(&program, |port| {
            ["-H", "127.0.0.1", "-p", &port.to_string()]
                .map(str::to_owned)
                .to_vec()
        })
    }
}

fn rest_location(port: u16, name: &str) -> Location {
    Location::rest(&format!("http://127.0.0.1:{port}/{name}/"))
}

fn s3_location(port: u16, name: &str) -> Location {
    Location::s3(&format!("http://127.0.0.1:{port}"), "backups", name)
        .s3_keys("testing", "testing-secret")
        .s3_region("us-east-1")
}

async fn round(restic: &Restic, first: Location, second: Location) {
    let folder = tempfile::tempdir().unwrap();
    let first = restic
        .repository(first, "correct horse")
        .cache_dir(folder.path().join("cache"));
    let second = restic.repository(second, "another password").no_cache();
    whole_round(&first, &second, folder.path()).await;
}

#[tokio::test]
async fn real_rclone_serves_the_whole_round_over_rest() {
    let Some(restic) = restic().await else { return };
    let folder = tempfile::tempdir().unwrap();
    let Some(server) = Server::rest(folder.path()) else {
        return;
    };
    round(
        &restic,
        rest_location(server.port, "one"),
        rest_location(server.port, "two"),
    )
    .await;
}

#[tokio::test]
async fn real_moto_serves_the_whole_round_over_s3() {
    let Some(restic) = restic().await else { return };
    let Some(server) = Server::s3() else { return };
    round(
        &restic,
        s3_location(server.port, "one"),
        s3_location(server.port, "two"),
    )
    .await;
}

#[tokio::test]
async fn real_rclone_is_the_storage_of_the_whole_round() {
    let Some(restic) = restic().await else { return };
    if Command::new("rclone")
        .arg("version")
        .stdout(Stdio::null())
        .status()
        .is_err()
    {
        eprintln!("absent: rclone");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).display().to_string();
    round(
        &restic,
        Location::rclone(":local", &path("one")),
        Location::rclone(":local", &path("two")),
    )
    .await;
}

#[tokio::test]
async fn real_rclone_that_dies_during_a_backup_is_a_typed_error_and_the_next_run_is_fine() {
    let Some(restic) = restic().await else { return };
    let folder = tempfile::tempdir().unwrap();
    let Some(server) = Server::rest(folder.path()) else {
        return;
    };
    let at = |port| {
        restic
            .repository(rest_location(port, "r"), "correct horse")
            .no_cache()
    };
    let repository = at(server.port);
    repository.ensure().await.unwrap();
    let source = folder.path().join("source");
    std::fs::write(&source, noise(30_000_000)).unwrap();
    let mut run = repository
        .clone()
        .limit_upload(4000)
        .network_patience(Duration::from_secs(1))
        // In the pause before another try some versions do not hear SIGINT.
        .patience(Patience::default().interrupt(Duration::from_secs(1)))
        .backup([&source])
        .start()
        .unwrap();
    // The first word means that the repository is open and the lock taken.
    let _ = run.next().await;
    drop(server);
    let error = run.await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Network, "{error:?}");
    assert!(error.is_retryable());
    let Some(server) = Server::rest(folder.path()) else {
        return;
    };
    let repository = at(server.port);
    repository.unlock().await.unwrap();
    repository.backup([&source]).await.unwrap();
    repository.check().read_data().await.unwrap();
}

#[tokio::test]
async fn real_rclone_that_only_appends_takes_backups_and_refuses_to_forget() {
    let Some(restic) = restic().await else { return };
    let folder = tempfile::tempdir().unwrap();
    let Some(server) = Server::rest_with(folder.path(), &["--append-only"]) else {
        return;
    };
    let repository = restic
        .repository(rest_location(server.port, "r"), "correct horse")
        .no_cache();
    repository.ensure().await.unwrap();
    let source = folder.path().join("source");
    std::fs::write(&source, "1").unwrap();
    let made = repository.backup([&source]).await.unwrap();
    let id = made.snapshot_id.unwrap();
    if restic.version() < Version::new(0, 17, 0) {
        // It tries again for most of a minute before it ends with the server's refusal.
        return eprintln!("did not run: forget on storage that only appends, with this version");
    }
    match repository.forget_snapshots([&id]).await {
        Err(error) => {
            assert_eq!(error.kind(), ErrorKind::NotPermitted, "{error:?}");
            assert!(error.hint().unwrap().contains("append-only"));
        }
        // 0.19 counts what it could not remove as half a success, 0.18 as a whole one.
        Ok(report) => {
            let said = report.not_removed.join("\n");
            assert!(report.partial && said.contains("403"), "{report:?}");
        }
    }
    assert_eq!(repository.snapshots().await.unwrap().len(), 1);
}
