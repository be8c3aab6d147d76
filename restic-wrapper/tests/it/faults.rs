//! A program that misbehaves, and what becomes of it.

use std::path::Path;
use std::time::Duration;

use restic_wrapper::simulator::{FakeRestic, Reply, Step};
use restic_wrapper::{ErrorKind, Event, Location, Patience, Repository, Restic};

const SUMMARY: &str = r#"{"message_type":"summary","files_new":1,"total_duration":0.1,"snapshot_id":"0123456789abcdef"}"#;

/// Longer than any run of the tests: what waits for its end does not end.
const A_LONG_TIME: Duration = Duration::from_secs(3600);

async fn fake(folder: &Path, script: FakeRestic) -> Repository {
    let path = script
        .install(Path::new(env!("CARGO_BIN_EXE_fake-restic")), folder)
        .unwrap();
    let restic = Restic::at(path).await.unwrap();
    restic
        .repository(Location::local("/srv/repository"), "correct horse")
        .patience(
            Patience::default()
                .interrupt(Duration::from_millis(300))
                .terminate(Duration::from_millis(300))
                .linger(Duration::from_millis(300)),
        )
}

async fn backup(
    reply: Reply,
) -> (
    restic_wrapper::Result<restic_wrapper::BackupReport>,
    Vec<Event>,
) {
    let folder = tempfile::tempdir().unwrap();
    let repository = fake(folder.path(), FakeRestic::new("0.18.0").on("backup", reply)).await;
    let mut run = repository.backup(["/"]).start().unwrap();
    let mut events = Vec::new();
    while let Some(event) = run.next().await {
        events.push(event);
    }
    (run.await, events)
}

#[tokio::test]
async fn a_program_that_is_too_old_or_something_else_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let program = Path::new(env!("CARGO_BIN_EXE_fake-restic"));
    let path = FakeRestic::new("0.11.0")
        .install(program, folder.path())
        .unwrap();
    let error = Restic::at(&path).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported);
    assert!(
        error.to_string().contains("0.14.0") && error.to_string().contains("0.11.0"),
        "{error}"
    );
    let error = Restic::at("/bin/true").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Protocol);
    let error = Restic::at("/nowhere/restic").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ProgramNotFound);
    assert!(error.hint().is_some());
}

