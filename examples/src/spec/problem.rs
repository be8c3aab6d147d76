//! What is wrong with a file: every problem at once, each with its rule, its place and its remedy.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use miette::{Diagnostic, GraphicalReportHandler, GraphicalTheme, LabeledSpan, NamedSource};
use serde::Serialize;

/// Whether a problem stops the program.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Severity {
    /// Shown; fails only where the caller asked for strictness.
    Warning,
    /// Nothing is planned or built while one is there.
    Error,
}

/// A stretch of the source text.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Span {
    /// Bytes from the start of the file, end excluded.
    #[serde(skip)]
    pub bytes: Range<usize>,
    /// First line, from 1.
    pub line: usize,
    /// First column in characters, from 1.
    pub column: usize,
    /// Length in bytes.
    pub length: usize,
}

impl Span {
    /// The span of `bytes` in `text`; both ends are moved back to the nearest character boundary inside it.
    #[must_use]
    pub fn of(text: &str, bytes: Range<usize>) -> Self {
        let floor = |mut at: usize| {
            at = at.min(text.len());
            while !text.is_char_boundary(at) {
                at -= 1;
            }
            at
        };
        let start = floor(bytes.start);
        let end = floor(bytes.end).max(start);
        let before = &text[..start];
        let line_start = before.rfind('\n').map_or(0, |at| at + 1);
        Self {
            line: before.matches('\n').count() + 1,
            column: before[line_start..].chars().count() + 1,
            length: end - start,
            bytes: start..end,
        }
    }
}

/// A second place that belongs to a problem.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Related {
    /// Where.
    pub span: Span,
    /// What is there, in a few words.
    pub label: String,
}

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Problem {
    /// Rule id, as in the table of [`super::rules`].
    pub rule: &'static str,
    /// Whether it stops the program.
    pub severity: Severity,
    /// Path of the value, for example `nodes[3].address`.
    pub path: String,
    /// One line that names the value and what is wrong with it. Never holds a secret.
    pub message: String,
    /// Where in the file.
    pub span: Span,
    /// Other places that take part.
    pub related: Vec<Related>,
    /// What to write instead.
    pub help: Option<String>,
}

/// Everything that is wrong with one file, in the order of the file.
#[derive(Clone, PartialEq, Eq)]
pub struct Problems {
    file: Arc<str>,
    text: Arc<str>,
    list: Vec<Problem>,
}

impl Problems {
    /// Sorts the problems by place and wipes the stretches of `secrets` from the text that is shown.
    pub(crate) fn new(
        file: &str,
        text: &str,
        mut list: Vec<Problem>,
        secrets: &[Range<usize>],
    ) -> Self {
        list.sort_by(|a, b| {
            (a.span.bytes.start, a.rule, &a.message).cmp(&(b.span.bytes.start, b.rule, &b.message))
        });
        list.dedup();
        let mut shown = text.as_bytes().to_vec();
        for secret in secrets {
            let end = secret.end.min(shown.len());
            for byte in &mut shown[secret.start.min(end)..end] {
                if *byte != b'\n' {
                    *byte = b'*';
                }
            }
        }
        let text = String::from_utf8(shown).unwrap_or_default();
        Self {
            file: file.into(),
            text: text.into(),
            list,
        }
    }

    /// The problems, in the order of the file.
    #[must_use]
    pub fn list(&self) -> &[Problem] {
        &self.list
    }

    /// Name of the file as it was given.
    #[must_use]
    pub fn file(&self) -> &str {
        &self.file
    }

    /// Whether there is nothing to say.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// Whether one of them stops the program; in strict mode a warning does too.
    #[must_use]
    pub fn is_fatal(&self, strict: bool) -> bool {
        self.list
            .iter()
            .any(|problem| strict || problem.severity == Severity::Error)
    }

    /// How many errors and how many warnings.
    #[must_use]
    pub fn counts(&self) -> (usize, usize) {
        let errors = self
            .list
            .iter()
            .filter(|problem| problem.severity == Severity::Error)
            .count();
        (errors, self.list.len() - errors)
    }

