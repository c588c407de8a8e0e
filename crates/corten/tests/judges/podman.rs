//! podman, with a store of its own.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use serde_json::Value;

use crate::image::{Distroless, NAME};
use crate::place::{command, debian, done, ended, new_folder, running, said, until};
use crate::service::{HeldModel, Service};

#[test]
fn podman_loads_starts_and_finds_healthy() {
    let Some(podman) = Podman::new("podman") else { return };
    let image = Distroless.image();

    // Where podman is all there is.
    let alone = new_folder("podman-alone");
    std::os::unix::fs::symlink(&podman.program, alone.join("podman")).unwrap();
    done(podman.with_settings(image.build().arg("--load")).env("PATH", &alone));
    let inspected = podman.inspect(NAME);
    assert_eq!(inspected["User"], "10001:10001");
    assert_eq!(inspected["Healthcheck"]["Interval"], 10_000_000_000_u64, "ten seconds, by the settings");

    podman.serves(NAME);
}

pub struct Podman {
    program: PathBuf,
    pub folder: PathBuf,
}

impl Podman {
    /// Its images, containers and locks lie in a folder of the tests. Limits are set, since its own default is more than a
    /// machine may allow; timers of systemd are not, which not every machine has.
    pub fn new(name: &str) -> Option<Self> {
        let program = debian("podman")?;
        let folder = new_folder(name);
        let at = |name: &str| format!("{}/{name}", folder.display());
        let storage =
            format!("[storage]\ndriver = \"overlay\"\ngraphroot = \"{}\"\nrunroot = \"{}\"\n", at("images"), at("run"));
        let settings = format!(
            "[containers]\ndefault_ulimits = [\"nofile=1024:1024\", \"nproc=1024:1024\"]\n\
             [engine]\ncgroup_manager = \"cgroupfs\"\nevents_logger = \"none\"\nruntime = \"runc\"\ntmp_dir = \"{}\"\n",
            at("state")
        );
        fs::write(at("storage.conf"), storage).unwrap();
        fs::write(at("containers.conf"), settings).unwrap();
        Some(Self { program, folder })
    }

    /// Starts an image without privileges, and judges the service in it.
    pub fn serves(&self, image: &str) {
        let model = HeldModel::new(&new_folder(&format!("{}-model-{}", self.name(), image.replace(':', "-"))));
        let mount = format!("{}:{}:ro", model.path().display(), HeldModel::AT);
        let container = Container { podman: self, name: "judged" };
        done(
            self.podman(["run", "--detach", "--name", container.name, "--network", "none", "--read-only"])
                .args(["--read-only-tmpfs=false", "--tmpfs", "/tmp", "--cap-drop", "ALL"])
                .args(["--security-opt", "no-new-privileges", "--volume", &mount, "--pidfile"])
                .arg(running(&self.name()))
                .arg(image),
        );
        let service = Service::new(&self.inspect(container.name)["State"]["Pid"].to_string());
        service.judge(&model).unwrap_or_else(|wrong| panic!("{wrong}\n{}", container.logs()));
        let mut check = self.podman(["healthcheck", "run", container.name]);
        let healthy = until("healthy", || Ok(ended(&mut check).status.success().then_some(())));
        healthy.unwrap_or_else(|wrong| panic!("{wrong}: {}\n{}", said(&ended(&mut check)), container.logs()));
    }

    fn name(&self) -> String {
        self.folder.file_name().unwrap().to_str().unwrap().to_owned()
    }

    fn with_settings<'a>(&self, command: &'a mut Command) -> &'a mut Command {
        let at = |name: &str| self.folder.join(name);
        let command = command.env("CONTAINERS_STORAGE_CONF", at("storage.conf"));
        command.env("CONTAINERS_CONF", at("containers.conf")).env("DISABLE_HC_SYSTEMD", "true")
    }

    pub fn podman<const N: usize>(&self, arguments: [&str; N]) -> Command {
        let mut command = command(&self.program, arguments);
        self.with_settings(&mut command);
        command
    }

    pub fn inspect(&self, name: &str) -> Value {
        let all: Value = serde_json::from_str(&done(&mut self.podman(["inspect", name]))).unwrap();
        all[0].clone()
    }
}

struct Container<'a> {
    podman: &'a Podman,
    name: &'a str,
}

impl Container<'_> {
    fn logs(&self) -> String {
        said(&ended(&mut self.podman.podman(["logs", self.name])))
    }
}

impl Drop for Container<'_> {
    fn drop(&mut self) {
        ended(&mut self.podman.podman(["rm", "--force", "--time", "0", self.name]));
        drop(fs::remove_file(running(&self.podman.name())));
    }
}
