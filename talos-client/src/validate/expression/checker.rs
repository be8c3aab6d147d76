//! Types of expressions.

use super::functions;
use super::parser::{Expr, Form};
use super::{Environment, Issue};

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Type {
    Bool,
    Int,
    Uint,
    Double,
    Text,
    Bytes,
    Null,
    Duration,
    Timestamp,
    /// Anything, and whatever follows from something that was told already.
    Dynamic,
    List(Box<Type>),
    Map(Box<Type>, Box<Type>),
    Optional(Box<Type>),
    Message(&'static str),
}

impl std::fmt::Display for Type {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Bool => f.write_str("bool"),
            Self::Int => f.write_str("int"),
            Self::Uint => f.write_str("uint"),
            Self::Double => f.write_str("double"),
            Self::Text => f.write_str("string"),
            Self::Bytes => f.write_str("bytes"),
            Self::Null => f.write_str("null"),
            Self::Duration => f.write_str("google.protobuf.Duration"),
            Self::Timestamp => f.write_str("google.protobuf.Timestamp"),
            Self::Dynamic => f.write_str("dyn"),
            Self::List(item) => write!(f, "list({item})"),
            Self::Map(key, value) => write!(f, "map({key}, {value})"),
            Self::Optional(inner) => write!(f, "optional_type({inner})"),
            Self::Message(name) => write!(f, "talos.resource.definitions.{name}"),
        }
    }
}

const DISK: &str = "block.DiskSpec";
const VOLUME: &str = "block.DiscoveredVolumeSpec";
const LINK: &str = "network.LinkStatusSpec";

/// Fields by type: `u` unsigned, `i` int, `b` bool, `s` text, `y` bytes, `l` list of texts, `d` further messages.
const FIELDS: [(&str, &str); 3] = [
    (
        DISK,
        "u:size u:io_size u:sector_size b:readonly s:model s:serial s:modalias s:wwid s:bus_path s:sub_system s:transport b:rotational b:cdrom s:dev_path s:pretty_size l:secondary_disks s:uuid l:symlinks s:firmware_version",
    ),
    (
        VOLUME,
        "u:size u:sector_size u:io_size s:name s:uuid s:label u:block_size u:filesystem_block_size u:probed_size s:partition_uuid s:partition_type s:partition_label u:partition_index s:type s:device_path s:parent s:dev_path s:parent_dev_path s:pretty_size u:offset",
    ),
    (
        LINK,
        "u:index i:type u:link_index u:flags y:hardware_addr y:broadcast_addr u:mtu s:queue_disc u:master_index i:operational_state s:kind s:slave_kind s:bus_path s:pciid s:driver s:driver_version s:firmware_version s:product_id s:vendor_id s:product s:vendor b:link_state i:speed_megabits i:port i:duplex d:vlan d:bridge_master d:bond_master d:wireguard y:permanent_addr s:alias l:alt_names d:vrf_master d:veth",
    ),
];
const UNITS: &str = "KiB MiB GiB TiB PiB EiB kB MB GB TB PB EB";
const CLASSES: &str = "Besteffort Burstable Guaranteed Podruntime System";

fn field(message: &str, name: &str) -> Option<Type> {
    let (_, fields) = FIELDS.iter().find(|(known, _)| *known == message)?;
    let kind = fields
        .split(' ')
        .filter_map(|field| field.split_once(':'))
        .find(|(_, known)| *known == name)?
        .0;
    Some(match kind {
        "u" => Type::Uint,
        "i" => Type::Int,
        "b" => Type::Bool,
        "s" => Type::Text,
        "y" => Type::Bytes,
        "l" => Type::List(Box::new(Type::Text)),
        _ => Type::Dynamic,
    })
}

