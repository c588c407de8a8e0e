//! `cargo xtask dist`: what people install who have no Rust.
//!
//! ```text
//! for x86_64 and aarch64:  cargo zigbuild ─► one static program ─► corten-VERSION-MACHINE-linux
//!                                                 └► wheel: the program, its manual pages and completions
//! SHA256SUMS over all
//! ```
//!
//! The C libraries are compiled by `zig cc`, so no cross compiler has to be installed; musl is linked in, so one program runs
//! on every Linux of its machine. All comes to lie in `target/dist`. The same commit gives the same bytes: no path of this
//! machine and no time enters.

mod wheel;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use sha2::{Digest, Sha256};

use crate::peers::Peer;
use crate::shell::{cargo, output, root, run};

pub use wheel::{Member, Wheel};

/// A program of more bytes is too large.
const LARGEST: u64 = 25_000_000;

/// A machine that is built for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Machine {
    /// Intel's and AMD's.
    X86_64,
    /// Arm's.
    Aarch64,
}

impl Machine {
    /// The kernel's name.
    pub fn name(self) -> &'static str {
        match self {
            Self::X86_64 => "x86_64",
            Self::Aarch64 => "aarch64",
        }
    }

    /// That of the machine that this runs on.
    pub fn own() -> Self {
        if cfg!(target_arch = "aarch64") { Self::Aarch64 } else { Self::X86_64 }
    }

    fn target(self) -> String {
        format!("{}-unknown-linux-musl", self.name())
    }
}

/// How it is compiled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Profile {
    /// As it is published.
    Release,
    /// In a quarter of the time, for the test of what is published: the same libraries, the same linker, not optimised.
    Light,
}

/// Builds everything for both machines.
///
/// # Errors
/// What cannot be built, and what is too large.
pub fn all(machines: &[&str]) -> Result<(), String> {
    let both = [Machine::X86_64, Machine::Aarch64];
    let known = |name: &&str| both.iter().any(|machine| machine.name() == *name);
    if let Some(other) = machines.iter().find(|name| !known(name)) {
        return Err(format!("'{other}' is not built for; x86_64 and aarch64 are"));
    }
    let wanted = both.into_iter().filter(|machine| machines.is_empty() || machines.contains(&machine.name()));
    let place = folder(Profile::Release).join("dist");
    remove(&place)?;
    fs::create_dir_all(&place).map_err(|error| format!("cannot make {}: {error}", place.display()))?;
    let mut made = Vec::new();
    for machine in wanted {
        let program = program(machine, Profile::Release)?;
        let size = fs::metadata(&program).map(|about| about.len()).unwrap_or_default();
        if size > LARGEST {
            return Err(format!("{} has {size} bytes: more than {LARGEST}", program.display()));
        }
        let copy = place.join(format!("corten-{}-{}-linux", version()?, machine.name()));
        fs::copy(&program, &copy).map_err(|error| format!("cannot write {}: {error}", copy.display()))?;
        made.push(copy);
        made.push(pack(machine, &program, shared(Profile::Release)?, &place)?);
    }
    let sums = sums(&made)?;
    write(&place.join("SHA256SUMS"), sums.as_bytes())?;
    print!("{sums}");
    eprintln!("in {}", place.display());
    Ok(())
}

/// A wheel for the machine that this is, in the folder; compiled as `profile` says.
///
/// # Errors
/// What cannot be built.
pub fn wheel(machine: Machine, profile: Profile, place: &Path) -> Result<PathBuf, String> {
    pack(machine, &program(machine, profile)?, shared(profile)?, place)
}

/// Where cargo works.
fn folder(profile: Profile) -> PathBuf {
    let name = match profile {
        Profile::Release => "dist",
        Profile::Light => "dist-light",
    };
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), PathBuf::from);
    target.join(name)
}

/// Compiles the program.
fn program(machine: Machine, profile: Profile) -> Result<PathBuf, String> {
    let zigbuild = Peer::program("cargo-zigbuild")?;
    let zig = Peer::program("python-zig")?;
    let target = machine.target();
    if let Some(rustup) = crate::shell::find("rustup") {
        run(Command::new(rustup).current_dir(root()).args(["target", "add", &target]))?;
    }
    let folder = folder(profile);
    let mut command = Command::new(zigbuild);
    command.current_dir(root()).args(["zigbuild", "--locked", "--package", "corten", "--target", &target]);
    command.env("CARGO_ZIGBUILD_ZIG_PATH", zig).env("CARGO_TARGET_DIR", &folder);
    // What only this machine has stays here, in C as in Rust.
    command.env("CARGO_ENCODED_RUSTFLAGS", remaps(&folder).join("\u{1f}")).env("SOURCE_DATE_EPOCH", "0");
    command.env_remove("RUSTFLAGS").env_remove("CARGO_INCREMENTAL");
    let profile = match profile {
        Profile::Release => {
            // The names of functions are a fifth of it; messages say where they come from without them. All crates are
            // optimised as one, which takes minutes more: what several of them made of one generic function is there once.
            command
                .arg("--release")
                .env("CARGO_PROFILE_RELEASE_STRIP", "symbols")
                .env("CARGO_PROFILE_RELEASE_LTO", "fat");
            "release"
        }
        Profile::Light => {
            command.args(["--profile", "light"]);
            "light"
        }
    };
    run(&mut command)?;
    Ok(folder.join(target).join(profile).join("corten"))
}

