//! BuildKit says what a Dockerfile becomes: [`compare`] builds with both, and tells what differs in config, history, layers and
//! files.

mod base;
mod cases;
mod checks;
mod differences;
mod elsewhere;
mod image;

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use differences::Difference;

use crate::image::corten;
use crate::place::{command, done, ended, folder, new_folder, path, running, said, until};

/// What is built.
#[derive(Debug, Default, Clone)]
pub struct Work {
    /// The context.
    pub context: PathBuf,
    /// Below the context; `Dockerfile` where it is empty.
    pub dockerfile: String,
    pub target: Option<String>,
    pub build_args: Vec<(String, String)>,
    /// Ids and files.
    pub secrets: Vec<(String, PathBuf)>,
    /// Named contexts: folders, or OCI layouts of images by the name that FROM has.
    pub contexts: Vec<(String, PathBuf)>,
    /// Flags of `corten build`, and the same to `buildctl build`.
    pub flags: Vec<String>,
    pub theirs: Vec<String>,
    /// More of `--output`, with BuildKit.
    pub output: String,
    /// Variables of the environment, of both.
    pub environment: Vec<(String, String)>,
}

/// How a build ended: the layout, or what was said.
pub type Built = Result<PathBuf, String>;

/// What differs between Corten's image and BuildKit's; none where there is no BuildKit. What two builds of BuildKit have
/// otherwise, too, is left out, and printed.
///
/// # Panics
/// Where either does not build it.
#[track_caller]
pub fn compare(work: &Work) -> Option<Vec<String>> {
    let daemon = Daemon::shared()?;
    let theirs = daemon.build(work, &[]).unwrap_or_else(|said| panic!("BuildKit: {said}"));
    let ours = build(work).unwrap_or_else(|said| panic!("corten: {said}"));
    Some(told(daemon, work, &ours, &theirs))
}

/// Both have built it.
fn told(daemon: &Daemon, work: &Work, ours: &Path, theirs: &Path) -> Vec<String> {
    let (own, other) = (image::read(ours), image::read(theirs));
    let differences = |one: &_, two: &_| differences::differences(one, two, daemon.start);
    let mut found = differences(&own, &other);
    if found.iter().any(|one| one.path.is_some()) {
        let again = daemon.build(work, &["--no-cache"]).unwrap_or_else(|said| panic!("BuildKit, again: {said}"));
        let unsteady: BTreeSet<_> =
            differences(&image::read(&again), &other).into_iter().filter_map(|one| one.path).collect();
        let is_steady = |one: &Difference| !one.path.as_ref().is_some_and(|path| unsteady.contains(path));
        let (kept, left): (Vec<_>, Vec<_>) = found.into_iter().partition(is_steady);
        left.iter().for_each(|one| println!("left out, as two builds of BuildKit differ: {}", one.text));
        drop(fs::remove_dir_all(again));
        found = kept;
    }
    drop(fs::remove_dir_all(ours));
    drop(fs::remove_dir_all(theirs));
    found.into_iter().map(|one| one.text).collect()
}

fn now() -> i64 {
    i64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()).unwrap()
}

/// A new path for a layout.
fn layout(whose: &str) -> PathBuf {
    static COUNT: AtomicUsize = AtomicUsize::new(0);
    folder().join(format!("{whose}-layout-{}", COUNT.fetch_add(1, Ordering::Relaxed)))
}

/// With Corten.
pub fn build(work: &Work) -> Built {
    let layout = layout("own");
    let mut command = corten(["build", "--progress", "plain", "--output"]);
    command.arg(format!("type=oci,tar=false,compression=uncompressed,dest={}", layout.display()));
    command.arg("--file").arg(work.context.join(work.dockerfile()));
    for (name, value) in &work.build_args {
        command.arg("--build-arg").arg(format!("{name}={value}"));
    }
    command.args(work.target.iter().flat_map(|target| ["--target", target]));
    for (id, file) in &work.secrets {
        command.arg("--secret").arg(format!("id={id},src={}", file.display()));
    }
    for (name, place) in &work.contexts {
        let kind = if is_layout(place) { "oci-layout://" } else { "" };
        command.arg("--build-context").arg(format!("{name}={kind}{}", place.display()));
    }
    command.args(&work.flags).arg(&work.context).env("CORTEN_HOME", folder().join("home-dockerfiles"));
    command.envs(work.environment.iter().cloned());
    finished(&mut command, layout)
}

fn finished(command: &mut Command, layout: PathBuf) -> Built {
    let output = ended(command);
    if output.status.success() { Ok(layout) } else { Err(format!("{}: {}", output.status, said(&output))) }
}

