//! Other ways to make layers: what other people's programs read of them, and bytecode that the interpreter takes.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use crate::bundle::Bundle;
use crate::image::{Distroless, corten, example};
use crate::place::{command, debian, done, ended, new_folder, said};

/// The example, built with more settings.
struct Built {
    /// An OCI layout.
    layout: PathBuf,
    manifest: Value,
    config: Value,
}

impl Built {
    fn with(name: &str, settings: &str) -> Self {
        let folder = new_folder(name);
        let project = example(name, settings);
        let archive = folder.join("layout.tar");
        let output = format!("type=oci,dest={}", archive.display());
        let docker = format!("type=docker,dest={}", folder.join("docker.tar").display());
        let mut build =
            corten(["build", "--format", "json", "--tag", "modes:1", "--output", &output, "--output", &docker]);
        let built = done(build.arg(&project));
        let built: Value = serde_json::from_str(&built).unwrap();
        let layout = folder.join("layout");
        fs::create_dir(&layout).unwrap();
        done(Command::new("tar").arg("-C").arg(&layout).arg("-xf").arg(&archive));
        let read = |digest: &Value| serde_json::from_slice::<Value>(&fs::read(blob(&layout, digest)).unwrap()).unwrap();
        let manifest = read(&built["digest"]);
        let config = read(&manifest["config"]["digest"]);
        Self { manifest, config, layout }
    }

    fn layers(&self) -> &[Value] {
        self.manifest["layers"].as_array().unwrap()
    }
}

fn blob(layout: &Path, digest: &Value) -> PathBuf {
    layout.join("blobs").join(digest.as_str().unwrap().replace(':', "/"))
}

/// What docker loads is gzip, whatever the layers are.
#[test]
fn skopeo_reads_zstd_layers_and_crane_what_docker_loads_of_them() {
    let (Some(skopeo), Some(crane)) = (debian("skopeo"), xtask::peers::need("crane")) else { return };
    let built = Built::with("zstd", "compression = \"zstd\"\nweights-compression = \"zstd\"\n");
    assert!(built.layers().iter().all(|layer| layer["mediaType"].as_str().unwrap().ends_with("+zstd")));
    let plain = new_folder("zstd-uncompressed");
    let copy = ["--insecure-policy", "copy", "--quiet", "--dest-decompress"];
    let from = format!("oci:{}:1", built.layout.display());
    done(command(&skopeo, copy).arg(from).arg(format!("dir:{}", plain.display())));
    let manifest: Value = serde_json::from_slice(&fs::read(plain.join("manifest.json")).unwrap()).unwrap();
    let digests = manifest["layers"].as_array().unwrap().iter().map(|layer| layer["digest"].clone());
    assert_eq!(digests.collect::<Vec<_>>(), *built.config["rootfs"]["diff_ids"].as_array().unwrap());
    let archive = built.layout.parent().unwrap().join("docker.tar");
    let said = done(command(&crane, ["validate", "--tarball"]).arg(archive));
    assert!(said.starts_with("PASS"), "{said}");
}

#[test]
fn estargz_layers_are_read_file_by_file() {
    let Some(estargz) = xtask::peers::need("estargz") else { return };
    let built = Built::with("estargz", "estargz = true\n");
    let mut files = 0;
    for layer in built.layers().iter().filter(|layer| layer["mediaType"].as_str().unwrap().ends_with("+gzip")) {
        let table = layer["annotations"]["containerd.io/snapshot/stargz/toc.digest"].as_str();
        let said = done(command(&estargz, [blob(&built.layout, &layer["digest"])]).arg(table.unwrap()));
        files += said.lines().filter(|line| line.starts_with("reg ")).count();
    }
    assert!(files > 3000, "{files}");
}

/// Fails where a module of a package or of the application has no bytecode, or one that the interpreter does not take.
const TAKES_BYTECODE: &str = r#"
import importlib._bootstrap_external, marshal, sys

def compile_source(self, data, path, **options):
    raise AssertionError("compiled " + path)

importlib._bootstrap_external.SourceLoader.source_to_code = compile_source
sys.path.insert(0, "/app")
import main
files = {module.__file__: module.__cached__ for module in list(sys.modules.values()) if getattr(module, "__cached__", None)}
ours = {source: cached for source, cached in files.items() if source.startswith(("/app/", "/opt/venv/"))}
for source, cached in ours.items():
    with open(cached, "rb") as file:
        content = file.read()
    assert content[4:8] == b"\1\0\0\0", cached + " is checked against its source"
    assert marshal.loads(content[16:]).co_filename == source, cached
assert "/app/main.py" in ours and len(ours) > 200, len(ours)
print("taken")
"#;

#[test]
fn the_interpreter_takes_the_bytecode() {
    let Some(umoci) = debian("umoci") else { return };
    let Some(without) = Bundle::of(Distroless) else { return };
    let built = Built::with("bytecode", "bytecode = \"all\"\n");
    let bundle = built.layout.parent().unwrap().join("bundle");
    done(command(&umoci, ["unpack", "--image"]).arg(format!("{}:1", built.layout.display())).arg(&bundle));
    let run = |root: &Path| {
        let mut python = command(Path::new("/usr/sbin/chroot"), ["--userspec=10001:10001"]);
        ended(python.arg(root).args(["/opt/venv/bin/python", "-B", "-c", TAKES_BYTECODE]))
    };
    let with = run(&bundle.join("rootfs"));
    assert!(with.stdout == b"taken\n", "{}", said(&with));
    let without = run(&without.root);
    assert!(said(&without).contains("AssertionError: compiled /app/main.py"), "{}", said(&without));
}
