//! Retention: which snapshots a policy keeps and why, worked out without restic and without a repository.
//!
//! The result equals that of `restic forget --dry-run`, reasons and groups included. The clock and the time zone are
//! arguments; zone data is part of the program.

mod args;
mod calendar;
mod duration;
mod policy;
mod simulate;
mod zone;

pub use args::{ForgetArgs, ParseForgetError};
pub use calendar::{Advice, calendar};
pub use duration::{ParseSpanError, Span};
pub use policy::{Count, Filter, GroupBy, ParsePolicyError, Policy, TagList};
pub use simulate::{Bucket, GroupPlan, Plan, PlanError, Reason};
pub use zone::Zone;

pub(crate) use simulate::describe;
