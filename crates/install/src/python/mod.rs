//! Wheels to layers: what a lock chose becomes files below a venv, without an installer and without recompression.
//!
//! | module | what it does |
//! |---|---|
//! | [`index`] | asks an index (simple API) which files a project has |
//! | `group` | decides which wheels share a layer, and which bytecode |
//! | [`bytecode`] | compiles wheels by the base's own interpreter |
//! | `wheel` | converts wheels to one layer, as PyPA's binary distribution format says |
//! | `check` | refuses what is not the wheel that it should be |
//! | `layout` | maps a wheel's members to paths of the image; refuses what climbs out or overwrites the interpreter |
//! | `pack` | makes a wheel of files that nobody has packed |
//! | `record` | reads RECORD and adds what installing adds |
//! | `scripts` | entry points and shebangs |
//! | [`sdist`] | unpacks source distributions |
//! | [`standalone`] | makes a layer of an interpreter that brings all it needs |
//! | `metadata` | reads METADATA; are all requirements met? |
//! | `venv` | the generated files that make a folder a virtual environment |

pub mod bytecode;
mod check;
mod group;
pub mod index;
mod layout;
mod metadata;
mod pack;
mod record;
mod scripts;
pub mod sdist;
pub mod standalone;
mod venv;
mod wheel;

pub use group::{Group, Groups, MOST_LAYERS, group, group_with_bytecode};
pub use metadata::{Metadata, MetadataError, Unmet, requirements_met};
pub use pack::Packer;
pub use venv::{VenvFile, VenvKind, generated_files};
pub use wheel::{
    Conflict, FORMAT, InstallTarget, MTIME, WheelError, WheelReport, WheelSource, conflicts, convert, convert_into,
};
