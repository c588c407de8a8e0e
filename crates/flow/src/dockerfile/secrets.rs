//! Secrets of a build, and the agents that sign for it: named by an id, kept in memory, never shown.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;

use corten_diagnostic::Failure;
use corten_engine::stages;

/// Bytes that a secret may have; BuildKit's limit.
pub const LARGEST_SECRET: u64 = 500 << 10;

/// What was given, by id.
#[derive(Clone, Default)]
pub struct Secrets {
    /// `--secret`.
    pub values: BTreeMap<String, Vec<u8>>,
    /// `--ssh`: sockets.
    pub agents: BTreeMap<String, PathBuf>,
}

impl fmt::Debug for Secrets {
    /// Their names alone.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.values.keys()).entries(self.agents.keys()).finish()
    }
}

impl stages::Secrets for Secrets {
    fn secret(&self, id: &str) -> Result<Option<Vec<u8>>, Failure> {
        Ok(self.values.get(id).cloned())
    }

    fn agent(&self, id: &str) -> Result<Option<PathBuf>, Failure> {
        Ok(self.agents.get(if id.is_empty() { "default" } else { id }).cloned())
    }
}
