//! `corten init`: what it writes is what a plan takes and would have taken anyway; what stands there already stays.

use std::fs;

use serde_json::{Value, json};

use crate::service::{Service, wheels};
use crate::told::refuses;

/// A service that nobody has written settings for; its store and corten.lock are there, so that no archive is asked.
fn plain() -> Service {
    let service = Service::filled();
    service.remove("corten.toml");
    service.remove("weights/model.onnx");
    fs::remove_dir_all(service.folder().join("keys")).unwrap();
    service
}

/// What a plan says of the image, but for the files that `init` itself writes.
fn planned(service: &Service) -> Value {
    let mut plan = service.run("plan --offline --format json").expect(0).json();
    plan["base"].as_object_mut().unwrap().remove("why");
    let plan = plan.as_object_mut().unwrap();
    ["largest", "ignored"].iter().for_each(|key| drop(plan.remove(*key)));
    for layer in plan["layers"].as_array_mut().unwrap() {
        layer["bytes"] = json!(null);
    }
    json!(plan)
}

#[test]
fn what_it_writes_is_what_was_found_and_changes_no_plan() {
    let service = plain();
    let (before, pyproject) = (planned(&service), service.read("pyproject.toml"));
    let ran = service.run("init").expect(0);
    assert_eq!(ran.stdout, "wrote  pyproject.toml\nnext   corten plan\n");
    let written = service.read("pyproject.toml");
    assert_eq!(
        written,
        format!(
            r#"{pyproject}
[tool.corten]
# Written by `corten init`. Lines behind a # are comments: guesses, or what is found anew each time.
# All settings: `corten schema`; which hold, and why: `corten plan --explain-settings`.
# Python 3.11.2: pinned in corten.lock (certain).
base = "debian:bookworm"
# FastAPI object 'app' at app.py:3:1 (sure). The port stands in it, too.
run = "/opt/venv/bin/python -m uvicorn app:app --host 0.0.0.0 --port 8000"
# What it listens on.
port = 8000
# A path of the service.
healthcheck = {{ path = "/health" }}
"#
        )
    );
    assert_eq!(planned(&service), before);
    assert!(!service.folder().join(".dockerignore").exists());
    let again = service.run("init").expect(0);
    assert_eq!(again.stdout, "nothing to write: what the folder shows stands there already\n");
    assert_eq!(service.read("pyproject.toml"), written);
}

#[test]
fn settings_that_stand_there_stay() {
    let service = plain();
    service.write(
        "pyproject.toml",
        format!("{}\n[tool.corten]\nport = 80\n\n[tool.x]\ny = 1\n", service.read("pyproject.toml")),
    );
    let before = service.read("pyproject.toml");
    let ran = service.run("init").expect(1);
    assert!(ran.stdout.starts_with("--- a/pyproject.toml\n+++ b/pyproject.toml\n@@ "), "{}", ran.stdout);
    assert!(ran.stdout.contains("\n-port = 80\n") && ran.stdout.contains("\n+port = 8000\n"), "{}", ran.stdout);
    let told = "error: settings stand already in [tool.corten] of pyproject.toml; nothing was written\n\
        hint: --yes writes what the difference shows; --dry-run only shows it\n";
    assert!(ran.stderr.ends_with(told), "{}", ran.stderr);
    assert_eq!(service.read("pyproject.toml"), before);
    assert_eq!(service.run("init --diff").expect(0).stdout, ran.stdout);
    let json = service.run("init --format json").expect(1).json();
    assert_eq!((&json["written"], &json["replaces"]), (&json!(false), &json!("[tool.corten] of pyproject.toml")));
    assert_eq!(service.read("pyproject.toml"), before);

    service.run("init --yes").expect(0);
    let after = service.read("pyproject.toml");
    assert!(
        after.contains("[tool.x]\ny = 1\n") && after.contains("port = 8000") && !after.contains("port = 80\n"),
        "{after}"
    );
    planned(&service);

    // Settings that nothing can read are settings, too.
    let service = plain();
    service.write("corten.toml", "prot = [");
    assert!(service.run("init").expect(1).stdout.contains("\n-prot = [\n"));
    assert_eq!(service.read("corten.toml"), "prot = [");
}

