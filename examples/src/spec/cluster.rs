//! The cluster as such: tier, versions, the hypervisor, networks, DNS, API, image, Git, secrets, bootstrap files.

use std::net::Ipv4Addr;

use super::decode::{Bad, Cx, Decode, Map, Scalar, choice, record};
use super::name::{DnsLabel, Domain};
use super::net::{AddressRange, Cidr, Vlan};
use super::quantity::Bytes;
use super::reference::{SecretRef, Sha256};
use super::scalar::as_text;
use super::version::Version;
use super::yaml::{Node, Value};

choice! {
    /// How much is at stake: decides replicas, budgets, policy enforcement and retention.
    Tier {
        /// One of everything.
        Development = "development",
        /// Two of what is replicated.
        Staging = "staging",
        /// Three of what is replicated.
        Production = "production",
    }
}

impl Tier {
    /// Replicas of a component that can be replicated.
    #[must_use]
    pub fn replicas(self) -> u32 {
        match self {
            Self::Development => 1,
            Self::Staging => 2,
            Self::Production => 3,
        }
    }
}

record! {
    /// What is installed, each version once.
    Versions {
        /// Talos Linux.
        talos: Version = need "talos",
        /// Kubernetes.
        kubernetes: Version = need "kubernetes",
        /// Cilium, application and chart.
        cilium: Version = need "cilium",
        /// Definitions of the Gateway API.
        gateway_api: Version = need "gatewayApi",
        /// Chart of Argo CD.
        argo_cd: Version = need "argoCd",
        /// Longhorn, application and chart.
        longhorn: Version = need "longhorn",
        /// What runs now, when this file is an upgrade of it.
        #[serde(skip_serializing_if = "Option::is_none")]
        upgrade_from: Option<UpgradeFrom> = maybe "upgradeFrom",
    }
}

record! {
    /// Versions before an upgrade.
    UpgradeFrom {
        /// Talos Linux.
        #[serde(skip_serializing_if = "Option::is_none")]
        talos: Option<Version> = maybe "talos",
        /// Kubernetes.
        #[serde(skip_serializing_if = "Option::is_none")]
        kubernetes: Option<Version> = maybe "kubernetes",
        /// Longhorn.
        #[serde(skip_serializing_if = "Option::is_none")]
        longhorn: Option<Version> = maybe "longhorn",
    }
}

record! {
    /// The hypervisor.
    Proxmox {
        /// Address of the API.
        endpoint: Endpoint = need "endpoint",
        /// Which certificate is accepted there.
        trust: Trust = or "trust" (Trust::System),
        /// API token, `user@realm!name=secret`.
        token_from: SecretRef = need "tokenFrom",
        /// The hosts and what they have.
        hosts: Vec<Host> = need "hosts",
    }
}

/// An HTTPS address with host and port and nothing else.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint(String);

impl Endpoint {
    /// The address, for example `https://10.0.10.10:8006`.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The host without the port.
    #[must_use]
    pub fn host(&self) -> &str {
        let authority = self.0.strip_prefix("https://").unwrap_or(&self.0);
        authority
            .rsplit_once(':')
            .map_or(authority, |(host, _)| host)
    }
}

impl Scalar for Endpoint {
    const WHAT: &'static str = "an address such as https://pve1.lan:8006";

    fn parse(path: &str, text: &str) -> Result<Self, Bad> {
        let bad = || {
            Bad::new(
                "proxmox-endpoint",
                format!("{path} must be https, for example https://pve1.lan:8006"),
            )
        };
        let body = text.trim_end_matches('/');
        let Some(authority) = body.strip_prefix("https://") else {
            let host = body.split_once("://").map_or(body, |(_, rest)| rest);
            let host = host.split(['/', ':']).next().unwrap_or(host);
            return Err(bad().help(format!("https://{host}:8006")));
        };
        match authority.rsplit_once(':') {
            Some((host, port))
                if !host.is_empty()
                    && !host.contains(['/', '@'])
                    && port.parse::<u16>().is_ok_and(|port| port != 0) =>
            {
                Ok(Self(body.to_owned()))
            }
            _ => Err(bad().help(format!(
                "https://{}:8006 (host and port, no path)",
                authority.split(['/', ':']).next().unwrap_or("pve1.lan")
            ))),
        }
    }

    fn placeholder() -> Self {
        Self("https://placeholder.invalid:8006".into())
    }
}

impl std::fmt::Display for Endpoint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}
as_text!(Endpoint);

