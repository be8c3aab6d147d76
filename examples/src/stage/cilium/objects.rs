//! Objects of the network besides policies: address pools, announcements, the gateway with its routes and certificate.

use cilium_model::bgp::{
    AdvertisementType, BgpAdvertisement, BgpAdvertisementSpec, BgpClusterConfigSpec, BgpFamily,
    BgpInstance, BgpPeer, BgpPeerConfigSpec, BgpService, BgpTimers, CiliumBGPAdvertisement,
    CiliumBGPClusterConfig, CiliumBGPPeerConfig, GracefulRestart,
};
use cilium_model::gateway::route::{HTTPRoute, HttpRouteSpec, ParentRef};
use cilium_model::gateway::{
    CILIUM_CLASS, CILIUM_CONTROLLER, Gateway, GatewayAddress, GatewayClass, GatewayClassSpec,
    GatewaySpec, Listener,
};
use cilium_model::load_balancer::{
    AllowFirstLast, CiliumL2AnnouncementPolicy, CiliumLoadBalancerIPPool, L2AnnouncementPolicySpec,
    LoadBalancerIpPoolSpec, PoolBlock,
};
use cilium_model::manifest::Manifest;
use cilium_model::policy::selector::{LabelSelector, MatchExpression, Operator};
use serde_json::{Value, json};

use crate::component::{Catalogue, PUBLISHED};
use crate::spec::Spec;
use crate::spec::cluster::Tier;
use crate::spec::net::AddressRange;
use crate::spec::platform::{self, Announce, Solver};

/// Namespace of the gateway and its certificate.
pub const NAMESPACE: &str = "gateway";
/// Name of the gateway.
pub const NAME: &str = "main";
/// Secret that holds the gateway's certificate.
pub const CERTIFICATE: &str = "gateway-certificate";
/// Issuer of the gateway's certificate.
pub const ISSUER: &str = "acme";

/// Objects of kinds that cilium-model knows, in the order in which they are applied.
#[must_use]
pub fn manifests(spec: &Spec) -> Vec<Manifest> {
    let mut out: Vec<Manifest> = spec
        .load_balancer
        .pools
        .iter()
        .map(|pool| self::pool(pool).into())
        .collect();
    match spec.load_balancer.mode {
        Announce::Bgp => {
            if let Some(bgp) = &spec.bgp {
                out.extend(self::bgp(bgp));
            }
        }
        Announce::L2 => out.push(l2().into()),
    }
    if let Some(gateway) = &spec.gateway {
        let class = GatewayClassSpec::default().controller_name(CILIUM_CONTROLLER);
        out.push(GatewayClass::new(CILIUM_CLASS, class).into());
        out.push(self::gateway(gateway).into());
        out.extend(routes(gateway).into_iter().map(Manifest::from));
    }
    out
}

fn pool(pool: &platform::Pool) -> CiliumLoadBalancerIPPool {
    let AddressRange { first, last, .. } = pool.range;
    let (block, whole) = match pool.range.as_cidr() {
        Some(net) => (PoolBlock::of_cidr(net.to_string()), net.prefix() >= 31),
        None => (
            PoolBlock::of_range(first.to_string(), last.to_string()),
            true,
        ),
    };
    let mut body = LoadBalancerIpPoolSpec::default().blocks([block]);
    if whole {
        body = body.allow_first_last_ips(AllowFirstLast::Yes);
    }
    CiliumLoadBalancerIPPool::new(pool.name.as_str(), body)
}

/// Workers answer ARP: control planes take no such traffic.
fn l2() -> CiliumL2AnnouncementPolicy {
    let workers = MatchExpression::new()
        .key("node-role.kubernetes.io/control-plane")
        .operator(Operator::DoesNotExist);
    let body = L2AnnouncementPolicySpec::default()
        .node_selector(LabelSelector::new().match_expressions([workers]))
        .load_balancer_ips(true);
    CiliumL2AnnouncementPolicy::new("workers", body)
}

/// Label that ties a peer's families to what is announced in them.
const ADVERTISE: (&str, &str) = ("homelab.dev/advertise", "services");

