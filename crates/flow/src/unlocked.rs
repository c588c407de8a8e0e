//! Projects without a lock: `corten lock` makes pylock.toml of what they ask for, with uv's resolver.
//!
//! ```text
//! pyproject.toml, requirements.in, requirements.txt, requirements/prod.txt ─► uv pip compile --universal --no-build ─► pylock.toml
//! ```
//!
//! The `uv` of PATH is taken, else the one of a wheel of PyPI, pinned here by hash. It may build nothing: to ask a source
//! distribution what it needs would run its code on this machine. A pylock.toml that somebody else made is never touched;
//! one of ours keeps its versions as far as they still fit.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use corten_diagnostic::{Event, Failure, Nobody, Report};
use corten_frontend::ignore::INCOMPLETE_PYLOCK as INCOMPLETE;
use corten_frontend::python::{Asked, LockKind, LockText, refuse_broken};
use corten_frontend::settings::{Frontend, Settings};
use corten_install::fetch::{Download, fetch};
use corten_install::python::index;
use corten_layer::zip::Archive;
use corten_oci::{Architecture, Digest};
use corten_package::pep440::{Specifiers, Version};
use corten_store::ScratchFolder;

use crate::base::HOST;
use crate::bases::{BASES, KnownBase};
use crate::packages::PYPI;
use crate::plan::PlanOptions;
use crate::project::{self, Project, ProjectOptions};
use crate::remote::mirrored_by;
use crate::world::World;

/// What is written.
pub const PYLOCK: &str = "pylock.toml";
/// How uv is told to begin it, and how it is known again.
const COMMAND: &str = "corten lock";
/// The first uv that writes pylock.toml well.
const OLDEST: [u32; 2] = [0, 7];
/// Bytes of the program itself at most.
const LARGEST: u64 = 200 << 20;

/// The uv that is fetched where there is none.
const VERSION: &str = "0.13.9";
const WHEELS: [(Architecture, &str); 2] = [
    (Architecture::Amd64, "d7f459fe4fd247d830351c75686d3996ace3c6f3f728eb0e85a30b7ada0cef19"),
    (Architecture::Arm64, "5435c5ce14a56431208ca0996416d310f1598e8c2c8ba707688985a16bb82dbe"),
];

/// Makes or renews pylock.toml where the project has no lock of its own: what changed.
///
/// # Errors
/// Input: what is asked for has no solution, or none without building; world: uv, or the index behind it.
pub fn lock(folder: &Path, options: &PlanOptions, world: &World<'_>) -> Result<Vec<String>, Report> {
    let texts = project::texts(folder)?;
    let settings = Settings::read(&texts)?;
    let Some(source) = source(folder, &settings)? else { return Ok(Vec::new()) };
    let before = project::text(folder, PYLOCK)?.map(|text| text.text);
    if options.locked {
        return Err(Failure::input(format!("{PYLOCK} would be made of {source}"))
            .hint("run `corten lock` without --locked, and commit it")
            .into());
    }
    let base = base(folder, &settings)?;
    let program = program(&settings, world)?;
    let why = format!("{source} has no lock; for Python {} and later, by {}", base.minor(), program.told);
    world.events.emit(Event::Decision { about: "lock", choice: PYLOCK, why: &why });
    let wanted =
        Wanted { folder, source, base, options, settings: &settings, offline: world.client.settings().offline };
    let text = resolve(&program.path, &wanted, before.as_deref())?;
    let made = LockText::new(LockKind::Pylock, folder.join(PYLOCK), text.as_str());
    refuse_broken(&made)?;
    if before.as_deref() == Some(text.as_str()) {
        return Ok(Vec::new());
    }
    replace(folder, &text)
        .map_err(|error| Failure::world(format!("writing {}: {error}", folder.join(PYLOCK).display())))?;
    let packages = text.matches("[[packages]]").count();
    let how = if before.is_some() { "renewed" } else { "new" };
    Ok(vec![format!("{PYLOCK} is {how}, with {packages} packages, from {source}")])
}

/// What a lock is to be made of; none where the project has one of its own.
///
/// # Errors
/// A folder that cannot be read; a Poetry project, whose requirements only Poetry can lock.
pub fn source(folder: &Path, settings: &Settings) -> Result<Option<&'static str>, Failure> {
    if settings.lock.is_some() {
        return Ok(None);
    }
    let ours = project::text(folder, PYLOCK)?.is_some_and(|text| is_ours(&text.text));
    let has_requirements = folder.join("requirements.txt").is_file() || project::parted(folder)?.is_some();
    let wish = has_requirements && is_wish(folder);
    if project::has_lock(folder)? && !ours && !wish {
        return Ok(None);
    }
    wanted(folder)
}

/// Is it pylock.toml as [`lock`] writes it?
fn is_ours(text: &str) -> bool {
    made_with(text).is_some()
}

