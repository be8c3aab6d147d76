//! What runs on the cluster besides Cilium, DNS and Argo CD.

use super::decode::{Cx, Decode, Map, Scalar, choice};
use super::quantity::Bytes;
use super::yaml::{Node, Value};

choice! {
    /// How much the components ask for.
    Profile {
        /// For machines of 4 GiB.
        Small = "small",
        /// For machines of 8 GiB and more.
        Normal = "normal",
    }
}

choice! {
    /// Where Authelia keeps what must survive a restart.
    Database {
        /// A file; one replica only.
        Sqlite = "sqlite",
        /// A shared database.
        Postgresql = "postgresql",
    }
}

choice! {
    /// Where Authelia keeps sessions.
    Sessions {
        /// In the process; one replica only.
        Memory = "memory",
        /// In a shared store.
        Valkey = "valkey",
    }
}

/// Makes the record of a component: what all of them understand, and its own keys.
macro_rules! component {
    ($(#[$meta:meta])* $name:ident { $($(#[$fmeta:meta])* $field:ident : $ty:ty = $key:literal ($default:expr)),* $(,)? }) => {
        $(#[$meta])*
        #[derive(Debug, Clone, PartialEq, serde::Serialize)]
        #[non_exhaustive]
        pub struct $name {
            /// Whether it runs at all.
            pub enabled: bool,
            /// Its own size; else that of all components.
            #[serde(skip_serializing_if = "Option::is_none")]
            pub profile: Option<Profile>,
            /// Its own number of replicas; else by tier.
            #[serde(skip_serializing_if = "Option::is_none")]
            pub replicas: Option<u32>,
            /// Replicas that a disruption must leave; else all but one.
            #[serde(rename = "minAvailable", skip_serializing_if = "Option::is_none")]
            pub min_available: Option<u32>,
            /// Size of its volume; else by profile.
            #[serde(skip_serializing_if = "Option::is_none")]
            pub size: Option<Bytes>,
            /// Storage class of its volume; else the default one.
            #[serde(rename = "storageClass", skip_serializing_if = "Option::is_none")]
            pub storage_class: Option<String>,
            $($(#[$fmeta])* #[serde(rename = $key)] pub $field: $ty),*
        }

        impl Default for $name {
            fn default() -> Self {
                Self { enabled: false, profile: None, replicas: None, min_available: None, size: None, storage_class: None, $($field: $default),* }
            }
        }

        impl Decode for $name {
            fn decode(cx: &mut Cx<'_>, path: &str, node: &Node) -> Option<Self> {
                if let Value::Scalar { text, .. } = &node.value {
                    return match bool::parse(path, text) {
                        Ok(enabled) => Some(Self { enabled, ..Self::default() }),
                        Err(bad) => {
                            cx.error_help(bad.rule, path, bad.message, "true, false, or a mapping");
                            None
                        }
                    };
                }
                let mut map = Map::open(cx, path, node)?;
                let value = Self {
                    enabled: map.or(cx, "enabled", true),
                    profile: map.maybe(cx, "profile"),
                    replicas: map.maybe(cx, "replicas"),
                    min_available: map.maybe(cx, "minAvailable"),
                    size: map.maybe(cx, "size"),
                    storage_class: map.maybe(cx, "storageClass"),
                    $($field: map.or(cx, $key, $default)),*
                };
                map.finish(cx);
                Some(value)
            }

            fn placeholder() -> Self {
                Self::default()
            }
        }

        impl Wish for $name {
            fn wish(&self) -> Wishes<'_> {
                Wishes { enabled: self.enabled, profile: self.profile, replicas: self.replicas, min_available: self.min_available, size: self.size, storage_class: self.storage_class.as_deref() }
            }
        }
    };
}

/// What every component understands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Wishes<'s> {
    /// Whether it runs at all.
    pub enabled: bool,
    /// Its own size.
    pub profile: Option<Profile>,
    /// Its own number of replicas.
    pub replicas: Option<u32>,
    /// Replicas that a disruption must leave.
    pub min_available: Option<u32>,
    /// Size of its volume.
    pub size: Option<Bytes>,
    /// Storage class of its volume.
    pub storage_class: Option<&'s str>,
}

trait Wish {
    fn wish(&self) -> Wishes<'_>;
}

component! {
    /// A component without keys of its own.
    Plain {}
}

component! {
    /// Prometheus, Alertmanager, Grafana and their operator.
    Monitoring {
        /// Replicas of Prometheus, each with its own volume.
        prometheus_replicas: u32 = "prometheusReplicas" (1),
    }
}

component! {
    /// Logs.
    Loki {
        /// Copies of each log line; as many replicas must run.
        replication_factor: u32 = "replicationFactor" (1),
    }
}

component! {
    /// Published names.
    ExternalDns {
        /// Mark of this cluster's records; the cluster's name when not given.
        #[serde(skip_serializing_if = "Option::is_none")]
        owner_id: Option<String> = "ownerId" (None),
    }
}

component! {
    /// Single sign-on.
    Authelia {
        /// Where state is kept.
        database: Database = "database" (Database::Sqlite),
        /// Where sessions are kept.
        sessions: Sessions = "sessions" (Sessions::Memory),
    }
}

/// Makes the section: one field per component, and its lookup by name in the catalogue.
macro_rules! components {
    ($($(#[$meta:meta])* $field:ident : $ty:ident = $key:literal / $name:literal ($default:expr)),+ $(,)?) => {
        /// Which components run and how large they are.
        #[derive(Debug, Clone, PartialEq, serde::Serialize)]
        #[non_exhaustive]
        pub struct Components {
            /// Size of all that name no own one.
            pub profile: Profile,
            $($(#[$meta])* #[serde(rename = $key)] pub $field: $ty),+
        }

        impl Default for Components {
            fn default() -> Self {
                Self { profile: Profile::Normal, $($field: $ty { enabled: $default, ..$ty::default() }),+ }
            }
        }

        impl Decode for Components {
            fn decode(cx: &mut Cx<'_>, path: &str, node: &Node) -> Option<Self> {
                let mut map = Map::open(cx, path, node)?;
                let value = Self {
                    profile: map.or(cx, "profile", Profile::Normal),
                    $($field: map.or(cx, $key, $ty { enabled: $default, ..$ty::default() })),+
                };
                map.finish(cx);
                Some(value)
            }

            fn placeholder() -> Self {
                Self::default()
            }
        }

        impl Components {
            /// The wishes for a component by its name in the catalogue, with its key in the file.
            #[must_use]
            pub fn get(&self, name: &str) -> Option<(&'static str, Wishes<'_>)> {
                match name {
                    $($name => Some(($key, self.$field.wish())),)+
                    _ => None,
                }
            }
        }
    };
}

components! {
    /// Certificates.
    cert_manager: Plain = "certManager" / "cert-manager" (false),
    /// Figures for autoscalers and `kubectl top`.
    metrics_server: Plain = "metricsServer" / "metrics-server" (false),
    /// Volume snapshots.
    snapshot_controller: Plain = "snapshotController" / "snapshot-controller" (false),
    /// Replicated volumes.
    longhorn: Plain = "longhorn" / "longhorn" (false),
    /// Metrics, alerts, dashboards.
    monitoring: Monitoring = "monitoring" / "kube-prometheus-stack" (false),
    /// Logs.
    loki: Loki = "loki" / "loki" (false),
    /// Published names.
    external_dns: ExternalDns = "externalDns" / "external-dns" (false),
    /// Single sign-on.
    authelia: Authelia = "authelia" / "authelia" (false),
    /// Users and groups.
    lldap: Plain = "lldap" / "lldap" (false),
    /// Policy engine.
    kyverno: Plain = "kyverno" / "kyverno" (false),
    /// Policy engine.
    gatekeeper: Plain = "gatekeeper" / "gatekeeper" (false),
    /// Volumes on the storages of Proxmox VE.
    proxmox_csi: Plain = "proxmoxCsi" / "proxmox-csi" (false),
}
