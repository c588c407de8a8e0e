//! The root file system and what is mounted in it.
//!
//! Every target is opened in the root before something is mounted on it (`openat2`, RESOLVE_IN_ROOT, no magic links), and mounts
//! go onto descriptors, not onto paths: no link of an image leads outside, and nothing is looked up twice.
//!
//! ```text
//!  scratch (one tmpfs, seen by nobody after pivot_root)
//!   ├─ root/          ◄── the new root is mounted here
//!   ├─ l0/ l1/ …      ◄── lower trees        ├─ upper tree: u/{upper,work}, or folders of the scratch itself
//!   ├─ empty/         masks of folders       └─ s0, s1 …   secrets
//! ```

use std::ffi::CString;
use std::fs::File;
use std::io::Write;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};

use rustix::fs::{AtFlags, CWD, FileType, Gid, Mode, OFlags, ResolveFlags, Uid};
use rustix::io::Errno;
use rustix::mount::{
    FsMountFlags, FsOpenFlags, MountAttrFlags, MountFlags, MoveMountFlags, OpenTreeFlags, UnmountFlags,
};

use super::fill;
use crate::sandbox::{Mount, Root, Sandbox, Upper};
use crate::system::{self, Attributes};
use crate::trouble::{Outcome, Step, Trouble};

const NODEV: u64 = libc::MOUNT_ATTR_NODEV;
const NOSUID: u64 = libc::MOUNT_ATTR_NOSUID;
const READ_ONLY: u64 = libc::MOUNT_ATTR_RDONLY;

/// What docker masks in `/proc` and `/sys`: what tells of the host or its devices.
const MASKED: [&str; 12] = [
    "/proc/acpi",
    "/proc/asound",
    "/proc/interrupts",
    "/proc/kcore",
    "/proc/keys",
    "/proc/latency_stats",
    "/proc/sched_debug",
    "/proc/scsi",
    "/proc/timer_list",
    "/proc/timer_stats",
    "/sys/devices/virtual/powercap",
    "/sys/firmware",
];
/// What can be read and not written.
const READ_ONLY_PATHS: [&str; 5] = ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"];

/// A host path that a sandbox takes a tree of, in the order in which descriptors are passed.
pub(crate) struct Source<'a> {
    path: &'a Path,
    attributes: u64,
}

/// Every host path that is mounted: the root's, then the binds'.
pub(crate) fn sources(sandbox: &Sandbox) -> Vec<Source<'_>> {
    let mut sources = Vec::new();
    // A setuid program of the root is the process's business, which no_new_privs settles.
    match &sandbox.root {
        Root::Folder { path, read_only } => {
            sources.push(Source { path, attributes: NODEV | if *read_only { READ_ONLY } else { 0 } });
        }
        Root::Overlay { lower, upper } => {
            sources.extend(lower.iter().map(|path| Source { path, attributes: NODEV }));
            if let Upper::Keep(path) = upper {
                sources.push(Source { path, attributes: NODEV });
            }
        }
    }
    for mount in &sandbox.mounts {
        match mount {
            Mount::Bind { source, read_only, .. } => {
                let attributes = NODEV | NOSUID | if *read_only { READ_ONLY } else { 0 };
                sources.push(Source { path: source, attributes });
            }
            // Read-only when it is filled.
            Mount::Volume { source, .. } => sources.push(Source { path: source, attributes: NODEV | NOSUID }),
            _ => {}
        }
    }
    sources
}

/// A source that only a descriptor of another process names (`/proc/<pid>/fd/<n>`): where it is, and which it is. From a user
/// namespace of its own C may not look at that process, and the descriptor's mount is another namespace's; so it takes the
/// path, and refuses what lies there if it is another file.
pub(crate) struct Known {
    path: PathBuf,
    identity: (u64, u64),
}

