//! What is known about calls beyond their parameters: how long they take, what is secret, which version brought them.

#[path = "generated/known.rs"]
mod table;

use std::collections::BTreeSet;

use secrecy::zeroize::Zeroize as _;

use crate::error::Error;
use crate::property::PropertyString;
use crate::rights::{Reserved, ReservedTo};
use crate::version::Need;
use crate::wire::{Method, Request};

/// How long a call may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Pace {
    /// The server answers from what it has at hand.
    Ordinary,
    /// It works before it answers: it asks other servers, the guest or every disk, or allocates.
    Slow,
    /// A file goes with the call or comes with the answer.
    Transfer,
}

/// Whether a path, with or without values, is one of a path with placeholders.
pub(crate) fn is_of(template: &str, path: &str) -> bool {
    // A volume's name or a network may hold slashes; both end their paths.
    let open_end = template.ends_with("/{volume}") || template.ends_with("/{cidr}");
    let mut given = path.split('/');
    let fits = template.split('/').all(|wanted| {
        given
            .next()
            .is_some_and(|given| match wanted.starts_with('{') {
                true => !given.is_empty(),
                false => wanted == given,
            })
    });
    fits && (open_end || given.next().is_none())
}

/// Something about calls, by method and path.
pub(crate) type Table<T> = &'static [(Method, &'static str, T)];

/// The entry of a call; that with the most words of the path, where several fit.
fn find<T>(table: Table<T>, method: Method, path: &str) -> Option<&'static T> {
    let words = |template: &str| {
        template
            .split('/')
            .filter(|word| !word.starts_with('{'))
            .count()
    };
    let fitting = table
        .iter()
        .filter(|(known, template, _)| *known == method && is_of(template, path));
    fitting
        .max_by_key(|(_, template, _)| words(template))
        .map(|(_, _, found)| found)
}

/// How long a request may take.
pub(crate) fn pace(request: &Request) -> Pace {
    let found = find(table::PACES, request.method(), request.path());
    found.copied().unwrap_or(Pace::Ordinary)
}

/// Whether a parameter, as it is sent, is this one, as the interface names it: `net0` is `net[n]`.
fn is_parameter(known: &str, name: &str) -> bool {
    match known.strip_suffix("[n]") {
        Some(stem) => name.strip_prefix(stem).is_some_and(is_number),
        None => known == name,
    }
}

/// What a request needs of the server beyond the oldest known version: for the call, for parameters of it, or for keys
/// that property strings among them name.
pub(crate) fn needs(request: &Request) -> Vec<Need> {
    let (method, path) = (request.method(), request.path());
    let call = find(table::CALLS, method, path).map(|since| Need::of_call(*since));
    let parameters = find(table::PARAMETERS, method, path)
        .copied()
        .unwrap_or(&[]);
    let keys = find(table::KEYS, method, path).copied().unwrap_or(&[]);
    let mut needs: Vec<Need> = call.into_iter().collect();
    for (name, value) in request.params().iter() {
        let since = parameters
            .iter()
            .find(|(known, _)| is_parameter(known, name));
        needs.extend(since.map(|(_, since)| Need::of_parameter(*since, name)));
        let mut new = keys
            .iter()
            .filter(|(known, ..)| is_parameter(known, name))
            .peekable();
        if new.peek().is_none() {
            continue;
        }
        let string = PropertyString::parse(value);
        let named: BTreeSet<&str> = string.parts().filter_map(|(key, _)| key).collect();
        let new = new.filter(|(_, key, _)| named.contains(key));
        needs.extend(new.map(|(_, key, since)| Need::of_key(*since, name, key)));
    }
    needs
}

fn is_number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// What of a request is left to a few callers.
pub(crate) fn reserved(request: &Request) -> Vec<Reserved> {
    let (method, path) = (request.method(), request.path());
    let whole = |table, to| find::<()>(table, method, path).map(|()| Reserved::call(to));
    let calls = [
        whole(table::ROOT_CALLS, ReservedTo::Root),
        whole(table::TICKET_CALLS, ReservedTo::Tickets),
    ];
    let known = find(table::ROOT_PARAMETERS, method, path);
    let known = known.copied().unwrap_or(&[]);
    let is_known = |name: &str, value: Option<&str>| {
        known.iter().any(|(known, may_be_off)| {
            is_parameter(known, name) && !(*may_be_off && value == Some("0"))
        })
    };
    let mut parameters = BTreeSet::new();
    for (name, value) in request.params().iter() {
        if is_known(name, Some(value)) {
            parameters.insert(name);
        }
        // Keys of a configuration: who may not set one may not remove it either.
        if name == "delete" {
            let removed = value.split([',', ';', ' ']);
            parameters.extend(removed.filter(|name| is_known(name, None)));
        }
    }
    let parameters = parameters.into_iter().map(Reserved::parameter);
    calls.into_iter().flatten().chain(parameters).collect()
}

