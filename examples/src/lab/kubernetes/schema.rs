//! How lists and maps of an object merge: atomic, as a set, or keyed.
//!
//! For built-in kinds the facts stand in a table (from the `+listType` and `+patchMergeKey` marks of
//! the Kubernetes API types); for custom kinds in the CRD (`x-kubernetes-list-type` and its
//! companions). Everything unknown merges maps key by key and replaces lists.

use serde_json::Value;

/// How a list merges.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum ListKind {
    /// Replaced as a whole.
    Atomic,
    /// Scalars, each at most once.
    Set,
    /// Objects told apart by these keys.
    Map(Vec<String>),
}

/// The schema at one place of an object.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Schema<'a> {
    /// A named type of the built-in table.
    BuiltIn(&'static str),
    /// A node of a CRD's OpenAPI schema.
    Crd(&'a Value),
    /// Nothing is known.
    Open,
}

// type, field, type of the field or of its items, how it merges:
// "" maps key by key and lists as a whole, "!" atomic map, "=" set, otherwise the keys of a keyed list
type Row = (&'static str, &'static str, &'static str, &'static str);

#[rustfmt::skip]
const FIELDS: &[Row] = &[
    ("*", "metadata", "ObjectMeta", ""),
    ("ObjectMeta", "ownerReferences", "OwnerReference", "uid"),
    ("ObjectMeta", "finalizers", "", "="),
    ("ObjectMeta", "managedFields", "", ""),
    ("Deployment", "spec", "WorkloadSpec", ""),
    ("Deployment", "status", "Status", ""),
    ("ReplicaSet", "spec", "WorkloadSpec", ""),
    ("ReplicaSet", "status", "Status", ""),
    ("DaemonSet", "spec", "WorkloadSpec", ""),
    ("DaemonSet", "status", "Status", ""),
    ("StatefulSet", "spec", "WorkloadSpec", ""),
    ("StatefulSet", "status", "Status", ""),
    ("Job", "spec", "WorkloadSpec", ""),
    ("CronJob", "spec", "CronJobSpec", ""),
    ("CronJobSpec", "jobTemplate", "JobTemplate", ""),
    ("JobTemplate", "metadata", "ObjectMeta", ""),
    ("JobTemplate", "spec", "WorkloadSpec", ""),
    ("WorkloadSpec", "selector", "", "!"),
    ("WorkloadSpec", "template", "PodTemplate", ""),
    ("PodTemplate", "metadata", "ObjectMeta", ""),
    ("PodTemplate", "spec", "PodSpec", ""),
    ("Pod", "spec", "PodSpec", ""),
    ("Pod", "status", "PodStatus", ""),
    ("PodSpec", "containers", "Container", "name"),
    ("PodSpec", "initContainers", "Container", "name"),
    ("PodSpec", "ephemeralContainers", "Container", "name"),
    ("PodSpec", "volumes", "Volume", "name"),
    ("PodSpec", "imagePullSecrets", "", "name"),
    ("PodSpec", "hostAliases", "", "ip"),
    ("PodSpec", "topologySpreadConstraints", "SpreadConstraint", "topologyKey,whenUnsatisfiable"),
    ("PodSpec", "schedulingGates", "", "name"),
    ("PodSpec", "resourceClaims", "", "name"),
    ("PodSpec", "nodeSelector", "", "!"),
    ("SpreadConstraint", "labelSelector", "", "!"),
    ("Container", "env", "EnvVar", "name"),
    ("Container", "ports", "", "containerPort,protocol"),
    ("Container", "volumeMounts", "", "mountPath"),
    ("Container", "volumeDevices", "", "devicePath"),
    ("Container", "resources", "Resources", ""),
    ("Resources", "claims", "", "name"),
    ("EnvVar", "valueFrom", "EnvSource", ""),
    ("EnvSource", "secretKeyRef", "", "!"),
    ("EnvSource", "configMapKeyRef", "", "!"),
    ("EnvSource", "fieldRef", "", "!"),
    ("EnvSource", "resourceFieldRef", "", "!"),
    ("PodStatus", "conditions", "", "type"),
    ("PodStatus", "podIPs", "", "ip"),
    ("PodStatus", "hostIPs", "", ""),
    ("Service", "spec", "ServiceSpec", ""),
    ("Service", "status", "Status", ""),
    ("ServiceSpec", "ports", "", "port,protocol"),
    ("ServiceSpec", "selector", "", "!"),
    ("ServiceAccount", "secrets", "", "name"),
    ("Status", "conditions", "", "type"),
    ("Namespace", "status", "Status", ""),
    ("PersistentVolumeClaim", "spec", "ClaimSpec", ""),
    ("PersistentVolumeClaim", "status", "Status", ""),
    ("ClaimSpec", "selector", "", "!"),
    ("ClaimSpec", "dataSource", "", "!"),
    ("Node", "spec", "NodeSpec", ""),
    ("Node", "status", "NodeStatus", ""),
    ("NodeSpec", "podCIDRs", "", "="),
    ("NodeStatus", "addresses", "", "type"),
    ("NodeStatus", "conditions", "", "type"),
    ("PodDisruptionBudget", "spec", "SelectorSpec", ""),
    ("PodDisruptionBudget", "status", "Status", ""),
    ("SelectorSpec", "selector", "", "!"),
    ("NetworkPolicy", "spec", "NetworkPolicySpec", ""),
    ("NetworkPolicySpec", "podSelector", "", "!"),
    ("ClusterRole", "aggregationRule", "", ""),
    ("RoleBinding", "roleRef", "", "!"),
    ("ClusterRoleBinding", "roleRef", "", "!"),
    ("CustomResourceDefinition", "status", "Status", ""),
    ("MutatingWebhookConfiguration", "webhooks", "Webhook", "name"),
    ("ValidatingWebhookConfiguration", "webhooks", "Webhook", "name"),
    ("Webhook", "namespaceSelector", "", "!"),
    ("Webhook", "objectSelector", "", "!"),
    ("CertificateSigningRequest", "status", "Status", ""),
    ("APIService", "status", "Status", ""),
];

fn row(kind: &str, field: &str) -> Option<&'static Row> {
    FIELDS
        .iter()
        .find(|row| row.0 == kind && row.1 == field)
        .or_else(|| {
            // Every root type has metadata; only roots reach the table with a kind that has none.
            (field == "metadata")
                .then(|| FIELDS.iter().find(|row| row.0 == "*"))
                .flatten()
        })
}

