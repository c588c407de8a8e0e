//! Locks of real projects, built for two processors at once: the index as others read it, and what each processor gets.
//!
//! Sources of these projects are not at hand: their packages are empty. Their dependencies come from PyPI.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use serde_json::Value;

use crate::bundle::{Bundle, mount};
use crate::copies::Registry;
use crate::files::walk;
use crate::image::corten;
use crate::place::{command, debian, done, folder, new_folder, said};

const LOCKS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/data/locks");
const PLATFORMS: [(&str, &str, &str); 2] =
    [("amd64", "Advanced Micro Devices X86-64", "x86_64"), ("arm64", "AArch64", "aarch64")];

/// A project of the fixtures.
struct Fixture {
    name: &'static str,
    /// The module that stands for its own package.
    package: &'static str,
    /// What to import; modules of machine code among them.
    imports: &'static str,
    bytecode: &'static str,
}

/// One for each of three kinds of lock; the third is stale. Their wheels have 46 MB.
const FIXTURES: [Fixture; 3] = [
    Fixture {
        name: "01-uv-small",
        package: "src/example_01",
        imports: "example_01, fastapi, httptools, pydantic_core, uvloop, watchfiles, websockets, yaml",
        bytecode: "none",
    },
    Fixture {
        name: "13-poetry-v21-small",
        package: "example_13",
        imports: "example_13, e2b, pyqwest",
        bytecode: "none",
    },
    Fixture {
        name: "17-pdm-stale-dep-groups",
        package: "src/example_17",
        imports: "example_17, dependency_injector.containers, dependency_injector.providers, pydantic_core",
        bytecode: "all",
    },
];

/// An index in a layout.
struct Built {
    layout: PathBuf,
    digest: String,
    platforms: Vec<(String, String)>,
}

impl Fixture {
    /// Built once for both. None, said, without the fixtures.
    fn built(at: usize) -> Option<(&'static Self, &'static Built)> {
        static BUILT: [OnceLock<Built>; 3] = [OnceLock::new(), OnceLock::new(), OnceLock::new()];
        if !Path::new(LOCKS).exists() {
            assert!(std::env::var_os("CI").is_none(), "{LOCKS} is absent");
            println!("not run: {LOCKS} is absent");
            return None;
        }
        Some((&FIXTURES[at], BUILT[at].get_or_init(|| FIXTURES[at].build())))
    }

    fn build(&self) -> Built {
        let (project, layout) = (new_folder(self.name).join("project"), folder().join(self.name).join("layout"));
        fs::create_dir_all(project.join(self.package)).unwrap();
        fs::write(project.join(self.package).join("__init__.py"), "").unwrap();
        for file in fs::read_dir(Path::new(LOCKS).join(self.name)).unwrap().map(Result::unwrap) {
            if file.file_name() != "expected.json" {
                fs::copy(file.path(), project.join(file.file_name())).unwrap();
            }
        }
        let settings = "name = \"judged\"\nbytecode = \"BYTECODE\"\nrun = [\"python\", \"-c\", \"pass\"]\nport = false\n[index.mirrors]\n\
                        \"https://index.example.org/simple\" = \"https://pypi.org/simple\"\n\
                        \"https://files.example.org/packages\" = \"https://files.pythonhosted.org/packages\"\n";
        fs::write(project.join("corten.toml"), settings.replace("BYTECODE", self.bytecode)).unwrap();
        let archive = layout.with_extension("tar");
        let mut build = corten(["build", "--frozen", "--platform", "linux/amd64,linux/arm64", "--format", "json"]);
        build.args(["--tag", "platforms:1", "--output"]).arg(format!("type=oci,dest={}", archive.display()));
        let built: Value = serde_json::from_str(&done(build.arg(&project))).unwrap();
        fs::create_dir(&layout).unwrap();
        done(Command::new("tar").arg("-C").arg(&layout).arg("-xf").arg(&archive));
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        let platforms = built["platforms"].as_array().unwrap();
        let platforms = platforms.iter().map(|one| (text(&one["platform"]), text(&one["digest"]))).collect();
        Built { layout, digest: text(&built["digest"]), platforms }
    }

