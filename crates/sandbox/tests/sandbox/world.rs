//! A root file system of one static program, and shorthands.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::time::Duration;

use corten_sandbox::{Exit, Helper, Ids, Limits, Mount, Network, Output, Process, Root, Sandbox, Stdin, Streams};

/// Where an unprivileged copy of the tests finds pid 1.
pub const HELPER: &str = "CORTEN_TEST_SANDBOX_HELPER";
/// Set in a copy of this program that plays a part in another's test.
pub const ROLE: &str = "CORTEN_TEST_SANDBOX_ROLE";

const APPLETS: [&str; 29] = [
    "cat", "chmod", "chown", "dd", "echo", "env", "find", "grep", "head", "hostname", "id", "ifconfig", "kill", "ln",
    "ls", "mkdir", "mount", "pwd", "rm", "setsid", "sh", "sleep", "stat", "stty", "tail", "touch", "true", "wget",
    "yes",
];

pub fn helper() -> PathBuf {
    std::env::var_os(HELPER).map_or_else(|| env!("CARGO_BIN_EXE_corten-sandbox-init").into(), PathBuf::from)
}

pub fn role() -> Option<String> {
    std::env::var(ROLE).ok()
}

pub fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// A folder with `root/`, which holds busybox and nothing else.
pub struct World {
    pub folder: tempfile::TempDir,
}

impl World {
    pub fn new() -> Self {
        let world = Self { folder: tempfile::tempdir().unwrap() };
        let bin = world.root().join("bin");
        fs::create_dir_all(&bin).unwrap();
        fs::create_dir(world.root().join("etc")).unwrap();
        let busybox = ["/bin/busybox", "/usr/bin/busybox"].into_iter().find(|path| Path::new(path).exists());
        fs::copy(busybox.expect("busybox, of the Debian package busybox-static"), bin.join("busybox")).unwrap();
        for applet in APPLETS {
            symlink("busybox", bin.join(applet)).unwrap();
        }
        world
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub fn root(&self) -> PathBuf {
        self.path("root")
    }

    /// `sh -c script` in the root as one folder, with /proc and /dev.
    pub fn shell(&self, script: &str) -> Sandbox {
        self.sandbox(&["sh", "-c", script])
    }

    pub fn sandbox(&self, arguments: &[&str]) -> Sandbox {
        let mut process = Process::new(arguments);
        process.environment.insert("PATH".into(), "/bin".into());
        Sandbox {
            root: Root::Folder { path: self.root(), read_only: false },
            mounts: vec![Mount::Proc, Mount::Dev { shm: 1 << 20 }],
            process,
            network: Network::None,
            limits: Limits { time: Some(Duration::from_secs(60)), ..Limits::default() },
            hostname: "sandbox".into(),
            ids: Ids::Shifted,
            helper: Helper { program: helper(), arguments: Vec::new() },
        }
    }

    /// The same with the host's programs and libraries, read-only.
    pub fn with_host_programs(&self, arguments: &[&str]) -> Sandbox {
        let mut sandbox = self.sandbox(arguments);
        for folder in ["/usr", "/lib", "/lib64"] {
            let source = Path::new(folder);
            if source.exists() {
                sandbox.mounts.push(Mount::Bind { source: source.into(), target: source.into(), read_only: true });
            }
        }
        sandbox
    }
}

/// What came of a run.
#[derive(Debug)]
pub struct Ran {
    pub exit: Exit,
    pub stdout: String,
    pub stderr: String,
}

pub fn run(sandbox: &Sandbox) -> Ran {
    run_with(sandbox, Stdin::Empty)
}

pub fn run_with(sandbox: &Sandbox, stdin: Stdin<'_>) -> Ran {
    let (mut stdout, mut stderr) = (Vec::new(), Vec::new());
    let streams =
        Streams { stdin, stdout: Output::Sink(&mut stdout), stderr: Output::Sink(&mut stderr), ..Streams::default() };
    let exit = sandbox.run(streams).unwrap_or_else(|failure| panic!("{failure}"));
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    Ran { exit, stdout: text(stdout), stderr: text(stderr) }
}

/// A number that no other run of the tests puts on a command line at the same time.
pub fn unique(test: u32) -> String {
    format!("{test}{:07}", std::process::id())
}

/// The host's processes whose command line holds a text.
pub fn processes_with(text: &str) -> Vec<String> {
    let lines =
        fs::read_dir("/proc").unwrap().flatten().filter_map(|entry| fs::read(entry.path().join("cmdline")).ok());
    let lines = lines.map(|line| String::from_utf8_lossy(&line).replace('\0', " "));
    lines.filter(|line| line.contains(text)).collect()
}
