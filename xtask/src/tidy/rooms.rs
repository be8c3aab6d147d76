//! Libraries that may be replaced without anybody noticing stand in one room of a crate.
//!
//! What only one file names cannot leak into a public signature elsewhere.

use super::{Problem, Source};
use crate::metadata::CRATES;

/// A library, as it stands in a path, and the modules of a crate that may name it.
const ROOMS: &[(&str, &[&str])] = &[
    ("reqwest", &["transport"]),
    ("hyper", &["transport", "simulator"]),
    ("hyper_util", &["transport", "simulator"]),
    ("tonic", &["transport", "wire", "simulator", "generated"]),
    ("serde_saphyr", &["yaml"]),
    ("granit_parser", &["yaml"]),
    ("ssh2", &["ssh", "transport"]),
];

pub(super) fn check(sources: &[Source]) -> Vec<Problem> {
    let mut problems = Vec::new();
    for source in sources.iter().filter(|source| source.is_rust()) {
        let Some(module) = inside(source) else {
            continue;
        };
        for (library, rooms) in ROOMS {
            let allowed = module.split('/').any(|part| {
                let part = part.trim_end_matches(".rs");
                rooms.contains(&part)
            });
            if allowed {
                continue;
            }
            let named = source.lines().find(|(_, line)| names(line, library));
            if let Some((line, _)) = named {
                let rooms = rooms.join(".rs or ");
                let what = format!("names {library}");
                let remedy = format!("only {rooms}.rs (and what is below) may; wrap it there");
                problems.push(Problem::new(&source.path, line, what, remedy));
            }
        }
    }
    problems
}

/// The path below `src/` of one of the six crates.
fn inside(source: &Source) -> Option<&str> {
    let (folder, rest) = source.path.split_once('/')?;
    let known = CRATES.iter().any(|member| member.folder == folder);
    known.then(|| rest.strip_prefix("src/")).flatten()
}

/// `library::` as the start of a path, outside comments.
fn names(line: &str, library: &str) -> bool {
    let code = line.split("//").next().unwrap_or(line);
    let path = format!("{library}::");
    code.match_indices(&path).any(|(at, _)| {
        let before = code[..at].chars().next_back();
        !before.is_some_and(|letter| letter.is_alphanumeric() || letter == '_')
    })
}

#[cfg(test)]
mod tests {
    use super::super::source;
    use super::*;

    #[test]
    fn a_library_stays_in_its_room() {
        let files = [
            source("proxmox-client/src/transport.rs", "use reqwest::Client;\n"),
            source(
                "proxmox-client/src/transport/tls.rs",
                "use reqwest::Client;\n",
            ),
            source(
                "proxmox-client/src/simulator/server.rs",
                "use hyper::server;\n",
            ),
            source(
                "proxmox-client/src/task.rs",
                "//! x\nfn f(c: reqwest::Client) {}\n",
            ),
            source("examples/src/lab.rs", "use hyper::server;\n"),
            source("talos-client/tests/it/main.rs", "use tonic::Code;\n"),
        ];
        let problems = check(&files);
        assert_eq!(problems.len(), 1, "{problems:?}");
        assert_eq!(
            (problems[0].path.as_str(), problems[0].line),
            ("proxmox-client/src/task.rs", 2)
        );
    }

    #[test]
    fn a_comment_and_a_longer_name_are_no_use() {
        assert!(!names("/// like reqwest::Client", "reqwest"));
        assert!(!names("use my_reqwest::Client;", "reqwest"));
        assert!(names("pub use reqwest::Client;", "reqwest"));
    }
}
