//! From what a folder shows to the lines that say so: settings for what is known, comments for what is a guess.

use std::collections::BTreeMap;

use corten_diagnostic::Failure;
use corten_frontend::entry::{Certainty, Entry, Facts, find};
use corten_frontend::settings::{Health, HealthSetting, Line, Port, Probe, Setting, Settings, words};
use serde_json::{Map, Value, json};

use super::Found;
use super::imports::Imports;
use super::shown::{Lock, Shown, sentence};
use super::workload::{Guess, Workload};
use crate::bases::BASES;
use crate::gpu::TargetOptions;
use crate::start;
use crate::weights::is_named_as_model;

/// What would be written, and what is said beside it.
pub struct Proposal {
    /// Comments at the top.
    pub head: Vec<String>,
    pub lines: Vec<Line>,
    /// .dockerignore, where one is needed and there is none.
    pub ignore_file: Option<String>,
    /// requirements.in, where nothing else says what is needed.
    pub requirements: Option<String>,
    pub found: Vec<Found>,
    pub problems: Vec<String>,
    pub next: Vec<String>,
}

/// Says what a folder shows. `is_ignored`: another hand writes .dockerignore.
pub fn propose(shown: &Shown, guess: &Guess, imports: &Imports, is_ignored: bool) -> Proposal {
    let mut proposal = Proposal {
        head: vec![
            "Written by `corten init`. Lines behind a # are comments: guesses, or what is found anew each time.".into(),
            "All settings: `corten schema`; which hold, and why: `corten plan --explain-settings`.".into(),
        ],
        lines: Vec::new(),
        ignore_file: None,
        requirements: None,
        found: Vec::new(),
        problems: Vec::new(),
        next: Vec::new(),
    };
    version(shown, &mut proposal);
    lock(shown, imports, &mut proposal);
    workload(shown, guess, &mut proposal);
    base(shown, &mut proposal);
    start(shown, &mut proposal);
    weights(shown, &mut proposal);
    if !is_ignored {
        ignore(shown, &mut proposal);
    }
    proposal.next.push("corten plan".to_owned());
    proposal
}

impl Proposal {
    fn found(
        &mut self,
        what: &'static str,
        value: impl Into<String>,
        certainty: Certainty,
        because: impl Into<String>,
    ) {
        self.found.push(Found { what, value: value.into(), certainty, because: because.into() });
    }

    fn set(&mut self, key: &'static str, value: Value, why: impl Into<String>) {
        self.lines.push(Line { key, value, proposed: false, why: vec![why.into()] });
    }

    /// Driver and GPUs, where somebody has named them.
    pub fn runs_on(&mut self, typed: &TargetOptions) {
        if typed.is_typed() {
            let mut value = Map::new();
            value.extend(typed.driver.iter().map(|driver| ("driver".to_owned(), json!(driver))));
            value.extend((!typed.gpus.is_empty()).then(|| ("gpus".to_owned(), json!(typed.gpus))));
            self.set("gpu", Value::Object(value), "On what it is to run, as --driver and --gpu named it.");
        }
    }

    fn suggest(&mut self, key: &'static str, value: Value, why: impl Into<String>) {
        self.lines.push(Line { key, value, proposed: true, why: vec![why.into()] });
    }
}

/// Where `[project]` has none and no build backend could tell one.
fn version(shown: &Shown, proposal: &mut Proposal) {
    let is_built = shown.settings.project.as_ref().is_some_and(|project| project.build_system);
    if shown.settings.version.is_none() && !is_built {
        let why = "No version stands anywhere: without this line the tags say 0+unknown.";
        proposal.suggest("version", json!("0.1.0"), why);
    }
}

/// What it is for; what its image may need because of that, as comments.
fn workload(shown: &Shown, guess: &Guess, proposal: &mut Proposal) {
    proposal.found("workload", guess.workload.row().name, guess.certainty, &guess.because);
    if guess.workload != Workload::GpuTraining {
        return;
    }
    let compiles = shown.sources.iter().any(|(_, text)| text.contains("torch.compile("));
    if compiles {
        let why = "torch.compile starts a C compiler: with these it finds one in the image.";
        proposal.suggest("variant", json!("slim"), why);
        proposal.suggest("packages", json!(["gcc", "libc6-dev"]), why);
    }
}