#[test]
fn a_dry_run_writes_nothing() {
    let service = plain();
    let before = service.read("pyproject.toml");
    let shown = service.run("init --dry-run").expect(0).stdout;
    assert_eq!(service.read("pyproject.toml"), before);
    // What git makes of it is what a real run writes.
    service.write("diff", shown);
    service.git("apply diff");
    service.remove("diff");
    let applied = service.read("pyproject.toml");
    service.write("pyproject.toml", before);
    service.run("init").expect(0);
    assert_eq!(service.read("pyproject.toml"), applied);
}

#[test]
fn models_get_a_layer_and_what_no_service_reads_stays_out() {
    let service = plain();
    service.write("weights/model.onnx", vec![0; 300_000]);
    for (path, text) in [
        ("tests/test_app.py", "import app\n"),
        ("docs/index.md", "words"),
        ("explore.ipynb", "{}"),
        ("data/rows.csv", &"1,2,3\n".repeat(300_000)),
        ("checkpoints/last.pt", "x"),
    ] {
        fs::create_dir_all(service.folder().join(path).parent().unwrap()).unwrap();
        service.write(path, text);
    }
    let json = service.run("init --format json").expect(0).json();
    let text = json["files"][0]["text"].as_str().unwrap();
    assert!(text.contains("weights = [\"weights/*.onnx\"]\n"), "{text}");
    assert!(text.contains("# checkpoints: 1 file, 1 B, stays out (checkpoints);"), "{text}");
    assert_eq!(
        service.read(".dockerignore"),
        "# Written by `corten init`: what no service reads. Version control, environments, caches and experiments stay out anyway.\n\
        # tests: 1 file, 11 B\ntests\n# documentation: 1 file, 5 B\ndocs\n# notebooks: 1 file, 2 B\n**/*.ipynb\n\
        # data: 1 file, 1.8 MB; take the # away if the service does not read them\n# data\n"
    );
    let plan = service.run("plan --offline --format json").expect(0).json();
    let out = plan["ignored"].as_array().unwrap().iter().find(|out| out["because"] == ".dockerignore").unwrap();
    assert_eq!(out["files"], 3);
    assert!(plan["layers"].as_array().unwrap().iter().any(|layer| layer["what"] == "weights"), "{plan}");

    // Beside a Dockerfile, which would see less by it, and where a folder is imported.
    let service = plain();
    service.write("Dockerfile", "FROM scratch\n");
    for folder in ["tests", "docs"] {
        fs::create_dir(service.folder().join(folder)).unwrap();
        service.write(&format!("{folder}/x.py"), "");
    }
    service.edit("app.py", "from fastapi", "from docs.x import y\nfrom fastapi");
    service.run("init").expect(0);
    assert!(!service.folder().join(".dockerignore").exists());
    let written = service.read("pyproject.toml");
    assert!(written.contains("ignore = { patterns = [\"tests\"] }\n"), "{written}");
    assert!(
        written.contains("# docs: documentation: 1 file, 0 B, but its name stands in pyproject.toml or an import."),
        "{written}"
    );
    planned(&service);
}

#[test]
fn a_folder_without_a_lock_is_told_what_comes_next() {
    let service = plain();
    service.remove("uv.lock");
    let ran = service.run("init").expect(0);
    assert_eq!(ran.stdout, "wrote  pyproject.toml\nnext   corten lock\nnext   corten plan\n");
    assert!(
        ran.stderr.contains("warning  there is no lock: `corten lock` makes pylock.toml of pyproject.toml"),
        "{}",
        ran.stderr
    );
    let written = service.read("pyproject.toml");
    assert!(
        !written.contains("\nbase = ") && written.contains("\nport = 8000\n"),
        "what a lock decides is not said: {written}"
    );

    let service = plain();
    for file in ["uv.lock", "pyproject.toml"] {
        service.remove(file);
    }
    service.write("requirements.txt", "fastapi\nuvicorn>=0.30  # any\n");
    let ran = service.run("init").expect(0);
    assert_eq!(ran.stdout, "wrote  corten.toml\nnext   corten lock\nnext   corten plan\n");
    assert!(service.read("corten.toml").contains("# version = \"0.1.0\"\n"));
}

