//! etcd: bootstrap, members, snapshots.

use sha2::{Digest as _, Sha256};

use super::{Node, envelope};
use crate::api::machine::{
    Bootstrap, BootstrapRequest, BootstrapResponse, EtcdMemberListRequest, EtcdMemberListResponse,
    EtcdMembers, EtcdSnapshotRequest, MachineService,
};
use crate::error::{Error, ErrorKind};

envelope!(BootstrapResponse => Bootstrap, EtcdMemberListResponse => EtcdMembers);

/// Whether a bootstrap was needed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Bootstrapped {
    /// etcd starts now for the first time.
    Bootstrapped,
    /// It was done before; nothing changed.
    AlreadyBootstrapped,
}

/// A member of the etcd cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct EtcdMember {
    /// The member's number.
    pub id: u64,
    /// The node's host name.
    pub hostname: String,
    /// Where the other members reach it.
    pub peer_urls: Vec<String>,
    /// Where clients reach it.
    pub client_urls: Vec<String>,
    /// It does not vote yet.
    pub learner: bool,
}

impl Node {
    /// Starts etcd for the first time, on exactly one control plane node of a new cluster.
    ///
    /// # Errors
    /// [`ErrorKind::FailedPrecondition`] while the node still boots (try again), [`ErrorKind::InvalidArgument`] on a worker.
    pub async fn bootstrap(&self) -> Result<Bootstrapped, Error> {
        match self
            .single(MachineService::BOOTSTRAP, BootstrapRequest::default())
            .await
        {
            Ok(_) => Ok(Bootstrapped::Bootstrapped),
            Err(error) if error.is_already_exists() => Ok(Bootstrapped::AlreadyBootstrapped),
            Err(error) => Err(error),
        }
    }

    /// The members of etcd as this node sees them.
    ///
    /// # Errors
    /// [`ErrorKind::Remote`] or [`ErrorKind::Unavailable`] while etcd is not running.
    pub async fn etcd_members(&self) -> Result<Vec<EtcdMember>, Error> {
        let answer = self
            .single(
                MachineService::ETCD_MEMBER_LIST,
                EtcdMemberListRequest::default(),
            )
            .await?;
        let member = |member: crate::api::machine::EtcdMember| EtcdMember {
            id: member.id,
            hostname: member.hostname,
            peer_urls: member.peer_urls,
            client_urls: member.client_urls,
            learner: member.is_learner,
        };
        Ok(answer.members.into_iter().map(member).collect())
    }

    /// A snapshot of etcd. The bytes end with the SHA-256 of what precedes them, which is checked here.
    ///
    /// # Errors
    /// [`ErrorKind::Protocol`] when the snapshot is cut off or damaged.
    pub async fn etcd_snapshot(&self) -> Result<Vec<u8>, Error> {
        let stream = self
            .server_stream(
                MachineService::ETCD_SNAPSHOT,
                EtcdSnapshotRequest::default(),
            )
            .await?;
        let bytes = stream.bytes().await?;
        check_snapshot(&bytes).map_err(|error| self.about(error))?;
        Ok(bytes.to_vec())
    }
}

/// Whole database pages of 512 bytes, then a digest.
pub(crate) fn check_snapshot(bytes: &[u8]) -> Result<(), Error> {
    let damaged = |why: String| {
        Error::new(
            ErrorKind::Protocol,
            format!("the etcd snapshot is not usable: {why}"),
        )
    };
    if bytes.len() % 512 != 32 {
        return Err(damaged(format!(
            "{} bytes are not whole pages with a digest",
            bytes.len()
        )));
    }
    let (database, digest) = bytes.split_at(bytes.len() - 32);
    if Sha256::digest(database).as_slice() != digest {
        return Err(damaged("its digest does not fit".to_owned()));
    }
    Ok(())
}