    /// `name==version` of what the lock's own tool installs.
    fn pins(&self, architecture: &str) -> Vec<String> {
        let expected = fs::read(Path::new(LOCKS).join(self.name).join("expected.json")).unwrap();
        let expected: Value = serde_json::from_slice(&expected).unwrap();
        let packages = expected["answers"][0]["targets"][architecture].as_array().unwrap();
        let pin = |one: &Value| format!("{}=={}", one["name"].as_str().unwrap(), one["version"].as_str().unwrap());
        packages.iter().map(pin).collect()
    }
}

impl Built {
    fn reference(&self) -> String {
        format!("oci:{}:1", self.layout.display())
    }

    /// A layout of the image for one processor, as skopeo finds it in the index.
    fn alone(&self, skopeo: &Path, architecture: &str, name: &str) -> PathBuf {
        let alone = self.layout.with_file_name(name);
        let copy = ["--insecure-policy", "--override-arch", architecture, "copy", "--quiet"];
        done(command(skopeo, copy).arg(self.reference()).arg(format!("oci:{}:1", alone.display())));
        alone
    }
}

#[test]
fn crane_validates_an_index_that_skopeo_takes_to_a_registry() {
    let (Some(crane), Some(skopeo)) = (xtask::peers::need("crane"), debian("skopeo")) else { return };
    let Some((_, built)) = Fixture::built(2) else { return };
    let registry = Registry::start(&crane, "registry-index");
    let there = format!("{}/judged:1", registry.address);
    let copy = ["--insecure-policy", "copy", "--all", "--quiet", "--preserve-digests", "--dest-tls-verify=false"];
    done(command(&skopeo, copy).arg(built.reference()).arg(format!("docker://{there}")));
    assert_eq!(done(&mut command(&crane, ["digest", &there])).trim(), built.digest);
    let said = done(&mut command(&crane, ["validate", "--remote", &there]));
    assert!(said.starts_with("PASS"), "{said}");
    for (platform, digest) in &built.platforms {
        let picked = done(&mut command(&crane, ["digest", "--platform", platform, &there]));
        assert_eq!(picked.trim(), digest);
        let said =
            done(&mut command(&crane, ["validate", "--remote", &format!("{}/judged@{digest}", registry.address)]));
        assert!(said.starts_with("PASS"), "{said}");
    }
}

#[test]
fn skopeo_copies_an_index_whole() {
    let Some(skopeo) = debian("skopeo") else { return };
    let Some((_, built)) = Fixture::built(2) else { return };
    let copied = new_folder("index-copied");
    let copy = ["--insecure-policy", "copy", "--all", "--quiet", "--preserve-digests"];
    done(command(&skopeo, copy).arg(built.reference()).arg(format!("oci:{}:1", copied.display())));
    let blobs = |layout: &Path| -> BTreeSet<String> {
        let files = fs::read_dir(layout.join("blobs/sha256")).unwrap();
        files.map(|file| file.unwrap().file_name().into_string().unwrap()).collect()
    };
    assert_eq!(blobs(&copied), blobs(&built.layout));
    let raw = done(&mut command(&skopeo, ["inspect", "--raw", &format!("oci:{}:1", copied.display())]));
    assert_eq!(corten_oci::Digest::of(&raw).to_string(), built.digest);
}

