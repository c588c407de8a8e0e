//! `corten lint`: which files, by which settings, and what the rules say of them.
//!
//! ```text
//! files, folders, texts ─► find: which files ─► settings: of each file's folder ─► check: findings ─► report
//!                                                .hadolint.yaml, [lint], options     (in parallel)
//! ```
//!
//! A file is known by the path that leads to it from what was asked for. Results stand in the order of the arguments, below a
//! folder in that of the names, however many threads work.

mod find;
mod gitignore;
mod hadolint;
mod mend;
mod settings;
mod shellcheck;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::io::Read;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use corten_check::lint::{Choice, Config, Date, Linted, lint_compose, lint_dockerfile};
use corten_check::{Subject, fix, rule};
use corten_diagnostic::{Failure, Fault, Finding, Place, Report, Severity, Span};
use corten_frontend::yaml::Document;

pub use mend::{Mended, write_mended};
use settings::Rules;

pub use settings::Linter;

/// Nobody writes longer ones by hand.
const LARGEST: u64 = 4 << 20;
/// Of a thread: what nests takes some.
const STACK: usize = 8 << 20;

/// What is looked at, and how.
#[derive(Debug, Clone, Default)]
pub struct LintOptions {
    /// Files, folders and texts, in the order of the command line.
    pub inputs: Vec<Input>,
    /// `--config`: in place of what the folders have.
    pub config: Option<PathBuf>,
    /// What hadolint would read where a project has no settings.
    pub user_config: Option<PathBuf>,
    /// hadolint's variables of the environment, by their names (`HADOLINT_IGNORE` …).
    pub variables: BTreeMap<String, String>,
    /// `--select`, `--ignore` and `BUILDKIT_DOCKERFILE_CHECK`.
    pub choice: Choice,
    /// `--threshold`: in place of what the settings say.
    pub threshold: Option<Severity>,
    /// Never fail because of a finding.
    pub no_fail: bool,
    /// Where it runs: what paths are relative to.
    pub folder: PathBuf,
    /// Today.
    pub today: Option<Date>,
    /// Version of the driver that containers will find.
    pub driver: Option<String>,
    /// GPUs that they will find.
    pub gpus: Vec<String>,
    /// `--fix`, `--unsafe-fixes`: which fixes are made. The files are as they were until [`write_mended`].
    pub mend: Option<fix::Wanted>,
    /// `--shellcheck`: the program, where it is installed.
    pub shellcheck: Option<PathBuf>,
    /// Look also at what `.gitignore` leaves out.
    pub no_gitignore: bool,
    /// How many threads may work.
    pub jobs: usize,
}

/// One thing to look at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Input {
    /// A file, or a folder that is looked through.
    Path(PathBuf),
    /// A text that came by standard input, and the name that it goes by.
    Text(PathBuf, String),
}

/// What was found.
#[derive(Debug, Default)]
pub struct LintReport {
    /// All files that were looked at.
    pub files: Vec<LintedFile>,
    /// What is to be said besides: folders without anything to look at.
    pub notes: Vec<String>,
    /// Files that could not be looked at, and why: the world's fault, or ours. The others were.
    pub failures: Vec<Report>,
}

/// A file that was looked at.
#[derive(Debug)]
pub struct LintedFile {
    /// As the user knows it.
    pub path: PathBuf,
    /// The folder that was looked through, where it was found in one.
    root: Option<PathBuf>,
    /// Did its text come by other ways than from that path: by standard input, from an editor?
    pub is_text: bool,
    /// What it is.
    pub subject: Subject,
    /// Its text; empty where it is none.
    pub text: Arc<str>,
    /// What fixes did to it: [`LintedFile::text`] and what was found are what came out. None where none was wanted.
    pub mended: Option<Mended>,
    /// In the order of the text.
    pub findings: Vec<Finding>,
    /// Findings that comments in it silence.
    pub suppressed: usize,
    /// The least severity that fails; none where nothing does.
    pub threshold: Option<Severity>,
}

impl LintReport {
    /// Does no finding reach its file's threshold?
    pub fn passed(&self) -> bool {
        self.files.iter().all(LintedFile::passed)
    }

    /// All findings, file by file.
    pub fn findings(&self) -> impl Iterator<Item = &Finding> {
        self.files.iter().flat_map(|file| &file.findings)
    }
}

impl LintedFile {
    /// Does no finding reach the threshold?
    pub fn passed(&self) -> bool {
        self.threshold.is_none_or(|least| self.findings.iter().all(|finding| finding.severity < least))
    }
}

