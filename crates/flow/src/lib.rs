//! The verbs: plan, build, check, ship, push, pull. Each is one function that reads like the data flow.
//!
//! Other people's programs are started here (git, docker, credential helpers, the base's Python) and nowhere else. Nothing prints, nothing
//! reads the environment: everything outside comes in by [`World`].

mod base;
pub mod base_build;
pub mod bases;
mod blobs;
pub mod bom;
pub mod build;
mod builds;
pub mod carry;
pub mod check;
mod context;
mod credentials;
mod debs;
pub mod explain;
mod files;
mod git;
mod images;
mod indexes;
mod inherit;
pub mod init;
pub mod keyring;
mod libraries;
mod local;
mod lock;
pub mod look;
mod lower;
mod machines;
mod missing;
mod once;
pub mod outputs;
mod own;
mod packages;
mod places;
pub mod plan;
mod program;
mod project;
pub mod prune;
pub mod registry;
mod registry_base;
mod remote;
mod repository;
mod requirements;
mod sdists;
pub mod serve;
pub mod ship;
mod stale;
mod standalone;
mod start;
mod tags;
mod unlocked;
pub mod upgrade;
mod weights;
mod world;

pub use context::Ignored;
pub use corten_engine::{SANDBOX_ARGUMENT, sandbox_init};
pub use corten_net::{Asker, Client, Login, Settings as Network, Teller};
pub use corten_store::{Class, ImageSize, Pruning, Store, StoreSize, classes};
pub use credentials::AuthFiles;
pub use git::Commit;
pub use indexes::{Indexes, netrc};
pub use packages::Packages;
pub use project::ProjectOptions;
pub use sdists::FromSource;
pub use world::World;
