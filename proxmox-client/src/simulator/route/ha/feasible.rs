//! Rules that the manager could not follow, and why.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value};

use crate::simulator::route::shared::names;
use crate::simulator::section::Sections;

type Rule = Map<String, Value>;

/// Why rules cannot be followed: by rule, by setting.
pub(super) type Problems = BTreeMap<String, BTreeMap<String, Vec<String>>>;

/// The resources that a rule is about.
pub(super) fn resources_of(rule: &Rule) -> BTreeSet<String> {
    let text = rule.get("resources").and_then(Value::as_str);
    names(text.unwrap_or_default()).map(str::to_owned).collect()
}

/// Whether a rule's nodes have different priorities.
fn has_priorities(rule: &Rule) -> bool {
    let text = rule
        .get("nodes")
        .and_then(Value::as_str)
        .unwrap_or_default();
    let priorities = names(text).map(|node| node.split_once(':').map_or("0", |(_, number)| number));
    priorities.collect::<BTreeSet<_>>().len() > 1
}

/// Sets of resources that positive rules keep together, with the rules of each: rules that share a resource act as one.
fn bundles<'a>(positive: &[&'a str], rules: &Sections) -> Vec<(BTreeSet<String>, Vec<&'a str>)> {
    let mut bundles: Vec<(BTreeSet<String>, Vec<&str>)> = Vec::new();
    for name in positive {
        let mut whole = (resources_of(&rules.0[*name]), vec![*name]);
        let (joined, apart): (Vec<_>, Vec<_>) = bundles
            .into_iter()
            .partition(|(resources, _)| !resources.is_disjoint(&whole.0));
        for (resources, names) in joined {
            whole.0.extend(resources);
            whole.1.extend(names);
        }
        bundles = apart;
        bundles.push(whole);
    }
    bundles
}

pub(super) fn problems(rules: &Sections, nodes: usize) -> Problems {
    let mut problems = Problems::new();
    let mut tell = |rule: &str, why: String| {
        let of_rule = problems.entry(rule.to_owned()).or_default();
        of_rule.entry("resources".to_owned()).or_default().push(why);
    };
    let on = |rule: &Rule| rule.get("disable") != Some(&1.into());
    let of = |wanted: &dyn Fn(&Rule) -> bool| -> Vec<&str> {
        let found = rules.0.iter().filter(|(_, rule)| on(rule) && wanted(rule));
        found.map(|(name, _)| name.as_str()).collect()
    };
    let placed = of(&|rule| rule["type"] == "node-affinity");
    let positive = of(&|rule| rule.get("affinity") == Some(&"positive".into()));
    let negative = of(&|rule| rule.get("affinity") == Some(&"negative".into()));
    let mut users: BTreeMap<String, Vec<&str>> = BTreeMap::new();
    for name in &placed {
        for sid in resources_of(&rules.0[*name]) {
            users.entry(sid).or_default().push(name);
        }
    }
    for (sid, users) in users.iter().filter(|(_, users)| users.len() > 1) {
        for name in users {
            tell(
                name,
                format!("resource '{sid}' is already used in another node affinity rule"),
            );
        }
    }
    for name in positive.iter().chain(&negative) {
        if resources_of(&rules.0[*name]).len() < 2 {
            tell(
                name,
                "rule is ineffective as there are less than two resources".to_owned(),
            );
        }
    }
    for name in &negative {
        if resources_of(&rules.0[*name]).len() > nodes {
            tell(
                name,
                "rule defines more resources than available nodes".to_owned(),
            );
        }
    }
    for (together, members) in bundles(&positive, rules) {
        for name in &negative {
            if resources_of(&rules.0[*name])
                .intersection(&together)
                .count()
                < 2
            {
                continue;
            }
            let shares = |kind| {
                format!("rule shares two or more resources with a {kind} resource affinity rule")
            };
            tell(name, shares("positive"));
            members
                .iter()
                .for_each(|name| tell(name, shares("negative")));
        }
    }
    for name in positive.iter().chain(&negative) {
        let resources = resources_of(&rules.0[*name]);
        let paired: Vec<&&str> = placed
            .iter()
            .filter(|placed| !resources_of(&rules.0[**placed]).is_disjoint(&resources))
            .collect();
        if !paired
            .iter()
            .any(|placed| has_priorities(&rules.0[**placed]))
        {
            continue;
        }
        tell(
            name,
            "resources are in node affinity rules with multiple priorities".to_owned(),
        );
        for placed in paired {
            let why = "resources are in a resource affinity rule and cannot be in a node affinity rule with multiple priorities";
            tell(placed, why.to_owned());
        }
    }
    problems
}
