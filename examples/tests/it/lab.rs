//! Whole clusters on the lab in this process, on a paused clock: what a build leaves behind, whatever happens to it.

mod faults;
mod killed;
mod life;
mod picture;
mod program;
mod recording;
mod wrong;