/// Of a lock of ours, the flags that it was made with: `--group=serve`. They are in it, once and for all.
fn made_with(text: &str) -> Option<Vec<String>> {
    let lines = text.lines().take_while(|line| line.starts_with('#'));
    let command = lines.map(|line| line.trim_start_matches('#').trim());
    let command =
        command.filter_map(|line| line.strip_prefix(COMMAND)).find(|rest| rest.is_empty() || rest.starts_with(' '))?;
    Some(command.split_whitespace().map(str::to_owned).collect())
}

fn flags(groups: &[String], extras: &[String]) -> Vec<String> {
    let groups = groups.iter().map(|group| format!("--group={group}"));
    groups.chain(extras.iter().map(|extra| format!("--extra={extra}"))).collect()
}

/// What is still to be asked of the project's lock: groups and extras that one of ours was made with are in it.
///
/// # Errors
/// Input: one of ours was made without a group or extra that is wanted now.
pub fn still_asked(lock: &LockText, asked: Asked) -> Result<Asked, Failure> {
    let Some(made) = made_with(&lock.text).filter(|_| lock.kind == LockKind::Pylock) else { return Ok(asked) };
    match flags(&asked.groups, &asked.extras).iter().find(|flag| !made.contains(flag)) {
        None => Ok(Asked { groups: Vec::new(), extras: Vec::new(), ..asked }),
        Some(flag) => Err(Failure::input(format!("{} was made without {flag}", lock.path.display()))
            .hint(format!("`corten lock {flag}` makes it anew"))),
    }
}

/// Is the lock that would be taken a list of requirements without versions?
fn is_wish(folder: &Path) -> bool {
    let options = ProjectOptions { frontend: Some(Frontend::Native), ..ProjectOptions::default() };
    let Ok(project) = Project::open(folder, &options, &Nobody) else { return false };
    let broken = || refuse_broken(&project.lock).err().map(|failure| failure.to_string());
    project.lock.kind == LockKind::Requirements
        && (broken().is_some_and(|why| is_unpinned(&why)) || pins_nothing(&project))
}

fn pins_nothing(project: &Project) -> bool {
    let environment = corten_package::marker::Environment::new(BASES[0].python, Architecture::Amd64);
    let asked = Asked::default();
    let read = corten_frontend::python::read(&project.lock, project.manifest.as_ref(), &asked, &environment);
    read.is_err_and(|failure| is_unpinned(&failure.to_string()))
}

/// Requirements that are a wish rather than a lock.
pub fn is_unpinned(failure: &str) -> bool {
    failure.contains("not pinned to a version")
}

/// The file that says what the project asks for.
pub fn wanted(folder: &Path) -> Result<Option<&'static str>, Failure> {
    if let Some(text) = project::text(folder, "pyproject.toml")? {
        let manifest = corten_frontend::python::Manifest::parse(&text.path, std::sync::Arc::clone(&text.text))?;
        match (manifest.name(), manifest.poetry_version()) {
            (Some(_), _) => return Ok(Some("pyproject.toml")),
            (None, Some(_)) => {
                return Err(Failure::input("there is no lock, and [tool.poetry] is not a table that uv resolves")
                    .hint("`poetry lock` writes poetry.lock"));
            }
            (None, None) => {}
        }
    }
    let whole = ["requirements.in", "requirements.txt"].into_iter().find(|name| folder.join(name).is_file());
    whole.map_or_else(|| project::parted(folder), |name| Ok(Some(name)))
}

/// How a requirements.txt that lacks packages becomes a lock with all of them; none for other locks, and where it is made from
/// another file.
pub fn completes(project: &Project) -> Option<String> {
    let is_written = wanted(&project.folder).is_ok_and(|name| name == Some("requirements.txt"));
    if !is_written || project.lock.kind != LockKind::Requirements || project.lock_name() != "requirements.txt" {
        return None;
    }
    let name = "requirements.txt lists a part of what is needed";
    let unset = if project.settings.lock.is_some() { "take `lock` out of the settings, then " } else { "" };
    Some(format!(
        "{name}; {unset}`mv requirements.txt requirements.in && corten lock` writes {PYLOCK} with all packages"
    ))
}