/// Looks at all that is asked for.
///
/// # Errors
/// Usage for settings that are wrong and paths that are not there; world where a file cannot be read.
pub fn lint(options: &LintOptions) -> Result<LintReport, Report> {
    let linter = Linter::new(options)?;
    let mut report = LintReport::default();
    let mut wanted = Vec::new();
    for input in &options.inputs {
        match input {
            Input::Text(name, text) => wanted.push(Wanted { text: Some(text.clone()), ..Wanted::named(name) }),
            Input::Path(path) => {
                let mut found = find::files(path, &linter)?;
                if found.is_empty() {
                    report.notes.push(find::nothing(path)?);
                }
                if options.mend.is_some() {
                    report.notes.extend(found.iter_mut().filter_map(mend::leave_foreign));
                }
                wanted.extend(found);
            }
        }
    }
    look_at(&wanted, options.jobs, &|one| linter.file(one), &mut report)?;
    Ok(report)
}

/// Looks at all files; one that cannot be read, or that a mistake of ours stops at, keeps none of the others back.
///
/// # Errors
/// Of settings, which hold for others, too; where no file at all could be looked at, of the first.
fn look_at(all: &[Wanted], jobs: usize, look: Look<'_>, report: &mut LintReport) -> Result<(), Report> {
    for result in parallel(all, jobs, &|one| guarded(one, look)) {
        match result {
            Ok(file) => report.files.push(file),
            Err(failure) if failure.error().fault() == Fault::Usage => return Err(failure),
            Err(failure) => report.failures.push(failure),
        }
    }
    if report.files.is_empty() && !report.failures.is_empty() {
        return Err(report.failures.remove(0));
    }
    Ok(())
}

/// Looks at one file.
type Look<'l> = &'l (dyn Fn(&Wanted) -> Result<LintedFile, Report> + Sync);

/// A panic of a rule is a failure of its file.
fn guarded(wanted: &Wanted, look: Look<'_>) -> Result<LintedFile, Report> {
    catch_unwind(AssertUnwindSafe(|| look(wanted))).unwrap_or_else(|_| {
        let message = format!("looking at {}: a rule came to a state that cannot be", wanted.path.display());
        Err(Failure::bug(message).hint("please report it, with that file").into())
    })
}

/// A file that is to be looked at.
#[derive(Debug)]
pub(crate) struct Wanted {
    path: PathBuf,
    /// The folder that was asked for, where one was: that is what its context is.
    root: Option<PathBuf>,
    /// Its text, where that is known.
    text: Option<String>,
    /// Is it a link out of that folder? No fix is made there.
    is_foreign: bool,
}

impl Wanted {
    /// A file that was asked for by its name.
    fn named(path: &Path) -> Self {
        Self { path: path.to_owned(), root: None, text: None, is_foreign: false }
    }
}

impl Linter<'_> {
    /// Looks at a text as if it stood in a file; none where the file would not be looked at. For editors and for fixes.
    ///
    /// # Errors
    /// Usage for settings that are wrong.
    pub fn text(&self, path: &Path, text: &str) -> Result<LintedFile, Report> {
        let wanted = Wanted { text: Some(text.to_owned()), ..Wanted::named(path) };
        self.file(&wanted)
    }

    fn file(&self, wanted: &Wanted) -> Result<LintedFile, Report> {
        let text = match &wanted.text {
            Some(text) => Ok(text.clone()),
            None => read(&wanted.path)?,
        };
        self.look(wanted, text)
    }

    fn look(&self, file: &Wanted, text: Result<String, String>) -> Result<LintedFile, Report> {
        let (path, root) = (file.path.as_path(), file.root.as_deref());
        let rules = self.rules(path)?;
        let subject = find::subject(path);
        let (text, linted, mended) = match text {
            Ok(text) => {
                let config = self.config(path, root, &rules)?;
                let choice = rules.choice(&self.absolute(path));
                let mut linted = looked(subject, path, &text, &config, &choice);
                let find = |text: &str| looked(subject, path, text, &config, &choice).findings;
                let wanted = self.options.mend.filter(|_| !file.is_foreign);
                let fixed = wanted.and_then(|wanted| mend::mend(path, &text, subject, wanted, &linted.findings, &find));
                let mut text: Arc<str> = text.into();
                let mended = fixed.map(|fixed| {
                    linted = looked(subject, path, &fixed.text, &config, &choice);
                    let before = std::mem::replace(&mut text, fixed.text.into());
                    Mended { before, made: fixed.made, refused: fixed.refused }
                });
                if let Some(program) = self.options.shellcheck.as_ref().filter(|_| subject == Subject::Dockerfile) {
                    shellcheck::add(program, path, &text, &choice, &mut linted)?;
                }
                (text, linted, mended)
            }
            Err(why) => (
                Arc::from(""),
                Linted { findings: vec![unreadable(Place::Source(path.to_owned()), why, "")], suppressed: 0 },
                None,
            ),
        };
        Ok(LintedFile {
            path: path.to_owned(),
            root: file.root.clone(),
            is_text: file.text.is_some(),
            subject,
            text,
            mended,
            findings: linted.findings,
            suppressed: linted.suppressed,
            threshold: self.threshold(&rules),
        })
    }
}

