//! Debian packages that the tests need, and what for.

use std::process::{Command, Stdio};

use crate::shell::{find, is_root, run};

/// A program or a module of Python, the package that brings it to Debian 12, and what the tests do with it.
pub struct Need {
    /// The program as it is found in `PATH`, or the module as `python3` imports it.
    pub program: &'static str,
    /// The package.
    pub package: &'static str,
    /// What for.
    pub why: &'static str,
}

const NEEDS: &[Need] = &[
    Need { program: "git", package: "git", why: "commits, tags and dirty folders" },
    Need { program: "gpgv", package: "gpgv", why: "a second opinion on signatures of archives" },
    Need { program: "xz", package: "xz-utils", why: "archives as others compress them" },
    Need { program: "mmdebstrap", package: "mmdebstrap", why: "the base, file by file" },
    Need { program: "dockerd", package: "docker.io", why: "loads and runs images" },
    Need { program: "podman", package: "podman", why: "loads and runs images" },
    Need { program: "skopeo", package: "skopeo", why: "copies OCI layouts" },
    Need { program: "strace", package: "strace", why: "kills the store before single system calls" },
    Need { program: "umoci", package: "umoci", why: "unpacks OCI layouts" },
    Need { program: "busybox", package: "busybox-static", why: "the root file system of sandboxes" },
    Need { program: "ssh-agent", package: "openssh-client", why: "agents that a RUN asks" },
    Need { program: "setcap", package: "libcap2-bin", why: "files with capabilities" },
    Need { program: "newuidmap", package: "uidmap", why: "sandboxes of a user with ranges of ids" },
    Need { program: "qemu-aarch64-static", package: "qemu-user-static", why: "starts images for arm64" },
    Need {
        program: "docker-credential-pass",
        package: "golang-docker-credential-helpers",
        why: "keeps passwords as Docker's users have them kept",
    },
    Need { program: "pass", package: "pass", why: "where that helper keeps them" },
    Need { program: "gpg", package: "gnupg", why: "encrypts what pass keeps" },
    Need { program: "runc", package: "runc", why: "runs what umoci unpacked" },
    Need { program: "pasta", package: "passt", why: "networks of sandboxes, in user space" },
    Need { program: "crun", package: "crun", why: "starts what the benchmark of run is compared with" },
    Need { program: "mkfs.xfs", package: "xfsprogs", why: "a disk whose power is cut" },
    Need { program: "zstd", package: "zstd", why: "a second opinion on zstd layers" },
    Need { program: "patch", package: "patch", why: "makes what a diff of fixes says" },
    Need { program: "xmllint", package: "libxml2-utils", why: "the schema of JUnit's reports" },
    Need { program: "node", package: "nodejs", why: "what GitHub and Code Climate say of reports" },
    Need { program: "nvim", package: "neovim", why: "an editor that asks the language server" },
];

/// Debian's `python3` alone makes no environments: what `ensurepip` is for comes with another package.
const MODULES: [Need; 2] = [
    Need { program: "ensurepip", package: "python3-venv", why: "environments to compare with" },
    Need { program: "jsonschema", package: "python3-jsonschema", why: "the official schema of SPDX" },
];

/// Installs what is missing, when we are root on a Debian.
///
/// # Errors
/// Names the packages that are missing where we may not install them, or what apt-get said.
pub fn install() -> Result<(), String> {
    let programs = NEEDS.iter().filter(|need| find(need.program).is_none());
    let missing: Vec<&Need> = programs.chain(MODULES.iter().filter(|need| !imports(need.program))).collect();
    if missing.is_empty() {
        return Ok(());
    }
    if !is_root() || find("apt-get").is_none() {
        return Err(explain(&missing));
    }
    let names: Vec<&str> = missing.iter().map(|need| need.package).collect();
    apt_install(&names)
}

fn imports(module: &str) -> bool {
    let mut python = Command::new("python3");
    python.args(["-c", &format!("import {module}")]).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    python.status().is_ok_and(|status| status.success())
}

/// Installs packages, without asking and without what is only recommended.
///
/// # Errors
/// When apt-get fails, also after renewing its lists.
pub fn apt_install(names: &[&str]) -> Result<(), String> {
    let install = || {
        let arguments = ["install", "--yes", "--quiet", "--no-install-recommends"];
        run(Command::new("apt-get").env("DEBIAN_FRONTEND", "noninteractive").args(arguments).args(names))
    };
    if install().is_ok() {
        return Ok(());
    }
    run(Command::new("apt-get").args(["update", "--quiet"]))?;
    install()
}

fn explain(missing: &[&Need]) -> String {
    let lines: Vec<_> =
        missing.iter().map(|need| format!("\n  {} (package {}): {}", need.program, need.package, need.why)).collect();
    let names: Vec<_> = missing.iter().map(|need| need.package).collect();
    format!(
        "the tests need programs that are not here:{}\nhint: sudo apt-get install {}",
        lines.concat(),
        names.join(" ")
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_is_named_with_the_command() {
        let text = explain(&[&NEEDS[0], &NEEDS[4]]);
        assert!(text.contains("dockerd (package docker.io): loads and runs images"));
        assert!(text.ends_with("hint: sudo apt-get install git docker.io"));
    }
}
