//! What is built and the Dockerfile, wherever they come from.
//!
//! | context | Dockerfile |
//! |---|---|
//! | a folder | `--file` from here, else `Dockerfile` (or `dockerfile`) in it |
//! | `-`: a tar, plain or compressed | `--file` in it |
//! | `-`: anything else | that is the Dockerfile; there are no other files |
//! | a repository, an address of a tar | `--file` in it |
//! | an address of anything else | that is the Dockerfile |
//!
//! `--file -` reads the Dockerfile from standard input, `--file https://…` from an address. In what came from elsewhere, nothing
//! is opened through a link that leads out of it.

use std::ffi::OsStr;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use corten_diagnostic::{Failure, Report};
use corten_frontend::settings::Text;
use corten_net::Request as Ask;
use corten_store::ScratchFolder;
use corten_store::foreign::compression;
use rustix::fs::{Mode, OFlags, ResolveFlags};

use super::request::Request;
use super::{git, unpack};
use crate::world::World;

/// Bytes that a Dockerfile or an ignore file may have.
const LARGEST_TEXT: u64 = 4 << 20;

/// What is built.
pub struct Source {
    /// The folder; none where there is a Dockerfile alone.
    pub folder: Option<PathBuf>,
    /// The Dockerfile, as people know it.
    pub file: Text,
    /// The ignore file that counts.
    pub ignore: Option<Text>,
    /// As its address was written, where it came from elsewhere.
    pub address: Option<String>,
    /// The commit of a repository that was fetched.
    pub commit: Option<String>,
    /// Keeps what came from elsewhere.
    _kept: Option<ScratchFolder>,
}

impl Source {
    /// What is built, for people; none where there is a Dockerfile alone.
    pub fn shown(&self) -> Option<String> {
        self.address.clone().or_else(|| Some(self.folder.as_ref()?.display().to_string()))
    }
}

/// Is it an address or a repository?
pub fn is_remote(text: &str) -> bool {
    text.starts_with("http://") || text.starts_with("https://") || git::is_repository(text)
}

/// Opens what is asked for.
///
/// # Errors
/// Usage where it is not there; input where it is no text or no archive; world where it cannot be read or fetched.
pub fn open(request: &Request, standard: &mut dyn Read, world: &World<'_>) -> Result<Source, Report> {
    let context = request.context.as_str();
    if context == "-" && request.file.as_deref() == Some("-") {
        return Err(Failure::usage("the context and the Dockerfile cannot both be standard input").into());
    }
    if context == "-" {
        return of_stream("standard input", standard, request, world);
    }
    if git::is_repository(context) {
        let kept = world.store.scratch_folder()?;
        let cloned = git::clone(context, false, None, kept.path(), None, world)?;
        world.events.detail("commit", &cloned.commit);
        let source = within(cloned.path, kept, &git::shown(context), request, standard, world)?;
        return Ok(Source { commit: Some(cloned.commit), ..source });
    }
    if is_remote(context) {
        let mut answer = world.client.send(&Ask::get(context))?;
        return of_stream(&git::shown(context), &mut answer.body, request, world);
    }
    of_folder(Path::new(context), request, standard, world)
}

/// A folder for a name of `--build-context`, from an address.
pub fn remote_folder(address: &str, world: &World<'_>) -> Result<(PathBuf, ScratchFolder), Report> {
    let kept = world.store.scratch_folder()?;
    if git::is_repository(address) {
        let folder = git::clone(address, false, None, kept.path(), None, world)?.path;
        return Ok((folder, kept));
    }
    let mut answer = world.client.send(&Ask::get(address))?;
    let folder = kept.path().join("context");
    let address = git::shown(address);
    match unpack::unpack(&address, &mut answer.body, &folder)? {
        unpack::Unpacked::Folder => Ok((folder, kept)),
        unpack::Unpacked::Other(_) => Err(Failure::input(format!("{address} is no tar"))
            .hint("a context is a folder, a tar or a repository")
            .into()),
    }
}

