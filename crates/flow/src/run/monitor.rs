//! A container that goes on by itself: a process of its own, which runs this one container and nothing else.
//!
//! It is this program, started again with [`MONITOR_ARGUMENT`], the store's folder and the container's id. Its stdin is the
//! container's lock, held from before it was started; its stdout is where it tells once whether the container's process runs.

use std::ffi::OsString;
use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::os::fd::AsFd;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Once;

use corten_diagnostic::{Failure, Report};
use corten_run::{Attach, Container, Containers, Lock, Outcome, Run};
use corten_store::Store;
use serde::{Deserialize, Serialize};

use super::trees;

/// The first argument of a program that is to become a container's monitor.
pub const MONITOR_ARGUMENT: &str = "container-monitor";

#[derive(Serialize, Deserialize)]
enum Told {
    Up,
    Failed { status: u8, message: String },
}

/// Starts one and waits until the container's process runs, or has ended before anybody saw it.
pub(super) fn start(root: &Path, container: &Container, lock: Lock) -> Result<Result<(), Outcome>, Report> {
    let failed = |error: std::io::Error| Failure::world(format!("cannot start the container's process: {error}"));
    let mut command = Command::new("/proc/self/exe");
    command.arg(MONITOR_ARGUMENT).arg(root).arg(&container.id).env_clear().current_dir("/");
    command.stdin(lock.0).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut child = command.spawn().map_err(failed)?;
    drop(command);
    let mut line = String::new();
    if let Some(stdout) = child.stdout.take() {
        BufReader::new(stdout).read_line(&mut line).map_err(failed)?;
    }
    match serde_json::from_str(&line) {
        Ok(Told::Up) => Ok(Ok(())),
        Ok(Told::Failed { status, message }) => {
            let why = Some(Failure::input(message));
            Ok(Err(Outcome { status, why, notes: Vec::new() }))
        }
        Err(_) => Err(Failure::world("the container's process ended before it began").into()),
    }
}

/// Becomes a monitor: `arguments` are the store's folder and the container's id. Gives the exit status.
pub fn monitor(mut arguments: impl Iterator<Item = OsString>) -> u8 {
    // The terminal's end is not the container's.
    let _ = rustix::process::setsid();
    let (Some(root), Some(id)) = (arguments.next(), arguments.next()) else { return 2 };
    match watch(Path::new(&root), &id.to_string_lossy()) {
        Ok(status) => status,
        Err(report) => {
            tell(&Told::Failed { status: 125, message: report.to_string() });
            3
        }
    }
}

fn watch(root: &Path, id: &str) -> Result<u8, Report> {
    let lock = std::io::stdin().as_fd().try_clone_to_owned();
    let lock = Lock(File::from(lock.map_err(|error| Failure::world(format!("taking the lock: {error}")))?));
    let containers = Containers::new(root);
    let (container, _) = containers.find(id)?;
    // Nothing that it stands on is removed while this store is open.
    let store = Store::open(root)?;
    trees::hold(&container, &store)?;
    let once = Once::new();
    let up = || once.call_once(|| tell(&Told::Up));
    let outcome = Run { containers: &containers, container: &container, lock }.run(Attach::Nobody(&up))?;
    once.call_once(|| {
        let message = outcome.why.as_ref().map(ToString::to_string).unwrap_or_default();
        tell(&Told::Failed { status: outcome.status, message });
    });
    Ok(0)
}

fn tell(told: &Told) {
    let mut stdout = std::io::stdout();
    if let Ok(json) = serde_json::to_string(told) {
        // Whoever started us may be gone.
        let _ = writeln!(stdout, "{json}").and_then(|()| stdout.flush());
    }
}
