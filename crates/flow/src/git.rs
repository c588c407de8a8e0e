//! What git knows of a project: the commit, its time, and which files differ from it.
//!
//! Git itself is asked (`git` on PATH), with its optional locks and hooks off so that looking changes nothing: once about
//! the files, and once more about the time of a commit that the store does not know. A folder that is in no repository, or a machine without git, gives [`None`].

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

use corten_diagnostic::{Failure, Report};
use corten_frontend::python::project::{Describe, Git, IgnoreFile};
use corten_oci::Digest;
use corten_store::{Key, Store};

use crate::regular;

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

/// What `git status` is asked for: the commit, and what differs from it.
const STATUS: [&str; 8] = [
    "status",
    "--porcelain=v2",
    "--branch",
    "-z",
    "--untracked-files=all",
    "--no-renames",
    "--ignore-submodules=none",
    ".",
];

/// How far the checkout is from its last tag with a version.
const DESCRIBE: [&str; 7] = ["describe", "--dirty", "--tags", "--long", "--abbrev=40", "--match", "*[0-9]*"];

/// Asks git about the folder `project`.
pub fn commit(project: &Path, store: &Store) -> Result<Option<Commit>, Report> {
    let Some(status) = ask(project, &STATUS)? else { return Ok(None) };
    let Some(id) = status.split('\0').find_map(|record| record.strip_prefix("# branch.oid ")) else { return Ok(None) };
    let Some(time) = time(project, id, store)? else { return Ok(None) };
    Ok(Some(Commit { id: id.to_owned(), time, changed: changed(&status, &prefix(project)) }))
}

/// Where the repository of a folder is published, where git knows a place.
pub fn origin(project: &Path) -> Result<Option<String>, Failure> {
    // Without one, git ends with status 1 and says nothing.
    let listed = ask(project, &["config", "--get-regexp", "^remote\\..*\\.url$"]);
    let listed = listed.ok().flatten().unwrap_or_default();
    let urls = listed.lines().filter_map(|line| line.split_once(' '));
    let mut urls: Vec<(&str, &str)> = urls.collect();
    urls.sort_by_key(|(name, _)| *name != "remote.origin.url");
    Ok(urls.first().map(|(_, url)| (*url).to_owned()))
}

/// The time of a commit, which never changes, so that git is asked once; none where `id` is no commit (`(initial)`).
fn time(project: &Path, id: &str, store: &Store) -> Result<Option<i64>, Report> {
    if !id.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return Ok(None);
    }
    let key = Key(Digest::of(format!("time of commit {id}")));
    let number = |bytes: &[u8]| str::from_utf8(bytes).ok()?.trim().parse::<i64>().ok();
    if let Some(time) = store.record(&key)?.as_deref().and_then(number) {
        return Ok(Some(time));
    }
    let Some(said) = ask(project, &["log", "-1", "--format=%ct", id])? else { return Ok(None) };
    let time = number(said.as_bytes())
        .ok_or_else(|| Failure::world(format!("git gave no time for commit {id}: '{}'", said.trim())))?;
    let batch = store.batch();
    batch.record(&key, time.to_string().as_bytes())?;
    batch.finish()?;
    Ok(Some(time))
}

/// What the build backends of the project's packages ask git: which files it tracks, which it leaves out, and where the
/// checkout stands by its tags. None where the project is in no repository.
pub fn tracked(project: &Path) -> Result<Option<Git>, Failure> {
    let Some(files) = ask(project, &["ls-files", "-z"])? else { return Ok(None) };
    let describe = ask(project, &DESCRIBE)?.and_then(|text| Describe::parse(&text));
    let exclude = match ask(project, &["rev-parse", "--git-path", "info/exclude"])? {
        None => None,
        Some(path) => {
            let inside = prefix(project).to_str().unwrap_or_default().to_owned();
            read(&project.join(path.trim_end()))?.map(|text| IgnoreFile { inside, text })
        }
    };
    let tracked = files.split('\0').filter(|path| !path.is_empty()).map(str::to_owned).collect();
    Ok(Some(Git { tracked, exclude, describe }))
}

/// The `.gitignore` files above `folder`, up to the top of its repository, outermost first; none outside of one.
pub fn ignore_files_above(folder: &Path) -> Result<Vec<IgnoreFile>, Failure> {
    let Ok(folder) = folder.canonicalize() else { return Ok(Vec::new()) };
    let mut found = Vec::new();
    let Some(top) = folder.ancestors().find(|above| above.join(".git").exists()) else { return Ok(found) };
    for above in folder.ancestors().skip(1).take_while(|above| above.starts_with(top)) {
        let inside = folder.strip_prefix(above).ok().and_then(Path::to_str).unwrap_or_default().to_owned();
        found.extend(read(&above.join(".gitignore"))?.map(|text| IgnoreFile { inside, text }));
    }
    found.reverse();
    Ok(found)
}

/// A text, where there is one.
fn read(path: &Path) -> Result<Option<String>, Failure> {
    Ok(regular::bytes(path)?.map(|bytes| String::from_utf8_lossy(&bytes).into_owned()))
}

