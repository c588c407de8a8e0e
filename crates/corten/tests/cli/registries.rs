//! Images go to a registry and come back, and registries are logged in to.

use std::fs;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Stdio};

use corten_oci::Digest;
use corten_testkit::command::{Corten, Ran};
use corten_testkit::http::Answer;
use corten_testkit::registry::{FakeRegistry, Fault, Habits, Kind, Lock};
use serde_json::{Value, json};

use crate::service::{Service, corten};
use crate::told::told;

const SECRET: &str = "s3cr:et/canary";

fn habits() -> Habits {
    Habits { referrers: true, mounts: true, ..Habits::default() }
}

fn locked() -> Habits {
    Habits { lock: Lock::Basic("me", SECRET), ..habits() }
}

/// A service that is published to a repository of the registry.
fn published_at(registry: &FakeRegistry, path: &str) -> Service {
    let service = Service::filled();
    let settings = format!("{}\n[publish]\nrepository = \"{}/{path}\"\n", service.settings(""), registry.place());
    service.write("corten.toml", settings);
    service
}

/// `ran` with the registry's place taken off.
#[track_caller]
fn refuses(service: &Service, registry: &FakeRegistry, ran: Ran, status: i32, expected: &str) {
    let place = |text: String| text.replace(&registry.place(), "REGISTRY");
    told(service, &Ran { status: ran.status, stdout: ran.stdout, stderr: place(ran.stderr) }, status, expected);
}

fn login(corten: &Corten, line: &str, password: &str) -> Ran {
    let mut command = corten.command(corten.home());
    command.args(line.split(' ')).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    child.stdin.take().unwrap().write_all(password.as_bytes()).unwrap();
    child.wait_with_output().unwrap().into()
}

/// No file below the folder has the text.
fn nowhere(folder: &Path, text: &str) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            nowhere(&path, text);
        } else {
            let bytes = fs::read(&path).unwrap();
            assert!(!bytes.windows(text.len()).any(|part| part == text.as_bytes()), "{}", path.display());
        }
    }
}

#[test]
fn what_is_shipped_to_a_registry_comes_back_whole_with_what_hangs_on_it() {
    let registry = FakeRegistry::start(habits());
    let service = published_at(&registry, "team/service");
    let shipped = service.run("ship --push --format json").expect(0).json();
    let digest: Digest = shipped["digest"].as_str().unwrap().parse().unwrap();
    let published: Vec<&str> = shipped["published"].as_array().unwrap().iter().map(|it| it.as_str().unwrap()).collect();
    assert!(!published.is_empty());
    for reference in &published {
        let tag = reference.split('@').next().unwrap().rsplit(':').next().unwrap();
        assert_eq!(registry.tag("team/service", tag), Some(digest), "{reference}");
        assert!(reference.ends_with(&digest.to_string()));
    }
    assert_eq!((registry.torn(), registry.breaches()), (vec![], vec![]));

    let name = published[0].split('@').next().unwrap();
    let other = corten();
    let run = |line: &str| other.run(other.home(), line.split(' '));
    let pulled = run(&format!("pull {name} --format json")).expect(0).json();
    assert_eq!((pulled["digest"].as_str(), pulled["there"]["blobs"].as_u64()), (shipped["digest"].as_str(), Some(0)));
    assert_eq!(run(&format!("resolve {name}")).expect(0).stdout.trim(), digest.to_string());
    assert_eq!(run(&format!("sbom {name}")).expect(0).stdout, service.run(&format!("sbom {digest}")).stdout);
    run("store verify").expect(0);
    let again = run(&format!("pull {name} --format json")).expect(0).json();
    assert_eq!(again["fetched"]["blobs"], 0);
}

