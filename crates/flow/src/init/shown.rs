//! What a folder shows, found by the code that plans: nothing is fetched, nothing runs.

use std::fs::File;
use std::io::Read as _;
use std::path::Path;

use corten_diagnostic::{Diagnose, Failure, Nobody, Report};
use corten_frontend::entry::{self, Entry, Facts};
use corten_frontend::ignore::Ignore;
use corten_frontend::python::{Asked, LockKind, Manifest, read, refuse_conda};
use corten_frontend::settings::{Frontend, Settings, Texts};
use corten_oci::Architecture;
use corten_package::Requirement;
use corten_package::marker::Environment;

use crate::bases::{self, BASES, Choice, Wanted};
use crate::context::{Context, count, walk};
use crate::files::sources;
use crate::project::{self, Project, ProjectOptions};
use crate::unlocked::{self, is_unpinned};
use crate::world::World;

/// A folder of which nobody has said anything.
pub struct Shown {
    /// Defaults, with what `[project]` says.
    pub settings: Settings,
    /// Its lock.
    pub lock: Lock,
    /// What it stands on; none where that is the lock's to say and there is none.
    pub base: Option<Result<Choice, String>>,
    /// Dependency groups that stay out.
    pub left_out: Vec<String>,
    /// How it starts, or why that is not to be seen.
    pub start: Result<Entry, Failure>,
    /// Its files.
    pub context: Context,
    /// Paths and texts of its Python files.
    pub sources: Vec<(String, String)>,
    /// Folders that stay out and may hold models: path, group, files, bytes.
    pub set_aside: Vec<(String, String, u64, u64)>,
    /// Is there a .dockerignore, a Dockerfile?
    pub has: Has,
    /// Files that may be locks under names of their own.
    pub perhaps_locks: Vec<String>,
    /// pyproject.toml.
    pub pyproject: String,
    /// `.python-version`.
    pub python_version: Option<String>,
    /// Normalised names of what is installed; of what is asked for, where there is no lock.
    pub installed: Vec<String>,
    /// The lock's file, where it can be read.
    pub lock_file: Option<LockFile>,
    /// Paths and texts of its notebooks.
    pub notebooks: Vec<(String, String)>,
}

/// The file of a lock.
#[derive(Debug, Clone)]
pub struct LockFile {
    pub kind: LockKind,
    /// Below the project.
    pub name: String,
    /// Files that it includes, below the project.
    pub included: Vec<String>,
    /// Has it hashes of what it names?
    pub hashed: bool,
    /// Are other projects of the folder installed with it?
    pub members: bool,
}

/// Files that decide what is written.
#[derive(Debug, Clone, Copy)]
pub struct Has {
    pub ignore_file: bool,
    pub dockerfile: bool,
}

