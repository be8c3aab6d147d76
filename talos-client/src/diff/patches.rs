//! Patches from two configurations.

use std::borrow::Cow;

use zeroize::Zeroizing;

use crate::config::{Document, MachineConfig};
use crate::error::{Error, ErrorKind};
use crate::patch::Patch;
use crate::value::{Map, Value};
use crate::yaml::{parse, print};

const DIRECTIVE: &str = "$patch";

pub(super) fn between(old: &MachineConfig, new: &MachineConfig) -> Result<Vec<Patch>, Error> {
    if old.means_the_same(new) {
        return Ok(Vec::new());
    }
    if old.main().is_some() && new.main().is_none() {
        return Err(Error::new(
            ErrorKind::InvalidPatch,
            "no patch removes the main document",
        ));
    }
    let patches = passes(old, new, |_| false)?;
    let result = applied(old, &patches)?;
    if result.means_the_same(new) {
        return Ok(patches);
    }
    // Merging leaves something behind in these documents: they are deleted and set anew.
    let stubborn = |document: &Document| {
        let title = document.title();
        let find = |config: &MachineConfig| {
            let twin = config.documents.iter().find(|twin| twin.title() == title);
            twin.map(|twin| twin.print(None))
        };
        find(&result) != find(new)
    };
    let patches = passes(old, new, stubborn)?;
    if applied(old, &patches)?.means_the_same(new) {
        Ok(patches)
    } else {
        Err(Error::new(
            ErrorKind::InvalidPatch,
            "no patch turns the one configuration into the other",
        ))
    }
}

fn applied(config: &MachineConfig, patches: &[Patch]) -> Result<MachineConfig, Error> {
    patches
        .iter()
        .try_fold(config.clone(), |config, patch| config.patched(patch))
}

/// Documents as free-form maps.
fn plain(document: &Document) -> Map {
    let text = document.print(None);
    let nodes = parse::documents(&text).unwrap_or_default();
    match nodes.first().map(Value::free) {
        Some(Value::Map(map)) => map,
        _ => Map::default(),
    }
}

fn is_identity(document: &Document, key: &str) -> bool {
    match document.kind {
        None => key == "version",
        Some(_) => matches!(key, "apiVersion" | "kind" | "name"),
    }
}

fn identity(document: &Document, all: &Map) -> Map {
    let pairs = all.0.iter().filter(|(key, _)| is_identity(document, key));
    Map(pairs.cloned().collect())
}

fn deleted() -> Value {
    Value::map([(DIRECTIVE, Value::text("delete"))])
}

fn passes(
    old: &MachineConfig,
    new: &MachineConfig,
    stubborn: impl Fn(&Document) -> bool,
) -> Result<Vec<Patch>, Error> {
    let twin = |config: &MachineConfig, document: &Document| -> Option<Document> {
        let found = config
            .documents
            .iter()
            .find(|twin| twin.same_identity(document));
        found.cloned()
    };
    let (mut first, mut second): (Vec<Map>, Vec<Map>) = (Vec::new(), Vec::new());
    for document in &old.documents {
        let all = plain(document);
        let Some(target) = twin(new, document) else {
            let mut gone = identity(document, &all);
            gone.set(DIRECTIVE, Value::text("delete"));
            first.push(gone);
            continue;
        };
        let wanted = plain(&target);
        let mut sets = [Map::default(), Map::default()];
        if stubborn(document) {
            // Everything goes, then everything comes.
            if document.kind.is_some() {
                sets[0] = identity(document, &all);
                sets[0].set(DIRECTIVE, Value::text("delete"));
            } else {
                for (key, _) in all.0.iter().filter(|(key, _)| !is_identity(document, key)) {
                    sets[0].set(key.clone(), deleted());
                }
            }
            sets[1] = wanted;
        } else {
            for (pass, set) in sets.iter_mut().enumerate() {
                *set = changes(&all, &wanted, pass == 0, &|key| is_identity(document, key));
                if !set.is_empty() {
                    let mut head = identity(document, &wanted);
                    head.0.append(&mut set.0);
                    *set = head;
                }
            }
        }
        let [one, two] = sets;
        first.extend((!one.is_empty()).then_some(one));
        second.extend((!two.is_empty()).then_some(two));
    }
    let added = new
        .documents
        .iter()
        .filter(|document| twin(old, document).is_none());
    first.extend(added.map(plain));
    [first, second]
        .into_iter()
        .filter(|documents| !documents.is_empty())
        .map(|documents| Patch::load(&text(&documents)))
        .collect()
}

/// What a pass says: the first one deletes and sets, the second one fills lists that the first one emptied.
fn changes(old: &Map, new: &Map, first: bool, skip: &dyn Fn(&str) -> bool) -> Map {
    let mut found = Map::default();
    let nothing = |_: &str| false;
    for (key, wanted) in new.0.iter().filter(|(key, _)| !skip(key)) {
        match (old.get(key), wanted) {
            (Some(Value::Map(old)), Value::Map(new)) => {
                let inner = changes(old, new, first, &nothing);
                if !inner.is_empty() {
                    found.set(key.clone(), Value::Map(inner));
                }
            }
            (Some(Value::List(old)), Value::List(new)) if old != new => {
                let value = if first { deleted() } else { wanted.clone() };
                found.set(key.clone(), value);
            }
            (Some(old), new) if old == new => {}
            _ if first => found.set(key.clone(), wanted.clone()),
            _ => {}
        }
    }
    if first {
        for (key, _) in old
            .0
            .iter()
            .filter(|(key, _)| new.get(key).is_none() && !skip(key))
        {
            found.set(key.clone(), deleted());
        }
    }
    found
}

fn text(documents: &[Map]) -> Zeroizing<String> {
    let size = documents.iter().map(Map::printed_size).sum();
    let mut out = Zeroizing::new(String::with_capacity(size));
    for (index, document) in documents.iter().enumerate() {
        if index > 0 {
            out.push_str("---\n");
        }
        let pairs = document
            .0
            .iter()
            .map(|(key, value)| (Cow::Borrowed(&**key), crate::config::encode::free(value)));
        print::document(&mut out, &print::Out::Map(pairs.collect()));
    }
    out
}
