//! Jobs: pods that run to their end.

use serde_json::{Value, json};

use super::super::object::{
    Condition, deleting, flag, is_true, name, number, set, set_condition, stamp, text, uid,
};
use super::{Turn, pods};

const JOBS: &str = "jobs.batch";

pub(super) fn run(turn: &mut Turn<'_>) {
    for job in turn.all(JOBS) {
        if !deleting(&job) && !is_true(&job, "Complete") && !is_true(&job, "Failed") {
            work(turn, &job);
        }
    }
}

fn work(turn: &mut Turn<'_>, job: &Value) {
    if job.pointer("/spec/selector").is_none() {
        // The server itself makes selector and labels of a job, from its id and name.
        turn.update(JOBS, job, |one| {
            let (id, own) = (uid(one).to_owned(), name(one).to_owned());
            set(
                one,
                "/spec/selector/matchLabels/batch.kubernetes.io~1controller-uid",
                json!(id),
            );
            for (key, value) in [
                ("batch.kubernetes.io~1controller-uid", &id),
                ("batch.kubernetes.io~1job-name", &own),
                ("controller-uid", &id),
                ("job-name", &own),
            ] {
                set(
                    one,
                    &format!("/spec/template/metadata/labels/{key}"),
                    json!(value),
                );
            }
        });
        return;
    }
    let own = pods::owned(turn, "pods", job);
    let succeeded = own
        .iter()
        .filter(|one| text(one, "/status/phase") == "Succeeded")
        .count();
    let active: Vec<_> = own
        .iter()
        .filter(|one| !pods::finished(one) && !deleting(one))
        .collect();
    let wanted = usize::try_from(number(job, "/spec/completions").unwrap_or(1)).unwrap_or(1);
    let width = usize::try_from(number(job, "/spec/parallelism").unwrap_or(1)).unwrap_or(1);
    let done = succeeded >= wanted;
    let mut running = active.len();
    let mut failure = None;
    if !done && !flag(job, "/spec/suspend") {
        while running < width.min(wanted - succeeded) {
            let pod_name = format!("{}-{}", name(job), turn.world.next_suffix());
            let pod = pods::from_template(job, &job["spec"]["template"], &pod_name);
            if let Err(refusal) = pods::create(turn, pod) {
                failure = Some(refusal.message);
                break;
            }
            running += 1;
        }
    }
    if let Some(message) = failure {
        turn.event(
            job,
            "Warning",
            "FailedCreate",
            &format!("Error creating: {message}"),
        );
    }
    let now = turn.now;
    let ready = active.iter().filter(|one| pods::is_ready(one)).count();
    turn.update(JOBS, job, |one| {
        super::super::object::default(one, "/status/startTime", json!(stamp(now)));
        set(one, "/status/active", json!(if done { 0 } else { running }));
        set(one, "/status/ready", json!(ready));
        set(one, "/status/succeeded", json!(succeeded));
        if done {
            set(one, "/status/completionTime", json!(stamp(now)));
            for kind in ["SuccessCriteriaMet", "Complete"] {
                set_condition(
                    one,
                    now,
                    &Condition {
                        kind,
                        status: true,
                        reason: "CompletionsReached",
                        message: "Reached expected number of succeeded pods",
                    },
                );
            }
        }
    });
}
