//! Telling the truth while working: one stream of events, rendered for a terminal, a log or a program.

mod event;
mod json;
mod lines;
mod terminal;

use std::io::Write;
use std::sync::{Arc, Mutex};

pub use event::{EVENT_SCHEMA_VERSION, Event, Outcome};
pub use json::JsonLines;
pub use lines::TimestampedLines;
pub use terminal::Bars;

/// Something that shows events.
pub trait Sink: Send {
    /// Shows one event.
    fn show(&mut self, event: &Event);
}

/// The one place that events go to; clones share it.
#[derive(Clone)]
pub struct Events {
    sink: Arc<Mutex<dyn Sink>>,
}

impl std::fmt::Debug for Events {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Events").finish_non_exhaustive()
    }
}

impl Events {
    /// Sends events to a sink.
    pub fn new(sink: impl Sink + 'static) -> Self {
        Self {
            sink: Arc::new(Mutex::new(sink)),
        }
    }

    /// Bars on a terminal, timestamped lines elsewhere, both on standard error.
    pub fn for_people() -> Self {
        use std::io::IsTerminal;
        if std::io::stderr().is_terminal() {
            Self::new(Bars::new())
        } else {
            Self::new(TimestampedLines::new(std::io::stderr()))
        }
    }

    /// One JSON object a line.
    pub fn json(output: impl Write + Send + 'static) -> Self {
        Self::new(JsonLines::new(output))
    }

    /// Events that nobody looks at.
    pub fn silent() -> Self {
        Self::new(Silent)
    }

    /// Events that are kept, with the place they are kept in.
    pub fn recording() -> (Self, Recorded) {
        let recorded = Recorded::default();
        (Self::new(recorded.clone()), recorded)
    }

    /// Shows one event.
    pub fn show(&self, event: Event) {
        let mut sink = self
            .sink
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        sink.show(&event);
    }

    /// A reporter for one step.
    pub fn reporter(&self, step: impl Into<String>) -> Reporter {
        Reporter {
            events: self.clone(),
            step: step.into(),
            last: Arc::default(),
        }
    }
}

/// Reports what one step does.
#[derive(Debug, Clone)]
pub struct Reporter {
    events: Events,
    step: String,
    last: Arc<Mutex<Option<(String, String)>>>,
}

impl Reporter {
    /// The step that is reported on.
    pub fn step(&self) -> &str {
        &self.step
    }

    /// Says what is waited for and what was last seen; a repetition is not shown again.
    pub fn waiting(&self, what: &str, last_seen: &str) {
        let now = (what.to_owned(), last_seen.to_owned());
        {
            let mut last = self
                .last
                .lock()
                .unwrap_or_else(std::sync::PoisonError::into_inner);
            if last.as_ref() == Some(&now) {
                return;
            }
            *last = Some(now.clone());
        }
        self.events.show(Event::Waiting {
            step: self.step.clone(),
            what: now.0,
            last_seen: now.1,
        });
    }

    /// Says what is being done now.
    pub fn doing(&self, what: impl Into<String>) {
        self.events.show(Event::Doing {
            step: self.step.clone(),
            what: what.into(),
        });
    }
}

struct Silent;

impl Sink for Silent {
    fn show(&mut self, _: &Event) {}
}

/// Events that were kept.
#[derive(Debug, Clone, Default)]
pub struct Recorded(Arc<Mutex<Vec<Event>>>);

impl Recorded {
    /// Takes out everything that was recorded so far.
    pub fn take(&self) -> Vec<Event> {
        std::mem::take(
            &mut *self
                .0
                .lock()
                .unwrap_or_else(std::sync::PoisonError::into_inner),
        )
    }
}

impl Sink for Recorded {
    fn show(&mut self, event: &Event) {
        self.0
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
            .push(event.clone());
    }
}
