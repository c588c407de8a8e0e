//! Building a wheel from a source distribution, in the sandbox (PEP 517).
//!
//! ```text
//! base, packages ──► trees of the store ─┐
//! requirements ────► a layer, its tree ──┼─► overlay, changes in memory, no network, no capabilities, limits
//! sdist, venv ─────► a folder ───────────┘    ─► build.py ─► stdout: the wheel
//! ```
//!
//! The trees are those that RUN and `corten run` stand on: unpacked once, whatever is built on them.
//!
//! The one thing that leaves the sandbox is a stream of bytes; it becomes a wheel when it is checked like any other. What
//! decides those bytes is fixed: paths, times, the hash seed, the mask of modes, the environment.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, BufRead, BufReader, BufWriter, Read, Seek, Write};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::time::Duration;

use corten_diagnostic::{Events, Failure, Report};
use corten_install::python::sdist::unpack;
use corten_install::python::{InstallTarget, VenvKind, convert, generated_files};
use corten_layer::write::Compression;
use corten_layer::zip::Archive;
use corten_oci::{Descriptor, Digest, MediaType, SetId};
use corten_package::wheel::WheelName;
use corten_plan::{LockedWheel, Op, Sdist, Wheels};
use corten_sandbox::{
    End, Exit, Helper, Ids, Limit, Limits, Mount, Network, Output, Process, Root, Sandbox, Stdin, Streams, Upper,
};
use corten_store::{Batch, TreeLayer};
use serde::{Deserialize, Serialize};

use crate::key;
use crate::make::{Capabilities, source};
use crate::missing::{self, PackageOf};
use crate::solve::Made;

/// Raised when the same source would give other bytes.
pub const FORMAT: u32 = 1;

const DRIVER: &str = include_str!("build.py");
/// Where its build environment lies in the sandbox.
const ENVIRONMENT: &str = "opt/build";
/// 1980-01-02, the earliest that zip can express.
const EPOCH: &str = "315619200";
/// Bytes of output that are kept to be shown.
const TAIL: usize = 64 << 10;
/// Lines of output that are shown.
const LINES: usize = 20;
/// Bytes that a build may write to its file system, which is in memory.
const DISK: u64 = 3 << 30;

/// The limits of a build.
pub fn limits() -> Limits {
    Limits {
        memory: Some(4 << 30),
        processes: Some(1024),
        time: Some(Duration::from_secs(1800)),
        open_files: Some(4096),
        output: Some(1 << 30),
        ..Limits::default()
    }
}

/// A build, its file system prepared.
pub struct Build<'a> {
    /// For people: `docopt 0.6.2 from docopt-0.6.2.tar.gz`.
    pub what: String,
    /// What it sees as `/`, the uppermost folder first; not changed.
    pub root: Vec<PathBuf>,
    /// What else is mounted there.
    pub mounts: Vec<Mount>,
    /// The interpreter, inside.
    pub interpreter: String,
    /// The project's folder, inside.
    pub source: String,
    /// `setuptools.build_meta`.
    pub backend: String,
    /// Where in the project the backend may lie.
    pub backend_path: Vec<String>,
    /// The version, for backends that would ask git, where there is no repository to ask.
    pub version: Option<String>,
    /// Where it ends.
    pub limits: Limits,
    /// Bytes that it may write to its file system, which is in memory.
    pub disk: u64,
    /// Names the package of something that the build lacks.
    pub package_of: &'a PackageOf<'a>,
    /// The program that becomes pid 1.
    pub helper: Helper,
}

