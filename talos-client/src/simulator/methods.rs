//! Requests to a node: routing, roles, and the methods that are simulated.

use std::time::SystemTime;

use bytes::Bytes;
use prost::Message;
use sha2::{Digest as _, Sha256};

use super::access::{self, Access};
use super::etcd::Membership;
use super::node::{NodeState, SimNode};
use super::world::World;
use crate::api::common::Data;
use crate::api::cosi::resource as cosi;
use crate::api::machine::{self, apply_configuration_request::Mode};
use crate::api::storage;
use crate::config::MachineConfig;
use crate::wire::{Reply, Request};

const INVALID_ARGUMENT: i32 = 3;
const NOT_FOUND: i32 = 5;
const ALREADY_EXISTS: i32 = 6;
const PERMISSION_DENIED: i32 = 7;
const FAILED_PRECONDITION: i32 = 9;
const UNIMPLEMENTED: i32 = 12;
const INTERNAL: i32 = 13;
const UNAVAILABLE: i32 = 14;

const MIB: u64 = 1 << 20;

struct Status(i32, String);

type Outcome = Result<Vec<Bytes>, Status>;

fn status(code: i32, message: impl Into<String>) -> Status {
    Status(code, message.into())
}

fn one(message: &impl Message) -> Outcome {
    Ok(vec![message.encode_to_vec().into()])
}

fn read<M: Message + Default>(request: &Request) -> Result<M, Status> {
    let bytes = request.messages.first().cloned().unwrap_or_default();
    M::decode(bytes)
        .map_err(|error| status(INTERNAL, format!("the request cannot be read: {error}")))
}

/// Who may call what.
#[derive(Clone, Copy, PartialEq)]
enum Needs {
    Reader,
    Operator,
    Backup,
    Admin,
}

fn needs(path: &str) -> Needs {
    match path.rsplit('/').next().unwrap_or(path) {
        "ApplyConfiguration"
        | "Bootstrap"
        | "Kubeconfig"
        | "Reset"
        | "Upgrade"
        | "GenerateClientConfiguration" => Needs::Admin,
        "Reboot" | "Shutdown" => Needs::Operator,
        "EtcdSnapshot" | "EtcdMemberList" => Needs::Backup,
        _ => Needs::Reader,
    }
}

fn allowed(access: &Access, path: &str) -> bool {
    let Access::Certificate { certificate, .. } = access else {
        // Maintenance: reading, and the one call that ends it.
        return needs(path) == Needs::Reader || path.ends_with("/ApplyConfiguration");
    };
    let roles = access::roles(certificate);
    let has = |role: &str| roles.iter().any(|own| own == role);
    match needs(path) {
        _ if has("os:admin") => true,
        Needs::Admin => false,
        Needs::Operator => has("os:operator"),
        Needs::Backup => {
            has("os:operator")
                || has("os:etcd:backup")
                || (has("os:reader") && path.ends_with("List"))
        }
        Needs::Reader => has("os:operator") || has("os:reader"),
    }
}

impl World {
    /// One request to a node that was connected to.
    pub(super) fn call(
        &mut self,
        endpoint: &str,
        access: &Access,
        request: &Request,
        now: SystemTime,
    ) -> Reply {
        let outcome = self.route(endpoint, request, now).and_then(|name| {
            if allowed(access, &request.path) {
                self.answer(&name, request, now)
            } else {
                Err(status(PERMISSION_DENIED, "not authorized"))
            }
        });
        match outcome {
            Ok(messages) => Reply {
                messages,
                ..Reply::default()
            },
            Err(Status(code, message)) => Reply {
                messages: Vec::new(),
                code,
                message,
            },
        }
    }

