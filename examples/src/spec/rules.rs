//! Every rule that `cluster.yaml` is held to, as a table.

use super::problem::Severity;

/// One rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Rule {
    /// Name; also that of its fixture.
    pub id: &'static str,
    /// What a violation is, at worst: some errors of production are warnings elsewhere.
    pub severity: Severity,
    /// What must hold, in one sentence.
    pub title: &'static str,
}

/// The rule of that name.
#[must_use]
pub fn find(id: &str) -> Option<&'static Rule> {
    RULES.iter().find(|rule| rule.id == id)
}

/// The table as Markdown, for the documentation.
#[must_use]
pub fn markdown() -> String {
    let mut out = String::from("| rule | severity | what must hold |\n| --- | --- | --- |\n");
    for rule in RULES {
        let severity = match rule.severity {
            Severity::Error => "error",
            Severity::Warning => "warning",
        };
        out.push_str(&format!(
            "| `{}` | {severity} | {} |\n",
            rule.id, rule.title
        ));
    }
    out
}

const fn error(id: &'static str, title: &'static str) -> Rule {
    Rule {
        id,
        severity: Severity::Error,
        title,
    }
}

const fn warning(id: &'static str, title: &'static str) -> Rule {
    Rule {
        id,
        severity: Severity::Warning,
        title,
    }
}

