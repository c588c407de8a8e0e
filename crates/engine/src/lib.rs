//! The local engine: takes a plan, gives an image, on this machine, with no container and no root.
//!
//! ```text
//! plan ─► waves of steps ─► key ─► record in the store? ─► reuse
//!                                   └─ no ─► fetch inputs ─► make layer ─► batch ─► record
//! ```
//!
//! A step's key is the digest of everything that decides its layer's bytes and of nothing else ([`key`]), so a wheel's
//! layer is made once for all projects.

mod app;
mod base;
mod bytecode;
pub mod convert;
mod files;
mod image;
mod key;
mod make;
mod missing;
mod own;
mod packages;
mod publish;
mod sdist;
mod solve;
pub mod stages;

pub use base::RunProgram;
pub use corten_sandbox::{ARGUMENT as SANDBOX_ARGUMENT, enter_ranges, init as sandbox_init};
pub use make::{Bring, Capabilities};
pub use missing::PackageOf;
pub use publish::Publish;
pub use sdist::{Build, limits as build_limits, run as run_build};
pub use solve::LocalEngine;
