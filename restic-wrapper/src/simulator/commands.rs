//! What each command does to the world and prints. Written from the facts about restic's output, apart from the parser.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::world::{
    Effect, RequestInfo, SimulatedFile, StoredRepository, StoredSnapshot, World, hex,
};
use crate::event::Stream;
use crate::invocation::Invocation;
use crate::retention::{Filter, ForgetArgs, GroupBy, TagList, Zone};
use crate::snapshot::Snapshot;
use crate::timestamp::Timestamp;
use crate::version::Version;

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

fn init(world: &mut World, request: &Request) -> Answer {
    let address = &request.repository;
    let path = address.strip_prefix("local:").unwrap_or(address);
    if world.repositories.contains_key(address) {
        return Err((
            1,
            format!("Fatal: create repository at {path} failed: config file already exists"),
        ));
    }
    let chunker = if request.has("--copy-chunker-params") {
        let (from, password) = request.from.as_ref().ok_or_else(|| {
            (
                1,
                "Fatal: Please specify a source repository location".to_owned(),
            )
        })?;
        open(world, from, password)?.chunker.clone()
    } else {
        world.fresh_id("chunker")[..14].to_owned()
    };
    let id = world.fresh_id("repository");
    world.repositories.insert(
        address.clone(),
        StoredRepository {
            id: id.clone(),
            password: digest(&request.password),
            chunker,
            snapshots: Vec::new(),
            locks: Vec::new(),
            damaged: Vec::new(),
        },
    );
    let mut script = Script::done();
    script.duration = world.pace.opening;
    if request.version >= Version::new(0, 15, 0) {
        let line = json!({"message_type": "initialized", "id": id, "repository": path});
        script.say(Duration::ZERO, line);
    } else {
        script.say(
            Duration::ZERO,
            format!("created restic repository {} at {path}\n", &id[..10]),
        );
    }
    Ok(script)
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

fn backup(world: &mut World, now: SystemTime, request: &Request) -> Answer {
    let mut script = Script::done();
    let mut files: BTreeMap<String, SimulatedFile> = BTreeMap::new();
    let mut paths = Vec::new();
    let mut unread = Vec::new();
    if request.has("--stdin") {
        let name = request
            .value("--stdin-filename")
            .unwrap_or("stdin")
            .trim_start_matches('/');
        paths.push(format!("/{name}"));
        files.insert(
            format!("/{name}"),
            SimulatedFile::new(request.input.clone(), now),
        );
    } else if request.has("--stdin-from-command") {
        return Err((1, "Fatal: not simulated: --stdin-from-command".to_owned()));
    } else {
        for source in &request.operands {
            if !world.path_exists(source) {
                script.complain(Duration::ZERO, format!("{source} does not exist, skipping"));
                unread.push(source.clone());
                continue;
            }
            paths.push(source.clone());
            for (path, file) in world
                .files
                .iter()
                .filter(|(path, _)| path.starts_with(source))
            {
                let path = path.to_string_lossy().into_owned();
                if file.unreadable {
                    script.complain(
                        Duration::ZERO,
                        json!({
                            "message_type": "error",
                            "error": {"message": format!("open {path}: permission denied")},
                            "during": "archival", "item": path,
                        }),
                    );
                    unread.push(path);
                } else {
                    files.insert(path, file.clone());
                }
            }
        }
        if paths.is_empty() {
            return Err((
                1,
                "Fatal: all source directories/files do not exist".to_owned(),
            ));
        }
    }
    let host = request
        .value("--host")
        .unwrap_or(&world.hostname)
        .to_owned();
    let tags: Vec<String> = request
        .values("--tag")
        .flat_map(|list| list.split(','))
        .map(|tag| tag.trim().to_owned())
        .filter(|tag| !tag.is_empty())
        .collect();
    let repository = stored(world, request)?;
    let parent = repository
        .snapshots
        .iter()
        .filter(|s| s.host == host && s.paths == paths)
        .max_by_key(|s| s.time);
    let known = |hash: &str| {
        repository
            .snapshots
            .iter()
            .flat_map(|s| s.files.values())
            .any(|f| f.sha256() == hash)
    };
    let mut count = [0_u64; 10];
    for (path, file) in &files {
        let size = file.content.len() as u64;
        match parent.and_then(|p| p.files.get(path)) {
            None => count[0] += 1,
            Some(old) if old.content == file.content => count[2] += 1,
            Some(_) => count[1] += 1,
        }
        if !known(&file.sha256()) {
            count[4] += 1;
            count[6] += size;
        }
        count[8] += 1;
        count[9] += size;
    }
    let changed = count[0] + count[1] > 0 || parent.is_none_or(|p| p.files.len() != files.len());
    if changed {
        count[5] = 1;
        count[3] = u64::from(parent.is_none());
        count[6] += 300;
    }
    count[7] = count[6] / 2 + count[6] % 2;
    let bytes = count[9];
    let total_files = count[8];
    let parent_id = parent.map(|p| p.id.clone());
    script.duration = world.pace.duration(bytes);
    let opening = world.pace.opening;
    let work = script.duration - opening;
    for step in 1..=4_u32 {
        let part = u64::from(step);
        let line = json!({
            "message_type": "status", "percent_done": f64::from(step) / 4.0,
            "total_files": total_files, "files_done": total_files * part / 4,
            "total_bytes": bytes, "bytes_done": bytes * part / 4,
        });
        script.say(opening + work * step / 4, line);
    }
    let dry = request.has("--dry-run");
    let skip = request.has("--skip-if-unchanged") && !changed;
    let id = world.fresh_id("snapshot");
    let mut summary = counts(&count);
    summary["message_type"] = json!("summary");
    summary["total_duration"] = json!(work.as_secs_f64());
    if request.version >= Version::new(0, 18, 0) {
        let end = now + script.duration;
        summary["backup_start"] = json!(Timestamp::from(now).to_string());
        summary["backup_end"] = json!(Timestamp::from(end).to_string());
    }
    if dry {
        summary["dry_run"] = json!(true);
    } else if !skip {
        let shown = if request.version >= Version::new(0, 15, 0) {
            &id[..]
        } else {
            &id[..8]
        };
        summary["snapshot_id"] = json!(shown);
        script.effect = Effect::AddSnapshot(Box::new(StoredSnapshot {
            id: id.clone(),
            time: Timestamp::from(now),
            host,
            paths,
            tags,
            parent: parent_id,
            original: None,
            files,
            counts: count,
        }));
    }
    let end = script.duration;
    script.say(end, summary);
    let missing_counts = request.version >= Version::new(0, 19, 0);
    if unread
        .iter()
        .any(|item| missing_counts || world.path_exists(item))
    {
        script.exit = 3;
        if request.version >= Version::new(0, 18, 0) {
            script.complain(
                end,
                json!({
                    "message_type": "exit_error", "code": 3,
                    "message": "Warning: at least one source file could not be read",
                }),
            );
        }
    }
    Ok(script)
}

fn snapshots(world: &World, request: &Request) -> Answer {
    let repository = stored(world, request)?;
    let mut list = chosen(repository, request)?;
    if let Some(latest) = request
        .value("--latest")
        .and_then(|n| n.parse::<usize>().ok())
    {
        let mut seen: BTreeMap<(String, Vec<String>), usize> = BTreeMap::new();
        list.reverse();
        list.retain(|s| {
            let count = seen.entry((s.host.clone(), s.paths.clone())).or_default();
            *count += 1;
            *count <= latest
        });
        list.reverse();
    }
    let print = |s: &&StoredSnapshot| print_snapshot(s, request.version, true);
    let mut script = Script::done();
    match request.value("--group-by") {
        None => script.say(
            Duration::ZERO,
            json!(list.iter().map(print).collect::<Vec<_>>()),
        ),
        Some(text) => {
            let group_by: GroupBy = text.parse().map_err(|e: String| (1, e))?;
            let mut groups: BTreeMap<_, Vec<&StoredSnapshot>> = BTreeMap::new();
            for s in list {
                groups
                    .entry(group_by.key(&as_snapshot(s)))
                    .or_default()
                    .push(s);
            }
            let groups: Vec<Value> = groups
                .iter()
                .map(|(key, list)| {
                    json!({
                        "group_key": {
                            "hostname": key.hostname, "paths": key.paths, "tags": key.tags,
                        },
                        "snapshots": list.iter().map(print).collect::<Vec<_>>(),
                    })
                })
                .collect();
            script.say(Duration::ZERO, json!(groups));
        }
    }
    Ok(script)
}

fn ls(world: &World, request: &Request) -> Answer {
    let repository = stored(world, request)?;
    let wanted = request.operands.first().map_or("", String::as_str);
    let snapshot = select(repository, &request.filter(), wanted)?;
    let folders: Vec<&String> = request.operands.iter().skip(1).collect();
    let mut script = Script::done();
    let mut head = print_snapshot(snapshot, request.version, true);
    head["struct_type"] = json!("snapshot");
    if request.version >= Version::new(0, 17, 0) {
        head["message_type"] = json!("snapshot");
    }
    script.say(Duration::ZERO, head);
    for (path, file) in &snapshot.files {
        if !folders.is_empty()
            && !folders
                .iter()
                .any(|folder| std::path::Path::new(path).starts_with(folder))
        {
            continue;
        }
        let time = Timestamp::from(file.modified).to_string();
        let mut node = json!({
            "name": path.rsplit('/').next().unwrap_or(path), "type": "file", "path": path,
            "uid": 0, "gid": 0, "size": file.content.len(), "mode": file.mode,
            "permissions": "-rw-r--r--", "mtime": time, "atime": time, "ctime": time,
        });
        if request.version >= Version::new(0, 17, 0) {
            node["message_type"] = json!("node");
        }
        node["struct_type"] = json!("node");
        script.say(Duration::ZERO, node);
    }
    Ok(script)
}

fn find(world: &World, request: &Request) -> Answer {
    let repository = stored(world, request)?;
    let filter = request.filter();
    let mut found = Vec::new();
    for snapshot in repository
        .snapshots
        .iter()
        .filter(|s| filter.matches(&as_snapshot(s)))
    {
        let matches: Vec<Value> = snapshot
            .files
            .iter()
            .filter(|(path, _)| {
                let name = path.rsplit('/').next().unwrap_or(path);
                request
                    .operands
                    .iter()
                    .any(|pattern| glob(pattern, name) || glob(pattern, path))
            })
            .map(|(path, file)| {
                json!({
                    "path": path, "permissions": "-rw-r--r--", "type": "file", "mode": file.mode,
                    "mtime": Timestamp::from(file.modified).to_string(),
                    "size": file.content.len(), "links": 1,
                })
            })
            .collect();
        if !matches.is_empty() {
            found.push(json!({"matches": matches, "hits": matches.len(), "snapshot": snapshot.id}));
        }
    }
    let mut script = Script::done();
    script.say(Duration::ZERO, json!(found));
    Ok(script)
}

/// `*` for any letters but `/`, `?` for one.
fn glob(pattern: &str, text: &str) -> bool {
    let mut letters = pattern.chars();
    match letters.next() {
        None => text.is_empty(),
        Some('*') => {
            let rest = letters.as_str();
            let end = text.find('/').unwrap_or(text.len());
            (0..=end)
                .filter(|at| text.is_char_boundary(*at))
                .any(|at| glob(rest, &text[at..]))
        }
        Some(letter) => match text.chars().next() {
            Some(first) if (letter == '?' && first != '/') || letter == first => {
                glob(letters.as_str(), &text[first.len_utf8()..])
            }
            _ => false,
        },
    }
}

fn restore(world: &World, request: &Request) -> Answer {
    let repository = stored(world, request)?;
    let wanted = request.operands.first().map_or("", String::as_str);
    let (wanted, folder) = wanted.split_once(':').unwrap_or((wanted, "/"));
    let snapshot = select(repository, &request.filter(), wanted)?;
    let target = request.value("--target").unwrap_or_default();
    let includes: Vec<&str> = request.values("--include").collect();
    let mut script = Script::done();
    let mut writes = Vec::new();
    let (mut bytes, mut failed, mut total) = (0_u64, 0_u64, 0_u64);
    for (path, file) in &snapshot.files {
        let Some(relative) = path.strip_prefix(folder).map(|p| p.trim_start_matches('/')) else {
            continue;
        };
        let name = path.rsplit('/').next().unwrap_or(path);
        let wanted = includes.is_empty()
            || includes.iter().any(|include| {
                glob(include, path)
                    || glob(include, name)
                    || path
                        .strip_prefix(include)
                        .is_some_and(|rest| rest.starts_with('/'))
            });
        if !wanted {
            continue;
        }
        total += 1;
        if repository.damaged.contains(&file.sha256()) {
            failed += 1;
            script.complain(
                Duration::ZERO,
                json!({
                    "message_type": "error", "during": "restore", "item": path,
                    "error": {"message": "ciphertext verification failed"},
                }),
            );
            continue;
        }
        bytes += file.content.len() as u64;
        writes.push((PathBuf::from(target).join(relative), file.clone()));
    }
    script.duration = world.pace.duration(bytes);
    let end = script.duration;
    let restored = writes.len();
    script.effect = if request.has("--dry-run") {
        Effect::Nothing
    } else {
        Effect::WriteFiles(writes)
    };
    if request.version >= Version::new(0, 16, 0) {
        script.say(
            end,
            json!({
                "message_type": "summary", "total_files": total, "files_restored": restored,
                "total_bytes": bytes, "bytes_restored": bytes,
            }),
        );
    }
    if failed > 0 {
        let failure = Script::fail(
            request.version,
            1,
            &format!("Fatal: There were {failed} errors"),
        );
        script.exit = failure.exit;
        script
            .output
            .extend(failure.output.into_iter().map(|(_, s, b)| (end, s, b)));
    }
    Ok(script)
}

fn dump(world: &World, request: &Request) -> Answer {
    let repository = stored(world, request)?;
    let wanted = request.operands.first().map_or("", String::as_str);
    let path = request.operands.get(1).map_or("", String::as_str);
    let snapshot = select(repository, &request.filter(), wanted)?;
    let file = snapshot.files.get(path).ok_or_else(|| {
        (
            1,
            format!("Fatal: cannot dump file: path {path:?} not found in snapshot"),
        )
    })?;
    if repository.damaged.contains(&file.sha256()) {
        return Err((
            1,
            "Fatal: cannot dump file: ciphertext verification failed".to_owned(),
        ));
    }
    let mut script = Script::done();
    script.duration = world.pace.duration(file.content.len() as u64);
    for chunk in file.content.chunks(1 << 16) {
        script
            .output
            .push((script.duration, Stream::Stdout, chunk.to_vec()));
    }
    Ok(script)
}

fn check(world: &World, request: &Request) -> Answer {
    let repository = stored(world, request)?;
    let reads = request.has("--read-data") || request.value("--read-data-subset").is_some();
    let bytes: u64 = repository
        .snapshots
        .iter()
        .flat_map(|s| s.files.values())
        .map(|f| f.content.len() as u64)
        .sum();
    let mut script = Script::done();
    script.duration = world.pace.duration(if reads { bytes } else { 0 });
    let end = script.duration;
    let broken: Vec<&String> = if reads {
        repository.damaged.iter().collect()
    } else {
        Vec::new()
    };
    for pack in &broken {
        script.complain(
            end,
            json!({
                "message_type": "error",
                "message": format!("pack {pack} contains 1 errors: [ciphertext verification failed]\n"),
            }),
        );
    }
    if request.version >= Version::new(0, 18, 0) {
        let packs = if broken.is_empty() {
            Value::Null
        } else {
            json!(broken)
        };
        script.say(
            end,
            json!({
                "message_type": "summary", "num_errors": broken.len(), "broken_packs": packs,
                "suggest_repair_index": false, "suggest_prune": false,
            }),
        );
    } else if broken.is_empty() {
        script.say(end, "no errors were found");
    }
    if !broken.is_empty() {
        let failure = Script::fail(request.version, 1, "Fatal: repository contains errors");
        script.exit = failure.exit;
        script
            .output
            .extend(failure.output.into_iter().map(|(_, s, b)| (end, s, b)));
    }
    Ok(script)
}

fn forget(world: &World, now: SystemTime, request: &Request) -> Answer {
    let repository = stored(world, request)?;
    let words = request.args.iter().chain(&request.operands);
    let args = ForgetArgs::parse(words).map_err(|e| (1, e.message))?;
    let all: Vec<Snapshot> = repository.snapshots.iter().map(as_snapshot).collect();
    let mut script = Script::done();
    let gone: Vec<String> = if args.ids.is_empty() {
        let plan = args
            .plan(&all, Timestamp::from(now), &Zone::utc())
            .map_err(|e| (1, format!("Fatal: {e}")))?;
        let print = |wanted: &Snapshot| {
            repository
                .snapshots
                .iter()
                .find(|s| s.id == wanted.id)
                .map(|s| print_snapshot(s, request.version, true))
                .unwrap_or_default()
        };
        let groups: Vec<Value> = plan
            .groups
            .iter()
            .map(|group| {
                let remove: Vec<Value> = group.remove.iter().map(|s| print(s)).collect();
                json!({
                    "tags": group.key.tags, "host": group.key.hostname, "paths": group.key.paths,
                    "keep": group.keep.iter().map(|(s, _)| print(s)).collect::<Vec<_>>(),
                    "remove": if remove.is_empty() { Value::Null } else { json!(remove) },
                    "reasons": group.keep.iter().map(|(s, reasons)| json!({
                        "snapshot": print(s),
                        "matches": reasons.iter().map(|r| args.policy.explain(*r)).collect::<Vec<_>>(),
                    })).collect::<Vec<_>>(),
                })
            })
            .collect();
        if !groups.is_empty() {
            script.say(Duration::ZERO, json!(groups));
        }
        plan.removed().map(|s| s.id.clone()).collect()
    } else {
        let filter = Filter::default();
        args.ids
            .iter()
            .map(|id| select(repository, &filter, id).map(|s| s.id.clone()))
            .collect::<Result<_, _>>()?
    };
    if args.dry_run {
        return Ok(script);
    }
    let left = repository
        .snapshots
        .iter()
        .filter(|s| !gone.contains(&s.id))
        .cloned()
        .collect();
    script.effect = Effect::Replace(left);
    if args.prune && !gone.is_empty() {
        script = prune_text(script);
    }
    Ok(script)
}

/// The simulated repository stores whole files: there is nothing to repack.
fn prune_text(mut script: Script) -> Script {
    for line in [
        "to repack:             0 blobs / 0 B",
        "this removes:          0 blobs / 0 B",
        "to delete:             0 blobs / 0 B",
        "total prune:           0 blobs / 0 B",
        "unused size after prune: 0 B (0.00% of remaining size)",
        "done",
    ] {
        script.say(Duration::ZERO, line);
    }
    script
}

fn stats(world: &World, request: &Request) -> Answer {
    let repository = stored(world, request)?;
    let list = chosen(repository, request)?;
    let files = || list.iter().flat_map(|s| s.files.values());
    let unique: BTreeMap<String, u64> = files()
        .map(|f| (f.sha256(), f.content.len() as u64))
        .collect();
    let unique_size: u64 = unique.values().sum();
    let mut value = match request.value("--mode").unwrap_or("restore-size") {
        "restore-size" => json!({
            "total_size": files().map(|f| f.content.len() as u64).sum::<u64>(),
            "total_file_count": files().count(),
        }),
        "files-by-contents" => {
            json!({"total_size": unique_size, "total_file_count": unique.len()})
        }
        "blobs-per-file" => json!({
            "total_size": unique_size, "total_file_count": files().count(),
            "total_blob_count": unique.len(),
        }),
        "raw-data" => json!({
            "total_size": unique_size, "total_uncompressed_size": unique_size,
            "compression_ratio": 1, "compression_progress": 100, "total_blob_count": unique.len(),
        }),
        other => return Err((1, format!("Fatal: unknown counting mode: {other}"))),
    };
    value["snapshots_count"] = json!(list.len());
    let mut script = Script::done();
    script.say(Duration::ZERO, value);
    Ok(script)
}

fn unlock(world: &mut World, now: SystemTime, request: &Request) -> Script {
    let mut script = Script::done();
    let all = request.has("--remove-all");
    if let Some(repository) = world.repositories.get_mut(&request.repository) {
        let before = repository.locks.len();
        repository.locks.retain(|lock| {
            let age = now.duration_since(lock.created).unwrap_or_default();
            !(all || lock.holder_gone || age > Duration::from_secs(1800))
        });
        let removed = before - repository.locks.len();
        if removed > 0 && request.version < Version::new(0, 19, 0) {
            script.say(
                Duration::ZERO,
                format!("successfully removed {removed} locks"),
            );
        }
    }
    script
}

fn tag(world: &mut World, request: &Request) -> Answer {
    let ids: Vec<String> = chosen(stored(world, request)?, request)?
        .iter()
        .map(|s| s.id.clone())
        .collect();
    let words = |flag| -> Vec<String> {
        request
            .values(flag)
            .flat_map(|list| list.split(','))
            .map(|tag| tag.trim().to_owned())
            .filter(|tag| !tag.is_empty())
            .collect()
    };
    let (add, remove, set) = (words("--add"), words("--remove"), words("--set"));
    let mut list = stored(world, request)?.snapshots.clone();
    let mut script = Script::done();
    let mut changed = 0;
    for snapshot in list.iter_mut().filter(|s| ids.contains(&s.id)) {
        let mut tags = if request.value("--set").is_some() {
            set.clone()
        } else {
            snapshot.tags.clone()
        };
        for tag in &add {
            if !tags.contains(tag) {
                tags.push(tag.clone());
            }
        }
        tags.retain(|tag| !remove.contains(tag));
        if tags != snapshot.tags {
            let new = world.fresh_id("snapshot");
            changed += 1;
            if request.version >= Version::new(0, 18, 0) {
                let line = json!({
                    "message_type": "changed", "old_snapshot_id": snapshot.id,
                    "new_snapshot_id": new,
                });
                script.say(Duration::ZERO, line);
            }
            snapshot.original.get_or_insert_with(|| snapshot.id.clone());
            snapshot.id = new;
            snapshot.tags = tags;
        }
    }
    if request.version >= Version::new(0, 18, 0) {
        let line = json!({"message_type": "summary", "changed_snapshots": changed});
        script.say(Duration::ZERO, line);
    } else if changed == 0 {
        script.say(Duration::ZERO, "no snapshots were modified");
    } else {
        script.say(
            Duration::ZERO,
            format!("modified tags on {changed} snapshots"),
        );
    }
    script.effect = Effect::Replace(list);
    Ok(script)
}

fn diff(world: &World, request: &Request) -> Answer {
    let repository = stored(world, request)?;
    let filter = Filter::default();
    let side = |at: usize| {
        select(
            repository,
            &filter,
            request.operands.get(at).map_or("", String::as_str),
        )
    };
    let (from, to) = (side(0)?, side(1)?);
    let mut script = Script::done();
    let (mut changed, mut added, mut removed) = (0, [0_u64; 2], [0_u64; 2]);
    let mut paths: Vec<&String> = from.files.keys().chain(to.files.keys()).collect();
    paths.sort();
    paths.dedup();
    for path in paths {
        let modifier = match (from.files.get(path), to.files.get(path)) {
            (None, Some(file)) => {
                added[0] += 1;
                added[1] += file.content.len() as u64;
                "+"
            }
            (Some(file), None) => {
                removed[0] += 1;
                removed[1] += file.content.len() as u64;
                "-"
            }
            (Some(a), Some(b)) if a.content != b.content => {
                changed += 1;
                added[1] += b.content.len() as u64;
                removed[1] += a.content.len() as u64;
                "M"
            }
            _ => continue,
        };
        let line = json!({"message_type": "change", "path": path, "modifier": modifier});
        script.say(Duration::ZERO, line);
    }
    let side = |counts: [u64; 2]| {
        json!({
            "files": counts[0], "dirs": 0, "others": 0, "data_blobs": counts[0],
            "tree_blobs": 1, "bytes": counts[1],
        })
    };
    script.say(
        Duration::ZERO,
        json!({
            "message_type": "statistics", "source_snapshot": from.id, "target_snapshot": to.id,
            "changed_files": changed, "added": side(added), "removed": side(removed),
        }),
    );
    Ok(script)
}

fn copy(world: &mut World, request: &Request) -> Answer {
    let (address, password) = request.from.clone().ok_or_else(|| {
        (
            1,
            "Fatal: Please specify a source repository location".to_owned(),
        )
    })?;
    let source: Vec<StoredSnapshot> = chosen(open(world, &address, &password)?, request)?
        .into_iter()
        .cloned()
        .collect();
    let mut target = stored(world, request)?.snapshots.clone();
    let mut script = Script::done();
    for mut snapshot in source {
        let origin = snapshot
            .original
            .clone()
            .unwrap_or_else(|| snapshot.id.clone());
        let (paths, short) = (snapshot.paths.join(" "), snapshot.id[..8].to_owned());
        script.say(
            Duration::ZERO,
            format!("\nsnapshot {short} of [{paths}] by root@{}", snapshot.host),
        );
        let there = target.iter().find(|s| s.original.as_ref() == Some(&origin));
        if let Some(there) = there {
            let known = &there.id[..8];
            script.say(
                Duration::ZERO,
                format!("skipping source snapshot {short}, was already copied to snapshot {known}"),
            );
            continue;
        }
        let new = world.fresh_id("snapshot");
        script.say(
            Duration::ZERO,
            format!(
                "snapshot {} saved, copied from source snapshot {short}",
                &new[..8]
            ),
        );
        snapshot.original = Some(origin);
        snapshot.id = new;
        target.push(snapshot);
    }
    target.sort_by_key(|s| s.time);
    script.effect = Effect::Replace(target);
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