/// All rules: first those of the text, then those of single values, then those of several values together.
pub const RULES: &[Rule] = &[
    error("yaml-syntax", "The file is YAML."),
    error(
        "yaml-feature",
        "No tags, merge keys, complex keys or second documents.",
    ),
    error("duplicate-yaml-key", "A key appears once in a mapping."),
    error("unknown-key", "Every key is known at its place."),
    error("missing-key", "What has no default is written."),
    error("wrong-type", "A value has the shape that its key asks for."),
    error(
        "yaml-trap",
        "Text that YAML readers take for a number, a truth value or nothing is quoted.",
    ),
    error("unit", "Sizes and times carry a unit."),
    error(
        "unknown-word",
        "Words of a closed choice are among its words.",
    ),
    error("invalid-name", "Names are DNS labels."),
    error("bad-address", "Addresses are IPv4 addresses."),
    error(
        "bad-network",
        "Networks are IPv4 networks with a prefix length.",
    ),
    error("bad-range", "Ranges end where they begin or after."),
    error("bad-version", "Versions are exact."),
    error(
        "bad-checksum",
        "Checksums and fingerprints have the length of a SHA-256.",
    ),
    error("bad-mac", "Ethernet addresses are unicast."),
    error("cidr-host-bits", "Networks have no host bits set."),
    error("vmid-range", "VM numbers are 100 to 999999999."),
    error("vlan-range", "VLANs are 1 to 4094."),
    error("link-mtu", "Links of the nodes carry 1280 to 9216 bytes."),
    error("bgp-asn-reserved", "AS numbers are usable."),
    error("schedule-bad", "Schedules have the five fields of cron."),
    error("secret-inline", "Secrets are referred to, never written."),
    error(
        "proxmox-endpoint",
        "The Proxmox VE API is reached by HTTPS with host and port.",
    ),
    error("git-url", "The repository is a URL."),
    error("wg-key-bad", "WireGuard keys are 32 bytes of base64."),
    error("wg-endpoint", "Endpoints are a reachable host and a port."),
    error(
        "restic-no-password",
        "Every repository names where its password is.",
    ),
    error("bgp-partial", "Every BGP peer has its AS number."),
    error(
        "service-cidr-small",
        "The services' network has a tenth address for DNS.",
    ),
    error("cidr-overlap", "Networks share no address."),
    error(
        "cidr-lan-shadow",
        "What pods must reach outside does not lie in their own networks.",
    ),
    error(
        "pod-cidr-exhausted",
        "The pods' network has a range for every node.",
    ),
    error(
        "dns-address",
        "The cluster's DNS has an address of the services' network.",
    ),
    error(
        "gateway-outside",
        "The router stands in the nodes' network.",
    ),
    error("address-outside", "Nodes stand in the nodes' network."),
    error(
        "network-or-broadcast",
        "No node has the first or last address of its network.",
    ),
    error(
        "address-in-dhcp",
        "No node stands where the router leases addresses.",
    ),
    error(
        "vip-outside",
        "The API's shared address is in the nodes' network.",
    ),
    error(
        "vip-is-node",
        "The API's shared address belongs to no node.",
    ),
    error("vip-in-lb-pool", "The API's shared address is in no pool."),
    error("duplicate-ip", "Every address has one owner."),
    error(
        "lb-l2-outside",
        "Pools that are announced by ARP lie in the nodes' network.",
    ),
    error(
        "lb-pool-overlap",
        "Pools hold no address that something else uses.",
    ),
    error("lb-pools-overlap", "Pools share no address."),
    error(
        "gateway-address-outside",
        "The gateway's address comes from a pool.",
    ),
    error("reserved-name", "Names do not mean something else already."),
    error(
        "cluster-name-long",
        "The cluster's name has 32 characters at most.",
    ),
    error("duplicate-name", "Names are used once."),
    error("duplicate-vmid", "VM numbers are used once."),
    error("duplicate-mac", "Ethernet addresses are used once."),
    error("unknown-profile", "Nodes name profiles that exist."),
    error("cp-none", "There is a control plane."),
    error("cp-single-prod", "Production has three control planes."),
    error(
        "cp-even",
        "The number of control planes is odd (warning below production).",
    ),
    error(
        "workers-lt-replicas",
        "There are as many workers as replicas (warning below production).",
    ),
    error(
        "memory-short-node",
        "Machines have the memory that Talos needs.",
    ),
    error(
        "cores-short-node",
        "Machines have the cores that Talos needs.",
    ),
    error("disk-small", "System disks have room for Talos."),
    error("unknown-host", "Nodes run on hosts that are declared."),
    error(
        "unknown-storage",
        "Disks and images lie on storages that the host has.",
    ),
    error("storage-content", "Storages hold what is put on them."),
    error(
        "storage-kind",
        "Block storages are not asked to hold files.",
    ),
    error(
        "unknown-bridge",
        "VMs are plugged into bridges that the host has.",
    ),
    error("vlan-aware", "Bridges take the tags that VMs ask for."),
    error(
        "host-overcommit",
        "VMs and host together fit into the host's memory.",
    ),
    warning(
        "cpu-overcommit",
        "There are at most four virtual cores per thread.",
    ),
    error(
        "storage-overcommit",
        "Disks fit their storage even when full (warning below production).",
    ),
    error(
        "schematic-extension",
        "The image has the extensions that components need.",
    ),
    error("extension-name", "Extensions are named with their owner."),
    error("bgp-missing", "Announcing by BGP has a router to tell."),
    warning("bgp-asn-public", "The own AS number is a private one."),
    error("bgp-peer-is-node", "BGP peers are routers, not nodes."),
    error("bgp-timers", "The hold time is three keep-alives at least."),
    error("talos-k8s-matrix", "Talos runs this Kubernetes."),
    warning(
        "talos-unknown",
        "The Talos version is in the support matrix.",
    ),
    warning("k8s-eol", "Kubernetes still gets fixes."),
    error("k8s-too-old", "Components run on this Kubernetes."),
    error("cilium-values", "Cilium has what is asked of it."),
    warning(
        "mutual-auth-deprecated",
        "Nothing is used that goes away with the next version.",
    ),
    warning(
        "cilium-unknown",
        "The Cilium version is in the table of pairs.",
    ),
    error(
        "gateway-crd-pair",
        "Cilium and the Gateway API go together.",
    ),
    error(
        "talos-step",
        "Talos upgrades over two minor versions at most.",
    ),
    error(
        "k8s-step",
        "Kubernetes upgrades one minor version at a time.",
    ),
    error(
        "longhorn-step",
        "Longhorn upgrades one minor version at a time.",
    ),
    error("domain", "The certificate covers every listener."),
    error(
        "domain-outside",
        "Certificates are for names of the own domain.",
    ),
    error("issuer-http01-wildcard", "Wildcards are proved by DNS."),
    error(
        "dns01-no-token",
        "A proof by DNS has a token for the provider.",
    ),
    error(
        "unknown-route",
        "Routes lead to something that can be published.",
    ),
    error(
        "route-listener",
        "Routes have a name that a listener serves.",
    ),
    error("route-disabled", "Routes lead to something that runs."),
    error("component-needs", "Components have what they stand on."),
    warning("both-engines", "One policy engine judges."),
    error(
        "authelia-ha-sqlite",
        "Replicas of Authelia share their state.",
    ),
    error(
        "loki-replication",
        "There are as many replicas of Loki as copies of a line.",
    ),
    error("pdb-blocks", "A disruption budget lets one pod go."),
    error("replicas-zero", "What is switched on runs."),
    error("git-known-hosts", "The host key of a Git server is known."),
    error("git-no-key", "A repository over SSH has a key."),
    error("hubble-ui-relay", "Hubble's page has its relay."),
    error("unknown-namespace", "Isolated namespaces exist."),
    error(
        "policy-unreachable",
        "Every declared connection is allowed by the policies that are rendered.",
    ),
    error("default-class-count", "There is one default storage class."),
    error("replicas-range", "Volumes have 1 to 20 replicas."),
    error(
        "locality-conflict",
        "A volume bound to its node has one replica.",
    ),
    error(
        "tag-unknown",
        "Storage classes ask for tags that disks have.",
    ),
    error(
        "replicas-gt-storage-nodes",
        "There are as many nodes with disks as replicas.",
    ),
    error("unknown-class", "Claims name storage classes that exist."),
    error("percent-range", "Shares are shares of 100."),
    error("retain-range", "Recurring jobs keep 1 to 250 results."),
    error("capacity", "Volumes fit the disks."),
    warning(
        "rebuild-room",
        "After losing a node there is room to rebuild its replicas.",
    ),
    warning("disk-unused", "Longhorn disks are on workers."),
    error(
        "wg-overlap",
        "The overlay shares no address with another network.",
    ),
    error("wg-no-hub", "The overlay has a meeting point."),
    error("wg-two-hubs", "The overlay has one meeting point."),
    error("wg-no-endpoint", "The hub can be reached."),
    error(
        "wg-address-outside",
        "Peers stand in the overlay's network.",
    ),
    error(
        "wg-allowedips-dup",
        "Each address of the overlay has one way.",
    ),
    error(
        "wg-port-clash",
        "The overlay's port is not that of Cilium's encryption.",
    ),
    error(
        "mtu-small",
        "Packets in the tunnel are not smaller than 1280.",
    ),
    warning("mtu", "Packets in the tunnel fit the link."),
    error(
        "unknown-repository",
        "Backup jobs name repositories that exist.",
    ),
    error("retention-empty", "Retention keeps something."),
    error("backup-empty", "Backup jobs have something to back up."),
    warning(
        "schedule-overlap",
        "Backup jobs on one repository do not start together.",
    ),
    error("repo-shared", "A repository has one name per host."),
    warning(
        "backup-no-etcd",
        "The objects of the cluster are backed up.",
    ),
    error("cpu-short-single", "Every pod fits some worker's CPU."),
    error(
        "memory-short-single",
        "Every pod fits some worker's memory.",
    ),
    error("memory-short-sum", "All pods together fit the workers."),
    error(
        "replicas-gt-nodes",
        "Pods that keep apart have a worker each.",
    ),
    error(
        "n-minus-one",
        "All pods fit after losing the largest worker (warning in staging).",
    ),
];
