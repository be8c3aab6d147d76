//! What holds for any input.

use cilium_model::Manifest;
use cilium_model::manifest;
use cilium_model::policy::verdict::{Endpoint, Flow, Options, Policy, PolicySet};
use proptest::prelude::*;
use serde_json::{Map, Value, json};

fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        "[ -~]{0,12}".prop_map(Value::from),
        prop_oneof![
            Just("no"),
            Just("on"),
            Just("0644"),
            Just("~"),
            Just("1e3"),
            Just("- x"),
            Just("a: b"),
            Just("")
        ]
        .prop_map(Value::from),
        "\\PC{0,6}".prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 40, 5, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
            prop::collection::vec(("[a-zA-Z0-9./_-]{1,8}", inner), 0..5)
                .prop_map(|entries| Value::Object(entries.into_iter().collect::<Map<_, _>>())),
        ]
    })
}

fn label() -> impl Strategy<Value = (&'static str, &'static str)> {
    let keys = prop_oneof![Just("app"), Just("tier"), Just("env")];
    (keys, prop_oneof![Just("a"), Just("b"), Just("c")])
}

fn entry() -> impl Strategy<Value = Value> {
    let peers = prop_oneof![
        label().prop_map(|(k, v)| json!({"fromEndpoints": [{"matchLabels": {k: v}}]})),
        Just(json!({"fromEndpoints": [{}]})),
        Just(json!({"fromEntities": ["cluster"]})),
        Just(json!({})),
    ];
    (peers, prop::option::of(1_u16..5)).prop_map(|(mut peers, port)| {
        if let Some(port) = port {
            peers["toPorts"] = json!([{"ports": [{"port": port.to_string(), "protocol": "TCP"}]}]);
        }
        peers
    })
}

fn policy() -> impl Strategy<Value = Value> {
    let entries = prop::collection::vec(entry(), 1..3);
    (label(), entries, prop::collection::vec(entry(), 0..2)).prop_map(|((k, v), allow, deny)| {
        let mut spec = json!({"endpointSelector": {"matchLabels": {k: v}}, "ingress": allow});
        if !deny.is_empty() {
            spec["ingressDeny"] = Value::from(deny);
        }
        json!({"apiVersion": "cilium.io/v2", "kind": "CiliumNetworkPolicy",
            "metadata": {"name": "p", "namespace": "ns"}, "spec": spec})
    })
}

fn compile(policies: &[Value]) -> PolicySet {
    let read = policies
        .iter()
        .filter_map(|policy| Policy::from_json(policy).unwrap());
    PolicySet::new(read, Options::default()).unwrap()
}

fn without(policies: &[Value], key: &str) -> Vec<Value> {
    let mut all = policies.to_vec();
    for policy in &mut all {
        policy["spec"].as_object_mut().unwrap().shift_remove(key);
    }
    all
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn yaml_is_read_back_as_it_was_written(body in value()) {
        let object = json!({"apiVersion": "cilium.io/v2", "kind": "CiliumCIDRGroup",
            "metadata": {"name": "x"}, "spec": {}, "future": body});
        let read = Manifest::from_json(&object).unwrap();
        let text = Manifest::write_all([&read]);
        prop_assert_eq!(manifest::untyped(&text).unwrap(), vec![object], "{}", text);
    }

    #[test]
    fn the_order_of_policies_does_not_matter(
        policies in prop::collection::vec(policy(), 1..5),
        source in prop::collection::vec(label(), 1..3),
        target in prop::collection::vec(label(), 1..3),
        port in 1_u16..5,
    ) {
        let (source, target) = (Endpoint::pod("ns", source), Endpoint::pod("ns", target));
        let flow = Flow::tcp(&source, &target, port);
        let forwards = compile(&policies).evaluate(&flow);
        let mut reversed = policies.clone();
        reversed.reverse();
        let backwards = compile(&reversed).evaluate(&flow);
        prop_assert_eq!(forwards.ingress.decision, backwards.ingress.decision);
        prop_assert_eq!(forwards.ingress.rules(), backwards.ingress.rules());
    }

    #[test]
    fn taking_denies_away_never_closes_anything(
        policies in prop::collection::vec(policy(), 1..5),
        source in prop::collection::vec(label(), 1..3),
        target in prop::collection::vec(label(), 1..3),
        port in 1_u16..5,
    ) {
        let (source, target) = (Endpoint::pod("ns", source), Endpoint::pod("ns", target));
        let flow = Flow::tcp(&source, &target, port);
        let before = compile(&policies).evaluate(&flow);
        let after = compile(&without(&policies, "ingressDeny")).evaluate(&flow);
        prop_assert!(!before.is_allowed() || after.is_allowed());
    }

    #[test]
    fn what_is_denied_says_what_is_missing(
        policies in prop::collection::vec(policy(), 1..5),
        source in prop::collection::vec(label(), 1..3),
        target in prop::collection::vec(label(), 1..3),
    ) {
        let (source, target) = (Endpoint::pod("ns", source), Endpoint::pod("ns", target));
        let verdict = compile(&policies).evaluate(&Flow::tcp(&source, &target, 3));
        prop_assert_eq!(verdict.is_allowed(), verdict.missing().next().is_none());
    }
}
