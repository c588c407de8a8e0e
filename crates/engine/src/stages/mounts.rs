//! What is mounted for one RUN.
//!
//! | mount | in the sandbox |
//! |---|---|
//! | bind | the files as a layer of their own, unpacked in the store, so that a command sees them as they were when its key was made; read-only, or a copy that is thrown away |
//! | cache | files that the store keeps, under their lock (`caches`) |
//! | tmpfs, secret | memory |
//! | ssh | the agent's socket |
//!
//! Sources are opened here, beneath their root and through no link, and handed on as descriptors: what somebody swaps in a cache
//! that is shared leads nowhere.

use std::fs::{self, File};
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};

use corten_diagnostic::{Failure, Report};
use corten_layer::attributes::Attributes;
use corten_oci::{Digest, Kind, LayerPath};
use corten_plan::recipe::{Files, Mount as Asked, MountKind, RunAction};
use corten_sandbox::{Content, Mount};
use corten_store::{Doubled, Key, ScratchFolder, Trees};

use super::caches::{self, Caches};
use super::context::Context;
use super::copy::{self, From, Told, Unknown};
use super::files::Origins;
use super::paths::{self, Change, Item, Target};
use super::relay::Relay;
use super::saved::Saved;
use super::solve::Solver;
use super::stage::place;
use super::view::{Empty, Found, Last, resolve};
use super::write::{self, Times};

/// Bytes of a tmpfs without a size.
const TMPFS: u64 = 1 << 40;

/// Files of one bind, or what a cache begins with.
pub(super) struct Bound {
    from: From,
    all: Vec<Told>,
    digest: Digest,
}

impl Bound {
    pub(super) fn digest(&self) -> Digest {
        self.digest
    }
}

/// Finds what the binds of a RUN take, in their order.
pub(super) fn bound(solver: &Solver<'_>, action: &RunAction) -> Result<Vec<Option<Bound>>, Report> {
    action.mounts.iter().map(|(mount, files)| one(solver, mount, files)).collect()
}

fn one(solver: &Solver<'_>, mount: &Asked, files: &Files) -> Result<Option<Bound>, Report> {
    let has_files = mount.kind == MountKind::Bind || (mount.kind == MountKind::Cache && *files != Files::None);
    if !has_files {
        return Ok(None);
    }
    let from = place(solver, files)?;
    let source = mount.source.as_deref().unwrap_or("/");
    let view = from.view();
    let real = resolve(view, source.as_bytes(), Last::Followed)?;
    let Some(root) = view.look(&real)? else {
        return match mount.kind {
            MountKind::Cache => Ok(None),
            _ => Err(Failure::input(format!(
                "there is no '{source}' where the mount on {} takes its files",
                shown(mount)
            ))
            .into()),
        };
    };
    let mut all = vec![root];
    if all.iter().any(Found::is_folder) {
        all.append(&mut view.below(&real, solver.means.jobs)?);
        if let From::Folder(_, digests) = &from {
            digests.walked(&real);
        }
    }
    let all = copy::tell(all, &from, &solver.layers, solver.means, Unknown::Hashed)?;
    let digest = copy::digest_of(&all, &real);
    Ok(Some(Bound { from, all, digest }))
}

pub(super) fn shown(mount: &Asked) -> &str {
    mount.target.as_deref().unwrap_or_default()
}

/// Mounts of one RUN, and what has to stay while it runs.
#[derive(Default)]
pub(super) struct Mounted {
    pub(super) mounts: Vec<Mount>,
    /// Secrets that are variables.
    pub(super) variables: Vec<(String, Vec<u8>)>,
    /// All secrets, to be left out of what is told.
    pub(super) secrets: Vec<Vec<u8>>,
    caches: Caches,
    _open: Vec<File>,
    _copies: Vec<ScratchFolder>,
    _trees: Vec<Trees>,
    // Each before the folder that it lies in.
    _relays: Vec<(Relay, ScratchFolder)>,
}

/// Makes them ready.
pub(super) fn mount(solver: &Solver<'_>, action: &RunAction, bound: &[Option<Bound>]) -> Result<Mounted, Report> {
    let mut mounted = Mounted { caches: caches::take(solver, action, bound)?, ..Mounted::default() };
    for ((mount, _), bound) in action.mounts.iter().zip(bound) {
        let target = PathBuf::from(mount.target.clone().unwrap_or_default());
        match mount.kind {
            MountKind::Bind => mounted.bind(solver, mount, target, bound.as_ref())?,
            MountKind::Cache => mounted.cache(mount, target, bound.as_ref())?,
            MountKind::Tmpfs => {
                let size = mount.size.filter(|size| *size > 0).unwrap_or(TMPFS);
                mounted.mounts.push(Mount::Tmpfs { target, size, mode: 0o1777 });
            }
            MountKind::Secret => mounted.secret(solver, mount, target)?,
            MountKind::Ssh => mounted.agent(solver, mount, target)?,
        }
    }
    Ok(mounted)
}

