//! From policies as written to rules that can be matched, with every reason for which the agent would refuse them.

mod cilium;
mod cluster;
mod kubernetes;
mod peers;
mod ports;

use crate::error::Error;
use crate::error::ErrorKind;
use crate::error::Problem;
use crate::object::Kind;
use crate::object::Object;
use crate::policy::check;
use crate::policy::fqdn::NameMatcher;
use crate::policy::rule::AuthenticationMode;
use crate::policy::rule::Protocol;
use crate::policy::selector::Condition;
use crate::policy::selector::Key;
use crate::policy::selector::Label;
use crate::policy::selector::LabelSelector;
use crate::policy::selector::Requirements;
use crate::policy::verdict::Options;
use crate::policy::verdict::Policy;
use crate::policy::verdict::PolicySet;
use crate::policy::verdict::RuleRef;
use crate::policy::verdict::endpoint::CLUSTER;
use crate::policy::verdict::endpoint::NAMESPACE_LABELS;
use crate::policy::verdict::endpoint::POD_NAMESPACE;
use crate::policy::verdict::l7::L7;
use ipnet::IpNet;

/// What happens to matched traffic.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Effect {
    Allow,
    Deny,
    Pass,
}

/// Order of evaluation: tier, then priority, then place in the policy. Ordinary policies share one order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Order {
    pub(crate) tier: u8,
    pub(crate) priority: i64,
    pub(crate) position: usize,
}

pub(crate) const NORMAL: u8 = 1;

#[derive(Clone, Debug)]
pub(crate) struct CompiledRule {
    pub(crate) rule: RuleRef,
    pub(crate) subject: Subject,
    pub(crate) order: Order,
    pub(crate) effect: Effect,
    /// Closes the direction for the subject.
    pub(crate) default_deny: bool,
    /// None: the entry names neither peers nor ports and so matches nothing.
    pub(crate) peers: Peers,
    pub(crate) ports: Ports,
    pub(crate) authentication: Option<AuthenticationMode>,
}

#[derive(Clone, Debug)]
pub(crate) enum Subject {
    Endpoints(Requirements),
    Hosts(Requirements),
}

#[derive(Clone, Debug)]
pub(crate) enum Peers {
    Nobody,
    Everybody,
    Any(Vec<Peer>),
}

#[derive(Clone, Debug)]
pub(crate) enum Peer {
    Everybody,
    Labels(Requirements),
    Reserved(Vec<&'static str>),
    Nodes(Requirements),
    Range {
        net: IpNet,
        except: Vec<IpNet>,
    },
    Group {
        name: String,
        except: Vec<IpNet>,
    },
    Groups {
        labels: Requirements,
        except: Vec<IpNet>,
    },
    Name(NameMatcher),
}

/// A CIDR group with its labels.
#[derive(Clone, Debug)]
pub(crate) struct Group {
    pub(crate) name: String,
    pub(crate) labels: Vec<Label>,
    pub(crate) ranges: Vec<IpNet>,
}

#[derive(Clone, Debug)]
pub(crate) enum Ports {
    All,
    Any(Vec<PortMatch>),
}

#[derive(Clone, Debug)]
pub(crate) struct PortMatch {
    pub(crate) protocol: Protocol,
    pub(crate) port: PortSpec,
    pub(crate) l7: Option<L7>,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum PortSpec {
    Range(u16, u16),
    Named(String),
}

pub(crate) fn compile(
    policies: impl Iterator<Item = Policy>,
    options: Options,
) -> Result<PolicySet, Error> {
    let mut set = PolicySet {
        options,
        ingress: Vec::new(),
        egress: Vec::new(),
        groups: Vec::new(),
    };
    let mut problems = Vec::new();
    for policy in policies {
        let mut own = Vec::new();
        let title = match &policy {
            Policy::Cilium(p) => cilium::cilium(
                &mut set,
                p,
                p.namespace().unwrap_or("default"),
                &p.body.rules,
                &mut own,
            ),
            Policy::CiliumClusterwide(p) => {
                cilium::cilium(&mut set, p, "", &p.body.rules, &mut own)
            }
            Policy::Kubernetes(p) => kubernetes::kubernetes(&mut set, p, &mut own),
            Policy::Cluster(p) => cluster::cluster(&mut set, p, &mut own),
            Policy::CidrGroup(p) => group(&mut set, p, &mut own),
        };
        problems.extend(own.into_iter().map(|mut problem| {
            problem.path = format!("{title} {}", problem.path).trim_end().to_owned();
            problem
        }));
    }
    if !problems.is_empty() {
        return Err(Error::new(ErrorKind::Invalid, "the policy set", problems));
    }
    set.ingress.sort_by_key(|rule| rule.order);
    set.egress.sort_by_key(|rule| rule.order);
    Ok(set)
}

fn title<K: Kind>(object: &Object<K>) -> String {
    match object.namespace() {
        Some(namespace) if K::NAMESPACED => format!("{} {namespace}/{}", K::KIND, object.name()),
        _ => format!("{} {}", K::KIND, object.name()),
    }
}

fn reference<K: Kind>(object: &Object<K>, path: String) -> RuleRef {
    RuleRef {
        kind: K::KIND,
        namespace: K::NAMESPACED.then(|| object.namespace().unwrap_or("default").to_owned()),
        name: object.name().to_owned(),
        path,
    }
}

fn group(
    set: &mut PolicySet,
    object: &crate::policy::CiliumCIDRGroup,
    problems: &mut Vec<Problem>,
) -> String {
    let cidrs = object.body.spec.external_cidrs.iter().flatten().enumerate();
    let ranges = cidrs
        .filter_map(|(n, text)| check::cidr(text, || format!("spec.externalCIDRs[{n}]"), problems))
        .collect();
    let labels = object.metadata.labels.iter().flatten();
    set.groups.push(Group {
        name: object.name().to_owned(),
        labels: labels.map(|(k, v)| Label::k8s(k, v)).collect(),
        ranges,
    });
    title(object)
}

fn node_requirements(
    selector: &LabelSelector,
    path: &str,
    problems: &mut Vec<Problem>,
) -> Requirements {
    Requirements::compile_with(selector, path, problems, |text| Key {
        source: Some("node".to_owned()),
        key: Key::parse(text).key,
    })
}

fn local_cluster(requirements: &mut Requirements, options: &Options) {
    if options.policy_default_local_cluster && !requirements.names(CLUSTER) {
        requirements.push(
            Key::k8s(CLUSTER),
            Condition::In(vec![options.cluster_name.clone()]),
        );
    }
}

fn pod_requirements(
    selector: &LabelSelector,
    path: &str,
    problems: &mut Vec<Problem>,
) -> Requirements {
    Requirements::compile_with(selector, path, problems, |key| Key::k8s(key))
}

fn namespace_requirements(
    selector: &LabelSelector,
    path: &str,
    problems: &mut Vec<Problem>,
) -> Requirements {
    Requirements::compile_with(selector, path, problems, |key| {
        Key::k8s(format!("{NAMESPACE_LABELS}{key}"))
    })
}

fn in_namespaces(requirements: &mut Requirements, namespaces: Requirements) {
    // An empty namespace selector means every namespace, and so at least some namespace.
    if namespaces.0.is_empty() {
        requirements.push(Key::k8s(POD_NAMESPACE), Condition::Exists);
    }
    requirements.0.extend(namespaces.0);
}