/// Such sources of a sandbox, at their places among all; to be asked outside.
pub(crate) fn known(sandbox: &Sandbox) -> Vec<Option<Known>> {
    let look = |source: &Source<'_>| {
        let is_named = source.path.starts_with("/proc");
        let opened =
            is_named.then(|| rustix::fs::open(source.path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty()).ok());
        let opened = opened??;
        let stat = rustix::fs::fstat(&opened).ok()?;
        let path = std::fs::read_link(format!("/proc/self/fd/{}", opened.as_raw_fd())).ok()?;
        Some(Known { path, identity: (stat.st_dev, stat.st_ino) })
    };
    sources(sandbox).iter().map(look).collect()
}

/// Opens every source, in order, in the caller's own namespace.
pub(crate) fn open_all(sandbox: &Sandbox, known: &[Option<Known>]) -> Outcome<Vec<OwnedFd>> {
    let known = known.iter().map(Option::as_ref).chain(std::iter::repeat(None));
    sources(sandbox).iter().zip(known).map(|(source, known)| open_source(source, known)).collect()
}

/// A copy of the mount tree at a source, attached nowhere.
fn open_source(source: &Source<'_>, known: Option<&Known>) -> Outcome<OwnedFd> {
    let path = source.path;
    let step = || format!("take the tree {}", path.display());
    let flags = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC;
    let known = known.map(reopen).transpose()?;
    let open = |flags| match &known {
        Some(place) => rustix::mount::open_tree(place, "", flags | OpenTreeFlags::AT_EMPTY_PATH),
        None => rustix::mount::open_tree(CWD, path, flags),
    };
    let tree = match open(flags) {
        // Mounts beneath it that a user namespace may not uncover come along.
        Err(Errno::INVAL) => open(flags | OpenTreeFlags::AT_RECURSIVE),
        Err(Errno::NOENT | Errno::NOTDIR) => {
            return Err(Trouble::input(format!("cannot set up the sandbox: {} is not there", path.display())));
        }
        tree => tree,
    };
    let tree = tree.step(step)?;
    system::set_attributes(tree.as_fd(), Attributes { set: source.attributes, ids: None }).step(step)?;
    Ok(tree)
}

fn reopen(known: &Known) -> Outcome<OwnedFd> {
    let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let opened = rustix::fs::openat2(CWD, &known.path, flags, Mode::empty(), ResolveFlags::NO_SYMLINKS);
    let found = opened.and_then(|opened| rustix::fs::fstat(&opened).map(|stat| (opened, (stat.st_dev, stat.st_ino))));
    match found {
        Ok((opened, identity)) if identity == known.identity => Ok(opened),
        _ => Err(Trouble::input(format!(
            "cannot set up the sandbox: what was to be mounted from {} is not there any more",
            known.path.display()
        ))),
    }
}

/// The new root, and what was made in it for mounts.
pub(crate) struct NewRoot {
    root: OwnedFd,
    mounted: Vec<PathBuf>,
    made: Vec<Made>,
    /// The file systems of `/proc`, `/dev` and `/sys`, where no link leads a mount.
    guarded: Vec<u64>,
    /// The devpts.
    terminals: Option<OwnedFd>,
}

struct Made {
    parent: OwnedFd,
    name: CString,
    is_folder: bool,
}

/// Makes the root of `trees` (those of [`sources`], in that order) and mounts everything in it.
pub(crate) fn build(sandbox: &Sandbox, trees: Vec<OwnedFd>, many_ids: bool) -> Outcome<NewRoot> {
    let mut trees = trees.into_iter();
    let scratch = scratch(sandbox)?;
    attach(&scratch, CWD, "/", || "mount the scratch".into())?;
    for name in ["root", "empty"] {
        make_folder(scratch.as_fd(), name, 0o755)?;
    }
    mount_root(sandbox, &scratch, &mut trees)?;
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let root = rustix::fs::openat(&scratch, "root", flags, Mode::empty()).step(|| "open the root".into())?;
    let mut new = NewRoot { root, mounted: Vec::new(), made: Vec::new(), guarded: Vec::new(), terminals: None };
    for (at, mount) in sandbox.mounts.iter().enumerate() {
        new.mount(mount, at, &mut trees, &scratch, many_ids)?;
    }
    new.mask(&scratch)?;
    if let Root::Overlay { upper: Upper::ReadOnly, .. } = sandbox.root {
        system::make_read_only(new.root.as_fd()).step(|| "make the root read-only".into())?;
    }
    Ok(new)
}

