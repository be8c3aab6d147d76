//! Staging: as strict as production about `cluster.yaml`, but it may be removed without naming it.

use std::process::ExitCode;

use homelab::environment::{Environment, Policy, Removal};

const STAGING: Environment = Environment::embedded(
    "staging",
    "examples/environments/staging/cluster.yaml",
    include_str!("../../environments/staging/cluster.yaml"),
);

fn main() -> ExitCode {
    let policy = Policy::guarded().removal(Removal::Confirmed);
    homelab::cli::run(STAGING, policy)
}
