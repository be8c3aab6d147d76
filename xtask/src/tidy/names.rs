//! What files are called, and that each module says what it is.

use super::{Problem, Source};

const VAGUE: &[&str] = &["utils", "util", "helpers", "helper", "common", "misc"];

pub(super) fn check(sources: &[Source]) -> Vec<Problem> {
    let left_behind = sources.iter().filter(|source| {
        source.path.ends_with(".pending-snap") || source.path.ends_with(".snap.new")
    });
    let mut problems: Vec<Problem> = left_behind
        .map(|source| {
            let remedy = "accept the snapshot or remove the file";
            Problem::new(&source.path, 1, "an undecided snapshot", remedy)
        })
        .collect();
    let rust = sources.iter().filter(|source| source.is_rust());
    for source in rust {
        problems.extend(name(source));
        problems.extend(test_binary(source));
        problems.extend(heading(source));
    }
    problems
}

fn name(source: &Source) -> Option<Problem> {
    if source.file_name() == "mod.rs" {
        let what = "mod.rs";
        let remedy = "name it after its folder, beside the folder";
        return Some(Problem::new(&source.path, 1, what, remedy));
    }
    if source.is_generated() {
        return None; // upstream's names
    }
    let stem = source.file_name().trim_end_matches(".rs");
    let vague = source
        .folders()
        .chain([stem])
        .find(|part| VAGUE.contains(part))?;
    let what = format!("{vague:?} names no subject");
    Some(Problem::new(
        &source.path,
        1,
        what,
        "name it for what it holds",
    ))
}

/// Each file right below `tests/` is linked as a program of its own; one per crate is enough.
fn test_binary(source: &Source) -> Option<Problem> {
    let (_, inner) = source.path.split_once("/tests/")?;
    (!inner.contains('/')).then(|| {
        let remedy = "make it a module of tests/it/main.rs";
        Problem::new(&source.path, 1, "a second integration-test binary", remedy)
    })
}

fn heading(source: &Source) -> Option<Problem> {
    if source.is_fixture() {
        return None;
    }
    let first = source.lines().find(|(_, line)| {
        let line = line.trim();
        let is_comment =
            line.starts_with("//") && !line.starts_with("///") && !line.starts_with("//!");
        let is_attribute = line.starts_with("#![") && !line.starts_with("#![doc");
        !(line.is_empty() || is_comment || is_attribute)
    });
    let (line, text) = first.unwrap_or((1, ""));
    if text.starts_with("//! ") || text.starts_with("#![doc") {
        return None;
    }
    let remedy = "start with `//!` and one line on what the module is";
    Some(Problem::new(
        &source.path,
        line,
        "a module without a heading",
        remedy,
    ))
}

#[cfg(test)]
mod tests {
    use super::super::source;
    use super::*;

    fn one(path: &str, text: &str) -> Vec<String> {
        check(&[source(path, text)])
            .iter()
            .map(Problem::to_string)
            .collect()
    }

    #[test]
    fn vague_names_and_mod_rs_are_refused_anywhere_on_the_path() {
        for path in [
            "a/src/utils.rs",
            "a/src/common/x.rs",
            "a/tests/it/helpers.rs",
            "a/src/x/mod.rs",
        ] {
            assert_eq!(one(path, "//! X.\n").len(), 1, "{path}");
        }
        assert!(one("a/src/commonly.rs", "//! X.\n").is_empty());
        assert!(one("a/src/generated/common.rs", "//! X.\n").is_empty());
    }

    #[test]
    fn an_undecided_snapshot_is_found() {
        assert_eq!(one("a/tests/it/.x.rs.pending-snap", "{}").len(), 1);
    }

    #[test]
    fn one_integration_test_binary() {
        assert!(one("a/tests/it/main.rs", "//! X.\n").is_empty());
        assert_eq!(one("a/tests/second.rs", "//! X.\n").len(), 1);
    }

    #[test]
    fn a_heading_may_follow_attributes_and_a_licence() {
        assert!(one("a/src/b.rs", "// Generated.\n#![no_main]\n\n//! X.\n").is_empty());
        assert!(one("a/src/lib.rs", "#![doc = include_str!(\"../README.md\")]\n").is_empty());
        let problems = one("a/src/b.rs", "\nuse std::fs;\n//! late\n");
        assert_eq!(problems.len(), 1);
        assert!(problems[0].starts_with("a/src/b.rs:2: "), "{problems:?}");
        assert_eq!(one("a/src/empty.rs", "").len(), 1);
    }
}