fn scratch(sandbox: &Sandbox) -> Outcome<OwnedFd> {
    let secrets = sandbox.mounts.iter().map(|mount| match mount {
        Mount::Secret { content, .. } => content.0.len() as u64 + 8192,
        _ => 0,
    });
    let upper = match &sandbox.root {
        Root::Overlay { upper: Upper::Discard(size), .. } => *size,
        _ => 0,
    };
    let size = secrets.fold(upper, u64::saturating_add).saturating_add(1 << 20);
    tmpfs(size, 0o755, 0)
}

fn tmpfs(size: u64, mode: u32, attributes: u64) -> Outcome<OwnedFd> {
    let options = [("size", size.to_string()), ("mode", format!("{mode:o}"))];
    file_system("tmpfs", &options, attributes | NODEV | NOSUID)
}

/// A new file system, attached nowhere.
fn file_system(kind: &str, options: &[(&str, String)], attributes: u64) -> Outcome<OwnedFd> {
    let step = || format!("mount a file system of type {kind}");
    let context = rustix::mount::fsopen(kind, FsOpenFlags::FSOPEN_CLOEXEC).step(step)?;
    for (key, value) in options {
        rustix::mount::fsconfig_set_string(&context, *key, value.as_str()).step(step)?;
    }
    rustix::mount::fsconfig_create(&context).step(step)?;
    let attributes = MountAttrFlags::from_bits_retain(u32::try_from(attributes).unwrap_or_default());
    rustix::mount::fsmount(&context, FsMountFlags::FSMOUNT_CLOEXEC, attributes).step(step)
}

/// `/proc` of this pid namespace, attached nowhere.
pub(crate) fn proc_of_ours() -> Outcome<OwnedFd> {
    let noexec = libc::MOUNT_ATTR_NOEXEC;
    file_system("proc", &[], NODEV | NOSUID | noexec).map_err(|trouble| {
        trouble.hint("inside a container whose /proc is masked this is forbidden: start that container with its /proc unmasked (docker: --security-opt systempaths=unconfined)")
    })
}

fn attach(tree: &OwnedFd, folder: impl AsFd, path: &str, step: impl FnOnce() -> String) -> Outcome<()> {
    let flags = MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH
        | if path.is_empty() { MoveMountFlags::MOVE_MOUNT_T_EMPTY_PATH } else { MoveMountFlags::empty() };
    rustix::mount::move_mount(tree, "", folder, path, flags).step(step)
}

fn make_folder(parent: BorrowedFd<'_>, name: &str, mode: u32) -> Outcome<()> {
    match rustix::fs::mkdirat(parent, name, Mode::from_raw_mode(mode)) {
        Err(Errno::EXIST) => Ok(()),
        result => result.step(|| format!("make the folder {name}")),
    }
}

fn mount_root(sandbox: &Sandbox, scratch: &OwnedFd, trees: &mut impl Iterator<Item = OwnedFd>) -> Outcome<()> {
    let lost = || Trouble::world("cannot set up the sandbox: a tree of the root is missing");
    let (lower, upper) = match &sandbox.root {
        Root::Folder { .. } => {
            let tree = trees.next().ok_or_else(lost)?;
            return attach(&tree, scratch, "root", || "mount the root".into());
        }
        Root::Overlay { lower, upper } => (lower, upper),
    };
    let mut names = Vec::new();
    for at in 0..lower.len() {
        let name = format!("l{at}");
        make_folder(scratch.as_fd(), &name, 0o755)?;
        attach(&trees.next().ok_or_else(lost)?, scratch, &name, || format!("mount lower folder {at}"))?;
        names.push(name);
    }
    make_folder(scratch.as_fd(), "u", 0o755)?;
    if let Upper::Keep(_) = upper {
        attach(&trees.next().ok_or_else(lost)?, scratch, "u", || "mount the upper folder".into())?;
    }
    for name in ["u/upper", "u/work"] {
        make_folder(scratch.as_fd(), name, 0o755)?;
    }
    let options = format!("userxattr,lowerdir={},upperdir=u/upper,workdir=u/work", names.join(":"));
    let options = CString::new(options).map_err(|_| lost())?;
    rustix::process::fchdir(scratch).step(|| "enter the scratch".into())?;
    let mounted = rustix::mount::mount("overlay", "root", "overlay", MountFlags::NODEV, options.as_c_str());
    mounted.step(|| format!("mount {} folders on top of each other (overlayfs)", lower.len())).map_err(|trouble| {
        trouble.hint(
            "overlayfs in a user namespace needs Linux 5.11 and an upper folder that is not on overlayfs or NFS itself",
        )
    })
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Folder,
    File,
}

