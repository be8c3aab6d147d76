//! Accounts with authorities, how domains are proven to them, and orders of certificates.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};

use super::{Handled, not_simulated};
use crate::simulator::acme::{DEFAULT, NAMED};
use crate::simulator::answer::{Outcome, Reply};
use crate::simulator::calendar::Moment;
use crate::simulator::engine::Step;
use crate::simulator::guest::text_of;
use crate::simulator::http::Call;
use crate::simulator::operation::{AcmeWork, Caller, Operation};
use crate::simulator::schema::{self, default_key, sub_key};
use crate::simulator::section::{Opt, change_section, check_section};
use crate::simulator::world::World;

/// A domain of a node's certificate.
#[derive(serde::Serialize, serde::Deserialize, Debug, Clone, PartialEq, Eq)]
pub(in super::super) struct Domain {
    pub(in super::super) name: String,
    pub(in super::super) plugin: String,
    /// The option that names it.
    key: String,
}

/// The account and the domains of a node's certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in super::super) struct NodeAcme {
    pub(in super::super) account: String,
    pub(in super::super) domains: Vec<Domain>,
}

impl NodeAcme {
    /// Reads a node's options; `known` tells which plug-ins there are.
    pub(super) fn read(
        config: &Map<String, Value>,
        known: impl Fn(&str) -> bool,
    ) -> Result<Self, String> {
        let text = |key: &str| config.get(key).map(text_of);
        let of = text("acme").unwrap_or_default();
        let mut all = Self {
            account: sub_key(&of, "account").unwrap_or("default").to_owned(),
            domains: Vec::new(),
        };
        let listed = sub_key(&of, "domains").unwrap_or_default();
        for name in listed.split(';').filter(|name| !name.is_empty()) {
            let name = name.to_ascii_lowercase();
            if all.domains.iter().any(|known| known.name == name) {
                return Err(format!(
                    "duplicate domain '{name}' in ACME config properties"
                ));
            }
            all.domains.push(Domain {
                name,
                plugin: "standalone".to_owned(),
                key: "acme".to_owned(),
            });
        }
        for index in 0..=5 {
            let key = format!("acmedomain{index}");
            let Some(text) = text(&key) else { continue };
            let name = default_key(&text, "domain").unwrap_or_default();
            let name = name.to_ascii_lowercase();
            if let Some(other) = all.domains.iter().find(|known| known.name == name) {
                let other = &other.key;
                return Err(format!(
                    "duplicate domain '{name}' in ACME config properties '{key}' and '{other}'"
                ));
            }
            let plugin = sub_key(&text, "plugin").unwrap_or("standalone").to_owned();
            if plugin != "standalone" && !known(&plugin) {
                return Err(format!("plugin '{plugin}' for domain '{name}' not found!"));
            }
            all.domains.push(Domain { name, plugin, key });
        }
        Ok(all)
    }
}

fn options(kind: &str) -> &'static [Opt] {
    const DNS: [Opt; 5] = [
        Opt::required("api"),
        Opt::optional("data"),
        Opt::optional("nodes"),
        Opt::optional("disable"),
        Opt::optional("validation-delay"),
    ];
    const STANDALONE: [Opt; 2] = [Opt::optional("nodes"), Opt::optional("disable")];
    match kind {
        "dns" => &DNS,
        _ => &STANDALONE,
    }
}

/// The settings of a plug-in in a call, as the file keeps them.
fn settings(call: &Call) -> Map<String, Value> {
    const NUMBERS: [&str; 2] = ["disable", "validation-delay"];
    let own = call.params.iter();
    let own = own.filter(|(name, _)| !["id", "type", "digest", "delete"].contains(&name.as_str()));
    own.map(|(name, value)| {
        let text = text_of(value);
        let value = match text.parse::<u64>() {
            Ok(number) if NUMBERS.contains(&name.as_str()) => number.into(),
            // What is sent packed is kept, and shown, as the plug-in reads it.
            _ if name == "data" => {
                let plain = STANDARD.decode(&text).ok();
                let plain = plain.and_then(|bytes| String::from_utf8(bytes).ok());
                plain.unwrap_or(text).into()
            }
            _ => text.into(),
        };
        (name.clone(), value)
    })
    .collect()
}

fn no_account(name: &str) -> Reply {
    Reply::parameter(
        "name",
        format!("ACME account config file '{name}' does not exist."),
    )
}

impl World {
    /// A plug-in; the one that proves domains by the node's own web server is always there.
    pub(in super::super) fn acme_plugin(&self, id: &str) -> Option<Map<String, Value>> {
        let known = self.acme.plugins.0.get(id).cloned();
        known.or_else(|| {
            let kind = ("type".to_owned(), Value::from("standalone"));
            (id == "standalone").then(|| [kind].into_iter().collect())
        })
    }

