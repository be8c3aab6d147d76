//! Reboot, reset, upgrade, kubeconfig.

use std::fmt;
use std::future::{Future, IntoFuture};
use std::io::Read as _;
use std::pin::Pin;

use zeroize::Zeroizing;

use super::{Node, envelope};
use crate::api::machine::{
    MachineService, Reboot, RebootRequest, RebootResponse, Reset as ResetAnswer,
    ResetPartitionSpec, ResetRequest, ResetResponse, Shutdown, ShutdownRequest, ShutdownResponse,
    Upgrade, UpgradeRequest, UpgradeResponse, reset_request::WipeMode,
};
use crate::error::{Error, ErrorKind};

envelope!(
    RebootResponse => Reboot,
    ShutdownResponse => Shutdown,
    ResetResponse => ResetAnswer,
    UpgradeResponse => Upgrade,
);

/// A kubeconfig with administrator credentials. `Debug` does not show it.
#[derive(Clone)]
pub struct Kubeconfig(Zeroizing<String>);

impl Kubeconfig {
    /// The YAML text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Kubeconfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Kubeconfig([redacted])")
    }
}

/// What an upgrade request gave.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Upgraded {
    /// What the node says.
    pub message: String,
    /// Events of this upgrade carry this id.
    pub actor: String,
}

/// The request that [`Node::reset`] makes; await it to send it.
#[derive(Clone, Debug)]
#[must_use = "nothing is sent until it is awaited"]
pub struct Reset {
    node: Node,
    request: ResetRequest,
}

impl Reset {
    /// Neither drain the node nor leave etcd: for the last control plane node, or a broken one.
    pub fn not_graceful(mut self) -> Self {
        self.request.graceful = false;
        self
    }

    /// Reboot afterwards instead of powering off.
    pub fn reboot(mut self) -> Self {
        self.request.reboot = true;
        self
    }

    /// Wipe only these partitions of the system disk: `STATE`, `EPHEMERAL`.
    pub fn system_partitions<T: Into<String>>(
        mut self,
        labels: impl IntoIterator<Item = T>,
    ) -> Self {
        let spec = |label: T| ResetPartitionSpec {
            label: label.into(),
            wipe: true,
        };
        self.request.system_partitions_to_wipe = labels.into_iter().map(spec).collect();
        self
    }

    /// Wipe these disks instead of the system disk.
    pub fn user_disks<T: Into<String>>(mut self, devices: impl IntoIterator<Item = T>) -> Self {
        self.request.user_disks_to_wipe = devices.into_iter().map(Into::into).collect();
        self.request.mode = WipeMode::UserDisks.into();
        self
    }
}

impl IntoFuture for Reset {
    type Output = Result<(), Error>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output> + Send>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(async move {
            self.node
                .single(MachineService::RESET, self.request)
                .await
                .map(|_| ())
        })
    }
}

impl Node {
    /// Reboots the node; returns when it has accepted that.
    ///
    /// # Errors
    /// As every call.
    pub async fn reboot(&self) -> Result<(), Error> {
        self.single(MachineService::REBOOT, RebootRequest::default())
            .await
            .map(|_| ())
    }

    /// Powers the node off; returns when it has accepted that.
    ///
    /// # Errors
    /// As every call.
    pub async fn shutdown(&self) -> Result<(), Error> {
        self.single(MachineService::SHUTDOWN, ShutdownRequest::default())
            .await
            .map(|_| ())
    }

    /// Wipes the node: by default gracefully (drained, out of etcd), all of the system disk, then power off.
    ///
    /// # Errors
    /// As every call.
    pub fn reset(&self) -> Reset {
        Reset {
            node: self.clone(),
            request: ResetRequest {
                graceful: true,
                ..ResetRequest::default()
            },
        }
    }

    /// Upgrades Talos to an installer image with the method that every version has; the node reboots by itself.
    ///
    /// # Errors
    /// [`ErrorKind::FailedPrecondition`] when the node or etcd is not fit for it.
    pub async fn upgrade(&self, image: impl Into<String>) -> Result<Upgraded, Error> {
        let request = UpgradeRequest {
            image: image.into(),
            preserve: true,
            ..UpgradeRequest::default()
        };
        let answer = self.single(MachineService::UPGRADE, request).await?;
        Ok(Upgraded {
            message: answer.ack,
            actor: answer.actor_id,
        })
    }

    /// The cluster's kubeconfig, from a control plane node.
    ///
    /// # Errors
    /// [`ErrorKind::Protocol`] when the archive does not hold one.
    pub async fn kubeconfig(&self) -> Result<Kubeconfig, Error> {
        let archive = self
            .server_stream(MachineService::KUBECONFIG, ())
            .await?
            .bytes()
            .await?;
        unpack(&archive).map_err(|error| self.about(error))
    }
}

/// The one file `kubeconfig` of a tar.gz.
fn unpack(archive: &[u8]) -> Result<Kubeconfig, Error> {
    /// Far above any real kubeconfig, far below what would hurt.
    const LIMIT: u64 = 4 << 20;
    let damaged = |error: std::io::Error| {
        Error::new(ErrorKind::Protocol, "the kubeconfig archive is damaged").with_source(error)
    };
    let mut tar = tar::Archive::new(flate2::read::GzDecoder::new(archive).take(LIMIT));
    for entry in tar.entries().map_err(damaged)? {
        let entry = entry.map_err(damaged)?;
        if entry.path().map_err(damaged)?.as_os_str() == "kubeconfig" {
            let mut text = Zeroizing::new(String::new());
            entry
                .take(LIMIT)
                .read_to_string(&mut text)
                .map_err(damaged)?;
            return Ok(Kubeconfig(text));
        }
    }
    Err(Error::new(
        ErrorKind::Protocol,
        "the kubeconfig archive holds no kubeconfig",
    ))
}
