//! What each verb does.

use std::path::Path;
use std::process::ExitCode;

use serde_json::json;

use super::confirm::confirm;
use super::{CHANGES, eprint, print};
use crate::apply::{Interrupt, Stopped};
use crate::environment::{Policy, Removal};
use crate::failure::Failure;
use crate::plan::{Plan, removal};
use crate::progress::Event;
use crate::render::tree;
use crate::session::Session;
use crate::spec::Spec;
use crate::verify::Report;

type Ended = Result<ExitCode, Vec<Failure>>;

fn code(good: bool) -> ExitCode {
    if good {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

fn show_plan(plan: &Plan, json: bool) {
    if json {
        print(&json!({ "schema": 1, "plan": plan, "tally": plan.tally() }).to_string());
    } else {
        print(&plan.to_string());
    }
}

/// Shows what `up` would do.
pub(super) async fn plan(session: &Session, json: bool) -> Ended {
    let plan = session.plan().await?;
    show_plan(&plan, json);
    Ok(if plan.is_empty() {
        ExitCode::SUCCESS
    } else {
        ExitCode::from(CHANGES)
    })
}

/// Builds or changes the cluster.
pub(super) async fn up(session: &Session, yes: bool, json: bool) -> Ended {
    let plan = session.plan().await?;
    if !json {
        show_plan(&plan, false);
    }
    if plan.is_empty() {
        session.events().show(Event::ended(true, "nothing to do"));
        return Ok(ExitCode::SUCCESS);
    }
    if !yes {
        confirm(&format!("This changes {}.", session.describe()))
            .map_err(|failure| vec![failure])?;
    }
    build(session, &plan).await?;
    finish(session, json).await
}

/// Builds on the lab, verifies and describes; the way to see the whole without hardware.
pub(super) async fn show(session: &Session, json: bool) -> Ended {
    if !session.is_lab() {
        return Err(vec![
            Failure::permanent("command line", "real systems are changed by a verb only")
                .hint("begin with: plan --target real"),
        ]);
    }
    let plan = session.plan().await?;
    build(session, &plan).await?;
    finish(session, json).await
}

async fn build(session: &Session, plan: &Plan) -> Result<(), Vec<Failure>> {
    session.events().show(Event::began(
        "up",
        session.spec().name.as_str(),
        &session.describe(),
    ));
    let interrupt = Interrupt::default();
    let watch = interrupt_on_signal(interrupt.clone());
    let applied = session.apply(plan, &interrupt).await;
    watch.abort();
    applied.map(|_| ()).map_err(stopped)
}

/// The first Ctrl-C begins nothing more, the second one ends the program.
fn interrupt_on_signal(interrupt: Interrupt) -> tokio::task::JoinHandle<()> {
    tokio::spawn(async move {
        if tokio::signal::ctrl_c().await.is_ok() {
            interrupt.request();
            eprint("stopping after the steps in flight; press Ctrl-C again to leave them");
        }
        if tokio::signal::ctrl_c().await.is_ok() {
            #[expect(clippy::exit, reason = "asked for twice by the person in front of it")]
            std::process::exit(130);
        }
    })
}

fn stopped(stopped: Stopped) -> Vec<Failure> {
    let begun = format!(
        "{} steps done, {} not begun; run the program again to go on",
        stopped.applied.changed + stopped.applied.unchanged,
        stopped.not_begun.len()
    );
    let mut failures: Vec<Failure> = stopped
        .failures
        .into_iter()
        .map(|(_, failure)| failure)
        .collect();
    let place = if failures.is_empty() {
        "interrupt"
    } else {
        "build"
    };
    failures.push(Failure::permanent(place, begun));
    failures
}

async fn finish(session: &Session, json: bool) -> Ended {
    let report = session.verify().await?;
    conclude(session, &report, json);
    Ok(code(report.passed()))
}

fn conclude(session: &Session, report: &Report, json: bool) {
    if json {
        for evidence in &report.evidence {
            session.events().show(Event::checked(
                &evidence.check,
                evidence.passed,
                evidence.evidence.clone(),
            ));
        }
        print(&json!({ "schema": 1, "report": report }).to_string());
    } else {
        print(&report.to_string());
    }
    let failed = report
        .evidence
        .iter()
        .filter(|evidence| !evidence.passed)
        .count();
    let name = &report.cluster;
    let summary = match failed {
        0 => format!("{name} serves: {} checks passed", report.evidence.len()),
        _ => format!(
            "{name} does NOT serve: {failed} of {} checks failed",
            report.evidence.len()
        ),
    };
    session.events().show(Event::ended(failed == 0, summary));
}

/// Proves that the cluster serves.
pub(super) async fn verify(session: &Session, json: bool) -> Ended {
    finish(session, json).await
}

/// Shows what is there.
pub(super) async fn status(session: &Session, json: bool) -> Ended {
    let seen = session.observe().await.map_err(|failure| vec![failure])?;
    if json {
        print(&json!({ "schema": 1, "observation": seen }).to_string());
    } else {
        print(&seen.to_string());
    }
    Ok(ExitCode::SUCCESS)
}

/// Removes the machines.
pub(super) async fn down(
    session: &Session,
    policy: Policy,
    yes: bool,
    name: Option<&str>,
    json: bool,
) -> Ended {
    let spec = session.spec();
    let named = name == Some(spec.name.as_str());
    if policy.removal == Removal::Named && !named {
        return Err(vec![
            Failure::permanent(spec.name.as_str(), "is removed only when it is named")
                .hint(format!("down --name {}", spec.name)),
        ]);
    }
    let seen = session.observe().await.map_err(|failure| vec![failure])?;
    let plan = removal(spec, &seen);
    if !json {
        show_plan(&plan, false);
    }
    if !plan.is_empty() {
        if !yes {
            confirm("This removes machines with their disks.").map_err(|failure| vec![failure])?;
        }
        session
            .apply(&plan, &Interrupt::default())
            .await
            .map_err(stopped)?;
    }
    let kept = "secrets and backups are kept";
    session
        .events()
        .show(Event::ended(true, format!("{} is gone; {kept}", spec.name)));
    Ok(ExitCode::SUCCESS)
}

/// Writes what follows from `cluster.yaml`, or compares it with what was written.
pub(super) fn render(spec: &Spec, out: &Path, check: bool) -> Ended {
    let tree = tree(spec).map_err(|failure| vec![failure])?;
    if !check {
        let files = tree.write(out).map_err(|failure| vec![failure])?;
        print(&format!("{files} files in {}", out.display()));
        return Ok(ExitCode::SUCCESS);
    }
    let differences = tree.compare(out).map_err(|failure| vec![failure])?;
    for difference in &differences {
        print(difference);
    }
    Ok(if differences.is_empty() {
        ExitCode::SUCCESS
    } else {
        ExitCode::from(CHANGES)
    })
}
