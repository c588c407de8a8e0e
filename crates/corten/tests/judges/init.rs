//! What `corten init` writes, before others: hadolint finds nothing in the Dockerfile, Docker's compose reads compose.yaml, and
//! BuildKit and Corten build the Dockerfile to the same image, which starts as its user.
//!
//! | workload | project |
//! |---|---|
//! | API | FastAPI with requirements.txt |
//! | CPU inference | the example text-classifier, with uv.lock and weights |
//! | batch job | the example batch-score, with uv.lock |
//! | command line program | a package of its own with a console script, with uv.lock |
//! | batch job | two files, with pdm.lock: the pdm of PyPI installs |
//! | GPU training, GPU inference | read by hadolint and compose alone: their wheels are gigabytes |

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use crate::buildkit::{Work, compare};
use crate::guides::{certificates, dockerfiles, python};
use crate::place::{command, done, ended, new_folder, said};

const EXAMPLES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../examples");
const BASE: &str = "python:3.11-slim-bookworm";

/// [`python`] whose uv trusts this machine's certificates, too.
fn base() -> &'static Path {
    static BASE: OnceLock<PathBuf> = OnceLock::new();
    BASE.get_or_init(|| {
        python();
        let context = new_folder("init-python");
        let trust = certificates().map_or("", |_| "ENV SSL_CERT_FILE=/etc/ssl/certs/ca-certificates.crt\n");
        fs::write(context.join("Dockerfile"), format!("FROM guides-python:1\n{trust}")).unwrap();
        let layout = context.join("layout");
        let output = format!("type=oci,tar=false,dest={}", layout.display());
        done(dockerfiles(&["build", "--progress", "plain", "-t", "init-python:1", "-o", &output]).arg(&context));
        layout
    })
}

/// A project's folder with what `init` writes, read by hadolint and compose.
fn written(context: &Path) {
    done(dockerfiles(&["init", "--dockerfile", "--compose", "--offline", "--yes"]).arg(context));
    if let Some(hadolint) = xtask::peers::need("hadolint") {
        let ran = ended(command(&hadolint, ["Dockerfile"]).current_dir(context));
        assert!(ran.status.success() && ran.stdout.is_empty(), "{}", said(&ran));
    }
    if let Some(compose) = xtask::peers::need("docker-compose") {
        let mut read = command(&compose, ["config", "--quiet"]);
        let ran = ended(read.current_dir(context).env("POSTGRES_PASSWORD", "x"));
        assert!(ran.status.success(), "{}", said(&ran));
    }
}