fn is_layout(place: &Path) -> bool {
    place.join("oci-layout").is_file()
}

impl Work {
    fn dockerfile(&self) -> &str {
        if self.dockerfile.is_empty() { "Dockerfile" } else { &self.dockerfile }
    }
}

/// buildkitd, which ends with this process.
pub struct Daemon {
    buildctl: PathBuf,
    folder: PathBuf,
    /// Seconds; nothing is built before.
    start: i64,
}

impl Daemon {
    /// One for all tests.
    pub fn shared() -> Option<&'static Self> {
        static DAEMON: OnceLock<Option<Daemon>> = OnceLock::new();
        DAEMON.get_or_init(Self::start).as_ref()
    }

    fn start() -> Option<Self> {
        let (buildkitd, buildctl) = (xtask::peers::need("buildkitd")?, xtask::peers::need("buildctl")?);
        crate::place::debian("runc")?;
        let daemon = Self { buildctl, folder: new_folder("buildkitd"), start: now() };
        let log = File::create(daemon.folder.join("log")).unwrap();
        let mut command = Command::new(buildkitd);
        command.arg("--root").arg(daemon.folder.join("root")).args(["--addr", &daemon.address()]);
        command.args(["--oci-worker-net=host", "--oci-worker-snapshotter=overlayfs", "--oci-worker-gc=false"]);
        // Nothing of the machine's own settings.
        command.arg("--config").arg("/dev/null").env("HOME", &daemon.folder).env("PATH", path());
        command.stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log);
        let mut process = command.spawn().unwrap();
        fs::write(running("buildkitd"), process.id().to_string()).unwrap();
        let ready = until("buildkitd", || match process.try_wait().unwrap() {
            Some(status) => Err(format!("buildkitd ended with {status}")),
            None => Ok(ended(daemon.ctl().args(["debug", "workers"])).status.success().then_some(())),
        });
        ready.unwrap_or_else(|why| panic!("{why}\n{}", fs::read_to_string(daemon.folder.join("log")).unwrap()));
        Some(daemon)
    }

    fn address(&self) -> String {
        format!("unix://{}", self.folder.join("socket").display())
    }

    fn ctl(&self) -> Command {
        let mut command = command(&self.buildctl, ["--addr", &self.address()]);
        command.env("HOME", &self.folder);
        command
    }

    /// With BuildKit.
    pub fn build(&self, work: &Work, more: &[&str]) -> Built {
        let layout = layout("their");
        let output = if work.output.is_empty() { String::new() } else { format!(",{}", work.output) };
        let output = format!("type=oci,tar=false,compression=uncompressed{output},dest={}", layout.display());
        finished(self.asked(work, &output).args(&work.theirs).args(more).envs(work.environment.iter().cloned()), layout)
    }

    /// With BuildKit, to a registry without TLS.
    fn push(&self, work: &Work, name: &str, output: &str) {
        let output = output.replace("type=registry", "type=image,push=true");
        // A layer that it has made already would stay as it was compressed then.
        let output = format!("{output},name={name},registry.insecure=true");
        done(self.asked(work, &output).arg("--no-cache"));
    }

    fn asked(&self, work: &Work, output: &str) -> Command {
        let context = work.context.display();
        let mut command = self.ctl();
        command.args(["build", "--progress", "plain", "--frontend", "dockerfile.v0", "--output", output]);
        command.args(["--local", &format!("context={context}"), "--local", &format!("dockerfile={context}")]);
        command.args(["--opt", &format!("filename={}", work.dockerfile())]);
        for (name, value) in &work.build_args {
            command.args(["--opt", &format!("build-arg:{name}={value}")]);
        }
        command.args(work.target.iter().flat_map(|target| ["--opt".to_owned(), format!("target={target}")]));
        for (id, file) in &work.secrets {
            command.args(["--secret", &format!("id={id},src={}", file.display())]);
        }
        for (at, (name, place)) in work.contexts.iter().enumerate() {
            let place = place.display();
            if is_layout(Path::new(&place.to_string())) {
                let from = format!("context:{name}=oci-layout://{at}@{}", manifest(&work.contexts[at].1));
                command.args(["--opt", &from, "--oci-layout", &format!("{at}={place}")]);
            } else {
                command.args(["--opt", &format!("context:{name}=local:{at}"), "--local", &format!("{at}={place}")]);
            }
        }
        command
    }
}

/// The digest of a layout's only image.
fn manifest(layout: &Path) -> String {
    let index: serde_json::Value = serde_json::from_slice(&fs::read(layout.join("index.json")).unwrap()).unwrap();
    index["manifests"][0]["digest"].as_str().unwrap().to_owned()
}
