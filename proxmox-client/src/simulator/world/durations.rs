//! How long things take.

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
    /// Starting a machine, without what the next two add. Default 0.3 s: one with a disk, without cloud-init and cards, took
    /// 0.29 s.
    pub start: Duration,
    /// Making the cloud-init image of a machine that starts. Default 0.35 s: with an image and a card six starts took 0.88 to
    /// 1.15 s, how much of it for which was not measured.
    #[serde(default)]
    pub start_cloud_init: Duration,
    /// Plugging one network card of a machine that starts into its bridge. Default 0.35 s, from the same starts.
    #[serde(default)]
    pub start_card: Duration,
    /// Starting a container. Default 1 s, which was not measured.
    #[serde(default = "one_second")]
    pub start_container: Duration,
    /// Stopping hard.
    pub stop: Duration,
    /// Stopping hard where QEMU is gone at once. With a daemon every other stop takes so long, by chance.
    #[serde(default)]
    pub stop_at_once: Duration,
    /// How long a stop that overrules shutdowns of a machine lets them end by themselves.
    #[serde(default)]
    pub overrule: Duration,
    /// Shutting down, if the guest listens.
    pub shutdown: Duration,
    /// Removing a machine, without its volumes.
    pub delete: Duration,
    /// Removing one volume of a machine.
    #[serde(default)]
    pub delete_volume: Duration,
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
    /// How long most of those who need the lock of a guest, a storage or a file of the cluster wait for it. Default 10 s.
    #[serde(default = "ten_seconds")]
    pub lock_wait: Duration,
    /// How long a creation waits for the lock of its new id. Default 5 s.
    #[serde(default = "five_seconds")]
    pub create_lock_wait: Duration,
    /// How long the clone of a machine waits for the lock of its source, and again for that of its new id. Default 1 s.
    #[serde(default = "one_second")]
    pub clone_lock_wait: Duration,
    /// How long a clone that failed pauses before it removes what it made. Default 1 s.
    #[serde(default = "one_second")]
    pub clean_up: Duration,
    /// How often a call that stops a task looks whether it is gone; it kills what is there after five looks. Default 1 s.
    #[serde(default = "one_second")]
    pub stop_look: Duration,
}

fn ten_seconds() -> Duration {
    Duration::from_secs(10)
}

fn five_seconds() -> Duration {
    Duration::from_secs(5)
}

fn one_second() -> Duration {
    Duration::from_secs(1)
}

impl Default for Durations {
    fn default() -> Self {
        let ms = Duration::from_millis;
        Self {
            create: ms(20),
            import: ms(160),
            start: ms(300),
            start_cloud_init: ms(350),
            start_card: ms(350),
            start_container: one_second(),
            stop: ms(1200),
            stop_at_once: ms(200),
            overrule: ms(3800),
            shutdown: ms(400),
            delete: ms(20),
            delete_volume: ms(12),
            resize: ms(70),
            snapshot: ms(60),
            template: ms(50),
            linked_clone: ms(120),
            full_clone: ms(80),
            activate: ms(30),
            reload: ms(1500),
            copy_speed: 200 << 20,
            agent_up: Some(ms(12_000)),
            guests_listen: true,
            listens_after: ms(0),
            lock_wait: ten_seconds(),
            create_lock_wait: five_seconds(),
            clone_lock_wait: one_second(),
            clean_up: one_second(),
            stop_look: one_second(),
        }
    }
}
