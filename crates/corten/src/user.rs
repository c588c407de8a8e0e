//! The user's own settings, for all projects: found, read, turned into what the verbs work with. Flags and variables go before
//! them.

use std::collections::BTreeMap;
use std::io::{ErrorKind, Read};
use std::path::{Path, PathBuf};

use corten_diagnostic::Failure;
use corten_flow::registry::RegistryOptions;
use corten_frontend::settings::{Setting, UserSettings};

use crate::surroundings::certificates;

/// Bytes of the file.
const LONGEST: u64 = 1 << 20;

/// What the file says, understood.
#[derive(Debug, Default)]
pub struct User {
    /// As written; all defaults where there is no file.
    pub settings: UserSettings,
    /// Mirrors, and registries that are reached without TLS.
    pub registries: RegistryOptions,
    /// Authorities (PEM) by host.
    pub authorities: BTreeMap<String, Vec<u8>>,
}

impl User {
    /// Reads the file below the folder of settings, if it is there.
    ///
    /// # Errors
    /// Usage: it cannot be read, is not as it should be, or names a file of certificates that is none.
    pub fn read(folder: Option<PathBuf>) -> Result<Self, Failure> {
        let Some(path) = folder.map(|folder| folder.join("corten/config.toml")) else { return Ok(Self::default()) };
        let Some(text) = text(&path)? else { return Ok(Self::default()) };
        let settings = UserSettings::read(&path, &text)?;
        let (mut registries, mut authorities) = (RegistryOptions::default(), BTreeMap::new());
        for registry in &settings.registries {
            let host = &registry.host.value;
            for mirror in &registry.mirrors {
                let parsed = format!("{host}={}", mirror.value).parse();
                registries
                    .mirrors
                    .push(parsed.map_err(|error: corten_flow::MirrorError| {
                        placed(Failure::usage(error.to_string()), mirror)
                    })?);
            }
            if registry.insecure.as_ref().is_some_and(|insecure| insecure.value) {
                registries.plain.push(host.clone());
            }
            if let Some(ca) = &registry.ca {
                let file = path.parent().unwrap_or(Path::new("")).join(&ca.value);
                let found = certificates(&file).map_err(|failure| placed(failure, ca))?;
                authorities.insert(host.clone(), found);
            }
        }
        Ok(Self { settings, registries, authorities })
    }
}

fn placed(failure: Failure, setting: &Setting<String>) -> Failure {
    match &setting.at {
        Some(at) => failure.at(at.clone()),
        None => failure,
    }
}

/// None where there is no file.
fn text(path: &Path) -> Result<Option<String>, Failure> {
    let failed = |why: String| Failure::usage(format!("reading your settings in {}: {why}", path.display()));
    // A folder that may not be entered is somebody else's: HOME is still root's after setpriv.
    if std::fs::symlink_metadata(path).is_err_and(|error| error.kind() == ErrorKind::PermissionDenied) {
        return Ok(None);
    }
    let file = match std::fs::File::open(path) {
        Ok(file) => file,
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => return Ok(None),
        Err(error) => return Err(failed(error.to_string())),
    };
    let mut bytes = Vec::new();
    file.take(LONGEST + 1).read_to_end(&mut bytes).map_err(|error| failed(error.to_string()))?;
    if bytes.len() as u64 > LONGEST {
        return Err(failed(format!("it is larger than {LONGEST} bytes")));
    }
    String::from_utf8(bytes).map(Some).map_err(|_| failed("it is not UTF-8".to_owned()))
}
