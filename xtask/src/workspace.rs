//! What cargo says about our crates and their dependencies.

use serde_json::Value;

use crate::shell::{cargo, output};

/// A crate, ours or not.
#[derive(Debug)]
pub struct Package {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// Its licence as it states it.
    pub licence: Option<String>,
    /// The path of its Cargo.toml.
    pub manifest: String,
    /// What its Cargo.toml asks for.
    pub dependencies: Vec<Dependency>,
}

/// A line of `[dependencies]`, `[dev-dependencies]` or `[build-dependencies]`.
#[derive(Debug)]
pub struct Dependency {
    /// Name of the crate.
    pub name: String,
    /// Only for tests?
    pub only_tests: bool,
}

/// The crates of the workspace, from their manifests alone.
///
/// # Errors
/// When `cargo metadata` fails.
pub fn ours() -> Result<Vec<Package>, String> {
    packages(&["--no-deps"])
}

/// Everything that the lock file names, for every platform.
///
/// # Errors
/// When `cargo metadata` fails, as when Cargo.lock is not up to date.
pub fn everything() -> Result<Vec<Package>, String> {
    packages(&["--locked"])
}

fn packages(arguments: &[&str]) -> Result<Vec<Package>, String> {
    let text = output(cargo().args(["metadata", "--format-version", "1"]).args(arguments))?;
    let metadata: Value = serde_json::from_str(&text).map_err(|error| format!("cargo metadata: {error}"))?;
    Ok(list(&metadata["packages"]).iter().map(package).collect())
}

fn package(value: &Value) -> Package {
    let dependencies = list(&value["dependencies"])
        .iter()
        .map(|dependency| Dependency { name: text(&dependency["name"]), only_tests: dependency["kind"] == "dev" });
    Package {
        name: text(&value["name"]),
        version: text(&value["version"]),
        licence: value["license"].as_str().map(str::to_owned),
        manifest: text(&value["manifest_path"]),
        dependencies: dependencies.collect(),
    }
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map(Vec::as_slice).unwrap_or_default()
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}
