//! Packages to layers: Python wheels, Debian packages.

pub mod debian;
pub mod fetch;
pub mod image;
pub mod libraries;
pub mod python;