#[test]
fn what_stands_in_a_plans_way_is_told_in_its_words() {
    let service = plain();
    service.write("poetry.lock", "");
    let ran = service.run("init").expect(0);
    assert!(
        ran.stderr.contains("warning  there are several locks: poetry.lock, uv.lock (say which with"),
        "{}",
        ran.stderr
    );
    let service = plain();
    service.write(".python-version", "3.13\n");
    service.remove("corten.lock");
    service.run("init").expect(0);
    let written = service.read("pyproject.toml");
    assert!(
        written.contains("# Python 3.13.5: .python-version says 3.13 (certain).\nbase = \"debian:trixie\"\n"),
        "{written}"
    );
    let service = plain();
    service.write("app.py", "x = 1\n");
    service.write("two.py", "x = 1\n");
    service.remove("app.py");
    let ran = service.run("init").expect(0);
    assert!(ran.stderr.contains("warning  cannot find how the project is started"), "{}", ran.stderr);
    assert!(!service.read("pyproject.toml").contains("\nrun ="));
}

/// Neither ends the comment or the string that it stands in.
#[test]
fn names_of_a_strangers_files_stay_names() {
    let service = plain();
    let folder = "a\n[tool.corten.env]\nEVIL = \"1\"\n#\u{1b}[2J\"";
    fs::create_dir(service.folder().join(folder)).unwrap();
    service.write(&format!("{folder}/m.onnx"), vec![0; 300_000]);
    fs::create_dir_all(service.folder().join("checkpoints")).unwrap();
    service.write("checkpoints/x\nport = 1", "");
    service.run("init").expect(0);
    let written = service.read("pyproject.toml");
    assert!(!written.contains('\u{1b}') && !written.contains("\nEVIL"), "{written}");
    planned(&service);
}

#[test]
fn folders_and_manifests_that_are_none() {
    let service = plain();
    refuses(
        &service,
        "init nowhere",
        2,
        "
error: there is no folder nowhere
hint: give the folder of a project: corten init path/to/project
",
    );
    fs::create_dir(service.folder().join("empty")).unwrap();
    refuses(
        &service,
        "init empty",
        1,
        "
error: there is no Python project in empty
hint: a project has pyproject.toml or requirements.txt, or at least a Python file
",
    );
    service.edit("pyproject.toml", "name = \"service\"", "name = [");
    refuses(
        &service,
        "init",
        1,
        r#"
error: cannot read ./pyproject.toml: unexpected `=` in array, expected value, `]`
 --> ./pyproject.toml:3:9
  |
3 | version = "1.3.0"
  |         ^
"#,
    );
}

/// A folder with a Dockerfile and requirements of the index, and nothing else that is about an image.
fn from_dockerfile(dockerfile: &str, requirements: &str) -> Service {
    let service = Service::filled();
    ["pyproject.toml", "uv.lock", "corten.toml", "corten.lock"].into_iter().for_each(|name| service.remove(name));
    let pinned = wheels().into_iter().filter(|wheel| wheel.name != "tensor");
    let lines: String = pinned
        .map(|wheel| format!("{}=={} --hash={}\n", wheel.name, wheel.version, corten_oci::Digest::of(&wheel.bytes)))
        .collect();
    service.write(requirements, format!("--index-url {}\n{lines}", service.index.url()));
    service.write("main.py", "from fastapi import FastAPI\napp = FastAPI()\n");
    service.write("train.py", "print('trained')\n");
    service.write("Dockerfile", dockerfile);
    service
}

/// What was not carried over, in the order of the lines.
fn left(ran: &corten_testkit::command::Ran) -> Vec<String> {
    let lines = ran.stderr.lines().filter_map(|line| line.split_once("not carried over: "));
    lines.map(|(_, what)| what.to_owned()).collect()
}

