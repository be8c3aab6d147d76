//! The policies that an environment renders: what is declared passes, nothing else does.

use cilium_model::policy::verdict::Policy;
use homelab::component::{Catalogue, Party};
use homelab::spec::Spec;
use homelab::stage::cilium::{Network, policies, verdict_matrix};

const ENVIRONMENTS: [&str; 3] = [
    include_str!("../../environments/production/cluster.yaml"),
    include_str!("../../environments/staging/cluster.yaml"),
    include_str!("../../environments/development/cluster.yaml"),
];

fn spec(text: &str) -> Spec {
    Spec::parse("cluster.yaml", text)
        .unwrap_or_else(|problems| panic!("{}", problems.render(false)))
}

fn production() -> Spec {
    spec(ENVIRONMENTS[0])
}

#[test]
fn everything_declared_passes_and_nothing_else_does() {
    for text in ENVIRONMENTS {
        let spec = spec(text);
        let catalogue = Catalogue::of(&spec);
        let matrix = verdict_matrix(&spec, &catalogue).unwrap();
        assert!(matrix.holds(), "{matrix}");
        assert!(
            matrix.declared.len() > 100 && matrix.asked > 500,
            "{matrix}"
        );
    }
}

#[test]
fn a_policy_that_opens_too_much_is_found() {
    let spec = production();
    let catalogue = Catalogue::of(&spec);
    let wide = Policy::read_all("apiVersion: cilium.io/v2\nkind: CiliumNetworkPolicy\nmetadata: {name: wide, namespace: lldap}\nspec:\n  endpointSelector: {}\n  egress: [{toEntities: [world]}]\n").unwrap();
    let matrix = Network::new(
        &catalogue,
        policies(&spec, &catalogue).into_iter().chain(wide),
    )
    .unwrap()
    .matrix();
    let open: Vec<String> = matrix
        .leaks
        .iter()
        .map(|row| row.flow.to_string())
        .collect();
    assert_eq!(open, ["lldap -> 198.51.100.7:443"]);
}

#[test]
fn without_the_rule_for_names_every_lookup_is_refused_and_the_pair_is_named() {
    let spec = production();
    let catalogue = Catalogue::of(&spec);
    let kept = policies(&spec, &catalogue).into_iter().filter(
        |policy| !matches!(policy, Policy::CiliumClusterwide(p) if p.name() == "allow-dns"),
    );
    let matrix = Network::new(&catalogue, kept).unwrap().matrix();
    let refused: Vec<String> = matrix.refused().map(|row| row.flow.to_string()).collect();
    assert!(
        refused.contains(&"argo-cd/server -> coredns:53/udp".to_owned()),
        "{refused:?}"
    );
    assert!(
        matrix
            .refused()
            .all(|row| row.flow.port == 53 && row.flow.to.is("coredns", "coredns")),
        "{refused:?}"
    );
}

#[test]
fn without_one_allow_exactly_its_connections_are_refused() {
    let spec = production();
    let catalogue = Catalogue::of(&spec);
    let kept = policies(&spec, &catalogue)
        .into_iter()
        .filter(|policy| !matches!(policy, Policy::Cilium(p) if p.name() == "lldap"));
    let matrix = Network::new(&catalogue, kept).unwrap().matrix();
    let refused: Vec<&_> = matrix.refused().collect();
    assert!(!refused.is_empty());
    for row in refused {
        assert!(
            row.flow.from.is("lldap", "lldap") || row.flow.to.is("lldap", "lldap"),
            "{}",
            row.flow
        );
        let refusal = row.refused.as_ref().unwrap();
        assert_eq!(refusal.policy.as_deref(), Some("default-deny"));
    }
}

#[test]
fn the_gateway_leads_only_to_what_is_published() {
    let spec = production();
    let catalogue = Catalogue::of(&spec);
    let from_gateway: Vec<String> = catalogue
        .flows
        .iter()
        .filter(|flow| flow.from.to_string() == "ingress")
        .map(ToString::to_string)
        .collect();
    insta::assert_snapshot!(from_gateway.join("\n"), @r"
    ingress -> argo-cd/server:8080
    ingress -> authelia:9091
    ingress -> cilium/hubble-ui:8081
    ingress -> kube-prometheus-stack/grafana:3000
    ingress -> lldap:17170
    ingress -> longhorn/ui:8000
    ");
    assert!(
        catalogue
            .flows
            .iter()
            .any(|flow| matches!(&flow.to, Party::Host(host) if host == "git.example.org"))
    );
}