    /// The node that the request is about.
    fn route(&self, endpoint: &str, request: &Request, now: SystemTime) -> Result<String, Status> {
        let values = |name: &str| -> Vec<&str> {
            request
                .metadata
                .iter()
                .filter(|(key, _)| key == name)
                .map(|(_, value)| value.as_str())
                .collect()
        };
        if !values("nodes").is_empty() {
            return Err(status(UNIMPLEMENTED, "not simulated: the metadata `nodes`"));
        }
        let target = match values("node").as_slice() {
            [] => return Ok(endpoint.to_owned()),
            [target] => *target,
            _ => {
                return Err(status(
                    INVALID_ARGUMENT,
                    "node metadata must be single-valued",
                ));
            }
        };
        if target.is_empty() || (target.matches(':').count() == 1) {
            return Err(status(INTERNAL, format!("invalid target \"{target}\"")));
        }
        let unreachable = || {
            status(
                UNAVAILABLE,
                format!("error dialing {target}: nobody answers"),
            )
        };
        let found = self.find(target, now).ok_or_else(unreachable)?;
        if found == endpoint {
            return Ok(found.to_owned());
        }
        if !self
            .nodes
            .get(endpoint)
            .is_some_and(SimNode::is_control_plane)
        {
            return Err(status(PERMISSION_DENIED, "no request forwarding"));
        }
        match self.state(found, now) {
            NodeState::Running if self.nodes_trust(endpoint, found, now) => Ok(found.to_owned()),
            NodeState::Running | NodeState::Maintenance => Err(status(
                UNAVAILABLE,
                format!("error dialing {target}: certificate signed by unknown authority"),
            )),
            _ => Err(unreachable()),
        }
    }

    fn answer(&mut self, name: &str, request: &Request, now: SystemTime) -> Outcome {
        let Some(node) = self.nodes.get(name) else {
            return Err(status(INTERNAL, "the node is gone"));
        };
        match request.path.as_str() {
            "/machine.MachineService/Version" => one(&version(node)),
            "/machine.MachineService/Hostname" => one(&machine::HostnameResponse {
                messages: vec![machine::Hostname {
                    metadata: None,
                    hostname: node.hostname(now),
                }],
            }),
            "/machine.MachineService/Memory" => one(&memory(node)),
            "/storage.StorageService/Disks" => one(&disks(node)),
            "/machine.MachineService/ServiceList" => one(&self.services(name, now)),
            "/machine.MachineService/ApplyConfiguration" => self.apply(name, &read(request)?, now),
            "/machine.MachineService/Bootstrap" => self.bootstrap(name, &read(request)?, now),
            "/machine.MachineService/EtcdMemberList" => self.member_list(name, now),
            "/machine.MachineService/EtcdSnapshot" => self.snapshot(name, now),
            "/machine.MachineService/Kubeconfig" => kubeconfig(node, now),
            "/machine.MachineService/Reboot" => {
                self.change(name, |node, timings| node.reboot(now, timings));
                one(&machine::RebootResponse {
                    messages: vec![machine::Reboot {
                        metadata: None,
                        actor_id: actor(name),
                    }],
                })
            }
            "/machine.MachineService/Shutdown" => {
                self.change(name, |node, timings| node.shut_down(now, timings));
                one(&machine::ShutdownResponse {
                    messages: vec![machine::Shutdown {
                        metadata: None,
                        actor_id: actor(name),
                    }],
                })
            }
            "/machine.MachineService/Reset" => self.reset(name, &read(request)?, now),
            "/machine.MachineService/Upgrade" => self.upgrade(name, &read(request)?, now),
            "/cosi.resource.State/List" => list(node, &read(request)?),
            "/cosi.resource.State/Get" => self.get(name, &read(request)?, now),
            other => Err(status(UNIMPLEMENTED, format!("not simulated: {other}"))),
        }
    }

    fn change(&mut self, name: &str, change: impl FnOnce(&mut SimNode, &super::world::Timings)) {
        let timings = self.timings.clone();
        if let Some(node) = self.nodes.get_mut(name) {
            change(node, &timings);
        }
    }

