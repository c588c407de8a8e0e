//! Bytes of layers, over `Read` and `Write`, no disk.

pub mod ar;
mod deflate;
pub mod gzip;
mod inflate;
mod splice;
pub mod stored_gzip;
pub mod tar;
pub mod tree;
mod walk;
pub mod write;
pub mod xz;
pub mod zip;
