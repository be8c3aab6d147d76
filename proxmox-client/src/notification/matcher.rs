//! Matchers: which messages go to which endpoints.

use super::Origin;
use crate::named::{About, Named, Noun, about};
use crate::open::open_enum;
use crate::scalar::record;
use crate::setting::{Wanted, settings};

open_enum! {
    /// How grave what happened is.
    pub enum Severity {
        /// Something went as it should.
        Info = "info",
        /// Something that one should know.
        Notice = "notice",
        /// Something that may become trouble.
        Warning = "warning",
        /// Something went wrong.
        Error = "error",
        /// The sender does not say.
        Unknown = "unknown",
    }
}

open_enum! {
    /// How the rules of a matcher count together.
    pub enum MatchMode {
        /// All must match.
        All = "all",
        /// One is enough.
        Any = "any",
    }
}

record! {
    /// A matcher: `GET /cluster/notifications/matchers`.
    pub struct MatcherInfo {
        required {
            /// Name.
            "name" name: String,
        }
        optional {
            /// Where matching messages go.
            "target" targets: Vec<String>,
            /// Severities, each a list separated by commas.
            "match-severity" severities: Vec<String>,
            /// Fields, each `exact:field=value,…` or `regex:field=pattern`.
            "match-field" fields: Vec<String>,
            /// Times, each such as `mon..fri 8-12`.
            "match-calendar" times: Vec<String>,
            /// How the rules count together; all must match if absent.
            "mode" mode: MatchMode,
            /// Whether it matches what its rules do not.
            "invert-match" inverted: bool,
            /// Comment.
            "comment" comment: String,
            /// Whether it matches nothing.
            "disable" disabled: bool,
            /// Who made it.
            "origin" origin: Origin,
            /// Digest of all notifications.
            "digest" digest: String,
        }
    }
}

settings! {
    /// Settings of a matcher. Without a rule it matches everything.
    pub struct MatcherSettings {
        /// Where matching messages go.
        with_targets "target" items,
        /// Times, each such as `mon..fri 8-12`.
        with_times "match-calendar" items,
        /// Matches what its rules do not.
        with_inversion "invert-match" flag,
        /// Comment.
        with_comment "comment" text,
        /// Matches nothing.
        with_disabled "disable" flag,
    }
}

impl MatcherSettings {
    /// Sends what matches to these targets.
    pub fn to<S: Into<String>>(targets: impl IntoIterator<Item = S>) -> Self {
        Self::new().with_targets(targets)
    }

    /// How its rules count together; all must match by default.
    #[must_use]
    pub fn with_mode(self, mode: &MatchMode) -> Self {
        self.with("mode", mode.as_str())
    }

    /// Messages of one of these severities.
    #[must_use]
    pub fn with_severities(mut self, severities: impl IntoIterator<Item = Severity>) -> Self {
        let names: Vec<String> = severities
            .into_iter()
            .map(|one| one.as_str().to_owned())
            .collect();
        let all = (!names.is_empty()).then(|| names.join(","));
        self.0
            .set("match-severity", Wanted::items(all.into_iter().collect()));
        self
    }

    /// Messages whose fields are so, each by its name and the values of which it must have one.
    #[must_use]
    pub fn with_fields<'a, V: AsRef<[&'a str]>>(
        mut self,
        fields: impl IntoIterator<Item = (&'a str, V)>,
    ) -> Self {
        let rules = fields
            .into_iter()
            .map(|(field, values)| format!("exact:{field}={}", values.as_ref().join(",")));
        self.0.set("match-field", Wanted::items(rules.collect()));
        self
    }

    /// Messages whose fields are so, in the interface's words: `exact:type=vzdump,replication` or
    /// `regex:hostname=^pve.*$`.
    #[must_use]
    pub fn with_field_rules<S: Into<String>>(mut self, rules: impl IntoIterator<Item = S>) -> Self {
        let rules = rules.into_iter().map(Into::into).collect();
        self.0.set("match-field", Wanted::items(rules));
        self
    }
}

/// The noun of [`Matcher`].
#[derive(Debug)]
#[non_exhaustive]
pub struct MatcherNoun;

impl about::Sealed for MatcherNoun {
    const ABOUT: About = About {
        delete_each: true,
        ..About::new(
            "notification matcher",
            "/cluster/notifications/matchers",
            "name",
        )
    };
}

impl Noun for MatcherNoun {
    type Info = MatcherInfo;
    type Settings = MatcherSettings;
}

/// A matcher.
pub type Matcher = Named<MatcherNoun>;
