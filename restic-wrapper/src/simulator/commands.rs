//! What each command does to the world and prints. Written from the facts about restic's output, apart from the parser.

mod backup;
mod change;
mod look;

use std::time::{Duration, SystemTime};

use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::world::{Effect, RequestInfo, StoredRepository, StoredSnapshot, World, hex};
use crate::event::Stream;
use crate::invocation::Invocation;
use crate::retention::{Filter, TagList};
use crate::snapshot::Snapshot;
use crate::timestamp::Timestamp;
use crate::version::Version;
use backup::backup;
use change::{copy, forget, init, prune_text, tag, unlock};
use look::{check, diff, dump, find, ls, restore, snapshots, stats};

/// A command line with what belongs to it, as the program would see it.
pub(super) struct Request {
    pub(super) version: Version,
    pub(super) repository: String,
    command: String,
    args: Vec<String>,
    operands: Vec<String>,
    password: Vec<u8>,
    from: Option<(String, Vec<u8>)>,
    input: Vec<u8>,
}

impl Request {
    pub(super) fn new(version: Version, invocation: &Invocation, input: Vec<u8>) -> Self {
        let text = |value: &std::ffi::OsStr| value.to_string_lossy().into_owned();
        let env = |wanted: &str| {
            invocation
                .env
                .iter()
                .find(|(name, _)| name == wanted)
                .map(|(_, value)| text(value))
        };
        let secret = |wanted: [&str; 2]| {
            invocation
                .named_secrets()
                .find(|(name, _)| wanted.contains(&name.as_ref()))
                .map(|(_, secret)| secret.expose().to_vec())
                .unwrap_or_default()
        };
        let from = env("RESTIC_FROM_REPOSITORY").map(|address| {
            (
                address,
                secret(["RESTIC_FROM_PASSWORD_FILE", "RESTIC_FROM_PASSWORD"]),
            )
        });
        Self {
            version,
            repository: env("RESTIC_REPOSITORY").unwrap_or_default(),
            command: invocation.command.name().to_owned(),
            args: invocation
                .global
                .iter()
                .chain(&invocation.args)
                .map(|arg| text(arg))
                .collect(),
            operands: invocation.operands.iter().map(|arg| text(arg)).collect(),
            password: secret(["RESTIC_PASSWORD_FILE", "RESTIC_PASSWORD"]),
            from,
            input,
        }
    }

    pub(super) fn info(&self, number: usize) -> RequestInfo {
        let mut args = self.args.clone();
        args.extend(self.operands.iter().cloned());
        RequestInfo {
            command: self.command.clone(),
            args,
            repository: self.repository.clone(),
            number,
        }
    }

    fn has(&self, flag: &str) -> bool {
        self.args.iter().any(|arg| arg == flag)
    }

    fn values<'a>(&'a self, flag: &'a str) -> impl Iterator<Item = &'a str> {
        self.args
            .iter()
            .filter_map(move |arg| arg.strip_prefix(flag)?.strip_prefix('='))
    }

    fn value<'a>(&'a self, flag: &'a str) -> Option<&'a str> {
        self.values(flag).last()
    }

    fn filter(&self) -> Filter {
        Filter {
            hosts: self.values("--host").map(str::to_owned).collect(),
            tags: self.values("--tag").map(TagList::parse).collect(),
            paths: self.values("--path").map(str::to_owned).collect(),
        }
    }
}

/// What a command prints, how long it takes, and what it does at its end.
#[derive(Debug, Clone)]
pub(super) struct Script {
    pub(super) output: Vec<(Duration, Stream, Vec<u8>)>,
    pub(super) duration: Duration,
    pub(super) exit: i32,
    pub(super) effect: Effect,
    /// Whether it takes a lock, and whether that excludes everybody else.
    pub(super) lock: Option<bool>,
}

impl Script {
    fn done() -> Self {
        Self {
            output: Vec::new(),
            duration: Duration::ZERO,
            exit: 0,
            effect: Effect::Nothing,
            lock: None,
        }
    }

    pub(super) fn fail(version: Version, code: i32, message: &str) -> Self {
        let mut script = Self::done();
        let structured = version >= Version::new(0, 18, 0);
        script.exit = match code {
            10 | 11 if version < Version::new(0, 17, 0) => 1,
            12 if version < Version::new(0, 17, 1) => 1,
            code => code,
        };
        let line = if structured {
            json!({"message_type": "exit_error", "code": script.exit, "message": message})
                .to_string()
        } else {
            message.to_owned()
        };
        script.output.push((
            Duration::ZERO,
            Stream::Stderr,
            format!("{line}\n").into_bytes(),
        ));
        script
    }

    fn say(&mut self, at: Duration, line: impl std::fmt::Display) {
        self.output
            .push((at, Stream::Stdout, format!("{line}\n").into_bytes()));
    }

    fn complain(&mut self, at: Duration, line: impl std::fmt::Display) {
        self.output
            .push((at, Stream::Stderr, format!("{line}\n").into_bytes()));
    }
}

