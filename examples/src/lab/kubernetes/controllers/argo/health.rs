//! Health of objects, by the rules that Argo CD has built in.

use serde_json::Value;

use super::super::super::object::{condition, deleting, is_true, list, number, text};
use super::super::super::world::World;

/// Health, the worst last.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Health {
    Healthy,
    Suspended,
    Progressing,
    Missing,
    Degraded,
    Unknown,
}

impl Health {
    pub(super) fn text(self) -> &'static str {
        match self {
            Self::Healthy => "Healthy",
            Self::Suspended => "Suspended",
            Self::Progressing => "Progressing",
            Self::Missing => "Missing",
            Self::Degraded => "Degraded",
            Self::Unknown => "Unknown",
        }
    }

    /// True for kinds that have a health rule.
    pub(super) fn is_checked(object: &Value) -> bool {
        matches!(
            text(object, "/kind"),
            "Deployment"
                | "DaemonSet"
                | "StatefulSet"
                | "ReplicaSet"
                | "Pod"
                | "Job"
                | "Service"
                | "PersistentVolumeClaim"
                | "CustomResourceDefinition"
                | "Application"
                | "Gateway"
                | "Certificate"
        )
    }

    /// Health of a live object; missing without one.
    pub(super) fn of(world: &World, live: Option<&Value>) -> Self {
        let Some(live) = live else {
            return Self::Missing;
        };
        if deleting(live) {
            return Self::Progressing;
        }
        let when = |fine: bool| {
            if fine {
                Self::Healthy
            } else {
                Self::Progressing
            }
        };
        let seen = || {
            number(live, "/status/observedGeneration").unwrap_or_default()
                >= number(live, "/metadata/generation").unwrap_or_default()
        };
        let count = |place: &str| number(live, place).unwrap_or_default();
        match text(live, "/kind") {
            "Deployment" => {
                let late = condition(live, "Progressing")
                    .is_some_and(|one| one["reason"] == "ProgressDeadlineExceeded");
                if late {
                    return Self::Degraded;
                }
                let wanted = number(live, "/spec/replicas").unwrap_or(1);
                when(
                    seen()
                        && count("/status/updatedReplicas") >= wanted
                        && count("/status/replicas") <= count("/status/updatedReplicas")
                        && count("/status/availableReplicas") >= count("/status/updatedReplicas"),
                )
            }
            "ReplicaSet" => {
                when(seen() && count("/status/availableReplicas") >= count("/spec/replicas"))
            }
            "DaemonSet" => {
                let wanted = count("/status/desiredNumberScheduled");
                when(
                    seen()
                        && count("/status/updatedNumberScheduled") >= wanted
                        && count("/status/numberAvailable") >= wanted,
                )
            }
            "StatefulSet" => {
                let wanted = number(live, "/spec/replicas").unwrap_or(1);
                when(
                    seen()
                        && count("/status/readyReplicas") >= wanted
                        && count("/status/updatedReplicas") >= wanted,
                )
            }
            "Job" if is_true(live, "Failed") => Self::Degraded,
            "Job" => when(is_true(live, "Complete")),
            "Pod" => when(is_true(live, "Ready") || text(live, "/status/phase") == "Succeeded"),
            "Service" if text(live, "/spec/type") == "LoadBalancer" => {
                when(!list(live, "/status/loadBalancer/ingress").is_empty())
            }
            "PersistentVolumeClaim" => match text(live, "/status/phase") {
                "Bound" => Self::Healthy,
                "Lost" => Self::Degraded,
                _ => Self::Progressing,
            },
            "CustomResourceDefinition" => when(is_true(live, "Established")),
            "Gateway" => when(is_true(live, "Programmed")),
            "Certificate" => when(is_true(live, "Ready")),
            "Application" => Self::of_application(world, live),
            _ => Self::Healthy,
        }
    }

    /// Applications have no built-in rule: the health of a child counts only when `argocd-cm` has
    /// the customisation for it. Without it waves of applications do not wait for each other.
    fn of_application(world: &World, live: &Value) -> Self {
        const KEYS: [&str; 2] = [
            "resource.customizations.health.argoproj.io_Application",
            "resource.customizations",
        ];
        let home = text(live, "/metadata/namespace");
        let gated = world
            .get("configmaps", home, "argocd-cm")
            .is_some_and(|map| KEYS.iter().any(|key| map["data"].get(*key).is_some()));
        if !gated {
            return Self::Healthy;
        }
        match text(live, "/status/health/status") {
            "Healthy" => Self::Healthy,
            "Suspended" => Self::Suspended,
            "Degraded" => Self::Degraded,
            _ => Self::Progressing,
        }
    }
}
