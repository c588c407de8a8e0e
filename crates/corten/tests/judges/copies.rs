//! The image elsewhere: in a file, in another layout, in a registry. It stays the same image.

use std::fs;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use serde_json::Value;

use crate::image::{Distroless, NAME};
use crate::place::{command, debian, done, new_folder, path, running, until};

#[test]
fn crane_validates_what_docker_loads() {
    let Some(crane) = xtask::peers::need("crane") else { return };
    let image = Distroless.image();
    let said = done(command(&crane, ["validate", "--tarball"]).arg(&image.archive));
    assert!(said.starts_with("PASS"), "{said}");
}

#[test]
fn skopeo_takes_the_layout_to_a_registry_where_crane_validates_it() {
    let (Some(crane), Some(skopeo)) = (xtask::peers::need("crane"), debian("skopeo")) else { return };
    let image = Distroless.image();
    let layout = format!("oci:{}:1.3.0", image.layout.display());
    let inspected: Value = serde_json::from_str(&done(&mut command(&skopeo, ["inspect", &layout]))).unwrap();
    assert_eq!(inspected["Digest"], image.digest.as_str());

    let registry = Registry::start(&crane, "registry");
    let there = format!("{}/{NAME}", registry.address);
    let copy = ["--insecure-policy", "copy", "--quiet", "--preserve-digests", "--dest-tls-verify=false"];
    done(command(&skopeo, copy).arg(&layout).arg(format!("docker://{there}")));
    // Layers as well in the archive above: of what a registry has, it reads none that is stored as it is, as weights are.
    let said = done(&mut command(&crane, ["validate", "--fast", "--remote", &there]));
    assert!(said.starts_with("PASS"), "{said}");
    assert_eq!(done(&mut command(&crane, ["digest", &there])).trim(), image.digest);
}

/// crane's own registry, at a free port.
pub struct Registry {
    process: Child,
    name: &'static str,
    /// `127.0.0.1:PORT`.
    pub address: String,
}

impl Registry {
    /// Started, with a folder of its own, which is called `name`.
    pub fn start(crane: &Path, name: &'static str) -> Self {
        let at = new_folder(name);
        let log = fs::File::create(at.join("log")).unwrap();
        let mut command = Command::new(crane);
        command.args(["registry", "serve", "--address", "127.0.0.1:0", "--disk"]).arg(&at).env("PATH", path());
        let process = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log).spawn().unwrap();
        fs::write(running(name), process.id().to_string()).unwrap();
        let mut registry = Self { process, name, address: String::new() };
        let port = until("the registry", || {
            let said = fs::read_to_string(at.join("log")).unwrap();
            Ok(said.lines().find_map(|line| line.split_once("serving on port ").map(|(_, port)| port.to_owned())))
        });
        registry.address = format!("127.0.0.1:{}", port.unwrap());
        registry
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        drop(self.process.kill());
        drop(self.process.wait());
        drop(fs::remove_file(running(self.name)));
    }
}