    fn apply(
        &mut self,
        name: &str,
        request: &machine::ApplyConfigurationRequest,
        now: SystemTime,
    ) -> Outcome {
        let Some(node) = self.nodes.get(name) else {
            return Err(status(INTERNAL, "the node is gone"));
        };
        let text = std::str::from_utf8(&request.data)
            .map_err(|_| status(INVALID_ARGUMENT, "the configuration is not text"))?;
        let config = MachineConfig::load(text)
            .map_err(|error| status(INVALID_ARGUMENT, error.to_string()))?;
        let maintenance = node.state(now) == NodeState::Maintenance;
        check(node, &config, maintenance).map_err(|why| status(INVALID_ARGUMENT, why))?;
        let mode = match (request.mode(), maintenance) {
            (Mode::Reboot, true) => Mode::NoReboot,
            (Mode::Reboot, false) if node.version().is_some_and(|version| version.at_least(14)) => {
                return Err(status(
                    UNIMPLEMENTED,
                    "the apply mode reboot is no longer supported",
                ));
            }
            (mode, _) => mode,
        };
        let details = if request.dry_run {
            "Dry run summary:\nthe configuration would be applied".to_owned()
        } else {
            match mode {
                Mode::Try => {
                    return Err(status(UNIMPLEMENTED, "not simulated: the apply mode try"));
                }
                Mode::Staged => {
                    self.change(name, |node, _| node.staged = Some(config));
                    "Staged configuration to be applied after the next reboot".to_owned()
                }
                _ if maintenance => {
                    self.change(name, |node, timings| node.install(config, now, timings));
                    "Applied configuration without a reboot".to_owned()
                }
                _ => {
                    let reboot = mode == Mode::Reboot;
                    self.change(name, |node, timings| {
                        if let Some(installed) = &mut node.installed {
                            installed.config = config;
                        }
                        if reboot {
                            node.reboot(now, timings);
                        }
                    });
                    if reboot {
                        "Applied configuration with a reboot"
                    } else {
                        "Applied configuration without a reboot"
                    }
                    .to_owned()
                }
            }
        };
        one(&machine::ApplyConfigurationResponse {
            messages: vec![machine::ApplyConfiguration {
                metadata: None,
                warnings: Vec::new(),
                mode: mode.into(),
                mode_details: details,
            }],
        })
    }

    fn bootstrap(
        &mut self,
        name: &str,
        request: &machine::BootstrapRequest,
        now: SystemTime,
    ) -> Outcome {
        let Some(node) = self.nodes.get(name) else {
            return Err(status(INTERNAL, "the node is gone"));
        };
        let Some(config) = node.running_config(now) else {
            return Err(status(
                FAILED_PRECONDITION,
                "bootstrap is not available yet",
            ));
        };
        if !node.is_control_plane() {
            return Err(status(
                FAILED_PRECONDITION,
                "bootstrap can only be performed on a control plane node",
            ));
        }
        if request.recover_etcd {
            return Err(status(
                UNIMPLEMENTED,
                "not simulated: recovery from a snapshot",
            ));
        }
        if !config.has_etcd_ca() {
            return Err(status(INVALID_ARGUMENT, "the configuration has no etcd CA"));
        }
        if node.etcd.is_some() {
            return Err(status(ALREADY_EXISTS, "etcd data directory is not empty"));
        }
        let (id, ready) = (self.new_id(), now + self.timings.etcd_start);
        self.change(name, |node, _| {
            node.etcd = Some(Membership {
                id,
                since: now,
                ready,
            })
        });
        one(&machine::BootstrapResponse {
            messages: vec![machine::Bootstrap { metadata: None }],
        })
    }

    fn member_list(&self, name: &str, now: SystemTime) -> Outcome {
        let config = self.etcd_node(name, now)?;
        let cluster = config.cluster_id().unwrap_or_default();
        let members = self
            .members_of(cluster)
            .filter(|(_, member)| member.since <= now)
            .map(|(name, member)| {
                let addresses = self.addresses(name, now);
                let url = |port: u16| {
                    addresses.iter().map(move |address| {
                        format!("https://{}", std::net::SocketAddr::new(*address, port))
                    })
                };
                machine::EtcdMember {
                    id: member.id,
                    hostname: self.hostname(name, now).unwrap_or_default(),
                    peer_urls: url(2380).collect(),
                    client_urls: url(2379).collect(),
                    is_learner: member.ready > now,
                }
            });
        one(&machine::EtcdMemberListResponse {
            messages: vec![machine::EtcdMembers {
                metadata: None,
                legacy_members: Vec::new(),
                members: members.collect(),
            }],
        })
    }

    fn etcd_node(&self, name: &str, now: SystemTime) -> Result<&MachineConfig, Status> {
        let node = self.nodes.get(name).filter(|node| node.is_control_plane());
        let config = node.and_then(|node| node.running_config(now));
        let config = config.ok_or_else(|| status(INTERNAL, "etcd does not run on this node"))?;
        if self.etcd_serves(name, now) {
            return Ok(config);
        }
        Err(status(
            UNAVAILABLE,
            "error connecting to etcd: it does not serve yet",
        ))
    }

