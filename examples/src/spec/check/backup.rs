//! Backups.

use super::{Check, repeated};
use crate::spec::backup::What;
use crate::spec::decode::nearest;

pub(super) fn run(check: &mut Check<'_, '_>) {
    let spec = check.spec;
    let Some(backup) = &spec.backup else { return };
    let known: Vec<&str> = backup.repositories.keys().map(String::as_str).collect();
    for (name, job) in &backup.jobs {
        let path = format!("backup.jobs.{name}");
        if !backup.repositories.contains_key(&job.repository) {
            let near = nearest(&job.repository, &known)
                .map_or_else(String::new, |near| format!("; did you mean \"{near}\"?"));
            check
                .error(
                    "unknown-repository",
                    format!("{path}.repository"),
                    format!(
                        "{path}.repository \"{}\" is not one of backup.repositories{near}",
                        job.repository
                    ),
                )
                .help(format!("one of {}", known.join(", ")))
                .done();
        }
        if job.retention.keeps_nothing() {
            check
                .error(
                    "retention-empty",
                    format!("{path}.retention"),
                    format!(
                        "{path}.retention keeps nothing; every forget would remove all snapshots"
                    ),
                )
                .help("retention: {daily: 7, weekly: 4, monthly: 6}")
                .done();
        }
        if job.what.is_empty() {
            check
                .error(
                    "backup-empty",
                    format!("{path}.what"),
                    format!("{path}.what is empty: there is nothing to back up"),
                )
                .help("what: [etcd-snapshot]")
                .done();
        }
    }
    let jobs: Vec<_> = backup.jobs.iter().collect();
    for (first, again) in repeated(&jobs, |(_, job)| {
        (job.repository.clone(), job.schedule.clone())
    }) {
        let ((one, job), (two, _)) = (jobs[first], jobs[again]);
        check
            .warning("schedule-overlap", format!("backup.jobs.{two}.schedule"), format!("backup jobs {one} and {two} start at the same time (\"{}\") on {}: one waits for the lock of the other", job.schedule, job.repository))
            .also(format!("backup.jobs.{one}.schedule"), one.to_owned())
            .help("half an hour apart")
            .done();
    }
    let repositories: Vec<_> = backup.repositories.iter().collect();
    let host = |name: &Option<String>| name.clone().unwrap_or_else(|| spec.name.to_string());
    for (first, again) in repeated(&repositories, |(_, repository)| {
        (repository.url.clone(), host(&repository.host))
    }) {
        let ((one, _), (two, repository)) = (repositories[first], repositories[again]);
        check
            .error(
                "repo-shared",
                format!("backup.repositories.{two}.url"),
                format!("backup.repositories.{two} is used by {one} too with the same host name \"{}\"; forget of one would remove the other's snapshots", host(&repository.host)),
            )
            .also(format!("backup.repositories.{one}.url"), one.to_owned())
            .help("one repository, or another host for one of them")
            .done();
    }
    let what = |wanted: What| backup.jobs.values().any(|job| job.what.contains(&wanted));
    if !what(What::EtcdSnapshot) {
        check
            .warning("backup-no-etcd", "backup.jobs", "no backup job holds the etcd snapshot: the objects of the cluster could not be brought back")
            .rests_on(&["backup.jobs"])
            .help("what: [etcd-snapshot, machine-configs, secrets-bundle]")
            .done();
    }
}
