//! Which answer is which kind of failure, and what is repeated.

use std::time::Duration;

use proxmox_client::error::classify;
use proxmox_client::retry::{Decision, RetryPolicy, decide};
use proxmox_client::wire::Answer;
use proxmox_client::{Kind, Sent};

/// Texts as a 9.1 server gives them, with the place in the upstream sources that makes them.
const TEXTS: &[(u16, &str, Kind)] = &[
    (
        500,
        "Configuration file 'nodes/pve1/qemu-server/999.conf' does not exist",
        Kind::NotFound,
    ), // PVE::AbstractConfig
    (
        500,
        "unable to create VM 100 - VM 100 already exists on node 'pve1'",
        Kind::AlreadyExists,
    ), // PVE::Cluster
    (
        500,
        "unable to create VM 110: config file already exists",
        Kind::AlreadyExists,
    ), // PVE::API2::Qemu clone
    (
        500,
        "can't lock file '/var/lock/qemu-server/lock-100.conf' - got timeout",
        Kind::LockTimeout,
    ), // PVE::Tools
    (
        0,
        "clone failed: cfs-lock 'storage-x' error: got lock request timeout",
        Kind::LockTimeout,
    ), // PVE::Cluster
    (500, "VM is locked (backup)", Kind::Locked), // PVE::AbstractConfig
    (
        500,
        "create sdn zone object failed: invalid lock token provided! at /usr/share/perl5/PVE/Network/SDN.pm line 291.",
        Kind::Locked,
    ), // PVE::Network::SDN
    (
        500,
        "could not acquire lock for SDN config: configuration has pending changes at /usr/share/perl5/PVE/API2/Network/SDN.pm line 150.",
        Kind::InUse,
    ), // PVE::API2::Network::SDN
    (
        500,
        "delete sdn vnet object failed: 400 Parameter verification failed.\nvnet: Can't delete vnet if subnets exists",
        Kind::InUse,
    ), // PVE::Network::SDN::VnetPlugin
    (
        500,
        "binary not installed: /usr/bin/ceph-mon",
        Kind::NotConfigured,
    ), // PVE::Ceph::Tools
    (
        500,
        "pveceph configuration not initialized - missing '/etc/pve/ceph.conf'",
        Kind::NotConfigured,
    ), // PVE::Ceph::Tools
    (
        500,
        "ceph not fully configured - missing '/etc/pve/priv/ceph.client.admin.keyring'",
        Kind::NotConfigured,
    ), // PVE::Ceph::Tools
    (
        500,
        "rados_connect failed - No such file or directory",
        Kind::NotConfigured,
    ), // PVE::RADOS
    (
        500,
        "rados_connect failed - Connection timed out",
        Kind::ServerTimeout,
    ), // PVE::RADOS
    (500, "no such OSD '7'", Kind::NotFound),     // PVE::API2::Ceph::OSD
    (
        500,
        "OSD osd.7 does not belong to node pve1! at /usr/share/perl5/PVE/API2/Ceph/OSD.pm line 1009.",
        Kind::NotFound,
    ), // PVE::API2::Ceph::OSD
    (500, "osd is in use (in == 1)", Kind::InUse), // PVE::API2::Ceph::OSD
    (500, "osd is still running (up == 1)", Kind::PowerState), // PVE::API2::Ceph::OSD
    (
        500,
        "unable to get device info for '/dev/sdx'",
        Kind::NotFound,
    ), // PVE::API2::Ceph::OSD
    (0, "vg 'ceph-1' has not enough free space", Kind::Parameter), // PVE::API2::Ceph::OSD
    (500, "can't remove last monitor", Kind::InUse), // PVE::API2::Ceph::MON
    (500, "no such monitor id 'x'", Kind::NotFound), // PVE::API2::Ceph::MON
    (
        500,
        "monitor address '192.0.2.10' already in use",
        Kind::AlreadyExists,
    ), // PVE::API2::Ceph::MON
    (
        0,
        "monitor filesystem '/var/lib/ceph/mon/ceph-pve1' already exist",
        Kind::AlreadyExists,
    ), // PVE::API2::Ceph::MON
    (
        0,
        "ceph manager directory '/var/lib/ceph/mgr/ceph-x' not found",
        Kind::NotFound,
    ), // PVE::Ceph::Services
    (
        0,
        "MDS 'pve1' already referenced in ceph config, abort!",
        Kind::AlreadyExists,
    ), // PVE::API2::Ceph::MDS
    (
        500,
        "no standby Metadata Server (MDS) found!",
        Kind::NotConfigured,
    ), // PVE::API2::Ceph::FS
    (
        500,
        "ceph pools 'a_data' and/or 'a_metadata' already exist",
        Kind::AlreadyExists,
    ), // PVE::API2::Ceph::FS
    (
        0,
        "storage 'a' is not disabled, make sure to disable and unmount the storage first",
        Kind::InUse,
    ), // PVE::API2::Ceph::FS
    (
        0,
        "mon_command failed - unrecognized pool 'x'",
        Kind::NotFound,
    ), // PVE::Ceph::Tools
    (
        0,
        "mon_command failed - pool 'a_data' is in use by CephFS",
        Kind::InUse,
    ), // OSDMonitor of Ceph
    (
        0,
        "ceph pool 'vms' still in use by storage 'vms'",
        Kind::InUse,
    ), // PVE::API2::Ceph::Pool
    (0, "Could not set: min_size, size", Kind::Parameter), // PVE::Ceph::Tools
    (
        0,
        "mon_command failed -  pg_num 64 size 3 for this pool would result in 288 cumulative PGs per OSD (1155 total PG replicas on 4 'in' root OSDs by crush rule) which exceeds the mon_max_pg_per_osd value of 250",
        Kind::Parameter,
    ), // OSDMonitor of Ceph
    (
        500,
        "Service does not support this action: mds: destroy",
        Kind::Parameter,
    ), // PVE::API2::Ceph
    (500, "Custom cputype 'lab' not found", Kind::NotFound), // PVE::QemuServer::CPUConfig
    (
        500,
        "checksum mismatch (file change by other user?)",
        Kind::Conflict,
    ), // PVE::API2::Qemu
    (
        500,
        "update storage failed: detected modified configuration - file changed by other user? Try again.",
        Kind::Conflict,
    ), // PVE::SectionConfig
    (500, "only root can set 'args' config", Kind::RootOnly), // PVE::API2::Qemu
    (
        403,
        "Permission check failed (user != root@pam)",
        Kind::RootOnly,
    ), // PVE::RPCEnvironment
    (
        403,
        "Permission check failed (/vms/555, VM.Audit)",
        Kind::Permission,
    ), // PVE::RPCEnvironment
    (401, "Authentication failed!", Kind::Authentication), // PVE::APIServer
    (
        500,
        "QEMU guest agent is not running",
        Kind::AgentNotRunning,
    ), // PVE::QemuServer::Agent
    (
        500,
        "No QEMU guest agent configured",
        Kind::AgentNotConfigured,
    ), // PVE::QemuServer::Agent
    (
        500,
        "got no worker upid - start worker failed",
        Kind::WorkerNotStarted,
    ), // PVE::RESTEnvironment
    (595, "No route to host", Kind::NodeUnreachable), // PVE::APIServer::AnyEvent
    (596, "Broken pipe", Kind::ProxyBroken),      // PVE::APIServer::AnyEvent
    (596, "Connection timed out", Kind::ProxyTimeout), // PVE::APIServer::AnyEvent
    (599, "Too many redirections", Kind::Proxy),  // AnyEvent::HTTP
    (0, "VM 100 already running", Kind::PowerState), // PVE::QemuServer
    (500, "VM 100 is running - destroy failed", Kind::PowerState), // PVE::API2::Qemu
    (
        0,
        "base volume 'local:9000/base-9000-disk-0.qcow2' is still in use by linked cloned",
        Kind::InUse,
    ), // PVE::Storage
    (500, "cluster not ready - no quorum?", Kind::NoQuorum), // PVE::Cluster
    (500, "storage 'nope' does not exist", Kind::NotFound), // PVE::Storage
    (500, "no such user ('bob@pve')", Kind::NotFound), // PVE::AccessControl
    (
        424,
        "node is not in a cluster, no join info available!",
        Kind::NotConfigured,
    ), // PVE::API2::ClusterConfig
    (404, "endpoint 'g1' not found", Kind::NotFound), // proxmox-notify
    // proxmox-notify, PVE::Diskmanage, PVE::API2::Disks, PVE::Network::SDN::Ipams::PVEPlugin,
    // PVE::API2::Network::SDN::Fabrics::Fabric
    (400, "cannot delete 'g1', referenced by: m1", Kind::InUse),
    (
        400,
        "Cannot create 'g1', an entity with the same name already exists",
        Kind::AlreadyExists,
    ),
    (500, "device '/dev/sdb' is already in use", Kind::InUse),
    (500, "disk /dev/sdb already in use", Kind::InUse),
    (500, "disk/partition '/dev/sdb1' is mounted", Kind::InUse),
    (500, "disk/partition '/dev/sdb' has a holder", Kind::InUse),
    (500, "IP '198.51.100.7' already exist", Kind::AlreadyExists),
    (
        500,
        "deleting fabric failed: this fabric is still used in the VXLAN zone \"over\"",
        Kind::InUse,
    ),
    (501, "Method 'GET /x' not implemented", Kind::NotImplemented), // PVE::RESTHandler
    (501, "for data too large", Kind::Refused),                     // PVE::APIServer::AnyEvent
    (
        501,
        "chunked transfer encoding not supported",
        Kind::Refused,
    ), // PVE::APIServer::AnyEvent
    (506, "upload text/plain not supported", Kind::Refused),        // PVE::APIServer::AnyEvent
    (
        500,
        "Timeout while waiting for port '5902' to get ready!",
        Kind::ServerTimeout,
    ), // PVE::API2::Qemu termproxy
    (500, "no spice port", Kind::NotConfigured),                    // PVE::QemuServer
    (
        500,
        "Not an ARRAY reference at /usr/share/perl5/PVE/API2/User.pm line 640.",
        Kind::Internal,
    ), // perl itself
    (
        403,
        "Permission check failed (URI '/access/password' not available with API token, need proper ticket.)",
        Kind::TicketOnly,
    ), // PVE::HTTPServer
    (
        500,
        "update pools failed: 403 Permission check failed (/vms/100, Permissions.Modify|VM.Allocate)",
        Kind::Permission,
    ), // PVE::API2::Pool
    (
        500,
        "missing privileges to access local:snippets/a.yaml",
        Kind::Permission,
    ), // PVE::Storage
    (
        500,
        "Only root can pass arbitrary filesystem paths. at /usr/share/perl5/PVE/Storage.pm line 640.",
        Kind::RootOnly,
    ), // PVE::Storage
    (
        500,
        "only root can delete 'serial0' config for real devices",
        Kind::RootOnly,
    ), // PVE::API2::Qemu
    (500, "no options specified", Kind::Parameter),                 // PVE::API2::Qemu
    (500, "CT 200 already running", Kind::PowerState),              // PVE::API2::LXC::Status
    (500, "CT 200 not running", Kind::PowerState),                  // PVE::API2::LXC::Status
    (500, "CT is locked (disk)", Kind::Locked),                     // PVE::AbstractConfig
    (
        500,
        "can't lock file '/run/lock/lxc/pve-config-200.lock' - got timeout",
        Kind::LockTimeout,
    ), // PVE::LXC::Config
    (
        500,
        "CT 200 already exists on node 'pve1'",
        Kind::AlreadyExists,
    ), // PVE::Cluster
    (
        500,
        "unable to destroy CT 200 - container is running",
        Kind::PowerState,
    ), // PVE::API2::LXC
    (
        500,
        "can't remove CT 200 drive 'mp0' - protection mode enabled",
        Kind::Protected,
    ), // PVE::LXC::Config
    (
        0,
        "you can't start a CT if it's a template",
        Kind::PowerState,
    ), // PVE::API2::LXC::Status
    (
        500,
        "you can't convert a CT to template if the CT is running",
        Kind::PowerState,
    ), // PVE::API2::LXC
    (
        500,
        "unable to create template, because CT contains snapshots",
        Kind::InUse,
    ), // PVE::API2::LXC
    (500, "ACME plugin 'cloud' not defined", Kind::NotFound),       // PVE::API2::ACMEPlugin
    (
        500,
        "can't migrate running VM without --online",
        Kind::PowerState,
    ), // PVE::API2::Qemu
    (
        500,
        "can't migrate running container without --online or --restart",
        Kind::PowerState,
    ), // PVE::API2::LXC
    (
        500,
        "Full clone of a running container is only possible from a snapshot",
        Kind::PowerState,
    ), // PVE::API2::LXC
    (
        500,
        "cannot move volumes of a running container",
        Kind::PowerState,
    ), // PVE::API2::LXC
    (
        500,
        "you can't move a volume with snapshots and delete the source",
        Kind::InUse,
    ), // PVE::API2::LXC
    (
        500,
        "Cannot move volume used by a snapshot to another container",
        Kind::InUse,
    ), // PVE::API2::LXC
    (
        500,
        "Cannot move in-use volume while the source CT is running - detach or shutdown first",
        Kind::PowerState,
    ), // PVE::API2::LXC
    (
        500,
        "Target volume key 'mp0' is already in use for container '201'",
        Kind::AlreadyExists,
    ), // PVE::API2::LXC
    (500, "could not find CT 201", Kind::NotFound),                 // PVE::API2::LXC
    (500, "unable to shrink disk size", Kind::Parameter),           // PVE::API2::LXC
    (
        403,
        "Permission check failed (changing feature flags for privileged container is only allowed for root@pam)",
        Kind::RootOnly,
    ), // PVE::LXC
    (
        500,
        "error fetching datastores - 500 Can't connect to 192.0.2.9:8007 (Connection refused)",
        Kind::Upstream,
    ), // PVE::Storage::PBSPlugin
    (0, "container did not stop", Kind::TaskFailed),                // PVE::LXC
    (500, "a text nobody knows", Kind::Server),
    (0, "a task's text nobody knows", Kind::TaskFailed),
];