impl NewRoot {
    fn mount(
        &mut self,
        mount: &Mount,
        at: usize,
        trees: &mut impl Iterator<Item = OwnedFd>,
        scratch: &OwnedFd,
        many_ids: bool,
    ) -> Outcome<()> {
        match mount {
            Mount::Bind { source, target, .. } => {
                let tree = given(trees, "bind")?;
                let kind = rustix::fs::fstat(&tree).step(|| format!("look at {}", source.display()))?;
                let is_folder = FileType::from_raw_mode(kind.st_mode) == FileType::Directory;
                self.put(&tree, target, if is_folder { Kind::Folder } else { Kind::File })
            }
            Mount::Volume { source, target, read_only } => {
                self.mount_volume(&given(trees, "volume")?, source, target, *read_only)
            }
            Mount::Folder(path) => {
                let made = self.made.len();
                self.target(path, Kind::Folder)?;
                self.made.truncate(made);
                Ok(())
            }
            Mount::Tmpfs { target, size, mode } => self.put(&tmpfs(*size, *mode, 0)?, target, Kind::Folder),
            Mount::Proc => self.put(&proc_of_ours()?, Path::new("/proc"), Kind::Folder),
            Mount::Sys => {
                let sys = file_system("sysfs", &[], NODEV | NOSUID | READ_ONLY | libc::MOUNT_ATTR_NOEXEC)?;
                self.put(&sys, Path::new("/sys"), Kind::Folder)
            }
            Mount::Dev { shm } => self.mount_dev(*shm, many_ids),
            Mount::Secret { target, mode, user, group, content } => {
                let tree = secret(scratch, &format!("s{at}"), target, *mode, (*user, *group), &content.0)?;
                self.put(&tree, target, Kind::File)
            }
        }
    }

    /// A volume that is empty gets what the image has in its place.
    fn mount_volume(&mut self, tree: &OwnedFd, source: &Path, target: &Path, read_only: bool) -> Outcome<()> {
        let at = self.target(target, Kind::Folder)?;
        fill::fill(tree, &at).map_err(|error| {
            let (source, target) = (source.display(), target.display());
            Trouble::world(format!("cannot fill the volume {source} with what the image has in {target}: {error}"))
        })?;
        let step = || format!("mount {}", target.display());
        if read_only {
            system::make_read_only(tree.as_fd()).step(step)?;
        }
        attach(tree, &at, "", step)?;
        self.mounted.push(target.to_owned());
        Ok(())
    }

    /// Mounts a tree on a target in the root, which is made where it is missing.
    fn put(&mut self, tree: &OwnedFd, target: &Path, kind: Kind) -> Outcome<()> {
        let at = self.target(target, kind)?;
        self.guard(tree, target)?;
        attach(tree, &at, "", || format!("mount {}", target.display()))?;
        self.mounted.push(target.to_owned());
        Ok(())
    }

    /// Remembers the file systems of the kernel's folders.
    fn guard(&mut self, tree: &OwnedFd, target: &Path) -> Outcome<()> {
        if ["/proc", "/dev", "/sys", "/dev/pts", "/dev/shm"].map(Path::new).contains(&target) {
            let stat = rustix::fs::fstat(tree).step(|| format!("look at {}", target.display()))?;
            self.guarded.push(stat.st_dev);
        }
        Ok(())
    }

