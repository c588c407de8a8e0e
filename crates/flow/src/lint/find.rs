//! Which files are looked at: those that are named, and in folders those whose names say what they are.

use std::path::{Path, PathBuf};

use corten_check::Subject;
use corten_diagnostic::{Failure, Report};
use corten_frontend::python::project::IsFolder;

use super::Wanted;
use super::gitignore::GitIgnore;
use super::settings::Linter;

/// Folders that hold other people's files.
const NOT_OURS: [&str; 12] = [
    ".git",
    ".hg",
    ".svn",
    ".venv",
    "venv",
    "node_modules",
    "__pycache__",
    ".tox",
    ".nox",
    ".eggs",
    "site-packages",
    ".direnv",
];
/// Folders in folders, at most.
const DEEPEST: usize = 64;

/// A file, or all of a folder that are looked at.
pub(super) fn files(path: &Path, linter: &Linter<'_>) -> Result<Vec<Wanted>, Report> {
    let metadata = std::fs::metadata(path).map_err(|error| {
        let message = format!("reading {}: {error}", path.display());
        match error.kind() {
            std::io::ErrorKind::NotFound => Failure::usage(message)
                .hint("name a Dockerfile, a compose file, or a folder with some; - reads standard input"),
            _ => Failure::world(message),
        }
    })?;
    if !metadata.is_dir() {
        return Ok(vec![Wanted::named(path)]);
    }
    let git = if linter.options.no_gitignore { GitIgnore::default() } else { GitIgnore::of(path)? };
    let mut walk = Walk { root: path, linter, git, found: Vec::new() };
    walk.below(path, "", DEEPEST)?;
    Ok(walk.found)
}

/// A folder that is looked through.
struct Walk<'w> {
    root: &'w Path,
    linter: &'w Linter<'w>,
    git: GitIgnore,
    found: Vec<Wanted>,
}

impl Walk<'_> {
    /// Looks through a folder; `inside` is its path from the root on.
    fn below(&mut self, folder: &Path, inside: &str, depth: usize) -> Result<(), Report> {
        self.git.enter(folder, inside)?;
        for entry in entries(folder)? {
            let path = if folder == Path::new(".") { PathBuf::from(entry.file_name()) } else { entry.path() };
            let name = entry.file_name().to_string_lossy().into_owned();
            let inside = if inside.is_empty() { name.clone() } else { format!("{inside}/{name}") };
            let Ok(kind) = entry.file_type() else { continue };
            if kind.is_dir() {
                let is_ours = depth > 0 && !NOT_OURS.contains(&name.as_str());
                if is_ours && !self.git.leaves_out(&inside, IsFolder::Yes) && !self.linter.excludes(&path)? {
                    self.below(&path, &inside, depth - 1)?;
                }
            } else if subject_of(&name).is_some()
                && path.is_file()
                && !self.git.leaves_out(&inside, IsFolder::No)
                && !self.linter.excludes(&path)?
            {
                self.found.push(Wanted { root: Some(self.root.to_owned()), ..Wanted::named(&path) });
            }
        }
        self.git.leave();
        Ok(())
    }
}

fn entries(folder: &Path) -> Result<Vec<std::fs::DirEntry>, Failure> {
    let failed = |error: std::io::Error| Failure::world(format!("reading folder {}: {error}", folder.display()));
    let mut entries = folder.read_dir().map_err(failed)?.collect::<Result<Vec<_>, _>>().map_err(failed)?;
    entries.sort_by_key(std::fs::DirEntry::file_name);
    Ok(entries)
}

fn shown(folder: &Path) -> String {
    if folder == Path::new(".") { "this folder".to_owned() } else { folder.display().to_string() }
}

/// What a file that was named is: by its name, and a Dockerfile where that says nothing.
pub(super) fn subject(path: &Path) -> Subject {
    let name = path.file_name().map(|name| name.to_string_lossy().to_ascii_lowercase()).unwrap_or_default();
    subject_of(&name).unwrap_or(if is_yaml(&name) { Subject::Compose } else { Subject::Dockerfile })
}

/// What a file is by its name.
fn subject_of(name: &str) -> Option<Subject> {
    let name = name.to_ascii_lowercase();
    if is_yaml(&name) {
        let is_compose = name.starts_with("compose.") || name.starts_with("docker-compose");
        return is_compose.then_some(Subject::Compose);
    }
    if name.ends_with(".dockerignore") || name.ends_with(".containerignore") {
        return None;
    }
    let is = |kind: &str| {
        let extension = |rest: &str| rest.is_empty() || rest.starts_with('.');
        name.strip_prefix(kind).is_some_and(extension)
            || name.strip_suffix(kind).is_some_and(|rest| rest.ends_with('.'))
    };
    // What an editor or a template engine leaves is none: Dockerfile.j2 has other rules.
    let is_other = [
        ".j2",
        ".jinja",
        ".jinja2",
        ".tmpl",
        ".tpl",
        ".erb",
        ".mustache",
        ".in",
        "~",
        ".orig",
        ".swp",
        ".md",
        ".py",
        ".lock",
    ]
    .iter()
    .any(|end| name.ends_with(end));
    ((is("dockerfile") || is("containerfile")) && !is_other).then_some(Subject::Dockerfile)
}

fn is_yaml(name: &str) -> bool {
    name.ends_with(".yml") || name.ends_with(".yaml")
}

/// What to say of a folder that has nothing to look at.
///
/// # Errors
/// Usage, where it is no project at all.
pub(super) fn nothing(folder: &Path) -> Result<String, Failure> {
    let shown = shown(folder);
    let is_native = folder.join("corten.toml").is_file() || crate::project::has_lock(folder).unwrap_or_default();
    if is_native {
        return Ok(format!(
            "{shown} has no Dockerfile and no compose file, and needs none: its image comes from its lock. \
             `corten check` asks the rules about that image, `corten plan` shows what would be in it"
        ));
    }
    if folder.join("pyproject.toml").is_file() || folder.join("requirements.txt").is_file() {
        return Ok(format!(
            "{shown} has no Dockerfile and no compose file. `corten init` writes settings from what the project shows; \
             then `corten check` asks the rules about its image"
        ));
    }
    Err(Failure::usage(format!("{shown} has no Dockerfile and no compose file"))
        .hint("files are found by name: Dockerfile, Containerfile, *.Dockerfile, Dockerfile.*, compose.yaml, docker-compose.yml, but not what .gitignore leaves out (--no-respect-gitignore); others are named one by one"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_say_what_files_are() {
        for name in ["Dockerfile", "dockerfile", "api.Dockerfile", "Dockerfile.gpu", "Containerfile", "x.containerfile"]
        {
            assert_eq!(subject_of(name), Some(Subject::Dockerfile), "{name}");
        }
        for name in ["compose.yaml", "compose.override.yml", "docker-compose.yml", "docker-compose.gpu.yaml"] {
            assert_eq!(subject_of(name), Some(Subject::Compose), "{name}");
        }
        for name in
            ["Dockerfile.dockerignore", "Dockerfile.j2", "Dockerfiles", "myDockerfile", "values.yaml", "Dockerfile~"]
        {
            assert_eq!(subject_of(name), None, "{name}");
        }
        assert_eq!(subject(Path::new("x.yml")), Subject::Compose);
        assert_eq!(subject(Path::new("/dev/fd/63")), Subject::Dockerfile);
    }
}
