//! The Dockerfiles of practitioners' guides (`../shared/data/guides`): built on bases that `corten base build` makes, compared
//! with what BuildKit makes of them, and run.
//!
//! | guide | packages of apt | packages of pip |
//! |---|---|---|
//! | `api`, `fastapi-service` | Debian's own | PyPI's |
//! | `train-job` | none | PyPI's |
//! | `gpu-train` | empty ones, in a folder of the base | PyPI's |
//!
//! `gpu-train` asks for `python3-dev` and `python3-pip` with all that they recommend, in both of its stages: half a gigabyte of compilers
//! three times over, of which the image would show what `api`'s compiler shows.
//!
//! Names of `nvidia/cuda` stand for the same base. Where this machine's certificates are not the world's, the bases have them.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use crate::buildkit::{Work, compare};
use crate::image::corten;
use crate::place::{command, done, ended, folder, new_folder, said};

const GUIDES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/data/guides");
const PYTHON: &str = "python:3.11-slim";

/// The guides, where they are.
fn guides() -> Option<&'static Path> {
    let folder = Path::new(GUIDES);
    if !folder.is_dir() {
        assert!(std::env::var_os("CI").is_none(), "{GUIDES} is not there");
        println!("skipped: {GUIDES} is not there");
        return None;
    }
    Some(folder)
}

/// In the home of [`crate::buildkit::build`].
pub fn dockerfiles(arguments: &[&str]) -> std::process::Command {
    let mut command = corten(arguments);
    command.env("CORTEN_HOME", folder().join("home-dockerfiles"));
    command
}

/// Of this machine, where they are others than the world's.
pub fn certificates() -> Option<std::ffi::OsString> {
    std::env::var_os("SSL_CERT_FILE")
}

/// An image by a name, as a layout.
fn layout_of(context: &Path, name: &str) -> PathBuf {
    let layout = context.join("layout");
    let output = format!("type=oci,tar=false,dest={}", layout.display());
    done(dockerfiles(&["build", "--progress", "plain", "-t", name, "-o", &output]).arg(context));
    layout
}

/// Of Docker's own images of Debian: what a build loses with the machine need not be on the disk.
const FAST: &str = "force-unsafe-io\n";

/// `python:3.11-slim` of Debian's archive, with this machine's certificates where a variable names them. pip's bytecode has no times
/// in it, so that it can be compared.
pub fn python() -> &'static Path {
    static BASE: OnceLock<PathBuf> = OnceLock::new();
    BASE.get_or_init(|| {
        done(&mut dockerfiles(&["base", "build", PYTHON]));
        let context = new_folder("guides-python");
        let mut text = format!(
            "FROM {PYTHON}\nENV SOURCE_DATE_EPOCH=1600000000\nCOPY fast /etc/dpkg/dpkg.cfg.d/docker-apt-speedup\n"
        );
        fs::write(context.join("fast"), FAST).unwrap();
        if let Some(certificates) = certificates() {
            fs::copy(certificates, context.join("ca-certificates.crt")).unwrap();
            fs::write(context.join("pip.conf"), "[global]\ncert = /etc/ssl/certs/ca-certificates.crt\n").unwrap();
            text += "COPY ca-certificates.crt /etc/ssl/certs/\nCOPY pip.conf /etc/\n";
        }
        fs::write(context.join("Dockerfile"), text).unwrap();
        layout_of(&context, "guides-python:1")
    })
}

/// The same, whose apt knows empty packages of these names alone.
fn light() -> &'static Path {
    static BASE: OnceLock<PathBuf> = OnceLock::new();
    BASE.get_or_init(|| {
        python();
        let context = new_folder("guides-light");
        fs::create_dir(context.join("packages")).unwrap();
        let names = ["python3-pip", "python3-dev"];
        let index: String = names.iter().map(|name| package(&context, name)).collect();
        fs::write(context.join("packages/Packages"), index).unwrap();
        fs::write(context.join("sources.list"), "deb [trusted=yes] file:/opt/packages ./\n").unwrap();
        let text = "FROM guides-python:1\nCOPY packages /opt/packages\nCOPY sources.list /etc/apt/\n";
        fs::write(context.join("Dockerfile"), text).unwrap();
        layout_of(&context, "guides-light:1")
    })
}

