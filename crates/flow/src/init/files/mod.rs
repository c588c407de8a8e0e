//! Files for those who build with other tools, written from what a native build would do: a Dockerfile, the .dockerignore that
//! it needs, a compose.yaml.
//!
//! The Dockerfile's image starts, listens, answers for its health and runs as the user that the native image has: both come
//! from one [`ContainerConfig`]. What differs is told in its comments.

mod compose;
mod dockerfile;
mod ignore;

use corten_diagnostic::Failure;
use corten_frontend::entry::Entry;
use corten_frontend::python::LockKind;
use corten_frontend::settings::{Base, ImageKind, Settings};
use corten_oci::{ContainerConfig, Digest};
use corten_package::pep440::{Specifiers, Version};

use super::imports::Imports;
use super::shown::{Lock, Shown};
use super::workload::Guess;
use crate::bases::BASES;
use crate::start;

/// Which files are wanted beside the settings.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Wanted {
    /// Dockerfile, and .dockerignore where there is none.
    pub dockerfile: bool,
    /// compose.yaml.
    pub compose: bool,
}

/// The digest that a name has at its registry now; none where none can be asked.
pub type Pins<'a> = &'a dyn Fn(&str) -> Option<Digest>;

/// Everything that the files are made from.
pub struct Source<'a> {
    pub shown: &'a Shown,
    pub guess: &'a Guess,
    pub imports: &'a Imports,
    pub pins: Pins<'a>,
    /// Will there be a Dockerfile, or is there one?
    pub has_dockerfile: bool,
}

/// A file's name and text.
pub type Written = (&'static str, String);

/// Makes them.
///
/// # Errors
/// Input: the project's packages cannot be installed by a Dockerfile's commands, or nothing says what is started.
pub fn files(wanted: Wanted, source: &Source<'_>) -> Result<Vec<Written>, Failure> {
    if wanted == Wanted::default() {
        return Ok(Vec::new());
    }
    let start = match &source.shown.start {
        Ok(start) => start,
        Err(failure) => {
            let failed = Failure::input(format!("no Dockerfile and no compose.yaml can be written: {failure}"));
            return Err(failed.hint("`run` in the settings says what is started"));
        }
    };
    let image = Image { source, start, config: start::config(&source.shown.settings, start) };
    let mut files = Vec::new();
    if wanted.dockerfile {
        files.push(("Dockerfile", dockerfile::text(&image)?));
        if !source.shown.has.ignore_file {
            files.push((".dockerignore", ignore::text(source.shown)));
        }
    }
    if wanted.compose {
        files.push(("compose.yaml", compose::text(&image)));
    }
    Ok(files)
}

/// The image that the settings make, to be said in another language.
struct Image<'a> {
    source: &'a Source<'a>,
    start: &'a Entry,
    config: ContainerConfig,
}

impl Image<'_> {
    fn shown(&self) -> &Shown {
        self.source.shown
    }

    fn settings(&self) -> &Settings {
        &self.source.shown.settings
    }

    fn port(&self) -> Option<u16> {
        start::port(self.settings(), self.start.web)
    }

    fn has(&self, packages: &[&str]) -> bool {
        self.shown().installed.iter().any(|name| packages.contains(&name.as_str()))
            || self.source.imports.keys().any(|name| packages.contains(&name.as_str()))
    }
}

/// How a Dockerfile installs what the project needs.
enum Installer<'a> {
    /// `uv sync` of uv.lock; `members` where other projects of the folder are installed with it.
    Uv {
        members: bool,
    },
    /// `uv pip install` of this file.
    UvPip(&'a str),
    /// `pip install -r` of this file, which includes others; with hashes or not.
    Pip {
        file: &'a str,
        included: &'a [String],
        hashed: bool,
    },
    Poetry,
    Pdm,
    Pipenv,
    /// Nothing is needed.
    Nothing,
}

