//! Which settings hold for a file: `.hadolint.yaml` and `[lint]` of its folder or the nearest one above, then the command line.
//!
//! | what | where it is sought |
//! |---|---|
//! | `corten.toml`, else `[tool.corten]` of `pyproject.toml` | from the file's folder upwards, to the repository's |
//! | `.hadolint.yaml`, `.hadolint.yml` | the same; else the user's own |
//! | `--config FILE` | in place of both |
//!
//! Where both are there, `[lint]` goes before; lists of silent rules are added.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use corten_check::lint::{Choice, Config, IgnoreFile, LabelKind, is_rule};
use corten_diagnostic::{Failure, Report, Severity};
use corten_frontend::ignore::{Matcher, read_ignore_file};
use corten_frontend::settings::{LintSettings, PathSettings, Setting, Settings, Text, Texts};

use super::{LintOptions, hadolint};
use crate::{project, regular};

/// Knows the settings of folders, each read once.
#[derive(Debug)]
pub struct Linter<'o> {
    pub(super) options: &'o LintOptions,
    known: Mutex<HashMap<PathBuf, Arc<Rules>>>,
    /// `--config`.
    given: Option<Arc<Rules>>,
}

/// What holds in a folder.
#[derive(Debug, Clone, Default)]
pub(super) struct Rules {
    pub(super) config: Config,
    pub(super) choice: Choice,
    pub(super) threshold: Option<Severity>,
    /// Whatever is found does not fail, unless options say otherwise.
    pub(super) no_fail: bool,
    /// Patterns of files, relative to the folder of the settings, and what holds there besides.
    per_path: Vec<(Matcher, Choice)>,
    exclude: Option<Matcher>,
    /// The folder of the settings, absolute.
    root: PathBuf,
}

impl<'o> Linter<'o> {
    /// Reads the settings that were named.
    ///
    /// # Errors
    /// Usage.
    pub fn new(options: &'o LintOptions) -> Result<Self, Report> {
        let linter = Self { options, known: Mutex::default(), given: None };
        let given = options.config.as_deref().map(|path| linter.given(path)).transpose()?;
        check_rules(&options.choice)?;
        Ok(Self { given: given.map(Arc::new), ..linter })
    }

    fn given(&self, path: &Path) -> Result<Rules, Failure> {
        let text = text_of(path)?
            .ok_or_else(|| Failure::usage(format!("reading {}: there is no such file", path.display())))?;
        let root = self.absolute(path.parent().unwrap_or(Path::new("")));
        let mut rules = Rules { root, ..self.usual() };
        if path.extension().is_some_and(|extension| extension == "toml") {
            let text = Some(Text::new(path, text));
            let is_project = path.file_name().is_some_and(|name| name == "pyproject.toml");
            let (corten, pyproject) = if is_project { (None, text) } else { (text, None) };
            rules.add(&Settings::read(&Texts { corten, pyproject, folder: String::new() })?)?;
        } else {
            hadolint::add(path, &text, &mut rules)?;
        }
        rules.finish(&self.options.choice);
        Ok(rules)
    }

    /// What holds where there are no settings.
    fn usual(&self) -> Rules {
        let options = self.options;
        let config = Config {
            today: options.today,
            driver: options.driver.clone(),
            gpus: options.gpus.clone(),
            ..Config::default()
        };
        let mut rules = Rules { config, threshold: Some(Severity::Info), ..Rules::default() };
        hadolint::add_variables(&options.variables, &mut rules);
        rules
    }

    /// Where a path leads from the folder that it runs in; links are not asked.
    pub(super) fn absolute(&self, path: &Path) -> PathBuf {
        let joined = self.options.folder.join(path);
        let mut clean = PathBuf::new();
        for part in joined.components() {
            match part {
                std::path::Component::CurDir => {}
                std::path::Component::ParentDir => drop(clean.pop()),
                part => clean.push(part),
            }
        }
        clean
    }

    /// What holds for a file.
    pub(super) fn rules(&self, file: &Path) -> Result<Arc<Rules>, Failure> {
        if let Some(given) = &self.given {
            return Ok(Arc::clone(given));
        }
        let folder = self.absolute(file.parent().unwrap_or(Path::new("")));
        if let Some(known) = self.known.lock().unwrap_or_else(PoisonError::into_inner).get(&folder) {
            return Ok(Arc::clone(known));
        }
        let rules = Arc::new(self.of_folder(&folder)?);
        self.known.lock().unwrap_or_else(PoisonError::into_inner).insert(folder, Arc::clone(&rules));
        Ok(rules)
    }

