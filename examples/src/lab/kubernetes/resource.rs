//! The kinds that the API serves: a fixed table of built-in ones, and those of CRDs.

use serde_json::Value;

use super::object::{self, flag, list, text};

/// One served kind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Resource {
    pub(crate) group: String,
    /// Served versions, the preferred one first.
    pub(crate) versions: Vec<String>,
    pub(crate) kind: String,
    pub(crate) plural: String,
    pub(crate) singular: String,
    pub(crate) namespaced: bool,
    pub(crate) short: Vec<String>,
    pub(crate) status: bool,
    pub(crate) scale: bool,
    /// The server counts changes of the wanted state in `metadata.generation`.
    pub(crate) generation: bool,
    /// Made by a CustomResourceDefinition.
    pub(crate) custom: bool,
}

impl Resource {
    /// `deployments.apps`, or `pods` for the core group: the key of the world's objects.
    pub(crate) fn id(&self) -> String {
        qualified(&self.plural, &self.group)
    }

    /// `apps/v1`, or `v1` for the core group.
    pub(crate) fn api_version(&self, version: &str) -> String {
        if self.group.is_empty() {
            version.to_owned()
        } else {
            format!("{}/{version}", self.group)
        }
    }
}

/// `plural.group`, or the plural alone for the core group.
pub(crate) fn qualified(plural: &str, group: &str) -> String {
    if group.is_empty() {
        plural.to_owned()
    } else {
        format!("{plural}.{group}")
    }
}

// group, version, kind, plural, flags (n namespaced, s status, x scale, g generation), short names
type Row = (
    &'static str,
    &'static str,
    &'static str,
    &'static str,
    &'static str,
    &'static str,
);

#[rustfmt::skip]
const BUILT_IN: &[Row] = &[
    ("", "v1", "Binding", "bindings", "n", ""),
    ("", "v1", "ConfigMap", "configmaps", "n", "cm"),
    ("", "v1", "Endpoints", "endpoints", "n", "ep"),
    ("", "v1", "Event", "events", "n", "ev"),
    ("", "v1", "LimitRange", "limitranges", "n", "limits"),
    ("", "v1", "Namespace", "namespaces", "s", "ns"),
    ("", "v1", "Node", "nodes", "s", "no"),
    ("", "v1", "PersistentVolume", "persistentvolumes", "s", "pv"),
    ("", "v1", "PersistentVolumeClaim", "persistentvolumeclaims", "ns", "pvc"),
    ("", "v1", "Pod", "pods", "nsg", "po"),
    ("", "v1", "PodTemplate", "podtemplates", "n", ""),
    ("", "v1", "ReplicationController", "replicationcontrollers", "nsxg", "rc"),
    ("", "v1", "ResourceQuota", "resourcequotas", "ns", "quota"),
    ("", "v1", "Secret", "secrets", "n", ""),
    ("", "v1", "Service", "services", "ns", "svc"),
    ("", "v1", "ServiceAccount", "serviceaccounts", "n", "sa"),
    ("apps", "v1", "ControllerRevision", "controllerrevisions", "n", ""),
    ("apps", "v1", "DaemonSet", "daemonsets", "nsg", "ds"),
    ("apps", "v1", "Deployment", "deployments", "nsxg", "deploy"),
    ("apps", "v1", "ReplicaSet", "replicasets", "nsxg", "rs"),
    ("apps", "v1", "StatefulSet", "statefulsets", "nsxg", "sts"),
    ("batch", "v1", "CronJob", "cronjobs", "nsg", "cj"),
    ("batch", "v1", "Job", "jobs", "nsg", ""),
    ("autoscaling", "v2", "HorizontalPodAutoscaler", "horizontalpodautoscalers", "nsg", "hpa"),
    ("policy", "v1", "PodDisruptionBudget", "poddisruptionbudgets", "nsg", "pdb"),
    ("networking.k8s.io", "v1", "Ingress", "ingresses", "nsg", "ing"),
    ("networking.k8s.io", "v1", "IngressClass", "ingressclasses", "g", ""),
    ("networking.k8s.io", "v1", "NetworkPolicy", "networkpolicies", "ng", "netpol"),
    ("discovery.k8s.io", "v1", "EndpointSlice", "endpointslices", "ng", ""),
    ("rbac.authorization.k8s.io", "v1", "ClusterRole", "clusterroles", "", ""),
    ("rbac.authorization.k8s.io", "v1", "ClusterRoleBinding", "clusterrolebindings", "", ""),
    ("rbac.authorization.k8s.io", "v1", "Role", "roles", "n", ""),
    ("rbac.authorization.k8s.io", "v1", "RoleBinding", "rolebindings", "n", ""),
    ("storage.k8s.io", "v1", "CSIDriver", "csidrivers", "", ""),
    ("storage.k8s.io", "v1", "CSINode", "csinodes", "", ""),
    ("storage.k8s.io", "v1", "CSIStorageCapacity", "csistoragecapacities", "n", ""),
    ("storage.k8s.io", "v1", "StorageClass", "storageclasses", "", "sc"),
    ("storage.k8s.io", "v1", "VolumeAttachment", "volumeattachments", "s", ""),
    ("storage.k8s.io", "v1", "VolumeAttributesClass", "volumeattributesclasses", "", "vac"),
    ("coordination.k8s.io", "v1", "Lease", "leases", "n", ""),
    ("scheduling.k8s.io", "v1", "PriorityClass", "priorityclasses", "g", "pc"),
    ("node.k8s.io", "v1", "RuntimeClass", "runtimeclasses", "", ""),
    ("certificates.k8s.io", "v1", "CertificateSigningRequest", "certificatesigningrequests", "s", "csr"),
    ("admissionregistration.k8s.io", "v1", "MutatingWebhookConfiguration", "mutatingwebhookconfigurations", "g", ""),
    ("admissionregistration.k8s.io", "v1", "ValidatingWebhookConfiguration", "validatingwebhookconfigurations", "g", ""),
    ("admissionregistration.k8s.io", "v1", "ValidatingAdmissionPolicy", "validatingadmissionpolicies", "sg", ""),
    ("admissionregistration.k8s.io", "v1", "ValidatingAdmissionPolicyBinding", "validatingadmissionpolicybindings", "g", ""),
    ("apiextensions.k8s.io", "v1", "CustomResourceDefinition", "customresourcedefinitions", "sg", "crd,crds"),
    ("apiregistration.k8s.io", "v1", "APIService", "apiservices", "s", ""),
];

