//! What a node says about itself.

use super::{Node, envelope};
use crate::api::cosi::resource::{GetRequest, ListOptions, ListRequest, State};
use crate::api::machine::{
    Hostname, HostnameResponse, MachineService, Memory, MemoryResponse, ServiceList,
    ServiceListResponse, Version, VersionResponse,
};
use crate::api::storage::{Disks, DisksResponse, StorageService, disk::DiskType};
use crate::error::{Error, ErrorKind};
use crate::value::Value;
use crate::yaml::parse;

envelope!(
    VersionResponse => Version,
    HostnameResponse => Hostname,
    MemoryResponse => Memory,
    ServiceListResponse => ServiceList,
    DisksResponse => Disks,
);

/// The version that a node runs.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct NodeVersion {
    /// `v1.13.9`.
    pub tag: String,
    /// The commit it was built from.
    pub sha: String,
    /// `amd64` or `arm64`.
    pub arch: String,
    /// `metal`, `nocloud`, `container`, …
    pub platform: String,
}

/// A service of Talos on a node.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Service {
    /// `apid`, `etcd`, `kubelet`, …
    pub id: String,
    /// `Running`, `Preparing`, `Finished`, …
    pub state: String,
    /// The health check's verdict; `None` when the service has none or none yet.
    pub healthy: Option<bool>,
    /// What the last health check or event said.
    pub message: String,
}

/// Memory in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct MemoryInfo {
    /// Usable by the system.
    pub total: u64,
    /// Usable without swapping.
    pub available: u64,
}

/// A disk.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Disk {
    /// `/dev/sda`.
    pub device: String,
    /// Bytes.
    pub size: u64,
    /// The model, if it tells.
    pub model: String,
    /// The serial number, if it tells.
    pub serial: String,
    /// `ssd`, `hdd`, `nvme`, `sd` or `unknown`.
    pub kind: &'static str,
    /// Talos is installed on it.
    pub system: bool,
    /// It cannot be written.
    pub read_only: bool,
}

/// A system extension in the running image.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Extension {
    /// `iscsi-tools`.
    pub name: String,
    /// `v0.2.0`.
    pub version: String,
}

/// A resource of the node's state. `Debug` does not show the content: a machine configuration holds all secrets.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Resource {
    /// The name within its type.
    pub id: String,
    /// Counts the changes.
    pub version: String,
    /// `running`, or `tearingDown`.
    pub phase: String,
    /// The content, YAML.
    pub yaml: String,
}

impl std::fmt::Debug for Resource {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Resource")
            .field("id", &self.id)
            .field("version", &self.version)
            .field("phase", &self.phase)
            .field("bytes", &self.yaml.len())
            .finish_non_exhaustive()
    }
}

impl Node {
    /// The Talos version.
    ///
    /// # Errors
    /// As every call: unreachable, refused.
    pub async fn version(&self) -> Result<NodeVersion, Error> {
        let answer = self.single(MachineService::VERSION, ()).await?;
        let version = answer.version.unwrap_or_default();
        let platform = answer
            .platform
            .map(|platform| platform.name)
            .unwrap_or_default();
        Ok(NodeVersion {
            tag: version.tag,
            sha: version.sha,
            arch: version.arch,
            platform,
        })
    }

    /// The host name.
    ///
    /// # Errors
    /// As every call.
    pub async fn hostname(&self) -> Result<String, Error> {
        Ok(self.single(MachineService::HOSTNAME, ()).await?.hostname)
    }

    /// The services with state and health.
    ///
    /// # Errors
    /// As every call.
    pub async fn services(&self) -> Result<Vec<Service>, Error> {
        let answer = self.single(MachineService::SERVICE_LIST, ()).await?;
        let service = |info: crate::api::machine::ServiceInfo| {
            let event = info
                .events
                .and_then(|events| events.events.into_iter().last())
                .map(|event| event.msg);
            let health = info.health.filter(|health| !health.unknown);
            let said = health
                .as_ref()
                .map(|health| health.last_message.clone())
                .filter(|text| !text.is_empty());
            Service {
                id: info.id,
                state: info.state,
                healthy: health.map(|health| health.healthy),
                message: said.or(event).unwrap_or_default(),
            }
        };
        Ok(answer.services.into_iter().map(service).collect())
    }

