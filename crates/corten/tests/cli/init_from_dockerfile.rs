//! `corten init --from-dockerfile`: what a Dockerfile says becomes settings, and what they cannot say is listed.

use crate::service::{Service, wheels};

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

/// A letter of several bytes at the limit was cut in two, and the file was said to be no text.
#[test]
fn a_dockerfile_without_an_end_is_one_error_and_writes_nothing() {
    let service = from_dockerfile("FROM python:3.13\n", "requirements.txt");
    let hint = "hint: --from-dockerfile FILE names another one\n";
    let larger = format!("error: reading ./Dockerfile: it is larger than 4 MiB, which no Dockerfile is\n{hint}");
    for comment in ["# a comment\n", "#é\n", "# é\n", "#\u{1f40b}\n"] {
        service.write("Dockerfile", format!("FROM python:3.13\n{}", comment.repeat((4 << 20) / comment.len())));
        assert_eq!(service.run("init --from-dockerfile").expect(1).stderr, larger, "{comment}");
    }
    service.write("Dockerfile", vec![b'x'; 5 << 20]);
    assert_eq!(service.run("init --from-dockerfile").expect(1).stderr, larger);
    service.write("Dockerfile", b"FROM python:3.13\n# \xff\n");
    let no_text = format!("error: reading ./Dockerfile: it is no text in UTF-8\n{hint}");
    assert_eq!(service.run("init --from-dockerfile").expect(1).stderr, no_text);
    assert!(!service.folder().join("corten.toml").exists());
    // The largest that is read.
    let first = "FROM python:3.13\nCMD [\"python\", \"train.py\"]\n#";
    service.write("Dockerfile", format!("{first}{}\n", "x".repeat((4 << 20) - first.len() - 1)));
    service.run("init --from-dockerfile").expect(0);
    assert!(service.read("corten.toml").contains("run = \"python train.py\"\n"));
}
