//! Files of named sections: which settings a section may have, how they change, and the digest over all of them.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use sha1::{Digest, Sha1};

use super::answer::Reply;
use super::guest::text_of;
use super::http::Call;

/// The sections of one file by name.
#[derive(Serialize, Deserialize, Debug, Clone, Default)]
pub(super) struct Sections(pub(super) BTreeMap<String, Map<String, Value>>);

impl Sections {
    /// SHA-1 over what the file would hold.
    pub(super) fn digest(&self) -> String {
        let mut hash = Sha1::new();
        for (name, section) in &self.0 {
            hash.update(format!("{name}\n{}\n", Value::Object(section.clone())));
        }
        let hash = hash.finalize();
        hash.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// Refuses a change that was decided on another state of the file.
    pub(super) fn assert_unchanged(&self, call: &Call) -> Result<(), String> {
        match call.text("digest") {
            Some(digest) if digest != self.digest() => Err(MODIFIED.to_owned()),
            _ => Ok(()),
        }
    }
}

/// The text of a digest that does not match a file's.
pub(super) const MODIFIED: &str =
    "detected modified configuration - file changed by other user? Try again.";

/// What a setting's value must be.
#[derive(Debug, Clone, Copy)]
pub(super) enum Shape {
    Text,
    Flag,
    Integer(i64, i64),
    /// A number of this at least.
    Number(f64),
    OneOf(&'static [&'static str]),
    /// A text of a named format, with the text of a refusal.
    Format(fn(&str) -> Result<(), String>),
    /// Several texts.
    Array,
}

/// A parameter that a method declares.
#[derive(Debug, Clone, Copy)]
pub(super) struct Param {
    pub(super) name: &'static str,
    shape: Shape,
    required: bool,
}

impl Param {
    pub(super) const fn new(name: &'static str, shape: Shape) -> Self {
        Self {
            name,
            shape,
            required: false,
        }
    }

    pub(super) const fn required(name: &'static str, shape: Shape) -> Self {
        Self {
            name,
            shape,
            required: true,
        }
    }

    /// The same where it must be given.
    pub(super) const fn needed(self) -> Self {
        Self {
            required: true,
            ..self
        }
    }
}

/// Refuses parameters that a method does not declare, that have the wrong type, or that are missing, all at once.
pub(super) fn check(call: &Call, declared: &[Param], in_path: &[&str]) -> Result<(), Reply> {
    let mut errors = Map::new();
    for (name, value) in &call.params {
        let why = match declared.iter().find(|param| param.name == name) {
            Some(param) => param.shape.check(value),
            None if in_path.contains(&name.as_str()) => Ok(()),
            None => Err(
                "property is not defined in schema and the schema does not allow additional properties"
                    .to_owned(),
            ),
        };
        if let Err(why) = why {
            errors.insert(name.clone(), why.into());
        }
    }
    for param in declared {
        if param.required && !call.params.contains_key(param.name) {
            let why = "property is missing and it is not optional";
            errors.insert(param.name.to_owned(), why.into());
        }
    }
    if errors.is_empty() {
        Ok(())
    } else {
        Err(Reply::parameters(errors))
    }
}

impl Shape {
    fn check(&self, value: &Value) -> Result<(), String> {
        if value.is_array() && !matches!(self, Self::Array) {
            return Err("type check ('string') failed - got ARRAY".to_owned());
        }
        let text = text_of(value);
        let mistyped = |kind: &str| Err(format!("type check ('{kind}') failed - got '{text}'"));
        match self {
            Self::Text | Self::Array => Ok(()),
            Self::Flag => match text.as_str() {
                "0" | "1" => Ok(()),
                _ if matches!(value, Value::Bool(_)) => Ok(()),
                _ => mistyped("boolean"),
            },
            Self::Integer(least, most) => match text.parse::<i64>() {
                Ok(number) if number < *least => {
                    Err(format!("value must have a minimum value of {least}"))
                }
                Ok(number) if number > *most => {
                    Err(format!("value must have a maximum value of {most}"))
                }
                Ok(_) => Ok(()),
                Err(_) => mistyped("integer"),
            },
            Self::Number(least) => match text.parse::<f64>() {
                Ok(number) if number < *least => {
                    Err(format!("value must have a minimum value of {least}"))
                }
                Ok(number) if number.is_finite() => Ok(()),
                _ => mistyped("number"),
            },
            Self::OneOf(known) if known.contains(&text.as_str()) => Ok(()),
            Self::OneOf(known) => Err(format!(
                "value '{text}' does not have a value in the enumeration '{}'",
                known.join(", ")
            )),
            Self::Format(good) => good(&text).map_err(|why| format!("invalid format - {why}\n")),
        }
    }

