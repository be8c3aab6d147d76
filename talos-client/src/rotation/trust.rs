//! What a node's configuration says about one authority, in the sections up to 1.13 and the documents from 1.14.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use zeroize::Zeroizing;

use super::RotatedCa;
use crate::config::{Document, MachineConfig};
use crate::error::{Error, ErrorKind};
use crate::value::{Map, Value};

/// The document of the Kubernetes CA from 1.14 on.
const DOCUMENT: &str = "KubeAPIServerCAConfig";

/// The authority that issues, with its key on control plane nodes, and those that are accepted beside it; all PEM.
#[derive(Clone, PartialEq)]
pub(super) struct Trust {
    pub(super) issuing: String,
    pub(super) key: Option<Zeroizing<String>>,
    pub(super) accepted: Vec<String>,
}

/// Where an authority stands.
enum Place {
    /// `PATH.crt`, `PATH.key` and a list of `crt`, base64 of PEM.
    Section {
        issuing: &'static str,
        accepted: &'static str,
    },
    /// `issuingCA.cert`, `issuingCA.key` and a list of texts, PEM. A worker has the list alone, the issuing one first.
    Document,
}

fn place(ca: RotatedCa, config: &MachineConfig) -> Place {
    match ca {
        RotatedCa::TalosApi => Place::Section {
            issuing: "machine.ca",
            accepted: "machine.acceptedCAs",
        },
        RotatedCa::Kubernetes if config.of_kind(DOCUMENT).next().is_some() => Place::Document,
        RotatedCa::Kubernetes => Place::Section {
            issuing: "cluster.ca",
            accepted: "cluster.acceptedCAs",
        },
    }
}

impl Trust {
    /// `None` for a configuration without the authority.
    pub(super) fn read(ca: RotatedCa, config: &MachineConfig) -> Option<Self> {
        match place(ca, config) {
            Place::Section { issuing, accepted } => {
                let main = config.main()?;
                let pem = |path: &str| {
                    let bytes = Zeroizing::new(STANDARD.decode(main.at(path)?.as_text()?).ok()?);
                    let text = std::str::from_utf8(&bytes).ok()?;
                    (!text.is_empty()).then(|| Zeroizing::new(text.to_owned()))
                };
                let list = main.at(accepted).map(Value::as_list).unwrap_or_default();
                let accepted = list.iter().filter_map(|item| {
                    let bytes = STANDARD.decode(item.at("crt")?.as_text()?).ok()?;
                    String::from_utf8(bytes).ok()
                });
                Some(Self {
                    issuing: pem(&format!("{issuing}.crt"))?.to_string(),
                    key: pem(&format!("{issuing}.key")),
                    accepted: accepted.collect(),
                })
            }
            Place::Document => {
                let document = config.of_kind(DOCUMENT).next()?;
                let text = |path: &str| document.at(path)?.as_text().map(str::to_owned);
                let list = document.at("acceptedCAs").map(Value::as_list);
                let list = list.unwrap_or_default().iter().filter_map(Value::as_text);
                let mut accepted: Vec<String> = list.map(str::to_owned).collect();
                let issuing = match text("issuingCA.cert") {
                    Some(issuing) => issuing,
                    None if accepted.is_empty() => return None,
                    None => accepted.remove(0),
                };
                Some(Self {
                    issuing,
                    key: text("issuingCA.key").map(Zeroizing::new),
                    accepted,
                })
            }
        }
    }

    /// Puts it where the configuration has its authority.
    pub(super) fn write(&self, ca: RotatedCa, config: &mut MachineConfig) -> Result<(), Error> {
        let place = place(ca, config);
        let kind = match place {
            Place::Section { .. } => None,
            Place::Document => Some(DOCUMENT),
        };
        let document = config
            .documents
            .iter_mut()
            .find(|document| document.kind == kind);
        let document = document.ok_or_else(|| {
            let message = "the configuration has no main document";
            Error::new(ErrorKind::InvalidConfig, message)
        })?;
        match place {
            Place::Section { issuing, accepted } => {
                let encoded = |pem: &str| Value::Text(Zeroizing::new(STANDARD.encode(pem)));
                let mut pair = Map::default();
                pair.set("crt", encoded(&self.issuing));
                if let Some(key) = &self.key {
                    pair.set("key", encoded(key));
                }
                put(document, issuing, Some(Value::Map(pair)));
                let list = self.accepted.iter();
                let list = list
                    .map(|pem| Value::map([("crt", encoded(pem))]))
                    .collect();
                put(document, accepted, filled(list));
            }
            Place::Document => {
                let text = |pem: &String| Value::text(pem.as_str());
                let mut list: Vec<Value> = self.accepted.iter().map(text).collect();
                match &self.key {
                    Some(key) => {
                        let pair = [
                            ("cert", text(&self.issuing)),
                            ("key", Value::Text(key.clone())),
                        ];
                        put(document, "issuingCA", Some(Value::map(pair)));
                    }
                    None => list.insert(0, text(&self.issuing)),
                }
                put(document, "acceptedCAs", filled(list));
            }
        }
        Ok(())
    }
}

fn filled(list: Vec<Value>) -> Option<Value> {
    (!list.is_empty()).then_some(Value::List(list))
}

/// Sets a field by its dotted path, or takes it away.
fn put(document: &mut Document, path: &'static str, value: Option<Value>) {
    let (section, field) = path
        .split_once('.')
        .map_or((None, path), |(s, f)| (Some(s), f));
    let map = match section {
        None => Some(&mut document.values),
        Some(section) => match document.values.get_mut(section) {
            Some(Value::Map(map)) => Some(map),
            _ => None,
        },
    };
    match (map, value) {
        (Some(map), Some(value)) => map.set(field, value),
        (Some(map), None) => {
            map.remove(field);
        }
        (None, _) => {}
    }
}
