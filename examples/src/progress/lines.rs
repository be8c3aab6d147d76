//! Events for a log: one line each, with the time.

use std::io::Write;

use super::{Event, Sink};

/// Writes one line an event, with the time of day in UTC.
#[derive(Debug)]
pub struct TimestampedLines<W> {
    output: W,
}

impl<W: Write> TimestampedLines<W> {
    /// Writes to `output`.
    pub fn new(output: W) -> Self {
        Self { output }
    }
}

impl<W: Write + Send> Sink for TimestampedLines<W> {
    fn show(&mut self, event: &Event) {
        let now = jiff::Timestamp::now().strftime("%H:%M:%S");
        // A reader that went away must not stop a build.
        let _ = writeln!(self.output, "{now} {}", event.line());
    }
}
