//! What happens while Corten works. Terminal, plain lines and JSON are implementors of [`Events`], so they cannot
//! drift apart.

use serde::Serialize;

/// Tells tasks apart that run at the same time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct TaskId(u64);

impl TaskId {
    /// Another number than ever before in this process.
    pub fn fresh() -> Self {
        use std::sync::atomic::{AtomicU64, Ordering};
        static NEXT: AtomicU64 = AtomicU64::new(1);
        Self(NEXT.fetch_add(1, Ordering::Relaxed))
    }
}

/// What a task counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Unit {
    /// Bytes.
    Bytes,
    /// Files, packages, checks …
    Things,
}

/// One thing that happened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Event<'a> {
    /// What was decided, and why.
    Decision {
        /// One or two words: `path`, `python`, `base` …
        about: &'a str,
        /// What.
        choice: &'a str,
        /// Because of what.
        why: &'a str,
    },
    /// A task begins.
    Started {
        /// Which.
        task: TaskId,
        /// What it does, for people: `download numpy 2.4.6`.
        what: &'a str,
        /// What it counts.
        unit: Unit,
        /// How many there will be, where known.
        total: Option<u64>,
    },
    /// A task got on.
    Advanced {
        /// Which.
        task: TaskId,
        /// How many more since the last event of this task.
        by: u64,
    },
    /// A task is over.
    Finished {
        /// Which.
        task: TaskId,
    },
    /// Something that only those want to read who look for a cause.
    Detail {
        /// One or two words: `request`, `cache`.
        about: &'a str,
        /// One line.
        text: &'a str,
    },
    /// Something that people want to read.
    Note {
        /// One line.
        text: &'a str,
    },
    /// Something that people ought to read.
    Warning {
        /// One line.
        text: &'a str,
    },
}

/// Takes events. Called from many threads.
pub trait Events: Sync {
    /// Takes one.
    fn emit(&self, event: Event<'_>);

    /// A line for those who look for a cause.
    fn detail(&self, about: &str, text: &str) {
        self.emit(Event::Detail { about, text });
    }

    /// A line that people want to read.
    fn note(&self, text: &str) {
        self.emit(Event::Note { text });
    }

    /// A line that people ought to read.
    fn warning(&self, text: &str) {
        self.emit(Event::Warning { text });
    }
}

/// Does not listen.
#[derive(Debug, Clone, Copy, Default)]
pub struct Nobody;

impl Events for Nobody {
    fn emit(&self, _event: Event<'_>) {}
}