/// `d_qos_memory_full_avg10` and its kind.
fn pressure(name: &str) -> Option<Type> {
    let bare = name.strip_prefix("d_").unwrap_or(name);
    let (bare, by_class) = match bare.strip_prefix("qos_") {
        Some(bare) => (bare, true),
        None => (bare, false),
    };
    let measure = bare.strip_prefix("memory_")?;
    let averages = ["avg10", "avg60", "avg300", "total"];
    let stall = measure
        .strip_prefix("some_")
        .or_else(|| measure.strip_prefix("full_"))
        .is_some_and(|average| averages.contains(&average));
    let absolute = by_class && matches!(measure, "current" | "peak" | "max");
    match (stall, absolute, by_class) {
        (true, _, false) => Some(Type::Double),
        (true, _, true) | (_, true, _) => {
            Some(Type::Map(Box::new(Type::Int), Box::new(Type::Double)))
        }
        _ => None,
    }
}

pub(super) struct Checker {
    environment: Environment,
    pub(super) issues: Vec<Issue>,
    /// Variables of macros, innermost last.
    local: Vec<(String, Type)>,
}

impl Checker {
    pub(super) fn new(environment: Environment) -> Self {
        Self {
            environment,
            issues: Vec::new(),
            local: Vec::new(),
        }
    }

    fn has_optionals(&self) -> bool {
        matches!(
            self.environment,
            Environment::OomTrigger | Environment::OomRanking
        )
    }

    fn variable(&self, name: &str) -> Option<Type> {
        if let Some((_, ty)) = self.local.iter().rev().find(|(known, _)| known == name) {
            return Some(ty.clone());
        }
        let environment = self.environment;
        let optional = |ty: Type| Type::Optional(Box::new(ty));
        let own = match (environment, name) {
            (Environment::Disk | Environment::Volume, "disk") => Some(Type::Message(DISK)),
            (Environment::Disk, "system_disk") => Some(Type::Bool),
            (Environment::Volume, "volume") => Some(Type::Message(VOLUME)),
            (Environment::Link, "link") => Some(Type::Message(LINK)),
            (Environment::OomTrigger, "time_since_trigger") => Some(Type::Duration),
            (Environment::OomTrigger, name) => pressure(name),
            (Environment::OomRanking, "memory_max" | "memory_current" | "memory_peak") => {
                Some(optional(Type::Uint))
            }
            (Environment::OomRanking, "path") => Some(Type::Text),
            (Environment::OomRanking, "class") => Some(Type::Int),
            _ => None,
        };
        let has = |words: &str| words.split(' ').any(|word| word == name);
        own.or_else(|| (environment != Environment::Link && has(UNITS)).then_some(Type::Uint))
            .or_else(|| (self.has_optionals() && has(CLASSES)).then_some(Type::Int))
    }

    fn issue(&mut self, at: usize, message: impl Into<String>) -> Type {
        self.issues.push(Issue::new(at, message));
        Type::Dynamic
    }

    fn undeclared(&mut self, at: usize, name: &str) -> Type {
        self.issue(
            at,
            format!("undeclared reference to '{name}' (in container '')"),
        )
    }

    pub(super) fn check(&mut self, expr: &Expr) -> Type {
        match &expr.form {
            Form::Bool => Type::Bool,
            Form::Int => Type::Int,
            Form::Uint => Type::Uint,
            Form::Double => Type::Double,
            Form::Text => Type::Text,
            Form::Bytes => Type::Bytes,
            Form::Null => Type::Null,
            Form::Name(name) => match self.variable(name) {
                Some(ty) => ty,
                None => self.undeclared(expr.at, name),
            },
            Form::List(items) => {
                let types: Vec<Type> = items.iter().map(|item| self.check(item)).collect();
                Type::List(Box::new(joined(types)))
            }
            Form::Map(entries) => {
                let (mut keys, mut values) = (Vec::new(), Vec::new());
                for (key, value) in entries {
                    keys.push(self.check(key));
                    values.push(self.check(value));
                }
                Type::Map(Box::new(joined(keys)), Box::new(joined(values)))
            }
            Form::Select(base, name) => self.select(expr.at, base, name),
            Form::Message(name) => self.undeclared(expr.at, name),
            Form::Call {
                name,
                target,
                arguments,
            } => self.call(expr.at, name, target.as_deref(), arguments),
        }
    }

    fn select(&mut self, at: usize, base: &Expr, name: &str) -> Type {
        let base = self.check(base);
        self.selected(at, base, name)
    }