    fn of_folder(&self, folder: &Path) -> Result<Rules, Failure> {
        let mut rules = self.usual();
        let above: Vec<&Path> = above(folder).collect();
        let own = |names: &[&str]| -> Result<Option<(PathBuf, String)>, Failure> {
            for path in above.iter().flat_map(|folder| names.iter().map(|name| folder.join(name))) {
                if let Some(text) = found(&path)? {
                    return Ok(Some((path, text)));
                }
            }
            Ok(None)
        };
        let foreign = own(&[".hadolint.yaml", ".hadolint.yml"])?;
        let foreign = match (foreign, &self.options.user_config) {
            (None, Some(path)) => text_of(path)?.map(|text| (path.clone(), text)),
            (found, _) => found,
        };
        if let Some((path, text)) = foreign {
            hadolint::add(&self.shown(&path), &text, &mut rules)?;
        }
        for folder in &above {
            let texts = project::texts(folder)?;
            let is_ours = texts.pyproject.as_ref().is_some_and(|text| text.text.contains("tool.corten"));
            if texts.corten.is_some() || is_ours {
                rules.root = (*folder).to_owned();
                rules.add(&Settings::read(&texts)?)?;
                break;
            }
        }
        rules.finish(&self.options.choice);
        Ok(rules)
    }

    /// As the user would write it.
    fn shown(&self, path: &Path) -> PathBuf {
        path.strip_prefix(&self.options.folder).unwrap_or(path).to_owned()
    }

    /// Do settings leave a file or folder out that nobody named?
    pub(super) fn excludes(&self, path: &Path) -> Result<bool, Failure> {
        let rules = self.rules(path)?;
        let Some(exclude) = &rules.exclude else { return Ok(false) };
        let absolute = self.absolute(path);
        let below = absolute.strip_prefix(&rules.root).ok().and_then(Path::to_str);
        Ok(below.is_some_and(|below| exclude.matches(below)))
    }

    /// What rules are told of a file's surroundings; `root` is the folder that was looked through.
    pub(super) fn config(&self, file: &Path, root: Option<&Path>, rules: &Rules) -> Result<Config, Failure> {
        let folder = file.parent().unwrap_or(Path::new(""));
        let named = file.file_name().map(|name| format!("{}.dockerignore", name.to_string_lossy()));
        let mut places: Vec<PathBuf> = named.into_iter().map(|name| folder.join(name)).collect();
        places.push(folder.join(".dockerignore"));
        places.extend(root.map(|root| root.join(".dockerignore")));
        let mut config = rules.config.clone();
        for place in places {
            let absolute = self.absolute(&place);
            let Some(text) = found(&absolute)? else { continue };
            let lines = read_ignore_file(&text);
            // What is no pattern there is told when the file is built.
            let Ok(matcher) = Matcher::new(lines.iter().map(|(_, line)| line.as_str())) else { break };
            let path = place.strip_prefix(".").unwrap_or(&place).to_owned();
            config.ignore = Some(IgnoreFile { path, text, matcher });
            break;
        }
        let is_root = root.is_some_and(|root| self.absolute(root) == self.absolute(folder));
        config.context_known = config.ignore.is_some() || is_root;
        Ok(config)
    }
}

/// A folder and those above it, up to the one that a repository begins in.
fn above(folder: &Path) -> impl Iterator<Item = &Path> {
    let mut ended = false;
    folder.ancestors().take_while(move |folder| {
        let was = ended;
        ended |= folder.join(".git").exists();
        !was
    })
}

/// What a user named, which may be a pipe; none where there is no such file.
fn text_of(path: &Path) -> Result<Option<String>, Failure> {
    match super::read(path) {
        Err(_) if !path.is_file() => Ok(None),
        text => of_settings(path, text?),
    }
}

/// What lies in a folder; none where there is no such file.
fn found(path: &Path) -> Result<Option<String>, Failure> {
    match regular::open(path) {
        Ok(file) => of_settings(path, super::read_from(file, path)?),
        // A folder of that name, or one above that is closed to us.
        Err(error) if error.raw_os_error().is_some() && !path.is_file() => Ok(None),
        Err(error) => Err(regular::failure(path, &error)),
    }
}

fn of_settings(path: &Path, text: Result<String, String>) -> Result<Option<String>, Failure> {
    text.map(Some).map_err(|why| Failure::usage(format!("reading {}: {why}", path.display())))
}

impl Rules {
    /// What holds for a file of the folder: its path is absolute, as the folder's.
    pub(super) fn choice(&self, file: &Path) -> Choice {
        let mut choice = self.choice.clone();
        let below = file.strip_prefix(&self.root).unwrap_or(file);
        let below = below.to_string_lossy();
        for (_, extra) in self.per_path.iter().filter(|(matcher, _)| matcher.matches(&below)) {
            choice.also.extend(extra.also.iter().cloned());
            choice.ignore.extend(extra.ignore.iter().cloned());
            choice.severities.extend(extra.severities.iter().cloned());
        }
        choice
    }