#[test]
fn only_what_a_registry_lacks_is_sent_to_it() {
    let registry = FakeRegistry::start(habits());
    let service = published_at(&registry, "team/service");
    service.run("ship --push").expect(0);
    let sent = |ran: Ran| -> (u64, u64, u64) {
        let pushed = ran.expect(0).json()["pushed"][0].clone();
        let bytes = |name: &str| pushed[name]["bytes"].as_u64().unwrap();
        (bytes("sent"), bytes("mounted"), bytes("there"))
    };
    let digest = service.digest("build");
    let push = |to: &str| sent(service.run(&format!("push {digest} {}/{to} --format json", registry.place())));
    let (first, mounted, all) = push("team/service:again");
    assert_eq!((first, mounted), (0, 0));
    // Another repository of the same registry: nothing is sent, all is mounted.
    assert_eq!(push("other/place:1").0, 0);
    assert_eq!(push("other/place:1"), (0, 0, all));
    // One line of the project: its layer, its config.
    service.edit("app.py", "FastAPI", "FastAPI ");
    let digest = service.digest("build");
    let (new, _, there) =
        sent(service.run(&format!("push {digest} {}/team/service:2 --format json", registry.place())));
    assert!(new > 0 && new < 20_000 && there > 1_000_000, "{new} {there}");
    assert_eq!((registry.torn(), registry.breaches()), (vec![], vec![]));
}

#[test]
fn several_platforms_go_up_as_one_and_one_comes_down() {
    let registry = FakeRegistry::start(habits());
    let service = Service::new();
    service.archive.publish_for(&["amd64", "arm64"]);
    crate::bases::without_tensor(&service);
    let built = service.run("build --platform linux/amd64,linux/arm64 --format json").expect(0).json();
    let name = format!("{}/service:1", registry.place());
    service.run(&format!("push {} {name}", built["digest"].as_str().unwrap())).expect(0);
    let pull = |platform: &str| -> Value {
        let other = corten();
        let line = format!("pull {name} --format json --platform {platform}");
        let pulled = other.run(other.home(), line.split(' ')).expect(0).json();
        other.run(other.home(), ["store", "verify"]).expect(0);
        pulled["digest"].clone()
    };
    assert_eq!(pull("linux/arm64"), built["platforms"][1]["digest"]);
    assert_eq!(pull("all"), built["digest"]);
}

#[test]
fn a_login_is_kept_where_docker_keeps_it_and_nowhere_else() {
    let registry = FakeRegistry::start(locked());
    let service = published_at(&registry, "service");
    let docker = service.corten.home().join(".docker/config.json");
    fs::create_dir_all(docker.parent().unwrap()).unwrap();
    fs::write(&docker, r#"{"psFormat":"x","auths":{"other.example":{"auth":"bzpw"}}}"#).unwrap();
    let line = format!("login {} --username me --password-stdin", registry.place());

    let denied = "error: logging in at REGISTRY: 127.0.0.1 refuses: one may not do this under this name (UNAUTHORIZED: unauthorized it is)
hint: log in with `corten login REGISTRY`, as somebody who may do this";
    refuses(&service, &registry, login(&service.corten, &line, "wrong\n"), 3, denied);
    assert!(!fs::read_to_string(&docker).unwrap().contains(&registry.place()), "what is wrong is not kept");

    login(&service.corten, &line, &format!("{SECRET}\n")).expect(0);
    let kept: Value = serde_json::from_slice(&fs::read(&docker).unwrap()).unwrap();
    assert_eq!((&kept["psFormat"], &kept["auths"]["other.example"]), (&json!("x"), &json!({"auth": "bzpw"})));
    assert_eq!(fs::metadata(&docker).unwrap().permissions().mode() & 0o777, 0o600);
    let ran = service.run("ship --push").expect(0);
    assert!(!ran.stderr.contains(SECRET) && !ran.stdout.contains(SECRET));
    nowhere(&service.corten.store(), SECRET);

    service.run(&format!("logout {}", registry.place())).expect(0);
    let kept: Value = serde_json::from_slice(&fs::read(&docker).unwrap()).unwrap();
    assert_eq!(kept["auths"], json!({"other.example": {"auth": "bzpw"}}));
    let nobody = "error: asking for a blob of REGISTRY/service: 127.0.0.1 refuses: it wants to know who asks
hint: log in with `corten login REGISTRY`, as somebody who may do this";
    refuses(&service, &registry, service.run("ship --push"), 3, nobody);
}

/// A helper that keeps what it is told in a file beside it.
const HELPER: &str = r#"#!/bin/sh
read -r input
case $1 in
    store) printf '%s' "$input" > "$0.kept" ;;
    erase) rm "$0.kept" ;;
    get) cat "$0.kept" 2>/dev/null || { echo 'credentials not found in native keychain'; exit 1; } ;;
