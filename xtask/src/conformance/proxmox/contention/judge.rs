//! Whether what we gave lies within what was measured.
//!
//! What the server decides is the same every time: its texts, who may fail and with what, how many win, what is there at
//! the end. It is compared exactly. Where it leaves something to chance, and only there, a range is allowed: what the rounds
//! of one situation showed, and what the rules of chance in [`RULES`] add. Waits are compared with the same latitude for
//! all, those of locks that nobody gave up in time to a tenth of a second.

use std::collections::BTreeSet;

use super::observed::{Observed, Spread};

/// By which factor, and by how many seconds beside, waits may differ: the machine that was measured is not modelled.
const FACTOR: f64 = 2.0;
const BESIDE: f64 = 0.15;
/// The same for the time-outs of locks, which do not depend on the machine.
const TIMEOUT: f64 = 0.1;

/// What chance decides.
struct Rule {
    /// What an answer or an end must contain to be one of those that take each other's place.
    any: &'static [&'static str],
    /// Whether the rule is about this situation: a text that somebody must have been told in it, by us or as measured.
    with: &'static str,
    /// How many may change places, of so many that were told one of these texts.
    moves: fn(usize) -> usize,
}

/// With `n` callers for one id the workers of the daemon decide: up to three tasks are started, one wins.
fn workers(_: usize) -> usize {
    2
}

/// Who is accepted by a busy worker, who comes before whom: as often as not.
fn half(told: usize) -> usize {
    told.div_ceil(2)
}

/// Three to six of twenty, none or one of ten.
fn lost_allocations(told: usize) -> usize {
    if told >= 20 {
        3
    } else {
        usize::from(told >= 10)
    }
}

/// One of three that come at once is accepted by a worker that waits already; of eight, half.
fn broken(told: usize) -> usize {
    (told / 4).clamp(1, 4)
}

fn one(_: usize) -> usize {
    1
}

/// Section 2 of the page on contention, and section 3 on the two kinds of 596.
const RULES: &[Rule] = &[
    Rule {
        any: &[
            "/clone 200",
            "/clone 500 unable to create",
            "TASK qmclone unable to create",
            "TASK qmclone can't lock file '/var/lock/qemu-server",
        ],
        with: "unable to create VM N: config file already exists",
        moves: workers,
    },
    // Each of two verbs may win an id.
    Rule {
        any: &[
            "/clone 200",
            "/clone 500 unable",
            "/qemu 200",
            "/qemu 500 unable",
            "TASK qmclone",
            "TASK qmcreate",
        ],
        with: "already exists on node",
        moves: half,
    },
    Rule {
        any: &["/clone 200", "TASK qmclone"],
        with: "clone failed: c",
        moves: lost_allocations,
    },
    // A start that got lost, a connection that was closed: what would have been is not there.
    Rule {
        any: &[""],
        with: "got no worker upid",
        moves: one,
    },
    Rule {
        any: &[
            "status/current",
            "/config 200",
            "/config 500",
            "/config 596",
            "/snapshot 200",
            "/snapshot 596",
            "/resize",
            "/clone 200",
            "/clone 500",
            "/clone 596",
            "/status/",
            "DELETE",
            "TASK",
        ],
        with: "596 Broken pipe",
        moves: broken,
    },
    Rule {
        any: &["status/current", "/config 500", "/config 596"],
        with: "596 Connection timed out",
        moves: one,
    },
    Rule {
        any: &["TASK qmsnapshot"],
        with: "TASK qmsnapshot snapshot name",
        moves: one,
    },
    // What comes before a removal or a snapshot is done, what comes after is refused.
    Rule {
        any: &[
            "/config 200",
            "/config 500",
            "TASK qmconfig",
            "DELETE /nodes/pve1/qemu/N ",
            "TASK qmdestroy",
        ],
        with: "does not exist",
        moves: half,
    },
    Rule {
        any: &["/config 200", "/config 500 VM is locked"],
        with: "/snapshot 200",
        moves: half,
    },
    // Of a removal and a rollback of one snapshot, either may come first.
    Rule {
        any: &["TASK qmrollback"],
        with: "/rollback 200",
        moves: one,
    },
    // A file that somebody downloads may be there already.
    Rule {
        any: &["TASK download"],
        with: "/download-url 200",
        moves: half,
    },
    // Whether a machine is off before others give up on its lock.
    Rule {
        any: &[
            "TASK qmclone unexpected",
            "TASK qmclone can't lock",
            "TASK qmclone OK",
        ],
        with: "/status/stop 200",
        moves: one,
    },
];

