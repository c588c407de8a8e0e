//! The wheel on a machine without Rust: an empty Debian, where uv installs it, and the program that it brings builds.
//!
//! What is published is built by `cargo xtask dist`, which takes long; here it is compiled unoptimised, with the same
//! libraries, the same linker and the same code that packs the wheel.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use xtask::dist::{Machine, Profile};

use crate::image::examples;
use crate::place::{command, debian, done, ended, new_folder, said};

#[test]
fn uv_installs_the_wheel_on_an_empty_debian_where_it_builds_an_image() {
    let Some(mmdebstrap) = debian("mmdebstrap") else { return };
    let Some(uv) = xtask::peers::need("uv") else { return };
    let folder = new_folder("install");
    let wheel = xtask::dist::wheel(Machine::own(), Profile::Light, &folder).unwrap();
    let root = Root::new(&mmdebstrap, &folder);
    fs::copy(uv, root.path.join("usr/local/bin/uv")).unwrap();
    let name = wheel.file_name().unwrap().to_str().unwrap();
    fs::copy(&wheel, root.path.join("root").join(name)).unwrap();

    root.run(&["uv", "tool", "install", "--no-index", "--python", "/usr/bin/python3", &format!("/root/{name}")]);
    let version = root.run(&["corten", "--version"]);
    assert_eq!(version.trim(), format!("corten {}", env!("CARGO_PKG_VERSION")));
    assert!(!root.path.join("root/.cargo").exists() && !root.path.join("usr/bin/cc").exists());
    let program = root.path.join("root/.local/share/uv/tools/corten/bin/corten");
    let headers = done(command(Path::new("readelf"), ["--wide", "--program-headers"]).arg(program));
    assert!(!headers.contains("INTERP"), "it needs no library:\n{headers}");
    assert!(root.path.join("root/.local/share/uv/tools/corten/share/man/man1/corten-push.1").exists());

    let project = root.path.join("root/project");
    copy(&examples().join("batch-score"), &project);
    root.run(&["corten", "init", "--dry-run", "/root/project"]);
    root.run(&["corten", "build", "/root/project", "-o", "type=oci,dest=/root/image.tar"]);
    let images = root.run(&["corten", "images"]);
    assert!(images.contains("batch-score") && images.contains("linux/amd64"), "{images}");
    assert!(root.run(&["corten", "store", "verify"]).contains("every byte is what its name says"));
}

/// A Debian with Python, as a person's machine has it, and no compiler.
struct Root {
    path: PathBuf,
}

impl Root {
    fn new(mmdebstrap: &Path, folder: &Path) -> Self {
        let path = folder.join("root");
        let what = ["--quiet", "--variant=minbase", "--include=python3,ca-certificates"];
        let what = what.into_iter().chain(["--aptopt=Acquire::Retries \"5\"", "bookworm"]);
        done(command(mmdebstrap, what).arg(&path).arg("http://deb.debian.org/debian"));
        // Whom this machine trusts; it may have an authority of its own.
        let trusted = std::env::var_os("SSL_CERT_FILE").unwrap_or_else(|| "/etc/ssl/certs/ca-certificates.crt".into());
        fs::copy(trusted, path.join("etc/ssl/certs/ca-certificates.crt")).unwrap();
        // Names are looked up as here.
        fs::copy("/etc/resolv.conf", path.join("etc/resolv.conf")).unwrap();
        drop(fs::copy("/etc/hosts", path.join("etc/hosts")));
        Self { path }
    }

    /// Runs a program there, as root of that machine.
    #[track_caller]
    fn run(&self, words: &[&str]) -> String {
        let mut command = Command::new("unshare");
        command.args(["--mount", "--pid", "--fork", "--mount-proc"]);
        command.arg(format!("--root={}", self.path.display())).args(words);
        let kept = ["https_proxy", "http_proxy", "no_proxy"];
        let kept: Vec<_> = kept.into_iter().filter_map(|name| Some((name, std::env::var_os(name)?))).collect();
        command.env_clear().envs(kept).env("HOME", "/root");
        command.env("PATH", "/root/.local/bin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin");
        let output = ended(&mut command);
        assert!(output.status.success(), "{words:?}: {}\n{}", output.status, said(&output));
        String::from_utf8(output.stdout).unwrap()
    }
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir(to).unwrap();
    for entry in fs::read_dir(from).unwrap().map(Result::unwrap) {
        let name = entry.file_name();
        match entry.file_type().unwrap().is_dir() {
            true => copy(&entry.path(), &to.join(name)),
            false if name == "corten.lock" => {}
            false => drop(fs::copy(entry.path(), to.join(name)).unwrap()),
        }
    }
}