/// Runs a command against the world. The effect waits in the script for its time.
pub(super) fn run(world: &mut World, now: SystemTime, request: &Request) -> Script {
    let mut script = match dispatch(world, now, request) {
        Ok(script) => script,
        Err((code, message)) => Script::fail(request.version, code, &message),
    };
    let opening = world.pace.opening;
    if script.duration < opening {
        script.duration = opening;
    }
    let duration = script.duration;
    for (at, _, _) in &mut script.output {
        *at = (*at).max(opening).min(duration);
    }
    script
}

type Answer = Result<Script, (i32, String)>;

fn dispatch(world: &mut World, now: SystemTime, request: &Request) -> Answer {
    if request.command == "init" {
        return init(world, request);
    }
    open(world, &request.repository, &request.password)?;
    let dry = request.has("--dry-run");
    let no_lock = request.has("--no-lock");
    let exclusive = match request.command.as_str() {
        "forget" | "prune" | "tag" => true,
        "check" => false,
        _ => false,
    };
    let locks = !no_lock
        && !matches!(
            request.command.as_str(),
            "unlock" | "list" | "cat" | "key list"
        )
        || (request.command == "forget" && dry && !no_lock);
    if locks {
        blocked(world, now, request, exclusive)?;
    }
    let mut script = match request.command.as_str() {
        "cat" => cat(world, request),
        "list" => list(world, request),
        "backup" => backup(world, now, request),
        "snapshots" => snapshots(world, request),
        "ls" => ls(world, request),
        "find" => find(world, request),
        "restore" => restore(world, request),
        "dump" => dump(world, request),
        "check" => check(world, request),
        "forget" => forget(world, now, request),
        "prune" => Ok(prune_text(Script::done())),
        "stats" => stats(world, request),
        "unlock" => Ok(unlock(world, now, request)),
        "tag" => tag(world, request),
        "diff" => diff(world, request),
        "copy" => copy(world, request),
        "key list" => Ok(keys(world, request)),
        other => Err((1, format!("Fatal: not simulated: {other}"))),
    }?;
    if locks {
        script.lock = Some(exclusive);
    }
    Ok(script)
}

fn digest(password: &[u8]) -> [u8; 32] {
    Sha256::digest(password).into()
}

fn open<'a>(
    world: &'a World,
    address: &str,
    password: &[u8],
) -> Result<&'a StoredRepository, (i32, String)> {
    let path = address.strip_prefix("local:").unwrap_or(address);
    let Some(repository) = world.repositories.get(address) else {
        return Err((
            10,
            format!(
                "Fatal: repository does not exist: unable to open config file: stat {path}/config: no such file or directory\nIs there a repository at the following location?\n{path}"
            ),
        ));
    };
    if repository.password != digest(password) {
        return Err((12, "Fatal: wrong password or no key found".to_owned()));
    }
    Ok(repository)
}

fn blocked(
    world: &World,
    now: SystemTime,
    request: &Request,
    exclusive: bool,
) -> Result<(), (i32, String)> {
    let Some(repository) = world.repositories.get(&request.repository) else {
        return Ok(());
    };
    let Some(lock) = repository
        .locks
        .iter()
        .find(|lock| lock.exclusive || exclusive)
    else {
        return Ok(());
    };
    let age = now.duration_since(lock.created).unwrap_or_default();
    let (y, mo, d, h, mi, s) = Timestamp::from(lock.created).civil();
    Err((
        11,
        format!(
            "unable to create lock in backend: repository is already locked {}by PID {} on {} by root (UID 0, GID 0)\nlock was created at {y:04}-{mo:02}-{d:02} {h:02}:{mi:02}:{s:02} ({}s ago)\nstorage ID {}\nthe `unlock` command can be used to remove stale locks",
            if lock.exclusive { "exclusively " } else { "" },
            lock.pid,
            lock.host,
            age.as_secs_f64(),
            &lock.id[..8],
        ),
    ))
}

fn stored<'a>(world: &'a World, request: &Request) -> Result<&'a StoredRepository, (i32, String)> {
    open(world, &request.repository, &request.password)
}

fn select<'a>(
    repository: &'a StoredRepository,
    filter: &Filter,
    wanted: &str,
) -> Result<&'a StoredSnapshot, (i32, String)> {
    let matching = |s: &&StoredSnapshot| filter.matches(&as_snapshot(s));
    if wanted == "latest" {
        return repository
            .snapshots
            .iter()
            .filter(matching)
            .max_by_key(|s| s.time)
            .ok_or_else(|| {
                (
                    1,
                    "Fatal: failed to find snapshot: no snapshot found".to_owned(),
                )
            });
    }
    let mut found = repository
        .snapshots
        .iter()
        .filter(|s| s.id.starts_with(wanted));
    match (wanted.is_empty(), found.next(), found.next()) {
        (false, Some(snapshot), None) => Ok(snapshot),
        (false, Some(_), Some(_)) => Err((
            1,
            format!("Fatal: multiple IDs with prefix {wanted:?} found"),
        )),
        _ => Err((
            1,
            format!("Fatal: failed to find snapshot: no matching ID found for prefix {wanted:?}"),
        )),
    }
}