fn bgp(bgp: &platform::Bgp) -> Vec<Manifest> {
    let peers = bgp.peers.iter().map(|peer| {
        BgpPeer::at(
            peer.name.as_str(),
            &peer.address.to_string(),
            peer.asn.get(),
            peer.name.as_str(),
        )
    });
    let instance = BgpInstance::default()
        .name("homelab")
        .local_asn(i64::from(bgp.local_asn.get()))
        .peers(peers);
    let mut out: Vec<Manifest> = vec![
        CiliumBGPClusterConfig::new(
            "homelab",
            BgpClusterConfigSpec::default().bgp_instances([instance]),
        )
        .into(),
    ];
    for peer in &bgp.peers {
        let seconds = |period: crate::spec::time::Period| {
            i64::try_from(period.get().as_secs()).unwrap_or(i64::MAX)
        };
        let family = BgpFamily::default()
            .afi("ipv4")
            .safi("unicast")
            .advertisements(LabelSelector::labels([ADVERTISE]));
        let mut body = BgpPeerConfigSpec::default()
            .families([family])
            .graceful_restart(
                GracefulRestart::default()
                    .enabled(true)
                    .restart_time_seconds(120),
            )
            .timers(
                BgpTimers::default()
                    .hold_time_seconds(seconds(peer.hold))
                    .keep_alive_time_seconds(seconds(peer.keepalive)),
            );
        if peer.password_from.is_some() {
            body = body.auth_secret_ref(secret_of(peer));
        }
        out.push(CiliumBGPPeerConfig::new(peer.name.as_str(), body).into());
    }
    // An absent selector means no service at all: one that every service meets means all of them.
    let all = MatchExpression::new()
        .key("homelab.dev/not-announced")
        .operator(Operator::DoesNotExist);
    let services = BgpAdvertisement::default()
        .advertisement_type(AdvertisementType::Service)
        .service(BgpService::default().addresses(["LoadBalancerIP"]))
        .selector(LabelSelector::new().match_expressions([all]));
    let advertisement = CiliumBGPAdvertisement::new(
        "services",
        BgpAdvertisementSpec::default().advertisements([services]),
    );
    out.push(advertisement.with_label(ADVERTISE.0, ADVERTISE.1).into());
    out
}

/// Secret with the password of a BGP session, in the namespace of the agents.
#[must_use]
pub fn secret_of(peer: &platform::BgpPeer) -> String {
    format!("bgp-{}", peer.name)
}

/// One listener for plain HTTP, which only redirects, and one with TLS for each host name.
fn gateway(gateway: &platform::Gateway) -> Gateway {
    let mut listeners = vec![Listener::http("http")];
    for listener in &gateway.listeners {
        let tls = Listener::https(listener.name.as_str(), CERTIFICATE)
            .hostname(listener.hostname.as_str());
        listeners.push(tls.from_all_namespaces());
    }
    let address = GatewayAddress::default()
        .address_type("IPAddress")
        .value(gateway.address.to_string());
    let body = GatewaySpec::default()
        .gateway_class_name(CILIUM_CLASS)
        .listeners(listeners)
        .addresses([address]);
    Gateway::new(NAME, body).in_namespace(NAMESPACE)
}

fn routes(gateway: &platform::Gateway) -> Vec<HTTPRoute> {
    let route = |route: &platform::Route| {
        let target = PUBLISHED
            .iter()
            .find(|target| target.name == route.to.as_str())?;
        // The most specific listener serves a name: that is the one to attach to.
        let listener = gateway
            .listeners
            .iter()
            .filter(|listener| listener.hostname.covers(&route.host))
            .min_by_key(|listener| listener.hostname.is_wildcard())?;
        let parent = ParentRef::gateway(NAMESPACE, NAME).section_name(listener.name.as_str());
        let body = HttpRouteSpec::to_service(
            parent,
            route.host.as_str(),
            target.service,
            target.service_port,
        );
        Some(HTTPRoute::new(target.name, body).in_namespace(target.namespace))
    };
    gateway.routes.iter().filter_map(route).collect()
}

