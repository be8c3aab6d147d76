//! Routes: which requests go to which backends.

use serde_json::Value;

use super::BackendRef;
use crate::model::{model, open_enum};
use crate::object::kind;

model! {
    /// Requests to backends.
    pub struct HttpRouteSpec {
        /// Gateways that the route attaches to.
        list parent_refs: ParentRef = "parentRefs",
        /// Host names; absent is what the listener has.
        list hostnames: String = "hostnames",
        /// Rules.
        list rules: HttpRouteRule = "rules",
    }

    /// A gateway, and optionally one of its listeners.
    pub struct ParentRef {
        /// Group.
        opt group: String = "group",
        /// Kind.
        opt kind: String = "kind",
        /// Namespace.
        opt namespace: String = "namespace",
        /// Name.
        req name: String = "name",
        /// Listener.
        opt section_name: String = "sectionName",
        /// Port.
        opt port: i64 = "port",
    }

    /// One rule: matches are alternatives.
    pub struct HttpRouteRule {
        /// Name.
        opt name: String = "name",
        /// Which requests; absent is all of them.
        list matches: HttpMatch = "matches",
        /// What is done to them.
        list filters: HttpFilter = "filters",
        /// Where they go.
        list backend_refs: BackendRef = "backendRefs",
        /// How long they may take.
        opt timeouts: HttpTimeouts = "timeouts",
        /// Whether they are tried again.
        opt retry: Value = "retry",
        /// Whether a client stays with a backend.
        opt session_persistence: Value = "sessionPersistence",
    }

    /// Conditions that must all hold.
    pub struct HttpMatch {
        /// Path.
        opt path: PathMatch = "path",
        /// Headers.
        list headers: ValueMatch = "headers",
        /// Parameters of the query.
        list query_params: ValueMatch = "queryParams",
        /// Method.
        opt method: String = "method",
    }

    /// A condition on the path.
    pub struct PathMatch {
        /// How it is compared.
        opt match_type: PathMatchType = "type",
        /// With what.
        opt value: String = "value",
    }

    /// A condition on a header or parameter.
    pub struct ValueMatch {
        /// `Exact` or `RegularExpression`.
        opt match_type: String = "type",
        /// Name.
        req name: String = "name",
        /// Value.
        req value: String = "value",
    }

    /// Something done to a request or answer.
    pub struct HttpFilter {
        /// What.
        req filter_type: String = "type",
        /// Headers of the request.
        opt request_header_modifier: HeaderModifier = "requestHeaderModifier",
        /// Headers of the answer.
        opt response_header_modifier: HeaderModifier = "responseHeaderModifier",
        /// A second backend that gets a copy.
        opt request_mirror: Value = "requestMirror",
        /// A redirect in place of a backend.
        opt request_redirect: RequestRedirect = "requestRedirect",
        /// Another path or host for the backend.
        opt url_rewrite: UrlRewrite = "urlRewrite",
        /// Cross-origin requests.
        opt cors: Value = "cors",
        /// Somebody who is asked first.
        opt external_auth: Value = "externalAuth",
        /// A filter of the implementation.
        opt extension_ref: Value = "extensionRef",
    }

    /// Changes to headers.
    pub struct HeaderModifier {
        /// Replaced.
        list set: HeaderValue = "set",
        /// Added.
        list added: HeaderValue = "add",
        /// Removed.
        list remove: String = "remove",
    }

    /// A header.
    pub struct HeaderValue {
        /// Name.
        req name: String = "name",
        /// Value.
        req value: String = "value",
    }

    /// A redirect.
    pub struct RequestRedirect {
        /// Scheme.
        opt scheme: String = "scheme",
        /// Host.
        opt hostname: String = "hostname",
        /// Path.
        opt path: PathModifier = "path",
        /// Port.
        opt port: i64 = "port",
        /// Status.
        opt status_code: i64 = "statusCode",
    }

    /// Another path or host.
    pub struct UrlRewrite {
        /// Host.
        opt hostname: String = "hostname",
        /// Path.
        opt path: PathModifier = "path",
    }

    /// A new path.
    pub struct PathModifier {
        /// `ReplaceFullPath` or `ReplacePrefixMatch`.
        req modifier_type: String = "type",
        /// The whole path.
        opt replace_full_path: String = "replaceFullPath",
        /// What stands in place of the matched prefix.
        opt replace_prefix_match: String = "replacePrefixMatch",
    }

    /// How long requests may take, in durations of the Gateway API (`10s`).
    pub struct HttpTimeouts {
        /// Until the answer is complete.
        opt request: String = "request",
        /// Until a backend has answered.
        opt backend_request: String = "backendRequest",
    }

    /// Calls to backends.
    pub struct GrpcRouteSpec {
        /// Gateways that the route attaches to.
        list parent_refs: ParentRef = "parentRefs",
        /// Host names.
        list hostnames: String = "hostnames",
        /// Rules.
        list rules: GrpcRouteRule = "rules",
    }

    /// One rule for calls.
    pub struct GrpcRouteRule {
        /// Name.
        opt name: String = "name",
        /// Which calls.
        list matches: GrpcMatch = "matches",
        /// What is done to them.
        list filters: HttpFilter = "filters",
        /// Where they go.
        list backend_refs: BackendRef = "backendRefs",
        /// Whether a client stays with a backend.
        opt session_persistence: Value = "sessionPersistence",
    }

    /// Conditions on calls.
    pub struct GrpcMatch {
        /// Service and method.
        opt method: GrpcMethodMatch = "method",
        /// Headers.
        list headers: ValueMatch = "headers",
    }

    /// A service and method.
    pub struct GrpcMethodMatch {
        /// `Exact` or `RegularExpression`.
        opt match_type: String = "type",
        /// Service.
        opt service: String = "service",
        /// Method.
        opt method: String = "method",
    }

    /// Connections to backends.
    pub struct StreamRouteSpec {
        /// Gateways that the route attaches to.
        list parent_refs: ParentRef = "parentRefs",
        /// Server names; TLS routes only.
        list hostnames: String = "hostnames",
        /// Rules.
        list rules: StreamRouteRule = "rules",
    }

    /// Where connections go.
    pub struct StreamRouteRule {
        /// Name.
        opt name: String = "name",
        /// Backends.
        list backend_refs: BackendRef = "backendRefs",
    }
}