    /// A database that says which cluster and members it is of, in whole pages, with its digest.
    fn snapshot(&self, name: &str, now: SystemTime) -> Outcome {
        let config = self.etcd_node(name, now)?;
        let cluster = config.cluster_id().unwrap_or_default();
        let mut database = format!("simulated etcd of {cluster}\n").into_bytes();
        for (name, member) in self.members_of(cluster) {
            database.extend(format!("{name} {:x}\n", member.id).bytes());
        }
        database.resize(database.len().next_multiple_of(512), 0);
        let digest = Sha256::digest(&database);
        database.extend(digest);
        let chunk = |bytes: &[u8]| {
            Data {
                metadata: None,
                bytes: bytes.to_vec(),
            }
            .encode_to_vec()
            .into()
        };
        Ok(database.chunks(256).map(chunk).collect())
    }

    fn services(&self, name: &str, now: SystemTime) -> machine::ServiceListResponse {
        let mut services = Vec::new();
        let mut add = |id: &str, state: &str, healthy: Option<bool>, message: &str| {
            let at = prost_types::Timestamp::from(now);
            let event = machine::ServiceEvent {
                msg: message.to_owned(),
                state: state.to_owned(),
                ts: Some(at),
            };
            services.push(machine::ServiceInfo {
                id: id.to_owned(),
                state: state.to_owned(),
                events: Some(machine::ServiceEvents {
                    events: vec![event],
                }),
                health: Some(machine::ServiceHealth {
                    unknown: healthy.is_none(),
                    healthy: healthy.unwrap_or_default(),
                    last_message: String::new(),
                    last_change: Some(at),
                }),
            });
        };
        let running = self
            .nodes
            .get(name)
            .filter(|node| node.running_config(now).is_some());
        add("machined", "Running", Some(true), "Started task machined");
        if let Some(node) = running {
            add("apid", "Running", Some(true), "Health check successful");
            add(
                "containerd",
                "Running",
                Some(true),
                "Health check successful",
            );
            add("cri", "Running", Some(true), "Health check successful");
            add("udevd", "Running", Some(true), "Health check successful");
            let control_plane = node.is_control_plane();
            if control_plane {
                add("trustd", "Running", Some(true), "Health check successful");
                match &node.etcd {
                    None => add("etcd", "Preparing", None, "Running pre state"),
                    Some(_) if self.etcd_serves(name, now) => {
                        add("etcd", "Running", Some(true), "Health check successful")
                    }
                    Some(_) => add("etcd", "Running", Some(false), "Started task etcd"),
                }
            }
            let cluster = node
                .config()
                .and_then(|config| config.cluster_id())
                .unwrap_or_default();
            if self
                .members_of(cluster)
                .any(|(name, _)| self.etcd_serves(name, now))
            {
                add("kubelet", "Running", Some(true), "Health check successful");
            } else {
                add("kubelet", "Waiting", None, "Waiting for the Kubernetes API");
            }
        }
        machine::ServiceListResponse {
            messages: vec![machine::ServiceList {
                metadata: None,
                services,
            }],
        }
    }

    fn reset(&mut self, name: &str, request: &machine::ResetRequest, now: SystemTime) -> Outcome {
        let cluster = self
            .nodes
            .get(name)
            .and_then(|node| node.config()?.cluster_id())
            .unwrap_or_default()
            .to_owned();
        let member = self.nodes.get(name).is_some_and(|node| node.etcd.is_some());
        if request.graceful && member && self.members_of(&cluster).count() == 1 {
            return Err(status(
                FAILED_PRECONDITION,
                "refusing to leave etcd: this is its only member",
            ));
        }
        let wanted = &request.system_partitions_to_wipe;
        let wipes = |label: &str| {
            wanted.is_empty()
                || wanted
                    .iter()
                    .any(|partition| partition.label == label && partition.wipe)
        };
        let (state, ephemeral) = (wipes("STATE"), wipes("EPHEMERAL"));
        let user_disks = request.mode() == machine::reset_request::WipeMode::UserDisks;
        let reboot = request.reboot;
        self.change(name, |node, timings| {
            if state && !user_disks {
                node.wipe();
            } else if ephemeral && !user_disks {
                node.etcd = None;
            }
            if reboot {
                node.reboot(now, timings)
            } else {
                node.shut_down(now, timings)
            }
        });
        one(&machine::ResetResponse {
            messages: vec![machine::Reset {
                metadata: None,
                actor_id: actor(name),
            }],
        })
    }