/// The packages that sources and notebooks import, where nothing else names any.
fn requirements(imports: &Imports, proposal: &mut Proposal) {
    let mut text = String::from(
        "# Written by `corten init`: what sources and notebooks import, by the names that the packages usually have.\n",
    );
    for (package, path) in imports {
        let path: String = path.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect();
        text.push_str(&format!("{package}  # {path}\n"));
    }
    let names: Vec<&str> = imports.keys().map(String::as_str).collect();
    let because = "imported; a module's name is not always its package's";
    proposal.found("imports", names.join(" "), Certainty::Low, because);
    proposal
        .problems
        .push("there is no lock: `corten lock` makes pylock.toml of requirements.in, once that is right".to_owned());
    proposal.next.push("corten lock".to_owned());
    proposal.requirements = Some(text);
}

fn lock(shown: &Shown, imports: &Imports, proposal: &mut Proposal) {
    match &shown.lock {
        Lock::Is { name, packages } => {
            let because = packages
                .map_or_else(|| "no base fits it".to_owned(), |count| format!("{count} packages for linux/amd64"));
            proposal.found("lock", name, Certainty::Certain, because);
        }
        Lock::Missing { from: Some(from) } => {
            proposal.problems.push(format!("there is no lock: `corten lock` makes pylock.toml of {from}"));
            proposal.head.push(format!("There is no lock yet: `corten lock` makes pylock.toml of {from}."));
            proposal.next.push("corten lock".to_owned());
        }
        Lock::Missing { from: None } if !shown.perhaps_locks.is_empty() => {
            let sentence = "there is no lock under a usual name: `lock` in the settings says which file it is";
            proposal.problems.push(sentence.to_owned());
        }
        Lock::Missing { from: None } if !imports.is_empty() => requirements(imports, proposal),
        Lock::Missing { from: None } => {
            proposal.problems.push("there is nothing to lock: neither pyproject.toml nor requirements.txt".to_owned());
        }
        Lock::Wrong(failure) => problem(failure, proposal),
    }
    if let Some(first) = shown.perhaps_locks.first() {
        let names = shown.perhaps_locks.join(", ");
        proposal.suggest("lock", json!(first), format!("If it pins what is installed. There: {names}."));
    }
    if !shown.left_out.is_empty() {
        let groups = shown.left_out.join(", ");
        proposal.head.push(format!("Dependency groups that stay out: {groups}. `groups = [\"NAME\"]` takes one in."));
        proposal.found("groups", "none", Certainty::Certain, format!("left out: {groups}"));
    }
}

fn problem(failure: &Failure, proposal: &mut Proposal) {
    let sentence = sentence(failure);
    proposal.head.push(format!("To be settled: {sentence}"));
    proposal.problems.push(sentence);
}

fn base(shown: &Shown, proposal: &mut Proposal) {
    let choice = match &shown.base {
        Some(Ok(choice)) => choice,
        Some(Err(why)) => {
            proposal.head.push(format!("To be settled: {why}"));
            return proposal.problems.push(why.clone());
        }
        None => return,
    };
    let reference = choice.base.value.to_string();
    let python = BASES.iter().find(|base| base.reference == reference).map_or("", |base| base.python);
    let said = choice.why.starts_with(".python-version") || choice.why.starts_with("pinned");
    let certainty = if said { Certainty::Certain } else { Certainty::High };
    proposal.set("base", json!(reference), format!("Python {python}: {} ({}).", choice.why, certainty.name()));
    proposal.found("base", &reference, certainty, format!("Python {python}: {}", choice.why));
}