/// Which certificate the Proxmox API may show.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub enum Trust {
    /// One that a public authority signed.
    System,
    /// Exactly the one with this SHA-256 fingerprint, 32 pairs of hexadecimal digits with colons.
    Fingerprint(String),
    /// One signed by an authority in this PEM file, relative to `cluster.yaml`.
    CaFile(String),
}

impl Decode for Trust {
    fn decode(cx: &mut Cx<'_>, path: &str, node: &Node) -> Option<Self> {
        if let Value::Scalar { text, .. } = &node.value {
            if text == "system" {
                return Some(Self::System);
            }
            cx.error_help(
                "unknown-word",
                path,
                format!("{path} \"{text}\" is not known"),
                "system, or a mapping with fingerprint or caFile",
            );
            return None;
        }
        let mut map = Map::open(cx, path, node)?;
        let fingerprint: Option<String> = map.maybe(cx, "fingerprint");
        let ca_file: Option<String> = map.maybe(cx, "caFile");
        let at = map.at("fingerprint");
        map.finish(cx);
        match (fingerprint, ca_file) {
            (Some(print), None) => {
                let pairs: Vec<&str> = print.split(':').collect();
                if pairs.len() != 32
                    || !pairs
                        .iter()
                        .all(|p| p.len() == 2 && p.bytes().all(|b| b.is_ascii_hexdigit()))
                {
                    cx.error_help(
                        "bad-checksum",
                        &at,
                        format!(
                            "{at} is not a SHA-256 fingerprint ({} pairs, 32 expected)",
                            pairs.len()
                        ),
                        "pvenode cert info prints it",
                    );
                    return None;
                }
                Some(Self::Fingerprint(print.to_ascii_uppercase()))
            }
            (None, Some(file)) => Some(Self::CaFile(file)),
            _ if cx.is_broken(path) => None,
            _ => {
                cx.error_help(
                    "wrong-type",
                    path,
                    format!("{path} takes one of fingerprint and caFile"),
                    "or the single word system",
                );
                None
            }
        }
    }

    fn placeholder() -> Self {
        Self::System
    }
}

record! {
    /// One Proxmox VE host.
    Host {
        /// Node name in Proxmox VE.
        name: DnsLabel = need "name",
        /// Threads that VMs may share.
        cores: u32 = need "cores",
        /// Memory of the machine.
        memory: Bytes = need "memory",
        /// Storages as Proxmox VE names them.
        storages: Vec<HostStorage> = need "storages",
        /// Bridges that VMs may be plugged into.
        bridges: Vec<Bridge> = or "bridges" (vec![Bridge { name: "vmbr0".into(), vlan_aware: true }]),
    }
}

impl Host {
    /// The storage of that name.
    #[must_use]
    pub fn storage(&self, name: &str) -> Option<&HostStorage> {
        self.storages.iter().find(|storage| storage.name == name)
    }
}

record! {
    /// A storage of a host.
    HostStorage {
        /// Name in Proxmox VE.
        name: String = need "name",
        /// Usable size.
        size: Bytes = need "size",
        /// Back-end.
        kind: StorageKind = need "type",
        /// What it is made of.
        media: Media = or "media" (Media::Ssd),
        /// What Proxmox VE lets it hold.
        content: Vec<Content> = need "content",
    }
}

choice! {
    /// Back-ends of Proxmox VE storages.
    StorageKind {
        /// A folder.
        Dir = "dir",
        /// LVM, thick.
        Lvm = "lvm",
        /// LVM, thin.
        LvmThin = "lvmthin",
        /// ZFS datasets.
        ZfsPool = "zfspool",
        /// Btrfs subvolumes.
        Btrfs = "btrfs",
        /// NFS share.
        Nfs = "nfs",
        /// SMB share.
        Cifs = "cifs",
        /// Ceph block devices.
        Rbd = "rbd",
        /// Ceph file system.
        CephFs = "cephfs",
        /// Proxmox Backup Server.
        Pbs = "pbs",
    }
}

impl StorageKind {
    /// Whether it is made of block devices, so that it cannot hold files such as images.
    #[must_use]
    pub fn is_block(self) -> bool {
        matches!(self, Self::Lvm | Self::LvmThin | Self::ZfsPool | Self::Rbd)
    }
}

choice! {
    /// What a storage is made of.
    Media {
        /// Solid state.
        Ssd = "ssd",
        /// Spinning disks.
        Hdd = "hdd",
    }
}

