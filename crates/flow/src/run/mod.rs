//! `corten run` and what belongs to it: an image of the store, pulled if it is not there, in a sandbox.
//!
//! ```text
//! name ─► digest ─► config and layers ─► trees ─► plan ─► container ─┬─► this process runs it, and passes its exit status on
//!                                                                   └─► -d: a process of its own does ([`monitor`])
//! ```

mod image;
mod monitor;
mod trees;

use std::fs;
use std::io::{self, Read};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

use corten_diagnostic::{Failure, Report};
use corten_oci::Reference;
use corten_run::{Attach, Containers, Ground, Run, State, VolumeSource, window};
use corten_sandbox::{Process, Signals, Window};

use crate::registry::RegistryOptions;
use crate::world::World;

pub use corten_plan::recipe::memory;
pub use corten_run::{Container, Containers as AllContainers, Outcome, State as ContainerState};
pub use corten_run::{
    Ended, MountOption, NetworkChoice, Options, Published, VolumeOption, environment_file, follow, mount_option,
    published, tmpfs, ulimit, user_option, volume,
};
pub use corten_sandbox::{Capabilities, Port};
pub use monitor::{MONITOR_ARGUMENT, monitor};

pub(crate) use image::{Runnable, find};

/// When the image is pulled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Pull {
    /// Where the store does not have it.
    #[default]
    Missing,
    /// Each time.
    Always,
    /// Not at all.
    Never,
}

/// What is run.
#[derive(Debug, Clone)]
pub struct Wanted<'a> {
    /// Name, digest, or the beginning of an image's id.
    pub image: &'a str,
    /// When it is pulled.
    pub pull: Pull,
    /// The platform that is asked for: only this machine's runs.
    pub platform: Option<&'a str>,
    /// Everything else.
    pub options: &'a Options,
    /// How registries are reached.
    pub registry: &'a RegistryOptions,
}

/// Runs an image to its end, with this process's stdin, stdout and stderr.
///
/// # Errors
/// Whatever keeps it from being started.
pub fn run(wanted: &Wanted<'_>, world: &World<'_>) -> Result<Outcome, Report> {
    let image = find(wanted.image, wanted.pull, wanted.platform, wanted.registry, world)?;
    run_found(wanted, image, world)
}

/// As [`run`], of an image that was found, or put together.
pub(crate) fn run_found(wanted: &Wanted<'_>, image: Runnable, world: &World<'_>) -> Result<Outcome, Report> {
    let containers = Containers::new(world.store.root());
    let (container, lock) = prepare(wanted, image, &containers, world, None)?;
    Ok(Run { containers: &containers, container: &container, lock }.run(Attach::user()?)?)
}

/// Starts an image that goes on by itself: its id.
///
/// # Errors
/// Whatever keeps it from being started.
pub fn detach(wanted: &Wanted<'_>, world: &World<'_>) -> Result<Result<String, Outcome>, Report> {
    let containers = Containers::new(world.store.root());
    let image = find(wanted.image, wanted.pull, wanted.platform, wanted.registry, world)?;
    let (container, lock) = prepare(wanted, image, &containers, world, Some(Window { rows: 24, columns: 80 }))?;
    Ok(monitor::start(world.store.root(), &container, lock)?.map(|()| container.id))
}

fn prepare(
    wanted: &Wanted<'_>,
    image: Runnable,
    containers: &Containers,
    world: &World<'_>,
    usual: Option<Window>,
) -> Result<(Container, corten_run::Lock), Report> {
    let options = wanted.options;
    let id = new_id()?;
    let name = match &options.name {
        Some(name) => checked_name(name)?,
        None => usual_name(wanted.image, &id),
    };
    let lock = containers.make(&id)?;
    let made = make(wanted, containers, world, usual, (image, &id, name));
    if made.is_err() {
        // What never became a container.
        let _ = fs::remove_dir_all(containers.folder(&id));
    }
    Ok((made?, lock))
}

