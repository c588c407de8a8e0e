//! Bytes of layers, over `Read` and `Write`, no disk.

pub mod ar;
pub mod attributes;
pub mod bounds;
pub mod bzip2;
pub mod compress;
mod deflate;
mod estargz;
pub mod gzip;
mod inflate;
pub mod pack;
mod pieces;
mod pool;
mod splice;
pub mod stored_gzip;
pub mod tar;
pub mod tree;
mod walk;
pub mod write;
pub mod xz;
pub mod zip;
