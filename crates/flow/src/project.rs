//! A project's folder: its settings, its lock, and which way it is built.
//!
//! Everything that people wrote is read once, here; the rest of flow works on texts and values.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use corten_diagnostic::{Event, Events, Failure, Span};
use corten_frontend::ignore::INCOMPLETE_PYLOCK;
use corten_frontend::python::{LockKind, LockText, Manifest, includes, matches_name, members};
use corten_frontend::settings::{Frontend, Settings, Text, Texts};
use corten_oci::Digest;
use corten_plan::CortenLock;

use crate::regular;

/// The name of Corten's own lock.
pub const CORTEN_LOCK: &str = "corten.lock";

/// Locks that a tool keeps for its project. Two of them are two answers to one question.
const OWN_LOCKS: [&str; 5] = ["uv.lock", "poetry.lock", "pdm.lock", "Pipfile.lock", "pixi.lock"];

/// What else is taken, where there is none of those; before it any pylock.NAME.toml.
const EXPORTED: [&str; 3] = ["requirements.txt", "environment.yml", "environment.yaml"];

/// Requirements that are parted, one file for each use, in a folder of their own: the main one, the first that is there.
pub const PARTED: [&str; 3] = ["requirements/prod.txt", "requirements/production.txt", "requirements/base.txt"];

/// A project as it lies in its folder.
pub struct Project {
    /// The folder, as the user named it.
    pub folder: PathBuf,
    /// What it says about its image.
    pub settings: Settings,
    /// Its Python lock.
    pub lock: LockText,
    /// SHA-256 of the lock's bytes (with the files that it includes).
    pub lock_digest: Digest,
    /// pyproject.toml.
    pub manifest: Option<Manifest>,
    /// The manifests of the other projects that the lock has (members, path dependencies), by their folders.
    pub members: Vec<(String, Manifest)>,
    /// Corten's own lock, where there is one.
    pub corten_lock: Option<CortenLock>,
    /// `.dockerignore`.
    pub ignore: Option<Text>,
    /// `.python-version`.
    pub python_version: Option<String>,
}

/// What the command line says about a project.
#[derive(Debug, Clone, Default)]
pub struct ProjectOptions {
    /// `--frontend`.
    pub frontend: Option<Frontend>,
    /// `--group`.
    pub groups: Vec<String>,
    /// `--extra`.
    pub extras: Vec<String>,
}

impl Project {
    /// Reads a folder.
    ///
    /// # Errors
    /// Usage for wrong settings; input where there is nothing to build or a text is broken; world where a file cannot be read.
    pub fn open(folder: &Path, options: &ProjectOptions, events: &dyn Events) -> Result<Self, Failure> {
        if !folder.is_dir() {
            return Err(Failure::usage(format!("there is no folder {}", folder.display()))
                .hint("give the folder of a project: corten build path/to/project"));
        }
        Self::with_texts(folder, &texts(folder)?, options, events)
    }

    /// The same with other texts of settings than those that lie there.
    pub fn with_texts(
        folder: &Path,
        texts: &Texts,
        options: &ProjectOptions,
        events: &dyn Events,
    ) -> Result<Self, Failure> {
        let settings = Settings::read(texts)?;
        choose_path(folder, &settings, texts, options, events)?;
        let lock = find_lock(folder, &settings)?;
        let manifest = texts.pyproject.as_ref().map(|text| Manifest::parse(&text.path, Arc::clone(&text.text)));
        let manifest = manifest.transpose()?;
        Ok(Self {
            lock_digest: digest_of(&lock),
            members: read_members(folder, &lock, manifest.as_ref())?,
            lock,
            manifest,
            corten_lock: corten_lock(folder)?,
            ignore: text(folder, ".dockerignore")?,
            python_version: text(folder, ".python-version")?.map(|text| text.text.to_string()),
            folder: folder.to_owned(),
            settings,
        })
    }