fn chosen<'a>(
    repository: &'a StoredRepository,
    request: &Request,
) -> Result<Vec<&'a StoredSnapshot>, (i32, String)> {
    let filter = request.filter();
    if request.operands.is_empty() {
        return Ok(repository
            .snapshots
            .iter()
            .filter(|s| filter.matches(&as_snapshot(s)))
            .collect());
    }
    request
        .operands
        .iter()
        .map(|wanted| select(repository, &filter, wanted))
        .collect()
}

/// The plain value that the retention rules work on.
fn as_snapshot(stored: &StoredSnapshot) -> Snapshot {
    let mut snapshot = Snapshot::new(stored.time);
    snapshot.id.clone_from(&stored.id);
    snapshot.hostname.clone_from(&stored.host);
    snapshot.paths.clone_from(&stored.paths);
    snapshot.tags.clone_from(&stored.tags);
    snapshot
}

fn print_snapshot(stored: &StoredSnapshot, version: Version, with_id: bool) -> Value {
    let mut value = json!({"time": stored.time.to_string()});
    let Some(map) = value.as_object_mut() else {
        return Value::Null;
    };
    let mut put = |key: &str, value: Value| {
        map.insert(key.to_owned(), value);
    };
    if let Some(parent) = &stored.parent {
        put("parent", json!(parent));
    }
    put("tree", json!(hex(&Sha256::digest(stored.id.as_bytes()))));
    put("paths", json!(stored.paths));
    put("hostname", json!(stored.host));
    put("username", json!("root"));
    if !stored.tags.is_empty() {
        put("tags", json!(stored.tags));
    }
    if let Some(original) = &stored.original {
        put("original", json!(original));
    }
    if version >= Version::new(0, 16, 0) {
        put("program_version", json!(format!("restic {version}")));
    }
    if version >= Version::new(0, 17, 0) {
        let mut summary = counts(&stored.counts);
        summary["backup_start"] = json!(stored.time.to_string());
        summary["backup_end"] = json!(stored.time.to_string());
        put("summary", summary);
    }
    if with_id {
        put("id", json!(stored.id));
        put("short_id", json!(&stored.id[..8]));
    }
    value
}

fn counts(counts: &[u64; 10]) -> Value {
    json!({
        "files_new": counts[0], "files_changed": counts[1], "files_unmodified": counts[2],
        "dirs_new": counts[3], "dirs_changed": 0, "dirs_unmodified": 0,
        "data_blobs": counts[4], "tree_blobs": counts[5],
        "data_added": counts[6], "data_added_packed": counts[7],
        "total_files_processed": counts[8], "total_bytes_processed": counts[9],
    })
}

fn cat(world: &World, request: &Request) -> Answer {
    let repository = stored(world, request)?;
    let mut script = Script::done();
    let words: Vec<&str> = request.operands.iter().map(String::as_str).collect();
    let value = match words.as_slice() {
        ["config"] => json!({
            "version": 2, "id": repository.id, "chunker_polynomial": repository.chunker,
        }),
        ["snapshot", id] => print_snapshot(
            select(repository, &Filter::default(), id)?,
            request.version,
            false,
        ),
        ["lock", id] => {
            let lock = repository
                .locks
                .iter()
                .find(|lock| lock.id.starts_with(id))
                .ok_or_else(|| (1, format!("Fatal: no matching ID found for prefix {id:?}")))?;
            json!({
                "time": Timestamp::from(lock.created).to_string(), "exclusive": lock.exclusive,
                "hostname": lock.host, "username": "root", "pid": lock.pid,
            })
        }
        other => return Err((1, format!("Fatal: not simulated: cat {}", other.join(" ")))),
    };
    script.say(Duration::ZERO, format!("{value:#}"));
    Ok(script)
}

fn list(world: &World, request: &Request) -> Answer {
    let repository = stored(world, request)?;
    let mut script = Script::done();
    match request.operands.first().map(String::as_str) {
        Some("locks") => {
            repository
                .locks
                .iter()
                .for_each(|lock| script.say(Duration::ZERO, &lock.id));
        }
        Some("snapshots") => {
            repository
                .snapshots
                .iter()
                .for_each(|s| script.say(Duration::ZERO, &s.id));
        }
        other => {
            return Err((
                1,
                format!("Fatal: not simulated: list {}", other.unwrap_or_default()),
            ));
        }
    }
    Ok(script)
}

fn keys(world: &World, request: &Request) -> Script {
    let mut script = Script::done();
    let id = world
        .repositories
        .get(&request.repository)
        .map(|r| r.id.clone())
        .unwrap_or_default();
    let key = hex(&Sha256::digest(id.as_bytes()));
    let shown = if request.version >= Version::new(0, 17, 0) {
        &key[..]
    } else {
        &key[..8]
    };
    script.say(
        Duration::ZERO,
        json!([{
            "current": true, "id": shown, "userName": "root", "hostName": world.hostname,
            "created": "2026-01-01 00:00:00",
        }]),
    );
    script
}
