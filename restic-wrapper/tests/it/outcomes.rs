//! How a run is judged, from its exit, its messages and its text.

use restic_wrapper::{
    Command, Decoded, ErrorKind, Evidence, Exit, Location, Outcome, Parser, Stream, Version,
};

fn evidence(command: Command, stdout: &[&str], stderr: &[&str]) -> Evidence {
    let mut evidence = Evidence::new(command);
    let mut parser = Parser::new(command);
    for (stream, lines) in [(Stream::Stdout, stdout), (Stream::Stderr, stderr)] {
        for line in lines {
            parser.line(stream, line.as_bytes(), &mut |value| {
                if let Decoded::Event(event) = value {
                    evidence.observe(&event);
                }
            });
        }
    }
    evidence
}

fn judged(command: Command, stderr: &[&str], code: i32) -> Outcome {
    evidence(command, &[], stderr).judge(Exit::Code(code), false)
}

#[test]
fn whoever_sent_the_signal_knows_that_it_cancelled_whatever_the_code() {
    let told = evidence(
        Command::Backup,
        &[],
        &[
            r#"{"message_type":"exit_error","code":1,"message":"Fatal: unable to save snapshot: context canceled"}"#,
        ],
    );
    let cancelled = Outcome::Failed(ErrorKind::Cancelled);
    assert_eq!(told.judge(Exit::Code(1), true), cancelled);
    assert_eq!(
        told.judge(Exit::Code(1), false),
        cancelled,
        "0.18 ends a cancel with 1"
    );
    let silent = evidence(Command::Backup, &[], &[]);
    assert_eq!(silent.judge(Exit::Signal(15), true), cancelled);
    assert_eq!(
        silent.judge(Exit::Signal(15), false),
        Outcome::Failed(ErrorKind::Crashed)
    );
    assert_eq!(silent.judge(Exit::Code(130), false), cancelled);
    assert_eq!(
        silent.judge(Exit::Code(0), true),
        Outcome::Success,
        "done before the signal came"
    );
    assert_eq!(silent.judge(Exit::Code(3), true), Outcome::Partial);
}

#[test]
fn storage_is_out_of_reach_until_work_goes_on() {
    let refused = "Save(<data/5f70bf18a0>) returned error, retrying after 720.3ms: Post \"http://127.0.0.1:9/\": dial tcp 127.0.0.1:9: connect: connection refused";
    let status = |bytes: u64| {
        format!("{{\"message_type\":\"status\",\"percent_done\":0.5,\"bytes_done\":{bytes}}}")
    };
    let mut evidence = Evidence::new(Command::Backup);
    let mut parser = Parser::new(Command::Backup);
    let mut unreachable_after = |stream, line: &str| {
        parser.line(stream, line.as_bytes(), &mut |value| {
            if let Decoded::Event(event) = value {
                evidence.observe(&event);
            }
        });
        evidence.is_unreachable()
    };
    assert!(!unreachable_after(Stream::Stdout, &status(100)));
    assert!(unreachable_after(Stream::Stderr, refused));
    // Progress that repeats itself is no work.
    assert!(unreachable_after(Stream::Stdout, &status(100)));
    assert!(!unreachable_after(Stream::Stdout, &status(200)));
    assert!(unreachable_after(Stream::Stderr, refused));
    assert!(!unreachable_after(
        Stream::Stderr,
        "Save(<data/5f70bf18a0>) operation successful after 1 retries"
    ));
    assert!(!unreachable_after(
        Stream::Stderr,
        "error: open /x: permission denied"
    ));
}

