//! Events as they come: bars on a terminal, plain lines elsewhere, one JSON object a line for programs.

use std::collections::BTreeMap;
use std::io::Write;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use corten_diagnostic::{Event, Events, TaskId, Unit};
use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::text::safe;

/// How progress is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub enum Progress {
    /// Bars on a terminal, plain lines elsewhere.
    #[default]
    Auto,
    /// Lines.
    Plain,
    /// Bars.
    Tty,
    /// One JSON object a line, on stderr.
    Json,
    /// Nothing but warnings.
    Quiet,
}

/// How much is said on stderr.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Loudness {
    /// Errors, which are no events.
    Errors,
    /// Warnings, too.
    Warnings,
    /// The story.
    Story,
    /// Each request, and each thing that was or was not in the cache.
    Details,
}

/// Makes the listener. `terminal`: is stderr one that can draw?
pub fn listener(progress: Progress, loudness: Loudness, terminal: bool) -> Box<dyn Events + Send> {
    let details = loudness == Loudness::Details;
    match progress {
        _ if loudness == Loudness::Errors => Box::new(Lines { loudness }),
        // Bars would be drawn anew after each line.
        Progress::Auto if terminal && !details => Box::new(Bars::new()),
        Progress::Tty => Box::new(Bars::new()),
        Progress::Auto | Progress::Plain => Box::new(Lines { loudness }),
        Progress::Quiet => Box::new(Lines { loudness: Loudness::Warnings }),
        Progress::Json => Box::new(Json { details }),
    }
}

fn say(line: &str) {
    // A closed stderr is no reason to stop.
    drop(writeln!(anstream::stderr().lock(), "{}", safe(line)));
}

/// One line of the story, or none for events that only bars show.
fn story(event: &Event<'_>) -> Option<String> {
    match event {
        Event::Decision { about, choice, why } => Some(format!("{about:>10}  {choice}  ({why})")),
        Event::Detail { about, text } => Some(format!("{about:>10}  {text}")),
        Event::Note { text } => Some(format!("{:>10}  {text}", "")),
        Event::Warning { text } => Some(format!("{:>10}  {text}", "warning")),
        Event::Started { .. } | Event::Advanced { .. } | Event::Finished { .. } => None,
    }
}

struct Lines {
    loudness: Loudness,
}

impl Events for Lines {
    fn emit(&self, event: Event<'_>) {
        let needs = match &event {
            Event::Warning { .. } => Loudness::Warnings,
            Event::Detail { .. } => Loudness::Details,
            _ => Loudness::Story,
        };
        if self.loudness < needs {
            return;
        }
        if let Event::Started { what, .. } = event {
            say(&format!("{:>10}  {what}", ""));
        } else if let Some(line) = story(&event) {
            say(&line);
        }
    }
}

struct Json {
    details: bool,
}

impl Events for Json {
    fn emit(&self, event: Event<'_>) {
        if matches!(event, Event::Detail { .. }) && !self.details {
            return;
        }
        if let Ok(line) = serde_json::to_string(&event) {
            drop(writeln!(std::io::stderr().lock(), "{line}"));
        }
    }
}

/// A bar for each task under way; finished ones vanish.
struct Bars {
    all: MultiProgress,
    tasks: Mutex<BTreeMap<TaskId, ProgressBar>>,
}

impl Bars {
    fn new() -> Self {
        Self { all: MultiProgress::with_draw_target(ProgressDrawTarget::stderr_with_hz(12)), tasks: Mutex::default() }
    }

    fn start(&self, task: TaskId, what: &str, unit: Unit, total: Option<u64>) {
        let bar = self.all.add(total.map_or_else(ProgressBar::new_spinner, ProgressBar::new));
        bar.set_style(style(unit, total.is_some()));
        bar.set_message(safe(what));
        bar.enable_steady_tick(Duration::from_millis(120));
        self.tasks.lock().unwrap_or_else(PoisonError::into_inner).insert(task, bar);
    }
}

fn style(unit: Unit, counted: bool) -> ProgressStyle {
    let template = match (unit, counted) {
        (Unit::Bytes, true) => "{spinner} {bar:24} {decimal_bytes:>9}/{decimal_total_bytes:9} {msg}",
        (Unit::Bytes, false) => "{spinner} {decimal_bytes:>9} {msg}",
        (Unit::Things, true) => "{spinner} {bar:24} {pos:>9}/{len:9} {msg}",
        (Unit::Things, false) => "{spinner} {msg}",
    };
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar())
}

impl Events for Bars {
    fn emit(&self, event: Event<'_>) {
        match event {
            Event::Started { task, what, unit, total } => self.start(task, what, unit, total),
            Event::Advanced { task, by } => {
                if let Some(bar) = self.tasks.lock().unwrap_or_else(PoisonError::into_inner).get(&task) {
                    bar.inc(by);
                }
            }
            Event::Finished { task } => {
                if let Some(bar) = self.tasks.lock().unwrap_or_else(PoisonError::into_inner).remove(&task) {
                    bar.finish_and_clear();
                }
            }
            Event::Detail { .. } => {}
            other => {
                if let Some(line) = story(&other) {
                    self.all.suspend(|| say(&line));
                }
            }
        }
    }
}
