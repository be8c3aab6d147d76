//! `backup`.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use serde_json::json;

use super::super::world::{Effect, SimulatedFile, StoredSnapshot, World};
use super::{Answer, Request, Script, counts, stored};
use crate::timestamp::Timestamp;
use crate::version::Version;

pub(super) fn backup(world: &mut World, now: SystemTime, request: &Request) -> Answer {
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
