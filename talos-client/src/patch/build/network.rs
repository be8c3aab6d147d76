//! What the node's network knows besides interfaces: names, resolvers, hosts, KubeSpan.

use super::PatchBuilder;
use crate::documents::v1alpha1::{
    EndpointFilters, ExtraHost, Features, HostDns, KubeSpan, Machine, MachineNetwork,
};
use crate::documents::{
    Address, AutoHostname, HostnameConfig, KubeSpanConfig, ResolverConfig, StaticHostConfig,
    network,
};

impl PatchBuilder {
    /// The static host name.
    pub fn hostname(self, name: &str) -> Self {
        if self.is(12) {
            let document = HostnameConfig::new().with_auto(AutoHostname::Off);
            return self.document(document.with_hostname(name));
        }
        self.network(MachineNetwork::new().with_hostname(name))
    }

    /// DNS servers of the node.
    pub fn nameservers<T: Into<String>>(mut self, servers: impl IntoIterator<Item = T>) -> Self {
        let servers: Vec<Address> = servers
            .into_iter()
            .filter_map(|server| self.read("nameserver", &server.into()))
            .collect();
        if self.is(12) {
            let server = |address| network::NameserverConfig::new().with_address(address);
            let servers: Vec<_> = servers.into_iter().map(server).collect();
            return self.document(ResolverConfig::new().with_nameservers(servers));
        }
        let servers = servers.iter().map(ToString::to_string);
        self.network(MachineNetwork::new().with_nameservers(servers))
    }

    /// Domains that names without a dot are looked up in. Contract 1.9 and later.
    pub fn search_domains<T: Into<String>>(self, domains: impl IntoIterator<Item = T>) -> Self {
        if self.is(12) {
            let domains = network::SearchDomainsConfig::new().with_domains(domains);
            return self.document(ResolverConfig::new().with_search_domains(domains));
        }
        self.network(MachineNetwork::new().with_search_domains(domains))
    }

    /// The resolver on the node itself that caches, answers for the cluster's DNS and knows the names of members. Contract 1.7
    /// and later.
    pub fn host_dns(self, host_dns: network::HostDNSConfig) -> Self {
        if self.is(14) {
            return self.document(ResolverConfig::new().with_host_dns(host_dns));
        }
        let mut section = HostDns::new();
        section.enabled = host_dns.enabled;
        section.forward_kube_dns_to_host = host_dns.forward_kube_dns_to_host;
        section.resolve_member_names = host_dns.resolve_member_names;
        self.machine(Machine::new().with_features(Features::new().with_host_dns(section)))
    }

    /// Names that the node resolves to an address by itself.
    pub fn static_host<T: Into<String>>(
        mut self,
        address: &str,
        names: impl IntoIterator<Item = T>,
    ) -> Self {
        let Some(address) = self.read::<Address>("static host", address) else {
            return self;
        };
        if self.is(12) {
            let host = StaticHostConfig::new(address.to_string()).with_hostnames(names);
            return self.document(host);
        }
        let host = ExtraHost::new().with_ip(address.to_string());
        let hosts = [host.with_aliases(names)];
        self.network(MachineNetwork::new().with_extra_host_entries(hosts))
    }

    /// KubeSpan, the WireGuard mesh between the nodes of a cluster.
    ///
    /// ```
    /// use talos_client::documents::KubeSpanConfig;
    /// use talos_client::{Patch, VersionContract};
    ///
    /// let mesh = KubeSpanConfig::new().with_enabled(true).with_mtu(1380);
    /// for contract in [VersionContract::new(1, 12), VersionContract::V1_14] {
    ///     assert!(Patch::builder(contract).kube_span(mesh.clone()).build().is_ok());
    /// }
    /// ```
    pub fn kube_span(self, kube_span: KubeSpanConfig) -> Self {
        if self.is(13) {
            return self.document(kube_span);
        }
        let mut section = KubeSpan::new();
        section.enabled = kube_span.enabled;
        section.advertise_kubernetes_networks = kube_span.advertise_kubernetes_networks;
        section.allow_down_peer_bypass = kube_span.allow_down_peer_bypass;
        section.harvest_extra_endpoints = kube_span.harvest_extra_endpoints;
        section.mtu = kube_span.mtu;
        section.filters = kube_span.filters.map(|filters| {
            let networks = filters.exclude_advertised_networks.iter();
            EndpointFilters::new()
                .with_endpoints(filters.endpoints)
                .with_exclude_advertised_networks(networks.map(ToString::to_string))
        });
        self.network(MachineNetwork::new().with_kubespan(section))
    }

    fn network(self, network: MachineNetwork) -> Self {
        self.machine(Machine::new().with_network(network))
    }
}