/// The project's folder below the repository's, as `git status` writes it in front of every path.
fn prefix(project: &Path) -> PathBuf {
    let Ok(project) = project.canonicalize() else { return PathBuf::new() };
    let top = project.ancestors().find(|folder| folder.join(".git").exists());
    top.and_then(|top| project.strip_prefix(top).ok()).map(Path::to_path_buf).unwrap_or_default()
}

/// Reads the records of git-status(1), version 2, separated by NUL: after the kind (`1` changed, `u` unmerged, `?` new)
/// come so many fields, then the path. Deleted files are in it too: they no longer enter an image, but neither is the image
/// that of the commit.
fn changed(status: &str, prefix: &Path) -> BTreeSet<PathBuf> {
    let path = |record: &str| {
        let fields = match record.as_bytes().first()? {
            b'1' => 8,
            b'u' => 10,
            b'?' => 1,
            _ => return None,
        };
        let path = record.splitn(fields + 1, ' ').nth(fields)?;
        Path::new(path).strip_prefix(prefix).ok().map(Path::to_path_buf)
    };
    status.split('\0').filter_map(path).collect()
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

/// "Not a repository" and "no commit yet" are answers; an owner that git does not trust is a question to the user. All
/// else would lose the commit, and with it the image's revision, without a word.
fn refused(project: &Path, message: &str) -> Result<Option<String>, Failure> {
    if message.contains("dubious ownership") {
        let failure = Failure::world(format!("git does not trust the repository of {}", project.display()));
        return Err(failure.hint("git config --global --add safe.directory <that folder>").because(message.trim()));
    }
    if message.contains("not a git repository") || message.contains("does not have any commits yet") {
        return Ok(None);
    }
    Err(Failure::world(format!("asking git about {}", project.display())).because(message.trim().to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn git(folder: &Path, arguments: &[&str]) {
        let mut git = Command::new("git");
        git.arg("-C").arg(folder).args(["-c", "user.name=a", "-c", "user.email=a@example.org"]).args(arguments);
        git.env("GIT_COMMITTER_DATE", "@1700000000 +0130");
        assert!(git.output().unwrap().status.success(), "git {arguments:?}");
    }

    #[test]
    fn changed_files_are_named_from_the_project() {
        let (folder, home) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let store = Store::open(home.path()).unwrap();
        let project = folder.path().join("service");
        std::fs::create_dir(&project).unwrap();
        git(folder.path(), &["init", "-q"]);
        assert_eq!(commit(&project, &store).unwrap(), None, "no commit yet");
        std::fs::write(folder.path().join(".gitignore"), "*.log\n").unwrap();
        std::fs::write(project.join("main.py"), "1").unwrap();
        git(folder.path(), &["add", "."]);
        git(folder.path(), &["commit", "-qm", "one"]);

        let clean = commit(&project, &store).unwrap().unwrap();
        assert_eq!((clean.id.len(), clean.time), (40, 1_700_000_000));
        assert!(clean.changed.is_empty());

        std::fs::write(project.join("main.py"), "2").unwrap();
        std::fs::write(project.join("new é.py"), "3").unwrap();
        std::fs::write(project.join("x.log"), "4").unwrap();
        std::fs::write(folder.path().join("elsewhere"), "5").unwrap();
        let dirty = commit(&project, &store).unwrap().unwrap();
        let names: Vec<_> = dirty.changed.iter().map(|path| path.to_str().unwrap()).collect();
        assert_eq!(names, ["main.py", "new é.py"]);
        assert_eq!(Commit { changed: BTreeSet::new(), ..dirty }, clean, "the remembered time is that of the commit");

        std::fs::remove_file(project.join("main.py")).unwrap();
        let gone = commit(&project, &store).unwrap().unwrap();
        assert!(gone.changed.contains(Path::new("main.py")));
    }

    /// Records as git-status(1) describes them.
    #[test]
    fn every_kind_of_record_names_its_path() {
        let hash = "0".repeat(40);
        let status = format!(
            "# branch.oid {hash}\0# branch.head main\01 .M N... 100644 100644 100644 {hash} {hash} a b.py\0\
             u UU N... 100644 100644 100644 100644 {hash} {hash} {hash} c.py\0? d.py\0! e.log\0"
        );
        let names = changed(&status, Path::new("")).into_iter().map(|path| path.display().to_string());
        assert_eq!(names.collect::<Vec<_>>(), ["a b.py", "c.py", "d.py"]);
    }

    #[test]
    fn a_folder_without_repository_has_no_commit() {
        let (folder, home) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        assert_eq!(commit(folder.path(), &Store::open(home.path()).unwrap()).unwrap(), None);
    }

    #[test]
    fn a_damaged_repository_is_an_error() {
        let (folder, home) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        git(folder.path(), &["init", "-q"]);
        git(folder.path(), &["commit", "--allow-empty", "-qm", "one"]);
        std::fs::remove_dir_all(folder.path().join(".git/objects")).unwrap();
        std::fs::create_dir(folder.path().join(".git/objects")).unwrap();
        let error = commit(folder.path(), &Store::open(home.path()).unwrap()).unwrap_err();
        assert!(error.to_string().contains("asking git"), "{error}");
    }
}
