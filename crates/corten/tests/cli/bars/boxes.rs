//! What the bars of `RUN` and `corten run` stand on: an image of one static program, a user who runs it (the caller, and
//! nobody where the caller is root), and what lies outside, which nothing inside may change.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use corten_oci::Digest;
use corten_testkit::command::Ran;
use serde_json::{Value, json};

use crate::ground::not_run;

/// A variable of the caller's that nothing inside may see.
pub const CANARY: &str = "corten-host-canary-5d1f";

const NOBODY: [&str; 5] = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--inh-caps=-all"];

/// A user with a store of his own that holds `box:1`.
pub struct Player {
    pub name: &'static str,
    /// A command line that starts the rest of it.
    before: Vec<String>,
    program: PathBuf,
    /// The store, the home and what is built; open to everyone.
    folder: tempfile::TempDir,
    store: PathBuf,
    /// A copy of `/etc` with ranges of ids.
    _settings: Option<tempfile::TempDir>,
}

impl Player {
    /// The caller; and nobody, where the caller is root.
    pub fn all() -> Vec<Self> {
        let is_root = rustix::process::geteuid().is_root();
        let mut all = vec![Self::new(if is_root { "root" } else { "user" }, Vec::new())];
        if is_root {
            all.push(Self::new("nobody", NOBODY.map(str::to_owned).into()));
        }
        all
    }

    /// Nobody, to whom `/etc/subuid` and `/etc/subgid` give ranges of ids; none where the caller is not root. The machine's own
    /// files stay as they are: these lie in a copy of `/etc`, mounted where nobody else sees it.
    pub fn with_ranges() -> Option<Self> {
        if !rustix::process::geteuid().is_root() {
            not_run("ranges of ids for another user need root");
            return None;
        }
        let settings = tempfile::tempdir().unwrap();
        fs::set_permissions(settings.path(), fs::Permissions::from_mode(0o755)).unwrap();
        let etc = settings.path().join("etc");
        assert!(Command::new("cp").args(["-a", "/etc"]).arg(&etc).status().unwrap().success());
        for name in ["subuid", "subgid"] {
            let path = etc.join(name);
            let _ = fs::remove_file(&path);
            fs::write(&path, "65534:300000:65536\n").unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        }
        let script = "mount --bind \"$0\" /etc; exec \"$@\"";
        let before = ["unshare", "--mount", "sh", "-ec", script, etc.to_str().unwrap()];
        let before = before.into_iter().chain(NOBODY).map(str::to_owned).collect();
        Some(Self { _settings: Some(settings), ..Self::new("nobody with ranges", before) })
    }

    fn new(name: &'static str, before: Vec<String>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o777)).unwrap();
        let program = folder.path().join("program");
        fs::hard_link(env!("CARGO_BIN_EXE_corten"), &program)
            .or_else(|_| fs::copy(env!("CARGO_BIN_EXE_corten"), &program).map(drop))
            .unwrap();
        let store = folder.path().join("store");
        let player = Self { name, before, program, folder, store, _settings: None };
        player.load("box:1", &[busybox()], &json!({})).expect(0);
        fs::rename(player.path("image.tar"), player.path("box.tar")).unwrap();
        player
    }

    /// The same with a store elsewhere.
    pub fn with_store(mut self, store: PathBuf) -> Self {
        self.store = store;
        self.reload();
        self
    }

    /// Takes `box:1` into the store again.
    pub fn reload(&self) {
        self.run(&["load", "-i", "box.tar"]).expect(0);
    }

