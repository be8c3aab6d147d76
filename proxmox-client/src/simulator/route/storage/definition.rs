//! Definitions of storages: `/storage`.

use serde_json::{Map, Value, json};

use super::kind::{self, Kind};
use crate::simulator::answer::{Outcome, Reply};
use crate::simulator::guest::text_of;
use crate::simulator::http::Call;
use crate::simulator::retention::Keep;
use crate::simulator::route::shared::names;
use crate::simulator::route::{list, not_simulated};
use crate::simulator::section::settings;
use crate::simulator::section::{Param, Sections, Shape, change_section, check, check_section};
use crate::simulator::task::seconds;
use crate::simulator::volume::Storage;
use crate::simulator::world::{StorageSpec, World};

const FORMATS: &[&str] = &["raw", "qcow2", "subvol", "vmdk"];

const PREALLOCATION: &[&str] = &["off", "metadata", "falloc", "full"];

const SMB: &[&str] = &["default", "2.0", "2.1", "3", "3.0", "3.11"];

const MANY: i64 = i64::MAX;

/// Settings that a change may name.
const CHANGEABLE: [Param; 50] = [
    Param::new("blocksize", Shape::Text),
    Param::new("bwlimit", Shape::Text),
    Param::new("comstar_hg", Shape::Text),
    Param::new("comstar_tg", Shape::Text),
    Param::new("content", Shape::Format(content_list)),
    Param::new("content-dirs", Shape::Text),
    Param::new("create-base-path", Shape::Flag),
    Param::new("create-subdirs", Shape::Flag),
    Param::new("data-pool", Shape::Text),
    Param::new("disable", Shape::Flag),
    Param::new("domain", Shape::Text),
    Param::new("encryption-key", Shape::Text),
    Param::new("fingerprint", Shape::Format(fingerprint)),
    Param::new("format", Shape::OneOf(FORMATS)),
    Param::new("fs-name", Shape::Text),
    Param::new("fuse", Shape::Flag),
    Param::new("is_mountpoint", Shape::Text),
    Param::new("keyring", Shape::Text),
    Param::new("krbd", Shape::Flag),
    Param::new("lio_tpg", Shape::Text),
    Param::new("master-pubkey", Shape::Text),
    Param::new("max-protected-backups", Shape::Integer(-1, MANY)),
    Param::new("mkdir", Shape::Flag),
    Param::new("monhost", Shape::Text),
    Param::new("mountpoint", Shape::Format(path)),
    Param::new("namespace", Shape::Text),
    Param::new("nocow", Shape::Flag),
    Param::new("nodes", Shape::Format(node_list)),
    Param::new("nowritecache", Shape::Flag),
    Param::new("options", Shape::Format(options)),
    Param::new("password", Shape::Text),
    Param::new("pool", Shape::Text),
    Param::new("port", Shape::Integer(1, 65_535)),
    Param::new("preallocation", Shape::OneOf(PREALLOCATION)),
    Param::new("prune-backups", Shape::Format(Keep::check)),
    Param::new("saferemove", Shape::Flag),
    Param::new(
        "saferemove-stepsize",
        Shape::OneOf(&["1", "2", "4", "8", "16", "32"]),
    ),
    Param::new("saferemove_throughput", Shape::Text),
    Param::new("server", Shape::Format(server)),
    Param::new("shared", Shape::Flag),
    Param::new("skip-cert-verification", Shape::Flag),
    Param::new("smbversion", Shape::OneOf(SMB)),
    Param::new("snapshot-as-volume-chain", Shape::Flag),
    Param::new("sparse", Shape::Flag),
    Param::new("subdir", Shape::Format(path)),
    Param::new("tagged_only", Shape::Flag),
    Param::new("username", Shape::Text),
    Param::new("zfs-base-path", Shape::Format(path)),
    Param::new("digest", Shape::Text),
    Param::new("delete", Shape::Text),
];

