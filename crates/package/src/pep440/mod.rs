//! Versions of Python packages and the conditions on them (PEP 440).

mod specifiers;
mod version;

pub use specifiers::{Operator, Specifier, Specifiers, SpecifiersError};
pub use version::{Version, VersionError};
