//! Address ranges and entities as peers.

use super::Peer;
use super::cilium::Scope;
use crate::error::Problem;
use crate::policy::check;
use crate::policy::rule::CidrRule;
use crate::policy::rule::Entity;
use crate::policy::selector::Condition;
use crate::policy::selector::Key;
use crate::policy::selector::Requirements;
use crate::policy::verdict::endpoint::CLUSTER;

pub(super) fn cidr_rule(rule: &CidrRule, path: &str, problems: &mut Vec<Problem>) -> Option<Peer> {
    let mut except = Vec::new();
    for (n, text) in rule.except.iter().flatten().enumerate() {
        except.extend(check::cidr(
            text,
            || format!("{path}.except[{n}]"),
            problems,
        ));
    }
    let given = |text: &Option<String>| text.as_deref().is_some_and(|t| !t.is_empty());
    match (
        given(&rule.cidr),
        given(&rule.cidr_group_ref),
        &rule.cidr_group_selector,
    ) {
        (true, false, None) => {
            let text = rule.cidr.as_deref().unwrap_or_default();
            let net = check::cidr(text, || format!("{path}.cidr"), problems)?;
            for (n, inner) in except.iter().enumerate() {
                check::except(net, *inner, || format!("{path}.except[{n}]"), problems);
            }
            Some(Peer::Range { net, except })
        }
        (false, true, None) => Some(Peer::Group {
            name: rule.cidr_group_ref.clone().unwrap_or_default(),
            except,
        }),
        (false, false, Some(selector)) => Some(Peer::Groups {
            labels: Requirements::compile(selector, &format!("{path}.cidrGroupSelector"), problems),
            except,
        }),
        (false, false, None) => {
            problems.push(Problem::new(
                path,
                "one of cidr, cidrGroupRef and cidrGroupSelector is needed",
            ));
            None
        }
        _ => {
            problems.push(Problem::new(
                path,
                "cidr, cidrGroupRef and cidrGroupSelector exclude one another",
            ));
            None
        }
    }
}

pub(super) fn entity_peer(
    entity: &Entity,
    scope: &Scope<'_>,
    path: &str,
    problems: &mut Vec<Problem>,
) -> Vec<Peer> {
    let reserved: &[&'static str] = match entity {
        Entity::All => return vec![Peer::Everybody],
        Entity::None => return Vec::new(),
        Entity::World => &["world", "world-ipv4", "world-ipv6"],
        Entity::WorldIpv4 => &["world-ipv4"],
        Entity::WorldIpv6 => &["world-ipv6"],
        Entity::Cluster => {
            let mut pods = Requirements::default();
            pods.push(
                Key::k8s(CLUSTER),
                Condition::In(vec![scope.options.cluster_name.clone()]),
            );
            let reserved = vec![
                "host",
                "remote-node",
                "init",
                "ingress",
                "health",
                "unmanaged",
                "kube-apiserver",
            ];
            return vec![Peer::Reserved(reserved), Peer::Labels(pods)];
        }
        Entity::Host => &["host"],
        Entity::RemoteNode => &["remote-node"],
        Entity::KubeApiserver => &["kube-apiserver"],
        Entity::Ingress => &["ingress"],
        Entity::Health => &["health"],
        Entity::Init => &["init"],
        Entity::Unmanaged => &["unmanaged"],
        Entity::Other(text) => {
            problems.push(
                Problem::new(path, format!("there is no entity {text:?}")).remedy(
                    "all, world, cluster, host, remote-node, kube-apiserver, ingress, health, init, unmanaged or none",
                ),
            );
            return Vec::new();
        }
    };
    vec![Peer::Reserved(reserved.to_vec())]
}