fn project(name: &str, files: &[(&str, &str)]) -> PathBuf {
    let context = new_folder(&format!("init-{name}"));
    for (path, text) in files {
        let path = context.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    context
}

/// A copy of an example, without the files that `init` writes.
fn example(name: &str) -> PathBuf {
    let context = new_folder(&format!("init-{name}"));
    done(command(Path::new("cp"), ["-r"]).arg(format!("{EXAMPLES}/{name}/.")).arg(&context));
    fs::remove_file(context.join("Dockerfile")).unwrap();
    context
}

/// Built by both, the same; the name of Corten's.
fn built(name: &str, context: &Path) -> Option<String> {
    written(context);
    let image = format!("init-{name}:1");
    let contexts = vec![(BASE.to_owned(), base().to_owned())];
    let mut flags = vec!["-t".to_owned(), image.clone()];
    flags.extend(["--frontend".to_owned(), "dockerfile".to_owned()]);
    let work = Work { context: context.to_owned(), contexts, flags, ..Work::default() };
    let found = compare(&work)?;
    assert!(found.is_empty(), "{}", found.join("\n"));
    Some(image)
}

fn ran(arguments: &[&str]) -> String {
    let output = ended(&mut dockerfiles(&[&["run", "--rm"], arguments].concat()));
    assert!(output.status.success(), "{arguments:?}: {}", said(&output));
    String::from_utf8(output.stdout).unwrap()
}

/// Starts the service, asks its health as its image does.
const SERVES: &str = r#"
import json, os, subprocess, sys, time
service, probe = subprocess.Popen(json.loads(sys.argv[1])), json.loads(sys.argv[2])
for _ in range(600):
    if subprocess.run(probe, stderr=subprocess.DEVNULL).returncode == 0:
        print(os.getuid(), "healthy")
        break
    if service.poll() is not None: sys.exit("the service ended")
    time.sleep(0.05)
else: sys.exit("the service is not healthy")
service.terminate()
"#;

fn serves(image: &str) {
    let seen = done(&mut dockerfiles(&["inspect", image, "--format", "json"]));
    let seen: serde_json::Value = serde_json::from_str(&seen).unwrap();
    let config = &seen["image"]["config"];
    let probe = serde_json::Value::from(config["healthcheck"]["test"].as_array().unwrap()[1..].to_vec());
    let told = ran(&[
        "--network",
        "none",
        "--read-only",
        "--tmpfs",
        "/tmp",
        image,
        "/opt/venv/bin/python",
        "-c",
        SERVES,
        &config["cmd"].to_string(),
        &probe.to_string(),
    ]);
    assert_eq!(told.lines().last(), Some("10001 healthy"), "{told}");
}

#[test]
fn an_api_builds_and_is_healthy_as_its_user() {
    let files = [
        ("requirements.txt", "fastapi==0.115.12\nuvicorn==0.34.2\n"),
        (
            "main.py",
            "import fastapi\napp = fastapi.FastAPI()\n@app.get('/health')\ndef health(): return {'ok': True}\n",
        ),
    ];
    let Some(image) = built("api", &project("api", &files)) else { return };
    serves(&image);
}

#[test]
fn cpu_inference_builds_and_is_healthy_as_its_user() {
    let Some(image) = built("text-classifier", &example("text-classifier")) else { return };
    serves(&image);
}

#[test]
fn a_batch_job_builds_and_starts() {
    let Some(image) = built("batch-score", &example("batch-score")) else { return };
    let output = ended(&mut dockerfiles(&[
        "run",
        "--rm",
        &image,
        "/opt/venv/bin/python",
        "-c",
        "import numpy, pandas, os; print(os.getuid())",
    ]));
    assert_eq!(String::from_utf8_lossy(&output.stdout), "10001\n", "{}", said(&output));
}

#[test]
fn a_command_line_program_builds_and_answers() {
    let files = [
        (
            "pyproject.toml",
            "[project]\nname = \"greeter\"\nversion = \"0.1.0\"\nrequires-python = \">=3.11\"\n[project.scripts]\ngreeter = \"greeter:main\"\n[build-system]\nrequires = [\"uv_build\"]\nbuild-backend = \"uv_build\"\n",
        ),
        (
            "uv.lock",
            "version = 1\nrevision = 3\nrequires-python = \">=3.11\"\n\n[[package]]\nname = \"greeter\"\nversion = \"0.1.0\"\nsource = { editable = \".\" }\n",
        ),
        ("src/greeter/__init__.py", "import sys\n\ndef main():\n    print('hello', *sys.argv[1:])\n"),
    ];
    let Some(image) = built("cli", &project("cli", &files)) else { return };
    assert_eq!(ran(&[&image]), "hello\n");
}

/// As `pdm lock` of pdm 2.28.2 wrote it.
const PDM_LOCK: &str = r#"# This file is @generated by PDM.
# It is not intended for manual editing.

[metadata]
groups = ["default"]
strategy = ["inherit_metadata"]
lock_version = "4.5.1"
content_hash = "sha256:2d28633ef8e1e24f3a122fdce494635b53dd1bc8e480e0655cc0a00ad3ed3325"

[[metadata.targets]]
requires_python = ">=3.11"

[[package]]
name = "h11"
version = "0.16.0"
requires_python = ">=3.8"
summary = "A pure-Python, bring-your-own-I/O implementation of HTTP/1.1"
groups = ["default"]
files = [
    {file = "h11-0.16.0-py3-none-any.whl", hash = "sha256:63cf8bbe7522de3bf65932fda1d9c2772064ffb3dae62d55932da54b31cb6c86"},
    {file = "h11-0.16.0.tar.gz", hash = "sha256:4e35b956cf45792e4caa5885e69fba00bdbc6ffafbfa020300e549b208ee5ff1"},
]
"#;

#[test]
fn a_lock_of_pdm_is_installed_by_pdm_and_compiled() {
    let files = [
        (
            "pyproject.toml",
            "[project]\nname = \"job\"\nversion = \"1.0.0\"\nrequires-python = \">=3.11\"\ndependencies = [\"h11==0.16.0\"]\n",
        ),
        ("pdm.lock", PDM_LOCK),
        (
            "main.py",
            "import h11, os\nif __name__ == '__main__':\n    print(h11.__version__, os.getuid(), h11.__cached__)\n",
        ),
    ];
    let Some(image) = built("pdm", &project("pdm", &files)) else { return };
    let compiled = "/opt/venv/lib/python3.11/site-packages/h11/__pycache__/__init__.cpython-311.pyc";
    assert_eq!(ran(&[&image]), format!("0.16.0 10001 {compiled}\n"));
    ran(&[&image, "/opt/venv/bin/python", "-c", &format!("open('{compiled}')")]);
}

#[test]
fn what_is_for_gpus_is_read_by_hadolint_and_compose() {
    let context = project(
        "gpu-train",
        &[
            ("requirements.txt", "torch==2.9.1\nnvidia-cublas-cu12==12.8.4.1\nredis==6.0.0\npsycopg==3.2.9\n"),
            (
                "train.py",
                "import torch\nif __name__ == '__main__':\n    loss.backward()\n    open('checkpoints/x', 'w')\n",
            ),
        ],
    );
    written(&context);
    let compose = fs::read_to_string(context.join("compose.yaml")).unwrap();
    assert!(compose.contains("capabilities: [gpu]") && compose.contains("shm_size"), "{compose}");
    let inference = example("gpu-infer");
    written(&inference);
    assert!(fs::read_to_string(inference.join("compose.yaml")).unwrap().contains("driver: nvidia"));
}