fn make(
    wanted: &Wanted<'_>,
    containers: &Containers,
    world: &World<'_>,
    usual: Option<Window>,
    (image, id, name): (Runnable, &str, String),
) -> Result<Container, Report> {
    let options = wanted.options;
    let folder = containers.folder(id);
    let trees = trees::trees(&image, wanted.registry, world)?;
    let disk = folder.join("disk");
    let disk = if is_overlay(&folder) { None } else { Some(disk.as_path()) };
    if let Some(disk) = disk {
        fs::create_dir(disk).map_err(|error| Failure::world(format!("making {}: {error}", disk.display())))?;
    }
    let ground = Ground {
        config: &image.config.config,
        trees: &trees,
        disk,
        volumes: containers.volumes(),
        id,
        pasta: corten_sandbox::pasta(),
        resolv_conf: resolv_conf(),
        passage: world.passage,
        window: options.has_terminal.then(|| window(io::stdin()).or(usual).unwrap_or(Window { rows: 24, columns: 80 })),
    };
    let planned = corten_run::plan(options, &ground)?;
    let names = options.volumes.iter().filter_map(|volume| match &volume.source {
        VolumeSource::Name(name) => Some(containers.volumes().join(name)),
        VolumeSource::Path(path, true) if !path.exists() => Some(path.clone()),
        VolumeSource::Path(..) | VolumeSource::Anonymous => None,
    });
    let own = planned.anonymous.iter().map(|name| containers.volumes().join(name));
    let folders: Vec<PathBuf> = names.chain(own).collect();
    planned.notes.iter().for_each(|note| world.events.note(note));
    let container = Container {
        id: id.to_owned(),
        name,
        image: wanted.image.to_owned(),
        digest: image.digest.to_string(),
        layers: image.layers,
        created: world.now,
        ports: planned.ports,
        labels: options.labels.clone(),
        stop_signal: planned.stop_signal,
        is_removed: options.is_removed,
        is_interactive: options.is_interactive,
        anonymous: planned.anonymous,
        sandbox: planned.sandbox,
    };
    // After the name is known to be free: what is refused leaves no volume.
    containers.write(&container)?;
    containers.make_folders(folders.iter().map(PathBuf::as_path))?;
    Ok(container)
}

/// Overlayfs takes no upper folder on itself.
fn is_overlay(folder: &Path) -> bool {
    // OVERLAYFS_SUPER_MAGIC; the type of the field is not the same everywhere.
    rustix::fs::statfs(folder).is_ok_and(|found| found.f_type == 0x794c_7630)
}

fn resolv_conf() -> String {
    let mut text = Vec::new();
    let file = fs::File::open("/etc/resolv.conf");
    let _ = file.and_then(|file| file.take(64 << 10).read_to_end(&mut text));
    String::from_utf8_lossy(&text).into_owned()
}

/// 64 hexadecimal digits that nobody guesses.
fn new_id() -> Result<String, Failure> {
    let mut bytes = [0; 32];
    let read = fs::File::open("/dev/urandom").and_then(|mut file| file.read_exact(&mut bytes));
    read.map_err(|error| Failure::world(format!("reading /dev/urandom: {error}")))?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

/// E19: as docker's.
fn checked_name(name: &str) -> Result<String, Failure> {
    let is_good = |byte: u8| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte);
    let first = name.as_bytes().first().is_some_and(u8::is_ascii_alphanumeric);
    match first && (2..=128).contains(&name.len()) && name.bytes().all(is_good) {
        true => Ok(name.to_owned()),
        false => Err(Failure::usage(format!(
            "--name '{}': a name has letters, digits, '_', '.' and '-', two at least, and begins with a letter or digit",
            name.escape_debug()
        ))),
    }
}

/// The image's last word and the beginning of the id.
fn usual_name(image: &str, id: &str) -> String {
    let path = image.parse::<Reference>().map(|reference| reference.repository.path).unwrap_or_default();
    let word = path.rsplit('/').next().filter(|word| !word.is_empty()).unwrap_or("container");
    format!("{word}-{}", id.get(..6).unwrap_or(id))
}

/// A further process in a container.
#[derive(Debug, Clone, Default)]
pub struct ExecOptions {
    /// The program and its arguments.
    pub arguments: Vec<String>,
    /// Variables, over those of the container.
    pub environment: Vec<(String, String)>,
    /// Instead of the container's.
    pub folder: Option<String>,
    /// Instead of the container's.
    pub user: Option<String>,
    /// Its stdin is ours.
    pub is_interactive: bool,
    /// It has a terminal.
    pub has_terminal: bool,
    /// It goes on by itself.
    pub is_detached: bool,
}