/// Builds the wheel of a step.
pub fn build(
    sdist: &Sdist,
    below: &[&Made],
    capabilities: &Capabilities<'_>,
    batch: &Batch<'_>,
) -> Result<Wheel, Report> {
    let store = capabilities.store;
    let scratch = store.scratch_folder()?;
    let own = scratch.path().join("own");
    let LockedWheel { name, version, file, .. } = &sdist.sdist;
    let what = format!("{} from {file}", format!("{name} {version}").trim_end());
    let preparing = |error: io::Error| Failure::world(format!("preparing to build {what}: {error}"));
    let layers: Vec<_> = below.iter().map(|layer| layer.blob.clone()).collect();
    (capabilities.bring)(&layers, &format!("building {what}"))?;
    let environment = environment(sdist, capabilities)?;
    let layers: Vec<TreeLayer> = below.iter().copied().chain(&environment).map(tree_layer).collect();
    let mut root = store.trees(&layers, store)?.to_vec();
    let interpreter = virtual_environment(sdist, &own).map_err(preparing)?;
    let above = own.join("build");
    std::fs::create_dir_all(above.join("home")).map_err(preparing)?;
    let unpacked = scratch.path().join("source");
    std::fs::create_dir(&unpacked).map_err(preparing)?;
    let unpacked = unpack(store.file(&sdist.sdist.digest)?, file, &unpacked)?;
    std::fs::rename(&unpacked.folder, above.join("source")).map_err(preparing)?;
    root.insert(0, own);
    let build = Build {
        what: what.clone(),
        root,
        mounts: Vec::new(),
        interpreter,
        source: "/build/source".to_owned(),
        backend: sdist.backend.clone(),
        backend_path: sdist.backend_path.clone(),
        version: Some(sdist.sdist.version.clone())
            .filter(|version| sdist.sdist.url.starts_with("git+") && !version.is_empty()),
        limits: limits(),
        disk: DISK,
        package_of: capabilities.package_of,
        helper: Helper::default(),
    };
    let at = |failure: Failure| match &sdist.at {
        Some(at) => failure.at(at.clone()),
        None => failure,
    };
    let path = scratch.path().join("wheel");
    let output = File::options().read(true).write(true).create_new(true).open(path).map_err(preparing)?;
    let (file_name, mut wheel) = run(&build, output, capabilities.events).map_err(at)?;
    let version = check(sdist, &file_name, &mut wheel, &what).map_err(at)?;
    let mut blob = batch.blob()?;
    io::copy(&mut wheel, &mut blob).map_err(preparing)?;
    let (digest, _) = blob.finish()?;
    wheel.rewind().map_err(preparing)?;
    Ok(Wheel { file: wheel, digest, version })
}

/// A wheel that was built.
pub struct Wheel {
    /// At its beginning.
    pub file: File,
    /// In the store.
    pub digest: Digest,
    /// As its name says.
    pub version: String,
}

fn tree_layer(made: &Made) -> TreeLayer {
    TreeLayer { diff_id: made.diff_id, blob: Some(made.blob.clone()) }
}

/// The layer of what the build needs: made once for all that need the same.
fn environment(sdist: &Sdist, capabilities: &Capabilities<'_>) -> Result<Option<Made>, Report> {
    if sdist.requires.is_empty() {
        return Ok(None);
    }
    let store = capabilities.store;
    let wheels =
        Wheels { wheels: sdist.requires.clone(), prefix: ENVIRONMENT.to_owned(), python: sdist.python.clone() };
    let key = key::of(&Op::Wheels(wheels), Compression::Splice, &[], &[])
        .ok_or_else(|| Failure::bug("what a build needs is no layer"))?;
    let record = if capabilities.reuse { store.record(&key)? } else { None };
    let known = record.and_then(|bytes| serde_json::from_slice::<Made>(&bytes).ok());
    if let Some(made) = known
        && store.has_layer_index(&made.diff_id)
        && store.size(&made.blob.digest)? == Some(made.blob.size)
    {
        return Ok(Some(made));
    }
    let sources = sdist.requires.iter().map(|wheel| source(wheel, store)).collect::<Result<Vec<_>, _>>()?;
    let batch = store.batch();
    let (sink, written, _) = convert(&sources, &target(sdist), BufWriter::with_capacity(1 << 16, batch.blob()?))?;
    let unwritten =
        |error: &io::Error| Failure::world(format!("writing what building {} needs: {error}", sdist.sdist.name));
    let (digest, size) = sink.into_inner().map_err(|error| unwritten(error.error()))?.finish()?;
    let made = Made {
        blob: Descriptor::new(MediaType::LAYER_GZIP, digest, size),
        diff_id: written.diff_id,
        tar_size: written.tar_size,
        installed: Vec::new(),
        set_id: SetId::all(&written.index),
        conflicts: Vec::new(),
        is_empty: false,
        reused: false,
    };
    batch.layer_index(&made.diff_id, &written.index)?;
    let record = serde_json::to_vec(&made).map_err(|error| Failure::bug(format!("remembering a layer: {error}")))?;
    batch.record(&key, &record)?;
    batch.finish()?;
    Ok(Some(made))
}