fn of_folder(folder: &Path, request: &Request, standard: &mut dyn Read, world: &World<'_>) -> Result<Source, Report> {
    if !folder.is_dir() {
        return Err(Failure::usage(format!("there is no folder {}", folder.display()))
            .hint("give the folder with the files to copy: corten build path/to/project")
            .into());
    }
    let (file, beside) = match request.file.as_deref() {
        Some("-") => (text_of("standard input", standard)?, None),
        Some(address) if is_remote(address) => (fetched(address, world)?, None),
        Some(path) => {
            let path = PathBuf::from(path);
            let text = read(&path)?.ok_or_else(|| absent(&path, folder))?;
            (text, Some(path))
        }
        None => {
            let path =
                ["Dockerfile", "dockerfile"].into_iter().map(|name| joined(folder, name)).find(|path| path.is_file());
            let path = path.unwrap_or_else(|| joined(folder, "Dockerfile"));
            let text = found(&path)?.ok_or_else(|| absent(&path, folder))?;
            (text, Some(path))
        }
    };
    let own = beside.map(|path| with_suffix(&path)).map(|path| found(&path)).transpose()?.flatten();
    let ignore = match own {
        Some(own) => Some(own),
        None => found(&joined(folder, ".dockerignore"))?,
    };
    Ok(Source { folder: Some(folder.to_owned()), file, ignore, address: None, commit: None, _kept: None })
}

fn of_stream(shown: &str, stream: &mut dyn Read, request: &Request, world: &World<'_>) -> Result<Source, Report> {
    let kept = world.store.scratch_folder()?;
    let folder = kept.path().join("context");
    match unpack::unpack(shown, stream, &folder)? {
        unpack::Unpacked::Folder => within(folder, kept, shown, request, &mut std::io::empty(), world),
        unpack::Unpacked::Other(head) => {
            if request.file.is_some() {
                return Err(Failure::input(format!("{shown} is no tar, so there is nothing that --file could be in"))
                    .hint("leave out --file: what is no tar is the Dockerfile itself")
                    .into());
            }
            let file = text_of(shown, &mut head.as_slice().chain(stream))?;
            Ok(Source { folder: None, file, ignore: None, address: None, commit: None, _kept: None })
        }
    }
}

/// What came from elsewhere lies in a folder of its own.
fn within(
    folder: PathBuf,
    kept: ScratchFolder,
    address: &str,
    request: &Request,
    standard: &mut dyn Read,
    world: &World<'_>,
) -> Result<Source, Report> {
    let given = request.file.as_deref();
    let (file, own) = match given {
        Some("-") => (text_of("standard input", standard)?, None),
        Some(file) if is_remote(file) => (fetched(file, world)?, None),
        _ => {
            let mut names = given.map_or_else(|| vec!["Dockerfile", "dockerfile"], |name| vec![name]).into_iter();
            let found = names.find_map(|name| Some((name, inside(&folder, name).transpose()?)));
            let (name, text) = found.ok_or_else(|| {
                Failure::input(format!("{address} has no {}", given.unwrap_or("Dockerfile")))
                    .hint("-f names the Dockerfile in it")
            })?;
            (text?, inside(&folder, &format!("{name}.dockerignore"))?)
        }
    };
    let ignore = match own {
        Some(own) => Some(own),
        None => inside(&folder, ".dockerignore")?,
    };
    Ok(Source {
        folder: Some(folder),
        file,
        ignore,
        address: Some(address.to_owned()),
        commit: None,
        _kept: Some(kept),
    })
}

