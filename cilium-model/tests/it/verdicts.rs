//! What policies let through, seen from both sides, and what the answers say.

use std::net::IpAddr;

use cilium_model::policy::rule::{Entity, Protocol};
use cilium_model::policy::verdict::{
    Decision, Endpoint, Enforcement, Flow, HttpRequest, Options, Parser, Policy, PolicySet, Reason,
    Request,
};
use cilium_model::{Error, ErrorKind};

fn set(text: &str) -> PolicySet {
    PolicySet::from_yaml(text).unwrap()
}

fn pod(namespace: &str, app: &str) -> Endpoint {
    Endpoint::pod(namespace, [("app", app)])
}

fn address(text: &str) -> Endpoint {
    Endpoint::address(text.parse::<IpAddr>().unwrap())
}

const DENY_ALL: &str = r"
apiVersion: cilium.io/v2
kind: CiliumNetworkPolicy
metadata: {name: default-deny, namespace: shop}
spec:
  endpointSelector: {}
  ingress: [{}]
  egress: [{}]
";

#[test]
fn without_a_policy_everything_passes() {
    let verdict = set("").evaluate(&Flow::tcp(&pod("a", "x"), &pod("b", "y"), 80));
    assert!(verdict.is_allowed());
    assert_eq!(verdict.ingress.reason, Reason::Open);
    assert_eq!(verdict.missing().count(), 0);
}

#[test]
fn a_default_deny_names_itself_and_what_is_missing_on_each_side() {
    let set = set(DENY_ALL);
    let (web, db) = (pod("shop", "web"), pod("shop", "db"));
    let verdict = set.evaluate(&Flow::tcp(&web, &db, 5432));
    assert!(!verdict.is_allowed());
    assert_eq!(
        verdict.egress.rules()[0].to_string(),
        "CiliumNetworkPolicy shop/default-deny spec.egress[0]"
    );
    let missing: Vec<&str> = verdict.missing().collect();
    assert_eq!(
        missing,
        [
            "an egress rule for shop/web that allows shop/db on TCP 5432",
            "an ingress rule for shop/db that allows shop/web on TCP 5432",
        ]
    );
}

#[test]
fn each_side_needs_its_own_rule() {
    let text = format!(
        "{DENY_ALL}---
apiVersion: cilium.io/v2
kind: CiliumNetworkPolicy
metadata: {{name: web-out, namespace: shop}}
spec:
  endpointSelector: {{matchLabels: {{app: web}}}}
  egress:
  - toEndpoints: [{{matchLabels: {{app: db}}}}]
    toPorts: [{{ports: [{{port: '5432', protocol: TCP}}]}}]
"
    );
    let verdict = set(&text).evaluate(&Flow::tcp(&pod("shop", "web"), &pod("shop", "db"), 5432));
    assert!(verdict.egress.is_allowed());
    assert!(!verdict.ingress.is_allowed());
}