    /// The same project with another of its locks.
    ///
    /// # Errors
    /// As [`Project::open`].
    pub fn with_lock(&self, name: &str) -> Result<Self, Failure> {
        let lock = named_lock(&self.folder, name)?;
        Ok(Self {
            folder: self.folder.clone(),
            settings: self.settings.clone(),
            lock_digest: digest_of(&lock),
            members: read_members(&self.folder, &lock, self.manifest.as_ref())?,
            lock,
            manifest: self.manifest.clone(),
            corten_lock: self.corten_lock.clone(),
            ignore: self.ignore.clone(),
            python_version: self.python_version.clone(),
        })
    }

    /// The lock's name below the project: `uv.lock`, `requirements/prod.txt`.
    pub fn lock_name(&self) -> String {
        self.lock.path.strip_prefix(&self.folder).unwrap_or(&self.lock.path).to_string_lossy().into_owned()
    }
}

/// The files with settings.
pub fn texts(folder: &Path) -> Result<Texts, Failure> {
    Ok(Texts {
        corten: text(folder, "corten.toml")?,
        pyproject: text(folder, "pyproject.toml")?,
        folder: folder_name(folder),
    })
}

/// Is there anything that could be a project's lock?
pub fn has_lock(folder: &Path) -> Result<bool, Failure> {
    let own = OWN_LOCKS.iter().chain(&EXPORTED).any(|name| folder.join(name).is_file());
    Ok(own || !exported_pylocks(folder)?.is_empty() || parted(folder)?.is_some())
}

/// The main file of a project's folder `requirements`; none where requirements lie beside that folder, which go first.
pub fn parted(folder: &Path) -> Result<Option<&'static str>, Failure> {
    let Some(main) = PARTED.into_iter().find(|name| folder.join(name).is_file()) else { return Ok(None) };
    let is_beside = |name: &str| name.starts_with("requirements") && (name.ends_with(".txt") || name.ends_with(".in"));
    Ok((!names(folder)?.iter().any(|name| is_beside(name))).then_some(main))
}

/// The projects that the lock has, and those that the workspace has now. A folder without a manifest is left out: whether
/// the lock is in step cannot be told then.
fn read_members(folder: &Path, lock: &LockText, root: Option<&Manifest>) -> Result<Vec<(String, Manifest)>, Failure> {
    let mut folders = members(lock)?;
    if let Some(root) = root.filter(|_| lock.kind == LockKind::Uv) {
        for pattern in root.member_patterns() {
            folders.extend(matching(folder, pattern).into_iter().filter(|member| root.is_member(member)));
        }
    }
    folders.sort();
    folders.dedup();
    let mut read = Vec::new();
    for member in folders {
        if let Some(text) = text(&folder.join(&member), "pyproject.toml")? {
            read.push((member, Manifest::parse(text.path, text.text)?));
        }
    }
    Ok(read)
}

/// The folders in `root` that a pattern such as `libs/*` names.
fn matching(root: &Path, pattern: &str) -> Vec<String> {
    let mut found = vec![String::new()];
    for part in pattern.split('/').filter(|part| !part.is_empty() && *part != ".") {
        let mut next = Vec::new();
        for before in &found {
            let join = |name: &str| if before.is_empty() { name.to_owned() } else { format!("{before}/{name}") };
            if !part.contains('*') {
                next.push(join(part));
                continue;
            }
            let entries = std::fs::read_dir(root.join(before)).into_iter().flatten().flatten();
            let folders = entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()));
            let names = folders.map(|entry| entry.file_name().to_string_lossy().into_owned());
            next.extend(names.filter(|name| matches_name(part, name)).map(|name| join(&name)));
        }
        found = next;
    }
    found
}

/// One digest over the lock and what it includes.
fn digest_of(lock: &LockText) -> Digest {
    if lock.included.is_empty() {
        return Digest::of(lock.text.as_bytes());
    }
    let mut all = Digest::of(lock.text.as_bytes()).to_string();
    for (name, text) in &lock.included {
        all.push_str(&format!("\n{name} {}", Digest::of(text.as_bytes())));
    }
    Digest::of(all)
}