    /// The same command under strace, which writes `calls` to a log and does something to one of them.
    pub fn traced(&self, log: &Path, calls: &[&str], inject: Option<&str>, arguments: &[&str]) -> Command {
        let inner = self.command(&[]);
        let mut command = Command::new(self.before.first().map_or("strace", String::as_str));
        command.args(self.before.iter().skip(1)).args((!self.before.is_empty()).then_some("strace"));
        command.args(["-f", "-e", "signal=none", "-e"]).arg(format!("trace={}", calls.join(",")));
        command.args(inject.into_iter().flat_map(|inject| ["-e".to_owned(), format!("inject={inject}")]));
        command.arg("-o").arg(log).arg(&self.program).args(arguments);
        command.env_clear().envs(inner.get_envs().filter_map(|(name, value)| Some((name, value?))));
        command.current_dir(self.folder.path()).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub fn store(&self) -> PathBuf {
        self.store.clone()
    }

    /// A folder that everyone may write to.
    pub fn open_folder(&self, name: &str) -> PathBuf {
        let path = self.path(name);
        fs::create_dir_all(&path).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o777)).unwrap();
        path
    }

    pub fn write(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(name);
        self.open_folder(Path::new(name).parent().unwrap().to_str().unwrap());
        fs::write(&path, content).unwrap();
        path
    }

    pub fn command(&self, arguments: &[&str]) -> Command {
        let line: Vec<&std::ffi::OsStr> =
            self.before.iter().map(AsRef::as_ref).chain([self.program.as_os_str()]).collect();
        let mut command = Command::new(line[0]);
        command.args(&line[1..]).args(arguments).current_dir(self.folder.path()).env_clear();
        command.env("PATH", std::env::var_os("PATH").unwrap_or_default()).env("CORTEN_TEST_CANARY", CANARY);
        command.env("HOME", self.folder.path()).env("CORTEN_HOME", self.store()).env("TMPDIR", self.open_folder("tmp"));
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    pub fn run(&self, arguments: &[&str]) -> Ran {
        Ran::from(self.command(arguments).output().unwrap())
    }

    /// A script inside `corten run`.
    pub fn contained(&self, flags: &[&str], script: &str) -> Ran {
        self.run(&[&["run", "--rm", "--network", "none"], flags, &["box:1", "sh", "-c", script]].concat())
    }

    /// A script inside a RUN; what it wrote, both streams together, and the build.
    pub fn built(&self, script: &str) -> (String, Ran) {
        self.write("script/run.sh", script);
        let text = "FROM box:1 AS made\nCOPY run.sh /run.sh\nRUN exec > /said 2>&1; eval \"$(cat /run.sh)\"; true\nFROM scratch\nCOPY --from=made /said /said\n";
        self.write("script/Dockerfile", text);
        let out = self.open_folder("out");
        let _ = fs::remove_file(out.join("said"));
        let ran = self.run(&["build", "--no-cache", "-o", "type=local,dest=out", "script"]);
        (String::from_utf8_lossy(&fs::read(out.join("said")).unwrap_or_default()).into_owned(), ran)
    }

    /// Makes an image of layers, the lowest first.
    pub fn load(&self, name: &str, layers: &[Vec<u8>], config: &Value) -> Ran {
        let mut said = json!({"Env": ["PATH=/bin"], "Cmd": ["true"]});
        said.as_object_mut().unwrap().extend(config.as_object().unwrap().clone());
        let ids: Vec<_> = layers.iter().map(Digest::of).collect();
        let names: Vec<_> = (0..layers.len()).map(|number| format!("{number}.tar")).collect();
        let architecture = if cfg!(target_arch = "aarch64") { "arm64" } else { "amd64" };
        let document = json!({"architecture": architecture, "os": "linux", "config": said,
            "rootfs": {"type": "layers", "diff_ids": ids}});
        let manifest = json!([{"Config": "config.json", "RepoTags": [name], "Layers": names}]);
        let mut parts =
            vec![file("config.json", document.to_string(), 0o644), file("manifest.json", manifest.to_string(), 0o644)];
        parts.extend(names.iter().zip(layers).map(|(name, layer)| file(name, layer, 0o644)));
        let path = self.write("image.tar", tar(&parts));
        self.run(&["load", "-i", path.to_str().unwrap()])
    }

    /// Containers, volumes, uppers and other things that a command leaves while it is at work.
    pub fn left(&self) -> Vec<String> {
        let mut left = Vec::new();
        for folder in ["containers", "volumes", "tmp", "trash", "leases"] {
            let entries = fs::read_dir(self.store().join(folder)).into_iter().flatten().flatten();
            left.extend(entries.map(|entry| format!("{folder}/{}", entry.file_name().to_string_lossy())));
        }
        left.retain(|name| name != "leases/gate");
        left.sort();
        left
    }
}

