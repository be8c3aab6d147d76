//! Gateway API objects and the rules of their CRDs.

use cilium_model::Manifest;
use cilium_model::gateway::route::{HttpRouteSpec, ParentRef};
use cilium_model::gateway::{
    Gateway, GatewaySpec, GrantFrom, GrantTo, HTTPRoute, Listener, ReferenceGrant,
    ReferenceGrantSpec,
};

fn gateway(listeners: impl IntoIterator<Item = Listener>) -> Manifest {
    let spec = GatewaySpec::new()
        .gateway_class_name("cilium")
        .listeners(listeners);
    Gateway::new("public", spec).in_namespace("gateways").into()
}

#[test]
fn a_gateway_with_http_and_https_is_valid() {
    let https = Listener::https("https", "wildcard-tls")
        .hostname("*.example.org")
        .from_all_namespaces();
    gateway([Listener::http("http"), https]).validate().unwrap();
}

#[test]
fn listeners_must_differ() {
    let error = gateway([Listener::http("web"), Listener::http("web")])
        .validate()
        .unwrap_err();
    assert!(error.to_string().contains("stands twice"), "{error}");
    let error = gateway([Listener::http("a"), Listener::http("b")])
        .validate()
        .unwrap_err();
    assert!(
        error.problems()[0].path.starts_with("spec.listeners[1]"),
        "{error}"
    );
}

#[test]
fn a_wildcard_listener_does_not_cover_the_domain_itself() {
    let listener = Listener::http("http").hostname("*.example.org");
    assert!(listener.covers("a.example.org"));
    assert!(listener.covers("a.b.example.org"));
    assert!(!listener.covers("example.org"));
    assert!(!listener.covers("badexample.org"));
    assert!(Listener::http("http").covers("anything"));
}

#[test]
fn a_route_to_a_service_needs_a_port() {
    let spec = HttpRouteSpec::to_service(
        ParentRef::gateway("gateways", "public"),
        "app.example.org",
        "app",
        8080,
    );
    let mut route = HTTPRoute::new("app", spec).in_namespace("shop");
    Manifest::from(route.clone()).validate().unwrap();
    let rule = &mut route.body.spec.rules.as_mut().unwrap()[0];
    rule.backend_refs.as_mut().unwrap()[0].port = None;
    let error = Manifest::from(route).validate().unwrap_err();
    assert_eq!(
        error.problems()[0].path,
        "spec.rules[0].backendRefs[0].port"
    );
}

#[test]
fn a_grant_speaks_for_its_pairs_only() {
    let spec = ReferenceGrantSpec::new()
        .from([GrantFrom::new()
            .group("gateway.networking.k8s.io")
            .kind("HTTPRoute")
            .namespace("shop")])
        .to([GrantTo::new().kind("Service").name("api")]);
    let grant = ReferenceGrant::new("shop-to-api", spec).in_namespace("backend");
    let route = ("gateway.networking.k8s.io", "HTTPRoute", "shop");
    assert!(grant.allows(route, ("", "Service", "api")));
    assert!(!grant.allows(route, ("", "Service", "db")));
    assert!(!grant.allows(
        ("gateway.networking.k8s.io", "HTTPRoute", "other"),
        ("", "Service", "api")
    ));
}
