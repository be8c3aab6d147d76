//! The Gateway API: classes, gateways, routes and grants, as of v1.6, tolerant of what other versions add.

pub mod route;

use serde_json::Value;

use crate::model::{IntOrString, model, open_enum};
use crate::object::kind;
use crate::policy::selector::LabelSelector;

pub use route::{GRPCRoute, HTTPRoute, TCPRoute, TLSRoute, UDPRoute};

/// Class that Cilium makes for itself.
pub const CILIUM_CLASS: &str = "cilium";

/// Controller of that class.
pub const CILIUM_CONTROLLER: &str = "io.cilium/gateway-controller";

model! {
    /// Who serves gateways of a class.
    pub struct GatewayClassSpec {
        /// Name of the controller, `domain/path`.
        req controller_name: String = "controllerName",
        /// Parameters for it.
        opt parameters_ref: ParametersRef = "parametersRef",
        /// Free text.
        opt description: String = "description",
    }

    /// An object with parameters.
    pub struct ParametersRef {
        /// Group.
        opt group: String = "group",
        /// Kind.
        opt kind: String = "kind",
        /// Name.
        opt name: String = "name",
        /// Namespace.
        opt namespace: String = "namespace",
    }

    /// A gateway: where it listens.
    pub struct GatewaySpec {
        /// Class.
        req gateway_class_name: String = "gatewayClassName",
        /// Listeners.
        list listeners: Listener = "listeners",
        /// Addresses wanted.
        list addresses: GatewayAddress = "addresses",
        /// What the controller's objects carry.
        opt infrastructure: Infrastructure = "infrastructure",
        /// Which ListenerSets may attach.
        opt allowed_listeners: Value = "allowedListeners",
        /// TLS for the whole gateway.
        opt tls: Value = "tls",
    }

    /// A port, a protocol, a host name.
    pub struct Listener {
        /// Name, unique in the gateway.
        req name: String = "name",
        /// Host name, possibly with a leading `*.`, which does not stand for the domain itself.
        opt hostname: String = "hostname",
        /// Port.
        opt port: i64 = "port",
        /// Protocol.
        req protocol: ListenerProtocol = "protocol",
        /// TLS.
        opt tls: ListenerTls = "tls",
        /// Which routes may attach.
        opt allowed_routes: AllowedRoutes = "allowedRoutes",
    }

    /// TLS of a listener.
    pub struct ListenerTls {
        /// Whether TLS ends here.
        opt mode: TlsMode = "mode",
        /// Secrets with certificates.
        list certificate_refs: ObjectRef = "certificateRefs",
        /// Options of the implementation.
        map options: String = "options",
    }

    /// An object, by default in the same namespace.
    pub struct ObjectRef {
        /// Group.
        opt group: String = "group",
        /// Kind.
        opt kind: String = "kind",
        /// Name.
        req name: String = "name",
        /// Namespace; another one needs a ReferenceGrant there.
        opt namespace: String = "namespace",
    }

    /// Which routes may attach.
    pub struct AllowedRoutes {
        /// From which namespaces.
        opt namespaces: RouteNamespaces = "namespaces",
        /// Of which kinds.
        list kinds: RouteKind = "kinds",
    }

    /// From which namespaces.
    pub struct RouteNamespaces {
        /// `Same`, `All`, `Selector` or `None`.
        opt from: FromNamespaces = "from",
        /// Labels of namespaces.
        opt selector: LabelSelector = "selector",
    }

    /// A kind of routes.
    pub struct RouteKind {
        /// Group.
        opt group: String = "group",
        /// Kind.
        req kind: String = "kind",
    }

    /// An address of a gateway.
    pub struct GatewayAddress {
        /// `IPAddress`, `Hostname` or another.
        opt address_type: String = "type",
        /// Address.
        opt value: String = "value",
    }

    /// What the controller's objects carry.
    pub struct Infrastructure {
        /// Labels.
        map labels: String = "labels",
        /// Annotations.
        map annotations: String = "annotations",
        /// Parameters.
        opt parameters_ref: ParametersRef = "parametersRef",
    }

    /// Who may refer to objects here.
    pub struct ReferenceGrantSpec {
        /// Who.
        list from: GrantFrom = "from",
        /// To what.
        list to: GrantTo = "to",
    }

    /// Objects that may refer.
    pub struct GrantFrom {
        /// Group.
        req group: String = "group",
        /// Kind.
        req kind: String = "kind",
        /// Namespace.
        req namespace: String = "namespace",
    }

    /// Objects that may be referred to.
    pub struct GrantTo {
        /// Group, empty for the core.
        req group: String = "group",
        /// Kind.
        req kind: String = "kind",
        /// Name; absent is every object of the kind.
        opt name: String = "name",
    }

    /// Listeners that attach to somebody else's gateway.
    pub struct ListenerSetSpec {
        /// The gateway.
        req parent_ref: ObjectRef = "parentRef",
        /// Listeners.
        list listeners: Listener = "listeners",
    }

    /// TLS between gateway and backends.
    pub struct BackendTlsPolicySpec {
        /// Services.
        list target_refs: PolicyTarget = "targetRefs",
        /// What the backend's certificate must be.
        opt validation: Value = "validation",
        /// Options of the implementation.
        map options: String = "options",
    }

    /// What a policy is attached to.
    pub struct PolicyTarget {
        /// Group.
        req group: String = "group",
        /// Kind.
        req kind: String = "kind",
        /// Name.
        req name: String = "name",
        /// Part of it.
        opt section_name: String = "sectionName",
    }

    /// A backend of a route.
    pub struct BackendRef {
        /// Group.
        opt group: String = "group",
        /// Kind.
        opt kind: String = "kind",
        /// Name.
        req name: String = "name",
        /// Namespace; another one needs a ReferenceGrant there.
        opt namespace: String = "namespace",
        /// Port of a Service.
        opt port: IntOrString = "port",
        /// Share of the traffic.
        opt weight: i64 = "weight",
        /// Filters for this backend.
        list filters: route::HttpFilter = "filters",
    }
}

