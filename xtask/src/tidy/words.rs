//! What no text of the project may contain, and tests that must not be switched off silently.

use std::path::Path;

use super::{Problem, Source};

/// Marks of unfinished work and of the place where a text was made.
const FORBIDDEN: &[(&str, &str)] = &[
    ("TODO", "finish it, or say in the README what is missing"),
    ("FIXME", "fix it, or say in the README what is missing"),
    ("XXX", "say what is wrong and fix it"),
    ("lorem ipsum", "write the text"),
    ("as an AI", "say it yourself"),
    ("this session", "describe the code, not how it was made"),
    ("the brief", "describe the code, not how it was made"),
    (
        "/work/",
        "a path of one machine; say it relative to the workspace",
    ),
    (
        "/Users/",
        "a path of one machine; say it relative to the workspace",
    ),
    (
        ".cargo/registry/src",
        "a path of one machine; name the crate",
    ),
];

pub(super) fn check(sources: &[Source], root: &Path) -> Vec<Problem> {
    let root = root.display().to_string();
    let mut problems = Vec::new();
    for source in sources {
        // This folder names the words; fixtures and the lock file are data.
        if source.path.starts_with("xtask/src/tidy")
            || source.is_fixture()
            || source.path == "Cargo.lock"
        {
            continue;
        }
        for (number, line) in source.lines() {
            problems.extend(words(source, number, line, &root));
            problems.extend(switched_off(source, number, line));
        }
        problems.extend(last_line(source));
    }
    problems
}

fn words(source: &Source, number: usize, line: &str, root: &str) -> Vec<Problem> {
    let mut problems = Vec::new();
    for (word, remedy) in FORBIDDEN {
        if contains(line, word) {
            problems.push(Problem::new(
                &source.path,
                number,
                format!("{word:?}"),
                *remedy,
            ));
        }
    }
    if root.len() > 3 && line.contains(root) {
        let remedy = "say it relative to the workspace";
        problems.push(Problem::new(
            &source.path,
            number,
            "the path of this checkout",
            remedy,
        ));
    }
    problems
}

/// Words in capitals are marks and stand alone; others match within a line in any case.
fn contains(line: &str, word: &str) -> bool {
    if word.chars().all(|letter| letter.is_ascii_uppercase()) {
        let words = line.split(|letter: char| !(letter.is_alphanumeric() || letter == '_'));
        return words.into_iter().any(|part| part == word);
    }
    if word.contains('/') {
        // `/work/` at the start of a path only: `user/work/` is somebody's folder in an example.
        return line.match_indices(word).any(|(at, _)| {
            let before = line[..at].chars().next_back();
            !before.is_some_and(|letter| letter.is_alphanumeric() || letter == '.' || letter == '_')
        });
    }
    line.to_lowercase().contains(&word.to_lowercase())
}

fn switched_off(source: &Source, number: usize, line: &str) -> Option<Problem> {
    let trimmed = line.trim_start();
    if source.is_rust() {
        if trimmed.starts_with("#[ignore]") {
            let remedy = "give the reason: #[ignore = \"needs …\"]";
            return Some(Problem::new(
                &source.path,
                number,
                "a test ignored without a reason",
                remedy,
            ));
        }
        if trimmed.starts_with("#[should_panic]") {
            let remedy = "say which: #[should_panic(expected = \"…\")]";
            return Some(Problem::new(
                &source.path,
                number,
                "a test that any panic satisfies",
                remedy,
            ));
        }
    }
    let fence = match source.is_rust() {
        true => trimmed
            .strip_prefix("///")
            .or_else(|| trimmed.strip_prefix("//!"))?
            .trim_start(),
        false if source.is_markdown() => trimmed,
        false => return None,
    };
    let info = fence.strip_prefix("```")?;
    info.split(',')
        .any(|part| part.trim() == "ignore")
        .then(|| {
            let remedy = "let it run against the simulator, or mark it as text";
            Problem::new(&source.path, number, "an ignored doctest", remedy)
        })
}

fn last_line(source: &Source) -> Option<Problem> {
    if source.text.is_empty() || source.is_generated() {
        return None;
    }
    let last = source.text.lines().count();
    if source.text.contains('\r') {
        return Some(Problem::new(
            &source.path,
            1,
            "carriage returns",
            "end lines with \\n",
        ));
    }
    (!source.text.ends_with('\n')).then(|| {
        Problem::new(
            &source.path,
            last,
            "the last line does not end",
            "add a newline",
        )
    })
}

#[cfg(test)]
mod tests {
    use super::super::source;
    use super::*;

    fn one(path: &str, text: &str) -> Vec<String> {
        let found = check(&[source(path, text)], Path::new("/srv/checkout"));
        found
            .iter()
            .map(|problem| format!("{}: {}", problem.line, problem.what))
            .collect()
    }

    #[test]
    fn marks_of_unfinished_work_stand_alone() {
        assert_eq!(one("a/src/b.rs", "ok\n// TODO: later\n"), ["2: \"TODO\""]);
        assert!(one("a/src/b.rs", "let TODOS = 1; // method\n").is_empty());
    }

    #[test]
    fn paths_of_a_machine_are_found_at_the_start_of_a_path() {
        assert_eq!(one("a/b.md", "see /work/x\n"), ["1: \"/work/\""]);
        assert_eq!(
            one("a/b.md", "see /srv/checkout/x\n"),
            ["1: the path of this checkout"]
        );
        assert!(one("a/b.md", "restore to home/work/x\n").is_empty());
    }

    #[test]
    fn a_switched_off_test_needs_a_reason() {
        let text = "#[ignore]\n#[ignore = \"needs restic\"]\n#[should_panic]\n/// ```ignore\n//! ```rust,ignore\n";
        assert_eq!(
            one("a/src/b.rs", text),
            [
                "1: a test ignored without a reason",
                "3: a test that any panic satisfies",
                "4: an ignored doctest",
                "5: an ignored doctest"
            ]
        );
        assert_eq!(
            one("a/README.md", "```rust,ignore\n"),
            ["1: an ignored doctest"]
        );
        assert!(one("a/README.md", "```text\n```rust\n").is_empty());
    }

    #[test]
    fn texts_end_with_a_newline() {
        assert_eq!(one("a/b.toml", "a\nb"), ["2: the last line does not end"]);
    }
}