    /// The account and the domains of a node's certificate.
    pub(in super::super) fn acme_of(&self, config: &Map<String, Value>) -> Result<NodeAcme, Reply> {
        let known = |plugin: &str| self.acme_plugin(plugin).is_some();
        NodeAcme::read(config, known).map_err(Reply::failed)
    }

    fn shown_plugin(&self, id: &str, section: Map<String, Value>) -> Map<String, Value> {
        let mut shown = section;
        shown.insert("plugin".to_owned(), id.into());
        shown.insert("digest".to_owned(), self.acme.plugins.digest().into());
        shown
    }

    pub(super) fn read_acme(&self, rest: &[&str], call: &Call) -> Outcome {
        let directory = || {
            let url = call.text("directory").unwrap_or_else(|| DEFAULT.to_owned());
            self.acme.directory(&url).ok_or_else(|| not_simulated(call))
        };
        Ok(Reply::data(match rest {
            [] => {
                let all = [
                    "account",
                    "tos",
                    "meta",
                    "directories",
                    "plugins",
                    "challenge-schema",
                ];
                json!(all.map(|name| json!({ "name": name })))
            }
            ["account"] => {
                let names = self.acme.accounts.keys();
                names.map(|name| json!({ "name": name })).collect()
            }
            ["account", name] => {
                let known = self.acme.accounts.get(*name);
                let account = known.ok_or_else(|| no_account(name))?;
                let (status, moment) = match account.deactivated {
                    true => ("deactivated", account.created),
                    false => ("valid", account.created),
                };
                let made = Moment::of(moment);
                let made = format!(
                    "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}Z",
                    made.year, made.month, made.day, made.hour, made.minute, made.second
                );
                let mut told = json!({
                    "account": { "status": status, "contact": account.contact, "createdAt": made },
                    "directory": account.directory, "location": account.location,
                });
                if let Some(terms) = &account.terms {
                    told["tos"] = terms.as_str().into();
                }
                told
            }
            ["directories"] => {
                let named = NAMED.iter();
                named
                    .map(|(name, url)| json!({ "name": name, "url": url }))
                    .collect()
            }
            ["tos"] => directory()?.terms().map_or(Value::Null, Value::from),
            ["meta"] => directory()?.meta(),
            ["challenge-schema"] => {
                let entry = |id: &str| json!({ "id": id, "name": id, "type": "dns", "schema": {} });
                let names = schema::choices("POST", "/cluster/acme/plugins", "api");
                names.iter().map(|id| entry(id)).collect()
            }
            ["plugins"] => {
                let mut ids: Vec<&str> = self.acme.plugins.0.keys().map(String::as_str).collect();
                if !ids.contains(&"standalone") {
                    ids.push("standalone");
                }
                let kind = call.text("type");
                let all = ids.into_iter().filter_map(|id| {
                    let section = self.acme_plugin(id)?;
                    let of_kind = kind.as_ref().is_none_or(|kind| section["type"] == **kind);
                    of_kind.then(|| Value::Object(self.shown_plugin(id, section)))
                });
                all.collect()
            }
            ["plugins", id] => {
                let missing = || Reply::failed(format!("ACME plugin '{id}' not defined"));
                let section = self.acme_plugin(id).ok_or_else(missing)?;
                Value::Object(self.shown_plugin(id, section))
            }
            _ => return Err(not_simulated(call)),
        }))
    }

    pub(super) fn write_acme_plugin(
        &mut self,
        method: &str,
        rest: &[&str],
        call: &Call,
    ) -> Outcome {
        let id = match rest {
            [id] => (*id).to_owned(),
            _ => call.text("id").unwrap_or_default(),
        };
        let known = self.acme_plugin(&id);
        let changes = settings(call);
        match (method, known) {
            ("POST", Some(_)) => {
                return Err(Reply::failed(format!(
                    "ACME plugin ID '{id}' already exists"
                )));
            }
            ("POST", None) => {
                let kind = call.text("type").unwrap_or_default();
                check_section(&changes, options(&kind), true).map_err(Reply::failed)?;
                let mut section = changes;
                section.insert("type".to_owned(), kind.into());
                self.acme.plugins.0.insert(id, section);
            }
            ("PUT", known) => {
                self.acme
                    .plugins
                    .assert_unchanged(call)
                    .map_err(Reply::failed)?;
                let missing = || Reply::failed(format!("ACME plugin ID '{id}' does not exist"));
                let mut section = known.ok_or_else(missing)?;
                let kind = section.get("type").map(text_of).unwrap_or_default();
                let delete = call.text("delete");
                change_section(&mut section, changes, options(&kind), delete.as_deref())
                    .map_err(Reply::failed)?;
                self.acme.plugins.0.insert(id, section);
            }
            ("DELETE", _) => {
                // One that is not there is no matter.
                self.acme.plugins.0.remove(&id);
            }
            _ => return Err(not_simulated(call)),
        }
        Ok(Reply::data(()))
    }

