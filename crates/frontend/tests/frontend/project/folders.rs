//! Folders for tests, and the fixtures.

use std::collections::BTreeMap;

use corten_diagnostic::Failure;
use corten_frontend::python::project::{Folder, Kind, Listed};

/// Files in memory.
#[derive(Default)]
pub struct Memory(pub BTreeMap<String, Vec<u8>>);

impl Folder for Memory {
    fn entries(&self) -> Result<Vec<Listed>, Failure> {
        let listed = |path: &String| Listed { path: path.clone(), kind: Kind::File { executable: false } };
        Ok(self.0.keys().map(listed).collect())
    }

    fn read(&self, path: &str, limit: u64) -> Result<Vec<u8>, Failure> {
        let bytes = self.0.get(path).ok_or_else(|| Failure::bug(format!("{path} was not listed")))?;
        if bytes.len() as u64 > limit {
            return Err(Failure::input(format!("{path} is longer than {limit} bytes")));
        }
        Ok(bytes.clone())
    }
}

/// The fixtures; none, with a line, where they are absent.
///
/// # Panics
/// In CI, where nothing may be left out.
pub fn cases() -> Option<serde_json::Value> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/data/project-install/cases.json");
    match std::fs::read(path) {
        Ok(bytes) => Some(serde_json::from_slice(&bytes).expect("the fixtures are JSON")),
        Err(error) => {
            assert!(std::env::var_os("CI").is_none(), "{path}: {error}");
            eprintln!("left out: {path}: {error}");
            None
        }
    }
}

/// A list of texts.
pub fn texts(value: &serde_json::Value) -> Vec<String> {
    value.as_array().into_iter().flatten().filter_map(|text| text.as_str().map(str::to_owned)).collect()
}

/// A folder of texts.
pub fn folder(files: &[(&str, &str)]) -> Memory {
    Memory(files.iter().map(|(path, text)| ((*path).to_owned(), text.as_bytes().to_vec())).collect())
}

/// A `[project]` with a static version, for a backend.
pub fn pyproject(backend: &str, more: &str) -> String {
    let requires = match backend.split('.').next().unwrap_or_default() {
        "flit_core" => "flit_core>=3.12",
        "poetry" => "poetry-core",
        "pdm" => "pdm-backend",
        "uv_build" => "uv_build",
        other => other,
    };
    format!(
        "[build-system]\nrequires = [\"{requires}\"]\nbuild-backend = \"{backend}\"\n\n[project]\nname = \"demo\"\nversion = \"1\"\n{more}"
    )
}
