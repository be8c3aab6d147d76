//! Backups with restic: where to, what, when, and what is kept.

use std::collections::BTreeMap;

use super::decode::{Cx, Decode, Map, choice, record};
use super::reference::{SecretRef, inline_secret};
use super::time::Schedule;
use super::yaml::Node;

record! {
    /// Backups.
    Backup {
        /// Repositories by name.
        repositories: BTreeMap<String, Repository> = need "repositories",
        /// Jobs by name.
        jobs: BTreeMap<String, Job> = need "jobs",
    }
}

/// A restic repository.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct Repository {
    /// As `restic -r` takes it: a path, `s3:…`, `sftp:…`, `rest:…`, `rclone:…`.
    pub url: String,
    /// Password of the repository.
    pub password_from: SecretRef,
    /// Variables that restic needs for this kind of repository.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub environment: BTreeMap<String, SecretRef>,
    /// Host name under which snapshots are kept; the cluster's name when not given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub host: Option<String>,
}

impl Decode for Repository {
    fn decode(cx: &mut Cx<'_>, path: &str, node: &Node) -> Option<Self> {
        let mut map = Map::open(cx, path, node)?;
        let inline = map.node("password");
        if let Some(secret) = inline {
            cx.hide(secret);
            inline_secret(cx, &map.at("password"));
            cx.poison(&map.at("passwordFrom"));
        } else if map.node("passwordFrom").is_none() && !cx.is_broken(&map.at("passwordFrom")) {
            cx.error_help(
                "restic-no-password",
                &map.at("passwordFrom"),
                format!("{path} has no password: set passwordFrom"),
                "passwordFrom: generated, or env:NAME, or file:PATH",
            );
        }
        let url: String = map.need(cx, "url");
        let url_at = map.at("url");
        if let Some((_, rest)) = url.split_once("://")
            && rest.split('/').next().is_some_and(|authority| {
                authority
                    .rsplit_once('@')
                    .is_some_and(|(user, _)| user.contains(':'))
            })
        {
            if let Some(tree) = map.node("url") {
                cx.hide(tree);
            }
            inline_secret(cx, &url_at);
        }
        let repository = Self {
            url,
            password_from: map.need(cx, "passwordFrom"),
            environment: map.or(cx, "environment", BTreeMap::new()),
            host: map.maybe(cx, "host"),
        };
        map.finish(cx);
        Some(repository)
    }

    fn placeholder() -> Self {
        Self {
            url: String::new(),
            password_from: SecretRef::Generated,
            environment: BTreeMap::new(),
            host: None,
        }
    }
}

record! {
    /// A backup that runs by itself.
    Job {
        /// Name of the repository.
        repository: String = need "repository",
        /// What goes in.
        what: Vec<What> = need "what",
        /// When.
        schedule: Schedule = need "schedule",
        /// What is kept.
        retention: Retention = need "retention",
    }
}

choice! {
    /// What a backup holds.
    What {
        /// A snapshot of etcd: all objects of the cluster.
        EtcdSnapshot = "etcd-snapshot",
        /// The machines' configurations.
        MachineConfigs = "machine-configs",
        /// The keys of the cluster.
        SecretsBundle = "secrets-bundle",
        /// Contents of the volumes.
        Volumes = "volumes",
    }
}

record! {
    /// How many snapshots are kept; what no rule names is removed.
    Retention {
        /// The newest.
        last: u32 = or "last" (0),
        /// The newest of each of so many hours.
        hourly: u32 = or "hourly" (0),
        /// The newest of each of so many days.
        daily: u32 = or "daily" (0),
        /// The newest of each of so many weeks.
        weekly: u32 = or "weekly" (0),
        /// The newest of each of so many months.
        monthly: u32 = or "monthly" (0),
        /// The newest of each of so many years.
        yearly: u32 = or "yearly" (0),
    }
}

impl Retention {
    /// Whether no rule keeps anything.
    #[must_use]
    pub fn keeps_nothing(&self) -> bool {
        [
            self.last,
            self.hourly,
            self.daily,
            self.weekly,
            self.monthly,
            self.yearly,
        ]
        .iter()
        .all(|keep| *keep == 0)
    }
}
