//! Why can A not reach B? `wg_why FROM TO NAME=FILE…`, where TO is a name or an address.
//!
//! Follows the packet and the answer through the files and says where and why it ends. Exit code 1 when it does not
//! arrive.

#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a command-line program"
)]

use std::net::IpAddr;
use std::process::ExitCode;

use wireguard_config::why::Fabric;
use wireguard_config::{Config, Dialect};

fn load(arguments: &[String]) -> Result<Fabric, String> {
    let mut fabric = Fabric::new();
    for argument in arguments {
        let (name, path) = argument
            .split_once('=')
            .ok_or(format!("{argument}: write NAME=FILE"))?;
        let text = std::fs::read(path).map_err(|error| format!("{path}: {error}"))?;
        let config = Config::parse_as(text, Dialect::AmneziaWg)
            .map_err(|error| format!("{path}: {error}"))?;
        fabric.add(name, config);
    }
    Ok(fabric)
}

fn answer(arguments: &[String]) -> Result<bool, String> {
    let [from, to, files @ ..] = arguments else {
        return Err("usage: wg_why FROM TO NAME=FILE…".to_owned());
    };
    let fabric = load(files)?;
    let targets: Vec<IpAddr> = match to.parse() {
        Ok(address) => vec![address],
        Err(_) => fabric.addresses(to),
    };
    if targets.is_empty() {
        return Err(format!("{to} is neither an address nor one of the names"));
    }
    let mut all = true;
    for target in targets {
        let journey = fabric.why(from, target);
        println!("{from} -> {target}\n{journey}");
        all &= journey.arrives();
        if let Some(back) = fabric.back(from, target) {
            println!("and back\n{back}");
            all &= back.arrives();
        }
    }
    Ok(all)
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match answer(&arguments) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}
