//! `corten registry serve`, as other people's programs meet it: crane, regctl, skopeo, podman, docker, containerd and BuildKit
//! pull from it and push to it. What `ship` has tagged is there without another step.
//!
//! And the table that says what a registry must do is judged itself: CNCF's distribution 3.1 is asked the same.

use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use corten_testkit::conformance::{Target, violations};
use serde_json::Value;

use crate::docker::Daemon;
use crate::image::{DISTROLESS, Distroless, corten};
use crate::place::{command, debian, done, ended, new_folder, path, running, said, until};
use crate::podman::Podman;
use crate::registries::Distribution;

/// The store of the judges, as a registry.
pub struct Served {
    process: Child,
    name: String,
    /// `localhost:port`.
    pub host: String,
}

impl Served {
    fn start(name: &str) -> Self {
        Distroless.image();
        Self::of(name, &mut corten(["registry", "serve", "--listen", "127.0.0.1:0", "--log-requests"]))
    }

    /// What the command serves.
    pub fn of(name: &str, command: &mut Command) -> Self {
        let log = File::create(new_folder(&format!("serve-log-{name}")).join("log")).unwrap();
        let mut process = command.stdout(Stdio::piped()).stderr(log).spawn().unwrap();
        let name = format!("served-{name}");
        fs::write(running(&name), process.id().to_string()).unwrap();
        let mut line = String::new();
        BufReader::new(process.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let port = line.trim().rsplit(':').next().unwrap();
        Self { process, name, host: format!("localhost:{port}") }
    }

    pub fn at(&self, name: &str) -> String {
        format!("{}/{name}", self.host)
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        drop(self.process.kill());
        drop(self.process.wait());
        drop(fs::remove_file(running(&self.name)));
    }
}

/// What is at a name is whole, by crane. It reads no layer that is stored as it is, as weights are.
pub fn whole(name: &str) -> Option<String> {
    let crane = xtask::peers::need("crane")?;
    assert!(done(&mut command(&crane, ["validate", "--fast", "--remote", name])).starts_with("PASS"));
    Some(done(&mut command(&crane, ["digest", name])).trim().to_owned())
}

#[test]
fn crane_and_skopeo_copy_from_it_and_to_it() {
    let (Some(crane), Some(skopeo)) = (xtask::peers::need("crane"), debian("skopeo")) else { return };
    let served = Served::start("crane");
    let image = Distroless.image();
    let name = served.at(DISTROLESS);
    assert_eq!(whole(&name), Some(image.digest.clone()));
    let copy = served.at("copies/crane:1");
    done(&mut command(&crane, ["copy", &name, &copy]));
    assert_eq!(whole(&copy), Some(image.digest.clone()));
    assert_eq!(done(&mut command(&crane, ["ls", &served.at("copies/crane")])).trim(), "1");
    let catalog = done(&mut command(&crane, ["catalog", &served.host]));
    assert!(catalog.lines().any(|line| line == "judged") && catalog.lines().any(|line| line == "copies/crane"));

    let folder = new_folder("served-skopeo-copy");
    let there = format!("oci:{}:1", folder.display());
    let skopeo = |from: &str, to: &str| {
        let plain = ["--insecure-policy", "copy", "--quiet", "--preserve-digests", "--src-tls-verify=false"];
        done(command(&skopeo, plain).args(["--dest-tls-verify=false", from, to]));
    };
    skopeo(&format!("docker://{name}"), &there);
    let back = served.at("copies/skopeo:1");
    skopeo(&there, &format!("docker://{back}"));
    assert_eq!(whole(&back), Some(image.digest.clone()));

    // Ours, too, with what hangs on it.
    let home = new_folder("served-home");
    let mine = |arguments: &[&str]| done(corten(arguments).env("CORTEN_HOME", &home));
    let pulled: Value = serde_json::from_str(&mine(&["pull", &name, "--format", "json"])).unwrap();
    assert_eq!(pulled["digest"], image.digest.as_str());
    assert_eq!(serde_json::from_str::<Value>(&mine(&["sbom", &name])).unwrap(), image.bill);
    mine(&["push", &name, &served.at("copies/own:1")]);
    assert_eq!(whole(&served.at("copies/own:1")), Some(image.digest.clone()));
    done(&mut command(&crane, ["delete", &copy]));
    assert!(!ended(&mut command(&crane, ["digest", &copy])).status.success());
}

#[test]
fn regctl_sees_and_brings_what_hangs_on_an_image() {
    let Some(regctl) = xtask::peers::need("regctl") else { return };
    let served = Served::start("regctl");
    let folder = new_folder("served-regctl-settings");
    let regctl = |arguments: &[&str]| done(command(&regctl, arguments).env("HOME", &folder));
    regctl(&["registry", "set", "--tls", "disabled", &served.host]);
    let name = served.at(DISTROLESS);
    let kinds = |name: &str| {
        let listed: Value =
            serde_json::from_str(&regctl(&["artifact", "list", name, "--format", "{{jsonPretty .}}"])).unwrap();
        let listed = listed["descriptors"].as_array().unwrap().clone();
        let mut kinds: Vec<String> = listed.iter().map(|it| it["artifactType"].as_str().unwrap().to_owned()).collect();
        kinds.sort();
        kinds
    };
    let shipped = kinds(&name);
    assert!(shipped.contains(&"application/spdx+json".to_owned()) && shipped.len() >= 2, "{shipped:?}");
    let note = folder.join("note.json");
    fs::write(&note, "{}").unwrap();
    regctl(&[
        "artifact",
        "put",
        "--artifact-type",
        "application/x-note",
        "--subject",
        &name,
        "-f",
        note.to_str().unwrap(),
    ]);
    let with_note = kinds(&name);
    assert_eq!(with_note.len(), shipped.len() + 1);
    let only = ["artifact", "list", &name, "--filter-artifact-type", "application/x-note"];
    assert!(regctl(&only).contains("application/x-note") && !regctl(&only).contains("spdx"));
    let copy = served.at("copies/regctl:1");
    regctl(&["image", "copy", "--referrers", &name, &copy]);
    assert_eq!(kinds(&copy), with_note);
    let tree = regctl(&["artifact", "tree", &copy]);
    assert!(with_note.iter().all(|kind| tree.contains(kind.as_str())), "{tree}");
    // The image that others judge has no note.
    let digests = ["--format", "{{range .Descriptors}}{{.Digest}}{{end}}"];
    let listed = regctl(&[&only[..], &digests[..]].concat());
    let repository = name.rsplit_once(':').unwrap().0;
    regctl(&["manifest", "delete", &format!("{repository}@{}", listed.trim())]);
    assert_eq!(kinds(&name), shipped);
}

#[test]
fn podman_pulls_and_pushes() {
    let Some(podman) = Podman::new("served-podman") else { return };
    let served = Served::start("podman");
    let (name, again) = (served.at(DISTROLESS), served.at("copies/podman:1"));
    done(&mut podman.podman(["pull", "--quiet", "--tls-verify=false", &name]));
    assert_eq!(podman.inspect(&name)["User"], "10001:10001");
    done(&mut podman.podman(["tag", &name, &again]));
    done(&mut podman.podman(["push", "--quiet", "--tls-verify=false", &again]));
    whole(&again);
    done(&mut podman.podman(["rmi", "--force", &again, &name]));
    done(&mut podman.podman(["pull", "--quiet", "--tls-verify=false", &again]));
}

#[test]
fn docker_pulls_and_pushes() {
    let Some(daemon) = Daemon::start("served-docker") else { return };
    let served = Served::start("docker");
    let (name, again) = (served.at(DISTROLESS), served.at("copies/docker:1"));
    done(&mut daemon.docker(["pull", "--quiet", &name]));
    let pulled = daemon.inspect(&name);
    assert_eq!(pulled["Config"]["User"], "10001:10001");
    done(&mut daemon.docker(["tag", &name, &again]));
    done(&mut daemon.docker(["push", "--quiet", &again]));
    whole(&again);
    done(&mut daemon.docker(["image", "rm", &name, &again]));
    done(&mut daemon.docker(["pull", "--quiet", &again]));
    assert_eq!(daemon.inspect(&again)["Id"], pulled["Id"]);
}

/// A daemon that ends with this value.
struct Background {
    process: Child,
    name: String,
}

impl Background {
    fn start(name: &str, command: &mut Command, answers: impl Fn() -> bool) -> Self {
        let log = new_folder(&format!("{name}-log")).join("log");
        let file = File::create(&log).unwrap();
        command.env("PATH", path()).stdin(Stdio::null()).stdout(file.try_clone().unwrap()).stderr(file);
        let process = command.spawn().unwrap();
        fs::write(running(name), process.id().to_string()).unwrap();
        let mut daemon = Self { process, name: name.to_owned() };
        let ready = until(name, || match daemon.process.try_wait().unwrap() {
            Some(status) => Err(format!("{name} ended with {status}")),
            None => Ok(answers().then_some(())),
        });
        ready.unwrap_or_else(|why| panic!("{why}\n{}", fs::read_to_string(&log).unwrap()));
        daemon
    }
}

impl Drop for Background {
    fn drop(&mut self) {
        let pid = rustix::process::Pid::from_child(&self.process);
        let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
        if until(&self.name, || Ok(self.process.try_wait().ok().flatten())).is_err() {
            drop(self.process.kill());
            drop(self.process.wait());
        }
        drop(fs::remove_file(running(&self.name)));
    }
}

#[test]
fn containerd_pulls_and_pushes() {
    let (Some(containerd), Some(ctr)) = (xtask::peers::need("containerd"), xtask::peers::need("ctr")) else { return };
    let served = Served::start("containerd");
    let folder = new_folder("served-containerd");
    let at = |name: &str| format!("{}/{name}", folder.display());
    let plugins = r#"["io.containerd.cri.v1.images", "io.containerd.cri.v1.runtime", "io.containerd.grpc.v1.cri"]"#;
    let settings = format!("version = 3\ndisabled_plugins = {plugins}\n[plugins.\"io.containerd.internal.v1.opt\"]\n");
    fs::write(at("config.toml"), format!("{settings}path = \"{}\"\n", at("opt"))).unwrap();
    let ctr = |arguments: &[&str]| {
        let mut command = command(&ctr, ["--address", &at("socket"), "--namespace", "judged"]);
        command.args(arguments);
        command
    };
    let mut daemon = Command::new(containerd);
    daemon.args(["--config", &at("config.toml"), "--address", &at("socket")]);
    daemon.args(["--root", &at("root"), "--state", &at("state")]);
    let _daemon = Background::start("containerd", &mut daemon, || ended(&mut ctr(&["version"])).status.success());
    let (name, again) = (served.at(DISTROLESS), served.at("copies/containerd:1"));
    done(&mut ctr(&["images", "pull", "--plain-http", &name]));
    done(&mut ctr(&["images", "tag", &name, &again]));
    done(&mut ctr(&["images", "push", "--plain-http", &again]));
    assert_eq!(whole(&again), whole(&name));
    // What is saved to a file, too, and under its name.
    done(&mut corten(["save", DISTROLESS, "--output", &at("saved.tar")]));
    done(&mut ctr(&["images", "import", &at("saved.tar")]));
    let listed = done(&mut ctr(&["images", "list"]));
    let name = format!("docker.io/library/{DISTROLESS} ");
    let imported = listed.lines().find(|line| line.starts_with(&name));
    assert!(imported.is_some_and(|line| line.contains(&Distroless.image().digest)), "{listed}");
}

#[test]
fn buildkit_stands_on_its_images_and_pushes_others() {
    let (Some(buildkitd), Some(buildctl)) = (xtask::peers::need("buildkitd"), xtask::peers::need("buildctl")) else {
        return;
    };
    let served = Served::start("buildkit");
    let folder = new_folder("served-buildkit");
    let at = |name: &str| format!("{}/{name}", folder.display());
    fs::write(at("config.toml"), format!("[registry.\"{}\"]\nhttp = true\ninsecure = true\n", served.host)).unwrap();
    let context = new_folder("served-buildkit-context");
    fs::write(context.join("Dockerfile"), format!("FROM {}\nCOPY Dockerfile /added\n", served.at(DISTROLESS))).unwrap();
    let socket = format!("unix://{}", at("socket"));
    let ctl = |arguments: &[&str]| {
        let mut command = command(&buildctl, ["--addr", &socket]);
        command.args(arguments).env("HOME", &folder);
        command
    };
    let mut daemon = Command::new(buildkitd);
    daemon.args(["--config", &at("config.toml"), "--root", &at("root"), "--addr", &socket]);
    daemon.args(["--oci-worker-net=host", "--oci-worker-snapshotter=overlayfs", "--oci-worker-gc=false"]);
    let _daemon =
        Background::start("buildkit", &mut daemon, || ended(&mut ctl(&["debug", "workers"])).status.success());
    let built = served.at("copies/buildkit:1");
    let output = format!("type=image,name={built},push=true,registry.insecure=true,oci-mediatypes=true");
    let local = |name: &str| format!("{name}={}", context.display());
    let arguments = ["build", "--progress", "plain", "--frontend", "dockerfile.v0", "--output", &output, "--local"];
    done(ctl(&arguments).args([&local("context"), "--local", &local("dockerfile")]));
    let crane = xtask::peers::need("crane").unwrap();
    // BuildKit's is an index, with its provenance beside the image.
    let platform = ["validate", "--fast", "--platform", "linux/amd64", "--remote", &built];
    let passed = ended(&mut command(&crane, platform));
    assert!(said(&passed).starts_with("PASS"), "{}", said(&passed));
    let config: Value =
        serde_json::from_str(&done(&mut command(&crane, ["config", "--platform", "linux/amd64", &built]))).unwrap();
    assert_eq!(config["config"]["User"], "10001:10001");
}

/// What distribution does otherwise; each was looked at, and is its choice, not the table's mistake.
const DISTRIBUTION_DIFFERS: [&str; 5] = [
    "end-4b a blob comes with its POST: the status is 202, not 201",
    "end-6 an unknown upload is 404 BLOB_UPLOAD_UNKNOWN: the refusal is (404, \"BLOB_UPLOAD_INVALID\")",
    "end-7 the subject is told in OCI-Subject: the subject is None",
    "end-12a referrers are listed: the type is Some(\"text/plain; charset=utf-8\")",
    "end-12b referrers are filtered: trailing characters",
];

#[test]
fn the_table_of_endpoints_is_what_distribution_does() {
    let Some(program) = xtask::peers::need("registry") else { return };
    let registry = Distribution::open(Path::new(&program), "open");
    let found = violations(&Target { place: registry.address.clone(), prefix: "conformance".into() }, &[]);
    let same = found.iter().zip(DISTRIBUTION_DIFFERS).all(|(found, known)| found.starts_with(known));
    assert!(same && found.len() == DISTRIBUTION_DIFFERS.len(), "\n{}", found.join("\n"));
}
