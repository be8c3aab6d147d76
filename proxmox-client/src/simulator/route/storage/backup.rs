//! Backups on a storage: lists, attributes, pruning.

use serde_json::{Map, Value, json};

use crate::simulator::answer::{Outcome, Reply};
use crate::simulator::engine::Step;
use crate::simulator::http::Call;
use crate::simulator::operation::{Caller, Operation, read_name};
use crate::simulator::retention::Keep;
use crate::simulator::route::not_simulated;
use crate::simulator::section::{Param, Shape, check};
use crate::simulator::volume::Volume;
use crate::simulator::world::World;

const PRUNE: [Param; 3] = [
    Param::new("prune-backups", Shape::Format(Keep::check)),
    Param::new("type", Shape::OneOf(&["qemu", "lxc"])),
    Param::new("vmid", Shape::Integer(100, 999_999_999)),
];

impl World {
    /// A backup's entry in a list.
    pub(super) fn backup_entry(&self, volid: &str, volume: &Volume) -> Map<String, Value> {
        let name = read_name(volid);
        let mut entry = Map::new();
        let mut put = |key: &str, value: Value| entry.insert(key.to_owned(), value);
        put("volid", volid.into());
        put("content", "backup".into());
        put("size", volume.size.into());
        match &name {
            Some(name) => {
                put("format", name.format.as_str().into());
                put("ctime", name.at.into());
                put("subtype", name.kind.as_str().into());
                put("vmid", name.vmid.into());
            }
            None => {
                put("format", volume.format.as_str().into());
                put("ctime", volume.ctime.into());
                put("subtype", "unknown".into());
            }
        }
        let storage = self.storage_of(volid);
        let archive = storage.and_then(|storage| storage.archives.get(volid));
        if let Some(archive) = archive {
            if let Some(line) = archive.notes.lines().next() {
                put("notes", line.into());
            }
            if archive.protected {
                put("protected", 1.into());
            }
        }
        let key = storage.and_then(|storage| storage.more.get("encryption-key"));
        if let Some(key) = key {
            put("encrypted", key.clone());
        }
        entry
    }

    /// What is told of one backup beyond what is told of any volume.
    pub(super) fn backup_attributes(&self, volid: &str, entry: &mut Map<String, Value>) {
        let archive = self
            .storage_of(volid)
            .and_then(|storage| storage.archives.get(volid));
        let (notes, protected) = archive.map_or(("", false), |archive| {
            (archive.notes.as_str(), archive.protected)
        });
        entry.insert("notes".to_owned(), notes.into());
        entry.insert("protected".to_owned(), u8::from(protected).into());
        if let Some(name) = read_name(volid) {
            entry.insert("format".to_owned(), name.format.into());
        }
    }

    pub(super) fn set_attributes(&mut self, volid: &str, call: &Call) -> Outcome {
        let params = [
            Param::new("notes", Shape::Text),
            Param::new("protected", Shape::Flag),
        ];
        check(call, &params, &["node", "storage", "volume"])?;
        let Some(volume) = self.volume(volid) else {
            return Err(Reply::failed(format!("volume '{volid}' does not exist")));
        };
        let is_backup = volume.content == "backup";
        if !is_backup && call.params.contains_key("notes") {
            return Err(Reply::failed("only backups can have notes"));
        }
        if !is_backup && call.params.contains_key("protected") {
            return Err(Reply::failed("only backups support attribute 'protected'"));
        }
        let storage = self
            .storages
            .get_mut(volid.split(':').next().unwrap_or_default());
        if let Some(storage) = storage.filter(|_| is_backup) {
            let archive = storage.archives.entry(volid.to_owned()).or_default();
            if let Some(notes) = call.text("notes") {
                archive.notes = notes;
            }
            if let Some(protected) = call.text("protected") {
                archive.protected = protected == "1";
            }
        }
        Ok(Reply::data(()))
    }

    pub(super) fn prune_backups(
        &mut self,
        method: &str,
        node: &str,
        name: &str,
        call: &Call,
        caller: &Caller,
    ) -> Outcome {
        check(call, &PRUNE, &["node", "storage"])?;
        let (keep, kind) = (call.text("prune-backups"), call.text("type"));
        let vmid = call
            .number("vmid")
            .and_then(|vmid| u32::try_from(vmid).ok());
        match method {
            "GET" => {
                let keep = self
                    .rules_for(name, keep.as_deref())
                    .map_err(Reply::failed)?;
                let marks = self.prune_marks(name, &keep, vmid, kind.as_deref());
                let entries = marks.into_iter().map(|(volid, mark)| {
                    let known = read_name(&volid);
                    let made = self.volume(&volid).map_or(0, |volume| volume.ctime);
                    let mut entry = json!({
                        "volid": volid, "mark": mark.text(),
                        "ctime": known.as_ref().map_or(made, |name| name.at),
                        "type": known.as_ref().map_or("unknown", |name| name.kind.as_str()),
                    });
                    if let Some(known) = &known {
                        entry["vmid"] = known.vmid.into();
                    }
                    entry
                });
                Ok(Reply::data(entries.collect::<Value>()))
            }
            "DELETE" => {
                let id = vmid.map_or_else(|| name.to_owned(), |vmid| format!("{vmid}@{name}"));
                let operation = Operation::Prune {
                    storage: name.to_owned(),
                    keep,
                    vmid,
                    kind,
                };
                let steps = vec![Step::Finish];
                Ok(self.start_task(node, "prunebackups", &id, caller, operation, steps))
            }
            _ => Err(not_simulated(call)),
        }
    }
}
