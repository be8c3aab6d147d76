//! How long files may be.

use super::{Problem, Source};

/// Lines of any file of code or prose.
const HARD_CAP: usize = 1000;
/// Lines of a file below `generated/`.
const GENERATED_CAP: usize = 5000;
/// Lines of a `lib.rs`: documentation, module list, re-exports.
const LIB_CAP: usize = 120;
/// Lines of a program of `examples`.
const PROGRAM_CAP: usize = 60;
/// What nearly all files should stay under, and how many per cent of them must.
const COMFORTABLE: usize = 600;
const COMFORTABLE_SHARE: usize = 90;
/// Lines of ARCHITECTURE.md and words of the root README.
const ARCHITECTURE_CAP: usize = 250;
const README_WORDS: usize = 900;

pub(super) fn check(sources: &[Source]) -> Vec<Problem> {
    let mut problems: Vec<Problem> = sources.iter().filter_map(check_one).collect();
    let (small, all) = share(sources);
    if small * 100 < all * COMFORTABLE_SHARE {
        problems.push(Problem::new(
            "Cargo.toml",
            1,
            format!("only {small} of {all} Rust files are under {COMFORTABLE} lines"),
            format!("split the long ones until {COMFORTABLE_SHARE} of 100 are"),
        ));
    }
    problems
}

fn check_one(source: &Source) -> Option<Problem> {
    let lines = source.text.lines().count();
    let (cap, remedy) = cap(source)?;
    if source.path == "README.md" {
        let words = source.text.split_whitespace().count();
        if words > README_WORDS {
            let what = format!("{words} words, at most {README_WORDS}");
            return Some(Problem::new(&source.path, 1, what, "say less"));
        }
    }
    (lines > cap).then(|| {
        Problem::new(
            &source.path,
            cap + 1,
            format!("{lines} lines, at most {cap}"),
            remedy,
        )
    })
}

fn cap(source: &Source) -> Option<(usize, &'static str)> {
    let code = [".rs", ".md", ".toml", ".proto", ".sh"];
    if source.is_fixture() || !code.iter().any(|ending| source.path.ends_with(ending)) {
        return None;
    }
    Some(if source.is_generated() {
        (GENERATED_CAP, "let the generator write several files")
    } else if source.path.ends_with("/src/lib.rs") {
        (
            LIB_CAP,
            "move code into modules; lib.rs lists and re-exports",
        )
    } else if source.path.starts_with("examples/src/bin/") {
        (
            PROGRAM_CAP,
            "move the rest into the library; a program states policy",
        )
    } else if source.path == "ARCHITECTURE.md" {
        (ARCHITECTURE_CAP, "keep what rarely changes")
    } else {
        (HARD_CAP, "split it by subject into name.rs and name/")
    })
}

/// How many Rust files written by hand are comfortably small, of how many.
fn share(sources: &[Source]) -> (usize, usize) {
    let by_hand = sources
        .iter()
        .filter(|source| source.is_rust() && !source.is_generated());
    let sizes: Vec<usize> = by_hand.map(|source| source.text.lines().count()).collect();
    let small = sizes.iter().filter(|&&lines| lines <= COMFORTABLE).count();
    (small, sizes.len())
}

pub(super) fn summary(sources: &[Source]) -> String {
    let (small, all) = share(sources);
    let by_hand = sources
        .iter()
        .filter(|source| source.is_rust() && !source.is_generated());
    let lines: usize = by_hand.map(|source| source.text.lines().count()).sum();
    format!("{all} Rust files, {lines} lines by hand, {small} files of at most {COMFORTABLE}")
}

#[cfg(test)]
mod tests {
    use super::super::source;
    use super::*;

    fn lines(path: &str, count: usize) -> Source {
        source(path, &"x\n".repeat(count))
    }

    #[test]
    fn each_kind_of_file_has_its_cap() {
        for (path, cap) in [
            ("a/src/b.rs", 1000),
            ("a/README.md", 1000),
            ("a/src/generated/b.rs", 5000),
            ("a/src/lib.rs", 120),
            ("examples/src/bin/production.rs", 60),
            ("ARCHITECTURE.md", 250),
        ] {
            assert_eq!(check_one(&lines(path, cap)), None, "{path}");
            let problem = check_one(&lines(path, cap + 1)).unwrap();
            assert_eq!((problem.path.as_str(), problem.line), (path, cap + 1));
        }
    }

    #[test]
    fn data_has_no_cap() {
        assert_eq!(check_one(&lines("a/tests/data/answers.json", 9000)), None);
        assert_eq!(check_one(&lines("a/tests/it/fixtures/long.rs", 9000)), None);
    }

    #[test]
    fn nine_of_ten_files_are_small() {
        let mut files: Vec<Source> = (0..9)
            .map(|at| lines(&format!("a/src/f{at}.rs"), 10))
            .collect();
        files.push(lines("a/src/long.rs", 700));
        assert!(check(&files).is_empty());
        files.push(lines("a/src/longer.rs", 800));
        assert_eq!(
            check(&files)[0].what,
            "only 9 of 11 Rust files are under 600 lines"
        );
    }
}
