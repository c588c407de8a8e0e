//! `corten doctor`, in surroundings that are made up: a folder with proc and sys, a home, a PATH.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use corten_testkit::command::{Corten, Ran};
use corten_testkit::http::{Answer, Server};
use corten_testkit::registry::{FakeRegistry, Habits, Lock};
use serde_json::Value;

use crate::service::corten;

const SECRET: &str = "c4n4ry";

fn write(root: &Path, path: &str, text: &str) {
    let path = root.join(path);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
}

/// A machine that has everything.
fn healthy(root: &Path) {
    for (path, text) in [
        ("proc/sys/user/max_user_namespaces", "95000\n"),
        ("proc/sys/kernel/unprivileged_userns_clone", "1\n"),
        ("proc/sys/kernel/seccomp/actions_avail", "kill_process trap errno allow\n"),
        ("proc/filesystems", "nodev\tproc\nnodev\toverlay\n"),
        ("proc/sys/fs/binfmt_misc/qemu-aarch64", "enabled\n"),
        ("proc/sys/fs/binfmt_misc/qemu-x86_64", "enabled\n"),
        ("proc/driver/nvidia/version", "NVRM version: NVIDIA UNIX x86_64 Kernel Module  570.86.15  Thu\n"),
        ("sys/fs/cgroup/cgroup.controllers", "cpu memory pids\n"),
        ("sys/kernel/security/lsm", "capability,landlock,yama\n"),
        ("bin/git", ""),
        ("bin/uv", ""),
        ("bin/podman", ""),
        ("bin/docker-credential-there", ""),
    ] {
        write(root, path, text);
    }
}

fn program(root: &Path) -> Corten {
    corten().env("PATH", root.join("bin").to_str().unwrap())
}

fn doctor(corten: &Corten, root: &Path, more: &str) -> Ran {
    let line = format!("doctor --root {} {more}", root.display());
    corten.run(corten.home(), line.split_whitespace())
}

/// What is said of things that are not well: state, what, hint.
fn unwell(ran: &Ran) -> Vec<(String, String, String)> {
    let text = |one: &Value, field: &str| one[field].as_str().unwrap_or_default().to_owned();
    let all = ran.json()["findings"].as_array().unwrap().clone();
    let of = |one: &Value| (text(one, "state"), text(one, "what"), text(one, "hint"));
    all.iter().map(of).filter(|(state, ..)| state != "ok").collect()
}

#[test]
fn where_all_is_well_the_doctor_says_what_is_there() {
    let root = tempfile::tempdir().unwrap();
    healthy(root.path());
    let ran = doctor(&program(root.path()), root.path(), "").expect(0);
    let said: Vec<&str> =
        ran.stdout.lines().filter(|line| !line.contains(" free") && !line.contains("store")).collect();
    let root = root.path().display();
    let foreign = if cfg!(target_arch = "aarch64") { "qemu-x86_64" } else { "qemu-aarch64" };
    let expected = [
        "kernel       user namespaces".to_owned(),
        "kernel       seccomp filters".to_owned(),
        "kernel       cgroups of version 2".to_owned(),
        "kernel       overlayfs".to_owned(),
        "kernel       Landlock".to_owned(),
        "credentials  none: `corten login HOST` keeps some".to_owned(),
        format!("tools        {root}/bin/git"),
        format!("tools        {root}/bin/uv"),
        format!("tools        {root}/bin/podman"),
        format!("tools        {foreign} for other machines' programs"),
        "tools        NVIDIA driver 570.86.15".to_owned(),
    ];
    assert_eq!(said, expected.map(|line| format!("ok       {line}")));
}

