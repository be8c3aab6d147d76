//! Proof that a cluster serves: every check says what it saw.

mod report;

pub use report::{Evidence, Machine, Report, StorageClass, TunnelPair, Verdict};