    /// The version comes from the image's tag.
    fn upgrade(
        &mut self,
        name: &str,
        request: &machine::UpgradeRequest,
        now: SystemTime,
    ) -> Outcome {
        let tag = request
            .image
            .rsplit_once(':')
            .map(|(_, tag)| tag.to_owned());
        let valid = tag.filter(|tag| tag.parse::<crate::version::VersionContract>().is_ok());
        let Some(tag) = valid else {
            return Err(status(
                INVALID_ARGUMENT,
                format!(
                    "`{}` is not an installer image with a version",
                    request.image
                ),
            ));
        };
        if self
            .nodes
            .get(name)
            .is_none_or(|node| node.installed.is_none())
        {
            return Err(status(FAILED_PRECONDITION, "the node is not installed"));
        }
        self.change(name, |node, timings| {
            node.spec.talos_version = tag;
            node.reboot(now, timings);
        });
        one(&machine::UpgradeResponse {
            messages: vec![machine::Upgrade {
                metadata: None,
                ack: "Upgrade request received".to_owned(),
                actor_id: actor(name),
            }],
        })
    }

    fn get(&self, name: &str, request: &cosi::GetRequest, now: SystemTime) -> Outcome {
        let missing = || {
            status(
                NOT_FOUND,
                format!(
                    "resource {}({}/{}) doesn't exist",
                    request.r#type, request.namespace, request.id
                ),
            )
        };
        let Some(node) = self.nodes.get(name) else {
            return Err(missing());
        };
        let found = match (request.r#type.as_str(), request.id.as_str()) {
            ("MachineStatuses.runtime.talos.dev", "machine") => machine_status(self, name, now),
            (kind, id) => resources(node, kind)
                .ok_or_else(|| status(UNIMPLEMENTED, format!("not simulated: {kind}")))?
                .into_iter()
                .find(|resource| {
                    resource
                        .metadata
                        .as_ref()
                        .is_some_and(|metadata| metadata.id == id)
                })
                .ok_or_else(missing)?,
        };
        one(&cosi::GetResponse {
            resource: Some(found),
        })
    }
}

/// What the real node refuses before it takes a configuration.
fn check(node: &SimNode, config: &MachineConfig, maintenance: bool) -> Result<(), String> {
    if let Some(version) = node.version() {
        let unknown = config.documents_unknown_to(version);
        if let Some(title) = unknown.first() {
            let kind = title.split('/').next().unwrap_or(title);
            return Err(format!("\"{kind}\" \"v1alpha1\": not registered"));
        }
    }
    let machine = config
        .machine_type()
        .ok_or("machine.type is not one of controlplane, worker")?;
    if config.os_ca().is_none() {
        return Err("the issuing CA (machine.ca) is required".to_owned());
    }
    if machine.is_control_plane() && config.os_authority().is_none() {
        return Err("machine.ca.key is required on a control plane node".to_owned());
    }
    if maintenance && !config.has_install_target() && node.spec.platform != "container" {
        return Err("either an install disk or a disk selector is required".to_owned());
    }
    let least = if machine.is_control_plane() {
        1946
    } else {
        974
    } * MIB;
    if node.spec.memory < least {
        return Err(format!(
            "{} MiB of memory are less than the {} MiB that are needed",
            node.spec.memory / MIB,
            least / MIB
        ));
    }
    Ok(())
}

fn actor(name: &str) -> String {
    format!("{name}-actor")
}

fn version(node: &SimNode) -> machine::VersionResponse {
    machine::VersionResponse {
        messages: vec![machine::Version {
            metadata: None,
            version: Some(machine::VersionInfo {
                tag: node.spec.talos_version.clone(),
                os: "linux".to_owned(),
                arch: "amd64".to_owned(),
                ..machine::VersionInfo::default()
            }),
            platform: Some(machine::PlatformInfo {
                name: node.spec.platform.clone(),
                mode: "metal".to_owned(),
            }),
            features: Some(machine::FeaturesInfo { rbac: true }),
        }],
    }
}

fn memory(node: &SimNode) -> machine::MemoryResponse {
    let total = node.spec.memory / 1024;
    let info = machine::MemInfo {
        memtotal: total,
        memfree: total / 2,
        memavailable: total * 3 / 4,
        ..machine::MemInfo::default()
    };
    machine::MemoryResponse {
        messages: vec![machine::Memory {
            metadata: None,
            meminfo: Some(info),
        }],
    }
}

fn disks(node: &SimNode) -> storage::DisksResponse {
    let system = node
        .installed
        .as_ref()
        .and_then(|installed| installed.disk.as_deref());
    let disk = |disk: &super::node::DiskSpec| storage::Disk {
        size: disk.size,
        model: "QEMU HARDDISK".to_owned(),
        device_name: disk.device.clone(),
        r#type: storage::disk::DiskType::Hdd.into(),
        system_disk: system == Some(&disk.device),
        ..storage::Disk::default()
    };
    storage::DisksResponse {
        messages: vec![storage::Disks {
            metadata: None,
            disks: node.spec.disks.iter().map(disk).collect(),
        }],
    }
}