/// The base whose Python the lock is for: the settings', else that of .python-version, else the first that is allowed.
fn base(folder: &Path, settings: &Settings) -> Result<&'static KnownBase, Failure> {
    let requires = settings.project.as_ref().and_then(|project| project.requires_python.as_ref());
    let requires = requires.and_then(|requires| requires.value.parse::<Specifiers>().ok());
    let allows = |base: &&KnownBase| {
        let version = base.python.parse::<Version>();
        requires.as_ref().zip(version.ok()).is_none_or(|(requires, version)| requires.contains_prerelease(&version))
    };
    let said = project::text(folder, ".python-version")?.map(|text| text.text.trim().to_owned());
    let is_said = |base: &&KnownBase| {
        said.as_deref().is_some_and(|said| format!("{said}.").starts_with(&format!("{}.", base.minor())))
    };
    let named = settings.base.at.is_some().then(|| settings.base.value.to_string());
    let set = settings.python.as_ref().map(|python| python.value);
    let mut all = BASES.iter();
    let found = match (set, named) {
        (Some(python), _) => all.find(|base| base.python_version() == python),
        (None, Some(named)) => all.find(|base| base.reference == named),
        (None, None) => all.clone().find(is_said).or_else(|| all.find(allows)),
    };
    found.ok_or_else(|| {
        Failure::input("no base has a Python that the project allows, so there is nothing to lock for")
            .hint("`corten plan` says which Pythons there are")
    })
}

/// A uv to start.
struct Program {
    path: PathBuf,
    told: String,
    /// Where it was unpacked; gone with it.
    _folder: Option<ScratchFolder>,
}

fn program(settings: &Settings, world: &World<'_>) -> Result<Program, Report> {
    let mut asked = Command::new("uv");
    let output = asked.arg("--version").stdin(Stdio::null()).output();
    let version = output.ok().and_then(|output| version(&String::from_utf8_lossy(&output.stdout)));
    match version {
        Some(found) if found >= OLDEST => {
            let told = format!("uv {}.{} of PATH", found[0], found[1]);
            Ok(Program { path: "uv".into(), told, _folder: None })
        }
        _ => fetched(settings, world),
    }
}

/// `uv 0.13.9 (…)`.
fn version(text: &str) -> Option<[u32; 2]> {
    let mut parts = text.strip_prefix("uv ")?.split('.').map(str::parse::<u32>);
    Some([parts.next()?.ok()?, parts.next()?.ok()?])
}

/// From the wheel on PyPI, whose bytes are pinned.
fn fetched(settings: &Settings, world: &World<'_>) -> Result<Program, Report> {
    let (_, hex) = WHEELS.iter().find(|(architecture, _)| *architecture == HOST).unwrap_or(&WHEELS[0]);
    let digest: Digest = format!("sha256:{hex}").parse().map_err(|_| Failure::bug("the pin of uv is no digest"))?;
    if world.store.size(&digest)?.is_none() {
        let index = mirrored_by(settings, PYPI);
        let files = index::files(world.client, &world.client.know(&index), "uv", world.events)?;
        let file = files.into_iter().find(|file| file.digest == Some(digest));
        let file = file.ok_or_else(|| {
            Failure::world(format!("uv is not on PATH, and {index} does not have uv {VERSION}"))
                .hint("install uv, or lock with the tool that the project uses")
        })?;
        let what = format!("uv {VERSION}");
        let urls = vec![mirrored_by(settings, &file.url)];
        fetch(world.client, world.store, &Download { urls, digest, size: file.size, what }, world.events)?;
    }
    let wheel = world.store.file(&digest)?;
    let folder = world.store.scratch_folder()?;
    let path = folder.path().join("uv");
    unpack(wheel, &path).map_err(|why| {
        Failure::world(format!("unpacking uv {VERSION}: {why}")).hint("install uv, so that it is on PATH")
    })?;
    Ok(Program { path, told: format!("uv {VERSION} of PyPI, as none is on PATH"), _folder: Some(folder) })
}

fn unpack(wheel: File, path: &Path) -> Result<(), String> {
    let text = |error: &dyn std::fmt::Display| error.to_string();
    let mut archive = Archive::new(wheel).map_err(|error| text(&error))?;
    let name = format!("uv-{VERSION}.data/scripts/uv");
    let member = archive.members().iter().find(|member| member.name == name).cloned();
    let member = member.ok_or_else(|| format!("the wheel has no {name}"))?;
    let bytes = archive.content(&member, LARGEST).map_err(|error| text(&error))?;
    let write = || -> io::Result<()> {
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o700).open(path)?;
        file.write_all(&bytes)
    };
    write().map_err(|error| text(&error))
}

struct Wanted<'a> {
    folder: &'a Path,
    source: &'static str,
    base: &'static KnownBase,
    options: &'a PlanOptions,
    settings: &'a Settings,
    offline: bool,
}

/// Runs uv in the project's folder: the text of pylock.toml.
fn resolve(program: &Path, wanted: &Wanted<'_>, before: Option<&str>) -> Result<String, Report> {
    let incomplete = wanted.folder.join(INCOMPLETE);
    let failed = |error: io::Error| Failure::world(format!("writing {}: {error}", incomplete.display()));
    remove(&incomplete).map_err(failed)?;
    if let Some(before) = before {
        // Its versions are kept while they fit.
        File::create_new(&incomplete).and_then(|mut file| file.write_all(before.as_bytes())).map_err(failed)?;
    }
    let output = command(program, wanted).output();
    let text = fs::read_to_string(&incomplete);
    remove(&incomplete).map_err(failed)?;
    let output = output.map_err(|error| Failure::world(format!("starting uv: {error}")))?;
    if !output.status.success() {
        return Err(refused(wanted, &output).into());
    }
    Ok(text.map_err(|error| Failure::world(format!("reading what uv has written: {error}")))?)
}

fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

fn command(program: &Path, wanted: &Wanted<'_>) -> Command {
    let mut command = Command::new(program);
    command.args(["pip", "compile", wanted.source, "--format", "pylock.toml", "--output-file", INCOMPLETE]);
    command.args([
        "--universal",
        "--python-version",
        &wanted.base.minor(),
        "--no-build",
        "--quiet",
        "--color",
        "never",
    ]);
    let settings = wanted.settings;
    let options = &wanted.options.project;
    let all = |set: &[corten_frontend::settings::Setting<String>], flags: &[String]| {
        set.iter().map(|setting| setting.value.clone()).chain(flags.iter().cloned()).collect::<Vec<_>>()
    };
    let flags = flags(&all(&settings.groups, &options.groups), &all(&settings.extras, &options.extras));
    command.args(&flags);
    command.args(["--custom-compile-command", &[&[COMMAND.to_owned()], flags.as_slice()].concat().join(" ")]);
    let set = settings.index.url.as_ref().map(|url| url.value.clone());
    let mirror = Some(mirrored_by(settings, PYPI)).filter(|url| url != PYPI);
    if let Some(index) = set.map(|url| mirrored_by(settings, &url)).or(mirror) {
        command.args(["--default-index", &index]);
    }
    if wanted.offline {
        command.arg("--offline");
    }
    command.current_dir(wanted.folder).env("UV_PYTHON_DOWNLOADS", "never").env("UV_NO_PROGRESS", "1");
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
    command
}

/// Lines of uv that are shown.
const SHOWN: usize = 12;

fn refused(wanted: &Wanted<'_>, output: &Output) -> Failure {
    let told = String::from_utf8_lossy(&output.stderr);
    let lines: Vec<&str> = told.lines().map(str::trim).filter(|line| !line.is_empty()).take(SHOWN).collect();
    let told_plainly = lines.join("; ");
    let why = told_plainly.strip_prefix("error: ").unwrap_or(&told_plainly);
    let message = format!("uv cannot lock {}: {why}", wanted.source);
    // https://docs.astral.sh/uv/reference/cli/: 1 is an answer, 2 a failure.
    let failure = if output.status.code() == Some(1) { Failure::input(message) } else { Failure::world(message) };
    match told.contains("--no-build") {
        true => failure
            .hint("what a package without a wheel needs is known once its code has run, which this does not do: lock with your own tool"),
        false => failure,
    }
}

/// Whole or not at all; a link of that name is replaced, not followed.
fn replace(folder: &Path, text: &str) -> io::Result<()> {
    let incomplete = folder.join(INCOMPLETE);
    let mut file = File::create_new(&incomplete)?;
    let written = file.write_all(text.as_bytes()).and_then(|()| file.sync_all());
    let named = written.and_then(|()| fs::rename(&incomplete, folder.join(PYLOCK)));
    if named.is_err() {
        drop(fs::remove_file(&incomplete));
    }
    named.and_then(|()| File::open(folder)?.sync_all())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn our_own_locks_are_known_by_how_they_begin() {
        let ours = "# This file was autogenerated by uv via the following command:\n#    corten lock\nlock-version = \"1.0\"\n";
        assert!(is_ours(ours));
        let theirs = ours.replace("corten lock", "uv pip compile pyproject.toml");
        assert!(!is_ours(&theirs) && !is_ours("lock-version = \"1.0\"\n# corten lock\n"));
        assert!(!is_ours(&ours.replace("corten lock", "corten locksmith")));
        let with = ours.replace("corten lock", "corten lock --group=serve --extra=fast");
        let lock = LockText::new(LockKind::Pylock, "pylock.toml", with);
        let asked =
            |group: &str| Asked { groups: vec![group.to_owned()], extras: vec!["fast".into()], ..Asked::default() };
        assert_eq!(still_asked(&lock, asked("serve")).unwrap(), Asked::default());
        assert_eq!(
            still_asked(&lock, asked("train")).unwrap_err().to_string(),
            "pylock.toml was made without --group=train"
        );
    }

    #[test]
    fn versions_of_uv() {
        assert_eq!(version("uv 0.13.9 (x86_64)\n"), Some([0, 13]));
        assert!(version("uv 0.6.3").unwrap() < OLDEST && version("uv 1.0.0").unwrap() > OLDEST);
        assert_eq!((version(""), version("uv"), version("uv x.y")), (None, None, None));
    }
}