choice! {
    /// Content types of Proxmox VE.
    Content {
        /// Installation images.
        Iso = "iso",
        /// Disk images to import.
        Import = "import",
        /// cloud-init and hook files.
        Snippets = "snippets",
        /// Container templates.
        Vztmpl = "vztmpl",
        /// VM disks.
        Images = "images",
        /// Container roots.
        Rootdir = "rootdir",
        /// VM backups.
        Backup = "backup",
    }
}

record! {
    /// A bridge of a host.
    Bridge {
        /// Name, for example `vmbr0`.
        name: String = need "name",
        /// Whether VMs may ask for a VLAN tag on it.
        vlan_aware: bool = or "vlanAware" (true),
    }
}

/// Networks.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct Network {
    /// The nodes' network.
    pub nodes: Cidr,
    /// VLAN tag of the VMs' network cards.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub vlan: Option<Vlan>,
    /// Bridge that the VMs are plugged into.
    pub bridge: String,
    /// Router of the nodes' network.
    pub gateway: Ipv4Addr,
    /// Network of the Proxmox hosts, where it is another one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub management: Option<Cidr>,
    /// Addresses that the router leases to other devices.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dhcp: Option<AddressRange>,
    /// Addresses of pods.
    pub pods: Cidr,
    /// Prefix length of each node's share of `pods`.
    pub pod_prefix: u16,
    /// Addresses of services.
    pub services: Cidr,
    /// Address of the cluster's DNS; by default the tenth of `services`.
    pub cluster_dns: Ipv4Addr,
    /// Link size of the nodes' network.
    pub mtu: u16,
}

impl Decode for Network {
    fn decode(cx: &mut Cx<'_>, path: &str, node: &Node) -> Option<Self> {
        let mut map = Map::open(cx, path, node)?;
        let services: Cidr = map.need(cx, "services");
        let dns: Option<Ipv4Addr> = map.maybe(cx, "clusterDns");
        let services_at = map.at("services");
        let cluster_dns = dns.or_else(|| services.nth(10)).unwrap_or_else(|| {
            if !cx.is_broken(&services_at) {
                let tenth = Ipv4Addr::from(u32::from(services.network()).saturating_add(10));
                cx.error_help(
                    "service-cidr-small",
                    &services_at,
                    format!(
                        "{services_at} {services} has no 10th address for cluster DNS ({tenth})"
                    ),
                    "10.96.0.0/12 is usual; /28 is the smallest that has one",
                );
            }
            services.network()
        });
        let network = Self {
            nodes: map.need(cx, "nodes"),
            vlan: map.maybe(cx, "vlan"),
            bridge: map.or(cx, "bridge", "vmbr0".into()),
            gateway: map.need(cx, "gateway"),
            management: map.maybe(cx, "management"),
            dhcp: map.maybe(cx, "dhcp"),
            pods: map.need(cx, "pods"),
            pod_prefix: map.or(cx, "podPrefix", 24),
            services,
            cluster_dns,
            mtu: map.or(cx, "mtu", 1500),
        };
        map.finish(cx);
        Some(network)
    }

    fn placeholder() -> Self {
        Self {
            nodes: Decode::placeholder(),
            vlan: None,
            bridge: String::new(),
            gateway: Ipv4Addr::UNSPECIFIED,
            management: None,
            dhcp: None,
            pods: Decode::placeholder(),
            pod_prefix: 24,
            services: Decode::placeholder(),
            cluster_dns: Ipv4Addr::UNSPECIFIED,
            mtu: 1500,
        }
    }
}

record! {
    /// Names and time.
    Dns {
        /// Resolvers of the nodes and of the cluster's DNS.
        servers: Vec<Ipv4Addr> = need "servers",
        /// Domain of all published names.
        domain: Domain = need "domain",
        /// Domain of services inside the cluster.
        cluster_domain: Domain = or "clusterDomain" (Domain::cluster_local()),
        /// Time servers of the nodes.
        ntp: Vec<String> = or "ntp" (vec!["time.cloudflare.com".into()]),
    }
}

record! {
    /// The Kubernetes API.
    Api {
        /// Address shared by the control planes.
        vip: Ipv4Addr = need "vip",
        /// Port of the API servers.
        port: u16 = or "port" (6443),
        /// Port of each node's own load balancer for the API.
        kube_prism: u16 = or "kubePrism" (7445),
    }
}

record! {
    /// The Talos image.
    Image {
        /// Extensions built into it.
        extensions: Vec<String> = need "extensions",
        /// Storage of each host that keeps it.
        storage: String = need "storage",
        /// Image factory that builds it.
        factory: String = or "factory" ("https://factory.talos.dev".into()),
    }
}