esac
"#;

#[test]
fn a_helper_keeps_what_docker_would_have_it_keep() {
    let registry = FakeRegistry::start(locked());
    let programs = tempfile::tempdir().unwrap();
    let helper = programs.path().join("docker-credential-fake");
    let write = |text: &str| {
        fs::write(&helper, text).unwrap();
        fs::set_permissions(&helper, fs::Permissions::from_mode(0o755)).unwrap();
    };
    write(HELPER);
    let path = format!("{}:{}", programs.path().display(), std::env::var("PATH").unwrap());
    let corten = corten().env("PATH", &path);
    let docker = corten.home().join(".docker/config.json");
    fs::create_dir_all(docker.parent().unwrap()).unwrap();
    fs::write(&docker, r#"{"credsStore":"fake"}"#).unwrap();
    let run = |line: &str| corten.run(corten.home(), line.split(' '));
    let name = format!("{}/a:1", registry.place());

    login(&corten, &format!("login {} -u me --password-stdin", registry.place()), SECRET).expect(0);
    assert!(!fs::read_to_string(&docker).unwrap().contains("auth"), "the password is the helper's alone");
    let missing = run(&format!("resolve {name}"));
    assert!(missing.stderr.contains("error: there is no "), "let in: {}", missing.stderr);
    run(&format!("logout {}", registry.place())).expect(0);
    assert!(run(&format!("resolve {name}")).stderr.contains("it wants to know who asks"));

    for (text, expected) in [
        ("#!/bin/sh\necho boom; exit 1", "docker-credential-fake does not give the credentials of REGISTRY: boom"),
        ("#!/bin/sh\necho '{}'", "docker-credential-fake gave for REGISTRY what is no answer of such a program"),
        ("#!/bin/sh\nexec yes", "docker-credential-fake says more than 65536 bytes"),
    ] {
        write(text);
        let ran = run(&format!("resolve {name}"));
        assert_eq!(
            (ran.status, ran.stderr.trim().replace(&registry.place(), "REGISTRY")),
            (3, format!("error: {expected}"))
        );
    }
    fs::write(&docker, r#"{"credsStore":"x/../../fake"}"#).unwrap();
    for line in [format!("resolve {name}"), format!("logout {}", registry.place())] {
        let ran = run(&line);
        assert!(ran.status == 3 && ran.stderr.contains("'x/../../fake' is no name of a credential helper"), "{ran:?}");
    }
    fs::write(&docker, r#"{"credsStore":"fake"}"#).unwrap();
    fs::remove_file(&helper).unwrap();
    let ran = run(&format!("resolve {name}"));
    let expected = "error: docker-credential-fake, which the settings of docker name, is not installed";
    assert_eq!((ran.status, ran.stderr.trim()), (3, expected));
}

/// The helper that Debian has, with pass and GnuPG behind it.
#[test]
fn docker_credential_pass_keeps_what_it_is_told() {
    let programs = ["docker-credential-pass", "pass", "gpg", "gpgconf"];
    if programs.iter().any(|program| xtask::peers::installed(program).is_none()) {
        return;
    }
    let registry = FakeRegistry::start(locked());
    let corten = corten();
    let (keys, kept) = (corten.home().join("keys"), corten.home().join("kept"));
    fs::create_dir(&keys).unwrap();
    fs::set_permissions(&keys, fs::Permissions::from_mode(0o700)).unwrap();
    let corten = corten.env("GNUPGHOME", keys.to_str().unwrap()).env("PASSWORD_STORE_DIR", kept.to_str().unwrap());
    let run = |program: &str, line: &str| {
        let mut command = Command::new(program);
        command.args(line.split(' ')).env("GNUPGHOME", &keys).env("PASSWORD_STORE_DIR", &kept);
        let output = command.output().unwrap();
        assert!(output.status.success(), "{program} {line}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    };
    run("gpg", "--batch --quiet --pinentry-mode loopback --passphrase= --quick-gen-key somebody default default never");
    run("pass", "init somebody");
    fs::create_dir(corten.home().join(".docker")).unwrap();
    let docker = corten.home().join(".docker/config.json");
    fs::write(&docker, r#"{"credsStore":"pass"}"#).unwrap();
    let name = format!("{}/a:1", registry.place());
    let resolve = || corten.run(corten.home(), ["resolve", &name]);

    // It answers with empty words where it knows nobody: then one comes as nobody, too.
    assert!(resolve().stderr.contains("it wants to know who asks"));
    assert!(registry.server().asked().iter().all(|asked| asked.header("authorization").is_none()));
    login(&corten, &format!("login {} -u me --password-stdin", registry.place()), SECRET).expect(0);
    assert!(run("docker-credential-pass", "list").contains(&registry.place()));
    nowhere(&kept, SECRET);
    assert!(!fs::read_to_string(&docker).unwrap().contains("auth\""));
    assert!(resolve().stderr.contains("error: there is no "), "let in");
    corten.run(corten.home(), ["logout", &registry.place()]).expect(0);
    assert!(!run("docker-credential-pass", "list").contains(&registry.place()));
    assert!(resolve().stderr.contains("it wants to know who asks"));
    run("gpgconf", "--kill gpg-agent");
}

#[test]
fn what_cannot_be_pushed_or_pulled_is_told() {
    let registry = FakeRegistry::start(habits());
    let service = Service::filled();
    service.run("build").expect(0);
    let refuses = |line: &str, status: i32, expected: &str| {
        let ran = service.run(&line.replace("REGISTRY", &registry.place()));
        refuses(&service, &registry, ran, status, expected);
    };
    refuses(
        "ship --push",
        2,
        "error: publishing: the settings do not say where to
hint: repository = \"HOST/PATH\" under [publish], or [tool.corten.publish] in pyproject.toml",
    );
    refuses(
        "push service",
        2,
        "error: service names no registry
hint: say where to: `corten push service HOST/service`",
    );
    refuses(
        "push nothing REGISTRY/a:1",
        1,
        "error: there is no image 'nothing' in the store
hint: `corten images` lists what is there",
    );
    refuses(
        "pull REGISTRY/none:1",
        3,
        "error: pulling REGISTRY/none:1: there is no such image at 127.0.0.1 (MANIFEST_UNKNOWN: manifest_unknown it is)
hint: check the name; some registries say this also of what one may not see: `corten login`",
    );
    registry.fault(Kind::Manifest, 1, Fault::Answer(Answer::ok("<html>")));
    refuses(
        "pull REGISTRY/none:1",
        3,
        "error: pulling REGISTRY/none:1: it is no manifest: …
hint: something on the way changes what is sent, or the registry is broken; nothing wrong was kept",
    );
    refuses("resolve REGISTRY/UPPER", 2, "error: 'REGISTRY/UPPER' names no image: repository '…");
    fs::create_dir_all(service.corten.home().join(".docker")).unwrap();
    fs::write(service.corten.home().join(".docker/config.json"), "{\"auths\": [\"secret\"]}").unwrap();
    refuses(
        "resolve REGISTRY/a",
        3,
        "error: reading the credentials in …/.docker/config.json: line 1, column 10: not as it should be",
    );
}

/// Old builders, and `docker import`, leave it empty.
#[test]
fn an_image_that_does_not_say_its_platform_has_none() {
    let (registry, corten) = (FakeRegistry::start(habits()), corten());
    let config = br#"{"os":"","architecture":"","rootfs":{"type":"layers","diff_ids":[]}}"#;
    let config = json!({"mediaType": "application/vnd.oci.image.config.v1+json",
        "digest": registry.add_blob("a", config).to_string(), "size": config.len()});
    let media_type = "application/vnd.oci.image.manifest.v1+json";
    let manifest = json!({"schemaVersion": 2, "mediaType": media_type, "config": config, "layers": []});
    registry.add_manifest("a", "1", media_type, manifest.to_string().as_bytes());
    let run = |line: &str| corten.run(corten.home(), line.split(' ')).expect(0);
    run(&format!("pull {}/a:1", registry.place()));
    assert_eq!(run("images --format json").json()[0]["platforms"], json!([]));
    let line = run("images").stdout;
    assert!(line.lines().nth(1).unwrap().trim_end().ends_with("0 B"), "{line}");
    assert_eq!(
        run(&format!("inspect {}/a:1 --format json", registry.place())).json()["image"]["platform"],
        Value::Null
    );
}
