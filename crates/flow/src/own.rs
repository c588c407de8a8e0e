//! The project's own packages: itself, its workspace's members, path dependencies. Their wheels are computed as their
//! build backends would make them; nothing of theirs runs.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Component, Path, PathBuf};

use corten_diagnostic::{Diagnose, Failure, Fault, Report, Span};
use corten_frontend::ignore::Ignore;
use corten_frontend::python::locked_metadata;
use corten_frontend::python::project::{
    Content, Folder, Git, Kind, Listed, OwnWheel as Computed, Project as OwnProject, own_wheel,
};
use corten_package::PackageName;
use corten_plan::{OwnWheel, SourceFile, WheelMember};

use crate::context::{Hashes, walk};
use crate::files::Files;
use crate::git;
use crate::packages::{Local, Packages, lock_line};
use crate::project::Project;
use crate::world::World;

/// The project's own packages.
#[derive(Default)]
pub struct Own {
    /// Sorted by name.
    pub wheels: Vec<OwnWheel>,
    /// Files of the project that they hold, by their paths in the project.
    pub packaged: BTreeSet<String>,
}

impl Own {
    /// The version of the project's own package, where it has one; `name` as it is written.
    pub fn version(&self, name: &str) -> Option<&str> {
        let name = PackageName::new(name).ok()?;
        self.wheels.iter().find(|wheel| wheel.name == name.as_str()).map(|wheel| wheel.version.as_str())
    }
}

/// Computes the wheels of the packages that the lock installs from folders.
pub fn own(project: &Project, packages: &Packages, files: &Files, world: &World<'_>) -> Result<Own, Report> {
    let mut own = Own::default();
    if packages.local.is_empty() {
        return Ok(own);
    }
    let git = git::tracked(&project.folder)?;
    for local in &packages.local {
        let tree = match inside(&local.path) {
            Some(below) => Tree::of_project(project, files, &below),
            None => Tree::elsewhere(project, &local.path, world)?,
        };
        if tree.files.is_empty() {
            return Err(absent(project, local).into());
        }
        let computed = compute(project, local, &tree, git.as_ref())?;
        for note in &computed.notes {
            world.events.note(&format!("{}: {note}", computed.name));
        }
        if !computed.left_out.is_empty() {
            let left_out = computed.left_out.join(", ");
            world.events.warning(&format!("{} leaves out {left_out}, as its build backend does", computed.name));
        }
        if let Some(below) = inside(&local.path) {
            own.packaged.extend(tree.taken(&computed).map(|path| joined(&below, path)));
        }
        own.wheels.push(pinned(project, local, computed, &tree)?);
    }
    own.wheels.sort_by(|left, right| left.name.cmp(&right.name));
    Ok(own)
}

/// A path of the lock without its dots; none where it leads out of the project.
fn inside(path: &str) -> Option<String> {
    let mut parts = Vec::new();
    for component in Path::new(path).components() {
        match component {
            Component::CurDir => {}
            Component::Normal(part) => parts.push(part.to_str()?),
            Component::ParentDir => drop(parts.pop()?),
            Component::RootDir | Component::Prefix(_) => return None,
        }
    }
    Some(parts.join("/"))
}

fn joined(below: &str, path: &str) -> String {
    if below.is_empty() { path.to_owned() } else { format!("{below}/{path}") }
}

/// Files of one package's folder, by their paths there.
struct Tree {
    folder: PathBuf,
    files: BTreeMap<String, SourceFile>,
}

impl Tree {
    /// Of a folder in the project: the files that enter the image.
    fn of_project(project: &Project, files: &Files, below: &str) -> Self {
        let inside = |path: &str| match below {
            "" => Some(path.to_owned()),
            _ => path.strip_prefix(below)?.strip_prefix('/').map(str::to_owned),
        };
        let files = files.of_project(project).filter_map(|(path, file)| Some((inside(&path)?, file.clone())));
        Self { folder: project.folder.join(below), files: files.collect() }
    }

    /// Of a folder outside of the project, less what the ignore rules keep out of images.
    fn elsewhere(project: &Project, path: &str, world: &World<'_>) -> Result<Self, Report> {
        let folder = project.folder.join(path);
        if !folder.is_dir() {
            return Ok(Self { folder, files: BTreeMap::new() });
        }
        let rules = Ignore::new(&project.settings, None)?;
        let context = walk(&folder, &rules)?;
        let mut hashes = Hashes::load(world.store, &folder)?;
        let found = context.app.iter().chain(&context.weights);
        let files = found
            .map(|found| Ok((found.path.clone(), hashes.source_file(&folder, found, found.path.clone(), world.now)?)));
        let files = files.collect::<Result<BTreeMap<_, _>, Failure>>()?;
        hashes.save(world.store, &folder)?;
        Ok(Self { folder, files })
    }

    /// The files that a wheel took.
    fn taken<'a>(&'a self, computed: &'a Computed) -> impl Iterator<Item = &'a str> {
        computed.files.iter().filter_map(|file| match &file.content {
            Content::File(path) if !file.path.starts_with(&computed.dist_info) => Some(path.as_str()),
            Content::File(_) | Content::Text(_) => None,
        })
    }
}

