//! What the schema does not say: `overlay.json`, held against the schema.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, ensure};
use serde_json::{Map, Value};

/// Property strings that the dump only names: their keys, as pve-common 9.2.1, qemu-server 9.2.6, pve-storage 9.1.7,
/// pve-guest-common, pve-network and pve-access-control 9.1.1 register them.
pub(super) const FORMATS: &str = include_str!("formats.json");

/// The file.
pub(super) struct Overlay(Value);

/// What a write that answers a text means by it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Text {
    Task,
    TaskOrNothing,
    Plain,
    Secret,
}

/// How long a call may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Pace {
    Ordinary,
    Slow,
    Transfer,
}

/// Whether only root may set a parameter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Root {
    Always,
    SomeValues,
}

const TEXTS: [(&str, Text); 4] = [
    ("task", Text::Task),
    ("task-or-nothing", Text::TaskOrNothing),
    ("text", Text::Plain),
    ("secret-text", Text::Secret),
];

const PACES: [(&str, Pace); 2] = [("slow", Pace::Slow), ("transfer", Pace::Transfer)];

impl Overlay {
    pub(super) fn read() -> anyhow::Result<Self> {
        let file = serde_json::from_str(include_str!("overlay.json"));
        file.map(Self).context("the overlay is not JSON")
    }

    /// The highest index of a numbered parameter, given its name without `[n]`.
    pub(super) fn bound(&self, stem: &str) -> u64 {
        self.bounds()[stem].as_u64().unwrap_or(255)
    }

    /// The bounds as an object, for the compact schema.
    pub(super) fn bounds(&self) -> &Value {
        &self.0["bounds"]["last"]
    }

    /// The release that brought a call.
    pub(super) fn since(&self, call: &str) -> Option<&str> {
        self.releases()
            .find(|(_, brought)| names(&brought["calls"], call))
            .map(|(release, _)| release)
    }

    /// The release that brought a parameter to a call that was there before.
    pub(super) fn since_parameter(&self, call: &str, name: &str) -> Option<&str> {
        self.releases()
            .find(|(_, brought)| names(&brought["parameters"][name], call))
            .map(|(release, _)| release)
    }

    /// The release that brought a key to the property string of a parameter that was there before.
    pub(super) fn since_key(&self, call: &str, parameter: &str, key: &str) -> Option<&str> {
        let name = format!("{parameter}.{key}");
        self.releases()
            .find(|(_, brought)| names(&brought["keys"][&name], call))
            .map(|(release, _)| release)
    }

    fn releases(&self) -> impl Iterator<Item = (&str, &Value)> {
        members(&self.0["since"]["releases"])
    }

    /// What a write that answers a text means by it.
    pub(super) fn text(&self, call: &str) -> Option<Text> {
        let listed = |(list, _): &&(&str, Text)| names(&self.0["answers"][*list], call);
        TEXTS.iter().find(listed).map(|(_, text)| *text)
    }

    /// The type that reads an answer better than the schema tells it.
    pub(super) fn answer(&self, call: &str) -> Option<&str> {
        members(&self.0["answers"]["types"])
            .find(|(_, calls)| names(calls, call))
            .map(|(name, _)| name)
    }

    /// The call whose parameters are the members of an answer.
    pub(super) fn like(&self, call: &str) -> Option<&str> {
        self.0["answers"]["like"][call].as_str()
    }

    /// An answer that the schema leaves out.
    pub(super) fn fields(&self, call: &str) -> Option<&Value> {
        self.0["answers"]["fields"].get(call)
    }

    pub(super) fn pace(&self, call: &str) -> Pace {
        let listed = |(list, _): &&(&str, Pace)| names(&self.0["deadlines"][*list], call);
        let found = PACES.iter().find(listed);
        found.map_or(Pace::Ordinary, |(_, pace)| *pace)
    }

    pub(super) fn is_secret(&self, call: &str, parameter: &str) -> bool {
        names(&self.0["secrets"]["parameters"][parameter], call)
    }

