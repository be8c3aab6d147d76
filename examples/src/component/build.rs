//! Short words in which the catalogue is written.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use super::{
    AntiAffinity, Catalogue, Component, Entity, Flow, Kind, Metrics, Needs, PUBLISHED, Party,
    PodSecurity, Port, Protocol, Provides, Replicas, Requests, SecretNeed, SecretSource, Source,
    Volume, Webhook, Workload,
};
use crate::spec::components::{Profile, Wishes};
use crate::spec::quantity::{Bytes, Cpu};
use crate::spec::{Spec, Tier};

/// The catalogue while it is written.
pub(super) struct Draft<'s> {
    pub(super) spec: &'s Spec,
    components: Vec<Component>,
    flows: Vec<Flow>,
}

impl<'s> Draft<'s> {
    pub(super) fn new(spec: &'s Spec) -> Self {
        Self {
            spec,
            components: Vec::new(),
            flows: Vec::new(),
        }
    }

    /// Whether `cluster.yaml` asks for the component.
    pub(super) fn wants(&self, name: &str) -> bool {
        self.spec
            .components
            .get(name)
            .is_some_and(|(_, wishes)| wishes.enabled)
    }

    /// Begins a component.
    pub(super) fn begin(
        &self,
        name: &str,
        namespace: &str,
        level: PodSecurity,
        wave: i32,
    ) -> Writer<'s> {
        let wishes = self.spec.components.get(name).map(|(_, wishes)| wishes);
        Writer {
            spec: self.spec,
            wishes,
            component: Component {
                name: name.to_owned(),
                namespace: namespace.to_owned(),
                level,
                wave,
                source: Source::Rendered,
                workloads: Vec::new(),
                needs: Needs::default(),
                provides: Provides::default(),
                settings: BTreeMap::new(),
            },
            flows: Vec::new(),
        }
    }

    pub(super) fn add(&mut self, writer: Writer<'s>) {
        self.components.push(writer.component);
        self.flows.extend(writer.flows);
    }

    pub(super) fn finish(mut self) -> Catalogue {
        self.components
            .sort_by(|a, b| (a.wave, &a.name).cmp(&(b.wave, &b.name)));
        self.everywhere();
        let present = |party: &Party| match party {
            Party::Workload {
                component,
                workload,
            } => self.components.iter().any(|found| {
                found.name == *component && found.workloads.iter().any(|w| w.name == *workload)
            }),
            Party::Entity(_) | Party::Address(_) | Party::Host(_) => true,
        };
        // A connection to something that this environment does not run is no connection.
        let mut flows: Vec<Flow> = self
            .flows
            .iter()
            .filter(|flow| present(&flow.from) && present(&flow.to))
            .cloned()
            .collect();
        flows.sort();
        flows.dedup_by(|a, b| {
            (&a.from, &a.to, a.port, a.end_port, a.protocol)
                == (&b.from, &b.to, b.port, b.end_port, b.protocol)
        });
        Catalogue {
            components: self.components,
            flows,
        }
    }

    /// What holds for every workload: names are looked up, metrics are read, the API server calls its webhooks.
    fn everywhere(&mut self) {
        let mut flows = Vec::new();
        let dns = Party::workload("coredns", "coredns");
        if self.spec.gateway.is_some() {
            for port in [80, 443] {
                let gateway = Party::Entity(Entity::Ingress);
                flows.push(flow(
                    Party::Entity(Entity::World),
                    gateway,
                    port,
                    Protocol::Tcp,
                    "published names",
                ));
            }
        }
        for route in self.spec.gateway.iter().flat_map(|gateway| &gateway.routes) {
            if let Some(target) = PUBLISHED
                .iter()
                .find(|target| target.name == route.to.as_str())
            {
                let to = Party::workload(target.component, target.workload);
                flows.push(flow(
                    Party::Entity(Entity::Ingress),
                    to,
                    target.port,
                    Protocol::Tcp,
                    "published",
                ));
            }
        }
        let monitoring = self
            .components
            .iter()
            .any(|component| component.name == "kube-prometheus-stack");
        let prometheus = Party::workload("kube-prometheus-stack", "prometheus");
        for component in &self.components {
            for workload in &component.workloads {
                let party = Party::workload(&component.name, &workload.name);
                if !workload.host_network && party != dns {
                    for protocol in [Protocol::Udp, Protocol::Tcp] {
                        flows.push(flow(party.clone(), dns.clone(), 53, protocol, "names"));
                    }
                }
                if let Metrics::Port(port) = workload.metrics
                    && monitoring
                {
                    if workload.host_network {
                        for entity in [Entity::Host, Entity::RemoteNode] {
                            flows.push(flow(
                                prometheus.clone(),
                                Party::Entity(entity),
                                port,
                                Protocol::Tcp,
                                "metrics",
                            ));
                        }
                    } else if party != prometheus {
                        flows.push(flow(
                            prometheus.clone(),
                            party.clone(),
                            port,
                            Protocol::Tcp,
                            "metrics",
                        ));
                    }
                }
            }
            for webhook in &component.provides.webhooks {
                let to = Party::workload(&component.name, &webhook.workload);
                // Control planes that host their own API server call as one of these three.
                for entity in [Entity::KubeApiserver, Entity::Host, Entity::RemoteNode] {
                    flows.push(flow(
                        Party::Entity(entity),
                        to.clone(),
                        webhook.port,
                        Protocol::Tcp,
                        "called by the API server",
                    ));
                }
            }
        }
        self.flows.extend(flows);
    }
}

