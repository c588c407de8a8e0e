//! docker, with a daemon of its own.

use std::fs::{self, File};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use rustix::process::{Pid, Signal};
use serde_json::Value;

use crate::image::{Distroless, NAME, corten};
use crate::place::{command, debian, done, ended, new_folder, path, running, said, until};
use crate::service::{HeldModel, Service};

#[test]
fn docker_loads_starts_and_finds_healthy() {
    let Some(daemon) = Daemon::start("docker") else { return };
    let image = Distroless.image();

    done(daemon.docker(["load", "--input"]).arg(&image.archive));
    let inspected = daemon.inspect(NAME);
    done(&mut daemon.docker(["image", "rm", NAME]));
    done(image.build().arg("--load").env("DOCKER_HOST", daemon.host()));
    assert_eq!(daemon.inspect(NAME)["Id"], inspected["Id"], "loaded by --load and from a file");
    assert_eq!(inspected["Config"]["User"], "10001:10001");
    has_our_history(&daemon, &image.digest);
    assert_eq!(inspected["Config"]["Healthcheck"]["Interval"], 10_000_000_000_u64, "ten seconds, by the settings");

    let model = HeldModel::new(&daemon.folder);
    let mount = format!("{}:{}:ro", model.path().display(), HeldModel::AT);
    let container = Container { daemon: &daemon, name: "judged" };
    done(
        daemon
            .docker(["run", "--detach", "--name", container.name, "--network", "none", "--read-only"])
            .args(["--tmpfs", "/tmp", "--cap-drop", "ALL", "--security-opt", "no-new-privileges"])
            .args(["--volume", &mount, "--health-interval", "1s", NAME]),
    );
    let service = Service::new(&container.state()["Pid"].to_string());
    service.judge(&model).unwrap_or_else(|wrong| panic!("{wrong}\n{}", container.logs()));
    let is_healthy = || container.state()["Health"]["Status"] == "healthy";
    let healthy = until("healthy", || Ok(is_healthy().then_some(())));
    healthy.unwrap_or_else(|wrong| panic!("{wrong}: {}\n{}", container.state(), container.logs()));
}

/// What docker says of how it came about, newest first, and how large each step is.
fn has_our_history(daemon: &Daemon, digest: &str) {
    let format = "{{.CreatedBy}}\t{{.Size}}";
    let theirs = done(&mut daemon.docker(["history", "--no-trunc", "--human=false", "--format", format, NAME]));
    let ours = done(&mut corten(["history", digest, "--format", "json"]));
    let ours: Value = serde_json::from_str(&ours).unwrap();
    let ours = ours["history"].as_array().unwrap();
    assert_eq!(theirs.lines().count(), ours.len());
    for (theirs, ours) in theirs.lines().zip(ours.iter().rev()) {
        let (by, size) = theirs.split_once('\t').unwrap();
        assert_eq!(ours["created_by"], by);
        // Docker counts what links lead to as their content.
        let links = size.parse::<u64>().unwrap() - ours["unpacked"].as_u64().unwrap();
        assert!(links < 10_000, "{by}: {links}");
    }
}

pub struct Daemon {
    docker: PathBuf,
    folder: PathBuf,
    process: Child,
}

impl Daemon {
    /// It touches nothing of the machine's own: no bridge, no firewall, no other daemon's folders.
    pub fn start(name: &str) -> Option<Self> {
        let (dockerd, docker) = (debian("dockerd")?, debian("docker")?);
        let folder = new_folder(name);
        let below = folder.display().to_string();
        let at = |name: &str| format!("{below}/{name}");
        let log = File::create(at("log")).unwrap();
        let process = Command::new(dockerd)
            .args(["--storage-driver", "overlay2", "--iptables=false", "--ip6tables=false", "--bridge", "none"])
            .args([
                "--containerd-namespace",
                &format!("corten-judges-{name}"),
                "--host",
                &format!("unix://{}", at("socket")),
            ])
            .args(["--data-root", &at("data"), "--exec-root", &at("exec"), "--pidfile"])
            .arg(running(name))
            .env("PATH", path())
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap();
        let mut daemon = Self { docker, folder, process };
        let answers = until("dockerd", || match daemon.process.try_wait().unwrap() {
            Some(status) => Err(format!("dockerd ended with {status}")),
            None => Ok(ended(&mut daemon.docker(["version"])).status.success().then_some(())),
        });
        answers.unwrap_or_else(|why| panic!("{why}\n{}", fs::read_to_string(at("log")).unwrap()));
        Some(daemon)
    }

    pub fn host(&self) -> String {
        format!("unix://{}/socket", self.folder.display())
    }

    pub fn docker<const N: usize>(&self, arguments: [&str; N]) -> Command {
        let mut command = command(&self.docker, arguments);
        command.env("DOCKER_HOST", self.host()).env("DOCKER_CONFIG", &self.folder);
        command
    }

    pub fn inspect(&self, name: &str) -> Value {
        let all: Value = serde_json::from_str(&done(&mut self.docker(["inspect", name]))).unwrap();
        all[0].clone()
    }
}

impl Drop for Daemon {
    /// Asked to end, it ends its containers and containerd, and unmounts what it mounted.
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = rustix::process::kill_process(Pid::from_child(&self.process), Signal::TERM);
        let ended = until("the end of dockerd", || Ok(self.process.try_wait().ok().flatten()));
        if ended.is_err() {
            drop(self.process.kill());
            drop(self.process.wait());
        }
    }
}

struct Container<'a> {
    daemon: &'a Daemon,
    name: &'a str,
}

impl Container<'_> {
    fn state(&self) -> Value {
        self.daemon.inspect(self.name)["State"].clone()
    }

    fn logs(&self) -> String {
        said(&ended(&mut self.daemon.docker(["logs", self.name])))
    }
}

impl Drop for Container<'_> {
    fn drop(&mut self) {
        ended(&mut self.daemon.docker(["rm", "--force", self.name]));
    }
}
