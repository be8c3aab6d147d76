//! Functions and operators by the types that they take.

use super::Environment;
use super::checker::Type;

pub(super) enum Resolved {
    Gives(Type),
    /// There is a function of this name, but not for these types.
    NoOverload,
    Unknown,
}

/// Whether one type can stand where the other is wanted.
fn fits(a: &Type, b: &Type) -> bool {
    match (a, b) {
        (Type::Dynamic, _) | (_, Type::Dynamic) => true,
        (Type::List(a), Type::List(b)) | (Type::Optional(a), Type::Optional(b)) => fits(a, b),
        (Type::Map(a, b), Type::Map(c, d)) => fits(a, c) && fits(b, d),
        // Null stands for absent messages, durations and times.
        (Type::Null, Type::Message(_) | Type::Duration | Type::Timestamp)
        | (Type::Message(_) | Type::Duration | Type::Timestamp, Type::Null) => true,
        (a, b) => a == b,
    }
}

fn all_fit(given: &[Type], wanted: &[Type]) -> bool {
    given.len() == wanted.len() && given.iter().zip(wanted).all(|(a, b)| fits(a, b))
}

fn any() -> Type {
    Type::Dynamic
}

fn list_of_any() -> Type {
    Type::List(Box::new(Type::Dynamic))
}

fn map_of_any() -> Type {
    Type::Map(Box::new(Type::Dynamic), Box::new(Type::Dynamic))
}

const ORDERED: [Type; 8] = [
    Type::Bool,
    Type::Int,
    Type::Uint,
    Type::Double,
    Type::Text,
    Type::Bytes,
    Type::Timestamp,
    Type::Duration,
];

pub(super) fn resolve(
    environment: Environment,
    name: &str,
    on: Option<&Type>,
    given: &[Type],
) -> Resolved {
    let result = match on {
        None => operator(name, given).or_else(|| global(environment, name, given)),
        Some(target) => member(environment, name, target, given),
    };
    match result {
        None => Resolved::Unknown,
        Some(None) => Resolved::NoOverload,
        Some(Some(ty)) => Resolved::Gives(ty),
    }
}

/// Whether there is such a thing, and what it gives.
type Found = Option<Option<Type>>;

/// The first overload that fits.
fn overloads(given: &[Type], table: &[(&[Type], Type)]) -> Found {
    let matching: Vec<&Type> = table
        .iter()
        .filter(|(wanted, _)| all_fit(given, wanted))
        .map(|(_, gives)| gives)
        .collect();
    let Some(first) = matching.first() else {
        return Some(None);
    };
    // Several that fit make the result as open as the arguments.
    let same = matching.iter().all(|gives| gives == first);
    Some(Some(if same { (*first).clone() } else { any() }))
}

fn arithmetic(kinds: &[Type]) -> Vec<(Vec<Type>, Type)> {
    let same = |ty: &Type| (vec![ty.clone(), ty.clone()], ty.clone());
    kinds.iter().map(same).collect()
}

fn operator(name: &str, given: &[Type]) -> Found {
    use Type::{Bool, Bytes, Double, Duration, Int, Text, Timestamp, Uint};
    let numbers = [Int, Uint, Double];
    let mut table: Vec<(Vec<Type>, Type)> = match name {
        "_&&_" | "_||_" => vec![(vec![Bool, Bool], Bool)],
        "!_" => vec![(vec![Bool], Bool)],
        "-_" => vec![(vec![Int], Int), (vec![Double], Double)],
        "_*_" | "_/_" => arithmetic(&numbers),
        "_%_" => arithmetic(&[Int, Uint]),
        "_+_" => arithmetic(&[Int, Uint, Double, Text, Bytes, Duration]),
        "_-_" => arithmetic(&[Int, Uint, Double, Duration]),
        "_<_" | "_<=_" | "_>_" | "_>=_" => ORDERED
            .into_iter()
            .map(|ty| (vec![ty.clone(), ty], Bool))
            .collect(),
        "_==_" | "_!=_" => {
            let [a, b] = given else { return Some(None) };
            return Some(fits(a, b).then_some(Bool));
        }
        "_?_:_" => {
            let [condition, yes, no] = given else {
                return Some(None);
            };
            return Some((fits(condition, &Bool) && fits(yes, no)).then(|| yes.clone()));
        }
        "@in" => {
            let [item, container] = given else {
                return Some(None);
            };
            let fine = match container {
                Type::List(inner) => fits(item, inner),
                Type::Map(key, _) => fits(item, key),
                other => *other == Type::Dynamic,
            };
            return Some(fine.then_some(Bool));
        }
        "_[_]" | "_[?_]" => {
            let [container, index] = given else {
                return Some(None);
            };
            let inner = match container {
                Type::List(item) if fits(index, &Int) => Some((**item).clone()),
                Type::Map(key, value) if fits(index, key) => Some((**value).clone()),
                Type::Dynamic => Some(any()),
                _ => None,
            };
            let optional = name == "_[?_]";
            return Some(inner.map(|inner| {
                if optional {
                    Type::Optional(Box::new(inner))
                } else {
                    inner
                }
            }));
        }
        _ => return None,
    };
    match name {
        "_+_" => {
            table.push((vec![Timestamp, Duration], Timestamp));
            table.push((vec![Duration, Timestamp], Timestamp));
            if let [a @ Type::List(_), b] = given
                && fits(a, b)
            {
                return Some(Some(a.clone()));
            }
        }
        "_-_" => {
            table.push((vec![Timestamp, Timestamp], Duration));
            table.push((vec![Timestamp, Duration], Timestamp));
        }
        _ => {}
    }
    let table: Vec<(&[Type], Type)> = table
        .iter()
        .map(|(wanted, gives)| (wanted.as_slice(), gives.clone()))
        .collect();
    overloads(given, &table)
}