/// Settings of the guides' Dockerfiles: what `corten plan` makes of them, and what is left out.
#[test]
fn the_guides_dockerfiles_become_settings_that_plan() {
    let guides = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data/guides");
    if !guides.is_dir() {
        return crate::ground::not_run("the shared data are missing");
    }
    let no_user = "Dockerfile: no USER but root: the image runs as app, 10001";
    let cuda = "Dockerfile:7: FROM nvidia/cuda:12.2.0-runtime-ubuntu22.04: the base that fits the lock takes its place; base = \"nvidia/cuda:12.2.0-runtime-ubuntu22.04\" takes that image, where its registry is in reach";
    for (guide, requirements, command, port, not_carried) in [
        ("api", "requirements.txt", "uvicorn main:app --host 0.0.0.0 --port 8000", Some("8000/tcp"), vec![no_user]),
        (
            "fastapi-service",
            "requirements.txt",
            "python -m uvicorn app:app --host 0.0.0.0 --port 8000",
            Some("8000/tcp"),
            vec![],
        ),
        ("train-job", "requirements-train.txt", "python train.py", None, vec![no_user]),
        ("gpu-train", "requirements.txt", "python3 train.py", None, vec![no_user, cuda]),
    ] {
        let text = std::fs::read_to_string(guides.join(guide).join("Dockerfile")).unwrap();
        let service = from_dockerfile(&text, requirements);
        let ran = service.run("init --from-dockerfile").expect(0);
        assert_eq!(left(&ran), not_carried, "{guide}");
        let settings = service.read("corten.toml");
        not_carried.iter().for_each(|what| assert!(settings.contains(&format!("#   {what}\n")), "{settings}"));
        // The archive and the index of the tests.
        service.write("corten.toml", format!("{settings}{}", service.settings("")));
        let plan = service.run("plan --format json").expect(0).json();
        let names: Vec<&str> =
            plan["packages"].as_array().unwrap().iter().map(|one| one["name"].as_str().unwrap()).collect();
        assert_eq!(names, ["fastapi", "uvicorn"], "{guide}");
        let built = service.digest("build");
        let config = service.run(&format!("inspect {built} --format json")).expect(0).json();
        let config = &config["image"]["config"];
        let started: Vec<&str> = ["entrypoint", "cmd"]
            .iter()
            .flat_map(|part| config[part].as_array().into_iter().flatten())
            .map(|word| word.as_str().unwrap())
            .collect();
        assert!(started.join(" ").ends_with(command), "{guide}: {started:?} {config}");
        assert_eq!(config["ports"].as_array().unwrap().first().and_then(|port| port.as_str()), port, "{guide}");
        if guide == "fastapi-service" {
            assert_eq!(config["healthcheck"]["interval"], 30_000_000_000_u64, "{config}");
            assert_eq!(config["healthcheck"]["test"][0], "CMD");
            assert!(settings.contains("build-packages = [\"build-essential\"]\n"), "{settings}");
        }
    }
}

const ALL: &str = r#"FROM python:3.11.9-slim
ARG LEVEL=info
ENV PATH=/opt/tool/bin:$PATH PIP_NO_CACHE_DIR=1 LOG_LEVEL=$LEVEL
LABEL com.example.team="language"
SHELL ["/bin/bash", "-c"]
RUN apt-get update && apt-get install -y ffmpeg libgl1=1.6.0-1 libpq-dev && curl -sSL https://example.org/x -o /x
WORKDIR /srv
COPY requirements.txt .
RUN pip install -r requirements.txt && pip install gunicorn==22
COPY . .
COPY nginx.conf /etc/nginx/nginx.conf
COPY service /opt/service
ADD https://example.org/model.onnx /models/
VOLUME /data
EXPOSE 9000 9001/udp
STOPSIGNAL SIGINT
USER 1000
HEALTHCHECK CMD curl -f http://localhost:9000/health || exit 1
ENTRYPOINT ["tini", "--"]
CMD exec uvicorn main:app --port 9000
"#;

