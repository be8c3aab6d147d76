//! Commands that change nothing in the repository.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use serde_json::{Value, json};

use super::super::world::{Effect, StoredSnapshot, World};
use super::{Answer, Request, Script, as_snapshot, chosen, print_snapshot, select, stored};
use crate::event::Stream;
use crate::retention::{Filter, GroupBy};
use crate::timestamp::Timestamp;
use crate::version::Version;

pub(super) fn snapshots(world: &World, request: &Request) -> Answer {
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

pub(super) fn ls(world: &World, request: &Request) -> Answer {
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

pub(super) fn find(world: &World, request: &Request) -> Answer {
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

/// `*` for any letters but `/`, `?` for one, `\\` before a letter that means itself.
pub(super) fn glob(pattern: &str, text: &str) -> bool {
    let mut letters = pattern.chars();
    let mut escaped = false;
    let mut first = letters.next();
    if first == Some('\\') {
        escaped = true;
        first = letters.next();
    }
    match first {
        None => text.is_empty(),
        Some('*') if !escaped => {
            let rest = letters.as_str();
            let end = text.find('/').unwrap_or(text.len());
            (0..=end)
                .filter(|at| text.is_char_boundary(*at))
                .any(|at| glob(rest, &text[at..]))
        }
        Some(letter) => match text.chars().next() {
            Some(first) if (letter == '?' && !escaped && first != '/') || letter == first => {
                glob(letters.as_str(), &text[first.len_utf8()..])
            }
            _ => false,
        },
    }
}

pub(super) fn restore(world: &World, request: &Request) -> Answer {
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

pub(super) fn dump(world: &World, request: &Request) -> Answer {
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

pub(super) fn check(world: &World, request: &Request) -> Answer {
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

pub(super) fn stats(world: &World, request: &Request) -> Answer {
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

pub(super) fn diff(world: &World, request: &Request) -> Answer {
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
