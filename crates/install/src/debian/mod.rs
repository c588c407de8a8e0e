//! A base from Debian's signed archive: nothing is run in a container, no maintainer script is needed.
//!
//! ```text
//! InRelease ──signature──► release ──► index (Packages) ──► solver ──► lock ──► .debs ──► base layer
//! ```

pub mod keyring;
mod lock;
pub mod relation;
pub mod release;
pub mod signature;

pub use lock::{LockedBase, LockedDeb, Mirror, Variant};
