//! Filters on flows.

use cilium_model::ErrorKind;
use cilium_model::hubble::{FilterSet, Flow, FlowFilter};
use serde_json::json;

fn flow() -> Flow {
    Flow::from_json(&json!({
        "verdict": "DROPPED",
        "drop_reason_desc": "POLICY_DENIED",
        "IP": {"source": "10.0.0.5", "destination": "10.0.1.9", "ipVersion": "IPv4"},
        "l4": {"TCP": {"source_port": 40000, "destination_port": 8080, "flags": {"SYN": true}}},
        "source": {"namespace": "shop", "pod_name": "web-5c4", "labels": ["k8s:app=web", "k8s:env=prod"]},
        "destination": {"namespace": "data", "pod_name": "db-0", "labels": ["k8s:app=db"]},
        "node_name": "east/node-a",
        "unknown_field": {"kept": true},
    }))
    .unwrap()
}

fn passes(filter: FlowFilter) -> bool {
    FilterSet::new([filter], []).unwrap().matches(&flow())
}

#[test]
fn no_filter_lets_everything_pass() {
    assert!(FilterSet::new([], []).unwrap().matches(&flow()));
}

#[test]
fn fields_of_one_filter_must_all_match_and_lists_are_alternatives() {
    assert!(passes(
        FlowFilter::new()
            .source_pod(["data/", "shop/web"])
            .verdict(["DROPPED"])
    ));
    assert!(!passes(
        FlowFilter::new()
            .source_pod(["shop/web"])
            .verdict(["FORWARDED"])
    ));
}

#[test]
fn a_pod_without_a_namespace_is_one_of_default() {
    assert!(!passes(FlowFilter::new().source_pod(["web"])));
}

#[test]
fn label_selectors_are_read_in_their_text_form() {
    for (selector, expected) in [
        ("app=web", true),
        ("k8s:app in (web, api), env!=dev", true),
        ("!app", false),
        ("app notin (web)", false),
        ("", true),
    ] {
        assert_eq!(
            passes(FlowFilter::new().source_label([selector])),
            expected,
            "{selector}"
        );
    }
}

#[test]
fn the_blacklist_wins() {
    let deny = FlowFilter::new().destination_port(["8080"]);
    assert!(
        !FilterSet::new([FlowFilter::new().verdict(["DROPPED"])], [deny])
            .unwrap()
            .matches(&flow())
    );
}

#[test]
fn what_the_observer_refuses_is_refused_with_its_place() {
    let filter = FlowFilter::new()
        .source_ip(["10.0.0."])
        .http_status_code(["6+"])
        .destination_port(["1-9"]);
    let error = FilterSet::new([FlowFilter::new(), filter], []).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid);
    let paths: Vec<&str> = error.problems().iter().map(|p| p.path.as_str()).collect();
    assert_eq!(
        paths,
        [
            "whitelist[1].source_ip[0]",
            "whitelist[1].destination_port[0]",
            "whitelist[1].http_status_code[0]"
        ]
    );
}

#[test]
fn fields_that_filters_do_not_know_are_kept() {
    assert_eq!(flow().to_json()["unknown_field"], json!({"kept": true}));
}
