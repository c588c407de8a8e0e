//! Who may read an index: credentials by address, variable, netrc and keyring program, which go to nobody else; local
//! wheels; what is done without a network and without changing corten.lock.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use corten_oci::Digest;
use corten_testkit::command::Ran;
use corten_testkit::http::{Answer, Server};

use crate::service::{Service, corten, wheels};
use crate::told::refuses;

/// A user and password that stand nowhere else.
const USER: &str = "robot";
const PASSWORD: &str = "pa55-w0rd";

/// A service whose index wants credentials; its base is in the store.
fn closed() -> Service {
    let service = Service::filled();
    for wheel in wheels() {
        let blob = service.corten.store().join("blobs/sha256").join(Digest::of(&wheel.bytes).hex());
        fs::remove_file(blob).unwrap();
    }
    let layers = service.corten.store().join("cache");
    fs::remove_dir_all(&layers).unwrap();
    fs::create_dir(&layers).unwrap();
    service.index.server().demand(USER, PASSWORD);
    service
}

/// requirements.txt without hashes: the index has to be asked.
fn loose(service: &Service, head: &str) {
    let pins: String = wheels().iter().map(|wheel| format!("{}=={}\n", wheel.name, wheel.version)).collect();
    service.write("requirements.txt", format!("{head}\n{pins}"));
    service.remove("uv.lock");
}

/// Neither what was said nor anything that was written has the password.
#[track_caller]
fn nobody_told(service: &Service, ran: &Ran) {
    for text in [&ran.stdout, &ran.stderr] {
        assert!(!text.contains(PASSWORD), "{text}");
    }
    let mut folders = vec![service.corten.store()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap().map(Result::unwrap) {
            if entry.file_type().unwrap().is_dir() {
                folders.push(entry.path());
            } else {
                let bytes = fs::read(entry.path()).unwrap();
                let found = bytes.windows(PASSWORD.len()).any(|found| found == PASSWORD.as_bytes());
                assert!(!found, "{} has the password", entry.path().display());
            }
        }
    }
    assert!(!service.read("corten.lock").contains(PASSWORD));
}

fn run(service: &Service, variables: &[(&str, &str)], line: &str) -> Ran {
    let mut command = service.corten.command(&service.folder());
    command.args(line.split_whitespace()).envs(variables.iter().copied());
    Ran::from(command.output().unwrap())
}

fn with_user(service: &Service) -> String {
    service.index.url().replace("http://", &format!("http://{USER}:{PASSWORD}@"))
}

#[test]
fn an_index_that_wants_credentials_and_gets_none() {
    let service = closed();
    refuses(
        &service,
        "build",
        3,
        "
error: downloading tensor 2.0: fetching INDEX/files/tensor-2.0-cp311-cp311-manylinux_2_17_x86_64.whl: the server answered 401 (credentials needed)
hint: check the credentials: …
",
    );
}

#[test]
fn credentials_stand_in_the_requirements() {
    let service = closed();
    loose(&service, &format!("--index-url {}", with_user(&service)));
    let ran = run(&service, &[], "ship").expect(0);
    nobody_told(&service, &Ran { stderr: String::new(), ..ran });
}

#[test]
fn credentials_come_from_the_netrc() {
    let service = closed();
    let netrc = service.corten.home().join(".netrc");
    fs::write(&netrc, format!("machine 127.0.0.1\n  login {USER}\n  password {PASSWORD}\n")).unwrap();
    nobody_told(&service, &run(&service, &[], "ship").expect(0));
    let service = closed();
    let elsewhere = service.corten.home().join("elsewhere");
    fs::write(&elsewhere, format!("machine other.example login {USER} password {PASSWORD}\n")).unwrap();
    run(&service, &[("NETRC", elsewhere.to_str().unwrap())], "build").expect(3);
}

#[test]
fn credentials_go_by_the_name_of_an_index() {
    let service = closed();
    let manifest = service.read("pyproject.toml");
    let index = format!("{manifest}\n[[tool.uv.index]]\nname = \"my-corp\"\nurl = \"{}\"\n", service.index.url());
    service.write("pyproject.toml", index);
    let variables = [("UV_INDEX_MY_CORP_USERNAME", USER), ("UV_INDEX_MY_CORP_PASSWORD", PASSWORD)];
    nobody_told(&service, &run(&service, &variables, "ship").expect(0));
}

