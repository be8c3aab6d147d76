//! Selector and scoring expressions (CEL): whether one can be read, knows what it names and gives the wanted type.

mod checker;
mod functions;
mod lexer;
mod parser;

use checker::{Checker, Type};

/// What an expression may name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Environment {
    /// `disk` and `system_disk`.
    Disk,
    /// `volume` and `disk`.
    Volume,
    /// `link`.
    Link,
    /// Memory pressure, as a whole and by class.
    OomTrigger,
    /// One control group.
    OomRanking,
}

/// What an expression must give.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Output {
    Bool,
    Double,
}

/// Longest expression, in characters.
const LONGEST: usize = 100_000;

/// Something wrong, at a number of characters from the start.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Issue {
    at: usize,
    message: String,
}

impl Issue {
    fn new(at: usize, message: impl Into<String>) -> Self {
        Self {
            at,
            message: message.into(),
        }
    }
}

impl Environment {
    /// The error shows every problem below the line that it stands in.
    pub(super) fn check(self, text: &str, output: Output) -> Result<(), String> {
        let length = text.chars().count();
        if length > LONGEST {
            return Err(format!(
                "expression code point size exceeds limit: size: {length}, limit {LONGEST}"
            ));
        }
        let parsed = parser::parse(text).map_err(|issues| shown(text, issues))?;
        let mut checker = Checker::new(self);
        let found = checker.check(&parsed);
        if !checker.issues.is_empty() {
            return Err(shown(text, checker.issues));
        }
        let (wanted, name) = match output {
            Output::Bool => (Type::Bool, "bool"),
            Output::Double => (Type::Double, "double"),
        };
        if found == wanted {
            Ok(())
        } else {
            Err(format!(
                "expression output type is {found}, expected {name}"
            ))
        }
    }
}

fn shown(text: &str, mut issues: Vec<Issue>) -> String {
    issues.sort_by_key(|issue| issue.at);
    let lines: Vec<String> = issues.iter().map(|issue| display(text, issue)).collect();
    lines.join("\n")
}

/// Place, message, the line and a mark below the place.
fn display(text: &str, issue: &Issue) -> String {
    let (mut line, mut column) = (1, 0);
    for c in text.chars().take(issue.at) {
        if c == '\n' {
            (line, column) = (line + 1, 0);
        } else {
            column += 1;
        }
    }
    let snippet = text.split('\n').nth(line - 1).unwrap_or_default();
    let snippet = snippet.replace('\t', " ");
    let mut mark = String::new();
    let mut chars = snippet.chars();
    for c in chars.by_ref().take(column) {
        mark.push(if c.is_ascii() { '.' } else { '\u{ff0e}' });
    }
    mark.push(match chars.next() {
        Some(c) if !c.is_ascii() => '\u{ff3e}',
        _ => '^',
    });
    format!(
        "ERROR: <input>:{line}:{}: {}\n | {snippet}\n | {mark}",
        column + 1,
        issue.message
    )
}

#[cfg(test)]
mod tests {
    use super::{Environment, Output};

    fn fails(environment: Environment, text: &str) -> String {
        environment.check(text, Output::Bool).unwrap_err()
    }

    #[test]
    fn selectors_that_people_write_are_fine() {
        for text in [
            "!system_disk && disk.size >= 100u * GiB",
            "disk.transport == \"nvme\" || glob('WDC*', disk.model)",
            "'/dev/disk/by-id/x' in disk.symlinks",
            "disk.serial.startsWith(\"S\") ? disk.rotational : !disk.readonly",
            "disk.symlinks.exists(s, s.contains('nvme')) && size(disk.model) > 0",
            "has(disk.model) && disk.size in [1u, 2u]",
        ] {
            assert_eq!(
                Environment::Disk.check(text, Output::Bool),
                Ok(()),
                "{text}"
            );
        }
        let mac = "mac(link.permanent_addr) == \"00:1a:2b:3c:4d:5e\" && link.type == 1";
        assert_eq!(Environment::Link.check(mac, Output::Bool), Ok(()));
        let ranking = "memory_max.hasValue() ? 0.0 : ({Besteffort: 1.0, System: 0.0}[class] * double(memory_current.orValue(0u)))";
        assert_eq!(
            Environment::OomRanking.check(ranking, Output::Double),
            Ok(())
        );
        let trigger = "multiply_qos_vectors(d_qos_memory_full_total, {System: 8.0}) > 3000.0 &&\ntime_since_trigger > duration(\"500ms\")";
        assert_eq!(Environment::OomTrigger.check(trigger, Output::Bool), Ok(()));
    }

    #[test]
    fn types_that_do_not_fit_are_named() {
        assert_eq!(
            fails(Environment::Disk, "disk.size > 120"),
            "ERROR: <input>:1:11: found no matching overload for '_>_' applied to '(uint, int)'\n | disk.size > 120\n | ..........^"
        );
        assert_eq!(
            fails(Environment::Disk, "1 + 1"),
            "expression output type is int, expected bool"
        );
        assert!(
            fails(Environment::Disk, "disk.colour == ''").contains("1:5: undefined field 'colour'")
        );
        assert!(
            fails(Environment::Disk, "shape(disk)")
                .contains("1:6: undeclared reference to 'shape'")
        );
    }

    #[test]
    fn broken_texts_are_told_where_they_break() {
        for (text, head) in [
            (
                "a b",
                "1:3: Syntax error: extraneous input 'b' expecting <EOF>",
            ),
            (
                "os:bogus",
                "1:3: Syntax error: mismatched input ':' expecting <EOF>",
            ),
            (
                "1.2.3.4/99",
                "1:4: Syntax error: mismatched input '.3' expecting <EOF>",
            ),
            (
                "https://x",
                "1:6: Syntax error: extraneous input ':' expecting <EOF>",
            ),
            (
                "disk.size >",
                "1:12: Syntax error: mismatched input '<EOF>' expecting {'[', '{', '(', '.', '-', '!', 'true', 'false', 'null', NUM_FLOAT, NUM_INT, NUM_UINT, STRING, BYTES, IDENTIFIER}",
            ),
            ("1e400", "1:1: invalid double literal"),
            (
                "caf\u{e9}",
                "1:4: Syntax error: token recognition error at: '\u{e9}'",
            ),
        ] {
            let told = fails(Environment::Disk, text);
            assert!(
                told.starts_with(&format!("ERROR: <input>:{head}\n")),
                "{told}"
            );
        }
    }

    #[test]
    fn deep_and_long_texts_end_in_an_error() {
        for text in [
            "(".repeat(90_000),
            "!".repeat(99_000),
            vec!["1u"; 30_000].join("+"),
            "x".repeat(200_000),
        ] {
            assert!(Environment::Disk.check(&text, Output::Bool).is_err());
        }
    }
}
