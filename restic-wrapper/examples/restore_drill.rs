//! Restores a random sample of the latest snapshot, compares it, and prints a report as JSON and as figures.
//!
//! ```text
//! RESTIC_PASSWORD=… cargo run --example restore_drill -- /srv/backup
//! ```

use std::io::Write as _;
use std::process::ExitCode;
use std::time::{SystemTime, UNIX_EPOCH};

use restic_wrapper::proof::{Drill, Metrics, ReadPlan};
use restic_wrapper::{Location, Restic, Timestamp};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<ExitCode, Box<dyn std::error::Error>> {
    let location = std::env::args()
        .nth(1)
        .ok_or("usage: restore_drill REPOSITORY")?;
    let password = std::env::var("RESTIC_PASSWORD").map_err(|_| "set RESTIC_PASSWORD")?;
    let restic = Restic::find_in_path().await?;
    let repository = restic.repository(Location::parse(&location), password);

    let now = SystemTime::now();
    // Another sample every day, the same one however often it is run that day.
    let seed = now.duration_since(UNIX_EPOCH)?.as_secs() / 86_400;
    let report = repository
        .drill(&Drill::new(std::env::temp_dir(), seed, now))
        .await?;
    let part = ReadPlan::weekly(12).part_at(now);
    let checked = repository.check().read_data_subset(part.to_string()).await;

    let mut metrics = Metrics::new(location);
    metrics.drill(&report, Timestamp::from(now));
    metrics.check(&checked, Timestamp::from(now));
    let mut out = std::io::stdout().lock();
    writeln!(out, "{}", serde_json::to_string_pretty(&report)?)?;
    write!(out, "{metrics}")?;
    let good = report.is_good() && checked.is_ok();
    Ok(if good {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}