#[test]
fn what_settings_cannot_say_is_listed_with_its_line() {
    let service = from_dockerfile(ALL, "requirements.txt");
    service.write("nginx.conf", "x");
    let ran = service.run("init --from-dockerfile").expect(0);
    assert_eq!(
        left(&ran),
        [
            "Dockerfile:1: FROM python:3.11.9-slim: its Python is 3.11.2, not 3.11.9",
            "Dockerfile:3: ENV PATH with /opt/tool/bin: the image's has /opt/venv/bin and the usual folders",
            "Dockerfile:3: ENV PIP_NO_CACHE_DIR: only an installer reads it",
            "Dockerfile:5: SHELL: no command is run while the image is made",
            "Dockerfile:6: RUN curl -sSL https://example.org/x -o /x: nothing runs while the image is made",
            "Dockerfile:6: apt-get install libgl1=1.6.0-1: corten.lock pins the version that the archive has",
            "Dockerfile:9: pip install gunicorn==22: put them into the project's dependencies, and lock",
            "Dockerfile:12: COPY service to /opt/service: it lies in /srv/service",
            "Dockerfile:13: ADD https://example.org/model.onnx: `weights` fetches models by address, nothing else is fetched",
            "Dockerfile:14: VOLUME /data: whoever runs the image mounts it",
            "Dockerfile:15: EXPOSE 9001/udp: an image has one port",
            "Dockerfile:16: STOPSIGNAL SIGINT: the image ends by SIGTERM",
            "Dockerfile:17: USER 1000: the user's number is always 10001",
        ]
    );
    let settings = service.read("corten.toml");
    let said: Vec<&str> = settings.lines().filter(|line| !line.starts_with('#')).collect();
    assert_eq!(
        said,
        [
            "base = \"debian:bookworm\"",
            "extra-files = [{ from = \"nginx.conf\", to = \"/etc/nginx/nginx.conf\" }]",
            "lock = \"requirements.txt\"",
            "packages = [\"ffmpeg\", \"libgl1\"]",
            "build-packages = [\"libpq-dev\"]",
            "workdir = \"/srv\"",
            "env = { LOG_LEVEL = \"info\" }",
            "entrypoint = \"tini --\"",
            "run = \"uvicorn main:app --port 9000\"",
            "port = 9000",
            "healthcheck = { path = \"/health\" }",
            "labels = { \"com.example.team\" = \"language\" }",
        ]
    );
    service.run("plan --explain-settings --format json").expect(0);
}

#[test]
fn settings_that_are_there_stay_until_somebody_says_so() {
    let service = from_dockerfile("FROM python:3.13\nCMD [\"python\", \"train.py\"]\n", "requirements.txt");
    service.write("corten.toml", "port = false\n");
    let ran = service.run("init --from-dockerfile").expect(1);
    assert!(
        ran.stderr.ends_with("error: settings stand already in corten.toml; nothing was written\nhint: --yes writes what the difference shows; --dry-run only shows it\n"),
        "{}",
        ran.stderr
    );
    assert!(
        ran.stdout.contains("-port = false\n") && ran.stdout.contains("+base = \"debian:trixie\"\n"),
        "{}",
        ran.stdout
    );
    assert_eq!(service.read("corten.toml"), "port = false\n");
    service.run("init --from-dockerfile --yes").expect(0);
    assert!(service.read("corten.toml").contains("run = \"python train.py\"\n"));
    service.remove("Dockerfile");
    let ran = service.run("init --from-dockerfile").expect(2);
    assert_eq!(
        ran.stderr,
        "error: reading ./Dockerfile: No such file or directory (os error 2)\nhint: --from-dockerfile FILE names another one\n"
    );
    let ran = service.run("init --from-dockerfile service").expect(2);
    assert_eq!(ran.stderr, "error: reading service: it is no file\nhint: --from-dockerfile FILE names another one\n");
    service.write("other", "FORM x\nRUNN y\n");
    let ran = service.run("init --from-dockerfile other").expect(1);
    assert!(ran.stderr.contains("other:1:1") && ran.stderr.contains("other:2:1"), "{}", ran.stderr);
}

/// What the Dockerfile of a folder says, without its comments.
fn instructions(service: &Service) -> String {
    let text = service.read("Dockerfile");
    text.lines().filter(|line| !line.starts_with('#')).map(|line| format!("{line}\n")).collect()
}

/// Corten's own reader finds no mistake in it.
fn is_read(service: &Service) {
    service.run("build --call check -f Dockerfile .").expect(0);
}