impl<'a> Schema<'a> {
    /// Schema of a whole object of a built-in kind.
    pub(crate) fn of_kind(kind: &str) -> Self {
        let known = FIELDS.iter().find(|row| row.0 == kind).map(|row| row.0);
        Self::BuiltIn(known.unwrap_or("*"))
    }

    /// Schema of a field of an object, or of a value of a map.
    pub(crate) fn field(self, name: &str) -> Schema<'a> {
        match self {
            Self::BuiltIn(kind) => match row(kind, name) {
                Some(row) if !row.2.is_empty() => Self::BuiltIn(row.2),
                _ => Self::Open,
            },
            Self::Crd(node) => {
                if let Some(child) = node.pointer("/properties").and_then(|all| all.get(name)) {
                    return Self::Crd(child);
                }
                match node.get("additionalProperties") {
                    Some(child @ Value::Object(_)) => Self::Crd(child),
                    _ => Self::Open,
                }
            }
            Self::Open => Self::Open,
        }
    }

    /// Schema of the items of a list field that this schema describes.
    pub(crate) fn item(self) -> Schema<'a> {
        match self {
            Self::Crd(node) => node.get("items").map_or(Self::Open, Self::Crd),
            other => other,
        }
    }

    /// How the list field of that name merges.
    pub(crate) fn list_kind(self, name: &str) -> ListKind {
        match self {
            Self::BuiltIn(kind) => match row(kind, name).map(|row| row.3) {
                None | Some("" | "!") => ListKind::Atomic,
                Some("=") => ListKind::Set,
                Some(keys) => ListKind::Map(keys.split(',').map(str::to_owned).collect()),
            },
            Self::Crd(_) => match self.field(name) {
                Self::Crd(node) => match node["x-kubernetes-list-type"].as_str() {
                    Some("set") => ListKind::Set,
                    Some("map") => ListKind::Map(
                        super::object::list(node, "/x-kubernetes-list-map-keys")
                            .iter()
                            .filter_map(Value::as_str)
                            .map(str::to_owned)
                            .collect(),
                    ),
                    _ => ListKind::Atomic,
                },
                _ => ListKind::Atomic,
            },
            Self::Open => ListKind::Atomic,
        }
    }

    /// True when the map field of that name is replaced as a whole.
    pub(crate) fn atomic_map(self, name: &str) -> bool {
        match self {
            Self::BuiltIn(kind) => row(kind, name).is_some_and(|row| row.3 == "!"),
            Self::Crd(_) => match self.field(name) {
                Self::Crd(node) => node["x-kubernetes-map-type"] == "atomic",
                _ => false,
            },
            Self::Open => false,
        }
    }

    /// Value that a missing key of a keyed list stands for (`protocol` of ports).
    pub(crate) fn key_default(self, key: &str) -> Option<Value> {
        match self {
            Self::Crd(node) => node
                .pointer("/properties")?
                .get(key)?
                .get("default")
                .cloned(),
            _ => (key == "protocol").then(|| Value::from("TCP")),
        }
    }
}