#[test]
fn reasons_are_found_in_the_text_of_versions_that_give_no_codes() {
    let kind = |stderr: &str| match judged(Command::Snapshots, &[stderr], 1) {
        Outcome::Failed(kind) => kind,
        other => panic!("{other:?}"),
    };
    for (stderr, expected) in [
        (
            "Fatal: wrong password or no key found",
            ErrorKind::WrongPassword,
        ),
        (
            "Fatal: unable to open config file: stat /r/config: no such file or directory",
            ErrorKind::NoRepository,
        ),
        (
            "Fatal: unable to open config file: Head \"http://h/config\": dial tcp: connection refused",
            ErrorKind::Network,
        ),
        (
            "Fatal: unable to open config file: Stat: 403 Forbidden",
            ErrorKind::NotPermitted,
        ),
        (
            "Save(<data/7a>) returned error: write /r/tmp: no space left on device",
            ErrorKind::OutOfSpace,
        ),
        (
            "Fatal: invalid id \"ff\": no matching ID found",
            ErrorKind::NotFound,
        ),
        ("unknown flag: --nope", ErrorKind::Unsupported),
        ("something nobody has seen", ErrorKind::Failed),
    ] {
        assert_eq!(kind(stderr), expected, "{stderr}");
    }
}

#[test]
fn damage_is_told_from_other_failures() {
    let damaged = Outcome::Failed(ErrorKind::Damaged);
    let pack =
        "pack 621b085f8a0f635450e098262e54bd1580d85468f42c6ce806bbbd07a371427d: does not exist";
    assert_eq!(
        judged(
            Command::Check,
            &[pack, "Fatal: repository contains errors"],
            1
        ),
        damaged
    );
    assert_eq!(
        judged(
            Command::Restore,
            &[
                "ignoring error for /f: ciphertext verification failed",
                "Fatal: There were 1 errors"
            ],
            1
        ),
        damaged
    );
    assert_eq!(
        judged(
            Command::Restore,
            &[
                "ignoring error for /f: mkdir /x: no such file or directory",
                "Fatal: There were 1 errors"
            ],
            1
        ),
        Outcome::Failed(ErrorKind::Failed)
    );
    assert_eq!(
        judged(
            Command::RepairIndex,
            &["removing not found pack file 46fa2771"],
            0
        ),
        Outcome::Success
    );
}

#[test]
fn an_unknown_code_is_a_failure_and_three_is_partial_only_where_it_means_that() {
    assert_eq!(
        judged(Command::Backup, &[], 77),
        Outcome::Failed(ErrorKind::Failed)
    );
    assert_eq!(judged(Command::Backup, &[], 3), Outcome::Partial);
    assert_eq!(
        judged(Command::Restore, &[], 3),
        Outcome::Failed(ErrorKind::Failed)
    );
    assert_eq!(
        judged(Command::Check, &["panic: oh", "goroutine 1 [running]:"], 2),
        Outcome::Failed(ErrorKind::Crashed)
    );
}

#[test]
fn versions_are_read_from_both_forms_and_ordered() {
    let text = Version::from_output("restic 0.14.0 compiled with go1.19.8 on linux/amd64").unwrap();
    let json = Version::from_output(
        r#"{"message_type":"version","version":"0.19.1-dev (compiled manually)","go_version":"go1.26"}"#,
    )
    .unwrap();
    assert_eq!(text, Version::new(0, 14, 0));
    assert!(json.is_development() && json > Version::new(0, 19, 1));
    assert!(Version::new(0, 9, 6) < text);
    assert_eq!(
        Version::from_output("bash: restic: command not found"),
        None
    );
    assert!(Command::Prune.supports_json(json) && !Command::Prune.supports_json(text));
}

#[test]
fn credentials_move_out_of_addresses() {
    let rest = Location::parse("rest:https://anna:p%40ss@host:8000/r/");
    assert_eq!(rest.to_string(), "rest:https://host:8000/r/");
    let s3 = Location::s3("https://s3.example.org/", "bucket", "/a/").s3_keys("key", "word");
    assert_eq!(s3.to_string(), "s3:https://s3.example.org/bucket/a");
    assert!(!format!("{s3:?}").contains("word"));
    assert_eq!(
        Location::sftp(Some("u"), "h", Some(2222), "/r").to_string(),
        "sftp://u@h:2222//r"
    );
    assert_eq!(Location::parse("/srv/r").to_string(), "local:/srv/r");
}
