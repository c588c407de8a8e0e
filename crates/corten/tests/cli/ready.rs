//! `corten check`: the checklist of a production image, of a lock, a Dockerfile and an image.

use std::fs;

use corten_testkit::command::Ran;
use corten_testkit::registry::FakeRegistry;
use serde_json::Value;

use crate::dockerfile::Place;
use crate::oci::Image;
use crate::registry_bases::{based, habits, put};
use crate::service::Service;
use crate::told::refuses;

/// The answers by point: `user=yes` …
fn answers(ran: &Ran) -> Vec<String> {
    let json = ran.json();
    let points = json["points"].as_array().unwrap().iter();
    points.map(|one| format!("{}={}", one["point"].as_str().unwrap(), one["answer"].as_str().unwrap())).collect()
}

fn point(ran: &Ran, name: &str) -> Value {
    let json = ran.json();
    json["points"].as_array().unwrap().iter().find(|one| one["point"] == name).unwrap().clone()
}

fn commit(service: &Service) {
    ["init -q", "add .", "commit -qm first"].into_iter().for_each(|line| service.git(line));
}

#[test]
fn a_lock_is_judged_before_anything_is_built() {
    let service = Service::filled();
    let ran = service.run("check --offline --format json").expect(0);
    assert_eq!(
        answers(&ran),
        [
            "stages=yes",
            "user=yes",
            "health=yes",
            "size=yes",
            "tags=no",
            "base=yes",
            "digest=yes",
            "sbom=unknown",
            "cache=yes",
            "secrets=yes",
            "data=yes",
            "lock=yes",
            "python=yes",
            "licences=unknown"
        ],
        "{}",
        ran.stdout
    );
    assert_eq!(point(&ran, "user")["evidence"], "the config says 10001:10001");
    let tags = point(&ran, "tags");
    assert_eq!(
        (tags["evidence"].as_str().unwrap(), tags["mend"].as_str().unwrap()),
        ("no commit: the tags would be 1.3.0 and sha-local", "git init && git commit")
    );
    assert!(service.run("check --offline").expect(0).stdout.contains("yes            the config says 10001:10001\n"));

    // Not built yet, and nothing pinned.
    let service = Service::new();
    let ran = service.run("check --format json").expect(0);
    let all = answers(&ran);
    for answer in ["digest=unknown", "base=no", "sbom=unknown"] {
        assert!(all.iter().any(|one| one == answer), "{all:?}");
    }
    assert_eq!(service.run("images --format json").expect(0).json(), serde_json::json!([]), "nothing was built");

    // What is committed has its tags, what was shipped its bill of materials.
    let service = Service::filled();
    commit(&service);
    service.run("ship").expect(0);
    let all = answers(&service.run("check --offline --format json").expect(0));
    for answer in ["tags=yes", "sbom=yes", "digest=yes"] {
        assert!(all.iter().any(|one| one == answer), "{all:?}");
    }
}

#[test]
fn the_policy_decides_which_answers_cost() {
    let service = Service::filled();
    assert!(service.run("check --offline --strict").expect(1).stdout.contains("tags  no "));
    let require = |points: &str| {
        service.write("corten.toml", service.settings(&format!("check = {{ require = [{points}] }}\n")));
        service.run("check --offline --format json")
    };
    require("'user', 'base'").expect(0);
    let ran = require("'sbom'").expect(1);
    assert_eq!((&point(&ran, "sbom")["denied"], &ran.json()["passed"]), (&Value::from(true), &Value::from(false)));
    let told = require("'speed'").expect(2).stderr;
    assert!(told.contains("expected one of all, stages, user"), "{told}");
    service.write("id_rsa", "x\n");
    service.write("corten.toml", service.settings(""));
    let ran = service.run("check --offline --format json").expect(1);
    let secrets = point(&ran, "secrets");
    assert_eq!((&secrets["answer"], &secrets["denied"]), (&Value::from("no"), &Value::from(true)));
    assert!(secrets["evidence"].as_str().unwrap().starts_with("ML142: 'id_rsa' is called like"), "{secrets}");
}

