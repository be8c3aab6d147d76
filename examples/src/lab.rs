//! The lab: all simulators wired together in one process, a homelab without hardware.

pub mod clock;
pub mod gate;
pub mod kubernetes;