    fn add(&mut self, settings: &Settings) -> Result<(), Failure> {
        let config = &mut self.config;
        config.driver =
            config.driver.take().or_else(|| settings.gpu.driver.as_ref().map(|driver| driver.value.clone()));
        if config.gpus.is_empty() {
            config.gpus.extend(values(&settings.gpu.gpus));
        }
        self.add_lint(&settings.lint)
    }

    fn add_lint(&mut self, settings: &LintSettings) -> Result<(), Failure> {
        self.choice.select.extend(rules(&settings.select)?);
        self.choice.also.extend(rules(&settings.extend_select)?);
        self.choice.ignore.extend(rules(&settings.ignore)?);
        self.choice.severities.extend(severities(&settings.severity)?);
        if let Some(threshold) = &settings.threshold {
            (self.threshold, self.no_fail) = (severity(&threshold.value), false);
        }
        self.config.trusted_registries.extend(values(&settings.trusted_registries));
        for (name, kind) in &settings.labels {
            self.config.labels.extend(LabelKind::of(&kind.value).map(|kind| (name.clone(), kind)));
        }
        if let Some(strict) = &settings.strict_labels {
            self.config.strict_labels = strict.value;
        }
        if !settings.exclude.is_empty() {
            self.exclude = Some(matcher(&settings.exclude)?);
        }
        for (pattern, settings) in &settings.per_path {
            self.per_path.push((matcher(std::slice::from_ref(pattern))?, of_path(settings)?));
        }
        Ok(())
    }

    /// The command line goes before all.
    fn finish(&mut self, options: &Choice) {
        if !options.select.is_empty() {
            self.choice.select.clone_from(&options.select);
        }
        self.choice.also.extend(options.also.iter().cloned());
        self.choice.ignore.extend(options.ignore.iter().cloned());
        // Who names a rule whole wants to see it.
        self.choice
            .ignore
            .retain(|ignored| !options.select.iter().any(|selected| selected.eq_ignore_ascii_case(ignored)));
        self.choice.no_pragmas |= options.no_pragmas;
        self.choice.check.clone_from(&options.check);
    }
}

fn of_path(settings: &PathSettings) -> Result<Choice, Failure> {
    Ok(Choice {
        also: rules(&settings.extend_select)?,
        ignore: rules(&settings.ignore)?,
        severities: severities(&settings.severity)?,
        ..Choice::default()
    })
}

fn values(all: &[Setting<String>]) -> impl Iterator<Item = String> {
    all.iter().map(|setting| setting.value.clone())
}

fn matcher(patterns: &[Setting<String>]) -> Result<Matcher, Failure> {
    let texts: Vec<&str> = patterns.iter().map(|pattern| pattern.value.trim_end_matches('/')).collect();
    Matcher::new(texts).map_err(|error| {
        let failure = Failure::usage(format!("a pattern of [lint]: {error}"));
        patterns.iter().find_map(|pattern| pattern.at.clone()).into_iter().fold(failure, Failure::at)
    })
}

/// Names of rules that there are.
fn rules(all: &[Setting<String>]) -> Result<Vec<String>, Failure> {
    all.iter().map(|setting| known(&setting.value).map_err(|failure| placed(failure, setting))).collect()
}

fn severities(all: &[(Setting<String>, Setting<String>)]) -> Result<Vec<(String, Severity)>, Failure> {
    let one = |(rule, value): &(Setting<String>, Setting<String>)| {
        let rule = known(&rule.value).map_err(|failure| placed(failure, rule))?;
        Ok(severity(&value.value).map(|severity| (rule, severity)))
    };
    all.iter().filter_map(|pair| one(pair).transpose()).collect()
}

fn placed(failure: Failure, setting: &Setting<String>) -> Failure {
    setting.at.clone().into_iter().fold(failure, Failure::at)
}

fn check_rules(choice: &Choice) -> Result<(), Failure> {
    let all = choice.select.iter().chain(&choice.also).chain(&choice.ignore);
    all.map(|written| known(written)).collect::<Result<Vec<_>, _>>().map(drop)
}

/// A rule, or the beginning of some; numbers of ShellCheck that no rule here has are its own.
fn known(written: &str) -> Result<String, Failure> {
    let is_foreign =
        written.strip_prefix("SC").is_some_and(|digits| digits.bytes().all(|digit| digit.is_ascii_digit()));
    if is_foreign || is_rule(written) {
        return Ok(written.to_owned());
    }
    Err(Failure::usage(format!("there is no rule '{written}'"))
        .hint("`corten rule` lists them; DL, SC, ML or the beginning of a number (DL30) mean all that begin so"))
}

/// By its name.
pub(super) fn severity(text: &str) -> Option<Severity> {
    match text {
        "error" => Some(Severity::Error),
        "warning" => Some(Severity::Warning),
        "info" | "style" => Some(Severity::Info),
        _ => None,
    }
}