fn target(sdist: &Sdist) -> InstallTarget {
    InstallTarget { prefix: ENVIRONMENT.to_owned(), python: sdist.python.version }
}

/// What makes a virtual environment of that layer, in a new folder that lies over it: its interpreter, inside.
fn virtual_environment(sdist: &Sdist, folder: &Path) -> io::Result<String> {
    let interpreter = format!("/usr/bin/python{}", sdist.python.minor());
    for file in generated_files(&target(sdist), &interpreter, &sdist.python.full_version) {
        let path = folder.join(&file.path);
        path.parent().map_or(Ok(()), std::fs::create_dir_all)?;
        match file.kind {
            VenvKind::File(text) => std::fs::write(&path, text)?,
            VenvKind::Symlink(to) => symlink(to, &path)?,
        }
    }
    Ok(format!("/{ENVIRONMENT}/bin/python"))
}

#[derive(Serialize)]
struct Order<'a> {
    source: &'a str,
    output: &'a str,
    backend: &'a str,
    backend_path: &'a [String],
}

#[derive(Deserialize)]
struct Answer {
    #[serde(default)]
    file: Option<String>,
    #[serde(default)]
    missing: Vec<String>,
}

/// Runs a build: the wheel's name, and `output` with the wheel in it, at its beginning.
///
/// # Errors
/// Input where the build fails, reaches a limit, asks for what it was not given or gives no wheel; world where the sandbox
/// cannot be set up.
pub fn run(build: &Build<'_>, mut output: File, events: &dyn Events) -> Result<(String, File), Failure> {
    let sandbox = sandbox(build)?;
    let mut tail = Tail::default();
    let streams = Streams {
        stdin: Stdin::Empty,
        stdout: Output::Sink(&mut output),
        stderr: Output::Sink(&mut tail),
        ..Streams::default()
    };
    let exit = sandbox.run(streams)?;
    let took = format!("{:.1} s, {} MiB of memory at most", exit.wall.as_secs_f64(), exit.peak_memory >> 20);
    let notes: String = exit.notes.iter().map(|note| format!("; {note}")).collect();
    events.note(&format!("building {} took {took}{notes}", build.what));
    ended(build, &exit, &tail)?;
    let broken = |error: io::Error| Failure::world(format!("reading what the build of {} gave: {error}", build.what));
    output.rewind().map_err(broken)?;
    let mut answer = String::new();
    let mut reader = BufReader::new(&output);
    reader.by_ref().take(1 << 16).read_line(&mut answer).map_err(|_| none(build, &tail))?;
    let Answer { file, missing } = serde_json::from_str(&answer).map_err(|_| none(build, &tail))?;
    if !missing.is_empty() {
        let asks =
            format!("building {}: it asks for {} besides its build requirements", build.what, missing.join(", "));
        return Err(Failure::input(asks).hint(
            "its setup.py or backend decides that when it runs, so it cannot be locked: take a version with a wheel",
        ));
    }
    let Some(file) = file else { return Err(none(build, &tail)) };
    let rest = without_beginning(output, answer.len() as u64).map_err(broken)?;
    Ok((file, rest))
}

fn none(build: &Build<'_>, tail: &Tail) -> Failure {
    Failure::input(format!("building {}: it ended well, but gave no wheel{}", build.what, tail.shown()))
}

/// The file without its first bytes.
fn without_beginning(mut file: File, count: u64) -> io::Result<File> {
    let mut buffer = vec![0; 1 << 16];
    let (mut from, mut to) = (count, 0);
    loop {
        file.seek(io::SeekFrom::Start(from))?;
        let read = file.read(&mut buffer)?;
        if read == 0 {
            break;
        }
        file.seek(io::SeekFrom::Start(to))?;
        file.write_all(buffer.get(..read).unwrap_or_default())?;
        from += read as u64;
        to += read as u64;
    }
    file.set_len(to)?;
    file.rewind()?;
    Ok(file)
}

