//! The lab: all simulators wired together in one process, a homelab without hardware.
//!
//! A machine that is started in the simulated Proxmox VE boots Talos; a control plane that runs etcd brings up the
//! Kubernetes API; kubelets register there; what runs on them is ready when all that it needs is there. Nothing
//! of it runs by itself: before each request the wiring looks at the modelled time and brings every system up to it.

mod access;
pub mod clock;
pub mod gate;
mod hardware;
mod hooks;
pub mod kubernetes;
mod servers;
mod state;
mod wiring;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use crate::failure::Failure;
use crate::pace::Pace;
use crate::secrets::SecretStore;
use crate::spec::Spec;

use clock::LabClock;
use gate::Gate;
use servers::Servers;
use wiring::Wiring;

pub use state::LabWorld;

/// Fresh labs begin this long ago: certificates made in modelled time must be valid in real time as well, and those of
/// the nodes live for a day.
const HEAD_START: Duration = Duration::from_secs(12 * 3600);

/// How the systems of a lab are reached.
#[derive(Debug, Clone)]
enum Reach {
    /// By function calls.
    InProcess,
    /// Over TLS on loopback.
    Tls(Arc<Servers>),
}

/// A homelab in this process; clones share it.
#[derive(Debug, Clone)]
pub struct Lab {
    wiring: Arc<Wiring>,
    clock: LabClock,
    reach: Reach,
    file: Option<PathBuf>,
    secrets: SecretStore,
    fixed_bundle: bool,
}

impl Lab {
    /// A lab for the hardware that a spec describes, reached over TLS on loopback.
    ///
    /// With `file` it goes on where it stopped, its secrets lie beside the file.
    ///
    /// # Errors
    ///
    /// A file that cannot be read or is not a lab; a loopback address that cannot be listened on.
    pub async fn over_tls(spec: &Spec, file: Option<&Path>, speed: f64) -> Result<Self, Failure> {
        let kept = file.map(state::read).transpose()?.flatten();
        let began = SystemTime::now() - HEAD_START;
        let began = kept.as_ref().map_or(began, |world| world.now.max(began));
        let clock = LabClock::starting_at(began, Pace::times(speed));
        let secrets = file.map_or_else(SecretStore::memory, |file| {
            let mut name = file.as_os_str().to_owned();
            name.push(".secrets.yaml");
            SecretStore::file(PathBuf::from(name))
        });
        let wiring = Wiring::new(spec, &clock, Gate::open(), kept)?;
        let servers = Servers::start(&wiring).await?;
        Ok(Self {
            wiring,
            clock,
            reach: Reach::Tls(Arc::new(servers)),
            file: file.map(Path::to_path_buf),
            secrets,
            fixed_bundle: false,
        })
    }

    /// A lab without sockets, for tests: it follows tokio's clock at the pace of real machines, which a paused
    /// clock passes at once, and its Talos bundle is always the same.
    ///
    /// # Errors
    ///
    /// A spec that no lab can be built for.
    pub fn in_process(
        spec: &Spec,
        gate: Gate,
        world: Option<LabWorld>,
        secrets: SecretStore,
    ) -> Result<Self, Failure> {
        // 2026-01-01: a fixed moment, so that two labs are alike.
        let began = SystemTime::UNIX_EPOCH + Duration::from_secs(1_767_225_600);
        let began = world.as_ref().map_or(began, |world| world.now);
        let clock = LabClock::starting_at(began, Pace::REAL);
        let wiring = Wiring::new(spec, &clock, gate, world)?;
        Ok(Self {
            wiring,
            clock,
            reach: Reach::InProcess,
            file: None,
            secrets,
            fixed_bundle: true,
        })
    }

    /// The systems and what connects them.
    pub fn wiring(&self) -> &Wiring {
        &self.wiring
    }

    /// A copy of everything that exists.
    pub fn snapshot(&self) -> LabWorld {
        self.wiring.snapshot()
    }

    pub(crate) fn pace(&self) -> Pace {
        self.clock.pace()
    }

    pub(crate) fn now(&self) -> SystemTime {
        self.clock.now()
    }

    pub(crate) fn secrets(&self) -> SecretStore {
        self.secrets.clone()
    }

    pub(crate) fn keep(&self) -> Result<(), Failure> {
        match &self.file {
            Some(file) => state::write(file, &self.snapshot()),
            None => Ok(()),
        }
    }
}