fn folder_name(folder: &Path) -> String {
    let absolute = folder.canonicalize().unwrap_or_else(|_| folder.to_owned());
    absolute.file_name().map_or_else(|| "app".to_owned(), |name| name.to_string_lossy().into_owned())
}

/// A file of the project as text; none where it is absent.
pub fn text(folder: &Path, name: &str) -> Result<Option<Text>, Failure> {
    let path = folder.join(name);
    let Some(bytes) = regular::bytes(&path)? else { return Ok(None) };
    match String::from_utf8(bytes) {
        Ok(text) => Ok(Some(Text::new(path, text.strip_prefix('\u{feff}').unwrap_or(&text)))),
        Err(error) => Err(not_text(path, &error)),
    }
}

/// Shows the line with what is no text in it.
fn not_text(path: PathBuf, error: &std::string::FromUtf8Error) -> Failure {
    let text = String::from_utf8_lossy(error.as_bytes()).into_owned();
    let at = error.utf8_error().valid_up_to();
    Failure::input(format!("reading {}: it is not UTF-8 text", path.display()))
        .at(Span::new(path, text, at..at + '\u{fffd}'.len_utf8()))
        .hint("save it as UTF-8")
}

/// Corten's own lock, where there is one.
pub fn corten_lock(folder: &Path) -> Result<Option<CortenLock>, Failure> {
    let Some(text) = text(folder, CORTEN_LOCK)? else { return Ok(None) };
    CortenLock::parse(&text.text).map(Some).map_err(|error| {
        let range = error.span().unwrap_or_default();
        Failure::input(format!("reading {}: {}", text.path.display(), error.message()))
            .at(Span::new(text.path, text.text, range))
            .hint("`corten lock` writes it anew")
    })
}

/// The first line that a user sees: which way, and why.
fn choose_path(
    folder: &Path,
    settings: &Settings,
    texts: &Texts,
    options: &ProjectOptions,
    events: &dyn Events,
) -> Result<(), Failure> {
    let (frontend, why) = way(folder, options.frontend, settings);
    let choice = match frontend {
        Frontend::Native => "native: layers from the lock",
        Frontend::Dockerfile => "Dockerfile",
    };
    events.emit(Event::Decision { about: "path", choice, why: &why });
    match frontend {
        Frontend::Native => Ok(()),
        Frontend::Dockerfile => Err(dockerfile_path(folder, texts)),
    }
}

/// Which way a folder is built, and why.
pub fn way(folder: &Path, asked: Option<Frontend>, settings: &Settings) -> (Frontend, String) {
    let dockerfile = ["Dockerfile", "dockerfile"].iter().any(|name| folder.join(name).is_file());
    match (asked, &settings.frontend, &settings.native) {
        (Some(asked), _, _) => (asked, "asked for by --frontend".to_owned()),
        (None, Some(set), _) => (set.value, format!("set by {}", place(set.at.as_ref()))),
        (None, None, Some(native)) => (Frontend::Native, format!("settings at {native}")),
        (None, None, None) if dockerfile => {
            (Frontend::Dockerfile, "there is a Dockerfile and no native setting".into())
        }
        (None, None, None) => (Frontend::Native, "there is no Dockerfile".to_owned()),
    }
}

fn place(at: Option<&Span>) -> String {
    at.map_or_else(|| "the settings".to_owned(), ToString::to_string)
}

fn dockerfile_path(folder: &Path, texts: &Texts) -> Failure {
    let failure =
        Failure::usage(format!("{} is built from its Dockerfile, and this command needs its lock", folder.display()))
            .hint("`corten build` and `corten plan` take the Dockerfile")
            .hint("--frontend native takes the lock");
    match (&texts.corten, &texts.pyproject) {
        (None, None) => failure,
        _ => {
            failure.hint("any native setting ([tool.corten] in pyproject.toml, or corten.toml) makes that the default")
        }
    }
}