/// Makes an empty package; its part of the index.
fn package(context: &Path, name: &str) -> String {
    let tree = context.join(format!("tree-{name}"));
    fs::create_dir_all(tree.join("DEBIAN")).unwrap();
    let control = format!(
        "Package: {name}\nVersion: 99\nArchitecture: all\nMaintainer: tests <tests@example.org>\nDescription: empty\n"
    );
    fs::write(tree.join("DEBIAN/control"), &control).unwrap();
    let file = context.join(format!("packages/{name}.deb"));
    done(command(Path::new("dpkg-deb"), ["--root-owner-group", "--build"]).arg(&tree).arg(&file));
    fs::remove_dir_all(&tree).unwrap();
    let bytes = fs::read(&file).unwrap();
    let digest = corten_oci::Digest::of(&bytes);
    format!("{control}Filename: ./{name}.deb\nSize: {}\nSHA256: {}\n\n", bytes.len(), digest.hex())
}

/// One guide: its context, its bases, what its image is called.
struct Guide {
    name: &'static str,
    files: &'static [(&'static str, &'static str)],
    bases: &'static [&'static str],
    base: fn() -> &'static Path,
}

impl Guide {
    /// Builds it with both, and compares; the name of Corten's image. None where there is nothing to compare with.
    fn compared(&self) -> Option<String> {
        let guide = guides()?.join(self.name);
        let context = new_folder(&format!("guides-{}", self.name));
        for (path, text) in self.files {
            fs::write(context.join(path), text).unwrap();
        }
        for file in ["Dockerfile", ".dockerignore"] {
            // There is no registry for BuildKit to take a frontend from.
            let Ok(text) = fs::read_to_string(guide.join(file)) else { continue };
            let lines = text.lines().filter(|line| !line.starts_with("# syntax"));
            fs::write(context.join(file), lines.map(|line| format!("{line}\n")).collect::<String>()).unwrap();
        }
        let base = (self.base)();
        let image = format!("guides-{}:1", self.name);
        let contexts = self.bases.iter().map(|name| ((*name).to_owned(), base.to_owned())).collect();
        let work = Work { context, contexts, flags: vec!["-t".into(), image.clone()], ..Work::default() };
        let found = compare(&work)?;
        assert!(found.is_empty(), "{}", found.join("\n"));
        self.with_its_first_line(&guide, &work);
        Some(image)
    }

    /// The file as it stands in the guide is the same image, all of it made before.
    fn with_its_first_line(&self, guide: &Path, work: &Work) {
        let mut build = dockerfiles(&["build", "--format", "json", "-f"]);
        build.arg(guide.join("Dockerfile"));
        for (name, layout) in &work.contexts {
            build.args(["--build-context".to_owned(), format!("{name}=oci-layout://{}", layout.display())]);
        }
        let built: serde_json::Value = serde_json::from_str(&done(build.arg(&work.context))).unwrap();
        let steps = built["steps"].as_array().unwrap();
        assert!(steps.iter().all(|step| step["cached"] == true), "{built:#}");
    }
}

fn ran(arguments: &[&str]) -> String {
    let output = ended(&mut dockerfiles(&[&["run", "--rm"], arguments].concat()));
    assert!(output.status.success(), "{arguments:?}: {}", said(&output));
    String::from_utf8(output.stdout).unwrap()
}

/// Starts the image's own command, and asks as its health check does.
const SERVES: &str = r#"
import json, os, subprocess, sys, time, urllib.request
service = subprocess.Popen(json.loads(sys.argv[1]))
for _ in range(600):
    try:
        print(os.getuid(), urllib.request.urlopen("http://127.0.0.1:8000/").read().decode(), sep=" ")
        break
    except OSError:
        if service.poll() is not None: sys.exit("the service ended")
        time.sleep(0.05)
else: sys.exit("the service does not answer")
service.terminate()
"#;

