//! Objects in and out: nothing is lost, and what is wrong is named with its place.

use cilium_model::bgp::{BgpClusterConfigSpec, BgpInstance, BgpPeer, CiliumBGPClusterConfig};
use cilium_model::manifest;
use cilium_model::policy::rule::{Entity, IngressRule, PortRule, Rule};
use cilium_model::policy::selector::LabelSelector;
use cilium_model::policy::{CiliumNetworkPolicy, NetworkPolicy};
use cilium_model::{ErrorKind, Manifest};
use insta::assert_snapshot;
use serde_json::json;

#[test]
fn a_policy_is_built_and_printed() {
    let rule = Rule::new()
        .endpoint_selector(LabelSelector::labels([("app", "web")]))
        .ingress([IngressRule::new()
            .from_entities([Entity::Ingress])
            .to_ports([PortRule::tcp(8080)])]);
    let policy = CiliumNetworkPolicy::new("web", rule)
        .in_namespace("shop")
        .with_label("tier", "front");
    assert_snapshot!(policy.to_yaml(), @r#"
    apiVersion: cilium.io/v2
    kind: CiliumNetworkPolicy
    metadata:
      name: web
      namespace: shop
      labels:
        tier: front
    spec:
      endpointSelector:
        matchLabels:
          app: web
      ingress:
      - fromEntities:
        - ingress
        toPorts:
        - ports:
          - port: "8080"
            protocol: TCP
    "#);
    assert_eq!(
        CiliumNetworkPolicy::from_yaml(&policy.to_yaml()).unwrap(),
        policy
    );
}

#[test]
fn unknown_keys_and_values_survive() {
    let value = json!({
        "apiVersion": "cilium.io/v2",
        "kind": "CiliumNetworkPolicy",
        "metadata": {"name": "web", "uid": "1-2-3", "ownerReferences": [{"name": "x"}]},
        "spec": {
            "endpointSelector": {},
            "ingress": [{"fromEntities": ["moon"], "fromFuture": {"a": [1, 2.5, null]}}],
            "novelty": true,
        },
        "status": {"conditions": []},
    });
    let policy = CiliumNetworkPolicy::from_json(&value).unwrap();
    assert_eq!(policy.to_json(), value);
    assert_eq!(
        policy
            .body
            .rules
            .spec
            .as_ref()
            .unwrap()
            .extra
            .get("novelty"),
        Some(&json!(true))
    );
}

#[test]
fn an_absent_list_and_an_empty_one_stay_different() {
    let absent = json!({"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy",
        "metadata": {"name": "x"}, "spec": {"podSelector": {}}});
    let empty = json!({"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy",
        "metadata": {"name": "x"}, "spec": {"podSelector": {}, "ingress": []}});
    for value in [absent, empty] {
        assert_eq!(NetworkPolicy::from_json(&value).unwrap().to_json(), value);
    }
}

#[test]
fn wrong_shapes_are_named_all_at_once_with_line_and_column() {
    let error = CiliumNetworkPolicy::from_yaml(
        "apiVersion: cilium.io/v2\nkind: CiliumNetworkPolicy\nmetadata: {name: web}\nspec:\n  \
         endpointSelector: {}\n  ingress:\n  - toPorts:\n    - ports: 80\n  egress: none\n",
    )
    .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Shape);
    assert_snapshot!(error.to_string(), @r#"CiliumNetworkPolicy "web" does not have the expected shape: line 8, column 14: spec.ingress[0].toPorts[0].ports: expected a list, found a number; line 9, column 11: spec.egress: expected a list, found text"#);
}

#[test]
fn a_number_where_kubernetes_wants_text_is_named() {
    let text = "apiVersion: cilium.io/v2\nkind: CiliumNetworkPolicy\nmetadata: {name: web}\nspec:\n  \
                endpointSelector: {}\n  ingress:\n  - toPorts: [{ports: [{port: 80}]}]\n";
    let error = CiliumNetworkPolicy::from_yaml(text).unwrap_err();
    assert!(
        error
            .to_string()
            .contains("spec.ingress[0].toPorts[0].ports[0].port: expected text, found a number")
    );
}

#[test]
fn the_kind_must_be_the_one_asked_for() {
    let error =
        NetworkPolicy::from_yaml("apiVersion: v1\nkind: Pod\nmetadata: {name: x}\n").unwrap_err();
    assert!(error.is_unknown_kind());
}

#[test]
fn a_stream_is_read_and_written_in_order() {
    let text = "apiVersion: cilium.io/v2\nkind: CiliumCIDRGroup\nmetadata:\n  name: office\nspec:\n  externalCIDRs:\n  \
                - 192.0.2.0/24\n---\napiVersion: gateway.networking.k8s.io/v1\nkind: GatewayClass\nmetadata:\n  \
                name: cilium\nspec:\n  controllerName: io.cilium/gateway-controller\n";
    let objects = Manifest::read_all(text).unwrap();
    let kinds: Vec<&str> = objects.iter().map(|object| object.kind().kind).collect();
    assert_eq!(kinds, ["CiliumCIDRGroup", "GatewayClass"]);
    assert_eq!(Manifest::write_all(&objects), text);
}

#[test]
fn scalars_mean_what_kubectl_makes_of_them() {
    let read = |text: &str| manifest::untyped(text).unwrap().remove(0);
    assert_eq!(
        read("{a: no, b: 0644, c: '0644', d: 1_000, e: 2001-01-01, f: 1e3, g: ~, h: 0x1F, i: .5}"),
        json!({"a": false, "b": 420, "c": "0644", "d": 1000, "e": "2001-01-01", "f": 1000.0, "g": null, "h": 31, "i": 0.5})
    );
    assert_eq!(
        read("base: &b {x: 1, z: 2}\nover: {<<: *b, z: 3}"),
        json!({"base": {"x": 1, "z": 2}, "over": {"z": 3, "x": 1}})
    );
}

#[test]
fn texts_that_look_like_something_else_are_printed_with_quotes() {
    let words = [
        "y",
        "n",
        "yes",
        "no",
        "on",
        "off",
        "null",
        "~",
        "0644",
        "1_0",
        "1e3",
        "0x1F",
        "2001-01-01",
        ".5",
        "=",
        "<<",
    ];
    let body: serde_json::Map<_, _> = words
        .iter()
        .map(|word| ((*word).to_owned(), json!(word)))
        .collect();
    let value = json!({"apiVersion": "cilium.io/v2", "kind": "CiliumCIDRGroup", "metadata": {"name": "x"}, "spec": {}, "z": body});
    let text = Manifest::write_all([&Manifest::from_json(&value).unwrap()]);
    assert_eq!(manifest::untyped(&text).unwrap(), [value], "{text}");
}

#[test]
fn a_key_that_stands_twice_is_reported_and_the_last_one_counts() {
    let text = "a: 1\nb:\n  c: 1\n  c: 2\n";
    assert_eq!(
        manifest::untyped(text).unwrap(),
        [json!({"a": 1, "b": {"c": 2}})]
    );
    let found = manifest::duplicate_keys(text).unwrap();
    assert_eq!((found[0].line, found[0].column), (Some(4), Some(3)));
}

#[test]
fn a_bomb_of_aliases_is_refused() {
    let mut text = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
    for n in 1..12 {
        let last = n - 1;
        text.push_str(&format!(
            "a{n}: &a{n} [*a{last}, *a{last}, *a{last}, *a{last}, *a{last}, *a{last}]\n"
        ));
    }
    let error = manifest::untyped(&text).unwrap_err();
    assert!(error.to_string().contains("too many nodes"), "{error}");
}

#[test]
fn the_api_server_s_structural_errors_are_found_offline() {
    let pool = "apiVersion: cilium.io/v2\nkind: CiliumLoadBalancerIPPool\nmetadata: {name: Pool}\n\
                spec: {blocks: [{cidr: 10.0.0.300/24}], allowFirstLastIPs: Maybe, colour: blue}\n";
    let object = Manifest::read_all(pool).unwrap().remove(0);
    let error = object.validate().unwrap_err();
    let paths: Vec<&str> = error.problems().iter().map(|p| p.path.as_str()).collect();
    assert_eq!(
        paths,
        [
            "metadata.name",
            "spec.blocks[0].cidr",
            "spec.allowFirstLastIPs"
        ]
    );
    let strict = object.validate_strict().unwrap_err();
    assert!(
        strict.problems().iter().any(|p| p.path == "spec.colour"),
        "{strict}"
    );
}

#[test]
fn bgp_objects_are_built_and_checked() {
    let instance = BgpInstance::new()
        .name("main")
        .local_asn(64512_i64)
        .peers([BgpPeer::at("router", "192.0.2.1", 64_513, "default")]);
    let spec = BgpClusterConfigSpec::new().bgp_instances([instance]);
    let object: Manifest = CiliumBGPClusterConfig::new("cluster", spec).into();
    object.validate().unwrap();
    let empty: Manifest =
        CiliumBGPClusterConfig::new("cluster", BgpClusterConfigSpec::new()).into();
    assert!(empty.validate().is_err());
}

#[test]
fn every_kind_is_listed_once() {
    let mut names: Vec<(&str, &str)> = manifest::KINDS
        .iter()
        .map(|info| (info.group, info.kind))
        .collect();
    let all = names.len();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), all);
    assert!(
        manifest::KINDS
            .iter()
            .all(|info| info.plural == info.plural.to_ascii_lowercase())
    );
}
