//! Containers on disk, and who runs.

use std::collections::BTreeMap;
use std::fs::{self, File, Permissions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use corten_diagnostic::Failure;
use corten_oci::{Descriptor, DiffId};
use corten_sandbox::{End, Limit, Port, Sandbox};
use rustix::fs::FlockOperation;
use serde::{Deserialize, Serialize};

/// A container as it was asked for.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Container {
    /// 64 hexadecimal digits.
    pub id: String,
    /// For people.
    pub name: String,
    /// The image, as it was named.
    pub image: String,
    /// Its digest.
    pub digest: String,
    /// Its layers, the lowest first: diff id and blob, where there is one.
    pub layers: Vec<(DiffId, Option<Descriptor>)>,
    /// Seconds since 1970.
    pub created: i64,
    /// What is let in.
    pub ports: Vec<Port>,
    /// Free text by key.
    pub labels: BTreeMap<String, String>,
    /// What stops it.
    pub stop_signal: i32,
    /// It goes when it ends.
    pub is_removed: bool,
    /// Its stdin is open.
    pub is_interactive: bool,
    /// Volumes of its own.
    pub anonymous: Vec<String>,
    /// Everything that its process gets.
    pub sandbox: Sandbox,
}

/// How a container ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ended {
    /// The exit status, as a shell would say it.
    pub status: u8,
    /// Why, where there is something to say.
    pub why: Option<String>,
}

/// What a container does now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum State {
    /// It runs.
    Running,
    /// It ended.
    Exited(Ended),
    /// Who ran it was killed before it could tell.
    Lost,
}

/// The exit status of an end, as docker gives it.
pub fn status(end: End) -> u8 {
    let of = |number: i32| u8::try_from(number & 0xff).unwrap_or(u8::MAX);
    match end {
        End::Status(status) => of(status),
        End::Signal(signal) => of(128_i32.saturating_add(signal)),
        End::Limit(Limit::Time) => 124,
        End::Limit(_) | End::Killed => 137,
    }
}

/// The containers of a store.
#[derive(Debug, Clone)]
pub struct Containers {
    folder: PathBuf,
    volumes: PathBuf,
}

impl Containers {
    /// Below a store's folder.
    pub fn new(root: &Path) -> Self {
        Self { folder: root.join("containers"), volumes: root.join("volumes") }
    }

    /// Where named volumes are.
    pub fn volumes(&self) -> &Path {
        &self.volumes
    }

    /// A container's folder.
    pub fn folder(&self, id: &str) -> PathBuf {
        self.folder.join(id)
    }

    /// Makes the folder of a new container, locked by this process.
    ///
    /// # Errors
    /// World: the disk.
    pub fn make(&self, id: &str) -> Result<Lock, Failure> {
        let (folder, new) = (self.folder(id), self.folder(&format!("{NEW}{id}")));
        let failed = |error| failed("making the folder", &folder, &error);
        private(&self.folder).map_err(failed)?;
        self.sweep();
        // It is locked before anybody can see it; while it is made, nobody sweeps.
        let _all = self.all(FlockOperation::LockShared).map_err(failed)?;
        fs::DirBuilder::new().mode(0o700).create(&new).map_err(failed)?;
        let lock = Lock::make(&new).map_err(failed)?;
        match lock.try_take() {
            true => fs::rename(&new, &folder).map_err(failed).map(|()| lock),
            false => Err(Failure::bug("a new container is locked by another process")),
        }
    }

    /// The lock on all of them.
    fn all(&self, operation: FlockOperation) -> io::Result<File> {
        let all = File::open(&self.folder)?;
        rustix::fs::flock(&all, operation)?;
        Ok(all)
    }

    /// Writes down what was asked for; from now on the container is listed.
    ///
    /// # Errors
    /// Usage where another container has the name; world: the disk.
    pub fn write(&self, container: &Container) -> Result<(), Failure> {
        // Two that take the same name at once are told apart by a lock on all of them.
        let _all = self.all(FlockOperation::LockExclusive).map_err(|error| failed("locking", &self.folder, &error))?;
        if let Some(other) = self.list()?.into_iter().find(|(other, _)| other.name == container.name) {
            let short: String = other.0.id.chars().take(12).collect();
            return Err(Failure::usage(format!("--name {}: the container {short} has this name", container.name))
                .hint(format!("corten rm {}", container.name)));
        }
        let json =
            serde_json::to_vec(container).map_err(|error| Failure::bug(format!("writing a container: {error}")))?;
        self.put(&container.id, "container.json", &json)
    }

