//! The retention rules: small cases by hand, and what holds for all.

use proptest::prelude::*;
use restic_wrapper::retention::{
    Advice, ForgetArgs, GroupBy, PlanError, Policy, Span, TagList, Zone, calendar,
};
use restic_wrapper::{Snapshot, Timestamp};

fn snapshot(id: usize, time: &str) -> Snapshot {
    let mut snapshot = Snapshot::new(time.parse().unwrap());
    snapshot.id = format!("{id:064x}");
    snapshot.hostname = "host".to_owned();
    snapshot.paths = vec!["/data".to_owned()];
    snapshot
}

fn now() -> Timestamp {
    "2026-11-20T12:00:00Z".parse().unwrap()
}

fn kept(policy: &str, times: &[&str]) -> Vec<String> {
    let list: Vec<Snapshot> = times
        .iter()
        .enumerate()
        .map(|(id, time)| snapshot(id, time))
        .collect();
    let policy: Policy = policy.parse().unwrap();
    let plan = policy
        .plan(&list, GroupBy::default(), now(), &Zone::utc())
        .unwrap();
    let keep = plan.groups[0].keep.iter();
    keep.map(|(snapshot, reasons)| {
        let why: Vec<String> = reasons.iter().map(|it| policy.explain(*it)).collect();
        format!("{} {}", snapshot.time, why.join(", "))
    })
    .collect()
}

