//! Backups from outside the cluster: one bundle for each job of the spec, made once by `up`, proven by `verify`.

use restic_wrapper::{Bundle, BundleBackup, ErrorKind, Repository};
use secrecy::ExposeSecret;

use crate::failure::{Failure, Persistence};
use crate::observe::BackupSeen;
use crate::progress::{Outcome, Reporter};
use crate::session::Session;
use crate::spec::backup::{Job, What};
use crate::stage::talos;
use crate::verify::Evidence;

fn failed(place: &str, error: restic_wrapper::Error) -> Failure {
    // A lost answer leaves a lock behind or a snapshot that nobody heard of; both are looked for at the next try.
    let passes = error.is_retryable()
        || matches!(
            error.kind(),
            ErrorKind::Crashed | ErrorKind::Protocol | ErrorKind::Locked | ErrorKind::Network
        );
    Failure::reported(
        place,
        "restic did not do it",
        Persistence::passing(passes),
        error.hint(),
        error,
    )
}

/// A job that runs from here: its name, what it says, and the password of its repository.
struct Outside<'a> {
    name: String,
    job: &'a Job,
    host: &'a str,
    repository: Repository,
}

impl Outside<'_> {
    fn holds(&self, what: What) -> bool {
        self.job.what.contains(&what)
    }

    /// Whether the bundle is another one each time that it is made.
    fn is_moving(&self) -> bool {
        self.holds(What::EtcdSnapshot)
    }
}

/// The jobs that run from here; volumes are backed up inside the cluster.
async fn jobs(session: &Session) -> Result<Vec<Outside<'_>>, Failure> {
    let spec = session.spec();
    let Some(backup) = &spec.backup else {
        return Ok(Vec::new());
    };
    let secrets = session.secrets()?.unwrap_or_default();
    let mut jobs = Vec::new();
    for (name, job) in &backup.jobs {
        if job.what.iter().all(|what| *what == What::Volumes) {
            continue;
        }
        let password = secrets.restic.get(&job.repository);
        let password = password.map_or("", |password| password.expose_secret());
        let repository = session
            .target()
            .repository(spec, &job.repository, password)
            .await?;
        let host = backup
            .repositories
            .get(&job.repository)
            .and_then(|repository| repository.host.as_deref())
            .unwrap_or(spec.name.as_str());
        jobs.push(Outside {
            name: format!("{}-{name}", spec.name),
            job,
            host,
            repository,
        });
    }
    Ok(jobs)
}

/// Everything of a job's bundle that follows from the spec and the secrets.
fn settled(session: &Session, job: &Outside<'_>) -> Result<Bundle, Failure> {
    let mut bundle = Bundle::new(&job.name);
    let secrets = session.bundle()?;
    let Some(secrets) = secrets else {
        return Ok(bundle);
    };
    if job.holds(What::MachineConfigs) {
        for node in &session.spec().nodes {
            let text = talos::machine_config(session.spec(), node, &secrets, session.image())?;
            let path = format!("machines/{}.yaml", node.name);
            bundle = bundle.file(path, text.to_yaml().as_bytes());
        }
    }
    if job.holds(What::SecretsBundle) {
        bundle = bundle.file("secrets.yaml", secrets.to_yaml().as_bytes());
    }
    Ok(bundle)
}

/// Looks for the backups of the cluster as it is now.
///
/// # Errors
///
/// A repository that answers, but not as it should.
pub async fn see(session: &Session) -> Result<BackupSeen, Failure> {
    let jobs = jobs(session).await?;
    let mut seen = BackupSeen {
        repository: true,
        current_snapshot: None,
    };
    for job in &jobs {
        let wanted = settled(session, job)?;
        let latest = match job.repository.latest_bundle(&wanted).await {
            Ok(latest) => latest,
            Err(error) if error.kind() == ErrorKind::NoRepository => {
                return Ok(BackupSeen::default());
            }
            Err(error) => return Err(failed(&job.name, error)),
        };
        let current =
            latest.filter(|found| job.is_moving() || found.has_tag(&wanted.content_tag()));
        let Some(current) = current else {
            return Ok(BackupSeen {
                current_snapshot: None,
                ..seen
            });
        };
        seen.current_snapshot
            .get_or_insert_with(|| current.short().to_owned());
    }
    if jobs.is_empty() {
        seen.current_snapshot = Some("none wanted".to_owned());
    }
    Ok(seen)
}

/// Makes the repositories and the first backup of each job.
///
/// # Errors
///
/// What restic reports; a lock that nobody holds any more is removed first.
pub async fn ensure_backup(session: &Session, reporter: &Reporter) -> Result<Outcome, Failure> {
    let mut outcome = Outcome::Unchanged;
    for job in jobs(session).await? {
        let failed = |error| failed(&job.name, error);
        reporter.doing(format!("repository of {}", job.name));
        job.repository.ensure().await.map_err(failed)?;
        // Restic removes only locks whose owner is gone.
        job.repository.unlock().await.map_err(failed)?;
        let mut bundle = settled(session, &job)?;
        if job.is_moving() {
            if job
                .repository
                .latest_bundle(&bundle)
                .await
                .map_err(failed)?
                .is_some()
            {
                continue;
            }
            reporter.doing("snapshot of etcd");
            bundle = bundle.file("etcd.snapshot", talos::etcd_snapshot(session).await?);
        }
        reporter.doing(format!("backup of {}", job.name));
        let tag = format!("cluster-{}", session.spec().name);
        let backup = job
            .repository
            .backup_bundle(&bundle, job.host, &[&tag])
            .await;
        if matches!(backup.map_err(failed)?, BundleBackup::Created(_)) {
            outcome = Outcome::Changed;
        }
    }
    Ok(outcome)
}

/// Reads every backup back and compares it; the text names the snapshot.
///
/// # Errors
///
/// A repository that cannot be asked.
pub async fn prove(session: &Session) -> Result<(Option<String>, Vec<Evidence>), Failure> {
    let mut evidence = Vec::new();
    let mut summary = None;
    for job in jobs(session).await? {
        let failed = |error| failed(&job.name, error);
        let check = format!("backup {}", job.name);
        let wanted = settled(session, &job)?;
        let Some(snapshot) = job
            .repository
            .latest_bundle(&wanted)
            .await
            .map_err(failed)?
        else {
            evidence.push(Evidence::new(&check, false, "there is no snapshot"));
            continue;
        };
        let program = job.repository.restic();
        let program = if program.is_simulated() {
            "simulated restic".to_owned()
        } else {
            format!("restic {}", program.version())
        };
        summary.get_or_insert_with(|| format!("backup {} ({program})", snapshot.short()));
        let proof = if job.is_moving() {
            let files = job
                .repository
                .read_bundle(&snapshot.id, wanted.name())
                .await;
            let files = files.map_err(failed)?;
            let whole = files
                .get("etcd.snapshot")
                .is_some_and(|file| talos::is_whole(file.expose()));
            let seen = if whole {
                "its checksum is right"
            } else {
                "its checksum is WRONG"
            };
            (
                whole,
                format!("etcd snapshot in {} read back, {seen}", snapshot.short()),
            )
        } else {
            let proof = job
                .repository
                .prove_bundle(&snapshot.id, &wanted)
                .await
                .map_err(failed)?;
            let seen = format!(
                "{} read back, {} files the same, {} different, {} missing",
                snapshot.short(),
                proof.same.len(),
                proof.different.len(),
                proof.missing.len()
            );
            (proof.is_good(), seen)
        };
        evidence.push(Evidence::new(&check, proof.0, proof.1));
    }
    Ok((summary, evidence))
}
