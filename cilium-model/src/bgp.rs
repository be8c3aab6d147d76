//! The BGP control plane: which nodes speak to whom, how, and what they announce.

use crate::error::Problem;
use crate::model::{model, open_enum};
use crate::object::kind;
use crate::policy::selector::LabelSelector;

model! {
    /// BGP instances for a set of nodes.
    pub struct BgpClusterConfigSpec {
        /// Nodes; absent is every node. No two configurations may select the same node.
        opt node_selector: LabelSelector = "nodeSelector",
        /// Instances.
        list bgp_instances: BgpInstance = "bgpInstances",
    }

    /// One speaker on each node.
    pub struct BgpInstance {
        /// Name.
        req name: String = "name",
        /// Own autonomous system.
        opt local_asn: i64 = "localASN",
        /// Port to listen on; absent or −1 is none.
        opt local_port: i64 = "localPort",
        /// Peers.
        list peers: BgpPeer = "peers",
    }

    /// A peer.
    pub struct BgpPeer {
        /// Name.
        req name: String = "name",
        /// Address.
        opt peer_address: String = "peerAddress",
        /// Autonomous system; 0 takes what the peer says.
        opt peer_asn: i64 = "peerASN",
        /// How to speak to it.
        opt peer_config_ref: PeerConfigRef = "peerConfigRef",
        /// How to find its address.
        opt auto_discovery: AutoDiscovery = "autoDiscovery",
    }

    /// Name of a CiliumBGPPeerConfig.
    pub struct PeerConfigRef {
        /// Name.
        req name: String = "name",
    }

    /// How to find a peer.
    pub struct AutoDiscovery {
        /// `DefaultGateway`.
        req mode: String = "mode",
        /// Family of the gateway.
        opt default_gateway: DefaultGateway = "defaultGateway",
    }

    /// The default gateway as peer.
    pub struct DefaultGateway {
        /// `ipv4` or `ipv6`.
        req address_family: String = "addressFamily",
    }

    /// How to speak to peers.
    pub struct BgpPeerConfigSpec {
        /// Secret with the TCP password, in the namespace for BGP secrets.
        opt auth_secret_ref: String = "authSecretRef",
        /// Hops to a peer of another autonomous system.
        opt ebgp_multihop: i64 = "ebgpMultihop",
        /// Families and what is announced in them.
        list families: BgpFamily = "families",
        /// Whether routes survive a restart of the agent.
        opt graceful_restart: GracefulRestart = "gracefulRestart",
        /// Timers.
        opt timers: BgpTimers = "timers",
        /// Transport.
        opt transport: BgpTransport = "transport",
    }

    /// A family of addresses.
    pub struct BgpFamily {
        /// `ipv4` or `ipv6`.
        req afi: String = "afi",
        /// `unicast`.
        req safi: String = "safi",
        /// Labels of the CiliumBGPAdvertisements that count; absent is none.
        opt advertisements: LabelSelector = "advertisements",
    }

    /// Whether routes survive a restart of the agent.
    pub struct GracefulRestart {
        /// They do.
        req enabled: bool = "enabled",
        /// For how long.
        opt restart_time_seconds: i64 = "restartTimeSeconds",
    }

    /// Timers; the hold time should be at least three keep-alives.
    pub struct BgpTimers {
        /// Seconds between attempts to connect.
        opt connect_retry_time_seconds: i64 = "connectRetryTimeSeconds",
        /// Seconds of silence before the peer is given up.
        opt hold_time_seconds: i64 = "holdTimeSeconds",
        /// Seconds between signs of life.
        opt keep_alive_time_seconds: i64 = "keepAliveTimeSeconds",
    }

    /// Transport.
    pub struct BgpTransport {
        /// Port of the peer.
        opt peer_port: i64 = "peerPort",
        /// Interface whose address is the source.
        opt source_interface: String = "sourceInterface",
    }

    /// What is announced.
    pub struct BgpAdvertisementSpec {
        /// Announcements.
        list advertisements: BgpAdvertisement = "advertisements",
    }

    /// One sort of routes.
    pub struct BgpAdvertisement {
        /// Sort.
        req advertisement_type: AdvertisementType = "advertisementType",
        /// Which Services.
        opt service: BgpService = "service",
        /// Interface whose addresses are announced.
        opt interface: BgpInterface = "interface",
        /// Labels of Services or pools.
        opt selector: LabelSelector = "selector",
        /// Attributes of the routes.
        opt attributes: BgpAttributes = "attributes",
    }

    /// Which addresses of Services.
    pub struct BgpService {
        /// `LoadBalancerIP`, `ClusterIP`, `ExternalIP`.
        list addresses: String = "addresses",
        /// Length of announced IPv4 prefixes.
        opt aggregation_length_ipv4: i64 = "aggregationLengthIPv4",
        /// Length of announced IPv6 prefixes.
        opt aggregation_length_ipv6: i64 = "aggregationLengthIPv6",
    }

    /// An interface.
    pub struct BgpInterface {
        /// Name.
        req name: String = "name",
    }

    /// Attributes of routes.
    pub struct BgpAttributes {
        /// Communities.
        opt communities: BgpCommunities = "communities",
        /// Local preference.
        opt local_preference: i64 = "localPreference",
    }

    /// Communities.
    pub struct BgpCommunities {
        /// Standard ones, `64512:100`.
        list standard: String = "standard",
        /// Large ones, `64512:100:50`.
        list large: String = "large",
        /// Well-known ones, such as `no-export`.
        list well_known: String = "wellKnown",
    }

    /// What one node does otherwise; its name is the node's.
    pub struct BgpNodeConfigOverrideSpec {
        /// Instances.
        list bgp_instances: BgpInstanceOverride = "bgpInstances",
    }

    /// An instance on this node.
    pub struct BgpInstanceOverride {
        /// Name of the instance.
        req name: String = "name",
        /// Router id.
        opt router_id: String = "routerID",
        /// Own autonomous system.
        opt local_asn: i64 = "localASN",
        /// Port to listen on.
        opt local_port: i64 = "localPort",
        /// Peers.
        list peers: BgpPeerOverride = "peers",
    }

    /// A peer from this node.
    pub struct BgpPeerOverride {
        /// Name of the peer.
        req name: String = "name",
        /// Own address towards it.
        opt local_address: String = "localAddress",
        /// Own port towards it.
        opt local_port: i64 = "localPort",
    }
}