fn sized(given: &[Type]) -> Found {
    overloads(
        given,
        &[
            (&[Type::Text], Type::Int),
            (&[Type::Bytes], Type::Int),
            (&[list_of_any()], Type::Int),
            (&[map_of_any()], Type::Int),
        ],
    )
}

fn global(environment: Environment, name: &str, given: &[Type]) -> Found {
    use Type::{Bool, Bytes, Double, Duration, Int, Text, Timestamp, Uint};
    let convert = |from: &[Type], to: Type| -> Found {
        let [one] = given else { return Some(None) };
        Some(from.iter().any(|from| fits(one, from)).then_some(to))
    };
    match (environment, name) {
        (Environment::Disk | Environment::Link, "glob") => {
            return overloads(given, &[(&[Text, Text], Bool)]);
        }
        (Environment::Link, "mac") => return overloads(given, &[(&[Bytes], Text)]),
        (Environment::OomTrigger, "multiply_qos_vectors") => {
            let vector = || Type::Map(Box::new(any()), Box::new(Double));
            return overloads(given, &[(&[vector(), vector()], Double)]);
        }
        _ => {}
    }
    match name {
        "size" => sized(given),
        "int" => convert(&[Int, Uint, Double, Text, Timestamp, Duration], Int),
        "uint" => convert(&[Int, Uint, Double, Text], Uint),
        "double" => convert(&[Int, Uint, Double, Text], Double),
        "string" => convert(
            &[Bool, Int, Uint, Double, Text, Bytes, Timestamp, Duration],
            Text,
        ),
        "bytes" => convert(&[Text, Bytes], Bytes),
        "bool" => convert(&[Bool, Text], Bool),
        "duration" => convert(&[Text, Duration, Int], Duration),
        "timestamp" => convert(&[Text, Timestamp, Int], Timestamp),
        "dyn" | "type" => Some((given.len() == 1).then(any)),
        "matches" => overloads(given, &[(&[Text, Text], Bool)]),
        _ => None,
    }
}

fn member(environment: Environment, name: &str, target: &Type, given: &[Type]) -> Found {
    use Type::{Bool, Duration, Int, Text, Timestamp};
    let on = |wanted: &[Type], arguments: &[Type], gives: Type| -> Found {
        let fine = wanted.iter().any(|wanted| fits(target, wanted)) && all_fit(given, arguments);
        Some(fine.then_some(gives))
    };
    let optionals = matches!(
        environment,
        Environment::OomTrigger | Environment::OomRanking
    );
    match name {
        "size" if given.is_empty() => sized(std::slice::from_ref(target)),
        "size" => Some(None),
        "contains" | "startsWith" | "endsWith" | "matches" => on(&[Text], &[Text], Bool),
        "getHours" | "getMinutes" | "getSeconds" | "getMilliseconds" => {
            if given.is_empty() {
                on(&[Duration, Timestamp], &[], Int)
            } else {
                on(&[Timestamp], &[Text], Int)
            }
        }
        "getFullYear" | "getMonth" | "getDayOfYear" | "getDayOfMonth" | "getDate"
        | "getDayOfWeek" => {
            if given.is_empty() {
                on(&[Timestamp], &[], Int)
            } else {
                on(&[Timestamp], &[Text], Int)
            }
        }
        "hasValue" | "value" | "orValue" | "or" if optionals => {
            let inner = match target {
                Type::Optional(inner) => (**inner).clone(),
                Type::Dynamic => any(),
                _ => return Some(None),
            };
            let optional = || Type::Optional(Box::new(inner.clone()));
            Some(match name {
                "hasValue" => given.is_empty().then_some(Bool),
                "value" => given.is_empty().then(|| inner.clone()),
                "orValue" => all_fit(given, std::slice::from_ref(&inner)).then(|| inner.clone()),
                _ => all_fit(given, &[optional()]).then(optional),
            })
        }
        _ => None,
    }
}
