//! Packages to layers: Python wheels, Debian packages.