/// Starts a further process in a container that runs, and waits for its end.
///
/// # Errors
/// Input where there is no such container, or it does not run.
pub fn exec(container: &str, options: &ExecOptions, world: &World<'_>) -> Result<Outcome, Report> {
    let containers = Containers::new(world.store.root());
    let (container, state) = containers.find(container)?;
    if state != State::Running {
        return Err(Failure::input(format!("the container {} does not run", container.name))
            .hint("`corten ps` lists those that do")
            .into());
    }
    let process = further(&container, options)?;
    let Attach::User(signals) = Attach::user()? else { return Err(Failure::bug("nobody looks on").into()) };
    let null = fs::File::options().read(true).write(true).open("/dev/null");
    let null = null.map_err(|error| Failure::world(format!("opening /dev/null: {error}")))?;
    let (stdin, stdout, stderr) = (io::stdin(), io::stdout(), io::stderr());
    let quiet = [null.as_fd(), null.as_fd(), null.as_fd()];
    if options.is_detached {
        corten_run::exec(&containers, &container, Process { terminal: None, ..process }, quiet)?;
        return Ok(Outcome { status: 0, why: None, notes: Vec::new() });
    }
    let input = if options.is_interactive { stdin.as_fd() } else { null.as_fd() };
    let typed = options.is_interactive.then(|| stdin.as_fd());
    with(&containers, &container, process, ([input, stdout.as_fd(), stderr.as_fd()], typed), &signals)
}

fn with(
    containers: &Containers,
    container: &Container,
    process: Process,
    (streams, typed): ([BorrowedFd<'_>; 3], Option<BorrowedFd<'_>>),
    signals: &Signals,
) -> Result<Outcome, Report> {
    if process.terminal.is_none() {
        let exec = corten_run::exec(containers, container, process, streams)?;
        return Ok(corten_run::attend(&exec, None, None, signals)?);
    }
    let (ours, theirs) =
        UnixStream::pair().map_err(|error| Failure::world(format!("cannot make a socket: {error}")))?;
    let exec = corten_run::exec(containers, container, process, [theirs.as_fd(); 3])?;
    drop(theirs);
    Ok(corten_run::attend(&exec, Some(ours), typed, signals)?)
}

/// The container's process with what is said of the further one.
fn further(container: &Container, options: &ExecOptions) -> Result<Process, Failure> {
    let mut process = container.sandbox.process.clone();
    process.arguments = options.arguments.iter().map(Into::into).collect();
    process.environment.extend(options.environment.iter().map(|(name, value)| (name.into(), value.into())));
    if let Some(folder) = &options.folder {
        process.folder = folder.into();
    }
    if let Some(user) = &options.user {
        let lower = match &container.sandbox.root {
            corten_sandbox::Root::Overlay { lower, .. } => lower.clone(),
            corten_sandbox::Root::Folder { path, .. } => vec![path.clone()],
        };
        let account = corten_run::Accounts::read(&lower).resolve(user, &[])?;
        (process.user, process.group, process.groups) = (account.user, account.group, account.groups);
        process.environment.insert("HOME".into(), account.home.into());
    }
    let size = || window(io::stdin()).unwrap_or(Window { rows: 24, columns: 80 });
    process.terminal = options.has_terminal.then(size);
    Ok(process)
}

/// Ends containers: their names.
///
/// # Errors
/// Input where there is no such container.
pub fn stop(names: &[String], seconds: u64, world: &World<'_>) -> Result<Vec<String>, Report> {
    let containers = Containers::new(world.store.root());
    let found = names.iter().map(|name| containers.find(name)).collect::<Result<Vec<_>, _>>()?;
    for (container, _) in &found {
        corten_run::stop(&containers, container, seconds)?;
    }
    Ok(found.into_iter().map(|(container, _)| container.name).collect())
}

/// Removes containers: their names.
///
/// # Errors
/// Input where there is no such container, or one runs and `force` is not said.
pub fn remove(names: &[String], force: bool, with_volumes: bool, world: &World<'_>) -> Result<Vec<String>, Report> {
    let containers = Containers::new(world.store.root());
    let found = names.iter().map(|name| containers.find(name)).collect::<Result<Vec<_>, _>>()?;
    let mut removed = Vec::new();
    for (container, state) in found {
        if force && state == State::Running {
            corten_run::stop(&containers, &container, 0)?;
        }
        // One with --rm is gone already.
        if containers.folder(&container.id).exists() {
            containers.remove(&container, with_volumes)?;
        }
        removed.push(container.name);
    }
    Ok(removed)
}

/// Containers, the newest first; only those that run unless `all`.
///
/// # Errors
/// World: the disk.
pub fn list(all: bool, world: &World<'_>) -> Result<Vec<(Container, State)>, Report> {
    let containers = Containers::new(world.store.root());
    containers.sweep();
    let mut found = containers.list()?;
    found.retain(|(_, state)| all || *state == State::Running);
    Ok(found)
}
