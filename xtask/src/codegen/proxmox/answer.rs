//! The types of answers.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use anyhow::Context;
use serde_json::{Map, Value, json};

use super::area;
use super::describe::describe_member;
use super::overlay::{Text, call_of, gather};
use super::rust::{Module, text};

impl Module<'_> {
    /// The type of an answer; prints it unless an equal one is there.
    pub(super) fn answer(
        &mut self,
        verb: &str,
        path: &str,
        name: &str,
        returns: &Value,
    ) -> anyhow::Result<String> {
        let call = format!("{verb} {path}");
        if let Some(known) = self.overlay.answer(&call) {
            return Ok(known.to_owned());
        }
        let secrets = self.overlay.secrets(&call);
        let like;
        let returns = match (self.overlay.fields(&call), self.overlay.like(&call)) {
            (Some(fields), _) => fields,
            (None, Some(other)) => {
                like = self.like(other)?;
                &like
            }
            (None, None) => returns,
        };
        Ok(match text(returns, "type") {
            "null" => "Ack".to_owned(),
            "boolean" if verb != "GET" => "Ack".to_owned(),
            "boolean" => "bool".to_owned(),
            "integer" => "i64".to_owned(),
            "string" => match self.overlay.text(&call) {
                Some(Text::Task) => "crate::Upid".to_owned(),
                Some(Text::TaskOrNothing) => "Option<crate::Upid>".to_owned(),
                Some(Text::Secret) => "secrecy::SecretString".to_owned(),
                Some(Text::Plain) | None => "Option<String>".to_owned(),
            },
            "array" => {
                let items = &returns["items"];
                match text(items, "type") {
                    "string" => "Vec<String>".to_owned(),
                    _ if items["properties"]
                        .as_object()
                        .is_some_and(|properties| !properties.is_empty()) =>
                    {
                        format!(
                            "Vec<{}>",
                            self.object(&format!("{name}Item"), items, &secrets)?
                        )
                    }
                    "object" => "Vec<Object>".to_owned(),
                    _ => "Vec<serde_json::Value>".to_owned(),
                }
            }
            _ if returns["properties"]
                .as_object()
                .is_some_and(|properties| !properties.is_empty()) =>
            {
                self.object(&format!("{name}Answer"), returns, &secrets)?
            }
            "object" => "Object".to_owned(),
            _ => "serde_json::Value".to_owned(),
        })
    }

    /// An object of what a call takes, without what only steers the call; and its digest.
    fn like(&self, call: &str) -> anyhow::Result<Value> {
        const STEERING: [&str; 4] = ["delete", "lock-token", "node", "check-connection"];
        let method = self.schema.iter().find(|method| call_of(method) == call);
        let method = method.with_context(|| format!("no call {call}"))?;
        let mut members = Map::new();
        for (name, number) in method["params"].as_object().context("no parameters")? {
            if !STEERING.contains(&name.as_str()) {
                let mut schema = self.shape(number)?.clone();
                if let Some(schema) = schema.as_object_mut() {
                    schema.remove("default");
                    schema.remove("since");
                }
                members.insert(name.clone(), schema);
            }
        }
        members.insert("digest".to_owned(), json!({ "type": "string" }));
        Ok(json!({ "type": "object", "properties": members }))
    }

    /// A view of an object's members.
    fn object(
        &mut self,
        name: &str,
        schema: &Value,
        secrets: &BTreeSet<&str>,
    ) -> anyhow::Result<String> {
        if is_place(schema) {
            return Ok("crate::api::Below".to_owned());
        }
        let mut inside = BTreeSet::new();
        gather(schema, &mut inside);
        let secrets: BTreeSet<&str> = secrets.intersection(&inside).copied().collect();
        let key = format!("{} {secrets:?}", schema["properties"]);
        if let Some(known) = self.answers.get(&key) {
            return Ok(known.clone());
        }
        let mut name = name.to_owned();
        while !self.names.insert(name.clone()) {
            name.push('_');
        }
        self.answers.insert(key, name.clone());
        let properties = schema["properties"].as_object().context("no properties")?;
        let mut getters = String::new();
        let mut used: BTreeSet<String> = ["object", "get"].map(str::to_owned).into();
        for (member, schema) in properties {
            let (stem, indexed) = match member.strip_suffix("[n]") {
                Some(stem) => (stem, true),
                None => (member.as_str(), false),
            };
            let mut rust = area::snake(stem);
            while !used.insert(rust.clone()) {
                rust.push('_');
            }
            let inner = self.member(&name, member, schema, &secrets)?;
            writeln!(getters, "\n/// {}", describe_member(member, schema))?;
            if indexed {
                writeln!(
                    getters,
                    "pub fn {rust}(&self, index: u16) -> Option<{inner}> {{ self.0.get(&format!(\"{stem}{{index}}\")) }}"
                )?;
            } else {
                writeln!(
                    getters,
                    "pub fn {rust}(&self) -> Option<{inner}> {{ self.0.get({member:?}) }}"
                )?;
            }
        }
        writeln!(
            self.out,
            "\ncrate::api::object!({name}{});\n\nimpl {name} {{{getters}}}",
            match secrets.is_empty() {
                true => String::new(),
                false => format!(", {:?}", secrets.iter().collect::<Vec<_>>()),
            }
        )?;
        Ok(name)
    }

    fn member(
        &mut self,
        parent: &str,
        member: &str,
        schema: &Value,
        secrets: &BTreeSet<&str>,
    ) -> anyhow::Result<String> {
        let secret = secrets.contains(member);
        let nested = |schema: &Value| {
            schema["properties"]
                .as_object()
                .is_some_and(|p| !p.is_empty())
        };
        Ok(match text(schema, "type") {
            "boolean" => "bool".to_owned(),
            "integer" => "i64".to_owned(),
            "number" => "f64".to_owned(),
            "string" if secret => "secrecy::SecretString".to_owned(),
            "array" if secret && text(&schema["items"], "type") == "string" => {
                "Vec<secrecy::SecretString>".to_owned()
            }
            "string" => "String".to_owned(),
            "array" if nested(&schema["items"]) => {
                let name = format!("{parent}{}", area::camel(member));
                format!("Vec<{}>", self.object(&name, &schema["items"], secrets)?)
            }
            "array" if text(&schema["items"], "type") == "string" => "Vec<String>".to_owned(),
            _ if nested(schema) => {
                self.object(&format!("{parent}{}", area::camel(member)), schema, secrets)?
            }
            _ => "serde_json::Value".to_owned(),
        })
    }
}

/// Whether an object tells the name of what lies below a path and nothing else.
fn is_place(schema: &Value) -> bool {
    let members = schema["properties"].as_object();
    members.is_some_and(|members| {
        members.len() == 1
            && ["name", "subdir", "cmd"]
                .iter()
                .any(|name| members.contains_key(*name))
    })
}
