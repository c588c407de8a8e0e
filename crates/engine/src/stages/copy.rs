//! What COPY and ADD take: sources resolved to files, before anything is known of where they go. That is what decides their key.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read;
use std::sync::Arc;

use corten_diagnostic::{Failure, Report};
use corten_layer::attributes::Attributes;
use corten_oci::{Digest, Digester, Kind, LayerPath};
use corten_plan::recipe::{CopyAction, CopySource, Files};

use super::content::Layers;
use super::context::{Context, Patterns, Stamp};
use super::digests::Digests;
use super::files::{LARGE, changed};
use super::glob;
use super::means::Means;
use super::view::{Found, Last, Place, View, resolve};

/// Bytes that are read and hashed at a time.
const LARGEST_READ: usize = 256 << 10;

/// Where files are looked up.
pub(super) enum From {
    /// A folder of this machine, with what its files hashed to.
    Folder(Arc<Context>, Arc<Digests>),
    /// A stage or an image.
    Layers(Arc<super::image_view::ImageView>),
    /// Nowhere: all sources bring what they are.
    Nothing,
}

impl From {
    pub(super) fn view(&self) -> &dyn View {
        match self {
            Self::Folder(context, _) => context.as_ref(),
            Self::Layers(view) => view.as_ref(),
            Self::Nothing => &super::view::Empty,
        }
    }
}

/// All that one step copies.
pub(super) struct Selection {
    pub(super) sources: Vec<Selected>,
}

/// What one source, or one match of its pattern, came to.
pub(super) struct Selected {
    /// Its name, before links were followed.
    pub(super) name: Vec<u8>,
    /// The file, or the folder whose content is meant.
    pub(super) root: Told,
    /// What is below it, parents first.
    pub(super) below: Vec<Told>,
    /// Where it is looked up, where not where the others are.
    pub(super) own: Option<Arc<Context>>,
    /// An archive is unpacked.
    pub(super) unpack: bool,
    /// Bytes of the Dockerfile itself.
    pub(super) text: Option<Arc<[u8]>>,
}

/// A file and what is known of it.
pub(super) struct Told {
    pub(super) found: Found,
    pub(super) attributes: Attributes,
    /// Of the content of files.
    pub(super) digest: Option<Digest>,
}

/// What is done with files that nobody has hashed yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unknown {
    /// They are hashed.
    Hashed,
    /// Who writes them will hash them on the way, so that each is opened once. Attributes of small ones are left to him, too.
    Left,
}

/// Finds what a step copies, and hashes what is not known.
pub(super) fn select(
    action: &CopyAction,
    from: &From,
    layers: &Layers<'_>,
    means: &Means<'_>,
    unknown: Unknown,
) -> Result<Selection, Report> {
    let mut sources = Vec::new();
    for source in &action.sources {
        match source {
            CopySource::Path { path, parents, unpack } => {
                let exclude = patterns(&action.exclude, means)?;
                for one in paths(action, path, parents.as_deref(), from, means, exclude.as_deref())? {
                    // What may be an archive is written as something else.
                    let unknown = if *unpack { Unknown::Hashed } else { unknown };
                    let told =
                        tell(std::iter::once(one.root).chain(one.below).collect(), from, layers, means, unknown)?;
                    let mut told = told.into_iter();
                    let Some(root) = told.next() else { continue };
                    sources.push(Selected {
                        name: one.name,
                        root,
                        below: told.collect(),
                        own: None,
                        unpack: *unpack,
                        text: None,
                    });
                }
            }
            CopySource::Inline { name, content } => sources.push(inline(name, content)?),
            CopySource::Http { url, name, checksum, unpack } => {
                let fetched = means.remote.http(url, checksum.as_deref())?;
                let name = fetched.name.clone().unwrap_or_else(|| name.clone());
                sources.push(fetched_file(&fetched, &name, *unpack, layers, means)?);
            }
            CopySource::Git { url, keep, checksum } => {
                let fetched = means.remote.git(url, *keep, checksum.as_deref())?;
                sources.push(fetched_folder(&fetched, &action.exclude, layers, means)?);
            }
        }
    }
    Ok(Selection { sources })
}

struct Matched {
    name: Vec<u8>,
    root: Found,
    below: Vec<Found>,
}

fn patterns(texts: &[String], means: &Means<'_>) -> Result<Option<Box<dyn Patterns>>, Failure> {
    if texts.is_empty() {
        return Ok(None);
    }
    let understood = (means.patterns)(texts).map_err(|why| Failure::input(format!("--exclude: {why}")))?;
    Ok(Some(understood))
}