    /// The members of an answer, at any depth, that are secret.
    pub(super) fn secrets(&self, call: &str) -> BTreeSet<&str> {
        let of = |table: &str, call: &str| -> Vec<&str> {
            members(&self.0["secrets"][table])
                .filter(|(_, calls)| names(calls, call))
                .map(|(name, _)| name)
                .collect()
        };
        let of_parameters = self.like(call).map(|like| of("parameters", like));
        let own = of("answers", call).into_iter();
        own.chain(of_parameters.into_iter().flatten()).collect()
    }

    /// Whether an answer holds a secret: it is one, has a member that is, or is like parameters of which one is.
    pub(super) fn answers_secrets(&self, call: &str, returns: &Value) -> bool {
        let whole = self.text(call) == Some(Text::Secret)
            || names(&self.0["secrets"]["whole answers"], call);
        let mut told = BTreeSet::new();
        gather(returns, &mut told);
        let secrets = self.secrets(call);
        whole || self.like(call).is_some() && !secrets.is_empty() || !secrets.is_disjoint(&told)
    }

    /// The members that are secret in every answer.
    pub(super) fn always_secret(&self) -> BTreeSet<&str> {
        let tables = ["parameters", "answers"].map(|table| &self.0["secrets"][table]);
        let all = tables.into_iter().flat_map(members);
        all.filter(|(_, calls)| calls.is_string())
            .map(|(name, _)| name)
            .collect()
    }

    pub(super) fn root(&self, call: &str, parameter: &str) -> Option<Root> {
        let listed = |table: &str| names(&self.0["root"][table][parameter], call);
        match (listed("parameters"), listed("some")) {
            (true, _) => Some(Root::Always),
            (false, true) => Some(Root::SomeValues),
            (false, false) => None,
        }
    }

    /// Whether everyone may turn off a flag that only root may turn on.
    pub(super) fn may_be_off(&self, parameter: &str) -> bool {
        names(&self.0["root"]["unless off"], parameter)
    }

    /// Refuses entries that name nothing, and writes that answer a text of which nobody says what it means.
    pub(super) fn check(&self, schema: &Value) -> anyhow::Result<()> {
        let known = Known::read(schema)?;
        for (release, brought) in self.releases() {
            let place = format!("since {release}");
            known.calls(&brought["calls"], &place)?;
            known.parameters(&brought["parameters"], &place)?;
            for (name, calls) in members(&brought["keys"]) {
                known.calls(calls, &place)?;
                let (parameter, key) = name.rsplit_once('.').context("a key has no parameter")?;
                for call in texts(calls) {
                    let known = keys(schema, known.params[call].get(parameter));
                    let has = known.is_some_and(|known| known.contains_key(key));
                    ensure!(has, "{place}: {call} has no key {name}");
                }
            }
        }
        let answers = &self.0["answers"];
        let mut classified = BTreeSet::new();
        for (list, _) in TEXTS {
            known.calls(&answers[list], list)?;
            for call in texts(&answers[list]) {
                ensure!(known.texts.contains(call), "{list}: {call} answers no text");
                ensure!(classified.insert(call), "{list}: {call} stands twice");
            }
        }
        if let Some(call) = known
            .texts
            .iter()
            .find(|call| !classified.contains(call.as_str()))
        {
            anyhow::bail!("{call} answers a text, and nothing says whether it is a task");
        }
        for (name, calls) in members(&answers["types"]) {
            known.calls(calls, name)?;
        }
        for (call, like) in members(&answers["like"]) {
            known.call(call, "like")?;
            known.call(like.as_str().context("like: no text")?, "like")?;
        }
        for (call, _) in members(&answers["fields"]) {
            known.call(call, "fields")?;
        }
        for (list, _) in PACES {
            known.calls(&self.0["deadlines"][list], list)?;
        }
        known.parameters(&self.0["secrets"]["parameters"], "secrets")?;
        known.calls(&self.0["secrets"]["whole answers"], "secrets")?;
        for (name, calls) in members(&self.0["secrets"]["answers"]) {
            let tells = |call: &str| {
                known
                    .answers
                    .get(call)
                    .is_some_and(|all| all.contains(name))
            };
            match calls {
                Value::String(_) => ensure!(
                    known.answers.keys().any(|call| tells(call)),
                    "secrets: no answer has a member {name}"
                ),
                list => {
                    known.calls(list, "secrets")?;
                    let other = texts(list).find(|call| !tells(call));
                    ensure!(other.is_none(), "secrets: {other:?} answers no {name}");
                }
            }
        }
        known.parameters(&self.0["root"]["parameters"], "root")?;
        for name in texts(&self.0["root"]["unless off"]) {
            let listed = self.0["root"]["parameters"].get(name).is_some();
            ensure!(listed, "root: {name} may be off, but is nobody's alone");
        }
        known.parameters(&self.0["root"]["some"], "root")
    }
}