/// One round, with what chance allows in it.
pub(super) struct Judge<'a> {
    real: &'a Observed,
    /// The rounds of the same situation, this one too.
    alike: &'a [&'a Observed],
    /// What we gave, once for each seed.
    ours: &'a [Observed],
}

impl<'a> Judge<'a> {
    pub(super) fn new(real: &'a Observed, alike: &'a [&'a Observed], ours: &'a [Observed]) -> Self {
        Self { real, alike, ours }
    }

    fn classes(&self) -> BTreeSet<&'a String> {
        let all = self.ours.iter().chain([self.real]);
        all.flat_map(|observed| observed.waits.keys()).collect()
    }

    /// How many more or fewer of a kind chance allows.
    fn moves(&self, class: &str) -> usize {
        let is_of = |rule: &Rule, class: &str| rule.any.iter().any(|part| class.contains(part));
        let told = |rule: &Rule| -> usize {
            let requests = self.real.waits.iter();
            requests
                .filter(|(other, _)| other.starts_with("TASK") == class.starts_with("TASK"))
                .filter(|(other, _)| is_of(rule, other))
                .map(|(_, waits)| waits.len())
                .sum()
        };
        let seen = |text: &str| {
            let mut all = self.ours.iter().chain([self.real]);
            all.any(|observed| observed.waits.keys().any(|class| class.contains(text)))
        };
        RULES
            .iter()
            .filter(|rule| is_of(rule, class) && seen(rule.with))
            .map(|rule| (rule.moves)(told(rule)))
            .max()
            .unwrap_or(0)
    }

    /// What is not as measured.
    pub(super) fn verdict(&self) -> Option<String> {
        self.classes()
            .into_iter()
            .filter(|class| self.is_told(class))
            .find_map(|class| self.count_off(class).or_else(|| self.wait_off(class)))
    }

    /// Whether the recording would tell: not every round followed its tasks.
    fn is_told(&self, class: &str) -> bool {
        !class.starts_with("TASK") || self.real.waits.keys().any(|key| key.starts_with("TASK"))
    }

    fn count_off(&self, class: &str) -> Option<String> {
        let measured = || self.alike.iter().map(|round| round.count(class));
        let moves = self.moves(class);
        let least = measured().min().unwrap_or(0).saturating_sub(moves);
        let most = measured().max().unwrap_or(0) + moves;
        let off = self
            .ours
            .iter()
            .map(|ours| ours.count(class))
            .find(|count| !(least..=most).contains(count))?;
        Some(match (least, most) {
            (least, most) if least == most => format!("{class}: {off} times, {most} measured"),
            _ => format!("{class}: {off} times, {least} to {most} measured"),
        })
    }

    fn wait_off(&self, class: &str) -> Option<String> {
        let real = self.real.spread(class)?;
        let ours: Vec<Spread> = self
            .ours
            .iter()
            .filter_map(|ours| ours.spread(class))
            .collect();
        let timeout = is_timeout(class);
        let (factor, beside) = match timeout {
            true => (1.0, TIMEOUT),
            false => (FACTOR, BESIDE),
        };
        let far = |of: fn(&Spread) -> f64| {
            let all = || ours.iter().map(of);
            let least = all().fold(f64::INFINITY, f64::min) / factor - beside;
            let most = all().fold(0.0, f64::max) * factor + beside;
            !(least..=most).contains(&of(&real))
        };
        // Who waits in a queue before a lock waits longer by chance; the first does not.
        let late = far(|it| it.least) || !timeout && (far(|it| it.middle) || far(|it| it.most));
        let first = ours.first().filter(|_| late)?;
        Some(format!("{class}: after {first} s, {real} s measured"))
    }