    /// The memory.
    ///
    /// # Errors
    /// As every call.
    pub async fn memory(&self) -> Result<MemoryInfo, Error> {
        let answer = self.single(MachineService::MEMORY, ()).await?;
        let info = answer
            .meminfo
            .ok_or_else(|| Error::new(ErrorKind::Protocol, "the answer has no memory figures"))?;
        // The node gives kibibytes.
        Ok(MemoryInfo {
            total: info.memtotal * 1024,
            available: info.memavailable * 1024,
        })
    }

    /// The disks.
    ///
    /// # Errors
    /// As every call.
    pub async fn disks(&self) -> Result<Vec<Disk>, Error> {
        let answer = self.single(StorageService::DISKS, ()).await?;
        let disk = |disk: crate::api::storage::Disk| Disk {
            kind: match disk.r#type() {
                DiskType::Ssd => "ssd",
                DiskType::Hdd => "hdd",
                DiskType::Nvme => "nvme",
                DiskType::Sd => "sd",
                _ => "unknown",
            },
            device: disk.device_name,
            size: disk.size,
            model: disk.model,
            serial: disk.serial,
            system: disk.system_disk,
            read_only: disk.readonly,
        };
        Ok(answer.disks.into_iter().map(disk).collect())
    }

    /// The system extensions of the running image.
    ///
    /// # Errors
    /// As every call.
    pub async fn extensions(&self) -> Result<Vec<Extension>, Error> {
        let resources = self
            .resources("runtime", "ExtensionStatuses.runtime.talos.dev")
            .await?;
        let mut extensions = Vec::new();
        for resource in resources {
            let nodes = parse::documents(&resource.yaml)
                .map_err(|syntax| Error::new(ErrorKind::Protocol, syntax.message))?;
            let value = nodes.first().map(Value::free).unwrap_or(Value::Null);
            let text = |path: &str| {
                value
                    .at(path)
                    .and_then(Value::as_text)
                    .unwrap_or_default()
                    .to_owned()
            };
            extensions.push(Extension {
                name: text("metadata.name"),
                version: text("metadata.version"),
            });
        }
        Ok(extensions)
    }

    /// Resources of the node's state by namespace and type, `runtime` and `ExtensionStatuses.runtime.talos.dev`.
    ///
    /// # Errors
    /// [`ErrorKind::PermissionDenied`] for secrets without the administrator's role.
    pub async fn resources(&self, namespace: &str, kind: &str) -> Result<Vec<Resource>, Error> {
        let request = ListRequest {
            namespace: namespace.to_owned(),
            r#type: kind.to_owned(),
            options: Some(ListOptions::default()),
        };
        let mut stream = self.server_stream(State::LIST, request).await?;
        let mut resources = Vec::new();
        while let Some(answer) = stream.next().await? {
            resources.extend(answer.resource.map(resource));
        }
        Ok(resources)
    }

    /// One resource of the node's state.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`].
    pub async fn resource(&self, namespace: &str, kind: &str, id: &str) -> Result<Resource, Error> {
        let request = GetRequest {
            namespace: namespace.to_owned(),
            r#type: kind.to_owned(),
            id: id.to_owned(),
            options: None,
        };
        let answer = self.unary(State::GET, request).await?;
        answer
            .resource
            .map(resource)
            .ok_or_else(|| Error::new(ErrorKind::Protocol, "the answer has no resource"))
    }
}

fn resource(resource: crate::api::cosi::resource::Resource) -> Resource {
    let metadata = resource.metadata.unwrap_or_default();
    let yaml = resource.spec.map(|spec| spec.yaml_spec).unwrap_or_default();
    Resource {
        id: metadata.id,
        version: metadata.version,
        phase: metadata.phase,
        yaml,
    }
}
