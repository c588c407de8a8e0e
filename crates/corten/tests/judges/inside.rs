//! What runs in the image where there is neither docker nor podman: the service, its libraries, its requirements.

use std::fs;
use std::process::Command;

use serde_json::{Value, json};

use crate::bundle::{Bundle, mount};
use crate::image::{Distroless, Slim};
use crate::place::{done, new_folder, said};
use crate::service::{HeldModel, Service};

const PYTHON: &str = "/opt/venv/bin/python";

#[test]
fn runc_starts_what_umoci_unpacked() {
    let Some(bundle) = Bundle::of(Distroless) else { return };
    starts(bundle, "service");
}

#[test]
fn runc_starts_the_slim_variant() {
    let Some(bundle) = Bundle::of(Slim) else { return };
    starts(bundle, "slim-service");
}

fn starts(bundle: &Bundle, name: &'static str) {
    let model = HeldModel::new(&new_folder(&format!("{name}-model")));
    let container = bundle.container(name, |config| mount(config, model.path(), HeldModel::AT));
    let service = Service::new(&container.start());
    service.judge(&model).unwrap_or_else(|wrong| panic!("{wrong}\n{}", container.logs()));
}

/// Each line fails where the base lacks something: a library, a file of data, a name service.
const LIBRARIES: &str = r#"
import ctypes, ctypes.util, datetime, os, socket, sqlite3, ssl, zoneinfo

assert os.getuid() == os.getgid() == 10001
assert os.path.expanduser("~") == "/home/app" and os.access("/home/app", os.R_OK | os.X_OK)
assert ssl.create_default_context().cert_store_stats()["x509_ca"] > 100
assert sqlite3.connect(":memory:").execute("select json_extract('[1, 2]', '$[1]')").fetchone() == (2,)
for name in ["c", "m", "ssl", "crypto", "z", "sqlite3", "stdc++"]:
    found = ctypes.util.find_library(name)
    assert found and ctypes.CDLL(found), name
assert ctypes.util.find_library("judged") is None
berlin = zoneinfo.ZoneInfo("Europe/Berlin")
assert datetime.datetime(2026, 7, 1, tzinfo=berlin).utcoffset() == datetime.timedelta(hours=2)
assert len(zoneinfo.available_timezones()) > 400
found = socket.getaddrinfo("judge.test", "https", type=socket.SOCK_STREAM)
assert [address for *_, address in found] == [("192.0.2.7", 443)], found
try:
    socket.getaddrinfo("nobody.test", "https")
except socket.gaierror as error:
    assert error.errno != socket.EAI_SERVICE, error
for folder in ["/app", "/home/app", "/opt/venv", "/etc", "/usr/lib/python3.11"]:
    try:
        open(folder + "/judged", "w")
        raise AssertionError(folder)
    except OSError:
        pass
print("all here")
"#;

#[test]
fn python_of_distroless_finds_its_libraries() {
    let Some(bundle) = Bundle::of(Distroless) else { return };
    let hosts = new_folder("hosts").join("hosts");
    fs::write(&hosts, "127.0.0.1 localhost\n192.0.2.7 judge.test\n").unwrap();
    let container = bundle.container("libraries", |config| {
        mount(config, &hosts, "/etc/hosts");
        config["process"]["args"] = json!([PYTHON, "-c", LIBRARIES]);
    });
    assert_eq!(said(&container.run()), "all here\n");
}

#[test]
fn what_every_distribution_requires_is_there() {
    let Some(bundle) = Bundle::of(Distroless) else { return };
    let Some(uv) = xtask::peers::need("uv") else { return };
    // What the peers' folder has is a link into an environment.
    let uv = fs::canonicalize(uv).unwrap();
    let asks = |config: &mut Value| {
        mount(config, uv.parent().unwrap(), "/srv");
        config["process"]["args"] = json!(["/srv/uv", "pip", "check", "--no-cache", "--offline", "--python", PYTHON]);
    };
    let whole = bundle.container("requirements", asks).run();
    assert!(whole.status.success() && said(&whole).contains("Checked 19 packages"), "{}", said(&whole));

    let packages = "opt/venv/lib/python3.11/site-packages";
    let less = new_folder("less").join("site-packages");
    done(Command::new("cp").args(["--archive", "--link"]).arg(bundle.root.join(packages)).arg(&less));
    let starlette = fs::read_dir(&less).unwrap().map(|entry| entry.unwrap().path());
    let mut starlette = starlette.filter(|path| path.to_str().is_some_and(|path| path.contains("/starlette-")));
    fs::remove_dir_all(starlette.next().unwrap()).unwrap();
    let without = bundle.container("requirements-without-starlette", |config| {
        asks(config);
        mount(config, &less, &format!("/{packages}"));
    });
    let without = without.run();
    assert!(!without.status.success(), "{}", said(&without));
    assert!(said(&without).contains("`fastapi` requires `starlette"), "{}", said(&without));
}
