//! Storages: definitions, state, content, downloads.

use serde_json::Value;
use sha1::{Digest, Sha1};

use super::shared::{names, require};
use super::{list, not_simulated};
use crate::simulator::answer::{Outcome, Reply};
use crate::simulator::engine::Step;
use crate::simulator::http::Call;
use crate::simulator::operation::{Caller, Operation};
use crate::simulator::world::World;

impl World {
    fn storage_digest(&self) -> String {
        let mut hash = Sha1::new();
        for storage in self.storages.values() {
            hash.update(format!(
                "{}: {}\n{}\n{:?}{}\n",
                storage.kind,
                storage.name,
                storage.content.join(","),
                storage.prune_backups,
                storage.shared
            ));
        }
        hash.finalize()
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect()
    }

    pub(super) fn storage_definitions(&self) -> Reply {
        let digest = self.storage_digest();
        Reply::data(list(
            self.storages
                .values()
                .map(|storage| storage.definition(&digest)),
        ))
    }

    pub(super) fn storage_definition(&self, name: &str) -> Outcome {
        match self.storages.get(name) {
            Some(storage) => Ok(Reply::data(Value::Object(
                storage.definition(&self.storage_digest()),
            ))),
            None => Err(Reply::failed(format!("storage '{name}' does not exist"))),
        }
    }

    /// Changes the settings of a storage that is there.
    pub(super) fn write_storage(&mut self, method: &str, rest: &[&str], call: &Call) -> Outcome {
        let ("PUT", [name]) = (method, rest) else {
            return Err(not_simulated(call));
        };
        let refused = |why: String| Reply::failed(format!("update storage failed: {why}"));
        let digest = self.storage_digest();
        let Some(storage) = self.storages.get_mut(*name) else {
            return Err(refused(format!("storage '{name}' does not exist")));
        };
        if call.text("digest").is_some_and(|asked| asked != digest) {
            return Err(refused(
                "detected modified configuration - file changed by other user? Try again."
                    .to_owned(),
            ));
        }
        if let Some(content) = call.text("content") {
            storage.content = names(&content).map(str::to_owned).collect();
        }
        if let Some(keep) = call.text("prune-backups") {
            storage.prune_backups = Some(keep);
        }
        if let Some(shared) = call.text("shared") {
            storage.shared = shared == "1";
        }
        Ok(Reply::data(
            serde_json::json!({ "storage": storage.name, "type": storage.kind }),
        ))
    }

    pub(super) fn node_storage(
        &mut self,
        method: &str,
        node: &str,
        rest: &[&str],
        call: &Call,
        caller: &Caller,
    ) -> Outcome {
        if let [name, ..] = rest
            && !self.storages.contains_key(*name)
        {
            return Err(match rest {
                [_, "status"] => Reply::parameter("storage", "No such storage."),
                _ => Reply::failed(format!("storage '{name}' does not exist")),
            });
        }
        match (method, rest) {
            ("GET", []) => {
                let wanted = call.text("content");
                let storages = self.storages.values().filter(|storage| {
                    wanted
                        .as_ref()
                        .is_none_or(|kind| storage.content.contains(kind))
                });
                Ok(Reply::data(list(storages.map(|storage| storage.entry()))))
            }
            ("GET", [name, "status"]) => {
                Ok(Reply::data(Value::Object(self.storages[*name].status())))
            }
            ("GET", [name, "content"]) => Ok(Reply::data(self.content(name, call))),
            ("GET", [name, "content", volume @ ..]) => {
                let volid = full_id(name, volume);
                match self.volume(&volid) {
                    Some(volume) => {
                        let mut entry = volume.entry(&volid);
                        entry.retain(|key, _| ["size", "used", "format"].contains(&key.as_str()));
                        let path = self.storages[*name].path_of(&volid);
                        entry.insert("path".to_owned(), path.into());
                        Ok(Reply::data(Value::Object(entry)))
                    }
                    None => Err(Reply::failed(format!("volume '{volid}' does not exist"))),
                }
            }
            ("DELETE", [name, "content", volume @ ..]) => {
                let volid = full_id(name, volume);
                let owner = self.volume(&volid).and_then(|volume| volume.vmid);
                let id = owner.map_or_else(|| (*name).to_owned(), |vmid| format!("{vmid}@{name}"));
                let steps = vec![Step::Finish];
                Ok(self.start_task(
                    node,
                    "imgdel",
                    &id,
                    caller,
                    Operation::DeleteVolume { volid },
                    steps,
                ))
            }
            ("POST", [name, "upload"]) => self.upload(node, name, call, caller),
            ("POST", [name, "download-url"]) => self.download(node, name, call, caller),
            _ => Err(not_simulated(call)),
        }
    }