fn paths(
    action: &CopyAction,
    path: &str,
    parents: Option<&str>,
    from: &From,
    means: &Means<'_>,
    exclude: Option<&dyn Patterns>,
) -> Result<Vec<Matched>, Report> {
    let view = from.view();
    if matches!(from, From::Nothing) {
        return Err(Failure::input(format!("{path} cannot be copied: there is no folder that is built")).into());
    }
    let roots = match glob::is_pattern(path) {
        true => glob::matches(view, path)?,
        false => vec![clean(path)?],
    };
    let include = parents.filter(|below| !below.is_empty()).map(|below| (below, (means.patterns)(&[below.to_owned()])));
    let include = match include {
        None => None,
        Some((below, Ok(understood))) => Some((below, understood)),
        Some((below, Err(why))) => return Err(Failure::input(format!("'{below}' is no pattern: {why}")).into()),
    };
    let mut all = Vec::new();
    for path in roots {
        let real = resolve(view, path.as_bytes(), Last::Followed)?;
        let Some(root) = view.look(&real)? else { return Err(absent(action, &path).into()) };
        let below = if root.is_folder() {
            below(from, &real, means.jobs, include.as_ref().map(|(text, include)| (*text, include.as_ref())), exclude)?
        } else {
            Vec::new()
        };
        if let Some((text, _)) = &include
            && !glob::is_pattern(text)
            && below.is_empty()
        {
            return Err(absent(action, &path.join(text).unwrap_or_default()).into());
        }
        all.push(Matched { name: path.name().to_vec(), root, below });
    }
    Ok(all)
}

/// `..` at the root stays there.
fn clean(path: &str) -> Result<LayerPath, Failure> {
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()),
            part => parts.push(part),
        }
    }
    LayerPath::new(parts.join("/")).map_err(|error| Failure::input(error.to_string()))
}

fn absent(action: &CopyAction, path: &LayerPath) -> Failure {
    match &action.from {
        Files::Context => Failure::input(format!("there is no '{path}' in the folder that is built"))
            .hint("paths are looked up from that folder; .dockerignore may leave it out"),
        Files::Folder(name) => Failure::input(format!("there is no '{path}' in the folder '{name}'")),
        Files::Image(image) => Failure::input(format!("there is no '{path}' in the image {}", image.image)),
        Files::Stage(_) | Files::None => {
            Failure::input(format!("there is no '{path}' in the stage that it is copied from"))
        }
    }
}

fn below(
    from: &From,
    folder: &LayerPath,
    jobs: usize,
    include: Option<(&str, &dyn Patterns)>,
    exclude: Option<&dyn Patterns>,
) -> Result<Vec<Found>, Failure> {
    let view = from.view();
    // Of a folder where little is wanted, the rest is not looked at.
    let (start, mut above) = match include {
        Some((text, _)) => literal_start(view, folder, text)?,
        None => (folder.clone(), Vec::new()),
    };
    let mut all = Vec::new();
    if let Some(found) = (start != *folder).then(|| view.look(&start)).transpose()?.flatten() {
        let is_folder = found.is_folder();
        above.push(found);
        if is_folder {
            all = view.below(&start, jobs)?;
        }
    } else if start == *folder {
        all = view.below(folder, jobs)?;
        if let (From::Folder(_, digests), None) = (from, include) {
            digests.walked(folder);
        }
    } else {
        return Ok(Vec::new());
    }
    above.append(&mut all);
    if include.is_none() && exclude.is_none() {
        return Ok(above);
    }
    Ok(filter(above, folder, include.map(|(_, include)| include), exclude))
}

/// The folder that the letters of a pattern lead to, and the folders above it.
fn literal_start(view: &dyn View, folder: &LayerPath, pattern: &str) -> Result<(LayerPath, Vec<Found>), Failure> {
    let (mut start, mut above) = (folder.clone(), Vec::new());
    let parts = pattern.split('/').filter(|part| !part.is_empty() && *part != ".");
    for part in parts.take_while(|part| !glob::is_pattern(part)) {
        if start != *folder {
            match view.look(&start)? {
                Some(found) if found.is_folder() => above.push(found),
                _ => return Ok((start, above)),
            }
        }
        start = start.join(part).map_err(|error| Failure::input(error.to_string()))?;
    }
    Ok((start, above))
}