pub(super) fn flow(from: Party, to: Party, port: u16, protocol: Protocol, why: &str) -> Flow {
    Flow {
        from,
        to,
        port,
        end_port: None,
        protocol,
        why: why.to_owned(),
    }
}

/// One component while it is written.
pub(super) struct Writer<'s> {
    spec: &'s Spec,
    wishes: Option<Wishes<'s>>,
    pub(super) component: Component,
    flows: Vec<Flow>,
}

/// What one pod asks for in the small and in the normal profile: millicores and MiB.
#[derive(Clone, Copy)]
pub(super) struct Ask(pub(super) [u64; 2], pub(super) [u64; 2]);

impl Writer<'_> {
    pub(super) fn chart(mut self, repository: &str, chart: &str, version: &str) -> Self {
        self.component.source = Source::Chart {
            repository: repository.to_owned(),
            chart: chart.to_owned(),
            version: version.to_owned(),
        };
        self
    }

    pub(super) fn release(mut self, url: String) -> Self {
        self.component.source = Source::Release { url };
        self
    }

    pub(super) fn talos(mut self) -> Self {
        self.component.source = Source::Talos;
        self
    }

    /// Replicas of a part that can be replicated.
    pub(super) fn replicated(&self) -> Replicas {
        let wished = self.wishes.and_then(|wishes| wishes.replicas);
        Replicas::Count(wished.unwrap_or_else(|| self.spec.tier.replicas()))
    }

    /// Size of the component's volume.
    pub(super) fn size(&self, small: u64, normal: u64) -> Bytes {
        let wished = self.wishes.and_then(|wishes| wishes.size);
        wished.unwrap_or_else(|| {
            Bytes::gib(if self.profile() == Profile::Small {
                small
            } else {
                normal
            })
        })
    }

    fn profile(&self) -> Profile {
        self.wishes
            .and_then(|wishes| wishes.profile)
            .unwrap_or(self.spec.components.profile)
    }

    /// Adds a workload; the words after it describe it.
    pub(super) fn runs(
        mut self,
        kind: Kind,
        name: &str,
        object: &str,
        replicas: Replicas,
        ask: Ask,
    ) -> Self {
        let [cpu, memory] = if self.profile() == Profile::Small {
            ask.0
        } else {
            ask.1
        };
        let count = replicas.count(1, 1);
        let anti_affinity = match self.spec.tier {
            _ if replicas.per_node() || count < 2 => AntiAffinity::None,
            Tier::Development => AntiAffinity::None,
            Tier::Staging | Tier::Production => AntiAffinity::Preferred,
        };
        let budget = match self.spec.tier {
            Tier::Development => None,
            Tier::Staging | Tier::Production => Some(count.saturating_sub(1)),
        };
        let min_available = (!replicas.per_node() && count > 1)
            .then_some(budget)
            .flatten();
        self.component.workloads.push(Workload {
            name: name.to_owned(),
            object: object.to_owned(),
            kind,
            replicas,
            labels: BTreeMap::from([("app.kubernetes.io/name".to_owned(), object.to_owned())]),
            host_network: false,
            on_control_planes: replicas == Replicas::EveryNode,
            requests: Requests {
                cpu: Cpu::millis(cpu),
                memory: Bytes::mib(memory),
            },
            ports: Vec::new(),
            anti_affinity,
            metrics: Metrics::None("offers none".to_owned()),
            volume: None,
            min_available,
        });
        self
    }

    fn last(&mut self) -> Option<&mut Workload> {
        self.component.workloads.last_mut()
    }

    fn with(mut self, change: impl FnOnce(&mut Workload)) -> Self {
        if let Some(workload) = self.last() {
            change(workload);
        }
        self
    }

    /// Pod labels instead of `app.kubernetes.io/name`.
    pub(super) fn labels<const N: usize>(self, labels: [(&str, &str); N]) -> Self {
        self.with(|workload| {
            workload.labels = labels
                .iter()
                .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()))
                .collect()
        })
    }

    pub(super) fn host_network(self) -> Self {
        self.with(|workload| workload.host_network = true)
    }

    pub(super) fn on_control_planes(self) -> Self {
        self.with(|workload| workload.on_control_planes = true)
    }

    /// Pods that never share a node in production.
    pub(super) fn apart(self) -> Self {
        let production = self.spec.tier == Tier::Production;
        self.with(|workload| {
            if production && workload.anti_affinity == AntiAffinity::Preferred {
                workload.anti_affinity = AntiAffinity::Required;
            }
        })
    }

    /// The wish for a disruption budget holds for this workload.
    pub(super) fn budget(self) -> Self {
        let wished = self.wishes.and_then(|wishes| wishes.min_available);
        self.with(|workload| {
            if wished.is_some() {
                workload.min_available = wished;
            }
        })
    }

    pub(super) fn listens(self, name: &str, number: u16) -> Self {
        self.listens_on(name, number, Protocol::Tcp)
    }

    pub(super) fn listens_on(self, name: &str, number: u16, protocol: Protocol) -> Self {
        self.with(|workload| {
            workload.ports.push(Port {
                name: name.to_owned(),
                number,
                protocol,
            })
        })
    }

    pub(super) fn metrics(self, port: u16) -> Self {
        self.with(|workload| {
            workload.metrics = Metrics::Port(port);
            if !workload.ports.iter().any(|known| known.number == port) {
                workload.ports.push(Port {
                    name: "metrics".to_owned(),
                    number: port,
                    protocol: Protocol::Tcp,
                });
            }
        })
    }

    pub(super) fn no_metrics(self, reason: &str) -> Self {
        self.with(|workload| workload.metrics = Metrics::None(reason.to_owned()))
    }

    /// A volume of each pod; the component's wish for a class goes before `class`.
    pub(super) fn volume(self, class: Option<&str>, size: Bytes) -> Self {
        let class = self
            .wishes
            .and_then(|wishes| wishes.storage_class)
            .or(class)
            .map(str::to_owned);
        self.with(|workload| workload.volume = Some(Volume { class, size }))
    }

    /// The last workload as an end of a connection.
    fn me(&self) -> Party {
        let name = self
            .component
            .workloads
            .last()
            .map_or("", |workload| workload.name.as_str());
        Party::workload(&self.component.name, name)
    }

    fn push(
        mut self,
        to: Party,
        port: u16,
        end_port: Option<u16>,
        protocol: Protocol,
        why: &str,
    ) -> Self {
        let from = self.me();
        self.flows.push(Flow {
            from,
            to,
            port,
            end_port,
            protocol,
            why: why.to_owned(),
        });
        self
    }

    /// The last workload talks to the API server.
    pub(super) fn calls_api(self) -> Self {
        let port = self.spec.api.port;
        self.push(
            Party::Entity(Entity::KubeApiserver),
            port,
            None,
            Protocol::Tcp,
            "Kubernetes API",
        )
    }

    pub(super) fn calls(self, component: &str, workload: &str, port: u16, why: &str) -> Self {
        self.push(
            Party::workload(component, workload),
            port,
            None,
            Protocol::Tcp,
            why,
        )
    }

    pub(super) fn calls_on(
        self,
        component: &str,
        workload: &str,
        port: u16,
        protocol: Protocol,
        why: &str,
    ) -> Self {
        self.push(
            Party::workload(component, workload),
            port,
            None,
            protocol,
            why,
        )
    }

    pub(super) fn calls_range(
        self,
        component: &str,
        workload: &str,
        ports: (u16, u16),
        why: &str,
    ) -> Self {
        self.push(
            Party::workload(component, workload),
            ports.0,
            Some(ports.1),
            Protocol::Tcp,
            why,
        )
    }

    pub(super) fn calls_host(self, host: &str, port: u16, why: &str) -> Self {
        self.push(Party::Host(host.to_owned()), port, None, Protocol::Tcp, why)
    }

    pub(super) fn calls_address(
        self,
        address: Ipv4Addr,
        port: u16,
        protocol: Protocol,
        why: &str,
    ) -> Self {
        self.push(Party::Address(address), port, None, protocol, why)
    }

    /// The last workload talks to every node.
    pub(super) fn calls_nodes(self, port: u16, why: &str) -> Self {
        self.push(Party::Entity(Entity::Host), port, None, Protocol::Tcp, why)
            .push(
                Party::Entity(Entity::RemoteNode),
                port,
                None,
                Protocol::Tcp,
                why,
            )
    }

    /// The last workload goes out to the gateway and back in, for example for single sign-on.
    pub(super) fn calls_gateway(self, why: &str) -> Self {
        if self.spec.gateway.is_none() {
            return self;
        }
        self.push(
            Party::Entity(Entity::Ingress),
            443,
            None,
            Protocol::Tcp,
            why,
        )
    }

    /// The API server calls the last workload.
    pub(super) fn webhook(mut self, port: u16) -> Self {
        let workload = self
            .component
            .workloads
            .last()
            .map(|workload| workload.name.clone())
            .unwrap_or_default();
        self.component
            .provides
            .webhooks
            .push(Webhook { workload, port });
        if self
            .component
            .workloads
            .last()
            .is_some_and(|workload| workload.ports.iter().any(|known| known.number == port))
        {
            return self;
        }
        self.listens("webhook", port)
    }

    pub(super) fn needs_crds<const N: usize>(mut self, crds: [&str; N]) -> Self {
        self.component.needs.crds.extend(crds.map(str::to_owned));
        self
    }

    pub(super) fn needs_extensions<const N: usize>(mut self, extensions: [&str; N]) -> Self {
        self.component
            .needs
            .extensions
            .extend(extensions.map(str::to_owned));
        self
    }

    pub(super) fn after<const N: usize>(mut self, components: [&str; N]) -> Self {
        self.component
            .needs
            .components
            .extend(components.map(str::to_owned));
        self
    }

    /// A line that one of its ConfigMaps must have.
    pub(super) fn setting(mut self, config_map: &str, key: &str, value: &str) -> Self {
        let map = self
            .component
            .settings
            .entry(config_map.to_owned())
            .or_default();
        map.insert(key.to_owned(), value.to_owned());
        self
    }

    pub(super) fn needs_secret<const N: usize>(
        mut self,
        name: &str,
        keys: [(&str, SecretSource); N],
    ) -> Self {
        self.component.needs.secrets.push(SecretNeed {
            namespace: self.component.namespace.clone(),
            name: name.to_owned(),
            keys: keys
                .into_iter()
                .map(|(key, source)| (key.to_owned(), source))
                .collect(),
        });
        self
    }

    pub(super) fn brings_crds<const N: usize>(mut self, group: &str, plurals: [&str; N]) -> Self {
        self.component
            .provides
            .crds
            .extend(plurals.map(|plural| format!("{plural}.{group}")));
        self
    }

    pub(super) fn brings_class(mut self, class: &str) -> Self {
        self.component
            .provides
            .storage_classes
            .insert(class.to_owned());
        self
    }
}

/// A value that is made once and kept in the secret file.
pub(super) fn generated(name: &str) -> SecretSource {
    SecretSource::Generated(name.to_owned())
}