impl Folder for Tree {
    fn entries(&self) -> Result<Vec<Listed>, Failure> {
        let listed = |(path, file): (&String, &SourceFile)| {
            let kind = match &file.link {
                Some(to) => Kind::Link { to: to.clone() },
                None => Kind::File { executable: file.mode & 0o100 != 0 },
            };
            Listed { path: path.clone(), kind }
        };
        Ok(self.files.iter().map(listed).collect())
    }

    fn read(&self, path: &str, limit: u64) -> Result<Vec<u8>, Failure> {
        let source = self.folder.join(path);
        let Some(file) = self.files.get(path) else {
            return Err(Failure::bug(format!("{} was not listed", source.display())));
        };
        if file.size > limit {
            return Err(Failure::input(format!("{} is longer than {limit} bytes", source.display())));
        }
        std::fs::read(&source).map_err(|error| Failure::world(format!("reading {}: {error}", source.display())))
    }
}

fn compute(project: &Project, local: &Local, tree: &Tree, git: Option<&Git>) -> Result<Computed, Report> {
    let is_root = inside(&local.path).is_some_and(|below| below.is_empty());
    let stated = project.settings.version.as_ref().filter(|_| is_root).map(|version| version.value.as_str());
    let git = git.map(|git| below(git, inside(&local.path).as_deref().unwrap_or_default()));
    let above = git::ignore_files_above(&tree.folder)?;
    let name = PackageName::new(&local.name).map_err(|error| Failure::input(error.to_string()))?;
    let locked = if is_dynamic(tree)? { locked_metadata(&project.lock, &name)? } else { None };
    let asked = OwnProject {
        folder: tree,
        shown: &tree.folder,
        version: stated,
        git: git.as_ref(),
        ignored_above: &above,
        locked: locked.as_ref(),
    };
    let computed = own_wheel(&asked).map_err(|refusal| {
        let (at, fault) = (refusal.span().cloned(), refusal.fault());
        let mut failure = match fault {
            Fault::World => Failure::world(refusal.to_string()),
            _ => Failure::input(refusal.to_string()),
        };
        for hint in refusal.hints() {
            failure = failure.hint(hint);
        }
        match at.or_else(|| place(project, local)) {
            Some(at) => failure.at(at),
            None => failure,
        }
    })?;
    refuse_secrets(&computed)?;
    Ok(computed)
}

/// May its backend be the only one to know what it needs? Reading a large lock takes long.
fn is_dynamic(tree: &Tree) -> Result<bool, Failure> {
    const LONGEST: u64 = 16 << 20;
    if !tree.files.contains_key("pyproject.toml") {
        return Ok(true);
    }
    let text = String::from_utf8_lossy(&tree.read("pyproject.toml", LONGEST)?).into_owned();
    Ok(!text.contains("[project]") || text.contains("dynamic"))
}

fn absent(project: &Project, local: &Local) -> Failure {
    let failure = Failure::input(format!("the lock installs {} from {}, where no file is", local.name, local.path))
        .hint("bring the folder along; if it is there, see whether .dockerignore keeps it out");
    match place(project, local) {
        Some(at) => failure.at(at),
        None => failure,
    }
}

/// A package would put them where everybody who can pull the image can read them.
fn refuse_secrets(computed: &Computed) -> Result<(), Failure> {
    if computed.secrets.is_empty() {
        return Ok(());
    }
    let message = format!("{} would ship files whose names are those of secrets: ", computed.name);
    Err(Failure::input(message + &computed.secrets.join(", ")).hint("list them in .dockerignore"))
}

fn place(project: &Project, local: &Local) -> Option<Span> {
    (local.line > 0).then(|| lock_line(project, local.line))
}

/// What git says of a folder of the project.
fn below(git: &Git, folder: &str) -> Git {
    if folder.is_empty() {
        return git.clone();
    }
    let inside = |path: &String| Some(path.strip_prefix(folder)?.strip_prefix('/')?.to_owned());
    Git { tracked: git.tracked.iter().filter_map(inside).collect(), ..git.clone() }
}

fn pinned(project: &Project, local: &Local, computed: Computed, tree: &Tree) -> Result<OwnWheel, Failure> {
    let member = |file: corten_frontend::python::project::WheelFile| match file.content {
        Content::Text(text) => Ok(WheelMember::Text { path: file.path, text }),
        Content::File(source) => {
            let found = tree.files.get(&source);
            let found = found.ok_or_else(|| Failure::bug(format!("{source} was not listed")))?;
            let mode = if file.executable { 0o755 } else { 0o644 };
            Ok(WheelMember::File(SourceFile { path: file.path, mode, ..found.clone() }))
        }
    };
    let mut source = PathBuf::from(&project.settings.workdir.value);
    source.extend(inside(&local.path).filter(|below| !below.is_empty()));
    let direct_url =
        serde_json::json!({"url": format!("file://{}", source.display()), "dir_info": {"editable": false}});
    Ok(OwnWheel {
        name: computed.name.to_string(),
        version: computed.version,
        dist_info: computed.dist_info,
        members: computed.files.into_iter().map(member).collect::<Result<_, _>>()?,
        direct_url: direct_url.to_string(),
    })
}
