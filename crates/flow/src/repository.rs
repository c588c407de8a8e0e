//! A commit of a repository as a source distribution: fetched by the user's `git`, read from its objects, packed here.
//!
//! ```text
//! lock: URL, commit ─► git fetch (bare, into a scratch folder) ─► git ls-tree, cat-file ─► NAME-COMMIT.tar.gz in the store
//! ```
//!
//! Nothing is checked out, so no filter, hook or attribute of the repository has a say, and there is no working tree to climb
//! out of. The archive depends on the commit's files alone: the same commit is the same source distribution everywhere. Git
//! finds credentials as its own configuration says; the URL reaches it by a file, not by arguments that others can see. Only
//! https, http and ssh are spoken. Submodules are not fetched.

use std::io::{BufRead, BufReader, Read, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use corten_diagnostic::{Failure, Report, Span};
use corten_frontend::python::{GitSource, LockFile, Wanted};
use corten_layer::write::{Compression, LayerWriter};
use corten_oci::{Digest, Entry, Kind, LayerPath};
use corten_store::{Key, ScratchFolder};
use serde::{Deserialize, Serialize};

use crate::world::World;

/// What the URLs of such source distributions begin with.
pub const SCHEME: &str = "git+";
/// Raised when the same commit would give other bytes.
const FORMAT: u32 = 1;
/// 1980-01-02, the earliest that zip can express.
const EPOCH: u64 = 315_619_200;
/// Bytes of what git writes that are kept to be shown.
const TAIL: u64 = 16 << 10;
/// Files of one commit, and bytes of all of them; as for source distributions.
const MOST_FILES: usize = 200_000;
const MOST_BYTES: u64 = 4 << 30;
/// Bytes of a line of `git ls-tree`: a path, and less than a hundred more.
const LONGEST_LINE: u64 = 8 << 10;

/// What the store remembers of a commit.
#[derive(Serialize, Deserialize)]
struct Packed {
    digest: Digest,
    size: u64,
}

/// The file that a commit is locked as.
pub fn file(wanted: &Wanted, source: &GitSource) -> LockFile {
    LockFile {
        file: format!("{}-{}.tar.gz", wanted.name, source.commit),
        url: format!("{SCHEME}{source}"),
        digest: None,
        size: None,
        yanked: None,
    }
}

/// Brings a commit's files into the store, as a source distribution: its digest and bytes.
///
/// # Errors
/// Input for a URL that is not spoken, and for files that no source distribution has; world where git is absent or fails.
pub fn take_in(file: &LockFile, source: &GitSource, at: &Span, world: &World<'_>) -> Result<(Digest, u64), Report> {
    let facts = (FORMAT, &file.file, &source.commit, &source.subdirectory);
    let key = Key(Digest::of(serde_json::to_vec(&("commit", facts)).unwrap_or_default()));
    let known = world.store.record(&key)?.and_then(|bytes| serde_json::from_slice::<Packed>(&bytes).ok());
    if let Some(Packed { digest, size }) = known
        && world.store.size(&digest)? == Some(size)
    {
        return Ok((digest, size));
    }
    let repository = Repository::fetch(source, world).map_err(|failure| failure.at(at.clone()))?;
    let top = file.file.trim_end_matches(".tar.gz");
    let batch = world.store.batch();
    let blob = batch.blob()?;
    let blob = repository.pack(top, blob).map_err(|failure| failure.at(at.clone()))?;
    let (digest, size) = blob.finish()?;
    let bytes = serde_json::to_vec(&Packed { digest, size });
    batch.record(&key, &bytes.map_err(|error| Failure::bug(format!("remembering a commit: {error}")))?)?;
    batch.finish()?;
    Ok((digest, size))
}

/// A bare repository of our own with one commit of another.
struct Repository<'a> {
    folder: ScratchFolder,
    source: &'a GitSource,
    world: &'a World<'a>,
}

