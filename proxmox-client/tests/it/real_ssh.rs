//! Snippets through a real SSH server on loopback, with keys, an agent and a configuration of its own.

mod server;

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use proxmox_client::simulator::{Simulator, StorageSpec, World};
use proxmox_client::ssh::{
    HostKey, NewHostKey, SnippetPut, Snippets, Ssh, SshKey, SshTarget, Sudo,
};
use proxmox_client::{Kind, Removed};
use server::{Agent, PASSWORD, Server, Setup};

/// A server, or the words that it is absent.
macro_rules! server_or_skip {
    ($setup:expr) => {
        match Server::start($setup) {
            Some(server) => server,
            None => {
                println!("did not run: no sshd, ssh-agent or ssh-keygen, or no right to mount");
                return;
            }
        }
    };
}

fn pinned(server: &Server) -> SshTarget {
    let key = HostKey::pinned(&server.fingerprint("host")).unwrap();
    SshTarget::new("127.0.0.1", key)
        .with_port(server.port)
        .with_user(&server.user)
        .with_timeout(Duration::from_secs(20))
}

fn with_key(server: &Server) -> SshTarget {
    pinned(server).with_key(SshKey::file(server.file("user")))
}

/// The snippets of a storage that lies in the server's folder.
fn snippets(server: &Server, target: SshTarget) -> Snippets {
    let path = server.file("storage").display().to_string();
    let storage = StorageSpec::directory("files", &path, 1 << 30);
    let simulator = Simulator::new(World::lab().with_storage(storage));
    let node = simulator.connect().node("pve1");
    node.storage("files").snippets(&Ssh::new(target))
}

