//! Taking the steps of a plan: side by side where the graph allows, again where a failure passes, never past one that stays.

mod executor;
mod retry;

pub use executor::{Actor, Applied, Interrupt, Limits, Stopped, apply};
pub use retry::{Attempt, Retry, decide, persistently};