#[tokio::test]
async fn a_cut_line_is_kept_and_the_next_one_is_read() {
    let reply = Reply::new()
        .out(r#"{"message_type":"status","percent_do"#)
        .out(r#"{"message_type":"status","percent_done":0.25}"#)
        .out(SUMMARY);
    let (result, events) = backup(reply).await;
    assert_eq!(
        result.unwrap().snapshot_id.as_deref(),
        Some("0123456789abcdef")
    );
    assert!(
        events
            .iter()
            .any(|e| matches!(e, Event::Notice(notice) if notice.cut)),
        "{events:?}"
    );
}

#[tokio::test]
async fn text_before_json_and_bytes_that_are_no_text_are_kept() {
    let reply = Reply::new()
        .step(Step::Out("enter password for repository: ".to_owned()))
        .out(r#"{"message_type":"status","percent_done":0.25}"#)
        .step(Step::OutHex("66ff6f0a".to_owned()))
        .out(r#"{"message_type":"from_tomorrow","answer":42}"#)
        .step(Step::Out(SUMMARY.to_owned()));
    let (result, events) = backup(reply).await;
    assert!(result.is_ok());
    let notices: Vec<&str> = events
        .iter()
        .filter_map(|e| match e {
            Event::Notice(notice) => Some(notice.text.as_str()),
            _ => None,
        })
        .collect();
    assert_eq!(notices, ["enter password for repository:", "f\u{fffd}o"]);
    assert!(
        events.iter().any(
            |e| matches!(e, Event::Notice(notice) if notice.raw.as_deref() == Some(b"f\xffo"))
        )
    );
    assert!(events.iter().any(
        |e| matches!(e, Event::Unknown(it) if it.message_type.as_deref() == Some("from_tomorrow"))
    ));
    assert!(events.iter().any(|e| matches!(e, Event::Progress(_))));
}

#[tokio::test]
async fn a_flood_on_either_stream_blocks_nothing() {
    // Thirty times what a pipe holds.
    let line = "x".repeat(4000);
    let reply = Reply::new()
        .step(Step::RepeatErr(line.clone(), 500))
        .step(Step::RepeatOut(line, 500))
        .out(SUMMARY);
    let folder = tempfile::tempdir().unwrap();
    let repository = fake(folder.path(), FakeRestic::new("0.18.0").on("backup", reply)).await;
    let report = repository.backup(["/"]).await.unwrap();
    assert_eq!(report.summary.counts.files_new, 1);
}

#[tokio::test]
async fn an_end_without_a_summary_is_no_success() {
    let (result, _) = backup(Reply::new()).await;
    assert_eq!(result.unwrap_err().kind(), ErrorKind::Protocol);
}

#[tokio::test]
async fn a_partial_backup_keeps_its_snapshot() {
    let reply = Reply::new()
        .err(r#"{"message_type":"error","error":{"Op":"open","Path":"f","Err":13},"during":"archival","item":"/f"}"#)
        .out(SUMMARY)
        .err("Warning: at least one source file could not be read")
        .exit(3);
    let report = backup(reply).await.0.unwrap();
    assert!(report.partial);
    assert_eq!(
        report.errors[0].reason(),
        "open: Permission denied (os error 13)"
    );
}

#[tokio::test]
async fn ignored_signals_end_in_sigkill() {
    let reply = Reply::new()
        .step(Step::IgnoreSignals)
        .out("ready")
        .sleep(A_LONG_TIME);
    let folder = tempfile::tempdir().unwrap();
    let script = FakeRestic::new("0.18.0")
        .on("backup", reply)
        .on("unlock", Reply::new());
    let repository = fake(folder.path(), script).await;
    let mut run = repository.backup(["/"]).start().unwrap();
    assert!(matches!(run.next().await, Some(Event::Notice(_))));
    let process = format!("/proc/{}", run.pid());
    let error = run.cancel().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Cancelled);
    assert!(error.message().contains("had to be killed"), "{error}");
    assert!(!Path::new(&process).exists(), "it is gone and reaped");
}

#[tokio::test]
async fn a_grandchild_that_holds_the_pipes_does_not_hold_the_result() {
    let hold = Step::HoldPipes(A_LONG_TIME.as_millis() as u64);
    let (result, _) = backup(Reply::new().step(hold).out(SUMMARY)).await;
    assert!(result.is_ok());
}

#[tokio::test]
async fn a_snapshot_that_stays_although_restic_says_nothing_by_its_code_makes_a_partial_forget() {
    let refused =
        "Remove(<snapshot/570ac1a34f>) failed: unexpected HTTP response (403): 403 Forbidden";
    let reply = Reply::new().err(refused);
    let folder = tempfile::tempdir().unwrap();
    let script = FakeRestic::new("0.18.0").on("forget", reply);
    let repository = fake(folder.path(), script).await;
    let report = repository.forget_snapshots(["570ac1a3"]).await.unwrap();
    assert!(report.partial);
    assert_eq!(report.not_removed, [refused]);
}

#[tokio::test]
#[cfg(target_os = "linux")]
async fn priorities_reach_the_program_itself() {
    let reply = Reply::new().out("ready").sleep(A_LONG_TIME);
    let folder = tempfile::tempdir().unwrap();
    let script = FakeRestic::new("0.18.0").on("backup", reply);
    let repository = fake(folder.path(), script)
        .await
        .check_lock_after_cancel(false)
        .nice(7)
        .idle_io();
    let mut run = repository.backup(["/"]).start().unwrap();
    assert!(matches!(run.next().await, Some(Event::Notice(_))));
    let niceness = |process: &str| -> i32 {
        let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).unwrap();
        let (_, rest) = stat.rsplit_once(')').unwrap();
        // The 19th field of all; the first one behind the name is the third.
        rest.split_whitespace().nth(16).unwrap().parse().unwrap()
    };
    let expected = (niceness("self") + 7).min(19);
    assert_eq!(niceness(&run.pid().to_string()), expected);
    let asked = std::process::Command::new("ionice")
        .args(["-p", &run.pid().to_string()])
        .output()
        .unwrap();
    assert_eq!(String::from_utf8_lossy(&asked.stdout).trim(), "idle");
    assert!(run.cancel().await.unwrap_err().is_cancelled());
}

#[tokio::test]
async fn silence_ends_at_the_limit_of_time() {
    let reply = Reply::new().sleep(A_LONG_TIME);
    let folder = tempfile::tempdir().unwrap();
    let script = FakeRestic::new("0.18.0")
        .on("backup", reply)
        .on("unlock", Reply::new());
    let repository = fake(folder.path(), script)
        .await
        .timeout(Duration::from_millis(300));
    let error = repository.backup(["/"]).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::TimedOut);
}

const REFUSED: &str = "Save(<data/5f70bf18a0>) returned error, retrying after 720.3ms: Post \"http://127.0.0.1:9/data/\": dial tcp 127.0.0.1:9: connect: connection refused";

#[tokio::test]
async fn storage_out_of_reach_ends_at_its_own_limit_with_its_reason() {
    let reply = Reply::new()
        .out(r#"{"message_type":"status","percent_done":0.25,"bytes_done":100}"#)
        .err(REFUSED)
        .sleep(A_LONG_TIME);
    let folder = tempfile::tempdir().unwrap();
    // No reply to `unlock`: a storage that is out of reach is not looked at for a lock.
    let script = FakeRestic::new("0.18.0").on("backup", reply);
    let repository = fake(folder.path(), script)
        .await
        .timeout(A_LONG_TIME)
        .network_patience(Duration::from_millis(50));
    let error = repository.backup(["/"]).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Network);
    assert!(error.is_retryable());
    assert!(error.message().contains("connection refused"), "{error}");
}

#[tokio::test]
async fn death_by_a_signal_is_told_apart_from_cancelling() {
    let (result, _) = backup(Reply::new().out("x").step(Step::Die)).await;
    let error = result.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Crashed);
    let reply = Reply::new()
        .err("panic: runtime error")
        .err("goroutine 1 [running]:")
        .exit(2);
    assert_eq!(
        backup(reply).await.0.unwrap_err().kind(),
        ErrorKind::Crashed
    );
}

#[tokio::test]
async fn a_secret_that_restic_repeats_is_taken_out_of_errors_and_notices() {
    let reply = Reply::new()
        .out("I was told correct horse")
        .err(r#"{"message_type":"exit_error","code":1,"message":"Fatal: rest:http://anna:s3cret@host/: correct horse"}"#)
        .exit(1);
    let (result, events) = backup(reply).await;
    let error = result.unwrap_err();
    let all = format!("{error} {error:?} {events:?}");
    assert!(
        !all.contains("correct horse") && !all.contains("s3cret"),
        "{all}"
    );
}

#[tokio::test]
async fn a_lock_message_over_several_lines_of_an_old_version_is_understood() {
    let reply = Reply::new()
        .err("unable to create lock in backend: repository is already locked exclusively by PID 20260 on nas by back up (UID 1000, GID 100)")
        .err("lock was created at 2026-11-20 12:30:10 (1h4m4.5s ago)")
        .err("storage ID 439f147e")
        .err("the `unlock` command can be used to remove stale locks")
        .exit(1);
    let error = backup(reply).await.0.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Locked);
    let lock = error.locked_by().unwrap();
    assert_eq!(
        (lock.pid, lock.host.as_str(), lock.user.as_str()),
        (20260, "nas", "back up")
    );
    assert_eq!((lock.uid, lock.gid, lock.exclusive), (1000, 100, true));
    assert_eq!(lock.age, Some(Duration::from_millis(3_844_500)));
    assert_eq!(lock.storage_id.as_deref(), Some("439f147e"));
}