impl Linter<'_> {
    /// The least severity that fails; none where nothing does.
    fn threshold(&self, rules: &Rules) -> Option<Severity> {
        let of_settings = rules.threshold.filter(|_| !rules.no_fail);
        self.options.threshold.or(of_settings).filter(|_| !self.options.no_fail)
    }
}

fn looked(subject: Subject, path: &Path, text: &str, config: &Config, choice: &Choice) -> Linted {
    if subject == Subject::Dockerfile {
        return lint_dockerfile(path, text, config, choice);
    }
    match Document::read(path, text) {
        Ok(document) => lint_compose(&document, config, choice),
        Err(failure) => {
            use corten_diagnostic::Diagnose;
            let at = failure.span().cloned().unwrap_or_else(|| Span::new(path, text, 0..0));
            Linted { findings: vec![unreadable(Place::Text(at), failure.to_string(), "")], suppressed: 0 }
        }
    }
}

/// A finding of DL1000.
fn unreadable(at: Place, message: String, help: &str) -> Finding {
    let rule = rule("DL1000").map_or(corten_diagnostic::RuleId("DL1000"), |rule| rule.id);
    let help = Some(help.to_owned()).filter(|help| !help.is_empty());
    Finding { rule, severity: Severity::Error, message, at, help, fix: None }
}

/// The text of a file; the inner error is why it is none.
fn read(path: &Path) -> Result<Result<String, String>, Failure> {
    let file = std::fs::File::open(path);
    read_from(file.map_err(|error| Failure::world(format!("reading {}: {error}", path.display())))?, path)
}

fn read_from(file: std::fs::File, path: &Path) -> Result<Result<String, String>, Failure> {
    let mut bytes = Vec::new();
    let read = file.take(LARGEST + 1).read_to_end(&mut bytes);
    read.map_err(|error| Failure::world(format!("reading {}: {error}", path.display())))?;
    if bytes.len() as u64 > LARGEST {
        return Ok(Err(format!("it is larger than {} MB", LARGEST >> 20)));
    }
    Ok(String::from_utf8(bytes).map_err(|error| {
        let line = error.as_bytes().get(..error.utf8_error().valid_up_to()).unwrap_or_default();
        format!("line {} is not UTF-8 text", line.iter().filter(|byte| **byte == b'\n').count() + 1)
    }))
}

/// Calls `work` for all, on so many threads; results in the order of `all`.
fn parallel<T: Sync, R: Send>(all: &[T], jobs: usize, work: &(dyn Fn(&T) -> R + Sync)) -> Vec<R> {
    /// Below that a thread costs more than it brings.
    const FEW: usize = 4;
    let threads = jobs.min(all.len() / FEW).max(1);
    if threads == 1 {
        return all.iter().map(work).collect();
    }
    let next = AtomicUsize::new(0);
    let run = || {
        let mut done = Vec::new();
        loop {
            let at = next.fetch_add(1, Ordering::Relaxed);
            let Some(one) = all.get(at) else { return done };
            done.push((at, work(one)));
        }
    };
    let mut done = std::thread::scope(|scope| {
        let builder = || std::thread::Builder::new().stack_size(STACK);
        let spawned: Vec<_> = (1..threads).filter_map(|_| builder().spawn_scoped(scope, run).ok()).collect();
        let mut done = run();
        for thread in spawned {
            // A mistake of ours: files that nobody looked at must not pass.
            done.extend(thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)));
        }
        done
    });
    done.sort_by_key(|(at, _)| *at);
    done.into_iter().map(|(_, result)| result).collect()
}