#[test]
fn a_dockerfile_starts_what_the_native_image_starts() {
    let service = plain();
    let ran = service.run("init --dockerfile --compose --offline").expect(0);
    assert_eq!(
        ran.stdout,
        "wrote  pyproject.toml\nwrote  Dockerfile\nwrote  .dockerignore\nwrote  compose.yaml\nnext   corten plan\nnext   corten build -f Dockerfile .\n"
    );
    assert!(ran.stderr.contains("workload  API  (sure: it listens)"), "{}", ran.stderr);
    is_read(&service);
    let text = instructions(&service);
    let built = service.digest("build");
    let config = service.run(&format!("inspect {built} --format json")).expect(0).json();
    let config = &config["image"]["config"];
    let json = |words: &Value| {
        let words: Vec<String> = words.as_array().unwrap().iter().map(|word| word.to_string()).collect();
        format!("[{}]", words.join(", "))
    };
    for line in [
        "FROM python:3.11-slim-bookworm AS build\n".to_owned(),
        "    uv sync --locked --no-dev --no-editable --no-install-project\n".to_owned(),
        "COPY --from=build /opt/venv /opt/venv\n".to_owned(),
        format!("USER {}\n", config["user"].as_str().unwrap()),
        "EXPOSE 8000\n".to_owned(),
        format!("CMD {}\n", json(&config["cmd"])),
        format!("    CMD {}\n", json(&json!(config["healthcheck"]["test"].as_array().unwrap()[1..]))),
    ] {
        assert!(text.contains(&line), "{line}\n{text}");
    }
    for variable in config["env"].as_array().unwrap() {
        assert!(text.contains(variable.as_str().unwrap()), "{variable}: {text}");
    }
    let compose = service.read("compose.yaml");
    assert!(compose.contains("    build: .\n    image: \"service:1.3.0\"\n"), "{compose}");
    assert!(compose.contains("      - \"127.0.0.1:8000:8000\"\n"), "{compose}");
    assert!(!compose.contains("redis") && !compose.contains("nvidia") && !compose.contains("version:"), "{compose}");
    let ignored = service.read(".dockerignore");
    for pattern in ["**/.env", "**/.git", "**/.venv", "**/__pycache__", "wandb", "**/mlruns", "checkpoints"] {
        assert!(ignored.contains(&format!("\n{pattern}\n")), "{ignored}");
    }
    // The settings still decide how the folder is built, and again there is nothing to write.
    assert!(service.run("build").expect(0).stderr.contains("native: layers from the lock"));
    let again = service.run("init --dockerfile --compose --offline").expect(0);
    assert_eq!(again.stdout, "nothing to write: what the folder shows stands there already\n");
}

#[test]
fn files_that_are_there_are_replaced_only_when_somebody_says_so() {
    let service = plain();
    service.write("corten.toml", "port = 9000\npackages = [\"ffmpeg\"]\nbuild-packages = [\"gcc\"]\n");
    service.write("Dockerfile", "FROM scratch\n");
    service.write("docker-compose.yml", "services: {}\n");
    let ran = service.run("init --dockerfile --compose --offline").expect(1);
    assert!(
        ran.stderr.ends_with(
            "error: there already: Dockerfile, docker-compose.yml; nothing was written\nhint: --yes writes what the difference shows; --dry-run only shows it\n"
        ),
        "{}",
        ran.stderr
    );
    assert!(ran.stdout.contains("-FROM scratch\n") && ran.stdout.contains("+USER 10001:10001\n"), "{}", ran.stdout);
    assert_eq!(service.read("Dockerfile"), "FROM scratch\n");
    assert!(!service.folder().join(".dockerignore").exists());

    service.run("init --dockerfile --compose --offline --yes").expect(0);
    let text = instructions(&service);
    assert!(text.contains("EXPOSE 9000\n") && text.contains(":9000'") | text.contains("9000"), "{text}");
    assert_eq!(
        (text.matches("        ffmpeg \\\n").count(), text.matches("        gcc \\\n").count()),
        (1, 1),
        "{text}"
    );
    assert!(service.read("docker-compose.yml").contains("127.0.0.1:9000:9000"));
    assert_eq!(service.read("corten.toml").lines().next(), Some("port = 9000"), "settings stay");
    is_read(&service);
}

#[test]
fn weights_have_a_layer_apart_from_the_code_in_a_dockerfile_too() {
    let service = plain();
    service.write("weights/model.onnx", vec![0; 300_000]);
    service.run("init --dockerfile --offline").expect(0);
    let text = instructions(&service);
    assert!(text.contains("COPY weights/*.onnx weights/\nCOPY --exclude=weights/*.onnx . .\n"), "{text}");
    is_read(&service);
}

