//! Real registries: CNCF's distribution as it is now (3.1) and as many run it (Debian's 2.8), with a password. What Corten
//! brings there, others read; what others bring there, Corten reads.

use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use serde_json::Value;

use crate::image::{Distroless, corten, example};
use crate::place::{command, debian, done, folder, new_folder, path, running, until};

const USER: &str = "me";
const PASSWORD: &str = "secret";
/// `htpasswd -nbB me secret`, of Apache's utilities.
const HTPASSWD: &str = "me:$2y$05$53xYf9qR9mXrMuQBRNaxOOqQnv4MAmhH5dJK7x848q7qEc1wCU7Km\n";

#[test]
fn an_image_goes_to_distribution_and_comes_back_the_same() {
    let Some(crane) = xtask::peers::need("crane") else { return };
    for program in ["registry", "docker-registry"] {
        let Some(program) = xtask::peers::need(program) else { continue };
        let registry = Distribution::start(&program);
        there_and_back(&registry, &crane);
        stands_on_what_is_there(&registry, &crane);
    }
}

/// After [`there_and_back`]: a project on the image that is there, in a store that has none of its layers when it ships.
fn stands_on_what_is_there(registry: &Distribution, crane: &Path) {
    let own = folder().join(format!("docker-{}", registry.name));
    let home = new_folder(&format!("home-on-{}", registry.name));
    let project = example(&format!("on-{}", registry.name), "");
    let base = format!("{}/team/classifier:1", registry.address);
    let settings = fs::read_to_string(project.join("pyproject.toml")).unwrap();
    let settings = settings.replace("base = \"debian:bookworm\"", &format!("base = \"{base}\""));
    let publish = format!("[tool.corten.publish]\nrepository = \"{}/team/app\"\n", registry.address);
    fs::write(project.join("pyproject.toml"), format!("{settings}\n{publish}")).unwrap();
    let run = |arguments: &[&str]| -> Value {
        let mut command = corten(arguments);
        let said =
            done(command.args(["--format", "json"]).arg(&project).env("DOCKER_CONFIG", &own).env("CORTEN_HOME", &home));
        serde_json::from_str(&said).unwrap()
    };
    let built = run(&["build"]);
    for layer in built["layers"].as_array().unwrap() {
        if layer["what"].as_str().unwrap().starts_with("base ") {
            let name = layer["digest"].as_str().unwrap().trim_start_matches("sha256:");
            fs::remove_file(home.join("blobs/sha256").join(name)).unwrap();
        }
    }
    let shipped = run(&["ship", "--push"]);
    assert_eq!(shipped["digest"], built["digest"]);
    let bytes = |what: &str| shipped["pushed"][what]["bytes"].as_u64().unwrap();
    assert!(bytes("sent") < 1_000_000 && bytes("mounted") > 50_000_000, "{}", shipped["pushed"]);
    let name = shipped["published"][0].as_str().unwrap();
    let crane = |arguments: &[&str]| done(command(crane, arguments).env("DOCKER_CONFIG", &own));
    assert_eq!(crane(&["digest", name]).trim(), shipped["digest"].as_str().unwrap());
    assert!(crane(&["validate", "--fast", "--remote", name]).starts_with("PASS"));
}

