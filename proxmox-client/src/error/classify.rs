//! The table of server texts: which text means which kind of failure.

use super::Kind;

/// How a rule finds its text.
enum Find {
    /// Anywhere in the text.
    In(&'static str),
    /// Both parts, in this order.
    Then(&'static str, &'static str),
    /// At the beginning.
    Start(&'static str),
    /// At the end.
    End(&'static str),
}

impl Find {
    fn matches(&self, text: &str) -> bool {
        match self {
            Self::In(part) => text.contains(part),
            Self::Then(first, second) => text
                .find(first)
                .is_some_and(|at| text[at + first.len()..].contains(second)),
            Self::Start(part) => text.starts_with(part),
            Self::End(part) => text.ends_with(part),
        }
    }
}

use Find::{End, In, Start, Then};

/// First match wins, so the narrow texts stand before the wide ones.
const TEXTS: &[(Find, Kind)] = &[
    // The schema's own complaints, which repeat whatever the caller sent: `PVE::JSONSchema`.
    (Start("type check ('"), Kind::Parameter),
    (
        Then("value '", "does not have a value in the enumeration"),
        Kind::Parameter,
    ),
    (Start("value does not "), Kind::Parameter),
    (Start("value must have "), Kind::Parameter),
    (Start("value may only "), Kind::Parameter),
    (Start("property is "), Kind::Parameter),
    // Locks: `PVE::Tools::lock_file_full`, `PVE::Cluster::cfs_lock`, `PVE::AbstractConfig::check_lock`.
    (Then("can't lock file", "got timeout"), Kind::LockTimeout),
    (In("can't aquire lock"), Kind::LockTimeout),
    (In("can't acquire lock"), Kind::LockTimeout),
    (
        Then("cfs-lock", "got lock request timeout"),
        Kind::LockTimeout,
    ),
    (Then("cfs-lock", "got lock timeout"), Kind::LockTimeout),
    (Then("cfs-lock", "no quorum"), Kind::NoQuorum),
    (In("cluster not ready - no quorum"), Kind::NoQuorum),
    (In("no quorum"), Kind::NoQuorum),
    (Then("VM is locked (", ")"), Kind::Locked),
    (Then("CT is locked (", ")"), Kind::Locked),
    // The lock of software-defined networks: `PVE::Network::SDN`, `PVE::API2::Network::SDN`.
    (In("invalid lock token provided"), Kind::Locked),
    (In("configuration has pending changes"), Kind::InUse),
    (In("Can't delete vnet if subnets exists"), Kind::InUse),
    // `PVE::API2::Network::SDN::Fabrics::Fabric`.
    (In("this fabric is still used in"), Kind::InUse),
    // `proxmox-notify`.
    (Then("cannot delete '", "referenced by"), Kind::InUse),
    // Ceph: `PVE::API2::Ceph`, `PVE::RADOS`, its monitors.
    (
        Start("rados_connect failed - No such file"),
        Kind::NotConfigured,
    ),
    (Start("rados_connect failed - "), Kind::ServerTimeout),
    (In("Metadata Server (MDS) found!"), Kind::NotConfigured),
    (Start("osd is in use (in"), Kind::InUse),
    (Start("osd is still running"), Kind::PowerState),
    (In("can't remove last monitor"), Kind::InUse),
    (In("is in use by CephFS"), Kind::InUse),
    (In("is not disabled, make sure to disable"), Kind::InUse),
    (
        Then("monitor address '", "already in use"),
        Kind::AlreadyExists,
    ),
    (Then("ceph pools '", "already exist"), Kind::AlreadyExists),
    (In("already referenced in ceph config"), Kind::AlreadyExists),
    (
        Then("monitor filesystem '", "already exist"),
        Kind::AlreadyExists,
    ),
    (In("unrecognized pool '"), Kind::NotFound),
    (Then("OSD osd.", " does not belong to node"), Kind::NotFound),
    (Start("unable to get device info for"), Kind::NotFound),
    (Start("Could not set: "), Kind::Parameter),
    (In("which exceeds the mon_max_pg_per_osd"), Kind::Parameter),
    (In("Service does not support this action"), Kind::Parameter),
    (In("has not enough free space"), Kind::Parameter),
    (In("is smaller than requested size"), Kind::Parameter),
    // Disks of nodes: `PVE::Diskmanage`, `PVE::API2::Disks`.
    (Then("device '", "is already in use"), Kind::InUse),
    (Then("disk ", "already in use"), Kind::InUse),
    (Then("disk/partition '", "is mounted"), Kind::InUse),
    (Then("disk/partition '", "has a holder"), Kind::InUse),
    // Digests: `PVE::Tools::assert_if_modified`, qemu-server's own check.
    (
        In("checksum mismatch (file change by other user?)"),
        Kind::Conflict,
    ),
    (In("detected modified configuration"), Kind::Conflict),
    // Root only: qemu-server, container, node execution.
    (Then("only root can set '", "' config"), Kind::RootOnly),
    (In("user != root@pam"), Kind::RootOnly),
    (In("only allowed for root@pam"), Kind::RootOnly),
    (In("Only root may use this option"), Kind::RootOnly),
    (In("Only root may set this option"), Kind::RootOnly),
    (
        Then("only root can ", "' config for real devices"),
        Kind::RootOnly,
    ),
    (Start("only root@pam can set '"), Kind::RootOnly),
    (
        In("Only root can pass arbitrary filesystem paths"),
        Kind::RootOnly,
    ),
    (
        Then("not available with API token", "need proper ticket"),
        Kind::TicketOnly,
    ),
    // Rights that a task or another call found missing: `PVE::RPCEnvironment`, `PVE::Storage`, `PVE::API2::ACL`.
    (In("Permission check failed"), Kind::Permission),
    (In("missing privileges to access "), Kind::Permission),
    (
        Then("Cannot ", " - requires 'Permissions.Modify'"),
        Kind::Permission,
    ),
    // Guest agent: `PVE::QemuServer::Agent`.
    (In("QEMU guest agent is not running"), Kind::AgentNotRunning),
    (
        In("No QEMU guest agent configured"),
        Kind::AgentNotConfigured,
    ),
    (Then("Agent error:", "failed to exec"), Kind::AgentFailed),
    (
        Then("Agent error:", "No such file or directory"),
        Kind::NotFound,
    ),
    (Start("Agent error:"), Kind::AgentFailed),
    // Devices: `PVE::QemuServer::vmconfig_hotplug_pending`.
    (In("hotplug problem - "), Kind::HotplugFailed),
    (In("duplicate parameter"), Kind::Parameter),
    // What the node asked elsewhere.
    (In("invalid server response"), Kind::Upstream),
    // Workers: `PVE::RESTEnvironment::fork_worker`.
    (In("got no worker upid"), Kind::WorkerNotStarted),
    // Power state.
    (Then("VM ", " already running"), Kind::PowerState),
    (Then("CT ", " already running"), Kind::PowerState),
    (Then("VM ", " not running"), Kind::PowerState),
    (Then("CT ", " not running"), Kind::PowerState),
    (Then("is running - ", "failed"), Kind::PowerState),
    (
        Then("Cannot move disk to another VM while", "is running"),
        Kind::PowerState,
    ),
    (
        Then("unable to restore ", "vm is running"),
        Kind::PowerState,
    ),
    (In("unexpected state change"), Kind::PowerState),
    (
        In("you can't start a vm if it's a template"),
        Kind::PowerState,
    ),
    (
        In("can't migrate running VM without --online"),
        Kind::PowerState,
    ),
    (In("Can't get VM status"), Kind::PowerState),
    // Containers: `PVE::API2::LXC`, `PVE::API2::LXC::Status`.
    (
        Then("unable to destroy CT ", "container is running"),
        Kind::PowerState,
    ),
    (
        In("you can't start a CT if it's a template"),
        Kind::PowerState,
    ),
    (In("you can't convert a "), Kind::PowerState),
    (In("can't migrate running container"), Kind::PowerState),
    (In("can't overwrite running container"), Kind::PowerState),
    (
        In("cannot move volumes of a running container"),
        Kind::PowerState,
    ),
    (In("Full clone of a running container"), Kind::PowerState),
    (
        In("Cannot move in-use volume while the source CT is running"),
        Kind::PowerState,
    ),
    (
        In("can't take a snapshot if it's a template"),
        Kind::PowerState,
    ),
    (In("because CT contains snapshots"), Kind::InUse),
    (In("you can't move a volume with snapshots"), Kind::InUse),
    (In("Cannot move volume used by a snapshot"), Kind::InUse),
    (
        Then("Target volume key '", "is already in use"),
        Kind::AlreadyExists,
    ),
    (In("could not find CT "), Kind::NotFound),
    (In("unable to shrink disk size"), Kind::Parameter),
    (In("disk is already at specified size"), Kind::Parameter),
    // In use.
    (In("is still in use by"), Kind::InUse),
    (In("is not empty"), Kind::InUse),
    (In("is used by"), Kind::InUse),
    (In("still in use"), Kind::InUse),
    (In("is already in use for VM"), Kind::InUse),
    (In("purge parameter not set"), Kind::InUse),
    (In("Please remove that first"), Kind::InUse),
    // Protection.
    (
        Then("can't remove ", "protection mode enabled"),
        Kind::Protected,
    ),
    (In("protection mode enabled"), Kind::Protected),
    (In("cannot remove protected "), Kind::Protected),
    // Existing.
    (In("config file already exists"), Kind::AlreadyExists),
    (In("already exists"), Kind::AlreadyExists),
    (In("already has recovery keys"), Kind::AlreadyExists),
    // `PVE::Network::SDN::Ipams::PVEPlugin`.
    (Then("IP '", "already exist"), Kind::AlreadyExists),
    (In("already defined"), Kind::AlreadyExists),
    (
        Then("refusing to override existing file '", "'"),
        Kind::AlreadyExists,
    ),
    (In("already HA managed"), Kind::AlreadyExists),
    // What the manager cannot follow: `PVE::HA::Rules::NodeAffinity`.
    (
        In("already used in another node affinity rule"),
        Kind::Parameter,
    ),
    (In("already used"), Kind::AlreadyExists),
    (In("already assigned"), Kind::AlreadyExists),
    // Missing.
    (Then("invalid bootorder", "does not exist"), Kind::Parameter),
    (
        Then("onfiguration file '", "' does not exist"),
        Kind::NotFound,
    ),
    (Then("ACME plugin '", "' not defined"), Kind::NotFound),
    (In("does not exist"), Kind::NotFound),
    (Start("no such "), Kind::NotFound),
    (Start("No such job '"), Kind::NotFound),
    (Start("unable to find VM '"), Kind::NotFound),
    (In("No such storage"), Kind::NotFound),
    (In(": no such "), Kind::NotFound),
    (In("No such file or directory"), Kind::NotFound),
    (In("not HA managed"), Kind::NotFound),
    (In("cannot use unmanaged resource(s)"), Kind::NotFound),
    (In("cannot use non-existent node(s)"), Kind::NotFound),
    (Then("unable to find ", " in"), Kind::NotFound),
    (Then("could not find ", "VM "), Kind::NotFound),
    (In("hostname lookup '"), Kind::NotFound),
    (In("not in a cluster"), Kind::NotConfigured),
    // `PVE::Ceph::Tools`.
    (Start("binary not installed: "), Kind::NotConfigured),
    (
        Start("pveceph configuration not initialized"),
        Kind::NotConfigured,
    ),
    (Start("ceph not fully configured"), Kind::NotConfigured),
    (End(" not found"), Kind::NotFound),
    (In("not found"), Kind::NotFound),
    // Authentication as texts of nested calls.
    (Start("authentication failure"), Kind::Authentication),
    (In("invalid PVE ticket"), Kind::Authentication),
    (Start("invalid credentials"), Kind::Authentication),
    // Input refused by a handler rather than by the schema.
    (In("Parameter verification failed"), Kind::Parameter),
    (In("no options specified"), Kind::Parameter),
    // Second factors: `proxmox-tfa`.
    (In("failed to verify TOTP challenge"), Kind::Parameter),
    (Then("no ", " configuration available"), Kind::NotConfigured),
    (In("unexpected property '"), Kind::Parameter),
    (In("can't change value of fixed parameter"), Kind::Parameter),
    (In("missing value for required option"), Kind::Parameter),
    (Start("unable to parse "), Kind::Parameter),
    (In("does not look like a valid"), Kind::Parameter),
    (Then("parameter '", "not allowed"), Kind::Parameter),
    (In("SSH public key validation error"), Kind::Parameter),
    (In("reserved name"), Kind::Parameter),
    (In("malformed JSON string"), Kind::Refused),
    (Start("invalid "), Kind::Parameter),
    (In("shrinking disks is not supported"), Kind::Parameter),
    (In("have been migrated to rules"), Kind::NotImplemented),
    (In("have not been migrated yet"), Kind::NotImplemented),
    // Of the server itself.
    (Start("Timeout while waiting for"), Kind::ServerTimeout),
    (In("got timeout"), Kind::ServerTimeout),
    (In("no spice port"), Kind::NotConfigured),
    (In("is local node, cannot"), Kind::Parameter),
    // Other servers that a handler or a task talked to; between nodes the proxy says so by its status.
    (In("Connection refused"), Kind::Upstream),
    (In("No route to host"), Kind::Upstream),
    // Perl tells where it fell over.
    (In(" at /usr/share/perl5/"), Kind::Internal),
];

/// The kind of a failure from its status (0 = a task's verdict, which has none), its text, and the texts
/// of the parameters that the server complained about.
///
/// The text is the body's `message`, or the reason phrase where there is no body.
pub fn classify<'a>(
    status: u16,
    text: &str,
    parameters: impl IntoIterator<Item = (&'a str, &'a str)>,
) -> Kind {
    let text = text.trim();
    match status {
        401 => return Kind::Authentication,
        403 => {
            return match lookup(text) {
                Some(kind @ (Kind::RootOnly | Kind::TicketOnly)) => kind,
                _ => Kind::Permission,
            };
        }
        404 => return Kind::NotFound,
        501 | 506 => return not_implemented(text),
        595 => return Kind::NodeUnreachable,
        596 if text.contains("Broken pipe") => return Kind::ProxyBroken,
        596 if text.contains("timed out") => return Kind::ProxyTimeout,
        590..=599 => return Kind::Proxy,
        _ => {}
    }
    let mut of_parameter = None;
    for (_, why) in parameters {
        let kind = lookup(why.trim()).unwrap_or(Kind::Parameter);
        match kind {
            Kind::Parameter => return Kind::Parameter,
            other => of_parameter = Some(other),
        }
    }
    if let Some(kind) = of_parameter {
        return kind;
    }
    lookup(text).unwrap_or(match status {
        400 => Kind::Parameter,
        0 => Kind::TaskFailed,
        _ => Kind::Server,
    })
}

fn not_implemented(text: &str) -> Kind {
    if text.contains("not implemented") || text.contains("not available") {
        Kind::NotImplemented
    } else {
        Kind::Refused
    }
}

fn lookup(text: &str) -> Option<Kind> {
    TEXTS
        .iter()
        .find(|(find, _)| find.matches(text))
        .map(|(_, kind)| *kind)
}
