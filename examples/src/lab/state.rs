//! A lab that is kept in a file between runs.

use std::path::Path;
use std::time::SystemTime;

use serde::{Deserialize, Serialize};

use super::kubernetes;
use crate::failure::Failure;
use crate::secrets;

/// The form of the file; a lab of another form is refused.
const FORMAT: u32 = 1;

/// Everything that exists in a lab, at one moment.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[non_exhaustive]
pub struct LabWorld {
    /// The form that it is written in.
    format: u32,
    /// The moment.
    pub now: SystemTime,
    /// Proxmox VE.
    pub proxmox: proxmox_client::simulator::World,
    /// The Talos nodes.
    pub talos: talos_client::simulator::World,
    /// The Kubernetes API, once a control plane brought it up.
    pub kubernetes: Option<kubernetes::World>,
    /// Backups.
    pub restic: restic_wrapper::simulator::World,
}

impl LabWorld {
    pub(super) fn new(
        now: SystemTime,
        proxmox: proxmox_client::simulator::World,
        talos: talos_client::simulator::World,
        kubernetes: Option<kubernetes::World>,
        restic: restic_wrapper::simulator::World,
    ) -> Self {
        Self {
            format: FORMAT,
            now,
            proxmox,
            talos,
            kubernetes,
            restic,
        }
    }
}

/// Reads a kept lab; `None` when there is none yet.
pub(super) fn read(file: &Path) -> Result<Option<LabWorld>, Failure> {
    let place = file.display().to_string();
    let bytes = match std::fs::read(file) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(Failure::permanent(place, "cannot be read").caused_by(error)),
    };
    let remedy = "remove the file to begin with an empty lab";
    let world: LabWorld = ciborium::from_reader(bytes.as_slice()).map_err(|error| {
        Failure::permanent(&place, "is not a lab of this program")
            .caused_by(error)
            .hint(remedy)
    })?;
    if world.format != FORMAT {
        let message = format!(
            "is a lab of form {}, this program knows {FORMAT}",
            world.format
        );
        return Err(Failure::permanent(place, message).hint(remedy));
    }
    Ok(Some(world))
}

/// Writes a lab whole, for its owner only: machine configurations hold secrets.
pub(super) fn write(file: &Path, world: &LabWorld) -> Result<(), Failure> {
    let mut bytes = zeroize::Zeroizing::new(Vec::new());
    ciborium::into_writer(world, &mut *bytes).map_err(|error| {
        Failure::permanent(file.display().to_string(), "cannot hold the lab").caused_by(error)
    })?;
    secrets::write_file(file, &bytes)
}
