//! Storages: definitions, state, content, downloads.

mod backup;
mod definition;
mod kind;

use std::time::Duration;

use serde_json::Value;

use super::{list, not_simulated};
use crate::simulator::answer::{Outcome, Reply};
use crate::simulator::engine::Step;
use crate::simulator::http::Call;
use crate::simulator::operation::{Caller, Operation};
use crate::simulator::world::World;

impl World {
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
        if let [
            name,
            "content" | "upload" | "download-url" | "prunebackups",
            ..,
        ] = rest
        {
            self.storages[*name].refuse(node).map_err(Reply::failed)?;
        }
        match (method, rest) {
            ("GET", []) => {
                let wanted = call.text("content");
                let storages = self.storages.values().filter(|storage| {
                    // A list by content leaves out what the node cannot use.
                    wanted.as_ref().is_none_or(|kind| {
                        storage.content.contains(kind) && storage.refuse(node).is_ok()
                    })
                });
                Ok(Reply::data(list(
                    storages.map(|storage| storage.entry(node)),
                )))
            }
            ("GET", [name, "status"]) => Ok(Reply::data(Value::Object(
                self.storages[*name].status(node),
            ))),
            ("GET", [name, "content"]) => Ok(Reply::data(self.content(name, call))),
            ("GET", [name, "content", volume @ ..]) => {
                let volid = full_id(name, volume);
                match self.volume(&volid) {
                    Some(volume) => {
                        let mut entry = volume.entry(&volid);
                        entry.retain(|key, _| ["size", "used", "format"].contains(&key.as_str()));
                        if volume.content == "backup" {
                            self.backup_attributes(&volid, &mut entry);
                        }
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
            ("PUT", [name, "content", volume @ ..]) => {
                self.set_attributes(&full_id(name, volume), call)
            }
            (_, [name, "prunebackups"]) => self.prune_backups(method, node, name, call, caller),
            ("POST", [name, "upload"]) => self.upload(node, name, call, caller),
            ("POST", [name, "download-url"]) => self.download(node, name, call, caller),
            _ => Err(not_simulated(call)),
        }
    }

    fn content(&self, name: &str, call: &Call) -> Value {
        let kind = call.text("content");
        let vmid = call.number("vmid");
        let volumes = self.storages[name].volumes.iter();
        let entries = volumes.map(|(volid, volume)| match volume.content.as_str() {
            "backup" => self.backup_entry(volid, volume),
            _ => volume.entry(volid),
        });
        list(entries.filter(|entry| {
            kind.as_ref()
                .is_none_or(|kind| entry["content"] == kind.as_str())
                && vmid.is_none_or(|vmid| entry.get("vmid").and_then(Value::as_u64) == Some(vmid))
        }))
    }

    fn download(&mut self, node: &str, name: &str, call: &Call, caller: &Caller) -> Outcome {
        let text = |key: &str| call.text(key).unwrap_or_default();
        let (content, filename, url) = (text("content"), text("filename"), text("url"));
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
        // The file is copied from where the proxy kept it; the kernel does it, and mostly waits.
        let copying = match self.daemon {
            Some(_) => file.size as f64 / self.durations.copy_speed.max(1) as f64,
            None => 0.0,
        };
        let steps = vec![Step::Work(Duration::from_secs_f64(copying)), Step::Finish];
        let operation = Operation::Upload {
            volid,
            content,
            file,
            checksum,
        };
        Ok(self.start_task(node, "imgcopy", "", caller, operation, steps))
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
