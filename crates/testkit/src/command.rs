//! The program itself, started with an empty home and nothing of the caller's environment that could decide anything.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// Runs the `corten` binary.
pub struct Corten {
    program: PathBuf,
    home: tempfile::TempDir,
    environment: Vec<(String, String)>,
}

/// What a run gave.
#[derive(Debug)]
pub struct Ran {
    /// Exit status; 128 + signal where one ended it.
    pub status: i32,
    /// Data.
    pub stdout: String,
    /// The story.
    pub stderr: String,
}

impl Corten {
    /// `program`: `env!("CARGO_BIN_EXE_corten")`.
    pub fn new(program: impl Into<PathBuf>) -> Self {
        Self { program: program.into(), home: tempfile::tempdir().unwrap(), environment: Vec::new() }
    }

    /// Sets a variable of the environment for all runs.
    #[must_use]
    pub fn env(mut self, name: &str, value: &str) -> Self {
        self.environment.push((name.to_owned(), value.to_owned()));
        self
    }

    /// The home folder; the store is below it.
    pub fn home(&self) -> &Path {
        self.home.path()
    }

    /// `$CORTEN_HOME`.
    pub fn store(&self) -> PathBuf {
        self.home.path().join("corten")
    }

    /// The command, ready but for its arguments, for tests that start or kill it themselves.
    pub fn command(&self, folder: &Path) -> Command {
        let mut command = Command::new(&self.program);
        command.current_dir(folder).env_clear().env("HOME", self.home.path()).env("CORTEN_HOME", self.store());
        for name in ["PATH", "SSL_CERT_FILE", "SSL_CERT_DIR"] {
            if let Some(value) = std::env::var_os(name) {
                command.env(name, value);
            }
        }
        command.envs(self.environment.iter().map(|(name, value)| (name, value)));
        command
    }

    /// Runs to the end in `folder`.
    pub fn run(&self, folder: &Path, arguments: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Ran {
        let output = self.command(folder).args(arguments).output().unwrap();
        Ran::from(output)
    }
}

impl From<Output> for Ran {
    fn from(output: Output) -> Self {
        use std::os::unix::process::ExitStatusExt;
        let status = output.status;
        Self {
            status: status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or_default()),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }
}

impl Ran {
    /// Fails the test, showing everything, unless the status is this.
    #[track_caller]
    pub fn expect(self, status: i32) -> Self {
        assert_eq!(self.status, status, "stdout:\n{}\nstderr:\n{}", self.stdout, self.stderr);
        self
    }

    /// stdout as JSON.
    #[track_caller]
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.stdout)
            .unwrap_or_else(|error| panic!("stdout is not JSON: {error}\n{}", self.stdout))
    }
}
