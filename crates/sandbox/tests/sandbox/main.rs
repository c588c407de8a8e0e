//! Sandboxes at work: as whoever runs the tests and, when that is root, as an unprivileged user too.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

mod attacks;
mod basics;
mod hostile;
mod isolation;
mod limits;
mod running;
mod world;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use world::{HELPER, is_root};

/// Everything again, by nobody.
#[test]
fn the_same_holds_for_an_unprivileged_user() {
    if !is_root() {
        return;
    }
    let programs = Programs::copy();
    let output = programs.as_nobody(&[]).args(["--skip", "unprivileged_user"]).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}\n{}", String::from_utf8_lossy(&output.stderr));
    assert!(!said.contains(" 0 passed"), "{said}");
}

/// The test's program and pid 1's, where everyone may execute them.
pub struct Programs(tempfile::TempDir);

impl Programs {
    /// Copies both.
    pub fn copy() -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::set_permissions(&folder, fs::Permissions::from_mode(0o755)).unwrap();
        fs::copy(std::env::current_exe().unwrap(), folder.path().join("tests")).unwrap();
        fs::copy(world::helper(), folder.path().join("init")).unwrap();
        Self(folder)
    }

    /// This program, started by nobody; `before`: a command line that starts the rest of it.
    pub fn as_nobody(&self, before: &[&str]) -> Command {
        let nobody = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--inh-caps=-all"];
        let line: Vec<&str> = before.iter().copied().chain(nobody).collect();
        let mut command = Command::new(line[0]);
        command.args(&line[1..]).arg(self.0.path().join("tests"));
        command.env(HELPER, self.0.path().join("init")).env("HOME", "/nonexistent").current_dir("/");
        command
    }
}