open_enum! {
    /// Sort of routes.
    #[derive(Default)]
    pub enum AdvertisementType {
        /// Addresses of Services.
        #[default]
        Service = "Service",
        /// Pod ranges of nodes.
        PodCidr = "PodCIDR",
        /// Ranges of pod address pools.
        PodIpPool = "CiliumPodIPPool",
        /// Addresses of an interface.
        Interface = "Interface",
    }
}

kind! {
    /// BGP instances for a set of nodes.
    CiliumBGPClusterConfig = BgpClusterConfigBody { spec: BgpClusterConfigSpec, required: true, group: "cilium.io",
        version: "v2", also: ["v2alpha1"], plural: "ciliumbgpclusterconfigs", namespaced: false }

    /// How to speak to peers.
    CiliumBGPPeerConfig = BgpPeerConfigBody { spec: BgpPeerConfigSpec, required: true, group: "cilium.io",
        version: "v2", also: ["v2alpha1"], plural: "ciliumbgppeerconfigs", namespaced: false }

    /// What is announced.
    CiliumBGPAdvertisement = BgpAdvertisementBody { spec: BgpAdvertisementSpec, required: true, group: "cilium.io",
        version: "v2", also: ["v2alpha1"], plural: "ciliumbgpadvertisements", namespaced: false }

    /// What one node does otherwise.
    CiliumBGPNodeConfigOverride = BgpNodeConfigOverrideBody { spec: BgpNodeConfigOverrideSpec, required: true,
        group: "cilium.io", version: "v2", also: ["v2alpha1"], plural: "ciliumbgpnodeconfigoverrides",
        namespaced: false }
}

impl BgpPeer {
    /// A peer by address and autonomous system.
    #[must_use]
    pub fn at(name: &str, address: &str, asn: u32, config: &str) -> Self {
        Self::default()
            .name(name)
            .peer_address(address)
            .peer_asn(asn)
            .peer_config_ref(PeerConfigRef::default().name(config))
    }
}

impl CiliumBGPPeerConfig {
    /// What works in the API and not on the wire.
    #[must_use]
    pub fn check(&self) -> Vec<Problem> {
        let mut problems = Vec::new();
        if let Some(timers) = &self.body.spec.timers {
            let (hold, alive) = (
                timers.hold_time_seconds.unwrap_or(90),
                timers.keep_alive_time_seconds.unwrap_or(30),
            );
            if hold < 3 * alive {
                let message =
                    format!("a hold time of {hold} s is less than three keep-alives of {alive} s");
                problems.push(Problem::new("spec.timers.holdTimeSeconds", message));
            }
        }
        if self
            .body
            .spec
            .families
            .iter()
            .flatten()
            .all(|family| family.advertisements.is_none())
        {
            problems.push(
                Problem::new(
                    "spec.families",
                    "no advertisement is selected, so that nothing is announced",
                )
                .remedy("select CiliumBGPAdvertisements by label"),
            );
        }
        problems
    }
}

/// True for numbers that nobody owns: 64512 to 65534 and 4200000000 to 4294967294.
#[must_use]
pub fn is_private_asn(asn: u32) -> bool {
    matches!(asn, 64_512..=65_534 | 4_200_000_000..=4_294_967_294)
}
