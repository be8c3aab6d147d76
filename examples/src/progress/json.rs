//! Events for programs: one JSON object a line.

use std::io::Write;

use serde::Serialize;

use super::{EVENT_SCHEMA_VERSION, Event, Sink};

/// Writes one JSON object a line, each with the schema's version.
#[derive(Debug)]
pub struct JsonLines<W> {
    output: W,
}

#[derive(Serialize)]
struct Versioned<'a> {
    schema: u32,
    #[serde(flatten)]
    event: &'a Event,
}

impl<W: Write> JsonLines<W> {
    /// Writes to `output`.
    pub fn new(output: W) -> Self {
        Self { output }
    }
}

impl<W: Write + Send> Sink for JsonLines<W> {
    fn show(&mut self, event: &Event) {
        if let Ok(text) = serde_json::to_string(&Versioned {
            schema: EVENT_SCHEMA_VERSION,
            event,
        }) {
            // A reader that went away must not stop a build.
            let _ = writeln!(self.output, "{text}").and_then(|()| self.output.flush());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_carries_the_schema_version_and_the_kind_of_event() {
        let mut output = Vec::new();
        JsonLines::new(&mut output).show(&Event::Waiting {
            step: "nodes".to_owned(),
            what: "9 nodes Ready".to_owned(),
            last_seen: "8 of 9".to_owned(),
        });
        insta::assert_snapshot!(String::from_utf8(output).unwrap(), @r#"{"schema":1,"event":"waiting","step":"nodes","what":"9 nodes Ready","last_seen":"8 of 9"}"#);
    }
}