fn names(folder: PathBuf) -> Vec<String> {
    let found = fs::read_dir(folder).unwrap();
    let mut names: Vec<String> = found
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

/// Everything that is done with snippets, however they are reached.
async fn round_trip(server: &Server, snippets: &Snippets) {
    let folder = server.file("storage/snippets");
    let put = |content: &'static str| snippets.put("web.yaml", content);
    let created = put("#cloud-config\n").await.unwrap();
    assert_eq!(
        created,
        SnippetPut::Created("files:snippets/web.yaml".into())
    );
    assert!(matches!(
        put("#cloud-config\n").await,
        Ok(SnippetPut::Unchanged(_))
    ));
    assert!(matches!(
        put("#cloud-konfig\n").await,
        Ok(SnippetPut::Updated(_))
    ));
    let longer = put("it's \"longer\" $HOME `id` \\ ä\n").await.unwrap();
    assert_eq!(longer.volid(), "files:snippets/web.yaml");
    let file = folder.join("web.yaml");
    let text = "it's \"longer\" $HOME `id` \\ ä\n";
    assert_eq!(fs::read_to_string(&file).unwrap(), text);
    assert_eq!(
        fs::metadata(&file).unwrap().permissions().mode() & 0o7777,
        0o640
    );
    assert_eq!(
        names(folder.clone()),
        ["web.yaml"],
        "nothing lies beside it"
    );

    assert_eq!(
        snippets.read("web.yaml").await.unwrap().unwrap(),
        text.as_bytes()
    );
    assert_eq!(snippets.read("none.yaml").await.unwrap(), None);
    let empty = snippets.put("empty", b"").await.unwrap();
    assert!(matches!(empty, SnippetPut::Created(_)));
    assert!(matches!(
        snippets.put("empty", b"").await,
        Ok(SnippetPut::Unchanged(_))
    ));
    assert_eq!(snippets.read("empty").await.unwrap().unwrap(), b"");
    fs::create_dir(folder.join("folder")).unwrap();
    fs::write(folder.join(".web.yaml.0.tmp"), "half").unwrap();
    let list = snippets.list().await.unwrap();
    let listed: Vec<(&str, u64)> = list.iter().map(|it| (it.name.as_str(), it.size)).collect();
    assert_eq!(listed, [("empty", 0), ("web.yaml", text.len() as u64)]);
    assert_eq!(list[1].volid, "files:snippets/web.yaml");
    assert_eq!(snippets.delete("empty").await.unwrap(), Removed::Removed);
    assert_eq!(snippets.delete("empty").await.unwrap(), Removed::Absent);
    assert!(!folder.join("empty").exists());

    let large: Vec<u8> = (0..3_000_000u32).map(|n| (n % 251) as u8).collect();
    snippets.put("large", &large).await.unwrap();
    assert_eq!(snippets.read("large").await.unwrap().unwrap(), large);
    fs::remove_dir_all(&folder).unwrap();
    let error = snippets.put("web.yaml", "x").await.unwrap_err();
    assert_eq!(error.kind(), Kind::NotFound, "{error}");
    let folder = folder.display().to_string();
    assert!(error.to_string().contains(&folder), "{error}");
    assert_eq!(snippets.read("web.yaml").await.unwrap(), None);
    assert_eq!(snippets.list().await.unwrap_err().kind(), Kind::NotFound);
}

#[tokio::test]
async fn snippets_are_written_over_sftp() {
    let server = server_or_skip!(Setup::default());
    let snippets = snippets(&server, with_key(&server)).with_mode(0o640);
    round_trip(&server, &snippets).await;
}

#[tokio::test]
async fn an_account_that_runs_no_commands_replaces_files_as_well() {
    let server = server_or_skip!(Setup::default().with("ForceCommand internal-sftp"));
    let snippets = snippets(&server, with_key(&server)).with_mode(0o640);
    round_trip(&server, &snippets).await;
}

#[tokio::test]
async fn without_sftp_files_are_written_by_commands() {
    let server = server_or_skip!(Setup::default().without_sftp());
    let plain = with_key(&server).with_sudo(Sudo::Never);
    let snippets = snippets(&server, plain).with_mode(0o640);
    round_trip(&server, &snippets).await;
}

#[tokio::test]
async fn what_sftp_may_not_write_is_written_by_commands() {
    let server = server_or_skip!(Setup::default().with_sftp("internal-sftp -R"));
    let plain = with_key(&server).with_sudo(Sudo::Never);
    let snippets = snippets(&server, plain).with_mode(0o640);
    round_trip(&server, &snippets).await;
}

#[tokio::test]
async fn commands_go_through_sudo() {
    let server =
        server_or_skip!(Setup::default().with_sudo(r#"[ "$1" = -n ] && shift && exec "$@""#));
    let always = with_key(&server).with_sudo(Sudo::Always);
    let snippets = snippets(&server, always).with_mode(0o640);
    round_trip(&server, &snippets).await;
    let said = fs::read_to_string(server.file("sudo.log")).unwrap();
    for program in ["stat", "cat", "tee", "chmod", "mv", "rm", "find"] {
        let asked = format!("-n {program} ");
        assert!(
            said.lines().any(|line| line.starts_with(&asked)),
            "{program}: {said}"
        );
    }
}

#[tokio::test]
async fn a_missing_right_is_named_with_the_path_and_the_server() {
    let refuses = r#"echo "sudo: a password is required" >&2; exit 1"#;
    let setup = Setup::default().with_sudo(refuses);
    let server = server_or_skip!(setup);
    let always = with_key(&server).with_sudo(Sudo::Always);
    let error = snippets(&server, always)
        .put("web.yaml", "x")
        .await
        .unwrap_err();
    assert_eq!(error.kind(), Kind::Permission);
    let text = error.to_string();
    let path = server
        .file("storage/snippets/web.yaml")
        .display()
        .to_string();
    for part in [
        path.as_str(),
        "@127.0.0.1:",
        "sudo: a password is required",
        "run tee, chmod",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
}

#[tokio::test]
async fn a_key_file_its_text_and_every_kind_of_key_log_in() {
    let server = server_or_skip!(Setup::default().with_every_kind_of_key());
    for kind in ["user", "rsa", "ecdsa"] {
        let key = SshKey::file(server.file(kind));
        let ssh = Ssh::new(pinned(&server).with_key(key));
        let fingerprint = ssh
            .connect()
            .await
            .unwrap_or_else(|error| panic!("{kind}: {error}"));
        assert_eq!(fingerprint, server.fingerprint("host"));
        let text = fs::read_to_string(server.file(kind)).unwrap();
        let key = SshKey::text(text);
        Ssh::new(pinned(&server).with_key(key))
            .connect()
            .await
            .unwrap();
    }
}

#[tokio::test]
async fn an_encrypted_key_needs_its_passphrase() {
    let server = server_or_skip!(Setup::default());
    let key = SshKey::file(server.file("locked"));
    let right = key.clone().with_passphrase(server::PASSPHRASE);
    Ssh::new(pinned(&server).with_key(right))
        .connect()
        .await
        .unwrap();
    for bad in [key.clone(), key.with_passphrase("wrong-phrase")] {
        let target = pinned(&server).with_key(bad);
        let error = Ssh::new(target).connect().await.unwrap_err();
        assert_eq!(error.kind(), Kind::Authentication);
        let path = server.file("locked").display().to_string();
        assert!(error.message().contains(&path), "{error}");
        assert!(!format!("{error:?}").contains("wrong-phrase"));
    }
}

#[tokio::test]
async fn an_agent_logs_in() {
    let server = server_or_skip!(Setup::default().with_every_kind_of_key());
    let agent = Agent::start(&server);
    let empty = Ssh::new(pinned(&server).with_agent(&agent.socket));
    let error = empty.connect().await.unwrap_err();
    assert_eq!(error.kind(), Kind::Authentication);
    assert!(error.message().contains("has no keys"), "{error}");
    agent.add(&server.file("stranger"));
    let refused = Ssh::new(pinned(&server).with_agent(&agent.socket))
        .connect()
        .await;
    assert!(
        refused
            .unwrap_err()
            .message()
            .contains("its one key is refused")
    );
    agent.add(&server.file("rsa"));
    Ssh::new(pinned(&server).with_agent(&agent.socket))
        .connect()
        .await
        .unwrap();
}

#[tokio::test]
async fn a_password_logs_in_whichever_way_the_server_asks_for_it() {
    for way in [
        "PasswordAuthentication yes",
        "KbdInteractiveAuthentication yes",
    ] {
        let server = server_or_skip!(Setup::default().with(way).with_passwords());
        let target = pinned(&server).with_password(PASSWORD);
        let created = snippets(&server, target).put("a", "x").await.unwrap();
        assert!(matches!(created, SnippetPut::Created(_)), "{way}");
        assert_eq!(server.logins(), 1, "{way}");
        let wrong = pinned(&server).with_password("an open secre");
        let refused = snippets(&server, wrong).put("a", "y").await.unwrap_err();
        assert_eq!(refused.kind(), Kind::Authentication, "{way}: {refused}");
        assert!(!refused.to_string().contains("an open secre"), "{refused}");
    }
}

#[tokio::test]
async fn what_was_tried_is_told_in_order_without_its_secrets() {
    let server = server_or_skip!(Setup::default().with("PasswordAuthentication yes"));
    let target = pinned(&server)
        .with_password("s3cret-value")
        .with_key(SshKey::file(server.file("none")))
        .with_key(SshKey::file(server.file("stranger")).with_passphrase("s3cret-value"))
        .with_agent(server.file("no-socket"));
    assert!(!format!("{target:?}").contains("s3cret"));
    let ssh = Ssh::new(target);
    let error = ssh.connect().await.unwrap_err();
    assert_eq!(error.kind(), Kind::Authentication);
    let text = error.to_string();
    let at = |part: &str| text.find(part).unwrap_or_else(|| panic!("{part}: {text}"));
    let order = [
        at("logging in as"),
        at("the agent at"),
        at("none cannot be read"),
        at("stranger: "),
        at("the password: "),
    ];
    assert!(order.is_sorted(), "{text}");
    assert!(!format!("{error:?} {ssh:?}").contains("s3cret"));
    let nothing = Ssh::new(pinned(&server)).connect().await.unwrap_err();
    assert!(
        nothing.message().contains("nothing that was given"),
        "{nothing}"
    );
}

#[tokio::test]
async fn a_pinned_key_may_be_any_of_the_servers_and_no_other() {
    let server = server_or_skip!(Setup::default().with_every_kind_of_key());
    let login = |key: &str| {
        let target = SshTarget::new(
            "127.0.0.1",
            HostKey::pinned(&server.fingerprint(key)).unwrap(),
        )
        .with_port(server.port)
        .with_user(&server.user)
        .with_key(SshKey::file(server.file("user")));
        async move { Ssh::new(target).connect().await }
    };
    assert_eq!(
        login("host_rsa").await.unwrap(),
        server.fingerprint("host_rsa")
    );
    let error = login("stranger").await.unwrap_err();
    assert_eq!(error.kind(), Kind::HostKey);
    for key in ["host", "host_rsa"] {
        assert!(
            error.message().contains(&server.fingerprint(key)),
            "{error}"
        );
    }
}

#[tokio::test]
async fn a_host_key_is_asked_for_without_logging_in() {
    let server = server_or_skip!(Setup::default());
    let seen = HostKey::probe("127.0.0.1", server.port).await.unwrap();
    assert_eq!(seen, server.fingerprint("host"));
    assert_eq!(server.logins(), 0);
    let port = server.port;
    drop(server);
    let gone = HostKey::probe("127.0.0.1", port).await.unwrap_err();
    assert_eq!(gone.kind(), Kind::Connect);
}

#[tokio::test]
async fn known_hosts_decide() {
    let server = server_or_skip!(Setup::default().with_every_kind_of_key());
    let known = server.file("known");
    let login = || {
        let target = SshTarget::new("127.0.0.1", HostKey::known_hosts(server.file("known")))
            .with_port(server.port)
            .with_user(&server.user)
            .with_key(SshKey::file(server.file("user")));
        async move { Ssh::new(target).connect().await }
    };
    let line = |key: &str| {
        let public = fs::read_to_string(server.file(&format!("{key}.pub"))).unwrap();
        format!("[127.0.0.1]:{} {public}", server.port)
    };
    let kind = |result: proxmox_client::Result<String>| result.unwrap_err().kind();
    assert_eq!(kind(login().await), Kind::HostKey, "there is no file");
    fs::write(&known, line("stranger")).unwrap();
    let changed = login().await.unwrap_err();
    assert_eq!(changed.kind(), Kind::HostKey);
    assert!(changed.message().contains("line 1 of"), "{changed}");
    // The file knows the RSA key only, and the server would show another one by itself.
    fs::write(&known, line("host_rsa")).unwrap();
    assert_eq!(login().await.unwrap(), server.fingerprint("host_rsa"));
    // The server has no ECDSA key, so whoever answers is not who is known.
    fs::write(&known, line("ecdsa")).unwrap();
    assert_eq!(kind(login().await), Kind::HostKey);
    let revoked = format!(
        "{}@revoked * {}",
        line("host"),
        line("host").split_once(' ').unwrap().1
    );
    fs::write(&known, revoked).unwrap();
    let error = login().await.unwrap_err();
    assert!(error.message().contains("revokes"), "{error}");
    fs::write(&known, line("host")).unwrap();
    let hashed = std::process::Command::new("ssh-keygen")
        .args(["-q", "-H", "-f"])
        .arg(&known)
        .output();
    assert!(hashed.unwrap().status.success());
    assert!(fs::read_to_string(&known).unwrap().starts_with("|1|"));
    login().await.unwrap();
}

#[tokio::test]
async fn a_new_key_is_accepted_once_reported_and_kept() {
    let server = server_or_skip!(Setup::default());
    let known = server.file("known");
    fs::write(&known, "# without an end of line").unwrap();
    let seen: Arc<Mutex<Vec<NewHostKey>>> = Arc::default();
    let login = || {
        let seen = seen.clone();
        let report = move |new: &NewHostKey| seen.lock().unwrap().push(new.clone());
        let rule = HostKey::accept_new(server.file("known"), report);
        let target = SshTarget::new("127.0.0.1", rule)
            .with_port(server.port)
            .with_user(&server.user)
            .with_key(SshKey::file(server.file("user")));
        async move { Ssh::new(target).connect().await }
    };
    login().await.unwrap();
    login().await.unwrap();
    let reported = seen.lock().unwrap().clone();
    assert_eq!(reported.len(), 1);
    assert_eq!(reported[0].fingerprint, server.fingerprint("host"));
    assert_eq!(reported[0].algorithm, "ssh-ed25519");
    assert_eq!(reported[0].host, format!("[127.0.0.1]:{}", server.port));
    let text = fs::read_to_string(&known).unwrap();
    assert_eq!(text.lines().count(), 2, "{text}");
    // What OpenSSH reads in it is the server's key.
    let found = std::process::Command::new("ssh-keygen")
        .args(["-F", &reported[0].host, "-f"])
        .arg(&known)
        .output();
    assert!(found.unwrap().status.success());
    let other = fs::read_to_string(server.file("stranger.pub")).unwrap();
    fs::write(&known, format!("{} {other}", reported[0].host)).unwrap();
    assert_eq!(
        login().await.unwrap_err().kind(),
        Kind::HostKey,
        "it changed"
    );
}

#[tokio::test]
async fn a_session_is_kept_and_a_dead_one_is_replaced() {
    let server = server_or_skip!(Setup::default());
    let target = with_key(&server);
    let snippets = snippets(&server, target);
    for n in 0..5 {
        snippets.put("one", format!("{n}")).await.unwrap();
    }
    assert_eq!(server.logins(), 1);
    server.end_sessions();
    snippets.put("one", "after").await.unwrap();
    assert_eq!(server.logins(), 2);
    let short = with_key(&server).with_keep(Duration::ZERO);
    let ssh = Ssh::new(short);
    ssh.connect().await.unwrap();
    ssh.connect().await.unwrap();
    assert_eq!(server.logins(), 4);
    ssh.disconnect().await;
}

#[tokio::test]
async fn a_session_that_falls_silent_is_replaced() {
    let server = server_or_skip!(Setup::default());
    let target = with_key(&server).with_timeout(Duration::from_secs(3));
    let snippets = snippets(&server, target);
    snippets.put("one", "before").await.unwrap();
    server.signal_sessions("STOP");
    let put = snippets.put("one", "after").await.unwrap();
    assert_eq!(put, SnippetPut::Updated("files:snippets/one".into()));
    assert_eq!(server.logins(), 2);
}

#[tokio::test]
async fn many_calls_at_once_take_turns() {
    let server = server_or_skip!(Setup::default());
    let snippets = snippets(&server, with_key(&server));
    let puts = (0..12).map(|n| {
        let snippets = snippets.clone();
        async move { snippets.put(&format!("n{n}"), format!("{n}")).await }
    });
    for put in futures::future::join_all(puts).await {
        put.unwrap();
    }
    assert_eq!(names(server.file("storage/snippets")).len(), 12);
    assert_eq!(server.logins(), 1);
}

#[tokio::test]
async fn a_dropped_call_leaves_nothing_half_done() {
    let server = server_or_skip!(Setup::default());
    let snippets = snippets(&server, with_key(&server));
    snippets.put("large", b"old").await.unwrap();
    let large = vec![7u8; 4_000_000];
    for wait in [0, 1, 5, 20, 60] {
        let put = snippets.put("large", &large);
        let _ = tokio::time::timeout(Duration::from_millis(wait), put).await;
        let now = fs::read(server.file("storage/snippets/large")).unwrap();
        assert!(now == b"old" || now == large, "{} bytes", now.len());
    }
    // The next call waits for the one that nobody waits for any more.
    let read = snippets.read("large").await.unwrap().unwrap();
    assert!(read == b"old" || read == large);
    assert_eq!(names(server.file("storage/snippets")), ["large"]);
}

#[tokio::test]
async fn a_link_in_place_of_a_snippet_is_replaced_and_not_followed() {
    let server = server_or_skip!(Setup::default());
    let outside = server.file("outside");
    fs::write(&outside, "outside").unwrap();
    symlink(&outside, server.file("storage/snippets/linked")).unwrap();
    let snippets = snippets(&server, with_key(&server));
    snippets.put("linked", "inside").await.unwrap();
    assert_eq!(fs::read_to_string(&outside).unwrap(), "outside");
    assert_eq!(snippets.read("linked").await.unwrap().unwrap(), b"inside");
}

#[tokio::test]
async fn nobody_who_does_not_speak_ssh_is_waited_for_long() {
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = silent.local_addr().unwrap().port();
    let key = HostKey::known_hosts("/nonexistent/known_hosts");
    let target = SshTarget::new("127.0.0.1", key).with_port(port);
    let mute = Ssh::new(target.clone().with_timeout(Duration::from_millis(300)));
    let error = mute.connect().await.unwrap_err();
    assert_eq!(error.kind(), Kind::Deadline, "{error}");
    drop(silent);
    let gone = Ssh::new(target).connect().await.unwrap_err();
    assert_eq!(gone.kind(), Kind::Connect);
    assert!(
        gone.to_string().contains(&format!("root@127.0.0.1:{port}")),
        "{gone}"
    );
}
