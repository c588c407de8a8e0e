//! What the program stands on: its store as files, disks that are full or read-only, system calls that fail or kill.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use corten_testkit::command::{Corten, Ran};

use crate::service::{self, Service, digest};

/// A folder in memory where there is one: a process that is killed does not take the page cache along.
pub fn folder() -> tempfile::TempDir {
    tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap()
}

/// The program with its store at `home`.
pub fn corten_at(home: &Path) -> Corten {
    service::corten().env("CORTEN_HOME", home.to_str().unwrap())
}

/// Counts a test that could not run here; in continuous integration that is a failure.
pub fn not_run(reason: &str) {
    assert!(std::env::var_os("CI").is_none(), "{reason}");
    println!("not run: {reason}");
}

/// All paths below a folder, named from it, sorted.
pub fn paths(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(next) = folders.pop() {
        for entry in fs::read_dir(&next).unwrap().map(Result::unwrap) {
            if entry.file_type().unwrap().is_dir() {
                folders.push(entry.path());
            }
            found.push(entry.path().strip_prefix(folder).unwrap().to_owned());
        }
    }
    found.sort();
    found
}

/// Every file below a folder with its bytes.
pub fn contents(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let files = paths(folder).into_iter().filter(|path| !folder.join(path).is_dir());
    files.map(|path| (path.clone(), fs::read(folder.join(&path)).unwrap())).collect()
}

/// Everything below a folder with its inode and times: whoever writes changes it. Leases come and go.
pub fn stamps(folder: &Path) -> BTreeMap<PathBuf, (u64, u64, i64, i64, i64, i64)> {
    let stamp = |path: PathBuf| {
        let found = fs::symlink_metadata(folder.join(&path)).unwrap();
        let (modified, changed) = ((found.mtime(), found.mtime_nsec()), (found.ctime(), found.ctime_nsec()));
        (path, (found.ino(), found.size(), modified.0, modified.1, changed.0, changed.1))
    };
    paths(folder).into_iter().filter(|path| !path.starts_with("leases")).map(stamp).collect()
}

/// A service and a store that can be emptied.
pub struct Ground {
    pub service: Service,
    pub home: tempfile::TempDir,
    pub corten: Corten,
}

impl Ground {
    pub fn new() -> Self {
        let (service, home) = (Service::new(), folder());
        let corten = corten_at(home.path());
        Self { service, home, corten }
    }

    pub fn run(&self, line: &str) -> Ran {
        self.corten.run(&self.service.folder(), line.split_whitespace())
    }

    /// No store, no corten.lock.
    pub fn empty(&self) {
        self.forget(self.home.path());
    }

    /// The same for a store elsewhere.
    pub fn forget(&self, home: &Path) {
        for entry in fs::read_dir(home).unwrap().map(Result::unwrap) {
            match entry.file_type().unwrap().is_dir() {
                true => fs::remove_dir_all(entry.path()).unwrap(),
                false => fs::remove_file(entry.path()).unwrap(),
            }
        }
        drop(fs::remove_file(self.service.folder().join("corten.lock")));
    }

    /// Ships undisturbed: the digest, and all files of the store.
    pub fn reference(&self) -> (String, BTreeMap<PathBuf, Vec<u8>>) {
        let shipped = digest(&self.run("ship --format json"));
        let store = contents(self.home.path());
        self.empty();
        (shipped, store)
    }
}

/// The same files with the same bytes.
#[track_caller]
pub fn assert_same(one: &BTreeMap<PathBuf, Vec<u8>>, other: &BTreeMap<PathBuf, Vec<u8>>) {
    let differs = |(path, bytes): &(&PathBuf, &Vec<u8>)| other.get(*path) != Some(*bytes);
    let more: Vec<_> = one.iter().filter(differs).map(|(path, _)| path).collect();
    let less: Vec<_> = other.keys().filter(|path| !one.contains_key(*path)).collect();
    assert!(more.is_empty() && less.is_empty(), "new or other: {more:?}, missing: {less:?}");
}

/// Nothing that has no name yet lies in the store, nor in the folder of the project.
#[track_caller]
pub fn assert_swept(home: &Path, project: &Path) {
    for name in ["tmp", "downloads", "trash"] {
        assert_eq!(paths(&home.join(name)), [] as [PathBuf; 0], "{name} is not empty");
    }
    assert_eq!(paths(&home.join("leases")), [PathBuf::from("gate")], "leases of the dead");
    let incomplete = |path: &PathBuf| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with('.'));
    let left: Vec<_> = paths(home).into_iter().chain(paths(project)).filter(incomplete).collect();
    assert_eq!(left, [] as [PathBuf; 0]);
}

/// A small file system of its own on a folder, as long as this lives. Needs root.
pub struct SmallDisk {
    folder: tempfile::TempDir,
}

impl SmallDisk {
    /// None where mounting is not allowed.
    pub fn new(options: &str) -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        mount(&["-t", "tmpfs", "-o", options, "none"], folder.path()).then_some(Self { folder })
    }

    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    /// `size=8m`, `ro` …
    pub fn remount(&self, options: &str) {
        assert!(mount(&["-o", &format!("remount,{options}")], self.path()), "remount {options}");
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        drop(Command::new("umount").arg("--lazy").arg(self.path()).status());
    }
}

fn mount(arguments: &[&str], folder: &Path) -> bool {
    let output = Command::new("mount").args(arguments).arg(folder).output();
    output.is_ok_and(|output| output.status.success())
}

/// A system call of a run: its name, and that its thread made it for the n-th time.
pub type Step = (String, usize);

/// Runs the program under strace, which follows `calls` and does something to one of them.
pub struct Traced {
    pub steps: Vec<Step>,
    pub ran: Ran,
    pub killed: bool,
}

impl Traced {
    /// `inject`: `rename:error=EIO:when=3`. None where there is no strace.
    pub fn run(corten: &Corten, folder: &Path, line: &str, calls: &[&str], inject: Option<&str>) -> Option<Self> {
        let log = tempfile::NamedTempFile::new().unwrap();
        let inner = corten.command(folder);
        let mut strace = Command::new("strace");
        strace.current_dir(folder).env_clear().envs(inner.get_envs().filter_map(|(name, value)| Some((name, value?))));
        strace.args(["-f", "-e", "signal=none", "-e"]).arg(format!("trace={}", calls.join(",")));
        if let Some(inject) = inject {
            strace.arg("-e").arg(format!("inject={inject}"));
        }
        strace.arg("-o").arg(log.path()).arg(inner.get_program()).args(line.split_whitespace());
        let output: Output = strace.output().ok()?;
        let killed = output.status.signal() == Some(9);
        let steps = steps(&fs::read_to_string(log.path()).unwrap());
        Some(Self { steps, ran: output.into(), killed })
    }
}

/// Lines `PID NAME(…`, in the order in which the calls began.
pub fn steps(log: &str) -> Vec<Step> {
    let mut counts = BTreeMap::new();
    let mut steps = Vec::new();
    for line in log.lines() {
        let Some((thread, rest)) = line.split_once(' ') else { continue };
        let Some((name, _)) = rest.trim_start().split_once('(') else { continue };
        if name.is_empty() || !name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_') {
            continue;
        }
        let count = counts.entry((thread, name)).or_insert(0);
        *count += 1;
        steps.push((name.to_owned(), *count));
    }
    steps
}