    /// Opens a target in the root; no link leads out of it, and none leads to or into `/proc`, `/dev` or `/sys`.
    fn target(&mut self, path: &Path, kind: Kind) -> Outcome<OwnedFd> {
        let names = names(path)?;
        let is_strict =
            [c"proc", c"dev", c"sys"].iter().any(|name| names.first().is_some_and(|first| **first == **name));
        let resolve = ResolveFlags::IN_ROOT
            | ResolveFlags::NO_MAGICLINKS
            | if is_strict { ResolveFlags::NO_SYMLINKS } else { ResolveFlags::empty() };
        let mut here = self.root.try_clone().step(|| "copy a descriptor".into())?;
        let mut reached = PathBuf::new();
        for (at, name) in names.iter().enumerate() {
            let is_last = at + 1 == names.len();
            let wanted = if is_last { kind } else { Kind::Folder };
            reached.push(std::ffi::OsStr::from_bytes(name.to_bytes()));
            let opened = match self.open(&reached, resolve) {
                Err(Errno::NOENT) => {
                    self.make(&here, name, wanted, path)?;
                    self.open(&reached, resolve)
                }
                opened => opened,
            };
            here = opened.map_err(|error| bad_target(path, error, is_strict))?;
            if !is_strict {
                let stat = rustix::fs::fstat(&here).step(|| format!("look at {} in the root", path.display()))?;
                if self.guarded.contains(&stat.st_dev) {
                    return Err(Trouble::input(format!(
                        "cannot mount in the root file system: {} leads into /proc, /dev or /sys",
                        path.display()
                    )));
                }
            }
        }
        let is_folder =
            rustix::fs::fstat(&here).map(|stat| FileType::from_raw_mode(stat.st_mode) == FileType::Directory);
        if is_folder.step(|| format!("look at {} in the root", path.display()))? == (kind == Kind::Folder) {
            Ok(here)
        } else {
            let (is, wanted) = if kind == Kind::Folder { ("a file", "a folder") } else { ("a folder", "a file") };
            let message = format!(
                "cannot mount on {} of the root file system: it is {is}, and {wanted} is mounted",
                path.display()
            );
            Err(Trouble::input(message))
        }
    }

    fn open(&self, path: &Path, resolve: ResolveFlags) -> Result<OwnedFd, Errno> {
        rustix::fs::openat2(&self.root, path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty(), resolve)
    }

    fn make(&mut self, parent: &OwnedFd, name: &CString, kind: Kind, path: &Path) -> Outcome<()> {
        let made = match kind {
            Kind::Folder => rustix::fs::mkdirat(parent, name, Mode::from_raw_mode(0o755)),
            Kind::File => {
                let flags = OFlags::CREATE | OFlags::EXCL | OFlags::WRONLY | OFlags::CLOEXEC;
                rustix::fs::openat(parent, name, flags, Mode::from_raw_mode(0o644)).map(drop)
            }
        };
        made.map_err(|error| bad_target(path, error, false))?;
        let parent = parent.try_clone().step(|| "copy a descriptor".into())?;
        self.made.push(Made { parent, name: name.clone(), is_folder: kind == Kind::Folder });
        Ok(())
    }

