//! What has to be done: a graph of steps between the world as it was seen and the world as it is wanted.

mod decide;
mod graph;
mod step;
mod text;

pub use decide::{decide, removal};
pub use graph::{GraphProblem, Plan, Tally};
pub use step::{Action, Change, Difference, ObjectSet, Step, StepId};
