//! What git knows of a project: the commit, its time, and which files differ from it.
//!
//! Git itself is asked (`git` on PATH): two short commands, side by side, with its optional locks and hooks off so that
//! looking changes nothing. A folder that is in no repository, or a machine without git, gives [`None`].

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

use corten_diagnostic::Failure;

/// A project's place in a repository.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Commit {
    /// 40 (or 64) hexadecimal digits.
    pub id: String,
    /// The commit's time, seconds since 1970.
    pub time: i64,
    /// Files below the project (paths from the project's folder) that differ from the commit or are new and not ignored.
    pub changed: BTreeSet<PathBuf>,
}

impl Commit {
    /// The first seven digits, as people write them.
    pub fn short(&self) -> &str {
        self.id.get(..7).unwrap_or(&self.id)
    }
}

/// Asks git about the folder `project`.
pub fn commit(project: &Path) -> Result<Option<Commit>, Failure> {
    let (head, status) = std::thread::scope(|scope| {
        let head = scope.spawn(|| ask(project, &["log", "-1", "--format=%H %ct"]));
        let status = ask(
            project,
            &[
                "status",
                "--porcelain=v1",
                "-z",
                "--untracked-files=all",
                "--no-renames",
                "--ignore-submodules=none",
                ".",
            ],
        );
        (head.join().unwrap_or(Ok(None)), status)
    });
    let (Some(head), Some(status)) = (head?, status?) else { return Ok(None) };
    let Some((id, time)) = head.trim().split_once(' ') else { return Ok(None) };
    let time = time.parse().map_err(|_| Failure::world(format!("git gave no time for commit {id}: '{time}'")))?;
    let prefix = prefix(project);
    Ok(Some(Commit { id: id.to_owned(), time, changed: changed(&status, &prefix) }))
}

/// The project's folder below the repository's, as `git status` writes it in front of every path.
fn prefix(project: &Path) -> PathBuf {
    let Ok(project) = project.canonicalize() else { return PathBuf::new() };
    let top = project.ancestors().find(|folder| folder.join(".git").exists());
    top.and_then(|top| project.strip_prefix(top).ok()).map(Path::to_path_buf).unwrap_or_default()
}

/// Reads `XY PATH` records, separated by NUL. Deleted files are in it too: they no longer enter an image, but neither
/// is the image that of the commit.
fn changed(status: &str, prefix: &Path) -> BTreeSet<PathBuf> {
    let paths = status.split('\0').filter_map(|record| record.get(3..)).map(Path::new);
    paths.filter_map(|path| path.strip_prefix(prefix).ok()).map(Path::to_path_buf).collect()
}

/// Standard output of a git command; none where git says no or is not there.
fn ask(project: &Path, arguments: &[&str]) -> Result<Option<String>, Failure> {
    let mut git = Command::new("git");
    git.arg("-C").arg(project).args(["-c", "core.fsmonitor=false", "-c", "core.quotePath=false"]).args(arguments);
    git.env("GIT_OPTIONAL_LOCKS", "0").env("LC_ALL", "C");
    match git.output() {
        Ok(output) if output.status.success() => Ok(Some(String::from_utf8_lossy(&output.stdout).into_owned())),
        Ok(output) => refused(project, &String::from_utf8_lossy(&output.stderr)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(Failure::world(format!("running git in {}: {error}", project.display()))),
    }
}

/// "Not a repository" and "no commit yet" are answers; an owner that git does not trust is a question to the user.
fn refused(project: &Path, message: &str) -> Result<Option<String>, Failure> {
    if message.contains("dubious ownership") {
        let failure = Failure::world(format!("git does not trust the repository of {}", project.display()));
        return Err(failure.hint("git config --global --add safe.directory <that folder>").because(message.trim()));
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn git(folder: &Path, arguments: &[&str]) {
        let mut git = Command::new("git");
        git.arg("-C").arg(folder).args(["-c", "user.name=a", "-c", "user.email=a@example.org"]).args(arguments);
        assert!(git.output().unwrap().status.success(), "git {arguments:?}");
    }

    #[test]
    fn changed_files_are_named_from_the_project() {
        let folder = tempfile::tempdir().unwrap();
        let project = folder.path().join("service");
        std::fs::create_dir(&project).unwrap();
        git(folder.path(), &["init", "-q"]);
        std::fs::write(folder.path().join(".gitignore"), "*.log\n").unwrap();
        std::fs::write(project.join("main.py"), "1").unwrap();
        git(folder.path(), &["add", "."]);
        git(folder.path(), &["commit", "-qm", "one"]);

        let clean = commit(&project).unwrap().unwrap();
        assert_eq!(clean.id.len(), 40);
        assert!(clean.changed.is_empty());

        std::fs::write(project.join("main.py"), "2").unwrap();
        std::fs::write(project.join("new é.py"), "3").unwrap();
        std::fs::write(project.join("x.log"), "4").unwrap();
        std::fs::write(folder.path().join("elsewhere"), "5").unwrap();
        let dirty = commit(&project).unwrap().unwrap();
        let names: Vec<_> = dirty.changed.iter().map(|path| path.to_str().unwrap()).collect();
        assert_eq!(names, ["main.py", "new é.py"]);
    }

    #[test]
    fn a_folder_without_repository_has_no_commit() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(commit(folder.path()).unwrap(), None);
    }
}