#[test]
fn licences_are_judged_where_wheels_were_read() {
    let service = Service::filled();
    let with = |licences: &str| {
        service.write("corten.toml", service.settings(&format!("check = {{ licences = {{ {licences} }} }}\n")));
    };
    with("allow = ['MIT'], except = ['Tensor', 'uvicorn']");
    let ran = service.run("check --build --offline --format json").expect(0);
    assert_eq!(point(&ran, "licences")["answer"], "yes");
    with("deny = ['MIT']");
    let ran = service.run("check --build --offline").expect(1);
    assert!(ran.stderr.contains("error: ML203 fastapi 0.115.0 is under MIT\n"), "{}", ran.stderr);
    assert!(service.run("build --offline").expect(1).stderr.contains("the image does not pass its checks: ML203"));
    with("allow = ['MIT']");
    let told = service.run("check --build --offline").expect(1).stderr;
    assert!(told.contains("error: ML203 uvicorn 0.34.0 does not say under which licence it is\n"), "{told}");
}

/// Python 3.11 ends 2027-10-31 (PEP 664). Debian goes on mending its own.
#[test]
fn a_python_past_its_end_is_told() {
    const LAST_DAY: &str = "1825027199";
    const DAY_AFTER: &str = "1825027200";
    let on = |service: &Service, day: &str, line: &str| {
        let mut command = service.corten.command(&service.folder());
        Ran::from(command.args(line.split(' ')).env("SOURCE_DATE_EPOCH", day).output().unwrap())
    };
    let registry = FakeRegistry::start(habits());
    put(&registry, "ml/python", "1", &Image::python().make());
    let service = based(&registry, &format!("{}/ml/python:1", registry.place()));
    let told = "ML202 Python 3.11 has had its last security fix (2027-10-31)";
    assert!(!on(&service, LAST_DAY, "build").expect(0).stderr.contains("ML202"));
    let ran = on(&service, DAY_AFTER, "build").expect(0).stderr;
    assert!(ran.contains(&format!("warning: {told}\n --> ./corten.toml:1:8\n")), "{ran}");
    let before = on(&service, LAST_DAY, "check --format json").expect(0);
    assert_eq!(point(&before, "python")["answer"], "yes");
    let after = on(&service, DAY_AFTER, "check --format json").expect(0);
    assert_eq!(point(&after, "python")["answer"], "no");
    assert!(point(&after, "python")["evidence"].as_str().unwrap().starts_with("ML202: Python 3.11 has"));

    let service = Service::filled();
    assert_eq!(point(&on(&service, DAY_AFTER, "check --offline --format json"), "python")["answer"], "yes");
    assert!(!on(&service, DAY_AFTER, "build --offline").expect(0).stderr.contains("ML202"));
}