    fn selected(&mut self, at: usize, base: Type, name: &str) -> Type {
        match base {
            Type::Dynamic => Type::Dynamic,
            Type::Map(_, value) => *value,
            Type::Optional(inner) => Type::Optional(Box::new(self.selected(at, *inner, name))),
            Type::Message(message) => match field(message, name) {
                Some(ty) => ty,
                None => self.issue(at, format!("undefined field '{name}'")),
            },
            other => self.issue(
                at,
                format!("type '{other}' does not support field selection"),
            ),
        }
    }

    fn call(&mut self, at: usize, name: &str, target: Option<&Expr>, arguments: &[Expr]) -> Type {
        if let Some(ty) = self.comprehension(name, target, arguments) {
            return ty;
        }
        if let ("has", None, [argument]) = (name, target, arguments) {
            return match &argument.form {
                Form::Select(..) => {
                    self.check(argument);
                    Type::Bool
                }
                _ => self.issue(argument.at, "invalid argument to has() macro"),
            };
        }
        // `optional.of(x)` is a function with a dot in its name.
        if let Some(Expr {
            form: Form::Name(space),
            ..
        }) = target
            && space == "optional"
            && self.has_optionals()
            && self.variable(space).is_none()
        {
            let inner = arguments
                .first()
                .map_or(Type::Dynamic, |argument| self.check(argument));
            return Type::Optional(Box::new(inner));
        }
        let on = target.map(|target| self.check(target));
        let given: Vec<Type> = arguments
            .iter()
            .map(|argument| self.check(argument))
            .collect();
        match functions::resolve(self.environment, name, on.as_ref(), &given) {
            functions::Resolved::Gives(ty) => ty,
            functions::Resolved::Unknown => self.undeclared(at, name),
            functions::Resolved::NoOverload => {
                let shown: Vec<String> = given.iter().map(ToString::to_string).collect();
                let list = shown.join(", ");
                let signature = match on {
                    Some(on) => format!("{on}.({list})"),
                    None => format!("({list})"),
                };
                let message =
                    format!("found no matching overload for '{name}' applied to '{signature}'");
                self.issue(at, message)
            }
        }
    }

    /// `list.exists(x, …)` and its kind.
    fn comprehension(
        &mut self,
        name: &str,
        target: Option<&Expr>,
        arguments: &[Expr],
    ) -> Option<Type> {
        let target = target?;
        let optional = self.has_optionals() && matches!(name, "optMap" | "optFlatMap");
        if !optional
            && !matches!(
                name,
                "all" | "exists" | "exists_one" | "existsOne" | "map" | "filter"
            )
        {
            return None;
        }
        let (variable, rest) = arguments.split_first()?;
        let Form::Name(variable) = &variable.form else {
            return None;
        };
        if rest.is_empty() || rest.len() > 2 || (rest.len() == 2 && name != "map") {
            return None;
        }
        let range = self.check(target);
        let item = match &range {
            Type::Optional(inner) if optional => (**inner).clone(),
            Type::List(item) => (**item).clone(),
            Type::Map(key, _) => (**key).clone(),
            Type::Dynamic => Type::Dynamic,
            other => {
                let message = format!(
                    "expression of type '{other}' cannot be range of a comprehension (must be list, map, or dynamic)"
                );
                self.issue(target.at, message)
            }
        };
        self.local.push((variable.clone(), item));
        let types: Vec<Type> = rest.iter().map(|step| self.check(step)).collect();
        self.local.pop();
        let last = types.last().cloned().unwrap_or(Type::Dynamic);
        Some(match name {
            "map" => Type::List(Box::new(last)),
            "filter" => range,
            "optMap" => Type::Optional(Box::new(last)),
            "optFlatMap" => last,
            _ => Type::Bool,
        })
    }
}

/// The type of all, or anything when they differ.
fn joined(types: Vec<Type>) -> Type {
    let mut types = types.into_iter();
    let Some(first) = types.next() else {
        return Type::Dynamic;
    };
    if types.all(|other| other == first) {
        first
    } else {
        Type::Dynamic
    }
}