#[test]
fn a_multi_stage_service_is_what_buildkit_makes_and_serves_as_its_user() {
    let guide = Guide {
        name: "fastapi-service",
        files: &[
            ("requirements.txt", "fastapi==0.115.12\nuvicorn==0.34.2\n"),
            ("app.py", "import fastapi\napp = fastapi.FastAPI()\n@app.get('/')\ndef root(): return {'ok': True}\n"),
            (".env", "SECRET=hunter2\n"),
        ],
        bases: &[PYTHON],
        base: python,
    };
    let Some(image) = guide.compared() else { return };
    let command = r#"["python","-m","uvicorn","app:app","--host","0.0.0.0","--port","8000"]"#;
    let told = ran(&["--network", "none", &image, "python", "-c", SERVES, command]);
    assert_eq!(told.lines().last(), Some(r#"10001 {"ok":true}"#), "{told}");
    // What the ignore file names is not there.
    let kept = ran(&[&image, "sh", "-c", "ls -A /app; test ! -e /wheels"]);
    assert!(kept.contains("app.py") && !kept.contains(".env"), "{kept}");
}

#[test]
fn a_training_job_is_what_buildkit_makes_and_takes_its_variables() {
    let guide = Guide {
        name: "train-job",
        files: &[
            ("requirements-train.txt", "tqdm==4.67.1\n"),
            (
                "train.py",
                "import os, tqdm\nfor epoch in tqdm.tqdm(range(int(os.environ['EPOCHS']))): pass\nprint(epoch, os.environ['LR'])\n",
            ),
        ],
        bases: &[PYTHON],
        base: python,
    };
    let Some(image) = guide.compared() else { return };
    assert_eq!(ran(&["-e", "EPOCHS=3", "-e", "LR=0.001", &image]), "2 0.001\n");
}

/// With Debian's own compiler.
#[test]
fn an_api_with_debian_s_packages_is_what_buildkit_makes() {
    let guide = Guide {
        name: "api",
        files: &[
            ("requirements.txt", "uvicorn==0.34.2\n"),
            (
                "main.py",
                "async def app(scope, receive, send):\n    if scope['type'] == 'lifespan':\n        await receive(); await send({'type': 'lifespan.startup.complete'}); await receive(); return\n    await send({'type': 'http.response.start', 'status': 200, 'headers': []})\n    await send({'type': 'http.response.body', 'body': b'well'})\n",
            ),
        ],
        bases: &[PYTHON],
        base: python,
    };
    let Some(image) = guide.compared() else { return };
    let command = r#"["uvicorn", "main:app", "--host", "0.0.0.0", "--port", "8000"]"#;
    let told = ran(&["--network", "none", &image, "python", "-c", SERVES, command]);
    assert_eq!(told.lines().last(), Some("0 well"), "{told}");
    assert!(ran(&[&image, "sh", "-c", "gcc --version; pg_config --version"]).contains("PostgreSQL 15"));
}

#[test]
fn a_cuda_job_on_another_s_base_is_what_buildkit_makes() {
    let guide = Guide {
        name: "gpu-train",
        files: &[("requirements.txt", "tqdm==4.67.1\n"), ("train.py", "print('trained')\n")],
        bases: &["nvidia/cuda:12.2.0-devel-ubuntu22.04", "nvidia/cuda:12.2.0-runtime-ubuntu22.04"],
        base: light,
    };
    let Some(image) = guide.compared() else { return };
    assert_eq!(ran(&[&image]), "trained\n");
    // What `pip --prefix=/install` made is found, as with a Python that was built for /usr/local.
    let found = ran(&[&image, "python3", "-c", "import tqdm; print(tqdm.__file__)"]);
    assert_eq!(found, "/usr/local/lib/python3.11/site-packages/tqdm/__init__.py\n");
    assert!(ran(&[&image, "tqdm", "--version"]).starts_with("4.67.1"));
}

/// Every way in which pip is told where to put packages, and stages copy them: each is where Docker's image has it.
const PLACES: &str = r#"FROM python:3.11-slim AS builder
COPY wheels /wheels
ENV PIP_NO_INDEX=1 PIP_FIND_LINKS=/wheels PIP_ROOT_USER_ACTION=ignore
RUN pip install --prefix=/install small && pip install --target=/target small && pip install --root=/root-of small
RUN pip install --user small && test -f /root/.local/lib/python3.11/site-packages/small.py && pip uninstall -y small
RUN python -m venv /venv && /venv/bin/pip install small && test "$(/venv/bin/small)" = /venv/lib/python3.11/site-packages/small.py
RUN python -c "import sysconfig as s; print(s.get_path('purelib'), s.get_path('scripts'), s.get_path('include'))" > /paths
RUN pip install small && pip list | grep small && pip uninstall -y small && pip install small && python -m pip check
RUN cp -r /wheels/tree /tree && pip install --no-deps --no-build-isolation -e /tree && python -c "import editable"
RUN find / -xdev -name __pycache__ -prune -o -path '*small*' -name '*small*' -print | grep -v -e /wheels -e /proc | sort > /found

FROM python:3.11-slim
COPY --from=builder /install /usr/local
COPY --from=builder /paths /found /

FROM python:3.11-slim AS copied
COPY --from=builder /usr/local/lib/python3.11/site-packages /usr/local/lib/python3.11/site-packages
COPY --from=builder /usr/local/bin /usr/local/bin
"#;

#[test]
fn packages_of_pip_lie_where_stages_copy_them_from() {
    use corten_testkit::wheel::WheelBuilder;
    python();
    let context = new_folder("guides-places");
    let wheel = WheelBuilder::new("small", "1.0").file("small.py", "def main(): print(__file__)\n");
    let wheel = wheel.entry_points("[console_scripts]\nsmall = small:main\n");
    fs::create_dir_all(context.join("wheels/tree")).unwrap();
    fs::write(context.join("wheels").join(wheel.file_name()), wheel.build()).unwrap();
    fs::write(context.join("wheels/tree/editable.py"), "").unwrap();
    let setup = "from setuptools import setup\nsetup(name='editable', version='1', py_modules=['editable'])\n";
    fs::write(context.join("wheels/tree/setup.py"), setup).unwrap();
    fs::write(context.join("Dockerfile"), PLACES.replace(PYTHON, "guides-python:1")).unwrap();
    for (target, name) in [("1", "guides-places:1"), ("copied", "guides-places:2")] {
        done(dockerfiles(&["build", "--progress", "plain", "-t", name, "--target", target]).arg(&context));
        assert_eq!(ran(&[name, "small"]), "/usr/local/lib/python3.11/site-packages/small.py\n", "{name}");
        let first = ran(&[name, "head", "-n1", "/usr/local/bin/small"]);
        assert!(
            ["#!/usr/local/bin/python\n", "#!/usr/local/bin/python3.11\n", "#!/usr/local/bin/python3\n"]
                .contains(&&*first),
            "{first}"
        );
    }
    let told = ran(&["guides-places:1", "cat", "/paths", "/found"]);
    let mut told = told.lines();
    let paths = told.next().unwrap();
    assert_eq!(paths, "/usr/local/lib/python3.11/site-packages /usr/local/bin /usr/include/python3.11");
    let expected = [
        "/install/bin/small",
        "/install/lib/python3.11/site-packages/small-1.0.dist-info",
        "/install/lib/python3.11/site-packages/small.py",
        "/root-of/usr/local/bin/small",
        "/root-of/usr/local/lib/python3.11/site-packages/small-1.0.dist-info",
        "/root-of/usr/local/lib/python3.11/site-packages/small.py",
        "/target/bin/small",
        "/target/small-1.0.dist-info",
        "/target/small.py",
        "/usr/local/bin/small",
        "/usr/local/lib/python3.11/site-packages/small-1.0.dist-info",
        "/usr/local/lib/python3.11/site-packages/small.py",
        "/venv/bin/small",
        "/venv/lib/python3.11/site-packages/small-1.0.dist-info",
        "/venv/lib/python3.11/site-packages/small.py",
    ];
    assert_eq!(told.collect::<Vec<_>>(), expected);
}