    /// Registers, changes or deactivates an account: always a task.
    pub(super) fn write_acme_account(
        &mut self,
        method: &str,
        rest: &[&str],
        call: &Call,
        caller: &Caller,
    ) -> Outcome {
        let given = rest.first().map(|name| (*name).to_owned());
        let name = given.or_else(|| call.text("name"));
        let name = name.unwrap_or_else(|| "default".to_owned());
        let known = self.acme.accounts.contains_key(&name);
        let contact = call.text("contact").unwrap_or_default();
        let contact: Vec<String> = schema::parts(&contact)
            .map(|address| format!("mailto:{address}"))
            .collect();
        let (kind, work) = match method {
            "POST" if known => {
                let why = format!("ACME account config file '{name}' already exists.");
                return Err(Reply::parameter("name", why));
            }
            "POST" => {
                let url = call.text("directory").unwrap_or_else(|| DEFAULT.to_owned());
                let directory = self
                    .acme
                    .directory(&url)
                    .ok_or_else(|| not_simulated(call))?;
                let external = call.text("eab-kid").zip(call.text("eab-hmac-key"));
                let external = external.as_ref();
                let external = external.map(|(kid, key)| (kid.as_str(), key.as_str()));
                let agreed = call.text("tos_url");
                let refusal = directory.refuse_account(agreed.as_deref(), external).err();
                let work = AcmeWork::Register {
                    name,
                    directory: url,
                    contact,
                    terms: agreed,
                    refusal,
                };
                ("acmeregister", work)
            }
            _ if !known => return Err(no_account(&name)),
            "PUT" if contact.is_empty() => ("acmerefresh", AcmeWork::Refresh { name }),
            "PUT" => ("acmeupdate", AcmeWork::Update { name, contact }),
            "DELETE" => ("acmedeactivate", AcmeWork::Deactivate { name }),
            _ => return Err(not_simulated(call)),
        };
        let node = self.nodes.keys().next().cloned().unwrap_or_default();
        Ok(self.start_acme(&node, kind, work, caller))
    }

    fn start_acme(&mut self, node: &str, kind: &str, work: AcmeWork, caller: &Caller) -> Reply {
        let steps = vec![Step::Check(0), Step::Finish];
        let operation = Operation::Acme(Box::new(work));
        self.start_task(node, kind, "", caller, operation, steps)
    }

    /// Orders, renews or revokes the certificate of a node: always a task.
    pub(super) fn acme_certificate(
        &mut self,
        node: &str,
        rest: &[&str],
        call: &Call,
        caller: &Caller,
    ) -> Handled {
        match (call.method.as_str(), rest) {
            ("GET", []) => Handled::Now(Reply::data(json!([{ "name": "certificate" }]))),
            (method, ["certificate"]) => self.order(method, node, call, caller).into(),
            _ => Handled::Now(not_simulated(call)),
        }
    }

    fn order(&mut self, method: &str, node: &str, call: &Call, caller: &Caller) -> Outcome {
        let Some(state) = self.nodes.get(node) else {
            return Err(not_simulated(call));
        };
        let held = state.upkeep.certificate.is_some();
        let force = call.flag("force");
        let refuse = |why: &str| Err(Reply::parameter("force", why));
        match method {
            "POST" if held && !force => {
                return refuse("Custom certificate exists but 'force' is not set.");
            }
            "PUT" if !held => {
                return Err(Reply::failed(
                    "No current (custom) certificate found, please order a new certificate!",
                ));
            }
            "PUT" if !force && !self.certificate_ends_soon(node) => {
                return refuse(
                    "Certificate does not expire within the next 30 days, and 'force' is not set.",
                );
            }
            _ => {}
        }
        let acme = self.acme_of(&state.upkeep.config)?;
        if acme.domains.is_empty() {
            let text = "ACME domain list in node configuration is missing!";
            return Err(Reply::refusal(400, text));
        }
        if method == "DELETE" && !held {
            let path = format!("/etc/pve/nodes/{node}/pveproxy-ssl.pem");
            return Err(Reply::failed(format!(
                "can't open '{path}' - No such file or directory"
            )));
        }
        let NodeAcme { account, domains } = acme;
        let node = node.to_owned();
        let (kind, work) = match method {
            "DELETE" => ("acmerevoke", AcmeWork::Revoke { node, account }),
            _ => {
                let renews = method == "PUT";
                let kind = if renews { "acmerenew" } else { "acmenewcert" };
                let work = AcmeWork::Order {
                    node,
                    account,
                    domains,
                    renews,
                };
                (kind, work)
            }
        };
        let node = match &work {
            AcmeWork::Revoke { node, .. } | AcmeWork::Order { node, .. } => node.clone(),
            _ => String::new(),
        };
        Ok(self.start_acme(&node, kind, work, caller))
    }
}