fn find_lock(folder: &Path, settings: &Settings) -> Result<LockText, Failure> {
    if let Some(set) = &settings.lock {
        return named_lock(folder, &set.value).map_err(|failure| match &set.at {
            Some(at) => failure.at(at.clone()),
            None => failure,
        });
    }
    let own: Vec<&str> = OWN_LOCKS.into_iter().filter(|name| folder.join(name).is_file()).collect();
    match own.as_slice() {
        [] => {}
        [only] => return named_lock(folder, only),
        several => return Err(ambiguous(several.iter().map(|name| (*name).to_owned()).collect())),
    }
    if let Some(name) = exported_pylock(folder)? {
        return named_lock(folder, &name);
    }
    match EXPORTED.iter().find(|name| folder.join(name).is_file()) {
        Some(name) => named_lock(folder, name),
        None => match parted(folder)? {
            Some(name) => named_lock(folder, name),
            None => Err(nothing_to_build(folder)),
        },
    }
}

fn ambiguous(mut names: Vec<String>) -> Failure {
    names.sort();
    let example = names.first().cloned().unwrap_or_default();
    Failure::usage(format!("there are several locks: {}", names.join(", ")))
        .hint(format!("say which with `lock = \"{example}\"` in the settings, or delete those that are no longer kept"))
}

/// pylock.toml, or `pylock.<what>.toml` if there is exactly one.
fn exported_pylock(folder: &Path) -> Result<Option<String>, Failure> {
    let mut found = exported_pylocks(folder)?;
    if let Some(plain) = found.iter().find(|name| *name == "pylock.toml") {
        return Ok(Some(plain.clone()));
    }
    if found.len() > 1 { Err(ambiguous(found)) } else { Ok(found.pop()) }
}

fn exported_pylocks(folder: &Path) -> Result<Vec<String>, Failure> {
    let is_exported =
        |name: &String| name != INCOMPLETE_PYLOCK && LockKind::of(Path::new(name)) == Some(LockKind::Pylock);
    Ok(names(folder)?.into_iter().filter(is_exported).collect())
}

/// What lies in a folder.
fn names(folder: &Path) -> Result<Vec<String>, Failure> {
    let read = |error: io::Error| Failure::world(format!("reading {}: {error}", folder.display()));
    let name = |entry: io::Result<std::fs::DirEntry>| {
        entry.map(|entry| entry.file_name().to_string_lossy().into_owned()).map_err(read)
    };
    folder.read_dir().map_err(read)?.map(name).collect()
}

fn named_lock(folder: &Path, name: &str) -> Result<LockText, Failure> {
    let Some(kind) = LockKind::named(Path::new(name)) else {
        return Err(
            Failure::usage(format!("'{name}' is no lock that can be read")).hint(format!("these can: {}", readable()))
        );
    };
    let Some(text) = text(folder, name)? else {
        let failure = Failure::usage(format!("there is no lock {}", folder.join(name).display()));
        return Err(failure.hint("make it, or leave the setting out: then the lock that is there is taken"));
    };
    let mut lock = LockText::new(kind, text.path, text.text);
    let folder = lock.path.parent().unwrap_or(folder).to_owned();
    if let Some(name) = kind.companion()
        && let Some(companion) = self::text(&folder, name)?
    {
        lock.included.push((name.to_owned(), companion.text));
    }
    // Others name no files, and are long.
    if kind == LockKind::Requirements { with_includes(&folder, lock) } else { Ok(lock) }
}

fn readable() -> String {
    format!("{}, pylock.toml, pylock.<name>.toml, requirements.txt", OWN_LOCKS.join(", "))
}

/// Adds the files that a requirements file names, and those that they name.
fn with_includes(folder: &Path, mut lock: LockText) -> Result<LockText, Failure> {
    loop {
        let missing = includes(&lock);
        if missing.is_empty() {
            return Ok(lock);
        }
        for name in missing {
            let Some(text) = text(folder, &name)? else {
                return Err(no_included(&lock, &name));
            };
            lock.included.push((name, text.text));
        }
    }
}

