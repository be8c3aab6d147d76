//! Production: warnings about `cluster.yaml` are errors, and machines go away only when the cluster is named.

use std::process::ExitCode;

use homelab::environment::{Environment, Policy};

const PRODUCTION: Environment = Environment::embedded(
    "production",
    "examples/environments/production/cluster.yaml",
    include_str!("../../environments/production/cluster.yaml"),
);

fn main() -> ExitCode {
    homelab::cli::run(PRODUCTION, Policy::guarded())
}
