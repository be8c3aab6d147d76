//! Shows what a policy would keep, without touching the repository.
//!
//! ```text
//! restic snapshots --json | cargo run --example retention_preview -- --keep-daily 7 --keep-weekly 5
//! ```

use std::io::{Read as _, Write as _};
use std::time::SystemTime;

use restic_wrapper::retention::{Advice, ForgetArgs, Zone, calendar};
use restic_wrapper::{Snapshot, Timestamp};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let args = ForgetArgs::parse(std::env::args().skip(1))?;
    let zone = Zone::from_tz_variable(&std::env::var("TZ").unwrap_or_default());
    let mut text = String::new();
    std::io::stdin().read_to_string(&mut text)?;
    let snapshots: Vec<Snapshot> = serde_json::from_str(&text)?;

    let plan = args.plan(&snapshots, Timestamp::from(SystemTime::now()), &zone)?;
    let mut out = std::io::stdout().lock();
    for group in &plan.groups {
        let paths = group.key.paths.as_deref().unwrap_or_default().join(" ");
        writeln!(out, "{} {paths}", group.key.hostname)?;
        for (snapshot, reasons) in &group.keep {
            let why: Vec<String> = reasons.iter().map(|it| args.policy.explain(*it)).collect();
            writeln!(
                out,
                "  keep    {}  {}  {}",
                snapshot.short(),
                snapshot.time,
                why.join(", ")
            )?;
        }
        for snapshot in &group.remove {
            writeln!(out, "  remove  {}  {}", snapshot.short(), snapshot.time)?;
        }
    }
    writeln!(out, "\n{}", calendar(&plan))?;
    for advice in Advice::on(&args.policy, &plan) {
        writeln!(out, "note: {advice}")?;
    }
    Ok(())
}
