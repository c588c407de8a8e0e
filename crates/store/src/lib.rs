//! Bytes on disk and nothing else.

mod batch;
mod store;

pub mod docker_archive;
pub mod layout;

pub use batch::{Batch, BlobWriter};
pub use store::{Key, Partial, Store, StoreError};