fn no_included(lock: &LockText, name: &str) -> Failure {
    let failure =
        Failure::input(format!("reading {}: there is no file {name}, which it includes", lock.path.display()))
            .hint("its path is meant from the folder of the file that names it");
    match lock.text.lines().position(|line| line.contains(name)) {
        Some(line) => failure.at(Span::line_of(&lock.path, Arc::clone(&lock.text), line + 1)),
        None => failure,
    }
}

fn nothing_to_build(folder: &Path) -> Failure {
    let failure = Failure::input(format!("there is nothing to build in {}: no lock", folder.display()));
    match folder.join("pyproject.toml").is_file() {
        true => failure.hint(
            "`corten lock` makes pylock.toml from pyproject.toml; or `uv lock` uv.lock, or your own tool its lock",
        ),
        false => failure.hint(format!("a project has pyproject.toml and a lock: {}", readable())),
    }
}

#[cfg(test)]
mod tests {
    use corten_diagnostic::{Diagnose, Fault};

    use super::*;

    /// Nobody listens.
    struct Silence;

    impl Events for Silence {
        fn emit(&self, _: Event<'_>) {}
    }

    /// A folder with these files, gone with the value.
    struct Folder(tempfile::TempDir);

    impl Folder {
        fn with(files: &[(&str, &str)]) -> Self {
            let folder = tempfile::tempdir().unwrap();
            for (name, text) in files {
                let path = folder.path().join(name);
                std::fs::create_dir_all(path.parent().unwrap()).unwrap();
                std::fs::write(path, text).unwrap();
            }
            Self(folder)
        }

        fn open(&self) -> Result<Project, Failure> {
            Project::open(self.0.path(), &ProjectOptions::default(), &Silence)
        }
    }

    const PYPROJECT: (&str, &str) = ("pyproject.toml", "[project]\nname = 'app'\nversion = '1'\n[tool.corten]\n");

    fn chosen(files: &[(&str, &str)]) -> (LockKind, String) {
        let project = Folder::with(files).open().unwrap();
        (project.lock.kind, project.lock.path.file_name().unwrap().to_string_lossy().into_owned())
    }

    #[test]
    fn the_tools_own_lock_comes_before_what_was_exported() {
        let (exported, loose) = (("pylock.toml", ""), ("requirements.txt", ""));
        for (file, kind) in [
            ("uv.lock", LockKind::Uv),
            ("poetry.lock", LockKind::Poetry),
            ("pdm.lock", LockKind::Pdm),
            ("Pipfile.lock", LockKind::Pipenv),
            ("pixi.lock", LockKind::Pixi),
        ] {
            assert_eq!(chosen(&[PYPROJECT, (file, ""), exported, loose]), (kind, file.to_owned()));
        }
        assert_eq!(chosen(&[PYPROJECT, exported, ("pylock.cuda.toml", ""), loose]).1, "pylock.toml");
        assert_eq!(chosen(&[PYPROJECT, ("pylock.cuda.toml", ""), loose]).1, "pylock.cuda.toml");
        assert_eq!(chosen(&[PYPROJECT, loose, ("environment.yml", "")]).1, "requirements.txt");
        assert_eq!(chosen(&[PYPROJECT, ("environment.yml", "")]).0, LockKind::Conda);
    }