const SINGLE: &str = "FROM python:3.11-slim
WORKDIR /app
COPY . .
RUN apt-get update && apt-get install -y gcc && pip install -r requirements.txt
EXPOSE 8000
CMD [\"python\", \"main.py\"]
";

#[test]
fn a_dockerfile_is_judged_by_what_it_says_and_what_it_is_sent() {
    let service = Service::filled();
    ["corten.toml", "corten.lock", "pyproject.toml", "uv.lock", "app.py"]
        .into_iter()
        .for_each(|name| service.remove(name));
    service.write("Dockerfile", SINGLE);
    service.write("requirements.txt", "numpy>=2\npandas==2.3.0\n");
    service.write("id_rsa", "x");
    let ran = service.run("check --format json").expect(1);
    let all = answers(&ran);
    for answer in
        ["stages=no", "user=no", "health=no", "base=no", "secrets=no", "lock=no", "digest=unknown", "sbom=unknown"]
    {
        assert!(all.iter().any(|one| one == answer), "{answer}: {all:?}");
    }
    assert_eq!(point(&ran, "lock")["evidence"], "ML201: 'numpy' names no version (./requirements.txt:1:1)");
    assert!(point(&ran, "secrets")["evidence"].as_str().unwrap().starts_with("ML142: 'id_rsa' is called"), "{all:?}");

    service.edit("Dockerfile", "python:3.11-slim", "python:3.8");
    let python = point(&service.run("check --format json"), "python");
    assert_eq!(python["answer"], "no");
    assert_eq!(python["evidence"], "ML109: Python 3.8 has had no fixes since 2024-10-07 (./Dockerfile:1:6)");

    // What `init` writes has none of that.
    service.remove("id_rsa");
    service.remove("Dockerfile");
    service.write("requirements.txt", "pandas==2.3.0\n");
    service.write("main.py", "if __name__ == '__main__':\n    pass\n");
    service.run("init --dockerfile --offline").expect(0);
    service.remove("corten.toml");
    let ran = service.run("check --frontend dockerfile --format json").expect(0);
    let all = answers(&ran);
    for answer in ["stages=yes", "user=yes", "health=yes", "cache=yes", "secrets=yes", "lock=yes", "tags=unknown"] {
        assert!(all.iter().any(|one| one == answer), "{answer}: {}", ran.stdout);
    }
    assert_eq!(
        service.run("check --build --frontend dockerfile").expect(2).stderr.lines().last(),
        Some("hint: corten build -t NAME:VERSION . && corten check NAME:VERSION")
    );
    for flag in ["--locked", "--frozen", "--group dev", "--extra gpu"] {
        let name = flag.split(' ').next().unwrap();
        let said = format!(
            "error: {name} is for locks, and this is built from its Dockerfile\nhint: --frontend native takes the lock\n"
        );
        refuses(&service, &format!("check --frontend dockerfile {flag}"), 2, &said);
    }
    for flag in ["--driver 580", "--gpu H100"] {
        let name = flag.split(' ').next().unwrap();
        let said = format!(
            "error: {name}: a Dockerfile is read and not built here, so that nothing is known of its libraries\nhint: corten build -t NAME:VERSION . && corten gpu check NAME:VERSION\n"
        );
        refuses(&service, &format!("check --frontend dockerfile {flag}"), 2, &said);
    }
}

/// What COPY takes is judged, whichever way it names it, and nothing else.
#[test]
fn files_that_a_dockerfile_copies_are_judged_wherever_they_lie() {
    let service = Service::filled();
    ["corten.toml", "corten.lock", "pyproject.toml", "uv.lock"].into_iter().for_each(|name| service.remove(name));
    fs::create_dir(service.folder().join("src")).unwrap();
    service.write("src/.env", "KEY=x");
    service.write("src/a.py", "");
    let secrets = |lines: &str| {
        service.write("Dockerfile", format!("FROM python:3.13-slim AS base\n{lines}CMD [\"python\"]\n"));
        let ran = service.run("check --format json");
        let secrets = point(&ran, "secrets");
        (secrets["answer"].as_str().unwrap().to_owned(), secrets["evidence"].as_str().unwrap().to_owned())
    };
    let told = "ML142: 'src/.env' is called like";
    for copy in [
        "COPY src/ /app/\n",
        "COPY src /app/\n",
        "COPY * /app/\n",
        "COPY ./* /app/\n",
        "COPY s?c /app/\n",
        "COPY . /app/\n",
    ] {
        let (answer, evidence) = secrets(copy);
        assert!(answer == "no" && evidence.starts_with(told), "{copy}: {answer}, {evidence}");
    }
    for (copy, files) in [("COPY src/*.py /app/\n", 1), ("COPY app.py /app/\n", 1), ("COPY srcs /app/\n", 0)] {
        let evidence = format!("no name among {files} files that are copied, and no variable, is a secret's");
        assert_eq!(secrets(copy), ("yes".to_owned(), evidence), "{copy}");
    }
    let (answer, evidence) = secrets("COPY . /app/\nFROM python:3.13-slim\nCOPY --from=base /app /app\n");
    assert_eq!(
        (answer.as_str(), evidence.as_str()),
        ("unknown", "a stage takes 'src/.env', and from a stage files are copied")
    );
    let (answer, _) = secrets("COPY . /app/\nFROM python:3.13-slim\nCOPY src/a.py /app/\n");
    assert_eq!(answer, "yes", "the stage is not used");
}

#[test]
fn a_file_that_is_not_there_pins_nothing() {
    let service = Service::filled();
    ["corten.toml", "corten.lock", "pyproject.toml", "uv.lock"].into_iter().for_each(|name| service.remove(name));
    fs::create_dir(service.folder().join("deps")).unwrap();
    service.write("a.txt", "-r deps/more.txt\nnumpy==2.1.0\n");
    service.write("b.txt", "pandas==2.3.0\n");
    let lock = |run: &str, more: &str| {
        service.write("deps/more.txt", more);
        service.write(
            "Dockerfile",
            format!("FROM python:3.13-slim\nRUN {run}\nHEALTHCHECK NONE\nEXPOSE 80\nCMD [\"python\"]\n"),
        );
        let ran = service.run("check --format json");
        assert_eq!(point(&ran, "health")["answer"], "no", "HEALTHCHECK NONE is none");
        let lock = point(&ran, "lock");
        (lock["answer"].as_str().unwrap().to_owned(), lock["evidence"].as_str().unwrap().to_owned())
    };
    let is = |answer: &str, evidence: &str| (answer.to_owned(), evidence.to_owned());
    let both = "pip install -r a.txt -r b.txt";
    assert_eq!(lock(both, "six==1.17.0\n"), is("yes", "what is installed is pinned in a.txt, b.txt, deps/more.txt"));
    assert_eq!(lock(both, "six==1.*\n"), is("no", "ML201: 'six' names no version (./deps/more.txt:1:1)"));
    assert_eq!(lock(both, "-r ../b.txt\n").0, "yes");
    for file in ["../../b.txt", "/etc/hostname"] {
        let evidence = format!("{file} is not in .: what it pins is not known");
        assert_eq!(lock(both, &format!("-r {file}\n")), is("unknown", &evidence));
    }
    assert_eq!(lock(both, "-c less.txt\n"), is("unknown", "deps/less.txt is not in .: what it pins is not known"));
    // Wherever the image has it.
    fs::create_dir(service.folder().join("requirements")).unwrap();
    service.write("requirements/base.txt", "-r ../b.txt\n");
    for folder in ["", "./", "/tmp/", "'/srv/app/"] {
        let pinned = is("yes", "what is installed is pinned in b.txt, requirements/base.txt");
        let end = if folder.starts_with('\'') { "'" } else { "" };
        assert_eq!(lock(&format!("pip install -r {folder}requirements/base.txt{end}"), ""), pinned, "{folder}");
    }
    for (run, name) in [("pip install -r requirements/prod.txt", "prod.txt"), ("uv sync --locked", "uv.lock")] {
        assert_eq!(lock(run, ""), is("unknown", &format!("{name} is not in .: what it pins is not known")), "{run}");
    }
}

#[test]
fn an_image_of_the_store_is_judged_by_its_documents_and_files() {
    let service = Service::filled();
    commit(&service);
    service.run("ship").expect(0);
    let ran = service.run("check service:1.3.0 --format json").expect(0);
    assert_eq!(
        answers(&ran),
        [
            "stages=yes",
            "user=yes",
            "health=yes",
            "size=yes",
            "tags=yes",
            "base=yes",
            "digest=yes",
            "sbom=yes",
            "cache=yes",
            "secrets=yes",
            "data=yes",
            "lock=unknown",
            "python=yes",
            "licences=unknown"
        ],
        "{}",
        ran.stdout
    );
    assert_eq!(point(&ran, "python")["evidence"], "Python 3.11.2 of Debian, which mends it");
    refuses(
        &service,
        "check ./nowhere",
        2,
        "
error: there is no folder ./nowhere
hint: give the folder of a project, or the name of an image: corten check NAME:VERSION
",
    );
    for flag in ["--locked", "--frozen", "--group dev", "--extra gpu"] {
        let name = flag.split(' ').next().unwrap();
        let said = format!(
            "error: {name} is for folders, and service:1.3.0 is the name of an image\nhint: give the folder of a project: corten check path/to/project\n"
        );
        refuses(&service, &format!("check service:1.3.0 {flag}"), 2, &said);
    }
    for flag in ["--driver 580", "--gpu H100"] {
        let name = flag.split(' ').next().unwrap();
        let said = format!(
            "error: {name} is for folders, and service:1.3.0 is the name of an image\nhint: corten gpu check service:1.3.0 says whether its CUDA fits\n"
        );
        refuses(&service, &format!("check service:1.3.0 {flag}"), 2, &said);
    }
    let told = service.run("check nothing:1 --offline").expect(1).stderr;
    assert!(told.contains("there is no image 'nothing:1' in the store"), "{told}");
    fs::create_dir(service.folder().join("empty")).unwrap();
    assert!(service.run("check empty").expect(1).stderr.contains("there is nothing to build"));
}

/// Guides put projects into /usr/src/app; what packages bring is not looked at for secrets.
#[test]
fn a_secret_file_of_an_image_is_found_where_projects_lie() {
    let place = Place::new();
    place.write("secret", "KEY=1");
    for (path, is_told) in [
        ("/usr/src/app/.env", true),
        ("/usr/src/app/deep/id_rsa", true),
        ("/var/task/.env", true),
        ("/srv/.env", true),
        ("/usr/src/other/.env", false),
        ("/usr/lib/node_modules/x/.env", false),
        ("/usr/src/app/site-packages/x/.env", false),
    ] {
        place.write("Dockerfile", format!("FROM scratch\nCOPY secret {path}\nUSER 1000\n"));
        place.run("build -t app:1").expect(0);
        let ran = place.run("check app:1 --format json").expect(i32::from(is_told));
        let secrets = point(&ran, "secrets");
        assert_eq!(secrets["answer"], if is_told { "no" } else { "yes" }, "{path}: {secrets}");
        let told = format!("ML142: '{}' is called like a file that holds secrets", path.trim_start_matches('/'));
        assert_eq!(secrets["evidence"].as_str().unwrap().starts_with(&told), is_told, "{path}: {secrets}");
    }
}

#[test]
fn a_secret_variable_of_an_image_is_found_and_its_value_never_shown() {
    let place = Place::new();
    let token = "hf_AbCdEfGhIjKlMnOpQrStUvWxYz01234567";
    for (variable, value, told) in [
        ("DB_PASSWORD", "hunter2hunter2", Some("the variable DB_PASSWORD is called like a secret")),
        ("GREETING", token, Some("the variable GREETING has a token of Hugging Face (hf_…)")),
        ("DSN", "postgres://app:hunter22@db/x", Some("the variable DSN has a password in an address")),
        ("DB_PASSWORD_FILE", "/run/secrets/db", None),
        ("MAX_NEW_TOKENS", "512", None),
        ("HF_TOKEN", "", None),
        ("DSN", "postgres://db/x", None),
    ] {
        place.write("Dockerfile", format!("FROM scratch\nENV A=1 {variable}=\"{value}\"\nUSER 1000\n"));
        place.run("build -t app:1").expect(0);
        let ran = place.run("check app:1 --format json").expect(0);
        let secrets = point(&ran, "secrets");
        assert_eq!(secrets["answer"], if told.is_some() { "no" } else { "yes" }, "{variable}: {secrets}");
        if let Some(told) = told {
            assert_eq!(secrets["evidence"], told);
            place.run("check app:1 --strict").expect(1);
            let all = place.run("check app:1").expect(0);
            assert!(!format!("{}{}{}", ran.stdout, all.stdout, all.stderr).contains(value), "{variable}");
        }
    }
}