/// Paths of this machine that compilers would write into the program, each with what is written instead. Of several that fit,
/// the last holds. `folder`: where cargo works, which need not lie in the checkout.
fn remaps(folder: &Path) -> Vec<String> {
    let home = |variable: &str, usual: &str| {
        let usual = || Some(PathBuf::from(std::env::var_os("HOME")?).join(usual));
        std::env::var_os(variable).map(PathBuf::from).or_else(usual)
    };
    let places = [
        (Some(root()), "/corten"),
        (Some(folder.to_owned()), "/corten/target"),
        (home("CARGO_HOME", ".cargo"), "/cargo"),
        (home("RUSTUP_HOME", ".rustup"), "/rustup"),
    ];
    let known = places.into_iter().filter_map(|(from, to)| Some((from?, to)));
    known.map(|(from, to)| format!("--remap-path-prefix={}={to}", from.display())).collect()
}

/// The version of the workspace.
fn version() -> Result<String, String> {
    let text = output(cargo().args(["pkgid", "--package", "corten"]))?;
    let version = text.trim().rsplit(['#', '@']).next().map(str::to_owned);
    version.ok_or_else(|| format!("cargo names no version of corten: {text}"))
}

/// Puts a program into a wheel.
fn pack(machine: Machine, program: &Path, data: Vec<Member>, place: &Path) -> Result<PathBuf, String> {
    let read = |path: &Path| fs::read(path).map_err(|error| format!("cannot read {}: {error}", path.display()));
    let bytes = read(program)?;
    let (version, readme) = (version()?, read(&root().join("README.md"))?);
    let wheel = Wheel {
        name: "corten",
        version: &version,
        machine: machine.name(),
        summary: "From a machine-learning project to a small, reproducible, published container image",
        readme: &String::from_utf8_lossy(&readme),
        licence: &read(&root().join("LICENSE"))?,
        program: &bytes,
        data,
    };
    let (name, bytes) = wheel.pack()?;
    let path = place.join(name);
    write(&path, &bytes)?;
    Ok(path)
}

/// Manual pages and completions, as the program for this machine writes them: they are the same for every machine.
fn shared(profile: Profile) -> Result<Vec<Member>, String> {
    let corten = program(Machine::own(), profile)?;
    let mut members = Vec::new();
    for (shell, path) in [
        ("bash", "share/bash-completion/completions/corten"),
        ("zsh", "share/zsh/site-functions/_corten"),
        ("fish", "share/fish/vendor_completions.d/corten.fish"),
    ] {
        let text = output(Command::new(&corten).args(["completions", shell]))?;
        members.push(Member { path: path.to_owned(), content: text.into_bytes() });
    }
    let pages = folder(profile).join("man");
    remove(&pages)?;
    run(Command::new(&corten).arg("man").arg(&pages))?;
    let listed = fs::read_dir(&pages).map_err(|error| format!("cannot list {}: {error}", pages.display()))?;
    let mut names: Vec<PathBuf> = listed.flatten().map(|entry| entry.path()).collect();
    names.sort();
    for path in names {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let content = fs::read(&path).map_err(|error| format!("cannot read {}: {error}", path.display()))?;
        members.push(Member { path: format!("share/man/man1/{name}"), content });
    }
    Ok(members)
}

/// As `sha256sum` writes and checks them.
fn sums(paths: &[PathBuf]) -> Result<String, String> {
    let mut lines = Vec::new();
    for path in paths {
        let bytes = fs::read(path).map_err(|error| format!("cannot read {}: {error}", path.display()))?;
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let hex: String = Sha256::digest(&bytes).iter().map(|byte| format!("{byte:02x}")).collect();
        lines.push(format!("{hex}  {name}\n"));
    }
    lines.sort_by(|one, other| one[64..].cmp(&other[64..]));
    Ok(lines.concat())
}

fn write(path: &Path, bytes: &[u8]) -> Result<(), String> {
    let written = fs::write(path, bytes).and_then(|()| fs::set_permissions(path, fs::Permissions::from_mode(0o644)));
    written.map_err(|error| format!("cannot write {}: {error}", path.display()))
}

fn remove(folder: &Path) -> Result<(), String> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(format!("cannot remove {}: {error}", folder.display()))
        }
        _ => Ok(()),
    }
}