fn there_and_back(registry: &Distribution, crane: &Path) {
    let image = Distroless.image();
    let name = format!("{}/team/classifier:1", registry.address);
    let own = new_folder(&format!("docker-{}", registry.name));
    let mine = |arguments: &[&str]| {
        let mut command = corten(arguments);
        command.env("DOCKER_CONFIG", &own);
        command
    };
    let login = ["login", &registry.address, "--username", USER, "--password-stdin"];
    let mut login = mine(&login).stdin(Stdio::piped()).spawn().unwrap();
    login.stdin.take().unwrap().write_all(PASSWORD.as_bytes()).unwrap();
    assert!(login.wait().unwrap().success());
    done(&mut mine(&["push", &image.digest, &name]));

    // What Corten has kept, crane reads.
    let crane = |arguments: &[&str]| done(command(crane, arguments).env("DOCKER_CONFIG", &own));
    assert_eq!(crane(&["digest", &name]).trim(), image.digest);
    // It reads no layer that is stored as it is, as weights are.
    assert!(crane(&["validate", "--fast", "--remote", &name]).starts_with("PASS"));
    let copy = format!("{}/team/copy:1", registry.address);
    crane(&["copy", &name, &copy]);

    let home = new_folder(&format!("home-{}", registry.name));
    let elsewhere = |arguments: &[&str]| done(mine(arguments).env("CORTEN_HOME", &home));
    for name in [&name, &copy] {
        let pulled: Value = serde_json::from_str(&elsewhere(&["pull", name, "--format", "json"])).unwrap();
        assert_eq!(pulled["digest"], image.digest.as_str());
    }
    elsewhere(&["store", "verify"]);
    let bill = elsewhere(&["sbom", &name]);
    assert_eq!(serde_json::from_str::<Value>(&bill).unwrap(), image.bill);

    let inspected: Value =
        serde_json::from_str(&elsewhere(&["inspect", "--remote", &name, "--format", "json"])).unwrap();
    let raw = elsewhere(&["inspect", "--remote", &name, "--raw"]);
    agrees_with_crane(&inspected, &raw, &crane(&["manifest", &name]), &crane(&["config", &name]));
    // Further names, as `crane tag` gives them.
    elsewhere(&["tag", "--remote", &name, "stable"]);
    let stable = format!("{}/team/classifier:stable", registry.address);
    assert_eq!(crane(&["digest", &stable]).trim(), image.digest);
    crane(&["tag", &copy, "by-crane"]);
    let by_crane = format!("{}/team/copy:by-crane", registry.address);
    assert_eq!(elsewhere(&["resolve", &by_crane]).trim(), image.digest);

    if let Some(skopeo) = debian("skopeo") {
        let judge = ["inspect", "--tls-verify=false", "--authfile"];
        let judged = done(command(&skopeo, judge).arg(own.join("config.json")).arg(format!("docker://{name}")));
        agrees_with_skopeo(&inspected, &serde_json::from_str(&judged).unwrap());
        let there = format!("docker://{name}");
        let copy = ["--insecure-policy", "copy", "--quiet", "--preserve-digests", "--src-tls-verify=false"];
        let authentication = ["--authfile".to_owned(), own.join("config.json").display().to_string()];
        let layout = format!("oci:{}:1", own.join("layout").display());
        done(command(&skopeo, copy).args(authentication).args([&there, &layout]));
    }
}

/// Field by field; what is absent is an empty text or list in ours.
fn agrees_with_crane(ours: &Value, raw: &str, manifest: &str, config: &str) {
    assert_eq!(raw, manifest, "to the byte");
    let (manifest, config): (Value, Value) =
        (serde_json::from_str(manifest).unwrap(), serde_json::from_str(config).unwrap());
    let view = &ours["image"];
    assert_eq!((&ours["media_type"], &view["config_digest"]), (&manifest["mediaType"], &manifest["config"]["digest"]));
    let layers = view["layers"].as_array().unwrap();
    assert_eq!(layers.len(), manifest["layers"].as_array().unwrap().len());
    for (at, layer) in layers.iter().enumerate() {
        let theirs = &manifest["layers"][at];
        assert_eq!((&layer["digest"], &layer["size"]), (&theirs["digest"], &theirs["size"]));
        assert_eq!(
            (&layer["media_type"], &layer["diff_id"]),
            (&theirs["mediaType"], &config["rootfs"]["diff_ids"][at])
        );
    }
    let inner = &config["config"];
    let fields = [
        ("user", "User"),
        ("entrypoint", "Entrypoint"),
        ("cmd", "Cmd"),
        ("env", "Env"),
        ("workdir", "WorkingDir"),
        ("labels", "Labels"),
        ("stop_signal", "StopSignal"),
    ];
    for (own, theirs) in fields {
        assert_eq!(view["config"][own], inner[theirs], "{own}");
    }
    let ports: Vec<&String> = inner["ExposedPorts"].as_object().into_iter().flat_map(|ports| ports.keys()).collect();
    assert_eq!(view["config"]["ports"], serde_json::json!(ports));
    for (own, theirs) in [("test", "Test"), ("interval", "Interval"), ("timeout", "Timeout"), ("retries", "Retries")] {
        assert_eq!(view["config"]["healthcheck"][own], inner["Healthcheck"][theirs], "{own}");
    }
    assert_eq!(view["created"], config["created"]);
    let history = view["history"].as_array().unwrap();
    assert_eq!(history.len(), config["history"].as_array().unwrap().len());
    for (at, step) in history.iter().enumerate() {
        let theirs = &config["history"][at];
        assert_eq!((&step["created_by"], &step["created"]), (&theirs["created_by"], &theirs["created"]));
        assert_eq!(step["layer"].is_null(), theirs["empty_layer"].as_bool().unwrap_or_default());
    }
}

