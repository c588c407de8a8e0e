//! Bytes on disk and nothing else: what is stored where, how it becomes durable, how it is checked.
//!
//! [`Store`] reads, [`Batch`] writes, [`Store::verify`] checks, [`Store::prune`] frees; [`layout`] and [`docker_archive`] are how images leave and come.

mod ahead;
mod archive;
mod batch;
mod behind;
mod cache_mount;
mod contents;
mod disk;
mod error;
mod format;
mod ground;
mod index_file;
mod later;
mod lease;
mod names;
mod origins;
mod partial;
mod pointer;
mod prune;
mod repair;
mod repository;
mod saved;
mod scratch;
mod size;
mod store;
mod tidy;
mod trees;
mod upload;
mod usage;
mod verified;
mod verify;

pub mod docker_archive;
pub mod foreign;
pub mod layout;

pub use ahead::read_ahead;
pub use batch::{Batch, BlobWriter};
pub use behind::write_behind;
pub use cache_mount::{CacheMount, CacheUse};
pub use disk::read_in_order;
pub use error::{StoreError, hints};
pub use ground::Ground;
pub use later::Trees;
pub use partial::Partial;
pub use prune::{Item, Kind, PruneOptions, Pruning, Untagged};
pub use repair::Wanting;
pub use repository::Unnamed;
pub use saved::save;
pub use scratch::ScratchFolder;
pub use size::{Class, ImageSize, StoreSize, classes};
pub use store::{Key, Store};
pub use trees::{AddedFile, Doubled, EachFile, FORMAT, Kept, Left, ManifestOptions, Owners, Packing, TreeLayer, Upper};
pub use upload::Upload;
pub use verify::Problem;