/// What there is to be named.
struct Known<'a> {
    params: BTreeMap<String, &'a Map<String, Value>>,
    /// Members of answers, at any depth.
    answers: BTreeMap<String, BTreeSet<&'a str>>,
    /// Writes that answer a text.
    texts: BTreeSet<String>,
}

impl<'a> Known<'a> {
    fn read(schema: &'a Value) -> anyhow::Result<Self> {
        let mut known = Self {
            params: BTreeMap::new(),
            answers: BTreeMap::new(),
            texts: BTreeSet::new(),
        };
        for method in schema["methods"].as_array().context("no methods")? {
            let call = call_of(method);
            let params = method["params"].as_object().context("no parameters")?;
            let number = method["returns"].as_u64().context("no answer")?;
            let returns = &schema["shapes"][number as usize];
            let mut names = BTreeSet::new();
            gather(returns, &mut names);
            if returns["type"] == "string" && method["verb"] != "GET" {
                known.texts.insert(call.clone());
            }
            known.answers.insert(call.clone(), names);
            known.params.insert(call, params);
        }
        Ok(known)
    }

    fn call(&self, call: &str, place: &str) -> anyhow::Result<()> {
        ensure!(
            self.params.contains_key(call),
            "{place}: there is no call {call}"
        );
        Ok(())
    }

    fn calls(&self, list: &Value, place: &str) -> anyhow::Result<()> {
        ensure!(list.is_array(), "{place}: no list of calls");
        texts(list).try_for_each(|call| self.call(call, place))
    }

    /// A table of names, each with the calls that have it as a parameter.
    fn parameters(&self, table: &Value, place: &str) -> anyhow::Result<()> {
        for (name, calls) in members(table) {
            if calls.is_string() {
                let any = self.params.values().any(|params| params.contains_key(name));
                ensure!(any, "{place}: no call has a parameter {name}");
                continue;
            }
            self.calls(calls, place)?;
            for call in texts(calls) {
                ensure!(
                    self.params[call].contains_key(name),
                    "{place}: {call} has no parameter {name}"
                );
            }
        }
        Ok(())
    }
}

/// The keys of a parameter that is a property string, or a list of such; the parameter is given by its shape's number.
pub(super) fn keys<'a>(
    schema: &'a Value,
    number: Option<&Value>,
) -> Option<&'a Map<String, Value>> {
    let shape = &schema["shapes"][number?.as_u64()? as usize];
    let shape = shape.get("items").unwrap_or(shape);
    match &shape["format"] {
        Value::String(name) => schema["formats"][name].as_object(),
        spelled_out => spelled_out.as_object(),
    }
}

/// `VERB /path` of a line of the compact schema.
pub(super) fn call_of(method: &Value) -> String {
    let text = |key: &str| method[key].as_str().unwrap_or_default();
    format!("{} {}", text("verb"), text("path"))
}

/// The names of all members of an answer, at any depth.
pub(super) fn gather<'a>(schema: &'a Value, names: &mut BTreeSet<&'a str>) {
    for (name, member) in members(&schema["properties"]) {
        names.insert(name);
        gather(member, names);
    }
    if let Some(items) = schema.get("items") {
        gather(items, names);
    }
}

fn members(value: &Value) -> impl Iterator<Item = (&str, &Value)> {
    let members = value.as_object().into_iter().flatten();
    members.map(|(name, value)| (name.as_str(), value))
}

fn texts(list: &Value) -> impl Iterator<Item = &str> {
    list.as_array()
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
}

/// Whether a list names a call; `*` stands for every call.
fn names(list: &Value, call: &str) -> bool {
    list == "*" || texts(list).any(|named| named == call)
}