#[test]
fn every_known_text_has_its_kind() {
    for (status, text, kind) in TEXTS {
        assert_eq!(classify(*status, text, []), *kind, "{status} {text}");
        if *status != 0 {
            let by_reason = Answer::new(*status, *text, "").failure().unwrap();
            assert_eq!(by_reason.kind(), *kind);
            let body = serde_json::json!({ "data": null, "message": format!("{text}\n") });
            let by_body = Answer::new(*status, "rewritten by a proxy", body.to_string())
                .failure()
                .unwrap();
            if !(500..600).contains(status) || *status == 500 {
                assert_eq!(by_body.kind(), *kind, "{text}");
            }
            assert_eq!(by_body.message(), *text);
        }
    }
}

#[test]
fn parameters_are_named_in_the_error() {
    let body = r#"{"data":null,"message":"Parameter verification failed.\n","errors":{"vmid":"invalid format - value does not look like a valid VM ID\n"}}"#;
    let error = Answer::new(400, "Parameter verification failed.", body)
        .failure()
        .unwrap();
    assert_eq!(error.kind(), Kind::Parameter);
    assert_eq!(
        error.to_string(),
        "Parameter verification failed.; vmid: invalid format - value does not look like a valid VM ID"
    );
    let taken = r#"{"data":null,"message":"Parameter verification failed.\n","errors":{"vmid":"VM 100 already exists"}}"#;
    assert!(
        Answer::new(400, "", taken)
            .failure()
            .unwrap()
            .is_already_exists()
    );
}