open_enum! {
    /// Protocol of a listener.
    #[derive(Default)]
    pub enum ListenerProtocol {
        /// HTTP.
        #[default]
        Http = "HTTP",
        /// HTTP over TLS.
        Https = "HTTPS",
        /// TLS.
        Tls = "TLS",
        /// TCP.
        Tcp = "TCP",
        /// UDP.
        Udp = "UDP",
    }

    /// Whether TLS ends at the listener.
    pub enum TlsMode {
        /// It does.
        Terminate = "Terminate",
        /// It goes through.
        Passthrough = "Passthrough",
    }

    /// From which namespaces routes may attach.
    pub enum FromNamespaces {
        /// The gateway's own.
        Same = "Same",
        /// All.
        All = "All",
        /// Those with labels.
        Selector = "Selector",
        /// None.
        None = "None",
    }
}

kind! {
    /// A sort of gateways.
    GatewayClass = GatewayClassBody { spec: GatewayClassSpec, required: true, group: "gateway.networking.k8s.io",
        version: "v1", also: ["v1beta1"], plural: "gatewayclasses", namespaced: false }

    /// A gateway.
    Gateway = GatewayBody { spec: GatewaySpec, required: true, group: "gateway.networking.k8s.io",
        version: "v1", also: ["v1beta1"], plural: "gateways", namespaced: true }

    /// Leave for other namespaces to refer to objects here.
    ReferenceGrant = ReferenceGrantBody { spec: ReferenceGrantSpec, required: false,
        group: "gateway.networking.k8s.io", version: "v1", also: ["v1beta1"], plural: "referencegrants",
        namespaced: true }

    /// Listeners that attach to somebody else's gateway.
    ListenerSet = ListenerSetBody { spec: ListenerSetSpec, required: true, group: "gateway.networking.k8s.io",
        version: "v1", also: [], plural: "listenersets", namespaced: true }

    /// TLS between gateway and backends.
    BackendTLSPolicy = BackendTlsPolicyBody { spec: BackendTlsPolicySpec, required: true,
        group: "gateway.networking.k8s.io", version: "v1", also: ["v1alpha3"], plural: "backendtlspolicies",
        namespaced: true }
}

impl Listener {
    /// A listener for HTTP on port 80.
    #[must_use]
    pub fn http(name: &str) -> Self {
        Self::default()
            .name(name)
            .port(80)
            .protocol(ListenerProtocol::Http)
    }

    /// A listener for HTTPS on port 443 that ends TLS with a certificate of its namespace.
    #[must_use]
    pub fn https(name: &str, secret: &str) -> Self {
        let tls = ListenerTls::default()
            .mode(TlsMode::Terminate)
            .certificate_refs([ObjectRef::default().name(secret)]);
        Self::default()
            .name(name)
            .port(443)
            .protocol(ListenerProtocol::Https)
            .tls(tls)
    }

    /// Lets routes of every namespace attach.
    #[must_use]
    pub fn from_all_namespaces(self) -> Self {
        let namespaces = RouteNamespaces::default().from(FromNamespaces::All);
        self.allowed_routes(AllowedRoutes::default().namespaces(namespaces))
    }

    /// Whether the listener's host name covers a host: `*.example.org` does not cover `example.org`.
    #[must_use]
    pub fn covers(&self, host: &str) -> bool {
        match self.hostname.as_deref().filter(|name| !name.is_empty()) {
            None => true,
            Some(name) => match name.strip_prefix("*.") {
                Some(domain) => host
                    .strip_suffix(domain)
                    .and_then(|rest| rest.strip_suffix('.'))
                    .is_some_and(|label| !label.is_empty()),
                None => name.eq_ignore_ascii_case(host),
            },
        }
    }
}

impl ReferenceGrant {
    /// True when objects of one kind in a namespace may refer to an object here.
    #[must_use]
    pub fn allows(&self, from: (&str, &str, &str), to: (&str, &str, &str)) -> bool {
        let (from_group, from_kind, from_namespace) = from;
        let (to_group, to_kind, to_name) = to;
        let spec = &self.body.spec;
        let is_from = |f: &GrantFrom| {
            f.group == from_group && f.kind == from_kind && f.namespace == from_namespace
        };
        let is_to = |t: &GrantTo| {
            t.group == to_group
                && t.kind == to_kind
                && t.name.as_deref().is_none_or(|name| name == to_name)
        };
        spec.from.iter().flatten().any(is_from) && spec.to.iter().flatten().any(is_to)
    }
}
