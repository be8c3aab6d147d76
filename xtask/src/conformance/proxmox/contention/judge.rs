//! Whether what we gave lies within what was measured.
//!
//! What the server decides is the same every time: its texts, who may fail and with what, how many win, what is there at
//! the end. It is compared exactly. Where it leaves something to chance, and only there ([`RULES`]), two questions are asked:
//! whether the recording may come of the chance that our seeds show, and whether each of ours may come of the chance that the
//! recordings of its situation show ([`plausible`]). Waits are compared with the same latitude for all, those of locks that
//! nobody gave up in time to a tenth of a second.

use std::collections::BTreeSet;
use std::ops::RangeInclusive;

use super::observed::{Observed, Spread};

/// By which factor, and by how many seconds beside, waits may differ: the machine that was measured is not modelled.
const FACTOR: f64 = 2.0;
const BESIDE: f64 = 0.15;
/// The same for the time-outs of locks, which do not depend on the machine.
const TIMEOUT: f64 = 0.1;

/// Which part of all rounds that are as they should be may be told to differ, on each side.
const DOUBT: f64 = 0.005;

#[derive(Clone, Copy)]
enum Bound {
    /// What [`plausible`] says.
    Thrown,
    /// So many more or fewer for each that wins, none of them less likely than the others.
    PerWinner(usize),
}

/// What chance decides: who of several that are told one of these texts is told which.
struct Rule {
    /// What an answer or an end must contain to be one of those that take each other's place.
    any: &'static [&'static str],
    /// Whether the rule is about this situation: a text that somebody must have been told in it, by us or as measured.
    with: &'static str,
    /// How much of it there may be.
    bound: Bound,
}