fn start(shown: &Shown, proposal: &mut Proposal) {
    let start = match &shown.start {
        Ok(start) => start,
        Err(failure) if matches!(shown.lock, Lock::Missing { .. }) => {
            return proposal.head.push(format!("How it starts is decided once there is a lock. So far: {failure}."));
        }
        Err(failure) => return problem(failure, proposal),
    };
    let at = start.at.as_ref().map(|at| format!(" at {at}")).unwrap_or_default();
    let because = format!("{}{at}", start.rule);
    let port = start::port(&shown.settings, start.web);
    let says_port = port.is_some_and(|port| start.command.iter().any(|word| word.contains(&port.to_string())));
    let also = if says_port { " The port stands in it, too." } else { "" };
    let why = format!("{because} ({}).{also}", start.certainty.name());
    match means_the_same(shown, start) {
        true => proposal.set("run", command(&start.command), why),
        false => {
            let why = format!("{why} Found anew each time: it also sets PYTHONPATH or variables.");
            proposal.suggest("run", command(&start.command), why);
        }
    }
    proposal.found("run", start.command.join(" "), start.certainty, because);
    let Some(port) = port else { return };
    proposal.set("port", json!(port), "What it listens on.");
    proposal.found("port", port.to_string(), start.certainty, "it is a web service");
    if let Some(path) = &start.health_path {
        proposal.set("healthcheck", json!({"path": path}), "A path of the service.");
        proposal.found("health", path, start.certainty, "a path of the service");
    }
    proposal.problems.extend(start.warning.clone());
}

/// Words where they are read back as the same ones, else an array.
pub(super) fn command(command: &[String]) -> Value {
    let line = command.join(" ");
    match words(&line) {
        Ok(same) if same == command => json!(line),
        _ => json!(command),
    }
}

/// Is the image of the settings with these lines the image without them?
fn means_the_same(shown: &Shown, start: &Entry) -> bool {
    let mut settings: Settings = shown.settings.clone();
    settings.run = Some(Setting::default_of(start.command.clone()));
    if let Some(port) = start::port(&shown.settings, start.web) {
        settings.port = Setting::default_of(Port::Number(port));
    }
    if let Some(path) = start.health_path.as_ref().filter(|_| start.web) {
        let health = Health { probe: Probe::Http(path.clone()), ..Health::default() };
        settings.healthcheck = Setting::default_of(HealthSetting::On(health));
    }
    let again = find(&Facts { sources: &shown.sources, settings: &settings, installed: &[] });
    again.is_ok_and(|again| start::config(&settings, &again) == start::config(&shown.settings, start))
}

/// Patterns of models that are in the image anyway, with files and bytes.
fn model_patterns(shown: &Shown) -> BTreeMap<String, (u64, u64)> {
    let mut patterns: BTreeMap<String, (u64, u64)> = BTreeMap::new();
    let models = shown.context.app.iter().filter(|found| is_named_as_model(&found.path, found.metadata.len()));
    for found in models.filter(|found| !in_package(shown, &found.path)) {
        let folder = found.path.rsplit_once('/').map(|(folder, _)| format!("{folder}/")).unwrap_or_default();
        let extension = found.path.rsplit_once('.').map_or("", |(_, extension)| extension);
        let (files, bytes) = patterns.entry(format!("{}*.{extension}", quoted(&folder))).or_default();
        (*files, *bytes) = (*files + 1, bytes.saturating_add(found.metadata.len()));
    }
    patterns
}

/// The same, alone.
pub fn models(shown: &Shown) -> Vec<String> {
    model_patterns(shown).into_keys().collect()
}