impl Mounted {
    fn bind(
        &mut self,
        solver: &Solver<'_>,
        mount: &Asked,
        target: PathBuf,
        bound: Option<&Bound>,
    ) -> Result<(), Report> {
        let Some(bound) = bound else { return Ok(()) };
        let (folder, trees) = materialized(solver, bound)?;
        self._trees.push(trees);
        // `rw` is written without `readonly`, or as `readonly=false`.
        let read_only = mount.readonly.unwrap_or(true);
        if read_only {
            let source = self.open(&folder)?;
            self.mounts.push(Mount::Bind { source, target, read_only: true });
            return Ok(());
        }
        let copy = solver.means.store.scratch_folder()?;
        let to = copy.path().join("copy");
        copy_tree(&folder, &to)
            .map_err(|error| Failure::world(format!("copying files for the mount on {}: {error}", shown(mount))))?;
        self.mounts.push(Mount::Bind { source: to, target, read_only: false });
        self._copies.push(copy);
        Ok(())
    }

    fn open(&mut self, path: &Path) -> Result<PathBuf, Failure> {
        let failed = |error: std::io::Error| Failure::world(format!("opening {}: {error}", path.display()));
        let flags = rustix::fs::OFlags::PATH | rustix::fs::OFlags::NOFOLLOW | rustix::fs::OFlags::CLOEXEC;
        let file = rustix::fs::open(path, flags, rustix::fs::Mode::empty()).map_err(|error| failed(error.into()))?;
        Ok(self.keep(File::from(file)))
    }

    /// A descriptor's name for another process.
    fn keep(&mut self, file: File) -> PathBuf {
        let path = format!("/proc/{}/fd/{}", std::process::id(), file.as_raw_fd()).into();
        self._open.push(file);
        path
    }

    fn cache(&mut self, mount: &Asked, target: PathBuf, bound: Option<&Bound>) -> Result<(), Report> {
        let files = self.caches.files(mount, bound)?;
        let read_only = mount.readonly.unwrap_or_default();
        let source = match (bound, mount.source.as_deref()) {
            // With `from` the source has chosen what the cache begins with.
            (Some(_), _) | (None, None | Some("/" | "")) => self.open(&files)?,
            (None, Some(source)) => self.below(&files, source, caches::id(mount))?,
        };
        self.mounts.push(Mount::Bind { source, target, read_only });
        Ok(())
    }

    /// A folder within a cache: no link on the way to it is followed, whoever made it.
    fn below(&mut self, data: &Path, source: &str, id: &str) -> Result<PathBuf, Failure> {
        let cache = Context::open(data, None)?;
        let mut parts: Vec<&str> = Vec::new();
        for part in source.split('/') {
            match part {
                "" | "." => {}
                ".." => drop(parts.pop()),
                part => parts.push(part),
            }
        }
        let path = LayerPath::new(parts.join("/")).map_err(|error| Failure::input(error.to_string()))?;
        let folder = cache.folder(&path).map_err(|error| {
            Failure::input(format!("source={source} of the cache '{id}' cannot be mounted: {error}"))
                .hint("it has to be a folder of the cache; links are not followed")
        })?;
        Ok(self.keep(folder))
    }

    fn secret(&mut self, solver: &Solver<'_>, mount: &Asked, target: PathBuf) -> Result<(), Report> {
        let id = mount.id.clone().unwrap_or_default();
        let Some(bytes) = solver.means.secrets.secret(&id)? else {
            if mount.required {
                let hint = format!("give it with --secret id={id},src=FILE or --secret id={id},env=VARIABLE");
                return Err(Failure::input(format!("the secret '{id}' is required and was not given"))
                    .hint(hint)
                    .into());
            }
            // As BuildKit has it: there, and empty.
            self.variables.extend(mount.env.iter().map(|name| (name.clone(), Vec::new())));
            return Ok(());
        };
        self.secrets.push(bytes.clone());
        if let Some(name) = &mount.env {
            self.variables.push((name.clone(), bytes.clone()));
        }
        if !target.as_os_str().is_empty() {
            let (mode, user, group) =
                (mount.mode.unwrap_or(0o400), mount.uid.unwrap_or_default(), mount.gid.unwrap_or_default());
            self.mounts.push(Mount::Secret { target, mode, user, group, content: Content(bytes) });
        }
        Ok(())
    }

