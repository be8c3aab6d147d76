//! Proof that a backup is one: restore drills, rolling checks, freshness and growth, cost, and reports of all that.

mod cost;
mod drill;
mod health;
mod metrics;
mod read_plan;
mod sample;

pub use cost::{Cost, Prices, Usage};
pub use drill::{Drill, DrillEntry, DrillReport, Reference, Verdict};
pub use health::{Finding, Health, Limits};
pub use metrics::Metrics;
pub use read_plan::{ReadPlan, Subset};