    fn mount_dev(&mut self, shm: u64, many_ids: bool) -> Outcome<()> {
        let dev = tmpfs(64 << 10, 0o755, libc::MOUNT_ATTR_NOEXEC)?;
        self.put(&dev, Path::new("/dev"), Kind::Folder)?;
        for name in ["null", "zero", "full", "random", "urandom", "tty"] {
            let path = Path::new("/dev").join(name);
            let step = || format!("take {}", path.display());
            let flags = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC;
            let device = rustix::mount::open_tree(CWD, &path, flags).step(step)?;
            self.put_bare(&device, &path, Kind::File)?;
        }
        let links =
            [("fd", "/proc/self/fd"), ("stdin", "fd/0"), ("stdout", "fd/1"), ("stderr", "fd/2"), ("ptmx", "pts/ptmx")];
        for (name, content) in links {
            rustix::fs::symlinkat(content, &dev, name).step(|| format!("make /dev/{name}"))?;
        }
        let mut options = vec![("ptmxmode", "0666".into()), ("mode", "0620".into())];
        if many_ids {
            options.push(("gid", "5".into()));
        }
        let terminals = file_system("devpts", &options, NOSUID | libc::MOUNT_ATTR_NOEXEC)?;
        self.put_bare(&terminals, Path::new("/dev/pts"), Kind::Folder)?;
        self.terminals = Some(terminals);
        self.put_bare(&tmpfs(shm, 0o1777, libc::MOUNT_ATTR_NOEXEC)?, Path::new("/dev/shm"), Kind::Folder)
    }

    /// Mounts in a file system of our own: what is made there goes with it.
    fn put_bare(&mut self, tree: &OwnedFd, target: &Path, kind: Kind) -> Outcome<()> {
        let made = self.made.len();
        let at = self.target(target, kind)?;
        self.made.truncate(made);
        if kind == Kind::Folder {
            self.guard(tree, target)?;
        }
        attach(tree, &at, "", || format!("mount {}", target.display()))
    }

    fn mask(&self, scratch: &OwnedFd) -> Outcome<()> {
        let resolve = ResolveFlags::IN_ROOT | ResolveFlags::NO_SYMLINKS;
        let mounted = |path: &str| {
            self.mounted
                .iter()
                .any(|mounted| mounted.parent() == Some(Path::new("/")) && Path::new(path).starts_with(mounted))
        };
        for path in MASKED.iter().filter(|path| mounted(path)) {
            let Ok(at) = self.open(Path::new(path), resolve) else { continue };
            let step = || format!("mask {path}");
            let stat = rustix::fs::fstat(&at).step(step)?;
            let flags = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC;
            let cover = if FileType::from_raw_mode(stat.st_mode) == FileType::Directory {
                rustix::mount::open_tree(scratch, "empty", flags)
            } else {
                rustix::mount::open_tree(CWD, "/dev/null", flags)
            };
            self.cover(&cover.step(step)?, &at, step)?;
        }
        for path in READ_ONLY_PATHS.iter().filter(|path| mounted(path)) {
            let Ok(at) = self.open(Path::new(path), resolve) else { continue };
            let step = || format!("make {path} read-only");
            let flags = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC;
            let flags = flags | OpenTreeFlags::AT_EMPTY_PATH;
            self.cover(&rustix::mount::open_tree(&at, "", flags).step(step)?, &at, step)?;
        }
        Ok(())
    }

    fn cover(&self, tree: &OwnedFd, at: &OwnedFd, step: impl Fn() -> String) -> Outcome<()> {
        system::set_attributes(tree.as_fd(), Attributes { set: READ_ONLY, ..Attributes::default() }).step(&step)?;
        attach(tree, at, "", step)
    }

    /// Where terminals are made, if there is a `/dev`.
    pub(crate) fn terminals(&self) -> Option<&OwnedFd> {
        self.terminals.as_ref()
    }

    /// Makes it `/` and lets go of everything that was there.
    pub(crate) fn enter(&self) -> Outcome<()> {
        let step = || "make it the root (pivot_root)".to_owned();
        rustix::process::fchdir(&self.root).step(step)?;
        rustix::process::pivot_root(".", ".").step(step)?;
        // Both pivot_root and the scratch went on top of what was here: the scratch goes first, then the host's root.
        for what in ["scratch", "host's files"] {
            rustix::mount::unmount(".", UnmountFlags::DETACH).step(|| format!("leave the {what}"))?;
        }
        rustix::process::chdir("/").step(step)
    }