/// A layer with busybox under all of its names.
pub fn busybox() -> Vec<u8> {
    let path = ["/bin/busybox", "/usr/bin/busybox"].into_iter().find(|path| Path::new(path).exists());
    let path = path.expect("busybox, of the Debian package busybox-static");
    let listed = Command::new(path).arg("--list").output().unwrap().stdout;
    let mut parts: Vec<_> = ["bin/", "etc/", "tmp/", "data/"].map(|name| folder(name, 0o755)).into();
    parts.push(file("bin/busybox", fs::read(path).unwrap(), 0o755));
    let names = String::from_utf8(listed).unwrap();
    let names = names.lines().filter(|name| *name != "busybox");
    parts.extend(names.map(|name| link(&format!("bin/{name}"), "busybox")));
    parts.push(file("etc/passwd", "root:x:0:0::/root:/bin/sh\napp:x:1000:1001::/home/app:/bin/sh\n", 0o644));
    parts.push(file("etc/group", "root:x:0:\napp:x:1001:\naudio:x:29:app\n", 0o644));
    parts.push(file("data/seed", "seed\n", 0o644));
    tar(&parts)
}

/// An archive in ustar's format, written here so that it may say anything.
pub fn tar(parts: &[Vec<u8>]) -> Vec<u8> {
    [parts.concat(), vec![0; 1024]].concat()
}

pub fn file(name: &str, content: impl AsRef<[u8]>, mode: u32) -> Vec<u8> {
    let content = content.as_ref();
    let mut entry = header(name, b'0', "", mode, content.len());
    entry.extend(content);
    entry.resize(entry.len().next_multiple_of(512), 0);
    entry
}

pub fn folder(name: &str, mode: u32) -> Vec<u8> {
    header(name, b'5', "", mode, 0)
}

pub fn link(name: &str, target: &str) -> Vec<u8> {
    header(name, b'2', target, 0o777, 0)
}

pub fn hard_link(name: &str, target: &str) -> Vec<u8> {
    header(name, b'1', target, 0o644, 0)
}

pub fn pipe(name: &str) -> Vec<u8> {
    header(name, b'6', "", 0o644, 0)
}

fn header(name: &str, kind: u8, target: &str, mode: u32, size: usize) -> Vec<u8> {
    let mut block = [0_u8; 512];
    let mut put = |at: usize, text: &str| block[at..at + text.len()].copy_from_slice(text.as_bytes());
    put(0, name);
    put(100, &format!("{mode:07o}"));
    put(108, "0000000");
    put(116, "0000000");
    put(124, &format!("{size:011o}"));
    put(136, "00000000000");
    put(148, "        ");
    put(157, target);
    put(257, "ustar\u{0}00");
    block[156] = kind;
    let sum: u32 = block.iter().map(|byte| u32::from(*byte)).sum();
    block[148..156].copy_from_slice(format!("{sum:06o}\u{0} ").as_bytes());
    block.to_vec()
}

/// What an attack must not reach: a folder of victims, and settings of the host.
pub struct Outside {
    folder: tempfile::TempDir,
    before: BTreeMap<String, String>,
}