open_enum! {
    /// How a path is compared.
    #[derive(Default)]
    pub enum PathMatchType {
        /// Whole elements from the start.
        #[default]
        PathPrefix = "PathPrefix",
        /// As a whole.
        Exact = "Exact",
        /// As the implementation reads regular expressions.
        RegularExpression = "RegularExpression",
    }
}

kind! {
    /// HTTP requests to backends.
    HTTPRoute = HttpRouteBody { spec: HttpRouteSpec, required: true, group: "gateway.networking.k8s.io",
        version: "v1", also: ["v1beta1"], plural: "httproutes", namespaced: true }

    /// gRPC calls to backends.
    GRPCRoute = GrpcRouteBody { spec: GrpcRouteSpec, required: false, group: "gateway.networking.k8s.io",
        version: "v1", also: [], plural: "grpcroutes", namespaced: true }

    /// TLS connections to backends, by server name.
    TLSRoute = TlsRouteBody { spec: StreamRouteSpec, required: true, group: "gateway.networking.k8s.io",
        version: "v1", also: ["v1alpha2", "v1alpha3"], plural: "tlsroutes", namespaced: true }

    /// TCP connections to backends.
    TCPRoute = TcpRouteBody { spec: StreamRouteSpec, required: true, group: "gateway.networking.k8s.io",
        version: "v1", also: ["v1alpha2"], plural: "tcproutes", namespaced: true }

    /// UDP to backends.
    UDPRoute = UdpRouteBody { spec: StreamRouteSpec, required: true, group: "gateway.networking.k8s.io",
        version: "v1", also: ["v1alpha2"], plural: "udproutes", namespaced: true }
}

impl HttpRouteSpec {
    /// A route from a gateway's host name to a Service, for every path.
    #[must_use]
    pub fn to_service(gateway: ParentRef, hostname: &str, service: &str, port: u16) -> Self {
        let backend = BackendRef::default().name(service).port(port);
        Self::default()
            .parent_refs([gateway])
            .hostnames([hostname])
            .rules([HttpRouteRule::default().backend_refs([backend])])
    }
}

impl ParentRef {
    /// A gateway in a namespace.
    #[must_use]
    pub fn gateway(namespace: &str, name: &str) -> Self {
        Self::default().namespace(namespace).name(name)
    }
}