#[test]
fn podman_pulls_the_platform_that_it_is_asked_for() {
    let Some(podman) = debian("podman") else { return };
    let Some((_, built)) = Fixture::built(2) else { return };
    let place = new_folder("podman-index");
    for (architecture, ..) in PLATFORMS {
        let podman = |arguments: &[&str]| {
            let mut podman = command(&podman, ["--root"]);
            podman.arg(place.join("images")).arg("--runroot").arg(place.join("run")).args(["--storage-driver", "vfs"]);
            // It makes a name of the path, and in a name nothing is upper case.
            done(podman.args(arguments).current_dir(built.layout.parent().unwrap()))
        };
        let id = podman(&["pull", "--quiet", "--arch", architecture, "oci:layout:1"]);
        let inspected: Value = serde_json::from_str(&podman(&["image", "inspect", id.trim()])).unwrap();
        assert_eq!(inspected[0]["Architecture"], architecture);
    }
}

#[test]
fn each_platform_of_a_uv_lock_has_its_machine_code_and_starts() {
    each_platform(0);
}

#[test]
fn each_platform_of_a_poetry_lock_has_its_machine_code_and_starts() {
    each_platform(1);
}

#[test]
fn each_platform_of_a_stale_pdm_lock_has_its_machine_code_and_starts() {
    each_platform(2);
}

fn each_platform(at: usize) {
    let (Some(skopeo), Some(_)) = (debian("skopeo"), debian("qemu-aarch64-static")) else { return };
    let Some((fixture, built)) = Fixture::built(at) else { return };
    for (architecture, machine, triple) in PLATFORMS {
        let name: &'static str = format!("{}-{architecture}", fixture.name).leak();
        let Some(bundle) = Bundle::unpack(name, || (built.alone(&skopeo, architecture, name), "1")) else { return };
        assert_eq!(machines(&bundle.root), BTreeSet::from([machine.to_owned()]), "{name}");
        same_as_uv(&bundle.root, &fixture.pins(architecture), triple, name);
        let program = format!("import platform, {}\nprint(platform.machine())", fixture.imports);
        assert_eq!(python(&bundle, architecture, name, &["-c", &program]), format!("{triple}\n"));
    }
}

/// For which processors the programs and libraries below `root` are, as readelf reads them.
fn machines(root: &Path) -> BTreeSet<String> {
    let is_elf = |path: &PathBuf| fs::read(path).unwrap().starts_with(b"\x7fELF");
    let files = walk(root).into_iter().filter(|file| file.metadata.is_file());
    let programs: Vec<PathBuf> = files.map(|file| root.join(&file.path[1..])).filter(is_elf).collect();
    assert!(programs.len() > 50, "{}", programs.len());
    let said = done(command(Path::new("readelf"), ["--wide", "--file-header"]).args(&programs));
    let machines: Vec<_> = said.lines().filter_map(|line| line.trim().strip_prefix("Machine:")).collect();
    assert_eq!(machines.len(), programs.len());
    machines.into_iter().map(|machine| machine.trim().to_owned()).collect()
}

/// The packages against `uv pip install` of the same versions for the same platform, file by file.
fn same_as_uv(root: &Path, pins: &[String], triple: &str, name: &str) {
    let Some(uv) = xtask::peers::need("uv") else { return };
    let folder = new_folder(&format!("uv-{name}"));
    let venv = folder.join("venv");
    let uv = |arguments: &[&str]| {
        let mut uv = command(&uv, arguments);
        uv.env("UV_CACHE_DIR", folder.join("cache"));
        uv
    };
    done(uv(&["venv", "--quiet", "--python", "python3"]).arg(&venv));
    let platform = format!("{triple}-manylinux_2_36");
    let install = ["pip", "install", "--quiet", "--no-deps", "--only-binary", ":all:", "--python-platform", &platform];
    done(uv(&install).arg("--python").arg(&venv).args(pins));
    let (theirs, ours) = (installed(&venv), installed(&root.join("opt/venv")));
    assert_eq!(
        ours.difference(&theirs).chain(theirs.difference(&ours)).collect::<Vec<_>>(),
        Vec::<&String>::new(),
        "{name}: what only one of both has"
    );
    assert!(ours.len() > 300, "{}", ours.len());
    for file in ours {
        let (theirs, ours) =
            (fs::read(venv.join(&file)).unwrap(), fs::read(root.join("opt/venv").join(&file)).unwrap());
        let own = ["/INSTALLER", "/RECORD"].iter().any(|end| file.ends_with(end));
        let shebang = format!("#!{}/bin/python", venv.display());
        let theirs = match theirs.strip_prefix(shebang.as_bytes()) {
            Some(rest) => [b"#!/opt/venv/bin/python", rest].concat(),
            None => theirs,
        };
        assert!(own || ours == theirs, "{name}: {file} differs");
    }
}