/// A folder that is not wanted itself comes with what is wanted below it.
fn filter(
    all: Vec<Found>,
    folder: &LayerPath,
    include: Option<&dyn Patterns>,
    exclude: Option<&dyn Patterns>,
) -> Vec<Found> {
    let (mut kept, mut waiting): (Vec<Found>, Vec<Found>) = (Vec::new(), Vec::new());
    for found in all {
        let relative = relative(&found.path, folder);
        let text = String::from_utf8_lossy(relative);
        waiting.retain(|above| found.path.starts_with(&above.path));
        let wanted = include.is_none_or(|include| include.matches(&text))
            && !exclude.is_some_and(|exclude| exclude.matches(&text));
        if wanted {
            kept.append(&mut waiting);
            kept.push(found);
        } else if found.is_folder() {
            waiting.push(found);
        }
    }
    kept
}

pub(super) fn relative<'p>(path: &'p LayerPath, folder: &LayerPath) -> &'p [u8] {
    let rest = path.as_bytes().strip_prefix(folder.as_bytes()).unwrap_or_default();
    rest.strip_prefix(b"/").unwrap_or(rest)
}

fn inline(name: &str, content: &str) -> Result<Selected, Failure> {
    let path = LayerPath::new(name).map_err(|error| Failure::input(error.to_string()))?;
    let size = content.len() as u64;
    let place = Place::Layer(corten_oci::DiffId(Digest::of(content)), 0);
    let found = Found { path: path.clone(), kind: Kind::File, mode: 0o644, uid: 0, gid: 0, size, place };
    let root = Told { found, attributes: Attributes::at(i64::MAX), digest: Some(Digest::of(content)) };
    let text = Some(Arc::from(content.as_bytes()));
    Ok(Selected { name: path.name().to_vec(), root, below: Vec::new(), own: None, unpack: false, text })
}

fn fetched_file(
    fetched: &super::Fetched,
    name: &str,
    unpack: bool,
    layers: &Layers<'_>,
    means: &Means<'_>,
) -> Result<Selected, Report> {
    let file_name = fetched.path.file_name().unwrap_or_default();
    let folder = fetched.path.parent().unwrap_or(&fetched.path);
    let context = Arc::new(Context::open(folder, None)?);
    let digests = Arc::new(Digests::load(means.store, folder, means.now));
    let from = From::Folder(context.clone(), digests);
    let path = LayerPath::new(std::os::unix::ffi::OsStrExt::as_bytes(file_name))
        .map_err(|error| Failure::input(error.to_string()))?;
    let found = context.look(&path)?.ok_or_else(|| Failure::world(format!("what was fetched for {name} is gone")))?;
    let mut told = tell(vec![found], &from, layers, means, Unknown::Hashed)?;
    let mut root = told.pop().ok_or_else(|| Failure::bug("a file that was fetched was not told"))?;
    root.found.mode = 0o600;
    root.attributes = Attributes::at(fetched.mtime.unwrap_or(i64::MAX));
    let name = name.rsplit('/').next().unwrap_or_default();
    let is_safe = !name.is_empty() && name != "." && name != ".." && !name.chars().any(char::is_control);
    let name = if is_safe { name } else { "__unnamed__" };
    Ok(Selected { name: name.as_bytes().to_vec(), root, below: Vec::new(), own: Some(context), unpack, text: None })
}

fn fetched_folder(
    fetched: &super::Fetched,
    exclude: &[String],
    layers: &Layers<'_>,
    means: &Means<'_>,
) -> Result<Selected, Report> {
    let context = Arc::new(Context::open(&fetched.path, None)?);
    let from = From::Folder(context.clone(), Arc::new(Digests::load(means.store, &fetched.path, means.now)));
    let root = LayerPath::root();
    let found = context.look(&root)?.ok_or_else(|| Failure::world("the repository that was fetched is gone"))?;
    let exclude = patterns(exclude, means)?;
    let mut all = vec![found];
    all.append(&mut below(&from, &root, means.jobs, None, exclude.as_deref())?);
    let mut told = tell(all, &from, layers, means, Unknown::Hashed)?.into_iter();
    let root = told.next().ok_or_else(|| Failure::bug("a folder that was fetched was not told"))?;
    Ok(Selected { name: Vec::new(), root, below: told.collect(), own: Some(context), unpack: false, text: None })
}

/// Times, attributes and digests of files.
pub(super) fn tell(
    all: Vec<Found>,
    from: &From,
    layers: &Layers<'_>,
    means: &Means<'_>,
    unknown: Unknown,
) -> Result<Vec<Told>, Report> {
    match from {
        From::Folder(context, digests) => of_folder(all, context, digests, means.jobs, unknown),
        _ => all.into_iter().map(|found| of_layer(found, layers)).collect(),
    }
}