/// Settings that only a creation may name.
const FIXED: [Param; 13] = [
    Param::required("storage", Shape::Format(storage_id)),
    Param::required("type", Shape::OneOf(&kind::NAMES)),
    Param::new("authsupported", Shape::Text),
    Param::new("base", Shape::Text),
    Param::new("datastore", Shape::Text),
    Param::new("export", Shape::Format(path)),
    Param::new("iscsiprovider", Shape::Text),
    Param::new("path", Shape::Format(path)),
    Param::new("portal", Shape::Text),
    Param::new("share", Shape::Text),
    Param::new("target", Shape::Text),
    Param::new("thinpool", Shape::Format(lvm_name)),
    Param::new("vgname", Shape::Format(lvm_name)),
];

fn all_params() -> Vec<Param> {
    let not_new = ["digest", "delete"];
    let changeable = CHANGEABLE
        .iter()
        .filter(|param| !not_new.contains(&param.name));
    FIXED.iter().chain(changeable).copied().collect()
}

fn storage_id(text: &str) -> Result<(), String> {
    let inner = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    let good = text.len() >= 2
        && text.starts_with(|c: char| c.is_ascii_alphabetic())
        && text.ends_with(|c: char| c.is_ascii_alphanumeric())
        && text.bytes().all(inner);
    match good {
        true => Ok(()),
        false => Err(format!("storage ID '{text}' contains illegal characters")),
    }
}

fn path(text: &str) -> Result<(), String> {
    let after = text.strip_prefix('/').and_then(|rest| rest.chars().next());
    match after.is_some_and(|first| !";()".contains(first)) {
        true => Ok(()),
        false => Err("value does not look like a valid absolute path".to_owned()),
    }
}

fn lvm_name(text: &str) -> Result<(), String> {
    let inner = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    let ends = |c: char| c.is_ascii_alphanumeric();
    let good = text.len() >= 2
        && text.starts_with(ends)
        && text.ends_with(ends)
        && text.bytes().all(inner);
    match good {
        true => Ok(()),
        false => Err(format!("lvm name '{text}' contains illegal characters")),
    }
}

