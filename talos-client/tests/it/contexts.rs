//! talosconfigs: contexts, how clients identify themselves, merging, what is refused.

use talos_client::{Context, ContextAuth, ErrorKind, TalosConfig};

fn load(text: &str) -> TalosConfig {
    TalosConfig::from_yaml(text).unwrap()
}

fn printed(text: &str) -> String {
    load(text).to_yaml().to_string()
}

#[test]
fn what_is_empty_is_left_out_but_endpoints_and_credentials_are_not() {
    assert_eq!(
        printed("contexts:\n  a: {nodes: [], ca: '', auth: {}}\n  b: {}\n"),
        "context: \"\"\ncontexts:\n    a:\n        endpoints: []\n    b:\n        endpoints: []\n"
    );
    assert_eq!(
        printed("contexts: {a: {auth: {basic: {username: u}, siderov1: }}}\n"),
        "context: \"\"\ncontexts:\n    a:\n        endpoints: []\n        auth:\n            basic:\n                username: u\n                password: \"\"\n"
    );
}

#[test]
fn keys_of_newer_versions_survive_also_empty_ones() {
    let text = "context: a\ncontexts:\n    a:\n        endpoints:\n            - 10.0.0.1\n        later: \"\"\n        newer:\n            zero: 0\n";
    assert_eq!(printed(text), text);
}

#[test]
fn any_single_value_is_text_where_text_belongs() {
    let config = load(
        "context: 5\ncontexts:\n  5: {endpoints: [1, true, 1.5], nodes: , target: 7, cluster: yes}\n",
    );
    let context = config.context(None).unwrap();
    assert_eq!(config.current_name(), "5");
    assert_eq!(context.endpoint_list(), ["1", "true", "1.5", "7"]);
    assert_eq!(context.cluster(), Some("yes"));
    assert_eq!(load(&config.to_yaml()), config);
}

#[test]
fn values_of_wrong_types_are_all_told_with_their_places_and_no_secret() {
    let text = "context: [a]\ncontexts:\n  a:\n    endpoints: 10.0.0.1\n    crt: {a: SECRETKEY}\n    auth: {basic: SECRETKEY}\n  b: SECRETKEY\n";
    let error = TalosConfig::from_yaml(text).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidTalosConfig);
    let told: Vec<String> = error.problems().iter().map(ToString::to_string).collect();
    assert_eq!(
        told,
        [
            "line 1, column 10: context: text is needed here, not a list",
            "line 4, column 16: contexts.a.endpoints: a list is needed here, not `10.0.0.1`",
            "line 5, column 10: contexts.a.crt: text is needed here, not a mapping",
            "line 6, column 19: contexts.a.auth.basic: a mapping is needed here, not this text",
            "line 7, column 6: contexts.b: a mapping is needed here, not this text",
        ]
    );
    assert!(!format!("{error:?}").contains("SECRETKEY"));
    for text in [
        "text",
        "[a]",
        "contexts: [a]",
        "contexts: {a: {}, a: {}}",
        "",
        "a: [",
    ] {
        assert!(TalosConfig::from_yaml(text).is_err(), "{text}");
    }
    assert_eq!(load("null\n"), TalosConfig::default());
}

#[test]
fn a_context_says_how_clients_identify_themselves() {
    let plain = Context::default().endpoints(["10.0.0.1"]);
    assert_eq!(plain.auth(), ContextAuth::Nothing);
    let mutual = plain.clone().credentials("ca", "crt", "key");
    assert_eq!(mutual.auth(), ContextAuth::Certificate);
    let basic = mutual
        .clone()
        .basic_auth("u", "SECRETKEY")
        .proxy("socks5://p:1");
    assert!(matches!(basic.auth(), ContextAuth::Basic { username, .. } if username == "u"));
    assert_eq!(basic.proxy_url(), Some("socks5://p:1"));
    let omni = basic.sidero_identity("a@b.c").cluster_name("prod");
    assert!(matches!(omni.auth(), ContextAuth::SideroV1 { identity, .. } if identity == "a@b.c"));
    assert_eq!(omni.cluster(), Some("prod"));
    let config = TalosConfig::default().with_context("o", omni);
    assert_eq!(load(&config.to_yaml()), config);
    assert!(!format!("{config:?}").contains("SECRETKEY"));
}

#[test]
fn merging_renames_and_follows_the_other_files_current_context() {
    let ours = "context: a\ncontexts: {a: {endpoints: [1]}, a-1: {endpoints: [2]}}\n";
    let merged = |other: &str| {
        let mut config = load(ours);
        let renames = config.merge(&load(other));
        (config, renames)
    };
    let (config, renames) =
        merged("context: a\ncontexts: {a: {endpoints: [3]}, b: {endpoints: [4]}}\n");
    assert_eq!(renames, [("a".to_owned(), "a-2".to_owned())]);
    assert_eq!(config.current_name(), "a-2");
    assert_eq!(config.context(Some("a-2")).unwrap().endpoint_list(), ["3"]);
    assert_eq!(config.context(Some("a")).unwrap().endpoint_list(), ["1"]);
    assert_eq!(
        merged("contexts: {b: {endpoints: [4]}}\n").0.current_name(),
        "a"
    );
    // It names a context that it does not have.
    assert_eq!(
        merged("context: z\ncontexts: {b: {endpoints: [4]}}\n")
            .0
            .current_name(),
        ""
    );
}

#[test]
fn a_context_that_is_absent_is_an_error_that_names_the_others() {
    let config = load("context: z\ncontexts: {a: {}, b: {}}\n");
    for name in [None, Some("z"), Some("")] {
        let error = config.context(name).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidTalosConfig);
        assert_eq!(error.hint(), Some("contexts in this file: a, b"));
    }
}
