//! Backups on demand: what is asked for, what holds where nothing is, and what is in a backup.

use std::time::Duration;

use serde_json::{Map, Value, json};

use super::super::not_simulated;
use super::super::shared::names;
use super::{OPTIONS, verify};
use crate::simulator::answer::{Outcome, Reply};
use crate::simulator::engine::{Key, Patience, Step};
use crate::simulator::guest::text_of;
use crate::simulator::http::Call;
use crate::simulator::operation::{Caller, Dump, Mode, Operation, read_name};
use crate::simulator::section::{Param, Shape, settings};
use crate::simulator::world::World;

/// Options that say how a task is run, none of which is modelled.
const UNUSUAL: [&str; 6] = ["dumpdir", "tmpdir", "script", "stop", "stdout", "job-id"];

/// The command that options stand for, as the task's log tells it.
fn command_line(options: &Map<String, Value>) -> String {
    let vmids = options.get("vmid").map(text_of).unwrap_or_default();
    let mut command = "vzdump".to_owned();
    for vmid in names(&vmids) {
        command.push_str(&format!(" {vmid}"));
    }
    for (name, value) in options.iter().filter(|(name, _)| *name != "vmid") {
        command.push_str(&format!(" --{name} {}", text_of(value)));
    }
    command
}

/// A line of a description as files keep it.
fn encode_text(line: &str) -> String {
    let plain = |byte: u8| matches!(byte, b' '..=b'~') && !matches!(byte, b'%' | b':');
    let mut text = String::new();
    for byte in line.bytes() {
        match plain(byte) {
            true => text.push(char::from(byte)),
            false => text.push_str(&format!("%{byte:02X}")),
        }
    }
    text
}

impl World {
    pub(in super::super) fn vzdump(
        &mut self,
        method: &str,
        node: &str,
        rest: &[&str],
        call: &Call,
        caller: &Caller,
    ) -> Outcome {
        match (method, rest) {
            ("POST", []) => self.dump(node, call, caller),
            ("GET", ["defaults"]) => self.dump_defaults(call),
            ("GET", ["extractconfig"]) => self.extract_config(node, call),
            _ => Err(not_simulated(call)),
        }
    }

    fn dump(&mut self, node: &str, call: &Call, caller: &Caller) -> Outcome {
        let mut params = OPTIONS.to_vec();
        params.extend([
            Param::new("job-id", Shape::Text),
            Param::new("stdout", Shape::Flag),
        ]);
        if UNUSUAL.iter().any(|name| call.params.contains_key(*name)) {
            return Err(not_simulated(call));
        }
        let mut options = settings(call, &params, &["node"]);
        verify(&mut options, true)?;
        let task = self.start_dump(node, &options, caller);
        Ok(Reply::data(task.unwrap_or_else(|| "OK".to_owned())))
    }

    /// Starts the task, if there is anything to do on the node, and gives its identifier.
    pub(in super::super) fn start_dump(
        &mut self,
        node: &str,
        options: &Map<String, Value>,
        caller: &Caller,
    ) -> Option<String> {
        let mut vmids = self.chosen(options, Some(node));
        let all = options.get("all") == Some(&1.into());
        if vmids.is_empty() && !all {
            return None;
        }
        let id = match vmids.as_slice() {
            [one] => one.to_string(),
            _ => String::new(),
        };
        if all && !caller.is_root() {
            let rights = self.directory().rights_of(&caller.full());
            vmids.retain(|vmid| {
                let known = self.guests.contains_key(vmid);
                !known || rights.has(&format!("/vms/{vmid}"), "VM.Backup")
            });
        }
        let text = |name: &str| options.get(name).map(text_of);
        let number = |name: &str| options.get(name).and_then(Value::as_u64);
        let minutes = |count: u64| Duration::from_secs(60 * count);
        let lock = Step::Lock {
            key: Key::Backups(node.to_owned()),
            shared: false,
            wait: Patience::Told(minutes(number("lockwait").unwrap_or(180))),
            prefix: String::new(),
        };
        let dump = Dump {
            node: node.to_owned(),
            storage: text("storage").unwrap_or_else(|| "local".to_owned()),
            mode: Mode::named(text("mode").as_deref()),
            compress: text("compress").unwrap_or_else(|| "0".to_owned()),
            keep: text("prune-backups"),
            prune: text("remove").as_deref() != Some("0"),
            notes: text("notes-template").unwrap_or_default(),
            protected: text("protected").as_deref() == Some("1"),
            limit: number("bwlimit").unwrap_or(0) << 10,
            patience: minutes(number("stopwait").unwrap_or(10)),
            command: command_line(options),
            vmids,
            next: 0,
            current: None,
            failed: 0,
        };
        let operation = Operation::Dump(Box::new(dump));
        let steps = vec![lock, Step::Check(0), Step::Finish];
        self.start_task(node, "vzdump", &id, caller, operation, steps);
        self.tasks.last().map(|task| task.upid.clone())
    }

    fn dump_defaults(&self, call: &Call) -> Outcome {
        let name = call.text("storage").unwrap_or_else(|| "local".to_owned());
        let Some(storage) = self.storages.get(&name) else {
            return Err(Reply::failed(format!("storage '{name}' does not exist")));
        };
        if !storage.content.iter().any(|kind| kind == "backup") {
            return Err(Reply::failed(format!(
                "can't use storage '{name}' for backups - wrong content type"
            )));
        }
        let mut defaults = json!({
            "all": 0, "bwlimit": 0, "compress": "0", "fleecing": { "enabled": 0 }, "ionice": 7,
            "lockwait": 180, "mailnotification": "always", "mode": "snapshot",
            "notification-mode": "auto", "pigz": 0, "quiet": 0, "remove": 1, "stdexcludes": 1, "stop": 0,
            "stopwait": 10, "storage": name, "zstd": 1,
            "performance": { "max-workers": 16, "pbs-entries-max": 1_048_576 },
        });
        let keep = storage
            .prune_backups
            .clone()
            .unwrap_or_else(|| "keep-all=1".to_owned());
        defaults["prune-backups"] = keep.into();
        if let Some(path) = &storage.path {
            defaults["dumpdir"] = format!("{path}/dump").into();
        }
        Ok(Reply::data(defaults))
    }

    fn extract_config(&self, node: &str, call: &Call) -> Outcome {
        let volid = call.text("volume").unwrap_or_default();
        let archive = self.archive(node, &volid)?;
        let Some(archive) = archive else {
            return Err(not_simulated(call));
        };
        let mut lines: Vec<String> = Vec::new();
        for line in archive
            .config
            .get("description")
            .map(text_of)
            .unwrap_or_default()
            .lines()
        {
            lines.push(format!("#{}", encode_text(line)));
        }
        let mut keys: Vec<&String> = archive.config.keys().collect();
        keys.sort();
        for key in keys.into_iter().filter(|key| *key != "description") {
            lines.push(format!("{key}: {}", text_of(&archive.config[key])));
        }
        let machine = read_name(&volid).is_none_or(|name| name.kind == "qemu");
        for (slot, disk) in archive.disks.iter().filter(|_| machine) {
            let (storage, format) = (&disk.storage, &disk.format);
            lines.push(format!(
                "#qmdump#map:{slot}:drive-{slot}:{storage}:{format}:"
            ));
        }
        lines.push(String::new());
        Ok(Reply::data(lines.join("\n")))
    }
}