#[test]
fn indexes_come_from_variables() {
    for name in ["UV_DEFAULT_INDEX", "UV_INDEX_URL", "PIP_INDEX_URL"] {
        let service = closed();
        loose(&service, "");
        nobody_told(&service, &run(&service, &[(name, &with_user(&service))], "build").expect(0));
    }
    let service = closed();
    loose(&service, "");
    let (nothing, ours) = (Server::start(|_| Answer::status(404)), with_user(&service));
    let variables = [("UV_INDEX_URL", nothing.url("/simple").as_str().to_owned()), ("PIP_EXTRA_INDEX_URL", ours)];
    let variables: Vec<_> = variables.iter().map(|(name, value)| (*name, value.as_str())).collect();
    nobody_told(&service, &run(&service, &variables, "build").expect(0));
    assert!(nothing.asked().iter().all(|asked| asked.header("authorization").is_none()));
}

#[test]
fn a_keyring_program_is_asked_where_its_tools_would() {
    let service = closed();
    let programs = service.corten.home().join("programs");
    fs::create_dir(&programs).unwrap();
    let program = programs.join("keyring");
    let host = service.index.server().url("").trim_start_matches("http://").trim_end_matches('/').to_owned();
    let script = format!(
        "#!/bin/sh\necho \"$@\" >> {}/asked\n[ \"$*\" = \"--mode creds get {host}\" ] || exit 1\nprintf '{USER}\\n{PASSWORD}\\n'\n",
        programs.display()
    );
    fs::write(&program, script).unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    let path = format!("{}:{}", programs.display(), std::env::var("PATH").unwrap());
    run(&service, &[("PATH", &path)], "build").expect(3);
    assert!(!programs.join("asked").exists(), "nobody has asked for it");
    let variables = [("PATH", path.as_str()), ("UV_KEYRING_PROVIDER", "subprocess")];
    nobody_told(&service, &run(&service, &variables, "ship").expect(0));
    assert_eq!(fs::read_to_string(programs.join("asked")).unwrap().lines().count(), 1);
}

#[test]
fn a_redirect_to_another_host_gets_no_credentials() {
    let service = closed();
    let files = Server::start({
        let wheels = wheels();
        move |asked| {
            let wheel = wheels.iter().find(|wheel| asked.path.ends_with(&wheel.file));
            wheel.map_or_else(|| Answer::status(404), |wheel| Answer::ok(wheel.bytes.clone()))
        }
    });
    let (other, index) = (
        files.url(""),
        Server::start({
            let other = files.url("");
            move |asked| match asked.header("authorization") {
                Some(_) => Answer::redirect(302, &format!("{}{}", other.trim_end_matches('/'), asked.path)),
                None => Answer::status(401),
            }
        }),
    );
    let lock = service
        .lock()
        .replace(service.index.server().url("").trim_end_matches('/'), index.url("").trim_end_matches('/'));
    service.write("uv.lock", lock);
    let manifest = service.read("pyproject.toml");
    service.write(
        "pyproject.toml",
        format!("{manifest}\n[[tool.uv.index]]\nname = \"corp\"\nurl = \"{}\"\n", index.url("/simple")),
    );
    let variables = [("UV_INDEX_CORP_USERNAME", USER), ("UV_INDEX_CORP_PASSWORD", PASSWORD)];
    nobody_told(&service, &run(&service, &variables, "build").expect(0));
    assert_eq!(files.asked().len(), wheels().len(), "{other}");
    assert!(files.asked().iter().all(|asked| asked.header("authorization").is_none()));
    assert!(index.asked().iter().all(|asked| asked.header("authorization").is_some()));
}

#[test]
fn a_mirror_stands_for_an_index_and_its_files() {
    let service = closed();
    let lock = service.lock().replace(service.index.server().url("").trim_end_matches('/'), "https://nowhere.invalid");
    service.write("uv.lock", lock);
    let own = service.index.server().url("");
    let settings = service.settings("")
        + &format!("\n[index.mirrors]\n\"https://nowhere.invalid\" = \"{}\"\n", own.trim_end_matches('/'));
    service.write("corten.toml", settings);
    let netrc = service.corten.home().join(".netrc");
    fs::write(netrc, format!("machine 127.0.0.1 login {USER} password {PASSWORD}")).unwrap();
    run(&service, &[], "build").expect(0);
}

/// Without `[archive]` main and security, the archive is Debian's own: nothing here may reach that.
#[test]
fn a_mirror_stands_for_debians_archive() {
    for debian in ["http://deb.debian.org", "https://deb.debian.org"] {
        let service = Service::new();
        let mirror = service.archive.main().strip_suffix("/debian").unwrap().to_owned();
        let settings = service.settings("");
        let own = |line: &&str| !line.starts_with("main = ") && !line.starts_with("security = ");
        let settings: String = settings.lines().filter(own).map(|line| format!("{line}\n")).collect();
        service.write("corten.toml", format!("{settings}\n[index.mirrors]\n\"{debian}\" = \"{mirror}\"\n"));
        service.run("build").expect(0);
        let asked = service.archive.server.server().asked();
        let security = |path: &str| path.starts_with("/debian-security/dists/");
        assert!(asked.iter().any(|asked| security(&asked.path)), "{debian}");
    }
}

