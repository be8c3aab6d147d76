//! What is known about a task on its way.

use std::time::Duration;

use crate::task::Outcome;
use crate::upid::Upid;

/// What was last seen of a task.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Progress {
    /// The task.
    pub upid: Upid,
    /// How long it has been watched.
    pub elapsed: Duration,
    /// The newest line of its log.
    pub last_line: Option<String>,
    /// Number of lines so far.
    pub lines: usize,
    /// Share done (0.0 to 1.0), where a line of the log says so.
    pub fraction: Option<f64>,
    /// How it ended, once it has.
    pub outcome: Option<Outcome>,
}

/// The share that a progress line tells: `transferred 1.0 GiB of 4.0 GiB (25.00%)`, `progress 12% (read …)`.
pub(super) fn fraction_of(line: &str) -> Option<f64> {
    let percent = line.find('%')?;
    let digits = line[..percent]
        .rfind(|c: char| !c.is_ascii_digit() && c != '.')
        .map_or(0, |at| {
            at + line[at..].chars().next().map_or(1, char::len_utf8)
        });
    let value: f64 = line[digits..percent].parse().ok()?;
    (0.0..=100.0).contains(&value).then_some(value / 100.0)
}

#[cfg(test)]
mod tests {
    use super::fraction_of;

    #[test]
    fn reads_the_share_from_the_lines_that_tell_it() {
        assert_eq!(
            fraction_of("transferred 1.0 GiB of 4.0 GiB (25.00%)"),
            Some(0.25)
        );
        assert_eq!(
            fraction_of("INFO:  12% (1.2 GiB of 10.0 GiB) in 3s"),
            Some(0.12)
        );
        assert_eq!(fraction_of("TASK OK"), None);
        assert_eq!(fraction_of("100 % odd"), None);
        assert_eq!(fraction_of("ä%"), None);
    }
}
