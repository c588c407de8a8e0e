//! Source distributions that attack whoever builds them: nothing outside changes, and one clear error ends it, as root and as
//! a user without rights. What stops them is the sandbox, whose own tests are in crate corten-sandbox; this is about the whole
//! program. Memory, disk and output without end are in `builds.rs`, with limits that a test can reach.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use corten_oci::Digest;
use corten_testkit::command::Ran;
use serde_json::json;

use crate::sandbox::building;
use crate::service::Service;
use crate::told::{refuses, told};

/// Tries everything, and ends with a list of what has worked.
const TRY: &str = r#"
done = []
def attempt(what, call):
    try:
        result = call()
    except BaseException:
        return
    done.append((what, result))
for path in PATHS:
    attempt('read ' + path, lambda: open(path).read())
    if path.endswith('token'):
        attempt('write ' + path, lambda: open(path, 'w').write('x'))
    attempt('list ' + path, lambda: os.listdir(path))
for host, port in ADDRESSES:
    attempt('connect', lambda: socket.create_connection((host, port), 5) and host)
attempt('packet', lambda: socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0))
attempt('mount', lambda: subprocess.check_call(['mount', '-t', 'tmpfs', 'x', '/build']))
attempt('device', lambda: os.mknod('/tmp/sda', 0o60666, os.makedev(8, 0)))
attempt('root', lambda: os.chroot('/tmp'))
attempt('user', lambda: os.setuid(1234))
attempt('owner', lambda: os.chown('/build/source', 1234, 1234))
attempt('pid 1', lambda: os.kill(1, 9) or open('/proc/1/environ').read())
attempt('memory of pid 1', lambda: open('/proc/1/mem', 'rb').read(1))
attempt('kernel', lambda: open('/proc/sys/kernel/hostname', 'w').write('x'))
attempt('other processes', lambda: [one for one in os.listdir('/proc') if one.isdigit() and int(one) > 1000] or 1 / 0)
raise SystemExit('worked: ' + repr(done))
"#;

/// As root and, where that is who tests, as nobody.
fn each(body: &str, check: impl Fn(&Service, &Ran)) {
    for nobody in [false, true] {
        let Some(service) = building(body) else { return };
        let canary = service.corten.home().join("token");
        fs::write(&canary, "a secret").unwrap();
        if nobody && !give_away(&service) {
            return;
        }
        // It brings the source distribution into the store, and builds nothing.
        run(&service, "plan", nobody).expect(0);
        let before = files(service.corten.home());
        let ran = run(&service, "build", nobody);
        check(&service, &ran);
        let after = files(service.corten.home());
        let lost: Vec<_> = before.iter().filter(|(path, digest)| after.get(*path) != Some(digest)).collect();
        assert!(lost.is_empty(), "changed: {lost:?}");
        let more: Vec<_> = after.keys().filter(|path| !before.contains_key(*path)).collect();
        // Layers of the image beside it.
        let ours = ["corten/blobs/", "corten/cache/", "corten/layers/"];
        assert!(more.iter().all(|path| ours.iter().any(|folder| path.starts_with(folder))), "left: {more:?}");
        assert_eq!(run(&service, "store verify --format json", nobody).expect(0).json(), json!({"problems": []}));
        assert_eq!(fs::read_to_string(&canary).unwrap(), "a secret");
    }
}

/// Every file below a folder, by content.
fn files(folder: &Path) -> BTreeMap<String, Digest> {
    let mut found = BTreeMap::new();
    let mut waiting = vec![folder.to_owned()];
    while let Some(next) = waiting.pop() {
        for entry in fs::read_dir(&next).unwrap() {
            let path = entry.unwrap().path();
            let name = path.strip_prefix(folder).unwrap().display().to_string();
            match fs::symlink_metadata(&path).unwrap() {
                metadata if metadata.is_dir() => waiting.push(path),
                metadata if metadata.is_file() => drop(found.insert(name, Digest::of(fs::read(&path).unwrap()))),
                _ => drop(found.insert(name, Digest::of("no file"))),
            }
        }
    }
    found
}

/// Lets everything be nobody's; `false` where that cannot be.
fn give_away(service: &Service) -> bool {
    let folder = service.folder();
    let mut chown = Command::new("chown");
    chown.args(["-R", "65534:65534"]).arg(service.corten.home()).arg(folder.parent().unwrap());
    if fs::metadata("/proc/self").map(|me| std::os::unix::fs::MetadataExt::uid(&me)).unwrap() != 0 {
        return false;
    }
    chown.status().unwrap().success()
}