/// Models get a layer of their own; others may be named.
fn weights(shown: &Shown, proposal: &mut Proposal) {
    let patterns = model_patterns(shown);
    if !patterns.is_empty() {
        let (files, bytes) = patterns.values().fold((0, 0), |sum, one| (sum.0 + one.0, sum.1 + one.1));
        let names: Vec<&String> = patterns.keys().collect();
        let why = format!(
            "{}: a layer of their own, apart from the code ({}).",
            amount(files, bytes),
            Certainty::High.name()
        );
        proposal.set("weights", json!(names), why);
        let because = format!("{} by name and size", amount(files, bytes));
        proposal.found(
            "weights",
            names.iter().map(|name| name.as_str()).collect::<Vec<_>>().join(" "),
            Certainty::High,
            because,
        );
    }
    for (folder, group, files, bytes) in &shown.set_aside {
        let amount = amount(*files, *bytes);
        proposal
            .head
            .push(format!("{folder}: {amount}, stays out ({group}); `weights` takes in what the service loads."));
        proposal.found("stays out", folder, Certainty::Medium, format!("{amount}, by the rule for {group}"));
    }
}

/// A package's files are installed with it.
fn in_package(shown: &Shown, path: &str) -> bool {
    let is_package = |folder: &str| shown.context.app.iter().any(|found| found.path == format!("{folder}/__init__.py"));
    let is_built = shown.settings.project.as_ref().is_some_and(|project| project.build_system);
    let mut folders = path.match_indices('/').map(|(at, _)| path.get(..at).unwrap_or_default());
    is_built && folders.any(is_package)
}

/// A path as a pattern that means it alone.
fn quoted(path: &str) -> String {
    let mut pattern = String::new();
    for letter in path.chars() {
        if matches!(letter, '*' | '?' | '[' | ']' | '\\') {
            pattern.push('\\');
        }
        pattern.push(letter);
    }
    pattern
}

/// Folders that services do not read, by name, with what lies in them.
const UNREAD: [(&str, &str); 8] = [
    ("tests", "tests"),
    ("test", "tests"),
    ("docs", "documentation"),
    ("doc", "documentation"),
    ("notebooks", "notebooks"),
    (".circleci", "continuous integration"),
    (".devcontainer", "an editor's container"),
    (".dvc", "data version control"),
];
/// Endings of data sets.
const DATA: [&str; 10] = ["csv", "tsv", "parquet", "jsonl", "arrow", "feather", "npy", "tar", "gz", "zip"];
/// Bytes; less does not weigh.
const HEAVY: u64 = 1_000_000;

/// Patterns of what no service reads, with the reason for each, and whether that is sure.
pub fn unread(shown: &Shown) -> Vec<(String, String, bool)> {
    let mut lines: Vec<(String, String, bool)> = Vec::new();
    for (folder, what) in UNREAD {
        let (files, bytes) = below(shown, folder);
        if files > 0 {
            let sure = !is_named(shown, folder);
            let doubt = if sure { "" } else { ", but its name stands in pyproject.toml or an import" };
            lines.push((folder.to_owned(), format!("{what}: {}{doubt}", amount(files, bytes)), sure));
        }
    }
    let taken: Vec<String> = lines.iter().map(|(folder, ..)| format!("{folder}/")).collect();
    let rest =
        shown.context.app.iter().filter(|found| !taken.iter().any(|folder| found.path.starts_with(folder.as_str())));
    let rest: Vec<_> = rest.collect();
    let notebooks = rest.iter().filter(|found| found.path.ends_with(".ipynb"));
    let (files, bytes) = notebooks.fold((0, 0), |sum, found| (sum.0 + 1, sum.1 + found.metadata.len()));
    if files > 0 {
        lines.push(("**/*.ipynb".to_owned(), format!("notebooks: {}", amount(files, bytes)), true));
    }
    let mut data: BTreeMap<&str, (u64, u64)> = BTreeMap::new();
    for found in &rest {
        let is_data =
            found.path.rsplit_once('.').is_some_and(|(_, end)| DATA.contains(&end.to_ascii_lowercase().as_str()));
        if let Some((top, _)) = found.path.split_once('/').filter(|_| is_data) {
            let (files, bytes) = data.entry(top).or_default();
            (*files, *bytes) = (*files + 1, bytes.saturating_add(found.metadata.len()));
        }
    }
    for (folder, (files, bytes)) in data.into_iter().filter(|(_, (_, bytes))| *bytes >= HEAVY) {
        let why = format!("data: {}; take the # away if the service does not read them", amount(files, bytes));
        lines.push((quoted(folder), why, false));
    }
    // A name that a line cannot hold is left to its owner.
    lines.retain(|(pattern, ..)| !pattern.chars().any(char::is_control) && pattern.trim() == pattern);
    lines
}