    /// A line for each kind of answer that came more or less often than measured, or after other waits, whether or not that
    /// is allowed.
    pub(super) fn report(&self) -> Vec<String> {
        let differs = |class: &&&String| {
            let counts = self.ours.iter().map(|ours| ours.count(class));
            counts
                .into_iter()
                .any(|count| count != self.real.count(class))
                || self.wait_off(class).is_some()
        };
        let line = |class: &String| {
            let counts: Vec<String> = self
                .ours
                .iter()
                .map(|ours| ours.count(class).to_string())
                .collect();
            let spread = |observed: Option<&Observed>| {
                let spread = observed.and_then(|observed| observed.spread(class));
                spread.map_or_else(|| "-".to_owned(), |spread| spread.to_string())
            };
            format!(
                "{class}: {} times, {} measured; waits {}, {} measured",
                counts.join(" "),
                self.real.count(class),
                spread(self.ours.first()),
                spread(Some(self.real)),
            )
        };
        let classes = self.classes();
        classes
            .iter()
            .filter(differs)
            .map(|class| line(class))
            .collect()
    }
}

/// Whether somebody gave up on the first lock that it wanted; the copies of a clone come after other waits.
fn is_timeout(class: &str) -> bool {
    class.ends_with("- got timeout") && !class.contains("clone failed: ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn observed(counts: &[(&str, usize, f64)]) -> Observed {
        let mut out = Observed::default();
        for (class, count, wait) in counts {
            (0..*count).for_each(|_| out.push((*class).to_owned(), *wait));
        }
        out
    }

    fn verdict(real: &Observed, ours: Observed) -> Option<String> {
        Judge::new(real, &[real], &[ours]).verdict()
    }

    #[test]
    fn what_the_server_decides_is_compared_exactly() {
        let real = observed(&[
            ("PUT /x 200 OK", 1, 0.02),
            ("PUT /x 500 checksum mismatch", 9, 0.03),
        ]);
        let ours = observed(&[
            ("PUT /x 200 OK", 2, 0.02),
            ("PUT /x 500 checksum mismatch", 8, 0.03),
        ]);
        assert_eq!(verdict(&real, real.clone()), None);
        assert!(
            verdict(&real, ours)
                .unwrap()
                .contains("2 times, 1 measured")
        );
    }

    #[test]
    fn the_workers_decide_how_many_of_those_who_want_one_id_are_given_a_task() {
        let told = "POST /q/clone 500 unable to create VM N: config file already exists";
        let real = observed(&[("POST /q/clone 200 OK", 3, 0.03), (told, 17, 0.1)]);
        let one = observed(&[("POST /q/clone 200 OK", 1, 0.03), (told, 19, 0.1)]);
        let nine = observed(&[("POST /q/clone 200 OK", 9, 0.03), (told, 11, 0.1)]);
        assert_eq!(verdict(&real, one), None);
        assert!(verdict(&real, nine).is_some());
    }

    #[test]
    fn time_outs_of_locks_are_compared_to_a_tenth_of_a_second() {
        let text = "TASK qmstart can't lock file '/var/lock/qemu-server/lock-N.conf' - got timeout";
        let real = observed(&[(text, 1, 10.01)]);
        assert_eq!(verdict(&real, observed(&[(text, 1, 10.08)])), None);
        assert!(verdict(&real, observed(&[(text, 1, 10.2)])).is_some());
        assert!(verdict(&real, observed(&[(text, 1, 1.01)])).is_some());
    }

    #[test]
    fn a_wait_twice_as_long_passes_and_one_of_ten_times_does_not() {
        let real = observed(&[("POST /x 200 OK", 4, 0.4)]);
        assert_eq!(
            verdict(&real, observed(&[("POST /x 200 OK", 4, 0.9)])),
            None
        );
        assert!(verdict(&real, observed(&[("POST /x 200 OK", 4, 4.0)])).is_some());
    }
}