fn sandbox(build: &Build<'_>) -> Result<Sandbox, Failure> {
    let order = Order {
        source: &build.source,
        output: "/tmp/corten-wheel",
        backend: &build.backend,
        backend_path: &build.backend_path,
    };
    let order = serde_json::to_string(&order).map_err(|error| Failure::bug(format!("ordering a build: {error}")))?;
    let mut process = Process::new([build.interpreter.as_str(), "-c", DRIVER, &order]);
    let path = format!("/{ENVIRONMENT}/bin:/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin");
    let environment = [
        ("PATH", path.as_str()),
        ("HOME", "/build/home"),
        ("TMPDIR", "/tmp"),
        ("LANG", "C.UTF-8"),
        ("SOURCE_DATE_EPOCH", EPOCH),
        ("PYTHONHASHSEED", "0"),
        ("PYTHONDONTWRITEBYTECODE", "1"),
        ("PYTHONUNBUFFERED", "1"),
    ];
    process.environment = environment.into_iter().map(|(name, value)| (name.into(), value.into())).collect();
    for name in
        ["SETUPTOOLS_SCM_PRETEND_VERSION", "PDM_BUILD_SCM_VERSION", "PBR_VERSION", "UV_DYNAMIC_VERSIONING_BYPASS"]
    {
        process.environment.extend(build.version.as_ref().map(|version| (name.into(), version.into())));
    }
    let mut mounts = vec![Mount::Proc, Mount::Dev { shm: 64 << 20 }];
    mounts.extend(build.mounts.iter().cloned());
    Ok(Sandbox {
        root: Root::Overlay { lower: build.root.clone(), upper: Upper::Discard(build.disk) },
        mounts,
        process,
        network: Network::None,
        limits: build.limits.clone(),
        hostname: "build".to_owned(),
        ids: Ids::Shifted,
        helper: build.helper.clone(),
    })
}

/// Did it end well?
fn ended(build: &Build<'_>, exit: &Exit, tail: &Tail) -> Result<(), Failure> {
    let how = match exit.end {
        End::Status(0) => return Ok(()),
        End::Status(status) => format!("it ended with status {status}"),
        End::Signal(signal) => format!("signal {signal} ended it"),
        End::Limit(limit) => format!("it {} and was ended", reached(limit, &build.limits)),
        End::Killed => "it was ended".to_owned(),
    };
    let failure = Failure::input(format!("building {}: {how}{}", build.what, tail.shown()));
    if let End::Limit(_) = exit.end {
        return Err(failure.hint("take a version of the package that has a wheel, or build one where it may take more"));
    }
    Err(match missing::package(&tail.text(), build.package_of) {
        Some((sought, deb)) => {
            failure.hint(format!("it lacks {sought}, which Debian's package {deb} has: build-packages = [\"{deb}\"]"))
        }
        None => failure.hint(
            "take a version of the package that has a wheel; a build has no network, and of programs those of `build-packages`: C needs build-packages = [\"build-essential\", \"python3-dev\"]",
        ),
    })
}

fn reached(limit: Limit, limits: &Limits) -> String {
    let gigabytes = |bytes: Option<u64>| bytes.unwrap_or_default() >> 30;
    match limit {
        Limit::Memory => format!("took more than {} GiB of memory", gigabytes(limits.memory)),
        Limit::Processes => format!("started more than {} processes", limits.processes.unwrap_or_default()),
        Limit::Time => format!("took longer than {} seconds", limits.time.unwrap_or_default().as_secs()),
        Limit::Output => format!("wrote more than {} GiB", gigabytes(limits.output)),
    }
}

/// The end of what a build wrote.
#[derive(Default)]
struct Tail(VecDeque<u8>);

