//! The command line.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

/// Plans, builds and verifies one cluster. Without a verb it is built on the lab inside this process, verified and described.
#[derive(Debug, Parser)]
#[command(version, max_term_width = 100)]
pub(crate) struct Arguments {
    #[command(flatten)]
    pub common: Common,
    #[command(subcommand)]
    pub verb: Option<Verb>,
}

/// What every verb understands.
#[derive(Debug, Args)]
pub(crate) struct Common {
    /// Reads this cluster.yaml instead of the one built in.
    #[arg(long, global = true, value_name = "FILE")]
    pub file: Option<PathBuf>,
    /// The systems to work on: simulators in this process, or those that cluster.yaml names.
    #[arg(long, global = true, value_enum, default_value_t = TargetName::Lab)]
    pub target: TargetName,
    /// Keeps the lab in this file between runs.
    #[arg(long, global = true, value_name = "FILE")]
    pub lab_state: Option<PathBuf>,
    /// How many times faster than real the lab's clock runs.
    #[arg(long, global = true, default_value_t = 60.0, value_name = "TIMES")]
    pub lab_speed: f64,
    /// Prints JSON for programs: the plan as one object, a run as one event a line.
    #[arg(long, global = true)]
    pub json: bool,
    /// Counts warnings about cluster.yaml as errors.
    #[arg(long, global = true)]
    pub strict: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum TargetName {
    /// Simulators in this process.
    Lab,
    /// The addresses in cluster.yaml.
    Real,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// Shows what `up` would do; exit 0 when nothing, 2 when something.
    Plan,
    /// Builds or changes the cluster and returns when it serves.
    Up {
        /// Goes ahead without a question.
        #[arg(long)]
        yes: bool,
    },
    /// Shows what is there.
    Status,
    /// Proves that the cluster serves, with evidence for each check.
    Verify,
    /// Writes everything that follows from cluster.yaml as files, without any secret.
    Render {
        /// The folder.
        #[arg(long, value_name = "DIR")]
        out: PathBuf,
        /// Writes nothing; exit 2 when the folder differs.
        #[arg(long)]
        check: bool,
    },
    /// Removes the machines of the cluster. Secrets and backups stay.
    Down {
        /// Goes ahead without a question.
        #[arg(long)]
        yes: bool,
        /// The name of the cluster, where the program's policy asks for it.
        #[arg(long, value_name = "CLUSTER")]
        name: Option<String>,
    },
}