record! {
    /// Where Argo CD reads from.
    GitOps {
        /// Repository.
        repository: GitUrl = need "repository",
        /// Branch, tag or commit.
        revision: String = or "revision" ("main".into()),
        /// Folder of this environment.
        path: String = need "path",
        /// Private key for a repository over SSH.
        #[serde(skip_serializing_if = "Option::is_none")]
        key_from: Option<SecretRef> = maybe "keyFrom",
        /// Lines of `known_hosts` for a repository over SSH on a host that Argo CD does not know.
        #[serde(skip_serializing_if = "Vec::is_empty")]
        known_hosts: Vec<String> = or "knownHosts" (Vec::new()),
    }
}

/// The URL of a Git repository: `https://` or `ssh://`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GitUrl(String);

impl GitUrl {
    /// The URL.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Host name.
    #[must_use]
    pub fn host(&self) -> &str {
        let rest = self.0.split_once("://").map_or("", |(_, rest)| rest);
        let authority = rest.split('/').next().unwrap_or("");
        let host = authority
            .rsplit_once('@')
            .map_or(authority, |(_, host)| host);
        host.split(':').next().unwrap_or(host)
    }

    /// Port that is spoken to.
    #[must_use]
    pub fn port(&self) -> u16 {
        let rest = self.0.split_once("://").map_or("", |(_, rest)| rest);
        let authority = rest.split('/').next().unwrap_or("");
        authority
            .rsplit_once(':')
            .and_then(|(_, port)| port.parse().ok())
            .unwrap_or(if self.is_ssh() { 22 } else { 443 })
    }

    /// Whether it is read over SSH.
    #[must_use]
    pub fn is_ssh(&self) -> bool {
        self.0.starts_with("ssh://")
    }
}

impl Scalar for GitUrl {
    const WHAT: &'static str = "a repository such as https://git.example.org/homelab/clusters.git";

    fn parse(path: &str, text: &str) -> Result<Self, Bad> {
        let Some((scheme, rest)) = text.split_once("://") else {
            let bad = format!("{path} \"{text}\": ");
            return Err(match text.split_once(':') {
                Some((host, repository)) if host.contains('@') => Bad::new(
                    "git-url",
                    format!(
                        "{bad}write ssh://{host}/{}",
                        repository.trim_start_matches('/')
                    ),
                )
                .help("scp's short form is no URL: a port could not be told from a folder"),
                _ => Bad::new("git-url", format!("{bad}not a URL"))
                    .help("https://… or ssh://git@host/owner/repository"),
            });
        };
        let authority = rest.split('/').next().unwrap_or("");
        if scheme == "https" && authority.contains('@') {
            return Err(Bad::new(
                "secret-inline",
                format!("{path}: credentials do not belong into the URL"),
            )
            .help("https://host/owner/repository, and keyFrom for a key"));
        }
        let has_path = rest
            .split_once('/')
            .is_some_and(|(_, path)| !path.is_empty());
        if !matches!(scheme, "https" | "ssh") || authority.is_empty() || !has_path {
            return Err(Bad::new(
                "git-url",
                format!("{path} \"{text}\" is not the URL of a repository"),
            )
            .help("https://host/owner/repository or ssh://git@host/owner/repository"));
        }
        Ok(Self(text.to_owned()))
    }

    fn placeholder() -> Self {
        Self("https://placeholder.invalid/repository".into())
    }
}

impl std::fmt::Display for GitUrl {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}
as_text!(GitUrl);

record! {
    /// Where what is generated is kept.
    Secrets {
        /// File of mode 0600, relative to `cluster.yaml`.
        file: String = need "file",
    }
}

record! {
    /// What is applied before Argo CD runs.
    Bootstrap {
        /// Cilium.
        cilium: BootstrapFile = need "cilium",
        /// Definitions of the Gateway API; without a checksum, as every file, only for the lab.
        gateway_api: BootstrapFile = or "gatewayApi" (BootstrapFile { file: "bootstrap/gateway-api.rendered.yaml".into(), sha256: None }),
        /// Argo CD.
        argo_cd: BootstrapFile = need "argoCd",
    }
}

record! {
    /// A file with rendered objects.
    BootstrapFile {
        /// Path relative to `cluster.yaml`.
        file: String = need "file",
        /// Its checksum; without one a real cluster is not built.
        #[serde(skip_serializing_if = "Option::is_none")]
        sha256: Option<Sha256> = maybe "sha256",
    }
}