    /// Report for a person: each problem with its line and a caret, then one line of totals.
    ///
    /// `color` chooses a terminal's colours and line drawing; without it the text is plain ASCII.
    #[must_use]
    pub fn render(&self, color: bool) -> String {
        let theme = if color {
            GraphicalTheme::unicode()
        } else {
            GraphicalTheme::none()
        };
        let handler = GraphicalReportHandler::new_themed(theme)
            .with_links(false)
            .with_width(120);
        let source = NamedSource::new(&*self.file, self.text.to_string());
        let mut out = String::new();
        for problem in &self.list {
            let report = Report {
                problem,
                source: &source,
            };
            if handler.render_report(&mut out, &report).is_err() {
                out.push_str(&problem.message);
                out.push('\n');
            }
            out.push('\n');
        }
        let (errors, warnings) = self.counts();
        out.push_str(&format!("{}: {}\n", self.file, totals(errors, warnings)));
        out.lines()
            .flat_map(|line| [line.trim_end(), "\n"])
            .collect()
    }

    /// The same for programs: `{"file", "errors", "warnings", "problems": [...]}`.
    #[must_use]
    pub fn to_json(&self) -> serde_json::Value {
        let (errors, warnings) = self.counts();
        serde_json::json!({
            "file": &*self.file,
            "errors": errors,
            "warnings": warnings,
            "problems": self.list,
        })
    }
}

fn totals(errors: usize, warnings: usize) -> String {
    let plural =
        |count: usize, noun: &str| format!("{count} {noun}{}", if count == 1 { "" } else { "s" });
    format!(
        "{}, {}",
        plural(errors, "error"),
        plural(warnings, "warning")
    )
}

impl fmt::Debug for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Problems")
            .field("file", &self.file)
            .field("list", &self.list)
            .finish()
    }
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for problem in &self.list {
            let Span { line, column, .. } = problem.span;
            writeln!(
                f,
                "{}:{line}:{column}: {}: {}",
                self.file, problem.rule, problem.message
            )?;
        }
        let (errors, warnings) = self.counts();
        write!(f, "{}: {}", self.file, totals(errors, warnings))
    }
}

impl std::error::Error for Problems {}

struct Report<'a> {
    problem: &'a Problem,
    source: &'a NamedSource<String>,
}

impl fmt::Debug for Report<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.problem.fmt(f)
    }
}

impl fmt::Display for Report<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.problem.message)
    }
}

impl std::error::Error for Report<'_> {}

impl Diagnostic for Report<'_> {
    fn code<'b>(&'b self) -> Option<Box<dyn fmt::Display + 'b>> {
        let Problem {
            rule,
            path,
            severity,
            ..
        } = self.problem;
        let severity = match severity {
            Severity::Error => "error",
            Severity::Warning => "warning",
        };
        let at = if path.is_empty() {
            String::new()
        } else {
            format!(" at {path}")
        };
        Some(Box::new(format!("{severity} {rule}{at}")))
    }

    fn severity(&self) -> Option<miette::Severity> {
        Some(match self.problem.severity {
            Severity::Error => miette::Severity::Error,
            Severity::Warning => miette::Severity::Warning,
        })
    }

    fn help<'b>(&'b self) -> Option<Box<dyn fmt::Display + 'b>> {
        self.problem
            .help
            .as_ref()
            .map(|help| Box::new(help) as Box<dyn fmt::Display>)
    }

    fn source_code(&self) -> Option<&dyn miette::SourceCode> {
        Some(self.source)
    }

    fn labels(&self) -> Option<Box<dyn Iterator<Item = LabeledSpan> + '_>> {
        let primary = LabeledSpan::new_primary_with_span(None, self.problem.span.bytes.clone());
        let related = self.problem.related.iter().map(|other| {
            LabeledSpan::new_with_span(Some(other.label.clone()), other.span.bytes.clone())
        });
        Some(Box::new(std::iter::once(primary).chain(related)))
    }
}