fn of_layer(found: Found, layers: &Layers<'_>) -> Result<Told, Report> {
    let Place::Layer(layer, offset) = found.place else {
        return Err(Failure::bug(format!("{} is in no layer", found.path)).into());
    };
    if found.path.is_root() {
        return Ok(Told { found, attributes: Attributes::at(i64::MAX), digest: None });
    }
    let detail = layers.details(&layer)?.get(offset).unwrap_or_default();
    Ok(Told { found, attributes: detail.attributes, digest: detail.digest })
}

fn of_folder(
    all: Vec<Found>,
    context: &Context,
    digests: &Digests,
    jobs: usize,
    unknown: Unknown,
) -> Result<Vec<Told>, Report> {
    let one = |found: &Found| -> Result<(Attributes, Option<Digest>), Failure> {
        let stamp = stamp(found)?;
        let mut attributes = Attributes::at(stamp.mtime.div_euclid(1_000_000_000));
        if found.kind != Kind::File {
            if found.is_folder() && !found.path.is_root() {
                attributes.xattrs = context.attributes(&found.path)?;
            }
            return Ok((attributes, None));
        }
        if let Some(known) = digests.get(&found.path, &stamp) {
            if !known.is_plain {
                attributes.xattrs = context.attributes(&found.path)?;
            }
            return Ok((attributes, Some(known.digest)));
        }
        if unknown == Unknown::Left {
            if found.size >= LARGE {
                attributes.xattrs = context.attributes(&found.path)?;
            }
            return Ok((attributes, None));
        }
        let (digest, xattrs) = hash(found, context, digests)?;
        attributes.xattrs = xattrs;
        Ok((attributes, Some(digest)))
    };
    let told = super::threads::each(&all, jobs, one)?;
    Ok(all.into_iter().zip(told).map(|(found, (attributes, digest))| Told { found, attributes, digest }).collect())
}

fn stamp(found: &Found) -> Result<Stamp, Failure> {
    match found.place {
        Place::Context(stamp, _) => Ok(stamp),
        Place::Layer(..) => Err(Failure::bug("a file of a folder that is in a layer")),
    }
}

type Xattrs = BTreeMap<Vec<u8>, Vec<u8>>;

fn hash(found: &Found, context: &Context, digests: &Digests) -> Result<(Digest, Xattrs), Failure> {
    let (file, opened) = context.file(&found.path)?;
    let digest = hashed(&file, opened.size).map_err(|error| {
        Failure::world(format!("reading {}: {error}", context.path().join(found.path.to_string()).display()))
    })?;
    let xattrs = context.attributes_of(&file, &found.path)?;
    digests.put(&found.path, opened, digest, found.mode, xattrs.is_empty());
    Ok((digest, xattrs))
}