/// Objects of kinds that cilium-model does not know: the gateway's namespace, its issuer and certificate.
#[must_use]
pub fn others(spec: &Spec) -> Vec<Value> {
    let Some(gateway) = &spec.gateway else {
        return Vec::new();
    };
    let certificate = &gateway.certificate;
    let solver = match certificate.solver {
        Solver::Dns01 => {
            json!({"dns01": {"cloudflare": {"apiTokenSecretRef": {"name": "dns-provider", "key": "api-token"}}}})
        }
        Solver::Http01 => {
            json!({"http01": {"gatewayHTTPRoute": {"parentRefs": [{"name": NAME, "namespace": NAMESPACE, "sectionName": "http"}]}}})
        }
    };
    let names: Vec<&str> = certificate.names.iter().map(|name| name.as_str()).collect();
    let mut out = vec![
        json!({
            "apiVersion": "v1", "kind": "Namespace",
            "metadata": {"name": NAMESPACE, "labels": {"pod-security.kubernetes.io/enforce": "restricted"}},
        }),
        json!({
            "apiVersion": "cert-manager.io/v1", "kind": "ClusterIssuer",
            "metadata": {"name": ISSUER},
            "spec": {"acme": {
                "server": certificate.server, "email": certificate.email,
                "privateKeySecretRef": {"name": "acme-account"},
                "solvers": [solver],
            }},
        }),
        json!({
            "apiVersion": "cert-manager.io/v1", "kind": "Certificate",
            "metadata": {"name": NAME, "namespace": NAMESPACE},
            "spec": {
                "secretName": CERTIFICATE, "dnsNames": names,
                "issuerRef": {"name": ISSUER, "kind": "ClusterIssuer"},
                "privateKey": {"algorithm": "ECDSA", "size": 256, "rotationPolicy": "Always"},
            },
        }),
    ];
    if spec.tier != Tier::Development {
        out.push(json!({
            "apiVersion": "gateway.networking.k8s.io/v1", "kind": "HTTPRoute",
            "metadata": {"name": "to-https", "namespace": NAMESPACE},
            "spec": {
                "parentRefs": [{"name": NAME, "sectionName": "http"}],
                "rules": [{"filters": [{"type": "RequestRedirect", "requestRedirect": {"scheme": "https", "statusCode": 301}}]}],
            },
        }));
    }
    out
}

/// An object with the sync wave in which Argo CD applies it.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Desired {
    /// Wave.
    pub wave: i32,
    /// Object.
    pub object: Value,
}

/// Everything that the network wants of the Kubernetes API, by wave: pools and announcements, the gateway, policies.
///
/// The allows come with the components that they serve; what closes the namespaces comes last.
#[must_use]
pub fn desired(spec: &Spec, catalogue: &Catalogue) -> Vec<Desired> {
    let mut out = Vec::new();
    for manifest in manifests(spec) {
        let wave = match manifest.kind().kind {
            "Gateway" => 3,
            "HTTPRoute" => 6,
            _ => 2,
        };
        out.push(Desired {
            wave,
            object: manifest.to_json(),
        });
    }
    for object in others(spec) {
        let wave = match object["kind"].as_str() {
            Some("Namespace") => -5,
            Some("ClusterIssuer") => 2,
            _ => 3,
        };
        out.push(Desired { wave, object });
    }
    for policy in super::policies(spec, catalogue) {
        let object = super::policy::to_json(&policy);
        let name = object["metadata"]["name"].as_str().unwrap_or_default();
        let namespace = object["metadata"]["namespace"].as_str();
        let wave = match (name, namespace) {
            (super::policy::DEFAULT_DENY | super::policy::DENY_ALL, _) => 7,
            // Before the first policy that closes a pod, Cilium's own among them: whoever is closed without it looks
            // up no name, is never healthy, and holds up all waves after it.
            (_, None) => -4,
            (name, Some(namespace)) => catalogue
                .workloads()
                .find(|(component, workload)| {
                    component.namespace == namespace && workload.object == name
                })
                .map_or(7, |(component, _)| component.wave),
        };
        out.push(Desired { wave, object });
    }
    out.sort_by_key(|desired| desired.wave);
    out
}
