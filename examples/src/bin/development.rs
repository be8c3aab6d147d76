//! Development: comes and goes; all machines are made at once.

use std::process::ExitCode;

use homelab::environment::{Environment, Policy};

const DEVELOPMENT: Environment = Environment::embedded(
    "development",
    "examples/environments/development/cluster.yaml",
    include_str!("../../environments/development/cluster.yaml"),
);

fn main() -> ExitCode {
    homelab::cli::run(DEVELOPMENT, Policy::relaxed().at_once(8))
}
