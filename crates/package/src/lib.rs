//! The nouns of packages: names, versions, markers, wheel tags, package URLs, licences.
//!
//! Everything here is text in, value out: no file, no network, no environment. The formats are Python's (PEP 440, 503,
//! 508, 425 and 600), Debian's (deb-version(7)) and the package URL specification.

pub mod deb;
pub mod licence;
pub mod marker;
mod name;
pub mod pep440;
mod purl;
mod requirement;
mod text;
pub mod wheel;

pub use name::{NameError, PackageName};
pub use purl::{Parts as PurlParts, Purl, PurlError};
pub use requirement::{Requirement, RequirementError, Source};