/// A training job: GPU, shared memory, folders, and no port.
#[test]
fn a_training_job_gets_a_gpu_and_shared_memory() {
    let service = plain();
    service.remove("uv.lock");
    service.remove("app.py");
    service.write("pyproject.toml", "[project]\nname = \"trainer\"\nversion = \"0.2.0\"\nrequires-python = \">=3.12\"\ndependencies = [\"torch\", \"redis\", \"psycopg[binary]\"]\n");
    service.write(
        "train.py",
        "import os\nfrom torch.utils.data import DataLoader\nif __name__ == '__main__':\n    loss.backward()\n    save('checkpoints/last.pt', open('data'))\n",
    );
    let ran = service.run("init --dockerfile --compose --offline").expect(0);
    assert!(
        ran.stderr.contains("workload  GPU training  (a guess: train.py has .backward, and torch is for GPUs)"),
        "{}",
        ran.stderr
    );
    is_read(&service);
    let text = instructions(&service);
    assert!(text.contains("FROM python:3.13-slim-trixie AS build\n") && !text.contains("nvidia/cuda"), "{text}");
    assert!(text.contains("NVIDIA_DRIVER_CAPABILITIES=compute,utility"), "{text}");
    assert!(!text.contains("EXPOSE") && !text.contains("HEALTHCHECK"), "{text}");
    assert!(
        service
            .read("Dockerfile")
            .contains("# The base: The wheels bring CUDA and cuDNN; a base of nvidia/cuda would hold both twice."),
        "{}",
        service.read("Dockerfile")
    );
    let compose = service.read("compose.yaml");
    for line in [
        "    shm_size: 8gb\n",
        "              capabilities: [gpu]\n",
        "      - \"./data:/app/data:ro\"\n",
        "      - \"./checkpoints:/app/checkpoints\"\n",
        "      REDIS_URL: redis://redis:6379/0\n",
        "  postgres:\n    image: postgres:17-alpine\n",
        "      POSTGRES_PASSWORD: ${POSTGRES_PASSWORD:?",
        "        condition: service_healthy\n",
    ] {
        assert!(compose.contains(line), "{line}\n{compose}");
    }
    assert!(!compose.contains("ports:"), "{compose}");
}

/// Nothing says what is needed but the code.
#[test]
fn imports_of_notebooks_become_requirements_that_somebody_has_to_look_at() {
    let service = plain();
    ["pyproject.toml", "uv.lock", "app.py"].into_iter().for_each(|name| service.remove(name));
    service.write("main.py", "import json, yaml\nimport helper\nif __name__ == '__main__':\n    pass\n");
    service.write("helper.py", "import sklearn\n");
    service.write("a.ipynb", r##"{"cells": [{"cell_type": "code", "source": ["import cv2\n"]}]}"##);
    let ran = service.run("init").expect(0);
    assert!(
        ran.stdout.contains("wrote  requirements.in\n") && ran.stdout.contains("next   corten lock\n"),
        "{}",
        ran.stdout
    );
    assert!(
        ran.stderr.contains("imports  opencv-python-headless pyyaml scikit-learn  (a guess: imported"),
        "{}",
        ran.stderr
    );
    assert_eq!(
        service.read("requirements.in"),
        "# Written by `corten init`: what sources and notebooks import, by the names that the packages usually have.\n\
        opencv-python-headless  # a.ipynb\npyyaml  # main.py\nscikit-learn  # helper.py\n"
    );
}

#[test]
fn what_no_dockerfile_can_install_or_start_is_refused() {
    let service = plain();
    service.write("app.py", "x = 1\n");
    service.write("two.py", "x = 1\n");
    service.remove("app.py");
    let ran = service.run("init --dockerfile --offline").expect(1);
    assert!(
        ran.stderr.contains("error: no Dockerfile and no compose.yaml can be written: cannot find how"),
        "{}",
        ran.stderr
    );
    assert!(ran.stderr.contains("hint: `run` in the settings says what is started"), "{}", ran.stderr);
    assert!(!service.folder().join("Dockerfile").exists());
    let service = plain();
    ["pyproject.toml", "uv.lock", "app.py"].into_iter().for_each(|name| service.remove(name));
    service.write("main.py", "if __name__ == '__main__':\n    pass\n");
    service.write("environment.yml", "dependencies:\n  - python=3.11\n  - numpy\n");
    let ran = service.run("init --dockerfile --offline").expect(1);
    assert!(ran.stderr.contains("error: no Dockerfile can be written"), "{}", ran.stderr);
}