/// The lock of a folder.
pub enum Lock {
    /// This one, with so many packages; none where no base fits it.
    Is { name: String, packages: Option<usize> },
    /// None, or requirements that pin nothing: `corten lock` makes one of this.
    Missing { from: Option<&'static str> },
    /// There is something that no plan could take.
    Wrong(Failure),
}

impl Shown {
    /// Is there nothing to build from?
    pub fn is_nothing(&self) -> bool {
        let no_lock = matches!(self.lock, Lock::Missing { from: None });
        no_lock && self.sources.is_empty() && self.perhaps_locks.is_empty() && self.notebooks.is_empty()
    }
}

/// Looks.
pub fn look(folder: &Path, plain: &Texts, world: &World<'_>) -> Result<Shown, Report> {
    let settings = Settings::read(plain)?;
    let ignore_text = project::text(folder, ".dockerignore")?;
    let context = walk(folder, &Ignore::new(&settings, ignore_text.as_ref())?)?;
    let sources = sources(folder, &context)?;
    let has = Has { ignore_file: ignore_text.is_some(), dockerfile: folder.join("Dockerfile").is_file() };
    let locked = locked(folder, plain, world)?;
    let (lock, base, installed, left_out, lock_file) = match locked {
        Locked::Read(read) => (read.lock, Some(Ok(read.base)), read.installed, read.left_out, Some(read.file)),
        Locked::NoBase(lock, why, file) => (lock, Some(Err(why)), asked_for(folder, plain)?, Vec::new(), Some(file)),
        Locked::No(lock) => (lock, None, asked_for(folder, plain)?, Vec::new(), None),
    };
    let start = entry::find(&Facts { sources: &sources, settings: &settings, installed: &installed });
    Ok(Shown {
        set_aside: set_aside(folder, &context)?,
        pyproject: plain.pyproject.as_ref().map(|text| text.text.to_string()).unwrap_or_default(),
        perhaps_locks: perhaps_locks(folder, &lock, &context),
        python_version: project::text(folder, ".python-version")?.map(|text| text.text.to_string()),
        notebooks: notebooks(folder, &context),
        settings,
        lock,
        base,
        left_out,
        start,
        context,
        sources,
        has,
        installed,
        lock_file,
    })
}

/// A notebook of more bytes holds pictures, not imports that no other has.
const LARGEST_NOTEBOOK: u64 = 8 << 20;
/// Notebooks that are read, at most.
const NOTEBOOKS: usize = 200;

/// One that cannot be read says nothing.
fn notebooks(folder: &Path, context: &Context) -> Vec<(String, String)> {
    let is_notebook = |found: &&crate::context::Found| {
        found.path.ends_with(".ipynb") && found.metadata.is_file() && found.metadata.len() <= LARGEST_NOTEBOOK
    };
    let read = |found: &crate::context::Found| {
        let mut text = String::new();
        let file = File::open(folder.join(&found.path)).ok()?;
        file.take(LARGEST_NOTEBOOK).read_to_string(&mut text).ok()?;
        Some((found.path.clone(), text))
    };
    context.app.iter().filter(is_notebook).take(NOTEBOOKS).filter_map(read).collect()
}

/// How much of a file is looked at.
const HEAD: u64 = 64 * 1024;

/// Requirements under another name than requirements.txt: by name, or because they hold hashes.
fn perhaps_locks(folder: &Path, lock: &Lock, context: &Context) -> Vec<String> {
    let Lock::Missing { from } = lock else { return Vec::new() };
    let hashes = |path: &str| {
        let mut head = Vec::new();
        let file = File::open(folder.join(path)).ok()?;
        file.take(HEAD).read_to_end(&mut head).ok()?;
        Some(String::from_utf8_lossy(&head).contains("--hash=sha256:"))
    };
    let perhaps = |path: &str| {
        let (folder, name) = path.rsplit_once('/').unwrap_or(("", path));
        let here = folder.is_empty() || folder == "requirements";
        let named = folder == "requirements" || name.starts_with("requirements");
        let is_other = path != "requirements.txt" && *from != Some(path);
        here && name.ends_with(".txt") && is_other && (named || hashes(path) == Some(true))
    };
    let paths = context.app.iter().filter(|found| found.metadata.is_file()).map(|found| found.path.clone());
    paths.filter(|path| perhaps(path)).collect()
}

enum Locked {
    Read(Read),
    /// There is a lock, but no base has the Python that is needed.
    NoBase(Lock, String, LockFile),
    No(Lock),
}

struct Read {
    lock: Lock,
    file: LockFile,
    base: Choice,
    installed: Vec<String>,
    left_out: Vec<String>,
}

fn locked(folder: &Path, plain: &Texts, world: &World<'_>) -> Result<Locked, Failure> {
    if !project::has_lock(folder)? {
        return Ok(Locked::No(match unlocked::wanted(folder) {
            Ok(from) => Lock::Missing { from },
            Err(failure) => Lock::Wrong(failure),
        }));
    }
    let options = ProjectOptions { frontend: Some(Frontend::Native), ..ProjectOptions::default() };
    let project = match Project::with_texts(folder, plain, &options, &Nobody) {
        Ok(project) => project,
        Err(failure) => return Ok(Locked::No(Lock::Wrong(failure))),
    };
    let name = project.lock_name();
    let quiet = World { events: &Nobody, ..*world };
    let asked = Asked::default();
    let wanted = Wanted { asked: &asked, architectures: &[Architecture::Amd64], renew: false };
    let base = match bases::choose(&project, &wanted, &quiet) {
        Ok(base) => base,
        Err(report) if is_unpinned(&report.to_string()) => return Ok(Locked::No(wish(&name))),
        Err(report) => {
            let file = lock_file(&project);
            return Ok(Locked::NoBase(Lock::Is { name, packages: None }, report.to_string(), file));
        }
    };
    let reference = base.base.value.to_string();
    let known = BASES.iter().find(|known| known.reference == reference).unwrap_or(&BASES[0]);
    let environment = Environment::new(known.python, Architecture::Amd64);
    let resolved = match read(&project.lock, project.manifest.as_ref(), &asked, &environment) {
        Ok(resolved) => resolved,
        Err(failure) if is_unpinned(&failure.to_string()) => return Ok(Locked::No(wish(&name))),
        Err(failure) => return Ok(Locked::No(Lock::Wrong(failure))),
    };
    if let Some(failure) = refuse_conda(&project.lock, &resolved.conda) {
        return Ok(Locked::No(Lock::Wrong(failure)));
    }
    let lock = Lock::Is { name, packages: Some(resolved.wanted.len()) };
    let local = resolved.local.iter().filter(|local| local.package).map(|local| local.name.to_string());
    let installed = resolved.wanted.iter().map(|wanted| wanted.name.to_string()).chain(local).collect();
    let file = lock_file(&project);
    Ok(Locked::Read(Read { lock, file, base, installed, left_out: resolved.groups_left_out }))
}

fn lock_file(project: &Project) -> LockFile {
    let lock = &project.lock;
    let path = lock.path.strip_prefix(&project.folder).unwrap_or(&lock.path);
    let name = path.to_string_lossy().into_owned();
    let folder = name.rsplit_once('/').map(|(folder, _)| format!("{folder}/")).unwrap_or_default();
    LockFile {
        kind: lock.kind,
        included: lock.included.iter().map(|(name, _)| format!("{folder}{name}")).collect(),
        hashed: lock.text.contains("--hash=sha256:"),
        members: !project.members.is_empty(),
        name,
    }
}

fn wish(name: &str) -> Lock {
    let parted = project::PARTED.into_iter().find(|parted| *parted == name);
    Lock::Missing { from: parted.or(Some("requirements.txt")) }
}

/// The packages that the project names itself; what those need is not known without a lock.
fn asked_for(folder: &Path, plain: &Texts) -> Result<Vec<String>, Failure> {
    let mut names = Vec::new();
    if let Some(text) = &plain.pyproject {
        names = Manifest::parse(&text.path, std::sync::Arc::clone(&text.text))?.asked_for();
    }
    for file in ["requirements.in", "requirements.txt"].into_iter().chain(project::parted(folder)?) {
        let Some(text) = project::text(folder, file)? else { continue };
        let lines = text.text.lines().map(|line| line.split(" #").next().unwrap_or_default().trim());
        let named =
            lines.filter(|line| !line.starts_with(['-', '#'])).filter_map(|line| line.parse::<Requirement>().ok());
        names.extend(named.map(|requirement| requirement.name.to_string()));
    }
    Ok(names)
}

/// The groups of [`Ignore`] that may hold what a service loads.
const SET_ASIDE: [&str; 3] = ["checkpoints", "artifacts", "experiments"];

fn set_aside(folder: &Path, context: &Context) -> Result<Vec<(String, String, u64, u64)>, Failure> {
    let folders = context.outside.folders().iter().filter(|(_, group)| SET_ASIDE.contains(&group.as_str()));
    let mut found = Vec::new();
    for (path, group) in folders {
        let counted = count(path)?;
        let below = path.strip_prefix(folder).unwrap_or(path).to_string_lossy().into_owned();
        if counted.files > 0 {
            found.push((below, group.clone(), counted.files, counted.bytes));
        }
    }
    Ok(found)
}

/// The sentence of a failure with its first hint: for a comment.
pub fn sentence(failure: &Failure) -> String {
    match failure.hints().first() {
        Some(hint) => format!("{failure} ({hint})"),
        None => failure.to_string(),
    }
}