impl Tail {
    fn text(&self) -> String {
        let bytes: Vec<u8> = self.0.iter().copied().collect();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// The last lines, for a message; nothing where there are none. What could steer a terminal is left out.
    fn shown(&self) -> String {
        let text = self.text();
        let lines: Vec<String> =
            text.lines().map(|line| line.chars().filter(|one| !one.is_control()).collect()).collect();
        let lines: Vec<&str> =
            lines.iter().map(|line: &String| line.trim_end()).filter(|line| !line.is_empty()).collect();
        let last = lines.get(lines.len().saturating_sub(LINES)..).unwrap_or_default();
        last.iter().map(|line| format!("\n  | {line}")).collect()
    }
}

impl Write for Tail {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.extend(bytes);
        let over = self.0.len().saturating_sub(TAIL);
        self.0.drain(..over);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Is it a wheel of the package, for the target? Its version. Its content is checked when it is installed.
fn check(sdist: &Sdist, file_name: &str, wheel: &mut File, what: &str) -> Result<String, Failure> {
    let version = named(sdist, file_name, what)?;
    Archive::new(&mut *wheel)
        .map_err(|error| Failure::input(format!("building {what}: its wheel cannot be read: {error}")))?;
    wheel.rewind().map_err(|error| Failure::world(format!("reading the wheel of {what}: {error}")))?;
    Ok(version)
}

/// Is it the name of such a wheel? Its version.
fn named(sdist: &Sdist, file_name: &str, what: &str) -> Result<String, Failure> {
    let wrong = |why: String| Failure::input(format!("building {what}: {why}"));
    let shown = file_name.escape_debug();
    let name =
        WheelName::parse(file_name).map_err(|_| wrong(format!("it gave '{shown}', which is no wheel's name")))?;
    let version = name.version.to_string();
    // Of what is locked without a version, its build alone can tell it.
    let same = version == sdist.sdist.version || sdist.sdist.version.is_empty();
    if name.name.as_str() != sdist.sdist.name || !same {
        return Err(wrong(format!("it gave '{shown}', a wheel of something else")));
    }
    if sdist.pure && !file_name.ends_with("-none-any.whl") {
        let machine = sdist.python.architecture.go_name();
        return Err(wrong(format!(
            "it gave '{shown}', which has compiled code of this machine, not of linux/{machine}"
        ))
        .hint(format!("build the image on a linux/{machine} machine, or take a version that has a wheel for it")));
    }
    Ok(version)
}

#[cfg(test)]
mod tests {
    use corten_diagnostic::Diagnose;
    use corten_oci::Architecture;
    use corten_plan::PythonTarget;

    use super::*;

    /// A build on this machine for an image of arm64.
    fn foreign(version: &str) -> Sdist {
        let architecture = Architecture::Arm64;
        let python = PythonTarget { version: (3, 11), full_version: "3.11.2".into(), glibc: (2, 36), architecture };
        let sdist = LockedWheel {
            name: "demo".into(),
            version: version.into(),
            file: "demo-1.0.tar.gz".into(),
            url: "https://f.example/demo-1.0.tar.gz".into(),
            digest: Digest::of("demo"),
            size: 4,
            direct_url: None,
        };
        Sdist {
            sdist,
            why: String::new(),
            at: None,
            backend: "setuptools.build_meta".into(),
            backend_path: Vec::new(),
            requires: Vec::new(),
            pure: true,
            prefix: "opt/venv".into(),
            python,
        }
    }

    #[test]
    fn a_build_for_another_processor_has_to_be_pure() {
        let name = |sdist: &Sdist, file: &str| named(sdist, file, "demo 1.0");
        let sdist = foreign("1.0");
        assert_eq!(name(&sdist, "demo-1.0-py3-none-any.whl").unwrap(), "1.0");
        let compiled = "demo-1.0-cp311-cp311-linux_x86_64.whl";
        let error = name(&sdist, compiled).unwrap_err();
        assert_eq!(
            error.to_string(),
            "building demo 1.0: it gave 'demo-1.0-cp311-cp311-linux_x86_64.whl', which has compiled code of this machine, not of linux/arm64"
        );
        assert_eq!(
            error.hints(),
            ["build the image on a linux/arm64 machine, or take a version that has a wheel for it"]
        );
        assert_eq!(name(&Sdist { pure: false, ..sdist.clone() }, compiled).unwrap(), "1.0");
        assert!(name(&sdist, "demo-1.1-py3-none-any.whl").is_err());
        assert_eq!(
            name(&foreign(""), "demo-1.1-py3-none-any.whl").unwrap(),
            "1.1",
            "a commit whose lock has no version"
        );
    }
}
