//! Steps of a Dockerfile as they come: as buildx prints them in lines, as bars on a terminal, or one JSON object a line.
//!
//! ```text
//! #5 [build 2/4] RUN make
//! #5 0.412 cc -o x x.c
//! #5 DONE 0.9s
//! ```

use std::collections::BTreeMap;
use std::io::Write;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use corten_diagnostic::Report;
use corten_flow::dockerfile::{Progress as Listener, StepId, StepResult, plain};
use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::progress::Progress;
use super::text::safe;

/// Listens to steps.
pub struct Steps {
    how: How,
    /// `--why`: each step that ran says why.
    why: bool,
    known: Mutex<BTreeMap<StepId, Known>>,
}

enum How {
    Plain,
    Bars(MultiProgress),
    Json,
    Quiet,
}

struct Known {
    number: usize,
    start: Instant,
    name: String,
    bar: Option<ProgressBar>,
}

impl Steps {
    /// `draws`: is stderr a terminal that can draw?
    pub fn new(progress: Progress, is_quiet: bool, draws: bool, why: bool) -> Self {
        let bars = || How::Bars(MultiProgress::with_draw_target(ProgressDrawTarget::stderr_with_hz(12)));
        let how = match progress {
            _ if is_quiet => How::Quiet,
            Progress::Quiet => How::Quiet,
            Progress::Json => How::Json,
            Progress::Tty => bars(),
            Progress::Auto if draws => bars(),
            Progress::Auto | Progress::Plain => How::Plain,
        };
        Self { how, why, known: Mutex::default() }
    }

    fn known(&self) -> MutexGuard<'_, BTreeMap<StepId, Known>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn say(&self, line: &str) {
        // A tab of the file stands in a step's name, and in what it says.
        let write = || drop(writeln!(anstream::stderr().lock(), "{}", safe(&line.replace('\t', "    "))));
        match &self.how {
            How::Bars(bars) => bars.suspend(write),
            _ => write(),
        }
    }

    fn json(&self, object: &serde_json::Value) {
        drop(writeln!(std::io::stderr().lock(), "{object}"));
    }
}

fn seconds(time: Duration) -> String {
    format!("{:.1}s", time.as_secs_f64())
}

/// One line of the terminal, less what stands before it.
fn fitted(text: &str, before: usize) -> String {
    let width = terminal_size::terminal_size_of(std::io::stderr()).map_or(80, |(width, _)| usize::from(width.0));
    let room = width.saturating_sub(before + 1).max(20);
    let text = safe(&text.replace(['\n', '\t'], " "));
    match text.chars().count() > room {
        true => text.chars().take(room - 1).chain(['…']).collect(),
        false => text,
    }
}

impl Listener for Steps {
    fn started(&self, step: StepId, name: &str) {
        let mut known = self.known();
        let number = known.len() + 1;
        let bar = match &self.how {
            How::Bars(bars) => {
                let bar = bars.add(ProgressBar::new_spinner());
                let style = ProgressStyle::with_template("{spinner} {elapsed:>4} {msg}");
                bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_spinner()));
                bar.set_message(fitted(name, 8));
                bar.enable_steady_tick(Duration::from_millis(120));
                Some(bar)
            }
            _ => None,
        };
        known.insert(step, Known { number, start: Instant::now(), name: name.to_owned(), bar });
        drop(known);
        match self.how {
            How::Plain => self.say(&format!("#{number} {name}")),
            How::Json => self.json(&serde_json::json!({"event": "step_started", "step": number, "name": name})),
            How::Bars(_) | How::Quiet => {}
        }
    }

    fn output(&self, step: StepId, lines: &[u8]) {
        let text = String::from_utf8_lossy(lines);
        let known = self.known();
        let Some(Known { number, start, name, bar }) = known.get(&step) else { return };
        let at = start.elapsed().as_secs_f64();
        match &self.how {
            How::Plain => {
                let lines = text.split('\n').filter(|line| !line.is_empty());
                let lines = lines.map(|line| format!("#{number} {at:.3} {}", plain(line))).collect::<Vec<_>>();
                self.say(&lines.join("\n"));
            }
            How::Json => {
                self.json(&serde_json::json!({"event": "step_output", "step": number, "seconds": at, "text": text}));
            }
            How::Bars(_) => {
                let last = text.split('\n').map(plain).rfind(|line| !line.trim().is_empty());
                if let (Some(bar), Some(last)) = (bar, last) {
                    bar.set_message(format!("{}\n       {}", fitted(name, 8), fitted(&last, 8)));
                }
            }
            How::Quiet => {}
        }
    }

    fn finished(&self, step: StepId, result: Result<&StepResult, &Report>) {
        let (number, took, name) = {
            let mut known = self.known();
            let next = known.len() + 1;
            let known = known.entry(step).or_insert_with(|| {
                let name = result.map_or_else(|_| String::new(), |result| result.name.clone());
                Known { number: next, start: Instant::now(), name, bar: None }
            });
            if let Some(bar) = known.bar.take() {
                bar.finish_and_clear();
            }
            (known.number, known.start.elapsed(), known.name.clone())
        };
        let why = result.ok().and_then(|result| result.miss.as_ref()).filter(|_| self.why);
        match (&self.how, result) {
            (How::Quiet, _) => {}
            (How::Plain, Ok(result)) if result.cached => self.say(&format!("#{number} CACHED\n")),
            (How::Plain, Ok(_)) => self.say(&format!("#{number} DONE {}\n", seconds(took))),
            (How::Plain, Err(report)) => {
                let said = report.to_string();
                self.say(&format!("#{number} ERROR: {}\n", said.lines().next().unwrap_or_default()));
            }
            (How::Bars(_), Ok(result)) => {
                let how = if result.cached { "CACHED".to_owned() } else { seconds(took) };
                self.say(&format!("{how:>8}  {}", fitted(&name, 10)));
            }
            (How::Bars(_), Err(_)) => self.say(&format!("{:>8}  {}", "ERROR", fitted(&name, 10))),
            (How::Json, result) => self.json(&serde_json::json!({
                "event": "step_finished",
                "step": number,
                "name": name,
                "cached": result.is_ok_and(|result| result.cached),
                "seconds": took.as_secs_f64(),
                "why": result.ok().and_then(|result| result.miss.as_ref()),
                "error": result.err().map(ToString::to_string),
            })),
        }
        if let Some(miss) = why.filter(|_| matches!(self.how, How::Plain | How::Bars(_) | How::Quiet)) {
            self.say(&format!("{name}: {miss}"));
        }
    }

    fn rest(&self, why: &Report) {
        let bars = self.known().values_mut().filter_map(|known| known.bar.take()).collect::<Vec<_>>();
        bars.iter().for_each(ProgressBar::finish_and_clear);
        // In lines, what it wrote has been shown.
        if matches!(self.how, How::Bars(_)) {
            self.say(&why.to_string());
        }
    }

    fn note(&self, text: &str) {
        match self.how {
            How::Quiet => {}
            How::Json => self.json(&serde_json::json!({"event": "note", "text": text})),
            How::Plain | How::Bars(_) => self.say(&format!("{:>10}  {text}", "")),
        }
    }
}