    #[test]
    fn of_requirements_in_a_folder_the_main_file_is_taken_where_nothing_else_is_there() {
        let parts = ["base", "dev", "production", "prod"].map(|name| format!("requirements/{name}.txt"));
        let with = |count: usize, more: &[(&'static str, &'static str)]| {
            let files: Vec<(&str, &str)> = parts.iter().take(count).map(|name| (name.as_str(), "a==1\n")).collect();
            Folder::with(&[files.as_slice(), more, &[PYPROJECT]].concat())
        };
        let name = |folder: &Folder| folder.open().map(|project| project.lock_name());
        for (count, expected) in [(1, 0), (2, 0), (3, 2), (4, 3)] {
            assert_eq!(name(&with(count, &[])).unwrap(), parts[expected]);
            assert!(has_lock(with(count, &[]).0.path()).unwrap());
        }
        for other in ["requirements.txt", "environment.yml", "uv.lock", "pylock.toml"] {
            assert_eq!(name(&with(4, &[(other, "")])).unwrap(), other);
        }
        for beside in ["requirements-dev.txt", "requirements.in"] {
            assert!(name(&with(4, &[(beside, "")])).unwrap_err().to_string().ends_with(": no lock"), "{beside}");
            assert!(!has_lock(with(4, &[(beside, "")]).0.path()).unwrap());
        }
        assert!(!has_lock(Folder::with(&[("requirements/dev.txt", "a==1\n")]).0.path()).unwrap());
    }

    #[test]
    fn two_locks_are_one_too_many_until_the_settings_say_which() {
        let both = [("uv.lock", ""), ("poetry.lock", "")];
        for files in [&both, &[("pylock.cpu.toml", ""), ("pylock.gpu.toml", "")]] {
            let failure = Folder::with(&[PYPROJECT, files[0], files[1]]).open().map(drop).unwrap_err();
            let mut names = [files[0].0, files[1].0];
            names.sort_unstable();
            assert_eq!(failure.to_string(), format!("there are several locks: {}", names.join(", ")));
            assert!(failure.hints()[0].contains(&format!("`lock = \"{}\"`", names[0])), "{:?}", failure.hints());
            assert_eq!(failure.fault(), Fault::Usage);
        }
        let settled = "[project]\nname = 'app'\nversion = '1'\n[tool.corten]\nlock = 'poetry.lock'\n";
        assert_eq!(chosen(&[("pyproject.toml", settled), both[0], both[1]]).0, LockKind::Poetry);
    }

    #[test]
    fn what_lies_beside_a_lock_is_read_with_it() {
        let pipfile = [PYPROJECT, ("Pipfile.lock", "{}"), ("Pipfile", "[packages]")];
        let project = Folder::with(&pipfile).open().unwrap();
        assert_eq!(project.lock.included, [("Pipfile".to_owned(), Arc::from("[packages]"))]);
        assert_ne!(project.lock_digest, Digest::of("{}"), "another Pipfile is another question");
        let nested = "[project]\nname = 'app'\nversion = '1'\n[tool.corten]\nlock = 'deps/prod.txt'\n";
        let files = [("pyproject.toml", nested), ("deps/prod.txt", "-r base.txt\n"), ("deps/base.txt", "a==1\n")];
        let project = Folder::with(&files).open().unwrap();
        assert_eq!(project.lock.included, [("base.txt".to_owned(), Arc::from("a==1\n"))]);
    }

    #[test]
    fn the_manifests_of_a_workspace_are_read() {
        let lock = "version = 1\n[[package]]\nname = \"app\"\nsource = { virtual = \".\" }\n\
            [[package]]\nname = \"lib\"\nsource = { editable = \"libs/lib\" }\n\
            [[package]]\nname = \"gone\"\nsource = { directory = \"libs/gone\" }\n";
        let root = format!("{}[tool.uv.workspace]\nmembers = ['new/*']\nexclude = ['new/no']\n", PYPROJECT.1);
        let manifest = "[project]\nname = 'x'\n";
        let project = Folder::with(&[
            ("pyproject.toml", &root),
            ("uv.lock", lock),
            ("libs/lib/pyproject.toml", manifest),
            ("new/one/pyproject.toml", manifest),
            ("new/no/pyproject.toml", manifest),
            ("new/bare/README", ""),
        ]);
        let project = project.open().unwrap();
        let folders: Vec<_> = project.members.iter().map(|(folder, _)| folder.as_str()).collect();
        assert_eq!(folders, ["libs/lib", "new/one"]);
    }
}