impl<'a> Repository<'a> {
    fn fetch(source: &'a GitSource, world: &'a World<'a>) -> Result<Self, Failure> {
        check(source)?;
        if world.client.is_offline() {
            return Err(Failure::world(format!("fetching {source}: not allowed while offline"))
                .hint("leave out --offline, or fetch what is missing once with a network"));
        }
        let scratch = |error: &dyn std::fmt::Display| Failure::world(format!("making a folder for git: {error}"));
        let folder = world.store.scratch_folder().map_err(|error| scratch(&error))?;
        let repository = Self { folder, source, world };
        let format = if source.commit.len() == 64 { "--object-format=sha256" } else { "--object-format=sha1" };
        repository.run(&["init", "--quiet", "--bare", "--template=", format])?;
        let remote = format!("[remote \"corten\"]\n\turl = \"{}\"\n", source.url);
        let config = std::fs::File::options().append(true).open(repository.path().join("config"));
        config.and_then(|mut config| config.write_all(remote.as_bytes())).map_err(|error| scratch(&error))?;
        world.events.note(&format!("fetching {source}"));
        let fetch = ["fetch", "--quiet", "--no-tags", "--no-recurse-submodules", "--no-write-fetch-head"];
        let shallow = repository.run(&[&fetch[..], &["--depth=1", "corten", &source.commit]].concat());
        if shallow.is_err() {
            // Not every server gives a commit by its hash.
            repository.run(&[&fetch[..], &["corten", "+refs/*:refs/corten/*"]].concat())?;
            let exists = format!("{}^{{commit}}", source.commit);
            repository.run(&["cat-file", "-e", &exists]).map_err(|_| {
                Failure::world(format!("fetching {source}: the repository does not have this commit"))
                    .hint("the commit may have been removed from its repository: lock again")
            })?;
        }
        Ok(repository)
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Git with nothing of the caller's repository, and with the protocols that are spoken.
    fn git(&self, arguments: &[&str]) -> Command {
        let mut git = Command::new("git");
        git.arg("-C").arg(self.path());
        for setting in [
            "core.hooksPath=/dev/null",
            "core.fsmonitor=false",
            "core.quotePath=false",
            "fetch.recurseSubmodules=false",
            "gc.auto=0",
            "maintenance.auto=false",
        ] {
            git.args(["-c", setting]);
        }
        git.args(arguments).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        git.env("GIT_ALLOW_PROTOCOL", "https:http:ssh").env("GIT_TERMINAL_PROMPT", "0").env("LC_ALL", "C");
        for name in [
            "GIT_DIR",
            "GIT_WORK_TREE",
            "GIT_INDEX_FILE",
            "GIT_OBJECT_DIRECTORY",
            "GIT_ALTERNATE_OBJECT_DIRECTORIES",
            "GIT_COMMON_DIR",
            "GIT_NAMESPACE",
            "GIT_TEMPLATE_DIR",
            "GIT_CEILING_DIRECTORIES",
        ] {
            git.env_remove(name);
        }
        git
    }

    fn start(&self, git: &mut Command) -> Result<Child, Failure> {
        corten_sandbox::as_caller(git).spawn().map_err(|error| match error.kind() {
            std::io::ErrorKind::NotFound => Failure::world(format!("fetching {}: there is no git", self.source))
                .hint("install git, or publish a wheel and lock that"),
            _ => Failure::world(format!("fetching {}: running git: {error}", self.source)),
        })
    }

    /// Runs git to its end.
    fn run(&self, arguments: &[&str]) -> Result<(), Failure> {
        self.read(self.git(arguments), |output| {
            std::io::copy(output, &mut std::io::sink()).map(drop).map_err(|error| self.broken(error))
        })
    }

    /// Runs git, reading what it writes.
    fn read<T>(&self, mut git: Command, read: impl FnOnce(&mut dyn Read) -> Result<T, Failure>) -> Result<T, Failure> {
        let mut child = self.start(&mut git)?;
        let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
        let (said, result) = std::thread::scope(|scope| {
            let said = scope.spawn(move || stderr.map(tail).unwrap_or_default());
            let result = match stdout {
                Some(mut stdout) => read(&mut stdout),
                None => Err(Failure::bug("git has no output")),
            };
            if result.is_err() {
                // What is not read to its end would never end.
                let _ = child.kill();
            }
            (said.join().unwrap_or_default(), result)
        });
        let status = child.wait().map_err(|error| self.broken(error))?;
        match result {
            Ok(_) if !status.success() => Err(self.failed(&said)),
            result => result,
        }
    }

    /// What git says may repeat the URL with its password.
    fn failed(&self, said: &str) -> Failure {
        let shown = self.source.to_string();
        let plain = shown.split('@').next().unwrap_or_default();
        let user = self.source.url.split_once("://").and_then(|(_, rest)| rest.split('/').next()?.rsplit_once('@'));
        let mut said = said.replace(&self.source.url, plain);
        if let Some((user, _)) = user {
            said = said.replace(user, "…");
        }
        let lines: Vec<&str> = said.lines().map(str::trim_end).filter(|line| !line.is_empty()).collect();
        let last = lines.get(lines.len().saturating_sub(3)..).unwrap_or_default().join("; ");
        let why: String = last.chars().filter(|letter| !letter.is_control()).collect();
        Failure::world(format!("fetching {shown}: {why}"))
            .hint("git fetches it with your configuration and credentials: try `git ls-remote` with that URL")
    }

    fn broken(&self, error: std::io::Error) -> Failure {
        Failure::world(format!("reading {}: {error}", self.source))
    }

    /// Writes an archive of the commit's files, all in the folder `top`.
    fn pack<W: Write>(&self, top: &str, sink: W) -> Result<W, Failure> {
        let files = self.files()?;
        let mut git = self.git(&["cat-file", "--batch"]);
        // From a file: two pipes that wait for each other are one too many.
        let list = self.path().join("corten-objects");
        let ids: String = files.iter().map(|file| format!("{}\n", file.object)).collect();
        std::fs::write(&list, ids).map_err(|error| self.broken(error))?;
        git.stdin(std::fs::File::open(&list).map_err(|error| self.broken(error))?);
        self.read(git, |output| self.write(top, &files, BufReader::new(output), sink))
    }

    fn write<W: Write>(
        &self,
        top: &str,
        files: &[CommitFile],
        mut objects: impl BufRead,
        sink: W,
    ) -> Result<W, Failure> {
        let mut writer = LayerWriter::new(sink, Compression::Gzip, EPOCH);
        let broken = |error: std::io::Error| self.broken(error);
        for file in files {
            let mut head = Vec::new();
            objects.by_ref().take(LONGEST_LINE).read_until(b'\n', &mut head).map_err(broken)?;
            let size = String::from_utf8_lossy(&head).trim_end().rsplit(' ').next().and_then(|size| size.parse().ok());
            if size != Some(file.size) {
                return Err(broken(std::io::Error::other(format!("git does not give {}", file.path.escape_debug()))));
            }
            let path = format!("{top}/{}", file.path);
            let path = LayerPath::new(&path).map_err(|error| self.refused(&file.path, &error.to_string()))?;
            let mut content = objects.by_ref().take(file.size);
            let mode = if file.mode == "100755" { 0o755 } else { 0o644 };
            let kind = match file.mode.as_str() {
                "120000" => {
                    let mut target = String::new();
                    content
                        .read_to_string(&mut target)
                        .map_err(|_| self.refused(&file.path, "is a link whose text is not UTF-8"))?;
                    Kind::Symlink(target)
                }
                _ => Kind::File,
            };
            let size = if kind == Kind::File { file.size } else { 0 };
            let entry = Entry { path, kind, mode, uid: 0, gid: 0, size, crc32: None, offset: 0, package: None };
            match entry.kind {
                Kind::File => writer.file(entry, &mut content).map_err(broken)?,
                _ => writer.bare(entry).map_err(broken)?,
            }
            // The line end behind each object.
            objects.read_exact(&mut [0]).map_err(broken)?;
        }
        Ok(writer.finish().map_err(broken)?.0)
    }

    fn refused(&self, path: &str, why: &str) -> Failure {
        Failure::input(format!("packing {}: '{}' {why}", self.source, path.escape_debug()))
    }

    /// The commit's files, those of the project's folder in it, sorted by path.
    fn files(&self) -> Result<Vec<CommitFile>, Failure> {
        let folder = self.source.subdirectory.as_deref().unwrap_or_default().trim_matches('/');
        let tree = format!("{}:{folder}", self.source.commit);
        let git = self.git(&["ls-tree", "-r", "-z", "--long", "--full-tree", &tree]);
        let mut files = self.read(git, |output| self.list(BufReader::new(output)))?;
        if files.is_empty() {
            return Err(Failure::input(format!("{} has no files", self.source)));
        }
        files.sort_by(|left, right| left.path.cmp(&right.path));
        Ok(files)
    }

    fn list(&self, mut lines: impl BufRead) -> Result<Vec<CommitFile>, Failure> {
        let (mut files, mut bytes) = (Vec::new(), 0_u64);
        loop {
            let mut line = Vec::new();
            let count = lines.by_ref().take(LONGEST_LINE).read_until(0, &mut line);
            if count.map_err(|error| self.broken(error))? == 0 {
                return Ok(files);
            }
            let text = String::from_utf8(line).map_err(|_| self.refused("?", "is a name that is not UTF-8"))?;
            let text = text.trim_end_matches('\0');
            let Some((facts, path)) = text.split_once('\t') else {
                return Err(self.broken(std::io::Error::other("git lists files in another form")));
            };
            let facts: Vec<&str> = facts.split_whitespace().collect();
            match facts.as_slice() {
                ["160000", ..] => self.world.events.warning(&format!(
                    "{}: the submodule '{}' is not fetched",
                    self.source,
                    path.escape_debug()
                )),
                [mode, "blob", object, size] => {
                    let size = size.parse().unwrap_or(u64::MAX);
                    bytes = bytes.saturating_add(size);
                    files.push(CommitFile { mode: (*mode).into(), object: (*object).into(), size, path: path.into() });
                }
                _ => return Err(self.refused(path, "is neither a file nor a link")),
            }
            if files.len() > MOST_FILES || bytes > MOST_BYTES {
                return Err(self.refused(path, "is too much: a commit may have 200,000 files and 4 GiB"));
            }
        }
    }
}

/// A file of a commit.
struct CommitFile {
    mode: String,
    object: String,
    size: u64,
    path: String,
}

/// Is it a URL that is spoken, with nothing that a file of git's configuration could take for something else?
fn check(source: &GitSource) -> Result<(), Failure> {
    let refuse = |why: &str| {
        Err(Failure::input(format!("fetching {source}: {why}"))
            .hint("publish a wheel, or a source distribution, and lock that"))
    };
    let Some((scheme, rest)) = source.url.split_once("://") else {
        return refuse("only repositories at https, http and ssh URLs are fetched");
    };
    if !["https", "http", "ssh"].contains(&scheme) {
        return refuse("only repositories at https, http and ssh URLs are fetched");
    }
    let odd = |letter: char| letter.is_control() || letter.is_whitespace() || "\"\\".contains(letter);
    if source.url.contains(odd) || rest.starts_with('-') || rest.split('@').any(|part| part.starts_with('-')) {
        return refuse("its URL has characters that no repository's has");
    }
    let folder = source.subdirectory.as_deref().unwrap_or_default();
    let climbs = folder.starts_with('/') || folder.split('/').any(|part| part == ".." || part == ".");
    if climbs || folder.contains(|letter: char| letter.is_control()) {
        return refuse("its folder does not lie in the repository");
    }
    Ok(())
}

/// The beginning of what is said; the rest is read and forgotten.
fn tail(mut stderr: impl Read) -> String {
    let mut bytes = Vec::new();
    let _ = stderr.by_ref().take(TAIL).read_to_end(&mut bytes);
    let _ = std::io::copy(&mut stderr, &mut std::io::sink());
    String::from_utf8_lossy(&bytes).into_owned()
}