#[test]
fn what_the_schema_repeats_of_the_callers_values_decides_nothing() {
    for said in [
        "no quorum",
        "already exists",
        "got timeout",
        "does not exist",
    ] {
        for why in [
            format!("type check ('boolean') failed - got '{said}'"),
            format!("value '{said}' does not have a value in the enumeration 'a, b'"),
        ] {
            let kind = classify(400, "Parameter verification failed.", [("x", why.as_str())]);
            assert_eq!(kind, Kind::Parameter, "{why}");
        }
    }
}

#[test]
fn only_what_was_not_executed_or_does_no_harm_is_repeated() {
    let policy = RetryPolicy::default();
    let ask = |kind, sent, idempotent| decide(&policy, kind, sent, 1, idempotent);
    for idempotent in [false, true] {
        for kind in [
            Kind::Connect,
            Kind::ProxyBroken,
            Kind::WorkerNotStarted,
            Kind::LockTimeout,
        ] {
            assert!(
                matches!(ask(kind, Sent::No, idempotent), Decision::After(_)),
                "{kind:?}"
            );
        }
        for kind in [
            Kind::NotFound,
            Kind::Parameter,
            Kind::Permission,
            Kind::Conflict,
            Kind::Server,
        ] {
            assert_eq!(
                ask(kind, Sent::Answered, idempotent),
                Decision::Stop,
                "{kind:?}"
            );
        }
    }
    for kind in [Kind::Interrupted, Kind::ProxyTimeout, Kind::Deadline] {
        assert_eq!(ask(kind, Sent::Maybe, false), Decision::Stop, "{kind:?}");
        assert!(
            matches!(ask(kind, Sent::Maybe, true), Decision::After(_)),
            "{kind:?}"
        );
    }
}

#[test]
fn pauses_grow_to_a_limit_and_attempts_end() {
    let policy = RetryPolicy::default()
        .with_attempts(4)
        .with_pauses(Duration::from_millis(100), Duration::from_millis(250));
    let pauses: Vec<Decision> = (1..=5)
        .map(|attempt| decide(&policy, Kind::Connect, Sent::No, attempt, true))
        .collect();
    let after = |ms| Decision::After(Duration::from_millis(ms));
    assert_eq!(
        pauses,
        [
            after(100),
            after(200),
            after(250),
            Decision::Stop,
            Decision::Stop
        ]
    );
    let timed_out = decide(&policy, Kind::ProxyTimeout, Sent::Maybe, 1, true);
    assert_eq!(timed_out, Decision::After(Duration::from_secs(10)));
}