fn server(text: &str) -> Result<(), String> {
    let label = |label: &str| {
        !label.is_empty()
            && label
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    match text.parse::<std::net::IpAddr>().is_ok() || text.split('.').all(label) {
        true => Ok(()),
        false => Err("value does not look like a valid server name or IP address".to_owned()),
    }
}

fn options(text: &str) -> Result<(), String> {
    match !text.is_empty() && !text.contains(char::is_whitespace) {
        true => Ok(()),
        false => Err(format!("invalid options '{text}'")),
    }
}

fn fingerprint(text: &str) -> Result<(), String> {
    let pairs: Vec<&str> = text.split(':').collect();
    let hex = |pair: &&str| pair.len() == 2 && pair.bytes().all(|b| b.is_ascii_hexdigit());
    match pairs.len() == 32 && pairs.iter().all(hex) {
        true => Ok(()),
        false => Err("value does not match the regex pattern".to_owned()),
    }
}

fn content_list(text: &str) -> Result<(), String> {
    let known = kind::Kind::of("dir").map_or(&[][..], |kind| kind.contents);
    match names(text).find(|name| !known.contains(name)) {
        None => Ok(()),
        Some(name) => Err(format!("invalid content type '{name}'")),
    }
}

fn node_list(text: &str) -> Result<(), String> {
    match names(text).all(|name| server(name).is_ok() && !name.contains('.')) {
        true => Ok(()),
        false => Err("value does not look like a valid node name".to_owned()),
    }
}

impl World {
    fn storage_digest(&self) -> String {
        let mut file = Sections::default();
        for (name, storage) in &self.storages {
            let mut section = storage.settings();
            section.insert("type".to_owned(), storage.kind.as_str().into());
            file.0.insert(name.clone(), section);
        }
        file.digest()
    }

    pub(in super::super) fn storage_definitions(&self, call: &Call) -> Outcome {
        check(call, &[Param::new("type", Shape::OneOf(&kind::NAMES))], &[])?;
        let digest = self.storage_digest();
        let wanted = call.text("type");
        let storages = self.storages.values();
        let storages =
            storages.filter(|storage| wanted.as_ref().is_none_or(|kind| *kind == storage.kind));
        Ok(Reply::data(list(
            storages.map(|storage| storage.definition(&digest)),
        )))
    }

    pub(in super::super) fn storage_definition(&self, name: &str) -> Outcome {
        match self.storages.get(name) {
            Some(storage) => Ok(Reply::data(Value::Object(
                storage.definition(&self.storage_digest()),
            ))),
            None => Err(Reply::failed(format!("storage '{name}' does not exist"))),
        }
    }

    /// Makes, changes and removes definitions.
    pub(in super::super) fn write_storage(
        &mut self,
        method: &str,
        rest: &[&str],
        call: &Call,
    ) -> Outcome {
        match (method, rest) {
            ("POST", []) => self.define_storage(call),
            ("PUT", [name]) => self.change_storage(name, call),
            ("DELETE", [name]) => self.forget_storage(name),
            _ => Err(not_simulated(call)),
        }
    }

    fn define_storage(&mut self, call: &Call) -> Outcome {
        let params = all_params();
        check(call, &params, &[])?;
        let name = call.text("storage").unwrap_or_default();
        let Some(kind) = Kind::of(&call.text("type").unwrap_or_default()) else {
            return Err(not_simulated(call));
        };
        let mut section = settings(call, &params, &["storage", "type"]);
        let secrets = take_secrets(&mut section, kind);
        if section.get("nodes").and_then(Value::as_str) == Some("") {
            section.shift_remove("nodes");
        }
        if kind.mounts && !section.contains_key("path") {
            section.insert("path".to_owned(), format!("/mnt/pve/{name}").into());
        }
        check_section(&section, kind.options, true).map_err(Reply::failed)?;
        kind.complete(&mut section).map_err(Reply::failed)?;
        let refused = |why: String| Reply::failed(format!("create storage failed: {why}"));
        if self.storages.contains_key(&name) {
            return Err(refused(format!("storage ID '{name}' already defined")));
        }
        let told = self
            .keep_secrets(&mut section, &secrets, None)
            .map_err(refused)?;
        let server = section.get("server").and_then(Value::as_str);
        if server.is_some_and(|server| self.around.unreachable.contains(server)) {
            return Err(refused(format!("storage '{name}' is not online")));
        }
        if !section.contains_key("content") {
            let content = kind.default.join(",");
            section.insert("content".to_owned(), content.into());
        }
        if kind.shared {
            section.insert("shared".to_owned(), 1.into());
        }
        let total = match kind.name {
            "dir" | "btrfs" => self.root_size(),
            _ => 1 << 40,
        };
        let mut storage = StorageSpec::bare(&name, kind.name, total);
        storage.take_settings(section);
        self.storages.insert(name.clone(), storage);
        Ok(told_definition(&name, kind.name, told))
    }

    fn change_storage(&mut self, name: &str, call: &Call) -> Outcome {
        check(call, &CHANGEABLE, &["storage"])?;
        let refused = |why: String| Reply::failed(format!("update storage failed: {why}"));
        if call
            .text("digest")
            .is_some_and(|asked| asked != self.storage_digest())
        {
            return Err(refused(crate::simulator::section::MODIFIED.to_owned()));
        }
        let Some(storage) = self.storages.get(name) else {
            return Err(refused(format!("storage '{name}' does not exist")));
        };
        let Some(kind) = Kind::of(&storage.kind) else {
            return Err(not_simulated(call));
        };
        let mut section = storage.settings();
        let mut changes = settings(call, &CHANGEABLE, &["digest", "delete"]);
        let secrets = take_secrets(&mut changes, kind);
        check_section(&changes, kind.options, false).map_err(refused)?;
        kind.complete(&mut changes).map_err(refused)?;
        let delete = call.text("delete").unwrap_or_default();
        change_section(&mut section, changes, kind.options, Some(&delete)).map_err(refused)?;
        let told = self
            .keep_secrets(&mut section, &secrets, Some(&delete))
            .map_err(refused)?;
        if !section.contains_key("content") {
            let content = kind.default.join(",");
            section.insert("content".to_owned(), content.into());
        }
        let kind = kind.name;
        if let Some(storage) = self.storages.get_mut(name) {
            storage.take_settings(section);
        }
        Ok(told_definition(name, kind, told))
    }

    fn forget_storage(&mut self, name: &str) -> Outcome {
        let refused = |why: String| Reply::failed(format!("delete storage failed: {why}"));
        if !self.storages.contains_key(name) {
            return Err(refused(format!("storage '{name}' does not exist")));
        }
        let prefix = format!("{name}:");
        let based = |storage: &Storage| {
            let base = storage.more.get("base").and_then(Value::as_str);
            base.is_some_and(|base| base.starts_with(&prefix))
        };
        if self.storages.values().any(based) {
            return Err(refused(
                "can't remove storage - storage is used as base of another storage".to_owned(),
            ));
        }
        // The server always has a storage of this name.
        if name == "local" {
            if let Some(local) = self.storages.get_mut(name) {
                let content = ["backup", "images", "iso", "rootdir", "snippets", "vztmpl"];
                local.content = content.map(str::to_owned).to_vec();
                local.prune_backups = Some("keep-all=1".to_owned());
                local.more.clear();
            }
        } else {
            self.storages.remove(name);
        }
        Ok(Reply::data(()))
    }

    /// What the definition shows of secrets, and what the answer tells of them.
    fn keep_secrets(
        &mut self,
        section: &mut Map<String, Value>,
        secrets: &Map<String, Value>,
        delete: Option<&str>,
    ) -> Result<Option<Value>, String> {
        let mut told = None;
        if let Some(asked) = secrets.get("encryption-key").map(text_of) {
            let key = match asked.as_str() {
                "autogen" => self.draw_key(),
                given => given.to_owned(),
            };
            let parsed: Option<Value> = serde_json::from_str(&key).ok();
            let Some(parsed) = parsed.filter(|key| key.get("data").is_some()) else {
                return Err(
                    "Value does not seems like a valid, JSON formatted encryption key!".to_owned(),
                );
            };
            let shown = parsed.get("fingerprint").filter(|value| value.is_string());
            let shown = shown.cloned().unwrap_or_else(|| "1".into());
            section.insert("encryption-key".to_owned(), shown);
            told = Some(json!({ "encryption-key": key }));
        }
        if secrets.contains_key("master-pubkey") {
            if delete.is_none() && !section.contains_key("encryption-key") {
                return Err(
                    "'master-pubkey' can only be used together with 'encryption-key'".to_owned(),
                );
            }
            section.insert("master-pubkey".to_owned(), 1.into());
        }
        Ok(told)
    }

    /// A key as the server's tool writes it.
    fn draw_key(&mut self) -> String {
        let mut hex = |count: usize| -> Vec<String> {
            (0..count)
                .map(|_| format!("{:02x}", self.draw() & 0xFF))
                .collect()
        };
        let (data, print) = (hex(32).concat(), hex(8).join(":"));
        let now = seconds(self.now);
        let key = json!({
            "kdf": null, "created": now, "modified": now, "data": data, "fingerprint": print,
        });
        key.to_string()
    }

    fn root_size(&self) -> u64 {
        let files = self.storages.values().find(|storage| storage.is_files());
        files.map_or(100 << 30, |storage| storage.total)
    }
}

/// Secrets do not go into the file.
fn take_secrets(section: &mut Map<String, Value>, kind: &Kind) -> Map<String, Value> {
    let taken = kind.secrets.iter().filter_map(|name| {
        let value = section.shift_remove(*name)?;
        Some(((*name).to_owned(), value))
    });
    taken.collect()
}

fn told_definition(name: &str, kind: &str, config: Option<Value>) -> Reply {
    let mut answer = json!({ "storage": name, "type": kind });
    if let Some(config) = config {
        answer["config"] = config;
    } else if kind == "pbs" {
        answer["config"] = json!({});
    }
    Reply::data(answer)
}
