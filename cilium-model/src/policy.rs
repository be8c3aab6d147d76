//! Network policies: Cilium's own, namespaced and cluster-wide, CIDR groups, the Kubernetes NetworkPolicy and the
//! cluster-wide policy of the network policy API; and the engine that says what they allow ([`verdict`]).

pub mod cluster;
pub mod kubernetes;
pub mod rule;
pub mod selector;
pub mod verdict;

mod check;
mod fqdn;
mod icmp;

use serde_json::{Map, Value};

use crate::error::Problem;
use crate::model::{self, Field};
use crate::object::{Kind, Object, kind, sealed};

pub use cluster::ClusterNetworkPolicy;
pub use kubernetes::NetworkPolicy;
pub use rule::{CidrGroupSpec, Rule};

/// Body of the two Cilium policy kinds: one rule in `spec`, or several in `specs`, or both.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct PolicyRules {
    /// The single rule.
    pub spec: Option<Rule>,
    /// Further rules that share the object's name.
    pub specs: Option<Vec<Rule>>,
}

impl PolicyRules {
    /// Every rule with the path at which it stands.
    pub fn rules(&self) -> impl Iterator<Item = (String, &Rule)> {
        let spec = self.spec.iter().map(|rule| ("spec".to_owned(), rule));
        let specs = self.specs.iter().flatten().enumerate();
        spec.chain(specs.map(|(index, rule)| (format!("specs[{index}]"), rule)))
    }

    fn take_rules(
        map: &mut Map<String, Value>,
        at: &model::At<'_>,
        problems: &mut Vec<Problem>,
    ) -> Self {
        Self {
            spec: model::take(map, "spec", at, problems),
            specs: model::take(map, "specs", at, problems),
        }
    }

    fn put_rules(&self, map: &mut Map<String, Value>) {
        if let Some(spec) = &self.spec {
            map.insert("spec".to_owned(), spec.write());
        }
        if let Some(specs) = &self.specs {
            map.insert("specs".to_owned(), specs.write());
        }
    }
}

impl From<Rule> for PolicyRules {
    fn from(rule: Rule) -> Self {
        Self {
            spec: Some(rule),
            specs: None,
        }
    }
}

macro_rules! policy_kind {
    ($(#[$meta:meta])* $alias:ident = $body:ident, $plural:literal, $namespaced:literal) => {
        $(#[$meta])*
        pub type $alias = Object<$body>;

        #[doc = concat!("The body of a [`", stringify!($alias), "`].")]
        #[derive(Clone, Debug, Default, PartialEq)]
        #[non_exhaustive]
        pub struct $body {
            /// The rules.
            pub rules: PolicyRules,
        }

        impl From<Rule> for $body {
            fn from(rule: Rule) -> Self {
                Self { rules: rule.into() }
            }
        }

        impl sealed::Body for $body {
            fn take(map: &mut Map<String, Value>, at: &sealed::Place<'_, '_>, problems: &mut Vec<Problem>) -> Self {
                Self { rules: PolicyRules::take_rules(map, at.0, problems) }
            }
            fn put(&self, map: &mut Map<String, Value>) {
                self.rules.put_rules(map);
            }
        }

        impl Kind for $body {
            const GROUP: &'static str = "cilium.io";
            const VERSION: &'static str = "v2";
            const ALSO: &'static [&'static str] = &[];
            const KIND: &'static str = stringify!($alias);
            const PLURAL: &'static str = $plural;
            const NAMESPACED: bool = $namespaced;
        }
    };
}

policy_kind! {
    /// Rules for the endpoints of one namespace.
    CiliumNetworkPolicy = CiliumNetworkPolicyBody, "ciliumnetworkpolicies", true
}
policy_kind! {
    /// Rules for endpoints of every namespace, or, with a node selector, for the hosts themselves.
    CiliumClusterwideNetworkPolicy = CiliumClusterwideNetworkPolicyBody, "ciliumclusterwidenetworkpolicies", false
}

kind! {
    /// A named set of address ranges outside the cluster, which policies refer to by name or label.
    CiliumCIDRGroup = CidrGroupBody { spec: CidrGroupSpec, required: true, group: "cilium.io", version: "v2",
        also: ["v2alpha1"], plural: "ciliumcidrgroups", namespaced: false }
}