    /// A value as the file keeps it.
    fn stored(&self, value: &Value) -> Value {
        let text = text_of(value);
        match self {
            Self::Flag => u8::from(text == "1" || text == "true").into(),
            Self::Integer(..) => text.parse::<i64>().map_or(Value::Null, Value::from),
            // The file's parser leaves numbers that are not whole as text.
            Self::Array => match value {
                Value::Array(_) => value.clone(),
                one => Value::Array(vec![one.clone()]),
            },
            _ => text.into(),
        }
    }
}

/// The settings in a call: those parameters that are declared and not named here.
pub(super) fn settings(call: &Call, declared: &[Param], without: &[&str]) -> Map<String, Value> {
    let own = call.params.iter().filter_map(|(name, value)| {
        let param = declared.iter().find(|param| param.name == name)?;
        (!without.contains(&param.name)).then(|| (name.clone(), param.shape.stored(value)))
    });
    own.collect()
}

/// An option of a kind of section.
#[derive(Debug, Clone, Copy)]
pub(super) struct Opt {
    pub(super) name: &'static str,
    pub(super) optional: bool,
    pub(super) fixed: bool,
}

impl Opt {
    pub(super) const fn optional(name: &'static str) -> Self {
        Self {
            name,
            optional: true,
            fixed: false,
        }
    }

    pub(super) const fn required(name: &'static str) -> Self {
        Self {
            name,
            optional: false,
            fixed: false,
        }
    }

    pub(super) const fn fixed(self) -> Self {
        Self {
            fixed: true,
            ..self
        }
    }
}

/// What a kind of section refuses of settings, when it is made or when it is changed.
pub(super) fn check_section(
    settings: &Map<String, Value>,
    options: &[Opt],
    new: bool,
) -> Result<(), String> {
    for name in settings.keys() {
        match options.iter().find(|option| option.name == name) {
            None => return Err(format!("unexpected property '{name}'")),
            Some(option) if option.fixed && !new => {
                return Err(format!("can't change value of fixed parameter '{name}'"));
            }
            Some(_) => {}
        }
    }
    let missing = options
        .iter()
        .find(|option| new && !option.optional && !settings.contains_key(option.name));
    match missing {
        Some(option) => Err(format!(
            "missing value for required option '{}'",
            option.name
        )),
        None => Ok(()),
    }
}

/// Changes a section: sets what is given, then removes what `delete` names.
pub(super) fn change_section(
    section: &mut Map<String, Value>,
    changes: Map<String, Value>,
    options: &[Opt],
    delete: Option<&str>,
) -> Result<(), String> {
    check_section(&changes, options, false)?;
    let gone = delete.unwrap_or_default().split([',', ';', ' ']);
    let gone: Vec<&str> = gone.filter(|name| !name.is_empty()).collect();
    for name in &gone {
        let option = options.iter().find(|option| option.name == *name);
        match option {
            None => return Err(format!("no such option '{name}'")),
            Some(option) if !option.optional => {
                return Err(format!("unable to delete required option '{name}'"));
            }
            Some(option) if option.fixed => {
                return Err(format!("unable to delete fixed option '{name}'"));
            }
            Some(_) if changes.contains_key(*name) => {
                return Err(format!(
                    "cannot set and delete property '{name}' at the same time!"
                ));
            }
            Some(_) => {}
        }
    }
    section.extend(changes);
    for name in gone {
        section.shift_remove(name);
    }
    Ok(())
}