/// Section 2 of the page on contention, and section 3 on the two kinds of 596. The first has a bound of its own: of the
/// callers for one id one to three are given a task, one by each worker of the daemon that looks before the winner's
/// configuration is there. The recordings of two, five, ten and twenty callers show one such task for 5 ids, two for 7 and
/// three for 18.
const RULES: &[Rule] = &[
    Rule {
        any: &[
            "/clone 200",
            "/clone 500 unable to create",
            "TASK qmclone unable to create",
            "TASK qmclone can't lock file '/var/lock/qemu-server",
        ],
        with: "unable to create VM N: config file already exists",
        bound: Bound::PerWinner(2),
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
        bound: Bound::Thrown,
    },
    Rule {
        any: &["/clone 200", "TASK qmclone"],
        with: "clone failed: c",
        bound: Bound::Thrown,
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
        bound: Bound::Thrown,
    },
    Rule {
        any: &["status/current", "/config 500", "/config 596"],
        with: "596 Connection timed out",
        bound: Bound::Thrown,
    },
    Rule {
        any: &["TASK qmsnapshot"],
        with: "TASK qmsnapshot snapshot name",
        bound: Bound::Thrown,
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
        bound: Bound::Thrown,
    },
    Rule {
        any: &["/config 200", "/config 500 VM is locked"],
        with: "/snapshot 200",
        bound: Bound::Thrown,
    },
    // Of a removal and a rollback of one snapshot, either may come first.
    Rule {
        any: &["TASK qmrollback"],
        with: "/rollback 200",
        bound: Bound::Thrown,
    },
    // A file that somebody downloads may be there already.
    Rule {
        any: &["TASK download"],
        with: "/download-url 200",
        bound: Bound::Thrown,
    },
    // Whether a machine is off before others give up on its lock.
    Rule {
        any: &[
            "TASK qmclone unexpected",
            "TASK qmclone can't lock",
            "TASK qmclone OK",
        ],
        with: "/status/stop 200",
        bound: Bound::Thrown,
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

    /// The rules that are about a kind in this situation, each with how many are told one of its texts.
    fn rules(&self, class: &str) -> Vec<(&'static Rule, usize)> {
        let is_of = |rule: &Rule, class: &str| rule.any.iter().any(|part| class.contains(part));
        let told = |rule: &Rule, observed: &Observed| -> usize {
            let requests = observed.waits.iter();
            requests
                .filter(|(other, _)| other.starts_with("TASK") == class.starts_with("TASK"))
                .filter(|(other, _)| is_of(rule, other))
                .map(|(_, waits)| waits.len())
                .sum()
        };
        let all = || self.ours.iter().chain([self.real]);
        let seen = |text: &str| all().any(|it| it.waits.keys().any(|class| class.contains(text)));
        RULES
            .iter()
            .filter(|rule| is_of(rule, class) && seen(rule.with))
            .map(|rule| {
                let told = all().map(|observed| told(rule, observed));
                (rule, told.max().unwrap_or(0))
            })
            .collect()
    }

    /// How many got what they asked for in the recording.
    fn winners(&self) -> usize {
        let won = self.real.waits.iter();
        won.filter(|(class, _)| class.starts_with("TASK") && class.ends_with(" OK"))
            .map(|(_, waits)| waits.len())
            .sum::<usize>()
            .max(1)
    }

    /// Starts that got lost and connections that were closed: what would have been is not there. We are not asked to do so.
    fn mishaps(&self) -> usize {
        let lost = ["got no worker upid", "closed without an answer"];
        let classes = self.real.waits.iter();
        classes
            .filter(|(class, _)| lost.iter().any(|text| class.contains(text)))
            .map(|(_, waits)| waits.len())
            .sum()
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
        let measured: Vec<usize> = self.alike.iter().map(|it| it.count(class)).collect();
        let counts: Vec<usize> = self.ours.iter().map(|it| it.count(class)).collect();
        let (least, most) = ends(&measured);
        let mishaps = self.mishaps();
        let decided = least.saturating_sub(mishaps)..=most + mishaps;
        let rules = self.rules(class);
        let allowed = |(rule, told): &(&Rule, usize), seen: &[usize], doubt: f64| match rule.bound {
            Bound::Thrown => plausible(*told, seen, doubt),
            Bound::PerWinner(each) => {
                let ((least, most), moves) = (ends(seen), each * self.winners());
                least.saturating_sub(moves)..=most + moves
            }
        };
        let doubt = DOUBT / counts.len() as f64;
        let by_chance = |count: usize| {
            let mut rules = rules.iter();
            rules.any(|rule| allowed(rule, &measured, doubt).contains(&count))
        };
        let off = counts
            .iter()
            .find(|count| !decided.contains(count) && !by_chance(**count));
        if let Some(off) = off {
            return Some(match (least, most) {
                (least, most) if least == most => format!("{class}: {off} times, {most} measured"),
                _ => format!("{class}: {off} times, {least} to {most} measured"),
            });
        }
        let real = self.real.count(class);
        let (fewest, highest) = ends(&counts);
        let ours = fewest.saturating_sub(mishaps)..=highest + mishaps;
        let comes = |rule: &(&Rule, usize)| allowed(rule, &counts, DOUBT).contains(&real);
        (!ours.contains(&real) && !rules.iter().any(comes))
            .then(|| format!("{class}: {fewest} to {highest} times, {real} measured"))
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

fn ends(counts: &[usize]) -> (usize, usize) {
    let (least, most) = (counts.iter().min(), counts.iter().max());
    (least.copied().unwrap_or(0), most.copied().unwrap_or(0))
}

/// How many of `told` callers one text may be told, after it was told to `seen` of as many in other rounds: those counts,
/// and what independent throws of the same chance give, all but the rarest on either side. The chance is estimated from what
/// was seen by the rule of succession, so that little evidence forbids little.
fn plausible(told: usize, seen: &[usize], doubt: f64) -> RangeInclusive<usize> {
    let (fewest, highest) = ends(seen);
    let total: usize = seen.iter().sum();
    let chance = (total as f64 + 1.0) / ((told * seen.len()) as f64 + 2.0);
    let chance = chance.min(1.0);
    // How likely each count is, from none on.
    let mut likely = Vec::with_capacity(told + 1);
    let mut ways = 1.0;
    for count in 0..=told {
        let rest = (told - count) as i32;
        likely.push(ways * chance.powi(count as i32) * (1.0 - chance).powi(rest));
        ways *= f64::from(rest) / (count + 1) as f64;
    }
    let rare = |side: &mut dyn Iterator<Item = &f64>| {
        let mut sum = 0.0;
        let below = side.take_while(|likely| {
            sum += *likely;
            sum <= doubt
        });
        below.count()
    };
    let low = rare(&mut likely.iter());
    let high = told - rare(&mut likely.iter().rev()).min(told);
    low.min(fewest)..=high.max(highest)
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
    fn what_chance_allows_follows_from_what_was_seen() {
        // One coin, thrown once: either side may come.
        assert_eq!(plausible(1, &[0], DOUBT), 0..=1);
        // Never in sixteen rounds of ten: once is possible, three times is not.
        assert_eq!(plausible(10, &[0; 16], DOUBT), 0..=1);
        // Half of twenty, many times.
        assert_eq!(plausible(20, &[10; 16], DOUBT), 4..=16);
        // What was seen is always possible.
        assert_eq!(plausible(20, &[0, 20], DOUBT), 0..=20);
    }

    #[test]
    fn a_lost_start_is_missing_among_those_that_would_have_followed() {
        let real = observed(&[
            ("POST /q/snapshot 200 OK", 4, 0.03),
            (
                "POST /q/snapshot 500 got no worker upid - start worker failed",
                1,
                0.1,
            ),
        ]);
        assert_eq!(
            verdict(&real, observed(&[("POST /q/snapshot 200 OK", 5, 0.03)])),
            None
        );
        assert!(verdict(&real, observed(&[("POST /q/snapshot 200 OK", 7, 0.03)])).is_some());
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