impl Outside {
    pub fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o777)).unwrap();
        fs::create_dir(folder.path().join("dir")).unwrap();
        fs::write(folder.path().join("victim"), CANARY).unwrap();
        fs::write(folder.path().join("dir/victim"), CANARY).unwrap();
        // Whoever gets here could do what he likes.
        fs::set_permissions(folder.path().join("dir"), fs::Permissions::from_mode(0o777)).unwrap();
        fs::set_permissions(folder.path().join("victim"), fs::Permissions::from_mode(0o666)).unwrap();
        let before = Self::look(folder.path());
        Self { folder, before }
    }

    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    pub fn text(&self) -> &str {
        self.folder.path().to_str().unwrap()
    }

    /// What is not as it was.
    pub fn changes(&self) -> Vec<String> {
        let now = Self::look(self.folder.path());
        let names = self.before.keys().chain(now.keys()).collect::<std::collections::BTreeSet<_>>();
        let changed = names.into_iter().filter(|name| self.before.get(*name) != now.get(*name));
        changed.map(|name| format!("{name}: {:?} became {:?}", self.before.get(name), now.get(name))).collect()
    }

    fn look(folder: &Path) -> BTreeMap<String, String> {
        let mut seen = BTreeMap::new();
        let mut todo = vec![folder.to_owned()];
        while let Some(path) = todo.pop() {
            let found = fs::symlink_metadata(&path).unwrap();
            let content = if found.is_file() { fs::read(&path).unwrap() } else { Vec::new() };
            if found.is_dir() {
                todo.extend(fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()));
            }
            let (owner, time) = ((found.uid(), found.gid()), (found.mtime(), found.mtime_nsec()));
            let told = (found.ino(), found.mode(), owner, time, found.nlink(), Digest::of(content));
            seen.insert(path.display().to_string(), format!("{told:?}"));
        }
        for path in ["/proc/sys/kernel/core_pattern", "/proc/sys/kernel/hostname", "/etc/passwd", "/etc/group"] {
            seen.insert(path.to_owned(), fs::read_to_string(path).unwrap_or_default());
        }
        for path in ["/", "/etc", "/dev", "/usr/bin", "/root"] {
            let found = fs::symlink_metadata(path).map(|found| (found.mode(), found.uid(), found.gid()));
            seen.insert(path.to_owned(), format!("{:?}", found.ok()));
        }
        let mut names: Vec<_> = fs::read_dir("/").unwrap().map(|entry| entry.unwrap().file_name()).collect();
        names.sort();
        seen.insert("names in /".to_owned(), format!("{names:?}"));
        let null = fs::metadata("/dev/null").unwrap();
        seen.insert("/dev/null".to_owned(), format!("{:o} {}", null.mode(), null.rdev()));
        let program = fs::metadata(env!("CARGO_BIN_EXE_corten")).unwrap();
        let stamps = (program.ino(), program.len(), program.mode(), program.mtime(), program.mtime_nsec());
        seen.insert("the program".to_owned(), format!("{stamps:?}"));
        seen
    }
}

/// Exchanges two paths for as long as something else goes on.
pub struct Racer {
    done: AtomicBool,
    swaps: AtomicU64,
}

impl Racer {
    /// Does `work` until `wanted` exchanges have happened, or `work` says that it is enough; how many happened. `repair` puts
    /// the two paths back where the work has taken one away.
    pub fn race((one, other): (&Path, &Path), wanted: u64, repair: impl Fn(), mut work: impl FnMut() -> bool) -> u64 {
        let racer = Self { done: AtomicBool::new(false), swaps: AtomicU64::new(0) };
        std::thread::scope(|scope| {
            scope.spawn(|| {
                while !racer.done.load(Ordering::Relaxed) {
                    let (here, flags) = (rustix::fs::CWD, rustix::fs::RenameFlags::EXCHANGE);
                    if rustix::fs::renameat_with(here, one, here, other, flags).is_ok() {
                        racer.swaps.fetch_add(1, Ordering::Relaxed);
                    }
                }
            });
            let count = || racer.swaps.load(Ordering::Relaxed);
            while count() < wanted {
                let before = count();
                if !work() {
                    break;
                }
                if count() == before {
                    repair();
                }
            }
            racer.done.store(true, Ordering::Relaxed);
        });
        racer.swaps.into_inner()
    }
}

/// The host's processes that have this on their command line.
pub fn processes_with(mark: &str) -> usize {
    let all = fs::read_dir("/proc").unwrap().flatten();
    let lines = all.filter_map(|entry| fs::read(entry.path().join("cmdline")).ok());
    lines.filter(|line| line.split(|byte| *byte == 0).any(|word| word == mark.as_bytes())).count()
}

/// The host's mounts that have this in their line.
pub fn mounts_with(text: &str) -> Vec<String> {
    let all = fs::read_to_string("/proc/self/mountinfo").unwrap();
    all.lines().filter(|line| line.contains(text)).map(str::to_owned).collect()
}

/// Every regular file below a folder, by name.
pub fn files(root: &Path) -> Vec<PathBuf> {
    let (mut found, mut todo) = (Vec::new(), vec![root.to_owned()]);
    while let Some(folder) = todo.pop() {
        for entry in fs::read_dir(&folder).into_iter().flatten().flatten() {
            let kind = entry.file_type().unwrap();
            if kind.is_dir() {
                todo.push(entry.path());
            } else if kind.is_file() {
                found.push(entry.path());
            }
        }
    }
    found.sort_by(|one, other| one.as_os_str().as_bytes().cmp(other.as_os_str().as_bytes()));
    found
}
