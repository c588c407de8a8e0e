//! An image as umoci unpacks it, and processes that runc starts in it.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::OnceLock;

use serde_json::{Value, json};

use crate::image::Variant;
use crate::place::{command, debian, done, ended, folder, new_folder, running, until};

/// The files of an image, unpacked once.
pub struct Bundle {
    /// The file system.
    pub root: PathBuf,
    /// What umoci made of the image's config.
    config: Value,
    runc: PathBuf,
}

impl Bundle {
    /// None, said and counted, without umoci and runc.
    pub fn of(variant: Variant) -> Option<&'static Self> {
        static BUNDLES: [OnceLock<Option<Bundle>>; 2] = [OnceLock::new(), OnceLock::new()];
        let unpacked = || Self::unpack(variant.name(), || (variant.image().layout.clone(), "1.3.0"));
        BUNDLES[variant as usize].get_or_init(unpacked).as_ref()
    }

    /// Unpacks an image, given as its OCI layout and its tag there. None, said and counted, without umoci and runc.
    pub fn unpack(name: &str, image: impl FnOnce() -> (PathBuf, &'static str)) -> Option<Self> {
        let (umoci, runc) = (debian("umoci")?, debian("runc")?);
        let (layout, tag) = image();
        let bundle = folder().join(format!("bundle-{name}"));
        done(command(&umoci, ["unpack", "--image"]).arg(format!("{}:{tag}", layout.display())).arg(&bundle));
        let config = serde_json::from_slice(&fs::read(bundle.join("config.json")).unwrap()).unwrap();
        Some(Self { root: bundle.join("rootfs"), config, runc })
    }

    /// What runs as the image's config has it, but for what `change` changes: as its user, with a root that is only read, a
    /// tmpfs at /tmp, without any capability and without a network.
    pub fn container(&self, name: &'static str, change: impl FnOnce(&mut Value)) -> Container<'_> {
        let mut config = self.config.clone();
        config["root"] = json!({ "path": self.root, "readonly": true });
        config["process"]["terminal"] = json!(false);
        config["process"]["capabilities"] = json!({});
        let mounts = config["mounts"].as_array_mut().unwrap();
        mounts.retain(|mount| mount["destination"] != "/sys/fs/cgroup");
        let options = ["nosuid", "nodev", "mode=1777"];
        mounts.push(json!({ "destination": "/tmp", "type": "tmpfs", "source": "tmpfs", "options": options }));
        change(&mut config);
        let folder = new_folder(name);
        fs::write(folder.join("config.json"), config.to_string()).unwrap();
        Container { bundle: self, name, folder }
    }
}

/// A change of a container's config: something of this machine, only to be read.
pub fn mount(config: &mut Value, source: &Path, destination: &str) {
    bind(config, source, destination, "ro");
}

/// A change of a container's config: something of this machine, to be written to.
pub fn mount_writable(config: &mut Value, source: &Path, destination: &str) {
    bind(config, source, destination, "rw");
}

fn bind(config: &mut Value, source: &Path, destination: &str, how: &str) {
    let mount = json!({ "destination": destination, "type": "bind", "source": source, "options": ["bind", how] });
    config["mounts"].as_array_mut().unwrap().push(mount);
}

/// A change of a container's config: a variable.
pub fn variable(config: &mut Value, name: &str, value: &str) {
    config["process"]["env"].as_array_mut().unwrap().push(json!(format!("{name}={value}")));
}

/// Started at most once; gone when it is dropped.
pub struct Container<'a> {
    bundle: &'a Bundle,
    name: &'static str,
    folder: PathBuf,
}

impl Container<'_> {
    /// Starts it; its process.
    pub fn start(&self) -> String {
        let log = File::create(self.log()).unwrap();
        let mut runc = self.runc(["run", "--detach", "--pid-file"]);
        runc.arg(running(self.name)).arg("--bundle").arg(&self.folder).arg(self.name);
        let status = runc.stdout(log.try_clone().unwrap()).stderr(log).status().unwrap();
        assert!(status.success(), "{}", self.logs());
        fs::read_to_string(running(self.name)).unwrap()
    }

    /// Runs it to its end.
    pub fn run(&self) -> Output {
        ended(self.runc(["run", "--bundle"]).arg(&self.folder).arg(self.name))
    }

    /// Kills its process as the kernel does where memory is short.
    pub fn kill(&self) {
        done(self.runc(["kill"]).args([self.name, "KILL"]));
        until("ended", || {
            let state: Value = serde_json::from_str(&done(self.runc(["state"]).arg(self.name))).unwrap();
            Ok((state["status"] == "stopped").then_some(()))
        })
        .unwrap();
    }

    /// What a started one said.
    pub fn logs(&self) -> String {
        fs::read_to_string(self.log()).unwrap()
    }

    fn log(&self) -> PathBuf {
        self.folder.join("log")
    }

    fn runc<const N: usize>(&self, arguments: [&str; N]) -> Command {
        let mut runc = command(&self.bundle.runc, ["--root"]);
        runc.arg(folder().join("runc")).args(arguments);
        runc
    }
}

impl Drop for Container<'_> {
    fn drop(&mut self) {
        ended(&mut self.runc(["delete", "--force", self.name]));
        drop(fs::remove_file(running(self.name)));
    }
}