#[test]
fn the_newest_of_each_day_stays_and_the_oldest_of_all_if_there_is_room() {
    let times = [
        "2026-11-17T08:00:00Z",
        "2026-11-17T09:00:00Z",
        "2026-11-18T23:59:59+01:00",
        "2026-11-20T00:30:00+01:00",
        "2026-11-20T10:00:00Z",
    ];
    insta::assert_snapshot!(kept("daily=5", &times).join("\n"), @r"
    2026-11-20T10:00:00Z daily snapshot
    2026-11-18T23:59:59+01:00 daily snapshot
    2026-11-17T09:00:00Z daily snapshot
    2026-11-17T08:00:00Z oldest daily snapshot
    ");
    insta::assert_snapshot!(kept("daily=2", &times).join("\n"), @r"
    2026-11-20T10:00:00Z daily snapshot
    2026-11-18T23:59:59+01:00 daily snapshot
    ");
}

#[test]
fn a_day_back_over_a_clock_change_is_a_day_of_the_wall_clock_where_the_snapshot_was_made_there() {
    let list = [
        snapshot(0, "2026-03-28T12:30:00+01:00"),
        snapshot(1, "2026-03-29T12:00:00+02:00"),
    ];
    let kept = |zone: &Zone| {
        let policy = Policy::new().within(Span::new(0, 0, 1, 0));
        policy
            .plan(&list, GroupBy::default(), now(), zone)
            .unwrap()
            .kept()
            .count()
    };
    // The day of the change has 23 hours, and 12:30 is less than a day of the wall clock before 12:00.
    assert_eq!(kept(&Zone::named("Europe/Berlin").unwrap()), 2);
    assert_eq!(kept(&Zone::utc()), 2);
    let list = [
        snapshot(0, "2026-03-28T11:30:00+01:00"),
        snapshot(1, "2026-03-29T12:00:00+02:00"),
    ];
    let kept = |zone: &Zone| {
        let policy = Policy::new().within(Span::new(0, 0, 1, 0));
        policy
            .plan(&list, GroupBy::default(), now(), zone)
            .unwrap()
            .kept()
            .count()
    };
    // 23 hours and 30 minutes: within a day by the clock of the snapshot, not by the wall clock of Berlin.
    assert_eq!(kept(&Zone::named("Europe/Berlin").unwrap()), 1);
    assert_eq!(kept(&Zone::utc()), 2);
}

#[test]
fn faults_of_a_policy_are_told_all_at_once_with_their_places() {
    let error = "daily=x weakly=2 within=3q last"
        .parse::<Policy>()
        .unwrap_err();
    insta::assert_snapshot!(error.to_string().replace("; column", ";\ncolumn"), @r#"
    column 1: daily: strconv.ParseInt: parsing "x": invalid syntax;
    column 9: there is no rule "weakly"; rules are last, hourly, daily, weekly, monthly, yearly, within, within-hourly to within-yearly, tag;
    column 18: within: invalid unit 'q' found after number 3;
    column 28: "last" is not of the form rule=value
    "#);
}

#[test]
fn arguments_that_restic_refuses_are_refused_in_its_words() {
    let refusal = |args: &[&str]| ForgetArgs::parse(args).unwrap_err().to_string();
    assert_eq!(
        refusal(&["forget", "-d", "-1"]),
        "invalid argument \"-1\" for \"-d, --keep-daily\" flag: negative values not allowed, use 'unlimited' instead"
    );
    assert_eq!(refusal(&["--keep-daly", "1"]), "unknown flag: --keep-daly");
    assert_eq!(
        refusal(&["--keep-daily"]),
        "flag needs an argument: --keep-daily"
    );
    let list = [snapshot(0, "2026-11-17T08:00:00Z")];
    let plan = |args: &[&str]| {
        ForgetArgs::parse(args)
            .unwrap()
            .plan(&list, now(), &Zone::utc())
            .map(|_| ())
    };
    assert_eq!(plan(&["forget"]), Err(PlanError::NoPolicy));
    assert_eq!(
        plan(&["--unsafe-allow-remove-all"]),
        Err(PlanError::RemoveAllWithoutFilter)
    );
    assert_eq!(
        plan(&["--keep-tag", "nosuch"]),
        Err(PlanError::WouldEmptyGroup(
            "host host, path [/data]".to_owned()
        ))
    );
}

#[test]
fn a_picture_shows_what_stays_and_advice_what_is_probably_not_meant() {
    let times: Vec<String> = (1..=20)
        .map(|day| format!("2026-11-{day:02}T08:00:00Z"))
        .collect();
    let list: Vec<Snapshot> = times
        .iter()
        .enumerate()
        .map(|(id, time)| snapshot(id, time))
        .collect();
    let policy: Policy = "daily=3 weekly=2".parse().unwrap();
    let plan = policy
        .plan(&list, GroupBy::default(), now(), &Zone::utc())
        .unwrap();
    insta::assert_snapshot!(calendar(&plan), @"
             1       8       15      22      29
    2026-11  xxxxxxx xxxxxxx #xx###. ....... ..
    ");
    assert!(Advice::on(&policy, &plan).is_empty());
    let mut scattered = list;
    for (at, snapshot) in scattered.iter_mut().enumerate() {
        snapshot.paths = vec![format!("/tmp/run-{at}")];
    }
    let plan = policy
        .plan(&scattered, GroupBy::default(), now(), &Zone::utc())
        .unwrap();
    let advice = Advice::on(&policy, &plan);
    assert!(
        advice[0]
            .to_string()
            .starts_with("each of the 20 groups has one snapshot")
    );
}

#[test]
fn a_list_of_tags_matches_all_of_them_and_the_empty_tag_what_has_none() {
    let tags = |list: &[&str]| list.iter().map(|tag| (*tag).to_owned()).collect::<Vec<_>>();
    assert!(TagList::parse("a, b").matches(&tags(&["b", "a", "c"])));
    assert!(!TagList::parse("a,b").matches(&tags(&["a"])));
    assert!(TagList::parse("").matches(&[]));
    assert!(!TagList::parse("").matches(&tags(&["a"])));
}

fn policies() -> impl Strategy<Value = Policy> {
    let count = || 0_u64..5;
    (
        count(),
        count(),
        count(),
        count(),
        count(),
        count(),
        0_i64..40,
        0_i64..15,
    )
        .prop_map(
            |(last, hourly, daily, weekly, monthly, yearly, days, months)| {
                Policy::new()
                    .last(last)
                    .hourly(hourly)
                    .daily(daily)
                    .weekly(weekly)
                    .monthly(monthly)
                    .yearly(yearly)
                    .within(Span::new(0, 0, days, 0))
                    .within_weekly(Span::new(0, months, 0, 0))
            },
        )
}

fn snapshots() -> impl Strategy<Value = Vec<Snapshot>> {
    let one = (1_500_000_000_i64..1_790_000_000, -12_i32..14, 0_u8..3);
    prop::collection::vec(one, 1..60).prop_map(|list| {
        list.into_iter()
            .enumerate()
            .map(|(id, (seconds, hours, host))| {
                let mut snapshot = Snapshot::new(Timestamp::new(seconds, 0, hours * 3600));
                snapshot.id = format!("{id:064x}");
                snapshot.hostname = format!("host-{host}");
                snapshot
            })
            .collect()
    })
}

proptest! {
    #[test]
    fn every_snapshot_stays_or_goes_and_the_newest_stays(list in snapshots(), policy in policies()) {
        let zone = Zone::named("America/New_York").unwrap();
        match policy.plan(&list, GroupBy::HOST, now(), &zone) {
            Ok(plan) => {
                prop_assert_eq!(plan.kept().count() + plan.removed().count(), list.len());
                if !policy.is_empty() {
                    for group in &plan.groups {
                        let newest = group.keep.first().map(|(snapshot, _)| snapshot.time.instant());
                        let gone = group.remove.first().map(|snapshot| snapshot.time.instant());
                        prop_assert!(newest >= gone, "what goes is never newer than all that stays");
                        prop_assert!(group.keep.iter().all(|(_, reasons)| !reasons.is_empty()));
                    }
                }
            }
            Err(error) => prop_assert!(matches!(error, PlanError::WouldEmptyGroup(_))),
        }
    }

    #[test]
    fn keeping_more_never_keeps_less(list in snapshots(), policy in policies()) {
        let more = policy.clone().last(6_u64);
        let ids = |policy: &Policy| {
            policy.plan(&list, GroupBy::NOTHING, now(), &Zone::utc()).map(|plan| {
                plan.kept().map(|snapshot| snapshot.id.clone()).collect::<std::collections::BTreeSet<_>>()
            })
        };
        if let (Ok(few), Ok(many)) = (ids(&policy), ids(&more)) {
            prop_assert!(few.is_subset(&many));
        }
    }

    #[test]
    fn times_survive_being_printed(seconds in -60_000_000_000_i64..250_000_000_000, nanos in 0_u32..1_000_000_000, minutes in -1439_i32..1440) {
        let time = Timestamp::new(seconds, nanos, minutes * 60);
        prop_assert_eq!(time.to_string().parse::<Timestamp>(), Ok(time));
    }

    #[test]
    fn policies_survive_being_printed(policy in policies()) {
        prop_assert_eq!(policy.to_string().parse::<Policy>(), Ok(policy.clone()));
        prop_assert_eq!(ForgetArgs::parse(policy.to_args()).map(|args| args.policy), Ok(policy));
    }
}
