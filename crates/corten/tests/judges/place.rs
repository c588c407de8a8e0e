//! One folder for all that the judges unpack and store, and running their programs.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::OnceLock;
use std::thread::sleep;
use std::time::{Duration, Instant};

/// How long a judge may take for one thing before it counts as stuck.
const PATIENCE: Duration = Duration::from_secs(90);

/// Where the daemons' and the containers' process ids lie while they run.
const RUNNING: &str = "running";

/// Waits until this process has ended, however it ends: its end of the pipe is closed then. Ends what is still running,
/// unmounts what is still mounted below the folder, and removes it.
const SWEEP: &str = r#"
cat >/dev/null
cd /
processes=$(for file in "$1"/running/*; do [ -f "$file" ] && echo "$(cat "$file")"; done)
for signal in TERM KILL; do
    for process in $processes; do kill -$signal "$process" 2>/dev/null; done
    for try in $(seq 100); do
        alive=
        for process in $processes; do kill -0 "$process" 2>/dev/null && alive=yes; done
        [ -z "$alive" ] && break
        sleep 0.1
    done
done
for point in $(awk -v below="$1/" 'index($5, below) == 1 { print $5 }' /proc/self/mountinfo | sort -r); do
    umount --lazy "$point"
done
rm -rf "$1"
"#;

/// The folder. It goes when this process ends.
pub fn folder() -> &'static Path {
    static FOLDER: OnceLock<(PathBuf, Child)> = OnceLock::new();
    let made = FOLDER.get_or_init(|| {
        let folder = tempfile::Builder::new().prefix("corten-judges-").tempdir().unwrap().keep();
        std::fs::create_dir(folder.join(RUNNING)).unwrap();
        (folder.clone(), sweeper(&folder))
    });
    &made.0
}

fn sweeper(folder: &Path) -> Child {
    use std::os::unix::process::CommandExt;
    let mut command = Command::new("sh");
    command.args(["-c", SWEEP, "sweeper"]).arg(folder);
    command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
    // In a group of its own, so that an interrupt from the terminal does not end it with us.
    command.process_group(0).spawn().unwrap()
}

/// Where a process id is written, so that the process does not outlive the tests.
pub fn running(name: &str) -> PathBuf {
    folder().join(RUNNING).join(name)
}

/// A new folder below [`folder`].
pub fn new_folder(name: &str) -> PathBuf {
    let new = folder().join(name);
    std::fs::create_dir(&new).unwrap();
    new
}

/// The path of a Debian program; none, with a line that is counted, where the tests may not need it.
pub fn debian(program: &str) -> Option<PathBuf> {
    xtask::peers::installed(program)
}

/// `PATH` with the folders where Debian keeps root's programs.
pub fn path() -> String {
    format!("{}:/usr/sbin:/sbin", std::env::var("PATH").unwrap_or_default())
}

/// A command of this program.
pub fn command<A: AsRef<OsStr>>(program: &Path, arguments: impl IntoIterator<Item = A>) -> Command {
    let mut command = Command::new(program);
    command.args(arguments).env("PATH", path()).stdin(Stdio::null());
    command
}

/// Runs it to its end, which must be a good one. What it said on standard output.
#[track_caller]
pub fn done(command: &mut Command) -> String {
    let output = ended(command);
    assert!(output.status.success(), "{command:?}: {}\n{}", output.status, said(&output));
    String::from_utf8(output.stdout).unwrap()
}

/// Runs it to its end, whichever it is.
#[track_caller]
pub fn ended(command: &mut Command) -> Output {
    command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"))
}

/// All that a program said.
pub fn said(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

/// Asks until there is an answer.
///
/// # Errors
/// When there is none in [`PATIENCE`], or when `ask` gives up.
pub fn until<T>(what: &str, mut ask: impl FnMut() -> Result<Option<T>, String>) -> Result<T, String> {
    let end = Instant::now() + PATIENCE;
    while Instant::now() < end {
        if let Some(answer) = ask()? {
            return Ok(answer);
        }
        sleep(Duration::from_millis(20));
    }
    Err(format!("{what}: not in {} s", PATIENCE.as_secs()))
}
