//! `[test]`: what `corten test` runs, and what it has beside the image.

use std::collections::BTreeMap;

use corten_diagnostic::Failure;

use super::{Setting, Table, sections, value};

/// What `corten test` does.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TestSettings {
    /// The command; none: pytest.
    pub command: Option<Setting<Vec<String>>>,
    /// Dependency groups of the lock; none: the one whose name says it.
    pub groups: Option<Vec<Setting<String>>>,
    /// Extras of the project.
    pub extras: Vec<Setting<String>>,
    /// Another lock, below the project.
    pub lock: Option<Setting<String>>,
    /// What is mounted, below the project; none: what pytest looks for.
    pub paths: Option<Vec<Setting<String>>>,
    /// Where the report goes, below the project.
    pub junit: Option<Setting<String>>,
    /// Which network.
    pub network: Option<Setting<TestNetwork>>,
    /// Variables.
    pub env: BTreeMap<String, Setting<String>>,
}

/// Which network tests have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TestNetwork {
    /// As `corten run`.
    Usual,
    /// The host's.
    Host,
    /// None.
    None,
}

pub(super) fn read(table: &mut Table<'_>) -> Result<TestSettings, Failure> {
    let command = table.take("command").map(|found| sections::command(&found)).transpose()?;
    let groups = table.take("groups").map(|found| found.strings()).transpose()?;
    let extras = sections::strings(table.take("extras"))?;
    let mut path = |key| table.take(key).map(|found| found.parsed(value::below_project)).transpose();
    let (lock, junit) = (path("lock")?, path("junit")?);
    let paths = match table.take("paths") {
        Some(found) => Some(found.array()?.iter().map(|item| item.parsed(path_of_tests)).collect::<Result<_, _>>()?),
        None => None,
    };
    let network = table.take("network").map(|found| found.parsed(network)).transpose()?;
    let env = table.take("env").map_or(Ok(BTreeMap::new()), |found| sections::env(&found))?;
    Ok(TestSettings { command, groups, extras, lock, paths, junit, network, env })
}

/// A file or folder below the project, not the project itself.
fn path_of_tests(text: &str) -> Result<String, String> {
    let path = value::below_project(text)?;
    let plain: Vec<&str> = path.split('/').filter(|part| !part.is_empty() && *part != ".").collect();
    match plain.is_empty() {
        true => Err(format!("is '{text}', expected a file or folder below the project, such as \"tests\"")),
        false => Ok(plain.join("/")),
    }
}

fn network(text: &str) -> Result<TestNetwork, String> {
    match text {
        "default" => Ok(TestNetwork::Usual),
        "host" => Ok(TestNetwork::Host),
        "none" => Ok(TestNetwork::None),
        _ => Err(format!("is '{text}', expected \"default\", \"host\" or \"none\"")),
    }
}