fn agrees_with_skopeo(ours: &Value, theirs: &Value) {
    let view = &ours["image"];
    assert_eq!(ours["digest"], theirs["Digest"]);
    assert_eq!((&view["config"]["env"], &view["config"]["labels"]), (&theirs["Env"], &theirs["Labels"]));
    let platform = format!("{}/{}", theirs["Os"].as_str().unwrap(), theirs["Architecture"].as_str().unwrap());
    assert_eq!(view["platform"], platform);
    let layers = view["layers"].as_array().unwrap();
    let digests: Vec<&Value> = layers.iter().map(|layer| &layer["digest"]).collect();
    assert_eq!(digests, theirs["Layers"].as_array().unwrap().iter().collect::<Vec<_>>());
    // Debian's skopeo is too old to tell more of them.
    for (own, theirs) in layers.iter().zip(theirs["LayersData"].as_array().into_iter().flatten()) {
        let told = (&theirs["Digest"], &theirs["Size"], &theirs["MIMEType"]);
        assert_eq!((&own["digest"], &own["size"], &own["media_type"]), told);
    }
}

/// A registry, at a free port, with a password.
pub struct Distribution {
    process: Child,
    name: String,
    pub address: String,
}

impl Distribution {
    fn start(program: &Path) -> Self {
        let name = program.file_name().unwrap().to_str().unwrap().to_owned();
        let at = new_folder(&format!("distribution-{name}"));
        let users = at.join("htpasswd");
        fs::write(&users, HTPASSWD).unwrap();
        let users = format!("auth:\n  htpasswd:\n    realm: judged\n    path: {}\n", users.display());
        Self::with(program, name, &at, &users)
    }

    /// For everybody; deletes are on.
    pub fn open(program: &Path, name: &str) -> Self {
        let at = new_folder(&format!("distribution-{name}"));
        Self::with(program, name.to_owned(), &at, "")
    }

    fn with(program: &Path, name: String, at: &Path, more: &str) -> Self {
        let settings = at.join("config.yml");
        fs::write(&settings, configuration(at, more)).unwrap();
        let log = fs::File::create(at.join("log")).unwrap();
        let mut command = Command::new(program);
        command.arg("serve").arg(&settings).env("PATH", path()).env("OTEL_TRACES_EXPORTER", "none");
        let process = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log).spawn().unwrap();
        fs::write(running(&name), process.id().to_string()).unwrap();
        let mut registry = Self { process, name, address: String::new() };
        let port = until("the registry", || {
            let said = fs::read_to_string(at.join("log")).unwrap();
            let port = said.split("listening on 127.0.0.1:").nth(1);
            Ok(port.and_then(|rest| rest.split(|letter: char| !letter.is_ascii_digit()).next()).map(str::to_owned))
        });
        registry.address = format!("127.0.0.1:{}", port.unwrap());
        registry
    }
}

fn configuration(at: &Path, more: &str) -> String {
    format!(
        "version: 0.1\nstorage:\n  delete:\n    enabled: true\n  filesystem:\n    rootdirectory: {}\nhttp:\n  addr: 127.0.0.1:0\n{more}",
        at.join("data").display(),
    )
}

impl Drop for Distribution {
    fn drop(&mut self) {
        drop(self.process.kill());
        drop(self.process.wait());
        drop(fs::remove_file(running(&self.name)));
    }
}