    fn content(&self, name: &str, call: &Call) -> Value {
        let kind = call.text("content");
        let vmid = call.number("vmid");
        let volumes = self.storages[name].volumes.iter().filter(|(_, volume)| {
            kind.as_ref().is_none_or(|kind| *kind == volume.content)
                && vmid.is_none_or(|vmid| volume.vmid.is_some_and(|of| u64::from(of) == vmid))
        });
        list(volumes.map(|(volid, volume)| volume.entry(volid)))
    }

    fn download(&mut self, node: &str, name: &str, call: &Call, caller: &Caller) -> Outcome {
        require(call, &["content", "filename", "url"])?;
        let text = |key: &str| call.text(key).unwrap_or_default();
        let (content, filename, url) = (text("content"), text("filename"), text("url"));
        if !["iso", "vztmpl", "import"].contains(&content.as_str()) {
            return Err(Reply::parameter(
                "content",
                format!(
                    "value '{content}' does not have a value in the enumeration 'iso, vztmpl, import'"
                ),
            ));
        }
        if !url.starts_with("http://") && !url.starts_with("https://") {
            return Err(Reply::parameter(
                "url",
                "value does not match the regex pattern",
            ));
        }
        if !self.storages[name].content.contains(&content) {
            return Err(Reply::failed(format!(
                "storage '{name}' is not configured for content-type '{content}'"
            )));
        }
        if !fits(&content, &filename) {
            return Err(Reply::parameter("filename", "wrong file extension"));
        }
        let checksum = call.text("checksum-algorithm").zip(call.text("checksum"));
        let operation = Operation::Download {
            volid: format!("{name}:{content}/{filename}"),
            url,
            content,
            checksum,
        };
        let steps = vec![
            Step::Check(0),
            Step::Work(self.download_time(&operation)),
            Step::Finish,
        ];
        Ok(self.start_task(node, "download", &filename, caller, operation, steps))
    }

    fn upload(&mut self, node: &str, name: &str, call: &Call, caller: &Caller) -> Outcome {
        let Some(content) = call.text("content") else {
            return Err(Reply::parameter(
                "content",
                "property is missing and it is not optional",
            ));
        };
        if !["iso", "vztmpl", "import"].contains(&content.as_str()) {
            return Err(Reply::parameter(
                "content",
                format!(
                    "value '{content}' does not have a value in the enumeration 'iso, vztmpl, import'"
                ),
            ));
        }
        let Some(file) = call.file.clone() else {
            return Err(Reply::parameter(
                "filename",
                "property is missing and it is not optional",
            ));
        };
        if !fits(&content, &file.name) {
            return Err(Reply::parameter("filename", "wrong file extension"));
        }
        let checksum = call.text("checksum-algorithm").zip(call.text("checksum"));
        let volid = format!("{name}:{content}/{}", file.name);
        let operation = Operation::Upload {
            volid,
            content,
            file,
            checksum,
        };
        Ok(self.start_task(node, "imgcopy", "", caller, operation, vec![Step::Finish]))
    }
}

/// Whether a file's name ends as its content wants.
fn fits(content: &str, name: &str) -> bool {
    match content {
        "iso" => [".iso", ".img"].iter().any(|end| name.ends_with(end)),
        "vztmpl" => name.contains(".tar."),
        _ => [".qcow2", ".raw", ".vmdk", ".ova"]
            .iter()
            .any(|end| name.ends_with(end)),
    }
}

fn full_id(storage: &str, parts: &[&str]) -> String {
    let name = parts.join("/");
    if name.contains(':') {
        name
    } else {
        format!("{storage}:{name}")
    }
}
