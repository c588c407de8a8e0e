//! What several platforms say alike is said once.

use std::collections::HashSet;
use std::sync::{Mutex, PoisonError};

use corten_diagnostic::{Event, Events};

/// Passes on what it has not passed on before; the course of tasks always.
pub struct Once<'a> {
    events: &'a dyn Events,
    said: Mutex<HashSet<String>>,
}

impl<'a> Once<'a> {
    /// Passes on to `events`.
    pub fn new(events: &'a dyn Events) -> Self {
        Self { events, said: Mutex::default() }
    }

    fn is_new(&self, event: &Event<'_>) -> bool {
        let text = match event {
            Event::Decision { about, choice, why } => [about, choice, why].map(|part| *part).join("\n"),
            Event::Note { text } | Event::Warning { text } => (*text).to_owned(),
            Event::Started { .. } | Event::Advanced { .. } | Event::Finished { .. } | Event::Detail { .. } => {
                return true;
            }
        };
        self.said.lock().unwrap_or_else(PoisonError::into_inner).insert(text)
    }
}

impl Events for Once<'_> {
    fn emit(&self, event: Event<'_>) {
        if self.is_new(&event) {
            self.events.emit(event);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Default)]
    struct Heard(Mutex<Vec<String>>);

    impl Events for Heard {
        fn emit(&self, event: Event<'_>) {
            self.0.lock().unwrap().push(format!("{event:?}"));
        }
    }

    #[test]
    fn what_was_said_is_not_said_again() {
        let heard = Heard::default();
        let once = Once::new(&heard);
        for platform in ["linux/amd64", "linux/arm64"] {
            once.note("a note");
            once.emit(Event::Decision { about: "base", choice: platform, why: "pinned" });
            once.emit(Event::Decision { about: "python", choice: "3.11", why: "pinned" });
        }
        assert_eq!(heard.0.into_inner().unwrap().len(), 4);
    }
}