    /// Makes the folders of volumes, and of binds that are to be made.
    ///
    /// # Errors
    /// World: the disk.
    pub fn make_folders<'a>(&self, folders: impl Iterator<Item = &'a Path>) -> Result<(), Failure> {
        for folder in folders {
            let result = if folder.starts_with(&self.volumes) {
                private(&self.volumes).and_then(|()| fs::create_dir_all(folder))
            } else {
                fs::create_dir_all(folder)
            };
            result.map_err(|error| failed("making the folder", folder, &error))?;
        }
        Ok(())
    }

    pub(crate) fn ended(&self, id: &str, ended: &Ended) -> Result<(), Failure> {
        let json = serde_json::to_vec(ended).map_err(|error| Failure::bug(format!("writing an end: {error}")))?;
        self.put(id, "exit.json", &json)
    }

    fn put(&self, id: &str, name: &str, bytes: &[u8]) -> Result<(), Failure> {
        let (path, temporary) = (self.folder(id).join(name), self.folder(id).join(format!("{name}.new")));
        let write = || {
            let mut file = File::options().write(true).create(true).truncate(true).mode(0o600).open(&temporary)?;
            file.write_all(bytes)?;
            fs::rename(&temporary, &path)
        };
        write().map_err(|error| failed("writing", &path, &error))
    }

    /// All containers, the newest first.
    ///
    /// # Errors
    /// World: the disk.
    pub fn list(&self) -> Result<Vec<(Container, State)>, Failure> {
        let mut all = Vec::new();
        for id in self.ids()? {
            // One that another process removes just now is none.
            let Some(container) = self.read::<Container>(&id, "container.json") else { continue };
            if container.id == id {
                let state = self.state(&id);
                all.push((container, state));
            }
        }
        all.sort_by(|(one, _), (other, _)| other.created.cmp(&one.created).then_with(|| one.id.cmp(&other.id)));
        Ok(all)
    }

    fn ids(&self) -> Result<Vec<String>, Failure> {
        match fs::read_dir(&self.folder) {
            Ok(entries) => {
                let names = entries.flatten().filter_map(|entry| entry.file_name().into_string().ok());
                Ok(names.filter(|name| !name.starts_with('.')).collect())
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
            Err(error) => Err(failed("reading", &self.folder, &error)),
        }
    }

    fn read<T: serde::de::DeserializeOwned>(&self, id: &str, name: &str) -> Option<T> {
        let mut bytes = Vec::new();
        let file = File::open(self.folder(id).join(name)).ok()?;
        file.take(256 << 20).read_to_end(&mut bytes).ok()?;
        serde_json::from_slice(&bytes).ok()
    }

    /// What it does now.
    pub fn state(&self, id: &str) -> State {
        if Lock::open(&self.folder(id)).is_ok_and(|lock| lock.is_held()) {
            return State::Running;
        }
        self.read(id, "exit.json").map_or(State::Lost, State::Exited)
    }

    /// Has it ended, and is it gone, if it goes when it ends?
    pub(crate) fn is_over(&self, id: &str) -> bool {
        let folder = self.folder(id);
        !folder.exists() || Lock::open(&folder).is_ok_and(|lock| !lock.is_held())
    }

    /// A container by name, id, or the beginning of an id that is no other's.
    ///
    /// # Errors
    /// Input where there is none, or where several begin so.
    pub fn find(&self, text: &str) -> Result<(Container, State), Failure> {
        let mut all = self.list()?;
        if let Some(at) = all.iter().position(|(container, _)| container.name == text || container.id == text) {
            return Ok(all.swap_remove(at));
        }
        all.retain(|(container, _)| !text.is_empty() && container.id.starts_with(text));
        match (all.len(), all.pop()) {
            (1, Some(found)) => Ok(found),
            (0, _) | (_, None) => Err(Failure::input(format!("there is no container '{}'", text.escape_debug()))
                .hint("`corten ps --all` lists them")),
            (count, _) => Err(Failure::input(format!("'{text}' is the beginning of {count} containers' ids"))),
        }
    }

    /// Removes a container that does not run, and the volumes of its own if that is said.
    ///
    /// # Errors
    /// Input where it runs; world: the disk.
    pub fn remove(&self, container: &Container, with_volumes: bool) -> Result<(), Failure> {
        let folder = self.folder(&container.id);
        let lock = Lock::open(&folder).map_err(|error| failed("opening", &folder, &error))?;
        if !lock.take_from_lookers() {
            return Err(Failure::input(format!("the container {} runs", container.name))
                .hint(format!("corten stop {0}, or corten rm --force {0}", container.name)));
        }
        self.clear(container, with_volumes)
    }

    /// Removes everything of a container; its lock is held.
    pub(crate) fn clear(&self, container: &Container, with_volumes: bool) -> Result<(), Failure> {
        let folder = self.folder(&container.id);
        // First what makes it a container: a removal that is cut short leaves nothing that is listed.
        let _ = fs::remove_file(folder.join("container.json"));
        let volumes = container.anonymous.iter().filter(|_| with_volumes).map(|name| self.volumes.join(name));
        for path in volumes.chain([folder]) {
            match remove_all(&path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    return Err(failed("removing", &path, &error));
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// Removes what nobody will come back to: folders that never became containers, and containers that go when they end,
    /// whose runner was killed.
    pub fn sweep(&self) {
        // Somebody makes one just now: the next will sweep.
        let Ok(_all) = self.all(FlockOperation::NonBlockingLockExclusive) else { return };
        let entries = fs::read_dir(&self.folder).into_iter().flatten().flatten();
        for name in entries.filter_map(|entry| entry.file_name().into_string().ok()) {
            let folder = self.folder(&name);
            if name.starts_with('.') {
                let _ = remove_all(&folder);
                continue;
            }
            // Of a folder without a lock the rest is gone already.
            if !Lock::open(&folder).map_or(true, |lock| lock.take_from_lookers()) {
                continue;
            }
            match self.read::<Container>(&name, "container.json") {
                Some(container) if !container.is_removed => {}
                Some(container) => drop(self.clear(&container, true)),
                None if folder.join("container.json").exists() => {}
                None => drop(remove_all(&folder)),
            }
        }
    }
}

/// What the name of a folder begins with that is not a container yet.
const NEW: &str = ".new-";

/// Held by the process that runs a container.
#[derive(Debug)]
pub struct Lock(pub File);

impl Lock {
    fn make(folder: &Path) -> io::Result<Self> {
        File::options().write(true).create_new(true).mode(0o600).open(folder.join("lock")).map(Self)
    }

    /// Of a folder that is being removed there may be none any more.
    fn open(folder: &Path) -> io::Result<Self> {
        File::options().write(true).open(folder.join("lock")).map(Self)
    }

    fn try_take(&self) -> bool {
        rustix::fs::flock(&self.0, FlockOperation::NonBlockingLockExclusive).is_ok()
    }

    /// Does somebody run it? Whoever looks shares the lock for a moment: two who look do not take each other for a runner.
    fn is_held(&self) -> bool {
        rustix::fs::flock(&self.0, FlockOperation::NonBlockingLockShared).is_err()
    }

    /// Takes it where nobody runs the container; who only looks has it for a moment, and is waited for.
    fn take_from_lookers(&self) -> bool {
        !self.is_held() && rustix::fs::flock(&self.0, FlockOperation::LockExclusive).is_ok()
    }
}

/// A folder for this user alone.
fn private(folder: &Path) -> io::Result<()> {
    match fs::DirBuilder::new().mode(0o700).recursive(true).create(folder) {
        Ok(()) => fs::set_permissions(folder, Permissions::from_mode(0o700)),
        Err(error) => Err(error),
    }
}

/// Removes a folder with all that is in it, also where a container has taken rights away.
fn remove_all(path: &Path) -> io::Result<()> {
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            open_up(path);
            fs::remove_dir_all(path)
        }
        result => result,
    }
}

fn open_up(folder: &Path) {
    let _ = fs::set_permissions(folder, Permissions::from_mode(0o700));
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            open_up(&entry.path());
        }
    }
}

