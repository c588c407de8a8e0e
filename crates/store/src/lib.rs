//! Bytes on disk and nothing else: what is stored where, how it becomes durable, how it is checked.
//!
//! [`Store`] reads, [`Batch`] writes, [`Store::verify`] checks; [`layout`] and [`docker_archive`] are how images leave and come.

mod archive;
mod batch;
mod contents;
mod disk;
mod error;
mod index_file;
mod names;
mod partial;
mod pointer;
mod repository;
mod scratch;
mod store;
mod upload;
mod verified;
mod verify;

pub mod docker_archive;
pub mod foreign;
pub mod layout;

pub use batch::{Batch, BlobWriter};
pub use error::{StoreError, hints};
pub use partial::Partial;
pub use scratch::ScratchFolder;
pub use store::{Key, Store};
pub use upload::Upload;
pub use verify::Problem;