/// What packages brought, without the project's own and without what makes an environment; paths below it.
fn installed(venv: &Path) -> BTreeSet<String> {
    let paths = ["bin", "lib/python3.11/site-packages"].into_iter().flat_map(|below| {
        let files = walk(&venv.join(below)).into_iter().filter(|file| !file.metadata.is_dir());
        files.map(move |file| format!("{below}{}", file.path))
    });
    let known = ["/REQUESTED", "/uv_cache.json", "/_virtualenv.py", "/_virtualenv.pth"];
    let environments = |path: &str| match path.strip_prefix("bin/") {
        Some(file) => file.contains("activate") || file.starts_with("python") || file == "pydoc.bat",
        None => {
            path.contains("/__pycache__/") || path.contains("/example_") || known.iter().any(|end| path.ends_with(end))
        }
    };
    paths.filter(|path| !environments(path)).collect()
}

/// Fails unless each file of bytecode is what this interpreter compiles; of one package, since a process may run once only.
const SAME_BYTECODE: &str = r#"
from importlib._bootstrap_external import _code_to_hash_pyc
from importlib.util import cache_from_source, source_hash
import os, platform
root, count = "/opt/venv/lib/python3.11/site-packages/", 0
for path in sorted(os.path.join(top, file) for top, _, files in os.walk(root + "pydantic") for file in files):
    if path.endswith(".py"):
        source = open(path, "rb").read()
        code = compile(source, path, "exec", dont_inherit=True)
        data = _code_to_hash_pyc(code, source_hash(source), False)
        assert data == open(cache_from_source(path), "rb").read(), path
        count += 1
        del source, code, data
assert count > 100, count
print("same on", platform.machine())
"#;

#[test]
fn bytecode_for_another_processor_is_what_its_own_python_compiles() {
    let (Some(skopeo), Some(_)) = (debian("skopeo"), debian("qemu-aarch64-static")) else { return };
    let Some((_, built)) = Fixture::built(2) else { return };
    for (architecture, _, machine) in PLATFORMS {
        let name: &'static str = format!("bytecode-{architecture}").leak();
        let Some(bundle) = Bundle::unpack(name, || (built.alone(&skopeo, architecture, name), "1")) else { return };
        let flags = ["-S", "-s", "-B", "-W", "ignore", "-c", SAME_BYTECODE];
        assert_eq!(python(&bundle, architecture, name, &flags), format!("same on {machine}\n"));
    }
}

/// Starts the image's Python with runc, as the image says but for its arguments; for another processor within qemu's user
/// mode, which is put beside it, since no kernel of a test's machine has to know about it. What it said.
fn python(bundle: &Bundle, architecture: &str, name: &'static str, arguments: &[&str]) -> String {
    let qemu = (architecture != "amd64").then(|| debian("qemu-aarch64-static"));
    let container = bundle.container(name, |config| {
        let mut all = vec!["/opt/venv/bin/python"];
        all.extend(arguments);
        if let Some(Some(qemu)) = &qemu {
            mount(config, qemu.parent().unwrap(), "/srv");
            all.insert(0, "/srv/qemu-aarch64-static");
        }
        config["process"]["env"].as_array_mut().unwrap().push("PYTHONHASHSEED=0".into());
        config["process"]["args"] = all.into();
    });
    let ran = container.run();
    assert!(ran.status.success(), "{name}: {}", said(&ran));
    said(&ran)
}
