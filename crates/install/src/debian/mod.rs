//! A base from Debian's signed archive: nothing is run in a container, no maintainer script is needed.
//!
//! ```text
//! InRelease ──signature──► release ──► index (Packages) ──► solver ──► lock ──► .debs ──► base layer
//! ```

pub mod alternatives;
pub mod archive;
pub mod base;
pub mod bytecode;
pub mod certificates;
pub mod changelog;
pub mod closure;
pub mod contents;
pub mod control;
pub mod deb;
pub mod dpkg;
mod error;
#[cfg(test)]
mod fixture;
pub mod index;
pub mod keyring;
pub mod ldcache;
mod lock;
pub mod packages;
pub mod relation;
pub mod release;
pub mod seeds;
pub mod signature;
pub mod solver;
pub mod universe;

pub use archive::{Archive, BaseRequest, Mirrors, fetch_debs, lock_base, lock_base_beside, lock_base_without_python};
pub use error::ArchiveError;
pub use keyring::{Keyring, KeyringError};
pub use lock::{LockedBase, LockedDeb, Mirror, Variant};
pub use packages::{AddedPackages, files_of_packages, lock_packages};
pub use seeds::Debian;