#[test]
fn traffic_to_a_gateway_is_two_flows_with_the_ingress_identity_between() {
    let set = set(r"
apiVersion: cilium.io/v2
kind: CiliumClusterwideNetworkPolicy
metadata: {name: gateway}
spec:
  endpointSelector: {matchLabels: {'reserved:ingress': ''}}
  ingress:
  - fromEntities: [world]
    toPorts: [{ports: [{port: '443', protocol: TCP}]}]
  egress:
  - toEndpoints: [{matchLabels: {app: web}}]
---
apiVersion: cilium.io/v2
kind: CiliumNetworkPolicy
metadata: {name: web, namespace: shop}
spec:
  endpointSelector: {matchLabels: {app: web}}
  ingress:
  - fromEntities: [ingress]
");
    let gateway = Endpoint::entity(Entity::Ingress);
    let (world, web) = (address("198.51.100.7"), pod("shop", "web"));
    assert!(set.evaluate(&Flow::tcp(&world, &gateway, 443)).is_allowed());
    assert!(!set.evaluate(&Flow::tcp(&world, &gateway, 80)).is_allowed());
    assert!(set.evaluate(&Flow::tcp(&gateway, &web, 8080)).is_allowed());
    assert!(!set.evaluate(&Flow::tcp(&world, &web, 8080)).is_allowed());
}

#[test]
fn an_address_range_never_means_a_pod() {
    let set = set(r"
apiVersion: cilium.io/v2
kind: CiliumNetworkPolicy
metadata: {name: out, namespace: shop}
spec:
  endpointSelector: {}
  egress: [{toCIDR: [10.0.0.0/8]}]
");
    let web = pod("shop", "web");
    assert!(
        set.evaluate(&Flow::tcp(&web, &address("10.1.2.3"), 80))
            .is_allowed()
    );
    assert!(
        !set.evaluate(&Flow::tcp(&web, &pod("shop", "db"), 80))
            .is_allowed()
    );
    assert!(
        !set.evaluate(&Flow::tcp(&web, &Endpoint::entity(Entity::Host), 80))
            .is_allowed()
    );
}

#[test]
fn a_name_matches_addresses_that_dns_gave_for_it_only() {
    let set = set(r"
apiVersion: cilium.io/v2
kind: CiliumNetworkPolicy
metadata: {name: out, namespace: shop}
spec:
  endpointSelector: {}
  egress: [{toFQDNs: [{matchPattern: '*.example.org'}]}]
");
    let web = pod("shop", "web");
    let ip: IpAddr = "192.0.2.1".parse().unwrap();
    assert!(
        set.evaluate(&Flow::tcp(
            &web,
            &Endpoint::resolved("s3.example.org", ip),
            443
        ))
        .is_allowed()
    );
    assert!(
        !set.evaluate(&Flow::tcp(
            &web,
            &Endpoint::resolved("example.org", ip),
            443
        ))
        .is_allowed()
    );
    assert!(
        !set.evaluate(&Flow::tcp(&web, &Endpoint::address(ip), 443))
            .is_allowed()
    );
}

#[test]
fn http_rules_send_the_flow_to_the_proxy_which_refuses_single_requests() {
    let set = set(r"
apiVersion: cilium.io/v2
kind: CiliumNetworkPolicy
metadata: {name: api, namespace: shop}
spec:
  endpointSelector: {matchLabels: {app: api}}
  ingress:
  - fromEndpoints: [{matchLabels: {app: web}}]
    toPorts:
    - ports: [{port: '80', protocol: TCP}]
      rules: {http: [{method: GET, path: /v1/.*}]}
");
    let (web, api) = (pod("shop", "web"), pod("shop", "api"));
    let ask = |method, path| {
        let flow = Flow::tcp(&web, &api, 80).with_request(HttpRequest::new(method, path));
        set.evaluate(&flow)
    };
    let get = ask("GET", "/v1/items");
    assert_eq!(get.ingress.decision, Decision::AllowedL7(Parser::Http));
    assert!(get.is_allowed());
    let delete = ask("DELETE", "/v1/items");
    assert_eq!(delete.ingress.request_allowed, Some(false));
    assert!(!delete.is_allowed());
    assert!(
        delete
            .ingress
            .missing
            .unwrap()
            .ends_with("with this request")
    );
}

#[test]
fn dns_queries_are_judged_by_name() {
    let set = set(r"
apiVersion: cilium.io/v2
kind: CiliumNetworkPolicy
metadata: {name: dns, namespace: shop}
spec:
  endpointSelector: {}
  egress:
  - toEndpoints: [{matchLabels: {io.kubernetes.pod.namespace: kube-system, k8s-app: kube-dns}}]
    toPorts:
    - ports: [{port: '53', protocol: ANY}]
      rules: {dns: [{matchPattern: '**.svc.cluster.local'}]}
");
    let dns = Endpoint::pod("kube-system", [("k8s-app", "kube-dns")]);
    let web = pod("shop", "web");
    let ask = |name| {
        set.evaluate(&Flow::udp(&web, &dns, 53).with_request(Request::dns(name)))
            .is_allowed()
    };
    assert!(ask("api.shop.svc.cluster.local."));
    assert!(!ask("example.org"));
}

#[test]
fn a_deny_wins_and_is_named() {
    let set = set(r"
apiVersion: cilium.io/v2
kind: CiliumClusterwideNetworkPolicy
metadata: {name: no-smtp}
spec:
  endpointSelector: {}
  egress: [{toEntities: [all]}]
  egressDeny: [{toPorts: [{ports: [{port: '25', protocol: TCP}]}]}]
");
    let verdict = set.evaluate(&Flow::tcp(&pod("a", "x"), &address("192.0.2.1"), 25));
    assert_eq!(verdict.egress.decision, Decision::Denied);
    let missing = verdict.egress.missing.unwrap();
    assert_eq!(
        missing,
        "CiliumClusterwideNetworkPolicy no-smtp spec.egressDeny[0] must no longer deny 192.0.2.1 on TCP 25"
    );
}

#[test]
fn the_kubelet_reaches_local_pods_through_any_default_deny_but_not_through_mode_always() {
    let (host, web) = (Endpoint::entity(Entity::Host), pod("shop", "web"));
    let verdict = set(DENY_ALL).evaluate(&Flow::tcp(&host, &web, 8080));
    assert_eq!(verdict.ingress.reason, Reason::Localhost);
    let options = Options::default().enforcement(Enforcement::Always);
    let always = PolicySet::new(Vec::<Policy>::new(), options).unwrap();
    let verdict = always.evaluate(&Flow::tcp(&host, &web, 8080));
    assert_eq!(verdict.ingress.reason, Reason::Closed);
    assert!(!verdict.is_allowed());
}

#[test]
fn the_admin_tier_is_decided_before_and_the_baseline_after_ordinary_policies() {
    let text = format!(
        "{DENY_ALL}---
apiVersion: policy.networking.k8s.io/v1alpha2
kind: ClusterNetworkPolicy
metadata: {{name: monitoring}}
spec:
  tier: Admin
  priority: 10
  subject: {{namespaces: {{}}}}
  ingress:
  - action: Accept
    from: [{{namespaces: {{matchLabels: {{kubernetes.io/metadata.name: monitoring}}}}}}]
"
    );
    let set = set(&text);
    let web = pod("shop", "web");
    assert!(
        set.evaluate(&Flow::tcp(&pod("monitoring", "prometheus"), &web, 9090))
            .ingress
            .is_allowed()
    );
    assert!(
        !set.evaluate(&Flow::tcp(&pod("other", "x"), &web, 9090))
            .ingress
            .is_allowed()
    );
}

#[test]
fn an_unknown_named_port_allows_nothing() {
    let set = set(r"
apiVersion: cilium.io/v2
kind: CiliumNetworkPolicy
metadata: {name: web, namespace: shop}
spec:
  endpointSelector: {}
  ingress: [{toPorts: [{ports: [{port: http, protocol: TCP}]}]}]
");
    let from = pod("shop", "client");
    let with = pod("shop", "web").with_named_port("http", 8080, Protocol::Tcp);
    assert!(
        set.evaluate(&Flow::tcp(&from, &with, 8080))
            .ingress
            .is_allowed()
    );
    assert!(
        !set.evaluate(&Flow::tcp(&from, &pod("shop", "web"), 8080))
            .ingress
            .is_allowed()
    );
}

fn refusal(text: &str) -> Error {
    PolicySet::from_yaml(text).unwrap_err()
}

#[test]
fn what_the_agent_refuses_is_refused_with_every_place_at_once() {
    let error = refusal(
        r"
apiVersion: cilium.io/v2
kind: CiliumNetworkPolicy
metadata: {name: bad, namespace: shop}
spec:
  endpointSelector: {}
  ingress:
  - fromEndpoints: [{}]
    fromCIDR: [10.0.0.0/8]
    toPorts: [{ports: [{port: '70000', protocol: TCP}, {port: '80', protocol: TCQ}]}]
  egress:
  - toEntities: [World]
",
    );
    assert_eq!(error.kind(), ErrorKind::Invalid);
    let paths: Vec<&str> = error
        .problems()
        .iter()
        .map(|problem| problem.path.as_str())
        .collect();
    assert_eq!(
        paths,
        [
            "CiliumNetworkPolicy shop/bad spec.ingress[0]",
            "CiliumNetworkPolicy shop/bad spec.ingress[0].toPorts[0].ports[0].port",
            "CiliumNetworkPolicy shop/bad spec.ingress[0].toPorts[0].ports[1].protocol",
            "CiliumNetworkPolicy shop/bad spec.egress[0].toEntities[0]",
        ]
    );
    assert!(error.hint().unwrap().contains("one entry for each"));
}

#[test]
fn a_policy_set_crosses_threads() {
    fn check<T: Send + Sync + Clone>(_: &T) {}
    check(&set(DENY_ALL));
}