/// A text below a folder that somebody else made: links are followed inside it alone.
pub(super) fn inside(folder: &Path, name: &str) -> Result<Option<Text>, Failure> {
    let failed = |error: rustix::io::Errno| Failure::world(format!("reading {name}: {error}"));
    let root = rustix::fs::open(folder, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty());
    let resolve = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK | OFlags::NOCTTY;
    match rustix::fs::openat2(root.map_err(failed)?, OsStr::new(name), flags, Mode::empty(), resolve) {
        Ok(file) => {
            let file = File::from(file);
            let is_other = |found: std::fs::Metadata| !found.is_file() && !found.is_dir();
            // A pipe or a device of somebody else's folder would hang, or never end.
            if file.metadata().is_ok_and(is_other) {
                return Err(Failure::input(format!("{name} is neither a file nor a folder")));
            }
            regular(file, Path::new(name)).map(Some)
        }
        Err(rustix::io::Errno::NOENT | rustix::io::Errno::NOTDIR) => Ok(None),
        Err(error) => Err(failed(error)),
    }
}

/// What a user named, which may be a pipe.
fn read(path: &Path) -> Result<Option<Text>, Failure> {
    match File::open(path) {
        Ok(file) => regular(file, path).map(Some),
        Err(error) if is_absent(&error) => Ok(None),
        Err(error) => Err(Failure::world(format!("reading {}: {error}", path.display()))),
    }
}

/// What lies there under a name that nobody typed.
fn found(path: &Path) -> Result<Option<Text>, Failure> {
    match crate::regular::open(path) {
        Ok(file) => regular(file, path).map(Some),
        Err(error) if is_absent(&error) => Ok(None),
        Err(_) if path.is_dir() => Err(folder_there(path)),
        Err(error) => Err(crate::regular::failure(path, &error)),
    }
}

fn is_absent(error: &std::io::Error) -> bool {
    matches!(error.kind(), std::io::ErrorKind::NotFound | std::io::ErrorKind::NotADirectory)
}

fn folder_there(path: &Path) -> Failure {
    Failure::usage(format!("{} is a folder", path.display())).hint("name the file in it")
}

fn regular(mut file: File, path: &Path) -> Result<Text, Failure> {
    let is_folder = file.metadata().is_ok_and(|metadata| metadata.is_dir());
    if is_folder {
        return Err(folder_there(path));
    }
    let Text { text, .. } = text_of(&path.display().to_string(), &mut file)?;
    Ok(Text::new(path, text))
}

fn text_of(shown: &str, from: &mut dyn Read) -> Result<Text, Failure> {
    let mut bytes = Vec::new();
    let read = from.take(LARGEST_TEXT + 1).read_to_end(&mut bytes);
    read.map_err(|error| Failure::world(format!("reading {shown}: {error}")))?;
    if bytes.len() as u64 > LARGEST_TEXT {
        return Err(Failure::input(format!("{shown} has more than {LARGEST_TEXT} bytes, which no Dockerfile has"))
            .hint("-f names the Dockerfile"));
    }
    match String::from_utf8(bytes) {
        Ok(text) if !text.contains('\0') => Ok(Text::new(shown, Arc::from(text))),
        _ => Err(Failure::input(format!("{shown} is no text in UTF-8")).hint("-f names the Dockerfile")),
    }
}

fn fetched(address: &str, world: &World<'_>) -> Result<Text, Report> {
    let mut answer = world.client.send(&Ask::get(address))?;
    Ok(text_of(address, &mut answer.body)?)
}

fn absent(path: &Path, folder: &Path) -> Failure {
    let failure = Failure::usage(format!("there is no {}", path.display()));
    let inside = joined(folder, &path.to_string_lossy());
    match inside.is_file() && inside != path {
        true => failure.hint(format!("-f is looked up from here: did you mean -f {}?", inside.display())),
        false => failure.hint("-f names the Dockerfile; without it, `Dockerfile` in the folder is taken"),
    }
}

/// As people write it: without `./` in front.
fn joined(folder: &Path, name: &str) -> PathBuf {
    if folder == Path::new(".") { PathBuf::from(name) } else { folder.join(name) }
}

/// The ignore file of one Dockerfile alone.
fn with_suffix(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".dockerignore");
    PathBuf::from(name)
}

/// How a tar is compressed, by how it begins.
pub(super) fn packed(head: &[u8]) -> Option<&'static str> {
    compression(head)
}