    fn agent(&mut self, solver: &Solver<'_>, mount: &Asked, target: PathBuf) -> Result<(), Report> {
        let id = mount.id.clone().unwrap_or_else(|| "default".to_owned());
        match solver.means.secrets.agent(&id)? {
            Some(agent) => {
                let folder = solver.means.store.scratch_folder()?;
                let relay = Relay::start(folder.path(), agent)
                    .map_err(|error| Failure::world(format!("passing the agent '{id}' on: {error}")))?;
                let source = relay.path().to_owned();
                self.mounts.push(Mount::Bind { source, target, read_only: false });
                self._relays.push((relay, folder));
            }
            None if mount.required => {
                return Err(Failure::input(format!("the agent '{id}' is required and was not given"))
                    .hint(format!("give it with --ssh {id}"))
                    .into());
            }
            None => {}
        }
        Ok(())
    }
}

/// Copies what is in a folder of the store, or a file.
pub(super) fn copy_tree(from: &Path, to: &Path) -> std::io::Result<()> {
    let found = fs::symlink_metadata(from)?;
    if found.is_symlink() {
        return std::os::unix::fs::symlink(fs::read_link(from)?, to);
    }
    if found.is_dir() {
        fs::create_dir(to)?;
        for entry in fs::read_dir(from)? {
            let entry = entry?;
            copy_tree(&entry.path(), &to.join(entry.file_name()))?;
        }
        fs::set_permissions(to, found.permissions())?;
    } else if found.is_file() {
        fs::copy(from, to)?;
    }
    let owner = (std::os::unix::fs::MetadataExt::uid(&found), std::os::unix::fs::MetadataExt::gid(&found));
    match std::os::unix::fs::lchown(to, Some(owner.0), Some(owner.1)) {
        Err(error) if error.kind() == std::io::ErrorKind::PermissionDenied => Ok(()),
        other => other,
    }
}

/// The files as a folder of the store, made once for what they hold; and what holds it.
pub(super) fn materialized(solver: &Solver<'_>, bound: &Bound) -> Result<(PathBuf, Trees), Report> {
    let store = solver.means.store;
    let key = Key(Digest::of(format!("corten bound files 1\n{}", bound.digest)));
    let saved = match Saved::find(store, &key)? {
        Some(saved) if solver.layers.has(&saved.diff_id)? => saved,
        _ => write_layer(solver, bound, &key)?,
    };
    let trees = solver.trees(std::slice::from_ref(&super::LocalLayer {
        diff_id: saved.diff_id,
        tar_size: saved.tar_size,
        blob: None,
    }))?;
    match trees.first().map(|tree| tree.join(NAME)) {
        Some(files) => Ok((files, trees)),
        None => Err(Failure::bug("a layer without a tree").into()),
    }
}

/// What the files have as their name in that layer.
const NAME: &str = "files";

fn write_layer(solver: &Solver<'_>, bound: &Bound, key: &Key) -> Result<Saved, Report> {
    let mut target = Target::new(&Empty, Change { owner: None, mode: None });
    let Some(root) = bound.all.first() else { return Err(Failure::bug("a mount of nothing").into()) };
    let base = LayerPath::new(NAME).map_err(|error| Failure::bug(error.to_string()))?;
    for told in &bound.all {
        let path = match copy::relative(&told.found.path, &root.found.path) {
            b"" => base.clone(),
            relative => base.join(relative).map_err(|error| Failure::input(error.to_string()))?,
        };
        target.place(&path, item(told))?;
    }
    let context = match &bound.from {
        From::Folder(context, _) => Some(context),
        _ => None,
    };
    let batch = solver.means.store.batch();
    let times = Times { now: 0, epoch: None };
    let origins = Origins { context, ..Origins::default() };
    let wrote = write::layer(&target.finish(), origins, &solver.layers, times, &batch)?;
    batch.layer_index(&wrote.diff_id, &wrote.index)?;
    let saved =
        Saved { diff_id: wrote.diff_id, tar_size: wrote.tar_size, left: bound.digest, doubled: Doubled::default() };
    batch.record(key, &saved.encode()?)?;
    batch.finish_later()?;
    Ok(saved)
}

fn item(told: &Told) -> Item<'_> {
    let found = &told.found;
    let content = if found.kind == Kind::File { paths::Content::Found(found) } else { paths::Content::None };
    Item {
        kind: found.kind.clone(),
        mode: found.mode,
        uid: found.uid,
        gid: found.gid,
        size: found.size,
        attributes: Attributes { mtime: told.attributes.mtime, xattrs: told.attributes.xattrs.clone() },
        content,
        digest: told.digest,
        file: None,
    }
}