/// Groups in the order in which discovery lists them, the core group first.
pub(crate) fn built_in_groups() -> Vec<(&'static str, &'static str)> {
    let mut groups: Vec<(&str, &str)> = Vec::new();
    for row in BUILT_IN {
        if !groups.iter().any(|(group, _)| *group == row.0) {
            groups.push((row.0, row.1));
        }
    }
    groups
}

/// Every built-in kind.
pub(crate) fn built_in() -> impl Iterator<Item = Resource> {
    BUILT_IN.iter().map(from_row)
}

fn from_row(row: &Row) -> Resource {
    let (group, version, kind, plural, flags, short) = *row;
    Resource {
        group: group.to_owned(),
        versions: vec![version.to_owned()],
        kind: kind.to_owned(),
        plural: plural.to_owned(),
        singular: kind.to_lowercase(),
        namespaced: flags.contains('n'),
        short: short
            .split(',')
            .filter(|one| !one.is_empty())
            .map(str::to_owned)
            .collect(),
        status: flags.contains('s'),
        scale: flags.contains('x'),
        generation: flags.contains('g'),
        custom: false,
    }
}

/// The built-in kind with that group and plural.
pub(crate) fn built_in_by_plural(group: &str, plural: &str) -> Option<Resource> {
    BUILT_IN
        .iter()
        .find(|row| row.0 == group && row.3 == plural)
        .map(from_row)
}

/// The built-in kind with that group and kind.
pub(crate) fn built_in_by_kind(group: &str, kind: &str) -> Option<Resource> {
    BUILT_IN
        .iter()
        .find(|row| row.0 == group && row.2 == kind)
        .map(from_row)
}

/// The kind that a CRD defines, once the CRD is established.
pub(crate) fn of_crd(crd: &Value) -> Option<Resource> {
    if !object::is_true(crd, "Established") {
        return None;
    }
    let mut served: Vec<&Value> = list(crd, "/spec/versions")
        .iter()
        .filter(|one| flag(one, "/served"))
        .collect();
    // Stable versions come before beta, beta before alpha, higher numbers first.
    served.sort_by_key(|one| std::cmp::Reverse(version_rank(text(one, "/name"))));
    let first = *served.first()?;
    Some(Resource {
        group: text(crd, "/spec/group").to_owned(),
        versions: served
            .iter()
            .map(|one| text(one, "/name").to_owned())
            .collect(),
        kind: text(crd, "/spec/names/kind").to_owned(),
        plural: text(crd, "/spec/names/plural").to_owned(),
        singular: text(crd, "/spec/names/singular").to_owned(),
        namespaced: text(crd, "/spec/scope") == "Namespaced",
        short: list(crd, "/spec/names/shortNames")
            .iter()
            .filter_map(Value::as_str)
            .map(str::to_owned)
            .collect(),
        status: first.pointer("/subresources/status").is_some(),
        scale: first.pointer("/subresources/scale").is_some(),
        generation: true,
        custom: true,
    })
}

fn version_rank(version: &str) -> (u8, u32, u32) {
    let digits = version.strip_prefix('v').unwrap_or_default();
    let split = digits
        .find(|one: char| !one.is_ascii_digit())
        .unwrap_or(digits.len());
    let (major, rest) = digits.split_at(split);
    let Ok(major) = major.parse() else {
        return (0, 0, 0);
    };
    let (stage, minor) = match rest {
        "" => (3, ""),
        rest => match (rest.strip_prefix("beta"), rest.strip_prefix("alpha")) {
            (Some(minor), _) => (2, minor),
            (_, Some(minor)) => (1, minor),
            _ => return (0, 0, 0),
        },
    };
    (stage, major, minor.parse().unwrap_or_default())
}
