//! The programs in `examples`, as a user starts them.

use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use restic_wrapper::simulator::{FakeRestic, Reply};
use rustix::process::{Pid, Signal, kill_process};

/// Cargo builds the examples beside the tests. Says so when there is none.
fn program(name: &str) -> Option<Command> {
    let test = std::env::current_exe().unwrap();
    let folder = test.parent().and_then(Path::parent).unwrap();
    let program = folder.join("examples").join(name);
    if !program.exists() {
        eprintln!("did not run: {} is not built", program.display());
        return None;
    }
    let mut command = Command::new(program);
    command
        .env("RESTIC_PASSWORD", "correct horse")
        .stdin(Stdio::null())
        .stderr(Stdio::piped())
        .stdout(Stdio::piped());
    Some(command)
}

/// The search path with this folder in front.
fn path_with(folder: &Path) -> std::ffi::OsString {
    let old = std::env::var_os("PATH").unwrap_or_default();
    let folders = [folder.to_path_buf()];
    std::env::join_paths(folders.into_iter().chain(std::env::split_paths(&old))).unwrap()
}

fn finish(child: Child) -> (Option<i32>, String, String) {
    let output = child.wait_with_output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    (
        output.status.code(),
        text(output.stdout),
        text(output.stderr),
    )
}

#[test]
fn retention_preview_shows_what_stays_and_why() {
    let Some(mut command) = program("retention_preview") else {
        return;
    };
    let mut child = command
        .args(["--keep-last", "1", "--keep-yearly", "2"])
        .env("TZ", "Europe/Berlin")
        .stdin(Stdio::piped())
        .spawn()
        .unwrap();
    let snapshots = r#"[
        {"time":"2025-05-01T10:00:00Z","hostname":"nas","paths":["/srv"],"id":"1111111111","short_id":"11111111"},
        {"time":"2026-11-19T10:00:00Z","hostname":"nas","paths":["/srv"],"id":"2222222222","short_id":"22222222"},
        {"time":"2026-11-20T10:00:00Z","hostname":"nas","paths":["/srv"],"id":"3333333333","short_id":"33333333"}
    ]"#;
    let mut input = child.stdin.take().unwrap();
    input.write_all(snapshots.as_bytes()).unwrap();
    drop(input);
    let (code, out, err) = finish(child);
    assert_eq!(code, Some(0), "{err}");
    let lines: Vec<&str> = out.lines().take(4).collect();
    insta::assert_snapshot!(lines.join("\n"), @"
    nas /srv
      keep    33333333  2026-11-20T10:00:00Z  last snapshot, yearly snapshot
      keep    11111111  2025-05-01T10:00:00Z  yearly snapshot
      remove  22222222  2026-11-19T10:00:00Z
    ");
}

#[test]
fn what_was_backed_up_with_progress_passes_the_drill() {
    let named = std::env::var_os("RESTIC").map(PathBuf::from);
    let folder = tempfile::tempdir().unwrap();
    let programs = folder.path().join("bin");
    std::fs::create_dir(&programs).unwrap();
    let mut path = std::env::var_os("PATH").unwrap_or_default();
    if let Some(program) = &named {
        std::os::unix::fs::symlink(program, programs.join("restic")).unwrap();
        path = path_with(&programs);
    } else if !std::env::split_paths(&path).any(|folder| folder.join("restic").is_file()) {
        return eprintln!("absent: restic");
    }
    let (Some(mut backup), Some(mut drill)) =
        (program("backup_with_progress"), program("restore_drill"))
    else {
        return;
    };
    let source = folder.path().join("source");
    std::fs::create_dir(&source).unwrap();
    std::fs::write(source.join("one"), "1").unwrap();
    std::fs::write(source.join("two"), crate::real::noise(500_000)).unwrap();
    let repository = folder.path().join("repository");
    let run = |command: &mut Command| {
        let child = command
            .env("PATH", &path)
            .env("HOME", folder.path())
            .spawn()
            .unwrap();
        finish(child)
    };
    let (code, out, err) = run(backup.arg(&repository).arg(&source));
    assert_eq!(code, Some(0), "{err}");
    let last = out.rsplit('\r').next().unwrap();
    assert!(last.contains(": 2 files, 0.5 MB added "), "{out:?}");
    let (code, out, err) = run(drill.arg(&repository));
    assert_eq!(code, Some(0), "{out}{err}");
    assert!(out.contains("\nrestic_drill_"), "{out}");
    assert!(out.contains("/two"), "{out}");
    assert!(!format!("{out}{err}").contains("correct horse"));
}

#[test]
fn the_interrupt_key_cancels_the_backup() {
    let Some(mut command) = program("backup_with_progress") else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let config = r#"{"version":2,"id":"abcdef","chunker_polynomial":"25b468838dcb75"}"#;
    let status = r#"{"message_type":"status","percent_done":0.25,"total_files":4,"files_done":1}"#;
    FakeRestic::new("0.19.1")
        .on("cat", Reply::new().out(config))
        .on(
            "backup",
            Reply::new().out(status).sleep(Duration::from_secs(3600)),
        )
        .on("unlock", Reply::new().out("successfully removed 0 locks"))
        .install(Path::new(env!("CARGO_BIN_EXE_fake-restic")), folder.path())
        .unwrap();
    let mut child = command
        .args(["/srv/backup", "/"])
        .env("PATH", path_with(folder.path()))
        .spawn()
        .unwrap();
    // It shows how far it is, and then somebody has had enough.
    let mut shown = [0; 16];
    let stdout = child.stdout.as_mut().unwrap();
    stdout.read_exact(&mut shown).unwrap();
    assert_eq!(&shown[..8], b"\r 25.0 %");
    kill_process(Pid::from_child(&child), Signal::INT).unwrap();
    let (code, _, err) = finish(child);
    assert_eq!(code, Some(1));
    assert!(err.contains("cancelled"), "{err}");
}
