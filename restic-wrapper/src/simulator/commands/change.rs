//! Commands that create repositories and change or remove snapshots and locks.

use std::time::{Duration, SystemTime};

use serde_json::{Value, json};

use super::super::world::{Effect, StoredRepository, StoredSnapshot, World};
use super::{
    Answer, Request, Script, as_snapshot, chosen, digest, open, print_snapshot, select, stored,
};
use crate::retention::{Filter, ForgetArgs, Zone};
use crate::snapshot::Snapshot;
use crate::timestamp::Timestamp;
use crate::version::Version;

pub(super) fn init(world: &mut World, request: &Request) -> Answer {
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

pub(super) fn forget(world: &World, now: SystemTime, request: &Request) -> Answer {
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
pub(super) fn prune_text(mut script: Script) -> Script {
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

pub(super) fn unlock(world: &mut World, now: SystemTime, request: &Request) -> Script {
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

pub(super) fn tag(world: &mut World, request: &Request) -> Answer {
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
        // The last one takes the place of one that goes.
        for tag in &remove {
            while let Some(at) = tags.iter().position(|it| it == tag) {
                tags.swap_remove(at);
            }
        }
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

pub(super) fn copy(world: &mut World, request: &Request) -> Answer {
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