/// Those that are a guess are comments.
fn ignore(shown: &Shown, proposal: &mut Proposal) {
    let lines = unread(shown);
    if lines.is_empty() {
        return;
    }
    for (pattern, why, sure) in &lines {
        let certainty = if *sure { Certainty::High } else { Certainty::Low };
        proposal.found("stays out", pattern, certainty, why);
    }
    match (shown.has.ignore_file, shown.has.dockerfile) {
        // It says what stays out already.
        (true, _) => {
            proposal.found.retain(|found| found.what != "stays out" || found.because.contains("by the rule for"))
        }
        // A .dockerignore would change what the Dockerfile sees.
        (false, true) => ignore_setting(&lines, proposal),
        (false, false) => proposal.ignore_file = Some(ignore_file(&lines)),
    }
}

fn ignore_setting(lines: &[(String, String, bool)], proposal: &mut Proposal) {
    let sure: Vec<&String> = lines.iter().filter(|(.., sure)| *sure).map(|(pattern, ..)| pattern).collect();
    let why = lines.iter().map(|(pattern, why, _)| format!("{pattern}: {why}."));
    let mut why: Vec<String> = why.collect();
    why.insert(0, "What no service reads. (Not in .dockerignore: the Dockerfile would not see it either.)".to_owned());
    let proposed = sure.is_empty();
    let patterns = if proposed { lines.iter().map(|(pattern, ..)| pattern).collect() } else { sure };
    proposal.lines.push(Line { key: "ignore", value: json!({"patterns": patterns}), proposed, why });
}

fn ignore_file(lines: &[(String, String, bool)]) -> String {
    let mut text = String::from(
        "# Written by `corten init`: what no service reads. Version control, environments, caches and experiments stay out anyway.\n",
    );
    for (pattern, why, sure) in lines {
        let mark = if *sure { "" } else { "# " };
        text.push_str(&format!("# {why}\n{mark}{pattern}\n"));
    }
    text
}

/// Files and bytes below a folder.
fn below(shown: &Shown, folder: &str) -> (u64, u64) {
    let inside = shown
        .context
        .app
        .iter()
        .filter(|found| found.path.strip_prefix(folder).is_some_and(|rest| rest.starts_with('/')));
    inside.fold((0, 0), |sum, found| (sum.0 + 1, sum.1 + found.metadata.len()))
}

/// Does a source import it, or pyproject.toml name it?
fn is_named(shown: &Shown, folder: &str) -> bool {
    let imports = |text: &str| {
        text.lines().map(str::trim_start).any(|line| {
            let rest = line.strip_prefix("import ").or_else(|| line.strip_prefix("from "));
            let rest = rest.and_then(|rest| rest.trim_start().strip_prefix(folder));
            rest.is_some_and(|rest| !rest.starts_with(|c: char| c.is_alphanumeric() || c == '_'))
        })
    };
    let quoted = [format!("\"{folder}"), format!("'{folder}"), format!("/{folder}")];
    let build = shown.settings.project.as_ref().is_some_and(|project| project.build_system);
    let named = build && quoted.iter().any(|quoted| shown.pyproject.contains(quoted.as_str()));
    named || shown.sources.iter().any(|(_, text)| imports(text))
}

/// `3 files, 12.3 MB`.
fn amount(files: u64, bytes: u64) -> String {
    let noun = if files == 1 { "file" } else { "files" };
    let size = match bytes {
        0..1_000 => format!("{bytes} B"),
        1_000..1_000_000 => format!("{:.1} kB", bytes as f64 / 1e3),
        1_000_000..1_000_000_000 => format!("{:.1} MB", bytes as f64 / 1e6),
        _ => format!("{:.1} GB", bytes as f64 / 1e9),
    };
    format!("{files} {noun}, {size}")
}