/// Whether what a call answers holds a secret.
pub(crate) fn answers_secrets(request: &Request) -> bool {
    find(table::SECRET_ANSWERS, request.method(), request.path()).is_some()
}

/// Takes secret values of a request out of what is told about its failure, should the server repeat them.
pub(crate) fn without_secrets(error: Error, request: &Request) -> Error {
    let Some(names) = find(table::SECRETS, request.method(), request.path()) else {
        return error;
    };
    let secret = request.params().iter().filter(|(name, value)| {
        // Shorter ones would tear holes into words, and hide nothing.
        names.contains(name) && value.len() >= 4
    });
    let mut values: Vec<String> = secret.map(|(_, value)| value.to_owned()).collect();
    let error = error.without(&values);
    values.iter_mut().for_each(|value| value.zeroize());
    error
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Kind;

    fn request(method: Method, path: &str) -> Request {
        Request::new(method, path, &[])
    }

    #[test]
    fn a_path_is_one_of_a_template() {
        assert!(is_of(
            "/nodes/{node}/qemu/{vmid}/config",
            "/nodes/pve1/qemu/100/config"
        ));
        assert!(is_of("/nodes/{node}/qemu", "/nodes/{node}/qemu"));
        assert!(!is_of("/nodes/{node}/qemu", "/nodes/pve1"));
        assert!(!is_of("/nodes/{node}/qemu", "/nodes//qemu"));
        assert!(!is_of("/nodes/{node}/qemu", "/nodes/pve1/qemu/100"));
        assert!(is_of("/a/{volume}", "/a/local:100/disk"));
    }

    #[test]
    fn calls_know_their_pace() {
        let of = |method, path| pace(&request(method, path));
        assert_eq!(of(Method::Get, "/nodes/pve1/scan/nfs"), Pace::Slow);
        assert_eq!(
            of(Method::Post, "/nodes/pve1/storage/local/upload"),
            Pace::Transfer
        );
        assert_eq!(of(Method::Get, "/version"), Pace::Ordinary);
        assert_eq!(
            of(Method::Get, "/nodes/pve1/qemu/100/config"),
            Pace::Ordinary
        );
        assert_eq!(of(Method::Put, "/nodes/pve1/qemu/100/config"), Pace::Slow);
    }

    #[test]
    fn needs_name_the_call_or_its_parameters() {
        let needs = |request: Request| {
            let needs = super::needs(&request);
            needs.iter().map(ToString::to_string).collect::<Vec<_>>()
        };
        assert_eq!(needs(request(Method::Get, "/cluster/ha/rules")), ["9.0"]);
        assert!(needs(request(Method::Get, "/version")).is_empty());
        let config = request(Method::Put, "/nodes/pve1/qemu/100/config");
        let config = config
            .with("virtiofs3", "a")
            .with("cores", "2")
            .with("virtiofs", "b");
        assert_eq!(needs(config), ["8.4 for `virtiofs3`"]);
        let config = |key: &str, value: &str| {
            needs(request(Method::Put, "/nodes/pve1/qemu/100/config").with(key, value))
        };
        assert_eq!(
            config("machine", "q35,viommu=intel"),
            ["8.2 for `viommu` of `machine`"]
        );
        assert_eq!(
            config("net7", "virtio,bridge=vmbr0,host-tunnel=1"),
            ["9.2 for `host-tunnel` of `net7`"]
        );
        // What older servers take as it is: a value without its key, and a key's name as a value.
        for (key, value) in [("machine", "q35"), ("memory", "2048"), ("cpu", "level")] {
            assert!(config(key, value).is_empty(), "{key}");
        }
    }

    #[test]
    fn failures_do_not_repeat_secrets() {
        let request = request(Method::Post, "/access/ticket").with("password", "hunter22");
        let told = Error::new(Kind::Parameter, "value 'hunter22' is wrong")
            .with_parameters([("password".to_owned(), "not hunter22".to_owned())].into());
        let told = without_secrets(told, &request).to_string();
        assert!(!told.contains("hunter22"), "{told}");
        assert!(told.contains("value '…' is wrong"), "{told}");
    }
}
