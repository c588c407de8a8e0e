//! What can go wrong with an archive, and what to try.

use corten_diagnostic::{Diagnose, Fault};
use corten_net::NetError;
use corten_oci::Architecture;
use corten_store::StoreError;

use super::index::IndexError;
use super::release::ReleaseError;
use super::seeds::RELEASES;
use super::signature::SignatureError;
use super::solver::SolveError;
use crate::fetch::FetchError;

/// Why a base could not be locked or fetched.
#[derive(Debug, thiserror::Error)]
pub enum ArchiveError {
    /// A release that bases cannot be made of.
    #[error("locking the base: Debian '{suite}' is not one that bases are made of")]
    Suite {
        /// What was asked for.
        suite: String,
    },
    /// No answer, or no.
    #[error("reading the archive's state of {suite}: {source}")]
    Unreachable {
        /// `bookworm-security`.
        suite: String,
        /// What the network said.
        source: NetError,
    },
    /// Not signed by whom it must be.
    #[error("checking the signature of {suite}: {source}")]
    Signature {
        /// `bookworm-security`.
        suite: String,
        /// What is wrong.
        source: SignatureError,
    },
    /// Signed, but not what is wanted.
    #[error("reading the archive's state of {suite}: {source}")]
    Release {
        /// `bookworm-security`.
        suite: String,
        /// What is wrong.
        source: ReleaseError,
    },
    /// A package index that cannot be read.
    #[error("reading the packages of {suite}: {source}")]
    Index {
        /// `bookworm-security`.
        suite: String,
        /// What is wrong.
        source: IndexError,
    },
    /// No such package, or not for this processor.
    #[error("choosing Debian packages: {suite} has no package '{name}' for {architecture}")]
    Unknown {
        /// `bookworm`.
        suite: String,
        /// For which processor.
        architecture: Architecture,
        /// What was asked for.
        name: String,
        /// A name much like it.
        similar: Option<String>,
    },
    /// Packages that do not fit.
    #[error(transparent)]
    Solve(#[from] SolveError),
    /// A package that every base has is not among the chosen.
    #[error("locking the base: the archive has no {package}")]
    Lacks {
        /// Which.
        package: String,
    },
    /// A locked package that is no longer to be had.
    #[error(
        "fetching {what}: it is neither in the store nor in the archive{}",
        if *.snapshot { " nor at the snapshot service" } else { "" }
    )]
    Gone {
        /// Name and version.
        what: String,
        /// Was a snapshot service asked?
        snapshot: bool,
        /// What the network said.
        source: NetError,
    },
    /// A package that needs a newer version of one of the base.
    #[error("adding packages to the base: {package} needs {need}, and the base has {found}")]
    Outdated {
        /// Which package.
        package: String,
        /// The relation.
        need: String,
        /// Name and version.
        found: String,
    },
    /// A package of which a distroless base has a part alone.
    #[error("adding packages to the base: {package} is in the base already, without its programs")]
    Partial {
        /// Which.
        package: String,
    },
    /// A download that failed.
    #[error(transparent)]
    Fetch(#[from] FetchError),
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A thread of ours died.
    #[error("reading the archive: a thread ended without a result")]
    Panicked,
}

impl Diagnose for ArchiveError {
    fn fault(&self) -> Fault {
        match self {
            Self::Suite { .. } | Self::Partial { .. } | Self::Unknown { .. } => Fault::Usage,
            Self::Outdated { .. } => Fault::Input,
            Self::Solve(error) => error.fault(),
            Self::Panicked => Fault::Bug,
            _ => Fault::World,
        }
    }

    fn hints(&self) -> Vec<String> {
        match self {
            Self::Suite { .. } => {
                let names: Vec<String> =
                    RELEASES.iter().map(|release| format!("debian:{}", release.codename)).collect();
                vec![format!("there are {}", names.join(" and "))]
            }
            Self::Unknown { similar, .. } => similar.iter().map(|name| format!("did you mean '{name}'?")).collect(),
            Self::Unreachable { source, .. } => source.hints(),
            Self::Signature { .. } => vec![
                "something between here and the archive may change what it sends, or the mirror is not Debian's".into(),
                "for an archive with other keys, name its keyring in the settings".into(),
            ],
            Self::Release { source, .. } => source.hints(),
            Self::Index { source, .. } => source.hints(),
            Self::Solve(error) => error.hints(),
            Self::Lacks { .. } => vec!["check the mirror's address in the settings".into()],
            Self::Gone { snapshot, .. } => {
                let mut hints =
                    vec!["Debian removes superseded versions: `corten lock` renews the base's pins".to_owned()];
                if !snapshot {
                    hints.push("or set a snapshot service, which keeps old versions".into());
                }
                hints
            }
            Self::Outdated { .. } => vec!["`corten lock` takes the base anew, too".into()],
            Self::Partial { .. } => vec!["variant = \"slim\" has the whole package".into()],
            Self::Fetch(error) => error.hints(),
            Self::Store(error) => error.hints(),
            Self::Panicked => Vec::new(),
        }
    }
}
