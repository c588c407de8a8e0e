//! Bytes of layers, over `Read` and `Write`, no disk.

pub mod ar;
pub mod gzip;
pub mod splice;
pub mod tar;
pub mod tree;
pub mod write;
pub mod xz;
pub mod zip;
