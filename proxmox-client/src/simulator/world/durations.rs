//! How long work takes.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// How long modelled work takes.
#[derive(Serialize, Deserialize, Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Durations {
    /// Making a machine, without its disks.
    pub create: Duration,
    /// Filling a disk from an image.
    pub import: Duration,
    /// Starting.
    pub start: Duration,
    /// Stopping hard.
    pub stop: Duration,
    /// Shutting down, if the guest listens.
    pub shutdown: Duration,
    /// Removing.
    pub delete: Duration,
    /// Growing a disk.
    pub resize: Duration,
    /// Taking or removing a snapshot, rolling back.
    pub snapshot: Duration,
    /// Making a template.
    pub template: Duration,
    /// A linked clone.
    pub linked_clone: Duration,
    /// A full clone, without the copying.
    pub full_clone: Duration,
    /// From a volume's allocation until it is used.
    #[serde(default)]
    pub activate: Duration,
    /// Reloading a node's networks.
    #[serde(default)]
    pub reload: Duration,
    /// Bytes per second of a copy.
    pub copy_speed: u64,
    /// From the start until the guest agent answers; none means never.
    pub agent_up: Option<Duration>,
    /// Whether guests listen to a shutdown.
    pub guests_listen: bool,
    /// From the start until a guest listens to a shutdown; one that comes earlier is lost.
    #[serde(default)]
    pub listens_after: Duration,
}

impl Default for Durations {
    fn default() -> Self {
        let ms = Duration::from_millis;
        Self {
            create: ms(20),
            import: ms(280),
            start: ms(1000),
            stop: ms(1200),
            shutdown: ms(400),
            delete: ms(120),
            resize: ms(70),
            snapshot: ms(60),
            template: ms(50),
            linked_clone: ms(120),
            full_clone: ms(100),
            activate: ms(30),
            reload: ms(1500),
            copy_speed: 200 << 20,
            agent_up: Some(ms(12_000)),
            guests_listen: true,
            listens_after: ms(0),
        }
    }
}