fn run(service: &Service, line: &str, nobody: bool) -> Ran {
    if !nobody {
        return service.run(line);
    }
    // Where nobody may execute it.
    let folder = tempfile::tempdir().unwrap();
    fs::set_permissions(&folder, fs::Permissions::from_mode(0o755)).unwrap();
    let program = folder.path().join("corten");
    fs::copy(env!("CARGO_BIN_EXE_corten"), &program).unwrap();
    let known = service.corten.command(&service.folder());
    let mut command = Command::new("setpriv");
    command.args(["--reuid=65534", "--regid=65534", "--clear-groups", "--inh-caps=-all"]).arg(&program);
    command.args(line.split_whitespace()).current_dir(service.folder()).env_clear();
    for (name, value) in known.get_envs() {
        command.env(name, value.unwrap_or_default());
    }
    command.output().unwrap().into()
}

const PLACE: &str = "  --> ./uv.lock:12:1\n   |\n12 | name = \"tensor\"\n   | ^^^^^^^^^^^^^^^\n";
const OTHERWISE: &str = "hint: take a version of the package that has a wheel; a build has no network, and of programs those of `build-packages`: C needs build-packages = [\"build-essential\", \"python3-dev\"]\n";

#[test]
fn nothing_outside_can_be_reached() {
    let Some(template) = building("pass") else { return };
    let index = template.index.server().url("");
    let port = index.rsplit(':').next().unwrap().trim_end_matches('/');
    // Folders of other tests are like those of this one.
    let paths =
        [template.corten.home(), &template.corten.store(), &template.folder(), Path::new("/root"), Path::new("/home")];
    let paths: Vec<String> = paths.iter().map(|path| format!("{path:?}, {:?}", path.join("token"))).collect();
    let addresses = format!("[('127.0.0.1', {port}), ('192.0.2.1', 80), ('::1', {port})]");
    let body = TRY.replace("PATHS", &format!("[{}]", paths.join(", "))).replace("ADDRESSES", &addresses);
    let expected = format!(
        "error: building tensor 2.0 from tensor-2.0.tar.gz: it ended with status 1\n         | worked: []\n{PLACE}{OTHERWISE}"
    );
    each(&body, |service, ran| told(service, ran, 1, &expected));
}

#[test]
fn forks_without_end_end() {
    let body = "while True:\n    try:\n        os.fork()\n    except OSError:\n        pass";
    each(body, |_, ran| {
        assert_eq!(ran.status, 1, "{}", ran.stderr);
        assert!(ran.stderr.contains("error: building tensor 2.0 from tensor-2.0.tar.gz: it "), "{}", ran.stderr);
    });
}

#[test]
fn processes_that_are_left_behind_end_with_the_build() {
    let word = format!("left-by-a-hostile-build-{}", std::process::id());
    let body = format!(
        "for _ in range(3):\n    subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(1000)', '{word}'], start_new_session=True)\nraise SystemExit('left')"
    );
    each(&body, |_, ran| {
        assert_eq!(ran.status, 1, "{}", ran.stderr);
        for process in fs::read_dir("/proc").unwrap().flatten() {
            let line = fs::read(process.path().join("cmdline")).unwrap_or_default();
            assert!(!String::from_utf8_lossy(&line).contains(&word), "{:?} is left", process.path());
        }
    });
}

#[test]
fn wheels_that_lead_out_are_refused() {
    let zip = |member: &str| {
        format!(
            "name = wheel(folder, 'x')\nwith zipfile.ZipFile(os.path.join(folder, name), 'a') as more:\n    more.writestr({member:?}, 'x')\nreturn name"
        )
    };
    let link = "os.symlink('/etc/passwd', os.path.join(folder, 'tensor-2.0-py3-none-any.whl'))\nreturn 'tensor-2.0-py3-none-any.whl'";
    for (body, why) in [
        (link, "its wheel cannot be read: it is no zip: there is no end record"),
        ("return '../../build/source/backend.py'", "it gave 'backend.py', which is no wheel's name"),
        (
            "os.rename(os.path.join(folder, wheel(folder, 'x')), folder + '/other-1.0-py3-none-any.whl')\nreturn 'other-1.0-py3-none-any.whl'",
            "it gave 'other-1.0-py3-none-any.whl', a wheel of something else",
        ),
        (&zip("../../../../etc/evil"), "…"),
        (&zip("/etc/evil"), "…"),
    ] {
        let Some(service) = building(body) else { return };
        let expected = format!("error: building tensor 2.0 from tensor-2.0.tar.gz: {why}\n{PLACE}");
        refuses(&service, "build", 1, &expected);
    }
}
