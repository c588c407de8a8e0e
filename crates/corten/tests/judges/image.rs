//! The image that is judged: the example, shipped once in each variant.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use serde_json::Value;

use crate::place::{done, folder, path};

/// The image's only tag wherever it goes.
pub const NAME: &str = "judged:1";
/// The distroless one in the store: [`NAME`] is there whichever was built last.
pub const DISTROLESS: &str = "judged-distroless:1";

/// Where the service listens, by the example's settings.
pub const PORT: u16 = 8000;

/// What the base holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Variant {
    Distroless,
    Slim,
}
pub use Variant::{Distroless, Slim};

/// A shipped image.
pub struct Image {
    /// The project's copy.
    project: PathBuf,
    /// `sha256:…` of its manifest.
    pub digest: String,
    /// The OCI layout that `ship` wrote.
    pub layout: PathBuf,
    /// What `docker load` reads.
    pub archive: PathBuf,
    /// As `corten sbom` prints it.
    pub bill: Value,
}

impl Variant {
    /// The image, shipped at the first request. The distroless one's bill of materials lists files.
    pub fn image(self) -> &'static Image {
        static IMAGES: [OnceLock<Image>; 2] = [OnceLock::new(), OnceLock::new()];
        IMAGES[self as usize].get_or_init(|| ship(self))
    }

    /// Of the project.
    pub fn name(self) -> &'static str {
        ["distroless", "slim"][self as usize]
    }
}

impl Image {
    /// `corten build` of the project once more, all of it from the store.
    pub fn build(&self) -> Command {
        corten([OsStr::new("build"), self.project.as_os_str(), OsStr::new("--tag"), OsStr::new(NAME)])
    }
}

fn ship(variant: Variant) -> Image {
    let project = project(variant);
    let files: &[&str] = if variant == Distroless { &["--sbom-files"] } else { &[] };
    let shipped = done(corten(["ship", "--format", "json"]).args(files).arg(&project));
    let shipped: Value = serde_json::from_str(&shipped).unwrap();
    let digest = shipped["digest"].as_str().unwrap().to_owned();
    if variant == Distroless {
        done(&mut corten(["tag", &digest, DISTROLESS]));
    }
    let bill = done(&mut corten(["sbom", &digest]));
    let archive = folder().join(format!("{}.tar", variant.name()));
    let image = Image {
        layout: home().join("layouts").join(variant.name()),
        bill: serde_json::from_str(&bill).unwrap(),
        project,
        digest,
        archive,
    };
    let output = format!("type=docker,dest={}", image.archive.display());
    done(image.build().args(["--output", &output]));
    image
}

/// A copy of the example under the variant's name.
fn project(variant: Variant) -> PathBuf {
    example(variant.name(), &format!("variant = \"{}\"\n", variant.name()))
}

/// A copy of the example under another name and with more settings, without what others may have left in it.
pub fn example(name: &str, settings: &str) -> PathBuf {
    let project = folder().join(format!("project-{name}"));
    copy(&examples().join("text-classifier"), &project);
    replace(&project.join("uv.lock"), "name = \"text-classifier\"", &format!("name = \"{name}\""));
    let written = project.join("pyproject.toml");
    replace(&written, "name = \"text-classifier\"", &format!("name = \"{name}\""));
    let base = "base = \"debian:bookworm\"\n";
    replace(&written, base, &format!("{base}{settings}"));
    project
}

/// Where the examples lie.
pub fn examples() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../examples"))
}

/// What `corten ship --format json` says of an example that is as it stands there, and the OCI layout that it writes.
pub fn shipped(name: &str) -> (Value, PathBuf) {
    let project = folder().join(name);
    copy(&examples().join(name), &project);
    let said = done(corten(["ship", "--format", "json"]).arg(&project));
    (serde_json::from_str(&said).unwrap(), home().join("layouts").join(name))
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir(to).unwrap();
    for entry in fs::read_dir(from).unwrap().map(Result::unwrap) {
        let name = entry.file_name();
        let is_state = name.to_str().is_some_and(|name| ["corten.lock", ".venv", "__pycache__"].contains(&name));
        match entry.file_type().unwrap().is_dir() {
            _ if is_state => {}
            true => copy(&entry.path(), &to.join(name)),
            false => drop(fs::copy(entry.path(), to.join(name)).unwrap()),
        }
    }
}

fn replace(path: &Path, what: &str, with: &str) {
    let text = fs::read_to_string(path).unwrap();
    assert!(text.contains(what), "{} has no {what}", path.display());
    fs::write(path, text.replacen(what, with, 1)).unwrap();
}

fn home() -> PathBuf {
    folder().join("home")
}

/// The program, with nothing of the caller's environment that could decide anything.
pub fn corten(arguments: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Command {
    let mut command = crate::place::command(Path::new(env!("CARGO_BIN_EXE_corten")), arguments);
    let kept = ["SSL_CERT_FILE", "SSL_CERT_DIR", "https_proxy", "all_proxy", "http_proxy", "no_proxy"];
    let kept = kept.into_iter().flat_map(|name| [name.to_owned(), name.to_uppercase()]);
    let kept: Vec<_> =
        kept.filter_map(|name| Some((std::env::var_os(&name)?, name))).map(|(value, name)| (name, value)).collect();
    command.env_clear().envs(kept).env("PATH", path()).env("HOME", folder()).env("CORTEN_HOME", home());
    command
}