/// The digest of a file that has, or had, so many bytes: a small one is read at once.
fn hashed(mut file: &File, size: u64) -> std::io::Result<Digest> {
    corten_store::read_in_order(file, size);
    let mut digester = Digester::new();
    let mut bytes = vec![0; usize::try_from(size).unwrap_or(LARGEST_READ).min(LARGEST_READ - 1) + 1];
    loop {
        match file.read(&mut bytes) {
            Ok(got) => {
                digester.update(bytes.get(..got).unwrap_or_default());
                // A regular file that gives less has no more.
                if got < bytes.len() {
                    return Ok(digester.finish());
                }
            }
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

/// The attributes that a file had when it was looked at: others that were set since are in no layer, and in no key.
fn attributes_as_written(found: &Found, context: &Context) -> Result<Xattrs, Report> {
    let xattrs = context.attributes(&found.path)?;
    match context.look(&found.path)? {
        Some(now) if now.place == found.place => Ok(xattrs),
        _ => Err(changed(&found.path)),
    }
}

impl Selection {
    /// By what files are and hold, never by when they changed.
    pub(super) fn digest(&self) -> Digest {
        let (mut digester, mut words) = (Digester::new(), Vec::new());
        for source in &self.sources {
            text(&mut words, &source.name);
            for told in std::iter::once(&source.root).chain(&source.below) {
                // A file is what it is under any name: the source's own name stands before it.
                let relative = relative(&told.found.path, &source.root.found.path);
                entry(&mut words, relative, told, std::ptr::eq(told, &source.root));
                digester.update(&words);
                words.clear();
            }
            words.extend_from_slice(b"end");
        }
        digester.update(&words);
        digester.finish()
    }

    /// Were files left to who writes them?
    pub(super) fn has_left(&self) -> bool {
        self.files().any(|told| told.found.kind == Kind::File && told.digest.is_none())
    }

    /// Adds digests and attributes of files that were left and have been written since. Other names of them are hashed.
    pub(super) fn settle(&mut self, from: &From) -> Result<(), Report> {
        let From::Folder(context, digests) = from else { return Ok(()) };
        let of_folder = self.sources.iter_mut().filter(|source| source.own.is_none() && source.text.is_none());
        for told in of_folder.flat_map(|source| std::iter::once(&mut source.root).chain(&mut source.below)) {
            if told.found.kind != Kind::File || told.digest.is_some() {
                continue;
            }
            let (digest, xattrs) = match digests.get(&told.found.path, &stamp(&told.found)?) {
                Some(known) if known.is_plain => (known.digest, Xattrs::new()),
                Some(known) => (known.digest, attributes_as_written(&told.found, context)?),
                None => hash(&told.found, context, digests)?,
            };
            (told.digest, told.attributes.xattrs) = (Some(digest), xattrs);
        }
        Ok(())
    }

    /// Of files of folders: paths.
    pub(super) fn files(&self) -> impl Iterator<Item = &Told> {
        self.sources
            .iter()
            .filter(|source| source.own.is_none() && source.text.is_none())
            .flat_map(|source| std::iter::once(&source.root).chain(&source.below))
    }
}

/// The digest of one tree of files, as [`Selection::digest`].
pub(super) fn digest_of(all: &[Told], root: &LayerPath) -> Digest {
    let (mut digester, mut words) = (Digester::new(), Vec::new());
    for told in all {
        entry(&mut words, relative(&told.found.path, root), told, false);
        digester.update(&words);
        words.clear();
    }
    digester.finish()
}

fn entry(to: &mut Vec<u8>, relative: &[u8], told: &Told, is_root: bool) {
    let found = &told.found;
    text(to, relative);
    let (letter, link) = match &found.kind {
        Kind::File => (b'f', Vec::new()),
        Kind::Directory => (b'd', Vec::new()),
        Kind::Symlink(target) => (b'l', target.as_bytes().to_vec()),
        Kind::CharacterDevice(major, minor) => (b'c', format!("{major}:{minor}").into_bytes()),
        Kind::BlockDevice(major, minor) => (b'b', format!("{major}:{minor}").into_bytes()),
        Kind::Fifo => (b'p', Vec::new()),
        _ => (b'?', Vec::new()),
    };
    to.extend_from_slice(&[letter]);
    text(to, &link);
    // What the root of a context is on this machine says nothing.
    if is_root && found.path.is_root() {
        return;
    }
    let mode = if letter == b'l' { 0o777 } else { found.mode };
    to.extend_from_slice(&mode.to_le_bytes());
    to.extend_from_slice(&found.uid.to_le_bytes());
    to.extend_from_slice(&found.gid.to_le_bytes());
    to.extend_from_slice(&found.size.to_le_bytes());
    for (name, value) in &told.attributes.xattrs {
        to.extend_from_slice(b"x");
        text(to, name);
        text(to, value);
    }
    if let Some(digest) = &told.digest {
        to.extend_from_slice(b"=");
        to.extend_from_slice(digest.as_bytes());
    }
}

fn text(to: &mut Vec<u8>, text: &[u8]) {
    to.extend_from_slice(&(text.len() as u64).to_le_bytes());
    to.extend_from_slice(text);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attributes_that_are_set_after_a_file_was_written_are_in_no_key() {
        let folder = tempfile::tempdir().unwrap();
        let set = |value: &[u8]| {
            let flags = rustix::fs::XattrFlags::empty();
            rustix::fs::setxattr(folder.path().join("a"), "user.corten", value, flags)
        };
        std::fs::write(folder.path().join("a"), "a").unwrap();
        // Not every disk has them.
        if set(b"one") == Err(rustix::io::Errno::OPNOTSUPP) {
            return;
        }
        let context = Context::open(folder.path(), None).unwrap();
        let found = context.look(&LayerPath::new("a").unwrap()).unwrap().unwrap();
        assert_eq!(attributes_as_written(&found, &context).unwrap().len(), 1);
        // Whatever the clock's ticks are: the size is another one, too.
        std::fs::write(folder.path().join("a"), "ab").unwrap();
        set(b"two").unwrap();
        let why = attributes_as_written(&found, &context).unwrap_err();
        assert_eq!(why.error().to_string(), "copying /a: it was changed while it was read");
    }
}