fn list(node: &SimNode, request: &cosi::ListRequest) -> Outcome {
    let found = resources(node, &request.r#type);
    let found =
        found.ok_or_else(|| status(UNIMPLEMENTED, format!("not simulated: {}", request.r#type)))?;
    let answer = |resource| {
        cosi::ListResponse {
            resource: Some(resource),
        }
        .encode_to_vec()
        .into()
    };
    Ok(found.into_iter().map(answer).collect())
}

fn resource(kind: &str, id: &str, yaml: String) -> cosi::Resource {
    cosi::Resource {
        metadata: Some(cosi::Metadata {
            namespace: "runtime".to_owned(),
            r#type: kind.to_owned(),
            id: id.to_owned(),
            version: "1".to_owned(),
            phase: "running".to_owned(),
            ..cosi::Metadata::default()
        }),
        spec: Some(cosi::Spec {
            yaml_spec: yaml,
            ..cosi::Spec::default()
        }),
    }
}

/// The resources of a type that is simulated.
fn resources(node: &SimNode, kind: &str) -> Option<Vec<cosi::Resource>> {
    if kind == "MachineConfigs.config.talos.dev" {
        // The active configuration; the node has no other name for it.
        let active = node.config().map(|config| {
            let mut found = resource(kind, "v1alpha1", config.to_yaml().to_string());
            if let Some(metadata) = &mut found.metadata {
                metadata.namespace = "config".to_owned();
            }
            found
        });
        return Some(active.into_iter().collect());
    }
    if kind != "ExtensionStatuses.runtime.talos.dev" {
        return None;
    }
    let all = node
        .spec
        .extensions
        .iter()
        .enumerate()
        .map(|(index, extension)| {
            let yaml = format!(
                "image: {index:03}.{}-{}.sqsh\nmetadata:\n    name: {}\n    version: {}\n",
                extension.name, extension.version, extension.name, extension.version
            );
            resource(kind, &index.to_string(), yaml)
        });
    Some(all.collect())
}

fn machine_status(world: &World, name: &str, now: SystemTime) -> cosi::Resource {
    let node = world.nodes.get(name);
    let stage = match world.state(name, now) {
        NodeState::Maintenance => "maintenance",
        NodeState::Running => "running",
        NodeState::Installing | NodeState::InstallFailed => "installing",
        NodeState::Rebooting => "rebooting",
        NodeState::Booting | NodeState::Off => "booting",
    };
    let control_plane = node.is_some_and(SimNode::is_control_plane);
    let ready = stage == "maintenance"
        || stage == "running" && (!control_plane || world.etcd_serves(name, now));
    let unmet = if ready {
        String::new()
    } else {
        "    unmetConditions:\n        - name: services\n          reason: etcd\n".to_owned()
    };
    let yaml = format!("stage: {stage}\nstatus:\n    ready: {ready}\n{unmet}");
    resource("MachineStatuses.runtime.talos.dev", "machine", yaml)
}

/// An administrator's kubeconfig, signed by the Kubernetes CA of the configuration, as tar.gz.
fn kubeconfig(node: &SimNode, now: SystemTime) -> Outcome {
    let config = node.running_config(now).filter(|_| node.is_control_plane());
    let config = config.ok_or_else(|| {
        status(
            UNIMPLEMENTED,
            "kubeconfig is only available on control plane nodes",
        )
    })?;
    let text = config
        .kubeconfig(now)
        .map_err(|error| status(INTERNAL, error.to_string()))?;
    let failed = |error: std::io::Error| status(INTERNAL, error.to_string());
    let mut tar = tar::Builder::new(flate2::write::GzEncoder::new(
        Vec::new(),
        flate2::Compression::default(),
    ));
    let mut header = tar::Header::new_gnu();
    header.set_size(text.len() as u64);
    header.set_mode(0o600);
    tar.append_data(&mut header, "kubeconfig", text.as_bytes())
        .map_err(failed)?;
    let archive = tar
        .into_inner()
        .and_then(flate2::write::GzEncoder::finish)
        .map_err(failed)?;
    one(&Data {
        metadata: None,
        bytes: archive,
    })
}