fn installer(shown: &Shown) -> Result<Installer<'_>, Failure> {
    let Some(file) = &shown.lock_file else {
        return match &shown.lock {
            Lock::Missing { from: Some("pyproject.toml") } => Ok(Installer::UvPip("pyproject.toml")),
            Lock::Missing { from: Some(file) } => Ok(Installer::Pip { file, included: &[], hashed: false }),
            Lock::Missing { from: None } => Ok(Installer::Nothing),
            Lock::Is { .. } => Ok(Installer::Nothing),
            Lock::Wrong(failure) => Err(Failure::input(format!("no Dockerfile can be written: {failure}"))),
        };
    };
    if let Some(strange) = [&file.name].into_iter().chain(&file.included).find(|name| !is_plain(name)) {
        return Err(Failure::input(format!(
            "no Dockerfile can be written: no command's flag can hold the name '{strange}'"
        ))
        .hint("rename the file"));
    }
    match file.kind {
        LockKind::Uv => Ok(Installer::Uv { members: file.members }),
        LockKind::Pylock => Ok(Installer::UvPip(&file.name)),
        LockKind::Poetry => Ok(Installer::Poetry),
        LockKind::Pdm => Ok(Installer::Pdm),
        LockKind::Pipenv => Ok(Installer::Pipenv),
        LockKind::Requirements => {
            Ok(Installer::Pip { file: &file.name, included: &file.included, hashed: file.hashed })
        }
        LockKind::Pixi | LockKind::Conda => {
            Err(Failure::input(format!("no Dockerfile can be written of {}: pip and uv do not read it", file.name))
                .hint("`corten build` takes it, where none of its packages is conda's"))
        }
    }
}

/// Can it stand in a Dockerfile's flag as it is?
fn is_plain(path: &str) -> bool {
    path.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-/+".contains(&byte))
}

/// The image of FROM, without a digest.
fn from(shown: &Shown) -> String {
    if let Base::Image(image) = &shown.settings.base.value
        && image.kind == ImageKind::Registry
        && shown.settings.base.at.is_some()
    {
        return shown.settings.base.value.to_string().split('@').next().unwrap_or_default().to_owned();
    }
    let chosen = shown.base.as_ref().and_then(|base| base.as_ref().ok()).map(|choice| choice.base.value.to_string());
    let known = chosen.and_then(|name| BASES.iter().find(|base| base.reference == name));
    match known {
        Some(base) => format!("python:{}-slim-{}", base.minor(), base.suite),
        None => python_image(shown),
    }
}

/// Pythons that Docker's registry has, those of our own bases first.
const PYTHONS: [(&str, &str); 5] =
    [("3.11", "bookworm"), ("3.13", "trixie"), ("3.12", "bookworm"), ("3.14", "trixie"), ("3.10", "bookworm")];

/// By .python-version, else the first that is allowed.
fn python_image(shown: &Shown) -> String {
    let said = shown.python_version.as_deref().map(str::trim).unwrap_or_default();
    let is_said = |(minor, _): &&(&str, &str)| format!("{said}.").starts_with(&format!("{minor}."));
    let requires = shown.settings.project.as_ref().and_then(|project| project.requires_python.as_ref());
    let requires = requires.and_then(|requires| requires.value.parse::<Specifiers>().ok());
    let allowed = |(minor, _): &&(&str, &str)| {
        let version = format!("{minor}.99").parse::<Version>();
        requires.as_ref().zip(version.ok()).is_none_or(|(requires, version)| requires.contains_prerelease(&version))
    };
    let found = PYTHONS.iter().find(is_said).or_else(|| PYTHONS.iter().find(allowed)).unwrap_or(&PYTHONS[0]);
    format!("python:{}-slim-{}", found.0, found.1)
}

/// A comment, in lines of at most 100 columns; nothing in it ends it.
fn comment(text: &mut String, words: &str) {
    let plain: String = words.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect();
    let mut line = String::from("#");
    for word in plain.split(' ') {
        if line.chars().count() + word.chars().count() >= 100 && line.len() > 1 {
            text.push_str(&line);
            text.push('\n');
            line = String::from("#");
        }
        line.push(' ');
        line.push_str(word);
    }
    text.push_str(&line);
    text.push('\n');
}

/// As JSON, which is also a string of YAML.
fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}
