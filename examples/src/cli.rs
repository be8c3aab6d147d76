//! The command line that every environment's program shares.

mod arguments;
mod confirm;
mod verbs;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Parser;

use crate::environment::{Environment, Policy};
use crate::failure::Failure;
use crate::progress::Events;
use crate::session::Session;
use crate::spec::Spec;
use crate::target::Target;
use arguments::{Arguments, Common, TargetName, Verb};

/// `plan` found something to do, or `render --check` a difference.
const CHANGES: u8 = 2;

/// Reads the command line, does what it says and tells how it went.
///
/// Exit codes: `plan` 0 nothing to do, 2 changes, 1 error; `render --check` 2 on a difference; other verbs 0 or 1.
pub fn run(environment: Environment, policy: Policy) -> ExitCode {
    // kube and reqwest would each choose a provider of their own, and the second choice panics.
    if rustls::crypto::ring::default_provider()
        .install_default()
        .is_err()
    {
        return complain(&[Failure::permanent(
            "TLS",
            "another provider was chosen before",
        )]);
    }
    log_to_standard_error();
    let arguments = Arguments::parse();
    let runtime = match tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
    {
        Ok(runtime) => runtime,
        Err(error) => {
            return complain(&[Failure::permanent("runtime", "cannot start").caused_by(error)]);
        }
    };
    runtime.block_on(async {
        match dispatch(environment, policy, arguments).await {
            Ok(code) => code,
            Err(failures) => complain(&failures),
        }
    })
}

/// Shows what the libraries log, where `RUST_LOG` asks for it.
fn log_to_standard_error() {
    let filter = tracing_subscriber::EnvFilter::from_default_env();
    let _ = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .try_init();
}

async fn dispatch(
    environment: Environment,
    policy: Policy,
    arguments: Arguments,
) -> Result<ExitCode, Vec<Failure>> {
    let common = &arguments.common;
    let Some(spec) = read_spec(environment, policy, common)? else {
        return Ok(ExitCode::FAILURE);
    };
    if let Some(Verb::Render { out, check }) = &arguments.verb {
        return verbs::render(&spec, out, *check);
    }
    let session = open(environment, policy, common, spec)
        .await
        .map_err(|failure| vec![failure])?;
    let code = match arguments.verb {
        None => verbs::show(&session, common.json).await,
        Some(Verb::Plan) => verbs::plan(&session, common.json).await,
        Some(Verb::Up { yes }) => verbs::up(&session, yes, common.json).await,
        Some(Verb::Status) => verbs::status(&session, common.json).await,
        Some(Verb::Verify) => verbs::verify(&session, common.json).await,
        Some(Verb::Down { yes, name }) => {
            verbs::down(&session, policy, yes, name.as_deref(), common.json).await
        }
        Some(Verb::Render { .. }) => Ok(ExitCode::SUCCESS),
    };
    // What was done in the lab was done, also by a run that failed.
    session.keep().map_err(|failure| vec![failure])?;
    code
}

/// Reads and checks `cluster.yaml`; `None` when its problems were shown and forbid to go on.
fn read_spec(
    environment: Environment,
    policy: Policy,
    common: &Common,
) -> Result<Option<Spec>, Vec<Failure>> {
    let (name, text) = match &common.file {
        None => (environment.file.to_owned(), environment.text.to_owned()),
        Some(path) => {
            let name = path.display().to_string();
            let text = std::fs::read_to_string(path).map_err(|error| {
                vec![Failure::permanent(&name, "cannot be read").caused_by(error)]
            })?;
            (name, text)
        }
    };
    let strict = common.strict || policy.strict;
    let (spec, problems) = match Spec::parse(&name, &text) {
        Ok(spec) => {
            let warnings = spec.warnings().cloned();
            let fatal = warnings
                .as_ref()
                .is_some_and(|warnings| warnings.is_fatal(strict));
            ((!fatal).then_some(spec), warnings)
        }
        Err(problems) => (None, Some(problems)),
    };
    if let Some(problems) = problems {
        if common.json {
            print(&problems.to_json().to_string());
        } else {
            eprint(&problems.render(std::io::IsTerminal::is_terminal(&std::io::stderr())));
        }
    }
    Ok(spec)
}

async fn open(
    environment: Environment,
    policy: Policy,
    common: &Common,
    spec: Spec,
) -> Result<Session, Failure> {
    let folder = folder_of(
        common
            .file
            .as_deref()
            .unwrap_or(Path::new(environment.file)),
    );
    let events = if common.json {
        Events::json(std::io::stdout())
    } else {
        Events::for_people()
    };
    let target = match common.target {
        TargetName::Lab => {
            Target::lab(&spec, common.lab_state.as_deref(), common.lab_speed).await?
        }
        TargetName::Real => Target::real(&spec, &folder)?,
    };
    Session::open(spec, target, events, policy.at_once)
}

/// The folder that relative paths of `cluster.yaml` start from.
fn folder_of(file: &Path) -> PathBuf {
    let folder = file.parent().filter(|folder| folder.is_dir());
    folder.map_or_else(|| PathBuf::from("."), Path::to_path_buf)
}

#[expect(clippy::print_stdout, reason = "the one place that writes results")]
fn print(text: &str) {
    println!("{}", text.trim_end());
}

#[expect(clippy::print_stderr, reason = "the one place that writes problems")]
fn eprint(text: &str) {
    eprintln!("{}", text.trim_end());
}

fn complain(failures: &[Failure]) -> ExitCode {
    for failure in failures {
        eprint(&format!("error: {}", failure.story()));
        if let Some(remedy) = failure.remedy() {
            eprint(&format!("  help: {remedy}"));
        }
    }
    ExitCode::FAILURE
}