    /// Removes what was made for mounts, where nothing was put into it. Only when nothing else runs.
    pub(crate) fn clean_up(self) {
        for target in self.mounted.iter().rev() {
            let _ = rustix::mount::unmount(target, UnmountFlags::DETACH | UnmountFlags::NOFOLLOW);
        }
        for made in self.made.iter().rev() {
            let is_empty = made.is_folder
                || rustix::fs::statat(&made.parent, &made.name, AtFlags::SYMLINK_NOFOLLOW)
                    .is_ok_and(|stat| stat.st_size == 0);
            if is_empty {
                let flags = if made.is_folder { AtFlags::REMOVEDIR } else { AtFlags::empty() };
                let _ = rustix::fs::unlinkat(&made.parent, &made.name, flags);
            }
        }
    }
}

/// The folders and the file of an absolute path inside.
fn names(path: &Path) -> Outcome<Vec<CString>> {
    let bad = || Trouble::input(format!("cannot mount on {}: a target is an absolute path without ..", path.display()));
    let mut components = path.components();
    if components.next() != Some(Component::RootDir) {
        return Err(bad());
    }
    let names = components.map(|component| match component {
        Component::Normal(name) => CString::new(name.as_bytes()).map_err(|_| bad()),
        _ => Err(bad()),
    });
    let names: Vec<_> = names.collect::<Outcome<_>>()?;
    if names.is_empty() { Err(bad()) } else { Ok(names) }
}

/// The next of the trees that came from outside.
fn given(trees: &mut impl Iterator<Item = OwnedFd>, of: &str) -> Outcome<OwnedFd> {
    trees.next().ok_or_else(|| Trouble::world(format!("cannot set up the sandbox: a {of}'s tree is missing")))
}

/// A secret as a file of this name, in memory that nothing else of the sandbox shows.
fn secret(
    scratch: &OwnedFd,
    name: &str,
    target: &Path,
    mode: u32,
    (user, group): (u32, u32),
    content: &[u8],
) -> Outcome<OwnedFd> {
    let step = || format!("write a secret for {}", target.display());
    let flags = OFlags::CREATE | OFlags::EXCL | OFlags::WRONLY | OFlags::CLOEXEC;
    let file = rustix::fs::openat(scratch, name, flags, Mode::from_raw_mode(0o600)).step(step)?;
    let mut file = File::from(file);
    file.write_all(content).step(step)?;
    // With one id it is that one's; what everyone may read can be.
    let owned = rustix::fs::fchown(&file, Some(Uid::from_raw(user)), Some(Gid::from_raw(group)));
    owned.or_else(|_| if mode & 0o004 == 0 { Err(no_such_id(user, group)) } else { Ok(()) })?;
    rustix::fs::fchmod(&file, Mode::from_raw_mode(mode & 0o777)).step(step)?;
    let flags = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC;
    let tree = rustix::mount::open_tree(scratch, name, flags).step(step)?;
    // What is meant to be run is: the script of a RUN.
    let noexec = if mode & 0o111 == 0 { libc::MOUNT_ATTR_NOEXEC } else { 0 };
    let set = READ_ONLY | NODEV | NOSUID | noexec;
    system::set_attributes(tree.as_fd(), Attributes { set, ..Attributes::default() }).step(step)?;
    Ok(tree)
}

fn bad_target(path: &Path, error: Errno, is_strict: bool) -> Trouble {
    let path = path.display();
    let message = match error {
        Errno::LOOP if is_strict => format!("a symbolic link stands where {path} is to be mounted"),
        Errno::LOOP => format!("symbolic links turn in a circle at {path}"),
        Errno::EXIST => format!("a symbolic link at {path} leads nowhere"),
        Errno::NOTDIR => format!("a file stands where {path} needs a folder"),
        Errno::ROFS => format!("{path} is missing and the root is read-only"),
        error => format!("{path} cannot be opened or made: {error}"),
    };
    Trouble::input(format!("cannot mount in the root file system: {message}"))
}

pub(crate) fn no_such_id(user: u32, group: u32) -> Trouble {
    Trouble::world(format!("cannot set up the sandbox: there is no user {user} or no group {group} inside"))
        .hint("without root there is one id unless /etc/subuid and /etc/subgid give the caller ranges and newuidmap is installed (package uidmap)")
}