#[test]
fn what_is_missing_is_told_with_what_it_costs_and_what_to_do() {
    let root = tempfile::tempdir().unwrap();
    healthy(root.path());
    write(root.path(), "proc/sys/user/max_user_namespaces", "0\n");
    write(root.path(), "sys/fs/cgroup/cgroup.controllers", "");
    write(root.path(), "proc/sys/kernel/seccomp/actions_avail", "");
    fs::remove_file(root.path().join("bin/git")).unwrap();
    let corten = program(root.path());
    let auth = format!(
        r#"{{"auths":{{"r.example":{{"auth":"{SECRET}"}}}},"credsStore":"there","credHelpers":{{"x":"gone","y":"../evil"}}}}"#
    );
    write(corten.home(), ".docker/config.json", &auth);
    fs::set_permissions(corten.home().join(".docker/config.json"), fs::Permissions::from_mode(0o644)).unwrap();
    write(corten.home(), ".config/containers/auth.json", "{");
    let ran = doctor(&corten, root.path(), "--format json").expect(0);
    let home = corten.home().display();
    let expected = [
        ("no user namespaces".to_owned(), "sysctl user.max_user_namespaces=15000".to_owned()),
        ("no seccomp filters".into(), "a kernel with CONFIG_SECCOMP_FILTER".into()),
        ("no cgroups of version 2".into(), "systemd.unified_cgroup_hierarchy=1 on the kernel's command line".into()),
        (format!("{home}/.config/containers/auth.json is no JSON"), "mend it, or remove it and log in anew".into()),
        (format!("{home}/.docker/config.json can be read by others"), format!("chmod 600 {home}/.docker/config.json")),
        (
            format!("docker-credential-gone, which {home}/.docker/config.json names, is not installed"),
            "install it, or take credsStore and credHelpers out".into(),
        ),
        ("git is not installed".into(), "install git".into()),
    ];
    let warning = |(what, hint): (String, String)| ("warning".to_owned(), what, hint);
    let said: Vec<_> =
        unwell(&ran).into_iter().filter(|(_, what, _)| !what.contains("store") && !what.contains(" free")).collect();
    assert_eq!(said, expected.map(warning));
    assert!(!ran.stdout.contains(SECRET) && !ran.stderr.contains(SECRET));
}

#[test]
fn without_a_store_the_answer_is_no() {
    let root = tempfile::tempdir().unwrap();
    healthy(root.path());
    let corten = program(root.path());
    fs::write(corten.store(), "a file").unwrap();
    let ran = doctor(&corten, root.path(), "--format json").expect(1);
    let said = unwell(&ran);
    assert_eq!((said.len(), said[0].0.as_str()), (1, "bad"), "{said:?}");
    assert!(said[0].2.contains("CORTEN_HOME"), "{said:?}");
}

#[test]
fn registries_are_asked_only_when_the_network_is() {
    let registry = FakeRegistry::start(Habits { lock: Lock::Basic("me", SECRET), ..Habits::default() });
    let root = tempfile::tempdir().unwrap();
    healthy(root.path());
    // Whatever is asked for of others goes to a proxy that is not there.
    let corten = program(root.path()).env("https_proxy", "http://127.0.0.1:1");
    let auth = format!(r#"{{"auths":{{"{}":{{"auth":"{SECRET}"}}}}}}"#, registry.place());
    write(corten.home(), ".docker/config.json", &auth);
    doctor(&corten, root.path(), "").expect(0);
    assert_eq!(registry.server().asked().len(), 0);
    let ran = doctor(&corten, root.path(), "--network").expect(0);
    assert_eq!(registry.server().asked().len(), 1);
    assert!(registry.server().asked()[0].header("authorization").is_none(), "nobody is let in");
    let lines: Vec<&str> = ran.stdout.lines().filter(|line| line.contains("  network  ")).collect();
    assert_eq!(lines.len(), 3, "{}", ran.stdout);
    assert!(lines[0].starts_with("warning") && lines[0].contains("https://pypi.org/simple/pip/"), "{lines:?}");
    assert_eq!(lines[2], format!("ok       network      http://{}/v2/", registry.place()));
}

/// Not PyPI, where the environment says that packages come from elsewhere; who may not read there is told.
#[test]
fn the_indexes_of_the_environment_are_asked() {
    let open = Server::start(|_| Answer::ok(""));
    let locked = Server::start(|asked| match asked.header("authorization") {
        Some("Basic bWU6YzRuNHJ5") => Answer::ok(""),
        _ => Answer::status(401),
    });
    let root = tempfile::tempdir().unwrap();
    healthy(root.path());
    let corten = || {
        let own = format!("own=http://{}/private/", locked.place());
        let extra = format!("http://u:{SECRET}@{}/simple", open.place());
        let corten = program(root.path()).env("https_proxy", "http://127.0.0.1:1");
        corten.env("UV_DEFAULT_INDEX", &own).env("UV_EXTRA_INDEX_URL", &extra)
    };
    let asked = |corten: &Corten| {
        let ran = doctor(corten, root.path(), "--network").expect(0);
        assert!(!ran.stdout.contains(SECRET) && !ran.stdout.contains("pypi.org"), "{}", ran.stdout);
        let lines = ran.stdout.lines().filter(|line| line.contains("  network  ")).take(2);
        lines.map(str::to_owned).collect::<Vec<_>>()
    };
    let extra = format!("ok       network      http://{}/simple/pip/", open.place());
    let wants = format!("warning  network      http://{}/private/pip/ wants another user or password", locked.place());
    assert_eq!(asked(&corten()), [extra.clone(), wants]);
    let user = corten().env("UV_INDEX_OWN_USERNAME", "me").env("UV_INDEX_OWN_PASSWORD", SECRET);
    assert_eq!(asked(&user), [extra, format!("ok       network      http://{}/private/pip/", locked.place())]);
}
