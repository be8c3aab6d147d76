//! Backs up folders and shows how far it is.
//!
//! ```text
//! RESTIC_PASSWORD=… cargo run --example backup_with_progress -- /srv/backup /etc /home
//! ```

use std::io::Write as _;

use restic_wrapper::{Event, Location, Restic};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut args = std::env::args().skip(1);
    let repository = args
        .next()
        .ok_or("usage: backup_with_progress REPOSITORY SOURCE…")?;
    let sources: Vec<String> = args.collect();
    let password = std::env::var("RESTIC_PASSWORD").map_err(|_| "set RESTIC_PASSWORD")?;

    let restic = Restic::find_in_path().await?;
    let repository = restic.repository(Location::parse(&repository), password);
    repository.ensure().await?;

    let mut stdout = std::io::stdout();
    let mut run = repository.backup(&sources).start()?;
    let canceller = run.canceller();
    tokio::spawn(async move {
        if tokio::signal::ctrl_c().await.is_ok() {
            canceller.cancel();
        }
    });
    while let Some(event) = run.next().await {
        match event {
            Event::Progress(progress) => {
                let ((files, all_files), (bytes, all_bytes)) = (progress.files(), progress.bytes());
                write!(
                    stdout,
                    "\r{:5.1} %  {files}/{all_files} files  {:.1}/{:.1} MB ",
                    progress.fraction * 100.0,
                    megabytes(bytes),
                    megabytes(all_bytes),
                )?;
                stdout.flush()?;
            }
            Event::ItemError(error) => {
                writeln!(stdout, "\rnot read: {} ({})", error.item, error.reason())?;
            }
            _ => {}
        }
    }
    let report = run.await?;
    writeln!(
        stdout,
        "\r{}: {} files, {:.1} MB added{}          ",
        report.short_id().unwrap_or("nothing new"),
        report.summary.counts.total_files_processed,
        megabytes(report.summary.counts.data_added),
        if report.partial { ", NOT complete" } else { "" },
    )?;
    Ok(())
}

#[allow(clippy::cast_precision_loss, reason = "shown with one decimal")]
fn megabytes(bytes: u64) -> f64 {
    bytes as f64 / 1e6
}