pub(crate) fn failed(doing: &str, path: &Path, error: &io::Error) -> Failure {
    Failure::world(format!("{doing} {}: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use corten_sandbox::{Helper, Ids, Limits, Network, Process, Root, Upper};

    use super::*;

    fn container(id: &str, name: &str) -> Container {
        Container {
            id: id.into(),
            name: name.into(),
            image: "demo".into(),
            digest: "sha256:0".into(),
            layers: Vec::new(),
            created: 0,
            ports: Vec::new(),
            labels: BTreeMap::new(),
            stop_signal: 15,
            is_removed: false,
            is_interactive: false,
            anonymous: vec![format!("{id}-0")],
            sandbox: Sandbox {
                root: Root::Overlay { lower: Vec::new(), upper: Upper::ReadOnly },
                mounts: Vec::new(),
                process: Process::new(["true"]),
                network: Network::None,
                limits: Limits::default(),
                hostname: "x".into(),
                ids: Ids::Shifted,
                helper: Helper::default(),
            },
        }
    }

    #[test]
    fn who_runs_is_told_by_locks_and_nothing_stale_is() {
        let folder = tempfile::tempdir().unwrap();
        let containers = Containers::new(folder.path());
        let lock = containers.make("ab12").unwrap();
        assert_eq!(containers.list().unwrap().len(), 0, "not yet");
        let one = container("ab12", "one");
        containers.write(&one).unwrap();
        assert_eq!(containers.find("ab").unwrap().1, State::Running);
        let said = containers.remove(&one, true).unwrap_err().to_string();
        assert_eq!(said, "the container one runs");
        drop(lock);
        assert_eq!(containers.find("one").unwrap().1, State::Lost, "it never told its end");
        containers.ended("ab12", &Ended { status: 3, why: None }).unwrap();
        assert_eq!(containers.state("ab12"), State::Exited(Ended { status: 3, why: None }));
        fs::create_dir_all(containers.volumes().join("ab12-0")).unwrap();
        containers.remove(&one, true).unwrap();
        assert!(!containers.folder("ab12").exists() && !containers.volumes().join("ab12-0").exists());
        assert_eq!(containers.find("one").unwrap_err().to_string(), "there is no container 'one'");
    }

    #[test]
    fn names_are_unique_and_beginnings_must_be() {
        let folder = tempfile::tempdir().unwrap();
        let containers = Containers::new(folder.path());
        for (id, name) in [("ab12", "one"), ("ab34", "two")] {
            drop(containers.make(id).unwrap());
            containers.write(&container(id, name)).unwrap();
        }
        assert_eq!(containers.find("ab").unwrap_err().to_string(), "'ab' is the beginning of 2 containers' ids");
        drop(containers.make("cd").unwrap());
        let said = containers.write(&container("cd", "two")).unwrap_err().to_string();
        assert_eq!(said, "--name two: the container ab34 has this name");
        let lock = containers.make("ef").unwrap();
        assert!(!containers.folder("cd").exists(), "what never became a container is swept");
        drop(lock);
    }

    #[test]
    fn statuses_are_dockers() {
        let all = [End::Status(3), End::Status(256), End::Signal(9), End::Killed, End::Limit(Limit::Memory)];
        assert_eq!(all.map(status), [3, 0, 137, 137, 137]);
    }

    #[test]
    fn e16_folders_and_files_are_the_users_alone() {
        let folder = tempfile::tempdir().unwrap();
        let containers = Containers::new(folder.path());
        let _lock = containers.make("ab").unwrap();
        containers.write(&container("ab", "one")).unwrap();
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        let own = containers.folder("ab");
        assert_eq!([mode(&own), mode(&own.join("container.json")), mode(own.parent().unwrap())], [0o700, 0o600, 0o700]);
    }
}