/// Requirements that name a wheel of the project, and a uv.lock whose index is a folder.
#[test]
fn wheels_that_lie_in_the_project() {
    let service = Service::filled();
    let wheels = wheels();
    fs::create_dir(service.folder().join("wheels")).unwrap();
    for wheel in &wheels {
        service.write(&format!("wheels/{}", wheel.file), &wheel.bytes);
    }
    let layers = || -> Vec<String> {
        let built = service.run("build --format json").expect(0).json();
        let of_wheels = |layer: &&serde_json::Value| {
            ["tensor", "wheels"].iter().any(|what| layer["what"].to_string().contains(what))
        };
        built["layers"].as_array().unwrap().iter().filter(of_wheels).map(|layer| layer["digest"].to_string()).collect()
    };
    let by_index = layers();
    let folder = wheels.iter().fold(service.lock(), |lock, wheel| {
        let size = format!("hash = \"{}\", size = {}", Digest::of(&wheel.bytes), wheel.bytes.len());
        let url = format!("url = \"{}\", {size}", service.index.file_url(&wheel.file));
        assert!(lock.contains(&url), "{lock}");
        lock.replace(&url, &format!("path = \"{}\"", wheel.file))
    });
    service.write("corten.toml", service.settings("").replace("\"keys\"", "\"keys\", \"wheels\""));
    service.write("uv.lock", folder.replace(service.index.url().trim_end_matches('/'), "wheels"));
    let asked = service.index.server().server().asked().len();
    assert_eq!((layers(), by_index.len()), (by_index, 2), "the same wheels make the same layers");
    let lock = service.read("corten.lock");
    assert!(lock.contains(&format!("\"{}\" = \"{}\"", wheels[0].file, Digest::of(&wheels[0].bytes))), "{lock}");
    assert_eq!(service.index.server().server().asked().len(), asked);

    // Another file of that name is not what was recorded.
    service.write(&format!("wheels/{}", wheels[0].file), "other");
    refuses(
        &service,
        "build",
        1,
        "
error: ./wheels/fastapi-0.115.0-py3-none-any.whl is not the file that was locked: expected sha256:…, found sha256:…
hint: bring that file back, or lock again; `corten lock` renews a hash that only corten.lock has
",
    );
    service.remove(&format!("wheels/{}", wheels[0].file));
    refuses(
        &service,
        "build",
        1,
        "
error: the lock names the file ./wheels/fastapi-0.115.0-py3-none-any.whl, which cannot be read: …
hint: bring the wheel along, or publish it to an index and lock it from there
",
    );
}

#[test]
fn a_requirement_that_is_a_wheel_of_the_project() {
    let service = Service::filled();
    let wheels = wheels();
    service.write(&wheels[0].file, &wheels[0].bytes);
    let hashed =
        |at: usize| format!("{}=={} --hash={}\n", wheels[at].name, wheels[at].version, Digest::of(&wheels[at].bytes));
    let own = format!("./{} --hash={}\n", wheels[0].file, Digest::of(&wheels[0].bytes));
    service.write("requirements.txt", format!("--index-url {}\n{own}{}{}", service.index.url(), hashed(1), hashed(2)));
    service.remove("uv.lock");
    let shipped = service.run("ship --sbom-files").expect(0);
    assert!(shipped.stderr.contains("corten.lock"), "{}", shipped.stderr);
    let other = Digest::of("other");
    service.edit("requirements.txt", &Digest::of(&wheels[0].bytes).to_string(), &other.to_string());
    let told = service.run("build").expect(1).stderr;
    assert!(told.contains("is not the file that was locked: expected"), "{told}");
    assert!(told.contains("./requirements.txt:2:1"), "{told}");
}

#[test]
fn locked_refuses_what_corten_lock_lacks_and_offline_what_the_store_lacks() {
    let service = Service::filled();
    for verb in ["plan", "build", "check", "ship"] {
        service.run(&format!("{verb} --locked --offline")).expect(0);
    }
    service.remove("corten.lock");
    for verb in ["plan", "build", "check", "ship", "lock"] {
        let ran = service.run(&format!("{verb} --locked"));
        assert!(ran.stderr.contains("error: corten.lock would change: new, with"), "{verb}: {}", ran.stderr);
        assert_eq!(ran.status, 1, "{verb}");
        assert!(!service.folder().join("corten.lock").exists(), "{verb}");
    }
    let ran = service.run("lock --offline");
    assert!(ran.stderr.contains("not allowed while offline"), "{}", ran.stderr);
    assert_eq!(ran.status, 3);
    for line in ["images --offline", "store verify --offline"] {
        service.run(line).expect(0);
    }
    assert_eq!(corten().run(&service.folder(), ["images", "--offline"]).expect(0).stdout.lines().count(), 1);
}
