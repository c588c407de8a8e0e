//! A network of a sandbox's own, joined to the host's in user space by pasta (Debian's package passt).
//!
//! pasta enters the sandbox's user and network namespaces, makes an interface with the host's address there, and carries
//! connections. It starts as soon as C is born and works while C builds the root; C starts the process when the default route
//! is there. It dies with S.

use std::fs::{self, File};
use std::io::Read;
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use crate::sandbox::{Network, Port};
use crate::system;
use crate::trouble::{Outcome, Step, Trouble};

/// How long it may take until there is a route.
const PATIENCE: Duration = Duration::from_secs(10);

/// Where pasta is, on this machine, if the caller may also make the interface that it needs (`/dev/net/tun`).
pub fn pasta() -> Option<PathBuf> {
    File::options().read(true).write(true).open("/dev/net/tun").ok()?;
    let folders = ["/usr/bin", "/usr/local/bin", "/bin", "/usr/sbin"];
    folders.iter().map(|folder| Path::new(folder).join("pasta")).find(|path| path.exists())
}

/// A pasta that runs.
pub(super) struct Pasta {
    child: Child,
    pid: i32,
    /// What it complains of; read only where it fails.
    said: File,
}

impl Pasta {
    /// Starts it for the sandbox whose pid 1 is `pid`; nothing where the network is another.
    pub(super) fn start(network: &Network, pid: i32) -> Outcome<Option<Self>> {
        let Network::Own { helper, ports, resolver } = network else { return Ok(None) };
        let step = || format!("start {}", helper.display());
        let user = inheritable(&format!("/proc/{pid}/ns/user")).step(step)?;
        let net = inheritable(&format!("/proc/{pid}/ns/net")).step(step)?;
        let mut command = Command::new(helper);
        command.args(["--foreground", "--quiet", "--stderr", "--config-net", "--no-map-gw"]);
        if rustix::process::geteuid().is_root() {
            // Else it becomes nobody, who may not enter the user namespace.
            command.args(["--runas", "0"]);
        }
        // By default it would open every port that either side listens on.
        for (kind, is_udp) in [("--tcp-ports", false), ("--udp-ports", true)] {
            let mut wanted: Vec<String> =
                ports.iter().filter(|port| port.is_udp == is_udp).map(specification).collect();
            if wanted.is_empty() {
                wanted.push("none".into());
            }
            command.args(wanted.iter().flat_map(|port| [kind, port.as_str()]));
        }
        command.args(["--tcp-ns", "none", "--udp-ns", "none"]);
        if let Some(address) = resolver {
            command.args(["--dns-forward", &address.to_string()]);
        }
        command.args(["--userns", &of_ours(&user), "--netns", &of_ours(&net)]);
        let (said, stderr) = unread_pipe().step(step)?;
        command.env_clear().stdin(Stdio::null()).stdout(Stdio::null()).stderr(stderr);
        system::die_with_us(&mut command);
        let child = command.spawn().step(step)?;
        Ok(Some(Self { child, pid, said }))
    }

    /// Waits for the default route.
    pub(super) fn wait(&mut self) -> Outcome<()> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if self.has_route() {
                return Ok(());
            }
            if let Ok(Some(status)) = self.child.try_wait() {
                return Err(self.refused(&status.to_string()));
            }
            if Instant::now() > deadline {
                return Err(self.refused("it made no route in 10 seconds"));
            }
            thread::sleep(Duration::from_micros(500));
        }
    }

    /// A host without a default route gives none: then an address is enough.
    fn has_route(&self) -> bool {
        let lines = |file: &str| fs::read_to_string(format!("/proc/{}/net/{file}", self.pid)).unwrap_or_default();
        lines("route").lines().count() > 1
            || lines("if_inet6").lines().any(|line| !line.ends_with(" lo") && !line.starts_with("fe80"))
    }

    fn refused(&mut self, how: &str) -> Trouble {
        let _ = self.child.kill();
        // Its side of the pipe is closed then.
        let _ = self.child.wait();
        let mut said = Vec::new();
        let _ = (&self.said).take(16 << 10).read_to_end(&mut said);
        let said = String::from_utf8_lossy(&said);
        let noise = |line: &&str| !line.is_empty() && !line.contains("syslog");
        let said: Vec<&str> = said.lines().map(str::trim).filter(noise).collect();
        let said = if said.is_empty() { how.to_owned() } else { said.join("; ") };
        Trouble::world(format!("cannot set up the sandbox: make a network (pasta): {said}"))
            .hint("a port that another program listens on, or one below 1024 without root, cannot be published")
            .hint("--network host uses the host's network, --network none has none")
    }
}

impl Drop for Pasta {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// `address/host:inside`.
fn specification(port: &Port) -> String {
    format!("{}/{}:{}", port.address, port.host, port.inside)
}

/// A pipe that nobody empties: when it is full, what is written is lost, and the writer does not wait.
fn unread_pipe() -> std::io::Result<(File, OwnedFd)> {
    let (read, write) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC | rustix::pipe::PipeFlags::NONBLOCK)?;
    Ok((File::from(read), write))
}

/// A descriptor that comes along.
fn inheritable(path: &str) -> std::io::Result<File> {
    let file = File::open(path)?;
    rustix::io::fcntl_setfd(&file, rustix::io::FdFlags::empty())?;
    Ok(file)
}

fn of_ours(file: &File) -> String {
    format!("/proc/self/fd/{}", file.as_raw_fd())
}
