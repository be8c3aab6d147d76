//! Rules over several values: what each value alone cannot tell.
//!
//! A rule stays silent where one of the values that it looks at could not be read: that has been said already.

mod addresses;
mod backup;
mod capacity;
mod machines;
mod overlay;
mod platform;
mod policy;
mod router;
mod storage;
mod versions;

use super::decode::Cx;
use super::problem::Severity;
use super::{Spec, Tier};
use crate::component::Catalogue;

/// Runs every rule.
pub(super) fn run(cx: &mut Cx<'_>, spec: &Spec) {
    let catalogue = Catalogue::of(spec);
    let mut check = Check {
        cx,
        spec,
        catalogue: &catalogue,
    };
    addresses::run(&mut check);
    machines::run(&mut check);
    router::run(&mut check);
    versions::run(&mut check);
    platform::run(&mut check);
    storage::run(&mut check);
    overlay::run(&mut check);
    backup::run(&mut check);
    capacity::run(&mut check);
    policy::run(&mut check);
}

/// What every rule looks at.
struct Check<'a, 't> {
    cx: &'a mut Cx<'t>,
    spec: &'a Spec,
    catalogue: &'a Catalogue,
}

impl<'a, 't> Check<'a, 't> {
    /// Begins an error at a path.
    fn error(
        &mut self,
        rule: &'static str,
        path: impl Into<String>,
        message: impl Into<String>,
    ) -> Finding<'_, 't> {
        self.finding(Severity::Error, rule, path.into(), message.into())
    }

    /// Begins a warning at a path.
    fn warning(
        &mut self,
        rule: &'static str,
        path: impl Into<String>,
        message: impl Into<String>,
    ) -> Finding<'_, 't> {
        self.finding(Severity::Warning, rule, path.into(), message.into())
    }

    /// An error in production, a warning elsewhere.
    fn by_tier(
        &mut self,
        rule: &'static str,
        path: impl Into<String>,
        message: impl Into<String>,
    ) -> Finding<'_, 't> {
        let severity = if self.spec.tier == Tier::Production {
            Severity::Error
        } else {
            Severity::Warning
        };
        let finding = self.finding(severity, rule, path.into(), message.into());
        finding.needs("tier")
    }

    fn finding(
        &mut self,
        severity: Severity,
        rule: &'static str,
        path: String,
        message: String,
    ) -> Finding<'_, 't> {
        let needs = vec![path.clone()];
        Finding {
            cx: self.cx,
            severity,
            rule,
            path,
            message,
            help: None,
            also: Vec::new(),
            needs,
        }
    }

    /// Line of the value at a path.
    fn line(&self, path: &str) -> usize {
        self.cx.span(path).line
    }
}

/// A problem that is being written.
#[must_use]
struct Finding<'c, 't> {
    cx: &'c mut Cx<'t>,
    severity: Severity,
    rule: &'static str,
    path: String,
    message: String,
    help: Option<String>,
    also: Vec<(String, String)>,
    needs: Vec<String>,
}

impl Finding<'_, '_> {
    /// What to write instead.
    fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// Another place that takes part.
    fn also(mut self, path: impl Into<String>, label: impl Into<String>) -> Self {
        let path = path.into();
        self.needs.push(path.clone());
        self.also.push((path, label.into()));
        self
    }

    /// Another place that is shown, whatever it holds.
    fn also_at(mut self, path: impl Into<String>, label: impl Into<String>) -> Self {
        self.also.push((path.into(), label.into()));
        self
    }

    /// A value that the finding rests on besides those it points at.
    fn needs(mut self, path: impl Into<String>) -> Self {
        self.needs.push(path.into());
        self
    }

    /// The finding rests on exactly these values; what else lies under its place does not matter.
    fn rests_on(mut self, paths: &[&str]) -> Self {
        self.needs = paths.iter().map(|path| (*path).to_owned()).collect();
        self
    }

    /// Notes it, unless a value that it rests on could not be read.
    fn done(self) {
        if self.needs.iter().any(|path| self.cx.is_broken(path)) {
            return;
        }
        let also: Vec<(&str, &str)> = self
            .also
            .iter()
            .map(|(path, label)| (path.as_str(), label.as_str()))
            .collect();
        self.cx.push(
            self.severity,
            self.rule,
            &self.path,
            self.message,
            self.help,
            &also,
        );
    }
}

/// "a, b and c".
fn listed(words: &[String]) -> String {
    match words {
        [] => String::new(),
        [one] => one.clone(),
        [all @ .., last] => format!("{} and {last}", all.join(", ")),
    }
}

/// Pairs of entries that say the same, each with the first one that said it.
fn repeated<T, K: Ord>(items: &[T], key: impl Fn(&T) -> K) -> Vec<(usize, usize)> {
    let mut seen = std::collections::BTreeMap::new();
    let mut out = Vec::new();
    for (index, item) in items.iter().enumerate() {
        match seen.entry(key(item)) {
            std::collections::btree_map::Entry::Vacant(entry) => {
                entry.insert(index);
            }
            std::collections::btree_map::Entry::Occupied(entry) => out.push((*entry.get(), index)),
        }
    }
    out
}
